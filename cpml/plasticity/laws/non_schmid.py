"""Slip of bcc crystals that feels more than its resolved shear stress (screw cores that are not planar).

    tau*_s = N_s : sigma,   N = sym[m (x) n + a1 m (x) n' + a2 (n x m) (x) n + a3 (n' x m) (x) n']
    rate_s = r0 (max(tau*_s, 0)/xi_s)^k,     D = sum_s rate_s sym(m (x) n)

n' is n turned by 60 degrees about m, the other {110} plane of m in the twinning sense. The senses of a system
differ, so that each is a mode of its own that moves one way: the 24 pairs (n, m) are the images of
(01-1)[111] under the rotations of the cube. Strains stay those of slip on n along m: the law is not
associated, and no potential stands behind it. Given stresses are answered at once. Where rates are imposed,
mild weights (0.24, 0, 0.35) are solved in every crystal; strong ones (tungsten's, iron's) leave crystals with
several answers or none, up to a fifth of random ones at n = 20 and more above: the one is returned that
follows from Schmid's law as the weights grow, and `converged` says whether it does.

| symbol | meaning | unit | shape |
|---|---|---|---|
| m, n | slip direction with its sense, plane normal | | (24, 3) |
| a1, a2, a3 | weights of the other stresses, 0: Schmid's law | | |
| xi, k, r0 | strength of {110}<111>, rate exponent, reference rate | MPa, -, 1/s | |

References: Groeger, Bailey & Vitek 2008, Acta Mater. 56:5401 and 56:5412 (criterion, Table 1; tungsten a = 0,
0.56, 0.75, as in DAMASK's dislotungsten_W.yaml); Koester, Ma & Hartmaier 2012, Acta Mater. 60:3894.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.materials import Material
from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.symmetry import proper_group
from cpml.crystallography.tensors import to_vector
from cpml.errors import ParameterError
from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.laws import flow

TUNGSTEN = (0.0, 0.56, 0.75)
"""a1, a2, a3 of tungsten (Groeger, Bailey & Vitek 2008)."""


@dataclass(frozen=True)
class NonSchmid:
    """Law of {110}<111> slip (module docstring), for `single_crystal`; its shear rates are those of 24
    senses.

    Raises
    ------
    ParameterError : weights that are not three finite numbers, a strength, exponent or rate out of range
    """

    weights: Sequence[float]  # a1, a2, a3
    strength: Tensor | float  # MPa
    n: float = 20.0
    reference_rate: float = 1.0  # 1/s

    def __post_init__(self) -> None:
        if len(self.weights) != 3 or not np.isfinite(self.weights).all():
            raise ParameterError(f"weights = {self.weights!r}: give a1, a2 and a3")
        strength = as_tensor(self.strength).item()
        if not strength > 0 or not 1 <= self.n <= 1000 or not self.reference_rate > 0:
            raise ParameterError(
                f"strength = {strength:g} MPa and reference rate {self.reference_rate:g} must be "
                f"positive, n = {self.n:g} 1 to 1000"
            )

    @classmethod
    def from_material(cls, material: Material, weights: Sequence[float]) -> "NonSchmid":
        """Law of a bcc material file with {110} slip and weights a1, a2, a3; its other families are
        left out.
        """
        if material.lattice != "bcc" or "110" not in material.families:
            raise ParameterError(f"material {material.name!r} has no {{110}}<111> slip of a bcc crystal")
        return cls(weights, material.families["110"].strength, material.n, material.reference_rate)

    @cached_property
    def pairs(self) -> tuple[NDArray, NDArray]:
        """n and m (24, 3), unit vectors."""
        turns = quaternion_to_matrix(proper_group("432"))
        n, m = np.array([0, 1, -1]) / np.sqrt(2), np.array([1, 1, 1]) / np.sqrt(3)
        return turns @ n, turns @ m

    @cached_property
    def schmid(self) -> Tensor:
        """(24, 5) tensors of the strains, crystal frame."""
        n, m = self.pairs
        return torch.as_tensor(to_vector(_symmetric(m, n)))

    @cached_property
    def drive(self) -> Tensor:
        """(24, 5) tensors N of the stresses that move the modes."""
        n, m = self.pairs
        a1, a2, a3 = (float(a) for a in self.weights)
        other = n / 2 + np.sqrt(3) / 2 * np.cross(m, n)  # turned by 60 degrees about m
        tensors = _symmetric(m, n) + a1 * _symmetric(m, other)
        tensors += a2 * _symmetric(np.cross(n, m), n) + a3 * _symmetric(np.cross(other, m), other)
        return torch.as_tensor(to_vector(tensors))

    def rates(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Rates and slopes (..., 24) of the stresses tau* (..., 24), MPa."""
        polar = torch.ones(tau.shape[-1], dtype=torch.bool)
        return flow.rates(tau, as_tensor(self.strength), polar, self.n, self.reference_rate)


def _symmetric(a: NDArray, b: NDArray) -> NDArray:
    """(N, 3, 3) symmetric dyads."""
    dyads = a[:, :, None] * b[:, None, :]
    return (dyads + dyads.transpose(0, 2, 1)) / 2
