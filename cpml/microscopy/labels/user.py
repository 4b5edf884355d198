"""Labels that a user supplies as a table, and rows for mechanisms that nobody observed.

CSV, one row a label; columns (the first four are needed, empty observed = not known):

| column | content |
|---|---|
| grain_id | a grain of the map |
| mechanism | slip, twin, cross_slip, climb |
| target | of slip a plane, a system, a family or "slip" (any at all); |
| | of twin a variant, a family or "twin"; of cross_slip "planeA|planeB[dir]"; of climb empty |
| observed | 1, 0 or empty |
| weight | how sure it is, from 0 (a guess) to 1; 1 when absent |
| source | free text; "user" when absent |

Rows of two sources are two reports; what one source says twice is one.

Climb leaves no trace on a surface: it is unobserved unless a user says otherwise.
"""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from cpml.crystallography.slip_systems import Systems
from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.labels.rows import LABELS, label_rows, said_once
from cpml.microscopy.labels.traces import csv_lines

MECHANISMS = ("slip", "twin", "cross_slip", "climb")
LEVEL = {"slip": "plane", "twin": "variant", "cross_slip": "pair", "climb": "grain"}
"""What the targets are of which nobody has seen anything."""
NEEDED = ("grain_id", "mechanism", "target", "observed")
OPTIONAL = ("weight", "source")


def known_targets(systems: Systems) -> dict[str, dict[str, str]]:
    """Targets of each mechanism and the level of each, by the table in `cpml.microscopy.labels.rows`."""
    from cpml.crystallography.cross_slip_pairs import cross_slip_pairs

    planes = dict.fromkeys(
        (systems.plane_names[p] for p in np.unique(systems.plane_id[systems.slip])), "plane"
    )
    names, families = np.array(systems.names), np.array(systems.family_names)[systems.family]
    whole = {}
    for mechanism, mask in (("slip", systems.slip), ("twin", systems.twin)):
        whole[mechanism] = dict.fromkeys(families[mask].tolist(), "family")
        whole[mechanism] |= {mechanism: "any"} if mask.any() else {}
    return {
        "slip": whole["slip"] | dict.fromkeys(names[systems.slip].tolist(), "system") | planes,
        "twin": whole["twin"] | dict.fromkeys(names[systems.twin].tolist(), "variant"),
        "cross_slip": dict.fromkeys(cross_slip_pairs(systems)["target"].tolist(), "pair"),
        "climb": {"": "grain"},
    }


def read_labels(
    path: str | Path, grains: pd.DataFrame, systems: Systems | Mapping[int, Systems]
) -> pd.DataFrame:
    """Label rows of a user's CSV, in the columns of `cpml.microscopy.labels.rows`.

    Parameters
    ----------
    grains : table with grain_id and phase, the grains that may be labelled
    systems : of all grains, or of each phase id, the targets that may be named

    Raises
    ------
    MapFileError : unreadable, a missing or unknown column, an unknown grain, mechanism or target, a wrong
        value, or one source that says different things of one target; names the line
    """
    path = Path(path)
    names, lines = csv_lines(path)
    _check_columns(path, names)
    phase = dict(zip(grains["grain_id"], grains["phase"], strict=True))
    targets = {
        key: known_targets(s)
        for key, s in (systems.items() if isinstance(systems, Mapping) else [(None, systems)])
    }
    rows = [_label_row(path, number, line, phase, targets) for number, line in lines]
    table = label_rows(**{name: [row[name] for row in rows] for name in LABELS})
    place = [f"{path}, line {number}" for number, _ in lines]
    return said_once(table, place, MapFileError).reset_index(drop=True)


def unobserved_labels(
    grains: pd.DataFrame, mechanism: str = "climb", *, targets: Collection[str] = ("",)
) -> pd.DataFrame:
    """One row with observed = NaN for each grain and target: nobody could have seen it."""
    if mechanism not in MECHANISMS:
        raise ParameterError(f"mechanism {mechanism!r}: choose one of {', '.join(MECHANISMS)}")
    return label_rows(grains[["grain_id"]], list(targets), mechanism=mechanism, level=LEVEL[mechanism])


