"""f_ap: what footprints teach beyond the law, as a correction of its log odds, and whether it may speak.

    a' = sigmoid(logit a + s_m f_m(z)),     p' = (1 - rho) d a' + rho chance

a is the law's probability that a token is active, f_m boosted trees of one mechanism m (slip, twin) on the
inputs z of `correction_inputs`, s_m in {0, 1/4, 1/2, 1} how far they are believed. Strengths and stresses
stay the law's: they are learned before, and alone, so that the correction cannot explain away a strength.

s_m is chosen by records that the trees have not seen. The maps are cut into tiles; trees of all other folds
predict the tiles of one, and the gain in log-likelihood is summed over tiles and over grains. A mechanism
speaks with the strength of largest gain, if that exceeds its standard error (the larger of the two) by
Student's quantile at `Numerics.gate_level`, divided by the number of strengths and mechanisms that were
tried; with too few footprints nothing is tried. Otherwise s_m = 0, and F is the law exactly. The law itself
is not fitted again without each fold: its few parameters hardly notice a tile.

Activity in every draw k of the grain's stress moves with the mean, so that what happens together stays
together:

    a'_k = a_k a' / a  where a' < a,      1 - a'_k = (1 - a_k) (1 - a') / (1 - a)  elsewhere

and shear moves with activity: a factor e^x in the odds is one of e^(x / beta) in the shear that the visible
limit sees, so shares are multiplied by that, and the grain's total stays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

from cpml.models.coupled.boosting import Growth, Observation, Tree, boosted, contributions, summed
from cpml.models.coupled.correction_inputs import Inputs, log_odds
from cpml.models.coupled.likelihood import Detection
from cpml.models.numerics import Numerics
from cpml.models.specimen.specimen import TILES, Specimen

MECHANISMS = ("slip", "twin")
STRENGTHS = (0.25, 0.5, 1.0)
GROUPS = ("law", "stress", "neighbours", "grain", "family")
EVIDENCE = ("mechanism", "footprints", "strength", "tried", "gain_nats", "error_nats", "needed", "verdict")


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
class Pairs:
    """Records of one mechanism: all (grain, token) pairs that somebody could tell, over all specimens."""

    z: NDArray  # (M, F)
    y: NDArray  # (M,) 0 or 1
    log_odds: NDArray  # (M,) of the law
    link: Observation
    grain: NDArray  # (M,) numbered over all specimens
    tile: NDArray  # (M,) likewise
    fold: NDArray  # (M,)


@dataclass(frozen=True)
class Told:
    """One training specimen with what the law says of it."""

    specimen: Specimen
    inputs: Inputs
    active: NDArray  # (G, T) mean over the draws


def learn(
    told: Sequence[Told],
    rates: Detection,
    frequency: tuple[float, float],
    *,
    numerics: Numerics,
    seed: int,
    forced: bool = False,
) -> tuple[Correction, pd.DataFrame]:
    """Trees and strengths of every mechanism, and the evidence behind them.

    Parameters
    ----------
    rates, frequency : of the observation model, as `likelihood.seen_probability` takes them
    forced : every mechanism with a footprint speaks at strength 1, whatever held-out records say

    Returns
    -------
    Correction, DataFrame of EVIDENCE: strength that speaks (0: shut), the strength of largest held-out gain,
    that gain with its standard error, and how many errors it must exceed
    """
    names = tuple(n for n in told[0].inputs.names if all(n in part.inputs.names for part in told))
    groups = dict(zip(told[0].inputs.names, told[0].inputs.groups, strict=True))
    pairs = {m: _pairs(told, names, m, rates, frequency) for m in MECHANISMS}
    least = 1 if forced else numerics.least_footprints
    asked = [m for m, p in pairs.items() if p.y.sum() >= least and (1 - p.y).sum() >= least]
    growth = Growth(
        trees=numerics.trees,
        depth=numerics.tree_depth,
        rate=numerics.tree_rate,
        prior_pairs=numerics.prior_pairs,
        leaf_pairs=numerics.leaf_pairs,
        seed=seed,
    )
    rows = []
    for mechanism, part in pairs.items():
        row = dict.fromkeys(EVIDENCE, np.nan) | {"mechanism": mechanism, "footprints": int(part.y.sum())}
        row |= {"strength": 0.0, "verdict": "too few footprints"}
        if mechanism in asked and forced:
            row |= {"strength": 1.0, "verdict": "open, as asked"}
        elif mechanism in asked:
            row |= _judged(part, growth, numerics.gate_level / (len(STRENGTHS) * len(asked)))
        rows.append(row)
    evidence = pd.DataFrame(rows, columns=list(EVIDENCE))
    strength = {row["mechanism"]: row["strength"] for row in rows if row["strength"] > 0}
    if not strength:
        return Correction(), evidence
    usual = np.nan_to_num(np.nanmedian(np.concatenate([_flat(part, names) for part in told]), axis=0))
    trees = {m: boosted(p.z, p.y, p.log_odds, p.link, growth) for m in strength if (p := pairs[m])}
    return Correction(names, tuple(groups[n] for n in names), usual, strength, trees), evidence


def _judged(pairs: Pairs, growth: Growth, level: float) -> dict[str, Any]:
    """The row of EVIDENCE of one mechanism by records that the trees have not seen."""
    moved = np.zeros(len(pairs.y))
    for fold in np.unique(pairs.fold):
        known, held = np.flatnonzero(pairs.fold != fold), np.flatnonzero(pairs.fold == fold)
        if pairs.y[known].any():
            trees = boosted(
                pairs.z[known], pairs.y[known], pairs.log_odds[known], pairs.link.of(known), growth
            )
            moved[held] = summed(trees, pairs.z[held])
    law = pairs.link.log_likelihood(pairs.y, pairs.log_odds)
    best = {"tried": np.nan, "gain_nats": -np.inf, "error_nats": np.nan}
    for strength in STRENGTHS:
        gain = pairs.link.log_likelihood(pairs.y, pairs.log_odds + strength * moved) - law
        error = max(_error_of_sum(gain, pairs.tile), _error_of_sum(gain, pairs.grain))
        if gain.sum() > best["gain_nats"]:
            best = {"tried": strength, "gain_nats": float(gain.sum()), "error_nats": error}
    needed = float(student.ppf(1 - level, max(len(np.unique(pairs.tile)) - 1, 1)))
    is_open = best["gain_nats"] > needed * best["error_nats"]
    verdict = "open" if is_open else "shut: no gain beyond noise on held-out tiles"
    return best | {"needed": needed, "strength": best["tried"] if is_open else 0.0, "verdict": verdict}


def _error_of_sum(values: NDArray, group: NDArray) -> float:
    """Standard error of the sum of ``values`` (M,), groups independent; infinite for a single group."""
    _, where = np.unique(group, return_inverse=True)
    sums = np.bincount(where, values)
    return float(sums.std(ddof=1) * len(sums) ** 0.5) if len(sums) > 1 else np.inf


def _flat(part: Told, names: tuple[str, ...]) -> NDArray:
    return part.inputs.select(names).reshape(-1, len(names))


def _pairs(
    told: Sequence[Told],
    names: tuple[str, ...],
    mechanism: str,
    rates: Detection,
    frequency: tuple[float, float],
) -> Pairs:
    detection = float(rates.detection) if mechanism == "slip" else 1.0
    gain, chance = (1 - float(rates.outlier)) * detection, frequency[MECHANISMS.index(mechanism)]
    columns: dict[str, list[NDArray]] = {k: [] for k in ("z", "y", "log_odds", "grain", "tile", "fold")}
    n_grains = 0
    for number, part in enumerate(told):
        tokens = (part.specimen.tokens["mechanism"] == mechanism).to_numpy()
        y = part.specimen.observed
        row, token = np.nonzero(np.isfinite(y) & tokens)
        along = part.specimen.tiles()
        columns["z"].append(part.inputs.select(names)[row, token])
        columns["y"].append(y[row, token])
        columns["log_odds"].append(log_odds(part.active)[row, token])
        columns["grain"].append(n_grains + row)
        columns["tile"].append((number * TILES**2 + along @ [TILES, 1])[row])
        columns["fold"].append(((along @ [1, 2]) % TILES)[row])  # tiles of a fold lie apart
        n_grains += len(part.specimen)
    whole = {name: np.concatenate(values) for name, values in columns.items()}
    every = np.ones(len(whole["y"]))
    return Pairs(link=Observation(gain * every, float(rates.outlier) * chance * every), **whole)
