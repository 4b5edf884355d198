"""How well every mode of a grain explains what was seen of the segments of lines in it.

For a segment i and a mode m (`hypotheses`), with all directions u of the mode summed over,

    E_im = sum_u p(u | m) p(L | u) prod_j p(theta_j | u) prod_c P(state_c | g_c, b, u)^w
    p(theta | u) = (1 - e) N_180(theta - theta_u; sigma) + e / 180

theta_j are angles of the segment as drawn under beams j, state_c is what was recorded under reflection g_c
(`contrast`); w is 1 for a line drawn as one segment, and the segment's share of the length where one state
was recorded for a whole polyline.

| symbol | meaning | value |
|---|---|---|
| sigma | error of a drawn angle and of the orientation | 3 deg |
| e | share of drawn angles that say nothing | 0.02 |
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.slip_traces import line_difference
from cpml.microscopy.ecci.contrast import STATES, TEXTBOOK, Reading
from cpml.microscopy.ecci.hypotheses import (
    CLIMBED,
    DEPTH_UM,
    EDGE_DEG,
    SCREW_DEG,
    Lines,
    Modes,
    log_length_density,
)
from cpml.microscopy.ecci.reflections import Reflections

SIGMA_DEG = 3.0
STRAY = 0.02
BENDS = 0.2
"""A line leaves its mode at a bend (`posterior`), a priori."""
NEVER = 1e-9
"""Chance of a record that nothing explains, where records are said never to be wrong."""
LEAST_UM = 0.05
"""Shorter lines are taken for points."""
CHUNK = 4_000_000
"""Segments times lines that are held at a time."""

ROWS = (
    "line",
    "segment",
    "grain_id",
    "angle_deg",
    "sigma_deg",
    "length_um",
    "g",
    "beam_x",
    "beam_y",
    "beam_z",
    "seen",
    "weight",
)
"""Columns of records: one row a segment and condition; angle, length and seen may be missing (NaN, "")."""
BEAM = ["beam_x", "beam_y", "beam_z"]


@dataclass(frozen=True)
class Settings:
    """What is taken for known of the pictures (module docstrings of `contrast`, `hypotheses`)."""

    reading: Reading = TEXTBOOK
    depth_um: float = DEPTH_UM
    climbed: float = CLIMBED
    bends: float = BENDS
    stray: float = STRAY
    pooled: bool = False


USUAL = Settings()


@dataclass(frozen=True, eq=False)
class Evidence:
    """Of the segments of one grain."""

    log: NDArray  # (S, M) E
    screw: NDArray  # (S, M) of the evidence, from lines within SCREW_DEG
    edge: NDArray  # (S, M)
    character_deg: NDArray  # (S, M) mean
    log_recorded: NDArray  # (S, M) that a line of the mode is recorded as this one was, up to a constant


def by_grain(
    records: pd.DataFrame, orientations: pd.DataFrame, modes: Modes
) -> Iterator[tuple[pd.DataFrame, Lines]]:
    """The records of every grain, and the lines that it may hold.

    Parameters
    ----------
    orientations : grain_id, qw, qx, qy, qz
    """
    place = orientations.set_index("grain_id")[["qw", "qx", "qy", "qz"]]
    for grain, rows in records.groupby("grain_id", sort=True):
        yield rows, Lines.of(modes, place.loc[grain].to_numpy(float))


def segments_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Segments of records, sorted: line, segment, grain_id, the greatest length that was drawn, um (1 where
    none was), and n_seen, the number of states recorded.
    """
    told = rows.assign(n_seen=rows["seen"].isin(STATES).astype(int))
    how = {"grain_id": "first", "length_um": "max", "n_seen": "sum"}
    return told.groupby(["line", "segment"], sort=True).agg(how).fillna({"length_um": 1.0}).reset_index()


