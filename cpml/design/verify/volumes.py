"""A design in a volume of grains: its goals by a full field, neighbours in place of a mean medium; and
designs that are judged by it.

A volume holds some hundred grains, so that its texture is a sample with an error of its own. That error is
nearly the same in a mean field of the same grains, and cancels:

    v_field(w) ~ v(w) f/m,    f, m: goal of the sample by the full field and by the route of the design

A design is judged by v_field: where it misses, the route is asked for goals over f/m, and again, until both
agree. One volume of 240 grains is a small sample: means over several are nearer to what another volume
has. Only what volumes are solved for has f: other goals stay with the route.
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
_TOL, _INCREMENTS, _ROUNDS = 1e-3, 10, 8
_WHOLE = 2  # rounds that take the factors of the last sample whole; later ones the mean with those before


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


def in_volumes(
    design: TextureDesign,
    goals: Sequence[Goal],
    route: Route,
    *,
    count: int = 1,
    cells: int | None = None,
    seed: int = 1,
) -> InVolume:
    """Means over volumes of other grains and other places (seeds seed, seed + 1, ...)."""
    each = [in_volume(design, goals, route, cells=cells or CELLS, seed=seed + k) for k in range(count)]
    return InVolume(*(np.mean([getattr(v, name) for v in each], axis=0) for name in ("field", "route")))


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
    volumes: int = 1,
) -> TextureDesign:
    """The design whose goals are met by the mean full field of some volumes to MET; its properties are those
    of the fields.
    """
    factor, best = np.ones(len(goals)), None
    for k in range(_ROUNDS):
        design = make(tuple(_moved(g, f) for g, f in zip(goals, factor, strict=True)))
        found = in_volumes(design, goals, route, count=volumes, seed=seed).factor
        values = np.array(list(design.properties.values())) * found
        factor = found if k < _WHOLE else np.sqrt(factor * found)
        worst = max(abs(g.deviation(v)) for g, v in zip(goals, values, strict=True))
        if best is None or worst < best[0]:
            best = (worst, design, values)
        if worst <= MET:
            break
    assert best is not None  # there is a first round
    worst, design, values = best
    about = {k: v for k, v in design.certificate.items() if k != "proven_deviation"}  # of the moved goals
    return replace(
        design,
        status="reached" if worst <= MET else "nearest",
        target={g.name: g.low if g.is_equality else g.words for g in goals},
        properties={g.name: float(v) for g, v in zip(goals, values, strict=True)},
        certificate=about | {"largest_deviation": worst},
        alternatives=(),
    )


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
