from . import catalogue as catalogue
from .dataset import (
    Dataset as Dataset,
    PhaseSpec as PhaseSpec,
    StrainStep as StrainStep,
    available as available,
    left_out as left_out,
    load_dataset as load_dataset,
    mistakes as mistakes,
)
from .draft import open_decisions as open_decisions
from .inventory import Entry as Entry, take_inventory as take_inventory
from .new import NewDescription as NewDescription, new_description as new_description
from .observe import (
    Footprints as Footprints,
    ImageLines as ImageLines,
    image_lines as image_lines,
    observe as observe,
    read_dataset_map as read_dataset_map,
    twin_rows as twin_rows,
    twin_types as twin_types,
)
from .strain_steps import (
    StepTracks as StepTracks,
    step_gradients as step_gradients,
    track_steps as track_steps,
)
