"""What is counted phase by phase and grain by grain, and how much of the boundaries is twin boundary."""

import numpy as np
import pandas as pd
import pytest

from cpml.crystallography import (
    axis_angle_to_quaternion,
    disorientation_angle,
    euler_to_quaternion,
    proper_group,
    quaternion_multiply,
    random_quaternions,
    systems,
)
from cpml.crystallography.twinning import twin_crystal_to_sample
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.microscopy import (
    MapPhase,
    boundary_details,
    boundary_transfer,
    c_axis_angle,
    find_twins,
    grain_sheet,
    kam,
    noise_estimate,
    phase_boundaries,
    phase_odf,
    phases_present,
    segment,
    triple_junctions,
    twin_boundary_share,
)
from support.maps import MAGNESIUM, NICKEL, about_z
from support.phases import FCC, MG as HCP

ORE = MapPhase("Ore", "222", None, 4.75, 10.2, 5.98)
SIGMA3 = axis_angle_to_quaternion([1, 1, 1], np.pi / 3)


def stripes(*widths, rows=12):
    """Upright stripes of grains 1, 2, 3 ... of given widths in points."""
    return np.repeat([np.repeat(np.arange(1, len(widths) + 1), widths)], rows, axis=0)


def test_phases_present_leaves_out_candidates(make_map):
    """Three of four phases have points; two of one name get their numbers, a single one no suffix."""
    both = {1: NICKEL, 2: MAGNESIUM, 5: MapPhase("Nickel", "432", "fcc", 3.6), 7: ORE}
    m = make_map(stripes(5, 10, 5), about_z(0, 20, 40), phases=both, phase_of_grain=[1, 5, 7])
    found = phases_present(m)
    assert [p.number for p in found] == [1, 5, 7]
    assert [p.label for p in found] == ["Nickel (1)", "Nickel (5)", "Ore"]
    assert [p.suffix for p in found] == ["_nickel_1", "_nickel_5", "_ore"]
    assert [p.share for p in found] == pytest.approx([0.25, 0.5, 0.25])
    assert found[1].here(m).sum() == 120 and found[2].cell == (4.75, 10.2, 5.98, 90, 90, 90)
    lone = phases_present(m, m.phase_id == 7)
    assert [(p.number, p.suffix, p.title) for p in lone] == [(7, "", "")]


def test_boundaries_between_phases(make_map):
    """Ni | Mg | Ni | ore: two upright walls between nickel and magnesium, one between nickel and ore."""
    m = make_map(
        stripes(5, 5, 5, 5),
        about_z(0, 20, 40, 60),
        phases={1: NICKEL, 2: MAGNESIUM, 3: ORE},
        phase_of_grain=[1, 2, 1, 3],
    )
    table = phase_boundaries(segment(m))
    assert table[["phase_a", "phase_b", "number"]].to_numpy().tolist() == [[1, 2, 2], [1, 3, 1]]
    assert table["length_um"].tolist() == pytest.approx([12, 6])
    assert table["share"].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert len(phase_boundaries(segment(make_map(stripes(5, 5), about_z(0, 20))))) == 0


def test_twin_share_of_the_boundary_length(make_map):
    """Upright walls of one length: one of three is Sigma3, one of low angle; shares 1/3 and 1/2."""
    q = np.array([[1.0, 0, 0, 0], SIGMA3, quaternion_multiply(SIGMA3, about_z(10)[0]), about_z(30)[0]])
    share = twin_boundary_share(find_twins(segment(make_map(stripes(5, 5, 5, 5), q))))
    assert share[["phase", "kind", "number"]].to_numpy().tolist() == [[1, "CSL 3", 1]]
    assert share["share"][0] == pytest.approx(1 / 3) and share["share_of_high_angle"][0] == pytest.approx(
        1 / 2
    )
    assert share["length_um"][0] == share["staircase_um"][0] == pytest.approx(6)


