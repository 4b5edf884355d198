"""Data for tests: `mirror` and `reference` give a file or skip with the reason; where all
data must be there, they fail.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from cpml import paths
from cpml.crystallography.rotations import quaternion_to_euler, random_quaternions
from cpml.datasets import catalogue


def missing(reason: str):
    """Skip, or fail where CPML_REQUIRE_DATA says that nothing may be skipped for want of data."""
    if os.environ.get("CPML_REQUIRE_DATA"):
        pytest.fail(f"CPML_REQUIRE_DATA is set, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def mirror():
    """mirror("mg-twins/twins.ctf") -> Path of a checked catalogue file that lies here
    already; tests do not download.
    """

    def find(key: str) -> Path:
        if catalogue.locate(key) is None:
            missing(
                f"{key} is neither in CPML_DATA_MIRROR nor in data/raw (get it by: python3 tasks.py data)"
            )
        return catalogue.fetch(key)

    return find


@pytest.fixture(scope="session")
def reference():
    """reference("vpsc/a/case.json") -> Path of a file or folder of reference results below CPML_REFERENCE."""

    def find(relative: str) -> Path:
        folder = paths.from_environment("CPML_REFERENCE")
        if folder is None:
            missing("CPML_REFERENCE is not set")
        path = paths.inside(folder, relative)
        if not path.exists():
            missing(f"{path} does not exist")
        return path

    return find


@pytest.fixture
def output(tmp_path, monkeypatch):
    """A fresh CPML_OUTPUT for one test."""
    folder = tmp_path / "output"
    monkeypatch.setenv("CPML_OUTPUT", str(folder))
    return folder


@pytest.fixture
def describe(tmp_path):
    """describe(key=value, ...) -> path of a valid dataset.yml with these keys changed (None removes one)."""
    import yaml

    def write(folder: Path = tmp_path / "tiny", **changes) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "map.ctf").write_text("only its bytes matter here\n")
        content = {
            "name": "tiny",
            "title": "A tiny data set",
            "citation": "unpublished",
            "licence": "CC0-1.0",
            "files": {"ebsd": "map.ctf"},
            "phases": [{"name": "Nickel", "lattice": "fcc", "material": "nickel"}],
            "load": {"kind": "tension", "axis": "x"},
        }
        content = {key: value for key, value in (content | changes).items() if value is not None}
        path = folder / "dataset.yml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


@pytest.fixture
def tiny_demo(tmp_path):
    """dataset.yml of a corner of the demo specimen, without its truth: small enough
    to run all notebooks in a test.
    """
    import yaml

    size, source, folder = 48, paths.PACKAGE.parent / "data" / "demo", tmp_path / "tiny-demo"
    folder.mkdir()
    header, column_names, points = (source / "map.ctf").read_text(encoding="latin-1").partition("Phase\tX\tY")
    header = header.replace("XCells\t128", f"XCells\t{size}").replace("YCells\t128", f"YCells\t{size}")
    names, *rows = points.splitlines()
    kept = [row for row in rows if max(float(word) for word in row.split("\t")[1:3]) < size]
    assert len(kept) == size**2
    (folder / "map.ctf").write_text("\n".join([header + column_names + names, *kept, ""]), encoding="latin-1")
    names, *rows = (source / "traces.csv").read_text().splitlines()
    kept = [row for row in rows if max(float(word) for word in row.split(",")[:2]) < size]
    (folder / "traces.csv").write_text("\n".join([names, *kept, ""]))
    (folder / "curve.csv").write_bytes((source / "curve.csv").read_bytes())
    content = yaml.safe_load((source / "dataset.yml").read_text())
    for role in ("truth", "images", "dic", "ecci"):
        content["files"].pop(role)
    (folder / "dataset.yml").write_text(
        yaml.safe_dump(content | {"name": "tiny-demo", "title": "Corner of the demo"})
    )
    return folder / "dataset.yml"


@pytest.fixture(scope="session")
def ctf_text():
    """ctf_text(q, rows, cols, ...) -> text of a .ctf file of crystal_to_sample quaternions (N, 4)
    in row order.
    """

    def make(
        q,
        rows,
        cols,
        *,
        step=0.5,
        phase_lines=("3.57;3.57;3.57\t90;90;90\tNickel\t11\t225\t\t\tmade up",),
        phase=None,
        error=None,
        extra=(),
        column_major=False,
        comma=False,
    ):
        euler = np.degrees(quaternion_to_euler(np.nan_to_num(q, nan=0.5)))
        phase = np.ones(len(q), int) if phase is None else phase
        error = np.zeros(len(q), int) if error is None else error
        order = np.arange(rows * cols)
        order = order.reshape(rows, cols).T.ravel() if column_major else order
        lines = [
            "Channel Text File",
            "Prj\ttest",
            "Author\t",
            "JobMode\tGrid",
            f"XCells\t{cols}",
            f"YCells\t{rows}",
            f"XStep\t{step}",
            f"YStep\t{step}",
            "AcqE1\t0",
            "AcqE2\t0",
            "AcqE3\t0",
            "Euler angles refer to Sample Coordinate system (CS0)!\tMag\t400",
            f"Phases\t{len(phase_lines)}",
            *phase_lines,
            "\t".join(
                ["Phase", "X", "Y", "Bands", "Error", "Euler1", "Euler2", "Euler3", "MAD", "BC", "BS", *extra]
            ),
        ]
        for n in order:
            e = euler[n] if phase[n] else np.zeros(3)
            lines.append(
                f"{phase[n]}\t{n % cols * step:.4f}\t{n // cols * step:.4f}\t8\t{error[n]}\t"
                f"{e[0]:.5f}\t{e[1]:.5f}\t{e[2]:.5f}\t0.5000\t{n % 251}\t200" + f"\t{n}" * len(extra)
            )
        text = "\r\n".join(lines) + "\r\n"
        return text.replace(".", ",") if comma else text

    return make


@pytest.fixture
def some_orientations():
    """(60, 4) random orientations for a map of 6 rows and 10 columns."""
    return random_quaternions(60, np.random.default_rng(5))
