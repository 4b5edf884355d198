"""Blocks of a material file beside its families: elastic constants, hardening, glide over
temperature, grain boundaries, self-diffusion, cross-slip, validity.

Every block is optional, known keys only, numbers checked; each names its source, and `log_spread` (standard
deviation of the logarithm, for all values of the block) says how far sources disagree.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.interactions import CLASSES
from cpml.errors import DatasetError

HARDENING = {
    "voce": ({"tau1_mpa", "theta0_mpa", "theta1_mpa"}, {"latent", "interactions"}),
    "saturation": ({"h0_mpa", "saturation_mpa", "exponent"}, {"latent", "interactions"}),
    "kocks_mecking": (
        {"tau0_mpa", "k1_per_m", "drag_mpa", "activation", "burgers_nm", "density_per_m2"},
        {"chi", "rate0", "interactions"},
    ),
}
"""Keys of each hardening law: those it needs, those it may have."""
ELASTIC = {
    "fcc": ("C11", "C12", "C44"),
    "bcc": ("C11", "C12", "C44"),
    "hcp": ("C11", "C12", "C13", "C33", "C44"),
}
DIFFUSION = {"d0_m2_per_s", "q_kj_per_mol", "melting_k", "atomic_volume_nm3"}
CORES = {"core_d0_m4_per_s", "core_q_kj_per_mol"}  # diffusion along dislocations, both or none
MODULUS = {"shear_modulus_gpa", "modulus_slope"}  # at 300 K, and T_m/mu dmu/dT; both or none
CROSS_SLIP = {"energy_ev", "activation_volume_b3", "onset_mpa"}
CREEP = {"exponent", "stress_mpa", "temperature_k", "q_kj_per_mol"}  # power-law creep as published
BACK_STRESS = {"modulus_mpa", "saturation_mpa", "lasting_mpa"}  # c, c/d and e of the back stress
FAULT = {"stacking_fault_mj_per_m2"}  # may be told; nothing is computed from it
GLIDE = ("athermal", "activation", "rate0_per_s", "p", "q", "forest")
"""Numbers of thermally activated glide (cpml.plasticity.laws.thermal.glide); forest may be left out, 0."""
MAX = 1e300
_ABOUT = {"source", "log_spread"}


def suggest(key: object, known: Iterable[str]) -> str:
    """The known word nearest to a wrong one, for an error message; empty when none is near."""
    near = get_close_matches(str(key), [str(k) for k in known], n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def check_keys(given: dict, known: set[str], place: str) -> None:
    """DatasetError for a key that is not known."""
    for key in given:
        if key not in known:
            raise DatasetError(
                f"{place}: unknown key {key!r}{suggest(key, sorted(known))}; "
                f"known: {', '.join(sorted(known))}"
            )


def positive(content: dict, key: str, place: str, default: float | None = None) -> float:
    """The number under a key; DatasetError unless it is positive."""
    value = content.get(key, default)
    if not _is_number(value) or value <= 0:
        raise DatasetError(f"{place}: {key} = {value!r} must be a positive number")
    return float(value)


def _is_number(value: object) -> TypeGuard[float]:
    """A finite number, and not true or false."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return abs(value) <= MAX  # a whole number can be larger than any float, and then is no float


def _block(content: dict, key: str, place: str, form: str) -> tuple[dict, str]:
    """A block as a mapping (empty when absent) and its place in the file."""
    block = content.get(key) or {}
    if not isinstance(block, dict):
        raise DatasetError(f"{place}: {key} = {block!r} must be a mapping {form}")
    if block.get("log_spread") is not None:
        positive(block, "log_spread", f"{place}: {key}")
    return block, f"{place}: {key}"


def elastic(content: dict, lattice: str, place: str) -> tuple[dict[str, float], str]:
    """Constants in MPa, and their source."""
    block, place = _block(content, "elastic", place, "of constants in GPa")
    if not block:
        return {}, ""
    check_keys(block, {*ELASTIC[lattice], *_ABOUT}, place)
    return {key: 1e3 * positive(block, key, place) for key in ELASTIC[lattice]}, str(block.get("source", ""))


def validity(content: dict, place: str) -> dict:
    """The block `validity`: where the values hold."""
    block = content.get("validity") or {}
    if not isinstance(block, dict):
        raise DatasetError(f"{place}: validity = {block!r} must be a mapping of temperature_k, rate and note")
    check_keys(block, {"temperature_k", "rate", "note"}, f"{place}: validity")
    return block


def mechanism(content: dict, key: str, needed: set[str], place: str) -> dict:
    """The block `diffusion`, `cross_slip`, `creep` or `back_stress`: all its numbers, none negative,
    and a source.
    """
    block, place = _block(content, key, place, "with source")
    if not block:
        return {}
    optional = {"cross_slip": FAULT, "diffusion": CORES | MODULUS}.get(key, set())
    check_keys(block, needed | _ABOUT | optional, place)
    missing = sorted({"source", *needed} - set(block))
    if missing:
        raise DatasetError(f"{place}: {', '.join(missing)} missing")
    for name in (*needed, *(FAULT & set(block))):
        _not_negative(block[name], f"{place}: {name}")
    if key == "diffusion":
        _pairs_of_diffusion(block, place)
    return dict(block)


