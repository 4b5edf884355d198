"""What a map does not show: every scheme beside truth it does not share: `tasks.py bench --suite depth`.

Run: python -m benchmarks.bench_depth [part ...]. Without a part, all of them; `tasks.py bench` runs those
that take minutes.

| part | question | truth |
|---|---|---|
| virtual | how much of the grains' stresses is explained, and how well is that known? | DAMASK |
| cuts | the same on plane cuts of bulk fcc volumes, law and strengths known | own full field |
| copper | do grains strain in the order expected, without learning? | DIC at three strains |
| nickel | the same under a load whose axis is assumed | HR-DIC |
| factory | as virtual, on volumes nobody learned from, by lattice and kind of surface | own full field |
| speed | seconds a map | |
| f_deep | F beside the baselines, by blocks and from one specimen to another (an hour) | DAMASK |

Schemes are all of `cpml.models.mechanics.grain_stress`, at the exponent of the coupled model; strengths are
the true ones of virtual specimens (a family that the simulation does not have is idle) and equal ones of
measured maps. Beside them: affine and full_field half each, and crude depths
(`benchmarks.depth_specimens`). Scores are those of `benchmarks.depth_scores`; brackets are 90 % intervals
over blocks of the map or over volumes. Schemes without a covariance are given one variance, fitted on the
other specimens, for their log score.

Needs $CPML_REFERENCE/virtual and the data sets. Writes into reports/comparison/metrics.json.
"""

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks import depth_scores as scores
from benchmarks.bench_coupling import predict, scored
from benchmarks.coupling_variants import Changed
from benchmarks.depth_specimens import (
    Measured,
    Section,
    Truth,
    blend,
    crude_depths,
    map_specimen,
    measured_specimen,
    sections,
    true_grains,
    true_strengths,
)
from benchmarks.virtual_specimens import load_virtual, partition, reference_folder
from cpml import evaluation, models, paths
from cpml.crystallography import load_material
from cpml.crystallography.rotations import random_quaternions
from cpml.crystallography.tensors import rotation_5x5, to_vector
from cpml.files import merge_json
from cpml.load import Load
from cpml.models.mechanics.grain_stress import SCHEMES
from cpml.models.mechanics.response import GrainResponse, grain_response
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity import mean_field
from cpml.plasticity.laws.spin import axial
from cpml.virtual.volumes.factory import Order, make_volumes, read_volume, volume_file
from cpml.virtual.volumes.recipes import Recipe
from cpml.virtual.volumes.solving import law_of

Answers = dict[str, GrainResponse]

DEEP, SLABS = ("mg_deep_A", "ni_deep_A"), ("mg_hcp_A", "ti_hcp_A", "mg_hcp_G", "ni_fcc_A")
AIMS = {"mg_deep_A": 0.65, "ni_deep_A": 0.68, "cuts": 0.72}  # explained share of the best scheme
COPPER_AIMS = {"e_yy": 0.50, "e_xy": 0.58, "e_xx": 0.30}
COMPONENTS = {"e_yy": (1, 1), "e_xy": (0, 1), "e_xx": (0, 0)}
FEWEST_POINTS = 30
"""A measured grain of fewer points is one of whom the mean is little known."""
HELD_OUT, CUTS = range(900_000, 900_040), range(910_000, 910_004)
"""Seeds of volumes that are kept from all training."""
CUT_EDGE = 32
SLOW = ("depth",)
"""Schemes that solve many volumes a map."""
MANY, RASTER = 10_000, 600
ANOTHER = {"mg_deep_A": "mg_hcp_B", "ni_deep_A": "ni_fcc_A"}  # trained on, for F


def main(parts: Iterable[str] = ("virtual", "cuts", "copper", "nickel", "factory", "speed")) -> None:
    """Print the tables of some parts (module docstring) and write their numbers.

    Raises
    ------
    ValueError : a part that does not exist
    """
    for part in parts:
        if part not in PARTS:
            raise ValueError(f"no part {part!r}: choose from {', '.join(PARTS)}")
        start = time.perf_counter()
        print(f"\n== {part}", flush=True)
        metrics = PARTS[part]()
        if metrics:
            prefix = f"depth_{part}_"
            merge_json(
                paths.reports("comparison") / "metrics.json",
                {prefix + key: float(value) for key, value in metrics.items() if np.isfinite(value)},
                replaces=(prefix,),
            )
        print(f"{part}: {time.perf_counter() - start:.0f} s", flush=True)


