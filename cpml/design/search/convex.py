"""The convex problems of texture design: hull membership, extremes, and the texture closest to a prior.

Conditions are linear in the weights: A w = b with w >= 0, sum w = 1, columns a_g of A the
properties of single crystals.

    inside the hull?    max t  subject to  u.(b - a_g) >= t for all g, |u_i| <= 1     t > 0: u separates b
    closest to p        min KL(w || p) = sum w ln(w/p)   subject to A w = b
      its dual          max_u  -ln sum_g p_g exp(u.(a_g - b));      w_g = p_g exp(u.(a_g - b)) / sum
      duality gap       KL(w || p) - dual = u.(A w - b)
    with variables z    min KL(w || p) + |z|^2/2   subject to A w + C z = b
      its dual          max_u  -ln sum_g p_g exp(u.(a_g - b)) - |C' u|^2/2;     z = C' u

The dual is smooth and concave in as many variables as there are conditions: Newton with the covariance as
Hessian. References: Boyd & Vandenberghe 2004, chapters 5 and 7; Jaynes 1957, Phys. Rev. 106:620.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

_TOL, _MAX_ITER = 1e-12, 200  # of Newton's method on the dual, largest condition in its own scale


@dataclass(frozen=True)
class Hyperplane:
    """u.x <= offset for every single crystal; the target has u.target = offset +
    margin. margin > 0: out of reach.
    """

    normal: NDArray  # (m,)
    offset: float
    margin: float


@dataclass(frozen=True)
class Closest:
    """Weights closest to a prior; gap and residual measure what is left of the optimality conditions."""

    weights: NDArray  # (G,)
    multipliers: NDArray  # (m,)
    relative_entropy: float  # KL(w || p), nats
    duality_gap: float
    residual: float  # largest |A w + C z - b|
    converged: bool
    moved: NDArray  # (V,) z


def separate(points: NDArray, target: NDArray) -> Hyperplane:
    """The hyperplane between points (m, G) and a target (m,) with the largest margin, |u_i| <= 1 (HiGHS).

    The margin is recomputed from all points by multiplication, so it is a proof and not a solver's word.
    """
    m, count = points.shape
    difference = target[:, None] - points
    solved = linprog(
        np.r_[np.zeros(m), -1.0],
        A_ub=np.c_[-difference.T, np.ones(count)],
        b_ub=np.zeros(count),
        bounds=[(-1, 1)] * m + [(None, None)],
        method="highs",
    )
    normal = solved.x[:m]
    offset = float((normal @ points).max())
    return Hyperplane(normal, offset, float(normal @ target - offset))


def extreme(points: NDArray, target: NDArray, objective: NDArray, sign: int) -> tuple[float, NDArray] | None:
    """Largest (sign +1) or smallest (-1) objective.w subject to points w = target;
    None when no w exists (HiGHS).
    """
    count = points.shape[1]
    scale = max(1.0, np.abs(points).max())
    solved = linprog(
        -sign * objective,
        A_eq=np.r_[points / scale, np.ones((1, count))],
        b_eq=np.r_[target / scale, 1.0],
        bounds=(0, None),
        method="highs",
    )
    if solved.status != 0:
        return None
    weights = np.clip(solved.x, 0, None)
    weights /= weights.sum()
    return float(objective @ weights), weights


def closest_to_prior(
    points: NDArray, target: NDArray, prior: NDArray, moving: NDArray | None = None
) -> Closest:
    """Weights of least relative entropy to a prior (G,) with points (m, G) averaging to target (m,), less
    what variables z contribute by their columns `moving` (m, V).
    """
    moving = np.zeros((len(target), 0)) if moving is None else moving
    largest = np.hypot(np.abs(points - target[:, None]).max(axis=1), np.abs(moving).max(axis=1, initial=0.0))
    scale = np.maximum(largest, 1e-300)
    centred, moving = (points - target[:, None]) / scale[:, None], moving / scale[:, None]
    u = np.zeros(len(target))
    value, weights = _dual(u, centred, prior, moving)
    for _ in range(_MAX_ITER):
        mean = centred @ weights
        gradient = mean + moving @ (moving.T @ u)
        if np.abs(gradient).max() <= _TOL:
            break
        covariance = (centred * weights) @ centred.T - np.outer(mean, mean) + moving @ moving.T
        step = -np.linalg.solve(covariance + 1e-14 * np.eye(len(u)), gradient)
        size = 1.0
        while size > 1e-10:
            trial_value, trial_weights = _dual(u + size * step, centred, prior, moving)
            if trial_value <= value + 1e-4 * size * (gradient @ step) + 1e-15:
                break
            size /= 2
        u, value, weights = u + size * step, trial_value, trial_weights
    moved = moving.T @ u
    residual = centred @ weights + moving @ moved
    entropy = float(np.sum(weights * (np.log(np.maximum(weights, 1e-300)) - np.log(prior))))
    return Closest(
        weights=weights,
        multipliers=u / scale,
        relative_entropy=entropy,
        duality_gap=float(entropy + moved @ moved / 2 + value),
        residual=float(np.abs(residual * scale).max()),
        converged=bool(np.abs(residual).max() <= 1e-10),
        moved=moved,
    )


def _dual(u: NDArray, centred: NDArray, prior: NDArray, moving: NDArray) -> tuple[float, NDArray]:
    """Minus the dual and the weights (G,) at multipliers u (m,)."""
    exponent = u @ centred + np.log(prior)
    top = exponent.max()
    terms = np.exp(exponent - top)
    total = terms.sum()
    along = moving.T @ u
    return float(top + np.log(total) + along @ along / 2), terms / total
