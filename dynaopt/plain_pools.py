"""Pools without spare capacity: every instance may be filled up."""

from __future__ import annotations

from dynaopt.blends import kept_parts
from dynaopt.envelope import FloatArray
from dynaopt.flat_problem import Group
from dynaopt.mix_covers import covers
from dynaopt.price_search import PoolInstances, Relaxed, Workspace, instances_at, pool_instances, priced, search


class PlainPools:
    """Pools of a group; see `group_search.Pools`."""

    def __init__(self, group: Group, room: Workspace) -> None:
        self.group = group
        self._room = room

    def set_prices(self, prices: FloatArray, power_weight: float = 1.0) -> None:
        """Make the prices, and how much power itself counts, those of the calls that follow."""
        if not self._room.is_filled_for(self.group, prices, power_weight):
            self._room.fill(self.group, priced(self.group, prices, power_weight))
            self._room.filled_for = self.group, prices, power_weight

    def search(self, max_nodes: int, gap: float) -> Relaxed:
        """Split the arrivals over the pools."""
        return search(self.group, self._room, max_nodes=max_nodes, gap=gap)

    def instances(self, loads_rps: FloatArray) -> list[PoolInstances]:
        """Return the cheapest instances of each pool at its load."""
        return [self.instances_of(p, float(load)) for p, load in enumerate(loads_rps)]

    def instances_of(self, p: int, load_rps: float) -> PoolInstances:
        """Return the cheapest instances of a pool at a load."""
        return instances_at(self.group, self._room, p, load_rps)

    def keeping(self, p: int, load_rps: float, way: PoolInstances, shares: FloatArray) -> list[PoolInstances]:
        """Return ways that keep shares of given instances and serve the rest at least cost."""
        return [
            pool_instances(self.group, [*parts, *self.instances_of(p, rest_rps).parts])
            for parts, rest_rps in kept_parts(way, load_rps, shares)
        ]

    def covers(self, p: int, load_rps: float) -> list[PoolInstances]:
        """Return ways to serve a load with few instances of each degree; see `mix_covers`."""
        return covers(self.group, p, load_rps)
