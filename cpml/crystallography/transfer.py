"""Slip transfer across a boundary: how well a slip system of one crystal goes on in its neighbour.

All vectors in the sample frame; n, d unit normal and direction, b Burgers vector, l = n x n_GB normalised
(the line in which a slip plane meets the boundary plane), psi and kappa the angles of normals and directions.

| factor | definition | best |
|---|---|---|
| m' | (n.n')(d.d') | 1 |
| LRB | (l.l')(d.d') | 1 |
| b_r | \\|b - b'\\|, the sign of b' such that b.b' > 0 | 0 |
| N | (n.n')(d.d') + (n.d')(n'.d) | 1 |
| lambda | cos(90 psi/15) cos(90 kappa/45), deg, 0 beyond 15 or 45 | 1 |
| s | m' (l.l') | 1 |

A slip system has no sense of its own: m', LRB, N and s are given as absolute values, b_r for the nearer sign.
`m_prime(..., signed=True)` keeps the sign of the vectors given, which means something only when both systems
have been oriented to positive resolved shear.

A map shows the trace of a boundary, not its plane. `boundary_normals` spans the planes through the trace;
planes of random orientation cut by a section have the inclination phi (normal out of the section's
horizontal) with density cos(phi)/2, the weights for the mean.

References: Luster & Morris 1995, Metall. Mater. Trans. A 26:1745; Shen, Wagoner & Clark 1986, Scripta Metall.
20:921; Lee, Robertson & Birnbaum 1990, Phil. Mag. A 62:131; Abuzaid et al. 2012, J. Mech. Phys. Solids
60:1201; Livingston & Chalmers 1957, Acta Metall. 5:322 (N); Werner & Prantl 1990, Acta Metall. Mater. 38:533
(lambda and its limits); Bieler et al. 2014, Curr. Opin. Solid State Mater. Sci. 18:212 (s). N, lambda and s
are defined as in the documentation of STABiX.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError

PSI_LIMIT_DEG, KAPPA_LIMIT_DEG = 15.0, 45.0


def sample_systems(systems: Systems, crystal_to_sample: ArrayLike) -> tuple[NDArray, NDArray]:
    """Unit normals and directions (..., S, 3) in the sample frame of crystals (..., 4)."""
    r = quaternion_to_matrix(crystal_to_sample)
    return systems.plane @ r.swapaxes(-1, -2), systems.direction @ r.swapaxes(-1, -2)


def _dot(a: ArrayLike, b: ArrayLike) -> NDArray:
    return np.sum(np.asarray(a, float) * np.asarray(b, float), axis=-1)


def m_prime(n1: ArrayLike, d1: ArrayLike, n2: ArrayLike, d2: ArrayLike, *, signed: bool = False) -> NDArray:
    """m' (...) of systems (..., 3) that broadcast; absolute value unless `signed`.

    Examples
    --------
    >>> z, x, tilted = np.eye(3)[2], np.eye(3)[0], np.array([0, np.sin(1.0), np.cos(1.0)])
    >>> print(f"{m_prime(z, x, tilted, -x):.3f} {m_prime(z, x, tilted, -x, signed=True):.3f}")
    0.540 -0.540
    """
    value = _dot(n1, n2) * _dot(d1, d2)
    return value if signed else np.abs(value)


def m_prime_of_pairs(n1: ArrayLike, d1: ArrayLike, n2: ArrayLike, d2: ArrayLike) -> NDArray:
    """|m'| (..., S, U) of every system (..., S, 3) of one crystal with every system (..., U, 3) of the other.

    Examples
    --------
    >>> axes = np.eye(3)
    >>> print(m_prime_of_pairs(axes[:2], axes[1:], axes[:2], axes[1:]))
    [[1. 0.]
     [0. 1.]]
    """
    one, two = (
        np.abs(np.matmul(np.asarray(a, float), np.swapaxes(np.asarray(b, float), -1, -2)))
        for a, b in ((n1, n2), (d1, d2))
    )
    one *= two  # in place: the two are the largest arrays of whoever asks for all pairs of a map
    return one


def residual_burgers(b1: ArrayLike, b2: ArrayLike) -> NDArray:
    """|b_r| (...), in the unit of the vectors (..., 3): the shorter of |b1 - b2| and |b1 + b2|."""
    b1, b2 = np.asarray(b1, float), np.asarray(b2, float)
    square = _dot(b1, b1) + _dot(b2, b2) - 2 * np.abs(_dot(b1, b2))
    return np.sqrt(np.maximum(square, 0.0))


def livingston_chalmers(n1: ArrayLike, d1: ArrayLike, n2: ArrayLike, d2: ArrayLike) -> NDArray:
    """|N| (...) of systems (..., 3)."""
    return np.abs(_dot(n1, n2) * _dot(d1, d2) + _dot(n1, d2) * _dot(n2, d1))


def werner_prantl(n1: ArrayLike, d1: ArrayLike, n2: ArrayLike, d2: ArrayLike) -> NDArray:
    """lambda (...) of systems (..., 3), from the acute angles."""
    psi, kappa = (np.degrees(np.arccos(np.clip(np.abs(_dot(*v)), 0, 1))) for v in ((n1, n2), (d1, d2)))
    value = np.cos(np.radians(90 * psi / PSI_LIMIT_DEG)) * np.cos(np.radians(90 * kappa / KAPPA_LIMIT_DEG))
    return np.where((psi <= PSI_LIMIT_DEG) & (kappa <= KAPPA_LIMIT_DEG), value, 0.0)


def intersection_cosine(n1: ArrayLike, n2: ArrayLike, boundary_normal: ArrayLike) -> NDArray:
    """|l.l'| (...) of planes (..., 3) on a boundary (..., 3); NaN where a plane is the boundary itself."""
    wall = np.asarray(boundary_normal, float)
    l1, l2 = np.cross(np.asarray(n1, float), wall), np.cross(np.asarray(n2, float), wall)
    size = np.linalg.norm(l1, axis=-1) * np.linalg.norm(l2, axis=-1)
    return np.divide(np.abs(_dot(l1, l2)), size, out=np.full(np.shape(size), np.nan), where=size > 1e-12)


