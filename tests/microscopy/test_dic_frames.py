"""A field seen from any side: the registration brings bands, displacements and gradients into the frame of
the map, on square, uneven and hexagonal maps wherever they start.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from cpml.crystallography.slip_traces import line_difference, slip_traces
from cpml.errors import ParameterError
from cpml.microscopy import (
    EbsdMap,
    MapPhase,
    band_displacements,
    fit_affine,
    label_of_points,
    map_frame,
    map_pixels,
    read_dic,
    register_dic,
    register_points,
    slip_activity,
)
from support.nickel import FIELD, POINTS
from support.phases import FCC

PHASE = MapPhase("Nickel", "432", "fcc", 3.6, 3.6, 3.6)
BAND, PSI = 30.0, 70.0
"""On-screen angles on the map, deg: of the bands, and of the jump across them."""
STRAIN = np.array([[0.004, -0.011], [0.019, -0.002]])
"""A uniform displacement gradient on the map, without any symmetry."""


def turn_matrix(angle_deg):
    """Turns a vector (x right, y down) counter-clockwise on screen."""
    t = np.radians(angle_deg)
    return np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])


def single_crystal(xy):
    """A map of one grain with points at xy, um."""
    return EbsdMap.from_points("made", xy, np.eye(4)[[0] * len(xy)], np.ones(len(xy), int), {1: PHASE})


def grid(kind):
    """Points of a map about 60 um wide and high."""
    if kind == "hexagonal":  # 1 um, starts off the origin
        row, col = np.divmod(np.arange(70 * 62), 62)
        return np.stack([7.0 + col + 0.5 * (row % 2), -3.0 + np.sqrt(3) / 2 * row], axis=1)
    dx, dy, x0, y0 = {"square": (1.0, 1.0, 0, 0), "uneven": (0.75, 1.25, 40.0, 11.0)}[kind]
    row, col = np.divmod(np.arange(round(61 / dx) * round(61 / dy)), round(61 / dx))
    return np.stack([x0 + dx * col, y0 + dy * row], axis=1)


@dataclass
class Seen:
    """A displacement of the map, seen in an image that is turned and scaled against it.

    `turn_deg` turns lines of the image into lines of the map, a vector is `scale_um` from the next.
    """

    turn_deg: float
    scale_um: float
    ebsd: EbsdMap
    step_px: float = 8.0
    n: int = 61

    def on_map(self, vectors):
        """Positions (um) of vectors (column, row); the middle of the field is that of the map."""
        middle = (self.ebsd.xy.min(axis=0) + self.ebsd.xy.max(axis=0)) / 2
        return (
            middle
            + self.scale_um * (np.asarray(vectors, float) - (self.n - 1) / 2) @ turn_matrix(self.turn_deg).T
        )

    def save(self, path, displacement_um):
        """Write the field; `displacement_um` takes positions (..., 2) on the map."""
        row, col = np.mgrid[: self.n, : self.n]
        moved = displacement_um(self.on_map(np.stack([col, row], axis=-1)))
        uv = (
            moved @ turn_matrix(self.turn_deg) * (self.step_px / self.scale_um)
        )  # back into the image, pixels
        np.savez(path, x=self.step_px * col, y=self.step_px * row, u=uv[..., 0], v=uv[..., 1])
        return path

    @property
    def points(self):
        """Homologous points, map points counted by x / step and by rows."""
        vectors = np.array([[5, 8], [52, 11], [30, 51], [9, 40]], float)
        return np.c_[vectors, map_pixels(self.on_map(vectors), self.ebsd)]


def bands_um(xy):
    """Bands 9 um apart at BAND whose sides move past each other by 0.05 um along PSI."""
    across = turn_matrix(BAND) @ [0.0, 1.0]
    along = turn_matrix(PSI) @ [1.0, 0.0]
    place = np.asarray(xy) @ across
    amount = sum(0.025 * (1 + np.tanh(place - 9.0 * k)) for k in range(-40, 41))
    return amount[..., None] * along


CASES = [
    ("square", 0.0, 1.0),
    ("square", 90.0, 1.0),
    ("square", 180.0, 1.0),
    ("square", -90.0, 0.6),
    ("square", 25.0, 1.0),
    ("uneven", -37.0, 0.8),
    ("hexagonal", 0.0, 1.0),
    ("hexagonal", 115.0, 0.7),
]


@pytest.mark.parametrize(("kind", "turn", "scale"), CASES)
def test_bands_and_displacements_are_those_of_the_map(tmp_path, kind, turn, scale):
    """Bands within 1.5 deg (they are looked for in steps of 1), the jump across them within 1 deg."""
    ebsd = single_crystal(grid(kind))
    seen = Seen(turn, scale, ebsd)
    dic = register_dic(
        seen.save(tmp_path / "field.npz", bands_um), seen.points, ebsd, np.ones(ebsd.n_pixels, int)
    )
    assert line_difference(dic.field.turn_deg, turn) == pytest.approx(0, abs=1e-6)
    assert dic.step_um == pytest.approx(scale)
    assert abs(line_difference(dic.dominant["angle_deg"].iloc[0], BAND)) < 1.5
    moves = band_displacements(dic.field, dic.label, dic.dominant)
    assert abs(line_difference(moves["psi_deg"].iloc[0], PSI)) < 1.0
    assert f"{turn:.2f}" in dic.summary().loc["turned onto the map by", "value"]


@pytest.mark.parametrize(("kind", "turn", "scale"), CASES)
def test_gradient_is_that_of_the_map(tmp_path, kind, turn, scale):
    """R H R^T: a uniform gradient on the map comes back whole, shear and its sense included."""
    ebsd = single_crystal(grid(kind))
    seen = Seen(turn, scale, ebsd)
    path = seen.save(tmp_path / "field.npz", lambda xy: xy @ STRAIN.T + [0.3, 0.2])
    dic = register_dic(path, seen.points, ebsd, np.ones(ebsd.n_pixels, int))
    np.testing.assert_allclose(
        dic.field.displacement_gradient, np.broadcast_to(STRAIN, (61, 61, 2, 2)), atol=1e-9
    )


def test_slip_system_of_a_turned_field(tmp_path):
    """Slip on one system of a tilted crystal, seen from the side: that system explains it, with its shear."""
    ebsd = single_crystal(grid("square"))
    q = np.array([[0.83, 0.31, -0.22, 0.41]])
    q /= np.linalg.norm(q)
    from cpml.microscopy.dic.activity import in_plane_dyads

    dyads = in_plane_dyads(q, FCC)[0].reshape(-1, 2, 2)
    system = int(np.linalg.norm(dyads, axis=(1, 2)).argmax())
    seen = Seen(64.0, 1.0, ebsd)
    path = seen.save(tmp_path / "field.npz", lambda xy: xy @ (0.03 * dyads[system]).T + 0.1)
    dic = register_dic(path, seen.points, ebsd, np.ones(ebsd.n_pixels, int))
    found = slip_activity(dic, q, FCC, threshold=1e-6, min_strain=1e-3, noise=1e-3)
    shear = np.nanmedian(found.shear, axis=0)
    assert shear.argmax() == system and shear[system] == pytest.approx(0.03, rel=1e-3)


@pytest.mark.parametrize(
    "mirror", [lambda p: p[:, ::-1], lambda p: p * [-1, 1] + [60, 0], lambda p: p * [1, -1]]
)
def test_a_mirrored_registration_is_refused(tmp_path, mirror):
    """Columns and rows exchanged, columns or rows counted from the other end: an error that says so."""
    ebsd = single_crystal(grid("square"))
    seen = Seen(20.0, 1.0, ebsd)
    path = seen.save(tmp_path / "field.npz", bands_um)
    points = seen.points
    points[:, :2] = mirror(points[:, :2])
    with pytest.raises(ParameterError, match=r"field\.npz.*mirror"):
        register_dic(path, points, ebsd, np.ones(ebsd.n_pixels, int))


PAIRS = np.array([(0, 0), (100, 5), (3, 80), (95, 85), (40, 30), (70, 55)], float)


@pytest.mark.parametrize("kind", ["similarity", "affine", "projective", "thin_plate"])
def test_a_mirrored_image_is_refused(kind):
    """The same for every kind of an image's registration; the same pairs unmirrored are taken."""
    turned = PAIRS @ turn_matrix(33.0).T + [4, 9]
    assert register_points(PAIRS, turned, kind=kind).rms < 1e-6
    with pytest.raises(ParameterError, match="mirror"):
        register_points(PAIRS[:, ::-1], turned, kind=kind)


