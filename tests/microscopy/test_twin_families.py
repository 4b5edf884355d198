"""Which fragments are one grain with its twins: bridges, transmission, double twins, bad points."""

from dataclasses import replace

import numpy as np
import pytest

from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply, random_quaternions
from cpml.crystallography.slip_systems import systems
from cpml.crystallography.symmetry import proper_group
from cpml.crystallography.twinning import twin_crystal_to_sample
from cpml.microscopy import find_twins, read_map, segment
from cpml.microscopy.twins.twins import HCP_TYPES
from support.maps import MAGNESIUM, NICKEL, small_rotations

PARENT = random_quaternions(1, np.random.default_rng(4))[0]
STRANGER = random_quaternions(1, np.random.default_rng(8))[0]


def twin_of(parent, variant=0, *, family="twin_1012", off_deg=0.0):
    """A twin of a crystal, turned away from the exact relation."""
    planes = systems("hcp", families=[family], c_over_a=MAGNESIUM.c_over_a).plane
    turn = axis_angle_to_quaternion([0.3, -0.5, 0.8], np.radians(off_deg))
    return quaternion_multiply(turn, twin_crystal_to_sample(parent, planes[variant]))


def apart_deg(p, q):
    return np.degrees(disorientation_angle(p, q, proper_group("622")))


def families(make_map, label, orientations, *, types=None, noise_deg=0.2, **options):
    """Twins of a label image, and the family of each label of it (the same number: one family)."""
    m = make_map(np.asarray(label), np.array(orientations), phase=MAGNESIUM, noise_deg=noise_deg)
    twins = find_twins(segment(m, **options), types=types)
    flat = np.asarray(label).ravel()
    of = [set(twins.grain_label[flat == k].tolist()) for k in range(1, flat.max() + 1)]
    assert all(len(found) == 1 for found in of)
    return twins, [found.pop() for found in of]


def is_twin(twins, label, k):
    """Whether all points of one label are in twins (True), none (False), or some (None)."""
    found = twins.twinned[np.asarray(label).ravel() == k]
    return True if found.all() else False if not found.any() else None


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("width", [30, 12, 4, 2], ids=["as large", "smaller", "as the twin", "at the rim"])
def test_a_bridge_does_not_join_two_parents(make_map, width, mirrored):
    """A lamella at the rim of A meets B, in relation to it by chance (2.5 deg off): the twin is A's."""
    lamella = twin_of(PARENT)
    other = twin_of(lamella, 2, off_deg=2.5)
    assert apart_deg(other, PARENT) > 30
    label = np.repeat([[1] * 30 + [2] * 3 + [3] * width], 30, axis=0)
    label = label[:, ::-1] if mirrored else label
    twins, (a, t, b) = families(make_map, label, [PARENT, lamella, other])
    assert a == t != b
    assert [is_twin(twins, label, k) for k in (1, 2, 3)] == [False, True, False]
    fractions = twins.grains.set_index("grain_id")["twin_fraction"]
    assert fractions[a] == pytest.approx(3 / 33) and fractions[b] == 0
    assert len(twins.pairs) == 2  # the relation by chance stays in the table of pairs


def test_chain_of_two_parents_and_two_twins(make_map):
    """A with T1, B with T2; T1 and B meet in relation by chance: two families."""
    first = twin_of(PARENT)
    other = twin_of(first, 2, off_deg=2.0)
    second = twin_of(other, 1)
    label = np.repeat([[1] * 24 + [2] * 4 + [3] * 10 + [4] * 4 + [3] * 10], 24, axis=0)
    _, (a, t1, b, t2) = families(make_map, label, [PARENT, first, other, second])
    assert a == t1 and b == t2 and a != b


