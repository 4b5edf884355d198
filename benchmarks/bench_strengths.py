"""Do estimators of strength find the truth, and do their intervals hold it?
`tasks.py bench --suite strengths`.

Run: python -m benchmarks.bench_strengths [part ...]. Without a part, all of them.

| part | truth | what the estimator shares with it |
|---|---|---|
| synthetic | alpha titanium, ratios given | law, scatter and microscope: identifiability |
| shared | slabs and deep volumes of another code | nothing but the form of the flow rule |
| factory | `benchmarks.factory_specimens`, seeds from 109 | hardening law, full field |
| model_error | the same, seeds below 109: what intervals lack | |

``shared`` and ``factory`` are judged on strengths averaged over the strain (`benchmarks.strength_truth`), of
families and references that carry 2 % of the shear; families that carry less are counted apart.
$CPML_FACTORY names a folder in which made specimens are kept.

Synthetic: 1000 grains of random texture, basal /
prismatic 1.30 and pyramidal <c+a> / prismatic 2.50, n = 20, 15 % scatter of the local stress, 2 deg of noise
on traces, 15 % of them missed, 3 % of the grains with a false one (`benchmarks.synthetic`). Every repetition
draws grains, footprints and the literature that the estimator starts from anew.

| estimator | stress of a grain | labels |
|---|---|---|
| macroscopic_picked | the macroscopic one | the candidate of largest Schmid factor |
| macroscopic_superset | the macroscopic one | all candidates |
| latent_picked | unknown, integrated over | the candidate of largest Schmid factor |
| latent_superset | unknown, integrated over | all candidates: what `CoupledClassifier` does |

All of them take the macroscopic stress for the mean of the grains' stresses (scheme "sachs"), as it is here.
Then the last one under a load along y and where its assumptions are wrong: exponent, law of the scatter, a
visible limit that is gradual, a self-consistent mean; and with fewer grains. Wanted: basal within 3 %, <c+a>
within 5 % (10 % where assumptions are wrong), intervals of 90 % of the posterior alone that cover in 87 to
93 % of the repetitions, a fit in less than 3 minutes on two cores. Writes strengths_* into
reports/comparison/metrics.json.
"""

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from cpml import paths
from cpml.files import merge_json
from cpml.intervals import NINETY_PERCENT

REPETITIONS = 30
FEW = 5  # repetitions of everything but the main row
FAMILIES = ("basal", "pyramidal1_ca")
AIM_PCT = {"basal": 3.0, "pyramidal1_ca": 5.0}
AIM_WRONG_PCT = 10.0

LEVEL = 0.9
CARRIES = 0.02
"""Of all shear: what less carries leaves hardly a footprint."""

SACHS = {"scheme": "sachs", "edges": False}
# name: (options of the specimen, options of the estimator, labels are picked)
ESTIMATORS = {
    "latent_superset": ({}, SACHS, False),
    "macroscopic_picked": ({}, SACHS | {"scatter": False}, True),
    "macroscopic_superset": ({}, SACHS | {"scatter": False}, False),
    "latent_picked": ({}, SACHS, True),
}
WRONG = {
    "along_y": ({"axis": "y"}, SACHS, False),
    "n_10": ({"n": 10.0}, SACHS, False),
    "n_40": ({"n": 40.0}, SACHS, False),
    "student_t3": ({"law": "student"}, SACHS, False),
    "gradual_limit": ({"gradual": True}, SACHS, False),
    "affine_mean": ({}, {"scheme": "affine"}, False),
}
SMALLER = {"grains_300": ({"n_grains": 300}, SACHS, False), "grains_100": ({"n_grains": 100}, SACHS, False)}


def main(parts: Iterable[str] = ("synthetic", "shared", "factory")) -> None:
    """Print the tables of some parts (module docstring) and write their numbers.

    Raises
    ------
    ValueError : a part that does not exist
    """
    for part in parts:
        if part not in PARTS:
            raise ValueError(f"no part {part!r}: choose from {', '.join(PARTS)}")
        print(f"\n== {part}", flush=True)
        metrics = PARTS[part]()
        if metrics:
            path = paths.reports("comparison") / "metrics.json"
            print(f"written: {merge_json(path, metrics, replaces=tuple(metrics))}")


def synthetic(repetitions: int = REPETITIONS, jobs: int = 2) -> dict[str, float]:
    """Repeated fits of the estimator's own law."""
    few, metrics = min(FEW, repetitions), {}
    for title, cases in (("estimators", ESTIMATORS), ("wrong assumptions", WRONG), ("fewer grains", SMALLER)):
        print(f"\n{title}")
        for name, case in cases.items():
            number = repetitions if name == "latent_superset" else few
            table = summary(repeat(case, number, jobs))
            print(f"{name}, {number} repetitions\n{table.round(3).to_string()}", flush=True)
            metrics |= flat(name, table)
    _verdict(metrics)
    return metrics


