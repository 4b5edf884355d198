"""Points without a solution, angles of the wrong unit, cells and settings, several maps in one file."""

import h5py
import numpy as np
import pytest

from cpml.crystallography.rotations import quaternion_multiply, quaternion_to_euler, random_quaternions
from cpml.errors import MapFileError, ParameterError
from cpml.microscopy import EbsdMap, MapPhase, read_map, segment, write_map
from cpml.microscopy.io.readers.cells import checked_phases
from cpml.microscopy.io.readers.solutions import check_unit, filled_points, without_solution
from support.map_files import ang, ctf, points, said


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"ci": [0.9, 0.0, -1, -2, 0.5, 0.4]}, [1, 2, 3, 4]),  # 4 pi is at point 4, the zero solution at 1
        ({"error": [0, 3, 0, 0, 0, 3]}, [1, 4]),  # an orientation with an error is a filled point
        ({"mad": [0.5, 0.0, 0.4, 0.4, 0.4, 0.4]}, [1, 4]),
        ({"bands": [8, 0, 7, 7, 7, 7]}, [1, 4]),
        ({"mad": [0.0] * 6}, [4]),  # a column that is zero everywhere says nothing
        ({}, [4]),
    ],
)
def test_one_rule_for_points_without_a_solution(properties, expected):
    """Confidence -1 and -2, 4 pi and the zero solution that nothing speaks for, whatever the format."""
    euler = np.array([[1, 1, 1], [0, 0, 0], [1, 1, 2], [1, 2, 1], [4 * np.pi] * 3, [2, 1, 1.0]])
    found, note = without_solution(euler, np.ones(6, int), {k: np.array(v) for k, v in properties.items()})
    assert np.flatnonzero(found).tolist() == expected
    assert note[0].startswith(f"{len(expected)} points without a solution")
    assert not without_solution(euler, np.array([1, 1, 0, -1, 1, 1]), {})[0][[0, 1, 5]].any()


def test_zero_is_an_orientation_where_others_prove_it():
    """A cube grain that is confident elsewhere is not lost at the points of its grain without confidence."""
    euler = np.zeros((4, 3))
    assert not without_solution(euler, np.ones(4, int), {"ci": np.array([0.9, 0.8, 0.0, 0.1])})[0].any()


def test_counts_of_points_without_a_solution_are_told(tmp_path):
    """The note of the map counts each sign."""
    col, row, phi1 = points()
    ci = np.full(24, 0.9)
    ci[[3, 5]] = -1, -2
    angles = np.radians(np.stack([phi1, 0 * phi1 + 20, 0 * phi1 + 30], axis=1))
    angles[7] = 4 * np.pi
    m = read_map(ang(tmp_path / "m.ang", col, row, phi1, ci=ci, angles=angles))
    assert np.flatnonzero(~m.indexed).tolist() == [3, 5, 7]
    assert "3 points without a solution: 2 confidence -1 or less, 1 angles of 4 pi" in said(m)


@pytest.mark.parametrize("bad", [7.0, 35.0, 210.0, -100.0])
def test_degrees_are_no_radians(tmp_path, bad):
    """One angle that is neither below 2 pi nor 4 pi makes the file one of degrees, or damaged."""
    angles = np.full((24, 3), 0.5)
    angles[11, 1] = bad
    path = ang(tmp_path / "m.ang", *points(), angles=angles)
    with pytest.raises(MapFileError, match=r"point 12: an angle of .* declare reading: angles: degrees"):
        read_map(path)
    np.testing.assert_allclose(
        read_map(path, angles="degrees").quaternions[0][0], np.cos(np.radians(0.25)) * np.cos(np.radians(0.5))
    )


