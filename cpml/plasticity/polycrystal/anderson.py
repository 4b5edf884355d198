"""Fixed points x = F(x) of a few dozen unknowns by Anderson acceleration; its
memory can serve the next problem.

The differences of the last m iterates and of their residuals g = F(x) - x span a secant model of the map:

    x_next = x + g - (dX + dG) gamma,     gamma = argmin |g - dG gamma|      (regularised least squares)

| symbol | meaning | shape |
|---|---|---|
| dX, dG | differences of iterates and residuals, newest last | (N, m) |

References: Anderson 1965, J. ACM 12:547; Walker & Ni 2011, SIAM J. Numer. Anal. 49:1715.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_DEPTH = 12  # pairs that are remembered
_LARGEST = 1.0  # change of a component in one step
_GROWTH = 3.0  # of the residual, at which a step is taken back
_TRUST = 3  # steps kept in a row after which the next ones are longer again
_LEAST_RELAXATION = 0.02


@dataclass
class Memory:
    """Differences of iterates and residuals that a later call may start from."""

    steps: list[NDArray] = field(default_factory=list)
    changes: list[NDArray] = field(default_factory=list)

    def add(self, step: NDArray, change: NDArray) -> None:
        """Keep the newest pairs."""
        self.steps, self.changes = [*self.steps, step][-_DEPTH:], [*self.changes, change][-_DEPTH:]

    def clear(self) -> None:
        """Forget everything."""
        self.steps, self.changes = [], []


@dataclass(frozen=True)
class FixedPoint:
    """The last iterate, or the best where none converged; residual: largest component of F(x) - x."""

    value: NDArray
    residual: float
    n_iter: int
    converged: bool


def fixed_point(
    function: Callable[[NDArray, float], NDArray],
    start: NDArray,
    *,
    tol: float,
    max_iter: int,
    memory: Memory | None = None,
) -> FixedPoint:
    """Iterate until max |F(x) - x| <= tol; `function(x, size)` gets the last
    residual, to choose its own accuracy.

    A step longer than _LARGEST in a component is shortened. One whose residual grows threefold, or where F
    is not finite, is taken back, and a shorter one without memory is taken in its place.
    """
    memory = Memory() if memory is None else memory
    x = np.asarray(start, float)
    best: tuple[NDArray, NDArray] | None = None  # last iterate that was kept, and its residual
    nearest = (x, np.inf)
    size, relaxation, kept = np.inf, 1.0, 0
    for iteration in range(1, max_iter + 1):
        g = function(x, size) - x
        now = float(np.abs(g).max())
        if now <= tol:
            return FixedPoint(x + g, now, iteration, True)
        if best is None and not np.isfinite(now):
            return FixedPoint(x + g, now, iteration, False)
        if best is not None and not now <= _GROWTH * size:
            memory.clear()
            relaxation, kept = relaxation / 2, 0
            x, g = best
            if relaxation < _LEAST_RELAXATION:
                break
        else:
            if best is not None:
                memory.add(x - best[0], g - best[1])
            if now < nearest[1]:
                nearest = (x, now)
            best, size, kept = (x, g), now, kept + 1
            if kept % _TRUST == 0:
                relaxation = min(1.0, 2 * relaxation)
        step = _step(g, memory, relaxation)
        longest = np.abs(step).max()
        x = x + step * min(1.0, _LARGEST / longest)
    return FixedPoint(*nearest, iteration, False)


def _step(g: NDArray, memory: Memory, relaxation: float) -> NDArray:
    """Step of the secant model, the relaxed residual itself while nothing is remembered."""
    if not memory.steps:
        return relaxation * g
    dx, dg = np.stack(memory.steps, 1), np.stack(memory.changes, 1)
    scale = np.linalg.norm(dg, axis=0)
    scale[scale == 0] = 1.0
    gamma = np.linalg.lstsq(dg / scale, g, rcond=1e-9)[0] / scale
    return relaxation * g - (dx + relaxation * dg) @ gamma
