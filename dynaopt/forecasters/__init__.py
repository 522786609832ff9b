"""Forecasters of demand, by name. Adding one takes its own file and one line in `_FORECASTERS`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from dynaopt.errors import InvalidInputError, UnknownNameError
from dynaopt.forecasters.base import Forecast, Forecaster, History, history_of
from dynaopt.forecasters.simple import LastValue, Perfect
from dynaopt.forecasters.template import Template

__all__ = ["ORACLE", "Forecast", "Forecaster", "History", "forecaster_names", "get_forecaster", "history_of"]

ORACLE = "oracle"
"""The name of the forecaster that knows what comes."""

_FORECASTERS: dict[str, Callable[[History], Forecaster]] = {
    ORACLE: Perfect,
    "last": lambda _: LastValue(),
    "template": lambda _: Template(),
    "scaled-template": lambda _: Template(scaled=True),
    "statsmodels": lambda _: _structural(),
}


def forecaster_names() -> tuple[str, ...]:
    """Return the names of all forecasters, the oracle first."""
    return tuple(_FORECASTERS)


def get_forecaster(name: str, truth: History) -> Forecaster:
    """Return a forecaster by name, fresh.

    Parameters
    ----------
    name
        One of `forecaster_names`.
    truth
        What really comes; only the oracle is given it.

    Raises
    ------
    UnknownNameError
        If there is none of that name.
    InvalidInputError
        If it needs a package that is not installed.
    """
    if name not in _FORECASTERS:
        raise UnknownNameError("option forecast", expected=f"one of {', '.join(_FORECASTERS)}", found=f"'{name}'")
    return _FORECASTERS[name](truth)


def _structural() -> Forecaster:
    if find_spec("statsmodels") is None:
        raise InvalidInputError(
            "option forecast",
            expected="statsmodels to be installed",
            found="no such package",
            hint="pip install 'dynaopt[forecast]'",
        )
    # Loaded on demand: it takes a second that others need not spend.
    return cast("Forecaster", import_module("dynaopt.forecasters.structural").Structural())
