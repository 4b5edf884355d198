"""What the notebooks show of specimens and fitted models: ranks of what was seen,
strength ratios, where learning acts.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from cpml.models.baselines.crystal_plasticity import CrystalPlasticity
from cpml.models.baselines.graph_network import GraphNetwork
from cpml.models.baselines.simple import FamilyShare, Prevalence, SchmidFamily, SchmidRule, observed
from cpml.models.baselines.trees import FEATURES, GradientBoosting, RandomForest
from cpml.models.coupled.coupled import CoupledClassifier
from cpml.models.coupled.latent_load import LatentLoad
from cpml.models.mechanics.features import schmid_of_tokens, share_of_tokens
from cpml.models.specimen.specimen import Specimen

LATENT_AXES = 4  # in the plane of the map; its normal is one more
SCHEMES = ("sachs", "taylor", "affine")


def all_models(*, seed: int = 0, coupled: bool = True, full: bool = False) -> list:
    """Unfitted models in the order of the tables.

    Parameters
    ----------
    coupled : with the coupled model at the end
    full : every baseline: CP with each scheme, strengths of the literature and fitted; boosted trees and
        forests on raw orientation, engineered features and CP outputs; the graph network. False leaves out
        those that take long or say little new (a quick set for notebooks)
    """
    quick = [
        Prevalence(),
        FamilyShare(),
        SchmidRule(),
        SchmidFamily(),
        CrystalPlasticity("sachs"),
        CrystalPlasticity("taylor"),
        CrystalPlasticity("sachs", fitted=True),
        CrystalPlasticity("full_field"),
        CrystalPlasticity("learned"),
        GradientBoosting(seed=seed),
        GradientBoosting("physics", seed=seed),
        GradientBoosting("learned", seed=seed),
    ]
    models = _every_baseline(seed) if full else quick
    return [*models, CoupledClassifier(seed=seed)] if coupled else models


def models_for(specimen: Specimen, *, seed: int = 0) -> list:
    """Unfitted models for one specimen: the quick set, and where the load is assumed F
    with its direction as a latent.
    """
    models = all_models(seed=seed)
    if specimen.load.assumed and specimen.load.kind in ("tension", "compression"):
        part = CoupledClassifier(scheme="affine", residual=False, n_draws=32, seed=seed)
        models.append(LatentLoad(part, n_axes=LATENT_AXES))
    return models


def _every_baseline(seed: int) -> list:
    models = [Prevalence(), FamilyShare(), SchmidRule(), SchmidFamily()]
    models += [CrystalPlasticity(scheme, fitted=fitted) for fitted in (False, True) for scheme in SCHEMES]
    models += [CrystalPlasticity("full_field"), CrystalPlasticity("learned")]
    models += [
        kind(features, seed=seed) for kind in (GradientBoosting, RandomForest) for features in FEATURES
    ]
    return [*models, GraphNetwork(seed=seed)]


def with_baseline(specimen: Specimen, cp: dict[str, np.ndarray]) -> Specimen:
    """The specimen with the arrays of the CP baseline (``schmid``, ``share_sachs``,
    ``share_taylor``, ``taylor_factor``).
    """
    return replace(specimen, cp=cp)


def ranks_of_observed(specimen: Specimen) -> dict[str, pd.Series]:
    """Rank (1 = highest) of every observed plane and variant among the tokens of its
    mechanism, by each plain rule.

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


def agreement(specimen: Specimen, scheme: str) -> pd.DataFrame:
    """Where the law agrees with what was seen in a grain: does anything seen have rank 1 under a scheme?

    Returns
    -------
    DataFrame indexed by grain_id: footprints (agrees, differs, nothing seen), lead_of_first (share of shear
    of the first target less the second's), taylor_factor, largest_schmid
    """
    y, share = observed(specimen), share_of_tokens(specimen, scheme)
    rank = pd.DataFrame(-share.T).groupby(specimen.tokens["mechanism"].to_numpy()).rank().to_numpy().T
    is_seen, is_first = (y == 1).any(1), ((y == 1) & (rank == 1)).any(1)
    top = np.sort(share, axis=1)
    columns = {
        "footprints": np.select([is_first, is_seen], ["agrees", "differs"], "nothing seen"),
        "lead_of_first": top[:, -1] - top[:, -2],
        "taylor_factor": specimen.cp["taylor_factor"],
        "largest_schmid": schmid_of_tokens(specimen).max(axis=1),
    }
    return pd.DataFrame(columns, index=pd.Index(specimen.grain_ids, name="grain_id"))


def fit_table(model: CoupledClassifier, specimen: Specimen) -> pd.DataFrame:
    """How a fit of the coupled model ended, as a table of two columns to look at."""
    facts = {
        "stresses": model.scheme_of(specimen),
        "converged": "yes" if model.converged_ else "no",
        "mechanics converged": "yes" if model.mechanics_converged_ else "no",
        **{f"learned correction of {row.mechanism}": _gate(row) for row in model.holdout_.itertuples()},
        "log posterior / nats": f"{model.log_posterior_:.1f}",
    }
    return pd.DataFrame({"value": facts}).rename_axis("fit")


def _gate(row: Any) -> str:
    """How one mechanism's correction was judged, in words."""
    if not row.footprints:
        return "no footprints"
    if pd.isna(row.gain_nats):
        return f"{row.verdict} ({row.footprints})"
    return (
        f"{row.verdict}: strength {row.strength:g}, held-out gain {row.gain_nats:.1f} +- {row.error_nats:.1f}"
        f" nats, {row.needed:.1f} errors needed"
    )


def ratio_table(
    model: CoupledClassifier, truth: pd.Series | None = None, *, history: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Strength ratios in the columns that `plots.strengths_plot` draws.

    Parameters
    ----------
    truth : family -> ratio, where it is known
    history : of `CoupledClassifier.strength_history`; then ratios are those at the beginning of the test, of
        which literature and the truth of a simulation speak. None: means over its strain
    """
    is_initial, s = history is not None, model.strengths_
    own = s if history is None else history[history["moment"] == "initial"].reset_index(drop=True)
    prior_low, prior, prior_high = np.exp(model.prior_.ratios(initial=is_initial))
    table = pd.DataFrame(
        {
            "family": s["family"],
            "prior_low": prior_low,
            "prior": prior,
            "prior_high": prior_high,
            "posterior_low": own["ratio_low"],
            "posterior": own["ratio"],
            "posterior_high": own["ratio_high"],
        }
    )
    return table if truth is None else table.assign(truth=table["family"].map(truth))
