"""Tests of `dynaopt.measured_level`."""

from dataclasses import replace

import pytest

from dynaopt.errors import InvalidInputError
from dynaopt.measured_level import MeasuredLevel, check_lengths, check_run
from dynaopt.request_class import TABLE_IV, CutPoints

LEVEL = MeasuredLevel(where="a.json", rate_rps=1.0, ttft_p50_s=0.1, ttft_p99_s=0.2, tbt_p50_s=0.02, tbt_p99_s=0.02)


def test_percentiles_are_in_order() -> None:
    """Tests that a P99 may equal the P50 but not lie below, and that nothing takes no time."""
    for fields in ({"ttft_p99_s": 0.09}, {"tbt_p50_s": 0.03}, {"tbt_p50_s": 0.0}):
        with pytest.raises(InvalidInputError, match=r"a\.json: expected a P99 T[TB]"):
            replace(LEVEL, **fields)


def test_a_sound_run() -> None:
    """Tests what just passes: 100 requests, 90 % of the rate."""
    check_run("a", completed=100, failed=0, rate_rps=10, served_rps=9.0)
    check_run("a", completed=100, failed=0, rate_rps=0, served_rps=0.1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"completed": 99}, "at least 100 requests, for a 99th percentile, got 99"),
        ({"failed": 1}, "every request is answered, got 1 failed"),
        ({"served_rps": 8.9}, "keeps up with 10 requests/s, got 8.9 answered per second; leave this level out"),
    ],
)
def test_an_unsound_run(fields: dict[str, float], message: str) -> None:
    """Tests what just does not."""
    with pytest.raises(InvalidInputError, match=message):
        check_run("a", **({"completed": 100, "failed": 0, "rate_rps": 10, "served_rps": 9.0} | fields))


def test_lengths() -> None:
    """Tests means on the cut-points, one token beyond, other cut-points, and lengths that are not known."""
    level = replace(LEVEL, input_tokens=255.0, output_tokens=99.0)
    check_lengths([level, LEVEL], "SS", TABLE_IV)
    with pytest.raises(
        InvalidInputError, match="class SS, got 256 input and 99 output tokens in the mean, which is MS"
    ):
        check_lengths([replace(level, input_tokens=256.0)], "SS", TABLE_IV)
    check_lengths([replace(level, input_tokens=256.0)], "SS", CutPoints((300, 900), (99, 349)))
