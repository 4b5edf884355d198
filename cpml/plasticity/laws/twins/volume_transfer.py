"""Twinning and detwinning by transfer of volume: a twin is a grain of its own, whose weight is its volume.

    dw(g -> twin s of g) = w_g gamma_gs dt / S_s,     w_g gives, the twin receives

A twin is born with the orientation A (2 u u^T - I) of its parent when the pending fraction of its system
passes `least`; from then on it deforms, hardens and rotates by itself. Its own system s is the way back:
where that is sheared, volume returns to the parent (detwinning). Its other twin systems shear it without a
transfer: a twin is born small, with the strengths of a parent that has hardly twinned, and would twin again
at once. A parent keeps the share `keep` of its first weight: what it twins beyond is strain without transfer,
so that full twins do not stall a path.

| symbol | meaning | shape |
|---|---|---|
| w | weights of parents and twins, sum 1 | (G,) |
| gamma, S | shear rates, twin shears | (G, S), (S,) |
| A, u | crystal_to_sample; K1 normal (type I) or shear direction (type II) | (G, 3, 3), (S, 3) |

Transfers are jumps from step to step: gradients do not pass through weights. References: Tome, Lebensohn &
Kocks 1991, Acta Metall. Mater. 39:2667 (volume fraction transfer); Proust, Tome, Jain & Agnew 2009, Int. J.
Plast. 25:861 (twinning and detwinning as composite grains).
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.laws.twins.reorientation import Reorientation, TwinState

_MOST = 0.5  # of a grain's weight that one step may take


@dataclass(kw_only=True)
class TransferState(TwinState):
    """Twins of a path so far; `accumulated` and `effective` are the volume that is twinned, by family."""

    target: NDArray  # (G, S) grain that a system transfers to, -1: none yet
    first: NDArray  # (G,) weight at the start, 0 of twins
    family: NDArray  # (G,) twin family of twins, -1 of parents


@dataclass(frozen=True)
class VolumeTransfer:
    """Rules of transfer (module docstring)."""

    systems: Systems
    least: float = 0.01  # of a grain, at which its twin is born
    keep: float = 0.01  # of a grain, that never twins
    twin_shear: NDArray | None = None  # (K,) or (S,); None takes that of the systems
    about: str = "normal"

    def __post_init__(self) -> None:
        if not self.systems.twin.any():
            raise ParameterError("these systems have no twins: there is no volume to transfer")
        if not 0 < self.least < 1 or not 0 <= self.keep < 1:
            raise ParameterError(f"least = {self.least} and keep = {self.keep} must lie between 0 and 1")
        if not np.all(self._twin.system_shear[self.systems.twin] > 0):
            raise ParameterError("twin_shear must be positive for every twin system, (K,) or (S,)")

    @cached_property
    def _twin(self) -> Reorientation:
        """Half turns and shears, which reorientation has too."""
        return Reorientation(self.systems, twin_shear=self.twin_shear, about=self.about)

    def rotation(self, system: NDArray) -> NDArray:
        """(R, 3, 3) half turns of twin systems (R,), crystal frame."""
        return self._twin.rotation(system)

    def start(self, weights: NDArray) -> TransferState:
        """Parents of weights (G,) without twins."""
        count, systems = len(weights), len(self.systems)
        families = len(self.systems.family_names)
        return TransferState(
            np.zeros((count, systems)),
            np.zeros(families),
            np.zeros(families),
            np.zeros(count, int),
            target=np.full((count, systems), -1),
            first=weights.copy(),
            family=np.full(count, -1),
        )

    def advance(
        self, state: TransferState, shear: NDArray, weights: NDArray
    ) -> tuple[TransferState, NDArray, NDArray, NDArray]:
        """After shears (G, S) of a step: state, weights (G',), and parents (R,) and systems (R,) of the twins
        that are born, whose rows follow those of the grains.
        """
        twin = self.systems.twin
        added = np.where(twin, np.maximum(shear, 0.0) / np.where(twin, self._twin.system_shear, 1.0), 0.0)
        added = np.where((state.family >= 0)[:, None] & (state.target < 0), 0.0, added)  # twins in twins
        pending = state.fraction + added
        parents, systems = np.nonzero((pending >= self.least) & (state.target < 0))
        born = len(weights) + np.arange(len(parents))
        target = state.target.copy()
        target[parents, systems] = born
        back = np.full((len(born), target.shape[1]), -1)
        back[np.arange(len(born)), systems] = parents
        given = np.where(target >= 0, pending, 0.0) * weights[:, None]
        given = self._limited(given, weights, state.first)
        after = np.concatenate([weights - given.sum(1), np.zeros(len(born))])
        np.add.at(after, target[target >= 0], given[target >= 0])
        family = np.concatenate([state.family, self.systems.family[systems]])
        twinned = np.zeros_like(state.accumulated)
        np.add.at(twinned, family[family >= 0], after[family >= 0])
        none = np.zeros((len(born), target.shape[1]))
        new = replace(
            state,
            fraction=np.concatenate([np.where(target >= 0, 0.0, pending), none]),
            accumulated=twinned,
            effective=twinned.copy(),
            count=np.concatenate([state.count, np.zeros(len(born), int)]),
            target=np.concatenate([target, back]),
            first=np.concatenate([state.first, np.zeros(len(born))]),
            family=family,
        )
        return new, after, parents, systems

    def _limited(self, given: NDArray, weights: NDArray, first: NDArray) -> NDArray:
        """Volumes (G, S) that grains give, at most what they have above what they keep."""
        total = given.sum(1)
        most = np.minimum(_MOST * weights, np.maximum(weights - self.keep * first, 0.0))
        share = np.where(total > most, most / np.maximum(total, 1e-300), 1.0)
        return given * share[:, None]
