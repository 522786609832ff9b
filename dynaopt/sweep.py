"""Sweeps: services by profiles by objectives by clusters, planned on one machine or on many, and set side by side."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from dynaopt.answers import Answers, total_power_w, window_numbers
from dynaopt.horizon import assemble
from dynaopt.journal import Journal
from dynaopt.sweep_points import AXES, Point, make_points
from dynaopt.sweep_spec import SweepSpec, read_sweep_spec
from dynaopt.sweep_store import Record, SweepStore
from dynaopt.sweep_table import record_of, table_of
from dynaopt.window_worker import Job, solve_jobs
from dynaopt.workers import check_workers

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepState:
    """How far a sweep is.

    Parameters
    ----------
    num_points, num_windows
        All there are.
    points_done, windows_done
        Those that are finished, in this run or before.
    serving_energy_j
        Of the windows done, in joules.
    """

    num_points: int
    points_done: int
    num_windows: int
    windows_done: int
    serving_energy_j: float


Progress = Callable[[SweepState], None]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sweep:
    """The points of a sweep, planned.

    Parameters
    ----------
    spec
        What it is of.
    points
        A row for each point, in the order of the lists, the last of `AXES` fastest: ``point`` (its name), `AXES`,
        ``solver``, ``objective``, `RESULTS`, ``num_violations`` (what `check` found), ``reason`` (why the first window
        without an answer has none) and ``digest``. What has no value is missing: sums over windows where none has an
        answer, and starts where the windows are a sample. Sums leave windows without an answer out.
    """

    spec: SweepSpec
    points: pd.DataFrame

    @property
    def num_unsolved_points(self) -> int:
        """Points some window of which has no answer."""
        return int((self.points["num_unsolved"] > 0).sum())

    @property
    def num_violations(self) -> int:
        """What the check found, over all points."""
        return int(self.points["num_violations"].sum())

    @property
    def swept(self) -> list[str]:
        """The axes along which there is more than one value."""
        return [axis for axis, key in AXES.items() if len(getattr(self.spec, key)) > 1]


def sweep(
    spec: SweepSpec | str | Path,
    *,
    out: str | Path | None = None,
    workers: int | None = None,
    dask: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Sweep:
    """Plan every combination of the lists of a sweep.

    All windows of all points go to the workers as one stream of chunks. The answers do not depend on where they are
    found, and a worker that is lost takes no more with it than the chunk that it was at, which another solves again.

    Parameters
    ----------
    spec
        What to sweep, or the TOML file that says so. Files that it names start in the folder of that file.
    out
        Folder of the sweep; None to keep nothing. What is finished there is not planned again, so that the same call
        resumes after it was stopped at any moment, and a longer list costs only what is new.
    workers
        Processes of this machine; by default as many as there are cores, or this one alone where that is faster.
    dask
        Address of the scheduler of a Dask cluster to use instead, or its scheduler file (``.json``).
    overwrite
        Whether schedules of other plans that lie under the name of a point are replaced.
    progress
        Called as chunks finish.

    Raises
    ------
    InputError
        If the file or an input cannot be read, the inputs and options of a point do not fit, `out` holds the schedule
        of another plan or another process is at it, or no scheduler answers.
    SolverError
        If workers die at the same windows again and again, or the scheduler is lost.
    """
    check_workers(workers, dask)
    folder = Path() if isinstance(spec, SweepSpec) else Path(spec).parent
    asked = spec if isinstance(spec, SweepSpec) else read_sweep_spec(spec)
    points = make_points(asked, folder)
    with ExitStack() as stack:
        kept = Path(stack.enter_context(tempfile.TemporaryDirectory()) if out is None else out)
        store = stack.enter_context(SweepStore(kept, schedules=asked.schedules, overwrite=overwrite))
        run = _Run(store, points, progress or (lambda _: None))
        run.solve(workers, dask)
        return Sweep(spec=asked, points=run.write())


@dataclass(slots=True, eq=False)
class _Begun:
    """A point that is not finished: the answers so far, and the journal that keeps them once it is open."""

    point: Point
    parts: list[Answers]
    journal: Journal | None = None
    done: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.done |= {number for part in self.parts for number in window_numbers(part)}

    @property
    def is_whole(self) -> bool:
        return len(self.done) == self.point.horizon.demand.num_windows

    @property
    def job(self) -> Job:
        horizon = self.point.horizon
        missing = [number for number in range(horizon.demand.num_windows) if number not in self.done]
        return Job(task=horizon.task, numbers=missing, window=horizon.window)


class _Run:
    """One run of a sweep: what is finished, what is begun, and what is told of it."""

    def __init__(self, store: SweepStore, points: Sequence[Point], progress: Progress) -> None:
        self._store = store
        self._points = points
        self._progress = progress
        self._records: dict[str, Record] = {}
        self._windows_done = 0
        self._energy_j = 0.0

    def solve(self, workers: int | None, dask: str | None) -> None:
        """Finish all points."""
        begun = [self._resume(point) for point in self._points if not self._is_finished(point)]
        if self._windows_done:
            _LOG.info("Resuming: %d of %d points are finished.", len(self._records), len(self._points))
        self._tell()
        with ExitStack() as journals:
            for one in begun:
                if one.is_whole:  # stopped between its last chunk and its row
                    self._finish(one)
                    self._tell()
            solve_jobs(
                [one.job for one in begun],
                workers=workers,
                dask=dask,
                keep=lambda number, part: self._keep(begun[number], part, journals),
            )

    def _is_finished(self, point: Point) -> bool:
        record = self._store.find(point)
        if record is None:
            return False
        self._records[point.digest] = record
        self._windows_done += record["num_windows"]
        self._energy_j += record["serving_energy_j"] or 0.0
        return True

    def _keep(self, one: _Begun, part: Answers, journals: ExitStack) -> None:
        """Take in a finished chunk, on disk first, and finish its point if it is the last."""
        if one.journal is None:  # opened here and not before: there may be more points than files to open
            one.journal = journals.enter_context(self._store.journal(one.point))
        one.journal.write(part)
        one.parts.append(part)
        one.done.update(window_numbers(part))
        self._note(one.point, part)
        if one.is_whole:
            self._finish(one)
        self._tell()

    def write(self) -> pd.DataFrame:
        """Write the table of all points, and return it."""
        table = self._table()
        self._store.write_tables(table)
        self._store.clear(self._points)
        return table

    def _resume(self, point: Point) -> _Begun:
        if not self._store.has_journal(point):
            return _Begun(point, [])
        with self._store.journal(point) as journal:
            one = _Begun(point, list(journal.read()))
        for part in one.parts:
            self._note(point, part)
        return one

    def _note(self, point: Point, part: Answers) -> None:
        self._windows_done += len(window_numbers(part))
        self._energy_j += total_power_w(part) * point.horizon.demand.window_s

    def _finish(self, one: _Begun) -> None:
        """Make the schedule of a point, check it, and keep what is known of it."""
        schedule = assemble(one.point.horizon, one.parts)
        record = record_of(one.point, schedule)
        self._store.keep(one.point, record, schedule)
        self._records[one.point.digest] = record
        one.parts.clear()
        if one.journal is not None:
            one.journal.__exit__(None, None, None)
            one.journal.remove()
            one.journal = None
        self._store.write_tables(self._table())  # so that there is something to look at before the end

    def _table(self) -> pd.DataFrame:
        rows = [
            {"point": point.name, **point.inputs, **self._records[point.digest], "digest": point.digest}
            for point in self._points
            if point.digest in self._records
        ]
        return table_of(rows)

    def _tell(self) -> None:
        self._progress(
            SweepState(
                num_points=len(self._points),
                points_done=len(self._records),
                num_windows=sum(point.horizon.demand.num_windows for point in self._points),
                windows_done=self._windows_done,
                serving_energy_j=self._energy_j,
            )
        )
