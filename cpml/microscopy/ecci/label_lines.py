"""Label rows of ECCI lines, in the columns of `cpml.microscopy.labels.rows`; never harder than the evidence.

**Slip.** The rows of one line are alternatives: source "ecci <line>", level line, observed 1, weight the
probability that the line glides on the system, all systems equal beforehand. They add up to the probability
that it glides at all; F takes them together (`cpml.models.coupled.reports`).

**Climb and cross-slip.** One row a grain, or a grain and pair of planes, where its lines together speak for
it. With B_r the Bayes factor of line r and f the share of such lines, uniform up to one half,

    LR = 2 int_0^(1/2) df prod_r [1 - f + f B_r],      weight = (LR - 1) / (LR + 1)     where LR > 1

which is the weight at which the likelihood of F for a report has this ratio. Where lines speak against it
there is no row: that a few lines did not climb is no sign that none does.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.cross_slip_pairs import cross_slip_pairs
from cpml.crystallography.slip_systems import Systems
from cpml.microscopy.ecci.posterior import LinePosterior
from cpml.microscopy.labels.rows import LINE, label_rows

SOURCE = "ecci"
LEAST_WEIGHT = 0.01
"""Rows of a smaller weight are left out."""
SHARES = np.linspace(0.0, 0.5, 1001)


def ecci_labels(posterior: LinePosterior, systems: Systems) -> pd.DataFrame:
    """Label rows of slip (line), cross_slip (pair) and climb (grain).

    Parameters
    ----------
    posterior : of lines by themselves: what pooled lines learn from each other would count again in F
    systems : those that the lines were inferred with
    """
    parts = [_slip(posterior), _climb(posterior), _cross_slip(posterior, systems)]
    return pd.concat(parts, ignore_index=True)


def likelihood_ratio(factors: NDArray) -> float:
    """LR of lines with Bayes factors (R,).

    Examples
    --------
    >>> round(likelihood_ratio(np.array([1.0, 1.0])), 6)
    1.0
    """
    logs = np.log1p(SHARES[:, None] * (np.asarray(factors, float) - 1.0)).sum(1)
    return float(np.trapezoid(np.exp(np.minimum(logs, 600.0)), SHARES) / SHARES[-1])


def weight_of(ratio: float) -> float:
    """Weight of a row whose evidence is a likelihood ratio above 1."""
    return (ratio - 1.0) / (ratio + 1.0)


def bayes_factor(p: NDArray, prior: NDArray) -> NDArray:
    """Odds of ``p`` over the odds of ``prior``."""
    p, q = np.clip(p, 1e-12, 1 - 1e-12), np.clip(prior, 1e-12, 1 - 1e-12)
    return p / (1 - p) * (1 - q) / q


def _slip(posterior: LinePosterior) -> pd.DataFrame:
    """Alternatives of every line, of its longest segment."""
    modes = posterior.modes
    longest = modes.loc[modes.groupby("line")["length_um"].idxmax(), ["line", "segment"]]
    rows = modes.merge(longest, on=["line", "segment"])
    glide = (rows["system"] != "").to_numpy()
    is_line = rows["line"]
    p_glide = rows["p"].where(glide, 0.0).groupby(is_line).transform("sum")
    fair = (rows["p"] / rows["prior"]).where(glide, 0.0)  # all systems equal beforehand, among lines recorded
    weight = p_glide * fair / fair.groupby(is_line).transform("sum")
    kept = (weight >= LEAST_WEIGHT).to_numpy()
    rows, weight = rows[kept], weight[kept]
    return label_rows(
        rows["grain_id"],
        rows["system"],
        level=LINE,
        observed=1.0,
        weight=weight,
        source=np.array([f"{SOURCE} {line}" for line in rows["line"]], object),
    )


def _climb(posterior: LinePosterior) -> pd.DataFrame:
    lines = posterior.lines[posterior.lines["prior_climb"] > 0]
    factors = bayes_factor(lines["p_climb"].to_numpy(), lines["prior_climb"].to_numpy())
    return _grain_rows(lines["grain_id"], [""] * len(lines), factors, "climb", "grain")


def _cross_slip(posterior: LinePosterior, systems: Systems) -> pd.DataFrame:
    changes = posterior.changes
    pairs = cross_slip_pairs(systems)
    ends = zip(pairs["system_a"], pairs["system_b"], strict=True)
    named = [frozenset(systems.names[int(s)] for s in pair) for pair in ends]
    target = dict(zip(named, pairs["target"], strict=True))
    of_changes = map(frozenset, zip(changes["system_a"], changes["system_b"], strict=True))
    factors = bayes_factor(changes["p"].to_numpy(), changes["prior"].to_numpy())
    return _grain_rows(changes["grain_id"], [target[p] for p in of_changes], factors, "cross_slip", "pair")


def _grain_rows(
    grain: pd.Series, targets: list[str], factors: NDArray, mechanism: str, level: str
) -> pd.DataFrame:
    table = pd.DataFrame({"grain_id": grain.to_numpy(), "target": targets, "factor": factors})
    told = [
        (*key, likelihood_ratio(part.to_numpy()))
        for key, part in table.groupby(["grain_id", "target"])["factor"]
    ]
    told = [
        (g, t, weight_of(ratio)) for g, t, ratio in told if ratio > 1 and weight_of(ratio) >= LEAST_WEIGHT
    ]
    return label_rows(
        [g for g, _, _ in told],
        [t for _, t, _ in told],
        mechanism=mechanism,
        level=level,
        observed=1.0,
        weight=[w for _, _, w in told],
        source=SOURCE,
    )
