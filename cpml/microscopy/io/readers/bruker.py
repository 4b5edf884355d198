"""Bruker ESPRIT HDF5 maps (.h5): `<scan>/EBSD/{Data, Header}` and `SEM` beside or in it.

| place | meaning |
|---|---|
| Data/phi1, PHI, phi2 | Bunge angles, deg |
| Data/Phase | number of the phase, 0 not indexed |
| Data/MAD, NIndexedBands, RadonQuality | one value a point |
| Header/NROWS, NCOLS, XSTEP, YSTEP | grid, um |
| SEM/IX, IY (or "SEM IX", "SEM IY") | column and row of each point; points come in any order and area |
| Header/Phases/<n> | Name, LatticeConstants (Angstrom, deg), IT (space group) or SpaceGroup |
| Header/Coordinate Systems/ID | 5: Euler axes turned 180 deg about y against the map, offered as "declared" |

Reference: orix 0.15 and MTEX 6.1 readers of the same files.
"""

from pathlib import Path

import numpy as np

from cpml.microscopy.io.readers.common import RawMap, group_of_space_group, make_phase
from cpml.microscopy.io.readers.hdf import Hdf, opened
from cpml.microscopy.io.readers.slices import choose_scan
from cpml.microscopy.maps.ebsd_map import MapPhase
from cpml.microscopy.maps.frames import frame_rotation
from cpml.microscopy.maps.grids import MOST_EMPTY, Grid

NAMES = {
    "MAD": "mad",
    "NIndexedBands": "bands",
    "RadonQuality": "radon_quality",
    "RadonBandCount": "radon_bands",
}


def scans(hdf: Hdf) -> list[str]:
    """Places of the maps in a file."""
    return hdf.find("EBSD/Data/PHI", "EBSD/Header")


def read(path: Path, *, scan: str | int | None = None) -> RawMap:
    """Content of one scan of a Bruker HDF5 file: the first, or the one named `scan`."""
    with opened(path) as hdf:
        found, several = choose_scan(path, scans(hdf), scan)
        base = f"{found}/EBSD"
        data, listed = f"{base}/Data", f"{base}/Header/Phases"
        n = hdf.dataset(f"{data}/phi1").size
        euler = np.radians(hdf.stacked(data, ("phi1", "PHI", "phi2"), n))
        phase_id = hdf.array(f"{data}/Phase", (n,), whole=True).astype(np.int32)
        phases = {i: _phase(hdf, f"{listed}/{i}") for i in hdf.integer_keys(listed)}
        properties = hdf.columns(data, NAMES, n)
        pixel_um = hdf.number(f"{base}/Header/XSTEP"), hdf.number(f"{base}/Header/YSTEP")
        shape, place = _places(hdf, found, base, n)
        setting = f"{base}/Header/Coordinate Systems/ID"
        is_esprit = hdf.has(setting) and int(hdf.value(setting)) == 5
    return RawMap(
        name=path.stem,
        euler=euler,
        phase_id=phase_id,
        phases=phases,
        grid=Grid.full(shape, pixel_um, cell=place),
        properties=properties,
        usual_hex_x_axis="a*",
        angles="degrees",
        note=several,
        declared=frame_rotation("bruker") if is_esprit else None,
    )


def _places(hdf: Hdf, scan: str, base: str, n: int) -> tuple[tuple[int, int], np.ndarray]:
    """(rows, columns) and the place (n,) of each point: from the beam positions, else row after row."""
    for group in (f"{scan}/SEM", f"{base}/SEM"):
        for x, y in (("IX", "IY"), ("SEM IX", "SEM IY")):
            if hdf.has(f"{group}/{x}", f"{group}/{y}"):
                col, row = (hdf.array(f"{group}/{k}", (n,), whole=True).astype(np.int64) for k in (x, y))
                col, row = col - col.min(), row - row.min()
                rows, cols = int(row.max()) + 1, int(col.max()) + 1
                place = row * cols + col
                if rows * cols > MOST_EMPTY * n + 1000 or len(np.unique(place)) != n:
                    raise hdf.fail(f"{group}/{x}", f"{n:,} points do not fit on {cols} x {rows} places")
                return (rows, cols), place
    rows, cols = (hdf.number(f"{base}/Header/{k}", kind=int) for k in ("NROWS", "NCOLS"))
    if rows * cols != n:
        raise hdf.fail(f"{base}/Header", f"announces {cols} x {rows} points, {n:,} were found")
    return (rows, cols), np.arange(n)


def _phase(hdf: Hdf, place: str) -> MapPhase:
    number = int(hdf.value(f"{place}/IT")) if hdf.has(f"{place}/IT") else 0
    if not 1 <= number <= 230:
        raise hdf.fail(f"{place}/IT", f"space group {number} is not from 1 to 230")
    cell = np.round(hdf.array(f"{place}/LatticeConstants", (6,)).astype(float), 6)
    return make_phase(hdf.text(f"{place}/Name", ""), cell, group_of_space_group(number), number)
