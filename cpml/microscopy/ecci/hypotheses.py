"""What a dislocation line in a grain may be: every Burgers vector, every plane that holds it, every direction
of the line in that plane; and lines that left all glide planes of their Burgers vector by climb.

    glide on system s:    u = cos(psi) b + sin(psi) n x b,     psi uniform over half a turn
    climb with b:         u uniform over all directions, but for those within 10 deg of a glide plane of b

A *mode* is a slip system, or the climb of one Burgers vector. A priori all Burgers vectors are equal, a share
c of the lines of each has climbed, and the planes of a Burgers vector are equal.

Only a layer of depth D shows. A straight piece of length l is met by it with a probability ~ D + l |u_z|,
and is seen over the length

    L = min(l |p|, D |p| / |u_z|)

on the surface, p the projection of u (`stage`); l and D are log-normal. This is what tells planes apart: a
long line lies near the surface, and so along the trace of its plane. Where no length is given the inclination
is as open as the mode leaves it.

| symbol | meaning | unit |
|---|---|---|
| b, n, u | unit Burgers vector, plane normal, line direction | (3,) |
| psi | character: 0 screw, 90 deg edge | deg |
| D, l | depth that shows lines, length of straight pieces | um |

D = 0.1 um is an estimate for 20 kV, spread 0.5: some extinction distances (Zaefferer & Elhami 2014, Acta
Mater. 75:20, see lines to about 100 nm). l = 0.5 um is an estimate, spread 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.slip_systems import Systems
from cpml.microscopy.ecci.contrast import BurgersVectors, Reading, burgers_of_systems, state_probability
from cpml.microscopy.ecci.stage import projected_angle_deg

DEPTH_UM, LOG_DEPTH_SD = 0.1, 0.5
PIECE_UM, LOG_PIECE_SD = 0.5, 1.0
CLIMBED = 0.05
"""Share of lines that have climbed, a priori."""
OFF_PLANE_DEG = 10.0
"""A line nearer to a glide plane of its Burgers vector than this has not left it."""
LEAST_FREE = 0.05
"""Share of all directions that must be off all planes, else climb cannot be told (bcc with many planes)."""
LEAST_DENSITY = 1e-3
"""Floor of the density of ln L: lines are not straight, and layers not sharp."""
N_ANGLES = 180
N_AZIMUTHS = 120
INCLINATION_EDGES_DEG = (0.0, 1.0, 2.0, 4.0, 6.0, 10.0, 15.0, 25.0, 40.0, 60.0, 90.0)
SCREW_DEG = EDGE_DEG = 15.0
"""A line within this angle of b is a screw, of the normal to b an edge."""


@dataclass(frozen=True, eq=False)
class Modes:
    """The modes of one crystal: its slip systems, then the climb of its Burgers vectors.

    Attributes
    ----------
    systems : of the crystal
    burgers : its Burgers vectors
    system : (M,) position of the slip system, -1 for climb
    burgers_of : (M,) position of the Burgers vector
    prior : (M,) sum 1
    """

    systems: Systems
    burgers: BurgersVectors
    system: NDArray
    burgers_of: NDArray
    prior: NDArray

    @classmethod
    def of(cls, systems: Systems, *, climbed: float = CLIMBED) -> "Modes":
        """Of the slip systems; climb where directions are left off all planes of a Burgers vector."""
        vectors, number = burgers_of_systems(systems)
        slip = np.flatnonzero(systems.slip)
        climbs = [k for k in range(len(vectors)) if climbed > 0 and _can_climb(systems.plane[number == k])]
        system = np.r_[slip, np.full(len(climbs), -1)].astype(int)
        of = np.r_[number[slip], climbs].astype(int)
        planes = np.bincount(number[slip], minlength=len(vectors))
        share = np.where(np.isin(np.arange(len(vectors)), climbs), climbed, 0.0)
        prior = np.where(system >= 0, (1 - share[of]) / planes[of], share[of]) / len(vectors)
        return cls(systems, vectors, system, of, prior)

    def __len__(self) -> int:
        return len(self.system)

    @property
    def names(self) -> tuple[str, ...]:
        """(M,) system names, or "climb [...]"."""
        return tuple(
            self.systems.names[s] if s >= 0 else f"climb {self.burgers.names[k]}"
            for s, k in zip(self.system, self.burgers_of, strict=True)
        )


@dataclass(frozen=True, eq=False)
class Lines:
    """All lines that a grain may hold, sorted by mode.

    Attributes
    ----------
    modes : of the crystal
    start : (M,) first line of each mode
    mode : (N,)
    log_prior : (N,) within the mode
    direction : (N, 3) crystal frame
    in_sample : (N, 3) sample frame
    character_deg : (N,) angle between line and Burgers vector, 0 to 90
    """

    modes: Modes
    start: NDArray
    mode: NDArray
    log_prior: NDArray
    direction: NDArray
    in_sample: NDArray
    character_deg: NDArray

    @classmethod
    def of(cls, modes: Modes, quaternion: NDArray) -> "Lines":
        """In a grain of orientation (4,)."""
        systems, rotation = modes.systems, quaternion_to_matrix(np.asarray(quaternion, float))
        psi = np.deg2rad((np.arange(N_ANGLES) + 0.5) * 180.0 / N_ANGLES)
        free, weight = _free_directions()
        parts, logs = [], []
        for s, k in zip(modes.system, modes.burgers_of, strict=True):
            if s >= 0:
                b = systems.direction[s]
                across = np.cross(systems.plane[s], b)
                parts.append(np.cos(psi)[:, None] * b + np.sin(psi)[:, None] * across)
                logs.append(np.full(N_ANGLES, -np.log(N_ANGLES)))
            else:
                own = free @ rotation  # crystal frame
                glide = modes.system[(modes.system >= 0) & (modes.burgers_of == k)]
                off = _off_planes(systems.plane[glide], own)
                parts.append(own[off])
                logs.append(np.log(weight[off] / weight[off].sum()))
        sizes = np.array([len(part) for part in parts])
        direction = np.concatenate(parts)
        mode = np.repeat(np.arange(len(modes)), sizes)
        unit = modes.burgers.vector / np.linalg.norm(modes.burgers.vector, axis=1, keepdims=True)
        along = np.abs((direction * unit[modes.burgers_of[mode]]).sum(1))
        return cls(
            modes=modes,
            start=np.r_[0, np.cumsum(sizes)[:-1]],
            mode=mode,
            log_prior=np.concatenate(logs),
            direction=direction,
            in_sample=direction @ rotation.T,
            character_deg=np.degrees(np.arccos(np.clip(along, 0, 1))),
        )

    def state_probability(self, g: NDArray, reading: Reading) -> NDArray:
        """(N, 3) probability of all lines to be recorded in each state under a reflection (3,)."""
        b = self.modes.burgers.vector[self.modes.burgers_of[self.mode]]
        return state_probability(g, b, self.direction, reading)

    def angle_deg(self, beam: NDArray) -> NDArray:
        """(N,) on-screen angles along a beam (3,)."""
        return projected_angle_deg(self.in_sample, beam)

    def log_projection(self, beam: NDArray) -> tuple[NDArray, NDArray]:
        """(N,) log of |p| and of |u_z| along a beam (3,)."""
        u, k = self.in_sample, np.asarray(beam, float)
        p = u - (u[:, 2] / k[2])[:, None] * k
        return (
            np.log(np.maximum(np.linalg.norm(p, axis=1), 1e-6)),
            np.log(np.maximum(np.abs(u[:, 2]), 1e-6)),
        )

    def log_met(self, depth_um: float) -> NDArray:
        """(N,) log of the probability that the layer meets a line, up to a constant."""
        return np.log(1.0 + PIECE_UM / depth_um * np.abs(self.in_sample[:, 2]))

    def log_longer(self, length_um: float, depth_um: float) -> NDArray:
        """(N,) log of the probability that a line is seen over more than a length, the beam along z."""
        projected, steep = self.log_projection(np.array([0.0, 0.0, 1.0]))
        own = (np.log(length_um / PIECE_UM) - projected) / LOG_PIECE_SD
        shown = (np.log(length_um / depth_um) - projected + steep) / LOG_DEPTH_SD
        return log_ndtr(-own) + log_ndtr(-shown)


def log_length_density(
    log_length: NDArray, log_projected: NDArray, log_steep: NDArray, depth_um: float
) -> NDArray:
    """log p(ln L | u), broadcast: the smaller of two log-normal lengths; zero where L is NaN, so not known.

    Parameters
    ----------
    log_projected, log_steep : of `Lines.log_projection`
    """
    own = (log_length - log_projected - np.log(PIECE_UM)) / LOG_PIECE_SD
    shown = (log_length - log_projected + log_steep - np.log(depth_um)) / LOG_DEPTH_SD
    density = _normal(own) / LOG_PIECE_SD * ndtr(-shown) + _normal(shown) / LOG_DEPTH_SD * ndtr(-own)
    return np.where(np.isnan(density), 0.0, np.log(np.maximum(density, LEAST_DENSITY)))


def _normal(z: NDArray) -> NDArray:
    return np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)


def _free_directions() -> tuple[NDArray, NDArray]:
    """Directions (N, 3) of half the sphere, fine near the surface, sample frame, and their solid angles."""
    edges = np.deg2rad(INCLINATION_EDGES_DEG)
    middle, area = (edges[1:] + edges[:-1]) / 2, np.diff(np.sin(edges))
    azimuth = np.arange(N_AZIMUTHS) * 2 * np.pi / N_AZIMUTHS
    flat = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=-1)
    u = np.concatenate([np.c_[np.cos(i) * flat, np.full(N_AZIMUTHS, np.sin(i))] for i in middle])
    return u, np.repeat(area, N_AZIMUTHS)


def _off_planes(planes: NDArray, directions: NDArray) -> NDArray:
    """(N,) bool, directions off all planes (P, 3)."""
    return (np.abs(directions @ planes.T) > np.sin(np.deg2rad(OFF_PLANE_DEG))).all(1)


def _can_climb(planes: NDArray) -> bool:
    free, weight = _free_directions()
    return bool(weight[_off_planes(planes, free)].sum() > LEAST_FREE * weight.sum())
