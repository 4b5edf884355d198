"""Figures of several data sets draw the numbers they are given, at their final size."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cpml import plots
from cpml.errors import ParameterError


@pytest.fixture
def gains():
    return pd.DataFrame(
        {
            "row": ["a, slip", "a, twin", "a, slip", "a, slip"],
            "against": ["footprints", "footprints", "truth", "footprints"],
            "score": ["pr_auc", "pr_auc", "pr_auc", "log_loss"],
            "best": "gbdt",
            "difference": [0.1, -0.05, 0.2, 0.01],
            "low": [0.05, -0.1, 0.1, -0.01],
            "high": [0.2, 0.01, 0.3, 0.02],
        }
    )


def test_forest_draws_one_panel_per_score_and_one_marker_per_truth(gains):
    """Differences stand where they belong, intervals reach from low to high, width 176 mm."""
    fig = plots.forest(gains, columns={"pr_auc": "gained", "log_loss": "saved"})
    left, right = fig.axes
    assert fig.get_figwidth() * 25.4 == pytest.approx(176)
    drawn = [line.lines[0].get_xdata() for line in left.containers]
    assert np.allclose(drawn[0], [0.1, -0.05]) and np.allclose(drawn[1], [0.2])
    bars = left.containers[0].lines[2][0].get_segments()
    assert np.allclose([s[:, 0] for s in bars], [[0.05, 0.2], [-0.1, 0.01]])
    assert [t.get_text() for t in left.get_yticklabels()] == ["a, slip", "a, twin"]
    assert np.allclose(right.containers[0].lines[0].get_xdata(), [0.01])
    with pytest.raises(ParameterError, match="best"):
        plots.forest(gains.drop(columns="best"), columns={"pr_auc": "gained"})


def test_coverage_rows_show_interval_size_and_blocks():
    """Means, bars of the share of targets, one dot per block, models by their names in words."""
    table = pd.DataFrame(
        {
            "row": ["schmid", "coupled"],
            "coverage": [0.9, 0.91],
            "low": [0.8, 0.85],
            "high": [1.0, 0.95],
            "set_share": [0.7, 0.3],
        }
    )
    blocks = pd.DataFrame({"row": ["schmid"] * 3, "coverage": [0.8, 0.9, 1.0]})
    left, right = plots.coverage_rows(table, blocks=blocks).axes
    assert [p.get_width() for p in right.patches] == [0.7, 0.3]
    assert np.allclose(left.containers[0].lines[0].get_xdata(), [0.9, 0.91])
    assert np.allclose(left.lines[0].get_xdata(), [0.8, 0.9, 1.0])
    assert [t.get_text() for t in left.get_yticklabels()] == ["Schmid factor", "coupled"]


def test_optimism_keeps_every_point():
    """One point per model, data set and mechanism; models in the project's order."""
    table = pd.DataFrame(
        {
            "model": ["coupled", "schmid"] * 2,
            "group": ["a, slip"] * 2 + ["b, slip"] * 2,
            "gap": [0.1, 0.2, 0.3, 0.4],
        }
    )
    ax = plots.optimism_points(table).axes[0]
    found = sorted(x for line in ax.lines for x in line.get_xdata() if line.get_linestyle() == "None")
    assert found == [0.1, 0.2, 0.3, 0.4]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["Schmid factor", "coupled"]


def test_calibration_has_a_panel_per_mechanism():
    """Lines run through the bins; the error stands in the legend and is explained below."""
    bins = pd.DataFrame(
        {"predicted": [0.1, 0.9], "observed": [0.2, 0.8], "low": [0.1, 0.7], "high": [0.3, 0.9]}
    )
    fig = plots.calibration_by_dataset(
        {"slip": {"a": bins}, "twin": {"a": bins, "b": bins}}, errors={("slip", "a"): 0.1}
    )
    assert len(fig.axes) == 2
    assert fig.axes[0].get_legend().get_texts()[0].get_text() == "a (0.100)"
    assert fig.get_supxlabel() == "in brackets: calibration error"


def test_strengths_and_scores_have_a_row_each():
    """Learned beside literature, in the order of the table; scores of models by data set."""
    table = pd.DataFrame({"dataset": ["a", "a", "b"], "family": ["basal", "prismatic", "octahedral"]})
    for name, value in (("prior_ratio", 2.0), ("ratio", 3.0)):
        table[name] = value
    table = table.assign(prior_low=1.0, prior_high=4.0, ratio_low=2.5, ratio_high=3.5)
    ax = plots.strengths_by_dataset(table).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a, basal", "a, prismatic", "b, octahedral"]
    scores = pd.DataFrame(
        {
            "row": "a, slip",
            "model": ["schmid", "coupled"],
            "value": [0.3, 0.6],
            "low": [0.2, 0.5],
            "high": [0.4, 0.7],
        }
    )
    ax = plots.model_scores(scores, label="PR-AUC").axes[0]
    assert [float(c.lines[0].get_xdata()[0]) for c in ax.containers] == [0.3, 0.6]


def test_no_row_is_no_figure(gains):
    """A comparison without data sets, or with models that could not be scored, draws nothing."""
    nothing = gains.iloc[:0]
    assert plots.forest(nothing, columns={"pr_auc": "gained"}) is None
    assert plots.calibration_by_dataset({}) is None
    rows = pd.DataFrame(
        columns=["row", "model", "group", "gap", "value", "low", "high", "coverage", "set_share"]
    )
    assert plots.optimism_points(rows) is plots.model_scores(rows, label="PR-AUC") is None
    assert plots.coverage_rows(rows) is None
    assert plots.bars_with_intervals(rows, label="PR-AUC") is None
    assert not plt.get_fignums()
