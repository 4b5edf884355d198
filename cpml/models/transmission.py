"""Probability that slip passes a boundary, learned from evidence that is seldom certain.

    logit p = b_0 + sum over features of sign b_f (x_f - reference_f) / scale_f,    b_f >= 0

so p rises with what helps slip and falls with what hinders it, whatever few boundaries say (`TERMS`). m' has
a second slope above 0.9, where transfer sets in. Boundaries come with a ratio LR of the probabilities of what
was seen if slip passes and if it is blocked (cpml.microscopy.labels.passing), not with yes or no; the
likelihood of one is

    p LR + (1 - p)

and one of which nobody can tell (LR = 1) weighs nothing. Evidence from lines without places (source "traces")
is left out: it holds m' already.

The prior is a curve in m' alone, a reading of the rule of the literature with wide errors: even odds at 0.9,
two of three at 0.97, one of 50 at 0.5 (Bieler et al. 2014, Curr. Opin. Solid State Mater. Sci. 18:212; Bieler
et al. 2019, arXiv 1902.04322: convincing above 0.97 only). The other features have no effect in it. Few
boundaries shrink to it.

The posterior is drawn by randomised maximisation: each draw weighs the blocks of the map, and the boundaries
in them, by exponential random numbers (Rubin 1981, Ann. Stat. 9:130) and takes the prior mean from the prior.
Without data that is the prior, with many boundaries a bootstrap in two stages, a little wider than that over
blocks alone, which is too narrow for few blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from cpml.errors import ParameterError


class Term(NamedTuple):
    """A feature in the logit."""

    feature: str
    sign: float
    reference: float
    scale: float
    mean: float  # prior of its slope, before the bound at 0
    sd: float


TERMS = (
    Term("m_prime", 1.0, 0.9, 0.1, 1.0, 0.7),
    Term("lrb", 1.0, 0.8, 0.2, 0.0, 0.5),
    Term("residual_burgers", -1.0, 0.5, 0.3, 0.0, 0.5),
    Term("angle_deg", -1.0, 30.0, 15.0, 0.0, 0.5),
    Term("delta_schmid", -1.0, 0.05, 0.05, 0.0, 0.5),
    Term("stress_mismatch", -1.0, 0.3, 0.3, 0.0, 0.5),
)
"""References and scales are round numbers of the usual range, the same for every map, so that the prior is,
too."""
INTERCEPT_SD = 1.5
LEVEL = 0.9  # of intervals
MODELS = ("learned", "literature", "prevalence", "threshold")
FEW = 10.0
"""Labels' worth of evidence (sum of |2 p - 1| at even odds) below which nothing is claimed."""


@dataclass(frozen=True, eq=False)
class Transmission:
    """A fitted probability of transmission.

    Attributes
    ----------
    features : names of those used
    best, draws : (P,) and (D, P) intercept and slopes, most probable and drawn
    n_boundaries, evidence : boundaries with evidence, and how many certain labels it is worth
    """

    features: tuple[str, ...]
    best: NDArray
    draws: NDArray
    n_boundaries: int
    evidence: float

    @property
    def is_enough(self) -> bool:
        """Whether the evidence is worth `FEW` labels."""
        return self.evidence >= FEW

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """p, low and high (90 %) of boundaries with the features; a missing value counts as its reference."""
        x = _design(table, self.features)
        drawn = _sigmoid(x @ self.draws.T)
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail], axis=1)
        return pd.DataFrame({"p": _sigmoid(x @ self.best), "low": low, "high": high}, index=table.index)

    def curve(self, m_prime: ArrayLike) -> pd.DataFrame:
        """p, low, high and prior along m', the other features at their references."""
        table = pd.DataFrame({"m_prime": np.asarray(m_prime, float)})
        x = _design(table, self.features)
        prior = _sigmoid(x @ _prior(self.features)[0])
        return pd.concat([table, self.predict(table)], axis=1).assign(prior=prior)

    def slopes(self) -> pd.DataFrame:
        """What was learned: term, per, slope, low, high, prior (slopes of the logit, per scale)."""
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(self.draws, [tail, 1 - tail], axis=0)
        names, per = ["intercept"], [np.nan]
        for term in _terms(self.features):
            names.append(f"{term.feature} {'+' if term.sign > 0 else '-'}")
            per.append(term.scale)
        if "m_prime" in self.features:
            names.append("m_prime above 0.9 +")
            per.append(0.1)
        prior = _prior(self.features)[0]
        columns = {"term": names, "per": per, "slope": self.best, "low": low, "high": high, "prior": prior}
        return pd.DataFrame(columns)


