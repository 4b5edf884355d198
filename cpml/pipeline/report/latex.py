"""Tables of a report as LaTeX (booktabs): text escaped, no wider than a page, broken over pages when long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cpml.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd

WIDTH_MM = 160.0
"""Text width of an A4 page with margins of 25 mm."""
MOST_ROWS = 45
"""More rows than a page holds beside its caption are a longtable."""
_CHARACTER_MM, _GAP_MM = 1.75, 4.2  # of \\footnotesize roman, averaged; twice \\tabcolsep


def latex_table(
    frame: pd.DataFrame,
    *,
    caption: str,
    label: str,
    columns: Sequence[str] | None = None,
    whole: str = "",
) -> str:
    """A table environment with rules, three decimals and a label, in \\footnotesize.

    Parameters
    ----------
    columns : those to print; None: the first ones that fit `WIDTH_MM`
    whole : name of the file with all columns, which the caption names where some are left out

    Raises
    ------
    ParameterError : a column that the table lacks
    """
    if missing := [name for name in columns or () if name not in frame]:
        raise ParameterError(f"table {label}: no column {missing[0]!r}; it has {', '.join(map(str, frame))}")
    chosen = frame[list(columns)] if columns is not None else frame.iloc[:, : _n_fitting(frame)]
    if chosen.shape[1] < frame.shape[1]:
        caption += f"; {frame.shape[1] - chosen.shape[1]} further columns in {whole}"
    styler = chosen.style.format(precision=3, escape="latex", na_rep="--").format_index(
        escape="latex", axis=1
    )
    has_index = has_named_index(chosen)
    styler = styler.format_index(escape="latex", axis=0) if has_index else styler.hide(axis="index")
    options = {"hrules": True, "caption": _escape(caption), "label": label}
    if len(chosen) > MOST_ROWS:
        body = styler.to_latex(environment="longtable", **options)
        return f"% needs \\usepackage{{booktabs,longtable}}\n{{\\footnotesize\n{body}}}\n"
    body = styler.to_latex(position_float="centering", **options)
    return body.replace("\\centering\n", "\\centering\\footnotesize\n", 1)


def has_named_index(frame: pd.DataFrame) -> bool:
    """Whether the index says something, and is not merely 0, 1, 2 ..."""
    return type(frame.index).__name__ != "RangeIndex"


def width_mm(frame: pd.DataFrame) -> float:
    """About how wide a table is printed in \\footnotesize, mm."""
    return sum(_widths_mm(frame))


def _n_fitting(frame: pd.DataFrame) -> int:
    """How many of the first columns fit a page; at least one."""
    index, *widths = _widths_mm(frame)
    total, n = index, 0
    for width in widths:
        total += width
        if total > WIDTH_MM and n:
            break
        n += 1
    return n


def _widths_mm(frame: pd.DataFrame) -> list[float]:
    """Of the index (0 where it is not printed) and of each column."""
    columns = [list(map(_shown, frame.iloc[:, k])) for k in range(frame.shape[1])]
    longest = [max(map(len, [str(n), *texts])) for n, texts in zip(frame.columns, columns, strict=True)]
    widths = [length * _CHARACTER_MM + _GAP_MM for length in longest]
    if not has_named_index(frame):
        return [0.0, *widths]
    names = [" ".join(map(str, key)) if isinstance(key, tuple) else str(key) for key in frame.index]
    return [max(map(len, [str(frame.index.name or ""), *names])) * _CHARACTER_MM + _GAP_MM, *widths]


def _shown(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _escape(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, "\\" + c if c in "&%$#_{}" else c) for c in text)
