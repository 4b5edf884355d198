"""The homogeneous medium of a mean field: fixed point of its compliance, stress and strain rate.

Given Mt(Mbar), Sigma and D every grain solves  D_g(s_g) + Mt s_g = D + Mt Sigma.  With C_g = (M_g + Mt)^-1, M_g the
linearisation of the scheme, and H_g = dD_g/ds_g:

    Mbar <- <C_g>^-1 - Mt                              (equal to <M_g B_g><B_g>^-1, and always positive definite)
    <s_g> = Sigma solved by Newton: D = M_t Sigma + e_t,  M_t = <(H_g + Mt)^-1>^-1 - Mt,
    e_t = D - M_t Sigma - <(H_g + Mt)^-1>^-1 (<s_g> - Sigma),  together with the boundary conditions

| scheme | M_g | n_eff in Mt = n_eff (Gamma^-1 - L)^-1 |
|---|---|---|
| secant | H_g / n | 1 |
| n_eff | H_g / n | given, 10 usual |
| tangent | H_g / n | n |
| affine | H_g (tangent) | 1 |
| taylor | - | Mt = 0 |

Unknowns of the fixed point: logarithm of Mbar (15), Sigma (5), D (5), in units in which |D| = 1 and the mean strength
is 1; Anderson acceleration, memory kept from step to step of a path.
References: Molinari, Canova & Ahzi 1987; Lebensohn & Tome 1993; Masson et al. 2000, J. Mech. Phys. Solids 48:1203.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cpml.errors import ParameterError
from cpml.plasticity.anderson import FixedPoint, Memory, fixed_point
from cpml.plasticity.boundary import Loading
from cpml.plasticity.eshelby import interaction
from cpml.plasticity.kernels import average, solve_grains

_LOWER = np.tril_indices(5)
_LEAST = 1e-6  # smallest over largest eigenvalue of a compliance
_LOG_WEIGHT = np.where(_LOWER[0] == _LOWER[1], 1.0, np.sqrt(2.0))


@dataclass(frozen=True)
class Linearisation:
    """M_g = share H_g, Mt = n_eff (Gamma^-1 - L)^-1; has_medium False is Taylor."""

    share: float
    n_eff: float
    has_medium: bool = True


@dataclass(frozen=True)
class Grains:
    """Numbers of the kernels: Schmid tensors in the sample frame (G, 5, S), strengths (G, S) MPa, weights (G,) sum 1."""

    schmid: NDArray
    strength: NDArray
    polar: NDArray
    n: float
    reference_rate: float
    weights: NDArray


@dataclass(frozen=True)
class Medium:
    """Solved mean field, in MPa and 1/s."""

    compliance: NDArray  # (5, 5) Mbar of the scheme (Taylor: tangent compliance of the aggregate)
    offset: NDArray  # (5,) D - Mbar Sigma
    interaction: NDArray  # (5, 5) Mt
    spin: NDArray  # (3, 3, 5) Pi Gamma^-1
    stress: NDArray  # (5,) Sigma
    rate: NDArray  # (5,) D
    grain_stress: NDArray  # (G, 5)
    shear_rate: NDArray  # (G, S)
    slope: NDArray  # (G, S) d shear rate / d tau
    residual: float  # of the fixed point, relative
    grain_residual: NDArray  # (G,) relative to |D|
    converged: bool
    n_iter: int  # passes over the grains
    newton_iterations: int  # of all grains and passes together
    start: "Start"


@dataclass(frozen=True)
class Start:
    """Scaled state from which a nearby problem starts."""

    x: NDArray  # (25,)
    stress: NDArray  # (G, 5)
    memory: Memory


@dataclass
class _Pass:
    """One evaluation of the fixed-point map; arrays are reused from call to call."""

    grains: Grains
    xi: NDArray
    loading: Loading
    line: Linearisation
    zeta: NDArray
    zeta_weights: NDArray
    stress: NDArray
    is_warm: bool
    threads: int

    def __post_init__(self):
        shape = self.xi.shape
        self.rate, self.slope = np.empty(shape), np.empty(shape)
        self.iterations, self.residual = np.zeros(shape[0], np.int64), np.zeros(shape[0])
        self.newton = 0
        self.tol = 1e-12

    def interaction(self, compliance: NDArray) -> tuple[NDArray, NDArray]:
        if not self.line.has_medium:
            return np.zeros((5, 5)), np.zeros((3, 3, 5))
        return interaction(compliance, self.zeta, self.zeta_weights, self.line.n_eff)

    def solve(self, a: NDArray, c: NDArray, tol: float) -> tuple[NDArray, NDArray, NDArray]:
        """Grains at c (5,): <s> (5,), <(H + A)^-1>, <(M + A)^-1> (5, 5)."""
        g, count = self.grains, len(self.xi)
        share, rows = (self.line.share if self.line.has_medium else 1.0), np.ascontiguousarray(c)[None]
        a = np.ascontiguousarray(a)

        def part(first: int, last: int) -> tuple[NDArray, NDArray]:
            solve_grains(g.schmid, self.xi, g.polar, g.n, a, rows, self.is_warm, tol, 60, self.stress, self.rate,
                         self.slope, self.iterations, self.residual, first, last)
            sums, mean = np.zeros((2, 5, 5)), np.zeros(5)
            average(g.schmid, a, g.weights, self.stress, self.slope, share, first, last, sums, mean)
            return sums, mean

        parts = _in_threads(part, count, self.threads)
        self.is_warm = True
        self.newton += int(np.abs(self.iterations).sum())
        sums, mean = sum(p[0] for p in parts), sum(p[1] for p in parts)
        return mean, sums[0], sums[0] if share == 1.0 else sums[1]

    def __call__(self, x: NDArray, size: float) -> NDArray:
        """The map; NaN where the medium of x cannot be evaluated."""
        try:
            return self.improve(x, size)
        except np.linalg.LinAlgError:
            return np.full_like(x, np.nan)

    def improve(self, x: NDArray, size: float) -> NDArray:
        compliance, sigma, rate = unpack(x)
        a, _ = self.interaction(compliance)
        mean, tangent, linear = self.solve(a, rate + a @ sigma, min(1e-3, max(self.tol, 1e-3 * size)))
        inverse = np.linalg.inv(tangent)
        m_t = inverse - a
        m_t = (m_t + m_t.T) / 2
        # a mode in which no grain can flow has no stress of its own: the step stays short there
        m_t += _LEAST * np.trace(m_t) * np.eye(5)
        e_t = rate - m_t @ sigma - inverse @ (mean - sigma)
        found = m_t if linear is tangent else np.linalg.inv(linear) - a
        return pack(found, *self.loading.solve(m_t, e_t))


def _in_threads(part, count: int, threads: int) -> list:
    if threads <= 1 or count < 64:
        return [part(0, count)]
    edges = np.linspace(0, count, threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(part, edges[:-1], edges[1:]))


def pack(compliance: NDArray, sigma: NDArray, rate: NDArray) -> NDArray:
    """(25,) unknowns: lower triangle of log(compliance), weighted to keep its norm, Sigma, D."""
    values, vectors = np.linalg.eigh((compliance + compliance.T) / 2)
    logarithm = (vectors * np.log(np.maximum(values, _LEAST * values[-1]))) @ vectors.T
    return np.concatenate([logarithm[_LOWER] * _LOG_WEIGHT, sigma, rate])


def unpack(x: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Inverse of pack."""
    logarithm = np.zeros((5, 5))
    logarithm[_LOWER] = x[:15] / _LOG_WEIGHT
    values, vectors = np.linalg.eigh(logarithm, UPLO="L")
    return (vectors * np.exp(values)) @ vectors.T, x[15:20], x[20:25]


