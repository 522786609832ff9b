"""Fixtures that several test modules use."""

import pytest
from hypothesis import settings
from profile_faults import TINY

from dynaopt.phase_model import PhaseModel, read_phase_model
from dynaopt.phase_reference import SHIPPED_POINTS, ReferencePoints, read_points
from dynaopt.profile import Profile
from dynaopt.profile_io import read_profile
from dynaopt.solvers import solver_names

# The first example of a test compiles, and a loaded machine is slow: neither is a fault.
settings.register_profile("dynaopt", deadline=None)
settings.load_profile("dynaopt")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let ``--solvers highs,cbc`` choose the solvers of the conformance tests; all by default."""
    parser.addoption("--solvers", default=",".join(solver_names()), help="names, separated by commas")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `solver_name` once for each chosen solver."""
    if "solver_name" in metafunc.fixturenames:
        metafunc.parametrize("solver_name", metafunc.config.getoption("solvers").split(","))


@pytest.fixture(scope="session")
def chosen_solvers(pytestconfig: pytest.Config) -> list[str]:
    """Return the names given with ``--solvers``."""
    return pytestconfig.getoption("solvers").split(",")


@pytest.fixture(scope="session")
def tiny() -> Profile:
    """Return the hand-made profile in ``tests/data/profiles/tiny``: two configurations, SS, LL and a mix."""
    return read_profile(TINY)


@pytest.fixture(scope="module")
def model() -> PhaseModel:
    """Return the phase model of the profile that a plan takes by default."""
    return read_phase_model("llama2-70b-h100")


@pytest.fixture(scope="module")
def points() -> ReferencePoints:
    """Return the measurements that it was fitted to."""
    return read_points(SHIPPED_POINTS / "llama2-70b-h100")
