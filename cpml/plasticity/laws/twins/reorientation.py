"""Twin reorientation: a grain that has twinned enough becomes its leading variant as a whole, by one of two
rules.

PTR (predominant twin reorientation): the polycrystal may not reorient more than it has twinned

    f_gs += gamma_gs / S_s;   F_acc(m) = <sum_s f> accumulated,   F_eff(m) = weight of grains turned by mode m
    turn grain g by its largest f_gs (mode m) when F_eff < F_acc and sum_(s of m) f_gs > t1 + t2 F_eff/F_acc
    A <- A (2 u u^T - I),   u = K1 normal (type I) or shear direction (type II); equal for compound twins

"variant" (predominant variant alone): a grain is reoriented as soon as its twins fill more than
t1 of it, whatever the other grains do; no order of visits, but the reoriented fraction is no
longer tied to the accumulated one.

The visit order of PTR decides who is reoriented while F_eff < F_acc: "shuffled" (default: one reproducible
permutation, the same at each step; an order that changes lowers the twin fractions by about 0.03), "largest"
(largest f first: does not depend on the numbering of grains, but stresses move by up to 7 %) or "vpsc" (the
fixed order of VPSC8, for comparison). Reorientations are jumps: gradients do not pass through them.

| symbol | meaning | shape |
|---|---|---|
| f | accumulated twin fraction per system since the last reorientation | (G, S) |
| S | twin shear | (S,) |
| A | crystal_to_sample | (G, 3, 3) |

Reference: Tome, Lebensohn & Kocks 1991, Acta Metall. Mater. 39:2667.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError

RULES = ("ptr", "variant")
ORDERS = ("shuffled", "largest", "vpsc")
_VPSC_FIRST, _VPSC_LATER = 0.2853808990946861, 0.6554163483485531


@dataclass
class TwinState:
    """Fractions of a path so far: per grain and system, per family accumulated and
    reoriented, reorientations made.
    """

    fraction: NDArray  # (G, S)
    accumulated: NDArray  # (K,)
    effective: NDArray  # (K,)
    count: NDArray  # (G,) int
    n_visits: int = 0


@dataclass(frozen=True)
class Reorientation:
    """Rules of reorientation (module docstring)."""

    systems: Systems
    threshold: tuple[float, float] = (0.1, 0.5)
    twin_shear: NDArray | None = None  # (K,) or (S,); None takes that of the systems
    about: str = "normal"
    secondary: bool = True
    order: str = "shuffled"
    soften: float = 1.0  # factor on the strength of the twin system that reoriented its grain (VPSC8: 0.5)
    rule: str = "ptr"  # or "variant"

    def __post_init__(self) -> None:
        if self.order not in ORDERS or self.about not in ("normal", "direction"):
            raise ParameterError(
                f"order = {self.order!r} must be one of {', '.join(ORDERS)} and about = "
                f"{self.about!r} 'normal' or 'direction'"
            )
        if self.rule not in RULES:
            raise ParameterError(f"rule = {self.rule!r}: choose from {', '.join(RULES)}")
        if min(self.threshold) < 0 or not 0 < self.soften <= 1:
            raise ParameterError(
                f"threshold = {self.threshold} must not be negative, soften = {self.soften} in (0, 1]"
            )
        shear = self.system_shear
        if shear.shape != (len(self.systems),) or not np.all(shear[self.systems.twin] > 0):
            raise ParameterError("twin_shear must be positive for every twin system, (K,) or (S,)")

    @cached_property
    def system_shear(self) -> NDArray:
        """(S,) twin shear of every system; that of slip means nothing."""
        if self.twin_shear is None:
            return self.systems.twin_shear
        shear = np.asarray(self.twin_shear, float)
        return shear[self.systems.family] if shear.shape == (len(self.systems.family_names),) else shear

    def start(self, n_grains: int) -> TwinState:
        """Nothing twinned."""
        families = len(self.systems.family_names)
        return TwinState(
            np.zeros((n_grains, len(self.systems))),
            np.zeros(families),
            np.zeros(families),
            np.zeros(n_grains, int),
        )

    def accumulate(self, state: TwinState, shear: NDArray, weights: NDArray) -> TwinState:
        """Add the fractions of shears (G, S) of a step; no grain is reoriented."""
        if not self.systems.twin.any():
            return state
        twin = self.systems.twin
        added = np.where(twin, shear / np.where(twin, self.system_shear, 1.0), 0.0)
        by_family = np.zeros_like(state.accumulated)
        np.add.at(by_family, self.systems.family, weights @ added)
        return replace(
            state,
            fraction=state.fraction + added,
            accumulated=state.accumulated + by_family,
            effective=state.effective.copy(),
            count=state.count.copy(),
        )

    def advance(
        self, state: TwinState, shear: NDArray, weights: NDArray
    ) -> tuple[TwinState, NDArray, NDArray]:
        """New state after shears (G, S) of a step, reoriented grains (R,) and their twin systems (R,)."""
        new, twin, family = self.accumulate(state, shear, weights), self.systems.twin, self.systems.family
        if not twin.any():
            return new, np.empty(0, int), np.empty(0, int)
        fraction = new.fraction
        lead = np.argmax(np.where(twin, fraction, -1.0), axis=1)
        mode = family[lead]
        in_mode = (fraction * (family[None, :] == mode[:, None])).sum(1)
        limit = 2 if self.secondary else 1
        candidates = (in_mode > self.threshold[0]) & (new.count < limit)
        if self.rule == "variant":
            grains = np.flatnonzero(candidates)
            np.add.at(new.effective, mode[grains], weights[grains])
        else:
            order = self._visit(new, fraction[np.arange(len(lead)), lead])
            grains = self._by_ptr(new, order[candidates[order]], mode, in_mode, weights)
        new.count[grains] += 1
        is_turned = np.isin(np.arange(len(lead)), grains)
        return replace(new, fraction=np.where(is_turned[:, None], 0.0, fraction)), grains, lead[grains]

    def _by_ptr(
        self, new: TwinState, candidates: NDArray, mode: NDArray, in_mode: NDArray, weights: NDArray
    ) -> NDArray:
        """Of the candidates, in the order of visits, those that PTR reorients; adds
        their weights to the reoriented.
        """
        chosen = []
        for g in candidates:
            m = mode[g]
            least = self.threshold[0] + self.threshold[1] * new.effective[m] / (new.accumulated[m] + 1e-6)
            if new.effective[m] < new.accumulated[m] and in_mode[g] > least:
                new.effective[m] += weights[g]
                chosen.append(g)
        return np.array(chosen, int)

    def rotation(self, system: NDArray) -> NDArray:
        """(R, 3, 3) half turns 2 u u^T - I of twin systems (R,), crystal frame."""
        u = (self.systems.plane if self.about == "normal" else self.systems.direction)[system]
        return 2 * u[:, :, None] * u[:, None, :] - np.eye(3)

    def _visit(self, state: TwinState, largest: NDArray) -> NDArray:
        """Order (G,) in which PTR visits the grains; `largest` (G,) is the largest fraction of each."""
        if self.order == "largest":
            return np.argsort(-largest, kind="stable")
        if self.order == "shuffled":
            return np.random.default_rng(len(largest)).permutation(len(largest))
        left, order = list(range(len(largest))), []
        while left:
            share = _VPSC_FIRST if state.n_visits == 0 else _VPSC_LATER
            state.n_visits += 1
            order.append(left.pop(int(share * len(left))))
        return np.array(order, int)
