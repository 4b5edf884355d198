"""What the benchmarks compute from their runs, and that one run of the estimator study goes through."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import bench_coupling, bench_depth, bench_strengths, depth_scores
from benchmarks.depth_specimens import crude_depths, sections
from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.tensors import rotation_5x5
from cpml.models import observed
from cpml.virtual.volumes.recipes import Recipe
from cpml.virtual.volumes.solving import as_arrays, solve


def test_summary_of_an_honest_estimator():
    """4000 draws of mean 2.5 and sd 0.1 with their own intervals: no bias, 90 %
    cover; a shift of 5 % shows as bias.
    """
    bench, rng = bench_strengths, np.random.default_rng(0)
    ratio = rng.normal(2.5, 0.1, 4000)
    runs = pd.DataFrame(
        {
            "family": "pyramidal1_ca",
            "ratio": ratio,
            "low": ratio - 0.1645,
            "high": ratio + 0.1645,
            "truth": 2.5,
            "seconds": 1.0,
            "converged": True,
        }
    )
    row = bench.summary(runs).loc["pyramidal1_ca"]
    assert row["bias_pct"] == pytest.approx(0.0, abs=0.3)
    assert row["coverage"] == pytest.approx(0.90, abs=0.02)
    assert row["sd"] == pytest.approx(0.1, rel=0.05) and row["claimed_sd"] == pytest.approx(0.1)
    shifted = bench.summary(runs.assign(ratio=1.05 * ratio)).loc["pyramidal1_ca"]
    assert shifted["bias_pct"] == pytest.approx(5.0, abs=0.3)
    assert bench.flat("x", shifted.to_frame().T)["strengths_x_pyramidal1_ca_bias_pct"] == shifted["bias_pct"]


def test_one_small_run_of_the_study():
    """40 grains: one row per family with an interval about the estimate, whatever the labels."""
    bench = bench_strengths
    for is_picked in (False, True):
        run = bench.one(({"n_grains": 40, "gradual": True}, {"n_draws": 8, "max_iter": 3}, is_picked), seed=0)
        assert run["family"].tolist() == list(bench.FAMILIES)
        assert ((run["low"] < run["ratio"]) & (run["ratio"] < run["high"])).all()


def test_variants_of_a_specimen(specimen):
    """A quarter of the labels is a quarter of the labelled grains; shuffled neighbours keep their number."""
    bench = bench_coupling
    known = np.isfinite(observed(specimen)).any(1).sum()
    assert np.isfinite(observed(bench.quarter_of_labels(specimen))).any(1).sum() == known // 4
    shuffled = bench.with_shuffled_neighbours(specimen)
    assert shuffled.neighbours.shape == specimen.neighbours.shape
    assert not np.array_equal(shuffled.neighbours, specimen.neighbours)


def test_verdict_names_the_best_baseline():
    """Higher PR-AUC and lower log-loss are better; a tie with a quarter of the
    labels is no worse, but not above.
    """
    names = ["gbdt", "schmid", "coupled", "coupled_quarter"]
    scores = pd.DataFrame(
        [("slip", m, "pr_auc", v) for m, v in zip(names, (0.7, 0.4, 0.9, 0.7), strict=True)]
        + [("slip", m, "log_loss", v) for m, v in zip(names, (0.3, 0.2, 0.25, 0.3), strict=True)],
        columns=["mechanism", "model", "metric", "value"],
    )
    table = bench_coupling.verdict(scores).set_index("score")
    assert table["best baseline"].to_dict() == {"pr_auc": "gbdt", "log_loss": "schmid"}
    assert table["above"].to_dict() == {"pr_auc": True, "log_loss": False}
    assert table["quarter no worse"].to_dict() == {"pr_auc": True, "log_loss": False}


def test_scores_of_known_answers():
    """The truth explains all, one value for all nothing, noise of half the variance half; regions of
    their own 20000 draws hold what they say (binomial error 0.4 %), and no other covariance scores better.
    """
    rng = np.random.default_rng(0)
    true, area = rng.normal(size=(20000, 5)), rng.random(20000)
    share = depth_scores.explained_share
    assert share(true, true, area) == pytest.approx(1.0)
    assert share(np.ones((20000, 5)), true, area) == pytest.approx(0.0, abs=1e-12)
    assert share(true + rng.normal(size=true.shape) / np.sqrt(2), true, area) == pytest.approx(0.5, abs=0.02)
    root = rng.normal(size=(5, 5))
    drawn, own = true @ root.T, np.tile(root @ root.T, (20000, 1, 1))
    for level in (0.5, 0.9):
        inside = depth_scores.coverage(np.zeros((20000, 5)), own, drawn, level)
        assert inside.mean() == pytest.approx(level, abs=0.015)
    best = depth_scores.log_density(np.zeros((20000, 5)), own, drawn).mean()
    for factor in (0.7, 1.4):
        assert depth_scores.log_density(np.zeros((20000, 5)), factor * own, drawn).mean() < best


def test_resamples_are_whole_blocks():
    """Of 5 blocks 5 are drawn, each whole; equal statistics have no difference in any of them."""
    block = np.repeat(np.arange(5), 7)
    draws = depth_scores.resamples(block, n_boot=20)
    assert all(len(rows) == 35 for rows in draws)
    assert all((np.unique(block[rows], return_counts=True)[1] % 7 == 0).all() for rows in draws)
    low, high = depth_scores.interval(depth_scores.over(lambda rows: float(rows.mean()), draws))
    assert 0 < low < 17 < high < 34


def test_sections_are_those_of_the_volume():
    """A section seen from its own side: the law of every grain turns with it, and so does the truth. Sachs
    knows nothing of the grains, the volume's mean field more than that.
    """
    recipe = Recipe.of(3, edge=10, materials={"nickel": 1.0}, free=False)
    volume = as_arrays(solve(recipe))
    found = list(sections(volume, recipe))
    assert len(found) == 9
    for section in found:
        assert section.specimen.grains["n_pixels"].sum() == 100
        turned = section.turn @ quaternion_to_matrix(recipe.quaternions[section.grain])
        assert np.allclose(turned, quaternion_to_matrix(section.specimen.quaternions), atol=1e-9)
        assert np.allclose(
            np.linalg.norm(section.truth.stress @ rotation_5x5(section.turn), axis=1),
            np.linalg.norm(section.truth.stress, axis=1),
        )
    pairs = {"affine_volume": [], "sachs": []}
    for section in found:
        answers = bench_depth.section_answers(section, recipe, ("sachs", "affine"))
        for name, part in pairs.items():
            part.append((section.truth, answers[name]))
    _, numbers = bench_depth._pooled(pairs)
    assert numbers["sachs_explained"] == pytest.approx(0.0, abs=1e-9)
    assert numbers["affine_volume_explained"] > 0.2


def test_crude_depths_answer_for_every_grain():
    """What lies below the map changes what its grains do, and they keep their volume."""
    specimen = bench_depth.many_grains(30, 24)
    one, two = (crude_depths(specimen, count=1, layers=8, seed=seed) for seed in (0, 1))
    assert one.stress.shape == (len(specimen), 5) and np.isfinite(one.stress).all()
    assert not np.allclose(one.stress, two.stress)
    assert np.abs(one.strain_rate.trace(axis1=1, axis2=2)).max() < 1e-6
