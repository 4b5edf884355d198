"""Single crystals: the equation is solved, invariants hold, gradients equal central differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from cpml.crystallography import (
    euler_to_quaternion,
    proper_group,
    quaternion_multiply,
    quaternion_to_matrix,
    random_quaternions,
)
from cpml.crystallography.tensors import rotation_5x5, to_matrix, to_vector, von_mises_rate, von_mises_stress
from cpml.errors import ParameterError
from cpml.plasticity import PowerLaw, single_crystal, taylor_factor
from support.laws import FCC_LAW, MG_LAW, MG_SLIP_LAW
from support.phases import FCC, MG, TENSION, magnesium

LAWS = {"fcc": FCC_LAW, "mg": MG_LAW}


def orientations(seed, n=20):
    """Random quaternions of a seed."""
    return random_quaternions(n, np.random.default_rng(seed))


def random_rate(seed):
    """A random symmetric traceless strain rate of size about 1."""
    return to_matrix(np.random.default_rng(seed + 1).standard_normal(5))


seeds = st.integers(0, 2**20)
sampled = settings(max_examples=15, deadline=None)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("n", [1.0, 3.0, 7.5, 20.0, 60.0])
def test_every_point_converges(name, n):
    """The slip of the solution is the imposed strain rate to 1e-10, for 1,000 orientations each."""
    law = PowerLaw(LAWS[name].systems, LAWS[name].strength, n, LAWS[name].reference_rate)
    q = orientations(0, 1000)
    found = single_crystal(law, TENSION, q)
    assert bool(found.converged.all()) and float(found.residual.max()) <= 1e-10
    strain = to_matrix((found.shear_rate @ law.schmid).numpy())
    r = quaternion_to_matrix(q)
    assert np.abs(r @ strain @ r.swapaxes(-1, -2) - TENSION).max() < 1e-9


@sampled
@given(seeds, st.sampled_from(["fcc", "mg"]))
def test_objectivity(seed, name):
    """Turning load and crystal together turns the stress: s(Q D Q^T, Q R) = Q s(D, R) Q^T."""
    q, d, turn = orientations(seed), random_rate(seed), orientations(seed + 7, 1)[0]
    r = quaternion_to_matrix(turn)
    first = single_crystal(LAWS[name], d, q)
    second = single_crystal(LAWS[name], r @ d @ r.T, quaternion_multiply(turn, q))
    turned = first.stress.numpy() @ rotation_5x5(r).T
    # both stop at a residual of 1e-10; the stress is then known to about 1e-9 of its
    # size (flat directions included)
    assert second.stress.numpy() == pytest.approx(turned, abs=1e-8 * np.abs(turned).max())


@sampled
@given(seeds, st.sampled_from(["fcc", "mg"]))
def test_symmetry_copies_are_one_crystal(seed, name):
    """q and q s give the same stress for every s of the crystal's group."""
    q, d = orientations(seed, 1)[0], random_rate(seed)
    copies = quaternion_multiply(q, proper_group("432" if name == "fcc" else "622"))
    stress = single_crystal(LAWS[name], d, copies).stress.numpy()
    assert np.ptp(stress, axis=0).max() < 1e-8 * np.abs(stress).max()


@sampled
@given(seeds)
def test_slip_reverses_with_the_rate(seed):
    """s(-D) = -s(D) without twins."""
    q, d = orientations(seed), random_rate(seed)
    forward, backward = (single_crystal(MG_SLIP_LAW, sign * d, q).stress for sign in (1, -1))
    assert float((forward + backward).abs().max()) < 1e-8 * float(forward.abs().max())


def test_twins_do_not_reverse():
    """Magnesium along c is soft in tension (twins: xi 40, Schmid 1/2), hard in compression (pyramidal)."""
    along_c = np.diag([-0.5, -0.5, 1.0])
    soft, hard = (
        float(von_mises_stress(single_crystal(MG_LAW, s * along_c, [1.0, 0, 0, 0]).stress)) for s in (1, -1)
    )
    assert hard > 1.3 * soft


@sampled
@given(seeds, st.sampled_from(["fcc", "mg"]))
def test_dissipation_is_positive(seed, name):
    """Each system dissipates: tau gamma_dot >= 0; in sum it is s:D."""
    law, q, d = LAWS[name], orientations(seed), random_rate(seed)
    found = single_crystal(law, d, q)
    local = (found.stress.numpy()[:, None, :] @ rotation_5x5(quaternion_to_matrix(q)))[:, 0, :]
    power = (local @ law.systems.schmid5.T) * found.shear_rate.numpy()
    assert power.min() >= 0
    assert power.sum(1) == pytest.approx(found.stress.numpy() @ to_vector(d), rel=1e-8)


