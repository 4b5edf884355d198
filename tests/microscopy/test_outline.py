"""Lengths and curvatures of outlines: lines of every direction, circles and rings on every grid, where pieces
end.
"""

import numpy as np
import pytest
from scipy.spatial import Voronoi, cKDTree

from cpml.crystallography.rotations import random_quaternions
from cpml.microscopy import EbsdMap, boundary_details, grain_shapes, segment
from cpml.microscopy.grains.boundary_pieces import boundary_pieces
from support.maps import NICKEL, about_z

GRIDS = {
    "square": (1.0, 1.0),
    "tall": (0.5, 0.8),
    "hex": (1.0, np.sqrt(0.75)),
    "flat": (np.sqrt(0.75), 1.0),  # hexagons on a side: every second column is half a step lower
}


def divided(grid, label_of, *, size=70, quaternions=None):
    """Grains of a map of size x size points whose labels from 1 are label_of(x, y), steps, origin outside."""
    dx, dy = GRIDS[grid]
    row, col = np.divmod(np.arange(size * size), size)
    x = 7.0 + dx * (col + (row % 2 / 2 if grid == "hex" else 0))
    xy = np.stack([x, -3.0 + dy * (row + (col % 2 / 2 if grid == "flat" else 0))], axis=1)
    label = label_of(*(xy - xy.mean(axis=0)).T)
    q = about_z(*(25.0 * np.arange(3))) if quaternions is None else quaternions
    made = EbsdMap.from_points("drawn", xy, q[label - 1], np.ones(len(xy)), {1: NICKEL})
    return segment(made)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_straight_boundary_has_its_length_in_every_direction(grid):
    """Two parallel cuts across a map: what lies between the corners where a cut leaves the map is straight.

    The ends of a line are corners of cells, up to a step from where it crosses the rim: the length is held
    against the distance of those corners, which the outline must match to 1 %; the cell edges are up to 41 %
    longer on squares.
    """
    excess = []
    for degrees in np.arange(0.0, 180.0, 3.7):
        along = np.radians(degrees)
        grains = divided(grid, lambda x, y, a=along: np.where(y * np.cos(a) - x * np.sin(a) > 0.1, 2, 1))
        row = boundary_details(grains).iloc[0]
        segments = grains.segments
        ends = segments[["x0_um", "y0_um", "x1_um", "y1_um"]].to_numpy().reshape(-1, 2)
        corner, count = np.unique(ends.round(6), axis=0, return_counts=True)
        first, last = corner[count == 1]
        assert row["length_um"] == pytest.approx(np.linalg.norm(last - first), rel=0.01), degrees
        assert row["straightness"] == pytest.approx(1, abs=0.01), degrees
        assert row["curvature_abs_per_um"] * GRIDS[grid][0] < 0.02, degrees
        excess.append(row["staircase_um"] / row["length_um"])
    assert max(excess) > 1.3 if grid in ("square", "tall") else min(excess) > 1.1  # the raw lengths are there


@pytest.mark.parametrize(
    "grid, radius", [(g, r) for g in ("square", "hex", "flat") for r in (5, 8, 13, 21, 34, 50)]
)
def test_a_circle_has_its_perimeter_and_curvature(grid, radius):
    """Perimeter, curvature and |curvature| within 3 % of a circle of the area that the points give it.

    A circle of radius 5 off the points' lattice holds 78.5 points give or take two, and nobody can tell it
    from the next: the mean over nine places of the centre is held against the radius itself.
    """
    found = []
    for shift in np.random.default_rng(radius).uniform(-0.5, 0.5, (9, 2)):
        grains = divided(
            grid,
            lambda x, y, s=shift: np.where(np.hypot(x - s[0], y - s[1]) < radius, 2, 1),
            size=int(2.5 * radius + 8),
        )
        shape, row = grain_shapes(grains).iloc[1], boundary_details(grains).iloc[0]
        equal = np.sqrt(grains.table["area_um2"][1] / np.pi)
        assert shape["perimeter_um"] == pytest.approx(2 * np.pi * equal, rel=0.03)
        assert row["length_um"] == pytest.approx(shape["perimeter_um"])
        assert row["curvature_per_um"] == pytest.approx(-1 / equal, rel=0.03)  # the disc is grain b
        assert row["curvature_abs_per_um"] == pytest.approx(1 / equal, rel=0.03)
        found.append((shape["perimeter_um"] / (2 * np.pi), np.sqrt(equal**2), -1 / row["curvature_per_um"]))
    np.testing.assert_allclose(np.mean(found, axis=0), radius, rtol=0.03)


