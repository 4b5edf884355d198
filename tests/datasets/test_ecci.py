"""ECCI in a data set: what its description may say, and what the demo's table says against its truth."""

import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from jsonschema import Draft202012Validator

import cpml
from cpml import paths
from cpml.datasets import dataset, schema_files
from cpml.datasets.ecci import ecci_lines, ecci_records, ecci_told, reflections_of, stage_of
from cpml.datasets.inventory import take_inventory
from cpml.datasets.observe import grains_of, image_registration, read_dataset_map
from cpml.datasets.phases import modelled_systems
from cpml.errors import CpmlError, DatasetError, MapFileError
from cpml.models.specimen.reports import check_targets
from cpml.safe_yaml import read_yaml

VALID = Draft202012Validator(schema_files.json_schema())
DEMO = paths.PACKAGE.parent / "data" / "demo"
FILES = {"ebsd": "map.ctf", "ecci": "ecci.csv"}
BEFORE = "microscope: {kv: 20, stage: {kind: rotation-tilt, tilt_axis: x, tilt_limits_deg: [-5, 30]}}"
LINES = 24
"""First lines of the demo's table: two grains of twelve."""


@pytest.fixture
def described(describe, tmp_path):
    """described(key=value, ...) -> dataset.yml with an ECCI table beside it and a microscope of 20 kV."""

    def make(**changes):
        path = describe(**{"files": FILES, "microscope": {"kv": 20}} | changes)
        (path.parent / "ecci.csv").write_text("line,grain_id,g,seen\n")
        return path

    return make


# --- the description

RIGHT = [
    {},
    {"microscope": {"kv": 300, "tolerance_deg": 0.2, "visible_depth_um": 0.05}},
    {"microscope": {"kv": 20, "wrong": "auto"}},
    {"microscope": {"kv": 20, "wrong": 0}},
    {"microscope": {"kv": 20, "wrong": 0.25}},
    {"microscope": {"kv": 20, "stage": {"tilt_axis": "y", "second_sense": "clockwise"}}},
    {"microscope": {"kv": 20, "stage": {"tilt_axis": 37.5, "offset_deg": -90, "tilt_sense": "left"}}},
    {"microscope": {"kv": 20, "stage": {"kind": "double-tilt", "second_sense": "left"}}},
    {"microscope": {"kv": 20, "stage": {"tilt_limits_deg": [0, 70], "second_limits_deg": [-5, 5]}}},
    {"files": {"ebsd": "map.ctf"}, "microscope": None},
    {"labels": {"ecci": "none"}},
]
WRONG = [
    ({"microscope": None}, ["microscope", "missing", "voltage and stage"]),
    ({"microscope": {}}, ["microscope.kv", "missing"]),
    ({"microscope": {"kv": 20_000}}, ["microscope.kv", "20000", "from 1 to 300"]),
    ({"microscope": {"kv": "20 kV"}}, ["microscope.kv", "20 kV"]),
    ({"microscope": {"kv": 20, "voltage": 20}}, ["microscope.voltage", "unknown key", "kv"]),
    ({"microscope": {"kv": 20, "tolerence_deg": 1}}, ["tolerence_deg", "did you mean 'tolerance_deg'"]),
    ({"microscope": {"kv": 20, "tolerance_deg": 0}}, ["microscope.tolerance_deg", "0", "from 0.01 to 5"]),
    ({"microscope": {"kv": 20, "visible_depth_um": 100}}, ["visible_depth_um", "100", "from 0.01 to 2"]),
    ({"microscope": {"kv": 20, "wrong": "often"}}, ["microscope.wrong", "often", "auto"]),
    ({"microscope": {"kv": 20, "wrong": 0.9}}, ["microscope.wrong", "0.9", "from 0 to 0.6"]),
    ({"microscope": {"kv": 20, "wrong": None}}, ["microscope.wrong"]),
    ({"microscope": {"kv": 20, "stage": "FEI"}}, ["microscope.stage", "FEI", "expected 'key: value'"]),
    ({"microscope": {"kv": 20, "stage": {"axis": "x"}}}, ["microscope.stage.axis", "unknown key"]),
    ({"microscope": {"kv": 20, "stage": {"kind": "tilt"}}}, ["stage.kind", "'tilt'", "rotation-tilt"]),
    ({"microscope": {"kv": 20, "stage": {"tilt_axis": "z"}}}, ["stage.tilt_axis", "'z'", "x, y"]),
    ({"microscope": {"kv": 20, "stage": {"tilt_axis": 400}}}, ["stage.tilt_axis", "400", "from -360 to 360"]),
    ({"microscope": {"kv": 20, "stage": {"tilt_sense": "clockwise"}}}, ["stage.tilt_sense", "right, left"]),
    ({"microscope": {"kv": 20, "stage": {"tilt_limits_deg": [5]}}}, ["stage.tilt_limits_deg", "2"]),
    ({"labels": {"ecci": "always"}}, ["labels.ecci", "always", "manual, auto, none"]),
    (
        {"files": {"images": ["map.ctf"], "ecci": "ecci.csv"}, "phases": None},
        ["files.ebsd", "ecci lies on a map"],
    ),
]
ONLY_THE_CHECK = [
    ({"second_sense": "left"}, ["stage.second_sense", "'left'", "counterclockwise or clockwise"]),
    (
        {"kind": "double-tilt", "second_sense": "clockwise"},
        ["stage.second_sense", "'clockwise'", "right or left"],
    ),
    ({"tilt_limits_deg": [20, -5]}, ["stage.tilt_limits_deg", "[20", "lowest value first"]),
    ({"second_limits_deg": [9, 9]}, ["stage.second_limits_deg", "[9", "lowest value first"]),
]
"""Stages with conditions between keys, which JSON schema does not tell."""


