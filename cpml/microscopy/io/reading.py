"""Read an EBSD map file of any known format into the pixel frame.

| format | files | module |
|---|---|---|
| Oxford text, binary, HDF5 | .ctf; .crc with .cpr; .h5oina | ctf, crc, h5oina |
| EDAX text (also EMsoft, ASTAR), HDF5 | .ang; .oh5, .h5 of OIM Analysis | ang, edax |
| Bruker HDF5 | .h5 of ESPRIT | bruker |
| EMsoft dictionary indexing | .h5 | emsoft |
| DREAM.3D | .dream3d, .h5ebsd | dream3d, h5ebsd |
| orix, cpml | .h5 of orix.io, map.h5 | orix_hdf |
| delimited text | any, with declared `columns` | delimited |

The format is told by the content, not by the name. Frames and the hexagonal axis are turned here, once, and
only as declared (see cpml.microscopy.maps.frames); `EbsdMap.frame_note` says what was done.

orix reads some of these formats too, but trusts them: version 0.15 takes half an .ang file for a whole map
and angles that are no numbers for an orientation, and its errors name neither file nor remedy.
"""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import euler_to_quaternion
from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.io.map_file import read_map_file
from cpml.microscopy.io.readers.cells import checked_phases
from cpml.microscopy.io.readers.common import RawMap, check_phases, finite_where_indexed
from cpml.microscopy.io.readers.positions import UNITS, place, scale_grid
from cpml.microscopy.io.readers.solutions import FOUR_PI, check_unit, filled_points, without_solution
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.microscopy.maps.frames import HEXAGONAL, a_star_to_a, frame_rotation, to_sample_frame
from cpml.microscopy.maps.grids import LARGEST_STEP_UM, LEAST_STEP_UM, Grid
from cpml.progress import progress

Turn: TypeAlias = str | dict | ArrayLike
"""How a frame is declared (cpml.microscopy.maps.frames)."""
STACKS = ("ctf", "dream3d", "h5ebsd")
SEVERAL = ("bruker", "edax", "emsoft", "h5oina", "orix_hdf")
"""Formats whose files may hold several maps."""
MOST_IDENTICAL = 0.02
"""Share of bit-identical neighbours above which a map is said to be filled or simulated."""


def read_map(
    path: str | Path,
    *,
    hex_x_axis: str | None = None,
    euler_to_sample: Turn | None = None,
    acquisition: str = "ignore",
    slice: int | None = None,
    scan: str | int | None = None,
    unit: str | None = None,
    step_um: float | None = None,
    columns: list[str] | None = None,
    angles: str | None = None,
    phases: list | dict | None = None,
    refined: bool | None = None,
    name: str | None = None,
) -> EbsdMap:
    """An EBSD map in the pixel frame (x right, y down, z into), hexagonal crystals with X||a.

    Parameters
    ----------
    path : a file of one of the formats in the table above, or a map.h5 of cpml
    hex_x_axis : "a" or "a*", the file's hexagonal X axis; None takes the vendor's usual one
        (Oxford, Bruker a*, others a) and says so in `frame_note`: it is an installation choice, and
        the wrong one hides every twin
    euler_to_sample : preset of cpml.microscopy.maps.frames, 3x3 rotation matrix, [x, y, z, degrees],
        or "declared": the turn that the file itself states (DREAM.3D .h5ebsd, EDAX and Bruker HDF5);
        None: no turn
    acquisition : "apply" turns by the acquisition-surface angles of Oxford files first, "ignore"
        only reports them
    slice : which slice of a stack (0 is the first); a stack of several needs it (see read_stack)
    scan : which map of a file that holds several, by its name there; None: the first, and a note names all
    unit : "um", "nm", "mm" or "px" (pixel counts, with step_um) of positions and steps; None: as in the file
    step_um : distance of neighbours in a row, um, where the file does not know it or is wrong
    columns : names of the columns of a delimited text file (see cpml.microscopy.io.readers.delimited)
    angles : "degrees" or "radians", against the format; None: what the format prescribes (text: degrees)
    phases : MapPhase list for delimited text, whose file does not describe its phases
    refined : EMsoft: True for the refined orientations, False for the best match; None: refined where
        there are any
    name : name of the map; None: the file's

    Raises
    ------
    MapFileError : the file is missing, of another format, cut off, inconsistent, or without an indexed point
    ParameterError : an unknown option, or one that the format does not have
    """
    path = Path(path)
    if hex_x_axis not in (None, "a", "a*"):
        raise ParameterError(f"hex_x_axis {hex_x_axis!r}: give 'a' or 'a*'")
    if acquisition not in ("apply", "ignore"):
        raise ParameterError(f"acquisition {acquisition!r}: give 'apply' or 'ignore'")
    if angles not in (None, "degrees", "radians"):
        raise ParameterError(f"angles {angles!r}: give 'degrees' or 'radians'")
    if unit not in (None, *UNITS):
        raise ParameterError(f"unit {unit!r}: give one of {', '.join(UNITS)}")
    if step_um is not None and not (np.isfinite(step_um) and step_um > 0):
        raise ParameterError(f"step_um {step_um!r}: give a length above 0")
    if not (isinstance(euler_to_sample, str) and euler_to_sample == "declared"):
        frame_rotation(euler_to_sample)
    kind = "delimited" if columns is not None else format_of(path)
    if kind == "cpml":
        fixed = (hex_x_axis, euler_to_sample, unit, step_um, angles)
        if any(option is not None for option in fixed) or acquisition == "apply":
            raise ParameterError(
                f"{path}: a cpml map is in the pixel frame already, in um; leave out these options"
            )
        return read_map_file(path)
    options: dict = {"slice": slice, "scan": scan, "refined": refined, "phases": phases}
    if columns is not None:
        options |= {"columns": columns, "angles": angles}
    raw = read_raw(kind, path, options, angles=angles, unit=unit, step_um=step_um)
    return in_pixel_frame(path, raw, hex_x_axis, euler_to_sample, acquisition, name)


