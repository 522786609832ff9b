"""A Dask scheduler and worker processes on loopback, all of which are gone when the block ends."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, Self

TESTS = Path(__file__).parent
_ADDRESS = re.compile(r"Scheduler at:\s+(tcp://\S+)")


class DaskCluster:
    """A real scheduler and workers of one thread, each a process of its own. A context.

    Parameters
    ----------
    num_workers
        How many to start with.
    sleep_s
        What the simple solver waits in each window.
    allowed_failures
        Workers that a chunk may cost beyond the first; 3 by default, as Dask has it.
    """

    def __init__(self, num_workers: int, *, sleep_s: float = 0.0, allowed_failures: int = 3) -> None:
        self._env = {**os.environ, "SIMPLE_SLEEP_S": str(sleep_s), "DASK_LOGGING__DISTRIBUTED": "info"}
        self._env["PYTHONPATH"] = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._env["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"] = str(allowed_failures)
        self._num_workers = num_workers
        self.workers: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> Self:
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", stderr=subprocess.PIPE)
        assert self.scheduler.stderr is not None
        self.address = _read_address(self.scheduler.stderr)
        for _ in range(self._num_workers):
            self.add_worker()
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
        for process in (*self.workers, self.scheduler):
            process.wait()

    def add_worker(self) -> None:
        """Start one more worker, without a nanny that would start another in its place."""
        options = ["--nthreads", "1", "--no-nanny", "--preload", "dask_preload"]
        self.workers.append(self._start("worker", self.address, *options, stderr=subprocess.DEVNULL))

    def _start(self, what: str, *options: str, stderr: int) -> "subprocess.Popen[Any]":
        command = [sys.executable, "-W", "ignore", "-m", f"distributed.cli.dask_{what}", *options, "--no-dashboard"]
        return subprocess.Popen(command, cwd=TESTS, env=self._env, stdout=subprocess.DEVNULL, stderr=stderr)


def _read_address(lines: IO[bytes]) -> str:
    for line in lines:
        match = _ADDRESS.search(line.decode())
        if match:
            # What the scheduler says later has to be read too, or it would stop when the pipe is full.
            threading.Thread(target=lines.read, daemon=True).start()
            return match[1]
    raise AssertionError("the scheduler ended before it told its address")