@pytest.mark.parametrize("changes", RIGHT, ids=str)
def test_what_is_right_is_right_in_both(described, changes):
    path = described(**changes)
    assert [error.message for error in VALID.iter_errors(read_yaml(path))] == []
    assert dataset.mistakes(path) == []


@pytest.mark.parametrize(("changes", "words"), WRONG, ids=str)
def test_what_is_wrong_is_wrong_in_both(described, changes, words):
    path = described(**changes)
    assert not VALID.is_valid(read_yaml(path))
    with pytest.raises(DatasetError) as caught:
        cpml.load_dataset(path)
    told = str(caught.value)
    assert str(path) in told and "\n" not in told
    assert [word for word in words if word not in told] == [], told


@pytest.mark.parametrize(("stage", "words"), ONLY_THE_CHECK, ids=str)
def test_stages_that_contradict_themselves(described, stage, words):
    path = described(microscope={"kv": 20, "stage": stage})
    with pytest.raises(DatasetError) as caught:
        cpml.load_dataset(path)
    told = str(caught.value)
    assert str(path) in told and [word for word in words if word not in told] == [], told


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        ["x", "y", "auto", "left", "clockwise", "double-tilt", [], [1, 2], [2, 1], {}, {"kv": 20}]
    )
)
KEYS = (
    "kind",
    "tilt_axis",
    "tilt_sense",
    "second_sense",
    "offset_deg",
    "tilt_limits_deg",
    "second_limits_deg",
)


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    own=st.dictionaries(st.sampled_from(("kv", "tolerance_deg", "wrong", "stage")), PLAIN, max_size=2),
    stage=st.dictionaries(st.sampled_from(KEYS), PLAIN, max_size=3),
)
def test_any_microscope_is_taken_or_one_error(described, own, stage):
    """What is taken makes a stage and a share; nothing comes from the inside."""
    path = described(microscope={"kv": 20, "stage": stage} | own)
    try:
        found = cpml.load_dataset(path)
    except CpmlError as error:
        assert "microscope" in str(error)
    else:
        low, high = stage_of(found).limits[0]
        assert low < high and float(found.microscope["kv"]) >= 1
        assert found.microscope["wrong"] == "auto" or 0 <= float(found.microscope["wrong"]) <= 0.6


