"""Single dislocation lines in an ECCI picture: straight segments, their contrast in other pictures, density.

Segments are where a complex Gabor filter g, long along the line, answers more strongly than noise would,

    f = (I - b) / n,    R_k = g_k * f,    z_k = |R_k| / s_k,    s_k = median |R_k| / sqrt(2 ln 2)
    z_k > z1 = sqrt(2 ln(N / n_false)) somewhere,    z_k > z0 = sqrt(2 ln(1 / 0.003)) along it

The magnitude is blind to the phase: bright, dark and bright-dark pairs answer alike. In noise R_k is a
complex normal value, so P(z > t) = exp(-t^2 / 2), and of N answers at most n_false exceed z1 on average.
Only the strongest of neighbouring directions counts, so that lines which cross remain two lines. What shows
less contrast at its own place than 95 % of empty places is the flank of a line, and left out.

Contrast of a segment, in the picture it was found in or in another one, from the mean profile m(u) along it:

    D(u0) = mean of |m(u) - m0| over |u - u0| <= h,    contrast_to_noise = D(0) / mean of D(parallel offsets)

Density from the N points in which test lines of total length P, along rows and columns, meet the segments
(Ham 1961; lines of random direction in a layer of thickness t), and from their total length L in the area A:

    rho = 2 N / (P t),    rho_L = (4 / pi) L / (A t)

| symbol | meaning | unit |
|---|---|---|
| I, b, n | grey level, its slow background, its local noise | grey |
| g_k, R_k, z_k | Gabor kernel of direction and width k, answer, answer over its noise | 1 |
| N | pixels x directions x widths | 1 |
| u, u0 | distance from the segment, offset of an empty place | px |
| m0, h | level of the profile far from the segment (median), half of the line's width | grey, px |
| t | depth down to which lines are seen | um |
| rho | length of line per volume | 1/m^2 |

References: Gabor 1946, J. IEE 93:429; Ham 1961, Phil. Mag. 6:1183; Zaefferer & Elhami 2014,
Acta Mater. 75:20.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import fft, ndimage, sparse, stats
from scipy.special import erf, erfc
from skimage.draw import line as pixels_between
from skimage.filters import gabor_kernel

from cpml.errors import ParameterError
from cpml.microscopy.images.sem_image import SemImage, destripe, flat_field

ENDS = ["x0_px", "y0_px", "x1_px", "y1_px"]
Picture = SemImage | tuple[ArrayLike, float]
WIDTHS = (1.0, 1.6)
"""Line widths looked for, in `width_um`; a Gabor kernel covers about half an octave on either side."""
LEAST_WAVE_PX = 4.0
"""A shorter wave of a kernel is not sampled well enough to tell directions apart."""
BACKGROUND = 4.0
"""Standard deviation of the background's blur, in widths: wider contrast is no line."""
NOISE_REACH = 20.0
"""Standard deviation, in widths, over which the local noise is measured."""
LENGTHS = 1.5
"""Least length over the standard deviation of a kernel along the line."""
LEAST_SCALE = 1e-4
"""Answer to noise, about 0.1 for a picture of any noise: one of a single grey must not find its rounding."""
ANSWER_LEFT = 0.9
"""Share of a line's answer left halfway between two directions; sets their number."""
FOLLOWED = 0.003
"""Share of noise that a line may be followed through from a certain place."""
LEADING = 0.3
"""Share of a segment's pixels where no other direction answers more: where lines cross, one of them does not
lead.
"""
END_SHARE = 0.5
"""Of a line's own answer, at its ends: a line longer than the kernel falls to one half just there."""
LEAST_LEFT = 0.5
"""Of a segment's apparent length when the kernel's is taken out: below it noise decides."""
STRAIGHT_PX = 1.5
"""Deviation from the chord above which a line is split: a pixel more than the staircase of a straight one."""
GROWTH, DOUBLINGS = 4.0, 12
"""Reach of a growing segment at first, in the distance that it may deviate, and how often it is doubled."""
GAP = 2.0
"""Pixels along a segment that may be missing in it."""
TURN = np.radians(20.0)
"""Directions of kernels that answer to one segment."""
LEAST_PIXELS = 100
"""Of a picture or grain that is looked at."""
NEAREST_OFFSET, FURTHEST_OFFSET = 2.0, 12.0
"""Parallel offsets at which the picture is taken for empty, in widths."""
LEAST_OFFSETS = 4
"""Empty places that a contrast is compared with at least."""
LEAST_SHARE = 0.7
"""Of a segment's length that a mean along it needs."""
FLANK, OWN = 1.4, 1.5
"""Standard deviation, in widths, of a line's answer across it; multiple of that answer below which another
segment beside it or at its end is only its flank.
"""
EMPTY_SHARE = 0.95
"""Of empty places that show less than what is called weak."""
CERTAIN = 2.0
"""A line is visible at this multiple of what 95 % of empty places stay below: noise then makes up less than
half of what is seen."""


