"""A viscoplastic path of the full field as a differentiable function of its parameters.

Every step is a field (cpml.plasticity.field.adjoint), then explicit: strengths by the hardening law, lattices
by the spin of each voxel (cpml.plasticity.field_path.rigid). The voxels and their cell stay as they are.

Fields are kept and the rest of a step is computed again when derivatives are wanted (checkpointing), so that
memory grows with the states and not with what happens inside a step.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from cpml.crystallography.tensors import von_mises_rate
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity.arguments import Values, as_matrices
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.field.adjoint import AttachedField, differentiable_field
from cpml.plasticity.field.full_field import Field, full_field
from cpml.plasticity.field.phases import check_grid
from cpml.plasticity.field_path.loading import Stage
from cpml.plasticity.laws.law import GlideLaw
from cpml.plasticity.laws.spin import axial, rotation, slip_spin
from cpml.plasticity.laws.strength.hardening import Hardening, NoHardening, State
from cpml.plasticity.laws.together import Together, glide_of


class AttachedPath(NamedTuple):
    """A path as tensors with derivatives; row 0 is the beginning, voxels in the order of the grid."""

    stress: Tensor  # (T, 5) mean stress deviator, MPa
    shear: Tensor  # (N, S) accumulated |shear| of every voxel at the end
    strength: Tensor  # (N, S) at the end, MPa
    matrices: Tensor  # (N, 3, 3) crystal_to_sample at the end
    voxel_stress: Tensor  # (N, 5) at the end, MPa
    fields: tuple[Field, ...]  # (T,) as they were solved

    def grain_mean(self, grain_index: NDArray, values: Tensor) -> Tensor:
        """(G, ...) means of voxel values (N, ...) over every grain, with their derivatives."""
        number = torch.as_tensor(grain_index.ravel())
        count = torch.bincount(number).clamp(min=1)
        flat = values.reshape(len(number), -1)
        total = torch.zeros(len(count), flat.shape[1], dtype=flat.dtype).index_add(0, number, flat)
        return (total / count[:, None]).reshape(len(count), *values.shape[1:])


def differentiable_path(
    law: GlideLaw | Together,
    grain_index: NDArray,
    orientations: Values,
    *,
    loading: Load | Conditions | Values,
    strain: float,
    steps: int,
    hardening: Hardening | None = None,
    update_texture: bool = True,
    step: float | tuple[float, ...] = 1.0,
    tol: float = 1e-6,
    accuracy: float = 1e-8,
    threads: int = 1,
) -> AttachedPath:
    """Deform a grid of crystals, differentiable in whatever requires a gradient.

    Parameters
    ----------
    law, orientations, hardening : tensors among their numbers that require a gradient get one: strengths, n,
        reference rate, hardening moduli, quaternions or matrices
    grain_index, loading, step, tol, accuracy, threads : as in `differentiable_field`; every voxel has a grain
    strain, steps : as of `full_field_path`
    update_texture : whether lattices turn

    Returns
    -------
    AttachedPath

    Raises
    ------
    ParameterError : as `differentiable_field` and `Stage`
    CpmlError : on differentiation, a linear equilibrium that is not solved to ``accuracy``
    """
    matrices = as_matrices(orientations).reshape(-1, 3, 3)
    grain_index = check_grid(grain_index, len(matrices), "refuse")
    number = torch.as_tensor(grain_index.ravel())
    glide = glide_of(law)
    strength = glide.system_strength
    strength = strength[number] if strength.ndim == 2 else strength.expand(len(number), strength.shape[-1])
    rule = hardening or NoHardening()
    options = {"loading": loading, "step": step, "tol": tol, "accuracy": accuracy, "threads": threads}
    path = _Path(law, rule, grain_index.shape, options, update_texture)
    state, lattice = rule.start(strength), matrices[number]
    if "back_stress" in state:
        raise ParameterError("a differentiable path knows no back stress: take full_field_path, or deform")
    shear = torch.zeros(len(number), len(law.schmid), dtype=torch.float64)
    dt, means = Stage(loading, strain=strain, steps=steps).duration / steps, []
    for k in range(steps):
        mean, state, lattice, shear = checkpoint(
            path.advance, k, state, lattice, shear, dt, use_reentrant=False
        )
        means.append(mean)
    end = path.solve(steps, state["strength"], lattice)
    return AttachedPath(
        stress=torch.stack([*means, end.macro]),
        shear=shear,
        strength=state["strength"],
        matrices=lattice,
        voxel_stress=end.stress.reshape(len(number), 5),
        fields=tuple(path.fields),
    )


@dataclass
class _Path:
    """The steps of a path, and the fields that they were solved for."""

    law: GlideLaw | Together
    hardening: Hardening
    shape: tuple[int, ...]
    options: dict[str, Any]
    turns_lattice: bool
    fields: list[Field] = field(default_factory=list)

    def solve(self, k: int, strength: Tensor, matrices: Tensor) -> AttachedField:
        """The field of step k; when it is asked for again, from its solution."""
        count = len(matrices)
        law = self.law.with_strength(strength)
        grid = np.arange(count).reshape(self.shape)
        if k == len(self.fields):
            given = {key: value for key, value in self.options.items() if key != "accuracy"}
            start = self.fields[-1] if k else None
            with torch.no_grad():
                self.fields.append(full_field(law, grid, matrices, start=start, **given))
        return differentiable_field(law, grid, matrices, field=self.fields[k], **self.options)

    def advance(
        self, k: int, state: State, matrices: Tensor, shear: Tensor, dt: float
    ) -> tuple[Tensor, State, Tensor, Tensor]:
        """Mean stress of step k; hardening state, lattices and shears after it."""
        solved = self.solve(k, state["strength"], matrices)
        systems = glide_of(self.law).systems
        rate = solved.shear_rate.reshape(len(matrices), -1)
        gliding = rate[:, : len(systems)]
        if self.turns_lattice:
            spin = axial(solved.velocity_gradient.reshape(-1, 3, 3))
            plastic = (matrices @ (gliding @ slip_spin(systems))[..., None])[..., 0]
            matrices = rotation((spin - plastic) * dt) @ matrices
        size = float(von_mises_rate(solved.field.rate.reshape(-1, 5).mean(0)))
        hardened = self.hardening.harden(state, gliding, dt, rate=size)
        return solved.macro, hardened, matrices, shear + rate.abs() * dt
