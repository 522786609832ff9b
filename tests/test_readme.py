"""Tests that the README tells the truth."""

import re
from pathlib import Path

import pytest

import dynaopt

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_python_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that what the README shows in Python works as it stands."""
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert isinstance(names["result"], dynaopt.Result)
    assert names["result"].termination.has_solution


def test_links_lead_somewhere() -> None:
    """Tests that every file that the README points to is there."""
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
