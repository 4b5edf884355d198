"""Which material a phase of a map may be, by its name, its symmetry and its cell.

A name has to speak of the metal (iron, Fe, ferrite, austenite ...) and the cell, where the file states one,
has to be that of the material within `FAR_A` and `FAR_RATIO` of cpml.datasets.phases. As a rule several
materials of one metal fit: alloying shows neither in a name nor in a cell, so a person decides.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TYPE_CHECKING

from cpml.datasets.phases import FAR_A, FAR_RATIO

if TYPE_CHECKING:
    from cpml.crystallography import Material
    from cpml.microscopy import MapPhase

METALS = {
    "aluminium": {"aluminium", "aluminum", "al"},
    "copper": {"copper", "cu"},
    "iron": {"iron", "fe", "ferrite", "austenite", "austenitic", "martensite", "steel"},
    "magnesium": {"magnesium", "mg"},
    "nickel": {"nickel", "ni"},
    "titanium": {"titanium", "ti"},
    "zirconium": {"zirconium", "zr"},
}
"""Metal -> words that name it."""
STRUCTURES = {"alpha", "beta", "gamma", "delta", "fcc", "bcc", "hcp", "hex"}
COMPOUND = re.compile("(carb|nitr|ox|alumin|sulf|sulph|hydr|phosph|silic)id", re.IGNORECASE)


def fitting_materials(phase: MapPhase) -> list[Material]:
    """Shipped materials that a phase of a map may be, the likeliest first; none where it names no metal."""
    metals = _metals(phase.name)
    if not metals or COMPOUND.search(phase.name):
        return []
    fitting = [m for m in _materials() if metals & _metals(f"{m.name} {m.title}") and _fits(phase, m)]
    words = _words(phase.name) - STRUCTURES
    return sorted(fitting, key=lambda m: (-len(words & _words(m.name)), round(_apart(phase, m), 3), m.name))


def states_cell(phase: MapPhase) -> bool:
    """Whether a file states lattice constants: a cell of 1, 1, 1 stands for none."""
    return math.isfinite(phase.a) and phase.a > 1


@cache
def _materials() -> tuple[Material, ...]:
    from cpml.crystallography.materials import load_material, material_names

    return tuple(load_material(name) for name in material_names())


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+[0-9]*[a-z]*", text.lower().replace("_", " ")))


def _metals(text: str) -> set[str]:
    words = _words(text)
    return {metal for metal, named in METALS.items() if words & named}


def _fits(phase: MapPhase, material: Material) -> bool:
    """Whether lattice and cell are those of the material, as far as the file states them."""
    from cpml.crystallography.symmetry import group_of_lattice

    if phase.group != group_of_lattice(material.lattice) or phase.lattice not in (None, material.lattice):
        return False
    if not states_cell(phase):
        return True
    if abs(phase.a / (10 * material.a) - 1) > FAR_A:
        return False
    ratio = material.c_over_a
    return ratio is None or not phase.c > 0 or abs(phase.c_over_a / ratio - 1) <= FAR_RATIO


def _apart(phase: MapPhase, material: Material) -> float:
    """How far the lattice constant is from the material's, relative."""
    return abs(phase.a / (10 * material.a) - 1) if states_cell(phase) else 0.0
