"""What was said of a grain beside its lines and twins: label rows of every level, each once.

A row is a report: somebody says that a plane, a system, a family, a pair of planes or climb acts in a grain,
or does not, and how sure that is; or what a dislocation line may have been (`cpml.microscopy.labels.rows`).
Reports of two sources count as two. A row that the labels of the lines and twins have, by the same source, is
counted there.
"""

import pandas as pd

from cpml.crystallography.slip_systems import Systems
from cpml.errors import CpmlError
from cpml.microscopy.labels.rows import LABELS, LINE, said_once
from cpml.microscopy.labels.user import known_targets


def further_reports(rows: pd.DataFrame, labels: pd.DataFrame, name: str) -> pd.DataFrame | None:
    """The rows that say something and that ``labels`` does not say already; None where there are none.

    Parameters
    ----------
    rows, labels : label rows
    name : of the specimen, for messages

    Raises
    ------
    CpmlError : a column that is missing, a state that is none, a weight outside 0 to 1, or a source that
        says different things of one target
    """
    lacking = [column for column in LABELS if column not in rows]
    if lacking:
        raise CpmlError(f"specimen {name!r}: reports have no column {lacking[0]!r}; see label_rows")
    own = rows[rows["observed"].notna()]
    wrong = own[~own["observed"].isin([0.0, 1.0]) | ~own["weight"].between(0.0, 1.0)]
    if len(wrong):
        row = wrong.iloc[0]
        raise CpmlError(
            f"specimen {name!r}: report {wrong.index[0]} of grain {row['grain_id']}: observed "
            f"{row['observed']:g}, weight {row['weight']:g}; the first must be 0 or 1, the second from 0 to 1"
        )
    counted = labels.loc[labels["observed"].notna(), list(LABELS)]
    place = [f"specimen {name!r}, label {k}" for k in counted.index]
    place += [f"specimen {name!r}, report {k}" for k in own.index]
    every = pd.concat([counted.assign(is_new=False), own[list(LABELS)].assign(is_new=True)])
    once = said_once(every.reset_index(drop=True), place, CpmlError)
    new = once[once["is_new"] & (once["weight"] > 0)]
    return None if new.empty else new[list(LABELS)].reset_index(drop=True)


def check_targets(reports: pd.DataFrame, systems: Systems, name: str) -> None:
    """CpmlError where a report names a target that the systems do not have at its level."""
    known = known_targets(systems)
    for row in reports.itertuples():
        level = "system" if row.level == LINE else row.level
        if known.get(row.mechanism, {}).get(row.target) != level:
            raise CpmlError(
                f"specimen {name!r}: report {row.Index} of grain {row.grain_id}: {row.mechanism} has no "
                f"{row.level} {row.target!r}; targets are named by `known_targets` of the material's systems"
            )
