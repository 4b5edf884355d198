"""Self-consistent schemes: closed forms, averages, bounds, invariants, mixed
conditions, gradients, wrong input.
"""

import numpy as np
import pytest
import torch

from cpml.crystallography import quaternion_multiply, quaternion_to_matrix, random_quaternions
from cpml.crystallography.tensors import rotation_5x5, to_matrix, to_vector
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity import Conditions, PowerLaw, mean_field, single_crystal
from cpml.plasticity.polycrystal.eshelby import directions, eshelby, interaction, interaction_torch
from support.laws import MG_LAW, MG_SLIP_LAW
from support.phases import FCC, MG, TENSION

SCHEMES = ["secant", "affine", "n_eff", "tangent"]
FCC_LAW = PowerLaw(FCC, [1.0])
Q = random_quaternions(40, np.random.default_rng(0))


class AllGrains:
    """Equally weighted grains under one stress, as one law."""

    def __init__(self, law, turn):
        self.law, self.count = law, len(turn)
        self.schmid = torch.as_tensor((law.systems.schmid5 @ turn.swapaxes(1, 2)).reshape(-1, 5))

    def rates(self, tau):
        """Rates and slopes of all systems, each grain with its share."""
        found = self.law.rates(tau.reshape(*tau.shape[:-1], self.count, -1))
        return tuple(x.reshape(tau.shape) / self.count for x in found)


def test_sphere_in_an_isotropic_medium():
    """Incompressible: the Eshelby tensor Gamma L is 2/5 and Mt = 2/3 Mbar exactly; no spin."""
    found, spin = eshelby(3.0 * np.eye(5), *directions(None))
    assert 3.0 * found == pytest.approx(0.4 * np.eye(5), abs=1e-12)
    assert spin == pytest.approx(0, abs=1e-12)
    assert interaction(0.25 * np.eye(5), *directions(None))[0] == pytest.approx(np.eye(5) / 6, abs=1e-12)


def test_long_ellipsoids():
    """A cylinder along z: in-plane and antiplane shear of the inclusion have Eshelby
    factors 1/2 (isotropic medium).
    """
    found, _ = eshelby(np.eye(5), *directions(np.diag([1.0, 1.0, 1e4]), (128, 128)))
    assert np.diag(found)[[0, 4]] == pytest.approx(0.5, abs=1e-3)
    assert np.diag(found)[[2, 3]] == pytest.approx(0.25 * 2, abs=1e-3)


def test_torch_equals_numba():
    """One Eshelby integral, two engines: equal to 1e-12 in a strongly anisotropic medium."""
    rng = np.random.default_rng(1)
    m = rng.standard_normal((5, 5))
    m = m @ m.T + 0.1 * np.eye(5)
    sphere = directions(np.diag([3.0, 1.0, 0.5]))
    for one, two in zip(
        interaction_torch(torch.as_tensor(m), *sphere, 2.0), interaction(m, *sphere, 2.0), strict=True
    ):
        assert one.numpy() == pytest.approx(two, abs=1e-11 * np.abs(two).max())


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("law", [FCC_LAW, MG_LAW])
def test_averages_and_interaction(scheme, law):
    """<s_g> = Sigma, <D_g> = D, every grain obeys D_g - D = -Mt (s_g - Sigma), to the tolerance 1e-9."""
    found = mean_field(law, Q, loading=1e-3 * TENSION, scheme=scheme)
    assert bool(found.converged.all())
    stress, medium = found.grain_stress.numpy(), found.medium
    assert stress.mean(0) == pytest.approx(found.stress.numpy(), abs=1e-8 * np.abs(stress).max())
    turn = rotation_5x5(quaternion_to_matrix(Q))
    rate = np.einsum("gij,gj->gi", turn, found.shear_rate.numpy() @ law.systems.schmid5)
    assert rate.mean(0) == pytest.approx(to_vector(1e-3 * TENSION), abs=1e-11)
    assert rate - found.rate.numpy() == pytest.approx(
        -(stress - found.stress.numpy()) @ medium.interaction, abs=1e-10
    )
    assert medium.compliance @ medium.stress + medium.offset == pytest.approx(medium.rate, abs=1e-12)


