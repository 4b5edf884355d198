"""What a running chain says: a live line on a terminal; in logs a line as a step starts and one as it ends.

How long a step will take is what it took last time, in this run or in another of the same data set; where
there was no last time nothing is guessed.
"""

from __future__ import annotations

import multiprocessing
import shutil
import sys
import threading
import time
from collections.abc import Iterable
from types import TracebackType

from cpml import paths
from cpml.datasets.dataset import Dataset
from cpml.files import read_json

EVERY_S = 1.0
"""Seconds between two pictures of the live line."""


class Watch:
    """The lines about one run.

    Parameters
    ----------
    run : its name
    names : the steps that are to be done, in order
    lasted : step -> seconds that it took last time
    jobs : steps at a time
    """

    def __init__(self, run: str, names: Iterable[str], lasted: dict[str, float], jobs: int = 1):
        self.run, self.left, self.lasted, self.jobs = run, list(names), lasted, jobs
        self.total, self.n_begun = len(self.left), 0
        self._running: dict[str, float] = {}  # step -> when it began, on a clock that never jumps
        # of several data sets at a time each prints lines of its own: one live line would overwrite another
        self._is_live = sys.stdout.isatty() and multiprocessing.parent_process() is None
        self._lock, self._ended, self._shown = threading.Lock(), threading.Event(), 0
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Watch:
        if self._is_live:
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._is_live:
            self._ticker.join()
            with self._lock:
                self._wipe()

    def say(self, line: str) -> None:
        """A line that stays."""
        with self._lock:
            self._wipe()
            print(f"{line}\n", end="", flush=True)  # in one piece: others write to the same log

    def begin(self, step: str) -> None:
        """A step starts."""
        with self._lock:
            self._running[step] = time.monotonic()
            self.n_begun += 1
        if not self._is_live:
            expected = f"about {told(self.lasted[step])}" if step in self.lasted else "no estimate yet"
            self.say(f"{self._place()}: {step} starts, {expected}{self._rest()}")

    def end(self, step: str, line: str = "") -> None:
        """A step is done, failed, or had nothing to do; says so."""
        with self._lock:
            if self._running.pop(step, None) is None:
                self.n_begun += 1
            if step in self.left:
                self.left.remove(step)
        if line:
            self.say(line)

    def line(self) -> str:
        """What the live line says now; "" while nothing runs."""
        now = time.monotonic()
        parts = []
        for step, began in list(self._running.items()):
            expected = f"of about {told(self.lasted[step])}" if step in self.lasted else "(no estimate yet)"
            parts.append(f"{step} {told(now - began)} {expected}")
        return f"{self._place()}: {', '.join(parts)}{self._rest()}" if parts else ""

    def seconds_left(self) -> float | None:
        """Expected seconds to the end, None where a step has never run: no shorter than the longest step
        that is left, and than the work over the steps at a time.
        """
        now, works = time.monotonic(), []
        for step in self.left:
            if step not in self.lasted:
                return None
            spent = now - self._running[step] if step in self._running else 0.0
            works.append(max(self.lasted[step] - spent, 0.0))
        return max([sum(works) / self.jobs, *works], default=0.0)

    def _place(self) -> str:
        return f"{self.run} {self.n_begun}/{self.total}"

    def _rest(self) -> str:
        seconds = self.seconds_left()
        return "" if seconds is None else f", total about {told(seconds)} left"

    def _tick(self) -> None:
        while not self._ended.wait(EVERY_S):
            with self._lock:
                line = self.line()[: shutil.get_terminal_size().columns - 1]
                self._wipe()
                sys.stdout.write(line)
                sys.stdout.flush()
                self._shown = len(line)

    def _wipe(self) -> None:
        if self._shown:
            sys.stdout.write("\r" + " " * self._shown + "\r")
            sys.stdout.flush()
            self._shown = 0


def told(seconds: float) -> str:
    """A time to wait, no finer than one can know it.

    >>> told(12.4), told(170)
    ('12 s', '3 min')
    """
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def last_durations(dataset: Dataset) -> dict[str, float]:
    """Step -> seconds that it took last time: in this run, else in another of the data set."""
    folder, own = paths.output() / "reports", paths.reports(dataset.run_name)
    found: dict[str, float] = {}
    for reports in [*sorted(folder.glob(f"{dataset.name}@*")), folder / dataset.name, own]:
        content = read_json(reports / "provenance.json")
        for part in ("unfinished", "steps"):
            entries = content.get(part)
            for step, entry in entries.items() if isinstance(entries, dict) else ():
                seconds = entry.get("duration_s") if isinstance(entry, dict) else None
                if isinstance(seconds, int | float) and 0 <= seconds < 1e7:
                    found[step] = float(seconds)
    return found
