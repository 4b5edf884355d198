"""Rate-independent Taylor factors: closed forms, converged random values, HiGHS as the independent solver."""

import numpy as np
import pytest
from scipy.optimize import linprog

from cpml.crystallography import matrix_to_quaternion, quaternion_to_matrix, random_quaternions, systems
from cpml.crystallography.tensors import to_vector, von_mises_rate
from cpml.errors import ParameterError
from cpml.plasticity import taylor_factor
from cpml.plasticity.polycrystal.taylor import yield_vertices
from support.phases import FCC, MG, magnesium

PULL_Z = np.diag([-0.5, -0.5, 1.0])
PLANE_STRAIN = np.diag([1.0, 0, -1.0])


def along(axis):
    """Quaternion that puts the crystal direction `axis` on sample z."""
    z = np.asarray(axis, float) / np.linalg.norm(axis)
    x = np.cross([0.3, 0.5, 0.8], z)
    x /= np.linalg.norm(x)
    return matrix_to_quaternion(np.array([x, np.cross(z, x), z]))


@pytest.mark.parametrize(
    "axis, value",
    [
        ((0, 0, 1), np.sqrt(6)),
        ((0, 1, 1), 1.5 * np.sqrt(6)),
        ((1, 1, 1), 1.5 * np.sqrt(6)),
        ((1, 2, 3), 3.1493),
        ((1, 1, 2), 3.0619),
        ((0, 1, 2), 2.9394),
    ],
)
def test_fcc_points(axis, value):
    """Axisymmetric tension along simple directions."""
    assert taylor_factor(FCC, PULL_Z, along(axis))[0] == pytest.approx(value, abs=1e-4)


def test_bishop_hill():
    """The fcc yield polytope has 56 vertices, 28 and their opposites."""
    vertices = yield_vertices(FCC)
    assert len(vertices) == 56
    assert np.abs(vertices @ FCC.schmid5.T).max(axis=1) == pytest.approx(1)
    assert all(np.abs(vertices + v).max(axis=1).min() < 1e-9 for v in vertices)


def octant_mean(s, n=240):
    """Mean over all tension axes: midpoints in cos(theta) and phi over one octant (equal areas).

    Octants are equivalent under the cubic group; M is piecewise smooth, so the midpoint error falls with
    1/n^2 and is below 3e-5 at n = 240 (compared with n = 480).
    """
    cosine, phi = (np.arange(n) + 0.5) / n, (np.arange(n) + 0.5) / n * np.pi / 2
    c, p = (x.ravel() for x in np.meshgrid(cosine, phi, indexing="ij"))
    axis = np.stack([np.sqrt(1 - c**2) * np.cos(p), np.sqrt(1 - c**2) * np.sin(p), c], -1)
    strain = 1.5 * (axis[:, :, None] * axis[:, None, :] - np.eye(3) / 3)
    local = to_vector(strain)
    return float(((local @ yield_vertices(s).T).max(axis=1) / von_mises_rate(local)).mean())


@pytest.mark.parametrize(
    "lattice, families, value",
    [
        ("fcc", ["octahedral"], 3.06667),
        ("bcc", ["110"], 3.06667),
        ("bcc", ["112"], 2.95421),
        ("bcc", ["110", "112"], 2.79493),
        ("bcc", ["110", "112", "123"], 2.75435),
    ],
)
def test_random_taylor_factor(lattice, families, value):
    """Isotropic polycrystals in tension: linear programmes with quadrature over the standard triangle, by
    other code (fcc: Bishop & Hill 1951, Phil. Mag. 42:414, have 3.06).
    """
    assert octant_mean(systems(lattice, families=families)) == pytest.approx(value, abs=1e-4)


def octant_axes(n=240):
    """Tension axes over one octant, equal areas (as octant_mean)."""
    cosine, phi = (np.arange(n) + 0.5) / n, (np.arange(n) + 0.5) / n * np.pi / 2
    c, p = (x.ravel() for x in np.meshgrid(cosine, phi, indexing="ij"))
    return np.stack([np.sqrt(1 - c**2) * np.cos(p), np.sqrt(1 - c**2) * np.sin(p), c], -1)


