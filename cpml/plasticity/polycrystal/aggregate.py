"""The grains of a mean field in scaled units (stresses over sigma0, rates over rate0, so that the imposed
rate is about 1): their flow at given stresses, and the linear algebra of one Newton step
(cpml.plasticity.polycrystal.balance).

Power laws run in the compiled loops of cpml.plasticity.polycrystal.grain_kernels; any other law, and any law
on a GPU, by batched torch operations (cpml.plasticity.crystal.newton).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.compiled import in_threads
from cpml.errors import ParameterError
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.crystal.kernels import best_radius, solve_grains
from cpml.plasticity.crystal.newton import Equations, linear_start, newton, regularised
from cpml.plasticity.laws.law import Law, stress_at_rate
from cpml.plasticity.laws.softened import softened
from cpml.plasticity.polycrystal.grain_kernels import linearise, respond

Sums: TypeAlias = tuple[NDArray, NDArray]
"""<(H + A)^-1> (5, 5) and its product with a vector of each grain (5,)."""

_FLOOR = 1e-14  # of the trace: keeps crystals with idle modes invertible
_MAX_ITER, _STAGE_TOL = 200, 1e-2  # of batched Newton; of the laws on the way
_FEW = 800  # grains of which a pass is too short for a second thread


class Apart(NamedTuple):
    """Grains that were solved each on its own."""

    stress: NDArray  # (G, 5)
    residual: NDArray  # (G,) relative to the larger of 1 and the right side
    n_iter: float  # mean over the grains


class Pass(Protocol):
    """Grains in scaled units; rates and slopes are those of the last stresses that `flow` was asked for."""

    weights: NDArray  # (G,) sum 1
    rate: NDArray  # (G, S)
    slope: NDArray  # (G, S)

    @property
    def exponent(self) -> float | None:
        """Of a power law, else None."""

    def soften(self, exponent: float) -> None:
        """Go on with another rate exponent, where there is one."""

    def flow(self, stress: NDArray) -> NDArray:
        """(G, 5) strain rates at stresses (G, 5)."""

    def ease(self) -> float:
        """Mean compliance of linear modes that move at rate 1 under their strengths."""

    def apart(self, a: NDArray, c: NDArray, stress: NDArray | None, tol: float) -> Apart:
        """The grains each on its own, flow + A s = c (5,), from stresses (G, 5), None: cold; rates and slopes
        are theirs.
        """

    def best_radius(self, stress: NDArray, quadratic: float, work: float) -> float:
        """Factor on all stresses at which <flow . s> + quadratic = work."""

    def mean_inverse(self, a: NDArray, share: float) -> NDArray:
        """<(share H + A)^-1> (5, 5)."""

    def linearise(self, a: NDArray, gap: NDArray, damping: float) -> Sums:
        """<(H + A)^-1> and <(H + A)^-1 gap> of gap (G, 5); the inverses are kept for `step`."""

    def step(self, gap: NDArray, push: NDArray) -> NDArray:
        """(G, 5) (H + A)^-1 (gap + push) with the inverses of `linearise`, push (5,)."""


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

    def start(self, threads: int, rate0: float, sigma0: float) -> "PowerLawPass":
        """The grains in units of rate0 and sigma0."""
        reference = sigma0 / (rate0 / self.reference_rate) ** (1 / self.n)
        xi = np.ascontiguousarray(self.strength / reference)
        return PowerLawPass(self, xi, threads if len(xi) >= _FEW else 1, self.n)


@dataclass
class PowerLawPass:
    """Arrays of the compiled loops, reused from pass to pass."""

    grains: PowerLawAggregate
    xi: NDArray  # (G, S)
    threads: int
    n: float

    def __post_init__(self) -> None:
        count = len(self.xi)
        self.weights = self.grains.weights
        self.rate, self.slope = np.empty(self.xi.shape), np.empty(self.xi.shape)
        self.inverse, self.none = np.empty((count, 5, 5)), np.zeros((count, 5))

    @property
    def exponent(self) -> float:
        """As Pass.exponent."""
        return self.grains.n

    def soften(self, exponent: float) -> None:
        """As Pass.soften."""
        self.n = exponent

    def flow(self, stress: NDArray) -> NDArray:
        """As Pass.flow."""
        g, out = self.grains, np.empty_like(stress)

        def part(first: int, last: int) -> None:
            respond(g.schmid, self.xi, g.polar, self.n, stress, first, last, self.rate, self.slope, out)

        in_threads(part, len(self.xi), self.threads)
        return out

    def ease(self) -> float:
        """As Pass.ease."""
        squares = np.einsum("gis,gis->gs", self.grains.schmid, self.grains.schmid)
        return float(self.weights @ (squares / self.xi).sum(1)) / 5

    def apart(self, a: NDArray, c: NDArray, stress: NDArray | None, tol: float) -> Apart:
        """As Pass.apart."""
        g, count, is_warm = self.grains, len(self.xi), stress is not None
        found = np.zeros((count, 5)) if stress is None else stress.copy()
        a, rows = np.ascontiguousarray(a), np.ascontiguousarray(c)[None]
        iterations, residual = np.zeros(count, np.int64), np.zeros(count)

        def part(first: int, last: int) -> None:
            solve_grains(
                g.schmid,
                self.xi,
                g.polar,
                self.n,
                a,
                rows,
                is_warm,
                tol,
                60,
                found,
                self.rate,
                self.slope,
                iterations,
                residual,
                first,
                last,
            )

        in_threads(part, count, self.threads)
        return Apart(found, residual, float(np.abs(iterations).mean()))

    def best_radius(self, stress: NDArray, quadratic: float, work: float) -> float:
        """As Pass.best_radius."""
        g = self.grains
        x = np.einsum("gis,gi->gs", g.schmid, stress)
        x = np.where(g.polar, np.maximum(x, 0.0), np.abs(x)) / self.xi
        top = x.max()
        if not (top > 0 and np.isfinite(top)):
            return 1.0
        power = float(g.weights @ (self.xi * (x / top) ** (self.n + 1)).sum(1))
        return best_radius(power, quadratic / top**2, work / top, self.n) / top

    def mean_inverse(self, a: NDArray, share: float) -> NDArray:
        """As Pass.mean_inverse."""
        return self._linearise(a, self.none, share, _FLOOR)[0]

    def linearise(self, a: NDArray, gap: NDArray, damping: float) -> Sums:
        """As Pass.linearise."""
        return self._linearise(a, gap, 1.0, damping)

    def _linearise(self, a: NDArray, gap: NDArray, share: float, damping: float) -> Sums:
        a, g = np.ascontiguousarray(a), self.grains

        def part(first: int, last: int) -> Sums:
            mean, moved = np.zeros((5, 5)), np.zeros(5)
            linearise(
                g.schmid,
                self.slope,
                a,
                share,
                damping,
                g.weights,
                gap,
                first,
                last,
                self.inverse,
                mean,
                moved,
            )
            return mean, moved

        parts = in_threads(part, len(self.xi), self.threads)
        mean, moved = (np.sum(column, axis=0) for column in zip(*parts, strict=True))
        return mean, moved

    def step(self, gap: NDArray, push: NDArray) -> NDArray:
        """As Pass.step."""
        return (self.inverse @ (gap + push)[..., None])[..., 0]


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

    def start(self, threads: int, rate0: float, sigma0: float) -> "AnyLawPass":
        """The grains in units of rate0 and sigma0."""
        return AnyLawPass(self, rate0, sigma0)


@dataclass
class AnyLawPass:
    """The same by torch operations on the device of the Schmid tensors."""

    grains: AnyLawAggregate
    rate0: float
    sigma0: float

    def __post_init__(self) -> None:
        self.weights = self.grains.weights
        self.modes = self.grains.schmid.transpose(1, 2)  # (G, S, 5)
        self.device = self.modes.device

    @property
    def exponent(self) -> None:
        """As Pass.exponent."""
        return None

    def soften(self, exponent: float) -> None:
        """As Pass.soften: there is no exponent."""

    def rates(self, tau: Tensor, law: Law | None = None) -> tuple[Tensor, Tensor]:
        """Scaled rates and slopes of the law, or of another one."""
        rate, slope = (law or self.grains.law).rates(tau * self.sigma0)
        return rate / self.rate0, slope * (self.sigma0 / self.rate0)

    @torch.no_grad()
    def flow(self, stress: NDArray) -> NDArray:
        """As Pass.flow."""
        tau = (self.modes @ self._tensor(stress)[..., None])[..., 0]
        rate, self.slopes = self.rates(tau)
        self.rate, self.slope = rate.cpu().numpy(), self.slopes.cpu().numpy()
        return (rate[:, None, :] @ self.modes)[:, 0].cpu().numpy()

    @torch.no_grad()
    def ease(self) -> float:
        """As Pass.ease."""
        squares = self.modes.square().sum(-1) / self._strength()
        return float(self.weights @ squares.sum(-1).cpu().numpy()) / 5

    @torch.no_grad()
    def apart(self, a: NDArray, c: NDArray, stress: NDArray | None, tol: float) -> Apart:
        """As Pass.apart."""
        right = self._tensor(c).expand(len(self.modes), 5)
        equations = Equations(self.rates, self.modes, right, interaction=self._tensor(a))
        if stress is None:
            found, residual, n_iter = self._cold(equations, tol)
        else:
            found, residual, n_iter = newton(equations, self._tensor(stress), tol, _MAX_ITER)
        if stress is not None and not bool((residual <= tol).all()):
            cold = self.apart(a, c, None, tol)
            is_lost, n_iter = ~(residual <= tol), n_iter + int(cold.n_iter)
            found = torch.where(is_lost[:, None], self._tensor(cold.stress), found)
            residual = torch.where(is_lost, self._tensor(cold.residual), residual)
        self.flow(found.cpu().numpy())
        return Apart(found.cpu().numpy(), residual.cpu().numpy(), n_iter)

    def _cold(self, equations: Equations, tol: float) -> tuple[Tensor, Tensor, int]:
        """Newton's method from nothing, by laws that grow steep."""
        law, strength, total = self.grains.law, self._strength(), 0
        found = linear_start(equations, strength)
        for step in softened(law, strength * self.sigma0, self.rate0):
            now = replace(equations, rates=partial(self.rates, law=step))
            found, residual, used = newton(now, found, tol if step is law else _STAGE_TOL, _MAX_ITER)
            total += used
        return found, residual, total

    def best_radius(self, stress: NDArray, quadratic: float, work: float) -> float:
        """As Pass.best_radius: the factor at which the strongest mode reaches its strength."""
        tau = (self.modes @ self._tensor(stress)[..., None])[..., 0]
        top = float((tau.abs() / self._strength()).max())
        return 1 / top if top > 0 else 1.0

    def mean_inverse(self, a: NDArray, share: float) -> NDArray:
        """As Pass.mean_inverse."""
        return self._mean(self._inverses(a, share, _FLOOR)).cpu().numpy()

    def linearise(self, a: NDArray, gap: NDArray, damping: float) -> Sums:
        """As Pass.linearise."""
        self.inverse = self._inverses(a, 1.0, damping)
        moved = (self.inverse @ self._tensor(gap)[..., None])[..., 0].cpu().numpy()
        return self._mean(self.inverse).cpu().numpy(), self.weights @ moved

    def step(self, gap: NDArray, push: NDArray) -> NDArray:
        """As Pass.step."""
        return (self.inverse @ self._tensor(gap + push)[..., None])[..., 0].cpu().numpy()

    def _strength(self) -> Tensor:
        """Scaled stress (S,) or (G, S) at which each mode alone moves at rate 1."""
        return stress_at_rate(self.grains.law, self.rate0, self.device) / self.sigma0

    def _tensor(self, values: NDArray) -> Tensor:
        return torch.as_tensor(np.array(values), device=self.device)

    def _inverses(self, a: NDArray, share: float, damping: float) -> Tensor:
        hessian = (self.modes * (share * self.slopes)[..., None]).transpose(1, 2) @ self.modes
        return torch.linalg.inv(regularised(hessian + self._tensor(a), damping))

    def _mean(self, matrices: Tensor) -> Tensor:
        return torch.einsum("g,gij->ij", self._tensor(self.weights), matrices)
