"""Tests the paper's own figures, beside which policies are shown."""

from __future__ import annotations

import pytest

from dynaopt.paper_policies import paper_energies
from dynaopt.policies import policy_names


@pytest.mark.parametrize(
    ("experiment", "expected"),
    [
        ("week conversation", [1.00, 1.15, 0.68, 0.77, 0.72, 0.53]),
        ("week coding", [1.00, 1.09, 0.61, 0.69, 0.65, 0.44]),
        ("hour", [1.0, 39.5 / 32.8, 32.0 / 32.8, 30.9 / 32.8, 26.5 / 32.8, 21.3 / 32.8]),
    ],
)
def test_the_papers_figures(experiment: str, expected: list[float]) -> None:
    """Tests the shipped copies against figures 15 and 7 of DynamoLLM, by the names of the policies here."""
    found = paper_energies(experiment)  # type: ignore[arg-type]
    assert list(found) == ["single-pool", "multi-pool", "scale-inst", "scale-shard", "scale-freq", "dynamollm"]
    assert list(found.values()) == pytest.approx(expected)
    assert set(found) <= set(policy_names())
