"""The schema of dataset.yml in one table, and the check of a file against it.

| key          | value                                                                                       |
|--------------|---------------------------------------------------------------------------------------------|
| name         | letters, digits, . _ -                                                                      |
| title, citation, licence | one line of text each ("unpublished" is a citation)                             |
| virtual      | true for simulated specimens; default false                                                 |
| note         | free text                                                                                   |
| files        | ebsd, traces, dic, grains, labels, curve, truth: a file; images: a list of files; ebsd or   |
|              | images is needed, and what lies on the map (traces, dic, labels, truth) needs ebsd          |
| phases       | list of {name, lattice: fcc, bcc, hcp or other, material, hex_x_axis: a or a* (hcp only),   |
|              | number}; needed with ebsd. The first with a material is modelled first. other: kept in the  |
|              | map, left out of the mechanics, as is a phase that is not declared. number (in the map):    |
|              | tells phases of one name apart                                                              |
| reading      | slice (of a stack, from 0); scan (name of one of several maps in a file); unit of positions |
|              | (um, nm, mm, px) and step_um (distance of points in a row), where the file does not know;   |
|              | angles (degrees, radians), against the format; refined (EMsoft); text files: columns,       |
|              | phase_numbers (number in the file of each of `phases`, in order)                            |
| frame        | euler_to_sample: a preset below, declared (what the file states), a 3 x 3 rotation, or      |
|              | {axis: [x, y, z], angle_deg: t}; acquisition: apply or ignore (Oxford acquisition angles);  |
|              | left out: not declared, the Euler axes are taken as the pixel axes and every report says so |
| load         | unknown, or {kind, axis, plane, tensor, strain, rate, temperature, assumed, note}           |
| cleaning     | max_mad_deg (Oxford), min_confidence (EDAX): pixels beyond are treated as not indexed;      |
|              | spike_deg, min_grain_pixels, fill_holes_pixels, denoise, threshold_deg: see                 |
|              | cpml.microscopy.cleaning.clean                                                              |
| segmentation | threshold 5.0 deg or {phase name: deg}, min_pixels 5, twin_tolerance 5.0 deg                |
| labels       | traces, twins, dic, images: manual, auto or none; trace_sigma_deg                           |
|              | twins: auto looks for lamellae in the map, manual takes those recorded in files.traces      |
| registration | dic_to_ebsd: at least 3 rows [x_dic, y_dic, x_ebsd, y_ebsd] of one point in both;           |
|              | image_to_ebsd: the same for the first image; image_kind: affine (default), similarity,      |
|              | projective, thin_plate; a mirror image is refused. All count from 0 at the upper left:      |
|              | pixels of an image (column, row), vectors of a field, points of a map (number in its row,   |
|              | number of the row). On a hexagonal map every second row is half a column further: 0.5,      |
|              | 1.5 ...                                                                                     |
|              | ebsd_unit: px (default), or um for x_ebsd, y_ebsd as on the axes of the drawn map           |
|              | dic_y_axis: up or down, which way y and v are counted; dic_zeros: gaps or values, what a    |
|              | vector 0, 0 is; both auto (default): by the file                                            |
| steps        | list of further states of the specimen, ascending in strain: {strain: its amount as a       |
|              | fraction, name, ebsd, dic or gradient: files, y_axis: down (default) or up (of the          |
|              | gradient), frame and reading: as above (default: those of the data set), registration: as   |
|              | above (default: that of the data set), and map_to_ebsd, rows [x_step, y_step, x_ebsd,       |
|              | y_ebsd] of one point in both maps, in pixels}; fields belong to the points of files.ebsd;   |
|              | the layout of a gradient is in cpml.microscopy.dic.gradient_files                           |
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from difflib import get_close_matches
from numbers import Real
from pathlib import Path

from cpml.errors import DatasetError

FRAMES = (
    "identity",
    "x180",
    "y180",
    "oxford",
    "bruker",
    "edax1",
    "edax2",
    "edax3",
    "edax4",
    "z180",
    "z90",
    "z-90",
)
FILE_ROLES = ("ebsd", "traces", "dic", "images", "grains", "labels", "curve", "truth")
Check = Callable[[object], object]
"""Returns the value as it is used, or raises _Wrong."""
ON_THE_MAP = ("traces", "dic", "labels", "truth")
STEP_ROLES = ("ebsd", "dic", "gradient")
MAIN_STATE = "map"
"""What the state of files.ebsd is called beside the names of the steps."""
_ROLE_OF = {"y_axis": "gradient", "frame": "ebsd", "reading": "ebsd"}


class _Wrong(Exception):
    """(key inside the value, the value there, what is expected): turned into a DatasetError that
    names the file.
    """


def text(value: object) -> str:
    """Text that is not empty, without spaces around it."""
    if not isinstance(value, str) or not value.strip():
        raise _Wrong("", value, "expected text (quote it if it looks like a number or a date)")
    return value.strip()


def free_text(value: object) -> str:
    """Any text."""
    return text(value) if value != "" else ""


def boolean(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise _Wrong("", value, "expected true or false")
    return value


def number(low: float, high: float, kind: type = float) -> Check:
    """A number, or whole number, in a range."""

    def check_number(value: object) -> float:
        is_number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not low <= value <= high or kind(value) != value:
            word = "an integer" if kind is int else "a number"
            raise _Wrong("", value, f"expected {word} from {low:g} to {high:g}")
        return kind(value)

    return check_number


def choice(*options: str) -> Check:
    """One of a few words."""

    def check_choice(value: object) -> str:
        # YAML 1.1 reads no and off as false
        value = "none" if value is False and "none" in options else value
        if value not in options:
            close = get_close_matches(str(value), options, n=1)
            hint = f": did you mean {close[0]!r}?" if close else ""
            raise _Wrong("", value, f"expected one of {', '.join(options)}{hint}")
        return value

    return check_choice


def list_of(item: Check, minimum: int = 1) -> Check:
    """A list, each entry checked by `item`."""

    def check_list(value: object) -> list:
        if not isinstance(value, list) or len(value) < minimum:
            raise _Wrong("", value, f"expected a list of at least {minimum}")
        return [_nested(f"[{n}]", item, entry) for n, entry in enumerate(value)]

    return check_list


def mapping(
    fields: dict[str, Check], *, required: tuple[str, ...] = (), defaults: dict | None = None
) -> Check:
    """A mapping of known keys, each value checked by its own rule."""

    def check_mapping(value: object) -> dict:
        if not isinstance(value, dict):
            raise _Wrong("", value, f"expected 'key: value' lines with {', '.join(fields)}")
        for key in value:
            if key not in fields:
                close = get_close_matches(str(key), fields, n=1)
                hint = f"did you mean {close[0]!r}? " if close else ""
                raise _Wrong(f".{key}", value[key], f"unknown key; {hint}known: {', '.join(fields)}")
        for key in required:
            if key not in value:
                raise _Wrong(f".{key}", None, "this key is missing")
        return {
            **(defaults or {}),
            **{key: _nested(f".{key}", fields[key], entry) for key, entry in value.items()},
        }

    return check_mapping


def file_entry(value: object) -> str | dict:
    """The name of a file, alone or with its checksum."""
    if isinstance(value, dict):
        return mapping({"path": text, "sha256": sha256}, required=("path", "sha256"))(value)
    return text(value)


def files(value: object) -> dict:
    """Files by role: a map or images, and with what lies on a map the map."""
    found = mapping(_FILES)(value)
    if "ebsd" not in found and "images" not in found:
        raise _Wrong(".ebsd", None, "this key is missing (a data set has an EBSD map or images)")
    for role in ON_THE_MAP:
        if role in found and "ebsd" not in found:
            raise _Wrong(".ebsd", None, f"this key is missing: {role} lies on a map")
    return found


def step_name(value: object) -> str:
    """A word that tables and figures can carry: letters, digits, . _ - % and blanks."""
    name = text(value)
    if not re.fullmatch(r"[A-Za-z0-9._% -]{1,40}", name):
        raise _Wrong("", value, "expected letters, digits, . _ - % and blanks, at most 40")
    return name


def _step(value: object) -> dict:
    """One of the steps; its frame and reading follow the rules of the data set's own."""
    fields = {
        "name": step_name,
        "strain": number(0, 1),
        **dict.fromkeys(STEP_ROLES, file_entry),
        "y_axis": choice("down", "up"),
        **{key: SCHEMA[key][0] for key in ("frame", "reading")},
        "registration": _step_registration,
    }
    return mapping(fields, required=("strain",))(value)


