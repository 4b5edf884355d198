"""The notebooks as steps of a chain: their order, parameters, what they need of a data set, what they write.

A parameters cell holds plain lines `name = literal`: papermill injects given values in a cell after
it, so a value computed there from another would keep the old one. A name that no notebook declares is
an error, not a silent default, and so is a value that the comment of its line does not allow ("one of a, b",
"from 1 to 9"). A notebook with a parameter `phase` is about one phase; of a map with several that have a law
it is executed once for each, the further ones as `NN_name_of_<phase>`.

What a notebook needs stands in its metadata, `{"cpml": {"needs": ["map", "load"]}}`; what a single cell
needs, in a tag "needs-traces". The words are those of `Dataset.has`, judged by the description, and of
`cpml.pipeline.found`, judged by what earlier notebooks wrote. The chain leaves out whole notebooks, and
single cells with the text about them, so that no cell asks what there is and no sentence speaks of a figure
that is not there.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpml import paths
from cpml.datasets.dataset import HAS, Dataset
from cpml.errors import CpmlError, ParameterError
from cpml.pipeline.found import FOUND
from cpml.safe_yaml import read_value

if TYPE_CHECKING:
    from nbformat import NotebookNode

PATTERN = "[0-9][0-9]*_*.ipynb"
NAME = re.compile(r"[0-9][0-9][a-z]?_[A-Za-z0-9_]+")
EXPLORING = "00_explore"  # a notebook to try things in, no step of the chain
COMPARISON = "07_comparison"  # data sets side by side, when they are done: no step of one of them
NEEDS = "needs-"  # tag of a cell
PHASE = "phase"  # parameter of a notebook that is about one phase
SPECIMEN = ("map", "pixels", "features", "boundaries", "labels", "traces", "candidates", "cp_baseline")
"""What `specimen_of` reads."""


@dataclass(frozen=True)
class Cell:
    """One cell as far as the chain looks at it."""

    kind: str  # "code", "markdown" or "raw"
    source: str
    tags: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """What it needs of a data set, by its tags."""
        return tuple(tag.removeprefix(NEEDS) for tag in self.tags if tag.startswith(NEEDS))


@dataclass(frozen=True)
class Limits:
    """Values that a parameter may have, as the comment behind it says: "one of a, b, c" or "from 1 to 9"."""

    choices: tuple[str, ...] = ()
    low: float = -inf
    high: float = inf

    @classmethod
    def of_comment(cls, comment: str) -> Limits | None:
        """What a comment says; None where it allows anything."""
        if found := re.search(r"\bone of (\w+(?:, \w+)*)", comment):
            return cls(choices=tuple(found.group(1).split(", ")))
        number = r"([-+]?[\d.]+(?:e[-+]?\d+)?)"
        if found := re.search(rf"\bfrom {number} to {number}\b", comment):
            return cls(low=float(found.group(1)), high=float(found.group(2)))
        return None

    def check(self, name: str, value: Any) -> None:
        """ParameterError for a value that is not allowed."""
        if self.choices and value not in self.choices:
            close = get_close_matches(str(value), self.choices, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ParameterError(
                f"parameter {name!r}: {value!r}; {hint}choose one of {', '.join(self.choices)}"
            )
        if not self.choices and not self.low <= value <= self.high:
            raise ParameterError(f"parameter {name!r}: {value!r} is not from {self.low:g} to {self.high:g}")


@dataclass(frozen=True)
class Step:
    """One notebook of the chain."""

    name: str
    path: Path
    cells: tuple[Cell, ...]
    needs: tuple[str, ...]  # of a data set
    defaults: dict[str, Any]  # parameter -> value
    phase: str = ""  # of a further phase: its name
    limits: dict[str, Limits] = field(default_factory=dict)  # parameter -> what its comment allows

    @property
    def is_of_a_phase(self) -> bool:
        """Whether it is about one phase: it has a parameter `phase`."""
        return PHASE in self.defaults

    @property
    def slug(self) -> str:
        """The further phase in letters that a file name may have; "" for the first phase."""
        return phase_slug(self.phase)

    @property
    def notebook_name(self) -> str:
        """Name of the notebook in notebooks/, whatever the phase."""
        return self.path.stem

    @property
    def number(self) -> str:
        """The chapter, e.g. "02a", of a further phase "03-ferrite": prefix of figures and tables."""
        return self.notebook_name.partition("_")[0] + (f"-{self.slug}" if self.slug else "")

    @property
    def title(self) -> str:
        """Its heading."""
        heading = self.cells[0].source.splitlines()[0].lstrip("# ")
        return f"{heading} ({self.phase})" if self.phase else heading

    @property
    def question(self) -> str:
        """What it asks, as its first cell says: **Question.** ..."""
        found = re.search(r"\*\*Question\.\*\*\s*(.*)", self.cells[0].source)
        return found.group(1).strip() if found else self.title

    @property
    def code(self) -> str:
        """All its code, without the lines for IPython alone."""
        cells = [cell.source for cell in self.cells if cell.kind == "code"]
        lines = "\n".join(cells).splitlines()
        return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))

    @property
    def reads(self) -> tuple[str, ...] | None:
        """Artefacts, as its first cell says them: **Reads** `a`, `b`; None where it does not say."""
        return self._said(r"\*\*Reads\*\*(.*?)(?:\*\*Writes\*\*|$)")

    @property
    def writes(self) -> tuple[str, ...] | None:
        """Artefacts, as its first cell says them: **Writes** `a`, `b`; None where it does not say."""
        return self._said(r"\*\*Writes\*\*(.*)")

    def _said(self, pattern: str) -> tuple[str, ...] | None:
        line = re.search(pattern, self.cells[0].source, re.MULTILINE)
        return tuple(re.findall(r"`(\w+)(?:\.\w+)?`", line.group(1))) if line else None

    @property
    def is_declared(self) -> bool:
        """Whether it says what it reads and what it writes."""
        return self.reads is not None and self.writes is not None

    def uses(self, artefact: str) -> bool:
        """Whether it reads an artefact of an earlier step, such as "derived/grains.parquet"."""
        folder, _, name = artefact.partition("/")
        return folder == "derived" and (self.reads is None or Path(name).stem in self.reads)

    def of_phase(self, phase: str) -> Step:
        """The same notebook about a further phase."""
        return replace(self, name=f"{self.notebook_name}_of_{phase_slug(phase)}", phase=phase)

    def owns(self, artefact: str, chain: list[Step]) -> bool:
        """Whether it wrote an artefact that is new; what no step owns belongs to one that does not say."""
        owners = [step.name for step in chain if step._is_named_by(artefact)]
        return self.name in owners if owners else not self.is_declared

    def _is_named_by(self, artefact: str) -> bool:
        folder, *between, name = artefact.split("/")
        is_listed = Path(name).stem in (self.writes or ())
        if folder == "derived":
            return is_listed and ((between == [self.slug]) if self.slug else not between)
        if between == ["tables"] and is_listed:
            return not self.slug
        return Path(name).stem == self.name or name.startswith(f"{self.number}_")

    def parameters(self, dataset: str, given: dict) -> dict:
        """Values for papermill: the data set, and of those given the ones that this step has."""
        own = {PHASE: self.phase} if self.phase else {}
        return {"dataset": dataset} | {n: value for n, value in given.items() if n in self.defaults} | own

    def cells_for(self, dataset: Dataset) -> list[int]:
        """Positions of the cells without those that need what the data set, or the phase, lacks."""
        missing = {need for cell in self.cells for need in cell.needs}
        missing = set(_lacks(dataset.of_phase(self.phase), missing))
        return [i for i, cell in enumerate(self.cells) if not missing.intersection(cell.needs)]

    def source_of(self, chosen: list[int]) -> str:
        """What these cells say and do: part of the key of the step."""
        return "\0".join(f"{self.cells[i].kind}\n{self.cells[i].source}" for i in chosen)

    def notebook(self, chosen: list[int] | None = None) -> NotebookNode:
        """The notebook of these cells, or of all, to execute."""
        import nbformat

        found = nbformat.read(self.path, as_version=4)
        if chosen is not None:
            found.cells = [found.cells[i] for i in chosen]
        return found


def discover() -> list[Step]:
    """The steps in order; ParameterError for a notebook without a usable parameters cell."""
    outside = (EXPLORING, COMPARISON)
    found = sorted(path for path in paths.notebooks().glob(PATTERN) if path.stem not in outside)
    if not found:
        raise CpmlError(
            f"no notebooks in {paths.notebooks()}: set CPML_ROOT to the checkout, or install with pip -e"
        )
    return [read_step(path) for path in found]


def lacking(step: Step, dataset: Dataset, *, found: bool = False) -> str:
    """What a data set lacks for a step, in words; "" where it has all.

    By its description or, with `found`, by what earlier notebooks wrote.
    """
    words = FOUND if found else HAS
    needs = [need for need in step.needs if need in words]
    return "; ".join(words[need][0] for need in _lacks(dataset.of_phase(step.phase), needs))


def comparison() -> Step:
    """The notebook that compares data sets; it is no step of the chain of one."""
    return read_step(paths.notebooks() / f"{COMPARISON}.ipynb")


@lru_cache(maxsize=1)
def writers() -> dict[str, str]:
    """Artefact -> the notebook that writes it."""
    return {artefact: step.name for step in discover() for artefact in step.writes or ()}


@lru_cache(maxsize=1)
def of_phases() -> frozenset[str]:
    """Artefacts that belong to one phase: those of the notebooks that are about a phase."""
    return frozenset(name for step in discover() if step.is_of_a_phase for name in step.writes or ())


def phase_slug(phase: str) -> str:
    """A phase's name in small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", phase.lower()).strip("-") or ("phase" if phase else "")


