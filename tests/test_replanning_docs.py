"""Tests that `docs/replanning.md` runs as it stands."""

import re
from pathlib import Path

import pytest

import dynaopt

DOCS = (Path(__file__).parents[1] / "docs" / "replanning.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", DOCS, flags=re.DOTALL)


def test_the_first_block(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that it prints what to run, who answered, and that more demand is explained."""
    names: dict[str, object] = {}
    exec(compile(BLOCKS[0], "replanning.md", "exec"), names)
    answer = names["more"]
    assert isinstance(answer, dynaopt.Replan)
    assert answer.allocation is not None
    assert str(answer.explain()) in capsys.readouterr().out


def test_the_controller(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that it gets an answer for each tick, and prints what the documentation quotes."""
    names: dict[str, object] = {}
    exec(compile(BLOCKS[1], "replanning.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "keep what runs" not in printed
    assert printed.count("starts take") == 5
