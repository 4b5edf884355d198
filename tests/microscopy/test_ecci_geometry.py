"""ECCI: reflections, stage, and which setting excites what."""

from dataclasses import replace

import numpy as np
import pytest
from diffpy.structure import Atom, Lattice, Structure
from diffsims.crystallography._diffracting_vector import DiffractingVector
from diffsims.generators.simulation_generator import SimulationGenerator
from hypothesis import given, settings, strategies as st
from orix.crystal_map import Phase
from orix.quaternion import Rotation as OrixRotation
from orix.vector import Miller
from scipy.constants import c, e, h, m_e
from scipy.spatial.transform import Rotation

from cpml.crystallography import load_material
from cpml.crystallography.materials import material_names
from cpml.crystallography.rotations import quaternion_multiply, random_quaternions
from cpml.crystallography.symmetry import group_of_lattice, proper_group
from cpml.errors import ParameterError
from cpml.microscopy.ecci.channelling import (
    STRONG,
    bragg_settings,
    check_excited,
    common_settings,
    deviation_deg,
    excitation_error,
    excited,
    nearest_of_form,
    settings_for,
)
from cpml.microscopy.ecci.reflections import MIN_SPACING, parse_indices, reflections, wavelength_nm
from cpml.microscopy.ecci.stage import Stage, projected_angle_deg

NICKEL, TITANIUM = (reflections(load_material(name)) for name in ("nickel", "titanium_cp"))
REPEATED = settings(max_examples=25, deadline=None, derandomize=True, database=None)
ANGLE = st.floats(-180, 180)
STAGES = (
    Stage(),
    Stage(tilt_axis_deg=90, tilt_sense=-1, second_sense=-1, offset_deg=37),
    Stage("double-tilt", tilt_axis_deg=20, second_sense=-1, limits=((-30, 30), (-30, 30))),
)


def orientation(seed):
    return random_quaternions(1, np.random.default_rng(seed))[0]


def to_sample(q, vectors):
    """Crystal vectors in the sample frame, by scipy."""
    return Rotation.from_quat(np.roll(q, -1)).apply(vectors)


def phase_of(material):
    """A primitive cell of the material for orix and diffsims, in Angstrom."""
    a, c_ = 10 * material.a, 10 * (material.c or material.a)
    cell = Lattice(a, a, c_, 90, 90, 120 if material.c else 90)
    group = {"fcc": 225, "bcc": 229, "hcp": 194}[material.lattice]
    return Phase(space_group=group, structure=Structure([Atom(material.element, [0] * 3)], lattice=cell))


def composed_beam(stage, tilt, second):
    """Beam in the sample frame, by scipy: undo the tilt about a fixed axis, then the second motion about
    its own axis at rest.
    """
    a = np.radians(stage.tilt_axis_deg)
    axis = np.array([np.cos(a), -np.sin(a), 0])  # y is down on the screen
    across = np.array([-np.sin(a), -np.cos(a), 0])  # a quarter turn further on the screen
    own = np.array([0, 0, -1]) if stage.kind == "rotation-tilt" else across
    first = Rotation.from_rotvec(stage.tilt_sense * tilt * axis, degrees=True)
    then = Rotation.from_rotvec(stage.second_sense * (second - stage.offset_deg) * own, degrees=True)
    return (first * then).inv().apply([0, 0, 1])


def misses(found, q, beam):
    """Delta of all reflections: the angle between beam and planes over asin(lambda |g| / 2), deg."""
    g = to_sample(q, found.vector) / found.a_nm
    length = np.linalg.norm(g, axis=1)
    return np.degrees(np.arcsin(-g @ beam / length) - np.arcsin(found.wavelength_nm * length / 2))


def strong_others(found, number):
    """Reflections of the strongest forms that are no orders of one."""
    crossed = np.linalg.norm(np.cross(found.vector, found.vector[number]), axis=1) > 1e-6
    return crossed & (found.family < STRONG)


# --- reflections


