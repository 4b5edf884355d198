"""Data sets and models side by side: gains, optimism of random splits, calibration, prediction sets."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from cpml.plots.palette import (
    BLUE,
    GREY,
    MARKERS,
    in_order,
    model_label,
    model_style,
    series_style,
)
from cpml.plots.style import (
    captioned,
    error_bars,
    figure,
    label_rows,
    legend_beside,
    need_columns,
    note,
    plain_log_axis,
    width_mm,
)

ZERO_LINE = {"color": "0.3", "linewidth": 0.7, "linestyle": "--", "zorder": 0.5}
POINTS = {"markersize": 3.5, "elinewidth": 0.9, "capsize": 1.8}


def _rows_aspect(mm: float) -> float:
    """Height / width of a figure of text width that is so many mm high."""
    return mm / width_mm("double")


def _places(values: pd.Series, rows: list) -> np.ndarray:
    return np.array([rows.index(value) for value in values], dtype=float)


@captioned
def forest(table: pd.DataFrame, *, columns: Mapping[str, str]) -> Figure | None:
    """Gains with their intervals, one row per question, one panel per score; to the right of zero is better.

    Parameters
    ----------
    table : row (text), against ("footprints", "truth"), best (the other model), score, difference, low, high
    columns : score -> axis label

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("row", "against", "best", "score", "difference", "low", "high"), "table of gains")
    if not len(table):
        return None
    rows, kinds = list(dict.fromkeys(table["row"])), list(dict.fromkeys(table["against"]))
    height = _rows_aspect(7.5 * len(rows) + 30)
    fig, axes = figure("double", aspect=height, cols=len(columns), squeeze=False, sharey=True)
    for ax, (score, label) in zip(axes[0], columns.items(), strict=True):
        for k, kind in enumerate(kinds):
            own = table[(table["score"] == score) & (table["against"] == kind)]
            y = _places(own["row"], rows) + 0.22 * (k - (len(kinds) - 1) / 2)
            length = error_bars(own["difference"], own["low"], own["high"])
            look = {"fmt": MARKERS[k], "color": BLUE, "markerfacecolor": BLUE if k == 0 else "white"}
            ax.errorbar(own["difference"], y, xerr=length, label=f"against {kind}", **look, **POINTS)
        ax.axvline(0, **ZERO_LINE)
        ax.set_xlabel(label)
        ax.margins(x=0.08)
        ax.locator_params(axis="x", nbins=5)
    for ax in axes[0]:
        label_rows(ax, rows)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return note(fig)


@captioned
def optimism_points(table: pd.DataFrame) -> Figure | None:
    """How much better a random split would have looked: a row per model, a point per data set and mechanism.

    Parameters
    ----------
    table : model, group (text), gap (of the PR-AUC)

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("model", "group", "gap"), "table of optimism")
    if not len(table):
        return None
    models, groups = in_order(table["model"]), list(dict.fromkeys(table["group"]))
    looks = [series_style(k) for k in range(len(groups))]
    fig, ax = figure("double", aspect=_rows_aspect(6.5 * max(len(models), len(groups)) + 26))
    sns.pointplot(
        table,
        x="gap",
        y="model",
        order=models,
        hue="group",
        hue_order=groups,
        palette=[look["color"] for look in looks],
        markers=[look["marker"] for look in looks],
        linestyles="none",
        markersize=4,
        markeredgewidth=0,
        dodge=0.5 * (1 - 1 / len(groups)),
        errorbar=None,
        ax=ax,
    )
    ax.axvline(0, **ZERO_LINE)
    ax.set(xlabel="PR-AUC, random split minus blocks", ylabel="")
    label_rows(ax, [model_label(m) for m in models])
    ax.margins(x=0.08)
    legend_beside(ax)
    return note(fig)


@captioned
def calibration_by_dataset(
    tables: Mapping[str, Mapping[str, pd.DataFrame]], *, errors: Mapping[tuple[str, str], float] | None = None
) -> Figure | None:
    """Observed share against probability of one model, one panel per mechanism, one line per data set.

    Parameters
    ----------
    tables : mechanism -> data set -> table predicted, observed, low, high
    errors : (mechanism, data set) -> expected calibration error, written into the legend

    Returns
    -------
    Figure, None where there is nothing to draw: no mechanism
    """
    if not tables:
        return None
    names = list(dict.fromkeys(name for group in tables.values() for name in group))
    height = 0.6 if len(tables) > 1 else 0.9
    fig, axes = figure("double", aspect=height, cols=len(tables), squeeze=False, sharey=True, sharex=True)
    for ax, (mechanism, group) in zip(axes[0], tables.items(), strict=True):
        ax.plot([0, 1], [0, 1], color="0.5", linewidth=0.6, linestyle=":")
        for name, table in group.items():
            look = series_style(names.index(name))
            length = error_bars(table["observed"], table["low"], table["high"])
            thin = {"fmt": "none", "ecolor": look["color"], "elinewidth": 0.5, "capsize": 1.2, "alpha": 0.7}
            ax.errorbar(table["predicted"], table["observed"], length, **thin)
            error = f" ({errors[mechanism, name]:.3f})" if errors and (mechanism, name) in errors else ""
            ax.plot(table["predicted"], table["observed"], markersize=3.5, label=name + error, **look)
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), box_aspect=1, xlabel="predicted probability")
        ax.set_title(mechanism)
        ax.legend(loc="lower right", fontsize=6.5, borderaxespad=0.2, handlelength=1.5)
    axes[0, 0].set_ylabel("observed share")
    return note(fig, "in brackets: calibration error" if errors else "")


NOMINAL = 0.9
"""Coverage that prediction sets are calibrated to."""


@captioned
def coverage_rows(
    table: pd.DataFrame, *, blocks: pd.DataFrame | None = None, title: str = ""
) -> Figure | None:
    """Coverage of prediction sets with intervals, and their size, one row per model or data set.

    Parameters
    ----------
    table : row (text, or a model's name), coverage, low, high, set_share
    blocks : row, coverage of every block, drawn as faint dots

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("row", "coverage", "low", "high", "set_share"), "coverage table")
    if not len(table):
        return None
    rows = list(table["row"])
    fig, (ax, right) = figure("double", aspect=_rows_aspect(6.5 * len(rows) + 30), cols=2, sharey=True)
    y = np.arange(len(rows))
    if blocks is not None:
        own = blocks[blocks["row"].isin(rows)]
        dots = {"color": GREY, "markersize": 3, "label": "one block"}
        ax.plot(own["coverage"], _places(own["row"], rows) + 0.25, ".", **dots)
    length = error_bars(table["coverage"], table["low"], table["high"])
    ax.errorbar(table["coverage"], y, xerr=length, fmt="o", color=BLUE, label="mean of blocks", **POINTS)
    ax.axvline(NOMINAL, color="0.3", linewidth=0.7, linestyle="--", label=f"nominal, {NOMINAL:g}")
    ax.axvspan(NOMINAL - 0.02, NOMINAL + 0.02, color="0.92", zorder=0)
    ax.set_xlabel("share of footprints inside the set")
    ax.set_xlim(min(0.78, ax.get_xlim()[0]), 1.02)
    ax.locator_params(axis="x", nbins=6)
    right.barh(y, table["set_share"], 0.6, color=BLUE)
    right.axvline(0.5, color="0.3", linewidth=0.7, linestyle="--")
    right.set(xlabel="mean set size / number of targets", xlim=(0, 1.02))
    for axis in (ax, right):
        label_rows(axis, [model_label(r) for r in rows])
    if title:
        fig.suptitle(title, x=0.01, ha="left")
    fig.legend(loc="outside upper right", ncols=3)
    return note(fig)


