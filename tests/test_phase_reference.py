"""Tests of `dynaopt.phase_reference`."""

from pathlib import Path

import pandas as pd
import pytest

from dynaopt.errors import InvalidInputError, MissingFileError
from dynaopt.phase_reference import FORMATS, SHIPPED_POINTS, ReferencePoints, no_points, read_points, rows

NAME = "llama2-70b-h100"
MODELS = sorted(file.parent.name for file in SHIPPED_POINTS.glob("*/prefill.csv"))


@pytest.fixture(scope="module")
def shipped() -> ReferencePoints:
    """Return the points that the package ships."""
    return read_points(SHIPPED_POINTS / NAME)


def _copy(folder: Path) -> Path:
    for file in (SHIPPED_POINTS / NAME).iterdir():
        (folder / file.name).write_text(file.read_text())
    return folder


class TestShipped:
    """The points in the package."""

    def test_every_file_names_source_and_licence(self) -> None:
        """Tests the first line of each file; published facts have no licence."""
        for file in (file for name in MODELS for file in (SHIPPED_POINTS / name).glob("*.csv")):
            first = file.read_text().splitlines()[0]
            assert first.startswith("# ")
            if file.stem != "clock":
                assert "Source: " in first
                assert any(licence in first for licence in ("MIT", "Apache-2.0", "published fact"))

    @pytest.mark.parametrize("name", MODELS)
    def test_each_model_has_points(self, name: str) -> None:
        """Tests that every folder can be read, and that what a fit needs is there: a prefill and a decode step."""
        points = read_points(SHIPPED_POINTS / name, partial=True)
        assert len(points.prefill) >= 9
        assert len(points.token) >= 6
        assert len(points.clock) == 7

    def test_kinds_that_few_models_have(self, shipped: ReferencePoints) -> None:
        """Tests frames without rows, with the columns and types of their kind, in place of files that are not there."""
        assert shipped.steps.empty
        assert list(no_points("steps").columns) == ["tp", "phase", "prompt_tokens", "batch", "repeats", "power_w"]
        assert no_points("steps")["tp"].dtype == "int64"

    def test_options(self) -> None:
        """Tests options of a fit, and the defaults where there is no file."""
        assert read_points(SHIPPED_POINTS / "bloom-176b-h100", partial=True).options.power_of == "llama2-70b-h100"
        b200 = read_points(SHIPPED_POINTS / "llama-3.1-70b-b200", partial=True).options
        assert (b200.base_tp, b200.prefill_scaled, b200.bandwidth_bytes_per_s) == (2, True, 7.7e12)

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
        for name in FORMATS:
            pd.testing.assert_frame_equal(getattr(again, name), getattr(shipped, name))

    def test_options_of_no_fit(self, tmp_path: Path) -> None:
        """Tests that an unknown option is named."""
        (_copy(tmp_path) / "fit.toml").write_text("base_tps = 4\n")
        with pytest.raises(InvalidInputError, match=r"fit\.toml: expected only the keys .*, got 'base_tps'"):
            read_points(tmp_path)

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
