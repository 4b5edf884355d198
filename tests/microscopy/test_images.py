"""SEM images: pixel size and data bar from the tags, background and row noise, registration by points."""

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.images.sem_image import SemImage, destripe, flat_field, read_image
from cpml.microscopy.registration.points import label_of_pixels, register_points

SQUARE = np.array([(0, 0), (100, 0), (0, 80), (100, 80), (40, 30), (70, 55)], float)


def image(values):
    values = np.asarray(values, float)
    return SemImage("made up", values, np.ones(values.shape, bool), 0.1)


def save_tiff(path, values, **tags):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, text in tags.items():
        info[int(tag[1:])] = text
        info.tagtype[int(tag[1:])] = 2
    Image.fromarray(values).save(path, tiffinfo=info)


def test_fei_tags(tmp_path):
    """PixelWidth gives the scale, ResolutionY the row of the data bar; 16 bit are kept."""
    values = np.arange(40 * 30, dtype=np.uint16).reshape(40, 30) * 50
    save_tiff(
        tmp_path / "a.tif", values, _34682="[Scan]\r\nPixelWidth=2.5e-08\r\n[Image]\r\nResolutionY=36\r\n"
    )
    found = read_image(tmp_path / "a.tif")
    assert found.pixel_um == pytest.approx(0.025) and found.valid.sum() == 36 * 30
    np.testing.assert_array_equal(found.values, values)
    assert np.isnan(found.masked[36:]).all()


@pytest.mark.parametrize(
    "text", ["0\r\n0\r\n0\r\n5.0e-007\r\n", "0\r\n0\r\nAP_PIXEL_SIZE\r\nPixel Size = 500.0 nm\r\n"]
)
def test_zeiss_tags(tmp_path, text):
    """The fourth line in m, or the named pixel size with its unit."""
    save_tiff(tmp_path / "a.tif", np.zeros((8, 8), np.uint8), _34118=text)
    assert read_image(tmp_path / "a.tif").pixel_um == pytest.approx(0.5)


def test_palette_gives_its_greys(tmp_path):
    """The number of a palette entry is not its grey."""
    picture = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    picture.putpalette([200] * 3 + [10] * 3 + [90] * 3)
    picture.save(tmp_path / "a.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").values, [[200, 10], [90, 10]])


def test_framed_data_bar(tmp_path):
    """A row of one grey in the lowest fifth starts the bar; data_bar_row overrides it."""
    values = np.random.default_rng(0).integers(0, 255, (50, 40)).astype(np.uint8)
    values[45] = 39
    Image.fromarray(values).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").valid.any(axis=1).sum() == 45
    assert read_image(tmp_path / "a.png", data_bar_row=50).valid.all()
    with pytest.raises(ParameterError, match=r"a\.png.*data_bar_row 51"):
        read_image(tmp_path / "a.png", data_bar_row=51)


@pytest.mark.parametrize("content", [b"", b"II*\0\x08\0\0\0", b"no image at all"])
def test_damaged_images(tmp_path, content):
    """Nothing, a bare TIFF header, text: one error with the file's name."""
    for name in ("a.tif", "a.png"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MapFileError, match=name):
            read_image(tmp_path / name)
    with pytest.raises(MapFileError, match="no such file"):
        read_image(tmp_path / "absent.tif")


def test_truncated_image(tmp_path):
    """Cut anywhere: an error or, past the pixels, an image."""
    save_tiff(tmp_path / "a.tif", np.full((20, 20), 7, np.uint8))
    data = (tmp_path / "a.tif").read_bytes()
    for cut in range(4, len(data), 23):
        (tmp_path / "b.tif").write_bytes(data[:cut])
        try:
            assert read_image(tmp_path / "b.tif").shape == (20, 20)
        except MapFileError as error:
            assert "b.tif" in str(error)


@pytest.mark.parametrize(
    "name, shape, pixel, row",
    [("steel_SEM_001", (1094, 1536), 0.0669, 1024), ("steel_SEM_012", (954, 1024), 0.0909, 884)],
)
def test_published_steel_images(mirror, name, shape, pixel, row):
    """openECCI steel: 16 bit, pixel size of the tags (66.9 and 90.9 nm), data bar below the scanned rows.

    Contrast: the grains' channelling contrast carries more variance than the noise, whose share the
    difference of neighbouring pixels tells.
    """
    found = read_image(mirror(f"openecci-steel/{name}.tif"))
    assert found.shape == shape and found.pixel_um == pytest.approx(pixel, abs=1e-4)
    assert found.valid[:row].all() and not found.valid[row:].any()
    grey = found.values[:row]
    noise = np.var(np.diff(destripe(found).values[:row], axis=1)) / 2
    assert grey.max() > 2**12 and np.var(grey) > 1.5 * noise


def test_published_slip_line_image(mirror):
    """cp-Ti: LZW palette TIFF, 0.5161 um (tag; agrees with the 20 um bar), framed bar at row 702."""
    found = read_image(mirror("ti-sliplines/cpTi_post_tensiletest_2.tif"))
    assert found.shape == (768, 1024) and found.pixel_um == pytest.approx(0.5161, abs=1e-4)
    assert found.valid.any(axis=1).sum() == 702 and "702" in found.note[0]


