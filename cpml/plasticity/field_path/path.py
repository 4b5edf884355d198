"""Full field over strain: crystals on a grid along a load path, with hardening, texture, twins, elasticity.

| | viscoplastic (no stiffness) | elasto-viscoplastic (stiffness given) |
|---|---|---|
| law | any | PowerLaw |
| step | explicit: order of the increment | backward Euler, finite strain (crystal.elastic_point) |
| grid | voxels kept, cell follows the mean | undeformed, every voxel has its F |
| begins with | flow at the first strain | elastic loading |
| unloading, residual stress, back stress | no | yes |

A step that fails is cut in halves, up to `cutbacks` times. A path that cannot be followed ends in a
NotConvergedError that says where, with the record so far; its checkpoint holds the last good state.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from cpml.compiled import one_thread_each
from cpml.crystallography.elasticity import crystal_stiffness
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.arguments import Values, as_matrices
from cpml.plasticity.crystal.elastic_point import ElasticCrystal
from cpml.plasticity.field.grid import PeriodicGrid
from cpml.plasticity.field.phases import check_grid, check_phase
from cpml.plasticity.field_path.checkpoint import Progress, read_checkpoint, write_checkpoint
from cpml.plasticity.field_path.elastic import ElasticEngine, ElasticPart
from cpml.plasticity.field_path.loading import Loading, Stage, as_stages, gaps
from cpml.plasticity.field_path.record import FieldPath, Row
from cpml.plasticity.field_path.rigid import RigidEngine, RigidPart
from cpml.plasticity.field_path.state import FieldState, NotConvergedError, Observation, StepFailed
from cpml.plasticity.laws.law import Law
from cpml.plasticity.laws.modes import Modes
from cpml.plasticity.laws.strength.hardening import Hardening, NoHardening
from cpml.plasticity.laws.together import glide_of
from cpml.plasticity.laws.twins.reorientation import Reorientation


def full_field_path(
    law: Law | Sequence[Law],
    grain_index: NDArray,
    orientations: Values,
    *,
    loading: Loading | Stage | Sequence[Stage],
    strain: float | None = None,
    steps: int | None = None,
    hardening: Hardening | Sequence[Hardening] | None = None,
    stiffness: Mapping[str, float] | ArrayLike | Sequence | None = None,
    phase: NDArray | None = None,
    no_grain: str = "refuse",
    reorientation: Reorientation | None = None,
    scheme: str = "full_field",
    step: float | tuple[float, ...] = 1.0,
    difference: str = "rotated",
    update_grid: bool = True,
    update_texture: bool = True,
    temperature: float | None = None,
    tol: float = 1e-4,
    cutbacks: int = 6,
    threads: int = 1,
    device: torch.device | str | None = None,
    checkpoint: FilePath | str | None = None,
    resume: bool = False,
    progress: Callable[[str], None] | None = None,
) -> FieldPath:
    """Deform a grid of crystals along a load path.

    Parameters
    ----------
    law, grain_index, orientations, phase, no_grain, step, difference, threads : as in full_field; strengths
        are the initial ones, per family, system, grain or voxel; ``no_grain`` is "refuse" or "empty"
    loading : Load, Conditions or strain rate, with ``strain`` and ``steps``; or stages, each with its own
    strain, steps : von Mises strain at the end, and increments (None: of at most 0.002)
    hardening : as in `deform`; one for each law
    stiffness : elastic constants by name, or (6, 6) Voigt, MPa, crystal axes (material.elastic); one
        for each law. None leaves elasticity out
    reorientation : rules of twin reorientation, voxel by voxel, of the phase with the same systems; None
        only counts the fractions
    scheme : "full_field", or "taylor": every voxel has the mean deformation (needs a stiffness)
    update_grid, update_texture : without a stiffness, whether the cell follows the mean
        deformation and lattices turn
    temperature : K, for hardening laws that depend on it
    tol : of every increment: share of the power (viscoplastic), of the stress (elasto-viscoplastic)
    cutbacks : times that a failing increment is halved
    device : of torch, as in full_field; without a stiffness only
    checkpoint : HDF5 file that holds the path after every increment
    resume : go on from the checkpoint; the result equals that of an uninterrupted path
    progress : called with a line after every increment

    Returns
    -------
    FieldPath

    Raises
    ------
    ParameterError : as full_field; a scheme, stage or resume that does not fit
    NotConvergedError : an increment that fails after all cut-backs; its ``path`` is the record so far

    Examples
    --------
    >>> from cpml.crystallography import systems
    >>> from cpml.load import Load
    >>> from cpml.plasticity import PowerLaw, Voce
    >>> fcc = systems("fcc", families=["octahedral"])
    >>> law, cube = PowerLaw(fcc, [30.0], 20.0, 1e-3), [[1.0, 0, 0, 0]]
    >>> pulled = full_field_path(
    ...     law,
    ...     np.zeros((2, 2), int),
    ...     cube,
    ...     loading=Load.from_dict({"kind": "tension", "axis": "x"}),
    ...     strain=0.02,
    ...     steps=4,
    ...     hardening=Voce(fcc, tau1=10.0, theta0=200.0),
    ... )
    >>> print(pulled.table()[["strain", "von_mises_mpa"]].round(3).to_string(index=False))
     strain  von_mises_mpa
      0.000         69.262
      0.005         74.278
      0.010         78.204
      0.015         81.277
      0.020         83.683
    """
    stages = as_stages(loading, strain, steps)
    matrices = as_matrices(orientations).detach().numpy().reshape(-1, 3, 3)
    laws: tuple[Law, ...] = tuple(law) if isinstance(law, Sequence) else (law,)
    grain_index = check_grid(grain_index, len(matrices), no_grain)
    phase = check_phase(phase, len(matrices), laws)
    if not tol > 0 or cutbacks < 0:
        raise ParameterError(f"tol = {tol} must be positive and cutbacks = {cutbacks} not negative")
    if no_grain == "average":
        raise ParameterError("no_grain = 'average' is not offered over strain: use 'empty'")
    if scheme not in ("full_field", "taylor"):
        raise ParameterError(f"scheme = {scheme!r}: choose full_field or taylor")
    grid = PeriodicGrid.of(grain_index.shape, step, difference, threads)
    number = grain_index.ravel()
    wheres = [np.flatnonzero((number >= 0) & (phase[number] == k)) for k in range(len(laws))]
    hardenings = [h or NoHardening() for h in _per_law(hardening, len(laws), "hardening")]
    lattice = np.where((number >= 0)[:, None, None], matrices[number], np.eye(3))
    strengths = [
        _strengths(one, where, grain_index, len(matrices)) for one, where in zip(laws, wheres, strict=True)
    ]
    twins = _twins(laws, reorientation)
    engine: _Engine
    if stiffness is None:
        if scheme == "taylor":
            raise ParameterError("scheme = 'taylor' over strain needs a stiffness; without one use `deform`")
        if any(stage.nominal for stage in stages):
            raise ParameterError("nominal stages need a stiffness: without one rates are velocity gradients")
        columns = zip(wheres, laws, hardenings, strengths, twins, strict=True)
        engine = RigidEngine(
            grain_index,
            tuple(RigidPart(*values[:4], *values[4]) for values in columns),
            no_grain,
            step,
            difference,
            update_grid,
            update_texture,
            tol,
            threads,
            temperature,
            device,
        )
    else:
        if device is not None:
            raise ParameterError("paths with a stiffness stay on the CPU: leave out device, or the stiffness")
        parts = []
        for k, constants in enumerate(_per_law(stiffness, len(laws), "stiffness")):
            values = crystal_stiffness(constants) if isinstance(constants, Mapping) else constants
            crystal = ElasticCrystal(laws[k], values)  # type: ignore[arg-type]  # it refuses other laws
            parts.append(ElasticPart(wheres[k], crystal, hardenings[k], strengths[k], *twins[k]))
        engine = ElasticEngine(
            grid, tuple(parts), tol, threads, scheme == "taylor", temperature, gaps(grain_index)
        )
    names = tuple(family for one in laws for family in _mode_families(one))
    say = progress or (lambda _: None)
    driver = _Driver(engine, lattice, grain_index, grid.step, names, cutbacks, checkpoint, say)
    with one_thread_each():
        return driver(stages, resume)


class _Engine(Protocol):
    """What follows a path: cpml.plasticity.field_path.rigid and elastic."""

    def start(self, matrices: NDArray, stage: Stage) -> FieldState:
        """The first state, of crystal_to_sample (N, 3, 3)."""

    def enter(self, state: FieldState, stage: Stage) -> FieldState:
        """The state at the beginning of a later stage."""

    def working(self, state: FieldState, stage: Stage) -> NDArray:
        """(m,) mean stress on the directions that a stage leaves free, MPa."""

    def advance(self, state: FieldState, stage: Stage, begin: NDArray, share: float, dt: float) -> FieldState:
        """The state after dt, a share of the stage's time then; ``begin`` is `working` at its beginning."""

    def observe(self, state: FieldState) -> Observation:
        """What the state shows."""