def shared() -> dict[str, float]:
    """Specimens of the other code."""
    from benchmarks.strength_truth import of_generator
    from benchmarks.virtual_specimens import SPECIMENS, load_virtual

    root = Path(os.environ.get("CPML_REFERENCE", "")) / "virtual"
    if not root.is_dir():
        print("virtual specimens not found: set CPML_REFERENCE to the folder that holds virtual/")
        return {}
    rows = []
    for name in SPECIMENS:
        truth = of_generator(root / name)
        if len(truth) > 1:  # one family has no ratio
            rows.append(_fitted(load_virtual(root / name).specimen, truth))
            print(rows[-1].round(2).to_string(index=False), flush=True)
    return _coverage("shared", pd.concat(rows))


def factory(seeds: Iterable[int] = range(109, 123)) -> dict[str, float]:
    """Specimens of the factory that the model error was not learned from."""
    rows = [factory_case(seed) for seed in seeds]
    return _coverage("factory", pd.concat(rows))


def model_error(seeds: Iterable[int] = range(109)) -> dict[str, float]:
    """Spread that the intervals need, by kind of family (`cpml.models.coupled.strengths.model_error`)."""
    from cpml.models.coupled.strengths import model_error as known

    kept = dict(known.SPREAD)
    known.SPREAD.update(dict.fromkeys(kept, 0.0))
    try:
        rows = pd.concat([factory_case(seed) for seed in seeds])
    finally:
        known.SPREAD.update(kept)
    rows = rows[rows["share"] > CARRIES]
    found = {}
    for kind, part in rows.groupby("kind"):
        found[f"strengths_spread_{kind}"] = needed(part)
        print(f"{kind}: {found[f'strengths_spread_{kind}']:.3f} from {len(part)} ratios, now {kept[kind]}")
    return found


def needed(rows: pd.DataFrame) -> float:
    """Least spread with which nine of ten intervals hold the truth.

    Parameters
    ----------
    rows : ratio, low, high, truth of intervals without model error
    """
    middle, low, high, truth = (np.log(rows[c].to_numpy()) for c in ("ratio", "low", "high", "truth"))
    miss = middle - truth
    half = np.where(miss > 0, middle - low, high - middle)
    extra = np.sqrt(np.maximum(miss**2 - half**2, 0.0)) / NINETY_PERCENT
    return float(np.quantile(extra, LEVEL))


def factory_case(seed: int) -> pd.DataFrame:
    """Ratios and truth of one seed of the factory, made where it is not there yet."""
    from benchmarks.factory_specimens import load_factory, make
    from benchmarks.strength_truth import of_factory

    folder = Path(os.environ.get("CPML_FACTORY") or paths.derived("factory"))
    path = make(folder, seed).parent
    made = load_factory(path)
    table = _fitted(made.specimen, of_factory(path, made.specimen, made.partner))
    print(table.round(2).to_string(index=False), flush=True)
    return table


def _fitted(specimen, truth: pd.DataFrame) -> pd.DataFrame:
    """Ratios of one specimen beside the truth, one row per family that is not the reference."""
    import torch

    from cpml.models import CoupledClassifier

    torch.set_num_threads(1)
    start = time.perf_counter()
    model = CoupledClassifier(residual=False).fit([specimen])
    seconds = time.perf_counter() - start
    found = model.strengths_.assign(footprints=model.footprints_)
    reference = found["reference"].iloc[0]
    found = found[found["family"].isin(truth.index) & (found["family"] != reference)]
    own = truth.loc[found["family"]]
    share = np.minimum(own["share"].to_numpy(), truth.loc[reference, "share"])
    return pd.DataFrame(
        {
            "specimen": specimen.name,
            "material": specimen.material.name,
            "family": found["family"].to_numpy(),
            "kind": [specimen.material.families[f].kind for f in found["family"]],
            "ratio": found["ratio"].to_numpy(),
            "low": found["ratio_low"].to_numpy(),
            "high": found["ratio_high"].to_numpy(),
            "truth": own["mean"].to_numpy() / truth.loc[reference, "mean"],
            "initial": own["initial"].to_numpy() / truth.loc[reference, "initial"],
            "share": share,
            "footprints": found["footprints"].to_numpy(),
            "seconds": seconds,
        }
    )


def _coverage(name: str, rows: pd.DataFrame) -> dict[str, float]:
    """Share of 90 % intervals that hold the truth, and the error of the ratios, printed and as metrics."""
    rows = rows.assign(
        covers=(rows["low"] <= rows["truth"]) & (rows["truth"] <= rows["high"]),
        error=(np.log(rows["ratio"] / rows["truth"])).abs(),
        width=np.log(rows["high"] / rows["low"]),
        carries=rows["share"] > CARRIES,
    )
    metrics = {}
    groups = {"all": rows, "carrying": rows[rows["carries"]], "idle": rows[~rows["carries"]]}
    groups |= {kind: rows[rows["carries"] & (rows["kind"] == kind)] for kind in ("slip", "twin")}
    for group, part in groups.items():
        if len(part):
            values = {
                "coverage": part["covers"].mean(),
                "median_error": part["error"].median(),
                "median_width": part["width"].median(),
                "cases": float(len(part)),
            }
            print(f"{name}, {group}: " + ", ".join(f"{k} {v:.3f}" for k, v in values.items()), flush=True)
            metrics |= {f"strengths_{name}_{group}_{k}": float(v) for k, v in values.items()}
    return metrics


