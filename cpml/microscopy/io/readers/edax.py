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
from cpml.microscopy.io.readers.common import RawMap, make_phase
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
        data, listed = f"{base}/Data", f"{base}/Header/Phase"
        n = hdf.dataset(f"{data}/Phi1").size
        if n > rows * cols:
            raise hdf.fail(data, f"{n:,} points for {cols} x {rows} of the header")
        euler = hdf.stacked(data, ("Phi1", "Phi", "Phi2"), n)
        file_phase = hdf.array(f"{data}/Phase", (n,), whole=True).astype(np.int32)
        phases = {i: _phase(hdf, f"{listed}/{i}") for i in hdf.integer_keys(listed)}
        properties = hdf.columns(data, NAMES, n)
        xy = hdf.stacked(data, ("X Position", "Y Position"), n)
        setting = f"{base}/Header/Coordinate System/ID"
        setting = int(hdf.value(setting)) if hdf.has(setting) else 0
    phase_id = phase_of_edax(euler, file_phase, properties.get("ci"), phases)
    return RawMap(
        name=path.stem,
        euler=euler,
        phase_id=phase_id,
        phases=phases,
        grid=find_grid(str(path), xy),
        properties=properties,
        usual_hex_x_axis="a",
        declared=frame_rotation(f"edax{setting}") if setting in (1, 2, 3, 4) else None,
    )


def phase_of_edax(
    euler: np.ndarray, file_phase: np.ndarray, ci: np.ndarray | None, phases: dict[int, MapPhase]
) -> np.ndarray:
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
    return make_phase(hdf.text(f"{place}/MaterialName", ""), cell(hdf, place), _group(hdf, place))


def cell(hdf: Hdf, place: str) -> np.ndarray:
    """Lattice constants (6,) of a phase, Angstrom and deg."""
    return np.round([hdf.value(f"{place}/Lattice Constant {k}") for k in CELL], 6)


def _group(hdf: Hdf, place: str) -> str:
    """Proper group from the EDAX symmetry number, or from the point group."""
    symmetry = next((k for k in ("Symmetry", "LGsymID") if hdf.has(f"{place}/{k}")), None)
    if symmetry is None:
        return named_group(hdf, place)
    code = str(int(hdf.value(f"{place}/{symmetry}")))
    if code not in GROUP_OF_SYMMETRY:
        raise hdf.fail(f"{place}/{symmetry}", f"{code}; known: {', '.join(GROUP_OF_SYMMETRY)}")
    return GROUP_OF_SYMMETRY[code]


def named_group(hdf: Hdf, place: str) -> str:
    """Proper group from the text of a point group, "Hexagonal (D6h) [6/mmm]" or the name alone."""
    told = hdf.text(f"{place}/Point Group", "")
    name = (re.findall(r"\[([^\]]+)\]", told) or [told])[-1].replace(" ", "")
    if name not in PROPER_GROUP_OF:
        raise hdf.fail(f"{place}/Point Group", f"{told[:40]!r} is no known point group")
    return PROPER_GROUP_OF[name]
