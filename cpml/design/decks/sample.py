"""What a deck is made of: grains on a grid of voxels, their orientations, a material and a load.

A texture design becomes a periodic volume of grains whose orientations are drawn from its weights; a measured
map becomes one layer of voxels, its grains columns through the depth.

| symbol | meaning | unit | shape |
|---|---|---|---|
| grain_index | grain of every voxel, (slices, rows, columns) along z, y, x | | (nz, ny, nx) |
| quaternions | crystal_to_sample of the grains | | (G, 4) |
| step | edges of a voxel along x, y, z | um | (3,) |
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.materials import Material
from cpml.design.texture import TextureDesign
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.virtual.volumes.tessellation import random_grains

PULL = Load.from_dict({"kind": "tension", "axis": "x"})


@runtime_checkable
class MeasuredMap(Protocol):
    """What a map must know to become a sample: a Specimen of cpml.models does."""

    name: str
    material: Material
    load: Load
    grains: pd.DataFrame  # with x_um, y_um
    raster: NDArray | None  # (rows, columns) row of the grain of every cell

    @property
    def quaternions(self) -> NDArray:
        """(G, 4) crystal_to_sample."""


@dataclass(frozen=True)
class Sample:
    """Grains on a grid (module docstring); strengths (K,) MPa of the material's families."""

    name: str
    grain_index: NDArray
    quaternions: NDArray
    step: tuple[float, float, float]
    material: Material
    strengths: NDArray
    load: Load

    def __post_init__(self) -> None:
        strengths = np.asarray(self.strengths, float)
        if strengths.shape != (len(self.material.families),) or not (strengths > 0).all():
            raise ParameterError(
                f"strengths = {strengths}: give a positive one for each of "
                f"{', '.join(self.material.families)}"
            )
        if not np.isfinite(strengths).all():
            raise ParameterError(f"strengths = {strengths} contain NaN or infinity")

    @property
    def volume(self) -> NDArray:
        """(G,) share of every grain."""
        count = np.bincount(self.grain_index.ravel(), minlength=len(self.quaternions))
        return count / self.grain_index.size

    @classmethod
    def of(
        cls,
        source: TextureDesign | MeasuredMap,
        *,
        material: Material | None,
        strengths: NDArray | None,
        load: Load | None,
        grains: int,
        cells: int,
        diameter_um: float,
        seed: int,
    ) -> "Sample":
        """The sample of a design or of a measured map (arguments of cpml.design.export)."""
        if not isinstance(source, TextureDesign):
            if not isinstance(source, MeasuredMap):
                raise ParameterError(f"{type(source).__name__}: give a TextureDesign or a Specimen")
            return _of_map(source, material, strengths, load)
        if material is None:
            raise ParameterError("a texture design has no material of its own: give material=")
        if not 2 <= grains <= 100_000 or not 2 <= cells <= 512 or not diameter_um > 0:
            raise ParameterError(
                f"grains = {grains} (2 to 100000), cells = {cells} along an edge (2 to 512) and "
                f"diameter_um = {diameter_um} (positive) do not make a volume"
            )
        rng = np.random.default_rng(seed)
        edge = (6 / np.pi * cells**3 / grains) ** (1 / 3)  # diameter of a sphere, voxels
        index = random_grains((cells,) * 3, edge, rng)
        found = int(index.max()) + 1
        step = (diameter_um / edge,) * 3
        return cls(
            "design",
            index,
            source.draw(found, seed=seed),
            step,
            material,
            _strengths(material, source, strengths),
            load or PULL,
        )


def _strengths(material: Material, design: TextureDesign, given: NDArray | None) -> NDArray:
    """Those given, else those of a design that changes them, else the material's."""
    if given is not None:
        return np.asarray(given, float)
    return material.strengths if design.strengths is None else design.strengths


def uniaxial(load: Load) -> tuple[int, float] | None:
    """Sample axis and signed rate, 1/s, of a tension or compression along x, y or z; None for other loads."""
    if load.axis is None or load.kind not in ("tension", "compression"):
        return None
    axis = int(np.argmax(np.abs(load.axis)))
    if abs(load.axis[axis]) < 1 - 1e-9:
        return None
    return axis, float(load.rate if load.kind == "tension" else -load.rate)


def _of_map(
    specimen: MeasuredMap, material: Material | None, strengths: NDArray | None, load: Load | None
) -> Sample:
    """One layer; edges from the spread of the grains' centres, since a Specimen does not keep its step."""
    if specimen.raster is None:
        raise ParameterError(f"specimen {specimen.name!r} has no map: there is no grid to export")
    raster = np.asarray(specimen.raster)
    span = specimen.grains[["x_um", "y_um"]].max() - specimen.grains[["x_um", "y_um"]].min()
    edge = float(span.max() / max(raster.shape)) or 1.0
    own = material or specimen.material
    return Sample(
        specimen.name,
        raster[None],
        specimen.quaternions,
        (edge, edge, edge),
        own,
        own.strengths if strengths is None else np.asarray(strengths, float),
        load or specimen.load,
    )
