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
    """Where the iteration ended; residual is the largest component of F(x) - x."""

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
    largest: float = 1.0,
) -> FixedPoint:
    """Iterate until max |F(x) - x| <= tol; `function(x, size)` gets the last
    residual, to choose its own accuracy.

    A step longer than `largest` in a component is shortened; a residual that
    grows threefold empties the memory.
    """
    memory = Memory() if memory is None else memory
    x = np.asarray(start, float)
    before, size = None, np.inf
    for iteration in range(1, max_iter + 1):
        g = function(x, size) - x
        now = float(np.abs(g).max())
        if now <= tol or not np.isfinite(now):
            return FixedPoint(x + g, now, iteration, now <= tol)
        if before is not None:
            memory.add(x - before[0], g - before[1])
            if now > 3 * size:
                memory.steps, memory.changes = memory.steps[-1:], memory.changes[-1:]
        before, size = (x, g), now
        step = _step(g, memory)
        longest = np.abs(step).max()
        x = x + step * min(1.0, largest / longest)
    return FixedPoint(x, now, max_iter, False)


def _step(g: NDArray, memory: Memory) -> NDArray:
    """Step of the secant model, the residual itself while nothing is remembered."""
    if not memory.steps:
        return g
    dx, dg = np.stack(memory.steps, 1), np.stack(memory.changes, 1)
    scale = np.linalg.norm(dg, axis=0)
    scale[scale == 0] = 1.0
    gamma = np.linalg.lstsq(dg / scale, g, rcond=1e-9)[0] / scale
    return g - (dx + dg) @ gamma
