"""Slip and twin systems from Miller indices: one representative per family, spread by
the crystal's proper group.

Vectors: reciprocal g = h a1* + k a2* + l a3* for a plane, r = U a1 + V a2 + W a3 for a direction; the
rotations act on them in Cartesian axes (cubic along <100>; hexagonal X||a, Z||c) and the integers are read
back as h = g.a1, ... Four-index hexagonal: (hkil) with i = -(h+k); [uvtw] with U = u - t, V = v - t, W = w.

| symbol | meaning | shape |
|---|---|---|
| n, b | unit plane normal, unit direction, crystal frame | (S, 3) |
| Z = b (x) n, P = sym Z | full dyad, Schmid tensor | (S, 3, 3) |
| S | twin shear (0 for slip) | (S,) |

Slip is the same system for (n,b), (-n,b), (n,-b). Twins are polar: only (n,b) and (-n,-b) are the same, and
a positive resolved shear is the twinning sense. For hexagonal twins that sense follows from c/a = r
(positive shear extends c): {10-12} (3-r^2)/(sqrt3 r); {11-21} 1/r; {10-11} (9-4r^2)/(4 sqrt3 r); {11-22}
2(2-r^2)/(3r); cubic twins 1/sqrt2.

References: Partridge 1967, Metall. Rev. 12:169; Christian & Mahajan 1995, Prog. Mater. Sci. 39:1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.symmetry import group_of_lattice, proper_group
from cpml.crystallography.tensors import to_vector
from cpml.errors import ParameterError

_CUBIC_SHEAR = 1 / np.sqrt(2.0)


class Family(NamedTuple):
    """One system of a family, in Miller indices."""

    kind: str  # "slip" or "twin"
    plane: tuple[int, ...]
    direction: tuple[int, ...]  # of twins in the sense of a positive shear S(c/a)
    burgers: float | None  # length as a multiple of the written direction; None: of twins, from their shear


REPRESENTATIVES = {
    "fcc": {
        "octahedral": Family("slip", (1, 1, 1), (0, -1, 1), 1 / 2),
        "twin": Family("twin", (1, 1, 1), (1, 1, -2), None),
    },
    "bcc": {
        "110": Family("slip", (0, 1, -1), (1, 1, 1), 1 / 2),
        "112": Family("slip", (-2, 1, 1), (1, 1, 1), 1 / 2),
        "123": Family("slip", (-3, 1, 2), (1, 1, 1), 1 / 2),
        "twin": Family("twin", (1, 1, 2), (-1, -1, 1), None),
    },
    "hcp": {
        "basal": Family("slip", (0, 0, 0, 1), (2, -1, -1, 0), 1 / 3),
        "prismatic": Family("slip", (0, 1, -1, 0), (2, -1, -1, 0), 1 / 3),
        "pyramidal1_a": Family("slip", (0, 1, -1, 1), (2, -1, -1, 0), 1 / 3),
        "pyramidal1_ca": Family("slip", (1, 0, -1, 1), (-2, 1, 1, 3), 1 / 3),
        "pyramidal2_ca": Family("slip", (1, 1, -2, 2), (-1, -1, 2, 3), 1 / 3),
        "twin_1012": Family("twin", (1, 0, -1, 2), (-1, 0, 1, 1), None),
        "twin_1121": Family("twin", (1, 1, -2, 1), (-1, -1, 2, 6), None),
        "twin_1011": Family("twin", (1, 0, -1, 1), (-1, 0, 1, 2), None),
        "twin_1122": Family("twin", (1, 1, -2, 2), (-1, -1, 2, 3), None),
    },
}

FAMILY_WORDS = {
    "octahedral": "octahedral slip",
    "twin": "twinning",
    "110": "{110} slip",
    "112": "{112} slip",
    "123": "{123} slip",
    "basal": "basal slip",
    "prismatic": "prismatic slip",
    "pyramidal1_a": "pyramidal I <a> slip",
    "pyramidal1_ca": "pyramidal I <c+a> slip",
    "pyramidal2_ca": "pyramidal II <c+a> slip",
    "twin_1012": "{10-12} twinning",
    "twin_1121": "{11-21} twinning",
    "twin_1011": "{10-11} twinning",
    "twin_1122": "{11-22} twinning",
}
"""Families in words, for people."""

HEXAGONAL_SHEAR = {
    "twin_1012": lambda r: (3 - r**2) / (np.sqrt(3) * r),
    "twin_1121": lambda r: 1 / r,
    "twin_1011": lambda r: (9 - 4 * r**2) / (np.sqrt(48) * r),
    "twin_1122": lambda r: 2 * (2 - r**2) / (3 * r),
}


def lattice_vectors(lattice: str, c_over_a: float = 1.0) -> NDArray:
    """Rows a1, a2, a3 (3, 3) in units of a; cubic conventional cell, or hexagonal with X||a, Z||c."""
    if group_of_lattice(lattice) == "432":
        return np.eye(3)
    return np.array([[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, c_over_a]])


def _three(indices: Sequence[int], is_plane: bool) -> NDArray:
    """(hkil) or [uvtw] as three indices; three indices stay."""
    if len(indices) == 3:
        return np.array(indices, float)
    if abs(sum(indices[:3])) > 0:
        raise ParameterError(f"Miller-Bravais indices {tuple(indices)}: the first three must add up to 0")
    first, second, third, last = indices
    return np.array([first, second, last] if is_plane else [first - third, second - third, last], float)


def plane_normal(indices: Sequence[int], lattice: str, c_over_a: float = 1.0) -> NDArray:
    """Reciprocal vector (3,), in 1/a, of a plane in 3 or 4 indices; its length is 1/spacing."""
    return np.linalg.inv(lattice_vectors(lattice, c_over_a)) @ _three(indices, True)


def direction_vector(indices: Sequence[int], lattice: str, c_over_a: float = 1.0) -> NDArray:
    """Direct vector (3,), in a, of a direction in 3 or 4 indices, as written (no factor 1/2 or 1/3)."""
    return _three(indices, False) @ lattice_vectors(lattice, c_over_a)


def plane_indices(normal: NDArray, cell: NDArray) -> tuple[int, ...]:
    """Integer indices of a reciprocal vector; four of them for a hexagonal cell."""
    h, k, last = (int(i) for i in np.rint(cell @ normal))
    return (h, k, last) if _is_cubic(cell) else (h, k, -h - k, last)


def direction_indices(vector: NDArray, cell: NDArray) -> tuple[int, ...]:
    """Integer indices of a direct vector; four of them for a hexagonal cell."""
    u, v, last = (int(i) for i in np.rint(vector @ np.linalg.inv(cell)))
    if _is_cubic(cell):
        return u, v, last
    return (2 * u - v) // 3, (2 * v - u) // 3, -(u + v) // 3, last


def _is_cubic(cell: NDArray) -> bool:
    return bool(np.allclose(cell, np.eye(3)))


def _plane_sign(indices: tuple[int, ...]) -> int:
    """+1 when the plane is written the usual way: l > 0 (hexagonal), mostly positive
    (cubic), else first positive.
    """
    lead = indices[-1] if len(indices) == 4 else sum(indices)
    return int(np.sign(lead or next(i for i in indices if i)))


def _direction_sign(indices: tuple[int, ...]) -> int:
    """+1 when the direction is written the usual way: w > 0, else largest index positive
    (hexagonal); as planes (cubic).
    """
    if len(indices) == 4:
        return int(np.sign(indices[-1] or max(indices, key=abs)))
    return int(np.sign(sum(indices) or [i for i in indices if i][-1]))


def _bracket(indices: tuple[int, ...], brackets: str) -> str:
    return brackets[0] + "".join(str(i) for i in indices) + brackets[1]


def _twin_shear(lattice: str, family: str, c_over_a: float) -> float:
    """Signed shear of a twin family: positive in the written sense (extends c in hexagonal crystals)."""
    return _CUBIC_SHEAR if lattice != "hcp" else float(HEXAGONAL_SHEAR[family](c_over_a))


class _Member(NamedTuple):
    """One system of an orbit."""

    plane_indices: tuple[int, ...]
    direction_indices: tuple[int, ...]
    normal: NDArray  # reciprocal vector, 1/a
    direction: NDArray  # direct vector, a


def _orbit(lattice: str, family: str, c_over_a: float) -> list[_Member]:
    """Distinct systems of a family, planes grouped."""
    kind, plane, direction, _ = REPRESENTATIVES[lattice][family]
    cell = lattice_vectors(lattice, c_over_a)
    g, r = plane_normal(plane, lattice, c_over_a), direction_vector(direction, lattice, c_over_a)
    if kind == "twin" and _twin_shear(lattice, family, c_over_a) < 0:
        r = -r
    planes: dict[tuple[int, ...], dict[tuple[int, ...], _Member]] = {}
    for rotation in quaternion_to_matrix(proper_group(group_of_lattice(lattice))):
        n, b = rotation @ g, rotation @ r
        plane_sign = _plane_sign(plane_indices(n, cell))
        n = n * plane_sign
        b = b * (plane_sign if kind == "twin" else _direction_sign(direction_indices(b, cell)))
        member = _Member(plane_indices(n, cell), direction_indices(b, cell), n, b)
        planes.setdefault(member.plane_indices, {}).setdefault(member.direction_indices, member)
    return [member for on_plane in planes.values() for member in on_plane.values()]


@dataclass(frozen=True)
class Systems:
    """Slip and twin systems of one crystal, crystal frame (contract of shapes in the module docstring)."""

    lattice: str
    c_over_a: float
    family_names: tuple[str, ...]
    family: NDArray  # (S,) index into family_names
    kind: NDArray  # (S,) 'slip' or 'twin'
    plane: NDArray  # (S, 3) unit normals
    direction: NDArray  # (S, 3) unit directions
    names: tuple[str, ...]
    plane_id: NDArray  # (S,) distinct plane: slip planes first, then K1 planes
    plane_names: tuple[str, ...]
    plane_normals: NDArray  # (P, 3)
    twin_shear: NDArray  # (S,) positive for twins, 0 for slip
    burgers_length: NDArray  # (S,) in units of a; twins: shear times K1 spacing, per lattice plane

    def __len__(self) -> int:
        return len(self.names)

    @property
    def slip(self) -> NDArray:
        """(S,) bool, slip systems."""
        return self.kind == "slip"

    @property
    def twin(self) -> NDArray:
        """(S,) bool, twin systems."""
        return self.kind == "twin"

    @cached_property
    def dyad(self) -> NDArray:
        """(S, 3, 3) b (x) n."""
        return self.direction[:, :, None] * self.plane[:, None, :]

    @cached_property
    def schmid(self) -> NDArray:
        """(S, 3, 3) symmetric part of the dyad."""
        return (self.dyad + self.dyad.transpose(0, 2, 1)) / 2

    @cached_property
    def schmid5(self) -> NDArray:
        """(S, 5) Schmid tensors in the orthonormal basis of cpml.crystallography.tensors."""
        return to_vector(self.schmid)

    def subset(self, mask: NDArray) -> "Systems":
        """The systems where mask (S,) is true (or an index array); families and planes
        without members are dropped.
        """
        index = np.arange(len(self))[mask]
        families, family = np.unique(self.family[index], return_inverse=True)
        planes, plane_id = np.unique(self.plane_id[index], return_inverse=True)
        return Systems(
            lattice=self.lattice,
            c_over_a=self.c_over_a,
            family_names=tuple(self.family_names[f] for f in families),
            family=family,
            kind=self.kind[index],
            plane=self.plane[index],
            direction=self.direction[index],
            names=tuple(self.names[i] for i in index),
            plane_id=plane_id,
            plane_names=tuple(self.plane_names[p] for p in planes),
            plane_normals=self.plane_normals[planes],
            twin_shear=self.twin_shear[index],
            burgers_length=self.burgers_length[index],
        )


def systems(lattice: str, *, families: Sequence[str] | None = None, c_over_a: float | None = None) -> Systems:
    """All systems of the named families, in the order given, same-plane systems adjacent.

    Parameters
    ----------
    lattice : "fcc", "bcc" or "hcp"
    families : names of REPRESENTATIVES[lattice]; None takes every one of them, twins included
    c_over_a : required for "hcp", ignored otherwise

    Raises
    ------
    ParameterError : unknown lattice or family, a family named twice, or a c/a outside 1.2 to 2.2
    """
    group_of_lattice(lattice)
    known = REPRESENTATIVES[lattice]
    families = tuple(known) if families is None else tuple(families)
    unknown = [f for f in families if f not in known]
    if unknown or not families or len(set(families)) != len(families):
        raise ParameterError(
            f"families {families} for {lattice}: choose distinct names from {', '.join(known)}"
        )
    ratio = 1.0 if lattice != "hcp" else c_over_a
    if ratio is None or (not 1.2 < ratio < 2.2 and lattice == "hcp"):
        raise ParameterError(
            f"c_over_a = {c_over_a}: hcp needs a ratio between 1.2 and 2.2 (magnesium 1.6236)"
        )
    return _assemble(lattice, float(ratio), families)


class _Plane(NamedTuple):
    """A numbered plane: its plane_id, name and unit normal."""

    plane_id: int
    name: str
    normal: NDArray


def _assemble(lattice: str, ratio: float, families: tuple[str, ...]) -> Systems:
    """The record of the families, in the order given."""
    kinds = {f: REPRESENTATIVES[lattice][f].kind for f in families}
    orbits = {f: _orbit(lattice, f, ratio) for f in families}
    planes: dict[tuple, _Plane] = {}
    for f in sorted(families, key=lambda f: kinds[f]):  # numbered slip first, whatever the order asked
        label = f if kinds[f] == "twin" else f.removesuffix("_ca").removesuffix("_a")
        for member in orbits[f]:
            name = f"{label} {_bracket(member.plane_indices, '()')}"
            plane = _Plane(len(planes), name, _unit(member.normal))
            planes.setdefault(_plane_key(f, kinds[f], member), plane)
    every = [(f, member) for f in families for member in orbits[f]]
    shears = {f: abs(_twin_shear(lattice, f, ratio)) if kinds[f] == "twin" else 0.0 for f in families}
    return Systems(
        lattice=lattice,
        c_over_a=ratio,
        family_names=families,
        family=np.array([families.index(f) for f, _ in every]),
        kind=np.array([kinds[f] for f, _ in every]),
        plane=np.array([_unit(member.normal) for _, member in every]),
        direction=np.array([_unit(member.direction) for _, member in every]),
        names=tuple(
            f"{f} {_bracket(member.plane_indices, '()')}{_bracket(member.direction_indices, '[]')}"
            for f, member in every
        ),
        plane_id=np.array([planes[_plane_key(f, kinds[f], member)].plane_id for f, member in every]),
        plane_names=tuple(plane.name for plane in planes.values()),
        plane_normals=np.array([plane.normal for plane in planes.values()]),
        twin_shear=np.array([shears[f] for f, _ in every]),
        burgers_length=np.array([_burgers_length(lattice, f, shears[f], member) for f, member in every]),
    )


def _plane_key(family: str, kind: str, member: _Member) -> tuple:
    """Slip families share planes of equal indices; twin families have their own."""
    return (family if kind == "twin" else "slip", member.plane_indices)


def _burgers_length(lattice: str, family: str, shear: float, member: _Member) -> float:
    """In units of a; of twins shear times K1 spacing, per lattice plane."""
    factor = REPRESENTATIVES[lattice][family].burgers
    if factor is None:
        return float(shear / np.linalg.norm(member.normal))
    return float(factor * np.linalg.norm(member.direction))


def _unit(vector: NDArray) -> NDArray:
    return vector / np.linalg.norm(vector)
