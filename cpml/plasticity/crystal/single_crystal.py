"""Viscoplastic single crystals: stress from strain rate, strain rate from stress, and mixed conditions.

For a power law the deviatoric stress s minimises the strictly convex

    phi(s) = sum_s rate0 xi/(n+1) |tau_s/xi|^(n+1) - s.d,     tau_s = P_s.s   (twins: max(tau, 0))
    gradient r = sum_s gamma_dot_s P_s - d,    Hessian H = sum_s (rate0 n/xi) |tau_s/xi|^(n-1) P_s P_s^T

in crystal axes (P constant, d = Q^T d_sample). Scaled so that |d| = 1 and rate0 = 1. Along a ray the minimum
is exact, alpha^n = s.d / sum xi |x|^(n+1), so every trial is put on its best radius before Armijo judges it.
Continuation in n (1 is linear) supplies the start. Each point has its own step and its own convergence flag.
Other laws and mixed conditions go through cpml.plasticity.crystal.any_law.

Implicit gradient: with lambda = H^-1 dL/ds,  dL/dtheta = -lambda . dr/dtheta for theta = d, xi, n, rate0; the rotation
is outside, so orientations get theirs by the chain rule. The backward pass is itself
made of differentiable operations.

| symbol | meaning | unit | shape |
|---|---|---|---|
| s, d | stress and strain rate in the 5-basis | MPa, 1/s | (..., 5) |
| P | Schmid tensors | | (S, 5) |

References: Asaro & Needleman 1985, Acta Metall. 33:923; Hutchinson 1976, Proc. R. Soc. Lond. A 348:101.
"""

import numpy as np
import torch
from torch import Tensor

from cpml.crystallography.tensors import rotation_5x5
from cpml.errors import ParameterError
from cpml.plasticity.arguments import as_matrices, as_rate, as_stress, as_tensor
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.crystal.kernels import solve_grains
from cpml.plasticity.crystal.mixed import solve_mixed
from cpml.plasticity.crystal.newton import minimise, solve5
from cpml.plasticity.crystal.solution import Solution
from cpml.plasticity.laws import flow
from cpml.plasticity.laws.law import PowerLaw, check_rank
from cpml.plasticity.laws.together import check_law

ENGINES = ("numba", "torch")


class _ImplicitStress(torch.autograd.Function):
    """s(d, xi, n, rate0) in crystal axes; forward receives the solution and attaches its derivative."""

    @staticmethod
    def forward(ctx, solved, rate, strength, n, reference_rate, schmid, is_polar):
        stress = solved.clone()
        ctx.save_for_backward(stress, strength, n, reference_rate, schmid, is_polar)
        ctx.rate_shape = rate.shape
        return stress

    @staticmethod
    def backward(ctx, grad):
        stress, strength, n, reference_rate, schmid, is_polar = ctx.saved_tensors
        needs = ctx.needs_input_grad[1:5]
        tau = stress @ schmid.T
        shear_rate, slope = flow.rates(tau, strength, is_polar, n, reference_rate)
        adjoint = _solve_hessian(schmid, slope, grad)
        along = (adjoint @ schmid.T) * shear_rate if any(needs[1:]) else None  # lambda.P_s gamma_dot_s
        by_rate = adjoint.sum_to_size(ctx.rate_shape) if needs[0] else None
        by_strength = (along * n / strength).sum_to_size(strength.shape) if needs[1] else None
        by_n = by_reference = None
        if needs[2]:
            log_x = (tau / strength).abs().clamp(min=1e-300).log()  # of systems at rest `along` is zero
            by_n = -(along * log_x).sum().reshape(n.shape)
        if needs[3]:
            by_reference = -(along / reference_rate).sum().reshape(n.shape)
        return None, by_rate, by_strength, by_n, by_reference, None, None


def _solve_hessian(schmid: Tensor, slope: Tensor, right: Tensor) -> Tensor:
    """(..., 5) solutions of sum_s slope_s P_s P_s^T y = right, with a floor where
    fewer than five systems are active.
    """
    row, column = torch.tril_indices(5, 5)
    lower = slope @ (schmid[:, row] * schmid[:, column])
    shape = torch.broadcast_shapes(lower.shape[:-1], right.shape[:-1])
    lower, right = lower.expand(*shape, 15).reshape(-1, 15), right.expand(*shape, 5).reshape(-1, 5)
    return solve5(lower.T, right.T, 1e-15).T.reshape(*shape, 5)


