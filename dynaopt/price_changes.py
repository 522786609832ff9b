"""Small changes of a window's problem, each of one thing: what there is a price for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from dynaopt.errors import InvalidInputError
from dynaopt.problem import Cluster, WindowDemand
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.slo import Slo

PriceKind = Literal["request_class", "gpu", "ttft", "tbt", "power_cap"]
PRICE_KINDS: tuple[PriceKind, ...] = get_args(PriceKind)
UNITS: Mapping[PriceKind, str] = {
    "request_class": "requests/s",
    "gpu": "GPUs",
    "ttft": "s",
    "tbt": "s",
    "power_cap": "W",
}
DEFAULT_STEPS: Mapping[PriceKind, tuple[float, ...]] = {
    "request_class": (1.0,),
    "gpu": (1.0, 8.0),
    "ttft": (0.010, -0.010),
    "tbt": (0.010, -0.010),
    "power_cap": (1.0,),
}
"""One more request per second, one GPU more and a server of eight, 10 ms looser and tighter, a watt more."""
CLUSTER_ITEM = "cluster"
ALL_CLASSES_ITEM = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is a little different.

    Parameters
    ----------
    kind
        What: arrivals of a class, GPUs, the bounds on TTFT or TBT, or the power cap.
    model
        Of the class whose arrivals change; empty for what all models share.
    item
        The class; ``"all"`` where the bounds of all classes change together; ``"cluster"`` for GPUs and power cap.
    step
        By how much, in `unit`; below 0 for less.
    """

    kind: PriceKind
    model: str = ""
    item: str
    step: float

    @property
    def unit(self) -> str:
        """Unit of the step: requests/s, GPUs, s or W."""
        return UNITS[self.kind]

    @property
    def widens(self) -> int:
        """1 where every answer of before still serves, -1 where every answer of the changed problem served before.

        0 for arrivals: where more come other mixed pools may be on offer, so neither need be so.
        """
        return 0 if self.kind == "request_class" else int(np.sign(self.step))

    def replacements(self, demand: WindowDemand, slo: Slo, cluster: Cluster) -> dict[str, Any]:
        """Return the part of a problem that is different: a field of `Problem` and its new value.

        Parameters
        ----------
        demand, slo, cluster
            Those of the problem, its models named.

        Raises
        ------
        InvalidInputError
            If there is not so much to take away.
        """
        match self.kind:
            case "request_class":
                return {"demand": self._more_arrivals(demand)}
            case "ttft":
                return {"slo": slo.shifted(ttft_s=self.step, request_class=self._slo_class)}
            case "tbt":
                return {"slo": slo.shifted(tbt_s=self.step, request_class=self._slo_class)}
            case "gpu":
                changed: dict[str, Any] = {"num_gpus": cluster.num_gpus + int(self.step)}
            case "power_cap":
                changed = {"power_cap_w": (cluster.power_cap_w or 0.0) + self.step}
        return {"cluster": Cluster.of(**{**cluster.model_dump(), **changed})}

    @property
    def _slo_class(self) -> str | None:
        return None if self.item == ALL_CLASSES_ITEM else self.item

    def _more_arrivals(self, demand: WindowDemand) -> WindowDemand:
        at = REQUEST_CLASSES.index(self.item)
        rate_rps = float(demand.rate_rps[self.model][at])
        if rate_rps + self.step < 0:
            found = f"{rate_rps:.3g} requests/s"
            raise InvalidInputError(f"arrivals of {self.item}", expected=f"at least {-self.step:g}", found=found)
        return with_class_rate(demand, self.model, self.item, rate_rps + self.step)


def with_class_rate(demand: WindowDemand, model: str, request_class: str, rate_rps: float) -> WindowDemand:
    """Return a window in which a class arrives at another rate, its peak factor unchanged.

    Parameters
    ----------
    demand
        The window.
    model, request_class
        Whose arrivals.
    rate_rps
        The new rate, in requests per second.
    """
    rates = demand.rate_rps[model].copy()
    rates[REQUEST_CLASSES.index(request_class)] = rate_rps
    return replace(demand, rate_rps={**demand.rate_rps, model: rates})


def make_changes(
    models: Sequence[str],
    cluster: Cluster,
    *,
    kinds: Sequence[PriceKind] | None = None,
    steps: Mapping[PriceKind, Sequence[float]] | None = None,
    slo_of: Literal["all", "each"] = "all",
) -> tuple[Change, ...]:
    """Return the changes of a problem whose worth is asked for.

    Parameters
    ----------
    models
        Names of the models.
    cluster
        Whether there is a power cap stands here.
    kinds
        Of `PRICE_KINDS`; all by default, the power cap only where there is one.
    steps
        Steps of some kinds instead of those of `DEFAULT_STEPS`; several for a kind make as many changes.
    slo_of
        Whether the bounds of ``"all"`` classes change together, or those of ``"each"`` by itself.

    Raises
    ------
    InvalidInputError
        If a kind is unknown, a step is 0 or no number (of GPUs: no whole number), or there is no power cap to change.
    """
    if kinds is None:
        kinds = [kind for kind in PRICE_KINDS if kind != "power_cap" or cluster.power_cap_w is not None]
    if slo_of not in ("all", "each"):
        raise InvalidInputError("option slo_of", expected="all or each", found=f"'{slo_of}'")
    chosen = {**DEFAULT_STEPS, **(steps or {})}
    _check(kinds, chosen, cluster)
    return tuple(
        Change(kind=kind, model=model, item=item, step=float(step))
        for kind in dict.fromkeys(kinds)
        for model, item in _items(kind, models, slo_of)
        for step in chosen[kind]
    )


def _items(kind: PriceKind, models: Sequence[str], slo_of: str) -> Iterator[tuple[str, str]]:
    if kind == "request_class":
        yield from ((model, name) for model in models for name in REQUEST_CLASSES)
    elif kind in ("ttft", "tbt"):
        yield from (("", name) for name in (REQUEST_CLASSES if slo_of == "each" else (ALL_CLASSES_ITEM,)))
    else:
        yield "", CLUSTER_ITEM


def _check(kinds: Sequence[str], steps: Mapping[PriceKind, Sequence[float]], cluster: Cluster) -> None:
    for name in (*kinds, *steps):
        if name not in PRICE_KINDS:
            raise InvalidInputError("option kinds", expected=f"some of {', '.join(PRICE_KINDS)}", found=f"'{name}'")
    for kind in PRICE_KINDS:
        for step in steps[kind]:
            if not np.isfinite(step) or step == 0:
                raise InvalidInputError(f"step of {kind}", expected="a number other than 0", found=str(step))
            if kind == "gpu" and step != int(step):
                raise InvalidInputError("step of gpu", expected="a whole number", found=str(step))
    if "power_cap" in kinds and cluster.power_cap_w is None:
        raise InvalidInputError("option kinds", expected="a schedule with a power cap", found="power_cap and no cap")
