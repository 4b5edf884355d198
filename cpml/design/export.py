"""Microstructures for other programs: one call writes a design, or a measured map, as the input of a solver.

| format | files |
|---|---|
| damask | material.yaml, grid.vti, load.yaml: a DAMASK 3 job |
| abaqus | model.inp: mesh, sets, orientations, elastic constants, load |
| vtk | sample.vti: grain, Bunge angles and quaternion of every voxel, for ParaView |
| mtex | orientations.csv: weighted Bunge angles |
| dataset | dataset.yml and its files: a design as a specimen, deformed and looked at, for `tasks.py run` |
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.materials import Material, load_material
from cpml.crystallography.odf_files import write_weighted
from cpml.crystallography.rotations import quaternion_to_euler
from cpml.design.decks import abaqus, damask
from cpml.design.decks.sample import MeasuredMap, Sample
from cpml.design.texture import TextureDesign
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity.field_path.output import write_vti
from cpml.virtual.microscope.exporting import simulate_specimen

FORMATS = ("damask", "abaqus", "vtk", "mtex", "dataset")
ORIENTATIONS = "orientations.csv"
_LAYERS, _POOL = (
    16,
    2000,
)  # of voxels below the map of a data set; orientations that its grains are taken from


def export(
    source: TextureDesign | MeasuredMap,
    folder: str | Path,
    *,
    format: str,
    material: str | Path | Material | None = None,
    strengths: NDArray | None = None,
    load: Load | None = None,
    strain: float = 0.05,
    increments: int = 50,
    grains: int = 200,
    cells: int = 32,
    diameter_um: float = 20.0,
    seed: int = 0,
) -> list[Path]:
    """Write a microstructure for another program.

    Parameters
    ----------
    source : a design, sampled as a periodic volume, or a Specimen, whose map becomes one layer of voxels
    folder : made where it does not exist
    format : damask, abaqus, vtk, mtex or dataset
    material, strengths : whose numbers are written; strengths (K,) MPa, such as learned ones, in place of the
        file's. A specimen has its own; orientations for MTEX need none
    load, strain, increments : of the job; None: that of the specimen, tension along x for a design
        (a data set: seen after the strain, 16 layers of cells x cells voxels, up to a strain of .2)
    grains, cells, diameter_um : of the volume of a design: number of grains (nearly), voxels along an edge,
        mean diameter
    seed : of grains and of the draw of orientations

    Returns
    -------
    the files

    Raises
    ------
    ParameterError : an unknown format, a source without a map or material, numbers out of range
    """
    if format not in FORMATS:
        raise ParameterError(f"format = {format!r}: choose {', '.join(FORMATS)}")
    if not 0 < strain < 10 or not 1 <= increments <= 100_000:
        raise ParameterError(f"strain = {strain} (up to 10) and increments = {increments} must be positive")
    folder = Path(folder)
    if format == "dataset":
        return [_specimen(source, folder, material, strengths, load, strain=strain, cells=cells, seed=seed)]
    if isinstance(material, str | Path):
        material = load_material(material)
    if format == "mtex" and isinstance(source, TextureDesign):  # all of its orientations, not a sample
        folder.mkdir(parents=True, exist_ok=True)
        table = source.to_frame()
        q, weights = table[["qw", "qx", "qy", "qz"]].to_numpy(), table["weight"].to_numpy()
        return [write_weighted(q, weights, folder / ORIENTATIONS)]
    sample = Sample.of(
        source,
        material=material,
        strengths=strengths,
        load=load,
        grains=grains,
        cells=cells,
        diameter_um=diameter_um,
        seed=seed,
    )
    folder.mkdir(parents=True, exist_ok=True)
    if format == "damask":
        return damask.write_job(sample, folder, strain=strain, increments=increments)
    if format == "abaqus":
        return abaqus.write_input(sample, folder, strain=strain, increments=increments)
    if format == "vtk":
        return [_volume(sample, folder)]
    return [write_weighted(sample.quaternions, sample.volume, folder / ORIENTATIONS)]


def _specimen(
    source: TextureDesign | MeasuredMap,
    folder: Path,
    material: str | Path | Material | None,
    strengths: NDArray | None,
    load: Load | None,
    *,
    strain: float,
    cells: int,
    seed: int,
) -> Path:
    """The description of a data set: the design deformed by the full field and seen by a microscope."""
    if not isinstance(source, TextureDesign):
        raise ParameterError("a measured map is a data set already: give a design")
    if material is None:
        raise ParameterError("a texture design has no material of its own: give material=")
    metal = material if isinstance(material, Material) else load_material(material)
    own = metal.strengths if source.strengths is None else source.strengths
    return simulate_specimen(
        folder,
        material=metal.name if isinstance(material, Material) else str(material),
        seed=seed,
        strain=strain,
        load=load,
        shape=(_LAYERS, cells, cells),
        orientations=source.draw(_POOL, seed=seed),
        strengths=own if strengths is None else strengths,
    )


def _volume(sample: Sample, folder: Path) -> Path:
    angles = np.degrees(quaternion_to_euler(sample.quaternions))[sample.grain_index]
    fields = {"bunge_deg": angles, "quaternion": sample.quaternions[sample.grain_index]}
    return write_vti(folder / "sample.vti", sample.grain_index, sample.step, fields)
