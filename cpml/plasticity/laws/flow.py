"""The flow rule: from the resolved shear stress of a system to its shear rate, for
numpy arrays and torch tensors.

    x = tau / xi,   of polar systems (twins) max(tau, 0) / xi: they move one way only
    rate = rate0 |x|^n sgn x,          d rate / d tau = n rate0 |x|^(n-1) / xi  (finite at rest)
    share = |x|^n / sum |x|^n

Everything that asks which systems a stress moves calls these functions: the laws, the full field, and the
classifier F with its inputs, outputs and explanation. (The compiled kernels of `cpml.plasticity.crystal`, and
of F inside a grain, repeat the rule in scalar code; tests hold them to it.)

| symbol | meaning | unit | shape |
|---|---|---|---|
| tau | resolved shear stress | MPa, or any unit that xi has too | (..., S) |
| xi | strength | MPa | (S,) or (..., S) |
| x | stress over strength, signed | - | (..., S) |
| n, rate0 | rate exponent, at least 1; reference rate | -, 1/s | scalar |

Reference: Hutchinson 1976, Proc. R. Soc. Lond. A 348:101.
"""

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.plasticity.arguments import as_tensor

Array = TypeVar("Array", NDArray, Tensor)

LEAST = 1e-12  # stress over strength below which nothing moves


def directed(tau: Array, is_polar: Array) -> Array:
    """The part of tau (..., S) that can move each system: all of it, or, of polar
    systems (S,), what is positive.
    """
    if isinstance(tau, Tensor):
        return torch.where(torch.as_tensor(is_polar, device=tau.device), tau.clamp(min=0.0), tau)
    return np.where(is_polar, np.maximum(tau, 0.0), tau)


def relative_stress(tau: Array, strength: Array, is_polar: Array) -> Array:
    """x (..., S), signed."""
    return directed(tau, is_polar) / strength


def rates(
    tau: Array, strength: Array, is_polar: Array, n: Tensor | float, reference_rate: Tensor | float
) -> tuple[Array, Array]:
    """Shear rates and their derivative by tau, both (..., S), 1/s and 1/(MPa s).

    Examples
    --------
    >>> rate, slope = rates(np.array([-5.0, -5.0]), 10.0, np.array([False, True]), 2.0, 1e-3)
    >>> print(rate, slope)
    [-0.00025  0.     ] [0.0001 0.    ]
    """
    if isinstance(tau, Tensor):
        is_polar = torch.as_tensor(is_polar, device=tau.device)
    x = relative_stress(tau, strength, is_polar)
    f = reference_rate * whole_power(abs(x), n - 1)
    slope = f * (n / strength)
    if as_tensor(n).item() == 1:  # |x|^0 = 1 at rest too
        slope = slope * ~(is_polar & (tau <= 0))
    return f * x, slope


def whole_power(base: Array, exponent: Tensor | float) -> Array:
    """base ** exponent for base >= 0, by repeated squaring when the exponent is a
    whole number (4 times faster).
    """
    if isinstance(exponent, Tensor) and exponent.requires_grad:
        return base**exponent
    value = float(exponent)
    if value != int(value) or not 0 <= value < 128:
        return base**exponent
    result, square, left = None, base, int(value)
    while left:
        if left & 1:
            result = square if result is None else result * square
        left >>= 1
        square = square * square if left else square
    return base**0 if result is None else result


def shares(x: Array, n: Tensor | float) -> Array:
    """|x|^n over its sum, (..., S); zero where no system is loaded."""
    size = abs(x)
    if isinstance(size, Tensor):
        power = (size / size.amax(-1, keepdim=True).clamp(min=LEAST)) ** n
        return power / power.sum(-1, keepdim=True).clamp(min=1e-300)
    power = (size / np.maximum(size.max(-1, keepdims=True), LEAST)) ** n
    return power / np.maximum(power.sum(-1, keepdims=True), 1e-300)


def log_activity(
    tau: Tensor, log_strength: Tensor, is_polar: Tensor, n: Tensor | float, *, floor: float
) -> Tensor:
    """n log |x| (..., S), smooth through tau = 0: below `floor`, in the unit of tau,
    a system counts as unloaded.
    """
    return n * (0.5 * torch.log(directed(tau, is_polar) ** 2 + floor**2) - log_strength)
