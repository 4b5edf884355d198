"""One increment of an elasto-viscoplastic grid at finite strain.

    Div P = 0,   F = F_mean + grad u,   P and dP/dF of every voxel from cpml.plasticity.crystal.elastic_point

in the undeformed grid (total Lagrangian: it needs no update). Newton's method on the displacements of the
corners and on what is free of the mean, each step by conjugate gradients with a mean medium
(cpml.plasticity.field.equilibrium), from the motion of the last increment. Strengths are those at the end of
the increment, by one pass of backward Euler in every Newton step.

An increment is solved when the stress that would restore equilibrium, and the last change of the strengths,
are below `tol` of the stress and of the strengths.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cpml.plasticity.crystal.elastic_point import ElasticCrystal, ElasticResponse
from cpml.plasticity.field.equilibrium import MeanMedium, Nodal, Space, conjugate_gradients
from cpml.plasticity.field.grid import PeriodicGrid
from cpml.plasticity.field_path.loading import Control, Stage
from cpml.plasticity.field_path.state import (
    CrystalState,
    FieldState,
    Observation,
    StepFailed,
    follow_twins,
    observation,
)
from cpml.plasticity.laws.strength.hardening import Hardening
from cpml.plasticity.laws.strength.implicit_step import change, extrapolated, growth, implicit_step
from cpml.plasticity.laws.twins.reorientation import Reorientation

_MAX_NEWTON = 25
_FORCING = 0.05
_SLOW = 0.1  # of the residual: a Newton step that leaves more is followed by a new tangent
_WORSE = 1.5  # times the residual: a Newton step that leaves more is shortened
_CUTS = 6
_POINT_TOL = 1e-9  # of the points, at most: what they leave must not stop the increments from converging
_STILL = 1e-15  # 1/s, strain rate of a grid that does not move, for laws that take its logarithm


@dataclass(frozen=True)
class ElasticPart:
    """Voxels of one phase."""

    where: NDArray  # (n,)
    crystal: ElasticCrystal
    hardening: Hardening
    strength: NDArray  # (n, S) initial, MPa
    twins: Reorientation
    reorients: bool  # False: twins are only counted


@dataclass(frozen=True)
class _Answer:
    """The voxels at a trial deformation."""

    piola: NDArray  # (N, 9)
    responses: list[ElasticResponse]
    hardening: list[Any]
    drift: float  # relative change of the strengths in this pass


@dataclass(frozen=True)
class ElasticEngine:
    """Solver of increments (module docstring)."""

    grid: PeriodicGrid
    parts: tuple[ElasticPart, ...]
    tol: float
    threads: int
    is_uniform: bool = False  # every voxel has the mean deformation (Taylor)
    temperature: float | None = None  # K, of hardening laws that know it
    normals: tuple[int, ...] = ()  # of layers that are empty (cpml.plasticity.field_path.loading)

    def start(self, matrices: NDArray, stage: Stage) -> FieldState:
        """Undeformed and free of stress; crystal_to_sample of every voxel (N, 3, 3)."""
        states = []
        for part in self.parts:
            zero = np.zeros(part.strength.shape)
            hardening = part.hardening.start(torch.as_tensor(part.strength))
            twins = part.twins.start(len(part.where))
            states.append(CrystalState(hardening, zero, zero, twins, np.zeros((len(zero), 6))))
        gradient = np.broadcast_to(np.eye(3), (self.grid.size, 3, 3)).copy()
        return FieldState(gradient, np.array(matrices, float), np.zeros_like(gradient), tuple(states))

    def enter(self, state: FieldState, stage: Stage) -> FieldState:
        """A stage begins where the last one ended."""
        return state

    def working(self, state: FieldState, stage: Stage) -> NDArray:
        """(m,) mean stress on the directions that a stage leaves free, MPa."""
        return Control.of(stage, self.normals).working(state.piola.mean(0), state.cell)

    def advance(self, state: FieldState, stage: Stage, begin: NDArray, share: float, dt: float) -> FieldState:
        """The state after dt seconds, with the stresses on free directions a share of the way from ``begin``.

        Raises
        ------
        StepFailed : no equilibrium was found
        """
        control = Control.of(stage, self.normals)
        stress = begin + share * (control.stress - begin)
        mean = state.cell
        imposed, free = control.moves(mean, dt)
        space = Space(self.grid, free)
        wanted = stress if control.nominal else stress * np.linalg.det(mean + imposed)
        share = dt / state.last_dt if state.last_dt else 0.0
        hardening = [extrapolated(now.hardening, now.growth, share) for now in state.crystals]
        trial = _Trial(self, state, space, imposed, wanted, dt)
        motion = self._predicted(state, imposed, free, dt)
        answer = trial.answer(motion, hardening, [now.start for now in state.crystals], True)
        error, force = trial.judge(answer)
        for used in range(1, _MAX_NEWTON + 1):
            if error < self.tol and answer.drift < self.tol:
                return self._accepted(state, space, motion, imposed, answer, dt, used, error)
            accuracy = min(_FORCING, max(0.3 * self.tol / error, 1e-3))
            assert trial.tangent is not None
            solved = conjugate_gradients(space, trial.tangent, trial.medium, force, tol=accuracy)
            before, length = error, 1.0
            starts = [one.stress for one in answer.responses]
            for attempt in range(_CUTS):
                ahead = motion.plus(length, solved.motion)
                try:
                    next_answer = trial.answer(ahead, answer.hardening, starts, trial.is_slow)
                    error, force = trial.judge(next_answer)
                except StepFailed:
                    error = np.inf
                if error < _WORSE * before or (attempt == _CUTS - 1 and np.isfinite(error)):
                    break
                length *= 0.35
            if not np.isfinite(error):
                raise StepFailed("the law of a voxel has no solution near the last Newton step")
            motion, answer, trial.is_slow = ahead, next_answer, error > _SLOW * before
        raise StepFailed(f"no equilibrium after {_MAX_NEWTON} Newton steps: {self.name(error, answer.drift)}")

    def name(self, error: float, drift: float) -> str:
        """What is left, in words."""
        return (
            f"a residual of {error:.1e} of the stress and a last change of {drift:.1e} of the strengths, "
            f"where {self.tol:.1e} is wanted"
        )

    def observe(self, state: FieldState) -> Observation:
        """Stress, lattice and slip of every voxel."""
        count = self.grid.size
        jacobian = np.linalg.det(state.gradient)[:, None, None]
        cauchy = state.piola @ state.gradient.swapaxes(1, 2) / np.where(jacobian > 0, jacobian, 1.0)
        lattice = _rotation_of(state.gradient @ state.inverse)
        return observation(cauchy, lattice, state, [part.where for part in self.parts], count)

    def _predicted(self, state: FieldState, imposed: NDArray, free: NDArray, dt: float) -> Nodal:
        """The motion of the last increment, for this one."""
        wave = np.zeros((3, *self.grid.shape))
        if state.last_wave is None or not state.last_dt:
            return Nodal(wave, np.zeros(free.shape[1]))
        share = dt / state.last_dt
        left = (share * state.last_mean - imposed).ravel()
        return Nodal(share * state.last_wave, np.linalg.lstsq(free, left, rcond=None)[0])

    def _accepted(
        self,
        state: FieldState,
        space: Space,
        motion: Nodal,
        imposed: NDArray,
        answer: _Answer,
        dt: float,
        used: int,
        error: float,
    ) -> FieldState:
        inverse, crystals = state.inverse.copy(), []
        rows = zip(self.parts, state.crystals, answer.responses, answer.hardening, strict=True)
        for part, now, response, hardening in rows:
            slip = response.shear_rate * dt
            after, start = response.inverse, response.stress
            grown = growth(hardening, now.hardening)
            twins, voxels, turns, hardening = follow_twins(
                part.twins, part.reorients, now.twins, slip, hardening
            )
            if len(voxels):
                after, start = after.copy(), start.copy()
                after[voxels] = after[voxels] @ turns
                start[voxels] = 0.0
            inverse[part.where] = after
            shear = now.shear + np.abs(slip)
            crystals.append(CrystalState(hardening, shear, response.shear_rate, twins, start, grown))
        moved = imposed + (space.free @ motion.mean).reshape(3, 3)
        gradient = state.gradient + (space.strain(motion) + imposed.ravel()).reshape(-1, 3, 3)
        return FieldState(
            gradient=gradient,
            inverse=inverse,
            piola=answer.piola.reshape(-1, 3, 3),
            cell=state.cell + moved,
            crystals=tuple(crystals),
            time=state.time + dt,
            strain=state.strain + _size(moved @ np.linalg.inv(state.cell)),
            last_dt=dt,
            last_wave=motion.wave,
            last_mean=moved,
            n_iter=used,
            residual=error,
        )


@dataclass
class _Trial:
    """One increment in the search for its equilibrium."""

    engine: ElasticEngine
    state: FieldState
    space: Space
    imposed: NDArray  # (3, 3)
    wanted: NDArray  # (m,) mean stress that works on the free directions, MPa
    dt: float
    is_slow: bool = False  # the last step left much of the residual: the next answer has a new tangent
    tangent: NDArray | None = None  # (N, 9, 9) dP/dF

    def judge(self, answer: _Answer) -> tuple[float, Nodal]:
        """Stress that would restore equilibrium over the stress, and the force out of balance."""
        count = self.space.grid.size
        force = self.space.force(answer.piola)
        force = Nodal(-force.wave, self.wanted * count - force.mean)
        if self.engine.is_uniform:
            force.wave[:] = 0.0
        size = max(float(np.sqrt((answer.piola**2).mean())), 1e-9)
        lacking = self.space.strain(self.medium(force)) @ self.mean_tangent
        return float(np.sqrt((lacking**2).mean())) / size, force

    def renew(self, tangent: NDArray) -> None:
        """Take a new tangent and its mean medium."""
        self.tangent, self.mean_tangent = tangent, tangent.mean(0)
        medium = MeanMedium.of(self.space, self.mean_tangent)
        is_uniform = self.engine.is_uniform
        self.medium = replace(medium, waves=np.zeros_like(medium.waves)) if is_uniform else medium

    def answer(
        self, motion: Nodal, hardening: list[Any], starts: list[NDArray], wants_tangent: bool
    ) -> _Answer:
        """Stresses and the next estimate of the strengths at a motion; the tangent too where it is wanted.

        Raises
        ------
        StepFailed : a voxel without a solution, or whose strengths leave what an increment can do
        """
        engine, state, dt = self.engine, self.state, self.dt
        count = self.space.grid.size
        gradient = state.gradient + (self.space.strain(motion) + self.imposed.ravel()).reshape(-1, 3, 3)
        is_one = len(engine.parts) == 1 and len(engine.parts[0].where) == count
        mean = self.imposed + (self.space.free @ motion.mean).reshape(3, 3)
        rate = max(_size(mean @ np.linalg.inv(state.cell)) / dt, _STILL)
        piola = np.zeros((count, 9))
        tangent = np.zeros((count, 9, 9)) if wants_tangent and not is_one else None
        responses, states, drift = [], [], 0.0
        for part, now, guess, start in zip(engine.parts, state.crystals, hardening, starts, strict=True):
            at = slice(None) if is_one else part.where
            response = part.crystal.respond(
                gradient[at],
                state.inverse[at],
                guess["strength"].numpy(),
                dt,
                back_stress=guess["back_stress"].numpy() if "back_stress" in guess else None,
                start=start,
                tangent=wants_tangent,
                threads=engine.threads,
                tol=min(_POINT_TOL, 1e-2 * engine.tol),
            )
            if not response.converged.all():
                raise StepFailed(f"the law of {int((~response.converged).sum())} voxels has no solution")
            after = implicit_step(
                part.hardening,
                now.hardening,
                guess,
                torch.as_tensor(response.shear_rate),
                dt,
                rate=rate,
                temperature=engine.temperature,
            )
            strength = after["strength"]
            if not bool(
                (strength > 0.5 * guess["strength"]).all() and (strength < 2 * guess["strength"]).all()
            ):
                raise StepFailed("strengths change by more than half in one increment")
            drift = max(drift, change(strength, guess["strength"]))
            piola[at] = response.piola.reshape(-1, 9)
            if is_one:
                tangent = response.tangent
            elif tangent is not None:
                tangent[at] = response.tangent
            responses.append(response)
            states.append(after)
        if tangent is not None:
            self.renew(tangent)
        return _Answer(piola, responses, states, drift)


def _rotation_of(elastic: NDArray) -> NDArray:
    """Rotations of polar decompositions F_e = R U (N, 3, 3), by Newton's iteration (Higham 1986)."""
    rotation = elastic
    for _ in range(20):
        a, b, c = rotation[:, 0], rotation[:, 1], rotation[:, 2]
        cofactors = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)
        determinant = (a * cofactors[:, 0]).sum(1)
        after = (rotation + cofactors / determinant[:, None, None]) / 2  # R^-T = cof R / det R
        is_done = np.abs(after - rotation).max() < 1e-13
        rotation = after
        if is_done:
            break
    return rotation


def _size(gradient: NDArray) -> float:
    """Von Mises size of a small change of shape."""
    symmetric = (gradient + gradient.T) / 2
    deviator = symmetric - np.trace(symmetric) / 3 * np.eye(3)
    return float(np.sqrt(2 / 3) * np.linalg.norm(deviator))
