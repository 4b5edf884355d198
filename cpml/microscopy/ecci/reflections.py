"""Reflections of a crystal for electrons: which planes diffract, how strongly, and at which Bragg angle.

    sin theta_B = lambda |g| / 2,      xi_g = pi V / (lambda gamma |F_g|)

Wavelengths, structure factors and so the rules of extinction are those of diffsims (kinematic, independent
neutral atoms). F_g is for electrons at rest, gamma = 1 + E/(m c^2) is their mass at the voltage of the beam.
An alloy is taken for its base element: that moves xi_g by some percent and no rule of extinction.

| symbol | meaning | unit |
|---|---|---|
| g | reciprocal vector of a plane, crystal frame | 1/a |
| lambda, E | wavelength, kinetic energy of the electrons | nm, keV |
| V, F_g | volume and structure factor of the unit cell | nm^3, nm |
| theta_B, xi_g | Bragg angle, extinction distance | deg, nm |

Hirsch, Howie, Nicholson, Pashley & Whelan 1965, Electron Microscopy of Thin Crystals, ch. 4.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.constants import c, electron_mass, elementary_charge

from cpml.crystallography.materials import Material
from cpml.crystallography.slip_systems import plane_normal
from cpml.errors import ParameterError

ATOMS = {
    "fcc": (225, ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))),
    "bcc": (229, ((0, 0, 0), (0.5, 0.5, 0.5))),
    "hcp": (194, ((1 / 3, 2 / 3, 0.25), (2 / 3, 1 / 3, 0.75))),
}
"""Space group and fractional positions of all atoms of the cell."""
FORBIDDEN = 1e-3
"""Of the largest structure factor; what is smaller is zero but for rounding."""
REST_KEV = electron_mass * c**2 / elementary_charge / 1e3
MIN_SPACING = 0.1
"""Smallest spacing of planes, nm: {222} of nickel and copper, and all that ECCI is done with."""


@dataclass(frozen=True, eq=False)
class Reflections:
    """Reflections of one material at one voltage; of g and -g, both are there.

    Attributes
    ----------
    names : (N,) as "(1-11)", four indices for a hexagonal crystal
    vector : (N, 3) g in 1/a, crystal frame
    family : (N,) number of the form {hkl}, the strongest first
    bragg_deg, extinction_nm : (N,)
    a_nm, wavelength_nm : lattice parameter and wavelength
    """

    names: tuple[str, ...]
    vector: NDArray
    family: NDArray
    bragg_deg: NDArray
    extinction_nm: NDArray
    a_nm: float
    wavelength_nm: float

    def __len__(self) -> int:
        return len(self.names)

    @property
    def unit(self) -> NDArray:
        """(N, 3) unit vectors along g."""
        return self.vector / np.linalg.norm(self.vector, axis=1, keepdims=True)

    @property
    def per_nm(self) -> NDArray:
        """(N,) length of g, 1/nm."""
        return np.linalg.norm(self.vector, axis=1) / self.a_nm

    def number(self, name: str) -> int:
        """Position of a reflection by its indices, "1 -1 1", "(1-11)" or with four of them.

        Raises
        ------
        ParameterError : no indices, or planes that do not diffract
        """
        indices = parse_indices(name)
        if len(indices) == 4 and not self.is_hcp:
            raise ParameterError(f"reflection {name[:30]!r}: a cubic crystal has three indices; write three")
        wanted = _name(indices if len(indices) == 3 else (indices[0], indices[1], indices[3]), self.is_hcp)
        if wanted not in self.names:
            shown = ", ".join(dict.fromkeys(_family_name(n) for n in self.names[:60]))
            raise ParameterError(
                f"reflection {name[:30]!r} does not diffract in this crystal, or its planes are closer than "
                f"{MIN_SPACING:g} nm; choose of the forms of {shown}"
            )
        return self.names.index(wanted)

    @property
    def is_hcp(self) -> bool:
        """Whether names have four indices."""
        return len(parse_indices(self.names[0])) == 4


def wavelength_nm(kv: float) -> float:
    """Relativistic wavelength of electrons of ``kv`` keV, nm.

    Examples
    --------
    >>> round(wavelength_nm(20.0), 6)
    0.008589
    """
    from diffsims.utils.sim_utils import get_electron_wavelength

    if not 1.0 <= kv <= 1000.0:
        raise ParameterError(f"kv = {kv:g} is not from 1 to 1000; write the voltage in kV, such as 20")
    return float(get_electron_wavelength(kv)) / 10.0


@lru_cache(maxsize=32)
def _reflections(
    lattice: str, element: str, a_nm: float, c_nm: float | None, kv: float, min_spacing: float
) -> Reflections:
    from diffpy.structure import Atom, Lattice, Structure
    from diffsims.crystallography import ReciprocalLatticeVector
    from orix.crystal_map import Phase

    group, places = ATOMS[lattice]
    cell = Lattice(10 * a_nm, 10 * a_nm, 10 * (c_nm or a_nm), 90, 90, 120 if c_nm else 90)
    atoms = [Atom(element, list(place)) for place in places]
    phase = Phase(lattice, space_group=group, structure=Structure(lattice=cell, atoms=atoms))
    found = ReciprocalLatticeVector.from_min_dspacing(phase, 5 * min_spacing)  # its lists end raggedly
    found = found[found.dspacing >= 10 * min_spacing]
    found.calculate_structure_factor()
    factor = np.abs(found.structure_factor)
    kept = factor > FORBIDDEN * factor.max()
    hkl, factor = np.rint(found.hkl[kept]).astype(int), factor[kept]
    wave = wavelength_nm(kv)
    vector = np.array([plane_normal(i, lattice, c_nm / a_nm if c_nm else 1.0) for i in hkl])
    length = np.linalg.norm(vector, axis=1) / a_nm
    extinction = np.pi * cell.volume / 1e3 / (wave * (1 + kv / REST_KEV) * factor / 10)
    order = np.lexsort((*hkl.T[::-1], length.round(6), extinction.round(6)))
    names = tuple(_name(hkl[i], lattice == "hcp") for i in order)
    forms = list(dict.fromkeys(map(_family_name, names)))
    return Reflections(
        names=names,
        vector=vector[order],
        family=np.array([forms.index(_family_name(name)) for name in names]),
        bragg_deg=np.degrees(np.arcsin(wave * length[order] / 2)),
        extinction_nm=extinction[order],
        a_nm=a_nm,
        wavelength_nm=wave,
    )


def reflections(material: Material, *, kv: float = 20.0, min_spacing_nm: float = MIN_SPACING) -> Reflections:
    """All reflections of a material that are not extinct, the strongest first.

    Raises
    ------
    ParameterError : a material whose file names no element, or a voltage outside 1 to 1000 kV

    Examples
    --------
    >>> from cpml.crystallography import load_material
    >>> found = reflections(load_material("nickel"), kv=20.0)
    >>> print(found.names[0], found.bragg_deg[0].round(2), found.extinction_nm[0].round(0))
    (-1-1-1) 1.21 13.0
    """
    if not material.element:
        raise ParameterError(
            f"material {material.name!r} names no element, so its structure factors are unknown; add a line "
            "such as `element: Ni` to its file"
        )
    return _reflections(
        material.lattice, material.element, material.a, material.c, float(kv), float(min_spacing_nm)
    )


def parse_indices(text: str) -> tuple[int, ...]:
    """Three or four indices of "1 -1 1", "1,-1,1", "(1-11)" or "(10-10)".

    Raises
    ------
    ParameterError : anything else, or four whose first three do not add up to 0
    """
    import re

    bare = text.strip()
    inside = re.fullmatch(r"\((.*)\)|\[(.*)\]|\{(.*)\}", bare)
    bare = (next(part for part in inside.groups() if part is not None) if inside else bare).strip()
    pieces = re.split(r"\s*,\s*|\s+", bare) if re.search(r"[\s,]", bare) else re.findall(r"-?\d", bare)
    is_whole = "".join(pieces) == re.sub(r"[\s,]+", "", bare)
    is_whole = is_whole and all(re.fullmatch(r"-?\d{1,2}", piece, re.ASCII) for piece in pieces)
    found = tuple(int(piece) for piece in pieces) if is_whole else ()
    if len(found) not in (3, 4) or not any(found) or (len(found) == 4 and sum(found[:3])):
        raise ParameterError(
            f"{text[:30]!r} is no reflection; write its indices, such as 1 -1 1, or four that add up to 0 in "
            "the first three, such as 1 0 -1 0"
        )
    return found


def _name(hkl: NDArray | tuple[int, ...], is_hcp: bool) -> str:
    h, k, last = (int(i) for i in hkl)
    indices = (h, k, -h - k, last) if is_hcp else (h, k, last)
    return "(" + "".join(map(str, indices)) + ")"


def _family_name(name: str) -> str:
    indices = [abs(i) for i in parse_indices(name)]
    basal = sorted(indices[:-1]) if len(indices) == 4 else sorted(indices, reverse=True)
    return "{" + "".join(map(str, [*basal, indices[-1]] if len(indices) == 4 else basal)) + "}"
