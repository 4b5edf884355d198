"""A first `dataset.yml` for a map: what its file says, and what a person has to decide, marked.

Every line comes from the file, or is a decision with its alternatives and a value that keeps the description
valid meanwhile. Marks are comments that start with DECIDE; who has decided deletes them (`open_decisions`).
"""

from __future__ import annotations

import re
import shutil
import textwrap
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cpml import paths
from cpml.datasets import inventory
from cpml.datasets.dataset import Dataset, PhaseSpec, available, find_description, load_dataset
from cpml.datasets.guess import fitting_materials, states_cell
from cpml.datasets.phases import described
from cpml.datasets.rules import Wrong
from cpml.datasets.schema import reading as reading_rule
from cpml.datasets.schema_files import SCHEMA_FILE
from cpml.errors import CpmlError, DatasetError, ParameterError
from cpml.files import write_atomic
from cpml.load import KINDS, Load
from cpml.safe_yaml import read_value

if TYPE_CHECKING:
    from cpml.microscopy import MapPhase
    from cpml.microscopy.io.contents import MapContents

MARK = re.compile(r"^\s*#\s*DECIDE\b[ 0-9]*:?\s*(.*)$")
WIDTH = 100
GENERIC = {"map", "ebsd", "data", "scan", "export", "test", "demo", "comparison", "raw", "derived"}
"""Names of files that tell nothing, and words that are taken: the folder's name is used."""
FURTHER = ("traces", "image", "dic", "curve")
"""Files that may be given beside the map."""


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
    **further: str,
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
    further : traces, image, dic, curve -> file

    Raises
    ------
    DatasetError, MapFileError, ParameterError : a file that cannot be read, a description that is there
        already, a name that is taken, an option that means nothing
    """
    source = _existing(map_file)
    if source.suffix.lower() == ".cpr":
        source = _existing(source.with_suffix(".crc"))
    extra = {role: _existing(path) for role, path in further.items() if path}
    target = (Path(folder).expanduser() if folder else source.parent).resolve()
    path = target / "dataset.yml"
    if path.exists():
        raise DatasetError(f"{path} exists and is not overwritten: name another folder by --folder")
    options = _reading(reading)
    named = list(materials)
    contents, options = _contents(source, options, named)
    draft = _Draft(contents, options, named, _load(load))
    draft.name = _name(name, source, target)
    facts = {role: _about(role, file, contents) for role, file in extra.items()}
    content = draft.text(path, source.name, {role: (file.name, facts[role]) for role, file in extra.items()})
    done = _put(path, content, [source, *extra.values()], link=link)
    found = [*draft.found, *(f"{role} {extra[role].name}: {told}" for role, told in facts.items())]
    return NewDescription(path, found, draft.decisions, done)


def open_decisions(path: Path) -> list[tuple[int, str]]:
    """Lines of a description that wait for a decision: number of the line, what is to be decided."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(n, found[1]) for n, line in enumerate(lines, start=1) if (found := MARK.match(line))]


