"""What the benchmark of depth is scored on: grains with a true stress, strain or rotation, and the crude
depths that a learned mechanics has to beat.

| set | truth |
|---|---|
| virtual slabs and deep volumes | mean stress, strain, shear and rotation of every surface grain (DAMASK) |
| sections of factory volumes | the same of every region of a plane cut (own full field) |
| measured maps | mean gradient of every grain (DIC) |
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage.measure import label

from benchmarks.virtual_specimens import VirtualSpecimen
from cpml import load_dataset
from cpml.crystallography.rotations import matrix_to_quaternion, quaternion_multiply, quaternion_to_matrix
from cpml.crystallography.tensors import rotation_5x5, to_vector
from cpml.datasets import read_dataset_map, step_gradients
from cpml.datasets.observe import grains_of
from cpml.evaluation.splits import blocked_folds
from cpml.load import Load
from cpml.microscopy.labels.rows import Labels
from cpml.models.mechanics.crystals import load_direction
from cpml.models.mechanics.response import GrainResponse, family_strengths, grain_response, skew
from cpml.models.specimen.specimen import Specimen, build_specimen
from cpml.plasticity.field.full_field import full_field
from cpml.plasticity.field.surface import with_gap
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.laws.spin import axial
from cpml.plasticity.polycrystal.motion import plastic_spin
from cpml.virtual.volumes.cuts import PLANES, boundaries
from cpml.virtual.volumes.recipes import Recipe

IDLE = 10.0
"""Strength, over the largest, of a family that the simulation does not have: it does not act."""
TENSOR = {"11": (0, 0), "22": (1, 1), "33": (2, 2), "23": (1, 2), "13": (0, 2), "12": (0, 1)}
DEPTHS, LAYERS, MOST_CELLS = 6, 16, 48
"""Crude depths: how many, how deep (about four grains), cells of the surface along its longer side."""
SECTIONS_PER_AREA = 1.458
"""Of random Voronoi cells of N a volume: a plane cuts 1.458 N^(2/3) of them a unit of area."""


@dataclass(frozen=True)
class Truth:
    """What grains do, for those rows of the specimen that it is known of; None where it is not."""

    rows: NDArray  # (M,)
    area: NDArray  # (M,)
    block: NDArray  # (M,) of the map, for resampling
    stress: NDArray | None = None  # (M, 5) over the mean along the load
    strain: NDArray | None = None  # (M, 5) any unit
    log_shear: NDArray | None = None  # (M,)
    rotation: NDArray | None = None  # (M, 3) axis times angle, sample frame


def true_strengths(virtual: VirtualSpecimen) -> dict[str, float]:
    """Strengths of the simulation for every family of the material; those it does not have are idle."""
    known = virtual.strengths.set_index("family")["strength_mpa"]
    families = virtual.specimen.systems.family_names
    return {name: float(known.get(name, IDLE * known.max())) for name in families}


def true_grains(virtual: VirtualSpecimen, folder: Path) -> Truth:
    """Truth of the grains of 20 pixels and more of a generator's folder."""
    specimen, partner = virtual.specimen, virtual.partner
    table = pd.read_csv(Path(folder) / "grains_truth.csv").set_index("grain_id").loc[partner.to_numpy()]
    rows = specimen.position(partner.index)
    area = specimen.weights[rows]
    stress = to_vector(_tensor(table, "cauchy_{}_MPa"))
    shear = [c for c in table if c.startswith(("gamma|", "twin_shear|"))]
    before, after = (
        quaternion_to_matrix(table[[f"q{k}_{state}" for k in "wxyz"]].to_numpy())
        for state in ("initial", "deformed")
    )
    turn = after @ before.swapaxes(1, 2)
    return Truth(
        rows,
        area,
        virtual.splits.table.set_index("grain_id")["block"].loc[partner.index].to_numpy(),
        stress=stress / np.average(stress @ load_direction(specimen), weights=area),
        strain=to_vector(_tensor(table, "logstrain_{}")),
        log_shear=np.log(np.maximum(table[shear].abs().sum(axis=1).to_numpy(), 1e-6)),
        rotation=axial((turn - turn.swapaxes(1, 2)) / 2),  # a few degrees: the sine is the angle
    )


