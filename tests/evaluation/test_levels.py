"""Families and grains from planes: probabilities by hand, missing labels kept missing."""

import numpy as np
import pytest

from cpml.errors import ParameterError
from cpml.evaluation import at_level, families_and_twinned_grains


@pytest.fixture
def tables(long_table):
    """Three grains with two families of two targets: f0 = t0, t1 and f1 = t2, t3."""
    p = np.array([[0.5, 0.5, 0.1, 0.0], [0.2, 0.0, 0.0, 0.0], [0.9, 0.9, 0.9, 0.9]])
    y = np.array([[1, 0, 0, np.nan], [np.nan, 0, 0, 0], [np.nan, np.nan, 1, np.nan]])
    return long_table(p, "p").assign(model="m"), long_table(y, "observed").drop(columns="family")


def test_probability_that_any_target_is_active(tables):
    """1 - prod (1 - p): two fair coins give 3/4."""
    p, _ = at_level(*tables, "family")
    family = p.set_index(["grain_id", "target"])["p"]
    assert family[1, "f0"] == pytest.approx(0.75) and family[1, "f1"] == pytest.approx(0.1)
    p, _ = at_level(*tables, "grain")
    assert p["mechanism"].unique().tolist() == ["slip_grain"] and p["target"].unique().tolist() == ["any"]
    assert p.set_index("grain_id")["p"][1] == pytest.approx(1 - 0.5 * 0.5 * 0.9)


def test_missing_is_kept_unless_another_target_decides(tables):
    """One seen target makes the family seen; without one, a missing target leaves it open."""
    _, labels = at_level(*tables, "family")
    found = labels.set_index(["grain_id", "target"])["observed"]
    assert found[1, "f0"] == 1 and found[3, "f1"] == 1 and found[2, "f1"] == 0
    assert np.isnan(found[[(1, "f1"), (2, "f0"), (3, "f0")]]).all()


def test_a_trace_within_one_family_names_the_family(tables, candidate_table):
    """Candidates t0 and t1 are both of f0, so f0 slipped whichever it was; t1 or t2 leaves it open."""
    p, labels = tables
    candidates = candidate_table([(2, {"t0": 0.6, "t1": 0.4, "t2": 0.0}), (3, {"t1": 0.5, "t2": 0.5})])
    _, found = at_level(p, labels, "family", candidates=candidates)
    found = found.set_index(["grain_id", "target"])["observed"]
    assert found[2, "f0"] == 1 and np.isnan(found[3, "f0"])


def test_questions_that_say_something_new(tables):
    """Families of slip, no "any slip"; one twin family is the same question as any twin, two are not."""
    for families, expected in (
        (1, {"slip_family", "twin_grain"}),
        (2, {"slip_family", "twin_family", "twin_grain"}),
    ):
        p, y = tables
        twins = p["target"].isin(["t0", "t2"] if families == 2 else ["t0", "t1"])
        mechanism = np.where(twins, "twin", "slip")
        p, y = families_and_twinned_grains(p.assign(mechanism=mechanism), y.assign(mechanism=mechanism))
        assert set(p["mechanism"]) == set(y["mechanism"]) == expected


def test_an_unknown_level_is_an_error(tables):
    """Levels are family and grain."""
    with pytest.raises(ParameterError, match="family, grain"):
        at_level(*tables, "atom")
