"""Tests of sweeps: rows, resuming after kill -9, longer lists, and the same bits wherever they are planned."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import simple_solver
from planning import make_small_profile
from sweeping import NUM_POINTS, NUM_WINDOWS, kept, sweep_simply, write_sweep

from dynaopt import window_worker
from dynaopt.demand import read_demand
from dynaopt.errors import InvalidInputError
from dynaopt.horizon import plan
from dynaopt.schedule_io import read_schedule
from dynaopt.slo import Slo
from dynaopt.sweep import SweepState

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a small sweep with schedules."""
    return write_sweep(tmp_path_factory.mktemp("sweep"), schedules="true")


@pytest.fixture(scope="module")
def undisturbed(path: Path) -> Path:
    """Return the folder of that sweep, which nothing interrupted."""
    sweep_simply(path, out=path.parent / "undisturbed")
    return path.parent / "undisturbed"


def run_sweep(path: Path, out: Path, kill: str = "never", *, workers: int = 1, solver: str = "simple") -> int:
    """Sweep in a process of its own and return its exit code, -9 if it was killed."""
    command = [sys.executable, "-m", "sweeping", str(path), str(out), str(workers), kill]
    done = subprocess.run(command, cwd=TESTS, env=os.environ.copy(), capture_output=True, text=True, timeout=240)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def test_a_point_is_the_plan_of_its_inputs(path: Path, undisturbed: Path) -> None:
    """Tests that each row says what `plan` says of the same inputs, and each schedule holds the same bytes."""
    simple_solver.register()
    points = pd.read_csv(undisturbed / "sweep.csv", keep_default_na=False)
    assert len(points) == NUM_POINTS
    for row in points.to_dict("records"):
        schedule = plan(
            read_demand(path.parent / f"{row['service']}.csv"),
            make_small_profile(),
            slo=Slo.table_iv().scaled(row["slo_scale"]),
            num_gpus=row["num_gpus"],
            headroom=0.0,
            solver="simple",
            workers=1,
        )
        told = read_schedule(undisturbed / "schedules" / row["point"])
        assert told.windows.drop(columns="runtime_s").equals(schedule.windows.drop(columns="runtime_s"))
        assert told.allocations.equals(schedule.allocations)
        summary = schedule.summary()
        for name in ("num_windows", "num_unsolved", "energy_j", "serving_energy_j", "transition_energy_j", "gap"):
            assert float(row[name]) == pytest.approx(summary[name], rel=1e-15), name
        assert int(row["gpus_max"]) == summary["gpus_max"]
        assert row["num_violations"] == 0


def test_points_come_in_the_order_of_the_lists(undisturbed: Path) -> None:
    """Tests that the last axis varies fastest and that names tell the points apart."""
    points = pd.read_csv(undisturbed / "sweep.csv")
    assert points["service"].tolist() == ["week"] * 4 + ["other"] * 4
    assert points["slo_scale"].tolist() == [1, 1, 2, 2] * 2
    assert points["num_gpus"].tolist() == [14, 64] * 4
    assert points["point"].is_unique
    assert points["point"][0] == "week_profile_slo1_gpus14"
    assert (undisturbed / "schedules" / "week_profile_slo1_gpus14" / "schedule.json").is_file()


def test_points_without_an_answer_are_rows(path: Path) -> None:
    """Tests a cluster that is too small for all windows and one that is for some, beside one that is not."""
    small = write_sweep(path.parent / "few", services='"week.csv"', slo_scales="1", num_gpus="[1, 14, 64]")
    points = sweep_simply(small)
    assert points["num_unsolved"].tolist()[0] == NUM_WINDOWS
    assert 0 < points["num_unsolved"][1] < NUM_WINDOWS
    assert points["num_unsolved"][2] == 0
    sums = ["energy_j", "serving_energy_j", "transition_energy_j", "lower_bound_j", "gap", "gpus_max", "mean_power_w"]
    assert points.loc[0, sums].isna().all()
    assert points.loc[1:, sums].notna().all(axis=None)
    assert points["reason"].str.contains("GPUs of").tolist() == [True, True, False]


