"""What F is compared with, first part: shares that are learned, the Schmid rule, and both together.

Every model has ``fit(specimens)`` and ``predict(specimen) -> DataFrame`` with one row per grain and token
(columns grain_id, mechanism, target, family, p, model). They learn from the same labels: (grain, target)
pairs that are observed 1 or 0; ambiguous and invisible ones are missing and left out. Without any label every
model falls back to what it knows before learning (its prior curve, or a probability of one half).

| model | p | file |
|---|---|---|
| Prevalence | observed share of the token's mechanism | here |
| SchmidRule | logistic curve of the largest Schmid factor of the token, per mechanism | here |
| FamilyShare | observed share of the token's family: which families slip, and nothing of the grain | here |
| SchmidFamily | the Schmid rule with an intercept for every family | here |
| CrystalPlasticity | the law alone, strengths of the literature or fitted | crystal_plasticity |
| GradientBoosting, RandomForest | trees on raw orientation, on features, on CP outputs (stacking) | trees |
| GraphNetwork | message passing between neighbours, without physics | graph_network |
"""

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from cpml.models.mechanics.features import schmid_of_tokens
from cpml.models.specimen.specimen import Specimen

SHARE_PRIOR = 4.0
"""Labels that the share of the mechanism is worth, for a family: few labels of a rare family say little."""
SLOPE_SD, INTERCEPT_SD = 30.0, 2.0
"""Priors of a logistic curve: slope per Schmid factor, and what a family departs from its mechanism by."""
LEAST_SLOPE = 1e-3  # a rule of the Schmid factor is monotone by definition


def observed(specimen: Specimen) -> np.ndarray:
    """(G, T) observed 1, 0, or NaN where nobody could tell, in the order of ``Specimen.tokens``."""
    return specimen.observed


def twin_tokens(specimen: Specimen) -> np.ndarray:
    """(T,) bool, whether a token is a twin variant."""
    return (specimen.tokens["mechanism"] == "twin").to_numpy()


def pairs(specimens: list[Specimen], values) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Observed y, the model's input, and whether the pair is a twin, over all specimens."""
    y = np.concatenate([observed(s).ravel() for s in specimens])
    x = np.concatenate([values(s) for s in specimens])
    twin = np.concatenate([np.tile(twin_tokens(s), len(s)) for s in specimens])
    known = np.isfinite(y)
    return y[known], x[known], twin[known]


def shrunken_share(y: np.ndarray) -> float:
    """Share of ones with half a pseudo-count on either side: one half where there is no label."""
    return float((y.sum() + 0.5) / (len(y) + 1.0))


class PerMechanism(BaseEstimator):
    """One curve p(score) per mechanism; a mechanism without labels gets the curve of total ignorance."""

    @property
    def name(self) -> str:
        """Name in tables and figures."""
        raise NotImplementedError

    def fit(self, specimens: list[Specimen]):
        """Fit the curve of each mechanism on the observed pairs."""
        y, score, twin = pairs(specimens, lambda s: self._score(s).ravel())
        self.curves_ = {m: self._curve(score[twin == m], y[twin == m]) for m in (False, True)}
        return self

    def predict(self, specimen: Specimen) -> pd.DataFrame:
        """Probability of every token of every grain."""
        check_is_fitted(self)
        score = self._score(specimen)
        p = np.where(twin_tokens(specimen), self.curves_[True](score), self.curves_[False](score))
        return specimen.predictions(p, model=self.name)


class Prevalence(PerMechanism):
    """Knows only how often a mechanism is seen."""

    name = "prevalence"

    def _score(self, specimen):
        return np.zeros((len(specimen), len(specimen.tokens)))

    def _curve(self, score, y):
        share = shrunken_share(y)
        return lambda s: np.full(np.shape(s), share)


