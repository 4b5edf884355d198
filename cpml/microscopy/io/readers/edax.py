"""EDAX HDF5 maps of OIM Analysis (.oh5, .h5): `<scan>/EBSD/{Data, Header}`.

| place | meaning |
|---|---|
| Data/Phi1, Phi, Phi2 | Bunge angles, rad; 4 pi where not indexed |
| Data/CI, Fit, IQ, Phase, SEM Signal, X Position, Y Position | one value a point; ci = -1 not indexed |
| Header/nRows, nColumns, Step X, Step Y, Grid Type | SqrGrid or HexGrid, um |
| Header/Phase/<n> | MaterialName, Lattice Constant a .. gamma (Angstrom, deg), Symmetry, Point Group |
| Header/Coordinate System/ID | EDAX coordinate setting 1 to 4, offered as "declared" |

Positions give the grid, so that hexagonal and cropped maps keep their neighbours. The layout is not published
by the vendor; it is the one that orix, MTEX and EMsoft read and write.
"""

import re
from pathlib import Path

import numpy as np

from cpml.crystallography.symmetry import PROPER_GROUP_OF
from cpml.microscopy.io.readers.ang import GROUP_OF_SYMMETRY
from cpml.microscopy.io.readers.common import RawMap, check_phases, finite_where_indexed, make_phase
from cpml.microscopy.io.readers.hdf import Hdf, opened
from cpml.microscopy.maps.ebsd_map import MapPhase
from cpml.microscopy.maps.frames import frame_rotation
from cpml.microscopy.maps.grids import find_grid

CELL = ("a", "b", "c", "alpha", "beta", "gamma")
NAMES = {"CI": "ci", "Fit": "fit", "IQ": "iq", "SEM Signal": "sem"}


def read(path: Path) -> RawMap:
    """Content of the first scan of an OIM HDF5 file."""
    with opened(path) as hdf:
        base = hdf.find("EBSD/Data/Phi1", "EBSD/Header")[0] + "/EBSD"
        rows, cols = (hdf.number(f"{base}/Header/{k}", kind=int) for k in ("nRows", "nColumns"))
        columns = {k: hdf.array(f"{base}/Data/{k}", (-1,)) for k in ("Phi1", "Phi", "Phi2")}
        n = len(columns["Phi1"])
        if n > rows * cols or any(len(v) != n for v in columns.values()):
            raise hdf.fail(f"{base}/Data", f"{n:,} points for {cols} x {rows} of the header")
        euler = np.stack(list(columns.values()), axis=1).astype(float)
        file_phase = hdf.array(f"{base}/Data/Phase", (n,), whole=True).astype(np.int32)
        phases = {
            i: _phase(hdf, f"{base}/Header/Phase/{i}") for i in hdf.integer_keys(f"{base}/Header/Phase")
        }
        properties = {
            k: hdf.array(f"{base}/Data/{name}", (n,))
            for name, k in NAMES.items()
            if hdf.has(f"{base}/Data/{name}")
        }
        xy = np.stack([hdf.array(f"{base}/Data/{axis} Position", (n,)) for axis in "XY"], axis=1).astype(
            float
        )
        setting = f"{base}/Header/Coordinate System/ID"
        setting = int(hdf.value(setting)) if hdf.has(setting) else 0
    phase_id = phase_of_edax(euler, file_phase, properties.get("ci"), phases)
    check_phases(path, phase_id, phases, None)
    finite_where_indexed(path, euler, phase_id)
    grid = find_grid(str(path), xy)
    holes = (f"{grid.n_holes} places of the grid have no point: not indexed",) if grid.n_holes else ()
    return RawMap(
        path.stem, grid.spread(euler, 0), grid.spread(phase_id, 0), phases, grid.xy, grid.kind, grid.shape,
        grid.pixel_um, {k: grid.spread(v, 0) for k, v in properties.items()}, usual_hex_x_axis="a", note=holes,
        declared=frame_rotation(f"edax{setting}") if setting in (1, 2, 3, 4) else None,
    )  # fmt: skip


def phase_of_edax(euler, file_phase, ci, phases: dict) -> np.ndarray:
    """Phase (N,) int32 with 0 where EDAX did not index: ci = -1, angles of 4 pi, a negative phase, or phase 0
    of several; a single phase is numbered 0 or 1."""
    phase_id = (
        np.full(len(file_phase), next(iter(phases)), np.int32)
        if len(phases) == 1
        else np.maximum(file_phase, 0)
    )
    not_indexed = np.any(euler >= 4 * np.pi - 1e-3, axis=1) | (file_phase < 0)
    if ci is not None:
        not_indexed |= ci == -1
    return np.where(not_indexed, 0, phase_id).astype(np.int32)


def _phase(hdf: Hdf, place: str) -> MapPhase:
    cell = [hdf.value(f"{place}/Lattice Constant {k}") for k in CELL]
    return make_phase(hdf.text(f"{place}/MaterialName", ""), np.round(cell, 6), _group(hdf, place))


def _group(hdf: Hdf, place: str) -> str:
    """Proper group from the EDAX symmetry number, or from the point group in brackets."""
    symmetry = next((k for k in ("Symmetry", "LGsymID") if hdf.has(f"{place}/{k}")), None)
    if symmetry:
        code = str(int(hdf.value(f"{place}/{symmetry}")))
        if code in GROUP_OF_SYMMETRY:
            return GROUP_OF_SYMMETRY[code]
        raise hdf.fail(f"{place}/{symmetry}", f"{code}; known: {', '.join(GROUP_OF_SYMMETRY)}")
    told = hdf.text(f"{place}/Point Group", "")
    name = (re.findall(r"\[([^\]]+)\]", told) or [told])[-1].replace(" ", "")
    if name not in PROPER_GROUP_OF:
        raise hdf.fail(f"{place}/Point Group", f"{told[:40]!r} is no known point group")
    return PROPER_GROUP_OF[name]
