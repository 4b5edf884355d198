"""reports/<dataset>/index.html: one page that is read from top to bottom, without a network.

First what the data is (measured or virtual) and the answers, then the executed notebooks as chapters to
unfold, all numbers with their meaning, and links to every file.
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
from cpml.pipeline.report.chapters import Chapter, chapters, marked, notebooks_in
from cpml.pipeline.report.first import first_page
from cpml.pipeline.report.numbers import explained
from cpml.pipeline.report.topics import TOPICS
from cpml.pipeline.runs import in_words, parameters_of

_NETWORK = re.compile(
    r"""<(?:script|link|iframe|img|object|embed)\b[^>]*(?:src|href|data)\s*=\s*["']?\s*(?:https?:)?//""",
    re.IGNORECASE,
)


def write_index(dataset: Dataset | str, *, status: str = "") -> Path:
    """Write and return reports/<dataset>/index.html from the executed notebooks that lie beside it.

    Parameters
    ----------
    status : of a run that goes on or has stopped, in a sentence; shown under the title
    """
    dataset = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    folder = paths.reports(dataset.run_name)
    if not notebooks_in(folder):
        raise CpmlError(
            f"data set {dataset.run_name!r} has no executed notebooks: run tasks.py run --dataset "
            f"{dataset.run_name}"
        )
    head = _head(dataset, status)
    first = first_page(dataset, folder)
    title = f"{dataset.title} ({dataset.tag})" if dataset.tag else dataset.title
    return _write_page(folder, title, head, first, _facts(dataset, folder))


def write_comparison() -> Path:
    """Write and return reports/comparison/index.html from the executed notebook that compares data sets."""
    folder = paths.reports("comparison")
    if not notebooks_in(folder):
        raise CpmlError("there is no executed comparison: run tasks.py compare")
    return _write_page(folder, "All data sets", "<h1>All data sets side by side</h1>", "", "", is_open=True)


def _write_page(
    folder: Path, title: str, head: str, first: str, facts: str, *, is_open: bool = False
) -> Path:
    """index.html of the executed notebooks in a folder."""
    found = chapters(folder)
    page = _text("report.html").format(
        title=escape(title),
        icon=_ICON,
        style=_text("report.css"),
        navigation=_navigation(first, found),
        head=head,
        first=first,
        facts=facts,
        chapters="\n".join(_chapter(chapter, is_open) for chapter in found),
        numbers=_numbers(folder),
        files=_files(folder),
    )
    if active := _NETWORK.search(page):
        raise CpmlError(
            f"{folder.name}: the report would load something from the network: {active.group()[:80]}"
        )
    return write_atomic(folder / "index.html", lambda path: path.write_text(page, encoding="utf-8"))


def _chapter(chapter: Chapter, is_open: bool) -> str:
    """A chapter that unfolds; its answer is read without unfolding it."""
    answer = f'<span class="answer">{chapter.answer}</span>' if chapter.answer else ""
    return (
        f'<section class="chapter" id="{chapter.anchor}"><details{" open" if is_open else ""}><summary>'
        f"<h2>{escape(chapter.title)}</h2>{answer}</summary>{chapter.html}</details></section>"
    )


def _navigation(first: str, found: list[Chapter]) -> str:
    """Links to the questions of the first page and to the chapters."""
    there = [(f"t-{key}", topic.question) for key, topic in TOPICS.items() if f'id="t-{key}"' in first]
    links = [f'<a href="#{anchor}">{escape(text)}</a>' for anchor, text in there]
    links += [f'<a class="chapter" href="#{c.anchor}">{escape(c.title)}</a>' for c in found]
    rest = [("numbers", "All numbers"), ("files", "Figures, tables, records")]
    return "\n".join([*links, *(f'<a class="chapter" href="#{a}">{text}</a>' for a, text in rest)])


def _head(dataset: Dataset, status: str) -> str:
    """What the data is, before anything that was made from it."""
    kind = "virtual" if dataset.virtual else "measured"
    text = "Virtual specimen: simulated, not measured" if dataset.virtual else "Measured data"
    load = "Load unknown" if dataset.load is None else f"Load: {dataset.load.label}"
    banner = f'<p class="status" role="status">{marked(status)}</p>' if status else ""
    return (
        f"<h1>{escape(dataset.title)}</h1>{banner}"
        f'<p><span class="badge {kind}">{text}</span> <span class="badge">{escape(load)}</span></p>'
    )


def _facts(dataset: Dataset, folder: Path) -> str:
    """Source, licence, phases, load and note of the data, and the revision that made the report."""
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
        "Run": dataset.tag and f"{dataset.run_name}: {in_words(parameters_of(dataset.run_name))}",
    }
    done = read_json(folder / "provenance.json").get("steps", {}).values()
    if revisions := sorted({str((step.get("git") or {}).get("revision"))[:10] for step in done} - {"None"}):
        rows["Made with"] = "cpml, revision " + ", ".join(revisions)
    body = "".join(
        f'<tr><th scope="row">{escape(k)}</th><td>{escape(v)}</td></tr>' for k, v in rows.items() if v
    )
    return (
        f'<section class="topic" id="t-data"><h2>The data</h2><table class="facts">{body}</table></section>'
    )


def _numbers(folder: Path) -> str:
    """All numbers with name, unit and meaning, by chapter; of the scores those of the coupled model."""
    blocks = []
    for path in sorted((folder / "metrics").glob("[0-9][0-9]*_*.json")):
        numbers = read_json(path)
        shown = {k: v for k, v in numbers.items() if "_coupled_" in k or not _is_of_a_model(k, numbers)}
        rows = "".join(
            f"<tr><td>{escape(n.name)}</td><td>{escape(n.text)}</td><td>{escape(n.unit)}</td>"
            f"<td>{escape(n.meaning)}</td></tr>"
            for n in explained(shown)
        )
        more = len(numbers) - len(shown)
        note = f'<p>{more} numbers of other models are in <a href="metrics.json">metrics.json</a>.</p>'
        if rows:
            head = "".join(f'<th scope="col">{name}</th>' for name in ("number", "value", "unit", "meaning"))
            blocks.append(
                f"<h3>{escape(path.stem)}</h3><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
                f"{note if more else ''}"
            )
    return "".join(blocks) or "<p>No numbers were saved.</p>"


def _is_of_a_model(key: str, numbers: dict) -> bool:
    """Whether a number is a score of one of several models: the same is there for the coupled one."""
    from cpml.plots.palette import MODEL_LABELS

    return any(
        f"_{model}_" in key and key.replace(f"_{model}_", "_coupled_") in numbers for model in MODEL_LABELS
    )


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
    records = ("metrics.json", "provenance.json", "ro-crate-metadata.json")
    there = [path for path in [*(folder / name for name in records), *notebooks_in(folder)] if path.is_file()]
    items = "".join(f'<li><a href="{quote(path.name)}">{escape(path.name)}</a></li>' for path in there)
    return "".join(lines) + f"<h3>Records</h3><ul>{items}</ul>"


def _link(folder: Path, stem: Path, suffix: str) -> str:
    path = stem.with_name(stem.name + suffix)
    name = f'<span class="hidden">{escape(stem.name)} as </span>{suffix[1:]}'
    return f'<a href="{quote(path.relative_to(folder).as_posix())}">{name}</a>' if path.is_file() else ""


def _text(name: str) -> str:
    """A file that lies beside this one."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


# an empty icon keeps browsers from asking a server for one
_ICON = "data:image/svg+xml;base64," + base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg"/>').decode()
