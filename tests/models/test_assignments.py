"""The sum over assignments of traces to planes against its definition, written out by enumeration."""

import itertools

import numpy as np
import pytest
import torch

from cpml.models.coupled.assignments import assignment_sum


def by_enumeration(q, density, false_rate):
    """Sum over every way in which J traces come from distinct planes or are
    false: the definition, term by term.
    """
    n_traces, n_planes = density.shape
    total = 0.0
    for choice in itertools.product(range(-1, n_planes), repeat=n_traces):  # -1: false
        used = [c for c in choice if c >= 0]
        if len(set(used)) < len(used):
            continue
        term = np.prod([1 - q[p] for p in range(n_planes) if p not in used])
        for j, c in enumerate(choice):
            term *= false_rate / 180.0 if c < 0 else q[c] * density[j, c]
        total += term
    return total


@pytest.mark.parametrize("n_traces", [0, 1, 2, 3])
def test_dynamic_programme_equals_enumeration(n_traces):
    """Subset recursion = explicit sum over all assignments, to rounding."""
    rng = np.random.default_rng(n_traces)
    q, density = rng.random(4), rng.random((n_traces, 4)) * 0.2
    found = assignment_sum(
        torch.tensor(q)[None, None],
        torch.tensor(density)[None],
        torch.zeros(1, 4),
        torch.tensor(0.3 / 180, dtype=torch.float64),
    )
    assert float(found) == pytest.approx(by_enumeration(q, density, 0.3), rel=1e-12)


def test_probabilities_of_all_observations_sum_to_one():
    """Integrated over the angles of every number of traces from planes alone, the
    likelihood is 1 (false rate 0).

    The density of every plane integrates to one over the half circle, so the integral over J ordered traces
    counts every set of J seen planes J! times.
    """
    q = np.array([0.2, 0.7, 0.5])
    total = 0.0
    for n_traces in range(4):
        one = np.ones((n_traces, 3))  # each density replaced by its integral
        term = assignment_sum(
            torch.tensor(q)[None, None],
            torch.tensor(one)[None],
            torch.zeros(1, 3),
            torch.tensor(1e-300, dtype=torch.float64),
        )
        total += float(term) / np.prod(np.arange(1, n_traces + 1))
    assert total == pytest.approx(1.0, abs=1e-12)


def test_a_covered_plane_costs_nothing():
    """A plane under an observed trace may be active without a trace of its own; uncovered, that is a miss."""
    q, density = torch.tensor([[[1.0, 1.0]]]), torch.tensor([[[0.2, 0.2]]], dtype=torch.float64)
    rate = torch.tensor(1e-12, dtype=torch.float64)
    apart = assignment_sum(q.double(), density, torch.zeros(1, 2), rate)
    merged = assignment_sum(q.double(), density, torch.ones(1, 2), rate)
    assert float(apart) < 1e-10 and float(merged) == pytest.approx(0.4)


def test_slopes_equal_finite_differences():
    """Slopes in q and in the rate of false traces, by central differences of double precision; planes that
    are sure, that leave no trace, and that lie under an observed one included.
    """
    rng = np.random.default_rng(1)
    seen = torch.tensor(rng.random((3, 2, 5))).requires_grad_()
    with torch.no_grad():
        seen[0, 0, :2] = torch.tensor([1.0, 0.0])
    density = torch.tensor(rng.random((3, 3, 5)))
    covered = torch.tensor((rng.random((3, 5)) < 0.4).astype(float))
    rate = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda q, w: assignment_sum(q, density, covered, w), (seen, rate))
