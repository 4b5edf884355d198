"""Derivatives of a solved mean field of any law, by torch operations (power laws:
cpml.plasticity.polycrystal.adjoint, far faster).

The unknowns x = (Mbar, Sigma, D) solve R(x, theta) = 0:

    <C_g>^-1 - Mt - Mbar = 0  (15),   <s_g> - Sigma = 0  (5),   boundary conditions  (5)

with C_g = (H_g + Mt)^-1 (affine; Taylor has no medium) and the grain stresses s_g(x, theta) themselves
implicit: s = s* - (H + Mt)^-1 r(s*; x, theta). So

    x(theta) = x* - (dR/dx)^-1 R(x*, theta)

has the value x* and the exact first derivative; the matrix dR/dx (25 x 25) is
evaluated once, without a graph.

| symbol | meaning | shape |
|---|---|---|
| theta | parameters of the law, Schmid tensors P in the sample frame (G, 5, S), weights (G,) | |
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.crystal.newton import regularised
from cpml.plasticity.laws.law import Law
from cpml.plasticity.polycrystal.eshelby import Sphere, interaction_torch
from cpml.plasticity.polycrystal.medium import EffectiveMedium, relaxed_spin
from cpml.plasticity.polycrystal.schemes import Linearisation

_LOWER = torch.tril_indices(5, 5)


class Attached(NamedTuple):
    """Solution with derivatives."""

    stress: Tensor  # (5,) Sigma
    rate: Tensor  # (5,) D
    grain_stress: Tensor  # (G, 5)
    spin: Tensor  # (3, 3, 5)


@dataclass(frozen=True)
class _Theta:
    """What the solution is differentiated by."""

    law: Law
    schmid: Tensor  # (G, 5, S)
    weights: Tensor  # (G,)

    def flow(self, stress: Tensor) -> tuple[Tensor, Tensor]:
        """Strain rate (G, 5) and its derivative H (G, 5, 5) at grain stresses (G, 5)."""
        rate, slope = self.law.rates(torch.einsum("gis,gi->gs", self.schmid, stress))
        hessian = torch.einsum("gis,gs,gjs->gij", self.schmid, slope, self.schmid)
        return torch.einsum("gis,gs->gi", self.schmid, rate), hessian


class _MediumEquations:
    """R(x, theta) in units of the solution, and the grain stresses that belong to x."""

    def __init__(
        self, medium: EffectiveMedium, conditions: Conditions, line: Linearisation, sphere: Sphere
    ) -> None:
        self.line, self.sphere = line, sphere
        self.stress = torch.as_tensor(medium.grain_stress)
        sigma, rate = torch.as_tensor(medium.stress), torch.as_tensor(medium.rate)
        self.size = [float(abs(medium.compliance).max()), float(sigma.norm()), float(rate.norm())]
        self.rate_rows, self.rate_values, self.stress_rows, self.stress_values = (
            torch.as_tensor(a.copy())
            for a in (
                conditions.rate_rows,
                conditions.rate_values,
                conditions.stress_rows,
                conditions.stress_values,
            )
        )
        lower = torch.as_tensor(medium.compliance)[_LOWER[0], _LOWER[1]]
        parts = [lower / self.size[0]] if line.has_medium else []
        self.solution = torch.cat([*parts, sigma / self.size[1], rate / self.size[2]])

    def unpack(self, x: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """Mbar (5, 5) or None, Sigma, D in physical units."""
        sigma, rate = x[-10:-5] * self.size[1], x[-5:] * self.size[2]
        if not self.line.has_medium:
            return None, sigma, rate
        half = torch.zeros(5, 5, dtype=x.dtype).index_put((_LOWER[0], _LOWER[1]), x[:15] * self.size[0])
        return half + half.T - torch.diag(half.diagonal()), sigma, rate

    def grains(self, x: Tensor, theta: _Theta) -> tuple[Tensor, Tensor, Tensor]:
        """Grain stresses attached to x and theta, Mt and the spin tensor."""
        compliance, sigma, rate = self.unpack(x)
        if compliance is None:
            keep = torch.as_tensor(self.line.keep)
            mt, spin = torch.diag(1 - keep), torch.as_tensor(relaxed_spin(self.line))
            rate, sigma = keep * rate, torch.zeros_like(sigma)
        else:
            mt, spin = interaction_torch(compliance, *self.sphere, self.line.n_eff)
        flow, hessian = theta.flow(self.stress)
        residual = flow - rate + (self.stress - sigma) @ mt.T
        matrix = regularised((hessian + mt).detach(), 1e-15)
        return self.stress - torch.linalg.solve(matrix, residual), mt, spin

    def __call__(self, x: Tensor, theta: _Theta) -> Tensor:
        compliance, sigma, rate = self.unpack(x)
        stress, mt, _ = self.grains(x, theta)
        parts = [
            (theta.weights @ stress - sigma) / self.size[1],
            (self.rate_rows @ rate - self.rate_values) / self.size[2],
            (self.stress_rows @ sigma - self.stress_values) / self.size[1],
        ]
        if compliance is not None:
            _, hessian = theta.flow(stress)
            mean = torch.einsum("g,gij->ij", theta.weights, torch.linalg.inv(hessian + mt))
            residual = torch.linalg.inv(mean) - mt - compliance
            parts.insert(0, ((residual + residual.T) / 2)[_LOWER[0], _LOWER[1]] / self.size[0])
        return torch.cat(parts)


def attach(
    medium: EffectiveMedium,
    law: Law,
    schmid: Tensor,
    weights: Tensor,
    conditions: Conditions,
    line: Linearisation,
    sphere: Sphere,
) -> Attached:
    """The solution as a differentiable function (first derivatives) of the law, of the Schmid tensors in the
    sample frame (G, 5, S) and of the weights (G,).
    """
    schmid = schmid * torch.as_tensor(line.keep)[:, None]
    theta, fixed = _Theta(law, schmid, weights), _Theta(law, schmid.detach(), weights.detach())
    equations = _MediumEquations(medium, conditions, line, sphere)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: equations(x, fixed), equations.solution, vectorize=True
    )
    residual = equations(equations.solution, theta)
    x = equations.solution - torch.linalg.solve(jacobian, residual - residual.detach())
    _, sigma, rate = equations.unpack(x)
    stress, _, spin = equations.grains(x, theta)
    return Attached(sigma, rate, stress - stress.detach() + equations.stress, spin)
