"""Mean fields of a polycrystal: Sachs, Taylor, relaxed constraints, and the self-consistent schemes between the bounds.

    taylor:  D_g = D for every grain;   Sigma = sum_g w_g s_g
    relaxed: as taylor, but some shears of the grains are free and their stresses zero (flat or long grains)
    sachs:   s_g = a_g S, S the common stress direction (cpml.plasticity.bounds)
    secant, tangent, affine, n_eff:   D_g - D = -Mt (s_g - Sigma), each grain an ellipsoid in the medium that all of them
             form together (cpml.plasticity.medium)

| symbol | meaning | unit | shape |
|---|---|---|---|
| D | macroscopic strain rate | 1/s | (5,) |
| s_g, Sigma | grain and macroscopic deviatoric stress | MPa | (G, 5), (5,) |
| w | weights, sum 1 | | (G,) |

References: Sachs 1928; Taylor 1938; Honneff & Mecking 1978 (relaxed constraints); Lebensohn & Tome 1993, Acta Metall.
Mater. 41:2611.
"""

import numpy as np
import torch
from torch import Tensor

from cpml.errors import ParameterError
from cpml.plasticity.adjoint import Solved, solution_of
from cpml.plasticity.averages import rotate_schmid
from cpml.plasticity.basis import BASIS, rotation_5x5
from cpml.plasticity.boundary import Loading
from cpml.plasticity.bounds import attach_gradient, free_rate, sachs
from cpml.plasticity.eshelby import QUADRATURE, directions
from cpml.plasticity.general import check_law
from cpml.plasticity.grains import GeneralGrains, Grains, Linearisation
from cpml.plasticity.implicit import Parameters, attach
from cpml.plasticity.law import PowerLaw, check_rank
from cpml.plasticity.medium import Medium, Start, solve_medium
from cpml.plasticity.orientation import as_matrices, as_tensor
from cpml.plasticity.response import MeanField, collect, load_directions, normalised
from cpml.plasticity.single_crystal import ENGINES, single_crystal

SELF_CONSISTENT = ("secant", "tangent", "affine", "n_eff")
SCHEMES = ("taylor", "sachs", "relaxed", *SELF_CONSISTENT)
ANY_LAW = ("taylor", "relaxed", "affine")
"""Schemes for laws without one exponent n."""
LATERAL = ("axisymmetric", "free")
RELAXED = ("23", "13")
"""Shears that flat grains (pancakes normal to z) leave free; long ones (laths along x): ("13",)."""
_SHEARS = {"23": 2, "13": 3, "12": 4}


