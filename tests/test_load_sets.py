"""Tests which loads can be served, and the routes that give them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt.load_sets import CAN_SERVE, LOWER_SETS, NUM_CLASSES, route
from dynaopt.request_class import REQUEST_CLASSES, is_promotable

AT = {name: number for number, name in enumerate(REQUEST_CLASSES)}


def test_there_are_19_lower_sets() -> None:
    """Tests the number: a 3 x 3 grid has 6! / (3! 3!) = 20 sets that are closed downwards, the empty one among them."""
    assert LOWER_SETS.shape == (19, NUM_CLASSES)


def test_lower_sets_contain_what_may_be_promoted_into_them() -> None:
    """Tests that no class outside a set can be served inside it."""
    for inside in LOWER_SETS:
        for c, pools in enumerate(CAN_SERVE):
            assert inside[c] or not inside[list(pools)].any()


def test_who_can_serve_whom() -> None:
    """Tests against the rule of promotion."""
    for c, pools in enumerate(CAN_SERVE):
        assert pools == tuple(p for p, name in enumerate(REQUEST_CLASSES) if is_promotable(REQUEST_CLASSES[c], name))


def loads_of(flows: list[tuple[int, int, float]]) -> np.ndarray:
    """Add up routes by pool."""
    loads = np.zeros(NUM_CLASSES)
    for _, p, rate in flows:
        loads[p] += rate
    return loads


def test_own_pools_come_first() -> None:
    """Tests that nothing is promoted when every pool has its own class's load."""
    rates = np.arange(1.0, 10.0)
    assert route(rates, rates) == [(c, c, rates[c]) for c in range(NUM_CLASSES)]


def test_promotion_by_hand() -> None:
    """Tests SS 3, SM 1 with pools SM 2 and LL 2: SM serves itself and 1 of SS, the other 2 of which go to LL."""
    rates, loads = np.zeros(9), np.zeros(9)
    rates[[AT["SS"], AT["SM"]]] = 3.0, 1.0
    loads[[AT["SM"], AT["LL"]]] = 2.0, 2.0
    assert route(rates, loads) == [
        (AT["SS"], AT["SM"], 1.0),
        (AT["SS"], AT["LL"], 2.0),
        (AT["SM"], AT["SM"], 1.0),
    ]


def test_a_class_gives_way_to_one_that_has_no_other_pool() -> None:
    """Tests SL and SM with pools SL and MM: SM, which came to SL first, moves on to MM where SL cannot go."""
    rates, loads = np.zeros(9), np.zeros(9)
    rates[[AT["SM"], AT["SL"]]] = 1.0, 1.0
    loads[[AT["SL"], AT["MM"]]] = 1.0, 1.0
    assert sorted(route(rates, loads)) == sorted([(AT["SM"], AT["MM"], 1.0), (AT["SL"], AT["SL"], 1.0)])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_loads_that_can_be_served_get_their_routes(data: st.DataObject) -> None:
    """Tests loads made by random promotions: they keep every lower set, and routes are found that give them again."""
    rates = np.array(data.draw(st.lists(st.sampled_from([0.0, 0.01, 1.0, 2.5]), min_size=9, max_size=9)))
    loads = np.zeros(9)
    for c, pools in enumerate(CAN_SERVE):
        shares = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(pools), max_size=len(pools)))) + 0.0
        shares[0] += shares.sum() == 0
        loads[list(pools)] += rates[c] * shares / shares.sum()
    assert (LOWER_SETS @ loads <= LOWER_SETS @ rates + 1e-9).all()
    flows = route(rates, loads)
    assert all(p in CAN_SERVE[c] for c, p, _ in flows)
    assert loads_of(flows) == pytest.approx(loads, abs=1e-8)
    served = [sum(rate for k, _, rate in flows if k == c) for c in range(NUM_CLASSES)]
    assert served == pytest.approx(rates.tolist(), rel=1e-12)
