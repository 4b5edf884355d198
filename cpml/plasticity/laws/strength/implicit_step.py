"""Hardening by backward Euler: the rates of change are those of the state at the end of the step.

    state(t+dt) = state(t) + [harden(iterate) - iterate]        entry by entry

`iterate` is an estimate of the state at the end; at the fixed point it is the result itself. A record that
knows better - it is exact in the shears, keeps quantities that follow from others, or wraps another law - has
a method `implicit` of its own.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from cpml.plasticity.laws.strength.hardening import Hardening, State

_BLOCK = 1024  # grains: their numbers fit the cache together, and torch leaves them to one thread
_NOTHING = 1e-12  # shears and twin fractions below this do not count


def implicit_step(
    hardening: Hardening,
    state: State,
    iterate: State,
    shear_rate: Tensor,
    dt: Tensor | float,
    *,
    rate: float | None = None,
    temperature: float | None = None,
) -> State:
    """State at the end of a step, from an estimate of it.

    Parameters
    ----------
    hardening : any record of cpml.plasticity.laws.strength.hardening
    state, iterate : state at the beginning, estimate of the state at the end
    shear_rate : (G, S) 1/s, at the end
    dt : s
    rate, temperature : von Mises strain rate (1/s) and K, for laws that need them

    Examples
    --------
    >>> import torch
    >>> from cpml.crystallography import systems
    >>> from cpml.plasticity import Saturation
    >>> law = Saturation(systems("fcc", families=["octahedral"]), h0=75.0, saturation=63.0, exponent=1.0)
    >>> state = now = law.start(torch.full((1, 12), 31.0, dtype=torch.float64))
    >>> slip = torch.zeros(1, 12, dtype=torch.float64)
    >>> slip[:, 0] = 0.1
    >>> for _ in range(30):
    ...     now = implicit_step(law, state, now, slip, 1.0)
    >>> print(f"{now['strength'][0, 0]:.4f} {(31 + 7.5) / (1 + 7.5 / 63):.4f}")
    34.4043 34.4043
    """
    count = len(shear_rate)
    if count <= _BLOCK:
        return _step(hardening, state, iterate, shear_rate, dt, rate, temperature)
    parts = []
    for rows in (slice(first, first + _BLOCK) for first in range(0, count, _BLOCK)):
        before, after = (_apply(lambda values, rows=rows: values[rows], each) for each in (state, iterate))
        parts.append(_step(hardening, before, after, shear_rate[rows], dt, rate, temperature))
    return _apply(lambda *values: torch.cat(values), *parts)


def _step(
    hardening: Hardening,
    state: State,
    iterate: State,
    shear_rate: Tensor,
    dt: Tensor | float,
    rate: float | None,
    temperature: float | None,
) -> State:
    own = getattr(hardening, "implicit", None)
    if own is not None:
        return own(state, iterate, shear_rate, dt, rate=rate, temperature=temperature)
    grown = hardening.harden(iterate, shear_rate, dt, rate=rate, temperature=temperature)
    return _apply(lambda old, new, guess: old + (new - guess), state, grown, iterate)


def _apply(function: Callable[..., Any], *states: Any) -> Any:
    """A state of function(values) for the values of the same entry in all states."""
    if isinstance(states[0], Mapping):
        return {key: _apply(function, *(each[key] for each in states)) for key in states[0]}
    return function(*states)


def change(state: Any, other: Any) -> float:
    """Largest change between two states, relative to the largest value of each entry."""
    if isinstance(state, Mapping):
        return max((change(state[key], other[key]) for key in state), default=0.0)
    if not state.numel():
        return 0.0
    return float((state - other).abs().max() / other.abs().max().clamp(min=_NOTHING))


def growth(after: Any, before: Any) -> Any:
    """after - before, entry by entry; None where nothing is a tensor."""
    if isinstance(after, Mapping):
        return {key: growth(after[key], before[key]) for key in after}
    return after - before if isinstance(after, Tensor) else None


def extrapolated(state: Any, grown: Any, share: float) -> Any:
    """state + share grown, entry by entry: an estimate of the state after the next step."""
    if grown is None:
        return state
    if isinstance(state, Mapping):
        return {key: extrapolated(state[key], grown[key], share) for key in state}
    return state + share * grown
