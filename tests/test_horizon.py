"""Tests of planning a horizon: sums, windows without an answer, workers, resuming, and kill -9."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import simple_solver
from planning import OPTIONS, contents, make_small_profile, make_week, plan_simply

from dynaopt.check import check
from dynaopt.demand import Demand
from dynaopt.errors import InvalidInputError, SolverError, UnknownNameError
from dynaopt.horizon import plan
from dynaopt.schedule import ALLOCATION_COLUMNS, ROUTE_COLUMNS, TRANSITION_COLUMNS, WINDOW_COLUMNS
from dynaopt.schedule_io import read_schedule

TESTS = Path(__file__).parent


def run_plan(out: Path, kill: str = "never", *, solver: str = "simple", workers: int = 1, sleep_s: float = 0.0) -> int:
    """Plan in a process of its own and return its exit code, -9 if it was killed."""
    command = [sys.executable, "-m", "planning", str(out), solver, str(workers), kill]
    env = {**os.environ, "SIMPLE_SLEEP_S": str(sleep_s)}
    # A worker that outlived its killed parent would hold the output open, and the limit would end the test.
    done = subprocess.run(command, cwd=TESTS, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the week that nothing interrupted."""
    out = tmp_path_factory.mktemp("undisturbed") / "plan"
    assert run_plan(out) == 0
    return out


def test_a_window_by_hand() -> None:
    """Tests the accounts of one window.

    SS at 12 requests/s on TP2 instances of 10: two at 6 each, whose power is 400 + 200 x 1/5 = 440 W, so 880 W for
    300 s, 264,000 J; the simple solver's bound is half of it.
    """
    table = make_week(1).table.iloc[:1].assign(rate_rps=12.0, peak_factor=1.0)
    schedule = plan_simply(Demand("one", 300.0, table))
    assert schedule.allocations.iloc[0, 1:].tolist() == ["tiny-model", "SS", 2, 1000, 2, 6.0, 440.0]
    assert schedule.routes.iloc[0, 1:].tolist() == ["tiny-model", "SS", "SS", 12.0]
    assert schedule.transitions.empty
    row = schedule.windows.iloc[0]
    assert (row["power_w"], row["serving_energy_j"], row["energy_j"]) == (880.0, 264_000.0, 264_000.0)
    assert (row["lower_bound_j"], row["gap"], row["num_gpus"], row["termination"]) == (132_000.0, 0.5, 4, "feasible")
    assert (schedule.energy_j, schedule.lower_bound_j, schedule.gap) == (264_000.0, 132_000.0, 0.5)
    assert schedule.num_requests == 3600.0


def test_the_tables_keep_the_format() -> None:
    """Tests columns, order of windows, kinds of cells, and that every window has a row."""
    demand = make_week(20)
    schedule = plan_simply(demand)
    for frame, columns in (
        (schedule.allocations, ALLOCATION_COLUMNS),
        (schedule.routes, ROUTE_COLUMNS),
        (schedule.transitions, TRANSITION_COLUMNS),
        (schedule.windows, WINDOW_COLUMNS),
    ):
        assert list(frame) == [c.name for c in columns]
        assert frame["window_start"].is_monotonic_increasing
        assert str(frame["window_start"].dtype) == "datetime64[us, UTC]"
    assert list(schedule.windows["window_start"]) == list(demand.starts)
    assert str(schedule.windows["num_gpus"].dtype) == "Int64"


def test_a_plan_passes_the_check() -> None:
    """Tests a whole plan, starts and all, against the independent check."""
    schedule = plan_simply(make_week(too_much=(7,)))
    assert schedule.transition_energy_j > 0
    found = check(schedule, profiles=[make_small_profile()])
    assert [v for v in found if v.kind.name != "NO_ANSWER"] == []


def test_two_models_share_a_cluster() -> None:
    """Tests that each model is planned with its own profile, and that a window is lost only if both do not fit."""
    parts = [make_week(10, model="a"), make_week(10, model="b", seed=1)]
    both = Demand("both", 300.0, pd.concat([p.table for p in parts]).sort_values(["window_start", "model"]))
    profiles = [make_small_profile("a"), make_small_profile("b")]
    simple_solver.register()
    schedule = plan(both, profiles, solver=simple_solver.NAME, workers=1, num_gpus=128, headroom=0.0)
    assert check(schedule, profiles=profiles) == []
    assert set(schedule.allocations["model"]) == {"a", "b"}
    alone = [plan(p, q, solver=simple_solver.NAME, workers=1, **OPTIONS) for p, q in zip(parts, profiles, strict=True)]
    assert schedule.energy_j == pytest.approx(sum(s.energy_j for s in alone), rel=1e-12)


