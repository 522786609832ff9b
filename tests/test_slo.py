"""Tests of `dynaopt.slo`."""

from pathlib import Path

import pytest

from dynaopt.errors import InvalidInputError
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.slo import Slo, read_slo


def _write(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(["request_class,ttft_s,tbt_s", *rows]) + "\n")
    return path


def test_table_iv() -> None:
    """Tests the paper's bounds: TTFT by input length, TBT the same for all."""
    slo = Slo.table_iv()
    assert slo.of("SL") == (0.25, 0.1)
    assert slo.of("MM") == (0.4, 0.1)
    assert slo.of("LS") == (2.0, 0.1)


def test_scaling_multiplies_every_bound() -> None:
    """Tests that a scale of 2 doubles TTFT and TBT and leaves the original alone."""
    slo = Slo.table_iv()
    assert slo.scaled(2.0).of("SS") == (0.5, 0.2)
    assert slo.of("SS") == (0.25, 0.1)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan")])
def test_scale_must_be_positive(factor: float) -> None:
    """Tests that a scale that makes no sense is refused."""
    with pytest.raises(InvalidInputError, match="SLO scale: expected a number above 0"):
        Slo.table_iv().scaled(factor)


def test_reading_gives_each_class_its_row(tmp_path: Path) -> None:
    """Tests that rows may come in any order."""
    rows = [f"{c},{0.1 * (i + 1):.1f},{0.01 * (i + 1):.2f}" for i, c in enumerate(REQUEST_CLASSES)]
    slo = read_slo(_write(tmp_path / "slo.csv", rows[::-1]))
    assert slo.of("SS") == (0.1, 0.01)
    assert slo.of("LL") == (0.9, 0.09)


def test_a_class_without_a_row_is_named(tmp_path: Path) -> None:
    """Tests that a missing class is refused rather than given a default."""
    rows = [f"{c},1,1" for c in REQUEST_CLASSES if c != "ML"]
    with pytest.raises(InvalidInputError, match="a row for each class, got none for ML"):
        read_slo(_write(tmp_path / "slo.csv", rows))


def test_bounds_are_positive(tmp_path: Path) -> None:
    """Tests that a bound of zero is refused with its line and column."""
    rows = [f"{c},1,{0 if c == 'SM' else 1}" for c in REQUEST_CLASSES]
    with pytest.raises(InvalidInputError, match="line 3, column 'tbt_s': expected a number above 0, got '0'"):
        read_slo(_write(tmp_path / "slo.csv", rows))


def test_too_few_bounds_are_refused() -> None:
    """Tests that an SLO made in Python covers every class."""
    with pytest.raises(InvalidInputError, match="SLO, ttft_s: expected 9 positive bounds"):
        Slo(ttft_s=(1.0,), tbt_s=(1.0,) * 9)


def test_shifted_objectives() -> None:
    """Tests 10 ms more for all classes, 10 ms less for one, and that a bound stays above 0."""
    slo = Slo.table_iv()
    assert slo.shifted(ttft_s=0.01).of("LL") == pytest.approx((2.01, 0.1))
    tighter = slo.shifted(tbt_s=-0.01, request_class="SS")
    assert tighter.of("SS") == pytest.approx((0.25, 0.09))
    assert tighter.of("LL") == slo.of("LL")
    with pytest.raises(InvalidInputError, match="positive bounds"):
        slo.shifted(tbt_s=-0.1)