@dataclass
class _Driver:
    """The increments of a path, cut back where they fail, recorded and kept."""

    engine: _Engine
    matrices: NDArray  # (N, 3, 3)
    grain_index: NDArray
    step: tuple[float, ...]
    modes: tuple[str, ...]
    cutbacks: int
    checkpoint: FilePath | str | None
    progress: Callable[[str], None]

    def __call__(self, stages: tuple[Stage, ...], resume: bool) -> FieldPath:
        done = Progress()
        if resume:
            if self.checkpoint is None:
                raise ParameterError("resume needs the checkpoint from which to go on")
            done, state = read_checkpoint(FilePath(self.checkpoint), self.grain_index)
        else:
            try:
                state = self.engine.start(self.matrices, stages[0])
            except StepFailed as reason:
                raise NotConvergedError(f"the path does not begin: {reason}", None) from None
            done.rows.append(self.row(state, 0))
        for k in range(done.stage, len(stages)):
            stage = stages[k]
            if k > done.stage:
                done.stage, done.step, done.begin = k, 0, None
                try:
                    state = self.engine.enter(state, stage)
                except StepFailed as reason:
                    raise NotConvergedError(
                        f"the path stops at the beginning of stage {k + 1} of {len(stages)} (strain "
                        f"{state.strain:.4g}): {reason}",
                        self.path(done, state),
                    ) from None
            if done.begin is None:
                done.begin = self.engine.working(state, stage)
            dt = stage.duration / stage.number
            for i in range(done.step, stage.number):
                try:
                    state = self.advance(state, stage, done.begin, (i, i + 1), dt, 0)
                except StepFailed as reason:
                    raise NotConvergedError(
                        f"the path stops in stage {k + 1} of {len(stages)}, increment {i + 1} of "
                        f"{stage.number} (strain {state.strain:.4g}): {reason}, after {self.cutbacks} "
                        "cut-backs; smaller increments or a larger tol may help",
                        self.path(done, state),
                    ) from None
                done.step = i + 1
                done.rows.append(self.row(state, k))
                self.say(done.rows[-1], k, i, len(stages), stage.number)
                if self.checkpoint is not None:
                    write_checkpoint(FilePath(self.checkpoint), done, state, self.grain_index)
        return self.path(done, state)

    def advance(
        self,
        state: FieldState,
        stage: Stage,
        begin: NDArray,
        part: tuple[float, float],
        dt: float,
        depth: int,
    ) -> FieldState:
        """One increment, from part[0] to part[1] of the stage's steps, in halves where it fails."""
        first, last = part
        try:
            return self.engine.advance(state, stage, begin, last / stage.number, dt)
        except StepFailed:
            if depth >= self.cutbacks:
                raise
        middle = (first + last) / 2
        half = self.advance(state, stage, begin, (first, middle), dt / 2, depth + 1)
        return self.advance(half, stage, begin, (middle, last), dt / 2, depth + 1)

    def row(self, state: FieldState, stage: int) -> Row:
        """The record of a state."""
        return Row.of(self.grain_index, state, self.engine.observe(state), stage)

    def path(self, done: Progress, state: FieldState) -> FieldPath:
        """The record so far."""
        last = self.engine.observe(state)
        return FieldPath.of(done.rows, self.grain_index, self.step, self.modes, last, state)

    def say(self, row: Row, k: int, i: int, stages: int, steps: int) -> None:
        """One line of progress."""
        where = f"stage {k + 1} of {stages}, " if stages > 1 else ""
        self.progress(
            f"{where}increment {i + 1} of {steps}: strain {row.strain:.4f}, {row.n_iter} answers, residual "
            f"{row.residual:.1e}"
        )


