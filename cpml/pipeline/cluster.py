"""Data sets on the workers of a dask scheduler: same code, the caller's environment, results at the caller.

A worker starts every data set in a process of its own (`cpml.pipeline.job`) with the caller's folders.
Whether it sees the caller's output folder is told by a token that the caller leaves there. Where it does, it
writes there; where not, it works in a folder of its own and sends back the files. A worker that dies loses
nothing: its data set goes to another one, which on a common file system continues where the first stopped.

Nothing runs on a worker whose sources, Python or notebooks are not those of the caller.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import cpml
from cpml import paths
from cpml.datasets.catalogue import file_sha256
from cpml.errors import CpmlError
from cpml.files import read_json, write_atomic
from cpml.pipeline import provenance, runs
from cpml.pipeline.job import Outcome, run_job
from cpml.pipeline.steps import PATTERN

CONNECT_S = 10
"""Seconds for a scheduler to answer."""
VISIBLE_S = 60.0
"""Seconds until a network file system shows what another machine has written."""
LEFT_S = 60.0
"""Seconds for a run to be let go by a worker that died: it cleans up, or its machine's locks expire."""
FOLDERS = ("CPML_ROOT", "CPML_OUTPUT", "CPML_DATA", "CPML_DATA_MIRROR", "CPML_REFERENCE")
LOGS = ("distributed", "distributed.client")
SOURCES = (".py", ".yml", ".mplstyle", ".css", ".html")


@dataclass(frozen=True)
class Order:
    """What every worker of one batch is told."""

    options: dict[str, Any]  # of `run_dataset`
    environment: dict[str, str]
    code: dict[str, str]  # fingerprint
    token: str  # path of a file in the caller's output folder
    topic: str  # of the lines that a run prints
    inputs: dict[str, dict[str, str] | None]  # data set -> name -> sha256 of its raw files

    def environment_here(self) -> dict[str, str]:
        """The caller's variables; a folder that is not on this machine gives way to this machine's own."""
        here = dict(self.environment)
        for name in FOLDERS:
            folders = here.get(name, "").split(os.pathsep)
            if name in here and not all(Path(folder).is_dir() for folder in folders):
                here[name] = os.environ.get(name, "" if name == "CPML_ROOT" else here[name])
        return here


@dataclass(frozen=True)
class Sent:
    """An outcome and, from a worker that does not see the caller's folder, the files."""

    outcome: Outcome
    files: dict[str, bytes] = field(
        default_factory=dict, repr=False
    )  # path below the output folder -> content


def run_on_cluster(
    names: list[str],
    options: dict[str, Any],
    scheduler: str,
    *,
    wait_s: float,
    tell: Callable[[str], object] = print,
) -> list[Outcome]:
    """Run data sets on the workers of a scheduler, one worker each.

    Parameters
    ----------
    options : of `run_dataset`
    scheduler : its address, tcp://host:port
    wait_s : seconds to wait for a worker, at the beginning and when all have gone
    tell : called with every line that a run prints

    Raises
    ------
    CpmlError : no dask, no scheduler, no worker, a worker with another cpml, an output folder that cannot be
        written
    """
    try:
        from distributed import Client
    except ImportError:
        raise CpmlError('--scheduler needs dask.distributed: pip install "cpml[cluster]"') from None
    token = _leave_token()
    levels = {name: logging.getLogger(name).level for name in LOGS}
    try:
        for name in LOGS:  # what matters ends in one message of our own
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            client = Client(scheduler, timeout=CONNECT_S)
        except (OSError, ValueError, TypeError, ImportError, RuntimeError) as error:
            raise CpmlError(
                f"scheduler {scheduler}: no answer within {CONNECT_S} s ({_one_line(error)}); "
                "is `dask scheduler` running there?"
            ) from None
        with client:
            _wait_for_worker(client, scheduler, wait_s)
            code = fingerprint(str(paths.root()))
            _check_workers(client, code)
            topic = f"cpml-{uuid.uuid4().hex}"
            client.subscribe_topic(topic, lambda event: tell(event[1]))
            names = [_absolute(name) for name in names]
            known = {name: _inputs(name) for name in names}
            order = Order(options, _environment(), code, str(token), topic, known)
            return _collect(client, names, order, scheduler, wait_s)
    finally:
        token.unlink(missing_ok=True)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _wait_for_worker(client: Any, scheduler: str, wait_s: float) -> None:
    try:
        client.wait_for_workers(1, timeout=wait_s)
    except TimeoutError:
        raise CpmlError(_no_worker(scheduler, wait_s)) from None


