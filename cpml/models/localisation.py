"""From the macroscopic load to the stress of a grain that nobody measured.

    sigma_gk = Sigma + s_eta |Sigma| eta_k          eta_k ~ N(0, I) in the 5-dimensional deviator space

Sigma is the macroscopic stress direction (Sachs); the scatter s_eta is learned and reported: it is the part of the
local stress that the model does not explain. Without it the strengths absorb the scatter and come out wrong by tens of
percent (see the estimator study in the documentation of the coupled model). The draws are quasi-random and fixed, so
training is deterministic, and are expressed in axes that turn with the specimen (load axis, surface normal), so that
rotating everything leaves every prediction unchanged.
"""

import numpy as np
from scipy.stats import qmc

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.systems import Systems
from cpml.plasticity.basis import rotation_5x5, to_vector


def stress_draws(n_draws: int, seed: int) -> np.ndarray:
    """(K, 5) quasi-random normal deviates, mean zero exactly (antithetic pairs)."""
    half = qmc.MultivariateNormalQMC(mean=np.zeros(5), seed=np.random.default_rng(seed)).random(n_draws // 2)
    return np.concatenate([half, -half])


def specimen_frame(stress: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) whose columns are: main stress axis, its partner, and the axis closest to the surface normal.

    For a load along z any in-plane axis serves; x is taken.
    """
    value, vector = np.linalg.eigh(stress)
    first = vector[:, np.abs(value - np.trace(stress) / 3).argmax()]
    first = first * np.sign(first[np.abs(first).argmax()])
    surface = np.array([0.0, 0.0, 1.0]) if abs(first[2]) < 0.99 else np.array([1.0, 0.0, 0.0])
    third = surface - (surface @ first) * first
    third /= np.linalg.norm(third)
    return np.column_stack([first, np.cross(third, first), third])


def local_stress_draws(stress: np.ndarray, *, n_draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Macroscopic stress (5,) scaled to length one, and the scatter directions (K, 5), both in the sample frame."""
    sigma = to_vector(stress)
    sigma = sigma / np.linalg.norm(sigma)
    turn = rotation_5x5(specimen_frame(stress))
    return sigma, stress_draws(n_draws, seed) @ turn.T


def schmid_vectors(systems: Systems, quaternions: np.ndarray) -> np.ndarray:
    """(G, S, 5) Schmid tensors of every grain in the sample frame."""
    turn = rotation_5x5(quaternion_to_matrix(quaternions))
    return np.einsum("gij,sj->gsi", turn, systems.schmid5)