def fit_transmission(
    table: pd.DataFrame,
    *,
    features: Sequence[str] | None = None,
    blocks: ArrayLike | None = None,
    n_draws: int = 200,
    seed: int = 0,
) -> Transmission:
    """Fit to the boundaries of a table.

    Parameters
    ----------
    table : log_ratio and the features, one row a boundary, and source where known
        (`cpml.microscopy.slip_transfer`)
    features : of `TERMS`; left out: those that the table has a number of
    blocks : (N,) block of each boundary, resampled as a whole; left out: boundaries are independent
    n_draws : of the posterior

    Raises
    ------
    ParameterError : no log_ratio, an unknown or absent feature, blocks of another number, no draws
    """
    features = _checked(table, features)
    told = _is_told(table)
    block = np.zeros(len(table), int) if blocks is None else np.asarray(blocks)
    if block.shape != (len(table),) or n_draws < 1:
        raise ParameterError(
            f"{block.shape} blocks for {len(table)} boundaries, {n_draws} draws: one block a boundary, "
            "one draw or more"
        )
    x, ratio = _design(table[told], features), table.loc[told, "log_ratio"].to_numpy(float)
    names, where = np.unique(block[told], return_inverse=True)
    mean, sd = _prior(features)
    best = _maximum(x, ratio, np.ones(len(x)), mean, sd)
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(n_draws):
        weight = rng.exponential(size=len(x))
        if blocks is not None:
            weight = weight * rng.exponential(size=len(names))[where]
        draws.append(_maximum(x, ratio, weight, mean + sd * rng.standard_normal(len(mean)), sd, best))
    evidence = float(np.abs(np.tanh(ratio / 2)).sum())
    return Transmission(features, best, np.array(draws), int(told.sum()), evidence)


