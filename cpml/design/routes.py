"""Properties of a texture by paths of the polycrystal in tension along x with free sides: what designs are
judged by, and how they change with the weights of its orientations and the strengths of its families.

The route of a design is the affine self-consistent scheme on the whole grid; others draw a discrete texture,
take another scheme, or a full field on a volume sampled from it (cpml.design.verify.proof). Whatever the
polycrystal has gradients of is differentiated exactly; moduli are not, and the count of twinned grains only
by the weights of the grains that are counted.

    r-values         width over thickness strain of the path; pulled at an angle phi in the sheet: the same of
                     orientations turned by -phi about the normal
    twins, activity  shear of a family over the path, (activity x Taylor factor x von Mises strain); over the
                     twin shear for the volume that has twinned
    Considere        first strain at which d sigma/d eps <= sigma, linear between increments; beyond the test
                     the line of its last two increments goes on
    transmission     sum_gh w_g w_h m'(most active system of g, of h)

| symbol | meaning | unit | shape |
|---|---|---|---|
| w | weights of the orientations | - | (G,) |
| tau | strengths at the start, of families | MPa | (K,) |

References: Considere 1885, Ann. Ponts Chauss. 9:574; Luster & Morris 1995, Metall. Mater. Trans. A 26:1745
(m').
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply
from cpml.crystallography.tensors import to_matrix, von_mises_stress
from cpml.crystallography.transfer import m_prime_of_pairs, sample_systems
from cpml.design.goals import ANISOTROPIES, OTHER_LOADS, R_VALUES, Goal
from cpml.design.search.crystal_paths import STEP, TWINNED
from cpml.design.texture import TextureDesign
from cpml.errors import ParameterError
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.laws.strength.begin import begin_at
from cpml.plasticity.laws.strength.hardening import Hardening
from cpml.plasticity.paths.deform import deform
from cpml.plasticity.paths.path import Path
from cpml.plasticity.polycrystal.mean_field import mean_field
from cpml.plasticity.polycrystal.stiffness import polycrystal_stiffness

TOLERANCE = 1e-4
_LIGHT = 1e-4  # of the weight that may be left out, in the lightest orientations
_FINE = 0.1  # strain beyond which increments are four times as large
_CENSORED = 2.0  # times the strain of the test: the latest end of uniform elongation that is told


@dataclass(frozen=True)
class Route:
    """How a polycrystal is solved: the law, whose strengths are those at the start, its hardening, scheme,
    temperature (K), strain increment, and the mean ellipsoid of the grains (None: spheres).
    """

    law: PowerLaw
    hardening: Hardening
    scheme: str = "affine"
    temperature: float = 293.0
    step: float = STEP
    tol: float = TOLERANCE
    elastic: Mapping[str, float] | None = None  # constants of the crystal, MPa; for moduli
    shape: NDArray | None = None  # (3, 3) map from the unit sphere
    unconverged: str = "warn"  # or "stop", as in a path

    def of(self, design: TextureDesign) -> "Route":
        """The route with the strengths and the grain shape of a design that changes them."""
        if design.strengths is None:
            return self
        return replace(self, law=replace(self.law, strength=design.strengths), shape=design.shape)

    def path(
        self, quaternions: NDArray, weights: NDArray | Tensor | None, strain: float, *, angle_deg: float = 0.0
    ) -> Path:
        """The path to an axial strain, pulled at an angle to x in the sheet; 0: the start of flow."""
        increments = self._increments(strain)
        strength = self.law.system_strength
        return deform(
            self.law,
            begin_at(self.hardening, strength) if strength.ndim == 1 else self.hardening,
            _turned(quaternions, -angle_deg),
            weights=weights,
            loading=Conditions.uniaxial(0, float(self.law.reference_rate)),
            increment=increments if len(increments) else 1.0,
            steps=len(increments),
            control="11",
            scheme=self.scheme,
            shape=self.shape,
            temperature=self.temperature,
            unconverged=self.unconverged,
            tol=self.tol,
        )

    def _increments(self, strain: float) -> NDArray:
        """Increments to a strain, larger ones beyond _FINE."""
        fine, rest = min(strain, _FINE), max(strain - _FINE, 0.0)
        parts = ((fine, self.step), (rest, 4 * self.step))
        counts = [int(np.ceil(size / step - 1e-9)) for size, step in parts]
        return np.repeat([size / max(n, 1) for size, n in zip((fine, rest), counts, strict=True)], counts)

    def values(self, quaternions: NDArray, weights: NDArray | None, goals: Sequence[Goal]) -> NDArray:
        """(len(goals),) properties of a texture (G, 4)."""
        if weights is not None:
            kept, weights = _kept(weights)
            quaternions = quaternions[kept]
        with torch.no_grad():
            found = _Properties(
                self, quaternions, None if weights is None else torch.as_tensor(weights), goals
            )
            return np.array([float(found[goal]) for goal in goals])

    def solved(
        self, copies: NDArray, weights: NDArray, goals: Sequence[Goal], *, unconverged: str = "stop"
    ) -> "Solved":
        """Properties of weights (G,) of orientations in all their sample copies (C, G, 4), with gradients;
        CpmlError where a path does not converge, unless it is to "warn".
        """
        shares = torch.tensor(weights, requires_grad=True)
        strength = self.law.strength.detach().clone().requires_grad_(True)
        free = replace(self, law=replace(self.law, strength=strength), unconverged=unconverged)
        found = _Properties(free, copies.reshape(-1, 4), shares.repeat(len(copies)) / len(copies), goals)
        return Solved(shares, strength, [found[goal] for goal in goals])

    def constants(self) -> Mapping[str, float]:
        """Elastic constants, MPa; ParameterError where none are known."""
        if not self.elastic:
            raise ParameterError(
                "young_modulus_gpa needs elastic constants: design for a material that has them"
            )
        return self.elastic

    def check(self, goals: Sequence[Goal]) -> None:
        """ParameterError for goals that the law has nothing for."""
        for goal in goals:
            if goal.family and goal.family not in self.law.systems.family_names:
                raise ParameterError(
                    f"target: activity: the law has no family {goal.family!r}; it has "
                    f"{', '.join(self.law.systems.family_names)}"
                )
            if goal.key == "young_modulus_gpa":
                self.constants()


@dataclass(frozen=True)
class Solved:
    """Properties of a texture and what they hang on."""

    weights: Tensor  # (G,)
    strength: Tensor  # (K,) MPa
    tensors: Sequence[Tensor]

    @property
    def values(self) -> NDArray:
        """(m,) properties."""
        return np.array([float(value.detach()) for value in self.tensors])

    def slopes(self) -> tuple[NDArray, NDArray]:
        """Derivatives by the weights (m, G) and by the strengths (m, K); 0 where there are none."""
        given = (self.weights, self.strength)
        rows: tuple[list[NDArray], list[NDArray]] = ([], [])
        for value in self.tensors:
            slopes: Sequence[Tensor | None] = (None, None)
            if value.requires_grad:
                slopes = torch.autograd.grad(value, given, retain_graph=True, allow_unused=True)
            for column, slope, like in zip(rows, slopes, given, strict=True):
                column.append(np.zeros(len(like)) if slope is None else slope.numpy())
        return np.array(rows[0]), np.array(rows[1])


class _Properties:
    """Properties of one texture, each path solved once."""

    def __init__(
        self, route: Route, quaternions: NDArray, weights: Tensor | None, goals: Sequence[Goal]
    ) -> None:
        self.route, self.quaternions = route, quaternions
        self.weights = torch.full((len(quaternions),), 1 / len(quaternions)) if weights is None else weights
        self.weights = self.weights.to(torch.float64)
        self.known: dict[tuple[float, float], Path] = {}
        self.longest = max((g.strain for g in goals), default=0.0)

    def __getitem__(self, goal: Goal) -> Tensor:
        return _PROPERTY[goal.key](self, goal)

    def path(self, strain: float, angle_deg: float = 0.0) -> Path:
        key = (strain, angle_deg)
        if key not in self.known:
            self.known[key] = self.route.path(self.quaternions, self.weights, strain, angle_deg=angle_deg)
        return self.known[key]

    def along(self, strain: float) -> Path:
        """The path along x that reaches as far as any goal asks, the start of flow included."""
        assert strain <= self.longest
        return self.path(self.longest)

    def loaded(self, axis: int, sign: int) -> Tensor:
        """Yield stress under another load than tension along x."""
        route = self.route
        loading = Conditions.uniaxial(axis, sign * float(route.law.reference_rate))
        return mean_field(
            route.law,
            self.quaternions,
            loading=loading,
            weights=self.weights,
            scheme=route.scheme,
            shape=route.shape,
            tol=route.tol,
        ).von_mises


def _turned(quaternions: NDArray, angle_deg: float) -> NDArray:
    """Orientations turned about z."""
    if angle_deg == 0:
        return quaternions
    turn = axis_angle_to_quaternion([0.0, 0.0, 1.0], np.deg2rad(angle_deg))
    return quaternion_multiply(turn, quaternions)


def _kept(weights: NDArray) -> tuple[NDArray, NDArray]:
    """Rows of the orientations that count, and their weights."""
    order = np.argsort(weights)
    light = np.cumsum(weights[order]) <= _LIGHT * weights.sum()
    kept = np.sort(order[~light])
    return kept, weights[kept]


def _at(strain: float, path: Path, values: Tensor) -> Tensor:
    """A row of a path at a strain, between its increments."""
    control = path.control.detach().numpy()
    if len(control) == 1:
        return values[0]
    k = int(np.clip(np.searchsorted(control, strain), 1, len(control) - 1))
    share = float((strain - control[k - 1]) / (control[k] - control[k - 1]))
    return (1 - share) * values[k - 1] + share * values[k]


def _yield(found: _Properties, goal: Goal) -> Tensor:
    return found.along(0.0).von_mises[0]


def _other(found: _Properties, goal: Goal) -> Tensor:
    return found.loaded(*OTHER_LOADS[goal.key])


def _differential(found: _Properties, goal: Goal) -> Tensor:
    pulled, pressed = found.along(0.0).von_mises[0], found.loaded(*OTHER_LOADS["compression_yield_mpa"])
    return 2 * (pressed - pulled) / (pressed + pulled)


def _r_value(found: _Properties, goal: Goal) -> Tensor:
    return _r_along(found, R_VALUES[goal.key], goal.strain)


def _r_along(found: _Properties, angle_deg: float, strain: float) -> Tensor:
    path = found.path(strain, angle_deg)
    rate = to_matrix(path.rate)
    if len(rate) == 1:
        return rate[0, 1, 1] / rate[0, 2, 2]
    dt = path.time.diff()
    width, thickness = ((rate[:-1, k, k] * dt).sum() for k in (1, 2))
    return width / thickness


def _anisotropy(found: _Properties, goal: Goal) -> Tensor:
    zero, half, right = (_r_along(found, angle, goal.strain) for angle in R_VALUES.values())
    if goal.key == ANISOTROPIES[0]:
        return (zero + 2 * half + right) / 4
    return (zero - 2 * half + right) / 2


def _modulus(found: _Properties, goal: Goal) -> Tensor:
    weights = found.weights.detach().numpy()
    stiffness = polycrystal_stiffness(
        found.route.constants(), found.quaternions, weights=weights, shape=found.route.shape
    )
    return torch.as_tensor(1e-3 / np.linalg.inv(stiffness)[0, 0])


def _elongation(found: _Properties, goal: Goal) -> Tensor:
    """Considere's strain (module docstring)."""
    path = found.along(goal.strain)
    stress, strain = path.von_mises, path.control
    left = stress.diff() / strain.diff() - (stress[1:] + stress[:-1]) / 2
    middle = (strain[1:] + strain[:-1]) / 2
    ended = np.flatnonzero(left.detach().numpy() <= 0)
    if len(ended) and ended[0] == 0:
        return middle[0] * torch.exp(left[0] / stress[0])  # below the first increment
    k = int(ended[0]) if len(ended) else len(left) - 1
    slope = (left[k - 1] - left[k]) / (middle[k] - middle[k - 1])
    end = middle[k] + left[k] / slope if float(slope.detach()) > 0 else strain[-1] * _CENSORED
    return end.clamp(max=_CENSORED * float(strain[-1]))


