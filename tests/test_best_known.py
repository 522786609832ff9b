"""Tests the file of best-known answers: only what is better and checked changes it."""

from pathlib import Path

import pytest

from dynaopt.best_known import BestKnown, Status, find_best_known, read_best_known, write_best_known
from dynaopt.errors import InvalidInputError

NOTHING = BestKnown(case="a", problem_sha256="0")
ANSWER = NOTHING.with_answer(100.0, "greedy", "1")


def test_a_first_answer_makes_a_case_feasible() -> None:
    """Tests status, power and origin of a first answer."""
    expected = BestKnown(
        case="a", problem_sha256="0", status=Status.FEASIBLE, power_w=100.0, solver="greedy", version="1"
    )
    assert expected == ANSWER


def test_only_a_better_answer_replaces_one() -> None:
    """Tests that a worse or equal answer changes nothing and a better one everything."""
    assert ANSWER.with_answer(100.0, "highs", "2") == ANSWER
    assert ANSWER.with_answer(101.0, "highs", "2") == ANSWER
    better = ANSWER.with_answer(99.0, "highs", "2")
    assert (better.power_w, better.solver, better.version) == (99.0, "highs", "2")


def test_only_a_better_bound_replaces_one() -> None:
    """Tests that the bound only rises, and never above the answer."""
    bounded = ANSWER.with_bound(90.0)
    assert bounded.lower_bound_w == 90.0
    assert bounded.with_bound(80.0) == bounded
    assert bounded.with_bound(100.00001).lower_bound_w == 100.0
    assert bounded.with_bound(110.0) == bounded


def test_an_answer_below_the_bound_disproves_it() -> None:
    """Tests that a bound above a checked answer is dropped."""
    assert NOTHING.with_bound(90.0).with_answer(80.0, "greedy", "1").lower_bound_w == 0.0


def test_an_answer_disproves_a_proof_of_none() -> None:
    """Tests that infeasible gives way to an answer, and never the other way round."""
    none = NOTHING.with_proof_of_none("highs", "1")
    assert (none.status, none.solver) == (Status.INFEASIBLE, "highs")
    assert none.with_answer(100.0, "greedy", "1").status is Status.FEASIBLE
    assert ANSWER.with_proof_of_none("highs", "1") == ANSWER


def test_what_is_known_survives_the_file(tmp_path: Path) -> None:
    """Tests that every kind of entry is read as it was written, in the order of names."""
    entries = [
        BestKnown(case="c", problem_sha256="1"),
        NOTHING.with_answer(1 / 3, "greedy", "1").with_bound(0.1),
        BestKnown(case="b", problem_sha256="2").with_proof_of_none("highs", "1"),
    ]
    known = {e.case: e for e in entries}
    write_best_known(known, tmp_path / "best.csv")
    assert read_best_known(tmp_path / "best.csv") == known
    assert list(read_best_known(tmp_path / "best.csv")) == ["a", "b", "c"]


def test_a_wrong_status_is_refused(tmp_path: Path) -> None:
    """Tests that a file changed by hand is read with care."""
    write_best_known({"a": ANSWER}, tmp_path / "best.csv")
    text = (tmp_path / "best.csv").read_text().replace("feasible", "fine")
    (tmp_path / "best.csv").write_text(text)
    with pytest.raises(InvalidInputError, match="line 2, column 'status'"):
        read_best_known(tmp_path / "best.csv")


def test_the_shipped_file_is_sound() -> None:
    """Tests that what is shipped is consistent: answers above bounds, and origins named."""
    known = read_best_known(find_best_known())
    assert len(known) > 150
    for best in known.values():
        assert (best.status is Status.FEASIBLE) == (best.power_w is not None)
        if best.power_w is not None:
            assert best.lower_bound_w <= best.power_w
        if best.status is not Status.UNKNOWN:
            assert best.solver
            assert best.version