def repeat(case, number: int, jobs: int) -> pd.DataFrame:
    """One row per repetition and family: ratio, low, high, truth, seconds."""
    from joblib import Parallel, delayed

    return pd.concat(
        Parallel(n_jobs=jobs)(delayed(one)(case, seed) for seed in range(number)), ignore_index=True
    )


def one(case, seed: int) -> pd.DataFrame:
    """Make a specimen, fit it, compare the ratios with the truth."""
    import torch

    from benchmarks.hard_labels import pick_max_schmid
    from benchmarks.synthetic import Microscope, synthetic_specimen
    from cpml.models import CoupledClassifier

    torch.set_num_threads(1)
    made_with, fitted_with, is_picked = case
    made_with = dict(made_with)
    microscope = Microscope(gradual=made_with.pop("gradual", False))
    made = synthetic_specimen(**{"n_grains": 1000, **made_with}, microscope=microscope, seed=seed)
    specimen = pick_max_schmid(made.specimen) if is_picked else made.specimen
    start = time.perf_counter()
    model = CoupledClassifier(residual=False, **fitted_with).fit([specimen])
    seconds = time.perf_counter() - start
    found = model.strengths_.set_index("family").loc[list(FAMILIES), ["ratio", "ratio_low", "ratio_high"]]
    found.columns = ["ratio", "low", "high"]
    return (
        _posterior_alone(found)
        .assign(truth=made.ratios, seed=seed, seconds=seconds, converged=model.converged_)
        .reset_index()
    )


def _posterior_alone(found: pd.DataFrame) -> pd.DataFrame:
    """Intervals (ratio, low, high) without the error of the model, which is none where the law is the
    estimator's own: it was added in quadrature to families with footprints.
    """
    from cpml.models.coupled.strengths.model_error import SPREAD

    extra = NINETY_PERCENT * SPREAD["slip"]
    middle = np.log(found["ratio"])
    ends = {
        end: np.exp(middle + sign * np.sqrt(np.maximum((np.log(found[end]) - middle) ** 2 - extra**2, 0.0)))
        for end, sign in (("low", -1.0), ("high", 1.0))
    }
    return found.rename(columns={"low": "widened_low", "high": "widened_high"}).assign(**ends)


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Per family: mean, sd, bias in percent with its standard error, share of intervals that cover (of the
    posterior alone, and with the error of the model), the mean width of the former.
    """
    rows = {}
    for family, part in runs.groupby("family", sort=False):
        truth, ratio = part["truth"].iloc[0], part["ratio"]
        covers = (part["low"] <= part["truth"]) & (part["truth"] <= part["high"])
        widened = (part["widened_low"] <= part["truth"]) & (part["truth"] <= part["widened_high"])
        scale = 100 / truth
        rows[family] = {
            "truth": truth,
            "mean": ratio.mean(),
            "sd": ratio.std(),
            "bias_pct": scale * (ratio.mean() - truth),
            "bias_se_pct": scale * ratio.std() / np.sqrt(len(part)),
            "coverage": covers.mean(),
            "coverage_widened": widened.mean(),
            # sd that a 90 % interval claims: as large as sd where it is honest
            "claimed_sd": (part["high"] - part["low"]).mean() / (2 * 1.645),
            "fit_s": part["seconds"].median(),
            "converged": part["converged"].mean(),
            "repetitions": len(part),
        }
    return pd.DataFrame(rows).T


def flat(name: str, table: pd.DataFrame) -> dict[str, float]:
    """strengths_<name>_<family>_<number> for metrics.json."""
    return {
        f"strengths_{name}_{family}_{key}": float(value)
        for family, row in table.iterrows()
        for key, value in row.items()
    }


def _verdict(metrics: dict[str, float]) -> None:
    """What was wanted, and what was found."""
    print()
    for family, aim in AIM_PCT.items():
        bias, coverage = (
            metrics[f"strengths_latent_superset_{family}_{k}"] for k in ("bias_pct", "coverage")
        )
        worst = max((abs(metrics[f"strengths_{name}_{family}_bias_pct"]), name) for name in WRONG)
        print(
            f"{family}: bias {bias:+.1f} % (wanted within {aim:.0f}), 90 % intervals "
            f"cover {100 * coverage:.0f} % "
            f"(wanted 87 to 93), worst wrong assumption {worst[1]} {worst[0]:.1f} % (wanted "
            f"within {AIM_WRONG_PCT:.0f})"
        )


PARTS = {"synthetic": synthetic, "shared": shared, "factory": factory, "model_error": model_error}

if __name__ == "__main__":
    main(sys.argv[1:] or tuple(PARTS))
