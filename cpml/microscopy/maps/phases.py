"""The phases that a map holds points of, one by one, for what is drawn and counted phase by phase."""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.planes import Cell
from cpml.microscopy.maps.ebsd_map import EbsdMap, MapPhase


@dataclass(frozen=True)
class PhasePresent:
    """A phase with points in a map.

    Attributes
    ----------
    number : its key in `EbsdMap.phases`
    phase : its description
    share : of all points of the map
    label : its name, with its number where two phases have that name
    suffix : "" in a map of one phase, else e.g. "_iron_bcc" for the names of figures and files
    """

    number: int
    phase: MapPhase
    share: float
    label: str
    suffix: str

    @property
    def title(self) -> str:
        """Title of a figure: "" in a map of one phase, else the label."""
        return self.label if self.suffix else ""

    @property
    def cell(self) -> Cell:
        """a, b, c in Angstrom, alpha, beta, gamma in degrees."""
        p = self.phase
        return p.a, p.b, p.c, p.alpha, p.beta, p.gamma

    def here(self, ebsd_map: EbsdMap) -> NDArray:
        """(N,) bool, points of this phase."""
        return ebsd_map.phase_id == self.number


def phases_present(ebsd_map: EbsdMap, within: ArrayLike | None = None) -> list[PhasePresent]:
    """Phases with at least one point, in the order of their numbers; candidates without one are left out.

    Parameters
    ----------
    within : (N,) bool, points that count, those in grains for example; None: all
    """
    inside = np.ones(ebsd_map.n_pixels, bool) if within is None else np.asarray(within, bool)
    count = {i: int(np.sum(inside & (ebsd_map.phase_id == i))) for i in sorted(ebsd_map.phases)}
    numbers = [i for i, n in count.items() if n]
    lone = len(numbers) == 1
    names = {i: re.sub(r"[^a-z0-9]+", "_", ebsd_map.phases[i].name.lower()).strip("_")[:40] for i in numbers}
    often = Counter(names.values())
    found = []
    for i in numbers:
        is_plain = names[i] and often[names[i]] == 1
        suffix = "" if lone else f"_{names[i]}" if is_plain else f"_{names[i]}_{i}".replace("__", "_")
        share, phase = count[i] / ebsd_map.n_pixels, ebsd_map.phases[i]
        label = phase.name if often[names[i]] == 1 else f"{phase.name} ({i})"
        found.append(PhasePresent(i, phase, share, label, suffix))
    return found
