"""Oxford Instruments HDF5 maps (.h5oina, format 1 to 8).

| place in `1/EBSD` | meaning |
|---|---|
| Data/Euler | crystal (CS2) to sample surface (CS1), Bunge, rad |
| Data/Phase | number of the phase, 0 not indexed |
| Data/Error | 1 success, 7 replaced (filled by the vendor's cleaning) |
| Header/X Cells, Y Cells, X Step, Y Step | grid, um |
| Header/Specimen Orientation Euler | sample surface (CS1) to sample primary (CS0), rad |
| Header/Phases/<n> | Phase Name, Lattice Dimensions, Lattice Angles (rad), Laue Group, Space Group |

The format fixes X perpendicular to b and c, that is X||a*. Points outside the measured area are NaN: not
indexed. Reference: h5oina specification, github.com/oinanoanalysis/h5oina.
"""

from pathlib import Path

import numpy as np

from cpml.crystallography.symmetry import LAUE_NUMBER
from cpml.microscopy.io.readers.common import RawMap, make_phase
from cpml.microscopy.io.readers.hdf import Hdf, opened
from cpml.microscopy.io.readers.positions import Positions
from cpml.microscopy.io.readers.slices import choose_scan
from cpml.microscopy.maps.ebsd_map import MapPhase
from cpml.microscopy.maps.grids import Grid

NAMES = {"Band Contrast": "bc", "Band Slope": "bs", "Bands": "bands", "Pattern Quality": "pattern_quality"}


def scans(hdf: Hdf) -> list[str]:
    """Places of the maps in a file."""
    return hdf.find("EBSD/Data/Euler", "EBSD/Header")


def read(path: Path, *, scan: str | int | None = None) -> RawMap:
    """Content of one EBSD map of an .h5oina file: the first, or the one named `scan`."""
    with opened(path) as hdf:
        found, several = choose_scan(path, scans(hdf), scan)
        base = f"{found}/EBSD"
        shape, pixel_um = _grid(hdf, f"{base}/Header")
        n = shape[0] * shape[1]
        data, listed = f"{base}/Data", f"{base}/Header/Phases"
        euler = hdf.array(f"{data}/Euler", (n, 3)).astype(float)
        phase_id = np.nan_to_num(hdf.array(f"{data}/Phase", (n,))).astype(np.int32)
        grid = Grid.full(shape, pixel_um)
        if hdf.has(f"{data}/X", f"{data}/Y"):
            size = f"X Cells x Y Cells = {shape[1]} x {shape[0]}"
            grid = Positions(hdf.stacked(data, "XY", n), shape, pixel_um, kind="square", place=size)
        phases = {i: _phase(hdf, f"{listed}/{i}") for i in hdf.integer_keys(listed)}
        properties = hdf.columns(data, NAMES, n)
        note = several
        if hdf.has(f"{data}/Mean Angular Deviation"):
            properties["mad"] = np.degrees(hdf.array(f"{data}/Mean Angular Deviation", (n,)))
        if hdf.has(f"{data}/Error"):
            code = np.nan_to_num(hdf.array(f"{data}/Error", (n,))).astype(np.int32)
            properties["error"] = np.where(code == 1, 0, code)
            n_filled = int(np.sum((code == 7) & (phase_id > 0)))
            note += (f"{n_filled} points filled by the vendor's cleaning",) if n_filled else ()
        surface = _surface(hdf, f"{base}/Header/Specimen Orientation Euler")
    return RawMap(
        name=path.stem,
        euler=euler,
        phase_id=phase_id,
        phases=phases,
        grid=grid,
        properties=properties,
        usual_hex_x_axis="a*",
        note=note,
        acquisition=surface,
    )


def _grid(hdf: Hdf, header: str) -> tuple[tuple[int, int], tuple[float, float]]:
    """(rows, columns) and (dx, dy); a line scan has one row and no step between rows."""
    rows, cols = (hdf.number(f"{header}/{axis} Cells", kind=int) for axis in "YX")
    dx = hdf.number(f"{header}/X Step")
    dy = dx if rows == 1 else hdf.number(f"{header}/Y Step")
    return (rows, cols), (dx, dy)


def _phase(hdf: Hdf, place: str) -> MapPhase:
    cell = [
        *hdf.array(f"{place}/Lattice Dimensions", (3,)),
        *np.degrees(hdf.array(f"{place}/Lattice Angles", (3,))),
    ]
    laue = hdf.number(f"{place}/Laue Group", kind=int)
    if laue not in LAUE_NUMBER:
        raise hdf.fail(f"{place}/Laue Group", f"{laue} is not from 1 to 11")
    space_group = int(hdf.value(f"{place}/Space Group")) if hdf.has(f"{place}/Space Group") else None
    return make_phase(hdf.text(f"{place}/Phase Name"), np.round(cell, 5), LAUE_NUMBER[laue], space_group)


def _surface(hdf: Hdf, place: str) -> tuple[float, float, float] | None:
    """Angles of the acquisition surface, rad; None when absent, unknown (NaN) or zero."""
    if not hdf.has(place):
        return None
    angles = hdf.array(place, (3,)).astype(float)
    return tuple(angles.tolist()) if np.isfinite(angles).all() and np.any(np.abs(angles) > 1e-7) else None
