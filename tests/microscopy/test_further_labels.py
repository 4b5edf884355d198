"""System labels, cross slip, user labels, visibility: seen 1, looked for 0, never a guess where nothing
could be seen.
"""

import numpy as np
import pandas as pd
import pytest

from cpml.crystallography import cross_slip_pairs
from cpml.crystallography.rotations import axis_angle_to_quaternion
from cpml.crystallography.slip_systems import systems
from cpml.errors import MapFileError, ParameterError
from cpml.microscopy import (
    cross_slip_labels,
    line_pieces,
    read_labels,
    slip_traces,
    system_labels,
    unobserved_labels,
    visibility,
)
from cpml.microscopy.dic.displacement_ratio import band_displacements, direction_angles
from cpml.microscopy.labels.rows import LABELS
from support.phases import FCC

HCP = systems("hcp", families=["basal", "prismatic", "pyramidal1_a", "twin_1012"], c_over_a=1.6236)
TURNED = axis_angle_to_quaternion(
    [2, 1, 5], 0.9
)  # {111} traces 21 deg apart or more, directions of a plane 23


def parents(*quaternions, phase=1):
    q = np.array(quaternions, float)
    return pd.DataFrame(
        {
            "grain_id": np.arange(1, len(q) + 1),
            "phase": phase,
            **dict(zip(("qw", "qx", "qy", "qz"), q.T, strict=True)),
        }
    )


def band(system, **change):
    """Band of a known system in the turned crystal, grain 1."""
    theta = slip_traces([TURNED], FCC).angle_deg[0, FCC.plane_id[system]]
    psi = direction_angles(TURNED, FCC)[0][0, system]
    return pd.DataFrame(
        {"grain_id": [1], "angle_deg": [theta], "psi_deg": [psi], "psi_sigma_deg": [1.0]} | change
    )


@pytest.mark.parametrize("system", range(12))
def test_plane_and_direction_give_the_system(system):
    """The band's system is its best candidate; without psi the three of its plane share the probability."""
    with_psi = system_labels(band(system), parents(TURNED), FCC)
    assert with_psi.traces["level"].tolist() == ["system"]
    assert with_psi.candidates["probability"].argmax() == system
    without = system_labels(band(system, psi_deg=[np.nan]), parents(TURNED), FCC)
    of_plane = FCC.plane_id == FCC.plane_id[system]
    assert without.candidates["probability"].tolist() == pytest.approx(of_plane / 3, abs=0.02)
    assert without.labels["observed"].sum() == 0  # none of the three is certain


def test_systems_of_other_planes_are_negative_and_unexamined_grains_missing():
    """A certain system is 1, visible systems of other planes 0; a grain without a row
    is missing throughout.
    """
    labels = system_labels(band(4), parents(TURNED, TURNED), FCC).labels
    rows = labels.set_index(["grain_id", "target"])["observed"]
    others = [n for s, n in enumerate(FCC.names) if FCC.plane_id[s] != FCC.plane_id[4]]
    assert rows.loc[1].loc[others].isin([0]).sum() >= 6 and not rows.loc[1].loc[others].isin([1]).any()
    assert rows.loc[2].isna().all()


def test_weights_move_candidates():
    """A prior of ten on one of three systems of a plane makes it the best candidate."""
    prior = pd.Series([10.0], index=pd.MultiIndex.from_tuples([(1, FCC.names[5])]))
    found = system_labels(band(4, psi_deg=[np.nan]), parents(TURNED), FCC, weights=prior)
    assert found.candidates["probability"].argmax() == 5


def test_an_unexplained_band_makes_no_negatives():
    """A band off every plane has no candidates and leaves every system missing."""
    theta = slip_traces([TURNED], FCC).angle_deg[0]
    free = max(np.arange(180), key=lambda a: np.min(np.abs((a - theta + 90) % 180 - 90)))
    found = system_labels(band(0, angle_deg=[float(free)]), parents(TURNED), FCC)
    assert not found.candidates["probability"].any() and found.labels["observed"].isna().all()


def test_missing_columns_are_named():
    """Bands without displacement directions."""
    with pytest.raises(ParameterError, match="psi_deg"):
        system_labels(pd.DataFrame({"grain_id": [1], "angle_deg": [2.0]}), parents(TURNED), FCC)


