"""From a law and a texture to the numbers of the solver, and from a solved medium
to the record of the response.

Derivatives are attached here: by the compiled adjoint for power laws, by torch for any other law.
"""

import numpy as np
import torch
from torch import Tensor

from cpml.crystallography.tensors import BASIS, rotation_5x5
from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.polycrystal.adjoint import Solved, solution_of
from cpml.plasticity.polycrystal.aggregate import AnyLawAggregate, Linearisation, PowerLawAggregate
from cpml.plasticity.polycrystal.averages import rotate_schmid
from cpml.plasticity.polycrystal.implicit import Parameters, attach
from cpml.plasticity.polycrystal.medium import EffectiveMedium
from cpml.plasticity.polycrystal.response import MeanField, collect


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
) -> PowerLawAggregate | AnyLawAggregate:
    """The numbers of `theta` for the solver of the medium."""
    schmid, weights = np.ascontiguousarray(theta.schmid.detach().numpy()), theta.weights.detach().numpy()
    if line.relaxed is not None:
        schmid = schmid * line.keep[:, None]
    if theta.law is not None or engine == "torch" or device is not None:
        own = theta.law or PowerLaw(
            law.systems, theta.strength.detach(), theta.n.detach(), theta.reference_rate.detach()
        )
        own = own if device is None else own.to(device)
        return AnyLawAggregate(own, torch.as_tensor(schmid, device=device), weights)
    strength = np.ascontiguousarray(theta.strength.detach().numpy())
    return PowerLawAggregate(
        schmid, strength, theta.polar.numpy(), theta.n.item(), theta.reference_rate.item(), weights
    )


def respond(
    medium: EffectiveMedium,
    theta: Parameters,
    matrices: Tensor,
    law,
    loading: Conditions,
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
