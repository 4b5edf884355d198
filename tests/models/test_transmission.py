"""A learned transmission: its prior, its bounds, what it recovers, what it must not learn from."""

import numpy as np
import pandas as pd
import pytest

from cpml.errors import ParameterError
from cpml.models import fit_transmission, held_out_transmission, transmission_scores
from cpml.models.transmission import TERMS

CERTAIN = 8.0  # log of the odds of a label


def table(n, *, seed=0, slope=8.0, middle=0.6, certain=CERTAIN):
    """Boundaries whose slip passes with logit slope (m' - middle); other features are noise."""
    rng = np.random.default_rng(seed)
    m_prime = rng.random(n)
    passes = rng.random(n) < 1 / (1 + np.exp(-slope * (m_prime - middle)))
    return pd.DataFrame(
        {
            "grain_a": np.arange(n),
            "grain_b": np.arange(n) + n,
            "m_prime": m_prime,
            "angle_deg": rng.uniform(5, 60, n),
            "delta_schmid": rng.uniform(0, 0.2, n),
            "log_ratio": np.where(passes, certain, -certain),
        }
    )


def test_without_evidence_it_is_the_rule_of_the_literature():
    """Even odds at m' 0.9, two of three at 0.97, one of fifty at 0.5; with an interval, and not enough."""
    fitted = fit_transmission(table(20).assign(log_ratio=0.0), n_draws=50)
    curve = fitted.curve([0.5, 0.9, 0.97])
    assert curve["p"].tolist() == pytest.approx([1 / (1 + np.exp(4)), 0.5, 1 / (1 + np.exp(-0.7))], abs=1e-4)
    np.testing.assert_allclose(curve["p"], curve["prior"], atol=1e-4)
    assert (curve["high"] - curve["low"]).iloc[1] > 0.5
    assert fitted.n_boundaries == 0 and not fitted.is_enough
    assert fitted.slopes()["slope"].tolist() == pytest.approx(fitted.slopes()["prior"].tolist(), abs=1e-4)


def test_p_rises_with_what_helps_and_falls_with_what_hinders():
    """Also where the boundaries say the opposite of everything."""
    against = table(60, slope=-8.0).assign(lrb=0.5, residual_burgers=0.3, stress_mismatch=0.1)
    against["angle_deg"] = np.where(against["log_ratio"] > 0, 60.0, 5.0)
    fitted = fit_transmission(against, n_draws=20)
    start = {t.feature: t.reference for t in TERMS}
    for term in TERMS:
        low, high = start[term.feature] - term.scale, start[term.feature] + term.scale
        rows = pd.DataFrame([start | {term.feature: x} for x in (low, high)])
        p = fitted.predict(rows)["p"].tolist()
        assert term.sign * (p[1] - p[0]) >= -1e-9, term.feature
    assert (fitted.draws[:, 1:] >= 0).all()


def test_many_boundaries_give_back_the_curve():
    """A thousand certain labels: the true curve to 0.08 and inside the interval at most places."""
    fitted = fit_transmission(table(1000), n_draws=60)
    x = np.linspace(0.1, 0.85, 16)
    curve = fitted.curve(x)
    truth = 1 / (1 + np.exp(-8 * (x - 0.6)))
    # the other features are noise, at their references in a curve
    np.testing.assert_allclose(curve["p"], truth, atol=0.08)
    assert ((curve["low"] <= truth) & (truth <= curve["high"])).mean() > 0.6
    assert fitted.is_enough and fitted.evidence == pytest.approx(1000, rel=1e-3)
    few = fit_transmission(table(1000)[:30], n_draws=60).curve([0.6])
    wide = curve["high"] - curve["low"]
    assert (few["high"] - few["low"])[0] > 2 * wide.iloc[10]


