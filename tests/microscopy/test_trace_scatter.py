"""How often a trace with 2 deg of scatter names its plane.

The shares come from a simulation of its own (numpy, 1e5 crystals), made independently of this package.
"""

import numpy as np
import pytest

from cpml.crystallography import random_quaternions, systems
from cpml.crystallography.slip_traces import line_difference, slip_traces


@pytest.mark.parametrize(
    "lattice, families, nearest, unique",
    [
        ("fcc", ["octahedral"], 0.97, 0.89),
        ("hcp", ["basal", "prismatic"], 0.97, 0.91),
        ("hcp", ["basal", "prismatic", "pyramidal1_a"], 0.90, 0.73),
        ("hcp", ["basal", "prismatic", "pyramidal1_a", "pyramidal2_ca"], 0.83, 0.53),
        ("bcc", ["110", "112"], 0.82, 0.52),
    ],
)
def test_two_degrees_of_scatter(lattice, families, nearest, unique):
    """The nearest plane is the right one, and just one plane lies within 5 deg; 0.01 of
    the simulated shares.
    """
    rng = np.random.default_rng(0)
    n = 100_000
    angle = slip_traces(
        random_quaternions(n, rng), systems(lattice, families=families, c_over_a=1.6236)
    ).angle_deg
    true = rng.integers(angle.shape[1], size=n)
    seen = angle[np.arange(n), true] + 2 * rng.standard_normal(n)
    distance = np.abs(line_difference(seen[:, None], angle))
    assert np.mean(distance.argmin(axis=1) == true) == pytest.approx(nearest, abs=0.01)
    assert np.mean(np.sum(distance <= 5, axis=1) == 1) == pytest.approx(unique, abs=0.01)
