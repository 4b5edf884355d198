"""What two goals cost each other: textures on the front between them, at a given effort.

    max_w  lambda s_a v_a(w)/d_a + (1 - lambda) s_b v_b(w)/d_b     subject to   KL(w || p) = effort

with s = 1 where a least value is asked for and -1 where a largest is, d the distance of the front's ends. At
the maximum w is proportional to p exp(g/mu), g the gradient of the sum and mu such that the effort is what it
should be; the fixed point is iterated with the exact gradients of the route, the whole way or half where that
does not climb. Points that another beats in both goals are left out. Concave parts of a front, which no
weighted sum has as its maximum, are not found.

| symbol | meaning | unit | shape |
|---|---|---|---|
| w, p | weights of the texture, of the prior | - | (G,) |
| effort | relative entropy; 0: the prior, 1: some third of the orientations carry the texture | nats | |

References: Jaynes 1957, Phys. Rev. 106:620; Miettinen 1999, Nonlinear Multiobjective Optimization (weighted
sums).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from cpml.design.goals import Goal
from cpml.design.grid import orientation_grid, prior_names, prior_texture, sample_copies, texture_on_grid
from cpml.design.routes import Route
from cpml.design.search.refine import MET, Point, Refinement, cost
from cpml.design.texture import TextureDesign
from cpml.errors import ParameterError

_ROUNDS, _STILL = 12, 0.002  # of the fixed point; gain, of the size of the sum, that ends it
_STEPS = (1.0, 0.5, 0.2)
_RANGE = (-12.0, 12.0)  # of log mu


def front(
    goals: Sequence[Goal],
    route: Route,
    *,
    effort: float = 1.0,
    count: int = 7,
    grid_deg: float = 10.0,
    sample_symmetry: str = "orthotropic",
    present: tuple[NDArray, NDArray | None] | None = None,
) -> list[TextureDesign]:
    """Textures from the best for the first of two goals to the best for the second.

    Parameters
    ----------
    goals : two bounds, a least or a largest value each; how far, says only what their size is
    effort : relative entropy to the prior, nats
    count : textures, two or more
    grid_deg, sample_symmetry, present : as in cpml.design.suggest; without a present texture the prior is the
        random one

    Raises
    ------
    ParameterError : not two bounds with one end each, an effort that is not positive
    """
    senses = [_sense(goal) for goal in goals]
    if len(goals) != 2 or 0 in senses or not 0 < effort < np.inf or count < 2:
        raise ParameterError(
            "a front needs two goals with min or max each, a positive effort and two points or more"
        )
    route.check(goals)
    lattice = route.law.systems.lattice
    grid = orientation_grid(lattice, grid_deg)
    copies = sample_copies(grid, sample_symmetry)
    if present is None:
        name, prior = prior_names(lattice)[0], prior_texture(lattice, prior_names(lattice)[0], grid)
    else:
        name, prior = "present", texture_on_grid(lattice, copies, *present)
    search = Refinement(tuple(goals), route, copies)
    scale = np.array(senses) / [goal.size for goal in goals]
    ends = [_best(search, pick * scale, prior, prior, effort) for pick in np.eye(2)]
    apart = np.abs(ends[0].solved.values - ends[1].solved.values)
    scale = np.array(senses) / np.where(apart > 0, apart, 1 / np.abs(scale))
    points = {1.0: ends[0], 0.0: ends[1]}
    for share in np.linspace(1.0, 0.0, count)[1:-1]:
        near = points[min(points, key=lambda known: abs(known - share))].weights
        points[float(share)] = _best(search, np.array([share, 1 - share]) * scale, near, prior, effort)
    values = np.array([senses * point.solved.values for point in points.values()])
    is_beaten = [((values >= own).all(1) & (values > own).any(1)).any() for own in values]
    kept = [row for row, beaten in zip(points.items(), is_beaten, strict=True) if not beaten]
    ordered = sorted(kept, key=lambda row: -row[0])
    return [_record(search, point, share, name, prior, sample_symmetry) for share, point in ordered]


def _record(
    search: Refinement, point: Point, share: float, prior: str, weights: NDArray, sample_symmetry: str
) -> TextureDesign:
    """A point of the front as a design."""
    pairs = zip(search.goals, point.solved.values, strict=True)
    return TextureDesign(
        status="reached" if point.worst <= MET else "nearest",
        target={g.name: g.words for g in search.goals},
        properties={g.name: float(v) for g, v in pairs},
        quaternions=search.copies[0],
        weights=point.weights,
        prior=prior,
        sample_symmetry=sample_symmetry,
        certificate={
            "kind": "none",
            "share": share,
            "relative_entropy": cost(point.weights, np.zeros(0), weights),
        },
    )


def _sense(goal: Goal) -> int:
    """1: as large as possible, -1: as small, 0: a number or both ends."""
    return int(np.isfinite(goal.low)) - int(np.isfinite(goal.high))


def _best(search: Refinement, factors: NDArray, start: NDArray, prior: NDArray, effort: float) -> Point:
    """The texture of the largest sum of factors times goals at the effort, from a start."""
    none = np.zeros(0)
    point = search.at(start, none, unconverged="warn")
    for _ in range(_ROUNDS):
        before = float(factors @ point.solved.values)
        wanted = _tilted(factors @ point.solved.slopes()[0], prior, effort)
        trials = (search.tried(point.weights + step * (wanted - point.weights), none) for step in _STEPS)
        gains = ((t, float(factors @ t.solved.values) - before) for t in trials if t is not None)
        better = next(((trial, gain) for trial, gain in gains if gain > 0), None)
        if better is None:
            break
        point, gain = better
        if gain < _STILL * float(np.abs(factors * point.solved.values).sum()):
            break
    return point


def _tilted(gradient: NDArray, prior: NDArray, effort: float) -> NDArray:
    """p exp(g/mu) of an effort; of the best orientations alone where no mu spends it."""
    centred = gradient - gradient.max()
    size = np.ptp(gradient) or 1.0

    def at(log_mu: float) -> NDArray:
        tilted = prior * np.exp(centred / (size * np.exp(log_mu)))
        return tilted / tilted.sum()

    def missing(log_mu: float) -> float:
        return cost(at(log_mu), np.zeros(0), prior) - effort

    low, high = _RANGE
    if missing(low) <= 0:
        return at(low)
    return at(brentq(missing, low, high, xtol=1e-6))
