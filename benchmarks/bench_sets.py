"""Prediction sets on virtual specimens, for new blocks and for new specimens: `tasks.py bench --suite sets`.

Run: python -m benchmarks.bench_sets [part ...] [quick].

| part | question | sets calibrated on |
|---|---|---|
| blocks | a part of the map without labels | all other blocks of the same specimen |
| transfers | a specimen without labels, from one that has some | blocks of the other, held out |
| several | the same, from all other specimens of the material | one model's predictions of each |
| scores | which score gives the smallest sets? | the truth: the threshold that holds 90 % of the active |
| factory | new specimens of a material, strengths of their own | the others, by a model of another half |

Every line has the share of the (real) footprints and of what was truly active inside the sets, with the mean
number of targets in a set and its share of all. Sets that every trace calibrates, spurious or not and its
candidates by angle alone, stand beside ("angle"); in `transfers` also those that use the new specimen's own
labels ("own blocks").

The coupled model has scheme "affine" and no residual: sets are about what its probabilities leave open, and
any model will do. Needs the generator's folders under $CPML_REFERENCE/virtual, and `factory` a folder of
simulated specimens in $CPML_FACTORY. Writes into reports/comparison/metrics.json.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.virtual_specimens import VirtualSpecimen, load_virtual
from cpml import models, paths
from cpml.evaluation import Labelled, Splits, blocked_folds, conformal_sets, predict_sets, set_coverage
from cpml.evaluation.conformal import SCORES, with_score
from cpml.files import merge_json

BLOCKS = ("mg_hcp_A", "mg_hcp_B", "mg_hcp_G", "mg_deep_A", "ti_hcp_A", "ni_fcc_A", "ni_deep_A")
TRANSFERS = (  # labelled, new
    ("mg_hcp_A", "mg_hcp_B"),
    ("mg_hcp_B", "mg_hcp_A"),
    ("mg_hcp_A", "mg_hcp_G"),
    ("mg_hcp_A", "mg_deep_A"),
    ("ni_fcc_A", "ni_deep_A"),
)
SEVERAL = ("mg_hcp_A", "mg_hcp_B", "mg_hcp_G", "mg_deep_A")
PARTITIONS = ((4, 4), (5, 4), (4, 5))  # blocks along x and y
HOW = ("posterior", "angle")
LEVEL = 0.9
FEWEST = 4  # specimens of a material that the factory's part takes
SHOWN = (
    *("mechanism", "new", "labelled", "how", "coverage", "coverage_active", "low", "high"),
    *("set_size", "set_share", "n_footprints", "n_real", "n_active"),
)


def main(
    parts: Iterable[str] = ("blocks", "transfers", "several", "scores", "factory"), *, quick=False
) -> None:
    """Print the tables of the parts and write their means."""
    metrics: dict[str, float] = {}
    for part in parts:
        table = PARTS[part](quick=quick)
        if table.empty:
            continue
        print(f"\n{part}")
        print(table[[c for c in SHOWN if c in table]].round(3).to_string(index=False))
        metrics |= summary(part, table)
    if metrics:
        merge_json(paths.reports("comparison") / "metrics.json", metrics, replaces=("sets_",))


def summary(part: str, table: pd.DataFrame) -> dict[str, float]:
    """Means over the lines of a part by mechanism and kind of sets, printed and as flat names."""
    names = [c for c in ("coverage", "coverage_active", "set_share") if c in table]
    means = table.groupby(["mechanism", "how"], sort=False)[names].mean()
    print(means.round(3).to_string())
    return {
        f"sets_{part}_{mechanism}_{how.replace(' ', '_')}_{name}": value
        for (mechanism, how), row in means.iterrows()
        for name, value in row.items()
    }


def new_model() -> models.CoupledClassifier:
    """The model whose probabilities become sets."""
    return models.CoupledClassifier(scheme="affine", residual=False)


@cache
def virtual(name: str) -> VirtualSpecimen:
    """A specimen of the generator."""
    return load_virtual(Path(os.environ["CPML_REFERENCE"]) / "virtual" / name)


@cache
def held_out(name: str, number: int = 0) -> tuple[pd.DataFrame, Splits]:
    """Predictions of a specimen's grains by models that know neither them nor their neighbours."""
    specimen = virtual(name).specimen
    pairs = pd.DataFrame(specimen.grain_ids[specimen.neighbours], columns=["grain_a", "grain_b"])
    splits = blocked_folds(specimen.grains, pairs, blocks=PARTITIONS[number], seed=number)
    return models.cross_validate([new_model()], specimen, splits), splits


@cache
def fitted(name: str) -> models.CoupledClassifier:
    """The model of one specimen."""
    return new_model().fit([virtual(name).specimen])


@cache
def transferred(source: str, name: str) -> pd.DataFrame:
    """Predictions of a specimen by the model of another one."""
    return fitted(source).predict(virtual(name).specimen.with_labels_of([]))


def labelled(source: str, name: str) -> Labelled:
    """A specimen with labels, predicted by the model of ``source``, or, where it is that one, held out."""
    specimen = virtual(name).specimen
    predictions, splits = held_out(name)
    if source != name:
        predictions = transferred(source, name)
    return Labelled(predictions, specimen.labels, specimen.candidates, splits)


