"""Derivatives of a converged full field: one linear equilibrium, no unrolled iterations.

The unknowns are the stresses s of the voxels and the motion m = (v, e) of the grid
(cpml.plasticity.field.equilibrium). With eps(s; theta) = sum_s gamma_dot_s P_s, the flow of a voxel, the
field solves

    eps(s; theta) - B m = D   in every voxel,        B^T s = T

D is the imposed mean strain rate, T the imposed mean stress along the free directions F (times the number N
of voxels; no force on the corners). Every derivative is a solution of one symmetric linear system with the
compliance M = d eps/ds, (t, u) = solve(r, f):

    M t - B u = r,        B^T t = f

Forward, for a change of one parameter: (ds, dm) = solve(dD - d eps|_s, dT). Backward, for a loss with the
derivatives s' by s and d' by the strain rate, all parameters at once: (t, -y) = solve(s', -B^T d'), and

    by eps|_s: -t,        by D: sum of (t + d'),        by T / N: N y.e

It is solved in the stresses (cpml.plasticity.field.stress_system).

torch differentiates eps at fixed stress by the law, its strengths, exponent and rates and by the
orientations, so that any law with a graph will do. Empty voxels take no part: their strain rates are not
determined and have no derivative. Of average voxels the strength follows law and orientations; a change of
the load's direction does not change it.

The derivatives are those of the exact equations, which the solver meets to its tolerance. A few Newton steps,
(ds, dm) = solve(D + B m - eps, T - B^T s), remove what is left.

| symbol | meaning | unit | shape |
|---|---|---|---|
| s, eps | stress, flow of the voxels in the 5-basis | MPa, 1/s | (N, 5) |
| M | compliance | 1/(MPa s) | (N, 5, 5) |
| t, y | multipliers: a stress, a motion | loss s, loss / MPa | (N, 5), as m |

Reference: Michaleris, Tortorelli & Vidal 1994, Int. J. Numer. Methods Eng. 37:2471 (direct and adjoint
derivatives of nonlinear problems).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import forward_ad

from cpml.compiled import one_thread_each
from cpml.crystallography.tensors import rotation_5x5, to_matrix, to_vector
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity.arguments import Values, as_matrices, as_rate, as_tensor
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.field.equilibrium import Nodal, Space
from cpml.plasticity.field.full_field import Field, full_field
from cpml.plasticity.field.grid import PeriodicGrid
from cpml.plasticity.field.phases import Phases, average_strength
from cpml.plasticity.field.stress_system import StressSystem
from cpml.plasticity.field.voxels import AnyLawVoxels, IsotropicVoxels, PowerLawVoxels
from cpml.plasticity.laws.law import Law, PowerLaw
from cpml.plasticity.laws.together import Together, glide_of

_POLISH = 12  # Newton steps at most
_MOST_FORCING = 1e-2  # of their linear systems
_USABLE = 1e-5  # share of strain rate or force left over, above which derivatives mean nothing


class AttachedField(NamedTuple):
    """A solved field as tensors with derivatives, and as it is."""

    stress: Tensor  # (*grid, 5) deviator, MPa
    rate: Tensor  # (*grid, 5) 1/s
    shear_rate: Tensor  # (*grid, S) 1/s
    velocity_gradient: Tensor  # (*grid, 3, 3) 1/s
    macro: Tensor  # (5,) mean stress deviator, MPa
    field: Field  # polished: closer to the equations than the solver's tolerance


class StrengthSlopes(NamedTuple):
    """Derivatives of a field by the natural logarithms of the strengths of K families."""

    stress: NDArray  # (K, *grid, 5) MPa
    rate: NDArray  # (K, *grid, 5) 1/s
    shear_rate: NDArray  # (K, *grid, S) 1/s
    macro: NDArray  # (K, 5) MPa


def differentiable_field(
    law: Law | Sequence[Law],
    grain_index: NDArray,
    orientations: Values,
    *,
    loading: Load | Conditions | Values,
    rate_values: Values | None = None,
    stress_values: Values | None = None,
    phase: NDArray | None = None,
    no_grain: str = "refuse",
    step: float | tuple[float, ...] = 1.0,
    difference: str = "rotated",
    tol: float = 1e-6,
    max_iter: int = 400,
    field: Field | None = None,
    accuracy: float = 1e-8,
    threads: int = 1,
    progress: Callable[[str], None] | None = None,
) -> AttachedField:
    """The full field as a differentiable function of its parameters (module docstring): first derivatives,
    backward, or forward with `torch.autograd.forward_ad`.

    Parameters
    ----------
    law, orientations : as of `full_field`; tensors that require a gradient get one: strengths (per family,
        system, grain or voxel), n, reference rate, or what other laws have; quaternions or matrices
    grain_index, phase, no_grain, step, difference, tol, max_iter, threads, progress : as of `full_field`
    loading : as of `full_field`; a strain rate as a tensor, (3, 3) or (5,), is differentiated
    rate_values, stress_values : in place of those of the Conditions `loading`, 1/s and MPa, differentiated
    field : the solution for just these arguments, if it is known
    accuracy : share of the forces to which the linear equilibrium behind the derivatives is solved

    Returns
    -------
    AttachedField; derivatives mean something only where its ``field.converged`` is True (equations met to
    1e-5 at least)

    Raises
    ------
    ParameterError : as `full_field`; a field of another grid; rate or stress values of another shape
    CpmlError : on differentiation, a linear equilibrium that is not solved to ``accuracy``

    Examples
    --------
    >>> from cpml.crystallography import random_quaternions, systems
    >>> strength = torch.tensor([10.0], dtype=torch.float64, requires_grad=True)
    >>> law = PowerLaw(systems("fcc", families=["octahedral"]), strength, n=10.0)
    >>> rate, grains = np.diag([1.0, -0.5, -0.5]), np.arange(4).reshape(2, 2)
    >>> solved = differentiable_field(
    ...     law, grains, random_quaternions(4, np.random.default_rng(0)), loading=rate
    ... )
    >>> slope = torch.autograd.grad(solved.macro.norm(), strength)[0]
    >>> bool(abs(slope * 10.0 / solved.macro.norm() - 1) < 1e-6)  # stresses are proportional to one strength
    True
    """
    conditions, imposed, target = _load(loading, rate_values, stress_values)
    if field is None:
        field = full_field(
            law, grain_index, orientations, loading=conditions, phase=phase,
            no_grain=no_grain, step=step, difference=difference, tol=tol, max_iter=max_iter, threads=threads,
            progress=progress,
        )  # fmt: skip
    problem = _Equations.of(
        law, grain_index, orientations, conditions, phase, no_grain, step, difference, threads
    )
    matrices = as_matrices(orientations).reshape(-1, 3, 3)
    laws = tuple(law) if isinstance(law, Sequence) else (law,)
    factor = problem.average_factor(laws[0], matrices)
    theta = _Theta(laws, rotation_5x5(matrices), factor, imposed, target)
    return problem.polished(field, theta, accuracy).attached(theta)


def strength_sensitivity(
    law: Law | Sequence[Law],
    grain_index: NDArray,
    orientations: Values,
    *,
    loading: Load | Conditions | Values,
    field: Field,
    phase: NDArray | None = None,
    no_grain: str = "refuse",
    difference: str = "rotated",
    accuracy: float = 1e-6,
    threads: int = 1,
) -> StrengthSlopes:
    """Derivatives of a solved field by the log strengths of its families, one linear equilibrium each.

    Parameters
    ----------
    law, grain_index, orientations, loading, phase, no_grain, difference, threads : as of `full_field`, which
        gave ``field``; with several laws the families of all, one law after another. The strengths of a law
        are what its `with_strength` replaces (of `Together`: of its first law)
    accuracy : share of the forces to which these equilibria are solved

    Raises
    ------
    ParameterError : a field of another grid, a law without strengths
    """
    conditions, imposed, target = _load(loading, None, None)
    problem = _Equations.of(
        law, grain_index, orientations, conditions, phase, no_grain, field.grid.step, difference, threads
    )
    laws = tuple(law) if isinstance(law, Sequence) else (law,)
    matrices = as_matrices(orientations).detach().reshape(-1, 3, 3)
    turn, fixed = rotation_5x5(matrices), torch.ones((), dtype=torch.float64)
    theta = _Theta(laws, turn, fixed, imposed.detach(), target.detach())
    point = problem.polished(field, theta, accuracy)
    sizes = [len(glide_of(one).systems.family_names) for one in laws]
    log_factor = torch.zeros(sum(sizes), dtype=torch.float64)
    follows = problem.average_slopes(laws[0], matrices, log_factor)
    columns = []
    for direction in torch.eye(len(log_factor), dtype=torch.float64):
        with forward_ad.dual_level(), torch.no_grad():
            moved = forward_ad.make_dual(log_factor, direction)
            parts = moved.split(sizes)
            stronger = tuple(_stronger(one, part.exp()) for one, part in zip(laws, parts, strict=True))
            changed = replace(theta, laws=stronger, average=(follows @ moved).exp())
            solved = point.attached(changed)
            values = (solved.stress, solved.rate, solved.shear_rate, solved.macro)
            columns.append([_tangent(value) for value in values])
    return StrengthSlopes(*(np.stack(column) for column in zip(*columns, strict=True)))


def polished(
    field: Field,
    law: Law | Sequence[Law],
    orientations: Values,
    *,
    loading: Load | Conditions | Values,
    phase: NDArray | None = None,
    no_grain: str = "refuse",
    accuracy: float = 1e-8,
    threads: int = 1,
) -> Field:
    """The solution next to a field, by Newton steps in the stresses: equations met to ``accuracy``.

    The power, by which `full_field` is judged, hardly depends on the stresses of single voxels and of free
    surfaces at large n; here they are those of the equations. It takes about as long as the field itself, and
    a field of tol 1e-4 is near enough.

    Parameters
    ----------
    field : of `full_field`, for the other arguments
    accuracy : share of strain rates and forces that may be left over

    Returns
    -------
    Field; ``residual`` is what is left over, ``converged`` whether that is below 1e-5

    Raises
    ------
    ParameterError : as `full_field`; a field that is not finite
    """
    conditions, imposed, target = _load(loading, None, None)
    phases = Phases.of(law, field.grain_index, orientations, phase, no_grain, conditions, threads)
    problem = _Equations(phases, Space(replace(field.grid, threads=threads), conditions.free), conditions)
    laws = tuple(law) if isinstance(law, Sequence) else (law,)
    turn = rotation_5x5(as_matrices(orientations).detach().reshape(-1, 3, 3))
    theta = _Theta(laws, turn, torch.ones((), dtype=torch.float64), imposed.detach(), target.detach())
    with one_thread_each():
        solved = problem.polished(field, theta, accuracy).field
    assert solved is not None
    return solved


@dataclass(frozen=True)
class _Theta:
    """What a field is differentiated by, with its graph."""

    laws: tuple[Law, ...]
    turn: Tensor  # (G, 5, 5) crystal to sample
    average: Tensor  # () factor on the strength of average voxels, 1 here
    imposed: Tensor  # (5,) D, 1/s
    target: Tensor  # (m,) T / N, MPa


class _Flow(NamedTuple):
    """How the voxels flow at given stresses."""

    rate: Tensor  # (N, 5) 1/s
    shear_rate: Tensor  # (N, S) 1/s
    by_stress: Tensor  # (N, S, 5) derivative of shear_rate, without graph
    compliance: NDArray  # (N, 5, 5) M, 1/(MPa s)


@dataclass(frozen=True)
class _Equations:
    """The equations of one grid."""

    phases: Phases
    space: Space
    conditions: Conditions

    @classmethod
    def of(
        cls,
        law: Law | Sequence[Law],
        grain_index: NDArray,
        orientations: Values,
        conditions: Conditions,
        phase: NDArray | None,
        no_grain: str,
        step: float | tuple[float, ...],
        difference: str,
        threads: int,
    ) -> "_Equations":
        """Checked (the arguments of `full_field`)."""
        phases = Phases.of(
            law,
            grain_index,
            orientations,
            phase,
            no_grain,
            conditions,
            threads,
        )
        shape = phases.grain_index.shape
        edges = step[: len(shape)] if isinstance(step, tuple) else step
        grid = PeriodicGrid.of(shape, edges, difference, threads)
        return cls(phases, Space(grid, conditions.free), conditions)

    def flow(self, stress: NDArray, theta: _Theta) -> _Flow:
        """Flow of all voxels at stresses (N, 5), with the graph of theta."""
        count, modes = len(stress), self.phases.modes[-1].stop
        rate, shear = (
            torch.zeros(count, 5, dtype=torch.float64),
            torch.zeros(count, modes, dtype=torch.float64),
        )
        slopes, compliance = torch.zeros(count, modes, 5, dtype=torch.float64), np.zeros((count, 5, 5))
        for k, (part, columns) in enumerate(zip(self.phases.parts, self.phases.modes, strict=True)):
            at, own = torch.as_tensor(part.where), torch.as_tensor(stress[part.where])
            if isinstance(part, IsotropicVoxels):
                if part.strength == 0:
                    continue
                flow, hessian = self._isotropic(part, own, theta)
            elif isinstance(part, PowerLawVoxels | AnyLawVoxels):
                law = _rows(theta.laws[k], part)
                turn = theta.turn[torch.as_tensor(part.grain)]
                schmid = torch.matmul(law.schmid, turn.transpose(1, 2))  # (n, S, 5) sample frame
                speed, slope = law.rates((schmid @ own[..., None])[..., 0])
                flow = (speed[:, None, :] @ schmid)[:, 0]
                fixed = schmid.detach()
                steep = slope.detach()[..., None] * fixed
                hessian = fixed.transpose(1, 2) @ steep
                inside = torch.arange(columns.start, columns.stop)
                shear = shear.index_put((at[:, None], inside), speed)
                slopes[at, columns] = steep
            else:
                raise ParameterError(f"no derivative for voxels of the kind {type(part).__name__}")
            rate = rate.index_put((at,), flow)
            compliance[part.where] = hessian.numpy()
        return _Flow(rate, shear, slopes, compliance)

    def _isotropic(self, part: IsotropicVoxels, stress: Tensor, theta: _Theta) -> tuple[Tensor, Tensor]:
        """|d| = rate0 (|s| / strength)^n along s, and its derivative."""
        strength = part.strength * self.phases.sigma0 * theta.average
        law = theta.laws[0]
        n = as_tensor(law.n) if isinstance(law, PowerLaw) else torch.tensor(part.n, dtype=torch.float64)
        size = stress.norm(dim=1, keepdim=True).clamp(min=1e-300)
        secant = self.phases.rate0 / strength * (size / strength) ** (n - 1)
        along = stress / size
        eye = torch.eye(5, dtype=torch.float64)
        outer = (n - 1) * along[:, :, None] * along[:, None, :]
        return secant * stress, (secant[..., None] * (eye + outer)).detach()

    def average_factor(self, law: Law, matrices: Tensor) -> Tensor:
        """Strength of the self-consistent polycrystal over its value, with the graph of law and matrices."""
        if not self._has_average:
            return torch.ones((), dtype=torch.float64)
        number, rate0 = self.phases.grain_index.ravel(), self.phases.rate0
        size = average_strength((law,), matrices, number, self.conditions, rate0)
        return size / size.detach()

    def average_slopes(self, law: Law, matrices: Tensor, log_factor: Tensor) -> Tensor:
        """(K,) derivative of the logarithm of that strength by the log strengths of the families."""
        if not self._has_average:
            return torch.zeros_like(log_factor)
        with torch.enable_grad():
            moved = log_factor.clone().requires_grad_()
            factor = self.average_factor(_stronger(law, moved.exp()), matrices)
            return torch.autograd.grad(factor, moved)[0]

    @property
    def _has_average(self) -> bool:
        return any(isinstance(part, IsotropicVoxels) and part.strength > 0 for part in self.phases.parts)

    @cached_property
    def is_solid(self) -> NDArray:
        """(N,) where a voxel carries stress."""
        solid = np.ones(self.space.grid.size, bool)
        for part in self.phases.parts:
            if isinstance(part, IsotropicVoxels) and part.strength == 0:
                solid[part.where] = False
        return solid

    @torch.no_grad()
    def polished(self, field: Field, theta: _Theta, accuracy: float) -> "_Point":
        """The solution next to a field: Newton steps for as long as they help."""
        shape = self.phases.grain_index.shape
        if field.grain_index.shape != shape:
            raise ParameterError(f"field has the grid {field.grain_index.shape}, not {shape}")
        space, imposed = self.space, theta.imposed.detach().numpy()
        target = theta.target.detach().numpy() * space.grid.size
        stress = field.stress.reshape(-1, 5).copy()
        motion = Nodal(field.velocity, space.free.T @ field.rate.reshape(-1, 5).mean(0))
        best, left = None, np.inf
        for _ in range(_POLISH):
            flow = self.flow(stress, theta)
            linear = StressSystem.of(space, flow.compliance, self.is_solid, accuracy)
            rate = imposed + space.strain(motion)
            missing = (rate - flow.rate.numpy()) * self.is_solid[:, None]
            force = space.force(stress)
            force = Nodal(-force.wave, target - force.mean)
            error = linear.size(missing, force) / linear.size(rate, None)
            if not error < 0.5 * left:
                break
            best, left = _Point(self, stress, motion, flow.shear_rate.numpy(), linear, error), error
            if error < accuracy:
                break
            change, moved, _ = linear.solve(missing, force, min(_MOST_FORCING, max(error, accuracy)))
            stress, motion = stress + change, motion.plus(1.0, moved)
        if best is None:
            raise ParameterError("field is no solution: it contains values that are not finite")
        return replace(best, field=self._field(field, best, theta))

    def _field(self, field: Field, point: "_Point", theta: _Theta) -> Field:
        shape = self.phases.grain_index.shape
        rate = theta.imposed.detach().numpy() + self.space.strain(point.motion)
        mean = rate.mean(0)
        return replace(
            field,
            stress=point.stress.reshape(*shape, 5),
            rate=rate.reshape(*shape, 5),
            shear_rate=point.shear_rate.reshape(*shape, -1),
            velocity=point.motion.wave,
            mean_gradient=to_matrix(mean) + self.conditions.spin(mean),
            macro=point.stress.mean(0),
            residual=point.error,
            converged=point.error < _USABLE,
        )


@dataclass(frozen=True)
class _Point:
    """A solution and its linear system."""

    problem: _Equations
    stress: NDArray  # (N, 5) MPa
    motion: Nodal
    shear_rate: NDArray  # (N, S) 1/s
    linear: StressSystem
    error: float  # share of strain rate and force left over
    field: Field | None = None

    def attached(self, theta: _Theta) -> AttachedField:
        """The solution with its derivatives by theta."""
        assert self.field is not None
        shape, conditions = self.field.grain_index.shape, self.problem.conditions
        flow = self.problem.flow(self.stress, theta)
        stress, gradient = _Equilibrium.apply(self, flow.rate, theta.imposed, theta.target)
        # slip at the stress that moves, by its slope
        moved = (flow.by_stress @ (stress - stress.detach())[..., None])[..., 0]
        still = conditions.spin(np.zeros(5))
        turns = torch.as_tensor(np.stack([conditions.spin(e) - still for e in np.eye(5)]))
        spin = torch.as_tensor(still) + torch.einsum("k,kij->ij", to_vector(gradient).mean(0), turns)
        return AttachedField(
            stress.reshape(*shape, 5),
            to_vector(gradient).reshape(*shape, 5),
            (flow.shear_rate + moved).reshape(*shape, -1),
            (gradient + spin).reshape(*shape, 3, 3),
            stress.mean(0),
            self.field,
        )


class _Equilibrium(torch.autograd.Function):
    """(flow at the stress of the solution, D, T / N) -> stress (N, 5), L without its mean spin (N, 3, 3)."""

    @staticmethod
    def forward(point: _Point, flow: Tensor, imposed: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The solution itself."""
        space, field = point.problem.space, point.field
        assert field is not None
        mean = to_matrix(field.rate.reshape(-1, 5).mean(0))
        gradient = space.grid.gradient(field.velocity) + mean
        return torch.as_tensor(point.stress.copy()), torch.as_tensor(gradient)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Remember the solution."""
        ctx.point = inputs[0]

    @staticmethod
    def backward(ctx: Any, stress_bar: Tensor, gradient_bar: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Derivatives by the arguments, of derivatives by the results."""
        linear, space = ctx.point.linear, ctx.point.problem.space
        by_gradient = gradient_bar.numpy() * linear.is_solid[:, None, None]
        by_rate = to_vector(by_gradient.sum(0))
        pull = Nodal(-space.grid.force(np.ascontiguousarray(by_gradient)), -space.free.T @ by_rate)
        answer, motion = linear.solved(stress_bar.numpy(), pull)
        results = (-answer, by_rate + answer.sum(0), -space.grid.size * motion.mean)
        return None, *(torch.as_tensor(result) for result in results)

    @staticmethod
    def jvp(  # type: ignore[override]
        ctx: Any, _: None, flow: Tensor | None, imposed: Tensor | None, target: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Changes of the results with changes of the arguments."""
        linear, space = ctx.point.linear, ctx.point.problem.space
        given = np.zeros(5) if imposed is None else imposed.numpy()
        driven = given - (np.zeros((space.grid.size, 5)) if flow is None else flow.numpy())
        pull = None if target is None else Nodal(space.zero().wave, space.grid.size * target.numpy())
        stress, change = linear.solved(driven, pull)
        gradient = space.grid.gradient(change.wave) + to_matrix(given + space.free @ change.mean)
        return torch.as_tensor(stress), torch.as_tensor(gradient)


def _load(
    loading: Load | Conditions | Values, rate_values: Values | None, stress_values: Values | None
) -> tuple[Conditions, Tensor, Tensor]:
    """Conditions; D (5,) and T / N (m,) with their graph.

    Raises
    ------
    ParameterError : values of another shape than those of the conditions
    """
    conditions = Conditions.of(loading, "free" if isinstance(loading, Load) else "axisymmetric")
    given = {"rate_values": rate_values, "stress_values": stress_values}
    values = {}
    for name, value in given.items():
        own = getattr(conditions, name)
        values[name] = as_tensor(own.copy() if value is None else value)
        if values[name].shape != own.shape:
            raise ParameterError(
                f"{name} of shape {tuple(values[name].shape)}: these conditions have {own.shape}"
            )
    conditions = replace(conditions, **{name: value.detach().numpy() for name, value in values.items()})
    _, basis, _ = conditions.split
    to_rate = basis @ np.linalg.pinv(conditions.rate_rows @ basis)
    to_stress = conditions.free.T @ np.linalg.pinv(conditions.stress_rows)
    imposed = torch.as_tensor(to_rate) @ values["rate_values"]
    if isinstance(loading, Tensor):
        imposed = as_rate(loading)
    return conditions, imposed, torch.as_tensor(to_stress) @ values["stress_values"]


def _rows(law: Law, part: PowerLawVoxels | AnyLawVoxels) -> Law:
    """The law with the strengths of its voxels, where they differ."""
    if not isinstance(law, PowerLaw) or not isinstance(part, PowerLawVoxels) or law.strength.ndim == 1:
        return law
    strength = law.system_strength
    return law.with_strength(strength.reshape(-1, strength.shape[-1])[torch.as_tensor(part.row)])


def _stronger(law: Law, factor: Tensor) -> Law:
    """The law with the strengths of its families (K,) times a factor."""
    glide = glide_of(law)
    strength = glide.system_strength * factor[torch.as_tensor(glide.systems.family)]
    return law.with_strength(strength) if isinstance(law, Together) else glide.with_strength(strength)


def _tangent(value: Tensor) -> NDArray:
    """How a tensor of forward differentiation changes."""
    change = forward_ad.unpack_dual(value).tangent
    return np.zeros(value.shape) if change is None else change.numpy()
