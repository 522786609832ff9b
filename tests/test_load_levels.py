"""Tests of `dynaopt.load_levels`."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from dynaopt.load_levels import Levels, Limits, fewest_levels, find_last, left_out_errors, rounded, sample_curve

INF = np.inf


def _limits(
    *, stop: float = INF, relevant: float = INF, start: float = 0.0, everywhere: bool = False, within_load: float = 0.0
) -> Limits:
    """Return limits of a single value; in value alone unless told otherwise."""
    one = np.ones(1)
    return Limits(
        stop=stop * one,
        relevant=relevant * one,
        relevant_from=start * one,
        everywhere=np.array([everywhere]),
        load_tolerance=within_load,
    )


def _levels(loads: object, *values: float) -> Levels:
    return Levels(np.array(loads, dtype=float), np.array(values, dtype=float)[:, None])


def _errors(levels: Levels, limits: Limits) -> list[float]:
    return left_out_errors(levels, limits)[:, 0].tolist()


class TestLeftOutErrors:
    """How far lines between neighbours miss the levels between them."""

    def test_line_between_neighbours(self) -> None:
        """Tests the middle of (0, 1), (1, 4), (4, 5): the line gives 2 there, half of 4."""
        assert _errors(_levels([0, 1, 4], 1, 4, 5), _limits()) == [0.5]

    def test_small_values_are_judged_against_themselves(self) -> None:
        """Tests that a hundredth of all values gives the same share."""
        assert _errors(_levels([0, 1, 4], 0.01, 0.04, 0.05), _limits()) == pytest.approx([0.5])

    def test_levels_of_no_use_do_not_count(self) -> None:
        """Tests a level beyond the relevant bound whose line is beyond it too."""
        assert _errors(_levels([0, 1, 2], 4, 9, 6), _limits(relevant=4.5)) == [0]

    def test_line_must_not_call_useless_levels_usable(self) -> None:
        """Tests a level at 9 that the line puts at 4, with a bound of 4.5: 0.5 of 4.5 missed."""
        assert _errors(_levels([0, 1, 2], 3, 9, 5), _limits(relevant=4.5)) == pytest.approx([0.5 / 4.5])

    def test_some_values_count_everywhere(self) -> None:
        """Tests two values at a level of no use by the first: the second, that counts everywhere, is 10 % off."""
        levels = Levels(np.arange(3.0), np.array([[4.0, 1.0], [9.0, 2.0], [6.0, 2.6]]))
        limits = Limits(
            stop=np.full(2, INF),
            relevant=np.array([4.5, INF]),
            relevant_from=np.zeros(2),
            everywhere=np.array([False, True]),
        )
        assert left_out_errors(levels, limits)[0] == pytest.approx([0, 0.1])
        nowhere = replace(limits, everywhere=np.zeros(2, dtype=bool))
        assert left_out_errors(levels, nowhere)[0].tolist() == [0, 0]

    def test_values_below_the_range_are_all_the_same(self) -> None:
        """Tests that a miss below where a value begins to matter is none."""
        assert _errors(_levels([0, 1, 2], 1, 3, 2), _limits(start=3)) == [0]

    def test_values_are_told_apart(self) -> None:
        """Tests two values, one on the line and one 10 % off."""
        levels = Levels(np.arange(3.0), np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 2.6]]))
        two = Limits(
            stop=np.full(2, INF),
            relevant=np.full(2, INF),
            relevant_from=np.zeros(2),
            everywhere=np.zeros(2, dtype=bool),
            load_tolerance=0.0,
        )
        assert left_out_errors(levels, two)[0] == pytest.approx([0, 0.1])


class TestMissInLoad:
    """Levels that are met a little earlier or later."""

    # A jump from 1 to 5 between loads 100.1 and 100.2. The line from (100, 1) to (100.2, 5) gives 3 at 100.1, and it
    # gives 1 at a load of 100: 0.1 % earlier.
    JUMP = _levels([100, 100.1, 100.2], 1, 1, 5)

    def test_a_jump_is_missed_in_value(self) -> None:
        """Tests the level before a jump, missed by twice its value."""
        assert _errors(self.JUMP, _limits()) == pytest.approx([2])

    @pytest.mark.parametrize(("within", "missed"), [(0.0005, 0.999), (0.0009, 0.1982), (0.00101, 0)])
    def test_a_jump_is_met_at_a_load_close_by(self, within: float, missed: float) -> None:
        """Tests 0.05, 0.09 and 0.101 % of 100.1: the line there gives 3 − 20 · 0.05005, 3 − 20 · 0.09009, and 1."""
        assert _errors(self.JUMP, _limits(within_load=within)) == pytest.approx([missed])

    def test_the_line_ends_at_the_neighbours(self) -> None:
        """Tests that however large the tolerance, a spike between two neighbours is not met: 5 is 4 above them."""
        assert _errors(_levels([100, 100.1, 100.2], 1, 5, 1), _limits(within_load=0.5)) == pytest.approx([0.8])

    def test_values_that_count_everywhere_are_met_at_their_load(self) -> None:
        """Tests the same jump in a value, such as power, for which no other load will do."""
        assert _errors(self.JUMP, _limits(within_load=0.01, everywhere=True)) == pytest.approx([2])


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
        assert fewest_levels(Levels(loads, (1 + loads)[:, None]), _limits()) == [0, 11]

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
            errors = left_out_errors(Levels(loads[kept], values[kept]), limits)
            return bool(met and errors.max(initial=0) <= limits.tolerance)

        chosen = fewest_levels(Levels(loads, values), limits)
        sizes = [n for n in range(8) if any(is_good([0, *inner, 8]) for inner in combinations(range(1, 8), n))]
        assert sizes
        assert is_good(chosen)
        assert len(chosen) == min(sizes) + 2

    def test_one_large_miss_is_worse_than_many_small(self) -> None:
        """Tests that a step that no line can join does not make the choice give up the bend before it."""
        loads = np.arange(12.0)
        values = np.sqrt(1 + loads)
        values[10:] += 5
        kept = fewest_levels(Levels(loads, values[:, None]), _limits())
        before = [i for i in kept if i < 9]
        lines = np.interp(loads[:9], loads[before], values[before])
        assert np.abs(lines / values[:9] - 1).max() < 0.05

    def test_four_levels_enclose_a_jump(self) -> None:
        """Tests a jump between 1.000 and 1.001 on a flat curve: one level beside each end lets lines meet both."""
        loads = [0, 0.5, 0.9, 0.9985, 0.9995, 1.0, 1.001, 1.0015, 1.0025, 1.1, 1.5, 2]
        values = [1.0 if load <= 1 else 5.0 for load in loads]
        kept = fewest_levels(_levels(loads, *values), _limits(within_load=0.0018))
        near = [loads[i] for i in kept if 0 < loads[i] < 2]
        assert len(near) == 4
        assert near[1] <= 1 < near[2]
        assert near[2] - near[0] <= 0.004
        assert near[3] - near[1] <= 0.004


CURVES: dict[str, Callable[[float], float]] = {
    "line": lambda x: 1 + x,
    "concave": lambda x: 1 + 3 * (1 - np.exp(-4 * x)),
    "queue": lambda x: 0.1 / (1 - x / 1.2),
    "ramp": lambda x: 1 + 0.1 * x + 2 * min(1.0, max(0.0, (x - 0.3) / 0.1)),
}
JUMPS: dict[str, Callable[[float], float]] = {
    "step": lambda x: 1.0 if x < 0.3142 else 5.0 + x,
    "two steps": lambda x: 1.0 + x + 4 * (x > 0.07771) + 3 * (x > 0.6543),
    "wall": lambda x: 0.1 + 0.02 * x + 2 * max(0.0, (x - 0.985) / 0.015) ** 2,
}


class TestSampleCurve:
    """Curves sampled from nothing but a function."""

    @pytest.mark.parametrize("name", CURVES)
    def test_straight_lines_meet_the_curve(self, name: str) -> None:
        """Tests that every inner level, and the curve between levels, is met within 2 %, with at most 25 levels."""
        curve = CURVES[name]
        limits = _limits(stop=curve(1.0))
        levels = sample_curve(lambda x: np.array([curve(x)]), np.array([curve(0.0)]), limits, guess=0.9)
        assert left_out_errors(levels, limits).max(initial=0) <= 0.02
        fine = np.linspace(0, levels.loads[-1], 1000)
        lines = np.interp(fine, levels.loads, levels.values[:, 0])
        assert np.abs(lines / np.array([curve(x) for x in fine]) - 1).max() < 0.02
        assert len(levels.loads) <= 25

    @pytest.mark.parametrize("name", JUMPS)
    def test_jumps_are_enclosed(self, name: str) -> None:
        """Tests jumps and a wall: each level is met within 2 % at a load within 0.2 %, with at most 30 levels.

        And so is the curve between them, but for the width of a jump, which is 0.2 % of the load.
        """
        curve = JUMPS[name]
        limits = replace(_limits(stop=curve(1.0)), load_tolerance=0.0018)
        levels = sample_curve(lambda x: np.array([curve(x)]), np.array([curve(0.0)]), limits, guess=0.9)
        assert left_out_errors(levels, limits).max() <= 0.02
        assert len(levels.loads) <= 30
        fine = np.linspace(0.001, levels.loads[-1], 5000)
        true = np.array([curve(x) for x in fine])
        shifted = [np.interp(fine * (1 + s), levels.loads, levels.values[:, 0]) for s in np.linspace(-0.002, 0.002, 21)]
        low, high = np.min(shifted, axis=0), np.max(shifted, axis=0)
        assert (np.maximum(low - true, true - high) / true).max() < 0.02

    def test_curve_ends_where_a_value_passes_its_stop(self) -> None:
        """Tests a line up to 3: the last level within 1 % below load 2, the first at 0."""
        loads, values = sample_curve(lambda x: np.array([1 + x]), np.array([1.0]), _limits(stop=3.0), guess=1.0)
        assert loads[0] == 0
        assert 1.98 <= loads[-1] <= 2
        assert values[-1, 0] <= 3

    def test_no_more_is_measured_than_allowed(self) -> None:
        """Tests that a curve that bends everywhere ends the refinement at twice its limit."""
        tried: list[float] = []

        def measure(load: float) -> np.ndarray:
            tried.append(load)
            return np.array([2 + np.sin(50 * load) + load])

        limits = replace(_limits(stop=12.0), max_measured=30)
        sample_curve(measure, np.array([2.0]), limits, guess=9.0)
        assert 2 * limits.max_measured <= len(tried) <= 2 * limits.max_measured + 20

    def test_jump_at_no_load_does_not_draw_levels_for_ever(self) -> None:
        """Tests a value that is 1 without load and 2 with any: the jump is approached, and then left alone."""
        tried: list[float] = []

        def measure(load: float) -> np.ndarray:
            tried.append(load)
            return np.array([2 + 0.5 * load])

        sample_curve(measure, np.array([1.0]), _limits(stop=3.0), guess=2.0)
        assert 1e-8 < min(tried) < 1e-3

    def test_noise_does_not_draw_levels_for_ever(self) -> None:
        """Tests 5 % of noise: gaps narrower than a tenth of a per cent of the load are not split any more."""
        loads: list[float] = []

        def measure(load: float) -> np.ndarray:
            loads.append(load)
            return np.array([1 + 0.05 * ((load * 1e5) % 2) + load])

        sample_curve(measure, np.array([1.0]), replace(_limits(stop=2.0), load_tolerance=0.0018), guess=0.9)
        tried = np.unique([load for load in loads if load < 0.9])
        assert (np.diff(tried) / tried[1:]).min() > 0.0004


def test_rounding_keeps_significant_digits() -> None:
    """Tests numbers of any size."""
    assert rounded(123456.0, 3) == 123000.0
    assert rounded(0.00123456, 3) == 0.00123
