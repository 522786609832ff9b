"""Tests of a Dask cluster: a real scheduler and worker processes on loopback, some of which die."""

import gc
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import simple_solver
from dask_cluster import DaskCluster
from planning import make_small_profile, make_week
from sweeping import kept, write_sweep

pytest.importorskip("distributed")

from dynaopt import dask_workers, window_worker
from dynaopt.answers import Answers, join_answers, window_numbers
from dynaopt.chunk_worker import Parcel
from dynaopt.errors import InvalidInputError, MissingFileError, SolverError
from dynaopt.problem import Cluster
from dynaopt.slo import Slo
from dynaopt.sweep import SweepState, sweep
from dynaopt.window_task import Task
from dynaopt.window_worker import Job, solve_jobs

# Tornado and the event loop may still hold a socket when a test that killed its peer ends.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
NUM_WINDOWS = 40


@pytest.fixture(autouse=True)
def _collect() -> Iterator[None]:
    """Let what a lost peer left behind be collected here, where it is known, and not in the middle of another test."""
    yield
    gc.collect()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[DaskCluster]:
    """Return two workers that take 0.05 s for a window, and have chunks made that are of one or two windows."""
    monkeypatch.setattr(window_worker, "_CHUNK_S", 0.1)
    with DaskCluster(2, sleep_s=0.05) as started:
        yield started


def make_job(num_gpus: int = 64) -> Job:
    """Return the windows of a small week, for the simple solver."""
    simple_solver.register()
    task = Task(
        profiles={"tiny-model": make_small_profile()},
        slo=Slo.table_iv(),
        cluster=Cluster(num_gpus=num_gpus, headroom=0.0),
        solver=simple_solver.NAME,
        time_limit_s=None,
        gap_tolerance=0.0,
    )
    return Job(task=task, numbers=range(NUM_WINDOWS), window=make_week(NUM_WINDOWS, model="tiny-model").window)


def solve(on_chunk: Callable[[int], None] = lambda _: None, *jobs: Job, **where: Any) -> list[dict[str, Any]]:
    """Solve jobs and return the tables of each, but for the times that solvers took; tell windows as they finish."""
    jobs = jobs or (make_job(),)
    parts: list[list[Answers]] = [[] for _ in jobs]

    def keep(job: int, answers: Answers) -> None:
        parts[job].append(answers)
        on_chunk(sum(len(window_numbers(part)) for own in parts for part in own))

    solve_jobs(jobs, keep=keep, **where)
    frames = [join_answers(own) for own in parts]
    return [f | {"windows": f["windows"].drop(columns="runtime_s")} for f in frames]


def closed(_: object) -> None:
    """Fail as a client does whose scheduler is gone."""
    raise OSError("closed")


