"""What the notebooks of one data set, or of the comparison, read and write, under the right names.

    data/derived/<name>/<artefact>.parquet, .h5             what notebooks hand to each other      read, write
    data/derived/<name>/<phase>/<artefact>...               the same of a further phase
    reports/<name>/figures/<nn>_<figure>.pdf, .png, .json  figures with their parameters            show
    reports/<name>/tables/<nn>_<table>.csv, .tex            tables for people                        table
    reports/<name>/tables/<sheet>.csv                       a whole table for spreadsheet programs   sheet
    reports/<name>/metrics/<step>.json, metrics.json        flat name -> number; all steps together  save
    reports/<name>/answers/<step>.json                      question, answer, findings   answer, note, tell

Every file is written under a temporary name and renamed: none is ever seen half-written.
"""

from __future__ import annotations

import io
import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpml import paths
from cpml.errors import CpmlError, ParameterError
from cpml.files import read_json, write_atomic, write_json
from cpml.pipeline import steps
from cpml.pipeline.report.latex import has_named_index, latex_table
from cpml.pipeline.report.topics import check_topic

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Folder:
    """One step's place among the files of a data set.

    Parameters
    ----------
    step : name of the notebook without suffix, e.g. "02a_grains"
    name : of the data set
    caption : the line on every figure: what kind of data, under which assumption
    values : the notebook's parameters among any other names, e.g. its `globals()`
    about : the phase that is meant, where there are several: said on figures and beside the answer
    phase : a further phase that the step is about: what it writes lies in a folder, under names, of its own

    Raises
    ------
    ParameterError : a name that no notebook has
    """

    def __init__(
        self,
        step: str,
        *,
        name: str,
        caption: str,
        values: Mapping[str, Any],
        phase: str = "",
        about: str = "",
    ):
        self.step, self.name, self.caption = notebook(step), name, caption
        given = values.get("dataset")
        self.address = given if isinstance(given, str) else name  # what a task is told to mean this data set
        self.about = about if self.step.is_of_a_phase else ""
        if phase:
            self.step = self.step.of_phase(phase)
        if self.about:
            self.caption = f"{caption}; phase: {about}"
        declared = self.step.defaults.items()
        self.parameters = {key: values.get(key, default) for key, default in declared if key != "dataset"}
        for key, limits in self.step.limits.items():
            limits.check(key, self.parameters[key])
        self.derived, self.reports = paths.derived(name), paths.reports(name)
        self.derived.mkdir(parents=True, exist_ok=True)
        self._sentences: list[str] = []
        self._findings: list[dict[str, Any]] = []
        self._metrics: dict[str, float | int | None] = {}

    def path(self, name: str) -> Path:
        """Path of an artefact file, e.g. `run.path("map.h5")`; CpmlError where an
        earlier notebook has yet to write it.
        """
        paths.safe_name(name, what="artefact")
        path = self._folder_of(Path(name).stem) / name
        writer = steps.writers().get(path.stem)
        if not path.exists() and writer is not None and writer < self.step.notebook_name:
            raise self._missing(path.stem)
        return path

    def has(self, name: str) -> bool:
        """Whether a table or an array file of this name has been written."""
        return self._find(name) is not None

    def read(self, name: str) -> Any:
        """DataFrame of <name>.parquet, or dict of arrays and attributes of <name>.h5."""
        path = self._find(name)
        if path is None:
            raise self._missing(name)
        return _read_table(path) if path.suffix == ".parquet" else _read_arrays(path)

    def write(self, name: str, content: pd.DataFrame | dict) -> None:
        """Write a DataFrame as <name>.parquet or a dict of arrays, numbers and strings as <name>.h5."""
        paths.safe_name(name, what="artefact")
        folder = self._folder_of(name)
        if isinstance(content, dict):
            write_atomic(folder / f"{name}.h5", lambda p: _write_arrays(p, content))
        elif hasattr(content, "to_parquet"):
            write_atomic(folder / f"{name}.parquet", lambda p: content.to_parquet(p, index=False))
        else:
            raise ParameterError(
                f"artefact {name!r}: {type(content).__name__} is neither a DataFrame nor a dict of arrays"
            )

    def show(self, fig: Figure | None, name: str, text: str = "") -> None:
        """Put the caption on a figure, save it as PDF, PNG and JSON sidecar, and display it in the notebook.

        None, what a figure of nothing is, is said in one line.

        Parameters
        ----------
        text : what is drawn, under the figure in the report, and read aloud instead of it; "": what the
            function says that drew it
        """
        stem = self.reports / "figures" / f"{self.step.number}_{paths.safe_name(name, what='figure')}"
        if fig is None:
            print(f"nothing to draw here ({name})")
            return
        from cpml import plots

        text = text or plots.described(fig)
        plots.stamp(fig, self.caption)
        plots.save(fig, stem)
        size = [round(float(v), 4) for v in fig.get_size_inches()]
        sidecar = {"dataset": self.name, "step": self.step.name, "caption": self.caption, "text": text}
        write_json(
            stem.with_name(stem.name + ".json"), sidecar | {"size_in": size, "parameters": self.parameters}
        )
        _display(fig, text)

    def table(
        self,
        frame: pd.DataFrame,
        name: str,
        caption: str = "",
        *,
        columns: Sequence[str] | None = None,
        rows: int | None = None,
    ) -> None:
        """Write a DataFrame as CSV (full precision) and LaTeX (booktabs); display it rounded to 3 decimals.

        Parameters
        ----------
        caption : what the rows are, in one sentence
        columns : those that are printed by LaTeX; None: the first ones that fit a page. CSV has all
        rows : how many of the first rows are displayed; None: all
        """
        stem = f"{self.step.number}_{paths.safe_name(name, what='table')}"
        folder = self.reports / "tables"
        write_atomic(
            folder / f"{stem}.csv",
            lambda p: frame.to_csv(p, index=has_named_index(frame), lineterminator="\n"),
        )
        caption = caption or name.replace("_", " ")
        latex = latex_table(
            frame,
            caption=f"{caption} ({self.caption})",
            label=f"tab:{self.name}-{stem}",
            columns=columns,
            whole=f"{stem}.csv",
        )
        write_atomic(folder / f"{stem}.tex", lambda p: p.write_text(latex, encoding="utf-8"))
        shown = frame if rows is None else frame.head(rows)
        cut = f", the first {rows} rows" if len(shown) < len(frame) else ""
        _display_table(shown.round(3), caption + cut)

    def sheet(self, frame: pd.DataFrame, name: str) -> Path:
        """Write a whole table as tables/<name>.csv for people and their programs; returns the path.

        The name is one that the notebook's first cell says it writes. A notebook about one of several phases
        puts its number in front, tables/04-ferrite_<name>.csv.
        """
        path = self.reports / "tables" / f"{paths.safe_name(name, what='table')}.csv"
        path = self.table_file(path.name) if self.step.slug else path
        return write_atomic(path, lambda p: frame.to_csv(p, index=False, lineterminator="\n"))

    def table_file(self, name: str) -> Path:
        """Path among the tables, with the notebook's number, of a file that a function writes itself."""
        return self.reports / "tables" / f"{self.step.number}_{paths.safe_name(name, what='table')}"

    def note(self, sentence: str = "", *, topic: str = "", **metrics: float | None) -> None:
        """Say what a section found, in a sentence computed from it; kept for the
        answer, its numbers for `save`.

        A metric has its unit in its name (`rmse_stress_mpa`); None stands for a number that could not be had.
        With a topic, a key of `report.topics.TOPICS`, the sentence stands on the first page as well.
        """
        self._metrics |= {name: _metric(name, value) for name, value in metrics.items()}
        if sentence:
            self._sentences.append(sentence)
            _say(sentence)
            self.tell(topic, sentence)

    def tell(self, topic: str, sentence: str = "", table: pd.DataFrame | None = None) -> None:
        """Put a finding on the first page of the report, under a topic of `report.topics.TOPICS`.

        Parameters
        ----------
        sentence : **bold** words are shown red: too little data, a contradiction
        table : numbers as they are to be read, with names and units in its headings; no index

        Raises
        ------
        ParameterError : no such topic
        """
        if not topic or (not sentence and table is None):
            return
        check_topic(topic)
        finding: dict[str, Any] = {"topic": topic, "sentence": sentence}
        if table is not None and len(table):
            finding["columns"] = [str(name) for name in table.columns]
            finding["rows"] = [[str(value) for value in row] for row in table.itertuples(index=False)]
        self._findings.append(finding)

    def answer(self, *sentences: str, topic: str = "") -> None:
        """Answer the question of the notebook's first cell: what the sections found, after what is said here.

        Question, answer and findings are stored for the report; with a topic the sentences given here are
        a finding.
        """
        self.tell(topic, " ".join(sentence for sentence in sentences if sentence))
        text = " ".join(sentence for sentence in (*sentences, *self._sentences) if sentence)
        content = {"title": self.step.title, "question": self.step.question, "answer": text}
        content |= {"findings": self._findings} if self._findings else {}
        content |= {"phase": self.about} if self.about else {}
        write_json(self.reports / "answers" / f"{self.step.name}.json", content)
        _say(text)

    def save(self, **metrics: float | None) -> None:
        """Write this step's numbers, noted or given here, merge those of all steps
        into metrics.json, print one line.
        """
        mine = self._metrics | {name: _metric(name, value) for name, value in metrics.items()}
        if self.step.slug:
            mine = {f"{name}_of_{self.step.slug}": value for name, value in mine.items()}
        folder = self.reports / "metrics"
        write_json(folder / f"{self.step.name}.json", mine)
        merge_metrics(self.reports)
        print(f"{self.step.name} of {self.name!r}: {len(mine)} metrics saved")

    def command(self, chapter: str) -> str:
        """The one command that brings the data set up to a chapter, e.g. "02b"."""
        return f"python3 tasks.py run --dataset {shlex.quote(self.address)} --until {chapter}"

    def read_all(self, *names: str) -> pd.DataFrame:
        """Tables of these names under each other; those that no notebook had reason to write are left out."""
        import pandas as pd

        tables = [self.read(name) for name in names if self.has(name)]
        there = [table for table in tables if len(table)] or tables
        return pd.concat(there, ignore_index=True) if there else pd.DataFrame()

    def _find(self, name: str) -> Path | None:
        paths.safe_name(name, what="artefact")
        found = (self._folder_of(name) / f"{name}{suffix}" for suffix in (".parquet", ".h5"))
        return next((path for path in found if path.is_file()), None)

    def _folder_of(self, name: str) -> Path:
        """Where an artefact lies: in a folder of its own what a notebook about a further phase wrote."""
        if not self.step.slug or (name in steps.writers() and name not in steps.of_phases()):
            return self.derived
        return self.derived / self.step.slug

    def _missing(self, name: str) -> CpmlError:
        message = f"dataset {self.name!r} has no {name!r}: "
        if writer := steps.writers().get(name):
            return CpmlError(
                message + f"run notebooks/{writer}.ipynb first, or it and all that it needs by: "
                f"{self.command(writer.partition('_')[0])}"
            )
        there = sorted({p.stem for p in self.derived.glob("*") if p.suffix in (".parquet", ".h5")})
        close = get_close_matches(name, [*there, *steps.writers()], n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return CpmlError(
            message
            + f"{hint}It has {', '.join(there) or 'nothing yet: run notebooks/01_ingestion.ipynb first'}"
        )


def merge_metrics(reports: Path) -> None:
    """Write metrics.json of the numbers of all steps.

    Raises
    ------
    ParameterError : two notebooks write one metric
    """
    merged: dict = {}
    for path in sorted((reports / "metrics").glob("[0-9][0-9]*_*.json")):
        numbers = read_json(path)
        twice = sorted(set(merged) & set(numbers))
        if twice:
            raise ParameterError(
                f"metric {twice[0]!r} is written by {path.stem} and by an earlier notebook: rename one"
            )
        merged |= numbers
    if merged:
        write_json(reports / "metrics.json", merged)


def notebook(step: str) -> steps.Step:
    """The notebook of a step."""
    path = paths.notebooks() / f"{step}.ipynb"
    if not steps.NAME.fullmatch(step) or not path.is_file():
        raise ParameterError(
            f"step: {step!r} is not a notebook of {paths.notebooks()}, such as '01_ingestion'"
        )
    return steps.read_step(path)


def _notebook_shell() -> Any:
    """The running IPython shell where this is a notebook, else None."""
    if "IPython" not in sys.modules:
        return None
    shell = sys.modules["IPython"].get_ipython()
    return shell if hasattr(shell, "kernel") else None


def _say(text: str) -> None:
    """A sentence in the notebook, or on the terminal."""
    if _notebook_shell() is None:
        print(text)
        return
    from IPython.display import Markdown, display

    display(Markdown(text))


def _display_table(frame: pd.DataFrame, caption: str) -> None:
    """Show a table in the notebook, its caption beside it for the report; on a terminal print it."""
    if _notebook_shell() is None:
        print(frame)
        return
    sys.modules["IPython"].display.display(frame, metadata={"caption": caption})


def _display(fig: Figure, text: str) -> None:
    """Show a figure in the notebook at screen resolution in 256 colours: a
    third of the bytes that are stored.
    """
    if _notebook_shell() is None:
        return
    import matplotlib.pyplot as plt
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    fig.savefig(full, format="png", dpi="figure")
    method = Image.Quantize.FASTOCTREE  # the others lose the few coloured lines on a grey picture
    picture = Image.open(full).convert("RGB").quantize(256, method=method, dither=Image.Dither.NONE)
    # white stays white
    picture.putpalette([255 if level > 252 else level for level in picture.getpalette() or ()])
    picture.save(small, "PNG", optimize=True)
    content = {"text/plain": repr(fig), "image/png": small.getvalue()}
    sys.modules["IPython"].display.display(content, raw=True, metadata={"image/png": {"alt": text}})
    plt.close(fig)  # else the inline backend shows it a second time


def _read_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, MemoryError) as error:
        raise CpmlError(
            f"{path}: not a readable table ({error}): delete it and run its notebook again"
        ) from error


