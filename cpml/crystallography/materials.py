"""Material files: crystal, families that may operate, their strengths with prior
widths, sources and validity.

A file is YAML (shipped ones beside this module, or the user's own path):

    name, title, lattice (fcc|bcc|hcp), a_nm, c_nm (hcp), lattice_source, citation, note
    element: symbol of the base element, for structure factors                                       optional
    families: {<family>: {strength_mpa, log_spread, source, note}}
    n, reference_rate, rate_source        rate sensitivity of gamma_dot = rate (|tau|/strength)^n, rate in 1/s
    elastic: {C11, C12, C44[, C13, C33]: GPa, source, log_spread}
    hardening: {law, source, log_spread, ...}             optional, one of
        voce: tau1_mpa, theta0_mpa, theta1_mpa, latent
        saturation: h0_mpa, saturation_mpa, exponent, latent
        kocks_mecking: tau0_mpa, k1_per_m, drag_mpa, activation, burgers_nm, density_per_m2, chi, rate0
        a value is one number or {family: number}; latent a number, of systems on different planes, or
        {hardened: {active: number}}, or interactions: {class: factor} (cpml.crystallography.interactions)
    back_stress: {modulus_mpa, saturation_mpa, lasting_mpa, source, log_spread}                     optional
        of every slip system beside its hardening (cpml.plasticity.laws.strength.back_stress: c, c/d, e)
    glide: {athermal, activation, rate0_per_s, p, q[, forest], source, log_spread}         optional
        strength over temperature and rate (cpml.plasticity.laws.thermal.glide), a number or {family: number};
        athermal is the share of strength_mpa, which is meant at 293 K and reference_rate; activation the
        energy of the obstacles over mu b^3; forest 1 where these are dislocations, 0 where not
    diffusion: {d0_m2_per_s, q_kj_per_mol, melting_k, atomic_volume_nm3, source, log_spread}         for climb
        core_d0_m4_per_s, core_q_kj_per_mol: section of a dislocation core times its diffusivity     optional
        shear_modulus_gpa at 300 K, modulus_slope T_m/mu dmu/dT                                      optional
    cross_slip: {energy_ev, activation_volume_b3, onset_mpa, source, log_spread}
        energy_ev is the barrier at the onset stress (cpml.plasticity.laws.thermal.cross_slip)
        stacking_fault_mj_per_m2 may be told                                                         optional
    hall_petch: {k_mpa_um05, source, log_spread}                                                     optional
        what grain boundaries add to strengths, resolved on the systems, over the root of the grain size: a
        number or {family: number}
    creep: {exponent, stress_mpa, temperature_k, q_kj_per_mol, source, log_spread}                   optional
        power-law creep as published, to compare with: the shear stress that gives 1e-6 /s at that temperature
    validity: {temperature_k: [low, high], rate: [low, high], note}

`log_spread` is the prior standard deviation of ln(strength): published strengths of one metal
differ by tens of percent to factors, which is why strengths are learned.

A source names the publication that has the value (and where it is quoted, if it was read there), or reads
"estimate, spread x: why": x is the standard deviation of the logarithm, that of the block where it has one.
Compilations that are quoted, on github.com unless said: DAMASK (damask-multiphysics.org, its examples), VPSC8
(lanl/VPSC_code), the DFM program of Sargent (PhilipSargent/defm-maps), HIP-Densification-Maps (herrriehm),
PyDislocDyn (dblaschke-LANL), the wiki of LightForm (LightForm-group/wiki).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.elasticity import crystal_stiffness, voigt_shear
from cpml.crystallography.material_blocks import (
    BACK_STRESS,
    CREEP,
    CROSS_SLIP,
    DIFFUSION,
    check_keys,
    elastic,
    glide,
    hall_petch,
    hardening,
    mechanism,
    positive,
    suggest,
    validity,
)
from cpml.crystallography.slip_systems import REPRESENTATIVES, Systems, systems
from cpml.crystallography.symmetry import GROUP_OF_LATTICE
from cpml.errors import DatasetError, ParameterError
from cpml.safe_yaml import read_yaml

if TYPE_CHECKING:  # torch loads where it is used
    from torch import Tensor

Numbers = TypeVar("Numbers", float, NDArray, "Tensor")

ROOM = 293.0  # K, temperature of the strengths in a material file
FOLDER = Path(__file__).parent / "materials"
_KEYS = {
    "name",
    "title",
    "lattice",
    "element",
    "a_nm",
    "c_nm",
    "families",
    "n",
    "reference_rate",
    "elastic",
    "citation",
    "validity",
    "note",
    "hardening",
    "lattice_source",
    "rate_source",
    "diffusion",
    "cross_slip",
    "glide",
    "creep",
    "back_stress",
    "hall_petch",
}
_FAMILY_KEYS = {"strength_mpa", "log_spread", "source", "note"}


@dataclass(frozen=True)
class FamilyParameters:
    """One family: kind 'slip' or 'twin', initial strength in MPa, prior width of its
    logarithm, where it is from.
    """

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
    diffusion: dict = field(default_factory=dict)  # as in the file, checked; empty where unknown
    cross_slip: dict = field(default_factory=dict)
    glide: dict = field(default_factory=dict)
    creep: dict = field(default_factory=dict)
    back_stress: dict = field(default_factory=dict)
    hall_petch: dict = field(default_factory=dict)
    elastic_source: str = ""
    lattice_source: str = ""
    rate_source: str = ""
    element: str = ""  # symbol of the base element; "" where the file does not name it

    @property
    def burgers(self) -> float:
        """Shortest Burgers vector of the slip families, m."""
        systems = self.systems()
        return float(1e-9 * self.a * systems.burgers_length[systems.slip].min())

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

    @property
    def hardening_spread(self) -> float:
        """Prior standard deviation of the log of the rise of strengths; one half where the file has none."""
        return float(self.hardening.get("log_spread", 0.5))

    def shear_modulus(self, temperature: Numbers) -> Numbers:
        """Shear modulus, MPa, at temperatures in K: mu0 [1 + k (T - 300 K)/T_m], mu0 and k of the block
        `diffusion`; without them Voigt's mean of the elastic constants, and k = -1/2, that of most fcc metals
        (Frost & Ashby 1982, Table 4.1), or 0 where no melting point is known.

        Raises
        ------
        ParameterError : neither a modulus nor elastic constants in the file
        """
        block = self.diffusion
        if "shear_modulus_gpa" in block:
            room = 1e3 * float(block["shear_modulus_gpa"])
        elif self.elastic:
            room = voigt_shear(crystal_stiffness(self.elastic))
        else:
            raise ParameterError(
                f"material {self.name!r} has no elastic constants: its shear modulus is unknown"
            )
        slope = float(block.get("modulus_slope", -0.5)) / float(block.get("melting_k", np.inf))
        return room * (1 + slope * (temperature - 300.0))

    def table(self) -> pd.DataFrame:
        """Families with strength and prior width as a table to look at."""
        rows = [(name, f.kind, f.strength, f.log_spread, f.source) for name, f in self.families.items()]
        return pd.DataFrame(rows, columns=["family", "kind", "strength_mpa", "log_spread", "source"])

    def systems(self, families: Sequence[str] | None = None) -> Systems:
        """Slip and twin systems of the file's families (or of some of them);
        ParameterError for one it does not have.
        """
        missing = [f for f in families or () if f not in self.families]
        if missing:
            raise ParameterError(
                f"material {self.name!r} has no family "
                f"{missing[0]!r}{suggest(missing[0], list(self.families))}; "
                f"it has {', '.join(self.families)}"
            )
        return systems(self.lattice, families=tuple(families or self.families), c_over_a=self.c_over_a)


def material_names() -> tuple[str, ...]:
    """Names of the shipped materials."""
    return tuple(sorted(p.stem for p in FOLDER.glob("*.yml")))


def load_material(name_or_path: str | Path) -> Material:
    """A shipped material by name, or a user's own file by path (ending in .yml or .yaml).

    Raises
    ------
    DatasetError : unknown name, unreadable file, unknown key or family, a strength that is not positive; the
        message names file, key and value
    """
    path = Path(name_or_path)
    if path.suffix not in (".yml", ".yaml"):
        name = str(name_or_path)
        if not re.fullmatch(r"[A-Za-z0-9_]+", name) or name not in material_names():
            raise DatasetError(
                f"material {name!r} is unknown{suggest(name, material_names())}; shipped: "
                f"{', '.join(material_names())}; or give the path of a .yml file"
            )
        path = FOLDER / f"{name}.yml"
    if not path.is_file():
        raise DatasetError(f"material file {path} does not exist")
    return _material(read_yaml(path), path)


def _family(name: str, content: object, lattice: str, path: Path) -> FamilyParameters:
    """One entry of `families`, checked."""
    known = REPRESENTATIVES[lattice]
    place = f"{path}: families: {name}"
    if name not in known:
        raise DatasetError(
            f"{place}: unknown family for {lattice}{suggest(name, list(known))}; known: {', '.join(known)}"
        )
    if not isinstance(content, dict):
        raise DatasetError(f"{place}: {content!r} must be a mapping with strength_mpa, log_spread and source")
    check_keys(content, _FAMILY_KEYS, place)
    if not content.get("source"):
        raise DatasetError(f"{place}: source = {content.get('source')!r}: say where the strength is from")
    return FamilyParameters(
        known[name].kind,
        positive(content, "strength_mpa", place),
        positive(content, "log_spread", place, 0.5),
        str(content["source"]),
        str(content.get("note", "")),
    )


def _element(content: dict, path: Path) -> str:
    """The symbol of the base element, "" where there is none."""
    element = content.get("element", "")
    if not isinstance(element, str) or not re.fullmatch(r"([A-Z][a-z]?)?", element):
        raise DatasetError(f"{path}: element = {element!r}; write a symbol such as Mg")
    return element


def _material(content: dict, path: Path) -> Material:
    """A file's content, checked."""
    check_keys(content, _KEYS, str(path))
    lattice = content.get("lattice")
    if not isinstance(lattice, str) or lattice not in GROUP_OF_LATTICE:
        raise DatasetError(f"{path}: lattice = {lattice!r}; choose {', '.join(GROUP_OF_LATTICE)}")
    families = content.get("families")
    if not isinstance(families, dict) or not families:
        raise DatasetError(f"{path}: families = {families!r} must list at least one family with its strength")
    c = positive(content, "c_nm", str(path)) if lattice == "hcp" else None
    a = positive(content, "a_nm", str(path))
    if c is not None and not 1.2 < c / a < 2.2:
        raise DatasetError(f"{path}: c_nm = {c}: c/a = {c / a:.3f} is outside 1.2 to 2.2")
    citation = content.get("citation") or []
    if not isinstance(citation, (str, list)):
        raise DatasetError(f"{path}: citation = {citation!r} must be text or a list of texts")
    constants, elastic_source = elastic(content, lattice, str(path))
    return Material(
        name=str(content.get("name", path.stem)),
        title=str(content.get("title", path.stem)),
        lattice=lattice,
        a=a,
        c=c,
        families={str(k): _family(str(k), v, lattice, path) for k, v in families.items()},
        n=positive(content, "n", str(path), 20.0),
        reference_rate=positive(content, "reference_rate", str(path), 1e-3),
        elastic=constants,
        elastic_source=elastic_source,
        citation=(citation,) if isinstance(citation, str) else tuple(str(x) for x in citation),
        validity=validity(content, str(path)),
        note=str(content.get("note", "")),
        hardening=hardening(content, [str(k) for k in families], str(path)),
        diffusion=mechanism(content, "diffusion", DIFFUSION, str(path)),
        glide=glide(content, [str(k) for k in families], str(path)),
        back_stress=mechanism(content, "back_stress", BACK_STRESS, str(path)),
        hall_petch=hall_petch(content, [str(k) for k in families], str(path)),
        creep=mechanism(content, "creep", CREEP, str(path)),
        cross_slip=mechanism(content, "cross_slip", CROSS_SLIP, str(path)),
        element=_element(content, path),
        lattice_source=str(content.get("lattice_source", "")),
        rate_source=str(content.get("rate_source", "")),
    )
