"""Modulus, yield stress and plastic strain of recordings whose answer is known in closed form."""

import numpy as np
import pandas as pd
import pytest

from cpml.errors import CpmlError
from cpml.models import offset_yield
from cpml.plasticity import elastic_line, plastic_curve

MATERIALS = {"steel": (200e3, 250.0), "aluminium": (70e3, 200.0), "magnesium": (45e3, 180.0)}
"""Modulus and stress at the end of the elastic part, MPa."""
STRESS_NOISE, STRAIN_NOISE = 2.0, 2e-5
"""Of a good load cell (MPa) and a good extensometer."""


def hardening(kind, start):
    """Stress over plastic strain: a sharp corner, or a rounded knee that goes over into Voce hardening."""
    if kind == "linear":
        return lambda p: start + 2e3 * p
    return lambda p: start * (0.8 + 0.2 * np.tanh(p / 3e-4) + 0.25 * (1 - np.exp(-p / 0.01)))


def recording(material, kind, *, n=251, slack=0.0, preload=0.0, loop=False, noise=None, last=0.05):
    """A recording, its stress at 0.2 % plastic strain and its last plastic strain.

    Parameters
    ----------
    n : points at even steps of strain
    slack : strain taken up by the grips before the load rises
    preload : stress, MPa, at which strain was set to zero
    loop : unload by half of the stress inside the elastic part, and load again
    noise : seed, None for none
    """
    modulus, start = MATERIALS[material]
    law = hardening(kind, start)
    plastic = np.r_[0, np.geomspace(1e-8, 1.5 * last, 4000)]
    known = np.r_[0, plastic + law(plastic) / modulus], np.r_[0, law(plastic)]
    strain = np.linspace(0, last, n)
    stress = np.interp(strain, *known)
    truth = float(law(np.array(0.002))), float(last - stress[-1] / modulus)
    if loop:
        k = int(np.argmax(stress > 0.6 * start))
        down = stress[k] * (1 - 0.5 * np.r_[np.linspace(0, 1, 6)[1:], np.linspace(1, 0, 6)])
        back = strain[k] - (stress[k] - down) / modulus
        strain, stress = (np.r_[v[: k + 1], w, v[k + 1 :]] for v, w in ((strain, back), (stress, down)))
    if preload:
        kept = stress > preload
        strain, stress = np.r_[0, strain[kept] - preload / modulus], np.r_[preload, stress[kept]]
    if slack:
        toe = np.arange(0, slack, last / n)
        strain, stress = np.r_[toe, strain + slack], np.r_[np.full(len(toe), stress[0]), stress]
    if noise is not None:
        rng = np.random.default_rng(noise)
        strain = strain + rng.normal(0, STRAIN_NOISE, len(strain))
        stress = stress + rng.normal(0, STRESS_NOISE, len(stress))
    return pd.DataFrame({"true_strain": strain, "true_stress_mpa": stress}), *truth


SMOOTH = [
    {},
    {"slack": 6e-4},
    {"preload": 20.0},
    {"loop": True},
    {"slack": 6e-4, "preload": 20.0, "loop": True},
]


@pytest.mark.parametrize("material", MATERIALS)
@pytest.mark.parametrize("kind", ["linear", "voce"])
@pytest.mark.parametrize("sign", [1, -1], ids=["tension", "compression"])
@pytest.mark.parametrize("how", SMOOTH, ids=lambda how: "+".join(how) or "clean")
def test_smooth_recordings(material, kind, sign, how):
    """Slack, preload and a loop of unloading shift nothing; the knee bends its line by 1 % at most."""
    curve, yield_stress, last = recording(material, kind, n=1001, **how)
    curve = sign * curve
    line = elastic_line(curve)
    assert line.modulus_mpa == pytest.approx(MATERIALS[material][0], rel=0.01)
    assert offset_yield(curve) == pytest.approx(yield_stress, rel=0.002)
    plastic, stress = plastic_curve(curve)
    assert plastic[-1] == pytest.approx(last, abs=5e-5) and (stress > 0).all()
    assert (np.diff(plastic) > 0).all() and plastic[0] < 3e-4


@pytest.mark.parametrize("material", MATERIALS)
@pytest.mark.parametrize("kind", ["linear", "voce"])
@pytest.mark.parametrize("how", SMOOTH, ids=lambda how: "+".join(how) or "straight on")
@pytest.mark.parametrize("n", [251, 20_000])
def test_noisy_recordings(material, kind, how, n):
    """Noise of stress and strain: yield stress to 1 %, last plastic strain to 1e-3, for each of five seeds.

    The noise alone is 0.8 to 1.1 % of the yield stress: one point cannot tell it.
    """
    for seed in range(5):
        curve, yield_stress, last = recording(material, kind, n=n, noise=seed, **how)
        assert offset_yield(curve) == pytest.approx(yield_stress, rel=0.01)
        assert plastic_curve(curve)[0][-1] == pytest.approx(last, abs=1e-3)


