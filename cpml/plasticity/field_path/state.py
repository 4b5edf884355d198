"""What a full field over strain knows of its voxels between two increments, and what it says of them.

| symbol | meaning | unit | shape |
|---|---|---|---|
| F | deformation gradient | - | (N, 3, 3) |
| F_p | plastic part, F = F_e F_p, F_p(0)^-1 = crystal_to_sample | - | (N, 3, 3) |
| gamma | accumulated shear, sum of |rate| dt of every system | - | (n, S) |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cpml.errors import CpmlError
from cpml.plasticity.laws.strength.hardening import State
from cpml.plasticity.laws.twins.reorientation import Reorientation, TwinState


class StepFailed(Exception):
    """An increment has no solution that the solver finds; the message says why."""


class NotConvergedError(CpmlError):
    """A load path that could not be followed to its end; ``path`` holds the record up to its last good state
    (None where it did not begin).
    """

    def __init__(self, message: str, path: Any) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True)
class CrystalState:
    """Voxels of one phase."""

    hardening: State
    shear: NDArray  # (n, S) gamma
    shear_rate: NDArray  # (n, S) of the last increment, 1/s
    twins: TwinState
    start: NDArray  # (n, 6) stress from which the next increment is solved
    growth: Any = None  # of the hardening state in the last increment


@dataclass(frozen=True)
class FieldState:
    """All voxels between two increments."""

    gradient: NDArray  # (N, 3, 3) F
    inverse: NDArray  # (N, 3, 3) F_p^-1 (elastic), or crystal_to_sample (rigid)
    piola: NDArray  # (N, 3, 3) first Piola-Kirchhoff stress (elastic) or Cauchy's (rigid), MPa
    crystals: tuple[CrystalState, ...]
    cell: NDArray = field(default_factory=lambda: np.eye(3))  # mean deformation gradient
    time: float = 0.0  # s
    strain: float = 0.0  # von Mises, of the mean
    last_dt: float = 0.0  # s; 0 before the first increment
    last_wave: NDArray | None = None  # (3, nz, ny, nx) motion of the corners in it
    last_mean: NDArray = field(default_factory=lambda: np.zeros((3, 3)))  # change of the mean F in it
    n_iter: int = 0  # answers of the voxels in it
    residual: float = 0.0
    solved: Any = None  # Field of a rigid-viscoplastic state


@dataclass(frozen=True)
class Observation:
    """What a state shows, voxel by voxel."""

    cauchy: NDArray  # (N, 3, 3) MPa
    matrices: NDArray  # (N, 3, 3) crystal_to_sample
    gradient: NDArray  # (N, 3, 3)
    shear: NDArray  # (N, S) of all phases, one phase after another
    strength: NDArray  # (N, S) MPa, NaN for systems of other phases
    twinned: NDArray  # (N,) twinned fraction


def observation(
    cauchy: NDArray, matrices: NDArray, state: FieldState, places: list[NDArray], count: int
) -> Observation:
    """What both engines say of their voxels."""
    total = sum(now.shear.shape[1] for now in state.crystals)
    shear, strength = np.zeros((count, total)), np.full((count, total), np.nan)
    twinned, end = np.zeros(count), 0
    for where, now in zip(places, state.crystals, strict=True):
        modes = slice(end, end := end + now.shear.shape[1])
        shear[where, modes] = now.shear
        strength[where, modes.start : modes.start + now.hardening["strength"].shape[1]] = now.hardening[
            "strength"
        ]
        twinned[where] = _twinned(now)
    return Observation(cauchy, matrices, state.gradient, shear, strength, twinned)


def _twinned(now: CrystalState) -> NDArray:
    """(n,) twinned fraction since the last reorientation: what has been counted, at most what the hardening
    law knows, which ends at full crystals.
    """
    counted, state = now.twins.fraction.sum(1), cast(Any, now.hardening)
    while isinstance(state, Mapping):
        if "fraction" in state:
            return np.minimum(counted, state["fraction"].sum(-1).numpy())
        state = state.get("inner")
    return counted


def follow_twins(
    rules: Reorientation, reorients: bool, twins: TwinState, slip: NDArray, hardening: State
) -> tuple[TwinState, NDArray, NDArray, State]:
    """Twin fractions after shears (n, S) of an increment; the voxels (R,) that their twins turn, the turns
    (R, 3, 3) on the right of crystal_to_sample, and the hardening state with their strengths softened.
    """
    weights = np.full(len(slip), 1 / len(slip))
    if not reorients:
        none = np.empty(0, int)
        return rules.accumulate(twins, slip, weights), none, np.empty((0, 3, 3)), hardening
    twins, voxels, system = rules.advance(twins, slip, weights)
    if rules.soften != 1.0 and len(voxels):
        strength = hardening["strength"].clone()
        strength[voxels, system] *= rules.soften
        hardening = {**hardening, "strength": strength}
    return twins, voxels, rules.rotation(system), hardening
