"""SEM images (BSE, SE, ECCI): reading with pixel size, data bar masked, uneven brightness and line
noise taken out.

The pixel size is that of the microscope's own tags (cpml.microscopy.images.pixel_size), or what rosettasciio
reads of others (JEOL SightX, Olympus, DigitalMicrograph ...); dots per inch are no scale. Of several pages
the first one of full size is read, of colours their luminance, of palettes the greys that they stand for.

The data bar below the picture is masked where the tags tell its row (FEI: ResolutionY), where its frame
crosses the lowest fifth of the picture as a row of one grey (Zeiss), or from `data_bar_row` on. Values are
float64 grey levels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.images.pixel_size import (
    FEI,
    number_after,
    scale_beside,
    scale_of_tags,
    text_of,
)
from cpml.microscopy.io.hdf_arrays import SMALL
from cpml.microscopy.io.lengths import unit_um

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
LUMINANCE = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in a grey (ITU-R BT.601, as Pillow has them)."""
SUBFILE_TYPE, REDUCED, BITS_PER_SAMPLE, PLANES = 254, 1, 258, 284
"""Tag of a page and the bit in it that marks a preview; tags of the depth of its samples, and of their order
(1: colour by colour in each pixel)."""


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
        values, scale, note = _by_rosettasciio(path)
        picture_rows = None
    else:
        values, scale, picture_rows, note = _by_pillow(path)
    if values.ndim != 2 or not values.size:
        raise MapFileError(f"{path}: holds no picture, its values are {values.shape}; save it again as TIFF")
    if scale is None:
        scale = scale_beside(path)
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
    if row < len(values):
        note = (*note, f"data bar from row {row} on masked")
    return SemImage(path.stem, values, valid, pixel_um, note)


def _by_pillow(path: Path) -> tuple[NDArray, float | None, int | None, tuple[str, ...]]:
    """Values, pixel size (um), rows of the picture above its data bar, and a note on further pages; the
    tags are read before the pixels.
    """
    import warnings

    from PIL import Image

    values, cut, tags, columns, note = None, None, {}, 0, ()
    try:
        # metadata that Pillow does not know are no concern of the picture
        with warnings.catch_warnings(action="ignore"), Image.open(path) as file:
            note = _to_full_page(file)
            if file.width * file.height > _most_pixels(path):
                raise MapFileError(
                    f"{path}: {file.width} x {file.height} pixels in a file of "
                    f"{path.stat().st_size:,} bytes; it is "
                    f"damaged, or to be cropped to {MOST_PIXELS:,} pixels or less"
                )
            tags, columns = dict(getattr(file, "tag_v2", {})), file.width
            if not _has_deep_colours(tags):
                values = np.asarray(_grey(file), float)
            elif tags.get(PLANES, 1) == 1:
                cut = np.asarray(_grey(file), float)
    except FileNotFoundError:
        raise MapFileError(f"{path}: no such file; check the path") from None
    except MapFileError:
        raise
    except Exception as error:
        if path.suffix.lower() not in TIFF:
            raise MapFileError(
                f"{path}: cannot be read as an image ({error}); save it as TIFF or PNG"
            ) from error
    if values is None:
        try:
            values, tags = _by_tifffile(path)
        except MapFileError:
            if cut is None:
                raise
            values, note = cut, (*note, "colours cut to 8 bit: their compression is not known here")
        columns = values.shape[1]
    scale = scale_of_tags(tags, columns)
    if scale is None and path.suffix.lower() in TIFF:
        scale = _scale_of_rosettasciio(path)
    count = number_after(r"ResolutionY\s*=", text_of(tags, *FEI))
    return values, scale, int(count) if count and count < len(values) else None, note


def _has_deep_colours(tags: dict) -> bool:
    """Whether the colours of a TIFF have more than 8 bit, which Pillow cuts off, or mixes plane by plane."""
    bits = tags.get(BITS_PER_SAMPLE, ())
    return isinstance(bits, tuple) and len(bits) > 1 and max(bits) > 8


def _to_full_page(file: Image.Image) -> tuple[str, ...]:
    """Go to the first page that is no preview; a note where there are several pages."""
    pages = getattr(file, "n_frames", 1)
    page = 0
    while page < pages - 1 and getattr(file, "tag_v2", {}).get(SUBFILE_TYPE, 0) & REDUCED:
        page += 1
        file.seek(page)
    return (f"page {page + 1} of {pages}",) if pages > 1 else ()


