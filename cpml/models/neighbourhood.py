"""What the neighbours of a grain do to it, as tensors: the bases of the learned corrections (formulas in `localisation`).

The weights w_gh are shares of boundary length. Only the trace of a boundary is known in a map; its normal nu is taken in
the plane, along the middle of what the unknown inclination allows. m' is that of Luster & Morris 1995,
doi:10.1007/BF02670762, conditioned on what the neighbour does, since its plain maximum says almost nothing.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.plasticity.basis import to_matrix, to_vector

PULLS = ("pull_stress", "pull_traction", "pull_strain", "pull_transfer")


def pulls(specimen, schmid: NDArray, stress: NDArray, strength: NDArray, exponent: float) -> NDArray:
    """Tensors (4, G, 5) of a `Specimen`, of zero mean over the area; zero for grains without neighbours.

    Parameters
    ----------
    schmid : (G, S, 5); stress : (G, 5) of the scheme; strength : (S,) relative
    """
    tau = np.einsum("gsi,gi->gs", schmid, stress)
    loaded = np.where(specimen.systems.twin, np.maximum(tau, 0.0), tau)
    size = np.abs(loaded / strength)
    activity = (size / np.maximum(size.max(1, keepdims=True), 1e-12)) ** exponent
    activity = activity / np.maximum(activity.sum(1, keepdims=True), 1e-300)
    slip = activity * np.sign(loaded)
    strain = np.einsum("gs,gsi->gi", slip, schmid)
    found = np.zeros((len(PULLS), *stress.shape))
    here, there = _directed(specimen.neighbours)
    share = boundary_share(specimen)
    jump = stress[there] - stress[here]
    found[0] = _gather(here, share, jump, len(stress))
    found[1] = _gather(here, share, _traction(jump, np.tile(specimen.edge_angle, 2)), len(stress))
    found[2] = _gather(here, share, strain[there] - strain[here], len(stress))
    pull = (
        np.einsum("esu,eu->es", alignment(specimen), activity[there])
        if len(here)
        else np.zeros((0, tau.shape[1]))
    )
    sense = np.where(specimen.systems.twin, (loaded > 0).astype(float), np.sign(loaded))
    found[3] = _gather(here, share, np.einsum("es,es,esi->ei", pull, sense[here], schmid[here]), len(stress))
    return found - np.einsum("g,cgi->ci", specimen.weights, found)[:, None, :]


def shuffled_neighbourhoods(specimen, *, seed: int):
    """The specimen with its grains at each other's places: same crystals and labels, somebody else's neighbours.

    What a model gains from the true neighbourhood is its score here less its score there.
    """
    place = np.random.default_rng(seed).permutation(len(specimen))
    raster = None if specimen.raster is None else place[specimen.raster]
    return replace(specimen, raster=raster, neighbours=place[specimen.neighbours])


def boundary_share(specimen) -> NDArray:
    """(2 E,) share of the boundary in the known perimeter of the grain it is seen from, both directions."""
    here, _ = _directed(specimen.neighbours)
    length = np.tile(specimen.edge_length, 2)
    whole = np.bincount(here, length, minlength=len(specimen))
    return length / np.maximum(whole[here], 1e-12)


def alignment(specimen) -> NDArray:
    """(2 E, S, S) m' of every system of a grain with every system of its neighbour, without sign."""
    turn = quaternion_to_matrix(specimen.quaternions)
    normal, direction = (
        np.einsum("gij,sj->gsi", turn, v) for v in (specimen.systems.plane, specimen.systems.direction)
    )
    here, there = _directed(specimen.neighbours)
    align = np.abs(np.matmul(normal[here], np.swapaxes(normal[there], 1, 2)))
    return align * np.abs(np.matmul(direction[here], np.swapaxes(direction[there], 1, 2)))


def _directed(neighbours: NDArray) -> tuple[NDArray, NDArray]:
    return np.concatenate([neighbours[:, 0], neighbours[:, 1]]), np.concatenate(
        [neighbours[:, 1], neighbours[:, 0]]
    )


def _gather(here: NDArray, share: NDArray, values: NDArray, count: int) -> NDArray:
    total = np.zeros((count, values.shape[-1]))
    np.add.at(total, here, share[:, None] * values)
    return total


def _traction(jump: NDArray, angle: NDArray) -> NDArray:
    """dev sym((jump nu) x nu) with nu normal to the trace at ``angle`` (rad, counter-clockwise on the screen; y is down)."""
    known = np.isfinite(angle)
    angle = np.where(known, angle, 0.0)
    normal = np.column_stack([np.sin(angle), np.cos(angle), np.zeros_like(angle)])
    traction = np.einsum("eij,ej->ei", to_matrix(jump), normal)
    pair = traction[:, :, None] * normal[:, None, :]
    return to_vector((pair + np.swapaxes(pair, 1, 2)) / 2) * known[:, None]
