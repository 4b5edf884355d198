"""Which points of a map file have an orientation, by one rule for every format, and whether its angles are
what the format says.

| sign | meaning |
|---|---|
| phase 0 (unless the header describes a phase 0) or negative | not indexed |
| confidence index of -1 or less (EDAX: -1 not indexed, -2 left out of the analysis) | not indexed |
| an angle of 4 pi (EDAX, DREAM.3D) or no number | not indexed |
| all angles exactly 0 with nothing in favour of them (below) | not indexed |

The zero solution counts as none where the file has an error code above 0, a confidence index of 0 or less, a
mean angular deviation of 0 or no band there. A column that is above 0 nowhere says nothing, and one that is
above 0 at another zero point says that zero is an orientation of this map.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cpml.errors import MapFileError

FOUR_PI = 4 * np.pi
NEAR = 5e-3
"""Rounding of a value of 4 pi or 2 pi in a file, rad."""
MANY = 100
"""Points from which the spread of the angles tells degrees from radians."""
SPREAD = 0.6
"""Share of a full turn, in rad, that angles of a radians file cover when read as degrees."""


def without_solution(
    euler: NDArray, phase_id: NDArray, properties: dict[str, NDArray]
) -> tuple[NDArray, tuple[str, ...]]:
    """Points (n,) bool without an orientation, and a note that counts them by sign.

    Parameters
    ----------
    euler : (n, 3), rad; phase_id : (n,), 0 or less: none
    properties : "ci", "error", "mad", "bands" are looked at where the file has them
    """
    ci = properties.get("ci")
    signs = {
        "phase 0": phase_id <= 0,
        "confidence -1 or less": np.zeros(len(euler), bool) if ci is None else np.asarray(ci) <= -1 + 1e-6,
        "angles of 4 pi": np.any(np.abs(euler - FOUR_PI) < NEAR, axis=1),
        "angles that are no numbers": np.isnan(euler).all(axis=1),
        "all angles zero and no confidence": _is_empty_zero(euler, properties),
    }
    none = np.zeros(len(euler), bool)
    told = []
    for name, found in signs.items():
        n_new = int(np.sum(found & ~none))
        if n_new:
            told.append(f"{n_new} {name}")
        none |= found
    note = (f"{int(none.sum())} points without a solution: {', '.join(told)}",) if told else ()
    zero = (euler == 0).all(axis=1) & ~none
    if zero.any() and not zero.all() and not _evidence(properties):
        note += (
            f"{int(zero.sum())} points have all angles zero and nothing in the file says whether they are "
            "indexed: kept",
        )
    return none, note


def _evidence(properties: dict[str, NDArray]) -> dict[str, NDArray]:
    """Columns that can speak for a point: those that are above 0 somewhere."""
    columns = {k: np.asarray(properties[k]) for k in ("error", "ci", "mad", "bands") if k in properties}
    return {k: values for k, values in columns.items() if np.any(values > 0)}


def _is_empty_zero(euler: NDArray, properties: dict[str, NDArray]) -> NDArray:
    """(n,) bool: all angles 0 and a column that speaks against the point."""
    zero = (euler == 0).all(axis=1)
    doubtful = np.zeros(len(euler), bool)
    for name, values in _evidence(properties).items():
        if name == "error":
            doubtful |= values > 0
        elif not np.any(values[zero] > 0):
            doubtful |= values <= 0
    return doubtful & zero


def check_unit(path: Path, euler: NDArray, indexed: NDArray, unit: str, *, is_declared: bool = False) -> None:
    """Refuse angles that are not in the unit of their format.

    Radians end at 2 pi: larger ones are degrees. Degrees end at 360; degrees of many points that fill the
    range 0 to 2 pi and stay inside it are radians.

    Parameters
    ----------
    euler : (n, 3) rad; indexed : (n,) bool; unit : "radians" or "degrees", of the numbers in the file
    is_declared : somebody said that small angles are degrees

    Raises
    ------
    MapFileError : with the value, its point and the remedy
    """
    if not indexed.any():
        return
    size = np.abs(np.where(indexed[:, None], euler, 0.0)).max(axis=1)
    worst = int(np.argmax(size))
    if size[worst] > 2 * np.pi + NEAR:
        value, limit = (size[worst], "2 pi") if unit == "radians" else (float(np.degrees(size[worst])), "360")
        n_bad = int(np.sum(size > 2 * np.pi + NEAR))
        guess = "they look like degrees: declare reading: angles: degrees" if unit == "radians" else "damaged"
        raise MapFileError(
            f"{path}, point {worst + 1}: an angle of {value:g} where {unit} end at {limit} ({n_bad:,} such "
            f"points); {guess}, or export the map again"
        )
    if unit == "degrees" and not is_declared and indexed.sum() >= MANY:
        raw = np.degrees(euler[indexed])
        is_small = np.abs(raw).max() <= 2 * np.pi + NEAR and raw[:, 1].max() <= np.pi + NEAR
        if is_small and max(np.ptp(raw[:, 0]), np.ptp(raw[:, 2])) > SPREAD * 2 * np.pi:
            raise MapFileError(
                f"{path}: no angle is above {np.abs(raw).max():.3g} where degrees are expected, and they "
                "fill the range of radians: declare reading: angles: radians, or degrees if they are"
            )


def filled_points(euler: NDArray, cell: NDArray | None, shape: tuple[int, int], indexed: NDArray) -> float:
    """Share of neighbours in a row whose angles are bit-identical: measured ones never are.

    Parameters
    ----------
    cell : (n,) place of each point on a grid of `shape`; None: in order. Hexagonal rows: the order alone
        counts
    """
    order = np.arange(len(euler)) if cell is None else np.argsort(cell, kind="stable")
    sorted_angles, solid = euler[order], indexed[order]
    both = solid[1:] & solid[:-1]
    if not both.any():
        return 0.0
    same = (sorted_angles[1:] == sorted_angles[:-1]).all(axis=1)
    return float(np.sum(same & both) / both.sum())
