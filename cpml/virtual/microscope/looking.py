"""Maps of a plane before and after its test, as a microscope indexes them: noise, points without a solution,
twins as lamellae.

Lamellae are painted: every variant whose fraction is visible becomes bands along the trace of its K1 plane,
as thick as they cut the surface, so far apart that they cover its fraction. Their geometry is no result of
the simulation, their number and variant are.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.materials import Material
from cpml.crystallography.rotations import axis_angle_to_quaternion, matrix_to_quaternion, quaternion_multiply
from cpml.crystallography.symmetry import group_of_lattice
from cpml.crystallography.twinning import twin_crystal_to_sample
from cpml.microscopy.maps.ebsd_map import EbsdMap, MapPhase
from cpml.virtual.microscope.deforming import Plane
from cpml.virtual.microscope.settings import Microscope
from cpml.virtual.truth import Truth

MOST_TWINNED = 0.6
"""Of a grain that lamellae cover at most: a parent has to be left to see."""
LEAST_SINE = 0.3
"""A K1 plane that lies flatter cuts the surface in lamellae as wide as if it were so steep."""


def phase_name(material: Material) -> str:
    """Name of the phase in the files."""
    return material.title.split(",")[0].split("(")[0].strip() or material.name


def upsampled(values: NDArray, pixels: int) -> NDArray:
    """Voxel values (rows, columns, ...) on the points of the map, row after row (N, ...)."""
    fine = values.repeat(pixels, axis=0).repeat(pixels, axis=1)
    return fine.reshape(-1, *values.shape[2:])


def map_of(
    name: str,
    plane: Plane,
    quaternions: NDArray,
    material: Material,
    microscope: Microscope,
    rng: np.random.Generator,
) -> EbsdMap:
    """A map of orientations (N, 4) as it is indexed."""
    rows, columns = (n * microscope.pixels for n in plane.region.shape)
    vector = rng.standard_normal((len(quaternions), 3)) * np.radians(microscope.noise_deg) / np.sqrt(3)
    angle = np.linalg.norm(vector, axis=1)
    off = axis_angle_to_quaternion(vector / np.maximum(angle, 1e-12)[:, None], angle)
    near = _at_boundary(np.kron(plane.region, np.ones((microscope.pixels,) * 2, int))).ravel()
    lost = rng.random(len(quaternions)) < microscope.unindexed + microscope.unindexed_boundary * near
    gamma, a = 120.0 if material.lattice == "hcp" else 90.0, 10 * material.a  # nm to Angstrom
    c = 10 * (material.c or material.a)
    phase = MapPhase(
        phase_name(material), group_of_lattice(material.lattice), material.lattice, a, a, c, 90.0, 90.0, gamma
    )
    y, x = np.mgrid[:rows, :columns] * microscope.step_um
    mad = np.abs(microscope.noise_deg + 0.1 * rng.standard_normal(len(quaternions))) + 0.3 * near
    return EbsdMap.from_points(
        name,
        np.stack([x.ravel(), y.ravel()], axis=1),
        np.where(lost[:, None], np.nan, quaternion_multiply(off, quaternions)),
        np.where(lost, 0, 1),
        {1: phase},
        properties={"mad": np.where(lost, 0, np.round(mad, 2)), "bc": np.where(lost, 0, 170 - 60 * near)},
    )


def _at_boundary(region: NDArray) -> NDArray:
    """(rows, columns) bool, points with a neighbour of another region."""
    near = np.zeros(region.shape, bool)
    for axis in (0, 1):
        apart = np.diff(region, axis=axis) != 0
        for first in (True, False):
            near |= np.pad(apart, [(int(k == axis and not first), int(k == axis and first)) for k in (0, 1)])
    return near


def before(plane: Plane, pixels: int) -> NDArray:
    """(N, 4) orientations of the points before the test."""
    return matrix_to_quaternion(upsampled(plane.before, pixels))


def after(
    plane: Plane, truth: Truth, material: Material, microscope: Microscope, rng: np.random.Generator
) -> tuple[NDArray, NDArray]:
    """(N, 4) orientations of the points after it, with lamellae; and (rows, columns) whether a point lies in
    one.
    """
    q = matrix_to_quaternion(upsampled(plane.after, microscope.pixels))
    systems = material.systems()
    twins = np.flatnonzero(systems.twin)
    variant = np.full(truth.surface_grain.shape, -1)
    if len(twins):
        for number, rows in truth.variants.groupby("grain"):
            mine = truth.surface_grain == number
            for k in _painted(rows, microscope.visible_twin):
                free = mine & (variant < 0)
                variant[free & _bands(rows.iloc[k], rows, mine, microscope, rng)] = k
    inside = variant.ravel() >= 0
    q[inside] = twin_crystal_to_sample(q[inside], systems.plane[twins[variant.ravel()[inside]]])
    return q, variant >= 0


def _painted(rows: pd.DataFrame, visible: float) -> list[int]:
    """Variants of a grain that are seen, the largest first."""
    fraction = rows["fraction"].to_numpy()
    return [int(k) for k in np.argsort(-fraction, kind="stable") if fraction[k] > visible]


def _bands(
    row: pd.Series, rows: pd.DataFrame, mine: NDArray, microscope: Microscope, rng: np.random.Generator
) -> NDArray:
    """(rows, columns) points of the bands of a variant."""
    seen = rows.loc[rows["fraction"] > microscope.visible_twin, "fraction"].sum()
    share = row["fraction"] * min(1.0, MOST_TWINNED / seen)
    flat = np.hypot(row["nx"], row["ny"])
    across = np.array([row["nx"], row["ny"]]) / max(flat, 1e-9)
    y, x = np.nonzero(mine)
    place = (x * across[0] + y * across[1]) * microscope.step_um
    width = max(microscope.lamella_um / max(flat, LEAST_SINE), 2 * microscope.step_um)
    count = max(1, round(share * np.ptp(place) / width)) if len(place) else 1
    period = max(np.ptp(place) / count, 1e-9)
    phase = rng.uniform(0, 1 - share)  # whole lamellae inside every period
    inside = np.zeros(mine.shape, bool)
    inside[y, x] = np.abs((place - place.min()) / period % 1 - phase - share / 2) <= share / 2
    return inside
