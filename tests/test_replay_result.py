"""Tests of `dynaopt.replay_result`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay_builders import Group, ListStream, llama, make_schedule, own_routes, poisson

from dynaopt.replay import replay
from dynaopt.replay_result import ReplayResult, quantile_s
from dynaopt.replay_state import BIN_WIDTH, FIRST_BIN_S, NUM_BINS
from dynaopt.slo import Slo

GROUPS: list[Group] = [("MS", 4, 1980, 2, 3.0), ("LL", 8, 1800, 1, 0.4)]


@pytest.fixture(scope="module")
def result() -> ReplayResult:
    """Return a replay of four windows of two pools, the third without an answer."""
    window = (GROUPS, own_routes(GROUPS))
    requests = [*poisson(6.0, 240.0, 600, 50), *poisson(0.4, 240.0, 2000, 400, seed=1)]
    return replay(make_schedule([window, window, None, window], window_s=60.0), ListStream(requests), llama())


@given(st.lists(st.floats(0.002, 100.0), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_quantile_is_good_to_half_a_bin(values: list[float], q: float) -> None:
    """Tests against the exact quantile, the least value that a share q of all do not exceed."""
    at = np.minimum(NUM_BINS - 1, (np.log(np.array(values) / FIRST_BIN_S) / BIN_WIDTH).astype(int))
    exact = float(np.quantile(values, q, method="inverted_cdf"))
    assert quantile_s(np.bincount(at, minlength=NUM_BINS), q) == pytest.approx(exact, rel=2.1e-3)


def test_quantile_of_nothing_is_not_a_number() -> None:
    """Tests an empty histogram."""
    assert np.isnan(quantile_s(np.zeros(NUM_BINS), 0.5))


def test_classes_add_up_to_all(result: ReplayResult) -> None:
    """Tests requests and goodput, and that shares of all are means of the classes' by their requests."""
    classes, whole = result.classes.iloc[:-1], result.classes.iloc[-1]
    assert classes["request_class"].tolist() == ["MS", "LL"]
    assert whole["num_requests"] == classes["num_requests"].sum() == result.num_requests
    assert whole["goodput_rps"] == pytest.approx(classes["goodput_rps"].sum())
    for name in ("ttft_attainment", "tbt_attainment", "attainment", "ttft_mean_s"):
        assert whole[name] == pytest.approx(np.average(classes[name], weights=classes["num_requests"]))
    assert whole["goodput_rps"] == pytest.approx(whole["attainment"] * whole["num_requests"] / 240.0)


def test_percentiles_are_in_order(result: ReplayResult) -> None:
    """Tests P50 ≤ P90 ≤ P99 of each latency, and that a mean gap lies between the least and the greatest."""
    for name in ("ttft", "tbt", "tpot"):
        columns = result.classes[[f"{name}_p{q}_s" for q in (50, 90, 99)]].to_numpy()
        assert (np.diff(columns, axis=1) >= 0).all()
    assert result.classes["tpot_p99_s"].max() < 0.1


def test_windows_add_up_to_totals(result: ReplayResult) -> None:
    """Tests energies and requests, and that energy is what its parts are."""
    parts = ["serving_energy_j", "idle_energy_j", "start_up_energy_j", "other_energy_j"]
    for name in (*parts, "energy_j", "planned_energy_j"):
        assert result.totals[name] == pytest.approx(result.windows[name].sum())
    np.testing.assert_allclose(result.windows[parts].sum(axis=1), result.windows["energy_j"])
    assert result.windows["num_requests"].sum() == result.num_requests
    assert result.pools["energy_j"].sum() == pytest.approx(result.energy_j)


def test_plan_is_compared_where_there_is_one(result: ReplayResult) -> None:
    """Tests that the window without an answer has no planned energy and does not count in the ratio."""
    planned = result.windows["planned_energy_j"]
    assert np.isnan(planned[2])
    assert planned.notna().sum() == 3
    replayed_j = result.windows["energy_j"][[0, 1, 3]].sum()
    assert result.totals["energy_ratio"] == pytest.approx(replayed_j / planned.sum())
    assert result.totals["energy_ratio"] == pytest.approx(1.0, abs=0.1)


def test_window_classes_tell_where_it_broke(result: ReplayResult) -> None:
    """Tests that requests and what they kept add up to the classes'."""
    by_class = result.window_classes.groupby("request_class")[["num_requests", "num_kept"]].sum()
    classes = result.classes.set_index("request_class")
    for name in ("MS", "LL"):
        assert by_class.loc[name, "num_requests"] == classes.loc[name, "num_requests"]
        share = by_class.loc[name, "num_kept"] / by_class.loc[name, "num_requests"]
        assert share == pytest.approx(classes.loc[name, "attainment"])


def test_hosts_count_as_in_the_plan() -> None:
    """Tests a plan that has 500 W beside its instances: 500 W in every window, and the ratio is of all."""
    schedule = make_schedule([([], [])] * 2, window_s=60.0)
    windows = schedule.windows.assign(power_w=500.0, energy_j=30_000.0)
    object.__setattr__(schedule, "windows", windows)
    found = replay(schedule, ListStream([]), llama())
    assert found.windows["other_energy_j"].tolist() == [30_000.0, 30_000.0]
    assert found.totals["energy_ratio"] == 1.0


def test_hosts_go_on_in_a_window_without_an_answer() -> None:
    """Tests 500 W beside instances in the first of two windows of 60 s, the second without an answer: 30 kJ in both.

    The demand is one request/s, so that each window has 60 planned; none come. The plan has energy for the first only.
    """
    schedule = make_schedule([([], []), None], window_s=60.0)
    windows = schedule.windows.assign(power_w=[500.0, np.nan], energy_j=[30_000.0, np.nan])
    object.__setattr__(schedule, "windows", windows)
    found = replay(schedule, ListStream([]), llama())
    assert found.windows["other_energy_j"].tolist() == [30_000.0, 30_000.0]
    assert found.windows["planned_requests"].tolist() == [60.0, 60.0]
    assert found.totals["energy_ratio"] == 1.0


def test_first_tokens_and_gaps_are_told_apart() -> None:
    """Tests a request in time for its first token whose gaps, some 15 ms, are beyond a bound of 5 ms: 1, 0 and 0."""
    slo = Slo(ttft_s=(1.0,) * 9, tbt_s=(0.005,) * 9)
    group: Group = ("MS", 4, 1980, 1, 2.0)
    schedule = make_schedule([([group], own_routes([group]))], slo=slo)
    found = replay(schedule, ListStream([(1.0, 300, 20)]), llama())
    row = found.window_classes.iloc[0]
    assert (row["num_ttft_kept"], row["num_tbt_kept"], row["num_kept"]) == (1, 0, 0)
    window = found.windows.iloc[0]
    assert (window["ttft_attainment"], window["tbt_attainment"]) == (1.0, 0.0)
    whole = found.classes.iloc[-1]
    assert (whole["ttft_attainment"], whole["tbt_attainment"], whole["goodput_rps"]) == (1.0, 0.0, 0.0)


def test_it_prints_what_matters(result: ReplayResult) -> None:
    """Tests the one line that a person sees."""
    assert "requests, 0 lost, TTFT kept by" in repr(result)
    assert f"{result.num_requests:,}" in repr(result)
