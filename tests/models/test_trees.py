"""Trees and how their size is chosen."""

import numpy as np
import pytest

from cpml.errors import ParameterError
from cpml.models import GradientBoosting, Prevalence, RandomForest, observed
from cpml.models.baselines.simple import pairs
from cpml.models.baselines.trees import FEATURES, STAGES, feature_table
from cpml.models.baselines.tuning import choose, inner_halves, key_of


def test_feature_sets_are_nested_and_orientation_is_geometry_alone(specimen):
    """orientation < engineered < physics < full field; the first has the family and
    direction cosines of the token only.
    """
    columns = [set(feature_table(specimen, f).columns) for f in FEATURES]
    assert columns[0] < columns[1] < columns[2] < columns[3]
    assert columns[0] == {"family", *(f"{v}_{a}" for v in ("plane", "sense") for a in "xyz")}
    with pytest.raises(ParameterError, match="orientation, engineered, physics"):
        feature_table(specimen, "raw")


def test_inner_halves_share_no_grain(specimen):
    """Every grain's labels are in one half, both halves have about half of
    them, and spatial tiles stay whole.
    """
    half = inner_halves([specimen])
    y, grain, _ = pairs([specimen], lambda s: np.repeat(s.grain_ids, len(s.tokens)))
    assert len(half) == len(y) and 0.3 < half.mean() < 0.7
    assert not set(grain[half]) & set(grain[~half])


def test_choice_takes_the_smallest_held_out_loss():
    """Losses of both directions add up; refined candidates count; one class in a
    half keeps the first candidate.
    """
    half, y = np.array([True, True, False, False]), np.array([0, 1, 0, 1])
    cost = {("a", True): 1.0, ("a", False): 5.0, ("b", True): 2.0, ("b", False): 3.0}

    def losses(candidate, train, held_out):
        base = cost[candidate["kind"], bool(half[train[0]])]
        return {key_of({**candidate, "stage": s}): base + 0.1 * s for s in (0, 1)}

    grid = [{"kind": "a"}, {"kind": "b"}]
    assert choose(grid, losses, half, y) == {"kind": "b", "stage": 0}
    assert choose(grid, losses, half, np.array([0, 0, 0, 1])) == {"kind": "a"}


@pytest.mark.parametrize("kind", [GradientBoosting, RandomForest])
def test_tuned_trees_generalise(kind, build):
    """Trained on one specimen of 100 grains, they predict another better than the
    prevalence does; same seed, same p.
    """
    train, test = build(100, seed=0)[0], build(100, seed=1)[0]
    y = observed(test)
    seen = np.isfinite(y)

    def loss(model):
        p = model.fit([train]).predict(test)["p"].to_numpy().reshape(y.shape)[seen]
        return -np.mean(np.where(y[seen] == 1, np.log(p), np.log1p(-p)))

    model = kind("engineered")
    first = loss(model)
    assert first < 0.95 * loss(Prevalence())
    assert loss(kind("engineered")) == first
    if kind is GradientBoosting:
        assert model.chosen_["max_iter"] in STAGES
