"""Mean fields of a polycrystal: Sachs (one stress direction) and Taylor (one strain rate), the two bounds.

    Taylor:  D_g = D for every grain;   Sigma = sum_g w_g s_g
    Sachs:   s_g = a_g S, S the common stress direction; a_g such that the grain's von Mises rate is the imposed one:
             a_g = (D_vM / d_vM(S))^(1/n) because the rate of a power law goes with a^n

A lateral="free" Taylor solution lets D vary at fixed axial rate until the mean lateral stresses vanish: the minimum of
the macroscopic potential n/(n+1) <s_g.D> over the four directions normal to the load (Newton; Hessian <H_g^-1>).

| symbol | meaning | unit | shape |
|---|---|---|---|
| D | macroscopic strain rate | 1/s | (5,) |
| s_g, Sigma | grain and macroscopic deviatoric stress | MPa | (G, 5), (5,) |
| w | weights, sum 1 | | (G,) |

References: Sachs 1928; Taylor 1938; Hutchinson 1976, Proc. R. Soc. Lond. A 348:101.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cpml.errors import ParameterError
from cpml.plasticity.basis import rotation_5x5, to_vector, von_mises_rate, von_mises_stress
from cpml.plasticity.law import PowerLaw
from cpml.plasticity.orientation import as_matrices, as_rate, as_tensor
from cpml.plasticity.single_crystal import single_crystal

SCHEMES = ("taylor", "sachs")
LATERAL = ("axisymmetric", "free")


@dataclass(frozen=True)
class MeanField:
    """Polycrystal response (sample frame, 5-basis of cpml.plasticity.basis)."""

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


def mean_field(law: PowerLaw, orientations, *, weights=None, loading, scheme: str = "taylor",
               lateral: str = "axisymmetric", tol: float = 1e-10) -> MeanField:
    """Response of a polycrystal under one scheme.

    Parameters
    ----------
    law : strengths per family or system, the same for all grains or (G, ...) per grain
    orientations : (G, 4) crystal_to_sample quaternions or (G, 3, 3) matrices
    weights : (G,) positive, any sum; None gives equal weights
    loading : Load, with its rate; or a (3, 3) strain rate in 1/s, whose direction is then also that of the Sachs stress
    scheme : "taylor" or "sachs"
    lateral : "axisymmetric" prescribes the strain rate of the load; "free" (Taylor, uniaxial loads) solves it so that
        the mean stress is uniaxial along the load

    Raises
    ------
    ParameterError : an unknown scheme (the message lists them), wrong weights, or no grains
    """
    if scheme not in SCHEMES:
        raise ParameterError(f"scheme {scheme!r} is not available; choose from {', '.join(SCHEMES)}")
    if lateral not in LATERAL or (lateral == "free" and scheme != "taylor"):
        raise ParameterError(f"lateral = {lateral!r} with scheme {scheme!r}: choose from {', '.join(LATERAL)}; "
                             "'free' goes with 'taylor'")
    matrices = as_matrices(orientations).reshape(-1, 3, 3)
    weights = _normalised(weights, len(matrices))
    stress, rate = _directions(loading)
    if scheme == "sachs":
        return _sachs(law, matrices, weights, stress, rate)
    if lateral == "free":
        # a warm start within tol would not move: the outer criterion needs grains solved further than it
        rate = _free_rate(law, matrices, weights, stress, rate, min(tol, 1e-12))
        rate = _attach_gradient(law, matrices, weights, stress, rate, tol)
    solved = single_crystal(law, rate, matrices, tol=tol)
    return _collect(solved.stress, solved.shear_rate, weights, rate, solved.converged, solved.residual, solved.n_iter)


def _normalised(weights, n_grains: int) -> Tensor:
    weights = torch.ones(n_grains, dtype=torch.float64) if weights is None else as_tensor(weights)
    if weights.shape != (n_grains,) or not bool((weights >= 0).all()) or not bool(weights.sum() > 0):
        raise ParameterError(f"weights of shape {tuple(weights.shape)} for {n_grains} grains must be non-negative, "
                             "one per grain, not all zero")
    return weights / weights.sum()


def _directions(loading) -> tuple[Tensor, Tensor]:
    """Stress direction (5,), von Mises 1, and strain rate (5,), 1/s, of a Load or a strain-rate matrix."""
    if hasattr(loading, "rate_direction"):
        stress = to_vector(as_tensor(loading.stress))
        rate = as_rate(loading.rate_direction) * float(loading.rate)
        return stress / von_mises_stress(stress), rate
    rate = as_rate(loading)
    if rate.shape != (5,):
        raise ParameterError(f"loading gives a strain rate of shape {tuple(rate.shape)}: one (3, 3) matrix is expected")
    return rate / von_mises_stress(rate), rate


def _collect(stress, shear_rate, weights, rate, converged, residual, n_iter) -> MeanField:
    slip = shear_rate.abs()
    total = slip.sum(-1)
    strain = (von_mises_rate(rate) if rate.ndim == 1 else von_mises_rate(rate).clamp(min=1e-300))
    macro = (weights[:, None] * stress).sum(0)
    macro_rate = rate if rate.ndim == 1 else (weights[:, None] * rate).sum(0)
    return MeanField(macro, von_mises_stress(macro), macro_rate, stress, shear_rate,
                     slip / total.clamp(min=1e-300)[:, None], total / strain, converged, residual, n_iter)


def _sachs(law: PowerLaw, matrices: Tensor, weights: Tensor, direction: Tensor, rate: Tensor) -> MeanField:
    turn = rotation_5x5(matrices)
    local = (direction[None, None, :] @ turn)[:, 0, :]
    # stresses of the size of the strengths keep |tau/xi|^n representable
    size = law.system_strength.detach().mean(-1, keepdim=True)
    per_unit, _ = law.rates((local * size) @ law.schmid.T)
    wanted, unit = von_mises_rate(rate), von_mises_rate(per_unit @ law.schmid)
    is_moving = unit > 0
    factor = (wanted / torch.where(is_moving, unit, 1.0)) ** (1 / as_tensor(law.n))
    amplitude = torch.where(is_moving, factor, torch.nan)
    stress = amplitude[:, None] * size * direction
    shear_rate, _ = law.rates((local * size * amplitude[:, None]) @ law.schmid.T)
    grain_rate = (turn @ (shear_rate @ law.schmid)[..., None])[..., 0]
    residual = torch.where(is_moving, 0.0, torch.inf)
    return _collect(stress, shear_rate, weights, grain_rate, is_moving, residual, 1)


def _free_rate(law: PowerLaw, matrices: Tensor, weights: Tensor, direction: Tensor, rate: Tensor, tol: float) -> Tensor:
    """Strain rate (5,) with the work-conjugate axial rate of `rate` and a mean stress parallel to `direction`."""
    axis, across = _complement(direction)
    axial, free = float(rate @ axis), across.T @ rate
    current = rate.detach()
    solved = single_crystal(law, current, matrices, tol=tol)
    stress = _mean(weights, solved)
    for _ in range(100):
        lateral = across.T @ stress
        size = float(lateral.norm() / stress.norm())
        if size <= 1e-9:
            return current
        step = -torch.linalg.solve(across.T @ _mean_stiffness(law, matrices, weights, solved) @ across, lateral)
        for halving in range(30):
            share = 0.5**halving
            candidate = axial * axis + across @ (free + share * step)
            trial = single_crystal(law, candidate, matrices, tol=tol, start=solved.stress.detach())
            trial_stress = _mean(weights, trial)
            # the work decides far from the solution; close to it its changes are rounding, and the gradient decides
            is_better = float(trial_stress @ candidate) < float(stress @ current) if size > 1e-3 else (
                float((across.T @ trial_stress).norm()) < (1 - 1e-4 * share) * float(lateral.norm()))
            if is_better and bool(trial.converged.all()):
                break
        else:
            break
        free, current, solved, stress = free + share * step, candidate, trial, trial_stress
    if size <= 1e-6:  # the noise of grains with idle systems can hold the lateral stress above 1e-9
        return current
    raise ParameterError(f"no uniaxial stress state found: lateral stress {size:.1e} of the axial one; some grains may "
                         "be unable to deform")


def _complement(direction: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vector (5,) and an orthonormal basis (5, 4) of the directions normal to it."""
    axis = direction / direction.norm()
    return axis, torch.linalg.svd(axis[None, :])[2][1:].T


