"""Tests of `dynaopt.formulation`: golden LP files, the documentation, and rows that hold at worked answers."""

import re
from pathlib import Path

import numpy as np
import pytest
from builders import make_curve, make_problem, make_profile, with_mix

from dynaopt.formulation import formulate
from dynaopt.linear_model import LinearModel
from dynaopt.problem import Problem

GOLDEN = Path(__file__).parent / "data" / "lp"
DOCUMENT = Path(__file__).parents[1] / "docs" / "problem.md"


def two_classes(**options: object) -> Problem:
    """Pose a problem with SS and LL, a TP2 with a kinked curve and a TP4 that is good for large loads."""
    curves = [make_curve(2, 1000, c, [(0, 100), (1, 150), (2, 300)]) for c in ("SS", "LL")]
    curves += [make_curve(4, 1980, c, [(0, 200), (6, 500)]) for c in ("SS", "LL")]
    host_w = options.pop("host_w", 0.0)
    rates = {"SS": 1.5, "LL": 4.0}
    profile = make_profile(curves, host_w=host_w)  # type: ignore[arg-type]
    if options.pop("mixed", False):
        profile = with_mix(profile, "ALL-both", {"SS": 0.25, "LL": 0.75}, curves[2:3])
    return make_problem(profile, rates, num_gpus=16, **options)  # type: ignore[arg-type]


