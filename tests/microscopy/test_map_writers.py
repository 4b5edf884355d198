"""What is written is read back: exactly, to the printed digits, in every frame, on real maps."""

from dataclasses import replace

import numpy as np
import pytest

from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.rotations import quaternion_multiply, random_quaternions
from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError
from cpml.microscopy import EbsdMap, MapPhase, read_map, write_map
from cpml.microscopy.maps.frames import PRESETS, a_star_to_a, frame_rotation

TITANIUM = {
    "columns": ["phi1", "Phi", "phi2", "phase", "ci", "iq", "sem", "x", "y", "grain"],
    "phases": {0: MapPhase("Titanium", "622", "hcp", 2.95, 2.95, 4.68, 90, 90, 120)},
}
REAL = {
    "mg-twins/twins.ctf": {},
    "sdss/sdss_ferrite_austenite.ang": {},
    "dc06-steel/DC06_2uniax.ang": {},
    "smallin100/6_5_h5ebsd_exemplar.h5ebsd": {"slice": 0},
    "cpti-boundaries/titanium.txt": TITANIUM,
}
# half a unit of the last digit in each of three angles: 5e-6 deg, 5e-6 rad; .h5 holds float64
ROUNDING = {".ctf": 3 * 9e-8, ".ang": 3 * 5e-6, ".h5": 1e-12}


def same(q, p):
    """Largest angle between two orientation lists without symmetry, rad."""
    return np.nanmax(disorientation_angle(q, p, proper_group("1")))


@pytest.mark.parametrize("suffix", ROUNDING)
@pytest.mark.parametrize("key", REAL)
def test_real_maps_survive_a_round_trip(tmp_path, mirror, key, suffix):
    """Phases, gaps, grid and properties exactly, angles to the printed digits; written again,
    the same bytes.
    """
    original = read_map(mirror(key), **REAL[key])
    if original.grid == "hex" and suffix == ".ctf":
        with pytest.raises(ParameterError, match="hexagonal grid"):
            write_map(original, tmp_path / "m.ctf")
        return
    path = write_map(original, tmp_path / f"m{suffix}")
    back = read_map(path, name=original.name)
    assert back.grid == original.grid and back.shape == original.shape
    np.testing.assert_array_equal(back.phase_id, original.phase_id)
    np.testing.assert_allclose(back.xy, original.xy, atol=1e-4)
    assert same(back.quaternions, original.quaternions) <= ROUNDING[suffix]
    for name, values in original.properties.items():
        np.testing.assert_array_equal(np.float32(back.properties[name]), np.float32(values), name)
    if suffix != ".h5":
        again = write_map(back, tmp_path / f"again{suffix}")
        assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("key", ["mg-twins/twins.ctf", "sdss/sdss_ferrite_austenite.ang"])
def test_orix_reads_what_is_written(tmp_path, mirror, key):
    """orix finds the phases under their own numbers, gaps as -1, and the same rotations."""
    from orix import io

    m = read_map(mirror(key))
    x = io.load(str(write_map(m, tmp_path / "m.h5")))
    np.testing.assert_array_equal(x.phase_id, np.where(m.indexed, m.phase_id, -1))
    assert [x.phases[i].name for i in m.phases] == [p.name for p in m.phases.values()]
    assert same(x.rotations.data[m.indexed] * [1, -1, -1, -1], m.quaternions[m.indexed]) < 1e-12


def test_orix_misreads_what_we_read(tmp_path):
    """A hexagonal .ang of 410 points: 410 here with six neighbours; orix makes a square grid of
    820 (issue 214).
    """
    row, half = np.nonzero(np.add.outer(np.arange(20), np.arange(41)) % 2 == 0)
    xy = np.stack([half / 2, row * np.sqrt(0.75)], axis=1)
    q = random_quaternions(len(xy), np.random.default_rng(0))
    m = EbsdMap.from_points("h", xy, q, np.ones(len(xy)), {1: MapPhase("Ni", "432", "fcc", 3.5, 3.5, 3.5)})
    back = read_map(write_map(m, tmp_path / "h.ang"))
    assert back.grid == "hex" and back.n_pixels == 410 and np.bincount(back.neighbours.ravel()).max() == 6


@pytest.mark.parametrize("present", [[2], [1, 3], [3]])
def test_phase_numbers_do_not_depend_on_which_occur(tmp_path, present):
    """Phases 1, 2, 3 of a header keep number and name when only some occur (orix numbers them by order)."""
    rng = np.random.default_rng(0)
    row, col = np.divmod(np.arange(12), 4)
    phases = {i: MapPhase(name, "432", None, 3.0, 3.0, 3.0) for i, name in enumerate("ABC", start=1)}
    phase_id = rng.choice([0, *present], 12)
    phase_id[:3] = present[0]
    m = EbsdMap.from_points("p", np.stack([col, row], 1), random_quaternions(12, rng), phase_id, phases)
    for suffix in (".ctf", ".ang", ".h5"):
        back = read_map(write_map(m, tmp_path / f"p{suffix}"))
        np.testing.assert_array_equal(back.phase_id, phase_id)
        assert [p.name for p in back.phases.values()] == ["A", "B", "C"]


