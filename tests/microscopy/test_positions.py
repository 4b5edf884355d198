"""Points are placed by their positions, in the unit of the file; header and positions that disagree are told.

Every map here has phi1 = 10 + 10 y + x degrees (x, y in points), so that a point says where it belongs.
"""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from cpml.crystallography.rotations import quaternion_to_euler
from cpml.errors import MapFileError, ParameterError
from cpml.microscopy import EbsdMap, MapPhase, clean, kam, read_map, read_stack, segment, triple_junctions
from cpml.microscopy.io.readers.positions import scale_grid
from cpml.microscopy.maps.grids import Grid
from support.map_files import COLS, ROWS, ang, crc, ctf, points, said, text

WRITERS = {"m.ctf": ctf, "m.ang": ang, "m.crc": crc, "m.txt": text}


def read(path, **options):
    if path.suffix == ".txt":
        phases = [MapPhase("Nickel", "432", "fcc", *[3.52] * 3)]
        options |= {"columns": ["x", "y", "phi1", "Phi", "phi2"], "phases": phases}
    return read_map(path, **options)


def belongs(ebsd_map, step=(1.0, 1.0), start=(0.0, 0.0)):
    """Whether every indexed point lies where its phi1 says."""
    known = ebsd_map.indexed
    phi1 = np.degrees(quaternion_to_euler(ebsd_map.quaternions[known])[:, 0])
    col, row = ((ebsd_map.xy[known] - start) / step).T
    return np.allclose(phi1, 10 + 10 * row + col, atol=0.01)


