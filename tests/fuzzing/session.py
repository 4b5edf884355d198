"""Fuzzing of all readers: what is a finding, sessions guided by coverage, the command that repeats a finding.

`tasks.py fuzz` starts `fuzzing.guided` for every target in a process of its own (libFuzzer ends it at a
hang, a crash or too much memory, and it is started again). An input that is a finding is kept below
build/fuzz, once for each kind of error and place in the code.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cpml.errors import CpmlError
from cpml.paths import PACKAGE
from fuzzing.mutations import mutate
from fuzzing.targets import Target, targets

ROOT = PACKAGE.parent
STATE = re.compile(r"#(\d+)\s.*?cov: (\d+) ft: (\d+)")


@dataclass(frozen=True)
class Finding:
    """An input that a reader did not take as it should."""

    what: str  # type and message of the error
    place: str  # file and function of the innermost line of cpml
    trace: str

    @property
    def key(self) -> str:
        """The same for inputs that show the same mistake."""
        kind = self.what.partition(":")[0]
        return hashlib.sha256(f"{kind} {self.place}".encode()).hexdigest()[:12]


def examine(target: Target, data: bytes) -> Finding | None:
    """Read the file that an input stands for; None where it ends in an answer or a CpmlError."""
    with tempfile.TemporaryDirectory(prefix="cpml-fuzz-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = target.build(data, Path(folder))
        try:
            target.check(target.read(path))
        except CpmlError as error:
            if path.parent.name not in str(error) and target.name != "parameter":
                return _finding(AssertionError("an error that does not name its file"), error)
        except Exception as error:
            return _finding(error, error)
    return None


def _finding(told: Exception, error: Exception) -> Finding:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if str(PACKAGE) in frame.filename] or frames
    place = f"{Path(own[-1].filename).name}, {own[-1].name}, line {own[-1].lineno}"
    text = "".join(traceback.format_exception(error))
    return Finding(f"{type(told).__name__}: {' '.join(str(told).split())[:200]}", place, text)


def chosen(word: str) -> list[Target]:
    """Targets of a name or a group; all for an empty word.

    Raises
    ------
    CpmlError : a word that is neither
    """
    found = [t for t in targets().values() if not word or word in (t.name, t.group)]
    if not found:
        groups = sorted({target.group for target in targets().values()})
        raise CpmlError(
            f"target {word!r}: choose a group, {', '.join(groups)}, or a file: {', '.join(targets())}"
        )
    return found


def fuzz(word: str, minutes: float, *, tell: Callable[[str], object] = print) -> int:
    """Fuzz the chosen targets for some minutes in all, with seeds and the inputs that earlier sessions kept.

    Returns
    -------
    int : number of findings

    Raises
    ------
    CpmlError : no such target, or no atheris
    """
    try:
        import atheris  # noqa: F401
    except ImportError:
        raise CpmlError(
            'fuzzing needs atheris (Linux, macOS): .venv/bin/python -m pip install -e ".[fuzz]"'
        ) from None
    found = chosen(word)
    count = 0
    for target in found:
        count += _session(target, 60 * minutes / len(found), tell)
    tell(f"{len(found)} targets, {count} findings")
    return count


def _session(target: Target, seconds: float, tell: Callable[[str], object]) -> int:
    """One target; says executions, coverage and what was found."""
    folder = ROOT / "build" / "fuzz" / target.name
    findings = folder / "findings"
    for part in (folder / "corpus", findings):
        part.mkdir(parents=True, exist_ok=True)
    until, runs, coverage = time.monotonic() + seconds, 0, ("0", "0")
    known = {path.name for path in findings.iterdir()}
    while (left := until - time.monotonic()) > 1:
        command = [sys.executable, "-m", "fuzzing.guided", target.name, f"{left:.0f}"]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]),
            "NUMBA_DISABLE_JIT": "1",  # machine code has no coverage, and instrumented code does not compile
        }
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        states = STATE.findall(done.stderr)
        if not states:
            raise CpmlError(f"fuzzing {target.name} did not begin: {done.stderr.strip()[-500:]}")
        runs += int(states[-1][0])
        coverage = max(coverage, states[-1][1:], key=lambda state: int(state[1]))
        if done.returncode == 0:
            break
    new = sorted(path for path in findings.iterdir() if path.name not in known and path.suffix != ".txt")
    tell(
        f"{target.name}: {runs} executions, {coverage[0]} edges, {coverage[1]} features, {len(new)} findings"
    )
    for path in new:
        story = path.with_name(path.name + ".txt")
        tell(f"  {story.read_text().splitlines()[0] if story.is_file() else path.name.partition('-')[0]}")
        tell(f"    python3 tasks.py fuzz --target {target.name} --reproduce {path.relative_to(ROOT)}")
    return len(new)


def reproduce(word: str, path: Path, *, tell: Callable[[str], object] = print) -> int:
    """Examine one kept input; says what it is, with the stack."""
    (target,) = [target for target in chosen(word) if target.name == word] or [None]
    if target is None:
        raise CpmlError(f"target {word!r} is a group: name the file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CpmlError(f"{path}: cannot be read ({error.strerror})") from None
    clock = time.perf_counter()
    finding = examine(target, data)
    tell(f"{time.perf_counter() - clock:.1f} s")
    tell(finding.trace + finding.what if finding else "an answer, or a CpmlError: no finding")
    return int(finding is not None)


def fixed(target: Target, count: int) -> list[tuple[Finding, bytes]]:
    """Findings among a fixed number of inputs, the same at every call: seeds, mutated by chance."""
    rng = random.Random(target.name)
    seeds = target.seeds()
    found = []
    for number in range(count):
        data = seeds[number] if number < len(seeds) else mutate(rng.choice(seeds), rng)
        if target.is_script and number >= len(seeds):
            data = rng.randbytes(rng.randrange(2, 40))
        if finding := examine(target, data):
            found.append((finding, data))
    return found
