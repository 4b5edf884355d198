"""Cell and point group of the phases of a file compared with each other.

A monoclinic phase has its two-fold axis where the cell says: along the axis whose angle is not 90 deg (b in
the usual setting). A hexagonal or trigonal cell has a = b and gamma = 120 deg; some programs write the
length of a*, that is a sqrt(3)/2, for one of them: the longer one is a then. A cell that a file leaves out
is zero or NaN.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from cpml.errors import MapFileError
from cpml.microscopy.maps.ebsd_map import MapPhase, is_cell
from cpml.microscopy.maps.frames import HEXAGONAL

MONOCLINIC = {"2": "c", "121": "b", "211": "a"}
SAME_LENGTH = 5e-3
"""Lengths that differ by less are meant to be equal."""
SAME_ANGLE = 0.05
CUBIC, TETRAGONAL = ("23", "432"), ("4", "422")


def checked_phases(path: Path, phases: dict[int, MapPhase]) -> tuple[dict[int, MapPhase], tuple[str, ...]]:
    """The phases with the setting that their cell states; a note on every cell that its group does not allow.

    Raises
    ------
    MapFileError : a hexagonal cell whose a and b differ, and not by the ratio of a* to a; a length or
        an angle that no cell has
    """
    for phase in phases.values():
        if not is_cell(cell := (phase.a, phase.b, phase.c, phase.alpha, phase.beta, phase.gamma)):
            raise MapFileError(
                f"{path}: phase {phase.name!r} has the cell {', '.join(f'{x:g}' for x in cell)}; "
                "correct it in the header or export the map again"
            )
    checked = {i: _hexagonal(path, _monoclinic(phase)) for i, phase in phases.items()}
    notes = [note for i, phase in phases.items() for note in _notes(phase, checked[i])]
    return checked, tuple(notes)


def _monoclinic(phase: MapPhase) -> MapPhase:
    away = np.abs(np.array([phase.alpha, phase.beta, phase.gamma]) - 90)
    if phase.group not in MONOCLINIC or not np.isfinite(away).all():
        return phase
    if (away > SAME_ANGLE).sum() == 1:
        return replace(phase, group=("211", "121", "2")[int(away.argmax())])
    return replace(phase, group="121") if phase.group == "2" else phase


def _hexagonal(path: Path, phase: MapPhase) -> MapPhase:
    a, b = phase.a, phase.b
    if phase.group not in HEXAGONAL or not (a > 0 and b > 0) or abs(a / b - 1) <= SAME_LENGTH:
        return phase
    if abs(min(a, b) / max(a, b) / np.sqrt(0.75) - 1) > SAME_LENGTH:
        raise MapFileError(
            f"{path}: phase {phase.name!r} is hexagonal, but its cell has a = {a:g} and b = {b:g}; "
            "correct the cell in the header or export the map again"
        )
    return replace(phase, a=max(a, b), b=max(a, b))


def _notes(phase: MapPhase, checked: MapPhase) -> Iterator[str]:
    a, b, c = phase.a, phase.b, phase.c
    angles = np.array([phase.alpha, phase.beta, phase.gamma])
    if checked.a != a or checked.b != b:
        yield f"{phase.name}: the cell of the file has a = {a:g}, b = {b:g} (one is a*): {checked.a:g} taken"
    if checked.group in MONOCLINIC and np.abs(angles - 90).max() <= SAME_ANGLE:
        yield f"{phase.name}: monoclinic with right angles: two-fold axis {MONOCLINIC[checked.group]} taken"
    if not np.isfinite([a, b, c]).all() or min(a, b, c) <= 0:
        return
    is_right = np.abs(angles - 90).max() <= SAME_ANGLE
    equal = max(abs(b / a - 1), abs(c / a - 1)) <= SAME_LENGTH
    if checked.group in CUBIC and not (is_right and equal):
        yield f"{phase.name}: group {checked.group} is cubic, the cell of the file is not"
    if checked.group in TETRAGONAL and not (is_right and abs(b / a - 1) <= SAME_LENGTH):
        yield f"{phase.name}: group {checked.group} is tetragonal, the cell of the file is not"
    is_rhombohedral = equal and np.ptp(angles) <= SAME_ANGLE and checked.group in ("3", "32", "312")
    if checked.group in HEXAGONAL and abs(angles[2] - 120) > SAME_ANGLE and not is_rhombohedral:
        yield f"{phase.name}: group {checked.group} with gamma = {angles[2]:g}: 120 deg are meant"