def test_modulus_of_many_points_and_its_error():
    """20,000 noisy points: the modulus within 3 %, and within four of its standard errors and that 3 % of
    curvature that noise hides.
    """
    for seed in range(5):
        line = elastic_line(recording("steel", "linear", n=20_000, noise=seed)[0])
        assert line.modulus_mpa == pytest.approx(200e3, rel=0.03) and line.n_points > 300
        assert 0 < line.modulus_error_mpa < 0.02 * 200e3
        assert line.noise_mpa == pytest.approx(STRESS_NOISE, rel=0.1)


def test_eight_points_of_elastic_part():
    """An increment of stress each: eight points to the knee, the line goes through all of them."""
    strain = np.r_[np.arange(8) * 30 / 70e3, 210 / 70e3 + np.linspace(5e-4, 0.03, 40)]
    stress = np.r_[np.arange(8) * 30.0, 210 + 1e3 * np.linspace(5e-4, 0.03, 40) * 70 / 71]
    line = elastic_line(pd.DataFrame({"true_strain": strain, "true_stress_mpa": stress}))
    assert line.n_points == 8 and line.modulus_mpa == pytest.approx(70e3)
    assert (line.lowest_mpa, line.highest_mpa) == pytest.approx((0, 210))


def test_two_points_are_taken_where_there_are_no_more():
    """Coarse increments of a simulation: the first one is elastic, the second already bends."""
    strain = np.array([0, 5e-4, 1e-3, 1.5e-3, 2e-3, 2.5e-3, 3e-3, 4e-3, 5e-3])
    stress = np.array([0, 110, 152, 160, 163, 165, 167, 171, 175.0])
    line = elastic_line(pd.DataFrame({"true_strain": strain, "true_stress_mpa": stress}))
    assert line.modulus_mpa == pytest.approx(220e3) and line.zero_strain == pytest.approx(0, abs=1e-9)


def test_unloading_in_the_plastic_part_is_left_out():
    """Three loops to zero stress: hardening is read from the envelope, as without them."""
    curve, yield_stress, last = recording("aluminium", "linear", n=501)
    strain, stress = curve["true_strain"].to_numpy(), curve["true_stress_mpa"].to_numpy()
    for at in (0.04, 0.02, 0.01):
        k = int(np.argmax(strain > at))
        down = stress[k] * np.r_[np.linspace(1, 0, 9)[1:], np.linspace(0, 1, 9)]
        back = strain[k] - (stress[k] - down) / 70e3
        strain, stress = (np.r_[v[: k + 1], w, v[k + 1 :]] for v, w in ((strain, back), (stress, down)))
    loops = pd.DataFrame({"true_strain": strain, "true_stress_mpa": stress})
    assert offset_yield(loops) == pytest.approx(yield_stress, rel=1e-3)
    p, s = plastic_curve(loops)
    np.testing.assert_allclose(s, 200 + 2e3 * p, rtol=1e-3)
    assert p[-1] == pytest.approx(last, abs=1e-5)


def test_what_follows_the_fracture_is_left_out():
    """The stress falls to nothing at the end, while the gauge still moves."""
    curve, _, last = recording("steel", "linear")
    broken = pd.DataFrame({"true_strain": [0.051, 0.052], "true_stress_mpa": [40.0, 1.0]})
    assert plastic_curve(pd.concat([curve, broken]))[0][-1] == pytest.approx(last, abs=1e-5)


def shuffled(curve):
    return curve.sample(frac=1, random_state=3)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda c: c[c["true_strain"] > 0.004], "no metal|starts at"),
        (
            lambda c: c[c["true_strain"] > 0.004].assign(true_strain=lambda t: t["true_strain"] - 0.004),
            "no metal|starts at",
        ),
        (lambda c: c.assign(true_strain=100 * c["true_strain"]), "percent"),
        (lambda c: c.assign(true_stress_mpa=1e6 * c["true_stress_mpa"]), "another unit"),
        (lambda c: c.assign(true_stress_mpa=1e-3 * c["true_stress_mpa"]), "another unit"),
        (shuffled, "order of the test"),
        (lambda c: c[::-1], "order of the test"),
        (lambda c: pd.concat([c, c]), "first loading alone"),
        (lambda c: c[c["true_strain"] < 0.003], "before a plastic strain of 0.002"),
        (lambda c: c[:3], "3 points"),
        (
            lambda c: c.assign(true_stress_mpa=c["true_stress_mpa"].where(c.index != 7)),
            "point 8: not two numbers",
        ),
        (lambda c: 0 * c, "zero throughout"),
        (lambda c: c.assign(true_strain=0.01), "does not rise|points"),
    ],
)
def test_curves_that_tell_no_yield_stress(change, words):
    """No elastic part, another unit, rows out of order, too short, no numbers: an error that says so."""
    curve = change(recording("steel", "linear")[0])
    with pytest.raises(CpmlError, match=words):
        offset_yield(curve)
