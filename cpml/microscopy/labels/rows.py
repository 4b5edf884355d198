"""Labels of grains as tables: what was seen, what was not seen, and what nobody could have seen.

**labels**, one row a grain and target

| column | meaning |
|---|---|
| grain_id | the grain, twins included |
| mechanism | "slip", "twin", "cross_slip" or "climb" |
| target, level | what of the mechanism, and what kind of target that is (table below) |
| observed | 1 seen, 0 looked for and not seen, NaN missing |
| weight | how sure it is, from 0 (a guess) to 1 |
| source | who says so: "traces", "image", "dic", "ebsd", "table", "ecci", "user" |

| level | target |
|---|---|
| plane, system | of slip, by name |
| line | of slip: a system by name, one alternative for a dislocation line (source "ecci <line>") |
| variant | of a twin, by name |
| family | of slip or twins, by name |
| any | the mechanism itself, "slip" or "twin": any of its systems |
| pair | "planeA|planeB[dir]" (cross_slip) |
| grain | "" (climb) |

**traces**, one row a line seen on the surface of a grain

| column | meaning |
|---|---|
| trace_id | number of the line |
| grain_id, mechanism, source | as above |
| angle_deg, sigma_deg | on-screen angle in [0, 180) and its error |
| level | what its candidates are: "plane" or "system" |

**candidates**, one row a line and target of that level in its grain

| column | meaning |
|---|---|
| trace_id, grain_id, mechanism, target | as above |
| probability | that the target drew the line, before any mechanics; 0: no candidate |
| likelihood | density of the line's angle if the target drew it, per degree |

A line that fits nothing has probabilities of zero only. The likelihood of a system is that of the line's
angle and of the angle of the displacement across it, per degree squared.

The rows of level "line" of one grain and source are alternatives: their weights are probabilities and add up
to 1 at most.

Missing is not zero: a grain that nobody imaged has NaN for every plane; so has a plane that lies almost in
the surface (its steps leave no trace), and one that shares its trace with another plane that could have drawn
the line as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.errors import CpmlError

LABELS = ("grain_id", "mechanism", "target", "level", "observed", "weight", "source")
TRACES = ("trace_id", "grain_id", "mechanism", "source", "angle_deg", "sigma_deg", "level")
CANDIDATES = ("trace_id", "grain_id", "mechanism", "target", "probability", "likelihood")
WHOLE = ("trace_id", "grain_id")
TOLD = ("grain_id", "mechanism", "level", "target", "source")
"""What one source says once."""
NUMBERS = ("observed", "weight", "angle_deg", "sigma_deg", "probability", "likelihood")

LINE = "line"
"""Level of the alternatives for a dislocation line."""
CERTAIN = 0.95
"""Probability of one target from which it counts as observed."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What one source says of all grains: the three tables of the module docstring."""

    labels: pd.DataFrame
    traces: pd.DataFrame
    candidates: pd.DataFrame

    @classmethod
    def joined(cls, *parts: "Labels") -> "Labels":
        """Several sources or phases under each other, lines numbered anew from 1; none: empty tables."""
        labels, traces, candidates, n_lines = [label_rows([], [])], [_table(TRACES)], [_table(CANDIDATES)], 0
        for part in parts:
            number = pd.Series(np.arange(len(part.traces)) + n_lines + 1, part.traces["trace_id"])
            labels.append(part.labels)
            traces.append(part.traces.assign(trace_id=number.to_numpy()))
            candidates.append(part.candidates.assign(trace_id=number[part.candidates["trace_id"]].to_numpy()))
            n_lines += len(part.traces)
        return cls(*(pd.concat(tables, ignore_index=True) for tables in (labels, traces, candidates)))


