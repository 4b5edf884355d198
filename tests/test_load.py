"""Loads: closed-form directions of stress and strain rate, and what a wrong description says."""

import math

import numpy as np
import pytest

from cpml.errors import CpmlError, DatasetError
from cpml.load import Load

EXAMPLES = [
    {"kind": "tension", "axis": "x"},
    {"kind": "compression", "axis": [1, 2, 2]},
    {"kind": "shear", "axis": "x", "plane": "y"},
    {"kind": "rolling", "axis": "y"},
    {"kind": "tensor", "tensor": [[200, 30, 0], [30, -50, 10], [0, 10, 0]]},
]


def von_mises(stress):
    deviator = stress - np.trace(stress) / 3 * np.eye(3)
    return math.sqrt(1.5 * np.sum(deviator**2))


@pytest.mark.parametrize("values", EXAMPLES, ids=lambda v: v["kind"])
def test_stress_and_rate_have_von_mises_norm_one_and_the_rate_no_volume_change(values):
    load = Load.from_dict(values)
    rate = load.rate_direction
    assert von_mises(load.stress) == pytest.approx(1, abs=1e-12)
    assert math.sqrt(2 / 3 * np.sum(rate**2)) == pytest.approx(1, abs=1e-12)
    assert np.trace(rate) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(rate, rate.T, atol=0)


def test_uniaxial_rate_is_axisymmetric():
    """Tension along x lengthens x by 1 and shortens y and z by 1/2 each; compression is its negative."""
    np.testing.assert_allclose(
        Load.from_dict(EXAMPLES[0]).rate_direction, np.diag([1, -0.5, -0.5]), atol=1e-15
    )
    compression = Load.from_dict({"kind": "compression", "axis": "x"})
    np.testing.assert_allclose(compression.rate_direction, -np.diag([1, -0.5, -0.5]), atol=1e-15)
    np.testing.assert_allclose(compression.stress, -np.diag([1, 0, 0]), atol=0)


def test_axis_is_normalised_and_its_sign_does_not_change_a_uniaxial_load():
    load, opposite = (Load.from_dict({"kind": "tension", "axis": [s * 1, s * 2, s * 2]}) for s in (1, -3))
    np.testing.assert_allclose(load.axis, [1 / 3, 2 / 3, 2 / 3], atol=1e-15)
    np.testing.assert_allclose(load.stress, opposite.stress, atol=1e-15)


def test_rolling_is_plane_strain():
    """Rolling along x, normal z: D_xx = -D_zz = sqrt(3)/2, nothing along y."""
    expected = np.diag([1, 0, -1]) * math.sqrt(3) / 2
    np.testing.assert_allclose(
        Load.from_dict({"kind": "rolling", "axis": "x"}).rate_direction, expected, atol=1e-15
    )


def test_simple_shear_rate_is_half_of_sqrt_three():
    rate = Load.from_dict(EXAMPLES[2]).rate_direction
    assert rate[0, 1] == pytest.approx(math.sqrt(3) / 2)
    assert np.count_nonzero(np.abs(rate) > 1e-12) == 2


def test_tensor_load_is_scaled_but_keeps_its_pressure():
    stress = Load.from_dict(EXAMPLES[4]).stress
    np.testing.assert_allclose(stress / stress[0, 0], np.array(EXAMPLES[4]["tensor"]) / 200, atol=1e-15)


def test_label_says_what_is_assumed():
    values = {"kind": "compression", "axis": "-y", "assumed": True}
    assert Load.from_dict(values).label == "compression || -y (assumed)"
    assert Load.from_dict({"kind": "shear", "axis": "x", "plane": "y"}).label == "shear || x on y"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("tension", "neither a mapping"),
        ({"kind": "pull", "axis": "x"}, "load.kind: 'pull'"),
        ({"kind": "tension"}, "load.axis is missing"),
        ({"kind": "tension", "axis": [0, 0, 0]}, "length zero"),
        ({"kind": "tension", "axis": "w"}, "load.axis: 'w'"),
        ({"kind": "tension", "axis": [1, 0]}, "load.axis"),
        ({"kind": "tension", "axis": [1, 0, math.nan]}, "load.axis"),
        ({"kind": "tension", "axis": "x", "tensor": np.eye(3).tolist()}, "load.tensor has no meaning"),
        ({"kind": "shear", "axis": "x"}, "load.plane is missing"),
        ({"kind": "shear", "axis": "x", "plane": [1, 1, 0]}, "not perpendicular"),
        ({"kind": "rolling", "axis": "z"}, "not perpendicular"),
        ({"kind": "tensor", "tensor": (-np.eye(3)).tolist()}, "pure pressure"),
        ({"kind": "tensor", "tensor": [[0, 1, 0], [0, 0, 0], [0, 0, 0]]}, "not symmetric"),
        ({"kind": "tension", "axis": "x", "strain": -0.1}, "load.strain: -0.1"),
        ({"kind": "tension", "axis": "x", "rate": 0}, "load.rate: 0"),
        ({"kind": "tension", "axis": "x", "rate": True}, "load.rate: True"),
        ({"kind": "tension", "axis": "x", "temperature": "hot"}, "load.temperature: 'hot'"),
        ({"kind": "tension", "axis": "x", "assumed": "maybe"}, "load.assumed"),
        ({"kind": "tension", "axis": "x", "note": 3}, "load.note"),
        ({"kind": "tension", "axis": "x", "axes": "y"}, "unknown key 'axes'"),
    ],
)
def test_impossible_loads_are_dataset_errors(values, words):
    with pytest.raises(DatasetError, match="load") as caught:
        Load.from_dict(values)
    assert words in str(caught.value)
    assert isinstance(caught.value, CpmlError)
