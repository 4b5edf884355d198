"""A first `dataset.yml` for a map: options checked, files read, all put in place or nothing.

What stands in it is in cpml.datasets.draft.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpml import paths
from cpml.datasets import inventory
from cpml.datasets.dataset import Dataset, PhaseSpec, available, find_description, load_dataset
from cpml.datasets.draft import Draft
from cpml.datasets.phases import described
from cpml.datasets.rules import Wrong
from cpml.datasets.schema import reading as reading_rule
from cpml.errors import CpmlError, DatasetError, ParameterError
from cpml.files import write_atomic
from cpml.load import KINDS, Load
from cpml.safe_yaml import read_value

if TYPE_CHECKING:
    from cpml.microscopy.io.contents import MapContents

GENERIC = {"map", "ebsd", "data", "scan", "export", "test", "demo", "comparison", "raw", "derived"}
"""Names of files that tell nothing, and words that are taken: the folder's name is used."""


@dataclass
class NewDescription:
    """A description that was written.

    Attributes
    ----------
    path : the dataset.yml
    found : lines about what the files say
    decisions : what is left to decide, one line each
    done : lines about files that were copied or linked
    """

    path: Path
    found: list[str] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)


def new_description(
    map_file: str | Path,
    *,
    name: str = "",
    load: str = "",
    folder: str | Path | None = None,
    link: bool = False,
    reading: str = "",
    materials: Sequence[str] = (),
    traces: str | Path = "",
    image: str | Path = "",
    dic: str | Path = "",
    curve: str | Path = "",
) -> NewDescription:
    """Write the dataset.yml of a map and say what was found in it.

    It lies beside the map, or in `folder`; files from elsewhere are copied there (linked, if asked for),
    since a description names files inside its folder. What exists is never overwritten, and what fails leaves
    nothing behind.

    Parameters
    ----------
    map_file : of any format that `cpml.microscopy.read_map` knows
    name : of the data set; "": by the name of the file or its folder
    load : "kind:axis[:strain[:rate[:temperature]]]", "unknown" or "" for a decision
    reading : options of `reading:` as in the file, e.g. "scan: Scan 2" or "unit: px, step_um: 0.5"
    materials : names of the materials of the phases, in order; those left out are guessed by name and cell
    traces, image, dic, curve : further files of the same area; "": none

    Raises
    ------
    DatasetError, MapFileError, ParameterError : a file that cannot be read, a description that is there
        already, a name that is taken, an option that means nothing
    """
    source = _existing(map_file)
    if source.suffix.lower() == ".cpr":
        source = _existing(source.with_suffix(".crc"))
    further = {"traces": traces, "image": image, "dic": dic, "curve": curve}
    extra = {role: _existing(path) for role, path in further.items() if path}
    target = (Path(folder).expanduser() if folder else source.parent).resolve()
    path = target / "dataset.yml"
    if path.exists():
        raise DatasetError(f"{path} exists and is not overwritten: name another folder by --folder")
    options = _reading(reading)
    named = list(materials)
    contents, options = _contents(source, options, named)
    draft = Draft(contents, options, named, _load(load))
    draft.name = _name(name, source, target)
    facts = {role: _about(role, file, contents) for role, file in extra.items()}
    content = draft.text(path, source.name, {role: (file.name, facts[role]) for role, file in extra.items()})
    done = _put(path, content, [source, *extra.values()], link=link)
    found = [*draft.found, *(f"{role} {extra[role].name}: {told}" for role, told in facts.items())]
    return NewDescription(path, found, draft.decisions, done)


def _contents(source: Path, options: dict, materials: list[str]) -> tuple[MapContents, dict]:
    """What the map says, and the options to read it with: of a text file also its columns and phases."""
    from cpml.microscopy.io import contents
    from cpml.microscopy.maps.frames import HEXAGONAL

    is_text = "columns" in options or not _is_known(source)
    if not is_text:
        found = contents.look_into(source, **options)
        if found.format == "cpml" and any(phase.group in HEXAGONAL for phase in found.map.phases.values()):
            raise DatasetError(
                f"{source}: a map that cpml wrote, whose hexagonal axis is no longer that of a microscope: "
                "describe the file that it was made from"
            )
        return found, options
    layout = contents.text_layout(source)
    if "columns" not in options and not layout.has_all:
        told = ", ".join(layout.columns)
        raise DatasetError(
            f"{source}: a table of {len(layout.columns)} columns whose heading does not name phi1, Phi, "
            f"phi2, x and y ({told}): give --reading 'columns: [phi1, Phi, phi2, x, y, phase]', all columns"
        )
    columns = options.get("columns") or list(layout.columns)
    numbers = options.get("phase_numbers") or contents.phase_numbers(source, layout, columns)
    if len(materials) != len(numbers):
        raise DatasetError(
            f"{source}: a text file does not describe its phases: give --material with {len(numbers)} of the "
            f"materials, for the phase numbers {', '.join(map(str, numbers))} in this order"
        )
    from cpml.crystallography.materials import load_material

    chosen = [load_material(name) for name in materials]
    phases = [described(PhaseSpec(m.name, m.lattice, m.name)) for m in chosen]
    used = {key: value for key, value in options.items() if key != "phase_numbers"} | {"columns": columns}
    listed = dict(zip(numbers, phases, strict=True))
    read = contents.look_into(source, **used, phases=listed)
    if "angles" not in used and any(note.endswith("radians?") for note in read.map.frame_note):
        used["angles"] = "radians"
        read = contents.look_into(source, **used, phases=listed)
    numbered = {} if numbers == list(range(1, len(numbers) + 1)) else {"phase_numbers": numbers}
    return read, used | {"angles": used.get("angles", "degrees")} | numbered


