"""Twins that begin by chance: the distribution of thresholds, what paths make of it, bad input."""

import numpy as np
import pytest
from scipy import stats

from cpml.crystallography import load_material, random_quaternions, systems
from cpml.errors import ParameterError
from cpml.plasticity import (
    Conditions,
    PowerLaw,
    Reorientation,
    TwinNucleation,
    VolumeTransfer,
    deform,
    material_hardening,
)

AZ31 = load_material("magnesium_az31")
LAW = PowerLaw.from_material(AZ31)
TWIN = LAW.systems.twin


def pressed(nucleation, grains, steps=6, **options):
    """Compression to 3 %."""
    options = {"scheme": "affine", "tol": 1e-5} | options
    return deform(
        LAW,
        material_hardening(AZ31),
        grains,
        loading=Conditions.uniaxial(0, -1e-3),
        increment=0.03 / steps,
        steps=steps,
        control="11",
        nucleation=nucleation,
        **options,
    )


def test_thresholds_are_weibull():
    """Of 3,000 variants: Kolmogorov-Smirnov against scipy's Weibull of the same scale and exponent; slip
    waits for nothing.
    """
    nuclei = TwinNucleation(LAW.systems, tau0=60.0, exponent=4.0, area=2.0).start(500)
    drawn = nuclei.threshold[:, TWIN].ravel()
    weibull = stats.weibull_min(4.0, scale=60.0 * 2.0**-0.25)
    assert stats.kstest(drawn, weibull.cdf).pvalue > 0.01
    assert nuclei.nucleated[:, ~TWIN].all() and not nuclei.nucleated[:, TWIN].any()


def test_larger_boundaries_nucleate_sooner():
    """The median threshold goes as area^(-1/alpha): 16 times the area, half the stress at alpha = 4."""
    small, large = (
        np.median(TwinNucleation(LAW.systems, 60.0, 4.0, area=a, seed=1).start(2000).threshold[:, TWIN])
        for a in (1.0, 16.0)
    )
    assert small / large == pytest.approx(2.0, rel=1e-9)  # the same draws
    assert small == pytest.approx(60.0 * np.log(2) ** 0.25, rel=0.01)


def test_far_below_the_strength_nothing_changes():
    """Thresholds of 1 MPa: the path is that without nucleation to its tolerance."""
    grains = random_quaternions(20, np.random.default_rng(0))
    plain, by_chance = (pressed(n, grains) for n in (None, TwinNucleation(LAW.systems, 1.0, 8.0)))
    # the first row is solved before anything has nucleated, at strengths above all thresholds
    assert by_chance.von_mises.numpy() == pytest.approx(plain.von_mises.numpy(), rel=1e-4)
    assert by_chance.twin_fraction == pytest.approx(plain.twin_fraction, rel=1e-3)
    assert by_chance.nucleated is not None and plain.nucleated is None


def test_a_crystal_waits_for_its_threshold():
    """One crystal pressed across c, which would twin from the start: the stress rises to the threshold of its
    best variants, twinning begins there, and the next row is softer.
    """
    nucleation = TwinNucleation(LAW.systems, tau0=45.0, exponent=50.0)
    found = pressed(nucleation, [[1.0, 0, 0, 0]], steps=30, scheme="taylor", update_texture=False)
    plain = pressed(None, [[1.0, 0, 0, 0]], steps=30, scheme="taylor", update_texture=False)
    assert float(found.von_mises[0]) > 1.2 * float(plain.von_mises[0])
    assert found.nucleated[0, TWIN].any()
    assert float(found.von_mises[1]) < 0.9 * float(found.von_mises[0])


@pytest.mark.parametrize("rule", [Reorientation, VolumeTransfer])
def test_large_grains_twin_and_small_ones_do_not(rule):
    """The same grains with 30 times the boundary area twin in larger number (Beyerlein, McCabe & Tome 2011),
    and sooner, by both rules of twinning; the same seed is the same path, another one another.
    """
    grains, rules = random_quaternions(60, np.random.default_rng(2)), rule(LAW.systems)
    small, large, again, other = (
        pressed(TwinNucleation(LAW.systems, 150.0, 4.0, area=area, seed=seed), grains, reorientation=rules)
        for area, seed in ((1.0, 0), (30.0, 0), (30.0, 0), (30.0, 1))
    )
    k = small.families.index("twin_1012")
    few, many = (p.nucleated[:60, TWIN].any(1) | (p.twin_count[:60] > 0) for p in (small, large))
    assert bool(small.converged.all()) and bool(large.converged.all())
    assert many.mean() > few.mean() + 0.1
    assert large.twin_fraction[-1, k] > 1.1 * small.twin_fraction[-1, k] > 0
    assert again.von_mises.numpy() == pytest.approx(large.von_mises.numpy(), rel=1e-12)
    assert not np.allclose(other.von_mises.numpy(), large.von_mises.numpy(), rtol=1e-3)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: TwinNucleation(systems("fcc", families=["octahedral"]), 1.0, 1.0), "no twins"),
        (lambda: TwinNucleation(LAW.systems, -1.0, 1.0), "tau0"),
        (lambda: TwinNucleation(LAW.systems, 1.0, 0.0), "exponent"),
        (lambda: TwinNucleation(LAW.systems, 1.0, 1.0, area=[1.0, -1.0]), "areas"),
        (
            lambda: pressed(TwinNucleation(LAW.systems, 1.0, 1.0, area=[1.0, 1.0]), [[1.0, 0, 0, 0]]),
            "2 boundary",
        ),
        (
            lambda: pressed(
                TwinNucleation(load_material("titanium_cp").systems(), 1.0, 1.0), [[1.0, 0, 0, 0]]
            ),
            "systems of the law",
        ),
    ],
)
def test_bad_input(make, words):
    """One line each."""
    with pytest.raises(ParameterError, match=words):
        make()
