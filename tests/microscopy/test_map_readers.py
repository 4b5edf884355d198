"""Map files: what is written is read back, and every damaged file is one clear error."""

import numpy as np
import pytest

from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.rotations import euler_to_quaternion, random_quaternions
from cpml.crystallography.symmetry import LAUE_NUMBER, proper_group
from cpml.errors import MapFileError, ParameterError
from cpml.microscopy import EbsdMap, MapPhase, read_map
from cpml.microscopy.io.map_file import write_map_file

ROUNDING = 2e-6  # rad: five decimals of a degree in each of three angles


def write(path, text):
    path.write_text(text, encoding="latin-1", newline="")
    return path


def same(q, p):
    """Largest angle between two orientation lists without symmetry, rad."""
    return np.nanmax(disorientation_angle(q, p, proper_group("1")))


@pytest.mark.parametrize("options", [{}, {"comma": True}, {"column_major": True}, {"extra": ("EDX", "More")}])
def test_ctf_round_trip(tmp_path, ctf_text, some_orientations, options):
    """Orientations, order and properties survive decimal commas, column order and further columns."""
    m = read_map(write(tmp_path / "a.ctf", ctf_text(some_orientations, 6, 10, **options)))
    assert m.shape == (6, 10) and m.grid == "square" and m.step_um == 0.5
    assert same(m.quaternions, some_orientations) < ROUNDING
    np.testing.assert_array_equal(m.properties["bc"], np.arange(60))
    np.testing.assert_allclose(m.xy[13], [1.5, 0.5])
    if "extra" in options:
        np.testing.assert_array_equal(m.properties["edx"], np.arange(60))


def test_ctf_counts_win_over_rounded_coordinates(tmp_path, ctf_text, some_orientations):
    """Coordinates rounded to 0.1 um at a step of 0.33 um do not change the grid."""
    text = ctf_text(some_orientations, 6, 10, step=0.33)
    lines = text.split("\r\n")
    for i in range(15, len(lines) - 1):
        fields = lines[i].split("\t")
        fields[1:3] = [f"{float(v):.1f}" for v in fields[1:3]]
        lines[i] = "\t".join(fields)
    m = read_map(write(tmp_path / "a.ctf", "\r\n".join(lines)))
    assert m.shape == (6, 10) and m.step_um == 0.33
    np.testing.assert_allclose(m.xy[9], [9 * 0.33, 0])


@pytest.mark.parametrize("number", range(1, 12))
def test_ctf_laue_groups(tmp_path, ctf_text, some_orientations, number):
    """All eleven Laue groups of the format are known."""
    line = f"3;3;5\t90;90;120\tThing\t{number}\t0"
    m = read_map(write(tmp_path / "a.ctf", ctf_text(some_orientations, 6, 10, phase_lines=[line])))
    assert m.phases[1].group == LAUE_NUMBER[number]


def test_ctf_not_indexed_is_nan(tmp_path, ctf_text, some_orientations):
    """Phase 0, and the zero solution with an error, are NaN; an error with an orientation is not."""
    phase, error = np.ones(60, int), np.zeros(60, int)
    phase[3], error[3], error[4] = 0, 3, 3
    m = read_map(write(tmp_path / "a.ctf", ctf_text(some_orientations, 6, 10, phase=phase, error=error)))
    assert not m.indexed[3] and np.isnan(m.quaternions[3]).all()
    assert m.indexed[4] and m.indexed.sum() == 59
    assert any("filled" in note for note in m.frame_note)


