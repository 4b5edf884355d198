"""pyproject.toml, environment.yml and requirements.lock say the same."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from cpml.paths import PACKAGE

ROOT = PACKAGE.parent
CONDA_NAMES = {"pytorch": "torch"}


@pytest.fixture(scope="module")
def declared():
    """Name -> Requirement of everything that `pip install -e .[dev]` asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


@pytest.fixture(scope="module")
def locked():
    lines = [
        line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")
    ]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


@pytest.fixture(scope="module")
def conda():
    return yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]


def test_conda_and_pip_ask_for_the_same_bounds(declared, conda):
    listed = [
        Requirement(line)
        for line in conda
        if isinstance(line, str) and re.match("(python|pip)($|[<>=])", line) is None
    ]
    found = {canonicalize_name(CONDA_NAMES.get(r.name, r.name)): r.specifier for r in listed}
    assert found == {name: requirement.specifier for name, requirement in declared.items()}


def test_conda_installs_the_checkout_and_the_same_python(conda):
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert conda[-1] == {"pip": ["-e ."]}
    assert f"python{requires}" in conda


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


def test_every_direct_dependency_is_imported_somewhere_or_is_a_tool(declared):
    """A dependency that nothing uses is a burden on everybody's installation."""
    tools = {
        "pyyaml",
        "jupyterlab",
        "ipykernel",
        "ipython",
        "nbclient",
        "ruff",
        "nbval",
        "jinja2",
        "pyarrow",
        "packaging",
    }
    sources = [
        *PACKAGE.rglob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
        *(ROOT / "notebooks").glob("*.ipynb"),
        ROOT / "tasks.py",
    ]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    imported = {
        "scikit-learn": "sklearn",
        "scikit-image": "skimage",
        "beautifulsoup4": "bs4",
        "lazy-loader": "lazy_loader",
    }
    names = {name: imported.get(name, name) for name in set(declared) - tools}
    unused = [
        n
        for n, module in names.items()
        if not re.search(rf"\b(import|from) {module}\b|import_module\(.{module}", text)
    ]
    # planned for the images and the numerics of later parts
    assert set(unused) <= {"hyperspy", "scikit-image", "seaborn", "tqdm"}
