"""What else must not depend on the view: vectors and tensors turn with the map, pictures and mechanisms
with the sample.

Under a mirror P = diag(-1, 1, 1) rotation vectors are axial, omega' = det(P) P omega, so that kappa and alpha
become det(P) P . P^T. Hexagonal grids have no quarter turn: copies, half turn and mirror.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from cpml.crystallography.rotations import (
    axis_angle_to_quaternion,
    quaternion_multiply,
    random_quaternions,
    rotate,
)
from cpml.crystallography.schmid import schmid_factors
from cpml.crystallography.slip_systems import systems
from cpml.crystallography.symmetry import proper_group
from cpml.microscopy import (
    EbsdMap,
    band_angles,
    boundary_distance,
    boundary_sides,
    detect_traces,
    find_twins,
    gnd,
    grain_features,
    grain_shapes,
    grod,
    kam,
    kam_gradient,
    nye,
    orientation_noise,
    segment,
    slip_activity,
    slip_traces,
    structure_tensor,
    triple_junctions,
    visibility,
    weighted_burgers,
)
from cpml.microscopy.dic.displacement_ratio import direction_angles, displacement_direction
from cpml.plasticity import taylor_factor
from support.maps import MAGNESIUM, NICKEL
from support.phases import FCC

HCP = systems("hcp", families=["basal", "prismatic", "pyramidal2_ca", "twin_1012"], c_over_a=1.6236)
SETTINGS = settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
QUARTER = axis_angle_to_quaternion([0, 0, 1], np.pi / 2)  # x -> y: clockwise on screen
HALF = axis_angle_to_quaternion([0, 0, 1], np.pi)
MIRROR = axis_angle_to_quaternion([1, 0, 0], np.pi)  # of the mirrored crystal, which has a centre of symmetry


def same_lines(first, second, tolerance):
    np.testing.assert_allclose((np.asarray(first) - second + 90) % 180 - 90, 0, atol=tolerance)


@pytest.mark.parametrize("kind", ["quarter", "mirror"])
@SETTINGS
@given(seed=st.integers(0, 10_000))
def test_vectors_turn_with_the_map(make_map, voronoi, kind, seed):
    """Nye components and weighted Burgers vectors of the turned or mirrored map are the turned
    or mirrored ones.
    """
    m = make_map(
        voronoi(20, 24, 4, seed),
        random_quaternions(4, np.random.default_rng(seed)),
        phase=NICKEL,
        noise_deg=0.3,
    )
    index = np.arange(m.n_pixels).reshape(m.shape)
    index = np.rot90(index, -1) if kind == "quarter" else index[:, ::-1]
    p = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]) if kind == "quarter" else np.diag([-1.0, 1, 1])
    q = quaternion_multiply(QUARTER if kind == "quarter" else MIRROR, m.quaternions)[index.ravel()]
    row, col = np.divmod(np.arange(m.n_pixels), index.shape[1])
    fields = {f: getattr(m, f) for f in m.__dataclass_fields__}
    n = EbsdMap(
        **fields | {"quaternions": q, "shape": index.shape, "xy": m.step_um * np.stack([col, row], 1)}
    )
    first, second = segment(m), segment(n)
    for options in ({"scheme": "central"}, {"method": "integral"}):
        w, v = (weighted_burgers(g, noise_deg=0.3, **options).sample for g in (first, second))
        known = np.isfinite(v).all(
            axis=1
        )  # where a column of the curvature is missing, one component may be known
        assert (known == np.isfinite(w).all(axis=1)[index.ravel()]).all()
        np.testing.assert_allclose(v[known], (np.linalg.det(p) * w @ p.T)[index.ravel()][known], atol=2e-6)
    alpha = nye(first, scheme="central").to_numpy()[index.ravel()]
    a12, a21, a13, a23, a33, difference = alpha.T
    # a quarter turn exchanges 1 and 2: x' = -y, y' = x
    expected = (
        [-a21, -a12, -a23, a13, a33, -difference]
        if kind == "quarter"
        else [a12, a21, a13, -a23, -a33, -difference]
    )
    np.testing.assert_allclose(nye(second, scheme="central"), np.stack(expected, 1), atol=2e-6)


@SETTINGS
@given(seed=st.integers(0, 10_000))
def test_crystal_components_follow_the_copy(make_map, voronoi, seed):
    """In another symmetry copy W has the components of that copy; its length and elevation, and
    the noise, stay.
    """
    rng, group = np.random.default_rng(seed), proper_group("622")
    m = make_map(voronoi(20, 24, 4, seed), random_quaternions(4, rng), phase=MAGNESIUM, noise_deg=0.3)
    copy = group[rng.integers(12, size=m.n_pixels)]
    fields = {f: getattr(m, f) for f in m.__dataclass_fields__}
    n = EbsdMap(**fields | {"quaternions": quaternion_multiply(m.quaternions, copy)})
    first, second = segment(m), segment(n)
    assert orientation_noise(first) == pytest.approx(orientation_noise(second), rel=1e-5)
    for method in ("differential", "integral"):
        w, v = (weighted_burgers(g, method=method, noise_deg=0.3) for g in (first, second))
        np.testing.assert_allclose(rotate(copy, v.crystal), w.crystal, atol=2e-6)
        known = w.magnitude > 1e-3
        np.testing.assert_allclose(v.elevation_deg[known], w.elevation_deg[known], atol=0.2)


@pytest.mark.parametrize("kind", ["copies", "half turn", "mirror"])
@pytest.mark.parametrize("phase", [NICKEL, MAGNESIUM], ids=["fcc", "hcp"])
@SETTINGS
@given(seed=st.integers(0, 10_000))
def test_hexagonal_grids(kind, phase, seed):
    """Pixels, grains, boundaries and junctions of a hexagonal grid under copies, half turn and mirror."""
    rng, group = np.random.default_rng(seed), proper_group(phase.group)
    row, col = np.divmod(np.arange(21 * 24), 24)
    xy = np.stack([col + (row % 2) / 2, row * np.sqrt(0.75)], axis=1)
    cell = np.linalg.norm(xy[:, None] - rng.uniform(0, [24, 18], (5, 2)), axis=2).argmin(axis=1)
    v = np.radians(0.2) * rng.standard_normal((len(xy), 3))
    noise = axis_angle_to_quaternion(v, np.linalg.norm(v, axis=1))
    q = quaternion_multiply(random_quaternions(5, rng)[cell], noise)
    turn = {"half turn": HALF, "mirror": MIRROR}.get(kind)
    p = (
        quaternion_multiply(q, group[rng.integers(len(group), size=len(q))])
        if turn is None
        else quaternion_multiply(turn, q)
    )
    places = {"copies": xy, "half turn": -xy, "mirror": xy * [-1, 1]}[kind]
    first, second = (
        segment(EbsdMap.from_points("h", x, o, np.ones(len(q)), {1: phase}))
        for x, o in ((xy, q), (places, p))
    )
    own = second.map.xy - second.map.xy.min(0) + places.min(0)
    index = np.linalg.norm(own[:, None] - places, axis=2).argmin(axis=1)
    assert first.map.grid == second.map.grid == "hex" and first.n_grains == second.n_grains
    for function in (
        kam,
        lambda g: kam(g, order=2),
        grod,
        boundary_distance,
        lambda g: gnd(g, noise_deg=0.2).density / 1e14,
        lambda g: weighted_burgers(g, noise_deg=0.2).magnitude,
    ):
        np.testing.assert_allclose(function(second), function(first)[index], atol=1e-5, rtol=1e-5)
    ids = np.zeros(second.n_grains + 1, int)
    ids[second.label] = first.label[index]
    order = np.argsort(ids[1:])
    for name in ("perimeter_um", "convexity", "ellipse_major_um"):
        np.testing.assert_allclose(
            grain_shapes(second)[name].to_numpy()[order], grain_shapes(first)[name], rtol=1e-6
        )
    for name in ("length_um", "angle_deg"):
        np.testing.assert_allclose(
            np.sort(second.boundaries[name]), np.sort(first.boundaries[name]), atol=1e-4
        )
    dihedral = [
        triple_junctions(g)[[f"dihedral_{k}_deg" for k in "abc"]].to_numpy().ravel() for g in (first, second)
    ]
    np.testing.assert_allclose(np.sort(dihedral[0]), np.sort(dihedral[1]), atol=1e-3)


@pytest.mark.parametrize("kind", ["quarter", "mirror"])
@SETTINGS
@given(seed=st.integers(0, 10_000))
def test_neighbourhood_of_grains(make_map, voronoi, kind, seed):
    """KAM gradients, sides of boundaries and neighbourhood features of every grain."""
    m = make_map(
        voronoi(22, 28, 6, seed),
        random_quaternions(6, np.random.default_rng(seed)),
        phase=MAGNESIUM,
        noise_deg=0.3,
    )
    index = np.arange(m.n_pixels).reshape(m.shape)
    index = np.rot90(index, -1) if kind == "quarter" else index[:, ::-1]
    row, col = np.divmod(np.arange(m.n_pixels), index.shape[1])
    q = quaternion_multiply(QUARTER if kind == "quarter" else MIRROR, m.quaternions)[index.ravel()]
    fields = {f: getattr(m, f) for f in m.__dataclass_fields__}
    n = EbsdMap(
        **fields | {"quaternions": q, "shape": index.shape, "xy": m.step_um * np.stack([col, row], 1)}
    )
    found = []
    for v in (m, n):
        grains = segment(v)
        twins = find_twins(grains)
        table = grain_features(
            twins.grains, twins.grain_boundaries, twins.grain_label, kam(grains), twinned=twins.twinned
        )
        sides = boundary_sides(grains, kam(grains), within_um=1.0)
        found.append(
            [np.sort(kam_gradient(grains)[name]) for name in ("kam_gradient_deg_per_um", "kam_at_zero_deg")]
            + [
                np.sort(table[name])
                for name in (
                    "log_diameter",
                    "kam_deg",
                    "n_neighbours",
                    "neighbour_angle_deg",
                    "neighbour_size_ratio",
                )
            ]
            + [np.sort(sides[["n_a", "n_b"]].to_numpy().sum(axis=1))]
        )
    for first, second in zip(*found, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("slip", [FCC, HCP], ids=["fcc", "hcp"])
@SETTINGS
@given(seed=st.integers(0, 10_000))
def test_mechanics_of_crystals(slip, seed):
    """Schmid and Taylor factors, traces, step heights: any copy of a crystal; the sample turned
    with its load.
    """
    rng = np.random.default_rng(seed)
    group = proper_group("622" if slip is HCP else "432")
    q = random_quaternions(8, rng)
    stress = rng.standard_normal((3, 3))
    stress = stress + stress.T - 2 * np.trace(stress) / 3 * np.eye(3)
    strength = np.ones(len(slip))
    copies = quaternion_multiply(q, group[rng.integers(len(group), size=8)])
    r = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    for other, load, turned in (
        (copies, stress, 0.0),
        (quaternion_multiply(QUARTER, q), r @ stress @ r.T, -90.0),
    ):
        for family in range(len(slip.family_names)):
            own = slip.subset(slip.family == family)
            a, b = (np.sort(schmid_factors(own, *args)) for args in ((q, stress), (other, load)))
            if own.twin.any():  # polar: the sign counts
                np.testing.assert_allclose(a, b, atol=1e-9)
            else:
                np.testing.assert_allclose(np.sort(np.abs(a)), np.sort(np.abs(b)), atol=1e-9)
            first, second = slip_traces(q, own), slip_traces(other, own)
            for line, tilt, line2, tilt2 in zip(*first_two(first), *first_two(second), strict=True):
                # a set of lines: every one has its partner of equal inclination
                apart = np.abs((line[:, None] + turned - line2 + 90) % 180 - 90) + np.abs(
                    tilt[:, None] - tilt2
                )
                assert apart.min(axis=1).max() < 1e-6 and apart.min(axis=0).max() < 1e-6
        np.testing.assert_allclose(
            taylor_factor(slip, stress, q, strength), taylor_factor(slip, load, other, strength), rtol=1e-9
        )
        angle, angle2 = direction_angles(q, slip)[0], direction_angles(other, slip)[0]
        for line, line2 in zip(angle, angle2, strict=True):
            assert np.abs((line[:, None] + turned - line2 + 90) % 180 - 90).min(axis=1).max() < 1e-6


def first_two(traces):
    return traces.angle_deg, traces.inclination_deg


@pytest.mark.parametrize("kind", ["copies", "quarter", "mirror"])
@SETTINGS
@given(seed=st.integers(0, 10_000))
def test_activity_and_visibility(kind, seed):
    """Posterior and sparsest shears of every pixel, with H turned along; total and number of active
    systems by plane.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    q, group = random_quaternions(5, rng), proper_group("432")
    h = 0.03 * rng.standard_normal((5, 2, 2))
    r = {"copies": np.eye(2), "quarter": np.array([[0.0, -1], [1, 0]]), "mirror": np.diag([-1.0, 1.0])}[kind]
    p = {
        "copies": quaternion_multiply(q, group[rng.integers(24, size=5)]),
        "quarter": quaternion_multiply(QUARTER, q),
        "mirror": quaternion_multiply(MIRROR, q),
    }[kind]
    first, second = (
        slip_activity(h, q, FCC, min_strain=0.0),
        slip_activity(r @ h @ r.T, p, FCC, min_strain=0.0),
    )
    np.testing.assert_allclose(np.sort(first.posterior, axis=1), np.sort(second.posterior, axis=1), atol=1e-9)
    np.testing.assert_allclose(np.abs(first.shear).sum(axis=1), np.abs(second.shear).sum(axis=1), atol=1e-7)
    np.testing.assert_allclose(first.none, second.none, atol=1e-9)
    tables = []
    for crystals in (q, p):
        parents = pd.DataFrame(
            {"grain_id": np.arange(1, 6), **dict(zip(("qw", "qx", "qy", "qz"), crystals.T, strict=True))}
        )
        tables.append(visibility(parents, FCC, noise=0.005))
    for name in ("inclination_deg", "step", "projection", "least_shear"):
        a, b = (np.sort(t[name].to_numpy().reshape(5, -1), axis=1) for t in tables)
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["quarter", "mirror"])
@settings(max_examples=3, deadline=None, derandomize=True, database=None)
@given(angle=st.floats(0, 179), seed=st.integers(0, 1000))
def test_lines_turn_with_the_picture(kind, angle, seed):
    """Line families, bands and structure tensor of a turned or mirrored picture of stripes;
    displacements as well.
    """
    y, x = np.mgrid[:70, :70].astype(float)
    t = -np.radians(angle)
    p = -x * np.sin(t) + y * np.cos(t)
    picture = np.exp(-0.5 * ((p + 300) % 9 - 4.5) ** 2) + np.random.default_rng(seed).normal(0, 0.2, x.shape)
    other = np.rot90(picture, -1) if kind == "quarter" else picture[:, ::-1]
    expected = (lambda a: (a - 90) % 180) if kind == "quarter" else (lambda a: -a % 180)
    first, second = detect_traces(picture), detect_traces(other)
    assert len(first) == len(second)
    # pixels are counted in sixteenths of a pixel from one corner: the other corner
    # moves the angle within its error
    same_lines(second["angle_deg"], expected(first["angle_deg"]), 4 * first["sigma_deg"].max())
    np.testing.assert_allclose(second["score"], first["score"], atol=0.01)
    label = np.ones(picture.shape, int)
    # the plain score counts whole degrees: one step apart at most, as bins fall differently
    same_lines(
        band_angles(other, label)["angle_deg"][:1],
        expected(band_angles(picture, label)["angle_deg"][:1]),
        1.01,
    )
    inner = (slice(20, -20),) * 2
    tensor, turned = structure_tensor(picture).angle_deg, structure_tensor(other).angle_deg
    back = np.rot90(turned, 1) if kind == "quarter" else turned[:, ::-1]
    same_lines(back[inner], expected(tensor[inner]), 0.01)
    samples = np.random.default_rng(seed).standard_normal((20, 2)) * [1.0, 0.2]
    r = np.array([[0.0, -1], [1, 0]]) if kind == "quarter" else np.diag([-1.0, 1.0])
    psi, sigma, quality = displacement_direction(samples)
    psi2, sigma2, quality2 = displacement_direction(samples @ r.T)
    same_lines([psi2], [expected(psi)], 1e-6)
    assert (sigma2, quality2) == pytest.approx((sigma, quality))