class SchmidRule(PerMechanism):
    """The largest Schmid factor wins."""

    name = "schmid"

    def _score(self, specimen):
        return schmid_of_tokens(specimen)

    def _curve(self, score, y):
        from sklearn.linear_model import LogisticRegression

        if len(np.unique(y)) < 2:  # one class seen: keep the ranking, claim no more than the prevalence
            share = shrunken_share(y)
            return lambda s: np.clip(share * (1 + s), 0.0, 1.0)
        model = LogisticRegression(C=1e3).fit(score[:, None], y)
        slope = max(float(model.coef_[0, 0]), 1e-3)  # the rule is monotone by definition
        return lambda s: 1 / (1 + np.exp(-(slope * s + model.intercept_[0])))


class _PerFamily(BaseEstimator):
    """What is learned of the families of each mechanism; a family that nobody saw is like its mechanism."""

    @property
    def name(self) -> str:
        """Name in tables and figures."""
        raise NotImplementedError

    def fit(self, specimens: list[Specimen]):
        """Learn from the observed pairs of each mechanism."""
        y = np.concatenate([observed(s).ravel() for s in specimens])
        x = np.concatenate([schmid_of_tokens(s).ravel() for s in specimens])
        family = np.concatenate([np.tile(s.tokens["family"], len(s)) for s in specimens])
        twin = np.concatenate([np.tile(twin_tokens(s), len(s)) for s in specimens])
        known = np.isfinite(y)
        self.learned_ = {
            m: self._learn(y[known & (twin == m)], x[known & (twin == m)], family[known & (twin == m)])
            for m in (False, True)
        }
        return self

    def predict(self, specimen: Specimen) -> pd.DataFrame:
        """Probability of every token of every grain."""
        check_is_fitted(self)
        x, p = schmid_of_tokens(specimen), np.empty((len(specimen), len(specimen.tokens)))
        is_twin = twin_tokens(specimen)
        for t, family in enumerate(specimen.tokens["family"]):
            p[:, t] = self._answer(self.learned_[bool(is_twin[t])], x[:, t], family)
        return specimen.predictions(p, model=self.name)


class FamilyShare(_PerFamily):
    """Knows how often a plane of each family is seen, and nothing of the grain. The share of the mechanism
    counts as much as SHARE_PRIOR labels.
    """

    name = "family_share"

    def _learn(self, y, x, family):
        mean = shrunken_share(y)
        shares = {
            name: (y[family == name].sum() + SHARE_PRIOR * mean) / ((family == name).sum() + SHARE_PRIOR)
            for name in np.unique(family)
        }
        return mean, shares

    def _answer(self, learned, x, family):
        mean, shares = learned
        return np.full(len(x), shares.get(family, mean))


class SchmidFamily(_PerFamily):
    """The Schmid rule where families differ: logit p = a + a_family + b m, with b > 0 and normal priors."""

    name = "schmid_family"

    def _learn(self, y, x, family):
        names = np.unique(family)
        member = (family[:, None] == names).astype(float)
        start = np.r_[np.log(shrunken_share(y) / (1 - shrunken_share(y))), np.zeros(len(names)), 1.0]
        width = np.r_[np.inf, np.full(len(names), INTERCEPT_SD), SLOPE_SD]
        design = np.column_stack([np.ones(len(y)), member, x])
        found = _logistic(design, y, start, width)
        return found[0], dict(zip(names, found[1:-1], strict=True)), found[-1]

    def _answer(self, learned, x, family):
        common, of_family, slope = learned
        return expit(common + of_family.get(family, 0.0) + slope * x)


def _logistic(design: np.ndarray, y: np.ndarray, start: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Coefficients of largest posterior: Bernoulli likelihood with half a pseudo-count of either answer at
    the mean of the inputs, normal priors about 0 (``width``; infinite: none); the last is LEAST_SLOPE or
    more.
    """
    middle = design.mean(0) if len(y) else np.eye(len(start))[0]
    rows, weight = np.vstack([design, middle, middle]), np.r_[np.ones(len(y)), 0.5, 0.5]
    answer = np.r_[y, 1.0, 0.0]

    def cost(at):
        z = rows @ at
        value = weight @ (np.logaddexp(0, z) - answer * z) + 0.5 * np.sum((at / width) ** 2)
        return value, rows.T @ (weight * (expit(z) - answer)) + at / width**2

    bounds = [(None, None)] * (len(start) - 1) + [(LEAST_SLOPE, None)]
    return minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds).x
