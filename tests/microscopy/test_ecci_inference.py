"""ECCI: from records to Burgers vectors, climb, cross-slip and label rows."""

import math
from dataclasses import replace
from functools import cache
from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.stats import norm

from cpml.crystallography import load_material
from cpml.crystallography.rotations import quaternion_multiply, random_quaternions
from cpml.crystallography.symmetry import group_of_lattice, proper_group
from cpml.microscopy.ecci.calls import call_lines, gliding_lines
from cpml.microscopy.ecci.contrast import STATES, Reading, expected_state
from cpml.microscopy.ecci.evidence import ROWS, USUAL, Settings, segment_evidence, segments_of
from cpml.microscopy.ecci.hypotheses import Lines, Modes
from cpml.microscopy.ecci.label_lines import bayes_factor, ecci_labels, likelihood_ratio, weight_of
from cpml.microscopy.ecci.pooling import CONCENTRATIONS, pooled_prior
from cpml.microscopy.ecci.posterior import CHANGES, LinePosterior, chained, infer_lines, likeliest
from cpml.microscopy.ecci.reading import LEAST, learn_reading
from cpml.microscopy.ecci.reflections import reflections
from cpml.microscopy.ecci.stage import Stage
from cpml.microscopy.labels.user import known_targets
from cpml.models.coupled.reports import ReportRates, report_probability
from cpml.virtual.ecci.lines import Session, simulate_lines
from support.phases import FCC, magnesium

NICKEL, MAGNESIUM = reflections(load_material("nickel")), reflections(load_material("magnesium"))
BASAL, HEX = magnesium("basal"), magnesium("basal", "prismatic", "pyramidal2_ca")
SETS = {"fcc": ("111", "-111", "1-11", "200"), "hcp": ("0002", "11-20", "-2110", "10-11")}
USUAL_SESSION, EXACT = Session(), Session(wrong=0.0)
UNSEEN = {"angle_deg": np.nan, "length_um": np.nan, "seen": ""}


def of_crystal(lattice):
    return (FCC, NICKEL) if lattice == "fcc" else (HEX, MAGNESIUM)


def oriented(*quaternions):
    table = pd.DataFrame(np.array(quaternions, float), columns=["qw", "qx", "qy", "qz"])
    return table.assign(grain_id=range(1, len(table) + 1))


def records(*rows):
    """Records with the usual entries where a row says nothing else."""
    usual = {"segment": 1, "grain_id": 1, "sigma_deg": 3.0, "g": "111", "weight": 1.0, **UNSEEN}
    beam = {"beam_x": 0.0, "beam_y": 0.0, "beam_z": 1.0}
    return pd.DataFrame([{"line": 1, **usual, **beam, **row} for row in rows])[list(ROWS)]


def conditions(lattice, grains, seed):
    """All grains under the reflections of SETS, at 8 deg of tilt and any rotation."""
    rng = np.random.default_rng(seed)
    return {
        k: [(g, Stage().beam(8.0, rng.uniform(0, 360))) for g in SETS[lattice]] for k in grains["grain_id"]
    }


@cache
def simulated(lattice, seed, n_grains=8, per_grain=20, session=USUAL_SESSION, state=expected_state):
    """Orientations, records, truth of grains of random orientations."""
    own, found = of_crystal(lattice)
    grains = oriented(*random_quaternions(n_grains, np.random.default_rng(seed)))
    looked = conditions(lattice, grains, seed)
    told = simulate_lines(
        own, grains, looked, found, per_grain=per_grain, session=session, state=state, seed=seed
    )
    return grains, *told


def truth_of(truth, lines):
    return truth.drop_duplicates("line").set_index("line").loc[lines["line"]]


# --- hypotheses


@pytest.mark.parametrize("own", [FCC, HEX, BASAL], ids=["fcc", "hcp", "basal"])
def test_lines_lie_in_their_planes_or_off_all_planes_of_their_burgers_vector(own):
    """Gliding ones at 180 equal characters; climbed ones 10 deg and more off, of weights that add up to 1;
    in the sample as scipy turns them; a climbed share of 5 % of each Burgers vector, all of these equal.
    """
    modes, q = Modes.of(own), random_quaternions(1, np.random.default_rng(0))[0]
    lines = Lines.of(modes, q)
    np.testing.assert_allclose(
        lines.in_sample, Rotation.from_quat(np.roll(q, -1)).apply(lines.direction), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.norm(lines.direction, axis=1), 1)
    for m, (system, k) in enumerate(zip(modes.system, modes.burgers_of, strict=True)):
        mine = lines.mode == m
        b = modes.burgers.vector[k] / np.linalg.norm(modes.burgers.vector[k])
        u = lines.direction[mine]
        character = np.degrees(np.arccos(np.minimum(np.abs(u @ b), 1)))
        np.testing.assert_allclose(lines.character_deg[mine], character, atol=1e-6)
        assert np.exp(lines.log_prior[mine]).sum() == pytest.approx(1)
        if system >= 0:
            np.testing.assert_allclose(u @ own.plane[system], 0, atol=1e-12)
            assert np.sort(character) == pytest.approx(np.repeat(np.arange(0.5, 90), 2), abs=1e-5)
            assert np.ptp(lines.log_prior[mine]) < 1e-12
        else:
            planes = own.plane[
                [s for s, j in zip(modes.system, modes.burgers_of, strict=True) if s >= 0 and j == k]
            ]
            assert np.abs(u @ planes.T).min() > np.sin(np.radians(10))
    share = np.bincount(modes.burgers_of, modes.prior)
    np.testing.assert_allclose(share, 1 / len(share))
    climbs = np.bincount(modes.burgers_of[modes.system < 0], modes.prior[modes.system < 0], len(share))
    np.testing.assert_allclose(climbs, 0.05 * share)


