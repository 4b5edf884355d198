"""ODF: closed forms of kernel, uniform and single-component texture, symmetry, choice of the width, files."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln

from cpml.crystallography import (
    axis_angle_to_quaternion,
    disorientation_angle,
    estimate_odf,
    euler_to_quaternion,
    proper_group,
    quaternion_multiply,
    random_quaternions,
)
from cpml.crystallography.odf import Odf, kernel, kernel_exponent, kernel_share
from cpml.crystallography.odf_files import write_mtex, write_orientations
from cpml.errors import ParameterError

IDENTITY = np.array([1.0, 0, 0, 0])


def scattered(n, halfwidth_deg, rng, centre=IDENTITY):
    """n orientations distributed as the kernel: sin^2(t/2) is beta distributed, the axis has no direction."""
    square = rng.beta(1.5, kernel_exponent(halfwidth_deg) + 0.5, n)
    turn = axis_angle_to_quaternion(rng.standard_normal((n, 3)), 2 * np.arcsin(np.sqrt(square)))
    return quaternion_multiply(turn, centre)


def index_of_one(halfwidth_deg):
    """Mean of K^2 by gamma functions: K^2 is a kernel of twice the exponent, but for its constant."""
    kappa = kernel_exponent(halfwidth_deg)

    def log_constant(k):  # of B(3/2, 1/2)/B(3/2, k + 1/2)
        return gammaln(1.5) + gammaln(0.5) - gammaln(2) - gammaln(1.5) - gammaln(k + 0.5) + gammaln(k + 2)

    return np.exp(2 * log_constant(kappa) - log_constant(2 * kappa))


@pytest.mark.parametrize("width", [3.0, 10.0, 35.0, 90.0])
def test_kernel_has_mean_one_and_its_half_width(width):
    """Haar measure of the angle: (1 - cos t)/pi; the share inside an angle is the integral to it."""

    def density(t):
        return kernel(np.degrees(t), width) * (1 - np.cos(t)) / np.pi

    points = np.radians([width, 3 * width])
    assert quad(density, 0, np.pi, points=points[points < np.pi], limit=200)[0] == pytest.approx(1)
    assert kernel(width, width) / kernel(0, width) == pytest.approx(0.5)
    assert quad(density, 0, np.radians(width))[0] == pytest.approx(kernel_share(width, width))


@pytest.mark.parametrize("group", ["1", "222", "32", "422", "622", "432"])
def test_mean_over_all_rotations_is_one(group):
    """Few orientations, any symmetry: 40,000 random rotations scatter by sqrt((J - 1)/40,000)."""
    rng = np.random.default_rng(1)
    odf = estimate_odf(random_quaternions(7, rng), group=group, weights=np.arange(1, 8), halfwidth_deg=25)
    q = random_quaternions(40_000, rng)
    f = odf.evaluate(q)
    assert f.mean() == pytest.approx(1, abs=5 * np.sqrt((odf.texture_index - 1) / 40_000))
    assert (f**2).mean() == pytest.approx(odf.texture_index, rel=0.1)
    for s in proper_group(group)[:5]:
        np.testing.assert_allclose(odf.evaluate(quaternion_multiply(q[:50], s)), f[:50], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("width", [6.0, 15.0, 40.0])
def test_one_component_has_its_texture_index(width):
    """Without symmetry J is that of the kernel; with 24 equivalents far apart a 24th of it."""
    lone = Odf("1", IDENTITY[None], np.ones(1), width, {})
    assert lone.texture_index == pytest.approx(index_of_one(width), rel=1e-6)
    assert lone.evaluate(IDENTITY) == pytest.approx(kernel(0, width), rel=1e-6)
    if width < 10:
        cubic = Odf("432", IDENTITY[None], np.ones(1), width, {})
        assert cubic.texture_index == pytest.approx(index_of_one(width) / 24, rel=1e-6)


@pytest.mark.parametrize("radius", [5.0, 12.0, 40.0, 180.0])
def test_volume_fraction_of_one_component(radius):
    """Share of a kernel of 12 deg within an angle, in closed form; 4,096 points integrate it to 1 %."""
    lone = Odf("1", IDENTITY[None], np.ones(1), 12.0, {})
    assert lone.volume_fraction(IDENTITY, radius) == pytest.approx(kernel_share(radius, 12.0), rel=0.015)


def test_uniform_orientations_give_one():
    """4,000 random cubic crystals: f is 1 within some percent, J is what chance gives, volumes are Haar's."""
    odf = estimate_odf(random_quaternions(4000, np.random.default_rng(3)), group="432")
    f = odf.evaluate(random_quaternions(3000, np.random.default_rng(4)))
    assert odf.halfwidth_deg > 15 and np.abs(f - 1).max() < 0.25
    assert odf.texture_index == pytest.approx(1, abs=0.02)
    assert odf.texture_index - 1 == pytest.approx(odf.chance_index - 1, abs=0.01)
    for radius in (10, 20):
        ball = 24 * (np.radians(radius) - np.sin(np.radians(radius))) / np.pi
        assert odf.volume_fraction(IDENTITY, radius) == pytest.approx(ball, rel=0.15)
    # balls that overlap: the share of random crystals below 45 deg of disorientation, counted
    angle = disorientation_angle(
        random_quaternions(20_000, np.random.default_rng(5)), IDENTITY, proper_group("432")
    )
    assert odf.volume_fraction(IDENTITY, 45) == pytest.approx(np.mean(np.degrees(angle) < 45), abs=0.03)


