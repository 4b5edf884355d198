"""Labels: seen is 1, looked for in vain is 0, and what nobody could have seen is missing."""

import numpy as np
import pandas as pd
import pytest

from cpml.crystallography import load_material
from cpml.crystallography.rotations import axis_angle_to_quaternion
from cpml.crystallography.slip_systems import systems
from cpml.errors import MapFileError, ParameterError
from cpml.microscopy import (
    Labels,
    match_traces,
    naming_probability,
    read_traces,
    scored_labels,
    slip_labels,
    slip_traces,
    traces_to_grains,
)
from support.phases import FCC

HCP = systems("hcp", families=["basal", "prismatic"], c_over_a=1.6236)


def parents(*quaternions, phase=1):
    q = np.array(quaternions, float)
    return pd.DataFrame(
        {
            "grain_id": np.arange(1, len(q) + 1),
            "phase": phase,
            "qw": q[:, 0],
            "qx": q[:, 1],
            "qy": q[:, 2],
            "qz": q[:, 3],
        }
    )


def lines(**columns):
    return pd.DataFrame(columns)


TURNED = axis_angle_to_quaternion([1, 2, 3], 0.7)


def test_a_clear_line_marks_its_plane():
    """The plane under the line is 1, the other visible ones 0; it is the only candidate of the line."""
    angle = slip_traces([TURNED], FCC).angle_deg[0]
    found = slip_labels(parents(TURNED), lines(grain_id=[1], angle_deg=[angle[2] + 180.5]), FCC)
    assert found.labels["target"].tolist() == found.candidates["target"].tolist() == list(FCC.plane_names)
    assert found.labels["observed"].tolist() == found.candidates["probability"].tolist() == [0, 0, 1, 0]
    assert found.traces["sigma_deg"].tolist() == [2.0]
    assert found.traces["angle_deg"].tolist() == pytest.approx([angle[2] + 0.5])


def test_every_line_knows_how_well_each_plane_explains_it():
    """The likelihood is that of `match_traces` for all planes; probabilities add up to 1."""
    geometry, angles = slip_traces([TURNED, TURNED], FCC), [20.0, 70.0, 121.0]
    found = slip_labels(
        parents(TURNED, TURNED), lines(grain_id=[2, 1, 2], angle_deg=angles), FCC, tolerance_deg=60.0
    )
    assert found.traces["grain_id"].tolist() == [1, 2, 2] and found.traces["trace_id"].tolist() == [1, 2, 3]
    expected = match_traces(
        found.traces["angle_deg"],
        geometry.angle_deg[0],
        geometry.inclination_deg[0],
        sigma_deg=2.0,
        floor=0.0,
    )
    np.testing.assert_allclose(found.candidates["likelihood"], expected.ravel(), rtol=1e-12)
    assert found.candidates.groupby("trace_id")["probability"].sum().tolist() == pytest.approx([1, 1, 1])


def test_joined_labels_keep_their_lines_apart():
    """Lines are numbered anew from 1, with their candidates; nothing joined is three empty tables."""
    one = slip_labels(parents(TURNED), lines(grain_id=[1, 1], angle_deg=[10.0, 50.0]), FCC)
    both = Labels.joined(one, one)
    assert both.traces["trace_id"].tolist() == [1, 2, 3, 4] and len(both.labels) == 8
    assert both.candidates["trace_id"].tolist() == np.repeat([1, 2, 3, 4], 4).tolist()
    for name in ("labels", "traces", "candidates"):
        empty, full = getattr(Labels.joined(), name), getattr(both, name)
        assert empty.empty and (empty.dtypes == full.dtypes).all()


def test_a_shared_trace_is_missing_for_both_planes():
    """In a cube-oriented crystal planes share their traces in pairs: the line marks neither, the
    others are 0.
    """
    found = slip_labels(parents([1, 0, 0, 0]), lines(grain_id=[1], angle_deg=[45.0]), FCC)
    assert sorted(found.labels["observed"].fillna(-1)) == [-1, -1, 0, 0]
    assert sorted(found.candidates["probability"]) == pytest.approx([0, 0, 0.5, 0.5])


