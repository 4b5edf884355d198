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
    if grains.map.grid == "hex" and scheme == "forward":
        raise ParameterError("a hexagonal grid has no next row above or below: choose scheme='central'")
    pairs = pairs_in_grains(grains)
    return Curvature(_differences(grains, pairs, _pair_rotations(grains, pairs), scheme), scheme)


def noise_curvature(
    grains: Grains, noise_deg: float, *, scheme: str, pixels: NDArray | None = None, seed: int = 0
) -> NDArray:
    """kappa (N, 3, 2), rad/um, that orientation errors alone give in the same pixels by the same differences.

    Parameters
    ----------
    noise_deg : rms angle of the error of a pixel, no two alike
    pixels : (n,) numbers of those asked for: others may be left at NaN; None: all
    """
    pairs = pairs_in_grains(grains)
    if pixels is not None:
        asked = np.zeros(grains.map.n_pixels, bool)
        asked[pixels] = True
        pairs = pairs[asked[pairs].any(axis=1)]
    error = noise_vectors(grains.map.n_pixels, noise_deg, seed)
    return _differences(grains, pairs, error[pairs[:, 1]] - error[pairs[:, 0]], scheme)


def noise_vectors(n: int, noise_deg: float, seed: int = 0) -> NDArray:
    """(n, 3) small rotation vectors, rad, without direction and independent, of a given rms angle."""
    scale = np.radians(noise_deg) / np.sqrt(3)
    return scale * np.random.default_rng(seed).standard_normal((n, 3))


def _differences(grains: Grains, pairs: NDArray, omega: NDArray, scheme: str) -> NDArray:
    make = _forward if scheme == "forward" else _least_squares
    return make(grains, pairs, omega)


def _forward(grains: Grains, pairs: NDArray, omega: NDArray) -> NDArray:
    kappa = np.full((grains.map.n_pixels, 3, 2), np.nan)
    is_row = grains.map.rows[pairs[:, 0]] == grains.map.rows[pairs[:, 1]]
    for column, chosen in ((0, is_row), (1, ~is_row)):
        rate = omega[chosen] / grains.map.pixel_um[column]
        kappa[pairs[chosen, 1], :, column] = rate  # backward where the next line overwrites nothing
        kappa[pairs[chosen, 0], :, column] = rate
    return kappa


def _least_squares(grains: Grains, pairs: NDArray, omega: NDArray) -> NDArray:
    """kappa = (sum omega dx^T)(sum dx dx^T)^-1 over the touching pixels of the same grain."""
    n = grains.map.n_pixels
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


@dataclass(frozen=True)
class NoiseEstimate:
    """Orientation error of a map: `deg`, its rms angle, NaN where there are too few points to tell.

    | field | meaning |
    |---|---|
    | n_triples | rows of three pixels in one grain that tell |
    | identical_share | share of the rows left out: two neighbours have one orientation to the last bit |
    """

    deg: float
    n_triples: int
    identical_share: float

    @property
    def note(self) -> str:
        """A sentence where the estimate needs one, else ""."""
        left_out = ""
        if self.identical_share > FILLED:
            left_out = (
                f"{100 * self.identical_share:.0f} % of the rows of three points hold two orientations that "
                "are equal to the last bit, as a vendor's program fills them in: they are left out of the "
                "noise and its floors."
            )
        if self.n_triples >= FEWEST_TRIPLES:
            return left_out
        too_few = f"{self.n_triples} rows of three pixels in one grain are too few for a noise estimate."
        return f"{left_out} {too_few}".strip()


FILLED = 0.01
"""Share of bit-identical neighbours from which on it is said; measured angles hardly ever agree so."""
FEWEST_TRIPLES = 10


def noise_estimate(grains: Grains, *, region: ArrayLike | None = None) -> NoiseEstimate:
    """rms angle d of the orientation error, from second differences along the rows.

    A constant gradient cancels in omega(i, i+1) - omega(i-1, i), whose variance per axis is 6 times that of
    the error; the median makes it robust against real steps. Errors that neighbours share do not count.
    Neighbours whose orientations are identical were filled in, not measured: they are left out. On a square
    grid with too few rows of three the columns tell.

    Parameters
    ----------
    region : (N,) bool, pixels to look at, an undeformed area for example; None: all
    """
    m = grains.map
    lookup = np.full((m.shape[0], m.half_columns.max() + 1), -1, np.int64)
    lookup[m.rows, m.half_columns] = np.arange(m.n_pixels)
    own = np.where(True if region is None else np.asarray(region, bool), grains.own, 0)
    triples = _triples_along(lookup, own)
    if len(triples) < FEWEST_TRIPLES and m.grid == "square":
        triples = _triples_along(np.repeat(lookup[:, ::2].T, 2, axis=1), own)
    q = m.quaternions
    filled = (q[triples[:, 0]] == q[triples[:, 1]]).all(axis=1) | (q[triples[:, 1]] == q[triples[:, 2]]).all(
        axis=1
    )
    share, triples = float(filled.mean()) if len(filled) else 0.0, triples[~filled]
    if len(triples) < FEWEST_TRIPLES:
        return NoiseEstimate(float("nan"), len(triples), share)
    second = _pair_rotations(grains, triples[:, 1:]) - _pair_rotations(grains, triples[:, :2])
    variance = np.median(np.sum(second**2, axis=1)) / CHI2_3_MEDIAN / 6.0
    return NoiseEstimate(float(np.degrees(np.sqrt(3.0 * variance))), len(triples), share)


def _triples_along(lookup: NDArray, own: NDArray) -> NDArray:
    """(T, 3) pixels of one grain next to each other in a row of the lookup, two places apart there."""
    triples = np.stack([lookup[:, :-4], lookup[:, 2:-2], lookup[:, 4:]], axis=-1).reshape(-1, 3)
    triples = triples[(triples >= 0).all(axis=1)]
    grain = own[triples]
    return triples[(grain[:, 0] > 0) & (grain[:, 0] == grain[:, 1]) & (grain[:, 1] == grain[:, 2])]


def orientation_noise(grains: Grains, *, region: ArrayLike | None = None) -> float:
    """rms angle d, deg, of the orientation error by `noise_estimate`, whose parameters it has.

    Raises
    ------
    ParameterError : fewer than ten triples of neighbours in one grain that were not filled in
    """
    found = noise_estimate(grains, region=region)
    if found.n_triples < FEWEST_TRIPLES:
        raise ParameterError(f"map {grains.map.name!r}: {found.note} Give noise_deg")
    return found.deg


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
