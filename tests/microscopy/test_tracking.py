"""Grains followed between two maps of a polycrystal whose motion, rotations and noise are known."""

import numpy as np
import pytest

from cpml.crystallography.rotations import (
    axis_angle_to_quaternion,
    quaternion_conjugate,
    quaternion_multiply,
    random_quaternions,
)
from cpml.errors import ParameterError
from cpml.microscopy import find_twins, regions, segment, track_grains
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.microscopy.maps.means import exponential
from support.maps import MAGNESIUM, small_rotations, square_map
from support.steps import Specimen

COMPONENTS = ["rotation_x_deg", "rotation_y_deg", "rotation_z_deg"]
STRETCH = np.diag([1.06, 0.97])


def grains_of(ebsd_map):
    return regions(segment(ebsd_map, min_pixels=5))


def grain_of_region(label, grain):
    """True grain of each region 1..G: that of most of its points."""
    return np.array(
        [np.bincount(grain[(label == k) & (grain >= 0)]).argmax() for k in range(1, label.max() + 1)]
    )


def followed(specimen, matrix, **options):
    """Tracks between the two maps, and the true grain of every region of both."""
    before = specimen.before()
    after, grain = specimen.after(matrix, **options)
    a, b = grains_of(before), grains_of(after)
    true = specimen.grain_at(before.xy)
    return track_grains(a, b), grain_of_region(a.label, true), grain_of_region(b.label, grain)


def scores(tracks, specimen, grain, *, turn_deg=0.0, tilt_deg=0.0, **_):
    """(n, 3) errors of the rotations in units of their standard errors, given the common rotation found."""
    common = exponential(np.radians(tracks.common_deg)[None])[0]
    moved = quaternion_multiply(specimen.mount(turn_deg, tilt_deg), exponential(specimen.rotation[grain]))
    true = rotation_vector(quaternion_multiply(quaternion_conjugate(common), moved))
    table = tracks.grains
    known = table["rotation_deg"].notna().to_numpy()
    error = table[COMPONENTS].to_numpy() - np.degrees(true)
    return error[known] / table["rotation_se_deg"].to_numpy()[known, None]


def rotation_vector(q):
    """(n, 3) rad of rotations below 180 deg."""
    q = q * np.where(q[:, :1] < 0, -1.0, 1.0)
    size = np.linalg.norm(q[:, 1:], axis=1, keepdims=True)
    return q[:, 1:] * 2 * np.arctan2(size, q[:, :1]) / np.maximum(size, 1e-15)


@pytest.mark.parametrize(
    ("matrix", "options"),
    [
        (np.eye(2), {}),
        (STRETCH, {"turn_deg": 4.0}),
        (STRETCH, {"turn_deg": -35.0, "tilt_deg": 3.0, "step": 0.8}),
        (np.array([[1.12, 0.06], [0.0, 0.9]]), {"turn_deg": 90.0, "extent": (-22, 12, -20, 24)}),
        (np.diag([0.9, 1.08]), {"turn_deg": 180.0, "step": 0.3}),
        (np.diag([1.25, 0.85]), {"turn_deg": 137.0, "extent": (-60, 50, -60, 60)}),
    ],
    ids=[
        "nothing moved",
        "remounted",
        "tilted and coarser",
        "cropped and sheared",
        "upside down",
        "beyond the rim",
    ],
)
def test_every_grain_is_found_again(matrix, options):
    """Shift, turn, stretch, crop and step size are found; each match is the true grain, rotations are within
    their errors.

    Tolerances: the plane map to 0.015 (centroids of some 30 grains over 30 um, each good to 0.2 um); the
    mean square of 3 x 26 or more normal scores is 1 within 0.4 (2.5 standard deviations).
    """
    specimen = Specimen.random(60, seed=7)
    tracks, before, after = followed(specimen, matrix, **options)
    place, table = tracks.placement, tracks.grains
    whole = specimen.placed(matrix, options.get("turn_deg", 0.0))
    np.testing.assert_allclose(place.to_step.matrix, whole, atol=0.015)
    inside = table["share_seen"] > 0.25
    assert (table.loc[inside, "n_matched"] == 1).all() and inside.sum() >= 20
    assert set(table.loc[~inside, "status"]) <= {"outside", "matched"}
    matched = table[table["n_matched"] > 0]
    assert (after[matched["step_grain_id"] - 1] == before[matched["grain_id"] - 1]).all()
    assert tracks.new.empty
    z = scores(tracks, specimen, before, **options)
    assert np.mean(z**2) == pytest.approx(1.0, abs=0.4)