def test_truncated_ctf_is_one_error(tmp_path, ctf_text, some_orientations):
    """A file cut anywhere but in its last number names itself and what to do."""
    data = ctf_text(some_orientations, 6, 10).encode()
    for cut in [0, 5, 40, 120, 180, 240, 300, 340, 420, 700, len(data) // 2, len(data) - 60, len(data) - 8]:
        path = tmp_path / f"cut{cut}.ctf"
        path.write_bytes(data[:cut])
        with pytest.raises(MapFileError, match=f"cut{cut}.ctf.*export"):
            read_map(path)


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("XCells\t10", "XCells\t100000000000", "holds at most"),
        ("XCells\t10", "XCells\t-4", "line 5.*XCells"),
        ("XCells\t10", "XCells\tnan", "line 5.*XCells"),
        ("XStep\t0.5", "XStep\t0", "line 7.*XStep"),
        ("\t11\t225", "\t12\t225", "line 14.*Laue"),
        ("Phases\t1", "Phases\t2", "line 15.*phase line"),
        ("Euler2\tEuler3", "Euler2\tOther", "Euler3"),
        ("8\t0\t", "8\tx\t", "line 16.*'x'"),
        ("1\t0.0000\t0.0000", "7\t0.0000\t0.0000", "line 16.*phase 7"),
        ("1\t0.5000\t0.0000", "1\t0.5000\tinf", "line 17.*'inf'"),
    ],
)
def test_damaged_ctf_names_the_place(tmp_path, ctf_text, some_orientations, old, new, told):
    """A header that lies and a bad number are reported with their line, before memory is taken."""
    text = ctf_text(some_orientations, 6, 10)
    assert old in text
    with pytest.raises(MapFileError, match=told):
        read_map(write(tmp_path / "a.ctf", text.replace(old, new, 1)))


