"""Registration of an image to a map by pairs of points that show the same place in both.

| kind | map of points | pairs needed |
|---|---|---|
| similarity | turn, scale, shift | 2 |
| affine | p' = M p + t | 3, not on a line |
| projective | p' = (M p + t) / (1 + c . p), a tilted plane | 4, no three on a line |
| thin_plate | affine + sum_i w_i r_i^2 log r_i through all pairs | 4 |

The residual says how well the points agree with the transformation that they made; the leave-one-out
error, how far a point is missed by the transformation that the others make: for a thin-plate spline
only the latter means anything.

Reference: Bookstein 1989, IEEE PAMI 11:567 (thin-plate splines).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError
from cpml.microscopy.images.sem_image import SemImage
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.microscopy.registration.affine import fit_affine, label_of_points

PAIRS_NEEDED = {"similarity": 2, "affine": 3, "projective": 4, "thin_plate": 4}


@dataclass(frozen=True)
class Registration:
    """Point map (column, row) -> (column, row); call it with points (..., 2).

    Attributes
    ----------
    residual, leave_one_out : (n,) distance of every pair, pixels of the target; leave_one_out is NaN where
        the other pairs are too few or lie on a line
    """

    kind: str
    apply: Callable[[NDArray], NDArray]
    points_from: NDArray
    points_to: NDArray
    residual: NDArray
    leave_one_out: NDArray

    def __call__(self, points: ArrayLike) -> NDArray:
        """Points (..., 2) mapped."""
        points = np.asarray(points, float)
        return self.apply(points.reshape(-1, 2)).reshape(points.shape)

    @property
    def rms(self) -> float:
        """Root mean square residual, pixels."""
        return float(np.sqrt(np.mean(self.residual**2)))

    @property
    def leave_one_out_rms(self) -> float:
        """Root mean square leave-one-out error, pixels; NaN without one."""
        known = self.leave_one_out[np.isfinite(self.leave_one_out)]
        return float(np.sqrt(np.mean(known**2))) if len(known) else float("nan")

    def turn_lines(self, angle_deg: ArrayLike, at: ArrayLike) -> NDArray:
        """On-screen angles (n,), deg in [0, 180), of lines with angles (n,) at the points (n, 2),
        after the map.
        """
        angle, at = np.radians(np.asarray(angle_deg, float)), np.asarray(at, float)
        half = 0.5 * np.stack([np.cos(angle), -np.sin(angle)], axis=-1)
        direction = self(at + half) - self(at - half)
        return np.degrees(np.arctan2(-direction[..., 1], direction[..., 0])) % 180.0


def register_points(points_from: ArrayLike, points_to: ArrayLike, *, kind: str = "affine") -> Registration:
    """Transformation between homologous points.

    Parameters
    ----------
    points_from, points_to : (n, 2) [column, row]
    kind : "similarity", "affine", "projective" or "thin_plate"

    Raises
    ------
    ParameterError : an unknown kind, too few pairs, unequal numbers, or pairs that fix no transformation
    """
    p, q = np.asarray(points_from, float), np.asarray(points_to, float)
    if kind not in PAIRS_NEEDED:
        raise ParameterError(f"kind {kind!r}: choose one of {', '.join(PAIRS_NEEDED)}")
    if p.ndim != 2 or p.shape[1:] != (2,) or p.shape != q.shape or not np.isfinite([p, q]).all():
        raise ParameterError(
            f"homologous points have shapes {p.shape} and {q.shape}: two equal lists of finite "
            "[column, row] pairs are needed"
        )
    if len(p) < PAIRS_NEEDED[kind]:
        raise ParameterError(f"{len(p)} pairs: {kind} needs {PAIRS_NEEDED[kind]} or more")
    apply = _fit(p, q, kind)
    if apply is None:
        raise ParameterError(f"the {len(p)} pairs lie on a line or repeat each other: choose one beside them")
    left_out = np.full(len(p), np.nan)
    for i in range(len(p)):
        others = np.arange(len(p)) != i
        part = _fit(p[others], q[others], kind) if others.sum() >= PAIRS_NEEDED[kind] else None
        if part is not None:
            left_out[i] = np.linalg.norm(part(p[i : i + 1]) - q[i])
    return Registration(kind, apply, p, q, np.linalg.norm(apply(p) - q, axis=1), left_out)


def _fit(p: NDArray, q: NDArray, kind: str) -> Callable | None:
    """The point map, or None where the points fix none."""
    # of unit size about their middle, so that "on a line" means the same for all images
    spread = np.linalg.svd(p - p.mean(axis=0), compute_uv=False)
    if spread[0] == 0 or (kind != "similarity" and spread[1] < 1e-6 * spread[0]):
        return None
    if kind == "thin_plate":
        from scipy.interpolate import RBFInterpolator

        if len(np.unique(p, axis=0)) < len(p):
            return None
        centre, scale = p.mean(axis=0), spread[0]
        spline = RBFInterpolator((p - centre) / scale, q, kernel="thin_plate_spline")
        return lambda points: spline((points - centre) / scale)
    if kind == "affine":
        return fit_affine(p, q)
    from skimage.transform import ProjectiveTransform, SimilarityTransform

    model = ProjectiveTransform if kind == "projective" else SimilarityTransform
    found = model.from_estimate(p, q)
    if not found or not np.isfinite(found.params).all() or np.linalg.cond(found.params[:2, :2]) > 1e8:
        return None
    return found


def label_of_pixels(image: SemImage, to_map: Callable, ebsd_map: EbsdMap, label: NDArray) -> NDArray:
    """(rows, columns) label of each pixel of an image: that of the map point under it; 0 outside and in
    the data bar.

    Parameters
    ----------
    to_map : from image (column, row) to map (column, row), e.g. a Registration
    label : (N,) grain or parent of each map point
    """
    return np.where(image.valid, label_of_points(image.shape, to_map, ebsd_map, label), 0)
