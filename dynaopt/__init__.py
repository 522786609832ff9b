"""dynaopt: plan LLM-inference clusters for the least energy that keeps every latency objective."""

import logging
from importlib.metadata import version

from dynaopt.errors import DynaoptError, InputError
from dynaopt.problem import Cluster, Problem
from dynaopt.profile import Profile
from dynaopt.request_class import REQUEST_CLASSES, CutPoints
from dynaopt.result import Result, Termination
from dynaopt.slo import Slo, read_slo
from dynaopt.solvers import solve, solver_names

__version__ = version("dynaopt")

__all__ = [
    "REQUEST_CLASSES",
    "Cluster",
    "CutPoints",
    "DynaoptError",
    "InputError",
    "Problem",
    "Profile",
    "Result",
    "Slo",
    "Termination",
    "read_slo",
    "solve",
    "solver_names",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