def without_labels(
    grains: pd.DataFrame, tables: Sequence[pd.DataFrame], targets: Mapping[str, Sequence[str]]
) -> list[pd.DataFrame]:
    """Missing rows of every mechanism for the grains of which no table says anything about it.

    Parameters
    ----------
    grains : grain_id
    tables : label rows of any sources
    targets : mechanism -> its targets
    """
    parts = []
    for mechanism, names in targets.items():
        told = [t.loc[t["mechanism"] == mechanism, "grain_id"] for t in tables if len(t)]
        known = set(pd.concat(told)) if told else set()
        parts.append(unobserved_labels(grains[~grains["grain_id"].isin(known)], mechanism, targets=names))
    return parts


def _check_columns(path: Path, names: list[str]) -> None:
    missing = [name for name in NEEDED if name not in names]
    unknown = [name for name in names if name not in NEEDED + OPTIONAL]
    if missing:
        raise MapFileError(
            f"{path}, line 1: no column {', '.join(missing)}; needed: {','.join(NEEDED)}[,weight,source], "
            f"found: {', '.join(names) or 'nothing'}"
        )
    if unknown or len(set(names)) < len(names):
        raise MapFileError(
            f"{path}, line 1: column {(unknown or names)[0]!r} is unknown or there twice; known: "
            f"{', '.join(NEEDED + OPTIONAL)}"
        )


def _label_row(path: Path, number: int, line: dict, phase: dict, targets: dict) -> dict:
    if None in line or None in line.values():
        raise MapFileError(
            f"{path}, line {number}: another number of fields than the header; quote fields that hold commas"
        )
    field = {name: (text or "").strip() for name, text in line.items()}
    where = f"{path}, line {number}"
    grain = _number(where, "grain_id", field["grain_id"])
    if grain not in phase:
        raise MapFileError(
            f"{where}: grain {field['grain_id']} is not in the map, which has {len(phase)} grains from "
            f"{min(phase, default=0)} to {max(phase, default=0)}"
        )
    of_phase = targets.get(None) or targets.get(phase[grain])
    if of_phase is None:
        raise MapFileError(
            f"{where}: grain {int(grain)} is of phase {phase[grain]}, for which no systems are declared"
        )
    mechanism = field["mechanism"]
    if mechanism not in MECHANISMS:
        raise MapFileError(
            f"{where}: mechanism {mechanism!r}{nearest_word(mechanism, MECHANISMS)}; choose one "
            f"of {', '.join(MECHANISMS)}"
        )
    known = of_phase[mechanism]
    if field["target"] not in known:
        raise MapFileError(
            f"{where}: target {field['target']!r} is no target of "
            f"{mechanism}{nearest_word(field['target'], known)}; known: "
            f"{', '.join(list(known)[:4]) or 'none in this phase'}{' ...' if len(known) > 4 else ''}"
        )
    observed = np.nan if field["observed"] == "" else _number(where, "observed", field["observed"])
    if observed not in (0.0, 1.0) and np.isfinite(observed):
        raise MapFileError(
            f"{where}: observed = {field['observed']!r}; write 1 (seen), 0 (looked for and not "
            "seen) or nothing (not known)"
        )
    weight = _number(where, "weight", field["weight"]) if field.get("weight") else 1.0
    if not 0 <= weight <= 1:
        raise MapFileError(
            f"{where}: weight = {field['weight']!r}; write how sure the label is, from 0 (a guess) to 1"
        )
    return {
        "grain_id": int(grain),
        "mechanism": mechanism,
        "target": field["target"],
        "level": known[field["target"]],
        "observed": observed,
        "weight": weight,
        "source": field.get("source") or "user",
    }


def nearest_word(word: str, known: Collection[str]) -> str:
    """ " (did you mean ...?)", or nothing where no known word is near."""
    near = get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _number(where: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise MapFileError(f"{where}: {name} = {text[:30]!r} is not a number; correct the line")
    return value
