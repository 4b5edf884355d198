"""What designs promise: reachable pairs, goals as asked and as met, fronts, processes, mechanisms."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from cpml.errors import ParameterError
from cpml.plots.palette import BLUE, CATEGORY_COLOURS, GREY, MARKERS, RED
from cpml.plots.style import captioned, figure, label_rows, legend_beside, need_columns, note

STAR = {"marker": "*", "color": RED, "markersize": 7}
RING = {"marker": "o", "color": "black", "markerfacecolor": "none", "markersize": 9}  # around the star
SQUARE = {"marker": "s", "color": GREY, "markersize": 5}
UNITS = {"_mpa": " / MPa", "_gpa": " / GPa"}


def words_of(goal: str) -> str:
    """A goal's name as an axis has it, its unit behind.

    Examples
    --------
    >>> words_of("stress_mpa at 0.03"), words_of("r_value")
    ('stress at 0.03 / MPa', 'r value')
    """
    for end, unit in UNITS.items():
        if end in goal:
            return goal.replace(end, "", 1).replace("_", " ") + unit
    return goal.replace("_", " ")


@captioned
def design_goals(table: pd.DataFrame) -> Figure | None:
    """Every goal in percent of what was asked: the bounds as a green bar, this map, the design with its
    interval.

    Parameters
    ----------
    table : goal, low, high (bounds, infinite where open), now, design; p5, p95 (90 % interval of the design,
        NaN where unknown)

    Returns
    -------
    Figure, None where there is nothing to draw: no goal
    """
    need_columns(table, ("goal", "low", "high", "now", "design", "p5", "p95"), "table of goals")
    if not len(table):
        return None
    ends = table[["low", "high"]].to_numpy(float)
    size = np.where(np.isfinite(ends), np.abs(ends), 0.0).max(1)
    size = np.where(size > 0, size, 1.0)
    shown = 100 * table[["low", "high", "now", "design", "p5", "p95"]].to_numpy(float) / size[:, None]
    low, high, now, design, p5, p95 = shown.T
    finite = shown[np.isfinite(shown)]
    left, right = finite.min() - 10, finite.max() + 10
    row = np.arange(len(table))
    fig, ax = figure("middle", aspect=0.22 + 0.1 * len(table))
    start, stop = np.where(np.isfinite(low), low, left), np.where(np.isfinite(high), high, right)
    thin = np.maximum(stop - start, 0.004 * (right - left))
    ax.barh(row, thin, left=start, height=0.7, color=CATEGORY_COLOURS[2], alpha=0.25, label="asked")
    ax.hlines(row, p5, p95, color=BLUE, linewidth=1.6, label="90 % of the strengths")
    ax.plot(now, row, linestyle="none", label="this map", **SQUARE)
    ax.plot(design, row, "o", color=BLUE, markersize=5, label="design")
    ax.set(xlabel="value / % of what was asked", xlim=(left, right))
    label_rows(ax, [words_of(goal).split(" / ")[0] for goal in table["goal"]])
    legend_beside(ax)
    return note(fig, n=len(table), unit="goals")


@captioned
def design_routes(table: pd.DataFrame) -> Figure | None:
    """Goals of a design by other routes than its own: a point for each, relative to what was asked; 0 is the
    design.

    Parameters
    ----------
    table : route, goal, deviation, as cpml.design.prove gives it

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("route", "goal", "deviation"), "table of routes")
    return _rows_of_goals(table, "route", "deviation from the design / %", "values")