@pytest.mark.parametrize("lamellae", ["two", "one"])
def test_twins_that_cross_a_grain_boundary(make_map, lamellae):
    """Twin transmission: parents 6 deg apart, the twin of one goes on in the other. Drawn as two nearly
    parallel twins, or as one in the middle between both relations: two families.
    """
    turn = axis_angle_to_quaternion([0.1, 0.9, 0.2], np.radians(6.0))
    half = axis_angle_to_quaternion([0.1, 0.9, 0.2], np.radians(3.0))
    other = quaternion_multiply(turn, PARENT)
    label = np.repeat([[1] * 30 + [2] * 30], 30, axis=0)
    label[14:17] += 2
    q = np.array([PARENT, other, twin_of(PARENT), twin_of(other)])
    if lamellae == "one":
        q[2:] = quaternion_multiply(half, twin_of(PARENT))
    twins = find_twins(segment(make_map(label, q, phase=MAGNESIUM, noise_deg=0.2)))
    a, b, t_a, t_b = (set(twins.grain_label[label.ravel() == k].tolist()) for k in (1, 2, 3, 4))
    # where one lamella cuts the second parent as well, that one is left in two pieces
    assert not a & b and (t_a | t_b) <= (a | b)
    assert lamellae == "one" or (t_a == a and t_b == b)


def test_a_cut_and_bent_parent_is_one(make_map):
    """A lamella cuts a grain whose halves have turned 6 deg apart: one parent of two pieces."""
    turn = axis_angle_to_quaternion([0.1, 0.9, 0.2], np.radians(6.0))
    half = axis_angle_to_quaternion([0.1, 0.9, 0.2], np.radians(3.0))
    label = np.repeat([[1] * 20 + [2] * 4 + [3] * 16 + [4] * 10], 30, axis=0)
    q = [PARENT, quaternion_multiply(half, twin_of(PARENT)), quaternion_multiply(turn, PARENT), STRANGER]
    twins, (a, t, b, stranger) = families(make_map, label, q)
    assert a == t == b != stranger
    assert [is_twin(twins, label, k) for k in (1, 2, 3)] == [False, True, False]


def test_secondary_twin_inside_and_neighbour_outside(make_map):
    """The same crystal, in relation to the twin and to nobody else: inside the twin it is a secondary twin,
    as a small grain at the end of the twin it is a grain of its own.
    """
    lamella = twin_of(PARENT)
    third = twin_of(lamella, 2)
    label = np.ones((30, 40), int)
    label[:, 10:22] = 2
    label[10:16, 13:19] = 3
    twins, (a, t, s) = families(make_map, label, [PARENT, lamella, third])
    assert a == t == s and set(twins.table["twin_type"]) == {"", "twin_1012", "secondary"}
    label = np.ones((30, 40), int)
    label[:24, 10:22] = 2
    label[24:] = 4
    label[24:29, 12:20] = 3
    twins, (a, t, s, stranger) = families(make_map, label, [PARENT, lamella, third, STRANGER])
    assert a == t and len({a, s, stranger}) == 3 and is_twin(twins, label, 3) is False


def test_double_twins_stay_with_their_parent(make_map):
    """Contraction twins {10-11} that have twinned again by {10-12}, most of their width."""
    contraction = twin_of(PARENT, 0, family="twin_1011")
    double = twin_of(contraction, 1)
    label = np.ones((30, 40), int)
    for first in (8, 24):
        label[:, first : first + 7] = 2
        label[1:29, first + 1 : first + 6] = 3
    types = ["twin_1012", "twin_1011"]
    twins, (a, c, d) = families(make_map, label, [PARENT, contraction, double], types=types)
    assert a == c == d and is_twin(twins, label, 1) is False
    assert set(twins.table["twin_type"]) == {"", "twin_1011", "secondary"}


@pytest.mark.parametrize("n_variants", [1, 2])
def test_more_twin_than_parent(make_map, n_variants):
    """Lamellae of one or two variants fill 62 % of a grain, wider than what is left between: one family."""
    label = np.ones((40, 64), int)
    for k in range(8):
        label[:, 8 * k + 2 : 8 * k + 7] = 2 + (k % n_variants)
    label = np.concatenate([label, np.full((40, 16), 2 + n_variants)], axis=1)
    q = [PARENT, *[twin_of(PARENT, v) for v in (0, 1)[:n_variants]], STRANGER]
    twins, found = families(make_map, label, q)
    assert len(set(found[:-1])) == 1 and found[-1] != found[0]
    inside = twins.grains.set_index("grain_id").loc[found[0]]
    # area decides which of both is called the parent
    assert inside["twin_fraction"] == pytest.approx(3 / 8 if n_variants == 1 else 5 / 8, abs=0.01)