ORDERS = {
    "rows upwards": lambda col, row: np.lexsort((col, -row)),
    "columns first": lambda col, row: np.lexsort((row, col)),
    "from right to left": lambda col, row: np.lexsort((-col, row)),
    "columns first, upwards": lambda col, row: np.lexsort((-row, col)),
    "snake": lambda col, row: np.lexsort((np.where(row % 2, -col, col), row)),
    "shuffled": lambda col, row: np.random.default_rng(3).permutation(len(col)),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("order", ORDERS)
def test_any_order_of_the_points(tmp_path, name, order):
    """However the lines run, a point lies where its X and Y say."""
    col, row, phi1 = points()
    k = ORDERS[order](col, row)
    m = read(WRITERS[name](tmp_path / name, col[k], row[k], phi1[k]))
    assert m.shape == (ROWS, COLS) and belongs(m)


@pytest.mark.parametrize("name", ["m.ctf", "m.ang", "m.txt"])
def test_points_left_out_are_holes(tmp_path, name):
    """A file without its unindexed points keeps the others in place; it is not said to be cut off."""
    col, row, phi1 = points()
    keep = np.ones(len(col), bool)
    keep[[0, 8, 9, 14, 23]] = False  # the first, three inside and the last
    m = read(WRITERS[name](tmp_path / name, col[keep], row[keep], phi1[keep]))
    assert m.shape == (ROWS, COLS) and m.indexed.sum() == 19 and belongs(m)
    assert "5 places of the grid have no point" in said(m) and "cut off" not in said(m)


@pytest.mark.parametrize("name", ["m.ctf", "m.ang"])
@pytest.mark.parametrize("n", [5, 6, 13, 18, 23])
def test_a_file_without_its_last_points_is_cut_off(tmp_path, name, n):
    """Only the last lines are missing: within the first row, at the end of a row, or within one."""
    col, row, phi1 = points()
    with pytest.raises(MapFileError, match="cut off"):
        read(WRITERS[name](tmp_path / name, col[:n], row[:n], phi1[:n]))


@pytest.mark.parametrize("name", WRITERS)
def test_a_cropped_map_keeps_its_origin(tmp_path, name):
    """Positions that start elsewhere, with unequal steps."""
    col, row, phi1 = points()
    m = read(WRITERS[name](tmp_path / name, 12 + 0.5 * col, 7 + 0.8 * row, phi1, step=(0.5, 0.8)))
    np.testing.assert_allclose(m.xy[0], [12, 7], atol=1e-5)
    np.testing.assert_allclose(m.pixel_um, [0.5, 0.8], rtol=1e-6)
    assert belongs(m, (0.5, 0.8), (12, 7))


@pytest.mark.parametrize("name", ["m.ctf", "m.ang", "m.crc"])
def test_header_of_another_size_is_told(tmp_path, name):
    """XCells and YCells exchanged: the positions count and the report says it."""
    col, row, phi1 = points()
    options = {"rows": COLS, "odd": ROWS, "even": ROWS} if name == "m.ang" else {"size": (ROWS, COLS)}
    m = read(WRITERS[name](tmp_path / name, col, row, phi1, **options))
    assert m.shape == (ROWS, COLS) and belongs(m) and "they count" in said(m)


@pytest.mark.parametrize("name", ["m.ctf", "m.ang"])
def test_a_crop_with_the_old_header_is_told(tmp_path, name):
    """Fewer columns than the header has, all rows: no file that is cut off looks like this."""
    col, row, phi1 = points()
    keep = (col > 0) & (col < 5)
    m = read(WRITERS[name](tmp_path / name, col[keep], row[keep], phi1[keep]))
    assert m.shape == (ROWS, 4) and belongs(m) and "announces 24 points, 16 were found" in said(m)


@pytest.mark.parametrize("name", ["m.ctf", "m.ang", "m.crc"])
@pytest.mark.parametrize("wrong", [0.5, 1.02, 2.0])
def test_header_of_another_step_is_told(tmp_path, name, wrong):
    """A step that the positions deny, by a half, by two per cent or by two: the positions count."""
    col, row, phi1 = points(12, 30)
    x, y = 0.7 * col, 0.7 * row
    options = {"rows": 12, "odd": 30, "even": 30} if name == "m.ang" else {"size": (30, 12)}
    m = read(WRITERS[name](tmp_path / name, x, y, phi1, step=(0.7 * wrong,) * 2, **options))
    assert m.shape == (12, 30) and belongs(m, (0.7, 0.7)) and "the positions count" in said(m)


@pytest.mark.parametrize(("factor", "word"), [(1e3, "nm"), (1e-3, "mm"), (2.0, "pixel counts")])
@pytest.mark.parametrize("name", ["m.ctf", "m.ang"])
def test_units_are_told_by_header_and_positions(tmp_path, name, factor, word):
    """A header in um beside positions in nm, mm, or counts of points 0.5 um apart."""
    col, row, phi1 = points()
    x, y = (0.5 * factor * v for v in (col, row))
    m = read(WRITERS[name](tmp_path / name, x, y, phi1, step=(0.5, 0.5)))
    assert word in said(m)
    np.testing.assert_allclose(m.pixel_um, 0.5)
    assert belongs(m, (0.5, 0.5))
    declared = read(tmp_path / name, unit={"pixel counts": "px"}.get(word, word))  # says the same once more
    np.testing.assert_allclose(declared.pixel_um, 0.5)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("scale", "options"),
    [
        (500, {"unit": "nm"}),
        (5e-4, {"unit": "mm"}),
        (1, {"unit": "px", "step_um": 0.5}),
        (3, {"step_um": 0.5}),
    ],
)
def test_declared_units(tmp_path, name, scale, options):
    """Header and positions in nm, mm or pixels, or of a wrong calibration: what is declared counts."""
    col, row, phi1 = points()
    m = read(WRITERS[name](tmp_path / name, scale * col, scale * row, phi1, step=(scale, scale)), **options)
    np.testing.assert_allclose(m.pixel_um, 0.5)
    assert belongs(m, (0.5, 0.5)) and "declared" in said(m)


def test_units_that_nobody_knows(tmp_path):
    """Pixel counts need a step; a table without a unit and an unusual step get a note."""
    col, row, phi1 = points()
    path = text(tmp_path / "m.txt", col, row, phi1)
    with pytest.raises(ParameterError, match="step_um"):
        read(path, unit="px")
    with pytest.raises(ParameterError, match="um, nm, mm, px"):
        read(path, unit="inch")
    path.write_text(path.read_text().replace(" (um)", ""))
    assert "does not name the unit" in said(read(path))
    assert "is unusual" in said(read(ctf(tmp_path / "m.ctf", 500 * col, 500 * row, phi1, step=(500, 500))))


def test_positions_too_coarse_to_tell(tmp_path):
    """Positions rounded to whole um at a step of 0.25: the order of the file and the header's step count."""
    col, row, phi1 = points()
    x, y = np.floor(0.25 * col), np.floor(0.25 * row)
    m = read(ctf(tmp_path / "m.ctf", x, y, phi1, step=(0.25, 0.25)))
    assert m.shape == (ROWS, COLS) and belongs(m, (0.25, 0.25)) and "too coarse" in said(m)


def test_two_points_at_one_place_are_an_error(tmp_path):
    """A line that occurs twice."""
    col, row, phi1 = points()
    col = np.where(np.arange(len(col)) == 3, 2, col)
    with pytest.raises(MapFileError, match="two points at one place"):
        read(ctf(tmp_path / "m.ctf", col, row, phi1))


