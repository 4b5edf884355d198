"""Learning alone, and stacked on the physics: boosted trees and random forests on (grain, token) pairs.

| features | what a pair is described by |
|---|---|
| orientation | family, direction cosines of the token's plane (and of a twin's shear) in the sample frame |
| engineered | the same, with size, shape, spread and neighbourhood of the grain |
| physics | the same, with Schmid factor, stress over strength, activities, pull of neighbours (stacking) |
| full_field | the same, with the law solved on the whole map, literature strengths (stacking) |
| learned | the same, with the learned mechanics, literature strengths (stacking) |

Cosines are absolute values of the token's own vectors, so no column depends on the symmetry copy of the
crystal. Size and regularisation of the trees are chosen on blocks inside the training grains
(`cpml.models.baselines.tuning`); the number of boosted trees is read off the same fits.
"""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from cpml.errors import ParameterError
from cpml.models.baselines.simple import pairs, shrunken_share
from cpml.models.baselines.tuning import choose, inner_halves, key_of, summed_loss
from cpml.models.mechanics.features import token_features
from cpml.models.specimen.specimen import Specimen

ON_THE_MAP = ("full_field", "learned")
FEATURES = ("orientation", "engineered", "physics", *ON_THE_MAP)
BOOSTING_GRID = (
    {"max_leaf_nodes": 6, "learning_rate": 0.05, "l2_regularization": 1.0},
    {"max_leaf_nodes": 3, "learning_rate": 0.1, "l2_regularization": 1.0},
    {"max_leaf_nodes": 15, "learning_rate": 0.05, "l2_regularization": 10.0},
)
CLIP = 1e-3  # a leaf without a positive is no proof
STAGES = (25, 50, 100, 150, 200)
FOREST_GRID = tuple(
    {"min_samples_leaf": leaf, "max_features": share} for leaf in (5, 15, 40) for share in ("sqrt", 0.6)
)


def feature_table(specimen: Specimen, features: str) -> pd.DataFrame:
    """Columns of one of FEATURES for every (grain, token), in the order of ``Specimen.predictions``."""
    if features not in FEATURES:
        raise ParameterError(f"features {features!r}: choose one of {', '.join(FEATURES)}")
    table = token_features(
        specimen,
        physics=features in ("physics", *ON_THE_MAP),
        scheme=features if features in ON_THE_MAP else None,
    )
    if features == "orientation":
        table = table[["family", *(c for c in table if c.startswith(("plane_", "sense_")))]]
    return table


def _clipped(probabilities: np.ndarray) -> np.ndarray:
    """Probability of the second class, away from 0 and 1."""
    return np.clip(probabilities[:, 1], CLIP, 1 - CLIP)


class _Trees(BaseEstimator):
    """fit and predict that both kinds of trees share."""

    def fit(self, specimens: list[Specimen]):
        """Choose the hyper-parameters, then fit on the observed pairs of all
        mechanisms (the family is a feature).
        """
        from threadpoolctl import threadpool_limits

        self.columns_ = list(feature_table(specimens[0], self.features).columns)
        y, x, _ = pairs(specimens, self._table)
        self.constant_ = shrunken_share(y) if len(np.unique(y)) < 2 else None  # trees need both classes
        self.chosen_: dict[str, object] = {}
        if self.constant_ is None:
            with threadpool_limits(1):  # a few thousand rows: threads would only wait for each other
                self.chosen_ = (
                    self._choose(y, x, inner_halves(specimens)) if self.tune else dict(self._grid[0])
                )
                self.model_ = self._learner(self.chosen_).fit(x, y)
        return self

    def predict(self, specimen: Specimen) -> pd.DataFrame:
        """Probability of every token of every grain."""
        check_is_fitted(self)
        x = self._table(specimen)
        p = (
            _clipped(self.model_.predict_proba(x))
            if self.constant_ is None
            else np.full(len(x), self.constant_)
        )
        return specimen.predictions(p, model=self.name)

    def _table(self, specimen: Specimen) -> np.ndarray:
        return feature_table(specimen, self.features)[self.columns_].to_numpy(dtype=float)

    @property
    def name(self) -> str:
        """Name in tables and figures."""
        return {
            "orientation": f"{self._kind}_orientation",
            "engineered": self._kind,
            "physics": self._stacked,
            **{scheme: f"{self._stacked}_{scheme}" for scheme in ON_THE_MAP},
        }[self.features]


class GradientBoosting(_Trees):
    """Boosted trees; `tune` False takes the first row of the grid and the last number of trees."""

    _kind, _stacked, _grid = "gbdt", "stacking", BOOSTING_GRID

    def __init__(self, features: str = "engineered", *, tune: bool = True, seed: int = 0):
        self.features = features
        self.tune = tune
        self.seed = seed

    def _learner(self, chosen: dict):
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            **{"max_iter": STAGES[-1], **chosen},
            min_samples_leaf=15,
            early_stopping=False,
            categorical_features=[self.columns_.index("family")],
            random_state=self.seed,
        )

    def _choose(self, y, x, half) -> dict:
        def losses(candidate, train, held_out):
            model = self._learner(candidate).fit(x[train], y[train])
            staged = enumerate(model.staged_predict_proba(x[held_out]), start=1)
            return {
                key_of({**candidate, "max_iter": number}): summed_loss(y[held_out], _clipped(p))
                for number, p in staged
                if number in STAGES
            }

        return choose(self._grid, losses, half, y)


class RandomForest(_Trees):
    """Random forest of 300 trees (100 while it is tuned)."""

    _kind, _stacked, _grid = "forest", "forest_stacking", FOREST_GRID

    def __init__(self, features: str = "engineered", *, tune: bool = True, seed: int = 0):
        self.features = features
        self.tune = tune
        self.seed = seed

    def _learner(self, chosen: dict, n_trees: int = 300):
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(n_trees, **chosen, n_jobs=1, random_state=self.seed)

    def _choose(self, y, x, half) -> dict:
        def losses(candidate, train, held_out):
            model = self._learner(candidate, 100).fit(x[train], y[train])
            return {key_of(candidate): summed_loss(y[held_out], _clipped(model.predict_proba(x[held_out])))}

        return choose(self._grid, losses, half, y)
