"""The text of a description as it is first written: facts of the file, and decisions marked for a person.

A mark is a comment that starts with DECIDE: what is to be decided, in one line; its alternatives stand below
it, and a value that is valid meanwhile. Whoever decides deletes it.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cpml import paths
from cpml.datasets.guess import fitting_materials, states_cell
from cpml.datasets.inventory import about_map
from cpml.datasets.schema_files import SCHEMA_FILE
from cpml.errors import ParameterError

if TYPE_CHECKING:
    from cpml.microscopy import MapPhase
    from cpml.microscopy.io.contents import MapContents

MARK = re.compile(r"^\s*#\s*DECIDE\b[ 0-9]*:?\s*(.*)$")
WIDTH = 100


def open_decisions(path: Path) -> list[tuple[int, str]]:
    """Lines of a description that wait for a decision: number of the line, what is to be decided."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(n, found[1]) for n, line in enumerate(lines, start=1) if (found := MARK.match(line))]


@dataclass
class Draft:
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

        told = f"{FORMATS[self.contents.format]}, {about_map(self.contents.map)}"
        self.found.append(f"{map_name}: {told}")
        blocks = [
            self._head(path),
            self._words(),
            self._files(map_name, told, further),
            self._phases(),
            self._reading(),
            self._frame(),
            self._load(),
            self._surface(),
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

    def _surface(self) -> str:
        if self.load == "unknown":
            return ""
        decide = self._decide(
            "surface: not declared",
            "free: the map was the specimen's surface while it deformed (in-situ, or polished before the "
            "test); section: it was cut afterwards",
        )
        return f"{decide}\n# surface: free"

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


def _schema_beside(path: Path) -> str:
    """Path of the JSON schema as seen from a description inside the checkout, "" outside of it."""
    root = paths.checkout()
    if root is None or not path.is_relative_to(root) or not (root / "docs" / SCHEMA_FILE).is_file():
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