@pytest.mark.parametrize("kv, nm", [(20.0, 0.00859), (100.0, 0.00370), (200.0, 0.00251)])
def test_wavelengths_of_textbooks(kv, nm):
    """Published to three digits (Williams & Carter 2009, table 1.2; at 20 kV Reimer 1998)."""
    assert wavelength_nm(kv) == pytest.approx(nm, abs=5.1e-6)


def test_wavelength_is_relativistic():
    """h / sqrt(2 m e U (1 + e U / 2 m c^2)); 1e-6 for the digits of the constants."""
    for kv in (1.0, 15.0, 300.0):
        energy = e * kv * 1e3
        momentum = np.sqrt(2 * m_e * energy * (1 + energy / (2 * m_e * c**2)))
        assert wavelength_nm(kv) == pytest.approx(1e9 * h / momentum, rel=1e-6)


@pytest.mark.parametrize("kv", [0.5, 20_000.0, np.nan])
def test_volts_are_no_kilovolts(kv):
    with pytest.raises(ParameterError, match="kV"):
        wavelength_nm(kv)


def test_bragg_angles_by_hand():
    """Nickel, a = 0.3524 nm, 8.589 pm: sin theta = lambda sqrt(3) / 2a for 111; titanium 0002 lambda / c."""
    number = NICKEL.number("1 1 1")
    assert NICKEL.bragg_deg[number] == pytest.approx(np.degrees(np.arcsin(0.008589 * 3**0.5 / 0.7048)), 1e-4)
    assert NICKEL.bragg_deg[NICKEL.number("200")] == pytest.approx(1.397, abs=5e-4)
    assert TITANIUM.bragg_deg[TITANIUM.number("0 0 0 2")] == pytest.approx(
        np.degrees(np.arcsin(0.008589 / 0.4684)), 1e-4
    )


def all_indices():
    """Indices up to 6 with a spacing that may be of use."""
    axis = np.arange(-6, 7)
    hkl = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    return hkl[(hkl != 0).any(1)]


def is_present(hkl, lattice):
    """The rules of extinction as in any textbook of diffraction."""
    first, second, last = hkl.T
    if lattice == "fcc":
        return (hkl % 2 == hkl[:, :1] % 2).all(1)  # unmixed
    if lattice == "bcc":
        return hkl.sum(1) % 2 == 0
    return ~(((first + 2 * second) % 3 == 0) & (last % 2 == 1))


@pytest.mark.parametrize("name", ["nickel", "ferrite", "titanium_cp"])
def test_all_that_the_rules_of_extinction_leave_is_there(name):
    """Unmixed (fcc), even sums (bcc), no odd l where h + 2k = 3n (hcp), of spacings from 0.11 nm on."""
    material = load_material(name)
    hkl = all_indices()
    if material.c:
        h_, k, last = hkl.T
        per_nm = np.sqrt(4 / 3 * (h_**2 + h_ * k + k**2) / material.a**2 + last**2 / material.c**2)
    else:
        per_nm = np.linalg.norm(hkl, axis=1) / material.a
    wanted = hkl[is_present(hkl, material.lattice) & (per_nm <= 1 / MIN_SPACING)]
    names = reflections(material).names
    found = [parse_indices(n) for n in names]
    assert sorted((i[0], i[1], i[-1]) for i in found) == sorted(map(tuple, wanted.tolist()))
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "found, name, count",
    [
        (NICKEL, "111", 8),
        (NICKEL, "200", 6),
        (NICKEL, "220", 12),
        (reflections(load_material("aluminium")), "311", 24),
        (TITANIUM, "0002", 2),
        (TITANIUM, "10-10", 6),
        (TITANIUM, "10-11", 12),
    ],
)
def test_forms_have_their_textbook_number(found, name, count):
    assert (found.family == found.family[found.number(name)]).sum() == count


@pytest.mark.parametrize("name", [n for n in material_names() if load_material(n).element])
def test_forms_are_orbits_of_the_crystal(name):
    """The indices of one number of family are all copies of one reflection, by orix, and no others."""
    material = load_material(name)
    found = reflections(material)
    phase = phase_of(material)
    hkl = np.array([(i[0], i[1], i[-1]) for i in map(parse_indices, found.names)])
    for family in range(found.family.max() + 1):
        own = hkl[found.family == family]
        copies = Miller(hkl=own[:1], phase=phase).symmetrise(unique=True).hkl.round().astype(int)
        assert sorted(map(tuple, own.tolist())) == sorted(map(tuple, copies.tolist()))


