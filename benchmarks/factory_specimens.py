"""Specimens of the project's own full field, followed over strain: many materials, textures, loads and
microscopes, one for every seed.

Strengths are drawn about the literature, with its spread; the volume is solved by
`cpml.plasticity.full_field_path` with the hardening of the material, and looked at by the simulated
microscope (`cpml.virtual.simulate_specimen`), whose limits and errors are drawn too. So the mechanics is not
F's own (a field over strain in place of a mean field at an instant), nor are the priors of the microscope;
law and solver are the project's, which slabs and deep volumes of another code do not share.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.virtual_specimens import (
    SPECIMENS,
    WHOLE,
    VirtualSpecimen,
    Window,
    assembled,
    cropped,
    load_virtual,
    reference_folder,
)
from cpml import microscopy
from cpml.crystallography import load_material
from cpml.datasets import load_dataset
from cpml.datasets.curve import read_curve
from cpml.datasets.observe import drawn_traces
from cpml.load import Load
from cpml.virtual import Microscope, simulate_specimen
from cpml.virtual.truth import load_truth

MATERIALS = (
    "magnesium",
    "titanium_cp",
    "zirconium",
    "magnesium_az31",
    "titanium_ti64_alpha",
    "ferrite",
    "if_steel",
)
SHAPE = (10, 52, 52)
INCREMENTS = 5


def make(folder: Path, seed: int) -> Path:
    """The data set of a seed in ``folder``/<seed>, made where it is not there yet; its dataset.yml."""
    rng = np.random.default_rng([14, seed])
    angle = np.radians(rng.choice([0, 0, 30, 45, 60, 90, 90]))
    axis = [float(np.cos(angle).round(6)), float(np.sin(angle).round(6)), 0.0]
    load = Load.from_dict({"kind": str(rng.choice(["tension", "compression"])), "axis": axis})
    microscope = Microscope(
        visible_shear=float(0.01 * np.exp(0.4 * rng.standard_normal())),
        trace_deg=float(rng.uniform(1.0, 3.0)),
        missed=float(rng.uniform(0.05, 0.3)),
        false=float(rng.uniform(0.0, 0.1)),
        visible_twin=float(0.05 * np.exp(0.3 * rng.standard_normal())),
    )
    return simulate_specimen(
        folder / f"{seed:03d}",
        material=MATERIALS[seed % len(MATERIALS)],
        seed=1000 + seed,
        strain=float(rng.uniform(0.02, 0.045)),
        load=load,
        shape=SHAPE,
        microscope=microscope,
        free_surface=bool(rng.random() < 0.3),
        increments=INCREMENTS,
        name=f"factory-{seed:03d}",
    )


def load_factory(folder: Path, *, window: Window = WHOLE) -> VirtualSpecimen:
    """The specimen of a made folder, its grains, twins and traces found as in any map, and its truth; or of a
    part of its map.
    """
    dataset = load_dataset(Path(folder) / "dataset.yml")
    material = load_material(dataset.phases[0].material)
    systems = material.systems()
    axis = {"hex_x_axis": "a*"} if material.lattice == "hcp" else {}
    whole = microscopy.read_map(dataset.folder / "after.ctf", euler_to_sample="identity", **axis)
    ebsd_map, part = cropped(whole, window)
    fragments = microscopy.segment(ebsd_map, threshold=5.0, min_pixels=5)
    types = [name for name, family in material.families.items() if family.kind == "twin"]
    twins = microscopy.find_twins(fragments, types=types)
    phase = dataset.phases[0].name
    grains = twins.grains.assign(phase_name=phase)
    seen = microscopy.slip_labels(grains, drawn_traces(dataset, ebsd_map, twins.grain_label), systems)
    truth = load_truth(dataset.folder / "truth.npz")
    return assembled(
        dataset.name,
        ebsd_map,
        twins,
        microscopy.kam(fragments),
        replace(truth, surface_grain=truth.surface_grain[part]),
        grains=grains,
        labels=pd.concat([seen.labels, microscopy.twin_labels(twins, systems)], ignore_index=True),
        traces=seen.traces,
        candidates=seen.candidates,
        material=material,
        load=dataset.load,
        phase=phase,
        curve=read_curve(dataset.folder / "curve.csv"),
        free_surface=dataset.free_surface,
    )


def load_any(name: str, *, window: Window = WHOLE) -> VirtualSpecimen:
    """A specimen by its name in SPECIMENS, or by the folder of a simulated data set (with a dataset.yml).

    Raises
    ------
    KeyError : neither
    """
    if (Path(name) / "dataset.yml").is_file():
        return load_factory(Path(name), window=window)
    folder = reference_folder()
    if folder is None or name not in SPECIMENS:
        raise KeyError(f"{name!r}: choose from {', '.join(SPECIMENS)}, or give a folder with a dataset.yml")
    return load_virtual(folder / name, window=window)
