"""What one source of reports changed: the same law fitted without its rows."""

from copy import copy
from dataclasses import replace

import pandas as pd

from cpml.models.coupled.coupled import CoupledClassifier
from cpml.models.coupled.learning.correction import Correction
from cpml.models.specimen.specimen import Specimen


def from_source(reports: pd.DataFrame, source: str) -> pd.Series:
    """(R,) bool, the reports of a source; those of its lines ("ecci 12") are its own."""
    return reports["source"].str.split().str[0] == source


def source_effect(model: CoupledClassifier, specimen: Specimen, source: str) -> pd.DataFrame:
    """Strength ratios and shares of shear of all families, with a source of reports and without it.

    The law alone, without the learned correction; the fit without the source begins where the other ended.

    Parameters
    ----------
    model : fitted; its settings are used, it stays as it is

    Returns
    -------
    DataFrame family, ratio, ratio_without, share, share_without (means over the grains that the source speaks
    of), grains (their number); no rows where the source says nothing
    """
    columns = ["family", "ratio", "ratio_without", "share", "share_without", "grains"]
    reports = specimen.reports
    if reports is None or not from_source(reports, source).any():
        return pd.DataFrame(columns=columns)
    is_own = from_source(reports, source)
    spoken = reports.loc[is_own, "grain_id"].unique()
    other = replace(specimen, reports=reports[~is_own])
    law = copy(model)
    law.correction_ = Correction()
    fitted = copy(model).set_params(residual=False, samples=0, warm_start=True).fit([other])
    told = {}
    for name, part, seen in (("", law, specimen), ("_without", fitted, other)):
        found = part.predict(seen)
        found = found[found["grain_id"].isin(spoken)]
        shares = found.groupby(["family", "grain_id"])["share"].sum().groupby("family").mean()
        told[f"ratio{name}"] = part.strengths_.set_index("family")["ratio"]
        told[f"share{name}"] = shares
    table = pd.DataFrame(told).reindex(model.prior_.families).rename_axis("family").reset_index()
    return table.assign(grains=len(spoken))[columns]
