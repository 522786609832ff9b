"""Tests of `dynaopt.replay_engines`."""

from dataclasses import replace

import numpy as np
import pytest
from replay_builders import engine_of_group, llama

from dynaopt.errors import InvalidInputError
from dynaopt.replay_engines import EngineTable
from dynaopt.replay_windows import Group, WindowPlan

SLOW = Group("SS", 2, 1200, 1, 1.0, 400.0)
FAST = Group("LL", 8, 1980, 1, 1.0, 3000.0)


def test_each_configuration_has_a_row_and_one_for_the_highest_clock() -> None:
    """Tests two groups, one of which runs at the highest clock: three rows, that are what the profile says."""
    table = EngineTable(llama(), [WindowPlan((SLOW, FAST), ()), WindowPlan((SLOW,), ())])
    own, top = table.rows(SLOW)
    assert own != top
    assert len(table.engines.token_budget) == 3
    assert len(set(table.rows(FAST))) == 1
    for row, frequency_mhz in ((own, 1200), (top, 1980)):
        engine = engine_of_group(("SS", 2, frequency_mhz, 1, 1.0))
        np.testing.assert_array_equal(table.engines.coefficients[row], engine.coefficients)
        assert table.engines.idle_power_w[row] == engine.idle_power_w
        assert table.engines.token_budget[row] == engine.token_budget
        assert table.engines.max_num_seqs[row] == engine.max_num_seqs
        assert table.engines.kv_capacity_tokens[row] == engine.kv_capacity_tokens


def test_no_more_sequences_than_the_budget_has_tokens() -> None:
    """Tests an engine that is set to admit more requests than it has tokens."""
    profile = llama()
    options = tuple(o.model_copy(update={"token_budget": 50}) for o in profile.metadata.engine_options)
    small = replace(profile, metadata=profile.metadata.model_copy(update={"engine_options": options}))
    assert EngineTable(small, [WindowPlan((FAST,), ())]).engines.max_num_seqs.tolist() == [50]


def test_nothing_runs_nothing_is_needed() -> None:
    """Tests a plan without a group."""
    assert len(EngineTable(llama(), [WindowPlan((), ())]).engines.token_budget) == 0


def test_profile_of_curves_alone_cannot_be_replayed() -> None:
    """Tests a profile without a phase model."""
    with pytest.raises(InvalidInputError, match=r"expected a phase model, phase\.toml"):
        EngineTable(replace(llama(), phase_model=None), [])


def test_engine_without_options_is_refused() -> None:
    """Tests a clock that the profile has no engine for."""
    with pytest.raises(InvalidInputError, match="none for TP8 at 1234 MHz in pool LL"):
        EngineTable(llama(), [WindowPlan((replace(FAST, frequency_mhz=1234),), ())])
