"""Colours of the points of a map, with the key that a reader needs: triangle, bar or list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import Normalize, hsv_to_rgb, to_rgb
from numpy.typing import NDArray

from cpml.explore.situation import Situation
from cpml.plots.maps import colour_limits, spread
from cpml.plots.palette import NO_VALUE, category_colours

GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True, eq=False)
class Painting:
    """A colour for every point.

    Attributes
    ----------
    rgb : (N, 3) in 0..1
    title : what is shown
    triangle : sample direction of the colour triangle, None without one
    bar : colour map, limits and label of the colour bar, None without one
    names : of categories and their colours
    note : what to know besides
    """

    rgb: NDArray
    title: str
    triangle: NDArray | str | None = None
    bar: tuple[str, tuple[float, float], str] | None = None
    names: tuple[tuple[str, NDArray], ...] = ()
    note: str = ""


Colouring = Callable[[Situation], Painting]


def colourings(situation: Situation) -> dict[str, Colouring]:
    """Name -> how to paint, of all that this map, its law and its chapters give."""
    survey = situation.survey
    found: dict[str, Colouring] = {
        "orientation (IPF of the load axis)": _along_load,
        "orientation (IPF-z)": partial(_orientation, direction="z", name="z"),
        "grains": _grains,
        "KAM": _kam,
    }
    if situation.load is not None and survey.materials:
        found |= {"largest Schmid factor": _schmid, "law: first choice": _first_choice}
    levels, predictions = survey.chapters.table("levels"), survey.chapters.predictions
    if levels is not None:
        for family in levels.loc[levels["level"] == "family", "family"].drop_duplicates():
            found[f"F: probability of {family}"] = partial(_probability, family=family)
    if predictions is not None:
        found["F: most probable slip"] = _most_probable
    for name, values in survey.ebsd.properties.items():
        if np.issubdtype(np.asarray(values).dtype, np.number):
            found[f"map file: {name}"] = partial(_recorded, name=name)
    return found


def _along_load(situation: Situation) -> Painting:
    if situation.load is None:
        return _orientation(situation, direction="x", name="x")
    axis = situation.load.main_axis
    return _orientation(situation, direction=axis, name=f"load axis, {situation.load_name}")


def _orientation(situation: Situation, *, direction: NDArray | str, name: str) -> Painting:
    rgb = situation.survey.crystal_colours(direction)
    return Painting(rgb, f"Crystal direction along {name}", direction)


def _grains(situation: Situation) -> Painting:
    label = situation.label
    hue = label * GOLDEN % 1.0
    value = 0.72 + 0.24 * (label * GOLDEN**2 % 1.0)
    rgb = hsv_to_rgb(np.stack([hue, np.full(len(label), 0.38), value], axis=1))
    rgb[label == 0] = to_rgb(NO_VALUE)
    n = len(situation.grains)
    return Painting(rgb, f"{n} grains of {situation.twins.segmentation.n_grains} fragments")


def _kam(situation: Situation) -> Painting:
    return _values(situation.survey.kam_deg, "Kernel average misorientation", "KAM / °", situation=situation)


def _schmid(situation: Situation) -> Painting:
    values = _on_points(situation.label, situation.of_grains("most_stressed"))
    title = f"Largest Schmid factor, {situation.load_name}"
    return _values(values, title, "largest Schmid factor", limits=(0.0, 0.5), situation=situation)


def _first_choice(situation: Situation) -> Painting:
    title = f"Family with most of the shear, {situation.load_name}"
    families = dict.fromkeys(f for a in situation.answers.values() for f in a.systems.family_names)
    choice = situation.of_grains("first_choice")
    return _classes(situation.label, choice, list(families), title, f"law alone, {situation.scheme_name}")


def _probability(situation: Situation, *, family: str) -> Painting:
    levels = situation.survey.chapters.table("levels")
    assert levels is not None
    rows = levels[(levels["level"] == "family") & (levels["family"] == family)]
    values = _on_points(situation.survey.twins(None).grain_label, rows.set_index("grain_id")["p"])
    label, title = f"probability of {family}", f"F: probability that {family} was active"
    return _values(values, title, label, limits=(0.0, 1.0), note=_of_declared(situation), situation=situation)


def _most_probable(situation: Situation) -> Painting:
    table = situation.survey.chapters.predictions
    assert table is not None
    slip = table[table["mechanism"] == "slip"]
    best = slip.loc[slip.groupby("grain_id")["p"].idxmax()].set_index("grain_id")["family"]
    families = [f for m in situation.survey.materials.values() for f in m.families if f in set(best)]
    label, title = situation.survey.twins(None).grain_label, "F: family of the most probable slip plane"
    return _classes(label, best, list(dict.fromkeys(families)), title, _of_declared(situation))


def _of_declared(situation: Situation) -> str:
    return "" if situation.is_declared else "F knows the grains at the declared threshold"


def _recorded(situation: Situation, *, name: str) -> Painting:
    values = np.asarray(situation.survey.ebsd.properties[name], float)
    return _values(values, f"{name}, as recorded in the map file", name, cmap="gray", situation=situation)


def _on_points(label: NDArray, values: pd.Series) -> NDArray:
    return spread(label, values.astype(float))


def _values(
    values: NDArray,
    title: str,
    label: str,
    *,
    situation: Situation,
    limits: tuple[float, float] | None = None,
    cmap: str = "viridis",
    note: str = "",
) -> Painting:
    known = np.isfinite(values)
    rgb = np.where((situation.survey.ebsd.phase_id > 0)[:, None], to_rgb(NO_VALUE), 1.0)
    if not known.any():
        return Painting(rgb, title, note="no point has a value")
    limits = limits or colour_limits(values)
    rgb[known] = plt.get_cmap(cmap)(Normalize(*limits, clip=True)(values[known]))[:, :3]
    return Painting(rgb, title, bar=(cmap, limits, label), note=note)


def _classes(label: NDArray, values: pd.Series, names: list[str], title: str, note: str) -> Painting:
    colours = category_colours(len(names))
    number = spread(label, values.map({name: k for k, name in enumerate(names)}).astype(float))
    rgb = np.tile(np.array(to_rgb(NO_VALUE)), (len(label), 1))
    known = np.isfinite(number)
    rgb[known] = colours[number[known].astype(int)]
    counts = values.value_counts()
    named = tuple((f"{n} ({counts.get(n, 0)})", c) for n, c in zip(names, colours, strict=True))
    return Painting(rgb, title, names=named, note=note)
