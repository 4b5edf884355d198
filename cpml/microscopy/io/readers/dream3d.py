"""DREAM.3D volumes (.dream3d, version 6 and NX): cells of an image geometry, read slice by slice.

| version 6 | NX (simplnx) | meaning |
|---|---|---|
| DataContainers/<geometry> | DataStructure/<geometry> | one volume |
| _SIMPL_GEOMETRY/DIMENSIONS, SPACING | attributes _DIMENSIONS, _SPACING | x, y, z: cells; um |
| <cells>/EulerAngles | the same | (z, y, x, 3) Bunge, rad |
| <cells>/Phases | the same | (z, y, x, 1), 0 not indexed |
| <ensemble>/CrystalStructures, LatticeConstants, MaterialName | the same | a row a phase; 0: unknown |

The groups of cells and of phases are told by what they hold. A Mask (or GoodVoxels) of 0 is not indexed.
Lattice constants are in Angstrom. Volumes are usually written after DREAM.3D has turned pixels and angles: x
right, y up.
"""

from pathlib import Path

import numpy as np

from cpml.microscopy.io.readers.common import RawMap, make_phase
from cpml.microscopy.io.readers.hdf import Hdf, opened
from cpml.microscopy.io.readers.slices import choose, choose_scan
from cpml.microscopy.maps.ebsd_map import MapPhase
from cpml.microscopy.maps.grids import Grid

STRUCTURES = ("622", "432", "6", "23", "1", "2", "222", "4", "422", "3", "32")
"""Proper group of each code of CrystalStructures, 0 to 10; 999 is unknown."""
NAMES = {
    "Confidence Index": "ci",
    "Image Quality": "iq",
    "FeatureIds": "feature_id",
    "Fit": "fit",
    "MAD": "mad",
}
MASKS = ("Mask", "GoodVoxels")


def read(path: Path, *, slice: int | None = None, scan: str | int | None = None) -> RawMap:
    """One slice (constant z) of a volume with orientations: of the first, or of the one named `scan`."""
    with opened(path) as hdf:
        volumes = _volumes(hdf)
        volume, several = choose_scan(path, list(volumes), scan)
        cells = volumes[volume]
        (nx, ny, nz), (dx, dy, dz) = _geometry(hdf, volume)
        k = choose(path, list(range(nz)), slice)
        euler = _plane(hdf, f"{cells}/EulerAngles", k, (nz, ny, nx), 3).astype(float)
        phase_id = _plane(hdf, f"{cells}/Phases", k, (nz, ny, nx), 1)[:, 0].astype(np.int32)
        for name in MASKS:
            if hdf.has(f"{cells}/{name}"):
                phase_id[_plane(hdf, f"{cells}/{name}", k, (nz, ny, nx), 1)[:, 0] == 0] = 0
        properties = {
            key: _plane(hdf, f"{cells}/{name}", k, (nz, ny, nx), 1)[:, 0]
            for name, key in NAMES.items()
            if hdf.has(f"{cells}/{name}")
        }
        phases = _phases(hdf, volume)
    return RawMap(
        name=f"{path.stem} slice {k}" if nz > 1 else path.stem,
        euler=euler,
        phase_id=phase_id,
        phases=phases,
        grid=Grid.full((ny, nx), (dx, dy)),
        properties=properties,
        usual_hex_x_axis="a",
        note=several + ((f"slice {k} of {nz}, z = {k * dz:g} um",) if nz > 1 else ()),
    )


def n_slices(path: Path, scan: str | int | None = None) -> int:
    """Number of slices of the volume with orientations that is read."""
    with opened(path) as hdf:
        return _geometry(hdf, choose_scan(path, scans(hdf), scan)[0])[0][2]


def scans(hdf: Hdf) -> list[str]:
    """Places of the volumes with orientations."""
    return list(_volumes(hdf))


def _volumes(hdf: Hdf) -> dict[str, str]:
    """Place of each volume with orientations -> place of its cell data."""
    found = {}
    for root in ("DataContainers", "DataStructure"):
        for volume in hdf.members(root):
            for group in hdf.members(f"{root}/{volume}"):
                cells = f"{root}/{volume}/{group}"
                is_there = hdf.has(f"{cells}/EulerAngles", f"{cells}/Phases")
                if is_there and hdf.dataset(f"{cells}/EulerAngles").ndim == 4:
                    found.setdefault(f"{root}/{volume}", cells)
    if not found:
        raise hdf.fail(
            "DataContainers", "no volume with EulerAngles and Phases", "write cell data before exporting"
        )
    return found


def _geometry(hdf: Hdf, volume: str) -> tuple[list[int], list[float]]:
    """Cells and spacing along x, y, z."""
    found = {}
    for key in ("DIMENSIONS", "SPACING"):
        if hdf.has(f"{volume}/_SIMPL_GEOMETRY/{key}"):
            values = hdf.array(f"{volume}/_SIMPL_GEOMETRY/{key}", (3,))
        else:
            values = hdf.numbers_of_attribute(volume, f"_{key}")
        if len(values) != 3 or not np.isfinite(values.astype(float)).all() or np.any(values <= 0):
            raise hdf.fail(f"{volume} {key}", f"{values} are not three positive numbers")
        found[key] = values
    return [int(v) for v in found["DIMENSIONS"]], [float(v) for v in found["SPACING"]]


def _plane(hdf: Hdf, place: str, k: int, shape: tuple[int, int, int], components: int) -> np.ndarray:
    """(ny nx, components) of slice k; only that slice is read."""
    found = hdf.dataset(place)
    if (
        found.shape not in {(*shape, components), shape if components == 1 else None}
        or found.dtype.kind not in "iufb"
    ):
        raise hdf.fail(
            place, f"{found.shape} of {found.dtype} where {(*shape, components)} numbers are needed"
        )
    return np.asarray(found[k]).reshape(-1, components)


def _phases(hdf: Hdf, volume: str) -> dict[int, MapPhase]:
    for group in hdf.members(volume):
        place = f"{volume}/{group}"
        if hdf.has(f"{place}/CrystalStructures"):
            break
    else:
        raise hdf.fail(volume, "no CrystalStructures: the phases are not described")
    codes = hdf.array(f"{place}/CrystalStructures", (-1,), whole=True)
    cells = hdf.array(f"{place}/LatticeConstants", (-1, 6)) if hdf.has(f"{place}/LatticeConstants") else None
    names = _names(hdf, place)
    phases = {}
    for i, code in enumerate(codes[:256]):
        if i and 0 <= code < len(STRUCTURES):
            cell = (
                np.round(cells[i].astype(float), 6) if cells is not None and i < len(cells) else [np.nan] * 6
            )
            phases[i] = make_phase(names[i] if i < len(names) else f"phase {i}", cell, STRUCTURES[int(code)])
    if not phases:
        raise hdf.fail(f"{place}/CrystalStructures", f"{codes[:9]} has no known structure after row 0")
    return phases


def _names(hdf: Hdf, place: str) -> list[str]:
    for key in ("MaterialName", "PhaseName"):
        if hdf.has(f"{place}/{key}"):
            return hdf.texts(f"{place}/{key}")
    return []
