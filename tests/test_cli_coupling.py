"""Mirror tests of `dynaopt.cli_coupling`: the options of a coupled plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynaopt.cli_coupling import CouplingOptions, make_coupling
from dynaopt.errors import InvalidInputError


def test_without_coupled_there_is_none() -> None:
    """Tests that windows are planned by themselves unless it is asked."""
    assert make_coupling(CouplingOptions(False, None, None, None)) is None


def test_reads_what_is_asked(tmp_path: Path) -> None:
    """Tests that lengths of time, numbers and a table of running instances arrive in `Coupling`."""
    table = tmp_path / "running.csv"
    table.write_text("model,tp,num_instances\nm,8,3\nm,2,1\n", encoding="utf-8")
    coupling = make_coupling(CouplingOptions(True, "30min", 2, table))
    assert coupling is not None
    assert (coupling.min_up_s, coupling.max_starts) == (1800.0, 2)
    assert [(row.tp, row.num_instances) for row in coupling.initial or ()] == [(2, 1), (8, 3)]


@pytest.mark.parametrize(
    "asked", [CouplingOptions(False, "30min", None, None), CouplingOptions(False, None, 1, None)], ids=str
)
def test_refuses_limits_of_starts_for_windows_by_themselves(asked: CouplingOptions) -> None:
    """Tests that what only a coupled plan can keep is refused without one, and the message names what to type."""
    with pytest.raises(InvalidInputError, match="--coupled"):
        make_coupling(asked)


def test_refuses_a_time_that_is_none() -> None:
    """Tests that the message names the option."""
    with pytest.raises(InvalidInputError, match="--min-up"):
        make_coupling(CouplingOptions(True, "soon", None, None))
