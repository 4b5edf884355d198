"""What a notebook holds in its hand: `setup(seed)` and one `Run`, which reads, writes and
reports under the right names.

    data/derived/<dataset>/<name>.parquet, .h5      what notebooks hand to each other      run.read, run.write
    reports/<dataset>/figures/<nn>_<name>.pdf, .png, .json                                 run.show
    reports/<dataset>/tables/<nn>_<name>.csv, .tex                                         run.table
    reports/<dataset>/metrics/<step>.json, metrics.json (all steps, flat name -> number)   run.save

Every file is written under a temporary name and renamed: none is ever seen half-written.
"""

from __future__ import annotations

import importlib
import io
import json
import math
import random
import re
import sys
from difflib import get_close_matches
from numbers import Real
from pathlib import Path

from cpml import paths
from cpml.datasets.dataset import Dataset, load_dataset
from cpml.errors import CpmlError, ParameterError
from cpml.files import read_json, write_atomic, write_json
from cpml.microscopy.io.map_file import read_map_file, write_map_file
from cpml.microscopy.maps.ebsd_map import EbsdMap

# artefact -> the notebook that writes it; a name that is not here belongs to the step
# whose prefix it carries (PREFIXES)
ARTEFACTS = {
    "image_lines": "00_images",
    "map": "01_ingestion",
    "fragments": "02_features",
    "segments": "02_features",
    "fragment_boundaries": "02_features",
    "twins": "02_features",
    "grains": "02_features",
    "boundaries": "02_features",
    "labels": "02_features",
    "all_labels": "02_features",
    "features": "02_features",
    "junctions": "02_features",
    "pixels": "02_features",
    "traces": "02_features",
    "candidates": "02_features",
    "models": "04_coupled_models",
    "predictions": "04_coupled_models",
    "evaluation": "05_evaluation",
    "scores": "05_evaluation",
    "strengths": "04_coupled_models",
    "designs": "06_design",
}
PREFIXES = {
    "cp": "03_cp_baseline",
    "schmid": "03_cp_baseline",
    "coupled": "04_coupled_models",
    "design": "06_design",
}

_STEP = re.compile(r"[0-9][0-9]_[A-Za-z0-9_]+")


