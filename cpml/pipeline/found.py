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
    labels: pd.DataFrame, candidates: pd.DataFrame, motions: pd.DataFrame | None = None
) -> int:
    """Twins that were seen, slip lines that lie along at least one plane, and grains that turned or strained.

    A line along several planes names none of them, so it is no label; it is a footprint all the same.

    Parameters
    ----------
    labels : mechanism, observed
    candidates : trace_id, mechanism, probability
    motions : grain_id, kind; a rotation and a strain of one grain are two footprints
    """
    seen = labels[labels["observed"] == 1].groupby("mechanism").size()
    fitting = candidates[(candidates["mechanism"] == "slip") & (candidates["probability"] > 0)]
    slip = max(fitting["trace_id"].nunique(), int(seen.get("slip", 0)))
    moved = 0 if motions is None else len(motions[["grain_id", "kind"]].drop_duplicates())
    return slip + int(seen.get("twin", 0)) + moved


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
        grains, *tables = map(pd.read_parquet, _tables(folder))
    except (OSError, ValueError) as error:
        raise CpmlError(
            f"{folder}: grains, labels or candidates cannot be read ({error}): run the chain again without "
            "--steps"
        ) from None
    own = grains.loc[grains["phase_name"] == phase, "grain_id"]
    return count_footprints(*(table[table["grain_id"].isin(own)] for table in tables))


FOUND: dict[str, tuple[str, Callable[[Path, str], bool]]] = {
    "footprints": (
        f"fewer than {FEW} footprints of slip and twins were seen: nothing can be learned from them",
        lambda folder, phase: _footprints(folder, phase) >= FEW,
    ),
}
"""Word -> what is said of a data set without it, and how to tell from data/derived/<data set> and a phase."""
