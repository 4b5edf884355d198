"""Full field: what is exact for one grain and for a laminate, bounds, symmetry, and the
grain stresses of another solver.
"""

import numpy as np
import pytest

from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply, random_quaternions
from cpml.crystallography.tensors import to_matrix
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity import PowerLaw, full_field, mean_field
from support.phases import FCC

TENSION = Load.from_dict({"kind": "tension", "axis": "x"})


@pytest.fixture(scope="module")
def law():
    """fcc, one strength."""
    return PowerLaw(FCC, [10.0], n=5.0, reference_rate=1e-3)


@pytest.fixture(scope="module")
def mosaic(law):
    """Twelve grains on a 24 x 24 map of nearest seeds, and their field."""
    rng = np.random.default_rng(3)
    seed = rng.random((12, 2)) * 24
    row, column = np.mgrid[:24, :24]
    apart = [np.abs(row[..., None] - seed[:, 0]), np.abs(column[..., None] - seed[:, 1])]
    grain_index = sum(np.minimum(a, 24 - a) ** 2 for a in apart).argmin(-1)
    q = random_quaternions(12, rng)
    return grain_index, q, full_field(law, grain_index, q, loading=TENSION, tol=1e-7)


def test_one_grain_is_a_single_crystal(law):
    """A homogeneous cell under a prescribed rate: every pixel has the Taylor stress of the crystal."""
    q = random_quaternions(1, np.random.default_rng(0))
    rate = TENSION.rate_direction * 1e-3
    field = full_field(law, np.zeros((4, 6), int), q, loading=rate, tol=1e-10)
    taylor = mean_field(law, q, loading=rate, scheme="taylor").grain_stress.numpy()
    assert field.converged and np.allclose(field.stress, taylor, rtol=1e-6)


def test_laminate_keeps_traction_and_tangential_strain(law):
    """Layers normal to x: sigma_xy, sigma_xz and d_yy, d_yz, d_zz (so d_xx) are the same
    in both; fields uniform in each.
    """
    q = random_quaternions(2, np.random.default_rng(1))
    grain_index = np.zeros((3, 8), int)
    grain_index[:, 4:] = 1
    field = full_field(law, grain_index, q, loading=TENSION, tol=1e-12, max_iter=60)
    stress, rate = (to_matrix(v[0, [1, 6]]) for v in (field.stress, field.rate))
    scale_s, scale_d = np.abs(stress).max(), np.abs(rate).max()
    for i, j in ((0, 1), (0, 2)):
        assert abs(stress[0, i, j] - stress[1, i, j]) < 1e-4 * scale_s
    for i, j in ((0, 0), (1, 1), (2, 2), (1, 2)):
        assert abs(rate[0, i, j] - rate[1, i, j]) < 1e-4 * scale_d
    assert np.ptp(field.stress[:, :4], axis=(0, 1)).max() < 1e-4 * scale_s
    assert abs(stress[0, 1, 1] - stress[1, 1, 1]) > 1e-2 * scale_s  # the laminate is no homogeneous cell


def test_mean_stress_is_parallel_to_the_load(mosaic):
    """Uniaxial load: the mean deviator has the load's direction, and the field is in equilibrium."""
    _, _, field = mosaic
    mean = to_matrix(field.macro)
    wanted = np.diag([2.0, -1.0, -1.0]) / 3
    cosine = (mean * wanted).sum() / np.linalg.norm(mean) / np.linalg.norm(wanted)
    assert field.converged and field.residual < 5e-3 and cosine == pytest.approx(1.0, abs=1e-6)


def test_between_sachs_and_taylor(law, mosaic):
    """Power lies between the bounds of the same potential: below Taylor (free lateral rates), above Sachs."""
    grain_index, q, field = mosaic
    weights = np.bincount(grain_index.ravel()).astype(float)
    upper = mean_field(law, q, weights=weights, loading=TENSION, scheme="taylor", lateral="free").von_mises
    lower = mean_field(law, q, weights=weights, loading=TENSION, scheme="sachs").von_mises
    assert float(lower) < field.von_mises < float(upper)


def test_a_quarter_turn_turns_the_answer(law, mosaic):
    """Map, crystals and load turned by 90 deg about z: the same von Mises stress in every pixel, turned."""
    grain_index, q, field = mosaic
    turn = axis_angle_to_quaternion(np.array([0.0, 0.0, 1.0]), np.pi / 2)  # x to y: columns become rows
    along_y = Load.from_dict({"kind": "tension", "axis": "y"})
    moved = quaternion_multiply(turn, q)
    turned = full_field(law, np.rot90(grain_index, -1), moved, tol=1e-7, loading=along_y)
    size = [np.linalg.norm(v, axis=-1) for v in (np.rot90(field.stress, -1), turned.stress)]
    assert np.abs(size[0] - size[1]).max() < 2e-3 * size[0].mean()


def test_a_plane_and_a_stack_of_it_agree(law, mosaic):
    """Two equal slices are the plane continued along z."""
    grain_index, q, field = mosaic
    stack = full_field(law, np.stack([grain_index, grain_index]), q, loading=TENSION, tol=1e-6)
    flat = full_field(law, grain_index, q, loading=TENSION, tol=1e-6)
    assert np.allclose(
        stack.grain_mean(stack.stress), flat.grain_mean(flat.stress), atol=1e-2 * field.von_mises
    )


def test_grain_means(mosaic):
    """Means of a constant are the constant; a grain without a pixel is NaN."""
    _, _, field = mosaic
    assert np.allclose(field.grain_mean(np.ones(field.grain_index.shape)), 1.0)


@pytest.mark.parametrize(
    "wrong", [np.zeros(5, int), np.zeros((3, 3)), np.full((3, 3), 7), np.full((3, 3), -1)]
)
def test_grids_that_are_none(law, wrong):
    """One dimension, no whole numbers, unknown grains, pixels without a grain: one error each."""
    with pytest.raises(ParameterError, match="grain_index"):
        full_field(law, wrong, random_quaternions(2, np.random.default_rng(0)), loading=TENSION)
