"""Single crystals of any law, with strain rates, stresses or some of both imposed
(Newton of cpml.plasticity.crystal.any_law).

    s = s0 + N y,   s0: stress_rows s0 = stress_values,   N^T D(s) = v,   N an orthonormal basis of the imposed rates

Stress and rate conditions work on complementary directions, so the
unknowns y are as many as the rates.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from cpml.crystallography.tensors import rotation_5x5
from cpml.errors import ParameterError
from cpml.plasticity.arguments import as_rate, as_tensor
from cpml.plasticity.crystal.any_law import Equations, attached, linear_start, newton, stress_at_rate
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.crystal.solution import Solution
from cpml.plasticity.laws.law import PowerLaw, check_rank

_EXPONENTS = (1.0, 3.0, 8.0, 20.0, 50.0)  # continuation of a power law


def directions(loading) -> tuple[Tensor, Tensor, Tensor]:
    """s0 (..., 5) MPa, N (5, k) and v (..., k) 1/s of Conditions, a Load or a strain rate."""
    if not isinstance(loading, Conditions):
        rate = as_rate(loading)
        return torch.zeros_like(rate), torch.eye(5, dtype=rate.dtype, device=rate.device), rate
    if len(loading.rate_values) and np.abs(loading.rate_rows @ loading.stress_rows.T).max(initial=0.0) > 1e-9:
        raise ParameterError(
            "rates and stresses are imposed on overlapping directions of the deviatoric space"
        )
    basis = np.linalg.qr(loading.rate_rows.T)[0] if len(loading.rate_values) else np.zeros((5, 0))
    rate = np.linalg.solve(loading.rate_rows @ basis, loading.rate_values) if basis.shape[1] else np.zeros(0)
    stress = (
        np.linalg.pinv(loading.stress_rows) @ loading.stress_values
        if len(loading.stress_values)
        else np.zeros(5)
    )
    return tuple(torch.as_tensor(x.copy()) for x in (stress, basis, rate))


def solve_mixed(law, loading, matrices: Tensor, tol: float, max_iter: int = 300) -> Solution:
    """Solution of crystals (..., 3, 3) of `law` under `loading`, with first derivatives."""
    stress0, basis, wanted = (x.to(matrices.device) for x in directions(loading))
    schmid = law.schmid.to(matrices.device)
    if basis.shape[1] == 5:
        check_rank(schmid.detach().cpu().numpy())
    shape = torch.broadcast_shapes(matrices.shape[:-2], wanted.shape[:-1], _batch(law))
    turn = rotation_5x5(matrices).expand(*shape, 5, 5).reshape(-1, 5, 5)
    stress0, wanted = (x.expand(*shape, x.shape[-1]).reshape(-1, x.shape[-1]) for x in (stress0, wanted))
    law = _flat(law, shape)
    rotated = schmid @ turn.transpose(1, 2)  # P in the sample frame (G, S, 5)
    equations = Equations(law.rates, rotated @ basis, wanted, (rotated @ stress0[..., None])[..., 0])
    y, residual, n_iter = _solve(law, equations, tol, max_iter)
    y = attached(equations, y)
    stress = stress0 + y @ basis.T
    shear_rate, _ = law.rates(equations.tau(y))
    rate = (shear_rate[:, None, :] @ rotated)[:, 0]
    stress, rate, shear_rate = (x.reshape(*shape, x.shape[-1]) for x in (stress, rate, shear_rate))
    return Solution(
        stress, rate, shear_rate, (residual <= tol).reshape(shape), n_iter, residual.reshape(shape)
    )


def _batch(law) -> tuple[int, ...]:
    """Leading dimensions of the law's own parameters."""
    return law.strength.shape[:-1] if isinstance(law, PowerLaw) else ()


def _flat(law, shape):
    """The law with its batch of strengths flattened to the points."""
    if not _batch(law):
        return law
    return replace(
        law, strength=law.system_strength.expand(*shape, len(law.systems)).reshape(-1, len(law.systems))
    )


def _solve(law, equations: Equations, tol: float, max_iter: int) -> tuple[Tensor, Tensor, int]:
    """Newton without a graph; a power law is reached by growing exponents."""
    with torch.no_grad():
        fixed = replace(
            equations,
            modes=equations.modes.detach(),
            right=equations.right.detach(),
            given=equations.given.detach(),
        )
        if fixed.modes.shape[-1] == 0:
            return (
                fixed.right,
                torch.zeros(len(fixed.modes), dtype=fixed.modes.dtype, device=fixed.modes.device),
                0,
            )
        y, total = None, 0
        for step in _stages(law):
            now = replace(fixed, rates=step.rates)
            if y is None:
                size = float(fixed.right.norm(dim=-1).max()) or 1.0
                y = linear_start(now, stress_at_rate(step, size, fixed.modes.device))
            y, residual, used = newton(now, y, tol if step is law else 1e-2, max_iter)
            total += used
    return y, residual, total


def _stages(law) -> list:
    if not isinstance(law, PowerLaw):
        return [law]
    n = as_tensor(law.n).item()
    return [*(replace(law, n=k) for k in _EXPONENTS if 1.5 * k < n), law]
