"""Tests of `dynaopt.profile_import`."""

from pathlib import Path

import pytest
from result_files import guidellm_benchmark, vllm_result, write_json, write_power

from dynaopt.errors import InvalidInputError
from dynaopt.gpu_table import find_gpu
from dynaopt.power_log import read_power_log
from dynaopt.profile import LoadCurve, Profile, StartUp
from dynaopt.profile_import import (
    PowerSource,
    add_curves,
    import_curves,
    new_metadata,
    read_levels,
    unserved_classes,
)
from dynaopt.request_class import REQUEST_CLASSES, TABLE_IV

KEY = (2, 1980, "MM")
DEFAULTS = {"tp": 2, "frequency_mhz": 1980, "request_class": "MM"}
TABLE = """rate_rps,power_w,ttft_p50_s,ttft_p99_s,tbt_p50_s,tbt_p99_s
0,300,0.1,0.2,0.02,0.02
1,800,0.1,0.3,0.02,0.05
2,900,0.1,0.4,0.02,0.07
"""


def _alone(**fields: object) -> dict[str, object]:
    return vllm_result("inf", max_concurrency=1, **fields)


def _empty(name: str = "mine") -> Profile:
    metadata = new_metadata(
        name=name,
        model="mine",
        gpu=find_gpu("H100-SXM-80GB"),
        engine="vLLM",
        start_up=StartUp(cold_s=60, reshard_s=2),
        gpu_on_w=None,
        cut_points=TABLE_IV,
    )
    return Profile(metadata=metadata, curves={})


