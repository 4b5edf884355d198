"""One look for all figures: final sizes, one colour per model, the caption stamped on the figure.

Figures are drawn at the size at which they are printed (85, 120, 150 or 176 mm wide) and never scaled,
so that 8 pt text is 8 pt on paper. Colours of categories are seaborn's `colorblind` palette, written
out here so that no figure needs seaborn itself; markers and line styles differ with the colour.
"""

import textwrap
import zlib
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from cpml.errors import ParameterError

STYLE = Path(__file__).with_name("cpml.mplstyle")
MM = 1 / 25.4
WIDTHS_MM = {"single": 85.0, "middle": 120.0, "text": 150.0, "double": 176.0}

BLUE, ORANGE, GREEN, RED, PINK, BROWN, LIGHT_PINK, GREY, YELLOW, SKY = CATEGORY_COLOURS = (
    "#0173B2", "#DE8F05", "#029E73", "#D55E00", "#CC78BC",
    "#CA9161", "#FBAFE4", "#949494", "#ECE133", "#56B4E9",
)  # fmt: skip
NO_VALUE = "#E6E6E6"

# name: colour, marker, line style, words; fitted strengths are a darker shade of the same scheme
_MODELS = {
    "prevalence": (GREY, "x", (0, (1, 1)), "prevalence"),
    "schmid": (BROWN, "s", (0, (4, 1)), "Schmid factor"),
    "cp_sachs": (SKY, "v", (0, (4, 1, 1, 1)), "CP, Sachs"),
    "cp_taylor": (GREEN, "^", (0, (2, 1)), "CP, Taylor"),
    "cp_affine": (YELLOW, "<", (0, (3, 1, 1, 1, 1, 1)), "CP, self-consistent"),
    "cp_sachs_fitted": ("#2B7A9B", "1", (0, (5, 2, 1, 2)), "CP, Sachs, fitted"),
    "cp_taylor_fitted": ("#01563F", "2", (0, (3, 2)), "CP, Taylor, fitted"),
    "cp_affine_fitted": ("#8F8600", "3", (0, (3, 2, 1, 2, 1, 2)), "CP, self-consistent, fitted"),
    "cp_full_field": ("#3D3D3D", ">", (0, (1, 1, 3, 1)), "CP, full field"),
    "gbdt_orientation": ("#F5C878", "d", (0, (6, 3)), "boosted trees, orientation"),
    "gbdt": (ORANGE, "D", (0, (6, 2)), "boosted trees"),
    "stacking": (PINK, "P", (0, (6, 1, 1, 1, 1, 1)), "stacking"),
    "stacking_full_field": ("#8A2B5B", "*", (0, (6, 1, 1, 1)), "stacking, full field"),
    "forest_orientation": ("#F2A884", "h", (0, (8, 3)), "random forest, orientation"),
    "forest": (RED, "H", (0, (8, 2)), "random forest"),
    "forest_stacking": ("#7F4A7A", "p", (0, (8, 1, 1, 1)), "stacking, forest"),
    "forest_stacking_full_field": ("#B07AA8", "8", (0, (8, 1, 1, 1, 1, 1)), "stacking, forest, full field"),
    "graph_network": ("#4B3F72", "X", (0, (1, 2)), "graph network"),
    "coupled": (BLUE, "o", "-", "coupled"),
    "coupled_latent_load": ("#4FA3D9", ".", (0, (10, 2)), "coupled, load direction latent"),
}
MODEL_COLOURS, MODEL_MARKERS, MODEL_LINES, MODEL_LABELS = (
    {name: look[i] for name, look in _MODELS.items()} for i in range(4)
)

_state = {"loaded": False}


def use_style():
    """Load the project's matplotlib style for all later figures of this session."""
    plt.style.use(STYLE)
    _state["loaded"] = True


def model_style(name, *, marker=True):
    """Colour, line style and marker of a model, as keyword arguments of `Axes.plot`.

    A name that is not in `MODEL_COLOURS` gets a colour that depends on the name alone.
    """
    fallback = CATEGORY_COLOURS[zlib.crc32(str(name).encode()) % len(CATEGORY_COLOURS)]
    style = {"color": MODEL_COLOURS.get(name, fallback), "linestyle": MODEL_LINES.get(name, "-")}
    if marker:
        style["marker"] = MODEL_MARKERS.get(name, "*")
    return style


def model_label(name):
    """The model's name in words."""
    return MODEL_LABELS.get(name, str(name).replace("_", " "))


def width_mm(width):
    """Width in mm of a named size, or the number itself."""
    if isinstance(width, str):
        if width not in WIDTHS_MM:
            raise ParameterError(
                f"figure width {width!r}: choose one of {', '.join(WIDTHS_MM)} or a number in mm"
            )
        return WIDTHS_MM[width]
    return float(width)


def figure(width="single", *, aspect=0.72, rows=1, cols=1, **subplots):
    """A figure at final size, with constrained layout.

    Parameters
    ----------
    width : "single" (85 mm), "middle" (120), "text" (150), "double" (176), or a number in mm
    aspect : height / width of the whole figure
    rows, cols, subplots : passed to `matplotlib.pyplot.subplots`

    Returns
    -------
    (Figure, Axes or array of Axes)
    """
    wide = width_mm(width)
    if not _state["loaded"]:
        use_style()
    return plt.subplots(rows, cols, figsize=(wide * MM, wide * aspect * MM), layout="constrained", **subplots)


def stamp(fig, caption, *, n=None, unit=""):
    """Write the caption (real or virtual data, assumptions, sample count) small at the bottom of the figure.

    Parameters
    ----------
    caption : one line, e.g. "virtual specimen"; empty text writes the count alone
    n, unit : sample count and what is counted, appended as "n = 91 grains"
    """
    count = "" if n is None else f"n = {n:,}".replace(",", "\u202f") + f" {unit}".rstrip()
    text = "; ".join(part for part in (caption, count) if part)
    if text:
        characters = int(fig.get_figwidth() / MM / 1.22)
        fig.supxlabel("\n".join(textwrap.wrap(text, characters)), x=0.01, ha="left", fontsize=6, color="0.35")
    return fig


def save(fig, stem, *, formats=("pdf", "png")):
    """Write the figure as `stem`.pdf and `stem`.png, byte for byte the same for the same figure.

    Returns
    -------
    list of Path, one per format
    """
    paths = [Path(f"{stem}.{ending}") for ending in formats]
    for path in paths:
        fig.savefig(path, metadata={"CreationDate": None} if path.suffix == ".pdf" else {"Software": None})
    return paths


def same_length(**arrays):
    """The named arrays as numpy arrays of one length; a ParameterError names the one that differs."""
    arrays = {name: np.asarray(value) for name, value in arrays.items()}
    (first, reference), *others = arrays.items()
    for name, value in others:
        if len(value) != len(reference):
            raise ParameterError(
                f"{name} has {len(value)} entries, {first} has {len(reference)}: they must agree"
            )
    return tuple(arrays.values())


def legend_beside(ax, **options):
    """Legend to the right of the axes, where it covers no data."""
    return ax.legend(**{"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2} | options)


def need_columns(table, names, what):
    """Raise a ParameterError that names the columns which a table lacks."""
    missing = [name for name in names if name not in table]
    if missing:
        raise ParameterError(
            f"{what} has no column {', '.join(missing)}; it has {', '.join(map(str, table))}"
        )


def plain_log_axis(ax):
    """Logarithmic x axis with ticks at 1, 2, 5 written as plain numbers."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
