"""Tests of the points of a sweep: the product of its lists, names, paths, and combinations that do not fit."""

from pathlib import Path

import pytest
import simple_solver
from planning import make_week
from sweeping import NUM_POINTS, write_sweep

from dynaopt.demand import write_demand
from dynaopt.errors import InvalidInputError, UnknownNameError
from dynaopt.sweep_points import AXES, Point, make_points
from dynaopt.sweep_spec import read_sweep_spec


def points_of(folder: Path, **changes: str) -> list[Point]:
    """Write a small sweep and make its points."""
    simple_solver.register()
    path = write_sweep(folder, **changes)
    return make_points(read_sweep_spec(path), path.parent)


def test_points_are_the_product(tmp_path: Path) -> None:
    """Tests two services by two scales by two clusters: eight, each with its own digest, name and inputs."""
    points = points_of(tmp_path)
    assert len(points) == NUM_POINTS
    assert len({p.digest for p in points}) == len({p.name for p in points}) == NUM_POINTS
    assert all(list(p.inputs) == list(AXES) for p in points)
    first, last = points[0], points[-1]
    assert first.name == "week_profile_slo1_gpus14"
    assert (last.inputs["service"], last.inputs["slo_scale"], last.inputs["num_gpus"]) == ("other", 2.0, 64)
    assert last.horizon.task.cluster.num_gpus == 64
    assert last.horizon.task.slo.tbt_s[0] == pytest.approx(0.2)


def test_inputs_are_read_once(tmp_path: Path) -> None:
    """Tests that points share profile and demand, and so what solvers compute once for each profile object."""
    points = points_of(tmp_path)
    assert len({id(p.horizon.profiles[0]) for p in points}) == 1
    assert len({id(p.horizon.demand) for p in points}) == 2


def test_names_tell_all_that_is_swept(tmp_path: Path) -> None:
    """Tests the words for each axis, among them a fixed mix by its number and no cap by its name."""
    points = points_of(
        tmp_path,
        services='"week.csv"',
        slo_scales="1",
        num_gpus="64",
        rate_scales="[0.5, 1]",
        reserve='[0, "n+1"]',
        power_cap_w='["none", 90000]',
        fixed_mix="[{}, { tiny-model = { 2 = 4 } }]",
    )
    assert [p.name for p in points[:3]] == [
        "week_profile_rate0.5_reserve0_power_cap_wnone_fixed_mix1",
        "week_profile_rate0.5_reserve0_power_cap_wnone_fixed_mix2",
        "week_profile_rate0.5_reserve0_power_cap_w90000_fixed_mix1",
    ]
    assert points[-1].name == "week_profile_rate1_reserven+1_power_cap_w90000_fixed_mix2"
    assert points[-1].inputs["fixed_mix"] == '{"tiny-model": {"2": 4}}'
    assert points[-1].inputs["reserve"] == "n+1"
    assert points[0].inputs["power_cap_w"] is None


def test_rates_are_scaled(tmp_path: Path) -> None:
    """Tests that half the rate is half of all arrivals, with the peaks as they were."""
    whole, half = points_of(tmp_path, services='"week.csv"', slo_scales="1", num_gpus="64", rate_scales="[1, 0.5]")
    assert half.horizon.demand.num_requests == pytest.approx(whole.horizon.demand.num_requests / 2)
    assert half.horizon.demand.peak_factors[""].tolist() == whole.horizon.demand.peak_factors[""].tolist()


def test_files_start_in_the_folder_of_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that where the program is started does not matter, and that the record tells where files lie."""
    monkeypatch.chdir("/")
    metadata = points_of(tmp_path)[0].horizon.metadata
    assert metadata.demand.path == str(tmp_path / "week.csv")
    assert metadata.profiles[0].path == str(tmp_path / "profile")


def test_shipped_inputs_go_by_name(tmp_path: Path) -> None:
    """Tests that a shipped week and a shipped profile need no file, and have no path in the record."""
    (point,) = points_of(
        tmp_path,
        services='"azure-2024-coding"',
        profiles='"llama2-70b-h100"',
        slo_scales="1",
        num_gpus="64",
        windows="2024-05-14",
    )
    assert point.name == "azure-2024-coding_llama2-70b-h100"
    assert point.horizon.demand.num_windows == 288
    assert (point.horizon.metadata.demand.path, point.horizon.metadata.profiles[0].path) == (None, None)


def test_a_combination_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """Tests a fixed mix of a degree that the profile lacks: the point, the option, what there is and what was asked."""
    with pytest.raises(InvalidInputError, match=r"point week_profile_fixed_mix2, option fixed_mix: .*TP of .*got TP"):
        points_of(
            tmp_path,
            services='"week.csv"',
            slo_scales="1",
            num_gpus="64",
            fixed_mix="[{}, { tiny-model = { 4 = 1 } }]",
        )


def test_unknown_names_are_told(tmp_path: Path) -> None:
    """Tests a solver, a service and a profile that there are not."""
    with pytest.raises(UnknownNameError, match="option solver: expected one of"):
        points_of(tmp_path, solver='"magic"')
    with pytest.raises(UnknownNameError, match="demand: expected one of azure-2024-conversation"):
        points_of(tmp_path, services='"no-such-week"')
    with pytest.raises(UnknownNameError, match="profile: expected a folder"):
        points_of(tmp_path, profiles='"no-such-profile"')


def test_files_of_one_name_are_refused(tmp_path: Path) -> None:
    """Tests that two services whose points would have the same name are told apart by nobody."""
    (tmp_path / "there").mkdir()
    write_demand(make_week(3, seed=5), tmp_path / "there" / "week.csv")
    with pytest.raises(
        InvalidInputError, match=r"files and folders of different names.*'week_profile_slo1_gpus14' twice"
    ):
        points_of(tmp_path, services='["week.csv", "there/week.csv"]', slo_scales="[1, 2]")