def find_segments(
    image: Picture,
    *,
    label: ArrayLike | None = None,
    width_um: float = 0.03,
    least_length_um: float | None = None,
    false_segments: float = 1.0,
) -> pd.DataFrame:
    """Straight segments of dislocation lines: bright, dark, or bright and dark side by side.

    Takes about 3 s and 0.3 GB per million pixels with the usual lengths, more for a longer least length.

    Parameters
    ----------
    image : the picture with its pixel size, or (values (rows, columns), pixel_um)
    label : (rows, columns) int, grain of every pixel, 0 = none; lines end at its boundaries, which are no
        lines themselves. Without it the picture is one grain, and the edge between two grains may be found
    width_um : over which a line is seen; taken as two pixels where it is less
    least_length_um : of a segment; None: four widths
    false_segments : expected at most in a picture of the same size and noise without lines

    Returns
    -------
    DataFrame segment_id (from 1, strongest answer first), x_px, y_px (centre), x0_px, y0_px, x1_px, y1_px
    (ends), angle_deg, length_um, contrast_to_noise and, with `label`, grain_id

    Raises
    ------
    ParameterError : no pixel size, no or too few finite values, a label picture of another size, or a number
        that is not positive
    """
    picture, regions = _picture(image, label)
    pixel_um = _pixel_um(picture)
    if not (width_um > 0 and false_segments > 0 and (least_length_um is None or least_length_um > 0)):
        raise ParameterError(
            f"width_um {width_um}, least_length_um {least_length_um} and false_segments {false_segments} "
            "must be positive"
        )
    width_px = _width_px(width_um, pixel_um)
    least_px = 4 * width_px if least_length_um is None else max(least_length_um / pixel_um, 2 * width_px)
    flat, known = _flat(picture, regions, width_px)
    answer = _answers(flat, known, width_px, least_px)
    first = float(np.sqrt(2 * np.log(known.sum() * len(answer) * len(WIDTHS) / false_segments)))
    follow = float(np.sqrt(-2 * np.log(FOLLOWED)))
    widths = width_px, least_px / LENGTHS
    rows = [
        (peak, *_shortened(ends, widths[1]))
        for line in _lines(answer, first, follow)
        for peak, *ends in _straight_parts(line, widths, first)
        if np.hypot(ends[2] - ends[0], ends[3] - ends[1]) >= least_px  # a shorter one the kernel cannot tell
    ]
    return _table(_without_doubles(rows, widths), picture, regions, label is not None, width_um)


