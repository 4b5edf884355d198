"""Descriptions from strangers: every mistake is one DatasetError that names file, key and value,
whatever it is.
"""

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import cpml
from cpml.errors import CpmlError, DatasetError

NICKEL = {"name": "Nickel", "lattice": "fcc", "material": "nickel"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"titel": "x"}, ["titel", "did you mean 'title'"]),
        ({"title": None}, ["title", "missing"]),
        ({"title": 2020}, ["title", "2020", "expected text"]),
        ({"name": "../evil"}, ["../evil", "letters, digits"]),
        ({"name": ".hidden"}, [".hidden"]),
        ({"virtual": "yes please"}, ["virtual", "yes please", "true or false"]),
        ({"files": {}}, ["files.ebsd", "missing"]),
        ({"files": {"images": ["map.ctf"], "traces": "map.ctf"}}, ["files.ebsd", "traces lies on a map"]),
        ({"phases": None}, ["phases", "missing"]),
        ({"registration": {"image_kind": "rigid"}}, ["registration.image_kind", "rigid", "affine"]),
        ({"files": {"ebsd": "map.ctf", "bse": "b.tif"}}, ["files.bse", "unknown key"]),
        ({"files": {"ebsd": "nothere.ctf"}}, ["files.ebsd", "nothere.ctf", "no file"]),
        ({"files": {"ebsd": "../map.ctf"}}, ["files.ebsd", "leaves its folder"]),
        ({"files": {"ebsd": "/etc/hostname"}}, ["files.ebsd", "leaves its folder"]),
        ({"files": {"ebsd": "C:\\maps\\a.ctf"}}, ["files.ebsd", "leaves its folder"]),
        ({"files": {"ebsd": "map.ctf", "images": "one.tif"}}, ["files.images", "expected a list"]),
        ({"files": {"ebsd": "map.ctf", "truth": "map.ctf"}}, ["virtual", "write virtual: true"]),
        ({"files": {"ebsd": {"path": "map.ctf", "sha256": "0" * 64}}}, ["files.ebsd", "sha256 is"]),
        ({"files": {"ebsd": {"path": "map.ctf", "sha256": "abc"}}}, ["files.ebsd.sha256", "64 hexadecimal"]),
        ({"phases": []}, ["phases", "at least 1"]),
        ({"phases": [NICKEL | {"lattice": "hpc"}]}, ["phases[0].lattice", "hpc", "did you mean 'hcp'"]),
        ({"phases": [NICKEL | {"hex_x_axis": "a"}]}, ["phases[0].hex_x_axis", "hcp only"]),
        ({"phases": [NICKEL | {"lattice": "hcp"}]}, ["phases[0].hex_x_axis", "missing"]),
        ({"phases": [NICKEL | {"material": "magnesium"}]}, ["phases[0].material", "magnesium", "is hcp"]),
        ({"phases": [{"name": "X", "lattice": "fcc"}]}, ["phases[0].material", "missing", "lattice: other"]),
        ({"phases": [NICKEL | {"lattice": "other"}]}, ["phases[0].material", "not for other"]),
        ({"reading": {"unit": "inch"}}, ["reading.unit", "inch", "um, nm, mm, px"]),
        ({"reading": {"step_um": 0}}, ["reading.step_um", "0", "1e-06"]),
        ({"load": {"kind": "tension", "axis": "x", "strain": 5}}, ["load.strain", "above 1", "0.05"]),
        ({"phases": [NICKEL | {"material": "unobtainium"}]}, ["phases[0].material", "unobtainium", "known"]),
        (
            {"phases": [NICKEL | {"material": "../../secret.yml"}]},
            ["phases[0].material", "leaves its folder"],
        ),
        ({"frame": {"euler_to_sample": "x90"}}, ["frame.euler_to_sample", "x90"]),
        (
            {"frame": {"euler_to_sample": [[1, 0, 0], [0, -1, 0], [0, 0, 1]]}},
            ["euler_to_sample", "determinant +1"],
        ),
        ({"frame": {"euler_to_sample": {"axis": [0, 0, 0], "angle_deg": 5}}}, ["axis", "not all zero"]),
        ({"segmentation": {"threshold": -5}}, ["segmentation.threshold", "-5", "from 0.1 to 60"]),
        ({"segmentation": {"threshold": "5 deg"}}, ["segmentation.threshold", "5 deg"]),
        ({"segmentation": {"threshold": float("nan")}}, ["segmentation.threshold", "nan"]),
        ({"segmentation": {"min_pixels": 2.5}}, ["segmentation.min_pixels", "2.5", "integer"]),
        ({"segmentation": {"treshold": 5}}, ["segmentation.treshold", "did you mean 'threshold'"]),
        ({"labels": {"twins": "always"}}, ["labels.twins", "always", "manual, auto, none"]),
        ({"registration": {"dic_to_ebsd": [[1, 2, 3, 4]]}}, ["registration.dic_to_ebsd", "at least 3"]),
        ({"registration": {"dic_to_ebsd": [[1, 2, 3] for _ in range(3)]}}, ["dic_to_ebsd[0]", "at least 4"]),
        ({"load": "x"}, ["load", "unknown"]),
        ({"load": {"kind": "tension", "axis": [0, 0, 0]}}, ["load.axis", "length zero"]),
        ({"cleaning": []}, ["cleaning", "expected"]),
    ],
)
def test_one_error_names_file_key_and_value(describe, changes, words):
    path = describe(**changes)
    with pytest.raises(DatasetError) as caught:
        cpml.load_dataset(path)
    message = str(caught.value)
    assert str(path) in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\nname: b\n", "'name' appears twice"),
        ("name: &x a\ntitle: *x\n", "aliases"),
        ("a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "aliases"),
        ("name: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
        ("name: [unclosed\n", "not valid YAML"),
        ("- a\n- b\n", "expected 'key: value' lines"),
        ("", "expected 'key: value' lines"),
        ("? [1, 2]\n: x\n", "plain word"),
        ("name: " + "[" * 3000, "not valid YAML"),
        ("x" * 2_100_000, "larger than"),
    ],
)
def test_yaml_that_is_no_description(tmp_path, text, words):
    path = tmp_path / "dataset.yml"
    path.write_text(text)
    with pytest.raises(DatasetError, match=r"dataset.yml") as caught:
        cpml.load_dataset(path)
    assert words in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "dataset.yml"
    path.write_bytes(b"name: \xff\xfe\x00")
    with pytest.raises(DatasetError, match="not valid YAML"):
        cpml.load_dataset(path)


