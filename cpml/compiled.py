"""The numba decorators of all compiled loops: cached on disk where a folder can be written, GIL released."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numba import njit
from threadpoolctl import ThreadpoolController

Function = TypeVar("Function", bound=Callable[..., Any])
Result = TypeVar("Result")

MATH = {"reassoc", "contract", "arcp", "nsz"}  # no flag that assumes finite numbers: trial stresses overflow
TINY = 1e-300  # keeps divisions by exact zeros finite


def compiled(function: Function) -> Function:
    """A loop as it is written."""
    return _compile(function, fastmath=False)


def fused(function: Function) -> Function:
    """A loop whose sums may be reordered and fused: faster, equal to rounding."""
    return _compile(function, fastmath=MATH)


def _compile(function: Function, fastmath: set[str] | bool) -> Function:
    """njit with the on-disk cache, or without it where no folder can be written."""
    try:
        return cast(Function, njit(cache=True, nogil=True, fastmath=fastmath)(function))
    except RuntimeError:
        return cast(Function, njit(nogil=True, fastmath=fastmath)(function))


def in_threads(part: Callable[[int, int], Result], count: int, threads: int) -> list[Result]:
    """part(first, last) over equal shares of `count`, each in a thread of its own, in order.

    The loops of this module release the interpreter's lock, so that the shares run side by side. The caller's
    thread takes the first share; the others wait between calls, since a thread costs more to start than a
    small share. ``part`` must not call this function.
    """
    if threads <= 1 or count < threads:
        return [part(0, count)]
    edges = np.linspace(0, count, threads + 1).astype(int).tolist()
    if threads not in _POOLS:
        _POOLS[threads] = ThreadPoolExecutor(threads - 1)
    pool = _POOLS[threads]
    others = [pool.submit(part, a, b) for a, b in pairwise(edges[1:])]
    first = part(edges[0], edges[1])
    return [first, *(other.result() for other in others)]


_POOLS: dict[int, ThreadPoolExecutor] = {}
os.register_at_fork(after_in_child=_POOLS.clear)  # a child has none of its parent's threads


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Linear algebra and torch with one thread while compiled loops share the processors.

    On fields of some ten thousand numbers their threads wait for each other and for the loops.
    """
    before = torch.get_num_threads()
    with _CONTROLLER.limit(limits=1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


_CONTROLLER = ThreadpoolController()