def test_two_grains_in_relation_by_chance(make_map):
    """Two large grains meet along a fifth of their boundary, 3.5 deg off the relation: two parents."""
    label = np.full((60, 60), 3)
    label[5:30, 5:30], label[20:45, 30:55] = 1, 2
    label[:, :2] = 4
    q = [
        PARENT,
        twin_of(PARENT, 0, off_deg=3.5),
        STRANGER,
        random_quaternions(1, np.random.default_rng(9))[0],
    ]
    twins, (a, b, *_) = families(make_map, label, q)
    assert len(twins.pairs) == 1 and a != b and not twins.table["is_twin"].any()


def test_random_grains_are_rarely_joined(make_map, voronoi):
    """4,000 random grains, four types of twins: 1.0 % of the boundaries are in relation by chance, 4.0 deg
    off (median of a density that grows with the square of the angle: 5 deg / 2^(1/3)), and few of them join.
    """
    label = voronoi(600, 600, 4000)
    q = random_quaternions(4000, np.random.default_rng(0))
    grains = segment(make_map(label, q, phase=MAGNESIUM))
    twins = find_twins(grains, types=HCP_TYPES)
    # about 117 +- 11 pairs
    assert len(twins.pairs) / len(grains.boundaries) == pytest.approx(0.0102, abs=0.003)
    assert twins.pairs["deviation_deg"].median() == pytest.approx(5 / 2 ** (1 / 3), abs=0.3)
    assert grains.n_grains - len(twins.grains) < 0.2 * len(twins.pairs)


def test_many_twins_of_one_parent(make_map):
    """A parent with 529 twins of six variants: the short cut for many crystals finds the same family."""
    label, k = np.ones((230, 230), int), 1
    q = [PARENT]
    for i, j in np.ndindex(23, 23):
        k += 1
        label[10 * i + 3 : 10 * i + 6, 10 * j + 2 : 10 * j + 8] = k
        q.append(twin_of(PARENT, (i + 2 * j) % 6))
    twins = find_twins(segment(make_map(label, np.array(q), phase=MAGNESIUM, noise_deg=0.2)))
    assert len(twins.grains) == 1 and twins.table["is_twin"].sum() == 529
    assert twins.grains["twin_fraction"][0] == pytest.approx(529 * 18 / 230**2)
    assert set(twins.table["twin_type"]) == {"", "twin_1012"} and twins.table["variant"].nunique() == 7


def test_annealing_twins_join_one_larger_neighbour(make_map):
    """Sigma3 in a row of cubic grains of one size: asked for, each family has one largest orientation, and
    every twin is smaller than it; nothing is joined when it is not asked for.
    """
    plane = systems("fcc", families=["twin"]).plane
    q = [PARENT]
    for k in range(5):
        q.append(twin_crystal_to_sample(q[-1], plane[k % 4]))
    widths = [10, 14, 12, 18, 11, 13]
    label = np.repeat([np.repeat(np.arange(1, 7), widths)], 20, axis=0)
    grains = segment(make_map(label, np.array(q), phase=NICKEL))
    assert len(find_twins(grains).grains) == 6
    asked = find_twins(grains, types=["twin"])
    area = grains.table["area_um2"].to_numpy()
    for _, family in asked.table.groupby("grain_id"):
        rows = family.index.to_numpy()
        assert area[rows[~family["is_twin"]]].sum() >= area[rows[family["is_twin"]]].max(initial=0)