def _attach_gradient(law: PowerLaw, matrices: Tensor, weights: Tensor, direction: Tensor, rate: Tensor,
                     tol: float) -> Tensor:
    """The converged rate with its dependence on the parameters: one Newton step whose matrix carries no gradient."""
    solved = single_crystal(law, rate, matrices, tol=tol)
    if not solved.stress.requires_grad:
        return rate
    across = _complement(direction)[1]
    lateral = across.T @ (weights[:, None] * solved.stress).sum(0)
    stiffness = across.T @ _mean_stiffness(law, matrices.detach(), weights, solved) @ across
    return rate - across @ torch.linalg.solve(stiffness.detach(), lateral)


def _mean(weights: Tensor, solved) -> Tensor:
    return (weights[:, None] * solved.stress.detach()).sum(0)


def _mean_stiffness(law: PowerLaw, matrices: Tensor, weights: Tensor, solved) -> Tensor:
    """d Sigma / d D = <Q H^-1 Q^T> (5, 5)."""
    turn = rotation_5x5(matrices)
    local = (solved.stress.detach()[:, None, :] @ turn)[:, 0, :]
    _, slope = law.rates(local @ law.schmid.T)
    hessian = torch.einsum("gs,si,sj->gij", slope.detach(), law.schmid, law.schmid)
    scale = hessian.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]
    inverse = torch.linalg.inv(hessian + 1e-14 * scale * torch.eye(5, dtype=hessian.dtype))
    return torch.einsum("g,gij,gjk,glk->il", weights, turn, inverse, turn)
