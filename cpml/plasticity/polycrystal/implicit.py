"""Derivatives of a solved mean field of any law, by torch operations (power laws:
cpml.plasticity.polycrystal.adjoint, far faster).

The unknowns x = (Mbar, Sigma, D) solve R(x, theta) = 0:

    <C_g>^-1 - Mt - Mbar = 0  (15),   <s_g> - Sigma = 0  (5),   boundary conditions  (5)

with the grain stresses s_g(x, theta) themselves implicit: s = s* - (H + Mt)^-1 r(s*; x, theta). So

    x(theta) = x* - (dR/dx)^-1 R(x*, theta)

has the value x* and the exact first derivative; the matrix dR/dx (25 x 25) is
evaluated once, without a graph.

| symbol | meaning | shape |
|---|---|---|
| theta | strengths, exponent, reference rate, orientations, weights | |
| P | Schmid tensors in the sample frame | (G, 5, S) |
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.polycrystal.aggregate import Linearisation
from cpml.plasticity.polycrystal.eshelby import interaction_torch
from cpml.plasticity.polycrystal.medium import EffectiveMedium, relaxed_spin

_LOWER = torch.tril_indices(5, 5)


@dataclass(frozen=True)
class Parameters:
    """What the solution may be differentiated by; `law` stands for strength, n and reference
    rate where it is no power law.
    """

    schmid: Tensor  # (G, 5, S)
    weights: Tensor
    strength: Tensor | None = None  # (G, S)
    n: Tensor | None = None
    reference_rate: Tensor | None = None
    polar: Tensor | None = None
    law: object = None

    @property
    def requires_grad(self) -> bool:
        """Whether a derivative is asked for."""
        if any(isinstance(t, Tensor) and t.requires_grad for t in self.__dict__.values()):
            return True
        return (
            self.law is not None
            and self.law.rates(torch.ones(self.schmid.shape[-1], dtype=torch.float64))[0].requires_grad
        )

    def detached(self) -> "Parameters":
        """The same numbers without their graph (a law keeps its own)."""
        return Parameters(*(v.detach() if isinstance(v, Tensor) else v for v in self.__dict__.values()))

    def slip(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Shear rates and slopes (G, S)."""
        if self.law is not None:
            return self.law.rates(tau)
        x = tau / self.strength
        x = torch.where(self.polar, x.clamp(min=0), x)
        # log form: its derivative by n is finite at rest
        size = torch.where(x == 0, 1.0, x.abs())
        f = (
            torch.where(x == 0, 0.0, torch.exp((self.n - 1) * size.log()))
            if self.n.item() > 1
            else (torch.where(self.polar & (x == 0), 0.0, torch.ones_like(x)))
        )
        f = f * self.reference_rate
        return f * x, self.n * f / self.strength

    def flow(self, stress: Tensor) -> tuple[Tensor, Tensor]:
        """Strain rate (G, 5) and its derivative H (G, 5, 5) at grain stresses (G, 5)."""
        rate, slope = self.slip(torch.einsum("gis,gi->gs", self.schmid, stress))
        return torch.einsum("gis,gs->gi", self.schmid, rate), torch.einsum(
            "gis,gs,gjs->gij", self.schmid, slope, self.schmid
        )


@dataclass(frozen=True)
class Attached:
    """Solution with derivatives: Sigma (5,), D (5,), grain stress (G, 5), spin tensor (3, 3, 5)."""

    stress: Tensor
    rate: Tensor
    grain_stress: Tensor
    spin: Tensor


class _Equations:
    """R(x, theta) in units of the solution, and the grain stresses that belong to x."""

    def __init__(self, medium: EffectiveMedium, loading: Conditions, line: Linearisation, sphere, n_eff):
        self.line, self.sphere, self.n_eff = line, sphere, n_eff
        self.stress = torch.as_tensor(medium.grain_stress)
        sigma, rate = torch.as_tensor(medium.stress), torch.as_tensor(medium.rate)
        self.size = [float(abs(medium.compliance).max()), float(sigma.norm()), float(rate.norm())]
        self.rows = [torch.as_tensor(a.copy()) for a in (loading.rate_rows, loading.stress_rows)]
        self.values = [torch.as_tensor(a.copy()) for a in (loading.rate_values, loading.stress_values)]
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

    def grains(self, x: Tensor, theta: Parameters) -> tuple[Tensor, Tensor, Tensor]:
        """Grain stresses attached to x and theta, Mt and the spin tensor."""
        compliance, sigma, rate = self.unpack(x)
        if compliance is None:
            keep = torch.as_tensor(self.line.keep)
            mt, spin = torch.diag(1 - keep), torch.as_tensor(relaxed_spin(self.line))
            rate, sigma = keep * rate, torch.zeros_like(sigma)
        else:
            mt, spin = interaction_torch(compliance, *self.sphere, self.n_eff(theta))
        flow, slope = theta.flow(self.stress)
        residual = flow - rate + (self.stress - sigma) @ mt.T
        matrix = (slope + mt).detach()
        scale = matrix.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]
        matrix = matrix + 1e-15 * scale * torch.eye(5, dtype=x.dtype)
        return self.stress - torch.linalg.solve(matrix, residual), mt, spin

    def __call__(self, x: Tensor, theta: Parameters) -> Tensor:
        compliance, sigma, rate = self.unpack(x)
        stress, mt, _ = self.grains(x, theta)
        parts = [
            (theta.weights @ stress - sigma) / self.size[1],
            (self.rows[0] @ rate - self.values[0]) / self.size[2],
            (self.rows[1] @ sigma - self.values[1]) / self.size[1],
        ]
        if compliance is not None:
            _, slope = theta.flow(stress)
            share = 1.0 if self.line.share == 1.0 else 1 / theta.n
            mean = torch.einsum("g,gij->ij", theta.weights, torch.linalg.inv(share * slope + mt))
            found = torch.linalg.inv(mean) - mt - compliance
            parts.insert(0, ((found + found.T) / 2)[_LOWER[0], _LOWER[1]] / self.size[0])
        return torch.cat(parts)


def attach(
    medium: EffectiveMedium,
    theta: Parameters,
    loading: Conditions,
    line: Linearisation,
    sphere,
    *,
    n_eff_is_n: bool = False,
) -> Attached:
    """The solution as a differentiable function of theta (first derivatives)."""
    theta = replace(theta, schmid=theta.schmid * torch.as_tensor(line.keep)[:, None])
    equations = _Equations(
        medium, loading, line, sphere, (lambda p: p.n) if n_eff_is_n else (lambda p: line.n_eff)
    )
    fixed = theta.detached()
    jacobian = torch.autograd.functional.jacobian(
        lambda x: equations(x, fixed), equations.solution, vectorize=True
    )
    residual = equations(equations.solution, theta)
    x = equations.solution - torch.linalg.solve(jacobian, residual - residual.detach())
    _, sigma, rate = equations.unpack(x)
    stress, _, spin = equations.grains(x, theta)
    return Attached(sigma, rate, stress - stress.detach() + equations.stress, spin)