def blocks(*, quick: bool) -> pd.DataFrame:
    """Every block of a specimen from all others, over partitions."""
    lines = []
    for name in BLOCKS[: 1 if quick else None]:
        for number in range(1 if quick else len(PARTITIONS)):
            predictions, splits = held_out(name, number)
            lines += [t.assign(how=how) for how, t in _by_own_blocks(virtual(name), predictions, splits)]
    return pd.concat(lines, ignore_index=True)


def _by_own_blocks(
    one: VirtualSpecimen, predictions: pd.DataFrame, splits: Splits
) -> Iterator[tuple[str, pd.DataFrame]]:
    specimen = one.specimen
    for how in HOW:
        found = conformal_sets(
            predictions, specimen.labels, specimen.candidates, splits=splits, truth=one.truth, ambiguous=how
        )
        yield how, found.table.assign(new=specimen.name)


def transfers(*, quick: bool) -> pd.DataFrame:
    """A specimen without labels from one that has some."""
    lines = []
    for source, name in TRANSFERS[: 1 if quick else None]:
        lines += of_new([labelled(source, source)], transferred(source, name), virtual(name), source)
        own = _by_own_blocks(virtual(name), transferred(source, name), held_out(name)[1])
        lines += [t.assign(how=f"own blocks {how}", labelled="itself") for how, t in own]
    return pd.concat(lines, ignore_index=True)


def several(*, quick: bool) -> pd.DataFrame:
    """Each specimen of a material from all others, by the model of each of these in turn."""
    lines = []
    for source, name in permutations(SEVERAL[: 3 if quick else None], 2):
        others = [labelled(source, other) for other in SEVERAL if other != name]
        lines += of_new(others, transferred(source, name), virtual(name), f"all others, by {source}")
    return pd.concat(lines, ignore_index=True)


def of_new(
    calibrating: Sequence[Labelled], predictions: pd.DataFrame, new: VirtualSpecimen, name: str
) -> list[pd.DataFrame]:
    """Sets of a specimen without labels, scored by its labels and truth."""
    lines, specimen = [], new.specimen
    for how in HOW:
        rows = predict_sets(calibrating, predictions, level=LEVEL, ambiguous=how).rows
        found = set_coverage(
            rows, specimen.labels, specimen.candidates, splits=new.splits, truth=new.truth, n_boot=200
        )
        lines.append(found.table.assign(new=specimen.name, labelled=name, how=how))
    return lines


def scores(*, quick: bool) -> pd.DataFrame:
    """Size of the sets that hold LEVEL of what was active, score by score, in the grains with anything
    active; threshold by the truth.
    """
    lines = []
    for source, name in TRANSFERS[: 1 if quick else None]:
        for mechanism, own in transferred(source, name).groupby("mechanism", sort=False):
            truth = virtual(name).truth
            happened = (truth["observed"] == 1) & (truth["mechanism"] == mechanism)
            active = truth.loc[happened, ["grain_id", "mechanism", "target"]]
            for score in SCORES:
                scored = with_score(own[own["grain_id"].isin(active["grain_id"])], score)
                surprise = scored.merge(active, on=["grain_id", "mechanism", "target"])["score"]
                limit = np.quantile(surprise, LEVEL, method="higher")
                inside = (scored["score"] <= limit).groupby(scored["grain_id"])
                about = {"mechanism": mechanism, "new": name, "labelled": source, "how": score}
                sizes = {"set_size": inside.sum().mean(), "set_share": inside.mean().mean()}
                lines.append(about | sizes | {"n_active": len(surprise)})
    return pd.DataFrame(lines)


def factory(*, quick: bool) -> pd.DataFrame:
    """New specimens of simulated materials: a model of one half, sets of each of the other half from the rest
    of that half.
    """
    folder = os.environ.get("CPML_FACTORY")
    if not folder:
        print("factory specimens not found: set CPML_FACTORY to a folder of simulated data sets")
        return pd.DataFrame()
    from benchmarks.factory_specimens import load_factory

    by_material: dict[str, list[VirtualSpecimen]] = {}
    for file in sorted(Path(folder).glob("*/dataset.yml")):
        one = load_factory(file.parent)
        by_material.setdefault(one.specimen.material.name, []).append(one)
    lines = []
    for everyone in by_material.values():
        if len(everyone) >= FEWEST:
            halves = everyone[::2], everyone[1::2]
            for training, tested in (halves, halves[::-1])[: 1 if quick else None]:
                lines += _from_each_other(training, tested)
    return pd.concat(lines, ignore_index=True) if lines else pd.DataFrame()


def _from_each_other(training: list[VirtualSpecimen], tested: list[VirtualSpecimen]) -> list[pd.DataFrame]:
    model, lines = new_model().fit([one.specimen for one in training]), []
    answers = [model.predict(one.specimen.with_labels_of([])) for one in tested]
    for number, new in enumerate(tested):
        others = [
            Labelled(p, one.specimen.labels, one.specimen.candidates, one.splits)
            for p, one in zip(answers, tested, strict=True)
            if one is not new
        ]
        lines += of_new(others, answers[number], new, f"{len(others)} others")
    return lines


PARTS = {
    "blocks": blocks,
    "transfers": transfers,
    "several": several,
    "scores": scores,
    "factory": factory,
}

if __name__ == "__main__":
    asked = [a for a in sys.argv[1:] if a != "quick"]
    main(asked or tuple(PARTS), quick="quick" in sys.argv[1:])
