"""Slip at grain boundaries in one table: whether it passes, and what may decide that."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.microscopy.dic.band_profiles import band_profiles
from cpml.microscopy.dic.registered import RegisteredDic
from cpml.microscopy.grains.transfer_features import transfer_features
from cpml.microscopy.labels.boundary_file import active_of_given
from cpml.microscopy.labels.passing import UNSEEN, aligned_traces, slip_passing, with_given
from cpml.microscopy.labels.planes import slip_labels
from cpml.microscopy.labels.traces import DIC_SIGMA_DEG


def slip_transfer(
    boundaries: pd.DataFrame,
    grains: pd.DataFrame,
    systems: Mapping[int, Systems],
    *,
    dic: RegisteredDic | None = None,
    pieces: pd.DataFrame | None = None,
    traces: pd.DataFrame | None = None,
    given: pd.DataFrame | None = None,
    stress: ArrayLike | None = None,
    strength: Mapping[str, float] | None = None,
    grain_stress: ArrayLike | None = None,
) -> pd.DataFrame:
    """One row a boundary, in their order: the columns of `cpml.microscopy.slip_passing` and of
    `cpml.microscopy.transfer_features`.

    Bands of a strain field have places and come first; where they tell nothing, lines drawn by hand are weak
    evidence; what a user gives replaces both.

    Parameters
    ----------
    boundaries : grain_a, grain_b, trace_deg, angle_deg, csl, length_um
    grains : grain_id from 1 in order, phase, qw, qx, qy, qz
    systems : of each phase id
    dic, pieces : a strain field on these grains, and their boundaries piece by piece (`pieces_between`).
        Bands
        that lie along no slip plane are left out
    traces : grain_id, angle_deg[, sigma_deg] of drawn lines; NaN angle: imaged, no line
    given : of `read_boundaries`; its systems count as active
    stress, strength, grain_stress : as of `transfer_features`

    Raises
    ------
    ParameterError : a field without the pieces of its boundaries
    """
    if (dic is None) != (pieces is None):
        raise ParameterError("give dic and pieces together: bands are compared along pieces of boundaries")
    lines = [] if traces is None else [traces]
    if dic is not None:
        lines.append(dic.bands.assign(sigma_deg=DIC_SIGMA_DEG))
    active = []
    if lines:
        labels = slip_labels(grains, pd.concat(lines, ignore_index=True), systems)
        active.append(labels.candidates)
    passing = aligned_traces(boundaries, _no_lines() if traces is None else traces)
    if dic is not None:
        on_plane = labels.candidates.loc[labels.candidates["probability"] > 0, "trace_id"].unique()
        fitting = labels.traces[labels.traces["trace_id"].isin(on_plane)]
        known = pd.MultiIndex.from_frame(fitting[["grain_id", "angle_deg"]].round(6))
        own = pd.MultiIndex.from_arrays([dic.bands["grain_id"], (dic.bands["angle_deg"] % 180).round(6)])
        by_bands = slip_passing(boundaries, band_profiles(dic, pieces, bands=dic.bands[own.isin(known)]))
        told = (by_bands["why"] != UNSEEN).to_numpy() | (passing["log_ratio"] == 0).to_numpy()
        passing = by_bands.where(pd.Series(told, by_bands.index), passing).astype(by_bands.dtypes)
    if given is not None and len(given):
        passing = with_given(passing, given)
        active.append(active_of_given(given))
    features = transfer_features(
        boundaries,
        grains,
        systems,
        active=pd.concat(active, ignore_index=True) if active else None,
        stress=stress,
        strength=strength,
        grain_stress=grain_stress,
    )
    return pd.concat([passing, features.set_index(passing.index)], axis=1)


def _no_lines() -> pd.DataFrame:
    return pd.DataFrame({"grain_id": np.zeros(0, int), "angle_deg": np.zeros(0)})
