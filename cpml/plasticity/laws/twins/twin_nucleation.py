"""Nucleation of twins at grain boundaries, by chance: large and highly stressed boundaries first.

A variant s of grain g has nucleated with probability

    P(tau) = 1 - exp[-(A_g/A0) (tau/tau0)^alpha]

by the time its resolved shear stress has been tau: the weakest of the defects along the boundary decides, and
their number goes with its area A. So every variant has a threshold, drawn once from this distribution,

    tau_n = tau0 [E A0/A_g]^(1/alpha),   E exponential with mean 1,   median ~ A^(-1/alpha)

and does not twin (but for the little that its rate law gives at a strength half as high again) until tau
reaches it; from then on it resists by its strength alone, which is that of growth. The stress drop at
nucleation and the spread of twins within grains come from there. Where tau0 is far below the strengths
nothing changes.

| symbol | meaning | unit | shape |
|---|---|---|---|
| A, A0 | boundary areas, that of the reference | any, the same | (G,), scalar |
| tau0, alpha | stress at which 63 % have nucleated on A0; exponent | MPa, - | |

References: Beyerlein & Tome 2010, Proc. R. Soc. A 466:2517 (Poisson process along boundaries, zirconium);
Beyerlein, McCabe & Tome 2011, J. Mech. Phys. Solids 59:988 (twins per grain rise with its size, magnesium);
Niezgoda, Kanjarla, Beyerlein & Tome 2014, Int. J. Plast. 56:119. Their parameters belong to their local
stresses of boundaries, so that none is shipped: tau0 and alpha are to be fitted to counts of twinned grains.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.laws.values import PerSystem

_CLOSED = 1.5  # strength of a variant that waits, over its threshold: the stress can reach this one


@dataclass(frozen=True)
class Nuclei:
    """Thresholds (G, S) MPa of a path's grains, and which variants have nucleated (G, S)."""

    threshold: NDArray
    nucleated: NDArray

    def resisting(self, strength: Tensor) -> Tensor:
        """(G, S) strengths that the modes show."""
        closed = torch.maximum(strength, torch.as_tensor(_CLOSED * self.threshold))
        return torch.where(torch.as_tensor(self.nucleated), strength, closed)

    def under(self, tau: NDArray) -> "Nuclei":
        """After resolved stresses (G, S), MPa."""
        return replace(self, nucleated=self.nucleated | (tau >= self.threshold))

    def turned(self, grains: NDArray) -> "Nuclei":
        """After grains (R,) were reoriented: in their new lattice nothing has nucleated."""
        nucleated = self.nucleated.copy()
        nucleated[grains] = False
        return replace(self, nucleated=nucleated)

    def born(self, parents: NDArray, systems: NDArray) -> "Nuclei":
        """With rows for twins of parents (R,) by systems (R,): the way back is open."""
        threshold, nucleated = (np.concatenate([x, x[parents]]) for x in (self.threshold, self.nucleated))
        rows = len(self.threshold) + np.arange(len(parents))
        nucleated[rows] = False
        nucleated[rows, systems] = True
        return Nuclei(threshold, nucleated)


@dataclass(frozen=True)
class TwinNucleation:
    """Nucleation of the twin systems of a set (module docstring); family, system or single values.

    Raises
    ------
    ParameterError : no twins, areas that are not positive, a stress or exponent that is not positive
    """

    systems: Systems
    tau0: PerSystem = PerSystem(sign="positive")  # MPa
    exponent: PerSystem = PerSystem(sign="positive")
    area: ArrayLike = 1.0  # (G,) or one for all, over A0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.systems.twin.any():
            raise ParameterError("these systems have no twins: nothing nucleates")
        area = np.asarray(self.area, float)
        if area.ndim > 1 or not np.all(np.isfinite(area) & (area > 0)):
            raise ParameterError("boundary areas must be positive, one number or one for each grain")

    def start(self, n_grains: int) -> Nuclei:
        """Thresholds of grains; slip needs no nucleus."""
        area = np.asarray(self.area, float)
        if area.ndim and area.shape != (n_grains,):
            raise ParameterError(f"{len(area)} boundary areas for {n_grains} grains")
        drawn = np.random.default_rng(self.seed).exponential(size=(n_grains, len(self.systems)))
        tau0, exponent = (x.detach().numpy() for x in (self.tau0, self.exponent))
        threshold = tau0 * (drawn / np.broadcast_to(area, n_grains)[:, None]) ** (1 / exponent)
        twin = self.systems.twin
        return Nuclei(np.where(twin, threshold, 0.0), np.tile(~twin, (n_grains, 1)))