# --- evidence


def plain_sum(row_list, modes, lines, found, settings, depth):
    """log of sum_u p(u | m) p(L | u) prod p(theta | u) prod P(state)^w of one segment, one line at a time,
    and of the probability to be recorded.
    """
    evidence, recorded = np.zeros(len(modes)), np.zeros(len(modes))
    rates = settings.reading
    for i, m in enumerate(lines.mode):
        u, v = lines.in_sample[i], lines.direction[i]
        b = modes.burgers.vector[modes.burgers_of[m]]
        met = math.exp(lines.log_prior[i]) * (1 + 0.5 / depth * abs(u[2]))
        p, unseen = met, 1.0
        for row in row_list:
            g = found.vector[found.names.index(row["name"])]
            if abs(g @ b) > 0.05:
                expected = [1.0, 0.0, 0.0]
            else:
                m_ = max(abs(g @ np.cross(b, v)) / 8, 1e-9)
                weak = 0.5 * math.erfc(-math.log(m_ / rates.weak_limit) / 0.7 / math.sqrt(2))
                expected = [0.0, weak, 1 - weak]
            state = [e * (1 - rates.wrong) + (1 - e) * rates.wrong / 2 for e in expected]
            p *= state[STATES.index(row["seen"])] ** row["weight"]
            unseen *= state[2]
            if np.isfinite(row["angle_deg"]):
                k = np.array([row["beam_x"], row["beam_y"], row["beam_z"]])
                on = u - u[2] / k[2] * k
                theta = math.degrees(math.atan2(-on[1], on[0]))
                off = (row["angle_deg"] - theta + 90) % 180 - 90
                p *= 0.98 * norm.pdf(off, 0, row["sigma_deg"]) + 0.02 / 180
                size, length = math.log(np.linalg.norm(on)), math.log(row["length_um"])
                own = norm(math.log(0.5) + size, 1.0)
                shown = norm(math.log(depth) + size - math.log(max(abs(u[2]), 1e-6)), 0.5)
                density = own.pdf(length) * shown.sf(length) + shown.pdf(length) * own.sf(length)
                p *= max(density, 1e-3)
        flat = math.log(max(np.hypot(u[0], u[1]), 1e-6))
        longer = norm.sf(math.log(0.05), math.log(0.5) + flat, 1.0)
        longer *= norm.sf(math.log(0.05), math.log(depth) + flat - math.log(max(abs(u[2]), 1e-6)), 0.5)
        evidence[m] += p
        recorded[m] += met * (1 - unseen) * longer
    return np.log(evidence), np.log(recorded)


def test_the_evidence_of_a_segment_is_a_sum_over_all_lines():
    """Of basal slip and its climb, under three reflections, one of them with a share of the length, drawn
    under an inclined beam.
    """
    q, modes = random_quaternions(1, np.random.default_rng(3))[0], Modes.of(BASAL)
    beam = dict(zip(("beam_x", "beam_y", "beam_z"), Stage().beam(12.0, 40.0), strict=True))
    rows = records(
        {"g": "11-20", "seen": "visible", "angle_deg": 33.0, "length_um": 0.4, **beam},
        {"g": "0002", "seen": "weak", "weight": 0.3},
        {"g": "-2110", "seen": "invisible"},
    )
    using = Settings(reading=Reading(0.15, 0.05), depth_um=0.12)
    lines = Lines.of(modes, q)
    found = segment_evidence(rows, segments_of(rows), lines, MAGNESIUM, using)
    names = {"11-20": "(11-20)", "0002": "(0002)", "-2110": "(-2110)"}
    told = rows.assign(name=rows["g"].map(names)).to_dict("records")
    expected, recorded = plain_sum(told, modes, lines, MAGNESIUM, using, 0.12)
    np.testing.assert_allclose(found.log[0], expected, atol=1e-6)
    np.testing.assert_allclose(found.log_recorded[0], recorded, atol=1e-6)


def evidence_of(rows, q=(1, 0, 0, 0), own=FCC, found=NICKEL):
    return segment_evidence(
        rows, segments_of(rows), Lines.of(Modes.of(own), np.array(q, float)), found, USUAL
    )


