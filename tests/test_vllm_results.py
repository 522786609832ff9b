"""Tests of `dynaopt.vllm_results`."""

from pathlib import Path

import pandas as pd
import pytest
from result_files import vllm_result, write_json

from dynaopt.errors import InvalidInputError, MissingFileError
from dynaopt.vllm_results import ALL_GAPS, read_vllm_results


def test_a_run_is_a_level(tmp_path: Path) -> None:
    """Tests rate, latencies in seconds, gaps between tokens rather than means of requests, lengths and times."""
    (level,) = read_vllm_results(write_json(tmp_path / "a.json", vllm_result(2.0)))
    assert level.rate_rps == 2.0
    assert (level.ttft_p50_s, level.ttft_p99_s) == (0.1, 0.3)
    assert (level.tbt_p50_s, level.tbt_p99_s) == (0.02, 0.06)
    assert (level.input_tokens, level.output_tokens) == (500, 200)
    assert level.end == pd.Timestamp("2025-11-22T12:00:00Z")
    assert level.start == pd.Timestamp("2025-11-22T11:55:00Z")
    assert (level.model, level.power_w, level.caveats) == ("mine", None, (ALL_GAPS,))


def test_one_request_at_a_time_is_load_zero(tmp_path: Path) -> None:
    """Tests that with one request in flight the rate does not matter, not even an infinite one."""
    document = vllm_result("inf", max_concurrency=1)
    assert read_vllm_results(write_json(tmp_path / "a.json", document))[0].rate_rps == 0


def test_runs_appended_to_one_file(tmp_path: Path) -> None:
    """Tests `--append-result`: one object after another."""
    levels = read_vllm_results(write_json(tmp_path / "a.json", vllm_result(1.0), vllm_result(2.0), vllm_result(3.0)))
    assert [level.rate_rps for level in levels] == [1.0, 2.0, 3.0]


def test_the_clock_of_the_machine(tmp_path: Path) -> None:
    """Tests that noon in Berlin in November is 11:00 UTC."""
    (level,) = read_vllm_results(write_json(tmp_path / "a.json", vllm_result()), time_zone="Europe/Berlin")
    assert level.end == pd.Timestamp("2025-11-22T11:00:00Z")


def test_percentiles_of_single_values(tmp_path: Path) -> None:
    """Tests a run without P99s but with `--save-detailed`: the 99th percentile of 0.01, 0.02, …, 1.01 s is 1.00 s."""
    ttfts = [0.01 * n for n in range(1, 102)]
    gaps = [[0.01, 0.02], [0.03]] * 50
    document = vllm_result(p99_ttft_ms=None, p99_itl_ms=None, ttfts=ttfts, itls=gaps)
    (level,) = read_vllm_results(write_json(tmp_path / "a.json", document))
    assert level.ttft_p99_s == pytest.approx(1.00)
    assert level.tbt_p99_s == pytest.approx(0.03)
    assert level.caveats == ()


def test_gaps_of_each_request(tmp_path: Path) -> None:
    """Tests 98 requests of 199 short gaps and a long one, which they may have, and two of 99 and one, which may not.

    Of all 19,798 gaps 100 are long, 0.5 %; of the requests 2 % are late, so that the P99 of a request is the long gap.
    """
    gaps = [[0.01] * 199 + [0.5]] * 98 + [[0.01] * 98 + [0.5]] * 2
    (level,) = read_vllm_results(write_json(tmp_path / "a.json", vllm_result(itls=gaps, p99_itl_ms=20.0)))
    assert level.tbt_p99_s == pytest.approx(0.5)


def test_even_arrivals_are_told(tmp_path: Path) -> None:
    """Tests that a burstiness above 1 leaves a note, and one below, which is on the safe side, none."""
    (even,) = read_vllm_results(write_json(tmp_path / "a.json", vllm_result(burstiness=4.0)))
    assert "burstiness 4" in even.caveats[1]
    (bursty,) = read_vllm_results(write_json(tmp_path / "b.json", vllm_result(burstiness=0.5)))
    assert bursty.caveats == (ALL_GAPS,)


def test_old_files_do_not_count_failures(tmp_path: Path) -> None:
    """Tests a file of 2024: what was asked for and not completed has failed."""
    old = vllm_result(failed=None, burstiness=None)
    assert read_vllm_results(write_json(tmp_path / "a.json", old))[0].rate_rps == 2.0
    with pytest.raises(InvalidInputError, match="got 5 failed"):
        read_vllm_results(write_json(tmp_path / "b.json", old | {"completed": 595}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"request_rate": "inf"}, r"key 'request_rate': expected a rate .*, got inf; run with --request-rate"),
        ({"request_rate": -1}, "key 'request_rate': expected a number above 0, got -1"),
        ({"p99_ttft_ms": None}, "key 'p99_ttft_ms': expected a number above 0, got none; run with --percentile"),
        ({"p99_itl_ms": None}, "key 'p99_itl_ms': expected a number above 0, got none"),
        ({"p99_itl_ms": 10.0}, "expected a P99 TBT of at least the P50, 0.02 s, got 0.01 s"),
        ({"median_ttft_ms": "fast"}, "key 'median_ttft_ms': expected a number above 0, got \"fast\""),
        ({"failed": 2}, "expected a run in which every request is answered, got 2 failed"),
        ({"completed": 50, "failed": 0}, "expected at least 100 requests, for a 99th percentile, got 50"),
        ({"request_throughput": 1.7}, "expected a server that keeps up with 2 requests/s, got 1.7 answered per second"),
        ({"date": "yesterday"}, "key 'date': expected a time such as 20251122-201500, got 'yesterday'"),
        ({"duration": None}, "key 'duration': expected a number above 0, got none"),
        ({"completed": 600.5}, "key 'completed': expected an integer, got 600.5"),
    ],
)
def test_what_is_no_level(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    """Tests that file and key are named, with what was found and what would do."""
    path = write_json(tmp_path / "a.json", vllm_result() | fields)
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_vllm_results(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1]", "{", "request_rate: 2"])
def test_what_is_no_result(tmp_path: Path, text: str) -> None:
    """Tests files that are empty, another kind of JSON, cut short or none."""
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=r"a\.json: expected (a JSON object|JSON), got"):
        read_vllm_results(path)


def test_no_file(tmp_path: Path) -> None:
    """Tests that a missing file is named."""
    with pytest.raises(MissingFileError, match=r"none\.json: expected a file"):
        read_vllm_results(tmp_path / "none.json")
