"""Lines followed through a picture: straight ones are one piece, kinked ones two, with the angles
that were drawn.
"""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from cpml.crystallography import systems
from cpml.crystallography.cross_slip_pairs import cross_slip_pairs
from cpml.crystallography.slip_traces import line_difference, slip_traces
from cpml.errors import ParameterError
from cpml.microscopy import cross_slip_labels, line_courses


def picture(corners, shape=(60, 60), width=1.0):
    """Bright line of Gaussian width through the corners [x, y] on weak noise."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    distance = np.full(shape, np.inf)
    for (x0, y0), (x1, y1) in pairwise(corners):
        d = np.array([x1 - x0, y1 - y0], float)
        s = np.clip(((x - x0) * d[0] + (y - y0) * d[1]) / (d @ d), 0, 1)
        distance = np.minimum(distance, np.hypot(x - x0 - s * d[0], y - y0 - s * d[1]))
    noise = np.random.default_rng(0).normal(0, 0.02, shape)
    return np.exp(-0.5 * (distance / width) ** 2) + noise


def longest_line(found):
    """Pieces of the line of the greatest length."""
    return found[found["line_id"] == found.groupby("line_id")["length_px"].sum().idxmax()]


def test_a_straight_line_is_one_piece():
    """From (5, 50) to (55, 20): atan(30/50) = 31 deg on the screen, to twice its own error."""
    found = longest_line(line_courses(picture([(5, 50), (55, 20)]), np.ones((60, 60), int)))
    assert len(found) == 1
    assert abs(found["angle_deg"].iloc[0] - 30.96) < 2 * found["sigma_deg"].iloc[0] < 5


def test_a_kink_is_two_pieces_that_meet():
    """0 deg, then 45 deg up: two long pieces, one of which ends within 2.5 pixels of the corner (30, 40)."""
    found = longest_line(line_courses(picture([(4, 40), (30, 40), (56, 14)]), np.ones((60, 60), int)))
    long = found[found["length_px"] > 10]
    away = np.sort(np.abs(line_difference(long["angle_deg"].to_numpy(), 0.0)))
    np.testing.assert_allclose(away, [0, 45], atol=4)
    ends = found[["x1_px", "y1_px"]].to_numpy()
    assert np.linalg.norm(ends - [30, 40], axis=1).min() < 2.5


def test_a_region_without_lines_has_one_empty_row():
    """Looked at and nothing found is not the same as not looked at."""
    label = np.ones((60, 60), int)
    label[:, 50:] = 2  # 550 pixels
    label[:5, 50:] = 3  # 50 pixels: too small
    found = line_courses(np.ones((60, 60)), label)
    assert found["grain_id"].tolist() == [1, 2] and found["angle_deg"].isna().all()


def test_a_kink_between_traces_of_two_planes_is_a_candidate():
    """A line drawn along the traces of two planes that share a direction names their pair, and no other."""
    fcc = systems("fcc", families=["octahedral"])
    q = np.array([[0.85, 0.25, 0.1, 0.45]]) / np.linalg.norm([0.85, 0.25, 0.1, 0.45])
    pair = cross_slip_pairs(fcc).iloc[1]
    angle = slip_traces(q, fcc).angle_deg[0]
    a, b = np.radians(angle[[pair["plane_a"], pair["plane_b"]]])
    corner, reach = np.array([60.0, 60.0]), 45.0
    ends = corner + reach * np.array([[-np.cos(a), np.sin(a)], [np.cos(b), -np.sin(b)]])
    found = line_courses(picture([ends[0], corner, ends[1]], (120, 120)), np.ones((120, 120), int))
    parents = pd.DataFrame(
        {"grain_id": [1], "phase": [1], **dict(zip(("qw", "qx", "qy", "qz"), q[0], strict=True))}
    )
    labels = cross_slip_labels(parents, found, fcc).set_index("target")["observed"]
    assert labels[pair["target"]] == 1 and (labels.drop(pair["target"]) != 1).all()


def test_wrong_options_are_named():
    with pytest.raises(ParameterError, match="width_px 0"):
        line_courses(np.zeros((9, 9)), np.ones((9, 9), int), width_px=0)
    with pytest.raises(ParameterError, match="one size"):
        line_courses(np.zeros((9, 9)), np.ones((9, 8), int))
