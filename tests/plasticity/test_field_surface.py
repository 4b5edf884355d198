"""Free surfaces of the full field: a plate of one crystal, a thin plate of two layers, traction, the gap."""

import numpy as np
import pytest

from cpml.crystallography.rotations import random_quaternions
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity import Conditions, full_field, polished
from cpml.plasticity.field.surface import slab, surface_corners, traction, with_gap
from support.fields import fcc, share_of
from support.laminate import laminate

TENSION = Load.from_dict({"kind": "tension", "axis": "x"})
ACROSS = Conditions.uniaxial(1, 1e-3)


@pytest.fixture(scope="module")
def two():
    return random_quaternions(2, np.random.default_rng(1))


@pytest.fixture(scope="module")
def block():
    """(15, 15) of two grains, one inside the other and cut by the edge y = 0."""
    grain_index = np.zeros((15, 15), int)
    grain_index[:7, 4:11] = 1
    return grain_index


def test_gap():
    """Layers of no grain at the end of an axis, by default to an odd number."""
    volume = np.zeros((4, 5, 6), int)
    assert with_gap(volume, layers=3).shape == (7, 5, 6)
    assert with_gap(volume, axis="x", layers=2).shape == (4, 5, 8)
    found = with_gap(volume, axis="y")
    assert found.shape[1] % 2 == 1 and found.shape[1] >= 8
    assert (found[:, :5] == 0).all() and (found[:, 5:] == -1).all()
    assert [list(p) for p in surface_corners(found, "y")] == [[0], [5]]
    plate = slab(np.arange(6).reshape(2, 3), 4, gap=3)
    assert plate.shape == (7, 2, 3) and (plate[3] == plate[0]).all() and (plate[4:] == -1).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: with_gap(np.zeros((3, 3), int), axis="z"), "axis"),
        (lambda: with_gap(np.zeros((3, 3), int), axis="y", layers=1), "no free surface"),
        (lambda: with_gap(np.zeros((3, 3)), axis="y"), "whole numbers"),
        (lambda: slab(np.zeros((2, 3, 3), int), 4), "needs a map"),
        (lambda: surface_corners(np.zeros((3, 3), int), "y"), "no gap across y"),
    ],
)
def test_no_gap(call, words):
    """An axis that a map does not have, a film, no map: one error each."""
    with pytest.raises(ParameterError, match=words):
        call()


def test_plate_of_one_crystal(two):
    """Pulled along x with all faces free: every voxel is under the same uniaxial stress, and moves as the law
    says under it.
    """
    law = fcc(20)
    field = full_field(
        law, slab(np.zeros((3, 3), int), 4), two[:1], loading=TENSION, no_grain="empty", tol=1e-9
    )
    solid = field.stress[:4]
    bulk = full_field(law, np.zeros((3, 3), int), two[:1], loading=TENSION, tol=1e-11)
    assert field.converged and np.allclose(solid, bulk.stress[0, 0], rtol=0, atol=1e-4 * bulk.von_mises)
    assert not field.stress[4:].any()
    sigma = field.cauchy[:4]
    assert np.allclose(sigma / sigma[..., :1, :1], np.diag([1.0, 0, 0]), atol=1e-3)


@pytest.mark.parametrize("n", [1, 5])
def test_thin_plate_of_layers(two, n):
    """Layers much wider than the plate is thick are in plane stress, away from their interface, which the
    three-dimensional laminate is not.
    """
    layers = np.arange(48)[None] // 24
    field = full_field(fcc(n), slab(layers, 3), two, loading=ACROSS, no_grain="empty", tol=1e-10)
    stress, rate = laminate([fcc(n)] * 2, two, ACROSS, 0.5, "plate")
    middle = [12, 36]
    # the state decays over a thickness; xy and xx are handed on with what the interface needs, a few 1e-3
    assert share_of(field.stress[1, 0, middle], stress) < 5e-3
    assert share_of(field.rate[1, 0, middle], rate) < 1e-2
    bulk, _ = laminate([fcc(n)] * 2, two, ACROSS)
    assert share_of(bulk, stress) > 0.3


def test_surface_without_traction(two, block):
    """Below 1e-3 of the mean stress at every corner of a free edge; with one layer of gap, or none, not."""
    law = fcc(5)
    grain_index = with_gap(block, axis="y", layers=6)  # 21 layers: odd
    field = full_field(law, grain_index, two, loading=TENSION, no_grain="empty", tol=1e-9)
    size = np.linalg.norm(traction(field, "y"), axis=0)
    assert field.converged and size.shape == (2, 15)
    assert size.max() < 1e-3 * field.von_mises
    film = np.pad(block, ((0, 2), (0, 0)), constant_values=-1)[:16]
    closed = full_field(law, film, two, loading=TENSION, no_grain="empty", tol=1e-9)
    assert np.linalg.norm(traction(closed, "y"), axis=0).max() > 0.05 * closed.von_mises


def test_polished_surface(two, block):
    """At n = 20 and the default tolerance forces of a few 1e-3 of the mean stress are left on the free edge;
    polished, none (1e-6), in layers and in a slab; the von Mises stress stays to sqrt(tol).
    """
    law, plate = fcc(20), slab(block[:6, :6], 4)
    for grain_index, axis in ((with_gap(block, axis="y"), "y"), (plate, "z")):
        given = {"loading": TENSION, "no_grain": "empty"}
        field = full_field(law, grain_index, two, **given)
        exact = polished(field, law, two, **given)
        left = [np.linalg.norm(traction(f, axis), axis=0).max() / f.von_mises for f in (field, exact)]
        assert exact.converged and exact.residual < 1e-8 and left[1] < 1e-6 < left[0]
        assert exact.von_mises == pytest.approx(field.von_mises, rel=1e-2)


def test_thickness_of_the_gap(two, block):
    """Two, three or six layers: the same stress in the solid."""
    solid = []
    for layers in (2, 4, 6):
        grain_index = with_gap(block, axis="y", layers=layers)
        field = full_field(fcc(5), grain_index, two, loading=TENSION, no_grain="empty", tol=1e-10)
        solid.append(field.stress[:15])
    assert share_of(solid[1], solid[0]) < 2e-3 and share_of(solid[2], solid[0]) < 2e-3
    whole = full_field(fcc(5), block, two, loading=TENSION, tol=1e-10)
    assert share_of(whole.stress, solid[0]) > 0.1