@captioned
def strengths_by_dataset(table: pd.DataFrame) -> Figure | None:
    """Strength ratios of every data set: literature grey, learned blue.

    Parameters
    ----------
    table : dataset, family, prior_low, prior_ratio, prior_high, ratio_low, ratio, ratio_high

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    literature, learned = ("prior_low", "prior_ratio", "prior_high"), ("ratio_low", "ratio", "ratio_high")
    need_columns(table, ("dataset", "family", *literature, *learned), "strength table")
    if not len(table):
        return None
    rows = np.arange(len(table))
    fig, ax = figure("double", aspect=_rows_aspect(5.5 * len(table) + 30))
    for name, (low, middle, high), shift, look in (
        ("literature", literature, -0.17, {"color": GREY, "marker": "s"}),
        ("learned", learned, 0.17, {"color": BLUE, "marker": "o"}),
    ):
        ax.hlines(rows + shift, table[low], table[high], color=look["color"], linewidth=1.8)
        ax.plot(table[middle], rows + shift, linestyle="none", markersize=3.5, label=name, **look)
    for i in np.flatnonzero(table["dataset"].to_numpy()[1:] != table["dataset"].to_numpy()[:-1]):
        ax.axhline(i + 0.5, color="0.7", linewidth=0.5)
    label_rows(ax, table["dataset"] + ", " + table["family"].str.replace("_", " "))
    ax.set_xlabel("strength / strength of the reference family")
    plain_log_axis(ax)
    fig.legend(loc="outside upper right", ncols=2)
    return note(fig)


@captioned
def model_scores(table: pd.DataFrame, *, label: str) -> Figure | None:
    """One score of all models on all data sets: one row per data set and mechanism, one marker per model.

    Parameters
    ----------
    table : row (text), model, value, low, high
    label : the score in words, with its unit

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("row", "model", "value", "low", "high"), "score table")
    if not len(table):
        return None
    rows, models = list(dict.fromkeys(table["row"])), in_order(table["model"])
    fig, ax = figure("double", aspect=_rows_aspect(max(9 * len(rows), 4.6 * len(models)) + 24))
    for k, model in enumerate(models):
        own = table[table["model"] == model]
        y = _places(own["row"], rows) + 0.72 * ((k + 0.5) / len(models) - 0.5)
        length, look = error_bars(own["value"], own["low"], own["high"]), model_style(model)
        point = {"marker": look["marker"], "color": look["color"], "markersize": 3, "elinewidth": 0.7}
        ax.errorbar(own["value"], y, xerr=length, linestyle="none", label=model_label(model), **point)
    for i in range(len(rows) - 1):
        ax.axhline(i + 0.5, color="0.85", linewidth=0.5, zorder=0)
    ax.set_xlabel(label)
    label_rows(ax, rows)
    legend_beside(ax)
    return note(fig)
