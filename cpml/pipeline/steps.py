"""The notebooks as steps of a chain: their order, their parameters cells, and values for those.

A parameters cell holds plain lines `name = literal`: papermill injects given values in a cell after
it, so a value computed there from another would keep the old one. A name that no notebook declares is
an error, not a silent default.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from cpml import paths
from cpml.errors import CpmlError, ParameterError
from cpml.safe_yaml import read_value

EXPLORING = "00_explore"  # a notebook to try things in, no step of the chain
COMPARISON = "07_comparison"  # data sets side by side, when they are done: no step of one of them


@dataclass(frozen=True)
class Step:
    """One notebook of the chain: its name, its code and text cells, its parameters with their default values."""

    name: str
    path: Path
    source: str
    defaults: dict

    def parameters(self, dataset: str, given: dict) -> dict:
        return {"dataset": dataset} | {name: value for name, value in given.items() if name in self.defaults}


def discover() -> list[Step]:
    """The steps in order; ParameterError for a notebook without a usable parameters cell."""
    outside = (EXPLORING, COMPARISON)
    found = sorted(path for path in paths.notebooks().glob("[0-9][0-9]_*.ipynb") if path.stem not in outside)
    if not found:
        raise CpmlError(
            f"no notebooks in {paths.notebooks()}: set CPML_ROOT to the checkout, or install with pip -e"
        )
    return [_read_step(path) for path in found]


def lacking(step: Step, dataset) -> str:
    """What a data set lacks for a step, in words; "" where it has all.

    Images are read by 00, maps by 01 and 02; the mechanics from 03 on needs to know the load as well.
    """
    if step.name < "01":
        return "" if "images" in dataset.files else "no images"
    if "ebsd" not in dataset.files:
        return "no EBSD map"
    return "the load is unknown" if dataset.load is None and step.name >= "03" else ""


def comparison() -> Step:
    """The notebook that compares data sets; it is no step of the chain of one."""
    return _read_step(paths.notebooks() / f"{COMPARISON}.ipynb")


def check_parameters(chain: list[Step], given: dict) -> dict:
    """`given` with each value in the type of its default; texts, as a command line gives them, are converted."""
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


def _read_step(path: Path) -> Step:
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
    source = "\0".join(f"{cell.cell_type}\n{cell.source}" for cell in notebook.cells)
    return Step(name=path.stem, path=path, source=source, defaults=defaults)


def _literals(path: Path, source: str) -> dict:
    """The assignments of a parameters cell; each must be `name = literal`, since values
    are injected in a cell below it.
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


def _convert(name: str, value, default):
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


def choose(chain: list[Step], steps: list[str] | None) -> list[Step]:
    if steps is None:
        return chain
    names = [step.name for step in chain]
    for step in steps:
        if step not in names:
            raise ParameterError(f"no step {step!r}: the notebooks are {', '.join(names)}")
    return [step for step in chain if step.name in steps]
