"""Crystal plasticity: single crystals, Taylor factors, mean fields, deformation paths,
elastic averages (imports torch).
"""

from cpml.plasticity.activities import mechanism_activities
from cpml.plasticity.boundary import Loading
from cpml.plasticity.calibration import Calibration, calibrate, plastic_curve
from cpml.plasticity.climb import DiffusionClimb, PowerClimb
from cpml.plasticity.cross_slip import CrossSlip, constriction_energy
from cpml.plasticity.elasticity import hershey, polycrystal_stiffness
from cpml.plasticity.from_material import material_hardening
from cpml.plasticity.full_field import Field, full_field
from cpml.plasticity.general import Together
from cpml.plasticity.glide import ThermalGlide
from cpml.plasticity.hardening import NoHardening, Saturation, Voce
from cpml.plasticity.kocks_mecking import KocksMecking
from cpml.plasticity.law import PowerLaw
from cpml.plasticity.mean_field import mean_field
from cpml.plasticity.path import Path, deform
from cpml.plasticity.properties import Lankford, YieldSurface, lankford, yield_surface
from cpml.plasticity.regimes import regimes
from cpml.plasticity.reorientation import Reorientation
from cpml.plasticity.response import MeanField
from cpml.plasticity.single_crystal import single_crystal
from cpml.plasticity.solution import Solution
from cpml.plasticity.taylor import taylor_factor, taylor_stress
from cpml.plasticity.twin_fraction import TwinFraction

__all__ = [
    "Calibration",
    "CrossSlip",
    "DiffusionClimb",
    "Field",
    "KocksMecking",
    "Lankford",
    "Loading",
    "MeanField",
    "NoHardening",
    "Path",
    "PowerClimb",
    "PowerLaw",
    "Reorientation",
    "Saturation",
    "Solution",
    "ThermalGlide",
    "Together",
    "TwinFraction",
    "Voce",
    "YieldSurface",
    "calibrate",
    "constriction_energy",
    "deform",
    "full_field",
    "hershey",
    "lankford",
    "material_hardening",
    "mean_field",
    "mechanism_activities",
    "plastic_curve",
    "polycrystal_stiffness",
    "regimes",
    "single_crystal",
    "taylor_factor",
    "taylor_stress",
    "yield_surface",
]