def test_what_holds_where_nothing_is_said(described):
    found = cpml.load_dataset(described())
    told = found.microscope
    assert (told["kv"], told["tolerance_deg"], told["visible_depth_um"], told["wrong"]) == (
        20,
        0.5,
        0.1,
        "auto",
    )
    stage = stage_of(found)
    assert (stage.kind, stage.tilt_axis_deg, stage.offset_deg) == ("rotation-tilt", 0, 0)
    assert (stage.tilt_sense, stage.second_sense) == (1, 1)
    assert stage.limits == ((-5, 20), (-180, 180))
    assert found.uses("ecci") and found.has("ecci")
    without = cpml.load_dataset(described(files={"ebsd": "map.ctf"}, microscope=None))
    assert not without.has("ecci") and without.microscope == {}


def test_the_stage_is_the_declared_one(described):
    """Axes and senses as the beam shows them: by the rule that a positive tilt about an axis is right-handed,
    y of the picture down.
    """
    s, c = np.sin(np.radians(10)), np.cos(np.radians(10))
    about_y = {"tilt_axis": "y", "tilt_sense": "left", "second_sense": "clockwise", "offset_deg": 30}
    stage = stage_of(cpml.load_dataset(described(microscope={"kv": 20, "stage": about_y})))
    # right-handed about the axis that points up the screen, z into the specimen, the beam would come from -x
    np.testing.assert_allclose(stage.beam(10, 30), [-s, 0, c], atol=1e-12)
    # a quarter turn clockwise of the specimen turns the beam's direction in it counter-clockwise: -x to +y
    np.testing.assert_allclose(stage.beam(10, 120), [0, s, c], atol=1e-12)
    double = {"kind": "double-tilt", "second_sense": "left", "tilt_limits_deg": [0, 9]}
    stage = stage_of(cpml.load_dataset(described(microscope={"kv": 20, "stage": double})))
    assert stage.limits == ((0, 9), (-15, 15)) and (stage.tilt_sense, stage.second_sense) == (1, -1)
    np.testing.assert_allclose(stage.beam(10, 0), [0, s, c], atol=1e-12)
    turned = stage_of(cpml.load_dataset(described(microscope={"kv": 20, "stage": {"tilt_axis": 90}})))
    upright = stage_of(cpml.load_dataset(described(microscope={"kv": 20, "stage": {"tilt_axis": "y"}})))
    np.testing.assert_allclose(turned.beam(7, 20), upright.beam(7, 20))


# --- the demo


@pytest.fixture(scope="module")
def demo():
    """Data set, map, grains of every point, grains, systems."""
    return observed(cpml.load_dataset(DEMO / "dataset.yml"))


def observed(found):
    ebsd = read_dataset_map(found)
    twins = grains_of(found, ebsd)
    return found, ebsd, twins.grain_label, twins.grains, modelled_systems(found, ebsd)


@pytest.fixture(scope="module")
def told(demo):
    return ecci_told(*demo, seed=0)


@pytest.fixture
def changed(tmp_path, demo):
    """changed(old, new, rows=...) -> the demo with text of its description replaced and a table of these
    rows (text); with its map, grains and systems.
    """

    def make(*texts, rows=None):
        for name in ("map.ctf", "traces.csv", "curve.csv", "bse.tif", "dic.npz", "truth.npz", "ecci.csv"):
            shutil.copy(DEMO / name, tmp_path / name)
        text = (DEMO / "dataset.yml").read_text()
        for old, new in (("name: demo", "name: other"), *texts):
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "dataset.yml").write_text(text)
        if rows is not None:
            (tmp_path / "ecci.csv").write_text("\n".join(rows) + "\n")
        return cpml.load_dataset(tmp_path / "dataset.yml"), *demo[1:]

    return make


def first_rows():
    """Header and rows of the first lines of the demo's table."""
    head, *rows = (DEMO / "ecci.csv").read_text().splitlines()
    names = list(dict.fromkeys(row.split(",")[0] for row in rows))[:LINES]
    return [head, *(row for row in rows if row.split(",")[0] in names)]


def test_the_records_are_those_of_the_table(demo, told):
    """Read by pandas: as many, of the same lines, grains, planes and states; angles with the picture that
    they were drawn in.
    """
    table = pd.read_csv(DEMO / "ecci.csv", dtype={"line": str})
    for name in ("line", "segment", "grain_id", "g", "seen"):
        assert told.records[name].tolist() == table[name].tolist()
    assert told.records["setting"].all() and (told.records["weight"] == 1).all()
    for name in ("angle_deg", "length_um"):
        np.testing.assert_array_equal(told.records[name], table[name])