def test_angles_are_those_of_lines_without_ends():
    """Half a turn changes nothing; 0.1 and 179.9 deg are neighbours, as far apart as 10.1 and 9.9."""
    q = random_quaternions(1, np.random.default_rng(4))[0]
    at = {
        a: evidence_of(records({"angle_deg": a, "length_um": 0.3}), q).log for a in (0.1, 180.1, 179.9, 90.1)
    }
    np.testing.assert_allclose(at[180.1], at[0.1], atol=1e-9)
    # log density of a line of sigma = 3 deg changes by less than 1 a degree where a stray line takes over
    assert np.abs(at[179.9] - at[0.1]).max() < 0.2 < np.abs(at[90.1] - at[0.1]).max()


def test_one_drawing_copied_to_several_pictures_counts_once():
    """Angle and length of a line are one measurement where all rows have the same; other numbers are more."""
    q = random_quaternions(1, np.random.default_rng(5))[0]
    drawn = {"angle_deg": 20.0, "length_um": 0.3}
    seen = [{"g": "111", "seen": "visible"}, {"g": "200", "seen": "weak"}]
    once = evidence_of(records(seen[0] | drawn, seen[1]), q).log
    copied = evidence_of(records(seen[0] | drawn, seen[1] | drawn), q).log
    again = evidence_of(records(seen[0] | drawn, seen[1] | drawn | {"angle_deg": 20.5}), q).log
    np.testing.assert_allclose(copied, once, atol=1e-9)
    assert np.abs(again - once).max() > 0.5


def test_a_state_of_a_whole_polyline_counts_once_by_its_shares():
    """Two segments with the same state at weights 0.25 and 0.75, of one mode throughout, are as good as one
    segment that was seen so: without angles the posteriors of b are equal. Bends are not allowed here, and
    a direction is as open as before.
    """
    whole = records({"seen": "invisible"}, {"seen": "visible", "g": "200"})
    shares = [
        row | {"segment": s, "weight": w}
        for s, w in ((1, 0.25), (2, 0.75))
        for row in ({"seen": "invisible"}, {"seen": "visible", "g": "200"})
    ]
    own = replace(USUAL, climbed=0.0, reading=Reading(0.1, 1e-9))  # all lines of one b look alike: no sums
    grain = oriented([1, 0, 0, 0])
    one, two = (
        infer_lines(r, grain, FCC, NICKEL, settings=own).burgers["p"] for r in (whole, records(*shares))
    )
    double = records(*({**row, "weight": 1.0} for row in shares))
    harder = infer_lines(double, grain, FCC, NICKEL, settings=own).burgers["p"]
    # met more often or less: the layer is met by either segment alone, which is the factor between both
    met = infer_lines(records({}, {"segment": 2}), grain, FCC, NICKEL, settings=own).burgers["p"]
    single = infer_lines(records({}), grain, FCC, NICKEL, settings=own).burgers["p"]
    np.testing.assert_allclose(two / met / (two / met).sum(), one / single / (one / single).sum(), atol=1e-9)
    assert harder.min() < 0.2 * two.min()


# --- posterior


def enumerated(log, modes, prior, bends):
    """Marginals, changes and the evidence of the first mode by all sequences of modes."""
    n, m = log.shape
    of = modes.burgers_of
    within = np.array(
        [
            [modes.prior[j] / modes.prior[of == of[i]].sum() * (of[i] == of[j]) for j in range(m)]
            for i in range(m)
        ]
    )
    marginal, change, whole = np.zeros((n, m)), np.zeros((m, m)), np.zeros(m)
    for chain in product(range(m), repeat=n):
        p = math.exp(sum(log[i, k] for i, k in enumerate(chain)))
        for a, b in pairwise(chain):
            p *= (1 - bends) * (a == b) + bends * within[a, b]
        if not p:
            continue
        whole[chain[0]] += p
        p *= prior[chain[0]]
        for i, k in enumerate(chain):
            marginal[i, k] += p
        for a, b in pairwise(chain):
            change[a, b] += p * (a != b)
    return marginal / marginal[0].sum(), change / marginal[0].sum(), whole


def test_sums_over_sequences_of_modes_are_exact():
    """Lines of 1, 2, 3, 2 segments and random evidence, priors of their own, against all sequences."""
    modes = Modes.of(magnesium("basal", "prismatic"))
    rng, size = np.random.default_rng(6), np.array([1, 2, 3, 2])
    first = np.r_[0, np.cumsum(size)[:-1]]
    log = 3 * rng.standard_normal((8, len(modes)))
    prior = rng.dirichlet(np.ones(len(modes)), 4)
    for own in (prior, 7 * prior):  # of any scale
        marginal, change, whole = chained(log, first, size, modes, own, 0.3)
        for r in range(4):
            rows = slice(first[r], first[r] + size[r])
            expected = enumerated(log[rows], modes, prior[r], 0.3)
            np.testing.assert_allclose(marginal[rows], expected[0], atol=1e-9)
            np.testing.assert_allclose(change[r], expected[1], atol=1e-9)
            np.testing.assert_allclose(whole[r] / whole[r].sum(), expected[2] / expected[2].sum(), atol=1e-9)
    shared = chained(log, first, size, modes, modes.prior, 0.3)[0]
    np.testing.assert_allclose(
        shared[first[2] : first[2] + 3],
        enumerated(log[first[2] : first[2] + 3], modes, modes.prior, 0.3)[0],
        atol=1e-9,
    )


