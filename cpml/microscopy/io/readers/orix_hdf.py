"""Maps written by orix.io.save (.h5): `crystal_map/{data, header}`.

Data: phi1, Phi, phi2 (Bunge, rad), phase_id (-1 not indexed), x, y, is_in_data, and one dataset a property;
header: scan_unit and phases with point_group and lattice. Phases keep the numbers of the file; number 0
becomes the first free one, since 0 is "not indexed" here, and the note says so. Points that are not in the
data, and those that a cropped map lacks, are not indexed. Several orientations a point: the first is taken.
"""

from pathlib import Path

import numpy as np

from cpml.crystallography.symmetry import PROPER_GROUP_OF
from cpml.microscopy.io.readers.common import RawMap, is_number, make_phase
from cpml.microscopy.io.readers.hdf import Hdf, opened
from cpml.microscopy.maps.ebsd_map import MapPhase
from cpml.microscopy.maps.grids import find_grid

KNOWN = ("phi1", "Phi", "phi2", "phase_id", "x", "y", "z", "id", "is_in_data")
UNIT_UM = {"um": 1.0, "µm": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3, "px": 1.0}
DATA = "crystal_map/data"


def read(path: Path) -> RawMap:
    """Content of an orix map file."""
    with opened(path) as hdf:
        file_phase = hdf.array(f"{DATA}/phase_id", (-1,), whole=True).astype(np.int32)
        n = len(file_phase)
        first = [hdf.array(f"{DATA}/{k}", (n, -1))[:, 0] for k in ("phi1", "Phi", "phi2")]
        euler = np.stack(first, axis=1).astype(float)
        unit = hdf.text("crystal_map/header/scan_unit", "um")
        if unit not in UNIT_UM:
            raise hdf.fail("crystal_map/header/scan_unit", f"{unit!r} is none of {', '.join(UNIT_UM)}")
        xy = UNIT_UM[unit] * np.stack([_coordinate(hdf, k, n) for k in "xy"], axis=1)
        phases = {int(k): _phase(hdf, f"crystal_map/header/phases/{k}") for k in _phase_keys(hdf)}
        inside = (
            hdf.array(f"{DATA}/is_in_data", (n,)).astype(bool)
            if hdf.has(f"{DATA}/is_in_data")
            else np.ones(n, bool)
        )
        properties = _properties(hdf, n)
    phase_id, phases, note = _without_zero(np.where(inside, file_phase, -1), phases)
    note += ("positions in pixels taken as um",) if unit == "px" else ()
    return RawMap(
        name=path.stem,
        euler=euler,
        phase_id=phase_id,
        phases=phases,
        grid=find_grid(str(path), xy),
        properties=properties,
        usual_hex_x_axis="a",
        note=note,
    )


def _coordinate(hdf: Hdf, axis: str, n: int) -> np.ndarray:
    """Positions (n,); an axis that the map does not have is zero."""
    if hdf.dataset(f"{DATA}/{axis}").size != n:
        return np.zeros(n)
    return hdf.array(f"{DATA}/{axis}", (n,)).astype(float)


def _phase_keys(hdf: Hdf) -> list[int]:
    keys = [k for k in hdf.members("crystal_map/header/phases") if k.isascii() and k.isdigit() and len(k) < 5]
    if not keys:
        raise hdf.fail("crystal_map/header/phases", "lists no phase")
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


def _properties(hdf: Hdf, n: int) -> dict[str, np.ndarray]:
    found = {}
    for name in hdf.members(DATA):
        if name not in KNOWN and not hdf.members(f"{DATA}/{name}"):
            item = hdf.dataset(f"{DATA}/{name}")
            if item.shape == (n,) and item.dtype.kind in "iufb":
                found[name] = hdf.array(f"{DATA}/{name}", (n,))
    return found


def _without_zero(file_phase: np.ndarray, phases: dict) -> tuple[np.ndarray, dict, tuple[str, ...]]:
    """Phase numbers with 0 for "not indexed"; orix's phase 0 gets the first free number."""
    if 0 not in phases:
        return np.maximum(file_phase, 0), phases, ()
    free = next(i for i in range(1, len(phases) + 2) if i not in phases)
    phase_id = np.where(file_phase == 0, free, np.maximum(file_phase, 0)).astype(np.int32)
    moved = {free if i == 0 else i: p for i, p in phases.items()}
    return (
        phase_id,
        dict(sorted(moved.items())),
        (f"phase 0 of the file ({phases[0].name}) is numbered {free}",),
    )