@pytest.mark.parametrize(
    "name, xi",
    [
        ("aluminium", {"111": 56.3, "200": 68.5, "220": 114.4}),
        ("copper", {"111": 28.6, "200": 32.6, "220": 47.3}),
        ("nickel", {"111": 26.8, "200": 30.6, "220": 46.6}),
    ],
)
def test_extinction_distances_at_100_kv(name, xi):
    """Williams & Carter 2009, table 13.2. 12 %: scattering factors of another author."""
    found = reflections(load_material(name), kv=100.0)
    for g, nm in xi.items():
        assert found.extinction_nm[found.number(g)] == pytest.approx(nm, rel=0.12)


def test_extinction_distances_go_with_velocity():
    """xi ~ 1 / (lambda gamma) ~ v: from 20 to 100 kV by the ratio of v / c, 0.5482 / 0.2719."""
    slow, fast = (reflections(load_material("copper"), kv=kv) for kv in (20.0, 100.0))
    np.testing.assert_allclose(fast.extinction_nm / slow.extinction_nm, 0.5482 / 0.2719, rtol=5e-4)


@pytest.mark.parametrize(
    "text, indices",
    [
        ("1 -1 1", (1, -1, 1)),
        ("1,-1,1", (1, -1, 1)),
        (" 1, -1,  1 ", (1, -1, 1)),
        ("(1-11)", (1, -1, 1)),
        ("{200}", (2, 0, 0)),
        ("(10-10)", (1, 0, -1, 0)),
        ("-1 2 -1 -3", (-1, 2, -1, -3)),
        ("0 0 10", (0, 0, 10)),
    ],
)
def test_spellings_of_a_reflection(text, indices):
    assert parse_indices(text) == indices


@pytest.mark.parametrize(
    "text", ["", "1 1", "111111", "0 0 0", "1 0 0 0", "1 1 a", "1.5 0 0", "1;1;1", "1 - 1 1", "--111", "g"]
)
def test_what_is_no_reflection_is_refused(text):
    with pytest.raises(ParameterError, match="no reflection"):
        parse_indices(text)


def test_a_name_is_found_in_all_its_spellings():
    for name in NICKEL.names:
        spaced = " ".join(map(str, parse_indices(name)))
        assert NICKEL.names[NICKEL.number(spaced)] == NICKEL.names[NICKEL.number(name)] == name
    three, four = (TITANIUM.number(n) for n in ("1 -1 1", "1 -1 0 1"))
    assert three == four and TITANIUM.names[four] == "(1-101)"


def test_four_indices_name_nothing_in_a_cubic_crystal():
    with pytest.raises(ParameterError):
        NICKEL.number("1 1 -2 1")


@pytest.mark.parametrize("found, name", [(NICKEL, "100"), (NICKEL, "8 0 0"), (TITANIUM, "0001")])
def test_extinct_and_distant_reflections_are_refused(found, name):
    with pytest.raises(ParameterError, match="does not diffract"):
        found.number(name)


# --- stage


def test_the_beam_of_a_stage_at_rest():
    """It comes along z, and rotation about the normal leaves it there."""
    np.testing.assert_allclose(Stage().beam(0.0, np.arange(0, 360, 30.0)), np.tile([0, 0, 1], (12, 1)))
    np.testing.assert_allclose(Stage("double-tilt").beam(0.0, 0.0), [0, 0, 1])


