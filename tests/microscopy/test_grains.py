"""Segmentation, boundaries and gradients: closed forms on synthetic maps, counts of published maps."""

import numpy as np
import pytest

from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.rotations import (
    axis_angle_to_quaternion,
    quaternion_multiply,
    random_quaternions,
)
from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError
from cpml.microscopy import EbsdMap, MapPhase, grod, kam, read_map, segment
from cpml.microscopy.grains.csl import csl_limit, csl_rotations, nearest_csl
from cpml.microscopy.maps.means import mean_orientations

HEX = MapPhase("Mg", "622", "hcp", 3.209, 3.209, 5.2101, 90, 90, 120)


def about_z(*angles_deg):
    return axis_angle_to_quaternion([0, 0, 1], np.radians(np.array(angles_deg, float)))


def test_segmentation_finds_the_cells(make_map, voronoi):
    """Without noise the grains are the Voronoi cells (random neighbours are never within 1 deg
    by this seed).
    """
    cells = voronoi(60, 80, 30)
    grains = segment(make_map(cells, random_quaternions(30, np.random.default_rng(0))), threshold=1.0)
    assert grains.n_grains == 30
    pairs = np.unique(np.stack([grains.label, cells.ravel()], axis=1), axis=0)
    assert len(pairs) == 30
    assert grains.table["n_pixels"].sum() == 4800
    assert grains.table["area_um2"].sum() == pytest.approx(1200)
    np.testing.assert_allclose(grains.table["gos_deg"], 0, atol=1e-5)


def test_threshold_is_the_angle_of_neighbours(make_map):
    """Steps of 4.9 deg chain into one grain at 5 deg; steps of 5.1 deg do not."""
    label = np.repeat(np.arange(1, 6)[None], 4, axis=0)
    assert segment(make_map(label, about_z(0, 4.9, 9.8, 14.7, 19.6))).n_grains == 1
    assert segment(make_map(label, about_z(0, 5.1, 10.2, 15.3, 20.4))).n_grains == 5


def test_results_ignore_the_symmetry_copy(make_map, voronoi):
    """Every pixel given as another copy of its crystal: grains, KAM, GROD and boundary angles
    are the same.
    """
    rng = np.random.default_rng(3)
    cells, group = voronoi(40, 40, 12), proper_group("622")
    m = make_map(cells, random_quaternions(12, rng), phase=HEX, noise_deg=0.5)
    copy = quaternion_multiply(m.quaternions, group[rng.integers(12, size=1600)])
    first, second = segment(m), segment(EbsdMap(**{**vars_of(m), "quaternions": copy}))
    np.testing.assert_array_equal(first.label, second.label)
    np.testing.assert_allclose(kam(first), kam(second), atol=1e-6)
    np.testing.assert_allclose(grod(first), grod(second), atol=1e-6)
    np.testing.assert_allclose(first.boundaries["angle_deg"], second.boundaries["angle_deg"], atol=1e-6)


def vars_of(m):
    return {name: getattr(m, name) for name in m.__dataclass_fields__}


def outer_edges(grains):
    """Number of cell edges between a grain and no grain, on squares: the rim of the map, and gaps."""
    labelled = grains.label > 0
    return 4 * labelled.sum() - 2 * labelled[grains.map.neighbours].all(axis=1).sum()


def test_not_indexed_has_no_grain_and_no_kam(make_map):
    """Gaps keep label 0 and NaN; with refilling they count for the area, never for the orientation."""
    label = np.ones((10, 10), int)
    label[4, 4] = 0
    m = make_map(label, about_z(0))
    grains = segment(m)
    assert grains.label[44] == 0 and np.isnan(kam(grains)[44]) and np.isnan(grod(grains)[44])
    assert grains.table["n_pixels"][0] == 99 and outer_edges(grains) == 44
    filled = segment(m, reach=3)
    assert filled.label[44] == 1 and filled.table["n_pixels"][0] == 99 and outer_edges(filled) == 40
    assert filled.table["area_um2"][0] == pytest.approx(25) and np.isnan(kam(filled)[44])


def test_small_grains_are_dropped_and_refilled(make_map):
    """A speck of two pixels vanishes at min_pixels = 3 and goes to its surroundings."""
    label = np.ones((10, 10), int)
    label[5, 5:7] = 2
    grains = segment(make_map(label, about_z(0, 40)), min_pixels=3)
    assert grains.n_grains == 1 and grains.n_dropped == 1 and (grains.label == 1).all()
    assert grains.table["n_pixels"][0] == 98 and grains.table["gos_deg"][0] == pytest.approx(0, abs=1e-6)


