"""One notebook executed by papermill: figures inline, one thread, never half there, a failure one message."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpml import paths
from cpml.errors import CpmlError
from cpml.files import one_error
from cpml.pipeline.steps import Step

if TYPE_CHECKING:
    import papermill


NOT_STARTED = ("didn't respond", "died before replying")
"""Words of jupyter_client about a kernel that never came up."""
GRACE_S = 10.0
"""Seconds for a notebook to end after Ctrl-C."""


def execute(step: Step, name: str, values: dict[str, Any], cells: list[int] | None = None) -> float:
    """Execute a notebook by papermill, beside its target, and rename it when it went through.

    Parameters
    ----------
    name : of the run, or "comparison"
    values : notebook parameter -> value
    cells : positions of the cells to execute, None for all

    Returns
    -------
    float : seconds that it took

    Raises
    ------
    CpmlError : a cell failed, the kernel died, a file could not be written; names run, notebook and cell
    """
    with one_error(f"{name}, notebooks/{step.name}.ipynb"):
        return _execute(step, name, values, cells)


def _execute(step: Step, name: str, values: dict[str, Any], cells: list[int] | None) -> float:
    import nbformat
    import papermill

    one_thread()
    clock = time.perf_counter()
    target = paths.reports(name) / f"{step.name}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    source, temporary = (
        target.with_name(f".{step.name}.{os.getpid()}.{what}.ipynb") for what in ("source", "part")
    )
    options = {
        "progress_bar": False,
        "log_output": False,
        "extra_arguments": ["--log-level=40"],
        "kernel_name": "python3",
        "language": "python",
    }
    try:
        nbformat.write(step.notebook(cells), source)
        for attempt in (1, 2):
            try:
                with inline_figures():
                    papermill.execute_notebook(_unbraced(source), _unbraced(temporary), values, **options)
                break
            except papermill.PapermillExecutionError as error:
                raise _cell_failed(step, name, error) from None
            except RuntimeError as error:
                # a loaded machine can miss the kernel's start, and two kernels that start at once can
                # choose one port; once more is enough in practice
                if attempt == 2 or not any(words in str(error) for words in NOT_STARTED):
                    raise CpmlError(
                        f"{name}, notebooks/{step.name}.ipynb: the kernel died (killed, or out of memory?): "
                        f"{' '.join(str(error).split())}"
                    ) from error
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
        source.unlink(missing_ok=True)
    return time.perf_counter() - clock


@contextmanager
def inline_figures() -> Iterator[None]:
    """Kernels started inside draw into their notebooks, whatever MPLBACKEND says (clusters often set agg)."""
    before = os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    try:
        yield
    finally:
        os.environ.pop("MPLBACKEND")
        os.environ.update({} if before is None else {"MPLBACKEND": before})


def _cell_failed(step: Step, name: str, error: papermill.PapermillExecutionError) -> CpmlError:
    """One line for a failed cell. A CpmlError speaks for itself; anything else
    shows the failing line as well.
    """
    own = {"CpmlError", *(cls.__name__ for cls in CpmlError.__subclasses__())}
    place = f"run {name!r}, notebooks/{step.name}.ipynb, cell {error.cell_index}"
    message = f"{place}: {error.ename}: {' '.join(str(error.evalue).split())}"
    if error.ename not in own:
        plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in "\n".join(error.traceback).splitlines()]
        arrows = [found for line in plain if (found := re.match(r"\s*-+> (\d+) +(.*)", line))]
        places = [f"line {found[1]}: {found[2].strip()}" for found in arrows]
        message += f" ({'; raised at '.join(dict.fromkeys([places[0], places[-1]]))})" if places else ""
    return CpmlError(message)


class Processes(ProcessPoolExecutor):
    """Other processes for notebooks or data sets; spawned, since forking one that has torch can deadlock.

    Ctrl-C reaches all of them: one that works cleans up and ends its task, one that waits takes no notice, so
    that none is torn down in the middle.
    """

    def __init__(self, jobs: int):
        super().__init__(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare)

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        """Wait for all; after Ctrl-C only for a while, whatever else is pressed, then end them."""
        if kind is not KeyboardInterrupt:
            return super().__exit__(kind, *rest)
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.join(GRACE_S)
                worker.terminate()
            return super().__exit__(kind, *rest)
        finally:
            signal.signal(signal.SIGINT, before)

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """A call that can be interrupted."""
        return super().submit(_interruptible, fn, *args, **kwargs)


def _prepare() -> None:
    one_thread()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process and its notebook when the one that started it is gone: nobody waits for the result."""
    import psutil

    parent = multiprocessing.parent_process()
    if parent is None:
        return
    wait([parent.sentinel])
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    os._exit(1)


def _interruptible(task: Callable, *args: Any, **kwargs: Any) -> Any:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return task(*args, **kwargs)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def one_thread() -> None:
    """Kernels compute on one thread unless told otherwise: arrays are small, threads on shared cores wait."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


def _unbraced(path: Path) -> str:
    """papermill sends paths through str.format; a brace in a folder's name has to survive that."""
    return str(path).replace("{", "{{").replace("}", "}}")
