"""Mean fields of a polycrystal: Sachs, Taylor, relaxed constraints, and the self-consistent schemes between.

    taylor:  D_g = D for every grain;   Sigma = sum_g w_g s_g
    relaxed: as taylor, but some shears of the grains are free and their stresses zero (flat or long grains)
    sachs:   s_g = a_g S, S the common stress direction (cpml.plasticity.polycrystal.sachs)
    secant, tangent, affine, n_eff:   D_g - D = -Mt (s_g - Sigma), each grain an ellipsoid in the medium that
             all of them form together (cpml.plasticity.polycrystal.medium)

| symbol | meaning | unit | shape |
|---|---|---|---|
| D | macroscopic strain rate | 1/s | (5,) |
| s_g, Sigma | grain and macroscopic deviatoric stress | MPa | (G, 5), (5,) |
| w | weights, sum 1 | | (G,) |

References: Sachs 1928; Taylor 1938; Honneff & Mecking 1978 (relaxed constraints); Lebensohn & Tome
1993, Acta Metall. Mater. 41:2611.
"""

import torch
from numpy.typing import ArrayLike

from cpml.crystallography.tensors import rotation_5x5
from cpml.load import Load
from cpml.plasticity.arguments import Values, as_matrices, stress_and_rate
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.crystal.cone import check_made
from cpml.plasticity.crystal.single_crystal import single_crystal
from cpml.plasticity.laws.law import Law, PowerLaw
from cpml.plasticity.polycrystal.eshelby import QUADRATURE
from cpml.plasticity.polycrystal.medium import Start
from cpml.plasticity.polycrystal.polycrystal import Polycrystal
from cpml.plasticity.polycrystal.response import MeanField, collect, normalised
from cpml.plasticity.polycrystal.sachs import sachs
from cpml.plasticity.polycrystal.schemes import RELAXED, Settings, check_shape


def mean_field(
    law: Law,
    orientations: Values,
    *,
    weights: Values | None = None,
    loading: Load | Conditions | Values,
    scheme: str = "taylor",
    n_eff: float | None = None,
    relaxed: tuple[str, ...] = RELAXED,
    lateral: str = "axisymmetric",
    shape: ArrayLike | None = None,
    tol: float | None = None,
    start: Start | None = None,
    quadrature: tuple[int, int] | str = QUADRATURE,
    threads: int = 1,
    device: torch.device | str | None = None,
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
    device : of torch, e.g. "cuda", where the grains of a PowerLaw are solved; results are on the CPU

    Returns
    -------
    MeanField, differentiable in the law's parameters, orientations and weights

    Raises
    ------
    ParameterError : an unknown scheme (the message lists them), wrong weights,
        conditions or shape, or no grains
    """
    settings = Settings(scheme, n_eff, relaxed, lateral, tol or 1e-9, quadrature, threads, device)
    settings.check(loading, law)
    matrices = as_matrices(orientations).reshape(-1, 3, 3)
    shares = normalised(weights, len(matrices))
    is_bound = scheme in ("taylor", "sachs") and lateral != "free"
    if isinstance(loading, Conditions) or not isinstance(law, PowerLaw) or not is_bound:
        grains = Polycrystal(law, matrices, shares)
        return grains.solve(Conditions.of(loading, lateral), settings, check_shape(shape), start)
    stress, rate = stress_and_rate(loading)
    if scheme == "sachs":
        return sachs(law, matrices, shares, stress, rate)
    tol = tol or 1e-10
    check_made(law, (rotation_5x5(matrices).mT @ rate).detach().numpy())
    solved = single_crystal(law, rate, matrices, tol=tol, device=device)
    grain_stress, shear_rate, converged, residual = (
        x.cpu() for x in (solved.stress, solved.shear_rate, solved.converged, solved.residual)
    )
    return collect(grain_stress, shear_rate, shares, rate, converged, residual, solved.n_iter)
