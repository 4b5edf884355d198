"""The two bounds of a mean field: Sachs (one stress direction) and Taylor with free lateral strain.

    Sachs:   s_g = a_g S, S the common stress direction; the grain has the imposed von Mises rate with
             a_g = (D_vM / d_vM(S))^(1/n), because the rate of a power law goes with a^n

A lateral="free" Taylor solution lets D vary at fixed axial rate until the mean lateral stresses
vanish: the minimum of the macroscopic potential n/(n+1) <s_g.D> over the four directions normal to the
load (Newton; Hessian <H_g^-1>).

References: Sachs 1928; Taylor 1938; Hutchinson 1976, Proc. R. Soc. Lond. A 348:101.
"""

import torch
from torch import Tensor

from cpml.crystallography.tensors import rotation_5x5, von_mises_rate
from cpml.errors import ParameterError
from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.crystal.newton import regularised
from cpml.plasticity.crystal.single_crystal import single_crystal
from cpml.plasticity.crystal.solution import Solution
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.polycrystal.response import MeanField, collect


def sachs(law: PowerLaw, matrices: Tensor, weights: Tensor, direction: Tensor, rate: Tensor) -> MeanField:
    """Every grain under the stress direction (5,), at the von Mises size of the strain rate (5,)."""
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
    return collect(stress, shear_rate, weights, grain_rate, is_moving, residual, 1)


def free_rate(
    law: PowerLaw, matrices: Tensor, weights: Tensor, direction: Tensor, rate: Tensor, tol: float
) -> Tensor:
    """Strain rate (5,) with the work-conjugate axial rate of `rate` and a mean
    stress parallel to `direction`.
    """
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
        step = -torch.linalg.solve(
            across.T @ _mean_stiffness(law, matrices, weights, solved) @ across, lateral
        )
        for halving in range(30):
            share = 0.5**halving
            candidate = axial * axis + across @ (free + share * step)
            trial = single_crystal(law, candidate, matrices, tol=tol, start=solved.stress.detach())
            trial_stress = _mean(weights, trial)
            # the work decides far from the solution; close to it its changes are
            # rounding, and the gradient decides
            is_better = (
                float(trial_stress @ candidate) < float(stress @ current)
                if size > 1e-3
                else (float((across.T @ trial_stress).norm()) < (1 - 1e-4 * share) * float(lateral.norm()))
            )
            if is_better and bool(trial.converged.all()):
                break
        else:
            break
        free, current, solved, stress = free + share * step, candidate, trial, trial_stress
    if size <= 1e-6:  # the noise of grains with idle systems can hold the lateral stress above 1e-9
        return current
    raise ParameterError(
        f"no uniaxial stress state found: lateral stress {size:.1e} of the axial one; some grains may "
        "be unable to deform"
    )


def _complement(direction: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vector (5,) and an orthonormal basis (5, 4) of the directions normal to it."""
    axis = direction / direction.norm()
    return axis, torch.linalg.svd(axis[None, :])[2][1:].T


def attach_gradient(
    law: PowerLaw, matrices: Tensor, weights: Tensor, direction: Tensor, rate: Tensor, tol: float
) -> Tensor:
    """The converged rate with its dependence on the parameters: one Newton step
    whose matrix carries no gradient.
    """
    solved = single_crystal(law, rate, matrices, tol=tol)
    if not solved.stress.requires_grad:
        return rate
    across = _complement(direction)[1]
    lateral = across.T @ (weights[:, None] * solved.stress).sum(0)
    stiffness = across.T @ _mean_stiffness(law, matrices.detach(), weights, solved) @ across
    return rate - across @ torch.linalg.solve(stiffness.detach(), lateral)


def _mean(weights: Tensor, solved: Solution) -> Tensor:
    """Sigma (5,), without a graph."""
    return (weights[:, None] * solved.stress.detach()).sum(0)


def _mean_stiffness(law: PowerLaw, matrices: Tensor, weights: Tensor, solved: Solution) -> Tensor:
    """d Sigma / d D = <Q H^-1 Q^T> (5, 5)."""
    turn = rotation_5x5(matrices)
    local = (solved.stress.detach()[:, None, :] @ turn)[:, 0, :]
    _, slope = law.rates(local @ law.schmid.T)
    hessian = torch.einsum("gs,si,sj->gij", slope.detach(), law.schmid, law.schmid)
    inverse = torch.linalg.inv(regularised(hessian, 1e-14))
    return torch.einsum("g,gij,gjk,glk->il", weights, turn, inverse, turn)
