"""Points placed on the grid of a map by their positions, and what the header says compared with them.

Positions decide: the order of the lines is never trusted. The step of the header is used where the positions
agree with it, since they are rounded; where they do not, the positions win and a note says so. A header in um
beside positions that are pixel counts, nm or mm is recognised by their ratio.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.io.lengths import PIXEL, UNIT_UM
from cpml.microscopy.maps.grids import MOST_EMPTY, Grid, find_grid

UNITS = ("um", "nm", "mm", PIXEL)
"""What positions may be declared in."""
FARTHEST = 1e5
"""A position more than this many times the median away from the others is an invalid one (EDAX: -1111111)."""
SAME_STEP = 2e-3
"""Header and positions agree on the step to this share: more is no rounding."""
PLAUSIBLE_UM = (1e-3, 200.0)
"""Steps outside make one ask for the unit."""
COUNTS = "of the header counts"
"""End of the note that positions are in another unit than the header."""
FEW = 0.9
"""Positions that differ, as a share of the points, below which they are too coarse to place the points."""
OFF_GRID = 0.35
"""Rounding of a position, in steps, at which its place is still certain."""


@dataclass(frozen=True)
class Positions:
    """Where the points of a file lie: `xy` (n, 2) as in the file, and what its header says of them.

    Attributes
    ----------
    shape : (rows, columns) announced; None where the header says nothing
    steps : (dx, dy) of the header, um
    n_points : number of points announced (hexagonal grids have short rows); None: rows x columns
    kind : "square" or "hex" of the header; None: not said
    place : what the header calls its size, for messages
    """

    xy: NDArray
    shape: tuple[int, int] | None = None
    steps: tuple[float, float] | None = None
    n_points: tuple[int, ...] = ()
    kind: str | None = None
    place: str = "the header"
    unit: str | None = "um"
    note: tuple[str, ...] = field(default=())

    @property
    def announced(self) -> tuple[int, ...]:
        """Numbers of points that a complete map may have."""
        return self.n_points or ((self.shape[0] * self.shape[1],) if self.shape else ())


@dataclass(frozen=True)
class Placed:
    """Points on a grid.

    Attributes
    ----------
    grid : of the points that have a place
    keep : (n,) bool, points of the file that have one; None: all
    valid : of those, the points whose position is a number: the others are not indexed
    notes : one sentence each
    """

    grid: Grid
    keep: NDArray | None
    valid: NDArray
    notes: tuple[str, ...]


def place(path: Path, found: Positions, *, unit: str | None = None, step_um: float | None = None) -> Placed:
    """Points on their grid, with notes on what header and positions disagree about.

    Parameters
    ----------
    unit : "um", "nm", "mm" or "px" (pixel counts) of header and positions as declared; None: as the file says
    step_um : distance of neighbours in a row as declared, um; needed with px

    Raises
    ------
    MapFileError : points on no grid, two at one place, or a file that is cut off
    ParameterError : pixel counts without a step
    """
    notes = list(found.note)
    if unit == PIXEL and step_um is None and not _real_step(found.steps):
        raise ParameterError(f"{path}: unit px needs step_um, the distance of two points in um")
    xy = np.asarray(found.xy, float)
    valid = _valid(xy)
    keep = None
    if not valid.all():
        filled = _at_place_in_list(xy, valid, found)
        how = "left out" if filled is None else "not indexed, at their place in the list"
        notes.append(f"{int((~valid).sum())} points have no valid position: {how}")
        xy, keep = (xy[valid], valid) if filled is None else (filled, None)
    n_notes = len(notes)
    grid = _grid(path, replace(found, xy=xy), notes)
    _compare_size(path, grid, len(xy), found, notes)
    if any(COUNTS in note for note in notes[n_notes:]):
        grid = _scaled(grid, "um", "um", step_um, notes)  # the header's step is in um, whatever the positions
    else:
        if unit == PIXEL and step_um is None and found.steps is not None:
            step_um = found.steps[0]
        grid = _scaled(grid, unit, found.unit, step_um, notes)
    return Placed(grid, keep, np.ones(len(xy), bool) if keep is not None else valid, tuple(notes))


def scale_grid(
    path: Path, grid: Grid, *, unit: str | None, step_um: float | None
) -> tuple[Grid, tuple[str, ...]]:
    """A grid whose file fixes the order of its points, in the declared unit or with the declared step.

    Raises
    ------
    ParameterError : pixel counts without a step
    """
    if unit == PIXEL and step_um is None:
        raise ParameterError(f"{path}: unit px needs step_um, the distance of two points in um")
    notes: list[str] = []
    return _scaled(grid, unit, "um", step_um, notes), tuple(notes)


def _real_step(steps: tuple[float, float] | None) -> bool:
    return steps is not None and steps != (1.0, 1.0)


def _valid(xy: NDArray) -> NDArray:
    """(n,) bool: positions that are numbers, and not the far value that stands for "invalid"."""
    valid = np.isfinite(xy).all(axis=1)
    if not valid.any():
        return valid
    middle = np.median(xy[valid], axis=0)
    away = np.where(valid, np.abs(xy - middle).max(axis=1), np.inf)
    scale = np.median(away[valid])
    return away <= max(FARTHEST * scale, 1e-9) if scale > 0 else valid


def _at_place_in_list(xy: NDArray, valid: NDArray, found: Positions) -> NDArray | None:
    """Positions (n, 2) with the invalid ones interpolated along the list; None where the list is not in
    order.
    """
    if found.shape is None or len(xy) != found.shape[0] * found.shape[1] or valid.sum() < 2:
        return None
    rows, cols = found.shape
    row, col = np.divmod(np.arange(len(xy)), cols)
    other_col, other_row = np.divmod(np.arange(len(xy)), rows)
    for numbers in ((col, row), (other_col, other_row)):
        columns = []
        for axis, number in enumerate(numbers):
            slope, start = (
                np.polyfit(number[valid], xy[valid, axis], 1) if np.ptp(number[valid]) else (0.0, 0.0)
            )
            line = start + slope * number
            if np.abs(line - xy[:, axis])[valid].max() > 0.2 * abs(slope) + 1e-9:
                break
            columns.append(np.where(valid, xy[:, axis], line))
        if len(columns) == 2:
            return np.stack(columns, axis=1)
    return None


def _grid(path: Path, found: Positions, notes: list[str]) -> Grid:
    """Grid from the positions with the header's steps where they agree, else from the positions alone."""
    xy, steps = found.xy, found.steps
    if steps is not None and found.shape is not None and found.kind != "hex":
        grid = _with_steps(xy, found.shape, steps)
        if grid is not None:
            return grid
        for word, factor in (("pixel counts", None), ("nm", 1e-3), ("mm", 1e3)):
            scaled = _counts(xy, steps) if factor is None else xy * factor
            grid = None if scaled is None else _with_steps(scaled, found.shape, steps)
            if grid is not None:
                notes.append(f"positions are {word}, the step {steps[0]:g} x {steps[1]:g} um {COUNTS}")
                return grid
        grid = _in_file_order(xy, found.shape, steps)
        if grid is not None:
            notes.append(
                "positions are too coarse to tell the points apart: placed in the order of the file, "
                f"{found.shape[1]} columns x {found.shape[0]} rows of the header"
            )
            return grid
    try:
        grid = find_grid(str(path), xy, told=steps)
    except MapFileError:
        counts = None if steps is None or found.kind == "hex" else _counts(xy, steps)
        if counts is None:
            raise
        grid = find_grid(str(path), counts, told=steps)
    return _compared(grid, found, notes)


