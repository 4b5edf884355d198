"""Lattice curvature of a map and the part of the Nye tensor that a surface shows.

    kappa_ij = d omega_i / d x_j
    alpha_ij = kappa_ji - delta_ij kappa_kk

omega is the rotation vector, sample frame, of q(x + dx) q(x)*, nearest variant.

A map knows j = 1, 2 only; the third column of kappa is unknown, not zero. Free of it are

    alpha_12 = k_21, alpha_21 = k_12, alpha_13 = k_31, alpha_23 = k_32,
    alpha_33 = -(k_11 + k_22),   alpha_11 - alpha_22 = k_11 - k_22.

Elastic strain is neglected. No difference reaches across a grain boundary. "forward" takes the next pixel
(the one before where there is none); "central" is the least-squares plane through all touching pixels: half
the noise, twice the reach.

| symbol | meaning | unit, shape |
|---|---|---|
| kappa | curvature | rad/um, (N, 3, 2) |
| y | the six combinations, in the order above | 1/um, (N, 6) |
| d | rms angle of the orientation error | deg |

References: Pantleon 2008, Scripta Mater. 58:994; Nye 1953, Acta Metall. 1:153.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.disorientation import rotation_vectors
from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError
from cpml.microscopy.grains.grains import Grains

NYE_NAMES = ("nye_12", "nye_21", "nye_13", "nye_23", "nye_33", "nye_11_minus_22")
CHI2_3_MEDIAN = 2.365973884
"""Median of a chi-squared variable of three degrees of freedom."""


@dataclass(frozen=True)
class Curvature:
    """kappa (N, 3, 2) in rad/um, NaN where a column is unknown; `scheme` says by which differences."""

    kappa: NDArray
    scheme: str

    @property
    def known(self) -> NDArray:
        """(N,) bool, where both columns are known."""
        return np.isfinite(self.kappa).all(axis=(1, 2))


def pairs_in_grains(grains: Grains, order: int = 1) -> NDArray:
    """(P, 2) pairs of measured pixels of one grain, at most `order` steps apart."""
    pairs = grains.map.neighbours if order == 1 else grains.map.pairs(order)
    own = grains.own[pairs]
    return pairs[(own[:, 0] == own[:, 1]) & (own[:, 0] > 0)]


def _pair_rotations(grains: Grains, pairs: NDArray) -> NDArray:
    omega = np.empty((len(pairs), 3))
    phase = grains.map.phase_id[pairs[:, 0]]
    for phase_id, description in grains.map.phases.items():
        index = slice(None) if len(grains.map.phases) == 1 else np.flatnonzero(phase == phase_id)
        chosen = pairs[index]
        omega[index] = rotation_vectors(
            grains.map.quaternions, chosen[:, 0], chosen[:, 1], proper_group(description.group)
        )
    return omega


def curvature(grains: Grains, *, scheme: str = "forward") -> Curvature:
    """Lattice curvature inside grains.

    Parameters
    ----------
    scheme : "forward" (square grids) or "central" (least squares over the touching pixels;
        hexagonal grids always)

    Raises
    ------
    ParameterError : an unknown scheme, or forward differences asked for on a hexagonal grid
    """
    if scheme not in ("forward", "central"):
        raise ParameterError(f"scheme {scheme!r}: choose 'forward' or 'central'")
    if grains.map.grid == "hex":
        if scheme == "forward":
            raise ParameterError("a hexagonal grid has no next row above or below: choose scheme='central'")
        return Curvature(_least_squares(grains), scheme)
    return Curvature(_forward(grains) if scheme == "forward" else _least_squares(grains), scheme)


def _forward(grains: Grains) -> NDArray:
    kappa = np.full((grains.map.n_pixels, 3, 2), np.nan)
    pairs = pairs_in_grains(grains)
    omega = _pair_rotations(grains, pairs)
    is_row = grains.map.rows[pairs[:, 0]] == grains.map.rows[pairs[:, 1]]
    for column, chosen in ((0, is_row), (1, ~is_row)):
        rate = omega[chosen] / grains.map.pixel_um[column]
        kappa[pairs[chosen, 1], :, column] = rate  # backward where the next line overwrites nothing
        kappa[pairs[chosen, 0], :, column] = rate
    return kappa


def _least_squares(grains: Grains) -> NDArray:
    """kappa = (sum omega dx^T)(sum dx dx^T)^-1 over the touching pixels of the same grain."""
    n, pairs = grains.map.n_pixels, pairs_in_grains(grains)
    omega = _pair_rotations(grains, pairs)
    dx = grains.map.xy[pairs[:, 1]] - grains.map.xy[pairs[:, 0]]

    def total(
        values: NDArray,
    ) -> NDArray:  # both ends: omega dx^T and dx dx^T do not change when the pair is read backwards
        return np.bincount(pairs[:, 0], values, n) + np.bincount(pairs[:, 1], values, n)

    xx, yy, xy = (total(dx[:, i] * dx[:, j]) for i, j in ((0, 0), (1, 1), (0, 1)))
    if (
        grains.map.grid == "square"
    ):  # each column alone: a pixel with neighbours in its row only keeps column 1
        inverse = [[_over(1.0, xx), 0.0], [0.0, _over(1.0, yy)]]
    else:
        determinant = xx * yy - xy**2
        determinant[determinant < 1e-6 * grains.map.step_um**4] = 0.0
        inverse = [
            [_over(yy, determinant), -_over(xy, determinant)],
            [-_over(xy, determinant), _over(xx, determinant)],
        ]
    kappa = np.empty((n, 3, 2))
    for i in range(3):
        along = [total(omega[:, i] * dx[:, j]) for j in range(2)]
        for j in range(2):
            kappa[:, i, j] = along[0] * inverse[0][j] + along[1] * inverse[1][j]
    if grains.map.grid == "square":
        kappa[np.broadcast_to(np.stack([xx, yy], axis=1)[:, None] == 0, kappa.shape)] = np.nan
    return kappa


def _over(above: ArrayLike, below: NDArray) -> NDArray:
    filler = np.zeros_like(below) if np.isscalar(above) else np.full_like(below, np.nan)
    return np.divide(above, below, out=filler, where=below > 0)


def nye_components(kappa: NDArray) -> NDArray:
    """(..., 6) combinations of alpha that kappa (..., 3, 2) determines, in its unit (module docstring)."""
    k = np.asarray(kappa, float)
    return np.stack(
        [
            k[..., 1, 0],
            k[..., 0, 1],
            k[..., 2, 0],
            k[..., 2, 1],
            -(k[..., 0, 0] + k[..., 1, 1]),
            k[..., 0, 0] - k[..., 1, 1],
        ],
        axis=-1,
    )


def nye(grains: Grains, *, scheme: str = "forward") -> pd.DataFrame:
    """The known Nye components of every pixel, columns of NYE_NAMES with `_per_um`, NaN where unknown."""
    values = nye_components(curvature(grains, scheme=scheme).kappa)
    return pd.DataFrame(values, columns=[f"{name}_per_um" for name in NYE_NAMES])


def orientation_noise(grains: Grains, *, region: ArrayLike | None = None) -> float:
    """rms angle d, deg, of the orientation error, from second differences along the rows.

    A constant gradient cancels in omega(i, i+1) - omega(i-1, i), whose variance per axis is 6 times that of
    the error; the median makes it robust against real steps. Errors that neighbours share do not count.

    Parameters
    ----------
    region : (N,) bool, pixels to look at, an undeformed area for example; None: all

    Raises
    ------
    ParameterError : fewer than ten triples of neighbours in one grain
    """
    m = grains.map
    lookup = np.full((m.shape[0], m.half_columns.max() + 1), -1, np.int64)
    lookup[m.rows, m.half_columns] = np.arange(m.n_pixels)
    triples = np.stack([lookup[:, :-4], lookup[:, 2:-2], lookup[:, 4:]], axis=-1).reshape(-1, 3)
    triples = triples[(triples >= 0).all(axis=1)]
    own = np.where(True if region is None else np.asarray(region, bool), grains.own, 0)[triples]
    triples = triples[(own[:, 0] > 0) & (own[:, 0] == own[:, 1]) & (own[:, 1] == own[:, 2])]
    if len(triples) < 10:
        raise ParameterError(
            f"map {m.name!r}: {len(triples)} rows of three pixels in one grain, too few for a noise estimate"
        )
    second = _pair_rotations(grains, triples[:, 1:]) - _pair_rotations(grains, triples[:, :2])
    variance = np.median(np.sum(second**2, axis=1)) / CHI2_3_MEDIAN / 6.0
    return float(np.degrees(np.sqrt(3.0 * variance)))


def noise_of(grains: Grains, noise_deg: float | None) -> float:
    """The declared noise, or the estimate where none is declared."""
    return orientation_noise(grains) if noise_deg is None else float(noise_deg)


def phases_chosen(grains: Grains, phase: str | int | Sequence | None) -> list[int]:
    """Phase ids named by id or name; None: all."""
    names = {p.name: i for i, p in grains.map.phases.items()}
    if phase is None:
        return sorted(grains.map.phases)
    asked = [phase] if isinstance(phase, (str, int, np.integer)) else list(phase)
    found = [names.get(p, p) if isinstance(p, str) else int(p) for p in asked]
    missing = [p for p in found if p not in grains.map.phases]
    if missing:
        raise ParameterError(f"phase {missing[0]!r} is not in map {grains.map.name!r}: it has {names}")
    return found
