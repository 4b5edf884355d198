"""Public data sets by name: looked up in a mirror, in data/raw, or downloaded once; always checked by sha256.

`data/catalogue.yml` lists, for each set, title, licence, citation and files (sha256, bytes and, where one
exists, url). A file is named "<set>/<file>", e.g. "mg-twins/twins.ctf".
"""

from __future__ import annotations

import hashlib
import os
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from cpml import paths
from cpml.errors import DatasetError
from cpml.safe_yaml import read_yaml

# an Oxford binary map is a pair of files: the one without the other is useless
_COMPANIONS = {".crc": ".cpr", ".cpr": ".crc"}


def sets() -> dict[str, dict]:
    """Set name -> {title, licence, citation, files: {name: {sha256, bytes, url?}}}; {} without a checkout."""
    if paths.checkout() is None:
        return {}
    path = paths.data() / "catalogue.yml"
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else {}


def names(dataset: str | None = None) -> list[str]:
    """All "<set>/<file>" names, or those of one set."""
    if dataset is not None and dataset not in sets():
        raise DatasetError(f"no public set {dataset!r}: the catalogue has {', '.join(sets())}")
    chosen = sets() if dataset is None else {dataset: sets()[dataset]}
    return [f"{name}/{file}" for name, entry in chosen.items() for file in entry["files"]]


def locate(key: str) -> Path | None:
    """The file where it lies already (mirror, then data/raw), unchecked; None where it would have
    to be downloaded.
    """
    _entry(key)
    mirror = paths.from_environment("CPML_DATA_MIRROR")
    places = [folder for folder in (mirror, paths.data() / "raw") if folder]
    found = (paths.inside(folder, key) for folder in places)
    return next((path for path in found if path.is_file()), None)


def fetch(key: str) -> Path:
    """Absolute path of a catalogue file, fetched when needed, its sha256 checked each time.

    Raises
    ------
    DatasetError : unknown name, wrong checksum, no url, or no network; the message says which and what to do
    """
    entry, path = _entry(key), locate(key)
    if path is None:
        path = _download(key, entry)
    found = file_sha256(path)
    if found != entry["sha256"]:
        raise DatasetError(
            f"{path}: sha256 is {found[:12]}..., the catalogue says {entry['sha256'][:12]}... for {key!r}: "
            "the file is damaged or another version; delete it and fetch it again"
        )
    companion = _companion(key)
    if companion and not path.with_suffix(Path(companion).suffix).is_file():
        fetch(companion)
    return path


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=4)
def _read(path: Path, modified: int) -> dict[str, dict]:
    content = read_yaml(path)
    for name, entry in content.items():
        files = entry.get("files") if isinstance(entry, dict) else None
        if not isinstance(files, dict):
            raise DatasetError(f"{path}: set {name!r} has no files")
        for file, values in files.items():
            if not isinstance(values, dict) or len(str(values.get("sha256", ""))) != 64:
                raise DatasetError(f"{path}: {name}/{file} has no sha256")
    return content


def _entry(key: str) -> dict:
    dataset, _, file = key.partition("/")
    entry = sets().get(dataset, {}).get("files", {}).get(file)
    if entry is None:
        close = get_close_matches(key, names(), n=1)
        hint = f": did you mean {close[0]!r}?" if close else f"; its sets are {', '.join(sets())}"
        raise DatasetError(f"{key!r} is not in {paths.data() / 'catalogue.yml'}{hint}")
    paths.inside(paths.data(), key)
    return entry


def _companion(key: str) -> str | None:
    stem, suffix = os.path.splitext(key)
    twin = stem + _COMPANIONS.get(suffix, "")
    return twin if suffix in _COMPANIONS and twin in names() else None


def _download(key: str, entry: dict) -> Path:
    target = paths.inside(paths.data() / "raw", key)
    if "url" not in entry:
        raise DatasetError(
            f"{key!r} has no public url: put the file at {target} or set CPML_DATA_MIRROR to its folder"
        )
    import pooch  # 0.2 s, and only a download needs it

    try:
        pooch.retrieve(entry["url"], known_hash=entry["sha256"], fname=target.name, path=target.parent)
    except Exception as error:  # pooch lets the errors of requests, urllib3 and the file system through
        reason = " ".join(str(error).split())[:200]
        raise DatasetError(
            f"{key!r} could not be downloaded from {entry['url']} ({reason}): "
            f"try again with a network, put the file at {target}, or set CPML_DATA_MIRROR"
        ) from error
    return target
