"""From a measured map to a question: the same sheet, stronger, formable, with fewer twins; and what is unsure
about it.

| symbol | meaning | unit |
|---|---|---|
| ratio | strength of a family over the reference, with its 90 % interval | - |
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.materials import Material
from cpml.design.goals import Goal, goals_of
from cpml.design.routes import Route
from cpml.design.texture import TextureDesign
from cpml.errors import ParameterError
from cpml.intervals import NINETY_PERCENT
from cpml.load import Load
from cpml.plasticity.laws.law import PowerLaw


class Learned(Protocol):
    """A fitted classifier, as far as designs need it (CoupledClassifier of cpml.models)."""

    strengths_: pd.DataFrame  # family, ratio_low, ratio_high

    def strength_history(self, specimen: Any) -> pd.DataFrame:
        """moment (initial among them), family, strength_mpa."""


class Tested(Protocol):
    """The specimen that it learned from."""

    material: Material
    load: Load
    grains: pd.DataFrame  # with n_pixels

    @property
    def quaternions(self) -> NDArray:
        """(G, 4) crystal_to_sample."""


_FEW = 0.005  # twin fraction below which a texture has no twins to lose


def asked_of_map(
    route: Route,
    quaternions: NDArray,
    weights: NDArray | None = None,
    *,
    yield_factor: float = 1.15,
    r_factor: float = 1.0,
    twin_factor: float = 0.5,
    strain: float = 0.03,
) -> tuple[dict[str, object], dict[str, float]]:
    """A target and what the texture of a map has of it now.

    Parameters
    ----------
    quaternions, weights : (G, 4) grains of the map and their areas
    yield_factor, r_factor : least yield stress and r-value over those of the map
    twin_factor : largest twin fraction at `strain` over that of the map, where it twins at all

    Returns
    -------
    target for `suggest`, and the values of the same goals for the map

    Raises
    ------
    ParameterError : a factor that is not positive
    """
    if not min(yield_factor, r_factor, twin_factor) > 0:
        raise ParameterError(f"factors {yield_factor}, {r_factor}, {twin_factor} must be positive")
    goals: list[Goal] = list(goals_of({"yield_stress_mpa": {"min": 1.0}, "r_value": {"min": 1e-3}}))
    if route.law.systems.twin.any():
        goals += goals_of({"twin_fraction": {"strain": strain, "max": 1.0}})
    values = route.values(quaternions, weights, goals)
    now = {g.name: float(v) for g, v in zip(goals, values, strict=True)}
    target: dict[str, object] = {
        "yield_stress_mpa": {"min": yield_factor * values[0]},
        "r_value": {"min": r_factor * values[1]},
    }
    if len(goals) > 2 and values[2] > _FEW:
        target["twin_fraction"] = {"strain": strain, "max": twin_factor * values[2]}
    return target, now


def draws_of(strengths: pd.DataFrame, count: int = 100, *, seed: int = 0) -> NDArray:
    """(count, K) strengths, MPa, drawn from a table of learned ones: log-normal with the width of the
    intervals of their ratios, each family on its own. The scale that all have in common is not drawn: goals
    that are relative to a map do not feel it.

    Parameters
    ----------
    strengths : initial_mpa (at the start of a test), ratio_low, ratio_high (90 %)
    """
    missing = {"initial_mpa", "ratio_low", "ratio_high"} - set(strengths)
    if missing:
        raise ParameterError(f"table of strengths without {', '.join(sorted(missing))}")
    noise = np.random.default_rng(seed).standard_normal((count, len(strengths)))
    return strengths["initial_mpa"].to_numpy(float) * np.exp(spreads_of(strengths) * noise)


def spreads_of(strengths: pd.DataFrame) -> NDArray:
    """(K,) standard deviations of the logarithms, from the 90 % intervals ratio_low, ratio_high of a table; 0
    for the reference.
    """
    low, high = (np.log(strengths[c].to_numpy(float)) for c in ("ratio_low", "ratio_high"))
    return np.nan_to_num((high - low) / (2 * NINETY_PERCENT), nan=0.0, posinf=0.0)


def learned_law(classifier: Learned, specimen: Tested, *, seed: int = 0) -> tuple[PowerLaw, NDArray]:
    """The law of a specimen's material with the strengths that a classifier learned, at the start of the
    test, and draws (100, K) of them.
    """
    history = classifier.strength_history(specimen)
    first = history[history["moment"] == "initial"].set_index("family")["strength_mpa"]
    table = classifier.strengths_.assign(initial_mpa=first[classifier.strengths_["family"]].to_numpy())
    law = PowerLaw.from_material(specimen.material, strength=table["initial_mpa"].to_numpy(float))
    return law, draws_of(table, seed=seed)


def goal_table(
    design: TextureDesign,
    goals: Sequence[Goal],
    now: Mapping[str, float],
    chance: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """What was asked, what the map has and what a design has.

    Parameters
    ----------
    now : goals of the map (`asked_of_map`)
    chance : `chance_table` of the design

    Returns
    -------
    table goal, low, high (bounds), now, design, p5, p95 (90 % of the strengths; NaN without chance)
    """
    rows = None if chance is None else chance.set_index("goal")
    ends = [(np.nan, np.nan) if rows is None else tuple(rows.loc[g.name, ["low", "high"]]) for g in goals]
    return pd.DataFrame(
        {
            "goal": [g.name for g in goals],
            "low": [g.low for g in goals],
            "high": [g.high for g in goals],
            "now": [now.get(g.name, np.nan) for g in goals],
            "design": [design.properties[g.name] for g in goals],
            "p5": [low for low, _ in ends],
            "p95": [high for _, high in ends],
        }
    )


def grain_size_of_map(material: Material, diameters_um: NDArray, *, finest: float = 0.1) -> dict[str, object]:
    """The grain size as a variable for `suggest`: now that of a map, down to a share of it; empty for a
    material without a Hall-Petch constant.

    Parameters
    ----------
    diameters_um : of the grains of the map; their mean is the size
    """
    if not material.hall_petch:
        return {}
    now = float(np.mean(diameters_um))
    constant = material.hall_petch["k_mpa_um05"]
    return {"grain_size_um": {"now": now, "min": finest * now, "max": now, "k_mpa_um05": constant}}


def change_table(ways: Mapping[str, TextureDesign], goals: Sequence[Goal]) -> pd.DataFrame:
    """What must change for goals, by different ways, the values reached beside.

    Parameters
    ----------
    ways : name -> design, all closest to the present texture

    Returns
    -------
    table way, status, volume_moved (share of the volume whose orientation changes), grain_size_um (NaN where
    it stays), one column for each goal
    """
    rows = [
        {
            "way": name,
            "status": design.status,
            "volume_moved": design.certificate["volume_moved"],
            "grain_size_um": design.microstructure.get("grain_size_um", np.nan),
        }
        | {g.name: design.properties[g.name] for g in goals}
        for name, design in ways.items()
    ]
    return pd.DataFrame(rows)