def test_segments_of_one_line_have_one_burgers_vector():
    """All segments give the same probabilities of b, whatever each says by itself; and no bend leaves a mode
    where none is allowed.
    """
    modes, rng = Modes.of(FCC), np.random.default_rng(7)
    log = 2 * rng.standard_normal((4, len(modes)))
    burgers = np.eye(6)[modes.burgers_of]
    marginal = chained(log, [0], [4], modes, modes.prior, 0.2)[0] @ burgers
    np.testing.assert_allclose(marginal, np.tile(marginal[0], (4, 1)), atol=1e-12)
    straight, change, _ = chained(log, [0], [4], modes, modes.prior, 0.0)
    total = np.exp(log.sum(0)) * modes.prior
    np.testing.assert_allclose(straight, np.tile(total / total.sum(), (4, 1)), atol=1e-12)
    assert not change.any()


def test_lines_of_which_nothing_is_known_are_as_often_as_the_layer_meets_them():
    """Posterior = prior but for the chance to be met, ~ D + l |u_z| (hypotheses): b of basal slip stay equal,
    and of a basal plane in the surface, |u_z| = 0, climb gains its mean 1 + 5 |u_z|.
    """
    rows = records({"g": "0002"})
    found = infer_lines(rows, oriented([1, 0, 0, 0]), BASAL, MAGNESIUM)
    np.testing.assert_allclose(found.burgers["p"], 1 / 3, atol=1e-9)
    # directions more than 10 deg off the surface: the mean of |u_z| over them is (1 + sin 10 deg) / 2
    gain = 1 + 5 * (1 + np.sin(np.radians(10))) / 2
    expected = 0.05 * gain / (0.05 * gain + 0.95)
    assert found.lines["p_climb"][0] == pytest.approx(expected, rel=0.02)  # 10 steps of inclination
    assert found.lines["prior_climb"][0] == pytest.approx(found.lines["p_climb"][0])  # nothing was learned


@pytest.mark.parametrize("lattice, copy", [("fcc", 5), ("fcc", 17), ("hcp", 4), ("hcp", 9)])
def test_copies_of_an_orientation_give_the_same_burgers_vectors(lattice, copy):
    """With the reflections renamed to their copies: p of a Burgers vector b is that of its copy."""
    own, found = of_crystal(lattice)
    s = proper_group(group_of_lattice(lattice))[copy]
    back = Rotation.from_quat(np.roll(s, -1)).inv()
    grains, rows, _ = simulated(lattice, 0, 2, 6)
    q = grains[["qw", "qx", "qy", "qz"]].to_numpy()
    image = back.apply(found.vector)
    new = dict(zip(found.names, np.abs(image[:, None] - found.vector).sum(-1).argmin(1), strict=True))
    renamed = rows.assign(g=[found.names[new[found.names[found.number(g)]]] for g in rows["g"]])
    one = infer_lines(rows, grains, own, found)
    two = infer_lines(renamed, oriented(*(quaternion_multiply(v, s) for v in q)), own, found)
    modes = Modes.of(own)
    vectors = modes.burgers.vector
    turned = back.apply(vectors)
    apart = np.minimum(*(np.linalg.norm(turned[:, None] - sign * vectors, axis=-1) for sign in (1, -1)))
    assert apart.min(1).max() < 1e-9 and (copy == 0 or (apart.argmin(1) != range(len(vectors))).any())
    p, p_copy = (t.burgers["p"].to_numpy().reshape(-1, len(vectors)) for t in (one, two))
    np.testing.assert_allclose(p_copy[:, apart.argmin(1)], p, atol=1e-6)
    np.testing.assert_allclose(two.lines["p_climb"], one.lines["p_climb"], atol=1e-6)
    np.testing.assert_allclose(two.lines["character_deg"], one.lines["character_deg"], atol=1e-3)


@pytest.mark.parametrize("lattice", ["fcc", "hcp"])
def test_a_specimen_turned_by_half_a_turn_gives_the_same(lattice):
    """About its normal, beams with it: lines keep their angles."""
    own, found = of_crystal(lattice)
    grains, rows, _ = simulated(lattice, 0, 2, 6)
    half = [quaternion_multiply([0, 0, 0, 1], v) for v in grains[["qw", "qx", "qy", "qz"]].to_numpy()]
    other = rows.assign(beam_x=-rows["beam_x"], beam_y=-rows["beam_y"])
    one, two = infer_lines(rows, grains, own, found), infer_lines(other, oriented(*half), own, found)
    for name, table in vars(one).items():
        numbers = table.select_dtypes("number").columns
        np.testing.assert_allclose(getattr(two, name)[numbers], table[numbers], atol=1e-6)
    assert one.lines["burgers"].tolist() == two.lines["burgers"].tolist()


def test_the_order_of_rows_and_other_lines_do_not_matter():
    grains, rows, _ = simulated("fcc", 1, 2, 6)
    one = infer_lines(rows, grains, FCC, NICKEL).burgers
    mixed = infer_lines(rows.sample(frac=1, random_state=0), grains, FCC, NICKEL).burgers
    alone = infer_lines(rows[rows["line"] == 3], grains, FCC, NICKEL).burgers
    np.testing.assert_allclose(mixed["p"], one["p"], atol=1e-9)
    np.testing.assert_allclose(alone["p"], one["p"][one["line"] == 3], atol=1e-9)


