"""Phases, strengths and loads that many tests share; their lattice parameters are said here and nowhere else.

c/a of magnesium: Partridge 1967, Metall. Rev. 12:169; strengths: Wang et al. 2014, as in DAMASK's examples.
"""

import numpy as np

from cpml.crystallography import systems
from cpml.crystallography.slip_systems import Systems

MG_RATIO = 1.6236


def magnesium(*families: str) -> Systems:
    """Systems of some families of magnesium, of all of them when none is named."""
    return systems("hcp", families=families or None, c_over_a=MG_RATIO)


FCC = systems("fcc", families=["octahedral"])
MG = magnesium("basal", "prismatic", "pyramidal2_ca", "twin_1012")
MG_SLIP = MG.subset(MG.slip)
MG_STRENGTHS = np.array([10.0, 55, 60, 40])  # MPa, of the families of MG

TENSION = np.diag([1.0, -0.5, -0.5])  # strain rate of von Mises size 1, along x
