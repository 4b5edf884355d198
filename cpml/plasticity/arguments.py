"""Orientations, strain rates and stresses as torch tensors: the argument forms that the solvers accept.

An orientation is a crystal_to_sample matrix (..., 3, 3) or quaternion (..., 4), numpy or torch; a strain rate
is a symmetric traceless matrix (..., 3, 3), 1/s, or its 5-vector (..., 5) in the basis of
cpml.crystallography.tensors; a Load stands for its direction at its rate. Gradients flow through all of them.
"""

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from cpml.crystallography.rotations import matrix_entries
from cpml.crystallography.tensors import to_vector, von_mises_stress
from cpml.errors import ParameterError
from cpml.load import Load

Values: TypeAlias = ArrayLike | Tensor
"""Numbers as a user gives them: lists, numpy arrays or torch tensors."""


def as_tensor(value: Values) -> Tensor:
    """float64 tensor; a tensor keeps its graph."""
    if isinstance(value, Tensor):
        return value.to(torch.float64)
    return torch.as_tensor(np.require(np.asarray(value, float), requirements=["W"]))


def as_matrices(orientation: Values) -> Tensor:
    """crystal_to_sample matrices (..., 3, 3) of matrices or unit quaternions.

    Raises
    ------
    ParameterError : another shape, a matrix that is no rotation, a quaternion off unit
        length, a value that is not finite
    """
    given = as_tensor(orientation)
    if given.numel() == 0:
        raise ParameterError("no orientation given: the batch is empty")
    if given.shape[-2:] == (3, 3):
        return _rotations(_finite(given, "orientation"))
    if given.shape[-1:] != (4,):
        raise ParameterError(
            f"orientations have shape {tuple(given.shape)}: give (..., 4) quaternions or "
            "(..., 3, 3) crystal_to_sample matrices"
        )
    norm = _finite(given, "orientation").norm(dim=-1)
    is_off = (norm - 1).abs() > 1e-6
    if bool(is_off.any()):
        raise ParameterError(
            f"a quaternion has length {float(norm[is_off].detach()[0]):.6g}: normalise first"
        )
    rows = matrix_entries(*given.unbind(-1))
    return torch.stack(rows, -1).reshape(*given.shape[:-1], 3, 3)


def _rotations(matrices: Tensor) -> Tensor:
    """The matrices themselves; ParameterError unless each is a rotation, to 1e-6."""
    fixed = matrices.detach()
    eye = torch.eye(3, dtype=fixed.dtype, device=fixed.device)
    error = (fixed @ fixed.transpose(-1, -2) - eye).abs().amax((-1, -2))
    is_off = (error > 1e-6) | (torch.linalg.det(fixed) < 0)
    if bool(is_off.any()):
        at = int(torch.nonzero(is_off.reshape(-1))[0])
        raise ParameterError(
            f"orientation {at} is no rotation: R R^T differs from 1 by {float(error.reshape(-1)[at]):.2g}, "
            f"det R = {float(torch.linalg.det(fixed).reshape(-1)[at]):.3g}"
        )
    return matrices


def as_rate(rate: Load | Values) -> Tensor:
    """Strain rate as 5-vectors (..., 5), 1/s.

    Raises
    ------
    ParameterError : zero, not finite, not symmetric, or with a trace (plastic flow keeps the volume)
    """
    vector = as_tensor(rate.rate * rate.rate_direction if isinstance(rate, Load) else rate)
    if vector.shape[-2:] == (3, 3):
        size = _finite(vector, "strain rate").abs().amax((-1, -2))
        trace = vector.diagonal(dim1=-2, dim2=-1).sum(-1).abs()
        skew = (vector - vector.transpose(-1, -2)).abs().amax((-1, -2))
        if bool((trace > 1e-6 * size).any()) or bool((skew > 1e-6 * size).any()):
            raise ParameterError(
                "a strain rate must be symmetric and traceless (plastic flow keeps the volume)"
            )
        vector = to_vector(vector)
    elif vector.shape[-1:] != (5,):
        raise ParameterError(f"strain rate of shape {tuple(vector.shape)}: give (..., 3, 3) or (..., 5)")
    if bool((_finite(vector, "strain rate").norm(dim=-1) == 0).any()):
        raise ParameterError(
            "a strain rate is zero: the stress of a rate-dependent crystal is undefined there"
        )
    return vector


def stress_and_rate(loading: Load | Values) -> tuple[Tensor, Tensor]:
    """Stress direction (5,), von Mises 1, and strain rate (5,), 1/s, of a Load or of one strain rate, whose
    direction is then also that of the stress.

    Raises
    ------
    ParameterError : as `as_rate`, or several strain rates
    """
    rate = as_rate(loading)
    if rate.shape != (5,):
        raise ParameterError(
            f"loading gives a strain rate of shape {tuple(rate.shape)}: one (3, 3) matrix is expected"
        )
    stress = to_vector(as_tensor(loading.stress)) if isinstance(loading, Load) else rate
    return stress / von_mises_stress(stress), rate


def as_stress(stress: Values) -> Tensor:
    """Deviatoric stress as 5-vectors (..., 5), MPa, of symmetric (..., 3, 3) matrices (pressure
    drives nothing) or 5-vectors.

    Raises
    ------
    ParameterError : not finite, not symmetric, another shape
    """
    given = _finite(as_tensor(stress), "stress")
    if given.shape[-2:] == (3, 3):
        size = given.abs().amax((-1, -2))
        if bool(((given - given.transpose(-1, -2)).abs().amax((-1, -2)) > 1e-6 * size).any()):
            raise ParameterError("a stress must be symmetric")
        return to_vector(given)
    if given.shape[-1:] != (5,):
        raise ParameterError(f"stress of shape {tuple(given.shape)}: give (..., 3, 3) or (..., 5)")
    return given


def _finite(value: Tensor, what: str) -> Tensor:
    """The value itself; ParameterError where it is not finite."""
    if not bool(torch.isfinite(value).all()):
        raise ParameterError(f"{what} contains NaN or infinity: remove points that are not indexed first")
    return value
