"""The frame that was declared wrong is found by lines and twins, and nothing is claimed without them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cpml.crystallography import load_material
from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply, random_quaternions
from cpml.crystallography.slip_traces import slip_traces
from cpml.microscopy import MapPhase, rank_frames, segment
from cpml.microscopy.maps.frames import PRESETS, frame_rotation
from support.maps import nearest_seeds, square_map

NICKEL = load_material("nickel").systems()
MAGNESIUM = load_material("magnesium").systems()


def specimen(systems, phase, n=40, seed=0, scatter_deg=1.5):
    """A map of n grains in its true frame, and one line a grain on a plane of the first slip family."""
    rng = np.random.default_rng(seed)
    q = random_quaternions(n, rng)
    fragments = segment(square_map(nearest_seeds(60, 60, n), q, phase=phase), min_pixels=1)
    family = systems.plane_id[systems.slip & (systems.family == systems.family[0])]
    planes = rng.choice(np.unique(family), fragments.n_grains)
    angle = slip_traces(fragments.mean_quaternions, systems).angle_deg[np.arange(fragments.n_grains), planes]
    lines = pd.DataFrame(
        {
            "grain_id": np.arange(1, fragments.n_grains + 1),
            "angle_deg": angle + rng.normal(0, scatter_deg, len(angle)),
        }
    )
    return fragments, lines


def turned(fragments, turn):
    """The same map as a wrong declaration would read it: every crystal turned back."""
    back = np.asarray(turn) * [1, -1, -1, -1]
    return replace(
        fragments,
        map=replace(fragments.map, quaternions=quaternion_multiply(back, fragments.map.quaternions)),
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_found_again(preset):
    """A map read without the turn that it needs: the best choice is that turn, the one of the map is out."""
    fragments, lines = specimen(NICKEL, MapPhase("Ni", "432", "fcc"))
    turn = frame_rotation(preset)
    found = rank_frames(turned(fragments, turn), lines, {1: NICKEL})
    names = found.best["frames"].split(" or ")
    assert any(abs(np.dot(frame_rotation(name), turn)) > 1 - 1e-9 for name in names)
    is_same = preset in ("identity", "z180")
    assert found.verdict == ("supported" if is_same else "contradicted")
    assert found.best["explained"] >= 0.9 * found.n["traces"]


def test_choices_are_named_by_what_the_file_needs():
    """A map that was turned by x180, wrongly: it needs no turn at all."""
    fragments, lines = specimen(NICKEL, MapPhase("Ni", "432", "fcc"))
    wrong = frame_rotation("x180")
    found = rank_frames(turned(fragments, wrong), lines, {1: NICKEL}, turn=wrong)
    assert found.best["frames"] == "identity or z180" and found.verdict == "contradicted"
    assert found.table.loc[found.table["as_read"], "frames"].iloc[0] == "x180 or y180"


@pytest.mark.parametrize("is_wrong", [False, True])
def test_the_hexagonal_axis_is_found(is_wrong):
    """Basal traces do not know the axis, prismatic ones do: lines of the second family of magnesium."""
    prismatic = MAGNESIUM.subset(MAGNESIUM.slip & (MAGNESIUM.family == 1))
    phase = MapPhase("Mg", "622", "hcp", 3.21, 3.21, 5.21, 90, 90, 120)
    fragments, lines = specimen(prismatic, phase)
    if is_wrong:
        axis = axis_angle_to_quaternion([0, 0, 1.0], np.pi / 6)
        fragments = replace(
            fragments,
            map=replace(fragments.map, quaternions=quaternion_multiply(fragments.map.quaternions, axis)),
        )
    found = rank_frames(fragments, lines, {1: prismatic})
    assert found.best["hexagonal_axis"] == ("turned by 30 deg" if is_wrong else "as read")
    assert found.verdict == ("contradicted" if is_wrong else "supported")
    assert len(found.table) == 8


def test_without_footprints_nothing_is_told():
    """No line, lines in no grain, and lines at random: undecided."""
    fragments, lines = specimen(NICKEL, MapPhase("Ni", "432", "fcc"))
    assert rank_frames(fragments, lines.iloc[:0], {1: NICKEL}).verdict == "undecided"
    assert rank_frames(fragments, lines.assign(grain_id=10_000), {1: NICKEL}).verdict == "undecided"
    verdicts = []
    for seed in range(20):
        angle = np.random.default_rng(seed).uniform(0, 180, len(lines))
        verdicts.append(rank_frames(fragments, lines.assign(angle_deg=angle), {1: NICKEL}).verdict)
    # a level of 1 % for all choices: two of twenty would be a chance of 2 %
    assert verdicts.count("undecided") >= 19


def test_few_lines_tell_nothing():
    """Three lines cannot rule out a frame at the level of 1 %."""
    fragments, lines = specimen(NICKEL, MapPhase("Ni", "432", "fcc"))
    found = rank_frames(fragments, lines.iloc[:3], {1: NICKEL})
    assert found.verdict == "undecided" and (found.table["p_value"] > 0.01).all()