def test_progress_tells_points_and_windows(path: Path) -> None:
    """Tests that it starts at nothing, never falls, ends with all, and moves by chunks and not by points."""
    states: list[SweepState] = []
    points = sweep_simply(path, progress=states.append)
    assert (states[0].points_done, states[0].windows_done) == (0, 0)
    assert [s.windows_done for s in states] == sorted(s.windows_done for s in states)
    last = states[-1]
    assert (last.points_done, last.num_points) == (NUM_POINTS, NUM_POINTS)
    assert last.windows_done == last.num_windows == NUM_POINTS * NUM_WINDOWS
    assert last.serving_energy_j == pytest.approx(points["serving_energy_j"].sum())
    assert len(states) > NUM_POINTS


@pytest.mark.parametrize("kill", ["window:1", "window:25", "window:150"])
def test_a_sweep_that_dies_is_resumed(tmp_path: Path, path: Path, undisturbed: Path, kill: str) -> None:
    """Tests kill -9 in the first point, in the second, and before the last window: the same bytes in the end."""
    out = tmp_path / "out"
    assert run_sweep(path, out, kill) == -signal.SIGKILL
    left = int(kill.partition(":")[2])
    count = tmp_path / "count"
    os.environ["SIMPLE_COUNT_FILE"] = str(count)
    try:
        assert run_sweep(path, out) == 0
    finally:
        del os.environ["SIMPLE_COUNT_FILE"]
    solved = count.read_text().splitlines() if count.exists() else []
    assert len(solved) <= NUM_POINTS * NUM_WINDOWS - left
    assert kept(out) == kept(undisturbed)
    assert [p.name for p in (out / ".partial").iterdir()] == ["lock"]


def test_a_sweep_that_dies_while_it_moves_files_is_resumed(tmp_path: Path, path: Path, undisturbed: Path) -> None:
    """Tests kill -9 at moving files into place, one death after the other: journals, schedules, rows, tables."""
    out, deaths = tmp_path / "out", 0
    for count in (3, 14, 22, 29, 37):
        deaths += run_sweep(path, out, f"replace:{count}") == -signal.SIGKILL
    assert deaths >= 3
    assert run_sweep(path, out) == 0
    assert kept(out) == kept(undisturbed)


def test_the_number_of_workers_does_not_matter(tmp_path: Path) -> None:
    """Tests that one process and two write the same bytes, with the package's own greedy."""
    # Every window has an answer: the search for why there is none is cut off by the clock, and may say less.
    path = write_sweep(tmp_path, solver='"greedy"', num_gpus="[40, 64]")
    for workers in (1, 2):
        assert run_sweep(path, tmp_path / str(workers), workers=workers) == 0
    assert kept(tmp_path / "1") == kept(tmp_path / "2")


