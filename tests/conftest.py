"""Data for tests: `mirror` and `reference` give a file or skip with the reason; where all
data must be there, they fail.
"""

import os
from pathlib import Path

import pytest

from cpml import paths
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
    for role in ("truth", "images", "dic"):
        content["files"].pop(role)
    (folder / "dataset.yml").write_text(
        yaml.safe_dump(content | {"name": "tiny-demo", "title": "Corner of the demo"})
    )
    return folder / "dataset.yml"
