"""Tests of `dynaopt.lengths`."""

from pathlib import Path

import numpy as np
import pytest

from dynaopt.errors import InvalidInputError, MissingFileError, UnknownNameError
from dynaopt.lengths import (
    SERVICE_REQUESTS,
    Lengths,
    merged,
    mix_lengths,
    read_lengths,
    service_lengths,
    whole_and_parts,
    workload_lengths,
)
from dynaopt.request_class import REQUEST_CLASSES, TABLE_IV, CutPoints


def _lengths(*rows: tuple[int, int, float]) -> Lengths:
    input_tokens, output_tokens, weight = zip(*rows, strict=True)
    return Lengths(np.array(input_tokens), np.array(output_tokens), np.array(weight, dtype=float))


SMALL = _lengths((100, 10, 3.0), (100, 200, 1.0), (5000, 400, 4.0))


def test_shares_of_classes() -> None:
    """Tests 3, 1 and 4 requests of SS, SM and LL: three, one and four eighths; classes without requests are absent."""
    assert SMALL.shares(TABLE_IV) == {"SS": 0.375, "SM": 0.125, "LL": 0.5}


def test_one_class_keeps_its_weights() -> None:
    """Tests that a class is cut out as it is, and that one without requests is empty."""
    part = SMALL.of_class("LL", TABLE_IV)
    assert (part.input_tokens.tolist(), part.output_tokens.tolist(), part.weight.tolist()) == ([5000], [400], [4.0])
    assert len(SMALL.of_class("ML", TABLE_IV).weight) == 0


@pytest.mark.parametrize("seed", range(5))
def test_sample_holds_each_cell_as_often_as_it_weighs(seed: int) -> None:
    """Tests 1,001 draws of weights 3, 1, 4: 375.4, 125.1 and 500.5, rounded up or down, in random order."""
    input_tokens, output_tokens = SMALL.sample(1001, np.random.default_rng(seed))
    counts = [int(((input_tokens == i) & (output_tokens == o)).sum()) for i, o in ((100, 10), (100, 200), (5000, 400))]
    assert sum(counts) == 1001
    for count, expected in zip(counts, (375.375, 125.125, 500.5), strict=True):
        assert abs(count - expected) < 1
    assert (np.diff(input_tokens) < 0).any()


def test_merging_adds_weights() -> None:
    """Tests that both parts keep their own weights."""
    both = merged([SMALL, _lengths((100, 20, 8.0))])
    assert both.weight.sum() == 16
    assert both.shares(TABLE_IV)["SS"] == 11 / 16


