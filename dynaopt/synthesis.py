"""A service's week of 2024, request by request: real counts per minute, lengths and moments drawn.

Of the week there are exact totals of every minute and a sample of lengths. A synthesised request arrives in a minute
as often as real ones did, inside it as `dynaopt.burstiness` says, and its lengths are drawn, independently, from the
service's joint distribution tilted to its window's mean input and output (`dynaopt.tilting`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources

import numpy as np
import pandas as pd

from dynaopt.burstiness import DEFAULT_READING, SECONDS_PER_MINUTE, Burstiness, service_burstiness
from dynaopt.demand import demand_names, read_demand
from dynaopt.errors import InvalidInputError, UnknownNameError
from dynaopt.lengths import Lengths, service_lengths
from dynaopt.request_class import TABLE_IV, CutPoints
from dynaopt.request_stream import (
    US_PER_S,
    Block,
    FloatArray,
    Int64Array,
    RequestPart,
    WindowGrid,
    cut_windows,
)
from dynaopt.tables import Column, read_table
from dynaopt.tilting import tilt

_PREFIX = "azure-2024-"
_MINUTE_COLUMNS = (Column("minute_start", "timestamp"), Column("requests", "integer", minimum=0))
_MINUTE_US = SECONDS_PER_MINUTE * US_PER_S
_MOST_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SynthesisedStream:
    """A synthesised week as a stream; no file is needed to replay it.

    A window's requests depend on the seed and on that window alone, not on which others were asked for.

    Parameters
    ----------
    service
        ``"conversation"`` or ``"coding"``; the name of the shipped week, such as ``"azure-2024-coding"``, does too.
    seed
        Whole number of at least 0 that all chance follows from.
    reading
        How bursty arrivals are inside a minute; one of `burstiness.READINGS`.
    cut_points
        Where lengths are cut into classes.
    model
        Name of the model that serves the requests.

    Attributes
    ----------
    start
        First moment of the week, UTC.
    per_minute
        Requests of each minute, shape (windows, minutes of a window).
    mean_tokens
        Mean input and output of each window's requests, shape (windows, 2).

    Raises
    ------
    UnknownNameError
        If there is no such service or reading.
    InvalidInputError
        If the seed is below 0 or does not fit into 63 bits.
    """

    service: str
    seed: int = 0
    reading: str = DEFAULT_READING
    cut_points: CutPoints = TABLE_IV
    model: str = ""
    start: pd.Timestamp = field(init=False, repr=False)
    per_minute: Int64Array = field(init=False, repr=False, compare=False)
    mean_tokens: FloatArray = field(init=False, repr=False, compare=False)
    _lengths: Lengths = field(init=False, repr=False, compare=False)
    _burstiness: Burstiness = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= _MOST_SEED:
            raise InvalidInputError("seed", expected=f"an integer from 0 to {_MOST_SEED}", found=str(self.seed))
        service = find_service(self.service)
        demand = read_demand(f"{_PREFIX}{service}")
        minutes = read_minutes(service)
        derived = {
            "service": service,
            "start": demand.starts[0],
            "per_minute": minutes.to_numpy(np.int64).reshape(demand.num_windows, -1),
            "mean_tokens": _mean_tokens(demand.table),
            "_lengths": service_lengths(service),
            "_burstiness": service_burstiness(service, self.reading),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @property
    def num_requests(self) -> int:
        """Requests of the whole week."""
        return int(self.per_minute.sum())

    @property
    def end(self) -> pd.Timestamp:
        """The moment, UTC, at which the week is over."""
        return self.start + pd.Timedelta(minutes=self.per_minute.size)

    def parts(self, starts: pd.DatetimeIndex, window_s: float) -> Iterator[RequestPart]:
        """Give the requests of each window; see `RequestStream`.

        Parameters
        ----------
        starts, window_s
            As in `RequestStream.parts`. Before and after the week there are no requests.

        Raises
        ------
        InvalidInputError
            If windows overlap or are not in the order of time, or there is none.
        """
        grid = WindowGrid.of(starts, window_s)
        return cut_windows(self._blocks(grid), grid, start=self.start, cut_points=self.cut_points, model=self.model)

    def _blocks(self, grid: WindowGrid) -> Iterator[Block]:
        """Draw the windows of the week that have a part in those asked for."""
        start_us = self.start.value // 1000
        length_us = self.per_minute.shape[1] * _MINUTE_US
        first = np.clip((grid.starts_us - start_us) // length_us, 0, len(self.per_minute))
        stop = np.clip(-((start_us - grid.starts_us - grid.window_us) // length_us), 0, len(self.per_minute))
        drawn = -1
        for low, high in zip(first.tolist(), stop.tolist(), strict=True):
            for number in range(max(low, drawn + 1), high):
                drawn = number
                yield self.draw_window(number)

    def draw_window(self, number: int) -> Block:
        """Draw the requests of one five-minute window of the week.

        Parameters
        ----------
        number
            0 for the first.

        Returns
        -------
        Block
            In the order of arrival, those of one microsecond in the order of their lengths.
        """
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(number,)))
        per_minute = self.per_minute[number]
        seconds = self._burstiness.draw_seconds(per_minute, rng).ravel()
        num_requests = int(per_minute.sum())
        start_us = self.start.value // 1000 + number * len(per_minute) * _MINUTE_US
        us = np.repeat(np.arange(len(seconds)) * US_PER_S, seconds) + rng.integers(0, US_PER_S, num_requests)
        weights = self.length_weights(number)
        cell = np.searchsorted(np.cumsum(weights)[:-1], rng.random(num_requests), side="right")
        input_tokens = self._lengths.input_tokens[cell].astype(np.int32)
        output_tokens = self._lengths.output_tokens[cell].astype(np.int32)
        order = np.lexsort((output_tokens, input_tokens, us))
        return Block(start_us + us[order], input_tokens[order], output_tokens[order])

    def length_weights(self, number: int) -> FloatArray:
        """Return the shares of the service's pairs of lengths in one window, which give the window's mean lengths.

        Parameters
        ----------
        number
            0 for the first window.

        Returns
        -------
        numpy.ndarray
            Shape (cells,), in the order of `service_lengths`; they add up to 1.
        """
        points = np.column_stack([self._lengths.input_tokens, self._lengths.output_tokens])
        return tilt(points, self.mean_tokens[number], weights=self._lengths.weight)


def find_service(name: str) -> str:
    """Return the service of a name, which may be that of its shipped week.

    Parameters
    ----------
    name
        For example ``"coding"`` or ``"azure-2024-coding"``.

    Raises
    ------
    UnknownNameError
        If the package ships no such week.
    """
    service = name.removeprefix(_PREFIX)
    if f"{_PREFIX}{service}" not in demand_names():
        expected = f"one of {', '.join(demand_names())}, the prefix may be left out"
        raise UnknownNameError("service", expected=expected, found=f"'{name}'")
    return service


def read_minutes(service: str) -> pd.Series:
    """Return the requests of every minute of a service's week, the index being the minutes' starts, UTC.

    Parameters
    ----------
    service
        ``"conversation"`` or ``"coding"``.
    """
    with resources.as_file(resources.files("dynaopt") / "data" / f"minutes-{_PREFIX}{service}.parquet") as path:
        frame = read_table(path, _MINUTE_COLUMNS, key=("minute_start",))
    return frame.set_index("minute_start")["requests"]


def _mean_tokens(table: pd.DataFrame) -> FloatArray:
    tokens = table[["input_tokens", "output_tokens"]].mul(table["rate_rps"], axis=0)
    sums = tokens.assign(rate_rps=table["rate_rps"]).groupby(table["window_start"]).sum()
    means: FloatArray = sums[["input_tokens", "output_tokens"]].div(sums["rate_rps"], axis=0).to_numpy()
    return means
