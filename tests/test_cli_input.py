"""Tests of how a command finds its demand."""

import gzip
from pathlib import Path

import pandas as pd
import pytest
from builders import make_metadata

from dynaopt.cli_input import DemandOptions, kind_of, load_demand
from dynaopt.demand import Demand
from dynaopt.errors import InputError, InvalidInputError
from dynaopt.profile import ClassCuts, Profile

DEMAND = Path(__file__).parent / "data" / "small" / "demand.csv"
ROWS = ["2024-05-12 00:00:01.5+00:00,100,10", "2024-05-12 00:03:00+00:00,3000,400", "2024-05-12 00:07:00+00:00,100,10"]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Return a trace of three requests in two windows of five minutes."""
    path = tmp_path / "week.csv"
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *ROWS, ""]))
    return path


def _profile(input_tokens: tuple[int, int]) -> Profile:
    cuts = ClassCuts(input_tokens=input_tokens, output_tokens=(99, 349))
    return Profile(metadata=make_metadata().model_copy(update={"classes": cuts}), curves={})


def _classes(demand: Demand) -> set[str]:
    return set(demand.table["request_class"])


def test_kinds_are_told_by_the_header(trace: Path, tmp_path: Path) -> None:
    """Tests a shipped week, a demand and a trace, the latter as CSV, gzip and Parquet."""
    assert kind_of("azure-2024-coding") == "demand"
    assert kind_of(str(DEMAND)) == "demand"
    assert kind_of(str(trace)) == "trace"
    (tmp_path / "week.csv.gz").write_bytes(gzip.compress(trace.read_bytes()))
    pd.read_csv(trace).to_parquet(tmp_path / "week.parquet")
    assert kind_of(str(tmp_path / "week.csv.gz")) == "trace"
    assert kind_of(str(tmp_path / "week.parquet")) == "trace"


def test_comments_before_the_header_are_passed_over(tmp_path: Path) -> None:
    """Tests a demand with a comment."""
    path = tmp_path / "demand.csv"
    path.write_text("# made by hand\n" + DEMAND.read_text())
    assert kind_of(str(path)) == "demand"
    assert load_demand(DemandOptions(source=str(path))).num_windows == 6


def test_a_trace_has_windows_of_five_minutes_unless_told(trace: Path) -> None:
    """Tests two windows by default and one of ten minutes."""
    assert load_demand(DemandOptions(source=str(trace))).num_windows == 2
    longer = load_demand(DemandOptions(source=str(trace), window="10min"))
    assert (longer.num_windows, longer.window_s, longer.num_requests) == (1, 600.0, pytest.approx(3))


def test_classes_are_cut_as_the_profile_has_it(trace: Path) -> None:
    """Tests that an input of 100 tokens is S for one profile and M for another, and that what was typed wins."""
    plain = DemandOptions(source=str(trace))
    typed = DemandOptions(source=str(trace), cut_points="50,5000:99,500")
    assert _classes(load_demand(plain)) == {"SS", "LL"}
    assert _classes(load_demand(plain, [_profile((50, 1023))])) == {"MS", "LL"}
    assert _classes(load_demand(typed, [_profile((255, 1023))])) == {"MS", "MM"}


def test_profiles_that_cut_differently_do_not_share_a_trace(trace: Path) -> None:
    """Tests that one of them is not silently taken."""
    with pytest.raises(InvalidInputError, match="option --profile: expected profiles whose classes are cut alike"):
        load_demand(DemandOptions(source=str(trace)), [_profile((255, 1023)), _profile((50, 1023))])


def test_part_of_a_horizon() -> None:
    """Tests that windows count by their start: from it on, and before the end."""
    whole = load_demand(DemandOptions(source=str(DEMAND)))
    part = load_demand(DemandOptions(source=str(DEMAND), start="2024-05-12T00:05", end="2024-05-12T00:15"))
    assert whole.num_windows == 6
    assert [t.minute for t in part.starts] == [5, 10]
    assert part.window(0).rate_rps[""].tolist() == whole.window(1).rate_rps[""].tolist()
    assert load_demand(DemandOptions(source=str(DEMAND), start="2024-05-12")).num_windows == 6
    assert load_demand(DemandOptions(source=str(DEMAND), end="2024-05-12T00:01")).num_windows == 1


def test_the_length_of_a_demands_windows_may_be_repeated() -> None:
    """Tests that the right length is no error."""
    assert load_demand(DemandOptions(source=str(DEMAND), window="300s")).window_s == 300.0


def test_options_are_read_before_files() -> None:
    """Tests that a typing error is told even where the file is missing too."""
    with pytest.raises(InputError, match="option --window"):
        load_demand(DemandOptions(source="nowhere.csv", window="soon"))
