"""The HDF5 layout of orix.io.save: read by orix (square grids) and by cpml, phases under their own numbers.

orix.io.save itself (0.15) drops the phases that no point has, and calls every grid square.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cpml.microscopy.io.readers.common import SPACE_GROUP
from cpml.microscopy.maps.ebsd_map import EbsdMap

if TYPE_CHECKING:
    import h5py

POINT_GROUP = {"fcc": "m-3m", "bcc": "m-3m", "hcp": "6/mmm"}
"""Those of the space groups: orix drops a space group beside another point group."""
COLOURS = (
    "tab:blue",
    "tab:orange",
    "tab:green",
    "tab:red",
    "tab:purple",
    "tab:brown",
    "tab:pink",
    "tab:gray",
)


def write(ebsd_map: EbsdMap, euler: np.ndarray, path: Path) -> None:
    """Write the file; `euler` (N, 3) rad in the file's frame. Equal maps give equal bytes."""
    import h5py

    n = ebsd_map.n_pixels
    data = {f"data/{k}": v for k, v in zip(("phi1", "Phi", "phi2"), np.nan_to_num(euler).T, strict=True)}
    data |= {
        "data/x": ebsd_map.xy[:, 0],
        "data/y": ebsd_map.xy[:, 1],
        "data/id": np.arange(n),
        "data/phase_id": np.where(ebsd_map.indexed, ebsd_map.phase_id, -1).astype(np.int32),
        "data/is_in_data": np.ones(n, bool),
        **{f"data/{k}": v for k, v in ebsd_map.properties.items()},
    }
    with h5py.File(path, "w", track_order=True) as file:
        _put(file, "manufacturer", "orix")
        _put(file, "version", "0.15.0")
        for name, values in data.items():
            file.create_dataset(f"crystal_map/{name}", data=np.asarray(values), track_times=False)
        for name, value in _header(ebsd_map).items():
            _put(file, f"crystal_map/header/{name}", value)


def _header(ebsd_map: EbsdMap) -> dict:
    rows, cols = ebsd_map.shape
    found = {
        "grid_type": "square" if ebsd_map.grid == "square" else "hexagonal",
        "ny": rows,
        "nx": cols,
        "y_step": ebsd_map.pixel_um[1],
        "x_step": ebsd_map.pixel_um[0],
        "rotations_per_point": 1,
        "scan_unit": "um",
    }
    phases = {
        i: (p.name, POINT_GROUP.get(p.lattice, p.group), SPACE_GROUP.get(p.lattice), p)
        for i, p in sorted(ebsd_map.phases.items())
    }
    for i, (name, group, space_group, p) in phases.items():
        place = f"phases/{i}"
        found |= {
            f"{place}/name": name,
            f"{place}/point_group": group,
            f"{place}/color": COLOURS[i % len(COLOURS)],
            f"{place}/space_group": "None" if space_group is None else space_group,
            f"{place}/structure/lattice/abcABG": np.array([p.a, p.b, p.c, p.alpha, p.beta, p.gamma]),
            f"{place}/structure/lattice/baserot": np.eye(3),
        }
    if not ebsd_map.indexed.all():
        found |= {
            "phases/-1/name": "not_indexed",
            "phases/-1/point_group": "None",
            "phases/-1/color": "white",
            "phases/-1/space_group": "None",
            "phases/-1/structure/lattice/abcABG": np.array([1, 1, 1, 90, 90, 90.0]),
            "phases/-1/structure/lattice/baserot": np.eye(3),
        }
    return found


def _put(file: h5py.File, name: str, value: object) -> None:
    """One value as orix stores it: text as bytes of fixed length, numbers as arrays of one element."""
    if isinstance(value, str):
        value = np.array([value.encode()], dtype=f"S{len(value.encode()) + 1}")
    file.create_dataset(name, data=np.atleast_1d(value), track_times=False)
    if name.endswith("baserot"):
        file.require_group(name.removesuffix("lattice/baserot") + "atoms")