def _compared(grid: Grid, found: Positions, notes: list[str]) -> Grid:
    """The grid, in the unit of the header where positions have another; a note where kind or step differ."""
    if found.kind is not None and found.kind != grid.kind and min(grid.shape) > 1:
        name = {"hex": "hexagonal", "square": "square"}
        notes.append(
            f"the header says {name[found.kind]} grid, the positions lie on a {name[grid.kind]} one: "
            "they count"
        )
    if found.steps is None or not all(s > 0 for s in found.steps):
        return grid
    is_scan = min(grid.shape) == 1
    ratio = [d / s for d, s in zip(grid.pixel_um, found.steps, strict=True)]
    if is_scan:
        ratio = [ratio[0 if grid.shape[0] == 1 else 1]] * 2
    if all(abs(r - 1) < SAME_STEP for r in ratio):
        return grid
    span, rounding = np.ptp(found.xy, axis=0), _rounding(found.xy)
    pairs = zip(grid.pixel_um, found.steps, span, strict=True)
    if not is_scan and all(_agree(d, s, extent, rounding) for d, s, extent in pairs):
        factors = tuple(s / d for d, s in zip(grid.pixel_um, found.steps, strict=True))
        start = grid.xy.min(axis=0)
        return replace(grid, pixel_um=found.steps, xy=start + (grid.xy - start) * factors)
    told = f"{found.steps[0]:g} x {found.steps[1]:g} um"
    for word, factor in (("nm", 1e3), ("mm", 1e-3)):
        if all(abs(r / factor - 1) < SAME_STEP for r in ratio):
            notes.append(f"positions are in {word}, the step {told} {COUNTS}")
            return _stretched(grid, (1 / factor, 1 / factor))
    if grid.kind == "square" and all(abs(d - 1) < 1e-6 for d in grid.pixel_um):
        notes.append(f"positions are pixel counts, the step {told} {COUNTS}")
        return _stretched(grid, found.steps)
    swapped = all(abs(d / s - 1) < SAME_STEP for d, s in zip(grid.pixel_um, found.steps[::-1], strict=True))
    notes.append(
        f"the header says a step of {told}, the positions are {grid.pixel_um[0]:.6g} x "
        f"{grid.pixel_um[1]:.6g} um apart{' (x and y exchanged)' if swapped else ''}: the positions count; "
        "declare reading: step_um if they are wrong"
    )
    return grid