def _pairs_of_diffusion(block: dict, place: str) -> None:
    """Cores and modulus: both numbers of each, or none."""
    for pair in (CORES, MODULUS):
        given = sorted(pair & set(block))
        if given and len(given) < len(pair):
            raise DatasetError(f"{place}: {', '.join(sorted(pair - set(given)))} missing beside {given[0]}")
        for name in given:
            if name != "modulus_slope":
                _not_negative(block[name], f"{place}: {name}")
            elif not _is_number(block[name]) or not -2 <= block[name] <= 0:
                raise DatasetError(f"{place}: {name} = {block[name]!r} must be a number from -2 to 0")


def glide(content: dict, families: Sequence[str], place: str) -> dict:
    """The optional block `glide`: every number for all families, shapes of obstacles as they can be."""
    block, place = _block(content, "glide", place, "with source")
    if not block:
        return {}
    check_keys(block, {*GLIDE, *_ABOUT}, place)
    missing = sorted({"source", *GLIDE} - {"forest"} - set(block))
    if missing:
        raise DatasetError(f"{place}: {', '.join(missing)} missing")
    for key in set(GLIDE) & set(block):
        _each_family(block[key], families, f"{place}: {key}")
    values = {key: dict(zip(families, glide_values(block, key, families), strict=True)) for key in GLIDE}
    bounds = {"athermal": (0, 0.99), "activation": (1e-3, 10), "rate0_per_s": (1, 1e15)}
    bounds |= {"p": (0.05, 1), "q": (1, 2), "forest": (0, 1)}
    for key, (low, high) in bounds.items():
        for family, value in values[key].items():
            if not low <= value <= high:
                raise DatasetError(f"{place}: {key}: {family} = {value:g} must be {low:g} to {high:g}")
    for family, value in values["forest"].items():
        if value not in (0, 1) or (value == 1 and values["athermal"][family] == 0):
            raise DatasetError(
                f"{place}: forest: {family} = {value:g} must be 0 or 1, and 1 only beside an athermal share"
            )
    return dict(block)


def hall_petch(content: dict, families: Sequence[str], place: str) -> dict:
    """The optional block `hall_petch`: one constant for all families, or one for each."""
    block, place = _block(content, "hall_petch", place, "with source")
    if not block:
        return {}
    check_keys(block, {"k_mpa_um05", *_ABOUT}, place)
    missing = sorted({"k_mpa_um05", "source"} - set(block))
    if missing:
        raise DatasetError(f"{place}: {', '.join(missing)} missing")
    _each_family(block["k_mpa_um05"], families, f"{place}: k_mpa_um05")
    return dict(block)


def glide_values(block: dict, key: str, families: Sequence[str]) -> NDArray:
    """(K,) numbers of a block `glide` under a key of GLIDE."""
    value = block.get(key, 0.0)
    return np.array([float(value[name] if isinstance(value, dict) else value) for name in families])


def _each_family(value: object, families: Sequence[str], place: str) -> None:
    """DatasetError unless the value is a number that is not negative, or one for each family."""
    if not isinstance(value, dict):
        _not_negative(value, place)
        return
    check_keys(value, set(families), place)
    absent = [f for f in families if f not in value]
    if absent:
        raise DatasetError(f"{place} has no value for {', '.join(absent)}")
    for family, number in value.items():
        _not_negative(number, f"{place}: {family}")


def hardening(content: dict, families: Sequence[str], place: str) -> dict:
    """The optional hardening block: law and keys known, no value negative, one for all or one per family."""
    block, place = _block(content, "hardening", place, "with law and source")
    if not block:
        return {}
    law = block.get("law")
    if not isinstance(law, str) or law not in HARDENING:
        raise DatasetError(
            f"{place}: law = {law!r}{suggest(law, list(HARDENING))}; known: {', '.join(HARDENING)}"
        )
    needed, allowed = HARDENING[law]
    check_keys(block, {"law", *_ABOUT, *needed, *allowed}, place)
    missing = sorted({"source", *needed} - set(block))
    if missing:
        raise DatasetError(f"{place}: {', '.join(missing)} missing for law {law!r}")
    if "interactions" in block:
        _interactions(block, place)
    for key in ((needed | allowed) - {"interactions", "latent"}) & set(block):
        _each_family(block[key], families, f"{place}: {key}")
    if "latent" in block:
        _latent(block["latent"], families, f"{place}: latent")
    return dict(block)


def _latent(value: object, families: Sequence[str], place: str) -> None:
    """One number, or {hardened: {active: number}}."""
    if not isinstance(value, dict):
        _not_negative(value, place)
        return
    check_keys(value, set(families), place)
    for family, row in value.items():
        if not isinstance(row, dict):
            raise DatasetError(f"{place}: {family} = {row!r} must be a mapping of active families")
        check_keys(row, set(families), f"{place}: {family}")
        for active, factor in row.items():
            _not_negative(factor, f"{place}: {active}")


def _interactions(block: dict, place: str) -> None:
    """Factors by class of interaction, in place of `latent`."""
    if "latent" in block or not isinstance(block["interactions"], dict):
        raise DatasetError(
            f"{place}: interactions must be a mapping class: factor, and stands in place of latent"
        )
    check_keys(block["interactions"], set(CLASSES), f"{place}: interactions")
    for name, factor in block["interactions"].items():
        _not_negative(factor, f"{place}: interactions: {name}")


def _not_negative(value: object, place: str) -> None:
    """DatasetError unless the value is a number of at least 0."""
    if not _is_number(value) or value < 0:
        raise DatasetError(f"{place} = {value!r} must be a number that is not negative")
