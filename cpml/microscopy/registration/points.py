"""Registration of an image to a map by pairs of points that show the same place in both.

| kind | map of points | pairs needed |
|---|---|---|
| similarity | turn, scale, shift | 2 |
| affine | p' = M p + t | 3, not on a line |
| projective | p' = (M p + t) / (1 + c . p), a tilted plane | 4, no three on a line |
| thin_plate | affine + sum_i w_i r_i^2 log r_i through all pairs | 4 |

Targets are pixels of a map (cpml.microscopy.registration.affine says how they are counted); what turns and
scales is the surface in um, so that width and height of the pixels have a say. A mirror image is refused.

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
from cpml.microscopy.registration.affine import MIRRORED, label_of_points, least_squares_affine, on_one_line

PAIRS_NEEDED = {"similarity": 2, "affine": 3, "projective": 4, "thin_plate": 4}


@dataclass(frozen=True)
class Registration:
    """Point map (column, row) -> (column, row); call it with points (..., 2).

    Attributes
    ----------
    residual, leave_one_out : (n,) distance of every pair, pixels of the target; leave_one_out is NaN where
        the other pairs are too few or lie on a line
    pixel_um : distance of columns and of rows of the target
    """

    kind: str
    apply: Callable[[NDArray], NDArray]
    points_from: NDArray
    points_to: NDArray
    residual: NDArray
    leave_one_out: NDArray
    pixel_um: tuple[float, float] = (1.0, 1.0)

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
        after the map, on the surface in um.
        """
        angle, at = np.radians(np.asarray(angle_deg, float)), np.asarray(at, float)
        half = 0.5 * np.stack([np.cos(angle), -np.sin(angle)], axis=-1)
        direction = (self(at + half) - self(at - half)) * self.pixel_um
        return np.degrees(np.arctan2(-direction[..., 1], direction[..., 0])) % 180.0


def register_points(
    points_from: ArrayLike,
    points_to: ArrayLike,
    *,
    kind: str = "affine",
    pixel_um: tuple[float, float] = (1.0, 1.0),
) -> Registration:
    """Transformation between homologous points.

    Parameters
    ----------
    points_from, points_to : (n, 2) [column, row]
    kind : "similarity", "affine", "projective" or "thin_plate"
    pixel_um : distance of columns and of rows of the target (`EbsdMap.pixel_um`)

    Raises
    ------
    ParameterError : an unknown kind, too few pairs, unequal numbers, pairs that fix no transformation, or a
        mirror image (two pairs cannot tell)
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
    apply = _fit(p, q, kind, pixel_um)
    if apply is None:
        raise ParameterError(f"the {len(p)} pairs lie on a line or repeat each other: choose one beside them")
    _refuse_mirrors(p, q * pixel_um, apply)
    left_out = np.full(len(p), np.nan)
    for i in range(len(p)):
        others = np.arange(len(p)) != i
        part = _fit(p[others], q[others], kind, pixel_um) if others.sum() >= PAIRS_NEEDED[kind] else None
        if part is not None:
            left_out[i] = np.linalg.norm(part(p[i : i + 1]) - q[i])
    return Registration(kind, apply, p, q, np.linalg.norm(apply(p) - q, axis=1), left_out, tuple(pixel_um))


def _refuse_mirrors(p: NDArray, q: NDArray, apply: Callable) -> None:
    """Refuse pairs that a mirrored similarity joins much better than a proper one, and a map that turns the
    surface over at one of them.
    """
    a, b = (points - points.mean(axis=0) for points in (p, q))
    # least squares of a similarity leaves |b|^2 - (s1 +- s2)^2 / |a|^2, + for the sense of the determinant
    covariance = b.T @ a
    first, second = np.linalg.svd(covariance, compute_uv=False)
    proper, mirrored = first + np.array([1, -1]) * second * np.sign(np.linalg.det(covariance))
    left = np.maximum(np.sum(b**2) - np.array([proper, mirrored]) ** 2 / np.sum(a**2), 0.0)
    jacobian = np.stack([(apply(p + h) - apply(p - h)) for h in 1e-3 * np.ptp(p) * np.eye(2)], axis=-1)
    turned_over = np.linalg.det(jacobian) < 0
    if turned_over.all() or left[1] < 0.25 * left[0] - 1e-9 * np.sum(b**2):
        raise ParameterError(MIRRORED)
    if turned_over.any():
        wrong = ", ".join(map(str, np.flatnonzero(turned_over)))
        raise ParameterError(
            f"the homologous points fold the picture over at pair {wrong} (from 0): one of them is exchanged "
            "with another, or the kind bends too much"
        )


def _fit(p: NDArray, q: NDArray, kind: str, pixel_um: tuple[float, float] = (1.0, 1.0)) -> Callable | None:
    """The point map, or None where the points fix none."""
    if kind == "affine":
        return least_squares_affine(p, q)
    if kind != "similarity" and on_one_line(p):
        return None
    if kind == "thin_plate":
        from scipy.interpolate import RBFInterpolator

        if len(np.unique(p, axis=0)) < len(p):
            return None
        centre, scale = p.mean(axis=0), np.ptp(p)
        spline = RBFInterpolator((p - centre) / scale, q, kernel="thin_plate_spline")
        return lambda points: spline((points - centre) / scale)
    if kind == "similarity" and tuple(pixel_um) != (1.0, 1.0):
        # a turn in um is none in pixels of unequal width and height
        in_um = _fit(p, q * pixel_um, kind)
        return None if in_um is None else lambda points: in_um(points) / pixel_um
    from skimage.transform import ProjectiveTransform, SimilarityTransform

    model = ProjectiveTransform if kind == "projective" else SimilarityTransform
    found = model.from_estimate(p, q)
    if not found or not np.isfinite(found.params).all() or np.linalg.cond(found.params[:2, :2]) > 1e8:
        return None  # all points at one place, too
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
