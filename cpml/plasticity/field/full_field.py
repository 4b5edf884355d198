"""Viscoplastic full field on a periodic grid: every voxel deforms as part of the map, not of a mean medium.

A grid of voxels (a measured map, continued along z and around its edges, or a volume) obeys, without
elasticity,

    div sigma = 0,   d = sym grad v,   div v = 0,   d = sum_s gamma_dot_s P_s  in every voxel

which is the minimum of the convex power <psi(d)> over the strain rates of divergence-free velocities under
the macroscopic conditions. At large n the power is nearly non-smooth: the stress of a voxel jumps between
corners of its yield surface, and Newton's method in d takes ever shorter steps. So it is approached by
smooth problems (the proximal point or augmented Lagrangian method on the stress): voxels resist changes of
stress,

    sum_s gamma_dot_s(s) P_s + a (s - s0) = d,        s0 <- s, a <- a/3  whenever Newton's steps are easy,

and each smooth problem takes Newton steps: local answers (cpml.plasticity.field.voxels), conjugate gradients
with a mean medium (cpml.plasticity.field.equilibrium), a line search on the work of the stress along the
step. No answer of a voxel needs a strain rate that its systems can follow, so that cones (a missing family)
are solved as well, as far as the neighbours let them.

The solution is judged by two shares of the power, both of which must fall below `tol`:

    gap = (Newton decrement) / 2 + <|s . (d - sum gamma_dot P)|>

| symbol | meaning | unit | shape |
|---|---|---|---|
| d, sigma | strain rate, deviatoric stress in the 5-basis | 1/s, MPa | (*grid, 5) |
| a | resistance to changes of stress | 1/(MPa s) | scalar |

Chosen by measurement (64^2, n = 20, tol 1e-4, fcc and magnesium 1:8:30:6). Newton in d with the exact law
does not converge in 40 steps. The augmented Lagrangian alone (a fixed resistance and reference medium, one
answer of the voxels an iteration) takes 130 to 210 and 580 to 700 answers, and too small a resistance ends
beside the solution; here 36 and 125, in half the time: an answer costs as much as fifteen iterations of
conjugate gradients.

References: Michel, Moulinec & Suquet 2001, Int. J. Numer. Methods Eng. 52:139 (augmented Lagrangian);
Rockafellar 1976, Math. Oper. Res. 1:97 (proximal point and multipliers); Lebensohn 2001, Acta Mater. 49:2723
(viscoplastic full field).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from cpml.compiled import one_thread_each
from cpml.crystallography.tensors import to_matrix, von_mises_stress
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity.arguments import Values
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.field.equilibrium import Array, MeanMedium, Nodal, Space, conjugate_gradients
from cpml.plasticity.field.grid import PeriodicGrid
from cpml.plasticity.field.on_device import TorchSpace, check_device, phases_on
from cpml.plasticity.field.phases import Phases
from cpml.plasticity.laws.law import Law

_FIRST, _LEAST = 1.0, 1e-9  # resistance at the start, where it stays; in units of the macroscopic compliance
_WARM = 0.01  # resistance from the solution of a nearby problem
_SHARPEN = 3.0
_EASY = 0.3  # Newton decrement below which the resistance may fall
_HEAVY = 200  # iterations of conjugate gradients above which the resistance stays
_FORCING = 0.05  # conjugate gradients end at this share of the residual: the next linearisation loses more
# of every voxel's strain rate, in units of the macroscopic one: what voxels leave grows up to 1e5-fold on the
# way, and the last step of Newton's method is cheap
_LOCAL_TOL = 1e-12
_TRIALS = 6


@dataclass(frozen=True, eq=False)
class Field:
    """Solution of :func:`full_field`, sample frame, voxels in the order of ``grain_index``."""

    grain_index: NDArray  # (*grid,) row of the orientations, -1 in voxels of no grain
    stress: NDArray  # (*grid, 5) deviator, MPa
    rate: NDArray  # (*grid, 5) 1/s
    shear_rate: NDArray  # (*grid, S) 1/s; of several phases one after another
    velocity: NDArray  # (3, nz, ny, nx) of the corners beside the mean, step / s
    mean_gradient: NDArray  # (3, 3) 1/s; its spin is that of the conditions, else zero
    macro: NDArray  # (5,) mean stress deviator, MPa
    residual: float  # work of the forces out of balance, relative to the power: its root
    gap: float  # relative distance from the solution, as power (module docstring)
    converged: bool
    n_iter: int  # answers of the voxels
    n_linear: int  # iterations of conjugate gradients
    grid: PeriodicGrid

    @property
    def von_mises(self) -> float:
        """Von Mises stress of the mean, MPa."""
        return float(von_mises_stress(self.macro))

    @cached_property
    def velocity_gradient(self) -> NDArray:
        """L (*grid, 3, 3) 1/s: its symmetric part is ``rate``, the rest the spin of the material."""
        return self.grid.gradient(self.velocity).reshape(*self.grain_index.shape, 3, 3) + self.mean_gradient

    def grain_mean(self, values: NDArray) -> NDArray:
        """Mean (G, ...) of voxel values (*grid, ...) over every grain; NaN for a grain without a voxel."""
        return grain_mean(self.grain_index, values)

    @cached_property
    def pressure(self) -> NDArray:
        """(*grid,) MPa, positive in compression: what equilibrium adds to the deviators. Its mean is zero,
        or, where voxels are empty, its mean over them.
        """
        space = Space(self.grid, np.zeros((5, 0)))
        force = self.grid.transform(space.force(self.stress.reshape(-1, 5)).wave)
        k = self.grid.symbol
        square = (np.abs(k) ** 2).sum(0)
        spectrum = (k * force).sum(0) / np.where(square > 0, square, 1.0)
        pressure = self.grid.back(spectrum[None])[0].reshape(self.grain_index.shape)
        is_empty = self.grain_index < 0
        return pressure - pressure[is_empty].mean() if is_empty.any() else pressure

    @property
    def cauchy(self) -> NDArray:
        """(*grid, 3, 3) stress with its pressure, MPa."""
        return to_matrix(self.stress) - self.pressure[..., None, None] * np.eye(3)


def grain_mean(grain_index: NDArray, values: NDArray) -> NDArray:
    """Mean (G, ...) of voxel values (*grid, ...) over every grain; voxels of no grain (-1) do not count."""
    number = grain_index.ravel()
    flat = np.asarray(values, float).reshape(len(number), -1)[number >= 0]
    number = number[number >= 0]
    count = np.bincount(number)
    total = np.stack([np.bincount(number, column) for column in flat.T], axis=1)
    with np.errstate(invalid="ignore"):
        mean = total / count[:, None]
    return mean.reshape(len(count), *values.shape[grain_index.ndim :])


def full_field(
    law: Law | Sequence[Law],
    grain_index: NDArray,
    orientations: Values,
    *,
    loading: Load | Conditions | Values,
    phase: NDArray | None = None,
    no_grain: str = "refuse",
    step: float | tuple[float, ...] = 1.0,
    deformation: NDArray | None = None,
    difference: str = "rotated",
    tol: float = 1e-4,
    max_iter: int = 400,
    start: Field | None = None,
    threads: int = 1,
    device: torch.device | str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Field:
    """Stress, strain rate and slip of every voxel of a periodic grid.

    Parameters
    ----------
    law : any law; strengths of a PowerLaw per family or system, of every grain (G, K or S) or voxel (*grid,
        K or S). Several laws: one for each phase
    grain_index : (rows, columns) or (slices, rows, columns) int, row of ``orientations`` in every voxel; x
        along the columns, y along the rows. A plane is continued along z, which makes its grains columns. -1
        marks voxels of no grain
    orientations : (G, 4) crystal_to_sample quaternions or (G, 3, 3) matrices
    loading : Load (mean stress parallel to its stress, rate prescribed along it); Conditions; or a (3, 3)
        strain rate in 1/s, all of whose components are then prescribed
    phase : (G,) number of every grain's law
    no_grain : what fills voxels without a grain: "refuse" (an error), "empty" (no stress: a gap or a free
        surface), "average" (isotropic, with the strength of the self-consistent polycrystal)
    step : edges of a voxel: one number, or along x, y(, z)
    deformation : (3, 3) mean deformation gradient of a grid whose cell has followed it; None: undeformed
    difference : of cpml.plasticity.field.grid
    tol : the power is within about this share of its minimum. Grain stresses are then right to about
        sqrt(tol); single voxels and forces on free surfaces, on which the power hardly depends at large n,
        less: `cpml.plasticity.polished` makes them right
    max_iter : answers of the voxels
    start : solution of a nearby problem on the same grid
    threads : of voxels and transforms, in compiled loops
    device : of torch, e.g. "cuda", where voxels of a PowerLaw and equilibrium are solved (in float64; the
        Field is on the CPU); None takes the compiled loops
    progress : called with a line on every step

    Returns
    -------
    Field; ``converged`` is False where ``max_iter`` did not suffice

    Raises
    ------
    ParameterError : a grid that is no map or volume of known grains, strengths of another shape, an unknown
        option, a tolerance that is not positive; a device that torch does not have here, a law that does not
        go to one
    """
    if not tol > 0:
        raise ParameterError(f"tol = {tol} must be positive")
    conditions = Conditions.of(loading, "free" if isinstance(loading, Load) else "axisymmetric")
    phases = Phases.of(law, grain_index, orientations, phase, no_grain, conditions, threads)
    grid = PeriodicGrid.of(phases.grain_index.shape, step, difference, threads)
    if deformation is not None:
        grid = grid.moved(deformation)
    if start is not None and start.rate.shape[:-1] != phases.grain_index.shape:
        raise ParameterError(f"start has the grid {start.rate.shape[:-1]}, not {phases.grain_index.shape}")
    problem = _Problem.of(phases, grid, conditions)
    if device is not None:
        problem = problem.on(check_device(device))
    with one_thread_each():
        return _solve(problem, tol, max_iter, start, progress or (lambda _: None))


@dataclass(frozen=True)
class _Problem:
    """Equilibrium in units of the phases' rate0 and sigma0."""

    phases: Phases
    space: Space
    imposed: NDArray  # (5,) mean strain rate along the directions that are not free
    target: Array  # (m,) mean stress along the free ones
    conditions: Conditions
    host: "_Problem | None" = None  # of a problem on a device: the same on the CPU

    @classmethod
    def of(cls, phases: Phases, grid: PeriodicGrid, conditions: Conditions) -> "_Problem":
        stress, basis, rate = conditions.split
        free = conditions.free
        return cls(
            phases,
            Space(grid, free),
            basis @ rate / phases.rate0,
            free.T @ stress / phases.sigma0,
            conditions,
        )

    def on(self, device: torch.device) -> "_Problem":
        """The problem with its numbers on a device."""
        return replace(
            self,
            phases=phases_on(self.phases, device),
            space=TorchSpace.on(self.space, device),
            target=torch.as_tensor(self.target, device=device),
            host=self,
        )

    def unbalanced(self, stress: Array) -> Nodal:
        """Forces that the motion must still answer."""
        force = self.space.force(stress)
        return Nodal(-force.wave, self.target * self.space.grid.size - force.mean)


