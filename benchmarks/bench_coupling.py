"""The coupled model beside its baselines on virtual specimens with known truth: `tasks.py bench --suite coupling`.

Trained on one specimen and tested on another of the same material where there are two (magnesium A -> B), by spatial
blocks with a buffer otherwise. Scores against the public labels (what a microscope recorded) and against the truth
(a plane is active above 1 % shear). Needs the generator's folders under $CPML_REFERENCE/virtual. Writes
reports/comparison/metrics.json.
"""

import math
import os
import time
from pathlib import Path

import pandas as pd

from cpml import evaluation, models, paths
from cpml.files import write_json
from cpml.models.virtual_specimens import load_virtual

# active planes: Schmid rule, Schmid over true strengths, true grain stress over true strengths (the ceiling); from the
# generator's README, grains of at least 20 pixels
REFERENCE = {
    "mg_hcp_B": (0.344, 0.838, 0.951),
    "ti_hcp_A": (0.317, 0.743, 0.978),
    "ni_fcc_A": (0.908, 0.908, None),
}
AIM = {"mg_hcp_B": 0.90, "ti_hcp_A": 0.92}
SHOWN = [
    "mechanism",
    "model",
    "pr_auc",
    "pr_auc_low",
    "pr_auc_high",
    "log_loss",
    "brier",
    "top1",
    "prevalence",
    "n_grains",
]


def main() -> None:
    """Print one table per test specimen and write the metrics."""
    root = os.environ.get("CPML_REFERENCE")
    folder = Path(root or "") / "virtual"
    if not root or not folder.is_dir():
        print("virtual specimens not found: set CPML_REFERENCE to the folder that holds virtual/")
        return
    metrics: dict[str, float] = {}
    for test, train in (("mg_hcp_B", "mg_hcp_A"), ("ti_hcp_A", None), ("ni_fcc_A", None)):
        start = time.perf_counter()
        specimen = load_virtual(folder / test)
        predictions = _predictions(specimen, load_virtual(folder / train) if train else None)
        for name, labels in (("observed", specimen.observed), ("truth", specimen.truth)):
            scores = evaluation.evaluate(predictions, labels, splits=specimen.splits, n_boot=100)
            print(f"\n{test}, {'trained on ' + train if train else 'held-out blocks'}, against {name}")
            print(evaluation.overview(scores)[SHOWN].round(3).to_string(index=False))
            metrics |= evaluation.flat_metrics(scores, prefix=f"{test}_{name}_")
        _beside_reference(test, metrics)
        print(f"{time.perf_counter() - start:.0f} s")
    write_json(paths.reports("comparison") / "metrics.json", {k: v for k, v in metrics.items() if not math.isnan(v)})


def _predictions(specimen, trained_on) -> pd.DataFrame:
    everyone = models.all_models()
    if trained_on is None:
        return models.cross_validate(everyone, specimen.specimen, specimen.splits)
    blind = specimen.specimen.with_labels_of([])
    return pd.concat([m.fit([trained_on.specimen]).predict(blind) for m in everyone], ignore_index=True)


def _beside_reference(test: str, metrics: dict[str, float]) -> None:
    schmid, strengths, ceiling = REFERENCE[test]
    ours = metrics[f"{test}_truth_slip_coupled_pr_auc"]
    best = max(
        v
        for k, v in metrics.items()
        if k.startswith(f"{test}_truth_slip_") and k.endswith("_pr_auc") and "coupled" not in k
    )
    aim = f", aim {AIM[test]:.2f}" if test in AIM else ""
    print(
        f"active planes, PR-AUC: coupled {ours:.3f}{aim}, best other {best:.3f}; reference: Schmid {schmid}, "
        f"over true strengths {strengths}, ceiling {ceiling}"
    )


if __name__ == "__main__":
    main()