def test_two_exchanged_pairs_fold_a_spline():
    """Two near points exchanged: a spline through all pairs would turn the picture over between them."""
    pairs = np.vstack([PAIRS, [[42, 34]]])
    wrong = pairs.copy()
    wrong[[4, 6]] = wrong[[6, 4]]
    with pytest.raises(ParameterError, match="fold"):
        register_points(pairs, wrong, kind="thin_plate")
    assert register_points(pairs, wrong, kind="affine").rms > 1


def test_noise_is_no_mirror():
    """Points near a line with an error across it tell neither sense: not refused for being mirrored."""
    rng = np.random.default_rng(4)
    for _ in range(50):
        p = np.c_[np.linspace(0, 200, 6), rng.normal(0, 0.5, 6)]
        q = p @ turn_matrix(15.0).T + rng.normal(0, 0.5, p.shape)
        register_points(p, q, kind="similarity")


@pytest.mark.parametrize("kind", ["similarity", "affine"])
@pytest.mark.parametrize("grid_kind", ["uneven", "hexagonal"])
def test_lines_of_an_image_on_uneven_maps(kind, grid_kind):
    """A line at 20 deg in an image that is turned by 50 lies at 70 on the surface, whatever the pixels of
    the map are.
    """
    ebsd = single_crystal(grid(grid_kind))
    on_map = 9.0 + 0.2 * PAIRS @ turn_matrix(50.0).T
    found = register_points(PAIRS, map_pixels(on_map, ebsd), kind=kind, pixel_um=ebsd.pixel_um)
    assert found.rms < 1e-9
    np.testing.assert_allclose(found.turn_lines([20.0], PAIRS[:1]), 70.0)
    np.testing.assert_allclose(map_frame(ebsd)(found(PAIRS)), on_map)


