"""The stage of the microscope: from its settings to the beam in the sample frame, and what a line looks like
along that beam.

    v_lab = T Q v_sample,    beam in the sample  k = Q^T T^T (0, 0, 1)

The laboratory frame is the sample frame of the stage at rest: x right, y down on the picture, z along the
beam. Two kinds of stage:

| kind | Q, turned with the specimen | T, fixed to the chamber |
|---|---|---|
| rotation-tilt | rotation about the normal, positive counter-clockwise on the screen | tilt about an axis |
| double-tilt | second tilt, about the axis across the first | tilt about an axis |

Positive tilt is right-handed about its axis: about x it takes the lower edge of the picture away from the
gun. Where a stage counts the other way, as many rotations do, its sense is "left" (tilts) or "clockwise"
(rotation).

A line of direction u below the surface is seen where it projects on the surface along the beam,

    p = u - (u_z / k_z) k,     on screen atan2(-p_y, p_x) mod 180
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_to_matrix
from cpml.errors import ParameterError

KINDS = ("rotation-tilt", "double-tilt")
AXES = {"x": 0.0, "y": 90.0}
SENSES = {"right": 1.0, "left": -1.0}
TURNS = {"counterclockwise": 1.0, "clockwise": -1.0}


@dataclass(frozen=True)
class Stage:
    """How the stage moves (module docstring).

    Attributes
    ----------
    kind : one of KINDS
    tilt_axis_deg : of the first tilt, on screen from +x; 90 points up
    tilt_sense, second_sense : +1 right-handed about its axis, -1 left-handed; ``second`` is the rotation
        (+1 counter-clockwise on the screen) or the second tilt
    offset_deg : what the second motion reads when the specimen lies as on the map
    limits : lowest and highest tilt, lowest and highest of the second motion, deg
    """

    kind: str = "rotation-tilt"
    tilt_axis_deg: float = 0.0
    tilt_sense: float = 1.0
    second_sense: float = 1.0
    offset_deg: float = 0.0
    limits: tuple[tuple[float, float], tuple[float, float]] = ((-5.0, 20.0), (-180.0, 180.0))

    @classmethod
    def of(cls, described: Mapping[str, object]) -> "Stage":
        """Of the block `microscope: stage` of a description, already checked."""
        kind = str(described.get("kind", KINDS[0]))
        axis = described.get("tilt_axis", "x")
        turns = TURNS | SENSES
        usual = cls().limits if kind == KINDS[0] else ((-15.0, 15.0), (-15.0, 15.0))
        return cls(
            kind=kind,
            tilt_axis_deg=AXES[axis] if isinstance(axis, str) else float(axis),  # type: ignore[arg-type]
            tilt_sense=SENSES[str(described.get("tilt_sense", "right"))],
            second_sense=turns[str(described.get("second_sense", "counterclockwise"))],
            offset_deg=float(described.get("offset_deg", 0.0)),  # type: ignore[arg-type]
            limits=(
                _pair(described.get("tilt_limits_deg", usual[0])),
                _pair(described.get("second_limits_deg", usual[1])),
            ),
        )

    @property
    def tilt_axis(self) -> NDArray:
        """(3,) axis of the first tilt, laboratory frame."""
        angle = np.deg2rad(self.tilt_axis_deg)
        return np.array([np.cos(angle), -np.sin(angle), 0.0])

    @property
    def second_axis(self) -> NDArray:
        """(3,) axis of the second motion, in the specimen at rest; about -z a turn is counter-clockwise on
        the screen.
        """
        if self.kind == "rotation-tilt":
            return np.array([0.0, 0.0, -1.0])
        return np.cross([0.0, 0.0, -1.0], self.tilt_axis)

    def sample_to_lab(self, tilt_deg: ArrayLike, second_deg: ArrayLike = 0.0) -> NDArray:
        """T Q (..., 3, 3) of settings (...)."""
        tilt, second = np.broadcast_arrays(np.asarray(tilt_deg, float), np.asarray(second_deg, float))
        first = _turn(self.tilt_axis, self.tilt_sense * tilt)
        return first @ _turn(self.second_axis, self.second_sense * (second - self.offset_deg))

    def beam(self, tilt_deg: ArrayLike, second_deg: ArrayLike = 0.0) -> NDArray:
        """(..., 3) direction of the beam, into the specimen, sample frame.

        Examples
        --------
        >>> Stage().beam(90.0).round(6) + 0.0  # the lower edge goes down: the beam comes along the surface
        array([0., 1., 0.])
        """
        return self.sample_to_lab(tilt_deg, second_deg)[..., 2, :]

    def within(self, tilt_deg: ArrayLike, second_deg: ArrayLike) -> NDArray:
        """(...) bool, whether the stage reaches a setting; a rotation is counted modulo 360 deg."""
        tilt, second = np.asarray(tilt_deg, float), np.asarray(second_deg, float)
        (low, high), (first, last) = self.limits
        if self.kind == "rotation-tilt":
            second = first + (second - first) % 360.0
        return (tilt >= low) & (tilt <= high) & (second >= first) & (second <= last)


def projected_angle_deg(direction: ArrayLike, beam: ArrayLike) -> NDArray:
    """On-screen angle (...), deg in [0, 180), of lines (..., 3) seen along beams (..., 3), both in the
    sample frame.

    Raises
    ------
    ParameterError : a beam along the surface
    """
    u, k = np.asarray(direction, float), np.asarray(beam, float)
    if np.any(np.abs(k[..., 2]) < 1e-6):
        raise ParameterError("the beam lies in the surface; tilt the specimen by less than 90 degrees")
    slide = (u[..., 2] / k[..., 2])[..., None]
    p = u - slide * k
    angle = np.degrees(np.arctan2(-p[..., 1], p[..., 0])) % 180.0
    return np.where(angle >= 180.0, 0.0, angle)  # a remainder rounds up


def _turn(axis: NDArray, angle_deg: NDArray) -> NDArray:
    """Rotation matrices (..., 3, 3)."""
    return quaternion_to_matrix(axis_angle_to_quaternion(axis, np.deg2rad(angle_deg)))


def _pair(values: object) -> tuple[float, float]:
    low, high = values if isinstance(values, Sequence) else (0.0, 0.0)
    return float(low), float(high)