def _tensile(found: _Properties, goal: Goal) -> Tensor:
    path = found.along(goal.strain)
    return (path.von_mises * torch.exp(-path.control)).max()


def _transmission(found: _Properties, goal: Goal) -> Tensor:
    field, systems = found.along(0.0).first, found.route.law.systems
    most = field.shear_rate.detach().abs().argmax(1).numpy()
    plane, direction = sample_systems(systems, found.quaternions)
    rows = np.arange(len(most))
    n, d = plane[rows, most], direction[rows, most]
    return found.weights @ (torch.as_tensor(m_prime_of_pairs(n, d, n, d)) @ found.weights)


def _stress(found: _Properties, goal: Goal) -> Tensor:
    path = found.along(goal.strain)
    return _at(goal.strain, path, path.von_mises)


def _spread(found: _Properties, goal: Goal) -> Tensor:
    stress = von_mises_stress(found.path(goal.strain).last.grain_stress)
    mean = found.weights @ stress / found.weights.sum()
    return (found.weights @ (stress - mean) ** 2 / found.weights.sum()).sqrt() / mean


def _sheared(path: Path) -> Tensor:
    """(N, K) shear of every family up to each row."""
    rate = path.activity * path.taylor_factor[:, None]
    steps = rate[:-1] * path.strain.diff()[:, None]
    return torch.cat([torch.zeros_like(rate[:1]), steps.cumsum(0)])


