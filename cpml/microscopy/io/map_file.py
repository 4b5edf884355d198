"""map.h5: an EBSD map in the pixel frame, in one HDF5 file of our own."""

import json
from pathlib import Path

import numpy as np

from cpml.errors import MapFileError
from cpml.microscopy.io.hdf_arrays import read_hdf, write_hdf
from cpml.microscopy.maps.ebsd_map import EbsdMap, MapPhase

KIND = "cpml map 1"
PROPERTIES = "properties/"


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
    MapFileError : another file, or one that is not complete
    """
    arrays, attributes = read_hdf(path, kind=KIND)
    try:
        phases = {int(i): MapPhase(**p) for i, p in json.loads(attributes["phases"]).items()}
        grid = attributes["grid"]
        shape, pixel_um = (tuple(json.loads(attributes[k])) for k in ("shape", "pixel_um"))
        _check_arrays(arrays, phases)
        _check_grid(len(arrays["phase_id"]), grid, shape, pixel_um)
        return EbsdMap(
            name=attributes["name"],
            quaternions=arrays["quaternions"],
            phase_id=arrays["phase_id"],
            phases=phases,
            xy=arrays["xy"],
            grid=grid,
            shape=shape,
            pixel_um=pixel_um,
            properties={k.removeprefix(PROPERTIES): v for k, v in arrays.items() if k.startswith(PROPERTIES)},
            frame_note=tuple(json.loads(attributes["frame_note"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MapFileError(
            f"{path}: not a complete cpml map ({error}); write it again with to_hdf"
        ) from error


def _check_arrays(arrays: dict, phases: dict) -> None:
    n = len(arrays["phase_id"])
    if (
        arrays["quaternions"].shape != (n, 4)
        or arrays["xy"].shape != (n, 2)
        or n == 0
        or any(len(v) != n for v in arrays.values())
        or set(np.unique(arrays["phase_id"])) - {0, *phases}
    ):
        raise ValueError("arrays of unequal length, or a phase that is not described")


def _check_grid(n: int, grid: str, shape: tuple[int, int], pixel_um: tuple[float, float]) -> None:
    rows, cols = shape
    dx, dy = pixel_um
    if grid not in ("square", "hex") or not (dx > 0 and dy > 0) or not 0 < n <= rows * cols:
        raise ValueError(f"{n} points on a {grid} grid of {shape}, step {pixel_um}")
    if grid == "square" and n != rows * cols:
        raise ValueError(f"{n} points for {rows} rows of {cols}")