def test_records_that_are_never_wrong_leave_no_doubt():
    """Four reflections that give every Burgers vector of fcc a pattern of its own (`test_ecci_contrast`)."""
    grains, rows, truth = simulated("fcc", 2, 4, 10, EXACT)
    lines = infer_lines(rows, grains, FCC, NICKEL, settings=Settings(reading=Reading(wrong=0.001))).lines
    assert (lines["burgers"].to_numpy() == truth_of(truth, lines)["burgers"].to_numpy()).all()
    assert lines["p_burgers"].min() > 0.98 and (lines["in_set"] == lines["burgers"]).all()


@pytest.mark.parametrize("seed", range(3))
def test_simulated_lines_are_found(seed):
    """160 lines with 10 % of wrong records; a guess is right for one in six. About 0.9 are right, standard
    error 0.025; 90 % sets hold more, as their last member is always taken.
    """
    grains, rows, truth = simulated("fcc", seed)
    lines = infer_lines(rows, grains, FCC, NICKEL).lines
    known = truth_of(truth, lines)["burgers"].to_numpy()
    right = lines["burgers"].to_numpy() == known
    assert right.mean() > 0.78
    assert np.mean([b in s.split() for b, s in zip(known, lines["in_set"], strict=True)]) > 0.85
    # what it claims is what happens: four standard errors
    assert lines["p_burgers"].mean() == pytest.approx(right.mean(), abs=0.1)


def test_screws_and_edges_are_told_by_their_angles():
    """Screws only, then edges only: mean characters are far apart, on the right sides."""
    means = []
    for screws, edges in ((1.0, 0.0), (0.0, 1.0)):
        session = Session(wrong=0.0, sigma_deg=1.0, screws=screws, edges=edges)
        grains, rows, _ = simulated("fcc", 3, 4, 10, session)
        lines = infer_lines(rows, grains, FCC, NICKEL).lines
        means.append(lines["character_deg"].mean())
        assert (
            lines["p_screw" if screws else "p_edge"] > lines["p_edge" if screws else "p_screw"]
        ).mean() > 0.7
    assert means[0] < 40 and means[1] > 60


def test_tables_are_consistent():
    """Probabilities of b and of modes add up to 1; those of b are sums over their modes; changes of
    straight lines have no rows.
    """
    grains, rows, _ = simulated("hcp", 4, 3, 8, Session(bent=0.5))
    found = infer_lines(rows, grains, HEX, MAGNESIUM)
    np.testing.assert_allclose(found.burgers.groupby("line")["p"].sum(), 1)
    np.testing.assert_allclose(found.modes.groupby(["line", "segment"])["p"].sum(), 1)
    np.testing.assert_allclose(found.modes.groupby(["line", "segment"])["prior"].sum(), 1)
    summed = found.modes[found.modes["segment"] == 1].groupby(["line", "burgers"])["p"].sum()
    own = found.burgers.set_index(["line", "burgers"])["p"]
    np.testing.assert_allclose(summed.loc[own.index], own, atol=1e-9)
    bent = found.lines["line"][found.lines["n_segments"] > 1]
    assert 0 < len(bent) < len(found.lines) and set(found.changes["line"]) == set(bent)
    assert found.lines["n_seen"].tolist() == rows.groupby("line").size().tolist()
    with_pairs = found.changes.groupby("line")["p"].sum()
    slips = found.lines.set_index("line").loc[with_pairs.index, "p_cross_slip"]
    np.testing.assert_allclose(np.minimum(with_pairs, 1), slips, atol=1e-9)


@pytest.mark.parametrize(
    "p, level, found",
    [
        ([0.2, 0.75, 0.05], 0.9, [1, 0]),
        ([0.9, 0.1], 0.9, [0]),
        ([0.5, 0.5], 0.9, [0, 1]),
        ([0.3, 0.7], 0.5, [1]),
    ],
)
def test_the_smallest_sets_that_hold_enough(p, level, found):
    assert likeliest(np.array(p), level).tolist() == found


# --- pooling


def test_lines_that_say_nothing_leave_the_prior_on_average():
    """Mean over 200 samplings of 4 lines; one has a spread of some 0.05, so 0.015 is four errors."""
    prior = np.array([0.5, 0.3, 0.2])
    found = [pooled_prior(np.ones((4, 3)), prior, seed=seed) for seed in range(200)]
    share = np.mean([f / f.sum(1, keepdims=True) for f in found], axis=0)
    np.testing.assert_allclose(share, np.tile(prior, (4, 1)), atol=0.015)


