"""Tests of transitions: which instances start and stop, and what that takes."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from builders import make_profile, same_for_all_classes
from hypothesis import given
from hypothesis import strategies as st

from dynaopt.errors import InvalidInputError
from dynaopt.profile import Profile
from dynaopt.schedule import TRANSITION_COLUMNS
from dynaopt.transitions import count_starts, find_transitions

START = pd.Timestamp("2024-05-14T18:05:00Z")
TPS = np.array([2, 4, 8])

Running = Mapping[tuple[str, int], int]


def profile(model: str = "tiny-model") -> Profile:
    """Make one with TP 2, 4 and 8: 110 W per starting GPU, 400 s cold, 5 s to reshard."""
    curves = [curve for tp in (2, 4, 8) for curve in same_for_all_classes(tp, 1000, [(0, 100), (10, 200)])]
    return make_profile(curves, model=model)


def starts(number: int) -> pd.DatetimeIndex:
    """Return the starts of consecutive windows."""
    return pd.date_range(START, periods=number, freq="300s")


def allocations(*windows: Running, model: str = "tiny-model") -> pd.DataFrame:
    """Write what runs in each window, {(pool, tp): instances}, as a table."""
    rows = [
        (start, model, pool, tp, number)
        for start, running in zip(starts(len(windows)), windows, strict=True)
        for (pool, tp), number in running.items()
    ]
    return pd.DataFrame(rows, columns=["window_start", "model", "pool", "tp", "num_instances"])


def transitions(*windows: Running, initial: Running | None = None) -> pd.DataFrame:
    """Find the transitions between windows of one model."""
    before = None if initial is None else allocations(initial)
    return find_transitions(allocations(*windows), starts(len(windows)), {"tiny-model": profile()}, before)


def rows(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    """Return pool, tp, started, stopped and energy of each row."""
    return list(frame[["pool", "tp", "num_started", "num_stopped", "energy_j"]].itertuples(index=False, name=None))


def test_nothing_changes_without_a_difference() -> None:
    """Tests that the same instances in each window give no row, and that those of the first window count as running."""
    same = {("SS", 2): 3, ("LL", 8): 1}
    frame = transitions(same, same, same)
    assert frame.empty
    assert list(frame) == [c.name for c in TRANSITION_COLUMNS]


def test_a_cold_start_by_hand() -> None:
    """Tests that a TP8 instance on unused GPUs takes 8 GPUs x 110 W x 400 s = 352,000 J."""
    frame = transitions({("LL", 8): 1}, {("LL", 8): 2})
    assert rows(frame) == [("LL", 8, 1, 0, 352_000.0)]
    assert frame["window_start"].tolist() == [START + pd.Timedelta(seconds=300)]


def test_stopping_is_free() -> None:
    """Tests that fewer instances are a stop that takes no energy."""
    assert rows(transitions({("LL", 8): 3}, {("LL", 8): 1})) == [("LL", 8, 0, 2, 0.0)]


def test_changing_the_pool_is_free() -> None:
    """Tests that a pool which grows takes the instance of the pool which shrinks: nothing starts."""
    assert rows(transitions({("SS", 4): 2, ("LL", 4): 1}, {("SS", 4): 1, ("LL", 4): 2})) == []


def test_resharding_by_hand() -> None:
    """Tests two TP4 that become one TP8: 8 GPUs x 110 W x 5 s = 4,400 J."""
    frame = transitions({("SS", 4): 2}, {("SS", 8): 1})
    assert rows(frame) == [("SS", 4, 0, 2, 0.0), ("SS", 8, 1, 0, 4_400.0)]


def test_the_example_of_the_documentation() -> None:
    """Tests the example of docs/horizon.md.

    Before: SS 4 x TP2, LL 2 x TP4. After: SS 1 x TP2, MM 1 x TP2, LL 3 x TP4, LL 1 x TP8. At TP2, SS gives up three
    and MM takes one of them: two stop and free 4 GPUs. At TP4 one starts (4 GPUs), at TP8 one (8 GPUs). The largest
    degree first: 4 of the 8 GPUs of the TP8 instance are resharded and 4 cold, 110 W x (4 x 5 s + 4 x 400 s)
    = 178,200 J; the TP4 instance is all cold, 110 W x 4 x 400 s = 176,000 J.
    """
    frame = transitions({("SS", 2): 4, ("LL", 4): 2}, {("SS", 2): 1, ("MM", 2): 1, ("LL", 4): 3, ("LL", 8): 1})
    assert sorted(rows(frame)) == [("LL", 4, 1, 0, 176_000.0), ("LL", 8, 1, 0, 178_200.0), ("SS", 2, 0, 2, 0.0)]


def test_starts_and_stops_go_to_pools_in_their_order() -> None:
    """Tests that moved instances fill the first growing pools, from the first shrinking ones.

    SS and LL give up one each, SM and MM grow by one and two: two move, one starts, in MM.
    """
    frame = transitions({("SS", 2): 1, ("LL", 2): 1}, {("SM", 2): 1, ("MM", 2): 2})
    assert rows(frame) == [("MM", 2, 1, 0, 2 * 110.0 * 400.0)]


def test_an_initial_state_is_charged_for() -> None:
    """Tests that what does not run before the first window, when that is given, has to start."""
    frame = transitions({("SS", 2): 2}, initial={("LL", 2): 1})
    assert rows(frame) == [("SS", 2, 1, 0, 88_000.0)]
    assert frame["window_start"].tolist() == [START]


def test_an_empty_cluster_is_an_initial_state() -> None:
    """Tests that a table without rows means that nothing ran, which is not the default."""
    assert rows(transitions({("SS", 2): 1}, initial={})) == [("SS", 2, 1, 0, 88_000.0)]


def test_windows_without_an_answer_are_passed_over() -> None:
    """Tests that the instances before a gap are compared with those after it."""
    frame = allocations({("SS", 2): 1}, {}, {("SS", 2): 2})
    answered = starts(3)[[0, 2]]
    found = find_transitions(frame, answered, {"tiny-model": profile()})
    assert rows(found) == [("SS", 2, 1, 0, 88_000.0)]
    assert found["window_start"].tolist() == [answered[1]]


def test_an_answer_without_instances_stops_all() -> None:
    """Tests that a window in which nothing runs is an answer: what follows starts anew."""
    frame = transitions({("SS", 2): 1}, {}, {("SS", 2): 1})
    assert rows(frame) == [("SS", 2, 0, 1, 0.0), ("SS", 2, 1, 0, 88_000.0)]


def test_gpus_of_another_model_are_cold() -> None:
    """Tests that GPUs which another model gives up hold the wrong weights: 8 x 110 W x 400 s."""
    both = pd.concat(
        [allocations({("SS", 8): 1}, {}, model="a"), allocations({}, {("SS", 8): 1}, model="b")], ignore_index=True
    )
    frame = find_transitions(both, starts(2), {"a": profile("a"), "b": profile("b")})
    assert frame[["model", "num_started", "num_stopped", "energy_j"]].to_numpy().tolist() == [
        ["a", 0, 1, 0.0],
        ["b", 1, 0, 352_000.0],
    ]


@pytest.mark.parametrize(("column", "value"), [("model", "other"), ("pool", "XX")])
def test_an_initial_state_of_unknown_names_is_refused(column: str, value: str) -> None:
    """Tests that a model or a pool that there is not is told by name."""
    before = allocations({("SS", 2): 1}).assign(**{column: value})
    with pytest.raises(InvalidInputError, match=f"column '{column}': expected one of .* got '{value}'"):
        find_transitions(allocations({("SS", 2): 1}), starts(1), {"tiny-model": profile()}, before)


COUNTS = st.lists(st.integers(0, 4), min_size=27, max_size=27)


@given(before=COUNTS, after=COUNTS)
def test_starts_explain_the_difference(before: list[int], after: list[int]) -> None:
    """Tests that starts less stops is the change, never both at a degree, and that all free GPUs are resharded."""
    old, new = (np.array(counts).reshape(1, 9, 3) for counts in (before, after))
    found = count_starts(old, new, TPS)
    started, stopped = found.num_started.sum(axis=1), found.num_stopped.sum(axis=1)
    np.testing.assert_array_equal(started - stopped, (new - old).sum(axis=1))
    assert not (np.minimum(started, stopped) > 0).any()
    assert (found.num_started <= np.maximum(new - old, 0)).all()
    assert (found.num_stopped <= np.maximum(old - new, 0)).all()
    assert (found.num_resharded_gpus <= found.num_started * TPS).all()
    free, taken = int((stopped * TPS).sum()), int((started * TPS).sum())
    assert found.num_resharded_gpus.sum() == min(free, taken)
