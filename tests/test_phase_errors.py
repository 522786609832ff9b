"""Tests of `dynaopt.phase_errors`."""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from dynaopt.phase_errors import (
    BATCH_SIZE,
    LATENCY_TARGET,
    POWER_TARGET,
    PROMPT_SIZE,
    TOKENS_AT_ONCE,
    Comparison,
    compare_all,
    compare_clock,
    compare_decode,
    compare_figure,
    compare_halving,
    compare_prefill,
    compare_ratio,
    compare_serving,
    compare_serving_power,
    compare_token,
)
from dynaopt.phase_fit import launch_factor, prefill_points, with_launch_scaled
from dynaopt.phase_model import PhaseModel
from dynaopt.phase_power_fit import figure_errors
from dynaopt.phase_predict import decode_step_s, prompt_time_s
from dynaopt.phase_reference import ReferencePoints, rows


@pytest.fixture(scope="module")
def comparisons(model: PhaseModel, points: ReferencePoints) -> dict[str, Comparison]:
    """Return every comparison of the shipped model, by quantity."""
    return {c.quantity: c for c in compare_all(model, points)}


class TestShipped:
    """What the documentation promises."""

    @pytest.mark.parametrize(
        ("quantity", "target", "num_points"),
        [
            ("prefill, TP2", LATENCY_TARGET, 9),
            ("prefill, TP4", LATENCY_TARGET, 9),
            ("prefill, TP8", LATENCY_TARGET, 9),
            ("decode step, TP4", LATENCY_TARGET, 16),
            ("full server, step, TP4", LATENCY_TARGET, 23),
            ("full server, power, TP4", POWER_TARGET, 23),
            ("power at n tokens, TP8", POWER_TARGET, 9),
        ],
    )
    def test_targets_are_met(
        self, comparisons: dict[str, Comparison], quantity: str, target: float, num_points: int
    ) -> None:
        """Tests mean errors of 7 % in time and 10 % in power, and that every point was held out once."""
        comparison = comparisons[quantity]
        assert comparison.target == target
        assert len(comparison.errors) == len(comparison.held_out) == num_points
        assert np.abs(comparison.errors).mean() < target

    def test_held_out_points_are_met_nearly_as_well(self, comparisons: dict[str, Comparison]) -> None:
        """Tests that fits without a point miss it by 8 % in the mean and 15 % at most.

        Without all batches of one, four points are left for four coefficients: 17 %.
        """
        for comparison in comparisons.values():
            # What the older engine says of TP2 is not met on purpose.
            if comparison.held_out.size and comparison.quantity != "decode step, TP2 over TP4":
                assert np.abs(comparison.held_out).mean() < 0.08, comparison.quantity
                most = 0.17 if comparison.quantity.endswith("by batch") else 0.15
                assert np.abs(comparison.held_out).max() < most, comparison.quantity

    def test_holding_out_is_harder(self, comparisons: dict[str, Comparison]) -> None:
        """Tests that held-out errors are larger than those of the fit: the points were really left out."""
        for quantity in ("prefill, TP4", "prefill, TP8", "decode step, TP4"):
            comparison = comparisons[quantity]
            assert np.abs(comparison.held_out).mean() > 1.2 * np.abs(comparison.errors).mean()

    def test_the_older_engines_ratio_is_not_met_on_tp2(self, comparisons: dict[str, Comparison]) -> None:
        """Tests that TP8 follows the ratio, and that TP2 is a quarter to a third slower, as its memory demands."""
        assert np.abs(comparisons["decode step, TP8 over TP4"].errors).max() < 0.05
        assert comparisons["decode step, TP2 over TP4"].errors.min() > 0.15
        assert comparisons["decode step, TP2 over TP4"].errors.max() < 0.35


