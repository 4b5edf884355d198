"""The first page: questions with the answers that the chapters computed, and what must not be concluded.

A chapter leaves findings under a topic (`Folder.tell`); the page collects them, says why there is none, and
shows three figures. Red is what is too little, contradicted or behind.
"""

from __future__ import annotations

import base64
import re
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cpml import paths
from cpml.datasets.dataset import Dataset
from cpml.errors import CpmlError
from cpml.files import read_json
from cpml.pipeline import found, steps
from cpml.pipeline.report.chapters import anchor_of, marked
from cpml.pipeline.report.topics import TOPICS, Topic

BESIDE = {"mechanisms": "04_mechanisms"}
"""Topic -> the figure that stands with it."""
THREE = (
    "01_ipf_map",
    "04_strengths",
    "05_pr_auc_within_slip",
    "05_pr_auc_within_twin",
    "05_pr_auc_slip",
    "05_pr_auc_twin",
    "02e_trace_map",
    "02a_twin_map",
    "02d_dic",
    "02f_strain",
    "02b_kam",
    "02b_boundary_types",
    "02a_grod",
    "00_picture",
    "00_lines",
    "00_directions",
)
"""Figures of the first page, the first three that there are."""
DOWNLOADS = {
    "grains.csv": "grains: place, size, orientation, neighbours, Schmid factors",
    "mechanisms.csv": "mechanisms: what the model says of every grain",
}


def first_page(dataset: Dataset, folder: Path) -> str:
    """The questions and answers, three figures and the tables to download, as HTML."""
    answers = _answers(folder)
    topics = TOPICS if "ebsd" in dataset.files else {"measured": Topic("What was measured?", "00_images")}
    parts = [
        _topic(key, topic, answers, dataset, folder) for key, topic in topics.items() if key != "cautions"
    ]
    parts.append(_section("cautions", TOPICS["cautions"].question, _list(cautions(dataset, answers))))
    return "\n".join([*parts, _three_figures(folder), _downloads(folder)])


def cautions(dataset: Dataset, answers: dict[str, dict]) -> list[str]:
    """What must not be concluded from this data set, by its description and by what the chapters found."""
    told = []
    if dataset.virtual:
        told.append("**Nothing here was measured**: the specimen is simulated.")
    if "ebsd" not in dataset.files:
        return [*told, "Without orientations no line can be given to a plane, nor slip be told from twins."]
    if "euler_to_sample" not in dataset.frame:
        told.append("**The frame is not declared**: directions hold if the Euler axes are the pixel axes.")
    if dataset.load is None:
        told.append("**The load is unknown**: nothing is said of stresses, and no mechanism is expected.")
    elif dataset.load.assumed:
        load = dataset.load.label.replace(" (assumed)", "")
        told.append(f"**The load is assumed** ({load}): all mechanics holds under it only.")
    if len(dataset.modelled) > 1:
        told.append("Phases are modelled one by one, each as if it were alone.")
    if "04_coupled_models" in answers:
        told += [
            "A map is a plane: what lies below is continued from it, which real grains need not follow.",
            "Cross-slip and climb are said by the law; only labels of them move its energy and its rate.",
        ]
    if "05_evaluation" in answers:
        told += [
            "Intervals of learned strengths hold what F missed on simulated specimens of its own law.",
            "The comparison is one of footprints that were seen: a bias in seeing is learned as physics. "
            "It is one map and one partition of it, no other specimen.",
        ]
    told += [f["sentence"] for content in answers.values() for f in _findings(content, "cautions")]
    return told


def _answers(folder: Path) -> dict[str, dict]:
    """Step -> what its notebook answered."""
    return {path.stem: read_json(path) for path in sorted((folder / "answers").glob("[0-9][0-9]*_*.json"))}


def _findings(content: dict[str, Any], topic: str) -> list[dict[str, Any]]:
    return [finding for finding in content.get("findings", ()) if finding.get("topic") == topic]


def _topic(key: str, topic: Topic, answers: dict[str, dict], dataset: Dataset, folder: Path) -> str:
    """One question with the findings of all chapters, or the reason why there are none."""
    body, links = "", []
    for step, content in answers.items():
        if told := _findings(content, key):
            phase = f"<h3>{escape(content['phase'])}</h3>" if content.get("phase") else ""
            body += phase + "".join(_finding(finding) for finding in told)
            links.append(f'<a href="#{anchor_of(step)}">{escape(_number(step))}</a>')
    if links:
        body += f'<p class="more">More in chapter{"s" * (len(links) > 1)} {", ".join(links)}</p>'
    if key == "comparison":
        body += _other_runs(dataset)
    body = body or f"<p>{marked(why_nothing(topic, dataset))}</p>"
    return _section(key, topic.question, body + _beside(key, folder))


