"""The chain of notebooks on one data set: run what changed, skip what did not, never leave a half-run result.

The order is the prefix of notebooks/NN[x]_*.ipynb (00_explore is no step). A step is left out where the data
set lacks what it needs, and so is a single cell (`cpml.pipeline.steps`). It is skipped when its

    key = sha256(notebook sources, parameters, sources of the modules that it imports, raw input bytes,
                 artefacts of earlier steps, lock)

equals the recorded one and everything it wrote is still there, byte for byte. The record is
reports/<dataset>/provenance.json; a step's entry is removed before it runs and written after it succeeded, so
an interrupted run never looks finished, and the same command again is the recovery.

    reports/<dataset>/NN_name.ipynb     the executed notebooks        index.html   all of them, inputs hidden
"""

from __future__ import annotations

import multiprocessing
import os
import re
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cpml import paths
from cpml.datasets.dataset import Dataset, load_dataset
from cpml.errors import CpmlError
from cpml.files import read_json, write_json
from cpml.pipeline import provenance
from cpml.pipeline.sources import sources_sha256
from cpml.pipeline.steps import Step, check_parameters, choose, comparison, discover, lacking, source_of

if TYPE_CHECKING:
    from nbformat import NotebookNode


def run_dataset(
    name: str | Path, *, parameters: dict | None = None, force: bool = False, steps: list[str] | None = None
) -> Path:
    """Run the chain on one data set and return the path of its index.html.

    Parameters
    ----------
    name : data set name, or path of a dataset.yml
    parameters : notebook parameter -> value, given to every notebook that declares it
    force : run every step, whatever is recorded
    steps : names of the only steps to run, e.g. ["02_features"]

    Raises
    ------
    ParameterError : a parameter or step that no notebook has
    CpmlError : a notebook failed; the message names data set, notebook and cell
    """
    dataset = load_dataset(name)
    chain = discover()
    parameters = check_parameters(chain, parameters or {})
    chosen = choose(chain, steps)
    folder = paths.reports(dataset.name)
    index = folder / "index.html"
    common = provenance.shared_inputs(dataset)
    has_run = False
    for step in chosen:
        if steps is None and (reason := lacking(step, dataset)):
            print(f"{dataset.name} {step.name} left out: {reason}", flush=True)
        else:
            has_run |= _bring_up_to_date(step, chain, dataset, parameters, common, force=force)
    if has_run or not index.is_file():
        from cpml.pipeline.report import write_index

        write_index(dataset)
    return index


def run_batch(names: list[str], *, jobs: int = 0, scheduler: str | None = None, **options) -> dict[str, str]:
    """Run several data sets, each in a process of its own (or on a dask scheduler); data set ->
    error, empty when all went well.

    A data set that fails does not stop the others. `jobs` = 0 means one per core.
    """
    task = partial(_run_one, **options)
    if scheduler is not None:
        return _errors(_on_cluster(scheduler, task, names))
    jobs = min(jobs or os.cpu_count() or 1, len(names))
    # spawn: forking a process that has imported torch can deadlock
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_one_thread) as pool:
        futures = [pool.submit(task, name) for name in names]
        return _errors(future.result() for future in as_completed(futures))


def run_comparison(names: list[str] | None = None) -> Path:
    """Execute the comparison of data sets (all that have been evaluated, or the named
    ones); path of its index.html.

    Raises
    ------
    CpmlError : nothing has been evaluated, or a cell failed
    """
    from cpml.pipeline.comparison import NAME
    from cpml.pipeline.report import write_comparison

    step = comparison()
    _execute(step, step.notebook, NAME, {"dataset": list(names or [])})
    print(f"{NAME} done", flush=True)
    return write_comparison()


def _bring_up_to_date(
    step: Step, chain: list[Step], dataset: Dataset, parameters: dict, common: dict, *, force: bool
) -> bool:
    """Run the step, or find it up to date; prints its line and returns whether it ran."""
    record_path = paths.reports(dataset.name) / "provenance.json"
    record = read_json(record_path)
    earlier = [other.name for other in chain if other.name < step.name]
    values = step.parameters(_address(dataset), parameters)
    notebook = step.notebook_for(dataset)
    own = {
        "notebook": provenance.text_sha256(source_of(notebook)),
        "package": sources_sha256(step.code),
    }
    inputs = common | own | provenance.upstream(record, earlier, dataset.name)
    key = provenance.key(inputs, values)
    old = record.get("steps", {}).get(step.name, {})
    if not force and old.get("key") == key and provenance.is_intact(old, dataset.name):
        print(f"{dataset.name} {step.name} cached", flush=True)
        return False
    _forget(record_path, record, step.name, dataset)
    before, started, clock = provenance.snapshot(dataset.name), _now(), time.perf_counter()
    _execute(step, notebook, dataset.name, values)
    duration = time.perf_counter() - clock
    written = provenance.written_since(before, dataset.name)
    provenance.remove_stale(old, written, dataset.name)
    entry = {"key": key, "parameters": values, "inputs": inputs, "artefacts": written}
    entry |= {"started": started, "duration_s": round(duration, 2)} | provenance.software()
    record.setdefault("steps", {})[step.name] = entry
    write_json(record_path, record)
    print(f"{dataset.name} {step.name} {duration:.1f} s", flush=True)
    return True


