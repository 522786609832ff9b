"""Tests of how the command line words what went wrong."""

import pytest
import typer

from dynaopt.cli_errors import exit_code_of, fail, input_message, usage_message
from dynaopt.errors import InvalidInputError, MissingFileError, NoSolutionError, SolverError, UnknownNameError


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "No such option: --gpu Did you mean --gpus?",
            "expected an option of 'dynaopt', got '--gpu'; did you mean --gpus?",
        ),
        ("No such option '--gpu' (Possible options: --gpus, --gap)", "got '--gpu'; did you mean --gpus or --gap?"),
        (
            "No such command 'plam'. Did you mean 'plan'?",
            "expected a command of 'dynaopt', got 'plam'; did you mean 'plan'?",
        ),
        ("Got unexpected extra argument (b)", "expected no further argument, got 'b'"),
        ("Got unexpected extra arguments (b c)", "expected no further argument, got 'b c'"),
        ("Option '--gpus' requires an argument.", "option --gpus: expected a value, got nothing"),
        ("Option '--json' does not take a value.", "option --json: expected no value, got one"),
        ("Invalid value for '--gpus': expected an integer, got 'x'", "option --gpus: expected an integer, got 'x'"),
        ("Missing argument 'SCHEDULE_DIR'.", "expected an argument SCHEDULE_DIR, got none"),
        ("Missing command.", "expected a command of 'dynaopt', got none"),
    ],
)
def test_what_click_says_is_told_in_our_words(message: str, said: str) -> None:
    """Tests the wordings of the versions of Click that there are."""
    assert said in usage_message(typer.BadParameter.__mro__[1](message))


def test_what_click_may_say_one_day_is_passed_on() -> None:
    """Tests that an unknown wording still makes one line."""
    assert usage_message(typer.BadParameter.__mro__[1]("Something\nnew.")) == "command line: Something new."


def test_keywords_become_options() -> None:
    """Tests that a reader who typed --gpus is not told of num_gpus, and that files are left alone."""
    of_option = InvalidInputError("option num_gpus", expected="more than 0", found="0")
    of_file = InvalidInputError("num_gpus.csv, line 3", expected="a number", found="'x'", hint="look again")
    assert input_message(of_option) == "option --gpus: expected more than 0, got 0"
    assert input_message(of_file) == "num_gpus.csv, line 3: expected a number, got 'x'; look again"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInputError("a", expected="b", found="c"), 2),
        (MissingFileError("a", expected="b", found="c"), 2),
        (UnknownNameError("a", expected="b", found="c"), 2),
        (OSError(28, "No space left on device", "out/windows.csv"), 2),
        (PermissionError(13, "Permission denied", "out"), 2),
        (SolverError("the solver broke"), 1),
        (NoSolutionError("there is none"), 1),
        (typer.BadParameter("expected x, got y"), 2),
    ],
)
def test_exit_codes(error: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests 2 for bad input and 1 for no solution, always with one line on stderr and nothing on stdout."""
    assert exit_code_of(error)[0] == code
    assert fail(error) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1


def test_a_full_disk_names_the_file() -> None:
    """Tests where, expected and found for an error of the system."""
    message = exit_code_of(OSError(28, "No space left on device", "out/windows.csv"))[1]
    assert message == "out/windows.csv: expected to read or write it, got 'No space left on device'"


def test_several_lines_become_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that a message with line breaks does not break the promise of one line."""
    fail(InvalidInputError("a", expected="b", found="c\n  d"))
    assert capsys.readouterr().err == "dynaopt: a: expected b, got c d\n"