def test_pairs_that_share_a_direction():
    """fcc: 6 directions lie in 2 planes each; hcp: <a> in basal, one prismatic, two pyramidal: 3
    x 6 pairs.
    """
    pairs = cross_slip_pairs(FCC)
    assert len(pairs) == 6
    for pair in pairs.itertuples():
        b = FCC.direction[pair.system_a]
        assert (
            abs(b @ FCC.plane_normals[pair.plane_a]) < 1e-12
            and abs(b @ FCC.plane_normals[pair.plane_b]) < 1e-12
        )
    assert len(cross_slip_pairs(HCP)) == 18


def test_pieces_of_a_drawn_line():
    """A zigzag of two directions comes apart at its corners; a straight line of many points is one piece."""
    found = line_pieces([(0, 0), (5, 0), (10, 0), (15, 5), (20, 10), (30, 10)], tolerance=0.5)
    np.testing.assert_allclose(found["angle_deg"], [0, 135, 0])
    assert found["sigma_deg"][0] == pytest.approx(np.degrees(np.sqrt(2) * 0.05))
    assert len(line_pieces(np.stack([np.arange(9.0), 2 * np.arange(9.0)], axis=1), tolerance=0.1)) == 1


def zigzag(pair, n=4, length=5.0, **change):
    """Pieces that alternate between the planes of a pair."""
    angle = slip_traces([TURNED], FCC).angle_deg[0]
    planes = [pair.plane_a if k % 2 == 0 else pair.plane_b for k in range(n)]
    return pd.DataFrame(
        {
            "grain_id": 1,
            "line_id": 1,
            "piece": np.arange(n),
            "angle_deg": angle[planes],
            "sigma_deg": 1.0,
            "length_um": length,
        }
        | change
    )


@pytest.mark.parametrize("k", range(6))
def test_alternating_line_is_cross_slip(k):
    """The pair whose planes alternate is 1, no other is."""
    pair = cross_slip_pairs(FCC).iloc[k]
    labels = cross_slip_labels(parents(TURNED), zigzag(pair), FCC)
    assert labels.loc[labels["observed"] == 1, "target"].tolist() == [pair["target"]]
    assert set(labels["mechanism"]) == {"cross_slip"} and set(labels["level"]) == {"pair"}


def test_straight_lines_on_both_planes_are_negative():
    """Resolved lines on both planes, none of which changes: 0 for that pair; planes
    without lines: missing.
    """
    pair = cross_slip_pairs(FCC).iloc[0]
    labels = cross_slip_labels(parents(TURNED), zigzag(pair, 2, line_id=[1, 2]), FCC).set_index("target")[
        "observed"
    ]
    assert labels[pair["target"]] == 0 and labels.drop(pair["target"]).isna().all()


def test_cross_slip_is_missing_where_it_cannot_be_seen():
    """Not imaged; imaged without lines; pieces below six pixels; wavy but unresolved; a flat plane."""
    pair = cross_slip_pairs(FCC).iloc[0]
    none = zigzag(pair, 1, angle_deg=np.nan)
    wavy = zigzag(pair, 2, line_id=[1, 2], wavy=True)
    assert cross_slip_labels(parents(TURNED, TURNED), none, FCC)["observed"].isna().all()
    assert (
        cross_slip_labels(parents(TURNED), zigzag(pair, length=0.5), FCC, pixel_um=0.1)["observed"]
        .isna()
        .all()
    )
    assert (
        cross_slip_labels(parents(TURNED), zigzag(pair, length=0.7), FCC, pixel_um=0.1)["observed"] == 1
    ).any()
    assert cross_slip_labels(parents(TURNED), wavy, FCC)["observed"].isna().all()
    with pytest.raises(ParameterError, match="length_um"):
        cross_slip_labels(parents(TURNED), zigzag(pair).drop(columns="length_um"), FCC, pixel_um=0.1)


def test_visibility_of_the_basal_plane():
    """c along z: the basal plane is flat and makes no step, its shear is out of the plane of the
    image as well.
    """
    table = visibility(parents([1, 0, 0, 0]), HCP, noise=0.005).set_index("name")
    basal = table[table["plane"].str.startswith("basal")]
    assert not basal["visible_trace"].any() and not basal["visible_dic"].any()
    prism = table[table["plane"].str.startswith("prismatic")]
    assert prism["visible_dic"].all() and not prism["visible_trace"].any()  # in-plane slip makes no step
    np.testing.assert_allclose(prism["least_shear"], 0.015)


def write(tmp_path, text):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return path


HEAD = "grain_id,mechanism,target,observed,weight,source\n"


