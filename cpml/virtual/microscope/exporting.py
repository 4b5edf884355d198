"""A simulated specimen as a folder that any data set could be.

before.ctf, after.ctf   maps before and after the test, Euler angles in the axes of the pixels
traces.csv              slip traces drawn by hand
gradient.csv            displacement gradient of every point, as HR-DIC gives it
labels.csv              looks for cross-slip and climb, where the material has their parameters
curve.csv               measured stress-strain curve
truth.npz               what only the simulation knows; read by scoring alone
recipe.json             what the folder was asked for
dataset.yml             the description; written last, so that a folder that has it is complete
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from cpml.crystallography.materials import Material, load_material
from cpml.errors import DatasetError, ParameterError
from cpml.files import write_atomic, write_json
from cpml.load import Load
from cpml.microscopy.grains.grains import segment
from cpml.microscopy.io.reading import read_map
from cpml.microscopy.io.writing import write_map
from cpml.microscopy.twins.twins import find_twins
from cpml.paths import safe_name
from cpml.virtual.microscope import looking, noting
from cpml.virtual.microscope.deforming import Deformed, deform, draw
from cpml.virtual.microscope.knowing import truth_of
from cpml.virtual.microscope.settings import Microscope
from cpml.virtual.truth import Truth, match_grains

SHAPE = (16, 48, 48)
SEGMENTATION = {"threshold": 5.0, "min_pixels": 5}
MOST_STRAIN = 0.2
PARTS = ("specimen", "before", "after", "lamellae", "traces", "gradient", "curve", "looks")
"""Streams of random numbers: a change of one record leaves the others as they are."""


def simulate_specimen(
    folder: str | Path,
    *,
    material: str,
    seed: int,
    strain: float,
    load: Load | None = None,
    shape: tuple[int, int, int] = SHAPE,
    texture: str = "drawn",
    microscope: Microscope | None = None,
    free_surface: bool = False,
    increments: int = 6,
    name: str = "",
    orientations: NDArray | None = None,
    strengths: NDArray | None = None,
) -> Path:
    """Make a specimen, deform it, look at it, and write all that a laboratory would have, the truth apart.

    One seed is one folder, byte for byte. A folder that is complete is left alone; one that is not is made
    again.

    Parameters
    ----------
    folder : of the data set
    material : of `cpml.crystallography`, by name; its strengths are drawn about the literature
    strain : von Mises, at the end
    load : None: tension along x; its temperature decides on cross-slip and climb, the law of slip is that of
        the material's file
    shape : slices, rows and columns of voxels; the map is slice 0
    texture : "drawn" (random, components or fibres), "none", or "basal" (hexagonal crystals only)
    microscope : None: the usual errors
    free_surface : the map is a free surface while the specimen deforms; else a section of the bulk
    increments : of the path; 1 scales the flow at its beginning by the strain
    name : of the data set; "": that of the folder
    orientations, strengths : (N, 4) of the grains and (K,) MPa of the families, in place of drawn ones

    Returns
    -------
    Path of the dataset.yml

    Raises
    ------
    ParameterError, DatasetError : values that cannot be, an unknown material, a folder with another specimen
    NotConvergedError : a path that cannot be followed

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp()) / "nickel-1"
    >>> options = {"shape": (4, 8, 8), "increments": 1, "texture": "none"}
    >>> simulate_specimen(folder, material="nickel", seed=1, strain=0.02, **options).name
    'dataset.yml'
    >>> sorted(path.name for path in folder.iterdir())[:3]
    ['after.ctf', 'before.ctf', 'curve.csv']
    """
    folder, crystal = Path(folder), load_material(material)
    name = safe_name(name or folder.name)
    if not 0 < strain <= MOST_STRAIN or increments < 1:
        raise ParameterError(
            f"strain {strain}, increments {increments}: choose a strain above 0, at most {MOST_STRAIN}, and "
            "at least one increment"
        )
    microscope = microscope or Microscope()
    load = replace(load or Load.from_dict({"kind": "tension", "axis": "x"}), strain=strain)
    asked = {
        "name": name,
        "material": material,
        "seed": seed,
        "load": _load_entry(load),
        "shape": list(shape),
        "texture": texture,
        "microscope": asdict(microscope),
        "free_surface": free_surface,
        "increments": increments,
    }
    if orientations is not None:
        asked["texture"] = hashlib.sha256(np.ascontiguousarray(orientations, float).tobytes()).hexdigest()
    if strengths is not None:
        asked["strengths"] = np.asarray(strengths, float).tolist()
    description = folder / "dataset.yml"
    if _is_complete(folder, asked):
        return description
    recipe = draw(
        crystal,
        seed,
        shape=shape,
        texture=texture,
        load=load,
        free_surface=free_surface,
        orientations=orientations,
        strengths=strengths,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "recipe.json", asked)
    deformed = deform(recipe, strain, increments=increments)
    files = _write_records(folder, deformed, microscope)
    text = _description(name, deformed, files, free_surface)
    return write_atomic(description, lambda path: path.write_text(text, encoding="utf-8"))


def _is_complete(folder: Path, asked: dict) -> bool:
    """Whether the folder holds the specimen already; DatasetError where it holds something else."""
    made, recipe = folder / "dataset.yml", folder / "recipe.json"
    if not made.exists():
        return False
    try:
        found = json.loads(recipe.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != json.loads(json.dumps(asked)):
        raise DatasetError(
            f"{made} is another data set or was made with other options: name another folder, or delete it"
        )
    return True


def _write_records(folder: Path, deformed: Deformed, microscope: Microscope) -> dict[str, str]:
    """All files but the description; names by role."""
    recipe, plane = deformed.recipe, deformed.plane
    streams = {part: np.random.default_rng([recipe.seed, k]) for k, part in enumerate(PARTS)}
    truth = truth_of(deformed, microscope.pixels)
    final, in_lamella = looking.after(plane, truth, recipe.material, microscope, streams["lamellae"])
    for name, q in (("before", looking.before(plane, microscope.pixels)), ("after", final)):
        found = looking.map_of(name, plane, q, recipe.material, microscope, streams[name])
        write_map(found, folder / f"{name}.ctf")
    tables = {
        "traces": noting.traces(truth, in_lamella, microscope, streams["traces"]),
        "gradient": noting.gradients(plane, microscope, streams["gradient"]),
        "curve": noting.curve(deformed.curve, microscope, streams["curve"]),
    }
    found = _segmented(folder / "after.ctf", recipe.material, truth)
    looks = noting.looks(truth, found, recipe.material.systems(), microscope, streams["looks"])
    tables |= {"labels": looks} if len(looks) else {}
    for name, table in tables.items():
        write_atomic(folder / f"{name}.csv", _as_csv(table))
    write_atomic(folder / "truth.npz", _as_arrays(truth))
    return {"ebsd": "after.ctf", **{name: f"{name}.csv" for name in tables}, "truth": "truth.npz"}


def _as_csv(table: pd.DataFrame) -> Callable[[Path], None]:
    return lambda path: table.to_csv(path, index=False, lineterminator="\n")


def _as_arrays(truth: Truth) -> Callable[[Path], None]:
    return lambda path: np.savez_compressed(path, **truth.arrays())


def _segmented(path: Path, material: Material, truth: Truth) -> noting.Segmented:
    """Grains of the written map, as a reader of the data set finds them."""
    axis = {"hex_x_axis": "a*"} if material.lattice == "hcp" else {}
    twins = find_twins(segment(read_map(path, euler_to_sample="identity", **axis), **SEGMENTATION))
    partner = match_grains(truth, twins.grain_label)
    rows = twins.grains.set_index("grain_id").loc[partner.index]
    return noting.Segmented(
        partner.index.to_numpy(), partner.to_numpy(), rows[["qw", "qx", "qy", "qz"]].to_numpy()
    )


def _load_entry(load: Load) -> dict:
    """The load as dataset.yml has it."""
    entry: dict = {"kind": load.kind}
    for key in ("axis", "plane", "tensor"):
        value = getattr(load, key)
        if value is not None:
            entry[key] = np.round(value, 12).tolist()
    entry |= {"strain": load.strain, "rate": load.rate}
    return entry | ({} if load.temperature is None else {"temperature": load.temperature})


def _description(name: str, deformed: Deformed, files: dict[str, str], free_surface: bool) -> str:
    material, load = deformed.recipe.material, deformed.recipe.load
    phase = {"name": looking.phase_name(material), "lattice": material.lattice, "material": material.name}
    phase |= {"hex_x_axis": "a*"} if material.lattice == "hcp" else {}
    place = "the free surface of a plate" if free_surface else "a section of the bulk"
    content = {
        "name": name,
        "title": f"Simulated {phase['name']}, {load.label}, {100 * load.strain:g} % strain",
        "citation": "made by cpml with its own law; not a measurement, not another code's simulation",
        "licence": "GPL-3.0-or-later",
        "virtual": True,
        "files": {role: path for role, path in files.items() if role != "gradient"},
        "phases": [phase],
        "frame": {"euler_to_sample": "identity"},
        "load": _load_entry(load),
        "surface": "free" if free_surface else "section",
        "segmentation": SEGMENTATION,
        "labels": {"traces": "manual", "twins": "auto" if material.systems().twin.any() else "none"},
        "steps": [
            {"name": "before", "strain": 0, "ebsd": "before.ctf"},
            {"name": "after", "strain": load.strain, "gradient": files["gradient"]},
        ],
        "note": (
            f"The map is {place} of a volume that was solved as a whole, by the law that F is made of: "
            "scores here say whether F learns its own law through a microscope, not whether that law holds. "
            "Twin lamellae are painted from the simulated fractions; points are those of the undeformed grid."
        ),
    }
    options = {"sort_keys": False, "allow_unicode": True, "width": 110, "default_flow_style": None}
    return yaml.safe_dump(content, **options)
