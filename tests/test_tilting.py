"""Tests of `dynaopt.tilting`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from dynaopt.errors import InvalidInputError
from dynaopt.tilting import tilt

SAMPLE = np.array([[10.0, 1.0], [200.0, 5.0], [1000.0, 300.0], [4000.0, 20.0], [7000.0, 900.0], [90.0, 800.0]])

lengths = st.integers(1, 8000).map(float)
samples = st.lists(st.tuples(lengths, lengths), min_size=4, max_size=40, unique=True).map(np.array)


def _inner_point(sample: np.ndarray, seed: int) -> np.ndarray:
    """Return a point in the interior of the sample's hull: no point has less than a quarter of its equal share."""
    shares = np.random.default_rng(seed).dirichlet(np.ones(len(sample)))
    return (0.75 * shares + 0.25 / len(sample)) @ sample


def test_two_points_by_hand() -> None:
    """Tests the smallest case: outputs 0 and 10 with mean 7.5 need weights 1/4 and 3/4, whatever they had before."""
    assert tilt([[5, 0], [5, 10]], (5, 7.5)) == pytest.approx([0.25, 0.75])
    assert tilt([[5, 0], [5, 10]], (5, 7.5), weights=[9, 1]) == pytest.approx([0.25, 0.75])


def test_three_points_by_hand() -> None:
    """Tests lengths 0, 1, 2 at mean 1.5: weights 1, q, q^2 with (q + 2 q^2) = 1.5 (1 + q + q^2), so q^2 - q - 3 = 0."""
    q = (1 + np.sqrt(13)) / 2
    expected = np.array([1, q, q**2]) / (1 + q + q**2)
    assert tilt([[0, 7], [1, 7], [2, 7]], (1.5, 7)) == pytest.approx(expected)


def test_own_means_change_nothing() -> None:
    """Tests that a sample which has the wanted means keeps its weights."""
    weights = np.array([1.0, 2.0, 3.0, 1.0, 1.0, 2.0]) / 10
    assert tilt(SAMPLE, weights @ SAMPLE, weights=weights) == pytest.approx(weights, abs=1e-15)


@settings(deadline=None)
@given(sample=samples, seed=st.integers(0, 2**32 - 1))
def test_means_are_matched_with_positive_weights(sample: np.ndarray, seed: int) -> None:
    """Tests that any means inside the hull are met, by weights that are positive and add up to 1."""
    wanted = _inner_point(sample, seed)
    weights = tilt(sample, wanted)
    assert (weights > 0).all()
    assert weights.sum() == pytest.approx(1)
    assert weights @ sample == pytest.approx(wanted, rel=1e-8)


@settings(deadline=None)
@given(sample=samples, seed=st.integers(0, 2**32 - 1))
def test_logarithms_of_weights_are_linear(sample: np.ndarray, seed: int) -> None:
    """Tests the shape that the theorem gives: log w_i - log w_0 is a x_i + b y_i for one pair (a, b)."""
    weights = tilt(sample, _inner_point(sample, seed))
    scaled = (sample - sample.mean(axis=0)) / 1000
    design = np.column_stack([np.ones(len(sample)), scaled])
    residual = np.log(weights) - design @ np.linalg.lstsq(design, np.log(weights), rcond=None)[0]
    assert np.abs(residual).max() < 1e-6


def test_nothing_is_nearer_to_the_sample() -> None:
    """Tests against a general-purpose optimiser that no weights with these means have a smaller divergence."""
    wanted = np.array([1500.0, 250.0])

    def divergence(weights: np.ndarray) -> float:
        return float(weights @ np.log(np.maximum(weights, 1e-300) * len(SAMPLE)))

    constraints = [
        {"type": "eq", "fun": lambda weights: weights.sum() - 1},
        {"type": "eq", "fun": lambda weights: (weights @ SAMPLE - wanted) / 1000},
    ]
    start = np.full(len(SAMPLE), 1 / len(SAMPLE))
    best = minimize(
        divergence, start, bounds=[(0, 1)] * len(SAMPLE), constraints=constraints, options={"maxiter": 1000}
    )
    assert best.success
    assert divergence(tilt(SAMPLE, wanted)) <= best.fun + 1e-9
    assert tilt(SAMPLE, wanted) == pytest.approx(best.x, abs=1e-3)


@pytest.mark.parametrize("share", [1e-3, 1e-6, 1e-9])
def test_means_near_the_edge_are_met(share: float) -> None:
    """Tests that Newton's steps are held back where a whole one would overshoot: all weight on nearly one point."""
    wanted = (1 - share) * SAMPLE[4] + share * SAMPLE.mean(axis=0)
    weights = tilt(SAMPLE, wanted)
    assert weights @ SAMPLE == pytest.approx(wanted, rel=1e-6)
    assert weights[4] > 1 - 10 * share


@pytest.mark.parametrize("wanted", [(8000, 100), (5000, 1000), (100, 0.5), (10.1, 0.9)])
def test_means_that_no_weights_have_are_refused(wanted: tuple[float, float]) -> None:
    """Tests that a point outside the convex hull is refused rather than approached."""
    with pytest.raises(InvalidInputError, match="inside the convex hull"):
        tilt(SAMPLE, wanted)


def test_corner_of_the_hull_takes_all_weight() -> None:
    """Tests that the means of the longest request are met by it alone, within the tolerance."""
    assert tilt(SAMPLE, SAMPLE[4])[4] == pytest.approx(1, abs=1e-8)


def test_input_is_left_alone() -> None:
    """Tests that neither sample nor weights are changed."""
    sample, weights = SAMPLE.copy(), np.arange(1.0, 7.0)
    tilt(sample, (1500, 250), weights=weights)
    assert (sample == SAMPLE).all()
    assert (weights == np.arange(1.0, 7.0)).all()