def _curve(path: Path, power: PowerSource | None = None) -> LoadCurve:
    curves = import_curves(read_levels([path], DEFAULTS), power or PowerSource(idle=250.0), TABLE_IV)
    return curves[KEY]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a load table of three levels."""
    path = tmp_path / "load.csv"
    path.write_text(TABLE)
    return path


class TestCurves:
    """Levels become a curve."""

    def test_runs_with_a_log_of_power(self, tmp_path: Path) -> None:
        """Tests three runs in any order; power from the log at the time of each, idle power as given."""
        runs = [
            vllm_result(2.0, date="20251122-120000", p99_ttft_ms=390.0),
            _alone(date="20251122-115000"),
            vllm_result(1.0, date="20251122-115500"),
        ]
        path = write_power(tmp_path / "power.csv", [250, 150], start="2025/11/22 11:40:00", samples=900)
        more = write_power(tmp_path / "more.csv", [400, 300], start="2025/11/22 11:55:00", samples=400)
        path.write_text(path.read_text() + more.read_text().split("\n", 1)[1])
        power = PowerSource(log=read_power_log(path), idle=210.0)
        curve = _curve(write_json(tmp_path / "runs.json", *runs), power)
        assert curve.rate_rps.tolist() == [0, 1, 2]
        assert curve.power_w == pytest.approx([210, 400, 700])
        assert curve.ttft_p99_s.tolist() == [0.3, 0.3, 0.39]
        assert (curve.tp, curve.frequency_mhz, curve.request_class) == KEY

    def test_idle_power_from_a_log(self, tmp_path: Path, table: Path) -> None:
        """Tests that a log of an idle instance gives its mean; a table's own power goes first."""
        log = read_power_log(write_power(tmp_path / "idle.csv", [105, 115], samples=60))
        path = write_json(tmp_path / "a.json", _alone())
        levels = read_levels([path], DEFAULTS)
        levels[KEY] = (*levels[KEY], *read_levels([table], DEFAULTS)[KEY][1:])
        curve = import_curves(levels, PowerSource(idle=log), TABLE_IV)[KEY]
        assert curve.power_w == pytest.approx([220, 800, 900])

    def test_a_table(self, table: Path) -> None:
        """Tests that a table with power needs nothing else."""
        assert _curve(table, PowerSource()).power_w.tolist() == [300, 800, 900]

    def test_a_report_of_guidellm(self, tmp_path: Path) -> None:
        """Tests one file with all levels."""
        report = {
            "benchmarks": [
                guidellm_benchmark("synchronous", None),
                guidellm_benchmark("poisson", 1.0),
                guidellm_benchmark(),
            ]
        }
        log = read_power_log(write_power(tmp_path / "power.csv", [250, 150]))
        curve = _curve(write_json(tmp_path / "a.json", report), PowerSource(log=log, idle=200.0))
        assert curve.rate_rps.tolist() == [0, 1, 2]
        assert curve.power_w == pytest.approx([200, 400, 400])

    @pytest.mark.parametrize(
        ("runs", "message"),
        [
            (
                [vllm_result(1.0), vllm_result(2.0)],
                "MM on TP2 at 1980 MHz: expected a level of requests that come alone",
            ),
            ([_alone(), vllm_result(1.0)], "expected at least 2 levels above 0 requests/s, got 1"),
            ([_alone()], "expected at least 2 levels above 0 requests/s, got 0"),
            (
                [_alone(), vllm_result(1.0), vllm_result(1.0)],
                "each load of MM .* once, got a second run at 1 requests/s",
            ),
            (
                [_alone(), vllm_result(1.0), vllm_result(2.0, model_id="b")],
                "expected runs of one model, got b and mine",
            ),
            (
                [_alone(), vllm_result(1.0), vllm_result(2.0, total_input_tokens=600 * 2000)],
                "of class MM, got 2000 input and 200 output tokens in the mean, which is LM; --request-class LM",
            ),
            (
                [_alone(), vllm_result(1.0), vllm_result(2.0)],
                "expected a power: no benchmark tool records it, got none",
            ),
        ],
    )
    def test_what_makes_no_curve(self, tmp_path: Path, runs: list[dict[str, object]], message: str) -> None:
        """Tests that what is missing is told, and how to get it."""
        with pytest.raises(InvalidInputError, match=message):
            _curve(write_json(tmp_path / "runs.json", *runs))

    def test_idle_power_is_needed(self, tmp_path: Path) -> None:
        """Tests that the power of an idle instance is not guessed from the loaded one."""
        runs = write_json(tmp_path / "runs.json", _alone(), vllm_result(1.0), vllm_result(2.0))
        with pytest.raises(
            InvalidInputError, match="without requests, which no run tells, got none; give it as --idle"
        ):
            _curve(runs, PowerSource(log=read_power_log(write_power(tmp_path / "power.csv", [1, 1]))))

    def test_a_log_of_other_gpus(self, tmp_path: Path) -> None:
        """Tests that a log of a whole server is not taken for that of an instance of two GPUs."""
        runs = write_json(tmp_path / "runs.json", _alone(), vllm_result(1.0), vllm_result(2.0))
        log = read_power_log(write_power(tmp_path / "power.csv", [1] * 4))
        for power in (PowerSource(log=log, idle=200.0), PowerSource(idle=log)):
            with pytest.raises(InvalidInputError, match="samples of the 2 GPUs of the instance, got of 4: 0, 1, 2, 3"):
                _curve(runs, power)

    def test_a_table_without_power_and_times(self, tmp_path: Path, table: Path) -> None:
        """Tests rows whose power can be found nowhere."""
        rows = [",".join(c for i, c in enumerate(line.split(",")) if i != 1) for line in TABLE.splitlines()]
        table.write_text("\n".join(rows))
        log = read_power_log(write_power(tmp_path / "power.csv", [1, 1]))
        with pytest.raises(InvalidInputError, match=r"line 3: expected a start_time and an end_time, got none"):
            _curve(table, PowerSource(log=log, idle=200.0))


