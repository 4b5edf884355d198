"""The keys of dataset.yml: what each may be, what it means, what holds where it is left out; and the check.

`SCHEMA` is the one table. `check` reads a description against it; `docs/dataset.schema.json` for editors and
the tables of `docs/dataset.md` for readers are written from it (`python3 tasks.py schema`,
cpml.datasets.schema_files).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cpml.datasets.rules import (
    REQUIRED,
    Key,
    Rule,
    Wrong,
    boolean,
    choice,
    free_text,
    gather,
    json_of,
    list_of,
    mapping,
    number,
    pattern,
    text,
)
from cpml.errors import DatasetError
from cpml.load import KINDS

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
ON_THE_MAP = ("traces", "dic", "labels", "boundaries", "ecci", "truth")
STEP_ROLES = ("ebsd", "dic", "gradient")
MAIN_STATE = "map"
"""What the state of files.ebsd is called beside the names of the steps."""
_ROLE_OF = {"y_axis": "gradient", "frame": "ebsd", "reading": "ebsd"}

# ---- values of its own kind


def _rotation(value: object) -> str | list | dict:
    if isinstance(value, dict):
        checked = _AXIS_ANGLE(value)
        if not any(checked["axis"]):
            raise Wrong((".axis", value["axis"], "expected three numbers, not all zero"))
        return checked
    if isinstance(value, list):
        rows = _MATRIX(value)
        if not _is_rotation(rows):
            raise Wrong(("", value, "expected a rotation: 3 x 3, orthonormal, determinant +1"))
        return rows
    return _PRESET(value)


def _scan(value: object) -> str:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value)


def _load(value: object) -> str | dict:
    if value != "unknown" and not isinstance(value, dict):
        raise Wrong(("", value, "expected the word unknown, or kind, axis, ... of the load"))
    return value


def _threshold(value: object) -> float | dict[str, float]:
    if not isinstance(value, dict):
        return _DEGREES(value)
    if not value:
        raise Wrong(("", value, "expected degrees, or degrees for each phase"))
    names = {str(name): Key(_DEGREES, "") for name in value}
    return mapping(names)({text(name): entry for name, entry in value.items()})


def _file(value: object) -> str | dict:
    return _WITH_SUM(value) if isinstance(value, dict) else text(value)


def _is_rotation(rows: list[list[float]]) -> bool:
    (a, b, c), (d, e, f), (g, h, i) = rows
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    products = (
        sum(x * y for x, y in zip(rows[m], rows[n], strict=True)) - (m == n)
        for m in range(3)
        for n in range(m + 1)
    )
    return abs(determinant - 1) < 1e-6 and all(abs(p) < 1e-6 for p in products)


_PRESET = choice(*FRAMES, "declared")
_MATRIX = list_of(list_of(number(-1, 1), 3, exactly=3), 3, exactly=3)
_AXIS_ANGLE = mapping(
    {
        "axis": Key(list_of(number(-1e6, 1e6), 3, exactly=3), "of the turn, in the pixel frame", REQUIRED),
        "angle_deg": Key(number(-360, 360), "angle of the turn", REQUIRED),
    }
)
rotation = Rule(
    _rotation,
    {"anyOf": [_PRESET.json, _MATRIX.json, _AXIS_ANGLE.json]},
    f"{_PRESET.words}, a 3 x 3 rotation matrix, or {{axis: [x, y, z], angle_deg: t}}",
)
"""A named preset, a proper 3 x 3 rotation, or an axis and an angle."""

scan_name = Rule(_scan, {"type": ["string", "integer"], "pattern": r"\S"}, "text or number")
"""Name of a map in a file that holds several; a number is a name, too."""

_DEGREES = number(0.1, 60)
threshold = Rule(
    _threshold,
    {"anyOf": [_DEGREES.json, {"type": "object", "additionalProperties": _DEGREES.json, "minProperties": 1}]},
    f"{_DEGREES.words}, or {{phase name: number}}",
)
"""Degrees, or degrees by name of the phase."""

sha256 = pattern("[0-9a-fA-F]{64}", "64 hexadecimal digits", "64 hexadecimal digits")
_WITH_SUM = mapping(
    {"path": Key(text, "the file", REQUIRED), "sha256": Key(sha256, "its checksum, verified", REQUIRED)}
)
file_entry = Rule(_file, {"anyOf": [text.json, _WITH_SUM.json]}, "path, or {path: ..., sha256: ...}")
"""The name of a file, alone or with its checksum."""

_POINT = replace(list_of(number(-1e9, 1e9), 4, exactly=4), words="rows of 4 numbers")
_HOW = choice("manual", "auto", "none")
_STEP_NAME = pattern(r"[A-Za-z0-9._% -]{1,40}", "letters, digits, . _ - % and blanks, at most 40")

# ---- files


def _files_fit(found: dict) -> None:
    if "ebsd" not in found and "images" not in found:
        raise Wrong((".ebsd", None, "this key is missing (a data set has an EBSD map or images)"))
    for role in ON_THE_MAP:
        if role in found and "ebsd" not in found:
            raise Wrong((".ebsd", None, f"this key is missing: {role} lies on a map"))


_FILES = {
    "ebsd": Key(
        file_entry,
        "the map: `.ctf`, `.crc` (with its `.cpr`), `.ang`, `.h5oina`, HDF5 of EDAX, Bruker, EMsoft or orix, "
        "`.dream3d`, `.h5ebsd`, or delimited text with `reading: {columns: ...}`",
        example="map.ctf",
    ),
    "traces": Key(
        file_entry,
        "slip traces drawn by hand, a table x_um, y_um, angle_deg[, sigma_deg]; counter-clockwise from +x on "
        'the screen; an empty angle means "looked at this grain, saw no trace"; needs ebsd',
        example="traces.csv",
    ),
    "dic": Key(
        file_entry,
        "displacement field (HR-DIC); needs ebsd and `registration: {dic_to_ebsd: ...}`",
        example="dic.txt",
    ),
    "images": Key(
        list_of(file_entry),
        "SEM images; the first is laid over the map by `registration: {image_to_ebsd: ...}`",
        example="[bse.tif]",
    ),
    "grains": Key(
        file_entry, "a table of grains of another program, kept beside the map; no notebook reads it"
    ),
    "labels": Key(
        file_entry,
        "mechanisms that you know of, which F learns from: a table grain_id, mechanism, target, "
        "observed[, weight, source]; a target is a plane, system, variant, family, the mechanism itself (any "
        "of it) or a pair of planes; weight from 0 (a guess) to 1; needs ebsd",
        example="labels.csv",
    ),
    "boundaries": Key(
        file_entry,
        "boundaries at which you saw slip pass or stop: a table grain_a, grain_b (or boundary, as 12-15), "
        "passes[, system_a, system_b, residual_burgers, weight, source]; needs ebsd",
        example="boundaries.csv",
    ),
    "ecci": Key(
        file_entry,
        "dislocation lines seen by ECCI, a table line, seen (visible, weak, invisible or nothing), g or "
        "tilt_deg[, second_deg], a place (grain_id; x_um, y_um; or polyline), [segment, angle_deg, "
        "sigma_deg, length_um]; needs ebsd and `microscope`",
        example="ecci.csv",
    ),
    "curve": Key(
        file_entry, "measured stress-strain curve, a table true_strain, true_stress_mpa", example="curve.csv"
    ),
    "truth": Key(
        file_entry, "hidden truth of a virtual specimen, read by scoring only; needs `virtual: true`"
    ),
}
files = mapping(
    _FILES,
    also=_files_fit,
    json={
        "anyOf": [{"required": ["ebsd"]}, {"required": ["images"]}],
        "dependentRequired": {role: ["ebsd"] for role in ON_THE_MAP},
    },
)

# ---- phases


def _phase_fits(found: dict) -> None:
    if found["lattice"] == "other":
        superfluous = [key for key in ("material", "hex_x_axis") if key in found]
        if superfluous:
            raise Wrong(*((f".{key}", found[key], "is not for other") for key in superfluous))
        return
    wrong: list[tuple[str, object, str]] = []
    if "material" not in found:
        reason = "this key is missing (a phase without a law is declared as lattice: other)"
        wrong.append((".material", None, reason))
    if (found["lattice"] == "hcp") != ("hex_x_axis" in found):
        is_missing = "is missing: write a or a*, what the file's Euler angles call X"
        reason = is_missing if found["lattice"] == "hcp" else "is for hcp only"
        wrong.append((".hex_x_axis", found.get("hex_x_axis"), reason))
    if wrong:
        raise Wrong(*wrong)


def _if_lattice(*lattices: str, then: dict) -> dict:
    condition = {"properties": {"lattice": {"enum": list(lattices)}}, "required": ["lattice"]}
    return {"if": condition, "then": then}


def _without(*keys: str) -> dict:
    return {"not": {"anyOf": [{"required": [key]} for key in keys]}}


_PHASE = mapping(
    {
        "name": Key(text, "as the map's file has it", REQUIRED, "Iron bcc (old)"),
        "lattice": Key(
            choice("fcc", "bcc", "hcp", "other"),
            "other: kept in the map, drawn and counted, left out of the mechanics",
            REQUIRED,
            "hcp",
        ),
        "material": Key(
            text,
            "slip systems and strengths: a name in `cpml/crystallography/materials`, or the path of a `.yml` "
            "of your own; needed unless the lattice is other",
            example="magnesium",
        ),
        "hex_x_axis": Key(
            choice("a", "a*"),
            "hcp only, and needed there: the crystal axis that the file's Euler angles call X (usually a* in "
            "files of Oxford and Bruker, a in those of EDAX); the wrong one hides every twin",
            example='"a*"',
        ),
        "number": Key(
            number(1, 9999, int), "in the map, where several phases have one name; else every phase of it"
        ),
    },
    also=_phase_fits,
    json={
        "allOf": [
            _if_lattice("fcc", "bcc", "hcp", then={"required": ["material"]}),
            _if_lattice("hcp", then={"required": ["hex_x_axis"]}),
            _if_lattice("fcc", "bcc", then=_without("hex_x_axis")),
            _if_lattice("other", then=_without("material", "hex_x_axis")),
        ]
    },
)
_SOME_PHASES = list_of(_PHASE)
phases = Rule(
    lambda value: [] if value is None else _SOME_PHASES(value),
    {**_SOME_PHASES.json, "type": ["array", "null"]},
    _SOME_PHASES.words,
    _SOME_PHASES.keys,
)
"""The phases of a map; a data set of images alone may leave them out."""

# ---- how the map is read, and its frame

_READING = {
    "slice": Key(number(0, 1e6, int), "which slice of a stack; the first is 0", example="0"),
    "scan": Key(
        scan_name, "which of several maps in a file, by its name there; left out: the first", example="Scan 2"
    ),
    "unit": Key(
        choice("um", "nm", "mm", "px"),
        "of the positions, where the file is wrong or does not say; px with step_um",
    ),
    "step_um": Key(
        number(1e-6, 1e6),
        "distance of points in a row, um, where the file is wrong or does not say",
        example="0.5",
    ),
    "columns": Key(
        list_of(text, 5),
        "delimited text: the name of every column in order; phi1, Phi, phi2, x, y are needed, phase and ci "
        "are understood, _ skips one",
        example="[phi1, Phi, phi2, x, y, phase]",
    ),
    "angles": Key(
        choice("degrees", "radians"), "against what the format prescribes; text: degrees by default"
    ),
    "phase_numbers": Key(
        list_of(number(0, 9999, int)),
        "delimited text: number in the file of each of `phases`, in order; left out: 1, 2, ...",
        example="[0]",
    ),
    "refined": Key(
        boolean, "EMsoft: refined orientations or the best match; left out: refined where there are any"
    ),
}
reading = mapping(_READING)

_FRAME = {
    "euler_to_sample": Key(
        rotation,
        "how the axes of the Euler angles are turned to those of the pixels (x right, y down, z into the "
        "specimen): a preset (oxford is x180, bruker y180; edax1 to edax4 are the coordinate settings), "
        "declared (what the file itself states), a rotation, or an axis with an angle; left out: not "
        "declared, the axes are taken as the same and every report says so",
        example="x180",
    ),
    "acquisition": Key(
        choice("apply", "ignore"),
        "Oxford: turn by the acquisition-surface angles of the file first",
        "ignore",
    ),
}
frame = mapping(_FRAME)

# ---- load; its conditions are checked by cpml.load

_VECTOR = list_of(number(-1e9, 1e9), 3, exactly=3)
_DIRECTION = Rule(
    lambda value: value,
    {"anyOf": [{"type": "string", "pattern": "^[+-]?[xyzXYZ]$"}, _VECTOR.json]},
    "`x`, `y`, `z`, with a sign or without, or [x, y, z]",
)
_ABOVE_ZERO = Rule(lambda value: value, {"type": "number", "exclusiveMinimum": 0}, "number above 0")
_LOAD = {
    "kind": Key(choice(*KINDS), "of the test", REQUIRED, "tension"),
    "axis": Key(
        _DIRECTION,
        "in the pixel frame: of tension or compression, the direction of shear, the rolling direction",
        example="x",
    ),
    "plane": Key(_DIRECTION, "shear only: normal of its plane", example="y"),
    "tensor": Key(
        replace(list_of(list_of(number(-1e12, 1e12), 3, exactly=3), 3, exactly=3), words="3 x 3 numbers"),
        "tensor only: stress, symmetric, any unit (its direction counts)",
        example="[[1, 0, 0], [0, 0.5, 0], [0, 0, 0]]",
    ),
    "strain": Key(number(0, 1), "final von Mises strain as a fraction", example="0.05"),
    "rate": Key(_ABOVE_ZERO, "von Mises strain rate, 1/s", 1e-3, "1e-3"),
    "temperature": Key(_ABOVE_ZERO, "K", example="293"),
    "assumed": Key(
        boolean, "true: nobody recorded the load, it is a guess, and every figure says so", False, "true"
    ),
    "note": Key(free_text, "why it is assumed, or what else to know", ""),
}


def _of_kind(kinds: tuple[str, ...], needed: tuple[str, ...]) -> dict:
    condition = {"properties": {"kind": {"enum": list(kinds)}}, "required": ["kind"]}
    others = [key for key in ("axis", "plane", "tensor") if key not in needed]
    return {"if": condition, "then": {"required": list(needed)} | _without(*others)}


load = Rule(
    _load,
    {
        "anyOf": [
            {"const": "unknown"},
            json_of(_LOAD)
            | {
                "allOf": [
                    _of_kind(("tension", "compression", "rolling"), ("axis",)),
                    _of_kind(("shear",), ("axis", "plane")),
                    _of_kind(("tensor",), ("tensor",)),
                ]
            },
        ]
    },
    f"`unknown`, or {{{', '.join(_LOAD)}}}",
    _LOAD,
)
"""The word unknown, or a mapping that cpml.load checks."""

# ---- what is done with the map

_CLEANING = {
    "max_mad_deg": Key(
        number(0, 10), "Oxford: points of a larger mean angular deviation count as not indexed", example="1.5"
    ),
    "min_confidence": Key(
        number(0, 1), "EDAX: points of a lower confidence index count as not indexed", example="0.05"
    ),
    "spike_deg": Key(
        number(0.1, 90),
        "a point farther than this from all its neighbours takes their orientation",
        example="5",
    ),
    "min_grain_pixels": Key(
        number(1, 1e6, int), "smaller grains take the orientation of the nearest larger one", example="4"
    ),
    "fill_holes_pixels": Key(
        number(0, 1e9, int), "holes of up to this many points are filled from the nearest point", example="4"
    ),
    "denoise": Key(number(0, 1e6), "strength of the filter inside grains", example="10"),
    "threshold_deg": Key(
        number(0.1, 60), "disorientation that separates grains in these steps; left out: 5", example="5"
    ),
}
cleaning = mapping(_CLEANING)

_SEGMENTATION = {
    "threshold": Key(
        threshold, "disorientation of neighbours that separates fragments, degrees", 5.0, "{Ferrite: 2}"
    ),
    "min_pixels": Key(number(1, 1e6, int), "smaller fragments are no grains", 5),
    "twin_tolerance": Key(number(0.1, 15), "largest deviation from a twin relation, degrees", 5.0),
}
segmentation = mapping(_SEGMENTATION, fill=True)

_LABELS = {
    "traces": Key(
        _HOW, "how the lines of files.traces were found; a word for the reader, they are used anyway", "auto"
    ),
    "twins": Key(
        _HOW,
        "auto: lamellae are looked for in the map; manual: those recorded in files.traces; none: no twins",
        "auto",
    ),
    "dic": Key(_HOW, "auto: bands of the displacement field become labels", "auto"),
    "images": Key(_HOW, "auto: lines of the registered image become labels", "none"),
    "ecci": Key(_HOW, "auto: what ECCI lines say of slip, cross-slip and climb becomes labels", "auto"),
    "trace_sigma_deg": Key(
        number(0.1, 45),
        "error of a drawn line, for the record; notebook 02e has a parameter of this name",
        example="2",
    ),
}
labels = mapping(_LABELS)

_REGISTRATION = {
    "dic_to_ebsd": Key(
        list_of(_POINT, 3),
        "at least 3 rows [x_dic, y_dic, x_ebsd, y_ebsd], one point in both; all count from 0 at the upper "
        "left: pixels of an image (column, row), vectors of a field, points of a map (number in its row, "
        "number of the row; on a hexagonal map every second row is half a column further: 0.5, 1.5 ...)",
        example="[[36, 72, 68, 95], [279, 27, 308, 45], [60, 157, 89, 174]]",
    ),
    "image_to_ebsd": Key(
        list_of(_POINT, 2),
        "the same for the first image; at least 2 rows for a similarity, 3 for affine, 4 for the others; a "
        "mirror image is refused",
    ),
    "image_kind": Key(
        choice("affine", "similarity", "projective", "thin_plate"), "how the image is laid on", "affine"
    ),
    "ebsd_unit": Key(choice("px", "um"), "um: x_ebsd, y_ebsd are read off the axes of the drawn map", "px"),
    "dic_y_axis": Key(choice("auto", "up", "down"), "which way y and v of the field are counted", "auto"),
    "dic_zeros": Key(choice("auto", "gaps", "values"), "what a vector 0, 0 of the field is", "auto"),
}
registration = mapping(_REGISTRATION)

# ---- strain steps


def _step_registration_fits(found: dict) -> None:
    if "ebsd_unit" in found and "dic_to_ebsd" not in found:
        raise Wrong((".ebsd_unit", found["ebsd_unit"], "this is the unit of dic_to_ebsd, which is missing"))


_ON_A_STEP = mapping(
    {key: entry for key, entry in _REGISTRATION.items() if not key.startswith("image")}
    | {
        "map_to_ebsd": Key(
            list_of(_POINT, 3), "rows [x_step, y_step, x_ebsd, y_ebsd] of one point in both maps, in points"
        )
    },
    also=_step_registration_fits,
    json={"dependentRequired": {"ebsd_unit": ["dic_to_ebsd"]}},
)


def _step_registration(value: object) -> dict:
    for key in value if isinstance(value, dict) else ():
        if str(key).startswith("image"):
            raise Wrong((f".{key}", None, "a step has no images"))
    return _ON_A_STEP(value)


def _step_fits(found: dict) -> None:
    if not any(role in found for role in STEP_ROLES):
        raise Wrong(("", None, f"a step needs a file: one of {', '.join(STEP_ROLES)}"))
    if "dic" in found and "gradient" in found:
        raise Wrong((".gradient", None, "a step has either a dic or a gradient"))
    for key, role in _ROLE_OF.items():
        if key in found and role not in found:
            raise Wrong((f".{key}", None, f"this is for a step with {role}"))
    for key, role in (("dic_to_ebsd", "dic"), ("map_to_ebsd", "ebsd")):
        if key in found.get("registration", {}) and role not in found:
            raise Wrong((f".registration.{key}", None, f"this is for a step with {role}"))


def _registers(key: str, role: str) -> dict:
    has = {"properties": {"registration": {"required": [key]}}, "required": ["registration"]}
    return {"if": has, "then": {"required": [role]}}


_STEP = mapping(
    {
        "strain": Key(number(0, 1), "its amount as a fraction; steps ascend in it", REQUIRED, "0.02"),
        "name": Key(
            _STEP_NAME, "letters, digits, . _ - % and blanks; left out: step 1, step 2, ...", example="2 %"
        ),
        "ebsd": Key(file_entry, "a map of this state"),
        "dic": Key(file_entry, "a displacement field of this state"),
        "gradient": Key(file_entry, "a displacement gradient on the points of files.ebsd, in place of a dic"),
        "y_axis": Key(choice("down", "up"), "which way y of the gradient is counted", "down"),
        "frame": Key(frame, "as of the data set, for the map of this state; left out: the same"),
        "reading": Key(reading, "as of the data set, for the map of this state; left out: the same"),
        "registration": Key(
            Rule(_step_registration, _ON_A_STEP.json, _ON_A_STEP.words, _ON_A_STEP.keys),
            "as of the data set, without images; and map_to_ebsd; left out: the same",
        ),
    },
    also=_step_fits,
    json={
        "anyOf": [{"required": [role]} for role in STEP_ROLES],
        "not": {"required": ["dic", "gradient"]},
        "dependentRequired": {key: [role] for key, role in _ROLE_OF.items()},
        "allOf": [_registers("dic_to_ebsd", "dic"), _registers("map_to_ebsd", "ebsd")],
    },
)
_SOME_STEPS = list_of(_STEP)


def _steps(value: object) -> list[dict]:
    if value is None:
        return []
    found = _SOME_STEPS(value)
    for n, step in enumerate(found):
        if n and step["strain"] <= found[n - 1]["strain"]:
            before = found[n - 1]["strain"]
            reason = f"strains of the steps ascend, and the one before has {before:g}"
            raise Wrong((f"[{n}].strain", step["strain"], reason))
        step.setdefault("name", f"step {n + 1}")
    for n, step in enumerate(found):
        if step["name"] in [other["name"] for other in found[:n]] or step["name"] == MAIN_STATE:
            raise Wrong((f"[{n}].name", step["name"], f"names differ, and {MAIN_STATE!r} is files.ebsd"))
    return found


steps = Rule(_steps, {**_SOME_STEPS.json, "type": ["array", "null"]}, _SOME_STEPS.words, _SOME_STEPS.keys)
"""Further states of the specimen: each with a file, strains that ascend, names that differ."""

# ---- the microscope of ECCI pictures


def _angle(value: object) -> str | float:
    return _AXIS_NAME(value) if isinstance(value, str) else _AXIS_ANGLE_DEG(value)


def _share(value: object) -> str | float:
    return _AUTO(value) if isinstance(value, str) else _SHARE(value)


_AXIS_NAME, _AXIS_ANGLE_DEG = choice("x", "y"), number(-360, 360)
_AUTO, _SHARE = choice("auto"), number(0, 0.6)
tilt_axis = Rule(
    _angle, {"anyOf": [_AXIS_NAME.json, _AXIS_ANGLE_DEG.json]}, "`x`, `y`, or degrees on the screen from x"
)
wrong_share = Rule(_share, {"anyOf": [_AUTO.json, _SHARE.json]}, "`auto`, or number from 0 to 0.6")
_LIMITS = replace(list_of(number(-360, 360), 2, exactly=2), words="2 numbers")


def _stage_fits(found: dict) -> None:
    is_rotation = found["kind"] == "rotation-tilt"
    senses = ("counterclockwise", "clockwise") if is_rotation else ("right", "left")
    if found.get("second_sense", senses[0]) not in senses:
        raise Wrong(
            (".second_sense", found["second_sense"], f"of a {found['kind']} stage: {' or '.join(senses)}")
        )
    for key in ("tilt_limits_deg", "second_limits_deg"):
        if key in found and found[key][0] >= found[key][1]:
            raise Wrong((f".{key}", found[key], "write the lowest value first"))


_STAGE = {
    "kind": Key(
        choice("rotation-tilt", "double-tilt"),
        "a rotation about the specimen's normal on a tilt, or two tilts",
        "rotation-tilt",
    ),
    "tilt_axis": Key(
        tilt_axis, "of the (first) tilt, fixed to the chamber, on the map at offset_deg", "x", "y"
    ),
    "tilt_sense": Key(
        choice("right", "left"),
        "right-handed about its axis: with axis x, positive tilt takes the lower edge of the picture away "
        "from the gun",
        "right",
    ),
    "second_sense": Key(
        choice("counterclockwise", "clockwise", "right", "left"),
        "of the rotation, as seen on the screen, or of the second tilt about the axis across the first; left "
        "out: counterclockwise, or right",
    ),
    "offset_deg": Key(
        number(-360, 360), "what the second motion reads when the specimen lies as on the map", 0.0
    ),
    "tilt_limits_deg": Key(
        _LIMITS,
        "lowest and highest tilt; left out: -5 to 20, or -15 to 15 of a double tilt",
        example="[0, 30]",
    ),
    "second_limits_deg": Key(
        _LIMITS, "of the second motion; left out: -180 to 180, or -15 to 15", example="[-90, 90]"
    ),
}
stage = mapping(_STAGE, also=_stage_fits, fill=True)

_MICROSCOPE = {
    "kv": Key(number(1, 300), "accelerating voltage, kV", REQUIRED, "20"),
    "stage": Key(
        stage,
        "how it moves, and which way it counts: " + ", ".join(f"`{name}`" for name in _STAGE),
        {name: key.default for name, key in _STAGE.items() if key.default is not None},
        "{kind: rotation-tilt, tilt_axis: x}",
    ),
    "tolerance_deg": Key(
        number(0.01, 5), "largest deviation from Bragg of a reflection that counts as excited", 0.5
    ),
    "visible_depth_um": Key(number(0.01, 2), "depth of the layer that shows lines", 0.1),
    "wrong": Key(
        wrong_share,
        "share of wrong records; auto: found from the records, where there are 30 lines or more, else 0.1",
        "auto",
        "0.05",
    ),
}
microscope = mapping(_MICROSCOPE, fill=True)

# ---- the whole

SCHEMA: dict[str, Key] = {
    "name": Key(
        pattern(
            "[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", "letters, digits, '.', '_' and '-', not starting with '.'"
        ),
        "letters, digits, . _ -; results are put into folders of this name",
        REQUIRED,
        "my-magnesium",
    ),
    "title": Key(text, "one line: what it is", REQUIRED, "AZ31 magnesium, 3 % compression"),
    "citation": Key(text, "whom to cite", REQUIRED, "unpublished"),
    "licence": Key(text, "who may use the data", REQUIRED, "CC-BY-4.0"),
    "virtual": Key(boolean, "true for a simulated specimen", False),
    "note": Key(free_text, "what a reader has to know", ""),
    "files": Key(
        files,
        "paths inside the folder of the description, keys of the catalogue (set, slash, file), or "
        "`$CPML_REFERENCE/...` for reference material; ebsd or images is needed",
        REQUIRED,
        "{ebsd: map.ctf}",
    ),
    "phases": Key(
        phases,
        "phases of the map; needed with files.ebsd. The first with a material is modelled first; a phase of "
        "the map that is not listed is kept in the map and left out of the mechanics",
        [],
        "[{name: Nickel, lattice: fcc, material: nickel}]",
    ),
    "reading": Key(reading, "what the map's file does not say, or says wrongly", {}, "{slice: 0}"),
    "frame": Key(frame, "of the Euler angles", {}, "{euler_to_sample: x180}"),
    "load": Key(
        load, "the macroscopic load of the specimen", REQUIRED, "{kind: tension, axis: x, strain: 0.05}"
    ),
    "surface": Key(
        choice("free", "section"),
        "what the map's plane was while the specimen deformed; free: its surface, observed during the test "
        "or polished before it; section: inside the bulk, cut afterwards; left out: nobody said",
        example="free",
    ),
    "cleaning": Key(cleaning, "off unless asked for; every change is counted", {}, "{min_confidence: 0.05}"),
    "segmentation": Key(
        segmentation,
        "how the map is cut into grains",
        {name: key.default for name, key in _SEGMENTATION.items()},
        "{threshold: 5.0, min_pixels: 5}",
    ),
    "labels": Key(labels, "which footprints become labels", {}, "{twins: auto}"),
    "registration": Key(registration, "which point of fields and images is which point of the map", {}),
    "microscope": Key(
        microscope, "of the ECCI pictures; needed with files.ecci", {}, "{kv: 20, stage: {tilt_axis: y}}"
    ),
    "steps": Key(
        steps, "further states of the specimen, ascending in strain", [], "[{strain: 0.02, ebsd: later.ctf}]"
    ),
}
CONDITIONS: dict[str, Any] = {
    "allOf": [
        {
            "if": {"properties": {"files": {"required": ["ebsd"]}}, "required": ["files"]},
            "then": {"required": ["phases"], "properties": {"phases": {"type": "array"}}},
            "else": {"properties": {"steps": {"maxItems": 0}}},
        },
        {
            "if": {"properties": {"files": {"required": ["truth"]}}, "required": ["files"]},
            "then": {"required": ["virtual"], "properties": {"virtual": {"const": True}}},
        },
        {
            "if": {"properties": {"files": {"required": ["ecci"]}}, "required": ["files"]},
            "then": {"required": ["microscope"]},
        },
    ]
}
"""Conditions between the keys, as JSON schema."""


def check(values: dict, path: Path) -> dict:
    """The complete, checked content of a dataset.yml; DatasetError names the first thing that is wrong."""
    found, wrong = checked(values, path)
    if wrong:
        raise wrong[0]
    return found


def checked(values: dict, path: Path) -> tuple[dict[str, Any], list[DatasetError]]:
    """The keys of a dataset.yml that are right, as they are used, and an error for every mistake."""
    found, wrong = gather(SCHEMA, values, fill=True)
    if "files" in found:
        mapped, listed = "ebsd" in found["files"], found.get("phases", True)
        if mapped and not listed:
            wrong.append((".phases", None, "this key is missing: the phases of the map"))
        if found.get("steps") and not mapped:
            wrong.append((".files.ebsd", None, "this key is missing: steps are followed from a map"))
        if "ecci" in found["files"] and not found.get("microscope", True):
            wrong.append((".microscope", None, "this key is missing: voltage and stage of the ECCI pictures"))
        if "truth" in found["files"] and not found.get("virtual", True):
            reason = "a data set with a truth file is a virtual one: write virtual: true"
            wrong.append((".virtual", False, reason))
    return found, [field_error(path, key.removeprefix("."), value, reason) for key, value, reason in wrong]


def field_error(path: Path, key: str, value: object, reason: str) -> DatasetError:
    """The error for one key of a description; a value of None is not shown."""
    shown = "" if value is None else f"{_short(value)}: "
    return DatasetError(f"{path}: {key}: {shown}{reason}")


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."