def _step_registration(value: object) -> dict:
    """The keys of the data set's own registration, without images, and map_to_ebsd."""
    if not isinstance(value, dict):
        raise _Wrong("", value, "expected 'key: value' lines with dic_to_ebsd, map_to_ebsd")
    for key in value:
        if str(key).startswith("image"):
            raise _Wrong(f".{key}", None, "a step has no images")
    if "ebsd_unit" in value and "dic_to_ebsd" not in value:
        raise _Wrong(".ebsd_unit", value["ebsd_unit"], "this is the unit of dic_to_ebsd, which is missing")
    own = {key: entry for key, entry in value.items() if key != "map_to_ebsd"}
    found = SCHEMA["registration"][0](own)
    if "map_to_ebsd" in value:
        found["map_to_ebsd"] = _nested(".map_to_ebsd", list_of(point_pair, 3), value["map_to_ebsd"])
    return found


def steps(value: object) -> list[dict]:
    """Further states of the specimen: each with a file, strains that ascend, names that differ."""
    found = list_of(_step)(value)
    for n, step in enumerate(found):
        if not any(role in step for role in STEP_ROLES):
            raise _Wrong(f"[{n}]", None, f"a step needs a file: one of {', '.join(STEP_ROLES)}")
        if "dic" in step and "gradient" in step:
            raise _Wrong(f"[{n}].gradient", None, "a step has either a dic or a gradient")
        for key, role in _ROLE_OF.items():
            if key in step and role not in step:
                raise _Wrong(f"[{n}].{key}", None, f"this is for a step with {role}")
        for key, role in (("dic_to_ebsd", "dic"), ("map_to_ebsd", "ebsd")):
            if key in step.get("registration", {}) and role not in step:
                raise _Wrong(f"[{n}].registration.{key}", None, f"this is for a step with {role}")
        if n and step["strain"] <= found[n - 1]["strain"]:
            before = found[n - 1]["strain"]
            reason = f"strains of the steps ascend, and the one before has {before:g}"
            raise _Wrong(f"[{n}].strain", step["strain"], reason)
        step.setdefault("name", f"step {n + 1}")
    for n, step in enumerate(found):
        if step["name"] in [other["name"] for other in found[:n]] or step["name"] == MAIN_STATE:
            raise _Wrong(f"[{n}].name", step["name"], f"names differ, and {MAIN_STATE!r} is files.ebsd")
    return found