def test_rotations_lie_within_their_errors_as_often_as_they_say():
    """Of 3 x 4 x 80 normal scores 68.3 % lie within one and 95.4 % within two standard errors; the standard
    deviations of the two shares are 1.5 and 0.7 %.
    """
    found = []
    for seed in range(4):
        specimen = Specimen.random(80, size=50.0, seed=20 + seed, spread_deg=1.0)
        tracks, before, _ = followed(specimen, STRETCH, turn_deg=20.0 * seed)
        found.append(scores(tracks, specimen, before, turn_deg=20.0 * seed))
    z = np.abs(np.concatenate(found))
    assert len(z) > 300
    assert np.mean(z < 1) == pytest.approx(0.683, abs=0.05)
    assert np.mean(z < 2) == pytest.approx(0.954, abs=0.025)


def test_a_lattice_that_has_not_turned_reads_its_noise():
    """Three normal components of error s make an angle of sqrt(8/pi) s; over 60 grains the mean has 5 %."""
    specimen = Specimen.random(60, seed=3, spread_deg=0.0)
    table = followed(specimen, np.eye(2), turn_deg=10.0)[0].grains
    assert (table["rotation_deg"] / table["noise_deg"]).mean() == pytest.approx(1.0, abs=0.2)


def test_the_common_rotation_is_told_apart_with_its_error():
    """Mounted 2.5 deg tilted about x: found within three errors of the mean over the grains, and in no
    grain's own rotation.
    """
    specimen = Specimen.random(70, seed=11)
    tracks, _, _ = followed(specimen, np.eye(2), tilt_deg=2.5)
    true = [2.5, 0.0, 0.0] + np.degrees(specimen.rotation.mean(axis=0))
    assert np.all(np.abs(tracks.common_deg - true) < 3 * tracks.common_se_deg)
    assert np.all(tracks.common_se_deg == pytest.approx(2.0 / np.sqrt(70), rel=0.3))
    mean = tracks.grains[COMPONENTS].mean().to_numpy()
    assert np.abs(mean).max() < 0.3  # those three times the median away are left out of the common rotation


def test_a_grain_that_splits_one_that_is_new_and_one_that_vanishes():
    """The halves are two parts of one grain, the new grain is named with its host, the lost one is missing,
    and nothing else changes.
    """
    specimen = Specimen.random(50, seed=5, spread_deg=0.5)
    centres = np.linalg.norm(specimen.seeds - 30.0, axis=1)
    cut, host, lost = np.argsort(centres)[[0, 2, 9]]
    others = np.delete(specimen.seeds, lost, axis=0)
    names = np.delete(np.arange(50), lost)

    def change(place, grain):
        from scipy.spatial import cKDTree

        grain = np.where(grain == lost, names[cKDTree(others).query(place)[1]], grain)
        grain = np.where((grain == cut) & (place[:, 0] > specimen.seeds[cut, 0]), 50, grain)
        disc = np.linalg.norm(place - specimen.seeds[host], axis=1) < 1.5
        return np.where((grain == host) & disc, 51, grain)

    seven = axis_angle_to_quaternion([0.0, 0.0, 1.0], np.radians(7.0))
    extra = np.stack(
        [
            quaternion_multiply(seven, specimen.quaternions[cut]),
            random_quaternions(1, np.random.default_rng(99))[0],
        ]
    )
    tracks, before, after = followed(specimen, STRETCH, turn_deg=8.0, change=change, extra=extra)
    status = tracks.grains.set_index(before[tracks.grains["grain_id"] - 1])["status"]
    assert status[cut] == "split" and status[lost] == "missing"
    assert (status.drop([cut, lost]) == "matched").all()
    parts = tracks.pairs[before[tracks.pairs["grain_id"] - 1] == cut]
    assert set(after[parts["step_grain_id"] - 1]) == {cut, 50}
    assert parts["share_of_grain"].sum() == pytest.approx(1.0, abs=0.1)
    assert list(after[tracks.new["step_grain_id"] - 1]) == [51]
    assert before[tracks.new["inside_grain_id"].iloc[0] - 1] == host