def solve_medium(grains: Grains, loading: Loading, line: Linearisation, zeta: NDArray, zeta_weights: NDArray, *,
                 start: Start | None = None, tol: float = 1e-9, max_iter: int = 200, threads: int = 1) -> Medium:
    """Solve the mean field; `tol` bounds the change of log(Mbar), Sigma and D in scaled units."""
    reference = float(grains.weights @ grains.strength.mean(1))
    rate_scale = loading.rate_size or grains.reference_rate
    sigma0 = reference * (rate_scale / grains.reference_rate) ** (1 / grains.n)
    xi = np.ascontiguousarray(grains.strength / reference)
    scaled = loading.scaled(rate_scale, sigma0)
    count = len(xi)
    stress = np.zeros((count, 5)) if start is None else start.stress.copy()
    one = _Pass(grains, xi, scaled, line, zeta, zeta_weights, stress, start is not None, threads)
    one.tol = max(1e-2 * tol, 1e-13)
    memory = Memory() if start is None else start.memory
    if not line.has_medium and len(scaled.rate_values) == 5:
        return _taylor(one, scaled, sigma0, rate_scale, memory)
    x = _first(one, scaled) if start is None else start.x
    solved = fixed_point(one, x, tol=tol, max_iter=max_iter, memory=memory)
    passes = solved.n_iter
    if not solved.converged and line.has_medium:
        solved, passes = _by_stages(one, x, tol, max_iter, memory)
    if not np.isfinite(solved.value).all():
        raise ParameterError("no medium found: these grains cannot deform as the loading asks; add slip families or "
                             "grains, or leave components of the loading free")
    return _record(one, solved, passes, sigma0, rate_scale, memory, one.tol)


