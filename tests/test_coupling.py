"""Mirror tests of `dynaopt.coupling`: what an operator asks of changes between windows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from test_link_rows import links

import dynaopt
from dynaopt.coupling import Coupling, Links, initial_counts, initial_frame, start_up_windows
from dynaopt.errors import InvalidInputError

FROM_PROFILES = {"models", "model_of", "tp", "cold_j", "reshard_j", "start_up_windows", "window_s"}


@pytest.mark.parametrize(("min_up_s", "windows"), [(0, 1), (1, 1), (300, 1), (301, 2), (1800, 6)])
def test_up_time_in_whole_windows(min_up_s: float, windows: int) -> None:
    """Tests that an up-time is rounded up to windows of 300 s, of which there is at least one."""
    assert Coupling(min_up_s=min_up_s).min_up_windows(300.0) == windows


def test_a_cold_start_reaches_into_two_windows() -> None:
    """Tests that 423 s, the shipped profile's, reach into two windows of 300 s and one of 600 s."""
    profile = dynaopt.read_profile("llama2-70b-h100")
    assert start_up_windows(profile, 300.0) == 2
    assert start_up_windows(profile, 600.0) == 1


def test_initial_instances_add_up() -> None:
    """Tests that rows of one model and degree, as of several pools, add up, and come back as a frame."""
    frame = pd.DataFrame(
        {"model": ["m", "m", "m"], "tp": [2, 2, 8], "num_instances": [1, 3, 2], "pool": ["SS", "LL", "LL"]}
    )
    coupling = Coupling.of(initial=frame)
    assert initial_counts(coupling, {"m": (2, 4, 8)}, [("m", 2), ("m", 4), ("m", 8)]).tolist() == [4, 0, 2]
    back = initial_frame(coupling)
    assert back is not None
    assert back["num_instances"].tolist() == [4, 2]
    assert initial_frame(Coupling()) is None


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"min_up_s": -1}, "min_up_s"),
        ({"max_starts": -1}, "max_starts"),
        ({"initial": pd.DataFrame({"model": ["m"], "tp": [2]})}, "initial"),
        ({"speed": 3}, "speed"),
    ],
)
def test_refuses(options: dict[str, object], where: str) -> None:
    """Tests that what is out of range, unknown or lacking is told by its name."""
    with pytest.raises(InvalidInputError, match=where):
        Coupling.of(**options)  # type: ignore[arg-type]


def test_refuses_instances_of_no_profile() -> None:
    """Tests that a degree which the profile does not have is refused, with those that it has."""
    coupling = Coupling.of(initial=pd.DataFrame({"model": ["m"], "tp": [3], "num_instances": [1]}))
    with pytest.raises(InvalidInputError, match="TP 2, 4"):
        initial_counts(coupling, {"m": (2, 4)}, [("m", 2), ("m", 4)])


def test_start_energy_by_hand() -> None:
    """Tests 4 TP2, 2 TP4 → 2 TP2, 4 TP4: 8 GPUs start, 4 were given up: 4 × 1 J + 4 × 100 J = 404 J."""
    assert links().start_energy_j(np.array([4, 2]), np.array([2, 4])) == 404.0


def test_links_take_kinds_and_starts_from_profiles() -> None:
    """Tests two models on the shipped profile's start: 110 W for 423 s is 46.5 kJ a cold GPU, in two windows."""
    one = dynaopt.read_profile("llama2-70b-h100")
    both = [one, dataclasses.replace(one, metadata=one.metadata.model_copy(update={"model": "other"}))]
    others = {name: value for name, value in dataclasses.asdict(links()).items() if name not in FROM_PROFILES}
    made = Links.between(both, window_s=300.0, **others)
    assert made.models == (one.model, "other")
    assert made.model_of.tolist() == [0] * len(one.tps) + [1] * len(one.tps)
    assert made.tp.tolist() == [*one.tps, *one.tps]
    assert made.cold_j == pytest.approx([110.0 * 423.0] * 2)
    assert made.reshard_j == pytest.approx([110.0 * 2.2] * 2)
    assert made.start_up_windows.tolist() == [2, 2]
