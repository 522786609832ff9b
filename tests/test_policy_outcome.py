"""Tests running policies one after the other: checked, kept, read again, and their records and tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from policy_builders import MIX, TP2, TP8, make_policy_case, make_policy_profile

from dynaopt.coupling import Coupling
from dynaopt.figures_policies import energy_bars
from dynaopt.horizon import plan
from dynaopt.policies import Case, Policy, get_policy
from dynaopt.policies.base import Rival
from dynaopt.policies.fixed_pools import MultiPool
from dynaopt.policies.planned import PlannedTogether
from dynaopt.policy_outcome import PolicyOutcome, run_policies, scaled
from dynaopt.policy_page import write_policy_page
from dynaopt.policy_table import policy_columns, policy_records, policy_rows, replay_columns, replay_record, replay_rows
from dynaopt.replay_result import ReplayResult
from dynaopt.schedule import Schedule
from dynaopt.schedule_io import read_schedule, write_schedule

RATES = {"SS": [12.0, 4.0], "LL": [6.0, 6.0]}
NAMES = ("single-pool", "multi-pool", "scale-inst", "input-pools", "plan")
PAPER = {"single-pool": 1.0, "multi-pool": 1.15}


def make_case(**cluster: object) -> Case:
    """Return the case that all tests here are about."""
    return make_policy_case(make_policy_profile(TP8, TP2), RATES, **cluster)


def outcomes(case: Case | None = None, **options: object) -> list[PolicyOutcome]:
    """Run five policies, of which one lacks its curves."""
    policies = [get_policy(name) for name in NAMES]
    return list(run_policies(make_case() if case is None else case, policies, **options))  # type: ignore[arg-type]


def make_replay(schedule: Schedule) -> ReplayResult:
    """Make up what a replay found: SS kept everything, LL 98 % of its TBT; a tenth more energy than planned."""
    whole = {"ttft_p99_s": 0.2, "tbt_p99_s": 0.05, "attainment": 0.985}
    classes = pd.DataFrame(
        [
            {"request_class": "SS", "ttft_attainment": 1.0, "tbt_attainment": 1.0},
            {"request_class": "LL", "ttft_attainment": 0.999, "tbt_attainment": 0.98},
            {"request_class": "all", "ttft_attainment": 0.9995, "tbt_attainment": 0.99} | whole,
        ]
    )
    totals = {"num_requests": 8400, "num_lost": 0, "energy_j": 1.1 * schedule.energy_j}
    nothing = pd.DataFrame()
    return ReplayResult(
        name="made-up",
        duration_s=600.0,
        classes=classes,
        windows=nothing,
        window_classes=nothing,
        pools=nothing,
        totals=totals | {"planned_energy_j": schedule.energy_j},
    )


def test_each_policy_comes_to_an_outcome() -> None:
    """Tests that four are checked and right, and that the fifth says why it cannot be."""
    found = {outcome.name: outcome for outcome in outcomes()}
    assert list(found) == ["single-pool", "multi-pool", "scale-inst", "input-pools", "plan-exact"]
    assert found["input-pools"].schedule is None
    assert found["input-pools"].reason == "profile tiny has no curves of mixes by input length"
    assert all(o.violations == () and o.is_right and o.fits for o in found.values())
    assert [o.is_ours for o in found.values()] == [False] * 4 + [True]


def test_gpu_hours_and_servers() -> None:
    """Tests MultiPool: three TP8 for two windows of five minutes are 4 GPU-hours on three servers."""
    (multi,) = run_policies(make_case(), [MultiPool()])
    assert multi.gpu_hours == pytest.approx(24 * 600 / 3600)
    assert multi.servers_max == 3
    nothing = PolicyOutcome(name="x", title="x", reason="no")
    assert (nothing.gpu_hours, nothing.servers_max) == (None, None)


def test_one_that_does_not_fit_is_told_and_not_hidden() -> None:
    """Tests MultiPool's 24 GPUs on a cluster of 16: the check says so, a note does, and the table does."""
    (multi,) = run_policies(make_case(num_gpus=16), [MultiPool()])
    assert not multi.fits
    assert multi.is_right
    assert multi.notes == ("MultiPool needs 24 GPUs of 16; its energy is that of them all.",)
    (row,) = policy_rows(policy_records([multi], PAPER))
    assert row[-1] == "too large"


