"""Boundaries between phases: how much of them there is for every two phases that touch."""

import numpy as np
import pandas as pd

from cpml.microscopy.grains.grains import Grains


def phase_boundaries(grains: Grains) -> pd.DataFrame:
    """One row a pair of phases: phase_a < phase_b (numbers), name_a, name_b, number (of boundaries),
    length_um, staircase_um, share (of the length of all boundaries).

    Boundaries of regions without orientation belong to no phase and are left out.
    """
    table = grains.boundaries
    ends = [grains.phase[table[f"fragment_{side}"].to_numpy() - 1] for side in "ab"]
    low, high = np.minimum(*ends), np.maximum(*ends)
    between = (low > 0) & (low < high)
    found = (
        table[["length_um", "staircase_um"]]
        .assign(phase_a=low, phase_b=high, number=1)[between]
        .groupby(["phase_a", "phase_b"])[["number", "length_um", "staircase_um"]]
        .sum()
        .reset_index()
    )
    names = {i: p.name for i, p in grains.map.phases.items()}
    found.insert(2, "name_a", found["phase_a"].map(names))
    found.insert(3, "name_b", found["phase_b"].map(names))
    return found.assign(share=found["length_um"] / max(table["length_um"].sum(), 1e-300))
