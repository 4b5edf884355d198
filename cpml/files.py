"""Writing a file so that it is either there, complete, or not at all; what the system says against one."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cpml.errors import CpmlError

_REMEDIES = {
    errno.ENOSPC: "make room there, or set CPML_OUTPUT to a folder on another disk",
    errno.EDQUOT: "make room there, or set CPML_OUTPUT to a folder on another disk",
    errno.EROFS: "set CPML_OUTPUT to a folder that you may write to",
    errno.EACCES: "give yourself the right to it, or set CPML_OUTPUT to a folder that you may write to",
    errno.EPERM: "give yourself the right to it, or set CPML_OUTPUT to a folder that you may write to",
    errno.ENOTDIR: "a file is where a folder should be: move it away, or set CPML_OUTPUT to another folder",
    errno.EEXIST: "a file is where a folder should be: move it away, or set CPML_OUTPUT to another folder",
    errno.EISDIR: "a folder is where a file should be: move it away",
    errno.ENOENT: "it is not there, or went away meanwhile",
}


def write_atomic(path: Path, write: Callable[[Path], object]) -> Path:
    """Call `write(temporary)` beside `path`, then rename; a failing `write` leaves what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # same suffix: matplotlib and pandas choose the format by it
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


@contextmanager
def one_error(about: str) -> Iterator[None]:
    """What the system says against a file, as one CpmlError with the file and what to do."""
    try:
        yield
    except OSError as error:
        raise CpmlError(f"{about}: {of_system(error)}") from error


def of_system(error: OSError) -> str:
    """What the system said, on one line, and what to do about it.

    >>> of_system(OSError(errno.EROFS, "Read-only file system", "a/b.json"))
    'a/b.json: Read-only file system: set CPML_OUTPUT to a folder that you may write to'
    """
    words = [str(error.filename)] if error.filename else []
    words.append(error.strerror or " ".join(str(error).split()) or type(error).__name__)
    words += [_REMEDIES[error.errno]] if error.errno in _REMEDIES else []
    return ": ".join(words)


def write_json(path: Path, content) -> Path:
    """Sorted, indented, strict JSON (no NaN), so that equal content is equal bytes."""
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"
    return write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def merge_json(path: Path, content: dict, *, replaces: tuple[str, ...]) -> Path:
    """Update the object in a JSON file; keys that start with one of ``replaces``
    and are not in ``content`` go.

    NaN, which strict JSON cannot hold, is left out.
    """
    kept = {k: v for k, v in read_json(path).items() if not k.startswith(replaces)}
    return write_json(path, kept | {k: v for k, v in content.items() if not math.isnan(v)})


def read_json(path: Path) -> dict:
    """The object in a JSON file, or {} where there is no readable one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
