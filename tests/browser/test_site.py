"""The documentation site as a reader opens it: from the file system, without a network."""

import os
import subprocess
import sys

import pytest

from cpml.paths import PACKAGE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built strictly: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=PACKAGE.parent,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_formulas_are_mathml(site):
    text = (site / "how-f-works.html").read_text(encoding="utf-8")
    assert text.count("<math ") > 50
    assert "arithmatex" not in text and "\\frac" not in text


@pytest.mark.parametrize("name", ["index", "how-f-works", "gallery", "api/models", "api/index"])
def test_a_page_asks_for_nothing_and_says_nothing(site, page, name):
    page.goto((site / f"{name}.html").as_uri())
    page.wait_for_load_state("networkidle")
    assert page.told.messages == []
    assert [url for url in page.told.requests if not url.startswith(("file:", "data:"))] == []
    broken = "images => images.filter(image => !image.naturalWidth).map(image => image.src)"
    assert page.eval_on_selector_all("article img", broken) == []


def test_the_search_works_from_the_file_system(site, page):
    page.goto((site / "api" / "index.html").as_uri())
    page.locator("input.md-search__input").click()
    page.locator("input.md-search__input").press_sequentially("conformal")
    found = page.locator(".md-search-result__link")
    found.first.wait_for()
    assert any("evaluation.html" in link.get_attribute("href") for link in found.all())
    assert page.told.messages == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["how-f-works", "api/models"])
def test_axe_finds_no_violation(site, page, name, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page.emulate_media(color_scheme=scheme)
    page.goto((site / f"{name}.html").as_uri())
    page.wait_for_load_state("networkidle")
    found = Axe().run(page).response["violations"]
    assert {rule["id"]: [node["html"][:150] for node in rule["nodes"]][:5] for rule in found} == {}
