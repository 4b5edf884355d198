"""Oxford / HKL channel text (.ctf) of a map on a square grid; properties without a column of their
own follow last."""

from pathlib import Path

import numpy as np

from cpml.crystallography.symmetry import LAUE_NUMBER
from cpml.errors import ParameterError
from cpml.microscopy.io.readers.common import SPACE_GROUP
from cpml.microscopy.io.writing import printed, property_text
from cpml.microscopy.maps.ebsd_map import EbsdMap, MapPhase

OWN = {"bands": "Bands", "error": "Error", "mad": "MAD", "bc": "BC", "bs": "BS"}


def write(ebsd_map: EbsdMap, euler: np.ndarray, path: Path) -> None:
    """Write the file; `euler` (N, 3) rad in the file's frame."""
    if ebsd_map.grid != "square":
        raise ParameterError(
            f"map {ebsd_map.name!r} has a hexagonal grid, which .ctf cannot hold: write .ang or .h5"
        )
    if sorted(ebsd_map.phases) != list(range(1, len(ebsd_map.phases) + 1)):
        raise ParameterError(
            f"map {ebsd_map.name!r} has phases numbered {sorted(ebsd_map.phases)}; .ctf numbers "
            "them 1, 2, ...: write .h5"
        )
    extra = [k for k in ebsd_map.properties if k not in OWN]
    columns = ["Phase", "X", "Y", "Bands", "Error", "Euler1", "Euler2", "Euler3", "MAD", "BC", "BS", *extra]
    lines = [*_header(ebsd_map), "\t".join(columns)]
    angles = np.array(printed(np.degrees(np.nan_to_num(euler)), 360.0))
    zero = np.zeros(ebsd_map.n_pixels, np.int64)
    own = {k: property_text(ebsd_map.properties.get(k, zero)) for k in OWN}
    position = [np.char.mod("%.4f", v) for v in ebsd_map.xy.T]
    phase = np.char.mod("%d", ebsd_map.phase_id)
    columns = [phase, *position, own["bands"], own["error"], *angles.T, own["mad"], own["bc"], own["bs"]]
    columns += [property_text(ebsd_map.properties[k]) for k in extra]
    lines += ["\t".join(row) for row in zip(*columns, strict=True)]
    path.write_text("\r\n".join([*lines, ""]), encoding="latin-1", errors="replace", newline="")


def _header(ebsd_map: EbsdMap) -> list[str]:
    rows, cols = ebsd_map.shape
    dx, dy = ebsd_map.pixel_um
    return [
        "Channel Text File",
        f"Prj\t{_line(ebsd_map.name)}",
        "Author\tcpml",
        "JobMode\tGrid",
        f"XCells\t{cols}",
        f"YCells\t{rows}",
        f"XStep\t{float(dx)!r}",
        f"YStep\t{float(dy)!r}",
        "AcqE1\t0",
        "AcqE2\t0",
        "AcqE3\t0",
        "Euler angles refer to Sample Coordinate system (CS0)!",
        f"Phases\t{len(ebsd_map.phases)}",
        *[_phase(p) for _, p in sorted(ebsd_map.phases.items())],
    ]


def _phase(p: MapPhase) -> str:
    number = {group: n for n, group in LAUE_NUMBER.items()}.get(
        {"121": "2", "211": "2", "312": "32"}.get(p.group, p.group)
    )
    cell = (
        ";".join(f"{float(v)!r}" for v in (p.a, p.b, p.c)),
        ";".join(f"{float(v)!r}" for v in (p.alpha, p.beta, p.gamma)),
    )
    if p.group in ("121", "211", "312"):
        raise ParameterError(f"phase {p.name!r}: .ctf cannot tell the setting of group {p.group}: write .h5")
    return "\t".join([*cell, _line(p.name), str(number), str(SPACE_GROUP.get(p.lattice, 0))])


def _line(text: str) -> str:
    return " ".join(text.split())
