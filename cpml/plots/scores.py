"""How well models predict: scores with intervals, precision and recall, calibration, confusion, top-k."""

import numpy as np

from cpml.errors import ParameterError
from cpml.plots.style import (
    MODEL_COLOURS,
    figure,
    legend_beside,
    model_label,
    model_style,
    need_columns,
    stamp,
    width_mm,
)


def _in_order(names):
    """Models in the project's order, unknown ones last."""
    order = list(MODEL_COLOURS)
    return sorted(dict.fromkeys(names), key=lambda name: order.index(name) if name in order else len(order))


def bars_with_intervals(
    table, *, label, value="value", low="low", high="high", reference="prevalence", group=None, xmin=0.0,
    caption="",
    n=None, title="", unit="observations", width="single",
):  # fmt: skip
    """One score per model as a bar with its interval, and the reference model as a dashed line.

    Parameters
    ----------
    table : model names in the column "model" or as index; columns value, low, high (NaN: no interval)
    label : the score in words, with its unit
    reference : model whose score is drawn as a line through its panel; None for no line
    group : column whose values get a panel each (e.g. "mechanism")
    xmin : left end of the axis; None leaves it to the data
    n : sample count for the caption

    Returns
    -------
    Figure
    """
    table = table if "model" in table else table.rename_axis("model").reset_index()
    need_columns(table, [c for c in (value, low, high, group) if c], "score table")
    panels = [("", table)] if group is None else list(table.groupby(group, sort=False))
    models = _in_order(table["model"])
    height = (6 * len(models) + 24) / width_mm(width)
    fig, axes = figure(width, aspect=height, cols=len(panels), squeeze=False, sharey=True, sharex=True)
    for ax, (name, part) in zip(axes[0], panels, strict=True):
        _score_panel(ax, part.set_index("model"), models, (value, low, high), reference)
        ax.set_title(str(name).replace("_", " "))
    if xmin is not None:
        ends = table[[value, high]].max(axis=None)
        axes[0, 0].set_xlim(xmin, xmin + 1.06 * (ends - xmin) if ends > xmin else xmin + 1)
    axes[0, 0].set_yticks(range(len(models)), [model_label(m) for m in models])
    axes[0, 0].set_ylim(len(models) - 0.4, -0.6)
    if group is None:
        axes[0, 0].set(xlabel=label)
        axes[0, 0].set_title(title)
    else:
        axes[0, len(panels) // 2].set_xlabel(label)
        fig.suptitle(title, x=0.01, ha="left") if title else None
    return stamp(fig, caption, n=n, unit=unit)


def _score_panel(ax, part, models, columns, reference):
    for row, model in enumerate(models):
        if model not in part.index:
            continue
        value, low, high = (float(part.loc[model, c]) for c in columns)
        ax.barh(row, value, 0.66, color=model_style(model)["color"])
        if np.isfinite(low) and np.isfinite(high):
            bar = [[max(value - low, 0)], [max(high - value, 0)]]
            ax.errorbar(value, row, xerr=bar, color="black", capsize=2, elinewidth=0.8)
    if reference in part.index:
        ax.axvline(
            float(part.loc[reference, columns[0]]), color="0.3", linewidth=0.7, linestyle="--", zorder=0.5
        )
    ax.tick_params(axis="y", length=0)


def pr_curves(
    curves, *, prevalence=None, scores=None, caption="", n=None, title="", unit="observations", width="middle"
):
    """Precision against recall.

    Parameters
    ----------
    curves : dict model -> (recall, precision)
    prevalence : share of positives, the precision of guessing
    scores : dict model -> average precision, written into the legend

    Returns
    -------
    Figure
    """
    fig, ax = figure(width, aspect=0.6)
    for model in _in_order(curves):
        recall, precision = (np.asarray(v, dtype=float) for v in curves[model])
        order = np.argsort(recall, kind="stable")
        text = model_label(model) + (f", AP {scores[model]:.2f}" if scores and model in scores else "")
        look = model_style(model, marker=False) | {"linewidth": 1.3 if model == "coupled" else 0.9}
        ax.step(recall[order], precision[order], where="pre", label=text, **look)
    if prevalence is not None:
        ax.axhline(prevalence, color="0.4", linewidth=0.6, linestyle=":", label=f"guessing, {prevalence:.2f}")
    ax.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), box_aspect=1)
    ax.set_title(title)
    legend_beside(ax)
    return stamp(fig, caption, n=n, unit=unit)


