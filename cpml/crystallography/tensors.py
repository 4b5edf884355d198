"""Orthonormal 5-basis of symmetric deviators, for numpy arrays and torch tensors.

    a1 = (A22 - A11)/sqrt2, a2 = (2 A33 - A11 - A22)/sqrt6, a3 = sqrt2 A23, a4 = sqrt2 A13, a5 = sqrt2 A12

so that A:B = a.b without factors. Von Mises: stress sqrt(3/2) |s|, strain rate sqrt(2/3) |d|.
A matrix with a trace is projected on its deviator.

Reference: Lequeu, Gilormini, Montheillet, Bacroix & Jonas 1987, Acta Metall. 35:439.
"""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # torch loads where it is used
    from torch import Tensor

Array = TypeVar("Array", NDArray, "Tensor")

_R2, _R6 = np.sqrt(2.0), np.sqrt(6.0)

BASIS = np.zeros((5, 3, 3))
BASIS[0] = np.diag([-1, 1, 0]) / _R2
BASIS[1] = np.diag([-1, -1, 2]) / _R6
for _k, (_i, _j) in zip((2, 3, 4), ((1, 2), (0, 2), (0, 1)), strict=True):
    BASIS[_k, _i, _j] = BASIS[_k, _j, _i] = 1 / _R2
BASIS.setflags(write=False)


def _like(array: "NDArray | Tensor") -> Any:
    """The basis as the array type (numpy or torch, dtype and device) of `array`."""
    return BASIS if isinstance(array, np.ndarray) else array.new_tensor(BASIS)


def to_vector(matrix: Array) -> Array:
    """Components (..., 5) of the symmetric deviatoric part of (..., 3, 3)."""
    return matrix.reshape((*matrix.shape[:-2], 9)) @ _like(matrix).reshape(5, 9).T


def to_matrix(vector: Array) -> Array:
    """Symmetric deviator (..., 3, 3) of components (..., 5)."""
    return (vector @ _like(vector).reshape(5, 9)).reshape((*vector.shape[:-1], 3, 3))


def von_mises_stress(vector: Array) -> Array:
    """sqrt(3/2) |s| of (..., 5), MPa."""
    return (1.5 * (vector * vector).sum(-1)) ** 0.5


def von_mises_rate(vector: Array) -> Array:
    """sqrt(2/3) |d| of (..., 5), 1/s."""
    return ((vector * vector).sum(-1) / 1.5) ** 0.5


def rotation_5x5(matrix: Array) -> Array:
    """Orthogonal Q (..., 5, 5) with to_vector(R A R^T) = Q to_vector(A), of rotations R (..., 3, 3)."""
    basis = _like(matrix)
    # rotated basis tensors R T_k R^T for all k at once, then their components
    turned = (matrix[..., None, :, :] @ basis) @ matrix[..., None, :, :].swapaxes(-1, -2)
    return to_vector(turned).swapaxes(-1, -2)