@pytest.mark.parametrize(
    "stage, tilt, second, beam",
    [
        (Stage(), 90, 0, (0, 1, 0)),  # the lower edge goes away from the gun
        (Stage(), 30, 0, (0, 0.5, 0.75**0.5)),
        (Stage(tilt_sense=-1), 30, 0, (0, -0.5, 0.75**0.5)),
        (Stage(tilt_axis_deg=90), 30, 0, (0.5, 0, 0.75**0.5)),  # about the axis up the screen: the right edge
        (Stage(), 30, 90, (-0.5, 0, 0.75**0.5)),  # counter-clockwise: the left edge is now below
        (Stage(second_sense=-1), 30, 90, (0.5, 0, 0.75**0.5)),
        (Stage(offset_deg=90), 30, 90, (0, 0.5, 0.75**0.5)),
        (Stage("double-tilt"), 0, 30, (0.5, 0, 0.75**0.5)),
        (Stage("double-tilt"), 30, 90, (0.75**0.5, 0.5, 0)),
        (Stage("double-tilt", second_sense=-1), 0, 30, (-0.5, 0, 0.75**0.5)),
    ],
)
def test_beams_in_closed_form(stage, tilt, second, beam):
    np.testing.assert_allclose(stage.beam(tilt, second), beam, atol=1e-12)


@REPEATED
@given(ANGLE, ANGLE, ANGLE, ANGLE, st.sampled_from([1.0, -1.0]), st.sampled_from([1.0, -1.0]), st.booleans())
def test_any_stage_is_two_turns_one_after_the_other(axis, offset, tilt, second, sense, turn, double):
    kind = "double-tilt" if double else "rotation-tilt"
    stage = Stage(kind, axis, sense, turn, offset)
    beam = stage.beam(tilt, second)
    np.testing.assert_allclose(beam, composed_beam(stage, tilt, second), atol=1e-12)
    np.testing.assert_allclose(stage.sample_to_lab(tilt, second) @ beam, [0, 0, 1], atol=1e-12)


def test_a_stage_as_described():
    """Words for senses and axes; limits of each kind where none are given."""
    described = {"tilt_axis": "y", "tilt_sense": "left", "second_sense": "clockwise", "offset_deg": 12}
    assert Stage.of({}) == Stage()
    assert Stage.of(described) == Stage("rotation-tilt", 90, -1, -1, 12)
    double = Stage.of({"kind": "double-tilt", "tilt_axis": 30, "second_limits_deg": [-8, 9]})
    assert (double.tilt_axis_deg, double.limits) == (30, ((-15, 15), (-8, 9)))


def test_a_rotation_counts_modulo_a_turn_and_a_tilt_does_not():
    stage = Stage(limits=((-5, 20), (-30, 90)))
    found = stage.within([0, 0, 0, 0, 20.1, -5], [350, -10, 440, 180, 0, 90])
    assert found.tolist() == [True, True, True, False, False, True]
    assert not Stage("double-tilt", limits=((-5, 20), (-30, 90))).within(0, 350)


def on_screen(angle):
    """Unit direction in the surface, y down."""
    return np.array([np.cos(np.radians(angle)), -np.sin(np.radians(angle)), 0])


BEAM = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.2, 1))


@REPEATED
@given(st.floats(0, 179.99), BEAM, st.floats(-3, 3), st.sampled_from([1.0, -1.0, 7.0]))
def test_a_line_is_seen_where_the_plane_of_line_and_beam_cuts_the_surface(angle, beam, steep, scale):
    """In-surface lines keep their angle under any beam; adding the beam to the line changes nothing."""
    k = np.array(beam) / np.linalg.norm(beam)
    seen = projected_angle_deg(scale * (on_screen(angle) + steep * k), k)
    assert abs((seen - angle + 90) % 180 - 90) < 1e-6
    assert 0 <= seen <= 180


def test_projected_angles_stay_below_half_a_turn():
    """Also where rounding leaves a line less than an ulp below 180 deg."""
    assert projected_angle_deg([1.0, 1e-18, 0.0], [0.0, 0.0, 1.0]) < 180


def test_projected_angles_by_hand():
    """From above a line up-right shows at 45 deg; under a beam tilted by 45 deg to +y, a vertical line
    shows along y.
    """
    assert projected_angle_deg([1, -1, 5], [0, 0, 1]) == pytest.approx(45)
    assert projected_angle_deg([0, 0, 1], [0, 1, 1]) == pytest.approx(90)
    assert projected_angle_deg([1, 0, 1], [0, 1, 1]) == pytest.approx(45)  # p = (1, -1, 0)
    with pytest.raises(ParameterError, match="surface"):
        projected_angle_deg([1, 0, 0], [1, 0, 0])


