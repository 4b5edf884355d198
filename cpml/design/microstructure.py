"""What else than texture may be changed: grain size, annealing twins, particles, the shape of the grains.

    grain boundaries   tau = tau_0 + k d^(-1/2)                       (Hall & Petch, resolved on the systems)
    annealing twins    d (1 - r f) in place of d: of all boundary length a share f is twins, each worth r
                       ordinary ones
    particles          tau += mu b ln(0.785 D/b) / [2 pi sqrt(1 - nu) D (0.779/sqrt(f) - 0.785)]     (Orowan)
    grain shape        ellipsoids with axes sqrt(a), 1, 1/sqrt(a) along x, y, z

Strengths of the law are those of the present state; every variable moves them from there, all families of one
k alike, twins included (particles: slip alone, with the moduli at 293 K). The size that texture would have to
be changed for is measured by relative entropy, in nats; a variable costs z^2/2 where z is its change (of the
logarithm for sizes and shapes) over its `spread`.

| symbol | meaning | unit |
|---|---|---|
| k | of the material (block `hall_petch`) or given | MPa um^(1/2) |
| d, D | grain size, diameter of a particle | um |
| f | share of twin boundaries; volume fraction of particles | - |

References: Hall 1951, Proc. Phys. Soc. B 64:747; Petch 1953, J. Iron Steel Inst. 174:25; Nie 2003, Scripta
Mater. 48:1009 (Orowan's stress of spheres).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.elasticity import crystal_stiffness
from cpml.crystallography.materials import ROOM, Material
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError

LOGARITHMIC = ("grain_size_um", "grain_aspect")
OPTIONS: Mapping[str, Mapping[str, float]] = {
    "grain_size_um": {"k_mpa_um05": np.nan},
    "twin_boundary_fraction": {"resistance": 1.0},
    "particle_fraction": {"diameter_um": 0.05},
    "grain_aspect": {},
}
"""Variables, and the numbers that each may be given beside now, min, max and spread."""
_NOW = {"twin_boundary_fraction": 0.0, "particle_fraction": 0.0, "grain_aspect": 1.0}
_LIMITS = {
    "grain_size_um": (0.1, 1e4),
    "twin_boundary_fraction": (0.0, 0.95),
    "particle_fraction": (0.0, 0.3),
    "grain_aspect": (0.05, 20.0),
}
_SPREAD = 0.5  # of a logarithm
_MOST_K = 1e4


@dataclass(frozen=True)
class Variable:
    """One variable: its present value, its range, what a change costs, and its options (module docstring)."""

    name: str
    now: float
    least: float
    most: float
    spread: float
    options: Mapping[str, float]

    def coordinate(self, value: float) -> float:
        """z of a value."""
        if self.name in LOGARITHMIC:
            return float(np.log(value / self.now) / self.spread)
        return (value - self.now) / self.spread

    def value(self, z: float) -> float:
        """The value at z."""
        if self.name in LOGARITHMIC:
            return float(self.now * np.exp(self.spread * z))
        return self.now + self.spread * z


@dataclass(frozen=True)
class Microstructure:
    """Variables of one material; the texture moves unless it is held."""

    variables: tuple[Variable, ...]
    systems: Systems
    k: NDArray  # (K,) MPa um^(1/2)
    modulus: float  # MPa; NaN: unknown
    poisson: float
    burgers_um: float
    holds_texture: bool = False

    @property
    def box(self) -> NDArray:
        """(V, 2) least and most z."""
        return np.array([sorted((v.coordinate(v.least), v.coordinate(v.most))) for v in self.variables])

    def values(self, z: NDArray) -> dict[str, float]:
        """Values by name, within their ranges."""
        told = self._told(z)
        return {v.name: float(np.clip(told[v.name], v.least, v.most)) for v in self.variables}

    def _told(self, z: NDArray) -> dict[str, float]:
        return {v.name: v.value(float(c)) for v, c in zip(self.variables, z, strict=True)}

    def shift(self, z: NDArray) -> NDArray:
        """(K,) change of the strengths, MPa, from the present state."""
        return self.shift_to(z, np.zeros(len(z)))

    def shift_to(self, z: NDArray, start: NDArray) -> NDArray:
        """(K,) change of the strengths, MPa, between two states."""
        return self._stress(self._told(z)) - self._stress(self._told(start))

    def slope(self, z: NDArray, step: float = 1e-5) -> NDArray:
        """(K, V) of `shift`, by central differences of its closed form."""
        steps = step * np.eye(len(z))
        columns = [(self.shift(z + s) - self.shift(z - s)) / (2 * step) for s in steps]
        return np.array(columns).reshape(len(z), -1).T

    def shape(self, z: NDArray) -> NDArray | None:
        """(3, 3) mean ellipsoid; None where it is no variable."""
        aspect = self.values(z).get("grain_aspect")
        return None if aspect is None else np.diag([np.sqrt(aspect), 1.0, 1 / np.sqrt(aspect)])

    def _stress(self, values: Mapping[str, float]) -> NDArray:
        """(K,) what boundaries and particles add to the strengths, MPa."""
        added = np.zeros(len(self.systems.family_names))
        options = {v.name: v.options for v in self.variables}
        if "grain_size_um" in values:
            twins = values.get("twin_boundary_fraction", 0.0)
            worth = options.get("twin_boundary_fraction", {}).get("resistance", 0.0)
            added += self.k / np.sqrt(values["grain_size_um"] * (1 - worth * twins))
        if values.get("particle_fraction", 0.0) > 0:
            size, f = options["particle_fraction"]["diameter_um"], values["particle_fraction"]
            apart = size * (0.779 / np.sqrt(f) - 0.785)
            bowing = self.modulus * self.burgers_um / (2 * np.pi * np.sqrt(1 - self.poisson) * apart)
            is_slip = np.array([self.systems.slip[self.systems.family == k].all() for k in range(len(added))])
            added += np.where(is_slip, bowing * np.log(0.785 * size / self.burgers_um), 0.0)
        return added


def microstructure_of(
    asked: Mapping[str, object] | None, material: Material | None, systems: Systems
) -> Microstructure | None:
    """The variables of a mapping {name: {now, min, max[, spread, options]}}; "texture": False holds it. None
    where there is nothing but the texture.

    Raises
    ------
    ParameterError : unknown variables or options, ranges that do not hold the present value, constants that
        neither the material nor the mapping has
    """
    if asked is None:
        return None
    if not isinstance(asked, Mapping):
        raise ParameterError(f"variables = {asked!r}: give a mapping of {', '.join(OPTIONS)}")
    asked = dict(asked)
    moves = asked.pop("texture", True)
    if not isinstance(moves, bool):
        raise ParameterError(f"variables: texture = {moves!r} must be true or false")
    variables = tuple(_variable(name, given) for name, given in asked.items())
    if not variables:
        if not moves:
            raise ParameterError("variables: the texture is held and nothing else is given")
        return None
    names = {v.name for v in variables}
    if "twin_boundary_fraction" in names and "grain_size_um" not in names:
        raise ParameterError("variables: twin_boundary_fraction needs grain_size_um (now alone holds it)")
    given = next((asked["grain_size_um"] for v in variables if v.name == "grain_size_um"), None)
    k = _hall_petch(given, material, systems) if given is not None else np.zeros(len(systems.family_names))
    modulus, poisson, burgers = np.nan, np.nan, np.nan
    if "particle_fraction" in names:
        modulus, poisson, burgers = _elastic(material)
    return Microstructure(variables, systems, k, modulus, poisson, burgers, not moves)


def _variable(name: object, given: object) -> Variable:
    if not isinstance(name, str) or name not in OPTIONS:
        raise ParameterError(f"variables: unknown {name!r}; known: texture, {', '.join(OPTIONS)}")
    known = {"now", "min", "max", "spread", *OPTIONS[name]}
    if not isinstance(given, Mapping) or set(given) - known:
        raise ParameterError(f"variables: {name} = {given!r}: give a mapping of {', '.join(sorted(known))}")
    if "now" not in given and name not in _NOW:
        raise ParameterError(f"variables: {name}: now is missing: the value that the strengths are of")
    now = _number(given.get("now", _NOW.get(name)), f"{name}: now")
    least, most = (_number(given.get(key, now), f"{name}: {key}") for key in ("min", "max"))
    low, high = _LIMITS[name]
    if not low <= least <= now <= most <= high:
        raise ParameterError(
            f"variables: {name}: min = {least:g}, now = {now:g}, max = {most:g} must rise, from {low:g} to "
            f"{high:g}"
        )
    spread = given.get("spread", _SPREAD if name in LOGARITHMIC else max((most - least) / 2, 1e-6))
    options = {
        key: _number(given.get(key, default), f"{name}: {key}")
        for key, default in OPTIONS[name].items()
        if key != "k_mpa_um05"
    }
    if options.get("diameter_um", 1.0) < 0.002 or not 0 <= options.get("resistance", 0.0) <= 1:
        raise ParameterError(f"variables: {name}: {options}: diameters from 0.002 um, resistance from 0 to 1")
    spread = _number(spread, f"{name}: spread")
    if not spread > 0:
        raise ParameterError(f"variables: {name}: spread = {spread:g} must be positive")
    return Variable(name, now, least, most, spread, options)


def _number(value: object, name: str) -> float:
    if not isinstance(value, int | float | np.number) or isinstance(value, bool) or not np.isfinite(value):
        raise ParameterError(f"variables: {name} = {value!r} must be a finite number")
    return float(value)


def _hall_petch(given: object, material: Material | None, systems: Systems) -> NDArray:
    """(K,) the constant, given or of the material."""
    assert isinstance(given, Mapping)  # _variable checked it
    block = {} if material is None else material.hall_petch
    k = given.get("k_mpa_um05", block.get("k_mpa_um05"))
    if k is None:
        raise ParameterError(
            "variables: grain_size_um: no Hall-Petch constant: give k_mpa_um05, or a material that has one"
        )
    names = systems.family_names
    if isinstance(k, Mapping):  # of a material's file it may name families that are not in use
        missing = [name for name in names if name not in k]
        if missing:
            raise ParameterError(f"variables: grain_size_um: k_mpa_um05 without {', '.join(missing)}")
        k = [k[name] for name in names]
    values = np.array([_number(v, "grain_size_um: k_mpa_um05") for v in np.ravel(k)])
    if values.size not in (1, len(names)) or not ((values >= 0) & (values <= _MOST_K)).all():
        raise ParameterError(
            f"variables: grain_size_um: k_mpa_um05 = {k}: one number, or one for each family"
        )
    return np.broadcast_to(values, len(names)).astype(float)


def _elastic(material: Material | None) -> tuple[float, float, float]:
    """Shear modulus (MPa), Poisson ratio and Burgers vector (um) for particles."""
    if material is None or not material.elastic:
        raise ParameterError("variables: particle_fraction needs a material with elastic constants")
    stiffness = crystal_stiffness(material.elastic)
    modulus = float(material.shear_modulus(ROOM))
    bulk = float(stiffness[:3, :3].sum() / 9)
    poisson = (3 * bulk - 2 * modulus) / (2 * (3 * bulk + modulus))
    return modulus, poisson, 1e6 * material.burgers