def _tensor(table: pd.DataFrame, pattern: str) -> NDArray:
    matrix = np.zeros((len(table), 3, 3))
    for name, (i, j) in TENSOR.items():
        matrix[:, i, j] = matrix[:, j, i] = table[pattern.format(name)]
    return matrix


@dataclass(frozen=True)
class Measured:
    """A measured map: its specimen, the mean gradients of its grains in every state, blocks of the map."""

    specimen: Specimen
    gradients: pd.DataFrame  # columns of `cpml.datasets.strain_steps`
    block: NDArray  # (G,)


def measured_specimen(name: str, *, axis: str | None = None) -> Measured:
    """The map of a data set with measured gradients, a free surface, without footprints.

    Parameters
    ----------
    axis : of the load, in the place of the declared one

    Raises
    ------
    DatasetError : files that are not at hand
    """
    dataset = load_dataset(name)
    ebsd_map = read_dataset_map(dataset)
    found = grains_of(dataset, ebsd_map)
    grains = found.grains.assign(phase_name=dataset.phase().name)
    load = dataset.load if axis is None else Load.from_dict({"kind": dataset.load.kind, "axis": axis})
    specimen = map_specimen(
        name,
        grains,
        found.grain_boundaries,
        material=dataset.material(),
        load=load,
        points=(ebsd_map.xy, found.grain_label),
        free_surface=True,
    )
    blocks = blocked_folds(grains, found.grain_boundaries).table["block"].to_numpy()
    return Measured(specimen, step_gradients(dataset, ebsd_map, found.grain_label), blocks)


def map_specimen(name, grains, grain_boundaries, *, material, load, points, free_surface) -> Specimen:
    """A specimen without footprints; ``grains`` have one phase_name."""
    nothing = Labels.joined()
    return build_specimen(
        name,
        grains=grains,
        grain_boundaries=grain_boundaries,
        labels=nothing.labels,
        traces=nothing.traces,
        candidates=nothing.candidates,
        material=material,
        load=load,
        phase=grains["phase_name"].iloc[0],
        points=points,
        free_surface=free_surface,
    )


def blend(name: str, *responses: GrainResponse) -> GrainResponse:
    """The mean of several answers, under a name."""
    arrays = [
        f.name for f in fields(GrainResponse) if f.name not in ("grain_ids", "scheme", "converged", "radii")
    ]
    means = {key: np.mean([getattr(r, key) for r in responses], axis=0) for key in arrays}
    converged = all(r.converged for r in responses)
    return replace(responses[0], scheme=name, converged=converged, radii=None, **means)


def crude_depths(
    specimen: Specimen,
    *,
    strengths: Mapping[str, float] | None = None,
    n: float = 10.0,
    count: int = DEPTHS,
    layers: int = LAYERS,
    seed: int = 0,
) -> GrainResponse:
    """Mean answer over volumes below the map: its grains stay as they are in the first layer; below them lie
    cells of random seeds, as many as a plane cut through such cells would show, with crystals of the map.

    Parameters
    ----------
    strengths, n : as in `cpml.models.grain_response`
    count : of the volumes; ``layers`` of cells of each
    """
    given = grain_response(specimen, scheme="affine", strengths=strengths, n=n)
    rng = np.random.default_rng(seed)
    values = family_strengths(specimen, strengths)
    answers = [_one_depth(specimen, values, n, layers, rng, given) for _ in range(count)]
    return blend("crude_depths", *answers)


