"""f_ap: what footprints teach beyond the law, as a correction of its log odds, and whether it may speak.

    a' = sigmoid(logit a + s_m f_m(z)),     p' = (1 - rho) d a' + rho chance

a is the law's probability that a token is active above what the map resolves, f_m boosted trees of one
mechanism m (slip, twin) on the inputs z of `correction_inputs`, s_m in {0, 1/4, 1/2, 1} how far they are
believed. Strengths and stresses stay the law's: they are learned before, and alone, so that the correction
cannot explain away a strength.

Whether f_m may speak is decided by records that neither the trees nor the law have seen. The maps are cut
into tiles; without the labels of one fold of tiles the law's parameters are found again from where they are,
trees are grown on the rest, and predict the fold. (A law that has seen the labels hides what it misses.)
At s_m = 1/2, fixed beforehand, the gain in log-likelihood, summed over tiles and over grains, must exceed its
standard error (the larger of the two) by Student's quantile at `Numerics.gate_level` divided by the number of
mechanisms; then the strength of largest gain is taken. With too few footprints nothing is tried. Otherwise
s_m = 0, and F is the law exactly.

Activity in every draw k of the grain's stress moves with the mean, so that what happens together stays
together:

    a'_k = a_k a' / a  where a' < a,      1 - a'_k = (1 - a_k) (1 - a') / (1 - a)  elsewhere

and shear moves with activity: a factor e^x in the odds is one of e^(x / beta) in the shear that the visible
limit sees, so shares are multiplied by that, and the grain's total stays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import t as student

from cpml.models.coupled.learning.boosting import Growth, Observation, Tree, boosted, contributions, summed
from cpml.models.coupled.learning.correction_inputs import Inputs, log_odds
from cpml.models.coupled.likelihood import Detection, Turned, seen_probability
from cpml.models.numerics import Numerics
from cpml.models.specimen.specimen import TILES, Specimen

MECHANISMS = ("slip", "twin")
STRENGTHS = (0.25, 0.5, 1.0)
GROUPS = ("law", "stress", "neighbours", "grain", "family")
JUDGED = 0.5
"""The strength at which a correction is judged."""
EVIDENCE = ("mechanism", "footprints", "strength", "best", "gain_nats", "error_nats", "needed", "verdict")


@dataclass(frozen=True)
class Correction:
    """Learned trees of the mechanisms that may speak; none: the law alone, exactly."""

    names: tuple[str, ...] = ()  # inputs
    groups: tuple[str, ...] = ()  # of every input
    usual: NDArray = field(default_factory=lambda: np.zeros(0))  # (F,) of every input, where one is lacking
    strength: dict[str, float] = field(default_factory=dict)  # of every mechanism that speaks, above 0
    trees: dict[str, tuple[Tree, ...]] = field(default_factory=dict)  # of the same

    @property
    def is_open(self) -> bool:
        """Whether any mechanism speaks."""
        return bool(self.strength)

    @property
    def gate(self) -> float:
        """Largest strength of a mechanism; 0: the law alone."""
        return max(self.strength.values(), default=0.0)

    def shift(self, specimen: Specimen, inputs: Inputs) -> NDArray:
        """(G, T) what is added to the log odds of every token."""
        return self._asked(specimen, inputs, 1, lambda trees, z: summed(trees, z)[:, None])[..., 0]

    def contributions(self, specimen: Specimen, inputs: Inputs) -> NDArray:
        """(G, T, F + 1) what every input adds to the shift, and last where all tokens start."""
        return self._asked(specimen, inputs, len(self.names) + 1, contributions)

    def columns(self, specimen: Specimen, inputs: Inputs | None) -> dict[str, NDArray]:
        """(G, T) for people: the shift, by groups of inputs, and the input that moves it most."""
        shape = (len(specimen), len(specimen.tokens))
        if inputs is None or not self.is_open:
            return {"learned": np.zeros(shape)}
        parts = self.contributions(specimen, inputs)
        columns = {"learned": parts.sum(-1)}
        for group in GROUPS:
            columns[f"learned_{group}"] = parts[..., :-1][..., np.array(self.groups) == group].sum(-1)
        most = np.abs(parts[..., :-1]).argmax(-1)
        silent = columns["learned"] == 0.0
        return columns | {"learned_by": np.where(silent, "", np.array(self.names, object)[most])}

    def _asked(
        self,
        specimen: Specimen,
        inputs: Inputs,
        width: int,
        ask: Callable[[tuple[Tree, ...], NDArray], NDArray],
    ) -> NDArray:
        """(G, T, width) answers of the trees for rows of inputs, times their strength; 0 where none speak."""
        values = inputs.select(self.names)
        values = np.where(np.isfinite(values), values, self.usual)
        mechanism = specimen.tokens["mechanism"].to_numpy()
        result = np.zeros((*values.shape[:2], width))
        for name, strength in self.strength.items():
            tokens = np.flatnonzero(mechanism == name)
            answer = ask(self.trees[name], values[:, tokens].reshape(-1, len(self.names)))
            result[:, tokens] = strength * answer.reshape(len(specimen), len(tokens), width)
        return result


@dataclass(frozen=True)
class Told:
    """One training specimen with what a law says of it."""

    specimen: Specimen
    inputs: Inputs
    found: NDArray  # (G, T) probability that the map finds it, mean over the draws
    turned: Turned | None  # twins that have outgrown their parents
    rates: Detection
    frequency: tuple[float, float]  # as `seen_probability` takes it


@dataclass(frozen=True)
class Pairs:
    """Records of one mechanism: all (grain, token) pairs that somebody could tell, over all specimens."""

    z: NDArray  # (M, F)
    y: NDArray  # (M,) 0 or 1
    log_odds: NDArray  # (M,) of the law
    link: Observation
    grain: NDArray  # (M,) numbered over all specimens
    tile: NDArray  # (M,) likewise
    fold: NDArray  # (M,)

    @classmethod
    def of(cls, told: Sequence[Told], names: tuple[str, ...], mechanism: str) -> "Pairs":
        """Collect them, with the inputs ``names``."""
        columns: dict[str, list[NDArray]] = {field.name: [] for field in fields(cls) if field.name != "link"}
        gain: list[NDArray] = []
        floor: list[NDArray] = []
        n_grains = 0
        for number, part in enumerate(told):
            specimen, n_planes = part.specimen, len(part.specimen.slip_planes)
            tokens = (specimen.tokens["mechanism"] == mechanism).to_numpy()
            row, token = np.nonzero(np.isfinite(specimen.observed) & tokens)
            columns["z"].append(part.inputs.select(names)[row, token])
            columns["y"].append(specimen.observed[row, token])
            columns["log_odds"].append(log_odds(part.found)[row, token])
            columns["grain"].append(n_grains + row)
            columns["tile"].append((number * TILES**2 + specimen.tiles() @ [TILES, 1])[row])
            columns["fold"].append(folds_of(specimen)[row])
            n_grains += len(specimen)
            # the record is linear in what is found
            ends = [
                seen_probability(value, part.turned, n_planes, part.rates, part.frequency).numpy()
                for value in (torch.zeros(part.found.shape), torch.ones(part.found.shape))
            ]
            floor.append(ends[0][row, token])
            gain.append((ends[1] - ends[0])[row, token])
        whole = {name: np.concatenate(values) for name, values in columns.items()}
        return cls(link=Observation(np.concatenate(gain), np.concatenate(floor)), **whole)

    @property
    def fewest(self) -> int:
        """Number of footprints or of absences, whichever is smaller."""
        return int(min(self.y.sum(), (1 - self.y).sum()))

    def trees(self, growth: Growth, rows: NDArray | None = None) -> tuple[Tree, ...]:
        """Grown on some rows, or on all."""
        rows = np.arange(len(self.y)) if rows is None else rows
        return boosted(self.z[rows], self.y[rows], self.log_odds[rows], self.link.of(rows), growth)


def folds_of(specimen: Specimen) -> NDArray:
    """(G,) fold of every grain, 0 to TILES - 1; tiles of a fold lie apart."""
    return (specimen.tiles() @ [1, 2]) % TILES


def learn(
    told: Sequence[Told],
    without: Callable[[int], Sequence[Told]],
    *,
    numerics: Numerics,
    seed: int,
    forced: bool = False,
) -> tuple[Correction, pd.DataFrame]:
    """Trees and strengths of every mechanism, and the evidence behind them.

    Parameters
    ----------
    told : by the law that has seen all labels; without : the same by one that has not seen those of a fold
    forced : every mechanism with a footprint speaks at strength 1, whatever held-out records say

    Returns
    -------
    Correction, DataFrame of EVIDENCE: strength that speaks (0: shut), held-out gain at strength 1/2 with its
    standard error, how many errors it must exceed, and the strength of largest gain
    """
    names = tuple(n for n in told[0].inputs.names if all(n in part.inputs.names for part in told))
    groups = dict(zip(told[0].inputs.names, told[0].inputs.groups, strict=True))
    pairs = {m: Pairs.of(told, names, m) for m in MECHANISMS}
    least = 1 if forced else numerics.least_footprints
    asked = [m for m, p in pairs.items() if p.fewest >= least]
    growth = Growth(
        trees=numerics.trees,
        depth=numerics.tree_depth,
        rate=numerics.tree_rate,
        prior_pairs=numerics.prior_pairs,
        leaf_pairs=numerics.leaf_pairs,
        seed=seed,
    )
    blind = [without(fold) for fold in range(TILES)] if asked and not forced else []
    rows = []
    for mechanism, part in pairs.items():
        row: dict[str, Any] = dict.fromkeys(EVIDENCE, np.nan)
        row |= {"mechanism": mechanism, "footprints": int(part.y.sum())}
        row |= {"strength": 0.0, "verdict": "too few footprints"}
        if mechanism in asked and forced:
            row |= {"strength": 1.0, "verdict": "open, as asked"}
        elif mechanism in asked:
            by_fold = [Pairs.of(one, names, mechanism) for one in blind]
            row |= judged(by_fold, growth, numerics.gate_level / len(asked))
        rows.append(row)
    evidence = pd.DataFrame(rows, columns=list(EVIDENCE))
    strength = {row["mechanism"]: row["strength"] for row in rows if row["strength"] > 0}
    if not strength:
        return Correction(), evidence
    flat = np.concatenate([part.inputs.select(names).reshape(-1, len(names)) for part in told])
    usual = np.nan_to_num(np.nanmedian(flat, axis=0))
    trees = {m: pairs[m].trees(growth) for m in strength}
    return Correction(names, tuple(groups[n] for n in names), usual, strength, trees), evidence


def judged(by_fold: Sequence[Pairs], growth: Growth, level: float) -> dict[str, Any]:
    """The row of EVIDENCE of one mechanism.

    Parameters
    ----------
    by_fold : the records, with the law that has not seen those of the fold, in the order of the folds
    """
    gains: list[NDArray] = []
    tiles: list[NDArray] = []
    grains: list[NDArray] = []
    for fold, pairs in enumerate(by_fold):
        known, held = np.flatnonzero(pairs.fold != fold), np.flatnonzero(pairs.fold == fold)
        if not len(held) or not pairs.y[known].any():
            continue
        moved = np.outer((0.0, *STRENGTHS), summed(pairs.trees(growth, known), pairs.z[held]))
        scores = [pairs.link.of(held).log_likelihood(pairs.y[held], pairs.log_odds[held] + m) for m in moved]
        gains.append(np.array(scores[1:]) - scores[0])
        tiles.append(pairs.tile[held])
        grains.append(pairs.grain[held])
    if not gains:  # all footprints lie in one fold
        return {"verdict": "too few footprints"}
    gain, tile, grain = np.concatenate(gains, axis=1), np.concatenate(tiles), np.concatenate(grains)
    half = gain[STRENGTHS.index(JUDGED)]
    error = max(_error_of_sum(half, tile), _error_of_sum(half, grain))
    needed = float(student.ppf(1 - level, max(len(np.unique(tile)) - 1, 1)))
    is_open = bool(half.sum() > needed * error)
    best = STRENGTHS[int(gain.sum(1).argmax())]
    return {
        "strength": best if is_open else 0.0,
        "best": best,
        "gain_nats": float(half.sum()),
        "error_nats": error,
        "needed": needed,
        "verdict": "open" if is_open else "shut: no gain beyond noise on held-out tiles",
    }


def _error_of_sum(values: NDArray, group: NDArray) -> float:
    """Standard error of the sum of ``values`` (M,), groups independent; infinite for a single group."""
    _, where = np.unique(group, return_inverse=True)
    sums = np.bincount(where, values)
    return float(sums.std(ddof=1) * len(sums) ** 0.5) if len(sums) > 1 else np.inf
