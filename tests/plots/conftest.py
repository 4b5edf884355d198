"""A small map with a known answer, and no figure left open behind a test."""

import matplotlib

matplotlib.use("Agg")

from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cpml.plots import MapView


@dataclass(frozen=True)
class Phase:
    """The part of a map's phase that plots read."""

    name: str
    group: str
    lattice: str | None


@dataclass(frozen=True)
class Map:
    """The part of an EbsdMap that plots read."""

    quaternions: np.ndarray
    phase_id: np.ndarray
    xy: np.ndarray
    shape: tuple
    step_um: float
    grid: str = "square"
    phases: dict = field(default_factory=lambda: {1: Phase("nickel", "432", "fcc")})

    def image(self, values):
        values = np.asarray(values)
        return values.reshape(*self.shape, *values.shape[1:])


@pytest.fixture(autouse=True)
def closed_figures():
    """Every test starts and ends without open figures."""
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture
def cubes():
    """6 x 10 points, step 0.5 um: left half cube, right half turned 45 deg about x, point 0 not indexed."""
    rows, cols, step = 6, 10, 0.5
    column = np.tile(np.arange(cols), rows)
    xy = step * np.stack([column, np.repeat(np.arange(rows), cols)], axis=-1)
    turned = np.array([np.cos(np.pi / 8), np.sin(np.pi / 8), 0.0, 0.0])
    quaternions = np.where((column < 5)[:, None], [1.0, 0.0, 0.0, 0.0], turned)
    phase_id = np.ones(rows * cols, dtype=int)
    phase_id[0], quaternions[0] = 0, np.nan
    return Map(quaternions, phase_id, xy, (rows, cols), step)


@pytest.fixture
def view(cubes):
    """The map of the cubes without boundaries."""
    return MapView(cubes)


@pytest.fixture
def segments():
    """One boundary segment of 45 deg, one of 3 deg and one of unknown angle (a phase boundary)."""
    return pd.DataFrame(
        {
            "x0_um": [2.25, 2.25, 0.0],
            "y0_um": [0.25, 0.75, 1.0],
            "x1_um": [2.25, 2.25, 0.5],
            "y1_um": [0.75, 1.25, 1.0],
            "angle_deg": [45.0, 3.0, np.nan],
        }
    )
