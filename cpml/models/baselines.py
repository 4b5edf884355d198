"""What F is compared with: knowing the prevalence, the Schmid rule, the CP law alone, learning alone, and stacking.

Every model has ``fit(specimens)`` and ``predict(specimen) -> DataFrame`` with one row per grain and token (columns
grain_id, mechanism, target, family, p, model). They learn from the same labels: (grain, target) pairs that are observed
1 or 0; ambiguous and invisible ones are missing and left out. Without any label every model falls back to what it
knows before learning (its prior curve, or a probability of one half).

| model | p |
|---|---|
| Prevalence | observed share of the token's mechanism |
| SchmidRule | logistic curve of the largest Schmid factor of the token, per mechanism |
| CrystalPlasticity | 1 - exp(-kappa share), share from the law with literature strengths, one kappa per mechanism |
| GradientBoosting | boosted trees on physics-free features; ``physics=True`` stacks the CP outputs on top |
"""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from cpml.models.features import schmid_of_tokens, share_of_tokens, token_features
from cpml.models.specimen import Specimen


def observed(specimen: Specimen) -> np.ndarray:
    """(G, T) observed 1, 0, or NaN where nobody could tell, in the order of ``Specimen.tokens``."""
    rows = specimen.labels[specimen.labels["row"].isin(["plane", "variant"])]
    table = rows.pivot(index="grain_id", columns=["mechanism", "target"], values="observed")
    columns = pd.MultiIndex.from_frame(specimen.tokens[["mechanism", "target"]])
    return table.reindex(index=specimen.grain_ids, columns=columns).to_numpy(dtype=float)


def _pairs(specimens: list[Specimen], values) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Observed y, the model's input, and whether the pair is a twin, over all specimens."""
    y = np.concatenate([observed(s).ravel() for s in specimens])
    x = np.concatenate([values(s) for s in specimens])
    twin = np.concatenate([np.tile((s.tokens["mechanism"] == "twin").to_numpy(), len(s)) for s in specimens])
    known = np.isfinite(y)
    return y[known], x[known], twin[known]


class _PerMechanism(BaseEstimator):
    """One curve p(score) per mechanism; a mechanism without labels gets the curve of total ignorance."""

    name = ""

    def fit(self, specimens: list[Specimen]):
        """Fit the curve of each mechanism on the observed pairs."""
        y, score, twin = _pairs(specimens, lambda s: self._score(s).ravel())
        self.curves_ = {m: self._curve(score[twin == m], y[twin == m]) for m in (False, True)}
        return self

    def predict(self, specimen: Specimen) -> pd.DataFrame:
        """Probability of every token of every grain."""
        twin = (specimen.tokens["mechanism"] == "twin").to_numpy()
        score = self._score(specimen)
        p = np.where(twin, self.curves_[True](score), self.curves_[False](score))
        return specimen.predictions(p, model=self.name)


class Prevalence(_PerMechanism):
    """Knows only how often a mechanism is seen."""

    name = "prevalence"

    def _score(self, specimen):
        return np.zeros((len(specimen), len(specimen.tokens)))

    def _curve(self, score, y):
        share = (y.sum() + 0.5) / (len(y) + 1.0)
        return lambda s: np.full(np.shape(s), share)


class SchmidRule(_PerMechanism):
    """The largest Schmid factor wins."""

    name = "schmid"

    def _score(self, specimen):
        return schmid_of_tokens(specimen)

    def _curve(self, score, y):
        from sklearn.linear_model import LogisticRegression

        if len(np.unique(y)) < 2:  # one class seen: keep the ranking, claim no more than the prevalence
            share = (y.sum() + 0.5) / (len(y) + 1.0)
            return lambda s: np.clip(share * (1 + s), 0.0, 1.0)
        model = LogisticRegression(C=1e3).fit(score[:, None], y)
        slope = max(float(model.coef_[0, 0]), 1e-3)  # the rule is monotone by definition
        return lambda s: 1 / (1 + np.exp(-(slope * s + model.intercept_[0])))


class CrystalPlasticity(_PerMechanism):
    """The law alone with literature strengths, ``scheme`` "sachs" or "taylor"."""

    def __init__(self, scheme: str = "taylor"):
        self.scheme = scheme

    @property
    def name(self) -> str:
        """Name in tables and figures."""
        return f"cp_{self.scheme}"

    def _score(self, specimen):
        return share_of_tokens(specimen, self.scheme)

    def _curve(self, score, y):
        from scipy.optimize import minimize_scalar

        def cost(log_kappa):
            p = np.clip(-np.expm1(-np.exp(log_kappa) * score), 1e-3, 1 - 1e-3)
            return -np.mean(np.where(y == 1, np.log(p), np.log1p(-p))) if len(y) else 0.0

        kappa = float(np.exp(minimize_scalar(cost, bounds=(-4, 6), method="bounded").x))
        return lambda s: np.clip(-np.expm1(-kappa * s), 1e-3, 1 - 1e-3)


class GradientBoosting(BaseEstimator):
    """Boosted trees per (grain, token); ``physics=True`` adds the CP outputs (stacking)."""

    def __init__(
        self,
        physics: bool = False,
        n_trees: int = 150,
        learning_rate: float = 0.05,
        max_leaves: int = 6,
        seed: int = 0,
    ):
        self.physics = physics
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.max_leaves = max_leaves
        self.seed = seed

    @property
    def name(self) -> str:
        """Name in tables and figures."""
        return "stacking" if self.physics else "gbdt"

    def fit(self, specimens: list[Specimen]):
        """Fit on the observed pairs of all mechanisms at once (the family is a feature)."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        columns = list(token_features(specimens[0], physics=self.physics).columns)
        y, x, _ = _pairs(specimens, lambda s: token_features(s, physics=self.physics)[columns].to_numpy())
        self.columns_, self.constant_ = columns, None
        if len(np.unique(y)) < 2:  # trees need both classes
            self.constant_ = (y.sum() + 0.5) / (len(y) + 1.0)
            return self
        self.model_ = HistGradientBoostingClassifier(
            max_iter=self.n_trees,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaves,
            min_samples_leaf=15,
            l2_regularization=1.0,
            categorical_features=[columns.index("family")],
            random_state=self.seed,
        ).fit(x, y)
        return self

    def predict(self, specimen: Specimen) -> pd.DataFrame:
        """Probability of every token of every grain."""
        x = token_features(specimen, physics=self.physics)[self.columns_].to_numpy()
        p = self.model_.predict_proba(x)[:, 1] if self.constant_ is None else np.full(len(x), self.constant_)
        return specimen.predictions(p, model=self.name)
