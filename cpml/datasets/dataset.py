"""What a data set is: `data/<name>/dataset.yml`, read, checked and resolved to absolute files.

Every mistake in the description is one DatasetError that names the file, the key and the value, and says what
would be right. What is accepted is in cpml.datasets.schema.

A file is named by a path inside the folder of its dataset.yml, by a catalogue key ("mg-twins/twins.ctf"), or
by "$CPML_REFERENCE/<path>" for reference material; {path: ..., sha256: ...} has its checksum verified.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpml import paths
from cpml.datasets import catalogue
from cpml.datasets.schema import STEP_ROLES, checked, field_error
from cpml.errors import DatasetError, ParameterError
from cpml.load import Load
from cpml.safe_yaml import read_yaml

if TYPE_CHECKING:
    import pandas as pd

    from cpml.crystallography.materials import Material
    from cpml.crystallography.slip_systems import Systems

REFERENCE = "$CPML_REFERENCE/"

# what a notebook or one of its cells may need -> what is said of a data set without it, and how to tell
HAS: dict[str, tuple[str, Callable[[Dataset], bool]]] = {
    "map": ("no EBSD map", lambda d: "ebsd" in d.files),
    "images": ("no images", lambda d: "images" in d.files),
    "registered-image": ("no image registered to the map", lambda d: d.has_registered_image),
    "dic": ("no HR-DIC field", lambda d: "dic" in d.files),
    "lines": ("no slip traces, HR-DIC field or image to see lines in", lambda d: d.shows_lines),
    "boundary-evidence": (
        "neither lines nor a table of boundaries to see slip at boundaries in",
        lambda d: d.shows_lines or "boundaries" in d.files,
    ),
    "hexagonal": ("no hexagonal phase", lambda d: "hcp" in d.lattices),
    "cubic": ("no cubic phase", lambda d: bool(d.lattices & {"fcc", "bcc"})),
    "twins": ("no twins are looked for in the map", lambda d: "hcp" in d.lattices and d.looks_for_twins),
    "load": ("the load is unknown", lambda d: d.load is not None),
    "assumed-load": ("the load is recorded", lambda d: d.load is not None and d.load.is_assumed_axis),
    "ecci": ("no dislocation lines seen by ECCI", lambda d: "ecci" in d.files),
    "curve": ("no stress-strain curve", lambda d: "curve" in d.files),
    "diffusion": (
        "the material file has no self-diffusion",
        lambda d: bool(d.modelled) and bool(d.material().diffusion),
    ),
    "glide": (
        "the material file has no glide over temperature",
        lambda d: bool(d.modelled) and bool(d.material().glide),
    ),
    "law": ("no phase has a material", lambda d: bool(d.modelled)),
    "truth": ("no hidden truth", lambda d: "truth" in d.files),
    "steps": ("no strain steps", lambda d: bool(d.steps)),
    "step-maps": ("no maps of strain steps", lambda d: any("ebsd" in s.files for s in d.steps)),
    "step-fields": ("no fields of strain steps", lambda d: any(s.has_field for s in d.steps)),
    "grain-strains": (
        "no field of displacements",
        lambda d: "dic" in d.files or any(s.has_field for s in d.steps),
    ),
    "motions": (
        "neither rotations nor strains of the grains",
        lambda d: d.has("step-maps") or d.has("grain-strains"),
    ),
}

RESERVED = {
    "comparison": "is where data sets are compared",
    "raw": "is where public data is kept",
    "derived": "is where results are kept",
    "demo": "is the data set that comes with cpml",
}
"""Names whose folders belong to something else, and to what."""
_SURFACES = {
    "free": "free while the specimen deformed",
    "section": "a section, cut afterwards",
    None: "not declared",
}


@dataclass(frozen=True)
class PhaseSpec:
    """One phase of the map: its name there, its lattice, the material file of its slip
    systems and strengths.
    """

    name: str
    lattice: str  # fcc, bcc, hcp, or other: kept in the map, left out of the mechanics
    material: str | None = None  # name in cpml/crystallography/materials, or absolute path of a .yml
    hex_x_axis: str | None = None  # a or a*: what the file's Euler angles mean by X
    number: int | None = None  # in the map; None: every phase of this name

    @property
    def has_law(self) -> bool:
        """Whether slip systems and strengths are known, so that the mechanics take it."""
        return self.material is not None


@dataclass(frozen=True)
class StrainStep:
    """A further state of the specimen, earlier or later than the main map."""

    name: str
    strain: float  # applied, as a fraction
    files: dict[str, Path]  # ebsd, dic, gradient -> absolute path
    frame: dict | None = None  # None: that of the data set
    reading: dict | None = None
    registration: dict = field(default_factory=dict)
    y_axis: str = "down"  # of a gradient file

    @property
    def has_field(self) -> bool:
        """Whether it has displacements or their gradient."""
        return "dic" in self.files or "gradient" in self.files


@dataclass(frozen=True, eq=False)
class Dataset:
    """A checked data set. Angles are in degrees, as they are shown and written in dataset.yml."""

    name: str
    title: str
    citation: str
    licence: str
    virtual: bool
    files: dict[str, Path | list[Path]]  # role -> absolute path; images: a list
    phases: list[PhaseSpec]
    load: Load | None  # None: unknown
    reading: dict = field(default_factory=dict)
    frame: dict = field(default_factory=dict)
    cleaning: dict = field(default_factory=dict)
    segmentation: dict = field(default_factory=dict)
    labels: dict = field(default_factory=dict)
    registration: dict = field(default_factory=dict)
    microscope: dict = field(default_factory=dict)  # of ECCI pictures
    surface: str | None = None  # "free" while the specimen deformed, or a "section", cut afterwards
    note: str = ""
    path: Path = Path()  # the dataset.yml
    steps: tuple[StrainStep, ...] = ()  # in order of strain
    tag: str = ""  # of the run that is meant; "": the one with the default parameters

    @property
    def run_name(self) -> str:
        """Name of the folders of its results: `<name>`, or `<name>@<tag>`."""
        return f"{self.name}@{self.tag}" if self.tag else self.name

    @property
    def folder(self) -> Path:
        """Folder of the dataset.yml."""
        return self.path.parent

    @property
    def kind(self) -> str:
        """What a reader has to know first: is this measured?"""
        return "virtual specimen" if self.virtual else "measured data"

    @property
    def caption(self) -> str:
        """One line for every figure, e.g. 'measured data; load: compression || x (assumed)'."""
        if self.load is None:
            return f"{self.kind}; load unknown"
        return f"{self.kind}; load: {self.load.label}" if self.load.assumed else self.kind

    @property
    def free_surface(self) -> bool | None:
        """Whether the map was a free surface while the specimen deformed; None: nobody said."""
        return None if self.surface is None else self.surface == "free"

    @property
    def lattices(self) -> set[str]:
        """Lattices of the declared phases."""
        return {phase.lattice for phase in self.phases}

    @property
    def has_registered_image(self) -> bool:
        """Whether an image is laid over the map."""
        return "images" in self.files and "image_to_ebsd" in self.registration

    @property
    def looks_for_twins(self) -> bool:
        """Whether twins are to be found in the map; with `labels: twins: manual` or none they are not."""
        return self.labels.get("twins") not in ("manual", "none")

    def uses(self, source: str) -> bool:
        """Whether lines of a source become labels: "dic" and "ecci" unless `labels` says
        none, "images" with `images: auto`.
        """
        how = self.labels.get(source, "none" if source == "images" else "auto")
        return how == "auto" if source == "images" else how != "none"

    @property
    def shows_lines(self) -> bool:
        """Whether lines on the surface become traces: drawn ones, bands of a DIC field, lines of an image."""
        from_dic = "dic" in self.files and self.uses("dic")
        from_image = self.has_registered_image and self.uses("images")
        return "traces" in self.files or from_dic or from_image

    def has(self, what: str) -> bool:
        """Whether there is what a notebook needs, a word of `HAS`: judged by the description,
        not by results.
        """
        return HAS[what][1](self)

    def at(self, step: StrainStep) -> Dataset:
        """The data set with the files, frame and registration of a step in place of its own."""
        # a unit belongs to the points beside it
        lost = ("ebsd_unit",) if "dic_to_ebsd" in step.registration else ()
        own = {key: value for key, value in self.registration.items() if key not in lost}
        return replace(
            self,
            files={role: path for role, path in step.files.items() if role != "gradient"},
            frame=self.frame if step.frame is None else step.frame,
            reading=self.reading if step.reading is None else step.reading,
            registration=own | step.registration,
            steps=(),
        )

    @property
    def modelled(self) -> list[PhaseSpec]:
        """The declared phases that have a law, in order; the mechanics take each of them."""
        return [phase for phase in self.phases if phase.has_law]

    def phase(self, name: str = "") -> PhaseSpec:
        """A modelled phase by its name; "": the first.

        Raises
        ------
        DatasetError : no phase has a law
        ParameterError : no modelled phase of this name
        """
        if not self.modelled:
            raise field_error(self.path, "phases", None, "no phase has a material: no slip systems")
        names = [phase.name for phase in self.modelled]
        if name and name not in names:
            raise ParameterError(f"{self.path}: no modelled phase {name!r}; there are {', '.join(names)}")
        return self.modelled[names.index(name) if name else 0]

    def of_phase(self, name: str = "") -> Dataset:
        """The same data set with a modelled phase put first: the one that the mechanics are about."""
        if not name or not self.modelled:
            return self
        first = self.phase(name)
        return replace(self, phases=[first, *(phase for phase in self.phases if phase != first)])

    def material(self, phase: str = "") -> Material:
        """Material of a modelled phase; "": of the first."""
        from cpml.crystallography.materials import load_material

        material = self.phase(phase).material
        assert material is not None  # a modelled phase has one
        return load_material(material)

    def systems(self, phase: str = "") -> Systems:
        """Slip and twin systems of a modelled phase (`cpml.crystallography.Systems`); "": of the first."""
        return self.material(phase).systems()

    def facts(self) -> pd.DataFrame:
        """What is declared, as a table of two columns to look at."""
        import pandas as pd

        phases = "; ".join(
            f"{p.name} "
            f"({p.lattice}{f', X along {p.hex_x_axis}' if p.hex_x_axis else ''}), "
            f"{f'material {p.material}' if p.has_law else 'no law'}"
            for p in self.phases
        )
        load = (
            "unknown"
            if self.load is None
            else self.load.label + (f" ({self.load.note})" if self.load.note else "")
        )
        files = "; ".join(
            f"{role}: {v.name if isinstance(v, Path) else ', '.join(p.name for p in v)}"
            for role, v in self.files.items()
        )
        of_map = {
            "phases": phases,
            "Euler frame to sample": self.frame.get("euler_to_sample", "not declared"),
            "load": load,
            "surface": _SURFACES[self.surface],
            **(
                {"cleaning": ", ".join(f"{k} {v:g}" for k, v in self.cleaning.items())}
                if self.cleaning
                else {}
            ),
            "segmentation": ", ".join(f"{k} {_shown(v)}" for k, v in self.segmentation.items()),
            **({"steps": "; ".join(map(_shown_step, self.steps))} if self.steps else {}),
        }
        facts = {
            "title": self.title,
            "data": self.kind,
            "files": files,
            **(of_map if "ebsd" in self.files else {"load": load}),
            "note": self.note.strip() or "-",
            "citation": self.citation,
            "licence": self.licence,
        }
        return pd.DataFrame({"value": facts}).rename_axis("declared")

    def inputs(self) -> dict[str, Path]:
        """Every file that the results depend on, by a name that does not depend on the machine."""
        found = {"dataset.yml": self.path}
        of_steps = {f"{step.name}: {role}": path for step in self.steps for role, path in step.files.items()}
        for role, value in (self.files | of_steps).items():
            several = value if isinstance(value, list) else [value]
            for number, path in enumerate(several):
                label = f"{role}[{number}]" if isinstance(value, list) else role
                found[f"{label}: {path.name}"] = path
                pair = path.with_suffix(".cpr")
                if path.suffix == ".crc" and pair.is_file():
                    found[f"{label}: {pair.name}"] = pair
        for phase in self.phases:
            if phase.material is not None and os.path.isabs(phase.material):
                found[f"material: {Path(phase.material).name}"] = Path(phase.material)
        return found


def load_dataset(name_or_path: str | Path) -> Dataset:
    """Data set by name (a folder in data/ or CPML_DATA), or by the path of a dataset.yml or of its folder.

    `@<tag>` behind either means one of its runs, e.g. "demo@seed-1".

    Raises
    ------
    DatasetError : unknown name, unknown key, missing file, wrong checksum, impossible value, reserved name
    """
    name_or_path, tag = split_tag(name_or_path)
    dataset, wrong = _loaded(find_description(name_or_path))
    if dataset is None:
        raise wrong[0]
    return replace(dataset, tag=tag)


def mistakes(name_or_path: str | Path) -> list[DatasetError]:
    """All that is wrong with a description, of which `load_dataset` names the first thing.

    Raises
    ------
    DatasetError : unknown name
    """
    return _loaded(find_description(name_or_path))[1]


def _loaded(path: Path) -> tuple[Dataset | None, list[DatasetError]]:
    """The data set of a description, or None and its mistakes."""
    try:
        values, wrong = checked(read_yaml(path), path)
    except DatasetError as error:
        return None, [error]

    def tried(make: Callable, *given: Any) -> Any:
        try:
            return make(*given)
        except DatasetError as error:
            wrong.append(error)

    phases = [tried(_phase, path, n, entry) for n, entry in enumerate(values.pop("phases", ()))]
    files = {role: tried(_resolve_role, path, role, f) for role, f in values.pop("files", {}).items()}
    steps = tuple(tried(_step, path, n, entry) for n, entry in enumerate(values.pop("steps", ())))
    load = tried(_load, path, values.pop("load", "unknown"))
    tried(_check_not_reserved, path, values.get("name", ""))
    if wrong:
        return None, wrong
    return Dataset(**values, files=files, phases=phases, load=load, path=path, steps=steps), []


def _load(path: Path, value: str | dict) -> Load | None:
    """The load; None where it is unknown."""
    try:
        return Load.from_dict(value) if isinstance(value, dict) else None
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None


def split_tag(name_or_path: str | Path) -> tuple[str | Path, str]:
    """("demo", "seed-1") of "demo@seed-1"; ("demo", "") of "demo". A file or folder that exists has no tag.

    Raises
    ------
    DatasetError : a tag that cannot be part of a folder's name
    """
    text = os.fspath(name_or_path)
    before, at, tag = text.rpartition("@")
    is_path = any(mark in text for mark in ("/", "\\"))
    if not at or any(mark in tag for mark in ("/", "\\")) or (is_path and Path(text).expanduser().exists()):
        return name_or_path, ""
    return type(name_or_path)(before), paths.safe_name(tag, what="tag of a run")


def _check_not_reserved(path: Path, name: str) -> None:
    """Refuse a name whose folders of results belong to something else."""
    here = paths.checkout()
    shipped = here and (here / "data" / "demo" / "dataset.yml").resolve()
    if name.lower() in RESERVED and not (name == "demo" and path == shipped):
        raise field_error(path, "name", name, f"{RESERVED[name.lower()]}: choose another name")


def available() -> list[str]:
    """Names of the data sets in data/ and in the folders of CPML_DATA."""
    return sorted(
        {path.parent.name for folder in paths.data_folders() for path in folder.glob("*/dataset.yml")}
    )


def left_out(name: str) -> str:
    """Why a run over all data sets leaves this one out, or '' where nothing speaks against it."""
    if paths.from_environment("CPML_REFERENCE") is not None:
        return ""
    text = find_description(split_tag(name)[0]).read_text(encoding="utf-8")
    return "it needs reference material: set CPML_REFERENCE to its folder" if REFERENCE in text else ""


def find_description(name_or_path: str | Path) -> Path:
    """Absolute path of the dataset.yml that a name or a path means."""
    text = os.fspath(name_or_path)
    marks = any(mark in text for mark in ("/", "\\")) or text.endswith(".yml") or text in (".", "..")
    is_path = isinstance(name_or_path, Path) or marks
    if is_path:
        path = Path(text).expanduser().resolve()
        path = path / "dataset.yml" if path.is_dir() else path
        if not path.is_file():
            raise DatasetError(f"{path}: there is no such dataset.yml")
        return path
    places = [folder / paths.safe_name(text) / "dataset.yml" for folder in paths.data_folders()]
    found = [path for path in places if path.is_file()]
    if not found:
        paths.root()  # without a checkout its error says how to get one
        raise _unknown(text)
    if len(found) > 1:
        raise DatasetError(
            f"data set {text!r} is in {' and in '.join(str(path.parent) for path in found)}: "
            "rename one of the folders (and its name: in dataset.yml), or give the path"
        )
    return found[0].resolve()


def _unknown(name: str) -> DatasetError:
    """The error for a name that no folder has, with all places that were looked in."""
    folders = [f"{path}{'' if path.is_dir() else ' (no such folder)'}" for path in paths.data_folders()]
    there = ", ".join(available()) or "none"
    here = f"; the folder here is ./{name}" if Path(name, "dataset.yml").is_file() else ""
    return DatasetError(
        f"no data set {name!r} in {' or '.join(folders)}: there are {there}; another one is named "
        f"by its path, or found where CPML_DATA names the folder around it{here}"
    )


def _phase(path: Path, number: int, entry: dict) -> PhaseSpec:
    """PhaseSpec with its material resolved: a name that exists, or a .yml inside the data set's folder."""
    key = f"phases[{number}]"
    if entry["lattice"] == "other":
        return PhaseSpec(**entry)
    known = sorted(file.stem for file in (paths.PACKAGE / "crystallography" / "materials").glob("*.yml"))
    material = entry["material"]
    if material.endswith(".yml"):
        material = str(_resolve(path, f"{key}.material", material))
    elif known and material not in known:
        raise field_error(
            path, f"{key}.material", material, f"known: {', '.join(known)}, or a .yml of your own"
        )
    _check_lattice(path, key, entry["lattice"], material)
    return PhaseSpec(**{**entry, "material": material})


