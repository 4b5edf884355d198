"""pyproject.toml, environment.yml and requirements.lock say the same; what is imported is what they say."""

import ast
import re
import sys
import tomllib

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from cpml.paths import PACKAGE

ROOT = PACKAGE.parent
CONDA_NAMES = {"pytorch": "torch", "playwright-python": "playwright"}

# package -> the name it is imported by, where they differ
MODULES = {
    "axe-playwright-python": "axe_playwright_python",
    "beautifulsoup4": "bs4",
    "diffpy-structure": "diffpy",
    "griffelib": "griffe",
    "ipython": "IPython",
    "lazy-loader": "lazy_loader",
    "pillow": "PIL",
    "pyro-ppl": "pyro",
    "pyyaml": "yaml",
    "rosettasciio": "rsciio",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}
# used, but by no import -> what uses it
TOOLS = {
    "dask-jobqueue": "the recipe of docs/cluster.md, which tests try",
    "ipykernel": "the kernel of the notebooks",
    "jinja2": "pandas writes LaTeX tables by it",
    "jupyterlab": "tasks.py lab",
    "mkdocs-material": "theme of the documentation site",
    "mkdocstrings-python": "API pages of the documentation site",
    "mypy": "tasks.py lint",
    "nbval": "tasks.py test",
    "pyarrow": "pandas reads and writes parquet by it",
    "pytest-cov": "tasks.py test",
    "ruff": "tasks.py lint",
}


def requirements(lines):
    """Canonical name -> Requirement."""
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {name: requirements(lines) for name, lines in PROJECT["optional-dependencies"].items()}


@pytest.fixture(scope="module")
def declared():
    """Name -> Requirement of everything that `pip install -e .[dev]` asks for."""
    return requirements(PROJECT["dependencies"]) | EXTRAS["dev"]


@pytest.fixture(scope="module")
def locked():
    lines = [
        line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")
    ]
    return requirements(lines)


@pytest.fixture(scope="module")
def conda():
    return yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]


def test_conda_and_pip_ask_for_the_same_bounds(declared, conda):
    lines = [*conda[:-1], *conda[-1]["pip"][:-1]]  # what conda-forge does not have comes from PyPI
    listed = [Requirement(line) for line in lines if re.match("(python|pip)($|[<>=])", line) is None]
    assert len({r.name for r in listed}) == len(listed), "a name is listed twice"
    found = {canonicalize_name(CONDA_NAMES.get(r.name, r.name)): r.specifier for r in listed}
    assert found == {name: requirement.specifier for name, requirement in declared.items()}


def test_conda_installs_the_checkout_and_the_same_python(conda):
    assert list(conda[-1]) == ["pip"] and conda[-1]["pip"][-1] == "-e ."
    assert f"python{PROJECT['requires-python']}" in conda


def test_every_lock_line_is_one_exact_public_version(locked):
    """A local version (+cpu) cannot be installed where there is none, a host or an
    option binds it to one machine.
    """
    text = (ROOT / "requirements.lock").read_text()
    assert text.splitlines()[0].startswith("# Python 3.")
    for name, requirement in locked.items():
        assert re.fullmatch(r"==[^*+]+", str(requirement.specifier)), name
    assert not re.search(r"\+|://|^-|@", re.sub("^#.*$", "", text, flags=re.MULTILINE), flags=re.MULTILINE)


def test_direct_dependencies_are_locked_within_their_bounds(declared, locked):
    for name, requirement in declared.items():
        assert name in locked, f"{name} is not in requirements.lock"
        version = str(locked[name].specifier).removeprefix("==")
        assert Version(version) in requirement.specifier, f"{name} {version}"


def imported(source: str) -> set[str]:
    """Names of the packages that Python code imports, also late and by name."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
        elif isinstance(node, ast.Call) and node.args:
            function = getattr(node.func, "attr", getattr(node.func, "id", ""))
            name = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
            if function in ("import_module", "importorskip") and isinstance(name, ast.Constant):
                found.add(name.value)
    return {name.split(".")[0] for name in found} - set(sys.stdlib_module_names)


@pytest.fixture(scope="module")
def users():
    """Imported package -> the files that import it: package, tests, benchmarks, docs, notebooks and tasks."""
    files = [ROOT / "tasks.py", ROOT / "conftest.py"]
    files += [
        path for folder in ("cpml", "tests", "benchmarks", "docs") for path in (ROOT / folder).rglob("*.py")
    ]
    sources = {path: path.read_text(encoding="utf-8") for path in files}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        lines = "\n".join(cells).splitlines()
        sources[path] = "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))
    own = {"cpml", "benchmarks", "tasks", *(path.stem for path in (ROOT / "docs" / "hooks").iterdir())}
    own |= {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    found = {}
    for path, source in sources.items():
        for name in imported(source) - own:
            found.setdefault(name, []).append(str(path.relative_to(ROOT)))
    return found


def modules(*declared) -> set[str]:
    """The names by which packages are imported."""
    return {MODULES.get(name, name) for name in set().union(*declared)}


def test_what_is_declared_is_used(declared, users):
    """A dependency that nothing uses is a burden on everybody's installation."""
    assert modules(declared) - set(users) == set(TOOLS)


def test_what_is_imported_is_declared(declared, users):
    """A package that comes along with another one can be gone with the next version of that one."""
    known = modules(declared, *EXTRAS.values())
    assert {name: files for name, files in users.items() if name not in known} == {}


def test_the_package_needs_no_development_tool(users):
    """What the package and the notebooks import is there for every user, or an extra of its own."""
    others = modules(*(names for extra, names in EXTRAS.items() if extra != "dev"))
    files = [file for name in modules(EXTRAS["dev"]) - others for file in users.get(name, ())]
    assert [file for file in files if file.startswith(("cpml", "notebooks"))] == []