def test_phases_are_never_joined(make_map):
    """One orientation in two phases is two grains and a phase boundary."""
    label = np.repeat([[1, 1, 2, 2]], 3, axis=0)
    phases = {1: MapPhase("Ni", "432", "fcc"), 2: HEX}
    grains = segment(make_map(label, about_z(0, 0), phases=phases, phase_of_grain=[1, 2]))
    assert grains.n_grains == 2 and grains.boundaries["phase_boundary"].tolist() == [True]
    assert (
        grains.boundaries["length_um"][0] == pytest.approx(1.5)
        and np.isnan(grains.segments["angle_deg"]).all()
    )


def test_kam_noise_floor(make_map):
    """Noise of rms angle d gives KAM = sqrt(8/pi) sqrt(2/3) d = 1.303 d; 0.5 % is the sampling error
    of 40,000 px.
    """
    m = make_map(np.ones((200, 200), int), about_z(20), noise_deg=0.3)
    assert np.mean(kam(segment(m))) == pytest.approx(1.303 * 0.3, rel=0.01)


def test_kam_of_a_bent_crystal(make_map):
    """0.2 deg a column: order 1 averages 2 x 0.2 and 2 x 0; order 2 has 12 neighbours whose |dx| add
    up to 12.
    """
    label = np.repeat(np.arange(1, 21)[None], 12, axis=0)
    grains = segment(make_map(label, about_z(*0.2 * np.arange(20))))
    assert kam(grains)[5 * 20 + 10] == pytest.approx(0.1, rel=1e-6)
    neighbours = [(i, j) for i in range(-2, 3) for j in range(-2, 3) if 0 < abs(i) + abs(j) <= 2]
    expected = 0.2 * np.mean([abs(j) for _, j in neighbours])
    assert kam(grains, order=2)[5 * 20 + 10] == pytest.approx(expected, rel=1e-6)
    assert kam(grains, max_angle=0.1)[5 * 20 + 10] == pytest.approx(0, abs=1e-6)
    assert grod(grains)[0] == pytest.approx(0.2 * 9.5, rel=1e-3)


def test_kam_stays_inside_the_grain(make_map):
    """A boundary of 30 deg adds nothing to the KAM beside it."""
    label = np.repeat([[1] * 5 + [2] * 5], 6, axis=0)
    np.testing.assert_allclose(kam(segment(make_map(label, about_z(0, 30)))), 0, atol=1e-6)


def test_mean_of_symmetry_copies():
    """1 and 89 deg about z are one crystal within 2 deg: the mean is 0 (or 90), not 45 deg."""
    mean = mean_orientations(about_z(1, 89), np.zeros(2, int), 1, proper_group("432"))
    angle = np.degrees(2 * np.arctan2(mean[0, 3], mean[0, 0])) % 90
    assert min(angle, 90 - angle) == pytest.approx(0, abs=1e-9)


def test_boundary_geometry(make_map):
    """A straight wall of 6 px: 3 um long, on pixel edges, upright on the screen; the other one is flat."""
    label = np.repeat([[1] * 5 + [2] * 5], 6, axis=0)
    wall = segment(make_map(label, about_z(0, 30)))
    assert wall.boundaries["length_um"][0] == pytest.approx(3) and wall.boundaries["trace_deg"][
        0
    ] == pytest.approx(90)
    assert wall.boundaries["angle_deg"][0] == pytest.approx(30)
    np.testing.assert_allclose(wall.segments[["x0_um", "x1_um"]], 2.25)
    assert wall.segments["y0_um"].min() == -0.25 and wall.segments["y1_um"].max() == 2.75
    assert wall.graph[0, 1] == pytest.approx(3) and wall.graph.shape == (2, 2)
    flat = segment(make_map(label.T, about_z(0, 30)))
    assert flat.boundaries["trace_deg"][0] == pytest.approx(0)


def test_staircase_keeps_its_slope(make_map):
    """A boundary from lower left to upper right at 45 deg on the screen is 45 deg, not the mean
    of its steps.
    """
    row, col = np.mgrid[:40, :40]
    grains = segment(make_map(np.where(row + col < 39, 1, 2), about_z(0, 30)))
    assert grains.boundaries["trace_deg"][0] == pytest.approx(45, abs=1)


