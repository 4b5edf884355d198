"""map.h5: an EBSD map in the pixel frame, in one HDF5 file of our own; whatever is read is checked."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from cpml.crystallography.symmetry import proper_group
from cpml.errors import MapFileError
from cpml.microscopy.io.hdf_arrays import read_hdf, write_hdf
from cpml.microscopy.maps.ebsd_map import EbsdMap, MapPhase, is_cell
from cpml.microscopy.maps.grids import LARGEST_STEP_UM, LEAST_STEP_UM

KIND = "cpml map 1"
PROPERTIES = "properties/"
UNIT = 1e-3
"""Deviation of a quaternion's length from one: files in single precision are at 1e-7."""


def write_map_file(ebsd_map: EbsdMap, path: str | Path) -> None:
    """Write the map under a temporary name first, then the final one."""
    arrays = {
        "quaternions": ebsd_map.quaternions,
        "phase_id": ebsd_map.phase_id,
        "xy": ebsd_map.xy,
        **{f"{PROPERTIES}{k}": v for k, v in ebsd_map.properties.items()},
    }
    attributes = {
        "name": ebsd_map.name,
        "grid": ebsd_map.grid,
        "shape": json.dumps(ebsd_map.shape),
        "pixel_um": json.dumps(ebsd_map.pixel_um),
        "phases": json.dumps({str(i): vars(p) for i, p in ebsd_map.phases.items()}),
        "frame_note": json.dumps(ebsd_map.frame_note),
        "kind": KIND,
    }
    write_hdf(path, arrays, attributes)


def read_map_file(path: str | Path) -> EbsdMap:
    """The map in a file that `write_map_file` wrote.

    Raises
    ------
    MapFileError : another file, one that is not complete, or a value that no map has
    """
    arrays, attributes = read_hdf(path, kind=KIND)
    try:
        phases = {int(i): _phase(p) for i, p in json.loads(attributes["phases"]).items()}
        shape, pixel_um = (tuple(json.loads(attributes[k])) for k in ("shape", "pixel_um"))
        found = EbsdMap(
            name=attributes["name"],
            quaternions=arrays.pop("quaternions"),
            phase_id=arrays.pop("phase_id"),
            phases=phases,
            xy=arrays.pop("xy"),
            grid=attributes["grid"],
            shape=shape,
            pixel_um=pixel_um,
            properties={k.removeprefix(PROPERTIES): v for k, v in arrays.items()},
            frame_note=tuple(_text(note) for note in json.loads(attributes["frame_note"])),
        )
        _check_arrays(found, stranger=next((k for k in arrays if not k.startswith(PROPERTIES)), None))
        _check_orientations(found)
        _check_grid(found)
        return found
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise MapFileError(
            f"{path}: not a complete cpml map ({error}); write it again with to_hdf"
        ) from error


def _phase(values: dict[str, Any]) -> MapPhase:
    """A phase whose cell is known, or 0 or NaN where its file did not tell; its group is a point group."""
    phase = MapPhase(**values)
    _text(phase.name)
    proper_group(phase.group)
    cell = phase.a, phase.b, phase.c, phase.alpha, phase.beta, phase.gamma
    if not is_cell(cell):
        raise ValueError(f"phase {phase.name!r}: cell {cell}")
    if phase.lattice not in (None, "fcc", "bcc", "hcp"):
        raise ValueError(f"phase {phase.name!r}: lattice {phase.lattice!r}")
    return phase


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _check_arrays(found: EbsdMap, *, stranger: str | None) -> None:
    n = np.size(found.phase_id)
    if stranger is not None:
        raise ValueError(f"unknown array {stranger!r}")
    for name, array, shape, kinds in (
        ("phase_id", found.phase_id, (n,), "iu"),
        ("quaternions", found.quaternions, (n, 4), "f"),
        ("xy", found.xy, (n, 2), "f"),
        *((f"{PROPERTIES}{k}", v, (n, *v.shape[1:2]), "biuf") for k, v in found.properties.items()),
    ):
        if array.shape != shape or array.dtype.kind not in kinds or n == 0:
            raise ValueError(f"{name}: {array.dtype} of shape {array.shape} in a map of {n} points")
    if strangers := set(np.unique(found.phase_id).tolist()) - {0, *found.phases}:
        raise ValueError(f"phase_id: phase {min(strangers)} is not described")


def _check_orientations(found: EbsdMap) -> None:
    """A unit quaternion where a point is indexed, none elsewhere."""
    length = np.sqrt((found.quaternions[found.indexed].astype(float) ** 2).sum(1))
    if not (np.abs(length - 1) < UNIT).all():
        raise ValueError("quaternions: not of length one at every indexed point")
    if not np.isnan(found.quaternions[~found.indexed]).all():
        raise ValueError("quaternions: an orientation where nothing is indexed")


def _check_grid(found: EbsdMap) -> None:
    """Points lie row after row on the declared grid, each at its place."""
    n, grid, shape, pixel_um = found.n_pixels, found.grid, found.shape, found.pixel_um
    (rows, cols), (dx, dy) = shape, pixel_um
    is_counted = all(isinstance(size, int) and not isinstance(size, bool) and 0 < size <= n for size in shape)
    is_known = grid in ("square", "hex") and all(LEAST_STEP_UM < step < LARGEST_STEP_UM for step in pixel_um)
    if not is_counted or not is_known or n > rows * cols or (grid == "square" and n != rows * cols):
        raise ValueError(f"{n} points on a {grid!r:.20} grid of {shape}, step {pixel_um}")
    xy = found.xy - [found.xy[:, 0].min(), found.xy[0, 1]] if np.isfinite(found.xy).all() else None
    if xy is None or np.abs(xy).max() > 2 * max((rows + 1) * dy, (cols + 1) * dx):
        raise ValueError("xy: positions that are not on the grid")
    half, row = found.half_columns, found.rows
    is_in_order = (np.diff(row) > 0) | ((np.diff(row) == 0) & (np.diff(half) > 0))
    off = np.abs(xy - np.stack([half * dx / 2, row * dy], 1)).max(0)
    if (
        not is_in_order.all()
        or row[-1] >= rows
        or half.max() > 2 * cols
        or (off > [0.3 * dx, 0.3 * dy]).any()
    ):
        raise ValueError("xy: positions that are not on the grid, row after row")
