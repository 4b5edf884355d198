"""What is written from the table of keys: the JSON schema for editors and the page for readers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cpml.datasets.rules import REQUIRED, Key, json_of
from cpml.datasets.schema import CONDITIONS, SCHEMA
from cpml.files import write_atomic

SCHEMA_FILE, PAGE_FILE = "dataset.schema.json", "dataset.md"

_HEAD = f"""# dataset.yml

What a data set is stands in one file, `dataset.yml`, in the folder of its files. `python3 tasks.py new
map.ctf` writes it from a map and marks what only you can decide with `# DECIDE`; `python3 tasks.py check
<folder>` says all that is wrong with it, reads every file, and ranks all frames by what the map itself
shows. A complete one:

```yaml
name: my-magnesium
title: AZ31 magnesium, 3 % compression along x
citation: unpublished
licence: unpublished
files:
  ebsd: map.ctf                 # paths inside the folder of this file
  traces: traces.csv            # optional: x_um, y_um, angle_deg[, sigma_deg]
phases:
  - {{name: Magnesium, lattice: hcp, material: magnesium_az31, hex_x_axis: "a*"}}
frame: {{euler_to_sample: x180}}  # left out: not declared
load: {{kind: compression, axis: x, strain: 0.03}}
segmentation: {{threshold: 5.0, min_pixels: 5}}
```

Angles are degrees, lengths um, temperatures K. The sample frame is the pixel frame: x right, y down, z
into the specimen. A key that is not in the tables below is a mistake, and so is one that appears twice.

**Where data sets lie.** A data set is named by the path of its folder or its `dataset.yml`; by its
folder's name where that lies in `data/` of the checkout or in a folder that the environment variable
`CPML_DATA` names (several are separated as in `PATH`), so that your own data stay outside the checkout.
`CPML_OUTPUT` says where results go.

**In an editor.** `{SCHEMA_FILE}`, beside this page, is the JSON schema of the same table. A description
inside the checkout names it in its first line (`tasks.py new` writes that); for others tell the editor
once, in VS Code with the YAML extension by `"yaml.schemas": {{"<checkout>/docs/{SCHEMA_FILE}":
"dataset.yml"}}` in its settings.

This page is written by `python3 tasks.py schema` from `cpml/datasets/schema.py`.
"""


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a dataset.yml."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dataset.yml of cpml",
        "description": "What a data set is: files, phases, frame, load.",
        **json_of(SCHEMA),
        **CONDITIONS,
    }


def page() -> str:
    """The page for readers: an example, and a table of keys for every mapping."""
    tables = "\n".join(_table(place, keys) for place, keys in _mappings())
    return f"{_HEAD}\n{tables}"


def write(folder: Path) -> list[Path]:
    """Write both files into a folder; returns their paths."""
    content = json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"
    texts = {SCHEMA_FILE: content, PAGE_FILE: page()}
    return [
        write_atomic(folder / name, lambda path, text=text: path.write_text(text, encoding="utf-8"))
        for name, text in texts.items()
    ]


def _mappings() -> list[tuple[str, Mapping[str, Key]]]:
    """Place and keys of every mapping of the description, the whole first; one that repeats is left out."""
    inner = [(name, key.rule.keys) for name, key in SCHEMA.items() if key.rule.keys]
    return [("", SCHEMA), *inner]


def _table(place: str, keys: Mapping[str, Key]) -> str:
    title = f"`{place}`" if place else "Keys"
    rows = [
        "| " + " | ".join(_cell(cell) for cell in (f"`{name}`", *_about(key))) + " |"
        for name, key in keys.items()
    ]
    head = "| key | value | left out | meaning | example |\n|---|---|---|---|---|"
    return "\n".join([f"## {title}", "", head, *rows, ""])


def _about(key: Key) -> tuple[str, str, str, str]:
    left_out = "**needed**" if key.default is REQUIRED else "-" if key.default is None else _yaml(key.default)
    words = f"see `{_inner(key)}` below" if _inner(key) else key.rule.words
    return words, left_out, key.meaning, f"`{key.example}`" if key.example else ""


def _inner(key: Key) -> str:
    """The place of the table of a key's own keys; "" where it has none."""
    return next((name for name, other in SCHEMA.items() if other.rule.keys and other is key), "")


def _yaml(value: object) -> str:
    """A default as it would be written."""
    if value in ("", [], {}):
        return "nothing"
    if isinstance(value, dict):
        return f"`{{{', '.join(f'{k}: {v}' for k, v in value.items())}}}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
