"""Virtual specimens as `Specimen`s: maps, public labels, load and curve in; the truth apart, for scoring.

Only what an experimenter would have is read for the model: the deformed map, the recorded trace angles
and twin variants of every grain, the macroscopic curve. Load and phase come from the table below,
priors from the literature files of `cpml.crystallography`. The folder is the generator's (README
there), found through ``CPML_REFERENCE``.

The map without painted lamellae is used, so that grains and labels correspond one to one; twins are
the recorded variants, translated into this project's names by geometry (K1 normal and shear
direction in the sample frame).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cpml import microscopy
from cpml.crystallography import load_material, schmid_factors
from cpml.datasets.curve import read_curve
from cpml.evaluation.splits import Splits, blocked_folds
from cpml.load import Load
from cpml.microscopy.labels.rows import Labels
from cpml.models.specimen.specimen import Specimen, build_specimen
from cpml.virtual.recorded import read_public_table, recorded_traces, recorded_variants
from cpml.virtual.truth import match_grains, read_generator_truth, truth_labels

SPECIMENS = {
    "mg_hcp_A": ("Magnesium", "magnesium", "compression", 0.032),
    "mg_hcp_B": ("Magnesium", "magnesium", "compression", 0.032),
    "ti_hcp_A": ("Titanium", "titanium_cp", "tension", 0.03),
    "ni_fcc_A": ("Nickel", "nickel", "tension", 0.03),
    "mg_hcp_G": ("Magnesium", "magnesium", "compression", 0.026),
    "mg_deep_A": ("Magnesium", "magnesium", "compression", 0.023),
    "ni_deep_A": ("Nickel", "nickel", "tension", 0.03),
}
AXES = {"mg_hcp_G": "y"}
"""Of the loads that are not along x."""
SEGMENTATION = {"threshold": 5.0, "min_pixels": 5}


@dataclass(frozen=True)
class VirtualSpecimen:
    """A specimen, its spatial blocks, and the truth in the specimen's names (scoring only)."""

    specimen: Specimen
    splits: Splits
    truth: pd.DataFrame  # grain_id, mechanism, target, observed, amount
    strengths: pd.DataFrame  # family, strength_mpa of the simulation
    partner: pd.Series  # by grain_id: the generator's grain, where one covers it (20 pixels and more)


def load_virtual(folder: Path) -> VirtualSpecimen:
    """Build the specimen of one generator folder (its name is a key of SPECIMENS).

    Raises
    ------
    KeyError : a name that is not in SPECIMENS; MapFileError, DatasetError : unreadable files
    """
    folder = Path(folder)
    phase, material_name, kind, strain = SPECIMENS[folder.name]
    material = load_material(material_name)
    hex_axis = "a*" if material.lattice == "hcp" else None
    ebsd_map = microscopy.read_map(folder / "ebsd_deformed.ctf", hex_x_axis=hex_axis)
    fragments = microscopy.segment(ebsd_map, **SEGMENTATION)
    twins = microscopy.find_twins(fragments, types=())
    grains = twins.grains.assign(phase_name=phase)
    systems = material.systems()
    seen = public_labels(folder / "labels_public.csv", ebsd_map, grains, twins.grain_label, systems)
    load = Load.from_dict({"kind": kind, "axis": AXES.get(folder.name, "x"), "strain": strain})
    kam = microscopy.kam(fragments)
    features = microscopy.grain_features(
        grains, twins.grain_boundaries, twins.grain_label, kam, twinned=twins.twinned
    )
    specimen = build_specimen(
        folder.name,
        grains=features,
        grain_boundaries=twins.grain_boundaries,
        labels=seen.labels,
        traces=seen.traces,
        candidates=seen.candidates,
        material=material,
        load=load,
        phase=phase,
        curve=read_curve(folder / "macro.csv"),
        points=(ebsd_map.xy, twins.grain_label),
        free_surface=False,
    )
    specimen = with_cp_baseline(specimen)
    truth = read_generator_truth(folder)
    partner = match_grains(truth, twins.grain_label)
    partner = partner[partner.index.isin(specimen.grain_ids)]
    rows = specimen.position(partner.index)
    true = truth_labels(truth, partner, specimen.quaternions[rows], partner.index, systems)
    splits = blocked_folds(features, twins.grain_boundaries)
    return VirtualSpecimen(specimen, splits, true, truth.strengths, partner)


def with_cp_baseline(specimen: Specimen) -> Specimen:
    """The specimen with Schmid factors and the activities of Sachs and Taylor under literature strengths."""
    from cpml.models.summary import with_baseline
    from cpml.plasticity import PowerLaw, mean_field

    law, weights = PowerLaw.from_material(specimen.material), specimen.weights
    cp = {"schmid": schmid_factors(specimen.systems, specimen.quaternions, specimen.load.stress)}
    for scheme in ("sachs", "taylor"):
        field = mean_field(law, specimen.quaternions, weights=weights, loading=specimen.load, scheme=scheme)
        cp[f"share_{scheme}"] = field.activity.numpy()
    return with_baseline(specimen, cp | {"taylor_factor": field.taylor_factor.numpy()})


def public_labels(path: Path, ebsd_map, grains: pd.DataFrame, label: np.ndarray, systems) -> Labels:
    """Label tables from the generator's public columns: recorded trace angles and recorded twin variants."""
    table = read_public_table(path, ebsd_map, label)
    slip = microscopy.slip_labels(grains, recorded_traces(table), systems)
    labels = pd.concat([slip.labels, recorded_variants(table, systems)], ignore_index=True)
    return replace(slip, labels=labels)
