"""Power-law creep as published, to lay beside the law: nothing is computed from it.

    gamma_dot = 1e-6 /s exp[-Q/R (1/T - 1/T1)] (tau mu(T1) / (tau1 mu(T)))^N

tau1 is the shear stress that gives 1e-6 /s at T1, usually half the melting point: block `creep` of a material
file. Von Mises measures: sigma = sqrt(3) tau, rate = gamma_dot/sqrt(3).

| symbol | meaning | unit |
|---|---|---|
| tau1, T1, Q, N | stress, temperature, activation energy, exponent of the block | MPa, K, J/mol, - |
| mu | shear modulus (Material.shear_modulus) | MPa |

Reference for the form: Sargent & Ashby 1982, Scripta Metall. 16:1415.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import R

from cpml.crystallography.materials import Material

_RATE = 1e-6  # 1/s, in shear, of the stress in a file


def creep_stress(material: Material, temperature: ArrayLike, rate: ArrayLike) -> NDArray:
    """Von Mises stress, MPa, of published power-law creep at temperatures, K, and von Mises rates, 1/s; NaN
    where the file has no block `creep`.

    Examples
    --------
    >>> from cpml.crystallography import load_material
    >>> float(creep_stress(load_material("copper"), 678.0, 1e-6 / np.sqrt(3)).round(1))
    60.6
    """
    kelvin, rate = np.broadcast_arrays(np.asarray(temperature, float), np.asarray(rate, float))
    block = material.creep
    if not block:
        return np.full(kelvin.shape, np.nan)
    start, n = float(block["temperature_k"]), float(block["exponent"])
    heat = 1e3 * float(block["q_kj_per_mol"]) / R * (1 / kelvin - 1 / start)
    modulus = material.shear_modulus(kelvin) / material.shear_modulus(start)
    shear = float(block["stress_mpa"]) * modulus * (np.sqrt(3) * rate / _RATE * np.exp(heat)) ** (1 / n)
    return np.sqrt(3) * shear
