"""Tables of boundaries at which slip passed or stopped: what is read, and one line for what is wrong."""

import numpy as np
import pandas as pd
import pytest

from cpml.crystallography import axis_angle_to_quaternion, quaternion_multiply, random_quaternions
from cpml.errors import MapFileError
from cpml.microscopy import active_of_given, read_boundaries, residuals_of_given
from support.phases import FCC

GRAINS = pd.DataFrame({"grain_id": [1, 2, 3], "phase": [1, 1, 2]})
TOUCHING = pd.DataFrame({"grain_a": [1, 2], "grain_b": [2, 3]})
HEAD = "grain_a,grain_b,system_a,system_b,residual_burgers,passes"


def read(tmp_path, text, systems=None):
    path = tmp_path / "boundaries.csv"
    path.write_text(text)
    return read_boundaries(path, GRAINS, TOUCHING, {1: FCC} if systems is None else systems)


def test_a_table_with_all_columns(tmp_path):
    """Systems, planes or nothing; an empty state is not known; a boundary may have several pairs."""
    system, plane = FCC.names[0], FCC.plane_names[1]
    found = read(
        tmp_path,
        f"{HEAD},weight,source\n1,2,{system},{plane},0.58,1,0.5,Patriarca\n2,1,,,,0,,\n3,2,,{plane},,,1,\n",
    )
    assert found["passes"].tolist()[:2] == [1, 0] and np.isnan(found["passes"][2])
    assert found["weight"].tolist() == [0.5, 1, 1] and found["source"].tolist() == [
        "Patriarca",
        "user",
        "user",
    ]
    assert found["residual_burgers"][0] == 0.58 and np.isnan(found["residual_burgers"][1])
    active = active_of_given(found)
    assert sorted(zip(active["grain_id"], active["target"], strict=True)) == sorted([(1, system), (2, plane)])


def test_one_column_may_name_the_boundary(tmp_path):
    found = read(tmp_path, "boundary,passes\n2-1,1\n 2 - 3 ,0\n")
    assert found[["grain_a", "grain_b"]].to_numpy().tolist() == [[2, 1], [2, 3]]
    assert found["passes"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("grain_a,grain_b\n1,2\n", ["line 1", "no column passes", "found: grain_a, grain_b"]),
        ("passes\n1\n", ["line 1", "no column grain_a, grain_b"]),
        ("boundary,passes,mprime\n1-2,1,.9\n", ["line 1", "'mprime'", "known"]),
        (f"{HEAD}\n1,9,,,,1\n", ["line 2", "grain '9'", "from 1 to 3"]),
        (f"{HEAD}\n1,3,,,,1\n", ["line 2", "1 and 3 do not touch"]),
        ("boundary,passes\n12,1\n", ["line 2", "'12'", "12-15"]),
        (f"{HEAD}\n1,2,(111)[01],,,1\n", ["line 2", "system_a", "(111)[01]", "known"]),
        (f"{HEAD}\n3,2,{FCC.names[0]},,,1\n", ["line 2", "phase 2", "no systems"]),
        (f"{HEAD}\n1,2,,,-1,1\n", ["line 2", "residual_burgers", "0 or more"]),
        (f"{HEAD}\n1,2,,,,yes\n", ["line 2", "passes", "'yes'"]),
        (f"{HEAD}\n1,2,,,,0.5\n", ["line 2", "passes", "'0.5'"]),
        ("boundary,passes,weight\n1-2,1,2\n", ["line 2", "weight", "0 to 1"]),
        (f"{HEAD}\n1,2,,,,1\n2,1,,,,0\n", ["line 3", "line 2 already"]),
        (f"{HEAD}\n1,2\n", ["line 2", "number of fields"]),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(tmp_path, text, words):
    with pytest.raises(MapFileError) as error:
        read(tmp_path, text)
    told = str(error.value)
    assert "boundaries.csv" in told and "\n" not in told
    assert all(word in told for word in words), told


def test_residuals_are_computed_beside_those_given():
    """A Sigma3 twin about [111]: systems with the common direction in the plane of the axis leave nothing;
    a name that is no system is left out.
    """
    q = random_quaternions(1, np.random.default_rng(2))[0]
    twin = quaternion_multiply(q, axis_angle_to_quaternion(np.ones(3) / np.sqrt(3), np.pi))
    grains = pd.DataFrame([q, twin], columns=["qw", "qx", "qy", "qz"]).assign(grain_id=[1, 2], phase=1)
    normal = FCC.plane @ np.ones(3) / np.sqrt(3)
    in_axis_plane = int(np.flatnonzero(np.abs(normal) > 0.99)[0])
    name = FCC.names[in_axis_plane]
    given = pd.DataFrame(
        {"grain_a": [1, 1], "grain_b": [2, 2], "system_a": [name, ""], "system_b": [name, name]}
    )
    found = residuals_of_given(given, grains, {1: FCC})
    # half a turn about the normal reverses the direction, and slip has no sense
    assert found["residual_computed"].tolist() == pytest.approx([0.0], abs=1e-7)
