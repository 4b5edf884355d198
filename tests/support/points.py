"""Points of an elasto-viscoplastic crystal through one increment, with their hardening."""

from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike, NDArray

from cpml.plasticity import ElasticCrystal
from cpml.plasticity.crystal.elastic_point import ElasticResponse
from cpml.plasticity.laws.strength.hardening import Hardening, State
from cpml.plasticity.laws.strength.implicit_step import change, implicit_step


@dataclass(frozen=True)
class Increment:
    """Points and their hardening at the end of an increment (`increment`)."""

    response: ElasticResponse
    state: State  # of the hardening law
    converged: bool  # all points, and the state
    passes: int  # calls of respond


def increment(
    crystal: ElasticCrystal,
    hardening: Hardening,
    state: State,
    gradient: ArrayLike,
    inverse: ArrayLike,
    dt: float,
    *,
    start: NDArray | None = None,
    guess: State | None = None,
    tangent: bool = False,
    threads: int = 1,
    tol: float = 1e-8,
    max_passes: int = 60,
    **given: float | None,
) -> Increment:
    """One increment of points that harden: stress and state at its end, by a fixed point.

    Parameters
    ----------
    crystal, gradient, inverse, dt, start, tangent, threads : as in ElasticCrystal.respond
    hardening, state : law and its state at the beginning of the increment
    guess : state at the end, e.g. of a nearby problem; None takes the one at the beginning
    tol : change of every entry of the state in a pass, relative to its largest value
    given : rate and temperature, for hardening laws that need them

    Returns
    -------
    Increment; `converged` is False where a point or the state did not settle in `max_passes`
    """
    now = state if guess is None else guess

    def solve(wants_tangent: bool) -> ElasticResponse:
        return crystal.respond(
            gradient,
            inverse,
            now["strength"],
            dt,
            back_stress=now.get("back_stress"),
            start=start,
            tangent=wants_tangent,
            threads=threads,
        )

    for passes in range(1, max_passes + 1):  # noqa: B007 # its last value is reported
        response = solve(False)
        start, before = response.stress, now
        now = implicit_step(hardening, state, before, torch.as_tensor(response.shear_rate), dt, **given)
        is_settled = change(now, before) <= tol
        if is_settled or not response.converged.all():
            break
    response = solve(tangent)
    return Increment(response, now, is_settled and bool(response.converged.all()), passes + 1)
