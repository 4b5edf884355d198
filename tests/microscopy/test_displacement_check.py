"""Beside HR-DIC: directions in which bands move, boundaries in the frame of the field, what
surrounds a grain.
"""

import numpy as np
import pandas as pd
import pytest

from cpml.crystallography.slip_traces import slip_traces
from cpml.microscopy import displacement_deviations, surrounding_type
from cpml.microscopy.dic.displacement_ratio import direction_angles
from cpml.microscopy.dic.registered import RegisteredDic
from cpml.microscopy.registration.affine import Affine
from support.phases import FCC


def test_bands_of_known_systems_move_along_their_directions():
    """Each band lies on its plane and moves along b: deviation 0; with v negated most move along none."""
    q = np.random.default_rng(1).normal(size=(20, 4))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    system = np.arange(20) % len(FCC)
    rows = np.arange(20)
    bands = pd.DataFrame(
        {
            "grain_id": rows + 1,
            "angle_deg": slip_traces(q, FCC).angle_deg[rows, FCC.plane_id[system]],
            "psi_deg": direction_angles(q, FCC)[0][rows, system],
        }
    )
    parents = pd.DataFrame(q, columns=["qw", "qx", "qy", "qz"]).assign(grain_id=rows + 1)
    np.testing.assert_allclose(displacement_deviations(bands, parents, FCC), 0, atol=1e-6)
    assert np.median(displacement_deviations(bands, parents, FCC, mirrored=True)) > 5
    off = bands.assign(grain_id=99, psi_deg=[np.nan] * 20)
    assert np.isnan(displacement_deviations(off, parents, FCC)).all()


def test_mirrored_displacements_are_mirrored_in_the_image():
    """A field turned by 30 deg whose v has the wrong sign shows a direction psi at 60 deg - psi on the map;
    with the sign turned first, each lies on its own.
    """
    q = np.array([[np.cos(0.4), np.sin(0.4), 0.0, 0.0]])
    angle = direction_angles(q, FCC)[0][0]
    trace = slip_traces(q, FCC).angle_deg[0]
    parents = pd.DataFrame(q, columns=["qw", "qx", "qy", "qz"]).assign(grain_id=[1])
    for s in range(0, len(FCC), 5):
        seen_mirrored = 2 * 30.0 - angle[s]
        bands = pd.DataFrame(
            {"grain_id": [1], "angle_deg": [trace[FCC.plane_id[s]]], "psi_deg": [seen_mirrored % 180]}
        )
        off = displacement_deviations(bands, parents, FCC, mirrored=True, turn_deg=30.0)
        np.testing.assert_allclose(off, 0, atol=1e-6)


def test_boundaries_come_back_to_the_field():
    """A map point that a vector lies on is that vector's place in the field, wherever the map starts and
    whatever its steps are.
    """
    to_map = Affine(np.array([[0.9, 0.1], [-0.05, 1.1]]), np.array([3.0, 2.0]), 0.0)
    to_um = Affine(np.diag([0.5, 0.4]), np.array([100.0, -20.0]), 0.0).after(to_map)
    dic = RegisteredDic(None, to_map, to_um, np.zeros((4, 4)), np.zeros((4, 4), int), pd.DataFrame())
    assert dic.step_um == pytest.approx(np.sqrt(0.995 * 0.2))
    start, end = ([100.0, -20.0] + [0.5, 0.4] * to_map(np.array(p, float)) for p in ([1, 2], [3, 0]))
    segments = pd.DataFrame([[*start, *end]], columns=["x0_um", "y0_um", "x1_um", "y1_um"])
    np.testing.assert_allclose(
        dic.on_field(segments).to_numpy(), dic.step_um * np.array([[1, 2, 3, 0]]), atol=1e-12
    )


def test_what_surrounds_a_grain_is_counted_by_length():
    """Grain 2: 3 um of low angle against 2 um of random; grain 4 touches nothing."""
    table = pd.DataFrame(
        {"grain_a": [1, 2], "grain_b": [2, 3], "length_um": [3.0, 2.0], "angle_deg": [5.0, 40.0]}
    )
    assert surrounding_type(table).to_dict() == {1: "low angle", 2: "low angle", 3: "random"}
