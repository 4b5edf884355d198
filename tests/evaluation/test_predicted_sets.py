"""Sets for specimens without labels: coverage in simulation, what supports them, what each unit weighs."""

import numpy as np
import pandas as pd
import pytest

from cpml.errors import ParameterError
from cpml.evaluation import Labelled, conformal_sets, flat_sets, predict_sets, set_coverage

TARGETS = 6


@pytest.fixture
def specimen_of(splits_of_blocks, long_table):
    """make(rng, n_blocks, per_block, skill) -> `Labelled` with one observed target per grain; the predictions
    of a specimen are as good as its ``skill``.
    """

    def make(rng, n_blocks=4, per_block=10, skill=1.0) -> Labelled:
        n = n_blocks * per_block
        truth = rng.integers(TARGETS, size=n)
        logits = rng.normal(size=(n, TARGETS)) + 2.0 * skill * (truth[:, None] == np.arange(TARGETS))
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        labels = long_table(truth[:, None] == np.arange(TARGETS), "observed")
        predictions = long_table(p, "p").assign(model="m")
        return Labelled(predictions, labels, None, splits_of_blocks(np.arange(n) // per_block))

    return make


def test_sets_of_new_specimens_cover_the_level_on_average(specimen_of):
    """Specimens differ in how well they are predicted: over 60 worlds of 12 labelled and one new specimen the
    mean coverage is 0.88 to 0.92 (its standard error is 0.01).
    """
    rng, held = np.random.default_rng(0), []
    for _ in range(60):
        *labelled, new = (specimen_of(rng, skill=np.exp(0.3 * rng.normal())) for _ in range(13))
        sets = predict_sets(labelled, new.predictions)
        assert sets.table["unit"].iloc[0] == "specimen"
        held.append((sets.rows["in_set"] & (new.labels["observed"] == 1)).sum() / len(new.splits.table))
    assert 0.88 < np.mean(held) < 0.92


@pytest.mark.parametrize(
    ("n_specimens", "n_blocks", "unit", "says"),
    [
        (9, 1, "specimen", "calibrated on 9 specimens"),
        (8, 2, "block", "calibrated on 16 blocks of 8 specimens, as if specimens were blocks"),
        (1, 9, "block", "calibrated on 9 blocks of 1 specimen, as if specimens were blocks"),
        (1, 8, "", "everything: 8 blocks of 1 specimen, 9 needed for 90%"),
    ],
)
def test_what_supports_the_sets(specimen_of, n_specimens, n_blocks, unit, says):
    """Nine specimens, or else nine blocks; with fewer the sets are everything. Where two specimens or more
    calibrate, each has been covered by the others.
    """
    rng = np.random.default_rng(1)
    labelled = [specimen_of(rng, n_blocks) for _ in range(n_specimens)]
    sets = predict_sets(labelled, specimen_of(rng).predictions)
    line = sets.table.iloc[0]
    assert (line["unit"], line["sets"]) == (unit, says)
    assert (line["n_specimens"], line["n_blocks"]) == (n_specimens, n_specimens * n_blocks)
    assert sets.rows["in_set"].all() == (unit == "")
    assert np.isfinite(line["across_low"]) == (n_specimens > 1)
    if n_specimens > 1:
        assert line["across_low"] < 0.9 < line["across_high"]


def test_specimens_weigh_the_same(specimen_of):
    """A specimen whose blocks hold the same footprints ten times over moves no threshold; one with ten times
    the blocks does not either.
    """
    rng = np.random.default_rng(2)
    small, other, new = specimen_of(rng), specimen_of(rng, skill=0.3), specimen_of(rng).predictions
    copies = [
        table.assign(grain_id=table["grain_id"] + 1000 * i)
        for i in range(10)
        for table in (small.predictions, small.labels, small.splits.table)
    ]
    predictions, labels, grains = (pd.concat(copies[i::3], ignore_index=True) for i in range(3))
    limits = []
    for n_blocks in (4, 40):
        own = grains.assign(block=grains["block"] + 4 * (grains["grain_id"] // 1000) * (n_blocks == 40))
        large = Labelled(predictions, labels, None, type(small.splits)(own, None, 0))
        limits.append(predict_sets([large, other], new, level=0.8).table["threshold"].iloc[0])
    expected = predict_sets([small, other], new, level=0.8).table["threshold"].iloc[0]
    assert limits == [expected, expected]


def test_one_specimen_gives_the_threshold_of_its_blocks(specimen_of):
    """A new specimen gets the threshold that a further block of the labelled one would get."""
    rng = np.random.default_rng(3)
    one = specimen_of(rng, 16)
    first = one.splits.table["block"] == 0
    kept = type(one.splits)(one.splits.table[~first].reset_index(drop=True), None, 0)
    limit = predict_sets(Labelled(one.predictions, one.labels, None, kept), one.predictions)
    rows = conformal_sets(one.predictions, one.labels, splits=one.splits, n_boot=0).rows
    in_first = rows[rows["grain_id"].isin(one.splits.table.loc[first, "grain_id"])]
    assert limit.table["threshold"].iloc[0] == in_first["threshold"].iloc[0]


def test_coverage_of_what_was_active_is_counted_apart(specimen_of, long_table):
    """Recorded are the targets of half of the grains; the active ones are counted over all grains, and a set
    that holds them all does so whatever was recorded.
    """
    rng = np.random.default_rng(4)
    labelled, new = specimen_of(rng, 10), specimen_of(rng, 10)
    seen = new.labels.assign(observed=new.labels["observed"].where(new.labels["grain_id"] % 2 == 0, np.nan))
    rows = predict_sets(labelled, new.predictions).rows
    found = set_coverage(rows, seen, splits=new.splits, truth=new.labels, n_boot=20).table.iloc[0]
    inside = rows["in_set"][(new.labels["observed"] == 1).to_numpy()]
    assert found["coverage_active"] == pytest.approx(inside.mean()) and found["n_active"] == len(inside)
    assert found["coverage"] == pytest.approx(inside[rows["grain_id"] % 2 == 0].mean())
    assert found["n_footprints"] == found["n_real"] == len(inside) / 2
    everything = set_coverage(rows.assign(in_set=True), seen, splits=new.splits, truth=new.labels).table
    assert everything[["coverage", "coverage_active", "set_share"]].to_numpy().tolist() == [[1.0] * 3]
    without = set_coverage(rows, seen, splits=new.splits).table
    assert np.isnan(without["coverage_active"].iloc[0])
    assert not [name for name in flat_sets(without.assign(sets="")) if "active" in name]


def test_models_and_mechanisms_that_nobody_labelled_get_everything(specimen_of):
    """A mechanism without labels has no threshold, and its line says so."""
    rng = np.random.default_rng(5)
    labelled, new = specimen_of(rng, 16), specimen_of(rng).predictions
    sets = predict_sets(labelled, pd.concat([new, new.assign(mechanism="twin"), new.assign(model="other")]))
    table = sets.table.set_index(["model", "mechanism"])
    assert table.at[("m", "slip"), "unit"] == "block"
    for key in (("m", "twin"), ("other", "slip")):
        assert table.at[key, "sets"] == "everything: 0 blocks of 0 specimens, 9 needed for 90%"
        assert table.at[key, "set_share"] == 1.0
    empty = predict_sets(labelled, new.iloc[:0])
    assert empty.rows.empty and empty.table.columns.tolist() == table.reset_index().columns.tolist()


def test_every_score_covers_and_none_prefers_another_set_of_grains(specimen_of):
    """All scores hold the level on exchangeable specimens; none puts a target before a likelier one."""
    rng = np.random.default_rng(6)
    labelled, new = specimen_of(rng, 40), specimen_of(rng, 40)
    hit = (new.labels["observed"] == 1).to_numpy()
    for score in ("ratio", "share", "odds", "cumulative"):
        rows = predict_sets(labelled, new.predictions, score=score).rows
        assert rows["in_set"][hit].mean() == pytest.approx(0.9, abs=0.04)  # 400 grains on either side
        ranked = rows.sort_values(["grain_id", "p"], ascending=[True, False])
        assert ranked.groupby("grain_id")["score"].is_monotonic_increasing.all()


def test_refuses_what_it_cannot_do(specimen_of):
    """No labelled specimen, a level of 1, an unknown score or weighting: one clear error."""
    one = specimen_of(np.random.default_rng(7))
    with pytest.raises(ParameterError, match="at least one labelled specimen"):
        predict_sets([], one.predictions)
    for options in ({"level": 1.0}, {"score": "best"}, {"ambiguous": "guess"}):
        with pytest.raises(ParameterError, match="level"):
            predict_sets(one, one.predictions, **options)
