"""Rate-independent Taylor factors, exact, by the vertices of the yield polytope.

    M = min sum_s (xi_s / xi_ref) |gamma_s| / eps_vM   subject to  sum_s gamma_s P_s = eps (twins: gamma >= 0)

is a linear programme. Its dual, max s.eps subject to P_s.s <= xi_s (and >= -xi_s for slip), has the
same feasible set for every orientation: a polytope in the five-dimensional stress space of the
crystal. Its vertices are found once (Bishop & Hill's states: 56 for fcc), and M is the largest product
of the strain rate with a vertex.

| symbol | meaning | shape |
|---|---|---|
| eps | strain (rate), von Mises eps_vM = sqrt(2/3 eps:eps) | (..., 5) |
| xi | strength per system, in units of xi_ref | (S,) |
| M | Taylor factor | (...) |

A code that divides by the Frobenius norm instead of eps_vM reports M sqrt(2/3). References: Taylor 1938;
Bishop & Hill 1951, Phil. Mag. 42:414; van Houtte 1988, Textures Microstruct. 8-9:313.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull, QhullError

from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.tensors import rotation_5x5, von_mises_rate
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity.arguments import Values, as_matrices, as_rate
from cpml.plasticity.laws.law import check_rank

_CHUNK = 20_000_000  # products of orientations and vertices held at once


def yield_vertices(systems: Systems, strength_ratio: ArrayLike | None = None) -> NDArray:
    """(V, 5) vertices of the crystal's yield polytope, crystal frame, in units of the reference strength.

    Parameters
    ----------
    strength_ratio : (K,) per family or (S,) per system, positive; None gives every system the strength 1

    Raises
    ------
    ParameterError : systems that cannot produce every strain, so that the polytope is open
    """
    ratio = _system_ratio(systems, strength_ratio)
    return _vertices(np.ascontiguousarray(systems.schmid5 / ratio[:, None]).tobytes(), systems.twin.tobytes())


def taylor_factor(
    systems: Systems,
    rate: Load | Values,
    crystal_to_sample: Values,
    strength_ratio: ArrayLike | None = None,
) -> NDArray:
    """Rate-independent Taylor factors.

    Parameters
    ----------
    systems : slip and twin systems
    rate : (3, 3) symmetric traceless strain rate, sample frame, or one per orientation, or a Load; any size
    crystal_to_sample : (N, 4) quaternions or (N, 3, 3) matrices
    strength_ratio : (K,) per family or (S,) per system, relative to the strength that M multiplies

    Returns
    -------
    (N,) M = sum of weighted shears / von Mises strain

    Raises
    ------
    ParameterError : systems that cannot produce every strain
    """
    vertices = yield_vertices(systems, strength_ratio)
    turn = rotation_5x5(as_matrices(crystal_to_sample).detach().numpy().reshape(-1, 3, 3))
    local = (as_rate(rate).detach().numpy()[..., None, :] @ turn)[..., 0, :]  # crystal axes
    chunks = np.array_split(local, max(1, len(local) * len(vertices) // _CHUNK + 1))
    work = np.concatenate([(part @ vertices.T).max(axis=1) for part in chunks])
    return work / von_mises_rate(local)


def _system_ratio(systems: Systems, strength_ratio: ArrayLike | None) -> NDArray:
    """(S,) strengths relative to the reference."""
    ratio = np.ones(len(systems)) if strength_ratio is None else np.asarray(strength_ratio, float)
    if ratio.shape == (len(systems.family_names),):
        ratio = ratio[systems.family]
    if ratio.shape != (len(systems),) or not np.all(ratio > 0) or not np.all(np.isfinite(ratio)):
        raise ParameterError(
            f"strength_ratio must be {len(systems.family_names)} positive numbers, one per family "
            f"{systems.family_names}, or {len(systems)}, one per system"
        )
    return ratio


@lru_cache(maxsize=32)
def _vertices(facets: bytes, polar: bytes) -> NDArray:
    """Vertices by duality: the facet planes of the hull of {P_s/xi_s, and
    -P_s/xi_s for slip} are the vertices.
    """
    normals = np.frombuffer(facets).reshape(-1, 5)
    check_rank(normals / np.linalg.norm(normals, axis=1, keepdims=True))
    points = np.concatenate([normals, -normals[~np.frombuffer(polar, bool)]])
    try:
        planes = ConvexHull(points).equations  # outward normal.x + offset <= 0
    except QhullError as error:
        raise ParameterError(
            f"the yield polytope of these systems is degenerate: {str(error).splitlines()[0]}"
        ) from None
    if not np.all(planes[:, -1] < -1e-12 * np.abs(points).max()):
        raise ParameterError(
            "these systems cannot produce every strain (twins work one way only): add a slip family, "
            "e.g. pyramidal <c+a> in hexagonal crystals"
        )
    corners = -planes[:, :-1] / planes[:, -1:]
    scale = np.abs(corners).max()
    _, first = np.unique(np.round(corners / scale, 9), axis=0, return_index=True)
    vertices = corners[np.sort(first)]
    vertices.setflags(write=False)
    return vertices