def test_map_without_any_indexed_point(tmp_path, ctf_text, some_orientations):
    """Nothing indexed is an error, not an empty map."""
    text = ctf_text(some_orientations, 6, 10, phase=np.zeros(60, int))
    with pytest.raises(MapFileError, match="none of the 60 points"):
        read_map(write(tmp_path / "a.ctf", text))


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.ctf", b"\x00\x01\x02"),
        ("b.png", b"\x89PNG\r\n"),
        ("c.ang", b"hello\n"),
        ("d.h5", b"\x89HDF\r\n\x1a\nxx"),
        ("e.txt", b""),
    ],
)
def test_other_formats_are_refused(tmp_path, name, content):
    """A file of another kind is refused by name."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MapFileError, match=name):
        read_map(tmp_path / name)


def test_missing_file(tmp_path):
    """No file, no stack of library internals."""
    with pytest.raises(MapFileError, match=r"nowhere.ctf"):
        read_map(tmp_path / "nowhere.ctf")


def crc_pair(folder, q, rows, cols, *, fields=(3, 4, 5, 6, 7, 10, 11)):
    """A .crc/.cpr pair written from the published layout: phase byte, then the listed fields."""
    from cpml.crystallography.rotations import quaternion_to_euler
    from cpml.microscopy.io.readers.crc import FIELDS

    data = np.zeros(rows * cols, np.dtype([("phase", "u1"), *(FIELDS[f] for f in fields)]))
    data["phase"], data["bc"] = 1, np.arange(rows * cols)
    for i, angle in enumerate(quaternion_to_euler(q).T, start=1):
        data[f"euler{i}"] = angle
    data.tofile(folder / "m.crc")
    listed = "".join(f"Field{i}={f}\n" for i, f in enumerate(fields, start=1))
    (folder / "m.cpr").write_text(
        f"[General]\nVersion=5.0\n[Job]\nGridDistX=0.2\nGridDistY=0.2\nxCells={cols}\nyCells={rows}\n[Fields]\n"
        f"Count={len(fields)}\n{listed}[Phases]\nCount=1\n[Phase1]\nStructureName=Ni\na=3.5\nb=3.5\nc=3.5\nalpha=90\n"
        "beta=90\ngamma=90\nLaueGroup=11\nSpaceGroup=225\n"
    )
    return folder / "m.crc", folder / "m.cpr"


def test_crc_round_trip(tmp_path, some_orientations):
    """Either name of the pair gives the map; float32 angles limit the agreement."""
    for path in crc_pair(tmp_path, some_orientations, 6, 10):
        m = read_map(path)
        assert m.shape == (6, 10) and same(m.quaternions, some_orientations) < 2e-6
        np.testing.assert_array_equal(m.properties["bc"], np.arange(60))


def test_crc_without_partner_or_cut_off(tmp_path, some_orientations):
    """A lone .crc, a lone .cpr and a short .crc are told apart."""
    crc, cpr = crc_pair(tmp_path, some_orientations, 6, 10)
    data = crc.read_bytes()
    for cut in (0, 1, 21, len(data) - 1):
        crc.write_bytes(data[:cut])
        with pytest.raises(MapFileError, match="announces 10 x 6"):
            read_map(crc)
    crc.unlink()
    with pytest.raises(MapFileError, match=r"m.crc is not beside it"):
        read_map(cpr)
    crc.write_bytes(data)
    cpr.unlink()
    with pytest.raises(MapFileError, match=r"m.cpr is not beside it"):
        read_map(crc)


def test_crc_agrees_with_the_converted_ctf(mirror):
    """The same map in both formats: four decimals of a degree in the .ctf (3e-6 rad), counts exactly."""
    a = read_map(mirror("ni-hrdic/testDataEBSD.crc"))
    b = read_map(mirror("ni-hrdic/reference/testDataEBSD_converted.ctf"))
    assert a.shape == b.shape == (243, 359) and same(a.quaternions, b.quaternions) < 3e-6
    for name in ("bc", "bs", "bands", "error"):
        np.testing.assert_array_equal(a.properties[name], b.properties[name])


ANG_HEADER = """# TEM_PIXperUM 1.0
#
# Phase 1
# MaterialName  Titanium (Alpha)
# Symmetry              62
# LatticeConstants      2.95 2.95 4.68  90.000  90.000 120.000
{second}#
# GRID: {grid}
# XSTEP: 2.0
# YSTEP: {dy}
# NCOLS_ODD: {odd}
# NCOLS_EVEN: {even}
# NROWS: {rows}
#
"""
SECOND = "# Phase 2\n# MaterialName  Beta\n# Symmetry 43\n# LatticeConstants 3.3 3.3 3.3 90 90 90\n"


def ang_text(rows, odd, even, *, is_hex, phase=None, tail=" 1.0 0.5"):
    """An .ang with random angles; hexagonal rows are shifted by one half step."""
    rng = np.random.default_rng(0)
    dy = 2.0 * np.sqrt(0.75) if is_hex else 2.0
    lines = []
    for r in range(rows):
        for c in range(odd if r % 2 == 0 else even):
            e = rng.uniform(0, 3, 3)
            n = len(lines)
            lines.append(
                f"  {e[0]:.5f} {e[1]:.5f} {e[2]:.5f} {2.0 * c + (r % 2) * is_hex:.5f} {dy * r:.5f} "
                f"100.0 0.900 {0 if phase is None else phase[n]}{tail}"
            )
    header = ANG_HEADER.format(
        grid="HexGrid" if is_hex else "SqrGrid",
        dy=dy,
        odd=odd,
        even=even,
        rows=rows,
        second="" if phase is None else SECOND,
    )
    return header + "\n".join(lines) + "\n"


@pytest.mark.parametrize("tail", ["", " 1.0", " 1.0 0.5", " 1 0.5 0.0 9.0 0.0 1.0"])
def test_ang_versions(tmp_path, tail):
    """8, 9, 10 and 14 columns are all read; a single phase numbered 0 is phase 1."""
    m = read_map(write(tmp_path / "a.ang", ang_text(4, 5, 5, is_hex=False, tail=tail)))
    assert m.grid == "square" and m.shape == (4, 5) and m.indexed.all() and m.phases[1].group == "622"
    assert m.properties["ci"][0] == np.float32(0.9)


def test_ang_hexagonal_grid_keeps_six_neighbours(tmp_path):
    """An inner point of a hexagonal grid touches six others, all one step away."""
    m = read_map(write(tmp_path / "a.ang", ang_text(7, 6, 5, is_hex=True)))
    assert m.grid == "hex" and m.n_pixels == 4 * 6 + 3 * 5
    pairs = m.neighbours
    assert np.bincount(pairs.ravel()).max() == 6 and len(np.unique(np.sort(pairs, 1), axis=0)) == len(pairs)
    distance = np.linalg.norm(m.xy[pairs[:, 0]] - m.xy[pairs[:, 1]], axis=1)
    np.testing.assert_allclose(distance, 2.0, atol=1e-4)
    assert (np.bincount(pairs.ravel())[~m.border] == 6).all()


def test_ang_phases_and_unindexed(tmp_path):
    """Phase 0 of several, ci = -1 and 4 pi are not indexed."""
    phase = np.tile([1, 2], 10)
    phase[4] = 0
    text = ang_text(4, 5, 5, is_hex=False, phase=phase).split("\n")
    first = next(i for i, line in enumerate(text) if line and line[0] != "#")
    text[first + 1] = text[first + 1].replace("0.900", "-1.000")
    text[first + 2] = " 12.56637 12.56637 12.56637" + text[first + 2][text[first + 2].index(" 4.00000") :]
    m = read_map(write(tmp_path / "a.ang", "\n".join(text)))
    assert np.flatnonzero(~m.indexed).tolist() == [1, 2, 4]
    assert m.phases[2].group == "432" and set(m.phase_id) == {0, 1, 2}


def test_ang_negative_phase_is_not_indexed(tmp_path):
    """A single phase may be numbered 0 or 1; a negative number says that the point has none."""
    text = ang_text(4, 5, 5, is_hex=False, phase=np.r_[[-1], np.ones(19, int)])
    text = text.replace(SECOND, "")
    assert np.flatnonzero(~read_map(write(tmp_path / "a.ang", text)).indexed).tolist() == [0]


def test_truncated_ang_is_one_error(tmp_path):
    """Cut in the header, between points and inside a point."""
    data = ang_text(4, 5, 5, is_hex=False).encode()
    for cut in (1, 30, 150, 330, 420, len(data) - 50, len(data) - 30):
        path = tmp_path / f"cut{cut}.ang"
        path.write_bytes(data[:cut])
        with pytest.raises(MapFileError, match=f"cut{cut}.ang"):
            read_map(path)


def test_hexagonal_axis_is_thirty_degrees(tmp_path, ctf_text):
    """Declared X||a* turns the crystals by -30 deg about c; undeclared Oxford files are taken so,
    with a note.
    """
    q = random_quaternions(60, np.random.default_rng(1))
    path = write(tmp_path / "a.ctf", ctf_text(q, 6, 10, phase_lines=["3.2;3.2;5.2\t90;90;120\tMg\t9\t194"]))
    as_a, as_star, assumed = (read_map(path, hex_x_axis=axis) for axis in ("a", "a*", None))
    angle = disorientation_angle(as_a.quaternions, as_star.quaternions, proper_group("1"))
    np.testing.assert_allclose(np.degrees(angle), 30, atol=1e-6)
    np.testing.assert_array_equal(as_star.quaternions, assumed.quaternions)
    assert any("assumed" in note for note in assumed.frame_note)
    assert any("declared" in note for note in as_star.frame_note)


def test_euler_frame_y_up(tmp_path, ctf_text, some_orientations):
    """x180 is (180 - phi1, 180 - Phi, 180 + phi2) of the Euler angles."""
    from cpml.crystallography.rotations import quaternion_to_euler

    path = write(tmp_path / "a.ctf", ctf_text(some_orientations, 6, 10))
    e = quaternion_to_euler(some_orientations)
    expected = euler_to_quaternion(np.stack([np.pi - e[:, 0], np.pi - e[:, 1], np.pi + e[:, 2]], axis=1))
    assert same(read_map(path, euler_to_sample="x180").quaternions, expected) < ROUNDING


@pytest.mark.parametrize("frame", ["up", np.diag([1.0, 1, -1]), [0, 0, 0, 90], {"a": 1}])
def test_unknown_frames_and_mirrors_are_refused(tmp_path, ctf_text, some_orientations, frame):
    """A mirror is no rotation; a name must be a preset."""
    path = write(tmp_path / "a.ctf", ctf_text(some_orientations, 6, 10))
    with pytest.raises(ParameterError, match="frame"):
        read_map(path, euler_to_sample=frame)


def test_hdf_round_trip(tmp_path, make_map, some_orientations):
    """A map written and read back is the same map, missing orientations included; the
    bytes are reproducible.
    """
    label = np.arange(60).reshape(6, 10)
    m = make_map(label, some_orientations)
    for name in ("m.h5", "again.h5"):
        write_map_file(m, tmp_path / name)
    back = read_map(tmp_path / "m.h5")
    assert isinstance(back, EbsdMap) and back.phases == m.phases and back.shape == m.shape
    np.testing.assert_array_equal(back.quaternions, m.quaternions)
    assert (tmp_path / "m.h5").read_bytes() == (tmp_path / "again.h5").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.h5", "m.h5"]
    with pytest.raises(ParameterError, match="pixel frame already"):
        read_map(tmp_path / "m.h5", hex_x_axis="a")


def test_orix_keeps_orientations_and_gaps(make_map, some_orientations):
    """The CrystalMap has the conjugate rotations, and phase -1 where nothing is indexed."""
    label = np.arange(60).reshape(6, 10)
    m = make_map(label, some_orientations)
    x = m.to_orix()
    assert x.is_indexed.sum() == 59
    conjugate = m.quaternions[1:] * [1, -1, -1, -1]
    np.testing.assert_allclose(np.abs(np.sum(x.rotations.data[1:] * conjugate, axis=1)), 1, atol=1e-12)
    assert m.orientations.symmetry.name == "432" and m.orientations.shape == (60,)


def test_points_of_no_grid_are_refused():
    """A missing point is a point without orientation at its place; a double point and chaos are errors."""
    xy = np.array([[x, y] for y in range(4) for x in range(5)], float)
    q = np.tile([1.0, 0, 0, 0], (20, 1))
    phases = {1: MapPhase("x", "432")}
    m = EbsdMap.from_points("m", np.delete(xy, 7, axis=0), q[:19], np.ones(19), phases)
    assert m.shape == (4, 5) and np.flatnonzero(~m.indexed).tolist() == [7]
    chaos = np.random.default_rng(0).uniform(0, 9, (20, 2))
    for points in (xy[[*range(19), 3]], chaos, xy * [[1.0, 1.0]] + 1e4 * (np.arange(20) == 19)[:, None]):
        with pytest.raises(MapFileError, match="grid"):
            EbsdMap.from_points("m", points, q, np.ones(20), phases)


def test_turned_acquisition_surface_is_told_not_applied(tmp_path, ctf_text, some_orientations):
    """AcqE1 = 90 in the header changes no orientation; a note says so."""
    text = ctf_text(some_orientations, 6, 10)
    plain = read_map(write(tmp_path / "a.ctf", text))
    turned = read_map(write(tmp_path / "b.ctf", text.replace("AcqE1\t0", "AcqE1\t90")))
    np.testing.assert_array_equal(plain.quaternions, turned.quaternions)
    assert not any("acquisition" in n for n in plain.frame_note) and any("90" in n for n in turned.frame_note)


@pytest.mark.parametrize(
    "attribute, value",
    [
        ("grid", "round"),
        ("shape", "[6, 11]"),
        ("shape", "[60]"),
        ("pixel_um", "[0.5, -0.5]"),
        ("phases", "{}"),
        ("frame_note", "3"),
        ("shape", "many"),
    ],
)
def test_own_file_with_a_wrong_description(tmp_path, make_map, some_orientations, attribute, value):
    """A grid that the points do not fill, phases that are not described, text that is no JSON: one error."""
    import h5py

    write_map_file(make_map(np.arange(60).reshape(6, 10), some_orientations), tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file.attrs[attribute] = value
    with pytest.raises(MapFileError, match=r"m\.h5: not a complete cpml map"):
        read_map(tmp_path / "m.h5")
