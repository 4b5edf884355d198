"""Prediction sets: coverage in simulation, the limits of few blocks, and candidate sets."""

import numpy as np
import pandas as pd
import pytest

from cpml.errors import ParameterError
from cpml.evaluation import conformal_sets
from cpml.evaluation.conformal import needed_blocks, threshold

TARGETS = 6


def simulated(rng, n_blocks, per_block, *, spread):
    """Softmax predictions of one target per grain; exchangeable blocks differ in how good they are."""
    block = np.repeat(np.arange(n_blocks), per_block)
    skill = np.exp(spread * rng.normal(size=n_blocks))[block]
    truth = rng.integers(TARGETS, size=len(block))
    logit = rng.normal(size=(len(block), TARGETS)) + 2.0 * skill[:, None] * (
        truth[:, None] == np.arange(TARGETS)
    )
    p = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
    return block, truth, p


def coverage(seed, n_blocks, *, level=0.9, per_block=10):
    """Coverage of the last block by a threshold from all others, one number per simulated map."""
    rng = np.random.default_rng(seed)
    hits = []
    for _ in range(300):
        block, truth, p = simulated(rng, n_blocks, per_block, spread=0.3)
        score = 1 - p[np.arange(len(truth)), truth]
        last = block == n_blocks - 1
        hits.append((score[last] <= threshold(score[~last], block[~last], level=level)).mean())
    return np.array(hits)


@pytest.mark.parametrize("n_blocks", [16, 40])
def test_sets_cover_the_level_on_average(n_blocks):
    """Exchangeable blocks: the mean coverage is the level, 0.88 to 0.92 for 15 or more calibration blocks."""
    assert 0.88 < coverage(1, n_blocks).mean() < 0.92


def test_other_levels():
    """80 % sets cover 78 to 82 %, from 4 calibration blocks on."""
    assert needed_blocks(0.8) == 4 and needed_blocks(0.9) == 9 and needed_blocks(0.95) == 19
    assert 0.78 < coverage(2, 20, level=0.8).mean() < 0.82


def test_few_blocks_give_everything_and_say_so(splits_of_blocks, long_table):
    """8 calibration blocks cannot support 90 %: every target is in the set; 9 can."""
    for n_blocks, says in ((9, "everything: 8 calibration blocks, 9 needed for 90%"), (10, "calibrated")):
        block, truth, p = simulated(np.random.default_rng(0), n_blocks, 20, spread=0.0)
        labels = long_table(truth[:, None] == np.arange(TARGETS), "observed")
        found = conformal_sets(long_table(p, "p").assign(model="m"), labels, splits=splits_of_blocks(block))
        assert found.table["sets"].tolist() == [says]
        assert found.rows["in_set"].all() == (n_blocks == 9)
        assert (found.table["set_share"].iloc[0] == 1.0) == (n_blocks == 9)


def test_sets_of_one_map(splits_of_blocks, long_table):
    """16 blocks of 40 grains: coverage 0.88 to 0.92, sets at most half of the targets, a
    better model has smaller ones.
    """
    block, truth, p = simulated(np.random.default_rng(3), 16, 40, spread=0.3)
    labels = long_table(truth[:, None] == np.arange(TARGETS), "observed")
    good, vague = (
        long_table(p, "p").assign(model="good"),
        long_table(p**0.0 / TARGETS, "p").assign(model="vague"),
    )
    found = conformal_sets(pd.concat([good, vague]), labels, splits=splits_of_blocks(block)).table.set_index(
        "model"
    )
    assert 0.88 < found.at["good", "coverage"] < 0.92
    assert found.at["good", "low"] < 0.9 < found.at["good", "high"]
    assert found.at["good", "set_share"] < 0.5 < found.at["vague", "set_share"] == 1.0
    assert found.at["good", "n_footprints"] == 640


def test_a_block_never_calibrates_itself(splits_of_blocks, long_table):
    """Changing the labels of one block changes the thresholds of the others, never its own."""
    block, truth, p = simulated(np.random.default_rng(4), 12, 15, spread=0.3)
    splits, predictions = splits_of_blocks(block), long_table(p, "p").assign(model="m")
    other = np.where(block == 0, (truth + 1) % TARGETS, truth)
    limit = []
    for target in (truth, other):
        labels = long_table(target[:, None] == np.arange(TARGETS), "observed")
        rows = conformal_sets(predictions, labels, splits=splits).rows
        limit.append(rows.groupby("grain_id")["threshold"].first())
    own = block == 0
    assert (limit[0][own] == limit[1][own]).all()
    assert (limit[0][~own] != limit[1][~own]).any()


def traces_of(truth, rng):
    """A trace in every grain that fits its true target and another one."""
    second = (truth + rng.integers(1, TARGETS, size=len(truth))) % TARGETS
    return [(g + 1, {f"t{a}": 0.5, f"t{b}": 0.5}) for g, (a, b) in enumerate(zip(truth, second, strict=True))]


def test_candidate_sets_bound_the_coverage(splits_of_blocks, long_table, candidate_table):
    """The coverage of the hidden true target lies between all candidates inside and any
    inside; pessimistic sets hold it.
    """
    rng = np.random.default_rng(5)
    block, truth, p = simulated(rng, 16, 40, spread=0.3)
    predictions, splits = long_table(p, "p").assign(model="m"), splits_of_blocks(block)
    labels = long_table(np.full(p.shape, np.nan), "observed")
    size = {}
    for how in ("pessimistic", "angle", "optimistic"):
        candidates = candidate_table(traces_of(truth, rng))
        found = conformal_sets(predictions, labels, candidates, splits=splits, ambiguous=how)
        line = found.table.iloc[0]
        inside = found.rows["in_set"].to_numpy().reshape(-1, TARGETS)[np.arange(len(truth)), truth].mean()
        assert line["coverage_least"] - 0.01 <= inside <= line["coverage_most"] + 0.01
        assert line["coverage_least"] < line["coverage"] < line["coverage_most"]
        size[how] = line["set_size"]
        if how == "pessimistic":
            assert inside > 0.88
    assert size["optimistic"] < size["angle"] < size["pessimistic"]


def test_sets_do_not_ask_whether_there_is_a_footprint(splits_of_blocks, long_table):
    """Dividing all probabilities of a grain by any number leaves its set alone: scores are relative."""
    rng = np.random.default_rng(7)
    block, truth, p = simulated(rng, 16, 40, spread=0.3)
    labels, splits = long_table(truth[:, None] == np.arange(TARGETS), "observed"), splits_of_blocks(block)
    fainter = p * rng.uniform(0.05, 1.0, size=(len(p), 1))
    shares = [
        conformal_sets(long_table(v, "p").assign(model="m"), labels, splits=splits).table["set_share"].iloc[0]
        for v in (p, fainter)
    ]
    assert shares[1] == pytest.approx(shares[0])


def test_refuses_what_it_cannot_do(splits_of_blocks, long_table):
    """A level of 1 or an unknown treatment of candidates: one clear error."""
    table = long_table(np.full((4, 2), 0.5), "p").assign(model="m", observed=1.0)
    for options in ({"level": 1.0}, {"ambiguous": "guess"}):
        with pytest.raises(ParameterError, match="level"):
            conformal_sets(table, table, splits=splits_of_blocks(np.zeros(4, int)), **options)
