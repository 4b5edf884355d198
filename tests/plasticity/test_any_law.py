"""Laws put together in polycrystals and paths: two engines, climb beside glide,
activities of the mechanisms, gradients.
"""

import numpy as np
import pytest
import torch

from cpml.crystallography import load_material, random_quaternions
from cpml.errors import ParameterError
from cpml.plasticity import (
    Conditions,
    DiffusionClimb,
    KocksMecking,
    PowerLaw,
    Saturation,
    ThermalGlide,
    Together,
    deform,
    mean_field,
    mechanism_activities,
)
from support.phases import FCC, MG, MG_STRENGTHS, TENSION

Q = random_quaternions(12, np.random.default_rng(0))
AL = load_material("aluminium")


@pytest.mark.parametrize("scheme", ["taylor", "relaxed", "secant", "affine", "tangent"])
def test_engines_agree(scheme):
    """Compiled loop and batched torch are one law: stresses of every grain to 1e-8
    (the device's engine, on the CPU).
    """
    law, load = PowerLaw(MG, MG_STRENGTHS, 10.0, 1e-3), Conditions.uniaxial(2, -1e-3)
    one = mean_field(law, Q, loading=load, scheme=scheme, tol=1e-11)
    two = mean_field(law, Q, loading=load, scheme=scheme, tol=1e-11, device="cpu")
    assert bool(one.converged.all()) and bool(two.converged.all())
    assert two.grain_stress.numpy() == pytest.approx(
        one.grain_stress.numpy(), abs=1e-8 * float(one.von_mises)
    )


@pytest.mark.parametrize("scheme", ["taylor", "affine"])
def test_climb_in_a_polycrystal(scheme):
    """Glide and climb in one law: no climb at 300 K, dominant at 0.7 Tm and 1e-7 /s,
    lower stress; shares add up to 1. A low stress holds few dislocations, so that climb softens by a factor
    of four here and not by orders.
    """
    stress, share = [], []
    for temperature in (300.0, 0.7 * AL.diffusion["melting_k"]):
        law = Together((PowerLaw.from_material(AL), DiffusionClimb.from_material(AL, temperature)))
        found = mean_field(law, Q[:6], loading=1e-7 * TENSION, scheme=scheme)
        shares = mechanism_activities(law, found, Q[:6])
        assert bool(found.converged.all()) and sum(shares.values()).numpy() == pytest.approx(1)
        assert float(found.rate @ found.stress) > 0
        stress.append(float(found.von_mises))
        share.append(float(shares["climb"].mean()))
    assert share[0] < 1e-6 and share[1] > 0.9 and stress[1] < 0.3 * stress[0]


def test_cross_slip_among_the_activities():
    """Cross-slip stands beside the families as a share of slip, grows with temperature, and needs one."""
    law = PowerLaw.from_material(AL)
    found = mean_field(law, Q, loading=1e-3 * TENSION)
    cold, hot = (
        mechanism_activities(law, found, Q, material=AL, temperature=t)["cross_slip"] for t in (200.0, 500.0)
    )
    assert bool((cold < hot).all()) and bool((hot <= 1).all())
    assert "cross_slip" not in mechanism_activities(law, found, Q, material=AL)


@pytest.mark.parametrize("name", ["strength", "n"])
def test_gradient_with_climb(name):
    """Affine polycrystal of glide and climb: derivative equal to central differences (1e-6)."""
    start = {
        "strength": torch.tensor([10.0], dtype=torch.float64),
        "n": torch.tensor(10.0, dtype=torch.float64),
    }

    def stress(value):
        v = {**start, name: value}
        law = Together((PowerLaw(FCC, v["strength"], v["n"], 1e-3), DiffusionClimb.from_material(AL, 450.0)))
        return mean_field(law, Q[:4], loading=1e-6 * TENSION, scheme="affine", tol=1e-12).von_mises

    value = start[name].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(stress(value), value)
    h = 1e-4 * start[name]
    difference = float((stress(start[name] + h) - stress(start[name] - h)).detach() / (2 * h))
    assert float(gradient) == pytest.approx(difference, rel=1e-6)


def test_path_with_climb():
    """A path of Together hardens the glide part alone; activities sum to one and name
    climb; climb turns no lattice.
    """
    law = Together((PowerLaw(FCC, [10.0], 10.0, 1e-3), DiffusionClimb.from_material(AL, 500.0)))
    path = deform(
        law, Saturation(FCC, 200.0, 60.0), Q, loading=1e-5 * TENSION, increment=0.01, steps=3, scheme="affine"
    )
    assert path.families == ("octahedral", "climb") and bool(path.converged.all())
    assert path.activity.sum(1).numpy() == pytest.approx(1) and path.activity[-1, 1] > path.activity[0, 1] > 0
    assert float(path.strength[-1, 0]) > 10 and np.isnan(path.strength[-1, 1].item())
    assert "strength_climb_mpa" not in path.table() and "activity_climb" in path.table()
    climb_only = deform(
        Together((PowerLaw(FCC, [1e4], 10.0, 1e-3), DiffusionClimb.from_material(AL, 900.0))),
        None,
        Q,
        loading=1e-7 * TENSION,
        increment=0.1,
        steps=1,
    )
    still = deform(PowerLaw(FCC, [1.0]), None, Q, loading=TENSION, increment=0.1, steps=0)
    assert climb_only.orientations.numpy() == pytest.approx(still.orientations.numpy(), abs=1e-12)


def test_thermal_glide_with_dislocation_densities():
    """Thermally activated glide over obstacles, passing stress from Kocks-Mecking
    densities: hardens, and cold is harder.
    """
    stress = []
    for temperature in (250.0, 400.0):
        density = KocksMecking(
            FCC,
            tau0=0.0,
            k1=2e8,
            drag=300.0,
            activation=4e-3,
            shear_modulus=45e3,
            burgers=2.56e-10,
            density=1e12,
            chi=0.35,
        )
        law = ThermalGlide(
            FCC,
            temperature,
            energy=2e-19,
            strength0=60.0,
            burgers=2.56e-10,
            passing=density.start(torch.ones(1, 12))["strength"][0],
        )
        path = deform(
            law, density, Q[:6], loading=1e-3 * TENSION, increment=0.01, steps=3, temperature=temperature
        )
        assert bool(path.converged.all()) and float(path.von_mises[-1]) > float(path.von_mises[0])
        stress.append(float(path.von_mises[-1]))
    assert stress[0] > stress[1]


def test_schemes_that_need_one_exponent():
    """Secant, tangent and n_eff are refused for laws without one n; Together needs a law."""
    law = Together((PowerLaw(FCC, [10.0]), DiffusionClimb.from_material(AL, 500.0)))
    for scheme in ("secant", "tangent", "n_eff", "sachs"):
        with pytest.raises(ParameterError, match="one exponent"):
            mean_field(law, Q, loading=TENSION, scheme=scheme)
    with pytest.raises(ParameterError, match="at least one"):
        Together(())