# --- channelling


@pytest.mark.parametrize("found", [NICKEL, TITANIUM])
def test_deviations_by_hand(found):
    rng = np.random.default_rng(3)
    q, beams = random_quaternions(6, rng), Stage().beam(rng.uniform(-5, 20, 6), rng.uniform(0, 360, 6))
    for one, beam, off in zip(q, beams, deviation_deg(found, q, beams), strict=True):
        np.testing.assert_allclose(off, misses(found, one, beam), atol=1e-9)


@pytest.mark.parametrize("name", ["nickel", "ferrite", "titanium_cp"])
def test_excitation_errors_are_those_of_diffsims(name):
    """diffsims sends the beam along -z and measures along +z from a spot to the Ewald sphere, positive
    outside. For a spot r off the axis, s = d cos(asin(r lambda)) - d^2 lambda / 2, d its depth inside.
    """
    material = load_material(name)
    found = reflections(material)
    spots = DiffractingVector.from_min_dspacing(phase_of(material), 10 * MIN_SPACING)
    simulation = SimulationGenerator(20.0, shape_factor_model=lambda distance, _: distance)
    wave = simulation.wavelength / 10
    hexagonal = material.lattice == "hcp"
    rng = np.random.default_rng(4)
    compared = 0
    for q, beam in zip(random_quaternions(3, rng), Stage().beam(rng.uniform(-5, 20, 3), 70.0), strict=True):
        down, _ = Rotation.align_vectors([[0, 0, -1]], [beam])
        turn = down * Rotation.from_quat(np.roll(q, -1))
        vectors, hkl, outside = simulation.get_intersecting_reflections(
            spots, ~OrixRotation.from_matrix(turn.as_matrix()), 10 * wave, 10.0, with_direct_beam=False
        )
        np.testing.assert_allclose(vectors.data, turn.apply(spots.data), atol=1e-9)  # diffsims turns back
        d, r = -10 * np.asarray(outside), 10 * np.linalg.norm(vectors.data[:, :2], axis=1)
        expected = d * np.sqrt(1 - (r * wave) ** 2) - d**2 * wave / 2
        s = excitation_error(found, q, beam)
        for (a, b, last), value in zip(hkl.round().astype(int), expected, strict=True):
            indices = (a, b, -a - b, last) if hexagonal else (a, b, last)
            name_ = "(" + "".join(map(str, indices)) + ")"
            if name_ in found.names:
                compared += 1
                assert s[found.names.index(name_)] == pytest.approx(value, abs=1e-6)
    assert compared == 3 * len(found)


@REPEATED
@given(st.integers(0, 10**6), st.floats(-5, 20), ANGLE)
def test_deviation_and_excitation_error_vanish_together(seed, tilt, second):
    """s = |g| (sin(theta + Delta) - sin theta), so of the sign of Delta, zero with it, ~ |g| Delta."""
    q, beam = orientation(seed), Stage().beam(tilt, second)
    for found in (NICKEL, TITANIUM):
        off, s = deviation_deg(found, q, beam), excitation_error(found, q, beam)
        theta = np.radians(found.bragg_deg)
        difference = np.sin(theta + np.radians(off)) - np.sin(theta)
        np.testing.assert_allclose(s, found.per_nm * difference, atol=1e-9)
        near = np.abs(off) < 1
        assert (np.sign(s) == np.sign(off)).all()
        # the next term of the sine, tan(theta) Delta / 2, and 1 - cos(theta): below 0.2 % for these
        np.testing.assert_allclose(s[near], (found.per_nm * np.radians(off))[near], rtol=2e-3)


