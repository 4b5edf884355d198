"""Macroscopic conditions: each component of the velocity gradient is imposed, or its stress component is.

For every symmetric pair ij either D_ij is known (both L_ij and L_ji imposed) or sigma_ij is. In
the space of deviators the conditions are five linear equations on (D, Sigma), the 5-vectors of
strain rate and deviatoric stress:

    rate_rows D = rate_values,   stress_rows Sigma = stress_values

(the trace of D is zero; differences of the imposed normal stresses eliminate the pressure). With a linear law
D = M Sigma + e of the medium they fix both. The spin is the skew part of L; where one of a pair is free, the
imposed one gives W_ij = L_ij - D_ij.

| symbol | meaning | unit | shape |
|---|---|---|---|
| L | velocity gradient, NaN = free | 1/s | (3, 3) |
| sigma | Cauchy stress, NaN = not imposed | MPa | (3, 3) |
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from cpml.crystallography.tensors import BASIS, to_matrix
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity.arguments import stress_and_rate

_PAIRS = ((1, 2), (0, 2), (0, 1))
_Rows: TypeAlias = list[tuple[NDArray, float]]  # rows (5,) and their values


def _array(value: ArrayLike, name: str) -> NDArray:
    try:
        array = np.array(value, float)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != (3, 3) or np.isinf(array).any():
        raise ParameterError(f"{name} must be a (3, 3) array of numbers, NaN where it is free")
    return array


@dataclass(frozen=True, eq=False)
class Conditions:
    """Mixed conditions of one step (module docstring), sample frame.

    Examples
    --------
    >>> tension = Conditions.uniaxial(2, 1e-3)  # pulled along z at 1e-3 /s, lateral faces free
    >>> tension.rate_rows.shape, tension.stress_rows.shape
    ((4, 5), (1, 5))
    """

    rate_rows: NDArray  # (k, 5)
    rate_values: NDArray  # (k,) 1/s
    stress_rows: NDArray  # (5 - k, 5)
    stress_values: NDArray  # (5 - k,) MPa
    velocity_gradient: NDArray  # (3, 3), NaN where free
    stress: NDArray  # (3, 3), NaN where not imposed

    @classmethod
    def mixed(cls, velocity_gradient: ArrayLike, stress: ArrayLike | None = None) -> "Conditions":
        """Velocity gradient with NaN where it is free, and the Cauchy stress imposed there (NaN elsewhere).

        Raises
        ------
        ParameterError : a component with both or neither imposed, an imposed L with a
            trace, both L_ij and L_ji free
        """
        gradient = _array(velocity_gradient, "velocity_gradient")
        stress = np.full((3, 3), np.nan) if stress is None else _array(stress, "stress")
        stress = np.where(np.isnan(stress), stress.T, stress)
        if not np.allclose(stress, stress.T, equal_nan=True):
            raise ParameterError("the imposed stress is not symmetric")
        has_rate = ~np.isnan(gradient) & ~np.isnan(gradient.T)
        has_stress = ~np.isnan(stress)
        for i, j in ((0, 0), (1, 1), (2, 2), *_PAIRS):
            name = f"{i + 1}{j + 1}"
            if has_rate[i, j] and has_stress[i, j]:
                raise ParameterError(
                    f"component {name} is over-prescribed: give the rate or the stress, not both"
                )
            if not has_rate[i, j] and not has_stress[i, j]:
                raise ParameterError(f"component {name} has neither rate nor stress: impose one of them")
            if i != j and np.isnan(gradient[i, j]) and np.isnan(gradient[j, i]):
                raise ParameterError(
                    f"L_{name} and L_{name[::-1]} are both free: impose one, or the spin is unknown"
                )
        rates, stresses = _normal_rows(gradient, stress, has_rate, has_stress)
        for k, (i, j) in zip((2, 3, 4), _PAIRS, strict=True):
            row = np.eye(5)[k]
            if has_rate[i, j]:
                rates.append((row, (gradient[i, j] + gradient[j, i]) / np.sqrt(2)))
            else:
                stresses.append((row, np.sqrt(2) * stress[i, j]))
        return cls(*_stack(rates), *_stack(stresses), gradient, stress)

    @classmethod
    def uniaxial(cls, axis: int, rate: float) -> "Conditions":
        """Axial rate (1/s, its sign is that of the load) along sample axis 0, 1 or
        2; lateral normal stresses zero.
        """
        gradient = np.diag(np.where(np.arange(3) == axis, rate, np.nan))
        return cls.mixed(gradient, np.diag(np.where(np.arange(3) == axis, np.nan, 0.0)) + _off_diagonal_nan())

    @classmethod
    def parallel(cls, direction: ArrayLike, rate: ArrayLike) -> "Conditions":
        """Deviatoric stress parallel to `direction` (5,), with the
        work-conjugate part of `rate` (5,) imposed.
        """
        axis = np.asarray(direction, float) / np.linalg.norm(direction)
        across = np.linalg.svd(axis[None])[2][1:]
        return cls(
            axis[None],
            np.array([axis @ np.asarray(rate, float)]),
            across,
            np.zeros(4),
            np.full((3, 3), np.nan),
            np.full((3, 3), np.nan),
        )

    @classmethod
    def of(
        cls, loading: "Load | Conditions | ArrayLike | Tensor", lateral: str = "axisymmetric"
    ) -> "Conditions":
        """The conditions that a loading stands for.

        Parameters
        ----------
        loading : Conditions, which stay as they are; a Load or one (3, 3) strain rate, 1/s
        lateral : "axisymmetric" imposes every component of the strain rate; "free" only its
            part along the stress (`parallel`)
        """
        if isinstance(loading, Conditions):
            return loading
        stress, rate = (x.detach().numpy() for x in stress_and_rate(loading))
        return cls.parallel(stress, rate) if lateral == "free" else cls.mixed(to_matrix(rate))

    @property
    def rate_size(self) -> float:
        """Size of the imposed rates, 1/s; 0 when only stresses are imposed."""
        return float(np.linalg.norm(self.rate_values))

    def solve(self, compliance: NDArray, offset: NDArray) -> tuple[NDArray, NDArray]:
        """Sigma (5,) and D (5,) of the medium D = compliance Sigma + offset under these conditions."""
        rows = np.concatenate([self.rate_rows @ compliance, self.stress_rows])
        values = np.concatenate([self.rate_values - self.rate_rows @ offset, self.stress_values])
        sigma = np.linalg.solve(rows, values)
        rate = compliance @ sigma + offset
        if len(self.rate_values) == 5:
            rate = np.linalg.solve(self.rate_rows, self.rate_values)
        return sigma, rate

    @cached_property
    def split(self) -> tuple[NDArray, NDArray, NDArray]:
        """s0 (5,) MPa, N (5, k), v (k,) 1/s: Sigma = s0 + N y with y free meets the stress conditions, N^T D
        = v is what the rate conditions say.

        Raises
        ------
        ParameterError : rates and stresses on overlapping directions
        """
        if np.abs(self.rate_rows @ self.stress_rows.T).max(initial=0.0) > 1e-9:
            raise ParameterError(
                "rates and stresses are imposed on overlapping directions of the deviatoric space"
            )
        basis, rate, stress = np.zeros((5, 0)), np.zeros(0), np.zeros(5)
        if len(self.rate_values):
            basis = np.linalg.qr(self.rate_rows.T)[0]
            rate = np.linalg.solve(self.rate_rows @ basis, self.rate_values)
        if len(self.stress_values):
            stress = np.linalg.pinv(self.stress_rows) @ self.stress_values
        return stress, basis, rate

    def driven(self, axis: NDArray, rate: float) -> "Conditions":
        """The same conditions with the strain rate along the imposed stress (unit `axis` (5,)) known in place
        of its size: D.axis = `rate`, 1/s, stresses across the axis zero.
        """
        across = self.free - np.outer(axis, axis @ self.free)
        directions = np.linalg.svd(across)[0][:, : self.free.shape[1] - 1]
        return replace(
            self,
            rate_rows=np.concatenate([self.rate_rows, axis[None]]),
            rate_values=np.append(self.rate_values, rate),
            stress_rows=directions.T,
            stress_values=np.zeros(directions.shape[1]),
        )

    @cached_property
    def free(self) -> NDArray:
        """(5, m) orthonormal directions of the strain rate that no rate condition fixes.

        Raises
        ------
        ParameterError : as `split`
        """
        basis = self.split[1]
        if not basis.shape[1]:
            return np.eye(5)
        return np.linalg.svd(basis, full_matrices=True)[0][:, basis.shape[1] :]

    def scaled(self, rate: float, stress: float) -> "Conditions":
        """The same conditions in units of `rate` and `stress`."""
        return replace(self, rate_values=self.rate_values / rate, stress_values=self.stress_values / stress)

    def relaxed(self, free: tuple[bool, ...] | None) -> "Conditions":
        """The same conditions with the components `free` (5,) of D left free and their stresses zero.

        Raises
        ------
        ParameterError : a condition that mixes free components with others, or imposes a stress on one
        """
        if free is None:
            return self
        is_free = np.array(free)
        touches = [np.abs(rows[:, is_free]).sum(1) > 0 for rows in (self.rate_rows, self.stress_rows)]
        mixes = any(
            np.abs(rows[t][:, ~is_free]).any()
            for rows, t in zip((self.rate_rows, self.stress_rows), touches, strict=True)
        )
        if mixes or np.any(self.stress_values[touches[1]] != 0):
            raise ParameterError(
                "relaxed constraints need conditions by component, without stress on the relaxed shears"
            )
        rows = np.concatenate([self.stress_rows[~touches[1]], np.eye(5)[is_free]])
        values = np.concatenate([self.stress_values[~touches[1]], np.zeros(int(is_free.sum()))])
        return replace(
            self,
            rate_rows=self.rate_rows[~touches[0]],
            rate_values=self.rate_values[~touches[0]],
            stress_rows=rows,
            stress_values=values,
        )

    def pinned(self, free: tuple[bool, ...] | None, rate: NDArray) -> "Conditions":
        """After `relaxed`: the free components of D held at `rate` (5,), so that five
        conditions are independent again.
        """
        if free is None:
            return self
        index = np.flatnonzero(free)
        return replace(
            self,
            rate_rows=np.concatenate([self.rate_rows, np.eye(5)[index]]),
            rate_values=np.concatenate([self.rate_values, rate[index]]),
            stress_rows=self.stress_rows[: -len(index)],
            stress_values=self.stress_values[: -len(index)],
        )

    def spin(self, rate: NDArray) -> NDArray:
        """Macroscopic spin W (3, 3), 1/s, with the solved strain rate (5,); 0 where L says nothing."""
        d, gradient = to_matrix(np.asarray(rate)), self.velocity_gradient
        known, turned = ~np.isnan(gradient), ~np.isnan(gradient.T)
        forward = np.where(known, gradient - d, 0.0)
        both = np.where(known & turned, (gradient - gradient.T) / 2, 0.0)
        return np.where(known & turned, both, np.where(known, forward, np.where(turned, -forward.T, 0.0)))

    def cauchy(self, deviator: NDArray) -> NDArray | None:
        """Cauchy stress (3, 3) where a normal stress is imposed and so the pressure is known, else None."""
        known = np.flatnonzero(~np.isnan(np.diag(self.stress)))
        if len(known) == 0:
            return None
        matrix = to_matrix(np.asarray(deviator))
        return matrix + (self.stress[known[0], known[0]] - matrix[known[0], known[0]]) * np.eye(3)


def _off_diagonal_nan() -> NDArray:
    return np.where(np.eye(3, dtype=bool), 0.0, np.nan)


def _normal_rows(
    gradient: NDArray, stress: NDArray, has_rate: NDArray, has_stress: NDArray
) -> tuple[_Rows, _Rows]:
    """Conditions on the normal components: rates (at most two independent), differences of stresses."""
    diagonal = BASIS[:, range(3), range(3)].T  # (3, 5): matrix components of a 5-vector
    rated = np.flatnonzero(np.diag(has_rate))
    if len(rated) == 3:
        trace = np.trace(gradient)
        if abs(trace) > 1e-9 * max(np.abs(gradient).max(), 1e-300):
            raise ParameterError(
                f"the imposed velocity gradient has a trace of {trace:.3g}: plastic flow keeps the "
                "volume, so leave one normal component free or make the trace zero"
            )
        rated = rated[:2]
    rates = [(diagonal[i], gradient[i, i]) for i in rated]
    held = np.flatnonzero(np.diag(has_stress))
    stresses = [(diagonal[i] - diagonal[held[0]], stress[i, i] - stress[held[0], held[0]]) for i in held[1:]]
    return rates, stresses


def _stack(pairs: _Rows) -> tuple[NDArray, NDArray]:
    return np.array([r for r, _ in pairs]).reshape(-1, 5), np.array([v for _, v in pairs], float)
