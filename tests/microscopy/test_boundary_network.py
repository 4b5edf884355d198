"""Shapes, spread, boundary curves, tilt and twist, triple junctions, graph files: closed forms."""

import networkx
import numpy as np
import pandas as pd
import pytest

from cpml.crystallography.rotations import (
    axis_angle_to_quaternion,
    quaternion_multiply,
    random_quaternions,
)
from cpml.errors import ParameterError
from cpml.microscopy import (
    EbsdMap,
    MapPhase,
    boundary_details,
    boundary_sides,
    find_twins,
    grain_shapes,
    grain_spread,
    read_map,
    segment,
    triple_junctions,
    write_graphml,
)
from cpml.microscopy.grains.boundary_pieces import boundary_pieces
from cpml.microscopy.grains.junctions import dihedral_angles
from cpml.microscopy.maps.vertices import vertex_cells


def about_z(*angles_deg):
    return axis_angle_to_quaternion([0, 0, 1], np.radians(np.array(angles_deg, float)))


def hexagonal(label_of, rows, cols, quaternions):
    """A hexagonal map of step 1 whose grains are label_of(x, y)."""
    xy = np.array([[c + (r % 2) / 2, r * np.sqrt(0.75)] for r in range(rows) for c in range(cols)])
    label = label_of(*xy.T)
    return EbsdMap.from_points(
        "hex", xy, quaternions[label - 1], np.ones(len(xy)), {1: MapPhase("Ni", "432")}
    )


def disc(radius, size=61):
    y, x = np.mgrid[:size, :size] - size // 2
    return np.where(np.hypot(x, y) < radius, 2, 1)


def test_outline_of_a_block(make_map):
    """4 x 12 px of 0.5 um: each kink loses about half a step (0.65 at most), hull = area."""
    label = np.ones((20, 20), int)
    label[8:12, 4:16] = 2
    row = grain_shapes(segment(make_map(label, about_z(0, 30)))).iloc[1]
    assert row["staircase_um"] == pytest.approx(16)
    assert 16 - 4 * 0.65 * 0.5 < row["perimeter_um"] < 16
    assert row["convexity"] == pytest.approx(1) and not row["on_edge"]
    assert row["ellipse_major_um"] / row["ellipse_minor_um"] == pytest.approx(3)
    assert np.pi / 4 * row["ellipse_major_um"] * row["ellipse_minor_um"] == pytest.approx(12)


def test_outline_of_an_l(make_map):
    """An L of three squares has hull 7/6 of its area; the rim of the map is a rectangle."""
    corner = np.ones((20, 20), int)
    corner[4:16, 4:10] = corner[10:16, 4:16] = 2
    shapes = grain_shapes(segment(make_map(corner, about_z(0, 30))))
    assert shapes["convexity"][1] == pytest.approx(6 / 7)
    assert shapes["on_edge"].tolist() == [True, False]
    assert shapes["perimeter_um"][0] - shapes["perimeter_um"][1] == pytest.approx(4 * 20 * 0.5)


def test_outline_on_a_hexagonal_grid():
    """One cell of a hexagonal grid: a loop as long as the circle of its area, 0.866 steps^2; hull = cell."""
    q = about_z(0, 30)
    m = hexagonal(lambda x, y: np.where(np.hypot(x - 4.0, y - 4 * np.sqrt(0.75)) < 0.1, 2, 1), 9, 9, q)
    shapes = grain_shapes(segment(m))
    assert shapes["perimeter_um"][1] == pytest.approx(2 * np.sqrt(np.pi * np.sqrt(0.75)), rel=1e-3)
    assert shapes["staircase_um"][1] == pytest.approx(6 / np.sqrt(3))
    assert shapes["convexity"][1] == pytest.approx(1)
    cells, xy = vertex_cells(m)
    full = (cells >= 0).all(axis=1)
    centre = m.xy[cells[full]].mean(axis=1)
    np.testing.assert_allclose(centre, xy[full], atol=1e-9)
    assert full.sum() == 8 * 16  # two triangles for each step of every strip


