"""Paths: hardening in closed form, texture and grain shape, twin fractions, gradients,
sheet properties, wrong input.
"""

import numpy as np
import pytest
import torch

from cpml.crystallography import (
    load_material,
    quaternion_multiply,
    quaternion_to_matrix,
    random_quaternions,
)
from cpml.crystallography.elasticity import crystal_stiffness, hershey
from cpml.crystallography.tensors import von_mises_stress
from cpml.errors import ParameterError
from cpml.plasticity import (
    Conditions,
    KocksMecking,
    PowerLaw,
    Reorientation,
    Saturation,
    Voce,
    deform,
    lankford,
    mean_field,
    polycrystal_stiffness,
    yield_surface,
)
from cpml.plasticity.laws.spin import rotation
from support.phases import FCC, MG, TENSION

Q = random_quaternions(30, np.random.default_rng(0))
ONE = torch.zeros(1, 12, dtype=torch.float64).index_fill(1, torch.tensor([0]), 1.0)  # single slip at rate 1


def test_voce_closed_form():
    """Single slip: xi = tau0 + (tau1 + theta1 G)(1 - exp(-G theta0/tau1)), exact for any step."""
    law = Voce(FCC, 15.0, 65.0, 3.0)
    state = law.start(torch.full((1, 12), 20.0, dtype=torch.float64))
    for dt in (0.1, 0.5, 1.4):
        state = law.harden(state, ONE, dt)
    assert state["strength"][0].numpy() == pytest.approx(20 + (15 + 3 * 2.0) * (1 - np.exp(-2.0 * 65 / 15)))


def test_latent_hardening():
    """Only the diagonal differs from the latent ratio; rows are hardened systems, columns active ones."""
    law = Voce(MG, 0.0, 0.0, 10.0, [[1, 2, 3, 4]] * 4)
    state = law.start(torch.ones(1, 18, dtype=torch.float64))
    slip = torch.zeros(1, 18, dtype=torch.float64)
    slip[0, 3] = 0.1  # a prismatic system
    after = law.harden(state, slip, 1.0)["strength"][0]
    assert after[3].item() == pytest.approx(2.0) and after[[0, 4, 10, 17]].numpy() == pytest.approx(3.0)
    assert Voce(FCC, latent=1.4).latent[0, :2].tolist() == [1.0, 1.4]


def test_saturation():
    """dxi/dgamma = h0 |1 - xi/xi_inf|^a: exponential approach for a = 1; a system above xi_inf softens."""
    law = Saturation(FCC, 100.0, 50.0, 1.0, 1.0)
    state = law.start(torch.full((1, 12), 10.0, dtype=torch.float64))
    for _ in range(2000):
        state = law.harden(state, ONE, 5e-4)
    assert state["strength"][0, 0].item() == pytest.approx(
        50 - 40 * np.exp(-2.0), rel=1e-3
    )  # Euler, first order
    above = law.harden(law.start(torch.full((1, 12), 60.0, dtype=torch.float64)), ONE, 1e-3)
    assert above["strength"].max() < 60


def kocks_mecking(**change):
    """A copper-like law without debris."""
    return KocksMecking(
        FCC,
        **{
            "tau0": 10.0,
            "k1": 2e8,
            "drag": 300.0,
            "activation": 4e-3,
            "shear_modulus": 45e3,
            "burgers": 2.56e-10,
            "density": 1e12,
            "chi": 0.35,
        }
        | change,
    )


def test_kocks_mecking_closed_form():
    """sqrt(rho) = k1/k2 (1 - e^(-k2 g/2)) + sqrt(rho0) e^(-k2 g/2); xi = tau0 + chi mu b sqrt(sum rho)."""
    law = kocks_mecking()
    state, k2 = law.start(torch.ones(1, 12)), law.recovery(1.0, 300.0)[0].item()
    for _ in range(4000):
        state = law.harden(state, ONE, 5e-5, rate=1.0, temperature=300.0)
    fade = np.exp(-k2 * 0.2 / 2)
    root = 2e8 / k2 * (1 - fade) + 1e6 * fade
    assert state["density"][0, 0].item() == pytest.approx(root**2, rel=2e-3)  # Euler, first order
    forest = np.sqrt(state["density"][0].sum().item())
    assert state["strength"][0, 0].item() == pytest.approx(10 + 0.35 * 45e3 * 2.56e-10 * forest)


