"""Load paths of a full field: stages of loading, in increments, as conditions on the mean of the grid.

Over an increment the mean deformation gradient changes by

    dF = dt (L0 + sum_k e_k E_k) F      (nominal: dt (L0 + sum_k e_k E_k), the rate of F itself)

L0 holds what is imposed; the e_k are free and what works on them is imposed instead: E_k : sigma. A Load
leaves every symmetric direction free but its own, with stresses that are multiples of its own; Conditions
leave single components. Under a Load the mean does not spin, but layers of a solid between gaps keep their
plane (`in_layers`): a solid that may tilt follows a mean shear without stress. Stresses move from what they
are when a stage begins to their final values in proportion to time.

| symbol | meaning | unit | shape |
|---|---|---|---|
| L0 | imposed velocity gradient | 1/s | (3, 3) |
| E | free directions | | (m, 3, 3) |
| sigma_k | final stress on them | MPa | (m,) |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.tensors import BASIS, to_matrix, von_mises_rate
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity.arguments import Values, as_rate
from cpml.plasticity.crystal.conditions import Conditions

Loading: TypeAlias = Load | Conditions | Values

LARGEST = 0.002  # strain of an increment where no number of steps is given


@dataclass(frozen=True)
class Stage:
    """One part of a load path.

    Parameters
    ----------
    loading : Load, Conditions or a (3, 3) strain rate, 1/s
    strain : von Mises strain that a body without texture would reach; or
    time : s, for stages whose rate is not imposed (unloading, creep)
    steps : increments; None makes them at most 0.002
    nominal : imposed rates are those of the deformation gradient, stresses those of Piola and Kirchhoff (a
        testing machine), instead of the velocity gradient and Cauchy's
    """

    loading: Loading
    strain: float | None = None
    time: float | None = None
    steps: int | None = None
    nominal: bool = False

    def __post_init__(self) -> None:
        if (self.strain is None) == (self.time is None):
            raise ParameterError("a stage ends at a strain or after a time: give one of them")
        size = self.strain if self.time is None else self.time
        if not (size is not None and np.isfinite(size) and size > 0):
            raise ParameterError(f"strain = {self.strain} or time = {self.time} must be positive")
        if self.steps is not None and not (isinstance(self.steps, int) and self.steps > 0):
            raise ParameterError(f"steps = {self.steps} must be a whole number above 0")

    @property
    def duration(self) -> float:
        """s.

        Raises
        ------
        ParameterError : a strain where nothing imposes its rate
        """
        if self.time is not None:
            return self.time
        assert self.strain is not None
        if self.rate == 0:
            raise ParameterError(
                "this loading imposes no strain rate: give the stage a time and not a strain"
            )
        return self.strain / self.rate

    @property
    def rate(self) -> float:
        """Von Mises strain rate of a body without texture, 1/s; 0 where only stresses are imposed."""
        if isinstance(self.loading, Load):
            return self.loading.rate
        conditions = Conditions.of(self.loading)
        if conditions.rate_size == 0:
            return 0.0
        stressless = conditions.scaled(1.0, np.inf)
        return float(von_mises_rate(stressless.solve(np.eye(5), np.zeros(5))[1]))

    @property
    def number(self) -> int:
        """Increments."""
        if self.steps is not None:
            return self.steps
        return max(1, int(np.ceil(self.rate * self.duration / LARGEST - 1e-9)))


@dataclass(frozen=True)
class Control:
    """Conditions on the mean (module docstring)."""

    imposed: NDArray  # (3, 3) L0
    free: NDArray  # (m, 3, 3) E
    stress: NDArray  # (m,) final
    nominal: bool

    @classmethod
    def of(cls, stage: Stage, normals: tuple[int, ...] = ()) -> "Control":
        """Of a stage, on a grid with gaps across some axes (`gaps`).

        Raises
        ------
        ParameterError : Conditions without components
        """
        loading = stage.loading
        if isinstance(loading, Load):
            direction = loading.stress / np.linalg.norm(loading.stress)
            six = np.concatenate([BASIS, np.eye(3)[None] / np.sqrt(3)]).reshape(6, 9)
            across = np.linalg.svd(direction.reshape(1, 9) @ six.T)[2][1:]
            imposed = loading.rate / np.linalg.norm(loading.stress) * direction
            free = (across @ six).reshape(-1, 3, 3)
            return cls(in_layers(imposed, normals), in_layers(free, normals), np.zeros(5), stage.nominal)
        if not isinstance(loading, Conditions):
            return cls(to_matrix(as_rate(loading).numpy()), np.zeros((0, 3, 3)), np.zeros(0), stage.nominal)
        is_free = np.isnan(loading.velocity_gradient)
        stress = loading.stress[is_free]
        if is_free.all() or np.isnan(stress).any():
            raise ParameterError(
                "the conditions of a path must be given by component (Conditions.mixed, "
                "Conditions.uniaxial) or as a Load"
            )
        free = np.zeros((int(is_free.sum()), 3, 3))
        free[np.arange(len(free)), *np.nonzero(is_free)] = 1.0
        return cls(np.where(is_free, 0.0, loading.velocity_gradient), free, stress, stage.nominal)

    def moves(self, gradient: NDArray, dt: float) -> tuple[NDArray, NDArray]:
        """Imposed change of the mean F (3, 3), and the directions of the free ones (9, m)."""
        after = np.eye(3) if self.nominal else gradient
        return dt * self.imposed @ after, (self.free @ after).reshape(-1, 9).T

    def working(self, piola: NDArray, gradient: NDArray) -> NDArray:
        """(m,) stress on the free directions, of a mean first Piola-Kirchhoff stress: MPa."""
        stress = piola if self.nominal else piola @ gradient.T / np.linalg.det(gradient)
        return np.einsum("kij,ij->k", self.free, stress)


def gaps(grain_index: NDArray) -> tuple[int, ...]:
    """Axes (0: x, 1: y, 2: z) along which a whole layer of the grid is empty."""
    is_empty, count = grain_index < 0, grain_index.ndim
    across = [tuple(k for k in range(count) if k != count - 1 - axis) for axis in range(count)]
    return tuple(axis for axis in range(count) if is_empty.all(across[axis]).any())


def in_layers(gradient: NDArray, normals: tuple[int, ...]) -> NDArray:
    """Symmetric velocity gradients (..., 3, 3) with the spin that lets layers across the normals keep their
    plane: L_ni = 0 for i other than n.
    """
    out = gradient.copy()
    for n in normals:
        for i in range(3):
            if i != n:
                out[..., i, n] += out[..., n, i]
                out[..., n, i] = 0.0
    return out


def as_stages(
    loading: Loading | Stage | Sequence[Stage], strain: float | None, steps: int | None
) -> tuple[Stage, ...]:
    """The stages of a path.

    Raises
    ------
    ParameterError : stages together with a strain, none of both, or an empty list
    """
    if isinstance(loading, Stage):
        loading = (loading,)
    is_stages = isinstance(loading, Sequence) and all(isinstance(one, Stage) for one in loading)
    if not is_stages:
        return (Stage(loading, strain=strain, steps=steps),)  # type: ignore[arg-type]
    stages = tuple(loading)  # type: ignore[arg-type]
    if strain is not None or steps is not None:
        raise ParameterError("stages have strains and steps of their own: leave out strain and steps")
    if not stages:
        raise ParameterError("a load path needs at least one stage")
    return stages  # type: ignore[return-value]