# ---------------------------------------------------------------- answers of all schemes


def every_answer(
    specimen: Specimen, *, strengths=None, crude: bool = True, n: float | None = None
) -> Answers:
    """Answers by name: all schemes, affine and full_field half each, and the crude depths."""
    found = {s: grain_response(specimen, scheme=s, strengths=strengths, n=n) for s in SCHEMES}
    found["affine_full_field"] = blend("affine_full_field", found["affine"], found["full_field"])
    if crude:
        found["crude_depths"] = crude_depths(specimen, strengths=strengths, n=n or 10.0)
        found["affine_crude"] = blend("affine_crude", found["affine"], found["crude_depths"])
    return found


def knows_scatter(answer: GrainResponse) -> bool:
    """Whether a scheme says how well its stresses are known."""
    return bool(np.abs(answer.covariance).max() > 0)


# ---------------------------------------------------------------- virtual specimens


def virtual(names: Iterable[str] = (*DEEP, *SLABS)) -> dict[str, float]:
    """Stress deviations of the grains of DAMASK's specimens, at their true strengths."""
    folder = reference_folder()
    if folder is None:
        return {}
    asked: dict[str, tuple[Truth, Answers]] = {}
    for name in names:
        given = load_virtual(folder / name)
        truth = true_grains(given, folder / name)
        asked[name] = truth, every_answer(given.specimen, strengths=true_strengths(given))
    return _against_truth(asked)


def _against_truth(asked: dict[str, tuple[Truth, Answers]]) -> dict[str, float]:
    """Tables of all specimens, and their numbers."""
    metrics: dict[str, float] = {}
    variance = {name: _fitted_variance(asked, name) for name in asked}
    for name, (truth, answers) in asked.items():
        table, numbers = against_truth(truth, answers, variance[name])
        aim = f", aim {AIMS[name]:.2f}" if name in AIMS else ""
        print(f"\n{name}: {len(truth.rows)} grains{aim}")
        print(table.to_string(), flush=True)
        metrics |= {f"{name}_{key}": value for key, value in numbers.items()}
    return metrics


def _fitted_variance(asked: dict[str, tuple[Truth, Answers]], left_out: str) -> dict[str, float]:
    """Variance a component that every scheme leaves on the other specimens (alone: on itself)."""
    others = [name for name in asked if name != left_out] or [left_out]
    errors: dict[str, list[float]] = {}
    for other in others:
        truth, answers = asked[other]
        for scheme, answer in answers.items():
            error = ((answer.stress[truth.rows] - truth.stress) ** 2).mean(1)
            errors.setdefault(scheme, []).append(float(np.average(error)))
    return {scheme: float(np.mean(values)) for scheme, values in errors.items()}


def against_truth(
    truth: Truth, answers: Answers, variance: dict[str, float], *, n_boot: int = 500
) -> tuple[pd.DataFrame, dict[str, float]]:
    """One row a scheme: explained share of the stress, less affine's, log score, less affine's, coverage of
    its own 50 and 90 % regions, rank correlation of total shear, explained share of the strain's directions,
    correlation of rotation (mean of three components) and median cosine of its axes.
    """
    draws = scores.resamples(truth.block, n_boot=n_boot)
    everyone = np.arange(len(truth.rows))
    asked = {s: _statistics(truth, a, variance[s]) for s, a in answers.items()}
    resampled = {s: {key: scores.over(f, draws) for key, f in found.items()} for s, found in asked.items()}
    rows, numbers = {}, {}
    for scheme, found in asked.items():
        values = {key: f(everyone) for key, f in found.items()}
        numbers |= {f"{scheme}_{key}": value for key, value in values.items()}
        row = {key: scores.written(value, resampled[scheme][key]) for key, value in values.items()}
        for key in ("explained", "log_score"):
            apart = resampled[scheme][key] - resampled["affine"][key]
            own = (
                ""
                if scheme == "affine"
                else scores.written(values[key] - asked["affine"][key](everyone), apart)
            )
            row[f"{key} - affine"] = own
        rows[scheme] = row
    order = ["explained", "explained - affine", "log_score", "log_score - affine", "cover50", "cover90"]
    table = pd.DataFrame(rows).T
    return table[[*order, *(c for c in table if c not in order)]].dropna(axis=1, how="all"), numbers


