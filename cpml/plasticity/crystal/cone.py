"""Which strain rates the modes of a crystal can make: all of them, or a cone.

    D = sum_s gamma_s P_s,   gamma_s of either sign for slip, gamma_s >= 0 for systems that move one way only

A strain rate can be made when no stress direction that drives no mode does work on it:

    r.D <= 0   for every r with   P_s.r = 0 (slip),   P_s.r <= 0 (one way)

The r form a cone of their own; its rays are found once for each set of modes (none: every strain rate can be
made). Basal and prismatic slip leave two, +-(c (x) c - I/3): such crystals can neither extend nor shorten
their c axis; with {10-12} twins of magnesium they can extend it, and one ray is left.

| symbol | meaning | shape |
|---|---|---|
| P | tensors of the modes, 5-basis, crystal frame | (S, 5) |
| r | rays, unit length | (K, 5) |

Reference: Taylor 1938; polar cones: Rockafellar 1970, Convex Analysis, section 14.
"""

from functools import lru_cache
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog

from cpml.crystallography.tensors import to_matrix
from cpml.errors import ParameterError
from cpml.plasticity.laws.law import Law, PowerLaw

_ZERO = 1e-9  # resolved part of a ray of length 1 that counts as none
_UNMADE = 1e-7  # work of a strain rate of length 1 on a ray of length 1 that no mode does


def blocked_rays(law: Law) -> NDArray:
    """(K, 5) rays of stress that drive no mode of a law, crystal frame; (0, 5) where every strain rate can be
    made.
    """
    schmid = law.schmid.detach().cpu().numpy()
    return _rays(np.ascontiguousarray(schmid).tobytes(), _one_way(law).tobytes())


def made(law: Law, rate: NDArray) -> NDArray:
    """(N,) whether the modes of a crystal can make strain rates (N, 5), crystal frame."""
    work = rate @ blocked_rays(law).T
    return (work <= _UNMADE * np.linalg.norm(rate, axis=1, keepdims=True)).all(1)


def check_made(law: Law, rate: NDArray, *, some: bool = False) -> None:
    """ParameterError unless the modes of a crystal can make all (`some`: any) of strain rates (N, 5), crystal
    frame.
    """
    is_made = made(law, rate)
    if not (is_made.any() if some else is_made.all()):
        who = f"{(~is_made).sum()} of {len(is_made)} crystals would need"
        raise _refusal(blocked_rays(law), who)


def check_shared(law: Law, turn: NDArray, basis: NDArray, wanted: NDArray, free: NDArray) -> None:
    """ParameterError unless all crystals can share a strain rate D with basis^T D = wanted.

    Parameters
    ----------
    turn : (G, 5, 5) crystal to sample, 5-basis
    basis, wanted : (5, k) orthonormal, (k,) 1/s: what is imposed
    free : (5,) bool, components that each crystal chooses for itself (relaxed constraints); rays that have a
        part there are passed over, so that not everything unreachable is found
    """
    rays = blocked_rays(law)
    if not len(rays):
        return
    rows = np.einsum("gij,kj->gki", turn, rays)  # sample frame
    rows = rows * (np.abs(rows[..., free]) <= _ZERO).all(-1, keepdims=True)
    if basis.shape[1] == 5 and not free.any():
        check_made(law, np.einsum("gij,i->gj", turn, basis @ wanted))
        return
    flat, size = rows.reshape(-1, 5), max(float(np.abs(wanted).max(initial=0.0)), 1e-300)
    found = linprog(np.zeros(5), flat, np.zeros(len(flat)), basis.T, wanted / size, bounds=(None, None))
    if found.status != 0:
        raise _refusal(rays, f"these {len(turn)} crystals, of one strain rate, would need")


def _refusal(rays: NDArray, who: str) -> ParameterError:
    return ParameterError(
        f"the crystals cannot deform as the loading asks: no mode of this law makes {described(rays)}, which "
        f"{who}; add a family (pyramidal <c+a> in hexagonal crystals), free components of the loading, or "
        "take a self-consistent scheme"
    )


def described(rays: NDArray) -> str:
    """A strain that rays (K, 5) block, in words: the middle of their cone, or one of opposite rays, by its
    largest principal stretch in crystal axes.
    """
    middle = rays.sum(0)
    values, vectors = np.linalg.eigh(to_matrix(middle if np.linalg.norm(middle) > 1e-6 else rays[0]))
    k = int(np.abs(values).argmax())
    axis = vectors[:, k] * np.sign(vectors[:, k][np.abs(vectors[:, k]).argmax()])
    name = "[" + " ".join(f"{v:.2f}" for v in np.round(axis, 2) + 0.0) + "]"
    if abs(axis[2]) > 1 - 1e-6:
        name = "its z axis (c of hexagonal crystals)"
    return f"{'an extension' if values[k] > 0 else 'a contraction'} of the crystal along {name}"


def _one_way(law: Law) -> NDArray:
    """(S,) bool: modes that move for positive stresses only."""
    if isinstance(law, PowerLaw):
        return law.systems.twin
    probe = torch.full((len(law.schmid),), -1e4, dtype=torch.float64, device=law.schmid.device)
    with torch.no_grad():
        rates = law.rates(probe)[0]
    return (rates.reshape(-1, len(law.schmid)) == 0).all(0).cpu().numpy()


@lru_cache(maxsize=64)
def _rays(schmid: bytes, one_way: bytes) -> NDArray:
    """Rays by their definition: null space of slip, then the extreme rays of what one-way modes leave."""
    modes, polar = np.frombuffer(schmid).reshape(-1, 5), np.frombuffer(one_way, bool)
    space = _null(modes[~polar])  # (5, m)
    one_sided = modes[polar] @ space
    idle = _null(one_sided)  # drives no mode in either sense
    rays = [sign * (space @ v) for v in idle.T for sign in (1, -1)]
    active = _complement(idle)  # (m, r)
    rows = one_sided @ active
    size = rows.shape[1]
    for chosen in combinations(range(len(rows)), size - 1) if size else ():
        null = _null(rows[list(chosen)].reshape(-1, size))
        if null.shape[1] != 1:
            continue
        for sign in (1, -1):
            if (rows @ (sign * null[:, 0]) <= _ZERO).all():
                rays.append(sign * (space @ (active @ null[:, 0])))
    unique: list[NDArray] = []
    for ray in rays:
        unit = ray / np.linalg.norm(ray)
        if not any(unit @ other > 1 - 1e-9 for other in unique):
            unique.append(unit)
    found = np.array(unique).reshape(-1, 5)
    found.setflags(write=False)
    return found


def _null(matrix: NDArray) -> NDArray:
    """(n, m) orthonormal null space of (k, n)."""
    if not len(matrix):
        return np.eye(matrix.shape[1])
    _, size, right = np.linalg.svd(matrix)
    return right[int((size > _ZERO).sum()) :].T


def _complement(basis: NDArray) -> NDArray:
    """(n, n - m) orthonormal complement of (n, m)."""
    return np.linalg.svd(basis)[0][:, basis.shape[1] :] if basis.shape[1] else np.eye(len(basis))
