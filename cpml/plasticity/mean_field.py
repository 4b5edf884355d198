"""Mean fields of a polycrystal: Sachs, Taylor, and the self-consistent schemes between these bounds.

    taylor:  D_g = D for every grain;   Sigma = sum_g w_g s_g
    sachs:   s_g = a_g S, S the common stress direction (cpml.plasticity.bounds)
    secant, tangent, affine, n_eff:   D_g - D = -Mt (s_g - Sigma), each grain an ellipsoid in the medium that all of them
             form together (cpml.plasticity.medium)

| symbol | meaning | unit | shape |
|---|---|---|---|
| D | macroscopic strain rate | 1/s | (5,) |
| s_g, Sigma | grain and macroscopic deviatoric stress | MPa | (G, 5), (5,) |
| w | weights, sum 1 | | (G,) |

References: Sachs 1928; Taylor 1938; Lebensohn & Tome 1993, Acta Metall. Mater. 41:2611.
"""

import numpy as np
import torch
from torch import Tensor

from cpml.errors import ParameterError
from cpml.plasticity.basis import BASIS, rotation_5x5
from cpml.plasticity.boundary import Loading
from cpml.plasticity.bounds import attach_gradient, free_rate, sachs
from cpml.plasticity.eshelby import QUADRATURE, directions
from cpml.plasticity.implicit import Parameters, attach
from cpml.plasticity.kernels import rotate_schmid
from cpml.plasticity.law import PowerLaw, check_rank
from cpml.plasticity.medium import Grains, Linearisation, Medium, Start, solve_medium
from cpml.plasticity.orientation import as_matrices, as_tensor
from cpml.plasticity.response import MeanField, collect, load_directions, normalised
from cpml.plasticity.single_crystal import single_crystal

SELF_CONSISTENT = ("secant", "tangent", "affine", "n_eff")
SCHEMES = ("taylor", "sachs", *SELF_CONSISTENT)
LATERAL = ("axisymmetric", "free")


def mean_field(law: PowerLaw, orientations, *, weights=None, loading, scheme: str = "taylor",
               n_eff: float | None = None, lateral: str = "axisymmetric", shape=None,
               tol: float | None = None, start: Start | None = None, quadrature=QUADRATURE,
               threads: int = 1) -> MeanField:
    """Response of a polycrystal under one scheme.

    Parameters
    ----------
    law : strengths per family or system, the same for all grains or (G, ...) per grain
    orientations : (G, 4) crystal_to_sample quaternions or (G, 3, 3) matrices
    weights : (G,) positive, any sum; None gives equal weights
    loading : Load, with its rate; a (3, 3) strain rate in 1/s, whose direction is then also that of the Sachs stress;
        or a Loading with mixed conditions (not for "sachs")
    scheme : "taylor", "sachs", "secant", "tangent", "affine" or "n_eff"
    n_eff : interaction parameter of the scheme "n_eff", 1 or more (10 when not given)
    lateral : "axisymmetric" prescribes the strain rate of the load; "free" (uniaxial loads, not "sachs") solves it so
        that the mean stress is parallel to that of the load
    shape : (3, 3) map from the unit sphere to the grains' mean ellipsoid, e.g. diag(4, 2, 1); None = sphere
    tol : relative; 1e-10 for grains with a prescribed rate, 1e-9 for the medium of a self-consistent scheme
    start : `.medium.start` of a nearby solution
    quadrature : points in cos(theta) and phi of the Eshelby integrals
    threads : of the loop over grains

    Returns
    -------
    MeanField, differentiable in strengths, n, reference rate, orientations and weights

    Raises
    ------
    ParameterError : an unknown scheme (the message lists them), wrong weights, conditions or shape, or no grains
    """
    check_scheme(scheme, n_eff, lateral, loading)
    matrices = as_matrices(orientations).reshape(-1, 3, 3)
    weights = normalised(weights, len(matrices))
    if scheme in SELF_CONSISTENT or isinstance(loading, Loading):
        return _solve(law, matrices, weights, conditions(loading, lateral), scheme, n_eff, shape, tol or 1e-9, start, quadrature, threads)
    tol = tol or 1e-10
    stress, rate = load_directions(loading)
    if scheme == "sachs":
        return sachs(law, matrices, weights, stress, rate)
    if lateral == "free":
        # a warm start within tol would not move: the outer criterion needs grains solved further than it
        rate = free_rate(law, matrices, weights, stress, rate, min(tol, 1e-12))
        rate = attach_gradient(law, matrices, weights, stress, rate, tol)
    solved = single_crystal(law, rate, matrices, tol=tol)
    return collect(solved.stress, solved.shear_rate, weights, rate, solved.converged, solved.residual, solved.n_iter)