def single_crystal(
    law,
    rate,
    crystal_to_sample,
    *,
    stress=None,
    tol: float = 1e-10,
    max_iter: int = 100,
    start: Tensor | None = None,
    engine: str = "numba",
    device=None,
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
        continuation (strain rate, power law)
    engine : "numba" (fused loop over points) or "torch" (batched); equal to the tolerance
    device : of torch, e.g. "cuda": arguments are moved there, the engine is torch, the result stays there

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
    >>> print(
    ...     f"{back.value[1] * (2 / 3) ** 0.5:.4f} /s"
    ... )  # second component of the basis: (2 D33 - D11 - D22)/sqrt6
    1.0000 /s
    """
    if engine not in ENGINES:
        raise ParameterError(f"engine = {engine!r}: choose from {', '.join(ENGINES)}")
    if (rate is None) == (stress is None):
        raise ParameterError("give either a strain rate (or Conditions) or, with rate = None, a stress")
    matrices = as_matrices(crystal_to_sample)
    if device is not None:
        law, matrices, engine = law.to(device), matrices.to(device), "torch"
    if stress is not None:
        return _of_stress(law, as_stress(stress).to(matrices.device), rotation_5x5(matrices))
    if isinstance(rate, Conditions) or not isinstance(law, PowerLaw):
        check_law(law)
        return solve_mixed(law, rate, matrices, max(tol, 1e-12))
    check_rank(law.systems.schmid5)
    rate, turn = as_rate(rate).to(matrices.device), rotation_5x5(matrices)
    local = (rate[..., None, :] @ turn)[..., 0, :]  # Q^T d
    schmid, strength = law.schmid, law.system_strength
    guess = None if start is None else (start[..., None, :] @ turn)[..., 0, :].detach()
    found = _solve(law, local.detach(), strength.detach(), guess, tol, max_iter, engine)
    n, reference_rate = (as_tensor(v).to(strength.device) for v in (law.n, law.reference_rate))
    stress = _ImplicitStress.apply(found[0], local, strength, n, reference_rate, schmid, law.is_polar)
    shear_rate, _ = law.rates(stress @ schmid.T)
    stress = (turn @ stress[..., None])[..., 0]
    return Solution(stress, rate.expand(stress.shape), shear_rate, found[1] <= tol, found[2], found[1])


def _of_stress(law, stress: Tensor, turn: Tensor) -> Solution:
    """Strain rate and shear rates of a given stress: no iteration."""
    schmid = law.schmid.to(turn.device)
    shear_rate, _ = law.rates((stress[..., None, :] @ turn)[..., 0, :] @ schmid.T)
    rate = (turn @ (shear_rate @ schmid)[..., None])[..., 0]
    is_finite = torch.isfinite(rate).all(-1)
    return Solution(
        stress.expand(rate.shape),
        rate,
        shear_rate,
        is_finite,
        0,
        torch.where(is_finite, 0.0, torch.inf),
        "rate",
    )


def _solve(
    law, rate: Tensor, strength: Tensor, guess, tol: float, max_iter: int, engine: str
) -> tuple[Tensor, Tensor, int]:
    """Scale to |d| = 1 and unit strength, flatten the batch, minimise, scale back; residual relative to |d|."""
    n, rate0 = as_tensor(law.n).item(), as_tensor(law.reference_rate).item()
    shape = torch.broadcast_shapes(rate.shape[:-1], strength.shape[:-1])
    rate = rate.expand(*shape, 5).reshape(-1, 5)
    size = rate.norm(dim=-1, keepdim=True)
    reference = strength.mean(-1, keepdim=True)
    relative = strength / reference
    if strength.ndim > 1:
        relative = relative.expand(*shape, relative.shape[-1]).reshape(-1, relative.shape[-1])
    factor = reference.expand(*shape, 1).reshape(-1, 1) * (size / rate0) ** (1 / n)
    if guess is not None:
        guess = guess.expand(*shape, 5).reshape(-1, 5) / factor
    relative = relative.reshape(-1, relative.shape[-1])
    if engine == "numba":
        stress, residual, n_iter = _fused(law, rate / size, relative, n, tol, max_iter, guess)
        return (stress * factor).reshape(*shape, 5), residual.reshape(shape), n_iter
    guess = None if guess is None else guess.T.contiguous()
    found = minimise(
        (rate / size).T.contiguous(),
        law.schmid,
        relative.T,
        law.is_polar,
        n,
        tol=tol,
        max_iter=max_iter,
        start=guess,
    )
    stress = (found.stress.T * factor).reshape(*shape, 5)
    return stress, found.residual.reshape(shape), found.n_iter


def _fused(
    law, rate: Tensor, strength: Tensor, n: float, tol: float, max_iter: int, guess
) -> tuple[Tensor, Tensor, int]:
    """The scaled problem by the compiled loop: stress (N, 5), residual (N,), iterations of the slowest point."""
    count, systems = len(rate), len(law.systems)
    stress = np.zeros((count, 5)) if guess is None else np.array(guess.numpy())
    schmid = np.ascontiguousarray(law.systems.schmid5.T)[None]
    iterations, residual = np.zeros(count, np.int64), np.empty(count)
    solve_grains(
        schmid,
        np.ascontiguousarray(strength.numpy()),
        law.systems.twin,
        n,
        np.zeros((5, 5)),
        np.ascontiguousarray(rate.numpy()),
        guess is not None,
        tol,
        max_iter,
        stress,
        np.empty((count, systems)),
        np.empty((count, systems)),
        iterations,
        residual,
        0,
        count,
    )
    return torch.as_tensor(stress), torch.as_tensor(residual), int(np.abs(iterations).max())
