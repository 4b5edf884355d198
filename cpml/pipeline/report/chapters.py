"""The executed notebooks as chapters of a page: inputs hidden, figures and tables numbered, nothing active.

All text from data sets is escaped, and scripts are taken out of the notebooks' own HTML, so that a map's
phase name cannot run one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpml.files import read_json

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag
    from nbconvert import HTMLExporter

_ACTIVE = ["script", "style", "iframe", "object", "embed", "link", "meta", "base", "form"]


@dataclass(frozen=True)
class Chapter:
    """One executed notebook."""

    anchor: str
    title: str
    answer: str  # HTML
    html: str


def chapters(folder: Path) -> list[Chapter]:
    """The executed notebooks in a folder of reports/, in order."""
    return [_chapter(path, path.stat().st_mtime_ns, _answer(path)) for path in notebooks_in(folder)]


def notebooks_in(folder: Path) -> list[Path]:
    """The executed notebooks in a folder of reports/."""
    return sorted(folder.glob("[0-9][0-9]*_*.ipynb"))


def anchor_of(stem: str) -> str:
    """Where the chapter of a notebook begins on the page."""
    chapter, _, rest = stem.partition("_")
    further = rest.partition("_of_")[2]
    return f"s{chapter}-{further}" if further else f"s{chapter}"


def marked(text: str) -> str:
    """A sentence as HTML, **words** in it red."""
    return re.sub(r"\*\*(.+?)\*\*", r'<strong class="warn">\1</strong>', escape(text))


def _answer(path: Path) -> tuple[str, str]:
    """Phase that a chapter is about, where the data set has several, and what it answers."""
    content = read_json(path.parent / "answers" / f"{path.stem}.json")
    return str(content.get("phase", "")), str(content.get("answer", ""))


@lru_cache(maxsize=64)
def _chapter(path: Path, _changed: int, answer: tuple[str, str]) -> Chapter:
    """One chapter; kept, since the page is written again after every step of a run."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    anchor = anchor_of(path.stem)
    _number_outputs(notebook, anchor.removeprefix("s"))
    phase, told = answer
    heading, html = _readable(_exporter().from_notebook_node(notebook)[0], anchor)
    title = (heading or path.stem) + (f" ({phase})" if phase else "")
    return Chapter(anchor, title, marked(told), html)


@lru_cache(maxsize=1)
def _exporter() -> HTMLExporter:
    """Kept with its compiled templates, which take longer than a chapter."""
    from nbconvert import HTMLExporter

    return HTMLExporter(
        template_name="basic",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )


def _number_outputs(notebook: Any, chapter: str) -> None:
    """Put figures and captioned tables of a notebook into numbered <figure> elements."""
    count = {"Figure": 0, "Table": 0}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data, metadata = output.get("data", {}), output.get("metadata", {})
            if "image/png" in data:
                text = str(metadata.get("image/png", {}).get("alt", "")) or "figure without a description"
                picture = "".join(data["image/png"].split())
                body = f'<img src="data:image/png;base64,{picture}" alt="{escape(text)}">'
                kind = "Figure"
            elif "caption" in metadata and "text/html" in data:
                body, text, kind = data["text/html"], str(metadata["caption"]), "Table"
            else:
                continue
            count[kind] += 1
            caption = f"<figcaption><b>{kind} {chapter}.{count[kind]}</b> {escape(text)}</figcaption>"
            output["data"] = {"text/html": f'<figure class="{kind.lower()}">{body}{caption}</figure>'}


def _readable(html: str, anchor: str) -> tuple[str, str]:
    """The heading of a chapter, and its HTML without what acts or loads, in the outline of the page."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "html.parser")
    _without_scripts(soup)
    first = soup.find("h1")
    heading = first.get_text().strip().rstrip("¶") if first else ""
    if first:
        first.decompose()
    for element in soup.find_all(re.compile("^h[1-6]$")):
        _one_level_down(element, anchor)
    for table in soup.find_all("table"):
        _scrolling(soup, table)
    return heading, str(soup)


def _one_level_down(element: Tag, anchor: str) -> None:
    """A heading below that of the chapter; its anchor prefixed, since chapters repeat headings."""
    element.name = f"h{min(int(element.name[1]) + 1, 6)}"
    if element.get("id"):
        element["id"] = f"{anchor}-{element['id']}"


def _scrolling(soup: BeautifulSoup, table: Tag) -> None:
    """A table in a box that scrolls, by keyboard as well; empty headings are plain cells."""
    for heading in table.find_all("th"):
        if not heading.get_text(strip=True):
            heading.name = "td"
        elif heading.find_parent("tbody"):
            heading["scope"] = "row"
    table.wrap(soup.new_tag("div", attrs={"class": "scrolls", "tabindex": "0"}))


def _without_scripts(soup: BeautifulSoup) -> None:
    """Take out what acts or loads; the page's content policy forbids that a second time."""
    for element in soup.find_all(_ACTIVE):
        element.decompose()
    for element in soup.find_all(True):
        for name, value in list(element.attrs.items()):
            loads = name in ("src", "srcset", "background") and not value.startswith("data:image/")
            acts = name.startswith("on") or re.match(
                r"[\s\x00-\x1f]*(javascript|vbscript|data):", str(value), re.IGNORECASE
            )
            if loads or (acts and name != "src"):
                del element[name]
