"""Results of several data sets read together; the notebook that compares them runs on what is there."""

import json

import numpy as np
import pandas as pd
import pytest

from cpml import evaluation, paths
from cpml.errors import CpmlError
from cpml.pipeline.chain import run_comparison
from cpml.pipeline.comparison import Comparison, evaluated


def write_results(name: str, seed: int) -> None:
    """Record, scores, strengths and metrics of a data set as notebooks 04 and 05 leave them."""
    rng, folder = np.random.default_rng(seed), paths.derived(name)
    folder.mkdir(parents=True)
    grains, targets = np.arange(80) + 1, ["t0", "t1", "t2"]
    y = (rng.random((80, 3)) < 0.3) * 1.0
    base = pd.DataFrame(
        {"grain_id": np.repeat(grains, 3), "mechanism": "slip", "target": targets * 80, "family": "f"}
    )
    labels = base.drop(columns="family").assign(observed=y.ravel())
    held_out = []
    for model, noise in (("prevalence", 9.0), ("schmid", 3.0), ("coupled", 1.0)):
        logit = 3 * (y - 0.5) + noise * rng.normal(size=y.shape)
        held_out.append(base.assign(p=1 / (1 + np.exp(-logit.ravel())), model=model, fold=0))
    held_out = pd.concat(held_out, ignore_index=True)
    table = pd.DataFrame({"grain_id": grains, "block": (grains - 1) // 5, "fold": 0})
    splits = evaluation.Splits(table, None, 0)
    scores = evaluation.evaluate(held_out, labels, splits=splits, n_boot=20)
    sets = evaluation.conformal_sets(held_out, labels, splits=splits, n_boot=20).table
    parts = {"blocked": (held_out, splits), "random": (held_out[held_out["model"] != "coupled"], splits)}
    evaluation.record(parts, labels).to_parquet(folder / "evaluation.parquet", index=False)
    stacked = evaluation.stacked(footprints=scores, sets=sets, random=scores[scores["model"] != "coupled"])
    stacked.assign(data="measured data").to_parquet(folder / "scores.parquet", index=False)
    strengths = {
        "family": ["f", "g"],
        "prior_low": 0.5,
        "prior_ratio": 1.0,
        "prior_high": 2.0,
        "ratio_low": 0.8,
        "ratio": 1.0,
        "ratio_high": 1.2,
    }
    pd.DataFrame(strengths).to_parquet(folder / "strengths.parquet", index=False)


def test_nothing_evaluated_and_a_missing_data_set_are_one_message(output):
    """The message says what to run, and what is there."""
    with pytest.raises(CpmlError, match=r"no data set has been evaluated: run tasks.py run"):
        Comparison("07_comparison", {})
    write_results("a", 0)
    with pytest.raises(CpmlError, match=r"data set 'b' has not been evaluated.*done: a"):
        Comparison("07_comparison", {"dataset": ["a", "b"]})


def test_tables_of_all_data_sets_stand_under_each_other(output):
    """Scores and strengths carry the name of their data set; records stay apart."""
    write_results("a", 0)
    write_results("b", 1)
    assert evaluated() == ["a", "b"]
    run = Comparison("07_comparison", {})
    assert set(run.scores["dataset"]) == set(run.strengths["dataset"]) == set(run.records) == {"a", "b"}
    assert Comparison("07_comparison", {"dataset": ["b"]}).names == ["b"]


def test_a_data_set_in_which_nothing_was_seen_is_not_compared(output):
    """Its table of scores has no rows: it is left out, and asked for alone it is one message."""
    write_results("a", 0)
    write_results("b", 1)
    scores = paths.derived("b") / "scores.parquet"
    pd.read_parquet(scores).iloc[:0].to_parquet(scores, index=False)
    assert Comparison("07_comparison", {}).names == ["a"]
    with pytest.raises(CpmlError, match=r"data set 'b' has not been evaluated.*observed labels \(done: a\)"):
        Comparison("07_comparison", {"dataset": ["b"]})


def test_numbers_of_benchmarks_survive(output):
    """metrics.json of the comparison is shared: saving replaces the own numbers and keeps the others."""
    write_results("a", 0)
    run = Comparison("07_comparison", {})
    file = paths.reports("comparison") / "metrics.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"bench_pr_auc": 0.9}))
    run.save(old=1, n=1)
    run.save(n=2)
    assert json.loads(file.read_text()) == {"bench_pr_auc": 0.9, "n": 2}


@pytest.mark.slow
def test_the_comparison_runs_on_what_is_there(output):
    """Notebook 07 over two runs: a page that needs no network, figures, and the verdicts counted."""
    write_results("a", 0)
    write_results("a@seed-1", 1)
    index = run_comparison(["a", "a@seed-1"])
    folder = paths.reports("comparison")
    numbers = json.loads((folder / "metrics.json").read_text())
    assert index == folder / "index.html" and "All data sets side by side" in index.read_text()
    assert numbers["n_datasets"] == 2 and numbers["n_compared"] == 4
    assert numbers["a_slip_pr_auc_gain"] > 0
    assert {f"07_{n}.pdf" for n in ("scores", "gains", "optimism", "calibration", "sets", "strengths")} <= {
        p.name for p in (folder / "figures").iterdir()
    }