def test_recovery_grows_with_temperature_and_falls_with_rate():
    """k2 rises with T and falls with the strain rate: hot and slow is soft."""
    law = kocks_mecking()
    k2 = [law.recovery(r, t)[0].item() for r, t in ((1e-3, 200), (1e-3, 300), (1e-3, 400), (1.0, 400))]
    assert k2[0] < k2[1] < k2[2] and k2[3] < k2[2]
    stress = [
        float(
            deform(
                PowerLaw(FCC, [1.0], 20, 1e-3),
                law,
                Q[:8],
                loading=1e-3 * TENSION,
                increment=0.02,
                steps=6,
                temperature=t,
            ).von_mises[-1]
        )
        for t in (200.0, 400.0)
    ]
    assert stress[0] > stress[1]


def test_rotation_is_the_exponential():
    """Rodrigues equals the matrix exponential, at zero and large angles; orthogonal."""
    w = torch.tensor([[0.0, 0, 0], [1e-6, 0, 0], [0.3, -1, 2]], dtype=torch.float64)
    zero = torch.zeros(3, dtype=torch.float64)
    skew = torch.stack(
        [zero, -w[:, 2], w[:, 1], w[:, 2], zero, -w[:, 0], -w[:, 1], w[:, 0], zero], -1
    ).reshape(3, 3, 3)
    assert rotation(w).numpy() == pytest.approx(torch.linalg.matrix_exp(skew).numpy(), abs=1e-14)


@pytest.mark.parametrize("scheme", ["taylor", "affine"])
def test_stable_orientation(scheme):
    """[001] tension of fcc does not rotate; a crystal pulled off [001] rotates and stays a rotation."""
    still = deform(
        PowerLaw(FCC, [1.0]),
        None,
        [[1.0, 0, 0, 0]] * 2,
        loading=np.diag([-0.5, -0.5, 1.0]),
        increment=0.05,
        steps=3,
        scheme=scheme,
    )
    assert still.orientations.numpy() == pytest.approx(np.broadcast_to(np.eye(3), (2, 3, 3)), abs=1e-9)
    moved = deform(
        PowerLaw(FCC, [1.0]), None, Q, loading=TENSION, increment=0.05, steps=3, scheme=scheme
    ).orientations
    assert (moved @ moved.mT).numpy() == pytest.approx(np.broadcast_to(np.eye(3), (30, 3, 3)), abs=1e-12)
    assert np.abs(moved.numpy() - quaternion_to_matrix(Q)).max() > 0.01


def test_rigid_spin_turns_everything():
    """Added spin W: after the same strain the path of a turning frame has the same
    stress, to the order of the step.
    """
    spin = np.array([[0, -1.0, 0], [1.0, 0, 0], [0, 0, 0]])
    path = deform(
        PowerLaw(FCC, [1.0]),
        None,
        Q,
        loading=Conditions.mixed(1e-9 * TENSION + spin),
        increment=1e-10,
        steps=1,
        update_shape=True,
    )
    angle = 0.1
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    assert path.orientations.numpy() == pytest.approx(turn @ quaternion_to_matrix(Q), abs=1e-6)


def test_grain_shape_follows_the_strain():
    """F of constant tension grows as (1 + L dt)^N and keeps its volume to the order of the step."""
    path = deform(PowerLaw(FCC, [1.0]), None, Q, loading=TENSION, increment=0.01, steps=20, update_shape=True)
    assert np.diag(path.shape) == pytest.approx([1.01**20, 0.995**20, 0.995**20])


