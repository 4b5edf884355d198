"""Crystal orientations of a volume: random, about a few ideal orientations, or along fibres."""

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply, random_quaternions

FIBRES = ((0, 0, 1), (1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 2))


def scattered(centre: NDArray, count: int, spread_deg: float, rng: np.random.Generator) -> NDArray:
    """(count, 4) orientations about one, turned by rotation vectors with a normal component each."""
    turn = np.deg2rad(spread_deg) * rng.standard_normal((count, 3))
    angle = np.linalg.norm(turn, axis=1)
    return quaternion_multiply(
        axis_angle_to_quaternion(turn / np.maximum(angle, 1e-12)[:, None], angle), centre
    )


def fibre(
    crystal: NDArray, sample: NDArray, count: int, spread_deg: float, rng: np.random.Generator
) -> NDArray:
    """(count, 4) crystal_to_sample with a crystal direction along a sample direction, free about it."""
    crystal, sample = (np.asarray(v, float) / np.linalg.norm(v) for v in (crystal, sample))
    axis = np.cross(crystal, sample)
    if np.linalg.norm(axis) < 1e-9:
        axis = np.cross(crystal, np.roll(crystal, 1) + 0.1)
    axis /= np.linalg.norm(axis)
    there = axis_angle_to_quaternion(axis, np.arccos(np.clip(crystal @ sample, -1, 1)))
    about = axis_angle_to_quaternion(np.tile(sample, (count, 1)), 2 * np.pi * rng.random(count))
    lined_up = quaternion_multiply(about, there)
    turn = scattered(np.array([1.0, 0, 0, 0]), count, spread_deg, rng)
    return quaternion_multiply(turn, lined_up)


def random_texture(count: int, hexagonal: bool, rng: np.random.Generator) -> NDArray:
    """(count, 4) orientations of a texture that is itself drawn: none (a third of all), one to three
    components or fibres of 8 to 35 deg over a random background.
    """
    q = random_quaternions(count, rng)
    if rng.random() < 1 / 3:
        return q
    kind = rng.integers(0, rng.integers(1, 4) + 1, count)  # 0: the background stays
    for component in range(1, kind.max(initial=0) + 1):
        members = np.flatnonzero(kind == component)
        spread = rng.uniform(8.0, 35.0)
        if rng.random() < 0.6:
            which = (0, 0, 1) if hexagonal and rng.random() < 0.7 else FIBRES[rng.integers(len(FIBRES))]
            sample = np.eye(3)[rng.integers(3)] if rng.random() < 0.8 else rng.standard_normal(3)
            q[members] = fibre(np.array(which), sample, len(members), spread, rng)
        else:
            q[members] = scattered(random_quaternions(1, rng)[0], len(members), spread, rng)
    return q
