"""Elasto-viscoplastic points: closed forms, invariances, the tangent, single crystals and Taylor cases of
DAMASK.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from cpml import paths
from cpml.crystallography.elasticity import MANDEL, crystal_stiffness, to_mandel
from cpml.crystallography.rotations import quaternion_to_matrix, random_quaternions
from cpml.crystallography.tensors import to_matrix
from cpml.errors import ParameterError
from cpml.plasticity import ElasticCrystal, PowerLaw, ThermalGlide, single_crystal
from cpml.plasticity.laws.strength.back_stress import BackStress
from cpml.plasticity.laws.strength.hardening import NoHardening
from support.damask import read_case
from support.phases import FCC, MG, MG_STRENGTHS
from support.points import increment

C_AL = crystal_stiffness({"C11": 106.75e3, "C12": 60.41e3, "C44": 28.34e3})
C_MG = crystal_stiffness({"C11": 59.5e3, "C12": 25.6e3, "C13": 21.5e3, "C33": 61.7e3, "C44": 16.5e3})
SHEAR_MODULUS = 30e3
C_ISOTROPIC = crystal_stiffness({"C11": 90e3, "C12": 30e3, "C44": SHEAR_MODULUS})
AL = ElasticCrystal(PowerLaw(FCC, [31.0], 20.0, 1e-3), C_AL)
CRYSTALS = {"fcc": AL, "hcp": ElasticCrystal(PowerLaw(MG, MG_STRENGTHS, 20.0, 1e-3), C_MG)}


def turns(count, seed=0):
    return quaternion_to_matrix(random_quaternions(count, np.random.default_rng(seed)))


def strained(count, size, seed=1):
    """(N, 3, 3) F = 1 + size times random traceless tensors of norm 1."""
    change = np.random.default_rng(seed).standard_normal((count, 3, 3))
    change -= np.trace(change, axis1=1, axis2=2)[:, None, None] * np.eye(3) / 3
    return np.eye(3) + size * change / np.linalg.norm(change, axis=(1, 2))[:, None, None]


def flowing(crystal, count=40):
    """Points in the third of three increments of 0.2 %: F, F_p^-1 before it, and its response."""
    strength, inverse, start = crystal.law.system_strength, turns(count), None
    for k in (1, 2, 3):
        gradient, before = strained(count, 2e-3 * k), inverse
        response = crystal.respond(gradient, before, strength, 2.0, start=start)
        inverse, start = response.inverse, response.stress
    assert response.converged.all()
    return gradient, before, response


@pytest.mark.parametrize("name", CRYSTALS)
def test_tangent_is_the_derivative(name):
    """Central differences: of steps h = 1e-7 at elastic strains of 1e-3 and n = 20 they err by some
    (n h/1e-3)^2/6 = 1e-6 of their largest in the worst case, and by rounding.
    """
    crystal = CRYSTALS[name]
    gradient, before, response = flowing(crystal)
    numerical = np.empty((len(gradient), 9, 9))
    for k in range(9):
        d = 1e-7 * np.eye(9)[k].reshape(3, 3)
        up, down = (
            crystal.respond(
                gradient + sign * d,
                before,
                crystal.law.system_strength,
                2.0,
                start=response.stress,
                tangent=False,
                tol=1e-13,
            ).piola
            for sign in (1, -1)
        )
        numerical[..., k] = ((up - down) / 2e-7).reshape(-1, 9)
    scale = np.abs(numerical).max((1, 2), keepdims=True)
    assert np.abs((response.tangent - numerical) / scale).max() < 1e-6


@pytest.mark.parametrize("name", CRYSTALS)
def test_equations_hold(name):
    """S = C : E of F_e = F F_p^-1, and F_p^-1 is that of 1 - dt L_p, evaluated with dense tensors."""
    crystal = CRYSTALS[name]
    gradient, before, r = flowing(crystal)
    slip = np.einsum("ns,sij->nij", r.shear_rate, crystal.law.systems.dyad)
    inverse = before @ (np.eye(3) - 2.0 * slip)
    elastic = gradient @ inverse
    strain = (elastic.swapaxes(1, 2) @ elastic - np.eye(3)) / 2
    stress = np.einsum("nij,aij,ab,bkl->nkl", strain, MANDEL, to_mandel(crystal.stiffness), MANDEL)
    assert np.allclose(
        np.einsum("na,aij->nij", r.stress, MANDEL), stress, rtol=0, atol=1e-8 * np.abs(stress).max()
    )
    assert np.allclose(r.piola, elastic @ stress @ inverse.swapaxes(1, 2), rtol=0, atol=1e-6)
    tau = torch.as_tensor(np.einsum("nij,sij->ns", stress, crystal.law.systems.dyad))
    assert np.allclose(crystal.law.rates(tau)[0], r.shear_rate, rtol=1e-6, atol=1e-12)
    assert np.allclose(np.linalg.det(r.inverse), 1, rtol=1e-14, atol=0)
    assert np.allclose(
        r.inverse * np.cbrt(np.linalg.det(inverse))[:, None, None], inverse, rtol=1e-13, atol=1e-15
    )


def test_rotations_of_the_specimen():
    """F -> Q F after the increment turns P alone; a turned specimen turns everything."""
    gradient, before, r = flowing(AL)
    q = turns(1, seed=7)[0]
    after = AL.respond(q @ gradient, before, 31.0, 2.0)
    assert np.allclose(after.piola, q @ r.piola, rtol=0, atol=1e-6)
    assert np.allclose(after.stress, r.stress, rtol=0, atol=1e-6)
    turned = AL.respond(q @ gradient @ q.T, q @ before, 31.0, 2.0)
    assert np.allclose(turned.piola, q @ r.piola @ q.T, rtol=0, atol=1e-6)
    assert np.allclose(turned.shear_rate, r.shear_rate, rtol=0, atol=1e-10)
    expected = np.einsum("ia,jb,nabcd,kc,ld->nijkl", q, q, r.tangent.reshape(-1, 3, 3, 3, 3), q, q)
    assert np.allclose(turned.tangent, expected.reshape(-1, 9, 9), rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("dt", [0.0, 1e-40])
def test_no_time_is_an_elastic_step(dt):
    """At F = 1 the tangent is the turned stiffness; a stretched crystal has S = C : E."""
    matrices = turns(5)
    start = AL.respond(np.broadcast_to(np.eye(3), (5, 3, 3)), matrices, 31.0, dt)
    c = np.einsum("aij,ab,bkl->ijkl", MANDEL, to_mandel(C_AL), MANDEL)
    turned = np.einsum("nia,njb,nkc,nld,abcd->nijkl", *[matrices] * 4, c).reshape(5, 9, 9)
    assert np.allclose(start.tangent, turned, rtol=0, atol=1e-9 * C_AL.max())
    assert not start.piola.any() or np.abs(start.piola).max() < 1e-9
    gradient = strained(5, 0.01)
    r = AL.respond(gradient, matrices, 31.0, dt)
    elastic = gradient @ matrices
    strain = (elastic.swapaxes(1, 2) @ elastic - np.eye(3)) / 2
    stress = np.einsum("nkl,ijkl->nij", strain, c)
    assert np.allclose(
        np.einsum("na,aij->nij", r.stress, MANDEL), stress, rtol=0, atol=1e-8 * np.abs(stress).max()
    )
    assert np.allclose(r.inverse, matrices, rtol=0, atol=1e-14) and r.converged.all()


def test_stiff_crystals_flow_like_rigid_ones():
    """With 1e9 times the stiffness of aluminium the deviator is that of the rigid-viscoplastic crystal, to
    the strain of the increment, 1e-6.
    """
    stiff, dt, matrices = ElasticCrystal(AL.law, 1e9 * C_AL), 1e-3, turns(30)
    rate = np.array([[1.0, 0.3, 0.0], [0.3, -0.4, 0.2], [0.0, 0.2, -0.6]]) * 1e-3
    r = stiff.respond(np.broadcast_to(np.eye(3) + rate * dt, (30, 3, 3)), matrices, 31.0, dt)
    rigid = single_crystal(AL.law, rate, matrices)
    assert r.converged.all()
    cauchy = r.piola - np.trace(r.piola, axis1=1, axis2=2)[:, None, None] * np.eye(3) / 3
    assert np.abs(cauchy - to_matrix(rigid.stress).numpy()).max() < 1e-5 * 31.0
    assert np.abs(r.shear_rate - rigid.shear_rate.numpy()).max() < 1e-4 * np.abs(r.shear_rate).max()


def one_system(n=20.0):
    """A crystal with one slip system and isotropic elasticity: tau = G (gamma - gamma_p) in simple shear."""
    law = PowerLaw(FCC.subset(np.arange(12) == 3), [20.0], n, 1e-3)
    return ElasticCrystal(law, C_ISOTROPIC), turns(1, seed=3), law.systems.dyad[0]


def test_single_slip_in_simple_shear():
    """F = 1 + gamma b (x) n of the one system: G (gamma - gamma_p) = xi (d gamma_p/dt/rate0)^(1/n)."""
    crystal, matrix, dyad = one_system()
    inverse, start, plastic = matrix, None, 0.0
    for gamma in np.linspace(0, 0.1, 11)[1:]:
        r = crystal.respond(
            np.eye(3) + gamma * (matrix @ dyad @ matrix.swapaxes(1, 2)), inverse, 20.0, 5.0, start=start
        )
        inverse, start = r.inverse, r.stress
        rate = brentq(
            lambda x, gamma=gamma, plastic=plastic: (
                SHEAR_MODULUS * (gamma - plastic - 5.0 * x) - 20.0 * (abs(x) / 1e-3) ** (1 / 20) * np.sign(x)
            ),
            -0.1,
            0.1,
            xtol=1e-18,
            rtol=1e-15,
        )
        plastic += 5.0 * rate
        assert r.shear_rate[0, 0] == pytest.approx(rate, rel=1e-9)
    assert plastic == pytest.approx(0.1, rel=0.02)


def test_back_stress_of_a_cyclic_shear():
    """Sheared back and forth by far more than 1/d, the back stress ends at +-c/d on top of the strength; the
    system moves at the reference rate.
    """
    crystal, matrix, dyad = one_system(n=50.0)
    c, d = 600.0, 100.0
    law = BackStress(crystal.law.systems, NoHardening(), c, d)
    state, inverse, start = law.start(torch.full((1, 1), 20.0, dtype=torch.float64)), matrix, None
    turned, gamma, loop = matrix @ dyad @ matrix.swapaxes(1, 2), 0.0, []
    for sense in (1, -1, 1, -1):
        for _ in range(20):
            gamma += sense * 5e-3
            now = increment(crystal, law, state, np.eye(3) + gamma * turned, inverse, 5.0, start=start)
            assert now.converged
            state, inverse, start = now.state, now.response.inverse, now.response.stress
        tau = np.einsum("na,aij,ij->n", start, MANDEL, dyad)[0]
        loop.append((float(state["back_stress"][0, 0]), tau))
    chi, tau = np.array(loop[-2:]).T
    assert np.allclose(chi, [c / d, -c / d], rtol=1e-3)  # exp(-d 0.1) = 5e-5 is left
    assert np.allclose(tau, [20 + c / d, -20 - c / d], rtol=1e-3)


@pytest.mark.parametrize("name", CRYSTALS)
def test_slip_dissipates_and_a_cycle_costs_work(name):
    """tau gamma_dot is never negative; shear to 2 % and back returns less work than it took."""
    crystal = CRYSTALS[name]
    inverse, start, work = turns(20), None, np.zeros(20)
    before, last = np.zeros((20, 3, 3)), 0.0
    for shear in np.concatenate([np.linspace(0, 0.02, 21)[1:], np.linspace(0.02, 0, 21)[1:]]):
        gradient = np.broadcast_to(np.eye(3) + shear * np.eye(3)[0][:, None] * np.eye(3)[1], (20, 3, 3))
        r = crystal.respond(gradient, inverse, crystal.law.system_strength, 1.0, start=start, tangent=False)
        inverse, start = r.inverse, r.stress
        tau = np.einsum("na,aij,sij->ns", r.stress, MANDEL, crystal.law.systems.schmid)
        assert (tau * r.shear_rate >= 0).all() and r.converged.all()
        work += ((before + r.piola)[:, 0, 1] / 2) * (shear - last)
        before, last = r.piola, shear
    assert (work > 0).all()


@pytest.mark.parametrize("n", [1.0, 5.0, 20.0, 100.0])
@pytest.mark.parametrize("contrast", [1.0, 100.0])
def test_cold_starts(n, contrast):
    """Increments of 0.1 % and 10 % from the unloaded crystal, in times that differ by 1e6: all converge, and
    a start far off leads to the same stress.
    """
    crystal = ElasticCrystal(PowerLaw(MG, [2.0, 40.0, 2.0 * contrast, 30.0], n, 1e-3), C_MG)
    strength, matrices = crystal.law.system_strength, turns(50)
    for size in (1e-3, 0.1):
        for dt in (1e-3, 1.0, 1e3):
            gradient = strained(50, size)
            r = crystal.respond(gradient, matrices, strength, dt, tangent=False)
            assert r.converged.all() and np.isfinite(r.piola).all()
            off = crystal.respond(gradient, matrices, strength, dt, start=-3 * r.stress, tangent=False)
            assert off.converged.all()
            assert np.allclose(off.stress, r.stress, rtol=0, atol=1e-6 * np.abs(r.stress).max())


def test_points_without_solution_are_flagged():
    """NaN and gradients turned inside out; their neighbours are not disturbed."""
    gradient, before, r = flowing(AL, 4)
    broken = gradient.copy()
    broken[1, 0, 0], broken[2] = np.nan, np.diag([-1.0, 1.0, 1.0])
    again = AL.respond(broken, before, 31.0, 2.0)
    assert again.converged.tolist() == [True, False, False, True]
    assert np.allclose(again.piola[[0, 3]], r.piola[[0, 3]], rtol=0, atol=1e-6)


def test_threads_do_not_change_results():
    gradient, before, _ = flowing(AL, 200)
    one, two = (AL.respond(gradient, before, 31.0, 2.0, threads=k) for k in (1, 2))
    assert (one.piola == two.piola).all() and (one.tangent == two.tangent).all()


def test_bad_input():
    unit = np.eye(3)[None]
    glide = ThermalGlide(FCC, 300.0, 1e-19, 100.0, 2.5e-10)
    for wrong, reason in (
        (lambda: ElasticCrystal(glide, C_AL), "ThermalGlide"),
        (lambda: ElasticCrystal(AL.law, np.eye(3)), r"\(6, 6\)"),
        (lambda: ElasticCrystal(AL.law, -C_AL), "positive definite"),
        (lambda: AL.respond(np.eye(3), unit, 31.0, 1.0), "gradient of shape"),
        (lambda: AL.respond(unit, np.repeat(unit, 2, 0), 31.0, 1.0), "1 gradients for 2"),
        (lambda: AL.respond(unit, unit, np.ones(7), 1.0), "strength of shape"),
        (lambda: AL.respond(unit, unit, -31.0, 1.0), "positive"),
        (lambda: AL.respond(unit, unit, 31.0, -1.0), "dt = -1.0"),
        (lambda: AL.respond(unit, unit, 31.0, 1.0, start=np.zeros(6)), "start of shape"),
    ):
        with pytest.raises(ParameterError, match=reason):
            wrong()


def _cases(*patterns):
    folder = paths.from_environment("CPML_REFERENCE")
    found = (
        [] if folder is None else sorted(p for pattern in patterns for p in (folder / "damask").glob(pattern))
    )
    return [str(path.relative_to(folder)) for path in found if path.is_dir()]


def _drive(case, gradients, times):
    """Last response, strengths (G, S), accumulated shears (G, S) of increments with known F."""
    count = len(case.orientations)
    strength = case.law.system_strength.expand(count, -1)
    state, inverse, start = case.hardening.start(strength), case.orientations, None
    shear = np.zeros(strength.shape)
    for gradient, dt in zip(gradients, times, strict=True):
        same = np.broadcast_to(gradient, (count, 3, 3))
        now = increment(case.crystal, case.hardening, state, same, inverse, float(dt), start=start)
        assert now.converged
        state, inverse, start = now.state, now.response.inverse, now.response.stress
        shear += np.abs(now.response.shear_rate) * dt
    return now.response, state.get("inner", state)["strength"].numpy(), shear


def _agree(ours, theirs, tol=1e-7):
    assert np.abs(ours - theirs).max() < tol * np.abs(theirs).max()


@pytest.mark.parametrize(
    "name", _cases("damask/a_fcc_*sx/*", "a_fcc_*sx/*", "a_fcc_al_sx_dt/*_N50", "d_hcp_mg_sx/*") or ("",)
)
def test_damask_single_crystals(name, reference):
    """Driven by their F(t); the references are converged to 1e-10."""
    case = read_case(reference(name or "damask"))
    response, strength, shear = _drive(case, case.result["F"][1:], np.diff(case.result["t"]))
    _agree(response.piola[0], case.stress("P")[-1])
    _agree(shear[0], case.of_systems("gamma")[-1])
    _agree(strength[0], case.of_systems("xi")[-1])
    _agree(np.linalg.inv(response.inverse[0]), case.result["F_p"][-1])


@pytest.mark.parametrize("name", _cases("b_fcc_al_taylor200/SS", "d_hcp_mg_taylor200/SS") or ("",))
def test_damask_taylor(name, reference):
    """200 orientations in simple shear."""
    case = read_case(reference(name or "damask"))
    (step,) = case.steps
    response, strength, shear = _drive(case, step.gradients(), [step.dt] * step.increments)
    _agree(response.piola, case.stress("P")[-1])
    _agree(response.piola.mean(0), case.stress("P_mean")[-1])
    _agree(shear, case.of_systems("gamma")[-1])
    _agree(strength, case.of_systems("xi")[-1])


def test_first_order_in_the_increment(reference):
    """A crystal of DAMASK under F(t) in 25, 50 and 100 increments: the error halves with their length."""
    case = read_case(reference("damask/a_fcc_al_sx/T_diag_111"))
    ends = []
    for count in (25, 50, 100):
        t = np.linspace(0, 20.0, count + 1)
        stretch = np.array([np.diag([1 + 1e-3 * x, 1 - 4e-4 * x, 1 - 6e-4 * x]) for x in t[1:]])
        ends.append(_drive(case, stretch, np.diff(t))[1])
    coarse, fine = (np.abs(b - a).max() for a, b in pairwise(ends))
    assert coarse / fine == pytest.approx(2, rel=0.1)
