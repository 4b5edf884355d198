"""Single crystals of any law, with strain rates, stresses or some of both imposed.

    s = s0 + N y,   N^T D(s) = v,   s0 the imposed stresses, N an orthonormal basis of the imposed rates v

Stress and rate conditions work on complementary directions, so the unknowns y are as many as the rates;
Newton's method of cpml.plasticity.crystal.newton solves for them.
"""

from dataclasses import replace

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from cpml.crystallography.tensors import rotation_5x5
from cpml.load import Load
from cpml.plasticity.arguments import as_rate
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.crystal.cone import check_made
from cpml.plasticity.crystal.newton import Equations, attached, linear_start, newton
from cpml.plasticity.crystal.solution import Solution
from cpml.plasticity.laws.law import Law, PowerLaw, check_rank, drive_of, stress_at_rate
from cpml.plasticity.laws.softened import softened

_MAX_ITER = 300
_SHARES = tuple(k / 10 for k in range(1, 11))  # of what a law that is not associated adds, step by step


def solve_any_law(
    law: Law, loading: Load | Conditions | ArrayLike | Tensor, matrices: Tensor, tol: float
) -> Solution:
    """Solution of crystals (..., 3, 3) of `law` under `loading`, with first derivatives."""
    stress0, basis, wanted = (x.to(matrices.device) for x in _directions(loading))
    schmid = law.schmid.to(matrices.device)
    if basis.shape[1] == 5:
        check_rank(schmid.detach().cpu().numpy())
    batch = law.strength.shape[:-1] if isinstance(law, PowerLaw) else ()
    shape = torch.broadcast_shapes(matrices.shape[:-2], wanted.shape[:-1], batch)
    turn = rotation_5x5(matrices).expand(*shape, 5, 5).reshape(-1, 5, 5)
    stress0, wanted = (x.expand(*shape, x.shape[-1]).reshape(-1, x.shape[-1]) for x in (stress0, wanted))
    if isinstance(law, PowerLaw) and batch:  # one strength for each point
        law = law.with_strength(law.system_strength.expand(*shape, len(schmid)).reshape(-1, len(schmid)))
    if basis.shape[1] == 5:
        local = (wanted[:, None, :] @ basis.T @ turn)[:, 0]
        check_made(law, local.detach().cpu().numpy(), some=True)
    rotated = schmid @ turn.transpose(1, 2)  # P in the sample frame (G, S, 5)
    drives = drive_of(law).to(matrices.device) @ turn.transpose(1, 2)
    equations = Equations(
        law.rates,
        rotated @ basis,
        wanted,
        (drives @ stress0[..., None])[..., 0],
        drives=drives @ basis if hasattr(law, "drive") else None,
    )
    y, residual, n_iter = _solve(law, equations, tol)
    y = attached(equations, y)
    stress = stress0 + y @ basis.T
    shear_rate, _ = law.rates(equations.tau(y))
    rate = (shear_rate[:, None, :] @ rotated)[:, 0]
    stress, rate, shear_rate = (x.reshape(*shape, x.shape[-1]) for x in (stress, rate, shear_rate))
    converged = (residual <= tol).reshape(shape)
    return Solution(stress, rate, shear_rate, converged, n_iter, residual.reshape(shape))


def _directions(loading: Load | Conditions | ArrayLike | Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """s0 (..., 5) MPa, N (5, k) and v (..., k) 1/s."""
    if isinstance(loading, Conditions):
        stress, basis, wanted = (torch.as_tensor(x) for x in loading.split)
        return stress, basis, wanted
    rate = as_rate(loading)
    return torch.zeros_like(rate), torch.eye(5, dtype=rate.dtype, device=rate.device), rate


def _solve(law: Law, equations: Equations, tol: float) -> tuple[Tensor, Tensor, int]:
    """Newton without a graph; a steep law is reached from softer ones."""
    with torch.no_grad():
        modes, right = equations.modes.detach(), equations.right.detach()
        given = None if equations.given is None else equations.given.detach()
        drives = None if equations.drives is None else equations.drives.detach()
        if modes.shape[-1] == 0:  # every stress is imposed
            return right, right.new_zeros(len(right)), 0
        rate = right.norm(dim=-1, keepdim=True)
        rate = torch.where(rate > 0, rate, rate.max() or 1.0)  # of each crystal
        strength, total = stress_at_rate(law, rate, modes.device), 0
        y = linear_start(Equations(law.rates, modes, right, given), strength)
        for step in softened(law, strength, rate):
            now = Equations(step.rates, modes, right, given)
            y, residual, used = newton(now, y, tol if step is law and drives is None else 1e-2, _MAX_ITER)
            total += used
        if drives is not None:
            for share in _SHARES:
                now = replace(now, drives=modes + share * (drives - modes))
                y, residual, used = newton(now, y, tol if share == 1 else 1e-2, _MAX_ITER)
                total += used
    return y, residual, total