def test_grain_shape(make_map):
    """A block of 4 x 12 px: aspect ratio 3, long axis along the rows, on-screen 0 deg; touching no edge."""
    label = np.ones((20, 20), int)
    label[8:12, 4:16] = 2
    row = segment(make_map(label, about_z(0, 30))).table.iloc[1]
    assert row["aspect_ratio"] == pytest.approx(3) and row["long_axis_deg"] == pytest.approx(0)
    assert (
        not row["on_edge"] and row["x_um"] == pytest.approx(9.5 / 2) and row["y_um"] == pytest.approx(9.5 / 2)
    )
    assert row["equivalent_diameter_um"] == pytest.approx(np.sqrt(4 * 12 / np.pi))


def test_csl_rotations_are_exact():
    """Each is a rotation whose matrix times Sigma is whole numbers: the definition of
    a coincidence lattice.
    """
    from cpml.crystallography.rotations import quaternion_to_matrix

    sigma, rotations = csl_rotations(33)
    assert sorted(set(sigma)) == list(range(3, 34, 2)) and csl_rotations()[0].max() == 29
    for s, r in zip(sigma, quaternion_to_matrix(rotations), strict=True):
        np.testing.assert_allclose(s * r, np.rint(s * r), atol=1e-9)


def test_csl_limits():
    """Brandon 15 Sigma^-1/2 and Palumbo-Aust 15 Sigma^-5/6, deg."""
    brandon = {3: 8.660, 5: 6.708, 7: 5.669, 9: 5.000, 11: 4.523, 27: 2.887}
    np.testing.assert_allclose(csl_limit(list(brandon)), list(brandon.values()), atol=1e-3)
    np.testing.assert_allclose(csl_limit([3, 9], "palumbo_aust"), [6.005, 2.404], atol=1e-3)
    m = quaternion_multiply(
        axis_angle_to_quaternion([1, 1, 1], np.pi / 3), axis_angle_to_quaternion([1, -1, 0], np.radians(7))
    )
    group = proper_group("432")
    assert nearest_csl(m[None], group)[0][0] == 3
    assert nearest_csl(m[None], group, criterion="palumbo_aust")[0][0] == 0
    with pytest.raises(ParameterError, match="brandon"):
        csl_limit(3, "strict")


def test_csl_uses_the_whole_deviation():
    """60 deg about <111> turned off axis: within 8.66 deg it is Sigma 3, at 9 deg not, though the
    angle stays 60.
    """
    group = proper_group("432")
    sigma3 = axis_angle_to_quaternion([1, 1, 1], np.pi / 3)
    for lean, expected in ((0, 3), (8.4, 3), (8.9, 0)):
        m = quaternion_multiply(sigma3, axis_angle_to_quaternion([1, -1, 0], np.radians(lean)))
        found, deviation = nearest_csl(m[None], group)
        assert found[0] == expected
        if expected:
            assert deviation[0] == pytest.approx(lean, abs=1e-6)
    tilted = axis_angle_to_quaternion([1, 1, 0.2], np.pi / 3)
    assert nearest_csl(tilted[None], group)[0][0] != 3


CSL_TABLE = """3 60 111, 5 36.87 100, 7 38.21 111, 9 38.94 110, 11 50.48 110, 13 22.62 100, 13 27.80 111,
15 48.19 210, 17 28.07 100, 17 61.93 221, 19 26.53 110, 19 46.83 111, 21 21.79 111, 21 44.42 211,
23 40.46 311, 25 16.26 100, 25 51.68 331, 27 31.59 110, 27 35.43 210, 29 43.60 100, 29 46.40 221,
31 17.90 111, 31 52.20 211, 33 20.05 110, 33 33.56 311, 33 58.99 110"""


