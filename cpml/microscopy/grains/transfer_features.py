"""What may decide whether slip passes a boundary: features of a boundary and of a pair of systems at it.

| column | meaning | slip passes more easily where it is |
|---|---|---|
| system_a, system_b | in each grain the system of the largest \\|Schmid factor\\| (over strength) | - |
| m_prime | \\|m'\\| of the pair | high |
| lrb | \\|LRB\\|, mean over the inclinations that the trace leaves open | high |
| residual_burgers | \\|b_r\\| of the nearer sense, in mean Burgers vectors of the phase | low |
| m_prime_seen | \\|m'\\|, mean over the systems of the lines that were seen in the grains | high |
| angle_deg | disorientation | low |
| csl | 3, 5, ... of a coincidence boundary, 1 below 15 degrees, 0 else | - |
| delta_schmid | difference of the two \\|Schmid factors\\| | low |
| stress_mismatch | \\|sigma_a - sigma_b\\| over the mean of their norms, deviators (Frobenius) | low |
| length_um | of the boundary | - |

None depends on the senses of slip, on which grain is called a, or on the symmetry copy of an orientation.
Under an unknown load the pair is the one most seen, and m_prime, lrb and residual_burgers are means over the
systems seen. A grain's systems are never those of the pair that passed: what is to be explained is no part of
what explains it.

Inclinations: planes of random orientation that are cut by a section have the density sin of the angle between
plane and section (cpml.crystallography.transfer).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.schmid import schmid_factors
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.microscopy.grains.boundary_slip import boundary_transfer

POWER = 20.0
"""Shares of an instant under a rate exponent of 20, the material files' usual one."""
LOW_ANGLE_DEG = 15.0
FEATURES = (
    "m_prime",
    "lrb",
    "residual_burgers",
    "m_prime_seen",
    "angle_deg",
    "csl",
    "delta_schmid",
    "stress_mismatch",
    "length_um",
)
_PAIR = ("system_a", "system_b", "m_prime", "lrb", "residual_burgers")


def transfer_features(
    boundaries: pd.DataFrame,
    grains: pd.DataFrame,
    systems: Mapping[int, Systems],
    *,
    active: pd.DataFrame | None = None,
    stress: ArrayLike | None = None,
    strength: Mapping[str, float] | None = None,
    grain_stress: ArrayLike | None = None,
) -> pd.DataFrame:
    """The columns of the module docstring.

    Parameters
    ----------
    boundaries : grain_a, grain_b, trace_deg, angle_deg, csl, length_um
    grains : grain_id from 1 in order, phase, qw, qx, qy, qz
    systems : of each phase id; boundaries of other phases have NaN
    active : grain_id, mechanism, target (plane or system of slip), probability of each line (`candidates` of
        `slip_labels` or `system_labels`)
    stress : (3, 3) of the specimen, sample frame; None: the load is unknown
    strength : family -> strength, with `stress`
    grain_stress : (G, 3, 3) of the grains, where predicted

    Raises
    ------
    ParameterError : a column is missing, or stresses of another number of grains
    """
    for name, table, needed in (
        ("boundaries", boundaries, ("grain_a", "grain_b", "trace_deg", "angle_deg", "csl", "length_um")),
        ("grains", grains, ("grain_id", "phase", "qw", "qx", "qy", "qz")),
    ):
        if missing := [c for c in needed if c not in table]:
            raise ParameterError(f"table of {name} has no column {', '.join(missing)}")
    q, phase = grains[["qw", "qx", "qy", "qz"]].to_numpy(), grains["phase"].to_numpy()
    # in units of the mean Burgers vector of the slip systems, whatever the phase
    lattice = {i: 1 / float(np.mean(s.burgers_length[s.slip])) for i, s in systems.items()}
    plain = boundaries[["grain_a", "grain_b", "trace_deg"]]
    common = {"phase": phase, "a_nm": lattice}
    seen = None
    if active is not None or stress is None:
        weights = {
            i: system_weights(grains, s.subset(s.slip), active, stress=stress) for i, s in systems.items()
        }
        seen = boundary_transfer(plain, q, systems, activity=weights, **common)
    pairs = seen
    if stress is not None:
        pairs = boundary_transfer(plain, q, systems, stress=stress, strength=strength, **common)
    assert pairs is not None
    out = pairs[list(_PAIR)].copy()
    out["m_prime_seen"] = np.nan if seen is None or active is None else seen["m_prime"]
    out["angle_deg"] = boundaries["angle_deg"]
    out["csl"] = boundaries["csl"].mask(boundaries["angle_deg"] < LOW_ANGLE_DEG, 1)
    out["delta_schmid"] = pairs["delta_schmid"] if stress is not None else np.nan
    out["stress_mismatch"] = np.nan
    if grain_stress is not None:
        out["stress_mismatch"] = _mismatch(np.asarray(grain_stress, float), boundaries, len(grains))
    out["length_um"] = boundaries["length_um"]
    return out[[*_PAIR[:2], *FEATURES]]


def system_weights(
    grains: pd.DataFrame,
    systems: Systems,
    active: pd.DataFrame | None = None,
    *,
    stress: ArrayLike | None = None,
) -> NDArray:
    """(G, S) share of every slip system in the slip of every grain, rows with sum 1.

    A line gives its probability to the planes that may have drawn it, and each plane to its systems by
    |Schmid factor|^POWER under `stress` (alike without it); so does a grain without lines to all its systems.

    Parameters
    ----------
    systems : slip systems of one phase
    active, stress : as of `transfer_features`
    """
    q = grains[["qw", "qx", "qy", "qz"]].to_numpy()
    share = np.ones((len(grains), len(systems)))
    if stress is not None and len(grains):
        factor = np.abs(schmid_factors(systems, q, stress))
        share = (factor / np.maximum(factor.max(axis=1, keepdims=True), 1e-12)) ** POWER
    share = share / share.sum(axis=1, keepdims=True)
    if active is None:
        return share
    place = pd.Series(np.arange(len(grains)), grains["grain_id"])
    plane = np.array(systems.plane_names, object)[systems.plane_id]
    names = np.array(systems.names, object)
    rows = active[(active["mechanism"] == "slip") & (active["probability"] > 0)]
    rows = rows[rows["grain_id"].isin(place.index)]
    seen = np.zeros_like(share)
    for (grain, target), weight in rows.groupby(["grain_id", "target"])["probability"].sum().items():
        own = (names == target) | (plane == target)
        inside = np.maximum(share[place[grain], own], 1e-9)
        seen[place[grain], own] += weight * inside / inside.sum()
    total = seen.sum(axis=1, keepdims=True)
    return np.where(total > 0, seen / np.where(total > 0, total, 1.0), share)


def _mismatch(stress: NDArray, boundaries: pd.DataFrame, n: int) -> NDArray:
    if stress.shape != (n, 3, 3):
        raise ParameterError(f"grain_stress has shape {stress.shape}, not ({n}, 3, 3) of the grains")
    deviator = stress - np.trace(stress, axis1=1, axis2=2)[:, None, None] * np.eye(3) / 3
    a, b = (deviator[boundaries[f"grain_{side}"].to_numpy() - 1] for side in "ab")
    size = np.linalg.norm(a, axis=(1, 2)) + np.linalg.norm(b, axis=(1, 2))
    return np.divide(
        2 * np.linalg.norm(a - b, axis=(1, 2)), size, out=np.full(len(a), np.nan), where=size > 0
    )