def test_what_a_beam_excites():
    """In the two-beam position of one reflection it comes first, with s = w = 0; beside it what a
    calculation by hand finds within the tolerance.
    """
    q = orientation(5)
    row = settings_for(NICKEL, q, Stage()).iloc[0]
    beam = composed_beam(Stage(), row["tilt_deg"], row["second_deg"])
    table = excited(NICKEL, q, beam, tolerance_deg=6.0)
    near = np.abs(misses(NICKEL, q, beam)) <= 6.0
    assert table["g"][0] == row["g"] and len(table) == near.sum() > 1
    assert set(table["g"]) == {n for n, kept in zip(NICKEL.names, near, strict=True) if kept}
    assert table["s_per_nm"][0] == pytest.approx(0, abs=1e-9)
    assert np.abs(table["deviation_deg"]).is_monotonic_increasing
    np.testing.assert_allclose(table["w"], table["s_per_nm"] * table["extinction_nm"])


def test_a_reflection_that_is_not_excited_is_named_with_those_that_are():
    q = orientation(5)
    row = settings_for(NICKEL, q, Stage()).iloc[0]
    beam = Stage().beam(row["tilt_deg"], row["second_deg"])
    check_excited(NICKEL, q, beam, NICKEL.number(row["g"]), 0.3, "lines.csv")
    other = int(np.abs(misses(NICKEL, q, beam)).argmax())
    with pytest.raises(ParameterError, match=r"lines\.csv") as caught:
        check_excited(NICKEL, q, beam, other, 0.3, "lines.csv")
    assert row["g"] in str(caught.value)


def test_the_copy_that_diffracts_is_found_from_any_of_its_form():
    """Whatever copy of the form is named, the one set up by hand is found."""
    q = orientation(6)
    row = settings_for(TITANIUM, q, Stage(), wanted=["10-11", "-1011", "01-11", "1-101"]).iloc[0]
    beam = composed_beam(Stage(), row["tilt_deg"], row["second_deg"])
    for name in ("10-1-1", "0 -1 1 1", "(1-101)"):
        number, off = nearest_of_form(TITANIUM, q, beam, name)
        assert TITANIUM.names[number] == row["g"] and abs(off) < 1e-6


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("found", [NICKEL, TITANIUM])
def test_settings_put_their_reflection_on_bragg(found, stage):
    """Within 1e-6 deg and the limits; clearance and the effect of stage errors by hand."""
    for seed in range(3):
        q = orientation(seed)
        table = settings_for(found, q, stage)
        assert len(table) > 3
        for row in table.itertuples():
            (low, high), (first, last) = stage.limits
            assert low <= row.tilt_deg <= high and first <= row.second_deg <= last
            number = found.names.index(row.g)
            off = misses(found, q, composed_beam(stage, row.tilt_deg, row.second_deg))
            assert abs(off[number]) < 1e-6
            assert row.clear_deg == pytest.approx(np.abs(off[strong_others(found, number)]).min(), abs=1e-6)
            moved = [(0.1, 0.0), (0.0, 0.5)]
            beams = [composed_beam(stage, row.tilt_deg + a, row.second_deg + b) for a, b in moved]
            change = [misses(found, q, beam)[number] - off[number] for beam in beams]
            assert row.thrown_off_deg == pytest.approx(np.hypot(*change), abs=1e-6)
            assert row.extinction_nm == found.extinction_nm[number]


def test_a_wanted_deviation_is_set():
    q = orientation(7)
    for row in settings_for(NICKEL, q, Stage(), deviation=0.25).itertuples():
        off = misses(NICKEL, q, composed_beam(Stage(), row.tilt_deg, row.second_deg))
        assert off[NICKEL.names.index(row.g)] == pytest.approx(0.25, abs=1e-6)


def test_a_larger_error_of_the_stage_throws_off_in_proportion():
    """To 1 %: the second order in a tenth of a degree."""
    q = orientation(8)
    small, large = (settings_for(NICKEL, q, Stage(), error_deg=(s, 0.0)) for s in (0.1, 0.2))
    np.testing.assert_allclose(large["thrown_off_deg"] / small["thrown_off_deg"], 2, rtol=0.01)


