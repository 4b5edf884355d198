"""Slip transfer at the boundaries of a map, for the systems that matter in the two grains.

The best of all pairs of systems says nearly nothing (random fcc: mean m' 0.90), so a pair is chosen by what
is known about the grains:

- `stress`: in each grain the slip system with the largest |Schmid factor|, or largest |tau|/strength;
- `activity`: weights of the systems in each grain (predicted shares, observed labels): every factor is then
  the mean over pairs, sum_st a_s a'_t f_st, and the pair named is the most active one.

| column | meaning |
|---|---|
| system_a, system_b | names of the chosen (most active) pair |
| m_prime | \\|m'\\| of the pair, or its activity-weighted mean |
| m_prime_signed | both systems turned to positive resolved shear (only with `stress`) |
| m_prime_out_a, m_prime_out_b | best \\|m'\\| that the chosen system of a (of b) finds in the neighbour |
| m_prime_max | best of all pairs, for comparison only |
| residual_burgers | \\|b_r\\|, in nm when `a_nm` is given, else in a |
| livingston_chalmers, werner_prantl | N and lambda |
| lrb, lrb_min, lrb_max, s_factor | over all inclinations through the trace: mean over random planes, bounds |
| schmid_a, schmid_b, delta_schmid | \\|Schmid factor\\| of the chosen systems (only with `stress`) |

Definitions and references: cpml.crystallography.transfer. Between two phases give `systems` as {phase id:
Systems} and the phase of every grain.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography import transfer as t
from cpml.crystallography.schmid import schmid_factors
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError

COLUMNS = (
    "system_a",
    "system_b",
    "m_prime",
    "m_prime_out_a",
    "m_prime_out_b",
    "m_prime_max",
    "residual_burgers",
    "livingston_chalmers",
    "werner_prantl",
    "lrb",
    "lrb_min",
    "lrb_max",
    "s_factor",
)
COLUMNS_OF_STRESS = ("m_prime_signed", "schmid_a", "schmid_b", "delta_schmid")


def boundary_transfer(
    boundaries: pd.DataFrame,
    quaternions: ArrayLike,
    systems: Systems | Mapping[int, Systems],
    *,
    stress: ArrayLike | None = None,
    activity: ArrayLike | Mapping[int, ArrayLike] | None = None,
    strength: Mapping[str, float] | None = None,
    phase: ArrayLike | None = None,
    a_nm: float | Mapping[int, float] | None = None,
) -> pd.DataFrame:
    """The boundary table with the columns of the module docstring added.

    Parameters
    ----------
    boundaries : fragment_a, fragment_b (or grain_a, grain_b), ids from 1, and trace_deg
    quaternions : (G, 4) crystal_to_sample, row i for id i + 1
    systems : slip systems (twin systems among them are left out), or one for each phase id
    stress : (3, 3) or (G, 3, 3) in the sample frame; only its direction counts
    activity : (G, S) weights >= 0 over the slip systems, or {phase id: (G, S)}; rows are normalised
    strength : family -> strength, with `stress`: the pair is chosen by |tau|/strength
    phase : (G,) phase id of each grain, with a mapping of systems; boundaries of grains whose phase has no
        systems there get NaN
    a_nm : lattice constant (of each phase): residual Burgers vectors in nm; needed between phases

    Raises
    ------
    ParameterError : neither or both of stress and activity, ids beyond the quaternions, shapes that disagree,
        or no lattice constants between phases
    """
    if (stress is None) == (activity is None):
        raise ParameterError("give either stress or activity: the best of all pairs says nearly nothing")
    name = "fragment" if "fragment_a" in boundaries else "grain"
    q = np.asarray(quaternions, float)
    ids = boundaries[[f"{name}_a", f"{name}_b"]].to_numpy()
    if len(ids) and (ids.min() < 1 or ids.max() > len(q)):
        raise ParameterError(f"boundaries name {name} {ids.max()}, but there are {len(q)} orientations")
    by_phase = systems if isinstance(systems, Mapping) else {0: systems}
    of_grain = np.zeros(len(q), int) if not isinstance(systems, Mapping) else _phases(phase, q, by_phase)
    lattice = {i: _constant(a_nm, i, len(by_phase)) for i in by_phase}
    grains = {i: _Chosen(s, q, stress, _of(activity, i), strength, lattice[i]) for i, s in by_phase.items()}
    out = pd.DataFrame(index=boundaries.index)
    i, j = ids[:, 0] - 1, ids[:, 1] - 1
    trace = boundaries["trace_deg"].to_numpy(float)
    for first in by_phase:
        for second in by_phase:
            rows = np.flatnonzero((of_grain[i] == first) & (of_grain[j] == second))
            if len(rows):
                normals = t.boundary_normals(trace[rows])
                columns = _pair(grains[first], grains[second], i[rows], j[rows], normals, stress is not None)
                for key, value in columns.items():
                    if key not in out:
                        out[key] = pd.Series(
                            np.full(len(out), None if key.startswith("system") else np.nan),
                            index=out.index,
                            dtype=object if key.startswith("system") else float,
                        )
                    out.iloc[rows, out.columns.get_loc(key)] = value
    names = [*COLUMNS, *(COLUMNS_OF_STRESS if stress is not None else ())]
    for key in names[: 0 if len(out.columns) else len(names)]:  # no boundary between phases that have systems
        out[key] = pd.Series(np.nan, index=out.index, dtype=object if key.startswith("system") else float)
    return pd.concat([boundaries, out], axis=1)


def _of(activity: ArrayLike | Mapping[int, ArrayLike] | None, phase_id: int) -> ArrayLike | None:
    return activity.get(phase_id) if isinstance(activity, Mapping) else activity


def _constant(a_nm: float | Mapping[int, float] | None, phase_id: int, n_phases: int) -> float:
    value = a_nm.get(phase_id) if isinstance(a_nm, Mapping) else a_nm
    if value is None and n_phases > 1:
        raise ParameterError("residual Burgers vectors between phases need a_nm for every phase")
    return 1.0 if value is None else float(value)


def _phases(phase: ArrayLike | None, q: NDArray, known: Mapping) -> NDArray:
    if phase is None or len(phase) != len(q):
        raise ParameterError(f"phase must name one of {sorted(known)} for each of the {len(q)} grains")
    return np.asarray(phase, int)


class _Chosen:
    """Slip systems of one phase in all grains, sample frame, with the weights that choose among them."""

    def __init__(
        self,
        systems: Systems,
        q: NDArray,
        stress: ArrayLike | None,
        activity: ArrayLike | None,
        strength: Mapping[str, float] | None,
        a: float,
    ):
        self.slip = slip = systems.subset(systems.slip)
        self.normal, self.direction = t.sample_systems(slip, q)
        self.burgers = self.direction * (slip.burgers_length * a)[:, None]
        if stress is not None:
            self.schmid = schmid_factors(slip, q, stress)
            resistance = np.array(
                [(strength or {}).get(f, 1.0 if not strength else np.nan) for f in slip.family_names]
            )
            if np.isnan(resistance).any():
                raise ParameterError(f"strength {strength} leaves out a family of {slip.family_names}")
            self.top = np.argmax(np.abs(self.schmid) / resistance[slip.family], axis=1)
            self.weight = np.eye(len(slip))[self.top]
            return
        self.schmid, weight = None, np.asarray(activity, float)
        if weight.shape != (len(q), len(slip)) or not (weight >= 0).all():
            raise ParameterError(
                f"activity has shape {weight.shape}, not ({len(q)}, {len(slip)}) of the "
                "slip systems, or is negative"
            )
        total = weight.sum(axis=1, keepdims=True)
        self.weight = np.divide(weight, total, out=np.full_like(weight, np.nan), where=total > 0)
        self.top = weight.argmax(axis=1)


def _pair(
    a: _Chosen, b: _Chosen, i: NDArray, j: NDArray, normals: tuple, with_stress: bool
) -> dict[str, NDArray]:
    """Columns of boundaries between grains i of phase a and j of phase b."""
    (normals, weights), rows = normals, np.arange(len(i))
    n1, d1, n2, d2 = (
        a.normal[i][:, :, None],
        a.direction[i][:, :, None],
        b.normal[j][:, None],
        b.direction[j][:, None],
    )
    all_pairs = t.m_prime(n1, d1, n2, d2)
    pair_weight = a.weight[i][:, :, None] * b.weight[j][:, None]

    def mean(values: NDArray) -> NDArray:
        return np.sum(values * pair_weight, axis=(1, 2))

    s, u = a.top[i], b.top[j]
    top = [
        v[k, m] for v, k, m in ((a.normal, i, s), (a.direction, i, s), (b.normal, j, u), (b.direction, j, u))
    ]
    if with_stress:  # one pair has all the weight
        meeting = {
            "lrb": t.lrb(*(v[:, None] for v in top), normals),
            "s": t.s_factor(*(v[:, None] for v in top), normals),
        }
    else:
        per = [
            (t.lrb(n1, d1, n2, d2, v[:, None, None]), t.s_factor(n1, d1, n2, d2, v[:, None, None]))
            for v in normals.transpose(1, 0, 2)
        ]
        meeting = {
            key: np.stack([mean(np.nan_to_num(p[k])) for p in per], axis=1)
            for k, key in enumerate(("lrb", "s"))
        }
    columns = {
        "system_a": np.array(a.slip.names, object)[s],
        "system_b": np.array(b.slip.names, object)[u],
        "m_prime": mean(all_pairs),
        "m_prime_out_a": all_pairs[rows, s].max(axis=1),
        "m_prime_out_b": all_pairs[rows, :, u].max(axis=1),
        "m_prime_max": all_pairs.max(axis=(1, 2)),
        "residual_burgers": mean(t.residual_burgers(a.burgers[i][:, :, None], b.burgers[j][:, None])),
        "livingston_chalmers": mean(t.livingston_chalmers(n1, d1, n2, d2)),
        "werner_prantl": mean(t.werner_prantl(n1, d1, n2, d2)),
        "lrb": np.nansum(meeting["lrb"] * weights, axis=1),
        "lrb_min": np.nanmin(meeting["lrb"], axis=1, initial=np.inf),
        "lrb_max": np.nanmax(meeting["lrb"], axis=1, initial=0.0),
        "s_factor": np.nansum(meeting["s"] * weights, axis=1),
    }
    if with_stress:
        first, second = a.schmid[i, s], b.schmid[j, u]
        sense = np.sign(first) * np.sign(second)
        columns["m_prime_signed"] = t.m_prime(*top, signed=True) * sense
        columns |= {
            "schmid_a": np.abs(first),
            "schmid_b": np.abs(second),
            "delta_schmid": np.abs(np.abs(first) - np.abs(second)),
        }
    return columns