def test_volumes_of_channel_text(tmp_path):
    """ZCells slices by their Z, in any order, or block after block; a slice has to be chosen."""
    col, row, phi1 = points()
    x, y, p = np.tile(col, 2), np.tile(row, 2), np.r_[phi1, phi1 + 100]
    z = np.repeat([0.0, 0.5], len(col))
    k = np.random.default_rng(0).permutation(len(x))
    by_z = ctf(tmp_path / "z.ctf", x[k], y[k], p[k], more="ZCells\t2\nZStep\t0.5", column="\tZ", values=z[k])
    blocks = ctf(tmp_path / "b.ctf", x, y, p, more="ZCells\t2\nZStep\t0.5")
    for path in (by_z, blocks):
        with pytest.raises(MapFileError, match="2 slices; choose one"):
            read_map(path)
        first, second = read_stack(path)
        assert first.shape == second.shape == (ROWS, COLS) and belongs(first)
        turned = np.degrees(quaternion_to_euler(second.quaternions)[:, 0])
        np.testing.assert_allclose(turned, phi1 + 100, atol=1e-3)
    assert "slice 1 of 2, z = 0.5 um" in said(read_map(by_z, slice=1))


def hexagonal(rows, odd, even, first_shifted, s=1.0):
    """x, y of hexagonal rows of odd and even points in turn; the first row is shifted or not."""
    out = []
    for r in range(rows):
        shift = 0.5 * s * ((r + first_shifted) % 2)
        out += [(s * c + shift, s * np.sqrt(0.75) * r) for c in range(odd if r % 2 == 0 else even)]
    return np.array(out).T


@pytest.mark.parametrize("first_shifted", [0, 1])
@pytest.mark.parametrize(("odd", "even"), [(6, 5), (5, 6), (6, 6)])
def test_hexagonal_rows_of_either_kind_first(tmp_path, odd, even, first_shifted):
    """The first row is the long or the short one, shifted or not: six neighbours one step away."""
    if (odd > even) == bool(first_shifted) and odd != even:
        first_shifted = 1 - first_shifted  # the short rows are those that are shifted inwards
    x, y = hexagonal(7, odd, even, first_shifted)
    m = read_map(
        ang(tmp_path / "h.ang", x, y, 10 + x, rows=7, odd=odd, even=even, grid="HexGrid", step=(1, 0.866025))
    )
    pairs = m.neighbours
    distance = np.linalg.norm(m.xy[pairs[:, 0]] - m.xy[pairs[:, 1]], axis=1)
    np.testing.assert_allclose(distance, 1, atol=1e-4)
    assert m.grid == "hex" and (np.bincount(pairs.ravel(), minlength=m.n_pixels)[~m.border] == 6).all()
    assert "they count" not in said(m) and "the positions count" not in said(m)


def flat_top(cols=9, rows=8, s=1.0):
    """Points of hexagons that stand on a side: columns sqrt(3)/2 apart, every second half a step lower."""
    col, row = np.divmod(np.arange(cols * rows), rows)
    return np.stack([s * np.sqrt(0.75) * col, s * (row + 0.5 * (col % 2))], axis=1)


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(st.integers(4, 10), st.integers(4, 10), st.integers(0, 100))
def test_flat_top_hexagons(cols, rows, seed):
    """Six neighbours one step away, twelve more within two, an area of sqrt(3)/2 steps squared a point."""
    xy = flat_top(cols, rows, 0.4)
    xy = xy[np.random.default_rng(seed).permutation(len(xy))]
    q = np.tile([1.0, 0, 0, 0], (len(xy), 1))
    m = EbsdMap.from_points("f", xy, q, np.ones(len(xy)), {1: MapPhase("Ni", "432", "fcc")})
    assert m.flat_top and m.step_um == pytest.approx(0.4, rel=1e-3)
    assert m.pixel_area_um2 == pytest.approx(np.sqrt(0.75) * 0.16, rel=1e-3)
    for order, most in ((1, 6), (2, 18)):
        pairs = m.pairs(order)
        distance = np.linalg.norm(m.xy[pairs[:, 0]] - m.xy[pairs[:, 1]], axis=1)
        assert distance.max() < 0.4 * order * 1.001 and np.bincount(pairs.ravel()).max() <= most
        assert len(np.unique(np.sort(pairs, 1), axis=0)) == len(pairs)
    known = m.indexed & ~m.border
    assert (np.bincount(m.neighbours.ravel(), minlength=m.n_pixels)[known] == 6).all()
    picture = m.image(np.arange(m.n_pixels))
    assert np.array_equal(np.unique(picture[np.isfinite(picture)]), np.arange(m.n_pixels))