@dataclass
class _State:
    """A strain rate that the grid can follow, and the voxels' answer to it."""

    motion: Nodal
    rate: Array  # (N, 5) of the motion
    stress: Array  # (N, 5)
    before: Array  # (N, 5) s0
    tangent: Array  # (N, 5, 5)
    resistance: float

    def moved(self, move: Callable[[Array], Array]) -> "_State":
        """The state with all its arrays moved."""
        names = ("rate", "stress", "before", "tangent")
        arrays = {name: move(getattr(self, name)) for name in names}
        return replace(self, motion=Nodal(*map(move, self.motion)), **arrays)

    def answer(self, phases: Phases, rate: Array) -> bool:
        """Stress and tangent at a strain rate; False where a voxel was not solved."""
        self.rate = rate
        return phases.answer(rate, self.before, self.resistance, _LOCAL_TOL, self.stress, self.tangent)

    def sharpen(self, linear: int) -> None:
        """s0 <- s, and a <- a/3 unless conjugate gradients had to iterate long: their number grows with the
        contrast of the tangents, up to 1/a, and s0 alone also leads to the law.
        """
        self.before[:] = self.stress
        if linear < _HEAVY:
            self.resistance = max(_LEAST, self.resistance / _SHARPEN)


def _solve(
    problem: _Problem, tol: float, max_iter: int, start: Field | None, progress: Callable[[str], None]
) -> Field:
    phases, space = problem.phases, problem.space
    state, answers, linear = _first(problem, start), 1, 0
    is_solved = state.answer(phases, state.rate)
    while True:
        force = problem.unbalanced(state.stress)
        medium = MeanMedium.of(space, state.tangent.mean(0))
        solved = conjugate_gradients(space, state.tangent, medium, force, tol=_FORCING)
        linear += solved.n_iter
        power = max(float((state.stress * state.rate).sum()), 1e-300)
        decrement = force.dot(solved.motion) / power
        mismatch = _mismatch(state, power)
        progress(
            f"resistance {state.resistance:.0e}, out of balance {decrement:.1e}, off the law {mismatch:.1e}"
        )
        is_done = is_solved and solved.converged and decrement / 2 < tol and mismatch < tol
        if is_done or answers >= max_iter:
            break
        step, more, is_solved = _line_search(
            problem, state, space.strain(solved.motion), force, solved.motion
        )
        answers += more
        state.motion = state.motion.plus(step, solved.motion)
        if step == 1.0 and solved.converged and decrement < _EASY and mismatch > tol / 3:
            state.sharpen(solved.n_iter)
            is_solved = state.answer(phases, state.rate)
            answers += 1
    return _field(problem, state, decrement, mismatch, is_done, (answers, linear))


