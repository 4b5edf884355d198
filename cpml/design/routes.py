"""Properties of a texture by a path of the polycrystal in tension along x with free sides: what designs are
judged by.

The route of a design is the affine self-consistent scheme on the whole grid; others draw a discrete texture,
take another scheme, or a full field on a volume sampled from it (cpml.design.proof).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.tensors import to_matrix
from cpml.design.crystal_paths import STEP, TWINNED
from cpml.design.goals import OTHER_LOADS, Goal
from cpml.errors import ParameterError
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.laws.strength.hardening import Hardening
from cpml.plasticity.paths.deform import deform
from cpml.plasticity.paths.path import Path
from cpml.plasticity.polycrystal.mean_field import mean_field
from cpml.plasticity.polycrystal.stiffness import polycrystal_stiffness

TOLERANCE = 1e-4
_LIGHT = 1e-4  # of the weight that may be left out, in the lightest orientations


@dataclass(frozen=True)
class Route:
    """How a polycrystal is solved: the law and its hardening, scheme, temperature (K), strain increment."""

    law: PowerLaw
    hardening: Hardening
    scheme: str = "affine"
    temperature: float = 293.0
    step: float = STEP
    tol: float = TOLERANCE
    elastic: Mapping[str, float] | None = None  # constants of the crystal, MPa; for moduli

    def path(self, quaternions: NDArray, weights: NDArray | None, strain: float) -> Path:
        """The path to an axial strain; 0: the start of flow."""
        steps = int(np.ceil(strain / self.step - 1e-9)) if strain > 0 else 0
        kept, share = (slice(None), None) if weights is None else _kept(weights)
        return deform(
            self.law,
            self.hardening,
            quaternions[kept],
            weights=share,
            loading=Conditions.uniaxial(0, float(self.law.reference_rate)),
            increment=strain / max(steps, 1) if strain > 0 else 1.0,
            steps=steps,
            control="11",
            scheme=self.scheme,
            temperature=self.temperature,
            tol=self.tol,
        )

    def values(self, quaternions: NDArray, weights: NDArray | None, goals: Sequence[Goal]) -> NDArray:
        """(len(goals),) properties of a texture (G, 4)."""
        on_path = [g for g in goals if g.key not in OTHER_LOADS and g.key != "young_modulus_gpa"]
        values = self._on_path(quaternions, weights, on_path) if on_path else ()
        found = dict(zip(on_path, values, strict=True))
        return np.array([found[g] if g in found else self._apart(quaternions, weights, g) for g in goals])

    def constants(self) -> Mapping[str, float]:
        """Elastic constants, MPa; ParameterError where none are known."""
        if not self.elastic:
            raise ParameterError(
                "young_modulus_gpa needs elastic constants: design for a material that has them"
            )
        return self.elastic

    def _apart(self, quaternions: NDArray, weights: NDArray | None, goal: Goal) -> float:
        """A goal that is not one of the path along x."""
        kept, share = (slice(None), None) if weights is None else _kept(weights)
        if goal.key == "young_modulus_gpa":
            stiffness = polycrystal_stiffness(self.constants(), quaternions[kept], weights=share)
            return float(1e-3 / np.linalg.inv(stiffness)[0, 0])
        axis, sign = OTHER_LOADS[goal.key]
        loading = Conditions.uniaxial(axis, sign * float(self.law.reference_rate))
        field = mean_field(
            self.law, quaternions[kept], loading=loading, weights=share, scheme=self.scheme, tol=self.tol
        )
        return float(field.von_mises)

    def _on_path(self, quaternions: NDArray, weights: NDArray | None, goals: Sequence[Goal]) -> NDArray:
        strains = {g.strain for g in goals if g.key == "twinned_grains"} | {max(g.strain for g in goals)}
        paths = {strain: self.path(quaternions, weights, strain) for strain in strains}
        longest = paths[max(strains)]
        return np.array([_value(goal, paths.get(goal.strain, longest), longest) for goal in goals])


def _kept(weights: NDArray) -> tuple[NDArray, NDArray]:
    """Rows of the orientations that count, and their weights."""
    order = np.argsort(weights)
    light = np.cumsum(weights[order]) <= _LIGHT * weights.sum()
    kept = np.sort(order[~light])
    return kept, weights[kept]


def _value(goal: Goal, own: Path, longest: Path) -> float:
    strain = longest.control.numpy()
    if goal.key == "yield_stress_mpa":
        return float(longest.von_mises[0])
    if goal.key == "r_value":
        return _r_value(longest)
    if goal.key == "stress_mpa":
        return float(np.interp(goal.strain, strain, longest.von_mises.numpy()))
    if goal.key == "twin_fraction":
        return float(np.interp(goal.strain, strain, longest.twin_fraction.sum(1)))
    return float(own.weights.numpy() @ (own.grain_twins > TWINNED))


def _r_value(path: Path) -> float:
    """Width over thickness strain of a path, or over their rates at its start."""
    rate = to_matrix(path.rate.detach()).numpy()
    if len(rate) == 1:
        return float(rate[0, 1, 1] / rate[0, 2, 2])
    dt = np.diff(path.time.detach().numpy())
    width, thickness = ((rate[:-1, k, k] * dt).sum() for k in (1, 2))
    return float(width / thickness)
