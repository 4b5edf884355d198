"""What the benchmarks compute from their runs, and that one run of the estimator study goes through."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import bench_coupling, bench_strengths
from cpml.models import observed


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