def _statistics(
    truth: Truth, answer: GrainResponse, variance: float
) -> dict[str, Callable[[NDArray], float]]:
    """Scores as functions of the rows of the truth."""
    rows, area = truth.rows, truth.area
    stress = answer.stress[rows]
    knows = knows_scatter(answer)
    covariance = answer.covariance[rows] if knows else np.tile(variance * np.eye(5), (len(rows), 1, 1))
    density = scores.log_density(stress, covariance, truth.stress)
    held = {
        level: scores.coverage(stress, covariance, truth.stress, level / 100, answer.region(level / 100))
        if knows
        else None
        for level in (50, 90)
    }
    found: dict[str, Callable[[NDArray], float]] = {
        "explained": lambda at: scores.explained_share(stress[at], truth.stress[at], area[at]),
        "log_score": lambda at: float(density[at].mean()),
    }
    for level, inside in held.items():
        found[f"cover{level}"] = lambda at, inside=inside: (
            np.nan if inside is None else float(inside[at].mean())
        )
    if truth.log_shear is not None:
        shear = answer.log_shear[rows]
        found["shear_rank"] = lambda at: scores.rank_correlation(shear[at], truth.log_shear[at])
    if truth.strain is not None:
        strain = to_vector(answer.strain_rate[rows])
        found["strain"] = lambda at: _correlation_of_deviations(strain[at], truth.strain[at], area[at])
    if truth.rotation is not None:
        turn = axial(answer.spin[rows])
        found["rotation"] = lambda at: float(
            np.mean([scores.linear_correlation(turn[at, k], truth.rotation[at, k]) for k in range(3)])
        )
        found["axis_cosine"] = lambda at: _median_cosine(turn[at], truth.rotation[at])
    return found


def _correlation_of_deviations(predicted: NDArray, true: NDArray, area: NDArray) -> float:
    """Correlation of tensors (G, 5) less their means: whatever the unit of either."""
    share = area / area.sum()
    a, b = predicted - share @ predicted, true - share @ true
    length = np.sqrt((share @ (a**2).sum(1)) * (share @ (b**2).sum(1)))
    return float(share @ (a * b).sum(1) / length) if length > 1e-12 else np.nan


def _median_cosine(a: NDArray, b: NDArray) -> float:
    length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    known = length > 1e-12
    return float(np.median((a * b).sum(1)[known] / length[known])) if known.any() else np.nan


# ---------------------------------------------------------------- measured maps


def copper() -> dict[str, float]:
    """Grain strains of copper at three strains, nothing learned from them."""
    found = measured_specimen("copper-dic")
    print("rank correlations; aims " + ", ".join(f"{k} {v:.2f}" for k, v in COPPER_AIMS.items()))
    return _against_measured(found, every_answer(found.specimen))


def nickel() -> dict[str, float]:
    """Grain strains of a superalloy at 1 %, under the assumed load and under one across it."""
    metrics: dict[str, float] = {}
    for axis in "xy":
        found = measured_specimen("ni-hrdic", axis=axis)
        print(f"\nload along {axis}{' (assumed)' if axis == 'x' else ': if it were so'}")
        numbers = _against_measured(found, every_answer(found.specimen))
        metrics |= {f"{axis}_{key}": value for key, value in numbers.items()}
    return metrics


def _against_measured(found: Measured, answers: Answers) -> dict[str, float]:
    """Rank correlations by state and component, each scheme also less affine; tables printed."""
    metrics: dict[str, float] = {}
    grains = found.specimen.grains
    large = grains.loc[grains["n_pixels"] >= FEWEST_POINTS, "grain_id"]
    for step, state in found.gradients.groupby("step", sort=False):
        state = state[state["grain_id"].isin(large) & (state["n_points"] >= FEWEST_POINTS)]
        sense = _sense(state, found.specimen.load)
        rows = found.specimen.position(state["grain_id"])
        draws = scores.resamples(found.block[rows])
        table = {}
        for scheme, answer in answers.items():
            row = {}
            for name, statistic in _ranks(state, answer, rows, sense).items():
                value, drawn = statistic(np.arange(len(rows))), scores.over(statistic, draws)
                against = _ranks(state, answers["affine"], rows, sense)[name]
                apart = drawn - scores.over(against, draws)
                row[name] = scores.written(value, drawn)
                if scheme != "affine":
                    row[f"{name} - affine"] = scores.written(value - against(np.arange(len(rows))), apart)
                metrics[f"{str(step).replace(' ', '')}_{name}_{scheme}"] = value
            table[scheme] = row
        print(f"\n{found.specimen.name}, {step}: {len(rows)} grains of {FEWEST_POINTS} points and more")
        if sense < 0:
            print("the field strains against the declared load: expected strains are reversed")
        print(pd.DataFrame(table).T.fillna("").to_string(), flush=True)
    return metrics


