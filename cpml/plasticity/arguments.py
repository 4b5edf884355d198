"""Orientations and strain rates as torch tensors: the argument forms that the solvers accept.

An orientation is a crystal_to_sample matrix (..., 3, 3) or quaternion (..., 4), numpy or torch; a strain rate
is a symmetric traceless matrix (..., 3, 3) or its 5-vector (..., 5) in the basis of cpml.crystallography.tensors; a
Load stands for its own rate direction. Gradients flow through all of them.
"""

import numpy as np
import torch
from torch import Tensor

from cpml.crystallography.tensors import to_vector
from cpml.errors import ParameterError


def as_tensor(value) -> Tensor:
    """float64 tensor; a tensor keeps its graph."""
    if isinstance(value, Tensor):
        return value.to(torch.float64)
    return torch.as_tensor(np.require(np.asarray(value, float), requirements=["W"]))


def as_matrices(orientation) -> Tensor:
    """crystal_to_sample matrices (..., 3, 3) of matrices or unit quaternions.

    Raises
    ------
    ParameterError : another shape, a matrix that is no rotation, a quaternion off unit
        length, a value that is not finite
    """
    orientation = as_tensor(orientation)
    if orientation.numel() == 0:
        raise ParameterError("no orientation given: the batch is empty")
    if orientation.shape[-2:] == (3, 3):
        return _rotations(_finite(orientation, "orientation"))
    if orientation.shape[-1:] != (4,):
        raise ParameterError(
            f"orientations have shape {tuple(orientation.shape)}: give (..., 4) quaternions or "
            "(..., 3, 3) crystal_to_sample matrices"
        )
    norm = _finite(orientation, "orientation").norm(dim=-1)
    is_off = (norm - 1).abs() > 1e-6
    if bool(is_off.any()):
        raise ParameterError(
            f"a quaternion has length {float(norm[is_off].detach()[0]):.6g}: normalise first"
        )
    w, x, y, z = orientation.unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    ]
    return torch.stack(rows, -1).reshape(*orientation.shape[:-1], 3, 3)


def _rotations(matrices: Tensor) -> Tensor:
    """The matrices themselves; ParameterError unless each is a rotation, to 1e-6."""
    fixed = matrices.detach()
    error = (
        (fixed @ fixed.transpose(-1, -2) - torch.eye(3, dtype=fixed.dtype, device=fixed.device))
        .abs()
        .amax((-1, -2))
    )
    is_off = (error > 1e-6) | (torch.linalg.det(fixed) < 0)
    if bool(is_off.any()):
        at = int(torch.nonzero(is_off.reshape(-1))[0])
        raise ParameterError(
            f"orientation {at} is no rotation: R R^T differs from 1 by {float(error.reshape(-1)[at]):.2g}, "
            f"det R = {float(torch.linalg.det(fixed).reshape(-1)[at]):.3g}"
        )
    return matrices


def as_rate(rate) -> Tensor:
    """Strain rate as 5-vectors (..., 5).

    Raises
    ------
    ParameterError : zero, not finite, not symmetric, or with a trace (plastic flow keeps the volume)
    """
    rate = as_tensor(getattr(rate, "rate_direction", rate))
    if rate.shape[-2:] == (3, 3):
        size = _finite(rate, "strain rate").abs().amax((-1, -2))
        trace = rate.diagonal(dim1=-2, dim2=-1).sum(-1).abs()
        skew = (rate - rate.transpose(-1, -2)).abs().amax((-1, -2))
        if bool((trace > 1e-6 * size).any()) or bool((skew > 1e-6 * size).any()):
            raise ParameterError(
                "a strain rate must be symmetric and traceless (plastic flow keeps the volume)"
            )
        rate = to_vector(rate)
    elif rate.shape[-1:] != (5,):
        raise ParameterError(f"strain rate of shape {tuple(rate.shape)}: give (..., 3, 3) or (..., 5)")
    if bool((_finite(rate, "strain rate").norm(dim=-1) == 0).any()):
        raise ParameterError(
            "a strain rate is zero: the stress of a rate-dependent crystal is undefined there"
        )
    return rate


def as_stress(stress) -> Tensor:
    """Deviatoric stress as 5-vectors (..., 5), MPa, of symmetric (..., 3, 3) matrices
    (pressure drives nothing) or 5-vectors.

    Raises
    ------
    ParameterError : not finite, not symmetric, another shape
    """
    stress = _finite(as_tensor(stress), "stress")
    if stress.shape[-2:] == (3, 3):
        size = stress.abs().amax((-1, -2))
        if bool(((stress - stress.transpose(-1, -2)).abs().amax((-1, -2)) > 1e-6 * size).any()):
            raise ParameterError("a stress must be symmetric")
        return to_vector(stress)
    if stress.shape[-1:] != (5,):
        raise ParameterError(f"stress of shape {tuple(stress.shape)}: give (..., 3, 3) or (..., 5)")
    return stress


def _finite(value: Tensor, what: str) -> Tensor:
    if not bool(torch.isfinite(value).all()):
        raise ParameterError(f"{what} contains NaN or infinity: remove points that are not indexed first")
    return value
