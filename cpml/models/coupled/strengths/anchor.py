"""The absolute scale of the strengths, from a measured stress-strain curve.

Footprints only tell ratios. Multiplying every strength by c multiplies the yield stress of the law by c, so

    c = sigma_y(measured) / sigma_y(law with the learned ratios)

with the measured value at a plastic strain of 0.2 % (cpml.plasticity.paths.measured) and the law's under the
strain rate of Taylor. That bounds the yield stress from above, so the strengths are the smallest
that explain the curve. Where the families make no general strain, the nearest scheme with a solution stands
in.
"""

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from cpml.errors import CpmlError
from cpml.models.mechanics.mean_fields import mean_fields
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.paths.measured import offset_stress


def offset_yield(curve: pd.DataFrame) -> float:
    """Yield stress (MPa, positive): the stress at 0.2 % plastic strain, counted from the fitted elastic line.

    Parameters
    ----------
    curve : true_strain, true_stress_mpa; tension or compression, in the order of the test

    Raises
    ------
    CpmlError : fewer than four points, no elastic part, strain that runs back, or a curve that ends before
    """
    return offset_stress(curve)


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
    fields, _ = mean_fields(law, specimen.quaternions, weights=specimen.weights, loading=specimen.load)
    return measured / float(fields["taylor"].von_mises), measured
