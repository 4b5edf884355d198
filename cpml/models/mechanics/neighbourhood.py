"""What the neighbours of a grain do to it, as tensors: the bases of the learned
corrections (formulas in `localisation`).

The weights w_gh are shares of boundary length. Only the trace of a boundary is known in a map; its
normal nu is taken in the plane, along the middle of what the unknown inclination allows. m' is that
of Luster & Morris 1995, doi:10.1007/BF02670762, conditioned on what the neighbour does, since its
plain maximum says almost nothing.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.tensors import to_matrix, to_vector
from cpml.crystallography.transfer import m_prime_of_pairs, sample_systems
from cpml.plasticity.laws import flow

EXPONENT = 10.0
"""Of the schemes. Accumulated shear is spread over more systems than the rate exponent (20
usual) would tell, by hardening.
"""
PULLS = ("pull_stress", "pull_traction", "pull_strain", "pull_transfer")


def pulls(specimen, schmid: NDArray, stress: NDArray, strength: NDArray) -> NDArray:
    """Tensors (4, G, 5) of a `Specimen`, of zero mean over the area; zero for grains without neighbours.

    Parameters
    ----------
    schmid : (G, S, 5); stress : (G, 5) of the scheme; strength : (S,) relative
    """
    here, _ = specimen.directed_neighbours
    found = np.zeros((len(PULLS), *stress.shape))
    for total, part in zip(found, shares_of_pulls(specimen, schmid, stress, strength), strict=True):
        np.add.at(total, here, part)
    return found - np.einsum("g,cgi->ci", specimen.weights, found)[:, None, :]


def shares_of_pulls(specimen, schmid: NDArray, stress: NDArray, strength: NDArray) -> NDArray:
    """What every directed boundary contributes to the tensors of the grain it is seen from,
    (4, 2 E, 5), mean not removed.
    """
    slip = _slip(specimen, schmid, stress, strength)
    strain = np.einsum("gs,gsi->gi", slip, schmid)
    here, there = specimen.directed_neighbours
    jump = stress[there] - stress[here]
    pull = np.einsum("esu,eu->es", alignment(specimen), np.abs(slip[there])) * np.sign(slip[here])
    parts = [jump, _traction(jump, np.tile(specimen.edge_angle, 2)), strain[there] - strain[here],
             np.einsum("es,esi->ei", pull, schmid[here])]  # fmt: skip
    return np.stack(parts) * boundary_share(specimen)[:, None]


def _slip(specimen, schmid, stress, strength) -> NDArray:
    """(G, S) shear rate of every system under the scheme's stress, absolute values summing to one."""
    tau = np.einsum("gsi,gi->gs", schmid, stress)
    x = flow.relative_stress(tau, strength, specimen.systems.twin)
    return np.sign(x) * flow.shares(x, EXPONENT)


def shuffled_neighbourhoods(specimen, *, seed: int):
    """The specimen with its grains at each other's places: same crystals and
    labels, somebody else's neighbours.

    What a model gains from the true neighbourhood is its score here less its score there.
    """
    place = np.random.default_rng(seed).permutation(len(specimen))
    raster = None if specimen.raster is None else place[specimen.raster]
    return replace(specimen, raster=raster, neighbours=place[specimen.neighbours])


def boundary_share(specimen) -> NDArray:
    """(2 E,) share of the boundary in the known perimeter of the grain it is seen from, both directions."""
    here, _ = specimen.directed_neighbours
    length = np.tile(specimen.edge_length, 2)
    whole = np.bincount(here, length, minlength=len(specimen))
    return length / np.maximum(whole[here], 1e-12)


def alignment(specimen) -> NDArray:
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
