"""Interactions of slip and twin systems by type, from their geometry (b.b', n.n',
b.n'), never from a typed table.

fcc slip, hardened system s against system t; each system meets 1, 2, 1, 2, 2, 2, 2 systems of

    self        s = t                       hirth             b.b' = 0
    coplanar    same plane                  glissile          b in the plane of t
    collinear   same b, other plane         glissile_reverse  b' in the plane of s      lomer   the rest

Other slip is self, coplanar, collinear or crossing; pairs with twins are coplanar (same
K1 or slip plane) or crossing.

| symbol | meaning | shape |
|---|---|---|
| n, b | unit plane normal, unit direction of s; primed: of t | (S, 3) |

References: Kubin, Devincre & Hoc 2008, Acta Mater. 56:6040 (values for fcc); Madec &
Kubin 2017, Acta Mater. 126:166.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError

FCC_SLIP = ("self", "coplanar", "collinear", "hirth", "glissile", "glissile_reverse", "lomer")
CLASSES = (
    *FCC_SLIP,
    "crossing",
    "slip_by_twin_coplanar",
    "slip_by_twin_crossing",
    "twin_by_slip_coplanar",
    "twin_by_slip_crossing",
    "twin_by_twin_coplanar",
    "twin_by_twin_crossing",
)
KUBIN_FCC = {
    "self": 0.122,
    "coplanar": 0.122,
    "collinear": 0.625,
    "hirth": 0.07,
    "glissile": 0.137,
    "glissile_reverse": 0.137,
    "lomer": 0.122,
}
"""a_st of strength = mu b sqrt(sum_t a_st rho_t) in fcc metals (Kubin, Devincre & Hoc 2008)."""


def interaction_classes(systems: Systems) -> NDArray:
    """(S, S) names of CLASSES, row = hardened system, column = active system."""
    b, n = systems.direction, systems.plane
    bb, nn, bn = np.abs(b @ b.T), np.abs(n @ n.T), np.abs(b @ n.T)
    same_plane, same_b = nn > 1 - 1e-9, bb > 1 - 1e-9
    classes = np.full((len(systems), len(systems)), "crossing", dtype=object)
    if systems.lattice == "fcc":
        classes[:] = "lomer"
        classes[bn < 1e-9] = "glissile"
        classes[(bn < 1e-9).T] = "glissile_reverse"
        classes[bb < 1e-9] = "hirth"
    classes[same_b] = "collinear"
    classes[same_plane] = "coplanar"
    for rows, columns, name in (
        (systems.slip, systems.twin, "slip_by_twin"),
        (systems.twin, systems.slip, "twin_by_slip"),
        (systems.twin, systems.twin, "twin_by_twin"),
    ):
        block = np.ix_(rows, columns)
        classes[block] = np.where(same_plane[block], f"{name}_coplanar", f"{name}_crossing")
    np.fill_diagonal(classes, "self")
    return classes.astype(str)


def interaction_matrix(systems: Systems, factors: Mapping[str, float]) -> NDArray:
    """(S, S) factors by class; 1 for classes that are not named.

    Raises
    ------
    ParameterError : an unknown class, or a negative factor

    Examples
    --------
    >>> from cpml.crystallography import systems
    >>> h = interaction_matrix(systems("fcc", families=["octahedral"]), KUBIN_FCC)
    >>> print(f"{h.sum(axis=1)[0]:.3f}")  # 3 * .122 + .625 + 2 * .07 + 4 * .137 + 2 * .122
    1.923
    """
    unknown = [name for name in factors if name not in CLASSES]
    if unknown or any(not value >= 0 for value in factors.values()):
        raise ParameterError(
            f"interaction factors {dict(factors)}: non-negative numbers for classes of {', '.join(CLASSES)}"
        )
    classes = interaction_classes(systems)
    matrix = np.ones(classes.shape)
    for name, value in factors.items():
        matrix[classes == name] = value
    return matrix