def _most_pixels(path: Path) -> int:
    """Pixels that a file of this size can hold."""
    return min(MOST_PIXELS, PIXELS_PER_BYTE * path.stat().st_size + SMALL)


def _by_tifffile(path: Path) -> tuple[NDArray, dict]:
    """First page of full size, and its tags, of a TIFF that Pillow cannot decode (several floats or 16-bit
    colours a pixel).
    """
    import io

    from tifffile import TiffFile

    try:
        with TiffFile(io.BytesIO(path.read_bytes())) as file:
            page = next((page for page in file.pages if not page.is_reduced), file.pages[0])
            if page.size <= 4 * _most_pixels(path):
                values = np.asarray(page.asarray(), float)
                if page.axes == "SYX":  # colour planes one after the other
                    values = np.moveaxis(values, 0, -1)
                tags = {tag.code: tag.value for tag in page.tags}
                return np.atleast_2d(_luminance(values)), tags
        reason = f"{page.size:,} values are too many"
    except Exception as error:
        reason = error
    raise MapFileError(f"{path}: cannot be read as an image ({reason}); save it again as grey TIFF or PNG")


def _luminance(values: NDArray) -> NDArray:
    """Greys (rows, columns) of (rows, columns, samples): grey or red, green, blue, and alpha or not."""
    if values.ndim < 3:
        return values
    if values.ndim > 3 or values.shape[-1] not in (1, 2, 3, 4):
        raise ValueError(f"{values.shape} values are no picture")
    return values[..., :3] @ LUMINANCE if values.shape[-1] > 2 else values[..., 0]


def _grey(file: Image.Image) -> Image.Image:
    """Image with one value per pixel; 16 and 32 bit kept."""
    if file.mode in ("L", "I", "F", "1") or file.mode.startswith("I;"):
        return file
    # tifffile needs another package for LZW, and returns the numbers of a palette in place of its greys
    return (file.convert("RGB") if file.mode in ("P", "PA") else file).convert("L")


def _framed_row(values: NDArray) -> int | None:
    """First row of the lowest fifth that is of one grey while the row above it is not."""
    start = len(values) * 4 // 5
    share = [np.mean(row == np.median(row)) for row in values[start:]] if values.ndim == 2 else []
    return next((start + k for k in range(1, len(share)) if share[k] > 0.95 and share[k - 1] < 0.5), None)


def _by_rosettasciio(path: Path) -> tuple[NDArray, float | None, tuple[str, ...]]:
    """Values, pixel size and a note of the first picture in a file."""
    content = _content(path)
    pictures = [c for c in content if np.ndim(c["data"]) in (2, 3)]
    if not pictures or pictures[0]["data"].size > MOST_PIXELS:
        raise MapFileError(f"{path}: holds no picture of a usable size; save one as TIFF")
    data, note = pictures[0]["data"], ()
    if data.ndim == 3:
        note = (f"picture 1 of a stack of {len(data)}",)
        data = data[0]
    if len(pictures) > 1:
        note = (*note, f"the first of {len(pictures)} pictures in the file")
    if data.dtype.names:  # red, green, blue (, alpha) as fields
        data = _luminance(np.stack([data[name] for name in data.dtype.names], axis=-1).astype(float))
    return np.asarray(data, float), _scale_of_axes(pictures[0]), note


def _content(path: Path) -> list[dict]:
    """What rosettasciio finds in a file."""
    from importlib import import_module

    kind = BY_ROSETTASCIIO.get(path.suffix.lower(), "tiff")
    if not path.is_file():
        raise MapFileError(f"{path}: no such file; check the path")
    try:
        return import_module(f"rsciio.{kind}").file_reader(str(path))
    except Exception as error:
        raise MapFileError(f"{path}: cannot be read as an image ({error}); save it as TIFF or PNG") from error


def _scale_of_axes(content: dict) -> float | None:
    """Pixel size (um) by the axes of the picture, None where they have no length; not by that of a stack."""
    for axis in content["axes"][:-3:-1]:
        unit, scale = unit_um(axis.get("units")), axis.get("scale", 0)
        if unit is not None and np.isfinite(scale) and scale > 0:
            return float(scale * unit)
    return None


def _scale_of_rosettasciio(path: Path) -> float | None:
    """Pixel size (um) of another vendor's TIFF, None where it tells none."""
    try:
        content = _content(path)
    except MapFileError:
        return None
    return _scale_of_axes(content[0]) if content else None


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
