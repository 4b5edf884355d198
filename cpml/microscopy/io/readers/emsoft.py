"""EMsoft dictionary-indexing results (.h5): `Scan 1/EBSD/{Data, Header}`.

| place | meaning |
|---|---|
| Data/RefinedEulerAngles | (N, 3) Bunge, rad |
| Data/DictionaryEulerAngles, TopMatchIndices, FZcnt | deg; numbers (from 1) of the best matches |
| Data/CI, IQ, AvDotProductMap, RefinedDotProducts | one value a point |
| Header/nRows, nColumns, Step X, Step Y | grid, um; the positions of the file are wrong in Y (2021) |
| Header/Phase/1 | MaterialName, Point Group "... [2/m]", Lattice Constant a .. gamma (may be text) |

One phase, every point indexed. Monoclinic crystals: unique axis b.
Reference: orix 0.15 reader of the same files (its test writes this layout).
"""

from pathlib import Path

import numpy as np

from cpml.errors import ParameterError
from cpml.microscopy.io.readers.common import RawMap, make_phase
from cpml.microscopy.io.readers.edax import cell, named_group
from cpml.microscopy.io.readers.hdf import Hdf, opened
from cpml.microscopy.io.readers.slices import choose_scan
from cpml.microscopy.maps.ebsd_map import MapPhase
from cpml.microscopy.maps.grids import Grid

NAMES = {
    "CI": "ci",
    "IQ": "iq",
    "AvDotProductMap": "dot_product",
    "RefinedDotProducts": "refined_dot_product",
}


def scans(hdf: Hdf) -> list[str]:
    """Places of the maps in a file."""
    return hdf.find("EBSD/Data", "EBSD/Header")


def read(path: Path, *, refined: bool | None = None, scan: str | int | None = None) -> RawMap:
    """Content of an EMsoft file; `refined` None takes refined orientations where there are any, `scan` names
    one of several maps.
    """
    with opened(path) as hdf:
        found, several = choose_scan(path, scans(hdf), scan)
        base = f"{found}/EBSD"
        shape = tuple(hdf.number(f"{base}/Header/{k}", kind=int) for k in ("nRows", "nColumns"))
        pixel_um = tuple(hdf.number(f"{base}/Header/Step {k}") for k in "XY")
        n = shape[0] * shape[1]
        is_there = hdf.has(f"{base}/Data/RefinedEulerAngles")
        if refined and not is_there:
            raise ParameterError(f"{path}: has no refined orientations; leave out refined=True")
        use = is_there if refined is None else refined
        euler = (
            hdf.array(f"{base}/Data/RefinedEulerAngles", (n, 3))
            if use
            else _best_match(hdf, f"{base}/Data", n)
        )
        there = {name: key for name, key in NAMES.items() if _size(hdf, f"{base}/Data/{name}") == n}
        properties = hdf.columns(f"{base}/Data", there, n)
        phases = {1: _phase(hdf, f"{base}/Header/Phase/1")}
    return RawMap(
        name=path.stem,
        euler=euler.astype(float),
        phase_id=np.ones(n, np.int32),
        phases=phases,
        grid=Grid.full(shape, pixel_um),
        properties=properties,
        usual_hex_x_axis="a",
        note=(*several, "refined orientations" if use else "best match of the dictionary, not refined"),
    )


def _size(hdf: Hdf, place: str) -> int:
    return hdf.dataset(place).size if hdf.has(place) else 0


def _best_match(hdf: Hdf, data: str, n: int) -> np.ndarray:
    """(n, 3) angles, rad, of the best dictionary entry of each point (rows beyond n are EMsoft's padding)."""
    matches = hdf.array(f"{data}/TopMatchIndices", whole=True)
    best = (matches[:, 0] if matches.ndim == 2 else matches)[:n].astype(np.int64) - 1
    dictionary = hdf.array(f"{data}/DictionaryEulerAngles", (-1, 3))
    count = int(hdf.value(f"{data}/FZcnt")) if hdf.has(f"{data}/FZcnt") else len(dictionary)
    if len(best) != n or best.min() < 0 or best.max() >= min(count, len(dictionary)):
        raise hdf.fail(
            f"{data}/TopMatchIndices", f"{len(best):,} numbers for {n:,} points, or one beyond the dictionary"
        )
    return np.radians(dictionary[best].astype(float))


def _phase(hdf: Hdf, place: str) -> MapPhase:
    group = named_group(hdf, place)
    group = "121" if group == "2" else group
    return make_phase(hdf.text(f"{place}/MaterialName"), cell(hdf, place), group)
