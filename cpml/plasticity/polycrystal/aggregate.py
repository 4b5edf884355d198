"""The grains of a mean field and one pass over them: all grains solved in their
medium, and what they add up to.

    D_g(s_g) + A s_g = c        ->   <s_g>,  <(H_g + A)^-1>,  <(M_g + A)^-1>

A pass works in scaled units (stresses over sigma0, rates over rate0, so that the imposed rate is about 1).
Power laws run in the compiled loop of cpml.plasticity.crystal.kernels; any other law, and any law on a
GPU, by batched torch operations (cpml.plasticity.crystal.newton). M_g = share H_g for a power law, since
sum (gamma/tau) P P^T = H/n there.
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.compiled import in_threads
from cpml.errors import ParameterError
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.crystal.kernels import solve_grains
from cpml.plasticity.crystal.newton import Equations, linear_start, newton, regularised, stress_at_rate
from cpml.plasticity.laws.law import Law
from cpml.plasticity.polycrystal.averages import average

Sums: TypeAlias = tuple[NDArray, NDArray]
"""Of some grains: <(H + A)^-1> and <(M + A)^-1> (2, 5, 5), <s> (5,)."""

_FEW = 64  # grains that are not worth a second thread


class Pass(Protocol):
    """Grains in scaled units, solved again and again in media that change a little;
    the last solution is kept.
    """

    stress: NDArray  # (G, 5)
    rate: NDArray  # (G, S)
    slope: NDArray  # (G, S)
    residual: NDArray  # (G,)
    iterations: NDArray  # (G,), negative where the tolerance was not reached
    newton: int  # iterations of all grains and passes together
    is_warm: bool  # whether `stress` is a start

    def solve(self, a: NDArray, c: NDArray, tol: float, share: float) -> tuple[NDArray, NDArray, NDArray]:
        """Grains at c (5,): <s> (5,), <(H + A)^-1>, <(M + A)^-1> (5, 5)."""


@dataclass(frozen=True)
class PowerLawAggregate:
    """A power law's numbers: Schmid tensors in the sample frame (G, 5, S), strengths
    (G, S) MPa, weights (G,) sum 1.
    """

    schmid: NDArray
    strength: NDArray
    polar: NDArray
    n: float
    reference_rate: float
    weights: NDArray

    def scale(self, conditions: Conditions) -> tuple[float, float]:
        """rate0 (1/s) and sigma0 (MPa)."""
        rate = conditions.rate_size or self.reference_rate
        strength = float(self.weights @ self.strength.mean(1))
        return rate, strength * (rate / self.reference_rate) ** (1 / self.n)

    def start(
        self, stress: NDArray, is_warm: bool, threads: int, rate0: float, sigma0: float
    ) -> "PowerLawPass":
        """A pass that begins at scaled stresses (G, 5)."""
        reference = sigma0 / (rate0 / self.reference_rate) ** (1 / self.n)
        return PowerLawPass(self, np.ascontiguousarray(self.strength / reference), stress, is_warm, threads)


@dataclass
class PowerLawPass:
    """Arrays of the compiled loop, reused from pass to pass."""

    grains: PowerLawAggregate
    xi: NDArray
    stress: NDArray
    is_warm: bool
    threads: int
    newton: int = 0

    def __post_init__(self) -> None:
        shape = self.xi.shape
        self.rate, self.slope = np.empty(shape), np.empty(shape)
        self.iterations, self.residual = np.zeros(shape[0], np.int64), np.zeros(shape[0])

    def solve(self, a: NDArray, c: NDArray, tol: float, share: float) -> tuple[NDArray, NDArray, NDArray]:
        """As Pass.solve."""
        g, count, rows, a = self.grains, len(self.xi), np.ascontiguousarray(c)[None], np.ascontiguousarray(a)

        def part(first: int, last: int) -> Sums:
            solve_grains(
                g.schmid,
                self.xi,
                g.polar,
                g.n,
                a,
                rows,
                self.is_warm,
                tol,
                60,
                self.stress,
                self.rate,
                self.slope,
                self.iterations,
                self.residual,
                first,
                last,
            )
            sums, mean = np.zeros((2, 5, 5)), np.zeros(5)
            average(g.schmid, a, g.weights, self.stress, self.slope, share, first, last, sums, mean)
            return sums, mean

        parts = in_threads(part, count, self.threads if count >= _FEW else 1)
        self.is_warm = True
        self.newton += int(np.abs(self.iterations).sum())
        sums, mean = (np.sum(column, axis=0) for column in zip(*parts, strict=True))
        return mean, sums[0], sums[0] if share == 1.0 else sums[1]


@dataclass(frozen=True)
class AnyLawAggregate:
    """Any law (schmid, rates): Schmid tensors in the sample frame (G, 5, S), weights (G,) sum 1."""

    law: Law
    schmid: Tensor
    weights: NDArray

    def scale(self, conditions: Conditions) -> tuple[float, float]:
        """rate0 (1/s) and sigma0 (MPa): the stress at which the modes move so fast."""
        if conditions.rate_size:
            moves = stress_at_rate(self.law, conditions.rate_size, self.schmid.device)
            moves = moves[moves < 0.9e5]
            if not len(moves):
                raise ParameterError("no mode of this law moves at the imposed rate below 100 GPa")
            return conditions.rate_size, float(moves.median())
        sigma0 = float(np.linalg.norm(conditions.stress_values))
        probe = torch.full(
            (self.schmid.shape[-1],), 0.5 * sigma0, dtype=torch.float64, device=self.schmid.device
        )
        return max(float(self.law.rates(probe)[0].detach().abs().max()), 1e-300), sigma0

    def start(
        self, stress: NDArray, is_warm: bool, threads: int, rate0: float, sigma0: float
    ) -> "AnyLawPass":
        """A pass that begins at scaled stresses (G, 5)."""
        return AnyLawPass(self, stress, is_warm, rate0, sigma0)


@dataclass
class AnyLawPass:
    """The same by torch operations on the device of the Schmid tensors."""

    grains: AnyLawAggregate
    stress: NDArray
    is_warm: bool
    rate0: float
    sigma0: float
    newton: int = 0

    def __post_init__(self) -> None:
        count, systems = len(self.stress), self.grains.schmid.shape[-1]
        self.rate, self.slope = np.zeros((count, systems)), np.zeros((count, systems))
        self.iterations, self.residual = np.zeros(count, np.int64), np.zeros(count)

    def rates(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled rates and slopes."""
        rate, slope = self.grains.law.rates(tau * self.sigma0)
        return rate / self.rate0, slope * (self.sigma0 / self.rate0)

    @torch.no_grad()
    def solve(self, a: NDArray, c: NDArray, tol: float, share: float) -> tuple[NDArray, NDArray, NDArray]:
        """As Pass.solve."""
        g = self.grains
        modes = g.schmid.transpose(1, 2)
        interaction, right = (torch.as_tensor(np.array(v), device=modes.device) for v in (a, c))
        equations = Equations(self.rates, modes, right.expand(len(modes), 5), interaction=interaction)
        start = torch.as_tensor(self.stress.copy(), device=modes.device)
        if not self.is_warm:
            strength = stress_at_rate(g.law, self.rate0, modes.device) / self.sigma0
            start = linear_start(equations, strength)
        stress, residual, n_iter = newton(equations, start, tol, 200)
        rate, slope = self.rates(equations.tau(stress))
        tangent = self._mean_inverse(equations.hessian(slope))
        linear = tangent if share == 1.0 else self._mean_inverse(equations.hessian(share * slope))
        self.stress[:], self.rate, self.slope = stress.cpu().numpy(), rate.cpu().numpy(), slope.cpu().numpy()
        self.residual = residual.cpu().numpy()
        self.iterations = np.where(self.residual <= max(10 * tol, 1e-8), n_iter + 1, -n_iter - 1)
        self.newton += n_iter * len(modes)
        self.is_warm = True
        return g.weights @ self.stress, tangent, linear

    def _mean_inverse(self, matrix: Tensor) -> NDArray:
        weights = torch.as_tensor(self.grains.weights.copy(), device=matrix.device)
        return torch.einsum("g,gij->ij", weights, torch.linalg.inv(regularised(matrix, 1e-14))).cpu().numpy()
