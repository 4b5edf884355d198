"""An EBSD map in the pixel frame: orientations, phases, positions, and who touches whom.

| field | meaning | unit, shape |
|---|---|---|
| quaternions | crystal_to_sample, w first; NaN where not indexed | (N, 4) |
| phase_id | key of `phases`; 0 where not indexed | (N,) |
| xy | position, x right, y down | um, (N, 2) |
| shape | rows, and columns of the longest row | (2,) |
| pixel_um | distance of columns, of rows | um |
| neighbours | pairs of touching pixels, each once | (E, 2) |

Points lie row after row. On a square grid all rows have the same length and a pixel touches 4 others; on a
hexagonal grid every second row is shifted by half a step (and may be one point shorter) and a point
touches 6 others; where the hexagons stand on a side (flat_top) rows are half a step apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError
from cpml.microscopy.maps.grids import Grid, find_grid, hex_pairs, square_pairs

if TYPE_CHECKING:
    import pandas as pd
    from orix.crystal_map import CrystalMap
    from orix.quaternion import Orientation


LONGEST_CELL = 1e4
"""Angstrom: beyond, a length has another unit or is damaged."""


@dataclass(frozen=True)
class MapPhase:
    """A phase of a map: name, proper group, lattice ("fcc", "bcc", "hcp" or None), cell in
    Angstrom and degrees.
    """

    name: str
    group: str
    lattice: str | None = None
    a: float = float("nan")
    b: float = float("nan")
    c: float = float("nan")
    alpha: float = 90.0
    beta: float = 90.0
    gamma: float = 90.0

    @property
    def c_over_a(self) -> float:
        """Axial ratio c/a."""
        return self.c / self.a


def is_cell(cell: Sequence[float]) -> bool:
    """Whether six numbers can be a cell, Angstrom and degrees; one that a file leaves out is 0 or NaN."""
    limits = (LONGEST_CELL, LONGEST_CELL, LONGEST_CELL, 180.0, 180.0, 180.0)
    return all(0 <= x < most or x != x for x, most in zip(cell, limits, strict=True))


@dataclass(frozen=True)
class EbsdMap:
    """One EBSD map; see the module for the fields. `frame_note` says what was turned on the way in."""

    name: str
    quaternions: NDArray
    phase_id: NDArray
    phases: dict[int, MapPhase]
    xy: NDArray
    grid: str
    shape: tuple[int, int]
    pixel_um: tuple[float, float]
    properties: dict[str, NDArray]
    frame_note: tuple[str, ...] = ()

    @property
    def n_pixels(self) -> int:
        """Number of points N."""
        return len(self.phase_id)

    @property
    def flat_top(self) -> bool:
        """Whether columns, not rows, of a hexagonal grid are shifted in turn: hexagons stand on a side."""
        return self.grid == "hex" and self.pixel_um[0] > 2 * self.pixel_um[1]

    @property
    def cell_um(self) -> tuple[float, float]:
        """Distance of columns and of rows of cells, um: those of flat-top hexagons lie two rows apart."""
        dx, dy = self.pixel_um
        return (dx / 2, 2 * dy) if self.flat_top else (dx, dy)

    @property
    def step_um(self) -> float:
        """Distance of neighbouring points in a row, of flat-top hexagons in a column, um."""
        return 2 * self.pixel_um[1] if self.flat_top else self.pixel_um[0]

    @property
    def pixel_area_um2(self) -> float:
        """Area of the cell of one point, um^2."""
        return self.pixel_um[0] * self.pixel_um[1]

    @property
    def phase(self) -> NDArray:
        """Another name of phase_id."""
        return self.phase_id

    @property
    def indexed(self) -> NDArray:
        """(N,) bool, where an orientation is known."""
        return self.phase_id > 0

    @cached_property
    def half_columns(self) -> NDArray:
        """(N,) int, position in a row in half steps: 0, 2, 4 ... or, in shifted rows, 1, 3, 5 ..."""
        if self.grid == "square":
            return 2 * (np.arange(self.n_pixels) % self.shape[1])
        return np.rint((self.xy[:, 0] - self.xy[:, 0].min()) / (self.pixel_um[0] / 2)).astype(np.int64)

    @cached_property
    def rows(self) -> NDArray:
        """(N,) int, row of each point."""
        if self.grid == "square":
            return np.arange(self.n_pixels) // self.shape[1]
        return np.rint((self.xy[:, 1] - self.xy[0, 1]) / self.pixel_um[1]).astype(np.int64)

    @property
    def hexagon_lines(self) -> tuple[NDArray, NDArray]:
        """Line (N,) of touching points of a hexagonal grid, and place (N,) on it in half steps: rows and half
        columns, or the other way round where the hexagons are flat-top.
        """
        return (self.half_columns, self.rows) if self.flat_top else (self.rows, self.half_columns)

    @cached_property
    def neighbours(self) -> NDArray:
        """(E, 2) int, pairs of touching points, each once, the smaller index first."""
        return self.pairs(1)

    def pairs(self, order: int = 1) -> NDArray:
        """(P, 2) pairs of points at most `order` steps apart, each once.

        Steps run along the grid: |di| + |dj| <= order on squares, the hexagonal distance on hexagons.
        """
        if order < 1:
            raise ParameterError(f"order {order}: neighbours start at 1")
        if self.grid == "square":
            return square_pairs(self.shape, order)
        return hex_pairs(self.rows, self.half_columns, order, flat_top=self.flat_top)

    def image(self, values: ArrayLike) -> NDArray:
        """Values (N,) or (N, k) as a picture (rows, columns[, k]).

        A hexagonal map becomes a picture of half steps (rows, 2 columns + 1 at most): each point fills two
        cells of its own row, or of its own column where the hexagons are flat-top, so that the shift shows
        and nothing is interpolated; empty corners are NaN.
        """
        values = np.asarray(values)
        if len(values) != self.n_pixels:
            raise ParameterError(f"{len(values)} values for a map of {self.n_pixels} points")
        if self.grid == "square":
            return values.reshape(*self.shape, *values.shape[1:])
        dtype = np.promote_types(values.dtype, np.float32)
        down, right = (1, 0) if self.flat_top else (0, 1)
        size = self.shape[0] + down, self.half_columns.max() + 1 + right
        picture = np.full((*size, *values.shape[1:]), np.nan, dtype)
        for shift in (0, 1):
            picture[self.rows + shift * down, self.half_columns + shift * right] = values
        return picture

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """(left, right, bottom, top) of `image` in um, for imshow(origin="upper")."""
        (x0, y0), (x1, y1), (dx, dy) = self.xy.min(0), self.xy.max(0), self.cell_um
        return x0 - dx / 2, x1 + dx / 2, y1 + dy / 2, y0 - dy / 2

    @property
    def border(self) -> NDArray:
        """(N,) bool, points on the rim of the map."""
        rows, cols = self.rows, self.half_columns
        side = 1 if self.grid == "hex" and not self.flat_top else 0
        top = 1 if self.flat_top else 0
        return (
            (rows <= top) | (rows >= self.shape[0] - 1 - top) | (cols <= side) | (cols >= cols.max() - side)
        )

    @property
    def orientations(self) -> Orientation:
        """(N,) orix Orientation of a map with one phase (sample to crystal, as orix has them;
        NaN: not indexed).
        """
        if len(self.phases) != 1:
            names = ", ".join(f"{i} {p.name}" for i, p in self.phases.items())
            raise ParameterError(f"map {self.name!r} has phases {names}: use orientations_of(phase_id)")
        return self.orientations_of(next(iter(self.phases)), indexed_only=False)

    def orientations_of(self, phase_id: int, *, indexed_only: bool = True) -> Orientation:
        """orix Orientation of one phase, in map order; of all N points when `indexed_only` is False.

        Raises
        ------
        ParameterError : a phase that the map does not have
        """
        from cpml.microscopy.maps.orix_maps import orientations

        if phase_id not in self.phases:
            raise ParameterError(
                f"phase {phase_id} is not in map {self.name!r}; phases: {sorted(self.phases)}"
            )
        q = self.quaternions[self.phase_id == phase_id] if indexed_only else self.quaternions
        return orientations(q, self.phases[phase_id].group)

    def to_orix(self) -> CrystalMap:
        """The map as an orix CrystalMap; points that are not indexed get phase -1."""
        from cpml.microscopy.maps.orix_maps import crystal_map

        groups = {i: (phase.name, phase.group) for i, phase in self.phases.items()}
        return crystal_map(self.quaternions, self.phase_id, groups, self.xy, self.properties)

    def with_phases(self, phases: dict[int, MapPhase]) -> EbsdMap:
        """The same map with other phase descriptions (a lattice that the file did not know, another cell)."""
        return replace(self, phases={**self.phases, **phases})

    @classmethod
    def from_points(
        cls,
        name: str,
        xy: ArrayLike,
        quaternions: ArrayLike,
        phase_id: ArrayLike,
        phases: dict[int, MapPhase],
        *,
        properties: dict | None = None,
    ) -> EbsdMap:
        """A map from points in any order; the grid (square or hexagonal) is found in the coordinates.

        Holes, cut corners and missing rows are filled up with points that are not indexed.

        Raises
        ------
        MapFileError : the points are on no grid
        """
        grid = find_grid(name, np.asarray(xy, float))
        phase_id, q = np.asarray(phase_id, np.int32), np.asarray(quaternions, float)
        return cls.on_grid(name, grid, q, phase_id, phases, properties or {})

    @classmethod
    def on_grid(
        cls,
        name: str,
        grid: Grid,
        quaternions: NDArray,
        phase_id: NDArray,
        phases: dict[int, MapPhase],
        properties: dict[str, NDArray],
        frame_note: tuple[str, ...] = (),
    ) -> EbsdMap:
        """A map from points whose places on a grid are known; places without a point are not indexed."""
        phase_id = grid.spread(phase_id, 0)
        holes = (f"{grid.n_holes} places of the grid have no point: not indexed",) if grid.n_holes else ()
        return cls(
            name=name,
            quaternions=np.where((phase_id > 0)[:, None], grid.spread(quaternions, np.nan), np.nan),
            phase_id=phase_id,
            phases=phases,
            xy=grid.xy,
            grid=grid.kind,
            shape=grid.shape,
            pixel_um=grid.pixel_um,
            properties={k: grid.spread(v, 0) for k, v in properties.items()},
            frame_note=(*frame_note, *holes),
        )

    def crop(
        self,
        *,
        x_um: tuple[float, float] | None = None,
        y_um: tuple[float, float] | None = None,
        where: ArrayLike | None = None,
    ) -> EbsdMap:
        """The part of the map inside a box, a free shape, or both; positions stay those of the whole map.

        Parameters
        ----------
        x_um, y_um : first and last position kept, um; None: all
        where : (N,) bool, points kept; other points of the remaining box lose their orientation

        Raises
        ------
        ParameterError : nothing indexed is left, or `where` is not one value a point
        """
        inside = np.ones(self.n_pixels, bool)
        for values, bounds in zip(self.xy.T, (x_um, y_um), strict=True):
            if bounds is not None:
                inside &= (values >= bounds[0] - 1e-9) & (values <= bounds[1] + 1e-9)
        keep = inside if where is None else inside & np.asarray(where, bool)
        if keep.shape != inside.shape or not np.any(keep & self.indexed):
            raise ParameterError(
                f"map {self.name!r}: crop keeps none of {int(self.indexed.sum())} indexed "
                "points, or 'where' is not "
                f"{self.n_pixels} values; the map spans {self.xy.min(0)} to {self.xy.max(0)} um"
            )
        box = np.ones(self.n_pixels, bool)
        for number in (self.rows, self.half_columns):
            box &= (number >= number[keep].min()) & (number <= number[keep].max())
        rows = self.rows[box]
        lost = int(np.sum(box & ~keep & self.indexed))
        return replace(
            self,
            quaternions=np.where(keep[:, None], self.quaternions, np.nan)[box],
            phase_id=np.where(keep, self.phase_id, 0)[box].astype(np.int32),
            xy=self.xy[box],
            shape=(int(np.ptp(rows)) + 1, int(np.bincount(rows - rows.min()).max())),
            properties={k: v[box] for k, v in self.properties.items()},
            frame_note=(*self.frame_note, f"cropped from {self.n_pixels} to {int(box.sum())} points")
            + ((f"{lost} points outside the chosen shape are not indexed",) if lost else ()),
        )

    def notes(self) -> pd.DataFrame:
        """What was turned, left out, recognised or taken for granted on the way in, a note a row."""
        import pandas as pd

        numbers = pd.RangeIndex(1, len(self.frame_note) + 1, name="note")
        return pd.DataFrame({"on the way in": self.frame_note}, index=numbers)

    def summary(self) -> pd.DataFrame:
        """Size, step, phases and frame as a table of two columns to look at (pandas DataFrame)."""
        import pandas as pd

        rows, columns = self.shape
        share = {p.name: float(np.mean(self.phase_id == i)) for i, p in self.phases.items()}
        facts = {
            "points": f"{self.n_pixels} on a {self.grid} grid, {columns} columns x {rows} rows",
            "step": f"{self.step_um:g} um",
            "indexed": f"{100 * self.indexed.mean():.2f} %",
            "phases": ", ".join(f"{name} {100 * s:.1f} %" for name, s in share.items()),
            "lattice": ", ".join(
                f"{p.name}: {p.lattice or p.group}, a = {p.a:g}, c/a = {p.c_over_a:.4g}"
                for p in self.phases.values()
            ),
            "notes": f"{len(self.frame_note)}: see notes()",
            "properties": ", ".join(self.properties) or "none",
        }
        return pd.DataFrame({"value": facts}).rename_axis("map")
