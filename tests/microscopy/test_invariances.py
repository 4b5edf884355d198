"""Every feature of a map is the same for other symmetry copies, for the map turned by 90 deg, and for
its mirror image.

A turned map has its pixels and its crystals turned. A mirrored map (x -> -x) holds the mirror images of its
crystals; with a centre of symmetry that is the crystal turned by 180 deg about the x axis. Holes are left
open: which of two equally near grains takes a hole depends on the order of the pixels.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply, random_quaternions
from cpml.crystallography.slip_systems import systems
from cpml.crystallography.symmetry import proper_group
from cpml.crystallography.twinning import twin_crystal_to_sample
from cpml.microscopy import (
    EbsdMap,
    boundary_details,
    boundary_transfer,
    find_twins,
    gnd,
    grain_shapes,
    grain_spread,
    grod,
    kam,
    parent_probability,
    segment,
    triple_junctions,
    twin_lamellae,
    weighted_burgers,
)
from support.maps import MAGNESIUM, NICKEL

SETTINGS = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TURNS = {
    "copies": None,
    "quarter": axis_angle_to_quaternion([0, 0, 1], np.pi / 2),
    "mirror": axis_angle_to_quaternion([1, 0, 0], np.pi),
}


def specimen(make_map, voronoi, seed, phase):
    """A small map with noise, a few pixels that are not indexed, a Sigma3 or a twin among its grains."""
    rng = np.random.default_rng(seed)
    rows, cols = 26, 34
    cells = voronoi(rows, cols, 7, seed)
    q = random_quaternions(7, rng)
    if phase is MAGNESIUM:
        plane = systems("hcp", families=["twin_1012"], c_over_a=MAGNESIUM.c_over_a).plane
        q[1:4] = [twin_crystal_to_sample(q[0], plane[k]) for k in (0, 2, 3)]
    else:
        q[1] = quaternion_multiply(q[0], axis_angle_to_quaternion([1, 1, 1], np.pi / 3))
    cells[rng.uniform(size=cells.shape) < 0.01] = 0
    return make_map(cells, q, phase=phase, noise_deg=0.2, seed=seed)


def transformed(m, kind, seed):
    """The map, and the pixel of the first map that stands at each of its pixels."""
    index = np.arange(m.n_pixels).reshape(m.shape)
    q, shape = m.quaternions, m.shape
    if kind == "copies":
        group = proper_group(m.phases[1].group)
        chosen = np.random.default_rng(seed + 1).integers(len(group), size=m.n_pixels)
        q = quaternion_multiply(q, group[chosen])
    else:
        index = np.rot90(index, -1) if kind == "quarter" else index[:, ::-1]
        q, shape = quaternion_multiply(TURNS[kind], q), index.shape
    index = index.ravel()
    row, col = np.divmod(np.arange(m.n_pixels), shape[1])
    xy = np.stack([col, row], axis=1) * m.step_um
    fields = {f: getattr(m, f) for f in m.__dataclass_fields__}
    return EbsdMap(
        **fields | {"quaternions": q[index], "phase_id": m.phase_id[index], "shape": shape, "xy": xy}
    ), index


def turned_line(angle_deg, kind):
    """On-screen line angle after the change."""
    return {"copies": angle_deg, "quarter": angle_deg + 90, "mirror": -angle_deg}[kind] % 180


def same_lines(first, second, tolerance=1e-4):
    difference = (np.asarray(first, float) - np.asarray(second, float) + 90) % 180 - 90
    np.testing.assert_allclose(difference, 0, atol=tolerance)


def in_order_of(grains, other, index):
    """Id in the first map of each grain of the other one."""
    ids = np.zeros(other.n_grains + 1, int)
    ids[other.label] = grains.label[index]
    return ids


def boundaries_by_pair(table, ids=None):
    """The table indexed by its pair of ids (translated into those of the first map)."""
    a, b = table["fragment_a"].to_numpy(), table["fragment_b"].to_numpy()
    if ids is not None:
        a, b = ids[a], ids[b]
    return table.assign(low=np.minimum(a, b), high=np.maximum(a, b)).set_index(["low", "high"]).sort_index()


@pytest.mark.parametrize("kind", list(TURNS))
@pytest.mark.parametrize("phase", [NICKEL, MAGNESIUM], ids=["fcc", "hcp"])
@SETTINGS
@given(seed=st.integers(0, 10_000))
def test_features_do_not_depend_on_the_view(make_map, voronoi, kind, phase, seed):
    """Pixels, grains, boundaries, junctions: scalars are equal, lines turn with the map,
    forward differences apart.
    """
    m = specimen(make_map, voronoi, seed, phase)
    n, index = transformed(m, kind, seed)
    first, second = (segment(v) for v in (m, n))
    ids = in_order_of(first, second, index)
    assert first.n_grains == second.n_grains and sorted(ids[1:]) == list(range(1, first.n_grains + 1))
    pixels = {
        "kam": kam,
        "kam2": lambda g: kam(g, order=2),
        "grod": grod,
        "wbv": lambda g: weighted_burgers(g, scheme="central", noise_deg=0.2).magnitude,
        "loop": lambda g: weighted_burgers(g, method="integral", noise_deg=0.2).magnitude,
        "gnd": lambda g: gnd(g, scheme="central", noise_deg=0.2).density / 1e14,
        "gnd2": lambda g: gnd(g, scheme="central", method="l2", noise_deg=0.2).density / 1e14,
    }
    for name, function in pixels.items():
        np.testing.assert_allclose(
            function(second), function(first)[index], atol=2e-5, rtol=1e-5, err_msg=name
        )
    grain_tables(first, second, ids, kind)
    boundary_tables(first, second, ids, kind)


def grain_tables(first, second, ids, kind):
    lines = {"long_axis_deg"}
    for function in (lambda g: g.table, grain_shapes, grain_spread):
        a, b = function(first), function(second)
        b = b.assign(fragment_id=ids[b["fragment_id"]]).sort_values("fragment_id").reset_index(drop=True)
        scalars = [
            c
            for c in a
            if c not in lines and not c.startswith(("q", "x_", "y_", "spread_axis", "spread_crystal"))
        ]
        np.testing.assert_allclose(b[scalars].astype(float), a[scalars].astype(float), atol=1e-5, rtol=1e-5)
        clear = first.table["aspect_ratio"].to_numpy() > 1.05
        if "long_axis_deg" in a:
            same_lines(b.loc[clear, "long_axis_deg"], turned_line(a.loc[clear, "long_axis_deg"], kind))


def boundary_tables(first, second, ids, kind):
    a = boundaries_by_pair(boundary_details(first))
    b = boundaries_by_pair(boundary_details(second), ids)
    assert a.index.equals(b.index)
    for name in (
        "length_um",
        "n_segments",
        "angle_deg",
        "csl",
        "csl_palumbo_aust",
        "n_pieces",
        "straightness",
        "curvature_abs_per_um",
        "tilt_share_min",
        "twist_share_mean",
        "twist_share_max",
    ):
        # a 180 deg disorientation or a tie of equivalents has several axes; the trace
        # of a compact boundary is loose
        loose = name.startswith("t")
        close = np.isclose(b[name].to_numpy(float), a[name].to_numpy(float), atol=1e-5, equal_nan=True)
        assert close.all() if not loose else close.mean() > 0.8, name
    crystal = (
        a[["axis_x", "axis_y", "axis_z"]].to_numpy() @ np.ones(3),
        b[["axis_x", "axis_y", "axis_z"]].to_numpy() @ np.ones(3),
    )
    np.testing.assert_allclose(*crystal, atol=1e-3)
    junctions = [triple_junctions(g) for g in (first, second)]
    assert len(junctions[0]) == len(junctions[1])
    assert sorted(junctions[0]["type"]) == sorted(junctions[1]["type"])
    columns = [f"dihedral_{k}_deg" for k in "abc"]
    np.testing.assert_allclose(*(np.sort(j[columns].to_numpy().ravel()) for j in junctions), atol=1e-4)


@pytest.mark.parametrize("kind", list(TURNS))
@SETTINGS
@given(seed=st.integers(0, 10_000))
def test_twins_and_transfer_do_not_depend_on_the_view(make_map, voronoi, kind, seed):
    """Families, thickness, deviation from K1, probability of the parent, m' and the rest for a load turned
    with the map.
    """
    m = specimen(make_map, voronoi, seed, MAGNESIUM)
    n, index = transformed(m, kind, seed)
    loads = np.diag([1.0, 0, 0]), np.diag([0, 1.0, 0]) if kind == "quarter" else np.diag([1.0, 0, 0])
    found, lamellae, slip = [], [], []
    system = systems("hcp", families=["basal", "prismatic"], c_over_a=MAGNESIUM.c_over_a)
    first = segment(m)
    # the larger orientation is taken for the parent: of two that are equally large, whichever comes first
    assume(first.table["n_pixels"].is_unique)
    for v, load in zip((m, n), loads, strict=True):
        grains = segment(v)
        ids = in_order_of(first, grains, index) if v is n else np.arange(grains.n_grains + 1)
        twins = find_twins(grains)
        table = parent_probability(twins, stress=load)
        found.append(
            table.assign(fragment_id=ids[table["fragment_id"]])
            .sort_values("fragment_id")["probability"]
            .to_numpy()
        )
        table = twin_lamellae(twins)
        lamellae.append(table.assign(fragment_id=ids[table["fragment_id"]]).sort_values("fragment_id"))
        table = boundary_transfer(grains.boundaries, grains.mean_quaternions, system, stress=load)
        slip.append(boundaries_by_pair(table, ids))
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    for name in ("thickness_um", "k1_inclination_deg", "trace_deviation_deg", "long_axis_deviation_deg"):
        np.testing.assert_allclose(lamellae[0][name], lamellae[1][name], atol=0.02)
    same_lines(lamellae[1]["k1_trace_deg"], turned_line(lamellae[0]["k1_trace_deg"], kind), 0.02)
    assert slip[0].index.equals(slip[1].index)
    for name in (
        "m_prime",
        "m_prime_signed",
        "m_prime_max",
        "residual_burgers",
        "livingston_chalmers",
        "lrb",
        "lrb_max",
        "s_factor",
        "delta_schmid",
    ):
        np.testing.assert_allclose(slip[0][name], slip[1][name], atol=1e-5, err_msg=name)
