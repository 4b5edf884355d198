"""Records, stacked scores and the tables of several data sets; what they say is what the predictions say."""

import numpy as np
import pandas as pd
import pytest

from cpml import evaluation
from cpml.evaluation import conformal_sets, evaluate, from_record, gains, record, stacked


@pytest.fixture
def one_map(splits_of_blocks, long_table):
    """60 grains in 12 blocks, three targets; "coupled" ranks the truth well,
    "schmid" badly, "gbdt" a little worse.
    """
    rng = np.random.default_rng(0)
    y = (rng.random((60, 3)) < 0.3) * 1.0
    seen = np.where(rng.random((60, 3)) < 0.1, np.nan, y)
    noise = {"coupled": 0.6, "gbdt": 1.2, "schmid": 4.0}
    parts = []
    for model, scale in noise.items():
        logit = 3 * (y - 0.5) + scale * rng.normal(size=y.shape)
        parts.append(long_table(1 / (1 + np.exp(-logit)), "p").assign(model=model, fold=0))
    predictions = pd.concat(parts, ignore_index=True)
    labels, truth = (long_table(v, "observed").drop(columns="family") for v in (seen, y))
    return predictions, labels, truth, splits_of_blocks(np.arange(60) // 5)


def test_the_record_regenerates_every_score(one_map, tmp_path):
    """Written and read back, the record gives the same scores, intervals and
    differences, against labels and truth.
    """
    predictions, labels, truth, splits = one_map
    table = record(
        {"blocked": (predictions, splits), "random": (predictions.assign(p=0.5), splits)}, labels, truth
    )
    table.to_parquet(tmp_path / "evaluation.parquet")
    back = pd.read_parquet(tmp_path / "evaluation.parquet")
    for against, theirs in (("observed", labels), ("true", truth)):
        pd.testing.assert_frame_equal(
            evaluate(*from_record(back, against=against)[:2], splits=from_record(back)[2]),
            evaluate(predictions, theirs, splits=splits),
        )
    p, y, again = from_record(back, split="random")
    assert (p["p"] == 0.5).all() and evaluate(p, y, splits=again)["n_labels"].iloc[0] == labels[
        "observed"
    ].notna().sum()


def test_truth_is_asked_for_what_is_active(one_map):
    """Against the truth p is that of being active, of every model by the same rates; against footprints it
    stays.
    """
    predictions, labels, truth, splits = one_map
    recorded = predictions.assign(p=0.5 * predictions["p"])
    own = recorded.assign(p_active=predictions["p"].where(predictions["model"] == "coupled"))
    table = record({"blocked": (own, splits)}, labels, truth)
    keys = ["model", "grain_id", "mechanism", "target"]
    for against, wanted in (("true", predictions), ("observed", recorded)):
        found = from_record(table, against=against)[0].set_index(keys)["p"]
        assert found.to_numpy() == pytest.approx(wanted.set_index(keys)["p"][found.index].clip(upper=0.99))


def test_gains_are_over_the_best_other_model(one_map):
    """The best other is gbdt for both scores; gains equal the differences with the
    sign that makes better positive.
    """
    predictions, labels, truth, splits = one_map
    table = gains({"a": record({"blocked": (predictions, splits)}, labels, truth)}, n_boot=50)
    assert set(table["best"]) == {"gbdt"} and set(table["against"]) == {"footprints", "truth"}
    plain = evaluate(predictions, labels, splits=splits, n_boot=0).set_index(["model", "metric"])["value"]
    own = table[table["against"] == "footprints"].set_index("score")
    for score, sign in (("pr_auc", 1), ("log_loss", -1)):
        difference = plain["coupled", score] - plain["gbdt", score]
        assert own.at[score, "difference"] == pytest.approx(sign * difference)
        assert own.at[score, "low"] <= own.at[score, "difference"] <= own.at[score, "high"]
    assert (table["difference"] > 0).all()


def test_stacked_scores_hold_what_the_comparison_draws(one_map):
    """Coverage and optimism come back from the stacked table as they went in."""
    predictions, labels, _, splits = one_map
    scores = evaluate(predictions, labels, splits=splits, n_boot=20)
    lucky = scores.assign(value=scores["value"] + 0.1)
    sets = conformal_sets(predictions, labels, splits=splits).table
    table = stacked(footprints=scores, random=lucky, sets=sets, truth=None, empty=scores.iloc[:0]).assign(
        dataset="a"
    )
    assert set(table["kind"]) == {"footprints", "random", "sets"}
    assert evaluation.random_minus_blocked(table)["gap"].to_numpy() == pytest.approx(np.full(3, 0.1))
    line, given = evaluation.coverage(table).iloc[0], sets.set_index("model").loc["coupled"]
    assert [line["coverage"], line["set_share"], line["sets"]] == [
        given["coverage"],
        given["set_share"],
        "calibrated",
    ]


def test_a_map_on_which_nothing_was_seen_has_tables_without_rows(one_map):
    """No footprint at all: sets and stacked scores keep the columns that they have otherwise."""
    predictions, labels, _, splits = one_map
    unseen = labels.assign(observed=np.nan)
    full, empty = (conformal_sets(predictions, known, splits=splits) for known in (labels, unseen))
    for name in ("rows", "blocks", "table"):
        assert getattr(empty, name).empty
        assert set(getattr(empty, name)) == set(getattr(full, name)), name
    scores = evaluate(predictions, unseen, splits=splits, n_boot=0)
    table = stacked(footprints=scores, sets=empty.table, truth=None)
    assert table.empty and {"kind", "mechanism", "model", "metric", "value"} <= set(table)


def test_calibration_of_one_model_by_data_set(one_map):
    """Counts add up to the observed labels; the error is that of the metric."""
    predictions, labels, truth, splits = one_map
    tables, errors = evaluation.calibration({"a": record({"blocked": (predictions, splits)}, labels, truth)})
    assert tables["slip"]["a"]["count"].sum() == labels["observed"].notna().sum()
    table = evaluate(predictions, labels, splits=splits, n_boot=0).set_index(["model", "metric"])
    assert errors["slip", "a"] == pytest.approx(table.at[("coupled", "ece"), "value"])