def test_a_wrong_policy_is_found_out() -> None:
    """Tests that a policy which leaves half of the instances out does not pass as right."""

    class Cheat(Rival):
        name, title = "cheat", "cheat"

        def plan(self, case: Case) -> Schedule:
            """Return what MultiPool would do, with a third of its energy."""
            schedule = MultiPool().plan(case)
            windows = schedule.windows.assign(energy_j=schedule.windows["energy_j"] / 3)
            return type(schedule)(
                **{f: getattr(schedule, f) for f in ("metadata", "demand", "allocations", "routes", "transitions")},
                windows=windows,
            )

    policy: Policy = Cheat()
    (outcome,) = run_policies(make_case(), [policy])
    assert not outcome.is_right
    assert policy_rows(policy_records([outcome], {}))[0][-1] == f"{len(outcome.violations)} wrong"


def test_a_rough_mix_is_told() -> None:
    """Tests 12 of SS to 6 of LL, then 4 to 6, 16 to 12 in all, on a mix of halves: 7 %; and 18 to 2: 40 %."""
    even, uneven = ({"SS": ss, "LL": ll} for ss, ll in (([12.0, 4.0], [6.0, 6.0]), ([12.0, 6.0], [1.0, 1.0])))
    profile = make_policy_profile(TP8, TP2)
    (near,) = run_policies(make_policy_case(profile, even), [get_policy("single-pool")])
    (far,) = run_policies(make_policy_case(profile, uneven), [get_policy("single-pool")])
    assert near.notes == ()
    assert far.notes == (f"The curves of {MIX} take 40% of its requests for another class; such a pool is rough.",)


def test_what_is_finished_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that folders of the same case are read, those of another are written anew, and damaged ones too."""
    first = outcomes(out=tmp_path)
    assert read_schedule(tmp_path / "plan-exact").energy_j == pytest.approx(first[-1].schedule.energy_j)  # type: ignore[union-attr]
    runs: list[str] = []
    original = MultiPool.plan
    monkeypatch.setattr(MultiPool, "plan", lambda self, case: (runs.append(self.name), original(self, case))[1])
    again = outcomes(out=tmp_path)
    assert runs == []
    assert [o.schedule and o.schedule.energy_j for o in again] == [o.schedule and o.schedule.energy_j for o in first]
    outcomes(make_case(headroom=0.2), out=tmp_path)
    assert runs == ["multi-pool"]
    (tmp_path / "multi-pool" / "windows.csv").write_text("nonsense\n")
    outcomes(make_case(headroom=0.2), out=tmp_path)
    assert runs == ["multi-pool"] * 2


def test_a_coupled_plan_is_read_only_by_its_own_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that what all windows together came to is found again, and not taken where up-times were asked for."""
    case, together = make_case(), PlannedTogether(workers=1)
    (first,) = run_policies(case, [together], out=tmp_path)
    assert (first.is_ours, first.is_right) == (True, True)
    monkeypatch.setattr(PlannedTogether, "plan", lambda *_: pytest.fail("planned again"))
    (again,) = run_policies(case, [together], out=tmp_path)
    assert first.schedule is not None
    assert again.schedule is not None
    assert again.schedule.energy_j == first.schedule.energy_j
    other = plan(
        case.demand, case.profiles, slo=case.slo, coupled=Coupling(min_up_s=600.0), **case.cluster.model_dump()
    )
    write_schedule(other, tmp_path / together.name)
    with pytest.raises(pytest.fail.Exception, match="planned again"):
        list(run_policies(case, [together], out=tmp_path))


