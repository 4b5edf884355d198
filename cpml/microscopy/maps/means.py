"""Mean orientation of groups of points, and the spread about it.

    mean = largest eigenvector of sum w q q^T,  each q moved to the symmetry copy nearest the seed

The seed is the first point of the group, then once more the mean itself, so that a noisy first point does no
harm. Reference: Markley et al. 2007, J. Guid. Control Dyn. 30:1193, doi 10.2514/1.28949.
"""

import numpy as np
from numpy.typing import NDArray

from cpml.compiled import compiled
from cpml.crystallography.disorientation import nearness, rotation_vectors
from cpml.crystallography.rotations import axis_angle_to_quaternion


@compiled
def _accumulate(quaternions, weight, label, seed, group, near, out):
    """Sum of w q q^T (upper triangle, 10 numbers) of each label, q nearest to the seed of its label."""
    best = np.empty(4)
    for n in range(label.size):
        g = label[n]
        if g < 0:
            continue
        q, s = quaternions[n], seed[g]
        largest = -1.0
        for k in range(group.shape[0]):
            a, b, c, d = group[k]
            w = q[0] * a - q[1] * b - q[2] * c - q[3] * d
            x = q[0] * b + q[1] * a + q[2] * d - q[3] * c
            y = q[0] * c + q[2] * a + q[3] * b - q[1] * d
            z = q[0] * d + q[3] * a + q[1] * c - q[2] * b
            dot = abs(w * s[0] + x * s[1] + y * s[2] + z * s[3])
            if dot > largest:
                largest = dot
                best[0], best[1], best[2], best[3] = w, x, y, z
                if k == 0 and dot >= near:  # the identity comes first, and no other copy can be nearer
                    break
        position = 0
        for i in range(4):
            for j in range(i, 4):
                out[g, position] += weight[n] * best[i] * best[j]
                position += 1


def mean_orientations(
    quaternions: NDArray, label: NDArray, n_groups: int, group: NDArray, *, weight: NDArray | None = None
) -> NDArray:
    """Mean quaternion (n_groups, 4), w >= 0, of the points of each label 0 .. n_groups - 1; NaN for
    an empty one.

    Parameters
    ----------
    quaternions : (N, 4) crystal_to_sample; rows with a negative label are not looked at
    label : (N,) int, group of each point, negative: none
    group : (n, 4) proper group
    weight : (N,) positive weights; None: equal
    """
    label = np.ascontiguousarray(label, np.int64)
    quaternions = np.ascontiguousarray(quaternions, float)
    weight = np.ones(len(label)) if weight is None else np.ascontiguousarray(weight, float)
    group = np.array(group, float)
    near = nearness(group)
    used, first = np.unique(label, return_index=True)
    seed = np.full((n_groups, 4), np.nan)
    seed[used[used >= 0]] = quaternions[first[used >= 0]]
    upper = np.triu_indices(4)
    for _ in range(2):
        sums = np.zeros((n_groups, 10))
        _accumulate(quaternions, weight, label, seed, group, near, sums)
        matrices = np.zeros((n_groups, 4, 4))
        matrices[:, upper[0], upper[1]] = sums
        matrices[:, upper[1], upper[0]] = sums
        seed = np.linalg.eigh(matrices)[1][:, :, -1]
        seed = np.where(seed[:, :1] < 0, -seed, seed)
    seed[~np.isin(np.arange(n_groups), used)] = np.nan
    return seed


def vectors_from_means(quaternions: NDArray, label: NDArray, mean: NDArray, group: NDArray) -> NDArray:
    """Rotation vectors (n, 3), rad, sample frame, from the mean of its label (G, 4) to each of
    quaternions (n, 4).

    label (n,) counts from 0; the symmetry copy of q does not matter.
    """
    both = np.concatenate([mean, quaternions])
    return rotation_vectors(both, label, len(mean) + np.arange(len(quaternions)), group)


def exponential(omega: NDArray) -> NDArray:
    """Quaternions (n, 4) of rotation vectors (n, 3), rad."""
    angle = np.linalg.norm(omega, axis=1)
    axis = np.where(angle[:, None] > 1e-12, omega, [0.0, 0.0, 1.0])
    return axis_angle_to_quaternion(axis, angle)