def test_exchanged_coordinates_of_a_table(tmp_path):
    """Columns declared as they are in the file: y before x is no mirror."""
    col, row, phi1 = points()
    path = tmp_path / "m.txt"
    rows = [f"{b} {a} {p} 20 30" for a, b, p in zip(col, row, phi1, strict=True)]
    path.write_text("\n".join(rows) + "\n")
    m = read_map(
        path, columns=["y", "x", "phi1", "Phi", "phi2"], phases=[MapPhase("Ni", "432", "fcc")], unit="um"
    )
    assert m.shape == (ROWS, COLS) and belongs(m)


def test_oim_points_with_invalid_positions(tmp_path):
    """Positions of -1111111 keep their place in an ordered list, not indexed; else they are left out."""
    col, row, phi1 = points()
    bad = np.isin(np.arange(len(col)), [4, 17])
    order = np.random.default_rng(1).permutation(len(col))
    for name, k in (("list", np.arange(len(col))), ("shuffled", order)):
        path = tmp_path / f"{name}.oh5"
        with h5py.File(path, "w") as file:
            data, header = file.create_group("Scan 1/EBSD/Data"), file.create_group("Scan 1/EBSD/Header")
            for key, values in {
                "Phi1": np.radians(phi1),
                "Phi": np.full(len(col), np.radians(20)),
                "Phi2": np.full(len(col), np.radians(30)),
                "X Position": np.where(bad, -1111111.0, col),
                "Y Position": np.where(bad, -1111111.0, row),
                "CI": np.full(len(col), 0.5),
            }.items():
                data[key] = values[k]
            data["Phase"] = np.zeros(len(col), np.uint8)
            header["nRows"], header["nColumns"], header["Grid Type"] = ROWS, COLS, "SqrGrid"
            header["Step X"], header["Step Y"] = 1.0, 1.0
            phase = header.create_group("Phase/1")
            phase["MaterialName"], phase["Symmetry"] = "Nickel", 43
            for key, value in zip(
                ("a", "b", "c", "alpha", "beta", "gamma"), [3.52] * 3 + [90] * 3, strict=True
            ):
                phase[f"Lattice Constant {key}"] = value
        m = read_map(path)
        assert m.shape == (ROWS, COLS) and m.indexed.sum() == 22 and belongs(m)
        assert "2 points have no valid position" in said(m)


def test_flat_top_maps_are_maps_with_x_and_y_exchanged():
    """Grains, areas, lengths, triple points, KAM, rims, denoising of a hexagonal map and its transpose."""
    rng = np.random.default_rng(2)
    x, y = hexagonal_rows(40, 45)
    label = np.argmin(np.hypot(*(np.stack([x, y], 1)[:, None] - rng.uniform(0, 40, (14, 2))).T), axis=0)
    angle = np.radians(25.0 * label + rng.normal(0, 0.3, len(x)))
    q = np.stack([np.cos(angle / 2), 0 * angle, 0 * angle, np.sin(angle / 2)], axis=1)
    phases = {1: MapPhase("Ni", "432", "fcc")}
    rows, flat = (
        EbsdMap.from_points("m", xy, q, np.ones(len(x)), phases)
        for xy in (np.stack([x, y], 1), np.stack([y, x], 1))
    )
    assert flat.flat_top and not rows.flat_top
    same = np.lexsort((rows.xy[:, 0].round(4), rows.xy[:, 1].round(4)))
    other = np.lexsort((flat.xy[:, 1].round(4), flat.xy[:, 0].round(4)))
    np.testing.assert_allclose(rows.xy[same], flat.xy[other][:, ::-1], atol=1e-6)
    np.testing.assert_array_equal(rows.border[same], flat.border[other])
    ours, theirs = segment(rows), segment(flat)
    np.testing.assert_allclose(kam(ours)[same], kam(theirs)[other])
    for column in ("area_um2", "n_pixels", "on_edge"):
        assert sorted(ours.table[column]) == pytest.approx(sorted(theirs.table[column]))
    for column in ("length_um", "staircase_um", "n_segments"):
        assert sorted(ours.boundaries[column]) == pytest.approx(sorted(theirs.boundaries[column]))
    assert len(triple_junctions(ours)) == len(triple_junctions(theirs))
    smooth = [clean(m, {"denoise": 10.0}).map.quaternions for m in (rows, flat)]
    np.testing.assert_allclose(smooth[0][same], smooth[1][other], atol=1e-6)


