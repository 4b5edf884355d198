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

import re
from pathlib import Path

import numpy as np

from cpml.crystallography.symmetry import PROPER_GROUP_OF
from cpml.errors import ParameterError
from cpml.microscopy.io.readers.common import RawMap, check_phases, finite_where_indexed, grid_of, make_phase
from cpml.microscopy.io.readers.hdf import Hdf, opened
from cpml.microscopy.maps.ebsd_map import MapPhase

CELL = ("a", "b", "c", "alpha", "beta", "gamma")
NAMES = {
    "CI": "ci",
    "IQ": "iq",
    "AvDotProductMap": "dot_product",
    "RefinedDotProducts": "refined_dot_product",
}


def read(path: Path, *, refined: bool | None = None) -> RawMap:
    """Content of an EMsoft file; `refined` None takes refined orientations where there are any."""
    with opened(path) as hdf:
        base = next(p + "/EBSD" for p in hdf.find("EBSD/Data", "EBSD/Header"))
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
        properties = {}
        for name, key in NAMES.items():
            if hdf.has(f"{base}/Data/{name}") and hdf.dataset(f"{base}/Data/{name}").size == n:
                properties[key] = hdf.array(f"{base}/Data/{name}", (n,))
        phases = {1: _phase(hdf, f"{base}/Header/Phase/1")}
    phase_id = np.ones(n, np.int32)
    check_phases(path, phase_id, phases, None)
    finite_where_indexed(path, euler, phase_id)
    note = ("refined orientations" if use else "best match of the dictionary, not refined",)
    return RawMap(
        path.stem, euler.astype(float), phase_id, phases, grid_of(path, shape, pixel_um), "square", shape, pixel_um,
        properties, usual_hex_x_axis="a", note=note,
    )  # fmt: skip


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
    told = hdf.text(f"{place}/Point Group")
    name = (re.findall(r"\[([^\]]+)\]", told) or [told])[-1].replace(" ", "")
    if name not in PROPER_GROUP_OF:
        raise hdf.fail(f"{place}/Point Group", f"{told[:40]!r} is no known point group")
    group = {"2": "121"}.get(PROPER_GROUP_OF[name], PROPER_GROUP_OF[name])
    cell = [hdf.value(f"{place}/Lattice Constant {k}") for k in CELL]
    return make_phase(hdf.text(f"{place}/MaterialName"), np.round(cell, 6), group)
