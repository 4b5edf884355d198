"""The notebooks as steps of a chain: their order, parameters, what they need of a data set, what they write.

A parameters cell holds plain lines `name = literal`: papermill injects given values in a cell after
it, so a value computed there from another would keep the old one. A name that no notebook declares is
an error, not a silent default.

What a notebook needs stands in its metadata, `{"cpml": {"needs": ["map", "load"]}}`; what a single cell
needs, in a tag "needs-traces". The words are those of `Dataset.has`. The chain leaves out whole
notebooks, and single cells with the text about them, so that no cell asks what there is and no sentence
speaks of a figure that is not there.
"""

from __future__ import annotations

import ast
import re
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpml import paths
from cpml.datasets.dataset import HAS, Dataset
from cpml.errors import CpmlError, ParameterError
from cpml.safe_yaml import read_value

if TYPE_CHECKING:
    from nbformat import NotebookNode

PATTERN = "[0-9][0-9]*_*.ipynb"
NAME = re.compile(r"[0-9][0-9][a-z]?_[A-Za-z0-9_]+")
EXPLORING = "00_explore"  # a notebook to try things in, no step of the chain
COMPARISON = "07_comparison"  # data sets side by side, when they are done: no step of one of them
NEEDS = "needs-"  # tag of a cell


@dataclass(frozen=True)
class Step:
    """One notebook of the chain."""

    name: str
    path: Path
    notebook: NotebookNode
    defaults: dict[str, Any]  # parameter -> value

    @property
    def number(self) -> str:
        """The chapter, e.g. "02a": prefix of figures and tables."""
        return self.name.partition("_")[0]

    @property
    def title(self) -> str:
        """Its heading."""
        return self.notebook.cells[0].source.splitlines()[0].lstrip("# ")

    @property
    def question(self) -> str:
        """What it asks, as its first cell says: **Question.** ..."""
        found = re.search(r"\*\*Question\.\*\*\s*(.*)", self.notebook.cells[0].source)
        return found.group(1).strip() if found else self.title

    @property
    def code(self) -> str:
        """All its code, without the lines for IPython alone."""
        cells = [cell.source for cell in self.notebook.cells if cell.cell_type == "code"]
        lines = "\n".join(cells).splitlines()
        return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))

    @property
    def needs(self) -> tuple[str, ...]:
        """What a data set must have for this step."""
        return tuple(self.notebook.metadata.get("cpml", {}).get("needs", ()))

    @property
    def writes(self) -> tuple[str, ...]:
        """Artefacts, as its first cell says them: **Writes** `a`, `b`."""
        line = re.search(r"\*\*Writes\*\*(.*)", self.notebook.cells[0].source)
        return tuple(re.findall(r"`([\w.]+?)(?:\.\w+)?`", line.group(1))) if line else ()

    def parameters(self, dataset: str, given: dict) -> dict:
        """Values for papermill: the data set, and of those given the ones that this step has."""
        return {"dataset": dataset} | {name: value for name, value in given.items() if name in self.defaults}

    def notebook_for(self, dataset: Dataset | None) -> NotebookNode:
        """A copy without the cells that need what the data set lacks."""
        copy = deepcopy(self.notebook)
        if dataset is not None:
            copy.cells = [cell for cell in copy.cells if not _lacks(dataset, cell_needs(cell))]
        return copy


def cell_needs(cell: NotebookNode) -> tuple[str, ...]:
    """What one cell needs of a data set, by its tags."""
    tags = cell.metadata.get("tags", [])
    return tuple(tag.removeprefix(NEEDS) for tag in tags if tag.startswith(NEEDS))


def source_of(notebook: NotebookNode) -> str:
    """What the notebook says and does, without outputs: part of the key of its step."""
    return "\0".join(f"{cell.cell_type}\n{cell.source}" for cell in notebook.cells)


