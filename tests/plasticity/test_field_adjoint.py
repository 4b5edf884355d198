"""Derivatives of the full field equal central differences, and forward and backward agree.

Fields are solved to rounding (accuracy 1e-12), differences are of fourth order with steps of 1e-4 (1e-3 at
n = 3), and losses are random functions of every result: what is left, below 1e-5, is the difference's own
error.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from cpml.crystallography.rotations import quaternion_to_matrix, random_quaternions
from cpml.crystallography.tensors import to_vector
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity import (
    Conditions,
    PowerLaw,
    ThermalGlide,
    Together,
    Voce,
    differentiable_path,
    full_field,
    full_field_path,
)
from cpml.plasticity.field.adjoint import AttachedField, differentiable_field, strength_sensitivity
from support.fields import mosaic
from support.phases import FCC, MG, MG_STRENGTHS

RATE = 1e-3
LOAD = Load.from_dict({"kind": "tension", "axis": "x", "rate": RATE})
COMPRESSION = Conditions.uniaxial(1, -RATE)
STRENGTHS = torch.tensor(MG_STRENGTHS)
EXACT = 1e-12


def crystals(count: int, seed: int = 1) -> Tensor:
    """(G, 3, 3) random orientations."""
    return torch.as_tensor(quaternion_to_matrix(random_quaternions(count, np.random.default_rng(seed))))


def turned(matrices: Tensor, rotation: Tensor) -> Tensor:
    """Orientations after rotation vectors (G, 3)."""
    x, y, z = rotation.unbind(-1)
    o = torch.zeros_like(x)
    skew = torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(-1, 3, 3)
    return torch.linalg.matrix_exp(skew) @ matrices


@dataclass
class Loss:
    """A random function of all results, each in its own unit."""

    stress: float
    seed: int = 5

    def __call__(self, solved: AttachedField, solid=None) -> Tensor:
        rng = np.random.default_rng(self.seed)
        values = [solved.stress / self.stress, solved.shear_rate / RATE, solved.macro / self.stress]
        rates = [solved.rate / RATE, solved.velocity_gradient / RATE]
        if solid is not None:  # strain rates of empty voxels are not determined
            rates = [rate[torch.as_tensor(solid)] for rate in rates]
        total = (solved.stress / self.stress).norm()
        for value in values + rates:
            weight = torch.as_tensor(rng.standard_normal(value.shape))
            total = total + (weight * value).sum() / value.numel() ** 0.5
        return total


def errors(
    function, parameters: dict[str, Tensor], step: float = 1e-4, *, joint: bool = False
) -> list[float]:
    """Relative errors of the derivative along a random direction: of each parameter, or of all at once."""
    rng = np.random.default_rng(9)
    given = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    slopes = dict(zip(given, torch.autograd.grad(function(given), list(given.values())), strict=True))
    along = {name: torch.as_tensor(rng.standard_normal(value.shape)) for name, value in parameters.items()}
    found = []
    for names in [list(parameters)] if joint else [[name] for name in parameters]:

        def at(share, names=names):
            moved = {name: parameters[name] + share * step * along[name] for name in names}
            with torch.no_grad():
                return float(function(parameters | moved))

        quotient = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
        slope = sum(float((slopes[name] * along[name]).sum()) for name in names)
        found.append(abs(slope / quotient - 1))
    return found


def power_law(systems, strength, p: dict[str, Tensor], n: float) -> PowerLaw:
    """Law at parameters relative to a base."""
    return PowerLaw(systems, strength * p["strength"].exp(), n * p["n"].exp(), RATE * p["rate0"].exp())


def start(strength_shape, count: int) -> dict[str, Tensor]:
    """Parameters of the base."""
    shapes = {"strength": strength_shape, "n": (), "rate0": (), "rotation": (count, 3)}
    return {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("systems", "strength", "n", "shape", "loading"),
    [
        (FCC, torch.tensor([10.0]), 3, (8, 8), LOAD),
        (FCC, torch.tensor([10.0]), 20, (10, 10), LOAD),
        (FCC, torch.tensor([10.0]), 7.5, (8, 8, 8), LOAD.rate_direction * RATE),
        (MG, STRENGTHS, 20, (8, 7), COMPRESSION),
    ],
)
def test_power_law(systems, strength, n, shape, loading):
    """Strengths, exponent, rate and orientations, of maps and a volume, n 3 to 20, polar twins (1e-5)."""
    grains, base = mosaic(shape, 6), crystals(6)
    loss = Loss(float(strength.mean()))

    def function(p):
        law, q = power_law(systems, strength.double(), p, n), turned(base, p["rotation"])
        return loss(differentiable_field(law, grains, q, loading=loading, accuracy=EXACT))

    assert max(errors(function, start(strength.shape, 6), 1e-3 if n == 3 else 5e-5)) < 1e-5


@pytest.mark.parametrize("where", ["grain", "voxel"])
def test_strengths_of_grains_and_voxels(where):
    """Strengths that differ from grain to grain or voxel to voxel (1e-5)."""
    grains, q = mosaic((8, 8), 5), crystals(5)
    shape = (5, 4) if where == "grain" else (8, 8, 4)
    base, loss = (
        STRENGTHS * torch.linspace(0.9, 1.1, shape[0]).reshape(-1, *[1] * (len(shape) - 1)),
        Loss(40.0),
    )

    def function(p):
        law = PowerLaw(MG, base * p["strength"].exp(), 10.0, RATE)
        return loss(differentiable_field(law, grains, q, loading=COMPRESSION, accuracy=EXACT))

    zero = torch.zeros(shape, dtype=torch.float64)
    assert max(errors(function, {"strength": zero})) < 1e-5


def test_load():
    """An imposed strain rate, and the rates and stresses of mixed conditions (1e-5)."""
    grains, q, law, loss = mosaic((8, 8), 5), crystals(5), PowerLaw(FCC, [10.0], 10.0, RATE), Loss(30.0)
    rate = torch.as_tensor(to_vector(LOAD.rate_direction * RATE))

    def imposed(p):
        return loss(differentiable_field(law, grains, q, loading=rate + RATE * p["rate"], accuracy=EXACT))

    gradient = np.full((3, 3), np.nan)
    gradient[0, 0], gradient[0, 1], gradient[0, 2], gradient[1, 2] = RATE, 2e-4, 0.0, 0.0
    gradient[2, 0] = gradient[2, 1] = 0.0
    stress = np.full((3, 3), np.nan)
    stress[1, 1], stress[2, 2], stress[0, 1] = 3.0, -2.0, 4.0
    mixed = Conditions.mixed(gradient, stress)
    rates, stresses = torch.as_tensor(mixed.rate_values), torch.as_tensor(mixed.stress_values)

    def mix(p):
        solved = differentiable_field(
            law, grains, q, loading=mixed, accuracy=EXACT,
            rate_values=rates + RATE * p["rates"], stress_values=stresses + 10.0 * p["stresses"],
        )  # fmt: skip
        return loss(solved)

    assert max(errors(imposed, {"rate": torch.zeros_like(rate)})) < 1e-5
    assert max(errors(mix, {"rates": torch.zeros_like(rates), "stresses": torch.zeros_like(stresses)})) < 1e-5


def test_any_law():
    """Thermally activated glide, and two power laws together, by their own parameters (1e-5)."""
    grains, q = mosaic((4, 4), 3), crystals(3)

    def thermal(p):
        law = ThermalGlide(
            FCC, 300.0, energy=5e-19 * p["energy"].exp(), strength0=100.0 * p["strength0"].exp(),
            burgers=2.5e-10, passing=5.0 * p["passing"].exp(),
        )  # fmt: skip
        return Loss(100.0)(differentiable_field(law, grains, q, loading=LOAD, accuracy=EXACT))

    def together(p):
        one, two = (PowerLaw(FCC, [s], n, RATE) for s, n in ((10.0, 12.0), (14.0, 3.0)))
        one, two = (replace(law, strength=law.strength * p["s"].exp()) for law in (one, two))
        law = Together((one, replace(two, n=3.0 * p["n"].exp())))
        return Loss(30.0)(differentiable_field(law, grains, q, loading=LOAD, accuracy=EXACT))

    zero = torch.zeros((), dtype=torch.float64)
    assert max(errors(thermal, {"energy": zero, "strength0": zero, "passing": zero}, joint=True)) < 1e-5
    assert max(errors(together, {"s": zero, "n": zero}, joint=True)) < 1e-5


@pytest.mark.parametrize("no_grain", ["empty", "average"])
def test_voxels_without_a_grain(no_grain):
    """A hole, and voxels with the strength of the polycrystal, which follows the law (1e-5)."""
    grains, base, loss = mosaic((8, 8), 5), crystals(5), Loss(20.0)
    grains[2:4, 3:5] = -1

    def function(p):
        law, q = power_law(FCC, torch.tensor([10.0]).double(), p, 8.0), turned(base, p["rotation"])
        solved = differentiable_field(law, grains, q, loading=LOAD, no_grain=no_grain, accuracy=1e-10)
        return loss(solved, grains >= 0)

    assert max(errors(function, start((1,), 5), joint=True)) < 1e-5


def test_two_phases():
    """Strengths of two laws side by side (1e-5)."""
    grains, q, loss, phase = mosaic((8, 8), 6), crystals(6), Loss(30.0), np.arange(6) % 2

    def function(p):
        laws = [
            PowerLaw(FCC, 10.0 * p["a"].exp(), 10.0, RATE),
            PowerLaw(MG, STRENGTHS * p["b"].exp(), 15.0, RATE),
        ]
        return loss(differentiable_field(laws, grains, q, loading=LOAD, phase=phase, accuracy=EXACT))

    zeros = {"a": torch.zeros(1, dtype=torch.float64), "b": torch.zeros(4, dtype=torch.float64)}
    assert max(errors(function, zeros)) < 1e-5


def test_a_path():
    """Two steps with Voce hardening and turning lattices: strength, hardening rate, n and orientations
    differentiate through all fields (1e-5); derivatives of stresses, shears and lattices at the end.
    """
    grains, q, weight = mosaic((6, 6), 4), crystals(4), torch.linspace(-1, 1, 36 * 9, dtype=torch.float64)

    def function(p):
        law = PowerLaw(FCC, 10.0 * p["strength"].exp(), 8.0 * p["n"].exp(), RATE)
        voce = Voce(FCC, tau1=8.0, theta0=60.0 * p["theta0"].exp(), theta1=5.0)
        path = differentiable_path(
            law,
            grains,
            turned(q, p["turn"]),
            loading=LOAD,
            strain=0.1,
            steps=2,
            hardening=voce,
            accuracy=EXACT,
        )
        return path.stress.norm() + path.shear.square().sum() + weight @ path.matrices.reshape(-1)

    zero = torch.zeros((), dtype=torch.float64)
    start = {"strength": zero.reshape(1), "n": zero, "theta0": zero, "turn": torch.zeros(4, 3).double()}
    assert max(errors(function, start)) < 1e-5


def test_a_path_is_that_of_the_engine():
    """The same steps as `full_field_path` without moving the cell, to the tolerance of the fields."""
    grains, q = mosaic((6, 6), 4), crystals(4)
    law, voce = PowerLaw(FCC, [10.0], 8.0, RATE), Voce(FCC, tau1=8.0, theta0=60.0, theta1=5.0)
    given = {"loading": LOAD, "strain": 0.1, "hardening": voce, "steps": 2}
    ours = differentiable_path(law, grains, q, **given)
    other = full_field_path(law, grains, q, update_grid=False, tol=1e-8, **given)
    assert np.allclose(ours.grain_mean(grains, ours.shear), other.grain_shear[-1], rtol=2e-3, atol=2e-4)
    assert np.allclose(ours.matrices, other.last.matrices, atol=2e-4)


@pytest.mark.parametrize("no_grain", ["refuse", "average"])
def test_strength_sensitivity(no_grain):
    """Forward slopes by every family equal difference quotients (1e-5) and the backward derivative (1e-7)."""
    grains, q = mosaic((8, 8), 5), crystals(5)
    if no_grain == "average":
        grains[4:6, 2:4] = -1

    def solve(log_strength, **options):
        law = PowerLaw(MG, STRENGTHS * log_strength.exp(), 10.0, RATE)
        return law, differentiable_field(
            law, grains, q, loading=COMPRESSION, no_grain=no_grain, accuracy=EXACT, **options
        )

    zero = torch.zeros(4, dtype=torch.float64)
    law, solved = solve(zero)
    slopes = strength_sensitivity(
        law, grains, q, loading=COMPRESSION, field=solved.field, no_grain=no_grain, accuracy=1e-10
    )
    for k in range(4):
        up, down = (solve(s * 1e-4 * torch.eye(4, dtype=torch.float64)[k])[1].field for s in (1, -1))
        for name in ("stress", "rate", "shear_rate", "macro"):
            quotient = (getattr(up, name) - getattr(down, name)) / 2e-4
            error = np.abs(getattr(slopes, name)[k] - quotient).max()
            assert error < 1e-5 * np.abs(getattr(slopes, name)).max()
    given = zero.clone().requires_grad_()
    weight = torch.as_tensor(np.random.default_rng(2).standard_normal(solved.stress.shape))
    backward = torch.autograd.grad((weight * solve(given)[1].stress).sum(), given)[0]
    forward = np.tensordot(slopes.stress, weight.numpy(), 3)
    assert forward == pytest.approx(backward.numpy(), rel=1e-7)
    # one factor on all strengths is one on all stresses
    assert slopes.stress.sum(0) == pytest.approx(
        solved.field.stress, abs=1e-7 * float(abs(solved.stress).max())
    )


def test_the_field_itself():
    """Values are those of `full_field`, to its tolerance, and closer to the equations; velocity gradients
    carry the strain rates and the mean spin.
    """
    grains, q, law = mosaic((8, 8), 5), crystals(5), PowerLaw(FCC, [10.0], 10.0, RATE)
    shear = Conditions.mixed([[0.0, 2 * RATE, 0], [0, 0, 0], [0, 0, 0]])
    rough = full_field(law, grains, q, loading=shear, tol=1e-9)
    solved = differentiable_field(law, grains, q, loading=shear, field=rough)
    size = float(np.abs(rough.stress).max())
    assert solved.field.residual < 1e-8 and solved.field.converged
    assert np.abs(solved.field.stress - rough.stress).max() < 1e-3 * size  # sqrt(tol), times n
    assert solved.velocity_gradient.numpy() == pytest.approx(solved.field.velocity_gradient, abs=1e-12)
    assert solved.velocity_gradient.mean((0, 1)).numpy() == pytest.approx(shear.velocity_gradient, abs=1e-12)


def test_refusals():
    """A field of another grid; values that the conditions do not have; a law without strengths."""
    grains, q, law = mosaic((4, 4), 3), crystals(3), PowerLaw(FCC, [10.0], 5.0, RATE)
    field = full_field(law, grains, q, loading=LOAD)
    with pytest.raises(ParameterError, match="field has the grid"):
        differentiable_field(law, mosaic((4, 6), 3), q, loading=LOAD, field=field)
    with pytest.raises(ParameterError, match="rate_values of shape"):
        differentiable_field(law, grains, q, loading=LOAD, rate_values=[1.0, 2.0])

    class Bare:
        schmid, rates = law.schmid, staticmethod(law.rates)

    with pytest.raises(ParameterError, match="no slip systems with strengths"):
        strength_sensitivity(Bare(), grains, q, loading=LOAD, field=field)