def test_pooled_posteriors_are_those_of_all_assignments():
    """Three lines, three modes, the concentration among its grid: every assignment by its probability, in
    closed form. Mean over 60 samplings, spread of one about 0.015.
    """
    prior = np.array([0.5, 0.3, 0.2])
    evidence = np.array([[1.0, 0.1, 0.3], [0.8, 1.0, 0.1], [0.2, 0.9, 1.0]])
    exact = np.zeros((3, 3))
    for modes in product(range(3), repeat=3):
        n = np.bincount(modes, minlength=3)
        told = math.prod(evidence[r, m] for r, m in enumerate(modes))
        weight = 0.0
        for a in CONCENTRATIONS:
            rising = math.prod(math.prod(a * prior[m] + i for i in range(n[m])) for m in range(3))
            weight += rising / math.prod(a + i for i in range(3))
        for r, m in enumerate(modes):
            exact[r, m] += told * weight
    exact /= exact.sum(1, keepdims=True)
    found = [evidence * pooled_prior(evidence, prior, seed=seed) for seed in range(60)]
    share = np.mean([f / f.sum(1, keepdims=True) for f in found], axis=0)
    np.testing.assert_allclose(share, exact, atol=0.01)
    alone = evidence * prior
    assert np.abs(exact - alone / alone.sum(1, keepdims=True)).max() > 0.03  # pooling matters here


def test_the_scale_of_evidence_does_not_matter_to_pooling():
    rng = np.random.default_rng(8)
    evidence, prior = rng.random((20, 5)), rng.dirichlet(np.ones(5))
    scale = 2.0 ** rng.integers(-40, 40, (20, 1))
    share = [
        f / f.sum(1, keepdims=True) for f in (pooled_prior(e, prior) for e in (evidence, scale * evidence))
    ]
    np.testing.assert_allclose(*share, rtol=1e-9)


def test_pooled_lines_of_a_grain_help_each_other():
    """All lines of a grain have one Burgers vector: in 8 grains the mean probability of it rises."""
    only = np.abs(FCC.direction @ FCC.direction[0]) > 0.999
    grains = oriented(*random_quaternions(8, np.random.default_rng(9)))
    rows, truth = simulate_lines(
        FCC, grains, conditions("fcc", grains, 9), NICKEL, per_grain=12, shares=only, seed=9
    )
    right = []
    for pooled in (False, True):
        table = infer_lines(rows, grains, FCC, NICKEL, settings=Settings(pooled=pooled)).burgers
        right.append(table["p"][table["burgers"] == truth["burgers"][0]].mean())
    assert truth["burgers"].nunique() == 1 and right[1] > right[0] + 0.02


# --- how pictures were read


def shown_from(weak, visible):
    """States with other limits of m, sharp."""

    def state(g, b, u):
        m = np.abs((g * np.cross(b, u)).sum(-1)) / 8
        residual = np.where(m >= visible, 0, np.where(m >= weak, 1, 2))
        return np.where(np.abs((g * b).sum(-1)) > 0.05, 0, residual)

    return state


SEES_MORE = shown_from(0.02, 0.07)


def test_the_textbook_is_found_in_records_that_follow_it():
    """No residual contrast is taken for visible, and lines below m = 0.04 are not seen."""
    grains, rows, _ = simulated("fcc", 5, 3, 25)
    reading, table = learn_reading(rows, grains, FCC, NICKEL)
    assert reading.visible_limit == np.inf and reading.weak_limit >= 0.04
    assert 0.03 <= reading.wrong <= 0.15  # 10 % of 300 records: 7 to 13 % at two standard errors
    assert (table["weak_limit"] <= table["visible_limit"]).all()


def test_the_textbook_stays_where_others_explain_little_more():
    """Of 32 lines: some other reading is better, by less than 3 nats."""
    grains, rows, _ = simulated("fcc", 5, 2, 16)
    reading, table = learn_reading(rows, grains, FCC, NICKEL)
    assert 0 < table["log_evidence"].max() - table["log_evidence"][0] < 3
    assert reading == Reading()


def test_a_reader_who_sees_more_is_found_out():
    """Residual contrast from 0.02 on, and taken for visible from 0.07 on."""
    grains, rows, _ = simulated("fcc", 5, 3, 25, Session(), SEES_MORE)
    reading, table = learn_reading(rows, grains, FCC, NICKEL)
    assert reading.visible_limit in (0.15, 0.07, 0.035) and reading.weak_limit < 0.08
    best = table.loc[table["log_evidence"].idxmax()]
    assert best["log_evidence"] > table["log_evidence"][0] + 3


def test_few_lines_teach_nothing():
    grains, rows, _ = simulated("fcc", 5, 3, 25)
    few = rows[rows["line"] < LEAST]
    own = Settings(reading=Reading(0.2, 0.05))
    reading, table = learn_reading(few, grains, FCC, NICKEL, settings=own)
    assert reading == own.reading and table.empty and "log_evidence" in table


# --- calls


def test_gliding_lines_are_called_as_often_as_promised():
    """Lines of the model itself, half of them bent: of 600 at 5 % 30 are called, standard deviation 5 of the
    calls and 5 of the threshold: 2 to 9 % is more than two and a half. Of 300 bent ones 0.5 to 10 %.
    """
    grains, rows, _ = simulated("fcc", 6, 6, 25, Session(bent=0.7))
    null = gliding_lines(rows, grains, FCC, NICKEL, least=600, seed=1)
    lines = call_lines(infer_lines(null, grains, FCC, NICKEL), null, grains, FCC, NICKEL, seed=2)
    bent = lines["n_segments"] > 1
    assert len(lines) == 600 and 0.3 < bent.mean() < 0.7
    assert 0.02 < lines["climbed"].mean() < 0.09
    assert 0.005 < lines["cross_slipped"][bent].mean() < 0.10 and not lines["cross_slipped"][~bent].any()


