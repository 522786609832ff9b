"""Tests of `dynaopt.load_levels`."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from dynaopt.load_levels import Limits, fewest_levels, find_last, left_out_errors, rounded, sample_curve

INF = np.inf


def _limits(*, stop: float = 10.0, relevant: float = INF, start: float = 0.0, floor: float = 0.0) -> Limits:
    """Return limits of a single value."""
    one = np.ones(1)
    return Limits(stop=stop * one, relevant=relevant * one, relevant_from=start * one, floor=floor * one)


def _column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


class TestLeftOutErrors:
    """How far lines between neighbours miss the levels between them."""

    def test_line_between_neighbours(self) -> None:
        """Tests the middle of (0, 1), (1, 4), (4, 5): the line gives 2 there, half of 4."""
        errors = left_out_errors(np.array([0.0, 1.0, 4.0]), _column(1, 4, 5), _limits())
        assert errors.tolist() == [0.5]

    def test_floor_is_what_small_values_are_judged_against(self) -> None:
        """Tests the same miss of 2 against a floor of 20."""
        errors = left_out_errors(np.array([0.0, 1.0, 4.0]), _column(1, 4, 5), _limits(floor=20))
        assert errors.tolist() == [0.1]

    def test_levels_of_no_use_do_not_count(self) -> None:
        """Tests a level beyond the relevant bound whose line is beyond it too."""
        assert left_out_errors(np.arange(3.0), _column(4, 9, 6), _limits(relevant=4.5)).tolist() == [0]

    def test_line_must_not_call_useless_levels_usable(self) -> None:
        """Tests a level at 9 that the line puts at 4, with a bound of 4.5: 0.5 of 4.5 missed."""
        errors = left_out_errors(np.arange(3.0), _column(3, 9, 5), _limits(relevant=4.5))
        assert errors == pytest.approx([0.5 / 4.5])

    def test_values_below_the_range_are_all_the_same(self) -> None:
        """Tests that a miss below where a value begins to matter is none."""
        assert left_out_errors(np.arange(3.0), _column(1, 3, 2), _limits(start=3)).tolist() == [0]

    def test_worst_value_counts(self) -> None:
        """Tests two values, one on the line and one 10 % off."""
        values = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 2.6]])
        two = Limits(stop=np.ones(2), relevant=np.full(2, INF), relevant_from=np.zeros(2), floor=np.zeros(2))
        assert left_out_errors(np.arange(3.0), values, two) == pytest.approx([0.1])


class TestFindLast:
    """The last load that passes."""

    @pytest.mark.parametrize("guess", [0.001, 1.0, 37.0, 38.0, 5000.0])
    @pytest.mark.parametrize("step", [1.05, 2.0])
    def test_found_from_anywhere(self, guess: float, step: float) -> None:
        """Tests a bound of 37.5 from below and above: never beyond it, and within 1 % of it."""
        found = find_last(lambda load: load <= 37.5, guess, step=step, within=0.01)
        assert 37.5 / 1.01 <= found <= 37.5

    def test_no_load_is_tried_twice(self) -> None:
        """Tests that a simulation, which is dear, is never repeated."""
        tried: list[float] = []
        find_last(lambda load: not tried.append(load) and load <= 37.5, 1.0, step=2.0, within=0.01)  # type: ignore[func-returns-value]
        assert len(tried) == len(set(tried))


class TestFewestLevels:
    """Which levels are kept."""

    def test_straight_line_keeps_its_ends(self) -> None:
        """Tests that nothing between the ends of a line is kept."""
        loads = np.linspace(0, 1, 12)
        assert fewest_levels(loads, (1 + loads)[:, None], _limits()) == [0, 11]

    @pytest.mark.parametrize("seed", range(6))
    def test_no_smaller_choice_meets_the_tolerance(self, seed: int) -> None:
        """Tests against every subset of 9 levels of a random rising curve."""
        rng = np.random.default_rng(seed)
        loads = np.concatenate([[0.0], np.cumsum(rng.random(8) + 0.2)])
        values = (1 + np.cumsum(rng.random(9) * 0.03))[:, None]
        limits = _limits()

        def is_good(kept: list[int]) -> bool:
            lines = np.interp(loads, loads[kept], values[kept, 0])
            met = np.abs(lines / values[:, 0] - 1).max() <= limits.tolerance
            return bool(met and left_out_errors(loads[kept], values[kept], limits).max(initial=0) <= limits.tolerance)

        chosen = fewest_levels(loads, values, limits)
        sizes = [n for n in range(8) if any(is_good([0, *inner, 8]) for inner in combinations(range(1, 8), n))]
        assert sizes
        assert is_good(chosen)
        assert len(chosen) == min(sizes) + 2

    def test_one_large_miss_is_worse_than_many_small(self) -> None:
        """Tests that a step that no line can join does not make the choice give up the bend before it."""
        loads = np.arange(12.0)
        values = np.sqrt(1 + loads)
        values[10:] += 5
        kept = fewest_levels(loads, values[:, None], _limits())
        before = [i for i in kept if i < 9]
        lines = np.interp(loads[:9], loads[before], values[before])
        assert np.abs(lines / values[:9] - 1).max() < 0.05


CURVES: dict[str, Callable[[float], float]] = {
    "line": lambda x: 1 + x,
    "concave": lambda x: 1 + 3 * (1 - np.exp(-4 * x)),
    "queue": lambda x: 0.1 / (1 - x / 1.2),
    "ramp": lambda x: 1 + 0.1 * x + 2 * min(1.0, max(0.0, (x - 0.3) / 0.1)),
}


class TestSampleCurve:
    """Curves sampled from nothing but a function."""

    @pytest.mark.parametrize("name", CURVES)
    def test_straight_lines_meet_the_curve(self, name: str) -> None:
        """Tests that every inner level, and the curve between levels, is met within 2 %, with at most 25 levels."""
        curve = CURVES[name]
        limits = _limits(stop=curve(1.0))
        loads, values = sample_curve(lambda x: np.array([curve(x)]), np.array([curve(0.0)]), limits, guess=0.9)
        assert left_out_errors(loads, values, limits).max(initial=0) <= 0.02
        fine = np.linspace(0, loads[-1], 1000)
        lines = np.interp(fine, loads, values[:, 0])
        assert np.abs(lines / np.array([curve(x) for x in fine]) - 1).max() < 0.02
        assert len(loads) <= 25

    def test_curve_ends_where_a_value_passes_its_stop(self) -> None:
        """Tests a line up to 3: the last level within 1 % below load 2, the first at 0."""
        loads, values = sample_curve(lambda x: np.array([1 + x]), np.array([1.0]), _limits(stop=3.0), guess=1.0)
        assert loads[0] == 0
        assert 1.98 <= loads[-1] <= 2
        assert values[-1, 0] <= 3

    def test_no_more_is_measured_than_allowed(self) -> None:
        """Tests that a curve that bends everywhere ends the refinement at its limit."""
        tried: list[float] = []

        def measure(load: float) -> np.ndarray:
            tried.append(load)
            return np.array([2 + np.sin(50 * load) + load])

        limits = _limits(stop=12.0)
        sample_curve(measure, np.array([2.0]), limits, guess=9.0)
        assert len(tried) <= limits.max_measured + 20


def test_rounding_keeps_significant_digits() -> None:
    """Tests numbers of any size."""
    assert rounded(123456.0, 3) == 123000.0
    assert rounded(0.00123456, 3) == 0.00123
