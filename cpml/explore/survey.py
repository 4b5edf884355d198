"""A data set as it is explored: its map, the phases that have a law, what its chapters found."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.materials import Material
from cpml.crystallography.slip_systems import Systems
from cpml.datasets.observe import drawn_traces, grains_of, read_dataset_map
from cpml.datasets.phases import modelled_systems
from cpml.explore.chapters import Chapters
from cpml.explore.settings import Settings
from cpml.microscopy.curvature.kam import kam
from cpml.microscopy.labels.planes import slip_labels
from cpml.microscopy.labels.rows import Labels
from cpml.plots.maps import map_colours
from cpml.plots.views import MapView

if TYPE_CHECKING:
    from cpml.datasets.dataset import Dataset
    from cpml.microscopy.maps.ebsd_map import EbsdMap
    from cpml.microscopy.twins.twins import Twins
    from cpml.pipeline.run import Run

REMEMBERED = 6
"""Segmentations kept, so that a slider goes back at once."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What does not change while sliders are moved.

    Attributes
    ----------
    run : of the notebook that explores
    ebsd : its map
    """

    run: Run
    ebsd: EbsdMap
    _twins: dict[float | None, Twins] = field(default_factory=dict, repr=False)
    _colours: dict[tuple, NDArray] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, run: Run) -> Survey:
        """The survey of a run, its map read from the file of the data set."""
        return cls(run, read_dataset_map(run.dataset))

    @property
    def dataset(self) -> Dataset:
        """What is declared."""
        return self.run.dataset

    @cached_property
    def view(self) -> MapView:
        """The map to draw on."""
        return MapView(self.ebsd)

    @cached_property
    def materials(self) -> dict[int, Material]:
        """Phase number in the map -> material, of the phases that have a law."""
        return {n: self.dataset.material(self.ebsd.phases[n].name) for n in self.systems}

    @cached_property
    def systems(self) -> dict[int, Systems]:
        """Phase number in the map -> slip and twin systems, of the phases that have a law."""
        return modelled_systems(self.dataset, self.ebsd)

    @cached_property
    def chapters(self) -> Chapters:
        """What the chapters found in the declared segmentation."""
        return Chapters(self.run, self.twins(None).grain_label)

    def twins(self, threshold: float | None) -> Twins:
        """Fragments, and the grains that they form, at a threshold in deg; None: as declared."""
        if threshold == self.declared_threshold:
            threshold = None
        if threshold not in self._twins:
            # the declared one stays: the chapters speak of its grains
            for old in [key for key in self._twins if key is not None][: 1 - REMEMBERED]:
                del self._twins[old]
            declared = self.dataset.segmentation
            changed = {} if threshold is None else {"threshold": threshold}
            self._twins[threshold] = grains_of(
                replace(self.dataset, segmentation=declared | changed), self.ebsd
            )
        return self._twins[threshold]

    @property
    def declared_threshold(self) -> float | None:
        """Deg; None where phases have thresholds of their own."""
        declared = self.dataset.segmentation["threshold"]
        return None if isinstance(declared, dict) else float(declared)

    def crystal_colours(self, direction: ArrayLike) -> NDArray:
        """(N, 3) IPF colours of the points for a sample direction: "z", or three numbers."""
        key = (direction,) if isinstance(direction, str) else tuple(np.asarray(direction, float).tolist())
        if key not in self._colours:
            for old in list(self._colours)[: 1 - REMEMBERED]:
                del self._colours[old]
            self._colours[key] = map_colours(self.view, direction)
        return self._colours[key]

    @cached_property
    def kam_deg(self) -> NDArray:
        """(N,) kernel average misorientation, deg, in the declared segmentation."""
        return np.asarray(kam(self.twins(None).segmentation))

    @cached_property
    def lines(self) -> Labels:
        """Lines of the surface, their candidate planes, and what counts as seen: of chapter 02e, or before it
        the drawn ones, matched here in the same way. Grains are those of the declared segmentation.
        """
        tables = [self.chapters.table(name) for name in ("labels", "traces", "candidates")]
        if all(table is not None for table in tables):
            return Labels(*tables)
        twins = self.twins(None)
        drawn = drawn_traces(self.dataset, self.ebsd, twins.grain_label)
        return slip_labels(twins.grains, drawn, self.systems)

    @property
    def has_more_lines(self) -> bool:
        """Whether lines of an image or an HR-DIC field will come with chapter 02e."""
        sources = ("dic" in self.dataset.files and self.dataset.uses("dic"), self.dataset.uses("images"))
        return any(sources) and self.chapters.table("traces") is None

    def settings(self) -> Settings:
        """The sliders as the data set declares it."""
        return Settings.of(self.dataset)
