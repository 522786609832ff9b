"""How the command line fails: one line on stderr that says where, what was expected and what was found, and a code."""

from __future__ import annotations

import re
import sys

import typer

from dynaopt.errors import DynaoptError, InputError

DONE = 0
NO_SOLUTION = 1
BAD_INPUT = 2
INTERRUPTED = 130

# Typer brings its own copy of Click since 0.20 and used the real one before; both hang this class off BadParameter.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]

# The library names its keywords; the reader typed options.
_OPTION_OF_KEYWORD = {
    "num_gpus": "--gpus",
    "headroom": "--headroom",
    "reserve": "--reserve",
    "power_cap_w": "--power-cap",
    "unused_gpus": "--unused-gpus",
    "fixed_mix": "--fixed-mix",
    "solver": "--solver",
    "solvers": "--solver",
    "policies": "--policies",
    "time_limit_s": "--time-limit",
    "gap_tolerance": "--gap",
    "workers": "--workers",
    "dask": "--dask",
    "window_s": "--window",
    "cut_points": "--cut-points",
    "out": "--out",
    "repeats": "--repeats",
    "family": "--family",
    "objective": "--objective",
    "weights": "--weights",
    "price_per_kwh": "--price",
    "price_per_gpu_hour": "--gpu-price",
    "carbon_g_per_kwh": "--carbon",
    "carbon_g_per_gpu_hour": "--gpu-carbon",
    "pue": "--pue",
    "x": "--x",
    "y": "--y",
    "points": "--points",
    "slo_range": "--slo-range",
    "host_w": "--host-power",
    "max_mix_distance": "--mix-distance",
    "windows": "--window",
    "kinds": "--kind",
}

# What Click says, and the same in the words of `errors`. `{command}` is the command that was typed.
_USAGE_PHRASES = (
    (
        r"No such option:? '?(?P<found>[^\s'(]+)'?\.?(?P<near>.*)",
        "command line: expected an option of '{command}', got '{found}'",
    ),
    (
        r"No such command '(?P<found>.*)'\.(?P<near>.*)",
        "command line: expected a command of '{command}', got '{found}'",
    ),
    (
        r"Got unexpected extra arguments?(?:\(s\))? \((?P<found>.*)\)",
        "command line: expected no further argument, got '{found}'",
    ),
    (r"Option '(?P<at>-[^']*)' requires an argument\.?", "option {at}: expected a value, got nothing"),
    (r"Option '(?P<at>-[^']*)' does not take a value\.?", "option {at}: expected no value, got one"),
    (r"Invalid value for '(?P<at>-[^']*)'(?: / '[^']*')*: (?P<rest>expected .*)", "option {at}: {rest}"),
    (r"Missing argument '(?P<at>.*)'\.?", "command line: expected an argument {at}, got none"),
    (r"Missing option '(?P<at>.*)'\.?", "option {at}: expected a value, got none"),
    (r"Missing command\.?", "command line: expected a command of '{command}', got none"),
)


def usage_message(error: Exception) -> str:
    """Say what is wrong with a command line.

    Parameters
    ----------
    error
        What Click raised; one of `USAGE_ERROR`.

    Returns
    -------
    str
        One line, with where, what was expected and what was found wherever Click tells them apart.
    """
    text = " ".join(str(error.format_message()).split())  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "dynaopt"
    for pattern, phrase in _USAGE_PHRASES:
        match = re.fullmatch(pattern, text)
        if match:
            if "rest" in match.groupdict():
                return phrase.format(**match.groupdict())
            hints = re.findall(r"--[a-z-]+|'[a-z-]+'", match.groupdict().get("near") or "")
            near = f"; did you mean {' or '.join(hints)}?" if hints else f"; '{command} --help' lists what there is"
            return phrase.format(command=command, **match.groupdict()) + near
    return f"command line: {text}"


def input_message(error: InputError) -> str:
    """Say what is wrong with an input, naming options as the reader typed them."""
    where = error.where
    keyword = where.removeprefix("option ")
    if where != keyword and keyword in _OPTION_OF_KEYWORD:
        where = f"option {_OPTION_OF_KEYWORD[keyword]}"
    message = f"{where}: expected {error.expected}, got {error.found}"
    return f"{message}; {error.hint}" if error.hint else message


def exit_code_of(error: Exception) -> tuple[int, str]:
    """Map an exception that ends the program to its exit code and its one line.

    Parameters
    ----------
    error
        One of `DynaoptError`, `OSError` and `USAGE_ERROR`.
    """
    if isinstance(error, InputError):
        return BAD_INPUT, input_message(error)
    if isinstance(error, DynaoptError):
        return NO_SOLUTION, str(error)
    if isinstance(error, OSError):
        where = error.filename if error.filename is not None else "file system"
        return BAD_INPUT, f"{where}: expected to read or write it, got '{error.strerror or error}'"
    return BAD_INPUT, usage_message(error)


def fail(error: Exception) -> int:
    """Print the one line of an error on stderr and return its exit code."""
    code, message = exit_code_of(error)
    print("dynaopt: " + " ".join(message.split()), file=sys.stderr)
    return code
