"""Cleaning changes what it is asked to change, counts it and marks it."""

from dataclasses import replace

import numpy as np
import pytest

from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply, random_quaternions
from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError
from cpml.microscopy import EbsdMap, MapPhase, clean, segment
from cpml.microscopy.cleaning.clean import OPTIONS


def holed(make_map):
    label = np.ones((8, 10), int)
    label[:, 5:] = 2
    label[2, 2] = label[5, 7] = label[5, 8] = 0
    label[7, 0:4] = 0
    return make_map(label, np.array([[1.0, 0, 0, 0], [0, 1, 0, 0]]))


def test_small_holes_are_filled_and_marked(make_map):
    """Holes of one and two points take their neighbours' orientation; the one of four stays."""
    m = holed(make_map)
    done = clean(m, {"fill_holes_pixels": 2})
    assert (done.n_filled, done.n_left) == (3, 4) and "3 points filled" in done.note
    assert np.flatnonzero(done.map.properties["filled"]).tolist() == [22, 57, 58]
    np.testing.assert_array_equal(done.map.quaternions[57], [0, 1, 0, 0])
    assert np.isnan(m.quaternions[22]).all(), "the map that was given is not changed"


def test_nothing_is_filled_by_default(make_map):
    """Cleaning is off unless a size is given."""
    m = holed(make_map)
    done = clean(m)
    assert done.map is m and done.n_filled == 0
    with pytest.raises(ParameterError):
        clean(m, {"fill_holes_pixels": -1})


