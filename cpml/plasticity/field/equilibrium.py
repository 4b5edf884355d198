"""Linear equilibrium on a periodic grid: conjugate gradients, preconditioned by a mean medium in Fourier
space.

    find v, e:   B^T C (B v + F e) = r,     F^T <C (B v + F e)> = r_mean

C is each voxel's own tangent, v the velocity at the corners (cpml.plasticity.field.grid), e the mean strain
rate along the directions F that the load leaves free. The preconditioner solves the same for one tangent C0
in all voxels, which is exact in Fourier space: (B^T C0 B)^-1 is a 3 x 3 matrix for every wave. Where the
tangent has five components (deviators), velocities stay free of divergence: waves move across k only.

The number of iterations follows the contrast of C against C0, and not the number of voxels.

| symbol | meaning | shape |
|---|---|---|
| C | tangents, in the 5-basis of deviators or of all components 3i+j of a gradient | (N, 5 or 9, same) |
| F | free directions of the mean, as columns | (5 or 9, m) |

References: Ladecky et al. 2023, Comput. Methods Appl. Mech. Eng. 403:115677 (displacements, finite elements,
this preconditioner); de Geus et al. 2017, CMAME 318:412 (Newton and conjugate gradients in spectral codes).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from cpml.compiled import fused, in_threads
from cpml.crystallography.tensors import BASIS
from cpml.plasticity.field.grid import PeriodicGrid

Array: TypeAlias = Any  # numpy array, or torch tensor of cpml.plasticity.field.on_device

_SINGULAR = 1e-12  # share of the largest eigenvalue that a mean tangent keeps in every direction


class Nodal(NamedTuple):
    """Unknowns of the grid, or the forces on them."""

    wave: Array  # (3, nz, ny, nx)
    mean: Array  # (m,) along the free directions; a force is that of all voxels together

    def dot(self, other: "Nodal") -> float:
        """Work of a force on a velocity, over all voxels."""
        return float(self.wave.reshape(-1) @ other.wave.reshape(-1) + self.mean @ other.mean)

    def plus(self, share: float, other: "Nodal") -> "Nodal":
        """self + share other."""
        return Nodal(self.wave + share * other.wave, self.mean + share * other.mean)


@dataclass(frozen=True)
class Space:
    """Strain rates that the grid can follow under its load."""

    grid: PeriodicGrid
    free: Array  # (c, m) free directions of the mean, orthonormal columns; c = 5 or 9

    @property
    def components(self) -> int:
        """5 (deviators, no change of volume) or 9 (gradients)."""
        return int(self.free.shape[0])

    def zero(self) -> Nodal:
        """No motion."""
        return Nodal(np.zeros((3, *self.grid.shape)), np.zeros(self.free.shape[1]))

    def strain(self, motion: Nodal) -> Array:
        """B v + F e, (N, c)."""
        gradient = self.grid.gradient(motion.wave)
        if self.components == 9:
            flat = gradient.reshape(-1, 9)
        else:
            flat = np.empty((len(gradient), 5))
            _to_five(gradient, flat)
        return flat + self.free @ motion.mean

    def force(self, stress: Array) -> Nodal:
        """The force of stresses (N, c) on every motion."""
        if self.components == 9:
            matrix = stress.reshape(-1, 3, 3)
        else:
            matrix = np.empty((len(stress), 3, 3))
            _from_five(stress, matrix)
        return Nodal(self.grid.force(matrix), self.free.T @ stress.sum(0))

    def solenoidal(self, nodal: Nodal) -> Nodal:
        """The part of a motion that has no divergence, or the part of a force that works on such motions; all
        of it where volumes may change (gradients).
        """
        if self.components == 9:
            return nodal
        k, spectrum = self.grid.symbol, self.grid.transform(nodal.wave)
        square = (abs(k) ** 2).sum(0)
        spectrum -= k.conj() * ((k * spectrum).sum(0) / (square + (square == 0)))
        return Nodal(self.grid.back(spectrum), nodal.mean)

    def mix(self, waves: Array, spectrum: Array) -> Array:
        """The matrix (3, 3, *half grid) of every wave times its vector in the spectrum, which it replaces."""
        _mix(waves.reshape(3, 3, -1), spectrum.reshape(3, -1))
        return spectrum

    def stiffness(self, tangent: Array, motion: Nodal) -> Nodal:
        """B^T C (B v + F e)."""
        flux = self.strain(motion)
        in_threads(lambda a, b: _multiply(tangent, flux, a, b), len(flux), self.grid.workers)
        return self.force(flux)


@dataclass(frozen=True)
class MeanMedium:
    """The preconditioner: the inverse for one tangent in all voxels."""

    space: Space
    waves: Array  # (3, 3, *half grid) complex
    mean: Array  # (m, m)

    @classmethod
    def of(cls, space: Space, tangent: Array) -> "MeanMedium":
        """Medium of a tangent (c, c)."""
        xp: Any = np  # functions that torch has too
        array: Any = np.asarray
        if isinstance(tangent, torch.Tensor):
            xp, array = torch, partial(torch.tensor, device=tangent.device)
        values, vectors = xp.linalg.eigh((tangent + tangent.T) / 2)
        safe = (vectors * values.clip(_SINGULAR * values.max())) @ vectors.T
        eye, basis = (
            array(v) + 0j for v in (np.eye(3), np.eye(9).reshape(9, 3, 3) if space.components == 9 else BASIS)
        )
        k = xp.moveaxis(space.grid.symbol.reshape(3, -1), 0, -1)  # (Q, 3)
        b = xp.einsum("aij,qj->qai", basis, k)
        stiffness = xp.conj(xp.swapaxes(b, 1, 2)) @ ((safe + 0j) @ b)
        moves = xp.amax(xp.abs(k), 1) > 0
        stiffness = xp.where(moves[:, None, None], stiffness, eye)
        if space.components == 5:
            along = xp.conj(k) / xp.where(moves, xp.linalg.norm(k, axis=1), 1.0)[:, None]
            blocked = along[:, :, None] * xp.conj(along[:, None, :])
            across = eye - blocked
            size = xp.einsum("qii->q", stiffness).real[:, None, None]
            inverse = across @ xp.linalg.inv(across @ stiffness @ across + size * blocked) @ across
        else:
            inverse = xp.linalg.inv(stiffness)
        rows = xp.stack(list((inverse * moves[:, None, None]).reshape(-1, 9).T))  # contiguous
        waves = rows.reshape(3, 3, *space.grid.symbol.shape[1:])
        mean = xp.linalg.inv(space.free.T @ safe @ space.free) / space.grid.size
        return cls(space, waves, mean)

    def __call__(self, force: Nodal) -> Nodal:
        """The motion of this medium under a force."""
        grid = self.space.grid
        spectrum = self.space.mix(self.waves, grid.transform(force.wave))
        return Nodal(grid.back(spectrum), self.mean @ force.mean)


class LinearSolution(NamedTuple):
    """What `conjugate_gradients` found."""

    motion: Nodal
    n_iter: int
    converged: bool


def conjugate_gradients(
    space: Space,
    tangent: Array,
    medium: MeanMedium,
    force: Nodal,
    *,
    tol: float,
    max_iter: int = 1000,
    start: Nodal | None = None,
) -> LinearSolution:
    """The motion under a force, to a share `tol` of the force in the norm of the medium's energy."""
    # a pressure far above the rest of the force would do work on the rounding of motions without divergence
    force = space.solenoidal(force)
    motion, left = space.zero() if start is None else start, force
    if start is not None:
        left = force.plus(-1.0, space.stiffness(tangent, start))
    move = medium(left)
    square = left.dot(move)
    target = tol**2 * (square if start is None else force.dot(medium(force)))
    search = move
    for iteration in range(max_iter):
        if not square > max(target, 1e-300):
            return LinearSolution(motion, iteration, True)
        image = space.stiffness(tangent, search)
        along = search.dot(image)
        if not along > 0:
            return LinearSolution(motion, iteration, False)
        length = square / along
        motion, left = motion.plus(length, search), left.plus(-length, image)
        move = medium(left)
        last, square = square, left.dot(move)
        search = move.plus(square / last, search)
    return LinearSolution(motion, max_iter, False)


