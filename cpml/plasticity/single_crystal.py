"""Viscoplastic single crystals under a prescribed strain rate: batched Newton, implicit gradients.

The deviatoric stress s minimises the strictly convex

    phi(s) = sum_s rate0 xi/(n+1) |tau_s/xi|^(n+1) - s.d,     tau_s = P_s.s   (twins: max(tau, 0))
    gradient r = sum_s gamma_dot_s P_s - d,    Hessian H = sum_s (rate0 n/xi) |tau_s/xi|^(n-1) P_s P_s^T

in crystal axes (P constant, d = Q^T d_sample). Scaled so that |d| = 1 and rate0 = 1. Along a ray the minimum is exact,
alpha^n = s.d / sum xi |x|^(n+1), so every trial is put on its best radius before Armijo judges it. Continuation in n
(1 is linear) supplies the start. Each point has its own step and its own convergence flag.

Implicit gradient: with lambda = H^-1 dL/ds,  dL/dtheta = -lambda . dr/dtheta for theta = d, xi, n, rate0; the rotation
is outside, so orientations get theirs by the chain rule. The backward pass is itself made of differentiable operations.

| symbol | meaning | unit | shape |
|---|---|---|---|
| s, d | stress and strain rate in the 5-basis | MPa, 1/s | (..., 5) |
| P | Schmid tensors | | (S, 5) |

References: Asaro & Needleman 1985, Acta Metall. 33:923; Hutchinson 1976, Proc. R. Soc. Lond. A 348:101.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cpml.errors import ParameterError
from cpml.plasticity.basis import rotation_5x5
from cpml.plasticity.kernels import solve_grains
from cpml.plasticity.law import PowerLaw, check_rank, integer_power
from cpml.plasticity.newton import minimise
from cpml.plasticity.orientation import as_matrices, as_rate, as_tensor

ENGINES = ("numba", "torch")


@dataclass(frozen=True)
class Solution:
    """Stress and slip of single crystals (sample frame); points that did not converge are flagged, never hidden."""

    stress: Tensor  # (..., 5) deviator, MPa, sample frame, basis of cpml.plasticity.basis
    shear_rate: Tensor  # (..., S) 1/s
    converged: Tensor  # (...) bool
    n_iter: int  # Newton iterations of the slowest point, continuation included
    residual: Tensor  # (...) |sum gamma_dot P - d| / |d|


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
        x = (stress @ schmid.T) / strength
        x = torch.where(is_polar, x.clamp(min=0), x)
        f = reference_rate * integer_power(x.abs(), n - 1)
        hessian = torch.einsum("...s,si,sj->...ij", n * f / strength, schmid, schmid)
        scale = hessian.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
        hessian = hessian + 1e-15 * scale * torch.eye(5, dtype=hessian.dtype)
        adjoint = torch.linalg.solve(hessian, grad)
        along = (adjoint @ schmid.T) * f * x  # lambda.P_s gamma_dot_s
        log_x = torch.where(x == 0, 0.0, x.abs().clamp(min=1e-300).log())
        return (None, adjoint.sum_to_size(ctx.rate_shape), (along * n / strength).sum_to_size(strength.shape),
                -(along * log_x).sum().reshape(n.shape), -(along / reference_rate).sum().reshape(n.shape), None, None)


def single_crystal(law: PowerLaw, rate, crystal_to_sample, *, tol: float = 1e-10, max_iter: int = 100,
                   start: Tensor | None = None, engine: str = "numba") -> Solution:
    """Stress and shear rates of single crystals at a prescribed strain rate.

    Parameters
    ----------
    law : strengths broadcast against the batch of points
    rate : (3, 3) or (..., 3, 3) symmetric traceless strain rate, 1/s, sample frame; or 5-vectors; or a Load
    crystal_to_sample : (..., 3, 3) matrices or (..., 4) quaternions
    tol : convergence when |sum gamma_dot P - d| <= tol |d|
    start : (..., 5) stress of a nearby problem, MPa, sample frame; saves the continuation
    engine : "numba" (fused loop over points) or "torch" (batched); equal to the tolerance

    Returns
    -------
    Solution, differentiable in strength, n, reference rate, strain rate and orientation

    Raises
    ------
    ParameterError : systems that span fewer than five strain modes, a rate with a trace, NaN input
    """
    if engine not in ENGINES:
        raise ParameterError(f"engine = {engine!r}: choose from {', '.join(ENGINES)}")
    check_rank(law.systems.schmid5)
    turn = rotation_5x5(as_matrices(crystal_to_sample))
    local = (as_rate(rate)[..., None, :] @ turn)[..., 0, :]  # Q^T d
    schmid, strength = law.schmid, law.system_strength
    guess = None if start is None else (start[..., None, :] @ turn)[..., 0, :].detach()
    found = _solve(law, local.detach(), strength.detach(), guess, tol, max_iter, engine)
    n, reference_rate = as_tensor(law.n), as_tensor(law.reference_rate)
    stress = _ImplicitStress.apply(found[0], local, strength, n, reference_rate, schmid, law.is_polar)
    shear_rate, _ = law.rates(stress @ schmid.T)
    stress = (turn @ stress[..., None])[..., 0]
    residual = found[1]
    return Solution(stress, shear_rate, residual <= tol, found[2], residual)


def _solve(law, rate: Tensor, strength: Tensor, guess, tol: float, max_iter: int,
           engine: str) -> tuple[Tensor, Tensor, int]:
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
    found = minimise((rate / size).T.contiguous(), law.schmid, relative.T,
                     law.is_polar, n, tol=tol, max_iter=max_iter, start=guess)
    stress = (found.stress.T * factor).reshape(*shape, 5)
    return stress, found.residual.reshape(shape), found.n_iter


def _fused(law, rate: Tensor, strength: Tensor, n: float, tol: float, max_iter: int, guess) -> tuple[Tensor, Tensor, int]:
    """The scaled problem by the compiled loop: stress (N, 5), residual (N,), iterations of the slowest point."""
    count, systems = len(rate), len(law.systems)
    stress = np.zeros((count, 5)) if guess is None else np.array(guess.numpy())
    schmid = np.ascontiguousarray(law.systems.schmid5.T)[None]
    iterations, residual = np.zeros(count, np.int64), np.empty(count)
    solve_grains(schmid, np.ascontiguousarray(strength.numpy()), law.systems.twin, n, np.zeros((5, 5)),
                 np.ascontiguousarray(rate.numpy()), guess is not None, tol, max_iter, stress,
                 np.empty((count, systems)), np.empty((count, systems)), iterations, residual, 0, count)
    return torch.as_tensor(stress), torch.as_tensor(residual), int(np.abs(iterations).max())


def stress_matrix(vector) -> np.ndarray:
    """Stress deviators (..., 3, 3), numpy, of 5-vectors (torch or numpy)."""
    from cpml.plasticity.basis import to_matrix
    return to_matrix(np.asarray(vector.detach() if isinstance(vector, Tensor) else vector))
