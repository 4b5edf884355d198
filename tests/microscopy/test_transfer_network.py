"""Clusters, percolation and best paths on small graphs whose answer is known; distances to triple points."""

import numpy as np
import pytest

from cpml.crystallography.rotations import axis_angle_to_quaternion
from cpml.crystallography.slip_systems import systems
from cpml.errors import ParameterError
from cpml.microscopy import (
    boundary_transfer,
    path_transmission,
    percolation,
    read_map,
    segment,
    transfer_clusters,
)


def strips(make_map, n=4, *, upright=True):
    """n strips of 4 px across the map: a chain of grains whose boundaries are in order."""
    label = np.repeat(np.arange(1, n + 1), 4)[None, :] * np.ones((6, 1), int)
    return segment(
        make_map(
            label if upright else label.T,
            axis_angle_to_quaternion([0, 0, 1], np.radians(20.0 * np.arange(n))),
        )
    )


def test_a_chain_breaks_at_its_weakest_boundary(make_map):
    """0.95, 0.6, 0.92: one cluster above 0.5 that crosses along x; two pairs above 0.9, of half
    the area each.
    """
    grains = strips(make_map)
    weight = [0.95, 0.6, 0.92]
    assert transfer_clusters(grains, weight, above=0.9)["cluster"].tolist() == [1, 1, 2, 2]
    table = percolation(grains, weight, limits=(0.5, 0.9, 0.99))
    assert table["percolates_x"].tolist() == [True, False, False]
    assert table["percolates_y"].all(), "every strip reaches from the upper to the lower rim"
    assert table["largest_share"].tolist() == pytest.approx([1, 1 / 2, 1 / 4])
    assert table["open_share"].tolist() == pytest.approx([1, 2 / 3, 0]) and table["mean_grains"].tolist() == [
        4,
        2,
        1,
    ]
    turned = percolation(strips(make_map, upright=False), weight, limits=(0.9,))
    assert not turned["percolates_y"][0] and turned["percolates_x"][0]


def test_transmission_is_the_best_product(make_map):
    """Along a chain the weights multiply; a detour wins where its product is larger; a closed boundary
    ends the path.
    """
    grains = strips(make_map)
    np.testing.assert_allclose(path_transmission(grains, [0.9, 0.5, 1.0], 1), [1, 0.9, 0.45, 0.45])
    np.testing.assert_allclose(path_transmission(grains, [0.9, np.nan, 1.0], 4), [0, 0, 1, 1])
    label = np.array([[1] * 6 + [2] * 6] * 4 + [[3] * 12] * 4)
    three = segment(make_map(label, axis_angle_to_quaternion([0, 0, 1], np.radians([0, 20, 40]))))
    pairs = three.boundaries[["fragment_a", "fragment_b"]].to_numpy().tolist()
    assert pairs == [[1, 2], [1, 3], [2, 3]]
    np.testing.assert_allclose(path_transmission(three, [0.1, 0.8, 0.9], 1), [1, 0.72, 0.8])


def test_order_of_grains_does_not_matter(make_map, voronoi):
    """The map mirrored renumbers its grains: cluster sizes and shares are the same."""
    cells = voronoi(30, 40, 14, 3)
    q = axis_angle_to_quaternion([0, 0, 1], np.radians(6.0 * np.arange(14)))
    sizes, shares = [], []
    for picture in (cells, cells[:, ::-1]):
        grains = segment(make_map(picture, q))
        angle = grains.boundaries["angle_deg"].to_numpy()
        weight = np.cos(np.radians(angle))
        sizes.append(sorted(transfer_clusters(grains, weight, above=0.9)["n_grains"]))
        shares.append(percolation(grains, weight).to_numpy(float))
    assert sizes[0] == sizes[1]
    np.testing.assert_allclose(*shares)


def test_wrong_weights(make_map):
    """One weight too few, a weight above 1, a fragment that is not there."""
    grains = strips(make_map)
    for weight in ([0.9, 0.5], [0.9, 0.5, 1.2]):
        with pytest.raises(ParameterError, match="3 boundaries"):
            percolation(grains, weight)
    with pytest.raises(ParameterError, match="fragment 7"):
        path_transmission(grains, [1, 1, 1], 7)


def test_steel_lets_slip_pass(mirror):
    """DC06, tension along x, {110}<111>: m' above 0.9 opens some boundaries, above 0.5 more of them
    and larger clusters.
    """
    grains = segment(read_map(mirror("dc06-steel/DC06_2uniax.ang")), min_pixels=10)
    slip = systems("bcc", families=["110"])
    table = boundary_transfer(grains.boundaries, grains.mean_quaternions, slip, stress=np.diag([1.0, 0, 0]))
    found = percolation(grains, table["m_prime"], limits=(0.5, 0.9))
    assert (
        found["open_share"][0] > found["open_share"][1]
        and found["largest_share"][0] >= found["largest_share"][1]
    )
