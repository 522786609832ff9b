"""What runs, for tests of the planner and its parts: TP2 and TP8 of `search_builders.two_size_problem`."""

from collections.abc import Mapping

from search_builders import two_size_problem

from dynaopt.allocation import Allocation, InstanceGroup, Route
from dynaopt.profile import Profile

Running = tuple[str, int, int, float]


def two_size_profile() -> Profile:
    """Return TP2 for 1 request/s at 50 to 100 W, TP8 for 4 at 100, 200 (1 request/s) to 320 W; MM and LL draw more."""
    return two_size_problem({}).profiles["tiny-model"]


def running(*groups: Running, routes: Mapping[tuple[str, str], float] | None = None) -> Allocation:
    """Return an allocation of groups (pool, tp, number, requests/s on each); power is of no interest in it."""
    return Allocation(
        groups=tuple(
            InstanceGroup(
                model="tiny-model",
                pool=pool,
                tp=tp,
                frequency_mhz=1000,
                num_instances=n,
                rate_per_instance_rps=rate,
                power_per_instance_w=100.0,
            )
            for pool, tp, n, rate in groups
        ),
        routes=tuple(
            Route(model="tiny-model", request_class=name, pool=pool, rate_rps=rate)
            for (name, pool), rate in (routes or {}).items()
        ),
        power_w=1000.0,
    )
