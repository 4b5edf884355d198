"""reports/<dataset>/index.html: one page that is read from top to bottom, without a network.

The executed notebooks in order, inputs hidden, figures embedded; above them what the data is (measured or
virtual), its source, load and key numbers; beside them the way around. All text from data sets is escaped,
and scripts are taken out of the notebooks' own HTML, so that a map's phase name cannot run one.
"""

from __future__ import annotations

import base64
import re
from html import escape
from pathlib import Path
from urllib.parse import quote

from cpml import paths
from cpml.datasets.dataset import Dataset, load_dataset
from cpml.errors import CpmlError
from cpml.files import read_json, write_atomic

_NETWORK = re.compile(
    r"""<(?:script|link|iframe|img|object|embed)\b[^>]*(?:src|href|data)\s*=\s*["']?\s*(?:https?:)?//""",
    re.IGNORECASE,
)

_ACTIVE = ["script", "style", "iframe", "object", "embed", "link", "meta", "base", "form"]
MAX_HEADLINES = 24  # numbers of one step on the first page


def write_index(dataset: Dataset | str) -> Path:
    """Write and return reports/<dataset>/index.html from the executed notebooks that lie beside it."""
    dataset = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    folder = paths.reports(dataset.name)
    if not any(folder.glob("[0-9][0-9]*_*.ipynb")):
        raise CpmlError(
            f"data set {dataset.name!r} has no executed notebooks: run tasks.py run --dataset {dataset.name}"
        )
    return _write_page(folder, dataset.title, _head(dataset, folder))


def write_comparison() -> Path:
    """Write and return reports/comparison/index.html from the executed notebook that compares data sets."""
    folder = paths.reports("comparison")
    if not any(folder.glob("[0-9][0-9]*_*.ipynb")):
        raise CpmlError("there is no executed comparison: run tasks.py compare")
    return _write_page(folder, "All data sets", "<h1>All data sets side by side</h1>")


def _write_page(folder: Path, title: str, head: str) -> Path:
    """index.html of the executed notebooks in a folder."""
    notebooks = sorted(folder.glob("[0-9][0-9]*_*.ipynb"))
    sections = [_section(path) for path in notebooks]
    page = _text("report.html").format(
        title=escape(title),
        icon=_ICON,
        style=_text("report.css"),
        navigation=_navigation(sections),
        head=head,
        answers=_answers(folder),
        numbers=_numbers(folder),
        files=_files(folder),
        body="\n".join(f'<section id="{anchor}">{html}</section>' for anchor, _, html in sections),
    )
    if found := _NETWORK.search(page):
        raise CpmlError(
            f"{folder.name}: the report would load something from the network: {found.group()[:80]}"
        )
    return write_atomic(folder / "index.html", lambda path: path.write_text(page, encoding="utf-8"))