def test_spread_axis(make_map):
    """A crystal bent about the sample x: the spread axis is x in the sample, R^T x in the
    crystal, with all the variance.
    """
    base = random_quaternions(1, np.random.default_rng(0))[0]
    label = np.repeat(np.arange(1, 21)[None], 10, axis=0)
    q = quaternion_multiply(axis_angle_to_quaternion([1, 0, 0], np.radians(0.4) * np.arange(20)), base)
    row = grain_spread(segment(make_map(label, q))).iloc[0]
    assert [row[f"spread_axis_{k}"] for k in "xyz"] == pytest.approx([1, 0, 0], abs=1e-6)
    assert row["spread_share"] == pytest.approx(1, abs=1e-6) and row["grod_max_deg"] == pytest.approx(
        0.4 * 9.5, rel=1e-3
    )
    assert row["spread_deg"] == pytest.approx(0.4 * np.sqrt((20**2 - 1) / 12), rel=1e-3)
    noise = segment(make_map(np.ones((100, 100), int), base[None], noise_deg=0.3))
    table = grain_spread(noise)
    assert table["spread_share"][0] == pytest.approx(1 / 3, abs=0.02)
    assert table["gos_deg"][0] == pytest.approx(noise.table["gos_deg"][0])


@pytest.mark.parametrize("radius", [12, 20, 28])
def test_curvature_of_a_disc(make_map, radius):
    """The closed boundary of a disc: one piece, signed mean curvature 1/R within 3 %, centre on
    the disc's side.
    """
    details = boundary_details(segment(make_map(disc(radius), about_z(0, 30), step=1.0))).iloc[0]
    assert details["n_pieces"] == 1 and details["straightness"] == 0
    assert details["curvature_per_um"] == pytest.approx(-1 / radius, rel=0.03)  # the disc is grain b


def test_straight_boundaries_have_no_curvature(make_map):
    """Along the rows, at 45 deg and at a slope of 1 in 3: straightness 1 and no curvature."""
    row, col = np.mgrid[:50, :50]
    for label in (np.where(row < 20, 1, 2), np.where(row + col < 49, 1, 2)):
        details = boundary_details(segment(make_map(label, about_z(0, 30)))).iloc[0]
        assert details["straightness"] == pytest.approx(1, abs=0.01)
        assert abs(details["curvature_per_um"]) < 0.01
    sloped = boundary_details(segment(make_map(np.where(3 * row + col < 90, 1, 2), about_z(0, 30)))).iloc[0]
    assert sloped["straightness"] == pytest.approx(1, abs=0.01) and sloped["curvature_abs_per_um"] < 0.01


def test_pieces_end_at_triple_points(make_map):
    """A grain on the boundary of two others cuts it into two straight pieces of 10 segments from corner
    to corner.
    """
    label = np.ones((30, 30), int)
    label[15:] = 2
    label[12:18, 10:20] = 3
    pieces = boundary_pieces(segment(make_map(label, about_z(0, 30, 60))))
    assert pieces.groupby("boundary")["piece"].nunique().tolist() == [1, 2, 1]  # grain 2 is the block
    first = pieces[pieces["piece"] == pieces["piece"][pieces["boundary"] == 1].iloc[0]]
    assert sorted(first["position"]) == list(range(10)) and not first["closed"].any()
    np.testing.assert_allclose(first[["chord_um", "arc_um"]], 5.0)


@pytest.mark.parametrize(
    "axis, trace, tilt_min, twist_mean",
    [
        ((1, 0, 0), "upright", 0, 2 / 3),
        ((0, 1, 0), "upright", 1, 0),
        ((0, 0, 1), "upright", 0, 1 / 3),
        ((1, 1, 0), "upright", 1 / 2, 1 / 3),
    ],
)
def test_tilt_and_twist_of_a_trace(make_map, axis, trace, tilt_min, twist_mean):
    """An upright trace: an axis along it is pure tilt whatever the inclination; across it twist up to 1; z up
    to 1, mean 1/3.
    """
    label = np.repeat([[1] * 10 + [2] * 10], 20, axis=0)
    q = np.array([[1.0, 0, 0, 0], axis_angle_to_quaternion(axis, np.radians(20))])
    row = boundary_details(segment(make_map(label, q))).iloc[0]
    assert row["tilt_share_min"] == pytest.approx(tilt_min, abs=1e-6)
    assert row["twist_share_mean"] == pytest.approx(twist_mean, abs=1e-6)
    assert row["twist_share_max"] == pytest.approx(1 - tilt_min, abs=1e-6)