@REPEATED
@given(st.integers(0, 10**6), ANGLE, st.integers(0, 2), st.integers(0, 25), st.floats(-1, 1))
def test_tilts_are_those_of_a_search(seed, second, which, number, deviation):
    """Where the deviation changes sign on a grid of 0.1 deg over a full turn of tilt, there are the two
    tilts in closed form, and where it never does there are none.
    """
    stage, q = STAGES[which], orientation(seed)
    grid = np.arange(-180.05, 180.0, 0.1)
    beams = np.array([composed_beam(stage, tilt, second) for tilt in grid[[0, 1]]])
    # a tilt turns the beam about the image of the tilt axis: two positions give the whole circle
    middle = beams[0]
    axis = np.cross(beams[0], beams[1])
    turn = Rotation.from_rotvec(np.outer(grid - grid[0], axis / np.linalg.norm(axis)), degrees=True)
    g = to_sample(q, NICKEL.vector[number])
    theta = NICKEL.bragg_deg[number] + deviation
    off = np.degrees(np.arcsin(-turn.apply(middle) @ g / np.linalg.norm(g))) - theta
    crossed = grid[:-1][np.diff(np.sign(off)) != 0] + 0.05
    fixed = replace(stage, limits=((-180, 180), (second - 1e-9, second + 1e-9)))
    tilts, seconds = bragg_settings(fixed, g, NICKEL.bragg_deg[number], deviation_deg=deviation)
    np.testing.assert_allclose(seconds, second, atol=1e-6)
    found = np.unique(tilts.round(6))
    if len(found) == 2 and (found[1] - found[0]) % 360 < 0.2:
        return  # the two fall into one cell of the grid
    assert len(found) == len(crossed)
    np.testing.assert_allclose(found, crossed, atol=0.1)


def test_no_clearer_setting_is_within_reach():
    """On a grid of 0.05 deg of tilt and 1 deg of rotation, Delta changes sign where there are settings: none
    of them is clearer than the one given by more than the tilts may be off, and where there are none there
    is no row. (What is given may be clearer: it is looked for between the values of the grid as well.)
    """
    q, stage = orientation(9), Stage(limits=((-5, 20), (-90, 90)))
    tilt, second = np.meshgrid(np.arange(-5, 20.01, 0.05), np.arange(-90, 90.5, 1.0), indexing="ij")
    a, b = np.radians(tilt), np.radians(second)
    beams = np.stack([-np.sin(a) * np.sin(b), np.sin(a) * np.cos(b), np.cos(a)], axis=-1)
    off = np.degrees(np.arcsin(-beams @ to_sample(q, NICKEL.unit).T)) - NICKEL.bragg_deg
    table = settings_for(NICKEL, q, stage).set_index("g")
    for number, name in enumerate(NICKEL.names):
        met = np.diff(np.sign(off[..., number]), axis=0) != 0
        assert met.any() == (name in table.index)
        if met.any():
            others = np.abs(off[:-1][met][:, strong_others(NICKEL, number)]).min(1)
            best = (others - 1e-3 * np.abs(tilt[:-1][met])).max()
            row = table.loc[name]
            assert row["clear_deg"] - 1e-3 * abs(row["tilt_deg"]) >= best - 0.051


def test_a_double_tilt_reaches_what_only_its_second_tilt_brings_to_bragg():
    """The (-200) planes of a cube-oriented crystal stand across x: the second tilt alone puts them on Bragg,
    at 1.397 deg, whatever the first one does.
    """
    cube, stage = [1.0, 0.0, 0.0, 0.0], Stage("double-tilt", limits=((-15, 15), (-15, 15)))
    off = misses(NICKEL, cube, composed_beam(stage, 0.0, NICKEL.bragg_deg[NICKEL.number("-200")]))
    assert off[NICKEL.number("-200")] == pytest.approx(0, abs=1e-9)
    assert {"(-200)", "(200)", "(0-20)", "(020)"} <= set(settings_for(NICKEL, cube, stage)["g"])


def test_a_fixed_second_motion_has_common_settings_too():
    """A stage that only tilts: what brings a reflection of a grain to Bragg is a setting of that grain."""
    q, stage = orientation(0), Stage(limits=((-5, 20), (0, 0)))
    assert len(settings_for(NICKEL, q, stage)) > 0
    assert len(common_settings(NICKEL, q, stage)) > 0