def with_further_phases(chain: list[Step], dataset: Dataset, only: str = "") -> list[Step]:
    """The steps, those about a phase once for each phase that has a law, or for the `only` one asked for."""
    names = [phase.name for phase in dataset.modelled] or [""]
    asked = [dataset.phase(only).name] if only else names
    found: list[Step] = []
    for step in chain:
        if not step.is_of_a_phase:
            found.append(step)
            continue
        found += [step if name == names[0] else step.of_phase(name) for name in asked]
    return found


def sources_of(step: Step, chain: list[Step]) -> set[str]:
    """Names of the earlier steps that one waits for: those that write what it reads.

    A step that does not say what it reads and writes waits for all before it, and all after it wait for it.
    """
    earlier = [
        other
        for other in chain
        if other.notebook_name < step.notebook_name
        and (other.phase == step.phase or not (other.is_of_a_phase and step.is_of_a_phase))
    ]
    return {
        other.name
        for other in earlier
        if not (step.is_declared and other.is_declared)
        or set(step.reads or ()).intersection(other.writes or ())
    }


def check_declared(chain: list[Step]) -> None:
    """ParameterError for a notebook whose code reads or writes an artefact that its first cell does not name.

    The order of the steps and their keys follow the first cells.
    """
    for step in chain:
        if not step.is_declared:
            continue
        reads, writes = _artefacts_in(step.code)
        known = set(step.reads or ()) | set(step.writes or ())
        for word, missing in (("Reads", reads - known), ("Writes", writes - set(step.writes or ()))):
            if missing:
                raise ParameterError(
                    f"{step.path}: its code names {', '.join(map(repr, sorted(missing)))}; add it after "
                    f"**{word}** in the first cell, which the order and the keys of the steps follow"
                )


