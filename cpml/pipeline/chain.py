"""The chain of notebooks on one data set: run what changed, skip what did not, never leave a half-run result.

What a notebook **Reads** and **Writes**, as its first cell says, is the order: it runs when all that it reads
has been written, beside others that are ready. One that does not say it waits for all before it (by the
prefix of notebooks/NN[x]_*.ipynb; 00_explore is no step). A step is left out where the data set lacks what
it needs, and so is a single cell (`cpml.pipeline.steps`). It is skipped when its

    key = sha256(notebook sources, parameters, sources of the modules that it imports, raw input bytes,
                 artefacts that it reads, lock)

equals the recorded one and everything it wrote is still there, byte for byte. The record is
reports/<dataset>/provenance.json; a step's entry is removed before it runs and written after it succeeded, so
an interrupted run never looks finished, and the same command again is the recovery.

    reports/<dataset>/NN_name.ipynb     the executed notebooks        index.html   all of them, inputs hidden
"""

from __future__ import annotations

import os
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from math import inf
from pathlib import Path
from typing import Any

from cpml import paths
from cpml.datasets.dataset import Dataset, load_dataset
from cpml.errors import CpmlError
from cpml.files import read_json, write_json
from cpml.pipeline import provenance
from cpml.pipeline.execute import Processes, execute
from cpml.pipeline.folder import merge_metrics
from cpml.pipeline.sources import sources_sha256
from cpml.pipeline.steps import (
    PHASE,
    Step,
    check_declared,
    check_parameters,
    choose,
    comparison,
    discover,
    lacking,
    sources_of,
    with_further_phases,
)


def run_dataset(
    name: str | Path,
    *,
    parameters: dict | None = None,
    force: bool = False,
    steps: list[str] | None = None,
    jobs: int = 1,
) -> Path:
    """Run the chain on one data set and return the path of its index.html.

    Parameters
    ----------
    name : data set name, or path of a dataset.yml
    parameters : notebook parameter -> value, given to every notebook that declares it
    force : run every step, whatever is recorded
    steps : names of the only steps to run, e.g. ["02a_grains"]
    jobs : notebooks at a time, 0 = one per core; several run in processes of their own, which a script starts
        under ``if __name__ == "__main__":`` only

    Raises
    ------
    ParameterError : a parameter or step that no notebook has; a notebook that reads what it does not say
    CpmlError : a notebook failed; the message names data set, notebook and cell
    """
    dataset = load_dataset(name)
    chain = discover()
    check_declared(chain)
    parameters = check_parameters(chain, parameters or {})
    chosen = choose(chain, steps)
    only = parameters.pop(PHASE, "")
    chain, chosen = (with_further_phases(found, dataset, only) for found in (chain, chosen))
    run = _ChainRun(dataset, chain, parameters, force, only_needed=steps is None)
    index = run.reports / "index.html"
    if steps is None:
        chosen = [step for step in chosen if not run.leaves_out(step)]
    jobs = jobs or os.cpu_count() or 1
    with _InPlace() if jobs == 1 else Processes(jobs) as pool:
        has_run = run.bring_up_to_date(chosen, pool, jobs)
    if has_run or not index.is_file():
        from cpml.pipeline.report.page import write_index

        write_index(dataset)
    return index


def run_comparison(names: list[str] | None = None) -> Path:
    """Execute the comparison of data sets (all that have been evaluated, or the named
    ones); path of its index.html.

    Raises
    ------
    CpmlError : nothing has been evaluated, or a cell failed
    """
    from cpml.pipeline.comparison import NAME
    from cpml.pipeline.report.page import write_comparison

    step = comparison()
    execute(step, NAME, {"dataset": list(names or [])})
    print(f"{NAME} done", flush=True)
    return write_comparison()


