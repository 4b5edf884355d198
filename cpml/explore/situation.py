"""The map under one state of the sliders: its grains, and what the law says of each.

    x_gs = tau_gs / xi_s,   tau_gs = P_gs : sigma_g          scaled so that the mean of max_s |x_gs| is one

with the stress sigma_g of the grain: the mean stress in every grain (Sachs), or that of an ellipsoid in the
medium that all grains of the phase form together (affine). Twins count in their sense only. The share of a
system is its part of the shear of its grain, |x|^n over the sum of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.schmid import schmid_factors
from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.tensors import to_matrix
from cpml.errors import CpmlError
from cpml.explore.settings import SCHEMES, Settings
from cpml.explore.survey import Survey

if TYPE_CHECKING:
    from cpml.crystallography.materials import Material
    from cpml.load import Load
    from cpml.microscopy.twins.twins import Twins

QUATERNION = ["qw", "qx", "qy", "qz"]
GOOD_ENOUGH = 1e-5  # of the medium, relative: shares to look at, while a slider waits


@dataclass(frozen=True, eq=False)
class LawAnswer:
    """What the law says of the grains of one phase.

    Attributes
    ----------
    grain_ids : (G,)
    systems : S slip and twin systems
    strength : (S,) in multiples of the first family's
    schmid : (G, S) signed Schmid factors; of slip only the size counts
    loaded : (G, S) x of the module docstring; of twins 0 where the load does not work in their sense
    share : (G, S) of the shear of the grain
    scheme : that was used
    """

    grain_ids: NDArray
    systems: Systems
    strength: NDArray
    schmid: NDArray
    loaded: NDArray
    share: NDArray
    scheme: str

    @property
    def most_stressed(self) -> NDArray:
        """(G,) largest Schmid factor, of slip by its size."""
        return np.where(self.systems.twin, self.schmid, np.abs(self.schmid)).max(axis=1)

    @property
    def by_family(self) -> NDArray:
        """(G, K) share of every family."""
        return np.stack(
            [
                self.share[:, self.systems.family == k].sum(axis=1)
                for k in range(len(self.systems.family_names))
            ],
            axis=1,
        )

    @property
    def first_choice(self) -> list[str]:
        """(G,) family with the largest share."""
        return [self.systems.family_names[k] for k in self.by_family.argmax(axis=1)]


@dataclass(frozen=True, eq=False)
class Situation:
    """The grains under some settings, and the law's answers for them."""

    survey: Survey
    settings: Settings

    @cached_property
    def twins(self) -> Twins:
        """Fragments and grains at the threshold of the settings."""
        return self.survey.twins(self.settings.threshold)

    @property
    def is_declared(self) -> bool:
        """Whether the grains are those that the chapters know."""
        return self.twins is self.survey.twins(None)

    @cached_property
    def grains(self) -> pd.DataFrame:
        """Table of `Twins.grains`, by grain_id."""
        return self.twins.grains.set_index("grain_id", drop=False)

    @property
    def label(self) -> NDArray:
        """(N,) grain of every point, 0 outside."""
        return self.twins.grain_label

    @cached_property
    def load(self) -> Load | None:
        """The load of the settings."""
        return self.settings.load(self.survey.dataset)

    @property
    def load_name(self) -> str:
        """The load in words."""
        return self.settings.load_name(self.survey.dataset)

    @cached_property
    def declared_grain(self) -> NDArray:
        """(G + 1,) for every grain the one of the declared segmentation that shares most of its points."""
        mine, theirs = self.label, self.survey.twins(None).grain_label
        pairs, counts = np.unique(np.stack([mine, theirs], axis=1), axis=0, return_counts=True)
        order = np.argsort(counts, kind="stable")
        found = np.zeros(int(mine.max(initial=0)) + 1, int)
        found[pairs[order, 0]] = pairs[order, 1]
        return found

    def strengths(self, number: int) -> dict[str, float]:
        """Family -> strength in multiples of the first family's, of a phase by its number in the map."""
        material = self.survey.materials[number]
        usual = material.strengths / material.strengths[0]
        chosen = self.settings.strengths.get(self.survey.ebsd.phases[number].name, {})
        return {f: chosen.get(f, float(v)) for f, v in zip(material.families, usual, strict=True)}

    @cached_property
    def answers(self) -> dict[int, LawAnswer]:
        """Phase number -> what the law says of its grains; nothing without a load."""
        found: dict[int, LawAnswer] = {}
        for number, material in self.survey.materials.items():
            rows = self.grains[self.grains["phase"] == number]
            if self.load is not None and len(rows):
                found[number] = self._answer(number, material, rows)
        return found

    def answer_of(self, grain_id: int) -> tuple[LawAnswer, int] | None:
        """The answer for the phase of a grain, and the grain's row in it; None without law or load."""
        answer = self.answers.get(int(self.grains.loc[grain_id, "phase"]))
        if answer is None:
            return None
        return answer, int(np.flatnonzero(answer.grain_ids == grain_id)[0])

    def of_grains(self, what: str) -> pd.Series:
        """A property of `LawAnswer` such as "most_stressed", by grain_id, over all phases."""
        parts = [pd.Series(getattr(a, what), index=a.grain_ids) for a in self.answers.values()]
        return pd.concat(parts) if parts else pd.Series(dtype=float)

    def _answer(self, number: int, material: Material, rows: pd.DataFrame) -> LawAnswer:
        assert self.load is not None
        systems, ratios = self.survey.systems[number], self.strengths(number)
        strength = np.array([ratios[family] for family in systems.family_names])[systems.family]
        quaternions = rows[QUATERNION].to_numpy(float)
        schmid = schmid_factors(systems, quaternions, self.load.stress)
        stress, scheme = self._stress(material, ratios, quaternions, rows["n_pixels"].to_numpy(float))
        r = quaternion_to_matrix(quaternions)
        local = r.swapaxes(-1, -2) @ stress @ r
        loaded = local.reshape(len(rows), 9) @ systems.schmid.reshape(-1, 9).T / strength
        loaded = np.where(systems.twin, np.maximum(loaded, 0), np.abs(loaded))
        loaded /= max(float(loaded.max(axis=1).mean()), 1e-300)
        relative = loaded / np.maximum(loaded.max(axis=1, keepdims=True), 1e-300)
        rate = relative**material.n
        share = rate / np.maximum(rate.sum(axis=1, keepdims=True), 1e-300)
        return LawAnswer(rows["grain_id"].to_numpy(), systems, strength, schmid, loaded, share, scheme)

    def _stress(
        self, material: Material, ratios: dict[str, float], quaternions: NDArray, weights: NDArray
    ) -> tuple[NDArray, str]:
        """Stress (G, 3, 3) of the grains, sample frame, any unit, and the scheme that gave it: where the
        medium cannot be solved (too few systems, no convergence) the mean stress.
        """
        assert self.load is not None
        mean = np.broadcast_to(self.load.stress, (len(quaternions), 3, 3))
        if self.settings.scheme == "sachs":
            return mean, "sachs"
        from cpml.plasticity.laws.law import PowerLaw
        from cpml.plasticity.polycrystal.mean_field import mean_field

        law = PowerLaw.from_material(material, strength=np.array(list(ratios.values())))
        try:
            field = mean_field(
                law, quaternions, weights=weights, loading=self.load, scheme="affine", tol=GOOD_ENOUGH
            )
        except CpmlError:
            return mean, "sachs"
        stress = to_matrix(field.grain_stress.numpy())
        if not bool(field.converged.all()) or not np.isfinite(stress).all():
            return mean, "sachs"
        return stress, "affine"

    @property
    def scheme_name(self) -> str:
        """The stress of a grain in words, as it was used."""
        used = {answer.scheme for answer in self.answers.values()} or {self.settings.scheme}
        return " and ".join(SCHEMES[scheme] for scheme in sorted(used))
