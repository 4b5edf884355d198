"""Viscoplastic single crystals: stress from strain rate, strain rate from stress, and mixed conditions.

For a power law the deviatoric stress s minimises the strictly convex

    phi(s) = sum_s rate0 xi/(n+1) |tau_s/xi|^(n+1) - s.d,     tau_s = P_s.s   (twins: max(tau, 0))
    gradient r = sum_s gamma_dot_s P_s - d,    Hessian H = sum_s (rate0 n/xi) |tau_s/xi|^(n-1) P_s P_s^T

in crystal axes (P constant, d = Q^T d_sample). Scaled so that |d| = 1 and rate0 = 1, each point is solved by
the compiled loop of cpml.plasticity.crystal.kernels with its own steps and its own convergence flag. Other
laws, mixed conditions and other devices than the CPU go through cpml.plasticity.crystal.any_law.

Implicit gradient: with lambda = H^-1 dL/ds,  dL/dtheta = -lambda . dr/dtheta for theta = d, xi, n, rate0; the
rotation is outside, so orientations get theirs by the chain rule. The backward pass is itself made of
differentiable operations.

| symbol | meaning | unit | shape |
|---|---|---|---|
| s, d | stress and strain rate in the 5-basis | MPa, 1/s | (..., 5) |
| P | Schmid tensors | | (S, 5) |

References: Asaro & Needleman 1985, Acta Metall. 33:923; Hutchinson 1976, Proc. R. Soc. Lond. A 348:101.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cpml.crystallography.tensors import rotation_5x5
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity.arguments import Values, as_matrices, as_rate, as_stress, as_tensor
from cpml.plasticity.crystal.any_law import solve_any_law
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.crystal.cone import check_made
from cpml.plasticity.crystal.kernels import solve_grains
from cpml.plasticity.crystal.newton import regularised
from cpml.plasticity.crystal.solution import Solution
from cpml.plasticity.laws import flow
from cpml.plasticity.laws.law import Law, PowerLaw, check_law, check_rank, drive_of, on_device

_MAX_ITER = 100


class _ImplicitStress(torch.autograd.Function):
    """s(d, xi, n, rate0) in crystal axes; forward receives the solution and attaches its derivative."""

    @staticmethod
    def forward(  # type: ignore[override]  # the base class takes anything
        ctx: Any,
        solved: Tensor,
        rate: Tensor,
        strength: Tensor,
        n: Tensor,
        reference_rate: Tensor,
        schmid: Tensor,
        is_polar: Tensor,
    ) -> Tensor:
        stress = solved.clone()
        ctx.save_for_backward(stress, strength, n, reference_rate, schmid, is_polar)
        ctx.rate_shape = rate.shape
        return stress

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]  # one output
        stress, strength, n, reference_rate, schmid, is_polar = ctx.saved_tensors
        needs = ctx.needs_input_grad[1:5]
        tau = stress @ schmid.T
        shear_rate, slope = flow.rates(tau, strength, is_polar, n, reference_rate)
        products = (schmid[:, :, None] * schmid[:, None, :]).reshape(-1, 25)
        hessian = (slope @ products).unflatten(-1, (5, 5))
        adjoint = torch.linalg.solve(regularised(hessian, 1e-15), grad)
        along = (adjoint @ schmid.T) * shear_rate  # lambda.P_s gamma_dot_s
        by_rate = adjoint.sum_to_size(ctx.rate_shape) if needs[0] else None
        by_strength = (along * n / strength).sum_to_size(strength.shape) if needs[1] else None
        by_n = by_reference = None
        if needs[2]:
            log_x = (tau / strength).abs().clamp(min=1e-300).log()  # of systems at rest `along` is zero
            by_n = -(along * log_x).sum().reshape(n.shape)
        if needs[3]:
            by_reference = -(along / reference_rate).sum().reshape(n.shape)
        return None, by_rate, by_strength, by_n, by_reference, None, None


def single_crystal(
    law: Law,
    rate: Load | Conditions | Values | None,
    crystal_to_sample: Values,
    *,
    stress: Values | None = None,
    tol: float = 1e-10,
    start: Tensor | None = None,
    device: torch.device | str | None = None,
) -> Solution:
    """Single crystals under a strain rate, under a stress, or under mixed conditions.

    Parameters
    ----------
    law : PowerLaw, whose strengths broadcast against the batch of points, or any record with schmid and rates
    rate : (3, 3) or (..., 3, 3) symmetric traceless strain rate, 1/s, sample frame; or 5-vectors; or a Load;
        or Conditions that impose some rates and some stresses; None where `stress` is given
    crystal_to_sample : (..., 3, 3) matrices or (..., 4) quaternions
    stress : (..., 3, 3) or (..., 5) MPa, sample frame: the strain rate follows directly
    tol : convergence when |sum gamma_dot P - d| <= tol |d|
    start : (..., 5) stress of a nearby problem, MPa, sample frame; saves the
        continuation (compiled loop only)
    device : of torch, e.g. "cuda", for a PowerLaw: solved and left there; None takes
        the compiled loop on the CPU

    Returns
    -------
    Solution, differentiable in strength, n, reference rate, strain rate or stress, and orientation

    Raises
    ------
    ParameterError : systems that span fewer than five strain modes, a rate with a trace, both or
        neither of rate and stress, NaN input

    Examples
    --------
    >>> from cpml.crystallography import systems
    >>> law = PowerLaw(systems("fcc", families=["octahedral"]), [30.0])
    >>> pulled = single_crystal(law, Conditions.uniaxial(2, 1.0), [1.0, 0, 0, 0])  # along [001], sides free
    >>> back = single_crystal(law, None, [1.0, 0, 0, 0], stress=pulled.value)
    >>> print(f"{back.value[1] * (2 / 3) ** 0.5:.4f} /s")  # D33: the basis has (2 D33 - D11 - D22)/sqrt6
    1.0000 /s
    """
    if (rate is None) == (stress is None):
        raise ParameterError("give either a strain rate (or Conditions) or, with rate = None, a stress")
    matrices = as_matrices(crystal_to_sample)
    if device is not None:
        law, matrices = on_device(law, device), matrices.to(device)
    check_law(law, associated=False)
    if stress is not None:
        return _of_stress(law, as_stress(stress).to(matrices.device), rotation_5x5(matrices))
    assert rate is not None  # one of the two is given
    if isinstance(law, PowerLaw) and not isinstance(rate, Conditions) and device is None:
        return _of_rate(law, as_rate(rate), rotation_5x5(matrices), tol, start)
    return solve_any_law(law, rate, matrices, max(tol, 1e-12))


def _of_stress(law: Law, stress: Tensor, turn: Tensor) -> Solution:
    """Strain rate and shear rates of a given stress: no iteration."""
    schmid = law.schmid.to(turn.device)
    drive = drive_of(law).to(turn.device)
    shear_rate, _ = law.rates((stress[..., None, :] @ turn)[..., 0, :] @ drive.T)
    rate = (turn @ (shear_rate @ schmid)[..., None])[..., 0]
    is_finite = torch.isfinite(rate).all(-1)
    residual = torch.where(is_finite, 0.0, torch.inf)
    return Solution(stress.expand(rate.shape), rate, shear_rate, is_finite, 0, residual, solves_for="rate")


def _of_rate(law: PowerLaw, rate: Tensor, turn: Tensor, tol: float, start: Tensor | None) -> Solution:
    """Stress of a power law at a given strain rate, by the compiled loop, with its derivatives."""
    check_rank(law.systems.schmid5)
    local = (rate[..., None, :] @ turn)[..., 0, :]  # Q^T d
    check_made(law, local.detach().numpy().reshape(-1, 5), some=True)
    guess = None if start is None else (start[..., None, :] @ turn)[..., 0, :].detach()
    solved, residual, n_iter = _minimise(law, local.detach(), guess, tol)
    n, reference_rate = as_tensor(law.n), as_tensor(law.reference_rate)
    stress = _ImplicitStress.apply(
        solved, local, law.system_strength, n, reference_rate, law.schmid, law.is_polar
    )
    shear_rate, _ = law.rates(stress @ law.schmid.T)
    stress = (turn @ stress[..., None])[..., 0]
    return Solution(stress, rate.expand(stress.shape), shear_rate, residual <= tol, n_iter, residual)


def _minimise(law: PowerLaw, rate: Tensor, guess: Tensor | None, tol: float) -> tuple[Tensor, Tensor, int]:
    """Scaled to |d| = 1 and unit strength, the batch flattened, solved and scaled back: stress (..., 5) in
    crystal axes, residual (...) relative to |d|, iterations of the slowest point.
    """
    n, rate0, strength = (
        as_tensor(law.n).item(),
        as_tensor(law.reference_rate).item(),
        law.system_strength.detach(),
    )
    shape, systems = torch.broadcast_shapes(rate.shape[:-1], strength.shape[:-1]), len(law.systems)
    rate = rate.expand(*shape, 5).reshape(-1, 5)
    size = rate.norm(dim=-1, keepdim=True)
    reference = strength.mean(-1, keepdim=True)
    relative = strength / reference
    if strength.ndim > 1:
        relative = relative.expand(*shape, systems)
    unit = reference.expand(*shape, 1).reshape(-1, 1) * (size / rate0) ** (1 / n)
    count = len(rate)
    stress = np.zeros((count, 5))
    if guess is not None:
        stress[:] = (guess.expand(*shape, 5).reshape(-1, 5) / unit).numpy()
    iterations, residual = np.zeros(count, np.int64), np.empty(count)
    solve_grains(
        np.ascontiguousarray(law.systems.schmid5.T)[None],
        np.ascontiguousarray(relative.reshape(-1, systems).numpy()),
        law.systems.twin,
        n,
        np.zeros((5, 5)),
        np.ascontiguousarray((rate / size).numpy()),
        guess is not None,
        tol,
        _MAX_ITER,
        stress,
        np.empty((count, systems)),
        np.empty((count, systems)),
        iterations,
        residual,
        0,
        count,
    )
    found = (torch.as_tensor(stress) * unit).reshape(*shape, 5)
    return found, torch.as_tensor(residual).reshape(shape), int(np.abs(iterations).max())