@pytest.mark.parametrize("frame", PRESETS)
def test_ctf_and_ang_agree_in_every_frame(tmp_path, frame):
    """A map written for a frame and read with that frame declared is the same map, X||a* or X||a: no
    30 deg left.
    """
    rng = np.random.default_rng(3)
    row, col = np.divmod(np.arange(60), 10)
    phases = {1: MapPhase("Mg", "622", "hcp", 3.2, 3.2, 5.2, 90, 90, 120)}
    m = EbsdMap.from_points("f", np.stack([col, row], 1), random_quaternions(60, rng), np.ones(60), phases)
    ctf = read_map(write_map(m, tmp_path / "f.ctf", euler_to_sample=frame), euler_to_sample=frame)
    ang = read_map(write_map(ctf, tmp_path / "f.ang", euler_to_sample=frame), euler_to_sample=frame)
    back = read_map(write_map(ang, tmp_path / "g.ctf", euler_to_sample=frame), euler_to_sample=frame)
    assert same(ang.quaternions, m.quaternions) < 2e-5 and same(back.quaternions, m.quaternions) < 2e-5
    wrong = read_map(tmp_path / "f.ctf", euler_to_sample=frame, hex_x_axis="a")
    np.testing.assert_allclose(
        np.degrees(disorientation_angle(wrong.quaternions, m.quaternions, proper_group("1"))), 30, atol=1e-3
    )
    assert same(a_star_to_a(wrong.quaternions), m.quaternions) < 1e-6


def test_named_frames():
    """EDAX settings 1 to 4 turn 180 deg about x+y, x-y, x, y; Oxford about x, Bruker about y."""
    half = np.sqrt(0.5)
    axes = {
        "edax1": (half, half),
        "edax2": (half, -half),
        "edax3": (1, 0),
        "edax4": (0, 1),
        "oxford": (1, 0),
        "bruker": (0, 1),
    }
    for name, (x, y) in axes.items():
        assert abs(frame_rotation(name) @ [0, x, y, 0]) == pytest.approx(1)
    by_mapping = frame_rotation({"axis": [1, 0, 0], "angle_deg": 180})
    np.testing.assert_allclose(by_mapping, frame_rotation("x180"))


def test_angles_at_the_poles_print_once(tmp_path):
    """Phi 0 or 180 deg leaves only phi1 + phi2 or phi1 - phi2: one text for one orientation, never 360."""
    from cpml.crystallography.rotations import euler_to_quaternion

    euler = np.radians(
        [[350, 0, 20], [10, 1e-9, 0], [300, 180, 290], [10, 180, 0], [359.9999999, 90, 0.00000001]]
    )
    xy = np.stack([np.arange(5.0), np.zeros(5)], axis=1)
    m = EbsdMap.from_points(
        "e", xy, euler_to_quaternion(euler), np.ones(5), {1: MapPhase("Ni", "432", None, 3, 3, 3)}
    )
    path = write_map(m, tmp_path / "e.ctf")
    rows = [line.split("\t")[5:8] for line in path.read_text().splitlines()[-5:]]
    assert rows[0] == rows[1] and rows[2] == rows[3] and rows[4] == ["0.00000", "90.00000", "0.00000"]
    assert same(read_map(path).quaternions, m.quaternions) < 1e-6


def test_what_a_format_cannot_hold_is_refused(tmp_path, make_map):
    """Other suffixes and symmetry settings without a number are errors; nothing is left behind."""
    m = make_map(np.ones((3, 3), int), [[1, 0, 0, 0]], phase=MapPhase("X", "312", None, 3, 3, 5, 90, 90, 120))
    for name in ("m.osc", "m.ctf", "m.ang"):
        with pytest.raises(ParameterError):
            write_map(m, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_filled_point_stays_indexed(tmp_path, make_map):
    """A hole that was filled keeps its orientation through .ang although its confidence was -1."""
    m = make_map(np.ones((3, 3), int), [[1, 0, 0, 0]])
    m = replace(m, properties={"ci": np.r_[np.ones(4), -1.0, np.ones(4)].astype("f4")})
    assert read_map(write_map(m, tmp_path / "m.ang")).indexed.all()


def test_confidence_zero_is_indexed_and_minus_one_is_not(tmp_path, make_map):
    """CI = 0 is a tie of two solutions, CI = -1 none."""
    text = write_map(make_map(np.ones((3, 3), int), [[1, 0, 0, 0]]), tmp_path / "m.ang").read_text()
    lines = text.splitlines()
    fields = lines[-1].split()
    assert fields[6] == "0"
    fields[6] = "-1"
    (tmp_path / "n.ang").write_text("\n".join([*lines[:-1], " ".join(fields), ""]))
    assert np.flatnonzero(~read_map(tmp_path / "n.ang").indexed).tolist() == [8]


def test_turning_the_frame_turns_the_map(tmp_path, make_map):
    """Written for a frame and read without declaring it, the map is off by exactly that turn."""
    q = random_quaternions(9, np.random.default_rng(1))
    m = make_map(np.arange(1, 10).reshape(3, 3), q)
    wrong = read_map(write_map(m, tmp_path / "m.ctf", euler_to_sample="edax1"))
    assert same(quaternion_multiply(frame_rotation("edax1"), wrong.quaternions), m.quaternions) < 1e-6