def _sense(state: pd.DataFrame, load: Load) -> float:
    """1 where the grains strain along the load as it says, -1 where they strain the other way: the sign of a
    field, or of a load, is not always documented.
    """
    axis = np.abs(load.main_axis[:2]).argmax()
    mean = np.average(state[("e_xx_percent", "e_yy_percent")[axis]], weights=state["n_points"])
    return float(np.sign(mean * load.stress[axis, axis])) or 1.0


def _ranks(
    state: pd.DataFrame, answer: GrainResponse, rows: NDArray, sense: float
) -> dict[str, Callable[[NDArray], float]]:
    """Rank correlations of the measured components as functions of the rows of the state."""
    expected = {name: sense * answer.strain_rate[rows][:, i, j] for name, (i, j) in COMPONENTS.items()}
    measured = {name: state[f"{name}_percent"].to_numpy() for name in COMPONENTS}
    return {
        name: lambda at, name=name: scores.rank_correlation(expected[name][at], measured[name][at])
        for name in COMPONENTS
    }


# ---------------------------------------------------------------- sections of factory volumes


def factory(count: int = 40) -> dict[str, float]:
    """Sections of held-out volumes, by lattice and kind of surface; beside the schemes that take long, one
    section of every volume.
    """
    volumes = _volumes(Order(_cache("volumes")), HELD_OUT[:count])
    quick = [s for s in SCHEMES if s not in SLOW]
    metrics = _sections_table(volumes, schemes=quick)
    if len(quick) < len(SCHEMES):
        print("\none section of every volume")
        found = _sections_table(volumes, schemes=SCHEMES, most=1)
        metrics |= {f"one_{key}": value for key, value in found.items()}
    return metrics


def cuts(count: int = len(CUTS)) -> dict[str, float]:
    """Plane cuts of bulk fcc volumes of many grains."""
    order = Order(_cache("cuts"), edge=CUT_EDGE, materials={"nickel": 1.0}, free=False)
    return _sections_table(_volumes(order, CUTS[:count]), schemes=SCHEMES, aim=AIMS["cuts"])


def _volumes(order: Order, seeds: range) -> list[tuple[dict[str, NDArray], Recipe]]:
    """Volumes, made where the folder lacks them, with what they are made of."""
    make_volumes(order, seeds)
    return [
        (
            read_volume(volume_file(order.folder, seed)),
            Recipe.of(seed, edge=order.edge, materials=order.materials, free=order.free),
        )
        for seed in seeds
    ]


def _cache(name: str) -> Path:
    """Folder of volumes that the benchmark makes itself."""
    return paths.derived("comparison") / "depth" / name


def _sections_table(
    volumes: list[tuple[dict[str, NDArray], Recipe]],
    *,
    schemes: Iterable[str] = SCHEMES,
    most: int | None = None,
    aim: float | None = None,
) -> dict[str, float]:
    """Explained share and log score by lattice and kind of surface, intervals over volumes; printed.

    Parameters
    ----------
    most : sections of a volume
    """
    parts: dict[str, dict[str, list]] = {}
    for volume, recipe in volumes:
        for section in islice(sections(volume, recipe), most):
            kind = f"{recipe.material.lattice} {'free' if recipe.is_free else 'bulk'}"
            answers = section_answers(section, recipe, schemes)
            for scheme, answer in answers.items():
                for group in (kind, "all"):
                    parts.setdefault(group, {}).setdefault(scheme, []).append((section.truth, answer))
    metrics: dict[str, float] = {}
    for group, by_scheme in sorted(parts.items()):
        table, numbers = _pooled(by_scheme)
        found = next(iter(by_scheme.values()))
        print(
            f"\n{group}: {len(found)} sections, {sum(len(t.rows) for t, _ in found)} grains"
            + (f", aim {aim:.2f}" if aim and group == "all" else "")
        )
        print(table.to_string(), flush=True)
        metrics |= {f"{group.replace(' ', '_')}_{key}": value for key, value in numbers.items()}
    return metrics


