"""What it costs to get from the instances that run to others, in a form that a search can put prices on.

By the rules of `transitions`, the GPUs that a model starts instances on beyond those that it gives up are cold, all
others are resharded. With G its GPUs and N_t its instances of degree t, before and after, that is

    start_up_gpu_w * ((cold_s - reshard_s) * max(0, G' - G) + reshard_s * sum over t of t * max(0, N_t' - N_t)),

a sum of terms e_j * max(0, U_j (N' - N)). For any prices v_j between 0 and e_j,

    objective + sum of e_j * max(0, U_j (N' - N))  >=  (objective + v U N') - v U N,

so the optimum at prices bounds what serving and starting together can cost (Lagrangian relaxation), and no price above
e_j is ever needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dynaopt.allocation import Allocation
from dynaopt.envelope import FloatArray
from dynaopt.profile import Profile

Slot = tuple[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class StartCharges:
    """Charges for starting instances beyond those that run.

    Parameters
    ----------
    slots
        Model and tensor-parallel degree of each slot.
    running
        Instances that run in each slot, shape (slots,).
    usage
        The matrix U: what an instance of each slot adds to each charged quantity, shape (charges, slots).
    energy_j
        The factors e of the charged quantities, in joules, shape (charges,).
    price_j
        Most that a price on them may be for the bound to hold, shape (charges,).
    """

    slots: tuple[Slot, ...]
    running: FloatArray
    usage: FloatArray
    energy_j: FloatArray
    price_j: FloatArray

    @classmethod
    def beyond(cls, before: Allocation | None, profiles: Mapping[str, Profile]) -> StartCharges:
        """Charge for what starts beyond an allocation.

        Parameters
        ----------
        before
            What runs. None charges nothing: what runs first is taken to have run before, as in a horizon.
        profiles
            The profile of each model.
        """
        slots, rows, energy_j, price_j = [], [], list[float](), list[float]()
        for model, profile in profiles.items():
            slots += [(model, tp) for tp in profile.tps]
            power_w, start_up = profile.metadata.power.start_up_gpu_w, profile.metadata.start_up
            rows += [(model, None), *((model, tp) for tp in profile.tps)]
            energy_j += [power_w * (start_up.cold_s - start_up.reshard_s)]
            energy_j += [power_w * start_up.reshard_s * tp for tp in profile.tps]
            # Where resharding takes longer than a cold start, the latter bounds both.
            price_j += [max(energy_j[-1 - len(profile.tps)], 0.0)]
            price_j += [power_w * min(start_up.reshard_s, start_up.cold_s) * tp for tp in profile.tps]
        usage = [[_used(row, slot) for slot in slots] for row in rows]
        charged = float(before is not None)
        return cls(
            slots=tuple(slots),
            running=_counts(before, slots),
            usage=np.array(usage),
            energy_j=charged * np.array(energy_j),
            price_j=charged * np.array(price_j),
        )

    def of(self, allocation: Allocation) -> float:
        """Return what starting an allocation takes, in joules."""
        return float(self.energy_j @ np.maximum(self.excess(allocation), 0.0))

    def excess(self, allocation: Allocation) -> FloatArray:
        """Return by how much it exceeds what runs in each charged quantity, shape (charges,)."""
        return np.asarray(self.usage @ (_counts(allocation, self.slots) - self.running))

    def worth_w(self, prices_w: FloatArray) -> float:
        """Return what prices charge for that which runs, in watts."""
        return float(prices_w @ (self.usage @ self.running))


def _used(row: tuple[str, int | None], slot: Slot) -> float:
    """Return what an instance of a slot adds to the GPUs of a model, or to its instances of one degree."""
    if row[0] != slot[0]:
        return 0.0
    return float(slot[1]) if row[1] is None else float(row[1] == slot[1])


def _counts(allocation: Allocation | None, slots: tuple[Slot, ...] | list[Slot]) -> FloatArray:
    found: Counter[Slot] = Counter()
    for group in () if allocation is None else allocation.groups:
        found[group.model, group.tp] += group.num_instances
    return np.array([float(found[slot]) for slot in slots])