def _other_runs(dataset: Dataset) -> str:
    """What all runs of this data set (other seeds: other partitions) say; "" where there is one."""
    folder = paths.reports(dataset.name).parent
    runs = [dataset.name, *sorted(path.name for path in folder.glob(f"{dataset.name}@*"))]
    several = {
        run: [
            dict(zip(finding["columns"], row, strict=True))
            for content in _answers(paths.reports(run)).values()
            for finding in _findings(content, "comparison")
            for row in finding.get("rows", ())
        ]
        for run in runs
    }
    rows = [{"run": run} | row for run, own in several.items() for row in own if row.get("verdict")]
    if len({row["run"] for row in rows}) < 2:
        return ""
    verdicts = [row["verdict"].strip("*") for row in rows]
    n = ", ".join(f"{verdicts.count(word)} {word}" for word in ("better", "level", "behind"))
    columns = ["run", *(name for name in rows[0] if name != "run")]
    table = {"columns": columns, "rows": [[row.get(name, "") for name in columns] for row in rows]}
    sentence = (
        f"All {len(set(row['run'] for row in rows))} runs of this data set, {len(rows)} comparisons: {n}."
    )
    return _finding({"sentence": sentence} | table)


def why_nothing(topic: Topic, dataset: Dataset) -> str:
    """Why no chapter answers a question: it is left out, found too little, or has not run yet."""
    number = _number(topic.chapter)
    try:
        step = next(step for step in steps.discover() if step.name == topic.chapter)
    except (CpmlError, StopIteration):
        return f"Chapter {number} has not run yet."
    if reason := steps.lacking(step, dataset):
        return f"Chapter {number} is left out: {reason}."
    is_known = found.is_known(paths.derived(dataset.run_name))  # of a growing page it is too early to tell
    if is_known and (reason := steps.lacking(step, dataset, found=True)):
        return f"**Chapter {number} is left out: {reason}.**"
    return f"Chapter {number} has not run yet."


def _number(step: str) -> str:
    return step.partition("_")[0]


def _section(key: str, question: str, body: str) -> str:
    warns = " warned" if 'class="warn"' in body else ""
    return f'<section class="topic{warns}" id="t-{key}"><h2>{escape(question)}</h2>{body}</section>'


def _list(texts: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{marked(text)}</li>' for text in texts)}</ul>"


def _finding(finding: dict[str, Any]) -> str:
    text = f"<p>{marked(finding['sentence'])}</p>" if finding.get("sentence") else ""
    if not finding.get("rows"):
        return text
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in finding["columns"])
    rows = "".join(
        f"<tr>{''.join(f'<td>{marked(value)}</td>' for value in row)}</tr>" for row in finding["rows"]
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'{text}<div class="scrolls" tabindex="0">{table}</div>'


def _beside(key: str, folder: Path) -> str:
    stem = BESIDE.get(key)
    return "".join(_figure(path) for path in _drawn(folder, stem)) if stem else ""


def _drawn(folder: Path, stem: str) -> list[Path]:
    """A figure, and the same of further phases (02e_trace_map, 04-ferrite_mechanisms)."""
    number, _, name = stem.partition("_")
    further = sorted((folder / "figures").glob(f"{number}-*_{name}.png"))
    return [path for path in [folder / "figures" / f"{stem}.png", *further] if path.is_file()]


def _figure(path: Path) -> str:
    """A saved figure with its caption, at the size at which it is printed."""
    sidecar = read_json(path.with_suffix(".json"))
    text = str(sidecar.get("text") or path.stem.partition("_")[2].replace("_", " "))
    width = float((sidecar.get("size_in") or [5])[0])
    picture = base64.b64encode(path.read_bytes()).decode()
    link = quote(f"figures/{path.stem}.pdf")
    return (
        f'<figure class="figure"><img style="width:{1.25 * width:.2f}in" '
        f'src="data:image/png;base64,{picture}" alt="{escape(text)}"><figcaption>{escape(text)} '
        f'<a href="{link}">{escape(path.stem)}.pdf</a></figcaption></figure>'
    )


def _three_figures(folder: Path) -> str:
    figures = "".join(map(_figure, [path for stem in THREE for path in _drawn(folder, stem)][:3]))
    return f'<section class="topic" id="t-figures"><h2>Figures</h2>{figures}</section>' if figures else ""


def _downloads(folder: Path) -> str:
    """Tables of grains, of every phase, as links."""
    items = "".join(
        f'<li><a href="{quote(f"tables/{path.name}")}" download>{escape(path.name)}</a>, {escape(text)}</li>'
        for name, text in DOWNLOADS.items()
        for path in sorted((folder / "tables").glob(f"*{name}"))
        if re.fullmatch(rf"(\d\d[a-z]?-[a-z0-9-]+_)?{re.escape(name)}", path.name)
    )
    if not items:
        return ""
    return f'<section class="topic" id="t-tables"><h2>Tables to take along</h2><ul>{items}</ul></section>'