def sha256(value: object) -> str:
    """A checksum in hexadecimal digits."""
    if not isinstance(value, str) or not re.fullmatch("[0-9a-fA-F]{64}", value):
        raise _Wrong("", value, "expected 64 hexadecimal digits")
    return value


def rotation(value: object) -> str | list | dict:
    """A named preset, a proper 3 x 3 rotation, or an axis and an angle."""
    if isinstance(value, dict):
        fields = {"axis": list_of(number(-1e6, 1e6), 3), "angle_deg": number(-360, 360)}
        checked = mapping(fields, required=("axis", "angle_deg"))(value)
        if len(checked["axis"]) != 3 or not any(checked["axis"]):
            raise _Wrong(".axis", value["axis"], "expected three numbers, not all zero")
        return checked
    if isinstance(value, list):
        rows = list_of(list_of(number(-1, 1), 3), 3)(value)
        if len(rows) != 3 or any(len(row) != 3 for row in rows) or not _is_rotation(rows):
            raise _Wrong("", value, "expected a rotation: 3 x 3, orthonormal, determinant +1")
        return rows
    return choice(*FRAMES, "declared")(value)


def scan_name(value: object) -> str:
    """Name of a map in a file that holds several; a number is a name, too."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value)


def load(value: object) -> str | dict:
    """The word unknown, or a mapping that cpml.load checks."""
    if value != "unknown" and not isinstance(value, dict):
        raise _Wrong("", value, "expected the word unknown, or kind, axis, ... of the load")
    return value


def point_pair(value: object) -> list[float]:
    """One point in two pictures."""
    row = list_of(number(-1e9, 1e9), 4)(value)
    if len(row) != 4:
        raise _Wrong("", value, "expected 4 numbers: x_dic, y_dic, x_ebsd, y_ebsd")
    return row


def threshold(value: object) -> float | dict[str, float]:
    """Degrees, or degrees by name of the phase."""
    degrees = number(0.1, 60)
    if not isinstance(value, dict):
        return degrees(value)
    if not value:
        raise _Wrong("", value, "expected degrees, or degrees for each phase")
    return {text(name): _nested(f".{name}", degrees, entry) for name, entry in value.items()}


_PHASE = mapping(
    {
        "name": text,
        "lattice": choice("fcc", "bcc", "hcp", "other"),
        "material": text,
        "hex_x_axis": choice("a", "a*"),
        "number": number(1, 9999, int),
    },
    required=("name", "lattice"),
)


def phases(value: object) -> list[dict]:
    """The phases of a map; a data set of images alone may leave them out."""
    return [] if value is None else list_of(_PHASE)(value)


_FILES = {role: file_entry for role in FILE_ROLES} | {"images": list_of(file_entry)}
_HOW = choice("manual", "auto", "none")

# (check, default); a key whose default is ... has to be given
SCHEMA: dict[str, tuple[Check, object]] = {
    "name": (text, ...),
    "title": (text, ...),
    "citation": (text, ...),
    "licence": (text, ...),
    "virtual": (boolean, False),
    "note": (free_text, ""),
    "files": (files, ...),
    "phases": (phases, None),
    "reading": (
        mapping(
            {
                "slice": number(0, 1e6, int),
                "scan": scan_name,
                "unit": choice("um", "nm", "mm", "px"),
                "step_um": number(1e-6, 1e6),
                "columns": list_of(text, 5),
                "angles": choice("degrees", "radians"),
                "phase_numbers": list_of(number(0, 9999, int)),
                "refined": boolean,
            }
        ),
        {},
    ),
    "frame": (
        mapping({"euler_to_sample": rotation, "acquisition": choice("apply", "ignore")}),
        {},
    ),
    "load": (load, ...),
    "cleaning": (
        mapping(
            {
                "max_mad_deg": number(0, 10),
                "min_confidence": number(0, 1),
                "spike_deg": number(0.1, 90),
                "min_grain_pixels": number(1, 1e6, int),
                "fill_holes_pixels": number(0, 1e9, int),
                "denoise": number(0, 1e6),
                "threshold_deg": number(0.1, 60),
            }
        ),
        {},
    ),
    "segmentation": (
        mapping(
            {
                "threshold": threshold,
                "min_pixels": number(1, 1e6, int),
                "twin_tolerance": number(0.1, 15),
            },
            defaults={"threshold": 5.0, "min_pixels": 5, "twin_tolerance": 5.0},
        ),
        {},
    ),
    "labels": (
        mapping(
            {"traces": _HOW, "twins": _HOW, "dic": _HOW, "images": _HOW, "trace_sigma_deg": number(0.1, 45)}
        ),
        {},
    ),
    "registration": (
        mapping(
            {
                "dic_to_ebsd": list_of(point_pair, 3),
                "image_to_ebsd": list_of(point_pair, 2),
                "image_kind": choice("affine", "similarity", "projective", "thin_plate"),
                "ebsd_unit": choice("px", "um"),
                "dic_y_axis": choice("auto", "up", "down"),
                "dic_zeros": choice("auto", "gaps", "values"),
            }
        ),
        {},
    ),
    "steps": (lambda value: [] if value is None else steps(value), None),
}


def check(values: dict, path: Path) -> dict:
    """The complete, checked content of a dataset.yml; DatasetError names the first thing that is wrong."""
    fields = {key: rule for key, (rule, _) in SCHEMA.items()}
    required = tuple(key for key, (_, default) in SCHEMA.items() if default is ...)
    optional = {key: default for key, (_, default) in SCHEMA.items() if default is not ...}
    try:
        found = mapping(fields, required=required)({**optional, **values})
        if "ebsd" in found["files"] and not found["phases"]:
            raise _Wrong(".phases", None, "this key is missing: the phases of the map")
        if found["steps"] and "ebsd" not in found["files"]:
            raise _Wrong(".files.ebsd", None, "this key is missing: steps are followed from a map")
        return found
    except _Wrong as wrong:
        key, value, reason = wrong.args
        raise field_error(path, key.removeprefix("."), value, reason) from None


def field_error(path: Path, key: str, value: object, reason: str) -> DatasetError:
    """The error for one key of a description; a value of None is not shown."""
    shown = "" if value is None else f"{_short(value)}: "
    return DatasetError(f"{path}: {key}: {shown}{reason}")


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _nested(key: str, rule: Check, value: object) -> object:
    try:
        return rule(value)
    except _Wrong as wrong:
        inner, found, reason = wrong.args
        raise _Wrong(key + inner, found, reason) from None


def _is_rotation(rows: list[list[float]]) -> bool:
    (a, b, c), (d, e, f), (g, h, i) = rows
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    products = (
        sum(x * y for x, y in zip(rows[m], rows[n], strict=True)) - (m == n)
        for m in range(3)
        for n in range(m + 1)
    )
    return abs(determinant - 1) < 1e-6 and all(abs(p) < 1e-6 for p in products)