@pytest.mark.parametrize(
    "name", ["nosuch", "no such", "..", "", "a" * 300, "data/nosuch", "nosuch/dataset.yml"]
)
def test_unknown_names(name):
    with pytest.raises(DatasetError):
        cpml.load_dataset(name)


def test_reference_material_without_its_variable(describe, monkeypatch):
    monkeypatch.delenv("CPML_REFERENCE", raising=False)
    with pytest.raises(DatasetError, match="set CPML_REFERENCE"):
        cpml.load_dataset(describe(files={"ebsd": "$CPML_REFERENCE/a.ctf"}))


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["x", "hcp", "a*"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    "name",
    "title",
    "virtual",
    "files",
    "phases",
    "frame",
    "load",
    "segmentation",
    "labels",
    "registration",
]


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(key=st.sampled_from(KEYS), value=PLAIN)
def test_any_value_is_accepted_or_a_cpml_error(describe, key, value):
    """Never a TypeError or KeyError from the inside, whatever stands where."""
    path = describe()
    values = cpml.datasets.dataset.read_yaml(path)
    try:
        checked = cpml.datasets.schema.check(values | {key: value}, path)
        if isinstance(checked["load"], dict):
            cpml.load.Load.from_dict(checked["load"])
    except CpmlError as error:
        assert key in str(error)
