"""Tests of `dynaopt.errors`."""

import pickle

import pytest

from dynaopt.errors import InputError, InvalidInputError, MissingFileError, UnknownNameError, location

KINDS = {InvalidInputError: ValueError, MissingFileError: FileNotFoundError, UnknownNameError: LookupError}


def test_message_says_where_expected_found_and_hint() -> None:
    """Tests that the four parts stand in one line, in this order."""
    error = InvalidInputError("load.csv, line 3", expected="a number", found="'x'", hint="write 3.5")
    assert str(error) == "load.csv, line 3: expected a number, got 'x'; write 3.5"


@pytest.mark.parametrize(("kind", "builtin"), KINDS.items())
def test_each_kind_is_the_builtin_that_a_caller_would_catch(kind: type[InputError], builtin: type[Exception]) -> None:
    """Tests that a caller who knows only Python's own exceptions catches ours, with our text."""
    with pytest.raises(builtin) as caught:
        raise kind("here", expected="this", found="that")
    assert str(caught.value) == "here: expected this, got that"


@pytest.mark.parametrize("kind", KINDS)
def test_errors_survive_the_way_home_from_a_worker(kind: type[InputError]) -> None:
    """Tests that pickling keeps the kind, the parts and the text."""
    error = kind("here", expected="this", found="that", hint="type those")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert (copy.where, copy.expected, copy.found, copy.hint) == ("here", "this", "that", "type those")


def test_location_names_what_is_known() -> None:
    """Tests that file, line, row and column appear when they are given and only then."""
    assert location("a.csv") == "a.csv"
    assert location("a.csv", line=14, column="power_w") == "a.csv, line 14, column 'power_w'"
    assert location("a.parquet", row=2) == "a.parquet, row 2"
