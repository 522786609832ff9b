"""Mirror tests of `dynaopt.link_rows`: the rows between windows, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dynaopt.coupling import Links
from dynaopt.link_rows import LinkRows, link_rows

KINDS = np.array([2, 4])


def links(num_windows: int = 3, **changes: object) -> Links:
    """Return links of one model with TP2 and TP4 on 20 GPUs; 100 J for a cold GPU, 1 J for a resharded one."""
    options: dict[str, object] = {
        "number": np.arange(num_windows),
        "models": ("m",),
        "model_of": np.zeros(2, dtype=np.int64),
        "tp": KINDS,
        "idle_w": np.array([10.0, 20.0]),
        "cold_j": np.array([100.0]),
        "reshard_j": np.array([1.0]),
        "start_up_windows": np.array([1]),
        "num_gpus": 20,
        "power_cap_w": np.inf,
        "window_s": 300.0,
        "weight": np.ones(num_windows),
        "gpu_price_w": np.zeros(num_windows),
        "min_up_windows": 1,
        "max_starts": None,
        "initial": None,
    }
    return Links(**{**options, **changes})  # type: ignore[arg-type]


def moved(counts: np.ndarray, initial: np.ndarray | None) -> np.ndarray:
    """Return the starts, stops and resharded GPUs of one model's counts, shape (windows, 2), as columns have them."""
    before = counts[:1] if initial is None else initial.reshape(1, -1)
    change = np.diff(np.concatenate([before, counts]), axis=0)
    starts, stops = np.maximum(change, 0), np.maximum(-change, 0)
    resharded = np.minimum((starts * KINDS).sum(axis=1), (stops * KINDS).sum(axis=1))
    return np.concatenate([starts.ravel(), stops.ravel(), resharded]).astype(float)


def keeps(rows: LinkRows, counts: np.ndarray, initial: np.ndarray | None = None) -> bool:
    """Tell whether counts, with the moves that they take, keep all rows."""
    moves = moved(counts, initial)
    left = rows.running @ counts.ravel().astype(float) + rows.moves @ moves
    right = np.where(rows.equal, np.abs(left - rows.right) <= 1e-9, left <= rows.right + 1e-9)
    return bool(right.all() and (moves <= rows.most + 1e-9).all())


def test_energy_of_moves_by_hand() -> None:
    """Tests 2 TP2 → 1 TP4 → 2 TP4: 4 GPUs resharded at 1 J, then 4 cold at 100 J: 404 J."""
    counts = np.array([[2, 0], [0, 1], [0, 2]])
    rows = link_rows(links())
    assert rows.cost @ moved(counts, None) == pytest.approx(404.0)
    assert keeps(rows, counts)


@pytest.mark.parametrize("seed", range(20))
def test_energy_of_moves_is_that_of_the_rule(seed: int) -> None:
    """Tests that rows and costs say of any counts what `Links.start_energy_j` says, weighted by the window."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 3, (3, 2))
    initial = rng.integers(0, 3, 2)
    own = links(initial=initial, weight=np.array([1.0, 2.0, 0.5]), start_up_windows=np.array([0]))
    rows = link_rows(own)
    before = np.concatenate([initial.reshape(1, -1), counts[:-1]])
    expected = sum(w * own.start_energy_j(a, b) for w, a, b in zip(own.weight, before, counts, strict=True))
    assert rows.cost @ moved(counts, initial) == pytest.approx(expected)
    assert keeps(rows, counts, initial)


def test_a_cold_start_holds_its_gpus_before() -> None:
    """Tests 20, 8, 20 of 20 GPUs: the 12 that start last are held one window before, or two: then 32 of 20."""
    counts = np.array([[10, 0], [4, 0], [10, 0]])
    assert keeps(link_rows(links()), counts)
    assert not keeps(link_rows(links(start_up_windows=np.array([2]))), counts)
    assert keeps(link_rows(links(start_up_windows=np.array([2]), num_gpus=32)), counts)


def test_a_window_that_is_left_out_counts_for_the_time_before_a_start() -> None:
    """Tests the same: with a window between that cannot be served, two windows before a start reach back to one."""
    counts = np.array([[10, 0], [4, 0], [10, 0]])
    two = np.array([2])
    assert keeps(link_rows(links(start_up_windows=two, number=np.array([0, 1, 3]))), counts)
    assert keeps(link_rows(links(start_up_windows=two, number=np.array([0, 2, 3]))), counts)
    assert not keeps(link_rows(links(start_up_windows=two, number=np.array([5, 6, 7]))), counts)
    full = np.array([[10, 0], [10, 0], [4, 0], [10, 0]])
    assert keeps(link_rows(links(4, start_up_windows=two, number=np.array([0, 1, 9, 12]))), full)


def test_resharded_gpus_are_not_held_before() -> None:
    """Tests that 5 TP4 made of 10 TP2 keep the limit of 20, for no GPU is taken twice."""
    assert keeps(link_rows(links()), np.array([[10, 0], [10, 0], [0, 5]]))


def test_limits_starts() -> None:
    """Tests that two starts at one window break a limit of one and not one of two."""
    counts = np.array([[1, 0], [2, 1], [2, 1]])
    assert not keeps(link_rows(links(max_starts=1)), counts)
    assert keeps(link_rows(links(max_starts=2)), counts)


def test_minimum_up_time() -> None:
    """Tests that an instance that serves one window breaks an up-time of two, and one that serves two does not."""
    short, long = np.array([[1, 0], [2, 0], [1, 0]]), np.array([[1, 0], [2, 0], [2, 0]])
    rows = link_rows(links(min_up_windows=3))
    assert keeps(rows, long)
    # Of one that starts at the second window and stops at the third 1 runs, which one start within two windows allows;
    # from nothing it does not.
    assert not keeps(rows, np.array([[0, 0], [1, 0], [0, 0]]))
    assert keeps(rows, short)


def test_nothing_starts_at_the_first_window_without_an_initial_state() -> None:
    """Tests that without an initial state moves at the first window are fixed to none, and with one are not."""
    assert (link_rows(links()).most[:2] == 0).all()
    assert (link_rows(links(initial=np.array([1, 1]))).most[:2] > 0).all()
    assert not keeps(link_rows(links(initial=np.array([1, 0]))), np.array([[1, 0]] * 3), np.array([0, 0]))
