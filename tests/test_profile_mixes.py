"""Tests of `dynaopt.profile_mixes`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mix_builders import SIMULATION, simulated

from dynaopt.errors import InvalidInputError
from dynaopt.lengths import Lengths, service_lengths, workload_lengths
from dynaopt.phase_model import PhaseModel
from dynaopt.profile import ClassCuts, LoadCurve, Profile
from dynaopt.profile_build import simulate_curves
from dynaopt.profile_io import read_profile, write_profile
from dynaopt.profile_mixes import add_mixes
from dynaopt.request_class import REQUEST_CLASSES, TABLE_IV
from dynaopt.single_pool import nearest_mix

CONFIGURATIONS = {(2, 1000), (4, 2000)}
ORIGIN = {"source": "own.csv", "licence": "CC0"}


def _lengths(*rows: tuple[int, int, float]) -> Lengths:
    input_tokens, output_tokens, weight = zip(*rows, strict=True)
    return Lengths(np.array(input_tokens), np.array(output_tokens), np.array(weight, dtype=float))


OWN = _lengths((100, 20, 6.0), (500, 50, 2.0), (400, 150, 1.0), (3000, 30, 1.0))
NAMES = ("ALL-own", "ALL-own-S", "ALL-own-M", "ALL-own-L")


@pytest.fixture(scope="module")
def old(tiny: Profile) -> Profile:
    """Return the profile that is added to."""
    return simulated(tiny)


@pytest.fixture(scope="module")
def one(old: Profile) -> Profile:
    """Return the same with one configuration, TP4 at 2,000 MHz."""
    return replace(old, curves={key: curve for key, curve in old.curves.items() if key[0] == 4})


@pytest.fixture(scope="module")
def steps() -> list[tuple[int, int, str]]:
    """Return the list that progress is written to."""
    return []


@pytest.fixture(scope="module")
def new(old: Profile, steps: list[tuple[int, int, str]]) -> Profile:
    """Return the profile with a mix of ten requests, six of them SS."""
    return add_mixes(old, OWN, "own", **ORIGIN, progress=lambda *step: steps.append(step))


def _model(profile: Profile) -> PhaseModel:
    assert profile.phase_model is not None
    return profile.phase_model


def _same(one: LoadCurve, other: LoadCurve) -> bool:
    names = ("rate_rps", "power_w", "ttft_p50_s", "ttft_p99_s", "tbt_p50_s", "tbt_p99_s")
    seen = [(a.class_latencies[c], b.class_latencies[c]) for a, b in [(one, other)] for c in a.class_latencies]
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names) and all(
        np.array_equal(a, b) for pair in seen for a, b in zip(*pair, strict=True)
    )


def test_every_configuration_gets_the_mix_and_its_parts(new: Profile, old: Profile) -> None:
    """Tests four curves on both configurations beside the old ones, which stay, as does the profile added to."""
    assert set(new.curves) - set(old.curves) == {(*k, name) for k in CONFIGURATIONS for name in NAMES}
    assert all(new.curves[key] is curve for key, curve in old.curves.items())
    assert not {mix.name for mix in old.metadata.mixes} & set(NAMES)
    assert new.sha256 == ""


def test_shares_are_those_of_the_lengths(new: Profile) -> None:
    """Tests 6, 2, 1 and 1 of 10 requests; of the three with M inputs two are MS."""
    shares = {mix.name: mix.shares for mix in new.metadata.mixes}
    assert list(shares) == ["ALL-conversation", *NAMES]
    assert shares["ALL-own"] == pytest.approx({"SS": 0.6, "MS": 0.2, "MM": 0.1, "LS": 0.1})
    assert shares["ALL-own-M"] == pytest.approx({"MS": 2 / 3, "MM": 1 / 3})
    assert shares["ALL-own-L"] == {"LS": 1.0}
    assert set(new.curve(4, 2000, "ALL-own").class_latencies) == set(shares["ALL-own"])


def test_engines_and_sources_are_told(new: Profile) -> None:
    """Tests a budget out of those of the profile for each new curve, and two lines of provenance."""
    options = {(o.tp, o.frequency_mhz, o.request_class): o for o in new.metadata.engine_options}
    own = [options[*k, name] for k in CONFIGURATIONS for name in NAMES]
    assert {o.token_budget for o in own} <= set(SIMULATION.token_budgets)
    assert {o.max_num_seqs for o in own} == {64}
    curves, shares = new.metadata.provenance[-2:]
    assert (curves.basis, shares.basis) == ("modelled", "measured")
    assert "ALL-own-S" in curves.quantity
    assert "ALL-own-S" in shares.quantity
    assert curves.source.endswith("lengths of own.csv")
    assert (shares.source, shares.licence) == ("own.csv", "CC0")


def test_progress_counts_every_curve(new: Profile, steps: list[tuple[int, int, str]]) -> None:
    """Tests that eight curves are counted and named."""
    assert [step[:2] for step in steps] == [(n, 8) for n in range(1, 9)]
    assert steps[0][2] == "ALL-own on TP2 at 1000 MHz"


def test_classes_are_taken_anew_where_there_are_enough(one: Profile) -> None:
    """Tests 600 SS requests of 100 and 20 tokens, whose curve is made anew, and 99 of LL, whose curve stays."""
    own = _lengths((100, 20, 600.0), (1500, 400, 99.0))
    new = add_mixes(one, own, "own", **ORIGIN, classes=True)
    assert new.curve(4, 2000, "LL") is one.curve(4, 2000, "LL")
    made, _ = simulate_curves(SIMULATION, _model(one), [(4, 2000)], {"SS": own.of_class("SS", TABLE_IV)}, TABLE_IV)
    assert _same(new.curve(4, 2000, "SS"), made[4, 2000, "SS"])
    names = [(o.tp, o.frequency_mhz, o.request_class) for o in new.metadata.engine_options]
    assert len(names) == len(set(names))
    curves, shares = new.metadata.provenance[-2:]
    assert "SS, ALL-own" in curves.quantity
    assert "SS" not in shares.quantity


def test_fewer_requests_make_rougher_curves(one: Profile) -> None:
    """Tests 200 requests a level instead of the profile's 100: what was asked for is what is told."""
    own = _lengths((100, 20, 1.0))
    new = add_mixes(one, own, "own", **ORIGIN, requests_per_level=200)
    assert "200 requests a level" in new.metadata.provenance[-2].note
    assert new.metadata.simulation == one.metadata.simulation
    usual = add_mixes(one, own, "own", **ORIGIN)
    assert not _same(new.curve(4, 2000, "ALL-own"), usual.curve(4, 2000, "ALL-own"))


