"""Slip at boundaries: bands that do or do not go on, exchanged sides, lines without places, features."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cpml.crystallography import (
    axis_angle_to_quaternion,
    proper_group,
    quaternion_multiply,
    random_quaternions,
)
from cpml.errors import ParameterError
from cpml.microscopy import (
    aligned_traces,
    band_profiles,
    count_passing,
    passing_clusters,
    passing_state,
    pieces_between,
    slip_passing,
    slip_transfer,
    transfer_features,
    with_given,
)
from cpml.microscopy.labels.passing import SEEN_ON
from cpml.microscopy.registration.affine import Affine
from cpml.models import fit_transmission, held_out_transmission, transmission_scores
from support.phases import FCC

TENSION = np.diag([1.0, 0, 0])
STEP = 0.5
HEIGHT, WIDTH = 24, 120


def layers(passes, *, n_bands=12, noise=0.05, seed=0):
    """A field of layers, one grain each, with upright bands: at the boundary k they go on where passes[k].

    Returns the field, the pieces of the boundaries and their table.
    """
    rng = np.random.default_rng(seed)
    n = len(passes) + 1
    shear = 0.1 + noise * rng.random((n * HEIGHT, WIDTH))
    at = rng.choice(WIDTH, n_bands, replace=False)
    for layer in range(n):
        if layer and not passes[layer - 1]:
            at = rng.choice(WIDTH, n_bands, replace=False)
        size = rng.uniform(0.5, 1.0, n_bands)
        # a band is two vectors wide, as long as its grain is high
        for place, height in zip(at, size, strict=True):
            profile = height * np.exp(-((np.arange(WIDTH) - place) ** 2) / 2)
            shear[layer * HEIGHT : (layer + 1) * HEIGHT] += profile
    label = np.repeat(np.arange(1, n + 1), HEIGHT)[:, None] * np.ones(WIDTH, int)
    bands = pd.DataFrame({"grain_id": np.arange(1, n + 1), "rank": 1, "angle_deg": 90.0})
    dic = SimpleNamespace(
        shear=shear,
        label=label,
        bands=bands,
        step_um=STEP,
        to_um=Affine(STEP * np.eye(2), np.zeros(2), 0.0),
        field=SimpleNamespace(turn_deg=0.0),
    )
    x = np.arange(WIDTH)
    pieces = pd.concat(
        [
            pd.DataFrame(
                {
                    "piece": k,
                    "position": x,
                    "x_um": STEP * x,
                    "y_um": STEP * ((k + 1) * HEIGHT - 0.5),
                    "grain_a": k + 1,
                    "grain_b": k + 2,
                }
            )
            for k in range(len(passes))
        ],
        ignore_index=True,
    )
    table = pieces[["grain_a", "grain_b"]].drop_duplicates(ignore_index=True)
    return dic, pieces, table


STATES = np.resize([True, True, False], 30)


@pytest.fixture(scope="module")
def seen():
    dic, pieces, table = layers(STATES)
    return band_profiles(dic, pieces), table


def test_bands_that_go_on_are_told_from_bands_that_stop(seen):
    """30 boundaries of 120 vectors: none is called the other, all that pass are told, and some that do not
    (that nothing agrees is seldom certain).
    """
    found, table = seen
    passing = slip_passing(table, found)
    p = passing["p_passes"].to_numpy()
    assert p[STATES].min() > 0.5 > p[~STATES].max()
    assert (passing["passes"][STATES] == 1).all()
    assert set(passing["passes"][~STATES].dropna()) == {0.0}
    assert count_passing(passing)["boundaries"].sum() == 30
    assert set(passing_state(passing)) >= {"passes", "blocked", "likely blocked"}


def test_arrivals_are_where_the_bands_are():
    """Of twelve bands of random places those that are two vectors from their neighbours and from the rim."""
    dic, pieces, _ = layers([False], seed=3)
    found = band_profiles(dic, pieces)
    for grain in (1, 2):
        places = found.arrivals.loc[found.arrivals["grain"] == grain, "position_um"] / STEP
        mean = dic.shear[dic.label[:, 0] == grain].mean(axis=0)
        assert len(places) >= 3
        assert all(mean[max(int(p) - 1, 0) : int(p) + 2].max() >= mean.mean() for p in places)
        assert (found.arrivals["strength"] >= 1).all()


def test_the_two_grains_are_alike(seen):
    """Exchanged columns: the same evidence, sides exchanged; exchanged pieces, too."""
    found, table = seen
    turned = table.rename(columns={"grain_a": "grain_b", "grain_b": "grain_a"})
    one, two = slip_passing(table, found), slip_passing(turned, found)
    for name in ("log_ratio", "passes", "agreement"):
        np.testing.assert_array_equal(one[name], two[name])
    np.testing.assert_array_equal(one[["n_a", "angle_a"]], two[["n_b", "angle_b"]])
    dic, pieces, _ = layers(STATES)
    pieces = pieces.rename(columns={"grain_a": "grain_b", "grain_b": "grain_a"})
    again = slip_passing(table, band_profiles(dic, pieces))
    np.testing.assert_allclose(again["log_ratio"], one["log_ratio"])


def test_what_cannot_be_seen_is_no_label():
    """No band in one grain, a boundary outside the field, a field without bands: NaN and no weight."""
    dic, pieces, table = layers([True, True])
    table = pd.concat([table, pd.DataFrame({"grain_a": [1], "grain_b": [3]})], ignore_index=True)
    dic.bands.loc[dic.bands["grain_id"] == 3, ["rank", "angle_deg"]] = [0, np.nan]
    passing = slip_passing(table, band_profiles(dic, pieces))
    assert passing["why"].tolist() == ["told", "not seen on both sides", "not seen on both sides"]
    assert passing["passes"].isna().tolist() == [False, True, True]
    assert passing.loc[1:, ["log_ratio", "weight"]].to_numpy().max() == 0
    dic.shear[:] = 0.1
    flat = slip_passing(table, band_profiles(dic, pieces))
    assert flat["passes"].isna().all() and (flat["log_ratio"] == 0).all()


def test_bands_along_the_boundary_have_no_place():
    """Level bands at level boundaries."""
    dic, pieces, table = layers([True])
    dic.bands["angle_deg"] = 5.0
    found = band_profiles(dic, pieces)
    assert not len(found.arrivals) and not len(found.profiles)
    assert slip_passing(table, found)["why"].tolist() == ["not seen on both sides"]
    with pytest.raises(ParameterError, match="no column piece"):
        band_profiles(dic, pieces.drop(columns="piece"))


def test_pieces_of_grains_leave_out_what_is_inside(make_map):
    """Four strips, the two in the middle one grain: two boundaries are left."""
    from cpml.microscopy import segment

    label = np.repeat(np.arange(1, 5), 4)[None, :] * np.ones((6, 1), int)
    q = axis_angle_to_quaternion([0, 0, 1], np.radians(20.0 * np.arange(4)))
    fragments = segment(make_map(label, q))
    grain = np.array([0, 1, 2, 2, 3])[fragments.label]
    pieces = pieces_between(fragments, grain)
    pairs = np.sort(pieces[["grain_a", "grain_b"]].drop_duplicates().to_numpy(), axis=1)
    assert sorted(map(tuple, pairs.tolist())) == [(1, 2), (2, 3)]


def test_lines_without_places_are_weak_evidence():
    """One line on either side within 10 degrees: by chance in 1 of 9."""
    table = pd.DataFrame({"grain_a": [1, 1, 1, 3, 2], "grain_b": [2, 3, 4, 5, 9]})
    lines = pd.DataFrame({"grain_id": [1, 2, 3, 4, 5], "angle_deg": [178.0, 5.0, 60.0, np.nan, 61.0]})
    found = aligned_traces(table, lines)
    met, stopped = np.log(SEEN_ON * 9 + 1 - SEEN_ON), np.log(1 - SEEN_ON)
    assert found["log_ratio"].tolist() == pytest.approx([met, stopped, stopped, met, 0])
    assert found["passes"].isna().all(), "no pair of lines is certain"
    assert found["why"].tolist() == ["open"] * 4 + ["not seen on both sides"]
    crowded = pd.concat([lines, lines.assign(angle_deg=lines["angle_deg"] + 30)])
    weaker = aligned_traces(table, crowded)["log_ratio"][0]
    assert 0 < weaker < met, "of four pairs one is more often near by chance"
    with pytest.raises(ParameterError, match="tolerance_deg"):
        aligned_traces(table, lines, tolerance_deg=0)


def test_a_user_has_the_last_word(seen):
    """Given rows replace what bands say; one system that passes is enough; unknown rows change nothing."""
    found, table = seen
    passing = slip_passing(table, found)
    given = pd.DataFrame(
        {
            "grain_a": [2, 1, 4, 7],
            "grain_b": [1, 2, 3, 8],
            "passes": [0.0, 1.0, 0.0, np.nan],
            "weight": [1.0, 1.0, 0.5, 1.0],
            "source": "Patriarca",
        }
    )
    mixed = with_given(passing, given)
    assert mixed["passes"][0] == 1 and mixed["passes"][2] == 0
    assert mixed["p_passes"][0] == pytest.approx(0.98)
    assert mixed["p_passes"][2] == pytest.approx(0.26)  # half the weight, half the way from 0.5 to 0.02
    assert mixed["source"].tolist()[:3] == ["Patriarca", "bands", "Patriarca"]
    pd.testing.assert_frame_equal(mixed.drop(index=[0, 2]), passing.drop(index=[0, 2]))


# ---- features


@pytest.fixture
def bicrystals():
    """Twelve grains in a row with random orientations, boundaries of random traces."""
    rng = np.random.default_rng(5)
    q = random_quaternions(12, rng)
    grains = pd.DataFrame(q, columns=["qw", "qx", "qy", "qz"]).assign(grain_id=np.arange(1, 13), phase=1)
    table = pd.DataFrame({"grain_a": np.arange(1, 12), "grain_b": np.arange(2, 13)})
    table = table.assign(trace_deg=rng.uniform(0, 180, 11), angle_deg=30.0, csl=0, length_um=1.0)
    return grains, table


def numbers(features):
    return features.drop(columns=["system_a", "system_b"]).to_numpy(float)


def test_features_know_no_copy_no_side_and_no_sense(bicrystals):
    """Symmetry copies, exchanged grains and stresses of the other sign: the same numbers."""
    grains, table = bicrystals
    stress = random_stress(12)
    lines = pd.DataFrame(
        {"grain_id": [1, 2], "mechanism": "slip", "target": FCC.plane_names[0], "probability": 1.0}
    )
    by = {"stress": TENSION, "grain_stress": stress}
    plain = transfer_features(table, grains, {1: FCC}, **by)
    turned = table.rename(columns={"grain_a": "grain_b", "grain_b": "grain_a"})
    np.testing.assert_allclose(numbers(transfer_features(turned, grains, {1: FCC}, **by)), numbers(plain))
    pressed = transfer_features(table, grains, {1: FCC}, stress=-TENSION, grain_stress=-stress)
    np.testing.assert_allclose(numbers(pressed), numbers(plain))
    group = proper_group("432")
    names = ["qw", "qx", "qy", "qz"]
    copies = grains.copy()
    copies[names] = quaternion_multiply(grains[names].to_numpy(), group[np.arange(12) * 2 % 24])
    np.testing.assert_allclose(numbers(transfer_features(table, copies, {1: FCC}, **by)), numbers(plain))
    seen = transfer_features(table, grains, {1: FCC}, active=lines, **by)
    assert seen["m_prime_seen"].notna().all() and plain["m_prime_seen"].isna().all()
    np.testing.assert_allclose(seen["m_prime"], plain["m_prime"])


def random_stress(n):
    s = np.random.default_rng(1).normal(size=(n, 3, 3))
    return s + s.swapaxes(1, 2)


def test_features_turn_with_the_specimen(bicrystals):
    """Specimen, traces and load turned about the normal of the map together."""
    grains, table = bicrystals
    turn = axis_angle_to_quaternion([0, 0, 1], np.radians(37.0))
    r = np.array(
        [
            [np.cos(np.radians(37)), -np.sin(np.radians(37)), 0],
            [np.sin(np.radians(37)), np.cos(np.radians(37)), 0],
            [0, 0, 1],
        ]
    )
    names = ["qw", "qx", "qy", "qz"]
    moved = grains.copy()
    moved[names] = quaternion_multiply(turn, grains[names].to_numpy())
    # y points down: a turn from x to y lowers on-screen angles
    traced = table.assign(trace_deg=table["trace_deg"] - 37.0)
    one = transfer_features(table, grains, {1: FCC}, stress=TENSION)
    two = transfer_features(traced, moved, {1: FCC}, stress=r @ TENSION @ r.T)
    np.testing.assert_allclose(numbers(two), numbers(one), atol=1e-9)


def test_the_same_crystal_has_the_best_features(bicrystals):
    """m' and LRB 1, no residual, no mismatch; under an unknown load the lines say which systems."""
    grains, table = bicrystals
    names = ["qw", "qx", "qy", "qz"]
    alike = grains.assign(**dict(zip(names, grains[names].to_numpy()[:1].repeat(12, 0).T, strict=True)))
    row = transfer_features(table, alike, {1: FCC}, stress=TENSION, grain_stress=np.tile(TENSION, (12, 1, 1)))
    best = {"m_prime": 1, "lrb": 1, "residual_burgers": 0, "delta_schmid": 0, "stress_mismatch": 0}
    for name, value in best.items():
        np.testing.assert_allclose(row[name], value, atol=1e-7, err_msg=name)
    one_system = pd.DataFrame(
        {"grain_id": np.arange(1, 13), "mechanism": "slip", "target": FCC.names[0], "probability": 1.0}
    )
    unknown = transfer_features(table, alike, {1: FCC}, active=one_system)
    np.testing.assert_allclose(unknown["m_prime"], 1)
    assert unknown["delta_schmid"].isna().all() and set(unknown["system_a"]) == {FCC.names[0]}
    with pytest.raises(ParameterError, match="grain_stress"):
        transfer_features(table, grains, {1: FCC}, stress=TENSION, grain_stress=np.zeros((2, 3, 3)))