def discover() -> list[Step]:
    """The steps in order; ParameterError for a notebook without a usable parameters cell."""
    outside = (EXPLORING, COMPARISON)
    found = sorted(path for path in paths.notebooks().glob(PATTERN) if path.stem not in outside)
    if not found:
        raise CpmlError(
            f"no notebooks in {paths.notebooks()}: set CPML_ROOT to the checkout, or install with pip -e"
        )
    return [read_step(path) for path in found]


def lacking(step: Step, dataset: Dataset) -> str:
    """What a data set lacks for a step, in words; "" where it has all."""
    return "; ".join(HAS[need][0] for need in _lacks(dataset, step.needs))


def comparison() -> Step:
    """The notebook that compares data sets; it is no step of the chain of one."""
    return read_step(paths.notebooks() / f"{COMPARISON}.ipynb")


@lru_cache(maxsize=1)
def writers() -> dict[str, str]:
    """Artefact -> the notebook that writes it."""
    return {artefact: step.name for step in discover() for artefact in step.writes}


def check_parameters(chain: list[Step], given: dict) -> dict:
    """`given` with each value in the type of its default; texts of a command line are converted."""
    checked = {}
    for name, value in given.items():
        holders = [step for step in chain if name in step.defaults]
        known = sorted({p for step in chain for p in step.defaults} - {"dataset"})
        if name == "dataset" or not holders:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ParameterError(
                f"no notebook has a parameter {name!r}: {hint}Parameters: {', '.join(known) or 'none'}"
            )
        checked[name] = _convert(name, value, holders[0].defaults[name])
    return checked


def choose(chain: list[Step], steps: list[str] | None) -> list[Step]:
    """The named steps, or all; ParameterError for a name that is none."""
    if steps is None:
        return chain
    names = [step.name for step in chain]
    for step in steps:
        if step not in names:
            raise ParameterError(f"no step {step!r}: the notebooks are {', '.join(names)}")
    return [step for step in chain if step.name in steps]


def read_step(path: Path) -> Step:
    """A notebook as a step; ParameterError without one parameters cell of plain
    literals, or for an unknown need.
    """
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise CpmlError(f"{path}: not a readable notebook ({error})") from error
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1 or tagged[0].cell_type != "code":
        raise ParameterError(
            f"{path}: {len(tagged)} cells are tagged 'parameters': exactly one code cell must be"
        )
    defaults = _literals(path, tagged[0].source)
    if "dataset" not in defaults:
        raise ParameterError(f"{path}: its parameters cell has no 'dataset'")
    step = Step(path.stem, path, notebook, defaults)
    asked = {*step.needs, *(need for cell in notebook.cells for need in cell_needs(cell))}
    if unknown := sorted(asked - set(HAS)):
        raise ParameterError(f"{path}: it needs {unknown[0]!r}; the words are {', '.join(HAS)}")
    return step


def _lacks(dataset: Dataset, needs: tuple[str, ...]) -> list[str]:
    return [need for need in needs if not dataset.has(need)]


def _literals(path: Path, source: str) -> dict:
    """The assignments of a parameters cell; each must be `name = literal`,
    since values are injected below it.
    """
    found = {}
    try:
        for node in ast.parse(source).body:
            is_plain = (isinstance(node, ast.Assign) and len(node.targets) == 1) or isinstance(
                node, ast.AnnAssign
            )
            target = (node.targets[0] if isinstance(node, ast.Assign) else node.target) if is_plain else None
            if not isinstance(target, ast.Name):
                raise TypeError("only lines 'name = value' are allowed")
            found[target.id] = ast.literal_eval(node.value)
    except (SyntaxError, ValueError, TypeError) as error:
        raise ParameterError(f"{path}: its parameters cell is not plain literals: {error}") from None
    return found


def _convert(name: str, value: Any, default: Any) -> Any:
    """`value` in the type of `default`."""
    if isinstance(value, str) and not isinstance(default, str):
        value = read_value(value, what=f"parameter {name!r}")
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if default is not None and type(value) is not type(default):
        expected = type(default).__name__
        raise ParameterError(
            f"parameter {name!r}: {value!r} is not of type {expected} like its default {default!r}"
        )
    return value
