"""The coupled model beside its baselines on virtual specimens with known truth:
`tasks.py bench --suite coupling`.

Run: python benchmarks/bench_coupling.py [quick]. Trained on one specimen and tested on another of the same
material where there are two (magnesium A -> B), by spatial blocks with a buffer otherwise. Scores against
the public labels (what a microscope recorded) and against the truth (a plane is active above 1 % shear;
there the coupled model answers with its probability of being active, the others, which know no difference,
with that of being recorded), for planes and variants (slip, twin), families (slip_family, twin_family) and
whether a grain twins at all (twin_grain).

| part | question |
|---|---|
| every model | is the coupled one above every baseline? |
| coupled_quarter | with a quarter of the labels, is it no worse than the best baseline with all? |
| ablations | what each ingredient brings (magnesium A -> B) |

Needs the generator's folders under $CPML_REFERENCE/virtual. Writes into reports/comparison/metrics.json.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from benchmarks.hard_labels import pick_max_schmid
from benchmarks.virtual_specimens import load_virtual
from cpml import evaluation, models, paths
from cpml.files import merge_json
from cpml.models.protocol import Model

TESTS = (("mg_hcp_B", "mg_hcp_A"), ("ti_hcp_A", None), ("ni_fcc_A", None))
# active planes: Schmid rule, Schmid over true strengths, true grain stress over true strengths (the ceiling);
# from the generator's README, grains of at least 20 pixels
REFERENCE = {
    "mg_hcp_B": (0.344, 0.838, 0.951),
    "ti_hcp_A": (0.317, 0.743, 0.978),
    "ni_fcc_A": (0.908, 0.908, None),
}
AIM = {"mg_hcp_B": 0.90, "ti_hcp_A": 0.92}
SCORES = ["pr_auc", "pr_auc_low", "pr_auc_high", "log_loss", "brier", "top1"]
SHOWN = ["mechanism", "model", *SCORES, "prevalence", "n_grains"]
QUARTER = 0.25

# ingredients of the coupled model that can be left out or exchanged: name -> keywords of its constructor
FLAGS = {
    "no_latent_scatter": {"scatter": False},
    "no_residual": {"residual": False},
    "no_edges": {"edges": False},
    "free_surface": {"free_surface": True},
    "no_full_field": {"scheme": "affine"},
    "no_neighbours": {"scheme": "affine", "edges": False},
    "macroscopic_stress": {"scheme": "sachs", "edges": False, "scatter": False},
}
ABLATED = "mg_hcp_B"  # specimen on which ablations are scored


@dataclass(repr=False, eq=False)
class Changed(BaseEstimator):
    """A model that sees changed specimens: fewer labels, hard labels, other neighbours."""

    model: Model
    name: str
    training: Callable = lambda specimen: specimen
    always: Callable = lambda specimen: specimen

    def fit(self, specimens):
        """Fit on the changed specimens."""
        self.model.fit([self.training(self.always(s)) for s in specimens])
        return self

    def predict(self, specimen):
        """Predictions under the name of this variant."""
        return self.model.predict(self.always(specimen)).assign(model=self.name)


def quarter_of_labels(specimen):
    """Labels of a random quarter of the labelled grains."""
    known = np.unique(specimen.labels.loc[specimen.labels["observed"].notna(), "grain_id"])
    kept = np.random.default_rng(0).permutation(known)[: max(int(QUARTER * len(known)), 1)]
    return specimen.with_labels_of(kept)


def with_shuffled_neighbours(specimen, *, seed: int = 0):
    """The specimen with its grains at each other's places: same crystals and
    labels, somebody else's neighbours.

    What a model gains from the true neighbourhood is its score here less its score there.
    """
    place = np.random.default_rng(seed).permutation(len(specimen))
    raster = None if specimen.raster is None else place[specimen.raster]
    return replace(specimen, raster=raster, neighbours=place[specimen.neighbours])


def main(*, full: bool = True) -> None:
    """Print tables for each test specimen and write the metrics."""
    root = os.environ.get("CPML_REFERENCE")
    folder = Path(root or "") / "virtual"
    if not root or not folder.is_dir():
        print("virtual specimens not found: set CPML_REFERENCE to the folder that holds virtual/")
        return
    metrics: dict[str, float] = {}
    for test, train in TESTS:
        start = time.perf_counter()
        tested = load_virtual(folder / test)
        everyone = [
            *models.all_models(full=full),
            Changed(models.CoupledClassifier(), "coupled_quarter", quarter_of_labels),
        ]
        everyone += ablations() if test == ABLATED else []
        predictions = predict(everyone, tested, load_virtual(folder / train) if train else None)
        recorded = tested.specimen.labels, tested.specimen.candidates
        for name, (labels, candidates) in {"observed": recorded, "truth": (tested.truth, None)}.items():
            print(f"\n{test}, {'trained on ' + train if train else 'held-out blocks'}, against {name}")
            answer = active_where_known(predictions) if name == "truth" else predictions
            metrics |= evaluation.flat_metrics(
                scored(answer, labels, candidates, tested.splits), prefix=f"{test}_{name}_"
            )
        _beside_reference(test, metrics, [m.name for m in everyone])
        print(f"{time.perf_counter() - start:.0f} s", flush=True)
    merge_json(
        paths.reports("comparison") / "metrics.json", metrics, replaces=tuple(f"{test}_" for test, _ in TESTS)
    )


def active_where_known(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions whose p is that of being active, recorded or not, for models that tell the two apart."""
    return predictions.assign(p=predictions["p_active"].fillna(predictions["p"]))


