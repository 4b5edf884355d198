"""Likelihood of what was said of a grain: reports on planes, variants, systems, families, and directions.

A report says that something acts (o = 1) or that it does not (o = 0). Under a draw of the grain's stress it
acts, visibly, with probability x (below). Whoever reports knows with probability w, the weight of the row,
and guesses otherwise; who knows overlooks a share m of what acts and claims a share f of what does not:

    P(o = 1) = w [(1 - m) x + f (1 - x)] + (1 - w) / 2,      P(o = 0) = 1 - P(o = 1)

m and f are learned, both below one half, so a positive report never counts against what it names. With w = 0
nothing is left of a row but a constant. Reports of a grain are independent under a draw of its stress, and
are multiplied with the likelihood of its traces and twins before the mean over draws.

| level | x |
|---|---|
| plane, variant | a_t, active above the visible limit |
| family, any | 1 - prod (1 - a_t) over its tokens |
| system | the visible limit on the share of that system alone |

A system that a line named is another case: the line is among the traces, so its plane has been counted, and
the row adds which way the sides of the line moved. With pi the shares of shear and A the systems of the plane
that the source leaves possible (the one it names, else all that it does not exclude),

    P(A | plane) = w' sum_{s in A} pi_s / pi_plane + (1 - w') |A| / |plane|,      w' = w (1 - f)

A dislocation line seen by ECCI is likewise one line of an unknown system: its rows (level "line") are
alternatives with probabilities p_s that add up to W, the probability that it glides at all, all systems equal
beforehand (`cpml.microscopy.ecci.label_lines`). Lines are taken to lie on systems in proportion to shear,

    P(line) ~ w' sum_s p_s pi_s / (W sum_s pi_s) + (1 - w') / S,      w' = W (1 - f)

the form above with p and all slip systems in place of A and the plane.

A system that a source of traces excludes on a plane without a line of its own adds nothing to that line's
absence. A plane that a report names, itself or by a system, counts as covered (c_p = w) in the likelihood of
the traces: that nobody drew its line is no evidence against it.

Pairs of cross-slip and climb are reports as well; they teach `cpml.models.coupled.slow_laws`.

| symbol | meaning | shape |
|---|---|---|
| a, pi | activity of tokens, shares of systems | (G, K, T), (G, K, S) |
| w, o | weight and state of a row | (R,) |
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cpml.microscopy.labels.rows import LINE
from cpml.models.specimen.specimen import Specimen

GUESS = 0.5
"""How often one who does not know says that something acts."""
TINY = 1e-12


@dataclass(frozen=True)
class ReportRates:
    """m and f of the module docstring."""

    missed: Tensor
    false: Tensor


@dataclass(frozen=True)
class Rows:
    """Reports of one shape: each with its grain, its targets, state and weight."""

    grain: Tensor  # (R,) long
    target: Tensor  # (R,) long of a token or system; (R, n) 0 to 1 of a set of systems
    observed: Tensor  # (R,) 0 or 1; of directions 1
    weight: Tensor  # (R,) above 0, at most 1

    @classmethod
    def of(cls, rows: list[tuple], n_targets: int = 0) -> "Rows":
        """Of (grain, target, observed, weight); ``n_targets``: targets are sets of so many."""
        grain, target, observed, weight = zip(*rows, strict=True) if rows else ((), (), (), ())
        targets = np.array(target, float).reshape(-1, n_targets) if n_targets else np.array(target, np.int64)
        return cls(
            torch.tensor(grain, dtype=torch.long),
            torch.tensor(targets),
            torch.tensor(observed, dtype=torch.float64),
            torch.tensor(weight, dtype=torch.float64),
        )

    def __len__(self) -> int:
        return len(self.grain)


@dataclass(frozen=True)
class Reports:
    """The reports of one specimen as tensors."""

    tokens: Rows  # planes and variants
    sets: tuple[tuple[Tensor, Rows], ...]  # families and "any": tokens (n,) of a set, and the rows on it
    systems: Rows  # systems
    directions: Rows  # systems left possible of a line, as sets or with probabilities
    planes: Tensor  # (D, S) bool, of each row of directions all systems that it could have been
    covered: Tensor  # (G, P) 0 to 1
    chance: Tensor  # (G,) log-likelihood of guesses

    @classmethod
    def of(cls, specimen: Specimen) -> "Reports | None":
        """Collect the reports of a `Specimen` that are about slip and twins; None without any."""
        if specimen.reports is None:
            return None
        rows = specimen.reports[specimen.reports["mechanism"].isin(["slip", "twin"])]
        rows = rows[(rows["weight"] > 0) & rows["observed"].notna()]
        if rows.empty:
            return None
        by_level = {str(level): part for level, part in rows.groupby("level")}
        none = rows.iloc[:0]
        single = pd.concat([by_level.get("plane", none), by_level.get("variant", none)])
        wide = pd.concat([by_level.get("family", none), by_level.get("any", none)])
        is_drawn = _from_lines(by_level.get("system", none), specimen)
        alone = by_level.get("system", none)[~is_drawn]
        directions, planes = _directions(by_level.get("system", none)[is_drawn], specimen)
        of_ecci, any_slip = _dislocation_lines(by_level.get(LINE, none), specimen)
        directions, planes = directions + of_ecci, planes + any_slip
        known = cls(
            Rows.of(_numbered(single, specimen, specimen.tokens["target"].tolist())),
            _sets(wide, specimen),
            Rows.of(_numbered(alone, specimen, list(specimen.systems.names))),
            Rows.of(directions, len(specimen.systems)),
            torch.tensor(np.array(planes, bool).reshape(-1, len(specimen.systems))),
            torch.tensor(_covered(rows, specimen)),
            torch.zeros(len(specimen), dtype=torch.float64),
        )
        return known._with_chance()

    def _with_chance(self) -> "Reports":
        chance = self.chance.clone()
        for rows in (self.tokens, *(rows for _, rows in self.sets), self.systems):
            chance.index_add_(0, rows.grain, torch.full_like(rows.weight, np.log(GUESS)))
        chance.index_add_(0, self.directions.grain, self._by_chance().log())
        return Reports(**vars(self) | {"chance": chance})

    def _by_chance(self) -> Tensor:
        """(D,) share of a plane's systems that its row of directions leaves possible."""
        return self.directions.target.sum(-1).double() / self.planes.sum(-1)

    @property
    def count(self) -> int:
        """Number of reports that teach the law of slip and twins."""
        n_sets = sum(len(rows) for _, rows in self.sets)
        return len(self.tokens) + n_sets + len(self.systems) + len(self.directions)

    def per_draw(
        self, active: Tensor, by_system: Tensor, system_active: Tensor, rates: ReportRates
    ) -> Tensor:
        """Log-likelihood (G, K) of the reports of every grain under every draw of its stress.

        Parameters
        ----------
        active : (G, K, T) of tokens
        by_system : (G, K, S) shares of shear
        system_active : (R, K) of the rows of ``systems``: active above the visible limit
        """
        logs = torch.zeros(active.shape[:2], dtype=active.dtype)
        rows = self.tokens
        logs = _told(logs, rows, active[rows.grain, :, rows.target], rates)
        for tokens, rows in self.sets:
            idle = torch.log1p(-active[rows.grain[:, None], :, tokens].clamp(max=1 - TINY))  # (R, n, K)
            logs = _told(logs, rows, -torch.expm1(idle.sum(1)), rates)
        logs = _told(logs, self.systems, system_active, rates)
        rows = self.directions
        share = by_system[rows.grain]
        within = (share * rows.target[:, None, :]).sum(-1)
        plane = (share * self.planes[:, None, :]).sum(-1)
        guess = self._by_chance()[:, None]
        sure = (rows.weight * (1 - rates.false))[:, None]
        chance = sure * (within + TINY * guess) / (plane + TINY) + (1 - sure) * guess
        return logs.index_add(0, rows.grain, torch.log(chance))


