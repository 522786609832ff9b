"""Tests of `dynaopt.profile_io`."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phase_builders import round_model
from profile_faults import FAULTS, TINY, faulty_profile

from dynaopt import profile_io
from dynaopt.errors import InvalidInputError, MissingFileError, UnknownNameError
from dynaopt.profile import Profile
from dynaopt.profile_io import find_profile, list_profiles, read_profile, write_profile
from dynaopt.slo import Slo

SAID = {
    "load-EmptyCell.csv": "load.csv, line 4, column 'power_w': expected a number of at least 0, got an empty cell",
    "load-FrequencyFraction.csv": "line 14, column 'frequency_mhz': expected an integer above 0, got '1999.5'",
    "load-HeaderOnly.csv": "load.csv: expected at least one row",
    "load-LatencyZero.csv": "line 13, column 'ttft_p50_s': expected a number above 0, got '0'",
    "load-MissingColumn.csv": "load.csv, line 1: expected a column 'tbt_p50_s'",
    "load-NegativePower.csv": "load.csv, line 3, column 'power_w': expected a number of at least 0, got '-400'",
    "load-NegativeRate.csv": "load.csv, line 2, column 'rate_rps': expected a number of at least 0, got '-1'",
    "load-NoIdleRow.csv": "line 6, column 'rate_rps': expected 0, the unloaded instance, in the first row of the curve",
    "load-OnlyIdleRow.csv": "line 6, column 'rate_rps': expected a load above 0 after this row, got none",
    "load-P99BelowP50.csv": "line 13, column 'ttft_p99_s': expected at least ttft_p50_s, 0.6, got 0.5",
    "load-PowerNotANumber.csv": "load.csv, line 3, column 'power_w': expected a number of at least 0, got 'nan'",
    "load-RatesDescend.csv": "line 10, column 'rate_rps': expected a load above 10, the row before, got 5",
    "load-RowTwice.csv": "line 10: expected each row once, got a second row for tp=4, frequency_mhz=2000",
    "load-TpZero.csv": "line 6, column 'tp': expected an integer above 0, got '0'",
    "load-UnknownClass.csv": "line 7, column 'request_class': expected one of SS, SM",
    "load-UnknownMix.csv": "line 17, column 'request_class': expected one of SS, SM",
    "mix-ClassMissing.csv": "mix.csv: expected rows of LL in ALL-conversation on TP4 at 2000 MHz",
    "mix-ClassWithoutShare.csv": "mix.csv, line 5: expected a class with a share in ALL-conversation",
    "mix-CurveNotInLoad.csv": "mix.csv, line 2: expected a mix that load.csv has, got ALL-conversation on TP2",
    "mix-LatencyNotANumber.csv": "mix.csv, line 3, column 'ttft_p99_s': expected a number above 0, got 'fast'",
    "mix-OtherLoads.csv": "mix.csv, line 5 and below: expected the loads that load.csv has",
    "profile-BasisUnknown.toml": "key 'provenance.0.basis': expected 'measured', 'fitted', 'modelled' or 'assumed'",
    "profile-CutsDescend.toml": "key 'classes.input_tokens': expected two positive, increasing numbers, got 1023, 255",
    "profile-FormatVersion.toml": "profile.toml, key 'format_version': expected 1, got 2",
    "profile-KeyMissing.toml": "profile.toml: expected a key 'power.gpu_on_w', got none",
    "profile-KeyUnknown.toml": "profile.toml: expected only the keys that the format names, got 'power.host_kw'",
    "profile-MixNameWithoutAll.toml": "key 'mixes.0.name': expected a name of its own that starts with ALL-",
    "profile-NegativePower.toml": "key 'power.gpu_on_w': expected greater than or equal to 0, got -50.0",
    "profile-NotToml.toml": "profile.toml: expected a TOML file in UTF-8, got Invalid value (at line 3, column 8)",
    "profile-ShareOfUnknownClass.toml": "key 'mixes.0.shares': expected classes out of SS",
    "profile-SharesNotOne.toml": "key 'mixes.0.shares': expected shares that add up to 1, got 1.05",
}


def test_tiny_has_its_curves(tiny: Profile) -> None:
    """Tests names, configurations and one curve of the hand-made profile, cell by cell."""
    assert (tiny.name, tiny.model, tiny.tps, tiny.frequencies_mhz) == ("tiny", "tiny-model", (2, 4), (1000, 2000))
    curve = tiny.curve(4, 2000, "SS")
    assert curve.rate_rps.tolist() == [0, 10, 20, 25]
    assert curve.power_w.tolist() == [480, 1000, 1400, 1500]
    assert curve.ttft_p50_s.tolist() == [0.02, 0.04, 0.1, 0.3]
    assert curve.ttft_p99_s.tolist() == [0.05, 0.1, 0.2, 0.7]
    assert curve.tbt_p50_s.tolist() == [0.01, 0.02, 0.03, 0.04]
    assert curve.tbt_p99_s.tolist() == [0.02, 0.04, 0.08, 0.09]
    assert curve.class_latencies == {}


def test_mix_keeps_its_slo_when_each_class_does(tiny: Profile) -> None:
    """Tests the latencies inside a mix: SS passes 0.25 s at 4 + 4·(0.25 − 0.15)/(0.35 − 0.15) = 6, LL 2 s at 5.5."""
    curve = tiny.curve(4, 2000, "ALL-conversation")
    assert set(curve.class_latencies) == {"SS", "LL"}
    assert curve.class_latencies["SS"][0].tolist() == [0.05, 0.15, 0.35]
    assert curve.class_latencies["LL"][1].tolist() == [0.02, 0.05, 0.09]
    assert curve.slo_rate_rps(Slo.table_iv()) == pytest.approx(5.5)


def test_faults_are_all_described() -> None:
    """Tests that no file of a fault lies around without a test."""
    assert set(FAULTS) == set(SAID)


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_refused_with_its_place(fault: str, tmp_path: Path) -> None:
    """Tests that a faulty file is refused and that file, line and column are said."""
    folder = faulty_profile(fault, tmp_path)
    with pytest.raises(InvalidInputError) as caught:
        read_profile(folder)
    assert str(folder) in str(caught.value)
    assert SAID[fault] in str(caught.value)


@pytest.mark.parametrize("name", ["profile.toml", "load.csv", "mix.csv"])
def test_missing_file_is_named(name: str, tmp_path: Path) -> None:
    """Tests that a folder without one of the three files is refused by that file's name."""
    shutil.copytree(TINY, tmp_path / "tiny")
    (tmp_path / "tiny" / name).unlink()
    with pytest.raises(MissingFileError, match=name):
        read_profile(tmp_path / "tiny")