def test_the_new_profile_can_be_read_again(new: Profile, tmp_path: Path) -> None:
    """Tests that what is written passes every check of reading, and can take another mix."""
    write_profile(new, tmp_path)
    read = read_profile(tmp_path)
    assert read.metadata == new.metadata
    assert all(_same(read.curves[key], curve) for key, curve in new.curves.items())
    more = add_mixes(read, _lengths((100, 20, 1.0)), "more", **ORIGIN)
    assert {mix.name for mix in more.metadata.mixes} > {*NAMES, "ALL-more"}


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_and_repetition_change_nothing(workers: int, new: Profile, one: Profile, tmp_path: Path) -> None:
    """Tests that one and two processes give the bytes that the curves of this configuration have among others."""
    again = add_mixes(one, OWN, "own", **ORIGIN, workers=workers)
    alike = replace(new, metadata=again.metadata, curves={key: new.curves[key] for key in again.curves})
    for name, profile in (("one", alike), ("other", again)):
        write_profile(profile, tmp_path / name)
    for name in ("load.csv", "mix.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    assert set(again.metadata.engine_options) <= set(new.metadata.engine_options)


def test_seed_decides_the_draws(new: Profile, one: Profile) -> None:
    """Tests that another seed gives other curves."""
    other = add_mixes(one, OWN, "own", **ORIGIN, seed=1)
    assert not _same(other.curve(4, 2000, "ALL-own"), new.curve(4, 2000, "ALL-own"))


def test_curves_are_those_that_building_gives(one: Profile) -> None:
    """Tests that a shipped service's mix, added, has the very curves that a build gives it."""
    assert one.phase_model is not None
    names = ("ALL-coding", "ALL-coding-S", "ALL-coding-M", "ALL-coding-L")
    own = {name: workload_lengths(name, TABLE_IV) for name in names}
    built, options = simulate_curves(SIMULATION, one.phase_model, [(4, 2000)], own, TABLE_IV)
    added = add_mixes(one, service_lengths("coding"), "coding", **ORIGIN)
    assert {key for key in added.curves if key[2] in names} == set(built)
    assert all(_same(added.curves[key], curve) for key, curve in built.items())
    assert added.metadata.engine_options[-len(options) :] == options


def test_a_configuration_that_cannot_hold_a_request_has_no_curve(old: Profile) -> None:
    """Tests 50,000 tokens, more than the KV cache of TP2: the whole and its L part are on TP4 alone."""
    new = add_mixes(old, _lengths((100, 20, 9.0), (49_900, 100, 1.0)), "long", **ORIGIN)
    added = set(new.curves) - set(old.curves)
    on_both = {(2, 1000, "ALL-long-S"), (4, 2000, "ALL-long-S")}
    assert added == {*on_both, (4, 2000, "ALL-long"), (4, 2000, "ALL-long-L")}


def test_classes_are_cut_where_the_profile_cuts_them(one: Profile) -> None:
    """Tests cut-points that make all inputs M: one part, and other classes."""
    cuts = ClassCuts(input_tokens=(50, 5000), output_tokens=(25, 60))
    other = replace(one, metadata=one.metadata.model_copy(update={"classes": cuts}))
    new = add_mixes(other, OWN, "own", **ORIGIN)
    shares = {mix.name: mix.shares for mix in new.metadata.mixes if mix.name.startswith("ALL-own")}
    assert set(shares) == {"ALL-own", "ALL-own-M"}
    assert shares["ALL-own"] == pytest.approx({"MS": 0.6, "MM": 0.3, "ML": 0.1})


def test_the_new_mix_is_the_nearest_to_its_own_requests(new: Profile) -> None:
    """Tests that a pool of a mix takes it by itself, and at no distance."""
    rates = np.zeros((1, len(REQUEST_CLASSES)))
    for request_class, share in {"SS": 0.6, "MS": 0.2, "MM": 0.1, "LS": 0.1}.items():
        rates[0, REQUEST_CLASSES.index(request_class)] = 7 * share
    mix, distance = nearest_mix(new, rates)
    assert mix.name == "ALL-own"
    assert distance == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["", "my trace", "own/2023", "-own", "own-S", "own-L", "ALL-own", "own\n"])