def test_windows_add_up_to_the_totals() -> None:
    """Tests conservation: windows to totals, transitions to windows, instances to windows."""
    schedule = plan_simply(make_week())
    windows, totals = schedule.windows, schedule.metadata.totals
    np.testing.assert_allclose(windows["energy_j"], windows["serving_energy_j"] + windows["transition_energy_j"])
    assert totals.energy_j == pytest.approx(windows["energy_j"].sum())
    assert totals.transition_energy_j == pytest.approx(schedule.transitions["energy_j"].sum())
    table = schedule.allocations
    power_w = (table["num_instances"] * table["power_per_instance_w"]).groupby(table["window_start"]).sum()
    np.testing.assert_allclose(power_w * 300, windows["serving_energy_j"])
    gpus = (table["num_instances"] * table["tp"]).groupby(table["window_start"]).sum()
    assert gpus.tolist() == windows["num_gpus"].tolist()
    assert totals.num_requests == pytest.approx(make_week().num_requests)


@pytest.mark.parametrize("cut", [1, 17, 59])
def test_cutting_a_horizon_keeps_its_serving_energy(cut: int) -> None:
    """Tests that two parts serve with the energy of the whole; only the starts at the cut are not charged."""
    demand = make_week()
    whole = plan_simply(demand)
    parts = [plan_simply(demand.select(0, cut)), plan_simply(demand.select(cut, 60))]
    assert sum(p.serving_energy_j for p in parts) == pytest.approx(whole.serving_energy_j, rel=1e-12)
    at_cut_j = whole.windows["transition_energy_j"].iloc[cut]
    assert sum(p.transition_energy_j for p in parts) + at_cut_j == pytest.approx(whole.transition_energy_j, rel=1e-12)


def test_halving_the_windows_keeps_the_serving_energy() -> None:
    """Tests that a window cut into two of the same rates takes the same energy, and nothing starts between them."""
    demand = make_week(10)
    halves = [
        demand.table.assign(window_start=demand.table["window_start"] + pd.Timedelta(seconds=s)) for s in (0, 150)
    ]
    table = pd.concat(halves).sort_values("window_start", kind="stable", ignore_index=True)
    whole, finer = plan_simply(demand), plan_simply(Demand("finer", 150.0, table))
    assert finer.num_windows == 20
    assert finer.energy_j == pytest.approx(whole.energy_j, rel=1e-12)
    assert (finer.windows["transition_energy_j"].to_numpy()[1::2] == 0).all()


def test_windows_without_an_answer_do_not_stop_the_plan() -> None:
    """Tests that they have a row with the reason and nothing else, are counted, and are left out of all sums."""
    schedule = plan_simply(make_week(too_much=(0, 7)))
    lost = schedule.windows.iloc[[0, 7]]
    assert lost["termination"].tolist() == ["infeasible"] * 2
    assert lost["reason"].str.contains("GPUs of 64").all()
    answer = ["power_w", "serving_energy_j", "transition_energy_j", "energy_j", "lower_bound_j", "gap", "num_gpus"]
    assert lost[answer].isna().all(axis=None)
    assert schedule.windows.drop([0, 7])[answer].notna().all(axis=None)
    for frame in (schedule.allocations, schedule.routes, schedule.transitions):
        assert not frame["window_start"].isin(lost["window_start"]).any()
    assert (schedule.num_windows, schedule.num_unsolved) == (60, 2)
    assert np.isfinite(schedule.energy_j)
    assert schedule.metadata.totals.num_unsolved == 2


def test_a_plan_without_any_answer_is_a_plan(tmp_path: Path) -> None:
    """Tests that sums are 0, that there is no gap and no mean, and that it can be written and read."""
    schedule = plan_simply(make_week(2, too_much=(0, 1)), out=tmp_path / "plan")
    assert (schedule.energy_j, schedule.gap, schedule.num_unsolved) == (0.0, None, 2)
    summary = schedule.summary()
    assert summary["mean_power_w"] is None
    assert summary["wh_per_1000_requests"] is None
    assert read_schedule(tmp_path / "plan").num_unsolved == 2


def test_windows_without_arrivals_run_nothing() -> None:
    """Tests that a window in which nothing arrives is answered with no instance and no power."""
    demand = make_week(3)
    table = demand.table[demand.table["window_start"] != demand.starts[1]].reset_index(drop=True)
    schedule = plan_simply(Demand("gap", 300.0, table))
    row = schedule.windows.iloc[1]
    assert (row["num_gpus"], row["power_w"], row["termination"]) == (0, 0.0, "feasible")
    assert schedule.num_unsolved == 0