def read_stack(path: str | Path, **options: Any) -> list[EbsdMap]:
    """All slices of a stack of maps (.h5ebsd, .dream3d, .ctf), in order; `options` as of
    read_map, without `slice`.
    """
    path = Path(path)
    kind = format_of(path)
    if kind not in STACKS:
        return [read_map(path, **options)]
    scan = {"scan": options["scan"]} if options.get("scan") is not None else {}
    if scan and kind not in SEVERAL and kind != "dream3d":
        raise ParameterError(f"{path}: option 'scan' is not for this format ({kind}); leave it out")
    count = import_module(f"cpml.microscopy.io.readers.{kind}").n_slices(path, **scan)
    return [
        read_map(path, slice=k, **options)
        for k in progress(range(count), f"reading {path.name}", unit="slice")
    ]


def read_raw(
    kind: str,
    path: Path,
    options: dict,
    *,
    angles: str | None = None,
    unit: str | None = None,
    step_um: float | None = None,
) -> RawMap:
    """A file's content in its own axes, on its grid; `options` of the format that are None are left out."""
    raw = _read(kind, path, {k: v for k, v in options.items() if v is not None})
    return _on_grid(path, _in_declared_angles(raw, angles), unit, step_um)


def _read(kind: str, path: Path, options: dict) -> RawMap:
    known = {k: {"slice"} for k in STACKS} | {k: {"scan"} for k in SEVERAL}
    known |= {"delimited": {"columns", "angles", "phases"}, "emsoft": {"refined", "scan"}}
    known["dream3d"] = {"slice", "scan"}
    wrong = options.keys() - known.get(kind, set()) - ({"slice"} if options.get("slice") == 0 else set())
    if wrong:
        raise ParameterError(f"{path}: option {min(wrong)!r} is not for this format ({kind}); leave it out")
    used = {k: v for k, v in options.items() if k in known.get(kind, set())}
    try:
        return import_module(f"cpml.microscopy.io.readers.{kind}").read(path, **used)
    except OSError as error:
        raise MapFileError(
            f"{path}: cannot be read ({error.strerror}); check the path and its permissions"
        ) from error
    except MemoryError as error:
        raise MapFileError(f"{path}: too large for the memory of this machine; crop the map") from error


def format_of(path: Path) -> str:
    """Name of the reader for the content of a file."""
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise MapFileError(f"{path}: cannot be opened ({error.strerror}); check the path") from error
    if start.startswith(b"\x89HDF\r\n"):
        return _hdf_format(path)
    if start.lstrip(b"\xef\xbb\xbf").startswith(b"Channel Text File"):
        return "ctf"
    if path.suffix.lower() in (".crc", ".cpr"):
        return "crc"
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise MapFileError(f"{path}: text in UTF-16; save it as UTF-8 or plain text, or export the map again")
    if start.lstrip().startswith(b"#") and path.suffix.lower() == ".ang":
        return "ang"
    raise MapFileError(
        f"{path}: not a .ctf, .crc/.cpr, .ang or HDF5 map file"
        f"{' (the file is empty)' if not start else ''}; export the map in one of "
        "these formats, or declare the "
        "columns of a text file: read_map(path, columns=[...])"
    )


