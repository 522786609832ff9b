"""Tests of `dynaopt.workload`."""

import numpy as np
import pytest

from dynaopt.errors import UnknownNameError
from dynaopt.lengths import mix_lengths, workload_lengths
from dynaopt.request_class import REQUEST_CLASSES, TABLE_IV
from dynaopt.slo import Slo
from dynaopt.workload import Workload, make_workload

SLO = Slo.table_iv()


def _make(name: str, size: int = 2000, seed: int = 0) -> Workload:
    return make_workload(name, workload_lengths(name, TABLE_IV), TABLE_IV, SLO, size=size, seed=seed)


@pytest.mark.parametrize("name", REQUEST_CLASSES)
def test_class_has_only_its_own_requests(name: str) -> None:
    """Tests lengths and deadlines of each class."""
    workload = _make(name)
    requests = workload.at_one_rps
    index = TABLE_IV.classify(requests.input_tokens, requests.output_tokens)
    assert set(index) == {REQUEST_CLASSES.index(name)}
    assert set(requests.ttft_slo_s) == {SLO.of(name)[0]}
    assert workload.classes == (name,)
    assert not requests.group.any()


def test_mix_tells_its_classes_apart() -> None:
    """Tests that each request of a mix has its own class's group and TTFT bound."""
    workload = _make("ALL-coding", size=20_000)
    requests = workload.at_one_rps
    names = [workload.classes[g] for g in requests.group]
    index = TABLE_IV.classify(requests.input_tokens, requests.output_tokens)
    assert names == [REQUEST_CLASSES[i] for i in index]
    assert requests.ttft_slo_s.tolist() == [SLO.of(name)[0] for name in names]
    assert names.count("LS") / 20_000 == pytest.approx(0.712, abs=0.005)


@pytest.mark.parametrize(
    ("name", "classes"), [("conversation-S", "SS SM"), ("coding-S", "SS SM SL"), ("coding-L", "LS LM LL")]
)
def test_part_of_a_mix_has_one_input_length(name: str, classes: str) -> None:
    """Tests that only the service's requests of that input length are in it, with their own shares."""
    workload = _make(f"ALL-{name}", size=20_000)
    assert set(workload.classes) == set(classes.split())
    shares = mix_lengths(name, TABLE_IV).shares(TABLE_IV)
    found = np.bincount(workload.at_one_rps.group) / 20_000
    for request_class, share in zip(workload.classes, found, strict=True):
        assert share == pytest.approx(shares[request_class], abs=1e-3)


def test_rate_only_stretches_the_gaps() -> None:
    """Tests that one draw serves every rate: the mean gap is 1/rate exactly, and lengths stay."""
    workload = _make("MM")
    slow, fast = workload.at(0.5), workload.at(4.0)
    assert slow.arrival_s[-1] == pytest.approx(2000 / 0.5)
    np.testing.assert_allclose(slow.arrival_s, 8 * fast.arrival_s)
    np.testing.assert_array_equal(slow.input_tokens, fast.input_tokens)


def test_gaps_are_exponential() -> None:
    """Tests that gaps have a coefficient of variation of 1, as Poisson arrivals have."""
    gaps = np.diff(_make("SS", size=50_000).at(1.0).arrival_s)
    assert gaps.std() / gaps.mean() == pytest.approx(1, abs=0.02)


def test_alone_means_nobody_near() -> None:
    """Tests that unloaded requests come further apart than any takes."""
    assert np.diff(_make("LL").alone().arrival_s).min() > 1000


def test_first_requests_are_the_same_requests() -> None:
    """Tests that the short workload of a rough search is the beginning of the long one."""
    workload = _make("LM")
    shorter = workload.first(100)
    for ours, theirs in zip(shorter.at_one_rps, workload.at_one_rps, strict=True):
        np.testing.assert_array_equal(ours, theirs[:100])


def test_longest_request_is_prompt_and_output_together() -> None:
    """Tests what must fit into the KV cache."""
    requests = _make("LL").at_one_rps
    assert _make("LL").longest_tokens == max(map(sum, zip(requests.input_tokens, requests.output_tokens, strict=True)))


def test_seed_and_name_decide_the_draw() -> None:
    """Tests that the same seed gives the same workload, and another seed or class another."""
    once, again = _make("LS").at_one_rps, _make("LS").at_one_rps
    np.testing.assert_array_equal(once.arrival_s, again.arrival_s)
    assert not np.array_equal(once.arrival_s, _make("LS", seed=1).at_one_rps.arrival_s)
    assert not np.array_equal(once.arrival_s, _make("MS").at_one_rps.arrival_s)


@pytest.mark.parametrize("name", ["chat", "coding-X", "coding-SS", "coding-"])
def test_unknown_mix_is_refused(name: str) -> None:
    """Tests a mix of a service that nobody knows, and parts that there are not."""
    with pytest.raises(UnknownNameError, match=f"with -S, -M or -L for the requests with such inputs, got '{name}'"):
        _make(f"ALL-{name}")
