"""Loads that a specimen may have felt in place of the one that is declared.

A load is turned about the map normal in equal steps; a uniaxial one may also be along the normal, and have
the other sense, where twins could tell."""

import numpy as np
from numpy.typing import NDArray

from cpml.load import Load
from cpml.models.specimen.specimen import Specimen

N_AXES = 6
DECLARED = 0.9
"""Weight of a load that was recorded, before any footprint: one record in ten is wrong."""
UNIAXIAL = ("tension", "compression")


def in_plane_axes(n: int = N_AXES) -> list[list[float]]:
    """``n`` axes in the map, 180 / n degrees apart, the first along x, and the map normal."""
    angles = np.pi * np.arange(n) / n
    return [*([float(np.cos(a)), float(np.sin(a)), 0.0] for a in angles), [0.0, 0.0, 1.0]]


def along(load: Load, axis: NDArray, *, kind: str = "") -> Load:
    """A uniaxial load along another axis (3,), of the same or another kind."""
    return replace_direction(load, kind=kind or load.kind, axis=[float(x) for x in axis])


def replace_direction(load: Load, **direction: object) -> Load:
    """Another direction, with the strain, rate and temperature of ``load``."""
    known = {"strain": load.strain, "temperature": load.temperature}
    values = {"rate": load.rate, **{name: v for name, v in known.items() if v is not None}}
    return Load.from_dict({**direction, **values, "assumed": True})


def turned_load(load: Load, angle: float) -> Load:
    """The load turned by ``angle`` (rad, from x towards y) about the map normal."""
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    if load.kind in UNIAXIAL:
        return along(load, (turn @ load.main_axis).round(12))
    return replace_direction(load, kind="tensor", tensor=(turn @ load.stress @ turn.T).round(12).tolist())


def other_loads(specimen: Specimen, *, n_axes: int = N_AXES) -> dict[str, Load]:
    """Alternatives to the declared load by what they are, in words.

    Turns that leave the stress as it is (any, of a load along the normal) are no alternatives; a uniaxial
    load along the normal is compared with axes in the map instead.
    """
    load = specimen.load
    found = {}
    if load.kind in UNIAXIAL and abs(load.main_axis[2]) > 0.99:
        turned = [along(load, np.array(axis)) for axis in in_plane_axes(n_axes)[:-1]]
    else:  # y points down: counter-clockwise on the screen
        turned = [turned_load(load, -np.pi * k / n_axes) for k in range(1, n_axes)]
        turned = [other for other in turned if np.abs(other.stress - load.stress).max() > 1e-6]
    for k, other in enumerate(turned, 1):
        flat = load.kind in UNIAXIAL and abs(other.main_axis[2]) < 1e-6
        name = f"{load.kind} at {_degrees(other.main_axis):.0f}° in the map" if flat else ""
        found[name or f"the load turned by {180 * k / n_axes:.0f}° in the map"] = other
    if load.kind in UNIAXIAL and abs(load.main_axis[2]) <= 0.99:
        found[f"{load.kind} along the map normal"] = along(load, np.array([0.0, 0.0, 1.0]))
    if load.kind in UNIAXIAL and specimen.systems.twin.any() and np.nansum(specimen.twin_observed) > 0:
        other_kind = UNIAXIAL[load.kind == "tension"]
        found[f"{other_kind} along the same axis"] = along(load, load.main_axis, kind=other_kind)
    return found


def _degrees(axis: NDArray) -> float:
    return float(np.degrees(np.arctan2(-axis[1], axis[0])) % 180)
