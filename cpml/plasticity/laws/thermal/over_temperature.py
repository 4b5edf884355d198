"""Strengths of a material file over temperature and rate, by its thermally activated glide
(cpml.plasticity.laws.thermal.glide).

| symbol | meaning | unit |
|---|---|---|
| tau | stress at which a family moves at a rate | MPa |
| n | d ln rate / d ln tau there | |
"""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from cpml.crystallography.materials import ROOM, Material
from cpml.plasticity.laws.thermal.glide import ThermalGlide

_NEAR = 30.0  # K from ROOM within which strengths of a file without a block `glide` are taken as they are


def strength_table(
    material: Material, *, temperatures: ArrayLike, rates: ArrayLike = (1e-3,)
) -> pd.DataFrame:
    """Strengths of all families over temperature and rate.

    Parameters
    ----------
    material : with the block glide
    temperatures : K
    rates : 1/s

    Returns
    -------
    table rate_per_s, temperature_k, family, strength_mpa, exponent (n of the family)

    Raises
    ------
    ParameterError : a material without the block glide
    """
    rows = []
    for rate in np.atleast_1d(np.asarray(rates, float)):
        for temperature in np.atleast_1d(np.asarray(temperatures, float)):
            law = ThermalGlide.from_material(material, float(temperature))
            stress, n = _families(law, law.stress_at(rate)), _families(law, law.exponent_at(rate))
            rows += [
                (rate, temperature, *row) for row in zip(law.systems.family_names, stress, n, strict=True)
            ]
    return pd.DataFrame(rows, columns=["rate_per_s", "temperature_k", "family", "strength_mpa", "exponent"])


def at_conditions(material: Material, temperature: float | None, rate: float) -> Material:
    """The material with the strengths that its families have at a temperature, K (None: 293), and a rate,
    1/s.

    The exponent n stays as the file has it. `log_spread` grows by the spread of the block `glide` times what
    the strength changes. The copy has no block `glide`: its strengths are of one temperature. A file without
    that block comes back as it is, with a warning where the test was more than 30 K away from 293 K.
    """
    kelvin = ROOM if temperature is None else float(temperature)
    if not material.glide:
        if abs(kelvin - ROOM) > _NEAR:
            warnings.warn(
                f"material {material.name!r} has no block glide: strengths of {ROOM:g} K stand in at "
                f"{kelvin:g} K",
                stacklevel=2,
            )
        return material
    law = ThermalGlide.from_material(material, kelvin)
    strengths = _families(law, law.stress_at(rate))
    spread = float(material.glide.get("log_spread", 0.0))
    families = {
        name: replace(
            family,
            strength=float(strength),
            log_spread=float(np.hypot(family.log_spread, spread * np.log(strength / family.strength))),
        )
        for (name, family), strength in zip(material.families.items(), strengths, strict=True)
    }
    return replace(material, families=families, reference_rate=float(rate), glide={})


def _families(law: ThermalGlide, values: Tensor) -> NDArray:
    """(K,) of (S,): the systems of a family are alike."""
    first = [int(np.argmax(law.systems.family == k)) for k in range(len(law.systems.family_names))]
    return values.detach().numpy()[first]
