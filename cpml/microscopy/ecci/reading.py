"""How a set of pictures was read: the limits of residual contrast and the share of wrong records, from the
records themselves.

    (m_w, m_v), then e  =  argmax  sum over lines of log sum_m P(m) E_m(m_w, m_v, e)

over small grids, E the evidence of `evidence` with Burgers vectors and planes summed over. Under three
reflections lines of known kinds of Burgers vector make some patterns of visible, weak and invisible frequent
and others rare, which is what tells the limits. A subset of the lines does.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from cpml.crystallography.slip_systems import Systems
from cpml.microscopy.ecci.contrast import RESIDUAL, STATES, WRONG, Reading
from cpml.microscopy.ecci.evidence import USUAL, Settings, by_grain, segment_evidence, segments_of
from cpml.microscopy.ecci.hypotheses import Modes
from cpml.microscopy.ecci.reflections import Reflections

WEAK_LIMITS = (RESIDUAL, 0.04, 0.02, 0.01)
VISIBLE_LIMITS = (np.inf, 0.15, 0.07, 0.035)
WRONG_SHARES = (0.03, 0.06, WRONG, 0.15, 0.25)
LINES = 400
LEAST = 30
"""Lines below which nothing is learned."""
WORTH = 3.0
"""Nats by which other limits than the textbook's must explain the records better."""


def learn_reading(
    records: pd.DataFrame,
    orientations: pd.DataFrame,
    systems: Systems,
    found: Reflections,
    *,
    settings: Settings = USUAL,
    learn_wrong: bool = True,
    seed: int = 0,
) -> tuple[Reading, pd.DataFrame]:
    """The reading that explains the records best, and the table weak_limit, visible_limit, wrong,
    log_evidence of all that were tried.

    With fewer than LEAST lines that were looked at, that of ``settings``, and an empty table.

    Parameters
    ----------
    records, orientations, systems, found : as of `posterior.infer_lines`
    learn_wrong : False keeps the share of ``settings``
    """
    columns = ["weak_limit", "visible_limit", "wrong", "log_evidence"]
    told = records[records["seen"].isin(STATES)]
    names = told["line"].unique()
    if len(names) < LEAST:
        return settings.reading, pd.DataFrame(columns=columns)
    if len(names) > LINES:
        names = np.random.default_rng(seed).choice(names, LINES, replace=False)
    rows = records[records["line"].isin(names)]
    modes = Modes.of(systems, climbed=settings.climbed)
    grains = [(own, segments_of(own), lines) for own, lines in by_grain(rows, orientations, modes)]

    def explained(reading: Reading) -> float:
        """Log evidence; segments of one line as if they were lines of their own."""
        using = replace(settings, reading=reading)
        parts = (segment_evidence(own, segments, lines, found, using).log for own, segments, lines in grains)
        return float(sum(logsumexp(part + np.log(modes.prior), axis=1).sum() for part in parts))

    tried = {settings.reading: explained(settings.reading)}
    for weak, visible in product(WEAK_LIMITS, VISIBLE_LIMITS):
        if weak <= visible:
            reading = replace(settings.reading, weak_limit=weak, visible_limit=visible)
            tried.setdefault(reading, explained(reading))
    best = _worth(tried, settings.reading)
    for wrong in WRONG_SHARES if learn_wrong else ():
        reading = replace(best, wrong=wrong)
        tried.setdefault(reading, explained(reading))
    best = _worth(tried, best)
    table = [(r.weak_limit, r.visible_limit, r.wrong, value) for r, value in tried.items()]
    return best, pd.DataFrame(table, columns=columns)


def _worth(tried: dict[Reading, float], usual: Reading) -> Reading:
    best = max(tried, key=lambda reading: tried[reading])
    return best if tried[best] > tried[usual] + WORTH else usual
