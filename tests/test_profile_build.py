"""Tests of `dynaopt.profile_build`."""

from pathlib import Path

import numpy as np
import pytest

from dynaopt import profile_build
from dynaopt.errors import InvalidInputError, MissingFileError, UnknownNameError
from dynaopt.lengths import Lengths
from dynaopt.phase_model import read_phase_model
from dynaopt.profile import Profile
from dynaopt.profile_build import BuildSpec, build_profile, read_build_spec, simulate_curves
from dynaopt.profile_io import read_profile
from dynaopt.request_class import REQUEST_CLASSES, TABLE_IV
from dynaopt.workload import Workload, make_workload

SHIPPED = Path(__file__).parents[1] / "dynaopt" / "data" / "spec" / "llama2-70b-h100.toml"


@pytest.fixture(scope="module")
def spec() -> BuildSpec:
    """Return a specification small enough for a test: one clock, two budgets, few requests."""
    few = {"frequencies_mhz": (1980,), "token_budgets": (512, 1024), "requests_per_level": 300, "mixes": ("coding",)}
    return read_build_spec("llama2-70b-h100").model_copy(update=few)


@pytest.fixture(scope="module")
def steps() -> list[tuple[int, int, str]]:
    """Return the list that progress is written to."""
    return []


@pytest.fixture(scope="module")
def folder(spec: BuildSpec, steps: list[tuple[int, int, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the small profile, built in this process."""
    folder = tmp_path_factory.mktemp("built")
    build_profile(spec, folder, progress=lambda *step: steps.append(step))
    return folder


@pytest.fixture(scope="module")
def built(folder: Path) -> Profile:
    """Return the small profile, as read."""
    return read_profile(folder)


def test_built_profile_has_every_curve_that_fits(built: Profile) -> None:
    """Tests that nine classes and the mix have curves on every degree: the longest request fits TP2's KV cache."""
    workloads = {*REQUEST_CLASSES, "ALL-coding"}
    assert {name for tp, _, name in built.curves if tp == 8} == workloads
    assert set(built.curves) == {(tp, 1980, name) for tp in (2, 4, 8) for name in workloads}


def test_metadata_says_what_was_built(built: Profile, spec: BuildSpec) -> None:
    """Tests names, powers, mixes, and that the provenance holds the phase model's too."""
    model = read_phase_model(spec.phase_model)
    metadata = built.metadata
    assert (metadata.name, metadata.model, metadata.gpu, metadata.engine) == (
        "llama2-70b-h100",
        model.model,
        model.gpu,
        model.engine,
    )
    assert (metadata.power, metadata.start_up, metadata.classes) == (spec.power, spec.start_up, spec.classes)
    assert [mix.name for mix in metadata.mixes] == ["ALL-coding"]
    assert metadata.simulation is not None
    assert metadata.simulation.model_dump() == spec.model_dump(include=set(type(metadata.simulation).model_fields))
    assert len(metadata.provenance) == len(spec.provenance) + len(model.provenance)
    assert metadata.provenance[-1].quantity.startswith("phase model: ")


def test_every_curve_has_its_engine_options(built: Profile, spec: BuildSpec) -> None:
    """Tests that the budget of each curve is one of those on offer, and that long prompts on TP8 take the larger."""
    options = {(o.tp, o.frequency_mhz, o.request_class): o for o in built.metadata.engine_options}
    assert set(options) == set(built.curves)
    assert {o.token_budget for o in options.values()} <= set(spec.token_budgets)
    assert options[8, 1980, "LL"].token_budget == 1024
    assert all(o.max_num_seqs == 256 for o in options.values())


def test_progress_counts_every_curve(folder: Path, steps: list[tuple[int, int, str]]) -> None:
    """Tests that steps go from 1 to their total and say what was done."""
    assert [done for done, _, _ in steps] == list(range(1, 31))
    assert {total for _, total, _ in steps} == {30}
    assert steps[0][2] == "SS on TP2 at 1980 MHz"


def test_workers_and_repetition_change_nothing(folder: Path, spec: BuildSpec, tmp_path: Path) -> None:
    """Tests that two worker processes write the same bytes as this one."""
    build_profile(spec, tmp_path, workers=2)
    for name in ("profile.toml", "load.csv", "mix.csv", "phase.toml"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_whole_mix_takes_twice_the_requests(spec: BuildSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests the draws for a class, a whole mix of any name and its part, of requests that no KV cache holds."""
    sizes = []

    def draw(*args, size: int, seed: int) -> Workload:
        sizes.append(size)
        return make_workload(*args, size=size, seed=seed)

    monkeypatch.setattr(profile_build, "make_workload", draw)
    endless = Lengths(np.array([10**7]), np.array([10]), np.array([1.0]))
    lengths = dict.fromkeys(("LS", "ALL-own-2023", "ALL-own-2023-L"), endless)
    model = read_phase_model("llama2-70b-h100")
    assert simulate_curves(spec.simulation, model, [(8, 1980)], lengths, TABLE_IV) == ({}, ())
    assert sizes == [300, 600, 300]


def test_shipped_specification_asks_for_the_whole_grid() -> None:
    """Tests clocks and mixes of the shipped profile."""
    shipped = read_build_spec("llama2-70b-h100")
    assert shipped.frequencies_mhz == (800, 1000, 1200, 1400, 1600, 1800, 1980)
    parts = [f"ALL-{service}-{letter}" for service in ("conversation", "coding") for letter in "SML"]
    assert shipped.workloads == (*REQUEST_CLASSES, "ALL-conversation", "ALL-coding", *parts)
    assert shipped.requests_per_level >= 20_000


def test_specification_may_be_a_file(tmp_path: Path) -> None:
    """Tests that a copy of the shipped file is the same specification."""
    path = tmp_path / "own.toml"
    path.write_text(SHIPPED.read_text())
    assert read_build_spec(path) == read_build_spec("llama2-70b-h100")


def test_unknown_specification_lists_those_there_are() -> None:
    """Tests a name that nothing goes by."""
    with pytest.raises(UnknownNameError, match=r"one of: .*llama2-70b-h100, got 'lama'"):
        read_build_spec("lama")


def test_missing_specification_is_named(tmp_path: Path) -> None:
    """Tests a file that is not there."""
    with pytest.raises(MissingFileError, match=r"own\.toml"):
        read_build_spec(tmp_path / "own.toml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("max_num_seqs = 256", "max_num_seqs = 0", "key 'max_num_seqs': expected greater than 0, got 0"),
        ("gpus_per_server = 8", "", "key 'gpus_per_server'"),
        ("gpus_per_server = 8", "gpus_per_server = 8\ngpus = 8", "key 'gpus'"),
        ("gpus_per_server = 8", "gpus_per_server = ", "expected a TOML file"),
    ],
)
def test_faulty_specification_is_refused(old: str, new: str, said: str, tmp_path: Path) -> None:
    """Tests a number out of range, a missing key, an unknown one, and a file that is no TOML."""
    path = tmp_path / "own.toml"
    path.write_text(SHIPPED.read_text().replace(old, new))
    with pytest.raises(InvalidInputError, match=said) as caught:
        read_build_spec(path)
    assert str(path) in str(caught.value)
