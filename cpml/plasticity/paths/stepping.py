"""The steps of a deformation path: solve, record a row, advance twins, orientations,
grain shape and strengths.

cpml.plasticity.paths.deform states the order and the symbols.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.tensors import rotation_5x5, to_matrix, von_mises_rate, von_mises_stress
from cpml.errors import CpmlError, ParameterError
from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.laws.law import GlideLaw, PowerLaw
from cpml.plasticity.laws.modes import Modes
from cpml.plasticity.laws.shifted import with_state
from cpml.plasticity.laws.spin import axial, turn
from cpml.plasticity.laws.strength.hardening import Hardening, State
from cpml.plasticity.laws.strength.kocks_mecking import KocksMecking
from cpml.plasticity.laws.thermal.cross_slip import CrossSlip
from cpml.plasticity.laws.together import Together, glide_of
from cpml.plasticity.laws.twins.reorientation import Reorientation, TwinState
from cpml.plasticity.laws.twins.twin_nucleation import Nuclei, TwinNucleation
from cpml.plasticity.laws.twins.volume_transfer import TransferState, VolumeTransfer
from cpml.plasticity.paths.path import Path
from cpml.plasticity.polycrystal.medium import Start
from cpml.plasticity.polycrystal.polycrystal import Polycrystal
from cpml.plasticity.polycrystal.response import MeanField, medium_of
from cpml.plasticity.polycrystal.schemes import Settings

CONTROLS = {"11": (0, 0), "22": (1, 1), "33": (2, 2), "23": (1, 2), "13": (0, 2), "12": (0, 1)}
_RATE_ROUNDS = 20  # of the reference rate, where stresses shall not depend on it


@dataclass(frozen=True)
class Now:
    """State between two steps."""

    matrices: Tensor  # (G, 3, 3) crystal_to_sample
    weights: Tensor  # (G,) sum 1
    hardening: State
    shape: NDArray | None  # (3, 3)
    twins: TwinState
    nuclei: Nuclei | None
    strain: Tensor  # von Mises
    time: Tensor  # s


@dataclass(frozen=True)
class Row:
    """What a path records of one solved state (shapes and units: Path)."""

    strain: Tensor
    time: Tensor
    stress: Tensor
    rate: Tensor
    taylor_factor: Tensor
    activity: Tensor
    strength: Tensor
    twin_fraction: NDArray
    reoriented: NDArray
    cross_slip: Tensor | None
    cauchy: NDArray | None
    n_iter: int
    converged: bool


@dataclass
class PathSolver:
    """Time integration of one path (the arguments of `deform`)."""

    law: GlideLaw | Together
    hardening: Hardening
    weights: Tensor  # (G,) sum 1, at the start
    settings: Settings
    control: str
    rules: Reorientation | VolumeTransfer
    reorients: bool  # False: twins are only counted
    nucleation: TwinNucleation | None
    cross_slip: CrossSlip | None
    update_shape: bool
    update_texture: bool
    temperature: float | None
    rate_insensitive: bool
    stops: bool  # at a row that did not converge

    def __call__(
        self,
        matrices: Tensor,
        conditions: Sequence[Conditions],
        increments: NDArray,
        shape: NDArray | None,
    ) -> Path:
        """The path from orientations (G, 3, 3) by increments (steps,) under conditions (steps + 1,)."""
        glide, zero = glide_of(self.law), torch.zeros((), dtype=torch.float64)
        self.modes, self.line = Modes.of(self.law), self.settings.linearisation(self.law)
        self.start: Start | None = None
        strength = glide.system_strength.expand(len(matrices), len(glide.systems))
        now = Now(
            matrices,
            self.weights,
            self.hardening.start(strength),
            shape,
            self.no_twins(),
            None if self.nucleation is None else self.nucleation.start(len(matrices)),
            zero,
            zero,
        )
        if "back_stress" in now.hardening:
            self.settings.check(conditions[0], with_state(self.law, now.hardening))
        now, field = self.solve(now, conditions[0])
        first = field
        rows = [self.row(now, field, conditions[0])]
        self.judge(rows)
        for before, after, increment in zip(conditions[:-1], conditions[1:], increments, strict=True):
            now = self.advance(now, field, before, float(increment))
            now, field = self.solve(now, after)
            rows.append(self.row(now, field, after))
            self.judge(rows)
        control = np.concatenate([[0.0], np.cumsum(increments)])
        return self.collect(rows, control, now, first, field)

    def no_twins(self) -> TwinState:
        """The state of twins before the first step."""
        if isinstance(self.rules, VolumeTransfer):
            return self.rules.start(self.weights.detach().numpy())
        return self.rules.start(len(self.weights))

    def judge(self, rows: list[Row]) -> None:
        """Say, or raise, that the last of the rows did not converge."""
        row = rows[-1]
        if row.converged:
            return
        what = f"row {len(rows) - 1} of the path (strain {float(row.strain.detach()):.4g}) did not converge"
        if self.stops:
            raise CpmlError(f"{what}: smaller increments or a smaller rate exponent may help")
        warnings.warn(f"{what}; its numbers, and those of later rows, are no solution", stacklevel=4)

    def solve(self, now: Now, conditions: Conditions) -> tuple[Now, MeanField]:
        """The response of the present state, and the state with the twins that nucleate under it."""
        state = now.hardening
        if now.nuclei is not None:
            state = {**state, "strength": now.nuclei.resisting(state["strength"])}
        for _ in range(_RATE_ROUNDS if self.rate_insensitive else 1):
            law = with_state(self.law, state)
            grains = Polycrystal(law, now.matrices, now.weights)
            field = grains.solve(conditions, self.settings, now.shape, self.start)
            self.start, size = medium_of(field).start, float(field.rate.detach().norm())
            if not self.rate_insensitive or not isinstance(self.law, PowerLaw):
                break
            if abs(size / as_tensor(self.law.reference_rate).item() - 1) < 1e-9:
                break
            self.law = replace(self.law, reference_rate=size)
        if now.nuclei is not None:
            inside = self.inside(now, field) @ self.modes.tensors.T
            now = replace(now, nuclei=now.nuclei.under(inside.detach().numpy()))
        return now, field

    def advance(self, now: Now, field: MeanField, conditions: Conditions, increment: float) -> Now:
        """The state after a step whose control strain is `increment`."""
        dt = increment / _control_rate(field.rate, self.control)
        step, glide = dt.item(), field.shear_rate[:, : self.modes.gliding]
        rate = field.rate.detach().numpy()
        spin, shape = conditions.spin(rate), now.shape
        shear = (glide.detach() * step).numpy()
        twins, matrices, hardening, nuclei = self.twin(now, shear)
        if self.update_texture:
            deviation = None
            if self.line.has_medium or self.line.relaxed is not None:
                deviation = self.modes.strain_rate(now.matrices, field.shear_rate) - field.rate
            matrices = turn(
                matrices, glide, self.modes.spin, torch.as_tensor(axial(spin)), deviation, field.spin, dt
            )
        if self.update_shape:
            shape = (np.eye(3) + (to_matrix(rate) + spin) * step) @ (np.eye(3) if shape is None else shape)
        size = float(von_mises_rate(field.rate.detach()))
        hardening = self.hardening.harden(hardening, glide, dt, rate=size, temperature=self.temperature)
        if self.cross_slip is not None and isinstance(self.hardening, KocksMecking):
            leaving = self.leaving(now, field)
            density = self.cross_slip.exchanged(hardening["density"], glide * dt, leaving)
            hardening = self.hardening.with_density(hardening, density)
        strain, time = now.strain + _work_rate(field) * dt, now.time + dt
        after = Now(matrices, now.weights, hardening, shape, twins, nuclei, strain, time)
        return self.transfer(after, shear) if isinstance(self.rules, VolumeTransfer) else after

    def leaving(self, now: Now, field: MeanField) -> Tensor:
        """(G, P) probability that a screw changes its plane."""
        assert self.cross_slip is not None and self.temperature is not None  # deform checks
        glide = field.shear_rate[:, : self.modes.gliding]
        return self.cross_slip.probability(self.inside(now, field), self.temperature, glide)

    def inside(self, now: Now, field: MeanField) -> Tensor:
        """(G, 5) stresses of the grains in crystal axes, MPa."""
        return (field.grain_stress[:, None, :] @ rotation_5x5(now.matrices))[:, 0]

    def exchange(self, now: Now, field: MeanField) -> Tensor | None:
        """Rate of exchange between planes over the rate of slip, mean of the grains."""
        if self.cross_slip is None:
            return None
        glide = field.shear_rate[:, : self.modes.gliding].abs()
        start = torch.as_tensor(self.cross_slip.pairs[:, 0])
        slip = torch.as_tensor(self.cross_slip.systems.slip)
        changed = (glide[:, start] * self.leaving(now, field)).sum(-1)
        return (now.weights @ changed) / (now.weights @ glide[:, slip].sum(-1)).clamp(min=1e-300)

    def twin(self, now: Now, shear: NDArray) -> tuple[TwinState, Tensor, State, Nuclei | None]:
        """Fractions after shears (G, S) of a step; orientations, strengths and nuclei with
        the reoriented grains turned.
        """
        weights, rules = now.weights.detach().numpy(), self.rules
        if isinstance(rules, VolumeTransfer):  # transfers once the step is made
            return now.twins, now.matrices, now.hardening, now.nuclei
        if not self.reorients:
            return rules.accumulate(now.twins, shear, weights), now.matrices, now.hardening, now.nuclei
        twins, grains, system = rules.advance(now.twins, shear, weights)
        if not len(grains):
            return twins, now.matrices, now.hardening, now.nuclei
        half_turn = torch.eye(3, dtype=torch.float64).repeat(len(now.matrices), 1, 1)
        half_turn[grains] = torch.as_tensor(rules.rotation(system))
        factor = torch.ones_like(now.hardening["strength"])
        factor[grains, system] = rules.soften
        strength = now.hardening["strength"] * factor
        nuclei = None if now.nuclei is None else now.nuclei.turned(grains)
        return twins, now.matrices @ half_turn, {**now.hardening, "strength": strength}, nuclei

    def transfer(self, now: Now, shear: NDArray) -> Now:
        """Volumes given to twins after shears (G, S), and the rows of twins that are born, which take the
        strengths and the stress of their parents.
        """
        rules = self.rules
        assert isinstance(rules, VolumeTransfer) and isinstance(now.twins, TransferState)
        weights = now.weights.detach().numpy()
        twins, weights, parents, systems = rules.advance(now.twins, shear, weights)
        matrices, rows = now.matrices, torch.as_tensor(parents)
        half_turn = torch.as_tensor(rules.rotation(systems))
        if len(parents) and self.start is not None:
            stress = self.start.stress
            self.start = replace(self.start, stress=np.concatenate([stress, stress[parents]]))
        return replace(
            now,
            matrices=torch.cat([matrices, matrices[rows] @ half_turn]),
            weights=torch.as_tensor(weights),
            hardening=_with_rows(now.hardening, rows),
            twins=twins,
            nuclei=None if now.nuclei is None else now.nuclei.born(parents, systems),
        )

    def row(self, now: Now, field: MeanField, conditions: Conditions) -> Row:
        """What is recorded of a solved state."""
        slip, medium = now.weights @ field.shear_rate.abs(), medium_of(field)
        by_family = self.modes.sum_by_family(slip)
        return Row(
            strain=now.strain,
            time=now.time,
            stress=field.stress,
            rate=field.rate,
            taylor_factor=slip.sum() / _work_rate(field),
            activity=by_family / by_family.sum(),
            strength=self.modes.mean_by_family(now.weights @ now.hardening["strength"]),
            twin_fraction=self.modes.pad(now.twins.accumulated),
            reoriented=self.modes.pad(now.twins.effective),
            cross_slip=self.exchange(now, field),
            cauchy=conditions.cauchy(field.stress.detach().numpy()),
            n_iter=medium.n_iter,
            converged=medium.converged,
        )

    def collect(self, rows: list[Row], control: NDArray, now: Now, first: MeanField, last: MeanField) -> Path:
        """The record of all rows."""
        tensors = ["strain", "time", "stress", "rate", "taylor_factor", "activity", "strength"]
        tensors += ["cross_slip"] if self.cross_slip is not None else []
        arrays = ("twin_fraction", "reoriented", "n_iter", "converged")
        columns: dict[str, Any] = {key: torch.stack([getattr(row, key) for row in rows]) for key in tensors}
        columns |= {key: np.array([getattr(row, key) for row in rows]) for key in arrays}
        return Path(
            families=self.modes.families,
            control=torch.as_tensor(control),
            von_mises=von_mises_stress(columns["stress"]),
            cauchy=None if rows[0].cauchy is None else np.array([row.cauchy for row in rows]),
            orientations=now.matrices,
            weights=now.weights,
            grain_strength=now.hardening["strength"],
            shape=now.shape,
            first=first,
            last=last,
            twin_count=now.twins.count,
            grain_twins=now.twins.fraction.sum(1),
            state=now.hardening,
            nucleated=None if now.nuclei is None else now.nuclei.nucleated,
            **columns,
        )


def _with_rows(state: State, rows: Tensor) -> State:
    """The state of a hardening law with those of some grains (R,) once more at its end."""
    return {
        key: _with_rows(value, rows) if isinstance(value, dict) else torch.cat([value, value[rows]])
        for key, value in state.items()
    }


def _work_rate(field: MeanField) -> Tensor:
    """(Sigma:D)/sigma_vM, 1/s."""
    return (field.stress @ field.rate) / field.von_mises


def _control_rate(rate: Tensor, control: str) -> Tensor:
    """Size of the control component of a strain rate (5,), 1/s."""
    size = von_mises_rate(rate) if control == "von_mises" else to_matrix(rate)[CONTROLS[control]].abs()
    if not size.item() > 1e-12 * float(rate.detach().norm()):
        raise ParameterError(f"the control component {control} does not move: choose another one")
    return size
