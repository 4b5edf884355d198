"""A law and a texture: the grains that the solver of the medium sees, and the response with its derivatives.

Derivatives are attached here: by the compiled adjoint for power laws, by torch for any other law.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.tensors import BASIS, rotation_5x5
from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.crystal.cone import blocked_rays, check_shared, described
from cpml.plasticity.laws.law import GlideLaw, Law, PowerLaw, on_device
from cpml.plasticity.polycrystal.adjoint import Solved, solution_of
from cpml.plasticity.polycrystal.aggregate import AnyLawAggregate, PowerLawAggregate
from cpml.plasticity.polycrystal.eshelby import Sphere, directions
from cpml.plasticity.polycrystal.grain_kernels import rotate_schmid
from cpml.plasticity.polycrystal.implicit import attach
from cpml.plasticity.polycrystal.medium import EffectiveMedium, Problem, Start
from cpml.plasticity.polycrystal.response import MeanField, collect
from cpml.plasticity.polycrystal.schemes import Linearisation, Settings


@dataclass(frozen=True)
class Polycrystal:
    """What a mean field is solved for, and what its solution may be differentiated by."""

    law: Law  # strengths the same in all grains, or (G, S)
    matrices: Tensor  # (G, 3, 3) crystal_to_sample
    weights: Tensor  # (G,) sum 1

    @property
    def strength(self) -> Tensor:
        """(G, S) of a power law, MPa."""
        assert isinstance(self.law, PowerLaw)
        return self.law.system_strength.expand(len(self.matrices), len(self.law.systems))

    @property
    def is_one_crystal(self) -> bool:
        """Whether all grains are the same: one orientation, and one set of strengths."""
        values = [self.matrices]
        if isinstance(self.law, PowerLaw):
            values.append(self.strength)
        elif isinstance(self.law, GlideLaw):
            values.append(self.law.system_strength.expand(len(self.matrices), -1))
        if hasattr(self.law, "back_stress"):
            values.append(self.law.back_stress.expand(len(self.matrices), -1))
        return all(bool((v.detach() == v.detach()[:1]).all()) for v in values)

    @property
    def requires_grad(self) -> bool:
        """Whether a derivative is asked for."""
        law = self.law
        if isinstance(law, PowerLaw):
            parameters = [law.strength, law.n, law.reference_rate]
        else:
            parameters = [law.rates(torch.ones(len(law.schmid), dtype=torch.float64))[0]]
        parameters += [self.matrices, self.weights]
        return any(isinstance(x, Tensor) and x.requires_grad for x in parameters)

    def solve(
        self,
        conditions: Conditions,
        settings: Settings,
        shape: NDArray | None = None,
        start: Start | None = None,
    ) -> MeanField:
        """The response under mixed conditions: medium, grains, and their derivatives."""
        line = settings.linearisation(self.law)
        if line.has_medium and self.is_one_crystal:  # its medium is itself
            line = Linearisation(1.0, 1.0, has_medium=False)
        conditions, sphere = conditions.relaxed(line.relaxed), directions(shape, settings.quadrature)
        if not line.has_medium:
            self.check_shared(conditions, line)
        rays = blocked_rays(self.law)
        problem = Problem(
            self.aggregate(line, settings.device),
            line,
            sphere,
            settings.tol,
            settings.threads,
            lacking=described(rays) if len(rays) else "",
        )
        medium = problem.solve(conditions, start)
        return self.respond(medium, conditions.pinned(line.relaxed, medium.rate), line, sphere)

    def check_shared(self, conditions: Conditions, line: Linearisation) -> None:
        """ParameterError where grains that share a strain rate cannot make one that the conditions allow."""
        if len(blocked_rays(self.law)):
            turn = rotation_5x5(self.matrices.detach()).numpy()
            _, basis, wanted = conditions.split
            check_shared(self.law, turn, basis, wanted, line.keep == 0)

    def aggregate(
        self, line: Linearisation, device: torch.device | str | None
    ) -> PowerLawAggregate | AnyLawAggregate:
        """The numbers of the grains for the solver of the medium."""
        crystal, count = self.law.schmid.detach().numpy(), len(self.matrices)
        schmid, weights = np.empty((count, 5, len(crystal))), self.weights.detach().numpy()
        matrices = np.ascontiguousarray(self.matrices.detach().numpy())
        rotate_schmid(matrices, crystal, BASIS, 0, count, schmid)
        schmid *= line.keep[:, None]
        if isinstance(self.law, PowerLaw) and device is None:
            strength, polar = np.ascontiguousarray(self.strength.detach().numpy()), self.law.systems.twin
            n, reference_rate = as_tensor(self.law.n).item(), as_tensor(self.law.reference_rate).item()
            return PowerLawAggregate(schmid, strength, polar, n, reference_rate, weights)
        law = self.law if device is None else on_device(self.law, device)
        return AnyLawAggregate(law, torch.as_tensor(schmid, device=device), weights)

    def respond(
        self, medium: EffectiveMedium, conditions: Conditions, line: Linearisation, sphere: Sphere
    ) -> MeanField:
        """MeanField of a solved medium, with derivatives where a parameter asks for them."""
        law, values = (
            self.law,
            (medium.stress, medium.rate, medium.grain_stress, medium.shear_rate, medium.spin),
        )
        if not torch.is_grad_enabled() or not self.requires_grad:
            stress, rate, grain_stress, shear, spin = (torch.as_tensor(x) for x in values)
        elif isinstance(law, PowerLaw):
            solved = Solved(medium, conditions, line, sphere, law.systems.schmid5)
            n, reference_rate = as_tensor(law.n), as_tensor(law.reference_rate)
            stress, rate, grain_stress, shear, spin = solution_of(
                solved, self.matrices, self.strength, n, reference_rate, self.weights
            )
        else:
            schmid = rotation_5x5(self.matrices) @ law.schmid.T
            stress, rate, grain_stress, spin = attach(
                medium, law, schmid, self.weights, conditions, line, sphere
            )
            shear, _ = law.rates(torch.einsum("gis,gi->gs", schmid, grain_stress))
        if line.relaxed is not None:  # the free components of D are what the grains do on average
            mean = self.weights @ (rotation_5x5(self.matrices) @ (shear @ law.schmid)[..., None])[..., 0]
            rate = torch.where(torch.tensor(line.relaxed), mean, rate)
        return collect(
            grain_stress,
            shear,
            self.weights,
            rate,
            torch.as_tensor(medium.grain_residual <= 1e-6) & medium.converged,
            torch.as_tensor(np.maximum(medium.grain_residual, medium.residual)),
            medium.n_iter,
            macro=stress,
            medium=medium,
            spin=spin,
        )
