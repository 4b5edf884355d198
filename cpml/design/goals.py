"""What is asked of a microstructure: numbers, bounds or curves of its properties, in tension along x of a
sheet with width y and normal z.

| property | meaning | asked as |
|---|---|---|
| yield_stress_mpa | stress at the start of flow | number, or {min, max} |
| r_value | width over thickness strain, over the strain of the test | number, or {min, max} |
| compression_yield_mpa | stress at the start of flow under compression along x | number, or {min, max} |
| yield_stress_y_mpa, yield_stress_z_mpa | the same in tension along y and z | number, or {min, max} |
| young_modulus_gpa | along x, of the elastic polycrystal | number, or {min, max} |
| stress_mpa | stress at a strain | {strain, value} or {strain, min, max} |
| curve | stress-strain curve | {strain: [...], stress_mpa: [...]}, met within `within` (1 %) |
| twin_fraction | volume that has twinned, at a strain | {strain, value} or {strain, min, max} |
| twinned_grains | share of the grains with more than 5 % of twins, at a strain | as twin_fraction |

Strains are plastic, logarithmic and tensile; several may be asked at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cpml.errors import ParameterError

OTHER_LOADS = {
    "compression_yield_mpa": (0, -1),
    "yield_stress_y_mpa": (1, 1),
    "yield_stress_z_mpa": (2, 1),
}
"""Axis and sense of the loads of yield stresses other than tension along x."""
PLAIN = ("yield_stress_mpa", "r_value", *OTHER_LOADS, "young_modulus_gpa")
AT_STRAIN = ("stress_mpa", "twin_fraction", "twinned_grains")
PROPERTIES = (*PLAIN, *AT_STRAIN, "curve")
SHARES = ("twin_fraction", "twinned_grains")
LARGEST_STRAIN = 0.3
CURVE_WITHIN = 0.01
"""Share of its stress within which every point of a curve is asked for."""


@dataclass(frozen=True)
class Goal:
    """One condition: low <= property <= high; equal for a number."""

    key: str
    low: float
    high: float
    strain: float = 0.0

    @property
    def name(self) -> str:
        """The property with its strain, as tables have it."""
        return self.key if self.key in PLAIN else f"{self.key} at {self.strain:g}"

    @property
    def is_equality(self) -> bool:
        """Whether one number is asked for."""
        return self.low == self.high

    @property
    def size(self) -> float:
        """What deviations are measured by: the number asked for; of shares at least one hundredth."""
        size = max(abs(v) for v in (self.low, self.high) if np.isfinite(v))
        return max(size, 0.01) if self.key in SHARES else size

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
    return tuple(goals)


def _goal(key: str, asked: object) -> Goal:
    if isinstance(asked, Mapping):
        allowed = {"min", "max", "value", *(["strain"] if key in AT_STRAIN else [])}
        wrong = sorted(map(str, set(asked) - allowed))
        if wrong:
            raise ParameterError(f"target: {key}: unknown {wrong[0]!r}; known: {', '.join(sorted(allowed))}")
        strain = _number(asked.get("strain"), f"{key}: strain") if key in AT_STRAIN else 0.0
        bounds = {k: _number(asked[k], f"{key}: {k}") for k in ("min", "max", "value") if k in asked}
        if not bounds or ("value" in bounds and len(bounds) > 1):
            raise ParameterError(
                f"target: {key} = {dict(asked)!r}: give value, or min and max, or one of them"
            )
        low = bounds.get("value", bounds.get("min", -np.inf))
        high = bounds.get("value", bounds.get("max", np.inf))
        if low > high:
            raise ParameterError(f"target: {key}: min = {low:g} is above max = {high:g}")
    elif key in AT_STRAIN:
        raise ParameterError(f"target: {key} = {asked!r}: give {{strain: ..., value: ...}}, or min and max")
    else:
        low = high = _number(asked, key)
        strain = 0.0
    if key in AT_STRAIN and not 0 < strain <= LARGEST_STRAIN:
        raise ParameterError(
            f"target: {key}: strain = {strain:g} must be above 0 and at most {LARGEST_STRAIN:g}"
        )
    least, most = (0.0, 1.0) if key in SHARES else (np.nextafter(0.0, 1.0), np.inf)
    for bound in (low, high):
        if np.isfinite(bound) and not least <= bound <= most:
            what = "a share from 0 to 1" if key in SHARES else "a positive number"
            raise ParameterError(f"target: {key} = {bound:g} must be {what}")
    return Goal(key, low, high, strain)


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