def report_probability(acts: Tensor, observed: Tensor, weight: Tensor, rates: ReportRates) -> Tensor:
    """Probability (R, K) of reports (R,) of what acts with probability (R, K); with m and f (...) also
    (..., R, K).
    """
    missed, false = rates.missed[..., None, None], rates.false[..., None, None]
    claimed = weight[:, None] * ((1 - missed) * acts + false * (1 - acts)) + (1 - weight[:, None]) * GUESS
    return torch.where(observed[:, None] > 0, claimed, 1 - claimed)


def _told(logs: Tensor, rows: Rows, acts: Tensor, rates: ReportRates) -> Tensor:
    chance = report_probability(acts, rows.observed, rows.weight, rates)
    return logs.index_add(0, rows.grain, torch.log(chance + TINY))


def _numbered(rows: pd.DataFrame, specimen: Specimen, names: list[str]) -> list[tuple]:
    place = pd.Series(np.arange(len(names)), index=names)
    return list(
        zip(
            specimen.position(rows["grain_id"]),
            place[rows["target"]].to_numpy(),
            rows["observed"],
            rows["weight"],
            strict=True,
        )
    )


def _sets(rows: pd.DataFrame, specimen: Specimen) -> tuple[tuple[Tensor, Rows], ...]:
    """Families are sets of the tokens of their name, "any" of those of the mechanism."""
    tokens, found = specimen.tokens, []
    for (mechanism, level, target), part in rows.groupby(["mechanism", "level", "target"], sort=True):
        is_mine = (tokens["mechanism"] == mechanism).to_numpy()
        if level == "family":
            is_mine = is_mine & (tokens["family"] == target).to_numpy()
        own = zip(specimen.position(part["grain_id"]), part["observed"], part["weight"], strict=True)
        known = Rows.of([(grain, 0, observed, weight) for grain, observed, weight in own])
        found.append((torch.tensor(np.flatnonzero(is_mine)), known))
    return tuple(found)


