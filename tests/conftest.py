"""Fixtures that several test modules use."""

import pytest
from profile_faults import TINY

from dynaopt.profile import Profile
from dynaopt.profile_io import read_profile


@pytest.fixture(scope="session")
def tiny() -> Profile:
    """Return the hand-made profile in ``tests/data/profiles/tiny``: two configurations, SS, LL and a mix."""
    return read_profile(TINY)
