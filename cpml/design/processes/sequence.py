"""Which process steps come closest to goals: each alone, and sequences of them by a beam search.

1. Every step of a list, at every amount of a list, is made of the start texture and judged by the route.
2. The best few textures, of different steps where there are any, are each the start of the next round; a step
does not follow itself, and annealing is not a beginning.
3. The amounts of the best three sequences are moved without gradients (Nelder & Mead 1965, Comput. J. 7:308,
as in scipy) while that brings the largest deviation down.

Steps whose path does not converge are left out with a warning. A texture that meets all goals ends the
search, so that shorter sequences come first. Judged are fresh grains (every step ends in recovery,
cpml.design.processes.steps).
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize

from cpml.design.goals import Goal
from cpml.design.processes.steps import ANNEALING, DIFFERENT, distance, processed
from cpml.design.routes import Route
from cpml.design.search.refine import MET
from cpml.design.texture import TextureDesign
from cpml.errors import CpmlError, ParameterError

STRAINS, SHARES = (0.1, 0.2, 0.4, 0.8), (0.3, 0.8)
"""Amounts at which deformations and annealing are recorded."""
_COMPARED = 300  # grains of each texture in a distance
_LIMITS = {ANNEALING: (0.05, 1.0)}
_STRAINS = (0.02, 3.0)  # of deformations
_REFINED, _EVALUATIONS = 3, 25  # sequences whose amounts are moved, and how often each


@dataclass(frozen=True)
class ProcessPath:
    """Steps (process, amount), the texture that they make, and what it has of the goals."""

    steps: tuple[tuple[str, float], ...]
    texture: NDArray  # (G, 4)
    history: NDArray  # (steps + 1, m) values at the start and after every step
    deviation: NDArray  # (m,) signed, over size, at the end

    @property
    def values(self) -> NDArray:
        """(m,) at the end."""
        last: NDArray = self.history[-1]
        return last

    @property
    def worst(self) -> float:
        """Largest deviation."""
        return float(np.abs(self.deviation).max())

    @property
    def merit(self) -> float:
        """What the search makes small: the largest deviation, and a tenth of all together."""
        return self.worst + 0.1 * float(np.abs(self.deviation).sum())

    @property
    def words(self) -> str:
        """Its steps in words."""
        return ", ".join(f"{name} {amount:.2f}" for name, amount in self.steps) or "none"


@dataclass(frozen=True)
class _Shop:
    """Goals, route, and the texture (G, 4) with weights that everything starts from."""

    goals: Sequence[Goal]
    route: Route
    start: NDArray
    weights: NDArray | None
    seed: int

    def begin(self) -> ProcessPath:
        """The start texture, judged."""
        return self._judged((), self.start, np.zeros((0, len(self.goals))))

    def after(self, path: ProcessPath, process: str, amount: float) -> ProcessPath:
        """A path with one more step."""
        texture = processed(self.route, process, amount, path.texture, self.weights, seed=self.seed)
        return self._judged((*path.steps, (process, amount)), texture, path.history)

    def attempt(self, path: ProcessPath, process: str, amount: float) -> ProcessPath | None:
        """A path with one more step; None, with a warning, where the law cannot follow it."""
        try:
            return self.after(path, process, amount)
        except ParameterError:
            raise
        except CpmlError as error:
            warnings.warn(f"left out: {error}", stacklevel=4)
            return None

    def _judged(self, steps: tuple[tuple[str, float], ...], texture: NDArray, before: NDArray) -> ProcessPath:
        values = self.route.values(texture, self.weights, self.goals)
        deviation = [g.deviation(v) for g, v in zip(self.goals, values, strict=True)]
        return ProcessPath(steps, texture, np.vstack([before, values]), np.array(deviation))


def by_process(
    goals: Sequence[Goal],
    route: Route,
    start: NDArray,
    *,
    weights: NDArray | None = None,
    processes: Sequence[str] = DIFFERENT,
    strains: Sequence[float] = STRAINS,
    design: TextureDesign | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """What single steps make of a start texture: its goals afterwards, the best first.

    Parameters
    ----------
    goals, route : as in designs; properties are those of fresh grains in the new texture
    start, weights : (G, 4) orientations of a map or of a random texture, and their volumes
    strains : amounts at which each process is recorded
    design : a wanted texture; how far each product is from it, deg

    Returns
    -------
    table process, strain (of every step, in words; the share of annealing), one column for each goal,
    largest_deviation, distance_deg (with a design)

    Raises
    ------
    ParameterError : an unknown process, crystals that cannot deform so
    """
    shop = _Shop(goals, route, start, weights, seed)
    none = shop.begin()
    made = [shop.attempt(none, p, float(s)) for p in processes for s in strains]
    return _table([none, *filter(None, made)], shop, design)


def process_path(
    goals: Sequence[Goal],
    route: Route,
    start: NDArray,
    *,
    weights: NDArray | None = None,
    processes: Sequence[str] = (*DIFFERENT, ANNEALING),
    strains: Sequence[float] = STRAINS,
    shares: Sequence[float] = SHARES,
    n_steps: int = 2,
    beam: int = 3,
    design: TextureDesign | None = None,
    seed: int = 0,
) -> tuple[ProcessPath, pd.DataFrame]:
    """The sequence of steps that comes closest to goals, and all that were tried.

    Parameters
    ----------
    goals, route, start, weights, design : as in `by_process`
    processes, strains, shares : steps, and the amounts at which deformations and annealing are tried
    n_steps : of a sequence, at most
    beam : textures that each round goes on from
    seed : of the grains that annealing picks

    Raises
    ------
    ParameterError : unknown processes, crystals that cannot deform so, n_steps or beam below 1
    """
    if n_steps < 1 or beam < 1:
        raise ParameterError(f"n_steps = {n_steps} and beam = {beam} must be 1 or more")
    shop = _Shop(goals, route, start, weights, seed)
    tried = [shop.begin()]
    fronts, best = list(tried), tried[0]
    for _ in range(n_steps):
        if best.worst <= MET:
            break
        steps = [(f, *step) for f in fronts for step in _steps(f, processes, strains, shares)]
        made = [path for path in (shop.attempt(*step) for step in steps) if path is not None]
        tried += made
        fronts = _different(sorted(made, key=lambda path: path.merit), beam)
        best = min([best, *fronts], key=lambda path: path.merit)
    if best.worst > MET:
        ranked = _different(sorted(tried[1:], key=lambda path: path.merit), _REFINED)
        moved = [_moved(shop, path) for path in ranked]
        tried += moved
        best = min([best, *moved], key=lambda path: path.merit)
    return best, _table(tried, shop, design)


def _table(paths: Sequence[ProcessPath], shop: _Shop, design: TextureDesign | None) -> pd.DataFrame:
    """Process paths as a table, the best first (columns of `by_process`)."""
    rng, rows = np.random.default_rng(shop.seed), []
    wanted = None if design is None else design.draw(_COMPARED, seed=shop.seed)
    share = None if shop.weights is None else np.asarray(shop.weights, float) / np.sum(shop.weights)
    for path in paths:
        names = ", ".join(name for name, _ in path.steps) or "none"
        amounts = ", ".join(f"{amount:.3g}" for _, amount in path.steps) or "0"
        row: dict[str, object] = {"process": names, "strain": amounts}
        row |= {g.name: float(v) for g, v in zip(shop.goals, path.values, strict=True)}
        row["largest_deviation"] = path.worst
        if wanted is not None:
            picks = rng.choice(len(path.texture), size=_COMPARED, p=share)
            row["distance_deg"] = distance(path.texture[picks], wanted, shop.route.law.systems.lattice)
        rows.append(row)
    return pd.DataFrame(rows).sort_values("largest_deviation", ignore_index=True, kind="stable")


def _steps(
    front: ProcessPath, processes: Sequence[str], strains: Sequence[float], shares: Sequence[float]
) -> Iterator[tuple[str, float]]:
    """Steps that may follow a path."""
    last = front.steps[-1][0] if front.steps else ""
    for process in processes:
        if process == last or (process == ANNEALING and not last):
            continue
        for amount in shares if process == ANNEALING else strains:
            yield process, float(amount)


def _different(ranked: Sequence[ProcessPath], count: int) -> list[ProcessPath]:
    """The best of every sequence of names first, then the best of what is left."""
    seen: set[tuple[str, ...]] = set()
    firsts: list[ProcessPath] = []
    others: list[ProcessPath] = []
    for path in ranked:
        names = tuple(name for name, _ in path.steps)
        (others if names in seen else firsts).append(path)
        seen.add(names)
    return [*firsts, *others][:count]


def _moved(shop: _Shop, path: ProcessPath) -> ProcessPath:
    """The path with its amounts moved to where the deviation is least."""
    names = [name for name, _ in path.steps]
    limits = np.log([_LIMITS.get(name, _STRAINS) for name in names])
    best, begin = path, shop.begin()

    def merit(x: NDArray) -> float:
        nonlocal best
        amounts = np.exp(np.clip(x, limits[:, 0], limits[:, 1]))
        found = begin
        for name, amount in zip(names, amounts.tolist(), strict=True):
            after = shop.attempt(found, name, amount)
            if after is None:
                return 10 * path.merit
            found = after
        best = min(best, found, key=lambda p: p.merit)
        return found.merit

    minimize(
        merit,
        np.log([amount for _, amount in path.steps]),
        method="Nelder-Mead",
        options={"maxfev": _EVALUATIONS, "xatol": 0.01, "fatol": 1e-4},
    )
    return best
