"""What is written down beside the maps: slip traces, strains, the curve, and looks at single grains.

A trace is drawn along every plane that sheared enough and is steep enough, off by the error of a hand; some
are missed, some belong to no plane, two that lie close are one. Where a grain was looked at and shows none
its angle is empty.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.slip_traces import line_difference, trace_angle_deg
from cpml.virtual.microscope.deforming import Plane
from cpml.virtual.microscope.looking import upsampled
from cpml.virtual.microscope.settings import Microscope
from cpml.virtual.truth import ACTIVE_CLIMB, ACTIVE_SHEAR, Truth, pair_amounts

DIGITS = {"angle_deg": 1, "gradient": 5, "true_strain": 6, "true_stress_mpa": 2}


@dataclass(frozen=True)
class Segmented:
    """Grains that were found in a map, by the region that each of them is."""

    grain_ids: NDArray  # (G,)
    regions: NDArray  # (G,) number in the truth
    quaternions: NDArray  # (G, 4)


def traces(
    truth: Truth, in_lamella: NDArray, microscope: Microscope, rng: np.random.Generator
) -> pd.DataFrame:
    """x_um, y_um of a point of the grain, angle_deg counter-clockwise on the screen."""
    rows = []
    size = np.bincount(truth.surface_grain.ravel())
    for number, planes in truth.planes.groupby("grain"):
        if size[number] < microscope.least_pixels:
            continue
        mine = (truth.surface_grain == number) & ~in_lamella
        depth = distance_transform_edt(np.pad(mine, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        place = (column * microscope.step_um, row * microscope.step_um)
        rows += [(*place, angle) for angle in _drawn(planes, microscope, rng) or [np.nan]]
    table = pd.DataFrame(rows, columns=["x_um", "y_um", "angle_deg"])
    return table.round({"angle_deg": DIGITS["angle_deg"]})


def visible_traces(planes: pd.DataFrame, microscope: Microscope) -> list[float]:
    """Angles, deg, of the traces of one grain that could be drawn, the strongest first."""
    normal = planes[["nx", "ny", "nz"]].to_numpy()
    inclination = np.degrees(np.arctan2(np.hypot(normal[:, 0], normal[:, 1]), np.abs(normal[:, 2])))
    seen = (planes["shear"].to_numpy() > microscope.visible_shear) & (inclination >= microscope.flat_deg)
    angle, shear = trace_angle_deg(normal[seen]), planes["shear"].to_numpy()[seen]
    kept: list[float] = []
    for k in np.argsort(-shear, kind="stable"):
        if all(abs(line_difference(angle[k], other)) >= microscope.merged_deg for other in kept):
            kept.append(float(angle[k]))
    return kept


def _drawn(planes: pd.DataFrame, microscope: Microscope, rng: np.random.Generator) -> list[float]:
    found = []
    for angle in visible_traces(planes, microscope):
        missed, off = rng.random() < microscope.missed, microscope.trace_deg * rng.standard_normal()
        if not missed:
            found.append((angle + off) % 180)
    wrong, anywhere = rng.random() < microscope.false, rng.uniform(0, 180)
    return [*found, anywhere] if wrong else found


def gradients(plane: Plane, microscope: Microscope, rng: np.random.Generator) -> pd.DataFrame:
    """x_um, y_um, H11 .. H22 of every point of the map: in the plane, F - 1."""
    h = upsampled(plane.gradient[..., :2, :2] - np.eye(2), microscope.pixels).reshape(-1, 4)
    h = h + microscope.gradient_noise * rng.standard_normal(h.shape)
    rows, columns = (n * microscope.pixels for n in plane.region.shape)
    y, x = np.mgrid[:rows, :columns] * microscope.step_um
    names = ("H11", "H12", "H21", "H22")
    values = dict(zip(names, np.round(h, DIGITS["gradient"]).T, strict=True))
    return pd.DataFrame({"x_um": x.ravel(), "y_um": y.ravel(), **values})


def curve(true: pd.DataFrame, microscope: Microscope, rng: np.random.Generator) -> pd.DataFrame:
    """The stress-strain curve as it is measured."""
    factor = 1 + microscope.curve_noise * rng.standard_normal(len(true))
    return true.assign(true_stress_mpa=true["true_stress_mpa"] * factor).round(DIGITS)


def looks(
    truth: Truth, found: Segmented, systems: Systems, microscope: Microscope, rng: np.random.Generator
) -> pd.DataFrame:
    """Rows of `files: labels`: cross-slip pairs of the grains that somebody looked at, climb of those whose
    foil was looked at.
    """
    rows: list[tuple] = []
    turn = quaternion_to_matrix(found.quaternions)
    pairs, climb = ({} if t is None else dict(list(t.groupby("grain"))) for t in (truth.pairs, truth.climb))
    for k, (grain, region) in enumerate(zip(found.grain_ids.tolist(), found.regions.tolist(), strict=True)):
        has_look, has_foil = rng.random(2) < (microscope.looked_at, microscope.foils)
        if has_look and region in pairs:
            for target, amount in pair_amounts(pairs[region], turn[k], systems).items():
                chance = rng.random()
                sure = 1 - microscope.pair_missed if amount > ACTIVE_SHEAR else microscope.pair_false
                rows.append((grain, "cross_slip", target, int(chance < sure), "virtual microscope"))
        if has_foil and region in climb:
            climbs = climb[region]["share"].iloc[0] > ACTIVE_CLIMB
            rows.append((grain, "climb", "", int(climbs), "virtual foil"))
    return pd.DataFrame(rows, columns=["grain_id", "mechanism", "target", "observed", "source"])
