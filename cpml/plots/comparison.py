"""Data sets and models side by side: gains with intervals, optimism of random
splits, calibration, prediction sets.
"""

import numpy as np

from cpml.errors import ParameterError
from cpml.plots.scores import _in_order
from cpml.plots.style import (
    BLUE,
    CATEGORY_COLOURS,
    GREY,
    figure,
    legend_beside,
    model_label,
    model_style,
    need_columns,
    plain_log_axis,
    stamp,
    width_mm,
)

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")


def forest(table, *, columns, caption="", title="", width="text"):
    """Gains with their intervals, one row per question, one panel per score; to the right of zero is better.

    Parameters
    ----------
    table : row (text), against ("footprints", "truth"), best (the other model), score, difference, low, high
    columns : dict score -> axis label

    Returns
    -------
    Figure
    """
    need_columns(table, ["row", "against", "best", "score", "difference", "low", "high"], "table of gains")
    rows = list(dict.fromkeys(table["row"]))
    kinds = list(dict.fromkeys(table["against"]))
    height = (7.5 * len(rows) + 30) / width_mm(width)
    fig, axes = figure(width, aspect=height, cols=len(columns), squeeze=False, sharey=True)
    for ax, (score, label) in zip(axes[0], columns.items(), strict=True):
        part = table[table["score"] == score]
        for k, kind in enumerate(kinds):
            own = part[part["against"] == kind]
            y = np.array([rows.index(r) for r in own["row"]]) + 0.22 * (k - (len(kinds) - 1) / 2)
            x, low, high = (own[c].to_numpy(float) for c in ("difference", "low", "high"))
            face = BLUE if k == 0 else "white"
            bars = np.maximum([x - low, high - x], 0)
            ax.errorbar(
                x, y, xerr=bars, fmt=MARKERS[k], color=BLUE, markerfacecolor=face, markersize=3.5, elinewidth=0.9,
                capsize=1.8, label=f"against {kind}",
            )  # fmt: skip
        ax.axvline(0, color="0.3", linewidth=0.7, linestyle="--", zorder=0.5)
        ax.set(xlabel=label, ylim=(len(rows) - 0.4, -0.6))
        ax.margins(x=0.08)
        ax.locator_params(axis="x", nbins=5)
    axes[0, 0].set_yticks(range(len(rows)), rows)
    axes[0, 0].tick_params(axis="y", length=0)
    handles, names = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside upper right", ncols=2)
    fig.suptitle(title, x=0.01, ha="left") if title else None
    return stamp(fig, caption)


def optimism_points(table, *, label="PR-AUC, random split minus blocks", caption="", title="", width="text"):
    """How much better a random split would have looked: one row per model, one
    point per data set and mechanism.

    Parameters
    ----------
    table : model, group (text), gap

    Returns
    -------
    Figure
    """
    need_columns(table, ["model", "group", "gap"], "table of optimism")
    models, groups = _in_order(table["model"]), list(dict.fromkeys(table["group"]))
    fig, ax = figure(width, aspect=(6.5 * max(len(models), len(groups)) + 26) / width_mm(width))
    for k, group in enumerate(groups):
        own = table[table["group"] == group]
        y = np.array([models.index(m) for m in own["model"]]) + 0.5 * ((k + 0.5) / len(groups) - 0.5)
        ax.plot(own["gap"].to_numpy(float), y, **_look(k), linestyle="none", markersize=4, label=group)
    ax.axvline(0, color="0.3", linewidth=0.7, linestyle="--", zorder=0.5)
    ax.set(xlabel=label, ylim=(len(models) - 0.4, -0.6))
    ax.set_yticks(range(len(models)), [model_label(m) for m in models])
    ax.tick_params(axis="y", length=0)
    ax.margins(x=0.08)
    ax.set_title(title)
    legend_beside(ax)
    return stamp(fig, caption)


