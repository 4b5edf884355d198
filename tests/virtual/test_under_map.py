"""Volumes under a map: the plane as it is, and below it what sections of random grains tell."""

import numpy as np
import pytest
from skimage.measure import label

from cpml.errors import ParameterError
from cpml.virtual.volumes.cuts import boundaries
from cpml.virtual.volumes.tessellation import laguerre, random_grains, renumbered
from cpml.virtual.volumes.under_map import Sizes, fit_plane, under_map

DEPTH, RIM, EDGE = 12, 2, 44
WIDE, DIAMETER = (28, 64, 64), 7.0
MEAN_VOLUME = np.pi / 6 * DIAMETER**3


def plane_of(layer):
    """A layer of a volume as a map: its regions, numbered."""
    return renumbered(label(layer, background=-1, connectivity=1) - 1)


@pytest.fixture(scope="module")
def truth():
    """A part of a volume of equiaxed grains, 7 voxels wide: it does not repeat along rows and columns."""
    whole = random_grains(WIDE, DIAMETER, np.random.default_rng(0))
    return whole[:, :EDGE, :EDGE]


@pytest.fixture(scope="module")
def plane(truth):
    """Its first layer as a map."""
    return fit_plane(plane_of(truth[0]))


@pytest.fixture(scope="module")
def volumes(plane):
    """Four volumes under the map."""
    return [under_map(plane, np.random.default_rng(k), depth=DEPTH, rim=RIM) for k in range(4)]


def inner(volume):
    """The part of a volume under its map."""
    return volume.grain_index[:, RIM:-RIM, RIM:-RIM]


@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("rim", [0, 3])
def test_the_measured_plane_is_kept(plane, rim, repeats):
    """Voxel for voxel, with the numbers of the map; every grain of the map has its own crystal, the others
    one of the map's.
    """
    volume = under_map(plane, np.random.default_rng(1), depth=DEPTH, rim=rim, repeats=repeats)
    assert volume.grain_index.shape == (DEPTH, EDGE + 2 * rim, EDGE + 2 * rim)
    np.testing.assert_array_equal(volume.grain_index[volume.window], plane.grain_index)
    seen = len(plane.grains)
    np.testing.assert_array_equal(volume.crystal[:seen], np.arange(seen))
    assert np.isin(volume.crystal, plane.grains).all()
    assert volume.grain_index.max() < len(volume.crystal)


def test_lamellae_and_islands_are_kept():
    """Grains that no power diagram has, and numbers with gaps."""
    index = np.repeat(np.repeat([[0, 0, 2], [5, 2, 0], [0, 0, 2]], 5, axis=0), 5, axis=1)
    index[7, 3:9] = 9
    volume = under_map(fit_plane(index), np.random.default_rng(0), depth=6, rim=1)
    np.testing.assert_array_equal(volume.grain_index[volume.window], index)


def test_a_section_of_a_tessellation_is_found_again():
    """Points and weights are those of a power diagram that is nearly the map: 97 % of the voxels; what is
    left are voxels on boundaries. A Voronoi diagram of the grains' centres has 90 % at most.
    """
    rng = np.random.default_rng(3)
    index = plane_of(random_grains((16, 72, 72), 8.0, rng)[0, :40, :40])
    plane = fit_plane(index)
    points = np.stack([*np.meshgrid(np.arange(40) + 0.5, np.arange(40) + 0.5), np.zeros((40, 40))], axis=-1)
    seeds = np.column_stack([plane.point, np.zeros(len(plane.point))])
    radii = np.sqrt(plane.weight - plane.weight.min())
    assert (plane.grains[laguerre(points, seeds, radii, None)] == index).mean() > 0.97


def test_one_seed_is_one_volume(plane, volumes):
    """The same generator gives the same voxels and crystals, another one others."""
    again = under_map(plane, np.random.default_rng(0), depth=DEPTH, rim=RIM)
    np.testing.assert_array_equal(again.grain_index, volumes[0].grain_index)
    np.testing.assert_array_equal(again.crystal, volumes[0].crystal)
    assert (volumes[0].grain_index != volumes[1].grain_index).mean() > 0.2


def test_names_of_grains_change_nothing(plane, volumes):
    """Draws follow the places of grains, not their numbers."""
    names = np.random.default_rng(9).permutation(plane.grain_index.max() + 1)
    renamed = under_map(fit_plane(names[plane.grain_index]), np.random.default_rng(0), depth=DEPTH, rim=RIM)
    seen = len(plane.grains)
    names = np.append(names, np.arange(seen, len(volumes[0].crystal)))
    np.testing.assert_array_equal(renamed.grain_index, names[volumes[0].grain_index])
    np.testing.assert_array_equal(
        renamed.crystal[names[volumes[0].grain_index]], names[volumes[0].crystal[volumes[0].grain_index]]
    )


