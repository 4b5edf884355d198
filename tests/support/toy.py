"""A checkout with two toy notebooks and one data set: what the runner does with them takes seconds."""

from pathlib import Path

import nbformat

from cpml import paths
from cpml.files import write_atomic, write_json

IMPORTS = "import numpy as np\nimport pandas as pd\nimport cpml\nrun = cpml.Run({step!r}, globals())"
DEFAULTS = 'dataset = "tiny"\noffset = 0.0\nfail = False\ncomplain = False'
MAKE = """
run.write("values", pd.DataFrame({"x": np.full(3, float(round(scale)))}))
run.save(n_values=3)
run.read("values")
"""
USE = """
values = run.read("values")
run.write("result", values + offset)
run.table(values, "values")
import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(2, 1))
run.show(fig, "empty")
"""
FAIL = (
    "if fail: raise KeyError('lost')\nif complain: raise cpml.CpmlError('map.ctf: line 3 is odd: repair it')"
)


def notebook(
    path, parameters, *cells, tags=("parameters",), needs=("map",), tagged=(), says="It reads nothing."
):
    """A notebook with a title, a parameters cell, the imports and the given code cells, `tagged` last."""
    make = nbformat.v4
    imports = IMPORTS.format(step=path.stem)
    content = make.new_notebook(
        cells=[
            make.new_markdown_cell(f"# Chapter {path.stem}\n\n{says}<script>alert(2)</script>"),
            make.new_code_cell(parameters, metadata={"tags": list(tags)}),
            *(make.new_code_cell(source) for source in (imports, *cells)),
            *(make.new_code_cell(source, metadata={"tags": [tag]}) for tag, source in tagged),
        ],
        metadata={"cpml": {"needs": list(needs)}},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, path)


def make_checkout(root: Path, describe) -> Path:
    """The notebooks 01_make and 02_use and the data set `tiny` in a folder."""
    describe(root / "data" / "tiny", title="Tiny <script>alert(1)</script>")
    notebook(root / "notebooks" / "01_make.ipynb", 'dataset = "tiny"\nscale = 1.0  # of x', MAKE)
    notebook(root / "notebooks" / "02_use.ipynb", DEFAULTS, USE, FAIL)
    (root / "notebooks" / "00_explore.ipynb").write_text("not a step")
    return root


def ran(printed: str) -> dict[str, bool]:
    """Step -> whether it ran, from the printed lines; those that only say that one starts are passed over."""
    lines = [line.split() for line in printed.splitlines()]
    ended = [
        words for words in lines if words and words[0].partition("@")[0] == "tiny" and words[1][-1] != ":"
    ]
    return {words[1]: words[-1] == "s" for words in ended}


def hidden_files(folder: Path) -> list[str]:
    """Temporary files below a folder; the lock of a run stays."""
    return [path.name for path in folder.rglob(".*") if path.name != ".lock"]


def execute_at_once(step, name, values, cells=None) -> float:
    """In place of papermill: writes an artefact made of parameters and code, a figure and the notebook."""
    run = Path(paths.derived(name)), Path(paths.reports(name))
    write_json(run[0] / f"{step.notebook_name}.json", {"values": values, "code": step.code})
    write_json(run[1] / "figures" / f"{step.number}_figure.json", {"of": step.name})
    write_atomic(run[1] / f"{step.name}.ipynb", lambda path: nbformat.write(step.notebook(cells), path))
    return 1.0
