"""The linear equilibrium near a solved field, with stresses as unknowns.

    M t - B u = r,        B^T t = f

M is the compliance d eps/ds of each voxel, t a stress, u a motion of the grid, B its strain
(cpml.plasticity.field.equilibrium). Derivatives of a field and its last Newton steps are solutions of it.

Conjugate gradients in the space B^T t = 0, projected by a mean medium
(one pair of transforms). At large n the tangent M^-1 spans ten decades, because fewer than five systems move
in some voxels, and velocities converge in thousands of steps; M itself, on stresses in equilibrium, spans
three, and takes a hundred (n = 20). What is left of the strain rate is projected as well, which keeps
rounding from growing (Gould, Hribar & Nocedal 2001). Where voxels are empty, minimal residuals of the system
itself take a few times as many steps.

| symbol | meaning | unit | shape |
|---|---|---|---|
| M | compliance | 1/(MPa s) | (N, 5, 5) |
| t, u | stress, motion | MPa, step / s | (N, 5), as cpml.plasticity.field.equilibrium.Nodal |

References: Gould, Hribar & Nocedal 2001, SIAM J. Sci. Comput. 23:1376 (projected conjugate gradients);
Paige & Saunders 1975, SIAM J. Numer. Anal. 12:617 (minimal residuals).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cpml.errors import CpmlError
from cpml.plasticity.field.equilibrium import MeanMedium, Nodal, Space

_SINGULAR = 1e-12  # share of its trace that the mean compliance keeps in every direction
_MAX_ITER = 5000  # of a linear system


@dataclass(frozen=True)
class StressSystem:
    """The symmetric system (module docstring)."""

    space: Space
    compliance: NDArray  # (N, 5, 5) M
    stiff: NDArray  # (5, 5) C0, inverse of the mean of M over solid voxels
    soft: NDArray  # (5, 5) that mean
    medium: MeanMedium
    is_solid: NDArray  # (N,)
    accuracy: float

    @classmethod
    def of(cls, space: Space, compliance: NDArray, is_solid: NDArray, accuracy: float) -> "StressSystem":
        """The system of compliances (N, 5, 5)."""
        soft = compliance[is_solid].mean(0)
        soft = soft + _SINGULAR * np.trace(soft) * np.eye(5)  # where no crystal has a mode for a direction
        stiff = np.linalg.inv(soft)
        return cls(space, compliance, stiff, soft, MeanMedium.of(space, stiff), is_solid, accuracy)

    def solve(self, gap: NDArray, force: Nodal | None, accuracy: float | None = None) -> "StressSolution":
        """(t, u) of M t - B u = gap in solid voxels, B^T t = force; to a share of their size."""
        gap, accuracy = np.where(self.is_solid[:, None], gap, 0.0), accuracy or self.accuracy
        if not self.is_solid.all():
            return self._minimal_residual(gap, force, accuracy)
        stress, motion = np.zeros_like(gap), self.space.zero()
        if force is not None:
            stress = self._stress(self.space.strain(self.medium(force)))
        target = accuracy**2 * self.size(gap, force) ** 2
        left, move, taken = self._project(gap - _times(self.compliance, stress))
        motion, search = motion.plus(-1.0, taken), move
        square = float((left * move).sum())
        for _ in range(_MAX_ITER):
            if not square > target:
                return StressSolution(stress, motion, True)
            image = _times(self.compliance, search)
            length = square / float((search * image).sum())
            stress = stress + length * search
            left, move, taken = self._project(left - length * image)
            motion = motion.plus(-1.0, taken)
            last, square = square, float((left * move).sum())
            search = move + (square / last) * search
        return StressSolution(stress, motion, False)

    def solved(self, gap: NDArray, force: Nodal | None) -> tuple[NDArray, Nodal]:
        """`solve`, or an error.

        Raises
        ------
        CpmlError : not solved to the accuracy that was asked for
        """
        answer = self.solve(gap, force)
        if not answer.converged:
            raise CpmlError(
                f"the derivatives of the field did not converge to {self.accuracy:g} in {_MAX_ITER} steps: "
                "raise `accuracy`, or lower n"
            )
        return answer.stress, answer.motion

    def _minimal_residual(self, gap: NDArray, force: Nodal | None, accuracy: float) -> "StressSolution":
        """`solve` for grids with empty voxels, whose stresses in equilibrium no transform finds: MINRES in
        (t, u), preconditioned by C0 and the mean medium (Paige & Saunders 1975).

        Vectors are kept as what the preconditioner makes of them: forces would hold pressures, whose rounding
        stops the convergence at 1e-8.
        """
        none = _Pair(np.zeros_like(gap), self.space.zero(), np.zeros_like(gap))
        right = self._pair(self._stress(gap), self.space.zero() if force is None else force)
        first = size = eta = self._work(right, right) ** 0.5
        if not first > 0:
            return StressSolution(none.stress, none.motion, True)
        answer, now, before, w, w_before = none, right.times(1 / first), none, none, none
        cos, cos_before, sin, sin_before, last = 1.0, 1.0, 0.0, 0.0, 0.0
        for _ in range(_MAX_ITER):
            driven = self._stress(_times(self.compliance, now.stress) - now.strain)
            image = self._pair(driven, self.space.force(now.stress))
            along = self._work(now, image)
            image = image.plus(-along, now).plus(-last, before)
            size = self._work(image, image) ** 0.5
            # the next Givens rotation of the tridiagonal matrix
            delta = cos * along - cos_before * sin * last
            rho = np.hypot(delta, size)
            above, far = sin * along + cos * cos_before * last, sin_before * last
            cos_before, sin_before, cos, sin = cos, sin, delta / rho, size / rho
            w, w_before = now.plus(-far, w_before).plus(-above, w).times(1 / rho), w
            answer, eta = answer.plus(cos * eta, w), -sin * eta
            if abs(eta) <= accuracy * first:
                return StressSolution(answer.stress, answer.motion, True)
            before, now, last = now, image.times(1 / size), size
        return StressSolution(answer.stress, answer.motion, False)

    def _pair(self, stress: NDArray, force: Nodal) -> "_Pair":
        move = self.medium(force)
        move = Nodal(-move.wave, -move.mean)
        return _Pair(stress, move, self.space.strain(move))

    def _work(self, one: "_Pair", two: "_Pair") -> float:
        """Inner product of the preconditioner."""
        return float((one.stress * (two.stress @ self.soft) + one.strain * (two.strain @ self.stiff)).sum())

    def size(self, gap: NDArray, force: Nodal | None) -> float:
        """Of a right side, as the root of a power in the mean medium."""
        square = float((gap * self._stress(gap)).sum())
        if force is not None:  # of the motion: the force itself holds pressures that do not count
            strain = self.space.strain(self.medium(force))
            square += float((strain * (strain @ self.stiff)).sum())
        return float(np.sqrt(square))

    def _stress(self, strain: NDArray) -> NDArray:
        """C0 in the solid."""
        return (strain @ self.stiff) * self.is_solid[:, None]

    def _project(self, gap: NDArray) -> tuple[NDArray, NDArray, Nodal]:
        """A strain without what the grid can follow, the stress in equilibrium that it drives in the mean
        medium, and the motion taken away.
        """
        taken = self.medium(self.space.force(self._stress(gap)))
        left = gap - self.space.strain(taken)
        return left, self._stress(left), taken


class _Pair(NamedTuple):
    """A stress and a motion with its strain."""

    stress: NDArray  # (N, 5)
    motion: Nodal
    strain: NDArray  # (N, 5)

    def plus(self, share: float, other: "_Pair") -> "_Pair":
        """self + share other."""
        return _Pair(
            self.stress + share * other.stress,
            self.motion.plus(share, other.motion),
            self.strain + share * other.strain,
        )

    def times(self, share: float) -> "_Pair":
        """share self."""
        motion = Nodal(share * self.motion.wave, share * self.motion.mean)
        return _Pair(share * self.stress, motion, share * self.strain)


class StressSolution(NamedTuple):
    """Solution of the linear system."""

    stress: NDArray  # (N, 5) t
    motion: Nodal  # u
    converged: bool


def _times(matrices: NDArray, vectors: NDArray) -> NDArray:
    return np.matmul(matrices, vectors[..., None])[..., 0]