def calibration_by_dataset(tables, *, errors=None, caption="", title="", width="text"):
    """Observed share against probability of one model, one panel per mechanism, one line per data set.

    Parameters
    ----------
    tables : dict mechanism -> dict data set -> table with predicted, observed, low, high
    errors : dict (mechanism, data set) -> expected calibration error, written into the legend

    Returns
    -------
    Figure
    """
    if not tables:
        raise ParameterError("calibration_by_dataset needs at least one mechanism")
    names = list(dict.fromkeys(name for group in tables.values() for name in group))
    height = 0.6 if len(tables) > 1 else 0.9
    fig, axes = figure(width, aspect=height, cols=len(tables), squeeze=False, sharey=True, sharex=True)
    for ax, (mechanism, group) in zip(axes[0], tables.items(), strict=True):
        ax.plot([0, 1], [0, 1], color="0.5", linewidth=0.6, linestyle=":")
        for name, table in group.items():
            look = _look(names.index(name))
            x, y = table["predicted"].to_numpy(float), table["observed"].to_numpy(float)
            bars = np.maximum([y - table["low"].to_numpy(float), table["high"].to_numpy(float) - y], 0)
            ax.errorbar(x, y, bars, fmt="none", ecolor=look["color"], elinewidth=0.5, capsize=1.2, alpha=0.7)
            error = f" ({errors[mechanism, name]:.3f})" if errors and (mechanism, name) in errors else ""
            ax.plot(x, y, markersize=3.5, label=name + error, **look)
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), box_aspect=1)
        ax.set_title(mechanism)
        ax.set_xlabel("predicted probability")
        ax.legend(loc="lower right", fontsize=6.5, borderaxespad=0.2, handlelength=1.5)
    axes[0, 0].set_ylabel("observed share")
    fig.suptitle(title, x=0.01, ha="left") if title else None
    return stamp(fig, caption + "; in brackets: calibration error" * bool(errors))


def coverage_rows(table, *, level=0.9, blocks=None, caption="", title="", width="text"):
    """Coverage of prediction sets with intervals, and their size, one row per model or data set.

    Parameters
    ----------
    table : row (text, or a model's name), coverage, low, high, set_share
    blocks : row, coverage of every block, drawn as faint dots

    Returns
    -------
    Figure
    """
    need_columns(table, ["row", "coverage", "low", "high", "set_share"], "coverage table")
    rows = list(table["row"])
    height = (6.5 * len(rows) + 30) / width_mm(width)
    fig, (ax, right) = figure(width, aspect=height, cols=2, sharey=True)
    y = np.arange(len(rows))
    x, low, high = (table[c].to_numpy(float) for c in ("coverage", "low", "high"))
    if blocks is not None:
        own = blocks[blocks["row"].isin(rows)]
        at = np.array([rows.index(r) for r in own["row"]]) + 0.25
        ax.plot(own["coverage"].to_numpy(float), at, ".", color=GREY, markersize=3, label="one block")
    bars = np.maximum([x - low, high - x], 0)
    ax.errorbar(
        x,
        y,
        xerr=bars,
        fmt="o",
        color=BLUE,
        markersize=3.5,
        elinewidth=0.9,
        capsize=1.8,
        label="mean of blocks",
    )
    ax.axvline(level, color="0.3", linewidth=0.7, linestyle="--", label=f"nominal, {level:g}")
    ax.axvspan(level - 0.02, level + 0.02, color="0.92", zorder=0)
    ax.set(xlabel="share of footprints inside the set", ylim=(len(rows) - 0.4, -0.6))
    ax.set_xlim(min(0.78, ax.get_xlim()[0]), 1.02)
    ax.locator_params(axis="x", nbins=6)
    right.barh(y, table["set_share"].to_numpy(float), 0.6, color=BLUE)
    right.axvline(0.5, color="0.3", linewidth=0.7, linestyle="--")
    right.set(xlabel="mean set size / number of targets", xlim=(0, 1.02))
    ax.set_yticks(y, [model_label(r) for r in rows])
    for axis in (ax, right):
        axis.tick_params(axis="y", length=0)
    fig.suptitle(title, x=0.01, ha="left") if title else None
    fig.legend(loc="outside upper right", ncols=3)
    return stamp(fig, caption)


