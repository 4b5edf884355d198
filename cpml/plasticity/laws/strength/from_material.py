"""Hardening law of a material file, for the families that are used (block `hardening`,
cpml.crystallography.materials).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.elasticity import MANDEL, crystal_stiffness, to_mandel
from cpml.crystallography.interactions import interaction_matrix
from cpml.crystallography.materials import Material
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.laws.strength.back_stress import BackStress
from cpml.plasticity.laws.strength.hardening import Hardening, NoHardening, Saturation, Voce
from cpml.plasticity.laws.strength.kocks_mecking import KocksMecking


def material_hardening(material: Material, *, families: Sequence[str] | None = None) -> Hardening:
    """Voce, Saturation or KocksMecking of a Material, NoHardening when its file has no such block; within
    BackStress where the file describes one.

    Examples
    --------
    >>> from cpml.crystallography import load_material
    >>> type(material_hardening(load_material("magnesium_az31"))).__name__
    'Voce'
    """
    systems, back = material.systems(families), material.back_stress
    rise = _rise(material, systems)
    if not back:
        return rise
    slips, modulus, most = systems.slip, float(back["modulus_mpa"]), float(back["saturation_mpa"])
    return BackStress(
        systems,
        rise,
        modulus=np.where(slips, modulus, 0.0),
        recovery=np.where(slips & (most > 0), modulus / max(most, 1e-300), 0.0),
        lasting=np.where(slips, float(back["lasting_mpa"]), 0.0),
    )


def _rise(material: Material, systems: Systems) -> Hardening:
    """How the strengths rise."""
    block = material.hardening
    if not block:
        return NoHardening()
    names = systems.family_names

    def values(key: str, scale: float = 1.0) -> NDArray:
        """(K,) of one number or a mapping of families."""
        value = block[key]
        return scale * np.array([float(value[name] if isinstance(value, dict) else value) for name in names])

    if block["law"] == "voce":
        return Voce(
            systems, values("tau1_mpa"), values("theta0_mpa"), values("theta1_mpa"), _latent(block, systems)
        )
    if block["law"] == "saturation":
        return Saturation(
            systems, values("h0_mpa"), values("saturation_mpa"), values("exponent"), _latent(block, systems)
        )
    if not material.elastic:
        raise ParameterError(
            f"material {material.name!r} has no elastic constants: its dislocation hardening needs them"
        )
    return KocksMecking(
        systems,
        tau0=values("tau0_mpa"),
        k1=values("k1_per_m"),
        drag=values("drag_mpa"),
        activation=values("activation"),
        shear_modulus=shear_moduli(material, systems),
        burgers=values("burgers_nm", 1e-9),
        density=values("density_per_m2"),
        chi=values("chi") if "chi" in block else 0.9,
        rate0=float(block.get("rate0", 1e7)),
        interactions=interaction_matrix(systems, block["interactions"]) if "interactions" in block else None,
    )


def shear_moduli(material: Material, systems: Systems) -> NDArray:
    """(S,) P:C:P of every system, MPa."""
    mandel = np.einsum("aij,sij->sa", MANDEL, systems.schmid)
    return np.einsum("sa,ab,sb->s", mandel, to_mandel(crystal_stiffness(material.elastic)), mandel)


def _latent(block: dict, systems: Systems) -> NDArray:
    """Factors h (K, K) of families or (S, S) of systems: one number is for systems of different planes,
    coplanar ones harden each other as they harden themselves (Kocks 1970, Metall. Trans. 1:1121).
    """
    if "interactions" in block:
        return interaction_matrix(systems, block["interactions"])
    names = systems.family_names
    given = block.get("latent", 1.0)
    if not isinstance(given, dict):
        is_coplanar = np.abs(systems.plane @ systems.plane.T) > 1 - 1e-9
        return np.where(is_coplanar, 1.0, float(given))
    return np.array([[float(given.get(row, {}).get(column, 1.0)) for column in names] for row in names])
