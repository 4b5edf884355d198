"""Many data sets at a time: on the cores of this machine, or on the workers of a dask scheduler."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from typing import Any

from cpml.pipeline.job import Outcome, run_job


def run_batch(
    names: list[str], *, jobs: int = 0, scheduler: str | None = None, wait_s: float = 60.0, **options: Any
) -> dict[str, str]:
    """Run several data sets, each in a process of its own; one that fails, or whose process dies, does not
    stop the others. Lines that the runs print come out as they are, and at the end a table of all.

    Parameters
    ----------
    jobs : notebooks at a time, 0 = one per core; what the data sets leave over runs notebooks of one beside
        each other
    scheduler : address of a dask scheduler, tcp://host:port; there, every data set has one worker
        (docs/cluster.md)
    wait_s : seconds to wait for a worker of the scheduler
    options : of `run_dataset`

    Returns
    -------
    data set -> error message; empty when all went well

    Raises
    ------
    CpmlError : the scheduler does not answer, has no worker, or workers that run another cpml
    """
    if not names:
        return {}
    tell = partial(print, flush=True)
    if scheduler is not None:
        from cpml.pipeline.cluster import run_on_cluster

        outcomes = run_on_cluster(names, options | {"jobs": 1}, scheduler, wait_s=wait_s, tell=tell)
    else:
        outcomes = _on_this_machine(names, options, jobs or os.cpu_count() or 1, tell)
    tell(_table(outcomes))
    return {outcome.name: outcome.error for outcome in outcomes if outcome.error}


def _on_this_machine(names: list[str], options: dict, jobs: int, tell: Any) -> list[Outcome]:
    options = options | {"jobs": max(1, jobs // len(names))}
    stopped = threading.Event()
    call = partial(run_job, tell=tell, is_wanted=lambda: not stopped.is_set())
    with ThreadPoolExecutor(min(jobs, len(names))) as pool:
        futures = [pool.submit(call, name, options) for name in names]
        try:
            return [future.result() for future in as_completed(futures)]
        finally:  # after Ctrl-C each run cleans up, and none begins
            stopped.set()
            pool.shutdown(cancel_futures=True)


def _table(outcomes: list[Outcome]) -> str:
    """One line a data set: name, result, seconds and, on a cluster, the worker."""
    rows = [("data set", "result", "s", "worker")]
    for outcome in sorted(outcomes, key=lambda outcome: outcome.name):
        result = "failed" if outcome.error else "done"
        rows.append((outcome.name, result, f"{outcome.seconds:.0f}", outcome.where))
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"{a:{width}}  {b:6}  {c:>5}  {d}".rstrip() for a, b, c, d in rows)
