"""Tests of `dynaopt.json_fields`."""

from pathlib import Path

import pytest

from dynaopt.errors import InvalidInputError
from dynaopt.json_fields import Fields, read_documents

FIELDS = Fields("a.json", {"n": 2, "x": 1.5, "t": "yes", "o": {"n": 3}, "l": [{"n": 4}, {}], "z": None, "b": True})


def test_values() -> None:
    """Tests each kind of value, and that null is as good as none."""
    assert (FIELDS.number("x"), FIELDS.whole("n"), FIELDS.text("t")) == (1.5, 2, "yes")
    assert FIELDS.section("o").whole("n") == 3
    assert [part.has("n") for part in FIELDS.sections("l")] == [True, False]
    assert (FIELDS.has("t"), FIELDS.has("z"), FIELDS.has("w")) == (True, False, False)


def test_names_of_other_versions() -> None:
    """Tests that the first name that is there counts, and that the first of all is asked for where none is."""
    assert FIELDS.number("z", "x") == 1.5
    with pytest.raises(InvalidInputError, match="key 'y': expected a number of at least 0, got none"):
        FIELDS.number("y", "z")


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda f: f.section("o").number("m"), r"a\.json, key 'o\.m': expected a number of at least 0, got none"),
        (lambda f: f.sections("l")[1].text("t"), r"key 'l\.1\.t': expected a text, got none"),
        (lambda f: f.section("l"), "key 'l': expected an object"),
        (lambda f: f.sections("o"), "key 'o': expected a list of objects"),
        (lambda f: f.number("b"), "key 'b': expected a number of at least 0, got true"),
        (lambda f: f.whole("x"), "key 'x': expected an integer, got 1.5"),
        (lambda f: f.text("n"), "key 'n': expected a text, got 2"),
    ],
)
def test_faults(read, message: str) -> None:
    """Tests that the whole way to a key is told, and what was found."""
    with pytest.raises(InvalidInputError, match=message):
        read(FIELDS)


def test_zero_and_infinity() -> None:
    """Tests bounds: 0 where it must be positive, below 0 and infinity anywhere."""
    fields = Fields("a.json", {"zero": 0, "less": -1, "much": float("inf")})
    assert fields.number("zero") == 0
    for key, positive in (("zero", True), ("less", False), ("much", False)):
        with pytest.raises(InvalidInputError, match=f"key '{key}'"):
            fields.number(key, positive=positive)


def test_documents(tmp_path: Path) -> None:
    """Tests one object, and several with whatever space between."""
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}\n\n{"a": 2}{"a": 3}\n')
    assert [document.whole("a") for document in read_documents(path)] == [1, 2, 3]