def test_twin_fractions():
    """Fractions only grow, stay in [0, 1]; weight reoriented never overtakes the
    accumulated one by more than a grain.
    """
    law = PowerLaw(MG, [10.0, 55, 60, 20], 20.0, 1e-3)
    weights = np.linspace(1, 2, 30) / 45
    path = deform(
        law,
        Voce(MG, 5.0, 100.0, 5.0),
        Q,
        weights=weights,
        loading=Conditions.uniaxial(0, -1e-3),
        increment=0.01,
        steps=12,
        control="11",
        scheme="affine",
        reorientation=Reorientation(MG),
        tol=1e-6,
    )
    twin = path.twin_fraction[:, 3]
    assert np.all(np.diff(twin) >= 0) and 0 < twin[-1] <= 1 and bool(path.converged.all())
    assert np.all(path.reoriented[:, 3] <= twin + weights.max() + 1e-12) and path.reoriented[-1, 3] > 0
    assert path.reoriented[-1, 3] == pytest.approx(weights @ path.twin_count)
    assert path.activity.sum(1).numpy() == pytest.approx(1) and np.all(path.twin_fraction[:, :3] == 0)
    assert {"strain", "stress_mpa", "twin_fraction_twin_1012"} <= set(path.table().columns)
    assert np.abs(path.cauchy[:, 1, 1]).max() < 1e-6 * float(path.von_mises.max())


def test_predominant_variant():
    """Rule "variant": a grain turns when its twins fill more than the threshold,
    whatever the order of the grains.
    """
    rules = Reorientation(MG, threshold=(0.3, 0.0), rule="variant")
    shear = np.zeros((4, 18))
    shear[:, 12] = np.array([0.1, 0.29, 0.31, 0.6]) * MG.twin_shear[12]
    state, grains, system = rules.advance(rules.start(4), shear, np.full(4, 0.25))
    assert (
        grains.tolist() == [2, 3] and system.tolist() == [12, 12] and state.effective[3] == pytest.approx(0.5)
    )
    back, others, _ = rules.advance(rules.start(4), shear[::-1], np.full(4, 0.25))
    assert others.tolist() == [0, 1] and back.fraction[0].sum() == 0
    assert np.linalg.det(rules.rotation(system)) == pytest.approx(1)
    path = deform(
        PowerLaw(MG, [10.0, 55, 60, 20], 20.0, 1e-3),
        None,
        Q,
        loading=Conditions.uniaxial(0, -1e-3),
        increment=0.02,
        steps=4,
        control="11",
        reorientation=rules,
    )
    assert path.twin_count.sum() > 0 and path.reoriented[-1, 3] == pytest.approx(path.twin_count.sum() / 30)


def test_twins_harden_slip():
    """Twins of fraction F raise h0 by 1 + c1 F^c2 and the saturation by f_sat sqrt(F);
    twins themselves are untouched.
    """
    plain, twinned = (
        Saturation(MG, 100.0, 60.0, 1.0, 1.0, twin_rise=c, twin_saturation=f)
        for c, f in (((0.0, 1.0), 0.0), ((2.0, 1.0), 40.0))
    )
    twin, slip = torch.zeros(1, 18, dtype=torch.float64), torch.zeros(1, 18, dtype=torch.float64)
    twin[0, 12], slip[0, 0] = 0.25 * MG.twin_shear[12], 0.01
    rise = []
    for law in (plain, twinned):
        state = law.start(torch.full((1, 18), 10.0, dtype=torch.float64))
        state = {**state, "twinned": law.harden(state, twin, 1.0)["twinned"]}
        rise.append((law.harden(state, slip, 1.0)["strength"] - 10)[0])
    assert rise[0][0].item() == pytest.approx(100 * 0.01 * (1 - 10 / 60))
    assert rise[1][0].item() == pytest.approx(100 * 1.5 * 0.01 * (1 - 10 / 80)) and rise[1][12] == rise[0][12]


