"""Whether there is enough to learn from: what the footprints add to the literature.

A strength ratio counts as learned where the footprints remove at least half of the prior's variance,
1 - (posterior sd / prior sd)^2 >= 1/2: from there on the answer leans more on the map than on the literature.
Besides, N informative footprints fix a rate no better than to 1 / sqrt(N), a third at ten; with fewer, the
curvature at the maximum says nothing reliable of the posterior's width, and none is called learned.
Informative is a trace that some plane explains better than chance at any angle would, and a variant seen.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cpml.models.coupled.coupled import CoupledClassifier
from cpml.models.coupled.likelihood import HALF_CIRCLE_DEG
from cpml.models.specimen.specimen import Specimen

FEWEST = 10
LEARNED = 0.5


@dataclass(frozen=True)
class Information:
    """What the footprints of specimens add to the literature.

    Attributes
    ----------
    n_footprints : informative ones
    table : family, by_data (share of the prior's variance removed), learned
    """

    n_footprints: int
    table: pd.DataFrame

    @property
    def is_enough(self) -> bool:
        """Whether anything was learned; if not, the literature speaks alone."""
        return bool(self.table["learned"].any())


def informative(specimen: Specimen) -> int:
    """Traces that a plane explains better than chance, and variants that were seen."""
    density = specimen.trace_density
    along = (density > 1 / HALF_CIRCLE_DEG).any(axis=1).sum() if density.size else 0
    return int(along + np.nansum(specimen.twin_observed))


def check_information(model: CoupledClassifier, specimens: list[Specimen]) -> Information:
    """Which strength ratios of a fitted model are more than its literature."""
    n = sum(informative(s) for s in specimens)
    ratios = model.strengths_[model.strengths_["family"] != model.strengths_["reference"]]
    table = ratios[["family", "by_data"]].reset_index(drop=True)
    return Information(n, table.assign(learned=(table["by_data"] >= LEARNED) & (n >= FEWEST)))