class TestSpoilt:
    """A point that is wrong by a half shows up where it should."""

    @pytest.mark.parametrize(
        ("frame", "row", "column", "compare"),
        [
            ("prefill", 8, "prompt_time_s", lambda m, p: compare_prefill(m, 2, p)),
            ("serving", 2, "step_p50_s", compare_decode),
            ("serving", 2, "output_tps", compare_serving),
            ("serving", 2, "power_w", compare_serving_power),
            ("power", 5, "power_w", compare_figure),
            ("halved", 2, "step_tp1_s", lambda _, p: compare_halving(p)),
        ],
    )
    def test_errors_and_held_out_errors_see_it(
        self,
        model: PhaseModel,
        points: ReferencePoints,
        frame: str,
        row: int,
        column: str,
        compare: Callable[[PhaseModel, ReferencePoints], Comparison],
    ) -> None:
        """Tests that both rise far above those of sound points."""
        table: pd.DataFrame = getattr(points, frame).copy()
        table.loc[row, column] *= 1.5
        spoilt = compare(model, replace(points, **{frame: table}))
        sound = compare(model, points)
        assert np.abs(spoilt.errors).max() > np.abs(sound.errors).max() + 0.15
        assert np.abs(spoilt.held_out).max() > np.abs(sound.held_out).max() + 0.15

    def test_exponents(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests that differences of exponents are just that."""
        time, power = compare_clock(model, points)
        shifted_time, shifted_power = compare_clock(
            model, replace(points, clock=points.clock.assign(exponent=points.clock["exponent"] - 1))
        )
        assert shifted_time.errors == pytest.approx(time.errors + 1)
        assert shifted_power.errors == pytest.approx(power.errors + 1)
        assert (time.measure, power.measure) == ("difference", "difference")

    def test_ratios(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests that a slower TP8 in the reference makes the model look faster, by as much."""
        token = points.token.copy()
        token.loc[token["tp"] == 8, "token_time_s"] *= 2
        slower = compare_ratio(model, 8, replace(points, token=token))
        assert slower.errors + 1 == pytest.approx((compare_ratio(model, 8, points).errors + 1) / 2)
        assert slower.held_out_by == "batch size"
        assert len(slower.held_out) == len(slower.errors) == 7


def test_held_out_points_have_no_say(model: PhaseModel, points: ReferencePoints) -> None:
    """Tests leave-one-prompt-size-out: spoiling all points of 2,048 tokens leaves the fits that are asked about them.

    The held-out errors at 2,048 tokens come from fits without them, and so scale exactly as the points do.
    """
    used = prefill_points(points.prefill, 4)
    sizes = (used["prompt_tokens"] * used["batch"]).to_numpy()
    prefill = points.prefill.copy()
    prefill.loc[used.index[sizes == 2048], "prompt_time_s"] *= 1.3
    order = np.sort(sizes) == 2048
    sound = compare_prefill(model, 4, points).held_out[order]
    spoilt = compare_prefill(model, 4, replace(points, prefill=prefill)).held_out[order]
    assert len(sound) == 2
    assert spoilt + 1 == pytest.approx((sound + 1) / 1.3)


@pytest.mark.parametrize(("by", "column", "size"), [(PROMPT_SIZE, "prompt_tokens", 1024), (BATCH_SIZE, "batch", 4)])
def test_groups_that_are_left_out(model: PhaseModel, points: ReferencePoints, by: str, column: str, size: int) -> None:
    """Tests that a point of one prompt or batch size has no say in the fit asked about it, but in all others."""
    used = prefill_points(points.prefill, 8)
    prefill = points.prefill.copy()
    prefill.loc[used.index[used[column] == size], "prompt_time_s"] *= 1.3
    sound = compare_prefill(model, 8, points, by).held_out
    spoilt = compare_prefill(model, 8, replace(points, prefill=prefill), by).held_out
    own = np.sort(used[column].to_numpy()) == size
    assert own.sum() == 1
    assert spoilt[own] + 1 == pytest.approx((sound[own] + 1) / 1.3, rel=1e-6)
    assert np.abs(spoilt[~own] - sound[~own]).max() > 0.01


def test_each_way_of_holding_out_has_its_row(comparisons: dict[str, Comparison]) -> None:
    """Tests that the fit's errors are the same in all three rows of a degree, in the order of the points."""
    for tp in (2, 4, 8):
        own = [comparisons[f"prefill, TP{tp}{ending}"] for ending in ("", ", by prompt", ", by batch")]
        assert [c.held_out_by for c in own] == [TOKENS_AT_ONCE, PROMPT_SIZE, BATCH_SIZE]
        assert [c.target for c in own] == [LATENCY_TARGET, None, None]
        assert all(c.errors == pytest.approx(own[0].errors) and len(c.held_out) == 9 for c in own)


def test_the_ratio_that_is_left_out_has_no_say(model: PhaseModel, points: ReferencePoints) -> None:
    """Tests that spoiling TP8's step at a batch of 64 changes its held-out error just as the point changes."""
    token = points.token.copy()
    token.loc[(token["tp"] == 8) & (token["batch"] == 64), "token_time_s"] *= 1.5
    sound = compare_ratio(model, 8, points).held_out
    spoilt = compare_ratio(model, 8, replace(points, token=token)).held_out
    assert spoilt[-1] + 1 == pytest.approx((sound[-1] + 1) / 1.5)
    assert spoilt[0] != pytest.approx(sound[0], rel=1e-3)


class TestWhatWasNotMeasured:
    """Frames without rows are left out, for profiles of which less is public."""

    def test_nothing_at_all(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests that there is nothing to compare with."""
        empty = ReferencePoints(
            **{f.name: getattr(points, f.name).iloc[:0] for f in fields(points) if f.name != "options"}
        )
        assert compare_all(model, empty) == ()

    def test_an_older_engine_alone(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests that without a newer engine's points decode is compared with the older one's, on each degree."""
        alone = replace(points, serving=points.serving.iloc[:0], power=points.power.iloc[:0])
        found = {c.quantity: c for c in compare_all(model, alone)}
        assert {"prefill, TP2", "decode step, TP2", "decode step, TP8"} < set(found)
        assert not any("server" in name or "over" in name or "n tokens" in name for name in found)

    def test_the_older_engine_by_hand(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests the error at a batch of 1 on TP4: the model's step at 576 tokens of context over 29.6059 ms."""
        expected = decode_step_s(model, 4, 1, 576.0) / 0.0296059 - 1
        assert compare_token(model, 4, points).errors[0] == pytest.approx(expected)


def test_errors_are_of_the_model_given(model: PhaseModel, points: ReferencePoints) -> None:
    """Tests that a model with another launch cost is judged by its own predictions, in the order of the points.

    They are those of the engine that was measured, whose launches took longer by the factor between the engines.
    """
    latency = {tp: part.model_copy(update={"launch_s": 0.1}) for tp, part in model.latency.items()}
    slow = model.model_copy(update={"latency": latency})
    measured = with_launch_scaled(slow, 8, 1 / launch_factor(slow, 8, points))
    expected = [
        prompt_time_s(measured, 8, r.prompt_tokens, r.batch) / r.prompt_time_s - 1
        for r in rows(prefill_points(points.prefill, 8))
    ]
    assert compare_prefill(slow, 8, points).errors == pytest.approx(expected)


def test_the_idle_point_is_no_point(model: PhaseModel, points: ReferencePoints) -> None:
    """Tests that the figure's idle power, which the model takes over, is not counted as met."""
    comparison = compare_figure(model, points)
    assert comparison.errors == pytest.approx(figure_errors(model, points.power))
    assert len(comparison.errors) == len(points.power) - 1