@pytest.mark.parametrize("entry", CSL_TABLE.replace("\n", " ").split(","))
def test_csl_table(entry):
    """Published CSL rotations: found with a deviation below their rounding, and their disorientation
    is that angle.
    """
    expected, angle, axis = entry.split()
    q = axis_angle_to_quaternion([int(d) for d in axis], np.radians(float(angle)))
    sigma, deviation = nearest_csl(q[None], proper_group("432"), max_sigma=33)
    assert sigma[0] == int(expected) and deviation[0] < 0.01
    found, rotations = csl_rotations(33)
    least = [
        np.degrees(disorientation_angle([1.0, 0, 0, 0], r, proper_group("432")))
        for r in rotations[found == sigma[0]]
    ]
    assert min(abs(v - float(angle)) for v in least) < 0.01


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 0},
        {"threshold": -5},
        {"min_pixels": 0},
        {"reach": -1},
        {"threshold": float("nan")},
        {"min_pixels": 1000},
    ],
)
def test_impossible_parameters(make_map, wrong):
    """A threshold of zero, a negative reach, or nothing left is an error with the value in it."""
    m = make_map(np.ones((4, 4), int), about_z(0))
    with pytest.raises(ParameterError, match=str(next(iter(wrong.values())))):
        segment(m, **wrong)


def hexagonal_map(rows, cols, angle_deg):
    """A hexagonal-grid map of step 1, angle_deg(x, y) about z."""
    xy = np.array([[c + (r % 2) / 2, r * np.sqrt(0.75)] for r in range(rows) for c in range(cols)])
    return EbsdMap.from_points(
        "hex", xy, about_z(*angle_deg(*xy.T)), np.ones(len(xy)), {1: MapPhase("Ni", "432")}
    )


def test_hexagonal_grid_kam_and_boundaries():
    """Bent by k per um along x: the six neighbours differ by k (2), k/2 (4): mean 2k/3. Cell edges are
    1/sqrt 3 long.
    """
    m = hexagonal_map(9, 12, lambda x, y: 0.3 * x)
    assert m.grid == "hex" and m.neighbours.shape[0] == 9 * 11 + 8 * 23
    assert kam(segment(m))[4 * 12 + 6] == pytest.approx(0.2, rel=1e-6)
    split = segment(hexagonal_map(8, 12, lambda x, y: np.where(y < 3, 0.0, 30.0)))
    assert split.n_grains == 2 and split.boundaries["n_segments"][0] == 23
    np.testing.assert_allclose(split.segments["staircase_um"], 1 / np.sqrt(3), atol=1e-9)
    assert split.boundaries["length_um"][0] == pytest.approx(
        11.5, rel=0.01
    )  # 12 points in rows half a step apart
    assert abs((split.boundaries["trace_deg"][0] + 90) % 180 - 90) < 1


def test_second_order_hexagonal_pairs():
    """18 points lie within two hexagonal steps of an inner one, none further than 2 um."""
    m = hexagonal_map(9, 12, lambda x, y: 0 * x)
    pairs = m.pairs(2)
    assert np.sum(pairs == 4 * 12 + 6) == 18
    assert np.linalg.norm(m.xy[pairs[:, 0]] - m.xy[pairs[:, 1]], axis=1).max() == pytest.approx(2)


def test_hexagonal_picture_keeps_every_point():
    """Each point fills two cells of its row; shifted rows start one cell later."""
    m = hexagonal_map(4, 5, lambda x, y: 0 * x)
    picture = m.image(np.arange(20.0))
    assert picture.shape == (4, 11)
    np.testing.assert_array_equal(picture[0, :4], [0, 0, 1, 1])
    np.testing.assert_array_equal(picture[1, 1:5], [5, 5, 6, 6])
    assert np.isnan(picture[1, 0]) and np.isnan(picture[0, 10])


def test_published_grain_counts(mirror):
    """twins.ctf of MTEX, whose 6.1 counts the same: 126, 121 and, without specks, 91 grains of 22,794 px;
    3,173 + 608 edges (MTEX: 3,164 + 600, it fills gaps otherwise).
    """
    m = read_map(mirror("mg-twins/twins.ctf"), hex_x_axis="a*")
    assert m.indexed.sum() == 22833
    assert segment(m).n_grains == 126 and segment(m, threshold=15).n_grains == 121
    grains = segment(m, min_pixels=3)
    assert grains.n_grains == 91 and grains.table["n_pixels"].sum() == 22794
    assert len(grains.segments) == pytest.approx(3173, rel=0.01)
    assert outer_edges(grains) == pytest.approx(608, rel=0.01)


def test_two_phase_counts(mirror):
    """Super duplex steel: 75 austenite and 27 ferrite grains of 10 px and more."""
    table = segment(read_map(mirror("sdss/sdss_ferrite_austenite.ang"))).table
    large = table[table["n_pixels"] >= 10]
    assert [int((large["phase"] == p).sum()) for p in (1, 2)] == [75, 27]