def assert_equal(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Compare tables bit for bit."""
    for one, other in zip(found, expected, strict=True):
        assert list(one) == list(other)
        for name in one:
            assert one[name].to_json(double_precision=15) == other[name].to_json(double_precision=15)
            assert one[name].equals(other[name])


def test_a_sweep_is_the_same_bytes_on_a_cluster_of_which_a_worker_is_killed(
    cluster: DaskCluster, tmp_path: Path
) -> None:
    """Tests a sweep on two workers, one of which is killed (-9) at work, against this process: every file the same."""
    path = write_sweep(tmp_path, services='"week.csv"', schedules="true")
    states: list[SweepState] = []
    killed_at: list[int] = []

    def kill(state: SweepState) -> None:
        states.append(state)
        if state.windows_done >= 25 and not killed_at:
            killed_at.append(state.windows_done)
            cluster.workers[0].kill()

    simple_solver.register()
    sweep(path, out=tmp_path / "cluster", dask=cluster.address, progress=kill)
    assert killed_at
    assert killed_at[0] < states[-1].num_windows - 8  # chunks were still on their way to the worker
    assert cluster.workers[0].wait(10) == -9
    sweep(path, out=tmp_path / "here", workers=1)
    assert kept(tmp_path / "cluster") == kept(tmp_path / "here")
    assert len(states) > 2 * states[-1].num_points  # told chunk by chunk


def test_work_goes_on_when_all_workers_are_lost_and_another_comes(cluster: DaskCluster) -> None:
    """Tests that nothing lies on a worker alone, the task that all chunks need included."""
    lost = threading.Event()

    def lose_all(num_done: int) -> None:
        if num_done >= 10 and not lost.is_set():
            lost.set()
            for worker in cluster.workers:
                worker.kill()
                worker.wait()
            cluster.add_worker()

    found = solve(lose_all, dask=cluster.address)
    assert lost.is_set()
    assert_equal(found, solve(workers=1))


def test_a_lost_scheduler_is_told_and_keeps_what_was_finished(cluster: DaskCluster) -> None:
    """Tests that the run ends with a sentence, after some windows and before all."""
    done: list[int] = []

    def kill(num_done: int) -> None:
        done.append(num_done)
        if num_done >= 10:
            cluster.scheduler.kill()

    with pytest.raises(SolverError, match=r"Dask scheduler tcp://.* was lost.*what is finished is kept"):
        solve(kill, dask=cluster.address)
    assert 10 <= done[-1] < NUM_WINDOWS


def test_failures_on_a_worker_come_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests the error of a solver, of another version, of a closed connection, and a chunk that kills its worker.

    The scheduler is named by its file here, which a batch system passes round instead of an address; it gives a chunk
    up at the first death instead of the fourth.
    """
    file = tmp_path / "scheduler.json"
    job = make_job()
    with DaskCluster(1, allowed_failures=0) as cluster:
        file.write_text(json.dumps({"address": cluster.address}))
        broken = Job(task=job.task, numbers=[0, 1], window=lambda _: None)  # type: ignore[arg-type,return-value]
        with pytest.raises(AttributeError):
            solve(lambda _: None, broken, dask=str(file))
        with monkeypatch.context() as patch:
            patch.setattr(dask_workers, "pack", lambda task: Parcel("token", b"", "0.0.1"))
            with pytest.raises(InvalidInputError, match=r"worker: expected dynaopt 0.0.1 as where it is planned, got"):
                solve(dask=str(file))
        with monkeypatch.context() as patch:
            patch.setattr(dask_workers, "own_version", simple_solver.own_process)
            expected = r"Dask worker tcp://.*: expected dynaopt process \d+ on every worker"
            with pytest.raises(InvalidInputError, match=expected):
                solve(dask=str(file))
        with monkeypatch.context() as patch:
            patch.setattr(dask_workers.Client, "nthreads", closed)
            with pytest.raises(SolverError, match=r"was lost, or forgot its work \(closed\): what is finished is kept"):
                solve(dask=str(file))
        monkeypatch.setattr(dask_workers, "solve_parcel", simple_solver.die)
        expected = r"workers died again and again in windows 2024-05-12 00:00 to 2024-05-12 00:00"
        with pytest.raises(SolverError, match=expected):
            solve(lambda _: None, Job(task=job.task, numbers=[0], window=job.window), dask=str(file))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere://x"])
def test_an_address_at_which_nothing_answers_is_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that the option, what was expected and what was typed are named."""
    monkeypatch.setattr(dask_workers, "_CONNECT_S", 0.5)
    expected = f"option dask: expected the address of a Dask scheduler that answers, .*got '{address}'"
    start_s = time.monotonic()
    with pytest.raises(InvalidInputError, match=expected):
        solve(dask=address)
    assert time.monotonic() - start_s < 30


def test_a_scheduler_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Tests that it is not waited for, as Dask would."""
    with pytest.raises(MissingFileError, match=r"missing.json: expected the file that 'dask scheduler"):
        solve(dask=str(tmp_path / "missing.json"))


def test_a_scheduler_without_workers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that what to type is in the message."""
    monkeypatch.setattr(dask_workers, "_WAIT_FOR_WORKERS_S", 0.5)
    with DaskCluster(0) as empty, pytest.raises(InvalidInputError, match=r"a worker, got none .*type: dask worker tcp"):
        solve(dask=empty.address)
