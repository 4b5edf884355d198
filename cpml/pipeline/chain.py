"""The chain of notebooks of one run: run what changed, skip what did not, never leave a half-run result.

What a notebook **Reads** and **Writes**, as its first cell says, is the order: it runs when all that it reads
has been written, beside others that are ready. One that does not say it waits for all before it (by the
prefix of notebooks/NN[x]_*.ipynb; 00_explore is no step). A step is left out where the data set lacks what
it needs, and so is a single cell (`cpml.pipeline.steps`). It is skipped when its

    key = sha256(notebook sources, parameters, sources of the modules that it imports, raw input bytes,
                 artefacts that it reads, lock)

equals the recorded one and everything it wrote is still there, byte for byte. The record is
reports/<run>/provenance.json; a step's entry is removed before it runs and written after it succeeded, so
an interrupted run never looks finished, and the same command again is the recovery. One process at a time
works on a run (`cpml.pipeline.runs`).

    reports/<run>/NN_name.ipynb     the executed notebooks        index.html   all of them, inputs hidden

The page grows with the run: written after every step, the last good one stays until then.
"""

from __future__ import annotations

import os
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from math import inf
from pathlib import Path
from typing import Any

from cpml import paths
from cpml.datasets.dataset import Dataset, load_dataset
from cpml.errors import CpmlError
from cpml.files import of_system, one_error, write_json
from cpml.pipeline import provenance, runs, sources
from cpml.pipeline.execute import Processes, execute
from cpml.pipeline.folder import merge_metrics
from cpml.pipeline.steps import (
    PHASE,
    Step,
    check_declared,
    check_parameters,
    choose,
    comparison,
    discover,
    lacking,
    read_step,
    sources_of,
    with_further_phases,
)
from cpml.pipeline.watch import Watch, last_durations


def run_dataset(
    name: str | Path,
    *,
    parameters: dict | None = None,
    tag: str = "",
    force: bool = False,
    steps: list[str] | None = None,
    until: str = "",
    jobs: int = 1,
) -> Path:
    """Run the chain on one data set and return the path of its index.html.

    Parameters
    ----------
    name : data set name, or path of a dataset.yml; with `@<tag>` behind it a run that has been made before,
        with its parameters, or a new one with those given
    parameters : notebook parameter -> value, given to every notebook that declares it; values other than the
        defaults make a run of their own, `<name>@<tag>`
    tag : of the run, instead of the one made from the parameters
    force : run every step, whatever is recorded
    steps : the only steps to run, by names or chapters, e.g. ["02a_grains"], ["01", "02a"]
    until : the last step to run, e.g. "01", "02a"
    jobs : notebooks at a time, 0 = one per core; several run in processes of their own, which a script starts
        under ``if __name__ == "__main__":`` only

    Raises
    ------
    ParameterError : a parameter or step that no notebook has; a tag that stands for other parameters; a
        notebook that reads what it does not say
    CpmlError : a notebook failed; the message names run, notebook and cell. Another process works on the run.
        A file that cannot be read or written
    """
    with one_error(str(name)):
        dataset = load_dataset(name)
        chain = discover()
        check_declared(chain)
        parameters = check_parameters(chain, parameters or {})
        chosen = choose(chain, steps, until)
        only = parameters.pop(PHASE, "")
        dataset, parameters = runs.with_parameters(dataset, chain, parameters, tag)
        parameters = check_parameters(chain, parameters)
        chain, chosen = (with_further_phases(found, dataset, only) for found in (chain, chosen))
        runs.check_description(dataset)
        with runs.held(dataset.run_name):
            runs.record(dataset, parameters)
            run = _ChainRun(dataset, chain, parameters, force, only_needed=steps is None)
            return run.bring_up_to_date(run.possible(chosen), jobs or os.cpu_count() or 1)