def _no_worker(scheduler: str, wait_s: float) -> str:
    return (
        f"scheduler {scheduler} had no worker for {wait_s:g} s: start some by `dask worker {scheduler}`, "
        "or wait longer (--wait)"
    )


def _check_workers(client: Any, code: dict[str, str]) -> None:
    """CpmlError where any worker that is there runs other code: it would take the work and fail at it."""
    for address, found in client.run(fingerprint, str(paths.root()), on_error="return").items():
        if isinstance(found, OSError):  # it has gone
            continue
        if isinstance(found, BaseException):
            raise CpmlError(
                f"worker {address} has no cpml like this one ({_one_line(found)}): "
                "install the same revision there"
            )
        if reason := difference(code, found):
            raise CpmlError(f"worker {address}: {reason}")


def _collect(client: Any, names: list[str], order: Order, scheduler: str, wait_s: float) -> list[Outcome]:
    """Outcomes in the order in which they come; KeyboardInterrupt ends what runs on the workers."""
    from distributed import CancelledError, wait

    futures = {client.submit(_on_worker, name, order, pure=False): name for name in names}
    outcomes, alone_since = [], None
    try:
        while futures:
            try:
                done = wait(list(futures), timeout=5, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                done = set()
            except CancelledError:
                done = {future for future in futures if future.status in ("cancelled", "lost")}
            for future in done:
                outcomes.append(_outcome(future, futures.pop(future)))
            has_worker = done or client.scheduler_info(n_workers=1)["workers"]
            alone_since = None if has_worker else alone_since or time.monotonic()
            if alone_since and time.monotonic() - alone_since > wait_s:
                outcomes += [Outcome(name, error=_no_worker(scheduler, wait_s)) for name in futures.values()]
                break
    finally:
        client.cancel(list(futures))
    return outcomes


def _outcome(future: Any, name: str) -> Outcome:
    """What a task came to, its files where the caller looks."""
    from distributed import CancelledError, KilledWorker

    try:
        sent = future.result()
        if sent.files:
            receive(sent.files)
        elif not sent.outcome.error:
            _check_visible(sent.outcome)
        return sent.outcome
    except KilledWorker as error:
        deaths = error.allowed_failures + 1
        told = f"{deaths} workers died with it (killed, or out of memory); run it again with more memory"
    except CancelledError:
        told = "the scheduler went away, or dropped it: run it again"
    except CpmlError as error:
        told = str(error)
    except Exception as error:
        told = f"{type(error).__name__}: {_one_line(error)}"
    return Outcome(name, error=told)


def _check_visible(outcome: Outcome) -> None:
    """CpmlError where a result that a worker has written is not what this machine sees."""
    record = paths.output() / "reports" / Path(outcome.reports).name / "provenance.json"
    for _ in range(int(VISIBLE_S)):
        if not outcome.record_sha256 or (record.is_file() and file_sha256(record) == outcome.record_sha256):
            return
        time.sleep(1)
    raise CpmlError(
        f"worker {outcome.where} wrote {outcome.reports}, which is not what is seen here: "
        "point CPML_OUTPUT to a folder that both see"
    )


def receive(files: dict[str, bytes]) -> None:
    """Write files from a worker below the output folder; what the last run wrote and this one did not, goes.

    The record of a run is written last: what is interrupted is run again.

    Raises
    ------
    BusyError : another process holds the run
    """
    with ExitStack() as held:
        for name in sorted({Path(name).parts[1] for name in files if name.startswith("reports/")}):
            held.enter_context(runs.held(name))
        for name in sorted(files, key=lambda name: (name.endswith("/provenance.json"), name)):
            path = paths.inside(paths.output(), name)
            if path.name == "provenance.json":
                _remove_stale(path, files[name])
            write_atomic(path, partial(_write_bytes, content=files[name]))


def _remove_stale(record: Path, content: bytes) -> None:
    import json

    new = {name for entry in json.loads(content)["steps"].values() for name in entry["artefacts"]}
    for entry in read_json(record).get("steps", {}).values():
        provenance.remove_stale(entry, dict.fromkeys(new, ""), record.parent.name)


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _on_worker(name: str, order: Order) -> Sent:
    """One data set on this worker."""
    from distributed import get_worker

    worker = get_worker()
    where = f"{worker.name} on {socket.gethostname()}"
    environment = order.environment_here()
    if reason := difference(order.code, fingerprint(environment["CPML_ROOT"])):
        return Sent(Outcome(name, error=f"worker {where}: {reason}", where=where))
    token = Path(order.token)
    is_common = token.is_file() and token.read_text() == token.name
    if not is_common:
        own = Path(worker.local_directory) / "cpml" / hashlib.sha256(name.encode()).hexdigest()[:16]
        own.mkdir(parents=True, exist_ok=True)
        environment["CPML_OUTPUT"] = str(own)
    key = worker.get_current_task()
    outcome = run_job(
        name,
        order.options,
        tell=partial(worker.log_event, order.topic),
        environment=environment,
        inputs=order.inputs[name],
        patience_s=LEFT_S,
        is_wanted=lambda: _is_wanted(worker, key),
    )
    outcome = replace(outcome, where=where, error=outcome.error and f"{outcome.error} (worker {where})")
    return Sent(outcome, {} if is_common else collect(own))


def collect(output: Path) -> dict[str, bytes]:
    """Path below an output folder -> content of all files in it that are no temporary ones."""
    found = {path.relative_to(output).as_posix(): path for path in output.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in sorted(found.items())
        if not any(part.startswith(".") for part in name.split("/"))
    }


def _is_wanted(worker: Any, key: Any) -> bool:
    """Whether somebody still waits for a task that this worker runs, and the worker is to go on."""
    task = worker.state.tasks.get(key)
    is_open = worker.status.name not in ("closing", "closed", "failed", "stopping")
    return is_open and task is not None and task.state != "cancelled"


def fingerprint(root: str) -> dict[str, str]:
    """What has to be equal on two machines that run the same batch: Python, cpml and the notebooks.

    Parameters
    ----------
    root : the checkout of the notebooks; where it is not there, this machine's own
    """
    folder = Path(root) if root and Path(root).is_dir() else paths.root()
    notebooks = sorted((folder / "notebooks").glob(PATTERN))
    package = (path for path in sorted(paths.PACKAGE.rglob("*")) if path.suffix in SOURCES)
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "cpml": f"{cpml.__version__} ({_sha256_of(tuple(package))[:12]})",
        "notebooks": _sha256_of(tuple(notebooks))[:12],
    }