def _twins(found: _Properties, goal: Goal) -> Tensor:
    systems, path = found.route.law.systems, found.along(goal.strain)
    per_shear = np.zeros(len(path.families))
    for k, name in enumerate(path.families):
        of_family = systems.family == systems.family_names.index(name)
        if systems.twin[of_family].all():
            per_shear[k] = 1 / systems.twin_shear[of_family].mean()
    return _at(goal.strain, path, _sheared(path) @ torch.as_tensor(per_shear))


def _twinned(found: _Properties, goal: Goal) -> Tensor:
    has_twinned = torch.as_tensor(found.path(goal.strain).grain_twins > TWINNED, dtype=torch.float64)
    return found.weights @ has_twinned / found.weights.sum()


def _activity(found: _Properties, goal: Goal) -> Tensor:
    path = found.along(goal.strain)
    sheared = _at(goal.strain, path, _sheared(path))
    return sheared[path.families.index(goal.family)] / sheared.sum()


_PROPERTY: Mapping[str, Callable[[_Properties, Goal], Tensor]] = {
    "yield_stress_mpa": _yield,
    **dict.fromkeys(OTHER_LOADS, _other),
    "strength_differential": _differential,
    **dict.fromkeys(R_VALUES, _r_value),
    **dict.fromkeys(ANISOTROPIES, _anisotropy),
    "young_modulus_gpa": _modulus,
    "uniform_elongation": _elongation,
    "tensile_strength_mpa": _tensile,
    "slip_transmission": _transmission,
    "stress_mpa": _stress,
    "stress_spread": _spread,
    "twin_fraction": _twins,
    "twinned_grains": _twinned,
    "activity": _activity,
}
