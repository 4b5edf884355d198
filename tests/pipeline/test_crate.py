"""The research object beside a report: it can be read, names what is there, and tells where it came from."""

import json

import pytest
from rocrate.rocrate import ROCrate

from cpml import load_dataset, paths, pipeline
from cpml.pipeline.report.crate import FILE, write_crate


@pytest.fixture
def crate(quick, output):
    """Of a run with a parameter of its own, read by the library."""
    pipeline.run_dataset("tiny", parameters={"scale": 2.0})
    return ROCrate(paths.reports("tiny@scale-2.0"))


def test_every_listed_file_is_there_and_none_is_forgotten(crate):
    """Each with size, format and, of a notebook's own files, hash."""
    folder = paths.reports("tiny@scale-2.0")
    listed = {entity.id: entity for entity in crate.data_entities}
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != FILE}
    assert set(listed) == there >= {"index.html", "01_make.ipynb", "figures/01_figure.json"}
    of_step = listed["figures/01_figure.json"]
    assert int(of_step["contentSize"]) == (folder / "figures" / "01_figure.json").stat().st_size
    assert len(of_step["sha256"]) == 64 and of_step["encodingFormat"] == "application/json"


def test_it_tells_data_inputs_notebooks_parameters_and_software(crate):
    root = crate.root_dataset
    assert root["name"] == "Tiny <script>alert(1)</script> (scale-2.0)"
    assert root["license"]["name"] == "CC0-1.0" and root["citation"]["creditText"] == "unpublished"
    actions = {e["name"]: e for e in crate.contextual_entities if e.type == "CreateAction"}
    assert set(actions) == {f"Execution of notebooks/{name}.ipynb" for name in ("01_make", "02_use")}
    action = actions["Execution of notebooks/01_make.ipynb"]
    inputs = {e["name"]: e for e in action["object"]}
    assert set(inputs) == {"dataset.yml", "ebsd: map.ctf", "scale"} and inputs["scale"]["value"] == 2.0
    assert len(inputs["ebsd: map.ctf"]["sha256"]) == 64
    assert {e.id for e in action["result"]} == {"01_make.ipynb", "figures/01_figure.json"}
    software = {e["name"]: e["softwareVersion"] for e in action["instrument"]}
    assert {"cpml", "Python", "numpy"} <= set(software)
    assert action["startTime"] < action["endTime"]
    assert root["datePublished"] == max(one["endTime"] for one in actions.values())


def test_equal_results_are_described_by_equal_bytes_without_paths_of_the_machine(crate, tmp_path):
    path = paths.reports("tiny@scale-2.0") / FILE
    before = path.read_bytes()
    write_crate(load_dataset("tiny@scale-2.0"))
    assert path.read_bytes() == before and str(tmp_path).encode() not in before
    assert json.loads(before)["@context"] == "https://w3id.org/ro/crate/1.2/context"