def _per_law(values: Any, count: int, name: str) -> list:
    """One value for each law; a matrix as a list of rows is one value."""
    is_list = isinstance(values, list | tuple) and not (len(values) and np.ndim(values[0]) == 1)
    if not is_list and count > 1 and values is not None:
        raise ParameterError(f"{count} laws need a list of {name}, one for each")
    if is_list and len(values) != count:
        raise ParameterError(f"{len(values)} values of {name} for {count} laws")
    return list(values) if is_list else [values] * count


def _strengths(law: Law, where: NDArray, grain_index: NDArray, grains: int) -> NDArray:
    """(n, S) initial strengths of the voxels of a phase, MPa."""
    strength = glide_of(law).system_strength.detach().numpy()
    shape, number = strength.shape[:-1], grain_index.ravel()[where]
    if shape == ():
        return np.tile(strength, (len(where), 1))
    if shape == (grains,):
        return strength[number]
    if shape == grain_index.shape:
        return strength.reshape(-1, strength.shape[-1])[where]
    raise ParameterError(
        f"strengths of shape {strength.shape}: give them per family or system, of each of the {grains} "
        f"grains, or of each voxel {grain_index.shape}"
    )


def _twins(laws: tuple[Law, ...], given: Reorientation | None) -> list[tuple[Reorientation, bool]]:
    """Rules of twin fractions of each law, and whether they turn voxels: where they are of its systems."""
    each = [glide_of(law).systems for law in laws]
    own = [given is not None and _are_same(systems, given.systems) for systems in each]
    if given is not None and not any(own):
        raise ParameterError("the rules of reorientation are of other systems than those of the law")
    return [
        (given, True) if given is not None and is_own else (Reorientation(systems), False)
        for systems, is_own in zip(each, own, strict=True)
    ]


def _are_same(systems: Systems, other: Systems) -> bool:
    return systems.dyad.shape == other.dyad.shape and bool(np.allclose(systems.dyad, other.dyad))


def _mode_families(law: Law) -> list[str]:
    modes = Modes.of(law)
    return [modes.families[k] for k in modes.family.tolist()]