def test_details_name_csl_and_twins(make_map):
    """7 deg off Sigma3: Brandon says 3, Palumbo-Aust nothing; the twin type comes from find_twins."""
    off = quaternion_multiply(
        axis_angle_to_quaternion([1, 1, 1], np.pi / 3), axis_angle_to_quaternion([1, -1, 0], np.radians(7))
    )
    label = np.repeat([[1] * 8 + [2] * 8 + [3] * 8], 10, axis=0)
    q = np.array([[1.0, 0, 0, 0], off, axis_angle_to_quaternion([1, 1, 1], np.pi / 3)])
    grains = segment(make_map(label, q[[2, 0, 1]]))
    table = boundary_details(grains, twins=find_twins(grains, types=["twin"]))
    assert table["csl"].tolist() == [3, 3] and table["csl_palumbo_aust"].tolist() == [3, 0]
    assert table["twin_type"].tolist() == ["twin", ""] and table["twin_deviation_deg"].isna().tolist() == [
        False,
        True,
    ]


def wheel(size=61):
    """Three grains that meet in the middle, boundaries at 90, 210 and 330 deg on screen."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2 + 0.01
    angle = np.degrees(np.arctan2(-y, x)) % 360
    return np.select([(angle >= 90) & (angle < 210), (angle >= 210) & (angle < 330)], [1, 2], 3)


def test_three_boundaries_at_120_degrees(make_map):
    """Dihedral angles of 120 deg within the staircase's 8 deg (reach 15 steps), 360 deg
    together, one point.
    """
    table = triple_junctions(segment(make_map(wheel(), about_z(0, 20, 40))), reach=15)
    assert len(table) == 1 and not table["resolved"][0]
    angles = table[[f"dihedral_{k}_deg" for k in "abc"]].to_numpy()[0]
    np.testing.assert_allclose(angles, 120, atol=8)
    assert angles.sum() == pytest.approx(360)
    assert sorted(table[["angle_ab_deg", "angle_ac_deg", "angle_bc_deg"]].to_numpy()[0]) == pytest.approx(
        [20, 20, 40]
    )


def test_dihedral_angles_beyond_half_a_turn():
    """Boundaries bc, ac, ab at 0, 90 and 180 deg: a has the half turn without bc, b and c a quarter each."""
    found = dihedral_angles(np.array([[[1.0, 0], [0, 1], [-1, 0]]]))
    np.testing.assert_allclose(found, [[90, 180, 90]])
    found = dihedral_angles(np.array([[[1.0, 0], [0.5, np.sqrt(0.75)], [0.5, -np.sqrt(0.75)]]]))
    np.testing.assert_allclose(found, [[240, 60, 60]])


def test_four_grains_are_two_triple_points(make_map):
    """Four blocks round a corner: the two opposite blocks 10 deg apart touch, those 40 deg apart do not."""
    label = np.kron([[1, 2], [3, 4]], np.ones((10, 10), int))
    grains = segment(make_map(label, about_z(0, 20, 60, 10)))
    table = triple_junctions(grains)
    assert table["resolved"].tolist() == [True, True]
    assert table[["fragment_a", "fragment_b", "fragment_c"]].to_numpy().tolist() == [[1, 2, 4], [1, 3, 4]]


def test_types_count_special_boundaries(make_map):
    """A Sigma3 among three boundaries is a J1 point; the caller may say what is special."""
    label = wheel(31)
    q = np.array([[1.0, 0, 0, 0], axis_angle_to_quaternion([1, 1, 1], np.pi / 3), about_z(10)[0]])
    grains = segment(make_map(label, q))
    assert triple_junctions(grains)["type"].tolist() == ["J1"]
    assert triple_junctions(grains, special=np.ones(3, bool))["type"].tolist() == ["J3"]
    for wrong in ({"special": [True]}, {"reach": 0.5}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            triple_junctions(grains, **wrong)


def test_triple_points_of_a_hexagonal_grid():
    """Three sectors on hexagons meet once; no corner there has four cells."""

    def sectors(x, y):
        angle = np.degrees(np.arctan2(-(y - 15), x - 20)) % 360
        return np.select([angle < 120, angle < 240], [1, 2], 3)

    grains = segment(hexagonal(sectors, 36, 40, about_z(0, 20, 40)))
    table = triple_junctions(grains, reach=10)
    assert table["resolved"].tolist() == [False]
    assert table[["dihedral_a_deg", "dihedral_b_deg", "dihedral_c_deg"]].to_numpy()[0] == pytest.approx(
        120, abs=8
    )


def test_published_triple_points(mirror):
    """Magnesium map of 91 grains: 123 corners with three grains and 3 with four."""
    grains = segment(read_map(mirror("mg-twins/twins.ctf"), hex_x_axis="a*"), min_pixels=3)
    table = triple_junctions(grains)
    assert len(table) == 123 + 2 * 3 and table["resolved"].sum() == 6
    seen = table.dropna(subset=["dihedral_a_deg"])
    np.testing.assert_allclose(seen[[f"dihedral_{k}_deg" for k in "abc"]].sum(axis=1), 360)
    details = boundary_details(grains)
    assert len(details) == len(grains.boundaries) and details["straightness"].dropna().between(0, 1.001).all()


def test_graph_file_opens_elsewhere(make_map, voronoi, tmp_path):
    """networkx reads nodes, edges and their attributes back; a stranger among the edges leaves no file."""
    grains = segment(make_map(voronoi(40, 40, 12), random_quaternions(12, np.random.default_rng(0))))
    nodes = grains.table.assign(note="<a & b>")
    graph = networkx.read_graphml(
        write_graphml(tmp_path / "g.graphml", nodes, boundary_details(grains)), node_type=int
    )
    assert graph.number_of_nodes() == 12 and graph.number_of_edges() == len(grains.boundaries)
    row = grains.boundaries.iloc[0]
    edge = graph.edges[row["fragment_a"], row["fragment_b"]]
    assert edge["length_um"] == row["length_um"] and edge["phase_boundary"] is False
    assert graph.nodes[1]["note"] == "<a & b>" and graph.nodes[1]["area_um2"] == grains.table["area_um2"][0]
    assert not any(
        np.isnan(v) for *_, d in graph.edges(data=True) for v in d.values() if isinstance(v, float)
    )
    with pytest.raises(ParameterError, match="do not have"):
        write_graphml(tmp_path / "h.graphml", nodes.iloc[:3], grains.boundaries)
    assert [p.name for p in tmp_path.iterdir()] == ["g.graphml"]


def test_details_need_a_window(make_map):
    """A boundary too short for a parabola has NaN."""
    label = np.ones((10, 10), int)
    label[5, 5] = 2
    grains = segment(make_map(label, about_z(0, 30)))
    assert pd.isna(boundary_details(grains)["curvature_per_um"][0])


def test_values_on_both_sides(make_map):
    """A gradient of 1 a column: within 1 um of an upright wall (2 px of 0.5 um) the means are those
    of two columns.
    """
    label = np.repeat([[1] * 10 + [2] * 10], 12, axis=0)
    grains = segment(make_map(label, about_z(0, 30)))
    column = np.tile(np.arange(20.0), 12)
    column[5 * 20 + 9] = np.nan
    row = boundary_sides(grains, column, within_um=1.0).iloc[0]
    assert (row["n_a"], row["n_b"]) == (23, 24)
    assert row["mean_a"] == pytest.approx((12 * 8 + 11 * 9) / 23) and row["mean_b"] == pytest.approx(10.5)
    for values, within_um in ((column[:5], 1.0), (column, 0.0)):
        with pytest.raises(ParameterError, match="values"):
            boundary_sides(grains, values, within_um=within_um)


def test_one_grain_has_no_boundaries(make_map):
    """A map of one grain: empty tables with all their columns, no junction, no error."""
    grains = segment(make_map(np.ones((6, 6), int), about_z(0)))
    assert len(boundary_details(grains)) == 0 and "curvature_per_um" in boundary_details(grains)
    assert len(triple_junctions(grains)) == 0 and "type" in triple_junctions(grains)
    assert len(boundary_sides(grains, np.ones(36), within_um=1)) == 0
    assert len(grain_shapes(grains)) == len(grain_spread(grains)) == 1