def run_comparison(names: list[str] | None = None) -> Path:
    """Execute the comparison of runs (all data sets that have been evaluated, or the
    named runs); path of its index.html.

    Raises
    ------
    CpmlError : nothing has been evaluated, a cell failed, or another process compares
    """
    from cpml.pipeline.comparison import NAME
    from cpml.pipeline.report.page import write_comparison

    step = comparison()
    with one_error(NAME), runs.held(NAME):
        execute(step, NAME, {"dataset": list(names or [])})
        print(f"{NAME} done", flush=True)
        return write_comparison()


@dataclass
class _ChainRun:
    """The steps of one run, brought up to date one after the other or beside each other."""

    dataset: Dataset
    chain: list[Step]
    parameters: dict[str, Any]
    force: bool
    only_needed: bool  # leave out what has nothing to say; steps that were asked for by name run
    common: dict[str, str] = field(init=False)  # what every key contains
    record: dict[str, Any] = field(init=False)  # provenance.json
    watch: Watch = field(init=False)
    _code: dict[str, str] = field(init=False)  # step -> hash of the modules that it reaches

    def __post_init__(self) -> None:
        self.name = self.dataset.run_name
        self.reports = paths.reports(self.name)
        self._raw = provenance.stamps(self.dataset.inputs().values())
        self.common = provenance.shared_inputs(self.dataset)
        sources.forget()
        self._package = provenance.stamps(sources.files())
        self.record = provenance.read_record(self.name)
        self._package_has_changed, self._code = False, {}
        self._n_done, self._page_is_due, self._stopped = 0, True, ""
        self.watch = Watch(self.name, [], {})

    def possible(self, chosen: list[Step]) -> list[Step]:
        """Those of the chosen steps that the data set can feed; the others are left out, with a word.

        Raises
        ------
        CpmlError : a step that was asked for by name and that the data set cannot feed, or that reads what
            has not been made
        """
        reasons = {step.name: lacking(step, self.dataset) for step in chosen}
        if self.only_needed:
            for step in chosen:
                if reasons[step.name]:
                    self._leave_out(step, reasons[step.name])
            return [step for step in chosen if not reasons[step.name]]
        names = {step.name for step in chosen}
        for step in chosen:
            if reasons[step.name]:
                raise CpmlError(f"{self.name}: {step.name} has nothing to work on: {reasons[step.name]}")
            missing = [
                s
                for s in self.chain
                if s.name in sources_of(step, self.chain) - names and self._lacks(s, step)
            ]
            if missing:
                chapter = missing[-1].notebook_name.partition("_")[0]
                raise CpmlError(
                    f"{self.name}: {step.name} reads what {', '.join(s.name for s in missing)} writes, which "
                    f"has not been run: {self._command('--until', chapter)}"
                )
        return chosen

    def _lacks(self, source: Step, step: Step) -> bool:
        """Whether a source of a step has neither been run by the chain nor by hand."""
        if source.name in self.record["steps"] or lacking(source, self.dataset):
            return False
        if source.name in self.record["unfinished"]:
            return True
        derived = paths.derived(self.name) / source.slug
        shared = set(source.writes or ()) & set(step.reads or ())
        return not any((derived / f"{name}{end}").is_file() for name in shared for end in (".parquet", ".h5"))

    def _command(self, *options: str) -> str:
        """What to type for this run."""
        name = _address(self.dataset)
        return " ".join(["python3 tasks.py run --dataset", f'"{name}"' if " " in name else name, *options])

    def _leave_out(self, step: Step, reason: str) -> None:
        provenance.remove_stale(self.record["steps"].get(step.name, {}), {}, self.name)
        provenance.remove_stale(self.record["unfinished"].get(step.name, {}), {}, self.name)
        gone = [self.record[part].pop(step.name, None) for part in ("steps", "unfinished")]
        if any(gone):
            self.record.pop("page", None)
            self._write_record()
        self.watch.say(f"{self.name} {step.name} left out: {reason}")

    def _has_nothing_to_say(self, step: Step) -> str:
        """Why a step has nothing to say after what earlier ones found; "" where it has."""
        if not self._has_grains(step):
            return "no grain of the phase"
        return lacking(step, self.dataset, found=True) if self.only_needed else ""

    def _has_grains(self, step: Step) -> bool:
        """Whether the map has a grain of the phase that a step is about; of one phase it has."""
        table = paths.derived(self.name) / "grains.parquet"
        if not step.is_of_a_phase or len(self.dataset.modelled) < 2 or not table.is_file():
            return True
        import pandas as pd

        try:
            names = pd.read_parquet(table, columns=["phase_name"])["phase_name"]
        except (OSError, ValueError, KeyError):  # its reader has the message
            return True
        return self.dataset.phase(step.phase).name in set(names)

    def bring_up_to_date(self, chosen: list[Step], jobs: int) -> Path:
        """Run what is not up to date of the chosen steps, and write the page; returns its path.

        Raises
        ------
        CpmlError : of the step that failed first
        """
        lasted = last_durations(self.dataset)
        index = self.reports / "index.html"
        with Watch(self.name, [step.name for step in chosen], lasted, jobs) as self.watch:
            try:
                with _InPlace() if jobs == 1 else Processes(jobs) as pool:
                    has_run = self._run(chosen, pool, jobs)
            except KeyboardInterrupt:
                self._show(f"This run was interrupted at {_now()}; the same command goes on.", force=True)
                raise
        if has_run or not index.is_file() or self.record.get("page") != COMPLETE:
            self._finish_page(chosen)
        return index

    def _run(self, chosen: list[Step], pool: Executor, jobs: int) -> bool:
        """Run each step when all that it reads is there; returns whether any ran.

        Of several that are ready the one that took longest last time begins; of new ones the last, since
        those that train models stand at the end. After a failure no other begins; those that run go on to
        their end.
        """
        order = TopologicalSorter({step.name: sources_of(step, chosen) for step in chosen})
        order.prepare()
        self._code = {step.name: sources.sources_sha256(step.code) for step in chosen}
        steps = {step.name: step for step in chosen}
        lasted = self.watch.lasted
        waiting: list[str] = []
        running: dict[Future[float], _Started] = {}
        failure, has_run = None, False
        while running or (order.is_active() and failure is None):
            waiting = sorted([*waiting, *order.get_ready()], key=lambda name: (lasted.get(name, inf), name))
            while waiting and len(running) < jobs and failure is None:
                name = waiting.pop()
                try:
                    started = self._begin(steps[name], pool, list(running.values()))
                except (CpmlError, OSError, BrokenExecutor) as error:
                    failure = self._failed(name, error)
                    break
                if started:
                    running[started.future] = started
                else:
                    order.done(name)
                    self._n_done += 1
            if running:
                self._show(self._going_on(list(running.values())))
            for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                started, has_run = running.pop(future), True
                name = started.step.name
                try:
                    self._finish(started)
                    order.done(name)
                    self._n_done += 1
                    self._page_is_due = True
                except (CpmlError, OSError, BrokenExecutor) as error:
                    failure = failure or self._failed(name, error)
        if failure is not None:
            self._show(self._stopped)
            raise failure
        return has_run

    def _failed(self, step: str, error: Exception) -> CpmlError:
        """The one error of a step, which is also on the page."""
        self.watch.end(step)
        if isinstance(error, OSError):
            error = CpmlError(f"{self.name} {step}: {of_system(error)}")
        elif isinstance(error, BrokenExecutor):
            error = CpmlError(
                f"{self.name} {step}: its process ended in the middle (killed, or out of memory?): the same "
                "command goes on"
            )
        assert isinstance(error, CpmlError)
        told = str(error).rstrip(".")
        self._stopped = f"This run stopped at {step}: {told}. Chapters below may be older."
        self._page_is_due = True
        return error

    def _begin(self, step: Step, pool: Executor, beside: list[_Started]) -> _Started | None:
        """Start a step, or say that it is up to date, or that it has nothing to say (None)."""
        if reason := self._has_nothing_to_say(step):
            self._leave_out(step, reason)
            self.watch.end(step.name)
            return None
        self._check_unchanged(step)
        values, cells = self._values_and_cells(step)
        inputs = self._inputs(step, cells)
        key = provenance.key(inputs, values)
        old = self.record["steps"].get(step.name, {})
        if not self.force and self._is_current(step, key):
            self.watch.end(step.name, f"{self.name} {step.name} cached")
            return None
        old = self._forget(step)
        started = _Started(
            step,
            {"key": key, "parameters": values, "inputs": inputs, "started": _now()},
            old,
            provenance.snapshot(self.name),
        )
        self.watch.begin(step.name)
        if isinstance(pool, _InPlace):  # the notebook runs now, so the page is written before
            self._show(self._going_on([*beside, started]))
        started.future = pool.submit(execute, step, self.name, values, cells)
        return started

    def _values_and_cells(self, step: Step) -> tuple[dict[str, Any], list[int]]:
        """Parameters and cells of a step on this data set."""
        return step.parameters(_address(self.dataset), self.parameters), step.cells_for(self.dataset)

    def _inputs(self, step: Step, cells: list[int]) -> dict[str, str]:
        """What a step depends on, as it is now: name -> hash."""
        own = {
            "notebook": provenance.text_sha256(step.source_of(cells)),
            "package": sources.sources_sha256(step.code),
        }
        artefacts = [
            artefact
            for other in sources_of(step, self.chain)
            for artefact in self.record["steps"].get(other, {}).get("artefacts", {})
            if step.uses(artefact)
        ]
        return self.common | own | provenance.upstream(artefacts, self.name)

    def _is_current(self, step: Step, key: str) -> bool:
        """Whether a step was made with this key, and all that it wrote is as it was."""
        entry = self.record["steps"].get(step.name, {})
        return entry.get("key") == key and provenance.is_intact(entry, self.name)

    def _finish(self, started: _Started) -> None:
        """Record what a step wrote; CpmlError where it failed."""
        step, name = started.step, self.name
        try:
            duration = started.future.result()
            self._check_unchanged(step)
        except (CpmlError, OSError, BrokenExecutor):
            mine = self._mine(started)
            self.record["unfinished"][step.name]["artefacts"] |= dict.fromkeys(mine, "")
            self._write_record()
            raise
        mine = self._mine(started)
        provenance.remove_stale(started.old, mine, name)
        entry = started.entry | {"artefacts": mine, "duration_s": round(duration, 2)} | provenance.software()
        self.record["steps"] = dict(sorted({**self.record["steps"], step.name: entry}.items()))
        self.record["unfinished"].pop(step.name, None)
        merge_metrics(self.reports)
        self._write_record()
        self.watch.end(step.name, f"{name} {step.name} {duration:.1f} s")

    def _mine(self, started: _Started) -> dict[str, str]:
        """What a step has written since it began: artefact -> hash."""
        written = provenance.written_since(started.before, self.name)
        return {name: sha for name, sha in written.items() if started.step.owns(name, self.chain)}

    def _check_unchanged(self, step: Step) -> None:
        """CpmlError where raw data, notebook or package are no longer what the key of a step says."""
        raw = self.dataset.inputs()
        changed = [
            str(path)
            for name, path in raw.items()
            if provenance.stamps([path]).get(path) != self._raw.get(path)
            and provenance.file_or_nothing(path) != self.common[f"raw/{name}"]
        ]
        same = read_step(step.path)
        if (same.cells, same.needs) != (step.cells, step.needs):
            changed.append(str(step.path))
        if provenance.stamps(sources.files()) != self._package:
            self._package, self._package_has_changed = provenance.stamps(sources.files()), True
            sources.forget()
        if self._package_has_changed and sources.sources_sha256(step.code) != self._code[step.name]:
            changed.append("the package")
        if changed:
            raise CpmlError(
                f"{self.name} {step.name}: {', '.join(changed)} changed while the chain was running: the "
                "same command starts again from there"
            )

    def _forget(self, step: Step) -> dict[str, Any]:
        """From here until the step succeeds nothing says that it did; returns what it wrote before."""
        entry = self.record["steps"].pop(step.name, {})
        lost = self.record["unfinished"].get(step.name, {})
        old = {"artefacts": {**lost.get("artefacts", {}), **entry.get("artefacts", {})}}
        duration = entry.get("duration_s", lost.get("duration_s"))
        self.record["unfinished"][step.name] = old | ({} if duration is None else {"duration_s": duration})
        self.record.pop("page", None)
        self._write_record()
        return old

    def _write_record(self) -> None:
        write_json(self.reports / "provenance.json", self.record)

    def _going_on(self, running: list[_Started]) -> str:
        """The state of the run in a sentence."""
        if self._stopped:
            return self._stopped
        n = self.watch.total
        done = f"{self._n_done} of {n} chapters {'is' if self._n_done == 1 else 'are'} done"
        since = "; ".join(f"{s.step.name} has been running since {s.entry['started']}" for s in running)
        return f"This run is going on: {done}; {since}."

    def _show(self, status: str, *, force: bool = False) -> None:
        """Write the page of what is there, where it says something new; a page that fails loses no result."""
        is_due, self._page_is_due = self._page_is_due or force, False
        if not is_due or not any(self.reports.glob("[0-9][0-9]*_*.ipynb")):
            return
        from cpml.pipeline.report.page import write_index

        try:
            write_index(self.dataset, status=status)
        except Exception as error:
            self.watch.say(f"{self.name}: the page could not be written: {_told(error)}")

    def _finish_page(self, chosen: list[Step]) -> None:
        """The page of what was asked for, and what it was made from; the next run knows that it is there."""
        from cpml.pipeline.report.crate import write_crate
        from cpml.pipeline.report.page import write_index

        try:
            write_crate(self.dataset)  # first: the page links to it
            write_index(self.dataset, status=self._older_than_asked(chosen))
        except Exception as error:
            raise CpmlError(
                f"{self.name}: its results are there, the page could not be written: {_told(error)}"
            ) from error
        self.record["page"] = COMPLETE
        self._write_record()

    def _older_than_asked(self, chosen: list[Step]) -> str:
        """Which chapters that were not asked for no longer fit the others, in a sentence; "" for none."""
        names = {step.name for step in chosen}
        older = []
        for step in self.chain:
            if step.name in names or step.name not in self.record["steps"] | self.record["unfinished"]:
                continue
            values, cells = self._values_and_cells(step)
            if not self._is_current(step, provenance.key(self._inputs(step, cells), values)):
                older.append(step.name)
        if not older:
            return ""
        verb = "is" if len(older) == 1 else "are"
        return f"{', '.join(older)} {verb} older than what was run now: {self._command()} renews all."


COMPLETE = "complete"
"""Word of the record: the page has all that is recorded."""


@dataclass(eq=False)
class _Started:
    """A step under way."""

    step: Step
    entry: dict[str, Any]  # of the record, as far as known before it ran
    old: dict[str, Any]  # what it may have written earlier
    before: dict[str, tuple]  # snapshot of all files
    future: Future[float] = field(default_factory=Future)  # seconds that it took


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
    """What a notebook passes to load_dataset: the name, or the path of a description outside
    data/, with the tag of the run.
    """
    at_home = paths.data().resolve() / dataset.name / "dataset.yml"
    name = dataset.name if dataset.path == at_home else str(dataset.path)
    return f"{name}@{dataset.tag}" if dataset.tag else name


def _told(error: Exception) -> str:
    """Any error on one line."""
    return of_system(error) if isinstance(error, OSError) else " ".join(str(error).split())


def _now() -> str:
    """The only clock: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
