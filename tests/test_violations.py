"""Tests that violations read as sentences."""

import pandas as pd
import pytest

from dynaopt.violations import Violation, ViolationKind


def test_a_violation_says_when_where_what() -> None:
    """Tests the full form."""
    violation = Violation(
        kind=ViolationKind.TTFT,
        window_start=pd.Timestamp("2024-05-12T00:05:00Z"),
        where="llama2-70b, pool LL, TP8 at 1980 MHz",
        found="2.1",
        expected="at most 2 s",
    )
    assert str(violation) == (
        "2024-05-12 00:05, llama2-70b, pool LL, TP8 at 1980 MHz: P99 TTFT above its objective at the peak: "
        "expected at most 2 s, found 2.1"
    )


def test_a_violation_of_the_whole_schedule_says_so() -> None:
    """Tests the form without window and place."""
    violation = Violation(kind=ViolationKind.TOTAL, found="1", expected="2")
    assert str(violation) == "schedule: total: expected 2, found 1"


@pytest.mark.parametrize("kind", ViolationKind)
def test_every_kind_is_readable(kind: ViolationKind) -> None:
    """Tests that kinds are words for a person, each different."""
    assert " " in kind or kind in ("gap", "total")
    assert sum(kind.value == other.value for other in ViolationKind) == 1
