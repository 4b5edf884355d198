"""Baselines: what each knows, and that none sees a held-out label."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss

from cpml.errors import CpmlError
from cpml.evaluation import blocked_folds
from cpml.models import (
    CoupledClassifier,
    FamilyShare,
    GradientBoosting,
    GraphNetwork,
    Prevalence,
    SchmidFamily,
    SchmidRule,
    all_models,
    build_specimen,
    cross_validate,
    observed,
    schmid_of_tokens,
)
from cpml.models.coupled.strengths.anchor import offset_yield
from cpml.models.mechanics.features import token_features
from cpml.models.mechanics.neighbourhood import neighbour_transfer
from cpml.plots import MODEL_COLOURS, MODEL_LABELS

SHORT = {"max_iter": 2, "tune": False, "max_epochs": 10}


def shortened(model):
    """The model with few iterations: enough to see whether it runs."""
    return model.set_params(**{k: v for k, v in SHORT.items() if k in model.get_params()})


def test_every_model_gives_a_probability_for_every_token(specimen):
    """One row per grain and token, p in [0, 1], from every baseline."""
    for model in map(shortened, all_models(coupled=False, full=True)):
        table = model.fit([specimen]).predict(specimen)
        assert len(table) == len(specimen) * len(specimen.tokens)
        assert table["p"].between(0, 1).all() and table["model"].unique().tolist() == [model.name]


def test_models_keep_the_conventions_of_scikit_learn():
    """__init__ only stores, a clone is an equal unfitted model, names are
    distinct and have a look of their own.
    """
    everyone = all_models(full=True)
    for model in everyone:
        assert vars(model) == model.get_params() == clone(model).get_params()
    names = [model.name for model in everyone]
    assert len(set(names)) == len(names) == 24
    assert {*names, "coupled_latent_load", "cp_depth"} == set(MODEL_COLOURS) == set(MODEL_LABELS)
    assert {m.name for m in all_models()} < set(names)


def test_prevalence_is_the_observed_share(specimen):
    """p of every slip plane = share of ones among its observed labels (with half a pseudo-count)."""
    y = observed(specimen)[:, (specimen.tokens["mechanism"] == "slip").to_numpy()]
    y = y[np.isfinite(y)]
    table = Prevalence().fit([specimen]).predict(specimen)
    assert table.loc[table["mechanism"] == "slip", "p"].iloc[0] == pytest.approx(
        (y.sum() + 0.5) / (len(y) + 1)
    )


def test_schmid_rule_is_monotone(specimen):
    """More Schmid factor, more probability, within a mechanism."""
    slip = (specimen.tokens["mechanism"] == "slip").to_numpy()
    p = (
        SchmidRule()
        .fit([specimen])
        .predict(specimen)["p"]
        .to_numpy()
        .reshape(len(specimen), -1)[:, slip]
        .ravel()
    )
    order = np.argsort(schmid_of_tokens(specimen)[:, slip].ravel())
    assert (np.diff(p[order]) >= -1e-12).all()


def test_a_share_per_family_knows_no_grain(specimen):
    """p is the same in every grain and all planes of a family: its observed share, drawn to that of the
    mechanism as by four labels.
    """
    y, tokens = observed(specimen), specimen.tokens
    slip = y[:, (tokens["mechanism"] == "slip").to_numpy()]
    known = slip[np.isfinite(slip)]
    mean = (known.sum() + 0.5) / (len(known) + 1)
    table = FamilyShare().fit([specimen]).predict(specimen)
    for family in tokens.loc[tokens["mechanism"] == "slip", "family"].unique():
        own = y[:, (tokens["family"] == family).to_numpy()]
        own = own[np.isfinite(own)]
        p = table.loc[table["family"] == family, "p"]
        assert p.nunique() == 1 and p.iloc[0] == pytest.approx((own.sum() + 4 * mean) / (len(own) + 4))


def test_the_schmid_rule_by_family(specimen):
    """Monotone in the Schmid factor inside every family, and families lie as far apart as they are seen: its
    log-loss is below those of the rule without families and of families without the rule.
    """
    tables = {
        m.name: m.fit([specimen]).predict(specimen) for m in (FamilyShare(), SchmidRule(), SchmidFamily())
    }
    factor = schmid_of_tokens(specimen).ravel()
    own = tables["schmid_family"].assign(factor=factor)
    for _, rows in own.groupby("family"):
        assert (np.diff(rows.sort_values("factor")["p"]) >= -1e-12).all()
    y = observed(specimen).ravel()
    known = np.isfinite(y)
    loss = {name: log_loss(y[known], table["p"][known]) for name, table in tables.items()}
    assert loss["schmid_family"] < min(loss["schmid"], loss["family_share"])


def test_families_that_nobody_saw_are_like_their_mechanism(build):
    """Trained on another lattice, whose families have other names: one probability for all planes by shares,
    and the common curve by Schmid factors.
    """
    trained_on, asked = build(20, material="nickel")[0], build(10)[0]
    shares = FamilyShare().fit([trained_on]).predict(asked)
    assert shares.loc[shares["mechanism"] == "slip", "p"].nunique() == 1
    curve = SchmidFamily().fit([trained_on]).predict(asked).assign(factor=schmid_of_tokens(asked).ravel())
    slip = curve[curve["mechanism"] == "slip"].sort_values("factor")
    assert (np.diff(slip["p"]) >= -1e-12).all()


def test_trees_without_physics_get_no_physics(specimen):
    """No column of the physics-free table is a Schmid factor or an activity."""
    plain, full = (set(token_features(specimen, physics=p).columns) for p in (False, True))
    assert {"schmid", "log_share_taylor", "transfer"} <= full - plain
    assert not any("share" in c or "schmid" in c or "taylor" in c for c in plain)


def test_without_labels_models_fall_back(build):
    """Nothing observed: trees say one half, and nobody fails."""
    specimen, _ = build(12, labelled=False)
    assert (GradientBoosting().fit([specimen]).predict(specimen)["p"] == 0.5).all()
    for model in all_models(coupled=False, full=True):
        assert model.fit([specimen]).predict(specimen)["p"].between(0, 1).all()


def test_identical_neighbours_pull_most(build):
    """Neighbours with the same orientation that shear on one system alone: its own
    pull is 1, the largest possible.
    """
    specimen, _ = build(9)
    specimen = replace(specimen, grains=specimen.grains.assign(qw=1.0, qx=0.0, qy=0.0, qz=0.0))
    share = np.zeros((9, len(specimen.systems)))
    share[:, 0] = 1.0
    pull = neighbour_transfer(specimen, share)
    assert pull[:, 0] == pytest.approx(np.ones(9)) and pull.max() <= 1.0 + 1e-12


@pytest.fixture
def thirds(specimen):
    """Three folds of blocks."""
    boundaries = pd.DataFrame(specimen.grain_ids[specimen.neighbours], columns=["grain_a", "grain_b"])
    return blocked_folds(specimen.grains, boundaries, n_folds=3, blocks=(3, 3))


def test_cross_validation_hides_labels(specimen, thirds):
    """A spy model sees, in every fold, labels of training grains only, and none while it predicts."""
    trained_on = []

    class Spy(Prevalence):
        name = "spy"

        def fit(self, specimens):
            trained_on.append(set(specimens[0].labels["grain_id"]))
            return super().fit(specimens)

        def predict(self, specimen):
            assert specimen.labels.empty and specimen.traces.empty and specimen.candidates.empty
            return super().predict(specimen)

    held_out = cross_validate([Spy()], specimen, thirds, jobs=1)  # in the order of the folds
    assert sorted(held_out["grain_id"].unique()) == sorted(specimen.grain_ids)
    for fold, seen in zip(thirds.folds, trained_on, strict=True):
        assert not seen & set(thirds.test(fold))


def test_no_fold_learns_from_another(specimen, thirds):
    """A model that has seen every label and starts warm predicts what a fresh
    one does, and is left as it was.
    """
    options = {"scheme": "sachs", "residual": False, "n_draws": 4, "max_iter": 2, "warm_start": True}
    model = CoupledClassifier(**options).fit([specimen])
    learned = model.vector_
    given, fresh = (cross_validate([m], specimen, thirds)["p"] for m in (model, clone(model)))
    assert given.equals(fresh)
    assert model.vector_ is learned


@pytest.mark.parametrize("model", [SchmidRule(), GradientBoosting(), GraphNetwork(), CoupledClassifier()])
def test_predict_needs_a_fit(model, specimen):
    """The error of scikit-learn, which says what to call."""
    with pytest.raises(NotFittedError, match="fit"):
        model.predict(specimen)


def test_specimen_without_load_or_with_strange_labels(specimen):
    """No load, an unknown phase, labels of strange grains, planes and candidates: one clear error each."""
    parts = {
        "grains": specimen.grains,
        "grain_boundaries": pd.DataFrame(columns=["grain_a", "grain_b", "length_um"]),
        "labels": specimen.labels,
        "traces": specimen.traces,
        "candidates": specimen.candidates,
        "material": specimen.material,
        "load": specimen.load,
        "phase": "A",
    }
    with pytest.raises(CpmlError, match="no load"):
        build_specimen("s", **{**parts, "load": None})
    with pytest.raises(CpmlError, match="phase 'B'"):
        build_specimen("s", **{**parts, "phase": "B"})
    with pytest.raises(CpmlError, match="do not exist"):
        build_specimen("s", **{**parts, "labels": specimen.labels.assign(grain_id=10**6)})
    planes = specimen.labels["level"] == "plane"
    with pytest.raises(CpmlError, match=r"label 'cubic .* is no plane or variant"):
        build_specimen(
            "s", **{**parts, "labels": specimen.labels[planes].head(1).assign(target="cubic (100)")}
        )
    with pytest.raises(CpmlError, match=r"candidate 'cubic .* is no plane or variant"):
        build_specimen("s", **{**parts, "candidates": specimen.candidates.assign(target="cubic (100)")})
    with pytest.raises(CpmlError, match="candidates do not say how well"):
        build_specimen("s", **{**parts, "candidates": specimen.candidates.iloc[1:]})


def test_offset_yield_of_a_bilinear_curve():
    """E = 50 GPa, yield at 100 MPa, no hardening: the 0.2 % offset line meets the plateau at 100 MPa."""
    strain = np.linspace(0, 0.02, 201)
    curve = pd.DataFrame({"true_strain": strain, "true_stress_mpa": np.minimum(50e3 * strain, 100.0)})
    assert offset_yield(curve) == pytest.approx(100.0)
    with pytest.raises(CpmlError, match="before a plastic strain"):
        offset_yield(curve[curve["true_strain"] < 0.003])
