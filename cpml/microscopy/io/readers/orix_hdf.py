"""Maps written by orix.io.save (.h5): `crystal_map/{data, header}`.

Data: phi1, Phi, phi2 (Bunge, rad), phase_id (-1 not indexed), x, y, is_in_data, and one dataset a property;
header: scan_unit and phases with point_group and lattice. kikuchipy keeps such a map inside each scan.
Phases keep the numbers of the file; number 0 becomes the first free one, since 0 is "not indexed" here, and
the note says so. Points that are not in the data, and those that a cropped map lacks, are not indexed.
Several orientations a point: the first is taken.
"""

from pathlib import Path

import numpy as np

from cpml.crystallography.symmetry import PROPER_GROUP_OF
from cpml.microscopy.io.lengths import UNIT_UM, length_unit
from cpml.microscopy.io.readers.common import RawMap, is_number, make_phase, numbered_from_one
from cpml.microscopy.io.readers.hdf import Hdf, opened
from cpml.microscopy.io.readers.positions import Positions
from cpml.microscopy.io.readers.slices import choose_scan
from cpml.microscopy.maps.ebsd_map import MapPhase

KNOWN = ("phi1", "Phi", "phi2", "phase_id", "x", "y", "z", "id", "is_in_data")


def scans(hdf: Hdf) -> list[str]:
    """Places of the maps in a file."""
    return hdf.find("crystal_map/data", "crystal_map/header")


def read(path: Path, *, scan: str | int | None = None) -> RawMap:
    """Content of one map of an orix file, or of a file with orix maps inside it (kikuchipy)."""
    with opened(path) as hdf:
        found, several = choose_scan(path, scans(hdf), scan)
        data, header = f"{found}/crystal_map/data", f"{found}/crystal_map/header"
        file_phase = hdf.array(f"{data}/phase_id", (-1,), whole=True).astype(np.int32)
        n = len(file_phase)
        first = [hdf.array(f"{data}/{k}", (n, -1))[:, 0] for k in ("phi1", "Phi", "phi2")]
        euler = np.stack(first, axis=1).astype(float)
        unit = hdf.text(f"{header}/scan_unit", "um")
        known = length_unit(unit)
        if known is None:
            raise hdf.fail(f"{header}/scan_unit", f"{unit!r} is none of px, {', '.join(UNIT_UM)}")
        xy = np.stack([_coordinate(hdf, data, k, n) for k in "xy"], axis=1)
        phases = {int(k): _phase(hdf, f"{header}/phases/{k}") for k in _phase_keys(hdf, header)}
        inside = (
            hdf.array(f"{data}/is_in_data", (n,)).astype(bool)
            if hdf.has(f"{data}/is_in_data")
            else np.ones(n, bool)
        )
        properties = _properties(hdf, data, n)
    phase_id, phases, note = numbered_from_one(np.where(inside, file_phase, -1), phases)
    return RawMap(
        name=path.stem,
        euler=euler,
        phase_id=phase_id,
        phases=phases,
        grid=Positions(xy, unit=known),
        properties=properties,
        usual_hex_x_axis="a",
        note=several + note,
    )


def _coordinate(hdf: Hdf, data: str, axis: str, n: int) -> np.ndarray:
    """Positions (n,); an axis that the map does not have is zero."""
    if hdf.dataset(f"{data}/{axis}").size != n:
        return np.zeros(n)
    return hdf.array(f"{data}/{axis}", (n,)).astype(float)


def _phase_keys(hdf: Hdf, header: str) -> list[int]:
    keys = [k for k in hdf.members(f"{header}/phases") if k.isascii() and k.isdigit() and len(k) < 5]
    if not keys:
        raise hdf.fail(f"{header}/phases", "lists no phase")
    return keys


def _phase(hdf: Hdf, place: str) -> MapPhase:
    group = hdf.text(f"{place}/point_group")
    if group not in PROPER_GROUP_OF:
        raise hdf.fail(
            f"{place}/point_group", f"{group[:20]!r} is no known point group", "set it in orix and save again"
        )
    cell = hdf.array(f"{place}/structure/lattice/abcABG", (6,)).astype(float)
    number = (
        hdf.text(f"{place}/space_group", "") if hdf.dataset(f"{place}/space_group").dtype.kind in "SO" else ""
    )
    number = number or (
        str(int(hdf.value(f"{place}/space_group")))
        if hdf.dataset(f"{place}/space_group").dtype.kind in "iu"
        else ""
    )
    return make_phase(
        hdf.text(f"{place}/name"),
        cell,
        PROPER_GROUP_OF[group],
        int(number) if is_number(number, 230) else None,
    )


def _properties(hdf: Hdf, data: str, n: int) -> dict[str, np.ndarray]:
    found = {}
    for name in hdf.members(data):
        if name not in KNOWN and not hdf.members(f"{data}/{name}"):
            item = hdf.dataset(f"{data}/{name}")
            if item.shape == (n,) and item.dtype.kind in "iufb":
                found[name] = hdf.array(f"{data}/{name}", (n,))
    return found