def _from_lines(rows: pd.DataFrame, specimen: Specimen) -> np.ndarray:
    """(R,) bool, whether the source of a row has drawn lines of the specimen, which are among the traces."""
    return rows["source"].isin(specimen.traces["source"].unique()).to_numpy(bool)


def _directions(rows: pd.DataFrame, specimen: Specimen) -> tuple[list[tuple], list[np.ndarray]]:
    """Of every grain, source and plane with a line: its systems that the source leaves possible."""
    systems, found, planes = specimen.systems, [], []
    number = pd.Series(np.arange(len(systems)), index=list(systems.names))
    for _, part in rows.groupby("source", sort=True):
        at = (specimen.position(part["grain_id"]), number[part["target"]].to_numpy())
        named, excluded = np.zeros((2, len(specimen), len(systems)), bool)
        weight = np.ones(named.shape)
        named[at], excluded[at], weight[at] = part["observed"] == 1, part["observed"] == 0, part["weight"]
        for column, plane in enumerate(specimen.slip_planes):
            of_plane = systems.slip & (systems.plane_id == plane)
            is_named = (named & of_plane).any(1)
            possible = of_plane & np.where(is_named[:, None], named, ~excluded)
            has_line = is_named | specimen.covered[:, column]
            told = has_line & possible.any(1) & (possible != of_plane).any(1)
            sure = np.where(of_plane & np.where(is_named[:, None], named, excluded), weight, 1.0).min(1)
            found += [(grain, possible[grain], 1.0, sure[grain]) for grain in np.flatnonzero(told)]
            planes += [of_plane] * int(told.sum())
    return found, planes


def _dislocation_lines(rows: pd.DataFrame, specimen: Specimen) -> tuple[list[tuple], list[np.ndarray]]:
    """Of every line: its grain, the probabilities of its systems over their sum, and that sum."""
    systems, found = specimen.systems, []
    number = pd.Series(np.arange(len(systems)), index=list(systems.names))
    for (grain, _), part in rows.groupby(["grain_id", "source"], sort=True):
        likely = np.zeros(len(systems))
        likely[number[part["target"]].to_numpy()] = part["weight"]
        glides = likely.sum()
        found.append((specimen.position([grain])[0], likely / glides, 1.0, min(glides, 1.0)))
    return found, [systems.slip] * len(found)


def _covered(rows: pd.DataFrame, specimen: Specimen) -> np.ndarray:
    """(G, P) weight of the surest report that names a plane, itself or by one of its systems."""
    systems, covered = specimen.systems, np.zeros((len(specimen), len(specimen.slip_planes)))
    plane = {name: p for p, name in enumerate(specimen.tokens["target"][: covered.shape[1]])}
    slip = np.flatnonzero(systems.slip)
    plane |= {systems.names[s]: int(specimen.token[s]) for s in slip}
    named = rows[(rows["observed"] == 1) & rows["level"].isin(["plane", "system"])]
    at = (specimen.position(named["grain_id"]), named["target"].map(plane).to_numpy(int))
    np.maximum.at(covered, at, named["weight"].to_numpy(float))
    return covered