def _forget(record_path: Path, record: dict, step: str, dataset: Dataset) -> None:
    """From here until the step succeeds, nothing says that it did."""
    (record_path.parent / "index.html").unlink(missing_ok=True)
    record.setdefault("dataset", dataset.name)
    if record.setdefault("steps", {}).pop(step, None):
        write_json(record_path, record)


def _execute(step: Step, notebook: NotebookNode, name: str, values: dict) -> None:
    """Execute a notebook by papermill, beside its target, and rename it when it went through."""
    import nbformat
    import papermill

    _one_thread()

    target = paths.reports(name) / f"{step.name}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    source, temporary = (
        target.with_name(f".{step.name}.{os.getpid()}.{what}.ipynb") for what in ("source", "part")
    )
    nbformat.write(notebook, source)
    options = {
        "progress_bar": False,
        "log_output": False,
        "extra_arguments": ["--log-level=40"],
        "kernel_name": "python3",
        "language": "python",
    }
    try:
        for attempt in (1, 2):
            try:
                with inline_figures():
                    papermill.execute_notebook(_unbraced(source), _unbraced(temporary), values, **options)
                break
            except papermill.PapermillExecutionError as error:
                raise _cell_failed(step, name, error) from None
            except RuntimeError as error:
                # a loaded machine can miss the kernel's start; once more is enough in practice
                if attempt == 2 or "didn't respond" not in str(error):
                    raise CpmlError(
                        f"{name}, notebooks/{step.name}.ipynb: the kernel died ({error})"
                    ) from error
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
        source.unlink(missing_ok=True)


@contextmanager
def inline_figures():
    """Kernels started inside draw into their notebooks, whatever MPLBACKEND says (clusters often set agg)."""
    before = os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    try:
        yield
    finally:
        os.environ.pop("MPLBACKEND")
        os.environ.update({} if before is None else {"MPLBACKEND": before})


def _cell_failed(step: Step, name: str, error) -> CpmlError:
    """One message for a failed cell. A CpmlError speaks for itself; anything else
    shows the failing line as well.
    """
    own = {"CpmlError", *(cls.__name__ for cls in CpmlError.__subclasses__())}
    place = f"data set {name!r}, notebooks/{step.name}.ipynb, cell {error.cell_index}"
    message = f"{place}: {error.ename}: {error.evalue}"
    if error.ename not in own:
        plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in "\n".join(error.traceback).splitlines()]
        arrows = [line.strip() for line in plain if line.lstrip().startswith("-->")]
        message += f"\n  in the cell: {arrows[0]}" if arrows else ""
        message += f"\n  raised at:   {arrows[-1]}" if len(arrows) > 1 else ""
    return CpmlError(message)


def _address(dataset: Dataset) -> str:
    """What a notebook passes to load_dataset: the name, or the path of a description outside data/."""
    at_home = paths.data().resolve() / dataset.name / "dataset.yml"
    return dataset.name if dataset.path == at_home else str(dataset.path)


def _unbraced(path: Path) -> str:
    """papermill sends paths through str.format; a brace in a folder's name has to survive that."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _now() -> str:
    """The only clock: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _one_thread() -> None:
    """Kernels compute on one thread unless told otherwise: the arrays are small, and
    threads on shared cores only wait.
    """
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


def _run_one(name: str, **options) -> tuple[str, str]:
    """(name, error message or ''): plain values, so that they travel between processes and machines."""
    try:
        run_dataset(name, **options)
    except CpmlError as error:
        return name, str(error)
    except Exception as error:
        return name, f"{type(error).__name__}: {error}"
    return name, ""


def _on_cluster(scheduler: str, task, names: list[str]):
    try:
        from dask.distributed import Client
    except ImportError:
        raise CpmlError("--scheduler needs dask.distributed: pip install distributed") from None
    with Client(scheduler) as client:
        return client.gather(client.map(task, names, pure=False))


def _errors(results) -> dict[str, str]:
    return {name: error for name, error in results if error}
