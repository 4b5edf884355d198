"""Grids, laws and comparisons that tests of full fields share."""

import numpy as np

from cpml.plasticity import PowerLaw
from support.phases import FCC


def fcc(n: float, strength: float = 10.0) -> PowerLaw:
    """One strength."""
    return PowerLaw(FCC, [strength], float(n), 1e-3)


def share_of(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest error of components, relative to the largest component."""
    return np.abs(found - wanted).max() / np.abs(wanted).max()


def mosaic(shape: tuple[int, ...], count: int, seed: int = 0) -> np.ndarray:
    """Grains of nearest seeds, periodic."""
    seeds = np.random.default_rng(seed).random((count, len(shape))) * shape
    places = np.meshgrid(*map(np.arange, shape), indexing="ij")
    apart = [np.abs(p[..., None] - seeds[:, i]) for i, p in enumerate(places)]
    return sum(np.minimum(a, n - a) ** 2 for a, n in zip(apart, shape, strict=True)).argmin(-1)