@dataclass
class _Draft:
    """The text of a description as it grows, with what was found and what is left to decide."""

    contents: MapContents
    reading: dict[str, Any]
    materials: list[str]
    load: str | dict | None  # None: to be decided
    name: str = ""
    found: list[str] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)

    def text(self, path: Path, map_name: str, further: dict[str, tuple[str, str]]) -> str:
        """The whole file; `further`: role -> name of the file and what is in it."""
        from cpml.microscopy.io.contents import FORMATS

        told = f"{FORMATS[self.contents.format]}, {inventory.about_map(self.contents.map)}"
        self.found.append(f"{map_name}: {told}")
        blocks = [
            self._head(path),
            self._words(),
            self._files(map_name, told, further),
            self._phases(),
            self._reading(),
            self._frame(),
            self._load(),
            *([self._registration(further)] if {"dic", "image"} & set(further) else []),
            self._rest(),
        ]
        return "\n\n".join(block for block in blocks if block) + "\n"

    def _decide(self, what: str, *lines: str) -> str:
        """Comment lines of a decision; `what` is its first line and stands in the list as well."""
        self.decisions.append(what)
        first = f"# DECIDE {len(self.decisions)}: {what}"  # in one line, as `open_decisions` reads it
        return "\n".join([first, *(_comment(line, inner="  ") for line in lines)])

    def _head(self, path: Path) -> str:
        schema = _schema_beside(path)
        return "\n".join(
            [
                *([f"# yaml-language-server: $schema={schema}"] if schema else []),
                "# Written from the map. A comment with DECIDE waits for a person, who deletes it; the value",
                '# below it is valid meanwhile. "From the file" is what the map\'s file says.',
                "# All keys: docs/dataset.md of cpml. Then: python3 tasks.py check <this folder>",
            ]
        )

    def _words(self) -> str:
        decide = self._decide(
            "title, citation, licence: what the specimen is and what was done to it, whom to cite, who may "
            "use the data"
        )
        words = {"name": self.name, "title": f"{self.name}, EBSD map"}
        words |= {"citation": "unpublished", "licence": "unpublished"}
        first, *rest = (f"{key}: {_value(word)}" for key, word in words.items())
        return "\n".join([first, decide, *rest])

    def _files(self, map_name: str, told: str, further: dict[str, tuple[str, str]]) -> str:
        lines = ["files:", _comment(f"from the file: {told}", indent="  "), f"  ebsd: {_value(map_name)}"]
        for role, (name, about) in further.items():
            lines.append(_comment(f"from the file: {about}", indent="  "))
            if role == "dic":  # a field that nothing lays on the map is no valid one
                lines.append(
                    f"  # dic: {_value(name)}      # take the # away when registration has its points"
                )
            else:
                lines.append(
                    f"  images: [{_value(name)}]" if role == "image" else f"  {role}: {_value(name)}"
                )
        return "\n".join(lines)

    def _phases(self) -> str:
        """Every phase that has points; one that the file only lists would be an error."""
        ebsd = self.contents.map
        points = {i: int((ebsd.phase_id == i).sum()) for i in ebsd.phases}
        there = [i for i, n in points.items() if n]
        unseen = [_plain(ebsd.phases[i].name) for i in ebsd.phases if not points[i]]
        lines = ["phases:"]
        names = [ebsd.phases[i].name for i in there]
        if len(self.materials) > len(there):
            raise ParameterError(f"{len(self.materials)} materials for {len(there)} phases with points")
        for k, i in enumerate(there):
            phase = ebsd.phases[i]
            own = self.materials[k] if k < len(self.materials) else ""
            share = f"{100 * points[i] / ebsd.n_pixels:.1f} % of the points"
            number = {"number": i} if names.count(phase.name) > 1 else {}
            lines += self._phase(phase, own, share, number)
        if unseen:
            lines.append(_comment(f"listed in the file, without a point: {', '.join(unseen)}", indent="  "))
        return "\n".join(lines)

    def _phase(self, phase: MapPhase, material: str, share: str, number: dict) -> list[str]:
        fitting = fitting_materials(phase)
        spec: dict[str, Any] = {"name": phase.name, "lattice": "other"} | number
        if material or fitting:
            from cpml.crystallography.materials import load_material

            chosen = load_material(material) if material else fitting[0]
            spec |= {"lattice": chosen.lattice, "material": chosen.name}
            if chosen.lattice == "hcp":
                spec["hex_x_axis"] = self.contents.usual_hex_x_axis or "a"
        cell = f"a = {phase.a:g}, c = {phase.c:g} Angstrom" if states_cell(phase) else "no cell"
        source = "of the material" if self.contents.format == "delimited" else "from the file"
        name = _plain(phase.name)
        lines = [_comment(f"{source}: {name}, point group {phase.group}, {cell}; {share}", indent="  ")]
        self.found.append(f"phase {name}: {share}, " + _as_words(spec))
        if not material:
            lines.append(textwrap.indent(self._material_decision(name, phase, fitting), "  "))
        if "hex_x_axis" in spec:
            lines.append(textwrap.indent(self._axis_decision(name), "  "))
        return [*lines, f"  - {_value(spec)}"]

    def _material_decision(self, name: str, phase: MapPhase, fitting: list) -> str:
        if fitting:
            others = ", ".join(m.name for m in fitting[1:])
            return self._decide(
                f"material of {name}: {fitting[0].name} by name and cell"
                + (f"; or {others}" if others else ""),
                "or the path of a .yml of your own beside this file (copy one from "
                "cpml/crystallography/materials); lattice: other (without material) leaves the phase out",
            )
        from cpml.crystallography.materials import material_names

        return self._decide(
            f"material of {name}: none fits its name and cell, so it is kept in the map and has no mechanics",
            f"or lattice: fcc, bcc or hcp with material: one of {', '.join(material_names())}, or the path "
            "of a .yml of your own beside this file; hcp also needs hex_x_axis",
        )

    def _axis_decision(self, name: str) -> str:
        usual = self.contents.usual_hex_x_axis or "a"
        other = "a" if usual == "a*" else "a*"
        return self._decide(
            f"hexagonal axis of {name}: {usual} is usual for this format; or {other}",
            "what the file's Euler angles call X: an installation choice of the microscope; with the wrong "
            "one no twin is found. `tasks.py check` tells where the map has twins or traces",
        )

    def _reading(self) -> str:
        scans, n = self.contents.scans, self.contents.n_slices
        options = dict(self.reading)
        lines = []
        if len(scans) > 1 and "scan" not in options:
            options = {"scan": scans[0]} | options
            others = ", ".join(_plain(s) for s in scans[1:])
            lines.append(self._decide(f"scan: {_plain(scans[0])} is read; the file also has {others}"))
        if n > 1 and "slice" not in options:
            options = {"slice": 0} | options
            lines.append(
                self._decide(f"slice: 0, the first of {n}, is read; or {'1' if n == 2 else f'1 to {n - 1}'}")
            )
        return "\n".join([*lines, f"reading: {_value(options)}"]) if options else ""

    def _frame(self) -> str:
        from cpml.microscopy.io.contents import USUAL_FRAMES

        if self.contents.format == "cpml":
            return ""
        usual = USUAL_FRAMES.get(self.contents.format, ())
        alternatives = ["declared"] if self.contents.states_turn else []
        alternatives += [*usual, "identity", *([] if "oxford" in usual else ["x180"])]
        lines = [
            "which way the axes of the Euler angles lie in the picture, a convention of the microscope. Left "
            "out it counts as not declared: they are taken as the pixel axes (x right, y down, z into) and "
            "every report says so. `tasks.py check` ranks all choices by twins and traces of the map",
        ]
        if self.contents.states_turn:
            lines.append(f"declared: as the file itself states, {self.contents.states_turn}")
        if usual:
            more = f" (then {', '.join(usual[1:])})" if len(usual) > 1 else ""
            lines.append(f"{usual[0]}: usual for files of this kind{more}; identity: the axes are the same")
        decide = self._decide("frame: not declared", *lines)
        shown = [f"# frame: {{euler_to_sample: {preset}}}" for preset in dict.fromkeys(alternatives)]
        acquisition = (
            ["# the file states angles of the acquisition surface: acquisition: apply turns by them first"]
            if self.contents.has_acquisition
            else []
        )
        return "\n".join([decide, *shown, *acquisition])

    def _load(self) -> str:
        if self.load is not None:
            return f"load: {_value(self.load)}"
        decide = self._decide(
            "load: unknown, so chapters of mechanics are left out",
            "kind tension, compression, rolling (axis), shear (axis, plane) or tensor; axis x (right), y "
            "(down), z (into) or [x, y, z]; strain a fraction; assumed: true where it is a guess",
        )
        return f"{decide}\n# load: {{kind: tension, axis: x, strain: 0.05}}\nload: unknown"

    def _registration(self, further: dict[str, tuple[str, str]]) -> str:
        roles = {"dic": "dic_to_ebsd", "image": "image_to_ebsd"}
        lines = [
            self._decide(
                f"registration of {' and '.join(further[role][0] for role in roles if role in further)}",
                "at least 3 points that are seen in both: [column, row there, column, row in the map], all "
                "from 0 at the upper left",
            )
        ]
        lines.append("# registration:")
        for role, key in roles.items():
            if role in further:
                lines.append(f"#   {key}: [[10, 12, 30, 40], [200, 15, 80, 41], [12, 180, 31, 95]]")
        return "\n".join(lines)

    def _rest(self) -> str:
        ebsd = self.contents.map
        lines = ["segmentation: {threshold: 5.0, min_pixels: 5}   # degrees; smaller fragments are no grains"]
        if "ci" in ebsd.properties and self.contents.format in ("ang", "edax", "h5ebsd"):
            lines.append(
                "# cleaning: {min_confidence: 0.05}    # points of a lower confidence index are left out"
            )
        if "mad" in ebsd.properties:
            lines.append("# cleaning: {max_mad_deg: 1.5}        # points of a larger deviation are left out")
        if ebsd.frame_note:
            lines += ["", "# what the reader notes:"]
            lines += [_comment(_plain(note), inner="- ") for note in ebsd.frame_note]
        return "\n".join(lines)


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

    found = [load_material(name) for name in materials]
    phases = [described(PhaseSpec(m.name, m.lattice, m.name)) for m in found]
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