def test_the_inventory_counts_lines(demo):
    table = pd.read_csv(DEMO / "ecci.csv", dtype={"line": str})
    _, entries = take_inventory(demo[0])
    entry = next(entry for entry in entries if entry.role == "ecci")
    assert (entry.name, entry.error) == ("ecci.csv", "")
    lines, grains, g = (table[name].nunique() for name in ("line", "grain_id", "g"))
    assert entry.told == f"{lines} lines in {grains} grains, {len(table)} records under {g} reflections"


def test_a_wrong_table_is_an_error_of_its_file(changed):
    """In the inventory, too, where the other files are told of."""
    rows = first_rows()
    found = changed(rows=[rows[0], rows[1].replace("invisible", "unseen"), *rows[2:]])[0]
    _, entries = take_inventory(found)
    wrong = {entry.role: entry.error for entry in entries if entry.error}
    assert list(wrong) == ["ecci"] and "ecci.csv, line 2: seen = 'unseen'" in wrong["ecci"]


def test_burgers_vectors_of_the_demo(told):
    """Most lines have their true one first, 0.69 with an error of 0.05 as the table is; by chance a ninth."""
    truth = pd.read_csv(DEMO / "ecci_truth.csv", dtype={"line": str})
    true = truth.drop_duplicates("line").set_index("line")["burgers"]
    lines = told.lines.set_index("line")
    assert sorted(lines.index) == sorted(true.index)
    assert (lines["burgers"] == true[lines.index]).mean() >= 0.55
    right = told.burgers[told.burgers["burgers"] == told.burgers["line"].map(true)]
    assert right.set_index("line")["p"].mean() >= 0.5  # and a calibrated probability is near that share
    np.testing.assert_allclose(told.burgers.groupby("line")["p"].sum(), 1)


def test_label_rows_of_the_demo(demo, told):
    """Targets that F knows, in the grains of their lines; the alternatives of a line are at most one line."""
    systems = demo[-1][1]
    check_targets(told.labels, systems, "demo")
    assert told.labels["weight"].between(0, 1).all() and (told.labels["observed"] == 1).all()
    rows = told.labels[told.labels["level"] == "line"]
    grain = told.records.drop_duplicates("line").set_index("line")["grain_id"]
    assert rows["grain_id"].tolist() == grain[rows["source"].str.removeprefix("ecci ")].tolist()
    weight = rows.groupby(["grain_id", "source"])["weight"].sum()
    assert (weight <= 1 + 1e-9).all() and len(weight) == told.records["line"].nunique()
    assert set(told.labels["mechanism"]) <= {"slip", "climb", "cross_slip"}


def test_the_same_seed_gives_the_same(changed, told):
    """And the share of wrong records is the declared one, or learned."""
    given = changed((BEFORE, BEFORE.replace("kv: 20,", "kv: 20, wrong: 0.2,")), rows=first_rows())
    one, two = ecci_told(*given, seed=4), ecci_told(*given, seed=4)
    for name in ("lines", "burgers", "labels", "reading", "records"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))
    assert one.reading["wrong"].tolist() == [0.2]
    assert told.reading["learned"].tolist() == [True]  # 96 lines are more than 30
    assert one.reading["learned"].tolist() == [False]  # 24 are fewer
    assert (one.lines["phase"] == 1).all() and len(one.lines) == LINES


def test_labels_only_where_they_are_wanted(changed):
    """`labels: {ecci: none}`: the same of the lines, and no label rows."""
    rows = first_rows()
    with_rows = ecci_told(*changed(rows=rows))
    without = ecci_told(*changed(("labels: {", "labels: {ecci: none, "), rows=rows))
    pd.testing.assert_frame_equal(with_rows.lines, without.lines)
    assert len(with_rows.labels) and not len(without.labels)
    assert list(without.labels) == list(with_rows.labels)


def test_without_the_file_there_is_nothing(changed):
    told = ecci_told(*changed(("  ecci: ecci.csv", "  # no ecci"), (BEFORE, "")))
    assert [len(table) for table in vars(told).values()] == [0] * 5
    assert list(told.labels) == ["grain_id", "mechanism", "target", "level", "observed", "weight", "source"]


