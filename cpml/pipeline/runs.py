"""A run: a data set under one set of parameters, with a name, folders and at most one holder.

Its name is `<dataset>` with the default parameters, `<dataset>@<tag>` with others; the tag is made from the
parameters ("seed-1") or given. What a run was made from stands in data/derived/<run>/run.json: a tag keeps
its parameters, and a name keeps its description.

    data/derived/<run>/.lock         a lock of the system: gone with the process that holds it
    data/derived/<run>/.holder.json  who holds it; still there after a kill -9, and then tells what was left
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cpml import paths
from cpml.datasets.dataset import Dataset, load_dataset
from cpml.errors import BusyError, DatasetError, ParameterError
from cpml.files import read_json, write_json
from cpml.pipeline.provenance import shared_inputs
from cpml.pipeline.steps import Step
from cpml.safe_yaml import read_yaml

MAX_TAG = 40
"""Characters of a tag that is made from parameters; a longer one is cut and ends in a hash."""
HOLDER = "CPML_HOLDER"
"""Variable in the environment of all processes of a run: who started them."""
_TEMPORARY = re.compile(r"\..+\.(\d+)\.(?:part|source)(?:\.\w+)?")


def with_parameters(
    dataset: Dataset, chain: list[Step], given: dict[str, Any], tag: str = ""
) -> tuple[Dataset, dict[str, Any]]:
    """The data set with the tag of the run that is meant, and the run's parameters that are not at default.

    Parameters
    ----------
    given : checked parameters
    tag : asked for; "" for the one in the name of the data set, or one made from the parameters

    Raises
    ------
    ParameterError : the tag stands for other parameters, or for none yet
    """
    if tag and dataset.tag and tag != dataset.tag:
        raise ParameterError(f"two tags, {dataset.tag!r} and {tag!r}: give one")
    wanted = {name: value for name, value in sorted(given.items()) if _differs(name, value, chain)}
    made = tag_of(wanted)
    run = replace(dataset, tag=tag or dataset.tag or made)
    recorded = _recorded(run.run_name)
    if not run.tag or (recorded is None and (given or tag)):
        return run, wanted
    if recorded is None:
        raise ParameterError(
            f"there is no run {run.run_name!r} yet: give its parameters (-p name=value), or --tag {run.tag} "
            f"with --dataset {dataset.name} for one with the defaults"
        )
    if given and recorded != wanted:
        other = f"{dataset.name}@{made}" if made else dataset.name
        raise ParameterError(
            f"run {run.run_name!r} was made with {in_words(recorded)}, not with {in_words(wanted)}: choose "
            f"another --tag, or none (then it is {other!r}), or delete {paths.derived(run.run_name)} and "
            f"{paths.reports(run.run_name)} first"
        )
    return run, recorded


def tag_of(parameters: dict[str, Any]) -> str:
    """A tag that says the parameters; "" for none.

    >>> tag_of({"seed": 1, "scheme": "taylor"})
    'scheme-taylor_seed-1'
    >>> len(tag_of({"phase_names": ["a"] * 40}))
    47
    """
    plain = "_".join(f"{name}-{_word(value)}" for name, value in sorted(parameters.items()))
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", plain)
    if safe == plain and len(plain) <= MAX_TAG:
        return plain
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()
    return f"{safe[:MAX_TAG]}-{digest[:6]}"


def record(run: Dataset, parameters: dict[str, Any]) -> None:
    """Write run.json: from here on the tag stands for these parameters, the name for this description."""
    content = {"dataset": run.name, "tag": run.tag, "parameters": parameters, "description": str(run.path)}
    if read_json(_file(run.run_name)) != content:
        write_json(_file(run.run_name), content)


def parameters_of(name: str) -> dict[str, Any]:
    """Parameters of a run that are not at default, as recorded."""
    return _recorded(name) or {}


def check_description(run: Dataset) -> None:
    """DatasetError where another description that is still there has the same name, and results under it.

    The same files in another place, such as a second checkout, are the same data.
    """
    folder = paths.output() / "data" / "derived"
    for file in sorted([folder / run.name / "run.json", *folder.glob(f"{run.name}@*/run.json")]):
        other = str(read_json(file).get("description", ""))
        if other and other != str(run.path) and _is_another(Path(other), run):
            raise DatasetError(
                f"{run.path}: name: {run.name!r} is also the name of {other}, whose results are in "
                f"{file.parent}: give one of them another name, or set CPML_OUTPUT to another folder"
            )


@contextmanager
def held(name: str) -> Iterator[None]:
    """Hold a run, or the comparison, alone; first clear away what a killed holder left.

    Raises
    ------
    BusyError : another process holds it; the message tells which, where and since when
    """
    import filelock

    folder = paths.derived(name)
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock", timeout=0)
    holder = folder / ".holder.json"
    try:
        lock.acquire()
    except filelock.Timeout:
        raise BusyError(_taken(name, read_json(holder))) from None
    before = os.environ.get(HOLDER)
    try:
        _end_orphans(read_json(holder))
        remove_temporary(name)
        mark = _mark(os.getpid())
        os.environ[HOLDER] = mark
        since = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(holder, {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "mark": mark})
        yield
    finally:
        os.environ.pop(HOLDER, None)
        os.environ.update({} if before is None else {HOLDER: before})
        with suppress(OSError):  # of processes that were killed in the middle; what failed before is said
            remove_temporary(name)
            holder.unlink(missing_ok=True)
        lock.release()


def remove_temporary(name: str) -> None:
    """Delete the half-written files of processes that are gone, in the folders of a run that is held."""
    import psutil

    for folder in (paths.derived(name), paths.reports(name)):
        for path in folder.rglob(".*") if folder.is_dir() else ():
            found = _TEMPORARY.fullmatch(path.name)
            # whoever holds the run has written nothing yet: its own number is that of a predecessor
            if found and (int(found[1]) == os.getpid() or not psutil.pid_exists(int(found[1]))):
                path.unlink(missing_ok=True)


def _differs(name: str, value: Any, chain: list[Step]) -> bool:
    """Whether a parameter is not at the default of every notebook that has it."""
    return any(step.defaults[name] != value for step in chain if name in step.defaults)


def _recorded(name: str) -> dict[str, Any] | None:
    """Parameters that a run stands for, None where it is new."""
    found = read_json(_file(name)).get("parameters")
    return found if isinstance(found, dict) else None


def _file(name: str) -> Path:
    return paths.derived(name) / "run.json"


def _is_another(path: Path, run: Dataset) -> bool:
    """Whether a file describes a data set of the same name, but of other files."""
    if not path.is_file():
        return False
    try:
        if read_yaml(path).get("name") != run.name:
            return False
        return shared_inputs(load_dataset(path)) != shared_inputs(run)
    except DatasetError:
        return True


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def in_words(parameters: dict[str, Any]) -> str:
    """Parameters as a command line gives them."""
    return ", ".join(f"{name}={_word(value)}" for name, value in parameters.items()) or "the defaults"


def _mark(pid: int) -> str:
    """A process, also when its number is given away again."""
    import psutil

    return f"{pid} {psutil.Process(pid).create_time():.2f}"


def _taken(name: str, holder: dict) -> str:
    who = (
        f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        if holder
        else "another process"
    )
    return (
        f"run {name!r} is held by {who}: wait until it has finished, or end it; "
        "other parameters or another --tag make a run of their own"
    )


def _end_orphans(holder: dict) -> None:
    """End the notebooks that a killed holder left running on this machine; they would write into the run."""
    mark = holder.get("mark")
    if not mark or holder.get("host") != socket.gethostname():
        return
    import psutil

    me = psutil.Process()
    family = {me.pid, *(parent.pid for parent in me.parents())}
    orphans = []
    for process in psutil.process_iter():
        try:
            if process.pid not in family and process.environ().get(HOLDER) == mark:
                process.kill()
                orphans.append(process)
        except (psutil.Error, OSError):
            continue
    psutil.wait_procs(orphans, timeout=10)