def test_profile_without_mixes_needs_no_mix_file(tiny: Profile, tmp_path: Path) -> None:
    """Tests that writing a profile without mixes removes an earlier mix.csv, and that it can be read without."""
    write_profile(tiny, tmp_path)
    curves = {key: curve for key, curve in tiny.curves.items() if key[2] in ("SS", "LL")}
    without = Profile(metadata=tiny.metadata.model_copy(update={"mixes": ()}), curves=curves)
    write_profile(without, tmp_path)
    assert not (tmp_path / "mix.csv").exists()
    assert set(read_profile(tmp_path).curves) == set(curves)


def test_written_profile_reads_back_the_same(tiny: Profile, tmp_path: Path) -> None:
    """Tests that every number and every key of the metadata survives a round trip."""
    write_profile(tiny, tmp_path / "new" / "folder")
    again = read_profile(tmp_path / "new" / "folder")
    assert again.metadata == tiny.metadata
    assert set(again.curves) == set(tiny.curves)
    for key, curve in tiny.curves.items():
        for name in ("rate_rps", "power_w", *profile_io.LATENCIES):
            np.testing.assert_array_equal(getattr(again.curves[key], name), getattr(curve, name))
        assert set(again.curves[key].class_latencies) == set(curve.class_latencies)


def _with_phase_model(tiny: Profile) -> Profile:
    """Return the hand-made profile with a phase model of what it is of."""
    phase_model = round_model().model_copy(update={"model": tiny.model, "gpu": tiny.metadata.gpu})
    return replace(tiny, phase_model=phase_model)


