"""How a replay routes requests and what it does in a surge."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class ReplayOptions(BaseModel):
    """What the router may do.

    Parameters
    ----------
    burst_requests
        How many requests an instance may be ahead of its planned rate before another one's turn comes.
    checks_deadline
        Whether a request that is expected to be late where its turn is goes to another instance. Without it the other
        measures never come into question.
    clocks_up
        Whether an instance that would be late runs at the highest clock until no prompt is left.
    resteers
        Whether requests that wait and would be late go to an instance that is in time for them.
    squashes
        Whether a prompt that is partly computed and would be late is given up and begun again on such an instance.
    margin
        What share of its bound on the TTFT a request must be expected to have left over to count as in time: later
        requests with earlier deadlines, and sequences that begin to decode meanwhile, delay it further.
    late_bound_factor
        A request that will be late wherever it goes is queued as if its bound on the TTFT were so many times as long,
        so that it makes no others late; with 1 it keeps its deadline, and one surge makes all that follow late.
    clock_change_s
        How long an instance pauses when its clock changes between windows, in seconds; the paper has 50 to 80 ms.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    burst_requests: Annotated[float, Field(ge=0)] = 1.0
    checks_deadline: bool = True
    clocks_up: bool = True
    resteers: bool = True
    squashes: bool = True
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.1
    late_bound_factor: Annotated[float, Field(ge=1)] = 5.0
    clock_change_s: Annotated[float, Field(ge=0)] = 0.065
