"""Measured data sets over partitions: one dealing of the blocks of a small map is one throw of the dice.

Each data set must have been run up to chapter 03 (`tasks.py run --dataset NAME --until 03`). Planes and
variants are scored against recorded footprints as in notebook 05; rotations and strains of grains, where they
were measured, as in notebook 04, with blocks held out.
"""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from benchmarks.virtual_specimens import VirtualSpecimen
from cpml import evaluation, models
from cpml.errors import CpmlError
from cpml.models.protocol import Model
from cpml.models.specimen.specimen import Specimen
from cpml.pipeline import Run, specimen_of

DATASETS = ("ni-hrdic", "mg-twins", "copper-dic")
FEWEST = 10
"""Footprints of a mechanism below which nothing is said."""
MOTION = {"scheme": "auto", "residual": False, "n_draws": 32}


def load(name: str) -> tuple[Specimen, pd.DataFrame] | None:
    """Specimen and boundaries of a data set; None, and a line, where its chapters have not run."""
    try:
        run = Run("04_coupled_models", {"dataset": name})
        return specimen_of(run, motions=True, reports=True), run.read("boundaries")
    except CpmlError as error:
        print(f"{name}: {error}; python3 tasks.py run --dataset {name} --until 03")
        return None


def splits_of(specimen: Specimen, boundaries: pd.DataFrame, seed: int, *, shells: int, n_folds: int = 5):
    """Blocks, dealt by a seed."""
    return evaluation.blocked_folds(specimen.grains, boundaries, n_folds=n_folds, shells=shells, seed=seed)


def enough(specimen: Specimen) -> list[str]:
    """Mechanisms with footprints enough, and a line for each without."""
    seen = specimen.labels[specimen.labels["observed"] == 1]["mechanism"].value_counts()
    for mechanism in sorted(set(specimen.labels["mechanism"])):
        if seen.get(mechanism, 0) < FEWEST:
            print(f"{specimen.name}, {mechanism}: {seen.get(mechanism, 0)} footprints: not enough data")
    return [str(m) for m, n in seen.items() if n >= FEWEST]


def held_out(
    specimen: Specimen,
    boundaries: pd.DataFrame,
    everyone: Callable[[int], list[Model]],
    *,
    partitions: int,
    shells: int,
) -> list[tuple[pd.DataFrame, evaluation.Splits]]:
    """Predictions of mechanisms with footprints enough, in every partition."""
    runs, known = [], enough(specimen)
    for k in range(partitions if known else 0):
        splits = splits_of(specimen, boundaries, k, shells=shells)
        found = models.cross_validate(everyone(k), specimen, splits)
        runs.append((found[found["mechanism"].isin(known)], splits))
    return runs


def as_virtual(specimen: Specimen, splits: evaluation.Splits, mechanisms: list[str]) -> VirtualSpecimen:
    """A specimen without truth, for the tables of `bench_coupling`."""
    kept = specimen.labels["mechanism"].isin(mechanisms)
    labels = specimen.labels.assign(observed=specimen.labels["observed"].where(kept))
    nobody = pd.DataFrame(columns=["grain_id", "mechanism", "target", "observed", "amount"])
    return VirtualSpecimen(replace(specimen, labels=labels), splits, nobody, pd.DataFrame(), pd.Series())


def motions(specimen: Specimen, boundaries: pd.DataFrame, *, partitions: int, shells: int) -> pd.DataFrame:
    """Rank correlations of held-out rotations and strains, by component: means over partitions, and their
    range; no rows without any.
    """
    tables = []
    for k in range(partitions if specimen.motions is not None else 0):
        splits = splits_of(specimen, boundaries, k, shells=shells, n_folds=3)
        model = models.CoupledClassifier(**MOTION, seed=k)
        told = models.held_out_motions(model, specimen, splits)
        tables.append(models.motion_scores(told, specimen.motions, seed=k))
    if not tables:
        return pd.DataFrame()
    rows = pd.concat(tables).groupby("component", sort=False)
    shown = ["n_grains", "signal", "rank_correlation", "literature", "learned_gain", "coverage"]
    table = rows[shown].mean()
    return table.assign(
        lowest=rows["rank_correlation"].min(),
        highest=rows["rank_correlation"].max(),
        gain_low=rows["gain_low"].mean(),
        gain_high=rows["gain_high"].mean(),
    )
