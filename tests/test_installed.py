"""The package where it is installed without its checkout: a library, which writes nothing beside itself."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from cpml import paths

SAYS = """
import json
import cpml
from cpml import crystallography, datasets, paths

def message(function, *arguments):
    try:
        function(*arguments)
    except cpml.CpmlError as error:
        return str(error)

said = {
    "package": str(paths.PACKAGE),
    "checkout": str(paths.checkout()),
    "output": str(paths.output()),
    "slip_systems": int(crystallography.systems("fcc").slip.sum()),
    "own": cpml.load_dataset("own/dataset.yml").name,
    "demo": message(cpml.load_dataset, "demo"),
}
if paths.checkout() is None:
    said |= {
        "fetch": message(datasets.catalogue.fetch, "mg-twins/twins.ctf"),
        "run": message(cpml.pipeline.run_dataset, "own/dataset.yml"),
        "step": message(cpml.Run, "01_ingestion", {"dataset": "own/dataset.yml"}),
        "comparison": message(cpml.pipeline.run_comparison),
    }
print(json.dumps(said))
"""


@pytest.fixture
def away(tmp_path, describe):
    """What a copy of the package says that is installed in one folder and used in another, by folder."""
    site, work = tmp_path / "site-packages", tmp_path / "work"
    shutil.copytree(paths.PACKAGE, site / "cpml", ignore=shutil.ignore_patterns("__pycache__"))
    describe(work / "own", name="own")
    keep = {name: value for name, value in os.environ.items() if not name.startswith("CPML_")}

    def says(folder=work, **environment):
        done = subprocess.run(
            [sys.executable, "-B", "-c", SAYS.replace("own/", f"{work.as_posix()}/own/")],
            cwd=folder,
            env=keep | {"PYTHONPATH": str(site), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    before = sorted(site.rglob("*")), sorted(work.rglob("*"))
    yield says, site, work
    assert (sorted(site.rglob("*")), sorted(work.rglob("*"))) == before


def test_without_a_checkout_it_is_a_library_and_says_how_to_get_the_rest(away):
    says, site, work = away
    said = says()
    assert said["package"] == str(site / "cpml")
    assert (said["checkout"], said["output"]) == ("None", str(work))
    assert (said["slip_systems"], said["own"]) == (12, "own")
    remedy = "fetch a checkout of cpml and set CPML_ROOT to it, or start in its folder"
    for question in ("demo", "fetch", "run", "step", "comparison"):
        assert remedy in said[question] and "\n" not in said[question], question


def test_it_finds_the_checkout_that_it_is_used_in(away):
    says, _, _ = away
    said = says(folder=paths.PACKAGE.parent / "notebooks", CPML_OUTPUT="/nowhere")
    assert said["checkout"] == str(paths.PACKAGE.parent)
    assert (said["output"], said["demo"]) == ("/nowhere", None)


def test_the_checkout_of_this_repository_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.delenv("CPML_ROOT", raising=False)
    monkeypatch.delenv("CPML_OUTPUT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert paths.checkout() == paths.root() == paths.output() == paths.PACKAGE.parent
