"""Periodic grids of voxels: velocities at the corners, their gradients at the centres.

    L_ij = dv_i/dx_j,      f = B^T P   the force that a stress P_ij at the centres puts on the corners

Two differences are offered. "rotated": the mean of the four differences along an axis between the eight
corners of a voxel, the trilinear finite element with one point of integration. Its symbol is

    k_x = (exp(i q_x) - 1)/h_x (1 + exp(i q_y))/2 (1 + exp(i q_z))/2     (Willot 2015)

It is local, so it does not ring at a free surface or at a strong contrast. "continuous": k = i q/h, the
derivative of the trigonometric interpolation, which many spectral codes use; corners and centres coincide.
A plane is a volume of one layer: what it holds continues along z.

| symbol | meaning | unit | shape |
|---|---|---|---|
| v | velocity (or displacement), component first | um/s | (3, nz, ny, nx) |
| L, P | gradient, stress; x: last axis of the grid, first component | 1/s, MPa | (nz ny nx, 3, 3) |
| q, k | wave number per voxel, its symbol; last axis halved as by `rfftn` | -, 1/um | (..., 3) |
| h | edges of a voxel along x, y, z | um | (3,) |

References: Willot 2015, C. R. Mecanique 343:232; Schneider, Ospald & Kabel 2016, Int. J. Numer. Methods Eng.
105:693 (finite elements by FFT); Moulinec & Suquet 1998, Comput. Methods Appl. Mech. Eng. 157:69
(continuous).
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fftfreq, irfftn, rfftfreq, rfftn

from cpml.compiled import fused, in_threads
from cpml.errors import ParameterError

DIFFERENCES = ("rotated", "continuous")
AXES = (1, 2, 3)  # of the grid in a nodal field


@dataclass(frozen=True)
class PeriodicGrid:
    """A periodic grid and its differences (module docstring)."""

    shape: tuple[int, int, int]  # nz, ny, nx
    step: tuple[float, float, float] = (1.0, 1.0, 1.0)  # edges of a voxel along x, y, z, um
    difference: str = "rotated"
    threads: int = 1
    deformation: tuple[float, ...] | None = None  # mean F, row by row, of a grid that has moved with it

    @classmethod
    def of(
        cls, shape: tuple[int, ...], step: float | tuple[float, ...], difference: str, threads: int
    ) -> "PeriodicGrid":
        """Grid of a map (rows, columns) or a volume (slices, rows, columns).

        Raises
        ------
        ParameterError : an unknown difference; edges that are not positive or not one for each axis
        """
        if difference not in DIFFERENCES:
            raise ParameterError(f"difference = {difference!r}: choose from {', '.join(DIFFERENCES)}")
        edges = (
            np.broadcast_to(np.asarray(step, float), (len(shape),))
            if np.ndim(step) == 0
            else np.asarray(step)
        )
        if edges.shape != (len(shape),) or not bool((edges > 0).all()) or not np.isfinite(edges).all():
            raise ParameterError(
                f"step = {step!r} must be positive: one number, or one for each axis in the order "
                f"{', '.join('xyz'[: len(shape)])}"
            )
        x, y, *z = (float(e) for e in edges)
        nz, ny, nx = (1, *shape) if len(shape) == 2 else shape
        return cls((nz, ny, nx), (x, y, z[0] if z else 1.0), difference, max(1, int(threads)))

    def moved(self, deformation: NDArray) -> "PeriodicGrid":
        """The grid after a mean deformation (3, 3): differences are then those in the deformed cell."""
        return replace(self, deformation=tuple(np.asarray(deformation, float).ravel()))

    @cached_property
    def _to_deformed(self) -> NDArray | None:
        return None if self.deformation is None else np.linalg.inv(np.reshape(self.deformation, (3, 3)))

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    @cached_property
    def symbol(self) -> NDArray:
        """k (3, *half grid), complex; zero for the modes that the difference cannot see."""
        k = self._undeformed_symbol()
        return k if self._to_deformed is None else np.einsum("m...,mj->j...", k, self._to_deformed)

    def _undeformed_symbol(self) -> NDArray:
        nz, ny, nx = self.shape
        q = np.meshgrid(*(2 * np.pi * f for f in (fftfreq(nz), fftfreq(ny), rfftfreq(nx))), indexing="ij")
        waves = (q[2], q[1], q[0])  # along x, y, z
        if self.difference == "continuous":
            # the highest wave of an even grid has no derivative that is a real field
            return np.stack(
                [
                    np.where(np.isclose(np.abs(wave), np.pi), 0.0, 1j * wave / h)
                    for wave, h in zip(waves, self.step, strict=True)
                ]
            )
        ahead, middle = [np.exp(1j * w) - 1 for w in waves], [(1 + np.exp(1j * w)) / 2 for w in waves]
        k = np.stack([ahead[i] / self.step[i] * middle[i - 1] * middle[i - 2] for i in range(3)])
        return np.where(np.abs(k).max(0) * max(self.step) > 1e-9, k, 0.0)

    def transform(self, nodal: NDArray) -> NDArray:
        """Spectrum (3, *half grid) of a nodal field."""
        return rfftn(nodal, axes=AXES, workers=self.threads)

    def back(self, spectrum: NDArray) -> NDArray:
        """Nodal field (3, *grid) of a spectrum."""
        return irfftn(spectrum, s=self.shape, axes=AXES, workers=self.threads)

    def gradient(self, velocity: NDArray) -> NDArray:
        """L (N, 3, 3) of a nodal field (3, *grid)."""
        out = np.empty((self.size, 3, 3))
        if self.difference == "continuous":
            spectrum = self.transform(velocity)
            for j in range(3):
                column = self.back(spectrum * self.symbol[j])
                out[:, :, j] = column.reshape(3, -1).T
            return out
        rows, step = self.shape[0] * self.shape[1], np.array(self.step)
        in_threads(lambda a, b: _gradient(velocity, step, out, a, b), rows, self.workers)
        return out if self._to_deformed is None else out @ self._to_deformed

    def force(self, stress: NDArray) -> NDArray:
        """B^T P (3, *grid) of a stress (N, 3, 3): its work on a velocity equals the sum of P:L."""
        if self.difference == "continuous":
            total = np.zeros(self.symbol.shape, complex)
            for j in range(3):
                column = np.ascontiguousarray(stress[:, :, j].T).reshape(3, *self.shape)
                total += self.transform(column) * self.symbol[j].conj()
            return self.back(total)
        if self._to_deformed is not None:
            stress = stress @ self._to_deformed.T
        out = np.empty((3, *self.shape))
        rows, step = self.shape[0] * self.shape[1], np.array(self.step)
        in_threads(lambda a, b: _force(stress, step, out, a, b), rows, self.workers)
        return out

    @property
    def workers(self) -> int:
        """Threads that are worth their start on this grid."""
        return self.threads if self.size > 4096 else 1


@fused
def _gradient(v: NDArray, step: NDArray, out: NDArray, first: int, last: int) -> None:
    """Rows first..last (of nz ny) of L = B v; voxel (z, y, x) has the corners z, z+1, y, y+1, x, x+1."""
    _, nz, ny, nx = v.shape
    hx, hy, hz = 0.25 / step[0], 0.25 / step[1], 0.25 / step[2]
    for row in range(first, last):
        z, y = row // ny, row % ny
        z1, y1 = (z + 1) % nz, (y + 1) % ny
        for i in range(3):
            a, b, c, d = v[i, z, y], v[i, z, y1], v[i, z1, y], v[i, z1, y1]
            for x in range(nx):
                x1 = x + 1 if x + 1 < nx else 0
                voxel = row * nx + x
                a0, b0, c0, d0 = a[x], b[x], c[x], d[x]
                a1, b1, c1, d1 = a[x1], b[x1], c[x1], d[x1]
                out[voxel, i, 0] = (a1 - a0 + b1 - b0 + c1 - c0 + d1 - d0) * hx
                out[voxel, i, 1] = (b0 - a0 + b1 - a1 + d0 - c0 + d1 - c1) * hy
                out[voxel, i, 2] = (c0 - a0 + c1 - a1 + d0 - b0 + d1 - b1) * hz


@fused
def _force(p: NDArray, step: NDArray, out: NDArray, first: int, last: int) -> None:
    """Rows first..last of f = B^T P: each corner gathers from the eight voxels around it."""
    _, nz, ny, nx = out.shape
    hx, hy, hz = 0.25 / step[0], 0.25 / step[1], 0.25 / step[2]
    for row in range(first, last):
        z, y = row // ny, row % ny
        z0, y0 = (z - 1) % nz, (y - 1) % ny
        r00, r01, r10, r11 = (z0 * ny + y0) * nx, (z0 * ny + y) * nx, (z * ny + y0) * nx, (z * ny + y) * nx
        for x in range(nx):
            x0 = x - 1 if x > 0 else nx - 1
            for i in range(3):
                fx, fy, fz = 0.0, 0.0, 0.0
                for side in range(2):
                    at, sign = (x0, 1.0) if side == 0 else (x, -1.0)
                    a, b, c, d = r00 + at, r01 + at, r10 + at, r11 + at
                    fx += sign * (p[a, i, 0] + p[b, i, 0] + p[c, i, 0] + p[d, i, 0])
                    fy += p[a, i, 1] - p[b, i, 1] + p[c, i, 1] - p[d, i, 1]
                    fz += p[a, i, 2] + p[b, i, 2] - p[c, i, 2] - p[d, i, 2]
                out[i, z, y, x] = fx * hx + fy * hy + fz * hz