@pytest.mark.parametrize("law", [FCC_LAW, MG_LAW])
@pytest.mark.parametrize("sign", [1, -1])
def test_between_the_bounds(law, sign):
    """Stress power of Taylor >= secant, affine, n_eff, tangent >= uniform stress at the same mean rate."""
    d = sign * TENSION
    power = {
        s: float(f.stress @ f.rate)
        for s in ["taylor", *SCHEMES]
        for f in [mean_field(law, Q, loading=d, scheme=s)]
    }
    # uniform stress with <D_g> = D, the lower bound: one crystal that has the systems of all grains
    together = AllGrains(law, rotation_5x5(quaternion_to_matrix(Q)))
    lowest = single_crystal(together, d, np.eye(3))
    assert bool(lowest.converged)
    power["uniform stress"] = float(lowest.stress @ lowest.rate)
    assert power["taylor"] > power["secant"] > power["n_eff"] > power["uniform stress"] > 0
    assert power["taylor"] > power["affine"] > power["uniform stress"]
    assert power["secant"] > power["tangent"] > power["uniform stress"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_grain_is_a_single_crystal(scheme):
    """A polycrystal of copies of one grain deforms as the single crystal."""
    for q in Q[:3]:
        found = mean_field(MG_LAW, np.tile(q, (2, 1)), loading=1e-3 * TENSION, scheme=scheme)
        alone = single_crystal(MG_LAW, 1e-3 * TENSION, q).stress
        assert found.stress.numpy() == pytest.approx(alone.numpy(), abs=1e-6 * float(alone.norm()))


@pytest.mark.parametrize("scheme", ["affine", "n_eff"])
def test_objectivity_and_symmetry(scheme):
    """Rotating texture, ellipsoid and load rotates the stress; symmetry copies
    change nothing (quadrature: 1e-6).
    """
    shape, turn = (
        np.diag([2.0, 1.0, 0.7]),
        quaternion_to_matrix(random_quaternions(1, np.random.default_rng(5)))[0],
    )
    r = quaternion_to_matrix(Q)
    one = mean_field(FCC_LAW, r, loading=TENSION, scheme=scheme, shape=shape)
    two = mean_field(FCC_LAW, turn @ r, loading=turn @ TENSION @ turn.T, scheme=scheme, shape=turn @ shape)
    size = float(one.von_mises)
    assert to_matrix(two.stress.numpy()) == pytest.approx(
        turn @ to_matrix(one.stress.numpy()) @ turn.T, abs=1e-5 * size
    )
    copies = quaternion_multiply(Q, np.array([0.0, 1.0, 0.0, 0.0]))
    three = mean_field(FCC_LAW, copies, loading=TENSION, scheme=scheme, shape=shape)
    assert three.stress.numpy() == pytest.approx(one.stress.numpy(), abs=1e-8 * size)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_sign_reversal(scheme):
    """Slip: Sigma(-D) = -Sigma(D). Twins: not, where c lies along the load."""
    forward, backward = (
        mean_field(MG_SLIP_LAW, Q, loading=s * TENSION, scheme=scheme).stress.numpy() for s in (1, -1)
    )
    assert backward == pytest.approx(-forward, abs=1e-7 * np.abs(forward).max())
    along = np.array([[np.cos(a), 0.05 * b, np.sin(a), 0.02] for a in (0.7, 0.8, 0.9) for b in (-1, 0, 1)])
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    forward, backward = (
        mean_field(MG_LAW, along, loading=s * TENSION, scheme=scheme).von_mises for s in (1, -1)
    )
    assert abs(float(forward / backward) - 1) > 0.01


def test_linear_polycrystal():
    """n = 1: all schemes are one; sphere of isotropic grains: a random fcc aggregate is nearly isotropic."""
    law = PowerLaw(FCC, [1.0], 1.0)
    first, *rest = (
        mean_field(law, Q, loading=TENSION, scheme=s).stress.numpy() for s in SCHEMES[:2] + SCHEMES[3:]
    )
    assert all(r == pytest.approx(first, abs=1e-7) for r in rest)


@pytest.mark.parametrize("scheme", ["taylor", "affine", "n_eff"])
def test_mixed_conditions(scheme):
    """Uniaxial tension with free lateral faces: those stresses vanish, the axial
    rate is imposed, the volume stays.
    """
    found = mean_field(MG_LAW, Q, loading=Conditions.uniaxial(2, 1e-3), scheme=scheme)
    d, s = to_matrix(found.rate.numpy()), to_matrix(found.stress.numpy())
    assert d[2, 2] == pytest.approx(1e-3) and abs(np.trace(d)) < 1e-15
    assert [d[0, 1], d[0, 2], d[1, 2]] == pytest.approx([0, 0, 0], abs=1e-12)
    assert s[0, 0] == pytest.approx(s[1, 1], abs=1e-6 * s[2, 2])


def test_free_lateral_strain_equals_the_minimum():
    """Taylor with mixed conditions equals the lateral = 'free' minimisation (1e-7)."""
    load = Load.from_dict({"kind": "tension", "axis": [1, 2, 0.5], "rate": 1e-3})
    old = mean_field(MG_LAW, Q, loading=load, lateral="free")
    axis = to_vector(load.stress)
    new = mean_field(MG_LAW, Q, loading=Conditions.parallel(axis, to_vector(load.rate_direction) * 1e-3))
    assert new.stress.numpy() == pytest.approx(old.stress.numpy(), abs=1e-6 * float(old.von_mises))
    affine = mean_field(MG_LAW, Q, loading=load, lateral="free", scheme="affine")
    lateral = affine.stress.numpy() - (affine.stress.numpy() @ axis) / (axis @ axis) * axis
    assert np.abs(lateral).max() < 1e-7 * float(affine.von_mises)


def test_imposed_stress_gives_back_the_rate():
    """Creep: the stress of a solved rate, imposed, returns that rate."""
    rate = mean_field(FCC_LAW, Q, loading=TENSION, scheme="affine")
    back = mean_field(
        FCC_LAW,
        Q,
        scheme="affine",
        loading=Conditions.mixed(
            np.where(np.triu(np.ones((3, 3)), 1) > 0, 0.0, np.nan), to_matrix(rate.stress.numpy())
        ),
    )
    assert back.rate.numpy() == pytest.approx(rate.rate.numpy(), abs=1e-6)


def test_threads_and_warm_start():
    """Two threads give the same to rounding (1000 grains: fewer are left to one); a start from the solution
    needs few passes.
    """
    one = mean_field(FCC_LAW, np.tile(Q, (25, 1)), loading=TENSION, scheme="affine")
    two = mean_field(
        FCC_LAW, np.tile(Q, (25, 1)), loading=TENSION, scheme="affine", threads=2, start=one.medium.start
    )
    assert two.n_iter <= 3 and two.stress.numpy() == pytest.approx(one.stress.numpy(), abs=1e-8)


@pytest.mark.parametrize("scheme", ["taylor", *SCHEMES])
@pytest.mark.parametrize("parameter", ["strength", "n", "reference_rate", "orientation", "weights"])
def test_implicit_gradient(scheme, parameter):
    """Derivatives of stress, rate and slip under mixed conditions equal central differences (1e-6)."""
    start = {
        "strength": MG_LAW.strength.clone(),
        "n": torch.tensor(10.0, dtype=torch.float64),
        "reference_rate": torch.tensor(1e-3, dtype=torch.float64),
        "orientation": torch.zeros(3, dtype=torch.float64),
        "weights": torch.ones(12, dtype=torch.float64),
    }
    matrices = torch.as_tensor(quaternion_to_matrix(Q[:12]))

    def loss(value):
        v = {**start, parameter: value}
        x, y, z = v["orientation"]
        zero = torch.zeros_like(x)
        skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
        turned = torch.cat([torch.linalg.matrix_exp(skew) @ matrices[:1], matrices[1:]])
        found = mean_field(
            PowerLaw(MG, v["strength"], v["n"], v["reference_rate"]),
            turned,
            weights=v["weights"],
            loading=Conditions.uniaxial(2, -1e-3),
            scheme=scheme,
            tol=1e-12,
        )
        return found.von_mises + 3e3 * found.rate[0] + 1e3 * found.shear_rate[:3].abs().sum()

    value = start[parameter].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(value), value)
    flat, h = start[parameter].reshape(-1), 1e-4 * float(start[parameter].abs().max() or 0.1)
    for k in range(min(4, len(flat))):
        move = torch.zeros_like(flat)
        move[k] = h
        with torch.no_grad():
            up, down = (loss((flat + s * move).reshape(start[parameter].shape)) for s in (1, -1))
            two, back = (loss((flat + 2 * s * move).reshape(start[parameter].shape)) for s in (1, -1))
        difference = float(8 * (up - down) - (two - back)) / (12 * h)  # fourth order: truncation below 1e-7
        assert float(gradient.reshape(-1)[k]) == pytest.approx(
            difference, abs=1e-6 * float(gradient.abs().max())
        )


