"""The real notebooks on a corner of the demo: the whole chain, rerun, and bounds on what it found."""

import json

import numpy as np
import pandas as pd
import pytest

from cpml import evaluation, paths
from cpml.pipeline.chain import run_dataset


@pytest.mark.slow
def test_the_chain_runs_reruns_nothing_and_stays_physical(tiny_demo, capsys):
    """All notebooks run, beside each other; a second call skips all; metrics obey physical bounds."""
    index = run_dataset(str(tiny_demo), jobs=2)
    first = capsys.readouterr().out
    assert first.count("cached") == 0 and index.is_file()
    metrics = json.loads((paths.reports("tiny-demo") / "metrics.json").read_text())
    assert 0 < metrics["indexed_share"] <= 1
    assert metrics["n_grains"] <= metrics["n_fragments"]
    assert 2.0 < metrics["mean_taylor_factor"] < 5.0
    assert metrics["yield_sachs_mpa"] <= metrics["yield_taylor_mpa"]
    assert 0.2 < metrics["trust"] < 3.0 and 0.0 < metrics["variation"] < 1.0
    for name, value in metrics.items():
        if name.endswith(("pr_auc", "roc_auc", "brier", "top1", "top2")) and value is not None:
            assert 0.0 <= value <= 1.0, name
    check_that_predictions_regenerate_the_numbers(metrics)
    run_dataset(str(tiny_demo))
    assert capsys.readouterr().out.count("cached") == first.count(" s\n") > 5


def check_that_predictions_regenerate_the_numbers(metrics):
    """The scores in metrics.json, and the table in the report, are those of the predictions on disk."""
    held_out = pd.read_parquet(paths.derived("tiny-demo") / "evaluation.parquet")
    predictions, labels, splits = evaluation.from_record(held_out)
    scores = evaluation.evaluate(predictions, labels, splits=splits)
    for name, value in evaluation.flat_metrics(scores).items():
        written = metrics[name]
        assert np.isnan(value) if written is None else written == pytest.approx(value), name
    shown = pd.read_csv(paths.reports("tiny-demo") / "tables" / "05_scores.csv")
    pd.testing.assert_frame_equal(shown, evaluation.overview(scores), check_dtype=False)
