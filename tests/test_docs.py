"""What the pages for readers and contributors name is there: files, folders, names in their modules."""

import re

import pytest

from cpml.paths import PACKAGE

ROOT = PACKAGE.parent
PAGES = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "reports" / "README.md"]
GENERATED = ("data/derived", "reports/", "data/<", "notebooks/NN")
WORDS = re.compile(r"`([^`]+)`")


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