def test_twin_share_counts_inside_its_phase(make_map):
    """Magnesium with a {10-12} twin between nickel grains: the share is of magnesium's own walls."""
    parent = random_quaternions(1, np.random.default_rng(3))[0]
    hcp = systems("hcp", families=("twin_1012",), c_over_a=MAGNESIUM.c_over_a)
    twin = twin_crystal_to_sample(parent, hcp.plane[0])
    q = np.array([about_z(0)[0], parent, twin.reshape(4), about_z(30)[0]])
    m = make_map(stripes(5, 6, 3, 5), q, phases={1: NICKEL, 2: MAGNESIUM}, phase_of_grain=[1, 2, 2, 1])
    share = twin_boundary_share(find_twins(segment(m)))
    assert share[["phase_name", "kind"]].to_numpy().tolist() == [["Magnesium", "twin_1012"]]
    assert share["share"][0] == share["share_of_high_angle"][0] == pytest.approx(1)


@pytest.mark.parametrize(
    "turn, axis, expected",
    [
        ((0, 0, 1), (0, 0, 1), 0.0),
        ((0, 1, 0), (1, 0, 0), 60.0),
        ((0, 1, 0), (-1, 0, 0), 60.0),
        ((1, 0, 0), (1, 0, 0), 90.0),
    ],
)
def test_angle_of_the_c_axis(turn, axis, expected):
    """c turned by 30 deg about y lies 60 deg from x, whichever way x points; about itself it stays."""
    q = axis_angle_to_quaternion(turn, np.radians(30))
    assert c_axis_angle(q, axis) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ParameterError, match="axis"):
        c_axis_angle(q, (0, 0, 0))


def test_grain_sheet_for_people(make_map):
    """A cube of nickel, a magnesium grain and an ore grain in tension along x: known factors and angles."""
    q = np.array([[1.0, 0, 0, 0], axis_angle_to_quaternion([0, 1, 0], np.radians(30)), about_z(45)[0]])
    phases = {1: NICKEL, 2: MAGNESIUM, 3: ORE}
    twins = find_twins(segment(make_map(stripes(4, 6, 10), q, phases=phases, phase_of_grain=[1, 2, 3])))
    load = Load.from_dict({"kind": "tension", "axis": "x"})
    sheet = grain_sheet(
        twins.grains,
        twins.grain_boundaries,
        phases,
        axis=load.main_axis,
        stress=load.stress,
        systems={1: FCC, 2: HCP},
    )
    assert sheet["phase"].tolist() == ["Nickel", "Magnesium", "Ore"]
    assert sheet["n_neighbours"].tolist() == [1, 2, 1] and sheet["on_edge"].all()
    assert sheet["n_pixels"].tolist() == [48, 72, 120]
    assert sheet["area_um2"].tolist() == pytest.approx([12, 18, 30])
    assert sheet["max_schmid_octahedral"][0] == pytest.approx(1 / np.sqrt(6))  # [100] of fcc
    assert sheet["max_schmid_octahedral"].isna().tolist() == [False, True, True]
    assert sheet["c_axis_to_load_deg"].isna().tolist() == [True, False, True]
    assert sheet["c_axis_to_load_deg"][1] == pytest.approx(60)
    basal = np.cos(np.radians(60)) * np.sin(np.radians(60))  # <a> of the plane's best direction along x
    assert sheet["max_schmid_basal"][1] == pytest.approx(basal, rel=1e-6)
    back = euler_to_quaternion(np.radians(sheet[["phi1_deg", "Phi_deg", "phi2_deg"]]))
    for i, phase in phases.items():
        row = i - 1
        assert disorientation_angle(back[row], q[row], proper_group(phase.group)) < 1e-6
    plain = grain_sheet(twins.grains, twins.grain_boundaries, phases, systems={1: FCC})
    assert not [name for name in plain if name.startswith("max_schmid") or "load" in name]
    assert list(plain) == [name for name in sheet if name in plain]