def test_a_grain_that_has_turned_far_keeps_its_place():
    """20 deg against all others, more than grains that lie on each other may differ elsewhere: the same one.

    40 deg are another crystal: one is missing, one is new.
    """
    for angle, status, n_new in ((20.0, "matched", 0), (40.0, "missing", 1)):
        specimen = Specimen.random(50, seed=9, spread_deg=0.5)
        inner = int(np.argmin(np.linalg.norm(specimen.seeds - 30.0, axis=1)))
        specimen.rotation[inner] = [np.radians(angle), 0.0, 0.0]
        tracks, before, _ = followed(specimen, STRETCH)
        row = tracks.grains.set_index(before[tracks.grains["grain_id"] - 1]).loc[inner]
        assert row["status"] == status and len(tracks.new) == n_new
        if status == "matched":
            assert row["rotation_x_deg"] == pytest.approx(angle, abs=0.5)


def test_two_grains_that_become_one():
    """Halves 7 deg apart that have one orientation later are merged, with no mismatch of outlines."""
    halves = np.where(np.arange(40) < 20, 1, 2)
    label = np.tile(halves, (40, 1))
    label[:15] = label[:15] * 0 + 3
    label[:15, 25:] = 4
    q = random_quaternions(4, np.random.default_rng(8))
    q[1] = quaternion_multiply(axis_angle_to_quaternion([0.0, 0.0, 1.0], np.radians(7.0)), q[0])
    before = square_map(label, q, noise_deg=0.2)
    after = square_map(np.where(label == 2, 1, label), q, noise_deg=0.2, seed=4)
    table = track_grains(grains_of(before), grains_of(after)).grains
    assert sorted(table["status"]) == ["matched", "matched", "merged", "merged"]
    assert (table["quality"] > 0.95).all()


def test_hexagonal_grid_and_crystals():
    """The later map on a hexagonal grid of another step: every magnesium grain is found, its rotation within
    the errors.
    """
    specimen = Specimen.random(40, size=40.0, seed=2, phase=MAGNESIUM)
    before = specimen.before()
    dx = 0.7
    dy = dx * np.sqrt(3) / 2
    rows = [
        np.stack(
            [np.arange(dx / 2 * (r % 2), 40, dx), np.full(len(np.arange(dx / 2 * (r % 2), 40, dx)), r * dy)]
        )
        for r in range(int(40 / dy))
    ]
    xy = np.concatenate(rows, axis=1).T
    turned = axis_angle_to_quaternion([0.0, 0.0, 1.0], np.radians(180.0))
    grain = specimen.grain_at(40.0 - xy)
    q = quaternion_multiply(turned, specimen.quaternions[grain])
    q = quaternion_multiply(q, small_rotations(len(q), 0.3, np.random.default_rng(1)))
    after = EbsdMap.from_points("later", xy, q, np.ones(len(q), int), {1: MAGNESIUM})
    assert after.grid == "hex"
    tracks = track_grains(grains_of(before), grains_of(after))
    assert (tracks.grains["status"] == "matched").all()
    assert abs(tracks.placement.turn_deg) == pytest.approx(180, abs=0.5)
    assert (tracks.grains["rotation_deg"] / tracks.grains["noise_deg"]).mean() == pytest.approx(1, abs=0.3)


def test_a_twin_that_grows_stays_in_its_grain():
    """A {10-12} twin that a later map shows belongs to its parent: no new grain, and the parent's rotation is
    that of the parent.
    """
    label = np.ones((40, 60), int)
    label[:, 30:] = 2
    label[:12] = 3
    q = random_quaternions(3, np.random.default_rng(12))
    turn = axis_angle_to_quaternion([1.0, 0.0, 0.0], np.radians(86.3))  # about <11-20>, X || a
    later = label.copy()
    later[18:24, 5:28] = 4
    before = square_map(label, q, phase=MAGNESIUM, noise_deg=0.2)
    after = square_map(
        later, np.vstack([q, quaternion_multiply(q[0], turn)]), phase=MAGNESIUM, noise_deg=0.2, seed=5
    )
    families = find_twins(segment(after, min_pixels=5))
    assert families.table["is_twin"].sum() == 1
    tracks = track_grains(grains_of(before), regions(families))
    assert (tracks.grains["status"] == "matched").all() and tracks.new.empty
    assert tracks.grains["rotation_deg"].max() < 0.1