@sampled
@given(seeds, st.floats(0.01, 100.0))
def test_rate_sensitivity(seed, ratio):
    """A rate higher by a factor r raises the stress by r^(1/n)."""
    q = orientations(seed)
    slow, fast = (single_crystal(FCC_LAW, k * TENSION, q).stress for k in (1.0, ratio))
    assert fast.numpy() == pytest.approx(slow.numpy() * ratio ** (1 / 20), abs=1e-7 * float(slow.abs().max()))


@pytest.mark.parametrize("name", LAWS)
def test_limit_is_the_linear_programme(name):
    """Plastic work tends to the rate-independent one as n grows: ratio 1 + O(1/n), here below 3/n.

    The reference rate is the strain rate, so that (rate ratio)^(1/n) stays of order 1.
    """
    q, errors = orientations(3, 200), []
    law = LAWS[name]
    exact = taylor_factor(law.systems, TENSION, q, law.strength.numpy())
    for n in (25.0, 50.0, 100.0):
        stress = single_crystal(PowerLaw(law.systems, law.strength, n, 1.0), TENSION, q).stress.numpy()
        work = stress @ to_vector(TENSION) / von_mises_rate(to_vector(TENSION))
        errors.append(np.abs(work / exact - 1).max())
        assert errors[-1] < 3 / n
    assert errors[2] < 0.6 * errors[1] < 0.36 * errors[0] * 1.2


def test_linear_isotropic_check():
    """n = 1 is linear: doubling D doubles s."""
    law = PowerLaw(FCC, [30.0], 1.0)
    one, two = (single_crystal(law, k * TENSION, orientations(0)).stress for k in (1, 2))
    assert two.numpy() == pytest.approx(2 * one.numpy())


def test_batch_equals_loop():
    """One call for 15 orientations equals 15 calls, to the solver's tolerance; shapes follow the batch."""
    q = orientations(5, 15)
    batch = single_crystal(MG_LAW, TENSION, q.reshape(3, 5, 4))
    loop = torch.stack([single_crystal(MG_LAW, TENSION, x).stress for x in q])
    assert batch.stress.shape == (3, 5, 5) and batch.converged.shape == (3, 5)
    assert batch.stress.reshape(15, 5).numpy() == pytest.approx(loop.numpy(), abs=1e-7)


def test_one_bad_point_does_not_spoil_the_batch():
    """A crystal that cannot shorten c (no family for it) is flagged; the others keep their solution."""
    twins_only_for_c = PowerLaw(magnesium("basal", "prismatic", "twin_1012"), [10.0, 55, 40], 20.0)
    d = np.diag([0.5, 0.5, -1.0])  # shortens z
    lying = [np.cos(np.pi / 4), np.sin(np.pi / 4), 0, 0]  # c in the xy plane: z shortening is possible
    q = np.array([[1.0, 0, 0, 0], lying])
    both, alone = single_crystal(twins_only_for_c, d, q), single_crystal(twins_only_for_c, d, lying)
    assert both.converged.tolist() == [False, bool(alone.converged)]
    assert both.stress[1].numpy() == pytest.approx(alone.stress.numpy(), rel=1e-6)
    assert bool(torch.isfinite(both.residual).all())


@pytest.mark.parametrize("n", [20.0, 150.0])
@pytest.mark.parametrize("strength", [[10.0, 55, 60, 40], [1.0, 300, 20, 700]])
def test_symmetric_orientations_converge(n, strength):
    """Orientations with idle directions (c or a on the load axes) converge too: their
    Hessian is singular to rounding.
    """
    angles = np.deg2rad(
        [[a, b, c] for a in (0, 30, 45, 90) for b in (0, 30, 45, 90, 180) for c in (0, 15, 30)]
    )
    for law in (PowerLaw(MG, strength, n), PowerLaw(FCC, [30.0], n)):
        for d in (TENSION, -TENSION, np.diag([1.0, 0, -1]), np.array([[0, 1.0, 0], [1, 0, 0], [0, 0, 0]])):
            assert bool(single_crystal(law, d, euler_to_quaternion(angles)).converged.all())


def test_warm_start():
    """Starting from the solution takes no Newton step more than one."""
    q = orientations(2, 50)
    cold = single_crystal(MG_LAW, TENSION, q)
    warm = single_crystal(MG_LAW, TENSION, q, start=cold.stress)
    assert warm.n_iter <= 1 and warm.stress.numpy() == pytest.approx(cold.stress.numpy(), abs=1e-6)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("parameter", ["strength", "n", "rate0", "rate", "orientation"])
