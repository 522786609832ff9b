"""Mirror tests of `dynaopt.cli_coupling`: the options of a coupled plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynaopt.cli_coupling import CouplingOptions, make_coupling
from dynaopt.errors import InvalidInputError


@pytest.mark.parametrize(
    ("asked", "is_coupled"),
    [
        (CouplingOptions(), True),
        (CouplingOptions(True), True),
        (CouplingOptions(min_up="30min"), True),
        (CouplingOptions(False), False),
        (CouplingOptions(False, solver="highs", time_limit_s=1.0), False),
        (CouplingOptions(solver="highs"), False),
        (CouplingOptions(time_limit_s=1.0), False),
    ],
    ids=str,
)
def test_windows_are_coupled_unless_something_else_is_asked(asked: CouplingOptions, is_coupled: bool) -> None:
    """Tests the default, and that a solver or a time limit, which are of single windows, means window by window."""
    assert (make_coupling(asked) is not None) is is_coupled


def test_reads_what_is_asked(tmp_path: Path) -> None:
    """Tests that lengths of time, numbers and a table of running instances arrive in `Coupling`."""
    table = tmp_path / "running.csv"
    table.write_text("model,tp,num_instances\nm,8,3\nm,2,1\n", encoding="utf-8")
    coupling = make_coupling(CouplingOptions(True, "30min", 2, table))
    assert coupling is not None
    assert (coupling.min_up_s, coupling.max_starts) == (1800.0, 2)
    assert [(row.tp, row.num_instances) for row in coupling.initial or ()] == [(2, 1), (8, 3)]


@pytest.mark.parametrize(
    ("asked", "option", "beside"),
    [
        (CouplingOptions(False, "30min"), "--myopic", "--min-up"),
        (CouplingOptions(False, max_starts=1), "--myopic", "--max-starts"),
        (CouplingOptions(solver="highs", max_starts=1), "--solver", "--max-starts"),
        (CouplingOptions(True, solver="highs"), "--solver", "--coupled"),
        (CouplingOptions(True, time_limit_s=1.0), "--time-limit", "--coupled"),
    ],
    ids=str,
)
def test_refuses_what_goes_only_with_the_other_way(asked: CouplingOptions, option: str, beside: str) -> None:
    """Tests that limits of starts without coupling, and solvers of windows with it, are refused by name."""
    with pytest.raises(InvalidInputError, match=f"option {option}: .*{beside} beside it; .*leave one of the two out"):
        make_coupling(asked)


def test_refuses_a_time_that_is_none() -> None:
    """Tests that the message names the option."""
    with pytest.raises(InvalidInputError, match="--min-up"):
        make_coupling(CouplingOptions(True, "soon", None, None))