def _read_arrays(path: Path) -> dict:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            arrays = {key: _array(file, key) for key in file}
            return arrays | {key: _number_or_text(key, value) for key, value in file.attrs.items()}
    # as damage has it
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, MemoryError) as error:
        raise CpmlError(
            f"{path}: not a readable file of arrays ({error}): delete it and run its notebook again"
        ) from error


def _array(file: Any, key: str) -> Any:
    """One array of a file, which has to lie in it, whole, as `_write_arrays` leaves it."""
    import h5py

    item = file[key] if isinstance(file.get(key, getlink=True), h5py.HardLink) else None
    if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
        raise ValueError(f"{key!r} is no array of this file")
    is_text = h5py.check_string_dtype(item.dtype) is not None
    if not is_text and item.dtype.kind not in "biufc":
        raise ValueError(f"{key!r}: {item.dtype} is neither numbers nor text")
    if item.size * item.dtype.itemsize > item.id.get_storage_size():
        raise ValueError(f"{key!r} claims {item.shape} values, more than the file holds")
    return item.asstr()[()] if is_text else item[()]


def _number_or_text(key: str, value: Any) -> Any:
    plain = value.item() if getattr(value, "size", 0) == 1 else value
    if not isinstance(plain, str | Real):
        raise ValueError(f"{key!r} is neither a number nor text")
    return plain


def _write_arrays(path: Path, content: dict) -> None:
    """Arrays become datasets, numbers and strings attributes; no times inside,
    so equal content is equal bytes.
    """
    import h5py
    import numpy as np

    with h5py.File(path, "w", track_order=False) as file:
        for key, value in content.items():
            if isinstance(value, str | Real):
                file.attrs[key] = value
                continue
            array = np.asarray(value)
            if array.dtype.kind == "U":
                file.create_dataset(
                    key, data=array.astype(object), dtype=h5py.string_dtype(), track_times=False
                )
            elif array.dtype.kind in "biufc":
                file.create_dataset(key, data=array, track_times=False)
            else:
                raise ParameterError(
                    f"{path.stem}[{key!r}]: {type(value).__name__} is neither numbers nor text"
                )


def _metric(name: str, value: Any) -> float | int | None:
    """A plain number; NaN and infinity become None, which JSON can hold and nobody mistakes for a result."""
    if hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, bool):
        return None if value is None else int(value)
    if not isinstance(value, Real):
        raise ParameterError(f"metric {name!r}: {json.dumps(str(value))} is not a number")
    if not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(value)