def check_scheme(scheme: str, n_eff, lateral: str, loading) -> None:
    """ParameterError for an unknown scheme or options that do not go with it."""
    if scheme not in SCHEMES:
        raise ParameterError(f"scheme {scheme!r} is not available; choose from {', '.join(SCHEMES)}")
    if lateral not in LATERAL or (lateral == "free" and (scheme == "sachs" or isinstance(loading, Loading))):
        raise ParameterError(f"lateral = {lateral!r} with scheme {scheme!r}: choose from {', '.join(LATERAL)}; "
                             "'free' goes with a Load and 'taylor' or a self-consistent scheme")
    if n_eff is not None and (scheme != "n_eff" or not 1 <= float(n_eff) < np.inf):
        raise ParameterError(f"n_eff = {n_eff} with scheme {scheme!r}: it must be 1 or more and goes with 'n_eff'")
    if scheme == "sachs" and isinstance(loading, Loading):
        raise ParameterError("scheme 'sachs' takes a Load or a strain rate: it prescribes the stress direction itself")


def conditions(loading, lateral: str) -> Loading:
    """Boundary conditions of a Loading, a Load or a strain rate."""
    if isinstance(loading, Loading):
        return loading
    stress, rate = load_directions(loading)
    if lateral == "free":
        return Loading.parallel(stress.detach().numpy(), rate.detach().numpy())
    return Loading.of(np.asarray(loading.rate_direction) * float(loading.rate)
                      if hasattr(loading, "rate_direction") else as_tensor(loading).detach().numpy())


def linearisation(scheme: str, n: float, n_eff: float | None = None) -> Linearisation:
    """How a scheme sees its grains (table in cpml.plasticity.medium)."""
    if scheme == "taylor":
        return Linearisation(1.0, 1.0, False)
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
        raise ParameterError("shape must be a (3, 3) map from the unit sphere to the ellipsoid with a positive "
                             "determinant, e.g. numpy.diag([4, 2, 1])")
    return shape


def _solve(law, matrices, weights, loading, scheme, n_eff, shape, tol, start, quadrature, threads) -> MeanField:
    line = linearisation(scheme, as_tensor(law.n).item(), n_eff)
    if not line.has_medium:
        check_rank(law.systems.schmid5)
    sphere = directions(check_shape(shape), quadrature)
    theta = parameters(law, matrices, weights)
    medium = solve_medium(as_grains(theta), loading, line, *sphere, start=start, tol=tol, threads=threads)
    return respond(medium, theta, loading, line, sphere, scheme)


def parameters(law: PowerLaw, matrices: Tensor, weights: Tensor, strength: Tensor | None = None) -> Parameters:
    """Schmid tensors in the sample frame and strengths (G, S) of every grain, the law's own when None."""
    if torch.is_grad_enabled() and matrices.requires_grad:
        schmid = rotation_5x5(matrices) @ law.schmid.T
    else:
        turned = np.empty((len(matrices), 5, len(law.systems)))
        rotate_schmid(np.ascontiguousarray(matrices.detach().numpy()), law.systems.schmid5, BASIS, 0, len(matrices), turned)
        schmid = torch.as_tensor(turned)
    strength = law.system_strength.expand(len(matrices), len(law.systems)) if strength is None else strength
    return Parameters(schmid, strength, as_tensor(law.n), as_tensor(law.reference_rate), weights, law.is_polar)


def as_grains(theta: Parameters) -> Grains:
    """The numbers of `theta` for the kernels."""
    schmid, strength, weights = (np.ascontiguousarray(t.detach().numpy())
                                 for t in (theta.schmid, theta.strength, theta.weights))
    return Grains(schmid, strength, theta.polar.numpy(), theta.n.item(), theta.reference_rate.item(), weights)


def respond(medium: Medium, theta: Parameters, loading: Loading, line: Linearisation, sphere, scheme: str) -> MeanField:
    """MeanField of a solved medium, with derivatives where a parameter asks for them."""
    converged = torch.as_tensor(medium.grain_residual <= 1e-6) & medium.converged
    residual = torch.as_tensor(np.maximum(medium.grain_residual, medium.residual))
    wanted = torch.is_grad_enabled() and any(t.requires_grad for t in theta.__dict__.values())
    if not wanted:
        return collect(torch.as_tensor(medium.grain_stress), torch.as_tensor(medium.shear_rate), theta.weights,
                       torch.as_tensor(medium.rate), converged, residual, medium.n_iter,
                       macro=torch.as_tensor(medium.stress), medium=medium, spin=torch.as_tensor(medium.spin))
    found = attach(medium, theta, loading, line, sphere, n_eff_is_n=scheme == "tangent")
    x = torch.einsum("gis,gi->gs", theta.schmid, found.grain_stress) / theta.strength
    x = torch.where(theta.polar, x.clamp(min=0), x)
    size = torch.where(x == 0, 1.0, x.abs())
    shear = theta.reference_rate * torch.where(x == 0, 0.0, torch.exp(theta.n * size.log()) * x.sign())
    return collect(found.grain_stress, shear, theta.weights, found.rate, converged, residual, medium.n_iter,
                   macro=found.stress, medium=medium, spin=found.spin)

