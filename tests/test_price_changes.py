"""Tests of `dynaopt.price_changes`."""

from typing import Any

import pytest
from builders import make_window

from dynaopt.errors import InvalidInputError
from dynaopt.price_changes import DEFAULT_STEPS, Change, make_changes, with_class_rate
from dynaopt.problem import Cluster
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.slo import Slo

WINDOW = make_window({"SS": 3.0, "LL": 0.5})
SLO = Slo.table_iv()


def replaced(change: Change, **cluster: object) -> dict[str, Any]:
    """Return what a change replaces in the problem of `WINDOW`."""
    return change.replacements(WINDOW, SLO, Cluster.of(**cluster))


def test_arrivals() -> None:
    """Tests that one class gets one request per second more, the others and the window they came from stay."""
    found = replaced(Change(kind="request_class", model="tiny-model", item="LL", step=1.0))
    assert list(found) == ["demand"]
    assert found["demand"].rate_rps["tiny-model"].tolist() == [3.0, 0, 0, 0, 0, 0, 0, 0, 1.5]
    assert WINDOW.rate_rps["tiny-model"][-1] == 0.5
    assert found["demand"].peak_factor == WINDOW.peak_factor


def test_arrivals_that_there_are_not() -> None:
    """Tests that no more is taken away than arrives, and what is said."""
    change = Change(kind="request_class", model="tiny-model", item="LL", step=-1.0)
    with pytest.raises(InvalidInputError, match=r"arrivals of LL: expected at least 1, got 0.5 requests/s"):
        replaced(change)


def test_objectives() -> None:
    """Tests 10 ms of TTFT for all classes, and 10 ms less of TBT for one."""
    looser = replaced(Change(kind="ttft", item="all", step=0.01))["slo"]
    assert looser.ttft_s == pytest.approx([t + 0.01 for t in SLO.ttft_s])
    assert looser.tbt_s == SLO.tbt_s
    tighter = replaced(Change(kind="tbt", item="LL", step=-0.01))["slo"]
    assert tighter.tbt_s == pytest.approx([0.1] * 8 + [0.09])
    assert tighter.ttft_s == SLO.ttft_s


def test_an_objective_that_would_not_stay_above_zero() -> None:
    """Tests that 250 ms cannot be taken from a bound of 250 ms."""
    with pytest.raises(InvalidInputError, match="positive bounds"):
        replaced(Change(kind="ttft", item="SS", step=-0.25))


def test_gpus_and_power_cap() -> None:
    """Tests that the rest of the cluster stays as it is."""
    cluster = replaced(Change(kind="gpu", item="cluster", step=8.0), num_gpus=16, headroom=0.3)["cluster"]
    assert (cluster.num_gpus, cluster.headroom) == (24, 0.3)
    cluster = replaced(Change(kind="power_cap", item="cluster", step=-5.0), power_cap_w=100.0)["cluster"]
    assert cluster.power_cap_w == 95.0
    with pytest.raises(InvalidInputError, match="num_gpus"):
        replaced(Change(kind="gpu", item="cluster", step=-1.0), num_gpus=1)


def test_what_widens() -> None:
    """Tests that more of a limit widens, less narrows, and arrivals are neither."""
    for kind in ("gpu", "ttft", "tbt", "power_cap"):
        assert Change(kind=kind, item="all", step=2.0).widens == 1  # type: ignore[arg-type]
        assert Change(kind=kind, item="all", step=-0.01).widens == -1  # type: ignore[arg-type]
    assert Change(kind="request_class", model="m", item="SS", step=1.0).widens == 0


def test_all_changes() -> None:
    """Tests that two models have 18 prices of classes; GPUs, TTFT and TBT two each; a cap one where there is one."""
    free = make_changes(["a", "b"], Cluster())
    assert len(free) == 18 + 2 + 2 + 2
    assert {c.kind for c in free} == set(DEFAULT_STEPS) - {"power_cap"}
    assert [c.unit for c in make_changes(["a"], Cluster(power_cap_w=9.0))][-1] == "W"


def test_chosen_changes() -> None:
    """Tests kinds, steps and classes by themselves."""
    chosen = make_changes(["a"], Cluster(), kinds=["gpu", "tbt"], steps={"gpu": (4, -4)}, slo_of="each")
    assert [(c.item, c.step) for c in chosen[:2]] == [("cluster", 4.0), ("cluster", -4.0)]
    assert [c.item for c in chosen[2:]] == [name for name in REQUEST_CLASSES for _ in range(2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ["gpus"]}, "option kinds: expected some of request_class, gpu, .*, got 'gpus'"),
        ({"kinds": ["power_cap"]}, "expected a schedule with a power cap"),
        ({"steps": {"gpu": (0.5,)}}, "step of gpu: expected a whole number, got 0.5"),
        ({"steps": {"ttft": (0.0,)}}, "step of ttft: expected a number other than 0"),
        ({"steps": {"ttft": (float("nan"),)}}, "step of ttft: expected a number other than 0"),
        ({"slo_of": "some"}, "option slo_of: expected all or each, got 'some'"),
    ],
)
def test_what_makes_no_sense(options: dict[str, Any], message: str) -> None:
    """Tests that it is refused in words."""
    with pytest.raises(InvalidInputError, match=message):
        make_changes(["a"], Cluster(), **options)


def test_a_class_at_another_rate() -> None:
    """Tests that only that one changes."""
    assert with_class_rate(WINDOW, "tiny-model", "SS", 0.25).rate_rps["tiny-model"][[0, 8]].tolist() == [0.25, 0.5]
