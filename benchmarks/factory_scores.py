"""Many specimens at once: is F better than what is stacked on its mechanics, and are its probabilities true?

One partition of one specimen is a throw of the dice; over many specimens of other materials, textures, loads
and microscopes (`benchmarks.factory_specimens`) the mean is none, and probabilities can be checked by
counting. Of every specimen all models predict held-out blocks; every second map is a part of itself, cut as a
map is cut out of a sheet. Specimens are resampled, not grains: they are what differs. Of twins the truth
knows lamellae thinner than the map resolves, of which no footprint tells: they are judged by footprints.
Footprints are labels of planes whose own line would name them (`cpml.microscopy.scored_labels`), of variants
all; every model learns from the same.

| number | is |
|---|---|
| log_loss | nats per plane or variant, mean over specimens |
| gain | log-loss of a model less that of F: positive where F is better |
| ece | mean distance of frequency and probability, rows of all specimens pooled |
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.factory_specimens import load_factory, make
from benchmarks.virtual_specimens import WHOLE, VirtualSpecimen, Window, partition
from cpml import evaluation, models, paths
from cpml.errors import CpmlError
from cpml.evaluation import metrics
from cpml.evaluation.resampled import interval
from cpml.evaluation.scores import observed_with_predictions
from cpml.models.protocol import Model

F = "coupled"
CUT: Window = (0.0, 0.0, 0.75, 0.75)
RESAMPLES = 2000


@dataclass(frozen=True)
class Told:
    """One probability of every row of a model, with what happened."""

    specimen: str
    material: str
    against: str
    mechanism: str
    model: str
    y: np.ndarray
    p: np.ndarray

    @property
    def log_loss(self) -> float:
        """Mean over the rows, nats."""
        inside = np.clip(self.p, metrics.CLIP, 1 - metrics.CLIP)
        return float(-np.where(self.y == 1, np.log(inside), np.log1p(-inside)).mean())


def rivals(seed: int) -> list[Model]:
    """What F is compared with: no knowledge of grains, the rule of Schmid, three that know the physics."""
    return [
        models.FamilyShare(),
        models.SchmidFamily(),
        models.CrystalPlasticity("learned"),
        models.GradientBoosting("physics", seed=seed),
        models.GradientBoosting("learned", seed=seed),
    ]


def specimens(count: int) -> Iterator[VirtualSpecimen]:
    """The first seeds of the factory in $CPML_FACTORY, made where they are not there yet; every second one
    cut.
    """
    folder = Path(os.environ.get("CPML_FACTORY") or paths.derived("factory"))
    for seed in range(count):
        yield load_factory(make(folder, seed).parent, window=CUT if seed % 2 else WHOLE)


def factory(given: Iterable[VirtualSpecimen], everyone: Callable[[int], list[Model]]) -> dict[str, float]:
    """Print scores by model and by material; the numbers. An interrupt ends it with what there is.

    Parameters
    ----------
    everyone : models by seed, F among them
    """
    told: list[Told] = []
    try:
        for number, virtual in enumerate(given):
            told += _of_specimen(virtual, number, everyone)
    except KeyboardInterrupt:
        print("stopped: what there is so far")
    return report(told) if told else {}


def _of_specimen(virtual: VirtualSpecimen, number: int, everyone: Callable[[int], list[Model]]) -> list[Told]:
    """Held-out answers of one partition; none, and a line, where a model cannot be fitted."""
    try:
        found = models.cross_validate(everyone(number), virtual.specimen, partition(virtual, number))
    except CpmlError as error:
        print(f"{virtual.specimen.name}: {error}", flush=True)
        return []
    told = list(_told(virtual, found))
    print(f"{virtual.specimen.name} {len(virtual.specimen.grain_ids)} grains: {_line(told)}", flush=True)
    return told


def _told(virtual: VirtualSpecimen, predictions: pd.DataFrame) -> Iterator[Told]:
    specimen = virtual.specimen
    answers = {
        "truth": (evaluation.active(predictions), virtual.truth),
        "footprints": (predictions, specimen.scored_labels),
    }
    for against, (answer, labels) in answers.items():
        known = labels[labels["grain_id"].isin(answer["grain_id"]) & labels["observed"].notna()]
        for (mechanism, model), own in answer.groupby(["mechanism", "model"], sort=False):
            rows = observed_with_predictions(own, known[known["mechanism"] == mechanism])
            if len(rows):
                y, p = rows["observed"].to_numpy(), rows["p"].to_numpy()
                yield Told(specimen.name, specimen.material.name, against, mechanism, model, y, p)


def report(told: list[Told]) -> dict[str, float]:
    """Tables of all specimens, and of every material."""
    rows = pd.DataFrame([{**vars(t), "log_loss": t.log_loss} for t in told])
    numbers: dict[str, float] = {}
    for (against, mechanism), part in rows.groupby(["against", "mechanism"], sort=False):
        losses = part.pivot_table(
            index=["material", "specimen"], columns="model", values="log_loss", sort=False
        )
        gains = losses.sub(losses[F], axis=0)
        table = pd.DataFrame(
            {"log_loss": losses.mean(), "gain": gains.mean()} | _ends(gains) | {"ece": _errors(part)}
        )
        print(f"\nfactory, {mechanism} against {against}, {len(losses)} specimens")
        print(table.round(4).to_string())
        by_material = gains.groupby("material").mean().assign(specimens=losses.groupby("material").size())
        print(by_material.round(4).to_string(), flush=True)
        for model, row in table.iterrows():
            numbers |= {f"{against}_{mechanism}_{model}_{k}": float(v) for k, v in row.items()}
        numbers[f"{against}_{mechanism}_specimens"] = float(len(losses))
    return numbers


def _ends(gains: pd.DataFrame) -> dict[str, pd.Series]:
    """90 % interval of the mean gains over resampled specimens."""
    drawn = np.random.default_rng(0).integers(len(gains), size=(RESAMPLES, len(gains)))
    low, high = interval(gains.to_numpy()[drawn].mean(1))
    return {"low": pd.Series(low, gains.columns), "high": pd.Series(high, gains.columns)}


def _errors(part: pd.DataFrame) -> pd.Series:
    """Calibration error of every model, its rows of all specimens together."""
    return pd.Series(
        {
            model: float(
                metrics.calibration_error(np.concatenate(list(own["y"])), np.concatenate(list(own["p"])))[0]
            )
            for model, own in part.groupby("model", sort=False)
        }
    )


def _line(told: list[Told]) -> str:
    """Log-losses against the truth of F, and of the best other model."""
    words = []
    for mechanism in dict.fromkeys(t.mechanism for t in told):
        own = {t.model: t.log_loss for t in told if (t.mechanism, t.against) == (mechanism, "truth")}
        if F in own:
            best = min((m for m in own if m != F), key=lambda m: own[m], default=F)
            words.append(f"{mechanism} {own[F]:.3f}, {best} {own[best]:.3f}")
    return "; ".join(words)