def test_gliding_lines_keep_the_conditions_of_the_file():
    """Numbers of lines, segments and rows of each condition; what was not drawn or looked at still is not;
    every segment is seen at least once.
    """
    grains, rows, _ = simulated("fcc", 6, 6, 25, Session(bent=0.7))
    null = gliding_lines(rows, grains, FCC, NICKEL, least=200)
    assert null["line"].nunique() == 2 * rows["line"].nunique() and len(null) == 2 * len(rows)
    for column in ("grain_id", "segment", "g"):
        assert (null[column].value_counts() == 2 * rows[column].value_counts()).all()
    assert null["angle_deg"].isna().sum() == 2 * rows["angle_deg"].isna().sum()
    shown = (null["seen"] != "invisible").groupby([null["line"], null["segment"]]).any()
    assert shown.all()


def test_climbed_lines_are_called_more_often_than_gliding_ones():
    """Exact angles: half of the lines climbed. Of those many times the 5 % of false alarms are called."""
    session = Session(wrong=0.02, sigma_deg=0.5, climbed=0.5)
    grains, rows, truth = simulated("fcc", 7, 6, 20, session)
    rows = rows.assign(sigma_deg=1.0)
    using = Settings(reading=Reading(wrong=0.02))
    posterior = infer_lines(rows, grains, FCC, NICKEL, settings=using)
    lines = call_lines(posterior, rows, grains, FCC, NICKEL, settings=using)
    climbed = truth_of(truth, lines)["climbed"].to_numpy(bool)
    assert 0.3 < climbed.mean() < 0.8
    # odds against chance: 60 lines of each kind have errors of some 0.06
    assert lines["climbed"][climbed].mean() > lines["climbed"][~climbed].mean() + 0.15


# --- label rows


def test_likelihood_ratios_in_closed_form():
    """2 int_0^(1/2) prod (1 + f (B - 1)) df: 1, 1 + (B - 1) / 4, and with two 1 + a / 2 + a^2 / 12 of
    a = B - 1; the sum over 51 shares is exact to 1e-4 of the last.
    """
    assert likelihood_ratio(np.ones(7)) == pytest.approx(1)
    assert likelihood_ratio(np.array([])) == pytest.approx(1)
    for b in (0.0, 0.3, 5.0, 400.0):
        assert likelihood_ratio(np.array([b])) == pytest.approx(1 + (b - 1) / 4)
        assert likelihood_ratio(np.array([b, b])) == pytest.approx(
            1 + (b - 1) / 2 + (b - 1) ** 2 / 12, rel=1e-3
        )


@pytest.mark.parametrize("ratio", [1.0, 1.5, 4.0, 1e4])
def test_a_weight_is_worth_its_likelihood_ratio_in_the_coupled_model(ratio):
    """F, without missed and false reports, finds a report of weight w this much likelier of what acts."""
    rates = ReportRates(torch.tensor(0.0, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64))
    acts = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    weight = torch.tensor([weight_of(ratio)], dtype=torch.float64)
    p = report_probability(acts, torch.ones(1, dtype=torch.float64), weight, rates).numpy()[0]
    assert p[0] / p[1] == pytest.approx(ratio)


def test_bayes_factors_are_ratios_of_odds():
    assert bayes_factor(np.array([0.5, 0.05]), np.array([0.05, 0.05])) == pytest.approx([19, 1])


def told_by_hand(p_climb, prior=0.05, p_pair=(), pair_prior=0.1):
    """Tables of one straight line for each (grain, p) of climb, of one bent line each (grain, p) of the pair
    of octahedral systems 0 and the one it cross-slips to.
    """
    lines = pd.DataFrame(p_climb, columns=["grain_id", "p_climb"]).assign(prior_climb=prior)
    lines = lines.assign(line=range(1, len(lines) + 1))
    modes = Modes.of(FCC)
    prior_modes = np.tile(modes.prior, len(lines))
    table = pd.DataFrame(
        {
            "line": np.repeat(lines["line"], len(modes)).to_numpy(),
            "segment": 1,
            "grain_id": np.repeat(lines["grain_id"], len(modes)).to_numpy(),
            "length_um": 1.0,
            "mode": np.tile(modes.names, len(lines)),
            "system": np.tile(
                [n if s >= 0 else "" for n, s in zip(modes.names, modes.system, strict=True)], len(lines)
            ),
            "burgers": "",
            "p": prior_modes,
            "prior": prior_modes,
        }
    )
    other = np.flatnonzero(
        (np.abs(FCC.direction @ FCC.direction[0]) > 0.999) & (FCC.plane_id != FCC.plane_id[0])
    )[0]
    names = FCC.names[0], FCC.names[other]
    changes = pd.DataFrame(
        [(k, g, *names, p, pair_prior) for k, (g, p) in enumerate(p_pair)], columns=CHANGES
    )
    return LinePosterior(lines, pd.DataFrame(), table, changes)


