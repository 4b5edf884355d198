"""How well models predict: scores with intervals, precision and recall, calibration."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from cpml.plots.palette import in_order, model_label, model_style
from cpml.plots.style import (
    captioned,
    error_bars,
    figure,
    label_rows,
    legend_beside,
    need_columns,
    note,
    width_mm,
)

REFERENCE = "prevalence"


@captioned
def bars_with_intervals(
    table: pd.DataFrame, *, label: str, n: int | None = None, unit: str = "observations"
) -> Figure | None:
    """One score per model as a bar with its interval, and that of guessing by prevalence as a dashed line.

    Parameters
    ----------
    table : model, value, low, high (NaN: no interval)
    label : the score in words, with its unit
    n, unit : sample count and what was counted

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("model", "value", "low", "high"), "score table")
    if not len(table):
        return None
    models = in_order(table["model"])
    fig, ax = figure("single", aspect=(6 * len(models) + 24) / width_mm("single"))
    look = {
        "hue": "model",
        "palette": [model_style(m)["color"] for m in models],
        "saturation": 1,
        "width": 0.66,
    }
    sns.barplot(table, x="value", y="model", order=models, hue_order=models, errorbar=None, ax=ax, **look)
    known = table[table[["value", "low", "high"]].notna().all(axis=1)]
    length = error_bars(known["value"], known["low"], known["high"])
    rows = [models.index(m) for m in known["model"]]
    ax.errorbar(known["value"], rows, xerr=length, fmt="none", ecolor="black", capsize=2, elinewidth=0.8)
    for value in table.loc[table["model"] == REFERENCE, "value"]:
        ax.axvline(value, color="0.3", linewidth=0.7, linestyle="--", zorder=0.5)
    largest = table[["value", "high"]].max(axis=None)
    ax.set(xlabel=label, ylabel="", xlim=(0, 1.06 * largest if largest > 0 else 1))
    label_rows(ax, [model_label(m) for m in models])
    return note(fig, n=n, unit=unit)


@captioned
def pr_curves(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    prevalence: float | None = None,
    n: int | None = None,
    title: str = "",
    unit: str = "observations",
) -> Figure | None:
    """Precision against recall.

    Parameters
    ----------
    curves : model -> (recall, precision)
    prevalence : share of positives, the precision of guessing
    n, unit : sample count and what was counted

    Returns
    -------
    Figure, None where there is nothing to draw: no curve
    """
    if not curves:
        return None
    fig, ax = figure("middle", aspect=0.6)
    for model in in_order(curves):
        recall, precision = (np.asarray(v, dtype=float) for v in curves[model])
        order = np.argsort(recall, kind="stable")
        look = model_style(model, marker=False) | {"linewidth": 1.3 if model == "coupled" else 0.9}
        ax.step(recall[order], precision[order], where="pre", label=model_label(model), **look)
    if prevalence is not None:
        ax.axhline(prevalence, color="0.4", linewidth=0.6, linestyle=":", label=f"guessing, {prevalence:.2f}")
    ax.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), box_aspect=1)
    ax.set_title(title)
    legend_beside(ax)
    return note(fig, n=n, unit=unit)


@captioned
def reliability(
    tables: Mapping[str, pd.DataFrame], *, title: str = "", unit: str = "predictions"
) -> Figure | None:
    """Calibration: observed share against predicted probability, with the counts below.

    Parameters
    ----------
    tables : model -> table predicted (bin mean), observed (share), count and, where known, low, high
    unit : what the counts count

    Returns
    -------
    Figure, None where there is nothing to draw: no model
    """
    for model, table in tables.items():
        need_columns(table, ("predicted", "observed", "count"), f"reliability table of {model}")
    if not tables:
        return None
    fig, (ax, below) = figure("middle", aspect=0.8, rows=2, sharex=True, height_ratios=(4, 1))
    ax.plot([0, 1], [0, 1], color="0.5", linewidth=0.6, linestyle=":", label="perfect calibration")
    for model in in_order(tables):
        table, look = tables[model].sort_values("predicted"), model_style(model)
        if "low" in table and "high" in table:
            length = error_bars(table["observed"], table["low"], table["high"])
            thin = {"fmt": "none", "ecolor": look["color"], "elinewidth": 0.5, "capsize": 1.2, "alpha": 0.7}
            ax.errorbar(table["predicted"], table["observed"], length, **thin)
        ax.plot(table["predicted"], table["observed"], label=model_label(model), **look)
        below.plot(table["predicted"], table["count"], **look | {"markersize": 2.5})
    ax.set(ylabel="observed share", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.set_title(title)
    below.set(xlabel="predicted probability", ylabel=unit, yscale="log")
    legend_beside(ax)
    return note(fig, n=max(table["count"].sum() for table in tables.values()), unit=unit)
