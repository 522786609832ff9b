"""What a policy is: a way to run a cluster, given a demand, that ends in an ordinary schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dynaopt.demand import Demand
from dynaopt.errors import InvalidInputError
from dynaopt.problem import Cluster, profile_of
from dynaopt.profile import FloatArray, Profile
from dynaopt.schedule import Schedule
from dynaopt.slo import Slo


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ModelDemand:
    """What arrives for one model, W windows.

    Parameters
    ----------
    profile
        Of the model.
    rate_rps
        Mean arrival rates in requests per second, shape (W, 9), classes as in `REQUEST_CLASSES`.
    stretch
        How far above its mean load an instance must keep its SLO: peak factor times (1 + headroom), shape (W,).
    """

    profile: Profile
    rate_rps: FloatArray
    stretch: FloatArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Case:
    """What every policy of a comparison is given.

    Parameters
    ----------
    demand
        What arrives.
    profiles
        A profile for each model in the demand. A demand that names no model is that of the only profile.
    slo
        Latency objectives.
    cluster
        GPUs, headroom and reserve. Policies of fixed size may need more GPUs than there are; the check tells.
    paths
        Where inputs lie, by the names of demand and profiles; kept in the schedules for the record.
    """

    demand: Demand
    profiles: tuple[Profile, ...]
    slo: Slo
    cluster: Cluster
    paths: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.cluster.power_cap_w is not None or self.cluster.fixed_mix:
            raise InvalidInputError(
                "comparison of policies",
                expected="neither a power cap nor a fixed mix, which only a plan can keep",
                found="a power cap" if self.cluster.power_cap_w is not None else "a fixed mix",
            )

    @property
    def by_model(self) -> Mapping[str, Profile]:
        """The profile of each model."""
        return {profile.model: profile for profile in self.profiles}

    def models(self) -> list[ModelDemand]:
        """Return what arrives for each model.

        Raises
        ------
        InvalidInputError
            If a model has no profile.
        """
        found = []
        for model in self.demand.models:
            profile = profile_of(model, self.profiles)
            stretch = self.demand.peak_factors[model] * (1 + self.cluster.headroom)
            found.append(ModelDemand(profile=profile, rate_rps=self.demand.rates_rps[model], stretch=stretch))
        return found


class Policy(Protocol):
    """A way to run a cluster.

    `name` is what a user types, `title` what a table shows, and `solver` who answers, as the schedule says.
    """

    name: str
    title: str

    @property
    def solver(self) -> str:
        """Who answers."""

    def cluster(self, case: Case) -> Cluster:
        """Return the options that the schedule of a case keeps."""

    def plan(self, case: Case) -> Schedule:
        """Run the cluster through all windows.

        Raises
        ------
        NoSolutionError
            If the policy cannot serve the demand at all, for example without curves of a mix.
        """


class Rival:
    """A policy that is not this package's own planner. Its pools of mixes serve however far what comes is from them."""

    name: str

    @property
    def solver(self) -> str:
        """The policy itself."""
        return self.name

    def cluster(self, case: Case) -> Cluster:
        """Return the case's options, with any distance from a mix."""
        return case.cluster.with_any_mix()


class Variant(Rival):
    """A rival that comes with the paper's settings and with the best: its names, which differ by a ``best``.

    Parameters
    ----------
    best
        Whether what never changes is what takes the least energy over the horizon.
    """

    name: str
    title: str

    def __init__(self, *, best: bool = False) -> None:
        if best:
            self.name, self.title = f"best-{self.name}", f"best {self.title}"
        self._best = best


def make_case(
    demand: Demand,
    profiles: Profile | Sequence[Profile],
    *,
    slo: Slo | None = None,
    paths: Mapping[str, str] | None = None,
    **cluster: object,
) -> Case:
    """Make a case, with Table IV of the DynamoLLM paper as objectives by default.

    Parameters
    ----------
    demand, profiles, slo, paths
        As in `Case`.
    **cluster
        Fields of `Cluster`.

    Raises
    ------
    InvalidInputError
        If an option is unknown or out of range, or one that policies cannot keep.
    """
    listed = (profiles,) if isinstance(profiles, Profile) else tuple(profiles)
    return Case(
        demand=demand, profiles=listed, slo=slo or Slo.table_iv(), cluster=Cluster.of(**cluster), paths=paths or {}
    )
