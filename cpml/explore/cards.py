"""A card: what is known of one grain, as HTML for a notebook and as text for a terminal.

Every text that comes from a data set is escaped. The text form has the same words and numbers in the same
order; it is what is compared where a stored notebook is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
.cpml-card {font: 13px/1.45 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #1a1a1a;
  background: #fff; border: 1px solid #c8c8c8; border-radius: 6px; padding: 10px 14px 12px; max-width: 600px}
.cpml-card h3 {font-size: 17px; margin: 0; color: inherit; display: flex; align-items: center; gap: 9px}
.cpml-card .swatch {width: 22px; height: 22px; border: 1px solid #555; border-radius: 4px; flex: none}
.cpml-card h4 {font-size: 13px; margin: 12px 0 3px; padding-bottom: 2px; color: #174a7c;
  border-bottom: 1px solid #d9d9d9}
.cpml-card p {margin: 3px 0}
.cpml-card .sub, .cpml-card .note {color: #505050}
.cpml-card dl {display: grid; grid-template-columns: max-content 1fr; gap: 1px 12px; margin: 3px 0}
.cpml-card dt {color: #505050; font-weight: normal; float: none; width: auto}
.cpml-card dd {margin: 0; width: auto}
.cpml-card table {border-collapse: collapse; width: 100%; margin: 4px 0; font-size: 12.5px; color: inherit}
.cpml-card th {text-align: right; font-weight: 600; padding: 1px 6px; border-bottom: 1px solid #999;
  vertical-align: bottom}
.cpml-card td {text-align: right; padding: 1px 6px; white-space: nowrap; border: 0; background: none}
.cpml-card th:first-child, .cpml-card td:first-child {text-align: left; padding-left: 0}
.cpml-card .bar {display: inline-block; height: 8px; background: #0173b2; border-radius: 1px;
  vertical-align: baseline; margin-right: 5px}
.cpml-card code {background: #f1f1f1; color: #1a1a1a; border-radius: 3px; padding: 1px 5px; font-size: 12px}
""".strip()
BAR_PX = 44


@dataclass(frozen=True)
class Bar:
    """A number from 0 to 1 with a bar of its length beside it."""

    value: float

    def __str__(self) -> str:
        return f"{self.value:.2f}"


@dataclass(frozen=True)
class Table:
    """Rows of cells under headings; the first column is text."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | Bar]]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """One part of a card.

    Attributes
    ----------
    title : its heading
    facts : names and values
    text : a sentence before the tables
    tables : below it
    later : what is still missing, and `command`, the one that makes it
    """

    title: str
    facts: Sequence[tuple[str, str]] = ()
    text: str = ""
    tables: Sequence[Table] = ()
    later: str = ""
    command: str = ""


@dataclass(frozen=True)
class Card:
    """What is known of a grain.

    Attributes
    ----------
    title, subtitle : its name, its phase and what it was seen under
    colour : (3,) RGB in 0..1 of its orientation; None: unknown
    sections : in the order of reading
    """

    title: str
    subtitle: str = ""
    colour: tuple[float, float, float] | None = None
    sections: Sequence[Section] = ()

    def section(self, title: str) -> Section:
        """The section of this heading; KeyError where there is none."""
        return {section.title: section for section in self.sections}[title]

    @property
    def html(self) -> str:
        """The card as HTML, its style included."""
        swatch = ""
        if self.colour is not None:
            rgb = ", ".join(str(round(255 * float(part))) for part in self.colour)
            swatch = f'<span class="swatch" style="background: rgb({rgb})"></span>'
        head = f'<h3>{swatch}{escape(self.title)}</h3><p class="sub">{escape(self.subtitle)}</p>'
        body = "".join(map(_section_html, self.sections))
        return f'<style>{STYLE}</style><div class="cpml-card">{head}{body}</div>'

    def _repr_html_(self) -> str:
        return self.html

    def __str__(self) -> str:
        return "\n".join([self.title, self.subtitle, *(_section_text(part) for part in self.sections)])

    __repr__ = __str__


def _section_html(section: Section) -> str:
    parts = [f"<h4>{escape(section.title)}</h4>"]
    if section.facts:
        rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in section.facts)
        parts.append(f"<dl>{rows}</dl>")
    parts += [f"<p>{escape(section.text)}</p>"] if section.text else []
    parts += map(_table_html, section.tables)
    if section.later:
        parts.append(f"<p>{escape(section.later)} <code>{escape(section.command)}</code></p>")
    return "".join(parts)


def _table_html(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = "".join(f"<tr>{''.join(map(_cell_html, row))}</tr>" for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}"


def _cell_html(cell: str | Bar) -> str:
    if isinstance(cell, Bar):
        wide = round(BAR_PX * min(max(cell.value, 0.0), 1.0))
        return f'<td><span class="bar" style="width: {wide}px"></span>{cell}</td>'
    return f"<td>{escape(cell)}</td>"


def _section_text(section: Section) -> str:
    lines = ["", section.title.upper()]
    lines += [f"  {name}: {value}" for name, value in section.facts]
    lines += [f"  {section.text}"] if section.text else []
    for table in section.tables:
        lines += [f"  {line}" for line in _columns(table)]
        lines += [f"  {table.note}"] if table.note else []
    lines += [f"  {section.later} {section.command}"] if section.later else []
    return "\n".join(lines)


def _columns(table: Table) -> list[str]:
    """Rows of equal columns, the first to the left, the others to the right."""
    rows = [list(table.columns), *([str(cell) for cell in row] for row in table.rows)]
    wide = [max(len(row[k]) for row in rows) for k in range(len(table.columns))]
    return [
        "  ".join(
            cell.rjust(w) if k else cell.ljust(w) for k, (cell, w) in enumerate(zip(row, wide, strict=True))
        )
        for row in rows
    ]