def _first(problem: _Problem, start: Field | None) -> _State:
    """From a uniform strain rate and no stress, or from a nearby solution moved to this load."""
    if problem.host is not None:
        device = problem.space.free.device
        return _first(problem.host, start).moved(lambda values: torch.as_tensor(values, device=device))
    count, phases = problem.space.grid.size, problem.phases
    tangent = np.empty((count, 5, 5))
    if start is None:
        rate, zero = np.broadcast_to(problem.imposed, (count, 5)).copy(), np.zeros((count, 5))
        return _State(problem.space.zero(), rate, zero.copy(), zero, tangent, _FIRST)
    stress = start.stress.reshape(-1, 5) / phases.sigma0
    mean = problem.space.free.T @ (start.rate.reshape(-1, 5).mean(0) / phases.rate0)
    # in a cell that has moved since, the old velocity would change volumes
    motion = problem.space.solenoidal(Nodal(start.velocity / phases.rate0, mean))
    rate = problem.space.strain(motion) + problem.imposed
    return _State(motion, rate, stress.copy(), stress, tangent, _WARM)


def _mismatch(state: _State, power: float) -> float:
    """Share of the power by which strain rates and the law disagree: s . a (s - s0)."""
    work = state.resistance * (state.stress * (state.stress - state.before)).sum(1)
    return float(abs(work).sum()) / power


