"""One level of load of one instance, as a benchmark tool measured it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from dynaopt.errors import InvalidInputError
from dynaopt.request_class import REQUEST_CLASSES, CutPoints

FEWEST_REQUESTS = 100
"""With fewer requests a 99th percentile is the slowest one, whatever it was."""
LEAST_SHARE_SERVED = 0.9
"""A server that answers less than this share of what arrives has a queue that grows as long as the run lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredLevel:
    """What was measured at one load.

    Parameters
    ----------
    where
        The file, and the place in it, for messages.
    rate_rps
        Load offered to the instance, in requests per second; 0 when requests came one at a time.
    ttft_p50_s, ttft_p99_s, tbt_p50_s, tbt_p99_s
        Percentiles of the latencies, in seconds. The P99 of the TBT is the bound that 99 % of the requests keep
        (`token_gaps`), or the P99 of all gaps where the tool tells no more.
    power_w
        Mean power of the whole instance, in watts; None when it is to be found in a log of power.
    start, end
        When the run took place, in UTC; None when that is not known.
    model
        Name of the model; empty when that is not known.
    input_tokens, output_tokens
        Mean lengths of the requests; None when they are not known.
    caveats
        In what the numbers differ from what a curve should hold.
    """

    where: str
    rate_rps: float
    ttft_p50_s: float
    ttft_p99_s: float
    tbt_p50_s: float
    tbt_p99_s: float
    power_w: float | None = None
    start: pd.Timestamp | None = None
    end: pd.Timestamp | None = None
    model: str = ""
    input_tokens: float | None = None
    output_tokens: float | None = None
    caveats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("ttft", "tbt"):
            p50_s, p99_s = getattr(self, f"{name}_p50_s"), getattr(self, f"{name}_p99_s")
            if not 0 < p50_s <= p99_s:
                expected = f"a P99 {name.upper()} of at least the P50, {p50_s:g} s"
                raise InvalidInputError(self.where, expected=expected, found=f"{p99_s:g} s")


def check_run(where: str, *, completed: float, failed: float, rate_rps: float, served_rps: float) -> None:
    """Refuse a run whose percentiles would not be those of its load.

    Parameters
    ----------
    where
        The file, for messages.
    completed, failed
        Requests that were answered and that were not.
    rate_rps
        Load offered, in requests per second; 0 when requests came one at a time.
    served_rps
        Requests answered per second.

    Raises
    ------
    InvalidInputError
        If some failed, too few were answered, or the server did not keep up.
    """
    if failed > 0:
        raise InvalidInputError(where, expected="a run in which every request is answered", found=f"{failed:g} failed")
    if completed < FEWEST_REQUESTS:
        expected = f"at least {FEWEST_REQUESTS} requests, for a 99th percentile"
        raise InvalidInputError(where, expected=expected, found=f"{completed:g}")
    if served_rps < LEAST_SHARE_SERVED * rate_rps:
        raise InvalidInputError(
            where,
            expected=f"a server that keeps up with {rate_rps:g} requests/s",
            found=f"{served_rps:.3g} answered per second",
            hint="leave this level out, or run it for longer if it was short",
        )


def check_lengths(levels: Sequence[MeasuredLevel], request_class: str, cut_points: CutPoints) -> None:
    """Refuse requests whose mean lengths are not those of their class.

    Parameters
    ----------
    levels
        What was measured; levels whose lengths are not known pass.
    request_class
        The class that they are said to be of.
    cut_points
        Where classes are cut.

    Raises
    ------
    InvalidInputError
        If the mean lengths are those of another class.
    """
    for level in levels:
        if level.input_tokens is None or level.output_tokens is None:
            continue
        found = REQUEST_CLASSES[int(cut_points.classify(level.input_tokens, level.output_tokens))]
        if found != request_class:
            lengths = f"{level.input_tokens:.0f} input and {level.output_tokens:.0f} output tokens"
            raise InvalidInputError(
                level.where,
                expected=f"requests of class {request_class}",
                found=f"{lengths} in the mean, which is {found}",
                hint=f"--request-class {found} if that is what was measured",
            )