def test_a_finished_sweep_is_not_planned_again(path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that the same call solves nothing and tells the same."""
    before = kept(undisturbed)
    monkeypatch.setenv("SIMPLE_COUNT_FILE", str(path.parent / "count"))
    states: list[SweepState] = []
    points = sweep_simply(path, out=undisturbed, progress=states.append)
    assert not (path.parent / "count").exists()
    assert kept(undisturbed) == before
    assert [s.points_done for s in states] == [NUM_POINTS]
    pd.testing.assert_frame_equal(points, pd.read_parquet(undisturbed / "sweep.parquet"), check_dtype=False)


def test_a_longer_list_costs_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that one more cluster size plans its own windows only, though that changes the order of points."""
    path = write_sweep(tmp_path, slo_scales="1")
    first = sweep_simply(path, out=tmp_path / "out")
    write_sweep(tmp_path, slo_scales="1", num_gpus="[14, 40, 64]")
    monkeypatch.setenv("SIMPLE_COUNT_FILE", str(tmp_path / "count"))
    longer = sweep_simply(path, out=tmp_path / "out")
    assert len((tmp_path / "count").read_text().splitlines()) == 2 * NUM_WINDOWS
    both = longer[longer["num_gpus"] != 40].reset_index(drop=True)
    pd.testing.assert_frame_equal(both, first)


def test_a_damaged_row_is_planned_again(tmp_path: Path) -> None:
    """Tests that a file of a point that cannot be read, or is another's, is not believed."""
    path = write_sweep(tmp_path, services='"week.csv"', slo_scales="1")
    sweep_simply(path, out=tmp_path / "out")
    before = kept(tmp_path / "out")
    one, other = sorted((tmp_path / "out" / "points").iterdir())
    one.write_text("{")
    other.write_text(other.read_text().replace('"digest": "', '"digest": "0'))
    sweep_simply(path, out=tmp_path / "out")
    assert kept(tmp_path / "out") == before


def test_a_schedule_of_another_plan_is_not_overwritten(tmp_path: Path) -> None:
    """Tests that what differs is told, and that --overwrite's keyword replaces it."""
    path = write_sweep(tmp_path, services='"week.csv"', slo_scales="1", schedules="true")
    sweep_simply(path, out=tmp_path / "out")
    write_sweep(tmp_path, services='"week.csv"', slo_scales="1", schedules="true", headroom="0.2")
    with pytest.raises(InvalidInputError, match=r"gpus14: .*the schedule of headroom 0.0 and not 0.2; .*--overwrite"):
        sweep_simply(path, out=tmp_path / "out")
    points = sweep_simply(path, out=tmp_path / "out", overwrite=True)
    told = read_schedule(tmp_path / "out" / "schedules" / points["point"][1])
    assert told.metadata.cluster.headroom == 0.2


def test_schedules_asked_for_later_are_made(tmp_path: Path) -> None:
    """Tests that rows that are there do not stand for schedules that are not."""
    path = write_sweep(tmp_path, services='"week.csv"', slo_scales="1")
    sweep_simply(path, out=tmp_path / "out")
    assert not (tmp_path / "out" / "schedules").exists()
    write_sweep(tmp_path, services='"week.csv"', slo_scales="1", schedules="true")
    points = sweep_simply(path, out=tmp_path / "out")
    assert {p.name for p in (tmp_path / "out" / "schedules").iterdir()} == set(points["point"])


def test_a_sample_tells_no_starts(tmp_path: Path) -> None:
    """Tests one window in four: a quarter of the windows, their serving energy as in the whole, and no other sums."""
    whole = sweep_simply(
        write_sweep(tmp_path, services='"week.csv"', slo_scales="1", num_gpus="64", schedules="true"),
        out=tmp_path / "whole",
    )
    sample = sweep_simply(
        write_sweep(tmp_path, services='"week.csv"', slo_scales="1", num_gpus="64", windows="{ every = 4 }")
    ).iloc[0]
    windows = read_schedule(tmp_path / "whole" / "schedules" / whole["point"][0]).windows.iloc[::4]
    assert sample["num_windows"] == len(windows) == 5
    assert sample["serving_energy_j"] == pytest.approx(windows["serving_energy_j"].sum(), rel=1e-12)
    assert sample["mean_power_w"] == pytest.approx(windows["power_w"].mean(), rel=1e-12)
    assert sample[["energy_j", "transition_energy_j"]].isna().all()
    assert sample["num_violations"] == 0


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    """Tests that a sweep refuses the folder at which another one is at that moment."""
    path = write_sweep(tmp_path, services='"week.csv"')

    def again(state: SweepState) -> None:
        with pytest.raises(InvalidInputError, match="expected a folder in which no other sweep runs"):
            sweep_simply(path, out=tmp_path / "out")

    assert len(sweep_simply(path, out=tmp_path / "out", progress=again)) == 4


def test_money_is_told_where_it_has_a_price(tmp_path: Path) -> None:
    """Tests cost: 0.2 money per kWh and PUE 1.5 are 0.3 per kWh of the cluster, starts included."""
    text = "{ minimise = 'cost', price_per_kwh = 0.2, pue = 1.5 }"
    points = sweep_simply(write_sweep(tmp_path, services='"week.csv"', slo_scales="1", objective=text))
    assert set(points["objective"]) == {"cost"}
    assert (points["cost"] / (points["energy_j"] / 3.6e6)).tolist() == pytest.approx([0.3, 0.3])


def test_many_points_need_few_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that journals are open only while their point is being solved: never more than two at a time here."""
    monkeypatch.setattr(window_worker, "_CHUNK_S", 0.001)
    path = write_sweep(tmp_path, num_gpus="[14, 32, 40, 64]")
    most = 0

    def count(_: SweepState) -> None:
        nonlocal most
        links = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
        most = max(most, sum(str(tmp_path / "out") in link and link.endswith("lock") for link in links))

    sweep_simply(path, out=tmp_path / "out", progress=count)
    assert 2 <= most <= 3  # the folder's own, and those of one point or two