def setup(seed: int = 0, *, torch: bool = False) -> None:
    """Seed random and numpy (and torch, where it is asked for), one torch thread,
    float64, the house plot style.

    torch costs a second to import: pass `torch=True` in the notebooks that use it.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ParameterError(f"seed: {seed!r} is not an integer from 0 to 2**32 - 1")
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)
    if torch:
        library = importlib.import_module("torch")
        library.manual_seed(seed)
        library.set_num_threads(1)
        library.set_default_dtype(library.float64)
        library.use_deterministic_algorithms(True)
    importlib.import_module("cpml.plots").use_style()
    # tables are there to be read: no text cut at 50 characters, no folding at 80
    pandas = importlib.import_module("pandas")
    pandas.set_option("display.max_colwidth", 160, "display.width", 160)


class Run:
    """One notebook on one data set.

    Parameters
    ----------
    step : name of the notebook without suffix, e.g. "02_features"
    dataset : name of a data set, or path of a dataset.yml
    parameters : the notebook's parameters as figures should record them

    Attributes
    ----------
    dataset : Dataset; caption : str, the line on every figure; derived, reports : folders
    """

    def __init__(self, step: str, *, dataset: str | Path, parameters: dict | None = None):
        if not _STEP.fullmatch(step):
            raise ParameterError(f"step: {step!r} is not a notebook name such as '02_features'")
        self.step = step
        self.dataset: Dataset = load_dataset(dataset)
        self.parameters = dict(parameters or {})
        self.derived = paths.derived(self.dataset.name)
        self.reports = paths.reports(self.dataset.name)
        self.derived.mkdir(parents=True, exist_ok=True)

    @property
    def caption(self) -> str:
        return self.dataset.caption

    def __repr__(self) -> str:
        return f"Run({self.step!r}, dataset={self.dataset.name!r}): {self.caption}"

    def path(self, name: str) -> Path:
        """Path of an artefact file, e.g. `run.path("map.h5")`; CpmlError where an
        earlier notebook has yet to write it.
        """
        path = self.derived / paths.safe_name(name, what="artefact")
        if (
            not path.exists()
            and (writer := writer_of(path.stem)) not in (None, self.step)
            and writer < self.step
        ):
            raise self._missing(path.stem)
        return path

    def has(self, name: str) -> bool:
        """Whether a table or an array file of this name has been written."""
        return self._find(name) is not None

    def read(self, name: str):
        """DataFrame of <name>.parquet, or dict of arrays and attributes of <name>.h5."""
        path = self._find(name)
        if path is None:
            raise self._missing(name)
        return _read_table(path) if path.suffix == ".parquet" else _read_arrays(path)

    def write(self, name: str, content) -> Path:
        """Write a DataFrame as <name>.parquet or a dict of arrays, numbers and strings as <name>.h5."""
        paths.safe_name(name, what="artefact")
        if hasattr(content, "to_parquet"):
            return write_atomic(
                self.derived / f"{name}.parquet", lambda p: content.to_parquet(p, index=False)
            )
        if isinstance(content, dict):
            return write_atomic(self.derived / f"{name}.h5", lambda p: _write_arrays(p, content))
        raise ParameterError(
            f"artefact {name!r}: {type(content).__name__} is neither a DataFrame nor a dict of arrays"
        )

    def read_map(self) -> EbsdMap:
        """The map that notebook 01 wrote."""
        return read_map_file(self.path("map.h5"))

    def write_map(self, ebsd_map: EbsdMap) -> None:
        """Write map.h5."""
        write_map_file(ebsd_map, self.path("map.h5"))

    def show(self, fig, name: str) -> None:
        """Save a figure as PDF, PNG and JSON sidecar, and display it where this is
        a notebook; the return is None.
        """
        stem = self.reports / "figures" / f"{self.step[:2]}_{paths.safe_name(name, what='figure')}"
        # no dates inside: the same figure is the same bytes
        write_atomic(
            stem.with_name(stem.name + ".pdf"), lambda p: fig.savefig(p, metadata={"CreationDate": None})
        )
        write_atomic(
            stem.with_name(stem.name + ".png"), lambda p: fig.savefig(p, metadata={"Software": None})
        )
        size = [round(float(v), 4) for v in fig.get_size_inches()]
        sidecar = {"dataset": self.dataset.name, "step": self.step, "caption": self.caption, "size_in": size}
        write_json(stem.with_name(stem.name + ".json"), sidecar | {"parameters": self.parameters})
        _display(fig)

    def table(self, frame, name: str, caption: str = ""):
        """Write a DataFrame as CSV (full precision) and LaTeX (booktabs); returns it
        rounded to 3 decimals to look at.
        """
        stem = f"{self.step[:2]}_{paths.safe_name(name, what='table')}"
        folder = self.reports / "tables"
        write_atomic(
            folder / f"{stem}.csv",
            lambda p: frame.to_csv(p, index=_has_named_index(frame), lineterminator="\n"),
        )
        latex = _latex(
            frame, caption=caption or f"{name} ({self.caption})", label=f"tab:{self.dataset.name}-{stem}"
        )
        write_atomic(folder / f"{stem}.tex", lambda p: p.write_text(latex, encoding="utf-8"))
        return frame.round(3)

    def save(self, **metrics) -> None:
        """Write this step's numbers, merge those of all steps into metrics.json, print one line.

        A metric has its unit in its name (`rmse_stress_mpa`); None stands for a number that could not be had.
        """
        mine = {name: _metric(name, value) for name, value in metrics.items()}
        folder = self.reports / "metrics"
        write_json(folder / f"{self.step}.json", mine)
        merged: dict = {}
        for path in sorted(folder.glob("[0-9][0-9]_*.json")):
            numbers = read_json(path)
            twice = sorted(set(merged) & set(numbers))
            if twice:
                raise ParameterError(
                    f"metric {twice[0]!r} is written by {path.stem} and by an earlier notebook: rename one"
                )
            merged |= numbers
        write_json(self.reports / "metrics.json", merged)
        print(f"{self.step} of {self.dataset.name!r}: {len(mine)} metrics saved")

    def _find(self, name: str) -> Path | None:
        paths.safe_name(name, what="artefact")
        found = (self.derived / f"{name}{suffix}" for suffix in (".parquet", ".h5"))
        return next((path for path in found if path.is_file()), None)

    def _missing(self, name: str) -> CpmlError:
        message = f"dataset {self.dataset.name!r} has no {name!r}: "
        if writer := writer_of(name):
            return CpmlError(message + f"run notebooks/{writer}.ipynb first")
        there = sorted({p.stem for p in self.derived.glob("*") if p.suffix in (".parquet", ".h5")})
        close = get_close_matches(name, [*there, *ARTEFACTS], n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return CpmlError(
            message
            + f"{hint}It has {', '.join(there) or 'nothing yet: run notebooks/01_ingestion.ipynb first'}"
        )


def _display(fig) -> None:
    """Show a figure in the notebook at screen resolution in 256 colours: a
    third of the bytes that are stored.
    """
    if "IPython" not in sys.modules or (shell := sys.modules["IPython"].get_ipython()) is None:
        return
    if not hasattr(shell, "kernel"):
        return
    import matplotlib.pyplot as plt
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    fig.savefig(full, format="png", dpi="figure")
    method = Image.Quantize.FASTOCTREE  # the others lose the few coloured lines on a grey picture
    picture = Image.open(full).convert("RGB").quantize(256, method, dither=Image.Dither.NONE)
    picture.putpalette([255 if level > 252 else level for level in picture.getpalette()])  # white stays white
    picture.save(small, "PNG", optimize=True)
    content = {"text/plain": repr(fig), "image/png": small.getvalue()}
    sys.modules["IPython"].display.display(content, raw=True)
    plt.close(fig)  # else the inline backend shows it a second time


def writer_of(artefact: str) -> str | None:
    """The notebook that writes an artefact, e.g. 'grains' -> '02_features'; None where no rule tells."""
    return ARTEFACTS.get(artefact) or PREFIXES.get(artefact.split("_")[0])


def _read_table(path: Path):
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise CpmlError(
            f"{path}: not a readable table ({error}): delete it and run its notebook again"
        ) from error


def _read_arrays(path: Path) -> dict:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            arrays = {
                key: file[key].asstr()[()] if h5py.check_string_dtype(file[key].dtype) else file[key][()]
                for key in file
            }
            return arrays | {
                key: value.item() if hasattr(value, "item") else value for key, value in file.attrs.items()
            }
    except (OSError, AttributeError, TypeError) as error:
        raise CpmlError(
            f"{path}: not a readable file of arrays ({error}): delete it and run its notebook again"
        ) from error


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


def _latex(frame, *, caption: str, label: str) -> str:
    styler = frame.style.format(precision=3, escape="latex", na_rep="--").format_index(escape="latex", axis=1)
    styler = (
        styler.format_index(escape="latex", axis=0) if _has_named_index(frame) else styler.hide(axis="index")
    )
    return styler.to_latex(
        hrules=True, caption=_escape_latex(caption), label=label, position_float="centering"
    )


def _escape_latex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, "\\" + c if c in "&%$#_{}" else c) for c in text)


def _has_named_index(frame) -> bool:
    return type(frame.index).__name__ != "RangeIndex"


def _metric(name: str, value) -> float | int | None:
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
