"""Material files: crystal, families that may operate, their strengths with prior widths, sources and validity.

A file is YAML (shipped ones beside this module, or the user's own path):

    name, title, lattice (fcc|bcc|hcp), a_nm, c_nm (hcp), citation, note
    families: {<family>: {strength_mpa, log_spread, source, note}}
    n, reference_rate                     rate sensitivity of gamma_dot = rate (|tau|/strength)^n
    elastic: {C11, C12, C44[, C13, C33]: GPa, source}
    hardening: {law, source, ...}         optional: voce (tau1_mpa, theta0_mpa, theta1_mpa, latent), saturation (h0_mpa,
                                          saturation_mpa, exponent, latent) or kocks_mecking (tau0_mpa, k1_per_m, drag_mpa,
                                          activation, burgers_nm, density_per_m2, chi, rate0); a value is one number or
                                          {family: number}, latent a number or {hardened: {active: number}}
    validity: {temperature_k: [low, high], rate: [low, high], note}

`log_spread` is the prior standard deviation of ln(strength): published strengths of one metal differ by tens of percent
to factors, which is why strengths are learned. A value that we could not confirm says so in its source.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.symmetry import GROUP_OF_LATTICE
from cpml.crystallography.systems import REPRESENTATIVES, Systems, systems
from cpml.errors import DatasetError
from cpml.safe_yaml import read_yaml

FOLDER = Path(__file__).parent / "materials"
_KEYS = {"name", "title", "lattice", "a_nm", "c_nm", "families", "n", "reference_rate", "elastic", "citation",
         "validity", "note", "hardening"}
_FAMILY_KEYS = {"strength_mpa", "log_spread", "source", "note"}
HARDENING = {"voce": ({"tau1_mpa", "theta0_mpa", "theta1_mpa"}, {"latent"}),
             "saturation": ({"h0_mpa", "saturation_mpa", "exponent"}, {"latent"}),
             "kocks_mecking": ({"tau0_mpa", "k1_per_m", "drag_mpa", "activation", "burgers_nm", "density_per_m2"},
                               {"chi", "rate0"})}
"""Keys of each hardening law: those it needs, those it may have."""
_ELASTIC = {"fcc": ("C11", "C12", "C44"), "bcc": ("C11", "C12", "C44"), "hcp": ("C11", "C12", "C13", "C33", "C44")}


@dataclass(frozen=True)
class FamilyParameters:
    """One family: kind 'slip' or 'twin', initial strength in MPa, prior width of its logarithm, where it is from."""

    kind: str
    strength: float
    log_spread: float
    source: str
    note: str = ""


@dataclass(frozen=True)
class Material:
    """A material file as read (module docstring); a and c in nm, elastic constants in MPa, rates in 1/s."""

    name: str
    title: str
    lattice: str
    a: float
    c: float | None
    families: dict[str, FamilyParameters]
    n: float
    reference_rate: float
    elastic: dict[str, float]
    citation: tuple[str, ...]
    validity: dict
    note: str = ""
    hardening: dict = field(default_factory=dict)  # law, source and values as in the file, checked

    @property
    def c_over_a(self) -> float | None:
        """c/a of a hexagonal crystal, else None."""
        return None if self.c is None else self.c / self.a

    @property
    def strengths(self) -> NDArray:
        """(K,) initial strengths in family order, MPa."""
        return np.array([f.strength for f in self.families.values()])

    @property
    def log_spreads(self) -> NDArray:
        """(K,) prior standard deviations of ln(strength)."""
        return np.array([f.log_spread for f in self.families.values()])

    def table(self):
        """Families with strength and prior width as a table to look at (pandas DataFrame)."""
        import pandas as pd

        rows = [(name, f.kind, f.strength, f.log_spread, f.source) for name, f in self.families.items()]
        return pd.DataFrame(rows, columns=["family", "kind", "strength_mpa", "log_spread", "source"])

    def systems(self, families: Sequence[str] | None = None) -> Systems:
        """Slip and twin systems of the file's families (or of some of them)."""
        return systems(self.lattice, families=tuple(families or self.families), c_over_a=self.c_over_a)


def material_names() -> tuple[str, ...]:
    """Names of the shipped materials."""
    return tuple(sorted(p.stem for p in FOLDER.glob("*.yml")))


def load_material(name_or_path: str | Path) -> Material:
    """A shipped material by name, or a user's own file by path (ending in .yml or .yaml).

    Raises
    ------
    DatasetError : unknown name, unreadable file, unknown key or family, a strength that is not positive; the message
        names file, key and value
    """
    path = Path(name_or_path)
    if path.suffix not in (".yml", ".yaml"):
        name = str(name_or_path)
        if not re.fullmatch(r"[A-Za-z0-9_]+", name) or name not in material_names():
            raise DatasetError(f"material {name!r} is unknown{_suggest(name, material_names())}; shipped: "
                               f"{', '.join(material_names())}; or give the path of a .yml file")
        path = FOLDER / f"{name}.yml"
    if not path.is_file():
        raise DatasetError(f"material file {path} does not exist")
    return _material(read_yaml(path), path)


