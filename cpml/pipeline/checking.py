"""A data set checked before it is run: its description, every file, and chapter 01 on the map.

Everything that is wrong is listed, not the first thing only: mistakes of the description, then files that
cannot be read as declared. Where nothing is, chapter 01 ranks the frames, and its verdict is told in short.
"""

from __future__ import annotations

import textwrap
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cpml import paths
from cpml.datasets.dataset import Dataset, find_description, load_dataset, mistakes
from cpml.datasets.draft import open_decisions
from cpml.datasets.inventory import Entry, take_inventory
from cpml.datasets.observe import segmented
from cpml.errors import DatasetError
from cpml.files import read_json
from cpml.pipeline.answers import count, hexagonal_axis, percent
from cpml.pipeline.chain import run_dataset

if TYPE_CHECKING:
    import pandas as pd

    from cpml.microscopy import EbsdMap

CHAPTER = "01_ingestion"
AS_READ, TURNED = "as read", "turned by 30 deg"


@dataclass
class Checked:
    """What a check found.

    Attributes
    ----------
    path : the dataset.yml
    mistakes : of the description
    files : what every file holds, or why it cannot be read
    phases : name, share and material of each phase of the map, one line each
    grains : how many fragments the segmentation finds; "" without a map
    frame, hexagonal_axis : verdicts of chapter 01; "" where it did not run, or there is no hexagonal phase
    answer : of chapter 01
    notes : of the reader of the map
    decisions : lines of the description that wait for a person, "line 7: ..."
    page : index.html of the report, where chapter 01 ran
    seconds : of chapter 01
    """

    path: Path
    mistakes: list[str] = field(default_factory=list)
    files: list[Entry] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    grains: str = ""
    frame: str = ""
    hexagonal_axis: str = ""
    answer: str = ""
    notes: tuple[str, ...] = ()
    decisions: list[str] = field(default_factory=list)
    page: Path | None = None
    seconds: float = 0.0

    @property
    def wrong(self) -> list[str]:
        """Everything that is wrong, of the description and of the files."""
        return [*self.mistakes, *(entry.error for entry in self.files if entry.error)]

    def lines(self) -> list[str]:
        """The check in lines to print."""
        files = [f"{e.role} {e.name}: {e.told or 'NOT READ: ' + e.error}" for e in self.files]
        blocks = {
            "mistakes in the description": [
                f"{n}. {text.removeprefix(f'{self.path}: ')}" for n, text in enumerate(self.mistakes, start=1)
            ],
            "files": files,
            "phases": self.phases,
            "grains": [self.grains] if self.grains else [],
            "frame": [self.frame] if self.frame else [],
            "hexagonal axis": [self.hexagonal_axis] if self.hexagonal_axis else [],
            "chapter 01": textwrap.wrap(self.answer, 106),
            "notes of the reader": list(self.notes),
            f"left to decide in {self.path.name}": self.decisions,
        }
        told = [f"{self.path}: {len(self.wrong)} wrong" if self.wrong else f"{self.path}: valid"]
        for title, lines in blocks.items():
            told += [f"{title}:", *(f"  {line}" for line in lines)] if lines else []
        if self.page is not None:
            told.append(f"page: {self.page} (chapter 01 in {self.seconds:.0f} s)")
        return told


def check_dataset(name: str | Path) -> Checked:
    """Check a data set: its description, every file it names, and the map by chapter 01.

    Parameters
    ----------
    name : data set name, or path of a dataset.yml or of its folder

    Raises
    ------
    DatasetError : unknown name, no such file
    CpmlError : chapter 01 failed
    """
    path = find_description(name)
    found = Checked(path, [str(error) for error in mistakes(path)])
    with suppress(OSError, UnicodeDecodeError):  # that stands among the mistakes
        found.decisions = [f"line {n}: {text}" for n, text in open_decisions(path)]
    if found.mistakes:
        return found
    dataset = load_dataset(path)
    ebsd_map, found.files = take_inventory(dataset)
    if ebsd_map is not None:
        _about_map(found, dataset, ebsd_map)
    if not found.wrong and ebsd_map is not None:
        clock = time.perf_counter()
        found.page = run_dataset(path, steps=[CHAPTER])
        found.seconds = time.perf_counter() - clock
        found.frame, found.hexagonal_axis, found.answer = _verdicts(dataset, ebsd_map)
    return found