@pytest.mark.parametrize(
    "gradient, stress, words",
    [
        (np.diag([1.0, 1, 1]), None, "trace"),
        (np.diag([np.nan, 0, 0]), None, "11 has neither"),
        (np.diag([1.0, -1, 0]), np.diag([5.0, np.nan, np.nan]), "over-prescribed"),
        (np.ones((2, 2)), None, r"\(3, 3\)"),
        (np.full((3, 3), np.nan), np.zeros((3, 3)), "both free"),
    ],
)
def test_wrong_conditions(gradient, stress, words):
    """Trace, nothing or too much prescribed, wrong shape, unknown spin: a ParameterError says which."""
    with pytest.raises(ParameterError, match=words):
        Conditions.mixed(gradient, stress)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"n_eff": 0.5, "scheme": "n_eff"}, "n_eff"),
        ({"n_eff": 5.0, "scheme": "affine"}, "n_eff"),
        ({"scheme": "affine", "shape": np.diag([1.0, -1, 1])}, "shape"),
        ({"scheme": "affine", "weights": [0.0] * 40}, "weights"),
        ({"scheme": "sachs", "loading": Conditions.uniaxial(2, 1.0)}, "sachs"),
    ],
)
def test_wrong_options(options, words):
    """n_eff below 1 or without its scheme, an impossible ellipsoid, weights of
    zero, Sachs with mixed conditions.
    """
    with pytest.raises(ParameterError, match=words):
        mean_field(FCC_LAW, Q, **{"loading": TENSION, **options})