def label_rows(
    grain_id: ArrayLike,
    target: ArrayLike,
    *,
    mechanism: ArrayLike = "slip",
    level: ArrayLike = "plane",
    observed: ArrayLike = np.nan,
    weight: ArrayLike = 1.0,
    source: ArrayLike = "",
) -> pd.DataFrame:
    """Label rows from arguments that are broadcast against each other.

    Of grains (G, 1) and targets (T,) with observed (G, T), the rows of the first grain come first.

    Examples
    --------
    >>> rows = label_rows([[3], [5]], ["a", "b"], observed=[[1, 0], [np.nan, np.nan]])
    >>> print(rows["grain_id"].tolist(), rows["target"].tolist(), rows["observed"].tolist())
    [3, 3, 5, 5] ['a', 'b', 'a', 'b'] [1.0, 0.0, nan, nan]
    """
    values = np.broadcast_arrays(grain_id, mechanism, target, level, observed, weight, source)
    return _table(LABELS, values)


def one_a_line(rows: pd.DataFrame) -> pd.DataFrame:
    """Label rows with the likeliest alternative of each dislocation line alone, its source without the line's
    name: to count and to look at.
    """
    is_line = (rows["level"] == LINE).to_numpy()
    lines = rows[is_line].sort_values("weight", ascending=False, kind="stable")
    kept = lines.drop_duplicates(["grain_id", "source"])
    source = kept["source"].str.split().str[0].astype(rows["source"].dtype)
    return pd.concat([rows[~is_line], kept.assign(source=source).sort_index()])


def said_once(rows: pd.DataFrame, place: Sequence[str], error: type[CpmlError]) -> pd.DataFrame:
    """Label rows without repetitions: what one source says twice of one target counts once, the first time.

    Parameters
    ----------
    rows : label rows
    place : (R,) where each of them stands, for the message
    error : what is raised

    Raises
    ------
    error : a source that says different things of one target; names both places
    """
    first = rows.groupby(list(TOLD), sort=False, dropna=False).ngroup().to_numpy()
    leader = pd.Series(np.arange(len(rows))).groupby(first).transform("first").to_numpy()
    for name in ("observed", "weight"):
        said = rows[name].to_numpy(float)
        differs = ~((said == said[leader]) | (np.isnan(said) & np.isnan(said[leader])))
        if differs.any():
            k = int(differs.argmax())
            grain, mechanism, target, source = rows.iloc[k][["grain_id", "mechanism", "target", "source"]]
            raise error(
                f"{place[k]}: grain {grain}, {mechanism} {target!r} by {source!r} has {name} {said[k]:g}, "
                f"but {said[leader[k]]:g} in {place[leader[k]]}; keep one of the two, or name two sources"
            )
    return rows[leader == np.arange(len(rows))]


def line_rows(
    grain_id: ArrayLike,
    angle_deg: ArrayLike,
    sigma_deg: ArrayLike,
    target: Sequence[str],
    probability: NDArray,
    likelihood: NDArray,
    *,
    level: str,
    source: ArrayLike,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables traces and candidates of slip lines, numbered from 1.

    Parameters
    ----------
    grain_id, angle_deg, sigma_deg, source : (J,), or one for all
    target : (T,) names
    probability, likelihood : (J, T)
    """
    number = np.arange(1, len(probability) + 1)
    grain = np.asarray(grain_id)
    angle = np.asarray(angle_deg, float) % 180
    lines = np.broadcast_arrays(number, grain, "slip", source, angle, sigma_deg, level)
    pairs = np.broadcast_arrays(
        number[:, None], grain[:, None], "slip", np.asarray(target, object), probability, likelihood
    )
    return _table(TRACES, lines), _table(CANDIDATES, pairs)


def normalised(weight: NDArray) -> NDArray:
    """(..., T) rows divided by their sum; rows of zeros stay."""
    total = weight.sum(axis=-1, keepdims=True)
    return np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)


def _table(columns: Sequence[str], values: Sequence[NDArray] | None = None) -> pd.DataFrame:
    """Table of whole numbers, numbers and text, the same types with rows and without."""
    kind = {name: int if name in WHOLE else float if name in NUMBERS else str for name in columns}
    values = [()] * len(columns) if values is None else [np.ravel(v) for v in values]
    table = pd.DataFrame(dict(zip(columns, values, strict=True)))
    return table.astype(kind)