def line_contrast(
    image: Picture,
    segments: pd.DataFrame,
    *,
    label: ArrayLike | None = None,
    width_um: float = 0.03,
    invisible_below: float | None = None,
    visible_above: float | None = None,
) -> pd.DataFrame:
    """Contrast of given segments in a picture of the same place, under another channelling condition.

    Parameters
    ----------
    image : the picture, registered to that in which the segments were found, or (values, pixel_um)
    segments : table of `find_segments` (segment_id and ends)
    label : (rows, columns) int, grains, which are levelled one by one
    width_um : over which a line is seen
    invisible_below : contrast_to_noise that 95 % of empty places of this picture stay below; None measures
        it at the offsets parallel to the segments
    visible_above : between both a line is "weak"; None: twice `invisible_below`, so that noise makes up less
        than half of what is seen

    Returns
    -------
    DataFrame segment_id, contrast_to_noise, seen ("visible", "weak", "invisible"; "unknown" and NaN where
    the segment leaves the picture or has no empty place beside it)

    Raises
    ------
    ParameterError : no pixel size, columns missing, or limits out of order
    """
    picture, regions = _picture(image, label)
    pixel_um = _pixel_um(picture)
    missing = [name for name in ("segment_id", *ENDS) if name not in segments]
    if missing:
        raise ParameterError(f"segments lack the columns {', '.join(missing)}; take those of find_segments")
    if not width_um > 0:
        raise ParameterError(f"width_um {width_um} must be positive")
    ratio, empty = _contrasts(picture, regions, segments[ENDS].to_numpy(float), _width_px(width_um, pixel_um))
    if invisible_below is None:
        invisible_below = float(np.quantile(empty, EMPTY_SHARE)) if len(empty) else np.inf
    if visible_above is None:
        visible_above = CERTAIN * invisible_below
    if not 0 < invisible_below <= visible_above:
        raise ParameterError(
            f"invisible_below {invisible_below} must be positive and at most visible_above {visible_above}"
        )
    seen = np.select(
        [~np.isfinite(ratio), ratio >= visible_above, ratio >= invisible_below],
        ["unknown", "visible", "weak"],
        "invisible",
    )
    return pd.DataFrame(
        {"segment_id": segments["segment_id"].to_numpy(), "contrast_to_noise": ratio, "seen": seen}
    )


def line_density(
    segments: pd.DataFrame,
    *,
    pixel_um: float,
    shape: tuple[int, int] | None = None,
    label: ArrayLike | None = None,
    depth_um: float = 0.1,
    depth_error: float = 0.3,
    spacing_um: float | None = None,
    level: float = 0.9,
) -> pd.DataFrame:
    """Dislocation density of a picture, or of every grain, from the points where test lines meet segments.

    Test lines run along rows and columns, `spacing_um` apart; lines of one direction only are then counted
    as |sin| + |cos| of their angle, 4 / pi on average. The interval is that of a Poisson count of segments
    that are met at all, since several test lines that meet one segment tell no more of it than one does, and
    of the depth, log-normal, in quadrature on the logarithm.

    Parameters
    ----------
    segments : table of `find_segments`
    pixel_um : edge of a pixel in um
    shape : (rows, columns) of the picture, where there is no label
    label : (rows, columns) int, grain of every pixel, 0 = none: one row per grain
    depth_um : down to which lines are seen, t
    depth_error : relative standard deviation of t
    spacing_um : of the test lines; None: the mean length of the segments
    level : of the interval

    Returns
    -------
    DataFrame grain_id (with `label`), n_lines, length_um (their total in the region), intercepts,
    density_per_m2, low, high, density_by_length_per_m2 (the check by total length)

    Raises
    ------
    ParameterError : neither shape nor label, columns missing, or a number out of range
    """
    missing = [name for name in ENDS if name not in segments]
    if missing:
        raise ParameterError(f"segments lack the columns {', '.join(missing)}; take those of find_segments")
    if not (pixel_um > 0 and depth_um > 0 and depth_error >= 0 and 0 < level < 1):
        raise ParameterError(
            f"pixel_um {pixel_um} and depth_um {depth_um} must be positive, depth_error {depth_error} not "
            f"negative and level {level} between 0 and 1"
        )
    if label is None and shape is None:
        raise ParameterError("the area is not known: give the shape of the picture or a label picture")
    regions = np.ones(shape, int) if label is None and shape else np.asarray(label, int)
    if regions.ndim != 2 or not regions.size:
        raise ParameterError(f"label {regions.shape} must be a picture of rows and columns")
    ends = segments[ENDS].to_numpy(float)
    length_px = np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1])
    if spacing_um is None:
        spacing_um = float(length_px.mean() * pixel_um) if len(ends) else 1.0
    if not spacing_um > 0:
        raise ParameterError(f"spacing_um {spacing_um} must be positive")
    # pixels are the finest test lines, and the picture has at least one
    step = float(np.clip(spacing_um / pixel_um, 1.0, min(regions.shape)))
    met, where = _meetings(ends, step, regions)
    along, share = _shares(ends, regions)
    centre = _mid_region(ends, regions)
    inner_row, inner_column = (np.round(_test_lines(step, n)).astype(int) for n in regions.shape)
    out = []
    for grain in np.unique(regions[regions > 0]):
        is_grain = regions == grain
        test_um = (is_grain[inner_row].sum() + is_grain[:, inner_column].sum()) * pixel_um
        total_um = share[along == grain].sum() * pixel_um
        count, lines = int(np.sum(where == grain)), len(np.unique(met[where == grain]))
        n_lines = int(np.sum(centre == grain))
        area = float(is_grain.sum()) * pixel_um**2
        density, low, high = _interval(count, lines, float(test_um), depth_um, depth_error, level)
        check = 4 / np.pi * total_um / (area * depth_um) * 1e12
        out.append((grain, n_lines, total_um, count, density, low, high, check))
    names = ["grain_id", "n_lines", "length_um", "intercepts", "density_per_m2", "low", "high"]
    table = pd.DataFrame(out, columns=[*names, "density_by_length_per_m2"])
    return table.drop(columns="grain_id") if label is None else table