def _sha256_of(files: tuple[Path, ...]) -> str:
    lines = [f"{path.parent.name}/{path.name} {file_sha256(path)}" for path in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def difference(mine: dict[str, str], theirs: dict[str, str]) -> str:
    """What a worker has in another version, or nothing."""
    for what, here in mine.items():
        if theirs[what] != here:
            return f"{what} is {theirs[what]} there and {here} here: bring both to one revision"
    return ""


def _environment() -> dict[str, str]:
    """Variables of this process that a run depends on, folders absolute."""
    found = {k: v for k, v in os.environ.items() if k.startswith("CPML_") or k.endswith("_NUM_THREADS")}
    found.pop(runs.HOLDER, None)
    for name in FOLDERS:
        if found.get(name):
            folders = (Path(part).expanduser().resolve() for part in found[name].split(os.pathsep))
            found[name] = os.pathsep.join(map(str, folders))
    return found | {"CPML_ROOT": str(paths.root()), "CPML_OUTPUT": str(paths.output())}


def _inputs(name: str) -> dict[str, str] | None:
    """Name -> sha256 of the raw files, None where this machine does not have them."""
    from cpml.datasets.dataset import load_dataset

    try:
        return provenance.shared_inputs(load_dataset(name))
    except CpmlError:
        return None


def _absolute(name: str | Path) -> str:
    """A path that means the same in another folder; a name as it is."""
    text = os.fspath(name)
    is_path = isinstance(name, Path) or any(mark in text for mark in ("/", "\\")) or text.endswith(".yml")
    return str(Path(text).expanduser().absolute()) if is_path else text


def _leave_token() -> Path:
    """A file in the output folder by which a worker sees that it is the same folder."""
    output = paths.output()
    token = output / f".cpml-{uuid.uuid4().hex}"
    try:
        output.mkdir(parents=True, exist_ok=True)
        token.write_text(token.name)
    except OSError as error:
        raise CpmlError(f"{output}: cannot be written ({error.strerror}): set CPML_OUTPUT") from None
    return token


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
