"""Tables of a report as LaTeX (booktabs), text escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def latex_table(frame: pd.DataFrame, *, caption: str, label: str) -> str:
    """A table environment with rules, three decimals and a label."""
    styler = frame.style.format(precision=3, escape="latex", na_rep="--").format_index(escape="latex", axis=1)
    has_index = has_named_index(frame)
    styler = styler.format_index(escape="latex", axis=0) if has_index else styler.hide(axis="index")
    return styler.to_latex(hrules=True, caption=_escape(caption), label=label, position_float="centering")


def has_named_index(frame: pd.DataFrame) -> bool:
    """Whether the index says something, and is not merely 0, 1, 2 ..."""
    return type(frame.index).__name__ != "RangeIndex"


def _escape(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, "\\" + c if c in "&%$#_{}" else c) for c in text)
