"""Climb modes of edge dislocations: traceless climb tensors of every distinct Burgers
direction of slip systems.

    K = (b.e)(e (x) e - I/3),   e = t x n the edge direction of a line t in the slip plane
    edge: K = b (x) b - I/3, driven by K:sigma = b.sigma'.b (deviator); a screw has K = 0

Edges of one Burgers vector share one K: fcc 6 (rank 5), bcc 4 (rank 3), hcp <a> 3 (rank 3).

References: Hartley 2003, Phil. Mag. 83:3783; Lebensohn, Hartley, Tome & Castelnau 2010, Phil. Mag. 90:567.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.tensors import to_vector
from cpml.errors import ParameterError


@dataclass(frozen=True)
class ClimbModes:
    """Edge climb of the Burgers directions of a set of slip systems, crystal frame."""

    direction: NDArray  # (C, 3) unit Burgers directions
    tensor: NDArray  # (C, 3, 3) K
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def tensor5(self) -> NDArray:
        """(C, 5) K in the orthonormal basis of cpml.crystallography.tensors."""
        return to_vector(self.tensor)


def climb_tensor(direction: ArrayLike, normal: ArrayLike, character_deg: float = 90.0) -> NDArray:
    """K (..., 3, 3) of a line at `character_deg` from its Burgers direction (90 edge, 0 screw)."""
    b, n = np.asarray(direction, float), np.asarray(normal, float)
    angle = np.deg2rad(character_deg)
    line = np.cos(angle) * b + np.sin(angle) * np.cross(n, b)
    e = np.cross(line, n)
    size = np.sum(b * e, -1)[..., None, None]
    return size * (e[..., :, None] * e[..., None, :] - np.eye(3) / 3)


def climb_modes(systems: Systems) -> ClimbModes:
    """Climb modes of the slip systems of a Systems record; ParameterError when it has none."""
    first: dict[tuple, int] = {}  # system of every Burgers direction, whatever its sign
    for s in np.flatnonzero(systems.slip):
        b = np.round(systems.direction[s], 8) + 0.0
        lead = next(v for v in b if abs(v) > 1e-6)
        first.setdefault(tuple(b * np.sign(lead) + 0.0), int(s))
    index = np.array(list(first.values()), int)
    if len(index) == 0:
        raise ParameterError("these systems have no slip, so no dislocations that could climb")
    direction, names = systems.direction[index], ("climb [" + systems.names[i].split("[")[-1] for i in index)
    return ClimbModes(direction, climb_tensor(direction, systems.plane[index]), tuple(names))