def _step(path: Path, number: int, entry: dict) -> StrainStep:
    """A step with its files resolved."""
    files = {r: _resolve(path, f"steps[{number}].{r}", entry.pop(r)) for r in STEP_ROLES if r in entry}
    return StrainStep(**entry, files=files)


def _shown_step(step: StrainStep) -> str:
    files = ", ".join(f"{role} {path.name}" for role, path in step.files.items())
    return f"{step.name} at strain {step.strain:g}: {files}"


def _check_lattice(path: Path, key: str, lattice: str, material: str) -> None:
    """Refuse a material of another lattice."""
    from cpml.crystallography.materials import load_material

    found = load_material(material)
    if found.lattice != lattice:
        raise field_error(
            path, f"{key}.material", material, f"is {found.lattice}, the phase is declared {lattice}"
        )


def _shown(value: float | dict) -> str:
    if isinstance(value, dict):
        return " and ".join(f"{v:g} ({k})" for k, v in value.items())
    return f"{value:g}"


def _resolve_role(path: Path, role: str, value: str | dict | list) -> Path | list[Path]:
    if isinstance(value, list):
        return [_resolve(path, f"files.{role}[{n}]", entry) for n, entry in enumerate(value)]
    return _resolve(path, f"files.{role}", value)


def _resolve(path: Path, key: str, value: str | dict) -> Path:
    """Absolute path of one named file, which exists and has the stated checksum."""
    name, checksum = (value["path"], value["sha256"]) if isinstance(value, dict) else (value, None)
    try:
        if name.startswith(REFERENCE):
            file = _reference(name)
        else:
            file = paths.inside(path.parent, name)
            if not file.is_file() and name in catalogue.names():
                file = catalogue.fetch(name)
    except DatasetError as error:
        raise field_error(path, key, name, str(error)) from None
    if not file.is_file():
        raise field_error(path, key, name, f"there is no file {file}, and the catalogue has no such key")
    if checksum is not None and catalogue.file_sha256(file) != checksum.lower():
        raise field_error(path, key, name, f"sha256 is {catalogue.file_sha256(file)}, not {checksum}")
    return file.absolute()


def _reference(name: str) -> Path:
    folder = paths.from_environment("CPML_REFERENCE")
    if folder is None:
        raise DatasetError("this data set needs reference material: set CPML_REFERENCE to its folder")
    return paths.inside(folder, name.removeprefix(REFERENCE))