def hexagonal_rows(rows, cols):
    """x, y of full hexagonal rows one um apart."""
    row, col = np.divmod(np.arange(rows * cols), cols)
    return col + 0.5 * (row % 2), np.sqrt(0.75) * row


@pytest.mark.parametrize("name", ["m.ctf", "m.ang"])
def test_positions_that_scatter(tmp_path, name):
    """Positions corrected for drift lie a few hundredths of a step off: the grid is the header's."""
    col, row, phi1 = points(20, 30)
    rng = np.random.default_rng(0)
    size = {"rows": 20, "odd": 30, "even": 30} if name == "m.ang" else {"size": (30, 20)}
    x, y = (v + rng.normal(0, 0.05, v.shape) for v in (col, row))
    m = read(WRITERS[name](tmp_path / name, x, y, phi1, **size))
    assert m.shape == (20, 30) and m.pixel_um == (1, 1) and "the positions count" not in said(m)
    assert belongs(m, start=m.xy[0])


def test_rounded_hexagonal_positions_have_the_step_of_the_header(tmp_path):
    """Rows 0.866025 um apart, written to a tenth."""
    x, y = hexagonal(9, 12, 12, 0)
    size = {"rows": 9, "odd": 12, "even": 12, "grid": "HexGrid", "step": (1, 0.866025)}
    m = read_map(ang(tmp_path / "h.ang", np.round(x, 1), np.round(y, 1), 10 + x, **size))
    assert m.grid == "hex" and m.pixel_um == (1, 0.866025) and "they count" not in said(m)
    assert m.xy[:, 1].max() == pytest.approx(8 * 0.866025)


def test_a_turned_square_grid_is_no_hexagonal_one(tmp_path):
    """A map turned by 45 deg has rows offset by half a step, and no hexagons: one error."""
    col, row, phi1 = points(12, 12)
    with pytest.raises(MapFileError, match="is the map turned"):
        read(ctf(tmp_path / "m.ctf", 0.7071 * (col - row), 0.7071 * (col + row), phi1, size=(12, 12)))


@pytest.mark.parametrize("name", ["m.ctf", "m.ang"])
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_of_other_systems(tmp_path, name, end):
    """Lines that end as on Windows or on old Macintoshes."""
    path = WRITERS[name](tmp_path / name, *points())
    path.write_bytes(path.read_bytes().replace(b"\n", end.encode()))
    assert belongs(read(path))


def test_utf_16_is_named(tmp_path):
    """What some editors save: one error that says what to do."""
    path = ctf(tmp_path / "m.ctf", *points())
    path.write_text(path.read_text(), encoding="utf-16")
    with pytest.raises(MapFileError, match="UTF-16; save it as UTF-8"):
        read(path)


@pytest.mark.parametrize(
    ("unit", "scale"), [("um", 0.5), ("nm", 500), ("mm", 5e-4), ("microns", 0.5), ("\u00c5", 5000)]
)
def test_the_heading_of_a_table_names_its_unit(tmp_path, unit, scale):
    """Positions half a um apart in the unit that stands in brackets; what is declared comes before it."""
    col, row, phi1 = points()
    path = text(tmp_path / "m.txt", scale * col, scale * row, phi1)
    path.write_text(path.read_text().replace("(um)", f"({unit})"), encoding="utf-8")
    m = read(path)
    np.testing.assert_allclose(m.pixel_um, 0.5)
    assert belongs(m, (0.5, 0.5)) and "does not name" not in said(m)
    np.testing.assert_allclose(read(path, step_um=0.2).pixel_um, 0.2)


def test_pixel_counts_need_a_step_in_every_format(tmp_path):
    """Hexagonal counts take the header's step; a file of fixed order and without one asks for it."""
    x, y = hexagonal(7, 6, 6, 0)
    size = {"rows": 7, "odd": 6, "even": 6, "grid": "HexGrid", "step": (0.5, 0.433013)}
    m = read_map(ang(tmp_path / "h.ang", x, y, 10 + x, **size), unit="px")
    np.testing.assert_allclose(m.pixel_um, (0.5, 0.433013), rtol=1e-4)
    with pytest.raises(ParameterError, match="step_um"):
        scale_grid(tmp_path, Grid.full((2, 2), (1, 1)), unit="px", step_um=None)
