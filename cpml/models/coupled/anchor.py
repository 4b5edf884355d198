"""The absolute scale of the strengths, from a measured stress-strain curve.

Footprints only tell ratios. Multiplying every strength by c multiplies the yield stress of the law by c, so

    c = sigma_y(measured) / sigma_y(law with the learned ratios)

with the measured value at a plastic strain of 0.2 % (offset method) and the law's under the
strain rate of Taylor. That bounds the yield stress from above, so the strengths are the smallest
that explain the curve.
"""

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from cpml.errors import CpmlError
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.polycrystal.mean_field import mean_field

OFFSET = 0.002


def offset_yield(curve: pd.DataFrame) -> float:
    """Yield stress (MPa, positive) where the elastic line, shifted by OFFSET, meets the curve.

    Parameters
    ----------
    curve : true_strain, true_stress_mpa; tension or compression, monotonic

    Raises
    ------
    CpmlError : fewer than four points, or the curve ends before the offset
    """
    strain, stress = curve["true_strain"].abs().to_numpy(), curve["true_stress_mpa"].abs().to_numpy()
    if len(strain) < 4:
        raise CpmlError(
            f"stress-strain curve has {len(strain)} points: at least four are needed to find the yield stress"
        )
    # the elastic slope is the steepest secant from the origin that the first points show
    early = (strain > 0) & (strain <= max(strain[strain > 0][0] * 2.5, 0.0))
    slope = np.max(stress[early] / strain[early])
    excess = stress - slope * (strain - OFFSET)
    crossing = np.flatnonzero((excess[:-1] > 0) & (excess[1:] <= 0))
    if len(crossing) == 0:
        raise CpmlError(
            f"stress-strain curve ends at {strain[-1]:.4f}, before a plastic strain of "
            f"{OFFSET}: no yield stress"
        )
    i = crossing[0]
    t = excess[i] / (excess[i] - excess[i + 1])
    return float(stress[i] + t * (stress[i + 1] - stress[i]))


def strength_scale(specimen: Specimen, strengths: ArrayLike) -> tuple[float, float]:
    """Factor on ``strengths`` (K,) that makes the mean field meet the specimen's curve,
    and the measured yield stress.

    Raises
    ------
    CpmlError : the specimen has no curve
    """
    if specimen.curve is None:
        raise CpmlError(
            f"specimen {specimen.name!r} has no stress-strain curve: the scale stays with the literature"
        )
    measured = offset_yield(specimen.curve)
    material = specimen.material
    law = PowerLaw(
        specimen.systems,
        torch.tensor(np.asarray(strengths, dtype=float)),
        n=material.n,
        reference_rate=material.reference_rate,
    )
    rate = specimen.load.rate * specimen.load.rate_direction
    field = mean_field(law, specimen.quaternions, weights=specimen.weights, loading=rate, scheme="taylor")
    return measured / float(field.von_mises), measured