def test_a_ring_has_two_outlines():
    """Grain 2 is a ring of radii 12 and 24: it counts with both circles, of opposite curvature."""
    grains = divided(
        "square", lambda x, y: 1 + (np.hypot(x, y) < 24).astype(int) + (np.hypot(x, y) < 12).astype(int)
    )
    shapes = grain_shapes(grains)
    assert shapes["perimeter_um"][1] == pytest.approx(2 * np.pi * 36, rel=0.02)
    details = boundary_details(grains)
    assert details["curvature_per_um"].to_numpy() == pytest.approx([-1 / 24, -1 / 12], rel=0.04)


def test_pieces_meet_in_the_corner_of_the_triple_point():
    """Three sectors: straight boundaries from the rim that end in one corner."""
    grains = divided(
        "square", lambda x, y: 1 + (np.degrees(np.arctan2(y - 0.2, x + 0.3)) % 360 // 120).astype(int)
    )
    pieces = boundary_pieces(grains)
    assert pieces["piece"].nunique() == 3 and not pieces["closed"].any()
    np.testing.assert_allclose(pieces["arc_um"] / pieces["chord_um"], 1, atol=0.01)
    ends = grains.segments[["x0_um", "y0_um", "x1_um", "y1_um"]].to_numpy().reshape(-1, 2)
    corner, count = np.unique(ends.round(6), axis=0, return_counts=True)
    assert (count == 3).sum() == 1 and (count == 1).sum() == 3
    meeting, rim = corner[count == 3][0], corner[count == 1]
    assert sorted(np.linalg.norm(rim - meeting, axis=1)) == pytest.approx(
        sorted(pieces.groupby("piece")["chord_um"].first())
    )


def test_lengths_of_segments_add_up(make_map, voronoi):
    """Boundaries, segments and perimeters are sums of one outline; the rim is the rectangle of the map."""
    q = random_quaternions(30, np.random.default_rng(2))
    grains = segment(make_map(voronoi(50, 40, 30), q))
    inner, shapes = grains.boundaries["length_um"].sum(), grain_shapes(grains)
    assert inner == pytest.approx(grains.segments["length_um"].sum())
    assert inner == pytest.approx(boundary_pieces(grains).groupby("piece")["arc_um"].first().sum())
    assert shapes["perimeter_um"].sum() == pytest.approx(2 * inner + 2 * 0.5 * (50 + 40))
    straight = shapes["staircase_um"].sum() - 2 * 0.5 * (50 + 40)
    assert straight == pytest.approx(2 * grains.boundaries["staircase_um"].sum())
    assert 0.5 * grains.boundaries["n_segments"].sum() == pytest.approx(straight / 2)


@pytest.mark.parametrize("grid", ["square", "hex"])
def test_the_network_of_voronoi_cells_has_its_length(grid):
    """Cells of some 13 points across: walls between seeds, cut by the frame, are known to any digit; 1.5 %.

    The frame is exact where seeds are mirrored in it.
    """
    rng, (dx, dy), size = np.random.default_rng(5), GRIDS[grid], 200
    low, high = np.array([-dx / 2, -dy / 2]), np.array([size - 0.5, size - 0.5]) * [dx, dy]
    seeds = rng.uniform(low, high, (230, 2))
    mirrored = [
        np.where(np.arange(2) == k, 2 * side[k] - seeds, seeds) for k in (0, 1) for side in (low, high)
    ]
    cells = Voronoi(np.concatenate([seeds, *mirrored]))
    length = sum(
        np.linalg.norm(np.diff(cells.vertices[list(two)], axis=0))
        for pair, two in zip(cells.ridge_points, cells.ridge_vertices, strict=True)
        if max(pair) < len(seeds)
    )
    tree = cKDTree(seeds)
    grains = divided(
        grid,
        lambda x, y: tree.query(np.stack([x - x.min(), y - y.min()], axis=1))[1] + 1,
        size=size,
        quaternions=random_quaternions(230, rng),
    )
    assert grains.boundaries["length_um"].sum() == pytest.approx(length, rel=0.015)
    assert grains.boundaries["staircase_um"].sum() > 1.2 * length


def test_gaps_count_as_outline(make_map):
    """A hole of one point in a grain: four edges more, and no boundary."""
    label = np.ones((12, 9), int)
    label[5, 4] = 0
    grains = segment(make_map(label, about_z(0)))
    assert grain_shapes(grains)["staircase_um"][0] == pytest.approx(0.5 * (2 * (12 + 9) + 4))
    assert len(grains.boundaries) == len(grains.segments) == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (8, 1), (2, 2)])
def test_the_smallest_maps_have_outlines(make_map, shape):
    """One point, lines of points and four points: the perimeter is the rectangle of the map."""
    label = np.ones(shape, int)
    grains = segment(make_map(label, about_z(0)))
    assert grain_shapes(grains)["perimeter_um"][0] == pytest.approx(2 * 0.5 * sum(shape))
    label.ravel()[-1] = 2
    if label.size > 1:
        lone = segment(make_map(label, about_z(0, 30)))
        assert lone.boundaries["length_um"].sum() > 0