def test_common_settings_have_a_grain():
    """A setting that is a two-beam condition of no grain is no common one."""
    assert (common_settings(NICKEL, orientation(0), Stage())["n_grains"] > 0).all()


@pytest.mark.parametrize("found", [NICKEL, TITANIUM])
@pytest.mark.parametrize("stage", STAGES[::2])
def test_common_settings_are_two_beam_conditions_in_the_grains_they_count(found, stage):
    """By hand: exactly one reflection of the strong forms within 0.3 deg in each grain named, and it is the
    one that is named; in no other grain exactly one.
    """
    q = random_quaternions(5, np.random.default_rng(10))
    table = common_settings(found, q, stage)
    assert len(table) == 10 and table["n_grains"].is_monotonic_decreasing and table["n_grains"][0] > 1
    for row in table.itertuples():
        assert stage.within(row.tilt_deg, row.second_deg)
        beam = composed_beam(stage, row.tilt_deg, row.second_deg)
        single = {}
        for grain, one in enumerate(q):
            near = (np.abs(misses(found, one, beam)) <= 0.3) & (found.family < STRONG)
            if near.sum() == 1:
                single[grain] = found.names[near.argmax()]
        assert row.grains == ", ".join(map(str, single)) and row.n_grains == len(single)
        assert row.reflections == ", ".join(single.values())


def assert_same_settings(stage, one, other, two):
    """Beams, clearance and tilts, up to sign: tilt t after rotation r is -t after r + 180."""
    assert sorted(one["g"]) == sorted(two["g"])
    two = two.set_index("g").loc[one["g"]].reset_index()
    for column in ("clear_deg", "extinction_nm"):
        np.testing.assert_allclose(two[column], one[column], atol=1e-6)
    # errors go the other way there: the second order in 0.5 deg
    np.testing.assert_allclose(two["thrown_off_deg"], one["thrown_off_deg"], atol=1e-3)
    beams = [s.beam(t["tilt_deg"], t["second_deg"]) for s, t in ((stage, one), (other, two))]
    np.testing.assert_allclose(*beams, atol=1e-9)


@pytest.mark.parametrize("found, lattice", [(NICKEL, "fcc"), (TITANIUM, "hcp")])
@REPEATED
@given(seed=st.integers(0, 10**6), copy=st.integers(0, 11))
def test_copies_of_an_orientation_diffract_alike(found, lattice, seed, copy):
    """Deviations are a permutation: of q s, those of g are those of s g; settings are the same but for
    names, -180 and 180 deg of rotation being one.
    """
    q, stage = orientation(seed), Stage()
    s = proper_group(group_of_lattice(lattice))[copy]
    other, beam = quaternion_multiply(q, s), stage.beam(8.0, 33.0)
    image = to_sample(s, found.vector)
    new = np.abs(image[:, None] - found.vector[None]).sum(-1).argmin(1)
    assert sorted(new) == list(range(len(found)))
    np.testing.assert_allclose(
        deviation_deg(found, other, beam), deviation_deg(found, q, beam)[new], atol=1e-9
    )
    names = dict(zip(found.names, (found.names[i] for i in new), strict=True))
    one, two = (settings_for(found, each, stage, step_deg=10.0) for each in (q, other))
    assert_same_settings(stage, one, stage, two.assign(g=two["g"].map(names)))


@REPEATED
@given(st.integers(0, 10**6), st.floats(-180, 180), st.booleans())
def test_a_turned_map_with_its_offset_has_the_same_settings(seed, phi, left):
    """The specimen lay turned by phi, counter-clockwise, when it was mapped: the offset is phi less or more,
    by the sense of the stage, and every setting stays.
    """
    sense = -1.0 if left else 1.0
    q, turn = orientation(seed), np.radians(phi) / 2
    turned = quaternion_multiply([np.cos(turn), 0, 0, -np.sin(turn)], q)
    stages = [Stage(second_sense=sense, offset_deg=offset) for offset in (0.0, sense * phi)]
    tables = [
        settings_for(NICKEL, each, stage, step_deg=5.0)
        for each, stage in zip((q, turned), stages, strict=True)
    ]
    assert_same_settings(stages[0], tables[0], stages[0], tables[1])
