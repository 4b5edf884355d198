"""The numba decorator of all compiled loops: cached on disk where a folder can be written, GIL released.

Sums may be reordered and fused (no flag that assumes finite numbers: trial
stresses overflow and are refused).
"""

from numba import njit

MATH = {"reassoc", "contract", "arcp", "nsz"}
TINY = 1e-300  # keeps divisions by exact zeros finite


def compiled(function):
    """njit with the on-disk cache, or without it where no folder can be written."""
    try:
        return njit(cache=True, nogil=True, fastmath=MATH)(function)
    except RuntimeError:
        return njit(nogil=True, fastmath=MATH)(function)