def test_implicit_gradient(name, parameter):
    """dL/dtheta equals central differences to 1e-6 for strengths, n, reference
    rate, strain rate and orientation.
    """
    law, q = LAWS[name], orientations(11, 6)
    given_d = to_vector(random_rate(5))
    start = {
        "strength": law.strength.clone(),
        "n": torch.tensor(20.0, dtype=torch.float64),
        "rate0": torch.tensor(1e-3, dtype=torch.float64),
        "rate": torch.as_tensor(given_d),
        "orientation": torch.zeros(6, 3, dtype=torch.float64),
    }
    mix = torch.as_tensor(np.random.default_rng(3).standard_normal((6, 5)))

    def loss(value):
        v = {**start, parameter: value}
        tilt = torch.linalg.matrix_exp(_skew(v["orientation"]))
        turned = tilt @ torch.as_tensor(quaternion_to_matrix(q))
        solved = single_crystal(
            PowerLaw(law.systems, v["strength"], v["n"], v["rate0"]), v["rate"], turned, tol=1e-13
        )
        return (mix * solved.stress).sum() + 0.1 * solved.shear_rate.abs().sum()

    theta = start[parameter].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(theta), theta)
    flat, h = start[parameter].reshape(-1), 1e-5 * max(1e-3, float(start[parameter].abs().max()))
    differences = []
    for k in range(flat.numel()):
        values = []
        for sign in (1, -1):
            moved = flat.clone()
            moved[k] += sign * h
            values.append(float(loss(moved.reshape(start[parameter].shape))))
        differences.append((values[0] - values[1]) / (2 * h))
    scale = np.abs(differences).max()
    assert gradient.reshape(-1).numpy() == pytest.approx(np.array(differences), abs=1e-6 * scale)


def _skew(w):
    """(..., 3, 3) cross-product matrices."""
    zero = torch.zeros_like(w[..., 0])
    rows = [zero, -w[..., 2], w[..., 1], w[..., 2], zero, -w[..., 0], -w[..., 1], w[..., 0], zero]
    return torch.stack(rows, -1).reshape(*w.shape[:-1], 3, 3)


def test_second_derivative():
    """The backward pass is differentiable: gradgradcheck in strength and strain rate at n = 5."""
    q = orientations(1, 2)

    def stress(strength, rate):
        return single_crystal(PowerLaw(FCC, strength, 5.0), rate, q, tol=1e-14).stress

    inputs = (
        torch.tensor([1.3], dtype=torch.float64, requires_grad=True),
        torch.as_tensor(to_vector(random_rate(2))).requires_grad_(),
    )
    assert torch.autograd.gradgradcheck(stress, inputs, eps=1e-5, atol=1e-5, rtol=1e-4)


def test_strength_per_point():
    """(G, K) strengths: each grain gets its own, as in separate calls."""
    q, strength = orientations(4, 3), np.array([[20.0], [30.0], [60.0]])
    batch = single_crystal(PowerLaw(FCC, strength), TENSION, q).stress
    single = torch.stack(
        [single_crystal(PowerLaw(FCC, s), TENSION, x).stress for s, x in zip(strength, q, strict=True)]
    )
    assert batch.numpy() == pytest.approx(single.numpy(), abs=1e-7)


@pytest.mark.parametrize(
    "rate, q, words",
    [
        (np.eye(3), [1.0, 0, 0, 0], "traceless"),
        (np.zeros((3, 3)), [1.0, 0, 0, 0], "zero"),
        (np.full((3, 3), np.nan), [1.0, 0, 0, 0], "NaN"),
        (TENSION, [np.nan, 0, 0, 0], "NaN"),
        (TENSION, [2.0, 0, 0, 0], "length"),
        (np.array([[0, 1.0, 0], [0, 0, 0], [0, 0, 0]]), [1.0, 0, 0, 0], "symmetric"),
        (TENSION, np.zeros((0, 4)), "empty|no orientation"),
    ],
)
def test_wrong_input(rate, q, words):
    """Trace, zero rate, NaN, unnormalised quaternion, skew part, no points: ParameterError that says so."""
    with pytest.raises(ParameterError, match=words):
        single_crystal(FCC_LAW, rate, q)


def test_too_few_families():
    """Basal and prismatic slip span 4 modes: the message proposes <c+a>."""
    law = PowerLaw(magnesium("basal", "prismatic"), [1.0, 1.0])
    with pytest.raises(ParameterError, match="4 of the 5"):
        single_crystal(law, TENSION, [1.0, 0, 0, 0])