@pytest.mark.parametrize("scheme", ["taylor", "affine"])
@pytest.mark.parametrize("parameter", ["strength", "tau1", "theta0", "n"])
def test_gradient_through_a_path(scheme, parameter):
    """Stress after three steps, texture and hardening included, by strengths,
    hardening and n: 1e-6 of differences.
    """
    start = {
        "strength": torch.tensor([30.0], dtype=torch.float64),
        "tau1": torch.tensor(20.0, dtype=torch.float64),
        "theta0": torch.tensor(200.0, dtype=torch.float64),
        "n": torch.tensor(10.0, dtype=torch.float64),
    }

    def final(value):
        v = {**start, parameter: value}
        path = deform(
            PowerLaw(FCC, v["strength"], v["n"], 1e-3),
            Voce(FCC, v["tau1"], v["theta0"], 10.0, 1.4),
            Q[:6],
            loading=Conditions.uniaxial(2, 1e-3),
            increment=0.03,
            steps=3,
            scheme=scheme,
            tol=1e-12,
        )
        return path.von_mises[-1] + 10 * path.orientations[0, 0, 1]

    value = start[parameter].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(final(value), value)
    h = 1e-4 * start[parameter]
    with torch.no_grad():
        difference = float((final(start[parameter] + h) - final(start[parameter] - h)) / (2 * h))
    assert float(gradient) == pytest.approx(difference, rel=1e-6)


def test_uneven_steps():
    """Steps of different size add up: two unlike increments give the control
    strain and the closed form of Voce.
    """
    path = deform(
        PowerLaw(FCC, [20.0], 20.0, 1e-3),
        Voce(FCC, 15.0, 65.0),
        Q[:3],
        loading=1e-3 * TENSION,
        increment=[0.01, 0.03],
        steps=2,
        update_texture=False,
    )
    assert path.control.tolist() == pytest.approx([0, 0.01, 0.04])
    slip = path.state["shear"][0].item()
    assert path.grain_strength[0].numpy() == pytest.approx(20 + 15 * (1 - np.exp(-slip * 65 / 15)))
    with pytest.raises(ParameterError, match="one for each"):
        deform(PowerLaw(FCC, [20.0]), None, Q[:3], loading=TENSION, increment=[0.01], steps=2)


def test_changing_path():
    """A function of the step may reverse the load: the stress changes its sign, strengths do not care."""
    path = deform(
        PowerLaw(FCC, [1.0]),
        None,
        Q,
        loading=lambda k: TENSION if k < 2 else -TENSION,
        increment=1e-6,
        steps=3,
    )
    assert path.stress[3].numpy() == pytest.approx(-path.stress[0].numpy(), abs=1e-3)


def test_sheet_properties():
    """A fibre texture about z has one r; cube texture: r(0) = r(90) = 1 and r(45) below; section: symmetric,
    convex, power equal, and in plane stress of the same von Mises size.
    """
    law, many = PowerLaw(FCC, [1.0]), random_quaternions(50, np.random.default_rng(2))
    about_z = [[np.cos(a), 0, 0, np.sin(a)] for a in np.arange(24) * np.pi / 24]
    fibre = np.concatenate([quaternion_multiply(np.array(z), many[:8]) for z in about_z])
    assert np.ptp(lankford(law, fibre, angle_deg=[0, 15, 75], scheme="affine").r) < 1e-5
    cube = lankford(law, [[1.0, 0, 0, 0]] * 2, angle_deg=[0, 45, 90], scheme="affine")
    assert (
        cube.r[[0, 2]] == pytest.approx(1, abs=1e-5) and cube.r[1] < 0.1 and cube.mean < 1 and cube.planar > 0
    )
    surface = yield_surface(law, many, n_points=24, scheme="affine")
    assert surface.section == pytest.approx(-np.roll(surface.section, 12, axis=0), rel=1e-5, abs=1e-6)
    edge = np.roll(surface.section, -1, axis=0) - surface.section
    assert np.all(
        edge[:, 0] * np.roll(edge, -1, axis=0)[:, 1] - edge[:, 1] * np.roll(edge, -1, axis=0)[:, 0] > -1e-9
    )
    assert np.sum(surface.stress * surface.rate, 1) == pytest.approx(
        np.sum(surface.stress[0] * surface.rate[0])
    )
    x, y = surface.plane_stress.T
    assert np.sqrt(x**2 - x * y + y**2) == pytest.approx(von_mises_stress(surface.stress))