def test_weak_evidence_counts_as_what_it_is():
    """Labels of odds 2 to 1 shrink to the prior more than certain ones; log LR 0 counts nothing."""
    sure, weak = table(80), table(80, certain=np.log(2))
    x = [0.5]
    prior = fit_transmission(sure, n_draws=1).curve(x)["prior"][0]
    p_sure, p_weak = (fit_transmission(t, n_draws=1).curve(x)["p"][0] for t in (sure, weak))
    assert prior < p_weak < p_sure
    both = pd.concat([sure, table(50, seed=1).assign(log_ratio=0.0)], ignore_index=True)
    np.testing.assert_allclose(fit_transmission(both, n_draws=1).best, fit_transmission(sure, n_draws=1).best)


def test_lines_without_places_are_not_learned_from():
    """Their alignment holds m' already."""
    rows = table(40).assign(source="traces")
    assert fit_transmission(rows, n_draws=1).n_boundaries == 0
    rows.loc[:9, "source"] = "bands"
    assert fit_transmission(rows, n_draws=1).n_boundaries == 10


def test_the_same_seed_gives_the_same_draws_and_blocks_widen_them():
    """Blocks that are all passing or all blocked at one m' count as one boundary each."""
    rows = table(60).assign(m_prime=0.5, log_ratio=CERTAIN * (-1.0) ** (np.arange(60) // 10))
    one, two = (fit_transmission(rows, n_draws=40, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.draws, two.draws)
    blocked = fit_transmission(rows, blocks=np.arange(60) // 10, n_draws=40, seed=3)
    wide, narrow = (fitted.predict(rows[:1]) for fitted in (blocked, one))
    assert (wide["high"] - wide["low"])[0] > 1.3 * (narrow["high"] - narrow["low"])[0]


def test_held_out_boundaries_share_no_grain_with_the_training():
    """Where every boundary has a grain in common, nothing is left to learn from: the prior answers."""
    rows = table(40).assign(grain_a=0)
    held_out = held_out_transmission(rows, np.arange(40) % 4, features=["m_prime"])
    np.testing.assert_allclose(held_out["learned"], held_out["literature"], atol=1e-4)
    assert held_out["prevalence"].tolist() == pytest.approx([0.5] * 40)
    assert sorted(held_out["row"]) == list(range(40))


def test_scores_of_held_out_predictions():
    """Learned beats one number where m' decides, is beaten where nothing does, by no more than a little; a
    constant has the share of passing boundaries as its PR-AUC.
    """
    blocks = np.arange(300) % 15
    for slope, is_better in ((12.0, True), (0.0, False)):
        rows = table(300, slope=slope, middle=0.5)
        found = transmission_scores(held_out_transmission(rows, blocks), n_boot=200).set_index("model")
        assert (found.loc["learned", "less_high"] < 0) == is_better
        assert found.loc["learned", "less_prevalence"] < 0.05
        assert found.loc["prevalence", "less_prevalence"] == 0
        # prevalence differs a little from fold to fold
        assert found.loc["prevalence", "pr_auc"] == pytest.approx(found.loc["prevalence", "share"], abs=0.06)
    assert found.loc["prevalence", "log_loss"] == pytest.approx(np.log(2), abs=0.01)


def test_one_block_has_nothing_to_hold_out():
    """No predictions, no scores: tables without rows and with their columns."""
    held_out = held_out_transmission(table(20), np.zeros(20))
    scores = transmission_scores(held_out)
    assert len(held_out) == len(scores) == 0
    assert {"learned", "block"} <= set(held_out) and {"log_loss", "share"} <= set(scores)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda t: fit_transmission(t, features=["mprime"]), "mprime"),
        (lambda t: fit_transmission(t, features=["lrb"]), "no column lrb"),
        (lambda t: fit_transmission(t.drop(columns="log_ratio")), "log_ratio"),
        (lambda t: fit_transmission(t, blocks=[1]), "blocks"),
        (lambda t: fit_transmission(t, n_draws=0), "draws"),
    ],
)
def test_what_cannot_be_fitted_is_said(call, words):
    with pytest.raises(ParameterError, match=words):
        call(table(5))
