from .microscope.exporting import simulate_specimen as simulate_specimen
from .microscope.settings import Microscope as Microscope
from .truth import (
    Truth as Truth,
    load_truth as load_truth,
    match_grains as match_grains,
    true_labels as true_labels,
    true_ratios as true_ratios,
    truth_labels as truth_labels,
)
