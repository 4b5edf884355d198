"""Colours of categories, and one look for each model in all figures.

Categories have seaborn's `colorblind` palette; markers and line styles differ with the colour, so that a
figure is also read in grey. The look of a model stands in one table, `_MODELS`.
"""

import zlib
from collections.abc import Iterable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

CATEGORY_COLOURS = tuple(sns.color_palette("colorblind").as_hex())
BLUE, ORANGE, GREEN, RED, PINK, BROWN, LIGHT_PINK, GREY, YELLOW, SKY = CATEGORY_COLOURS
NO_VALUE = "#E6E6E6"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
LINES = ("-", "--", "-.", ":")

# name: colour, marker, line style, words; fitted strengths are a darker shade of the same scheme
_MODELS = {
    "prevalence": (GREY, "x", (0, (1, 1)), "prevalence"),
    "family_share": ("#5E5E5E", "$f$", (0, (1, 2, 3, 2)), "share per family"),
    "schmid": (BROWN, "s", (0, (4, 1)), "Schmid factor"),
    "schmid_family": ("#6F4518", "$s$", (0, (4, 1, 2, 1, 2, 1)), "Schmid factor, by family"),
    "cp_sachs": (SKY, "v", (0, (4, 1, 1, 1)), "CP, Sachs"),
    "cp_taylor": (GREEN, "^", (0, (2, 1)), "CP, Taylor"),
    "cp_affine": (YELLOW, "<", (0, (3, 1, 1, 1, 1, 1)), "CP, self-consistent"),
    "cp_sachs_fitted": ("#2B7A9B", "1", (0, (5, 2, 1, 2)), "CP, Sachs, fitted"),
    "cp_taylor_fitted": ("#01563F", "2", (0, (3, 2)), "CP, Taylor, fitted"),
    "cp_affine_fitted": ("#8F8600", "3", (0, (3, 2, 1, 2, 1, 2)), "CP, self-consistent, fitted"),
    "cp_full_field": ("#3D3D3D", ">", (0, (1, 1, 3, 1)), "CP, full field"),
    "cp_depth": ("#6A8F3F", "p", (0, (4, 1, 2, 1)), "CP, drawn depths"),
    "cp_learned": ("#A8321A", "X", (0, (7, 1, 2, 1)), "CP, learned mechanics"),
    "gbdt_orientation": ("#F5C878", "d", (0, (6, 3)), "boosted trees, orientation"),
    "gbdt": (ORANGE, "D", (0, (6, 2)), "boosted trees"),
    "stacking": (PINK, "P", (0, (6, 1, 1, 1, 1, 1)), "stacking"),
    "stacking_full_field": ("#8A2B5B", "*", (0, (6, 1, 1, 1)), "stacking, full field"),
    "stacking_learned": ("#C94F8C", "|", (0, (6, 1, 2, 1)), "stacking, learned mechanics"),
    "forest_orientation": ("#F2A884", "h", (0, (8, 3)), "random forest, orientation"),
    "forest": (RED, "H", (0, (8, 2)), "random forest"),
    "forest_stacking": ("#7F4A7A", "4", (0, (8, 1, 1, 1)), "stacking, forest"),
    "forest_stacking_full_field": ("#B07AA8", "8", (0, (8, 1, 1, 1, 1, 1)), "stacking, forest, full field"),
    "forest_stacking_learned": ("#9C6BB0", "_", (0, (8, 1, 2, 1)), "stacking, forest, learned mechanics"),
    "graph_network": ("#4B3F72", "+", (0, (1, 2)), "graph network"),
    "coupled": (BLUE, "o", "-", "coupled"),
    "coupled_latent_load": ("#4FA3D9", ".", (0, (10, 2)), "coupled, load direction latent"),
}
MODEL_COLOURS = {name: look[0] for name, look in _MODELS.items()}
MODEL_MARKERS = {name: look[1] for name, look in _MODELS.items()}
MODEL_LINES = {name: look[2] for name, look in _MODELS.items()}
MODEL_LABELS = {name: look[3] for name, look in _MODELS.items()}


def model_style(name: str, *, marker: bool = True) -> dict[str, Any]:
    """Colour, line style and marker of a model, as keyword arguments of `Axes.plot`.

    A name that is not in `MODEL_COLOURS` gets a colour that depends on the name alone.
    """
    fallback = CATEGORY_COLOURS[zlib.crc32(str(name).encode()) % len(CATEGORY_COLOURS)]
    style = {"color": MODEL_COLOURS.get(name, fallback), "linestyle": MODEL_LINES.get(name, "-")}
    if marker:
        style["marker"] = MODEL_MARKERS.get(name, "*")
    return style


def model_label(name: str) -> str:
    """The model's name in words."""
    return MODEL_LABELS.get(name, str(name).replace("_", " "))


def in_order(names: Iterable[str]) -> list[str]:
    """Models in the project's order, each once, unknown ones last."""
    order = list(MODEL_COLOURS)
    return sorted(dict.fromkeys(names), key=lambda name: order.index(name) if name in order else len(order))


def series_style(k: int) -> dict[str, Any]:
    """Colour and marker of the k-th data set or group of a figure."""
    return {"color": CATEGORY_COLOURS[k % len(CATEGORY_COLOURS)], "marker": MARKERS[k % len(MARKERS)]}


def category_colours(n: int) -> NDArray:
    """(n, 3) RGB: seaborn's colorblind for up to 10 categories, evenly spaced cividis beyond."""
    if n <= len(CATEGORY_COLOURS):
        return np.array([to_rgb(c) for c in CATEGORY_COLOURS[:n]]).reshape(n, 3)
    return plt.get_cmap("cividis")(np.linspace(0, 1, n))[:, :3]