def _section(path: Path) -> tuple[str, str, str]:
    """(anchor, title, html) of one executed notebook; its anchors are prefixed,
    since chapters repeat headings.
    """
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(path, as_version=4)
    exporter = HTMLExporter(
        template_name="basic",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    html = _without_scripts(exporter.from_notebook_node(notebook)[0])
    anchor = _anchor(path)
    html = re.sub(r'(<h[1-6][^>]*\bid=")', rf"\1{anchor}-", html)
    html = html.replace('alt="No description has been provided for this image"', 'alt="figure"')
    heading, phase = _first_heading(notebook) or path.stem, _phase_of(path)
    if phase:
        html = f'<p class="phase">Phase: <strong>{escape(phase)}</strong></p>{html}'
        heading = f"{heading} ({phase})"
    return anchor, heading, html


def _phase_of(path: Path) -> str:
    """Phase that a chapter is about, where the data set has several; else ""."""
    return str(read_json(path.parent / "answers" / f"{path.stem}.json").get("phase", ""))


def _without_scripts(html: str) -> str:
    """The page without what acts or loads; its content policy forbids that a second time."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "html.parser")
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
    return str(soup)


def _first_heading(notebook) -> str | None:
    lines = (
        line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines()
    )
    return next((line.lstrip("# ").strip() for line in lines if line.startswith("# ")), None)


def _navigation(sections: list[tuple[str, str, str]]) -> str:
    links = [f'<a href="#{anchor}">{escape(title)}</a>' for anchor, title, _ in sections]
    return "\n".join(
        ['<a href="#top">Data and key numbers</a>', *links, '<a href="#files">Figures and tables</a>']
    )


def _head(dataset: Dataset, folder: Path) -> str:
    """What the data is, before anything that was made from it."""
    load = "unknown" if dataset.load is None else dataset.load.label
    if dataset.load is not None and dataset.load.note:
        load += f" ({dataset.load.note})"
    phases = ", ".join(
        f"{phase.name} ({phase.lattice}, {Path(phase.material).stem if phase.material else 'no law'})"
        for phase in dataset.phases
    )
    rows = {
        "Source": dataset.citation,
        "Licence": dataset.licence,
        "Phases": phases,
        "Load": load,
        "Note": dataset.note,
    }
    steps = read_json(folder / "provenance.json").get("steps", {}).values()
    if revisions := sorted({str((step.get("git") or {}).get("revision"))[:10] for step in steps} - {"None"}):
        rows["Made with"] = "cpml, revision " + ", ".join(revisions)
    body = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows.items() if v)
    badge = "virtual" if dataset.virtual else "measured"
    text = "Virtual specimen: simulated, not measured" if dataset.virtual else "Measured data"
    title = f'<h1>{escape(dataset.title)}</h1><p class="badge {badge}">{text}</p>'
    return f'{title}<table class="facts">{body}</table>'


def _answers(folder: Path) -> str:
    """The question and the computed answer of each notebook."""
    rows = []
    for path in sorted((folder / "answers").glob("[0-9][0-9]*_*.json")):
        content, anchor = read_json(path), _anchor(path)
        question, answer = (_bold(escape(str(content.get(key, "")))) for key in ("question", "answer"))
        phase = f" ({escape(content['phase'])})" if content.get("phase") else ""
        rows.append(f'<dt><a href="#{anchor}">{question}{phase}</a></dt><dd>{answer}</dd>')
    return f"<h2>Answers</h2><dl>{''.join(rows)}</dl>" if rows else ""


def _bold(text: str) -> str:
    """**words** of an answer, already escaped, as HTML."""
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)


def _anchor(path: Path) -> str:
    """Where the chapter of a notebook begins on the page."""
    chapter, _, rest = path.stem.partition("_")
    further = rest.partition("_of_")[2]
    return f"s{chapter}-{further}" if further else f"s{chapter}"


def _text(name: str) -> str:
    """A file that lies beside this one."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _numbers(folder: Path) -> str:
    """The metrics of each step, in the order of the steps; a long list is cut to its headlines."""
    blocks = []
    for path in sorted((folder / "metrics").glob("[0-9][0-9]*_*.json")):
        numbers = read_json(path)
        shown = _headlines(numbers)
        cells = "".join(f"<tr><td>{escape(k)}</td><td>{_shown(v)}</td></tr>" for k, v in shown.items())
        if len(shown) < len(numbers):
            more = len(numbers) - len(shown)
            cells += (
                f'<tr><td colspan="2">and {more} more in <a href="metrics.json">metrics.json</a></td></tr>'
            )
        blocks.append(f"<div><h4>{escape(path.stem)}</h4><table>{cells}</table></div>" if cells else "")
    return "".join(blocks) or "<p>No metrics were saved.</p>"


def _headlines(numbers: dict) -> dict:
    """All numbers of a short list; of a long one what concerns the coupled model, without interval ends."""
    if len(numbers) <= MAX_HEADLINES:
        return numbers
    ours = {k: v for k, v in numbers.items() if "_coupled_" in k and not k.endswith(("_low", "_high"))}
    return dict(list((ours or numbers).items())[:MAX_HEADLINES])


def _shown(value) -> str:
    if value is None:
        return "&ndash;"
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))


def _files(folder: Path) -> str:
    """Links to everything beside the page: each figure with its formats, each table, the records."""
    lines = []
    for title, pattern, formats in (
        ("Figures", "figures/*.pdf", (".pdf", ".png")),
        ("Tables", "tables/*.csv", (".csv", ".tex")),
    ):
        stems = [path.with_suffix("") for path in sorted(folder.glob(pattern))]
        items = "".join(
            f"<li>{escape(stem.name)} {' '.join(_link(folder, stem, f) for f in formats)}</li>"
            for stem in stems
        )
        lines.append(f"<h3>{title}</h3><ul>{items}</ul>" if items else "")
    records = ("metrics.json", "provenance.json")
    there = [
        path
        for path in [*(folder / name for name in records), *sorted(folder.glob("[0-9]*.ipynb"))]
        if path.is_file()
    ]
    items = "".join(f'<li><a href="{quote(path.name)}">{escape(path.name)}</a></li>' for path in there)
    return "".join(lines) + f"<h3>Records</h3><ul>{items}</ul>"


def _link(folder: Path, stem: Path, suffix: str) -> str:
    path = stem.with_name(stem.name + suffix)
    return (
        f'<a href="{quote(path.relative_to(folder).as_posix())}">{suffix[1:]}</a>' if path.is_file() else ""
    )


# an empty icon keeps browsers from asking a server for one
_ICON = "data:image/svg+xml;base64," + base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg"/>').decode()
