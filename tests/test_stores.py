"""Mirror tests of `dynaopt.stores`: what keeps nothing, and that a journal is a store."""

from __future__ import annotations

from pathlib import Path

from test_journal import make_answers, open_journal

from dynaopt.stores import NOWHERE, PlanStore


def _keep(store: PlanStore) -> tuple[object, list[object]]:
    store.put("pass-001", {"bound": 0.1 + 0.2, "found": [[1, 2]]})
    store.write(make_answers(0))
    return store.get("pass-001"), list(store.read())


def test_nowhere_keeps_nothing() -> None:
    """Tests that what is put there is gone."""
    assert _keep(NOWHERE) == (None, [])


def test_a_journal_keeps_every_digit(tmp_path: Path) -> None:
    """Tests that values come back as they were, in a later process too, and a name that is not there is None."""
    with open_journal(tmp_path) as journal:
        assert _keep(journal) == ({"bound": 0.1 + 0.2, "found": [[1, 2]]}, [make_answers(0)])
    with open_journal(tmp_path) as journal:
        assert journal.get("pass-001") == {"bound": 0.1 + 0.2, "found": [[1, 2]]}
        assert journal.get("pass-002") is None


def test_a_damaged_value_is_none(tmp_path: Path) -> None:
    """Tests that what does not fit its checksum is not there."""
    with open_journal(tmp_path) as journal:
        journal.put("pass-001", [1, 2, 3])
        path = journal.folder / "pass-001.json"
        path.write_bytes(path.read_bytes().replace(b"[1", b"[7"))
        assert journal.get("pass-001") is None
