"""From *recorded* to *active*: one correction for detection, the same for all models.

Models are trained on what was recorded. A plane that slips is missed now and then, so against the truth of a
virtual specimen every probability is too low by the share of detection. The coupled model estimates the rates
from the footprints alone and answers both questions; its two answers are tied by

    p_recorded = d p_active + c

(d detection of active targets outside outliers, c records by chance). d and c are read off its held-out rows,
by mechanism, and turn the p of every model, its own too, into p_active = (p_recorded - c) / d. No truth is
used. One pair of rates serves all folds (medians): a fold whose fit went astray then decides nothing.

A model that promises records more often than active targets are recorded would become certain; it is held to
ALMOST_SURE. Detection is a constant here, while a flat plane or one along an observed trace is harder to see:
such labels are missing for all models, so the correction is that of targets that could be seen.
"""

import numpy as np
import pandas as pd

ALMOST_SURE = 0.99
LEAST_DETECTION = 0.05  # below this the two answers of the model are tied by nothing


def active(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions with p the probability of being active, recorded or not.

    Parameters
    ----------
    predictions : model, mechanism, fold, p, and p_active where a model tells the two apart; without such rows
        nobody knows the detection, and p stays
    """
    rates = detection_rates(predictions)
    if rates.empty:
        return predictions
    known = rates.reindex(predictions["mechanism"]).fillna({"detection": 1.0, "chance": 0.0})
    p = predictions["p"].to_numpy(float)
    turned = (p - known["chance"].to_numpy()) / known["detection"].to_numpy()
    turned = np.clip(turned, 0.0, np.maximum(ALMOST_SURE, p))
    return predictions.assign(p=np.where(predictions["mechanism"].isin(rates.index), turned, p))


def detection_rates(predictions: pd.DataFrame) -> pd.DataFrame:
    """Rates of the first model that answers both questions.

    Returns
    -------
    DataFrame detection, chance, indexed by mechanism; without rows where no model gives p_active
    """
    if "p_active" not in predictions or predictions["p_active"].isna().all():
        return pd.DataFrame(columns=["detection", "chance"], dtype=float)
    both = predictions[predictions["p_active"].notna()]
    own = both[both["model"] == both["model"].iloc[0]]
    folds = ["mechanism", "fold"] if "fold" in own else ["mechanism"]
    lines = own.groupby(folds)[["p_active", "p"]].apply(_line)
    rates = lines.groupby("mechanism").median()
    return rates[rates["detection"] > LEAST_DETECTION]


def _line(rows: pd.DataFrame) -> pd.Series:
    """Least squares of p over p_active; where that does not vary, all that differs is detection."""
    x, y = rows["p_active"].to_numpy(float), rows["p"].to_numpy(float)
    if np.ptp(x) < 1e-9:
        return pd.Series({"detection": y.mean() / x.mean() if x.mean() > 0 else np.nan, "chance": 0.0})
    slope, start = np.polyfit(x, y, 1)
    return pd.Series({"detection": slope, "chance": start})
