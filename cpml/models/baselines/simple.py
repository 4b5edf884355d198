"""What F is compared with, first part: knowing the prevalence, and the Schmid rule.

Every model has ``fit(specimens)`` and ``predict(specimen) -> DataFrame`` with one row per grain and token
(columns grain_id, mechanism, target, family, p, model). They learn from the same labels: (grain, target)
pairs that are observed 1 or 0; ambiguous and invisible ones are missing and left out. Without any label every
model falls back to what it knows before learning (its prior curve, or a probability of one half).

| model | p | file |
|---|---|---|
| Prevalence | observed share of the token's mechanism | here |
| SchmidRule | logistic curve of the largest Schmid factor of the token, per mechanism | here |
| CrystalPlasticity | the law alone, strengths of the literature or fitted | crystal_plasticity |
| GradientBoosting, RandomForest | trees on raw orientation, on features, on CP outputs (stacking) | trees |
| GraphNetwork | message passing between neighbours, without physics | graph_network |
"""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from cpml.models.mechanics.features import schmid_of_tokens
from cpml.models.specimen.specimen import Specimen


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
