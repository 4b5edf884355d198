"""Cross-slip of screws between planes that share a Burgers vector: thermally activated
pair transfer (Friedel-Escaig).

    activity(s -> s') = |gamma_s| min(1, exp(-dG/kT))
    dG = dG0 - V (|tau_s'| - tau_III) - V_E (S_s - S_s'),  not below zero; V > 0: the stress on s' helps
    S  = resolved shear stress on the edge components, sigma:(b x n)(x)n: squeezes or spreads the partials
    dG0 = (1/30) mu b^2 d sqrt(ln(sqrt3 d/b)),  d = mu b^2 (2 - 3 nu)/(24 pi gamma (1 - nu))   (constriction)

The factor 1/30 is an estimate of line tension: it gives 1.0 eV for copper, where 1.15 eV (Bonneville et al.)
and 0.61 eV (Couteau et al.) are measured.

There is no new mode of strain: dislocations change from s to s'. The activity rises with the slip
on s, the stress on both planes, temperature and stacking-fault energy gamma. In bcc metals
(compact cores) dG0 = 0 may be given.

| symbol | meaning | unit |
|---|---|---|
| dG0, V, tau_III | activation energy, volume, onset stress | J, m^3, MPa |
| d | splitting of a screw | m |

References: Escaig 1968; Stroh 1954, Proc. Phys. Soc. B 67:427; Bonneville, Escaig &
Martin 1988, Acta Metall. 36:1989; Couteau, Kruml & Martin 2011, Acta Mater. 59:4207.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.cross_slip_pairs import cross_slip_pairs
from cpml.crystallography.elasticity import hershey
from cpml.crystallography.materials import Material
from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.tensors import to_vector
from cpml.errors import ParameterError
from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.laws.constants import BOLTZMANN, ELECTRON


def constriction_energy(
    stacking_fault_energy: float, shear_modulus: float, burgers: float, poisson: float = 0.33
) -> float:
    """dG0 (J) of a constriction; stacking-fault energy in J/m^2, shear modulus in MPa, Burgers vector in m.

    Examples
    --------
    >>> 0.9 < constriction_energy(0.045, 42e3, 2.556e-10) / 1.602e-19 < 1.3  # copper: 1.15 eV measured
    True
    """
    if not (stacking_fault_energy > 0 and shear_modulus > 0 and burgers > 0 and 0 < poisson < 0.5):
        raise ParameterError(
            "stacking-fault energy, shear modulus and Burgers vector must be positive, 0 < nu < 0.5"
        )
    mu = 1e6 * shear_modulus
    width = mu * burgers**2 * (2 - 3 * poisson) / (24 * np.pi * stacking_fault_energy * (1 - poisson))
    ratio = np.log(max(np.sqrt(3) * width / burgers, 1.0))
    return float(mu / 30 * burgers**2 * width * np.sqrt(ratio))


@dataclass(frozen=True)
class CrossSlip:
    """Pair transfer of a set of systems (module docstring)."""

    systems: Systems
    energy: float  # J
    volume: float  # m^3
    onset: float = 0.0  # MPa
    escaig_volume: float = 0.0  # m^3

    def __post_init__(self) -> None:
        if self.energy < 0 or self.volume < 0 or self.onset < 0 or self.escaig_volume < 0:
            raise ParameterError("energy, volumes and onset stress of cross-slip must not be negative")

    @classmethod
    def from_material(cls, material: Material, *, families: Sequence[str] | None = None) -> "CrossSlip":
        """Cross-slip of a material file (block `cross_slip`, with its stacking-fault
        energy); ParameterError without one.
        """
        block, b = material.cross_slip, material.burgers
        if not block:
            raise ParameterError(
                f"material {material.name!r} has no block cross_slip: its activation energy is unknown"
            )
        energy = ELECTRON * float(block.get("energy_ev", 0))
        if "stacking_fault_mj_per_m2" in block:
            bulk, shear = hershey(*(material.elastic[key] for key in ("C11", "C12", "C44")))
            poisson = (3 * bulk - 2 * shear) / (2 * (3 * bulk + shear))
            energy = constriction_energy(1e-3 * float(block["stacking_fault_mj_per_m2"]), shear, b, poisson)
        return cls(
            material.systems(families),
            energy,
            float(block["activation_volume_b3"]) * b**3,
            float(block["onset_mpa"]),
        )

    @cached_property
    def pairs(self) -> NDArray:
        """(P, 2) systems from and to: every pair both ways, in the order of the systems."""
        pairs = cross_slip_pairs(self.systems)[["system_a", "system_b"]].to_numpy(int)
        both = np.concatenate([pairs, pairs[:, ::-1]])
        return both[np.lexsort(both.T[::-1])]

    def probability(self, stress: Tensor, temperature: float | Tensor) -> Tensor:
        """(..., P) share of the slip on s that leaves for s', of deviators (..., 5) in crystal axes, MPa."""
        temperature = as_tensor(temperature)
        if not bool((temperature > 0).all()):
            raise ParameterError(f"temperature = {temperature} K must be positive")
        stress, systems = as_tensor(stress), self.systems
        onto = (stress @ torch.as_tensor(systems.schmid5).T).abs()
        edge = np.cross(systems.direction, systems.plane)
        dyad = edge[:, :, None] * systems.plane[:, None, :]
        escaig = (stress @ torch.as_tensor(to_vector((dyad + dyad.transpose(0, 2, 1)) / 2)).T).abs()
        start, end = torch.as_tensor(self.pairs[:, 0]), torch.as_tensor(self.pairs[:, 1])
        barrier = (
            self.energy
            - 1e6 * self.volume * (onto[..., end] - self.onset)
            - 1e6 * self.escaig_volume * (escaig[..., start] - escaig[..., end])
        )
        return torch.exp(-barrier.clamp(min=0) / (BOLTZMANN * temperature))

    def activity(self, shear_rate: Tensor, stress: Tensor, temperature: float | Tensor) -> Tensor:
        """(..., P) rate of transfer, 1/s, of shear rates (..., S)."""
        return shear_rate.abs()[..., torch.as_tensor(self.pairs[:, 0])] * self.probability(
            stress, temperature
        )