def test_climb_has_a_row_only_where_lines_speak_for_it():
    """Grain 1: two lines with factors 19 and 1; grain 2: one against it; grain 3: as before anything was
    seen; grain 4: one for and one against, together against.
    """
    posterior = told_by_hand([(1, 0.5), (1, 0.05), (2, 0.001), (3, 0.05), (4, 0.06), (4, 0.001)])
    rows = ecci_labels(posterior, FCC)
    rows = rows[rows["mechanism"] == "climb"]
    assert rows["grain_id"].tolist() == [1] and rows["observed"].tolist() == [1]
    ratio = 1 + 18 / 4
    assert rows["weight"].to_numpy() == pytest.approx((ratio - 1) / (ratio + 1))
    assert set(rows["target"]) == {""} and set(rows["level"]) == {"grain"}


def test_cross_slip_has_a_row_of_its_pair():
    """Factor 9 of even odds over 1 to 9: LR = 1 + 8 / 4 = 3, weight one half; nothing where p fell."""
    rows = ecci_labels(told_by_hand([(1, 0.05)], p_pair=[(1, 0.5), (2, 0.02)]), FCC)
    rows = rows[rows["mechanism"] == "cross_slip"]
    assert rows["grain_id"].tolist() == [1] and rows["weight"].tolist() == pytest.approx([0.5])
    assert rows["level"].tolist() == ["pair"]
    plane_a, plane_b = rows["target"].iloc[0].split("[")[0].split("|")
    assert plane_a != plane_b and {plane_a, plane_b} <= set(FCC.plane_names)


@pytest.mark.parametrize("lattice", ["fcc", "hcp"])
def test_label_rows_name_what_the_package_knows(lattice):
    """Alternatives of a line add up to the probability of glide at most; targets are known ones."""
    own, found = of_crystal(lattice)
    grains, rows, _ = simulated(lattice, 8, 3, 8, Session(bent=0.3, crossed=0.3))
    posterior = infer_lines(rows, grains, own, found)
    labels, known = ecci_labels(posterior, own), known_targets(own)
    for mechanism, part in labels.groupby("mechanism"):
        assert set(part["target"]) <= set(known[mechanism])
    assert labels["weight"].between(0, 1).all() and (labels["observed"] == 1).all()
    slip = labels[labels["mechanism"] == "slip"]
    total = slip.groupby("source")["weight"].sum()
    glide = posterior.modes[posterior.modes["system"] != ""].groupby(["line", "segment"])["p"].sum()
    most = glide.groupby("line").max()
    assert (total <= 1 + 1e-9).all() and len(total) == rows["line"].nunique()
    assert (total.to_numpy() <= most.loc[[int(s.split()[1]) for s in total.index]].to_numpy() + 1e-9).all()
    lost = 0.01 * len(own)  # rows below the least weight are left out
    assert (total > most.min() - lost).all()


@pytest.mark.parametrize(
    "own, found, q", [(BASAL, MAGNESIUM, (1, 0, 0, 0)), (FCC, NICKEL, (0.888, 0.325, -0.325, 0))]
)
def test_lines_of_which_nothing_is_known_are_no_sign_of_climb(own, found, q):
    """Forty lines that nobody drew or looked at under any reflection."""
    rows = pd.concat([records({"line": k, "g": found.names[0]}) for k in range(40)], ignore_index=True)
    q = np.array(q) / np.linalg.norm(q)
    labels = ecci_labels(infer_lines(rows, oriented(q), own, found), own)
    assert "climb" not in set(labels["mechanism"])


def test_lines_that_no_reflection_shows_end_the_search():
    """Without wrong records, under g = 10-10: of b = <a> across g every line in the basal plane has
    g . b = 0 and, b x u being along c, g . (b x u) = 0, so a third of the lines is never seen.
    """
    rows = records({"g": "1 0 -1 0", "seen": "visible"})
    given = (rows, oriented([1, 0, 0, 0]), BASAL, MAGNESIUM)
    null = gliding_lines(*given, settings=Settings(reading=Reading(wrong=0.0)), least=60)
    assert null["line"].nunique() == 60
    assert (null["seen"] == "invisible").mean() == pytest.approx(1 / 3, abs=0.18)  # three standard errors


def test_records_that_are_never_wrong_and_contradict_the_criteria_end_in_numbers():
    """Under 0002 every basal line has g . b = 0 and b x u along g: a screw is invisible, an edge weak, none
    is visible. Said to be seen all the same, with no wrong records: probabilities, no NaN.
    """
    rows = records({"g": "0 0 0 2", "seen": "visible"})
    settings = Settings(reading=Reading(wrong=0.0), climbed=0.0)
    found = infer_lines(rows, oriented([1, 0, 0, 0]), BASAL, MAGNESIUM, settings=settings)
    assert found.burgers["p"].sum() == pytest.approx(1) and np.isfinite(found.lines["p_climb"]).all()
