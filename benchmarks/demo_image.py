"""A virtual BSE image of a virtual specimen: grain contrast, slip lines of the simulated
shear, the microscope's faults.

Every plane that the simulation sheared leaves dark lines along its trace, closer where the shear is larger
and fainter where the plane is flatter; the picture is turned and scaled against the map, darker to one
side, jumps from row to row, is noisy, and has a data bar. Truth goes in: only the demo's image is made
with it, nothing reads it back.

    spacing = LEAST_SPACING_UM + 0.15 um / shear,     depth = DEPTH sin(inclination)
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cpml.virtual.truth import ACTIVE_SHEAR, Truth

PIXEL_UM = 0.25
SIZE = 490
BAR_ROWS = 30
TURN_DEG = 1.5
CORNER_UM = (3.0, 0.5)
LEAST_SPACING_UM, WIDTH_UM, DEPTH = 1.5, 0.3, 40.0
MIN_INCLINATION_DEG = 12.0
FEI_TAG = 34682


def map_position(columns: NDArray, rows: NDArray, step_um: float = 1.0) -> tuple[NDArray, NDArray]:
    """Map column and row, not whole numbers, under each pixel (column, row) of the image."""
    c, s = np.cos(np.radians(TURN_DEG)), np.sin(np.radians(TURN_DEG))
    x = CORNER_UM[0] + PIXEL_UM * (c * columns - s * rows)
    y = CORNER_UM[1] + PIXEL_UM * (s * columns + c * rows)
    return x / step_um, y / step_um


def draw(truth: Truth, grain: NDArray, *, seed: int = 0) -> NDArray:
    """(SIZE + BAR_ROWS, SIZE) uint8 picture.

    Parameters
    ----------
    grain : (rows, columns) grains of the map, twin lamellae among them: each has its own grey
    """
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:SIZE, :SIZE].astype(float)
    x, y = map_position(column, row)
    inside = (x > -0.5) & (y > -0.5) & (x < grain.shape[1] - 0.5) & (y < grain.shape[0] - 0.5)
    place = tuple(np.clip(np.rint(v), 0, n - 1).astype(int) for v, n in zip((y, x), grain.shape, strict=True))
    grey = rng.uniform(95, 140, int(grain.max()) + 1)[grain[place]]
    grey = grey - _lines(truth, truth.surface_grain[place], x, y, rng)
    shade = 35 * (column / SIZE) + 20 * (row / SIZE - 0.5) ** 2
    grey = grey - shade + rng.normal(0, 2, (SIZE, 1)) + rng.normal(0, 3, (SIZE, SIZE))
    picture = np.where(inside, grey, 20.0)
    bar = np.full((BAR_ROWS, SIZE), 0.0)
    return np.clip(np.rint(np.concatenate([picture, bar])), 0, 255).astype(np.uint8)


def _lines(truth: Truth, surface: NDArray, x: NDArray, y: NDArray, rng) -> NDArray:
    """Depth of all slip lines at each pixel, greys."""
    depth = np.zeros(surface.shape)
    for plane in truth.planes[truth.planes["shear"] > ACTIVE_SHEAR].itertuples():
        flat = np.hypot(plane.nx, plane.ny)
        mine = surface == plane.grain
        if np.degrees(np.arcsin(min(flat, 1.0))) < MIN_INCLINATION_DEG or not mine.any():
            continue
        along = (plane.nx * x[mine] + plane.ny * y[mine]) / flat  # um across the trace
        spacing = LEAST_SPACING_UM + 0.15 / plane.shear
        places = np.arange(along.min(), along.max() + spacing, spacing)
        places = places + rng.normal(0, 0.2 * spacing, len(places))
        near = np.abs(along[:, None] - places).min(axis=1)
        depth[mine] += DEPTH * flat * np.exp(-0.5 * (near / WIDTH_UM) ** 2)
    return depth


def write(picture: NDArray, path: Path) -> None:
    """TIFF with the pixel size and the rows of the picture in a vendor's tag."""
    from PIL import Image
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    tags[FEI_TAG] = f"[Scan]\nPixelWidth={PIXEL_UM * 1e-6:g}\n[Image]\nResolutionY={SIZE}\n"
    Image.fromarray(picture).save(path, tiffinfo=tags, compression="tiff_adobe_deflate")
