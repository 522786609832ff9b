"""Tests of `dynaopt.backtest`."""

import numpy as np
import pytest
from forecast_builders import make_history

from dynaopt.backtest import backtest
from dynaopt.errors import InvalidInputError
from dynaopt.forecasters.simple import LastValue, Perfect


def test_errors_by_hand() -> None:
    """Tests reacting on 10, 20, 10, 20: one step ahead all 3 forecasts are off by 10, over a mean of 50 / 3.

    Of the signed errors -10, 10, -10 the mean is -10 / 3, over 50 / 3: a bias of -0.2.
    """
    found = backtest(LastValue(), make_history([10, 20, 10, 20]), np.ones(9), steps=1).errors
    row = found[(found["request_class"] == "SS") & (found["step"] == 1)].iloc[0]
    assert (row["mae_rps"], row["wape"], row["bias"]) == pytest.approx((10, 0.6, -0.2))
    assert np.isnan(found.loc[found["request_class"] == "LL", "wape"]).all()


def test_the_oracle_has_no_errors_and_all_coverage() -> None:
    """Tests that nothing is off, two steps ahead, and that its margins fall to 1 once they are learnt."""
    history = make_history(list(np.random.default_rng(0).uniform(1, 9, 120)))
    found = backtest(Perfect(history), history, np.ones(9), steps=2, first=30)
    assert (found.errors["mae_rps"] == 0).all()
    assert (found.coverage["coverage"] == 1).all()
    assert (found.coverage["mean_margin"] == 1).all()


def test_coverage_is_near_its_quantile() -> None:
    """Tests that margins of noise without a trend cover what they say, to within five points."""
    history = make_history(list(np.random.default_rng(1).lognormal(3, 0.2, 900)), window_s=600.0)
    found = backtest(LastValue(), history, np.ones(9), steps=1, first=300).coverage
    assert np.allclose(found["coverage"], found["quantile"], atol=0.05)


def test_something_must_be_left_to_foretell() -> None:
    """Tests that a history no longer than the steps is refused."""
    with pytest.raises(InvalidInputError, match="first"):
        backtest(LastValue(), make_history([1, 2]), np.ones(9), steps=2)
