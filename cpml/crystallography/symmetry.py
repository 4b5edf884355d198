"""Proper rotation groups of crystals, closed numerically from two generators.

| group | order | generators (crystal frame; hexagonal and trigonal: X along a, Z along c) |
|---|---|---|
| 1, 2, 3, 4, 6 | n | 360/n deg about z |
| 222, 32, 422, 622 | 2n | and 180 deg about x |
| 211, 121, 312 | 2, 2, 6 | settings with the 2-fold axis along x, y, and y |
| 23, 432 | 12, 24 | 180 or 90 deg about z, 120 deg about [111] |

A symmetry element s leaves the crystal unchanged: q and q s describe the same orientation.
Reference: International Tables for Crystallography A.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply
from cpml.errors import ParameterError

LAUE_NUMBER = {
    1: "1",
    2: "2",
    3: "222",
    4: "4",
    5: "422",
    6: "3",
    7: "32",
    8: "6",
    9: "622",
    10: "23",
    11: "432",
}

PROPER_GROUP_OF = {
    "1": "1",
    "-1": "1",
    "2": "2",
    "m": "2",
    "2/m": "2",
    "112": "2",
    "11m": "2",
    "112/m": "2",
    "211": "211",
    "m11": "211",
    "121": "121",
    "1m1": "121",
    "222": "222",
    "mm2": "222",
    "mmm": "222",
    "4": "4",
    "-4": "4",
    "4/m": "4",
    "422": "422",
    "4mm": "422",
    "-42m": "422",
    "-4m2": "422",
    "4/mmm": "422",
    "3": "3",
    "-3": "3",
    "32": "32",
    "321": "32",
    "3m": "32",
    "-3m": "32",
    "3m1": "32",
    "-3m1": "32",
    "312": "312",
    "6": "6",
    "-6": "6",
    "6/m": "6",
    "622": "622",
    "6mm": "622",
    "-6m2": "622",
    "-62m": "622",
    "6/mmm": "622",
    "23": "23",
    "m-3": "23",
    "m3": "23",
    "432": "432",
    "-43m": "432",
    "m-3m": "432",
    "m3m": "432",
}

GROUP_OF_LATTICE = {"fcc": "432", "bcc": "432", "hcp": "622"}


def group_of_lattice(lattice: str) -> str:
    """Proper group name of "fcc", "bcc" or "hcp"."""
    if lattice not in GROUP_OF_LATTICE:
        raise ParameterError(f"unknown lattice {lattice!r}; known: {', '.join(GROUP_OF_LATTICE)}")
    return GROUP_OF_LATTICE[lattice]


def _generators(name: str) -> list[NDArray]:
    if name in ("211", "121"):
        return [axis_angle_to_quaternion([1, 0, 0] if name == "211" else [0, 1, 0], np.pi)]
    if name == "312":
        return [*_generators("3"), axis_angle_to_quaternion([0, 1, 0], np.pi)]
    if name in ("23", "432"):
        fold = 2 if name == "23" else 4
        return [
            axis_angle_to_quaternion([0, 0, 1], 2 * np.pi / fold),
            axis_angle_to_quaternion([1, 1, 1], 2 * np.pi / 3),
        ]
    fold = {"222": 2}.get(name, int(name[0]))
    about_z = [axis_angle_to_quaternion([0, 0, 1], 2 * np.pi / fold)]
    return about_z if len(name) == 1 else [*about_z, axis_angle_to_quaternion([1, 0, 0], np.pi)]


def _canonical(q: NDArray) -> NDArray:
    """Of q and -q, the one whose first component away from zero is positive."""
    first = q[np.argmax(np.abs(q) > 1e-9)]
    return q if first > 0 else -q


@cache
def _closure(name: str) -> NDArray:
    elements = [np.array([1.0, 0.0, 0.0, 0.0])]
    queue = list(elements)
    while queue:
        current = queue.pop(0)
        for generator in _generators(name):
            candidate = _canonical(quaternion_multiply(current, generator))
            if all(np.abs(candidate - e).max() > 1e-9 for e in elements):
                elements.append(candidate)
                queue.append(candidate)
    group = np.array(elements)
    group.setflags(write=False)
    return group


def proper_group(name: str) -> NDArray:
    """Rotations (n, 4) of the proper group of a point group, identity first, deterministic order.

    Parameters
    ----------
    name : proper group ("1", "2", "222", "3", "32", "4", "422", "6", "622", "23", "432") or
        any point-group name in the notation of orix, of which the rotation group of the Laue
        class is taken ("m-3m" gives "432")

    Raises
    ------
    ParameterError : the name is not a point group
    """
    if name not in PROPER_GROUP_OF:
        raise ParameterError(f"unknown point group {name!r}; known: {', '.join(PROPER_GROUP_OF)}")
    return _closure(PROPER_GROUP_OF[name])
