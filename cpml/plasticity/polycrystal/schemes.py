"""The schemes of a mean field by name: which exist, what goes with them, and how each sees its grains."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity.arguments import Values, as_tensor
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.laws.law import Law, PowerLaw, check_law
from cpml.plasticity.polycrystal.eshelby import QUADRATURE

SELF_CONSISTENT = ("secant", "tangent", "affine", "n_eff")
SCHEMES = ("taylor", "sachs", "relaxed", *SELF_CONSISTENT)
ANY_LAW = ("taylor", "relaxed", "affine")
"""Schemes for laws without one exponent n."""
LATERAL = ("axisymmetric", "free")
RELAXED = ("23", "13")
"""Shears that flat grains (pancakes normal to z) leave free; long ones (laths along x): ("13",)."""
_SHEARS = {"23": 2, "13": 3, "12": 4}


@dataclass(frozen=True)
class Linearisation:
    """How a scheme sees its grains (table in cpml.plasticity.polycrystal.medium).

    M_g = share H_g, Mt = n_eff (Gamma^-1 - L)^-1; without a medium Mt = 0, in relaxed components s = 0.
    """

    share: float
    n_eff: float
    has_medium: bool = True
    relaxed: tuple[bool, ...] | None = None  # (5,) components of the 5-basis that are free
    n_eff_is_n: bool = False  # n_eff changes with the exponent of the law

    def at(self, exponent: float) -> "Linearisation":
        """The scheme on its way to the law's exponent, at a smaller one."""
        share = self.share if self.share == 1.0 else 1 / exponent
        n_eff = exponent if self.n_eff_is_n else min(self.n_eff, max(exponent, 1.0))
        return replace(self, share=share, n_eff=n_eff)

    @property
    def keep(self) -> NDArray:
        """(5,) 1 where grains follow the macroscopic strain rate or their medium, 0 where they are free."""
        return np.ones(5) if self.relaxed is None else 1.0 - np.array(self.relaxed, float)


@dataclass(frozen=True)
class Settings:
    """Scheme and accuracy of a mean field: arguments of `mean_field`, which explains them, and `deform`."""

    scheme: str = "taylor"
    n_eff: float | None = None
    relaxed: tuple[str, ...] = RELAXED
    lateral: str = "axisymmetric"
    tol: float = 1e-9
    quadrature: tuple[int, int] | str = QUADRATURE
    threads: int = 1
    device: torch.device | str | None = None

    def check(self, loading: Load | Conditions | Values, law: Law) -> None:
        """ParameterError for an unknown scheme or options, conditions or a law that do not go with it."""
        scheme, is_mixed = self.scheme, isinstance(loading, Conditions)
        if scheme not in SCHEMES:
            raise ParameterError(f"scheme {scheme!r} is not available; choose from {', '.join(SCHEMES)}")
        if self.lateral not in LATERAL or (self.lateral == "free" and (scheme == "sachs" or is_mixed)):
            raise ParameterError(
                f"lateral = {self.lateral!r} with scheme {scheme!r}: choose from {', '.join(LATERAL)}; "
                "'free' goes with a Load and 'taylor' or a self-consistent scheme"
            )
        if self.n_eff is not None and (scheme != "n_eff" or not 1 <= float(self.n_eff) < np.inf):
            raise ParameterError(
                f"n_eff = {self.n_eff} with scheme {scheme!r}: it must be 1 or more and goes with 'n_eff'"
            )
        if scheme == "sachs" and is_mixed:
            raise ParameterError(
                "scheme 'sachs' takes a Load or a strain rate: it prescribes the stress direction itself"
            )
        check_law(law)
        if scheme not in ANY_LAW and not isinstance(law, PowerLaw):
            raise ParameterError(
                f"scheme {scheme!r} needs the one exponent of a PowerLaw; for {type(law).__name__} choose "
                f"from {', '.join(ANY_LAW)}"
            )

    def linearisation(self, law: Law) -> Linearisation:
        """How the scheme sees grains of this law."""
        if self.scheme == "taylor":
            return Linearisation(1.0, 1.0, has_medium=False)
        if self.scheme == "relaxed":
            if not self.relaxed or any(r not in _SHEARS for r in self.relaxed):
                raise ParameterError(
                    f"relaxed = {self.relaxed!r}: name shears to be left free, of {', '.join(_SHEARS)}"
                )
            relaxed = tuple(k in {_SHEARS[name] for name in self.relaxed} for k in range(5))
            return Linearisation(1.0, 1.0, has_medium=False, relaxed=relaxed)
        if self.scheme == "affine" or not isinstance(law, PowerLaw):
            return Linearisation(1.0, 1.0)
        n = as_tensor(law.n).item()
        if self.scheme == "tangent":
            return Linearisation(1 / n, n, n_eff_is_n=True)
        return Linearisation(1 / n, 1.0 if self.scheme == "secant" else float(self.n_eff or 10.0))


def check_shape(shape: ArrayLike | None) -> NDArray | None:
    """(3, 3) map from the unit sphere to the ellipsoid, or None."""
    if shape is None:
        return None
    shape = np.asarray(shape, float)
    if shape.shape != (3, 3) or not np.isfinite(shape).all() or not np.linalg.det(shape) > 0:
        raise ParameterError(
            "shape must be a (3, 3) map from the unit sphere to the ellipsoid with a positive "
            "determinant, e.g. numpy.diag([4, 2, 1])"
        )
    return shape