def _suggest(key: str, known: Sequence[str]) -> str:
    near = get_close_matches(str(key), [str(k) for k in known], n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _check_keys(given: dict, known: set[str], place: str) -> None:
    for key in given:
        if key not in known:
            raise DatasetError(f"{place}: unknown key {key!r}{_suggest(key, sorted(known))}; "
                               f"known: {', '.join(sorted(known))}")


def _positive(content: dict, key: str, place: str, default: float | None = None) -> float:
    value = content.get(key, default)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value) or value <= 0:
        raise DatasetError(f"{place}: {key} = {value!r} must be a positive number")
    return float(value)


def _family(name: str, content: object, lattice: str, path: Path) -> FamilyParameters:
    known = REPRESENTATIVES[lattice]
    place = f"{path}: families: {name}"
    if name not in known:
        raise DatasetError(f"{place}: unknown family for {lattice}{_suggest(name, list(known))}; "
                           f"known: {', '.join(known)}")
    if not isinstance(content, dict):
        raise DatasetError(f"{place}: {content!r} must be a mapping with strength_mpa, log_spread and source")
    _check_keys(content, _FAMILY_KEYS, place)
    if not content.get("source"):
        raise DatasetError(f"{place}: source = {content.get('source')!r}: say where the strength is from")
    return FamilyParameters(known[name][0], _positive(content, "strength_mpa", place),
                            _positive(content, "log_spread", place, 0.5), str(content["source"]),
                            str(content.get("note", "")))


def _elastic(content: dict, lattice: str, place: str) -> dict[str, float]:
    elastic = content.get("elastic") or {}
    if not isinstance(elastic, dict):
        raise DatasetError(f"{place}: elastic = {elastic!r} must be a mapping of constants in GPa")
    if not elastic:
        return {}
    _check_keys(elastic, {*_ELASTIC[lattice], "source"}, f"{place}: elastic")
    return {key: 1e3 * _positive(elastic, key, f"{place}: elastic") for key in _ELASTIC[lattice]}


def _validity(content: dict, place: str) -> dict:
    validity = content.get("validity") or {}
    if not isinstance(validity, dict):
        raise DatasetError(f"{place}: validity = {validity!r} must be a mapping of temperature_k, rate and note")
    _check_keys(validity, {"temperature_k", "rate", "note"}, f"{place}: validity")
    return validity


def _hardening(content: dict, families: Sequence[str], place: str) -> dict:
    """The optional hardening block: law and keys known, every value a non-negative number or one per family."""
    block = content.get("hardening") or {}
    if not isinstance(block, dict):
        raise DatasetError(f"{place}: hardening = {block!r} must be a mapping with law and source")
    if not block:
        return {}
    law = block.get("law")
    if law not in HARDENING:
        raise DatasetError(f"{place}: hardening: law = {law!r}{_suggest(law, list(HARDENING))}; "
                           f"known: {', '.join(HARDENING)}")
    needed, allowed = HARDENING[law]
    place = f"{place}: hardening"
    _check_keys(block, {"law", "source", *needed, *allowed}, place)
    missing = sorted({"source", *needed} - set(block))
    if missing:
        raise DatasetError(f"{place}: {', '.join(missing)} missing for law {law!r}")
    for key in (needed | allowed) & set(block):
        value = block[key]
        if not isinstance(value, dict):
            _not_negative(value, f"{place}: {key}")
            continue
        _check_keys(value, set(families), f"{place}: {key}")
        absent = [f for f in families if f not in value]
        if absent and key != "latent":
            raise DatasetError(f"{place}: {key} has no value for {', '.join(absent)}")
        for family, number in value.items():
            row = number if key == "latent" else {family: number}
            if not isinstance(row, dict):
                raise DatasetError(f"{place}: latent: {family} = {row!r} must be a mapping of active families")
            _check_keys(row, set(families), f"{place}: {key}: {family}")
            for active, factor in row.items():
                _not_negative(factor, f"{place}: {key}: {active}")
    return dict(block)


def _not_negative(value, place: str) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value) or value < 0:
        raise DatasetError(f"{place} = {value!r} must be a number that is not negative")


def _material(content: dict, path: Path) -> Material:
    _check_keys(content, _KEYS, str(path))
    lattice = content.get("lattice")
    if lattice not in GROUP_OF_LATTICE:
        raise DatasetError(f"{path}: lattice = {lattice!r}; choose {', '.join(GROUP_OF_LATTICE)}")
    families = content.get("families")
    if not isinstance(families, dict) or not families:
        raise DatasetError(f"{path}: families = {families!r} must list at least one family with its strength")
    c = _positive(content, "c_nm", str(path)) if lattice == "hcp" else None
    a = _positive(content, "a_nm", str(path))
    if c is not None and not 1.2 < c / a < 2.2:
        raise DatasetError(f"{path}: c_nm = {c}: c/a = {c / a:.3f} is outside 1.2 to 2.2")
    citation = content.get("citation") or ()
    return Material(
        name=str(content.get("name", path.stem)), title=str(content.get("title", path.stem)), lattice=lattice, a=a, c=c,
        families={str(k): _family(str(k), v, lattice, path) for k, v in families.items()},
        n=_positive(content, "n", str(path), 20.0),
        reference_rate=_positive(content, "reference_rate", str(path), 1e-3),
        elastic=_elastic(content, lattice, str(path)),
        citation=(citation,) if isinstance(citation, str) else tuple(str(x) for x in citation),
        validity=_validity(content, str(path)), note=str(content.get("note", "")),
        hardening=_hardening(content, [str(k) for k in families], str(path)))