def segment_evidence(
    rows: pd.DataFrame, segments: pd.DataFrame, lines: Lines, found: Reflections, settings: Settings
) -> Evidence:
    """E of all segments and modes.

    Parameters
    ----------
    rows : records of one grain
    segments : of :func:`segments_of`, the order of the result
    """
    number = pd.Series(np.arange(len(segments)), pd.MultiIndex.from_frame(segments[["line", "segment"]]))
    at = number[pd.MultiIndex.from_frame(rows[["line", "segment"]])].to_numpy()
    counts, logs = [], []
    told = rows["seen"].isin(STATES).to_numpy()
    for g in rows["g"][told].unique():
        chance = lines.state_probability(found.vector[found.number(g)], settings.reading)
        recorded = np.log(np.maximum(chance, NEVER))
        mine = told & (rows["g"] == g).to_numpy()
        state = rows["seen"][mine].map(STATES.index).to_numpy()
        for k in np.unique(state):
            own = mine.copy()
            own[mine] = state == k
            counts.append(np.bincount(at[own], rows["weight"].to_numpy(float)[own], len(segments)))
            logs.append(recorded[:, k])
    views = _views(rows, at)
    prior = lines.log_prior + lines.log_met(settings.depth_um)
    step = max(1, CHUNK // len(lines.mode))
    pieces = []
    for first in range(0, len(segments), step):
        chosen = slice(first, first + step)
        total = np.tile(prior, (len(segments.iloc[chosen]), 1))
        for count, log in zip(counts, logs, strict=True):
            total += count[chosen, None] * log
        for view in views:
            _add_geometry(total, view, first, lines, settings)
        pieces.append(_summed(total, lines))
    drawn = np.isfinite(rows["length_um"]).to_numpy()
    has_length = np.bincount(at[drawn], minlength=len(segments)) > 0
    recorded = _log_recorded(rows[told], at[told], has_length, prior, lines, found, settings)
    return Evidence(*(np.concatenate(part) for part in zip(*pieces, strict=True)), recorded)


def _views(rows: pd.DataFrame, at: NDArray) -> list[tuple[NDArray, NDArray, NDArray]]:
    """Of every beam: the beam, and segment, angle, error and log length (n, 4) of what was drawn under it.

    What was drawn once and copied to several rows is one drawing: equal numbers count once.
    """
    drawn = rows[["angle_deg", "sigma_deg", "length_um", *BEAM]].assign(at=at)
    drawn = drawn[np.isfinite(drawn["angle_deg"])]
    drawn = drawn.drop_duplicates(["at", "angle_deg", "sigma_deg", "length_um"])
    found = []
    for beam, part in drawn.groupby(BEAM, sort=False):
        length = np.log(part["length_um"].to_numpy(float))
        values = np.c_[part["angle_deg"], part["sigma_deg"].fillna(SIGMA_DEG), length]
        found.append((np.array(beam, float), part["at"].to_numpy(), values))
    return found


def _add_geometry(
    total: NDArray, view: tuple[NDArray, NDArray, NDArray], first: int, lines: Lines, settings: Settings
) -> None:
    """Adds angle and length of what was drawn under one beam to ``total`` (segments from ``first``)."""
    beam, at, values = view
    mine = (at >= first) & (at < first + len(total))
    if not mine.any():
        return
    angle, sigma, length = values[mine].T[:, :, None]
    off = line_difference(angle, lines.angle_deg(beam))
    density = np.exp(-0.5 * (off / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
    logs = np.log((1 - settings.stray) * density + settings.stray / 180.0)
    logs += log_length_density(length, *lines.log_projection(beam), settings.depth_um)
    np.add.at(total, at[mine] - first, logs)


def _log_recorded(
    rows: pd.DataFrame,
    at: NDArray,
    has_length: NDArray,
    prior: NDArray,
    lines: Lines,
    found: Reflections,
    settings: Settings,
) -> NDArray:
    """(S, M) log of sum_u p(u | m) [1 - prod_c P(invisible | g_c, b, u)] P(L > LEAST_UM | u), the second
    factor where anybody looked, the third where a length was drawn.
    """
    invisible = STATES.index("invisible")
    never = {
        g: lines.state_probability(found.vector[found.number(g)], settings.reading)[:, invisible]
        for g in rows["g"].unique()
    }
    longer = lines.log_longer(LEAST_UM, settings.depth_um)
    looked = {k: tuple(sorted(set(part))) for k, part in rows["g"].groupby(at)}
    known: dict[tuple[tuple[str, ...], bool], NDArray] = {}
    result = np.zeros((len(has_length), len(lines.modes)))
    for k, long in enumerate(has_length.tolist()):
        key = (looked.get(k, ()), long)
        if key not in known:
            total = prior + longer if long else prior
            if key[0]:
                total = total + np.log(np.maximum(1 - np.prod([never[g] for g in key[0]], axis=0), NEVER))
            known[key] = _summed(total[None], lines)[0][0]
        result[k] = known[key]
    return result


def _summed(total: NDArray, lines: Lines) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Sums over the lines of each mode: log evidence, shares of screws and edges, mean character."""
    top = np.maximum.reduceat(total, lines.start, axis=1)
    part = np.exp(total - top[:, lines.mode])
    whole = np.add.reduceat(part, lines.start, axis=1)
    character = lines.character_deg
    weighted = [
        np.add.reduceat(part * weight, lines.start, axis=1) / whole
        for weight in (character <= SCREW_DEG, character >= 90 - EDGE_DEG, character)
    ]
    return (top + np.log(whole), *weighted)
