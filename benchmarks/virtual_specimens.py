"""Virtual specimens as `Specimen`s: maps, public labels, load and curve in; the truth apart, for scoring.

Only what an experimenter would have is read for the model: the deformed map, the recorded trace angles
and twin variants of every grain, the macroscopic curve. Load and phase come from the table below,
priors from the literature files of `cpml.crystallography`. The folder is the generator's (README
there), found through ``CPML_REFERENCE``.

The map without painted lamellae is used, so that grains and labels correspond one to one; twins are
the recorded variants, translated into this project's names by geometry (K1 normal and shear
direction in the sample frame).

The generator's maps are periodic: a grain at one edge may go on at the other, and is then held out with its
image. A ``window`` cuts a piece out of the map before grains are found, as a map is cut out of a sheet: its
edges cut grains, and nothing goes on behind them.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cpml import microscopy
from cpml.crystallography import load_material, schmid_factors
from cpml.datasets.curve import read_curve
from cpml.evaluation.splits import Splits, blocked_folds
from cpml.load import Load
from cpml.microscopy.labels.rows import Labels
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.models.mechanics.mean_fields import mean_fields
from cpml.models.specimen.specimen import Specimen, build_specimen
from cpml.virtual.recorded import read_public_table, recorded_traces, recorded_variants
from cpml.virtual.truth import Truth, match_grains, read_generator_truth, truth_labels

Window = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of a map, as shares of its width and height."""
WHOLE: Window = (0.0, 0.0, 1.0, 1.0)

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
    images: pd.Series | None = None  # by grain_id: equal where grains are images of one, across the edges


def reference_folder() -> Path | None:
    """Folder of the virtual specimens; None, and a line, where there is none."""
    root = os.environ.get("CPML_REFERENCE")
    folder = Path(root or "") / "virtual"
    if root and folder.is_dir():
        return folder
    print("virtual specimens not found: set CPML_REFERENCE to the folder that holds virtual/")
    return None


def partition(virtual: VirtualSpecimen, seed: int, *, shells: int = 1) -> Splits:
    """Blocks of a specimen, dealt to the folds by a seed; images of one grain are held out together."""
    specimen = virtual.specimen
    pairs = pd.DataFrame(specimen.grain_ids[specimen.neighbours], columns=["grain_a", "grain_b"])
    return blocked_folds(specimen.grains, pairs, shells=shells, seed=seed, groups=virtual.images)


def load_virtual(folder: Path, *, window: Window = WHOLE) -> VirtualSpecimen:
    """Build the specimen of one generator folder (its name is a key of SPECIMENS), or of a part of its map.

    Raises
    ------
    KeyError : a name that is not in SPECIMENS; MapFileError, DatasetError : unreadable files
    """
    folder = Path(folder)
    phase, material_name, kind, strain = SPECIMENS[folder.name]
    material = load_material(material_name)
    hex_axis = "a*" if material.lattice == "hcp" else None
    ebsd_map = microscopy.read_map(folder / "ebsd_deformed.ctf", hex_x_axis=hex_axis)
    ebsd_map, (rows, columns) = cropped(ebsd_map, window)
    fragments = microscopy.segment(ebsd_map, **SEGMENTATION)
    twins = microscopy.find_twins(fragments, types=())
    grains = twins.grains.assign(phase_name=phase)
    systems = material.systems()
    seen = public_labels(folder / "labels_public.csv", ebsd_map, grains, twins.grain_label, systems)
    load = Load.from_dict({"kind": kind, "axis": AXES.get(folder.name, "x"), "strain": strain})
    truth = read_generator_truth(folder)
    truth = replace(truth, surface_grain=truth.surface_grain[rows, columns])
    return assembled(
        folder.name,
        ebsd_map,
        twins,
        microscopy.kam(fragments),
        truth,
        images=_images(folder, truth, twins.grain_label),
        grains=grains,
        labels=seen.labels,
        traces=seen.traces,
        candidates=seen.candidates,
        material=material,
        load=load,
        phase=phase,
        curve=read_curve(folder / "macro.csv"),
        free_surface=False,
    )


