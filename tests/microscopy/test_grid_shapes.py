"""Grids with holes, free shapes, two phases, and points without orientation."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from cpml.crystallography.rotations import axis_angle_to_quaternion, random_quaternions
from cpml.errors import MapFileError, ParameterError
from cpml.microscopy import EbsdMap, MapPhase, curvature, find_twins, grod, kam, read_map, segment, write_map
from cpml.microscopy.maps.grids import find_grid

NI = {1: MapPhase("Nickel", "432", "fcc")}
SDSS = "sdss/sdss_ferrite_austenite.ang"


def lattice(rows, cols, is_hex, dx=0.37):
    row, col = np.divmod(np.arange(rows * cols), cols)
    return np.stack(
        [dx * (col + 0.5 * is_hex * (row % 2)), dx * row * (np.sqrt(0.75) if is_hex else 1)], axis=1
    )


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(3, 12), st.integers(3, 12), st.booleans(), st.integers(0, 10**6), st.booleans())
def test_any_part_of_a_grid_in_any_order_is_found(rows, cols, is_hex, seed, rounded):
    """Nine tenths of the points, shuffled, rounded to 0.01: places, spacing and neighbours are those of
    the full grid.
    """
    rng = np.random.default_rng(seed)
    xy = lattice(rows, cols, is_hex)
    keep = rng.permutation(len(xy))[: max(int(0.9 * len(xy)), len(xy) - 4)]
    grid = find_grid("g", np.round(xy[keep], 2) if rounded else xy[keep])
    assert grid.kind == ("hex" if is_hex else "square")
    np.testing.assert_allclose(grid.pixel_um[0], 0.37, rtol=0.03)
    np.testing.assert_allclose(grid.xy[grid.cell], xy[keep], atol=0.02 * max(rows, cols))
    assert len(np.unique(grid.cell)) == len(keep)


def test_missing_rows_do_not_stretch_the_grid():
    """Ten missing rows are ten rows without orientation."""
    xy = lattice(30, 8, False)
    row = np.arange(240) // 8
    grid = find_grid("g", xy[(row < 9) | (row >= 19)])
    assert grid.shape == (30, 8) and grid.n_holes == 80 and grid.pixel_um == pytest.approx((0.37, 0.37))


def test_far_points_do_not_make_a_huge_map():
    """Two points a kilometre apart are damage, not a map of 10^18 places."""
    with pytest.raises(MapFileError, match="grid"):
        find_grid("g", np.array([[0, 0], [1, 0], [1e9, 0], [0, 1], [0, 1e9]]))


def test_cut_off_and_cropped_ang_are_told_apart(tmp_path, make_map, voronoi):
    """A hole inside is a hole; missing last points are a file that is cut off."""
    m = make_map(voronoi(9, 11, 4), random_quaternions(4, np.random.default_rng(0)))
    lines = write_map(m, tmp_path / "m.ang").read_text().splitlines()
    holed, cut = lines[:-50] + lines[-45:], lines[:-5]
    (tmp_path / "holed.ang").write_text("\n".join([*holed, ""]))
    (tmp_path / "cut.ang").write_text("\n".join([*cut, ""]))
    back = read_map(tmp_path / "holed.ang")
    assert (
        back.shape == (9, 11) and (~back.indexed).sum() == 5 and any("5 places" in n for n in back.frame_note)
    )
    with pytest.raises(MapFileError, match="cut off"):
        read_map(tmp_path / "cut.ang")


@pytest.mark.parametrize("is_hex", [False, True])
def test_cropping_keeps_positions_and_grains(is_hex):
    """A box keeps its points where they are; a free shape leaves the rest of the box without orientation."""
    xy = lattice(20, 24, is_hex, dx=1.0)
    q = axis_angle_to_quaternion([0, 0, 1], np.radians(20.0 * (xy[:, 0] >= 12)))
    m = EbsdMap.from_points("c", xy, q, np.ones(len(xy)), NI)
    box = m.crop(x_um=(5.8, 18.2), y_um=(3.8, 12.2))
    expected = (xy[:, 0] > 5.8) & (xy[:, 0] < 18.2) & (xy[:, 1] > 3.8) & (xy[:, 1] < 12.2)
    np.testing.assert_allclose(box.xy, xy[expected])
    assert box.grid == m.grid and segment(box).n_grains == 2
    assert len(box.neighbours) == np.sum(expected[m.neighbours].all(axis=1))
    round_shape = np.hypot(*(xy - xy.mean(0)).T) < 7
    part = m.crop(where=round_shape)
    assert part.indexed.sum() == round_shape.sum() and part.n_pixels < m.n_pixels
    assert len(segment(part).boundaries) == 1 and any("cropped" in n for n in part.frame_note)
    assert part.image(part.phase_id).shape[0] == part.shape[0]
    with pytest.raises(ParameterError, match="crop keeps none"):
        m.crop(x_um=(100, 200))


def test_unindexed_points_grow_or_are_regions(make_map):
    """A gap of two pixels and one of four: grown over, or regions of phase 0 at the end of the numbering."""
    label = np.ones((8, 10), int)
    label[:, 5:] = 2
    label[2, 2:4] = 0
    label[6:8, 4:6] = 0
    m = make_map(label, [[1, 0, 0, 0], axis_angle_to_quaternion([0, 0, 1], 0.5)])
    grown = segment(m, reach=3)
    assert grown.n_grains == 2 and (grown.label > 0).all()
    regions = segment(m, unindexed="region")
    assert regions.n_grains == 4 and regions.phase.tolist() == [1, 1, 0, 0]
    table = regions.table.set_index("fragment_id")
    assert table.area_um2[3] == 2 * 0.25 and table.n_pixels[3] == 0 and np.isnan(table.gos_deg[4])
    assert set(map(tuple, regions.boundaries[["fragment_a", "fragment_b"]].to_numpy())) == {
        (1, 2),
        (1, 3),
        (1, 4),
        (2, 4),
    }
    assert regions.boundaries.angle_deg.isna().sum() == 3
    with pytest.raises(ParameterError, match="'grow' or 'region'"):
        segment(m, unindexed="drop")


def test_regions_do_not_disturb_what_is_measured(mirror):
    """Real map: the same grains with either policy; twins, KAM and GROD run on both."""
    m = read_map(mirror("mg-twins/twins.ctf"))
    plain, regions = segment(m), segment(m, unindexed="region")
    n = plain.n_grains
    np.testing.assert_array_equal(np.where(regions.label > n, 0, regions.label), plain.label)
    assert (regions.phase[n:] == 0).all() and (regions.label > 0).all()
    np.testing.assert_array_equal(kam(regions), kam(plain))
    np.testing.assert_array_equal(grod(regions), grod(plain))
    assert len(find_twins(regions).pairs) == len(find_twins(plain).pairs)


def test_each_phase_has_its_threshold(mirror):
    """The austenite's grains do not change when the ferrite's threshold does; a forgotten phase
    is an error.
    """
    m = read_map(mirror(SDSS))
    names = [p.name for p in m.phases.values()]
    both, finer = (
        segment(m, threshold=dict(zip(names, (5, 5), strict=True))),
        segment(m, threshold=dict(zip(names, (5, 1), strict=True))),
    )
    np.testing.assert_array_equal(both.label, segment(m).label)

    def count(g):
        return np.bincount(g.phase, minlength=3)[1:]

    assert count(finer)[0] == count(both)[0] and count(finer)[1] > count(both)[1]
    for wrong in ({names[0]: 5}, dict(zip((*names, "iron"), (5, 5, 5), strict=True))):
        with pytest.raises(ParameterError, match="give one for each"):
            segment(m, threshold=wrong)


@pytest.mark.parametrize("is_column", [False, True])
def test_scans_along_one_line(is_column):
    """A row and a column of points: square cells, neighbours along the line, the curvature of
    its own direction.
    """
    s = 0.5 * np.arange(30)
    xy = np.stack([0 * s, s] if is_column else [s, 0 * s], axis=1)
    q = axis_angle_to_quaternion([0, 0, 1], 1e-3 * s)
    m = EbsdMap.from_points("line", xy, q, np.ones(30), NI)
    assert (
        m.shape == ((30, 1) if is_column else (1, 30))
        and m.pixel_um == (0.5, 0.5)
        and len(m.neighbours) == 29
    )
    for scheme in ("forward", "central"):
        kappa = curvature(segment(m), scheme=scheme).kappa
        np.testing.assert_allclose(kappa[:, 2, int(is_column)], 1e-3, rtol=1e-6)
        assert np.isnan(kappa[:, :, int(not is_column)]).all()
    with pytest.raises(MapFileError, match="one place"):
        find_grid("g", np.zeros((3, 2)))


@pytest.mark.parametrize("rows, cols", [(1, 60), (60, 1)])
@pytest.mark.parametrize("zero", ["0", "0,000", ""])
def test_line_scans_of_oxford_have_no_step_across(tmp_path, ctf_text, some_orientations, rows, cols, zero):
    """YStep (XStep) 0 or empty with one row (column): square cells; 0 along the line is an error."""
    text = ctf_text(some_orientations, rows, cols)
    across, along = ("YStep", "XStep") if rows == 1 else ("XStep", "YStep")
    path = tmp_path / "line.ctf"
    path.write_text(text.replace(f"{across}\t0.5", f"{across}\t{zero}"), newline="")
    m = read_map(path)
    assert m.shape == (rows, cols) and m.pixel_um == (0.5, 0.5)
    path.write_text(text.replace(f"{along}\t0.5", f"{along}\t{zero}"), newline="")
    with pytest.raises(MapFileError, match=rf"line\.ctf, line \d: {along}"):
        read_map(path)
