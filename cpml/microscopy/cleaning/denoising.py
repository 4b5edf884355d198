"""Orientation noise removed inside grains, boundaries and sharp walls kept.

In each grain the orientations are rotation vectors w_i about the grain's mean (logarithm of the quaternion,
sample frame, so that symmetry copies do not matter). The filtered field u minimises

    E(u) = sum_i |u_i - w_i|^2 + alpha sum_t psi(|u_a - 2 u_b + u_c|),     psi(s) = s^2 / (1 + s^2 / delta^2)

over triples t = (a, b, c) of consecutive points of one row of the grid, all in one grain. Second differences
vanish on any linear field, so that a curvature of the lattice (a constant gradient, and with it the GND
density) is not touched; psi levels off beyond delta, so that a sharp wall stays sharp; no triple crosses a
boundary, nor a step between neighbours that noise cannot make (WALL). Solved by half-quadratic iteration:
weights psi'(s)/2s of the last step, then a linear system (conjugate gradients); delta shrinks from step to
step (graduated non-convexity).

| symbol | meaning | unit |
|---|---|---|
| alpha | strength of smoothing against fidelity | - |
| sigma | noise of one component of w, from the median second difference of the map itself | rad |
| delta | 3 down to 1 times sqrt(6) sigma, the noise of a second difference | rad |

References: Charbonnier et al. 1997, IEEE Trans. Image Process. 6:298 (half-quadratic); Hielscher, Silbermann,
Schmidl & Ihlemann 2019, J. Appl. Cryst. 52:984 (denoising of orientation maps).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cpml.crystallography.rotations import quaternion_multiply
from cpml.crystallography.symmetry import proper_group
from cpml.microscopy.grains.grains import Grains
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.microscopy.maps.means import exponential, vectors_from_means
from cpml.progress import progress

SECOND_DIFFERENCE = np.sqrt(6.0)
"""Standard deviation of a - 2 b + c for unit noise."""
WALL = 5.0 * np.sqrt(2.0)
"""A step between neighbours of more than this many sigma is a wall: noise makes one in 10^5 pairs
(chi, 3 components)."""

ITERATIONS = 6
"""Half-quadratic steps: delta shrinks by less than a quarter from one to the next."""


@dataclass(frozen=True)
class Denoised:
    """Orientations (N, 4) after denoising, and how far they moved."""

    quaternions: NDArray
    noise_deg: float
    moved_deg: NDArray


def denoise(grains: Grains, *, alpha: float = 10.0) -> Denoised:
    """Filtered orientations of the measured pixels of all grains.

    Parameters
    ----------
    alpha : strength; 10 lowers white noise about threefold and needs about 5 points across a feature

    Returns
    -------
    noise_deg is the estimated rms angle of the orientation noise before, moved_deg (N,) the angle between
    old and new
    """
    w, base = _vectors(grains)
    triples = _triples(grains.map, grains.own)
    second = _operator(triples, len(w))
    sigma = _noise(np.linalg.norm(second @ w, axis=1))
    steps = [np.linalg.norm(w[triples[:, 1]] - w[triples[:, k]], axis=1) for k in (0, 2)]
    smooth = np.maximum(*steps) <= WALL * sigma
    u = w
    factors = np.geomspace(3.0, 1.0, ITERATIONS) if sigma > 0 else ()
    for factor in progress(factors, "denoising"):
        ratio = np.linalg.norm(second @ u, axis=1) / (factor * SECOND_DIFFERENCE * sigma)
        u = _solve(second, alpha * smooth / (1.0 + ratio**2) ** 2, w, u, 1e-3 * sigma * np.sqrt(w.size))
    chosen = grains.measured
    moved = np.zeros(grains.map.n_pixels)
    q = grains.map.quaternions.copy()
    q[chosen] = quaternion_multiply(exponential(u[chosen]), base[chosen])
    moved[chosen] = np.degrees(np.linalg.norm((u - w)[chosen], axis=1))
    return Denoised(q, float(np.degrees(np.sqrt(3) * sigma)), moved)


def _vectors(grains: Grains) -> tuple[NDArray, NDArray]:
    """Rotation vectors (N, 3) from the grain's mean, rad, and that mean (N, 4) in each pixel's
    own symmetry copy."""
    ebsd_map = grains.map
    w, base = np.zeros((ebsd_map.n_pixels, 3)), np.full((ebsd_map.n_pixels, 4), np.nan)
    for phase_id, phase in ebsd_map.phases.items():
        pixel = np.flatnonzero(grains.measured & (ebsd_map.phase_id == phase_id))
        q = ebsd_map.quaternions[pixel]
        w[pixel] = vectors_from_means(
            q, grains.label[pixel] - 1, grains.mean_quaternions, proper_group(phase.group)
        )
        base[pixel] = quaternion_multiply(exponential(-w[pixel]), q)
    return w, base


def _triples(ebsd_map: EbsdMap, label: NDArray) -> NDArray:
    """(T, 3) points a, b, c in a straight row of the grid, all in one grain."""
    rows, half = ebsd_map.rows, ebsd_map.half_columns
    lookup = np.full((rows.max() + 5, half.max() + 5), -1, np.int64)
    lookup[rows + 2, half + 2] = np.arange(len(rows))
    along = (0, 2) if not ebsd_map.flat_top else (2, 0)
    steps = ((0, 2), (1, 0)) if ebsd_map.grid == "square" else (along, (1, 1), (1, -1))
    found = []
    for dr, dh in steps:
        a, c = lookup[rows + 2 - dr, half + 2 - dh], lookup[rows + 2 + dr, half + 2 + dh]
        inside = np.flatnonzero((a >= 0) & (c >= 0) & (label > 0))
        inside = inside[(label[a[inside]] == label[inside]) & (label[c[inside]] == label[inside])]
        found.append(np.stack([a[inside], inside, c[inside]], axis=1))
    return np.concatenate(found)


def _operator(triples: NDArray, n: int) -> sparse.csr_matrix:
    """(T, N) second differences."""
    row = np.repeat(np.arange(len(triples)), 3)
    value = np.tile([1.0, -2.0, 1.0], len(triples))
    return sparse.csr_matrix((value, (row, triples.ravel())), shape=(len(triples), n))


def _noise(size: NDArray) -> float:
    """Noise of one vector component, rad, from the median length of second differences (chi
    with 3 components)."""
    return float(np.median(size) / 1.538 / SECOND_DIFFERENCE) if len(size) else 0.0


def _solve(second: sparse.csr_matrix, weight: NDArray, w: NDArray, start: NDArray, goal: float) -> NDArray:
    """u of (1 + D^T W D) u = w, three components at once, by conjugate gradients."""
    system = (sparse.identity(len(w), format="csr") + second.T @ sparse.diags(weight) @ second).tocsr()
    inverse = (1.0 / system.diagonal())[:, None]
    u = start.copy()
    residual = w - system @ u
    z = inverse * residual
    direction, rho = z, np.sum(residual * z, axis=0)
    for _ in range(200):
        if np.linalg.norm(residual) <= goal:
            break
        product = system @ direction
        step = rho / np.maximum(np.sum(direction * product, axis=0), 1e-300)
        u, residual = u + step * direction, residual - step * product
        z = inverse * residual
        new = np.sum(residual * z, axis=0)
        direction, rho = z + new / np.maximum(rho, 1e-300) * direction, new
    return u
