"""What a fitted F says beyond planes and variants: intervals, levels, cross-slip,
climb, explanation, latent load.
"""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone

from cpml.errors import ParameterError
from cpml.load import Load
from cpml.models import CoupledClassifier, LatentLoad

QUICK = {"residual": False, "n_draws": 16, "scheme": "affine"}


@pytest.fixture(scope="module")
def levels(specimen, fitted):
    """All levels of the same grains."""
    return fitted.predict_levels(specimen)


def test_intervals_hold_the_value(specimen, fitted):
    """low <= value <= high for every quantity, shares in [0, 1], and some interval has a width."""
    table = fitted.predict(specimen, interval=True)
    for name in ("p", "p_active", "share"):
        low, value, high = (table[c].to_numpy() for c in (f"{name}_low", name, f"{name}_high"))
        assert (low <= value).all() and (value <= high).all() and (low >= 0).all() and (high <= 1).all()
        assert (high - low).max() > 0.01
    assert table["shear"].isna().all()  # the load of this specimen has no strain


def test_expected_shear_follows_the_strain(specimen, fitted):
    """Twice the strain is twice the shear; summed over tokens its mean is Taylor's factor times strain."""
    strained = [
        replace(specimen, load=Load.from_dict({"kind": "tension", "axis": "x", "strain": e}))
        for e in (0.02, 0.04)
    ]
    low, high = (fitted.predict(s)["shear"].to_numpy() for s in strained)
    assert np.allclose(high, 2 * low)
    per_grain = low.reshape(len(specimen), -1).sum(1)
    assert 1.5 < (specimen.weights @ per_grain) / 0.02 < 6.0  # between one system and five at the most


def test_families_hold_their_planes(specimen, fitted, levels):
    """A family is at least as probable as its likeliest member and at most as the sum;
    any slip at least as any family.
    """
    tokens = fitted.predict(specimen)
    grouped = tokens.groupby(["grain_id", "mechanism", "family"])["p_active"]
    family = levels[levels["level"] == "family"].set_index(["grain_id", "mechanism", "family"])["p"]
    assert (family - grouped.max() > -1e-9).all() and (grouped.sum() - family > -1e-9).all()
    whole = levels[levels["level"] == "any"].set_index(["grain_id", "mechanism"])["p"]
    assert (whole - family.groupby(level=[0, 1]).max() > -1e-9).all()


def test_systems_hold_less_than_their_plane(specimen, fitted, levels):
    """No single system is likelier to be active than the plane it lies in."""
    tokens = fitted.predict(specimen).pivot(index="grain_id", columns="target", values="p_active")
    plane = dict(
        zip(specimen.systems.names, specimen.tokens["target"].to_numpy()[specimen.token], strict=True)
    )
    for name, part in levels[levels["level"] == "system"].groupby("target"):
        assert (part.set_index("grain_id")["p"] <= tokens[plane[name]] + 1e-9).all()


def test_no_climb_at_room_temperature_and_more_when_hot(specimen, fitted):
    """Magnesium: below 1e-6 at 300 K, above one half at 700 K and 1e-7 per second; unknown
    temperature widens the answer.
    """

    def climb(**load):
        turned = replace(specimen, load=Load.from_dict({"kind": "tension", "axis": "x", **load}))
        table = fitted.predict_levels(turned)
        return table[table["mechanism"] == "climb"]

    assert climb(temperature=300.0)["p"].max() < 1e-6
    assert climb(temperature=700.0, rate=1e-7)["p"].min() > 0.5
    unknown = climb()
    assert (unknown["p_high"] >= unknown["p"]).all() and (unknown["p_low"] <= unknown["p"]).all()


def test_cross_slip_pairs_share_a_burgers_vector(specimen, levels):
    """Magnesium has no cross-slip energies in its file: p is missing, and at most what both planes allow."""
    pairs = levels[levels["level"] == "pair"]
    assert pairs["p"].isna().all() and (pairs["p_low"] == 0).all() and pairs["p_high"].between(0, 1).all()
    assert pairs["target"].str.contains("|", regex=False).all()


def test_explanation_adds_up(specimen, fitted):
    """The terms sum to x, the collective one is zero without a map, and the neighbour named is one."""
    table = fitted.explain(specimen)
    total = table[["mean", "grain", "collective", "neighbours"]].sum(axis=1)
    assert np.allclose(total, table["x"]) and np.allclose(table["collective"], 0.0)
    assert np.corrcoef(table["x"], table["p_active"])[0, 1] > 0.5
    grain = specimen.grain_ids[0]
    here, there = specimen.directed_neighbours
    known = set(specimen.grain_ids[there[here == 0]])
    assert set(table.loc[table["grain_id"] == grain, "from_grain"]) <= known


def test_warm_start_goes_on_from_the_last_fit(specimen):
    """Where no footprint moves the parameters they stay where the last fit ended;
    a cold start is the literature.
    """
    model = CoupledClassifier(**QUICK | {"scheme": "sachs", "n_draws": 8}, warm_start=True).fit([specimen])
    reached, blank = model.vector_, specimen.with_labels_of([])
    assert model.fit([blank]).vector_.equal(reached)
    cold = clone(model).fit([blank])
    assert np.allclose(cold.strengths_["ratio"], cold.strengths_["prior_ratio"])


def test_identifiability(specimen, fitted):
    """by_data lies between 0 and 1, is missing for the reference, and the
    correlations are a correlation matrix.
    """
    table = fitted.strengths_.set_index("family")
    reference = table["reference"].iloc[0]
    assert np.isnan(table.loc[reference, "by_data"]) and table["by_data"].drop(reference).between(0, 1).all()
    correlation = fitted.correlations_.to_numpy()
    assert np.allclose(np.diag(correlation), 1) and np.abs(correlation).max() <= 1 + 1e-9


def test_latent_load_finds_the_axis(build):
    """Footprints made under tension along x: of three axes in the plane and the
    normal, x has nearly all the weight.
    """
    specimen, _ = build(80, seed=5)
    model = LatentLoad(
        CoupledClassifier(scheme="sachs", residual=False, n_draws=8, edges=False), n_axes=3
    ).fit([specimen])
    weights = model.weights_.set_index("angle_deg")["weight"]
    assert weights.loc[0.0] > 0.95 and weights.sum() == pytest.approx(1.0)
    own = model.models_[0].predict(specimen)["p"].to_numpy()
    assert np.abs(model.predict(specimen)["p"].to_numpy() - own).max() < 0.06


def test_latent_load_needs_an_axis(specimen):
    """A rolled specimen has no single axis."""
    rolled = replace(specimen, load=Load.from_dict({"kind": "rolling", "axis": "x"}))
    with pytest.raises(ParameterError, match="no single axis"):
        LatentLoad(CoupledClassifier(**QUICK)).fit([rolled])
