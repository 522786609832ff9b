"""Tests of the page."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from builders import make_metadata
from plotly.offline import get_plotlyjs
from sample_schedule import make_schedule, renamed

from dynaopt.coupling import Coupling
from dynaopt.profile import Profile, Provenance
from dynaopt.report import MOST_UNSOLVED_SHOWN, write_report
from dynaopt.schedule import CouplingRecord
from dynaopt.violations import Violation, ViolationKind


class _Outline(HTMLParser):
    """Keeps the open tags, what they point at, and the text outside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data + " "


def _page(tmp_path: Path, schedule, **options) -> tuple[str, _Outline]:
    path = tmp_path / "page.html"
    write_report(schedule, path, **options)
    page = path.read_text(encoding="utf-8")
    outline = _Outline()
    outline.feed(page.replace(get_plotlyjs(), ""))  # 5 MB that would only be skipped, slowly
    outline.close()
    outline.text = " ".join(outline.text.split())
    assert not outline.open, "every tag is closed"
    return page, outline


def test_the_page_needs_nothing_beside_it(tmp_path: Path) -> None:
    """Tests that no tag points outside the page, and that Plotly's script is in it."""
    page, outline = _page(tmp_path, make_schedule(3))
    assert outline.references == []
    assert get_plotlyjs() in page
    assert page.count("Plotly.newPlot(") >= 5


@pytest.mark.parametrize(
    ("bound", "asked", "told"),
    [
        (24.0 * 3.6e6, {}, "at most 0.200% above the best there is"),
        (None, {}, "No bound on all of them was proved"),
        (
            1.0,
            {"min_up_s": 1800.0, "max_starts": 2},
            "at least 30 min once started; at most 2 instances start",
        ),
    ],
)
def test_a_coupled_plan_says_what_is_proved_of_the_whole(
    tmp_path: Path, bound: float | None, asked: dict[str, float], told: str
) -> None:
    """Tests that gap and what was asked of starts are sentences, and that the row of the bound is there."""
    schedule = make_schedule(288)
    record = CouplingRecord(asked=Coupling(**asked), lower_bound=bound)  # type: ignore[arg-type]
    coupled = replace(schedule, metadata=schedule.metadata.model_copy(update={"coupling": record}))
    _, outline = _page(tmp_path, coupled)
    assert "planned together, as one problem, by dynaopt" in outline.text
    assert "Lower bound (coupled)" in outline.text
    assert told in outline.text


def test_the_pictures_hold_the_values_of_the_schedule(tmp_path: Path) -> None:
    """Tests that the five pictures carry titles and units, and the plan's power its values."""
    page, _ = _page(tmp_path, make_schedule(3))
    for unit in ("kW", "GPUs", "MHz", r"requests\u002fs"):
        assert f'"text":"{unit}"' in page, unit
    data, _ = json.JSONDecoder().raw_decode(page, page.index("[", page.index("Plotly.newPlot(", page.index("<main>"))))
    assert {trace["name"]: trace["y"] for trace in data}["this plan"] == [1.0, 1.0, 1.0, 1.0]


def test_the_summary_stands_at_the_top(tmp_path: Path) -> None:
    """Tests name, horizon, energy and baseline of the header."""
    baselines = {"single pool (TP8, 1980 MHz)": make_schedule(3, power_w=2000.0)}
    _, outline = _page(tmp_path, make_schedule(3), baselines=baselines, violations=[])
    assert outline.text.startswith("made-up – dynaopt made-up 3 windows of 5 min from Sunday 12 May 2024, 00:00 UTC")
    assert "single pool (TP8, 1980 MHz)" in outline.text
    assert "Saved by this plan – 50.0%" in outline.text
    assert "finds no violation" in outline.text


def test_inputs_are_shown_with_their_digests(tmp_path: Path) -> None:
    """Tests that demand, profile and the whole have their SHA-256."""
    _, outline = _page(tmp_path, make_schedule(1))
    for digest in ("1" * 64, "2" * 64, "0" * 64):
        assert digest in outline.text


def test_the_page_says_what_is_measured_and_what_modelled(tmp_path: Path) -> None:
    """Tests that the provenance of a profile's quantities is on the page."""
    item = Provenance(quantity="decode time", basis="fitted", source="ML.ENERGY", licence="Apache-2.0", note="TP4 only")
    profile = Profile(metadata=make_metadata().model_copy(update={"provenance": (item,)}), curves={})
    _, outline = _page(tmp_path, make_schedule(1), profiles=[profile])
    assert "decode time fitted ML.ENERGY Apache-2.0 TP4 only" in outline.text


def test_windows_without_an_answer_are_listed_with_their_reason(tmp_path: Path) -> None:
    """Tests that the first are listed and the rest counted."""
    unsolved = range(2, 2 + MOST_UNSOLVED_SHOWN + 3)
    _, outline = _page(tmp_path, make_schedule(40, unsolved=unsolved))
    assert f"{len(unsolved)} windows without an answer" in outline.text
    assert "2024-05-12 00:10 infeasible class LL needs 344 GPUs of 320" in outline.text
    assert outline.text.count("class LL needs 344 GPUs of 320") == MOST_UNSOLVED_SHOWN
    assert "and 3 more" in outline.text


def test_an_answered_schedule_speaks_of_no_missing_window(tmp_path: Path) -> None:
    """Tests that the section on windows without an answer is absent where there is none."""
    _, outline = _page(tmp_path, make_schedule(3))
    assert "Windows unanswered 0 of 3" in outline.text
    assert "They are shaded" not in outline.text


def test_violations_are_not_hidden(tmp_path: Path) -> None:
    """Tests that the page tells what the check found, and whether it was asked at all."""
    wrong = Violation(kind=ViolationKind.GPU_LIMIT, where="all pools", found="344 GPUs", expected="at most 320")
    _, outline = _page(tmp_path, make_schedule(1), violations=[wrong])
    assert "finds 1 violation:" in outline.text
    assert "expected at most 320, found 344 GPUs" in outline.text
    _, outline = _page(tmp_path, make_schedule(1))
    assert "was not checked" in outline.text


def test_notes_stand_below_the_summary(tmp_path: Path) -> None:
    """Tests that what makes the comparison rough is on the page."""
    _, outline = _page(tmp_path, make_schedule(1), notes=["The single pool needs 432 GPUs of 320."])
    assert "Solver greedy The single pool needs 432 GPUs of 320." in outline.text


def test_text_of_the_user_is_escaped(tmp_path: Path) -> None:
    """Tests that a demand's name cannot smuggle markup into the page."""
    page, outline = _page(tmp_path, renamed(make_schedule(1), "<script>alert(1)</script>"))
    assert "<script>alert(1)" not in page
    assert "<script>alert(1)</script>" in outline.text


def test_one_window_is_enough(tmp_path: Path) -> None:
    """Tests that a horizon of one window reads as such."""
    _, outline = _page(tmp_path, make_schedule(1))
    assert "1 window of 5 min" in outline.text


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """Tests that a folder that is not there is an error of the system, with the path in it."""
    with pytest.raises(FileNotFoundError):
        write_report(make_schedule(1), tmp_path / "nowhere" / "page.html")
    assert list(tmp_path.iterdir()) == []