@dataclass
class _ChainRun:
    """The steps of one data set, brought up to date one after the other or beside each other."""

    dataset: Dataset
    chain: list[Step]
    parameters: dict[str, Any]
    force: bool
    only_needed: bool  # leave out what has nothing to say; steps that were asked for by name run
    common: dict[str, str] = field(init=False)  # what every key contains
    record: dict[str, Any] = field(init=False)  # provenance.json

    def __post_init__(self) -> None:
        self.reports = paths.reports(self.dataset.name)
        self.common = provenance.shared_inputs(self.dataset)
        self.record = read_json(self.reports / "provenance.json")
        self.record.setdefault("dataset", self.dataset.name)
        self.record.setdefault("steps", {})

    def leaves_out(self, step: Step) -> bool:
        """Whether the data set lacks what a step needs; says so and deletes what it wrote when it did not."""
        reason = lacking(step, self.dataset)
        if reason:
            self._leave_out(step, reason)
        return bool(reason)

    def _leave_out(self, step: Step, reason: str) -> None:
        provenance.remove_stale(self.record["steps"].get(step.name, {}), {}, self.dataset.name)
        self._forget(step)
        print(f"{self.dataset.name} {step.name} left out: {reason}", flush=True)

    def _has_nothing_to_say(self, step: Step) -> str:
        """Why a step has nothing to say after what earlier ones found; "" where it has."""
        if not self._has_grains(step):
            return "no grain of the phase"
        return lacking(step, self.dataset, found=True) if self.only_needed else ""

    def _has_grains(self, step: Step) -> bool:
        """Whether the map has a grain of the phase that a step is about; of one phase it has."""
        table = paths.derived(self.dataset.name) / "grains.parquet"
        if not step.is_of_a_phase or len(self.dataset.modelled) < 2 or not table.is_file():
            return True
        import pandas as pd

        names = pd.read_parquet(table, columns=["phase_name"])["phase_name"]
        return self.dataset.phase(step.phase).name in set(names)

    def bring_up_to_date(self, chosen: list[Step], pool: Executor, jobs: int) -> bool:
        """Run what is not up to date, each step when all that it reads is there; returns whether any ran.

        Of several that are ready the one that took longest last time begins; of new ones the last, since
        those that train models stand at the end. After a failure no other begins; those that run go on to
        their end.

        Raises
        ------
        CpmlError : of the step that failed first
        """
        order = TopologicalSorter({step.name: sources_of(step, chosen) for step in chosen})
        order.prepare()
        steps = {step.name: step for step in chosen}
        lasted = {name: entry["duration_s"] for name, entry in self.record["steps"].items()}
        waiting: list[str] = []
        running: dict[Future[float], _Started] = {}
        failure, has_run = None, False
        while running or (order.is_active() and failure is None):
            waiting = sorted([*waiting, *order.get_ready()], key=lambda name: (lasted.get(name, inf), name))
            while waiting and len(running) < jobs and failure is None:
                name = waiting.pop()
                if started := self._begin(steps[name], pool):
                    running[started.future] = started
                else:
                    order.done(name)
            for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                started, has_run = running.pop(future), True
                try:
                    self._finish(started)
                    order.done(started.step.name)
                except CpmlError as error:
                    failure = failure or error
        if failure is not None:
            raise failure
        return has_run

    def _begin(self, step: Step, pool: Executor) -> _Started | None:
        """Start a step, or say that it is up to date, or that it has nothing to say (None)."""
        if reason := self._has_nothing_to_say(step):
            self._leave_out(step, reason)
            return None
        values = step.parameters(_address(self.dataset), self.parameters)
        cells = step.cells_for(self.dataset)
        own = {
            "notebook": provenance.text_sha256(step.source_of(cells)),
            "package": sources_sha256(step.code),
        }
        artefacts = [
            artefact
            for other in sources_of(step, self.chain)
            for artefact in self.record["steps"].get(other, {}).get("artefacts", {})
            if step.uses(artefact)
        ]
        inputs = self.common | own | provenance.upstream(artefacts, self.dataset.name)
        key = provenance.key(inputs, values)
        old = self.record["steps"].get(step.name, {})
        if not self.force and old.get("key") == key and provenance.is_intact(old, self.dataset.name):
            print(f"{self.dataset.name} {step.name} cached", flush=True)
            return None
        (self.reports / "index.html").unlink(missing_ok=True)
        self._forget(step)
        entry = {"key": key, "parameters": values, "inputs": inputs, "started": _now()}
        before = provenance.snapshot(self.dataset.name)
        future = pool.submit(execute, step, self.dataset.name, values, cells)
        return _Started(step, future, entry, old, before)

    def _finish(self, started: _Started) -> None:
        """Record what a step wrote; CpmlError where it failed."""
        step, name = started.step, self.dataset.name
        duration = started.future.result()
        written = provenance.written_since(started.before, name)
        mine = {artefact: sha for artefact, sha in written.items() if step.owns(artefact, self.chain)}
        provenance.remove_stale(started.old, mine, name)
        entry = started.entry | {"artefacts": mine, "duration_s": round(duration, 2)} | provenance.software()
        self.record["steps"] = dict(sorted({**self.record["steps"], step.name: entry}.items()))
        merge_metrics(self.reports)
        write_json(self.reports / "provenance.json", self.record)
        print(f"{name} {step.name} {duration:.1f} s", flush=True)

    def _forget(self, step: Step) -> None:
        """From here until the step succeeds, nothing says that it did."""
        if self.record["steps"].pop(step.name, None) is not None:
            write_json(self.reports / "provenance.json", self.record)


@dataclass(frozen=True)
class _Started:
    """A step under way."""

    step: Step
    future: Future[float]  # seconds that it took
    entry: dict[str, Any]  # of the record, as far as known before it ran
    old: dict[str, Any]  # entry of last time
    before: dict[str, tuple]  # snapshot of all files


class _InPlace(Executor):
    """Calls at once, in this process."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _address(dataset: Dataset) -> str:
    """What a notebook passes to load_dataset: the name, or the path of a description outside data/."""
    at_home = paths.data().resolve() / dataset.name / "dataset.yml"
    return dataset.name if dataset.path == at_home else str(dataset.path)


def _now() -> str:
    """The only clock: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
