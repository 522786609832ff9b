"""Policies by which a cluster can be run, by name. Adding one takes its own file and one line in `_POLICIES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dynaopt.errors import UnknownNameError
from dynaopt.policies.base import Case, Policy, make_case
from dynaopt.policies.dynamo_llm import DynamoLlm
from dynaopt.policies.fixed_pools import MultiPool, ScaleFreq, ScaleInst, SinglePool
from dynaopt.policies.planned import Planned, PlannedTogether
from dynaopt.policies.replanned import Replanned
from dynaopt.policies.sharded_pools import ScaleShard

__all__ = ["BY_CLASS", "OURS", "TOGETHER", "Case", "Policy", "get_policy", "make_case", "policy_names"]

OURS = "plan"
"""The name of this package's own planner of single windows; with a solver, ``plan-<solver>``."""
BY_CLASS = "plan-by-class"
"""The name of this package's own planner without mixed pools."""
TOGETHER = PlannedTogether.name
"""The name of this package's own planner of all windows together."""

_POLICIES: Mapping[str, Callable[[], Policy]] = {
    "spread-single-pool": lambda: SinglePool("spread"),
    "single-pool": lambda: SinglePool("usual"),
    "best-single-pool": lambda: SinglePool("best"),
    "multi-pool": MultiPool,
    "best-multi-pool": lambda: MultiPool(best=True),
    "scale-inst": ScaleInst,
    "best-scale-inst": lambda: ScaleInst(best=True),
    "scale-shard": ScaleShard,
    "best-scale-shard": lambda: ScaleShard(best=True),
    "scale-freq": ScaleFreq,
    "best-scale-freq": lambda: ScaleFreq(best=True),
    "dynamollm": DynamoLlm,
    "best-dynamollm": lambda: DynamoLlm(best=True),
    "one-mixed-pool": lambda: Replanned(by_input=False),
    "input-pools": lambda: Replanned(by_input=True),
    OURS: Planned,
    BY_CLASS: lambda: Planned(by_class=True),
    TOGETHER: PlannedTogether,
}


def policy_names() -> tuple[str, ...]:
    """Return the names of all policies, in the order of a table; the last three are this package's own planners."""
    return tuple(_POLICIES)


def get_policy(name: str) -> Policy:
    """Return a policy by name.

    Parameters
    ----------
    name
        One of `policy_names`, or ``plan-`` and a solver, for example ``plan-highs``.

    Raises
    ------
    UnknownNameError
        If there is none of that name.
    """
    if name.startswith(f"{OURS}-") and name not in _POLICIES:
        return Planned(name.removeprefix(f"{OURS}-"))
    if name not in _POLICIES:
        raise UnknownNameError("option policies", expected=f"one of {', '.join(_POLICIES)}", found=f"'{name}'")
    return _POLICIES[name]()
