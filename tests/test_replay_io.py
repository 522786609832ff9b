"""Tests of `dynaopt.replay_io`."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from replay_samples import class_row, make_result

from dynaopt import replay_io
from dynaopt.replay_io import REPLAY_FILE, TABLES, replay_json, write_replay


def test_a_folder_holds_all_that_was_found(tmp_path: Path) -> None:
    """Tests every table and the JSON file, in a folder that was not there."""
    result = make_result(class_row("SS"), class_row("LL", num_lost=2))
    folder = tmp_path / "some" / "replay"
    write_replay(result, folder, {"seed": 7})
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [REPLAY_FILE, *(f"{name}{ending}" for name, ending in TABLES.items())]
    )
    classes = pd.read_csv(folder / "classes.csv", keep_default_na=False, na_values={"ttft_slo_s": "", "tbt_slo_s": ""})
    assert_frame_equal(classes, result.classes)
    assert_frame_equal(pd.read_parquet(folder / "window_classes.parquet"), result.window_classes, check_dtype=False)
    content = json.loads((folder / REPLAY_FILE).read_text())
    assert (content["format_version"], content["name"], content["inputs"]) == (1, "week", {"seed": 7})
    assert content["totals"] == dict(result.totals)
    assert [row["num_lost"] for row in content["classes"]] == [0, 2, 0]


def test_what_has_no_value_is_null() -> None:
    """Tests NaN among totals and cells, which JSON does not know."""
    content = replay_json(make_result(class_row("SS", tbt_p99_s=math.nan), energy_ratio=math.nan), {})
    assert content["totals"]["energy_ratio"] is None
    assert content["classes"][0]["tbt_p99_s"] is None
    assert content["classes"][1]["ttft_slo_s"] is None
    assert "NaN" not in json.dumps(content)


def test_a_folder_that_was_broken_off_has_no_json_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that an earlier replay's JSON file does not stand beside half of a later one's tables."""
    write_replay(make_result(class_row("SS")), tmp_path, {})

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(replay_io, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        write_replay(make_result(class_row("SS")), tmp_path, {})
    assert not (tmp_path / REPLAY_FILE).exists()