def _artefacts_in(code: str) -> tuple[set[str], set[str]]:
    """Artefacts that a notebook's code reads and writes by `run`, where their names are plain texts."""
    reads: set[str] = set()
    writes: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        of_labels = [f"{text}_{kind}" for text in texts[:1] for kind in ("labels", "traces", "candidates")]
        match ast.unparse(node.func):
            case "run.read" | "run.read_all":
                reads.update(texts)
            case "run.read_labels":
                reads.update(of_labels)
            case "run.read_map":
                reads.add("map")
            case "specimen_of":
                reads.update(SPECIMEN)
            case "run.write":
                writes.update(texts[:1])
            case "run.write_labels":
                writes.update(of_labels)
            case "run.write_map":
                writes.add("map")
    return reads, writes


def check_parameters(chain: list[Step], given: dict) -> dict:
    """`given` with each value in the type of its default; texts of a command line are converted."""
    checked = {}
    for name, value in given.items():
        holders = [step for step in chain if name in step.defaults]
        known = sorted({p for step in chain for p in step.defaults} - {"dataset"})
        if name == "dataset" or not holders:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ParameterError(
                f"no notebook has a parameter {name!r}: {hint}Parameters: {', '.join(known) or 'none'}"
            )
        checked[name] = _convert(name, value, holders[0].defaults[name])
        for step in holders:
            if name in step.limits:
                step.limits[name].check(name, checked[name])
    return checked