def _with_steps(xy: NDArray, shape: tuple[int, int], steps: tuple[float, float]) -> Grid | None:
    """Grid of the header's steps; None unless every point lies at a place of its own within the size."""
    if not all(np.isfinite(s) and s > 0 for s in steps):
        return None
    start, span = xy.min(axis=0), np.ptp(xy, axis=0)
    at = (xy - start) / steps
    number = np.rint(at).astype(np.int64)
    size = number.max(axis=0) + 1
    if np.abs(at - number).max() > OFF_GRID or size[0] > shape[1] or size[1] > shape[0]:
        return None
    if not all(
        _agree(_step(number[:, k], xy[:, k]), steps[k], span[k], _rounding(xy)) for k in (0, 1) if size[k] > 1
    ):
        return None
    n_col, n_row = (int(n) for n in size)
    cell = number[:, 1] * n_col + number[:, 0]
    if n_col * n_row > MOST_EMPTY * len(xy) + 1000 or len(np.unique(cell)) != len(cell):
        return None
    return _square((n_row, n_col), steps, start, cell)


def _step(number: NDArray, position: NDArray) -> float:
    """Distance of neighbouring numbers by a straight line through all positions: scatter does not count."""
    centred = number - number.mean()
    return float(centred @ position / (centred @ centred))


def _agree(found: float, told: float, span: float, rounding: float) -> bool:
    """Whether a step found over a span is the one that the header tells, rounding allowed."""
    return abs(found / told - 1) <= SAME_STEP + rounding / span