def test_phase_model_travels_with_its_profile(tiny: Profile, tmp_path: Path) -> None:
    """Tests that it reads back the same, that it counts in the digest, and that a profile without one removes it."""
    assert tiny.phase_model is None
    write_profile(tiny, tmp_path)
    without = read_profile(tmp_path).sha256
    write_profile(_with_phase_model(tiny), tmp_path)
    again = read_profile(tmp_path)
    assert again.phase_model == _with_phase_model(tiny).phase_model
    assert again.sha256 != without
    write_profile(tiny, tmp_path)
    assert not (tmp_path / "phase.toml").exists()
    assert read_profile(tmp_path).sha256 == without


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('model = "tiny-model"', 'model = "other"', "key 'model': expected 'tiny-model', as profile.toml has it, got"),
        ("min_frequency_mhz = 1000.0", "min_frequency_mhz = 1500.0", "TP2 at 1000 MHz among them, got TP 2, 4 at 1500"),
        ("[latency.2]", "[latency.8]", "TP2 at 1000 MHz among them, got TP 4, 8 at 1000 to 2000 MHz"),
        ("utilisation = 0.9", "utilisation = 1.9", "key 'memory.utilisation': expected less than or equal to 1, got"),
        ("utilisation = 0.9", "utilisation = ", "phase.toml: expected a TOML file in UTF-8"),
    ],
)
def test_phase_model_of_something_else_is_refused(old: str, new: str, said: str, tiny: Profile, tmp_path: Path) -> None:
    """Tests another model, a clock and a degree that it does not reach, a number out of range, and no TOML."""
    write_profile(_with_phase_model(tiny), tmp_path)
    path = tmp_path / "phase.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(InvalidInputError, match=r"phase\.toml") as caught:
        read_profile(tmp_path)
    assert said in str(caught.value)


def test_writing_twice_gives_the_same_bytes(tiny: Profile, tmp_path: Path) -> None:
    """Tests that the files do not depend on the order of curves in memory."""
    write_profile(tiny, tmp_path / "a")
    write_profile(replace(tiny, curves=dict(reversed(tiny.curves.items()))), tmp_path / "b")
    for name in ("profile.toml", "load.csv", "mix.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_digest_follows_every_file(tiny: Profile, tmp_path: Path) -> None:
    """Tests that a change in any of the three files changes the digest, and a copy does not."""
    shutil.copytree(TINY, tmp_path / "tiny")
    assert read_profile(tmp_path / "tiny").sha256 == tiny.sha256
    seen = {tiny.sha256}
    for name in ("profile.toml", "load.csv", "mix.csv"):
        with (tmp_path / "tiny" / name).open("a") as file:
            file.write("# a comment\n")
        seen.add(read_profile(tmp_path / "tiny").sha256)
    assert len(seen) == 4


def test_unknown_name_lists_the_names_there_are() -> None:
    """Tests that a misspelt name is answered with the right ones."""
    with pytest.raises(UnknownNameError, match=r"profile: expected a folder .* got 'lama2'") as caught:
        read_profile("lama2")
    assert all(name in str(caught.value) for name in list_profiles())


@pytest.mark.parametrize("where", [0, 1])
def test_names_are_found_in_either_place(where: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests a wheel's place and a checkout's; a folder in the working directory does not hide a name."""
    roots = (tmp_path / "wheel", tmp_path / "checkout")
    shutil.copytree(TINY, roots[where] / "tiny")
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(profile_io, "_ROOTS", roots)
    assert list_profiles() == ("tiny",)
    assert find_profile("tiny") == roots[where] / "tiny"
    assert find_profile(Path("tiny")) == Path("tiny")
    assert read_profile("tiny").name == "tiny"