def _one_depth(
    specimen: Specimen,
    strengths: NDArray,
    n: float,
    layers: int,
    rng: np.random.Generator,
    given: GrainResponse,
) -> GrainResponse:
    """The answer of one volume; grains without a cell of the surface keep the ``given`` one."""
    surface = _coarse(specimen.raster, MOST_CELLS)
    index, crystal = _volume_below(surface, specimen, layers, rng)
    if specimen.free_surface:
        index = with_gap(index)
    crystals = specimen.quaternions[crystal]
    field = full_field(
        PowerLaw(specimen.systems, strengths, n=n, reference_rate=specimen.load.rate),
        index,
        crystals,
        loading=specimen.load,
        tol=1e-3,
        no_grain="empty" if specimen.free_surface else "refuse",
    )
    plastic = plastic_spin(specimen.systems, crystals[surface], field.shear_rate[0])
    seen = np.bincount(surface.ravel(), minlength=len(specimen))

    def mean(values: NDArray) -> NDArray:
        flat = values.reshape(surface.size, -1)
        sums = np.stack([np.bincount(surface.ravel(), c, len(specimen)) for c in flat.T], axis=1)
        return sums / np.maximum(seen, 1)[:, None]

    stress, total = mean(field.stress[0]), mean(np.abs(field.shear_rate[0]).sum(-1))[:, 0]
    along = (stress @ load_direction(specimen)) @ (seen / seen.sum())
    gradient = mean(field.velocity_gradient[0]).reshape(-1, 3, 3) / specimen.load.rate
    spin = mean(axial(field.velocity_gradient[0]) - plastic) / specimen.load.rate
    known = seen > 0
    return replace(
        given,
        stress=np.where(known[:, None], stress / along, given.stress),
        strain_rate=np.where(
            known[:, None, None], (gradient + gradient.swapaxes(1, 2)) / 2, given.strain_rate
        ),
        spin=np.where(known[:, None, None], skew(spin), given.spin),
        log_shear=np.where(
            known, np.log(np.maximum(total / np.average(total, weights=seen), 1e-6)), given.log_shear
        ),
        converged=field.converged,
    )


def _coarse(raster: NDArray, cells: int) -> NDArray:
    """The map with at most so many cells along its longer side."""
    every = max(1.0, max(raster.shape) / cells)
    rows, columns = (np.arange(0.5, n / every) * every for n in raster.shape)
    return raster[np.minimum(rows.astype(int), raster.shape[0] - 1)][
        :, np.minimum(columns.astype(int), raster.shape[1] - 1)
    ]


def _volume_below(
    surface: NDArray, specimen: Specimen, layers: int, rng: np.random.Generator
) -> tuple[NDArray, NDArray]:
    """Grain of every voxel (layers, rows, columns), the grains of the map first, and the row of the specimen
    (N,) whose crystal each has.
    """
    rows, columns = surface.shape
    shown, count = np.unique(surface, return_counts=True)
    density = (len(shown) / surface.size / SECTIONS_PER_AREA) ** 1.5
    spacing = density ** (-1 / 3)
    y, x = np.indices(surface.shape)
    centre = np.stack([np.bincount(surface.ravel(), v.ravel() + 0.5)[shown] / count for v in (x, y)], axis=1)
    depth = spacing * (rng.random(len(shown)) - 0.5)
    top = np.column_stack([centre, depth])
    room = max(layers - (0.5 if specimen.free_surface else 1.0) * spacing, 0.0)
    hidden = rng.random((rng.poisson(density * rows * columns * room), 3))
    hidden = hidden * [columns, rows, room] + [0, 0, spacing / 2]
    seeds = np.concatenate([top, hidden])
    # where the surface is free nothing lies behind it: a period so long that nobody sees across it
    period = np.array([columns, rows, 4 * layers if specimen.free_surface else layers], float)
    k, j, i = np.indices((layers, rows, columns))
    points = np.stack([i, j, k], axis=-1).reshape(-1, 3) + [0.5, 0.5, 0.0]
    index = (
        cKDTree(np.minimum(seeds % period, np.nextafter(period, 0)), boxsize=period)
        .query(points)[1]
        .reshape(layers, rows, columns)
    )
    crystal = np.concatenate(
        [np.arange(len(specimen)), rng.choice(shown, len(hidden), p=count / surface.size)]
    )
    number = np.concatenate([shown, len(specimen) + np.arange(len(hidden))])
    index = number[index]
    index[0] = surface
    return index, crystal


@dataclass(frozen=True)
class Section:
    """A plane cut of a factory volume as a specimen, its truth, and where its grains lie in the volume."""

    specimen: Specimen
    truth: Truth
    grain: NDArray  # (G,) number in the volume
    turn: NDArray  # (3, 3) from the frame of the volume to that of the section