PROBLEMS = {
    "plain": {},
    "host_and_unused": {"host_w": 800.0, "unused_gpus": "on"},
    "power_cap": {"power_cap_w": 900.0},
    "reserve": {"reserve": 0.25},
    "n_plus_one": {"reserve": "n+1"},
    "mixed": {"mixed": True, "reserve": 0.25},
    "fixed_mix": {"fixed_mix": {"tiny-model": {2: 1, 4: 1}}},
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_golden_lp(name: str) -> None:
    """Tests that the program is, to the letter, the one that was read and understood before.

    After a deliberate change write the files anew with ``python tests/test_formulation.py`` and read the difference.
    """
    assert formulate(two_classes(**PROBLEMS[name])).model.lp_text() == (GOLDEN / f"{name}.lp").read_text()


def _all_families() -> set[str]:
    return {family for options in PROBLEMS.values() for family in formulate(two_classes(**options)).model.families}


def test_families_are_documented() -> None:
    """Tests that the families of rows and those in the table of docs/problem.md are the same."""
    table = DOCUMENT.read_text().partition("## Rows")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `([a-z_]+)", table, flags=re.MULTILINE))
    assert documented == _all_families()


def test_variables_are_documented() -> None:
    """Tests that the letters of the variables and those in the table of docs/problem.md are the same."""
    table = DOCUMENT.read_text().partition("## Variables")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| ([a-z])\[", table, flags=re.MULTILINE))
    models = [formulate(two_classes(**options)).model for options in PROBLEMS.values()]
    assert documented == {name.partition("[")[0] for model in models for name in model.variable_names}


def test_module_text_has_every_row() -> None:
    """Tests that the summary at the head of formulation.py names every family of rows."""
    text = Path(formulate.__code__.co_filename).read_text().split('"""')[1]
    assert {f for f in _all_families() if not re.search(rf"\b{f}\b", text)} == set()


def violated(model: LinearModel, values: dict[str, float]) -> list[str]:
    """Return the names of the rows and bounds that values break; variables not named are 0."""
    vector = np.array([values.get(name, 0.0) for name in model.variable_names])
    activity = model.rows @ vector
    bad = (activity < model.row_lower - 1e-9) | (activity > model.row_upper + 1e-9)
    outside = (vector < model.lower - 1e-9) | (vector > model.upper + 1e-9)
    return [n for n, b in zip(model.row_names, bad, strict=True) if b] + [
        n for n, b in zip(model.variable_names, outside, strict=True) if b
    ]


# SS 1.5 with LL 4 on one TP4 in the pool of LL (index 8): load 5.5 of 6, 200 + 5.5 · 50 = 475 W.
def one_large(model: LinearModel) -> dict[str, float]:
    """Return that answer as values of the variables."""
    (stretch,) = [n for n in model.variable_names if n.startswith("x[8,4,1980")]
    # It starts where two TP2 are full and ends at all that may come, so the instance is at its end.
    return {"o[8]": 1, "z[0,8]": 1, "z[8,8]": 1, stretch.replace("x", "y", 1): 1, stretch: 1.0}


def test_worked_answer_is_feasible_and_has_its_power() -> None:
    """Tests that an answer worked by hand keeps all rows, and the objective is its power."""
    model = formulate(two_classes()).model
    values = one_large(model)
    assert violated(model, values) == []
    vector = np.array([values.get(name, 0.0) for name in model.variable_names])
    assert model.objective @ vector + model.offset == pytest.approx(475.0)


def test_offset_is_the_power_of_unused_gpus() -> None:
    """Tests that the constant is what all GPUs draw unused, 16 · 70 W."""
    assert formulate(two_classes(unused_gpus="on")).model.offset == 16 * 70.0


@pytest.mark.parametrize(
    ("options", "broken"),
    [
        ({"power_cap_w": 470.0}, ["power_cap"]),
        ({"reserve": 0.25}, ["reserve[8]"]),
        ({"reserve": "n+1"}, ["uses[8,", "n_plus_one"]),
        ({"fixed_mix": {"tiny-model": {2: 1, 4: 1}}}, ["fixed_mix[0,2]"]),
    ],
)
def test_each_limit_cuts_the_worked_answer_off(options: dict[str, object], broken: list[str]) -> None:
    """Tests that an answer that breaks a limit breaks that limit's row and no other."""
    model = formulate(two_classes(**options)).model
    found = violated(model, one_large(model))
    if options.get("reserve") == "n+1":
        assert found
        used = {name: 1.0 for name in model.variable_names if name.startswith("u[8")}
        assert any(row.startswith("n_plus_one[8") for row in violated(model, one_large(model) | used))
    else:
        assert found == broken


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"z[0,8]": 0.9}, {"coverage[0]", "balance[8]"}),
        ({"o[8]": 0.0}, {"inside[8]", "open[0,8]", "open[8,8]"}),
        ({"z[0,8]": 0.0, "z[0,0]": 1.0}, {"balance[0]", "balance[8]", "open[0,0]"}),
        ({"o[0]": 1.0}, {"started[0]"}),
    ],
)
def test_faults_break_their_rows(change: dict[str, float], broken: set[str]) -> None:
    """Tests that each kind of fault breaks just the rows that are there for it."""
    model = formulate(two_classes()).model
    assert set(violated(model, one_large(model) | change)) == broken


def test_columns_of_the_pools() -> None:
    """Tests that the columns that a formulation names are those of its pools."""
    formulation = formulate(two_classes())
    names = formulation.model.variable_names
    for columns in formulation.pools:
        p = columns.pruned.pool
        assert names[columns.open] == f"o[{p}]"
        assert all(names[z] == f"z[{c},{p}]" for c, z in columns.share)
        assert [names[y][0] for _, y in columns.counted()] == ["y"] * len(columns.pruned.segments)
        assert all(names[x] == names[y].replace("y", "x", 1) for _, y, x in columns.placed())


def test_no_more_instances_than_gpus() -> None:
    """Tests that counts are bounded by the GPUs and by what may come to the pool."""
    model = formulate(two_classes()).model
    upper = dict(zip(model.variable_names, model.upper, strict=True))
    # 5.5 requests/s may come to LL: five TP2 at their point of 1 request/s.
    (point,) = [n for n in upper if n.startswith("y[8,2,1000") and n.replace("y", "x", 1) not in upper and upper[n] > 2]
    assert upper[point] == 5


if __name__ == "__main__":
    for case, chosen in PROBLEMS.items():
        (GOLDEN / f"{case}.lp").write_text(formulate(two_classes(**chosen)).model.lp_text())