def _about_map(found: Checked, dataset: Dataset, ebsd_map: EbsdMap) -> None:
    from cpml.microscopy import phases_present

    laws = {phase.name: phase.material for phase in dataset.modelled}
    for part in phases_present(ebsd_map):
        material = laws.get(part.phase.name)
        law = f"material {Path(material).stem}" if material else "no law: kept in the map only"
        lattice = part.phase.lattice or f"point group {part.phase.group}"
        found.phases.append(f"{part.label}: {percent(part.share)} of the points, {lattice}, {law}")
    fragments = segmented(dataset, ebsd_map)
    diameter = fragments.table["equivalent_diameter_um"].median()
    found.grains = f"{count(fragments.n_grains, 'fragment')}, median diameter {diameter:.3g} µm"
    found.notes = ebsd_map.frame_note


def _verdicts(dataset: Dataset, ebsd_map: EbsdMap) -> tuple[str, str, str]:
    """Frame and hexagonal axis ("" where there is none) by the table of frames; the answer of chapter 01."""
    import pandas as pd

    reports = paths.reports(dataset.name)
    try:
        table = pd.read_csv(reports / "tables" / "01_frames.csv")
    except (OSError, ValueError) as error:
        raise DatasetError(f"{reports}: the table of frames of chapter 01 cannot be read ({error})") from None
    answer = read_json(reports / "answers" / f"{CHAPTER}.json").get("answer", "")
    declared = dataset.frame.get("euler_to_sample")
    frame = _frame_verdict(table, "not declared" if declared is None else f"declared {_short(declared)}")
    axis = ""
    if set(table["hexagonal_axis"]) != {"-"}:
        # pairs of fragments are few; their boundaries may tell what they do not
        axis = _axis_verdict(table) or f"undecided by lines and twins. {_boundary_verdict(dataset, ebsd_map)}"
    return frame, axis.strip(), answer.replace("**", "")


def _frame_verdict(table: pd.DataFrame, declared: str) -> str:
    left = table[table["verdict"] != "ruled out"]
    frames = list(dict.fromkeys(left["frames"]))
    mine = table.loc[table["as_read"], "frames"].iloc[0]
    if not table["explained"].any():
        return f"{declared}; undecided: the map shows neither lines nor twins that could tell"
    if mine not in frames:
        return f"{declared}; CONTRADICTED: lines and twins fit {' / '.join(frames)}: declare it in frame"
    if len(frames) == 1:
        return f"{declared}; supported: all but {mine} are ruled out (half a turn about z shows in no line)"
    if len(frames) == table["frames"].nunique():
        return f"{declared}; undecided: the few lines and twins of the map rule no frame out"
    return f"{declared}; undecided: {', '.join(frames)} explain the lines and twins equally well"


def _axis_verdict(table: pd.DataFrame) -> str:
    """What lines and twins say of the hexagonal axis; "" where they do not tell."""
    left = set(table.loc[table["verdict"] != "ruled out", "hexagonal_axis"])
    if left == {AS_READ}:
        return "supported: with the other axis far fewer twins and lines are explained"
    if left == {TURNED}:
        return "CONTRADICTED: the other one of a and a* explains the twins and lines"
    return ""


def _boundary_verdict(dataset: Dataset, ebsd_map: EbsdMap) -> str:
    """What twin boundaries say of the hexagonal axis, in the words of chapter 01."""
    from cpml.microscopy import hex_axis_check

    threshold, least = (dataset.segmentation[key] for key in ("threshold", "min_pixels"))
    found = hex_axis_check(ebsd_map, threshold=threshold, min_pixels=least)
    return "" if found is None else hexagonal_axis(found.table).replace("**", "")


def _short(value: object) -> str:
    return value if isinstance(value, str) else "by a rotation"
