"""Ambiguous traces: bounds for every choice, gain per trace by hand; shares against true amounts."""

import itertools

import numpy as np
import pandas as pd
import pytest

from cpml.evaluation import amount_scores, candidate_bounds, evaluate, trace_gain


def ambiguous(rng, n=8, targets=4):
    """Probabilities and labels of n grains; the first three have a trace each that fits two open targets."""
    p = rng.random((n, targets))
    y = (rng.random((n, targets)) < p) * 1.0
    pairs = [tuple(rng.choice(targets, 2, replace=False)) for _ in range(3)]
    for grain, pair in enumerate(pairs):
        y[grain, list(pair)] = np.nan
    return p, y, pairs, [(g + 1, {f"t{a}": 0.7, f"t{b}": 0.3}) for g, (a, b) in enumerate(pairs)]


@pytest.mark.parametrize("seed", range(4))
def test_every_choice_lies_between_the_bounds(seed, splits_of_blocks, long_table, candidate_table):
    """All 8 ways to pick one source per trace: each score is within its bounds, and both ends are reached."""
    p, y, pairs, traces = ambiguous(np.random.default_rng(seed))
    splits, predictions = splits_of_blocks(np.arange(8) // 2), long_table(p, "p").assign(model="m")
    labels, candidates = long_table(y, "observed"), candidate_table(traces)
    bounds = candidate_bounds(predictions, labels, candidates, splits=splits).set_index("metric")
    seen = []
    for choice in itertools.product((0, 1), repeat=3):
        filled = y.copy()
        for grain, (pair, k) in enumerate(zip(pairs, choice, strict=True)):
            filled[grain, list(pair)] = 0.0
            filled[grain, pair[k]] = 1.0
        table = evaluate(predictions, long_table(filled, "observed"), splits=splits, n_boot=0)
        seen.append(table.set_index("metric")["value"][bounds.index])
    seen = pd.concat(seen, axis=1)
    assert np.allclose(seen.min(axis=1), bounds["lower"]) and np.allclose(seen.max(axis=1), bounds["upper"])
    assert bounds["n_open"].unique().tolist() == [6] and "ece" not in bounds.index


def test_without_ambiguous_traces_there_are_no_bounds(splits_of_blocks, long_table):
    """Nothing open, nothing to bound."""
    table = long_table(np.full((4, 2), 0.5), "p").assign(model="m", observed=1.0)
    assert candidate_bounds(table, table, None, splits=splits_of_blocks(np.arange(4))).empty


def test_gain_per_trace_by_hand(splits_of_blocks, long_table, candidate_table):
    """Equal planes gain 0; all the share on the one candidate of four planes gains log(0.95 x 4 + 0.05)."""
    p = np.tile([0.8, 0.0, 0.0, 0.0], (6, 1))
    both = pd.concat(
        [long_table(p, "p").assign(model="sure"), long_table(np.full((6, 4), 0.3), "p").assign(model="equal")]
    )
    traces = candidate_table([(grain, {"t0": 1.0}) for grain in range(1, 7)])
    table = trace_gain(both, traces, splits=splits_of_blocks(np.arange(6))).set_index("model")
    assert table.at["sure", "value"] == pytest.approx(np.log(0.95 * 4 + 0.05), abs=1e-6)
    assert table.at["equal", "value"] == pytest.approx(0.0, abs=1e-12)
    assert (
        table.at["sure", "low"] == pytest.approx(table.at["sure", "high"])
        and table.at["sure", "n_traces"] == 6
    )


def test_shares_against_true_amounts(splits_of_blocks, long_table):
    """The true amounts times any factor per grain: rank correlation 1, error 0;
    equal shares: none, 0.25 by hand.
    """
    rng = np.random.default_rng(0)
    amount = rng.random((20, 4))
    truth = long_table(amount, "amount").drop(columns="family")
    exact = long_table(amount * rng.random((20, 1)), "p").assign(model="exact")
    equal = long_table(np.full((20, 4), 0.1), "p").assign(model="equal")
    table = amount_scores(pd.concat([exact, equal]), truth, splits=splits_of_blocks(np.arange(20) // 2))
    table = table.set_index(["model", "metric"])["value"]
    assert table["exact", "share_spearman"] == pytest.approx(1.0) and table["exact", "share_rmse"] < 1e-12
    share = amount / amount.sum(1, keepdims=True)
    assert table["equal", "share_rmse"] == pytest.approx(np.sqrt(np.mean((share - 0.25) ** 2)))
    assert np.isnan(table["equal", "share_spearman"])


def test_a_share_column_is_used_where_the_model_gives_one(splits_of_blocks, long_table):
    """p says nothing, share says all."""
    amount = np.random.default_rng(1).random((20, 3))
    model = long_table(np.full((20, 3), 0.5), "p").assign(model="m", share=amount.ravel())
    table = amount_scores(
        model, long_table(amount, "amount"), splits=splits_of_blocks(np.arange(20)), n_boot=0
    )
    assert table.set_index("metric").at["share_spearman", "value"] == pytest.approx(1.0)