@captioned
def design_sensitivity(table: pd.DataFrame) -> Figure | None:
    """What small changes do to the goals of a design: a point for each, relative to what was asked.

    Parameters
    ----------
    table : change, goal, deviation, as cpml.design.sensitivity gives it

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("change", "goal", "deviation"), "table of changes")
    return _rows_of_goals(table, "change", "change of the goal / %", "changes")


def _rows_of_goals(table: pd.DataFrame, rows: str, label: str, unit: str) -> Figure | None:
    """Deviations, one row for each name, one mark for each goal."""
    if not len(table):
        return None
    goals, names = (list(dict.fromkeys(table[key])) for key in ("goal", rows))
    fig, ax = figure("middle", aspect=0.2 + (0.12 if len(names) < 5 else 0.07) * len(names))
    ax.axvline(0, color="0.5", linewidth=0.6, linestyle=":")
    place = {name: k for k, name in enumerate(names)}
    for k, goal in enumerate(goals):
        own = table[table["goal"] == goal]
        shift = (k - (len(goals) - 1) / 2) * 0.15
        ax.plot(
            100 * own["deviation"],
            [place[name] + shift for name in own[rows]],
            MARKERS[k % len(MARKERS)],
            color=CATEGORY_COLOURS[k % len(CATEGORY_COLOURS)],
            markersize=4,
            label=words_of(goal).split(" / ")[0],
        )
    ax.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    ax.set(xlabel=label, ylim=(len(names) - 0.5, -0.5))
    legend_beside(ax, title="goal")
    return note(fig, n=len(table), unit=unit)


@captioned
def trade_off(
    front: pd.DataFrame,
    goals: Sequence[str],
    *,
    processes: pd.DataFrame | None = None,
    asked: tuple[float, float, float, float] | None = None,
    now: tuple[float, float] | None = None,
    suggestion: tuple[float, float] | None = None,
    steps: ArrayLike | None = None,
) -> Figure | None:
    """Two goals against each other: the front of textures, what processes make, what is asked for.

    Parameters
    ----------
    front : columns of both goals, in order along the front
    processes : the same columns, and process; what was tried
    asked : low and high of the first goal, low and high of the second; infinite where open
    now, suggestion : pairs
    steps : (N, 2) pairs from the start of the best process through its steps

    Returns
    -------
    Figure, None where there is nothing to draw: an empty front and no process
    """
    if len(goals) != 2:
        raise ParameterError(f"goals = {goals}: give two")
    x, y = goals
    need_columns(front, (x, y), "front")
    made = processes if processes is not None else front.iloc[:0]
    need_columns(made, (x, y), "table of processes")
    if not len(front) and not len(made):
        return None
    fig, ax = figure("middle", aspect=0.6)
    ax.plot(front[x], front[y], "-o", color=BLUE, markersize=3, label="front of textures")
    if len(made):
        look = {"color": "0.55", "markersize": 2.5, "linestyle": "none", "marker": "o"}
        ax.plot(made[x], made[y], label="processes tried", **look)
    if steps is not None and len(np.atleast_2d(steps)) > 1:
        ax.plot(*np.asarray(steps, float).T, "-s", color=RED, markersize=3, label="best process")
    for point, name, style in ((now, "this map", SQUARE), (suggestion, "suggestion", RING)):
        if point is not None:
            ax.plot(*point, linestyle="none", label=name, zorder=5, **style)
    if asked is not None:
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        ends = np.clip(asked, [left, left, bottom, bottom], [right, right, top, top])
        width, height = max(ends[1] - ends[0], 0.0), max(ends[3] - ends[2], 0.0)
        box = {"facecolor": CATEGORY_COLOURS[2], "alpha": 0.2, "linewidth": 0, "label": "asked"}
        ax.add_patch(Rectangle((ends[0], ends[2]), width, height, **box))
        ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.set(xlabel=words_of(x), ylabel=words_of(y))
    legend_beside(ax)
    return note(fig, n=len(front) + len(made), unit="solved textures")


@captioned
def mechanism_shares(table: pd.DataFrame, *, strain: float) -> Figure | None:
    """Which families carry the shear of each texture, as bars beside each other.

    Parameters
    ----------
    table : texture, family, share, as cpml.design.mechanisms gives it; rows without a family are left out
    strain : of the test, for the axis

    Returns
    -------
    Figure, None where there is nothing to draw: no row
    """
    need_columns(table, ("texture", "family", "share"), "table of mechanisms")
    table = table[table["family"] != ""]
    if not len(table):
        return None
    fig, ax = figure("middle", aspect=0.5)
    shown = table.assign(family=table["family"].str.replace("_", " "), percent=100 * table["share"])
    names = list(dict.fromkeys(shown["texture"]))
    palette = [CATEGORY_COLOURS[i % len(CATEGORY_COLOURS)] for i in range(len(names))]
    sns.barplot(shown, x="family", y="percent", hue="texture", hue_order=names, palette=palette, ax=ax)
    ax.set(xlabel="family", ylabel=f"share of the shear to {100 * strain:g} % / %")
    legend_beside(ax)
    return note(fig, n=len(names), unit="textures")


@captioned
def reachable_region(
    table: pd.DataFrame,
    *,
    target: tuple[float, float] | None = None,
    suggestion: tuple[float, float] | None = None,
    current: tuple[float, float] | None = None,
) -> Figure | None:
    """Which yield stresses textures can give for each r value, with the target and the suggestion.

    Parameters
    ----------
    table : r_value, yield_min_mpa, yield_max_mpa of `cpml.design.reachable`
    target, suggestion, current : (r, yield stress in MPa); the current one is computed for the map's texture

    Returns
    -------
    Figure, None where there is nothing to draw: nothing is reachable
    """
    need_columns(table, ("r_value", "yield_min_mpa", "yield_max_mpa"), "table of the reachable region")
    if not len(table):
        return None
    r, low, high = (
        table.sort_values("r_value")[c].to_numpy(float) for c in ("r_value", "yield_min_mpa", "yield_max_mpa")
    )
    fig, ax = figure("middle", aspect=0.55)
    ax.fill_between(r, low, high, color=BLUE, alpha=0.18, linewidth=0, label="reachable by texture")
    for end in (low, high):
        ax.plot(r, end, color=BLUE, linewidth=0.8)
    named = ("target", target, STAR), ("suggestion", suggestion, RING), ("this map (Taylor)", current, SQUARE)
    for name, point, look in named:
        if point is not None:
            text = f"{name} ({point[0]:.3g}, {point[1]:.4g})"
            ax.plot(*point, linestyle="none", label=text, zorder=5, **look)
    ax.set(xlabel="Lankford coefficient r", ylabel="yield stress / MPa")
    legend_beside(ax)
    return note(fig)
