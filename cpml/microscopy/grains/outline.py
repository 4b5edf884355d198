"""The outline of the grains of a map: smooth curves behind the staircase of cell edges.

A cell edge between two labels is a gate: the boundary passes between the two centres. Edges are linked into
pieces, which end where more than two edges meet (triple points, the rim, a corner of the map) or run in a
closed loop. Round each edge a circle

    F(x) = A (|x|^2 - mean |x|^2) + B . x = 0,       4 A^2 mean |x|^2 + |B|^2 = 1,      x from the mean

is fitted (Taubin) to the mid points of its neighbours along the piece, as many as the circle can take without
leaving their gates; kappa is 2 A. The outline runs through the mid points moved onto their circles, and its
length is the sum of the ways between them along the tangents, at least the distance of the ends of a piece
and the perimeter of a circle of the area in a loop.

A straight boundary of any direction and an arc of any radius so have their own length and curvature, whatever
the grid; the corners where pieces meet stay where they are. What is rougher than half a step is kept, and a
kink loses about half a step.

| symbol | meaning | unit, shape |
|---|---|---|
| staircase_um | length of the cell edge itself | um, (E,) |
| length_um | its share of the outline | um, (E,) |
| turning_per_um | kappa, positive where the centre lies on the side of pixel_a | 1/um, (E,) |

References: Taubin 1991, IEEE Trans. PAMI 13:1115 (circle fit); Coeurjolly & Klette 2004, IEEE Trans. PAMI
26:252 (lengths of digital curves from tangents).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cpml.compiled import compiled
from cpml.microscopy.maps.ebsd_map import EbsdMap

BESIDE = 0.3
"""How far, in steps, a fitted circle may miss a gate: it is fitted to mid points, not to gates."""
SHORTEST = 5
"""Fewer edges have a direction, but no curvature."""
SMALLEST_LOOP = 8
"""Edges of the smallest loop with a curvature: that of four pixels."""
MISSES = 3
"""Reaches in a row that may fail before the search ends: a short one may lie on one step of the staircase."""
REACHES = np.array([2, 3, 4, 6, 8, 11, 15, 21, 30, 42, 60])
"""Edges on either side that the fit tries, one after the other."""


@dataclass(frozen=True)
class Outline:
    """All cell edges between two labels, those inside the map first and in the order of its neighbours.

    | field | meaning | shape |
    |---|---|---|
    | pixel_a, pixel_b | pixels on either side; pixel_b is negative outside the map | (E,) |
    | ends | x0, y0, x1, y1 of the cell edge, um | (E, 4) |
    | middle | its mid point moved onto the fitted circle, um | (E, 2) |
    | staircase_um, length_um, turning_per_um | see the module | (E,) |
    | piece, position, closed | number of the piece from 0, place along it, whether it is a loop | (E,) |
    | chord_um, arc_um | of the whole piece: between its ends (0 for a loop), along it | (E,) |
    """

    pixel_a: NDArray
    pixel_b: NDArray
    ends: NDArray
    middle: NDArray
    staircase_um: NDArray
    length_um: NDArray
    turning_per_um: NDArray
    piece: NDArray
    position: NDArray
    closed: NDArray
    chord_um: NDArray
    arc_um: NDArray

    def perimeters(self, label: NDArray, n_labels: int, *, staircase: bool = False) -> NDArray:
        """(n_labels,) um, length round each label 1 .. n_labels, the rim of the map and gaps included.

        Parameters
        ----------
        label : (N,) the labels that the outline was made of
        staircase : of the cell edges instead of the outline
        """
        length = self.staircase_um if staircase else self.length_um
        inside = self.pixel_b >= 0
        total = np.bincount(label[self.pixel_a], length, n_labels + 1)
        total += np.bincount(label[self.pixel_b[inside]], length[inside], n_labels + 1)
        return total[1:]


def outline(ebsd_map: EbsdMap, label: NDArray) -> Outline:
    """Outline of the labels (N,) of a map, 0 = none."""
    inner = ebsd_map.neighbours
    inner = inner[label[inner[:, 0]] != label[inner[:, 1]]].astype(np.int64)
    places = _square_places if ebsd_map.grid == "square" else _hexagonal_places
    pixel, corner = places(ebsd_map, inner)
    known = (np.arange(len(pixel)) < len(inner)) | (label[pixel[:, 0]] > 0)
    pixel, corner = pixel[known], corner[known]
    ends = _positions(ebsd_map, corner)
    side = np.where(pixel[:, 1] < 0, pixel[:, 1], label[np.maximum(pixel[:, 1], 0)])
    mate, mate_end = _links(label[pixel[:, 0]].astype(np.int64), side, corner)
    order, flipped, piece, closed = _walk(mate, mate_end)
    starts = np.r_[np.flatnonzero(np.diff(piece[order], prepend=-1)), len(order)]
    middle = ends.mean(axis=1)
    toward = ebsd_map.xy[pixel[:, 0]] - middle
    fitted, length, turning = np.empty_like(middle), np.empty(len(order)), np.empty(len(order))
    chord, arc = np.empty(len(order)), np.empty(len(order))
    walked = np.where(flipped[order, None, None], ends[order, ::-1], ends[order])
    slack, half = BESIDE * min(ebsd_map.cell_um), np.array(ebsd_map.cell_um) / 2
    found = fitted, length, turning, chord, arc
    _fit(walked, toward[order], starts, closed[order], slack, half, REACHES, *found)
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    position = np.arange(len(order)) - np.repeat(starts[:-1], np.diff(starts))
    return Outline(
        pixel[:, 0],
        pixel[:, 1],
        ends.reshape(-1, 4),
        fitted[back],
        np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1),
        length[back],
        turning[back],
        piece,
        position[back],
        closed,
        chord[back],
        arc[back],
    )


def _square_places(m: EbsdMap, inner: NDArray) -> tuple[NDArray, NDArray]:
    """Pixels (E, 2) of the inner edges and of those on the rim, and row and column of their corners
    (E, 2, 2), counted from the upper left corner of the map.
    """
    rows, cols = m.shape
    r, c = np.divmod(inner[:, 0], cols)
    in_row = inner[:, 1] - inner[:, 0] == 1
    if cols == 1:
        in_row = np.zeros(len(inner), bool)
    first = np.stack([r + ~in_row, c + in_row], axis=1)
    pixel, corner = [inner], [np.stack([first, np.stack([r + 1, c + 1], axis=1)], axis=1)]
    x, y = np.arange(cols), np.arange(rows)
    top, left = np.stack([0 * x, x], axis=1), np.stack([y, 0 * y], axis=1)
    rim = (
        (x, top, (0, 1)),
        (x + (rows - 1) * cols, top + [rows, 0], (0, 1)),
        (y * cols, left, (1, 0)),
        (y * cols + cols - 1, left + [0, cols], (1, 0)),
    )
    for number, (own, start, along) in enumerate(rim):
        pixel.append(np.stack([own, np.full(len(own), -1 - number)], axis=1))
        corner.append(np.stack([start, start + along], axis=1))
    return np.concatenate(pixel), np.concatenate(corner)


# neighbour (rows, half columns) -> corners of the edge towards it (thirds of a row, half columns)
_HEXAGON = {
    (0, 2): ((-1, 1), (1, 1)),
    (1, 1): ((1, 1), (2, 0)),
    (1, -1): ((2, 0), (1, -1)),
    (0, -2): ((-1, -1), (1, -1)),
    (-1, -1): ((-2, 0), (-1, -1)),
    (-1, 1): ((-1, 1), (-2, 0)),
}


def _hexagonal_places(m: EbsdMap, inner: NDArray) -> tuple[NDArray, NDArray]:
    """As `_square_places`; corners are counted in thirds of a row and half columns from the first point."""
    row, half = m.hexagon_lines
    centre = np.stack([3 * row, half], axis=1)
    step = np.stack([row[inner[:, 1]] - row[inner[:, 0]], half[inner[:, 1]] - half[inner[:, 0]]], axis=1)
    corner = np.zeros((len(inner), 2, 2), np.int64)
    for direction, two in _HEXAGON.items():
        chosen = (step == direction).all(axis=1)
        corner[chosen] = centre[inner[chosen, 0], None] + np.array(two)
    there = np.zeros((row.max() + 3, half.max() + 5), bool)
    there[row + 1, half + 2] = True
    pixels, corners = [inner], [corner]
    for (dr, dh), two in _HEXAGON.items():
        own = np.flatnonzero(~there[row + 1 + dr, half + 2 + dh])
        is_end = (row[own] + dr < 0) | (row[own] + dr > row.max())
        ends, sides = ((-3, -4), (-1, -2)) if m.flat_top else ((-1, -2), (-3, -4))
        number = np.where(is_end, ends[dr > 0], sides[dh > 0])
        pixels.append(np.stack([own, number], axis=1))
        corners.append(centre[own, None] + np.array(two))
    found = np.concatenate(corners)
    # lines that run down instead of right are a mirror image: the edge is walked the other way
    return np.concatenate(pixels), found[:, ::-1] if m.flat_top else found


def _positions(m: EbsdMap, corner: NDArray) -> NDArray:
    """(E, 2, 2) x and y, um, of counted corners."""
    (x0, y0), (dx, dy) = m.xy[0], m.pixel_um
    if m.grid == "square":
        return np.stack([x0 + (corner[..., 1] - 0.5) * dx, y0 + (corner[..., 0] - 0.5) * dy], axis=-1)
    x0 = m.xy[:, 0].min()
    if m.flat_top:
        y0 = m.xy[:, 1].min()
        return np.stack([x0 + corner[..., 0] * dx / 6, y0 + corner[..., 1] * dy], axis=-1)
    return np.stack([x0 + corner[..., 1] * dx / 2, y0 + corner[..., 0] * dy / 3], axis=-1)


def _links(first: NDArray, second: NDArray, corner: NDArray) -> tuple[NDArray, NDArray]:
    """(E, 2) edge that follows at either end, and by which of its ends; -1 for none.

    Edges are linked where just two meet, and those lie between the same two labels.
    """
    n = len(first)
    low, high = np.minimum(first, second), np.maximum(first, second)
    at = corner - corner.reshape(-1, 2).min(axis=0, initial=0)
    key = at[..., 0] * (at[..., 1].max(initial=0) + 1) + at[..., 1]
    order = np.argsort(key.T.ravel(), kind="stable")  # all first ends, then all second ones
    ordered = key.T.ravel()[order]
    same = np.r_[False, ordered[1:] == ordered[:-1], False]
    pair = np.flatnonzero(~same[:-2] & same[1:-1] & ~same[2:]) if len(ordered) > 1 else np.zeros(0, int)
    i, j = order[pair], order[pair + 1]
    kept = (low[i % n] == low[j % n]) & (high[i % n] == high[j % n]) if n else np.zeros(0, bool)
    i, j = i[kept], j[kept]
    mate, mate_end = np.full((n, 2), -1, np.int64), np.full((n, 2), -1, np.int64)
    mate[i % n, i // n], mate[j % n, j // n] = j % n, i % n
    mate_end[i % n, i // n], mate_end[j % n, j // n] = j // n, i // n
    return mate, mate_end


@compiled
def _walk(mate, mate_end):
    """Edges in walking order, whether each is walked from its second end, its piece, and whether that is
    a closed loop.
    """
    n = mate.shape[0]
    order, piece = np.empty(n, np.int64), np.full(n, -1, np.int64)
    flipped, closed = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    count, found = 0, 0
    for phase in range(2):  # open pieces from their ends first; what is left are loops
        for start in range(n):
            if piece[start] >= 0 or (phase == 0 and mate[start, 0] >= 0 and mate[start, 1] >= 0):
                continue
            current, entered = start, 0 if phase == 1 or mate[start, 0] < 0 else 1
            while current >= 0 and piece[current] < 0:
                piece[current], closed[current] = found, phase == 1
                flipped[current] = entered == 1
                order[count] = current
                count += 1
                left = 1 - entered
                following = mate[current, left]
                entered = mate_end[current, left]
                current = following
            found += 1
    return order, flipped, piece, closed


@compiled
def _smallest(p, work):
    """Eigenvector of the smallest eigenvalue of a symmetric (3, 3) matrix, into work[0]."""
    a = np.empty((3, 3))
    for i in range(3):  # the adjugate has it as its largest
        for j in range(3):
            i1, i2, j1, j2 = (i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3
            a[j, i] = p[i1, j1] * p[i2, j2] - p[i1, j2] * p[i2, j1]
    for _ in range(5):  # its 32nd power
        size = 0.0
        for i in range(3):
            for j in range(3):
                size = max(size, abs(a[i, j]))
        if size == 0.0:
            return False
        b = np.zeros((3, 3))
        for i in range(3):
            for j in range(3):
                for k in range(3):
                    b[i, j] += (a[i, k] / size) * (a[k, j] / size)
        a = b
    best, column = -1.0, 0
    for j in range(3):
        norm = a[0, j] ** 2 + a[1, j] ** 2 + a[2, j] ** 2
        if norm > best:
            best, column = norm, j
    if not best > 0.0:
        return False
    for i in range(3):
        work[i] = a[i, column] / np.sqrt(best)
    return True


@compiled
def _circle(points, low, high, with_curvature, out):
    """Taubin's circle through points low .. high (indices wrap): mean x, y and |x|^2, A and B into out."""
    n, size = high - low + 1, points.shape[0]
    mx, my = 0.0, 0.0
    for k in range(low, high + 1):
        mx += points[k % size, 0] / n
        my += points[k % size, 1] / n
    xx, yy, xy, xz, yz, zz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(low, high + 1):
        x, y = points[k % size, 0] - mx, points[k % size, 1] - my
        z = x * x + y * y
        xx += x * x / n
        yy += y * y / n
        xy += x * y / n
        xz += x * z / n
        yz += y * z / n
        zz += z * z / n
    mz = xx + yy
    out[0], out[1], out[2] = mx, my, mz
    half = (xx - yy) / 2
    root = np.hypot(half, xy)
    turn = 0.5 * np.arctan2(2 * xy, xx - yy)
    line = mz / 2 - root  # variance across the best straight line
    if with_curvature and line > 1e-12 * mz:
        p, v = np.empty((3, 3)), np.empty(3)
        s = 2 * np.sqrt(mz)
        p[0, 0], p[0, 1], p[0, 2] = (zz - mz * mz) / (s * s), xz / s, yz / s
        p[1, 0], p[1, 1], p[1, 2] = p[0, 1], xx, xy
        p[2, 0], p[2, 1], p[2, 2] = p[0, 2], xy, yy
        if _smallest(p, v):
            out[3], out[4], out[5] = v[0] / s, v[1], v[2]
            return
    out[3], out[4], out[5] = 0.0, -np.sin(turn), np.cos(turn)