def test_homologous_points_stand_in_for_the_grains():
    """Three points of both maps, in pixels, give the placement that made them, and the same matches."""
    specimen = Specimen.random(40, seed=6)
    before, (after, _) = specimen.before(), specimen.after(STRETCH, turn_deg=30.0)
    a, b = grains_of(before), grains_of(after)
    whole = specimen.placed(STRETCH, 30.0)
    pixels = np.array([[20, 20], [100, 30], [50, 90]])
    corner = whole @ (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 30.0).T
    later = ((0.5 * pixels - 30.0) @ whole.T - corner.min(axis=1)) / 0.5
    tracks = track_grains(a, b, points=np.hstack([later, pixels]))
    np.testing.assert_allclose(tracks.placement.to_step.matrix, whole, atol=1e-6)
    assert tracks.placement.given and (tracks.grains["n_matched"] == 1).mean() > 0.95
    mirrored = np.hstack([later[:, ::-1], pixels])
    with pytest.raises(ParameterError, match="mirror"):
        track_grains(a, b, points=mirrored)
    with pytest.raises(ParameterError, match="map_to_ebsd needs rows"):
        track_grains(a, b, points=later)


def test_another_specimen_is_refused_and_another_frame_is_named():
    """Grains that agree nowhere are no tracks; where another frame would do, the message says which."""
    specimen, other = Specimen.random(50, seed=1), Specimen.random(50, seed=2)
    a = grains_of(specimen.before())
    with pytest.raises(ParameterError, match="is it the same area"):
        track_grains(a, grains_of(other.after(np.eye(2))[0]))
    after, _ = specimen.after(STRETCH)
    after.quaternions[:] = quaternion_multiply([0.0, 1.0, 0.0, 0.0], after.quaternions)
    with pytest.raises(ParameterError, match="turned by x180 it can: check its frame"):
        track_grains(a, grains_of(after))


def test_phases_are_matched_by_name():
    """Phases numbered otherwise in the later map are the same; without one in common nothing is tracked."""
    label = np.ones((30, 30), int)
    label[:, 15:] = 2
    label[20:, 10:] = 3
    q = random_quaternions(3, np.random.default_rng(3))
    nickel = square_map(label, q).phases[1]
    first = square_map(label, q, phases={1: nickel, 2: MAGNESIUM}, phase_of_grain=[1, 2, 1], noise_deg=0.1)
    second = square_map(label, q, phases={5: nickel, 3: MAGNESIUM}, phase_of_grain=[5, 3, 5], noise_deg=0.1)
    assert (track_grains(grains_of(first), grains_of(second)).grains["status"] == "matched").all()
    only = [
        square_map(np.ones((8, 8), int), q[:1], phases={1: phase}, phase_of_grain=[1])
        for phase in (nickel, MAGNESIUM)
    ]
    with pytest.raises(ParameterError, match="no phase in common"):
        track_grains(*map(grains_of, only))


@pytest.mark.parametrize("shape", [(20, 30), (1, 40), (3, 3)], ids=["one grain", "a line", "nine points"])
def test_small_maps_are_tracked(shape):
    """One grain on itself: matched, and all its rotation is common: none is left to call its own."""
    q = random_quaternions(1, np.random.default_rng(0))
    turn = axis_angle_to_quaternion([0.0, 1.0, 0.0], np.radians(3.0))
    before, after = (
        square_map(np.ones(shape, int), v, noise_deg=0.1) for v in (q, quaternion_multiply(turn, q))
    )
    tracks = track_grains(*map(grains_of, (before, after)))
    row = tracks.grains.iloc[0]
    assert row["status"] == "matched" and row["rotation_deg"] == pytest.approx(0, abs=1e-6)
    assert tracks.common_deg == pytest.approx([0, 3, 0], abs=0.2) and np.isnan(tracks.common_se_deg).all()


def test_two_slices_of_a_real_stack_are_one_specimen(mirror):
    """Small IN100, two sections 0.25 um apart: nine of ten grains are found again, and since nothing has
    turned between two sections of one scan, well-matched grains read the noise that is stated for them.
    """
    from dataclasses import replace

    import cpml
    from cpml.datasets import read_dataset_map
    from cpml.datasets.observe import grains_of as described_grains

    mirror("smallin100/6_5_h5ebsd_exemplar.h5ebsd")
    dataset = cpml.load_dataset("smallin100")
    a, b = (
        regions(described_grains(dataset, read_dataset_map(replace(dataset, reading={"slice": k}))))
        for k in (0, 1)
    )
    tracks = track_grains(a, b)
    assert (tracks.grains["n_matched"] > 0).mean() > 0.9
    assert tracks.placement.turn_deg == pytest.approx(0, abs=0.2)
    assert np.linalg.norm(tracks.common_deg) < 0.1
    good = tracks.grains[(tracks.grains["quality"] > 0.8) & (tracks.grains["n_points"] > 100)]
    ratio = good["rotation_deg"].median() / good["noise_deg"].median()
    assert len(good) > 50 and 0.6 < ratio < 1.6