def _schema_beside(path: Path) -> str:
    """Path of the JSON schema as seen from a description inside the checkout, "" outside of it."""
    schema, root = paths.root() / "docs" / SCHEMA_FILE, paths.root()
    if not schema.is_file() or not path.is_relative_to(root):
        return ""
    return "/".join([".."] * len(path.parent.relative_to(root).parts) + ["docs", SCHEMA_FILE])


def _value(value: Any) -> str:
    """A value in one line of YAML."""
    options = {"default_flow_style": True, "sort_keys": False, "width": 10_000}
    text = yaml.safe_dump(value, **options, allow_unicode=True).strip().removesuffix("...").strip()
    if text.isprintable():
        return text
    return yaml.safe_dump(value, **options).strip().removesuffix("...").strip()  # with escapes


def _as_words(spec: dict) -> str:
    if spec["lattice"] == "other":
        return "no law (lattice: other)"
    axis = f", X along {spec['hex_x_axis']}" if "hex_x_axis" in spec else ""
    return f"{spec['lattice']}{axis}, material {spec['material']}"


def _comment(text: str, *, indent: str = "", inner: str = "") -> str:
    """A text as comment lines: `indent` before the mark, `inner` behind it, from line 2 on as many blanks."""
    rest = " " * len(inner)
    lines = textwrap.wrap(text, WIDTH - len(indent) - 2, initial_indent=inner, subsequent_indent=rest)
    return "\n".join(f"{indent}# {line}" for line in lines)


def _plain(text: str) -> str:
    """A text from a file in one line that prints."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:500]
