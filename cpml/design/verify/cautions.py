"""Where a design goes beyond what is known: conditions of the test, strengths, sharpness of the texture,
grain sizes.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.materials import Material
from cpml.design.goals import Goal
from cpml.design.routes import Route
from cpml.design.texture import TextureDesign
from cpml.design.verify.sensitivity import sensitivity

FEW = 0.02
"""Share of the grid's orientations below which a texture counts as sharper than processes make it."""
UNSURE = 0.1
"""Change of a goal, over its size, by one spread of a strength, that is worth a line."""
FAR_DEG = 20.0
"""Distance to the nearest process, deg."""
SMALL_UM, LARGE_UM = 1.0, 500.0
"""Grain sizes between which the constant of Hall and Petch is known to hold."""


def cautions(
    design: TextureDesign,
    goals: Sequence[Goal],
    route: Route,
    material: Material,
    *,
    log_spreads: NDArray | None = None,
    processes: pd.DataFrame | None = None,
) -> list[str]:
    """Lines that say where a design extrapolates; empty where it does not.

    Parameters
    ----------
    material : whose validity counts
    log_spreads : (K,) of the strengths, learned ones for example; None: those of the material
    processes : of `process_path` with this design: how far the nearest product is
    """
    lines = _conditions(route, material)
    table = sensitivity(design, goals, route)
    spreads = material.log_spreads if log_spreads is None else log_spreads
    for family, spread in zip(material.families, spreads, strict=True):
        per_spread = table[table["change"].str.startswith(f"{family} +")]
        worst = per_spread.loc[per_spread["deviation"].abs().idxmax()]
        change = abs(worst["deviation"]) / 0.1 * spread
        if change > UNSURE:
            much = f"{change:.0%}" if change < 1 else "more than all of it"
            lines.append(
                f"{worst['goal']} moves by {much} within one standard deviation of the strength of {family} "
                f"({spread:.0%})"
            )
    share = design.effective_orientations / len(design.weights)
    if share < FEW:
        lines.append(f"the texture is sharp: {share:.1%} of all orientations carry it")
    if processes is not None and "distance_deg" in processes:
        nearest = processes.loc[processes["distance_deg"].idxmin()]
        if nearest["distance_deg"] > FAR_DEG:
            lines.append(
                f"the nearest of the processes tried ({nearest['process']} {nearest['strain']}) is "
                f"{nearest['distance_deg']:.0f} deg away"
            )
    size = design.microstructure.get("grain_size_um", np.nan)
    if not SMALL_UM <= size <= LARGE_UM and np.isfinite(size):
        lines.append(f"grains of {size:.3g} um lie outside {SMALL_UM:g} to {LARGE_UM:g} um")
    return lines


def _conditions(route: Route, material: Material) -> list[str]:
    """Temperature and rate against the validity of the material's file."""
    told = {"temperature_k": (route.temperature, "K"), "rate": (float(route.law.reference_rate), "1/s")}
    lines = []
    for key, (value, unit) in told.items():
        low, high = material.validity.get(key, (-np.inf, np.inf))
        if not low <= value <= high:
            lines.append(
                f"{value:g} {unit} lies outside {low:g} to {high:g} {unit}, where the material's file holds"
            )
    return lines
