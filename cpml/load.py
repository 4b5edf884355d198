"""The macroscopic load of a specimen, and the directions of stress and strain rate that it implies.

    tension      sigma = +n (x) n                       uniaxial along the unit axis n
    compression  sigma = -n (x) n
    shear        sigma = (d (x) p + p (x) d) / sqrt(3)  along d (axis) on the plane of normal p
    rolling      sigma = (r (x) r - z (x) z) / sqrt(3)  plane strain: rolling direction r (axis), map normal z
    tensor       sigma = the given symmetric tensor, scaled

Every `stress` has von Mises norm 1, sqrt(3/2 s : s) = 1 with s = dev sigma. The strain rate is that of an
isotropic von Mises solid under the same stress, D = 3/2 s, whose von Mises rate sqrt(2/3 D : D) is 1.

| symbol | meaning                     | unit | shape  |
|--------|-----------------------------|------|--------|
| sigma  | stress direction            | -    | (3, 3) |
| D      | strain-rate direction       | -    | (3, 3) |

Sample frame = pixel frame: x right, y down, z into the specimen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cpml.errors import DatasetError

KINDS = ("tension", "compression", "shear", "rolling", "tensor")
AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


@dataclass(frozen=True, eq=False)
class Load:
    """One proportional load: `rate` (1/s) its von Mises strain rate, `strain` the final von Mises strain."""

    kind: str
    axis: NDArray | None = None  # (3,) unit vector, sample frame
    plane: NDArray | None = None  # (3,) unit normal of the shear plane, sample frame
    tensor: NDArray | None = None  # (3, 3) symmetric, as given
    strain: float | None = None
    rate: float = 1e-3
    temperature: float | None = None  # K
    assumed: bool = False
    note: str = ""

    @classmethod
    def from_dict(cls, values: dict) -> Load:
        """Load from the `load:` mapping of a dataset.yml.

        Raises
        ------
        DatasetError : unknown kind or key, zero or missing axis, tensor without deviator, number out of range

        Examples
        --------
        >>> Load.from_dict({"kind": "compression", "axis": "x", "assumed": True}).label
        'compression || x (assumed)'
        """
        if not isinstance(values, dict):
            raise DatasetError(f"load: {values!r} is neither a mapping nor the word unknown")
        unknown = set(values) - set(cls.__dataclass_fields__)
        if unknown:
            raise DatasetError(
                f"load: unknown key {min(map(str, unknown))!r}; known: {', '.join(cls.__dataclass_fields__)}"
            )
        kind = values.get("kind")
        if kind not in KINDS:
            raise DatasetError(f"load.kind: {kind!r} is not one of {', '.join(KINDS)}")
        return cls(
            kind=kind,
            **_directions(kind, values),
            strain=_strain(values),
            rate=_number(values, "rate") or cls.rate,
            temperature=_number(values, "temperature"),
            assumed=_boolean(values, "assumed"),
            note=_text(values, "note"),
        )

    @cached_property
    def stress(self) -> NDArray:
        """(3, 3) stress direction, von Mises norm 1, sample frame; uniaxial loads carry their pressure."""
        if self.tensor is not None:
            return self.tensor / _von_mises(self.tensor)
        assert self.axis is not None  # every other kind has one
        if self.plane is not None:
            return (np.outer(self.axis, self.plane) + np.outer(self.plane, self.axis)) / math.sqrt(3.0)
        if self.kind == "rolling":
            normal = np.array(AXES["z"])
            return (np.outer(self.axis, self.axis) - np.outer(normal, normal)) / math.sqrt(3.0)
        sign = 1.0 if self.kind == "tension" else -1.0
        return sign * np.outer(self.axis, self.axis)

    @cached_property
    def rate_direction(self) -> NDArray:
        """(3, 3) traceless symmetric strain-rate direction, von Mises rate 1, sample frame."""
        return 1.5 * _deviator(self.stress)

    @property
    def main_axis(self) -> np.ndarray:
        """(3,) unit axis of the largest deviatoric stress: that of a uniaxial load, sample frame."""
        if self.axis is not None:
            return self.axis
        values, vectors = np.linalg.eigh(_deviator(self.stress))
        return vectors[:, np.abs(values).argmax()]

    @property
    def is_assumed_axis(self) -> bool:
        """Whether an axis is assumed that the footprints could tell."""
        return self.assumed and self.kind in ("tension", "compression")

    @property
    def label(self) -> str:
        """One phrase for captions, e.g. 'compression || x (assumed)'."""
        where = "stress tensor" if self.axis is None else f"{self.kind} || {_axis_label(self.axis)}"
        if self.plane is not None:
            where += f" on {_axis_label(self.plane)}"
        return where + (" (assumed)" if self.assumed else "")


def unit_axis(value: object, *, key: str = "load.axis") -> NDArray:
    """(3,) unit vector from 'x', 'y', 'z', optionally signed ('-x'), or a list of three numbers."""
    if isinstance(value, str) and value.lstrip("+-").lower() in AXES and len(value) <= 2:
        vector = np.array(AXES[value.lstrip("+-").lower()])
        return -vector if value.startswith("-") else vector
    vector = _array(value, (3,), key, "'x', 'y', 'z' or three numbers")
    length = np.linalg.norm(vector)
    if length < 1e-9:
        raise DatasetError(f"{key}: {value!r} has no direction (length zero)")
    return vector / length


def _directions(kind: str, values: dict) -> dict[str, NDArray]:
    """The direction fields that this kind of load needs; DatasetError for a missing or a superfluous one."""
    needed = {"tensor": ("tensor",), "shear": ("axis", "plane")}.get(kind, ("axis",))
    for key in ("axis", "plane", "tensor"):
        if (values.get(key) is not None) != (key in needed):
            state = "is missing" if key in needed else "has no meaning"
            raise DatasetError(f"load.{key} {state} for kind {kind!r}: it needs {' and '.join(needed)}")
    if kind == "tensor":
        return {"tensor": _stress_tensor(values["tensor"])}
    vectors = {key: unit_axis(values[key], key=f"load.{key}") for key in needed}
    normal = vectors.get("plane", np.array(AXES["z"]) if kind == "rolling" else None)
    if normal is not None and abs(vectors["axis"] @ normal) > 1e-6:
        plane = "load.plane" if kind == "shear" else "the map normal z"
        raise DatasetError(f"load.axis: {values['axis']!r} is not perpendicular to {plane}")
    return vectors


def _stress_tensor(value: object) -> NDArray:
    """A symmetric (3, 3) tensor with a deviator; DatasetError otherwise."""
    tensor = _array(value, (3, 3), "load.tensor", "a symmetric 3 x 3 list of numbers")
    size = np.abs(tensor).max()
    if not np.allclose(tensor, tensor.T, rtol=0, atol=1e-9 * size):
        raise DatasetError(f"load.tensor: {value!r} is not symmetric")
    if size == 0 or _von_mises(tensor) < 1e-9 * size:
        raise DatasetError(f"load.tensor: {value!r} is pure pressure: it shears nothing")
    return tensor


def _deviator(stress: NDArray) -> NDArray:
    return stress - np.trace(stress) / 3.0 * np.eye(3)


def _von_mises(stress: NDArray) -> float:
    return math.sqrt(1.5 * np.sum(_deviator(stress) ** 2))


def _array(value: Any, shape: tuple[int, ...], key: str, expected: str) -> NDArray:
    """Finite numbers of one shape; DatasetError otherwise."""
    try:
        array = np.array(value, dtype=float)
    except (TypeError, ValueError):
        array = np.empty(0)
    if isinstance(value, str) or array.shape != shape or not np.isfinite(array).all():
        raise DatasetError(f"{key}: {value!r} is not {expected}")
    return array


def _number(values: dict, key: str, *, may_be_zero: bool = False) -> float | None:
    """A positive number, or None where there is none; DatasetError for anything else."""
    value = values.get(key)
    if value is None:
        return None
    is_number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or value < 0 or (value == 0 and not may_be_zero):
        raise DatasetError(
            f"load.{key}: {value!r} is not a number {'of at least' if may_be_zero else 'above'} 0"
        )
    return float(value)


def _strain(values: dict) -> float | None:
    """Final von Mises strain; above 1 it is taken for a percentage."""
    strain = _number(values, "strain", may_be_zero=True)
    if strain is not None and strain > 1:
        raise DatasetError(
            f"load.strain: {strain:g} is above 1: a strain is a plain number ({strain:g} %: {strain / 100:g})"
        )
    return strain


def _boolean(values: dict, key: str) -> bool:
    """True or false, false where there is none; DatasetError for anything else."""
    value = values.get(key, False)
    if not isinstance(value, bool):
        raise DatasetError(f"load.{key}: {value!r} is neither true nor false")
    return value


def _text(values: dict, key: str) -> str:
    """Text, empty where there is none; DatasetError for anything else."""
    value = values.get(key, "")
    if not isinstance(value, str):
        raise DatasetError(f"load.{key}: {value!r} is not text")
    return value


def _axis_label(axis: NDArray) -> str:
    """'x', '-y', ..., or the components of another unit vector."""
    for name, vector in AXES.items():
        for sign, prefix in ((1.0, ""), (-1.0, "-")):
            if np.allclose(axis, sign * np.array(vector), atol=1e-9):
                return prefix + name
    return "[" + " ".join(f"{v:.3g}" for v in axis) + "]"