@pytest.mark.parametrize(
    "lattice, families, sachs, largest",
    [
        ("fcc", ["octahedral"], 2.23250, 0.45235),
        ("bcc", ["110"], 2.23250, 0.45235),
        ("bcc", ["112"], 2.2015, 0.4569),
        ("bcc", ["110", "112"], 2.14125, 0.46982),
        ("bcc", ["110", "112", "123"], 2.12664, 0.47300),
    ],
)
def test_random_schmid_factors(lattice, families, sachs, largest):
    """Sachs <1/m> and mean largest Schmid factor of random crystals: quadrature by other code, to 1e-4."""
    found, axes = systems(lattice, families=families), octant_axes()
    m = np.abs((axes @ found.direction.T) * (axes @ found.plane.T)).max(axis=1)
    assert (1 / m).mean() == pytest.approx(sachs, abs=1e-4) and m.mean() == pytest.approx(largest, abs=1e-4)


def test_pencil_glide():
    """Any plane that holds <111>: the best has n in the plane of b and the axis, m = cos sin of their angle.

    The stated values have 60 planes for each direction: <1/m> is larger by up to (1.5 deg)^2/6 of it, 3e-4.
    """
    b = np.array([[1, 1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 3**0.5
    along = np.abs(octant_axes() @ b.T)
    m = (along * np.sqrt(1 - along**2)).max(axis=1)
    assert (1 / m).mean() == pytest.approx(2.12040, abs=4e-4) and m.mean() == pytest.approx(0.47441, abs=1e-4)


def test_random_plane_strain():
    """fcc plane strain, von Mises: 2.874 +- 0.008 (20,000 orientations: standard error 0.002)."""
    m = taylor_factor(FCC, PLANE_STRAIN, random_quaternions(20000, np.random.default_rng(0)))
    assert m.mean() == pytest.approx(2.874, abs=0.008)


def highs(s, strain5, ratio):
    """min sum ratio |gamma| subject to sum gamma P = strain; twins one way."""
    slip = ~s.twin
    a = np.concatenate([s.schmid5, -s.schmid5[slip]]).T
    cost = np.concatenate([ratio, ratio[slip]])
    return linprog(cost, A_eq=a, b_eq=strain5, bounds=(0, None), method="highs").fun / von_mises_rate(strain5)


@pytest.mark.parametrize(
    "s, strengths", [(FCC, [1.0]), (MG, [1.0, 5.5, 6.0, 4.0]), (systems("bcc"), [1.0, 1.1, 0.9, 1.3])]
)
@pytest.mark.parametrize("strain", [PULL_Z, -PULL_Z, PLANE_STRAIN])
def test_equals_highs(s, strengths, strain):
    """The vertex search equals the primal linear programme to 1e-9, unequal
    strengths and polar twins included.
    """
    q = random_quaternions(10, np.random.default_rng(1))
    r = quaternion_to_matrix(q)
    ratio = np.array(strengths)[s.family]
    expected = [highs(s, to_vector(x.T @ strain @ x), ratio) for x in r]
    assert taylor_factor(s, strain, q, strengths) == pytest.approx(expected, rel=1e-9)


def test_size_of_the_strain_does_not_matter():
    """M(3 eps) = M(eps)."""
    q = random_quaternions(5, np.random.default_rng(3))
    assert taylor_factor(FCC, 3e-3 * PULL_Z, q) == pytest.approx(taylor_factor(FCC, PULL_Z, q))


@pytest.mark.parametrize("families", [["basal", "prismatic"], ["basal", "prismatic", "twin_1012"], ["basal"]])
def test_open_polytopes_are_refused(families):
    """Families that cannot produce every strain: ParameterError that proposes <c+a>."""
    with pytest.raises(ParameterError, match="<c\\+a>"):
        taylor_factor(magnesium(*families), PULL_Z, [1.0, 0, 0, 0])


def test_wrong_ratio():
    """A ratio for each family or system, positive."""
    for ratio in ([1.0, 2.0], [-1.0], [0.0]):
        with pytest.raises(ParameterError, match="strength_ratio"):
            taylor_factor(FCC, PULL_Z, [1.0, 0, 0, 0], ratio)
