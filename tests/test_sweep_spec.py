"""Tests of the TOML file of a sweep: lists and single values, windows, and every fault with its key."""

import datetime
from pathlib import Path

import pandas as pd
import pytest
from planning import START, make_week

from dynaopt.errors import InvalidInputError, MissingFileError
from dynaopt.problem import Cluster
from dynaopt.sweep_spec import CLUSTER_AXES, SweepSpec, WindowSelection, read_sweep_spec

UTC = datetime.UTC


def read(folder: Path, text: str) -> SweepSpec:
    """Write a file and read it."""
    path = folder / "sweep.toml"
    path.write_text(text)
    return read_sweep_spec(path)


def test_lists_and_single_values(tmp_path: Path) -> None:
    """Tests that a value is a list of one, and that profiles of one cluster are a list in the list."""
    spec = read(
        tmp_path,
        """
        services = "azure-2024-coding"
        profiles = ["a", ["b", "c"]]
        num_gpus = [160, 320]
        slo_scales = 2
        reserve = [0, 0.1, "n+1"]
        power_cap_w = ["none", 50000]
        fixed_mix = [{}, { m = { 2 = 4, 8 = 1 } }]
        """,
    )
    assert spec.services == ("azure-2024-coding",)
    assert spec.profiles == (("a",), ("b", "c"))
    assert spec.num_gpus == (160, 320)
    assert spec.slo_scales == (2.0,)
    assert spec.reserve == (0, 0.1, "n+1")
    assert spec.power_cap_w == (None, 50000)
    assert spec.fixed_mix == ({}, {"m": {2: 4, 8: 1}})
    assert not spec.schedules


def test_what_is_left_out_is_as_plan_has_it(tmp_path: Path) -> None:
    """Tests that every option of the cluster may be a list, and has the cluster's own default."""
    spec = read(tmp_path, 'services = ["azure-2024-coding"]')
    for name in CLUSTER_AXES:
        assert getattr(spec, name) == (getattr(Cluster(), name),), name
    assert (spec.solver, spec.time_limit_s, spec.slo, spec.objective) == ("greedy", None, None, None)
    assert spec.profiles == (("llama2-70b-h100",),)


@pytest.mark.parametrize("text", ['"2024-05-12"', "2024-05-12", '{ from = "2024-05-12", until = 2024-05-13 }'])
def test_a_date_stands_for_its_day(tmp_path: Path, text: str) -> None:
    """Tests a date as TOML has it and as text: from its midnight to the next, UTC."""
    windows = read(tmp_path, f'services = "x.csv"\nwindows = {text}').windows
    assert windows.start == datetime.datetime(2024, 5, 12, tzinfo=UTC)
    assert windows.until == datetime.datetime(2024, 5, 13, tzinfo=UTC)
    assert windows.every == 1


def test_windows_are_selected_by_their_start() -> None:
    """Tests 00:10 to 00:30 of windows of five minutes: four, from 00:10 to 00:25; every third: two of them."""
    week = make_week(20)
    span = {"from": "2024-05-12T00:10", "until": "2024-05-12T00:30"}
    found = WindowSelection.model_validate(span).of(week)
    minutes = (found.starts - START).total_seconds() / 60
    assert minutes.tolist() == [10, 15, 20, 25]
    assert found.rates_rps[""].tolist() == week.rates_rps[""][2:6].tolist()
    sample = WindowSelection.model_validate(span | {"every": 3}).of(week)
    assert sample.starts.tolist() == found.starts[[0, 3]].tolist()
    assert sample.rates_rps[""].tolist() == week.rates_rps[""][[2, 5]].tolist()
    assert WindowSelection().of(week).starts.equals(week.starts)


def test_a_selection_of_nothing_is_told() -> None:
    """Tests that what there is and what was asked for are in the message."""
    late = WindowSelection(start=datetime.datetime(2030, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidInputError, match=r"windows of 'small-week', 2024-05-12T00:00 to .*got none from 2030"):
        late.of(make_week(3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "key 'services': expected it to be there, got none"),
        ('services = ["a", "a"]', """key 'services': expected each value once, not "a" twice"""),
        ("services = []", "key 'services': expected .*at least 1 item"),
        ('services = "a"\nnum_gpu = 3', "key 'num_gpu': expected one of services, profiles, .*num_gpus"),
        ('services = "a"\nnum_gpus = ["many"]', r"key 'num_gpus.0': expected a valid integer.*got 'many'"),
        ('services = "a"\nnum_gpus = [320, 0]', "key 'num_gpus': expected greater than 0, got 0"),
        ('services = "a"\nheadroom = -0.1', "key 'headroom': expected greater than or equal to 0, got -0.1"),
        ('services = "a"\nreserve = "n+2"', "key 'reserve.*got 'n\\+2'"),
        ('services = "a"\nunused_gpus = "off"', "key 'unused_gpus': expected 'released' or 'on', got off"),
        ('services = "a"\nslo_scales = [1, 0]', "key 'slo_scales.1': expected greater than 0, got 0"),
        ('services = "a"\nslo_scales = inf', "key 'slo_scales.0': expected a finite number, got inf"),
        ('services = "a"\nwindows = "May"', "key 'windows': expected a time such as .*, not 'May'"),
        ('services = "a"\nwindows = 2024-05-12T08:00:00', "key 'windows': expected a day such as 2024-05-14"),
        ('services = "a"\nwindows = 5', "key 'windows': expected a time such as 2024-05-12T18:05, not 5"),
        ('services = "a"\nwindows = { every = 0 }', "key 'windows.every': expected greater than or equal to 1, got 0"),
        ('services = "a"\nwindows = { every = 2 }\nschedules = true', "key 'schedules': expected false for a sample"),
        ('services = "a"\nobjective = { minimise = "cost", price = 3 }', "key 'objective.price'"),
        ("services = ", "expected a TOML file, got "),
    ],
)
def test_faults_are_told_with_their_key(tmp_path: Path, text: str, message: str) -> None:
    """Tests that file, key, what was expected and what was found are told."""
    with pytest.raises(InvalidInputError, match=rf"sweep\.toml.*{message}"):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Tests the message of a missing file."""
    with pytest.raises(MissingFileError, match=r"none.toml: expected a TOML file that says what to sweep"):
        read_sweep_spec(tmp_path / "none.toml")


def test_a_selection_may_be_made_in_python() -> None:
    """Tests that a spec needs no file, under the names of its fields."""
    start = pd.Timestamp("2024-05-12T00:05Z").to_pydatetime()
    spec = SweepSpec(services=("x.csv",), num_gpus=64, windows=WindowSelection(start=start))  # type: ignore[arg-type]
    assert spec.num_gpus == (64,)
    assert spec.windows.start == start
