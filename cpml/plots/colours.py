"""Inverse-pole-figure colours (TSL key of orix) and the standard triangle.

The sample direction d is seen in the crystal as h = R^T d, with R = crystal_to_sample. h is moved into the
fundamental sector of the Laue group and coloured: for cubic crystals <001> red, <101> green, <111> blue;
for hexagonal ones <0001> red, <2-1-10> green, <10-10> blue.
The sector is drawn in the stereographic projection (X, Y) = (h_x, h_y) / (1 + h_z).
"""

from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.path import Path
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError

SAMPLE_DIRECTIONS = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
GROUP_OF_LATTICE = {"fcc": "432", "bcc": "432", "hcp": "622"}
_CUBIC_AND_HEXAGONAL = {"6": "C6", "622": "D6", "23": "T", "432": "O"}
_OTHERS = {"1": "C1", "2": "C2", "222": "D2", "3": "C3", "32": "D3", "4": "C4", "422": "D4"}
_OTHERS |= {"211": "C2x", "121": "C2y", "312": "D3y"}
_ORIX_NAME = _OTHERS | _CUBIC_AND_HEXAGONAL
_CHUNK = 500_000


def sample_direction(direction: str | ArrayLike) -> tuple[NDArray, str]:
    """(3,) unit vector of "x", "y", "z" or a 3-vector, and its name."""
    if isinstance(direction, str):
        if direction not in SAMPLE_DIRECTIONS:
            raise ParameterError(
                f"direction {direction!r}: choose 'x', 'y', 'z' or a 3-vector of the sample frame"
            )
        return np.array(SAMPLE_DIRECTIONS[direction]), direction.upper()
    vector = np.asarray(direction, dtype=float)
    if vector.shape != (3,) or not np.linalg.norm(vector) > 0:
        raise ParameterError(f"direction {direction!r} is not a non-zero 3-vector of the sample frame")
    return vector / np.linalg.norm(vector), "[" + " ".join(f"{v:.3g}" for v in vector) + "]"


def in_crystal(quaternions: ArrayLike, vector: ArrayLike) -> NDArray:
    """(..., 3) the sample vector seen by the crystals, R^T v; quaternions (..., 4) are crystal_to_sample."""
    q = np.asarray(quaternions, dtype=float)
    w, u = q[..., :1], -q[..., 1:]
    u, v = np.broadcast_arrays(u, np.asarray(vector, dtype=float))
    return v + 2 * w * np.cross(u, v) + 2 * np.cross(u, np.cross(u, v))


@lru_cache(maxsize=16)
def _colour_key(group: str) -> Any:
    """orix' TSL key of a proper point group given by name."""
    from orix.plot import DirectionColorKeyTSL
    from orix.quaternion import symmetry

    if group not in _ORIX_NAME:
        raise ParameterError(
            f"proper point group {group!r} is not known: choose one of {', '.join(_ORIX_NAME)}"
        )
    return DirectionColorKeyTSL(getattr(symmetry, _ORIX_NAME[group]))


def direction_colours(directions: NDArray, *, group: str) -> NDArray:
    """(N, 3) RGB in 0..1 of (N, 3) crystal directions."""
    from orix.vector import Vector3d

    key = _colour_key(group)
    parts = np.array_split(directions, max(1, -(-len(directions) // _CHUNK)))
    return np.concatenate([np.reshape(key.direction2color(Vector3d(part)), (-1, 3)) for part in parts])


def ipf_colours(quaternions: ArrayLike, *, group: str, direction: str | ArrayLike = "z") -> NDArray:
    """Inverse-pole-figure colours of crystals.

    Parameters
    ----------
    quaternions : (N, 4) crystal_to_sample, w first; NaN where not indexed
    group : name of the proper point group, e.g. "432" or "622"
    direction : sample direction "x", "y", "z" or a 3-vector

    Returns
    -------
    (N, 3) RGB in 0..1, white where not indexed
    """
    quaternions = np.asarray(quaternions, dtype=float)
    rgb = np.ones((len(quaternions), 3))
    known = np.isfinite(quaternions).all(axis=-1)
    if known.any():
        vector, _ = sample_direction(direction)
        rgb[known] = direction_colours(in_crystal(quaternions[known], vector), group=group)
    return rgb


def to_standard_triangle(directions: ArrayLike, *, group: str) -> NDArray:
    """(..., 3) equivalent directions in the standard triangle of "432" or "622"."""
    h = np.abs(np.asarray(directions, dtype=float))
    if group == "432":
        return np.sort(h, axis=-1)[..., [1, 0, 2]]
    if group != "622":
        raise ParameterError(f"no standard triangle for point group {group!r}: only 432 and 622 are drawn")
    radius = np.hypot(h[..., 0], h[..., 1])
    azimuth = np.arctan2(h[..., 1], h[..., 0]) % (np.pi / 3)
    azimuth = np.minimum(azimuth, np.pi / 3 - azimuth)
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), h[..., 2]], axis=-1)


