"""What depths leave open of a map's grains: shares, choices and scores from records with a known answer."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cpml.crystallography.tensors import to_matrix
from cpml.load import Load
from cpml.models import learned_curve, learned_scores
from cpml.models.mechanics.grain_stress import GrainState, Scatter
from cpml.models.mechanics.open_depth import SHOWN, OpenDepth

N = 8
LOAD = Load.from_dict({"kind": "tension", "axis": "x"})


def state(stress, variance):
    eye = np.tile(np.eye(5), (N, 1, 1)) * np.asarray(variance)[:, None, None]
    scatter = Scatter(eye, eye, eye[:, :3, :3], np.zeros(N))
    return GrainState(stress, np.zeros(N), np.ones(1), stress, np.zeros((N, 3)), scatter=scatter)


@pytest.fixture
def opened():
    rng = np.random.default_rng(0)
    stress = rng.standard_normal((N, 5))
    specimen = SimpleNamespace(
        grain_ids=np.arange(1, N + 1),
        weights=np.full(N, 1 / N),
        grains=pd.DataFrame({"on_edge": np.arange(N) < 3}),
        load=LOAD,
        position=lambda ids: np.asarray(ids) - 1,
    )
    variance = np.where(np.arange(N) < 3, 0.4, 0.1)
    depths = SimpleNamespace(stress=np.stack([stress, stress + 0.1]), has_cells=np.ones(N, bool))
    states = {name: state(stress, variance * (k + 1)) for k, name in enumerate(SHOWN)}
    return OpenDepth(specimen, np.zeros((4, 4), int), depths, states, [])


def test_share_left_open_is_that_of_the_variance(opened):
    """sum tr C / (sum tr C + sum |s - mean|^2), of all and of each place; spreads that agree rank alike."""
    table, shares = opened.grain_table(), opened.open_shares()["open_share"]
    for place, own in (("all", table), ("rim", table[table["place"] == "rim"])):
        left, fixed = (own["open_depth"] ** 2).mean(), (own["deviation"] ** 2).mean()
        assert shares[place] == pytest.approx(left / (left + fixed))
    assert (table["open_depth"] ** 2).iloc[0] == pytest.approx(5 * 0.4 * 3)  # the third of the schemes
    assert opened.spread_correlation() == pytest.approx(1.0)


def test_chosen_grains_are_of_both_places(opened):
    on_edge = [opened.on_edge[g - 1] for g in opened.chosen()]
    assert True in on_edge and False in on_edge
    table = opened.stresses_along_load(opened.chosen())
    assert (table["source"] == "one depth").sum() == 2 * len(opened.chosen())
    own = table[table["source"] == "learned"]
    assert (own["low"] < own["value"]).all() and (own["value"] < own["high"]).all()


def test_the_truth_is_explained_whole_and_a_constant_not_at_all(opened):
    matrix = 50 * to_matrix(opened.states["affine"].stress)
    along = matrix[:, 0, 0].mean()
    true = pd.DataFrame(
        {a + b: matrix[:, "xyz".index(a), "xyz".index(b)] for a, b in ("xx", "yy", "zz", "yz", "xz", "xy")},
        index=opened.specimen.grain_ids,
    )
    assert np.isfinite(along)
    macro = to_matrix(opened.states["affine"].stress).mean(0)
    scale = np.sqrt(1.5) * macro[0, 0]  # the mean stress along the load, by which the truth is divided
    found = opened.explained(true).set_index("scheme")["explained"]
    # the given stresses are the truth times the scale: explained = 1 - (scale - 1)^2
    assert found["affine"] == pytest.approx(1 - (scale - 1) ** 2)
    assert opened.explained(None).empty and opened.explained(true.head(2)).empty


def test_facts_without_scores_or_curve_give_empty_tables():
    assert learned_scores({}).empty and learned_curve({}).empty
    facts = {"scores": [{"part": "stress", "lattice": "fcc", "surface": "free", "explained": 0.5}]}
    assert learned_scores(facts)["explained"].tolist() == [0.5] and learned_scores(facts, "spin").empty
    curve = {"curve": [{"volumes": 10, "explained": 0.3, "seed": 1}]}
    assert list(learned_curve(curve)) == ["volumes", "explained"]
