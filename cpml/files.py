"""Writing a file so that it is either there, complete, under its name, or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path


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
