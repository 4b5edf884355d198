r"""Pole figures in multiples of a random distribution (MRD), and inverse pole figures.

The density of poles h_k (weights w_k, sum 1) is smoothed on the sphere with the de la Vallee Poussin kernel

    p(r) = sum_k w_k [K(r . h_k) + K(-r . h_k)] / 2,    K(t) = (1 + kappa) ((1 + t) / 2)^kappa,

whose mean over the sphere is one (Schaeben, Phys. Stat. Sol. B 200, 367, 1997), so that p is in MRD.
kappa follows from the half width b (K falls to one half at the angle b): kappa = ln(1/2) / (2 ln cos(b/2)).
The kernel is the same everywhere on the sphere: a rotated specimen gives the rotated pole figure.

The figure is an equal-area projection of the hemisphere that looks out of the specimen (z < 0), seen as on
the map: x right, y down. A pole that leaves the surface to the right is drawn on the right.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations, product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Circle
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError
from cpml.plots.colours import (
    GROUP_OF_LATTICE,
    draw_triangle,
    in_crystal,
    sample_direction,
    stereographic,
    to_standard_triangle,
)
from cpml.plots.maps import colour_limits
from cpml.plots.style import captioned, figure, note, same_length

Plane = Sequence[int]
"""Miller (h, k, l) or Miller-Bravais (h, k, i, l) indices."""

DEFAULT_PLANES = {
    "432": ((1, 0, 0), (1, 1, 0), (1, 1, 1)),
    "622": ((0, 0, 0, 1), (1, 0, -1, 0), (1, 0, -1, 1)),
}
HALF_WIDTH_DEG = 10.0
_BINS = 4000


def _group(lattice: str | None) -> str:
    if lattice not in GROUP_OF_LATTICE:
        raise ParameterError(f"lattice {lattice!r}: pole figures are drawn for {', '.join(GROUP_OF_LATTICE)}")
    return GROUP_OF_LATTICE[lattice]


def plane_normals(plane: Plane, *, lattice: str, c_over_a: float | None = None) -> NDArray:
    """(M, 3) unit normals of a family of planes, one of each +- pair, crystal frame (hcp: X||a, Z||c).

    Parameters
    ----------
    c_over_a : axial ratio, needed for hcp
    """
    if _group(lattice) == "432":
        if len(plane) != 3:
            raise ParameterError(f"plane {plane}: {lattice} planes have three indices")
        signs = np.array(list(product((1, -1), repeat=3)))
        every = np.concatenate([signs * order for order in permutations(plane)])
    else:
        every = _hexagonal_normals(plane, c_over_a)
    every = every / np.linalg.norm(every, axis=1, keepdims=True)
    distinct: list[NDArray] = []
    for n in every:
        if all(abs(n @ m) < 1 - 1e-9 for m in distinct):
            distinct.append(n)
    return np.array(distinct)


def _hexagonal_normals(plane: Plane, c_over_a: float | None) -> NDArray:
    if c_over_a is None:
        raise ParameterError("pole figures of hcp crystals need c_over_a")
    if len(plane) not in (3, 4) or (len(plane) == 4 and sum(plane[:3]) != 0):
        raise ParameterError(f"plane {plane}: hcp planes are (h, k, i, l) with h + k + i = 0, or (h, k, l)")
    h, k, last = plane[0], plane[1], plane[-1]
    x, y, z = h, (h + 2 * k) / np.sqrt(3), last / c_over_a
    angles = np.arange(6) * np.pi / 3
    turned = np.stack(
        [x * np.cos(angles) - y * np.sin(angles), x * np.sin(angles) + y * np.cos(angles)], axis=-1
    )
    return np.array([[a, s * b, z] for a, b in turned for s in (1, -1)])


def _fibonacci(n: int) -> NDArray:
    z = 1 - (2 * np.arange(n) + 1) / n
    azimuth = np.pi * (1 + np.sqrt(5)) * np.arange(n)
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=-1)


def _gather(poles: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """Many poles replaced by the weighted means of the cells of an even net on the sphere."""
    if len(poles) <= 2 * _BINS:
        return poles, weights
    from scipy.spatial import cKDTree

    _, cell = cKDTree(_fibonacci(_BINS)).query(poles)
    total = np.bincount(cell, weights, minlength=_BINS)
    mean = np.stack([np.bincount(cell, weights * p, minlength=_BINS) for p in poles.T], axis=-1)[total > 0]
    return mean / np.linalg.norm(mean, axis=1, keepdims=True), total[total > 0]


def pole_density(
    quaternions: ArrayLike,
    normals: ArrayLike,
    directions: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    halfwidth_deg: float = HALF_WIDTH_DEG,
) -> NDArray:
    """Density of the poles of a family of planes at sample directions.

    Parameters
    ----------
    quaternions : (N, 4) crystal_to_sample
    normals : (M, 3) plane normals, crystal frame, one of each +- pair
    directions : (..., 3) unit vectors, sample frame
    weights : (N,) e.g. grain areas
    halfwidth_deg : half width of the kernel, degrees

    Returns
    -------
    (...,) density in MRD
    """
    q = np.asarray(quaternions, dtype=float).reshape(-1, 4)
    w = np.ones(len(q)) if weights is None else np.asarray(weights, dtype=float)
    same_length(quaternions=q, weights=w)
    good = np.isfinite(q).all(axis=1) & np.isfinite(w)
    if not w[good].sum() > 0:
        raise ParameterError("no indexed orientation with a positive weight: there is no pole density")
    back = q[good] * np.array([1.0, -1.0, -1.0, -1.0])
    normals = np.asarray(normals, dtype=float)
    poles = np.concatenate([in_crystal(back, n) for n in normals])
    poles, weight = _gather(poles, np.tile(w[good], len(normals)))
    weight = weight / weight.sum()
    kappa = np.log(0.5) / (2 * np.log(np.cos(np.radians(halfwidth_deg) / 2)))
    flat = np.asarray(directions, dtype=float).reshape(-1, 3)
    density = np.concatenate(
        [_kernel_sum(part, poles, weight, kappa) for part in np.array_split(flat, len(flat) // 500 + 1)]
    )
    return density.reshape(np.shape(directions)[:-1])


def _kernel_sum(directions: NDArray, poles: NDArray, weight: NDArray, kappa: float) -> NDArray:
    t = np.clip(directions @ poles.T, -1, 1)
    return (1 + kappa) / 2 * ((((1 + t) / 2) ** kappa + ((1 - t) / 2) ** kappa) @ weight)


def hemisphere(n: int) -> tuple[NDArray, NDArray, NDArray]:
    """Equal-area grid on the unit disc: coordinates (n,), directions (n, n, 3) with z < 0, inside (n, n)."""
    x = (np.arange(n) + 0.5) / n * 2 - 1
    u, v = np.meshgrid(x, x)
    squared = u**2 + v**2
    inside = squared <= 1
    squared = np.minimum(squared, 1)
    scale = np.sqrt(2 - squared)
    directions = np.stack([u * scale, v * scale, squared - 1], axis=-1)
    return x, directions / np.linalg.norm(directions, axis=-1, keepdims=True), inside


def plane_text(plane: Plane) -> str:
    """Indices of a family in mathtext, e.g. {10-10} with a bar."""
    digits = (rf"$\mathdefault{{\bar{{{-i}}}}}$" if i < 0 else str(i) for i in plane)
    return "{" + "".join(digits) + "}"


@captioned
def pole_figures(
    quaternions: ArrayLike,
    *,
    lattice: str | None = None,
    c_over_a: float | None = None,
    weights: ArrayLike | None = None,
    planes: Sequence[Plane] | Mapping[Plane, NDArray] | None = None,
    title: str = "",
    unit: str = "orientations",
) -> Figure:
    """Pole figures of several plane families on one MRD colour bar.

    Parameters
    ----------
    quaternions : (N, 4) crystal_to_sample, w first
    lattice : "fcc", "bcc" or "hcp" (with c_over_a)
    weights : (N,) e.g. grain areas
    planes : plane families; {100} {110} {111} or {0001} {10-10} {10-11} when not given. For any other crystal
        a mapping of indices to unit normals (M, 3), one of each +- pair, and no lattice
    unit : what the orientations are, for the sample count

    Raises
    ------
    ParameterError : no orientation with a positive weight
    """
    if not isinstance(planes, Mapping):
        chosen = planes or DEFAULT_PLANES[_group(lattice)]
        planes = {tuple(p): plane_normals(p, lattice=lattice, c_over_a=c_over_a) for p in chosen}
    x, directions, inside = hemisphere(101)
    maps = []
    for normals in planes.values():
        image = np.full(inside.shape, np.nan)
        image[inside] = pole_density(quaternions, normals, directions[inside], weights=weights)
        maps.append(image)
    top = max(1.0, *(np.nanmax(image) for image in maps))
    fig, axes = figure("double", aspect=0.92 / len(planes) + 0.09, cols=len(planes), squeeze=False)
    for ax, image, plane in zip(axes[0], maps, planes, strict=True):
        drawn = _draw_disc(ax, x, image, top, plane_text(plane))
    label = f"density / MRD\n(half width {HALF_WIDTH_DEG:g}°)"
    bar = fig.colorbar(drawn, ax=list(axes[0]), label=label, fraction=0.04, pad=0.02, shrink=0.75, aspect=18)
    bar.outline.set_linewidth(0.5)
    if title:
        fig.suptitle(title, x=0.01, ha="left")
    n = np.isfinite(np.asarray(quaternions, dtype=float)).all(axis=-1).sum()
    return note(fig, n=n, unit=f"{unit}, equal-area projection")


def _draw_disc(ax: Axes, x: NDArray, image: NDArray, top: float, name: str) -> AxesImage:
    look = {"cmap": "viridis", "vmin": 0, "vmax": top, "interpolation": "bilinear"}
    drawn = ax.imshow(image, extent=(-1, 1, 1, -1), **look)
    drawn.set_clip_path(Circle((0, 0), 1, transform=ax.transData))
    levels = [level for level in (1, 2, 3, 5, 8, 12, 20, 40) if np.nanmin(image) < level < np.nanmax(image)]
    if levels:
        ax.contour(x, x, image, levels=levels, colors="white", linewidths=0.3)
    turn = np.linspace(0, 2 * np.pi, 200)
    ax.plot(np.cos(turn), np.sin(turn), color="black", linewidth=0.5, clip_on=False)
    ax.plot([-0.03, 0.03, np.nan, 0, 0], [0, 0, np.nan, -0.03, 0.03], color="white", linewidth=0.5)
    text = {"textcoords": "offset points", "fontsize": 7, "annotation_clip": False}
    ax.annotate("x", (1, 0), (2, 0), va="center", **text)
    ax.annotate("y", (0, 1), (0, -2), ha="center", va="top", **text)
    ax.set(xlim=(-1, 1), ylim=(1, -1), aspect="equal")
    ax.set_axis_off()
    ax.set_title(f"{name}, max {np.nanmax(image):.2g}", loc="center")
    return drawn


@captioned
def inverse_pole_figure(
    quaternions: ArrayLike,
    values: ArrayLike,
    *,
    lattice: str,
    label: str,
    direction: str | ArrayLike = "x",
) -> Figure | None:
    """Crystals in the standard triangle, at their direction along a sample axis, coloured by a value.

    Parameters
    ----------
    quaternions : (N, 4) crystal_to_sample
    values : (N,) numbers, NaN drawn as small hollow circles
    lattice : "fcc", "bcc" or "hcp"
    label : the value with its unit, at the colour bar
    direction : sample direction "x", "y", "z" or a 3-vector, e.g. the load axis

    Returns
    -------
    Figure, None where there is nothing to draw: no crystal has a value
    """
    group = _group(lattice)
    vector, name = sample_direction(direction)
    q, value = same_length(quaternions=np.asarray(quaternions, float), values=np.asarray(values, float))
    is_indexed, has_value = np.isfinite(q).all(axis=-1), np.isfinite(value)
    shown, hollow = is_indexed & has_value, is_indexed & ~has_value
    if not shown.any():
        return None
    xy = stereographic(to_standard_triangle(in_crystal(q, vector), group=group))
    low, high = colour_limits(value[shown])
    fig, ax = figure("single", aspect=0.78 if group == "432" else 0.6)
    draw_triangle(ax, group)
    ax.scatter(*xy[hollow].T, s=6, linewidths=0.4, clip_on=False, facecolors="none", edgecolors="0.4")
    look = {"s": 12, "linewidths": 0.3, "edgecolors": "0.2", "clip_on": False, "zorder": 4}
    dots = ax.scatter(*xy[shown].T, c=value[shown], cmap="viridis", vmin=low, vmax=high, **look)
    bar = fig.colorbar(dots, ax=ax, label=label, fraction=0.05, aspect=20, shrink=0.85)
    bar.outline.set_linewidth(0.5)
    ax.set_title(f"Crystal direction along sample {name}")
    return note(fig, n=is_indexed.sum(), unit="grains")
