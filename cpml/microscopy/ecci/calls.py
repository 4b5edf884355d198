"""Which lines can be called climbed or cross-slipped, at a share of false alarms that is known.

A posterior probability is as good as its prior. What can be promised without one is how often lines that only
glide would look as convincing: the same file is drawn again with lines of the model that glide on one plane,
under the same conditions and with as many segments, and inferred in the same way,

    threshold = quantile of p under gliding lines at 1 - alpha,      called where p exceeds it

alpha is then the share of gliding lines that are called, as far as lines are what the model takes them for.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.slip_systems import Systems
from cpml.microscopy.ecci.contrast import STATES
from cpml.microscopy.ecci.evidence import BEAM, SIGMA_DEG, USUAL, Settings, by_grain
from cpml.microscopy.ecci.hypotheses import (
    LOG_DEPTH_SD,
    LOG_PIECE_SD,
    PIECE_UM,
    Lines,
    Modes,
)
from cpml.microscopy.ecci.posterior import LinePosterior, infer_lines
from cpml.microscopy.ecci.reflections import Reflections

FALSE_ALARMS = 0.05
LEAST_NULL = 400
"""Gliding lines that a threshold is learned from, at least."""
TRIES = 100
"""Drawings of a line until it is seen; one that no reflection of the file can show stays invisible."""
INVISIBLE = STATES.index("invisible")


def call_lines(
    posterior: LinePosterior,
    records: pd.DataFrame,
    orientations: pd.DataFrame,
    systems: Systems,
    found: Reflections,
    *,
    settings: Settings = USUAL,
    false_alarms: float = FALSE_ALARMS,
    seed: int = 0,
) -> pd.DataFrame:
    """The table of lines with columns climbed and cross_slipped (bool), and the thresholds behind them,
    climb_above and cross_slip_above.

    Cross-slip is looked for in lines of two segments and more.

    Parameters
    ----------
    posterior : of `infer_lines` on the same records, with the same settings
    """
    lines = posterior.lines
    null = gliding_lines(records, orientations, systems, found, settings=settings, seed=seed)
    alone = infer_lines(null, orientations, systems, found, settings=settings).lines
    bent, bent_null = (t["n_segments"].to_numpy() > 1 for t in (lines, alone))
    thresholds = {"p_climb": np.full(len(lines), np.inf), "p_cross_slip": np.full(len(lines), np.inf)}
    for name, above in thresholds.items():
        for is_bent in (False, True):
            values = alone.loc[bent_null == is_bent, name]
            if len(values) and (is_bent or name == "p_climb"):
                above[bent == is_bent] = np.quantile(values, 1 - false_alarms)
    return lines.assign(
        climbed=lines["p_climb"] > thresholds["p_climb"],
        cross_slipped=lines["p_cross_slip"] > thresholds["p_cross_slip"],
        climb_above=thresholds["p_climb"],
        cross_slip_above=thresholds["p_cross_slip"],
    )


def gliding_lines(
    records: pd.DataFrame,
    orientations: pd.DataFrame,
    systems: Systems,
    found: Reflections,
    *,
    settings: Settings = USUAL,
    least: int = LEAST_NULL,
    seed: int = 0,
) -> pd.DataFrame:
    """Records with other lines in place of those of a file: straight or bent, each on one slip plane, seen at
    least once, under the conditions of the file. The file is repeated until it has ``least`` lines.
    """
    rng = np.random.default_rng(seed)
    modes = Modes.of(systems, climbed=0.0)
    repeats = max(1, int(np.ceil(least / records["line"].nunique())))
    parts = []
    for rows, lines in by_grain(records, orientations, modes):
        copies = [rows.assign(line=[f"{k} {name}" for name in rows["line"]]) for k in range(repeats)]
        parts.append(_glided(pd.concat(copies, ignore_index=True), lines, found, settings, rng))
    return pd.concat(parts, ignore_index=True)


def _glided(
    rows: pd.DataFrame, lines: Lines, found: Reflections, settings: Settings, rng: np.random.Generator
) -> pd.DataFrame:
    """Rows of one grain with direction, length and states drawn anew."""
    segment = rows.groupby(["line", "segment"], sort=False).ngroup().to_numpy()
    line = rows.groupby("line", sort=False).ngroup().to_numpy()
    first = np.unique(segment, return_index=True)[1]
    mode = rng.choice(len(lines.modes), size=line.max() + 1, p=lines.modes.prior)[line[first]]
    met = np.exp(lines.log_prior + lines.log_met(settings.depth_um))
    chance = {
        g: lines.state_probability(found.vector[found.number(g)], settings.reading)
        for g in rows.loc[rows["seen"].isin(STATES), "g"].unique()
    }
    u = np.zeros(len(first), int)
    state = np.full(len(rows), -1)
    open_ = np.ones(len(first), bool)
    told = rows["seen"].isin(STATES).to_numpy()
    names = rows["g"].to_numpy()
    for _ in range(TRIES):
        if not open_.any():
            break
        u[open_] = _of_modes(lines, met, mode[open_], rng)
        for g, p in chance.items():
            mine = told & (names == g) & open_[segment]
            below = np.cumsum(p[u[segment[mine]]], axis=1)
            state[mine] = (rng.random((mine.sum(), 1)) > below[:, :2]).sum(1)
        seen = np.bincount(segment[told & (state != INVISIBLE)], minlength=len(first))
        open_ &= (seen == 0) & np.isin(np.arange(len(first)), segment[told])
    return rows.assign(
        seen=np.where(told, np.array([*STATES, ""], object)[state], rows["seen"]),
        **_drawn(rows, segment, lines, u, settings, rng),
    )


def _of_modes(lines: Lines, met: NDArray, mode: NDArray, rng: np.random.Generator) -> NDArray:
    """(n,) a line of each of the modes (n,), drawn by weights ``met`` (N,)."""
    found = np.zeros(len(mode), int)
    for m in np.unique(mode):
        own = np.flatnonzero(lines.mode == m)
        mine = mode == m
        found[mine] = rng.choice(own, size=mine.sum(), p=met[own] / met[own].sum())
    return found


def _drawn(
    rows: pd.DataFrame,
    segment: NDArray,
    lines: Lines,
    u: NDArray,
    settings: Settings,
    rng: np.random.Generator,
) -> dict[str, NDArray]:
    """Angles and lengths where the file has some; what was drawn once is drawn once."""
    angle, length = rows["angle_deg"].to_numpy(float).copy(), rows["length_um"].to_numpy(float).copy()
    sigma = rows["sigma_deg"].fillna(SIGMA_DEG).to_numpy(float)
    noise = rng.standard_normal(len(u))
    own = np.log(PIECE_UM) + LOG_PIECE_SD * rng.standard_normal(len(u))
    depth = np.log(settings.depth_um) + LOG_DEPTH_SD * rng.standard_normal(len(u))
    for beam, at in rows.groupby(BEAM, sort=False).indices.items():
        along, (projected, steep) = lines.angle_deg(np.array(beam)), lines.log_projection(np.array(beam))
        k, s = u[segment[at]], segment[at]
        turned = (along[k] + sigma[at] * noise[s]) % 180.0
        seen = np.exp(projected[k] + np.minimum(own[s], depth[s] - steep[k]))
        angle[at] = np.where(np.isnan(angle[at]), np.nan, turned)
        length[at] = np.where(np.isnan(length[at]), np.nan, seen)
    return {"angle_deg": angle, "length_um": length}
