"""What the pages for readers and contributors name is there: files, folders, names in their modules.

The documentation site lists every page, and its API pages show every public name.
"""

import ast
import importlib
import re
import sys
import textwrap

import pytest
import yaml
from jsonschema import Draft202012Validator

import cpml
from cpml.datasets import schema_files
from cpml.datasets.schema import checked
from cpml.paths import PACKAGE
from cpml.safe_yaml import read_yaml

ROOT = PACKAGE.parent
sys.path.insert(0, str(ROOT / "docs" / "hooks"))
import docstrings  # noqa: E402  the hooks of the site are files beside its pages
import pages  # noqa: E402

PAGES = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "reports" / "README.md"]
GENERATED = ("build/", "data/derived", "reports/", "data/<", "notebooks/NN")
WORDS = re.compile(r"`([^`]+)`")
DESCRIBING = [ROOT / "README.md", ROOT / "docs" / schema_files.PAGE_FILE]
BLOCK = re.compile(r"^([ ]*)```yaml\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def symbols() -> list[tuple[list[str], str]]:
    """Rows of the tables of symbols: names in code, and the module that has them."""
    found = []
    for line in (ROOT / "docs" / "notation.md").read_text(encoding="utf-8").splitlines():
        cells = line.strip("| ").split(" | ")
        where = WORDS.fullmatch(cells[-1])
        if where and where[1].endswith(".py"):
            found.append((WORDS.findall(cells[1]), where[1]))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_are_there(page):
    words = WORDS.findall(page.read_text(encoding="utf-8"))
    files = [word for word in words if "/" in word and re.fullmatch(r"[\w./-]+", word)]
    here = [word for word in files if not word.startswith(GENERATED)]
    places = (ROOT, PACKAGE, page.parent)
    assert [word for word in here if not any((place / word).exists() for place in places)] == []


@pytest.mark.parametrize("names, module", symbols())
def test_symbols_are_in_their_modules(names, module):
    text = (PACKAGE / module).read_text(encoding="utf-8")
    assert [name for name in names if not re.search(rf"\b{re.escape(name)}\b", text)] == []


def test_there_are_symbols():
    """The tables above were read."""
    assert len(symbols()) > 50


def in_nav(entry=None) -> list[str]:
    """Pages of the navigation of mkdocs.yml."""
    entry = (
        yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"] if entry is None else entry
    )
    if isinstance(entry, str):
        return [entry]
    return [page for part in (entry.values() if isinstance(entry, dict) else entry) for page in in_nav(part)]


def test_the_site_lists_every_page_once_and_no_other():
    written = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    made = {f"api/{room}.md" for room in pages.api_pages()} | {"contributing.md"}
    assert sorted(in_nav()) == sorted(written | made)


def test_every_public_name_is_on_the_page_of_its_room():
    """Names as Python knows them, against the pages as they are made from the stubs."""
    made = pages.api_pages()
    for room in pages.rooms():
        shown = set(re.findall(rf"^::: cpml\.{room}\.(?:[\w.]+\.)?(\w+)$", made[room], re.MULTILINE))
        assert shown == set(importlib.import_module(f"cpml.{room}").__all__), room
    shown = set(re.findall(r"cpml\.(\w+)", made["index"]))
    assert set(cpml.__all__) <= shown


def test_no_word_of_a_docstring_is_lost_on_its_page():
    """Sections as this project writes them become numpydoc; words and their number stay."""
    lost = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = docstrings.ROLE.sub(r"\1", ast.get_docstring(node) or "")
                page = docstrings.numpydoc(text).replace("&lt;", "<").replace("\\_", "_")
                if missing := set(re.findall(r"\w+", text)) - set(re.findall(r"\w+", page)):
                    lost[f"{path.name}: {getattr(node, 'name', 'module')}"] = sorted(missing)
    assert lost == {}


def test_sections_become_numpydoc():
    text = "Sum.\n\nParameters\n----------\na, b : (N,) < 3; c :\n    third\n\nRaises\n------\nError : a < b"
    assert docstrings.numpydoc(text).split("\n\n") == [
        "Sum.",
        "Parameters\n----------\na\n    (N,) &lt; 3\nb\n    (N,) &lt; 3\nc\n    third",
        "Raises\n------\nError\n    a &lt; b",
        "",
    ]


def test_a_figure_that_no_notebook_shows_stops_the_site():
    assert pages.picture("01_ingestion", "ipf_map").startswith(b"\x89PNG")
    with pytest.raises(pages.PluginError, match=r"notebooks/01_ingestion.ipynb shows no figure 'nothing'"):
        pages.picture("01_ingestion", "nothing")


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_examples_of_the_pages_run(page, tmp_path, monkeypatch):
    """Python of the pages, in a folder with a map; what needs a cluster is tested with its room."""
    (tmp_path / "map.ctf").write_bytes((ROOT / "data" / "demo" / "map.ctf").read_bytes())
    monkeypatch.chdir(tmp_path)
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        if "dask_jobqueue" not in code:
            exec(compile(code, page.name, "exec"), {"__name__": "example"})


def descriptions() -> list[tuple[str, str]]:
    """Page and text of every description of a data set that a page shows."""
    found = [
        (page.name, textwrap.dedent(block.group(2)))
        for page in DESCRIBING
        for block in BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]
    return [(page, text) for page, text in found if re.search("^name:", text, re.MULTILINE)]


@pytest.mark.parametrize("page, text", descriptions(), ids=lambda value: value[:24].split("\n")[0])
def test_a_description_that_a_page_shows_is_valid(page, text, tmp_path):
    """Against the schema and in the check; the files that it names are not there."""
    path = tmp_path / "dataset.yml"
    path.write_text(text, encoding="utf-8")
    values = read_yaml(path)
    assert [
        error.message for error in Draft202012Validator(schema_files.json_schema()).iter_errors(values)
    ] == []
    assert checked(values, path)[1] == []


def test_every_page_that_explains_descriptions_shows_one():
    assert {page for page, _ in descriptions()} == {page.name for page in DESCRIBING}