def test_a_later_clear_line_decides():
    """A plane that is ambiguous on one line and alone on another is seen."""
    turn = axis_angle_to_quaternion([0, 1, 0], np.radians(4))
    angle = slip_traces([turn], FCC).angle_deg[0]
    both = [float(a) for a in (angle[0], angle[1])]
    found = slip_labels(
        parents(turn),
        lines(grain_id=[1, 1], angle_deg=both, sigma_deg=[0.3, np.nan]),
        FCC,
        tolerance_deg=30.0,
    )
    assert found.traces["sigma_deg"].tolist() == [0.3, 2.0]
    assert found.labels["observed"].fillna(-1).tolist() == [1, -1, -1, -1]


def test_grains_without_an_image_are_missing():
    """No line in the table: every plane NaN. A line with an empty angle: every visible plane 0."""
    labels = slip_labels(parents(TURNED, TURNED), lines(grain_id=[2], angle_deg=[np.nan]), FCC).labels
    observed = labels.groupby("grain_id")["observed"]
    assert observed.apply(lambda v: v.isna().all()).tolist() == [True, False]
    assert labels.loc[labels["grain_id"] == 2, "observed"].tolist() == [0, 0, 0, 0]


def test_flat_planes_are_never_negative():
    """The basal plane in the surface draws no line: missing, while the prism planes are 0 or 1."""
    found = slip_labels(parents([1, 0, 0, 0]), lines(grain_id=[1], angle_deg=[0.0]), HCP)
    state = found.labels.set_index("target")["observed"]
    assert np.isnan(state["basal (0001)"])
    assert sorted(state.drop("basal (0001)")) == [0, 0, 1]


def test_an_unexplained_line_has_no_candidate():
    """A line far from every trace stays as a line, with all probabilities zero, and marks nothing."""
    found = slip_labels(parents([1, 0, 0, 0]), lines(grain_id=[1], angle_deg=[0.0]), FCC)
    assert found.traces["trace_id"].tolist() == [1]
    assert found.candidates["probability"].tolist() == found.labels["observed"].tolist() == [0, 0, 0, 0]


def test_phases_have_their_own_systems():
    """A mapping gives each phase its planes; a phase without systems gives no rows."""
    table = parents(TURNED, TURNED)
    table["phase"] = [1, 2]
    labels = slip_labels(table, lines(grain_id=[1], angle_deg=[10.0]), {2: HCP}).labels
    assert set(labels["grain_id"]) == {2} and len(labels) == 4


def test_dic_bands_become_labels():
    """A grain without bands was looked at: zeros."""
    angle = slip_traces([TURNED], FCC).angle_deg[0]
    bands = pd.DataFrame(
        {"grain_id": [1, 2], "rank": [1, 0], "angle_deg": [angle[0], np.nan], "score": [0.2, np.nan]}
    )
    labels = slip_labels(parents(TURNED, TURNED), bands, FCC, source="dic").labels
    assert set(labels["source"]) == {"dic"}
    assert labels.groupby("grain_id")["observed"].sum().tolist() == [1, 0]


def test_traces_file(tmp_path, make_map):
    """Positions become grains; an empty angle stays empty; further columns do not matter."""
    path = tmp_path / "traces.csv"
    path.write_text("x_um,y_um,angle_deg,note\n0.1,0.4,30,sharp\n1.5,0,,none\n90,0,20,outside\n")
    traces = read_traces(path)
    m = make_map(np.repeat([[1, 1, 2, 2]], 3, axis=0), np.eye(4)[:2])
    found = traces_to_grains(traces, m, np.repeat([[1, 1, 2, 2]], 3, axis=0).ravel())
    assert found["grain_id"].tolist() == [1, 2, 0]
    assert np.isnan(found["angle_deg"][1]) and list(traces.columns) == ["x_um", "y_um", "angle_deg"]


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "line 1"),
        ("x_um,y_um\n1,2\n", "line 1.*angle_deg"),
        ("x_um,y_um,angle_deg\n1,2,3\n1,b,3\n", "line 3.*y_um"),
        ("x_um,y_um,angle_deg\n1,,3\n", "line 2.*y_um"),
        ("x_um,y_um,angle_deg\n1,2,inf\n", "line 2.*inf"),
        ("x_um,y_um,angle_deg,sigma_deg\n1,2,3,-1\n", "line 2.*sigma_deg"),
    ],
)
def test_damaged_traces_file(tmp_path, text, told):
    """A missing column or a field that is no number names file and line."""
    path = tmp_path / "traces.csv"
    path.write_text(text)
    with pytest.raises(MapFileError, match=f"traces.csv.*{told}"):
        read_traces(path)


