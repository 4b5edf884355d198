"""Twin boundaries, families, parents and variants."""

import numpy as np
import pytest

from cpml.crystallography.rotations import axis_angle_to_quaternion, random_quaternions
from cpml.crystallography.slip_systems import systems
from cpml.crystallography.twinning import twin_crystal_to_sample
from cpml.errors import ParameterError
from cpml.microscopy import find_twins, read_map, segment
from cpml.microscopy.labels.variants import twin_labels
from cpml.microscopy.twins.twins import HCP_TYPES
from support.maps import MAGNESIUM


def lamella(make_map, types, variants, *, parent=None, noise_deg=0.2, seed=0):
    """A parent with one vertical lamella per variant, and a grain beside it that is no relative."""
    twin = systems("hcp", families=types, c_over_a=MAGNESIUM.c_over_a)
    parent = random_quaternions(1, np.random.default_rng(seed))[0] if parent is None else parent
    stranger = random_quaternions(1, np.random.default_rng(99))[0]
    label = np.ones((30, 60), int)
    for i in range(len(variants)):
        label[:, 6 + 12 * i : 9 + 12 * i] = 2 + i
    label[:, 50:] = 2 + len(variants)
    twins = [twin_crystal_to_sample(parent, twin.plane[v]) for v in variants]
    m = make_map(label, np.array([parent, *twins, stranger]), phase=MAGNESIUM, noise_deg=noise_deg)
    return find_twins(segment(m), types=types), twin


@pytest.mark.parametrize("family", HCP_TYPES)
def test_every_variant_is_recognised(make_map, family):
    """Painted variants come back by name (up to the parent's own symmetry copy, checked through K1
    in the sample).
    """
    from cpml.crystallography.rotations import rotate

    for first in (0, 3):
        variants = [first, first + 1, first + 2]
        parent = random_quaternions(1, np.random.default_rng(7))[0]
        twins, twin = lamella(make_map, [family], variants, parent=parent)
        found = twins.table[twins.table["is_twin"]]
        assert set(found["twin_type"]) == {family} and len(twins.grains) == 2
        stored = twins.grains.loc[0, ["qw", "qx", "qy", "qz"]].to_numpy(float)
        true = [rotate(parent, twin.plane[v]) for v in variants]
        names = found.drop_duplicates("variant").sort_values("fragment_id")["variant"]
        seen = [rotate(stored, twin.plane[twin.names.index(name)]) for name in names]
        np.testing.assert_allclose(np.abs(np.sum(np.array(true) * seen, axis=1)), 1, atol=1e-3)
        assert (found["variant_deviation_deg"] < 0.5).all()
        # {11-21} variants of a pair of planes can be near, but never nearer than the found one
        assert (found["second_deviation_deg"] > found["variant_deviation_deg"]).all()


def test_family_becomes_one_parent(make_map):
    """Two lamellae cut a grain into three: one parent of five fragments, its twin fraction, and
    a stranger apart.
    """
    twins, _ = lamella(make_map, ["twin_1012"], [0, 1])
    parents = twins.grains
    assert parents["n_fragments"].tolist() == [5, 1]
    assert parents["twin_fraction"].tolist() == pytest.approx([6 / 50, 0])
    assert parents["n_pixels"].tolist() == [1500, 300]
    assert len(twins.pairs) == 4 and set(twins.segments["twin_type"]) == {"", "twin_1012"}
    assert np.unique(twins.grain_label).tolist() == [1, 2]
    assert len(twins.grain_boundaries) == 1 and twins.grain_boundaries["length_um"][0] == pytest.approx(15)
    assert twins.twinned.sum() == 180


def test_secondary_twin_is_no_variant(make_map):
    """A twin inside a twin belongs to the family but is no variant of the parent."""
    twin = systems("hcp", families=["twin_1012"], c_over_a=MAGNESIUM.c_over_a)
    parent = random_quaternions(1, np.random.default_rng(1))[0]
    first = twin_crystal_to_sample(parent, twin.plane[0])
    second = twin_crystal_to_sample(first, twin.plane[1])
    label = np.ones((30, 40), int)
    label[:, 10:20] = 2
    label[10:20, 13:17] = 3
    twins = find_twins(
        segment(make_map(label, np.array([parent, first, second]), phase=MAGNESIUM)), types=["twin_1012"]
    )
    assert twins.table["grain_id"].nunique() == 1
    assert "secondary" in set(twins.table["twin_type"])


def test_annealing_twins_are_not_merged(make_map):
    """Cubic Sigma 3 is in the boundary table, and a family only when it is asked for."""
    q = np.array([[1.0, 0, 0, 0], axis_angle_to_quaternion([1, 1, 1], np.pi / 3)])
    label = np.repeat([[1] * 6 + [2] * 4], 8, axis=0)
    grains = segment(make_map(label, q))
    assert grains.boundaries["csl"].tolist() == [3]
    default = find_twins(grains)
    assert len(default.pairs) == 0 and len(default.grains) == 2 and not default.table["is_twin"].any()
    asked = find_twins(grains, types=["twin"])
    assert len(asked.pairs) == 1 and len(asked.grains) == 1


def test_unknown_type_and_tolerance(make_map):
    """A misspelt type lists the known ones."""
    grains = segment(make_map(np.ones((4, 4), int), np.array([[1.0, 0, 0, 0]]), phase=MAGNESIUM))
    with pytest.raises(ParameterError, match="twin_1012"):
        find_twins(grains, types=["1012"])
    with pytest.raises(ParameterError, match="tolerance 0"):
        find_twins(grains, tolerance=0)


def test_variant_labels(make_map):
    """Every parent gets a row for each of the six variants; the painted ones are 1, the others 0."""
    twins, twin = lamella(make_map, ["twin_1012"], [0, 1])
    labels = twin_labels(twins, twin)
    assert len(labels) == 12 and set(labels["level"]) == {"variant"}
    assert labels.groupby("grain_id")["observed"].sum().tolist() == [2, 0]


def test_published_twin_families(mirror):
    """Of the 71 grains of 10 px and more: 46 twin pairs, 63 in families, 25 parents."""
    grains = segment(read_map(mirror("mg-twins/twins.ctf"), hex_x_axis="a*"))
    large = grains.table.loc[grains.table["n_pixels"] >= 10, "fragment_id"]
    twins = find_twins(grains, types=["twin_1012"])
    pairs = twins.pairs[twins.pairs["fragment_a"].isin(large) & twins.pairs["fragment_b"].isin(large)]
    members = set(pairs["fragment_a"]) | set(pairs["fragment_b"])
    assert (len(large), len(pairs), len(members)) == (71, 46, 63)
    assert twins.table.loc[twins.table["fragment_id"].isin(large), "grain_id"].nunique() == 25
