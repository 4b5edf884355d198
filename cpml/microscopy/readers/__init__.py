"""Read an EBSD map file of any known format into the pixel frame.

The format is told by the content, not by the name: .ctf and .crc/.cpr (Oxford), .ang (EDAX and others), and
cpml's own map.h5. Frames and the hexagonal axis are turned here, once, and only as declared (see
cpml.microscopy.frames).
"""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from cpml.crystallography.rotations import euler_to_quaternion
from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.ebsd_map import EbsdMap
from cpml.microscopy.frames import a_star_to_a, to_sample_frame
from cpml.microscopy.readers import ang, crc, ctf
from cpml.microscopy.readers.common import RawMap

HEXAGONAL = ("3", "32", "6", "622")


def read_map(
    path: str | Path,
    *,
    hex_x_axis: str | None = None,
    euler_to_sample: str | ArrayLike | None = None,
    name: str | None = None,
) -> EbsdMap:
    """An EBSD map in the pixel frame (x right, y down, z into), hexagonal crystals with X||a.

    Parameters
    ----------
    path : .ctf, .crc or .cpr (both beside each other), .ang, or a map.h5 of cpml
    hex_x_axis : "a" or "a*", the file's hexagonal X axis; None takes the vendor's usual one (Oxford a*, EDAX
        a) and
        says so in `frame_note`: it is an installation choice, and the wrong one hides every twin
    euler_to_sample : preset of cpml.microscopy.frames, 3x3 rotation matrix, or [x, y, z, degrees]; None: no
        turn
    name : name of the map; None: the file's

    Raises
    ------
    MapFileError : the file is missing, of another format, cut off, inconsistent, or without an indexed point
    ParameterError : an unknown `hex_x_axis` or frame
    """
    path = Path(path)
    if hex_x_axis not in (None, "a", "a*"):
        raise ParameterError(f"hex_x_axis {hex_x_axis!r}: give 'a' or 'a*'")
    reader = _reader_of(path)
    if reader is None:
        if hex_x_axis is not None or euler_to_sample is not None:
            raise ParameterError(
                f"{path}: a cpml map is in the pixel frame already; leave out the frame options"
            )
        return EbsdMap.from_hdf(path)
    try:
        raw = reader(path)
    except OSError as error:
        raise MapFileError(
            f"{path}: cannot be read ({error.strerror}); check the path and its permissions"
        ) from error
    except MemoryError as error:
        raise MapFileError(f"{path}: too large for the memory of this machine; crop the map") from error
    return _in_pixel_frame(raw, hex_x_axis, euler_to_sample, name)


def _reader_of(path: Path):
    """The reader for the content of a file; None for cpml's own HDF5."""
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise MapFileError(f"{path}: cannot be opened ({error.strerror}); check the path") from error
    if start.startswith(b"\x89HDF\r\n"):
        return None
    if start.lstrip(b"\xef\xbb\xbf").startswith(b"Channel Text File"):
        return ctf.read
    if path.suffix.lower() in (".crc", ".cpr"):
        return crc.read
    if start.lstrip().startswith(b"#") and path.suffix.lower() == ".ang":
        return ang.read
    raise MapFileError(
        f"{path}: not a .ctf, .crc/.cpr, .ang or cpml map.h5 file"
        f"{' (the file is empty)' if not start else ''}; export the map in one of these formats"
    )


def _in_pixel_frame(raw: RawMap, hex_x_axis: str | None, euler_to_sample, name: str | None) -> EbsdMap:
    indexed = raw.phase_id > 0
    q = np.full((len(raw.euler), 4), np.nan)
    q[indexed] = euler_to_quaternion(raw.euler[indexed])
    notes = [*raw.note]
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
    q = to_sample_frame(q, euler_to_sample)
    frame = euler_to_sample if isinstance(euler_to_sample, str) else np.asarray(euler_to_sample).tolist()
    notes.append(
        "Euler axes taken as the pixel axes (x right, y down, z into), not declared"
        if euler_to_sample is None
        else f"Euler axes turned to the pixel axes by {frame}"
    )
    n_filled = int(np.sum(indexed & (raw.properties.get("error", np.zeros(len(q))) > 0)))
    if n_filled:
        notes.append(
            f"{n_filled} points have an orientation with an indexing error: filled by the vendor's cleaning"
        )
    return EbsdMap(
        name or raw.name,
        q,
        raw.phase_id,
        raw.phases,
        raw.xy,
        raw.grid,
        raw.shape,
        raw.pixel_um,
        raw.properties,
        tuple(notes),
    )