def clustered(make_map, *, scatter_deg, properties=None, size=(2, 3)):
    """A cluster in twin relation in a large grain that has a true lamella as well; its row of the table."""
    label = np.ones((40, 40), int)
    label[:, 30:34] = 2
    place = np.zeros(label.shape, bool)
    place[10 : 10 + size[0], 10 : 10 + size[1]] = True
    label[place] = 3
    m = make_map(
        label, np.array([PARENT, twin_of(PARENT), twin_of(PARENT, 3)]), phase=MAGNESIUM, noise_deg=0.3
    )
    q = m.quaternions.copy()
    if scatter_deg:
        turn = small_rotations(int(place.sum()), scatter_deg, np.random.default_rng(2))
        q[place.ravel()] = quaternion_multiply(turn, q[place.ravel()])
    rng = np.random.default_rng(3)
    measured = {}
    for name, (usual, at_cluster) in (properties or {}).items():
        values = rng.normal(usual, 0.1 * usual, m.n_pixels)
        measured[name] = np.where(place.ravel(), at_cluster, values)
    twins = find_twins(segment(replace(m, quaternions=q, properties=measured), threshold=8.0))
    rows = np.unique(twins.segmentation.label[place.ravel()]) - 1
    return twins.table.iloc[rows], twins


@pytest.mark.parametrize(
    "scatter_deg, properties, expected",
    [
        (0.0, {}, True),
        (0.0, {"ci": (0.8, 0.75), "mad": (0.5, 0.55)}, True),
        (3.0, {}, False),
        (0.0, {"ci": (0.8, 0.05)}, False),
        (0.0, {"mad": (0.5, 1.6)}, False),
        (0.0, {"bc": (150.0, 40.0), "mad": (0.5, 0.5)}, False),
        (0.0, {"note": (1.0, 9.0)}, True),
    ],
)
def test_a_few_bad_points_are_no_twin(make_map, scatter_deg, properties, expected):
    """Six points in twin relation: a twin if they agree and their patterns are as good as others at
    boundaries; none if they scatter, or their patterns are bad. An unknown measure does not count.
    """
    rows, twins = clustered(make_map, scatter_deg=scatter_deg, properties=properties)
    assert (rows["is_twin"] == expected).all() and (rows["is_cluster"] != expected).all()
    assert (twins.table.loc[~twins.table.index.isin(rows.index), "is_twin"]).sum() == 1  # the lamella


def test_a_large_twin_with_bad_patterns_is_a_twin(make_map):
    """Thirty points are no cluster of errors, however bad; the table says how bad they are."""
    rows, _ = clustered(make_map, scatter_deg=0.0, properties={"ci": (0.8, 0.05)}, size=(5, 6))
    assert rows["is_twin"].all() and (rows["quality"] < -3).all() and (rows["n_pixels"] == 30).all()


def test_what_speaks_for_a_twin(make_map):
    """Spread, quality and share of boundary in relation: of a clean lamella, and of its parent."""
    _, twins = clustered(make_map, scatter_deg=0.0, properties={"ci": (0.8, 0.8)})
    table = twins.table
    assert (table["relation_share"] > 0.99).all() and table["quality"].abs().max() < 1
    # the angles of 0.3 deg (rms) of a Maxwell distribution have a mean of 0.28
    assert table.loc[table["n_pixels"] > 100, "spread_deg"].to_numpy() == pytest.approx(0.28, abs=0.02)
    plain = clustered(make_map, scatter_deg=0.0)[0]
    assert plain["quality"].isna().all()


@pytest.mark.parametrize("name, least", [("mg_hcp_A", 0.97), ("mg_hcp_B", 0.99), ("ti_hcp_A", 0.99)])
def test_fragments_of_virtual_specimens_find_their_parent(reference, name, least):
    """Painted lamellae of simulated specimens: share of the fragments whose parent is the grain that they
    were painted into. Seen: 0.975, 1.0, 1.0; families as graph components gave 0.973, 0.960, 1.0.
    """
    folder = reference(f"virtual/{name}")
    twins = find_twins(segment(read_map(folder / "ebsd_deformed_twins.ctf", hex_x_axis="a*"), min_pixels=5))
    surface = np.load(folder / "maps_truth.npz")["surface_grain"].ravel()
    label, table = twins.segmentation.label, twins.table
    true = np.array([np.bincount(surface[label == k]).argmax() for k in table["fragment_id"]])
    hosts = table.assign(true=true, area=twins.segmentation.table["area_um2"])[~table["is_twin"]]
    parent = hosts.sort_values("area").groupby("grain_id")["true"].last()
    assert np.mean(parent[table["grain_id"]].to_numpy() == true) >= least
