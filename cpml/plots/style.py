"""One look for all figures: final sizes, the count and the caption at the bottom, files that repeat.

Figures are drawn at the size at which they are printed (85, 120 or 176 mm wide) and never scaled, so
that 8 pt text is 8 pt on paper. A function notes what it counted; the folder that shows the figure stamps the
caption (real or virtual data, assumptions) in front of that note.
"""

import textwrap
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError
from cpml.files import write_atomic

STYLE = Path(__file__).with_name("cpml.mplstyle")
MM = 1 / 25.4
WIDTHS_MM = {"single": 85.0, "middle": 120.0, "double": 176.0}

_notes: WeakKeyDictionary[Figure, str] = WeakKeyDictionary()
_drawn: WeakKeyDictionary[Figure, str] = WeakKeyDictionary()  # what each figure shows
_Drawing = TypeVar("_Drawing", bound=Callable[..., Any])
_state = {"loaded": False}


def use_style() -> None:
    """Load the project's matplotlib style for all later figures of this session."""
    plt.style.use(STYLE)
    _state["loaded"] = True


def width_mm(width: str | float) -> float:
    """Width in mm of a named size, or the number itself."""
    if isinstance(width, str):
        if width not in WIDTHS_MM:
            raise ParameterError(
                f"figure width {width!r}: choose one of {', '.join(WIDTHS_MM)} or a number in mm"
            )
        return WIDTHS_MM[width]
    return float(width)


def figure(
    width: str | float = "single", *, aspect: float = 0.72, rows: int = 1, cols: int = 1, **subplots: Any
) -> tuple[Figure, Any]:
    """A figure at final size, with constrained layout.

    Parameters
    ----------
    width : "single" (85 mm), "middle" (120), "double" (176), or a number in mm
    aspect : height / width of the whole figure
    rows, cols, subplots : passed to `matplotlib.pyplot.subplots`

    Returns
    -------
    the figure, and its axes as `matplotlib.pyplot.subplots` gives them
    """
    wide = width_mm(width)
    if not _state["loaded"]:
        use_style()
    return plt.subplots(rows, cols, figsize=(wide * MM, wide * aspect * MM), layout="constrained", **subplots)


def note(fig: Figure, text: str = "", *, n: float | None = None, unit: str = "") -> Figure:
    """Write what was counted small at the bottom of a figure, and remember it for the caption.

    Parameters
    ----------
    text : what a reader must know besides, e.g. "in brackets: calibration error"
    n, unit : sample count and what is counted, written as "n = 91 grains"
    """
    count = "" if n is None else f"n = {int(n):,}".replace(",", "\u202f") + f" {unit}".rstrip()
    _notes[fig] = "; ".join(part for part in (text, count) if part)
    return stamp(fig, "")


def stamp(fig: Figure, caption: str) -> Figure:
    """Write the caption in front of the figure's note, wrapped to its width; a later caption replaces it."""
    text = "; ".join(part for part in (caption, _notes.get(fig, "")) if part)
    characters = int(fig.get_figwidth() / MM / 1.22)
    lines = "\n".join(textwrap.wrap(text, characters))
    if lines or fig.get_supxlabel():
        fig.supxlabel(lines, x=0.01, ha="left", fontsize=6, color="0.35")
    return fig


def captioned(function: _Drawing) -> _Drawing:
    """Let the first paragraph of a function's docstring say what the figures show that it returns."""
    what = " ".join((function.__doc__ or "").split("\n\n")[0].split()).replace("`", "")

    @wraps(function)
    def with_words(*args: Any, **kwargs: Any) -> Any:
        fig = function(*args, **kwargs)
        if fig is not None:
            _drawn[fig] = what
        return fig

    return cast("_Drawing", with_words)


def described(fig: Figure) -> str:
    """What a figure shows, and of what: for its caption, and for those who cannot see it.

    The words of the function that drew it, then the titles and axes with their units.
    """
    titles = [text for ax in fig.axes for text in (ax.get_title("left"), ax.get_title()) if text]
    labels = [text for ax in fig.axes for text in (ax.get_xlabel(), ax.get_ylabel()) if text]
    parts = [_drawn.get(fig, "")]
    parts += [f"{'; '.join(texts)}." for texts in map(_each_once, (titles, labels)) if texts]
    return " ".join(part for part in parts if part)


def _each_once(texts: Iterable[str]) -> list[str]:
    """Texts of a figure in plain letters, none twice."""
    signs = {"$": "", "^{-1}": "⁻¹", "^{-2}": "⁻²", "\\": "", "_": " ", "\n": " "}
    plain = []
    for text in texts:
        for sign, letter in signs.items():
            text = text.replace(sign, letter)
        plain.append(" ".join(text.split()))
    return list(dict.fromkeys(plain))


def save(fig: Figure, stem: Path | str) -> list[Path]:
    """Write the figure as `stem`.pdf and `stem`.png, byte for byte the same for the same figure.

    Returns
    -------
    the two paths
    """
    pdf, png = Path(f"{stem}.pdf"), Path(f"{stem}.png")
    # dates and version numbers would change the bytes
    write_atomic(pdf, lambda path: fig.savefig(path, metadata={"CreationDate": None}))
    write_atomic(png, lambda path: fig.savefig(path, metadata={"Software": None}))
    return [pdf, png]


def same_length(**arrays: ArrayLike) -> tuple[NDArray, ...]:
    """The named arrays as numpy arrays of one length; a ParameterError names the one that differs."""
    found = {name: np.asarray(value) for name, value in arrays.items()}
    (first, reference), *others = found.items()
    for name, value in others:
        if len(value) != len(reference):
            raise ParameterError(
                f"{name} has {len(value)} entries, {first} has {len(reference)}: they must agree"
            )
    return tuple(found.values())


def need_columns(table: pd.DataFrame, names: Iterable[str], what: str) -> None:
    """Raise a ParameterError that names the columns which a table lacks."""
    missing = [name for name in names if name not in table]
    if missing:
        raise ParameterError(
            f"{what} has no column {', '.join(missing)}; it has {', '.join(map(str, table))}"
        )


def error_bars(value: ArrayLike, low: ArrayLike, high: ArrayLike) -> NDArray:
    """(2, ...) lengths of error bars from low to high; rounding never makes one negative."""
    value, low, high = (np.asarray(v, dtype=float) for v in (value, low, high))
    return np.maximum([value - low, high - value], 0)


def legend_beside(ax: Axes, **options: Any) -> Legend:
    """Legend to the right of the axes, where it covers no data."""
    return ax.legend(**{"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2} | options)


def label_rows(ax: Axes, names: Iterable[str]) -> None:
    """Names at the left of rows 0, 1, ... from the top, without ticks."""
    names = list(names)
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(names) - 0.4, -0.6)


def plain_log_axis(ax: Axes) -> None:
    """Logarithmic x axis with ticks at 1, 2, 5 written as plain numbers."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