def test_progress_tells_windows_and_energy() -> None:
    """Tests that it starts at nothing, never falls, and ends with all windows and the serving energy."""
    calls: list[tuple[int, int, float]] = []
    schedule = plan_simply(make_week(), progress=lambda *state: calls.append(state))
    assert calls[0] == (0, 60, 0.0)
    assert calls == sorted(calls)
    assert calls[-1][:2] == (60, 60)
    assert calls[-1][2] == pytest.approx(schedule.serving_energy_j)


def test_the_number_of_workers_does_not_matter(tmp_path: Path) -> None:
    """Tests that one process and three write the same bytes, with the package's own greedy."""
    demand, profile = make_week(40, too_much=(7,)), make_small_profile()
    for workers in (1, 3):
        plan(demand, profile, solver="greedy", workers=workers, out=tmp_path / str(workers), **OPTIONS)
    assert contents(tmp_path / "1") == contents(tmp_path / "3")


def test_a_finished_plan_is_read_and_not_planned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that the same call finds the same bytes without solving, and that it says so to the progress bar."""
    first = plan_simply(make_week(), out=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setenv("SIMPLE_COUNT_FILE", str(tmp_path.parent / "count"))
    calls: list[tuple[int, int, float]] = []
    again = plan_simply(make_week(), out=tmp_path, progress=lambda *state: calls.append(state))
    assert not (tmp_path.parent / "count").exists()
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    pd.testing.assert_frame_equal(again.windows, first.windows)
    assert [call[:2] for call in calls] == [(60, 60)]


def test_other_options_do_not_overwrite_a_finished_plan(tmp_path: Path) -> None:
    """Tests that the folder, what differs and what to type are told, and that nothing is touched."""
    plan_simply(make_week(), out=tmp_path)
    before = contents(tmp_path)
    with pytest.raises(InvalidInputError, match=r"the schedule of num_gpus 64 and not 80; .*--out.*--overwrite"):
        plan_simply(make_week(), out=tmp_path, num_gpus=80)
    with pytest.raises(InvalidInputError, match="the schedule of demand small-week"):
        plan_simply(make_week(seed=1), out=tmp_path)
    assert contents(tmp_path) == before


def test_overwrite_plans_anew(tmp_path: Path) -> None:
    """Tests that another plan takes the folder over, and that nothing of the first is left."""
    plan_simply(make_week(), out=tmp_path / "a")
    plan_simply(make_week(30), out=tmp_path / "a", num_gpus=80, overwrite=True)
    plan_simply(make_week(30), out=tmp_path / "b", num_gpus=80)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_an_unreadable_schedule_is_not_overwritten(tmp_path: Path) -> None:
    """Tests that a folder whose schedule.json is broken is refused, unless told to plan anew."""
    (tmp_path / "schedule.json").write_text("{")
    with pytest.raises(InvalidInputError, match=r"a schedule.json that cannot be read"):
        plan_simply(make_week(2), out=tmp_path)
    assert plan_simply(make_week(2), out=tmp_path, overwrite=True).num_windows == 2


def test_an_unfinished_plan_of_other_options_is_refused(tmp_path: Path, undisturbed: Path) -> None:
    """Tests that the journal of one plan is not mixed into another, and survives the attempt."""
    out = tmp_path / "plan"
    assert run_plan(out, "window:20") == -signal.SIGKILL
    with pytest.raises(InvalidInputError, match=r"an unfinished plan of headroom 0.0 and not 0.2; .*--overwrite"):
        plan_simply(make_week(), out=out, headroom=0.2)
    assert run_plan(out) == 0
    assert contents(out) == contents(undisturbed)


def test_an_exception_keeps_what_was_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that after a failure in the progress callback only the windows that were not finished are solved."""

    def fail(num_done: int, num_windows: int, energy_j: float) -> None:
        if num_done >= 2:
            raise SolverError("enough")

    with pytest.raises(SolverError, match="enough"):
        plan_simply(make_week(), out=tmp_path / "plan", progress=fail)
    monkeypatch.setenv("SIMPLE_COUNT_FILE", str(tmp_path / "count"))
    resumed = plan_simply(make_week(), out=tmp_path / "plan")
    assert len((tmp_path / "count").read_text().splitlines()) == 58
    undisturbed = plan_simply(make_week())
    pd.testing.assert_frame_equal(
        resumed.windows.drop(columns="runtime_s"), undisturbed.windows.drop(columns="runtime_s")
    )


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_chunk_is_solved_again(tmp_path: Path, undisturbed: Path, damage: str) -> None:
    """Tests that a chunk that does not fit its checksum is found and redone."""
    out = tmp_path / "plan"
    assert run_plan(out, "window:30") == -signal.SIGKILL
    chunk = max((out / ".partial").glob("windows-*.json"), key=lambda path: path.stat().st_size)
    data = chunk.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + (b"1" if data[middle : middle + 1] != b"1" else b"2") + data[middle + 1 :]
    chunk.write_bytes({"truncate": data[:middle], "flip": flipped, "empty": b""}[damage])
    assert run_plan(out) == 0
    assert contents(out) == contents(undisturbed)


