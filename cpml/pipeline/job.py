"""One data set in a process of its own, as a batch starts it, on this machine or on a worker of a cluster.

    python -m cpml.pipeline.job <folder>     request.json there says what to run, result.json how it went

A process of its own has its own environment, and takes nothing with it when it dies. Its standard input is a
lifeline: the one who started it holds the other end, and when that closes, in whatever way, the run is
interrupted as by Ctrl-C, cleans up and ends; what is left after a while is killed, kernels included.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from cpml.errors import BusyError, CpmlError
from cpml.files import read_json, write_json

GRACE_S = 15.0
"""Seconds for a run to clean up after its lifeline was cut."""
POLL_S = 0.5
"""Seconds between two looks at a run under way."""


@dataclass(frozen=True)
class Outcome:
    """What became of one data set: plain values, so that they travel between processes and machines."""

    name: str  # as it was asked for
    error: str = ""  # one message, or nothing
    reports: str = ""  # folder of the report, where it went through
    record_sha256: str = ""  # of provenance.json in it
    seconds: float = 0.0
    where: str = ""  # worker


def run_job(
    name: str,
    options: dict[str, Any],
    *,
    tell: Callable[[str], object] = print,
    environment: dict[str, str] | None = None,
    inputs: dict[str, str] | None = None,
    patience_s: float = 0.0,
    is_wanted: Callable[[], bool] = lambda: True,
) -> Outcome:
    """Run one data set in a process of its own and wait for it.

    Parameters
    ----------
    options : of `run_dataset`
    tell : called with every line that the run prints
    environment : variables that differ from those of this process
    inputs : name -> sha256 of the raw files as the caller knows them; others end the run before it begins
    patience_s : seconds to wait for another process that holds the run
    is_wanted : asked now and then; the run is ended when it says no

    Returns
    -------
    Outcome : with an error where the data set failed or its process died
    """
    import psutil

    clock = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="cpml-job-") as folder:
        request = {"name": name, "options": options, "inputs": inputs, "patience_s": patience_s}
        write_json(Path(folder) / "request.json", request)
        with open(Path(folder) / "errors.txt", "w+b") as errors:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "cpml.pipeline.job", folder],
                env=os.environ | (environment or {}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
            assert process.stdin is not None and process.stdout is not None
            reader = threading.Thread(target=_forward, args=(process.stdout, tell), daemon=True)
            reader.start()
            family: list[psutil.Process] = []
            try:
                while process.poll() is None:
                    if not is_wanted():
                        break
                    family = _descendants(process.pid) or family
                    time.sleep(POLL_S)
            finally:
                process.stdin.close()
                _end(process, family)
                reader.join(GRACE_S)
            told = read_json(Path(folder) / "result.json")
            outcome = (
                Outcome(name, **told) if told else Outcome(name, error=_died(process.returncode, errors))
            )
    return replace(outcome, seconds=round(time.perf_counter() - clock, 1))


def _forward(stream: IO[bytes], tell: Callable[[str], object]) -> None:
    for line in stream:
        tell(line.decode("utf-8", errors="replace").rstrip("\r\n"))


def _descendants(pid: int) -> list:
    import psutil

    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _end(process: subprocess.Popen, family: list) -> None:
    """Wait for a run whose lifeline is cut, then end whatever is left of it, with kernels that lost it."""
    import psutil

    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        family = _descendants(process.pid) or family
        process.kill()
        process.wait()
    for member in family:
        try:
            member.kill()
        except psutil.Error:  # gone already
            continue


def _died(code: int, errors: IO[bytes]) -> str:
    """One line about a process that left no result."""
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"its process was ended by {name} (out of memory, or by hand): run it again"
    errors.seek(0)
    lines = errors.read().decode("utf-8", errors="replace").strip().splitlines()
    return f"its process ended with exit code {code}: {lines[-1] if lines else 'it said nothing'}"


def main(folder: str) -> int:
    """Run what request.json asks for; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace", line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGINT, _interrupt_once)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    request = json.loads((Path(folder) / "request.json").read_text(encoding="utf-8"))
    result = _result(**request)
    write_json(Path(folder) / "result.json", {k: v for k, v in asdict(result).items() if k != "name"})
    return 1 if result.error else 0


def _result(name: str, options: dict[str, Any], inputs: dict[str, str] | None, patience_s: float) -> Outcome:
    from cpml.datasets.catalogue import file_sha256

    try:
        if inputs is not None:
            _check_inputs(name, inputs)
        index = _run_when_free(name, options, time.monotonic() + patience_s)
        record = index.parent / "provenance.json"
        sha = file_sha256(record) if record.is_file() else ""
        return Outcome(name, reports=str(index.parent), record_sha256=sha)
    except CpmlError as error:
        return Outcome(name, error=str(error))
    except Exception as error:
        return Outcome(name, error=f"{type(error).__name__}: {error}")


def _run_when_free(name: str, options: dict[str, Any], until: float) -> Path:
    """Run the chain; one that another process holds, perhaps to clean up before it ends, is waited for."""
    from cpml.pipeline.chain import run_dataset

    while True:
        try:
            return run_dataset(name, **options)
        except BusyError:
            if time.monotonic() > until:
                raise
            time.sleep(POLL_S)


def _check_inputs(name: str, expected: dict[str, str]) -> None:
    """CpmlError where a raw file, or the description, is not the one that the caller has."""
    from cpml.datasets.dataset import load_dataset
    from cpml.pipeline.provenance import shared_inputs

    here = shared_inputs(load_dataset(name))
    for what in sorted(expected.keys() | here.keys()):
        if expected.get(what) != here.get(what):
            raise CpmlError(
                f"{what} differs from the one where the batch was started: bring both to one state"
            )


def _interrupt_once(*_: Any) -> None:
    """KeyboardInterrupt; a second one, of terminal or lifeline, does not disturb the cleaning up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    """Wait until the lifeline is cut, then interrupt this process, and end it where that does not help."""
    while os.read(0, 4096):
        pass
    if os.name == "nt":
        import _thread

        _thread.interrupt_main()
    else:
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_S * 2 / 3)  # before the one who started it, if it still is there, loses patience
    for member in _descendants(os.getpid()):
        member.kill()
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