def _line_search(
    problem: _Problem, state: _State, along: Array, force: Nodal, motion: Nodal
) -> tuple[float, int, bool]:
    """Move by a share of the Newton step at which the work of the forces along it has fallen; the share,
    answers, and whether every voxel was solved.

    The work is the slope of a convex power, so that a secant finds where it vanishes.
    """
    first, share, begin = force.dot(motion), 1.0, state.rate
    for trial in range(1, _TRIALS + 1):
        is_solved = state.answer(problem.phases, begin + share * along)
        work = problem.unbalanced(state.stress).dot(motion)
        if work >= -0.7 * first:  # still downhill, or not far beyond the minimum
            break
        if trial < _TRIALS:
            share *= max(0.1, min(0.7, first / (first - work)))
    return share, trial, is_solved


def _field(
    problem: _Problem,
    state: _State,
    decrement: float,
    mismatch: float,
    is_done: bool,
    effort: tuple[int, int],
) -> Field:
    if problem.host is not None:
        problem, state = problem.host, state.moved(lambda values: values.cpu().numpy())
    phases, space = problem.phases, problem.space
    shape = phases.grain_index.shape
    rate, stress = state.rate * phases.rate0, state.stress * phases.sigma0
    return Field(
        grain_index=phases.grain_index,
        stress=stress.reshape(*shape, 5),
        rate=rate.reshape(*shape, 5),
        shear_rate=phases.shear_rate(state.stress).reshape(*shape, -1) * phases.rate0,
        velocity=state.motion.wave * phases.rate0,
        mean_gradient=to_matrix(rate.mean(0)) + problem.conditions.spin(rate.mean(0)),
        macro=stress.mean(0),
        residual=float(np.sqrt(abs(decrement))),
        gap=float(decrement / 2 + mismatch),
        converged=bool(is_done),
        n_iter=effort[0],
        n_linear=effort[1],
        grid=space.grid,
    )