def test_sizes_are_those_of_the_grains(truth, plane, volumes):
    """The mean volume that four maps tell, a grain apart, is that of the grains behind them, within 20 %: one
    map of a hundred sections scatters by 15 %. Drawn volumes have the grains that their map tells.
    """
    maps = [plane_of(truth[layer]) for layer in (0, 7, 14, 21)]
    told = np.mean([fit_plane(m).sizes.volume for m in maps])
    assert told == pytest.approx(MEAN_VOLUME, rel=0.2)
    drawn = np.mean([v.grain_index.size / len(np.unique(v.grain_index)) for v in volumes])
    assert drawn == pytest.approx(plane.sizes.volume, rel=0.1)


def test_equal_spheres_are_recognised():
    """Sections of equal spheres at any height: their radius within 2 %, and next to no spread."""
    height = np.linspace(-1, 1, 2001)[1:-1]
    sizes = Sizes.of(np.pi * 5.0**2 * (1 - height**2), np.zeros(1999, bool))
    assert sizes.median * np.exp(2 * sizes.spread**2) == pytest.approx(5.0, rel=0.02)
    assert sizes.spread == pytest.approx(0.1)


def test_layers_forget_the_plane_as_grains_do(truth, volumes):
    """Share of voxels that belong to the grain above them in the plane, layer by layer: within 0.08 of the
    volume that the map was cut from (four draws, one truth). Columns would keep all.
    """
    kept = np.mean([[(layer == inner(v)[0]).mean() for layer in inner(v)[:5]] for v in volumes], axis=0)
    true = [(layer == truth[0]).mean() for layer in truth[:5]]
    np.testing.assert_allclose(kept, true, atol=0.08)
    assert kept[4] < 0.45


def test_both_sides_of_a_section_are_unknown(volumes):
    """Grains leave the plane upwards (the last layers, as the volume repeats) as they do downwards."""
    down, up = (np.mean([(inner(v)[k] == inner(v)[0]).mean() for v in volumes]) for k in (2, DEPTH - 2))
    assert up == pytest.approx(down, abs=0.05)


def inclinations(index):
    """Cosines between the normals of boundaries and that of the plane, and the lengths of their traces: from
    the faces between voxels of the first two layers.
    """
    count = index.max() + 1
    found = []
    for layer in index[:2]:
        pairs, chord, _ = boundaries(layer, repeats=False)
        found.append(dict(zip(pairs @ [count, 1], chord, strict=True)))
    above, below = index[0].ravel(), index[1].ravel()
    differ = above != below
    key = np.minimum(above, below)[differ] * count + np.maximum(above, below)[differ]
    sign = np.where(above < below, 1.0, -1.0)[differ]
    number, which = np.unique(key, return_inverse=True)
    along = dict(zip(number, np.bincount(which, sign), strict=True))
    rows = []
    for pair in found[0].keys() & found[1].keys():
        side = np.linalg.norm((found[0][pair] + found[1][pair]) / 2)
        normal = abs(along.get(pair, 0.0))
        rows.append((normal / max(np.hypot(side, normal), 1e-9), np.linalg.norm(found[0][pair])))
    return np.array(rows).T


def test_boundaries_are_inclined_as_in_space(volumes):
    """Normals uniform in solid angle have the density sin of the angle to the plane's normal, and a boundary
    meets the plane along a trace as long as its sine: traces have the density sin^2, whose mean cosine is
    4 / (3 pi) = 0.42. Two layers of voxels show 0.33 to 0.38 of volumes of random grains; columns 0.
    """
    cosine, length = np.concatenate([inclinations(inner(v)) for v in volumes], axis=1)
    assert 0.28 < np.average(cosine, weights=length) < 0.45
    steep = np.average(cosine < 0.5, weights=length)  # more than 60 deg: of sin^2, 0.61
    assert steep == pytest.approx(0.61, abs=0.15)


def test_the_grain_below_is_another_crystal(volumes, plane):
    """No grain lends its crystal to one that touches it."""
    for volume in volumes:
        index, crystal = volume.grain_index, volume.crystal
        for axis in range(3):
            one, other = (np.delete(index, k, axis) for k in (-1, 0))
            hidden = (one != other) & ((one >= len(plane.grains)) != (other >= len(plane.grains)))
            assert (crystal[one[hidden]] == crystal[other[hidden]]).mean() < 0.01


@pytest.mark.parametrize(
    "index",
    [np.zeros((2, 2, 2), int), np.array([[0, -1]]), np.zeros((0, 3), int)],
    ids=["3D", "gap", "empty"],
)
def test_no_plane_of_grains(index):
    with pytest.raises(ParameterError, match="plane must be"):
        fit_plane(index)


@pytest.mark.parametrize(("depth", "rim"), [(0, 0), (3, -1)])
def test_no_volume(depth, rim):
    with pytest.raises(ParameterError, match="depth = "):
        under_map(fit_plane(np.zeros((3, 3), int)), np.random.default_rng(0), depth=depth, rim=rim)