def section_answers(section: Section, recipe: Recipe, schemes: Iterable[str]) -> Answers:
    """Every scheme on the grains of a section, and "affine_volume": the mean field over the whole volume,
    which knows grains that the section does not show.
    """
    options = {"strengths": recipe.strengths, "n": recipe.exponent}
    found = {s: grain_response(section.specimen, scheme=s, **options) for s in schemes}
    if "affine" in found:
        found["affine_volume"] = _of_volume(section, recipe, found["affine"])
    return found


def _of_volume(section: Section, recipe: Recipe, like: GrainResponse) -> GrainResponse:
    """Affine over the whole volume, in the frame of the section."""
    weights = (
        np.bincount(recipe.grain_index.ravel(), minlength=len(recipe.quaternions)) / recipe.grain_index.size
    )
    solved = mean_field(
        law_of(recipe),
        recipe.quaternions,
        weights=weights,
        loading=recipe.load,
        scheme="affine",
        lateral="free",
    )
    macro = to_vector(recipe.load.stress)
    stress = solved.grain_stress.numpy()
    stress = stress / (weights @ stress @ macro / np.linalg.norm(macro))
    return replace(like, scheme="affine_volume", stress=stress[section.grain] @ rotation_5x5(section.turn).T)


def _pooled(by_scheme: dict[str, list]) -> tuple[pd.DataFrame, dict[str, float]]:
    """Shares of the variance about the means of the sections, over all sections; log scores of schemes that
    say how well they know; by scheme.
    """
    rows, numbers, every = {}, {}, {}
    for scheme, pairs in by_scheme.items():
        parts = [_section_sums(truth, answer) for truth, answer in pairs]
        every[scheme] = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
    draws = scores.resamples(next(iter(every.values()))["block"])
    for scheme, sums in every.items():

        def explained(at: NDArray, sums=sums) -> float:
            return float(1 - sums["error"][at].sum() / sums["spread"][at].sum())

        drawn = scores.over(explained, draws)
        everyone = np.arange(len(sums["block"]))
        row = {"explained": scores.written(explained(everyone), drawn)}
        numbers[f"{scheme}_explained"] = explained(everyone)
        for key in ("log_score", "cover50", "cover90"):
            value = float(np.nanmean(sums[key])) if np.isfinite(sums[key]).any() else np.nan
            numbers[f"{scheme}_{key}"] = value
            row[key] = (
                ""
                if np.isnan(value)
                else scores.written(
                    value, scores.over(lambda at, s=sums[key]: float(np.nanmean(s[at])), draws)
                )
            )
        rows[scheme] = row
    return pd.DataFrame(rows).T, numbers


def _section_sums(truth: Truth, answer: GrainResponse) -> dict[str, NDArray]:
    """Of every grain of a section: area times squared error and squared deviation, log density, coverage."""
    stress, share = answer.stress[truth.rows], truth.area / truth.area.sum()
    error = (stress - share @ stress) - (truth.stress - share @ truth.stress)
    spread = truth.stress - share @ truth.stress
    found = {
        "block": truth.block,
        "error": share * (error**2).sum(1),
        "spread": share * (spread**2).sum(1),
    }
    unknown = np.full(len(share), np.nan)
    covariance = answer.covariance[truth.rows]
    knows = knows_scatter(answer)
    found["log_score"] = scores.log_density(stress, covariance, truth.stress) if knows else unknown
    for level in (50, 90):
        found[f"cover{level}"] = (
            scores.coverage(stress, covariance, truth.stress, level / 100, answer.region(level / 100)).astype(
                float
            )
            if knows
            else unknown
        )
    return found


# ---------------------------------------------------------------- time


def speed() -> dict[str, float]:
    """Wall seconds a map and scheme, on the cores there are: a specimen of 170 grains; 10,000 grains, for
    schemes that do not solve the map.
    """
    metrics: dict[str, float] = {}
    folder = reference_folder()
    rows = {}
    if folder is not None:
        specimen = load_virtual(folder / "mg_deep_A").specimen
        for scheme in SCHEMES:
            seconds = _seconds(specimen, scheme)
            rows[scheme] = {f"{len(specimen)} grains / s": seconds}
            metrics[f"small_{scheme}"] = seconds
    large = many_grains()
    for scheme in SCHEMES:
        if scheme in ("full_field", *SLOW):
            continue
        seconds = _seconds(large, scheme)
        rows.setdefault(scheme, {})[f"{len(large)} grains / s"] = seconds
        metrics[f"large_{scheme}"] = seconds
    print(pd.DataFrame(rows).T.round(2).to_string(), flush=True)
    return metrics