def assembled(
    name: str,
    ebsd_map: EbsdMap,
    twins: microscopy.Twins,
    kam: np.ndarray,
    truth: Truth,
    *,
    grains: pd.DataFrame,
    images: pd.Series | None = None,
    **known: Any,
) -> VirtualSpecimen:
    """The specimen of a map whose grains, twins and footprints were found, with its truth.

    Parameters
    ----------
    truth : cut as the map is; known : for `build_specimen`
    """
    features = microscopy.grain_features(
        grains, twins.grain_boundaries, twins.grain_label, kam, twinned=twins.twinned
    )
    specimen = with_cp_baseline(
        build_specimen(
            name,
            grains=features,
            grain_boundaries=twins.grain_boundaries,
            points=(ebsd_map.xy, twins.grain_label),
            **known,
        )
    )
    partner = match_grains(truth, twins.grain_label)
    partner = partner[partner.index.isin(specimen.grain_ids)]
    turned = specimen.quaternions[specimen.position(partner.index)]
    true = truth_labels(truth, partner, turned, partner.index, specimen.material.systems())
    splits = blocked_folds(features, twins.grain_boundaries, groups=images)
    return VirtualSpecimen(specimen, splits, true, truth.strengths, partner, images)


def cropped(ebsd_map: EbsdMap, window: Window) -> tuple[EbsdMap, tuple[slice, slice]]:
    """A part of a map, and its rows and columns; places stay those of the whole map."""
    rows, columns = _extent(ebsd_map.shape, window)
    return _part(ebsd_map, rows, columns), (rows, columns)


def _extent(shape: tuple[int, int], window: Window) -> tuple[slice, slice]:
    """Rows and columns of a part of a map."""
    left, top, right, bottom = window
    rows = slice(round(top * shape[0]), round(bottom * shape[0]))
    return rows, slice(round(left * shape[1]), round(right * shape[1]))


def _part(ebsd_map: EbsdMap, rows: slice, columns: slice) -> EbsdMap:
    """The points of some rows and columns of a square grid; places stay those of the whole map."""
    place = np.arange(ebsd_map.n_pixels).reshape(ebsd_map.shape)[rows, columns]
    kept = place.ravel()
    return replace(
        ebsd_map,
        quaternions=ebsd_map.quaternions[kept],
        phase_id=ebsd_map.phase_id[kept],
        xy=ebsd_map.xy[kept],
        shape=place.shape,
        properties={name: values[kept] for name, values in ebsd_map.properties.items()},
    )


def _images(folder: Path, truth: Truth, label: np.ndarray) -> pd.Series:
    """By grain_id: the grain of the volume that most of its points belong to."""
    volume = pd.read_csv(folder / "grains_truth.csv").set_index("grain_id")["volume_grain"]
    flat = truth.surface_grain.ravel()
    inside = (label > 0) & np.isin(flat, volume.index)
    return pd.crosstab(label[inside], flat[inside]).idxmax(axis=1).map(volume)


def with_cp_baseline(specimen: Specimen) -> Specimen:
    """The specimen with Schmid factors and the activities of Sachs and Taylor under literature strengths."""
    from cpml.models.summary import with_baseline
    from cpml.plasticity import PowerLaw

    law, weights = PowerLaw.from_material(specimen.material), specimen.weights
    cp = {"schmid": schmid_factors(specimen.systems, specimen.quaternions, specimen.load.stress)}
    fields, _ = mean_fields(law, specimen.quaternions, weights=weights, loading=specimen.load)
    cp |= {f"share_{scheme}": fields[scheme].activity.numpy() for scheme in ("sachs", "taylor")}
    return with_baseline(specimen, cp | {"taylor_factor": fields["taylor"].taylor_factor.numpy()})


def public_labels(path: Path, ebsd_map, grains: pd.DataFrame, label: np.ndarray, systems) -> Labels:
    """Label tables from the generator's public columns: recorded trace angles and recorded twin variants."""
    table = read_public_table(path, ebsd_map, label)
    slip = microscopy.slip_labels(grains, recorded_traces(table), systems)
    labels = pd.concat([slip.labels, recorded_variants(table, systems)], ignore_index=True)
    return replace(slip, labels=labels)
