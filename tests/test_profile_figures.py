"""Tests of `dynaopt.profile_figures`."""

import pytest

from dynaopt.errors import UnknownNameError
from dynaopt.profile import Profile
from dynaopt.profile_figures import energy_per_request, load_curves
from dynaopt.slo import Slo


def test_every_configuration_has_a_line_in_each_panel(tiny: Profile) -> None:
    """Tests the two configurations of SS: six lines, with the curve's own numbers, named once each."""
    figure = load_curves(tiny, "SS")
    assert len(figure.data) == 6
    names = [trace.name for trace in figure.data if trace.showlegend]
    assert names == ["TP2, 1000 MHz", "TP4, 2000 MHz"]
    curve = tiny.curve(2, 1000, "SS")
    for trace, values in zip(figure.data, (curve.power_w, curve.ttft_p99_s, curve.tbt_p99_s), strict=False):
        assert list(trace.x) == list(curve.rate_rps)
        assert list(trace.y) == list(values)


def test_axes_carry_their_units(tiny: Profile) -> None:
    """Tests the titles of the axes."""
    layout = load_curves(tiny, "SS").layout
    assert layout.yaxis.title.text == "power of the instance, W"
    assert layout.yaxis2.title.text == "P99 TTFT, s"
    assert layout.yaxis3.title.text == "P99 TBT, s"
    assert layout.xaxis3.title.text == "load on one instance, SS requests/s"


def test_bounds_are_drawn(tiny: Profile) -> None:
    """Tests Table IV's bounds of SS, and twice as loose ones."""
    assert [shape.y0 for shape in load_curves(tiny, "SS").layout.shapes] == [0.25, 0.1]
    looser = load_curves(tiny, "SS", slo=Slo.table_iv().scaled(2))
    assert [shape.y0 for shape in looser.layout.shapes] == [0.5, 0.2]


def test_mix_has_no_bound_of_its_own(tiny: Profile) -> None:
    """Tests that a mix, each class of which has its own bound, is drawn without."""
    figure = load_curves(tiny, "ALL-conversation")
    assert len(figure.data) == 3
    assert not figure.layout.shapes


def test_one_number_of_gpus_can_be_drawn_alone(tiny: Profile) -> None:
    """Tests that `tp` leaves the others out."""
    assert {trace.name for trace in load_curves(tiny, "LL", tp=4).data} == {"TP4, 2000 MHz"}


@pytest.mark.parametrize(("name", "tp"), [("MM", None), ("SS", 8)])
def test_missing_curve_is_refused(tiny: Profile, name: str, tp: int | None) -> None:
    """Tests a class and a number of GPUs that the profile does not have."""
    with pytest.raises(UnknownNameError, match=f"got {name}"):
        load_curves(tiny, name, tp=tp)


def test_energy_at_the_load_that_just_keeps_the_slo(tiny: Profile) -> None:
    """Tests SS: 500 W at 8 requests/s is 62.5 J on TP2, and 1,410 W at 20.5 is 68.8 J on TP4."""
    two, four = energy_per_request(tiny, "SS").data
    assert (list(two.x), list(two.y)) == ([1000], [62.5])
    assert list(four.y) == pytest.approx([1410 / 20.5])


def test_configurations_that_never_keep_the_slo_have_no_energy(tiny: Profile) -> None:
    """Tests LL, which TP2 cannot serve in time."""
    assert [trace.name for trace in energy_per_request(tiny, "LL").data] == ["TP4"]
