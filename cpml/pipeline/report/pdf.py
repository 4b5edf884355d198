"""The report on paper: the page with all chapters unfolded, printed by a browser without a window."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from cpml.errors import CpmlError
from cpml.files import write_atomic

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
LIMIT_S = 300
_QUIET = (  # nothing is asked of the network by the browser itself
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-pdf-header-footer",
)


def write_pdf(index: Path) -> Path:
    """Print index.html as report.pdf beside it; returns its path.

    Raises
    ------
    CpmlError : no browser of the Chromium family, or it did not print
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise CpmlError(
            f"no browser to print with (looked for {', '.join(BROWSERS)}): install Chromium, or open {index} "
            "and print it from your own browser"
        )
    page = index.read_text(encoding="utf-8").replace("<details>", "<details open>")
    with tempfile.TemporaryDirectory() as folder:
        unfolded = Path(folder) / "report.html"
        unfolded.write_text(page, encoding="utf-8")
        return write_atomic(index.with_name("report.pdf"), lambda path: _print(browser, unfolded, path))


def _print(browser: str, page: Path, target: Path) -> None:
    # inside a container root has no sandbox
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    options = [*_QUIET, *root, f"--user-data-dir={page.parent / 'profile'}", f"--print-to-pdf={target}"]
    try:
        done = subprocess.run(
            [browser, *options, page.as_uri()], capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CpmlError(f"{browser} could not print the report: {error}") from None
    if not target.is_file() or not target.stat().st_size:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise CpmlError(f"{browser} printed nothing (exit code {done.returncode}): {last}")
