"""The response of a polycrystal as one record, and the arguments that every scheme shares."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cpml.crystallography.tensors import von_mises_rate, von_mises_stress
from cpml.errors import ParameterError
from cpml.plasticity.arguments import Values, as_tensor
from cpml.plasticity.polycrystal.medium import EffectiveMedium


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
    medium: EffectiveMedium | None = None  # of a self-consistent or mixed solution
    spin: Tensor | None = None  # (3, 3, 5) lattice spin per strain-rate deviation, where there is a medium


def medium_of(field: MeanField) -> EffectiveMedium:
    """The medium of a response; ParameterError for a bound (Sachs, Taylor at a given rate) without one."""
    if field.medium is None:
        raise ParameterError("this response has no medium: it is one of the bounds")
    return field.medium


def normalised(weights: Values | None, n_grains: int) -> Tensor:
    """Weights (G,) as shares; ParameterError unless they are non-negative, one per grain, not all zero."""
    given = torch.ones(n_grains, dtype=torch.float64) if weights is None else as_tensor(weights)
    is_right = given.shape == (n_grains,) and bool((given >= 0).all()) and bool(torch.isfinite(given).all())
    if not is_right or not bool(given.sum() > 0):
        raise ParameterError(
            f"weights of shape {tuple(given.shape)} for {n_grains} grains must be non-negative, "
            "one per grain, not all zero"
        )
    return given / given.sum()


def collect(
    stress: Tensor,
    shear_rate: Tensor,
    weights: Tensor,
    rate: Tensor,
    converged: Tensor,
    residual: Tensor,
    n_iter: int,
    *,
    macro: Tensor | None = None,
    medium: EffectiveMedium | None = None,
    spin: Tensor | None = None,
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
