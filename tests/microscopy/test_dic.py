"""Displacement fields: strain of a known shear, registration, bands, and the published Ni data."""

from dataclasses import replace

import numpy as np
import pytest

from cpml.crystallography.slip_systems import systems
from cpml.errors import MapFileError, ParameterError
from cpml.microscopy import (
    DicField,
    band_angles,
    effective_strain,
    fit_affine,
    label_of_points,
    max_shear,
    read_dic,
    slip_traces,
)
from support.nickel import nickel_grains


def davis(rows, cols, step=12, *, gradient=((0.0, 0.0), (0.0, 0.0)), swap=False):
    """DaVis text of a uniform displacement gradient."""
    counts = (cols, rows) if swap else (rows, cols)
    lines = [
        f'#DaVis 8.4.0 2D-vector {step} {counts[0]} {counts[1]} "" "pixel" "" "pixel" "displacement" "pixel"'
    ]
    for r in range(rows):
        for c in range(cols):
            p = np.array([6 + step * c, 6 + step * r], float)
            u = np.array(gradient) @ p
            lines.append(f"{p[0]:.0f}\t{p[1]:.0f}\t{u[0]:.6f}\t{u[1]:.6f}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("swap", [False, True])
def test_gradient_of_a_uniform_field(tmp_path, swap):
    """H is what was put in, everywhere, whichever count the header gives first."""
    h = np.array([[0.01, -0.02], [0.03, 0.005]])
    (tmp_path / "d.txt").write_text(davis(5, 7, gradient=h, swap=swap))
    field = read_dic(tmp_path / "d.txt")
    assert field.shape == (5, 7) and field.step == 12
    np.testing.assert_allclose(field.displacement_gradient, np.broadcast_to(h, (5, 7, 2, 2)), atol=1e-6)


def test_npz_round_trip(tmp_path):
    """The same field as arrays; pickled objects are refused."""
    x, y = np.meshgrid(np.arange(6.0) * 4, np.arange(5.0) * 4)
    np.savez(tmp_path / "d.npz", x=x, y=y, u=0.1 * y, v=0 * x)
    field = read_dic(tmp_path / "d.npz")
    np.testing.assert_allclose(field.displacement_gradient[..., 0, 1], 0.1, atol=1e-12)
    np.savez(tmp_path / "bad.npz", x=np.array([{}], object), y=y, u=y, v=y)
    np.savez(tmp_path / "short.npz", x=x, y=y, u=y)
    for name in ("bad.npz", "short.npz"):
        with pytest.raises(MapFileError, match=name):
            read_dic(tmp_path / name)


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("#DaVis", "DaVis", "line 1"),
        (" 5 7 ", " 500000000 7000 ", "holds at most"),
        (" 5 7 ", " 5 8 ", "35 were found"),
        ("18\t6\t", "18\tnone\t", "line 3"),
        (" 5 7 ", " 7 5 ", None),
        ("18\t6\t", "19\t6\t", "square grid"),
    ],
)
def test_damaged_fields(tmp_path, old, new, told):
    """A header that lies, a field that is no number, a vector off the grid."""
    path = tmp_path / "d.txt"
    path.write_text(davis(5, 7).replace(old, new, 1))
    if told is None:
        assert read_dic(path).shape == (5, 7)
        return
    with pytest.raises(MapFileError, match=f"d.txt.*{told}"):
        read_dic(path)


def test_truncated_field(tmp_path):
    """Cut in the header and between the vectors."""
    data = davis(5, 7).encode()
    for cut in (0, 10, 60, 200, len(data) - 30):
        (tmp_path / "d.txt").write_bytes(data[:cut])
        with pytest.raises(MapFileError, match=r"d.txt"):
            read_dic(tmp_path / "d.txt")


@pytest.mark.parametrize("angle", [0, 30, 77])
def test_in_plane_slip_has_its_named_strains(angle):
    """H = gamma b n: max shear gamma/2, effective strain gamma/sqrt 2 (second-order terms below gamma^2)."""
    gamma, t = 1e-4, np.radians(angle)
    h = gamma * np.outer([np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)])
    assert max_shear(h) == pytest.approx(gamma / 2, rel=1e-3)
    assert effective_strain(h) == pytest.approx(gamma / np.sqrt(2), rel=1e-9)


def test_rotation_is_no_strain():
    """A rigid rotation of 20 deg has no Green-Lagrange shear."""
    t = np.radians(20)
    h = np.array([[np.cos(t) - 1, -np.sin(t)], [np.sin(t), np.cos(t) - 1]])
    assert max_shear(h) == pytest.approx(0, abs=1e-15)


def test_affine_is_recovered():
    """Points moved by a known map give it back with no residual; lines turn with it."""
    matrix, offset = np.array([[0.9, -0.1], [0.2, 1.1]]), np.array([5.0, -3.0])
    points = np.array([(0, 0), (10, 0), (0, 10), (7, 9)], float)
    found = fit_affine(points, points @ matrix.T + offset)
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-12)
    assert found.residual == pytest.approx(0, abs=1e-10)
    quarter = fit_affine(
        points, points @ np.array([[0.0, 1.0], [-1.0, 0.0]]).T
    )  # 90 deg counter-clockwise on screen
    assert quarter.turn_lines(10.0) == pytest.approx(100.0)


@pytest.mark.parametrize("points", [[(0, 0), (1, 1)], [(0, 0), (1, 1), (2, 2)]])
def test_affine_needs_three_points_off_a_line(points):
    """Two points, or three on a line, fix no affine map."""
    with pytest.raises(ParameterError):
        fit_affine(points, points)


