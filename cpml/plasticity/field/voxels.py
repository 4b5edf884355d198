"""How voxels answer a strain rate: stress and tangent, with a resistance to changes of stress.

    sum_s gamma_dot_s(s) P_s + a (s - s0) = d,        C = ds/dd = (M + a 1)^-1,   M = sum_s (dgamma_dot/dtau)
    P P^T

a > 0 makes the answer smooth in d: at large n the stress of a power law jumps between the corners of the
yield surface, and C would be singular wherever fewer than five systems move. a -> 0 is the law itself. The
loop turns d into the axes of each crystal, solves there (cpml.plasticity.crystal.kernels), and turns stress
and tangent back.

Voxels are crystals, or isotropic (s parallel to d; pixels that were not indexed), or empty (s = 0).

| symbol | meaning | unit | shape |
|---|---|---|---|
| d, s | strain rate, stress in the 5-basis of the sample | rate0, sigma0 | (N, 5) |
| a | resistance | rate0 / sigma0 | scalar |
| C | tangent | sigma0 / rate0 | (N, 5, 5) |

Rates are in units of the macroscopic one, stresses of a mean strength at that rate.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from cpml.compiled import fused, in_threads
from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.crystal.cholesky import factor, invert
from cpml.plasticity.crystal.kernels import Grain, Scratch, solve_one
from cpml.plasticity.crystal.newton import Equations, linear_start, newton, regularised
from cpml.plasticity.laws import flow
from cpml.plasticity.laws.law import Law, PowerLaw, stress_at_rate

_MAX_ITER = 100


class Voxels(Protocol):
    """Voxels of one phase."""

    where: NDArray  # (N,) their places in the grid

    def answer(
        self, rate: NDArray, before: NDArray, a: float, tol: float, stress: NDArray, tangent: NDArray
    ) -> bool:
        """Fill stress (N, 5), which holds the start, and tangent (N, 5, 5), at strain rates (N, 5) and
        s0 = ``before``; False where a voxel was not solved to ``tol``.
        """

    def shear_rate(self, stress: NDArray) -> NDArray:
        """(N, S) of the modes at stresses (N, 5)."""


@dataclass
class PowerLawVoxels:
    """Crystals of a power law."""

    where: NDArray
    grain: NDArray  # (N,) row of turn
    turn: NDArray  # (G, 5, 5) crystal to sample
    law: PowerLaw
    strength: NDArray  # (X, S) in units of sigma0, at the rate rate0
    row: NDArray  # (N,) row of strength
    threads: int = 1
    is_warm: bool = False

    def answer(
        self, rate: NDArray, before: NDArray, a: float, tol: float, stress: NDArray, tangent: NDArray
    ) -> bool:
        """As Voxels.answer."""
        count = len(self.where)
        lost = np.zeros(count, np.bool_)
        schmid, n = np.ascontiguousarray(self.law.systems.schmid5.T), float(as_tensor(self.law.n).item())
        polar, warm = self.law.systems.twin, self.is_warm

        def part(first: int, last: int) -> None:
            _power_law(
                self.turn, self.grain, schmid, self.strength, self.row, polar, n, a, rate, before, warm, tol,
                stress, tangent, lost, first, last,
            )  # fmt: skip

        in_threads(part, count, self.threads if count > 500 else 1)
        self.is_warm = True
        return not lost.any()

    def shear_rate(self, stress: NDArray) -> NDArray:
        """As Voxels.shear_rate."""
        tau = np.matmul(stress[:, None, :], self.turn[self.grain])[:, 0] @ self.law.systems.schmid5.T
        strength = self.strength[self.row]
        rate, _ = flow.rates(tau, strength, self.law.systems.twin, float(as_tensor(self.law.n).item()), 1.0)
        return rate


@fused
def _power_law(
    turn: NDArray, grain: NDArray, p: NDArray, xi: NDArray, row: NDArray, polar: NDArray, n: float, a: float,
    rate: NDArray, before: NDArray, warm: bool, tol: float,
    stress: NDArray, tangent: NDArray, lost: NDArray, first: int, last: int,
) -> None:  # fmt: skip
    systems = p.shape[1]
    scratch = Scratch(np.empty((6, systems)), np.empty((4, 5)), np.empty((2, 5, 5)))
    inverse, s, c, weight = np.empty(systems), np.empty(5), np.empty(5), np.empty(systems)
    h, low, full, half = np.empty((5, 5)), np.empty((5, 5)), np.empty((5, 5)), np.empty((5, 5))
    resist = a * np.eye(5)
    for v in range(first, last):
        q, strength = turn[grain[v]], xi[row[v]]
        for k in range(systems):
            inverse[k] = 1.0 / strength[k]
        for i in range(5):
            c[i], s[i] = 0.0, 0.0
            for j in range(5):
                c[i] += q[j, i] * (rate[v, j] + a * before[v, j])
                s[i] += q[j, i] * stress[v, j]
        one = Grain(p, inverse, strength, polar, resist, c)
        lost[v] = solve_one(one, n, s, warm, tol, _MAX_ITER, scratch) <= 0
        # the slopes of the solution: x and |x|^(n-1) lie in the first rows of the scratch memory
        x, f = scratch.work[0], scratch.work[1]
        for k in range(systems):
            weight[k] = 0.0 if polar[k] and x[k] <= 0 else n * f[k] * inverse[k]
        for i in range(5):
            for j in range(i + 1):
                value = 0.0
                for k in range(systems):
                    value += weight[k] * p[i, k] * p[j, k]
                h[i, j] = value + (a if i == j else 0.0)
        factor(h, 1e-15, low)
        invert(low, full)
        for i in range(5):
            stress[v, i] = 0.0
            for j in range(5):
                stress[v, i] += q[i, j] * s[j]
                half[i, j] = 0.0
                for k in range(5):
                    half[i, j] += q[i, k] * full[k, j]
        for i in range(5):
            for j in range(i + 1):
                value = 0.0
                for k in range(5):
                    value += half[i, k] * q[j, k]
                tangent[v, i, j] = value
                tangent[v, j, i] = value


@dataclass
class AnyLawVoxels:
    """Crystals of any law (schmid, rates), by batched torch operations."""

    where: NDArray
    grain: NDArray  # (N,)
    turn: NDArray  # (G, 5, 5)
    law: Law
    rate0: float  # 1/s
    sigma0: float  # MPa
    is_warm: bool = False
    schmid: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.schmid = self.law.schmid.detach()

    def rates(self, tau: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scaled rates and slopes."""
        rate, slope = self.law.rates(tau * self.sigma0)
        return rate / self.rate0, slope * (self.sigma0 / self.rate0)

    @torch.no_grad()
    def answer(
        self, rate: NDArray, before: NDArray, a: float, tol: float, stress: NDArray, tangent: NDArray
    ) -> bool:
        """As Voxels.answer."""
        turn = self.turn[self.grain]
        right, start = (torch.as_tensor(_to_crystal(v, turn)) for v in (rate + a * before, stress))
        modes = self.schmid.expand(len(right), *self.schmid.shape)
        resist = a * torch.eye(5, dtype=torch.float64)
        equations = Equations(self.rates, modes, right, interaction=resist)
        if not self.is_warm:
            strength = stress_at_rate(self.law, self.rate0) / self.sigma0
            start = linear_start(equations, strength)
        solved, residual, _ = newton(equations, start, tol, 200)
        _, slope = equations.residual(solved)
        inverse = torch.linalg.inv(regularised(equations.hessian(slope), 1e-15)).numpy()
        stress[:] = np.matmul(turn, solved.numpy()[..., None])[..., 0]
        tangent[:] = turn @ inverse @ turn.swapaxes(1, 2)
        self.is_warm = True
        return bool((residual <= max(10 * tol, 1e-8)).all())

    @torch.no_grad()
    def shear_rate(self, stress: NDArray) -> NDArray:
        """As Voxels.shear_rate."""
        tau = torch.as_tensor(_to_crystal(stress, self.turn[self.grain])) @ self.schmid.T
        return self.rates(tau)[0].numpy()


