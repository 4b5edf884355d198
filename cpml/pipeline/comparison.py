"""All data sets side by side: what notebook 07 reads, compares and writes under reports/comparison/.

Nothing is computed from maps here: only `evaluation`, `scores`, `strengths` and metrics.json of every run
that has been evaluated are read, so that the comparison can be made again without its raw data. Runs of one
data set under other parameters (`demo@seed-1`) are compared where they are named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpml import paths
from cpml.errors import CpmlError
from cpml.files import read_json, write_json
from cpml.pipeline.folder import Folder

if TYPE_CHECKING:
    import pandas as pd

NAME = "comparison"


def evaluated() -> list[str]:
    """Names of the runs with scores, in alphabetical order; where nothing was seen there are none."""
    folder = paths.output() / "data" / "derived"
    return sorted(
        p.parent.name
        for p in folder.glob("*/scores.parquet")
        if (p.parent / "evaluation.parquet").is_file() and _has_rows(p)
    )


def matching(names: Iterable[str], tags: Iterable[str] = ()) -> list[str]:
    """Evaluated runs of these names and tags, both with wildcards ("demo@*", "seed-*").

    Parameters
    ----------
    names : of runs, or of data sets where tags are given as well; none: all data sets
    tags : of runs; none: the names say which

    Raises
    ------
    CpmlError : a name or tag that fits no evaluated run
    """
    there, found = evaluated(), []
    names, tags = list(names), list(tags)
    wanted = [f"{name}@{tag}" for name in names or ["*"] for tag in tags] if tags else names
    for pattern in wanted:
        fitting = [run for run in there if fnmatchcase(run, pattern)]
        if not fitting:
            raise CpmlError(
                f"no run {pattern!r} has been evaluated: run tasks.py run --dataset NAME -p name=value first "
                f"(done: {', '.join(there) or 'none'})"
            )
        found += [run for run in fitting if run not in found]
    return found


def _has_rows(path: Path) -> bool:
    """Whether a table has rows; one that cannot be read is left to its reader's message."""
    import pandas as pd

    try:
        return len(pd.read_parquet(path)) > 0
    except (OSError, ValueError):
        return True


class Comparison(Folder):
    """One notebook on several data sets.

    Parameters
    ----------
    step : name of the notebook without suffix
    values : the notebook's parameters; `dataset` lists names of runs, none: all data sets that have been
        evaluated with the default parameters (where there are none, all runs)

    Raises
    ------
    CpmlError : a run that has not been evaluated, or none that has
    """

    def __init__(self, step: str, values: Mapping[str, Any]):
        there, asked = evaluated(), values.get("dataset") or []
        missing = sorted(set(asked) - set(there))
        if missing or not there:
            what = f"data set {missing[0]!r} has not" if missing else "no data set has"
            raise CpmlError(
                f"{what} been evaluated: run tasks.py run --dataset NAME first, on data with observed labels "
                f"(done: {', '.join(there) or 'none'})"
            )
        plain = [name for name in there if "@" not in name]
        self.names = [name for name in there if name in asked] if asked else plain or there
        what = "run" if any("@" in name for name in self.names) else "data set"
        caption = f"{len(self.names)} {what}" + "s" * (len(self.names) > 1)
        super().__init__(step, name=NAME, caption=caption, values=values)

    def __repr__(self) -> str:
        return f"Comparison of {', '.join(self.names)}"

    @cached_property
    def records(self) -> dict[str, pd.DataFrame]:
        """Data set -> record of its held-out predictions (`cpml.evaluation.record`)."""
        return {name: self._table(name, "evaluation") for name in self.names}

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Scores of all data sets under each other, with the column ``dataset``."""
        return self._under_each_other("scores")

    @cached_property
    def strengths(self) -> pd.DataFrame:
        """Learned strengths of all data sets that have them, with the column ``dataset``."""
        return self._under_each_other("strengths")

    @cached_property
    def metrics(self) -> dict[str, dict]:
        """Data set -> its metrics.json."""
        return {name: read_json(paths.reports(name) / "metrics.json") for name in self.names}

    def save(self, **metrics: float | None) -> None:
        """Write the numbers of this step and merge them into metrics.json,
        beside what benchmarks wrote there.
        """
        file = self.reports / "metrics.json"
        others, mine = read_json(file), read_json(self.reports / "metrics" / f"{self.step.name}.json")
        super().save(**metrics)
        write_json(file, {k: v for k, v in others.items() if k not in mine} | read_json(file))

    def _table(self, dataset: str, name: str) -> pd.DataFrame:
        import pandas as pd

        path = paths.derived(dataset) / f"{name}.parquet"
        return pd.read_parquet(path) if path.is_file() else pd.DataFrame()

    def _under_each_other(self, name: str) -> pd.DataFrame:
        import pandas as pd

        tables = [self._table(dataset, name).assign(dataset=dataset) for dataset in self.names]
        there = [table for table in tables if len(table)]
        return pd.concat(there, ignore_index=True) if there else pd.DataFrame()
