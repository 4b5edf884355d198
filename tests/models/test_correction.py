"""What footprints teach beyond the law: trees, their gate, what they do to every answer, and their files."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit

from cpml.errors import CpmlError
from cpml.models import CoupledClassifier
from cpml.models.coupled.learning.boosting import Growth, Observation, boosted, contributions, summed
from cpml.models.coupled.learning.correction import GROUPS, Pairs, judged
from cpml.models.coupled.posterior import Sheared
from cpml.models.numerics import STANDARD

GROWTH = Growth(trees=30, depth=3, rate=0.1, prior_pairs=20.0, leaf_pairs=20, seed=0)


def made_pairs(effect, *, n_grains=200, seed=0):
    """Records of eight tokens a grain: the law's log odds, plus ``effect`` where the second input is high."""
    rng = np.random.default_rng(seed)
    grain = np.repeat(np.arange(n_grains), 8)
    z = rng.normal(size=(len(grain), 4))
    law = rng.normal(-1.0, 1.5, len(grain))
    link = Observation(np.full(len(grain), 0.8), np.full(len(grain), 0.01))
    p = link.recorded(law + effect * np.where(z[:, 1] > 0, 1.0, -1.0))
    y = (rng.random(len(grain)) < p).astype(float)
    tile = grain * 16 // n_grains
    return Pairs(z, y, law, link, grain, tile, tile % 4)


def test_newton_steps_are_those_of_the_likelihood():
    """Gradient by central differences; the information is the mean of its square over both records."""
    odds = np.array([-3.0, -0.5, 0.0, 2.0])
    link = Observation(np.array([1.0, 0.8, 0.6, 0.9]), np.array([0.0, 0.01, 0.02, 0.05]))
    slopes = []
    for y in (np.zeros(4), np.ones(4)):
        slope, information = link.newton(y, odds)
        step = 1e-5
        quotient = (link.log_likelihood(y, odds + step) - link.log_likelihood(y, odds - step)) / (2 * step)
        assert np.allclose(slope, quotient, rtol=1e-6)
        slopes.append(slope)
    p = link.recorded(odds)
    assert np.allclose(information, (1 - p) * slopes[0] ** 2 + p * slopes[1] ** 2, rtol=1e-9)


def test_trees_find_what_moves_the_odds_and_say_so():
    """An effect of one unit of log odds by the second input: found with the right sign, and laid at its door.

    Thirty small steps leave it shrunk: between a third and the whole of it.
    """
    pairs = made_pairs(1.0)
    trees = boosted(pairs.z, pairs.y, pairs.log_odds, pairs.link, GROWTH)
    moved = summed(trees, pairs.z)
    high = pairs.z[:, 1] > 0
    assert 0.33 < (moved[high].mean() - moved[~high].mean()) / 2 < 1.0
    parts = contributions(trees, pairs.z)
    assert np.allclose(parts.sum(1), moved, atol=1e-12)
    assert np.abs(parts[:, :4]).mean(0).argmax() == 1


def test_without_evidence_nothing_moves():
    """Ten records weigh little against twenty pairs of prior in every leaf."""
    pairs = made_pairs(3.0, n_grains=5)
    few = replace(GROWTH, leaf_pairs=2)
    trees = boosted(pairs.z[:10], pairs.y[:10], pairs.log_odds[:10], pairs.link.of(np.arange(10)), few)
    # each of 30 trees takes a tenth of a step that twenty pairs of the prior hold back
    assert np.abs(summed(trees, pairs.z)).max() < 1.0


@pytest.mark.parametrize(("effect", "speaks"), [(1.0, True), (0.0, False)])
def test_the_gate_opens_for_what_holds_on_held_out_tiles(effect, speaks):
    """Records of a strong effect: open at full strength; of the law itself: shut."""
    row = judged([made_pairs(effect)] * 4, GROWTH, level=0.05 / 2)
    assert (row["strength"] > 0) is speaks
    if speaks:
        assert row["strength"] == row["best"] == 1.0 and row["gain_nats"] > row["needed"] * row["error_nats"]
        assert row["needed"] == pytest.approx(2.13, abs=0.01)  # Student's t, 15 degrees of freedom
    else:
        assert row["verdict"].startswith("shut")


def test_records_of_the_law_rarely_open_the_gate():
    """Twelve specimens whose law is right: at most two open (2.5 % of one mechanism are meant to)."""
    few = replace(GROWTH, trees=8)
    rows = [judged([made_pairs(0.0, n_grains=80, seed=s)] * 4, few, level=0.05 / 2) for s in range(12)]
    assert sum(row["strength"] > 0 for row in rows) <= 2


