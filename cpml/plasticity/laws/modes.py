"""The modes of a law as a path sees them: families by name, those that glide (harden,
twin, turn the lattice), the rest.

| symbol | meaning | shape |
|---|---|---|
| modes | gliding systems first, then e.g. climb | (S,) |
| families | of the gliding systems, then one for each further law | (K,) |
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.tensors import to_matrix, to_vector
from cpml.plasticity.laws.law import Law
from cpml.plasticity.laws.spin import slip_spin
from cpml.plasticity.laws.together import Together, glide_of


@dataclass(frozen=True)
class Modes:
    """Families, spins and Schmid tensors of all modes of a law."""

    families: tuple[str, ...]
    family: Tensor  # (S,)
    gliding: int  # number of systems that glide or twin
    glide_families: int
    spin: Tensor  # (gliding, 3)
    schmid: Tensor  # (S, 9) symmetric matrices, flat
    tensors: Tensor  # (gliding, 5) the same of the gliding systems, 5-basis

    @classmethod
    def of(cls, law: Law) -> "Modes":
        """Modes of a law, alone or Together."""
        systems = glide_of(law).systems
        others = law.laws[1:] if isinstance(law, Together) else ()
        names, family = list(systems.family_names), [torch.as_tensor(systems.family)]
        for other in others:
            name = getattr(other, "name", type(other).__name__.lower())
            family.append(torch.full((len(other.schmid),), len(names)))
            names.append(name)
        schmid = law.schmid.detach()
        return cls(
            tuple(names),
            torch.cat(family),
            len(systems),
            len(systems.family_names),
            slip_spin(systems),
            to_matrix(schmid).reshape(-1, 9),
            schmid[: len(systems)],
        )

    def strain_rate(self, matrices: Tensor, shear_rate: Tensor) -> Tensor:
        """(G, 5) strain rates of the grains, sample frame."""
        crystal = (shear_rate @ self.schmid).reshape(-1, 3, 3)
        return to_vector(matrices @ crystal @ matrices.mT)

    def sum_by_family(self, values: Tensor) -> Tensor:
        """(K,) sums of (S,)."""
        return torch.zeros(len(self.families), dtype=values.dtype).index_add(0, self.family, values)

    def mean_by_family(self, values: Tensor) -> Tensor:
        """(K,) means of (gliding,), NaN for modes that do not glide."""
        family = self.family[: self.gliding]
        count = torch.bincount(family, minlength=len(self.families))
        return torch.zeros(len(self.families), dtype=values.dtype).index_add(0, family, values) / count

    def pad(self, values: NDArray) -> NDArray:
        """(K,) of (glide_families,), 0 for the rest."""
        return np.concatenate([values, np.zeros(len(self.families) - self.glide_families)])