def reliability(tables, *, caption="", n=None, title="", unit="predictions", width="middle"):
    """Calibration: observed share against predicted probability, with the counts below.

    Parameters
    ----------
    tables : dict model -> table with predicted (bin mean), observed (share), low, high, count;
        or one such table with a column model

    Returns
    -------
    Figure
    """
    if hasattr(tables, "columns"):
        need_columns(tables, ["model"], "reliability table")
        tables = dict(list(tables.groupby("model", sort=False)))
    for model, table in tables.items():
        need_columns(table, ["predicted", "observed", "count"], f"reliability table of {model}")
    fig, (ax, below) = figure(width, aspect=0.8, rows=2, sharex=True, height_ratios=(4, 1))
    ax.plot([0, 1], [0, 1], color="0.5", linewidth=0.6, linestyle=":", label="perfect calibration")
    for model in _in_order(tables):
        table = tables[model].sort_values("predicted")
        x, y = table["predicted"].to_numpy(float), table["observed"].to_numpy(float)
        look = model_style(model)
        if "low" in table and "high" in table:
            bars = np.maximum([y - table["low"].to_numpy(float), table["high"].to_numpy(float) - y], 0)
            ax.errorbar(x, y, bars, fmt="none", ecolor=look["color"], elinewidth=0.5, capsize=1.2, alpha=0.7)
        ax.plot(x, y, label=model_label(model), **look)
        below.plot(x, table["count"].to_numpy(float), **look | {"markersize": 2.5})
    ax.set(ylabel="observed share", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.set_title(title)
    below.set(xlabel="predicted probability", ylabel=unit, yscale="log")
    legend_beside(ax)
    return stamp(fig, caption, n=n, unit=unit)


def confusion(
    matrix,
    names,
    *,
    label="share of the observed class",
    caption="",
    title="",
    unit="observations",
    width="single",
):
    """Confusion matrix: rows observed, columns predicted, coloured by the share of the row, counts written.

    Parameters
    ----------
    matrix : (K, K) counts
    names : K class names in words
    """
    matrix = np.asarray(matrix, dtype=float)
    if matrix.shape != (len(names), len(names)):
        raise ParameterError(f"confusion matrix has shape {matrix.shape}, but there are {len(names)} names")
    total = matrix.sum(axis=1, keepdims=True)
    share = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
    fig, ax = figure(width, aspect=0.82)
    drawn = ax.imshow(share, cmap="cividis", vmin=0, vmax=1)
    for i, j in np.ndindex(matrix.shape):
        ax.text(
            j,
            i,
            f"{matrix[i, j]:g}",
            ha="center",
            va="center",
            color="white" if share[i, j] < 0.5 else "black",
            fontsize=7,
        )
    ticks = range(len(names))
    ax.set_xticks(
        ticks,
        names,
        rotation=30 if max(map(len, names)) > 6 else 0,
        ha="right" if max(map(len, names)) > 6 else "center",
    )
    ax.set_yticks(ticks, names)
    ax.set(xlabel="predicted", ylabel="observed")
    ax.set_title(title)
    fig.colorbar(drawn, ax=ax, label=label, fraction=0.05).outline.set_linewidth(0.5)
    return stamp(fig, caption, n=int(matrix.sum()), unit=unit)


def topk_bars(
    table, *, intervals=None, chance=None, caption="", n=None, title="", unit="grains", width="middle"
):
    """Share of grains whose observed system is among the k most probable, per model.

    Parameters
    ----------
    table : dict model -> (K,) shares for k = 1..K, or DataFrame with one row per model and one column per k
    intervals : dict model -> (low (K,), high (K,))
    chance : (K,) shares by guessing, drawn as short dashed lines

    Returns
    -------
    Figure
    """
    if hasattr(table, "columns"):
        table = {model: row.to_numpy(dtype=float) for model, row in table.iterrows()}
    if not table:
        raise ParameterError("topk_bars needs at least one model")
    models = _in_order(table)
    count = max(len(np.atleast_1d(v)) for v in table.values())
    place = np.arange(1, count + 1)
    wide = 0.84 / len(models)
    fig, ax = figure(width, aspect=0.55)
    for i, model in enumerate(models):
        share = np.atleast_1d(np.asarray(table[model], dtype=float))
        at = place[: len(share)] + (i - (len(models) - 1) / 2) * wide
        bars = None
        if intervals and model in intervals:
            low, high = (np.asarray(v, dtype=float) for v in intervals[model])
            bars = np.maximum([share - low, high - share], 0)
        look = {"color": model_style(model)["color"], "label": model_label(model)}
        ax.bar(at, share, 0.92 * wide, yerr=bars, error_kw={"elinewidth": 0.6, "capsize": 1.2}, **look)
    if chance is not None:
        ax.hlines(
            chance,
            place - 0.45,
            place + 0.45,
            color="black",
            linewidth=0.8,
            linestyles="--",
            label="by chance",
        )
    ax.set(
        xlabel="k most probable systems", ylabel="share with the observed system", xticks=place, ylim=(0, 1)
    )
    ax.set_title(title)
    legend_beside(ax)
    return stamp(fig, caption, n=n, unit=unit)
