"""What the notebooks show of specimens and fitted models: ranks of what was seen, strength ratios, where learning acts."""

from dataclasses import replace

import numpy as np
import pandas as pd

from cpml.models.baselines import CrystalPlasticity, GradientBoosting, Prevalence, SchmidRule, observed
from cpml.models.coupled import CoupledClassifier
from cpml.models.features import schmid_of_tokens, share_of_tokens
from cpml.models.specimen import Specimen


def all_models(*, seed: int = 0, coupled: bool = True) -> list:
    """Unfitted models in the order of the tables: prevalence, Schmid, CP (Sachs, Taylor), trees, stacking, coupled."""
    models = [Prevalence(), SchmidRule(), CrystalPlasticity("sachs"), CrystalPlasticity("taylor")]
    models += [GradientBoosting(physics=False, seed=seed), GradientBoosting(physics=True, seed=seed)]
    return [*models, CoupledClassifier(seed=seed)] if coupled else models


def with_baseline(specimen: Specimen, cp: dict[str, np.ndarray]) -> Specimen:
    """The specimen with the arrays of the CP baseline (``schmid``, ``share_sachs``, ``share_taylor``, ``taylor_factor``)."""
    return replace(specimen, cp=cp)


def ranks_of_observed(specimen: Specimen) -> dict[str, pd.Series]:
    """Rank (1 = highest) of every observed plane and variant among the tokens of its mechanism, by each plain rule.

    Equal scores share the mean rank, rounded up, so that a rule which cannot tell gains nothing from a tie.

    Returns
    -------
    dict schmid, sachs, taylor -> Series of ranks
    """
    y = observed(specimen)
    scores = {"schmid": schmid_of_tokens(specimen)}
    scores |= {scheme: share_of_tokens(specimen, scheme) for scheme in ("sachs", "taylor")}
    mechanism = specimen.tokens["mechanism"].to_numpy()
    ranks = {}
    for name, score in scores.items():
        rank = np.concatenate(
            [pd.DataFrame(-score[:, mechanism == m]).rank(axis=1).to_numpy() for m in pd.unique(mechanism)],
            axis=1,
        )
        ranks[name] = pd.Series(np.ceil(rank[y == 1]).astype(int), name=name)
    return ranks


def ratio_table(model: CoupledClassifier, truth: pd.Series | None = None) -> pd.DataFrame:
    """Strength ratios in the columns that `plots.strengths_plot` draws; ``truth`` (family -> ratio) where it is known."""
    s = model.strengths_
    table = pd.DataFrame(
        {
            "family": s["family"],
            "prior_low": s["prior_low"], "prior": s["prior_ratio"], "prior_high": s["prior_high"],
            "posterior_low": s["ratio_low"], "posterior": s["ratio"], "posterior_high": s["ratio_high"],
        }
    )  # fmt: skip
    return table if truth is None else table.assign(truth=table["family"].map(truth))


def physics_change(predictions: pd.DataFrame) -> pd.Series:
    """Largest |p - p_cp| of every grain in a coupled model's predictions, indexed by grain_id."""
    ours = predictions[predictions["model"] == CoupledClassifier.name]
    return (ours["p"] - ours["p_cp"]).abs().groupby(ours["grain_id"]).max()
