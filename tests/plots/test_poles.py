"""Pole figures are densities in multiples of random, and lie where the poles are."""

import numpy as np
import pytest

from cpml import plots
from cpml.crystallography import random_quaternions
from cpml.errors import ParameterError
from cpml.plots.colours import in_crystal
from cpml.plots.texture.poles import hemisphere, plane_normals


def _random(n, seed=0):
    return random_quaternions(n, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("plane", "lattice", "count"),
    [
        ((1, 0, 0), "fcc", 3),
        ((1, 1, 0), "bcc", 6),
        ((1, 1, 1), "fcc", 4),
        ((1, 2, 3), "bcc", 24),
        ((0, 0, 0, 1), "hcp", 1),
        ((1, 0, -1, 0), "hcp", 3),
        ((1, 0, -1, 1), "hcp", 6),
        ((2, 1, -3, 1), "hcp", 12),
    ],
)
def test_multiplicity(plane, lattice, count):
    """Each family has its number of planes."""
    assert len(plane_normals(plane, lattice=lattice, c_over_a=1.6)) == count


def test_hexagonal_normal_angle():
    """The angle between (0001) and {10-12} is atan(c/a / sqrt3)."""
    normals = plane_normals((1, 0, -1, 2), lattice="hcp", c_over_a=1.624)
    tilt = np.arccos(np.abs(normals[:, 2]))
    np.testing.assert_allclose(tilt, np.arctan(1.624 / np.sqrt(3)), rtol=1e-12)


@pytest.mark.parametrize("spread", [10.0, 25.0])
def test_mean_density_is_one(spread):
    """Whatever the texture, the mean over the sphere is 1 MRD (grid of equal areas: 1 % at its rim)."""
    _, directions, inside = hemisphere(151)
    normals = plane_normals((1, 1, 1), lattice="fcc")
    density = plots.pole_density(_random(3), normals, directions[inside], halfwidth_deg=spread)
    assert density.mean() == pytest.approx(1.0, abs=0.01)
    assert density.max() > 1.5


def test_random_texture_is_flat():
    """20000 random crystals: 1 MRD everywhere; 4 poles each in a cap of 10 deg leave a scatter of 4 %."""
    _, directions, inside = hemisphere(31)
    normals = plane_normals((1, 1, 1), lattice="fcc")
    density = plots.pole_density(_random(20_000), normals, directions[inside])
    np.testing.assert_allclose(density, 1.0, atol=0.15)
    assert density.std() < 0.04


def test_peak_height_of_one_crystal():
    """A single c axis along z peaks at half the kernel's maximum, (1 + kappa) / 2, and nowhere else."""
    kappa = np.log(0.5) / (2 * np.log(np.cos(np.radians(5))))
    at = np.array([[0, 0, 1.0], [0, 0, -1.0], [1.0, 0, 0]])
    density = plots.pole_density([[1.0, 0, 0, 0]], [[0, 0, 1.0]], at)
    np.testing.assert_allclose(density[:2], (1 + kappa) / 2, rtol=1e-6)
    assert density[2] < 1e-6


def test_rotating_the_specimen_rotates_the_pole_figure():
    """p(turned directions, turned crystals) = p(directions, crystals), also for many gathered poles (2 %)."""
    turn = _random(1, seed=5)[0]
    back = turn * [1, -1, -1, -1]
    w, v = turn[0], turn[1:]
    q = np.concatenate([_random(1, seed=s) + 0.05 * _random(4000, seed=s + 9) for s in (1, 2)])
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    turned = np.concatenate(
        [(w * q[:, :1] - q[:, 1:] @ v[:, None]), w * q[:, 1:] + q[:, :1] * v + np.cross(v, q[:, 1:])], axis=1
    )
    _, directions, inside = hemisphere(21)
    d = directions[inside]
    normals = plane_normals((1, 0, 0), lattice="bcc")
    first, second = (
        plots.pole_density(q, normals, d),
        plots.pole_density(turned, normals, in_crystal(back, d)),
    )
    np.testing.assert_allclose(second, first, atol=0.02 * first.max())


