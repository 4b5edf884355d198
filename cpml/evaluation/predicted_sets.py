"""Prediction sets for a specimen that has no labels, from specimens that have some.

The threshold is the level-quantile of the scores of what was seen on the labelled specimens, each specimen
with the same mass, its blocks sharing it and the footprints of a block sharing that (two layers: Dunn,
Wasserman & Ramdas 2022). The promise is on average over new specimens that are to the labelled ones what
these are to each other: the unit is the specimen, and 90 % takes nine of them. With fewer, blocks stand in
for specimens, as if specimens differed no more than blocks of one do; the table says so (``unit``) and, from
two specimens on, how the sets of each would have done that were calibrated on the others
(``across_low``, ``across_high``). Fewer blocks than that, and the sets are everything.

The scores of the labelled specimens must come about as those of the new one do: predicted by a model that has
not seen the footprints it is scored by. Out-of-fold predictions are right for one labelled specimen; with
several, predict each by a model of the others, and what differs between specimens widens the sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.errors import ParameterError
from cpml.evaluation.conformal import (
    FEWEST_REAL,
    ConformalSets,
    check_options,
    coverage_by_block,
    coverage_summary,
    needed_blocks,
    source_weights,
    weighted_quantile,
    with_score,
)
from cpml.evaluation.sources import Shown
from cpml.evaluation.splits import Splits

KEYS = ["model", "mechanism"]
NEW_COLUMNS = (
    *("model", "mechanism", "threshold", "unit", "n_specimens", "n_blocks", "n_footprints", "n_real"),
    *("across_low", "across_high", "set_size", "set_share", "n_targets", "sets"),
)


@dataclass(frozen=True, eq=False)
class Labelled:
    """A specimen that calibrates.

    Attributes
    ----------
    predictions : model, grain_id, mechanism, target, p[, family] by models that have not seen its footprints
    labels : grain_id, mechanism, target, observed
    candidates : trace_id, grain_id, mechanism, target, probability[, likelihood]; None: no traces
    splits : gives the block of each grain
    """

    predictions: pd.DataFrame
    labels: pd.DataFrame
    candidates: pd.DataFrame | None
    splits: Splits


@dataclass(frozen=True)
class PredictedSets:
    """Sets of a specimen without labels.

    Attributes
    ----------
    rows : its predictions with score, threshold and in_set
    table : model, mechanism, threshold, unit ("specimen", "block" or "" where sets are everything),
        n_specimens, n_blocks, n_footprints and n_real (expected number that are not spurious) behind the
        threshold, across_low and across_high (least and greatest coverage of a labelled specimen by the
        others' threshold; NaN for one), set_size and set_share (mean over all grains; of all targets),
        n_targets, sets ("calibrated ...", or why they are everything)
    """

    rows: pd.DataFrame
    table: pd.DataFrame


def predict_sets(
    labelled: Labelled | Sequence[Labelled],
    new: pd.DataFrame,
    *,
    level: float = 0.9,
    ambiguous: str = "posterior",
    score: str = "ratio",
) -> PredictedSets:
    """Sets of every grain of a specimen without labels that hold ``level`` of its footprints.

    Parameters
    ----------
    labelled : specimens of the same material
    new : predictions of the new specimen: model, grain_id, mechanism, target, p[, family]; models and
        mechanisms that no labelled specimen has get sets of everything
    ambiguous, score : as in :func:`cpml.evaluation.conformal_sets`

    Raises
    ------
    ParameterError : no labelled specimen, or options that `conformal_sets` refuses
    """
    check_options(level, ambiguous, score)
    labelled = [labelled] if isinstance(labelled, Labelled) else list(labelled)
    if not labelled:
        raise ParameterError("predict_sets needs at least one labelled specimen to calibrate on")
    rows, table = [], []
    for (model, mechanism), own in new.groupby(KEYS, sort=False):
        own = with_score(own, score)
        scored = _Scores.of(labelled, own, ambiguous, score)
        limit, unit, said = scored.threshold(level)
        own = own.assign(threshold=limit)
        own["in_set"] = own["score"] <= limit
        size = own.groupby("grain_id")["in_set"].sum().mean()
        n_targets = own.groupby("grain_id")["target"].size().mean()
        low, high = scored.across(level)
        counts = (len(scored.specimens), scored.n_blocks, len(scored.shown), float(scored.weight.sum()))
        line = (model, mechanism, limit, unit, *counts, low, high, size, size / n_targets, n_targets, said)
        rows.append(own)
        table.append(line)
    if not rows:
        nothing = new.iloc[:0].assign(score=np.nan, threshold=np.nan, in_set=False)
        return PredictedSets(nothing, pd.DataFrame(columns=list(NEW_COLUMNS)))
    return PredictedSets(pd.concat(rows, ignore_index=True), pd.DataFrame(table, columns=list(NEW_COLUMNS)))


def set_coverage(
    rows: pd.DataFrame,
    labels: pd.DataFrame,
    candidates: pd.DataFrame | None = None,
    *,
    splits: Splits,
    truth: pd.DataFrame | None = None,
    ambiguous: str = "posterior",
    level: float = 0.9,
    n_boot: int = 200,
    seed: int = 0,
) -> ConformalSets:
    """How sets did, once it is known what was seen (and what was active): `ConformalSets` of given rows.

    Parameters
    ----------
    rows : model, grain_id, mechanism, target, p, score, in_set
    labels, candidates, splits, truth, ambiguous : of the same specimen, as in
        :func:`cpml.evaluation.conformal_sets`
    level : of the interval over resampled blocks
    """
    block = splits.table.set_index("grain_id")["block"]
    blocks, table = [], []
    for (model, mechanism), own in rows.groupby(KEYS, sort=False):
        own = own[own["grain_id"].isin(block.index)]
        shown = Shown.of(own, labels, candidates)
        if not shown.angle.any():
            continue
        weight = source_weights(shown, "posterior" if ambiguous == "posterior" else "angle")
        per_block = coverage_by_block(own, shown, weight, block, truth)
        about = {"model": model, "mechanism": mechanism}
        blocks.append(per_block.assign(**about))
        table.append(about | coverage_summary(per_block, own, level=level, n_boot=n_boot, seed=seed))
    together = pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame()
    return ConformalSets(rows, together, pd.DataFrame(table))


@dataclass(frozen=True, eq=False)
class _Scores:
    """Scores of all labelled specimens for one model and mechanism.

    ``weight`` (J, T) of every candidate, ``specimen`` (J,) and ``block`` (J,; numbered through all specimens)
    """

    shown: Shown
    weight: NDArray
    specimen: NDArray
    block: NDArray

    @classmethod
    def of(cls, labelled: Sequence[Labelled], own: pd.DataFrame, ambiguous: str, score: str) -> "_Scores":
        parts, specimens, blocks, n_blocks = [], [], [], 0
        for number, one in enumerate(labelled):
            block = one.splits.table.set_index("grain_id")["block"]
            theirs = one.predictions
            mine = (theirs["model"] == own["model"].iloc[0]) & (
                theirs["mechanism"] == own["mechanism"].iloc[0]
            )
            theirs = theirs[mine & theirs["grain_id"].isin(block.index)]
            if theirs.empty:
                continue
            shown = Shown.of(with_score(theirs, score), one.labels, one.candidates, named=own)
            code, names = pd.factorize(block[shown.grain_id])
            parts.append(shown)
            specimens.append(np.full(len(shown), number))
            blocks.append(code + n_blocks)
            n_blocks += len(names)
        if not parts:
            nothing = Shown.of(own, own.iloc[:0].assign(observed=0.0), None)
            return cls(nothing, np.zeros_like(nothing.angle), np.zeros(0, int), np.zeros(0, int))
        shown = Shown.joined(parts)
        return cls(shown, source_weights(shown, ambiguous), np.concatenate(specimens), np.concatenate(blocks))

    @property
    def specimens(self) -> NDArray:
        """Those that hold a footprint."""
        return self._holding(self.specimen)

    @property
    def n_blocks(self) -> int:
        """Blocks that hold a footprint."""
        return len(self._holding(self.block))

    def _holding(self, unit: NDArray) -> NDArray:
        total = np.bincount(unit, weights=self.weight.sum(1)) if len(unit) else np.zeros(0)
        return np.flatnonzero(total >= FEWEST_REAL)

    def threshold(self, level: float) -> tuple[float, str, str]:
        """Threshold, the unit that supports it, and what to say of it."""
        need, n_specimens, n_blocks = needed_blocks(level), len(self.specimens), self.n_blocks
        if n_specimens >= need:
            return self._quantile(level), "specimen", f"calibrated on {n_specimens} specimens"
        counted = f"{n_blocks} blocks of {n_specimens} specimen{'s' if n_specimens != 1 else ''}"
        if n_blocks >= need:
            return self._quantile(level), "block", f"calibrated on {counted}, as if specimens were blocks"
        return np.inf, "", f"everything: {counted}, {need} needed for {level:.0%}"

    def _quantile(self, level: float, leave_out: int | None = None) -> float:
        """Each specimen with the same mass, each of its blocks with the same share of it."""
        kept = (
            np.flatnonzero(self.specimen != leave_out)
            if leave_out is not None
            else np.arange(len(self.block))
        )
        weight, block, specimen = self.weight[kept], self.block[kept], self.specimen[kept]
        by_block = np.bincount(block, weights=weight.sum(1))
        in_block = weight / np.maximum(by_block, 1.0)[block][:, None]
        by_specimen = np.bincount(specimen, weights=in_block.sum(1))
        mass = in_block / np.maximum(by_specimen, 1e-12)[specimen][:, None]
        return weighted_quantile(self.shown.score[kept].ravel(), mass.ravel(), level)

    def across(self, level: float) -> tuple[float, float]:
        """Least and greatest coverage of one specimen's footprints by the threshold of all others."""
        if len(self.specimens) < 2:
            return np.nan, np.nan
        covered = []
        for one in self.specimens:
            limit = self._quantile(level, leave_out=int(one))
            mine = self.specimen == one
            held = self.weight[mine] * (self.shown.score[mine] <= limit)
            covered.append(float(held.sum() / self.weight[mine].sum()))
        return min(covered), max(covered)
