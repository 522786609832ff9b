"""dynaopt: plan LLM-inference clusters for the least energy that keeps every latency objective."""

import logging
from importlib.metadata import version

from dynaopt.accounts import priced
from dynaopt.allocation import Allocation, InstanceGroup, Route
from dynaopt.check import check, check_allocation
from dynaopt.coupling import Coupling
from dynaopt.demand import Demand, demand_names, read_demand, write_demand
from dynaopt.errors import DynaoptError, InputError
from dynaopt.horizon import plan
from dynaopt.objective import Objective
from dynaopt.pareto import ParetoFront, pareto_front
from dynaopt.perturbation import Perturbation
from dynaopt.planner import Planner
from dynaopt.price_series import PriceSeries, read_series
from dynaopt.prices import prices, problem_prices
from dynaopt.problem import Cluster, Problem, WindowDemand
from dynaopt.profile import LoadCurve, Profile
from dynaopt.profile_io import list_profiles, read_profile, write_profile
from dynaopt.relaxations import Relaxation, relaxation_table, relaxations
from dynaopt.replan import Replan
from dynaopt.replay import replay
from dynaopt.replay_options import ReplayOptions
from dynaopt.replay_result import ReplayResult
from dynaopt.report import write_report
from dynaopt.request_class import REQUEST_CLASSES, CutPoints
from dynaopt.result import Result, Termination
from dynaopt.robustness import Robustness, perturb
from dynaopt.schedule import Schedule
from dynaopt.schedule_io import read_schedule, write_schedule
from dynaopt.single_pool import best_single_pool, single_pool
from dynaopt.slo import Slo, read_slo
from dynaopt.solvers import solve, solver_names
from dynaopt.sweep import Sweep, sweep
from dynaopt.sweep_spec import SweepSpec, read_sweep_spec
from dynaopt.trace import read_trace
from dynaopt.violations import Violation

__version__ = version("dynaopt")

__all__ = [
    "REQUEST_CLASSES",
    "Allocation",
    "Cluster",
    "Coupling",
    "CutPoints",
    "Demand",
    "DynaoptError",
    "InputError",
    "InstanceGroup",
    "LoadCurve",
    "Objective",
    "ParetoFront",
    "Perturbation",
    "Planner",
    "PriceSeries",
    "Problem",
    "Profile",
    "Relaxation",
    "Replan",
    "ReplayOptions",
    "ReplayResult",
    "Result",
    "Robustness",
    "Route",
    "Schedule",
    "Slo",
    "Sweep",
    "SweepSpec",
    "Termination",
    "Violation",
    "WindowDemand",
    "best_single_pool",
    "check",
    "check_allocation",
    "demand_names",
    "list_profiles",
    "pareto_front",
    "perturb",
    "plan",
    "priced",
    "prices",
    "problem_prices",
    "read_demand",
    "read_profile",
    "read_schedule",
    "read_series",
    "read_slo",
    "read_sweep_spec",
    "read_trace",
    "relaxation_table",
    "relaxations",
    "replay",
    "single_pool",
    "solve",
    "solver_names",
    "sweep",
    "write_demand",
    "write_profile",
    "write_report",
    "write_schedule",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
