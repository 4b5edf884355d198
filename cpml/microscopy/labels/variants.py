"""Labels of twin variants from the twins that were found in a map."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cpml.crystallography.slip_systems import Systems
from cpml.microscopy.labels.rows import label_rows
from cpml.microscopy.twins.twins import Twins


def twin_labels(twins: Twins, systems: Systems | Mapping[int, Systems]) -> pd.DataFrame:
    """Label rows of the variants of every grain of a phase whose twins were looked for: observed 1 if the
    variant is there, else 0.

    Parameters
    ----------
    systems : of all grains, or of each phase id; only families that `find_twins` looked for get rows
    """
    present = pd.MultiIndex.from_frame(twins.table[["grain_id", "variant"]])
    parts = [label_rows([], [])]
    for phase, grains in twins.grains.groupby("phase"):
        of_phase = systems.get(phase) if isinstance(systems, Mapping) else systems
        if of_phase is None:
            continue
        looked_for = twins.types.get(phase, ())
        names = [
            of_phase.names[s]
            for s in np.flatnonzero(of_phase.twin)
            if of_phase.family_names[of_phase.family[s]] in looked_for
        ]
        rows = label_rows(grains[["grain_id"]], names, mechanism="twin", level="variant", source="ebsd")
        seen = pd.MultiIndex.from_frame(rows[["grain_id", "target"]]).isin(present)
        parts.append(rows.assign(observed=seen.astype(float)))
    return pd.concat(parts, ignore_index=True)