def lrb(n1: ArrayLike, d1: ArrayLike, n2: ArrayLike, d2: ArrayLike, boundary_normal: ArrayLike) -> NDArray:
    """|LRB| (...) of systems (..., 3) at a boundary with unit normal (..., 3)."""
    return intersection_cosine(n1, n2, boundary_normal) * np.abs(_dot(d1, d2))


def s_factor(
    n1: ArrayLike, d1: ArrayLike, n2: ArrayLike, d2: ArrayLike, boundary_normal: ArrayLike
) -> NDArray:
    """|s| (...) of systems (..., 3) at a boundary with unit normal (..., 3)."""
    return intersection_cosine(n1, n2, boundary_normal) * m_prime(n1, d1, n2, d2)


def boundary_normals(trace_deg: ArrayLike, n_inclinations: int = 36) -> tuple[NDArray, NDArray]:
    """Normals (..., I, 3) of the planes through an on-screen trace (...), and their weights (I,), sum 1.

    Raises
    ------
    ParameterError : no inclination asked for
    """
    if n_inclinations < 1:
        raise ParameterError(f"n_inclinations {n_inclinations}: one or more are needed")
    theta = np.radians(np.asarray(trace_deg, float))[..., None]
    phi = (np.arange(n_inclinations) + 0.5) / n_inclinations * np.pi - np.pi / 2
    horizontal = [np.sin(theta) * np.cos(phi), np.cos(theta) * np.cos(phi)]  # z x t, t = (cos, -sin, 0)
    normals = np.stack([*horizontal, np.broadcast_to(np.sin(phi), horizontal[0].shape)], axis=-1)
    return normals, np.cos(phi) / np.cos(phi).sum()
