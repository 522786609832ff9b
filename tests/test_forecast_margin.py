"""Tests of `dynaopt.forecast_margin`."""

import numpy as np
import pytest

from dynaopt.errors import InvalidInputError
from dynaopt.forecast_margin import FIRST_MARGIN, Margins
from dynaopt.forecasters import Forecast


def _told(rate: float, steps: int = 2) -> Forecast:
    return Forecast(rates_rps=np.full((steps, 9), rate), peak_factors=np.ones(steps))


def _tried(quantile: float | None, ratios: list[float]) -> Margins:
    margins = Margins(np.ones(9), 2, quantile, 100)
    for ratio in ratios:
        margins.note(_told(10.0))
        margins.came(np.full(9, 10.0 * ratio), 1.0)
    return margins


def test_margin_is_the_order_statistic() -> None:
    """Tests 99 ratios 1.01 to 1.99 at 0.9: the ceil(0.9 · 100) = 90th, 1.90; a step on one fewer."""
    found = _tried(0.9, [1 + n / 100 for n in range(1, 100)]).margins()
    assert found[0] == pytest.approx(1.90)
    assert found[1] == pytest.approx(1.91)  # 98 ratios from 1.02 on: the ceil(0.9 · 99) = 90th


def test_first_margin_is_assumed() -> None:
    """Tests that with fewer than 24 forecasts tried the assumed margin holds."""
    assert _tried(0.9, [1.0] * 23).margins().tolist() == [FIRST_MARGIN] * 2
    assert _tried(0.9, [1.0] * 25).margins().tolist() == [1.0, 1.0]


def test_without_a_quantile_there_is_no_margin() -> None:
    """Tests that None means the forecast as it is."""
    assert _tried(None, [2.0] * 50).margins().tolist() == [1.0, 1.0]


def test_peak_factors_count() -> None:
    """Tests that a busiest minute 1.5 times what was foretold makes a margin of 1.5."""
    margins = Margins(np.ones(9), 1, 0.5, 100)
    for _ in range(30):
        margins.note(_told(10.0, 1))
        margins.came(np.full(9, 10.0), 1.5)
    assert margins.margins()[0] == pytest.approx(1.5)


@pytest.mark.parametrize("quantile", [0.0, 1.0, -0.1, 2.0])
def test_quantiles_lie_between_0_and_1(quantile: float) -> None:
    """Tests that others are refused."""
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        Margins(np.ones(9), 1, quantile, 10)
