"""Reversals of polycrystals: back stress in crystals, mean fields and paths."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cpml.crystallography import load_material, random_quaternions, systems
from cpml.errors import DatasetError, ParameterError
from cpml.plasticity import (
    Conditions,
    NoHardening,
    PowerLaw,
    deform,
    material_hardening,
    mean_field,
    single_crystal,
)
from cpml.plasticity.laws.shifted import Shifted
from cpml.plasticity.laws.strength.back_stress import BackStress

FCC = systems("fcc", families=["octahedral"])
CUBE = [[1.0, 0, 0, 0]]


def there_and_back(law, hardening, grains, amplitude, steps, turns=1, **options):
    """Path of a tension by `amplitude`, then `turns` times back and forth between its ends."""
    signs = np.concatenate([np.ones(steps), np.repeat([(-1) ** (k + 1) for k in range(turns)], 2 * steps)])
    return deform(
        law,
        hardening,
        grains,
        loading=lambda k: Conditions.uniaxial(0, 1e-3 * signs[min(k, len(signs) - 1)]),
        increment=amplitude / steps,
        steps=len(signs),
        control="11",
        update_texture=False,
        update_shape=False,
        **options,
    )


def test_loop_of_a_cube_crystal():
    """[100] tension and back: eight systems of Schmid factor 1/sqrt(6) with the same back stress, so that the
    stress is sqrt(6) (+-xi + chi), chi the closed form of Armstrong & Frederick, by the rigid limit n = 500.
    """
    xi, c, d, amplitude, steps = 50.0, 4000.0, 100.0, 0.01, 40
    law = PowerLaw(FCC, [xi], n=500.0, reference_rate=1e-3)
    path = there_and_back(law, BackStress(FCC, NoHardening(), c, d), CUBE, amplitude, steps, scheme="taylor")
    shear = np.sqrt(6) * amplitude / 8  # of each system at the turn
    forward = c / d * (1 - np.exp(-d * shear))
    back = -c / d + (forward + c / d) * np.exp(-2 * d * shear)
    stress = path.stress.numpy() @ _AXIAL
    assert bool(path.converged.all())
    # at row `steps` the load has turned: the same back stress helps; 1 % is the rate factor (rate/8)^(1/500)
    assert stress[steps - 1] == pytest.approx(np.sqrt(6) * (xi + forward), rel=0.01)
    assert stress[steps] == pytest.approx(np.sqrt(6) * (-xi + forward), rel=0.02)
    assert stress[-1] == pytest.approx(np.sqrt(6) * (-xi + back), rel=0.01)


_AXIAL = np.array([-1 / np.sqrt(2), -1 / np.sqrt(6), 0, 0, 0]) * 1.5  # sigma_11 of a uniaxial deviator


@pytest.mark.parametrize("scheme", ["taylor", "affine"])
def test_mean_field_of_shifted_strengths(scheme):
    """Where all systems that move have one sense, tau - chi is a strength that is higher by chi: crystals of
    one orientation under [100] tension.
    """
    chi = 20.0 * np.sign(FCC.schmid5 @ _AXIAL)
    law = PowerLaw(FCC, [50.0], n=20.0, reference_rate=1e-3)
    loading = Conditions.uniaxial(0, 1e-3)
    shifted = mean_field(Shifted(law, torch.as_tensor(chi)), CUBE * 3, loading=loading, scheme=scheme)
    plain = mean_field(law, CUBE * 3, loading=loading, scheme=scheme)
    lifted = float(plain.von_mises) + np.sqrt(6) * 20.0
    assert float(shifted.von_mises) == pytest.approx(lifted, rel=1e-6)


@pytest.mark.parametrize("scheme", ["taylor", "affine"])
def test_stress_of_no_back_stress_is_that_of_the_power_law(scheme):
    """chi = 0 goes another way through the solver and ends at the same stress."""
    law, grains = (
        PowerLaw(FCC, [50.0], n=20.0, reference_rate=1e-3),
        random_quaternions(20, np.random.default_rng(0)),
    )
    loading = Conditions.uniaxial(0, 1e-3)
    zero = mean_field(Shifted(law, torch.zeros(20, 12).double()), grains, loading=loading, scheme=scheme)
    plain = mean_field(law, grains, loading=loading, scheme=scheme)
    assert zero.stress.numpy() == pytest.approx(plain.stress.numpy(), rel=1e-6)


def test_gradients_by_back_stress():
    """d sigma / d chi of one crystal against central differences."""
    law, grain = (
        PowerLaw(FCC, [50.0], n=10.0, reference_rate=1e-3),
        random_quaternions(1, np.random.default_rng(3)),
    )
    rate, step = 1e-3 * np.diag([1.0, -0.5, -0.5]), 1e-4
    chi = torch.linspace(-9, 9, 12, dtype=torch.float64, requires_grad=True)
    single_crystal(Shifted(law, chi), rate, grain, tol=1e-12).stress.norm().backward()
    for k in (0, 4, 11):
        ends = []
        for sign in (1, -1):
            moved = chi.detach().clone()
            moved[k] += sign * step
            ends.append(float(single_crystal(Shifted(law, moved), rate, grain, tol=1e-12).stress.norm()))
        assert float(chi.grad[k]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-8)


def test_cyclic_loop_of_316l():
    """The file of 316L, cycled by +-0.5 % of plastic strain: the loop closes, its amplitude lies within 250
    to 330 MPa, where steels of this kind are at such amplitudes, and reversed flow begins at less than half
    of the stress that was left (Bauschinger); without back stress it begins at all of it.
    """
    steel, grains = load_material("stainless_316l"), random_quaternions(30, np.random.default_rng(0))
    law, steps, options = PowerLaw.from_material(steel), 25, {"scheme": "affine", "tol": 1e-5}
    path = there_and_back(law, material_hardening(steel), grains, 0.005, steps, turns=4, **options)
    stress = path.stress.numpy() @ _AXIAL
    ends = stress[[steps + 2 * steps * k - 1 for k in range(5)]]
    assert bool(path.converged.all())
    assert (np.sign(ends) == [1, -1, 1, -1, 1]).all()
    assert np.abs(ends[-2] + ends[-1]) < 0.03 * np.abs(ends[-1])
    assert 250 < np.abs(ends[-1]) < 330
    turn = -stress[steps] / ends[0]
    assert turn < 0.65
    plain = there_and_back(
        law, material_hardening(replace(steel, back_stress={})), grains, 0.005, 4, **options
    )
    forth, back = (plain.stress.numpy() @ _AXIAL)[[3, 4]]
    assert back == pytest.approx(-forth, rel=0.02)


def test_scheme_without_a_meaning_and_wrong_files(tmp_path):
    """Schemes of one exponent refuse shifted grains; a file's block needs all numbers."""
    law = Shifted(PowerLaw(FCC, [50.0]), torch.zeros(12).double())
    with pytest.raises(ParameterError, match="needs the one exponent"):
        mean_field(law, CUBE, loading=Conditions.uniaxial(0, 1e-3), scheme="tangent")
    hardening = BackStress(FCC, NoHardening(), 100.0)
    with pytest.raises(ParameterError, match="one exponent"):
        there_and_back(PowerLaw(FCC, [50.0]), hardening, CUBE, 0.01, 2, scheme="secant")
    file = tmp_path / "own.yml"
    file.write_text(
        "lattice: fcc\na_nm: 0.36\nfamilies:\n  octahedral: {strength_mpa: 10, source: mine}\n"
        "back_stress: {modulus_mpa: 10, source: mine}\n"
    )
    with pytest.raises(DatasetError, match="back_stress: lasting_mpa, saturation_mpa missing"):
        load_material(file)
