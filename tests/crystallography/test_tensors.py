"""The 5-basis: orthonormal, numpy and torch alike, rotations as orthogonal matrices."""

import numpy as np
import pytest
import torch

from cpml.crystallography import quaternion_to_matrix, random_quaternions
from cpml.crystallography.tensors import (
    BASIS,
    rotation_5x5,
    to_matrix,
    to_vector,
    von_mises_rate,
    von_mises_stress,
)

RNG = np.random.default_rng(0)
A = RNG.standard_normal((7, 3, 3))
A = A + A.swapaxes(-1, -2)
A -= np.trace(A, axis1=-2, axis2=-1)[:, None, None] / 3 * np.eye(3)


def test_orthonormal():
    """T_i : T_j = delta_ij."""
    assert np.einsum("aij,bij->ab", BASIS, BASIS) == pytest.approx(np.eye(5))


def test_definition():
    """a1 = (A22-A11)/sqrt2, a2 = (2A33-A11-A22)/sqrt6, a3..5 = sqrt2 (A23, A13, A12)."""
    a = A[0]
    expected = [
        (a[1, 1] - a[0, 0]) / 2**0.5,
        (2 * a[2, 2] - a[0, 0] - a[1, 1]) / 6**0.5,
        2**0.5 * a[1, 2],
        2**0.5 * a[0, 2],
        2**0.5 * a[0, 1],
    ]
    assert to_vector(a) == pytest.approx(expected)


def test_round_trip_and_products():
    """to_matrix(to_vector(A)) = A; A:B = a.b; numpy equals torch."""
    assert to_matrix(to_vector(A)) == pytest.approx(A)
    assert np.einsum("nij,nij->n", A, A[::-1]) == pytest.approx((to_vector(A) * to_vector(A[::-1])).sum(-1))
    assert to_vector(torch.as_tensor(A)).numpy() == pytest.approx(to_vector(A))


def test_von_mises():
    """Uniaxial stress 1 has von Mises 1; axisymmetric strain rate (1, -1/2, -1/2) too."""
    assert von_mises_stress(to_vector(np.diag([1.0, 0, 0]))) == pytest.approx(1)
    assert von_mises_rate(to_vector(np.diag([1.0, -0.5, -0.5]))) == pytest.approx(1)


def test_rotation():
    """Q to_vector(A) = to_vector(R A R^T), Q orthogonal; torch alike."""
    r = quaternion_to_matrix(random_quaternions(7, RNG))
    q = rotation_5x5(r)
    assert np.einsum("nij,nj->ni", q, to_vector(A)) == pytest.approx(to_vector(r @ A @ r.swapaxes(-1, -2)))
    assert q @ q.swapaxes(-1, -2) == pytest.approx(np.broadcast_to(np.eye(5), (7, 5, 5)), abs=1e-12)
    assert rotation_5x5(torch.as_tensor(r)).numpy() == pytest.approx(q)
