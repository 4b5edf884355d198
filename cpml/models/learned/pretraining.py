"""From nothing to weights: volumes, members, calibration, and what the result reaches on volumes kept apart.

Volumes of the seeds 0, 1, 2 ... teach; those of `HELD_OUT` on are never learned from. Half of these set the
scale of the covariances, the other half is scored. Everything goes on where it was stopped: volumes and the
state of every member stand in one folder.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import chi2
from torch import Tensor

from cpml.crystallography.materials import load_material
from cpml.errors import ParameterError
from cpml.models.learned.ensemble import (
    LEVELS,
    PARTS,
    Ensemble,
    Familiar,
    numbers_of,
    radius,
    scaled,
    together,
)
from cpml.models.learned.network import Answer, Mechanics, Shape
from cpml.models.learned.training import Schedule, log_scores, train
from cpml.models.learned.volumes import Example, Truth, Volume
from cpml.models.learned.weights import write_ensemble
from cpml.virtual.volumes.factory import EDGE, Order, make_volumes, read_volume

HELD_OUT = 900_000
"""Seeds from here on are kept apart."""
COUNTED = 10.0
"""Pixels of a section that is scored, at least."""
SCORED = (0.5, 0.9)
"""Shares of the truths that regions should hold, which are scored."""
FREEDOM = {"stress": 5, "rate": 5, "spin": 3, "log_total": 1}


@dataclass(frozen=True)
class Plan:
    """What is made."""

    folder: Path
    volumes: int = 1200
    held_out: int = 40
    members: int = 3
    edge: int = EDGE
    schedule: Schedule = field(default_factory=Schedule)
    shape: Shape = field(default_factory=Shape)
    left_out: tuple[str, ...] = ()  # materials that are not learned from
    curve: tuple[int, ...] = ()  # fewer volumes, with which one member is trained as well, for comparison
    workers: int = 2

    def __post_init__(self) -> None:
        if self.volumes < 1 or self.held_out < 2 or self.members < 1:
            raise ParameterError(
                f"pretraining needs volumes, at least two held out, and members; not {self.volumes}, "
                f"{self.held_out}, {self.members}"
            )

    @property
    def taught(self) -> range:
        """Seeds that are learned from."""
        return range(self.volumes)

    @property
    def kept_apart(self) -> range:
        """Seeds that are not."""
        return range(HELD_OUT, HELD_OUT + self.held_out)


def pretrain(plan: Plan, output: Path, *, say: Callable[[str], None] = print) -> Ensemble:
    """Make volumes, train the members, calibrate, score, and write the weights.

    Parameters
    ----------
    output : file of the weights
    say : called with a line on every stage
    """
    order = Order(plan.folder, edge=plan.edge)
    files = make_volumes(order, plan.taught, workers=plan.workers)
    kept = make_volumes(order, plan.kept_apart, workers=plan.workers)
    say(f"{len(files)} volumes to learn from, {len(kept)} kept apart")
    members = _members(plan)
    say(f"{len(members)} members trained")
    volumes = list(_loaded(kept, ()))
    scale, radii = calibration(members, volumes[::2])
    ensemble = Ensemble(tuple(members), _familiar(files, plan.left_out), scale, radii, {})
    scores = score_table(ensemble, volumes[1::2])
    facts = {
        "volumes": plan.volumes,
        "edge": plan.edge,
        "left_out": list(plan.left_out),
        "epochs": plan.schedule.epochs,
        "held_out_seeds": [plan.kept_apart.start, plan.kept_apart.stop],
        "scores": scores.round(4).to_dict("records"),
        "curve": _curve(plan, members[0], volumes),
    }
    ensemble = replace(ensemble, facts=facts)
    write_ensemble(ensemble, output)
    say(scores.to_string(index=False, float_format="%.3f"))
    return ensemble


def _members(plan: Plan) -> list[Mechanics]:
    seeds = range(plan.members)
    if plan.workers == 1 or plan.members == 1:
        return [_member(plan, seed) for seed in seeds]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(plan.workers, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(_member, [plan] * plan.members, seeds))


def _curve(plan: Plan, first: Mechanics, kept: list[Volume]) -> list[dict[str, float]]:
    """volumes, explained, affine of a member that learned from fewer volumes; the first of all at the end."""
    members = {count: _member(replace(plan, volumes=count), 0, f"_of_{count}") for count in plan.curve}
    rows = []
    for count, member in (members | {plan.volumes: first}).items() if plan.curve else ():
        apart = affine = spread = 0.0
        (single,) = in_single_precision([member])
        for volume in kept:
            example = whole(volume)
            truth, base, weight = example.truth.stress, example.surface.base.stress, example.truth.weight
            with torch.no_grad():
                mean = single(example.surface).stress
            apart += float(weight @ ((truth - mean) ** 2).sum(1))
            affine += float(weight @ ((truth - base) ** 2).sum(1))
            spread += float(weight @ ((truth - example.surface.macro) ** 2).sum(1))
        rows.append({"volumes": count, "explained": 1 - apart / spread, "affine": 1 - affine / spread})
    return rows


def _member(plan: Plan, seed: int, kind: str = "") -> Mechanics:
    torch.set_num_threads(1)
    order = Order(plan.folder, edge=plan.edge)
    files = make_volumes(order, plan.taught, workers=1)
    name = "_".join(["member", str(seed), *("without_" + m for m in plan.left_out)]) + kind
    return train(
        list(_loaded(files, plan.left_out)),
        seed=seed,
        shape=plan.shape,
        schedule=plan.schedule,
        checkpoint=plan.folder / f"{name}.pt",
    )


def _loaded(files: Iterable[Path], left_out: tuple[str, ...]) -> Iterable[Volume]:
    """Converged volumes of the materials that are learned from."""
    for path in files:
        arrays = read_volume(path)
        if bool(arrays["converged"]) and str(arrays["material"]) not in left_out:
            yield Volume.of(arrays)


def _familiar(files: list[Path], left_out: tuple[str, ...], most: int = 200) -> Familiar:
    chosen = files[:: max(len(files) // most, 1)]
    examples = (whole(volume).surface for volume in _loaded(chosen, left_out))
    return Familiar.of(torch.cat([numbers_of(surface).double() for surface in examples]))


def in_single_precision(members: Sequence[Mechanics]) -> list[Mechanics]:
    """Copies for volumes, which are kept in single precision."""
    return [deepcopy(member).float() for member in members]


def whole(volume: Volume, *, repeats: bool = False) -> Example:
    """All planes of a volume as maps that end at their edges (or repeat); the kind of surface is declared."""
    cuts = np.arange(0 if repeats else 1, volume.n_cuts, 2)
    return volume.example(cuts, np.ones(len(cuts), bool))


def distances(answer: Answer, truth: Truth) -> dict[str, Tensor]:
    """Squared Mahalanobis distances (G,) of the truth per part."""

    def squared(apart: Tensor, covariance: Tensor) -> Tensor:
        solved = torch.linalg.solve(covariance.double(), apart.double()[..., None])[..., 0]
        return (apart.double() * solved).sum(-1)

    return {
        "stress": squared(truth.stress - answer.stress, answer.stress_covariance),
        "rate": squared(truth.rate - answer.rate, answer.rate_covariance),
        "spin": squared(truth.spin - answer.spin, answer.spin_covariance),
        "log_total": squared(
            (truth.log_total - answer.log_total)[:, None], answer.log_total_variance[:, None, None]
        ),
    }


def calibration(
    members: list[Mechanics], volumes: list[Volume]
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """k per part, with which the 90 % ellipsoid of a normal distribution holds 90 % of the sections of these
    volumes; and the squared radii that then hold the shares `LEVELS`.
    """
    found: dict[str, list[NDArray]] = {part: [] for part in PARTS}
    single = in_single_precision(members)
    with torch.no_grad():
        for volume in volumes:
            example = whole(volume)
            is_counted = example.truth.weight > COUNTED / (COUNTED + 10.0)
            answer = together([member(example.surface) for member in single])
            for part, distance in distances(answer, example.truth).items():
                found[part].append(distance[is_counted].numpy())
    pooled = {part: np.concatenate(distances) for part, distances in found.items()}
    square = {part: np.quantile(d, 0.9) / chi2.ppf(0.9, FREEDOM[part]) for part, d in pooled.items()}
    radii = {part: (np.quantile(d, LEVELS) / square[part]).tolist() for part, d in pooled.items()}
    return {part: float(np.sqrt(k)) for part, k in square.items()}, radii


def score_table(ensemble: Ensemble, volumes: list[Volume]) -> pd.DataFrame:
    """What the ensemble reaches: lattice, surface, part, sections, explained (share of the variance about the
    macroscopic value, by the weights of the sections), explained_affine, log_score (mean log density of the
    truth), cover_50, cover_90.
    """
    rows, single = [], in_single_precision(ensemble.members)
    with torch.no_grad():
        for volume in volumes:
            example = whole(volume)
            answer = together([member(example.surface) for member in single])
            answer = scaled(answer, ensemble.scale, torch.ones(len(example.surface)))
            rows.append(_scores(volume, example, answer, ensemble.radii))
    table = pd.concat(rows)
    groups = []
    for keys, part in [*table.groupby(["lattice", "surface", "part"]), *table.groupby(["surface", "part"])]:
        lattice = keys[0] if len(keys) == 3 else "all"
        weight = part["weight"].to_numpy()
        counted = part[part["counted"]]
        groups.append(
            {
                "lattice": lattice,
                "surface": keys[-2],
                "part": keys[-1],
                "sections": len(counted),
                "explained": 1 - (weight @ part["apart"]) / (weight @ part["spread"]),
                "explained_affine": 1 - (weight @ part["apart_affine"]) / (weight @ part["spread"]),
                "log_score": np.average(part["log_score"], weights=weight),
                "cover_50": counted["inside_50"].mean(),
                "cover_90": counted["inside_90"].mean(),
            }
        )
    return pd.DataFrame(groups)


def _scores(volume: Volume, example: Example, answer: Answer, radii: dict[str, list[float]]) -> pd.DataFrame:
    truth, base, macro = example.truth, example.surface.base, example.surface.macro
    centre = {"stress": macro, "rate": macro * 1.5**0.5, "spin": 0.0 * truth.spin, "log_total": 0.0}
    scores, apart = log_scores(answer, truth), distances(answer, truth)
    frames = []
    for part in PARTS:
        true, mean, affine = (getattr(x, part) for x in (truth, answer, base))
        squares = [(true - x) ** 2 for x in (mean, affine, centre[part])]
        size, size_affine, spread = (x.sum(-1) if x.ndim == 2 else x for x in squares)
        frames.append(
            pd.DataFrame(
                {
                    "part": part,
                    "weight": truth.weight.numpy(),
                    "counted": (truth.weight > COUNTED / (COUNTED + 10.0)).numpy(),
                    "apart": size.numpy(),
                    "apart_affine": size_affine.numpy(),
                    "spread": spread.numpy(),
                    "log_score": scores[part].numpy(),
                    **{
                        f"inside_{level:.0%}"[:-1]: (apart[part] < radius(radii[part], level)).numpy()
                        for level in SCORED
                    },
                }
            )
        )
    lattice = load_material(example.material).lattice
    kind = "free" if bool(volume.arrays["is_free"]) else "section"
    return pd.concat(frames).assign(lattice=lattice, surface=kind)
