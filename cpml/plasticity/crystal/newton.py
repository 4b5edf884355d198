"""Batched Newton for crystals of any law: its own rates and slopes, some strain rates
and some stresses imposed.

    r(y) = M^T rate(tau0 + M y) + A y - c = 0,    Hessian M^T diag(slope) M + A  (positive semi-definite)

The stress is s = s0 + N y: N spans the directions whose strain rate is imposed, s0 holds the imposed
stresses, and so M = P N, tau0 = P s0. Rates that rise with their stress make the map monotone: a Newton step
always lowers |r| when it is short enough. The start is that of a linear law whose strengths are the stresses
at which each mode alone would give the rate. Laws add up by `Together`: glide and climb in one crystal.

Laws that are not associated (cpml.plasticity.laws.non_schmid) resolve the stress by other tensors than those
of their modes; the Hessian is then no symmetric matrix, and the steps are those of Newton for equations.

The compiled loop of `cpml.plasticity.crystal.kernels` is the same for power laws on
the CPU, one grain at a time.

| symbol | meaning | shape |
|---|---|---|
| P | Schmid or climb tensors of the law | (S, 5) |
| M, tau0 | modes along the unknowns, stresses already imposed | (G, S, k), (G, S) |
| A, c | interaction (cpml.plasticity.polycrystal.medium), right side | (k, k), (G, k) |
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_LEAST_DAMPING, _MOST_DAMPING = (
    1e-14,
    1e6,
)  # of the trace of the Hessian: beyond it a point has stopped moving
_TINY = 1e-300  # keeps divisions by exact zeros finite


@dataclass(frozen=True)
class Equations:
    """One batch of problems (module docstring)."""

    rates: Callable[[Tensor], tuple[Tensor, Tensor]]
    modes: Tensor  # (G, S, k)
    right: Tensor  # (G, k)
    given: Tensor | None = None  # tau0 (G, S), None: no stress is imposed
    interaction: Tensor | None = None  # A (k, k)
    drives: Tensor | None = None  # (G, S, k) what resolves the stress, None: the modes

    def tau(self, y: Tensor) -> Tensor:
        """(G, S) resolved stresses."""
        along = ((self.modes if self.drives is None else self.drives) @ y[..., None])[..., 0]
        return along if self.given is None else self.given + along

    def residual(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """r (G, k) and slopes (G, S)."""
        rate, slope = self.rates(self.tau(y))
        flow = (rate[:, None, :] @ self.modes)[:, 0]
        return (flow if self.interaction is None else flow + y @ self.interaction) - self.right, slope

    def hessian(self, slope: Tensor) -> Tensor:
        """(G, k, k)."""
        drives = self.modes if self.drives is None else self.drives
        matrix = (self.modes * slope[..., None]).transpose(1, 2) @ drives
        return matrix if self.interaction is None else matrix + self.interaction


def regularised(matrix: Tensor, share: Tensor | float) -> Tensor:
    """matrix + share tr(matrix) I of (..., k, k): a crystal with fewer active systems than unknowns has a
    singular one, and its step would be noise along the idle directions.
    """
    trace = matrix.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return matrix + (share * trace + _TINY) * eye


def linear_start(equations: Equations, strength: Tensor) -> Tensor:
    """(G, k) solution for linear modes: each moves at the size of the right side under
    its strength (S,) or (G, S).

    Without imposed stresses it is put on the scale where the largest resolved stress reaches its strength.
    """
    size = equations.right.norm(dim=-1, keepdim=True).clamp(min=_TINY)
    ease = (size / strength).expand(equations.modes.shape[:2])
    right = equations.right
    if equations.given is not None:
        right = right - ((ease * equations.given)[:, None, :] @ equations.modes)[:, 0]
    y = torch.linalg.solve(regularised(equations.hessian(ease), 1e-12), right)
    top = (equations.tau(y).abs() / strength).amax(-1, keepdim=True)
    is_free = equations.given is None or not bool(equations.given.any())
    return y / top.clamp(min=_TINY if is_free else 1.0)


def newton(equations: Equations, y: Tensor, tol: float, max_iter: int) -> tuple[Tensor, Tensor, int]:
    """Damped Newton from y (G, k): solution, residual relative to the right side
    (G,), iterations of the slowest.

    A step must lower the residual; one that does not is halved, and after that damped (Levenberg-Marquardt).
    """
    size = equations.right.norm(dim=-1).clamp(min=_TINY)
    damping = torch.full_like(size, _LEAST_DAMPING)
    r, slope = equations.residual(y)
    best = r.norm(dim=-1) / size
    for iteration in range(1, max_iter + 1):
        is_done = (best <= tol) | (damping > _MOST_DAMPING)
        if bool(is_done.all()):
            return y, best, iteration - 1
        step = torch.linalg.solve(regularised(equations.hessian(slope), damping[:, None, None]), r)
        y, moved = _search(equations, y, step, best, size, is_done)
        r, slope = equations.residual(y)
        before, best = best, r.norm(dim=-1) / size
        stalls = (best < 1e-8) & (best > 0.5 * before)  # as good as float64 makes it
        change = torch.where(moved, (damping / 10).clamp(min=_LEAST_DAMPING), damping * 1e3)
        change = torch.where(stalls, 10 * _MOST_DAMPING, change)
        damping = torch.where(is_done, damping, change)
    return y, best, max_iter


def _search(
    equations: Equations, y: Tensor, step: Tensor, best: Tensor, size: Tensor, is_done: Tensor
) -> tuple[Tensor, Tensor]:
    """Halve the steps of the points whose residual would not fall; returns y and which points moved."""
    share, moved = torch.ones_like(best), is_done.clone()
    for _ in range(40):
        trial = torch.where(moved[:, None], y, y - share[:, None] * step)
        error = equations.residual(trial)[0].norm(dim=-1) / size
        better = ~moved & torch.isfinite(error) & (error < (1 - 1e-4 * share) * best)
        y = torch.where(better[:, None], trial, y)
        moved = moved | better
        if bool(moved.all()):
            break
        share = torch.where(moved, share, share / 2)
    return y, moved


def attached(equations: Equations, y: Tensor) -> Tensor:
    """The solution y (G, k, no graph) with its first derivatives: one Newton step whose
    matrix carries no gradient.
    """
    r, slope = equations.residual(y)
    if not r.requires_grad:
        return y
    matrix = regularised(equations.hessian(slope).detach(), 1e-15)
    return y - torch.linalg.solve(matrix, r - r.detach())
