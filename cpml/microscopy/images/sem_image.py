"""SEM images (BSE, SE, ECCI): reading with pixel size, data bar masked, uneven brightness and line
noise taken out.

| source of the pixel size | tag |
|---|---|
| FEI / Thermo Fisher | 34682 (or 34680), [Scan] PixelWidth, in m |
| Zeiss | 34118, "Pixel Size = 516.1 nm" (newer) or the fourth line, in m |
| others | what rosettasciio reads (JEOL, Olympus, ImageJ, DigitalMicrograph ...) |

The data bar below the picture is masked where the tags tell its row (FEI: ResolutionY), where its frame
crosses the lowest fifth of the picture as a row of one grey (Zeiss), or from `data_bar_row` on. Values are
float64 grey levels; colours become their luminance, palettes the grey levels that they stand for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.io.hdf_arrays import SMALL

if TYPE_CHECKING:
    import pandas as pd
    from hyperspy.signals import Signal2D
    from PIL import Image

MOST_PIXELS = 2**28
"""A larger image (268 million pixels) is taken for a mistake."""
PIXELS_PER_BYTE = 100
"""Of a compressed picture at most; JPEG reaches 50."""
TIFF = (".tif", ".tiff")
BY_ROSETTASCIIO = {".dm3": "digitalmicrograph", ".dm4": "digitalmicrograph"}
STRIPE_PX = 4.0
"""Rows over which the picture is smoothed to see the jumps of single ones."""
UNIT_UM = {"m": 1e6, "mm": 1e3, "µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3}


@dataclass(frozen=True)
class SemImage:
    """A picture of the surface, x right, y down.

    Attributes
    ----------
    values : (rows, columns) grey levels
    valid : (rows, columns) bool, False in the data bar
    pixel_um : edge of a pixel in um, None where the file does not tell
    note : what was done to it
    """

    name: str
    values: NDArray
    valid: NDArray
    pixel_um: float | None = None
    note: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.values.shape

    @property
    def masked(self) -> NDArray:
        """(rows, columns) values, NaN where not valid."""
        return np.where(self.valid, self.values, np.nan)

    def crop(self, rows: tuple[int, int], columns: tuple[int, int]) -> SemImage:
        """The part rows[0] <= row < rows[1], columns[0] <= column < columns[1]."""
        place = slice(*rows), slice(*columns)
        if not (0 <= rows[0] < rows[1] <= self.shape[0] and 0 <= columns[0] < columns[1] <= self.shape[1]):
            raise ParameterError(
                f"rows {rows} and columns {columns} are not inside {self.name!r}, "
                f"{self.shape[0]} x {self.shape[1]} pixels"
            )
        return replace(self, values=self.values[place], valid=self.valid[place])

    def summary(self) -> pd.DataFrame:
        """Size, scale and what was done, as a table of two columns to look at."""
        import pandas as pd

        facts = {
            "pixels": f"{self.shape[1]} x {self.shape[0]}",
            "scale": f"{self.pixel_um:.4g} um per pixel"
            if self.pixel_um
            else "unknown: lengths are in pixels",
            "note": "; ".join(self.note) or "no data bar",
        }
        return pd.DataFrame({"value": facts}).rename_axis(self.name)

    def to_signal(self) -> Signal2D:
        """The picture as hyperspy Signal2D, scaled in um (pixels where the scale is not known)."""
        from hyperspy.signals import Signal2D

        signal = Signal2D(self.values)
        for axis, name in zip(signal.axes_manager.signal_axes, ("x", "y"), strict=True):
            axis.name = name
            axis.scale, axis.units = (self.pixel_um, "um") if self.pixel_um else (1.0, "px")
        signal.metadata.General.title = self.name
        return signal


def read_image(
    path: str | Path, *, data_bar_row: int | None = None, pixel_um: float | None = None
) -> SemImage:
    """An SEM image from TIFF (any vendor), PNG, BMP, JPEG or DigitalMicrograph.

    Parameters
    ----------
    data_bar_row : first row of the data bar, the number of rows where there is none; None looks for it
    pixel_um : pixel size, where the file does not tell it or is wrong

    Raises
    ------
    MapFileError : the file is missing, no image, damaged or too large
    ParameterError : a data bar outside the image, or a pixel size that is not positive
    """
    path = Path(path)
    if path.suffix.lower() in BY_ROSETTASCIIO:
        values, scale = _by_rosettasciio(path)
        picture_rows = None
    else:
        values, scale, picture_rows = _by_pillow(path)
    if picture_rows is None:
        picture_rows = _framed_row(values)
    row = picture_rows if data_bar_row is None else data_bar_row
    row = len(values) if row is None else row
    pixel_um = scale if pixel_um is None else pixel_um
    if not 0 < row <= len(values) or (pixel_um is not None and not pixel_um > 0):
        raise ParameterError(
            f"{path}: data_bar_row {row} must lie in 1 to {len(values)} and pixel_um {pixel_um} be positive"
        )
    valid = np.isfinite(values)
    valid[row:] = False
    note = () if row == len(values) else (f"data bar from row {row} on masked",)
    return SemImage(path.stem, values, valid, pixel_um, note)


def _by_pillow(path: Path) -> tuple[NDArray, float | None, int | None]:
    """Values, pixel size (um) and rows of the picture above its data bar; the tags are read
    before the pixels.
    """
    import warnings

    from PIL import Image

    try:
        # metadata that Pillow does not know are no concern of the picture
        with warnings.catch_warnings(action="ignore"), Image.open(path) as file:
            if file.width * file.height > _most_pixels(path):
                raise MapFileError(
                    f"{path}: {file.width} x {file.height} pixels in a file of "
                    f"{path.stat().st_size:,} bytes; it is "
                    f"damaged, or to be cropped to {MOST_PIXELS:,} pixels or less"
                )
            tags = dict(getattr(file, "tag_v2", {}))
            # tifffile needs another package for LZW, and returns the numbers of
            # a palette in place of its greys
            values = np.asarray(file.convert("RGB").convert("L") if file.mode == "P" else _grey(file), float)
    except FileNotFoundError:
        raise MapFileError(f"{path}: no such file; check the path") from None
    except MapFileError:
        raise
    except Exception as error:
        if path.suffix.lower() in TIFF:
            return _by_tifffile(path), None, None
        raise MapFileError(f"{path}: cannot be read as an image ({error}); save it as TIFF or PNG") from error
    scale, picture_rows = _vendor_tags(tags, len(values))
    if scale is None and path.suffix.lower() in TIFF:
        scale = _scale_of_rosettasciio(path)
    return values, scale, picture_rows


def _most_pixels(path: Path) -> int:
    """Pixels that a file of this size can hold."""
    return min(MOST_PIXELS, PIXELS_PER_BYTE * path.stat().st_size + SMALL)


def _by_tifffile(path: Path) -> NDArray:
    """First page of a TIFF that Pillow cannot decode (several floats or 16-bit colours a pixel)."""
    import io

    from tifffile import TiffFile

    try:
        with TiffFile(io.BytesIO(path.read_bytes())) as file:
            page = file.pages[0]
            if page.size <= 4 * _most_pixels(path):
                values = np.asarray(page.asarray(), float)
                return (
                    values.mean(axis=-1)
                    if values.ndim == 3 and values.shape[-1] in (2, 3, 4)
                    else np.atleast_2d(values)
                )
        reason = f"{page.size:,} values are too many"
    except Exception as error:
        reason = error
    raise MapFileError(f"{path}: cannot be read as an image ({reason}); save it again as grey TIFF or PNG")


def _grey(file: Image.Image) -> Image.Image:
    """Image with one value per pixel; 16 and 32 bit kept."""
    return file if file.mode in ("L", "I", "F", "1") or file.mode.startswith("I;") else file.convert("L")


def _vendor_tags(tags: dict, rows: int) -> tuple[float | None, int | None]:
    """(pixel size in um, rows of the picture) of FEI and Zeiss tags, None where they do not tell."""
    text = str(tags.get(34682) or tags.get(34680) or "")
    scale = _number_after(r"^PixelWidth\s*=", text)
    if scale:
        count = _number_after(r"^ResolutionY\s*=", text)
        return scale * 1e6, int(count) if count and count < rows else None
    text = str(tags.get(34118) or "")
    named = re.search(r"^(?:Image )?Pixel Size\s*=\s*([\d.eE+-]+)\s*(nm|µm|um|mm)\b", text, re.MULTILINE)
    if named and _positive(named[1]):
        return _positive(named[1]) * UNIT_UM[named[2]], None
    lines = text.splitlines()
    scale = _positive(lines[3]) if len(lines) > 3 else None
    return (scale * 1e6 if scale else None), None


def _framed_row(values: NDArray) -> int | None:
    """First row of the lowest fifth that is of one grey while the row above it is not."""
    start = len(values) * 4 // 5
    share = [np.mean(row == np.median(row)) for row in values[start:]] if values.ndim == 2 else []
    return next((start + k for k in range(1, len(share)) if share[k] > 0.95 and share[k - 1] < 0.5), None)


def _number_after(pattern: str, text: str) -> float | None:
    found = re.search(pattern + r"\s*(\S+)", text, re.MULTILINE)
    return _positive(found[1]) if found else None


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < np.inf else None


def _by_rosettasciio(path: Path) -> tuple[NDArray, float | None]:
    """Values and pixel size of the only picture in a file."""
    from importlib import import_module

    kind = BY_ROSETTASCIIO.get(path.suffix.lower(), "tiff")
    if not path.is_file():
        raise MapFileError(f"{path}: no such file; check the path")
    try:
        content = import_module(f"rsciio.{kind}").file_reader(str(path))
    except Exception as error:
        raise MapFileError(f"{path}: cannot be read as an image ({error}); save it as TIFF or PNG") from error
    pictures = [c for c in content if np.ndim(c["data"]) == 2]
    if len(pictures) != 1 or pictures[0]["data"].size > MOST_PIXELS:
        raise MapFileError(
            f"{path}: holds {len(pictures)} grey pictures of a usable size; save one of them as TIFF"
        )
    axis = pictures[0]["axes"][-1]
    scale = axis.get("scale", 0) * UNIT_UM.get(str(axis.get("units")), 0)
    return np.asarray(pictures[0]["data"], float), scale or None


def _scale_of_rosettasciio(path: Path) -> float | None:
    """Pixel size (um) of another vendor's TIFF, None where it tells none."""
    try:
        return _by_rosettasciio(path)[1]
    except MapFileError:
        return None


