"""Viscoplastic full field on a periodic grid: every pixel deforms as part of the map, not of a mean medium.

A grid of pixels (a measured map, continued along z and around its edges, or a
volume) obeys, without elasticity,

    div sigma = 0,   d = sym grad v,   div v = 0,   d = sum_s gamma_dot_s P_s  in every pixel

which is the minimum of the convex power F(d) = <psi(d)>, psi = n/(n+1) sigma(d):d, over the strain rates of
divergence-free velocities with the macroscopic rate prescribed along the load. The gradient is the
projection of the stress on those strain rates, G sigma; Newton's method solves G C G x = -G sigma by
conjugate gradients (C = d sigma / d d, each pixel's own tangent), and a line search on F makes it safe. The
projection is local in Fourier space:

    G(q) = e1 e1* + e2 e2*,   e_i = sqrt2 sym(u_i k),   u_i the two directions normal to k(q)

with Willot's rotated difference symbol k_i = i tan(q_i/2) prod_j (1 + exp(i q_j)), free of
ringing. At q = 0 the mean strain rate is free in all directions but the load's, so that the mean
stress ends up parallel to the load.

| symbol | meaning | unit | shape |
|---|---|---|---|
| d, sigma | strain rate, deviatoric stress in the 5-basis | 1/s, MPa | (*grid, 5) |
| C | tangent | MPa s | (*grid, 5, 5) |

References: de Geus et al. 2017, CMAME 318:412 (projection with Newton and conjugate gradients); Willot 2015,
C. R. Mecanique 343:232 (difference symbol); Lebensohn 2001, Acta Mater. 49:2723 (viscoplastic full field).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import fftfreq, irfftn, rfftfreq, rfftn

from cpml.crystallography.tensors import BASIS, rotation_5x5, von_mises_stress
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity.arguments import Values, as_matrices, stress_and_rate
from cpml.plasticity.crystal.single_crystal import single_crystal
from cpml.plasticity.laws.law import PowerLaw

FORCING = 0.1  # conjugate gradients end at this share of the residual: the next linearisation loses more
MAX_GRADIENTS = 80
SOFTENING = 1e-3  # share of the mean tangent compliance added to pixels with fewer than five loaded systems
LOCAL_TOL = 1e-7  # of every pixel; the line search compares powers to 1e-4 of a step
CRYSTAL = np.eye(3)


@dataclass(frozen=True)
class Field:
    """Solution of :func:`full_field`, sample frame, pixels in the order of ``grain_index``."""

    grain_index: NDArray  # (*grid,) row of the orientations
    stress: NDArray  # (*grid, 5) deviator, MPa
    rate: NDArray  # (*grid, 5) 1/s
    shear_rate: NDArray  # (*grid, S) 1/s
    macro: NDArray  # (5,) mean stress deviator, MPa
    residual: float  # |G sigma| / |sigma|: what is left of the equilibrium
    gap: float  # Newton decrement over the power: relative distance from the minimum
    converged: bool
    n_iter: int

    @property
    def von_mises(self) -> float:
        """Von Mises stress of the mean, MPa."""
        return float(von_mises_stress(self.macro))

    def grain_mean(self, values: NDArray) -> NDArray:
        """Mean (G, ...) of pixel values (*grid, ...) over every grain; NaN for a grain without a pixel."""
        number = self.grain_index.ravel()
        flat = np.asarray(values, float).reshape(len(number), -1)
        count = np.bincount(number)
        total = np.stack([np.bincount(number, column) for column in flat.T], axis=1)
        with np.errstate(invalid="ignore"):
            mean = total / count[:, None]
        return mean.reshape(len(count), *values.shape[self.grain_index.ndim :])


def full_field(
    law: PowerLaw,
    grain_index: NDArray,
    orientations: Values,
    *,
    loading: Load | Values,
    tol: float = 1e-4,
    max_iter: int = 40,
    start: NDArray | None = None,
) -> Field:
    """Stress, strain rate and slip of every pixel of a periodic grid.

    Parameters
    ----------
    law : strengths per family or system, the same in all grains
    grain_index : (rows, columns) or (slices, rows, columns) int, row of ``orientations`` in every pixel; x
        along the columns, y along the rows. A plane is continued along z, which makes its grains columns
    orientations : (G, 4) crystal_to_sample quaternions or (G, 3, 3) matrices
    loading : Load (mean stress parallel to its stress, rate prescribed along it), or a (3, 3) strain rate in
        1/s, all of whose components are then prescribed
    tol : the power is within about this share of its minimum; grain stresses
        are then right to about sqrt(tol)
    start : (*grid, 5) strain rate of a nearby problem

    Returns
    -------
    Field; ``converged`` is False where ``max_iter`` Newton steps did not suffice

    Raises
    ------
    ParameterError : a grid that is no map or volume of known grains, or a tolerance that is not positive
    """
    matrices = as_matrices(orientations).reshape(-1, 3, 3)
    grain_index = _check_grid(grain_index, len(matrices), tol)
    stress, rate = (x.detach().numpy() for x in stress_and_rate(loading))
    free = stress / np.linalg.norm(stress) if isinstance(loading, Load) else None
    problem = _Problem.of(law, grain_index, matrices, _projection(grain_index.shape, free))
    d = np.broadcast_to(rate, (*grain_index.shape, 5)).copy() if start is None else np.array(start, float)
    sigma = problem.stress(d, None)
    power, gap, n_iter = problem.power(sigma, d), np.inf, 0
    while n_iter < max_iter:
        x = problem.newton_direction(sigma)
        gap = -(sigma * x).sum(-1).mean() / (2 * power)
        if gap < tol:
            break
        d, sigma, power = problem.line_search(d, sigma, power, x)
        n_iter += 1
    equilibrium = np.linalg.norm(problem.project(sigma)) / np.linalg.norm(sigma)
    macro, is_done = sigma.reshape(-1, 5).mean(0), bool(gap < tol)
    return Field(
        grain_index, sigma, d, problem.rates(sigma)[0], macro, float(equilibrium), float(gap), is_done, n_iter
    )


@dataclass(frozen=True)
class _Problem:
    law: PowerLaw
    turn: NDArray  # (N, 5, 5) crystal to sample of every pixel
    schmid: NDArray  # (*grid, S, 5)
    projection: NDArray  # (*half grid, 5, 5)

    @classmethod
    def of(
        cls, law: PowerLaw, grain_index: NDArray, matrices: torch.Tensor, projection: NDArray
    ) -> "_Problem":
        turn = rotation_5x5(matrices.detach().numpy())
        schmid = np.einsum("gij,sj->gsi", turn, law.systems.schmid5)
        return cls(law, turn[grain_index.ravel()], schmid[grain_index], projection)

    @property
    def grid(self) -> tuple[int, ...]:
        return self.schmid.shape[:-2]

    def project(self, field: NDArray) -> NDArray:
        """G field: its part that a divergence-free velocity (and the free mean) can follow."""
        axes = tuple(range(len(self.grid)))
        spectrum = rfftn(field, axes=axes)
        return irfftn(np.matmul(self.projection, spectrum[..., None])[..., 0], s=self.grid, axes=axes)

    def stress(self, d: NDArray, start: NDArray | None) -> NDArray:
        """Stress of every pixel at its strain rate, solved in crystal axes."""
        rate = self.to_crystal(d)
        guess = None if start is None else self.to_crystal(start)
        solved = single_crystal(self.law, rate, CRYSTAL, tol=LOCAL_TOL, start=guess)
        stress, lost = solved.stress.detach(), ~solved.converged
        if start is not None and bool(lost.any()):  # a far start is worse than none
            stress[lost] = single_crystal(self.law, rate[lost], CRYSTAL, tol=LOCAL_TOL).stress.detach()
        return np.matmul(self.turn, stress.numpy()[..., None])[..., 0].reshape(d.shape)

    def to_crystal(self, vector: NDArray) -> torch.Tensor:
        """(N, 5) of a field (*grid, 5), in the axes of each pixel's crystal."""
        return torch.as_tensor(np.matmul(vector.reshape(-1, 1, 5), self.turn)[:, 0])

    def power(self, sigma: NDArray, d: NDArray) -> float:
        n = float(self.law.n)
        return float((sigma * d).sum(-1).mean() * n / (n + 1))

    def rates(self, sigma: NDArray) -> tuple[NDArray, NDArray]:
        """Shear rates and their derivative by tau (*grid, S) at a stress (*grid, 5)."""
        tau = np.einsum("...si,...i->...s", self.schmid, sigma)
        with torch.no_grad():
            rate, slope = self.law.rates(torch.as_tensor(tau))
        return rate.numpy(), slope.numpy()

    def tangent(self, sigma: NDArray) -> NDArray:
        """d sigma / d d of every pixel."""
        _, slope = self.rates(sigma)
        compliance = np.matmul(np.swapaxes(self.schmid, -1, -2) * slope[..., None, :], self.schmid)
        trace = np.trace(compliance, axis1=-2, axis2=-1)
        return np.linalg.inv(compliance + (SOFTENING * trace)[..., None, None] * np.eye(5))

    def newton_direction(self, sigma: NDArray) -> NDArray:
        """x with G C G x = -G sigma, by conjugate gradients."""
        tangent = self.tangent(sigma)
        residual = -self.project(sigma)
        x, search = np.zeros_like(residual), residual.copy()
        square = first = (residual**2).sum()
        for _ in range(MAX_GRADIENTS):
            if square <= FORCING**2 * first or square < 1e-300:
                break
            image = self.project(np.matmul(tangent, search[..., None])[..., 0])
            length = square / (search * image).sum()
            x += length * search
            residual -= length * image
            last, square = square, (residual**2).sum()
            search = residual + square / last * search
        return x

    def line_search(
        self, d: NDArray, sigma: NDArray, power: float, x: NDArray
    ) -> tuple[NDArray, NDArray, float]:
        """Armijo's rule on the power, halving from the full Newton step."""
        slope, step = (sigma * x).sum(-1).mean(), 1.0
        while True:
            trial = d + step * x
            stress = self.stress(trial, sigma)
            reached = self.power(stress, trial)
            if reached <= power + 1e-4 * step * slope or step < 1e-4:
                return trial, stress, reached
            step /= 2


