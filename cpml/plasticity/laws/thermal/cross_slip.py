"""Cross-slip of screws between planes that share a Burgers vector: thermally activated
exchange (Friedel-Escaig), with an attempt rate of its own.

    rate(s -> s') = nu exp(-dG/kT),   dG = dG_III - V (|tau_s'| - tau_III) - V_E (S_s - S_s'),  not below zero
    p(s -> s')    = 1 - exp[-rate gamma_flight / |gamma_dot_s|]
    activity      = |gamma_dot_s| p

A screw has time to cross-slip while it flies: the time in which its system shears by gamma_flight,
rho b Lambda (mobile density, mean free path). So the share p rises when the test slows, with temperature, and
with the stress on s' (V > 0); S = sigma:(b x n)(x)n, the shear on the edge components, squeezes or spreads
the partials.

dG_III is the barrier at tau_III, where stage III of hardening begins: half of the screws leave their plane
when dG = kT ln[nu gamma_flight/(|gamma_dot| ln 2)], which at room temperature is about 1 eV in every metal.
Metals differ in tau_III, lower where faults are narrow, and in V. At other temperatures and rates

    tau_III(T, rate) = tau_III + (dG_III - kT ln[nu gamma_flight/(rate ln 2)])/V

Screws that change plane may meet others of opposite sense and annihilate: with `annihilated` > 0 and a
hardening law whose own recovery is small, stage III of hardening begins at tau_III. The recovery of fitted
laws (k2 of Kocks & Mecking) has this in it, so that files leave it at 0.

There is no new mode of strain: dislocations change from s to s'. In bcc metals (compact cores) dG_III = 0 may
be given.

| symbol | meaning | unit |
|---|---|---|
| dG_III, V, tau_III | barrier at the onset, activation volume, onset stress | J, m^3, MPa |
| nu | attempts of a screw of 1 um: 10^13 /s for every b of its length | 1/s |
| gamma_flight | 0.01: a mean free path of some ten spacings at 10^13 to 10^14 /m^2; enters as a logarithm | -
|

References: Escaig 1968, J. Phys. 29:225; Bonneville, Escaig & Martin 1988, Acta Metall. 36:1989; Couteau,
Kruml & Martin 2011, Acta Mater. 59:4207; Kubin et al. 1992, Solid State Phenom. 23-24:455 (tau_III as
reference).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.cross_slip_pairs import cross_slip_pairs
from cpml.crystallography.materials import Material
from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.tensors import to_vector
from cpml.errors import ParameterError
from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.laws.constants import BOLTZMANN, ELECTRON

_MOST = 80.0  # logarithm of attempts in a flight, beyond which every screw leaves


@dataclass(frozen=True)
class CrossSlip:
    """Exchange of a set of systems (module docstring)."""

    systems: Systems
    energy: float  # J
    volume: float  # m^3
    onset: float = 0.0  # MPa
    escaig_volume: float = 0.0  # m^3
    attempts: float = 4e16  # 1/s
    flight_strain: float = 0.01
    annihilated: float = 0.0  # share of the screws that change plane and meet one of opposite sense

    def __post_init__(self) -> None:
        if self.energy < 0 or self.volume < 0 or self.onset < 0 or self.escaig_volume < 0:
            raise ParameterError("energy, volumes and onset stress of cross-slip must not be negative")
        if not 0 <= self.annihilated <= 1:
            raise ParameterError(f"annihilated = {self.annihilated} must be a share, 0 to 1")
        if not (self.attempts > 0 and self.flight_strain > 0):
            raise ParameterError("attempts and flight strain of cross-slip must be positive")

    @classmethod
    def from_material(cls, material: Material, *, families: Sequence[str] | None = None) -> "CrossSlip":
        """Cross-slip of a material file (block `cross_slip`); ParameterError without one."""
        block, b = material.cross_slip, material.burgers
        if not block:
            raise ParameterError(
                f"material {material.name!r} has no block cross_slip: its activation energy is unknown"
            )
        return cls(
            material.systems(families),
            ELECTRON * float(block["energy_ev"]),
            float(block["activation_volume_b3"]) * b**3,
            float(block["onset_mpa"]),
        )

    @cached_property
    def pairs(self) -> NDArray:
        """(P, 2) systems from and to: every pair both ways, in the order of the systems."""
        pairs = cross_slip_pairs(self.systems)[["system_a", "system_b"]].to_numpy(int)
        both = np.concatenate([pairs, pairs[:, ::-1]])
        return both[np.lexsort(both.T[::-1])]

    def barrier(self, stress: Tensor) -> Tensor:
        """(..., P) dG, J, of deviators (..., 5) in crystal axes, MPa."""
        stress, systems = as_tensor(stress), self.systems
        onto = (stress @ torch.as_tensor(systems.schmid5).T).abs()
        edge = np.cross(systems.direction, systems.plane)
        dyad = edge[:, :, None] * systems.plane[:, None, :]
        escaig = (stress @ torch.as_tensor(to_vector((dyad + dyad.transpose(0, 2, 1)) / 2)).T).abs()
        start, end = torch.as_tensor(self.pairs[:, 0]), torch.as_tensor(self.pairs[:, 1])
        height = (
            self.energy
            - 1e6 * self.volume * (onto[..., end] - self.onset)
            - 1e6 * self.escaig_volume * (escaig[..., start] - escaig[..., end])
        )
        return height.clamp(min=0)

    def probability(self, stress: Tensor, temperature: float | Tensor, shear_rate: float | Tensor) -> Tensor:
        """(..., P) share of the slip on s that leaves for s'.

        Parameters
        ----------
        stress : (..., 5) deviators in crystal axes, MPa
        temperature : K, one or (..., 1)
        shear_rate : of the systems (..., S), or one for all, 1/s; its sense does not matter
        """
        temperature, rate = as_tensor(temperature), as_tensor(shear_rate).abs()
        if not bool((temperature > 0).all()):
            raise ParameterError(f"temperature = {temperature} K must be positive")
        if rate.ndim and rate.shape[-1] == len(self.systems):
            rate = rate[..., torch.as_tensor(self.pairs[:, 0])]
        flights = np.log(self.attempts * self.flight_strain) - rate.clamp(min=1e-300).log()
        tries = flights - self.barrier(stress) / (BOLTZMANN * temperature)
        return -torch.expm1(-tries.clamp(max=_MOST).exp())

    def activity(self, shear_rate: Tensor, stress: Tensor, temperature: float | Tensor) -> Tensor:
        """(..., P) rate of exchange, 1/s, of shear rates (..., S)."""
        start = torch.as_tensor(self.pairs[:, 0])
        return shear_rate.abs()[..., start] * self.probability(stress, temperature, shear_rate)

    def onset_stress(self, temperature: float, shear_rate: float) -> float:
        """tau_III at a temperature (K) and shear rate (1/s), MPa: half of the screws leave their plane; 0
        where they do without stress.

        Examples
        --------
        >>> from cpml.crystallography import load_material
        >>> onset = CrossSlip.from_material(load_material("copper")).onset_stress
        >>> onset(400.0, 1e-4) < onset(300.0, 1e-4) < onset(300.0, 1.0)
        True
        """
        free = BOLTZMANN * temperature * np.log(self.attempts * self.flight_strain / (shear_rate * np.log(2)))
        return float(max(self.onset + 1e-6 * (self.energy - free) / self.volume, 0.0))

    def exchanged(self, density: Tensor, shear: Tensor, leaving: Tensor) -> Tensor:
        """(G, S) densities after shears (G, S) of a step: the screws, half of every density, leave with the
        probability `leaving` (G, P) in every flight; the share `annihilated` of them is gone.
        """
        start, end = (torch.as_tensor(self.pairs[:, k]) for k in (0, 1))
        flights = (shear.abs() / self.flight_strain)[..., start]
        ways = torch.bincount(start, minlength=len(self.systems)).clamp(min=1)[start]
        moved = 0.5 * density[..., start] * -torch.expm1(-flights * leaving) / ways
        gone = torch.zeros_like(density).index_add(-1, start, moved)
        return (density - gone).index_add(-1, end, (1 - self.annihilated) * moved)
