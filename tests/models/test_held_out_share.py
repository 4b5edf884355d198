"""The share of chance by held-out grains: closed forms, and what a fit does with it."""

import numpy as np
import pytest
from scipy.special import expit

from cpml.models.coupled.learning.held_out_share import held_out_share


def share(law, chance):
    odds = held_out_share([(np.asarray(law, float), np.asarray(chance, float))])
    return None if odds is None else expit(odds)


def test_grains_that_are_clearly_one_or_the_other_are_counted():
    """60 grains of the law and 40 of chance, each 50 nats from the other: 40.5 of 101, the halves of a grain
    that stand in for a prior included; the grid is 0.025 in the log odds, 0.006 in the share.
    """
    law, chance = np.zeros(100), np.full(100, -50.0)
    law[:40], chance[:40] = -50.0, 0.0
    assert share(law, chance) == pytest.approx(40.5 / 101, abs=0.004)


def test_a_law_that_explains_all_leaves_half_a_grain_to_chance():
    """(1 - rho)^20 rho^(1/2) (1 - rho)^(1/2) is largest at 0.5 / 21."""
    assert share(np.zeros(20), np.full(20, -50.0)) == pytest.approx(0.5 / 21, rel=0.02)


def test_where_law_and_chance_are_alike_nothing_is_known():
    """The likelihood is flat, so the share is where its prior is largest, one half."""
    assert share(np.full(30, -2.0), np.full(30, -2.0)) == pytest.approx(0.5, abs=0.01)


def test_the_scale_of_a_likelihood_does_not_matter():
    rng = np.random.default_rng(0)
    law, chance = rng.normal(size=(2, 50))
    offset = rng.normal(size=50)
    assert share(law + offset, chance + offset) == share(law, chance)


def test_parts_are_put_together_and_few_grains_say_nothing():
    law, chance = np.zeros(12), np.full(12, -50.0)
    together = held_out_share([(law, chance)])
    assert held_out_share([(law[:5], chance[:5]), (law[5:], chance[5:])]) == together
    assert held_out_share([(law[:9], chance[:9])]) is None
