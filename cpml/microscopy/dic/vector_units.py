"""What the columns of a table of vectors are, and in which unit: by the words of its header.

| role | words |
|---|---|
| x, y | x, x position, x_pic, Coor.X ... |
| u, v | u, Vx, dx, displacement x, horizontal displacement U ... |
| valid | isValid: 0 is a missing vector |
| mask | flags, mask: other than 0 is a missing vector |

A unit stands in brackets behind the name, "Vx [mm]", or by itself in the header of DaVis. Displacements are
lengths; a velocity has no unit of length, and what it lasted nobody says.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cpml.microscopy.io.lengths import length_unit

_MOVES = {"displacement", "displacements", "displ", "disp", "velocity", "vel", "vector", "shift"}
_ACROSS = {"x", "u", "vx", "ux", "dx", "horizontal"}
_DOWN = {"y", "v", "vy", "uy", "dy", "vertical"}
_PLACES = {"pic", "pos", "position", "coor", "coord", "coordinate", "image", "pixel", "px"}
_SIZES = {"magnitude", "length", "norm", "abs", "total", "z", "w", "sigma", "std", "error"}


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, its unit as written (None: not told) and its role (None: another)."""

    name: str
    unit: str | None
    role: str | None


def column_of(text: str) -> Column:
    """Column of a header field like "x [mm]" or "Displacement u (px)".

    Examples
    --------
    >>> column_of("Vx [mm]")
    Column(name='Vx', unit='mm', role='u')
    """
    found = re.fullmatch(r"\s*[\"']?(.*?)\s*(?:[\[(<{]([^\])>}]*)[\])>}])?\s*[\"']?\s*", text)
    name, unit = found.groups() if found else (text.strip(), None)
    return Column(name.strip(), unit.strip() if unit and unit.strip() else None, role_of(name))


def role_of(name: str) -> str | None:
    """x, y, u, v, valid, mask, or None for anything else."""
    words = re.findall("[a-z]+", name.lower())
    if not words or set(words) & _SIZES or "|" in name:
        return None
    if words[0] in ("isvalid", "valid"):
        return "valid"
    if words in (["flags"], ["flag"], ["mask"]):
        return "mask"
    rest = [word for word in words if word not in _MOVES]
    if len(rest) < len(words) or words in ([c] for c in ("u", "v", "vx", "vy", "ux", "uy", "dx", "dy")):
        sides = {"u" if w in _ACROSS else "v" if w in _DOWN else "" for w in rest}
        return sides.pop() or None if len(sides) == 1 else None
    letters = [word for word in words if word not in _PLACES]
    return letters[0] if letters in (["x"], ["y"]) else None


def columns_by_role(columns: Sequence[Column]) -> dict[str, int]:
    """Number of the column of every role; of several positions that in the unit of the displacements."""
    found: dict[str, int] = {}
    for number, column in enumerate(columns):
        if column.role is not None:
            found.setdefault(column.role, number)
    if "u" in found:
        unit = length_unit(columns[found["u"]].unit or "")
        for role in "xy":
            there = [n for n, column in enumerate(columns) if column.role == role]
            same = [n for n in there if length_unit(columns[n].unit or "") == unit]
            if same and unit is not None:
                found[role] = same[0]
    return found