def choose(chain: list[Step], steps: list[str] | None, until: str = "") -> list[Step]:
    """The named steps, or all up to one, or all.

    Parameters
    ----------
    steps : names, or chapters: "02a" is one, "02" all from 02a on
    until : the last one, named in the same way

    Raises
    ------
    ParameterError : a name that is none, or both
    """
    if steps is not None and until:
        raise ParameterError("--steps names single steps, --until all up to one: give one of them")
    if until:
        last = _named(chain, until)[-1].notebook_name
        return [step for step in chain if step.notebook_name <= last]
    if steps is None:
        return chain
    chosen = {step.name for name in steps for step in _named(chain, name)}
    return [step for step in chain if step.name in chosen]


def _named(chain: list[Step], name: str) -> list[Step]:
    """The steps of one name or chapter, at least one."""
    found = [step for step in chain if name in (step.name, step.number)]
    found = found or [step for step in chain if re.fullmatch(r"[0-9][0-9]", name) and step.number[:2] == name]
    if not found:
        names = ", ".join(step.name for step in chain)
        raise ParameterError(f"no step {name!r}: the notebooks are {names}; a chapter, such as 02a, will do")
    return found


def read_step(path: Path) -> Step:
    """A notebook as a step.

    Read as the JSON that it is: nbformat, which checks every cell, takes a second to import.

    Raises
    ------
    CpmlError : not a notebook of format 4
    ParameterError : not one parameters cell of plain literals, or an unknown need
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["nbformat"] != 4:
            raise ValueError(f"format {content['nbformat']} instead of 4")
        needs = tuple(content["metadata"].get("cpml", {}).get("needs", ()))
        cells = tuple(
            Cell(cell["cell_type"], "".join(cell["source"]), tuple(cell["metadata"].get("tags", ())))
            for cell in content["cells"]
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CpmlError(f"{path}: not a readable notebook ({error})") from error
    tagged = [cell for cell in cells if "parameters" in cell.tags]
    if len(tagged) != 1 or tagged[0].kind != "code":
        raise ParameterError(
            f"{path}: {len(tagged)} cells are tagged 'parameters': exactly one code cell must be"
        )
    defaults = _literals(path, tagged[0].source)
    if "dataset" not in defaults:
        raise ParameterError(f"{path}: its parameters cell has no 'dataset'")
    asked = {*needs, *(need for cell in cells for need in cell.needs)}
    if unknown := sorted(asked - set(HAS) - set(FOUND)):
        raise ParameterError(f"{path}: it needs {unknown[0]!r}; the words are {', '.join(HAS | FOUND)}")
    return Step(path.stem, path, cells, needs, defaults, limits=_limits(tagged[0].source))


def _lacks(dataset: Dataset, needs: Iterable[str]) -> list[str]:
    """Those of the words that do not hold of a data set and its first phase."""
    return [need for need in needs if not _holds(dataset, need)]


def _holds(dataset: Dataset, need: str) -> bool:
    if need in HAS:
        return dataset.has(need)
    return bool(dataset.modelled) and FOUND[need][1](paths.derived(dataset.run_name), dataset.phase().name)


def _literals(path: Path, source: str) -> dict:
    """The assignments of a parameters cell; each must be `name = literal`,
    since values are injected below it.
    """
    found = {}
    try:
        for node in ast.parse(source).body:
            is_plain = (isinstance(node, ast.Assign) and len(node.targets) == 1) or isinstance(
                node, ast.AnnAssign
            )
            target = (node.targets[0] if isinstance(node, ast.Assign) else node.target) if is_plain else None
            if not isinstance(target, ast.Name):
                raise TypeError("only lines 'name = value' are allowed")
            found[target.id] = ast.literal_eval(node.value)
    except (SyntaxError, ValueError, TypeError) as error:
        raise ParameterError(f"{path}: its parameters cell is not plain literals: {error}") from None
    return found


def _limits(source: str) -> dict[str, Limits]:
    """Parameter -> what the comment on its line allows."""
    found = {}
    for line in source.splitlines():
        assignment, _, comment = line.partition("  # ")
        if limits := Limits.of_comment(comment):
            found[assignment.partition("=")[0].partition(":")[0].strip()] = limits
    return found


def _convert(name: str, value: Any, default: Any) -> Any:
    """`value` in the type of `default`."""
    if isinstance(value, str) and not isinstance(default, str):
        value = read_value(value, what=f"parameter {name!r}")
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if default is not None and type(value) is not type(default):
        expected = type(default).__name__
        raise ParameterError(
            f"parameter {name!r}: {value!r} is not of type {expected} like its default {default!r}"
        )
    return value