def held_out_transmission(
    table: pd.DataFrame,
    blocks: ArrayLike,
    *,
    features: Sequence[str] | None = None,
    n_folds: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Predictions for boundaries in blocks that were held out, with the rivals of a learned curve.

    Boundaries that share a grain with a held-out one are left out of the training: grains carry their
    systems, and so m', to all their boundaries.

    Parameters
    ----------
    table : grain_a, grain_b, log_ratio and the features
    blocks : (N,) block of each boundary
    n_folds : blocks are dealt to at most as many folds

    Returns
    -------
    table of row (in `table`), block, log_ratio and one column of p a model: "learned", "literature" (the
    prior's curve), "prevalence" (one number, learned), "threshold" (m' above 0.9 or not, two learned
    numbers); empty where fewer than two blocks have evidence

    Raises
    ------
    ParameterError : as of `fit_transmission`
    """
    features = _checked(table, features)
    block, told = np.asarray(blocks), _is_told(table)
    names = np.unique(block[told])
    if len(names) < 2:
        kinds = {"row": int, "block": block.dtype, "log_ratio": float} | dict.fromkeys(MODELS, float)
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})
    order = np.random.default_rng(seed).permutation(len(names))
    fold = pd.Series(order % min(n_folds, len(names)), names)
    of_row = pd.Series(block).map(fold).to_numpy()
    prior = _prior(features)[0]
    parts = []
    for k in sorted(fold.unique()):
        test = told & (of_row == k)
        held = np.unique(table.loc[test, ["grain_a", "grain_b"]])
        train = told & (of_row != k) & ~table[["grain_a", "grain_b"]].isin(held).any(axis=1).to_numpy()
        some, others = table[train], table[test]
        fitted = fit_transmission(some, features=features, n_draws=1, seed=seed)
        x = _design(others, features)
        above = [(t["m_prime"] > 0.9).to_numpy() for t in (some, others)]
        ratio = some["log_ratio"].to_numpy(float)
        two = [_share(ratio[above[0] == side]) for side in (False, True)]
        parts.append(
            pd.DataFrame(
                {
                    "row": np.flatnonzero(test),
                    "block": block[test],
                    "log_ratio": others["log_ratio"].to_numpy(float),
                    "learned": _sigmoid(x @ fitted.best),
                    "literature": _sigmoid(x @ prior),
                    "prevalence": _share(ratio),
                    "threshold": np.where(above[1], two[1], two[0]),
                }
            )
        )
    return pd.concat(parts, ignore_index=True).sort_values("row", ignore_index=True)


def transmission_scores(held_out: pd.DataFrame, *, n_boot: int = 500, seed: int = 0) -> pd.DataFrame:
    """Scores of held-out predictions against evidence that is seldom certain.

    - log_loss: mean of -log(p e + (1 - p)(1 - e)), e the probability of passing at even odds: -log p where a
      label is certain, log 2 where it says nothing;
    - pr_auc: average precision, a boundary counted as passing with weight e and as blocked with 1 - e, read
      beside `share`, the mean of e, which is what a constant scores.

    Parameters
    ----------
    held_out : of `held_out_transmission`
    n_boot : resamples of whole blocks

    Returns
    -------
    model, log_loss, low, high, less_prevalence, less_low, less_high (paired, 90 %), pr_auc, share,
    n_boundaries, n_blocks; empty without predictions
    """
    from sklearn.metrics import average_precision_score

    columns = [
        "model",
        "log_loss",
        "low",
        "high",
        "less_prevalence",
        "less_low",
        "less_high",
        "pr_auc",
        "share",
    ]
    columns += ["n_boundaries", "n_blocks"]
    if not len(held_out):
        return pd.DataFrame({name: pd.Series(dtype=str if name == "model" else float) for name in columns})
    evidence = _sigmoid(held_out["log_ratio"].to_numpy(float))
    names, where = np.unique(held_out["block"], return_inverse=True)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), n_boot)
    weight = drawn[:, where] / np.maximum(drawn[:, where].sum(axis=1, keepdims=True), 1)
    loss = {}
    for model in MODELS:
        p = held_out[model].to_numpy(float)
        loss[model] = -np.log(np.maximum(p * evidence + (1 - p) * (1 - evidence), 1e-12))
    y = np.r_[np.ones(len(evidence)), np.zeros(len(evidence))]
    rows = []
    for model in MODELS:
        p, less = held_out[model].to_numpy(float), loss[model] - loss["prevalence"]
        precision = average_precision_score(y, np.r_[p, p], sample_weight=np.r_[evidence, 1 - evidence])
        rows.append(
            (
                model,
                loss[model].mean(),
                *np.quantile(weight @ loss[model], [0.05, 0.95]),
                less.mean(),
                *np.quantile(weight @ less, [0.05, 0.95]),
                precision,
                evidence.mean(),
                len(held_out),
                len(names),
            )
        )
    return pd.DataFrame(rows, columns=columns)


def _checked(table: pd.DataFrame, features: Sequence[str] | None) -> tuple[str, ...]:
    known = [term.feature for term in TERMS]
    if features is None:
        features = [f for f in known if f in table and table[f].notna().any()]
        features = features or ["m_prime"]
    if unknown := [f for f in features if f not in known]:
        raise ParameterError(f"feature {unknown[0]!r}: choose from {', '.join(known)}")
    if missing := [c for c in ("log_ratio", *features) if c not in table]:
        raise ParameterError(f"table of boundaries has no column {', '.join(missing)}")
    return tuple(features)


def _is_told(table: pd.DataFrame) -> NDArray:
    """(N,) whether a boundary has evidence that does not hold m'."""
    told = table["log_ratio"].fillna(0.0) != 0
    return (told & (table["source"] != "traces") if "source" in table else told).to_numpy()


def _terms(features: Sequence[str]) -> list[Term]:
    return [term for term in TERMS if term.feature in features]


def _design(table: pd.DataFrame, features: Sequence[str]) -> NDArray:
    """(N, P): 1, the terms, and m' above 0.9; each rises with p."""
    columns = [np.ones(len(table))]
    for term in _terms(features):
        x = table[term.feature].to_numpy(float) if term.feature in table else np.full(len(table), np.nan)
        columns.append(np.nan_to_num(term.sign * (x - term.reference) / term.scale))
    if "m_prime" in features:
        x = table["m_prime"].to_numpy(float)
        columns.append(np.nan_to_num(np.maximum(x - 0.9, 0.0) / 0.1))
    return np.stack(columns, axis=1)


def _prior(features: Sequence[str]) -> tuple[NDArray, NDArray]:
    terms = _terms(features)
    mean, sd = [0.0, *(t.mean for t in terms)], [INTERCEPT_SD, *(t.sd for t in terms)]
    extra = "m_prime" in features
    return np.array(mean + [0.0] * extra), np.array(sd + [1.0] * extra)


def _maximum(
    x: NDArray, ratio: NDArray, weight: NDArray, mean: NDArray, sd: NDArray, start: NDArray | None = None
) -> NDArray:
    """Most probable intercept and slopes (P,), slopes not below 0."""

    def loss(b: NDArray) -> tuple[float, NDArray]:
        eta = x @ b
        # log(p LR + 1 - p) = log(1 + e^(eta + log LR)) - log(1 + e^eta)
        value = np.logaddexp(0, eta + ratio) - np.logaddexp(0, eta)
        slope = _sigmoid(eta + ratio) - _sigmoid(eta)
        away = (b - mean) / sd
        return float(0.5 * away @ away - weight @ value), away / sd - x.T @ (weight * slope)

    bounds = [(None, None)] + [(0.0, None)] * (len(mean) - 1)
    first = np.maximum(mean, 0.0) if start is None else start
    first = np.r_[mean[0] if start is None else start[0], first[1:]]
    return minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds).x


def _share(ratio: NDArray) -> float:
    """One probability for all: the most probable under the prior Beta(2, 2)."""
    p = np.linspace(0.005, 0.995, 199)
    evidence = np.logaddexp(np.log(p)[:, None] + ratio, np.log1p(-p)[:, None]).sum(axis=1)
    return float(p[np.argmax(evidence + np.log(p * (1 - p)))])


def _sigmoid(x: NDArray) -> NDArray:
    return 0.5 * (1 + np.tanh(np.asarray(x, float) / 2))
