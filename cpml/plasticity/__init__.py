"""Crystal plasticity: single crystals with implicit gradients, exact Taylor factors, mean fields (imports torch)."""

from cpml.plasticity.boundary import Loading
from cpml.plasticity.law import PowerLaw
from cpml.plasticity.mean_field import mean_field
from cpml.plasticity.response import MeanField
from cpml.plasticity.single_crystal import Solution, single_crystal
from cpml.plasticity.taylor import taylor_factor, taylor_stress

__all__ = ["Loading", "MeanField", "PowerLaw", "Solution", "mean_field", "single_crystal", "taylor_factor",
           "taylor_stress"]