def ablations() -> list[Changed]:
    """The coupled model without each of its ingredients."""
    variants = [
        Changed(models.CoupledClassifier(**options), f"coupled_{name}") for name, options in FLAGS.items()
    ]
    return [
        *variants,
        Changed(models.CoupledClassifier(), "coupled_schmid_labels", pick_max_schmid),
        Changed(models.CoupledClassifier(), "coupled_shuffled_neighbours", always=with_shuffled_neighbours),
    ]


def predict(everyone, tested, trained_on) -> pd.DataFrame:
    """Held-out predictions of all models: of another specimen, or over blocks."""
    if trained_on is None:
        return models.cross_validate(everyone, tested.specimen, tested.splits)
    blind, parts = tested.specimen.with_labels_of([]), []
    for model in everyone:
        start = time.perf_counter()
        parts.append(model.fit([trained_on.specimen]).predict(blind))
        print(f"{model.name} {time.perf_counter() - start:.1f} s", flush=True)
    return pd.concat(parts, ignore_index=True)


def scored(predictions: pd.DataFrame, labels: pd.DataFrame, candidates, splits) -> pd.DataFrame:
    """Scores of planes, variants, families and twinned grains, printed and returned."""
    coarse = evaluation.families_and_twinned_grains(predictions, labels, candidates)
    levels = [(predictions, labels), coarse]
    scores = pd.concat(
        [evaluation.evaluate(p, y, splits=splits, n_boot=100) for p, y in levels], ignore_index=True
    )
    print(evaluation.overview(scores)[SHOWN].round(3).to_string(index=False))
    print(verdict(scores).round(3).to_string(index=False))
    return scores


def verdict(scores: pd.DataFrame) -> pd.DataFrame:
    """The coupled model, with all and with a quarter of the labels, beside the best
    baseline on each question and score.
    """
    rows = []
    for (mechanism, score), part in scores[scores["metric"].isin(["pr_auc", "log_loss"])].groupby(
        ["mechanism", "metric"]
    ):
        value = part.set_index("model")["value"].dropna()
        sign = -1 if score == "log_loss" else 1
        others = sign * value[~value.index.str.startswith("coupled")]
        if others.empty or "coupled" not in value:
            continue
        ours, quarter = (sign * value.get(name, np.nan) for name in ("coupled", "coupled_quarter"))
        best = others.max()
        rows.append(
            (
                mechanism,
                score,
                sign * ours,
                sign * quarter,
                others.idxmax(),
                sign * best,
                ours > best,
                quarter >= best,
            )
        )
    columns = [
        "mechanism",
        "score",
        "coupled",
        "a quarter",
        "best baseline",
        "its score",
        "above",
        "quarter no worse",
    ]
    return pd.DataFrame(rows, columns=columns)


def _beside_reference(test: str, metrics: dict[str, float], names: list[str]) -> None:
    schmid, strengths, ceiling = REFERENCE[test]
    found = {name: metrics[f"{test}_truth_slip_{name}_pr_auc"] for name in names}
    best = max(v for k, v in found.items() if not k.startswith("coupled"))
    aim = f", aim {AIM[test]:.2f}" if test in AIM else ""
    print(
        f"active planes, PR-AUC: coupled {found['coupled']:.3f}{aim}, with a quarter of the labels "
        f"{found['coupled_quarter']:.3f}, best other {best:.3f}; reference: Schmid "
        f"{schmid}, over true strengths "
        f"{strengths}, ceiling {ceiling}"
    )


if __name__ == "__main__":
    main(full="quick" not in sys.argv[1:])