def test_radians_are_no_degrees(tmp_path):
    """A channel text file of random orientations in radians; one in degrees near cube is left alone."""
    rng = np.random.default_rng(0)
    col, row, _ = points(20, 20)
    phi1 = rng.uniform(0, 2 * np.pi, 400)
    path = ctf(tmp_path / "m.ctf", col, row, phi1, size=(20, 20))
    text = path.read_text().replace("\t20\t30\t0.5", "\t1.2\t0.8\t0.5")
    path.write_text(text)
    with pytest.raises(MapFileError, match="declare reading: angles: radians"):
        read_map(path)
    assert read_map(path, angles="radians").indexed.all()
    assert read_map(path, angles="degrees").indexed.all()  # somebody knows
    near_cube = ctf(tmp_path / "c.ctf", col, row, 4 + rng.normal(0, 0.3, 400), size=(20, 20))
    assert read_map(near_cube).indexed.all()


@pytest.mark.parametrize("unit", ["degrees", "radians"])
def test_whole_turns_are_allowed(unit):
    """Angles of exactly 2 pi, and negative ones, are in the range of both units."""
    euler = np.array([[2 * np.pi, np.pi, 0.0], [-np.pi, 0.1, 2 * np.pi]])
    check_unit("file", euler, np.ones(2, bool), unit)
    with pytest.raises(MapFileError, match="end at"):
        check_unit("file", euler + 0.1, np.ones(2, bool), unit)


@pytest.mark.parametrize(
    ("cell", "group", "expected"),
    [
        ((5.1, 5.2, 5.3, 90, 99.2, 90), "2", "121"),
        ((5.1, 5.2, 5.3, 90, 90, 99.2), "121", "2"),
        ((5.1, 5.2, 5.3, 80, 90, 90), "2", "211"),
        ((5.1, 5.2, 5.3, 90, 90, 90), "2", "121"),
        ((5.1, 5.2, 5.3, 90, 99, 100), "1", "1"),
    ],
)
def test_the_cell_tells_the_monoclinic_axis(cell, group, expected):
    """The two-fold axis is the one whose angle is not 90 deg, whatever the format calls the setting."""
    found, _ = checked_phases("file", {1: MapPhase("X", group, None, *cell)})
    assert found[1].group == expected


def test_a_monoclinic_crystal_turned_about_its_axis_is_itself(tmp_path):
    """Two halves of one crystal, one turned by 180 deg about b: one grain; about c: two."""
    first = random_quaternions(1, np.random.default_rng(4))[0]
    turns = {"b": np.array([0, 0, 1.0, 0]), "c": np.array([0, 0, 0, 1.0])}
    for axis, n in (("b", 1), ("c", 2)):
        q = np.repeat([first, quaternion_multiply(first, turns[axis])], 12, axis=0)
        euler = np.degrees(quaternion_to_euler(q))
        path = ctf(tmp_path / f"{axis}.ctf", *points()[:2], euler[:, 0])
        lines = path.read_text().split("\n")
        first_line = next(i for i, line in enumerate(lines) if line.startswith("Phase\t")) + 1
        for i, e in enumerate(euler):
            lines[first_line + i] = lines[first_line + i].replace("\t20\t30\t", f"\t{e[1]:.4f}\t{e[2]:.4f}\t")
        text = "\n".join(lines).replace(
            "3.52;3.52;3.52\t90;90;90\tNickel\t11\t225", "5.1;5.2;5.3\t90;99;90\tZ\t2\t14"
        )
        path.write_text(text)
        assert segment(read_map(path), min_pixels=1).n_grains == n


def test_hexagonal_cells_have_two_equal_sides():
    """The length of a* in the place of a or b is recognised; any other difference is an error."""
    a = 3.209
    for cell in ((a * np.sqrt(0.75), a), (a, a * np.sqrt(0.75))):
        found, notes = checked_phases("file", {1: MapPhase("Mg", "622", "hcp", *cell, 5.21, 90, 90, 120)})
        assert found[1].c_over_a == pytest.approx(5.21 / a) and "one is a*" in notes[0]
    with pytest.raises(MapFileError, match=r"a = 3\.2 and b = 3\.5"):
        checked_phases("file", {1: MapPhase("Mg", "622", "hcp", 3.2, 3.5, 5.21, 90, 90, 120)})
    unknown = {1: MapPhase("Mg", "622", "hcp", 0, 0, 0, 90, 90, 120)}
    assert checked_phases("file", unknown) == (unknown, ())