def _picture(image: Picture, label: ArrayLike | None) -> tuple[SemImage, NDArray]:
    """The picture with what is not finite masked, and the region of every pixel."""
    if not isinstance(image, SemImage):
        values, pixel_um = image
        values = np.asarray(values, float)
        image = SemImage("picture", values, np.ones(values.shape, bool), pixel_um)
    if image.values.ndim != 2:
        raise ParameterError(f"values {image.values.shape} must be a picture of rows and columns")
    regions = np.ones(image.shape, int) if label is None else np.asarray(label, int)
    if regions.shape != image.shape:
        raise ParameterError(f"label {regions.shape} must have the shape of the picture, {image.shape}")
    valid = image.valid & np.isfinite(image.values)
    if np.sum(valid & (regions > 0)) < LEAST_PIXELS:
        raise ParameterError(
            f"{image.name!r} has fewer than {LEAST_PIXELS} finite pixels to look at; check the picture, its "
            "mask and the label"
        )
    values = np.where(valid, image.values, np.median(image.values[valid]))
    return SemImage(image.name, values, valid, image.pixel_um, image.note), regions


def _pixel_um(picture: SemImage) -> float:
    if picture.pixel_um is None or not picture.pixel_um > 0:
        raise ParameterError(
            f"{picture.name!r} has no pixel size; give it to read_image or as (values, pixel_um)"
        )
    return float(picture.pixel_um)


def _width_px(width_um: float, pixel_um: float) -> float:
    return max(width_um / pixel_um, LEAST_WAVE_PX / 2)


def _flat(picture: SemImage, regions: NDArray, width_px: float) -> tuple[NDArray, NDArray]:
    """(rows, columns) f, 0 where not known, and where it is known: a width from grain boundaries and rim."""
    label = np.where(picture.valid, regions, 0)
    flat = flat_field(destripe(picture), sigma_px=BACKGROUND * width_px, label=label)
    size = 2 * int(np.ceil(width_px)) + 1
    inner = ndimage.maximum_filter(label, size) == ndimage.minimum_filter(label, size)
    known = flat.valid & inner
    if not known.any():
        raise ParameterError(f"no grain of {picture.name!r} is wider than {size} pixels; check the label")
    reach = NOISE_REACH * width_px
    weight = ndimage.gaussian_filter(known.astype(float), reach)
    square = np.where(known, flat.values**2, 0.0)
    noise = np.sqrt(ndimage.gaussian_filter(square, reach) / np.maximum(weight, 1e-12))
    least = 1e-6 * max(float(np.abs(picture.values[picture.valid]).max()), 1e-300)
    return np.where(known, flat.values / np.maximum(noise, least), 0.0), known