def test_a_table_that_says_of_no_line_what_was_seen_is_an_error(changed):
    """Without rows, and with all states empty: one sentence with the file and the remedy."""
    head, *rows = first_rows()
    for text in (["line,grain_id,g,seen"], [head, *(row.rpartition(",")[0] + "," for row in rows[:12])]):
        with pytest.raises(DatasetError, match=r"ecci\.csv: no row says visible.*leave files: ecci out"):
            ecci_told(*changed(rows=text))


def test_lines_by_place_and_by_picture(changed, demo):
    """um of the map, or pixels of the first image: the demo's registration has one image pixel for a quarter
    of a map point, near (430, 50) on (110, 16). Three places inside grains are in these grains either way.
    """
    _, ebsd, label, _, _ = demo
    to_map = image_registration(demo[0], ebsd)
    pixel = np.array([[430, 50], [59, 440], [132, 298]])
    point = np.array([[110, 16], [15, 111], [34, 76]])
    np.testing.assert_allclose(
        to_map(pixel.astype(float)), point, atol=1
    )  # points are whole numbers, clicked by hand
    grain = label.reshape(ebsd.shape)[point[:, 1], point[:, 0]]
    assert (grain > 0).all()
    rows = [f"p{k},,,,{x - 2} {y}; {x + 2} {y},1 0 -1 0,weak" for k, (x, y) in enumerate(pixel)]
    rows += [f"u{k},,{x},{y},,1 0 -1 0,weak" for k, (x, y) in enumerate(point)]
    given = changed(rows=["line,grain_id,x_um,y_um,polyline_px,g,seen", *rows])
    records = ecci_records(*given[:4])
    assert records["grain_id"].tolist() == [*grain, *grain]
    drawn = records.iloc[:3]
    np.testing.assert_allclose(drawn["length_um"], 1, rtol=0.1)  # 4 pixels of 0.25 um
    off = (drawn["angle_deg"] + 90) % 180 - 90
    assert (np.abs(off) < 5).all()  # picture and map are turned by less than that


def test_a_point_far_off_the_map(changed):
    """However far: one error that names the line."""
    for place in ("1e300 0; 1 1", "9e15 9e15; 1 1"):
        given = changed(rows=["line,polyline_px,g,seen", f"a,{place},1 0 -1 0,weak"])
        with pytest.raises(MapFileError, match=r"ecci\.csv, line 2: "):
            ecci_records(*given[:4])


def test_the_reflections_are_those_of_the_voltage(demo, changed):
    """The Bragg angle of (0002) of magnesium, sin theta = lambda / c, at the declared 20 and at 30 kV
    (8.589 and 6.979 pm), to the digits of the wavelengths.
    """
    for texts, wavelength in (([], 0.008589), ([(BEFORE, BEFORE.replace("kv: 20", "kv: 30"))], 0.006979)):
        found = changed(*texts)
        planes = reflections_of(found[0], found[1])
        assert list(planes) == [1]
        c = found[0].material().c
        theta = planes[1].bragg_deg[planes[1].number("0 0 0 2")]
        assert theta == pytest.approx(np.degrees(np.arcsin(wavelength / c)), rel=2e-4)


def test_a_material_without_an_element(changed, tmp_path):
    """Its structure factors are unknown: an error of the description that says what to add."""
    text = (paths.PACKAGE / "crystallography" / "materials" / "magnesium.yml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("element:")]
    assert len(lines) < len(text.splitlines())
    (tmp_path / "own.yml").write_text("\n".join(lines))
    given = changed(("material: magnesium", "material: own.yml"))
    with pytest.raises(DatasetError, match=r"dataset.yml: files.ecci: .*names no element.*add a line"):
        reflections_of(given[0], given[1])


def test_lines_of_records_already_read(demo, told):
    """`ecci_told` is the records and then the lines of them."""
    found, ebsd, _, grains, systems = demo
    first = told.records[told.records["grain_id"] == told.records["grain_id"].iloc[0]]
    some = ecci_lines(found, ebsd, first, grains, systems)
    assert sorted(some.lines["line"]) == sorted(first["line"].unique())
