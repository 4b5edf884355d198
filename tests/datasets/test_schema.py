"""The one table of keys: the files written from it; JSON schema and check say the same of a description."""

import json

import pytest
from jsonschema import Draft202012Validator

import cpml
from cpml import datasets, paths
from cpml.datasets import dataset, schema, schema_files
from cpml.errors import DatasetError
from cpml.load import Load
from cpml.safe_yaml import read_yaml

VALID = Draft202012Validator(schema_files.json_schema())
MG = {"name": "Mg", "lattice": "hcp", "material": "magnesium", "hex_x_axis": "a*"}
NI = {"name": "Ni", "lattice": "fcc", "material": "nickel"}
POINTS = [[0, 0, 0, 0], [9, 0, 9, 0], [0, 9, 0, 9]]
TURNED = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
RIGHT = [
    {"virtual": True, "note": "", "files": {"ebsd": "map.ctf", "truth": "map.ctf"}},
    {"files": {"images": ["map.ctf"]}, "phases": None, "load": "unknown"},
    {"phases": [MG, NI, {"name": "X", "lattice": "other", "number": 3}]},
    {"reading": {"scan": 2, "slice": 0, "unit": "px", "step_um": 0.5, "angles": "degrees", "refined": False}},
    {"reading": {"columns": ["phi1", "Phi", "phi2", "x", "y", "_"], "phase_numbers": [0]}},
    {"frame": {"euler_to_sample": TURNED, "acquisition": "apply"}},
    {"frame": {"euler_to_sample": {"axis": [0, 0, 1], "angle_deg": -90}}},
    {"frame": {"euler_to_sample": "declared"}},
    {"load": {"kind": "shear", "axis": "x", "plane": [0, 1, 0], "rate": 1e-3, "assumed": True, "note": "so"}},
    {"load": {"kind": "tensor", "tensor": [[1, 0, 0], [0, 0.5, 0], [0, 0, 0]], "temperature": 293}},
    {"load": {"kind": "rolling", "axis": "-y", "strain": 1}},
    {"surface": "section"},
    {"cleaning": {"max_mad_deg": 1.5, "min_grain_pixels": 4}},
    {"segmentation": {"threshold": {"Ni": 2.0}, "min_pixels": 5.0}},
    {"labels": {"twins": False, "images": "auto"}},
    {"registration": {"dic_to_ebsd": POINTS, "image_kind": "thin_plate", "ebsd_unit": "um"}},
    {"steps": [{"strain": 0.1, "ebsd": "map.ctf", "registration": {"map_to_ebsd": POINTS}}]},
    {"steps": None},
]
WRONG = [
    {"titel": "x"},
    {"title": None},
    {"title": " "},
    {"title": 2020},
    {"name": "../evil"},
    {"name": ".hidden"},
    {"name": "a" * 101},
    {"virtual": "yes"},
    {"files": {}},
    {"files": {"images": ["map.ctf"], "traces": "map.ctf"}, "phases": None},
    {"files": {"ebsd": {"path": "map.ctf", "sha256": "abc"}}},
    {"files": {"ebsd": "map.ctf", "images": "one.tif"}},
    {"files": {"ebsd": "map.ctf", "truth": "map.ctf"}},
    {"phases": None},
    {"phases": []},
    {"phases": [NI | {"lattice": "hpc"}]},
    {"phases": [NI | {"hex_x_axis": "a"}]},
    {"phases": [{key: value for key, value in MG.items() if key != "hex_x_axis"}]},
    {"phases": [{"name": "X", "lattice": "bcc"}]},
    {"phases": [NI | {"lattice": "other"}]},
    {"phases": [NI | {"number": 0}]},
    {"reading": {"unit": "inch"}},
    {"reading": {"columns": ["x", "y"]}},
    {"reading": {"slice": 1.5}},
    {"frame": {"euler_to_sample": "x90"}},
    {"frame": {"euler_to_sample": {"axis": [0, 1], "angle_deg": 5}}},
    {"frame": {"euler_to_sample": [[1, 0], [0, 1]]}},
    {"load": "x"},
    {"load": {"axis": "x"}},
    {"load": {"kind": "tension"}},
    {"load": {"kind": "tension", "axis": "x", "plane": "y"}},
    {"load": {"kind": "tension", "axis": "q"}},
    {"load": {"kind": "tension", "axis": "x", "strain": 5}},
    {"load": {"kind": "tension", "axis": "x", "rate": -1}},
    {"load": {"kind": "tension", "axis": "x", "speed": 1}},
    {"surface": "polished"},
    {"surface": True},
    {"cleaning": []},
    {"cleaning": {"denoise": -1}},
    {"segmentation": {"threshold": "5 deg"}},
    {"segmentation": {"threshold": {}}},
    {"segmentation": {"min_pixels": 2.5}},
    {"labels": {"twins": "always"}},
    {"registration": {"dic_to_ebsd": POINTS[:2]}},
    {"registration": {"dic_to_ebsd": [[n, 2, 3] for n in range(3)]}},
    {"steps": [{"strain": 0.1}]},
    {"steps": [{"strain": 0.1, "dic": "map.ctf", "gradient": "map.ctf"}]},
    {"steps": [{"strain": 0.1, "dic": "map.ctf", "frame": {"euler_to_sample": "x180"}}]},
    {"steps": [{"strain": 0.1, "ebsd": "map.ctf", "registration": {"dic_to_ebsd": POINTS}}]},
    {"steps": [{"strain": 0.1, "ebsd": "map.ctf", "registration": {"ebsd_unit": "um"}}]},
    {"steps": [{"strain": 0.1, "ebsd": "map.ctf", "registration": {"image_to_ebsd": POINTS}}]},
    {"steps": [{"strain": 0.1, "ebsd": "map.ctf", "name": "a/b"}]},
    {"steps": [{"strain": 2, "ebsd": "map.ctf"}]},
    {"files": {"images": ["map.ctf"]}, "phases": None, "steps": [{"strain": 0.1, "ebsd": "map.ctf"}]},
]


