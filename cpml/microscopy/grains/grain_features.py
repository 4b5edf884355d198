"""Descriptors of every grain that a map gives before any mechanics: size, shape, spread, neighbourhood.

| column | unit | meaning |
|---|---|---|
| log_diameter | ln(um) | natural logarithm of the equivalent diameter |
| kam_deg | deg | mean KAM (order 1, inside the grain) over the pixels of the parent orientation |
| n_neighbours | - | number of neighbouring grains |
| neighbour_angle_deg | deg | mean disorientation to the neighbours, weighted by boundary length |
| neighbour_size_ratio | - | ln of own diameter over the neighbours' length-weighted mean diameter |

Nothing here counts twins: twin fraction and number of fragments are footprints, hence labels, not features.
"""

import numpy as np
import pandas as pd


def grain_features(
    grains: pd.DataFrame,
    grain_boundaries: pd.DataFrame,
    grain_label: np.ndarray,
    kam_deg: np.ndarray,
    *,
    twinned: np.ndarray,
) -> pd.DataFrame:
    """``grains`` with the columns of the module docstring added.

    Parameters
    ----------
    grain_label : (N,) grain_id of every pixel, 0 = none
    kam_deg : (N,) KAM of every pixel, NaN where undefined
    twinned : (N,) bool, pixels inside a twin; they are left out of ``kam_deg`` so that a lamella is no spread
    """
    table = grains.copy()
    table["log_diameter"] = np.log(table["equivalent_diameter_um"])
    usable = (grain_label > 0) & ~twinned & np.isfinite(kam_deg)
    mean_kam = pd.Series(kam_deg[usable]).groupby(grain_label[usable]).mean()
    table["kam_deg"] = table["grain_id"].map(mean_kam).fillna(mean_kam.median())
    both = pd.concat(
        [
            grain_boundaries,
            grain_boundaries.rename(columns={"grain_a": "grain_b", "grain_b": "grain_a"}),
        ]
    )
    diameter = table.set_index("grain_id")["equivalent_diameter_um"]
    both = both[both["grain_a"].isin(diameter.index) & both["grain_b"].isin(diameter.index)]
    length = both["length_um"]
    known = both["angle_deg"].notna()
    total = length.groupby(both["grain_a"]).sum()
    angle = (length * both["angle_deg"])[known].groupby(both["grain_a"][known]).sum() / length[known].groupby(
        both["grain_a"][known]
    ).sum()
    theirs = (length * both["grain_b"].map(diameter)).groupby(both["grain_a"]).sum() / total
    table["n_neighbours"] = table["grain_id"].map(both.groupby("grain_a").size()).fillna(0).astype(int)
    table["neighbour_angle_deg"] = table["grain_id"].map(angle).fillna(angle.mean())
    ratio = np.log(diameter / theirs.reindex(diameter.index))
    table["neighbour_size_ratio"] = table["grain_id"].map(ratio).fillna(0.0)
    return table