@pytest.mark.parametrize("kill", ["window:0", "window:1", "window:33", "window:60"])
def test_a_process_that_dies_is_resumed(tmp_path: Path, undisturbed: Path, kill: str) -> None:
    """Tests that kill -9 before, between and after the windows leaves no trace in the files."""
    out = tmp_path / "plan"
    assert run_plan(out, kill) == -signal.SIGKILL
    assert not (out / "schedule.json").exists()
    assert run_plan(out) == 0
    assert contents(out) == contents(undisturbed)


def test_a_process_that_dies_while_it_moves_files_is_resumed(tmp_path: Path, undisturbed: Path) -> None:
    """Tests kill -9 at every eighth file that is moved into place, journal and tables, one death after the other."""
    out = tmp_path / "plan"
    deaths = 0
    for count in range(1, 60, 8):
        deaths += run_plan(out, f"replace:{count}") == -signal.SIGKILL
        if (out / "schedule.json").exists():
            break
    assert deaths >= 2
    assert run_plan(out) == 0
    assert contents(out) == contents(undisturbed)


def test_kill_9_of_the_whole_group_at_random_moments(tmp_path: Path, undisturbed: Path) -> None:
    """Tests five deaths at random moments after planning began, then a run to the end."""
    out, rng = tmp_path / "plan", random.Random(7)
    command = [sys.executable, "-m", "planning", str(out), "simple", "1", "outside"]
    for _ in range(5):
        process = subprocess.Popen(
            command,
            cwd=TESTS,
            env={**os.environ, "SIMPLE_SLEEP_S": "0.01"},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(rng.uniform(0, 0.2))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        assert process.wait() in (0, -signal.SIGKILL)
    assert run_plan(out) == 0
    assert contents(out) == contents(undisturbed)


def test_kill_9_of_the_parent_of_workers(tmp_path: Path) -> None:
    """Tests that workers whose parent dies do no harm, and that the resumed plan is that of a single process."""
    assert run_plan(tmp_path / "a", "window:20", solver="greedy", workers=2) == -signal.SIGKILL
    assert run_plan(tmp_path / "a", solver="greedy", workers=2) == 0
    assert run_plan(tmp_path / "b", solver="greedy") == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "option workers: expected at least 1, got 0"),
        ({"time_limit_s": 0.0}, "option time_limit_s: expected a number above 0"),
        ({"gap_tolerance": -1.0}, "option gap_tolerance: expected a number of at least 0"),
        ({"num_gpus": 0}, "option num_gpus"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    """Tests that each is named before any window is solved."""
    with pytest.raises(InvalidInputError, match=message):
        plan_simply(make_week(2), **options)


def test_an_unknown_solver_is_refused(tmp_path: Path) -> None:
    """Tests that the solvers there are get listed, and that no folder is made."""
    with pytest.raises(UnknownNameError, match=r"option solver: expected one of .*greedy"):
        plan_simply(make_week(2), solver="magic", out=tmp_path / "plan")
    assert not (tmp_path / "plan").exists()


def test_models_and_profiles_must_fit() -> None:
    """Tests a model without a profile, and two profiles for one model."""
    with pytest.raises(InvalidInputError, match="profiles: expected one for model 'other'"):
        plan_simply(make_week(2, model="other"))
    with pytest.raises(InvalidInputError, match="profiles: expected one for each model, got small-tiny-model of"):
        plan(make_week(2), [make_small_profile()] * 2, **OPTIONS)


def test_the_record_tells_inputs_and_options() -> None:
    """Tests names, digests, paths and options in the metadata, and that the digest follows what decides the answers."""
    schedule = plan_simply(make_week(2), paths={"small-week": Path("here.csv")}, gap_tolerance=0.25)
    metadata = schedule.metadata
    assert (metadata.demand.name, metadata.demand.path) == ("small-week", "here.csv")
    assert (metadata.profiles[0].name, metadata.profiles[0].path) == ("small-tiny-model", None)
    assert (metadata.solver, metadata.gap_tolerance, metadata.cluster.num_gpus) == ("simple", 0.25, 64)
    assert plan_simply(make_week(2), gap_tolerance=0.25).metadata.digest == metadata.digest
    others = [
        plan_simply(make_week(2, seed=1)),
        plan_simply(make_week(2), gap_tolerance=0.5),
        plan_simply(make_week(2), headroom=0.3),
    ]
    assert len({metadata.digest, *(s.metadata.digest for s in others)}) == 4
