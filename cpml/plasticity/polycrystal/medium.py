"""The homogeneous medium of a mean field: fixed point of its compliance, stress and strain rate.

Given Mt(Mbar), Sigma and D every grain solves D_g(s_g) + Mt s_g = D + Mt Sigma. With C_g = (M_g + Mt)^-1, M_g
the linearisation of the scheme, and H_g = dD_g/ds_g:

    Mbar <- <C_g>^-1 - Mt                     (equal to <M_g B_g><B_g>^-1, and always positive definite)
    <s_g> = Sigma solved by Newton: D = M_t Sigma + e_t,  M_t = <(H_g + Mt)^-1>^-1 - Mt,
    e_t = D - M_t Sigma - <(H_g + Mt)^-1>^-1 (<s_g> - Sigma),  together with the boundary conditions

| scheme | M_g | n_eff in Mt = n_eff (Gamma^-1 - L)^-1 |
|---|---|---|
| secant | H_g / n | 1 |
| n_eff | H_g / n | given, 10 usual |
| tangent | H_g / n | n |
| affine | H_g (tangent) | 1 |
| taylor | - | Mt = 0 |

Unknowns of the fixed point: logarithm of Mbar (15), Sigma (5), D (5), in units in which |D| = 1 and the mean
strength is 1; Anderson acceleration, memory kept from step to step of a path. References: Molinari, Canova &
Ahzi 1987; Lebensohn & Tome 1993; Masson et al. 2000, J. Mech. Phys. Solids 48:1203.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cpml.errors import ParameterError
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.polycrystal.aggregate import AnyLawAggregate, Pass, PowerLawAggregate
from cpml.plasticity.polycrystal.anderson import FixedPoint, Memory, fixed_point
from cpml.plasticity.polycrystal.eshelby import Sphere, interaction
from cpml.plasticity.polycrystal.schemes import Linearisation

_LOWER = np.tril_indices(5)
_LEAST = 1e-6  # smallest over largest eigenvalue of a compliance
_MAX_ITER = 200
_N_EFF_STAGES = (1.0, 2, 4, 7, 10, 14, 20, 30, 50, 80)
_LOG_WEIGHT = np.where(_LOWER[0] == _LOWER[1], 1.0, np.sqrt(2.0))


@dataclass(frozen=True)
class EffectiveMedium:
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
class _Map:
    """The fixed-point map: a pass over the grains at a guess of the medium, in units of rate0 and sigma0."""

    one: Pass
    conditions: Conditions  # scaled
    line: Linearisation
    sphere: Sphere
    tol: float
    rate0: float  # 1/s
    sigma0: float  # MPa

    def interaction(self, compliance: NDArray) -> tuple[NDArray, NDArray]:
        """A (5, 5) and the spin tensor (3, 3, 5)."""
        if not self.line.has_medium:
            return np.diag(1 - self.line.keep), relaxed_spin(self.line)
        return interaction(compliance, *self.sphere, self.line.n_eff)

    def solve(
        self, a: NDArray, sigma: NDArray, rate: NDArray, tol: float
    ) -> tuple[NDArray, NDArray, NDArray]:
        """<s>, <(H + A)^-1>, <(M + A)^-1> at a guess of the medium."""
        if not self.line.has_medium:
            return self.one.solve(a, self.line.keep * rate, tol, 1.0)
        return self.one.solve(a, rate + a @ sigma, tol, self.line.share)

    def __call__(self, x: NDArray, size: float) -> NDArray:
        """The map; NaN where the medium of x cannot be evaluated."""
        try:
            return self.improve(x, size)
        except np.linalg.LinAlgError:
            return np.full_like(x, np.nan)

    def improve(self, x: NDArray, size: float) -> NDArray:
        """The next guess; `size` is the residual of the last one and says how exactly grains are solved."""
        compliance, sigma, rate = unpack(x)
        a, _ = self.interaction(compliance)
        mean, tangent, linear = self.solve(a, sigma, rate, min(1e-3, max(self.tol, 1e-3 * size)))
        inverse = np.linalg.inv(tangent)
        m_t = inverse - a
        m_t = (m_t + m_t.T) / 2
        # a mode in which no grain can flow has no stress of its own: the step stays short there
        m_t += _LEAST * np.trace(m_t) * np.eye(5)
        e_t = rate - m_t @ sigma - inverse @ (mean - sigma)
        better = (inverse if self.line.share == 1.0 else np.linalg.inv(linear)) - a
        return pack(better, *self.conditions.solve(m_t, e_t))

    def first(self) -> NDArray:
        """Unknowns of the Taylor solution at the strain rate that an isotropic medium would have."""
        _, rate = self.conditions.solve(np.eye(5), np.zeros(5))
        if not np.linalg.norm(rate) > 0:
            raise ParameterError("the loading imposes neither a rate nor a stress: nothing would flow")
        keep = self.line.keep
        mean, tangent, _ = self.one.solve(np.diag(1 - keep), keep * rate, 1e-6, 1.0)
        share = self.line.share if self.line.has_medium else 1.0
        return pack(np.linalg.inv(tangent) * share, mean, rate)

    def medium(self, solved: FixedPoint, compliance: NDArray, passes: int, memory: Memory) -> EffectiveMedium:
        """The solution in MPa and 1/s."""
        one, sigma, rate = self.one, solved.value[15:20], solved.value[20:25]
        a, spin = self.interaction(compliance)
        slow = self.rate0 / self.sigma0
        return EffectiveMedium(
            compliance=compliance * slow,
            offset=(rate - compliance @ sigma) * self.rate0,
            interaction=a * slow,
            spin=spin,
            stress=sigma * self.sigma0,
            rate=rate * self.rate0,
            grain_stress=one.stress * self.sigma0,
            shear_rate=one.rate * self.rate0,
            slope=one.slope * slow,
            residual=solved.residual,
            grain_residual=one.residual.copy(),
            converged=solved.converged and bool((one.iterations > 0).all()),
            n_iter=passes,
            newton_iterations=one.newton,
            start=Start(solved.value, one.stress, memory),
        )


def relaxed_spin(line: Linearisation) -> NDArray:
    """Spin (3, 3, 5) per strain-rate deviation: a relaxed L_ij (i < j) moves alone,
    so W_ij = D_ij of the deviation.
    """
    spin = np.zeros((3, 3, 5))
    for k, (i, j) in zip((2, 3, 4), ((1, 2), (0, 2), (0, 1)), strict=True):
        if line.relaxed is not None and line.relaxed[k]:
            spin[i, j, k], spin[j, i, k] = 1 / np.sqrt(2), -1 / np.sqrt(2)
    return spin


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


def solve_medium(
    grains: PowerLawAggregate | AnyLawAggregate,
    conditions: Conditions,
    line: Linearisation,
    sphere: Sphere,
    *,
    start: Start | None,
    tol: float,
    threads: int,
) -> EffectiveMedium:
    """Solve the mean field; `tol` bounds the change of log(Mbar), Sigma and D in scaled units."""
    rate0, sigma0 = grains.scale(conditions)
    stress = np.zeros((len(grains.schmid), 5)) if start is None else start.stress.copy()
    one = grains.start(stress, start is not None, threads, rate0, sigma0)
    scaled = conditions.scaled(rate0, sigma0)
    the_map = _Map(one, scaled, line, sphere, max(1e-2 * tol, 1e-13), rate0, sigma0)
    memory = Memory() if start is None else start.memory
    if not line.has_medium and len(conditions.rate_values) == 5:
        return _taylor(the_map, memory)
    x = the_map.first() if start is None else start.x
    solved = fixed_point(the_map, x, tol=tol, max_iter=_MAX_ITER, memory=memory)
    passes = solved.n_iter
    if not solved.converged and line.has_medium:
        solved, passes = _by_stages(the_map, tol, memory)
    if not np.isfinite(solved.value).all():
        raise ParameterError(
            "no medium found: these grains cannot deform as the loading asks; add slip families or "
            "grains, or leave components of the loading free"
        )
    compliance, sigma, rate = unpack(solved.value)
    a, _ = the_map.interaction(compliance)
    the_map.solve(a, sigma, rate, the_map.tol)
    return the_map.medium(solved, compliance, passes + 1, memory)


def _taylor(the_map: _Map, memory: Memory) -> EffectiveMedium:
    """Every rate is imposed and every grain has it: no fixed point."""
    rate = np.linalg.solve(the_map.conditions.rate_rows, the_map.conditions.rate_values)
    mean, tangent, _ = the_map.solve(np.zeros((5, 5)), np.zeros(5), rate, the_map.tol)
    compliance = np.linalg.inv(tangent)
    solved = FixedPoint(pack(compliance, mean, rate), 0.0, 1, True)
    return the_map.medium(solved, compliance, 1, memory)


def _by_stages(the_map: _Map, tol: float, memory: Memory) -> tuple[FixedPoint, int]:
    """Continuation in n_eff from 1 to its value, from the Taylor start; with the passes that it took."""
    line, total = the_map.line, 0
    the_map.one.is_warm = False
    x = the_map.first()
    for n_eff in [*(v for v in _N_EFF_STAGES if v < line.n_eff), line.n_eff]:
        memory.clear()
        the_map.line = replace(line, n_eff=n_eff)
        accuracy = tol if n_eff == line.n_eff else 1e-4
        solved = fixed_point(the_map, x, tol=accuracy, max_iter=_MAX_ITER, memory=memory, largest=0.3)
        x, total = solved.value, total + solved.n_iter
    the_map.line = line
    return solved, total
