"""Several runs of one data set: every combination of the values that parameters are given.

A comma separates values, outside of brackets and quotes: `-p seed=1,2,3` are three runs, `-p x=[1,2]` is one
list, and a text with a comma in it is put in quotes. A file for `--grid` maps each parameter to a list:

    seed: [1, 2, 3]
    scheme: [taylor, affine]
"""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path
from typing import Any

from cpml.datasets.dataset import load_dataset
from cpml.errors import ParameterError
from cpml.files import one_error
from cpml.pipeline import runs
from cpml.pipeline.steps import PHASE, check_declared, check_parameters, discover
from cpml.safe_yaml import read_yaml

MAX_RUNS = 1000
"""Runs of one command: more are a mistake in the grid."""


def split_values(text: str) -> list[str]:
    """Values that a text of the command line stands for.

    >>> split_values("1,2"), split_values("[1, 2],[3]"), split_values("'a,b'"), split_values("")
    (['1', '2'], ['[1, 2]', '[3]'], ['a,b'], [''])
    """
    if "," not in text:
        return [text]
    parts = re.findall(r"""((?:"[^"]*"|'[^']*'|\[[^\]]*\]|\{[^}]*\}|[^,])*)(?:,|$)""", text)
    parts = parts[: len(parts) - 1] if len(parts) > 1 and not parts[-1] and not text.endswith(",") else parts
    found = [re.sub(r"""^(["'])([^"']*)\1$""", r"\2", part.strip()) for part in parts]
    if len(found) > 1 and "" in found:
        raise ParameterError(f"{text!r}: there is nothing on one side of a comma")
    return found


def read_grid(path: str | Path) -> dict[str, list]:
    """Parameter -> values, from a YAML file.

    Raises
    ------
    ParameterError : a parameter without a list of values
    """
    path = Path(path).expanduser()
    grid = read_yaml(path)
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ParameterError(f"{path}: {name}: {values!r} is not a list of values: write [{values}]")
    return grid


def combinations(grid: dict[str, list]) -> list[dict[str, Any]]:
    """Every combination of the values of all parameters, each once.

    >>> combinations({"seed": [1, 2], "scheme": ["taylor"]})
    [{'seed': 1, 'scheme': 'taylor'}, {'seed': 2, 'scheme': 'taylor'}]
    """
    found: list[dict[str, Any]] = []
    for values in itertools.product(*grid.values()):
        one = dict(zip(grid, values, strict=True))
        found += [one] if one not in found else []
        if len(found) > MAX_RUNS:
            raise ParameterError(f"more than {MAX_RUNS} runs: take values out of the grid")
    return found


def prepare(name: str | Path, grid: dict[str, list], *, tag: str = "") -> list[str]:
    """Give every combination a run of its own: its parameters are recorded; returns the names.

    Parameters
    ----------
    name : data set name, or path of a dataset.yml
    grid : parameter -> values
    tag : prefix of the tags

    Raises
    ------
    ParameterError : a parameter that no notebook has, a value that it does not allow, a tag that stands for
        other parameters; then no run is recorded
    """
    with one_error(str(name)):
        dataset, chain = load_dataset(name), discover()
        check_declared(chain)
        if dataset.tag:
            raise ParameterError(
                f"{name}: a run has one set of parameters: several belong to {dataset.name!r}"
            )
        found: dict[str, tuple] = {}
        for one in combinations(grid):
            checked = check_parameters(chain, one)
            if PHASE in checked:
                raise ParameterError(
                    "phase makes no run of its own: give one with -p phase=NAME and run it alone"
                )
            plain, parameters = runs.with_parameters(dataset, chain, checked)
            if tag:
                own = f"{tag}_{plain.tag}" if plain.tag else tag
                plain, parameters = runs.with_parameters(dataset, chain, checked, own)
            found[plain.run_name] = (plain, parameters)
        for run, parameters in found.values():
            runs.check_description(run)
            with runs.held(run.run_name):
                runs.record(run, parameters)
    at_home = str(name) == dataset.name
    return [
        run.run_name if at_home else f"{dataset.path}@{run.tag}".removesuffix("@")
        for run, _ in found.values()
    ]


def run_grid(
    name: str | Path, grid: dict[str, list], *, tag: str = "", jobs: int = 0, **options: Any
) -> dict[str, str]:
    """Run a data set under every combination of parameters; `run_batch` prints a table of how it went.

    Parameters
    ----------
    name, grid, tag : of `prepare`
    jobs : notebooks at a time, 0 = one per core; 1 takes the runs one after the other
    options : of `run_dataset`

    Returns
    -------
    run -> error message; empty when all went well
    """
    from cpml.pipeline.batch import run_batch

    names = prepare(name, grid, tag=tag)
    start = time.monotonic()
    errors = run_batch(names, jobs=jobs, **options)
    for run, error in errors.items():
        print(f"{run} failed: {error}")
    print(f"{len(names) - len(errors)} of {len(names)} runs done in {time.monotonic() - start:.0f} s")
    return errors