def test_weights_count_like_copies():
    """Weight 2 is the same as two crystals."""
    q = _random(5)
    _, directions, _ = hemisphere(11)
    normals = plane_normals((1, 1, 0), lattice="bcc")
    doubled = plots.pole_density(np.concatenate([q, q[:2]]), normals, directions)
    weighted = plots.pole_density(q, normals, directions, weights=[2, 2, 1, 1, 1])
    np.testing.assert_allclose(weighted, doubled, rtol=1e-10)


def test_pole_out_of_the_surface_to_the_right_is_on_the_right():
    """A c axis leaving the specimen (z < 0) towards +x is on the right of the figure, on the x axis."""
    angle = -np.radians(40) / 2  # about +y: z goes to (-sin 40, 0, cos 40), its opposite leaves towards +x
    q = [[np.cos(angle), 0, np.sin(angle), 0]]
    fig = plots.pole_figures(q, lattice="hcp", c_over_a=1.6, planes=[(0, 0, 0, 1)])
    image = np.nan_to_num(fig.axes[0].images[0].get_array())
    row, col = np.unravel_index(image.argmax(), image.shape)
    assert abs(row - 50) <= 1
    assert col > 60


def test_pole_figures_share_one_bar():
    """Three pole figures, one colour bar, the same limits."""
    fig = plots.pole_figures(_random(50), lattice="fcc")
    assert len(fig.axes) == 4
    assert len({ax.images[0].get_clim() for ax in fig.axes[:3]}) == 1


def test_pole_figure_errors():
    """hcp without c/a, an unknown lattice and no orientation at all are clear errors."""
    with pytest.raises(ParameterError, match="c_over_a"):
        plots.pole_figures(_random(3), lattice="hcp")
    with pytest.raises(ParameterError, match="fcc, bcc, hcp"):
        plots.pole_figures(_random(3), lattice="diamond")
    with pytest.raises(ParameterError, match="no indexed orientation"):
        plots.pole_figures(np.full((3, 4), np.nan), lattice="fcc")


@pytest.mark.parametrize("lattice", ["fcc", "hcp"])
def test_inverse_pole_figure_stays_in_the_triangle(lattice):
    """All crystals lie in the standard triangle: 0 <= y <= x tan(45 or 30 deg)."""
    fig = plots.inverse_pole_figure(_random(300), np.arange(300.0), lattice=lattice, label="Taylor factor")
    x, y = fig.axes[0].collections[-1].get_offsets().T
    assert len(x) == 300
    slope = 1.0 if lattice == "fcc" else np.tan(np.pi / 6)
    assert (y >= -1e-12).all() and (y <= slope * x + 1e-12).all()
    assert plots.inverse_pole_figure(_random(3), [np.nan] * 3, lattice=lattice, label="Taylor factor") is None


def test_any_crystal_by_its_normals():
    """Normals of an orthorhombic crystal: one pole figure for each family, in the order given."""
    families = {(1, 0, 0): np.array([[1.0, 0, 0]]), (0, 1, 0): np.array([[0, 1.0, 0]])}
    fig = plots.pole_figures(_random(5), planes=families, title="Ore")
    titles = [ax.get_title(loc="center") for ax in fig.axes]
    assert [t.partition(",")[0] for t in titles[:2]] == ["{100}", "{010}"]
    with pytest.raises(ParameterError, match="lattice None"):
        plots.pole_figures(_random(5))


def test_odf_sections_show_the_grid():
    """Six of eighteen sections at their phi2, one colour bar from 0 to the largest value."""
    grid = np.stack(
        np.meshgrid(np.arange(0, 360, 10), np.arange(0, 91, 10), np.arange(0, 90, 5), indexing="ij"), -1
    )
    values = 1 + np.cos(np.radians(grid[..., 0]))
    fig = plots.odf_sections(grid, values, halfwidth_deg=10, n=7, unit="grains", title="Ore")
    shown = [ax for ax in fig.axes if ax.get_visible() and "φ2" in ax.get_title(loc="center")]
    assert [ax.get_title(loc="center") for ax in shown] == [f"φ2 = {a}°" for a in (0, 15, 30, 45, 60, 75)]
    image = shown[0].images[0]
    assert image.get_clim() == (0, 2) and image.get_array().shape == (10, 36)
    with pytest.raises(ParameterError, match="grid"):
        plots.odf_sections(grid, values[0], halfwidth_deg=10, n=7)
