"""Slip-system activity from the in-plane displacement gradient of HR-DIC: sparsest shears and a posterior.

    H = sum_s gamma_s b_s (x) n_s     (in-plane 2x2 block, sample frame, v positive down)

Four numbers a pixel cannot tell twelve and more shears apart. So two answers are given side by side: the
shears of least sum |gamma_s| that explain H within `threshold` (SSLIP), one of many; and, for every system,
the probability that it is active, summed over all sets of at most LARGEST_SET systems (slip_inversion.py).

| quantity | meaning | unit, shape |
|---|---|---|
| shear | SSLIP solution | (N, S) |
| residual | norm of H - sum shear b (x) n | (N,) |
| posterior | p(system active given H) | (N, S) |
| mean_shear | posterior mean of gamma | (N, S) |
| none | p(no slip at all given H) | (N,) |

Prior: no slip 1/2 when one system has 1/4, two 1/8, ...: a further system costs a factor 2, all sets of one
size are alike; shears are normal with a spread of SLAB |H|. With `sense` +1 or -1 a system can shear one way
only; twins always can, towards their twinning sense.

References: Vermeij et al. 2022, Acta Mater. 243:118502 (SSLIP); George & McCulloch 1993, JASA
88:881 (posterior over subsets).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import comb

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.schmid import schmid_factors
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.microscopy.dic.registered import RegisteredDic
from cpml.microscopy.dic.strain import checked_gradient, effective_strain
from cpml.progress import progress

BY_GRAIN = (
    "grain_id",
    "system",
    "name",
    "plane",
    "family",
    "n_pixels",
    "share",
    "sslip_share",
    "posterior",
    "mean_shear",
)
LARGEST_SET = 3
"""Largest set of systems in one pixel: four data cannot tell more."""
SLAB = 1.0
"""Spread of a shear, as a multiple of |H|."""
PIXELS_AT_ONCE = 4096
"""Between two steps of the progress bar."""
FREE_SCHMID = 0.02
"""Below this Schmid factor the sense of a system is left free: the local stress may turn it."""


@dataclass(frozen=True)
class SlipActivity:
    """Activity of S systems in N pixels; rows of pixels that were not looked at (`used` False) are NaN.

    `shape` is that of the field, so that a column becomes a picture by `.picture(column)`.
    """

    systems: Systems
    shear: NDArray
    residual: NDArray
    posterior: NDArray
    mean_shear: NDArray
    none: NDArray
    used: NDArray
    label: NDArray
    shape: tuple[int, ...]

    def picture(self, values: ArrayLike) -> NDArray:
        """Values (N, ...) in the shape of the field."""
        values = np.asarray(values)
        return values.reshape(*self.shape, *values.shape[1:])

    @cached_property
    def winner(self) -> NDArray:
        """(N,) system of the highest posterior, -1 where not looked at or where no slip is more probable."""
        posterior = np.where(self.used[:, None], self.posterior, -1.0)
        best = posterior.argmax(axis=1)
        return np.where(self.used & (posterior.max(axis=1) > np.nan_to_num(self.none)), best, -1)

    @cached_property
    def by_grain(self) -> pd.DataFrame:
        """One row a grain and system.

        grain_id, system, name, plane, family, n_pixels (looked at), share (of sum |mean shear| of the grain),
        sslip_share (of sum |shear|), posterior (mean over the pixels, weighted with their posterior sum
        |shear|), mean_shear (mean over the pixels, signed).
        """
        parts, systems = [], self.systems
        for grain in np.unique(self.label[self.used & (self.label > 0)]):
            pixel = np.flatnonzero(self.used & (self.label == grain))
            amount = np.abs(self.mean_shear[pixel])
            weight = amount.sum(axis=1)
            sparse = np.abs(self.shear[pixel]).sum(axis=0)
            posterior = weight @ self.posterior[pixel] / max(weight.sum(), 1e-300)
            parts.append(
                pd.DataFrame(
                    {
                        "grain_id": int(grain),
                        "system": np.arange(len(systems)),
                        "name": systems.names,
                        "plane": [systems.plane_names[p] for p in systems.plane_id],
                        "family": [systems.family_names[f] for f in systems.family],
                        "n_pixels": len(pixel),
                        "share": amount.sum(axis=0) / max(weight.sum(), 1e-300),
                        "sslip_share": sparse / max(sparse.sum(), 1e-300),
                        "posterior": posterior,
                        "mean_shear": self.mean_shear[pixel].mean(axis=0),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=BY_GRAIN)


def in_plane_dyads(quaternions: ArrayLike, systems: Systems) -> NDArray:
    """(G, S, 4) components xx, xy, yx, yy of b (x) n in the sample frame, crystals (G, 4)."""
    rotation = quaternion_to_matrix(np.atleast_2d(np.asarray(quaternions, float)))
    direction = np.einsum("gij,sj->gsi", rotation, systems.direction)[..., :2]
    normal = np.einsum("gij,sj->gsi", rotation, systems.plane)[..., :2]
    return (direction[..., :, None] * normal[..., None, :]).reshape(len(rotation), len(systems), 4)


def slip_activity(
    field: RegisteredDic | ArrayLike,
    quaternions: ArrayLike,
    systems: Systems,
    *,
    label: ArrayLike | None = None,
    threshold: float = 0.01,
    min_strain: float = 0.01,
    noise: float | None = None,
    stress: ArrayLike | None = None,
) -> SlipActivity:
    """Shears and posterior of every system in every pixel.

    Parameters
    ----------
    field : RegisteredDic, or H (..., 2, 2) in the pixel frame, v positive down
    quaternions : crystal_to_sample; (G, 4) with row k - 1 for label k, or, without labels, (..., 4)
        of every pixel
    label : (...) grain of every pixel, 0 = none; taken from a RegisteredDic
    threshold : norm of H that may stay unexplained by the sparsest shears
    min_strain : pixels of smaller effective strain are not looked at
    noise : standard deviation of one component of H; threshold / 2 when not given (the norm of
        four such errors)
    stress : (3, 3) or (G, 3, 3); where given, a system shears in the sense of its Schmid factor only

    Raises
    ------
    ParameterError : shapes that do not fit, or a parameter outside its range
    """
    gradient, label = _field_and_label(field, label)
    shape, h = gradient.shape[:-2], gradient.reshape(-1, 2, 2)
    noise = threshold / 2 if noise is None else noise
    if not (threshold > 0 and noise > 0 and min_strain >= 0):
        raise ParameterError(
            f"threshold {threshold} and noise {noise} must be positive, min_strain {min_strain} not negative"
        )
    crystals = np.asarray(quaternions, float).reshape(-1, 4)
    label, row = _rows(label, shape, len(crystals), np.isfinite(crystals).all(axis=1))
    used = (row >= 0) & np.isfinite(h).all(axis=(1, 2)) & (effective_strain(h) >= min_strain)
    shear, residual, posterior, mean, none = _invert(
        h[used].reshape(-1, 4), crystals, systems, row[used], threshold, noise, stress
    )

    def spread(values: NDArray) -> NDArray:
        out = np.full((len(h), *values.shape[1:]), np.nan)
        out[used] = values
        return out

    return SlipActivity(systems, *map(spread, (shear, residual, posterior, mean, none)), used, label, shape)


def _invert(
    h: NDArray,
    crystals: NDArray,
    systems: Systems,
    row: NDArray,
    threshold: float,
    noise: float,
    stress: ArrayLike | None,
) -> list[NDArray]:
    from cpml.microscopy.dic.slip_inversion import invert_all  # deferred: numba

    needed, of_pixel = np.unique(row, return_inverse=True)
    dyads = in_plane_dyads(crystals[needed], systems) if len(needed) else np.zeros((0, len(systems), 4))
    sense = np.zeros(dyads.shape[:2], np.int64)
    if stress is not None and len(needed):
        stress = np.asarray(stress, float)
        factors = schmid_factors(systems, crystals[needed], stress if stress.ndim == 2 else stress[needed])
        sense = np.where(np.abs(factors) >= FREE_SCHMID, np.sign(factors), 0).astype(np.int64)
    sense[:, systems.twin] = 1
    # log p(set of k systems) of one such set: 1/2, 1/4, 1/8 ... for all sets of one size together
    k = np.arange(LARGEST_SET + 1)
    log_size = -(k + 1) * np.log(2.0) - np.log(np.maximum(comb(len(systems), k), 1))
    of_pixel = of_pixel.astype(np.int64)
    parts = [
        invert_all(
            h[i : i + PIXELS_AT_ONCE],
            dyads,
            sense,
            of_pixel[i : i + PIXELS_AT_ONCE],
            log_size,
            threshold,
            noise,
            SLAB,
        )
        for i in progress(range(0, max(len(h), 1), PIXELS_AT_ONCE), "slip activity", unit="part")
    ]
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def _field_and_label(
    field: RegisteredDic | ArrayLike, label: ArrayLike | None
) -> tuple[NDArray, NDArray | None]:
    if isinstance(field, RegisteredDic):
        return field.field.displacement_gradient, field.label if label is None else label
    return checked_gradient(field), label


def _rows(
    label: ArrayLike | None, shape: tuple[int, ...], n_crystals: int, known: NDArray
) -> tuple[NDArray, NDArray]:
    """Label (N,), and the row of `quaternions` of every pixel, -1 for none."""
    n = int(np.prod(shape))
    if label is None:
        if n_crystals != n:
            raise ParameterError(
                f"{n_crystals} quaternions for {n} pixels: give one of every pixel, or "
                "label and one of every grain"
            )
        return np.zeros(n, int), np.where(known, np.arange(n), -1)
    label = np.asarray(label).ravel()
    if len(label) != n or label.max(initial=0) > n_crystals:
        raise ParameterError(
            f"{len(label)} labels up to {label.max(initial=0)} for {n} pixels and {n_crystals} quaternions: "
            "one label for every pixel and one quaternion for every label are needed"
        )
    return label, np.where((label > 0) & known[np.maximum(label, 1) - 1], label - 1, -1)
