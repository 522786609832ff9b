"""Tests of `dynaopt.curve_limits`."""

import numpy as np

from dynaopt.curve_limits import NUM_VALUES, curve_limits, latency_bounds
from dynaopt.slo import Slo

SLO = Slo.table_iv()
INF = np.inf


def test_a_class_has_bounds_on_its_p99s() -> None:
    """Tests MS: 0.4 s on the TTFT and 0.1 s on the TBT, nothing on power and medians."""
    assert latency_bounds("MS", ("MS",), SLO).tolist() == [INF, INF, 0.4, INF, 0.1]


def test_a_mix_has_bounds_on_those_of_its_classes() -> None:
    """Tests SS and LS: 0.25 and 2 s, and 0.1 s each, behind the values over all requests, which have none."""
    bounds = latency_bounds("ALL-coding", ("SS", "LS"), SLO)
    assert bounds.tolist() == [INF] * NUM_VALUES + [0.25, 0.1, 2.0, 0.1]


def test_a_curve_counts_up_to_one_and_a_half_and_ends_at_three_times_its_bounds() -> None:
    """Tests MS with unloaded latencies far below its bounds."""
    limits = curve_limits("MS", ("MS",), SLO, np.array([400, 0.1, 0.2, 0.02, 0.03]))
    np.testing.assert_allclose(limits.relevant, [INF, INF, 0.6, INF, 0.15])
    np.testing.assert_allclose(limits.stop, [INF, INF, 1.2, INF, 0.3])
    assert limits.relevant_from.tolist() == [0] * 5
    assert limits.everywhere.tolist() == [True, False, False, False, False]


def test_a_curve_that_starts_late_goes_on_for_half_as_much_again() -> None:
    """Tests an unloaded TTFT of 2 s against a bound of 0.4 s: up to 3 s instead of 1.2 s."""
    limits = curve_limits("MS", ("MS",), SLO, np.array([400, 0.1, 2.0, 0.02, 0.03]))
    assert limits.stop[2] == 3.0


def test_in_a_mix_only_what_is_near_its_bound_counts() -> None:
    """Tests from 0.95 times the bounds of LS on, and that the values over all requests count from 0 on."""
    limits = curve_limits("ALL-coding", ("LS",), SLO, np.full(7, 0.01))
    np.testing.assert_allclose(limits.relevant_from, [0] * 5 + [1.9, 0.095])
