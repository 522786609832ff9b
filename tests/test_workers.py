"""Tests of where chunks are solved: processes of this machine that die, and the extra that a cluster needs."""

import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from planning import make_week
from test_window_task import make_task

from dynaopt import workers
from dynaopt.answers import window_numbers
from dynaopt.chunk_worker import Chunk
from dynaopt.errors import InvalidInputError, SolverError
from dynaopt.workers import LocalWorkers, Packer, check_workers, dask_workers, num_cores


def make_chunks(number: int) -> list[Chunk]:
    """Return chunks of one window each, for a solver that worker processes have."""
    week, task = make_week(number, model="tiny-model"), make_task(solver="greedy")
    return [Chunk(0, task, ((n, week.window(n)),)) for n in range(number)]


def solved(pool: LocalWorkers, chunks: list[Chunk]) -> Iterator[int]:
    """Iterate over the numbers of windows as they are answered."""
    for chunk, answers, seconds in pool.run(iter(chunks)):
        assert list(window_numbers(answers)) == [number for number, _ in chunk.windows]
        assert seconds > 0
        yield from window_numbers(answers)


def die_once(flag: Path, number: int, parcel: object, windows: object, planner: int) -> object:
    """Solve a chunk, but kill the process at the fifth the first time, as a file tells."""
    if number == 5 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return _solve_numbered(number, parcel, windows, planner)  # type: ignore[arg-type]


def die(number: int, parcel: object, windows: object, planner: int) -> object:
    """Kill the process."""
    os.kill(os.getpid(), signal.SIGKILL)


_solve_numbered = workers._solve_numbered


def test_a_worker_that_dies_costs_its_chunk_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests kill -9 of a worker of two at the fifth chunk of twenty: every window is answered, and once."""
    # Bound here, not told by the environment: joblib keeps processes that an earlier test started.
    monkeypatch.setattr(workers, "_solve_numbered", partial(die_once, tmp_path / "died"))
    found = list(solved(LocalWorkers(2), make_chunks(20)))
    assert (tmp_path / "died").exists()
    assert sorted(found) == list(range(20))


def test_workers_that_die_at_once_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a chunk that no process survives is told with its windows and not tried without end."""
    monkeypatch.setattr(workers, "_solve_numbered", die)
    with pytest.raises(SolverError, match=r"workers died again and again in windows 2024-05-12 00:00 to 2024-05-12"):
        list(solved(LocalWorkers(2), make_chunks(3)))


def test_a_task_is_packed_once_for_all_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that chunks of one task share a parcel, and those of the next have another."""
    packer, one, other = Packer(), make_task(), make_task(solver="greedy")
    parcels = [packer.pack(task) for task in (one, one, other, other)]
    assert parcels[0] is parcels[1]
    assert parcels[2] is parcels[3]
    assert parcels[0].token != parcels[2].token


def test_the_extra_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that without `distributed` the message says what to type, and that other faults are not hidden by it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "dynaopt.dask_workers", raising=False)
    with pytest.raises(InvalidInputError, match=r"option dask: .*'distributed'.*pip install 'dynaopt\[dask\]'"):
        dask_workers("tcp://127.0.0.1:8786")
    monkeypatch.setattr(workers, "_DASK", "dynaopt.no_such_module")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        dask_workers("tcp://127.0.0.1:8786")


def test_a_number_of_workers_is_checked() -> None:
    """Tests that there is at least one, and that a cluster brings its own."""
    check_workers(None)
    check_workers(3)
    check_workers(None, "tcp://127.0.0.1:8786")
    with pytest.raises(InvalidInputError, match="option workers: expected at least 1, got 0"):
        check_workers(0)
    with pytest.raises(InvalidInputError, match=r"option workers: expected none with Dask, .* got 2 beside"):
        check_workers(2, "tcp://127.0.0.1:8786")
    assert num_cores() >= 1