def _seconds(specimen: Specimen, scheme: str) -> float:
    from cpml.models.specimen.remembered import Remembered

    start = time.perf_counter()
    grain_response(replace(specimen, answers=Remembered()), scheme=scheme)
    return time.perf_counter() - start


def many_grains(count: int = MANY, raster: int = RASTER, *, seed: int = 0) -> Specimen:
    """A magnesium map of random grains, nearest seeds on a raster of points."""
    from scipy.spatial import cKDTree

    from benchmarks.depth_specimens import _touching

    rng = np.random.default_rng(seed)
    y, x = np.indices((raster, raster))
    points = np.stack([x.ravel(), y.ravel()], axis=1).astype(float)
    nearest = cKDTree(rng.random((count, 2)) * raster).query(points)[1]
    _, nearest = np.unique(nearest, return_inverse=True)
    pixels = np.bincount(nearest)
    grains = pd.DataFrame(random_quaternions(len(pixels), rng), columns=["qw", "qx", "qy", "qz"]).assign(
        grain_id=np.arange(len(pixels)) + 1,
        x_um=np.bincount(nearest, points[:, 0]) / pixels,
        y_um=np.bincount(nearest, points[:, 1]) / pixels,
        n_pixels=pixels,
        on_edge=False,
        phase_name="grains",
    )
    return map_specimen(
        "many",
        grains,
        _touching(nearest.reshape(raster, raster)),
        material=load_material("magnesium"),
        load=Load.from_dict({"kind": "compression", "axis": "x"}),
        points=(points, nearest + 1),
        free_surface=False,
    )


# ---------------------------------------------------------------- F


def f_deep(
    names: Iterable[str] = DEEP,
    *,
    partitions: int = 3,
    schemes: Iterable[str] | None = None,
    another: bool = True,
) -> dict[str, float]:
    """PR-AUC and log-loss of planes and variants against truth: F, and under other ``schemes``, beside the
    baselines, by blocks (several partitions) and, with ``another``, trained on another specimen of the
    material.
    """
    folder = reference_folder()
    if folder is None:
        return {}
    schemes = list(schemes or ("affine", "full_field"))
    metrics: dict[str, float] = {}
    for name in names:
        given = load_virtual(folder / name)
        everyone = [
            *models.all_models(coupled=False),
            models.CoupledClassifier(),
            *(Changed(models.CoupledClassifier(scheme=s), f"coupled_{s}") for s in schemes),
        ]
        runs = [(f"partition {k}", partition(given, k), None) for k in range(partitions)]
        if another and name in ANOTHER:
            runs.append((f"from {ANOTHER[name]}", given.splits, load_virtual(folder / ANOTHER[name])))
        tables = []
        for label, splits, trained_on in runs:
            tested = replace(given, splits=splits)
            found = evaluation.active(predict(everyone, tested, trained_on))
            print(f"\n{name}, {label}", flush=True)
            table = scored(found, given.truth, None, splits)
            tables.append(table.assign(run=label))
            metrics |= evaluation.flat_metrics(table, prefix=f"{name}_{label.replace(' ', '_')}_")
        print(f"\n{name}: over {partitions} partitions, mean [lowest, highest]")
        print(over_partitions(pd.concat(tables, ignore_index=True)).to_string(), flush=True)
    return metrics


def over_partitions(table: pd.DataFrame) -> pd.DataFrame:
    """PR-AUC and log-loss by mechanism and model: mean and range of the partitions."""
    chosen = table[table["metric"].isin(["pr_auc", "log_loss"]) & table["run"].str.startswith("partition")]
    groups = chosen.groupby(["mechanism", "metric", "model"])["value"]
    return groups.agg(lambda v: f"{v.mean():.3f} [{v.min():.3f}, {v.max():.3f}]").unstack(
        ["mechanism", "metric"]
    )


PARTS: dict[str, Callable[[], dict[str, float]]] = {
    "virtual": virtual,
    "cuts": cuts,
    "copper": copper,
    "nickel": nickel,
    "factory": factory,
    "speed": speed,
    "f_deep": f_deep,
}


if __name__ == "__main__":
    main(sys.argv[1:] or tuple(PARTS))
