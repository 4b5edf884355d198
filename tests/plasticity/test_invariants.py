"""Invariants of polycrystals as properties of random textures, loads and
strengths; bad input is one clear error.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from cpml.crystallography import (
    load_material,
    proper_group,
    quaternion_multiply,
    quaternion_to_matrix,
    random_quaternions,
)
from cpml.crystallography.tensors import rotation_5x5, to_matrix, to_vector, von_mises_rate
from cpml.errors import CpmlError, ParameterError
from cpml.plasticity import (
    Conditions,
    PowerLaw,
    Reorientation,
    TwinFraction,
    deform,
    mean_field,
    single_crystal,
    taylor_factor,
)
from cpml.plasticity.polycrystal.schemes import SELF_CONSISTENT
from support.phases import FCC, MG, MG_SLIP, MG_STRENGTHS, TENSION

seeds, sampled = st.integers(0, 2**20), settings(max_examples=6, deadline=None, derandomize=True)
schemes = st.sampled_from(["taylor", "secant", "affine", "n_eff"])


def sample(seed, found=MG, grains=10):
    """Random law, texture, weights and strain rate of a seed."""
    rng = np.random.default_rng(seed)
    strength = MG_STRENGTHS[: len(found.family_names)] * np.exp(
        0.3 * rng.standard_normal(len(found.family_names))
    )
    rate = to_matrix(rng.standard_normal(5))
    return PowerLaw(found, strength, 10.0), random_quaternions(grains, rng), rng.uniform(0.5, 2, grains), rate


@sampled
@given(seeds, schemes)
def test_objectivity(seed, scheme):
    """Texture and load turned together turn the stress (1e-6: quadrature of the Eshelby integral)."""
    law, q, w, d = sample(seed)
    turn = quaternion_to_matrix(random_quaternions(1, np.random.default_rng(seed + 1)))[0]
    one = mean_field(law, q, weights=w, loading=d, scheme=scheme)
    two = mean_field(law, turn @ quaternion_to_matrix(q), weights=w, loading=turn @ d @ turn.T, scheme=scheme)
    expected = turn @ to_matrix(one.stress.numpy()) @ turn.T
    assert to_matrix(two.stress.numpy()) == pytest.approx(expected, abs=1e-6 * float(one.von_mises))


@sampled
@given(seeds, schemes)
def test_symmetry_copies(seed, scheme):
    """Each grain replaced by one of its 12 symmetric copies: the same stress (1e-8)."""
    law, q, w, d = sample(seed)
    group = proper_group("622")
    copies = quaternion_multiply(q, group[np.random.default_rng(seed).integers(len(group), size=len(q))])
    one, two = (mean_field(law, x, weights=w, loading=d, scheme=scheme).stress.numpy() for x in (q, copies))
    assert two == pytest.approx(one, abs=1e-8 * np.abs(one).max())


@sampled
@given(seeds, schemes)
def test_sign_reversal(seed, scheme):
    """Slip: Sigma(-D) = -Sigma(D) (1e-8). Twins: a crystal with c along the load is not symmetric."""
    law, q, w, d = sample(seed, MG_SLIP)
    one, two = (mean_field(law, q, weights=w, loading=s * d, scheme=scheme).stress.numpy() for s in (1, -1))
    assert two == pytest.approx(-one, abs=1e-8 * np.abs(one).max())
    twinning = PowerLaw(MG, MG_STRENGTHS, 10.0)
    up, down = (
        single_crystal(twinning, s * np.diag([-0.5, -0.5, 1.0]), [1.0, 0, 0, 0]).stress for s in (1, -1)
    )
    assert abs(float(up.norm() / down.norm()) - 1) > 0.1


@sampled
@given(seeds, schemes)
def test_dissipation(seed, scheme):
    """tau gamma >= 0 on every system of every grain, and so on average; twins shear one way."""
    law, q, w, d = sample(seed)
    found = mean_field(law, q, weights=w, loading=d, scheme=scheme)
    tau = np.einsum(
        "gi,gij,sj->gs", found.grain_stress.numpy(), rotation_5x5(quaternion_to_matrix(q)), MG.schmid5
    )
    assert (tau * found.shear_rate.numpy()).min() >= 0 and float(found.shear_rate[:, MG.twin].min()) >= 0
    assert float(found.stress @ found.rate) > 0


@sampled
@given(seeds)
def test_order_of_the_schemes(seed):
    """Stress power: Taylor > secant > affine-like schemes > uniform stress (Sachs),
    at one macroscopic strain rate.
    """
    law, q, w, d = sample(seed)
    power = [
        float(f.stress @ f.rate)
        for f in (
            mean_field(law, q, weights=w, loading=d, scheme=s, **o)
            for s, o in (("taylor", {}), ("secant", {}), ("n_eff", {"n_eff": 5.0}), ("tangent", {}))
        )
    ]
    turn, share = rotation_5x5(quaternion_to_matrix(q)), torch.as_tensor(w / w.sum())[:, None]

    class UniformStress:
        schmid = torch.as_tensor((MG.schmid5 @ turn.swapaxes(1, 2)).reshape(-1, 5))

        @staticmethod
        def rates(tau):
            found = law.rates(tau.reshape(*tau.shape[:-1], len(q), -1))
            return tuple((share * x).reshape(tau.shape) for x in found)

    lowest = single_crystal(UniformStress, d, np.eye(3))
    assert bool(lowest.converged)
    assert power == sorted(power, reverse=True) and power[-1] > float(lowest.stress @ lowest.rate) > 0


@sampled
@given(seeds)
def test_fractions(seed):
    """Activities sum to one; twin fractions stay in [0, 1], never shrink, and with the parent make one."""
    law, q, w, _ = sample(seed)
    path = deform(
        law, TwinFraction(MG, Reorienting(), 10.0), q, weights=w, loading=-TENSION, increment=0.03, steps=3
    )
    fraction = path.state["fraction"].detach().numpy()
    assert (
        path.activity.sum(1).numpy() == pytest.approx(1)
        and np.all(fraction >= 0)
        and fraction.sum(1).max() <= 1
    )
    turned = deform(
        law, None, q, weights=w, loading=-TENSION, increment=0.03, steps=3, reorientation=Reorientation(MG)
    )
    assert np.all(np.diff(turned.twin_fraction, axis=0) >= 0) and np.all(turned.reoriented <= 1 + 1e-12)


class Reorienting:
    """Constant strengths, the smallest hardening record there can be."""

    def start(self, strength):
        """State."""
        return {"strength": strength}

    def harden(self, state, shear_rate, dt, *, rate=None, temperature=None):
        """The same state."""
        return state


@sampled
@given(seeds)
def test_towards_the_linear_programme(seed):
    """Taylor stress power tends to the rate-independent one as n grows: error below 3/n, and falling."""
    law, q, w, d = sample(seed)
    d = d / float(von_mises_rate(to_vector(d)))
    exact = w / w.sum() @ taylor_factor(MG, d, q, law.strength.numpy())
    errors = [
        abs(float(f.stress @ f.rate) / exact - 1)
        for f in (mean_field(PowerLaw(MG, law.strength, n), q, weights=w, loading=d) for n in (20.0, 100.0))
    ]
    assert errors[0] < 3 / 20 and errors[1] < 3 / 100 and errors[1] < 0.4 * errors[0]


TIES = [[1.0, 0, 0, 0], [np.cos(np.pi / 8), 0, 0, np.sin(np.pi / 8)], [0.5, 0.5, 0.5, 0.5]]


@pytest.mark.parametrize("n", [1.0, 20.0, 100.0])
def test_degenerate_orientations(n):
    """Exact ties (load along cube and six-fold axes) and a crystal with one soft system
    converge, alone and as an aggregate under every self-consistent scheme.

    The aggregate has nothing but such grains, so that whole modes of its medium are idle.
    """
    for law in (
        PowerLaw(FCC, [30.0], n, 1e-3),
        PowerLaw(FCC, [1.0, *[400.0] * 11], n, 1e-3),
        PowerLaw(MG, [1.0, 300, 500, 40], n, 1e-3),
    ):
        for load in (1e-3 * TENSION, 1e-3 * np.diag([1.0, 0, -1]), Conditions.uniaxial(2, -1e-3)):
            assert all(bool(single_crystal(law, load, q).converged) for q in TIES)
            for scheme in SELF_CONSISTENT:
                assert bool(mean_field(law, TIES, loading=load, scheme=scheme).converged.all()), scheme


NOT_ROTATION = np.diag([1.0, 1.0, -1.0])
FREE = np.full((3, 3), np.nan)


@pytest.mark.parametrize(
    "build, words",
    [
        (lambda: PowerLaw(FCC, [-1.0]), "strengths must be positive"),
        (lambda: PowerLaw(FCC, [1.0], 0.9), "n = 0.9"),
        (lambda: single_crystal(PowerLaw(FCC, [1.0]), TENSION, NOT_ROTATION), "no rotation"),
        (
            lambda: mean_field(PowerLaw(FCC, [1.0]), [np.eye(3), 1.01 * np.eye(3)], loading=TENSION),
            "orientation 1 is no rotation",
        ),
        (
            lambda: mean_field(PowerLaw(FCC, [1.0]), [[1.0, 0, 0, 0]], loading=TENSION, weights=[0.0]),
            "not all zero",
        ),
        (
            lambda: mean_field(PowerLaw(FCC, [1.0]), [[1.0, 0, 0, 0]], loading=TENSION, weights=[-1.0]),
            "non-negative",
        ),
        (lambda: Conditions.mixed(TENSION, np.eye(3)), "over-prescribed"),
        (lambda: Conditions.mixed(FREE, FREE), "neither rate nor stress"),
        (lambda: PowerLaw.from_material(load_material("nickel"), families=["basal"]), "no family 'basal'"),
        (
            lambda: PowerLaw.from_material(load_material("magnesium"), families=["twin_1011"]),
            "no family 'twin_1011'",
        ),
    ],
)
def test_bad_input(build, words):
    """Each is one error of the package, whose message names the value."""
    with pytest.raises(ParameterError, match=words) as error:
        build()
    assert isinstance(error.value, CpmlError)