def told(changes):
    return json.dumps(changes)[:70]


def test_the_committed_files_are_those_of_the_table():
    """`python3 tasks.py schema` writes them again."""
    docs = paths.PACKAGE.parent / "docs"
    assert json.loads((docs / schema_files.SCHEMA_FILE).read_text()) == schema_files.json_schema()
    assert (docs / schema_files.PAGE_FILE).read_text() == schema_files.page()


def test_it_is_a_schema_and_the_page_has_every_key():
    Draft202012Validator.check_schema(schema_files.json_schema())
    page = schema_files.page()
    for name, key in schema.SCHEMA.items():
        assert f"| `{name}` |" in page and key.meaning in page.replace("\\|", "|")
        assert all(f"| `{inner}` |" in page for inner in key.rule.keys)


@pytest.mark.parametrize("name", datasets.available())
def test_every_shipped_description_is_valid_in_both(name):
    path = dataset.find_description(name)
    values = read_yaml(path)
    assert [error.message for error in VALID.iter_errors(values)] == []
    assert schema.checked(values, path)[1] == []


@pytest.mark.parametrize("changes", RIGHT, ids=told)
def test_what_is_right_is_right_in_both(describe, changes):
    path = describe(**changes)
    assert [error.message for error in VALID.iter_errors(read_yaml(path))] == []
    assert dataset.mistakes(path) == []


@pytest.mark.parametrize("changes", WRONG, ids=told)
def test_what_is_wrong_is_wrong_in_both(describe, changes):
    path = describe(**changes)
    assert not VALID.is_valid(read_yaml(path))
    assert dataset.mistakes(path)
    with pytest.raises(DatasetError):
        cpml.load_dataset(path)


def test_what_the_json_schema_cannot_say_is_in_the_check(describe):
    """Strains that ascend, names that differ, a matrix that is no rotation, a load without a deviator."""
    steps = [{"strain": strain, "ebsd": "map.ctf"} for strain in (0.2, 0.1)]
    mirror = [[1, 0, 0], [0, -1, 0], [0, 0, 1]]
    pressure = {"kind": "tensor", "tensor": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}
    for changes in ({"steps": steps}, {"frame": {"euler_to_sample": mirror}}, {"load": pressure}):
        path = describe(**changes)
        assert VALID.is_valid(read_yaml(path)) and len(dataset.mistakes(path)) == 1


def test_all_mistakes_are_listed(describe):
    """Of unknown and missing keys, values, files, materials and the load; loading names the first."""
    path = describe(
        titel="x",
        title=None,
        files={"ebsd": "nothere.ctf", "curve": "nor-this.csv"},
        phases=[NI | {"material": "unobtainium"}, MG | {"material": "nickel"}],
        frame={"euler_to_sample": "x90", "acquisition": "perhaps"},
        load={"kind": "tension", "axis": [0, 0, 0]},
        segmentation={"threshold": -5, "min_pixels": 0},
    )
    found = [str(error) for error in dataset.mistakes(path)]
    places = [
        *("titel", "title", "frame.euler_to_sample", "frame.acquisition"),
        *("segmentation.threshold", "segmentation.min_pixels", "phases[0].material", "phases[1].material"),
        *("files.ebsd", "files.curve", "load.axis"),
    ]
    assert [message.removeprefix(f"{path}: ").split(":")[0] for message in found] == places
    with pytest.raises(DatasetError) as caught:
        cpml.load_dataset(path)
    assert str(caught.value) == found[0]


def test_a_default_in_the_table_is_the_one_that_is_used(describe):
    """Of the keys that the check fills in, and of the load, which fills in its own."""
    path = describe(segmentation={"min_pixels": 7})
    loaded = cpml.load_dataset(path)
    keys = schema.SCHEMA["segmentation"].rule.keys
    assert loaded.segmentation == {name: key.default for name, key in keys.items()} | {"min_pixels": 7}
    assert loaded.load.rate == schema.SCHEMA["load"].rule.keys["rate"].default
    assert set(schema.SCHEMA["load"].rule.keys) == set(Load.__dataclass_fields__)


@pytest.mark.parametrize("name", ["a", "Mg-2.1_x", "-a", "a" * 100, "a" * 101, ".a", "a b", "ä", "a/b", ""])
def test_a_name_is_valid_where_it_can_be_a_folder(name, describe):
    try:
        paths.safe_name(name)
    except DatasetError:
        assert dataset.mistakes(describe(name=name))
    else:
        assert not dataset.mistakes(describe(name=name))


@pytest.mark.parametrize("surface, is_free", [("free", True), ("section", False), (None, None)])
def test_the_surface_reaches_the_specimen(describe, monkeypatch, surface, is_free):
    """What nobody said stays unsaid."""
    from types import SimpleNamespace

    from cpml.pipeline import specimen

    found = cpml.load_dataset(describe(**({"surface": surface} if surface else {})))
    assert found.free_surface is is_free
    monkeypatch.setattr(specimen, "build_specimen", lambda name, **given: given["free_surface"])
    run = SimpleNamespace(
        dataset=found,
        read=lambda name: {"grain": None},
        has=lambda name: False,
        read_map=lambda: SimpleNamespace(xy=None),
    )
    assert specimen.specimen_of(run) is is_free
