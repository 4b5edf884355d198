"""Depths under a map: what every grain answers on average, and how far the map leaves it open."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from cpml.errors import CpmlError, ParameterError
from cpml.models import grain_response
from cpml.models.mechanics.depth import Depths, volumes_under
from cpml.models.mechanics.grain_stress import grain_state
from cpml.models.numerics import STANDARD
from cpml.models.specimen.remembered import Remembered
from models.conftest import make_specimen

FEW = replace(STANDARD, depths=3, depth_diameters=1.5, rim_diameters=0.25, depth_tolerance=1e-2)
"""Of small volumes, solved in a tenth of a second each."""
TILES = np.kron(np.arange(12).reshape(3, 4), np.ones((4, 4), int))


def with_raster(specimen, raster, **others):
    """The specimen with a map, and nothing remembered."""
    return replace(specimen, raster=raster, answers=Remembered(), **others)


@pytest.fixture(scope="module")
def specimen():
    """13 magnesium grains: 12 square ones, and one too small for a cell."""
    return with_raster(make_specimen(13)[0], TILES)


@pytest.fixture(scope="module")
def strength(specimen):
    return np.log(specimen.material.strengths)


@pytest.fixture(scope="module")
def solved(specimen, strength):
    return grain_state(specimen, strength, "depth", numerics=FEW)


def test_mean_and_scatter_of_every_grain(specimen, solved):
    """Shapes, positive definite covariances, the load carried: the plane has the volume's mean stress within
    20 %, as a section of two grains' depth has.
    """
    grains = len(specimen)
    assert solved.stress.shape == solved.rate.shape == (grains, 5)
    assert solved.spin.shape == (grains, 3) and solved.log_total.shape == (grains,)
    for covariance, size in (
        (solved.covariance, 5),
        (solved.rate_covariance, 5),
        (solved.spin_covariance, 3),
    ):
        assert covariance.shape == (grains, size, size)
        np.testing.assert_allclose(covariance, covariance.transpose(0, 2, 1), atol=1e-12)
        assert np.linalg.eigvalsh(covariance).min() > 0
    assert (solved.log_total_sd > 0).all()
    assert solved.converged and solved.family_share.sum() == pytest.approx(1)
    response = grain_response(specimen, scheme="sachs")
    assert (solved.stress @ response.stress[0]).mean() == pytest.approx(1, abs=0.2)


def test_one_seed_is_one_answer(specimen, strength, solved):
    """The same to the last bit on a specimen that remembers nothing; another seed draws other depths; and
    equal questions are asked once.
    """
    fresh = with_raster(specimen, TILES)
    again = grain_state(fresh, strength, "depth", numerics=FEW)
    np.testing.assert_array_equal(again.stress, solved.stress)
    assert grain_state(fresh, strength + 1.0, "depth", numerics=FEW) is again
    one, other = (volumes_under(specimen, FEW, seed)[0].grain_index for seed in (0, 1))
    assert (one != other).any()


def test_names_of_grains_change_nothing(specimen, strength, solved):
    """Grains in another order have the same answers (solved to 1 % of the power, along the same way)."""
    order = np.random.default_rng(0).permutation(len(specimen))
    where = np.argsort(order)
    renamed = with_raster(
        specimen,
        where[TILES],
        grains=specimen.grains.iloc[order].reset_index(drop=True),
        neighbours=where[specimen.neighbours],
    )
    found = grain_state(renamed, strength, "depth", numerics=FEW)
    np.testing.assert_allclose(found.stress, solved.stress[order], atol=1e-3)
    np.testing.assert_allclose(found.covariance, solved.covariance[order], atol=1e-3)


def test_a_grain_without_a_cell_has_the_answer_of_the_medium(specimen, strength, solved):
    """And it is as open as the others are on average."""
    medium = grain_state(specimen, strength, "affine", numerics=FEW)
    np.testing.assert_allclose(solved.stress[12], medium.stress[12])
    np.testing.assert_allclose(solved.covariance[12], solved.covariance[:12].mean(0), rtol=1e-9)


def test_a_single_crystal_leaves_nothing_open(specimen, strength):
    """Grains of one orientation are one crystal, whatever is under them: the stress of the load, without
    scatter.
    """
    grains = specimen.grains.copy()
    grains[["qw", "qx", "qy", "qz"]] = specimen.quaternions[0]
    single = with_raster(specimen, TILES, grains=grains)
    found = grain_state(single, strength, "depth", numerics=FEW)
    load = grain_state(single, strength, "sachs", numerics=FEW)
    np.testing.assert_allclose(found.stress[:12], load.stress[:12], atol=0.02)  # those with a cell
    assert np.abs(found.covariance).max() < 1e-3


def test_a_free_surface_is_another_question(specimen, strength, solved):
    """A surface that was free while the specimen deformed: other volumes, other answers; silence means a
    section of the bulk.
    """
    free = replace(specimen, free_surface=True)
    surface = grain_state(free, strength, "depth", numerics=FEW)
    assert surface.converged
    assert np.abs(surface.stress - solved.stress).max() > 0.01
    bulk = grain_state(replace(specimen, free_surface=False), strength, "depth", numerics=FEW)
    np.testing.assert_array_equal(bulk.stress, solved.stress)


def drawn(draws, grains=400, seed=0):
    """Depths, truths and a medium whose statistics are known: covariance A A^T of the draws about a mean, and
    the medium 0.5 (rms, all directions) away from the mean.
    """
    rng = np.random.default_rng(seed)
    mix = np.tril(rng.normal(size=(5, 5))) * 0.2 + 0.2 * np.eye(5)
    centre = rng.normal(size=(grains, 5))
    stress = centre + rng.normal(size=(draws, grains, 5)) @ mix.T
    truth = centre + rng.normal(size=(grains, 5)) @ mix.T
    medium = centre + rng.normal(size=(grains, 5)) * np.sqrt(0.25 / 5)
    rest = np.zeros((draws, grains))
    depths = Depths(stress, rest, stress, rest[..., None], np.ones(1), 1.0, True)
    return depths, centre, truth, {"stress": medium}, mix @ mix.T


@pytest.mark.parametrize("draws", [3, 10])
def test_the_ellipsoids_hold_the_truth(draws):
    """The 50 and 90 % ellipsoids of mean and covariance hold 50 and 90 % of 400 truths, within 13 %: a
    covariance that is itself estimated, from a few draws in five directions, has lighter ellipsoids than its
    tails.
    """
    depths, _, truth, medium, true = drawn(draws)
    mean, covariance = depths.summary(medium, 5.0)["stress"]
    apart = truth - mean
    square = np.einsum("gi,gij,gj->g", apart, np.linalg.inv(covariance), apart)
    for level in (0.5, 0.9):
        assert (square < chi2.ppf(level, 5)).mean() == pytest.approx(level, abs=0.13)
    np.testing.assert_allclose(covariance.mean(0), true * (1 + 1 / draws), atol=0.25 * np.trace(true))


def test_the_medium_takes_noise_out_of_few_draws():
    """Nearer to the true means than the average of the draws, and than the medium; many draws need none."""
    errors = {}
    for draws in (3, 300):
        depths, centre, _, medium, _ = drawn(draws, grains=200)
        mean = depths.summary(medium, 5.0)["stress"][0]
        errors[draws] = [
            ((v - centre) ** 2).sum(1).mean() for v in (mean, depths.stress.mean(0), medium["stress"])
        ]
    assert errors[3][0] < 0.85 * min(errors[3][1:])
    assert errors[300][0] == pytest.approx(errors[300][1], rel=0.05)


def test_without_a_map_there_is_no_depth(specimen, strength):
    with pytest.raises(CpmlError, match="no map"):
        grain_state(with_raster(specimen, None), strength, "depth", numerics=FEW)


def test_one_volume_tells_no_scatter(specimen, strength):
    with pytest.raises(ParameterError, match="at least 2"):
        grain_state(specimen, strength, "depth", numerics=replace(FEW, depths=1))
