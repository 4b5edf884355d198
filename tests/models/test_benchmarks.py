"""What the benchmarks compute from their runs, and that one run of the estimator study goes through."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks import (
    bench_coupling,
    bench_depth,
    bench_strengths,
    coupling_variants as variants,
    depth_scores,
    stress_hot_spots,
)
from benchmarks.depth_specimens import crude_depths, sections
from benchmarks.factory_specimens import load_any
from benchmarks.virtual_specimens import VirtualSpecimen
from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.tensors import rotation_5x5
from cpml.models import CoupledClassifier, FamilyShare, SchmidFamily, observed, schmid_of_tokens
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
            "widened_low": ratio - 0.33,
            "widened_high": ratio + 0.33,
            "truth": 2.5,
            "seconds": 1.0,
            "converged": True,
        }
    )
    row = bench.summary(runs).loc["pyramidal1_ca"]
    assert row["bias_pct"] == pytest.approx(0.0, abs=0.3)
    assert row["coverage"] == pytest.approx(0.90, abs=0.02)
    assert row["coverage_widened"] > 0.99  # 3.3 standard deviations
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
    """A quarter of the labels is a quarter of the labelled grains, and a part of a half; shuffled neighbours
    keep their number.
    """
    known = np.isfinite(observed(specimen)).any(1)
    half, quarter = (
        np.isfinite(observed(variants.share_of_labels(specimen, share))).any(1) for share in (0.5, 0.25)
    )
    assert quarter.sum() == known.sum() // 4 and not (quarter & ~half).any()
    shuffled = variants.with_shuffled_neighbours(specimen)
    assert shuffled.neighbours.shape == specimen.neighbours.shape
    assert not np.array_equal(shuffled.neighbours, specimen.neighbours)


def test_exchanged_labels_keep_how_often_and_lose_where(specimen):
    """Grains swap all that was seen in them: the rows of the table of labels are the same in another order,
    traces go with their grain, and the Schmid rule finds nothing in them (true footprints: AUC above 0.9).
    """
    exchanged = variants.exchanged_labels(specimen)
    # without lines every label counts: which ones a line would name differs from grain to grain
    before, after = (observed(replace(s, traces=s.traces.iloc[:0])) for s in (specimen, exchanged))
    assert sorted(map(str, before)) == sorted(map(str, after)) and not np.array_equal(
        before, after, equal_nan=True
    )
    assert exchanged.imaged.sum() == specimen.imaged.sum()
    count = [np.sort(np.bincount(s.trace_grain, minlength=len(s))) for s in (specimen, exchanged)]
    assert (count[0] == count[1]).all()
    twins = (specimen.tokens["mechanism"] == "twin").to_numpy()
    factor = schmid_of_tokens(specimen)[:, twins]
    auc = [roc_auc_score(y[:, twins].ravel(), factor.ravel()) for y in (before, after)]
    assert auc[0] > 0.9 and auc[1] < 0.75


def test_a_worse_microscope(specimen):
    """Nothing added changes no footprint; what is missed is gone, false lines are there, and angles that are
    known to be worse leave more planes open.
    """
    same = variants.noisy_labels(specimen)
    assert np.array_equal(observed(same), observed(specimen), equal_nan=True)
    assert len(variants.noisy_labels(specimen, missed=1.0).traces) == 0
    assert np.nansum(observed(variants.noisy_labels(specimen, missed=1.0))) == 0
    more = variants.noisy_labels(specimen, false=0.5)
    assert len(more.traces) > len(specimen.traces)
    assert more.imaged.sum() == specimen.imaged.sum()
    blurred = variants.noisy_labels(specimen, angle_deg=5.0)
    assert np.isnan(observed(blurred)).sum() > np.isnan(observed(specimen)).sum()


def test_parts_of_a_benchmark_by_name():
    """Parts and options of the command line; what is unknown ends it."""
    parts, settings = bench_coupling._parsed(["blocks", "crops", "--specimens", "mg_hcp_G", "--seeds", "2"])
    assert parts == ["blocks", "crops"] and settings.specimens == ["mg_hcp_G"]
    assert [settings.seed(k) for k in range(5)] == [0, 1, 0, 1, 0]
    everyone = bench_coupling._parsed([])[1].everyone(1)
    assert [m.name for m in everyone][-1] == "coupled" and everyone[-1].seed == 1
    for wrong in (["nothing"], ["--partitions", "0"], ["--models", "best"]):
        with pytest.raises(SystemExit):
            bench_coupling._parsed(wrong)
    with pytest.raises(KeyError, match="mg_hcp_A"):
        load_any("nowhere")


def test_a_guess_is_scored_by_the_entropy():
    """Log-loss of the prevalence itself: 0.325 nats at 10 %, ln 2 at one half."""
    scores = pd.DataFrame({"mechanism": ["a", "b"], "model": "m", "metric": "top1", "prevalence": [0.1, 0.5]})
    table = bench_coupling._guesses(scores).set_index(["mechanism", "metric"])["value"]
    assert table["a", "log_loss"] == pytest.approx(0.3251, abs=1e-4)
    assert table["b", "log_loss"] == pytest.approx(np.log(2)) and table["b", "pr_auc"] == 0.5


def test_one_small_specimen_goes_through(specimen, capsys):
    """Two partitions of 60 grains with rules and a short F: every score printed and written, the gain over
    itself not asked, and the true answer is more probable than a record of it.
    """
    truth = specimen.labels.assign(observed=specimen.labels["observed"].fillna(0.0), amount=1.0)
    virtual = VirtualSpecimen(specimen, None, truth, pd.DataFrame(), pd.Series(dtype=int))

    def everyone(seed):
        short = CoupledClassifier(scheme="sachs", residual=False, edges=False, n_draws=4, max_iter=3)
        return [FamilyShare(), SchmidFamily(), short]

    settings = bench_coupling.Settings(partitions=2)
    held_out = bench_coupling._held_out(virtual, settings, everyone)
    numbers = bench_coupling.report("small", held_out)
    told = capsys.readouterr().out
    assert "log_loss recorded" in told and "what coupled gains over each" in told
    for model in ("family_share", "schmid_family", "coupled"):
        assert 0 <= numbers[f"small_truth_slip_{model}_pr_auc_within"] <= 1
        assert np.isfinite(numbers[f"small_footprints_twin_grain_{model}_log_loss"])
    assert "small_truth_gain_over_slip_schmid_family_log_loss_low" in numbers
    assert "small_truth_gain_over_slip_coupled_log_loss" not in numbers


def test_hot_spots_are_the_hardest_tenth():
    """Six of sixty grains; ranked by itself an AUC of 1, by its negative of 0, by a constant of one half."""
    stress = np.random.default_rng(0).normal(size=(60, 5))
    hot, size = stress_hot_spots.hot_grains(stress), np.linalg.norm(stress, axis=1)
    assert hot.sum() == 6
    assert stress_hot_spots.ranking(hot, size) == 1.0 and stress_hot_spots.ranking(hot, -size) == 0.0
    assert stress_hot_spots.ranking(hot, np.ones(60)) == 0.5
    assert np.isnan(stress_hot_spots.ranking(np.zeros(60, bool), size))


def test_grain_stress_of_a_fit(specimen, fitted):
    """One positive number a grain: the mean magnitude over the draws, which is no less than the magnitude of
    their mean (1e-9 for rounding).
    """
    size = stress_hot_spots.grain_stress_of(fitted, specimen)
    data, theta = fitted.forward(specimen)
    of_mean = np.linalg.norm(data.at(theta).stress.detach().mean(1).numpy(), axis=1)
    assert size.shape == (len(specimen),) and (size > 0).all()
    assert (size >= of_mean - 1e-9).all()


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
