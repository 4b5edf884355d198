"""What the chapters of a run left behind, as far as it is there, and the one command that makes the rest."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.evaluation.conformal import conformal_sets
from cpml.evaluation.records import from_record
from cpml.pipeline.folder import Folder, notebook
from cpml.pipeline.steps import lacking

if TYPE_CHECKING:
    from cpml.pipeline.run import Run

OF_A_PHASE = "04_coupled_models"
MODEL = "coupled"


class Chapters:
    """Tables of a run; those about one phase are joined over all phases that have a law.

    Parameters
    ----------
    run : of the notebook that explores
    grain_label : (N,) grain of every point in the declared segmentation

    Attributes
    ----------
    is_stale : the chapters have run on another map or another segmentation, and are left alone
    """

    def __init__(self, run: Run, grain_label: NDArray):
        self.run = run
        grains = run.read("pixels")["grain"] if run.has("pixels") else None
        self.is_stale = grains is not None and not np.array_equal(grains, grain_label)
        self._is_there = grains is not None and not self.is_stale
        self._tables: dict[str, pd.DataFrame | None] = {}

    def command(self, chapter: str) -> str:
        """What brings the run up to a chapter such as "04"."""
        return self.run.command(chapter)

    @property
    def lacking(self) -> str:
        """What the data set lacks for F to be asked, in words; "" where it has all."""
        return lacking(notebook(OF_A_PHASE), self.run.dataset)

    def table(self, name: str) -> pd.DataFrame | None:
        """A table by the name of its artefact; None where its chapter has not run on this map."""
        if name not in self._tables:
            found = [folder.read(name) for folder in self._folders if folder.has(name)]
            self._tables[name] = pd.concat(found, ignore_index=True) if found else None
        return self._tables[name]

    @cached_property
    def _folders(self) -> list[Folder]:
        """The run, and a folder of every further phase that has a law; none before chapter 02a."""
        if not self._is_there:
            return []
        run = self.run
        further = [phase.name for phase in run.dataset.modelled[1:]]
        return [
            run,
            *(
                Folder(OF_A_PHASE, name=run.name, caption=run.caption, values={}, phase=name)
                for name in further
            ),
        ]

    @cached_property
    def predictions(self) -> pd.DataFrame | None:
        """What F says of every grain and target (in-sample); None before chapter 04."""
        table = self.table("predictions")
        return None if table is None else table[table["model"] == MODEL]

    @cached_property
    def strengths(self) -> dict[str, dict[str, float]]:
        """Phase -> family -> strength in multiples of the first family's, as F learned it; {} before
        chapter 04.
        """
        learned = {}
        for folder, phase in zip(self._folders, self.run.dataset.modelled, strict=False):
            if folder.has("strengths"):
                table = folder.read("strengths")
                ratio = table["ratio"].to_numpy(float)
                learned[phase.name] = dict(zip(table["family"], ratio / ratio[0], strict=True))
        return learned

    @cached_property
    def sets(self) -> pd.DataFrame | None:
        """Sets of F that hold 90 % of the footprints, from held-out predictions: grain_id, mechanism, target,
        in_set; None before chapter 05, or where there are too few blocks to calibrate on.
        """
        record, candidates = self.table("evaluation"), self.table("candidates")
        if record is None or candidates is None:
            return None
        predictions, labels, splits = from_record(record)
        own = predictions[predictions["model"] == MODEL]
        rows = conformal_sets(own, labels, candidates, splits=splits, n_boot=2).rows
        rows = rows[np.isfinite(rows["threshold"].to_numpy(float))]
        return rows[["grain_id", "mechanism", "target", "in_set"]] if len(rows) else None
