"""The pixel size of a picture by what its microscope wrote: tags of a TIFF, or a text file beside it.

| source | where |
|---|---|
| FEI / Thermo Fisher | tag 34682 (or 34680), [Scan] PixelWidth, in m |
| Zeiss | tag 34118: "Image Pixel Size", else the fourth line (m), else "Pixel Size" |
| TESCAN | tag 50431 or a .hdr beside the picture: PixelSizeX, in m |
| ImageJ | description "ImageJ=...", unit, and the resolution in pixels of that unit |
| OME | description with PhysicalSizeX and its unit (um where none is told) |
| JEOL, Hitachi | .txt beside the picture: micron bar and its length, PixelSize in nm |

Zeiss: "Pixel Size" belongs to the screen of the microscope, 1024 columns wide. A picture stored with 512 or
3072 columns has another; "Image Pixel Size", the fourth line where it differs, or the number of its columns
tell it.

ImageJ: `spacing` is the distance of the slices of a stack, no pixel size. A resolution in dots per inch or cm
without a word of its unit is the printer's, and so is a round one in inches: no scale.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from cpml.microscopy.io.lengths import unit_um

DESCRIPTION, RESOLUTION_X, FEI, ZEISS, TESCAN = 270, 282, (34682, 34680), 34118, 50431
ZEISS_SCREEN = 1024
ZEISS_STORED = (512, 2048, 3072, 4096, 6144)
"""Numbers of columns of stored Zeiss pictures, besides that of the screen."""
PRINTERS_DPI = (72, 75, 90, 96, 100, 120, 144, 150, 180, 200, 240, 300, 360, 400, 600, 720, 1200, 2400)
MOST_SIDECAR = 2**20
"""Bytes of a text file beside a picture that are read at most."""


def scale_of_tags(tags: Mapping, columns: int) -> float | None:
    """Pixel size in um of the tags of a TIFF (number -> value) with `columns` columns; None where they do not
    tell it.
    """
    for found in (
        _fei(text_of(tags, *FEI)),
        _zeiss(text_of(tags, ZEISS), columns),
        _times(number_after(r"PixelSizeX\s*=", text_of(tags, TESCAN)), 1e6),
        _described(text_of(tags, DESCRIPTION), tags.get(RESOLUTION_X)),
    ):
        if found is not None:
            return found
    return None


def text_of(tags: Mapping, *numbers: int) -> str:
    """Text of the first of some tags that is there, "" without."""
    value = next((tags[number] for number in numbers if tags.get(number)), "")
    value = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def number_after(pattern: str, text: str) -> float | None:
    """The positive number behind a pattern at the start of a line."""
    found = re.search(r"^[^\S\n]*" + pattern + r"\s*([-+\d.,eE]+)", text, re.MULTILINE)
    return positive(found[1]) if found else None


def positive(text: object) -> float | None:
    """A finite number above zero, None for anything else; a decimal comma is read."""
    try:
        value = float(str(text).strip().replace(",", "."))
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _fei(text: str) -> float | None:
    return _times(number_after(r"PixelWidth\s*=", text), 1e6)


def _zeiss(text: str, columns: int) -> float | None:
    own = _length_after("Image Pixel Size", text)
    if own:
        return own
    lines = text.splitlines()
    primary = _times(positive(lines[3]) if len(lines) > 3 else None, 1e6)
    named = _length_after("Pixel Size", text)
    if primary and named and abs(primary / named - 1) > 0.01:
        return primary
    screen = named or primary
    if screen is None:
        return None
    width = _length_after("Width", text)
    if width is not None and abs(screen * columns / width - 1) < 0.05:
        return screen  # these columns are as wide as the picture
    told = re.search(r"^Store resolution\s*=\s*(\d+)", text, re.MULTILINE | re.IGNORECASE)
    if told and int(told[1]) > 0:
        return screen * ZEISS_SCREEN / int(told[1])
    # any other number is that of a crop, whose pixels are those of the screen
    return screen * ZEISS_SCREEN / columns if columns in ZEISS_STORED else screen


def _length_after(name: str, text: str) -> float | None:
    """Length in um of a line "name = 11.65 nm"."""
    found = re.search(rf"^[^\S\n]*{name}\s*=\s*([-+\d.,eE]+)\s*(\S+)", text, re.MULTILINE)
    value, unit = (positive(found[1]), unit_um(found[2])) if found else (None, None)
    return value * unit if value and unit else None


def _described(text: str, resolution: object) -> float | None:
    """Pixel size of a description by ImageJ or OME."""
    size = re.search(r'PhysicalSizeX="([^"]+)"', text)
    if size:
        named = re.search(r'PhysicalSizeXUnit="([^"]+)"', text)
        unit = unit_um(named[1].replace("&#181;", "u")) if named else 1.0
        return _times(positive(size[1]), unit) if unit else None
    unit = re.search(r"^unit=(.*)$", text, re.MULTILINE)
    if not text.startswith("ImageJ=") or not unit:
        return None
    word, per_unit = unit[1].strip().lower(), _ratio(resolution)
    if word in ("inch", "inches", "in", '"', "cm") and per_unit is not None:
        dots = per_unit * (2.54 if word == "cm" else 1.0)
        if any(abs(dots / dpi - 1) < 2e-3 for dpi in PRINTERS_DPI):
            return None
    length = 25400.0 if word in ("inch", "inches", "in", '"') else unit_um(word)
    return length / per_unit if length and per_unit else None


def _ratio(value: object) -> float | None:
    """A rational of a tag as a number."""
    if isinstance(value, tuple) and len(value) == 2:
        top, bottom = map(positive, value)
        return top / bottom if top and bottom else None
    return positive(value[0] if isinstance(value, tuple) and len(value) == 1 else value)


def scale_beside(path: Path) -> float | None:
    """Pixel size in um by the text file that TESCAN, JEOL and Hitachi microscopes write beside a picture."""
    for text in _sidecars(path):
        tescan = number_after(r"PixelSizeX\s*=", text)
        if tescan:
            return tescan * 1e6
        bar = number_after(r"\$\$SM_MICRON_BAR", text)
        marker = re.search(r"^\s*\$\$SM_MICRON_MARKER\s+([\d.]+)\s*([^\s\d]+)", text, re.MULTILINE)
        if bar and marker:
            length, unit = positive(marker[1]), unit_um(marker[2])
            return length * unit / bar if length and unit else None
        hitachi = number_after(r"PixelSize\s*=", text) if "[SemImageFile]" in text else None
        if hitachi:
            return hitachi * 1e-3
    return None


def _sidecars(path: Path) -> Iterator[str]:
    """Texts of the files beside a picture that may describe it."""
    kind = path.suffix[1:]
    for name in (f"{path.stem}-{kind}.hdr", f"{path.stem}.hdr", f"{path.stem}.txt", f"{path.name}.txt"):
        beside = path.with_name(name)
        if beside.is_file() and beside != path and beside.stat().st_size <= MOST_SIDECAR:
            raw = beside.read_bytes()
            yield raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1", "replace")
