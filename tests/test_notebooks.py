"""The committed notebooks keep their contract: executed in order, short cells, plain
parameters, no place of a machine.
"""

import ast
import re

import nbformat
import numpy as np
import pytest

from cpml.paths import PACKAGE
from cpml.pipeline import steps

NOTEBOOKS = sorted((PACKAGE.parent / "notebooks").glob(steps.PATTERN))

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def without_magics(source):
    return "\n".join(line for line in source.splitlines() if not line.lstrip().startswith(("%", "!")))


def test_every_cell_was_executed_once_in_order(path):
    """nbval does not compare a cell that never ran, so a stripped notebook would pass it.

    Also cells that the chain leaves out on the demo run on it: JupyterLab runs them all.
    """
    counts = [cell.execution_count for cell in code_cells(path) if cell.source.strip()]
    assert counts == list(range(1, len(counts) + 1)), "run: python3 tasks.py refresh"
    assert any(cell.outputs for cell in code_cells(path))


def test_no_stored_output_is_an_error_or_a_warning(path):
    kinds = [(output.output_type, output.get("name")) for cell in code_cells(path) for output in cell.outputs]
    assert not any(kind == "error" or name == "stderr" for kind, name in kinds)


def test_parameters_come_first_and_are_plain(path):
    if path.stem == steps.EXPLORING:
        pytest.skip("for exploring, not a step of the chain")
    assert "parameters" in code_cells(path)[0].metadata.tags
    several = path.stem == steps.COMPARISON
    step = next(step for step in [*steps.discover(), steps.comparison()] if step.name == path.stem)
    assert step.defaults["dataset"] == ([] if several else "demo")
    assert len(step.defaults) <= 9


def test_code_lives_in_the_package(path):
    """No class, no function of more than five lines; cells that can be read at a glance.

    Lines are those of the formatter, which `tasks.py lint` holds to 110 columns: a long line saves nothing.
    """
    lengths = []
    for cell in code_cells(path):
        tree = ast.parse(without_magics(cell.source))
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        assert not any(isinstance(node, ast.ClassDef) for node in ast.walk(tree))
        assert all(node.end_lineno - node.lineno < 5 for node in functions)
        lengths.append(len(cell.source.splitlines()))
        assert all(len(line) <= 110 for line in cell.source.splitlines())
    assert max(lengths) <= 25
    assert np.quantile(lengths, 0.9) < 15
    assert np.median(lengths) <= 6


def test_it_reads_as_text(path):
    """It opens with a heading, and there is about as much text as code."""
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")
    texts = sum(cell.cell_type == "markdown" for cell in cells)
    assert texts >= 0.4 * len(cells)


def test_it_is_small_and_names_no_place_of_a_machine(path):
    assert path.stat().st_size < 800_000  # figures at 100 dpi
    content = nbformat.read(path, as_version=4)
    for cell in content.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/png", None)
    text = nbformat.writes(content)
    assert not re.search(r"(/home/|/work/|/Users/|/tmp/|/root/|[A-Z]:\\\\)", text)
    assert content.metadata.kernelspec.name == "python3"


def needs(cell):
    """What a data set must have for a cell to stay."""
    return {tag for tag in cell.metadata.get("tags", ()) if tag.startswith("needs-")}


def names(source, context):
    """Names that a cell assigns (ast.Store) or reads (ast.Load) at its top level and below."""
    tree = ast.parse(without_magics(source))
    return {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, context)
    }


def test_no_cell_reads_what_a_data_set_may_lack(path):
    """A name that only cells with a condition define is read under that condition alone: where they are left
    out, the others still run.
    """
    made: dict[str, list[set]] = {}
    for cell in code_cells(path):
        own = names(cell.source, ast.Store)
        for name in names(cell.source, ast.Load) & set(made) - own:
            assert any(where <= needs(cell) for where in made[name]), f"{name} in {cell.source[:80]!r}"
        for name in own:
            made.setdefault(name, []).append(needs(cell))
