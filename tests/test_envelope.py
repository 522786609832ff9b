"""Tests the lower envelope of curves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt.envelope import ENVELOPE, MAX_PIECES, merge

Curve = tuple[list[float], list[float]]


def envelope_of(curves: list[Curve]) -> np.void:
    """Merge curves in one by one; their option is their place in the list."""
    old, new = np.zeros(2, ENVELOPE)
    for k, (rates, costs) in enumerate(curves):
        merge(old, np.array(rates), np.array(costs), k, new)
        old, new = new, old
    return old


def evaluate(envelope: np.void, x: float) -> float:
    """Return the envelope's value just below and at a load."""
    n = envelope["num_pieces"]
    breaks = envelope["break_rps"][: n + 1]
    i = int(np.clip(np.searchsorted(breaks, x * (1 - 1e-12)) - 1, 0, n - 1))
    share = (x - breaks[i]) / (breaks[i + 1] - breaks[i])
    return float(envelope["left"][i] + share * (envelope["right"][i] - envelope["left"][i]))


def test_one_curve_is_its_own_envelope() -> None:
    """Tests a curve of two straight parts."""
    envelope = envelope_of([([0.0, 1.0, 3.0], [10.0, 30.0, 40.0])])
    assert envelope["num_pieces"] == 2
    assert envelope["break_rps"][:3].tolist() == [0.0, 1.0, 3.0]
    assert envelope["left"][:2].tolist() == [10.0, 30.0]
    assert envelope["right"][:2].tolist() == [30.0, 40.0]


def test_straight_parts_on_one_line_are_joined() -> None:
    """Tests a breakpoint at which the slope does not change."""
    assert envelope_of([([0.0, 1.0, 2.0], [10.0, 20.0, 30.0])])["num_pieces"] == 1


def test_curves_that_cross() -> None:
    """Tests 10 + 20 x against 20 + 10 x, which cross at load 1 and cost 30; the cheaper one is kept on either side."""
    envelope = envelope_of([([0.0, 2.0], [10.0, 50.0]), ([0.0, 2.0], [20.0, 40.0])])
    assert envelope["break_rps"][:3].tolist() == [0.0, 1.0, 2.0]
    assert envelope["option"][:2].tolist() == [0, 1]
    assert (envelope["right"][0], envelope["right"][1]) == (30.0, 40.0)


def test_the_envelope_jumps_up_where_the_cheap_curve_ends() -> None:
    """Tests that beyond capacity 1 of the cheaper option only the dearer one is left."""
    envelope = envelope_of([([0.0, 1.0], [10.0, 20.0]), ([0.0, 2.0], [50.0, 70.0])])
    assert envelope["option"][:2].tolist() == [0, 1]
    assert (envelope["right"][0], envelope["left"][1]) == (20.0, 60.0)


def test_a_dearer_curve_leaves_no_trace() -> None:
    """Tests that a curve above another of more capacity is not in the envelope, whichever comes first."""
    cheap, dear = ([0.0, 2.0], [10.0, 30.0]), ([0.0, 1.0], [20.0, 40.0])
    for curves, option in (([cheap, dear], 0), ([dear, cheap], 1)):
        envelope = envelope_of(curves)
        assert envelope["option"][: envelope["num_pieces"]].tolist() == [option]


def test_out_of_room_it_stays_below() -> None:
    """Tests that a curve of more parts than there is room for gives an envelope that is nowhere above it."""
    rates = np.linspace(0, 10, MAX_PIECES + 40)
    costs = 100 + 10 * rates + np.where(np.arange(rates.size) % 2, 1.0, 0.0)
    envelope = envelope_of([(rates.tolist(), costs.tolist())])
    assert envelope["num_pieces"] == MAX_PIECES
    for x in np.linspace(0.01, 10, 97):
        assert evaluate(envelope, x) <= np.interp(x, rates, costs) + 1e-9


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    """Draw a curve of up to five straight parts, rising or falling."""
    size = draw(st.integers(1, 5))
    steps = draw(st.lists(st.floats(0.1, 2.0), min_size=size, max_size=size))
    costs = draw(st.lists(st.floats(1.0, 500.0), min_size=size + 1, max_size=size + 1))
    return np.cumsum([0.0, *steps]).tolist(), costs


@settings(max_examples=150, deadline=None, derandomize=True)
@given(drawn=st.lists(curves(), min_size=1, max_size=6), share=st.floats(0.001, 1.0))
def test_it_is_the_least_of_the_curves(drawn: list[Curve], share: float) -> None:
    """Tests the envelope at any load against the least of all curves that reach it."""
    most = max(rates[-1] for rates, _ in drawn)
    x = share * most
    least = min(np.interp(x, *curve) for curve in drawn if curve[0][-1] >= x)
    envelope = envelope_of(drawn)
    assert envelope["break_rps"][envelope["num_pieces"]] == pytest.approx(most)
    assert evaluate(envelope, x) == pytest.approx(least, rel=1e-6, abs=1e-6)
