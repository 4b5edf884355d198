"""Precision against recall of held-out predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve

from cpml.evaluation.scores import observed_with_predictions


@dataclass(frozen=True)
class PrecisionRecall:
    """Curves of several models on the same observed labels."""

    curves: dict[str, tuple[np.ndarray, np.ndarray]]  # model -> recall, precision
    prevalence: float  # precision of a guess


def pr_curves(
    predictions: pd.DataFrame, labels: pd.DataFrame, *, models: Sequence[str]
) -> dict[str, PrecisionRecall]:
    """Mechanism -> curves of the named models, for mechanisms of which some
    targets were seen and some were not.
    """
    found = {}
    for mechanism, theirs in labels[labels["observed"].notna()].groupby("mechanism"):
        if theirs["observed"].nunique() < 2:
            continue
        curves = {}
        for model in models:
            own = predictions[(predictions["model"] == model) & (predictions["mechanism"] == mechanism)]
            if len(own):
                table = observed_with_predictions(own, theirs)
                precision, recall, _ = precision_recall_curve(table["observed"], table["p"])
                curves[model] = (recall, precision)
        found[str(mechanism)] = PrecisionRecall(curves, float(theirs["observed"].mean()))
    return found
