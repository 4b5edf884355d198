"""Wilson's interval of a share: limits in closed form, published values, coverage."""

import numpy as np
import pytest

from cpml.errors import ParameterError
from cpml.intervals import wilson_interval


def test_limits():
    """0 of n: 0 to z^2/(n + z^2); no trials: 0 to 1; symmetric in hits and misses."""
    z2 = 1.959964**2
    low, high = wilson_interval([0, 0, 3, 7], [10, 0, 10, 10], level=0.95)
    assert low[0] == 0 and high[0] == pytest.approx(z2 / (10 + z2)) and (low[1], high[1]) == (0, 1)
    assert low[2] == pytest.approx(1 - high[3])


def test_eight_of_ten():
    """0.490 to 0.943 (Brown, Cai & DasGupta 2001, Stat. Sci. 16:101, formula 4)."""
    low, high = wilson_interval(8, 10, level=0.95)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))


def test_coverage():
    """95 % intervals of 2000 binomial draws hold the truth in 93 to 97.5 %."""
    hits = np.random.default_rng(0).binomial(60, 0.2, 2000)
    low, high = wilson_interval(hits, 60, level=0.95)
    assert 0.93 < np.mean((low <= 0.2) & (high >= 0.2)) < 0.975


def test_more_hits_than_trials():
    """One clear error, not a share above one."""
    with pytest.raises(ParameterError, match="hits between 0 and trials"):
        wilson_interval(3, 2, level=0.9)