def _is_known(path: Path) -> bool:
    """Whether a map file is of a format with a header; an error of another kind is raised."""
    from cpml.microscopy.io.reading import format_of

    try:
        return bool(format_of(path))
    except CpmlError:
        if _is_binary(path):
            raise
        return False


def _is_binary(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be opened ({error.strerror})") from None
    return not start.strip() or b"\0" in start


def _about(role: str, path: Path, contents: MapContents) -> str:
    """What a further file holds; raises where it cannot be read."""
    looks = {
        "traces": inventory.about_traces,
        "image": inventory.about_image,
        "dic": inventory.about_dic,
        "curve": inventory.about_curve,
    }
    return looks[role](path, contents.map)


def _existing(path: str | Path) -> Path:
    found = Path(path).expanduser().absolute()
    if not found.is_file():
        raise DatasetError(f"{path}: there is no such file")
    return found


def _reading(text: str) -> dict:
    """Options of `reading:` as a person writes them, with or without braces."""
    if not text.strip():
        return {}
    whole = text if text.strip().startswith("{") else f"{{{text}}}"
    try:
        return reading_rule(read_value(whole, what="--reading"))
    except Wrong as wrong:
        key, value, reason = wrong.found[0]
        raise ParameterError(f"--reading{key}: {value!r}: {reason}") from None


def _load(text: str) -> str | dict | None:
    """A load from kind:axis[:strain[:rate[:temperature]]]; None where nothing is said."""
    if text in ("", "unknown"):
        return text or None
    kind, *rest = text.split(":")
    if kind not in KINDS[:2] and kind != "rolling":
        raise ParameterError(
            f"--load {text!r}: give kind:axis[:strain[:rate[:temperature]]] with tension, compression or "
            "rolling, e.g. tension:x:0.05, or unknown; shear and tensor are written in the file"
        )
    if not 1 <= len(rest) <= 4:
        raise ParameterError(f"--load {text!r}: an axis is needed, as in tension:x:0.05")
    axis = [_number(text, word) for word in rest[0].split(",")] if "," in rest[0] else rest[0]
    load: dict[str, Any] = {"kind": kind, "axis": axis}
    for key, word in zip(("strain", "rate", "temperature"), rest[1:], strict=False):
        load[key] = _number(text, word)
    try:
        Load.from_dict(load)
    except DatasetError as error:
        raise ParameterError(f"--load {text!r}: {error}") from None
    return load


def _number(text: str, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ParameterError(f"--load {text!r}: {word!r} is not a number") from None


def _name(given: str, source: Path, target: Path) -> str:
    """The name of the data set: as given, by the folder where that is found by its name, or by the file."""
    if given:
        name = paths.safe_name(given)
        if _is_taken(name, target):
            raise DatasetError(
                f"data set name {name!r} is taken by {find_description(name)}: give another by --name"
            )
        return name
    if target.parent in paths.data_folders() or _safe(source.stem).lower() in GENERIC:
        name = _safe(target.name)
    else:
        name = _safe(source.stem)
    name = f"{name}-map" if name.lower() in GENERIC else name or "my-map"
    candidates = (name, *(f"{name}-{k}" for k in range(2, 1000)))
    return next(candidate for candidate in candidates if not _is_taken(candidate, target))


def _is_taken(name: str, target: Path) -> bool:
    """Whether another data set is found by a name."""
    return name in available() and find_description(name).parent != target


def _safe(text: str) -> str:
    """A text in the letters that a name may have."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")[:60]


def _put(path: Path, content: str, files: list[Path], *, link: bool) -> list[str]:
    """Bring the files into the folder and write the description, all or nothing; what was done, in words."""
    folder = path.parent
    new_folders = [place for place in (folder, *folder.parents) if not place.exists()]
    made: list[Path] = []
    done: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in [part for found in files for part in _with_companions(found)]:
            inside = folder / file.name
            if file.resolve() == inside.resolve():
                continue
            if inside.exists():
                raise DatasetError(f"{inside} exists and is not overwritten: rename {file}")
            if link:
                inside.symlink_to(file.resolve())
            else:
                write_atomic(inside, lambda part, file=file: shutil.copyfile(file, part))
            made.append(inside)
            done.append(f"{'linked' if link else 'copied'} {file} into {folder} ({_size(file)})")
        write_atomic(path, lambda part: _checked(part, content))
    except BaseException as error:
        for file in made:
            file.unlink(missing_ok=True)
        for place in new_folders:  # the innermost first
            with suppress(OSError):
                place.rmdir()
        if isinstance(error, OSError):
            raise DatasetError(
                f"{path}: cannot be written ({error.strerror}): name a folder of your own by --folder"
            ) from error
        raise
    return done


def _size(file: Path) -> str:
    size = file.stat().st_size
    return f"{size / 1e6:.1f} MB" if size > 1e5 else f"{size / 1e3:.1f} kB"


def _checked(part: Path, content: str) -> Dataset:
    """Write a description and read it back: what is put in place is valid."""
    part.write_text(content, encoding="utf-8")
    try:
        return load_dataset(part)
    except DatasetError as error:
        raise DatasetError(str(error).replace(str(part), f"{part.parent}: the new description")) from error


def _with_companions(file: Path) -> list[Path]:
    """A file, with the header that belongs to an Oxford binary map."""
    pair = file.with_suffix(".cpr")
    return [file, pair] if file.suffix == ".crc" and pair.is_file() else [file]
