"""Which modules of the package a notebook's code reaches: what the key of its step depends on.

Read from the sources, without running anything: the names that a notebook imports and the attributes it
takes from them (`microscopy.kam`) are looked up in the stubs of the faces, and from each module its own
imports are followed, those inside functions included. A module name that is put together at run time,
f"cpml.a.{x}", stands for all of cpml.a.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache, lru_cache
from pathlib import Path

from cpml.datasets.catalogue import file_sha256
from cpml.paths import PACKAGE

NAME = PACKAGE.name
DATA = {  # module -> files that it reads
    f"{NAME}.crystallography.materials": "crystallography/materials/*.yml",
    f"{NAME}.plots.style": "plots/*.mplstyle",
}


@lru_cache(maxsize=1)
def modules() -> dict[str, str]:
    """Module -> source."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


def files() -> list[Path]:
    """Every file of the package that results may depend on."""
    return [path for ending in ("*.py", "*.pyi", "*.yml", "*.mplstyle") for path in PACKAGE.rglob(ending)]


def forget() -> None:
    """Read the package anew where it has changed: a process may live long."""
    now = {path: (stat.st_mtime_ns, stat.st_size) for path in files() for stat in [path.stat()]}
    if now != _SEEN:
        _SEEN.clear()
        _SEEN.update(now)
        for cached in (modules, _homes, reached_by):
            cached.cache_clear()


_SEEN: dict[Path, tuple[int, int]] = {}
"""Files of the package as they were when it was read."""


@lru_cache(maxsize=1)
def _homes() -> dict[tuple[str, str], str]:
    """(face, public name) -> the module that defines it, from the stubs."""
    found = {}
    for stub in PACKAGE.rglob("__init__.pyi"):
        face = ".".join(stub.relative_to(PACKAGE.parent).parts[:-1])
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    inner = f".{node.module}" if node.module else f".{alias.name}"
                    found[face, alias.name] = face + inner
    return found


def reached(code: str) -> set[str]:
    """Modules of the package that a piece of code names itself."""
    tree, bound, found = _Runtime().visit(ast.parse(code)), {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == NAME:
                    bound[alias.asname or NAME] = alias.name if alias.asname else NAME
                    found.add(alias.name)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == NAME:
            for alias in node.names:
                home = _resolve(node.module, alias.name)
                found.add(home)
                if home == f"{node.module}.{alias.name}":
                    bound[alias.asname or alias.name] = home
        elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            start = str(node.values[0].value)
            if start.startswith(f"{NAME}.") and start.endswith("."):
                found |= {module for module in modules() if module.startswith(start)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (chain := _chain(node)) and chain[0] in bound:
            place = bound[chain[0]]
            for name in chain[1:]:
                place = _resolve(place, name)
                found.add(place)
    return found & set(modules())


def closure(code: str) -> set[str]:
    """All modules that a piece of code reaches, directly or through others."""
    found: set[str] = set()
    waiting = reached(code)
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= reached_by(module) - found
    return found


def sources_sha256(code: str) -> str:
    """One hash over the modules that a piece of code reaches, and the data files that those read."""
    names = sorted(closure(code))
    lines = [f"{module} {hashlib.sha256(modules()[module].encode()).hexdigest()}" for module in names]
    for module in names:
        for path in sorted(PACKAGE.glob(DATA[module])) if module in DATA else ():
            lines.append(f"{path.relative_to(PACKAGE).as_posix()} {file_sha256(path)}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@cache
def reached_by(module: str) -> frozenset[str]:
    """Modules that a module names itself."""
    return frozenset(reached(modules()[module]))


class _Runtime(ast.NodeTransformer):
    """Code without what is imported for type checkers alone."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else node


def _resolve(place: str, name: str) -> str:
    """The module that `place.name` is, or is defined in."""
    home = _homes().get((place, name))
    if home is not None:
        return home
    inner = f"{place}.{name}"
    return inner if inner in modules() else place


def _chain(node: ast.Attribute) -> list[str] | None:
    """["a", "b", "c"] of a.b.c; None where it does not start at a name."""
    names: list[str] = []
    current: ast.expr = node
    while isinstance(current, ast.Attribute):
        names.append(current.attr)
        current = current.value
    return [current.id, *reversed(names)] if isinstance(current, ast.Name) else None
