"""What F's strength ratios miss of the truth, measured where the truth is known, as part of their intervals.

A posterior knows what footprints leave open of its own model; it does not know that the model is wrong. On
specimens that the full field followed over strain, with strengths, textures, loads and microscopes drawn
(`benchmarks.factory_specimens`), the log ratios of F miss the strain-averaged truth by more than their
posterior says,

    log ratio = log truth + e,    e with variance v + m_k^2

v the variance of the posterior, m_k the least spread for which nine of ten intervals hold the truth, of
slip and of twins, over the first 109 specimens of the factory (122 ratios of slip and 53 of twins that carry
2 % of the shear). Learned from a random half of them, it covers 88 % of the other half on average (77 to 97 %
over halvings). `tasks.py bench --suite strengths` prints it (part ``model_error``), and scores
it on other seeds and on specimens of another code. An interval is widened by
m_k. It is not moved: the median miss is about a tenth and changes its sign with the material. Most is missed
where strengths rise steeply (magnesium, its alloy, zirconium), least in titanium alloy and the bcc metals. It
holds what the search itself leaves open: where footprints hardly tell two maxima apart, rounding decides
between them. It was counted with an exponent of 10 behind the network (`Numerics.network_exponent`), at which
errors on specimens of another code are larger by more than a half: intervals are rather too wide.

A family of which no footprint tells has no upper end that data could give: there the interval reaches to the
literature's.
"""

import numpy as np
from numpy.typing import NDArray

from cpml.intervals import NINETY_PERCENT
from cpml.models.coupled.prior import Prior

SPREAD = {"slip": 0.32, "twin": 0.36}
"""m_k of families other than the reference, in the natural log of the ratio."""
FEWEST = 3.0
"""Footprints of a family from which its strength has an upper end: one that leaves ten on average shows fewer
in one of 360 maps (Poisson)."""


def with_model_error(ratios: NDArray, prior: Prior, footprints: NDArray) -> NDArray:
    """(K, 3) quantiles of the log ratios, of the posterior with the model's error.

    Parameters
    ----------
    ratios : (K, 3) of the posterior alone
    footprints : (K,) expected number of footprints of each family
    """
    ref = prior.reference
    kinds = [prior.material.families[f].kind for f in prior.families]
    found = ratios.copy()
    lowest, _, highest = prior.ratios()
    for k, kind in enumerate(kinds):
        if k == ref:
            continue
        low, middle, high = ratios[k]
        extra = NINETY_PERCENT * SPREAD[kind]
        low, high = middle - np.hypot(middle - low, extra), middle + np.hypot(high - middle, extra)
        if footprints[k] < FEWEST:
            high = max(high, highest[k])
        if footprints[ref] < FEWEST:
            low = min(low, lowest[k])
        found[k] = low, middle, high
    return found