def test_all_answers_move_together():
    """The mean activity moves by the shift in its log odds, every draw the same way, shares with it."""
    rng = np.random.default_rng(0)
    share = torch.tensor(rng.dirichlet(np.ones(5), size=(6, 8)))
    active = torch.tensor(rng.beta(0.3, 0.6, size=(6, 8, 3)))
    token = torch.tensor([0, 0, 1, 2, 2])
    by_token = torch.zeros(6, 8, 3, dtype=share.dtype).index_add(-1, token, share)
    nothing = torch.zeros(6, dtype=share.dtype)
    equal = torch.full((6, 8), -np.log(8.0), dtype=share.dtype)
    found = active / 2
    law = Sheared(None, nothing, nothing, nothing, equal, share, by_token, active, found, None)
    shift = torch.tensor(rng.normal(size=(6, 3)))
    moved = law.corrected(shift, token, torch.tensor(3.0))
    odds = torch.logit(active.mean(1)) + shift
    assert torch.allclose(moved.active.mean(1), torch.sigmoid(odds), atol=1e-9)
    odds = torch.logit(found.mean(1)) + shift
    assert torch.allclose(moved.found.mean(1), torch.sigmoid(odds), atol=1e-9)
    up = (shift > 0)[:, None].expand_as(active)
    assert (moved.active[up] >= active[up]).all() and (moved.active[~up] <= active[~up]).all()
    assert ((moved.active >= 0) & (moved.active <= 1)).all()
    for values in (moved.by_system, moved.by_token):
        assert torch.allclose(values.sum(-1), torch.ones(6, 8, dtype=values.dtype))
    systems = torch.zeros(6, 8, 3, dtype=share.dtype).index_add(-1, token, moved.by_system)
    assert torch.allclose(systems, moved.by_token)
    # two tokens: the ratio of their shares goes with the difference of the shifts, over the steepness
    ratio = (moved.by_token[..., 0] / moved.by_token[..., 1]) / (by_token[..., 0] / by_token[..., 1])
    assert torch.allclose(ratio, torch.exp((shift[:, 0] - shift[:, 1]) / 3.0)[:, None].expand_as(ratio))


@pytest.fixture(scope="module")
def opened(specimen):
    """A model whose correction speaks because it is told to."""
    few = replace(STANDARD, trees=8, posterior_draws=4)
    return CoupledClassifier(residual=True, scheme="sachs", n_draws=8, max_iter=20, numerics=few).fit(
        [specimen]
    )


def test_an_open_correction_moves_predictions_and_is_explained(specimen, opened):
    """The shift is in p_active and p, its parts by group of inputs sum to it; shut again, the law is back."""
    assert opened.gate_ == 1.0 and set(opened.holdout_["verdict"]) == {"open, as asked"}
    causes, moved = opened.explain(specimen), opened.predict(specimen)
    groups = causes[[f"learned_{group}" for group in GROUPS]].sum(axis=1)
    # the rest is where all tokens of a mechanism start
    for _, start in (causes["learned"] - groups).groupby(causes["mechanism"]):
        assert np.ptp(start) < 1e-9
    assert causes["learned"].abs().max() > 0.05
    law = CoupledClassifier.__new__(CoupledClassifier)
    law.__dict__ |= vars(opened) | {"correction_": type(opened.correction_)()}
    plain = law.predict(specimen)
    assert np.array_equal(plain["p_cp"], moved["p_cp"]) and (law.explain(specimen)["learned"] == 0).all()
    up = causes["learned"].to_numpy() > 0
    change = (moved["p_active"] - plain["p_active"]).to_numpy()
    # probabilities are kept 1e-12 away from 0 and 1
    assert (change[up] > -2e-12).all() and (change[~up] < 2e-12).all() and np.abs(change).max() > 0.01
    assert moved.groupby("grain_id")["share"].sum().to_numpy() == pytest.approx(1.0)


def test_too_few_footprints_are_said_so(specimen):
    """Fewer than thirty of a mechanism: nothing is tried, the law speaks alone."""
    some = specimen.with_labels_of(specimen.grain_ids[:6])
    model = CoupledClassifier(scheme="sachs", n_draws=4, max_iter=3).fit([some])
    assert model.gate_ == 0.0 and set(model.holdout_["verdict"]) == {"too few footprints"}
    assert (model.holdout_["footprints"] < 30).all()


def test_an_open_correction_is_saved_as_text(specimen, opened, tmp_path):
    """Out and in: identical predictions; trees that no fit gives are told with their key."""
    path = tmp_path / "model.json"
    opened.save(path)
    again = CoupledClassifier.load(path, specimen.material)
    assert np.array_equal(again.predict(specimen)["p"], opened.predict(specimen)["p"])
    content = json.loads(path.read_text())
    for keys, value, told in (
        (("left", 0), 0, "trees[0].left[0]: expected -1 in a leaf, else a node behind 0"),
        (("feature", 0), 999, "trees[0].feature[0]: expected a whole number from -1"),
        (("value",), [0.0], "trees[0].value: expected a list of"),
    ):
        broken = json.loads(json.dumps(content))
        tree = broken["correction"]["mechanisms"]["slip"]["trees"][0]
        if len(keys) == 2:
            tree[keys[0]][keys[1]] = value
        else:
            tree[keys[0]] = value
        path.write_text(json.dumps(broken))
        with pytest.raises(CpmlError) as caught:
            CoupledClassifier.load(path, specimen.material)
        assert told in str(caught.value)


def test_probabilities_stay_probabilities():
    """However far the odds are moved."""
    link = Observation(np.array([0.8, 1.0]), np.array([0.1, 0.0]))
    for odds in (-1e3, 0.0, 1e3):
        p = link.recorded(np.full(2, odds))
        assert ((p > 0) & (p < 1)).all() and p[0] == pytest.approx(0.1 + 0.8 * expit(odds))