def two_grains(rows=40, cols=48, *, noise_deg=0.3, gradient=0.1, wall=0.0, seed=0):
    """A map of two fcc grains with a lattice gradient along x, deg/px, a low-angle wall at half height, noise
    and random symmetry copies; and the orientations without noise.
    """
    rng = np.random.default_rng(seed)
    row, col = np.divmod(np.arange(rows * cols), cols)
    turn = np.radians(gradient * (col % (cols // 2)) + wall * (row >= rows // 2))
    grain = random_quaternions(2, rng)[(col >= cols // 2).astype(int)]
    exact = quaternion_multiply(axis_angle_to_quaternion([0, 0, 1], turn), grain)
    vector = rng.standard_normal((rows * cols, 3)) * np.radians(noise_deg) / np.sqrt(3)
    q = exact
    if noise_deg:
        q = quaternion_multiply(exact, axis_angle_to_quaternion(vector, np.linalg.norm(vector, axis=1)))
    q = quaternion_multiply(q, proper_group("432")[rng.integers(0, 24, len(q))])
    xy = np.stack([col, row], axis=1) * 0.5
    m = EbsdMap.from_points("two", xy, q, np.ones(len(q)), {1: MapPhase("Nickel", "432", "fcc")})
    return m, exact, row, col


def rms_deg(q, p):
    return np.degrees(np.sqrt(np.mean(disorientation_angle(q, p, proper_group("432")) ** 2)))


@pytest.mark.parametrize("wall", [0.0, 2.0])
def test_denoising_halves_the_noise_and_keeps_walls(wall):
    """0.3 deg of noise falls by a factor of 4 or more; boundary, 2 deg wall and gradient of
    0.1 deg/px stay.
    """
    m, exact, row, _ = two_grains(wall=wall)
    done = clean(m, {"denoise": 10})
    before, after = rms_deg(m.quaternions, exact), rms_deg(done.map.quaternions, exact)
    assert before == pytest.approx(0.3, rel=0.03) and after < before / 4
    np.testing.assert_array_equal(segment(done.map).label, segment(m).label)
    at_wall = np.abs(row - 19.5) < 1
    assert rms_deg(done.map.quaternions[at_wall], exact[at_wall]) < before / 2
    assert done.steps[0].n_changed == m.n_pixels
    estimated = float(done.note.split("noise estimated at ")[1].split()[0])
    assert estimated == pytest.approx(0.3, rel=0.03)


def test_denoising_does_not_flatten_a_gradient():
    """The slope of the lattice rotation along x, by least squares over each grain, is 0.1 deg/px
    before and after.
    """
    m, exact, _, col = two_grains(rows=30)
    q = clean(m, {"denoise": 100}).map.quaternions
    base = quaternion_multiply(axis_angle_to_quaternion([0, 0, 1], -np.radians(0.1 * (col % 24))), exact)
    for side in (col < 24, col >= 24):
        group = proper_group("432")
        angle = np.degrees(disorientation_angle(q[side], base[side], group))
        far = col[side] % 24 > 8  # an angle has no sign: away from where it starts
        slope = np.polyfit(col[side][far] % 24, angle[far], 1)[0]
        assert slope == pytest.approx(0.1, abs=0.003)


def test_denoising_leaves_a_perfect_map_alone():
    """Without noise nothing moves by more than rounding, gradient and wall included."""
    m, exact, *_ = two_grains(noise_deg=0.0, wall=3.0)
    assert rms_deg(clean(m, {"denoise": 10}).map.quaternions, exact) < 1e-3


def test_denoising_on_a_hexagonal_grid():
    """Three directions of rows instead of two: noise falls all the same."""
    row, half = np.nonzero(np.add.outer(np.arange(30), np.arange(60)) % 2 == 0)
    rng = np.random.default_rng(0)
    vector = rng.standard_normal((len(row), 3)) * np.radians(0.3) / np.sqrt(3)
    q = axis_angle_to_quaternion(vector, np.linalg.norm(vector, axis=1))
    xy = np.stack([half / 2, row * np.sqrt(0.75)], axis=1)
    m = EbsdMap.from_points("hex", xy, q, np.ones(len(q)), {1: MapPhase("Nickel", "432", "fcc")})
    cleaned = clean(m, {"denoise": 10}).map
    exact = np.tile([1.0, 0, 0, 0], (len(q), 1))
    assert rms_deg(cleaned.quaternions, exact) < rms_deg(q, exact) / 4


def test_spikes_are_replaced_and_nothing_else():
    """Five wrong points inside two grains, one at the boundary: exactly these change, to
    a neighbour's orientation.
    """
    m, exact, *_ = two_grains(noise_deg=0.05)
    at = np.array([5 * 48 + 5, 5 * 48 + 30, 11 * 48 + 23, 20 * 48 + 40, 30 * 48 + 7])
    q = m.quaternions.copy()
    q[at] = random_quaternions(len(at), np.random.default_rng(9))
    done = clean(replace(m, quaternions=q), {"spike_deg": 10})
    assert done.n_filled == len(at) and np.flatnonzero(done.map.properties["filled"]).tolist() == at.tolist()
    assert rms_deg(done.map.quaternions, exact) < 0.1


def test_small_grains_join_their_surroundings(make_map):
    """A grain of three pixels disappears below a limit of four and stays at three; the count is told."""
    label = np.ones((8, 10), int)
    label[3, 4:7] = 2
    m = make_map(label, [[1, 0, 0, 0], axis_angle_to_quaternion([0, 0, 1], 0.5)])
    done = clean(m, {"min_grain_pixels": 4})
    assert segment(done.map).n_grains == 1 and done.n_filled == 3
    assert "1 grains below 4 pixels (3 points)" in done.note
    assert clean(m, {"min_grain_pixels": 3}).map is m


def test_nothing_happens_unless_asked(make_map):
    """No options, no change; the table of steps is empty."""
    m = holed(make_map)
    done = clean(m)
    assert done.map is m and len(done.table()) == 0 and done.n_left == 7


@pytest.mark.parametrize(
    "options, told",
    [
        ({"spikes": 5}, "known"),
        ({"spike_deg": -1}, "spike_deg"),
        ({"denoise": True}, "denoise"),
        ({"min_confidence": 0.1}, "no 'ci'"),
        ({"min_grain_pixels": 1000}, "largest grain"),
    ],
)
def test_wrong_options_are_named(make_map, options, told):
    """An unknown option, a value out of range, a property that is missing."""
    with pytest.raises(ParameterError, match=told):
        clean(holed(make_map), options)


def test_steps_run_in_their_order_and_are_counted(make_map):
    """Low confidence makes holes, which are then filled; each step has its row."""
    label = np.ones((8, 10), int)
    m = make_map(label, [[1.0, 0, 0, 0]])
    ci = np.ones(80)
    ci[[12, 33, 34]] = 0.01
    done = clean(replace(m, properties={"ci": ci}), {"fill_holes_pixels": 1, "min_confidence": 0.05})
    assert done.table()["option"].tolist() == ["min_confidence", "fill_holes_pixels"]
    assert done.table()["n_changed"].tolist() == [3, 1] and done.n_left == 2


def test_schema_and_cleaning_know_the_same_options():
    """Every option of dataset.yml's cleaning is one of clean(), and the other way round."""
    from cpml.datasets import schema

    for name, (low, high) in OPTIONS.items():
        assert schema.SCHEMA["cleaning"].rule({name: high}) == {name: high}
        assert low <= high
