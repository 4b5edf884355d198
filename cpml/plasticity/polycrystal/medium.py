"""The homogeneous medium of a mean field: fixed point of its compliance.

At a compliance Mbar the interaction Mt is known, and grains, Sigma and D are those in balance
(cpml.plasticity.polycrystal.balance: a convex minimum). With C_g = (M_g + Mt)^-1, M_g the linearisation of
the scheme, the medium is the one that is reproduced by

    Mbar <- <C_g>^-1 - Mt                     (equal to <M_g B_g><B_g>^-1, and always positive definite)

| scheme | M_g | n_eff in Mt = n_eff (Gamma^-1 - L)^-1 |
|---|---|---|
| secant | H_g / n | 1 |
| n_eff | H_g / n | given, 10 usual |
| tangent | H_g / n | n |
| affine | H_g (tangent) | 1 |
| taylor | - | Mt = 0: balance alone, no fixed point |

The unknown is the logarithm of Mbar (15), in units in which |D| = 1 and the mean strength is 1; Anderson
acceleration, memory kept from step to step of a path. A cold start goes through growing exponents, each from
the medium of the one before; a start that does not lead to a solution is followed by a cold one. Where
stresses alone drive the specimen its rate is found as the one whose stress is the imposed one.

Crystals whose yield surface is open (cpml.plasticity.crystal.cone) may have a medium all the same: grains
need not follow the mean strain rate. Where Mbar falls without limit there is none, and an error says so.

References: Molinari, Canova & Ahzi 1987; Lebensohn & Tome 1993; Masson et al. 2000, J. Mech. Phys. Solids
48:1203; Nebozhyn, Gilormini & Ponte Castaneda 2001, J. Mech. Phys. Solids 49:313 (fewer than five systems).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cpml.errors import ParameterError
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.polycrystal.aggregate import AnyLawAggregate, PowerLawAggregate
from cpml.plasticity.polycrystal.anderson import Memory, fixed_point
from cpml.plasticity.polycrystal.balance import Balance, stages
from cpml.plasticity.polycrystal.eshelby import Sphere, interaction
from cpml.plasticity.polycrystal.schemes import Linearisation

_LOWER = np.tril_indices(5)
_ATTEMPTS = ((2.0, 1e-10), (1.4, 1e-10), (1.4, 1e-6), (1.4, 1e-4))
"""Growth of the exponent, and smallest over largest eigenvalue of a compliance, one attempt after the other.
The last ones are for modes that are idle by symmetry: rounding alone decides their eigenvalues, and neither
stress nor rate depends on them."""
_WARM_ITER, _STAGE_ITER, _MAX_ITER = 40, 15, 150
_ROUNDING = 1e-8  # a residual that float64 may not get below
_NEAR = 1e-6  # a residual that says that there is a medium
_STAGE_TOL = 1e-2  # of an exponent on the way
_RATE_ROUNDS = 60  # of the rate that belongs to imposed stresses
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
    n_iter: int  # Newton steps of all grains together
    start: "Start"


@dataclass(frozen=True)
class Start:
    """Scaled state from which a nearby problem starts."""

    compliance: NDArray  # (15,) logarithm, packed
    stress: NDArray  # (G, 5)
    rate: NDArray  # (5,)
    memory: Memory


@dataclass
class _Search:
    """The grains in scaled units, and the medium they are to reproduce."""

    balance: Balance
    line: Linearisation  # of the exponent at hand
    sphere: Sphere
    tol: float
    growth: float = _ATTEMPTS[0][0]
    least: float = _ATTEMPTS[0][1]
    residual: float = np.inf
    converged: bool = False

    def interaction(self, compliance: NDArray) -> tuple[NDArray, NDArray]:
        """A (5, 5) and the spin tensor (3, 3, 5)."""
        if not self.line.has_medium:
            return np.diag(1 - self.line.keep), relaxed_spin(self.line)
        return interaction(compliance, *self.sphere, self.line.n_eff)

    def __call__(self, x: NDArray, size: float) -> NDArray:
        """The medium that the grains make in the medium x; NaN where there is none. `size` is the residual
        of the last one and says how exactly grains are solved.
        """
        a, _ = self.interaction(unpack(x))
        self.balance.solve(a, min(1e-3, max(self.tol, 1e-3 * size)))
        if not self.balance.converged:
            return np.full_like(x, np.nan)
        return pack(self.reproduced(a), self.least)

    def reproduced(self, a: NDArray) -> NDArray:
        """<C_g>^-1 - A (5, 5)."""
        share = self.line.share
        mean = self.balance.tangent if share == 1.0 else self.balance.one.mean_inverse(a, share)
        return np.linalg.inv(mean) - a

    def settle(self, x: NDArray, tol: float, max_iter: int, memory: Memory) -> NDArray:
        """The medium from a guess (15,), or grains in balance where there is none to look for."""
        if not self.line.has_medium:
            a, _ = self.interaction(np.eye(5))
            self.balance.solve(a, min(tol, max(self.tol, 1e-13)))
            self.residual, self.converged = float(self.balance.residual.max()), self.balance.converged
            return pack(self.reproduced(a), self.least)
        solved = fixed_point(self, x, tol=tol, max_iter=max_iter, memory=memory)
        self.residual, self.converged = solved.residual, solved.residual <= max(tol, _ROUNDING)
        return solved.value

    def attempt(self, way: Callable[[], NDArray]) -> NDArray:
        """The medium that a way finds; NaN where its matrices are singular."""
        line = self.line
        try:
            return way()
        except np.linalg.LinAlgError:
            self.line, self.converged = line, False
            return np.full(15, np.nan)

    def warm(self, start: Start, tol: float) -> NDArray:
        """From the state of a nearby problem."""
        if self.line.has_medium or self.balance.free.shape[1]:
            self.balance.put(start.stress)
            self.balance.gather_stragglers(self.interaction(unpack(start.compliance))[0])
        return self.settle(start.compliance, tol, _WARM_ITER, start.memory)

    def cold(self, tol: float, memory: Memory) -> NDArray:
        """From linear crystals in an isotropic medium, by growing exponents."""
        balance, one, line = self.balance, self.balance.one, self.line
        if not line.has_medium and balance.is_imposed:
            return self.settle(np.zeros(15), tol, _MAX_ITER, memory)
        x = self.linear()
        for exponent in stages(one.exponent, self.growth)[:-1]:
            memory.clear()
            one.soften(exponent)
            self.line = line.at(exponent)
            balance.rescale(self.interaction(unpack(x))[0])
            x = self.settle(x, _STAGE_TOL, _STAGE_ITER, memory)
            if not np.isfinite(x).all():
                self.line = line
                return x
        memory.clear()
        self.line = line
        a, _ = self.interaction(unpack(x))
        if one.exponent is not None:
            one.soften(one.exponent)
        balance.rescale(a)
        if one.exponent is None:
            balance.solve_apart(a, balance.stress, _STAGE_TOL)
        return self.settle(x, tol, _MAX_ITER, memory)

    def linear(self) -> NDArray:
        """Every grain under the stress that an isotropic linear medium would have; that medium."""
        balance = self.balance
        compliance = balance.one.ease() * np.eye(5)
        sigma, balance.rate = balance.conditions.solve(compliance, np.zeros(5))
        if not np.linalg.norm(balance.rate) > 0:
            raise ParameterError("the loading imposes neither a rate nor a stress: nothing would flow")
        balance.put(np.tile(sigma, (len(balance.weights), 1)))
        return pack(compliance, self.least)


def relaxed_spin(line: Linearisation) -> NDArray:
    """Spin (3, 3, 5) per strain-rate deviation: a relaxed L_ij (i < j) moves alone,
    so W_ij = D_ij of the deviation.
    """
    spin = np.zeros((3, 3, 5))
    for k, (i, j) in zip((2, 3, 4), ((1, 2), (0, 2), (0, 1)), strict=True):
        if line.relaxed is not None and line.relaxed[k]:
            spin[i, j, k], spin[j, i, k] = 1 / np.sqrt(2), -1 / np.sqrt(2)
    return spin


def pack(compliance: NDArray, least: float) -> NDArray:
    """(15,) lower triangle of log(compliance), weighted to keep its norm; eigenvalues are held above `least`
    of the largest.
    """
    values, vectors = np.linalg.eigh((compliance + compliance.T) / 2)
    if not values[-1] > 0:
        return np.full(len(_LOWER[0]), np.nan)
    logarithm = (vectors * np.log(np.maximum(values, least * values[-1]))) @ vectors.T
    return logarithm[_LOWER] * _LOG_WEIGHT


def unpack(x: NDArray) -> NDArray:
    """Inverse of pack."""
    logarithm = np.zeros((5, 5))
    logarithm[_LOWER] = x / _LOG_WEIGHT
    values, vectors = np.linalg.eigh(logarithm, UPLO="L")
    return (vectors * np.exp(values)) @ vectors.T


@dataclass(frozen=True)
class Problem:
    """Grains and scheme of a mean field; `tol` bounds the change of log(Mbar) and, a hundredth of it, the
    grains' residuals. `lacking` names a strain that no mode of the crystals makes, "" where there is none.
    """

    grains: PowerLawAggregate | AnyLawAggregate
    line: Linearisation
    sphere: Sphere
    tol: float
    threads: int
    lacking: str

    def solve(self, conditions: Conditions, start: Start | None) -> EffectiveMedium:
        """The mean field under conditions, from a nearby solution or cold.

        Raises
        ------
        ParameterError : no solution was found, so that grains cannot deform as the loading asks
        """
        if conditions.rate_size > 0 or not conditions.stress_values.any():
            return self._at_rate(conditions, start)
        return self._under_stress(conditions, start)

    def _at_rate(self, conditions: Conditions, start: Start | None) -> EffectiveMedium:
        """Some rate is imposed, which gives the scale of all others."""
        rate0, sigma0 = self.grains.scale(conditions)
        one = self.grains.start(self.threads, rate0, sigma0)
        stress, rate, memory = np.zeros((len(one.weights), 5)), np.zeros(5), Memory()
        if start is not None:
            stress, rate, memory = start.stress, start.rate, start.memory
        balance = Balance(one, conditions.scaled(rate0, sigma0), stress, rate)
        search = _Search(balance, self.line, self.sphere, 1e-2 * self.tol)
        x = np.full(15, np.nan)
        with np.errstate(all="ignore"):  # trial stresses overflow; what is not finite is not accepted
            if start is not None:
                x = search.attempt(lambda: search.warm(start, self.tol))
            for k, (search.growth, search.least) in enumerate(_ATTEMPTS[: 1 if self.lacking else None]):
                if not (search.converged or (k and search.residual <= _NEAR)):
                    x = search.attempt(lambda: search.cold(self.tol, memory))
            found = _medium(search, x, memory, rate0, sigma0) if np.isfinite(x).all() else None
        if found is None or (self.lacking and not found.converged):
            raise self._refusal()
        return found

    def _refusal(self) -> ParameterError:
        if not self.lacking:
            return ParameterError(
                "no medium found: these grains cannot deform as the loading asks; add slip families or "
                "grains, or leave components of the loading free"
            )
        what = "the medium hardens without limit" if self.line.has_medium else "no common strain rate found"
        return ParameterError(
            f"{what}: no mode of this law makes {self.lacking}; add a family (pyramidal <c+a> in hexagonal "
            "crystals) or grains, or leave components of the loading free"
        )

    def _under_stress(self, conditions: Conditions, start: Start | None) -> EffectiveMedium:
        """Stresses alone drive the specimen: the rate along them at which they are as imposed.

        A power law needs one correction, since its rates go as a power of all stresses; the rate of another
        law is found by secants in logarithms.
        """
        offset = conditions.split[0]
        size = float(np.linalg.norm(offset))
        axis = offset / size
        rate, _ = self.grains.scale(conditions)
        exponent = self.grains.n if isinstance(self.grains, PowerLawAggregate) else 3.0
        before: tuple[float, float] | None = None
        for _ in range(_RATE_ROUNDS):
            medium = self._at_rate(conditions.driven(axis, rate), start)
            ratio = float(np.log(size / (medium.stress @ axis)))
            is_rounding = before is not None and _ROUNDING >= abs(ratio) >= 0.5 * abs(before[1])
            if abs(ratio) <= self.tol or is_rounding:
                return medium
            if before is not None and before[1] != ratio:
                exponent = float(np.clip((np.log(rate) - before[0]) / (before[1] - ratio), 1.0, 1e3))
            before, start = (float(np.log(rate)), ratio), medium.start
            rate *= float(np.exp(np.clip(exponent * ratio, -50.0, 50.0)))
            if not 1e-300 < rate < 1e300:
                break
        raise ParameterError(
            f"no strain rate found at which these grains carry the imposed stress of {size:.4g} MPa "
            "(Frobenius norm)"
        )


def _medium(search: _Search, x: NDArray, memory: Memory, rate0: float, sigma0: float) -> EffectiveMedium:
    """The solution in MPa and 1/s."""
    balance, compliance, slow = search.balance, unpack(x), rate0 / sigma0
    a, spin = search.interaction(compliance)
    if search.line.has_medium:
        balance.solve(a, search.tol)
    sigma, rate = balance.sigma, balance.rate
    return EffectiveMedium(
        compliance=compliance * slow,
        offset=(rate - compliance @ sigma) * rate0,
        interaction=a * slow,
        spin=spin,
        stress=sigma * sigma0,
        rate=rate * rate0,
        grain_stress=balance.stress * sigma0,
        shear_rate=balance.one.rate * rate0,
        slope=balance.one.slope * slow,
        residual=search.residual,
        grain_residual=balance.residual.copy(),
        converged=search.converged and balance.converged,
        n_iter=balance.passes,
        start=Start(x, balance.stress, balance.rate, memory),
    )
