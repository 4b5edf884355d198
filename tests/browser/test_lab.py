"""JupyterLab as `tasks.py lab` starts it: notebook 00 runs, a click on a grain shows its card, a slider moves
the map.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import expect

from cpml.paths import PACKAGE

ROOT = PACKAGE.parent
TOKEN = "only-for-this-test"
QUIET = {"@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False}}
LONG = 120_000  # ms; kernels start and compile on a busy machine


@pytest.fixture
def lab(tmp_path):
    """Address of a notebook in a JupyterLab of its own: its files and settings are in a temporary folder."""
    folder, settings = tmp_path / "notebooks", tmp_path / "settings"
    folder.mkdir()
    shutil.copy(ROOT / "notebooks" / "00_explore.ipynb", folder)
    for name, values in QUIET.items():
        path = settings / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values))
    own = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTER_DATA_DIR": "data"}
    own |= {
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ip",
    }
    environment = os.environ | {name: str(tmp_path / value) for name, value in own.items()}
    port = free_port()
    options = ["--no-browser", "--port", str(port), "--allow-root", f"--ServerApp.root_dir={folder}"]
    options += [f"--IdentityProvider.token={TOKEN}", "--ServerApp.port_retries=0"]
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "lab", "--", *options]
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(server, f"{address}/api/status?token={TOKEN}", tmp_path / "log")
        yield f"{address}/lab/tree/00_explore.ipynb?token={TOKEN}"
    finally:
        ask(f"{address}/api/shutdown?token={TOKEN}", method="POST")
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, 9)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def ask(address: str, method: str = "GET") -> bool:
    """Whether the server answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=5) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def wait_for(server, address: str, log) -> None:
    until = time.monotonic() + LONG / 1000
    while not ask(address):
        assert server.poll() is None and time.monotonic() < until, log.read_text()[-2000:]
        time.sleep(0.2)


def when_ready(lab) -> None:
    """Return when the kernel of the notebook is there; cells run before that are lost."""
    address = lab.replace("/lab/tree/00_explore.ipynb", "/api/sessions")
    until = time.monotonic() + LONG / 1000
    while time.monotonic() < until:
        with urllib.request.urlopen(address, timeout=5) as answer:
            kernels = [session["kernel"] for session in json.load(answer)]
        if any(kernel["execution_state"] == "idle" and kernel["connections"] for kernel in kernels):
            return
        time.sleep(0.2)
    pytest.fail("no kernel started")


@pytest.mark.slow
def test_a_click_shows_a_card_and_a_slider_moves_the_map(page, lab):
    page.goto(lab)
    page.locator(".jp-Notebook").wait_for(timeout=LONG)
    when_ready(lab)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator('li[data-command="runmenu:run-all"]').click()
    canvas = page.locator(".jupyter-matplotlib-canvas-container canvas").last
    canvas.wait_for(timeout=LONG)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=LONG)
    assert page.locator('[data-mime-type="application/vnd.jupyter.stderr"]').count() == 0

    canvas.scroll_into_view_if_needed()
    card = page.locator(".widget-html .cpml-card")
    expect(card.locator("h3")).to_have_text("Grain 84")  # what the notebook chose
    box = canvas.bounding_box()
    x, y = box["x"] + 0.2 * box["width"], box["y"] + 0.3 * box["height"]
    page.mouse.move(x, y)
    place = page.locator(".jupyter-matplotlib-footer", has_text="grain")
    number = place.inner_text().rpartition("grain ")[2].strip()
    page.mouse.click(x, y)
    expect(card.locator("h3")).to_have_text(f"Grain {number}", timeout=LONG)
    assert int(number) != 84
    for text in ("What the law says", "--until 04"):
        expect(card).to_contain_text(text)

    expect(card).to_contain_text("threshold 5°")
    page.locator(".widget-slider", has_text="grains differ by").locator(".noUi-handle").press("PageUp")
    expect(card).not_to_contain_text("threshold 5°", timeout=LONG)
    expect(card).to_contain_text("threshold")  # of another value, in the same place
    assert not [text for text in page.told.messages if "rror" in text]