@pytest.mark.parametrize(
    "name, reuss, shear, voigt",
    [
        ("aluminium", 26.06, 26.20, 26.32),
        ("copper", 40.16, 48.37, 54.90),
        ("nickel", 78.30, 87.07, 94.42),
        ("ferrite", 74.19, 82.42, 89.36),
        ("stainless_316l", 63.82, 78.01, 89.94),
    ],
)
def test_hershey(name, reuss, shear, voigt):
    """Closed form (Hershey 1954) of the files' constants; the random aggregate lies between Reuss and
    Voigt near it (400 grains: 2 %).
    """
    elastic = load_material(name).elastic
    bulk, g = hershey(*(elastic[k] / 1e3 for k in ("C11", "C12", "C44")))
    assert g == pytest.approx(shear, abs=0.006) and bulk == pytest.approx(
        (elastic["C11"] + 2 * elastic["C12"]) / 3e3
    )
    q = random_quaternions(400, np.random.default_rng(3))
    values = [
        np.trace(polycrystal_stiffness(elastic, q, average=a)[3:, 3:]) / 3e3
        for a in ("reuss", "self_consistent", "voigt")
    ]
    assert values[0] < values[1] < values[2] and values == pytest.approx([reuss, shear, voigt], rel=0.02)


def test_elastic_single_crystal():
    """Copies of one crystal have its own stiffness, whatever the ellipsoid."""
    zirconium = load_material("zirconium").elastic
    found = polycrystal_stiffness(zirconium, [[1.0, 0, 0, 0]] * 2, shape=np.diag([2.0, 4, 1]))
    assert found == pytest.approx(crystal_stiffness(zirconium), rel=1e-9)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"increment": -0.1}, "increment"),
        ({"control": "21"}, "control"),
        ({"scheme": "sachs"}, "sachs"),
        ({"control": "12"}, "does not move"),
        ({"hardening": kocks_mecking()}, "temperature"),
        ({"steps": 1.5}, "steps"),
    ],
)
def test_wrong_input(options, words):
    """Negative increment, unknown or idle control, Sachs, no temperature for densities: ParameterError."""
    given = {"hardening": None, "loading": TENSION, "increment": 0.1, "steps": 1, **options}
    with pytest.raises(ParameterError, match=words):
        deform(PowerLaw(FCC, [1.0]), given.pop("hardening"), Q[:3], **given)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Voce(FCC, -1.0),
        lambda: Voce(FCC, [1.0, 2.0]),
        lambda: Voce(FCC, 1.0, latent=-1.0),
        lambda: Saturation(FCC, 1.0, 0.0),
        lambda: kocks_mecking(burgers=0.0),
        lambda: Reorientation(MG, order="random"),
        lambda: Reorientation(MG, rule="best"),
        lambda: Saturation(MG, 1.0, 1.0, twin_saturation=-1.0),
        lambda: kocks_mecking(interactions=np.eye(3)),
        lambda: Reorientation(MG, twin_shear=np.zeros(4)),
        lambda: polycrystal_stiffness({"C11": 1.0}, Q),
        lambda: polycrystal_stiffness({"C11": 1.0, "C12": 2.0, "C44": 1.0}, Q),
        lambda: yield_surface(PowerLaw(FCC, [1.0]), Q, axes=np.eye(5)[[0, 0]]),
    ],
)
def test_wrong_parameters(build):
    """Impossible parameters of hardening, PTR and elasticity: ParameterError."""
    with pytest.raises(ParameterError):
        build()


def test_mean_field_has_a_medium():
    """The record of a self-consistent solution keeps the medium; Sachs has none."""
    assert mean_field(PowerLaw(FCC, [1.0]), Q, loading=TENSION, scheme="affine").medium.compliance.shape == (
        5,
        5,
    )
    assert mean_field(PowerLaw(FCC, [1.0]), Q, loading=TENSION, scheme="sachs").medium is None
