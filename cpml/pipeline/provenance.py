"""What a result was made from: hashes of inputs and artefacts, the key of a step, the software.

An artefact is named by its path below the output folders of its run: "derived/grains.parquet",
"reports/figures/02_grains.pdf".
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from cpml import paths
from cpml.datasets.catalogue import file_sha256
from cpml.datasets.dataset import Dataset
from cpml.errors import DatasetError
from cpml.files import read_json

PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "torch",
    "orix",
    "scikit-learn",
    "scikit-image",
    "numba",
    "matplotlib",
    "papermill",
)


SHARED = ("metrics.json", "provenance.json", "index.html", "ro-crate-metadata.json")
"""Files of a report that all its steps write together."""


def text_sha256(text: str) -> str:
    """Hash of a text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def key(inputs: dict[str, str], parameters: dict) -> str:
    """sha256 of everything that a step's result depends on."""
    return text_sha256(json.dumps([inputs, parameters], sort_keys=True))


def shared_inputs(dataset: Dataset) -> dict[str, str]:
    """Name -> sha256 of what every step of a data set depends on: raw files and lock."""
    found = {f"raw/{name}": file_sha256(path) for name, path in dataset.inputs().items()}
    lock = paths.root() / "requirements.lock"
    return found | {"lock": file_sha256(lock) if lock.is_file() else ""}


def read_record(run: str) -> dict:
    """provenance.json of a run; what is damaged counts as not there, so that it is made again."""
    found = read_json(paths.reports(run) / "provenance.json")
    for part in ("steps", "unfinished"):
        entries = found.get(part) if isinstance(found.get(part), dict) else {}
        found[part] = {name: entry for name, entry in entries.items() if _is_entry(entry)}
    return found | {"dataset": run}


def _is_entry(entry: object) -> bool:
    """Whether an entry says what a step wrote, and names no file outside its folders."""
    artefacts = entry.get("artefacts") if isinstance(entry, dict) else None
    try:
        return isinstance(artefacts, dict) and all(_locate(name, "any") for name in artefacts)
    except DatasetError:
        return False


def stamps(files: Iterable[Path]) -> dict[Path, tuple]:
    """File -> what changes when it does; of one that is gone, nothing."""
    return {path: (s.st_mtime_ns, s.st_size, s.st_ino) for path in files if (s := _stat(path)) is not None}


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def upstream(artefacts: list[str], dataset: str) -> dict[str, str]:
    """Name -> sha256 of artefacts as they are now."""
    return {name: file_or_nothing(_locate(name, dataset)) for name in sorted(artefacts)}


def is_intact(entry: dict, dataset: str) -> bool:
    """Whether all that a step wrote is still there, byte for byte."""
    artefacts = entry.get("artefacts", {})
    return bool(artefacts) and all(
        file_or_nothing(_locate(n, dataset)) == sha for n, sha in artefacts.items()
    )


def snapshot(dataset: str) -> dict[str, tuple]:
    """Artefact -> what changes when it is replaced, even by equal bytes."""
    return {name: (stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in _stats(dataset)}


def written_since(before: dict[str, tuple], dataset: str) -> dict[str, str]:
    """Artefact -> sha256 of what was written since a snapshot. Files that all steps share belong to none."""
    now = snapshot(dataset)
    names = (name for name, mark in now.items() if before.get(name) != mark)
    return {name: file_sha256(_locate(name, dataset)) for name in sorted(names)}


def remove_stale(old: dict, written: dict[str, str], dataset: str) -> None:
    """Delete what the step wrote last time and no longer writes."""
    for name in set(old.get("artefacts", {})) - set(written):
        _locate(name, dataset).unlink(missing_ok=True)


@lru_cache(maxsize=1)
def software() -> dict:
    """Python, package versions, git revision and whether the checkout differs from it."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "missing"
    revision = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    git = {"revision": revision, "dirty": None if changes is None else bool(changes)}
    return {
        "git": git,
        "python": platform.python_version(),
        "platform": platform.system(),
        "packages": versions,
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", paths.root(), *arguments], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _folders(dataset: str) -> dict[str, Path]:
    return {"derived": paths.derived(dataset), "reports": paths.reports(dataset)}


def _stats(dataset: str):
    shared = {f"reports/{name}" for name in SHARED} | {"derived/run.json"}
    for prefix, folder in _folders(dataset).items():
        for path in folder.rglob("*"):
            name = f"{prefix}/{path.relative_to(folder).as_posix()}"
            if path.is_file() and not path.name.startswith(".") and name not in shared:
                yield name, path.stat()


def _locate(name: str, dataset: str) -> Path:
    prefix, _, rest = name.partition("/")
    return paths.inside(_folders(dataset).get(prefix, paths.reports(dataset)), rest)


def file_or_nothing(path: Path) -> str:
    """Hash of a file, "" where there is none."""
    return file_sha256(path) if path.is_file() else ""
