"""Batched damped Newton for the scaled single-crystal problem
(cpml.plasticity.crystal.single_crystal has the equations).

Arrays are component-first, (5, G) and (S, G), so that the Schmid products are two matrix products and the 5 x
5 factor is unrolled over the batch: both are several times faster than a batched LAPACK call for these sizes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cpml.plasticity.laws.flow import whole_power

_ROWS, _COLUMNS = (
    torch.tensor(i) for i in zip(*[(i, j) for i in range(5) for j in range(i + 1)], strict=True)
)
_ARMIJO, _SMALLEST_STEP = 1e-4, 1e-2
_LEAST_DAMPING, _MOST_DAMPING = 1e-14, 1e2  # of the trace of H


@dataclass(frozen=True)
class Minimum:
    """Scaled stress (5, G), relative residual (G,), iterations of the slowest point."""

    stress: Tensor
    residual: Tensor
    n_iter: int


@dataclass
class _State:
    """Points on their best radius: stress, x = tau/xi, f = |x|^(n-1), objective."""

    s: Tensor  # (5, G)
    x: Tensor  # (S, G)
    f: Tensor  # (S, G)
    phi: Tensor  # (G,)

    def take(self, index: Tensor) -> "_State":
        return _State(self.s[:, index], self.x[:, index], self.f[:, index], self.phi[index])

    def put(self, index: Tensor, other: "_State") -> None:
        self.s[:, index], self.x[:, index], self.f[:, index] = other.s, other.x, other.f
        self.phi[index] = other.phi


@dataclass(frozen=True)
class _Problem:
    """d (5, G), P (S, 5), its products (15, S), strength (S, 1) or (S, G), polar rows (S, 1)."""

    d: Tensor
    schmid: Tensor
    products: Tensor
    strength: Tensor
    is_polar: Tensor
    any_polar: bool

    def at(self, index: Tensor) -> "_Problem":
        strength = self.strength if self.strength.shape[1] == 1 else self.strength[:, index]
        return _Problem(self.d[:, index], self.schmid, self.products, strength, self.is_polar, self.any_polar)

    def state(self, s: Tensor, n: float) -> _State:
        """Evaluate at s after moving it to its best radius; a point with s.d <= 0 gets an infinite objective."""
        x = (self.schmid @ s) / self.strength
        if self.any_polar:
            x = torch.where(self.is_polar, x.clamp(min=0), x)
        f = whole_power(x.abs(), n - 1)
        if n == 1 and self.any_polar:
            f = torch.where(self.is_polar & (x <= 0), 0.0, f)
        power = (self.d * s).sum(0)
        dissipation = (f * x * x * self.strength).sum(0)
        is_descent = (power > 0) & (dissipation > 0) & torch.isfinite(dissipation)
        ratio = torch.where(is_descent, power / dissipation, 1.0)
        alpha = ratio ** (1 / n)
        phi = torch.where(is_descent, -alpha * power * (n / (n + 1)), torch.inf)
        return _State(s * alpha, x * alpha, f * (ratio / alpha), phi)

    def newton_step(self, state: _State, n: float, damping: Tensor) -> tuple[Tensor, Tensor]:
        """Residual r (5, G) and damped Newton direction -(H + damping tr(H) I)^-1 r (5, G)."""
        residual = self.schmid.T @ (state.f * state.x) - self.d
        lower = self.products @ (state.f * (n / self.strength))
        return residual, -solve5(lower, residual, damping)


def solve5(lower: Tensor, right: Tensor, damping: Tensor | float = _LEAST_DAMPING) -> Tensor:
    """Solve G symmetric positive definite 5 x 5 systems; lower triangle (15, G) by rows, right side (5, G).

    `damping` (G,) times the trace is added to the diagonal: a crystal with fewer than five active systems has
    a matrix that is singular to rounding, and undamped its step would be noise along the idle directions.
    """
    a = {(int(i), int(j)): lower[k] for k, (i, j) in enumerate(zip(_ROWS, _COLUMNS, strict=True))}
    floor = damping * sum(a[i, i] for i in range(5)) + 1e-300
    factor, inverse, y = {}, [], []
    for i in range(5):
        for j in range(i + 1):
            value = a[i, j] + floor if i == j else a[i, j]
            for k in range(j):
                value = value - factor[i, k] * factor[j, k]
            if i == j:
                inverse.append(torch.maximum(value, floor).rsqrt())
            else:
                factor[i, j] = value * inverse[j]
        value = right[i]
        for k in range(i):
            value = value - factor[i, k] * y[k]
        y.append(value * inverse[i])
    solution = [None] * 5
    for i in reversed(range(5)):
        value = y[i]
        for k in range(i + 1, 5):
            value = value - factor[k, i] * solution[k]
        solution[i] = value * inverse[i]
    return torch.stack(solution)


def stages(n: float) -> tuple[float, ...]:
    """Exponents of the continuation after the linear start, ending with n itself."""
    steps, current = [], 1.0
    while n > 2.7 * current:
        current = 3.0 if current == 1 else (8.0 if current == 3 else 2.5 * current)
        steps.append(current)
    return (*(s for s in steps if s < n), n)


def minimise(
    d: Tensor,
    schmid: Tensor,
    strength: Tensor,
    is_polar: Tensor,
    n: float,
    *,
    tol: float,
    max_iter: int,
    start: Tensor | None = None,
) -> Minimum:
    """Minimise phi for G points with |d| = 1; with a start, continuation serves only the points that need it."""
    problem = _Problem(
        d,
        schmid,
        (schmid[:, _ROWS] * schmid[:, _COLUMNS]).T.contiguous(),
        strength,
        is_polar[:, None],
        bool(is_polar.any()),
    )
    if start is not None:
        first = _newton(problem, start, n, tol, max_iter)
        missed = torch.nonzero(~(first.residual <= tol))[:, 0]
        if len(missed) == 0:
            return first
        rest = _continuation(problem.at(missed), n, tol, max_iter)
        first.stress[:, missed], first.residual[missed] = rest.stress, rest.residual
        return Minimum(first.stress, first.residual, first.n_iter + rest.n_iter)
    return _continuation(problem, n, tol, max_iter)


def _continuation(problem: _Problem, n: float, tol: float, max_iter: int) -> Minimum:
    # both senses of twins resist in the linear start, so that its matrix is never singular
    count = problem.d.shape[1]
    weight = (1 / problem.strength).expand(-1, count)
    s, total = solve5(problem.products @ weight, problem.d), 0
    for exponent in stages(n):
        result = _newton(problem, s, exponent, tol if exponent == n else 1e-2, max_iter)
        s, total = result.stress, total + result.n_iter
    return Minimum(s, result.residual, total)


def _newton(problem: _Problem, s: Tensor, n: float, tol: float, max_iter: int) -> Minimum:
    """Damped Newton from s; points leave the active set when they converge or no damping helps.

    A refused step raises the damping of its point a thousandfold, an accepted one lowers it tenfold.
    """
    state, count = problem.state(s, n), s.shape[1]
    residual = s.new_full((count,), torch.inf)
    damping = s.new_full((count,), _LEAST_DAMPING)
    active, n_iter = torch.arange(count, device=s.device), 0
    for n_iter in range(max_iter + 1):
        here, local = problem.at(active), state.take(active)
        gradient, step = here.newton_step(local, n, damping[active])
        residual[active] = gradient.norm(dim=0)
        going = (residual[active] > tol) & torch.isfinite(local.phi) & (damping[active] < _MOST_DAMPING)
        if n_iter == max_iter or not bool(going.any()):
            break
        active, here, local = active[going], here.at(going), local.take(going)
        moved, has_moved = _line_search(here, local, gradient[:, going], step[:, going], n, residual[active])
        state.put(active, moved)
        now = damping[active]
        damping[active] = torch.where(has_moved, (now / 10).clamp(min=_LEAST_DAMPING), now * 1e3)
    return Minimum(state.s, residual, n_iter)


def _line_search(
    problem: _Problem, state: _State, gradient: Tensor, step: Tensor, n: float, residual: Tensor
) -> tuple[_State, Tensor]:
    """Armijo backtracking per point; returns the new state and which points moved."""
    slope = (gradient * step).sum(0)
    best = problem.state(state.s + step, n)
    # near the minimum the objective stops changing in float64: there the full Newton step is taken as it is
    rounding = 1e-14 * state.phi.abs()
    wanted = state.phi + _ARMIJO * slope + torch.where(residual < 1e-4, 10 * rounding, 0.0)
    refused = torch.nonzero(~(best.phi <= wanted))[:, 0]
    size = 1.0
    while len(refused) and size > _SMALLEST_STEP:
        size /= 2
        trial = problem.at(refused).state(state.s[:, refused] + size * step[:, refused], n)
        accepted = trial.phi <= state.phi[refused] + size * _ARMIJO * slope[refused]
        best.put(refused[accepted], trial.take(accepted))
        refused = refused[~accepted]
    has_moved = torch.ones(len(slope), dtype=torch.bool, device=slope.device)
    if len(refused):
        best.put(refused, state.take(refused))
        has_moved[refused] = False
    return best, has_moved
