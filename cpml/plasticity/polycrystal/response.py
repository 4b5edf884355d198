"""The response of a polycrystal as one record, and the arguments that every scheme shares."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cpml.crystallography.tensors import to_vector, von_mises_rate, von_mises_stress
from cpml.errors import ParameterError
from cpml.plasticity.arguments import as_rate, as_tensor


@dataclass(frozen=True)
class MeanField:
    """Polycrystal response (sample frame, 5-basis of cpml.crystallography.tensors)."""

    stress: Tensor  # (5,) macroscopic deviator, MPa
    von_mises: Tensor  # () of it, MPa
    rate: Tensor  # (5,) macroscopic strain rate, 1/s
    grain_stress: Tensor  # (G, 5) MPa
    shear_rate: Tensor  # (G, S) 1/s
    activity: Tensor  # (G, S) share of each system in its grain's total shear rate, rows add up to 1
    taylor_factor: Tensor  # (G,) sum of |shear rates| / von Mises strain rate of the grain
    converged: Tensor  # (G,) bool
    residual: Tensor  # (G,)
    n_iter: int
    medium: object = None  # cpml.plasticity.polycrystal.medium.EffectiveMedium of a self-consistent or mixed solution, else None
    spin: Tensor | None = None  # (3, 3, 5) lattice spin per strain-rate deviation, where there is a medium


def normalised(weights, n_grains: int) -> Tensor:
    """Weights (G,) as shares; ParameterError unless they are non-negative, one per grain, not all zero."""
    weights = torch.ones(n_grains, dtype=torch.float64) if weights is None else as_tensor(weights)
    is_right = (
        weights.shape == (n_grains,) and bool((weights >= 0).all()) and bool(torch.isfinite(weights).all())
    )
    if not is_right or not bool(weights.sum() > 0):
        raise ParameterError(
            f"weights of shape {tuple(weights.shape)} for {n_grains} grains must be non-negative, "
            "one per grain, not all zero"
        )
    return weights / weights.sum()


def load_directions(loading) -> tuple[Tensor, Tensor]:
    """Stress direction (5,), von Mises 1, and strain rate (5,), 1/s, of a Load or a strain-rate matrix."""
    if hasattr(loading, "rate_direction"):
        stress = to_vector(as_tensor(loading.stress))
        rate = as_rate(loading.rate_direction) * float(loading.rate)
        return stress / von_mises_stress(stress), rate
    rate = as_rate(loading)
    if rate.shape != (5,):
        raise ParameterError(
            f"loading gives a strain rate of shape {tuple(rate.shape)}: one (3, 3) matrix is expected"
        )
    return rate / von_mises_stress(rate), rate


def collect(
    stress, shear_rate, weights, rate, converged, residual, n_iter, *, macro=None, medium=None, spin=None
) -> MeanField:
    """MeanField of the grains' stresses (G, 5) and shear rates (G, S); rate is
    macroscopic (5,) or per grain (G, 5).
    """
    slip = shear_rate.abs()
    total = slip.sum(-1)
    strain = von_mises_rate(rate) if rate.ndim == 1 else von_mises_rate(rate).clamp(min=1e-300)
    macro = (weights[:, None] * stress).sum(0) if macro is None else macro
    macro_rate = rate if rate.ndim == 1 else (weights[:, None] * rate).sum(0)
    return MeanField(
        macro,
        von_mises_stress(macro),
        macro_rate,
        stress,
        shear_rate,
        slip / total.clamp(min=1e-300)[:, None],
        total / strain,
        converged,
        residual,
        n_iter,
        medium,
        spin,
    )
