"""What is asked of a microstructure: numbers, bounds or curves of its properties, in tension along x of a
sheet with width y and normal z.

| a number, or {min, max} | meaning |
|---|---|
| yield_stress_mpa | stress at the start of flow |
| yield_stress_y_mpa, yield_stress_z_mpa | the same in tension along y and z |
| compression_yield_mpa | the same under compression along x |
| strength_differential | yield stress of compression less that of tension, over their mean |
| r_value, r_value_45, r_value_90 | width over thickness strain, over the strain of the test, pulled along x,
at 45 and at 90 degrees |
| normal_anisotropy | (r_0 + 2 r_45 + r_90)/4 |
| planar_anisotropy | (r_0 - 2 r_45 + r_90)/2 |
| young_modulus_gpa | along x, of the elastic polycrystal |
| uniform_elongation | strain at which hardening falls to the stress (Considere) |
| tensile_strength_mpa | largest force over the initial section, up to a strain of 0.3 |
| slip_transmission | mean m' between the most active systems of two grains of the texture, at the start |

| {strain, value}, or {strain, min, max} | meaning |
|---|---|
| stress_mpa | stress at a strain |
| stress_spread | standard deviation over mean of the grains' von Mises stresses |
| twin_fraction | volume that has twinned |
| twinned_grains | share of the grains with more than 5 % of twins |
| activity | share of one family in all shear so far; with its name, {family, strain, ...} |

A curve is {strain: [...], stress_mpa: [...]}, met within `within` (1 %) at every point.

Strains are plastic, logarithmic and tensile; several may be asked at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cpml.errors import ParameterError

OTHER_LOADS = {
    "compression_yield_mpa": (0, -1),
    "yield_stress_y_mpa": (1, 1),
    "yield_stress_z_mpa": (2, 1),
}
"""Axis and sense of the loads of yield stresses other than tension along x."""
R_VALUES = {"r_value": 0.0, "r_value_45": 45.0, "r_value_90": 90.0}
"""Angles of the pull to x, deg."""
ANISOTROPIES = ("normal_anisotropy", "planar_anisotropy")
PLAIN = (
    "yield_stress_mpa",
    *OTHER_LOADS,
    "strength_differential",
    *R_VALUES,
    *ANISOTROPIES,
    "young_modulus_gpa",
    "uniform_elongation",
    "tensile_strength_mpa",
    "slip_transmission",
)
AT_STRAIN = ("stress_mpa", "stress_spread", "twin_fraction", "twinned_grains", "activity")
PROPERTIES = (*PLAIN, *AT_STRAIN, "curve")
TWINNING = ("twin_fraction", "twinned_grains")
SHARES = (*TWINNING, "activity", "slip_transmission")
SIGNED = ("strength_differential", "planar_anisotropy")
LEAST_SIZE = {"twin_fraction": 0.01, "twinned_grains": 0.01, "activity": 0.01, "strength_differential": 0.1}
LEAST_SIZE |= {"planar_anisotropy": 0.2, "stress_spread": 0.05}
"""What deviations from small numbers are measured by."""
LARGEST_STRAIN = 0.3
BEYOND = 1.25
"""Strain of a test of uniform elongation over the largest that is asked for."""
CURVE_WITHIN = 0.01
"""Share of its stress within which every point of a curve is asked for."""


@dataclass(frozen=True)
class Goal:
    """One condition: low <= property <= high; equal for a number."""

    key: str
    low: float
    high: float
    strain: float = 0.0  # up to which it must be tested
    family: str = ""

    @property
    def name(self) -> str:
        """The property with its family and strain, as tables have it."""
        if self.key in PLAIN:
            return self.key
        return f"{self.key}{f' of {self.family}' if self.family else ''} at {self.strain:g}"

    @property
    def is_equality(self) -> bool:
        """Whether one number is asked for."""
        return self.low == self.high

    @property
    def size(self) -> float:
        """What deviations are measured by: the number asked for, or LEAST_SIZE."""
        size = max(abs(v) for v in (self.low, self.high) if np.isfinite(v))
        return max(size, LEAST_SIZE.get(self.key, 0.0))

    @property
    def words(self) -> str:
        """Its bounds in words."""
        ends = [f"at least {self.low:g}"] if np.isfinite(self.low) else []
        return " and ".join([*ends, *([f"at most {self.high:g}"] if np.isfinite(self.high) else [])])

    def deviation(self, value: float) -> float:
        """Signed distance of a value from the bounds, over `size`; 0 within."""
        return (value - min(max(value, self.low), self.high)) / self.size


def goals_of(targets: Mapping[str, object]) -> tuple[Goal, ...]:
    """The goals of a mapping (module docstring).

    Raises
    ------
    ParameterError : unknown property, numbers out of range, bounds that contradict, nothing asked

    Examples
    --------
    >>> [
    ...     (g.name, g.low, g.high)
    ...     for g in goals_of({"r_value": 1.2, "twin_fraction": {"strain": 0.03, "max": 0.1}})
    ... ]
    [('r_value', 1.2, 1.2), ('twin_fraction at 0.03', -inf, 0.1)]
    """
    if not isinstance(targets, Mapping) or not targets:
        raise ParameterError(f"target = {targets!r}: give a mapping with any of {', '.join(PROPERTIES)}")
    goals: list[Goal] = []
    for key, asked in targets.items():
        if key not in PROPERTIES:
            raise ParameterError(f"target: unknown property {key!r}; known: {', '.join(PROPERTIES)}")
        goals += _curve(asked) if key == "curve" else [_goal(key, asked)]
    test = max((g.strain for g in goals if g.key in AT_STRAIN), default=0.0)
    is_r = (*R_VALUES, *ANISOTROPIES)
    return tuple(replace(g, strain=test) if g.key in is_r else g for g in goals)


def _goal(key: str, asked: object) -> Goal:
    needs_strain, strain, family = key in AT_STRAIN, 0.0, ""
    if isinstance(asked, Mapping):
        allowed = {"min", "max", "value"} | ({"strain"} if needs_strain else set())
        allowed |= {"family"} if key == "activity" else set()
        wrong = sorted(map(str, set(asked) - allowed))
        if wrong:
            raise ParameterError(f"target: {key}: unknown {wrong[0]!r}; known: {', '.join(sorted(allowed))}")
        strain = _number(asked.get("strain"), f"{key}: strain") if needs_strain else 0.0
        family = _family(asked) if key == "activity" else ""
        low, high = _bounds(key, asked)
    elif needs_strain:
        raise ParameterError(f"target: {key} = {asked!r}: give {{strain: ..., value: ...}}, or min and max")
    else:
        low = high = _number(asked, key)
    if needs_strain and not 0 < strain <= LARGEST_STRAIN:
        raise ParameterError(
            f"target: {key}: strain = {strain:g} must be above 0 and at most {LARGEST_STRAIN:g}"
        )
    least = 0.0 if key in SHARES else np.nextafter(0.0, 1.0)
    most = {"uniform_elongation": LARGEST_STRAIN, "strength_differential": 2.0}.get(key, np.inf)
    least = -most if key in SIGNED else least
    most = 1.0 if key in SHARES else most
    for bound in (low, high):
        if np.isfinite(bound) and not least <= bound <= most:
            positive = "a positive number" if np.isinf(most) else f"positive and at most {most:g}"
            within = f"from {least:g} to {most:g}"
            what = f"a share {within}" if key in SHARES else within if key in SIGNED else positive
            raise ParameterError(f"target: {key} = {bound:g} must be {what}")
    if key == "tensile_strength_mpa":
        strain = LARGEST_STRAIN
    if key == "uniform_elongation":
        strain = min(BEYOND * max(b for b in (low, high) if np.isfinite(b)), LARGEST_STRAIN)
    return Goal(key, low, high, strain, family)


def _family(asked: Mapping) -> str:
    family = asked.get("family")
    if not isinstance(family, str) or not family:
        raise ParameterError(f"target: activity: family = {family!r}: name a family of the law")
    return family


def _bounds(key: str, asked: Mapping) -> tuple[float, float]:
    """Lower and upper bound of a mapping."""
    bounds = {k: _number(asked[k], f"{key}: {k}") for k in ("min", "max", "value") if k in asked}
    if not bounds or ("value" in bounds and len(bounds) > 1):
        raise ParameterError(f"target: {key} = {dict(asked)!r}: give value, or min and max, or one of them")
    low = bounds.get("value", bounds.get("min", -np.inf))
    high = bounds.get("value", bounds.get("max", np.inf))
    if low > high:
        raise ParameterError(f"target: {key}: min = {low:g} is above max = {high:g}")
    return low, high


def _curve(asked: object) -> list[Goal]:
    if not isinstance(asked, Mapping) or set(asked) - {"within"} != {"strain", "stress_mpa"}:
        raise ParameterError(
            "target: curve: give {strain: [...], stress_mpa: [...]}, and within where not 1 %"
        )
    within = _number(asked.get("within", CURVE_WITHIN), "curve: within")
    if not 0 <= within < 0.5:
        raise ParameterError(f"target: curve: within = {within:g} must be a share below one half")
    strain, stress = (np.asarray(asked[k], float).ravel() for k in ("strain", "stress_mpa"))
    is_right = strain.shape == stress.shape and len(strain) > 0 and np.isfinite([*strain, *stress]).all()
    if not is_right or not (np.diff(strain) > 0).all() or not (stress > 0).all():
        raise ParameterError("target: curve: strains must rise, stresses be positive, and both of one length")
    if strain[0] <= 0 or strain[-1] > LARGEST_STRAIN:
        raise ParameterError(f"target: curve: strains must lie above 0 and up to {LARGEST_STRAIN:g}")
    return [
        Goal("stress_mpa", float((1 - within) * s), float((1 + within) * s), float(e))
        for e, s in zip(strain, stress, strict=True)
    ]


def _number(value: object, name: str) -> float:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value):  # type: ignore[call-overload]
        raise ParameterError(f"target: {name} = {value!r} must be a finite number")
    return float(value)  # type: ignore[arg-type]
