"""What the neighbours of a grain do to it, as tensors: the bases of the learned
corrections (formulas in `localisation`).

The weights w_gh are shares of boundary length. Only the trace of a boundary is known in a map; its
normal nu is taken in the plane, along the middle of what the unknown inclination allows. m' is that
of Luster & Morris 1995, doi:10.1007/BF02670762, conditioned on what the neighbour does, since its
plain maximum says almost nothing.
"""

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.tensors import to_matrix, to_vector
from cpml.crystallography.transfer import m_prime_of_pairs, sample_systems
from cpml.models.numerics import STANDARD, Numerics
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.laws import flow

PULLS = ("pull_stress", "pull_traction", "pull_strain", "pull_transfer")


def pulls(
    specimen: Specimen, schmid: NDArray, stress: NDArray, strength: NDArray, numerics: Numerics = STANDARD
) -> NDArray:
    """Tensors (4, G, 5) of zero mean over the area; zero for grains without neighbours.

    Parameters
    ----------
    schmid : (G, S, 5); stress : (G, 5) of the scheme; strength : (S,) relative
    """
    here, _ = specimen.directed_neighbours
    summed = np.zeros((len(PULLS), *stress.shape))
    for total, part in zip(
        summed, shares_of_pulls(specimen, schmid, stress, strength, numerics), strict=True
    ):
        np.add.at(total, here, part)
    return summed - np.einsum("g,cgi->ci", specimen.weights, summed)[:, None, :]


def shares_of_pulls(
    specimen: Specimen, schmid: NDArray, stress: NDArray, strength: NDArray, numerics: Numerics = STANDARD
) -> NDArray:
    """What every directed boundary contributes to the tensors of the grain it is seen from,
    (4, 2 E, 5), mean not removed.
    """
    tau = np.einsum("gsi,gi->gs", schmid, stress)
    x = flow.relative_stress(tau, strength, specimen.systems.twin)
    share = flow.shares(x, numerics.exponent)
    strain = np.einsum("gs,gsi->gi", np.sign(x) * share, schmid)
    here, there = specimen.directed_neighbours
    jump = stress[there] - stress[here]
    passed_on = np.einsum("esu,eu->es", alignment(specimen), share[there]) * np.sign(x[here])
    parts = [
        jump,
        _traction(jump, np.tile(np.asarray(specimen.edge_angle), 2)),
        strain[there] - strain[here],
        np.einsum("es,esi->ei", passed_on, schmid[here]),
    ]
    return np.stack(parts) * boundary_share(specimen)[:, None]


def neighbour_transfer(specimen: Specimen, share: NDArray) -> NDArray:
    """Pull of the neighbours' active systems on every system (G, S), from 0 (none) to 1 (aligned and active).

    Parameters
    ----------
    share : (G, S) activity of every system, sums to one per grain
    """
    here, there = specimen.directed_neighbours
    passed_on = np.einsum("esu,eu->es", alignment(specimen), share[there])
    pull = np.zeros(share.shape)
    np.add.at(pull, here, boundary_share(specimen)[:, None] * passed_on)
    return pull


def boundary_share(specimen: Specimen) -> NDArray:
    """(2 E,) share of the boundary in the known perimeter of the grain it is seen from, both directions."""
    here, _ = specimen.directed_neighbours
    length = np.tile(specimen.edge_length, 2)
    whole = np.bincount(here, length, minlength=len(specimen))
    return length / np.maximum(whole[here], 1e-12)


def alignment(specimen: Specimen) -> NDArray:
    """(2 E, S, S) m' of every system of a grain with every system of its neighbour, without sign."""
    normal, direction = sample_systems(specimen.systems, specimen.quaternions)
    here, there = specimen.directed_neighbours
    return m_prime_of_pairs(normal[here], direction[here], normal[there], direction[there])


def _traction(jump: NDArray, angle: NDArray) -> NDArray:
    """dev sym((jump nu) x nu) with nu normal to the trace at ``angle`` (rad,
    counter-clockwise on the screen; y is down).
    """
    known = np.isfinite(angle)
    angle = np.where(known, angle, 0.0)
    normal = np.column_stack([np.sin(angle), np.cos(angle), np.zeros_like(angle)])
    traction = np.einsum("eij,ej->ei", to_matrix(jump), normal)
    pair = traction[:, :, None] * normal[:, None, :]
    return to_vector((pair + np.swapaxes(pair, 1, 2)) / 2) * known[:, None]