def test_columns_of_a_hexagonal_map_count_points():
    """Column = x / step, row = number of the row, from the first point: every point finds itself, what lies
    beyond the rim none.
    """
    ebsd = single_crystal(grid("hexagonal"))
    number = np.arange(1, ebsd.n_pixels + 1)
    row, col = np.divmod(np.arange(70 * 62), 62)
    targets = np.stack([col + 0.5 * (row % 2), row], axis=-1)[None] + [0.2, -0.2]
    np.testing.assert_array_equal(
        label_of_points((1, len(row)), lambda _: targets, ebsd, number).ravel(), number
    )
    outside = np.array([[[-0.7, 2], [62.2, 3], [5, -0.8], [5, 69.9], [np.nan, 3], [1e30, 3]]])
    assert not label_of_points((1, 6), lambda _: outside, ebsd, number).any()


def test_grains_below_vectors_of_a_cropped_map(tmp_path):
    """A map cut out of a larger one counts from its own first point; its um stay those of the whole."""
    ebsd = single_crystal(grid("uneven")).crop(x_um=(52, 80), y_um=(30, 62))
    assert map_pixels(ebsd.xy[0], ebsd).tolist() == [0, 0]
    label = np.where(ebsd.xy[:, 0] < 66, 1, 2)
    to_map = fit_affine([(0, 0), (10, 0), (0, 10)], map_pixels([(55, 35), (75, 35), (55, 55)], ebsd))
    found = label_of_points((11, 11), to_map, ebsd, label)
    # vectors every 2 um; the map ends at 80 and at 61 um
    np.testing.assert_array_equal(found, np.tile([1] * 6 + [2] * 5, (11, 1)))