def _projection(grid: tuple[int, ...], free: NDArray | None) -> NDArray:
    """(*half grid, 5, 5) projection on strain rates of divergence-free velocities;
    last axis halved as by `rfftn`.
    """
    q = np.meshgrid(
        *[2 * np.pi * fftfreq(n) for n in grid[:-1]], 2 * np.pi * rfftfreq(grid[-1]), indexing="ij"
    )
    corner = np.prod([(1 + np.exp(1j * part)) / 2 for part in q], axis=0)
    k = np.zeros((*q[0].shape, 3), complex)
    for axis, part in enumerate(reversed(q)):  # x is the last axis of the grid, then y, then z
        # the checkerboard modes, which this symbol cannot see, are left without velocity
        is_nyquist = np.any([np.isclose(np.abs(p), np.pi) for p in q], axis=0)
        k[..., axis] = np.where(is_nyquist, 0.0, 1j * np.tan(np.where(is_nyquist, 0.0, part) / 2) * corner)
    length = np.sqrt((np.abs(k) ** 2).sum(-1))
    moves = length > 1e-12
    k = k / np.where(moves, length, 1.0)[..., None]
    # the three unit velocities less their parts along k: what is left spans the incompressible ones
    normal = np.eye(3) - k[..., :, None] * k[..., None, :].conj()
    strain = np.einsum("...ai,...j->...aij", normal, k)
    strain = (strain + np.swapaxes(strain, -1, -2)) / np.sqrt(2)
    vectors = np.einsum("...aij,bij->...ba", strain, BASIS)
    projection = vectors @ np.swapaxes(vectors.conj(), -1, -2)
    projection = np.where(moves[..., None, None], projection, 0.0)
    projection[(0,) * len(grid)] = 0.0 if free is None else np.eye(5) - np.outer(free, free)
    return projection


def _check_grid(grain_index: NDArray, count: int, tol: float) -> NDArray:
    grain_index = np.asarray(grain_index)
    if (
        grain_index.ndim not in (2, 3)
        or not np.issubdtype(grain_index.dtype, np.integer)
        or grain_index.size == 0
    ):
        raise ParameterError(
            f"grain_index must be a (rows, columns) or (slices, rows, columns) array of whole numbers, not "
            f"{grain_index.dtype} of shape {grain_index.shape}"
        )
    if grain_index.min() < 0 or grain_index.max() >= count:
        raise ParameterError(
            f"grain_index runs from {grain_index.min()} to {grain_index.max()}, but there are {count} "
            "orientations; pixels without a grain must be filled first"
        )
    if not tol > 0:
        raise ParameterError(f"tol = {tol} must be positive")
    return grain_index
