"""`tasks.py check`: all that is wrong at once, what every file holds, and the verdict of chapter 01."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import cpml
from cpml import paths
from cpml.crystallography import random_quaternions
from cpml.datasets.new import new_description
from cpml.errors import DatasetError
from cpml.microscopy import write_map
from cpml.pipeline import checking
from support import map_files
from support.maps import MAGNESIUM, nearest_seeds, square_map

FRAMES = ["identity or z180", "x180 or y180", "z90 or z-90"]
AXES = [checking.AS_READ, checking.TURNED]


def table(verdicts, explained=5):
    """The table of frames with a verdict for each frame and axis, read as identity with the first axis."""
    rows = [(f, a) for a in AXES for f in FRAMES][: len(verdicts)]
    columns = pd.DataFrame(rows, columns=["frames", "hexagonal_axis"])
    return columns.assign(verdict=verdicts, explained=explained, as_read=[True, *[False] * (len(rows) - 1)])


@pytest.fixture
def described(tmp_path):
    """A description of a small magnesium map."""
    q = random_quaternions(9, np.random.default_rng(0))
    m = square_map(nearest_seeds(12, 15, 9), q, phase=MAGNESIUM, noise_deg=0.2)
    (tmp_path / "sheet").mkdir()
    return new_description(write_map(m, tmp_path / "sheet" / "az31.ctf"), load="compression:x:0.03").path


def test_every_mistake_is_a_line(described):
    text = described.read_text().replace("citation:", "citatoin:").replace("hcp", "hpc")
    described.write_text(text)
    found = checking.check_dataset(described)
    assert [m.removeprefix(f"{described}: ").split(":")[0] for m in found.mistakes] == [
        "citatoin",
        "citation",
        "phases[0].lattice",
    ]
    lines = found.lines()
    assert lines[0] == f"{described}: 3 wrong" and "  1. citatoin: 'unpublished': unknown key" in lines[2]
    assert found.files == [] and found.page is None and found.decisions


def test_files_that_cannot_be_read_stop_before_the_chapter(described, monkeypatch):
    monkeypatch.setattr(checking, "run_dataset", lambda *_, **__: pytest.fail("nothing to run"))
    (described.parent / "curve.csv").write_text("true_strain,true_stress_mpa\n0,zero\n")
    described.write_text(described.read_text().replace("files:", "files:\n  curve: curve.csv"))
    (described.parent / "az31.ctf").write_text("Channel Text File\n")
    found = checking.check_dataset(described)
    assert len(found.wrong) == 2 and found.mistakes == []
    assert sum("NOT READ" in line for line in found.lines()) == 2


def test_what_the_map_is(described, output, monkeypatch):
    """Points, phases with share and material, fragments, notes; the verdict is that of the table."""
    tables = paths.reports("az31") / "tables"
    tables.mkdir(parents=True)
    table(["best", *["ruled out"] * 5]).to_csv(tables / "01_frames.csv", index=False)
    run = []
    monkeypatch.setattr(checking, "run_dataset", lambda path, steps: run.append((path, steps)) or tables)
    found = checking.check_dataset(described)
    assert run == [(described, ["01_ingestion"])] and found.wrong == []
    assert found.files[0].told.startswith("180 points, 15 columns x 12 rows")
    assert found.phases == ["Magnesium: 100 % of the points, hcp, material magnesium"]
    assert found.grains.startswith("8 fragments")  # one has less than 5 points
    assert any("X||a*" in note for note in found.notes)
    assert found.frame.startswith("not declared; supported: all but identity or z180")
    assert found.hexagonal_axis.startswith("supported")
    told = "\n".join(found.lines())
    assert f"{described}: valid" in told and "left to decide in dataset.yml:" in told
    assert f"line {1 + described.read_text().split('DECIDE 2')[0].count(chr(10))}: material" in told


@pytest.mark.parametrize(
    "verdicts, explained, frame, axis",
    [
        (["best", *["ruled out"] * 5], 5, "supported", "supported"),
        (["ruled out", "best", *["ruled out"] * 4], 5, "CONTRADICTED: lines and twins fit x180", "supported"),
        ([*["ruled out"] * 3, "best", *["ruled out"] * 2], 5, "supported", "CONTRADICTED"),
        (["best", "not told apart", *["ruled out"] * 4], 5, "undecided: identity or z180, x180", "supported"),
        (["best", *["not told apart"] * 5], 5, "rule no frame out", ""),
        (["not told apart"] * 6, 0, "shows neither lines nor twins", ""),
    ],
)
def test_verdicts(verdicts, explained, frame, axis):
    found = table(verdicts, explained)
    assert frame in checking._frame_verdict(found, "declared identity")
    told = checking._axis_verdict(found)
    assert told.startswith(axis) and bool(told) == bool(axis)


def test_a_data_set_of_images_has_no_chapter_01(describe, monkeypatch):
    from PIL import Image

    monkeypatch.setattr(checking, "run_dataset", lambda *_, **__: pytest.fail("nothing to run"))
    path = describe(files={"images": ["map.ctf", "one.png"]}, phases=None, load="unknown")
    Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30)).save(path.parent / "one.png")
    found = checking.check_dataset(path)
    assert [bool(entry.error) for entry in found.files] == [True, False]
    assert "30 x 20 pixels" in found.files[1].told and found.page is None


def test_an_unknown_name_is_one_error():
    with pytest.raises(DatasetError, match="no data set 'nosuch'"):
        checking.check_dataset("nosuch")


def invoke(*arguments, cwd, **environment):
    """The task as a person runs it, from a folder of their own."""
    root = str(paths.PACKAGE.parent)
    command = [sys.executable, "-m", "invoke", "--search-root", root, *arguments]
    environment = os.environ | {"PYTHONPATH": root} | environment
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_new_is_a_command_with_one_argument(tmp_path):
    map_files.ctf(tmp_path / "sheet.ctf", *map_files.points())
    done = invoke("new", "sheet.ctf", "--load", "tension:x:0.05", "--name", "my-sheet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "to decide:\n  1. title" in done.stdout
    assert done.stdout.endswith(f"next: python3 tasks.py check {tmp_path}\n")
    dataset = cpml.load_dataset(tmp_path)
    assert dataset.name == "my-sheet" and dataset.load.strain == 0.05
    again = invoke("new", "sheet.ctf", cwd=tmp_path)
    assert again.returncode == 1 and again.stderr.count("\n") == 1 and "not overwritten" in again.stderr
    dataset.path.write_text(dataset.path.read_text().replace("licence:", "license:"))
    wrong = invoke("check", ".", cwd=tmp_path)
    assert wrong.returncode == 1 and "2 wrong" in wrong.stdout and wrong.stderr == ""


@pytest.mark.slow
def test_check_runs_chapter_01(described, output):
    """On a map of nine grains, for which neither lines nor twins tell a frame; the page is there."""
    found = checking.check_dataset(described)
    assert found.wrong == [] and found.page == output / "reports" / "az31" / "index.html"
    assert found.page.is_file() and "180 points" in found.answer
    assert "neither lines nor twins" in found.frame and "too few twins" in found.hexagonal_axis