def _answers(f: NDArray, known: NDArray, width_px: float, least_px: float) -> NDArray:
    """(directions, rows, columns) z, the greatest over the widths; direction k is k 180 deg / directions."""
    along_px = least_px / LENGTHS
    wave = 2 * width_px
    n = int(np.ceil(np.pi * along_px / (wave * np.sqrt(-2 * np.log(ANSWER_LEFT)) / np.pi)))
    n = max(n, 8)
    waves = [wave * scale for scale in WIDTHS]
    pad = int(np.ceil(3 * max(along_px, *waves)))
    size = [fft.next_fast_len(extent + pad) for extent in f.shape]
    spectrum = fft.fft2(f.astype(np.float32), size)
    out = np.zeros((n, *f.shape), np.float32)
    for length in waves:
        for k in range(n):
            # the kernel's wave runs across the line; rows grow downwards
            across = np.pi / 2 - np.pi * k / n
            kernel = gabor_kernel(
                1 / length, theta=across, sigma_x=0.4 * length, sigma_y=along_px, dtype=np.complex64
            )
            envelope = np.abs(kernel)
            kernel = kernel - envelope * (kernel.sum() / envelope.sum())
            rows, columns = kernel.shape
            found = fft.ifft2(spectrum * fft.fft2(kernel, size))
            found = np.roll(found, (-(rows // 2), -(columns // 2)), axis=(0, 1))
            z = np.abs(found[: f.shape[0], : f.shape[1]])
            scale = float(np.median(z[known])) / np.sqrt(2 * np.log(2))
            np.maximum(out[k], np.where(known, z / max(scale, LEAST_SCALE), 0.0), out=out[k])
    return out


def _lines(answer: NDArray, first: float, follow: float) -> list[NDArray]:
    """(n, 5) x, y, direction in rad, z, whether no other direction answers more: pixels of every line."""
    n = len(answer)
    # directions close on themselves: the first is also the neighbour of the last
    crest = (answer >= np.roll(answer, 1, 0)) & (answer >= np.roll(answer, -1, 0)) & (answer > follow)
    crest = np.concatenate([crest, crest[:1]])
    part, count = ndimage.label(crest, structure=np.ones((3, 3, 3), int))
    if not count:
        return []
    same = crest[0]
    joined = sparse.coo_array(
        (np.ones(same.sum(), bool), (part[0][same], part[n][same])), shape=(count + 1, count + 1)
    )
    _, line = sparse.csgraph.connected_components(joined, directed=False)
    k, y, x = np.nonzero(crest[:n])
    own, z = line[part[k, y, x]], answer[k, y, x].astype(float)
    peak = np.zeros(line.max() + 1)
    np.maximum.at(peak, own, z)
    certain = peak[own] > first
    leads = z >= answer.max(axis=0)[y, x]
    own, pixels = own[certain], np.stack([x, y, np.pi * k / n, z, leads], axis=1)[certain]
    order = np.argsort(own, kind="stable")
    if not len(order):
        return []
    return [pixels[group] for group in np.split(order, np.flatnonzero(np.diff(own[order])) + 1)]


def _straight_parts(pixels: NDArray, widths: tuple[float, float], first: float) -> list[tuple[float, ...]]:
    """(greatest z, x0, y0, x1, y1) of the straight parts of a line; pixels (n, 5) as of `_lines`, widths
    (px) of a line and of the kernel along it.

    The strongest pixel begins a part, which grows along its direction; what lies on it is taken out, and the
    rest is looked at again, so that a bent line becomes a chain of parts. Each must be certain by itself, for
    a line that has ended may be followed into noise, and lead over a share of its pixels, for a strong line
    answers weakly in other directions, too.
    """
    straight_px = max(STRAIGHT_PX, widths[0])
    out = []
    while len(pixels) and pixels[:, 3].max() > first:
        seed = pixels[np.argmax(pixels[:, 3])]
        centre, t, reach = seed[:2], seed[2], GROWTH * straight_px
        turned = np.abs((pixels[:, 2] - t + np.pi / 2) % np.pi - np.pi / 2) < TURN
        own = turned & (pixels[:, 3] >= END_SHARE * seed[3])
        before = 0
        for _ in range(DOUBLINGS):
            place, offset = _seen_from(pixels, centre, t)
            middle = float(_seen_from(seed[None], centre, t)[0][0])
            near = own & (np.abs(offset) <= straight_px) & (np.abs(place - middle) <= reach)
            near[near] = _in_one_piece(place[near], middle)
            if near.sum() < 2 or near.sum() == before:
                break
            before = int(near.sum())
            centre, t = _fitted(pixels[near], t)
            reach *= 2
        place, offset = _seen_from(pixels, centre, t)
        middle = float(_seen_from(seed[None], centre, t)[0][0])
        part = own & (np.abs(offset) <= straight_px)
        part[part] = _in_one_piece(place[part], middle)
        low, high = (place[part].min(), place[part].max()) if part.any() else (0.0, 0.0)
        along = np.array([np.cos(t), -np.sin(t)])
        if part.any() and pixels[part, 4].mean() >= LEADING:
            out.append((float(seed[3]), *(centre + low * along), *(centre + high * along)))
        beside = turned & (pixels[:, 3] < OWN * seed[3] * _own_answer(place, offset, low, high, widths))
        beside[np.argmax(pixels[:, 3])] = True
        pixels = pixels[~(part | beside)]
    return out


def _seen_from(pixels: NDArray, centre: NDArray, t: float) -> tuple[NDArray, NDArray]:
    """Places (n,) along the line of direction t (rad) through the centre and distances (n,) from it."""
    x, y = pixels[:, 0] - centre[0], pixels[:, 1] - centre[1]
    return x * np.cos(t) - y * np.sin(t), x * np.sin(t) + y * np.cos(t)


def _in_one_piece(place: NDArray, middle: float) -> NDArray:
    """(n,) bool: places that are joined to the one nearest to the middle without a gap."""
    if not len(place):
        return np.zeros(0, bool)
    order = np.argsort(place)
    piece = np.empty(len(place), int)
    piece[order] = np.r_[0, np.cumsum(np.diff(place[order]) > GAP)]
    return piece == piece[np.argmin(np.abs(place - middle))]


def _fitted(pixels: NDArray, t: float) -> tuple[NDArray, float]:
    """Centre (2,) and direction (rad) of the line through pixels of about direction t: their mean distance
    from it as a linear function of the place.
    """
    weight = pixels[:, 3] ** 2
    centre = np.average(pixels[:, :2], axis=0, weights=weight)
    place, offset = _seen_from(pixels, centre, t)
    square = np.sum(weight * place**2)
    return centre, t - float(np.arctan(np.sum(weight * place * offset) / square)) if square > 0 else t


def _shortened(ends: list[float], along_px: float) -> tuple[float, float, float, float]:
    """The ends of the line of which a kernel of standard deviation `along_px` sees these as ends.

    The answer along a line of length L is erf((L / 2 + q) / a) + erf((L / 2 - q) / a), a = sqrt 2 along_px;
    the ends seen are where it is END_SHARE of that at q = 0.
    """
    q = np.linspace(0.0, 10.0, 201)
    length = np.linspace(0.1, 16.0, 160)[:, None]
    answer = erf((length / 2 + q) / np.sqrt(2)) + erf((length / 2 - q) / np.sqrt(2))
    seen = 2 * q[np.sum(answer >= END_SHARE * answer[:, :1], axis=1) - 1]
    x0, y0, x1, y1 = ends
    apparent = float(np.hypot(x1 - x0, y1 - y0)) / along_px
    true = float(np.interp(apparent, seen, length[:, 0])) if apparent < seen[-1] else apparent
    left = 0.5 * max(true / apparent, LEAST_LEFT)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return x - left * (x1 - x0), y - left * (y1 - y0), x + left * (x1 - x0), y + left * (y1 - y0)


def _own_answer(
    place: NDArray, offset: NDArray, low: ArrayLike, high: ArrayLike, widths: tuple[float, float]
) -> NDArray:
    """Share (n,) of its greatest answer that a line from low to high gives at places along it and distances
    from it, in its own direction.
    """
    beyond = np.maximum(np.subtract(low, place), np.subtract(place, high))
    return np.exp(-0.5 * (offset / (FLANK * widths[0])) ** 2) * erfc(beyond / (np.sqrt(2) * widths[1])) / 2


def _without_doubles(rows: list[tuple], widths: tuple[float, float]) -> NDArray:
    """(n, 4) ends of the segments, strongest first, less those that are flanks of a stronger one."""
    kept: list[tuple] = []
    for row in sorted(rows, reverse=True):
        if kept:
            peak, x0, y0, x1, y1 = np.array(kept).T
            t = np.arctan2(y0 - y1, x1 - x0)
            turn = np.arctan2(row[2] - row[4], row[3] - row[1]) - t
            x, y = (row[1] + row[3]) / 2 - x0, (row[2] + row[4]) / 2 - y0
            place, offset = x * np.cos(t) - y * np.sin(t), x * np.sin(t) + y * np.cos(t)
            flank = OWN * peak * _own_answer(place, offset, 0.0, np.hypot(x1 - x0, y1 - y0), widths)
            if np.any((row[0] < flank) & (np.abs((turn + np.pi / 2) % np.pi - np.pi / 2) < TURN)):
                continue
        kept.append(row)
    return np.array(kept).reshape(-1, 5)[:, 1:]


def _table(
    ends: NDArray, picture: SemImage, regions: NDArray, has_label: bool, width_um: float
) -> pd.DataFrame:
    pixel_um = _pixel_um(picture)
    contrast, empty = _contrasts(picture, regions, ends, _width_px(width_um, pixel_um))
    # the flank of a strong line, which an elongated kernel still sees, shows nothing at its own place
    shown = ~(contrast < np.quantile(empty, EMPTY_SHARE)) if len(empty) else np.ones(len(ends), bool)
    ends, contrast = ends[shown], contrast[shown]
    step = ends[:, 2:] - ends[:, :2]
    angle = np.degrees(np.arctan2(-step[:, 1], step[:, 0])) % 180.0
    table = pd.DataFrame(
        {
            "segment_id": np.arange(1, len(ends) + 1),
            "x_px": (ends[:, 0] + ends[:, 2]) / 2,
            "y_px": (ends[:, 1] + ends[:, 3]) / 2,
            **{name: ends[:, k] for k, name in enumerate(ENDS)},
            "angle_deg": np.where(angle < 180.0, angle, 0.0),
            "length_um": np.hypot(*step.T) * pixel_um,
            "contrast_to_noise": contrast,
        }
    )
    return table.assign(grain_id=_mid_region(ends, regions)) if has_label else table


def _contrasts(
    picture: SemImage, regions: NDArray, ends: NDArray, width_px: float
) -> tuple[NDArray, NDArray]:
    """contrast_to_noise (n,) of the segments, and what the empty places beside them show (any number)."""
    flat, known = _flat(picture, regions, width_px)
    half = int(np.ceil((width_px + 1) / 2))
    drawn: NDArray = np.zeros_like(known)
    for x0, y0, x1, y1 in np.round(ends).astype(int):
        rows, columns = pixels_between(y0, x0, y1, x1)
        inside = (rows >= 0) & (rows < drawn.shape[0]) & (columns >= 0) & (columns < drawn.shape[1])
        drawn[rows[inside], columns[inside]] = True
    free = known & ~ndimage.binary_dilation(drawn, iterations=half)
    nearest, furthest = int(np.ceil(NEAREST_OFFSET * width_px)), int(np.ceil(FURTHEST_OFFSET * width_px))
    u = np.arange(-furthest, furthest + 1)
    side = np.arange(nearest + half, furthest - half + 1, 2 * half + 1)
    places = np.r_[-side[::-1], side] + furthest
    window = np.arange(-half, half + 1)
    ratio, empty = np.full(len(ends), np.nan), []
    for k, (x0, y0, x1, y1) in enumerate(ends):
        length = max(float(np.hypot(x1 - x0, y1 - y0)), 1.0)
        q = np.linspace(0.0, 1.0, int(np.ceil(length)) + 1)
        x = x0 + q * (x1 - x0) + u[:, None] * (y1 - y0) / length
        y = y0 + q * (y1 - y0) - u[:, None] * (x1 - x0) / length
        on = np.abs(u)[:, None] <= half
        share = ndimage.map_coordinates(known.astype(np.float32), [y, x], order=1)
        share_free = ndimage.map_coordinates(free.astype(np.float32), [y, x], order=1)
        use = np.where(on, share, share_free) > 0.99
        values = ndimage.map_coordinates(flat, [y, x], order=1)
        n = use.sum(axis=1)
        profile = np.where(n >= LEAST_SHARE * len(q), np.sum(values * use, axis=1) / np.maximum(n, 1), np.nan)
        around = profile[places[:, None] + window]
        around = around[np.isfinite(around).all(axis=1)]
        if len(around) < LEAST_OFFSETS:
            continue
        middle = np.median(around)
        beside = np.abs(around - middle).mean(axis=1)
        ratio[k] = np.abs(profile[furthest + window] - middle).mean() / beside.mean()
        empty.append(beside * (len(beside) - 1) / (beside.sum() - beside))
    return ratio, np.concatenate(empty) if empty else np.zeros(0)


def _mid_region(ends: NDArray, regions: NDArray) -> NDArray:
    """(n,) region at the centre of every segment."""
    return _region_at((ends[:, 0] + ends[:, 2]) / 2, (ends[:, 1] + ends[:, 3]) / 2, regions)


def _region_at(x: NDArray, y: NDArray, regions: NDArray) -> NDArray:
    """Regions (n,) at pixel positions, 0 outside the picture."""
    column, row = np.round(x).astype(int), np.round(y).astype(int)
    inside = (row >= 0) & (row < regions.shape[0]) & (column >= 0) & (column < regions.shape[1])
    return np.where(
        inside, regions[np.clip(row, 0, len(regions) - 1), np.clip(column, 0, regions.shape[1] - 1)], 0
    )


def _test_lines(step: float, n: int) -> NDArray:
    """Places of test lines over n pixels, which reach from -0.5 to n - 0.5."""
    return np.arange(step / 2 - 0.5, n - 0.5, step)


def _meetings(ends: NDArray, step: float, regions: NDArray) -> tuple[NDArray, NDArray]:
    """Segment (n,) and region (n,) of every point in which a test line meets a segment."""
    segment, x, y = [], [], []
    for axis in (0, 1):  # test lines along columns cut x, those along rows cut y
        start, stop = ends[:, axis], ends[:, 2 + axis]
        at = _test_lines(step, regions.shape[1 - axis])
        low, high = np.searchsorted(at, np.minimum(start, stop)), np.searchsorted(at, np.maximum(start, stop))
        own = np.repeat(np.arange(len(ends)), high - low)
        place = np.concatenate([at[a:b] for a, b in zip(low, high, strict=True)] or [np.zeros(0)])
        q = (place - start[own]) / (stop - start)[own]
        segment.append(own)
        x.append(ends[own, 0] + q * (ends[own, 2] - ends[own, 0]))
        y.append(ends[own, 1] + q * (ends[own, 3] - ends[own, 1]))
    return np.concatenate(segment), _region_at(np.concatenate(x), np.concatenate(y), regions)


def _shares(ends: NDArray, regions: NDArray) -> tuple[NDArray, NDArray]:
    """Region (m,) and length in pixels (m,) of pieces, a pixel long at most, of the segments."""
    length = np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1])
    count = np.maximum(np.ceil(length), 1).astype(int)
    own = np.repeat(np.arange(len(ends)), count)
    q = (np.concatenate([np.arange(n) for n in count] or [np.zeros(0)]) + 0.5) / count[own]
    x = ends[own, 0] + q * (ends[own, 2] - ends[own, 0])
    y = ends[own, 1] + q * (ends[own, 3] - ends[own, 1])
    return _region_at(x, y, regions), (length / count)[own]


def _interval(
    count: int, lines: int, test_um: float, depth_um: float, depth_error: float, level: float
) -> tuple[float, float, float]:
    """(density, low, high) per m^2 of `count` meetings with `lines` segments."""
    if not test_um > 0:
        return np.nan, np.nan, np.nan
    tail = (1 - level) / 2
    depth = stats.norm.ppf(1 - tail) * np.sqrt(np.log1p(depth_error**2))
    most = stats.chi2.ppf(1 - tail, 2 * lines + 2) / 2
    if count == 0:
        return 0.0, 0.0, float(2e12 * most / (test_um * depth_um) * np.exp(depth))
    density = 2e12 * count / (test_um * depth_um)
    least = stats.chi2.ppf(tail, 2 * lines) / 2
    low = density * np.exp(-np.hypot(np.log(lines / least), depth))
    return density, float(low), float(density * np.exp(np.hypot(np.log(most / lines), depth)))