def _taylor(one: _Pass, loading: Loading, sigma0: float, rate0: float, memory: Memory) -> Medium:
    """Every rate is imposed and every grain has it: no fixed point."""
    rate = np.linalg.solve(loading.rate_rows, loading.rate_values)
    mean, tangent, _ = one.solve(np.zeros((5, 5)), rate, one.tol)
    compliance = np.linalg.inv(tangent)
    solved = FixedPoint(pack(compliance, mean, rate), 0.0, 1, True)
    return _as_medium(one, solved, compliance, np.zeros((5, 5)), np.zeros((3, 3, 5)), 1, sigma0, rate0, memory)


def _first(one: _Pass, loading: Loading) -> NDArray:
    """Unknowns of the Taylor solution at the strain rate that an isotropic medium would have."""
    _, rate = loading.solve(np.eye(5), np.zeros(5))
    size = np.linalg.norm(rate)
    if not size > 0:
        raise ParameterError("the loading imposes neither a rate nor a stress: nothing would flow")
    line, one.line = one.line, Linearisation(1.0, 1.0, False)
    mean, tangent, _ = one.solve(np.zeros((5, 5)), rate, 1e-6)
    one.line = line
    compliance = np.linalg.inv(tangent) * (line.share if line.has_medium else 1.0)
    return pack(compliance, mean, rate)


def _by_stages(one: _Pass, x: NDArray, tol: float, max_iter: int, memory: Memory):
    """Continuation in n_eff from 1 to its value, from the Taylor start."""
    line, total = one.line, 0
    one.is_warm = False
    x = _first(one, one.loading)
    for n_eff in [*(v for v in (1.0, 2, 4, 7, 10, 14, 20, 30, 50, 80) if v < line.n_eff), line.n_eff]:
        memory.steps, memory.changes = [], []
        one.line = replace(line, n_eff=n_eff)
        is_last = n_eff == line.n_eff
        solved = fixed_point(one, x, tol=tol if is_last else 1e-4, max_iter=max_iter, memory=memory, largest=0.3)
        x, total = solved.value, total + solved.n_iter
    one.line = line
    return solved, total


def _record(one: _Pass, solved, passes: int, sigma0: float, rate0: float, memory: Memory, tol: float) -> Medium:
    """Grains at the fixed point itself, everything back in MPa and 1/s."""
    compliance, sigma, rate = unpack(solved.value)
    a, spin = one.interaction(compliance)
    one.solve(a, rate + a @ sigma, tol)
    return _as_medium(one, solved, compliance, a, spin, passes + 1, sigma0, rate0, memory)


def _as_medium(one, solved, compliance, a, spin, passes, sigma0, rate0, memory) -> Medium:
    """Scaled results in MPa and 1/s."""
    sigma, rate = solved.value[15:20], solved.value[20:25]
    factor = rate0 / sigma0
    return Medium(compliance * factor, (rate - compliance @ sigma) * rate0, a * factor, spin, sigma * sigma0,
                  rate * rate0, one.stress * sigma0, one.rate * rate0, one.slope * factor, solved.residual,
                  one.residual.copy(), solved.converged and bool((one.iterations > 0).all()), passes, one.newton,
                  Start(solved.value, one.stress, memory))
