"""From wanted properties back to microstructure: textures with certificates."""

from cpml.design.grid import orientation_grid, prior_names
from cpml.design.properties import texture_properties
from cpml.design.texture import TextureDesign, reachable, suggest

__all__ = ["TextureDesign", "orientation_grid", "prior_names", "reachable", "suggest", "texture_properties"]