@pytest.mark.parametrize("width", [8.0, 15.0, 25.0])
def test_width_of_a_component_is_recovered(width):
    """3,000 orientations scattered with a half-width: the ODF falls to half of its peak there, 15 %.

    The estimate widens what it sees by its own kernel, which is narrower than half of it for so many.
    """
    rng = np.random.default_rng(int(width))
    centre = random_quaternions(1, rng)[0]
    odf = estimate_odf(scattered(3000, width, rng, centre), group="432")
    assert odf.halfwidth_deg < 0.6 * width
    angles = np.linspace(0, 2.5 * width, 60)
    axes = rng.standard_normal((40, 1, 3)) * np.ones((1, 60, 1))
    around = quaternion_multiply(axis_angle_to_quaternion(axes, np.radians(angles)[None]), centre)
    mean = odf.evaluate(around).mean(axis=0)
    half = angles[np.argmax(mean < mean[0] / 2)]
    assert half == pytest.approx(width, rel=0.15)
    assert odf.volume_fraction(centre, 2 * width) == pytest.approx(kernel_share(2 * width, width), abs=0.06)


def test_points_of_a_grain_are_left_out_together():
    """Thirty grains of 40 points each, a degree apart: one by one the points ask for a kernel of their own
    scatter, grain by grain for that of the texture.
    """
    rng = np.random.default_rng(0)
    grains = scattered(30, 20.0, rng)
    points = quaternion_multiply(scattered(1200, 1.0, rng), np.repeat(grains, 40, axis=0))
    alone = estimate_odf(points, group="432")
    together = estimate_odf(points, group="432", groups=np.repeat(np.arange(30), 40))
    single = estimate_odf(grains, group="432")
    assert alone.halfwidth_deg < 4
    assert together.halfwidth_deg == pytest.approx(single.halfwidth_deg, rel=0.25)
    assert max(together.scores, key=together.scores.get) >= 8


def test_gathering_many_changes_little():
    """Above a thousand orientations near ones are one: f moves by 2 % of its largest value at most."""
    rng = np.random.default_rng(2)
    q = scattered(3000, 20.0, rng, random_quaternions(1, rng)[0])
    odf = estimate_odf(q, group="622", halfwidth_deg=15)
    where = scattered(200, 25.0, rng, q[0])
    kappa = kernel_exponent(15)
    copies = np.stack([quaternion_multiply(q, s) for s in proper_group("622")])
    square = np.einsum("pk,snk->spn", where, copies) ** 2
    exact = kernel(0, 15) * np.mean(np.mean(square**kappa, axis=2), axis=0)
    assert len(odf._centres[1]) < 12 * 3000 and np.abs(odf.evaluate(where) - exact).max() < 0.02 * exact.max()


@pytest.mark.parametrize(
    "group, shape",
    [
        ("1", (72, 37, 72)),
        ("2", (72, 37, 36)),
        ("222", (72, 19, 36)),
        ("121", (72, 19, 72)),
        ("32", (72, 19, 24)),
        ("622", (72, 19, 12)),
        ("432", (72, 19, 18)),
    ],
)
def test_grid_covers_the_rotations(group, shape):
    """Angles of the regular grid: f weighted with sin Phi has mean 1."""
    odf = estimate_odf(random_quaternions(5, np.random.default_rng(0)), group=group, halfwidth_deg=30)
    angles, values = odf.on_grid(5)
    assert values.shape == shape
    weight = np.sin(np.radians(angles[..., 1]))
    assert np.average(values, weights=weight) == pytest.approx(1, abs=0.01)


def test_files_for_other_programs(tmp_path):
    """The grid and the orientations read back by a plain reader give the ODF again."""
    rng = np.random.default_rng(6)
    odf = estimate_odf(
        random_quaternions(12, rng), group="622", weights=rng.uniform(1, 2, 12), halfwidth_deg=20
    )
    path = write_mtex(odf, tmp_path / "odf.txt", step_deg=10)
    lines = path.read_text().splitlines()
    assert lines[0] == "% MTEX ODF" and lines[3].split() == ["%", "phi1", "Phi", "phi2", "value"]
    table = np.loadtxt(path, comments="%")
    assert table.shape == (36 * 10 * 6, 4)
    np.testing.assert_allclose(
        odf.evaluate(euler_to_quaternion(np.radians(table[:, :3]))), table[:, 3], atol=1e-5
    )
    path = write_orientations(odf, tmp_path / "orientations.csv")
    assert path.read_text().splitlines()[0] == "phi1_deg,Phi_deg,phi2_deg,weight"
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    again = estimate_odf(
        euler_to_quaternion(np.radians(table[:, :3])), group="622", weights=table[:, 3], halfwidth_deg=20
    )
    q = random_quaternions(30, rng)
    np.testing.assert_allclose(again.evaluate(q), odf.evaluate(q), rtol=1e-4)
    assert table[:, 3].sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"weights": [1.0, 2.0]}, "weights"),
        ({"weights": [0.0, 0.0, 0.0]}, "positive weight"),
        ({"weights": [1.0, -2.0, 1.0]}, "negative"),
        ({"groups": [1, 1, 1]}, "one grain"),
        ({"halfwidth_deg": 0.0}, "half-width"),
        ({"group": "5"}, "5"),
    ],
)
def test_what_cannot_be_estimated_is_said(change, message):
    q = random_quaternions(3, np.random.default_rng(0))
    with pytest.raises(ParameterError, match=message):
        estimate_odf(q, **({"group": "432"} | change))
    odf = estimate_odf(q, group="432", halfwidth_deg=20)
    with pytest.raises(ParameterError, match="radius"):
        odf.volume_fraction(IDENTITY, 0)
    with pytest.raises(ParameterError, match="step"):
        odf.grid(7)