def test_reading_rounds_mean_lengths_up(tmp_path: Path) -> None:
    """Tests that a cell's mean length, which may be a fraction, becomes a whole number of tokens."""
    path = tmp_path / "lengths.csv"
    path.write_text("input_tokens,output_tokens,weight\n50.5,42.0,0.25\n51,42.1,0.75\n")
    lengths = read_lengths(path)
    assert lengths.input_tokens.tolist() == [51, 51]
    assert lengths.output_tokens.tolist() == [42, 43]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("0,1,1", "line 2, column 'input_tokens': expected a number above 0, got '0'"),
        ("1,-1,1", "line 2, column 'output_tokens': expected a number above 0, got '-1'"),
        ("1,1,nan", "line 2, column 'weight': expected a number of at least 0, got 'nan'"),
    ],
)
def test_faulty_cell_is_refused(row: str, said: str, tmp_path: Path) -> None:
    """Tests lengths and weights that cannot be."""
    path = tmp_path / "lengths.csv"
    path.write_text(f"input_tokens,output_tokens,weight\n{row}\n")
    with pytest.raises(InvalidInputError, match=said):
        read_lengths(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """Tests that the file that is not there is named."""
    with pytest.raises(MissingFileError, match=r"nowhere\.csv"):
        read_lengths(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("service", SERVICE_REQUESTS)
def test_shipped_lengths_stand_for_the_week(service: str) -> None:
    """Tests that weights add up to the requests of the week, lengths stay within Table IV, and shares add up to 1."""
    lengths = service_lengths(service)
    assert lengths.weight.sum() == pytest.approx(SERVICE_REQUESTS[service])
    assert lengths.input_tokens.max() <= 8192
    shares = lengths.shares(TABLE_IV)
    assert sum(shares.values()) == pytest.approx(1)
    assert set(shares) <= set(REQUEST_CLASSES)


def test_shipped_means_are_those_published() -> None:
    """Tests mean lengths against the published statistics of the full files: 1,632 and 2,511 in, 106 and 23 out."""
    for service, mean_input, mean_output in (("conversation", 1632, 106), ("coding", 2511, 23)):
        lengths = service_lengths(service)
        weight = lengths.weight / lengths.weight.sum()
        assert (weight * lengths.input_tokens).sum() == pytest.approx(mean_input, rel=0.005)
        assert (weight * lengths.output_tokens).sum() == pytest.approx(mean_output, rel=0.025)


def test_every_class_has_lengths() -> None:
    """Tests that the two services together have requests of all nine classes, as the profile needs."""
    both = merged([service_lengths(service) for service in SERVICE_REQUESTS])
    assert set(both.shares(TABLE_IV)) == set(REQUEST_CLASSES)


@pytest.mark.parametrize("service", SERVICE_REQUESTS)
def test_parts_of_a_mix_make_it_up(service: str) -> None:
    """Tests that S, M and L inputs share out a service's requests, and that each part's shares add up to 1."""
    parts = [mix_lengths(f"{service}-{letter}", TABLE_IV) for letter in "SML"]
    assert sum(part.weight.sum() for part in parts) == pytest.approx(SERVICE_REQUESTS[service])
    for letter, part in zip("SML", parts, strict=True):
        shares = part.shares(TABLE_IV)
        assert {c[0] for c in shares} == {letter}
        assert sum(shares.values()) == pytest.approx(1)


def test_a_mix_is_cut_by_input_length() -> None:
    """Tests 4 requests of S inputs and 4 of L: the whole comes first, a part without requests is left out."""
    cut = whole_and_parts("ALL-own", SMALL, TABLE_IV)
    assert list(cut) == ["ALL-own", "ALL-own-S", "ALL-own-L"]
    assert cut["ALL-own"] is SMALL
    assert cut["ALL-own-S"].shares(TABLE_IV) == {"SS": 0.75, "SM": 0.25}
    assert [own.weight.sum() for own in cut.values()] == [8, 4, 4]


def test_longest_request_counts_both_lengths() -> None:
    """Tests 100 + 5,000 tokens against 200 + 10 and 5,000 + 50."""
    assert _lengths((200, 10, 1.0), (5000, 50, 1.0), (100, 5000, 1.0)).longest_tokens == 5100


def test_workloads_have_the_lengths_of_their_services() -> None:
    """Tests a class, which both services have, and a mix, which is of one."""
    in_both = workload_lengths("MS", TABLE_IV)
    apart = [service_lengths(service).of_class("MS", TABLE_IV).weight.sum() for service in SERVICE_REQUESTS]
    assert in_both.weight.sum() == pytest.approx(sum(apart))
    assert set(in_both.shares(TABLE_IV)) == {"MS"}
    assert workload_lengths("ALL-coding-L", TABLE_IV).weight.sum() == mix_lengths("coding-L", TABLE_IV).weight.sum()


def test_mix_without_requests_is_refused() -> None:
    """Tests cut-points above every input, so that no input is L."""
    with pytest.raises(UnknownNameError, match="got 'coding-L'"):
        mix_lengths("coding-L", CutPoints((10_000, 20_000), (100, 350)))


def test_unknown_service_is_refused() -> None:
    """Tests that the services that there are are said."""
    with pytest.raises(UnknownNameError, match="expected one of conversation, coding, got 'chat'"):
        service_lengths("chat")
