"""Flow laws of the phases of support.phases."""

from cpml.plasticity import PowerLaw
from support.phases import FCC, MG, MG_SLIP, MG_STRENGTHS

FCC_LAW = PowerLaw(FCC, [30.0])
MG_LAW = PowerLaw(MG, MG_STRENGTHS, 20.0, 1e-3)
MG_SLIP_LAW = PowerLaw(MG_SLIP, MG_STRENGTHS[:3], 20.0, 1e-3)