def test_a_name_that_says_something_else_is_refused(name: str, old: Profile) -> None:
    """Tests names of other characters, of a part, and with the prefix that every mix gets."""
    with pytest.raises(InvalidInputError, match=r"name of a mix: expected letters, digits, .*-S, -M or -L behind"):
        add_mixes(old, OWN, name, **ORIGIN)


@pytest.mark.parametrize("there", ["ALL-own", "ALL-own-L"])
def test_a_name_that_is_taken_is_refused(there: str, old: Profile) -> None:
    """Tests a profile with a mix of that name, and one with a mix that goes by the name of a part."""
    mixes = (old.metadata.mixes[0].model_copy(update={"name": there}),)
    taken = replace(old, metadata=old.metadata.model_copy(update={"mixes": mixes}))
    with pytest.raises(InvalidInputError, match=f"that profile tiny does not have, got 'own', of which it has {there}"):
        add_mixes(taken, OWN, "own", **ORIGIN)


def test_a_profile_that_cannot_tell_how_is_refused(tiny: Profile, old: Profile) -> None:
    """Tests one of measured curves, without a phase model, and one that does not say how its own were simulated."""
    with pytest.raises(
        InvalidInputError, match=r"profile tiny: .* got one without phase\.toml; 'dynaopt profile build'"
    ):
        add_mixes(tiny, OWN, "own", **ORIGIN)
    silent = replace(old, metadata=tiny.metadata)
    with pytest.raises(InvalidInputError, match=r"got one without section 'simulation' in profile\.toml"):
        add_mixes(silent, OWN, "own", **ORIGIN)


def test_requests_of_single_tokens_are_refused(old: Profile) -> None:
    """Tests outputs of one token, of all requests, and of those with L inputs alone: no time between tokens."""
    with pytest.raises(InvalidInputError, match=r"lengths of ALL-own: expected a second token .* got one in 0\.00%"):
        add_mixes(old, _lengths((100, 1, 9.0), (3000, 1, 1.0)), "own", **ORIGIN)
    with pytest.raises(InvalidInputError, match=r"lengths of ALL-own-L: expected a second token in at least 1%"):
        add_mixes(old, _lengths((100, 20, 9.0), (3000, 1, 1.0)), "own", **ORIGIN)


def test_a_request_that_fits_nowhere_is_refused(old: Profile) -> None:
    """Tests a prompt of a million tokens against the 506,054 of TP4."""
    with pytest.raises(InvalidInputError, match=r"at most 506,054 tokens, .* got one of 1,000,020"):
        add_mixes(old, _lengths((100, 20, 9.0), (1_000_000, 20, 1.0)), "own", **ORIGIN)