def test_progress_is_told_before_each() -> None:
    """Tests that the caller hears what is next and when all is done."""
    heard: list[tuple[int, int, str]] = []
    outcomes(progress=lambda *state: heard.append(state))
    assert heard[0] == (0, 5, "SinglePool")
    assert heard[-1] == (5, 5, "all")


def test_a_scaled_demand_has_ten_times_the_rates() -> None:
    """Tests rates, name and peaks of a scaled demand; a factor of 1 changes nothing."""
    demand = make_case().demand
    larger = scaled(demand, 10.0)
    assert larger.name == "made-up-x10"
    assert np.array_equal(larger.total_rates_rps, 10 * demand.total_rates_rps)
    assert np.array_equal(larger.peak_factors[""], demand.peak_factors[""])
    assert scaled(demand, 1.0) is demand


def test_records_hold_energies_against_each_other() -> None:
    """Tests that SinglePool is 1, that the paper stands beside, and that savings are those of the plan."""
    found = outcomes()
    records = {record["name"]: record for record in policy_records(found, PAPER)}
    energy = {o.name: o.schedule.energy_j for o in found if o.schedule is not None}
    assert records["single-pool"]["relative_energy"] == 1
    assert records["multi-pool"]["relative_energy"] == pytest.approx(energy["multi-pool"] / energy["single-pool"])
    assert records["multi-pool"]["paper_relative_energy"] == 1.15
    assert records["multi-pool"]["saved_by_plan"] == pytest.approx(1 - energy["plan-exact"] / energy["multi-pool"])
    assert records["plan-exact"]["saved_by_plan"] is None
    assert records["input-pools"]["relative_energy"] is None


def test_tables_have_a_cell_for_every_column() -> None:
    """Tests both tables, dashes for what is not known among them."""
    found = outcomes(replay=make_replay)
    records = policy_records(found, PAPER)
    rows = policy_rows(records)
    assert {len(row) for row in rows} == {len(policy_columns())}
    assert rows[3] == ["pools by input length", *[None] * (len(policy_columns()) - 1)]
    replayed = replay_rows(records)
    assert len(replayed) == 4
    assert replayed[0][1:] == ["0.200", "50.0", "98.50%", "99.90%", "98.00%", "0", replayed[0][7], "1.100"]
    assert len(replay_columns()) == len(replayed[0])
    record = replay_record(make_replay(found[0].schedule))  # type: ignore[arg-type]
    assert (record["least_ttft_attainment"], record["least_tbt_attainment"]) == (0.999, 0.98)


def test_the_picture_has_a_bar_for_each_answer() -> None:
    """Tests bars in kWh, serving and start-ups, and the paper's figures scaled to SinglePool here."""
    found = outcomes()
    figure = energy_bars(policy_records(found, PAPER))
    serving, starts, paper = figure.data
    energy = {o.title: o.schedule for o in found if o.schedule is not None}
    assert list(serving.y) == list(energy)
    assert serving.x[0] == pytest.approx(energy["SinglePool"].serving_energy_j / 3.6e6)
    assert starts.x[-1] == pytest.approx(energy["plan (exact)"].transition_energy_j / 3.6e6)
    assert list(paper.y) == ["SinglePool", "MultiPool"]
    assert paper.x[1] == pytest.approx(1.15 * energy["SinglePool"].energy_j / 3.6e6)


def test_the_page_stands_alone(tmp_path: Path) -> None:
    """Tests that the page has the tables, the notes and the picture, escapes what it is given, and loads nothing."""
    records = policy_records(outcomes(), PAPER)
    path = tmp_path / "page.html"
    write_policy_page(
        path,
        title="a <b>",
        tables=[("Energy", policy_columns(), policy_rows(records))],
        figures=[energy_bars(records)],
        notes=["a note"],
    )
    page = path.read_text(encoding="utf-8")
    assert "a &lt;b&gt;" in page
    assert "<td>MultiPool</td>" in page
    assert "a note" in page
    assert 'src="http' not in page
