"""What a notebook holds in its hand: `setup(seed)` and one `Run`, a data set with its folders."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from cpml.datasets.dataset import Dataset, load_dataset
from cpml.errors import ParameterError
from cpml.microscopy.io.map_file import read_map_file, write_map_file
from cpml.microscopy.labels.rows import Labels
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.pipeline.folder import Folder


def setup(seed: int = 0, *, torch: bool = False) -> None:
    """Seed random and numpy (and torch, where it is asked for), float64, one thread, the house plot style.

    One thread, because arrays of some hundred grains are small: a second thread of linear algebra doubled the
    time of training on two cores. torch costs a second to import: pass `torch=True` where it is used.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ParameterError(f"seed: {seed!r} is not an integer from 0 to 2**32 - 1")
    import numpy as np
    import pandas as pd
    import scipy.linalg  # noqa: F401  has a library of its own to be limited
    import threadpoolctl

    from cpml import plots

    random.seed(seed)
    np.random.seed(seed)
    if torch:
        import torch as library

        library.manual_seed(seed)
        library.set_num_threads(1)
        library.set_default_dtype(library.float64)
        library.set_deterministic_debug_mode("error")  # `use_deterministic_algorithms` imports the compiler
    threadpoolctl.threadpool_limits(1)
    plots.use_style()
    # tables are there to be read: no text is cut, no folding at 80
    pd.set_option("display.max_colwidth", None, "display.width", 160)


class Run(Folder):
    """One notebook on one data set.

    Parameters
    ----------
    step : name of the notebook without suffix, e.g. "02a_grains"
    values : the notebook's parameters, `dataset` among them; in a notebook its `globals()`

    Attributes
    ----------
    dataset : Dataset, its phases in the order of the notebook (the one it is about first); caption : str, the
        line on every figure; derived, reports : folders
    """

    def __init__(self, step: str, values: Mapping[str, Any]):
        dataset, phase = load_dataset(values["dataset"]), values.get("phase", "")
        self.dataset: Dataset = dataset.of_phase(phase)
        super().__init__(
            step,
            name=dataset.run_name,
            caption=f"{dataset.caption}; run {dataset.tag}" if dataset.tag else dataset.caption,
            values=values,
            phase=phase if phase and phase != dataset.phase().name else "",
            about=self.dataset.phase().name if len(dataset.modelled) > 1 else "",
        )

    def __repr__(self) -> str:
        return f"Run({self.step.name!r}, dataset={self.name!r}): {self.caption}"

    def read_map(self) -> EbsdMap:
        """The map that notebook 01 wrote."""
        return read_map_file(self.path("map.h5"))

    def read_labels(self, prefix: str) -> Labels:
        """What `write_labels` wrote, or empty tables where no notebook had reason to."""
        names = [f"{prefix}_{kind}" for kind in ("labels", "traces", "candidates")]
        return Labels(*(self.read(name) for name in names)) if self.has(names[0]) else Labels.joined()

    def write_labels(self, prefix: str, found: Labels) -> None:
        """Write the three tables of a source: <prefix>_labels, _traces, _candidates."""
        for kind in ("labels", "traces", "candidates"):
            self.write(f"{prefix}_{kind}", getattr(found, kind))

    def write_map(self, ebsd_map: EbsdMap) -> None:
        """Write map.h5."""
        write_map_file(ebsd_map, self.path("map.h5"))
