"""A solver of a few lines, for tests of what surrounds solvers: each class by itself, on the first configuration."""

import math
import os
import signal
import time

from dynaopt import solvers
from dynaopt.allocation import Load, make_allocation
from dynaopt.problem import Problem
from dynaopt.result import Result, Termination

NAME = "simple"


class Simple:
    """Shares each class's load equally over the fewest instances; counts its calls in a file if one is named."""

    name = NAME
    proves = False

    def solve(self, problem: Problem, *, time_limit_s: float | None, gap_tolerance: float) -> Result:  # noqa: ARG002
        """Solve a problem; see `Solver.solve`."""
        time.sleep(float(os.environ.get("SIMPLE_SLEEP_S", "0")))
        if "SIMPLE_COUNT_FILE" in os.environ:
            with open(os.environ["SIMPLE_COUNT_FILE"], "a") as file:  # noqa: PTH123
                file.write(f"{problem.demand.start.isoformat()}\n")
        loads, flows = [], []
        for number, pool in enumerate(problem.pools):
            if pool.rate_rps > 0:
                option = pool.options[0]
                count = math.ceil(pool.rate_rps / option.capacity_rps * (1 - 1e-9))
                loads.append(Load(pool=number, option=option, num_instances=count, rate_rps=pool.rate_rps / count))
                flows.append((number, number, pool.rate_rps))
        used = sum(load.num_instances * load.option.tp for load in loads)
        if used > problem.num_gpus:
            reason = f"needs {used} GPUs of {problem.num_gpus}"
            return Result(solver=NAME, termination=Termination.INFEASIBLE, reason=reason, runtime_s=0.001)
        allocation = make_allocation(problem, loads, flows)
        return Result(
            solver=NAME,
            termination=Termination.FEASIBLE,
            allocation=allocation,
            lower_bound_w=0.5 * allocation.power_w,
            gap_tolerance=gap_tolerance,
            runtime_s=time.perf_counter() % 1,
        )


def register() -> None:
    """Add it to the registry of this process."""
    solvers._SOLVERS[NAME] = "simple_solver:Simple"


def die(*_: object) -> None:
    """End the process that this is called in, as the system does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def own_process() -> str:
    """Return a text that is another in every process, to stand for a version."""
    return f"process {os.getpid()}"
