"""The absolute scale of the strengths, from a measured stress-strain curve.

Footprints only tell ratios. Multiplying every strength by c multiplies the yield stress of the law by c, so

    c = sigma_y(measured) / sigma_y(law with the learned ratios)

with the measured value at a plastic strain of 0.2 % (offset method) and the law's from the mean
field named by ``scheme``. Taylor bounds the yield stress from above, so it returns the smallest
strengths that explain the curve.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from cpml.errors import CpmlError, MapFileError

OFFSET = 0.002


def read_curve(path: str | Path) -> pd.DataFrame:
    """Stress-strain curve from CSV with columns true_strain, true_stress_mpa.

    Raises
    ------
    MapFileError : no such file, not a table, a missing column, or a value that is not a number
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise MapFileError(f"{path}: cannot be read as CSV ({error})") from None
    table = table.rename(columns=str.lower)
    names = ["true_strain", "true_stress_mpa"]
    missing = [n for n in names if n not in table]
    if missing:
        raise MapFileError(f"{path}, line 1: no column {missing[0]!r}; needed: {', '.join(names)}")
    numbers = table[names].apply(pd.to_numeric, errors="coerce")
    bad = numbers.isna().any(axis=1)
    if bad.any():
        raise MapFileError(f"{path}, line {int(bad.idxmax()) + 2}: not two numbers")
    return numbers


def offset_yield(curve: pd.DataFrame, *, offset: float = OFFSET) -> float:
    """Yield stress (MPa, positive) where the elastic line, shifted by ``offset``, meets the curve.

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
    excess = stress - slope * (strain - offset)
    crossing = np.flatnonzero((excess[:-1] > 0) & (excess[1:] <= 0))
    if len(crossing) == 0:
        raise CpmlError(
            f"stress-strain curve ends at {strain[-1]:.4f}, before a plastic strain of "
            f"{offset}: no yield stress"
        )
    i = crossing[0]
    t = excess[i] / (excess[i] - excess[i + 1])
    return float(stress[i] + t * (stress[i + 1] - stress[i]))


def strength_scale(specimen, strengths: np.ndarray, *, scheme: str = "taylor") -> tuple[float, float]:
    """Factor on ``strengths`` (K,) that makes the mean field meet the specimen's curve,
    and the measured yield stress.

    Raises
    ------
    CpmlError : the specimen has no curve
    """
    import torch

    from cpml.plasticity import PowerLaw, mean_field

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
    weights = specimen.grains["n_pixels"].to_numpy(dtype=float)
    rate = specimen.load.rate * specimen.load.rate_direction
    field = mean_field(law, specimen.quaternions, weights=weights, loading=rate, scheme=scheme)
    return measured / float(field.von_mises), measured