def test_user_labels(tmp_path):
    """Each mechanism with its target; empty observed is missing, empty weight 1; rows tell what they are."""
    twin, pair = HCP.names[int(np.flatnonzero(HCP.twin)[0])], cross_slip_pairs(HCP)["target"][0]
    text = (
        HEAD
        + f"1,slip,basal (0001),1,,TEM\n2,twin,{twin},0,0.5,\n1,climb,,1,,\n2,climb,,,,\n"
        + f"1,cross_slip,{pair},1,0.2,\n1,slip,{HCP.names[0]},0,,\n"
    )
    found = read_labels(write(tmp_path, text), parents(TURNED, TURNED), HCP)
    assert found["level"].tolist() == ["plane", "variant", "grain", "grain", "pair", "system"]
    assert found["observed"].fillna(-1).tolist() == [1, 0, 1, -1, 1, 0] and list(found.columns) == list(
        LABELS
    )
    assert found["weight"].tolist() == [1, 0.5, 1, 1, 0.2, 1] and found["source"].tolist()[:2] == [
        "TEM",
        "user",
    ]


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "line 1.*grain_id"),
        ("grain_id,mechanism,target\n", "line 1.*observed"),
        (HEAD.replace("weight", "wieght"), "line 1.*wieght"),
        (HEAD + "7,slip,basal (0001),1,,\n", "line 2.*grain 7"),
        (HEAD + "1,slipp,basal (0001),1,,\n", "line 2.*did you mean 'slip'"),
        (HEAD + "1,slip,basal (001),1,,\n", r"line 2.*did you mean 'basal \(0001\)'"),
        (HEAD + "1,slip,basal (0001),2,,\n", "line 2.*observed = '2'"),
        (HEAD + "1,slip,basal (0001),yes,,\n", "line 2.*observed = 'yes'"),
        (HEAD + "1,slip,basal (0001),1,-1,\n", "line 2.*from 0 .a guess. to 1"),
        (HEAD + "1,slip,basal (0001),1,2,\n", "line 2.*weight = '2'"),
        (
            HEAD + "1,slip,basal (0001),1,,\n1,slip,basal (0001),0,,\n",
            "line 3.*observed 0, but 1 in .*line 2.*keep one",
        ),
        (HEAD + "1,slip,basal (0001),1,1,A\n1,slip,basal (0001),1,0.5,A\n", "line 3.*weight 0.5, but 1 in"),
        (HEAD + "1,twin,slip,1,,\n", "line 2.*no target of twin"),
        (HEAD + "1,slip\n", "line 2.*fields"),
        (HEAD + "1,climb,basal (0001),1,,\n", "line 2.*no target of climb"),
    ],
)
def test_damaged_user_labels(tmp_path, text, told):
    """One error that names file, line and what to write."""
    with pytest.raises(MapFileError, match=f"labels.csv.*{told}"):
        read_labels(write(tmp_path, text), parents(TURNED), HCP)


def test_user_labels_of_families_and_of_two_people(tmp_path):
    """A family and the mechanism itself are targets; two sources are two rows, a row said twice is one."""
    lines = "1,slip,basal,1,,A\n1,slip,slip,1,,A\n1,twin,twin,0,,A\n1,slip,basal,0,,B\n1,slip,basal,1,,A\n"
    found = read_labels(write(tmp_path, HEAD + lines), parents(TURNED), HCP)
    assert found["level"].tolist() == ["family", "any", "any", "family"]
    assert found["source"].tolist() == ["A", "A", "A", "B"] and found["observed"].tolist() == [1, 1, 0, 0]


def test_climb_is_unobserved():
    """One missing row for each grain."""
    found = unobserved_labels(parents(TURNED, TURNED))
    assert found["observed"].isna().all() and found["mechanism"].tolist() == ["climb"] * 2
    with pytest.raises(ParameterError):
        unobserved_labels(parents(TURNED), "creep")


def test_published_systems(nickel):
    """Ni field: the direction narrows the candidates from three systems of a plane to 1.5 to
    2.5 on average.
    """
    grains, dic = nickel
    bands = band_displacements(dic.field, dic.label, dic.bands)
    table = grains.table.rename(columns={"fragment_id": "grain_id"})
    found = system_labels(bands, table, FCC)
    share = found.candidates["probability"].to_numpy().reshape(-1, 12)
    share = share[share.any(axis=1)]
    effective = np.median(np.exp(-np.sum(share * np.log(np.maximum(share, 1e-12)), axis=1)))
    assert len(share) > 50 and 1.0 < effective < 2.5
    assert len(found.labels) == 12 * len(table)