def test_points_beside_the_map_are_an_error(tmp_path):
    """Homologous points in um, or of another map: no vector finds a grain, and that is said."""
    ebsd = single_crystal(grid("square"))
    seen = Seen(0.0, 1.0, ebsd)
    path = seen.save(tmp_path / "field.npz", bands_um)
    far = seen.points + [0, 0, 5000, 0]
    with pytest.raises(ParameterError, match="no vector lies on a grain"):
        register_dic(path, far, ebsd, np.ones(ebsd.n_pixels, int))


def turned_nickel(field, angle_deg, path):
    """The nickel field as if the specimen had been turned counter-clockwise by an angle: picture, vectors and
    points alike.
    """
    turn = turn_matrix(angle_deg)
    rows, cols = field.shape
    corners = np.array([[0, 0], [cols - 1, 0], [0, rows - 1], [cols - 1, rows - 1]]) @ turn.T
    low, high = np.rint(corners.min(axis=0)), np.rint(corners.max(axis=0))
    col, row = np.meshgrid(*(np.arange(b - a + 1) for a, b in zip(low, high, strict=True)))
    old = ((np.stack([col, row], axis=-1) + low) @ turn).round(9)
    uv = [
        ndimage.map_coordinates(c, [old[..., 1], old[..., 0]], order=1, cval=np.nan)
        for c in (field.u, field.v)
    ]
    uv = np.stack(uv, axis=-1) @ turn.T
    np.savez(path, x=field.step * col, y=field.step * row, u=uv[..., 0], v=uv[..., 1])
    points = np.array(POINTS, float)
    points[:, :2] = points[:, :2] @ turn.T - low
    return points


@pytest.mark.parametrize("angle", [90.0, 180.0, 25.0, -40.0])
def test_published_bands_stay_on_their_planes(nickel, mirror, tmp_path, angle):
    """41 of 44 bands lie within 4 deg of a {111} trace; turned with image, vectors and points nearly as many
    do (measured 40, 41, 39, 38): on another grid of vectors bands are found 1 to 2 deg off, a few pass the
    limit. In the frame of the image it would be chance, 17 %.
    """
    grains, dic = nickel
    points = turned_nickel(read_dic(mirror(FIELD)), angle, tmp_path / "turned.npz")
    found = register_dic(tmp_path / "turned.npz", points, grains.map, grains.label)
    top = found.dominant
    theory = slip_traces(grains.mean_quaternions[top["grain_id"] - 1], FCC).angle_deg
    away = np.abs(line_difference(top["angle_deg"].to_numpy()[:, None], theory)).min(axis=1)
    assert len(top) == 44 and (away <= 4).sum() >= 37
    both = top.merge(dic.dominant, on="grain_id")
    assert np.median(np.abs(line_difference(both["angle_deg_x"], both["angle_deg_y"]))) <= 1.0 + 1e-9
    mean, expected = (np.nanmean(d.field.displacement_gradient, axis=(0, 1)) for d in (found, dic))
    # the mean over the vectors that are left; a turn by 25 deg loses some along the rim
    np.testing.assert_allclose(mean, expected, atol=3e-4)


def test_points_between_two_cells_fall_to_the_same_one(make_map):
    """On every machine: rounding in the last digits of a map between pictures decides nothing."""
    ebsd_map = make_map(np.ones((6, 6), int), [[1.0, 0.0, 0.0, 0.0]])
    found = [
        label_of_points((11, 11), lambda x, e=e: x / 2 + e, ebsd_map, np.arange(36))
        for e in (0.0, 1e-13, -1e-13)
    ]
    assert (found[0] == found[1]).all() and (found[0] == found[2]).all()
