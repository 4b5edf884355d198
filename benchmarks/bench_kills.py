"""A chain that is killed in the middle, again and again, and what is left of it.

A small map goes through the chapters until 02a. The command is killed (kill -9) at a random moment, alone or
with all its notebooks, and given again: that is the recovery, and the next victim. Where a victim had come to
its end, the next one computes everything anew (`force`), so that every kill hits work. At the end the command
runs undisturbed, without `force`, on what the killed ones left.

What it made is then compared with a run that nobody disturbed, byte for byte: data/derived, tables, metrics,
answers, figures. Executed notebooks, provenance.json, the page and the research object contain times and are
left out. No temporary file may remain.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

from benchmarks.bench_microscopy import write_synthetic
from cpml.pipeline.provenance import SHARED

KILLS = 100
ROWS = 40
COMMAND = (
    "import sys; from cpml.pipeline import run_dataset\n"
    "if __name__ == '__main__':\n"
    "    run_dataset(sys.argv[1], until=sys.argv[2], jobs=int(sys.argv[3]), force=sys.argv[4] == 'force')"
)
TIMES = (".ipynb", *(name for name in SHARED if name != "metrics.json"))
"""Ends of the names of files with times inside."""
LOCK = ".lock"


@dataclass
class Chain:
    """A command that runs a chain into a folder.

    Attributes
    ----------
    dataset : path of its dataset.yml; until : last chapter; output : folder of results; jobs : notebooks at a
        time
    """

    dataset: Path
    until: str
    output: Path
    jobs: int = 1
    errors: list[str] = field(default_factory=list)

    def start(self, *, force: bool = False) -> subprocess.Popen:
        """The command in a process of its own."""
        words = [str(self.dataset), self.until, str(self.jobs), "force" if force else ""]
        environment = os.environ | {"CPML_OUTPUT": str(self.output)}
        script = self.output.with_suffix(".py")
        script.write_text(COMMAND)
        return subprocess.Popen(
            [sys.executable, str(script), *words],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self) -> float:
        """Run it undisturbed; returns seconds.

        Raises
        ------
        RuntimeError : it failed
        """
        start = time.perf_counter()
        process = self.start()
        told = process.communicate()[1]
        if process.returncode:
            raise RuntimeError(f"the chain failed: {told[-2000:]}")
        return time.perf_counter() - start

    def kill_after(self, seconds: float, *, alone: bool, force: bool) -> str:
        """Start it and kill it after some seconds, alone or with its notebooks: "killed"; "ended" where it
        was faster, "failed" where it ended by itself in an error.
        """
        process = self.start(force=force)
        try:
            told = process.communicate(timeout=seconds)[1]
        except subprocess.TimeoutExpired:
            for victim in [] if alone else _descendants(process.pid):
                _kill(victim)
            process.kill()
            process.communicate()
            return "killed"
        if process.returncode:
            self.errors.append(told[-2000:])
        return "failed" if process.returncode else "ended"

    def results(self) -> dict[str, bytes]:
        """File -> content, without what has times inside and the record of the run's own place."""
        found = {}
        for path in sorted(self.output.rglob("*")):
            name = path.relative_to(self.output).as_posix()
            if path.is_file() and not name.endswith((*TIMES, "run.json", LOCK)):
                found[name] = path.read_bytes()
        return found

    def litter(self) -> list[str]:
        """Hidden files besides the lock."""
        return sorted(path.name for path in self.output.rglob(".*") if path.name != LOCK)


def kill_repeatedly(
    chain: Chain, reference: Chain, kills: int, *, seed: int = 0, slack: float = 1.0
) -> dict[str, int | float]:
    """Kill a chain so many times, let it finish, compare it with one that was never disturbed.

    Returns
    -------
    kills, of those alone (the notebooks were left running), recoveries, failures, different files, temporary
    files, seconds of an undisturbed run
    """
    rng, lasted = random.Random(seed), reference.finish() * slack
    told = {"kills": 0, "alone": 0, "recoveries": 0, "failures": 0}
    force, was_killed = False, False
    while told["kills"] < kills:
        alone = rng.random() < 0.5
        end = chain.kill_after(rng.uniform(0.05, 1.0) * lasted, alone=alone, force=force)
        # a command that works until it is killed, or to its end, has recovered from the one before
        told["recoveries"] += was_killed and end != "failed"
        told["failures"] += end == "failed"
        was_killed, force = end == "killed", end == "ended"
        if end == "killed":
            told["kills"] += 1
            told["alone"] += alone
            if told["kills"] % 10 == 0:
                print(f"{told['kills']} kills, {told['recoveries']} recoveries", flush=True)
    chain.finish()
    told["recoveries"] += was_killed
    one, other = chain.results(), reference.results()
    different = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
    print(*(f"differs: {name}" for name in sorted(different)), *chain.errors, sep="\n", end="")
    return told | {
        "files": len(other),
        "different": len(different),
        "temporary": len(chain.litter()),
        "s": lasted,
    }


def small_data_set(folder: Path) -> Path:
    """dataset.yml of a made-up nickel map of 40 x 40 points."""
    folder.mkdir(parents=True)
    write_synthetic(folder / "map.ctf", ROWS)
    content = {
        "name": "kills",
        "title": "A map to be killed over",
        "citation": "made up",
        "licence": "CC0-1.0",
        "virtual": True,
        "files": {"ebsd": "map.ctf"},
        "phases": [{"name": "Nickel", "lattice": "fcc", "material": "nickel"}],
        "load": {"kind": "tension", "axis": "x"},
    }
    (folder / "dataset.yml").write_text(yaml.safe_dump(content))
    return folder / "dataset.yml"


def main(kills: int = KILLS) -> dict[str, int | float]:
    """Print how many kills, recoveries, different files and temporary files there were."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = small_data_set(Path(folder) / "data")
        chain, reference = (Chain(dataset, "02a", Path(folder) / name) for name in ("killed", "undisturbed"))
        told = kill_repeatedly(chain, reference, kills)
    print(
        f"{told['kills']} kills ({told['alone']} of the command alone), {told['recoveries']} recoveries, "
        f"{told['failures']} failures; {told['different']} of {told['files']} files differ from an "
        f"undisturbed run of {told['s']:.0f} s (notebooks, page and records of times apart), "
        f"{told['temporary']} temporary files left"
    )
    return told


def _descendants(pid: int) -> Iterator[psutil.Process]:
    """Processes below one, notebooks included: they have sessions of their own."""
    try:
        yield from psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