@compiled
def _gradient(point, fit):
    """Gradient of F at a point."""
    return 2 * fit[3] * (point[0] - fit[0]) + fit[4], 2 * fit[3] * (point[1] - fit[1]) + fit[5]


@compiled
def _through_gates(points, fit, low, high, toward, off, slack, half):
    """Whether a circle passes between the two centres of each edge, and near the corners that end a piece."""
    n = toward.shape[0]
    for j in range(low, high + 1):
        q = j % points.shape[0]
        x, y = points[q, 0] - fit[0], points[q, 1] - fit[1]
        value = abs(fit[3] * (x * x + y * y - fit[2]) + fit[4] * x + fit[5] * y)
        gx, gy = _gradient(points[q], fit)
        room = slack * np.hypot(gx, gy)
        if off <= q <= n - 1 + off:
            room += abs(gx * toward[q - off, 0] + gy * toward[q - off, 1])
        else:  # a corner, with a centre on each of its sides
            room += abs(gx * half[0]) + abs(gy * half[1])
        if value > room:
            return False
    return True


@compiled
def _widest_fit(points, i, toward, off, slack, half, reaches, fit, trial):
    """The circle through most points round point i that passes their gates, into fit; A of the widest that
    reaches as far to both sides is returned.
    """
    n, last, loop = toward.shape[0], points.shape[0] - 1, off == 0
    curved = loop or n >= SHORTEST
    widest = max(n // 4, 2) if loop else n + 1
    size, bend = 0, 0.0
    for shape in range(3):  # both sides alike; then one side only, for the last edges before a kink
        missed = 0
        for step in range(reaches.size):
            h = min(reaches[step], widest) * (1 if shape == 0 else 2)
            low, high = i - (h if shape < 2 else 0), i + (h if shape != 1 else 0)
            if loop and high - low >= n:
                low, high = 0, n - 1
            elif not loop:
                low, high = max(low, 0), min(high, last)
            is_all = reaches[step] >= widest or (not loop and low == 0 and high == last)
            if high - low + 1 > size:
                _circle(points, low, high, curved, trial)
                allowed = slack if shape == 0 else 0.0
                if size == 0 or _through_gates(points, trial, low, high, toward, off, allowed, half):
                    missed, size = 0, high - low + 1
                    fit[:] = trial
                else:
                    missed += 1
            if is_all or missed == MISSES:
                break
        if shape == 0:
            gx, gy = _gradient(points[i], fit)
            inward = gx * toward[i - off, 0] + gy * toward[i - off, 1] <= 0
            bend = fit[3] if inward else -fit[3]
            if is_all and missed == 0:
                break
    return bend


@compiled
def _fit(ends, toward, starts, closed, slack, half, reaches, fitted, length, turning, chord, arc):
    """What `outline` says of every edge; ends (E, 2, 2) in walking order, `toward` pixel_a (E, 2)."""
    fit, trial = np.empty(6), np.empty(6)
    for piece in range(starts.size - 1):
        a, b = starts[piece], starts[piece + 1]
        n, loop = b - a, closed[a]
        off = 0 if loop else 1  # the ends of an open piece are points of it
        points, tangent = np.empty((n + 2 * off, 2)), np.empty((n, 2))
        for k in range(n):
            for c in range(2):
                points[k + off, c] = (ends[a + k, 0, c] + ends[a + k, 1, c]) / 2 - ends[a, 0, c]
        if not loop:
            for c in range(2):
                points[0, c], points[n + 1, c] = 0.0, ends[b - 1, 1, c] - ends[a, 0, c]
        for k in range(n):
            i = k + off
            bend = _widest_fit(points, i, toward[a:b], off, slack, half, reaches, fit, trial)
            turning[a + k] = 2 * bend if n >= (SMALLEST_LOOP if loop else SHORTEST) else np.nan
            x, y = points[i, 0] - fit[0], points[i, 1] - fit[1]
            value = fit[3] * (x * x + y * y - fit[2]) + fit[4] * x + fit[5] * y
            gx, gy = _gradient(points[i], fit)
            norm = max(np.hypot(gx, gy), 1e-12)
            away = 2 * value / (norm + np.sqrt(max(norm * norm - 4 * fit[3] * value, 0.0)))
            fitted[a + k, 0] = points[i, 0] + ends[a, 0, 0] - away * gx / norm
            fitted[a + k, 1] = points[i, 1] + ends[a, 0, 1] - away * gy / norm
            tangent[k, 0], tangent[k, 1] = -gy / norm, gx / norm
        total = _lengths(ends[a:b], fitted[a:b], tangent, loop, length[a:b])
        end = 0.0 if loop else np.hypot(points[n + 1, 0], points[n + 1, 1])
        least = 2.0 * np.sqrt(np.pi * _area(ends[a:b])) if loop else end
        stretch = max(least / total, 1.0) if total > 0.0 else 1.0
        for k in range(a, b):
            length[k] *= stretch
            chord[k], arc[k] = end, total * stretch


@compiled
def _area(ends):
    """Area inside a loop of edges (n, 2, 2)."""
    twice = 0.0
    for k in range(ends.shape[0]):
        x0, y0 = ends[k, 0, 0] - ends[0, 0, 0], ends[k, 0, 1] - ends[0, 0, 1]
        x1, y1 = ends[k, 1, 0] - ends[0, 0, 0], ends[k, 1, 1] - ends[0, 0, 1]
        twice += x0 * y1 - x1 * y0
    return abs(twice) / 2


@compiled
def _lengths(ends, fitted, tangent, loop, length):
    """Ways between neighbouring mid points along the tangent of either, half to each edge; in an open piece
    also from its corners to the first and last mid point. The whole length is returned.
    """
    n = length.size
    length[:] = 0.0
    if not loop:
        for k in (0, n - 1):
            ex, ey = ends[k, 1, 0] - ends[k, 0, 0], ends[k, 1, 1] - ends[k, 0, 1]
            length[k] += abs(ex * tangent[k, 0] + ey * tangent[k, 1]) / 2
    for k in range(n if loop else n - 1):
        j = (k + 1) % n
        dx, dy = fitted[j, 0] - fitted[k, 0], fitted[j, 1] - fitted[k, 1]
        way = max(abs(dx * tangent[k, 0] + dy * tangent[k, 1]), abs(dx * tangent[j, 0] + dy * tangent[j, 1]))
        length[k] += way / 2
        length[j] += way / 2
    return np.sum(length)
