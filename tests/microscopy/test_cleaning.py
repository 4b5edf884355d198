"""Cleaning changes what it is asked to change, counts it and marks it."""

import numpy as np
import pytest

from cpml.errors import ParameterError
from cpml.microscopy import fill_holes


def holed(make_map):
    label = np.ones((8, 10), int)
    label[:, 5:] = 2
    label[2, 2] = label[5, 7] = label[5, 8] = 0
    label[7, 0:4] = 0
    return make_map(label, np.array([[1.0, 0, 0, 0], [0, 1, 0, 0]]))


def test_small_holes_are_filled_and_marked(make_map):
    """Holes of one and two points take their neighbours' orientation; the one of four stays."""
    m = holed(make_map)
    done = fill_holes(m, max_pixels=2)
    assert (done.n_filled, done.n_left) == (3, 4) and "3 points filled" in done.note
    assert np.flatnonzero(done.map.properties["filled"]).tolist() == [22, 57, 58]
    np.testing.assert_array_equal(done.map.quaternions[57], [0, 1, 0, 0])
    assert np.isnan(m.quaternions[22]).all(), "the map that was given is not changed"


def test_nothing_is_filled_by_default(make_map):
    """Cleaning is off unless a size is given."""
    m = holed(make_map)
    done = fill_holes(m)
    assert done.map is m and done.n_filled == 0
    with pytest.raises(ParameterError):
        fill_holes(m, max_pixels=-1)
