"""ECCI: which dislocations a reflection shows, and which reflections to take."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.spatial.transform import Rotation

from cpml.crystallography import load_material
from cpml.crystallography.rotations import random_quaternions
from cpml.crystallography.slip_systems import plane_normal, systems
from cpml.errors import ParameterError
from cpml.microscopy.ecci.best_reflections import best_reflections, p_right
from cpml.microscopy.ecci.channelling import deviation_deg, settings_for
from cpml.microscopy.ecci.contrast import (
    LOG_RESIDUAL_SD,
    TEXTBOOK,
    Reading,
    burgers_of_systems,
    burgers_vectors,
    confused_pairs,
    contrast_table,
    expected_state,
    one_of_each_pair,
    recorded_probability,
    state_probability,
)
from cpml.microscopy.ecci.reflections import reflections
from cpml.microscopy.ecci.stage import Stage
from support.phases import FCC, MG, MG_RATIO

NICKEL = reflections(load_material("nickel"))
EXACT = Reading(wrong=0.0)
REPEATED = settings(max_examples=30, deadline=None, derandomize=True, database=None)
VISIBLE, WEAK, INVISIBLE = range(3)

FCC_TABLE = {
    "111": {"[110]": 1, "[101]": 1, "[011]": 1, "[1-10]": 0, "[-101]": 0, "[0-11]": 0},
    "200": {"[110]": 1, "[101]": 1, "[011]": 0, "[1-10]": 1, "[-101]": 1, "[0-11]": 0},
    "220": {"[110]": 2, "[101]": 1, "[011]": 1, "[1-10]": 0, "[-101]": 1, "[0-11]": 1},
}
BCC_TABLE = {
    "110": {"[111]": 1, "[-111]": 0, "[1-11]": 0, "[-1-11]": 1, "[100]": 1, "[010]": 1, "[001]": 0},
    "200": {"[111]": 1, "[-111]": 1, "[1-11]": 1, "[-1-11]": 1, "[100]": 2, "[010]": 0, "[001]": 0},
    "112": {"[111]": 2, "[-111]": 1, "[1-11]": 1, "[-1-11]": 0, "[100]": 1, "[010]": 1, "[001]": 2},
}
HCP_TABLE = {  # sorted |g . b| of <a>, <c>, <c+a>
    (0, 0, 0, 2): ([0, 0, 0], [2], [2] * 6),
    (1, 0, -1, 0): ([0, 1, 1], [0], [0, 0, 1, 1, 1, 1]),
    (1, 1, -2, 0): ([1, 1, 2], [0], [1, 1, 1, 1, 2, 2]),
    (1, 0, -1, 1): ([0, 1, 1], [1], [0, 0, 1, 1, 2, 2]),
}


def unit(v):
    return np.asarray(v, float) / np.linalg.norm(v)


def lines_of_plane(plane, burgers, psi_deg):
    """Line directions at angles from the Burgers vector in a cubic plane."""
    b, psi = unit(burgers), np.radians(psi_deg)
    return np.cos(psi)[..., None] * b + np.sin(psi)[..., None] * np.cross(unit(plane), b)


@pytest.mark.parametrize("lattice, table", [("fcc", FCC_TABLE), ("bcc", BCC_TABLE)])
def test_products_of_cubic_crystals_are_those_of_textbooks(lattice, table):
    """|g . b| as in the tables of textbooks on diffraction contrast (Williams & Carter 2009, ch. 26; Edington
    1976): (hu + kv + lw) / 2 of 1/2<110> and 1/2<111>, written out.
    """
    found = burgers_vectors(lattice)
    for g, row in table.items():
        product = np.abs(found.vector @ [int(i) for i in g])
        assert dict(zip(found.names, product.round(9).tolist(), strict=True)) == row


@pytest.mark.parametrize("g", HCP_TABLE)
def test_products_of_hexagonal_crystals_are_those_of_textbooks(g):
    """Partridge 1967, Metall. Rev. 12:169: 0002 extinguishes all <a>, prism reflections all <c>."""
    found = burgers_vectors("hcp", c_over_a=MG_RATIO)
    product = np.abs(found.vector @ plane_normal(g, "hcp", MG_RATIO)).round(9)
    kinds = np.array(found.kind)
    for kind, row in zip(("<a>", "<c>", "<c+a>"), HCP_TABLE[g], strict=True):
        assert sorted(product[kinds == kind]) == row


def test_basal_and_second_order_prism_tell_the_kinds_of_a_hexagonal_crystal_apart():
    found = burgers_vectors("hcp", c_over_a=MG_RATIO)
    g = [plane_normal(i, "hcp", MG_RATIO) for i in ((0, 0, 0, 2), (1, 1, -2, 0))]
    seen = np.abs(found.vector @ np.transpose(g)) > 0.5
    patterns = {
        kind: {tuple(row) for row, k in zip(seen.tolist(), found.kind, strict=True) if k == kind}
        for kind in set(found.kind)
    }
    assert patterns == {"<a>": {(False, True)}, "<c>": {(True, False)}, "<c+a>": {(True, True)}}


@pytest.mark.parametrize(
    "lattice, kinds",
    [
        ("fcc", {"1/2<110>": (6, 0.5**0.5)}),
        ("bcc", {"1/2<111>": (4, 0.75**0.5), "<100>": (3, 1.0)}),
        ("hcp", {"<a>": (3, 1.0), "<c>": (1, MG_RATIO), "<c+a>": (6, (1 + MG_RATIO**2) ** 0.5)}),
    ],
)
def test_burgers_vectors_by_number_and_length(lattice, kinds):
    """One of b and -b, in units of a."""
    found = burgers_vectors(lattice, c_over_a=MG_RATIO if lattice == "hcp" else None)
    length = np.linalg.norm(found.vector, axis=1)
    for kind, (count, size) in kinds.items():
        own = [v for v, k in zip(length, found.kind, strict=True) if k == kind]
        assert own == pytest.approx([size] * count)
    opposite = np.linalg.norm(found.vector[:, None] + found.vector[None], axis=-1)
    assert len(found) == len(set(found.names)) and opposite.min() > 0.1
    with pytest.raises(ParameterError, match="fcc"):
        burgers_vectors("bct")


@pytest.mark.parametrize(
    "own, names",
    [(FCC, 6), (systems("bcc"), 4), (MG, 9), (systems("fcc"), 6)],
    ids=["fcc", "bcc", "mg", "twins"],
)
def test_every_slip_system_has_its_burgers_vector(own, names):
    """Parallel and of its length; twins have none."""
    found, number = burgers_of_systems(own)
    assert len(found) == names and ((number < 0) == own.twin).all()
    slip = own.slip
    b = own.direction[slip] * own.burgers_length[slip][:, None]
    apart = [np.linalg.norm(found.vector[number[slip]] - sign * b, axis=1) for sign in (1, -1)]
    np.testing.assert_allclose(np.minimum(*apart), 0, atol=1e-9)


# --- the criteria


@pytest.mark.parametrize(
    "g, plane, b, psi, state",
    [
        ((1, 1, 1), (1, 1, 1), (1, -1, 0), 0, INVISIBLE),  # screw
        (
            (1, 1, 1),
            (1, 1, 1),
            (1, -1, 0),
            90,
            WEAK,
        ),  # edge of the reflecting plane: m = sqrt(3/2) / 8 = 0.153
        ((1, 1, 1), (1, 1, 1), (1, -1, 0), 31, INVISIBLE),  # m = 0.153 sin psi: 0.08 at 31.5 deg
        ((1, 1, 1), (1, 1, 1), (1, -1, 0), 32, WEAK),
        ((1, 1, 1), (1, 1, -1), (1, -1, 0), 90, INVISIBLE),  # m = 0.153 / 3 = 0.051
        ((2, 2, 0), (1, 1, 1), (1, -1, 0), 90, WEAK),
        ((1, 1, 1), (1, -1, 1), (1, 1, 0), 0, VISIBLE),
        ((1, 1, 1), (1, -1, 1), (1, 1, 0), 90, VISIBLE),
    ],
)
def test_the_criteria_by_hand(g, plane, b, psi, state):
    u = lines_of_plane(plane, b, np.array(float(psi)))
    assert expected_state(g, np.array(b) / 2, u) == state


@REPEATED
@given(st.integers(0, 10**6))
def test_a_line_along_g_with_b_across_it_is_invisible(seed):
    """g . (b x u) = 0 where u is along g; and every screw with g . b = 0."""
    rng = np.random.default_rng(seed)
    g, other = rng.standard_normal((2, 3))
    b = np.cross(g, other)
    for u in (unit(g), unit(b)):
        assert expected_state(g, b, u) == INVISIBLE
        assert state_probability(g, b, u, EXACT) == pytest.approx([0, 0, 1], abs=1e-9)


READINGS = (TEXTBOOK, EXACT, Reading(0.2, 0.02, 0.07))


@REPEATED
@given(st.integers(0, 10**6), st.sampled_from(READINGS), st.integers(0, 7))
def test_signs_and_turns_of_everything_do_not_matter(seed, reading, signs):
    """Of g, b and u each, and any rotation or mirror of the three together."""
    rng = np.random.default_rng(seed)
    vectors = burgers_vectors("fcc").vector
    g = np.array([(1, 1, 1), (2, 0, 0), (2, 2, 0)])[rng.integers(3)]
    b = vectors[rng.integers(len(vectors))]
    u = unit(rng.standard_normal(3))
    turn = Rotation.random(rng=rng).as_matrix() * rng.choice([-1, 1])
    sign = [1 - 2 * (signs >> i & 1) for i in range(3)]
    other = [s * turn @ v for s, v in zip(sign, (g, b, u), strict=True)]
    np.testing.assert_allclose(
        state_probability(*other, reading), state_probability(g, b, u, reading), atol=1e-9
    )
    m = abs(g @ np.cross(b, u)) / 8
    if abs(m - 0.08) > 1e-6:
        assert expected_state(*other) == expected_state(g, b, u)


@pytest.mark.parametrize("wrong", [0.0, 0.1, 0.3])
def test_records_of_an_expected_state_add_up(wrong):
    """Right with 1 - e, each of the others with e / 2."""
    found = recorded_probability(wrong)
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_allclose(np.diag(found), 1 - wrong)
    assert found[0, 1] == found[2, 0] == pytest.approx(wrong / 2)


@pytest.mark.parametrize("wrong", [-0.01, 2 / 3, 1.0, np.nan])
def test_shares_of_wrong_records_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ParameterError, match="wrong"):
        recorded_probability(wrong)
    with pytest.raises(ParameterError, match="wrong"):
        state_probability([1, 1, 1], [0.5, -0.5, 0], [1, 0, 0], Reading(wrong=wrong))


@REPEATED
@given(st.integers(0, 10**6), st.floats(0, 0.6), st.floats(0.005, 0.3), st.floats(1, 20))
def test_probabilities_of_states_are_some(seed, wrong, weak, ratio):
    """They add up to 1, none below e / 2 (limits in their order)."""
    rng = np.random.default_rng(seed)
    b = burgers_vectors("hcp", c_over_a=MG_RATIO).vector
    u = rng.standard_normal((len(b), 3))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    p = state_probability(
        plane_normal((1, 0, -1, 1), "hcp", MG_RATIO), b, u, Reading(wrong, weak, weak * ratio)
    )
    np.testing.assert_allclose(p.sum(1), 1)
    assert p.min() > wrong / 2 - 1e-12


def test_limits_are_where_half_of_the_lines_are_seen():
    """An edge with m = 0.1531 under 111: one half at a limit of m, Phi(1) at one spread below, and the
    textbook's 0.08 makes it weak with Phi(ln(0.1531 / 0.08) / 0.7) = Phi(0.927) = 0.823.
    """
    g, b, u = (1, 1, 1), np.array([0.5, -0.5, 0]), unit([1, 1, -2])
    m = np.sqrt(1.5) / 8
    below = m * np.exp(-LOG_RESIDUAL_SD)
    assert state_probability(g, b, u, Reading(0, m)) == pytest.approx([0, 0.5, 0.5])
    assert state_probability(g, b, u, Reading(0, below)) == pytest.approx([0, 0.8413, 0.1587], abs=1e-4)
    assert state_probability(g, b, u, Reading(0, below, m)) == pytest.approx([0.5, 0.3413, 0.1587], abs=1e-4)
    assert state_probability(g, b, u, EXACT) == pytest.approx([0, 0.823, 0.177], abs=5e-4)


def test_limits_far_away_are_the_criteria():
    """Ten spreads from its limit a line with g . b = 0 is surely on one side; with g . b it is visible
    under any.
    """
    g, b, u = (1, 1, 1), np.array([0.5, -0.5, 0]), unit([1, 1, -2])
    far = np.exp(10 * LOG_RESIDUAL_SD)
    m = np.sqrt(1.5) / 8
    assert state_probability(g, b, u, Reading(0, m / far)) == pytest.approx([0, 1, 0], abs=1e-9)
    assert state_probability(g, b, u, Reading(0, m * far)) == pytest.approx([0, 0, 1], abs=1e-9)
    assert state_probability(g, b, u, Reading(0, m / far**2, m / far)) == pytest.approx([1, 0, 0], abs=1e-9)
    for reading in READINGS:
        p = state_probability(g, [0.5, 0.5, 0], u, reading)
        assert p == pytest.approx([1 - reading.wrong, reading.wrong / 2, reading.wrong / 2])


def test_the_table_of_contrast():
    """All reflections of the two strongest forms, one of g and -g, and all systems; the products are
    those of the textbook, screws are never weak, and what is recorded goes with what is expected.
    """
    table = contrast_table(NICKEL, FCC, wrong=0.2)
    assert table["g"].nunique() == 4 + 3 and len(table) == 7 * 12
    own = contrast_table(NICKEL, FCC, names=list(FCC_TABLE), wrong=0.2)
    for row in own.itertuples():
        assert abs(row.gb) == FCC_TABLE[row.g][row.burgers]
        assert row.screw == ("visible" if row.gb else "invisible")
        assert (row.edge == "visible") == (row.gb != 0)
    p = {"visible": 0.9, "weak": 0.9, "invisible": 0.2}  # 1 - e / 2, and e
    assert own["p_screw"].tolist() == pytest.approx(own["screw"].map(p).tolist())
    assert own["p_edge"].tolist() == pytest.approx(own["edge"].map(p).tolist())
    # 111: m = 0.153 on its own plane, 0.051 on those across; 220: 2.83 x 0.71 x 0.82 / 8 = 0.2
    edges = own[own["gb"] == 0].groupby(["g", "edge"]).size().to_dict()
    assert edges == {("111", "invisible"): 3, ("111", "weak"): 3, ("200", "weak"): 4, ("220", "weak"): 2}


def test_one_of_each_pair_is_kept():
    kept = one_of_each_pair(NICKEL, range(len(NICKEL)))
    vectors = NICKEL.vector[kept]
    assert len(kept) == len(NICKEL) / 2
    assert np.linalg.norm(vectors[:, None] + vectors[None], axis=-1).min() > 0.1


@pytest.mark.parametrize(
    "names, pairs",
    [
        (["111"], 6),  # three extinct and three seen
        (["220"], 10),  # one extinct of six
        (["220", "202", "022"], 3),  # each has one for itself, three are never extinct
        (["111", "-111", "1-11"], 0),
        (["111", "222"], 6),
    ],
)
def test_confused_pairs_of_an_fcc_crystal_by_hand(names, pairs):
    indices = {
        n: i for n, i in zip(["111", "-111", "1-11"], [(1, 1, 1), (-1, 1, 1), (1, -1, 1)], strict=True)
    }
    indices |= {n: tuple(map(int, n)) for n in ("220", "202", "022", "222")}
    gb = np.array([indices[n] for n in names]) @ burgers_vectors("fcc").vector.T
    assert confused_pairs(gb) == pairs


# --- the best reflections


@pytest.mark.parametrize("name", ["111", "200", "220"])
def test_one_reflection_without_errors_is_right_of_two_in_six(name):
    """Seen or not seen: one of each group is guessed, whatever the sizes of the groups."""
    assert p_right(NICKEL, FCC, [name], EXACT) == pytest.approx(2 / 6)


def test_reflections_that_tell_all_apart_are_right_but_for_wrong_records():
    """Three {111} give all six Burgers vectors of fcc a pattern of their own: P = 1 without errors, and at
    least (1 - e)^3 with; where records say nothing P is that of a guess.
    """
    names = ["111", "-111", "1-11"]
    assert p_right(NICKEL, FCC, names, EXACT) == pytest.approx(1)
    for wrong in (0.001, 0.05, 0.2):
        assert (1 - wrong) ** 3 <= p_right(NICKEL, FCC, names, Reading(wrong)) < 1
    assert p_right(NICKEL, FCC, names, Reading(2 / 3 - 1e-9)) == pytest.approx(1 / 6, abs=1e-6)


@pytest.mark.parametrize("own, name", [(FCC, "nickel"), (MG.subset(MG.slip), "magnesium")])
def test_a_further_reflection_never_harms(own, name):
    """P does not fall, and g beside -g is as good as g twice."""
    found, rng = reflections(load_material(name)), np.random.default_rng(0)
    gains = []
    for _ in range(5):
        names = [found.names[i] for i in rng.choice(30 if name != "nickel" else 26, 3, replace=False)]
        p = [p_right(found, own, names[:n]) for n in (1, 2, 3)]
        gains += list(np.diff(p))
    assert min(gains) > -1e-12 and max(gains) > 0.02
    twin = [found.names[int(np.linalg.norm(found.vector + found.vector[0], axis=1).argmin())], found.names[0]]
    assert p_right(found, own, twin) == pytest.approx(p_right(found, own, [twin[1]] * 2))


def test_p_right_is_the_share_of_a_simulated_experiment():
    """100,000 lines to learn from which Burgers vector each pattern means, 100,000 to count how often that
    is right: standard error 0.0016; 0.008 is five of these.
    """
    names, wrong = ((1, 1, 1), (2, 0, 0), (2, -2, 0)), 0.1
    rng, n = np.random.default_rng(1), 200_000
    b = np.array([(1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1)]) / 2
    planes = np.array([(1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1)]) / 3**0.5
    holds = [np.flatnonzero(np.abs(planes @ v) < 1e-9) for v in b]
    which = rng.integers(6, size=n)
    normal = planes[np.array(holds)[which, rng.integers(2, size=n)]]
    psi = rng.uniform(0, np.pi, n)[:, None]
    direction = b[which] * 2**0.5
    u = np.cos(psi) * direction + np.sin(psi) * np.cross(normal, direction)
    pattern = np.zeros(n, int)
    for g in np.array(names):
        m = np.abs(np.cross(b[which], u) @ g) / 8
        weak = np.log(np.maximum(m, 1e-9) / 0.08) + 0.7 * rng.standard_normal(n) > 0
        state = np.where(np.abs(b[which] @ g) > 0.1, VISIBLE, np.where(weak, WEAK, INVISIBLE))
        state = np.where(rng.uniform(size=n) < wrong, (state + rng.integers(1, 3, n)) % 3, state)
        pattern = 3 * pattern + state
    half = n // 2
    counts = np.zeros((27, 6))
    np.add.at(counts, (pattern[:half], which[:half]), 1)
    share = np.mean(counts.argmax(1)[pattern[half:]] == which[half:])
    assert p_right(NICKEL, FCC, ["111", "200", "2-20"]) == pytest.approx(share, abs=0.008)


def test_the_best_sets_are_within_reach_and_none_is_better():
    """Reflections that the stage sets up with 1 deg to spare; P by all sets tried; their settings, as
    printed, are on Bragg but for rounding to 0.05 deg of tilt.
    """
    q, stage = random_quaternions(1, np.random.default_rng(2))[0], Stage()
    reach = settings_for(NICKEL, q, stage)
    names = list(reach["g"][reach["clear_deg"] >= 1])
    table = best_reflections(NICKEL, FCC, q, stage, sizes=(1, 2))
    assert table["n"].tolist() == [1] * 3 + [2] * 3
    for n, part in table.groupby("n"):
        every = {pair: p_right(NICKEL, FCC, pair) for pair in combinations(names, n)}
        assert part["p_right"].max() == part["p_right"].iloc[0] == pytest.approx(max(every.values()))
        for row in part.itertuples():
            chosen = row.reflections.split()
            assert len(chosen) == n and set(chosen) <= set(names)
            assert row.p_right == pytest.approx(p_right(NICKEL, FCC, chosen))
            g = NICKEL.vector[[NICKEL.names.index(c) for c in chosen]]
            assert row.confused == confused_pairs(g @ burgers_vectors("fcc").vector.T)
            for one, setting in zip(chosen, row.settings.split(", "), strict=True):
                off = deviation_deg(NICKEL, q, stage.beam(*map(float, setting.split(" / "))))
                assert abs(off[NICKEL.names.index(one)]) < 0.051


def test_no_reach_no_set_and_no_name_no_number():
    still = Stage(limits=((0, 0), (0, 0)))
    none = best_reflections(NICKEL, FCC, random_quaternions(1, np.random.default_rng(3))[0], still)
    assert none.empty and list(none.columns) == ["n", "reflections", "p_right", "confused", "settings"]
    with pytest.raises(ParameterError, match="at least one"):
        p_right(NICKEL, FCC, [])
    with pytest.raises(ParameterError, match="does not diffract"):
        p_right(NICKEL, FCC, ["100"])
