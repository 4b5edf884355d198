"""Local misorientation inside grains: KAM and GROD, with what noise alone would read.

    KAM_i = mean theta_ij over the pixels j of the same grain at most `order` steps away
    GROD_i = theta(i, mean of the grain)   or   theta(i, the pixel farthest from the grain's boundary)

An orientation error of rms angle d alone gives KAM = sqrt(8/pi) sqrt(2/3) d = 1.303 d, and a GROD to the mean
of sqrt(8/(3 pi)) d = 0.921 d. KAM grows with the step: maps of different step are compared by KAM per um,
after the floor has been taken off; `kam_gradient` does it by the KAM of several orders.

Reference: Kamaya 2011, Ultramicroscopy 111:1189 (extrapolation over orders).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from cpml.crystallography.disorientation import pair_angles
from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError
from cpml.microscopy.curvature.lattice_curvature import noise_of, noise_vectors, pairs_in_grains
from cpml.microscopy.grains.grains import Grains
from cpml.microscopy.maps.neighbours import neighbour_angles

KAM_PER_NOISE = float(np.sqrt(8 / np.pi) * np.sqrt(2 / 3))
GROD_PER_NOISE = float(np.sqrt(8 / (3 * np.pi)))


def kam(grains: Grains, *, order: int = 1, max_angle: float | None = None) -> NDArray:
    """Kernel average misorientation (N,), deg; NaN where a pixel is not measured or has no neighbour
    in its grain.

    Parameters
    ----------
    order : reach of the kernel in steps along the grid (|di| + |dj| on squares, hexagonal steps on hexagons)
    max_angle : pairs above this angle, deg, are left out; None: none is
    """
    pairs = pairs_in_grains(grains, order)
    return _mean_over_pairs(grains.map.n_pixels, pairs, neighbour_angles(grains.map, pairs), max_angle)


def kam_noise(
    grains: Grains, noise_deg: float, *, order: int = 1, max_angle: float | None = None, seed: int = 0
) -> NDArray:
    """KAM (N,), deg, that orientation errors of rms angle `noise_deg` alone give in the same pixels by the
    same kernel; NaN where `kam` is.
    """
    pairs = pairs_in_grains(grains, order)
    error = noise_vectors(grains.map.n_pixels, noise_deg, seed)
    angle = np.linalg.norm(error[pairs[:, 1]] - error[pairs[:, 0]], axis=1)
    return _mean_over_pairs(grains.map.n_pixels, pairs, angle, max_angle)


def gos_noise(grains: Grains, noise_deg: float) -> NDArray:
    """GOS (G,), deg, that orientation errors of rms angle `noise_deg` alone give: 0.921 d sqrt(1 - 1/n) of n
    points, whose mean shares their errors.
    """
    n = np.maximum(np.bincount(grains.own, minlength=grains.n_grains + 1)[1:], 1)
    return GROD_PER_NOISE * noise_deg * np.sqrt(1 - 1 / n)


def _mean_over_pairs(n: int, pairs: NDArray, angle: NDArray, max_angle: float | None) -> NDArray:
    """(n,) mean angle, deg, of the pairs of each pixel, given in rad; NaN without one."""
    if max_angle is not None:
        near = angle <= np.radians(max_angle)
        pairs, angle = pairs[near], angle[near]
    total = np.bincount(pairs[:, 0], angle, n) + np.bincount(pairs[:, 1], angle, n)
    count = np.bincount(pairs[:, 0], minlength=n) + np.bincount(pairs[:, 1], minlength=n)
    return np.degrees(np.divide(total, count, out=np.full(n, np.nan), where=count > 0))


def kam_column(grains: Grains, *, order: int = 1, max_angle: float | None = None) -> str:
    """Column name that says what was averaged: order, kernel of the grid, boundary rule or threshold.

    >>> from types import SimpleNamespace
    >>> kam_column(SimpleNamespace(map=SimpleNamespace(grid="square"), threshold=5.0), order=2)
    'kam_order2_square_grain5_deg'
    """
    limit = "" if max_angle is None else f"_max{max_angle:g}"
    each = [grains.threshold]
    if isinstance(grains.threshold, dict):
        each = [grains.threshold[phase.name] for phase in grains.map.phases.values()]
    rule = "_".join(f"{angle:g}" for angle in each)
    return f"kam_order{order}_{grains.map.grid}_grain{rule}{limit}_deg"


def kam_table(
    grains: Grains,
    *,
    orders: Sequence[int] = (1,),
    max_angle: float | None = None,
    noise_deg: float | None = None,
) -> pd.DataFrame:
    """KAM of several orders, one column each (named by `kam_column`), and kam_floor_deg, what
    noise alone reads.

    Parameters
    ----------
    noise_deg : rms angle of the orientation error; None: estimated by second differences
    """
    table = {
        kam_column(grains, order=i, max_angle=max_angle): kam(grains, order=i, max_angle=max_angle)
        for i in orders
    }
    floor = KAM_PER_NOISE * noise_of(grains, noise_deg)
    return pd.DataFrame({**table, "kam_floor_deg": np.full(grains.map.n_pixels, floor)})


def kam_gradient(grains: Grains, *, orders: Sequence[int] = (1, 2, 3)) -> pd.DataFrame:
    """Per grain, the straight line through its mean neighbour angle at 1, 2, ... steps along the grid lines.

    Only pixels on a common grid line count (rows and columns, or the three directions of a hexagonal
    grid): the mix of directions is then that of every order, and a constant gradient is a straight
    line through zero.

    Returns
    -------
    DataFrame of fragment_id, kam_gradient_deg_per_um (slope), kam_at_zero_deg (what is left at distance zero:
    mostly noise). NaN where a grain is too small for two orders.

    Raises
    ------
    ParameterError : fewer than two orders
    """
    if len(set(orders)) < 2:
        raise ParameterError(f"orders {tuple(orders)}: a line needs two or more")
    x, y = np.array([_on_grid_lines(grains, order) for order in sorted(set(orders))]).transpose(1, 0, 2)
    dx, dy = x - x.mean(axis=0), y - y.mean(axis=0)
    spread = np.sum(dx**2, axis=0)
    slope = np.divide(np.sum(dx * dy, axis=0), spread, out=np.full(len(spread), np.nan), where=spread > 1e-12)
    return pd.DataFrame(
        {
            "fragment_id": np.arange(1, grains.n_grains + 1),
            "kam_gradient_deg_per_um": slope,
            "kam_at_zero_deg": y.mean(axis=0) - slope * x.mean(axis=0),
        }
    )


def _on_grid_lines(grains: Grains, order: int) -> tuple[NDArray, NDArray]:
    """Mean distance, um, and mean angle, deg, (G,) of pixel pairs `order` steps apart on a grid line."""
    m, pairs = grains.map, pairs_in_grains(grains, order)
    line, place = m.hexagon_lines
    di = np.abs(line[pairs[:, 1]] - line[pairs[:, 0]])
    dh = np.abs(place[pairs[:, 1]] - place[pairs[:, 0]])
    on_row = (di == 0) & (dh == 2 * order)
    pairs = pairs[on_row | ((di == order) & (dh == (0 if m.grid == "square" else order)))]
    length = np.linalg.norm(m.xy[pairs[:, 1]] - m.xy[pairs[:, 0]], axis=1)
    owner = grains.own[pairs[:, 0]]
    count = np.bincount(owner, minlength=grains.n_grains + 1)[1:]
    angle = np.degrees(neighbour_angles(m, pairs))
    total = (np.bincount(owner, v, grains.n_grains + 1)[1:] for v in (length, angle))
    return tuple(np.divide(t, count, out=np.full(len(count), np.nan), where=count > 0) for t in total)


def grod(grains: Grains, *, reference: str = "mean") -> NDArray:
    """Grain reference orientation deviation (N,), deg; NaN where not measured.

    Parameters
    ----------
    reference : "mean" (of the grain) or "farthest" (the measured pixel farthest from the grain's boundary)
    """
    if reference == "mean":
        return np.degrees(grains.deviation)
    if reference != "farthest":
        raise ParameterError(f"reference {reference!r}: choose 'mean' or 'farthest'")
    centre = farthest_pixels(grains)
    out = np.full(grains.map.n_pixels, np.nan)
    for phase_id, phase in grains.map.phases.items():
        pixel = np.flatnonzero(grains.measured & (grains.map.phase_id == phase_id))
        pairs = np.stack([pixel, centre[grains.label[pixel] - 1]], axis=1)
        out[pixel] = pair_angles(grains.map.quaternions, pairs, proper_group(phase.group))
    return np.degrees(out)


def farthest_pixels(grains: Grains) -> NDArray:
    """(G,) measured pixel of each grain farthest from its boundary and from the rim of the map
    (first of several).
    """
    distance = boundary_distance(grains)
    pixel = np.flatnonzero(grains.measured)
    order = pixel[np.lexsort((pixel, -np.round(distance[pixel], 9), grains.label[pixel]))]
    return order[np.searchsorted(grains.label[order], np.arange(1, grains.n_grains + 1))]


def boundary_distance(grains: Grains) -> NDArray:
    """(N,) distance, um, of each pixel to the nearest pixel on a grain boundary or on the rim of the map."""
    label, pairs = grains.label, grains.map.neighbours
    rim = grains.map.border.copy()
    rim[pairs[label[pairs[:, 0]] != label[pairs[:, 1]]].ravel()] = True
    if grains.map.grid == "square":
        dx, dy = grains.map.pixel_um
        return ndimage.distance_transform_edt(~grains.map.image(rim), sampling=(dy, dx)).ravel()
    return cKDTree(grains.map.xy[rim]).query(grains.map.xy)[0]