class TestReading:
    """Files of all kinds."""

    def test_files_add_up(self, tmp_path: Path, table: Path) -> None:
        """Tests that several files give the levels of one configuration."""
        first = write_json(tmp_path / "a.json", _alone())
        second = write_json(tmp_path / "b.json", vllm_result(5.0))
        levels = read_levels([first, table, second], DEFAULTS)
        assert [level.rate_rps for level in levels[KEY]] == [0, 0, 1, 2, 5]

    def test_another_kind_of_json(self, tmp_path: Path) -> None:
        """Tests that the keys of what is no result are told."""
        path = write_json(tmp_path / "a.json", {"p99": 3, "rate": 1})
        with pytest.raises(InvalidInputError, match=r"a report of GuideLLM, got an object with p99, rate"):
            read_levels([path], DEFAULTS)

    def test_a_run_does_not_tell_its_configuration(self, tmp_path: Path) -> None:
        """Tests that the options are named."""
        path = write_json(tmp_path / "a.json", vllm_result())
        with pytest.raises(
            InvalidInputError, match=r"a\.json: expected --tp, --request-class, since the file does not"
        ):
            read_levels([path], {"frequency_mhz": 1980})


class TestProfiles:
    """Curves become or join a profile."""

    def test_provenance(self, tmp_path: Path) -> None:
        """Tests a line for each curve, with files and caveats, marked as measured."""
        runs = [_alone(), vllm_result(1.0, burstiness=2.0), vllm_result(2.0, burstiness=2.0)]
        levels = read_levels([write_json(tmp_path / "runs.json", *runs)], DEFAULTS)
        log = read_power_log(write_power(tmp_path / "power.csv", [1, 1]))
        curves = import_curves(levels, PowerSource(log=log, idle=200.0), TABLE_IV)
        line = add_curves(_empty(), curves, levels).metadata.provenance[-1]
        assert (line.quantity, line.basis, line.source) == ("load.csv: MM on TP2 at 1980 MHz", "measured", "runs.json")
        assert line.note.count("burstiness 2") == 1

    def test_a_curve_again(self, table: Path) -> None:
        """Tests that a curve is replaced only where that is asked for, with its line of provenance."""
        levels = read_levels([table], DEFAULTS)
        curves = import_curves(levels, PowerSource(), TABLE_IV)
        once = add_curves(_empty(), curves, levels)
        with pytest.raises(InvalidInputError, match="expected curves that it does not have, got one of MM on TP2"):
            add_curves(once, curves, levels)
        again = add_curves(once, curves, levels, replace_curves=True)
        assert again.metadata.provenance == once.metadata.provenance

    def test_powers_without_load(self) -> None:
        """Tests the GPU's own, with its source, and a measured one in its stead."""
        assert _empty().metadata.power.gpu_on_w == 68.75
        metadata = new_metadata(
            name="a",
            model="b",
            gpu=find_gpu("B200-SXM"),
            engine="c",
            start_up=StartUp(cold_s=1, reshard_s=1),
            gpu_on_w=77.0,
            cut_points=TABLE_IV,
        )
        assert (metadata.power.gpu_on_w, metadata.power.start_up_gpu_w) == (77.0, 157.1)
        assert metadata.provenance[0].basis == "measured"
        assert _empty().metadata.provenance[0].basis == "measured"

    @pytest.mark.parametrize(
        ("pools", "unserved"),
        [(["LL"], ()), (["MM"], ("SL", "ML", "LS", "LM", "LL")), (["SS", "LS"], None)],
    )
    def test_unserved_classes(self, table: Path, pools: list[str], unserved: tuple[str, ...] | None) -> None:
        """Tests that LL serves all, MM what is shorter, and SS and LS all short outputs."""
        levels = {(2, 1980, pool): read_levels([table], DEFAULTS)[KEY] for pool in pools}
        profile = add_curves(_empty(), import_curves(levels, PowerSource(), TABLE_IV), levels)
        expected = tuple(c for c in REQUEST_CLASSES if c[1] != "S") if unserved is None else unserved
        assert unserved_classes(profile) == expected
