"""Mean fields of a polycrystal: Sachs, Taylor, relaxed constraints, and the
self-consistent schemes between the bounds.

    taylor:  D_g = D for every grain;   Sigma = sum_g w_g s_g
    relaxed: as taylor, but some shears of the grains are free and their stresses zero (flat or long grains)
    sachs:   s_g = a_g S, S the common stress direction (cpml.plasticity.polycrystal.bounds)
    secant, tangent, affine, n_eff:   D_g - D = -Mt (s_g - Sigma), each grain an ellipsoid in the medium that all of them
             form together (cpml.plasticity.polycrystal.medium)

| symbol | meaning | unit | shape |
|---|---|---|---|
| D | macroscopic strain rate | 1/s | (5,) |
| s_g, Sigma | grain and macroscopic deviatoric stress | MPa | (G, 5), (5,) |
| w | weights, sum 1 | | (G,) |

References: Sachs 1928; Taylor 1938; Honneff & Mecking 1978 (relaxed constraints); Lebensohn & Tome
1993, Acta Metall. Mater. 41:2611.
"""

from cpml.errors import ParameterError
from cpml.plasticity.arguments import as_matrices
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.crystal.single_crystal import ENGINES, single_crystal
from cpml.plasticity.laws.law import PowerLaw, check_rank
from cpml.plasticity.polycrystal.bounds import attach_gradient, free_rate, sachs
from cpml.plasticity.polycrystal.eshelby import QUADRATURE, directions
from cpml.plasticity.polycrystal.fields import as_grains, parameters, respond
from cpml.plasticity.polycrystal.medium import Start, solve_medium
from cpml.plasticity.polycrystal.response import MeanField, collect, load_directions, normalised
from cpml.plasticity.polycrystal.schemes import (
    RELAXED,
    check_scheme,
    check_shape,
    conditions,
    exponent,
    linearisation,
)


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
    law : PowerLaw with strengths per family or system, the same for all grains or (G, ...) per grain; or any
        record with schmid and rates, such as Together (schemes "taylor", "relaxed", "affine")
    orientations : (G, 4) crystal_to_sample quaternions or (G, 3, 3) matrices
    weights : (G,) positive, any sum; None gives equal weights
    loading : Load, with its rate; a (3, 3) strain rate in 1/s, whose direction is then also that of the Sachs
        stress; or mixed Conditions (not for "sachs")
    scheme : "taylor", "sachs", "relaxed", "secant", "tangent", "affine" or "n_eff"
    n_eff : interaction parameter of the scheme "n_eff", 1 or more (10 when not given)
    relaxed : shears of the sample frame that the scheme "relaxed" leaves free, of "23", "13", "12"
    lateral : "axisymmetric" prescribes the strain rate of the load; "free" (uniaxial loads, not "sachs")
        solves it so that the mean stress is parallel to that of the load
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
    ParameterError : an unknown scheme (the message lists them), wrong weights,
        conditions or shape, or no grains
    """
    check_scheme(scheme, n_eff, lateral, loading, law)
    if engine not in ENGINES:
        raise ParameterError(f"engine = {engine!r}: choose from {', '.join(ENGINES)}")
    matrices = as_matrices(orientations).reshape(-1, 3, 3)
    weights = normalised(weights, len(matrices))
    if scheme not in ("taylor", "sachs") or isinstance(loading, Conditions) or not isinstance(law, PowerLaw):
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
