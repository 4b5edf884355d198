"""Boundaries at which a user saw slip pass, or stop: a table of the kind that studies of slip transfer print.

CSV, one row a boundary and pair of systems (Patriarca et al. 2013, Mater. Sci. Eng. A 588:308, has such
tables):

| column | content |
|---|---|
| grain_a, grain_b | two grains of the map that touch; or one column `boundary`, "12-15" |
| system_a, system_b | slip systems or planes of the grains, as notebook 02e names them; empty: not known |
| residual_burgers | of the transfer, in Burgers vectors; empty: not known |
| passes | 1, 0 or empty (not known) |
| weight | 0 to 1; 1 when absent |
| source | free text; "user" when absent |

Needed are the grains and `passes`.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.transfer import residual_burgers, sample_systems
from cpml.errors import MapFileError
from cpml.microscopy.labels.traces import csv_lines
from cpml.microscopy.labels.user import known_targets, nearest_word

PAIR, ONE = ("grain_a", "grain_b"), "boundary"
OPTIONAL = ("system_a", "system_b", "residual_burgers", "weight", "source")
COLUMNS = ("grain_a", "grain_b", "system_a", "system_b", "residual_burgers", "passes", "weight", "source")


def read_boundaries(
    path: str | Path,
    grains: pd.DataFrame,
    boundaries: pd.DataFrame,
    systems: Systems | Mapping[int, Systems],
) -> pd.DataFrame:
    """Rows grain_a, grain_b, system_a, system_b, residual_burgers, passes, weight, source.

    Parameters
    ----------
    grains : grain_id, phase
    boundaries : grain_a, grain_b, the pairs that touch
    systems : of all grains, or of each phase id

    Raises
    ------
    MapFileError : unreadable, a missing or unknown column, grains that do not touch, an unknown system, a
        wrong value, or one row given twice; names the line
    """
    path = Path(path)
    names, lines = csv_lines(path)
    _check_columns(path, names)
    reading = _Reading(path, grains, boundaries, systems)
    rows, seen = [], {}
    for number, line in lines:
        if None in line or None in line.values():
            raise MapFileError(
                f"{path}, line {number}: another number of fields than the header; quote fields with commas"
            )
        row = reading.row(f"{path}, line {number}", {k: (v or "").strip() for k, v in line.items()})
        sides = frozenset({(row["grain_a"], row["system_a"]), (row["grain_b"], row["system_b"])})
        if (first := seen.setdefault(sides, number)) != number:
            raise MapFileError(
                f"{path}, line {number}: grains {row['grain_a']} and {row['grain_b']} with these systems "
                f"stand in line {first} already; keep one of the two"
            )
        rows.append(row)
    kinds = {"grain_a": int, "grain_b": int, "residual_burgers": float, "passes": float, "weight": float}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(
        kinds | dict.fromkeys(("system_a", "system_b"), str)
    )


def active_of_given(given: pd.DataFrame) -> pd.DataFrame:
    """The systems that a user names as rows of `active` (`transfer_features`): grain_id, mechanism, target,
    probability.
    """
    sides = [given[[f"grain_{s}", f"system_{s}"]].set_axis(["grain_id", "target"], axis=1) for s in "ab"]
    rows = pd.concat(sides, ignore_index=True)
    rows = rows[rows["target"] != ""].drop_duplicates(ignore_index=True)
    return rows.assign(mechanism="slip", probability=1.0)


def residuals_of_given(
    given: pd.DataFrame, grains: pd.DataFrame, systems: Mapping[int, Systems]
) -> pd.DataFrame:
    """Rows that name two slip systems, with residual_computed, |b_r| of the two in the mean length of their
    Burgers vectors: a name or an orientation is another than the user meant where it disagrees.

    Parameters
    ----------
    given : of `read_boundaries`; grains : grain_id, phase, qw, qx, qy, qz; systems : of each phase id
    """
    place = pd.Series(np.arange(len(grains)), grains["grain_id"])
    q, phase = grains[["qw", "qx", "qy", "qz"]].to_numpy(), grains["phase"].to_numpy()
    vectors: list[NDArray] = []
    for side in "ab":
        found = np.full((len(given), 3), np.nan)
        for k, (grain, name) in enumerate(zip(given[f"grain_{side}"], given[f"system_{side}"], strict=True)):
            own = systems[phase[place[grain]]]
            if name in own.names:
                s = own.names.index(name)
                found[k] = sample_systems(own, q[place[grain]])[1][s] * own.burgers_length[s]
        vectors.append(found)
    length = (np.linalg.norm(vectors[0], axis=1) + np.linalg.norm(vectors[1], axis=1)) / 2
    computed = residual_burgers(*vectors) / length
    return given.assign(residual_computed=computed)[np.isfinite(computed)]


def _check_columns(path: Path, names: list[str]) -> None:
    grains = (ONE,) if ONE in names else PAIR
    missing = [name for name in (*grains, "passes") if name not in names]
    unknown = [name for name in names if name not in (*grains, "passes", *OPTIONAL)]
    if missing:
        raise MapFileError(
            f"{path}, line 1: no column {', '.join(missing)}; needed: grain_a,grain_b (or boundary),passes"
            f"[,{','.join(OPTIONAL)}], found: {', '.join(names) or 'nothing'}"
        )
    if unknown or len(set(names)) < len(names):
        raise MapFileError(
            f"{path}, line 1: column {(unknown or names)[0]!r} is unknown or there twice; known: "
            f"{', '.join((*grains, 'passes', *OPTIONAL))}"
        )


class _Reading:
    """What the rows are checked against."""

    def __init__(
        self,
        path: Path,
        grains: pd.DataFrame,
        boundaries: pd.DataFrame,
        systems: Systems | Mapping[int, Systems],
    ):
        self.path = path
        self.phase = dict(zip(grains["grain_id"], grains["phase"], strict=True))
        ids = np.sort(boundaries[list(PAIR)].to_numpy(int), axis=1)
        self.touching = set(map(tuple, ids.tolist()))
        by_phase = (
            systems if isinstance(systems, Mapping) else dict.fromkeys(set(self.phase.values()), systems)
        )
        self.targets = {key: known_targets(s)["slip"] for key, s in by_phase.items()}

    def row(self, where: str, field: dict[str, str]) -> dict:
        """The checked values of one line; MapFileError."""
        words = field[ONE].split("-") if ONE in field else [field[name] for name in PAIR]
        if len(words) != 2:
            raise MapFileError(f"{where}: boundary = {field[ONE]!r}; write the two grains as 12-15")
        a, b = (self._grain(where, word.strip()) for word in words)
        if (min(a, b), max(a, b)) not in self.touching:
            raise MapFileError(f"{where}: grains {a} and {b} do not touch in the map; correct the numbers")
        row = {"grain_a": a, "grain_b": b}
        for name, grain in (("system_a", a), ("system_b", b)):
            row[name] = self._system(where, name, field.get(name, ""), grain)
        residual = field.get("residual_burgers", "")
        row["residual_burgers"] = self._number(
            where, "residual_burgers", residual, "0 or more, in Burgers vectors"
        )
        passes = self._number(where, "passes", field["passes"], "1 (it passes), 0 (it stops) or nothing")
        if np.isfinite(passes) and passes not in (0.0, 1.0):
            raise MapFileError(
                f"{where}: passes = {field['passes']!r}; write 1 (it passes), 0 (it stops) or nothing"
            )
        weight = field.get("weight", "")
        row["weight"] = self._number(where, "weight", weight, "0 to 1") if weight else 1.0
        if row["weight"] > 1:
            raise MapFileError(f"{where}: weight = {weight!r}; write 0 to 1")
        return row | {"passes": passes, "source": field.get("source") or "user"}

    def _grain(self, where: str, text: str) -> int:
        if not text.isdecimal() or int(text) not in self.phase:
            raise MapFileError(
                f"{where}: grain {text[:30]!r} is not in the map, which has {len(self.phase)} grains from "
                f"{min(self.phase, default=0)} to {max(self.phase, default=0)}"
            )
        return int(text)

    def _system(self, where: str, name: str, text: str, grain: int) -> str:
        if not text:
            return ""
        known = self.targets.get(self.phase[grain])
        if known is None:
            raise MapFileError(
                f"{where}: grain {grain} is of phase {self.phase[grain]}, for which no systems are declared"
            )
        if text not in known:
            raise MapFileError(
                f"{where}: {name} = {text!r} is no slip system of grain {grain}{nearest_word(text, known)}; "
                f"known: {', '.join(list(known)[:4])} ..."
            )
        return text

    def _number(self, where: str, name: str, text: str, wanted: str) -> float:
        if not text:
            return np.nan
        try:
            value = float(text)
        except ValueError:
            value = np.nan
        if not (np.isfinite(value) and value >= 0):
            raise MapFileError(f"{where}: {name} = {text[:30]!r}; write {wanted}")
        return value
