"""A small map with a known answer, and no figure left open behind a test."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cpml.plots import MapView
from support.maps import square_map

TURNED = [np.cos(np.pi / 8), np.sin(np.pi / 8), 0.0, 0.0]  # 45 deg about x


@pytest.fixture(autouse=True)
def closed_figures():
    """Every test starts and ends without open figures."""
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture
def cubes():
    """6 x 10 points, step 0.5 um: left half cube, right half turned 45 deg about x, point 0 not indexed."""
    label = np.tile(np.repeat([1, 2], 5), (6, 1))
    label[0, 0] = 0
    return square_map(label, [[1.0, 0.0, 0.0, 0.0], TURNED], step=0.5)


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