def mean_field(
    law: PowerLaw,
    orientations,
    *,
    weights=None,
    loading,
    scheme: str = "taylor",
    n_eff: float | None = None,
    relaxed=RELAXED,
    lateral: str = "axisymmetric",
    shape=None,
    tol: float | None = None,
    start: Start | None = None,
    quadrature=QUADRATURE,
    threads: int = 1,
    engine: str = "numba",
    device=None,
) -> MeanField:
    """Response of a polycrystal under one scheme.

    Parameters
    ----------
    law : PowerLaw with strengths per family or system, the same for all grains or (G, ...) per grain; or any record with
        schmid and rates, such as Together (schemes "taylor", "relaxed", "affine")
    orientations : (G, 4) crystal_to_sample quaternions or (G, 3, 3) matrices
    weights : (G,) positive, any sum; None gives equal weights
    loading : Load, with its rate; a (3, 3) strain rate in 1/s, whose direction is then also that of the Sachs stress;
        or a Loading with mixed conditions (not for "sachs")
    scheme : "taylor", "sachs", "relaxed", "secant", "tangent", "affine" or "n_eff"
    n_eff : interaction parameter of the scheme "n_eff", 1 or more (10 when not given)
    relaxed : shears of the sample frame that the scheme "relaxed" leaves free, of "23", "13", "12"
    lateral : "axisymmetric" prescribes the strain rate of the load; "free" (uniaxial loads, not "sachs") solves it so
        that the mean stress is parallel to that of the load
    shape : (3, 3) map from the unit sphere to the grains' mean ellipsoid, e.g. diag(4, 2, 1); None = sphere
    tol : relative; 1e-10 for grains with a prescribed rate, 1e-9 for the medium of a self-consistent scheme
    start : `.medium.start` of a nearby solution
    quadrature : points in cos(theta) and phi of the Eshelby integrals
    threads : of the compiled loop over grains
    engine : "numba" (compiled loop, power laws) or "torch" (batched, any law)
    device : of torch, e.g. "cuda", where the grains are solved (engine "torch"); results are on the CPU

    Returns
    -------
    MeanField, differentiable in the law's parameters, orientations and weights

    Raises
    ------
    ParameterError : an unknown scheme (the message lists them), wrong weights, conditions or shape, or no grains
    """
    check_scheme(scheme, n_eff, lateral, loading, law)
    if engine not in ENGINES:
        raise ParameterError(f"engine = {engine!r}: choose from {', '.join(ENGINES)}")
    matrices = as_matrices(orientations).reshape(-1, 3, 3)
    weights = normalised(weights, len(matrices))
    if scheme not in ("taylor", "sachs") or isinstance(loading, Loading) or not isinstance(law, PowerLaw):
        return _solve(
            law,
            matrices,
            weights,
            conditions(loading, lateral),
            scheme,
            n_eff,
            relaxed,
            shape,
            tol or 1e-9,
            start,
            quadrature,
            threads,
            engine,
            device,
        )
    tol = tol or 1e-10
    stress, rate = load_directions(loading)
    if scheme == "sachs":
        return sachs(law, matrices, weights, stress, rate)
    if lateral == "free":
        # a warm start within tol would not move: the outer criterion needs grains solved further than it
        rate = free_rate(law, matrices, weights, stress, rate, min(tol, 1e-12))
        rate = attach_gradient(law, matrices, weights, stress, rate, tol)
    solved = single_crystal(law, rate, matrices, tol=tol, engine=engine, device=device)
    found = (t.cpu() for t in (solved.stress, solved.shear_rate, solved.converged, solved.residual))
    stress, shear_rate, converged, residual = found
    return collect(stress, shear_rate, weights, rate, converged, residual, solved.n_iter)


def check_scheme(scheme: str, n_eff, lateral: str, loading, law=None) -> None:
    """ParameterError for an unknown scheme or options that do not go with it."""
    if scheme not in SCHEMES:
        raise ParameterError(f"scheme {scheme!r} is not available; choose from {', '.join(SCHEMES)}")
    if lateral not in LATERAL or (lateral == "free" and (scheme == "sachs" or isinstance(loading, Loading))):
        raise ParameterError(
            f"lateral = {lateral!r} with scheme {scheme!r}: choose from {', '.join(LATERAL)}; "
            "'free' goes with a Load and 'taylor' or a self-consistent scheme"
        )
    if n_eff is not None and (scheme != "n_eff" or not 1 <= float(n_eff) < np.inf):
        raise ParameterError(
            f"n_eff = {n_eff} with scheme {scheme!r}: it must be 1 or more and goes with 'n_eff'"
        )
    if scheme == "sachs" and isinstance(loading, Loading):
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


def conditions(loading, lateral: str) -> Loading:
    """Boundary conditions of a Loading, a Load or a strain rate."""
    if isinstance(loading, Loading):
        return loading
    stress, rate = load_directions(loading)
    if lateral == "free":
        return Loading.parallel(stress.detach().numpy(), rate.detach().numpy())
    return Loading.of(
        np.asarray(loading.rate_direction) * float(loading.rate)
        if hasattr(loading, "rate_direction")
        else as_tensor(loading).detach().numpy()
    )


def linearisation(scheme: str, n: float | None, n_eff: float | None = None, relaxed=RELAXED) -> Linearisation:
    """How a scheme sees its grains (table in cpml.plasticity.medium)."""
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


