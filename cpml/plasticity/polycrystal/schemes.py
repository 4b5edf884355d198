"""The schemes of a mean field by name: which exist, what goes with them, how each sees
its grains, and its conditions.
"""

import numpy as np

from cpml.errors import ParameterError
from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.laws.together import check_law
from cpml.plasticity.polycrystal.aggregate import Linearisation
from cpml.plasticity.polycrystal.response import load_directions

SELF_CONSISTENT = ("secant", "tangent", "affine", "n_eff")
SCHEMES = ("taylor", "sachs", "relaxed", *SELF_CONSISTENT)
ANY_LAW = ("taylor", "relaxed", "affine")
"""Schemes for laws without one exponent n."""
LATERAL = ("axisymmetric", "free")
RELAXED = ("23", "13")
"""Shears that flat grains (pancakes normal to z) leave free; long ones (laths along x): ("13",)."""
_SHEARS = {"23": 2, "13": 3, "12": 4}


def check_scheme(scheme: str, n_eff, lateral: str, loading, law=None) -> None:
    """ParameterError for an unknown scheme or options that do not go with it."""
    if scheme not in SCHEMES:
        raise ParameterError(f"scheme {scheme!r} is not available; choose from {', '.join(SCHEMES)}")
    if lateral not in LATERAL or (
        lateral == "free" and (scheme == "sachs" or isinstance(loading, Conditions))
    ):
        raise ParameterError(
            f"lateral = {lateral!r} with scheme {scheme!r}: choose from {', '.join(LATERAL)}; "
            "'free' goes with a Load and 'taylor' or a self-consistent scheme"
        )
    if n_eff is not None and (scheme != "n_eff" or not 1 <= float(n_eff) < np.inf):
        raise ParameterError(
            f"n_eff = {n_eff} with scheme {scheme!r}: it must be 1 or more and goes with 'n_eff'"
        )
    if scheme == "sachs" and isinstance(loading, Conditions):
        raise ParameterError(
            "scheme 'sachs' takes a Load or a strain rate: it prescribes the stress direction itself"
        )
    if law is not None and not isinstance(law, PowerLaw):
        check_law(law)
        if scheme not in ANY_LAW:
            raise ParameterError(
                f"scheme {scheme!r} needs the one exponent of a PowerLaw; for {type(law).__name__} choose "
                f"from {', '.join(ANY_LAW)}"
            )


def conditions(loading, lateral: str) -> Conditions:
    """The conditions that a Load or a strain rate stands for; Conditions as they are."""
    if isinstance(loading, Conditions):
        return loading
    stress, rate = load_directions(loading)
    if lateral == "free":
        return Conditions.parallel(stress.detach().numpy(), rate.detach().numpy())
    return Conditions.of(
        np.asarray(loading.rate_direction) * float(loading.rate)
        if hasattr(loading, "rate_direction")
        else as_tensor(loading).detach().numpy()
    )


def linearisation(scheme: str, n: float | None, n_eff: float | None = None, relaxed=RELAXED) -> Linearisation:
    """How a scheme sees its grains (table in cpml.plasticity.polycrystal.medium)."""
    if scheme == "taylor":
        return Linearisation(1.0, 1.0, False)
    if scheme == "relaxed":
        if not relaxed or any(r not in _SHEARS for r in relaxed):
            raise ParameterError(
                f"relaxed = {relaxed!r}: name shears to be left free, of {', '.join(_SHEARS)}"
            )
        return Linearisation(1.0, 1.0, False, tuple(k in {_SHEARS[r] for r in relaxed} for k in range(5)))
    if scheme == "affine":
        return Linearisation(1.0, 1.0)
    factor = {"secant": 1.0, "tangent": n, "n_eff": 10.0 if n_eff is None else float(n_eff)}[scheme]
    return Linearisation(1.0 / n, factor)


def check_shape(shape) -> np.ndarray | None:
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


def exponent(law) -> float | None:
    """n of a power law, None of other laws."""
    return as_tensor(law.n).item() if isinstance(law, PowerLaw) else None
