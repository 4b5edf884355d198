from .crystal.conditions import Conditions as Conditions
from .crystal.elastic_point import ElasticCrystal as ElasticCrystal
from .crystal.single_crystal import single_crystal as single_crystal
from .crystal.solution import Solution as Solution
from .field.adjoint import (
    differentiable_field as differentiable_field,
    polished as polished,
    strength_sensitivity as strength_sensitivity,
)
from .field.full_field import Field as Field, full_field as full_field
from .field.surface import slab as slab, traction as traction, with_gap as with_gap
from .field_path.differentiable_path import differentiable_path as differentiable_path
from .field_path.loading import Stage as Stage
from .field_path.output import (
    read_path as read_path,
    voxel_fields as voxel_fields,
    write_path as write_path,
    write_vti as write_vti,
)
from .field_path.path import full_field_path as full_field_path
from .field_path.record import FieldPath as FieldPath
from .field_path.state import NotConvergedError as NotConvergedError
from .laws.law import PowerLaw as PowerLaw
from .laws.non_schmid import NonSchmid as NonSchmid
from .laws.phenopowerlaw import Phenopowerlaw as Phenopowerlaw
from .laws.strength.back_stress import BackStress as BackStress
from .laws.strength.from_material import material_hardening as material_hardening
from .laws.strength.hardening import NoHardening as NoHardening, Saturation as Saturation, Voce as Voce
from .laws.strength.kocks_mecking import KocksMecking as KocksMecking
from .laws.thermal.climb import DiffusionClimb as DiffusionClimb
from .laws.thermal.cross_slip import CrossSlip as CrossSlip
from .laws.thermal.glide import ThermalGlide as ThermalGlide
from .laws.thermal.over_temperature import at_conditions as at_conditions, strength_table as strength_table
from .laws.thermal.published_creep import creep_stress as creep_stress
from .laws.together import Together as Together
from .laws.twins.reorientation import Reorientation as Reorientation
from .laws.twins.twin_fraction import TwinFraction as TwinFraction
from .laws.twins.twin_nucleation import TwinNucleation as TwinNucleation
from .laws.twins.volume_transfer import VolumeTransfer as VolumeTransfer
from .paths.activities import mechanism_activities as mechanism_activities
from .paths.calibration import (
    Calibration as Calibration,
    calibrate as calibrate,
    plastic_curve as plastic_curve,
)
from .paths.deform import deform as deform
from .paths.measured import ElasticLine as ElasticLine, elastic_line as elastic_line
from .paths.path import Path as Path
from .paths.regimes import regimes as regimes, takeover as takeover
from .paths.sheet import (
    Lankford as Lankford,
    YieldSurface as YieldSurface,
    lankford as lankford,
    yield_surface as yield_surface,
)
from .polycrystal.mean_field import mean_field as mean_field
from .polycrystal.response import MeanField as MeanField
from .polycrystal.stiffness import polycrystal_stiffness as polycrystal_stiffness
from .polycrystal.taylor import taylor_factor as taylor_factor