def test_signal_of_hyperspy():
    """Scale and unit go along."""
    axis = image(np.zeros((4, 6))).to_signal().axes_manager.signal_axes[0]
    assert (axis.size, axis.units) == (6, "um") and axis.scale == pytest.approx(0.1)


@pytest.mark.parametrize("mode, left", [("subtract", 0.0), ("divide", 1.0)])
def test_flat_field(mode, left):
    """A slow gradient goes, but for the rim; what is masked does not leak in."""
    y, x = np.mgrid[:120, :120]
    picture = image(100 + 0.2 * x + 0.1 * y)
    picture.valid[100:] = False
    picture.values[100:] = 1e6
    flat = flat_field(picture, sigma_px=8.0, mode=mode)
    scale = 1.0 if mode == "subtract" else 0.01
    np.testing.assert_allclose(flat.values[30:70, 30:90], left, atol=0.2 * scale)


def test_flat_field_of_grains():
    """Channelling contrast between grains goes with their own mean, without an edge at the boundary."""
    values = np.where(np.arange(60) < 30, 10.0, 200.0) * np.ones((60, 1))
    label = np.where(np.arange(60) < 30, 1, 2) * np.ones((60, 1), int)
    np.testing.assert_allclose(flat_field(image(values), sigma_px=5.0, label=label).values, 0.0, atol=1e-9)


def test_destripe():
    """Jumps from row to row go, an oblique line stays."""
    rng = np.random.default_rng(0)
    line = np.eye(80) * 50
    found = destripe(image(line + 10 * rng.standard_normal((80, 1))))
    assert np.std(found.values - line) < 4 and found.values[40, 40] > 40


@pytest.mark.parametrize(
    "kind, n_least", [("similarity", 2), ("affine", 3), ("projective", 4), ("thin_plate", 4)]
)
def test_registration_recovers_its_own_kind(kind, n_least):
    """Points moved by a map of the kind come back exactly, between the points too; one pair
    less is refused.
    """
    turn = np.array([[0.9, 0.2], [-0.2, 0.9]])

    def true(p):
        if kind == "projective":
            return (p @ turn.T + 3) / (1 + p @ [1e-3, 5e-4])[:, None]
        return p @ (turn if kind == "similarity" else turn + [[0, 0.1], [0, 0]]).T + [5, -2]

    found = register_points(SQUARE, true(SQUARE), kind=kind)
    inside = np.array([[20.0, 10.0], [55.0, 60.0]])
    # a thin-plate spline through the points of an affine map is that map
    np.testing.assert_allclose(found(inside), true(inside), atol=1e-6)
    assert found.rms < 1e-6 and found.leave_one_out_rms < 1e-5
    with pytest.raises(ParameterError, match=f"needs {n_least}"):
        register_points(SQUARE[: n_least - 1], true(SQUARE)[: n_least - 1], kind=kind)


def test_leave_one_out_finds_the_wrong_pair():
    """One pair 10 pixels off: a spline through all points has no residual; left out, the pair is
    missed by 10.
    """
    moved = SQUARE + [3, 4]
    moved[4] += [10, 0]
    spline, affine = (register_points(SQUARE, moved, kind=k) for k in ("thin_plate", "affine"))
    assert spline.rms < 1e-9 and affine.rms > 1
    assert spline.leave_one_out[4] == pytest.approx(10) and affine.leave_one_out[4] == pytest.approx(10)
    assert np.argmax(affine.leave_one_out) == 4


def test_lines_turn_with_the_map():
    """A quarter turn counter-clockwise on screen adds 90 deg."""
    found = register_points(SQUARE, SQUARE @ np.array([[0.0, 1.0], [-1.0, 0.0]]).T, kind="affine")
    np.testing.assert_allclose(found.turn_lines([10.0, 120.0], SQUARE[:2]), [100.0, 30.0])


@pytest.mark.parametrize("kind", ["affine", "projective", "thin_plate"])
def test_points_on_a_line_fix_nothing(kind):
    """And neither do unequal lists or unknown kinds."""
    line = np.stack([np.arange(6.0), 2 * np.arange(6.0)], axis=1)
    with pytest.raises(ParameterError):
        register_points(line, line, kind=kind)
    with pytest.raises(ParameterError, match="equal lists"):
        register_points(SQUARE, SQUARE[:4], kind=kind)
    with pytest.raises(ParameterError, match="kind"):
        register_points(SQUARE, SQUARE, kind="rigid")


def test_pixels_find_their_grains(make_map):
    """An image of twice the resolution: its pixels know their grains."""
    label = np.repeat([[1, 1, 2, 2]], 4, axis=0)
    m = make_map(label, np.eye(4)[:2])
    picture = image(np.kron(label, np.ones((2, 2))) * 10.0)
    to_map = register_points([(0.5, 0.5), (6.5, 0.5), (0.5, 6.5)], [(0, 0), (3, 0), (0, 3)], kind="affine")
    found = label_of_pixels(picture, to_map, m, label.ravel())
    np.testing.assert_array_equal(found[3], [1, 1, 1, 1, 2, 2, 2, 2])
