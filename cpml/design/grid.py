"""Orientation grids, their sample-symmetry copies, and prior textures, for designs
that are weights on a grid.

The grid is a super-Fibonacci spiral on the unit quaternions (Alexa 2022, CVPR): deterministic, any
size, close to uniform; n = 8 pi^2 / (crystal group order * grid^3) points give one point per cube of
the grid spacing in the fundamental zone. Orthotropic sample symmetry (a rolled sheet) is imposed
exactly: each point stands for its four copies under half turns about x, y, z, so shear stresses under
a diagonal strain rate cancel.

| symbol | meaning | shape |
|---|---|---|
| q | crystal_to_sample quaternions | (G, 4) |
| p | prior texture, sum 1 | (G,) |
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.rotations import quaternion_multiply, quaternion_to_matrix
from cpml.crystallography.symmetry import group_of_lattice, proper_group
from cpml.errors import ParameterError

_PHI, _PSI = np.sqrt(2.0), 1.533751168755204288118041  # constants of the spiral
SAMPLE_SYMMETRY = {"orthotropic": "222", "triclinic": "1"}


def spiral_orientations(n: int) -> NDArray:
    """(n, 4) unit quaternions, deterministic and close to uniform on the rotation group."""
    s = np.arange(n) + 0.5
    t, d = s / n, 2 * np.pi * s
    alpha, beta = d / _PHI, d / _PSI
    r, big = np.sqrt(t), np.sqrt(1 - t)
    return np.stack([big * np.cos(beta), r * np.sin(alpha), r * np.cos(alpha), big * np.sin(beta)], axis=-1)


def orientation_grid(lattice: str, grid_deg: float) -> NDArray:
    """(G, 4) orientations with a spacing of about grid_deg in the fundamental zone of the lattice.

    Raises
    ------
    ParameterError : a spacing outside 3 to 30 degrees (3 gives 23,000 cubic orientations)
    """
    if not 3 <= grid_deg <= 30:
        raise ParameterError(f"grid_deg = {grid_deg}: choose 3 to 30 degrees (10 is usual)")
    order = len(proper_group(group_of_lattice(lattice)))
    return spiral_orientations(round(8 * np.pi**2 / (order * np.deg2rad(grid_deg) ** 3)))


def sample_copies(quaternions: NDArray, sample_symmetry: str) -> NDArray:
    """(C, G, 4) copies of orientations under the sample symmetry, the original first."""
    if sample_symmetry not in SAMPLE_SYMMETRY:
        raise ParameterError(f"sample_symmetry {sample_symmetry!r}: choose {', '.join(SAMPLE_SYMMETRY)}")
    return quaternion_multiply(
        proper_group(SAMPLE_SYMMETRY[sample_symmetry])[:, None], np.asarray(quaternions)[None]
    )


_SPREAD_DEG, _BACKGROUND = 20.0, 0.1  # of prior textures
_KERNEL_DEG, _CHUNK = 10.0, 200  # of a given texture; its grains at a time
_Fibre: TypeAlias = tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]

# crystal direction families on sample axes (x load, y width, z sheet normal), each a pair (crystal, sample)
_FIBRES: dict[str, dict[str, _Fibre]] = {
    "cubic": {
        "random": (),
        "cube": (((0, 0, 1), (0, 0, 1)), ((1, 0, 0), (1, 0, 0))),
        "gamma": (((1, 1, 1), (0, 0, 1)),),
        "alpha": (((1, 1, 0), (1, 0, 0)),),
    },
    "hexagonal": {
        "random": (),
        "basal": (((0, 0, 1), (0, 0, 1)),),
        "transverse": (((0, 0, 1), (0, 1, 0)),),
        "prismatic": (((0, 0, 1), (1, 0, 0)),),
    },
}


def prior_names(lattice: str) -> tuple[str, ...]:
    """Prior textures of a lattice; the first is the random one."""
    return tuple(_fibres(lattice))


def _fibres(lattice: str) -> dict[str, _Fibre]:
    return _FIBRES["cubic" if group_of_lattice(lattice) == "432" else "hexagonal"]


def prior_texture(lattice: str, name: str, quaternions: NDArray) -> NDArray:
    """(G,) weights, sum 1: a fibre or component of Gaussian spread (20 degrees) over
    a random background (10 %).

    Raises
    ------
    ParameterError : a name that the lattice does not have
    """
    if name not in _fibres(lattice):
        raise ParameterError(f"prior texture {name!r} of {lattice}: choose {', '.join(_fibres(lattice))}")
    density = np.ones(len(quaternions))
    group = quaternion_to_matrix(proper_group(group_of_lattice(lattice)))
    for crystal, sample in _fibres(lattice)[name]:
        poles = group @ (np.array(crystal, float) / np.linalg.norm(crystal))
        cosine = np.einsum("gij,pj,i->gp", quaternion_to_matrix(quaternions), poles, np.array(sample, float))
        angle = np.arccos(np.clip(np.abs(cosine).max(axis=1), 0, 1))
        density = density * np.exp(-((angle / np.deg2rad(_SPREAD_DEG)) ** 2) / 2)
    density /= density.sum()
    return _BACKGROUND / len(density) + (1 - _BACKGROUND) * density


def texture_on_grid(
    lattice: str, copies: NDArray, quaternions: NDArray, weights: NDArray | None = None
) -> NDArray:
    """(G,) weights, sum 1, of a texture on a grid in its sample copies (C, G, 4): a Gaussian of 10 degrees
    about every orientation (N, 4), over a random background (10 %).
    """
    group = proper_group(group_of_lattice(lattice))
    share = np.full(len(quaternions), 1 / len(quaternions)) if weights is None else weights / np.sum(weights)
    density = np.zeros(copies.shape[1])
    for first in range(0, len(quaternions), _CHUNK):
        some = slice(first, first + _CHUNK)
        for grid in copies:
            angle = np.degrees(disorientation_angle(grid[None], quaternions[some][:, None], group))
            near = np.exp(-((angle / _KERNEL_DEG) ** 2) / 2)
            density += share[some] @ (near / near.sum(1, keepdims=True))
    density /= density.sum()
    return _BACKGROUND / len(density) + (1 - _BACKGROUND) * density
