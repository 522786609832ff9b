"""Tests of `dynaopt.phase_reference`."""

from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

from dynaopt.errors import InvalidInputError, MissingFileError
from dynaopt.phase_reference import FORMATS, SHIPPED_POINTS, ReferencePoints, derive_points, read_points, rows

NAME = "llama2-70b-h100"
SHARED = Path(__file__).parents[2] / "shared"
raw_data = [pytest.mark.raw_data, pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="no raw files")]


@pytest.fixture(scope="module")
def shipped() -> ReferencePoints:
    """Return the points that the package ships."""
    return read_points(SHIPPED_POINTS / NAME)


def _copy(folder: Path) -> Path:
    for name in FORMATS:
        (folder / f"{name}.csv").write_text((SHIPPED_POINTS / NAME / f"{name}.csv").read_text())
    return folder


class TestShipped:
    """The points in the package."""

    def test_every_file_names_source_and_licence(self) -> None:
        """Tests the first line of each file; published facts have no licence."""
        for name in FORMATS:
            first = (SHIPPED_POINTS / NAME / f"{name}.csv").read_text().splitlines()[0]
            assert first.startswith("# ")
            if name != "clock":
                assert "Source: " in first
                assert any(licence in first for licence in ("MIT", "Apache-2.0", "published fact"))

    def test_prefill(self, shipped: ReferencePoints) -> None:
        """Tests sizes and one point: 512 tokens on TP2 took 83.9 ms in the mean of 15 repeats."""
        assert shipped.prefill.groupby("tp").size().to_dict() == {2: 12, 4: 13, 8: 13}
        point = shipped.prefill.query("tp == 2 and prompt_tokens == 512 and batch == 1").iloc[0]
        assert point["repeats"] == 15
        assert point["prompt_time_s"] == pytest.approx(0.0839, abs=5e-5)

    def test_the_point_that_did_not_fit_into_memory_is_dropped(self, shipped: ReferencePoints) -> None:
        """Tests that TP2 has no batch of 64, in prefill or in decode."""
        assert shipped.prefill.query("tp == 2")["batch"].max() == 32
        assert shipped.token.query("tp == 2")["batch"].max() == 32
        assert shipped.token.query("tp == 4")["batch"].max() == 64

    def test_serving(self, shipped: ReferencePoints) -> None:
        """Tests two models of 70e9 parameters, 12 and 11 batch limits, on 4 GPUs; 16.6 ms and 1,765 W at batch 8."""
        assert shipped.serving.groupby("served_model").size().tolist() == [12, 11]
        assert set(shipped.serving["tp"]) == {4}
        first = shipped.serving.iloc[0]
        assert (first["batch_limit"], first["step_p50_s"], first["power_w"]) == (8, 0.0165727, 1765.4)

    def test_halved(self, shipped: ReferencePoints) -> None:
        """Tests that models were found on one GPU and on two, and that two were faster."""
        assert set(shipped.halved["served_model"]) == {"Gemma 3 27B", "Qwen 3 32B"}
        assert (shipped.halved["step_tp2_s"] < shipped.halved["step_tp1_s"]).all()

    def test_power(self, shipped: ReferencePoints) -> None:
        """Tests that power rises with tokens, from 880 W idle to 5,300 W."""
        assert shipped.power["power_w"].is_monotonic_increasing
        assert shipped.power.iloc[[0, -1]]["power_w"].tolist() == [880, 5300]


class TestReading:
    """Files that do not fit."""

    def test_round_trip(self, tmp_path: Path, shipped: ReferencePoints) -> None:
        """Tests that a copy of the folder reads the same."""
        again = read_points(_copy(tmp_path))
        for field in fields(ReferencePoints):
            pd.testing.assert_frame_equal(getattr(again, field.name), getattr(shipped, field.name))

    def test_no_folder(self, tmp_path: Path) -> None:
        """Tests that a folder that is not there is named."""
        with pytest.raises(MissingFileError, match="nowhere: expected a folder of reference points"):
            read_points(tmp_path / "nowhere")

    def test_no_file(self, tmp_path: Path) -> None:
        """Tests that a missing file is named."""
        (_copy(tmp_path) / "halved.csv").unlink()
        with pytest.raises(MissingFileError, match=r"halved\.csv: expected a file"):
            read_points(tmp_path)

    @pytest.mark.parametrize(
        ("name", "old", "new", "message"),
        [
            ("prefill", "0.083863", "-0.083863", r"line 5, column 'prompt_time_s': expected a number above 0"),
            ("power", "1950.0", "about 1950", r"line 4, column 'power_w': expected a number above 0, got 'about 1950'"),
            ("clock", "decode_time,8", "speed,8", r"line 3, column 'quantity': expected one of"),
            ("token", "token_time_s", "token_time_ms", "expected a column 'token_time_s'"),
        ],
    )
    def test_a_cell_that_does_not_fit(self, tmp_path: Path, name: str, old: str, new: str, message: str) -> None:
        """Tests that file, line and column are named."""
        file = _copy(tmp_path) / f"{name}.csv"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))
        with pytest.raises(InvalidInputError, match=message):
            read_points(tmp_path)


def test_rows_have_fields() -> None:
    """Tests that rows are named tuples in the frame's order."""
    found = list(rows(pd.DataFrame({"a": [1, 2], "b": [3.5, 4.5]})))
    assert [(r.a, r.b) for r in found] == [(1, 3.5), (2, 4.5)]


class TestDeriving:
    """From the raw files."""

    pytestmark = raw_data

    def test_the_shipped_points_are_derived_ones(self, shipped: ReferencePoints) -> None:
        """Tests that deriving again gives what the package ships."""
        derived = derive_points(SHARED / "data", SHARED / "reference")
        for field in fields(ReferencePoints):
            again = getattr(derived, field.name)
            pd.testing.assert_frame_equal(again, getattr(shipped, field.name), check_dtype=False)

    def test_means_are_over_repeats(self) -> None:
        """Tests one point against the raw rows: five prompts of 8,192 tokens on TP8."""
        raw = pd.read_csv(SHARED / "data" / "splitwise" / "perf_model.csv")
        raw = raw.query("hardware == 'h100-80gb' and model == 'llama2-70b' and tensor_parallel == 8")
        expected = raw.query("prompt_size == 8192 and batch_size == 1")["prompt_time"].mean() / 1000
        derived = derive_points(SHARED / "data", SHARED / "reference").prefill
        point = derived.query("tp == 8 and prompt_tokens == 8192").iloc[0]
        assert point["repeats"] == 5
        assert point["prompt_time_s"] == pytest.approx(expected, abs=1e-7)
