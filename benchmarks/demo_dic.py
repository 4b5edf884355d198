"""A virtual HR-DIC field of a virtual specimen: the simulated strain of its surface, sharp bands of the
simulated shear in every grain, and noise.

Every plane that the simulation sheared steps the displacement along bands parallel to its trace, as far apart
and as high as its shear asks for; the slip direction is that of the plane's system with the largest resolved
shear. The steps fade out towards grain boundaries, so that the field is continuous and bands change the mean
strain of no grain. Bands are drawn, not solved. Truth goes in: only the demo's field is made with it, nothing
reads it back.

    u(x) = w(x) sum_bands h b_xy (1 + tanh(across / WIDTH_UM)) / 2 + u0(x),    h = shear x spacing

u0 is the displacement of the simulated in-plane strain E: its mean, and the fluctuation that solves
div sym grad u0 = div E on the periodic map, the least squares of sym grad u0 - E.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.slip_systems import Systems
from cpml.virtual.truth import ACTIVE_SHEAR, SAME_PLANE, Truth

STEP_UM = 0.5
SIZE = 240  # vectors a side
CORNER_UM = (4.0, 4.0)
WIDTH_UM, LEAST_SPACING_UM, FADE_UM = 0.35, 1.5, 2.0
NOISE = 0.007  # vector distances; after differences 0.005 of a displacement gradient
VOXEL_UM = 2.0  # of the simulation
MIN_INCLINATION_DEG = 12.0


def homologous_points(step_um: float = 1.0) -> list[list[float]]:
    """Rows [vector column, row, map column, row] of the corners and the middle."""
    places = [(0, 0), (SIZE - 1, 0), (0, SIZE - 1), (SIZE - 1, SIZE - 1), (SIZE // 2, SIZE // 3)]
    return [
        [c, r, (CORNER_UM[0] + STEP_UM * c) / step_um, (CORNER_UM[1] + STEP_UM * r) / step_um]
        for c, r in places
    ]


def simulated_strain(source: Path) -> NDArray:
    """(rows, columns, 3) E_xx, E_yy, E_xy of the surface voxels, from the folder of a virtual specimen."""
    with np.load(Path(source) / "maps_truth.npz", allow_pickle=False) as file:
        strain = file["logstrain_voxel"].astype(float)
    return np.stack([strain[..., 0, 0], strain[..., 1, 1], strain[..., 0, 1]], axis=-1)


def displacement(strain: NDArray, x: NDArray, y: NDArray) -> NDArray:
    """(2, ...) u0 in um at points x, y (um) of strains (rows, columns, 3); without rotation of the whole."""
    mean = strain.mean((0, 1))
    rows, columns = strain.shape[:2]
    xx, yy, xy = np.moveaxis(np.fft.fft2(strain - mean, axes=(0, 1)), -1, 0)
    ky, kx = np.meshgrid(*(2 * np.pi * np.fft.fftfreq(n, VOXEL_UM) for n in (rows, columns)), indexing="ij")
    square = kx**2 + ky**2
    square[0, 0] = 1.0
    force = -1j * np.stack([xx * kx + xy * ky, xy * kx + yy * ky])
    # (k^2 I + k k)/2 of the symmetric gradient, inverted
    along = (kx * force[0] + ky * force[1]) / square
    wave = (2 * force - np.stack([kx, ky]) * along) / square
    wave[:, 0, 0] = 0.0
    part = np.fft.ifft2(wave, axes=(1, 2)).real
    place = np.stack([y, x]) / VOXEL_UM - 0.5  # of the centres of voxels
    smooth = np.stack([map_coordinates(p, place, order=3, mode="grid-wrap") for p in part])
    uniform = np.array([[mean[0], mean[2]], [mean[2], mean[1]]])
    return smooth + np.einsum("ij,j...->i...", uniform, np.stack([x, y]) - 64.0)


def draw(
    truth: Truth,
    grain: NDArray,
    quaternions: NDArray,
    systems: Systems,
    strain: NDArray,
    *,
    seed: int = 0,
) -> dict[str, NDArray]:
    """x, y, u, v (SIZE, SIZE), in vector distances, v positive down.

    Parameters
    ----------
    grain : (rows, columns) index into ``quaternions`` of every map pixel, -1 = none
    quaternions : (G, 4) crystal_to_sample of the generator's grains, NaN where the map does not show one
    strain : of :func:`simulated_strain`
    """
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:SIZE, :SIZE].astype(float)
    x, y = CORNER_UM[0] + STEP_UM * column, CORNER_UM[1] + STEP_UM * row
    number = grain[np.rint(y).astype(int), np.rint(x).astype(int)]
    u = displacement(strain, x, y)
    for g in np.unique(number[number >= 0]):
        mine = number == g
        depth = STEP_UM * distance_transform_edt(np.pad(mine, 1))[1:-1, 1:-1][mine]
        fade = np.clip(depth / FADE_UM, 0, 1)
        steps = np.zeros((2, mine.sum()))
        for plane in truth.planes[
            (truth.planes["grain"] == g) & (truth.planes["shear"] > ACTIVE_SHEAR)
        ].itertuples():
            flat = np.hypot(plane.nx, plane.ny)
            direction = _direction(np.array([plane.nx, plane.ny, plane.nz]), quaternions[g], systems)
            if np.degrees(np.arcsin(min(flat, 1.0))) < MIN_INCLINATION_DEG or direction is None:
                continue
            across = (plane.nx * x[mine] + plane.ny * y[mine]) / flat
            spacing = LEAST_SPACING_UM + 0.15 / plane.shear
            places = np.arange(across.min() + spacing * rng.uniform(), across.max(), spacing)
            rise = sum(0.5 * (1 + np.tanh((across - p) / WIDTH_UM)) for p in places)
            steps += direction[:2, None] * plane.shear * spacing * rise
        u[:, mine] += fade * (steps - steps.mean(axis=1, keepdims=True))
    u = u / STEP_UM + rng.normal(0, NOISE, u.shape)
    coordinates = {"x": column.astype(np.int16), "y": row.astype(np.int16)}
    # a hundredth of the noise is not worth its bytes
    return coordinates | {
        name: np.round(part, 3).astype(np.float32) for name, part in zip("uv", u, strict=True)
    }


def _direction(normal: NDArray, quaternion: NDArray, systems: Systems) -> NDArray | None:
    """(3,) slip direction, sample frame, towards which the upper side moves under compression along x."""
    turn = quaternion_to_matrix(quaternion)
    planes, directions = systems.plane @ turn.T, systems.direction @ turn.T
    same = np.flatnonzero(systems.slip & (np.abs(planes @ normal) > SAME_PLANE))
    if not len(same):
        return None
    resolved = -directions[same, 0] * normal[0]  # of a unit compression along x
    best = same[np.abs(resolved).argmax()]
    return directions[best] * np.sign(-directions[best, 0] * normal[0])


def write(field: dict[str, NDArray], path: Path) -> None:
    """One .npz."""
    np.savez_compressed(path, **field)
