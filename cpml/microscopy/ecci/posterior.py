"""From what was seen of dislocation lines to their Burgers vectors, planes, directions and characters.

All segments of a line have one Burgers vector. From one to the next the line stays in its mode
(`hypotheses`), or with probability q goes over to another mode of the same b; E is the evidence of
`evidence`:

    P(m_1 ... m_I | line) ~ P(m_1) prod_i E_i,m_i prod_i [(1 - q) 1(m_i = m_i+1) + q P(m_i+1 | b)]

A change of plane is cross-slip; a change to or from climb, or climb throughout, is climb. Sums are exact
(forward and backward). Lines of a grain are independent, or share its unknown frequencies of modes
(`pooling`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.slip_systems import Systems
from cpml.microscopy.ecci.evidence import USUAL, Evidence, Settings, by_grain, segment_evidence, segments_of
from cpml.microscopy.ecci.hypotheses import Lines, Modes
from cpml.microscopy.ecci.pooling import pooled_prior
from cpml.microscopy.ecci.reflections import Reflections

SET = 0.9
"""Probability that a set of Burgers vectors holds."""
CHANGES = ("line", "grain_id", "system_a", "system_b", "p", "prior")


@dataclass(frozen=True, eq=False)
class LinePosterior:
    """What was learned of the lines.

    Attributes
    ----------
    lines : DataFrame line, grain_id, n_segments, n_seen (records), burgers, kind, p_burgers, in_set (90 %),
        system, p_system (of the longest segment), character_deg, p_screw, p_edge (means over the length),
        p_climb, prior_climb (before anything was seen, of as many segments), p_cross_slip
    burgers : DataFrame line, burgers, kind, p
    modes : DataFrame line, segment, grain_id, length_um, mode, system (name, "" for climb), burgers, p, prior
    changes : DataFrame CHANGES: cross-slip between two systems of one Burgers vector; one row a line of two
        segments and more, and pair
    """

    lines: pd.DataFrame
    burgers: pd.DataFrame
    modes: pd.DataFrame
    changes: pd.DataFrame

    @classmethod
    def of(cls, grains: Sequence["GrainPosterior"]) -> "LinePosterior":
        """Tables of all grains under each other."""
        tables = ((g.line_table(), g.burgers_table(), g.mode_table(), g.change_table()) for g in grains)
        return cls(*(pd.concat(part, ignore_index=True) for part in zip(*tables, strict=True)))


@dataclass(frozen=True, eq=False)
class GrainPosterior:
    """Posterior of the lines of one grain.

    Attributes
    ----------
    segments : of `segments_of`, with n_seen
    modes, evidence : of the grain, (S, M)
    marginal : (S, M) of the segments' modes
    change : (R, M, M) probability that line r goes from one mode to another at a bend, summed over its bends
    first, size : (R,) first segment of every line, and their number
    marginal_prior, change_prior : as marginal and change, for lines of which no more is known than that they
        were recorded
    """

    segments: pd.DataFrame
    modes: Modes
    evidence: Evidence
    marginal: NDArray
    change: NDArray
    first: NDArray
    size: NDArray
    marginal_prior: NDArray
    change_prior: NDArray

    @classmethod
    def of(cls, rows: pd.DataFrame, lines: Lines, found: Reflections, settings: Settings) -> "GrainPosterior":
        """Of the records of one grain."""
        segments, modes = segments_of(rows), lines.modes
        evidence = segment_evidence(rows, segments, lines, found, settings)
        name = segments["line"].to_numpy()
        first = np.flatnonzero(np.r_[True, name[1:] != name[:-1]])
        size = np.diff(np.r_[first, len(name)])
        marginal, change, whole = chained(evidence.log, first, size, modes, modes.prior, settings.bends)
        if settings.pooled:
            recorded = np.exp(evidence.log_recorded[first])
            shared = pooled_prior(whole / recorded, modes.prior) / recorded
            marginal, change, _ = chained(evidence.log, first, size, modes, shared, settings.bends)
        before = chained(evidence.log_recorded, first, size, modes, modes.prior, settings.bends)
        return cls(segments, modes, evidence, marginal, change, first, size, *before[:2])

    @property
    def line(self) -> NDArray:
        """(R,) names."""
        return self.segments["line"].to_numpy()[self.first]

    @property
    def is_climb(self) -> NDArray:
        """(M,) bool."""
        return self.modes.system < 0

    @property
    def p_burgers(self) -> NDArray:
        """(R, B)."""
        return self.marginal[self.first] @ np.eye(len(self.modes.burgers))[self.modes.burgers_of]

    @property
    def p_climb(self) -> NDArray:
        """(R,) probability that the line, or some segment of it, has climbed."""
        return self._climbs(self.marginal[self.first], self.change)

    @property
    def prior_climb(self) -> NDArray:
        """(R,) the same before anything was seen."""
        return self._climbs(self.marginal_prior[self.first], self.change_prior)

    def _climbs(self, start: NDArray, change: NDArray) -> NDArray:
        onto = change[:, ~self.is_climb][:, :, self.is_climb].sum((1, 2))
        return np.minimum(start[:, self.is_climb].sum(1) + onto, 1.0)

    def _pairs(self, change: NDArray) -> NDArray:
        """(R, S, S) probability of cross-slip between two slip systems, above the diagonal."""
        pairs = change[:, ~self.is_climb][:, :, ~self.is_climb]
        return np.minimum(np.triu(pairs + pairs.transpose(0, 2, 1), 1), 1.0)

    def over_length(self, values: NDArray) -> NDArray:
        """(R,) means of values (S, M) over the modes, weighed by the lengths of the segments."""
        of_line = np.repeat(np.arange(len(self.first)), self.size)
        length = self.segments["length_um"].to_numpy()
        mean = np.bincount(of_line, length * (self.marginal * values).sum(1))
        return mean / np.bincount(of_line, length)

    def line_table(self) -> pd.DataFrame:
        """One row a line, as in `LinePosterior`."""
        names, p = np.array(self.modes.burgers.names, object), self.p_burgers
        length = np.split(self.segments["length_um"].to_numpy(), self.first[1:])
        longest = self.first + np.array([part.argmax() for part in length])
        on_system = np.where(self.is_climb, 0.0, self.marginal[longest])
        return pd.DataFrame(
            {
                "line": self.line,
                "grain_id": self.segments["grain_id"].to_numpy()[self.first],
                "n_segments": self.size,
                "n_seen": np.add.reduceat(self.segments["n_seen"].to_numpy(), self.first),
                "burgers": names[p.argmax(1)],
                "kind": np.array(self.modes.burgers.kind, object)[p.argmax(1)],
                "p_burgers": p.max(1),
                "in_set": [" ".join(names[i] for i in likeliest(row)) for row in p],
                "system": np.array(self.modes.names, object)[on_system.argmax(1)],
                "p_system": on_system.max(1),
                "character_deg": self.over_length(self.evidence.character_deg),
                "p_screw": self.over_length(self.evidence.screw),
                "p_edge": self.over_length(self.evidence.edge),
                "p_climb": self.p_climb,
                "prior_climb": self.prior_climb,
                "p_cross_slip": np.minimum(self._pairs(self.change).sum((1, 2)), 1.0),
            }
        )

    def burgers_table(self) -> pd.DataFrame:
        """One row a line and Burgers vector."""
        own, n = self.modes.burgers, len(self.line)
        return pd.DataFrame(
            {
                "line": np.repeat(self.line, len(own)),
                "burgers": np.tile(np.array(own.names, object), n),
                "kind": np.tile(np.array(own.kind, object), n),
                "p": self.p_burgers.ravel(),
            }
        )

    def mode_table(self) -> pd.DataFrame:
        """One row a segment and mode."""
        n, names = len(self.segments), np.array(self.modes.names, object)
        table = self.segments[["line", "segment", "grain_id", "length_um"]]
        return table.loc[table.index.repeat(len(names))].assign(
            mode=np.tile(names, n),
            system=np.tile(np.where(self.is_climb, "", names), n),
            burgers=np.tile(np.array(self.modes.burgers.names, object)[self.modes.burgers_of], n),
            p=self.marginal.ravel(),
            prior=self.marginal_prior.ravel(),
        )

    def change_table(self) -> pd.DataFrame:
        """One row a bent line and pair of slip systems of one Burgers vector."""
        slip = ~self.is_climb
        number, burgers = self.modes.system[slip], self.modes.burgers_of[slip]
        a, b = np.nonzero(np.triu(burgers[:, None] == burgers, 1))
        bent = np.flatnonzero(self.size > 1)
        name = np.array(self.modes.systems.names, object)[number]
        values = (
            np.repeat(self.line[bent], len(a)),
            np.repeat(self.segments["grain_id"].to_numpy()[self.first][bent], len(a)),
            np.tile(name[a], len(bent)),
            np.tile(name[b], len(bent)),
            self._pairs(self.change[bent])[:, a, b].ravel(),
            self._pairs(self.change_prior[bent])[:, a, b].ravel(),
        )
        return pd.DataFrame(dict(zip(CHANGES, values, strict=True)))


def infer_lines(
    records: pd.DataFrame,
    orientations: pd.DataFrame,
    systems: Systems,
    found: Reflections,
    *,
    settings: Settings = USUAL,
) -> LinePosterior:
    """Posterior of every line.

    Parameters
    ----------
    records : columns `evidence.ROWS`; g names a reflection, seen is one of STATES or ""; at least one row
    orientations : grain_id, qw, qx, qy, qz
    systems : of the phase of these grains
    found : reflections at the voltage of the pictures
    """
    modes = Modes.of(systems, climbed=settings.climbed)
    grains = by_grain(records, orientations, modes)
    return LinePosterior.of([GrainPosterior.of(rows, lines, found, settings) for rows, lines in grains])


def likeliest(p: NDArray, level: float = SET) -> NDArray:
    """Positions of the smallest set of probabilities (B,) that add up to ``level``, the largest first.

    Examples
    --------
    >>> likeliest(np.array([0.2, 0.75, 0.05]))
    array([1, 0])
    """
    order = np.argsort(-p, kind="stable")
    return order[: int(np.searchsorted(np.cumsum(p[order]), level - 1e-9)) + 1]


def chained(
    log: NDArray, first: ArrayLike, size: ArrayLike, modes: Modes, prior: NDArray, bends: float
) -> tuple[NDArray, NDArray, NDArray]:
    """Sums over all sequences of modes.

    Parameters
    ----------
    log : (S, M) log evidence
    first, size : (R,) segments of every line
    prior : (M,), or (R, M) of every line, of its first mode, any scale
    bends : q

    Returns
    -------
    marginal : (S, M) of the modes of segments
    change : (R, M, M) probability of going from one mode to another, summed over the bends of a line; the
        diagonal is 0
    whole : (R, M) evidence of all segments of a line for its first mode, any scale in each row
    """
    same = modes.burgers_of[:, None] == modes.burgers_of
    of_burgers = np.bincount(modes.burgers_of, modes.prior)[modes.burgers_of]
    step = (1 - bends) * np.eye(len(modes)) + bends * same * (modes.prior / of_burgers)
    first, size = np.asarray(first, int), np.asarray(size, int)
    at_first = np.broadcast_to(prior, (len(first), len(modes)))
    marginal, whole = np.zeros_like(log), np.zeros(at_first.shape)
    change = np.zeros((len(first), len(modes), len(modes)))
    for n in np.unique(size):
        lines = np.flatnonzero(size == n)
        at = first[lines][:, None] + np.arange(n)
        e = np.exp(log[at] - log[at].max(-1, keepdims=True))  # (lines, n, M)
        forward = [_scaled(at_first[lines] * e[:, 0])]
        for i in range(1, n):
            forward.append(_scaled((forward[-1] @ step) * e[:, i]))
        backward = np.ones_like(forward[0])
        for i in range(n - 1, -1, -1):
            marginal[at[:, i]] = _scaled(forward[i] * backward)
            told = e[:, i] * backward
            if i:
                pair = forward[i - 1][:, :, None] * step * told[:, None, :]
                change[lines] += pair / pair.sum((1, 2), keepdims=True)
                backward = _scaled(told @ step.T)
        whole[lines] = told
    change[:, np.arange(len(modes)), np.arange(len(modes))] = 0.0
    return marginal, change, whole


def _scaled(p: NDArray) -> NDArray:
    return p / p.sum(1, keepdims=True)
