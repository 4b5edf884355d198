"""Many data sets at a time: on the cores of this machine, or on a dask scheduler."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import as_completed
from functools import partial
from typing import Any

from cpml.errors import CpmlError
from cpml.pipeline.chain import run_dataset
from cpml.pipeline.execute import Processes


def run_batch(
    names: list[str], *, jobs: int = 0, scheduler: str | None = None, **options: Any
) -> dict[str, str]:
    """Run several data sets, each in a process of its own (or on a dask scheduler); one that fails does not
    stop the others.

    Parameters
    ----------
    jobs : notebooks at a time, 0 = one per core; what the data sets leave over runs notebooks of one beside
        each other
    scheduler : address of a dask scheduler; there, every data set has one worker
    options : of `run_dataset`

    Returns
    -------
    data set -> error message; empty when all went well
    """
    task = partial(_run_one, **options)
    if scheduler is not None:
        return _errors(_on_cluster(scheduler, partial(task, jobs=1), names))
    jobs = jobs or os.cpu_count() or 1
    task = partial(task, jobs=max(1, jobs // max(1, len(names))))
    with Processes(min(jobs, len(names))) as pool:
        futures = [pool.submit(task, name) for name in names]
        return _errors(future.result() for future in as_completed(futures))


def _run_one(name: str, **options: Any) -> tuple[str, str]:
    """(name, error message or ''): plain values, so that they travel between processes and machines."""
    try:
        run_dataset(name, **options)
    except CpmlError as error:
        return name, str(error)
    except Exception as error:
        return name, f"{type(error).__name__}: {error}"
    return name, ""


def _on_cluster(scheduler: str, task: Callable, names: list[str]) -> list[tuple[str, str]]:
    try:
        from dask.distributed import Client
    except ImportError:
        raise CpmlError('--scheduler needs dask.distributed: pip install "cpml[cluster]"') from None
    with Client(scheduler) as client:
        return client.gather(client.map(task, names, pure=False))


def _errors(results: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: error for name, error in results if error}