def _hdf_format(path: Path) -> str:
    """Which HDF5 layout this is, by the members that only it has."""
    from cpml.microscopy.io.readers.hdf import opened

    with opened(path) as hdf:
        if str(hdf.file.attrs.get("kind", "")).startswith("cpml"):
            return "cpml"
        if hdf.has("DataContainers") or hdf.has("DataStructure"):
            return "dream3d"
        if hdf.has("ZStartIndex", "Manufacturer"):
            return "h5ebsd"
        if hdf.find("EBSD/ANG/DATA"):
            raise MapFileError(f"{path}: an EDAX APEX file; open it in OIM Analysis and export .ang or .oh5")
        for place in hdf.find("EBSD/Data", "EBSD/Header"):
            data = hdf.members(f"{place}/EBSD/Data")
            if "Euler" in data:
                return "h5oina"
            if "TopMatchIndices" in data or "RefinedEulerAngles" in data:
                return "emsoft"
            if "PHI" in data and "phi1" in data:
                return "bruker"
            if "Phi1" in data:
                return "edax"
            if "patterns" in data and not hdf.find("crystal_map/data", "crystal_map/header"):
                raise MapFileError(
                    f"{path}: holds patterns and no orientations; index them and save the crystal map, or "
                    "export .ctf or .ang"
                )
        if hdf.find("crystal_map/data", "crystal_map/header"):
            return "orix_hdf"
    raise MapFileError(
        f"{path}: this HDF5 file holds no map of a known layout (Oxford, EDAX, "
        "Bruker, EMsoft, DREAM.3D, orix, "
        "cpml); export the map as .ctf or .ang"
    )


def _in_declared_angles(raw: RawMap, angles: str | None) -> RawMap:
    """The angles in the declared unit, where it is not the one of the format."""
    if angles is None or angles == raw.angles:
        return replace(raw, angles_declared=angles is not None)
    factor = np.pi / 180 if angles == "degrees" else 180 / np.pi
    is_value = np.abs(raw.euler - FOUR_PI) > 5e-3
    note = f"angles taken as {angles}, as declared"
    euler = np.where(is_value, raw.euler * factor, raw.euler)
    return replace(raw, euler=euler, angles=angles, angles_declared=True, note=(*raw.note, note))


def _on_grid(path: Path, raw: RawMap, unit: str | None, step_um: float | None) -> RawMap:
    """The points at their places on the grid; those without a valid position are left out."""
    if isinstance(raw.grid, Grid):
        grid, notes = scale_grid(path, raw.grid, unit=unit, step_um=step_um)
        return replace(raw, grid=grid, note=(*raw.note, *notes))
    placed = place(path, raw.grid, unit=unit, step_um=step_um)
    raw = replace(raw, grid=placed.grid, note=(*raw.note, *placed.notes))
    if placed.keep is not None:
        properties = {name: values[placed.keep] for name, values in raw.properties.items()}
        euler, phase_id = raw.euler[placed.keep], raw.phase_id[placed.keep]
        return replace(raw, euler=euler, phase_id=phase_id, properties=properties, first_line=None)
    return replace(raw, phase_id=np.where(placed.valid, raw.phase_id, 0))


def _check_steps(path: Path, grid: Grid) -> None:
    """MapFileError for points at distances that no microscope steps."""
    if not all(LEAST_STEP_UM < step < LARGEST_STEP_UM for step in grid.pixel_um):
        dx, dy = grid.pixel_um
        raise MapFileError(
            f"{path}: points are {dx:g} um apart, rows {dy:g} um: no measured map; correct the header, or "
            "give step_um and unit"
        )


