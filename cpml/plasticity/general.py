"""Single crystals of any flow law: Newton on the strain rate with the law's own rates and slopes.

    sum_s P_s rate_s(tau_s) = d,   tau_s = P_s.s,   H = sum_s slope_s P_s P_s^T

Rates that rise with their stress make the map monotone: a Newton step always lowers |r| when it is short enough. The
start is that of a linear law whose strengths are the stresses at which each mode alone would give |d|. Laws add up by
`Together`: glide and climb in one crystal.

| symbol | meaning | shape |
|---|---|---|
| P | Schmid or climb tensors of the law | (S, 5) |
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from cpml.errors import ParameterError
from cpml.plasticity.basis import rotation_5x5
from cpml.plasticity.law import check_rank
from cpml.plasticity.orientation import as_matrices, as_rate


@dataclass(frozen=True)
class Together:
    """Several laws at work in one crystal; their modes follow one another."""

    laws: tuple

    @property
    def schmid(self) -> Tensor:
        """(S, 5) tensors of all laws."""
        return torch.cat([law.schmid for law in self.laws])

    @property
    def parts(self) -> tuple[slice, ...]:
        """Where the modes of each law lie."""
        ends = np.cumsum([0] + [len(law.schmid) for law in self.laws])
        return tuple(slice(a, b) for a, b in pairwise(ends))

    def rates(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Rates and slopes of all modes."""
        found = [law.rates(tau[..., part]) for law, part in zip(self.laws, self.parts)]
        return torch.cat([f[0] for f in found], -1), torch.cat([f[1] for f in found], -1)


@dataclass(frozen=True)
class Flow:
    """Solution: stress (..., 5) MPa sample frame, rates (..., S) 1/s, converged, residual relative to |d|."""

    stress: Tensor
    rate: Tensor
    converged: Tensor
    residual: Tensor
    n_iter: int


def solve_crystal(law, rate, crystal_to_sample, *, tol: float = 1e-8, max_iter: int = 300) -> Flow:
    """Stress of single crystals of `law` (schmid, rates) at a strain rate; arguments as single_crystal."""
    check_law(law)
    matrices = as_matrices(crystal_to_sample)
    shape, turn = matrices.shape[:-2], rotation_5x5(matrices).reshape(-1, 5, 5)
    d = as_rate(rate).expand(*shape, 5).reshape(-1, 5)
    d = (d[:, None, :] @ turn)[:, 0].detach()
    schmid = law.schmid.detach()
    check_rank(schmid.numpy())
    size = d.norm(dim=-1, keepdim=True)
    strength = stress_at_rate(law, float(size.max()))
    s = _linear(schmid, strength, d / size)
    s = s / ((s @ schmid.T).abs() / strength).amax(-1, keepdim=True)
    s, residual, n_iter = _newton(law, schmid, s, d, size, tol, max_iter)
    flow, _ = law.rates(s @ schmid.T)
    stress = (turn @ s[..., None])[..., 0].reshape(*shape, 5)
    return Flow(stress, flow.reshape(*shape, -1), (residual <= tol).reshape(shape), residual.reshape(shape), n_iter)


def stress_at_rate(law, rate: float) -> Tensor:
    """(S,) stress at which each mode alone moves at `rate`, MPa, by bisection; 1e5 where none does."""
    low = torch.full((len(law.schmid),), 1e-9, dtype=torch.float64)
    high = torch.full_like(low, 1e5)
    for _ in range(80):
        middle = (low * high).sqrt()
        moves = law.rates(middle)[0].detach() >= rate
        low, high = torch.where(moves, low, middle), torch.where(moves, middle, high)
    return high


def _linear(schmid: Tensor, strength: Tensor, d: Tensor) -> Tensor:
    matrix = torch.einsum("s,si,sj->ij", 1 / strength, schmid, schmid)
    return torch.linalg.solve(matrix, d.T).T


def _newton(law, schmid: Tensor, s: Tensor, d: Tensor, size: Tensor, tol: float, max_iter: int):
    count = len(s)
    best = torch.full((count,), torch.inf, dtype=s.dtype)
    damping = torch.full((count,), 1e-14, dtype=s.dtype)
    for iteration in range(max_iter):
        flow, slope = law.rates(s @ schmid.T)
        r = (flow @ schmid - d) / size
        best = r.norm(dim=-1)
        if bool(((best <= tol) | (damping > 1e6)).all()):
            break
        h = torch.einsum("ns,si,sj->nij", slope / size, schmid, schmid)
        trace = h.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None].clamp(min=1e-300)
        step = torch.linalg.solve(h + damping[:, None, None] * trace * torch.eye(5, dtype=s.dtype), r)
        share, moved = torch.ones(count, dtype=s.dtype), torch.zeros(count, dtype=torch.bool)
        for _ in range(40):
            trial = s - torch.where(moved, 0.0, share)[:, None] * step
            error = ((law.rates(trial @ schmid.T)[0] @ schmid - d) / size).norm(dim=-1)
            better = ~moved & torch.isfinite(error) & (error < (1 - 1e-4 * share) * best) & (best > tol)
            s = torch.where(better[:, None], trial, s)
            moved |= better
            if bool((moved | (best <= tol)).all()):
                break
            share = torch.where(moved, share, share / 2)
        damping = torch.where(moved | (best <= tol), (damping / 10).clamp(min=1e-14), damping * 1e3)
    return s, best, iteration


def check_law(law) -> None:
    """ParameterError unless the object has the two parts of a law: schmid (S, 5) and rates(tau)."""
    if not callable(getattr(law, "rates", None)) or getattr(law, "schmid", None) is None:
        raise ParameterError(f"{type(law).__name__} is no flow law: it needs schmid (S, 5) and rates(tau)")
