"""Chromium without a window, where it is installed: `page` is an empty page that keeps what it was told.

The system's own browser is driven by Playwright, which would otherwise fetch one.
"""

import shutil
from dataclasses import dataclass, field

import pytest

from cpml.pipeline.report.pdf import BROWSERS

QUIET = [  # no sandbox inside containers; nothing is asked of the network by the browser itself
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Told:
    """What a page said and asked for while it was open."""

    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def chromium():
    """The browser, or a skip where none is installed."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A new page of 1300 x 900 points; `page.told` holds its console messages, errors and requests."""
    opened = chromium.new_page(viewport={"width": 1300, "height": 900})
    opened.told = Told()
    opened.on("console", lambda message: opened.told.messages.append(message.text))
    opened.on("pageerror", lambda error: opened.told.messages.append(str(error)))
    opened.on("request", lambda request: opened.told.requests.append(request.url))
    yield opened
    opened.close()