_R2, _R6 = np.sqrt(2.0), np.sqrt(6.0)


@fused
def _to_five(gradient: NDArray, out: NDArray) -> None:
    """5-vectors of the symmetric deviators of gradients (cpml.crystallography.tensors)."""
    for v in range(len(out)):
        g = gradient[v]
        out[v, 0] = (g[1, 1] - g[0, 0]) / _R2
        out[v, 1] = (2 * g[2, 2] - g[0, 0] - g[1, 1]) / _R6
        out[v, 2] = (g[1, 2] + g[2, 1]) / _R2
        out[v, 3] = (g[0, 2] + g[2, 0]) / _R2
        out[v, 4] = (g[0, 1] + g[1, 0]) / _R2


@fused
def _from_five(stress: NDArray, out: NDArray) -> None:
    """Matrices of 5-vectors."""
    for v in range(len(out)):
        s, m = stress[v], out[v]
        m[0, 0], m[1, 1], m[2, 2] = -s[0] / _R2 - s[1] / _R6, s[0] / _R2 - s[1] / _R6, 2 * s[1] / _R6
        m[1, 2] = m[2, 1] = s[2] / _R2
        m[0, 2] = m[2, 0] = s[3] / _R2
        m[0, 1] = m[1, 0] = s[4] / _R2


@fused
def _multiply(tangent: NDArray, flux: NDArray, first: int, last: int) -> None:
    """flux <- C flux, voxel by voxel."""
    count = flux.shape[1]
    given = np.empty(count)
    for v in range(first, last):
        for i in range(count):
            given[i] = flux[v, i]
        for i in range(count):
            total = 0.0
            for j in range(count):
                total += tangent[v, i, j] * given[j]
            flux[v, i] = total


@fused
def _mix(matrix: NDArray, spectrum: NDArray) -> None:
    """spectrum <- matrix spectrum, wave by wave."""
    for q in range(spectrum.shape[1]):
        a, b, c = spectrum[0, q], spectrum[1, q], spectrum[2, q]
        for i in range(3):
            spectrum[i, q] = matrix[i, 0, q] * a + matrix[i, 1, q] * b + matrix[i, 2, q] * c
