"""The house: which room may import which, no circle between rooms, light doors.

A room is a folder of the package; the sub-rooms of microscopy, plasticity and models are rooms of their own.
Imports are read from the sources, those inside functions included.
"""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from cpml.paths import PACKAGE

GROUND = {"errors", "intervals", "files", "progress", "paths", "safe_yaml", "compiled", "load"}
"""Modules at the root: small files that know nothing of the rooms."""

# room -> rooms that it may import, besides the ground floor and itself
ALLOWED = {
    "crystallography": set(),
    "microscopy": {"crystallography"},
    "plasticity": {"crystallography"},
    "virtual": {"crystallography", "microscopy", "plasticity"},
    "datasets": {"crystallography", "microscopy", "virtual"},
    "models": {"crystallography", "microscopy", "plasticity", "virtual"},
    "design": {"crystallography", "plasticity", "virtual"},
    "evaluation": set(),
    "plots": set(),
    "pipeline": {
        "crystallography",
        "microscopy",
        "plasticity",
        "virtual",
        "datasets",
        "models",
        "evaluation",
        "design",
        "plots",
    },
    "explore": {
        "crystallography",
        "microscopy",
        "plasticity",
        "virtual",
        "datasets",
        "models",
        "evaluation",
        "design",
        "plots",
        "pipeline",
    },
}
INSIDE = {
    "microscopy": {
        "maps": set(),
        "io": {"maps"},
        "grains": {"maps"},
        "images": {"io"},
        "twins": {"maps", "grains"},
        "cleaning": {"maps", "grains"},
        "curvature": {"maps", "grains"},
        "registration": {"maps", "images"},
        "dic": {"maps", "io", "images", "registration"},
        "tracking": {"maps", "grains", "twins", "curvature", "registration"},
        "labels": {"maps", "images", "dic", "grains", "twins"},
        "checks": {"maps", "grains", "twins", "dic"},
        "ecci": {"maps", "images", "labels"},
    },
    "plasticity": {
        "arguments": set(),
        "laws": {"arguments"},
        "crystal": {"arguments", "laws"},
        "polycrystal": {"arguments", "laws", "crystal"},
        "field": {"arguments", "laws", "crystal", "polycrystal"},
        "field_path": {"arguments", "laws", "crystal", "polycrystal", "field"},
        "paths": {"arguments", "laws", "crystal", "polycrystal"},
    },
    "virtual": {
        "truth": set(),
        "recorded": {"truth"},
        "volumes": set(),
        "microscope": {"truth", "volumes"},
        "ecci": set(),
    },
    "models": {
        "numerics": set(),
        "specimen": {"numerics"},
        "learned": {"numerics"},
        "mechanics": {"numerics", "specimen", "learned"},
        "baselines": {"specimen", "mechanics"},
        "coupled": {"numerics", "specimen", "mechanics"},
        "checks": {"numerics", "specimen", "mechanics", "coupled"},
        "protocol": {"specimen"},
        "transmission": set(),
        "summary": {"specimen", "mechanics", "baselines", "coupled"},
    },
}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
PUBLIC = {
    module: {alias.asname: f"{module}.{node.module or ''}".rstrip(".")}
    for module, path in SOURCES.items()
    if (stub := path.with_suffix(".pyi")).is_file()
    for node in ast.parse(stub.read_text(encoding="utf-8")).body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}


def imported(module: str) -> set[str]:
    """Modules of the package that a module names in its imports; a name of a face stands for its face."""
    found = set()
    for node in ast.walk(ast.parse(SOURCES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "cpml"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cpml":
            assert node.level == 0
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in SOURCES else node.module)
    return found - {"cpml"}


def rooms(module: str) -> tuple[str, str]:
    """Room and sub-room of a module ("" for a face)."""
    parts = [*module.split("."), "", ""]
    return parts[1], parts[2]


def test_every_room_is_on_the_plan():
    """A new room needs a line in the tables above, and so a decision about whom it may know."""
    tops = {rooms(module)[0] for module in SOURCES} - {""}
    assert tops == GROUND | set(ALLOWED)
    for room, inner in INSIDE.items():
        assert {rooms(module)[1] for module in SOURCES if rooms(module)[0] == room} - {""} == set(inner)


@pytest.mark.parametrize("module", SOURCES)
def test_arrows_run_one_way(module):
    room, inner = rooms(module)
    for other in imported(module):
        its_room, its_inner = rooms(other)
        if its_room != room:
            allowed = GROUND | ALLOWED.get(room, set())
            assert its_room in allowed, f"{module} imports {other}: {room} may know {sorted(allowed)}"
        elif its_inner and its_inner != inner:
            allowed = INSIDE[room][inner] if room in INSIDE and inner else set()
            assert its_inner in allowed or room not in INSIDE, f"{module} imports {other}: not on the plan"


def test_the_plan_has_no_circle():
    """Rooms can be put in an order in which each knows earlier ones only."""
    for plan in (ALLOWED, *INSIDE.values()):
        left = dict(plan)
        while left:
            free = [room for room, known in left.items() if not known & set(left)]
            assert free, f"a circle among {sorted(left)}"
            for room in free:
                del left[room]


def test_no_circle_of_modules():
    """The import graph of all modules, deferred imports included, has no loop."""
    graph = {module: imported(module) & set(SOURCES) for module in SOURCES}
    while graph:
        free = {module for module, known in graph.items() if not known & set(graph) - {module}}
        assert free, f"a circle among {sorted(graph)}"
        graph = {module: known for module, known in graph.items() if module not in free}


def test_models_know_no_file_of_a_notebook():
    """Artefacts are named by notebooks and pipeline; models are given tables."""
    for module, path in SOURCES.items():
        if rooms(module)[0] in ("models", "microscopy", "plasticity", "crystallography"):
            text = path.read_text(encoding="utf-8")
            assert "run.read(" not in text and "run.path(" not in text, module


@pytest.mark.parametrize("place", ["a room", "the ground floor"])
def test_no_room_is_crowded(place):
    """More than 20 files in one folder, and a reader no longer finds the door."""
    folders = {path.parent for path in SOURCES.values()}
    counts = {folder: len(list(folder.glob("*.py"))) - 1 for folder in folders}
    if place == "a room":
        assert max(counts.values()) <= 20, max(counts, key=counts.get)
    else:
        assert counts[PACKAGE] == len(GROUND)


def test_import_from_a_folder_that_holds_a_clone(tmp_path):
    """A folder named cpml beside the caller is no package: the installed one wins over it."""
    (tmp_path / "cpml" / "notebooks").mkdir(parents=True)
    code = "import cpml; print(cpml.__version__, cpml.load_dataset.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[1] == "load_dataset"


@pytest.mark.parametrize("room", ["", *ALLOWED])
def test_doors_are_light(room):
    """A face lists its names and loads none of them; counted in modules, not in seconds."""
    module = f"cpml.{room}".rstrip(".")
    heavy = ("torch", "orix", "hyperspy", "pandas", "numba", "sklearn", "matplotlib", "scipy")
    code = f"import sys, {module} as m; dir(m); print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("room", ["", *ALLOWED])
def test_every_public_name_loads(room):
    """The stub of a face names what its modules have."""
    module = importlib.import_module(f"cpml.{room}".rstrip("."))
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_a_misspelt_name_is_an_attribute_error():
    """Also for tools that only ask whether a name is there."""
    assert not hasattr(importlib.import_module("cpml"), "load_datset")