def test_labels_of_vectors(make_map):
    """A vector takes the label of the pixel it falls on, and 0 outside the map."""
    m = make_map(np.repeat([[1, 1, 2, 2]], 3, axis=0), np.eye(4)[:2])
    zero = np.zeros((3, 6))
    field = DicField("d", zero, zero, zero, zero, 1.0)
    shift = fit_affine([(0, 0), (1, 0), (0, 1)], [(-1, 0), (0, 0), (-1, 1)])
    label = np.repeat([[1, 1, 2, 2]], 3, axis=0).ravel()
    np.testing.assert_array_equal(label_of_points(field.shape, shift, m, label)[1], [0, 1, 1, 2, 2, 0])


@pytest.mark.parametrize("angles", [(30,), (100, 160), (5,)])
def test_painted_bands_are_found(angles):
    """Stripes of known on-screen angle in noise of twice their height come back within 2
    deg, strongest first.
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:60, :60]
    value = rng.standard_normal((60, 60))
    for rank, angle in enumerate(angles):
        t = np.radians(-angle)
        p = -x * np.sin(t) + y * np.cos(t)
        value += (2.5 - 0.5 * rank) * (np.abs((p % 9) - 4.5) < 1)
    found = band_angles(value, np.ones((60, 60), int))
    assert found["rank"].tolist() == list(range(1, len(angles) + 1))
    for angle, seen in zip(angles, found["angle_deg"], strict=True):
        assert abs((seen - angle + 90) % 180 - 90) <= 2


def test_noise_has_no_bands():
    """Noise alone was looked at and shows nothing: one row with rank 0; small regions are not looked at."""
    label = np.ones((60, 60), int)
    label[:10, :10] = 2
    found = band_angles(np.random.default_rng(1).standard_normal((60, 60)), label)
    assert (
        found["grain_id"].tolist() == [1]
        and found["rank"].tolist() == [0]
        and found["angle_deg"].isna().all()
    )


@pytest.fixture(scope="module")
def both_frames(mirror, nickel):
    """Field, registration, and grains for both Euler frames of the nickel data."""
    grains, dic = nickel
    return dic.field, dic.to_map, {"x180": grains, "identity": nickel_grains(mirror, "identity")}


def test_published_registration_and_strain(both_frames):
    """Homologous points of the DefDAP example, and the mean displacement gradient with the file's signs."""
    field, affine, _ = both_frames
    assert field.shape == (200, 300) and field.step == 12
    np.testing.assert_allclose(affine.matrix, [[0.9878, -0.0157], [-0.0312, 0.9404]], atol=1e-4)
    np.testing.assert_allclose(affine.offset, [33.07, 28.35], atol=0.01)
    assert affine.residual < 0.9
    as_measured = replace(field, turn_deg=0.0)
    mean = as_measured.displacement_gradient.mean(axis=(0, 1))
    np.testing.assert_allclose(mean, [[-0.0120, -0.0048], [0.0061, 0.0058]], atol=1e-4)


@pytest.mark.parametrize("frame, within", [("x180", 41), ("identity", 10)])
def test_published_bands_lie_on_octahedral_traces(both_frames, frame, within):
    """41 of 44 dominant bands within 4 deg of a {111} trace (chance 17 %), 10 with the wrong Euler frame."""
    field, affine, grains = both_frames
    grains = grains[frame]
    label = label_of_points(field.shape, affine, grains.map, grains.label)
    bands = band_angles(max_shear(field.displacement_gradient), label)
    top = bands[bands["rank"] == 1]
    fcc = systems("fcc", families=["octahedral"])
    angle = slip_traces(grains.mean_quaternions[top["grain_id"] - 1], fcc).angle_deg
    deviation = np.sort(np.abs((top["angle_deg"].to_numpy()[:, None] - angle + 90) % 180 - 90), axis=1)
    assert len(top) == 44 and abs(np.sum(deviation[:, 0] <= 4) - within) <= 1
    if frame == "x180":
        assert np.median(deviation[:, 0]) == pytest.approx(1.0, abs=0.1)
        assert abs(np.sum((deviation[:, 0] <= 4) & (deviation[:, 1] > 8)) - 35) <= 1
        assert abs((bands.groupby("grain_id")["rank"].max() >= 2).sum() - 28) <= 1


def test_published_bands_follow_schmid(both_frames):
    """Unambiguous planes have Schmid rank 1/2/3/4 in 21/13/1/0 grains for tension along x."""
    from cpml.crystallography.schmid import schmid_factors

    field, affine, grains = both_frames
    grains = grains["x180"]
    bands = band_angles(
        max_shear(field.displacement_gradient), label_of_points(field.shape, affine, grains.map, grains.label)
    )
    top = bands[bands["rank"] == 1]
    fcc = systems("fcc", families=["octahedral"])
    q = grains.mean_quaternions[top["grain_id"] - 1]
    deviation = np.abs((top["angle_deg"].to_numpy()[:, None] - slip_traces(q, fcc).angle_deg + 90) % 180 - 90)
    ordered = np.sort(deviation, axis=1)
    clear = (ordered[:, 0] <= 4) & (ordered[:, 1] > 8)
    factor = np.abs(schmid_factors(fcc, q, np.diag([1.0, 0, 0])))
    plane = np.stack([factor[:, fcc.plane_id == p].max(axis=1) for p in range(4)], axis=1)
    chosen = plane[np.arange(len(q)), deviation.argmin(axis=1)]
    rank = np.sum(plane > chosen[:, None] + 1e-12, axis=1)[clear]
    np.testing.assert_allclose(np.bincount(rank, minlength=4), [21, 13, 1, 0], atol=1)
