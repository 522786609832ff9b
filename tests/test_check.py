"""Tests the independent check of a schedule: a right one passes, and each planted fault is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import make_profile, same_for_all_classes
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt.check import check
from dynaopt.demand import Demand
from dynaopt.digests import demand_digest, profile_digest
from dynaopt.errors import UnknownNameError
from dynaopt.problem import Cluster
from dynaopt.profile import Profile
from dynaopt.profile_io import write_profile
from dynaopt.schedule import Schedule, ScheduleMetadata, Source, Totals
from dynaopt.slo import Slo
from dynaopt.violations import ViolationKind

K = ViolationKind
STARTS = pd.date_range("2024-05-12T00:00:00Z", periods=4, freq="5min", unit="us")
PROFILE = make_profile(
    [
        *same_for_all_classes(2, 1000, [(0, 200), (10, 600)]),
        *same_for_all_classes(4, 1000, [(0, 400), (20, 1200)]),
        *same_for_all_classes(8, 1000, [(0, 700), (20, 1500), (40, 2000)]),
    ]
)
# Window 0: two TP2 at 5 requests/s, 400 W each; 1: the same and a TP8 at 10, 1100 W; 2: two TP4 at 5, 600 W each;
# 3: three TP2 at 5.
RATES_RPS = (10.0, 20.0, 10.0, 15.0)
GROUPS = ((0, 2, 2, 5.0, 400.0), (1, 2, 2, 5.0, 400.0), (1, 8, 1, 10.0, 1100.0), (2, 4, 2, 5.0, 600.0))
GROUPS += ((3, 2, 3, 5.0, 400.0),)
POWER_W = (800.0, 1900.0, 1200.0, 1200.0)
NUM_GPUS = (4, 12, 8, 6)
# Into window 1 a TP8 starts on 8 GPUs that nothing used: 8 x 110 W x 400 s = 352,000 J. Into 2 two TP4 on 8 of the 12
# GPUs given up by two TP2 and the TP8: 8 x 110 x 5 = 4,400 J. Into 3 three TP2 on 6 of the 8 given up: 3,300 J.
STARTS_J = (0.0, 352_000.0, 4_400.0, 3_300.0)
CHANGES = ((1, 8, 1, 0, 352_000.0), (2, 2, 0, 2, 0.0), (2, 4, 2, 0, 4_400.0), (2, 8, 0, 1, 0.0))
CHANGES += ((3, 2, 3, 0, 3_300.0), (3, 4, 0, 2, 0.0))


def right_schedule() -> Schedule:
    """Return a schedule of four windows, every number of it worked by hand."""
    allocations = pd.DataFrame(
        GROUPS, columns=["window", "tp", "num_instances", "rate_per_instance_rps", "power_per_instance_w"]
    )
    allocations = allocations.assign(
        model="tiny-model", pool="SS", frequency_mhz=1000, window_start=_times(allocations)
    )
    transitions = pd.DataFrame(CHANGES, columns=["window", "tp", "num_started", "num_stopped", "energy_j"])
    transitions = transitions.assign(model="tiny-model", pool="SS", window_start=_times(transitions))
    demand = _demand()
    routes = pd.DataFrame({"window_start": STARTS, "model": "tiny-model", "request_class": "SS", "pool": "SS"})
    return Schedule(
        metadata=_metadata(demand),
        demand=demand,
        allocations=allocations.drop(columns="window"),
        routes=routes.assign(rate_rps=RATES_RPS),
        transitions=transitions.drop(columns="window"),
        windows=_windows(),
    )


def _times(frame: pd.DataFrame) -> pd.DatetimeIndex:
    return STARTS[frame["window"].to_numpy()]


def _windows() -> pd.DataFrame:
    serving_j = np.array(POWER_W) * 300
    return pd.DataFrame(
        {
            "window_start": STARTS,
            "window_s": 300.0,
            "termination": ["optimal", "feasible", "feasible", "feasible"],
            "solver": "by hand",
            "power_w": POWER_W,
            "serving_energy_j": serving_j,
            "transition_energy_j": STARTS_J,
            "energy_j": serving_j + np.array(STARTS_J),
            "lower_bound_j": serving_j * [1.0, 0.9, 0.9, 0.9],
            "gap": [0.0, 0.1, 0.1, 0.1],
            "num_gpus": pd.array(NUM_GPUS, dtype="Int64"),
            "runtime_s": 0.5,
            "reason": "",
        }
    )


def _demand() -> Demand:
    table = pd.DataFrame({"window_start": STARTS, "model": "", "request_class": "SS", "rate_rps": RATES_RPS})
    table = table.assign(input_tokens=100.0, output_tokens=50.0, peak_factor=1.5)
    return Demand("by-hand", 300.0, table, sha256="d" * 64)


def _metadata(demand: Demand) -> ScheduleMetadata:
    # 300 s x (800 + 1900 + 1200 + 1200) W = 1,530,000 J; the bound is 240,000 + 0.9 x 1,290,000 J.
    return ScheduleMetadata(
        dynaopt_version="0.1.0",
        digest="0" * 64,
        demand=Source(name="by-hand", sha256="d" * 64, content_sha256=demand_digest(demand)),
        profiles=(Source(name="tiny", sha256="", content_sha256=profile_digest(PROFILE)),),
        slo=Slo.table_iv(),
        cluster=Cluster(num_gpus=16, headroom=0.1),
        solver="by hand",
        time_limit_s=None,
        gap_tolerance=1e-4,
        window_s=300.0,
        totals=Totals(
            num_windows=4,
            num_unsolved=0,
            num_requests=16_500.0,
            energy_j=1_889_700.0,
            serving_energy_j=1_530_000.0,
            transition_energy_j=359_700.0,
            lower_bound_j=1_401_000.0,
            gap=129_000 / 1_530_000,
            runtime_s=2.0,
        ),
    )


def found_in(schedule: Schedule) -> set[ViolationKind]:
    """Return the kinds of violations of a schedule."""
    return {v.kind for v in check(schedule, profiles=[PROFILE])}


def set_cell(table: str, row: int, column: str, value: object) -> Callable[[Schedule], Schedule]:
    """Return a function that changes one cell."""

    def change(schedule: Schedule) -> Schedule:
        frame: pd.DataFrame = getattr(schedule, table).copy()
        if isinstance(value, float):
            frame[column] = frame[column].astype(float)
        frame.loc[row, column] = value
        return replace(schedule, **{table: frame})

    return change


def keep_rows(table: str, rows: list[int]) -> Callable[[Schedule], Schedule]:
    """Return a function that keeps only some rows, in the order given."""
    return lambda schedule: replace(schedule, **{table: getattr(schedule, table).iloc[rows].reset_index(drop=True)})


def set_metadata(**fields: object) -> Callable[[Schedule], Schedule]:
    """Return a function that changes fields of the metadata."""
    return lambda schedule: replace(schedule, metadata=schedule.metadata.model_copy(update=fields))


def set_total(name: str, value: object) -> Callable[[Schedule], Schedule]:
    """Return a function that changes one total."""
    return lambda schedule: set_metadata(totals=schedule.metadata.totals.model_copy(update={name: value}))(schedule)


def without_answer(schedule: Schedule) -> Schedule:
    """Take the answer of window 1 away, everywhere."""
    windows = schedule.windows.copy()
    names = ["power_w", "serving_energy_j", "transition_energy_j", "energy_j", "lower_bound_j", "gap", "num_gpus"]
    windows.loc[1, names] = None
    windows.loc[1, ["termination", "reason"]] = ["infeasible", "class SS needs 24 GPUs of 16"]
    # Into window 2, what ran in window 0 gives up 4 of the 8 GPUs on which two TP4 start: 4 x 110 x (5 + 400) J.
    windows.loc[2, "transition_energy_j"] = 178_200.0
    windows.loc[2, "energy_j"] = 360_000.0 + 178_200.0
    transitions = schedule.transitions[[False, True, True, False, True, True]].reset_index(drop=True)
    transitions.loc[1, "energy_j"] = 178_200.0
    parts = {"allocations": [0, 3, 4], "routes": [0, 2, 3]}
    kept = {name: getattr(schedule, name).iloc[rows].reset_index(drop=True) for name, rows in parts.items()}
    return replace(schedule, windows=windows, transitions=transitions, **kept).with_totals()


def test_a_right_schedule_passes() -> None:
    """Tests that the schedule worked by hand has no violation."""
    assert check(right_schedule(), profiles=[PROFILE]) == []


FAULTS: dict[str, tuple[Callable[[Schedule], Schedule], set[ViolationKind]]] = {
    "demand not routed": (keep_rows("routes", [0, 1, 2]), {K.UNSERVED_DEMAND, K.POOL_LOAD, K.TOTAL}),
    "a route to a shorter pool": (
        set_cell("routes", 0, "request_class", "ML"),
        {K.PROMOTION} | {K.UNSERVED_DEMAND, K.INVENTED_DEMAND},
    ),
    "an instance left out": (
        keep_rows("allocations", [0, 1, 3, 4]),
        {K.POOL_LOAD, K.WINDOW_POWER, K.NUM_GPUS, K.SERVING_ENERGY, K.WINDOW_ENERGY, K.TRANSITION_COUNT}
        | {K.TRANSITION_ENERGY, K.GAP, K.TOTAL, K.LOWER_BOUND},
    ),
    "fewer GPUs than are used": (set_metadata(cluster=Cluster(num_gpus=11)), {K.GPU_LIMIT}),
    "a power cap": (set_metadata(cluster=Cluster(num_gpus=16, power_cap_w=1899.0)), {K.POWER_CAP}),
    "a reserve": (set_metadata(cluster=Cluster(num_gpus=16, reserve="n+1")), {K.RESERVE}),
    "a tighter objective": (set_metadata(slo=replace(Slo.table_iv(), ttft_s=(0.009,) * 9)), {K.TTFT}),
    "power of an instance": (set_cell("allocations", 0, "power_per_instance_w", 401.0), {K.INSTANCE_POWER}),
    "power of a window": (set_cell("windows", 1, "power_w", 1901.0), {K.WINDOW_POWER}),
    "an empty power": (set_cell("windows", 1, "power_w", float("nan")), {K.WINDOW_POWER}),
    "GPUs of a window": (set_cell("windows", 1, "num_gpus", 13), {K.NUM_GPUS}),
    "serving energy": (set_cell("windows", 1, "serving_energy_j", 570_001.0), {K.SERVING_ENERGY}),
    "transition energy of a window": (set_cell("windows", 1, "transition_energy_j", 351_000.0), {K.TRANSITION_ENERGY}),
    "transition energy of a row": (set_cell("transitions", 2, "energy_j", 4_401.0), {K.TRANSITION_ENERGY}),
    "a start too many": (
        set_cell("transitions", 0, "num_started", 100),
        {K.TRANSITION_COUNT, K.TRANSITION_ENERGY},
    ),
    "energy without a start": (set_cell("transitions", 1, "energy_j", 0.001), {K.TRANSITION_ENERGY}),
    "a stop too few": (set_cell("transitions", 1, "num_stopped", 1), {K.TRANSITION_COUNT}),
    "a start of an unknown TP": (set_cell("transitions", 0, "tp", 16), {K.TRANSITION_COUNT}),
    "energy that is not the sum": (set_cell("windows", 1, "energy_j", 922_001.0), {K.WINDOW_ENERGY}),
    "a bound above the answer": (set_cell("windows", 1, "lower_bound_j", 571_000.0), {K.LOWER_BOUND, K.GAP, K.TOTAL}),
    "a gap that is not the gap": (set_cell("windows", 1, "gap", 0.05), {K.GAP}),
    "optimal without a proof": (set_cell("windows", 1, "termination", "optimal"), {K.OPTIMALITY}),
    "a row for no window": (
        set_cell("allocations", 4, "window_start", STARTS[3] + pd.Timedelta("5min")),
        {K.WINDOWS, K.POOL_LOAD, K.WINDOW_POWER, K.NUM_GPUS, K.SERVING_ENERGY, K.WINDOW_ENERGY, K.TRANSITION_COUNT}
        | {K.TRANSITION_ENERGY, K.LOWER_BOUND, K.GAP, K.TOTAL},
    ),
    "windows in disorder": (keep_rows("windows", [0, 2, 1, 3]), {K.WINDOWS}),
    "a window twice": (keep_rows("windows", [0, 1, 2, 3, 3]), {K.WINDOWS}),
    "another length of a window": (set_cell("windows", 2, "window_s", 299.0), {K.WINDOWS}),
    "a digest of other demand": (
        lambda s: set_metadata(demand=s.metadata.demand.model_copy(update={"content_sha256": "0" * 64}))(s),
        {K.DIGEST},
    ),
    "a digest of another profile": (
        set_metadata(profiles=(Source(name="tiny", sha256="", content_sha256="0" * 64),)),
        {K.DIGEST},
    ),
    "an answer in a window that has none": (
        set_cell("windows", 1, "termination", "infeasible"),
        {K.NO_ANSWER, K.TRANSITION_COUNT, K.TRANSITION_ENERGY, K.WINDOW_ENERGY, K.TOTAL},
    ),
    **{
        f"total {name}": (set_total(name, value), {K.TOTAL})
        for name, value in {
            "num_windows": 5,
            "num_unsolved": 1,
            "num_requests": 16_501.0,
            "energy_j": 1_889_705.0,
            "serving_energy_j": 1_530_005.0,
            "transition_energy_j": 359_705.0,
            "lower_bound_j": 1_401_005.0,
            "gap": 0.0844,
            "runtime_s": 2.1,
        }.items()
    },
    "no gap in the totals": (set_total("gap", None), {K.TOTAL}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name: str) -> None:
    """Tests that one fault gives exactly the violations that follow from it."""
    plant, expected = FAULTS[name]
    assert found_in(plant(right_schedule())) == expected


def test_every_kind_of_violation_is_planted_somewhere() -> None:
    """Tests that no kind is left untested by the faults here and in the tests of one window."""
    elsewhere = {K.UNKNOWN_NAME, K.IMPOSSIBLE_NUMBER, K.BEYOND_CURVE, K.TBT, K.FIXED_MIX, K.MIX}
    elsewhere |= {K.PRICE, K.COST, K.CARBON, K.OBJECTIVE}  # in `test_check_objective`
    elsewhere |= {K.MIN_UP, K.MAX_STARTS, K.STARTING_GPUS, K.COUPLED_BOUND}  # in `test_check_coupling`
    assert set().union(*(expected for _, expected in FAULTS.values())) | elsewhere == set(K)


def test_a_window_without_an_answer_is_told_and_nothing_else() -> None:
    """Tests that an honest hole is one violation, and that what ran before it counts as running on."""
    found = check(without_answer(right_schedule()), profiles=[PROFILE])
    assert [v.kind for v in found] == [K.NO_ANSWER]
    assert str(found[0]) == (
        "2024-05-12 00:05: window without an answer: expected an answer for 20 requests/s, found none"
    )


def test_a_missing_window_is_told() -> None:
    """Tests that a window of the demand that the schedule passes over is out of step and without an answer."""
    found = check(keep_rows("windows", [0, 1, 2])(right_schedule()), profiles=[PROFILE])
    assert {v.kind for v in found if v.window_start == STARTS[3]} == {K.WINDOWS, K.NO_ANSWER} | {
        K.TRANSITION_COUNT,
        K.TRANSITION_ENERGY,
    }


def test_a_model_without_a_profile_is_told() -> None:
    """Tests that demand of a model that nothing serves cannot slip through."""
    schedule = right_schedule()
    demand = Demand("by-hand", 300.0, schedule.demand.table.assign(model="other"))
    found = check(replace(schedule, demand=demand), profiles=[PROFILE])
    assert {K.UNKNOWN_NAME, K.DIGEST, K.INVENTED_DEMAND} <= {v.kind for v in found}


def test_profiles_are_read_again_from_disk(tmp_path: Path) -> None:
    """Tests that without given profiles the named ones are read, and that one changed since is noticed."""
    schedule = right_schedule()
    write_profile(PROFILE, tmp_path / "tiny")
    source = schedule.metadata.profiles[0].model_copy(update={"path": str(tmp_path / "tiny")})
    schedule = set_metadata(profiles=(source,))(schedule)
    assert check(schedule) == []
    file = tmp_path / "tiny" / "load.csv"
    file.write_text(file.read_text().replace("600", "601", 1))
    assert K.DIGEST in {v.kind for v in check(schedule)}


def test_a_profile_that_is_not_there_is_an_error() -> None:
    """Tests that nothing is judged without its profile."""
    source = Source(name="no-such-profile", sha256="", content_sha256="0" * 64)
    with pytest.raises(UnknownNameError):
        check(set_metadata(profiles=(source,))(right_schedule()))


NUMBERS = [
    (table, row, column)
    for table, columns in {
        "allocations": ["num_instances", "rate_per_instance_rps", "power_per_instance_w"],
        "routes": ["rate_rps"],
        "transitions": ["num_started", "num_stopped", "energy_j"],
        "windows": [
            *("window_s", "power_w", "serving_energy_j", "transition_energy_j", "energy_j", "lower_bound_j", "gap"),
            *("num_gpus", "runtime_s"),
        ],
    }.items()
    for row in range({"allocations": 5, "routes": 4, "transitions": 6, "windows": 4}[table])
    for column in columns
]


@settings(max_examples=80, deadline=None)
@given(cell=st.sampled_from(NUMBERS), factor=st.floats(1e-5, 1.0), up=st.booleans())
def test_a_change_of_any_cell_is_found(cell: tuple[str, int, str], factor: float, up: bool) -> None:
    """Tests that every number of a schedule is pinned down: any change beyond rounding breaks some rule."""
    table, row, column = cell
    schedule = right_schedule()
    value = float(getattr(schedule, table)[column].iloc[row])
    step = factor * max(abs(value), 1.0)
    if column.startswith("num_"):
        step = max(1.0, round(step))
    changed = set_cell(table, row, column, value + step if up or value == 0 else value - step)(schedule)
    assert check(changed, profiles=[PROFILE])


def test_a_week_is_checked_whole(benchmark_week: tuple[Schedule, Profile]) -> None:
    """Tests that a right week of 2,016 windows passes and that one wrong cell in its middle is found."""
    schedule, profile = benchmark_week
    assert check(schedule, profiles=[profile]) == []
    wrong = set_cell("allocations", len(schedule.allocations) // 2, "power_per_instance_w", 1.0)(schedule)
    assert [v.kind for v in check(wrong, profiles=[profile])] == [K.INSTANCE_POWER]


@pytest.fixture(scope="module")
def benchmark_week() -> tuple[Schedule, Profile]:
    """Repeat the four windows 504 times; at each seam two TP4 give up their GPUs and two TP2 start."""
    return _repeat(right_schedule(), 504), PROFILE


def _repeat(schedule: Schedule, times: int) -> Schedule:
    def tile(table: pd.DataFrame) -> pd.DataFrame:
        shifts = [pd.Timedelta("20min") * n for n in range(times)]
        return pd.concat([table.assign(window_start=table["window_start"] + s) for s in shifts], ignore_index=True)

    demand = Demand("by-hand", 300.0, tile(schedule.demand.table), sha256="d" * 64)
    parts = {n: tile(getattr(schedule, n)) for n in ("allocations", "routes", "transitions", "windows")}
    seams = [{"window_start": STARTS[0] + pd.Timedelta("20min") * n} for n in range(1, times)]
    stop = {"tp": 2, "num_started": 0, "num_stopped": 1, "energy_j": 0.0, "model": "tiny-model", "pool": "SS"}
    parts["transitions"] = pd.concat([parts["transitions"], pd.DataFrame(seams).assign(**stop)], ignore_index=True)
    source = schedule.metadata.demand.model_copy(update={"content_sha256": demand_digest(demand)})
    metadata = schedule.metadata.model_copy(update={"demand": source})
    return replace(schedule, demand=demand, metadata=metadata, **parts).with_totals()


def two_model_schedule() -> tuple[Schedule, list[Profile]]:
    """Add a second model, the same in everything, whose instances double what runs, arrives, and is spent."""
    schedule = right_schedule()
    other = make_profile(list(PROFILE.curves.values()), name="other", model="other-model")
    named = schedule.demand.table.assign(model="tiny-model")
    table = pd.concat([named, named.assign(model="other-model")]).sort_values(["window_start", "model"])
    demand = Demand("by-hand", 300.0, table.reset_index(drop=True))
    names = ("allocations", "routes", "transitions")
    doubled = {n: pd.concat([getattr(schedule, n), getattr(schedule, n).assign(model="other-model")]) for n in names}
    windows = schedule.windows.copy()
    for column in ("power_w", "serving_energy_j", "transition_energy_j", "energy_j", "lower_bound_j", "num_gpus"):
        windows[column] *= 2
    sources = tuple(Source(name=p.name, sha256="", content_sha256=profile_digest(p)) for p in (PROFILE, other))
    metadata = schedule.metadata.model_copy(
        update={
            "demand": Source(name="by-hand", sha256="", content_sha256=demand_digest(demand)),
            "profiles": sources,
            "cluster": Cluster(num_gpus=24, headroom=0.1),
        }
    )
    frames = {name: frame.reset_index(drop=True) for name, frame in doubled.items()}
    return replace(schedule, demand=demand, metadata=metadata, windows=windows, **frames).with_totals(), [
        PROFILE,
        other,
    ]


def test_two_models_are_added_up() -> None:
    """Tests that a schedule of two models passes, and that their GPUs count against one limit."""
    schedule, profiles = two_model_schedule()
    assert check(schedule, profiles=profiles) == []
    tight = set_metadata(cluster=Cluster(num_gpus=23, headroom=0.1))(schedule)
    assert [v.kind for v in check(tight, profiles=profiles)] == [K.GPU_LIMIT]


def test_models_do_not_lend_each_other_gpus_cheaply() -> None:
    """Tests that instances that move from one model to the other are stops and cold starts, not re-sharding."""
    schedule, profiles = two_model_schedule()
    allocations = schedule.allocations.copy()
    swapped = (allocations["window_start"] == STARTS[3]) & (allocations["model"] == "tiny-model")
    allocations.loc[swapped, "model"] = "other-model"
    found = check(replace(schedule, allocations=allocations), profiles=profiles)
    starts = [v for v in found if v.kind is K.TRANSITION_ENERGY and v.where == "other-model, starts"]
    # Six TP2 instead of three start on the 8 GPUs that other-model gives up, 4 of their 12 GPUs cold.
    assert [v.expected for v in starts] == [f"{110 * (8 * 5 + 4 * 400)} J"]