def _rounding(xy: NDArray) -> float:
    """The power of ten, from 1 to 1e-6, to which the positions are rounded."""
    sample = xy[:: max(1, len(xy) // 10_000)]
    for digits in range(7):
        if np.allclose(sample, np.round(sample, digits), rtol=0, atol=1e-7):
            break
    return 10.0**-digits


def _square(shape: tuple[int, int], steps: tuple[float, float], start: NDArray, cell: NDArray) -> Grid:
    is_plain = len(cell) == shape[0] * shape[1] and bool((np.diff(cell) == 1).all())
    return Grid.full(
        shape, (float(steps[0]), float(steps[1])), start=tuple(start), cell=None if is_plain else cell
    )


def _counts(xy: NDArray, steps: tuple[float, float]) -> NDArray | None:
    """Positions in um of whole numbers that count points; None where they are none or the step is 1 um."""
    if not _real_step(steps) or not np.array_equal(xy, np.rint(xy)):
        return None
    return xy * steps


def _in_file_order(xy: NDArray, shape: tuple[int, int], steps: tuple[float, float]) -> Grid | None:
    """Grid in the order of the file where rounded positions run along it, or say nothing at all."""
    rows, cols = shape
    n_places = len(np.unique(xy, axis=0))
    if len(xy) != rows * cols or not all(s > 0 for s in steps) or n_places > FEW * len(xy):
        return None
    for fast, slow, n_slow, n_fast in ((0, 1, rows, cols), (1, 0, cols, rows)):
        f, s = xy[:, fast].reshape(n_slow, n_fast), xy[:, slow].reshape(n_slow, n_fast)
        runs = bool(np.all(np.diff(f, axis=1) >= 0) and np.all(np.diff(s, axis=0) >= 0))
        if runs and np.ptp(s, axis=1).max() <= np.ptp(s) / max(n_slow, 2):
            order = np.arange(rows * cols)
            cell = order if fast == 0 else order.reshape(rows, cols).T.ravel()
            return _square(shape, steps, xy.min(axis=0), cell)
    return None


def _compare_size(path: Path, grid: Grid, n: int, found: Positions, notes: list[str]) -> None:
    """Tell a file that is cut off (its last points are missing) from a map with holes or of another size."""
    announced = found.announced
    if not announced or n in announced:
        if found.shape and grid.kind == "square" and grid.shape == found.shape[::-1] != found.shape:
            notes.append(
                f"{found.place} = {found.shape[1]} x {found.shape[0]}, the positions lie on "
                f"{grid.shape[1]} columns x {grid.shape[0]} rows: they count"
            )
        return
    told = f"{found.place} announces {announced[0]:,} points, {n:,} were found"
    if n < min(announced) and _is_beginning(grid, n, found.shape):
        raise MapFileError(
            f"{path}: {told}; the last ones are missing: the file is cut off, export it again "
            "(or correct the header if the map was cropped)"
        )
    notes.append(f"{told} on {grid.shape[1]} columns x {grid.shape[0]} rows")


def _is_beginning(grid: Grid, n: int, shape: tuple[int, int] | None) -> bool:
    """Whether the points are the first n of the announced grid, in rows or in columns, without a hole."""
    if shape is None:
        return False
    cell = np.arange(n) if grid.cell is None else np.asarray(grid.cell)
    if (1 in grid.shape or grid.shape[1] == shape[1]) and np.array_equal(cell, np.arange(n)):
        return True
    if grid.kind == "square" and grid.shape[0] == shape[0]:
        row, col = np.divmod(cell, grid.shape[1])
        return np.array_equal(col * shape[0] + row, np.arange(n))
    return False


def _stretched(grid: Grid, factors: tuple[float, float]) -> Grid:
    dx, dy = grid.pixel_um
    return replace(grid, pixel_um=(dx * factors[0], dy * factors[1]), xy=grid.xy * np.array(factors))


def _scaled(
    grid: Grid, unit: str | None, unit_of_file: str | None, step_um: float | None, notes: list[str]
) -> Grid:
    """Grid in um: by the declared step, else by the declared unit, else by that of the file."""
    told = unit or unit_of_file
    if step_um is None and told in UNIT_UM and told != "um":
        grid = _stretched(grid, (UNIT_UM[told], UNIT_UM[told]))
        notes.append(f"positions taken as {told}, as {'declared' if unit else 'the file says'}")
    if step_um is not None:
        factor = step_um / grid.pixel_um[0]
        grid = _stretched(grid, (factor, factor))
        notes.append(f"step of {step_um:g} um as declared")
    elif told == PIXEL:
        notes.append("positions are pixel counts taken as um: declare reading: step_um")
    elif told is None:
        notes.append("the file does not name the unit of its positions, taken as um: declare reading: unit")
    if step_um is None and unit is None and not PLAUSIBLE_UM[0] <= grid.pixel_um[0] <= PLAUSIBLE_UM[1]:
        notes.append(f"a step of {grid.pixel_um[0]:g} um is unusual: is the unit um? declare reading: unit")
    return grid
