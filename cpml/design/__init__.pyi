from .export import export as export
from .from_map import (
    asked_of_map as asked_of_map,
    change_table as change_table,
    draws_of as draws_of,
    goal_table as goal_table,
    grain_size_of_map as grain_size_of_map,
    learned_law as learned_law,
    spreads_of as spreads_of,
)
from .goals import goals_of as goals_of
from .grid import orientation_grid as orientation_grid, prior_names as prior_names
from .microstructure import microstructure_of as microstructure_of
from .processes.sequence import by_process as by_process, process_path as process_path
from .processes.steps import distance as distance, processed as processed
from .properties import texture_properties as texture_properties
from .routes import Route as Route
from .search.front import front as front
from .suggest import suggest as suggest
from .texture import TextureDesign as TextureDesign, reachable as reachable
from .verify.cautions import cautions as cautions
from .verify.chance import chance_table as chance_table
from .verify.proof import prove as prove
from .verify.sensitivity import mechanisms as mechanisms, sensitivity as sensitivity
