"""What a chapter needs of the results of earlier ones: with too few footprints nothing is learned.

Words beside those of `cpml.datasets.dataset.HAS`, which are judged by the description of a data set. These
are judged by what earlier notebooks wrote, when the chain comes to the step.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cpml.errors import CpmlError

if TYPE_CHECKING:
    import pandas as pd

FEW = 10
"""Below this many footprints of a kind nothing is claimed from them."""


def count_footprints(
    labels: pd.DataFrame,
    candidates: pd.DataFrame,
    motions: pd.DataFrame | None = None,
    reports: pd.DataFrame | None = None,
) -> int:
    """Twins that were seen, slip lines that lie along at least one plane, grains that turned or strained, and
    what else somebody saw of slip and twins.

    A line along several planes names none of them, so it is no label; it is a footprint all the same. A
    system that the source of the lines names is no further footprint: its line is one.

    Parameters
    ----------
    labels : mechanism, observed
    candidates : trace_id, mechanism, probability
    motions : grain_id, kind; a rotation and a strain of one grain are two footprints
    reports : label rows of every level and source, ``labels`` among them or not
    """
    seen = labels[labels["observed"] == 1].groupby("mechanism").size()
    fitting = candidates[(candidates["mechanism"] == "slip") & (candidates["probability"] > 0)]
    slip = max(fitting["trace_id"].nunique(), int(seen.get("slip", 0)))
    moved = 0 if motions is None else len(motions[["grain_id", "kind"]].drop_duplicates())
    told = 0 if reports is None else _told(labels, reports)
    return slip + int(seen.get("twin", 0)) + moved + told


def _told(labels: pd.DataFrame, reports: pd.DataFrame) -> int:
    from cpml.microscopy.labels.rows import one_a_line
    from cpml.models.specimen.reports import further_reports

    further = further_reports(reports, labels, "labels")
    if further is None:
        return 0
    of_slip = labels.loc[labels["mechanism"] == "slip", "source"].unique()
    drawn = {name for source in of_slip for name in str(source).split("+")}
    seen = further[(further["observed"] == 1) & further["mechanism"].isin(["slip", "twin"])]
    seen = one_a_line(seen)
    return int((~((seen["level"] == "system") & seen["source"].isin(drawn))).sum())


def is_known(folder: Path) -> bool:
    """Whether the chapters that look for footprints have left their tables in data/derived/<run>."""
    return all(file.is_file() for file in _tables(folder))


def _tables(folder: Path) -> list[Path]:
    return [folder / f"{name}.parquet" for name in ("grains", "labels", "candidates")]


def _footprints(folder: Path, phase: str) -> int:
    """Footprints in the grains of a phase, from data/derived/<data set>; 0 where nothing is there yet."""
    import pandas as pd

    if not is_known(folder):
        return 0
    try:
        every = folder / "all_labels.parquet"
        files = [*_tables(folder), *([every] if every.is_file() else [])]
        grains, *tables = map(pd.read_parquet, files)
    except (OSError, ValueError) as error:
        raise CpmlError(
            f"{folder}: grains, labels or candidates cannot be read ({error}): run the chain again without "
            "--steps"
        ) from None
    own = grains.loc[grains["phase_name"] == phase, "grain_id"]
    labels, candidates, *every = (table[table["grain_id"].isin(own)] for table in tables)
    return count_footprints(labels, candidates, reports=every[0] if every else None)


FOUND: dict[str, tuple[str, Callable[[Path, str], bool]]] = {
    "footprints": (
        f"fewer than {FEW} footprints of slip and twins were seen: nothing can be learned from them",
        lambda folder, phase: _footprints(folder, phase) >= FEW,
    ),
}
"""Word -> what is said of a data set without it, and how to tell from data/derived/<data set> and a phase."""
