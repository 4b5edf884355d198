"""The convex problems of texture design against closed forms."""

import numpy as np
import pytest

from cpml.design.search.convex import closest_to_prior, extreme, separate

TRIANGLE = np.array([[0.0, 1, 0], [0, 0, 1]])


def test_separating_hyperplane_of_a_triangle():
    """(1, 1) is beyond the edge x + y = 1: normal (1, 1), margin 1; (0.2, 0.2) is inside: margin 0."""
    plane = separate(TRIANGLE, np.array([1.0, 1.0]))
    assert plane.normal == pytest.approx([1, 1]) and plane.offset == pytest.approx(1)
    assert plane.margin == pytest.approx(1)
    assert separate(TRIANGLE, np.array([0.2, 0.2])).margin <= 1e-12


def test_extremes():
    """At y = 0.25 in the triangle the largest x is 0.75, the smallest 0; y = 2 has no weights."""
    low, high = (extreme(TRIANGLE[1:], np.array([0.25]), TRIANGLE[0], sign) for sign in (-1, 1))
    assert (low[0], high[0]) == pytest.approx((0, 0.75)) and high[1].sum() == pytest.approx(1)
    assert extreme(TRIANGLE[1:], np.array([2.0]), TRIANGLE[0], 1) is None


def test_closest_on_two_points():
    """With points 0 and 1 and mean m the weights are (1-m, m); the relative entropy
    to (1/2, 1/2) is the binary one.
    """
    found = closest_to_prior(np.array([[0.0, 1.0]]), np.array([0.3]), np.full(2, 0.5))
    assert found.converged and found.weights == pytest.approx([0.7, 0.3])
    assert found.relative_entropy == pytest.approx(0.7 * np.log(1.4) + 0.3 * np.log(0.6))


def test_closest_is_optimal():
    """Feasible perturbations increase the relative entropy; the gap is rounding; the conditions hold."""
    rng = np.random.default_rng(0)
    points, prior = rng.standard_normal((2, 40)), rng.dirichlet(np.ones(40))
    target = points @ rng.dirichlet(np.ones(40))
    found = closest_to_prior(points, target, prior)
    assert found.converged and abs(found.duality_gap) < 1e-12
    assert points @ found.weights == pytest.approx(target, abs=1e-12)

    def entropy(w):
        return np.sum(w * np.log(w / prior))

    basis = np.linalg.svd(np.r_[points, np.ones((1, 40))])[2][3:]
    for direction in basis[:10]:
        step = 0.2 * found.weights.min() * direction / np.abs(direction).max()
        assert entropy(found.weights + step) > entropy(found.weights) < entropy(found.weights - step)


def test_unreachable_target_does_not_converge():
    """Outside the hull there are no weights: flagged, not returned as if found."""
    assert not closest_to_prior(TRIANGLE, np.array([1.0, 1.0]), np.full(3, 1 / 3)).converged
