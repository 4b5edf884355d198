"""A design in a volume of grains: its goals by a full field, neighbours in place of a mean medium; and
designs that are judged by it.

A volume holds some hundred grains, so that its texture is a sample with an error of its own. Part of that
error is the same in a mean field of the same grains, and cancels:

    v_field(w) ~ v(w) f/m,    f, m: goal of samples by the full field and by the route of the design

A design is judged by v_field. Each round solves one more volume, of other grains, and asks the route for
goals over the ratio of the means of all volumes so far, the first left out: an average that settles as they
add up. Only what volumes are solved for has f: other goals stay with the route.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.tensors import to_vector, von_mises_stress
from cpml.crystallography.transfer import m_prime, sample_systems
from cpml.design.goals import AT_STRAIN, SHARES, Goal
from cpml.design.routes import Route
from cpml.design.search.crystal_paths import TWINNED
from cpml.design.texture import TextureDesign
from cpml.load import Load
from cpml.plasticity.field_path.path import full_field_path
from cpml.plasticity.field_path.record import FieldPath
from cpml.virtual.volumes.tessellation import random_grains

CELLS, DIAMETER = 20, 4.0
"""Voxels along the edge of a volume, and of a grain across: some 240 grains."""
MET = 0.03
"""Deviation of a goal by the full field that counts as met."""
_OF_FIELD = ("yield_stress_mpa", "r_value", *AT_STRAIN, "slip_transmission")
VOLUMES = 8
"""Volumes that a design is judged by."""
_TOL, _INCREMENTS = 1e-3, 10


@dataclass(frozen=True)
class InVolume:
    """Goals (m,) of a sample of a design by a full field (NaN: not one of its goals) and by the
    design's route.
    """

    field: NDArray
    route: NDArray

    @property
    def factor(self) -> NDArray:
        """(m,) f/m, within a hundred; 1 where there is none."""
        ratio = self.field / np.where(self.route > 0, self.route, np.nan)
        return np.where(np.isfinite(ratio), np.clip(ratio, 0.01, 100.0), 1.0)


def in_volume(
    design: TextureDesign, goals: Sequence[Goal], route: Route, *, cells: int = CELLS, seed: int = 1
) -> InVolume:
    """Solve a periodic volume of the design's texture over the longest strain of the goals."""
    index = random_grains((cells,) * 3, DIAMETER, np.random.default_rng(seed))
    volume = np.bincount(index.ravel()) / index.size
    route, grains = route.of(design), design.draw(len(volume), seed=seed)
    strain = max((g.strain for g in goals if g.key in _OF_FIELD), default=0.0)
    path = full_field_path(
        route.law,
        index,
        grains,
        loading=Load.from_dict({"kind": "tension", "axis": "x", "rate": float(route.law.reference_rate)}),
        strain=strain or 1e-4,
        steps=_INCREMENTS if strain else 1,
        hardening=route.hardening,
        temperature=route.temperature,
        tol=_TOL,
    )
    systems = route.law.systems
    field = np.array(
        [_value(goal, path, grains, systems) if goal.key in _OF_FIELD else np.nan for goal in goals]
    )
    return InVolume(field, route.values(grains, volume, goals))


def with_field(
    make: Callable[[tuple[Goal, ...]], TextureDesign],
    goals: tuple[Goal, ...],
    route: Route,
    *,
    seed: int,
    volumes: int = VOLUMES,
) -> TextureDesign:
    """The design whose goals are met by the full field, on the mean of some volumes; its properties are those
    of the fields, and its certificate has their relative standard errors.
    """
    factor, solved = np.ones(len(goals)), []
    for k in range(volumes + 1):
        design = make(tuple(_moved(g, f) for g, f in zip(goals, factor, strict=True)))
        solved.append(in_volume(design, goals, route, cells=CELLS, seed=seed + k))
        factor = _mean(solved[1:] or solved).factor  # the first is of a texture that is left behind
    design = make(tuple(_moved(g, f) for g, f in zip(goals, factor, strict=True)))
    values = np.array(list(design.properties.values())) * factor
    worst = max(abs(g.deviation(v)) for g, v in zip(goals, values, strict=True))
    spread = np.std([np.log(v.factor) for v in solved[1:]], axis=0, ddof=1 if volumes > 1 else 0)
    errors = zip(goals, spread / np.sqrt(volumes), strict=True)
    about = {k: v for k, v in design.certificate.items() if k != "proven_deviation"}  # of the moved goals
    return replace(
        design,
        status="reached" if worst <= MET else "nearest",
        target={g.name: g.low if g.is_equality else g.words for g in goals},
        properties={g.name: float(v) for g, v in zip(goals, values, strict=True)},
        certificate=about
        | {"largest_deviation": worst, "standard_error": {g.name: float(e) for g, e in errors}},
        alternatives=(),
    )


def _mean(solved: Sequence[InVolume]) -> InVolume:
    """Means over volumes."""
    return InVolume(*(np.mean([getattr(v, name) for v in solved], axis=0) for name in ("field", "route")))


def _moved(goal: Goal, factor: float) -> Goal:
    """The goal of the route whose field value is the goal."""
    low, high = goal.low / factor, goal.high / factor
    if goal.key in SHARES:
        low, high = (float(np.clip(v, 0.0, 1.0)) if np.isfinite(v) else v for v in (low, high))
    return replace(goal, low=low, high=high)


def _value(goal: Goal, path: FieldPath, grains: NDArray, systems: Systems) -> float:
    axial = np.log(path.gradient[:, 0, 0])
    share = np.bincount(path.grain_index.ravel()) / path.grain_index.size
    if goal.key == "yield_stress_mpa":
        return float(path.von_mises[0])
    if goal.key == "r_value":
        stretch = path.gradient[-1]
        return float(np.log(stretch[1, 1]) / np.log(stretch[2, 2]))
    if goal.key == "slip_transmission":
        return _transmission(path, grains, systems)
    if goal.key == "stress_spread":
        stress = von_mises_stress(to_vector(path.grain_stress))
        mean = stress @ share
        values = np.sqrt((stress - mean[:, None]) ** 2 @ share) / np.maximum(mean, 1e-300)
    elif goal.key == "activity":
        sheared = share @ np.abs(path.grain_shear)  # (T, S)
        of_family = sheared[:, np.array(path.modes) == goal.family].sum(1)
        values = of_family / np.maximum(sheared.sum(1), 1e-300)
    else:
        rows = {
            "stress_mpa": path.von_mises,
            "twin_fraction": path.grain_twinned @ share,
            "twinned_grains": (path.grain_twinned > TWINNED) @ share,
        }
        values = rows[goal.key]
    return float(np.interp(goal.strain, axial, values))


def _transmission(path: FieldPath, grains: NDArray, systems: Systems) -> float:
    """Mean m' between the most active systems of grains that touch, each pair by its faces."""
    index, most = path.grain_index, np.abs(path.grain_shear[1]).argmax(1)
    plane, direction = sample_systems(systems, grains)
    n, d = plane[np.arange(len(most)), most], direction[np.arange(len(most)), most]
    pairs = [(index.ravel(), np.roll(index, 1, axis).ravel()) for axis in range(index.ndim)]
    a, b = (np.concatenate(side) for side in zip(*pairs, strict=True))
    touches = a != b
    return float(m_prime(n[a], d[a], n[b], d[b])[touches].mean())