def test_impossible_parameters():
    """A tolerance of zero admits nothing and is refused."""
    with pytest.raises(ParameterError):
        slip_labels(parents(TURNED), lines(grain_id=[1], angle_deg=[0.0]), FCC, tolerance_deg=0.0)


def test_a_line_names_its_plane_as_often_as_it_says():
    """Lines drawn for every plane of 40 crystals with an error of 2 deg are labelled one by one: shares that
    name their plane over 200 of them (standard error below .036), and 0 for planes that are too flat.
    """
    rng = np.random.default_rng(0)
    quaternions = rng.normal(size=(40, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    chance, geometry = naming_probability(quaternions, HCP), slip_traces(quaternions, HCP)
    for plane in range(chance.shape[1]):
        angle = geometry.angle_deg[:, plane, None] + 2.0 * rng.standard_normal((40, 200))
        many = parents(*np.repeat(quaternions, 200, axis=0))
        drawn = lines(grain_id=many["grain_id"], angle_deg=angle.ravel())
        labels = slip_labels(many, drawn, HCP).labels
        own = labels[labels["target"] == HCP.plane_names[plane]]
        share = (own["observed"] == 1).to_numpy().reshape(40, 200).mean(1)
        assert np.abs(share - chance[:, plane]).max() < 4 * 0.036
        assert (chance[geometry.inclination_deg[:, plane] < 12, plane] == 0).all()


def test_labels_that_are_scored_are_as_frequent_as_lines():
    """Every plane of 1500 ferrite crystals leaves its line with probability .2, seen with an error of 2 deg.
    Of all labels far fewer are 1, since a plane beside another is labelled where it left none; of the scored
    ones as many as left a line, within three standard errors.
    """
    rng, ferrite = np.random.default_rng(1), load_material("ferrite").systems()
    quaternions = rng.normal(size=(1500, 4))
    grains = parents(*(quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)))
    geometry = slip_traces(grains[["qw", "qx", "qy", "qz"]].to_numpy(), ferrite)
    steep = geometry.inclination_deg >= 12
    grain, plane = np.nonzero((rng.random(steep.shape) < 0.2) & steep)
    angle = geometry.angle_deg[grain, plane] + 2.0 * rng.standard_normal(len(grain))
    drawn = lines(grain_id=grains["grain_id"].to_numpy()[grain], angle_deg=angle)
    looked_at = lines(grain_id=grains["grain_id"], angle_deg=np.nan)
    told = slip_labels(grains, pd.concat([drawn, looked_at]), ferrite)
    scored = scored_labels(told.labels, told.traces, grains, ferrite)["observed"].dropna()
    assert told.labels["observed"].mean() < 0.05
    assert scored.mean() == pytest.approx(0.2, abs=3 * np.sqrt(0.16 / len(scored)) + 0.01)
    assert 500 < len(scored) < told.labels["observed"].notna().sum() / 4
    alone = scored_labels(told.labels, told.traces.iloc[:0], grains, ferrite)
    pd.testing.assert_frame_equal(alone, told.labels)  # nobody drew lines


def test_other_rows_are_scored_as_they_are():
    """Variants, systems and planes of other grains stay; phases are told apart as everywhere."""
    grains = parents(TURNED, TURNED)
    told = slip_labels(grains, lines(grain_id=[1, 2], angle_deg=[10.0, np.nan]), {1: HCP})
    other = told.labels.head(2).assign(mechanism="twin", level="variant", observed=1.0)
    foreign = told.labels.head(1).assign(grain_id=99, observed=0.0)
    rows = pd.concat([told.labels, other, foreign], ignore_index=True)
    scored = scored_labels(rows, told.traces, grains, {1: HCP})
    assert scored["observed"].tail(3).tolist() == [1.0, 1.0, 0.0]
    chance = naming_probability([TURNED, TURNED], HCP)
    assert (scored["observed"].head(chance.size).notna().to_numpy() <= (chance.ravel() >= 0.9)).all()