def flat_field(
    image: SemImage, *, sigma_px: float = 40.0, mode: str = "subtract", label: ArrayLike | None = None
) -> SemImage:
    """The image less (or divided by) its own blur, which valid pixels alone make.

    Parameters
    ----------
    sigma_px : width of the blur; contrast wider than this goes
    mode : "subtract" (mean 0) or "divide" (mean 1)
    label : (rows, columns) grains: each is blurred by itself, so that channelling contrast does not leak

    Raises
    ------
    ParameterError : sigma or mode out of range, a label picture of another size
    """
    if not sigma_px > 0 or mode not in ("subtract", "divide"):
        raise ParameterError(
            f"sigma_px {sigma_px} must be positive and mode {mode!r} be 'subtract' or 'divide'"
        )
    regions = np.ones(image.shape, int) if label is None else np.asarray(label, int)
    if regions.shape != image.shape:
        raise ParameterError(f"label {regions.shape} must have the shape of the image, {image.shape}")
    blur = np.zeros(image.shape)
    for region, box in enumerate(ndimage.find_objects(regions), start=1):
        if box is None:
            continue
        inside = image.valid[box] & (regions[box] == region)
        weight = ndimage.gaussian_filter(inside.astype(float), sigma_px, mode="constant")
        smooth = ndimage.gaussian_filter(np.where(inside, image.values[box], 0.0), sigma_px, mode="constant")
        blur[box][inside] = smooth[inside] / np.maximum(weight[inside], 1e-12)
    valid = image.valid & (regions > 0)
    if mode == "divide":
        valid = valid & (blur > 0)
        values = np.divide(image.values, blur, out=np.ones(image.shape), where=valid)
    else:
        values = np.where(valid, image.values - blur, 0.0)
    return replace(image, values=values, valid=valid, note=(*image.note, f"{mode} blur of {sigma_px:g} px"))


def destripe(image: SemImage) -> SemImage:
    """The image without the brightness jumps from row to row that scanning leaves.

    Each row is shifted by the median of its difference from the image smoothed across STRIPE_PX rows;
    horizontal lines that cross less than half of the image stay.
    """
    weight = np.maximum(ndimage.gaussian_filter1d(image.valid.astype(float), STRIPE_PX, axis=0), 1e-12)
    smooth = ndimage.gaussian_filter1d(np.where(image.valid, image.values, 0.0), STRIPE_PX, axis=0) / weight
    jump = np.zeros(len(image.values))
    filled = image.valid.any(axis=1)
    jump[filled] = np.nanmedian(np.where(image.valid, image.values - smooth, np.nan)[filled], axis=1)
    return replace(image, values=image.values - jump[:, None], note=(*image.note, "rows levelled"))
