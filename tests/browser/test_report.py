"""The report as a browser shows it: complete, silent, without a request, readable for everybody, printable.

The page is made from the committed notebooks with their outputs on the demo, so that it has every kind of
figure and table without a run.
"""

import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe

from cpml import paths
from cpml.pipeline import steps
from cpml.pipeline.report.page import write_index
from cpml.pipeline.report.pdf import write_pdf

pytestmark = pytest.mark.slow

A4_PX = 180 / 25.4 * 96  # the text width of A4 with margins of 15 mm


@pytest.fixture
def index(output):
    folder = paths.reports("demo")
    folder.mkdir(parents=True)
    for step in steps.discover():
        shutil.copy(step.path, folder)
    return write_index("demo", status="This run is going on: 3 of 11 chapters are done.")


@pytest.fixture
def report(index, page):
    """The page with all chapters unfolded."""
    page.goto(index.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    return page


def test_nothing_is_said_asked_or_missing(report, index):
    assert report.told.messages == []
    assert [url for url in report.told.requests if not url.startswith("data:")] == [index.as_uri()]
    broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt)"
    assert report.evaluate(broken) == [] and report.evaluate("document.images.length") > 40
    lost = "[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.hash.slice(1))"
    assert [name for name in report.evaluate(lost) if report.locator(f"[id='{name}']").count() != 1] == []
    sideways = report.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert sideways <= 0, "the page does not scroll sideways"


def test_a_link_to_a_folded_chapter_unfolds_it(index, page):
    page.goto(index.as_uri())
    assert page.locator("details[open]").count() == 0
    page.locator("nav a", has_text="02a Grains").click()
    assert page.evaluate("location.hash") == "#s02a"


def test_no_rule_of_accessibility_is_broken(index, chromium):
    """All rules of axe-core that it runs without being asked, best practices among them."""
    page = chromium.new_context(bypass_csp=True).new_page()
    page.goto(index.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = Axe().run(page).response["violations"]
    page.context.close()
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []


def test_it_prints_whole(index, report):
    """On paper no table or figure is wider than the page; the file has all chapters."""
    report.set_viewport_size({"width": int(A4_PX), "height": 1000})
    report.emulate_media(media="print")
    wide = (
        "[...document.querySelectorAll('table, img, pre')]"
        f".filter(e => e.getBoundingClientRect().right > {A4_PX} + 1).map(e => e.textContent.slice(0, 60))"
    )
    assert report.evaluate(wide) == []
    printed = write_pdf(index)
    assert printed == index.with_name("report.pdf") and printed.read_bytes().startswith(b"%PDF")
    assert printed.stat().st_size > 500_000, "figures of all chapters are in it"