def in_pixel_frame(
    path: Path,
    raw: RawMap,
    hex_x_axis: str | None = None,
    euler_to_sample: Turn | None = None,
    acquisition: str = "ignore",
    name: str | None = None,
) -> EbsdMap:
    """The map of a file's content, its frame and hexagonal axis turned as declared (see read_map)."""
    _check_steps(path, raw.grid)
    none, solution_note = without_solution(raw.euler, raw.phase_id, raw.properties)
    phase_id = np.where(none, 0, raw.phase_id).astype(np.int32)
    check_phases(path, phase_id, raw.phases, raw.first_line)
    finite_where_indexed(path, raw.euler, phase_id)
    indexed = phase_id > 0
    check_unit(path, raw.euler, indexed, raw.angles, is_declared=raw.angles_declared)
    phases, phase_notes = checked_phases(path, raw.phases)
    raw = replace(raw, phase_id=phase_id, phases=phases)
    q = np.full((len(raw.euler), 4), np.nan)
    q[indexed] = euler_to_quaternion(raw.euler[indexed])
    notes = [*raw.note, *solution_note, *phase_notes]
    identical = filled_points(raw.euler, raw.grid.cell, raw.grid.shape, indexed)
    if identical > MOST_IDENTICAL:
        notes.append(
            f"{100 * identical:.0f} % of neighbours in a row have bit-identical angles: filled or smoothed "
            "by the vendor, matched to a dictionary, or simulated; such pairs say nothing about noise"
        )
    hexagonal = [i for i, phase in raw.phases.items() if phase.group in HEXAGONAL]
    if hexagonal:
        axis = hex_x_axis or raw.usual_hex_x_axis
        notes.append(
            f"hexagonal crystals: X||{axis} in the file, "
            + ("declared" if hex_x_axis else "assumed as usual for this format: check with twins or traces")
        )
        if axis == "a*":
            chosen = np.isin(raw.phase_id, hexagonal)
            q[chosen] = a_star_to_a(q[chosen])
    q = _acquired(path, raw, q, acquisition, notes)
    q = _turned(path, raw, q, euler_to_sample, notes)
    n_filled = int(np.sum(indexed & (raw.properties.get("error", np.zeros(len(q))) > 0)))
    if n_filled and not any("filled" in note for note in notes):
        notes.append(
            f"{n_filled} points have an orientation with an indexing error: filled by the vendor's cleaning"
        )
    return EbsdMap.on_grid(
        name or raw.name, raw.grid, q, raw.phase_id, raw.phases, raw.properties, tuple(notes)
    )


def _acquired(path: Path, raw: RawMap, q: NDArray, acquisition: str, notes: list[str]) -> NDArray:
    """Orientations (N, 4) after the acquisition-surface turn, where there is one and it is asked for."""
    if raw.acquisition is None:
        if acquisition == "apply":
            notes.append("acquisition: the file states no turned surface, nothing applied")
        return q
    told = ", ".join(f"{np.degrees(a):g}" for a in raw.acquisition)
    if acquisition == "ignore":
        notes.append(
            f"acquisition-surface angles {told} deg in the file are not applied: declare acquisition: apply"
        )
        return q
    notes.append(f"Euler axes turned by the file's acquisition-surface angles {told} deg, as declared")
    return to_sample_frame(q, euler_to_quaternion(np.array(raw.acquisition)))


def _turned(path: Path, raw: RawMap, q: NDArray, euler_to_sample: Turn | None, notes: list[str]) -> NDArray:
    """Orientations (N, 4) with their Euler axes turned to the pixel axes, as declared."""
    if euler_to_sample is None:
        also = (
            ""
            if raw.declared is None
            else f"; the file states {named_turn(raw.declared)}: euler_to_sample='declared'"
        )
        notes.append(f"Euler axes taken as the pixel axes (x right, y down, z into), not declared{also}")
        return q
    if isinstance(euler_to_sample, str) and euler_to_sample == "declared":
        if raw.declared is None:
            raise ParameterError(
                f"{path}: the file states no turn of its Euler axes; give a preset or a rotation"
            )
        notes.append(f"Euler axes turned to the pixel axes as the file states: {named_turn(raw.declared)}")
        return to_sample_frame(q, raw.declared)
    shown = euler_to_sample
    if not isinstance(shown, (str, dict)):
        shown = np.asarray(shown).tolist()
    notes.append(f"Euler axes turned to the pixel axes by {shown}")
    return to_sample_frame(q, frame_rotation(euler_to_sample))


def named_turn(turn: NDArray) -> str:
    """Axis and angle of a turn (4,) in words."""
    angle = 2 * np.degrees(np.arccos(np.clip(abs(turn[0]), 0, 1)))
    if angle < 1e-6:
        return "identity"
    axis = turn[1:] / np.linalg.norm(turn[1:]) * (1 if turn[0] >= 0 else -1)
    return f"{angle:g} deg about ({', '.join(f'{a:g}' for a in np.round(axis, 4) + 0.0)})"
