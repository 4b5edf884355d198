"""What a result was made from: hashes of inputs and artefacts, the key of a step, the software.

An artefact is named by its path below the output folder of its data set: "derived/grains.parquet",
"reports/figures/02_grains.pdf".
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from cpml import paths
from cpml.datasets.catalogue import file_sha256
from cpml.datasets.dataset import Dataset

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


def upstream(artefacts: list[str], dataset: str) -> dict[str, str]:
    """Name -> sha256 of artefacts as they are now."""
    return {name: _hash_or_nothing(_locate(name, dataset)) for name in sorted(artefacts)}


def is_intact(entry: dict, dataset: str) -> bool:
    """Whether all that a step wrote is still there, byte for byte."""
    artefacts = entry.get("artefacts", {})
    return bool(artefacts) and all(
        _hash_or_nothing(_locate(n, dataset)) == sha for n, sha in artefacts.items()
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
    shared = {"reports/metrics.json", "reports/provenance.json", "reports/index.html"}
    for prefix, folder in _folders(dataset).items():
        for path in folder.rglob("*"):
            name = f"{prefix}/{path.relative_to(folder).as_posix()}"
            if path.is_file() and not path.name.startswith(".") and name not in shared:
                yield name, path.stat()


def _locate(name: str, dataset: str) -> Path:
    prefix, _, rest = name.partition("/")
    return paths.inside(_folders(dataset).get(prefix, paths.reports(dataset)), rest)


def _hash_or_nothing(path: Path) -> str:
    return file_sha256(path) if path.is_file() else ""
