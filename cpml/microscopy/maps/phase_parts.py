"""A table of grains cut into phases, each with the slip and twin systems of its phase."""

from collections.abc import Mapping

import pandas as pd

from cpml.crystallography.slip_systems import Systems


def by_phase(
    grains: pd.DataFrame, systems: Systems | Mapping[int, Systems]
) -> list[tuple[pd.DataFrame, Systems]]:
    """The grains of each phase with its systems, phases without a grain left out.

    Parameters
    ----------
    grains : one row a grain; column phase where systems are of phases
    systems : of all grains, or of each phase id; grains of phases without systems are in no part
    """
    if not isinstance(systems, Mapping):
        return [(grains, systems)]
    parts = [(grains[grains["phase"] == number], found) for number, found in systems.items()]
    return [(table.reset_index(drop=True), found) for table, found in parts if len(table)]
