from .grid import orientation_grid as orientation_grid, prior_names as prior_names
from .properties import texture_properties as texture_properties
from .texture import TextureDesign as TextureDesign, reachable as reachable, suggest as suggest