def strengths_by_dataset(table, *, caption="", title="", width="text"):
    """Strength ratios of every data set: literature grey, learned blue.

    Parameters
    ----------
    table : dataset, family, prior_low, prior_ratio, prior_high, ratio_low, ratio, ratio_high, reference

    Returns
    -------
    Figure
    """
    need_columns(
        table,
        ["dataset", "family", "prior_low", "prior_ratio", "prior_high", "ratio_low", "ratio", "ratio_high"],
        "strength table",
    )
    rows = np.arange(len(table))
    fig, ax = figure(width, aspect=(5.5 * len(table) + 30) / width_mm(width))
    for name, columns, shift, colour, marker in (
        ("literature", ("prior_low", "prior_ratio", "prior_high"), -0.17, GREY, "s"),
        ("learned", ("ratio_low", "ratio", "ratio_high"), 0.17, BLUE, "o"),
    ):
        low, middle, high = (table[c].to_numpy(float) for c in columns)
        ax.hlines(rows + shift, low, high, color=colour, linewidth=1.8)
        ax.plot(middle, rows + shift, marker, color=colour, markersize=3.5, label=name)
    for i in np.flatnonzero(table["dataset"].to_numpy()[1:] != table["dataset"].to_numpy()[:-1]):
        ax.axhline(i + 0.5, color="0.7", linewidth=0.5)
    labels = [
        f"{d}, {str(f).replace('_', ' ')}" for d, f in zip(table["dataset"], table["family"], strict=True)
    ]
    ax.set_yticks(rows, labels)
    ax.tick_params(axis="y", length=0)
    ax.set(xlabel="strength / strength of the reference family", ylim=(len(table) - 0.5, -0.5))
    plain_log_axis(ax)
    ax.set_title(title)
    fig.legend(loc="outside upper right", ncols=2)
    return stamp(fig, caption)


def model_scores(table, *, label, caption="", title="", width="text", low="low", high="high"):
    """One score of all models on all data sets: one row per data set and mechanism, one marker per model.

    Parameters
    ----------
    table : row (text), model, value, low, high

    Returns
    -------
    Figure
    """
    need_columns(table, ["row", "model", "value"], "score table")
    rows, models = list(dict.fromkeys(table["row"])), _in_order(table["model"])
    height = (max(9 * len(rows), 4.6 * len(models)) + 24) / width_mm(width)
    fig, ax = figure(width, aspect=height)
    for k, model in enumerate(models):
        own = table[table["model"] == model]
        y = np.array([rows.index(r) for r in own["row"]]) + 0.72 * ((k + 0.5) / len(models) - 0.5)
        x, look = own["value"].to_numpy(float), model_style(model)
        bars = np.maximum([x - own[low].to_numpy(float), own[high].to_numpy(float) - x], 0)
        ax.errorbar(
            x,
            y,
            xerr=bars,
            fmt=look["marker"],
            color=look["color"],
            markersize=3,
            elinewidth=0.7,
            label=model_label(model),
        )
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(axis="y", length=0)
    ax.set(xlabel=label, ylim=(len(rows) - 0.5, -0.5))
    for i in range(len(rows) - 1):
        ax.axhline(i + 0.5, color="0.85", linewidth=0.5, zorder=0)
    ax.set_title(title)
    legend_beside(ax)
    return stamp(fig, caption)


def _look(k: int) -> dict:
    """Colour and marker of the k-th data set."""
    return {"color": CATEGORY_COLOURS[k % len(CATEGORY_COLOURS)], "marker": MARKERS[k % len(MARKERS)]}
