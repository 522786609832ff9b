"""Tests of `dynaopt.profile_validate`."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import make_profile, same_for_all_classes

from dynaopt.errors import MissingFileError, UnknownNameError
from dynaopt.phase_errors import Comparison
from dynaopt.phase_reference import SHIPPED_POINTS
from dynaopt.profile_io import write_profile
from dynaopt.profile_validate import summarise, validate

NAME = "llama2-70b-h100"
COLUMNS = [
    "quantity",
    "reference",
    "measure",
    "points",
    "mean_error",
    "max_error",
    "held_out_mean_error",
    "held_out_max_error",
    "target",
]


def _write(folder: Path, name: str) -> Path:
    """Write a profile that bears any load on TP2 and TP4 at 1,200 MHz, TP4 at twice the power."""
    curves = [
        *same_for_all_classes(2, 1200, [(0.0, 200.0), (50.0, 1000.0)]),
        *same_for_all_classes(4, 1200, [(0.0, 400.0), (50.0, 2000.0)]),
    ]
    write_profile(make_profile(curves, name=name), folder)
    return folder


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Return the errors of a made-up profile that goes by the shipped phase model's name."""
    return validate(_write(tmp_path_factory.mktemp("profile"), NAME))


def test_the_frame(validated: pd.DataFrame) -> None:
    """Tests columns and kinds: every quantity once, errors as fractions, held-out ones where something was fitted."""
    assert list(validated.columns) == COLUMNS
    assert validated["quantity"].is_unique
    assert (validated["points"] > 0).all()
    assert (validated["mean_error"] <= validated["max_error"] + 1e-15).all()
    fitted = validated["held_out_mean_error"].notna()
    assert fitted.sum() == 8
    assert (validated.loc[fitted, "held_out_mean_error"] <= validated.loc[fitted, "held_out_max_error"]).all()


def test_targets(validated: pd.DataFrame) -> None:
    """Tests that the seven quantities with a target keep it: 7 % for times, 10 % for powers."""
    aimed = validated.dropna(subset=["target"])
    assert sorted(aimed["target"]) == [0.07] * 5 + [0.10] * 2
    assert (aimed["mean_error"] <= aimed["target"]).all()


def test_the_paper_is_no_target(validated: pd.DataFrame) -> None:
    """Tests eight rows against the paper's table, four for each reading of its tokens/s, none fitted."""
    paper = validated[validated["reference"].str.contains("table I")]
    assert len(paper) == 8
    assert paper["target"].isna().all()
    assert paper["held_out_mean_error"].isna().all()


def test_the_profiles_curves_are_judged(validated: pd.DataFrame) -> None:
    """Tests the made-up profile in the paper's table, counted by hand.

    It keeps every SLO on TP2 and TP4 at 1,200 MHz and has nothing else. The table keeps the SLO there in 2 (SS, SM) and
    7 (all but LM and LL) of 9 classes, and in 57 of the 90 cells elsewhere: 7 + 2 + 57 disagree.
    """
    cells = validated.set_index("quantity").loc["SLO kept (in + out)"]
    assert cells["points"] == 108
    assert cells["mean_error"] == pytest.approx((7 + 2 + 57) / 108)
    cheapest = validated.set_index("quantity").loc["cheapest TP (in + out)"]
    assert cheapest["mean_error"] == pytest.approx(6 / 9)


def test_other_reference_points(tmp_path: Path) -> None:
    """Tests that points from another folder are used: with half the power in the figure, the model is off by 100 %."""
    shutil.copytree(SHIPPED_POINTS / NAME, tmp_path / NAME)
    file = tmp_path / NAME / "power.csv"
    power = pd.read_csv(file, comment="#")
    power.loc[power["tokens"] > 0, "power_w"] /= 2
    power.to_csv(file, index=False)
    errors = validate(_write(tmp_path / "profile", NAME), tmp_path).set_index("quantity")
    row = errors.loc["power at n tokens, TP8"]
    assert 0.8 < row["mean_error"] < 1.2
    assert row["mean_error"] > row["target"]


def test_no_reference_points(tmp_path: Path) -> None:
    """Tests that a folder without the model's points is named."""
    with pytest.raises(MissingFileError, match="llama2-70b-h100"):
        validate(_write(tmp_path / "profile", NAME), tmp_path / "nowhere")


def test_a_profile_without_a_phase_model(tmp_path: Path) -> None:
    """Tests that a profile that was measured, under a name of its own, has nothing to be compared with."""
    with pytest.raises(UnknownNameError, match=r"phase model: expected one of .*, got 'mine'"):
        validate(_write(tmp_path, "mine"))


def test_no_such_profile() -> None:
    """Tests that an unknown profile is refused before anything is fitted."""
    with pytest.raises(UnknownNameError, match="profile: expected"):
        validate("no-such-profile")


def test_summary_by_hand() -> None:
    """Tests mean and greatest absolute error, NaN for what was not held out or has no target."""
    comparison = Comparison(quantity="q", reference="r", errors=np.array([0.1, -0.3]), held_out=np.empty(0))
    held = Comparison(quantity="p", reference="r", errors=np.array([0.1]), held_out=np.array([-0.2, 0.4]), target=0.5)
    frame = summarise((comparison, held))
    assert frame.loc[0, ["points", "mean_error", "max_error"]].tolist() == [2, pytest.approx(0.2), pytest.approx(0.3)]
    assert np.isnan(frame.loc[0, ["held_out_mean_error", "target"]].astype(float)).all()
    assert frame.loc[1, ["held_out_mean_error", "held_out_max_error", "target"]].tolist() == [
        pytest.approx(0.3),
        pytest.approx(0.4),
        0.5,
    ]


def test_the_docs_carry_the_errors(validated: pd.DataFrame) -> None:
    """Tests that the table in `docs/profiles.md` has each row of the phase model with the errors of today."""
    text = (Path(__file__).parents[1] / "docs" / "profiles.md").read_text(encoding="utf-8")
    phase = validated[~validated["reference"].str.contains("table I")]
    assert len(phase) == 12
    for row in phase.itertuples():
        printed = [line for line in text.splitlines() if line.startswith(f"  {row.quantity}  ")]
        assert len(printed) == 1, row.quantity
        for error in (row.mean_error, row.max_error, row.held_out_mean_error, row.held_out_max_error):
            assert np.isnan(error) or f" {error:.2%} " in printed[0], row.quantity
