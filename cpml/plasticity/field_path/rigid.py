"""One increment of a viscoplastic grid without elasticity: the field of a state, then one explicit step.

    F <- (1 + dt L) F,   R <- exp(dt Omega) R,   Omega = skw L - sum_s gamma_dot_s skw(R b (x) R n)

with each voxel's own velocity gradient L; strengths and twin fractions follow the shears as in
`cpml.plasticity.deform`. The grid keeps its voxels; with `moves_grid` its cell follows the mean deformation.
Errors are of the order of the increment.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from cpml.crystallography.tensors import von_mises_rate
from cpml.load import Load
from cpml.plasticity.field.full_field import Field, full_field
from cpml.plasticity.field_path.loading import Loading, Stage, gaps, in_layers
from cpml.plasticity.field_path.state import (
    CrystalState,
    FieldState,
    Observation,
    StepFailed,
    follow_twins,
    observation,
)
from cpml.plasticity.laws.law import Law, PowerLaw
from cpml.plasticity.laws.shifted import with_state
from cpml.plasticity.laws.spin import axial, rotation, slip_spin
from cpml.plasticity.laws.strength.hardening import Hardening, State
from cpml.plasticity.laws.together import Together, glide_of
from cpml.plasticity.laws.twins.reorientation import Reorientation


@dataclass(frozen=True)
class RigidPart:
    """Voxels of one phase."""

    where: NDArray  # (n,)
    law: Law
    hardening: Hardening
    strength: NDArray  # (n, S) initial, of the gliding systems, MPa
    twins: Reorientation
    reorients: bool


@dataclass(frozen=True)
class RigidEngine:
    """Solver of increments (module docstring)."""

    grain_index: NDArray  # (*grid,)
    parts: tuple[RigidPart, ...]
    no_grain: str
    step: float | tuple[float, ...]
    difference: str
    moves_grid: bool
    turns_lattice: bool
    tol: float
    threads: int
    temperature: float | None = None  # K
    device: torch.device | str | None = None  # where fields are solved

    def start(self, matrices: NDArray, stage: Stage) -> FieldState:
        """The undeformed grid under its first load; crystal_to_sample of every voxel (N, 3, 3)."""
        states = []
        for part in self.parts:
            count, modes = len(part.where), len(part.law.schmid)
            hardening = part.hardening.start(torch.as_tensor(part.strength))
            zero = np.zeros((count, modes))
            states.append(CrystalState(hardening, zero, zero, part.twins.start(count), np.zeros((count, 6))))
        gradient = np.broadcast_to(np.eye(3), (len(matrices), 3, 3)).copy()
        state = FieldState(gradient, np.array(matrices, float), np.zeros_like(gradient), tuple(states))
        return self.solve(state, stage.loading)

    def enter(self, state: FieldState, stage: Stage) -> FieldState:
        """The field under the load of a stage that begins."""
        return self.solve(state, stage.loading)

    def working(self, state: FieldState, stage: Stage) -> NDArray:
        """Nothing: stresses follow their conditions at once."""
        return np.zeros(0)

    def solve(self, state: FieldState, loading: Loading) -> FieldState:
        """The state with its field under a load.

        Raises
        ------
        StepFailed : the field did not converge
        """
        number = self.grain_index.ravel()
        phase = np.zeros(len(number), int)
        laws: list[Law] = []
        for k, (part, now) in enumerate(zip(self.parts, state.crystals, strict=True)):
            phase[part.where] = k
            glide = glide_of(part.law)
            strength = torch.ones((len(number), len(glide.systems)), dtype=torch.float64)
            strength[part.where] = now.hardening["strength"]
            laws.append(_hardened(part.law, now.hardening, strength, part.where))
        grid = np.where(number < 0, -1, np.arange(len(number))).reshape(self.grain_index.shape)
        field = full_field(
            laws,
            grid,
            state.inverse,
            loading=loading,
            phase=phase,
            no_grain=self.no_grain,
            step=self.step,
            deformation=state.cell if self.moves_grid else None,
            difference=self.difference,
            tol=self.tol,
            start=state.solved,
            threads=self.threads,
            device=self.device,
        )
        if not field.converged:
            raise StepFailed(
                f"the field does not converge: {field.gap:.1e} of the power from its minimum, where "
                f"{self.tol:.1e} is wanted, after {field.n_iter} answers of the voxels"
            )
        crystals = tuple(
            replace(now, shear_rate=rate)
            for now, rate in zip(state.crystals, self._rates(field), strict=True)
        )
        return replace(
            state,
            piola=field.cauchy.reshape(-1, 3, 3),
            crystals=crystals,
            n_iter=field.n_iter,
            residual=field.gap,
            solved=field,
        )

    def advance(self, state: FieldState, stage: Stage, begin: NDArray, share: float, dt: float) -> FieldState:
        """The state after dt seconds, and its field under the same load.

        Raises
        ------
        StepFailed : the field did not converge
        """
        field: Field = state.solved
        velocity = field.velocity_gradient.reshape(-1, 3, 3).copy()
        if isinstance(stage.loading, Load):
            shape = field.mean_gradient
            velocity = velocity + in_layers(shape, gaps(self.grain_index)) - shape
        matrices = state.inverse.copy()
        spin = torch.as_tensor(axial((velocity - velocity.swapaxes(1, 2)) / 2))
        mean = velocity.mean(0)
        if self.no_grain == "empty":  # what fills a gap has no deformation of its own
            velocity[self.grain_index.ravel() < 0] = mean
        size = float(von_mises_rate(field.rate.reshape(-1, 5).mean(0)))
        crystals = []
        for part, now in zip(self.parts, state.crystals, strict=True):
            glide = glide_of(part.law).systems
            rate = torch.as_tensor(now.shear_rate[:, : len(glide)])
            own = torch.as_tensor(matrices[part.where])
            if self.turns_lattice:
                plastic = (own @ (rate @ slip_spin(glide))[..., None])[..., 0]
                own = rotation((spin[part.where] - plastic) * dt) @ own
            slip = now.shear_rate[:, : len(glide)] * dt
            hardening = part.hardening.harden(
                now.hardening, rate, dt, rate=size, temperature=self.temperature
            )
            turned = own.numpy().copy()
            twins, voxels, turns, hardening = follow_twins(
                part.twins, part.reorients, now.twins, slip, hardening
            )
            turned[voxels] = turned[voxels] @ turns
            matrices[part.where] = turned
            shear = now.shear + np.abs(now.shear_rate) * dt
            crystals.append(replace(now, hardening=hardening, shear=shear, twins=twins))
        after = replace(
            state,
            gradient=(np.eye(3) + dt * velocity) @ state.gradient,
            cell=(np.eye(3) + dt * mean) @ state.cell,
            inverse=matrices,
            crystals=tuple(crystals),
            time=state.time + dt,
            strain=state.strain + dt * size,
            last_dt=dt,
            last_mean=dt * mean,
        )
        return self.solve(after, stage.loading)

    def observe(self, state: FieldState) -> Observation:
        """Stress, lattice and slip of every voxel."""
        places = [part.where for part in self.parts]
        is_empty = (self.grain_index.ravel() < 0) & (self.no_grain == "empty")
        cauchy = np.where(is_empty[:, None, None], 0.0, state.piola)
        return observation(cauchy, state.inverse, state, places, self.grain_index.size)

    def _rates(self, field: Field) -> list[NDArray]:
        rates = field.shear_rate.reshape(self.grain_index.size, -1)
        ends = np.cumsum([0] + [len(part.law.schmid) for part in self.parts])
        return [rates[part.where, a:b] for part, a, b in zip(self.parts, ends[:-1], ends[1:], strict=True)]


def _hardened(law: Law, state: State, strength: torch.Tensor, where: NDArray) -> Law:
    """The law in the state of voxels; strengths of the whole grid for a PowerLaw, of its own for others."""
    if "back_stress" in state or not isinstance(law, PowerLaw):
        return with_state(law if isinstance(law, Together) else glide_of(law), state)
    return law.with_strength(strength)