def _solve(
    law,
    matrices,
    weights,
    loading,
    scheme,
    n_eff,
    relaxed,
    shape,
    tol,
    start,
    quadrature,
    threads,
    engine,
    device,
) -> MeanField:
    line = linearisation(scheme, exponent(law), n_eff, relaxed)
    if not line.has_medium and line.relaxed is None:
        check_rank(law.schmid.detach().numpy())
    loading = loading.relaxed(line.relaxed)
    sphere = directions(check_shape(shape), quadrature)
    theta = parameters(law, matrices, weights)
    medium = solve_medium(
        as_grains(theta, law, line, engine, device),
        loading,
        line,
        *sphere,
        start=start,
        tol=tol,
        threads=threads,
    )
    return respond(medium, theta, matrices, law, loading, line, sphere, scheme)


def parameters(law, matrices: Tensor, weights: Tensor, strength: Tensor | None = None) -> Parameters:
    """Schmid tensors in the sample frame, and strengths (G, S) of every grain: the law's own when None."""
    schmid = law.schmid
    if isinstance(law, PowerLaw) or not matrices.requires_grad:
        turned, crystal = np.empty((len(matrices), 5, len(schmid))), schmid.detach().numpy()
        rotate_schmid(
            np.ascontiguousarray(matrices.detach().numpy()), crystal, BASIS, 0, len(matrices), turned
        )
        schmid = torch.as_tensor(turned)
    else:
        schmid = rotation_5x5(matrices) @ schmid.T
    if not isinstance(law, PowerLaw):
        law = law if strength is None else law.with_strength(strength)
        return Parameters(schmid, weights, law=law)
    strength = law.system_strength.expand(len(matrices), len(law.systems)) if strength is None else strength
    return Parameters(
        schmid, weights, strength, as_tensor(law.n), as_tensor(law.reference_rate), law.is_polar
    )


def as_grains(
    theta: Parameters, law, line: Linearisation, engine: str = "numba", device=None
) -> Grains | GeneralGrains:
    """The numbers of `theta` for the solver of the medium."""
    schmid, weights = np.ascontiguousarray(theta.schmid.detach().numpy()), theta.weights.detach().numpy()
    if line.relaxed is not None:
        schmid = schmid * line.keep[:, None]
    if theta.law is not None or engine == "torch" or device is not None:
        own = theta.law or PowerLaw(
            law.systems, theta.strength.detach(), theta.n.detach(), theta.reference_rate.detach()
        )
        own = own if device is None else own.to(device)
        return GeneralGrains(own, torch.as_tensor(schmid, device=device), weights)
    strength = np.ascontiguousarray(theta.strength.detach().numpy())
    return Grains(schmid, strength, theta.polar.numpy(), theta.n.item(), theta.reference_rate.item(), weights)


def respond(
    medium: Medium,
    theta: Parameters,
    matrices: Tensor,
    law,
    loading: Loading,
    line: Linearisation,
    sphere,
    scheme: str,
) -> MeanField:
    """MeanField of a solved medium, with derivatives where a parameter asks for them."""
    converged = torch.as_tensor(medium.grain_residual <= 1e-6) & medium.converged
    residual = torch.as_tensor(np.maximum(medium.grain_residual, medium.residual))
    loading = loading.pinned(line.relaxed, medium.rate)
    if not torch.is_grad_enabled() or not (theta.requires_grad or matrices.requires_grad):
        found = [
            torch.as_tensor(x)
            for x in (medium.stress, medium.rate, medium.grain_stress, medium.shear_rate, medium.spin)
        ]
    elif theta.law is None:
        solved = Solved(medium, loading, line, sphere, scheme == "tangent", law.systems.schmid5)
        found = solution_of(solved, matrices, theta.strength, theta.n, theta.reference_rate, theta.weights)
    else:
        at = attach(medium, theta, loading, line, sphere)
        shear, _ = theta.slip(torch.einsum("gis,gi->gs", theta.schmid, at.grain_stress))
        found = (at.stress, at.rate, at.grain_stress, shear, at.spin)
    stress, rate, grain_stress, shear, spin = found
    if line.relaxed is not None:  # the free components of D are what the grains do on average
        mean = theta.weights @ (rotation_5x5(matrices) @ (shear @ law.schmid)[..., None])[..., 0]
        rate = torch.where(torch.tensor(line.relaxed), mean, rate)
    return collect(
        grain_stress,
        shear,
        theta.weights,
        rate,
        converged,
        residual,
        medium.n_iter,
        macro=stress,
        medium=medium,
        spin=spin,
    )
