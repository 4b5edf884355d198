"""The size of a pixel by the tag that means the stored picture, and greys of pictures of any kind."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from cpml.errors import MapFileError
from cpml.microscopy.images import sem_image
from cpml.microscopy.images.sem_image import read_image
from cpml.microscopy.io.lengths import unit_um

GREYS = np.add.outer(np.arange(24), np.arange(32)).astype(np.uint8) * 4


def with_tag(path, tag, text, *, columns=32, kind=2, values=None):
    """A TIFF (black without `values`) with one more tag, in Latin 1 as microscopes write it."""
    values = np.zeros((8, columns), np.uint8) if values is None else values
    raw = text.encode("latin-1")
    tifffile.imwrite(path, values, metadata=None, extratags=[(tag, kind, len(raw), raw, True)])
    return path


def zeiss(*, primary="0", **named):
    """Tag 34118 of SmartSEM: numbers in SI units, then pairs of a key and "name = value"."""
    words = {
        "image": ("AP_IMAGE_PIXEL_SIZE", "Image Pixel Size"),
        "screen": ("AP_PIXEL_SIZE", "Pixel Size"),
        "width": ("AP_WIDTH", "Width"),
        "stored": ("DP_IMAGE_STORE", "Store resolution"),
    }
    lines = ["0", "0", "0", primary, "0"]
    for key, value in named.items():
        lines += [words[key][0], f"{words[key][1]} = {value}"]
    return "\r\n".join(lines) + "\r\n"


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        # the stored picture has a size of its own
        (zeiss(screen="50.00 nm", image="25.00 nm"), 2048, 0.025),
        (zeiss(image="25.00 nm", screen="50.00 nm"), 2048, 0.025),
        (zeiss(primary="1.165e-08", screen="5.825 nm"), 64, 0.01165),
        # units from pm to mm, in SI where nothing is named
        (zeiss(image="980.0 pm"), 1024, 0.00098),
        (zeiss(image="1.25 µm"), 1024, 1.25),
        (zeiss(image="0.002 mm"), 1024, 2.0),
        (zeiss(image="2,5 nm"), 1024, 0.0025),
        (zeiss(primary="5e-7"), 1024, 0.5),
        # that of the screen, 1024 columns wide, is half or a third of that of 512 or three times that of 3072
        (zeiss(primary="5.825e-09", screen="5.825 nm"), 512, 0.01165),
        (zeiss(primary="3e-8"), 3072, 0.01),
        (zeiss(screen="30 nm", stored="2048 * 1536"), 900, 0.015),
        (zeiss(screen="30 nm", width="30.72 µm"), 1024, 0.03),
        (zeiss(screen="30 nm", width="30.72 µm"), 2048, 0.015),
        (zeiss(screen="15 nm", width="30.72 µm"), 2048, 0.015),
        # a crop keeps the pixels of the picture that it is cut from
        (zeiss(screen="30 nm", width="30.72 µm"), 700, 0.03),
        (zeiss(primary="3e-8", screen="30 nm"), 700, 0.03),
    ],
)
def test_zeiss(tmp_path, text, columns, expected):
    """Pixel Size is that of the screen; Image Pixel Size, the fourth line where it differs, and Width are
    those of the picture.
    """
    path = with_tag(tmp_path / "a.tif", 34118, text, columns=columns)
    assert read_image(path).pixel_um == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("unit", ["micron", "um", "µm", "\\u00B5m", "nm", "mm", "cm"])
@pytest.mark.parametrize("slices", [1, 3])
def test_imagej(tmp_path, unit, slices):
    """Resolution in pixels of the named unit; the spacing of slices is no pixel size."""
    per_unit = {"nm": 0.02, "mm": 2e4, "cm": 2e5}.get(unit, 20.0)
    text = f"ImageJ=1.53t\nimages={slices}\nslices={slices}\nunit={unit}\nspacing=0.75\nloop=false\n"
    values = np.stack([GREYS] * slices) if slices > 1 else GREYS
    tifffile.imwrite(
        tmp_path / "a.tif",
        values,
        description=text.encode("utf-8"),
        metadata=None,
        resolution=(per_unit, per_unit),
        resolutionunit="NONE",
        photometric="minisblack",
    )
    found = read_image(tmp_path / "a.tif")
    assert found.pixel_um == pytest.approx(0.05, rel=1e-4)
    np.testing.assert_array_equal(found.values, GREYS)
    assert found.note == (("page 1 of 3",) if slices > 1 else ())


@pytest.mark.parametrize("dpi", [72, 96, 300])
@pytest.mark.parametrize(
    "description", [None, "ImageJ=1.53t\n", "ImageJ=1.53t\nunit=inch\n", "ImageJ=1.53t\nunit=pixel\n"]
)
def test_dots_per_inch_are_no_scale(tmp_path, dpi, description):
    """Neither by itself nor where ImageJ passed it on."""
    tifffile.imwrite(
        tmp_path / "a.tif",
        GREYS,
        description=description,
        metadata=None,
        resolution=(dpi, dpi),
        resolutionunit="INCH",
    )
    found = read_image(tmp_path / "a.tif")
    assert found.pixel_um is None and "unknown" in found.summary().loc["scale", "value"]
    Image.fromarray(GREYS).save(tmp_path / "a.png", dpi=(dpi, dpi))
    assert read_image(tmp_path / "a.png").pixel_um is None


def test_ome(tmp_path):
    """PhysicalSizeX with its unit, um without one."""
    for unit, expected in ((None, 0.2), ("nm", 0.0002), ("µm", 0.2)):
        metadata = {"axes": "YX", "PhysicalSizeX": 0.2, "PhysicalSizeXUnit": unit}
        path = tmp_path / "a.ome.tif"
        tifffile.imwrite(path, GREYS, metadata={k: v for k, v in metadata.items() if v}, ome=True)
        assert read_image(path).pixel_um == pytest.approx(expected)


@pytest.mark.parametrize("kind", [2, 7])
def test_tescan_tag(tmp_path, kind):
    """PixelSizeX in m among the bytes of tag 50431."""
    text = "\x00\x01[MAIN]\nPixelSizeX=4.0e-08\nPixelSizeY=4.0e-08\n"
    path = with_tag(tmp_path / "a.tif", 50431, text, kind=kind)
    assert read_image(path).pixel_um == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a-tif.hdr", "[MAIN]\nDevice=TESCAN\nPixelSizeX=2.5e-8\n", 0.025),
        ("a.hdr", "[MAIN]\nPixelSizeX=2.5e-8\n", 0.025),
        ("a.txt", "$CM_MAG 5000\n$$SM_MICRON_BAR 160\n$$SM_MICRON_MARKER 10um\n", 0.0625),
        ("a.txt", "$$SM_MICRON_BAR 100\n$$SM_MICRON_MARKER 500nm\n", 0.005),
        ("a.txt", "[SemImageFile]\nDataSize=1280x960\nPixelSize=24.8\n", 0.0248),
        ("a.txt", "PixelSize=24.8\nnotes of somebody\n", None),
    ],
)
def test_text_beside_the_picture(tmp_path, name, text, expected):
    """TESCAN, JEOL and Hitachi write it there; another text file says nothing."""
    tifffile.imwrite(tmp_path / "a.tif", GREYS)
    (tmp_path / name).write_text(text, encoding="utf-16" if "Sem" in text else "utf-8")
    found = read_image(tmp_path / "a.tif").pixel_um
    assert found == (expected if expected is None else pytest.approx(expected))


COLOURS = np.stack([GREYS, GREYS[::-1], GREYS // 2], axis=-1)
LUMINANCE = COLOURS @ np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "P", "LA", "1", "I;16", "F"])
def test_pixels_of_any_mode(tmp_path, mode):
    """One value a pixel: luminance of colours, greys of palettes, 16 bit and floats as they are."""
    picture = Image.fromarray(COLOURS, "RGB")
    if mode == "P":
        picture = picture.convert("L").convert("P")
    elif mode in ("I;16", "F"):
        picture = Image.fromarray(GREYS.astype({"I;16": np.uint16, "F": np.float32}[mode]) * 200)
    elif mode != "RGB":
        picture = picture.convert(mode)
    picture.save(tmp_path / "a.tif")
    found = read_image(tmp_path / "a.tif")
    assert found.shape == GREYS.shape and found.pixel_um is None
    if mode in ("I;16", "F"):
        np.testing.assert_array_equal(found.values, GREYS * 200.0)
    elif mode != "1":
        # Pillow rounds to whole greys, a palette and CMYK once more
        np.testing.assert_allclose(found.values, LUMINANCE, atol=2.0)


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("alpha", [False, True])
def test_colours_of_16_bit(tmp_path, planes, alpha):
    """Luminance, whether the colours lie side by side or plane after plane; opacity is no brightness."""
    values = COLOURS.astype(np.uint16) * 100
    if alpha:
        values = np.concatenate([values, np.full((*GREYS.shape, 1), 65535, np.uint16)], axis=-1)
    tifffile.imwrite(
        tmp_path / "a.tif",
        values if planes == "contig" else np.moveaxis(values, -1, 0).copy(),
        photometric="rgb",
        planarconfig=planes,
        extrasamples=["unassalpha"] if alpha else None,
        metadata=None,
    )
    found = read_image(tmp_path / "a.tif")
    np.testing.assert_allclose(found.values, 100 * LUMINANCE, rtol=1e-9)


def test_deep_colours_in_an_unknown_compression(tmp_path, monkeypatch):
    """Where only their upper 8 bit can be read, these are, and that is said."""
    tifffile.imwrite(tmp_path / "a.tif", COLOURS.astype(np.uint16) * 256, photometric="rgb", metadata=None)

    def fails(path):
        raise MapFileError(f"{path}: no such codec")

    monkeypatch.setattr(sem_image, "_by_tifffile", fails)
    found = read_image(tmp_path / "a.tif")
    np.testing.assert_allclose(found.values, LUMINANCE, atol=1.0)
    assert "8 bit" in found.note[0]


@pytest.mark.parametrize("kind", ["grey", "stack", "colours"])
def test_pictures_of_digital_micrograph(tmp_path, monkeypatch, kind):
    """The first slice of a stack, luminance of colours; the scale is that of the picture, not of slices."""
    colour = np.zeros(GREYS.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    for n, name in enumerate("RGB"):
        colour[name] = COLOURS[..., n]
    data = {"grey": GREYS, "stack": np.stack([GREYS, GREYS + 1]), "colours": colour}[kind]
    axes = [{"units": "nm", "scale": 20.0}, {"units": "nm", "scale": 20.0}]
    axes = [{"units": "µm", "scale": 7.0}, *axes] if kind == "stack" else axes
    monkeypatch.setattr(sem_image, "_content", lambda path: [{"data": data, "axes": axes}])
    found = read_image(tmp_path / "a.dm4")
    assert found.pixel_um == pytest.approx(0.02)
    np.testing.assert_allclose(found.values, LUMINANCE if kind == "colours" else GREYS)
    assert found.note == (("picture 1 of a stack of 2",) if kind == "stack" else ())


def test_scale_of_a_colour_picture(tmp_path):
    """A colour picture with a tag of its microscope has its scale."""
    with_tag(tmp_path / "a.tif", 34118, zeiss(image="250 nm"), values=COLOURS)
    assert read_image(tmp_path / "a.tif").pixel_um == pytest.approx(0.25)


def test_previews_are_passed_over(tmp_path):
    """A reduced first page is no picture; the next one of full size is."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GREYS[::4, ::4].copy(), subfiletype=1, metadata=None)
        file.write(GREYS, subfiletype=0, metadata=None)
    found = read_image(tmp_path / "a.tif")
    assert found.shape == GREYS.shape and found.note == ("page 2 of 2",)


@pytest.mark.parametrize(
    ("word", "length"),
    [("nm", 1e-3), ("µm", 1.0), ("μm", 1.0), ("\\u00B5m", 1.0), ("Micron", 1.0), ("pm", 1e-6), ("px", None)],
)
def test_units(word, length):
    """Any spelling of a length; None for what is none."""
    assert unit_um(word) == length
