"""EDAX HDF5 maps of OIM Analysis (.oh5, .h5): `<scan>/EBSD/{Data, Header}`.

| place | meaning |
|---|---|
| Data/Phi1, Phi, Phi2 | Bunge angles, rad |
| Data/CI, Fit, IQ, Phase, SEM Signal, X Position, Y Position | one value a point; -1111111: invalid |
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
from cpml.microscopy.io.readers.ang import GROUP_OF_SYMMETRY, group_of_edax
from cpml.microscopy.io.readers.common import RawMap, make_phase, numbered_from_one
from cpml.microscopy.io.readers.hdf import Hdf, opened
from cpml.microscopy.io.readers.positions import Positions
from cpml.microscopy.io.readers.slices import choose_scan
from cpml.microscopy.maps.ebsd_map import MapPhase
from cpml.microscopy.maps.frames import frame_rotation

CELL = ("a", "b", "c", "alpha", "beta", "gamma")
NAMES = {"CI": "ci", "Fit": "fit", "IQ": "iq", "SEM Signal": "sem"}


def scans(hdf: Hdf) -> list[str]:
    """Places of the maps in a file."""
    return hdf.find("EBSD/Data/Phi1", "EBSD/Header")


def read(path: Path, *, scan: str | int | None = None) -> RawMap:
    """Content of one scan of an OIM HDF5 file: the first, or the one named `scan`."""
    with opened(path) as hdf:
        found, several = choose_scan(path, scans(hdf), scan)
        base = f"{found}/EBSD"
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
        steps = tuple(hdf.number(f"{base}/Header/Step {k}") for k in "XY") if _has_steps(hdf, base) else None
        kind = {"hex": "hex", "sqr": "square"}.get(hdf.text(f"{base}/Header/Grid Type", "")[:3].lower())
        setting = f"{base}/Header/Coordinate System/ID"
        setting = int(hdf.value(setting)) if hdf.has(setting) else 0
    phase_id, phases, note = phase_of_edax(file_phase, phases)
    sizes = (rows * cols, rows * cols - rows // 2, rows * cols - (rows + 1) // 2) if kind == "hex" else ()
    return RawMap(
        name=path.stem,
        euler=euler,
        phase_id=phase_id,
        phases=phases,
        grid=Positions(xy, (rows, cols), steps, sizes, kind, "nRows x nColumns"),
        properties=properties,
        usual_hex_x_axis="a",
        note=several + note,
        declared=frame_rotation(f"edax{setting}") if setting in (1, 2, 3, 4) else None,
    )


def _has_steps(hdf: Hdf, base: str) -> bool:
    return hdf.has(f"{base}/Header/Step X", f"{base}/Header/Step Y")


def phase_of_edax(
    file_phase: np.ndarray, phases: dict[int, MapPhase]
) -> tuple[np.ndarray, dict[int, MapPhase], tuple[str, ...]]:
    """Phase (N,) int32, 0 or less where there is none, the phases, and a note.

    A single phase is numbered 0 or 1; a phase 0 that is described gets a number of its own.
    """
    if len(phases) == 1:
        file_phase = np.where(file_phase < 0, -1, next(iter(phases)))
    return numbered_from_one(file_phase.astype(np.int32), phases)


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
    is_text = hdf.dataset(f"{place}/{symmetry}").dtype.kind in "SO"
    code = hdf.text(f"{place}/{symmetry}") if is_text else str(int(hdf.value(f"{place}/{symmetry}")))
    group = group_of_edax(code)
    if group is None:
        raise hdf.fail(f"{place}/{symmetry}", f"{code}; known: {', '.join(GROUP_OF_SYMMETRY)}")
    return group


def named_group(hdf: Hdf, place: str) -> str:
    """Proper group from the text of a point group, "Hexagonal (D6h) [6/mmm]" or the name alone."""
    told = hdf.text(f"{place}/Point Group", "")
    name = (re.findall(r"\[([^\]]+)\]", told) or [told])[-1].replace(" ", "")
    if name not in PROPER_GROUP_OF:
        raise hdf.fail(f"{place}/Point Group", f"{told[:40]!r} is no known point group")
    return PROPER_GROUP_OF[name]
