"""Derivatives of a solved mean field by the implicit function theorem: one adjoint
system, no unrolled iterations.

The unknowns x = (Mbar, Sigma, D) and s_g solve

    r_g = sum_s P_s gamma_s(P_s.s_g) + Mt (s_g - Sigma) - D = 0                     every grain (5)
    E1 = <C_g>^-1 - Mt(Mbar) - Mbar = 0 (15),   E2 = <s_g> - Sigma = 0 (5),   E3: boundary conditions (5)

with C_g = (share H_g + Mt)^-1. The grains are eliminated, ds_g = (H_g + Mt)^-1 (dD + Mt dSigma + dMt (Sigma -
s_g) - dr_g), which leaves 25 equations. For a loss L the multipliers m solve J^T m = -dL/dx, J = dE/dx; then

    dL/dtheta = sum_g lam_g.(-dr_g/dtheta) + m.dE/dtheta,    lam_g = (H_g + Mt)^-1 (dL/ds_g + m.dE/ds_g)

for theta = orientations, strengths, n, reference rate, weights. Taylor and relaxed constraints have no E1
and a constant A in place of Mt. Two passes over the grains (cpml.plasticity.polycrystal.adjoint_kernels)
cost about one pass of the solver.

| symbol | meaning | shape |
|---|---|---|
| `_bar` | derivative of the loss by a quantity | its shape |
| mu, Lambda | multipliers of E2 and E1; pull = <C>^-1 Lambda <C>^-1 | (5,), (5, 5) |

All numbers are in units of the solution (stress |Sigma|, rate |D|).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.tensors import BASIS
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.polycrystal.adjoint_kernels import Bars, Frame, SolvedGrains, Sums, gather, scatter
from cpml.plasticity.polycrystal.eshelby import Sphere
from cpml.plasticity.polycrystal.eshelby_gradient import LOWER, UNITS, interaction_slopes
from cpml.plasticity.polycrystal.grain_kernels import rotate_schmid
from cpml.plasticity.polycrystal.medium import EffectiveMedium
from cpml.plasticity.polycrystal.schemes import Linearisation

_DOUBLE = np.where(LOWER[0] == LOWER[1], 1.0, 2.0)


@dataclass(frozen=True)
class Solved:
    """What the backward pass needs of a solved step."""

    medium: EffectiveMedium
    conditions: Conditions
    line: Linearisation
    sphere: Sphere
    schmid: NDArray  # (S, 5) crystal frame


class MeanFieldSolution(torch.autograd.Function):
    """(matrices, strength, n, rate0, weights) -> Sigma, D, grain stress, shear rates, spin tensor."""

    @staticmethod
    def forward(  # type: ignore[override]  # the base class takes anything
        ctx: Any,
        solved: Solved,
        matrices: Tensor,
        strength: Tensor,
        n: Tensor,
        reference_rate: Tensor,
        weights: Tensor,
    ) -> tuple[Tensor, ...]:
        """The solution itself."""
        ctx.solved = solved
        ctx.save_for_backward(matrices, strength, n, reference_rate, weights)
        m = solved.medium
        return tuple(torch.as_tensor(x) for x in (m.stress, m.rate, m.grain_stress, m.shear_rate, m.spin))

    @staticmethod
    def backward(ctx: Any, *bars: Tensor) -> tuple[Tensor | None, ...]:
        """Derivatives by all arguments, of derivatives by all results."""
        theta = ctx.saved_tensors
        adjoint = _Adjoint(ctx.solved, *(t.detach().numpy() for t in theta))
        derivatives = adjoint(*(np.ascontiguousarray(bar.numpy()) for bar in bars))
        return None, *(torch.as_tensor(x).reshape(t.shape) for x, t in zip(derivatives, theta, strict=True))


class _Adjoint:
    """The equations at one solution, in its units."""

    def __init__(
        self,
        solved: Solved,
        matrices: NDArray,
        strength: NDArray,
        n: NDArray,
        reference_rate: NDArray,
        weights: NDArray,
    ) -> None:
        medium, self.solved, self.line = solved.medium, solved, solved.line
        self.unit_stress, self.unit_rate = np.linalg.norm(medium.stress), np.linalg.norm(medium.rate)
        slow, count, keep = self.unit_stress / self.unit_rate, len(matrices), self.line.keep
        schmid, matrices = np.ascontiguousarray(solved.schmid), np.ascontiguousarray(matrices)
        p = np.empty((count, 5, len(schmid)))
        rotate_schmid(matrices, schmid, BASIS, 0, count, p)
        self.frame = Frame(keep, matrices, schmid, BASIS)
        self.rate0, self.compliance = float(reference_rate), medium.compliance * slow
        self.grains = SolvedGrains(
            p=p * keep[:, None],
            xi=np.ascontiguousarray(strength / self.unit_stress),
            weights=np.ascontiguousarray(weights),
            stress=medium.grain_stress / self.unit_stress,
            shear=medium.shear_rate / self.unit_rate,
            slope=medium.slope * slow,
            sigma=medium.stress / self.unit_stress,
            a=medium.interaction * slow if self.line.has_medium else np.diag(1 - keep),
            n=float(n),
            share=self.line.share if self.line.has_medium else 1.0,
            has_medium=self.line.has_medium,
        )

    def __call__(
        self,
        stress_bar: NDArray,
        rate_bar: NDArray,
        grain_bar: NDArray,
        shear_bar: NDArray,
        spin_bar: NDArray,
    ) -> tuple[NDArray | float, ...]:
        """Derivatives of the loss by matrices, strength, n, reference rate and weights."""
        grain_bar, shear_bar = grain_bar * self.unit_stress, shear_bar * self.unit_rate
        sums = self._gather(grain_bar, shear_bar)
        d_a, d_spin = self._slopes()
        mt = self.grains.a if self.line.has_medium else np.zeros((5, 5))
        jacobian = self._jacobian(sums, d_a, mt)
        total = self.line.keep * sums.lam.sum(0)
        x_bar = [stress_bar * self.unit_stress + mt @ total, rate_bar * self.unit_rate + total]
        if self.line.has_medium:
            by_compliance = np.einsum("rij,ij->r", d_a, sums.moved)
            x_bar.insert(0, by_compliance + np.einsum("rijb,ijb->r", d_spin, spin_bar))
        m = np.linalg.solve(jacobian.T, -np.concatenate(x_bar))
        return self._scatter(grain_bar, shear_bar, m)

    def _slopes(self) -> tuple[NDArray, NDArray]:
        """d Mt (15, 5, 5) and d spin (15, 3, 3, 5) by the compliance; none without a medium."""
        if not self.line.has_medium:
            return np.zeros((0, 5, 5)), np.zeros((0, 3, 3, 5))
        return interaction_slopes(self.compliance, *self.solved.sphere, self.line.n_eff)

    def _gather(self, grain_bar: NDArray, shear_bar: NDArray) -> Sums:
        """Sums over the grains that make up the reduced system."""
        sums = Sums(
            lam=np.zeros_like(self.grains.stress),
            moved=np.zeros((5, 5)),
            flow=np.zeros((5, 5)),
            compliance=np.zeros(15),
            spread=np.zeros((5, 5, 5)),
            turned=np.zeros((15, 5)),
            product=np.zeros((15, 5, 5)),
            curved=np.zeros((15, 5)),
            curved_turned=np.zeros((15, 5, 5)),
        )
        gather(self.grains, grain_bar, shear_bar, sums)
        return sums

    def _jacobian(self, sums: Sums, d_a: NDArray, mt: NDArray) -> NDArray:
        """dE/dx (25, 25), or (10, 10) without a medium."""
        rates, stresses = self.solved.conditions.rate_rows, self.solved.conditions.stress_rows
        flow, k = sums.flow * self.line.keep, len(d_a)
        matrix = np.zeros((k + 10, k + 10))
        matrix[k : k + 5, k : k + 5], matrix[k : k + 5, k + 5 :] = flow @ mt - np.eye(5), flow
        matrix[k + 5 : k + 5 + len(rates), k + 5 :], matrix[k + 5 + len(rates) :, k : k + 5] = rates, stresses
        if k:
            flat = d_a.reshape(15, 25).T
            self.inverse = np.linalg.inv(_full(sums.compliance))
            change = [
                sums.curved_turned.reshape(15, 25) @ flat + sums.product.reshape(15, 25) @ flat,
                sums.curved @ mt,
                sums.curved,
            ]
            change = self.inverse @ _full(np.concatenate(change, 1).T) @ self.inverse
            change[:15] -= d_a + UNITS
            matrix[:15] = change[:, LOWER[0], LOWER[1]].T
            matrix[k : k + 5, :15] = sums.spread.reshape(5, 25) @ flat
        return matrix

    def _scatter(self, grain_bar: NDArray, shear_bar: NDArray, m: NDArray) -> tuple[NDArray | float, ...]:
        """The derivatives, once the multipliers m (25,) or (10,) are known."""
        grains, k = self.grains, len(m) - 10
        pull, multiplier = np.zeros((5, 5)), np.zeros((5, 5))
        if k:
            multiplier = _full(m[:15] / _DOUBLE)
            pull = self.inverse @ multiplier @ self.inverse
        bars = Bars(
            xi=np.zeros_like(grains.xi),
            matrices=np.zeros_like(self.frame.matrices),
            n=np.zeros_like(grains.weights),
            weights=np.zeros_like(grains.weights),
            moved=np.zeros((5, 5)),
            pushed=np.zeros((5, 5)),
            share=np.zeros(1),
        )
        mu = np.ascontiguousarray(m[k : k + 5])
        scatter(grains, self.frame, grain_bar, shear_bar, mu, pull, bars)
        by_rate0 = -float((grains.xi * bars.xi).sum()) / (grains.n * self.rate0)
        by_n = float(bars.n.sum())
        if k and grains.share != 1.0:  # share = 1/n
            by_n -= float(bars.share[0]) / grains.n**2
        if k and self.line.n_eff_is_n:
            by_n += float(((bars.moved + bars.pushed - multiplier) * grains.a).sum()) / grains.n
        return bars.matrices, bars.xi / self.unit_stress, by_n, by_rate0, bars.weights


def _full(lower: NDArray) -> NDArray:
    """Symmetric (..., 5, 5) of lower triangles (..., 15)."""
    full = np.empty((*lower.shape[:-1], 5, 5))
    full[..., LOWER[0], LOWER[1]] = full[..., LOWER[1], LOWER[0]] = lower
    return full


def solution_of(
    solved: Solved, matrices: Tensor, strength: Tensor, n: Tensor, reference_rate: Tensor, weights: Tensor
) -> tuple[Tensor, ...]:
    """Sigma (5,), D (5,), grain stress (G, 5), shear rates (G, S), spin (3, 3, 5), with derivatives."""
    return MeanFieldSolution.apply(solved, matrices, strength, n, reference_rate, weights)
