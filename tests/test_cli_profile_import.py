"""Tests of `dynaopt profile import`."""

import re
from pathlib import Path

import pytest
from result_files import vllm_result, write_json, write_power

from dynaopt import cli_phase_import
from dynaopt.cli import main
from dynaopt.phase_table import spec_within
from dynaopt.profile_io import read_profile

CONFIGURATION = ["--tp", "2", "--frequency-mhz", "1980"]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Return a file of three runs of class MM."""
    alone = vllm_result("inf", max_concurrency=1)
    return write_json(tmp_path / "runs.json", alone, vllm_result(1.0), vllm_result(2.0))


@pytest.fixture
def arguments(tmp_path: Path, runs: Path) -> list[str]:
    """Return what makes a profile of the runs, in a folder `mine`."""
    power = write_power(tmp_path / "power.csv", [250, 150])
    words = [str(runs), *CONFIGURATION, "--request-class", "MM", "--gpu", "H100-SXM-80GB"]
    return ["profile", "import", *words, "--power", str(power), "--idle-power", "220", "--out", str(tmp_path / "mine")]


def test_a_profile_out_of_runs(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests an ordinary profile: read again, shown, and with what it cannot serve told on stderr."""
    assert main(arguments) == 0
    told = capsys.readouterr()
    assert "mine: Profile(mine: TP (2,), (1980,) MHz, MM)" in told.out
    assert "no pool can serve SL, ML, LS, LM, LL yet" in told.err
    profile = read_profile(tmp_path / "mine")
    assert profile.model == "mine"
    assert profile.curve(2, 1980, "MM").power_w == pytest.approx([220, 400, 400])
    assert main(["profile", "show", str(tmp_path / "mine")]) == 0
    assert "measured" in capsys.readouterr().out


def test_adding_a_curve(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests a second clock; model and GPU are those of the profile, and another model is refused."""
    assert main(arguments) == 0
    arguments[arguments.index("1980")] = "1200"
    assert main([*arguments, "--add"]) == 0
    assert read_profile(tmp_path / "mine").frequencies_mhz == (1200, 1980)
    capsys.readouterr()
    assert main([*arguments, "--add", "--overwrite", "--model", "other"]) == 2
    assert "expected model 'mine', as the profile has it, got 'other'" in capsys.readouterr().err


def test_idle_power_from_a_log(arguments: list[str], tmp_path: Path) -> None:
    """Tests a log in place of a number of watts."""
    idle = write_power(tmp_path / "idle.csv", [100, 111], samples=60)
    arguments[arguments.index("220")] = str(idle)
    assert main(arguments) == 0
    assert read_profile(tmp_path / "mine").curve(2, 1980, "MM").power_w[0] == pytest.approx(211)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--request-class", "XX"], "option --request-class: expected one of SS, .*, got 'XX'"),
        (["--gpu", "H100"], "option --gpu: expected one of A100-SXM-80GB"),
        (["--time-zone", "Mars/Base"], "option --time-zone: expected a zone"),
        (["--cut-points", "terciles"], "option --cut-points: expected table-iv or four numbers"),
        (["--power", "nowhere.csv"], "nowhere.csv: expected a file"),
        (["--idle-power", "much"], "much: expected a file"),
        (["--add"], "option --out: expected a folder with a profile, for --add, got none"),
        (["--tp", "4"], "expected samples of the 4 GPUs of the instance, got of 2"),
        (["--request-class", "LL"], "expected requests of class LL"),
    ],
)
def test_bad_input(
    arguments: list[str], words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tests exit code 2, one line that says what was expected, and that nothing is written."""
    assert main([*arguments, *words]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.strip().splitlines()) == 1
    assert re.search(message, told.err), told.err
    assert not (tmp_path / "mine").exists()


def test_a_profile_is_not_replaced_unasked(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that a second import needs --add or --overwrite."""
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert "--add extends it, --overwrite replaces it" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0


def test_a_model_must_have_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests a table, which tells no model, and no option."""
    path = tmp_path / "load.csv"
    header = "rate_rps,power_w,ttft_p50_s,ttft_p99_s,tbt_p50_s,tbt_p99_s"
    path.write_text(f"{header}\n0,1,1,1,1,1\n1,1,1,1,1,1\n2,1,1,1,1,1\n")
    words = ["profile", "import", str(path), *CONFIGURATION, "--request-class", "SS", "--out", str(tmp_path / "mine")]
    assert main(words) == 2
    assert "option --model: expected a name, since no file tells" in capsys.readouterr().err
    assert main([*words, "--model", "a"]) == 2
    assert "option --gpu: expected a kind of GPU" in capsys.readouterr().err


PHASES = """tp,frequency_mhz,prompt_tokens,batch,context_tokens,duration_s,power_w
2,1980,0,0,0,1,230
2,1980,512,1,0,0.020,1100
2,1980,1024,1,0,0.034,1200
2,1980,2048,1,0,0.063,1250
2,1980,0,1,500,0.0055,800
2,1980,0,16,500,0.0070,850
2,1980,0,64,500,0.0100,950
"""


def test_a_phase_table(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests the whole way with a small build: fitted, simulated within what was measured, errors told on stderr."""
    small = {"requests_per_level": 150, "mixes": (), "token_budgets": (1024,)}
    monkeypatch.setattr(
        cli_phase_import, "spec_within", lambda spec, path: spec_within(spec, path).model_copy(update=small)
    )
    path = tmp_path / "phases.csv"
    path.write_text(PHASES)
    config = Path(__file__).parent / "data" / "configs" / "llama-3.1-8b.json"
    words = ["profile", "import", str(path), "--config", str(config), "--gpu", "H100-SXM-80GB", "--model", "mine"]
    assert main([*words, "--workers", "1", "--out", str(tmp_path / "made")]) == 0
    told = capsys.readouterr()
    assert "durations: mean error" in told.err
    profile = read_profile(tmp_path / "made")
    assert (profile.model, profile.tps, profile.frequencies_mhz) == ("mine", (2,), (1980,))
    assert profile.curve(2, 1980, "SS").power_w[0] == pytest.approx(230)
    assert profile.phase_model is not None
    assert profile.phase_model.provenance[0].basis == "fitted"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "option --config: expected one, for a phase table, got none"),
        (["--config", "none.json"], "option --gpu: expected one, for a phase table, got none"),
        (["--config", "none.json", "--gpu", "B200-SXM"], "none.json: expected a file"),
    ],
)
def test_a_phase_table_needs_more(tmp_path: Path, words: list[str], message: str, capsys) -> None:
    """Tests what is missing, and that a second file has no place."""
    path = tmp_path / "phases.csv"
    path.write_text(PHASES)
    assert main(["profile", "import", str(path), *words, "--out", str(tmp_path / "made")]) == 2
    assert message in capsys.readouterr().err
    assert main(["profile", "import", str(path), str(path), *words, "--out", str(tmp_path / "made")]) == 2
    assert "files: expected a phase table alone, got 2 files" in capsys.readouterr().err