def test_schmid_factors_of_twins_are_signed(make_map):
    """Magnesium with c along x: tension twins by {10-12}, compression cannot; slip counts either way."""
    q = axis_angle_to_quaternion([0, 1, 0], np.pi / 2)[None]
    twins = find_twins(segment(make_map(stripes(8), q, phase=MAGNESIUM)))
    found = [
        grain_sheet(
            twins.grains,
            twins.grain_boundaries,
            {1: MAGNESIUM},
            stress=sign * np.diag([1.0, 0, 0]),
            systems={1: HCP},
        )
        for sign in (1, -1)
    ]
    tension, pressed = (f["max_schmid_twin_1012"][0] for f in found)
    assert tension == pytest.approx(0.499, abs=0.002) and pressed < 0
    assert found[0]["max_schmid_pyramidal2_ca"][0] == pytest.approx(found[1]["max_schmid_pyramidal2_ca"][0])


def test_odf_of_each_phase(make_map, voronoi):
    """Nickel all in one orientation, magnesium at random: sharp and flat; a lone grain has 10 deg."""
    q = random_quaternions(40, np.random.default_rng(1))
    q[::2] = q[0]
    turn = axis_angle_to_quaternion(np.random.default_rng(2).standard_normal((40, 3)), np.radians(6))
    m = make_map(
        voronoi(60, 60, 40),
        quaternion_multiply(turn, q),
        phases={1: NICKEL, 2: MAGNESIUM},
        phase_of_grain=[1, 2] * 20,
    )
    twins = find_twins(segment(m))
    sharp, flat = phase_odf(twins, 1), phase_odf(twins, 2)
    assert sharp.group == "432" and flat.group == "622"
    assert sharp.texture_index > 3 * flat.texture_index
    assert sharp.weights.sum() == pytest.approx(1) and sharp.halfwidth_deg < flat.halfwidth_deg
    lone = phase_odf(find_twins(segment(make_map(stripes(8), about_z(0)))), 1)
    assert lone.halfwidth_deg == 10 and lone.scores == {}
    with pytest.raises(ParameterError, match="phase 3"):
        phase_odf(twins, 3)


@pytest.mark.parametrize("phase, found", [(NICKEL, FCC), (MAGNESIUM, HCP)], ids=["fcc", "hcp"])
@pytest.mark.parametrize(
    "shape, n", [((1, 1), 1), ((2, 2), 1), ((2, 2), 4), ((1, 9), 3), ((9, 1), 3), ((6, 6), 1)]
)
def test_small_maps_have_all_their_tables(make_map, phase, found, shape, n):
    """Points, lines and single grains: every table is there with its columns, nothing is divided by zero."""
    label = np.repeat(np.arange(1, n + 1), shape[0] * shape[1] // n).reshape(shape)
    q = random_quaternions(n, np.random.default_rng(4))
    grains = segment(make_map(label, q, phase=phase, noise_deg=0.1))
    twins = find_twins(grains)
    details = boundary_details(grains, twins=twins)
    assert len(details) == len(grains.boundaries) and len(triple_junctions(grains)) >= 0
    assert len(twin_boundary_share(twins)) in (0, 1)
    assert np.isnan(noise_estimate(grains).deg) == (label.size < 36)  # ten rows of three tell something
    assert np.isnan(kam(grains)).all() == (n == label.size)
    stress = np.diag([1.0, 0, 0])
    across = boundary_transfer(
        grains.boundaries, grains.mean_quaternions, {1: found}, phase=grains.phase, stress=stress
    )
    assert len(across) == len(grains.boundaries) and {"m_prime", "delta_schmid", "system_a"} <= set(across)
    sheet = grain_sheet(
        twins.grains,
        twins.grain_boundaries,
        grains.map.phases,
        axis=(1, 0, 0),
        stress=stress,
        systems={1: found},
    )
    assert len(sheet) == len(twins.grains) and isinstance(sheet, pd.DataFrame)
