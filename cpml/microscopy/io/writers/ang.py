"""EDAX text (.ang) of a map on a square or hexagonal grid: iq, ci, phase, sem, fit and
any further columns.
"""

from pathlib import Path

import numpy as np

from cpml.errors import ParameterError
from cpml.microscopy.io.readers.ang import GROUP_OF_SYMMETRY
from cpml.microscopy.io.writing import printed, property_text
from cpml.microscopy.maps.ebsd_map import EbsdMap, MapPhase

OWN = ("iq", "ci", "sem", "fit")


def write(ebsd_map: EbsdMap, euler: np.ndarray, path: Path) -> None:
    """Write the file; `euler` (N, 3) rad in the file's frame."""
    if min(ebsd_map.phases) < 1:
        raise ParameterError(f"map {ebsd_map.name!r} has a phase numbered 0: renumber it")
    extra = [k for k in ebsd_map.properties if k not in OWN]
    zero = np.zeros(ebsd_map.n_pixels)
    angles = np.array(printed(np.nan_to_num(euler), 2 * np.pi))
    angles[~ebsd_map.indexed] = "12.56637"
    ci = np.asarray(ebsd_map.properties.get("ci", np.where(ebsd_map.indexed, 0.0, -1.0)), np.float32)
    ci = np.where(
        ebsd_map.indexed & (ci == -1), 0.0, ci
    )  # a filled point has an orientation, and no confidence
    own = {k: property_text(ebsd_map.properties.get(k, zero)) for k in OWN} | {"ci": property_text(ci)}
    position = [np.char.mod("%.5f", v) for v in ebsd_map.xy.T]
    phase = np.char.mod("%d", np.where(ebsd_map.indexed, ebsd_map.phase_id, 0))
    columns = [*angles.T, *position, own["iq"], own["ci"], phase, own["sem"], own["fit"]]
    columns += [property_text(ebsd_map.properties[k]) for k in extra]
    lines = _header(ebsd_map, extra) + [" ".join(row) for row in zip(*columns, strict=True)]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _header(ebsd_map: EbsdMap, extra: list[str]) -> list[str]:
    counts = np.bincount(ebsd_map.rows)
    dx, dy = ebsd_map.pixel_um
    phases = [line for i, p in sorted(ebsd_map.phases.items()) for line in _phase(i, p)]
    names = ["phi1", "PHI", "phi2", "x", "y", "IQ", "CI", "Phase index", "SEM", "Fit", *extra]
    return [
        "# TEM_PIXperUM 1.000000",
        "# x-star 0.5",
        "# y-star 0.5",
        "# z-star 0.5",
        "# WorkingDistance 0",
        "#",
        *phases,
        f"# GRID: {'HexGrid' if ebsd_map.grid == 'hex' else 'SqrGrid'}",
        f"# XSTEP: {float(dx)!r}",
        f"# YSTEP: {float(dy)!r}",
        f"# NCOLS_ODD: {counts[0]}",
        f"# NCOLS_EVEN: {counts[1] if len(counts) > 1 else counts[0]}",
        f"# NROWS: {ebsd_map.shape[0]}",
        "#",
        "# OPERATOR: cpml",
        "#",
        f"# COLUMN_HEADERS: {', '.join(names)}",
        "#",
    ]


def _phase(number: int, p: MapPhase) -> list[str]:
    code = {group: code for code, group in reversed(GROUP_OF_SYMMETRY.items())}.get(p.group)
    if code is None:
        raise ParameterError(f"phase {p.name!r}: .ang has no symmetry number for group {p.group}: write .h5")
    cell = " ".join(f"{float(v)!r}" for v in (p.a, p.b, p.c, p.alpha, p.beta, p.gamma))
    return [
        f"# Phase {number}",
        f"# MaterialName {' '.join(p.name.split())}",
        "# Formula",
        "# Info",
        f"# Symmetry {code}",
        f"# LatticeConstants {cell}",
        "# NumberFamilies 0",
        "#",
    ]