@dataclass
class IsotropicVoxels:
    """Voxels of no crystal: s parallel to d, |d| = (|s| / strength)^n; strength 0 is empty space."""

    where: NDArray
    n: float
    strength: float

    def answer(
        self, rate: NDArray, before: NDArray, a: float, tol: float, stress: NDArray, tangent: NDArray
    ) -> bool:
        """As Voxels.answer."""
        if self.strength == 0:
            stress[:], tangent[:] = 0.0, 0.0
            return True
        xp: Any = torch if isinstance(rate, torch.Tensor) else np  # functions that both have
        drive = rate + a * before
        size = xp.linalg.norm(drive, axis=1)
        direction = drive / size.clip(1e-300)[:, None]
        # |s| by Newton's method on the convex x^n + a strength x = size, from above
        x = xp.minimum(size ** (1 / self.n), size / max(a * self.strength, 1e-300))
        for _ in range(60):
            slope = self.n * x ** (self.n - 1) + a * self.strength
            step = (x**self.n + a * self.strength * x - size) / slope.clip(1e-300)
            x = (x - step).clip(0.0)
            if abs(step).max() <= tol:
                break
        along = 1 / (self.n * x ** (self.n - 1) / self.strength + a).clip(1e-12)
        across = xp.where(size > 0, self.strength * x / size.clip(1e-300), along)
        stress[:] = (self.strength * x)[:, None] * direction
        tangent[:] = (along - across)[:, None, None] * direction[:, :, None] * direction[:, None, :]
        for i in range(5):
            tangent[:, i, i] += across
        return True

    def shear_rate(self, stress: NDArray) -> NDArray:
        """No modes."""
        return np.zeros((len(stress), 0))


def _to_crystal(vectors: NDArray, turn: NDArray) -> NDArray:
    return np.matmul(vectors[:, None, :], turn)[:, 0]