def section_truth(volume: Mapping[str, NDArray], recipe: Recipe, number: int) -> Section | None:
    """Cut ``number`` of a volume as a specimen: x along its columns, y along its rows, z its normal.

    Parameters
    ----------
    volume : arrays of `cpml.virtual.volumes.factory.read_volume`
    recipe : of the volume's seed

    Returns
    -------
    None for a cut whose map repeats at its edges: a measured map ends there
    """
    first, last = (np.concatenate([[0], np.cumsum(volume["sizes"][:, 0])])[k] for k in (number, number + 1))
    axis = int(np.abs(volume["normal"][number]).argmax())
    grain = volume["grain"][first:last]
    region = _regions(recipe, axis, volume["area"][first:last])
    if region is None or not volume["rim"][first:last].any():
        return None
    rows, columns = PLANES[axis]
    turn = np.zeros((3, 3))
    turn[0, columns] = turn[1, rows] = 1.0
    turn[2] = np.cross(turn[0], turn[1])
    quaternions = quaternion_multiply(matrix_to_quaternion(turn), recipe.quaternions[grain])
    stress = volume["stress"][first:last] @ rotation_5x5(turn).T
    specimen = _section_specimen(recipe, region, quaternions, turn)
    truth = Truth(
        np.arange(len(grain)),
        specimen.weights,
        np.full(len(grain), int(volume["seed"])),
        stress=stress,
        strain=volume["rate"][first:last] @ rotation_5x5(turn).T,
        log_shear=volume["log_shear"][first:last],
        rotation=volume["spin"][first:last] @ turn.T,
    )
    return Section(specimen, truth, grain, turn)


def sections(volume: Mapping[str, NDArray], recipe: Recipe) -> Iterator[Section]:
    """All cuts of a volume that end at their edges."""
    found = (section_truth(volume, recipe, k) for k in range(len(volume["sizes"])))
    return (section for section in found if section is not None)


def _regions(recipe: Recipe, axis: int, area: NDArray) -> NDArray | None:
    """The plane of a volume whose regions have these areas, as the numbers of its regions."""
    for layer in range(recipe.grain_index.shape[2 - axis]):
        region = label(np.take(recipe.grain_index, layer, 2 - axis), background=-1, connectivity=1) - 1
        if np.array_equal(np.bincount(region.ravel()), area):
            return region
    return None


def _section_specimen(recipe: Recipe, region: NDArray, quaternions: NDArray, turn: NDArray) -> Specimen:
    count = np.bincount(region.ravel())
    y, x = np.indices(region.shape)
    edge = np.unique(np.concatenate([region[0], region[-1], region[:, 0], region[:, -1]]))
    grains = pd.DataFrame(quaternions, columns=["qw", "qx", "qy", "qz"]).assign(
        grain_id=np.arange(len(count)) + 1,
        x_um=np.bincount(region.ravel(), x.ravel()) / count,
        y_um=np.bincount(region.ravel(), y.ravel()) / count,
        n_pixels=count,
        on_edge=np.isin(np.arange(len(count)), edge),
        phase_name="grains",
    )
    tensor = turn @ recipe.load.stress @ turn.T
    load = Load.from_dict({"kind": "tensor", "tensor": tensor.tolist(), "rate": recipe.load.rate})
    return map_specimen(
        f"seed {recipe.seed}",
        grains,
        _touching(region),
        material=recipe.material,
        load=load,
        points=(np.stack([x.ravel(), y.ravel()], axis=1).astype(float), region.ravel() + 1),
        free_surface=recipe.is_free,
    )


def _touching(region: NDArray) -> pd.DataFrame:
    """Boundaries of a map of regions: grain_a, grain_b, length_um, trace_deg (of their chords)."""
    pair, chord, _ = boundaries(region, repeats=False)
    length = np.linalg.norm(chord, axis=1)
    real = length > 0
    return pd.DataFrame(
        {
            "grain_a": pair[real, 0] + 1,
            "grain_b": pair[real, 1] + 1,
            "length_um": length[real],
            # of a normal (x, y): counter-clockwise on the screen, whose y points down
            "trace_deg": np.degrees(np.arctan2(chord[real, 0], chord[real, 1])) % 180,
        }
    )
