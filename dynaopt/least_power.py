"""A lower bound at a glance: every request takes at least what it takes where it can be served most cheaply.

An instance that carries a load x at a cost f(x) takes f(x) / x for each request per second. On a straight piece of f
that ratio is monotone, so it is least at a breakpoint. A pool of load L takes at least L times the least ratio of its
options, and a class at least its arrivals times the least ratio of the pools that may serve it. That leaves out that
instances are whole and GPUs limited, but it takes a tenth of a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dynaopt.envelope import FloatArray
from dynaopt.flat_problem import Family, Group
from dynaopt.load_sets import CAN_SERVE, NUM_CLASSES


def least_power_w(groups: Sequence[Group]) -> float:
    """Return what no allocation's objective goes below, in watts; infinite where a class has nowhere to go.

    Parameters
    ----------
    groups
        Those of a problem, as `groups_of` gives them.
    """
    return sum(group.base_w + _serving_w(group) for group in groups)


def _serving_w(group: Group) -> float:
    ratio = _least_ratios(group)
    least_w = 0.0
    for m, families in enumerate(group.families):
        own = ratio[m * NUM_CLASSES : (m + 1) * NUM_CLASSES]
        of_class = np.array([own[list(pools)].min() for pools in CAN_SERVE])
        least_w += min(_family_w(group, family, ratio, of_class) for family in families)
    return least_w


def _family_w(group: Group, family: Family, ratio: FloatArray, of_class: FloatArray) -> float:
    """Return what serving a model takes with these mixed pools open: all of their members, and the other classes."""
    mixed, comes = list(family.mixed), family.rates_rps > 0
    return float(group.most_rps[mixed] @ ratio[mixed] + family.rates_rps[comes] @ of_class[comes])


def _least_ratios(group: Group) -> FloatArray:
    """Return the least cost of a request per second in each pool, shape (pools,); infinite without options."""
    option_of = np.repeat(np.arange(len(group.options)), np.diff(group.first_point))
    pool_of = np.repeat(np.arange(len(group.pools)), np.diff(group.first_option))
    loaded = group.breaks_rps > 0
    least = np.full(len(group.pools), np.inf)
    np.minimum.at(least, pool_of[option_of[loaded]], group.cost_w[loaded] / group.breaks_rps[loaded])
    return least
