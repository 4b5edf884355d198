"""A simulated ECCI picture of single dislocation lines.

    I = L (1 + B(x, y) + sum_k c_k s(p_k) e(q_k)) (1 + r(y)),     grey = L n^2 Poisson(I / (L n^2))
    s(p) = exp(-p^2 / 2 w^2)  (bright),  minus it (dark),  or  +-(p / w) exp((1 - p^2 / w^2) / 2)  (pair)

| symbol | meaning | unit |
|---|---|---|
| p, q | distance from line k across it and along it from its centre | um |
| w | a quarter of the width over which the line is seen | um |
| e | 1 along the line, falling to 0 over w beyond its ends | 1 |
| c | contrast of a line: full, weak or none | share of the brightness |
| B | slow unevenness: a plane and two waves longer than half of the picture | 1 |
| r | brightness of a scanned row, normal | 1 |
| n | relative standard deviation of a pixel of mean brightness | 1 |

Beam and pixel blur the profile to w' = sqrt(w^2 + (pixel / 2)^2), which lowers a single line by w / w' and a
pair by (w / w')^2. A dislocation shows as a line or as a bright and dark pair 20 nm to 40 nm wide, depending
on depth and deviation from the Bragg condition.

Reference: Zaefferer & Elhami 2014, Acta Mater. 75:20.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import erf

from cpml.errors import ParameterError
from cpml.microscopy.images.sem_image import SemImage

NEEDED = ("x_um", "y_um", "angle_deg", "length_um", "seen")
PROFILES = ("pair", "bright", "dark")
BLUR_PX = 0.5
"""Standard deviation of the blur by beam and pixel."""
REACH = 5.0
"""Widths w on each side within which a line is drawn."""


def line_picture(
    lines: pd.DataFrame,
    *,
    shape: tuple[int, int],
    pixel_um: float,
    seed: int,
    noise: float = 0.1,
    contrast: float = 0.25,
    weak: float = 0.4,
    width_um: float = 0.03,
    unevenness: float = 0.1,
    stripes: float = 0.01,
    level: float = 1000.0,
) -> SemImage:
    """A picture of given lines under one channelling condition.

    The same lines with another column `seen` and another `seed` are the same place under another condition.

    Parameters
    ----------
    lines : x_um, y_um (centre, from the centre of the first pixel, y down), angle_deg (counter-clockwise from
        +x as seen on screen), length_um, seen ("visible", "weak" or "invisible"), and, if wanted, profile
        ("pair", "bright" or "dark"; "pair" where the column is missing)
    shape : (rows, columns)
    pixel_um : edge of a pixel in um
    seed : of noise, stripes, unevenness and of the side on which a pair is bright
    noise : relative standard deviation of a pixel of mean brightness
    contrast, weak : of a visible line, share of the brightness; of a weak line, share of a visible one's
    width_um : over which a line is seen
    unevenness, stripes : relative standard deviation of the background and of the brightness of rows
    level : mean grey level

    Raises
    ------
    ParameterError : a column is missing, a word of `seen` or `profile` is unknown, or a size is not positive
    """
    _check(lines, shape, pixel_um, width_um, noise, level)
    rng = np.random.default_rng(seed)
    sign = rng.choice([-1.0, 1.0], len(lines))
    picture: NDArray = 1.0 + unevenness * _background(shape, rng)
    strength = lines["seen"].map({"visible": contrast, "weak": weak * contrast, "invisible": 0.0})
    profile = lines["profile"] if "profile" in lines else pd.Series("pair", lines.index)
    places = lines[["x_um", "y_um", "angle_deg", "length_um"]].to_numpy(float)
    for place, c, kind, side in zip(places, strength, profile, sign, strict=True):
        _add_line(picture, place, float(c), kind, side, pixel_um, width_um / 4)
    picture *= 1.0 + stripes * rng.standard_normal((shape[0], 1))
    picture = np.maximum(picture, 0.0)
    if noise > 0:
        picture = noise**2 * rng.poisson(picture / noise**2)
    return SemImage("simulated lines", level * picture, np.ones(shape, bool), float(pixel_um), ("simulated",))


def _check(
    lines: pd.DataFrame, shape: tuple[int, int], pixel_um: float, width_um: float, noise: float, level: float
) -> None:
    missing = [name for name in NEEDED if name not in lines]
    if missing:
        raise ParameterError(f"lines lack the columns {', '.join(missing)}; needed: {', '.join(NEEDED)}")
    unknown = set(lines["seen"]) - {"visible", "weak", "invisible"}
    if unknown:
        raise ParameterError(f"seen {sorted(unknown)}: choose 'visible', 'weak' or 'invisible'")
    if "profile" in lines and set(lines["profile"]) - set(PROFILES):
        raise ParameterError(f"profile {sorted(set(lines['profile']))}: choose among {', '.join(PROFILES)}")
    if min(shape) < 1 or not (pixel_um > 0 and width_um > 0 and noise >= 0 and level > 0):
        raise ParameterError(
            f"shape {shape}, pixel_um {pixel_um}, width_um {width_um} and level {level} must be positive, "
            f"noise {noise} not negative"
        )


def _background(shape: tuple[int, int], rng: np.random.Generator) -> NDArray:
    """(rows, columns) of mean 0 and standard deviation 1: a plane and two long waves."""
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    slope = rng.standard_normal(2)
    field = slope[0] * x + slope[1] * y
    for _ in range(2):
        kx, ky = rng.uniform(-np.pi, np.pi, 2)
        field = field + np.sin(kx * x + ky * y + rng.uniform(0, 2 * np.pi))
    return (field - field.mean()) / max(field.std(), 1e-12)


def _add_line(
    picture: NDArray, place: NDArray, c: float, kind: str, side: float, pixel_um: float, w_um: float
) -> None:
    """Add c s(p) e(q) of one line to the picture, in the box that it reaches."""
    if c == 0:
        return
    x, y, angle, length = place[0] / pixel_um, place[1] / pixel_um, np.radians(place[2]), place[3] / pixel_um
    sharp = w_um / pixel_um
    w = np.hypot(sharp, BLUR_PX)
    reach = np.abs([np.sin(angle), np.cos(angle)]) * length / 2 + REACH * w
    low = np.maximum(np.floor([y, x] - reach), 0).astype(int)
    high = np.minimum(np.ceil([y, x] + reach) + 1, picture.shape).astype(int)
    if np.any(high <= low):
        return
    row, column = np.mgrid[low[0] : high[0], low[1] : high[1]]
    q = (column - x) * np.cos(angle) - (row - y) * np.sin(angle)
    p = (column - x) * np.sin(angle) + (row - y) * np.cos(angle)
    along = 0.5 * (erf((length / 2 - q) / w) + erf((length / 2 + q) / w))
    if kind == "pair":
        across = side * (sharp / w) ** 2 * (p / w) * np.exp(0.5 - 0.5 * (p / w) ** 2)
    else:
        across = (1.0 if kind == "bright" else -1.0) * (sharp / w) * np.exp(-0.5 * (p / w) ** 2)
    picture[low[0] : high[0], low[1] : high[1]] += c * along * across