# ---- clusters


def chain(p):
    n = len(p)
    ids = np.arange(1, n + 2)
    return pd.DataFrame({"grain_a": ids[:-1], "grain_b": ids[1:], "p_passes": p, "log_ratio": 1.0})


def test_clusters_of_a_chain():
    """Boundaries 1 to 3 of a chain pass: four grains in a row, beside seven dealt at random."""
    found = passing_clusters(chain([1.0, 1, 1, 0, 0, 0, 0, 0, 0, 0]), n_deals=400).set_index("quantity")
    assert found["observed"].tolist() == [4, 3, 4]
    # three of ten places in a row: 8 of 120 deals
    assert found.loc["longest chain", "p_more"] == pytest.approx(8 / 120, abs=0.04)  # 3 errors of 400 deals
    assert found["n_boundaries"].tolist() == [10] * 3 and found["n_passing"].tolist() == [3.0] * 3


def test_boundaries_without_evidence_are_in_no_cluster():
    table = chain([1.0, 1, 0.5, 0.5]).assign(log_ratio=[4.0, 4, 0, 0])
    found = passing_clusters(table, n_deals=20)
    assert found["observed"].tolist() == found["chance"].tolist() == [3, 2, 3]
    nothing = passing_clusters(table.assign(log_ratio=0.0), n_deals=5)
    assert nothing[["observed", "chance", "p_more"]].isna().all(axis=None)
    with pytest.raises(ParameterError, match="n_deals"):
        passing_clusters(table, n_deals=0)