@pytest.mark.parametrize(
    ("symmetry", "group"),
    [
        ("43", "432"),
        ("131", "432"),
        ("m-3m", "432"),
        ("126", "622"),
        ("6/mmm", "622"),
        ("107", "222"),
        ("100", "1"),
    ],
)
def test_symmetries_of_text_maps(tmp_path, symmetry, group):
    """The vendor's code, a point group by name, or its number."""
    path = ang(tmp_path / "m.ang", *points())
    path.write_text(path.read_text().replace("Symmetry 43", f"Symmetry {symmetry}"))
    assert read_map(path).phases[1].group == group


def test_phases_numbered_from_zero(tmp_path):
    """A phase 0 that the header describes is a phase; without a description 0 stays "not indexed"."""
    path = ang(tmp_path / "m.ang", *points())
    body = path.read_text().replace(" 1\n", " 0\n")
    header = body[: body.index("# GRID")].replace("# Phase 1", "# Phase 0")
    both = (
        header
        + header.replace("# Phase 0", "# Phase 1").replace("Nickel", "Iron")
        + body[body.index("# GRID") :]
    )
    lines = both.split("\n")
    first = next(i for i, line in enumerate(lines) if line and line[0] != "#")
    lines[first] = lines[first][:-1] + "1"
    path.write_text("\n".join(lines))
    m = read_map(path)
    assert {p.name: int((m.phase_id == i).sum()) for i, p in m.phases.items()} == {"Nickel": 23, "Iron": 1}
    assert m.indexed.all() and "phase 0 of the file (Nickel) is numbered 2" in said(m)


def test_several_maps_in_one_file(tmp_path):
    """Maps of orix inside scans: the first with a note that names all, another by its name."""
    for k in (1, 2):
        q = random_quaternions(12, np.random.default_rng(k))
        xy = np.stack(np.divmod(np.arange(12), 4)[::-1], axis=1) * 0.5
        phases = {1: MapPhase("Nickel", "432", "fcc", *[3.52] * 3)}
        m = EbsdMap.from_points(f"scan {k}", xy, q, np.ones(12), phases)
        write_map(m, tmp_path / f"{k}.h5")
        with h5py.File(tmp_path / f"{k}.h5") as one, h5py.File(tmp_path / "all.h5", "a") as several:
            one.copy("crystal_map", several.require_group(f"Scan {k}/EBSD/CrystalMap"))
    first = read_map(tmp_path / "all.h5")
    assert "2 maps in the file (Scan 1, Scan 2): Scan 1 was read" in said(first)
    second = read_map(tmp_path / "all.h5", scan="Scan 2")
    np.testing.assert_allclose(second.quaternions, read_map(tmp_path / "2.h5").quaternions)
    assert not any("maps in the file" in note for note in second.frame_note)
    with pytest.raises(ParameterError, match="'Scan 1', 'Scan 2'"):
        read_map(tmp_path / "all.h5", scan="Scan 3")
    with pytest.raises(ParameterError, match="scan"):
        read_map(ctf(tmp_path / "m.ctf", *points()), scan="Scan 1")


def test_filled_maps_are_recognised(tmp_path):
    """Neighbours whose angles are equal to the last digit were not measured."""
    col, row, phi1 = points()
    assert "bit-identical" not in said(read_map(ctf(tmp_path / "m.ctf", col, row, phi1)))
    assert "bit-identical" in said(read_map(ctf(tmp_path / "f.ctf", col, row, np.repeat(phi1[::3], 3))))
    euler = np.repeat(np.arange(4.0), 3)[:, None] * np.ones(3)
    assert filled_points(euler, None, (3, 4), np.ones(12, bool)) == pytest.approx(8 / 11)