def stereographic(directions: NDArray) -> NDArray:
    """(..., 2) plane coordinates of unit directions with h_z >= 0."""
    return directions[..., :2] / (1 + directions[..., 2:])


def triangle_corners(group: str) -> tuple[NDArray, tuple[str, ...]]:
    """Corner directions (3, 3) of the standard triangle and their labels."""
    if group == "432":
        corners = [[0, 0, 1], [1, 0, 1] / np.sqrt(2), [1, 1, 1] / np.sqrt(3)]
        return np.array(corners), ("[001]", "[101]", "[111]")
    if group != "622":
        raise ParameterError(f"no standard triangle for point group {group!r}: only 432 and 622 are drawn")
    corners = [[0, 0, 1], [1, 0, 0], [np.sqrt(0.75), 0.5, 0]]
    bar = r"$\mathdefault{\bar{1}}$"
    return np.array(corners), ("[0001]", f"[2{bar}{bar}0]", f"[10{bar}0]")


def triangle_outline(group: str) -> NDArray:
    """(M, 2) closed stereographic outline along the great circles between the corners."""
    corners, _ = triangle_corners(group)
    t = np.linspace(0, 1, 60)[:, None]
    edges = [(1 - t) * corners[i] + t * corners[(i + 1) % 3] for i in range(3)]
    path = np.concatenate(edges)
    return stereographic(path / np.linalg.norm(path, axis=1, keepdims=True))


def draw_triangle(ax: Axes, group: str) -> NDArray:
    """Outline and corner labels of the standard triangle; returns the outline (M, 2)."""
    outline = triangle_outline(group)
    corners, names = triangle_corners(group)
    ax.plot(*outline.T, color="black", linewidth=0.5, zorder=3, clip_on=False)
    places = ("left", "top"), ("right", "top"), ("right", "bottom")
    text = {"textcoords": "offset points", "fontsize": 7, "annotation_clip": False}
    for xy, name, (ha, va) in zip(stereographic(corners), names, places, strict=True):
        ax.annotate(name, xy, (0, -2 if va == "top" else 2), ha=ha, va=va, **text)
    ax.set(aspect="equal", anchor="NW")
    ax.set_axis_off()
    return outline


def ipf_key(ax: Axes, group: str, *, title: str = "") -> Artist:
    """Draw the colour triangle of a point group into the axes."""
    if group not in ("432", "622"):
        ax.set_axis_off()
        text = f"{title}\nTSL colours\nof group {group}"
        return ax.text(0, 1, text, transform=ax.transAxes, va="top", fontsize=7)
    outline = draw_triangle(ax, group)
    (left, low), (right, high) = outline.min(axis=0), outline.max(axis=0)
    x, y = np.meshgrid(np.linspace(left, right, 200), np.linspace(low, high, 200))
    squared = x**2 + y**2
    directions = np.stack([2 * x, 2 * y, 1 - squared], axis=-1) / (1 + squared)[..., None]
    rgb = direction_colours(directions.reshape(-1, 3), group=group).reshape(*x.shape, 3)
    image = ax.imshow(rgb, extent=(left, right, low, high), origin="lower", interpolation="bilinear")
    image.set_clip_path(Path(outline), ax.transData)
    ax.set_title(title, fontsize=7, loc="left", pad=12)
    return image