# ---- a measured field


def test_nickel_passes_where_the_most_stressed_systems_are_aligned(nickel):
    """45 of 271 boundaries of the nickel field say something, eight for certain; evidence held out by blocks
    is better predicted with m' than without.
    """
    grains, dic = nickel
    boundaries = grains.boundaries.rename(columns={"fragment_a": "grain_a", "fragment_b": "grain_b"})
    names = dict(zip(("qw", "qx", "qy", "qz"), grains.mean_quaternions.T, strict=True))
    table = grains.table.rename(columns={"fragment_id": "grain_id"}).assign(**names)
    pieces = pieces_between(grains, grains.label)
    found = slip_transfer(boundaries, table, {1: FCC}, dic=dic, pieces=pieces, stress=TENSION)
    told = found[found["log_ratio"] != 0]
    assert 40 <= len(told) <= 50 and 6 <= told["passes"].notna().sum() <= 10
    assert told["m_prime"].corr(told["log_ratio"], method="spearman") > 0.4
    place = table.set_index("grain_id")[["x_um", "y_um"]]
    x, y = (place.loc[found["grain_a"]].to_numpy() + place.loc[found["grain_b"]].to_numpy()).T / 2
    block = 4 * np.digitize(x, np.quantile(x, [0.25, 0.5, 0.75])) + np.digitize(
        y, np.quantile(y, [0.25, 0.5, 0.75])
    )
    held_out = held_out_transmission(found, block, features=["m_prime"])
    scores = transmission_scores(held_out, n_boot=100).set_index("model")
    assert scores.loc["learned", "less_prevalence"] < -0.04
    assert fit_transmission(found, features=["m_prime"], n_draws=1).is_enough
