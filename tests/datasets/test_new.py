"""A description written from a map: facts of its file, marked decisions, valid as it is, all or nothing."""

import dataclasses

import numpy as np
import pytest

import cpml
from cpml import paths
from cpml.crystallography import random_quaternions
from cpml.datasets import inventory, new
from cpml.datasets.draft import open_decisions
from cpml.datasets.guess import fitting_materials
from cpml.datasets.new import new_description
from cpml.datasets.observe import read_dataset_map
from cpml.errors import CpmlError, DatasetError, MapFileError, ParameterError
from cpml.microscopy import MapPhase, write_map, write_map_file
from support import map_files
from support.maps import MAGNESIUM, NICKEL, nearest_seeds, square_map

ORE = MapPhase("Ore {1}: x #2", "222", None, 4.75, 10.2, 5.98)


@pytest.fixture
def magnesium(tmp_path):
    """A .ctf of nickel, magnesium, an ore and a phase without a point, in a folder of its own."""
    phases = {1: MAGNESIUM, 2: NICKEL, 3: ORE, 4: MapPhase("Candidate", "432")}
    label = nearest_seeds(12, 15, 9)
    q = random_quaternions(9, np.random.default_rng(0))
    m = square_map(label, q, phases=phases, phase_of_grain=[1, 2, 3] * 3, noise_deg=0.2)
    folder = tmp_path / "AZ31 sheet"
    folder.mkdir()
    return write_map(m, folder / "Probe 7ä.ctf")


@pytest.fixture
def nickel(tmp_path):
    """A .ctf of a few points."""
    return map_files.ctf(tmp_path / "map.ctf", *map_files.points())


def test_every_fact_comes_from_the_file(magnesium):
    written = new_description(magnesium)
    dataset = cpml.load_dataset(written.path)
    assert written.path == magnesium.parent / "dataset.yml" and written.done == []
    assert dataset.name == "Probe-7a" and dataset.files == {"ebsd": magnesium}
    assert [(p.name, p.lattice, p.material, p.hex_x_axis) for p in dataset.phases] == [
        ("Magnesium", "hcp", "magnesium", "a*"),
        ("Nickel", "fcc", "nickel_superalloy", None),  # its a of 3.592 is nearer to that
        (ORE.name, "other", None, None),
    ]
    assert dataset.load is None and dataset.frame == {}
    ebsd = read_dataset_map(dataset)
    assert {p.name for p in ebsd.phases.values()} == {"Magnesium", "Nickel", ORE.name}
    text = written.path.read_text(encoding="utf-8")
    assert "180 points, 15 columns x 12 rows, square grid, step 0.5 um" in text
    assert "without a point: Candidate" in text and "# frame: {euler_to_sample: oxford}" in text
    assert "# - hexagonal crystals: X||a* in the file, assumed as usual for this format" in text


def test_decisions_are_marked_with_their_alternatives(magnesium):
    written = new_description(magnesium)
    told = [what for _, what in open_decisions(written.path)]
    assert told == written.decisions
    words = (
        "title, citation",
        "magnesium_az31",
        "a* is usual",
        "nickel_superalloy",
        "none fits",
        "frame",
        "load",
        "surface",
    )
    assert len(told) == len(words) and all(w in what for w, what in zip(words, told, strict=True))
    lines = written.path.read_text(encoding="utf-8").splitlines()
    left = [line for line in lines if "DECIDE 1:" not in line]
    written.path.write_text("\n".join(left), encoding="utf-8")
    assert [what for _, what in open_decisions(written.path)] == told[1:]


def test_what_is_given_is_decided(magnesium):
    given = {"load": "compression:-y:0.03:1e-2:473", "name": "az31", "materials": ["magnesium_az31"]}
    written = new_description(magnesium, **given)
    dataset = cpml.load_dataset(written.path)
    assert dataset.name == "az31" and dataset.phases[0].material == "magnesium_az31"
    assert (dataset.load.label, dataset.load.strain) == ("compression || -y", 0.03)
    assert (dataset.load.rate, dataset.load.temperature) == (0.01, 473)
    assert not any("load" in what or "material of Magnesium" in what for what in written.decisions)


def test_a_file_may_call_its_phases_anything(nickel, monkeypatch):
    """Line ends, marks of YAML and of this file, twice the same name: one description, read back as it is."""
    from cpml.microscopy.io import contents

    names = ["a\nb: c", "*x", "# DECIDE 9: all", "{", "x\u2028y\x85z", "Ni", "Ni"]
    phases = {i: MapPhase(name, "432", "fcc", 3.52, 3.52, 3.52) for i, name in enumerate(names, start=1)}
    m = square_map(
        nearest_seeds(9, 9, 7),
        random_quaternions(7, np.random.default_rng(0)),
        phases=phases,
        phase_of_grain=[*phases],
    )
    m = dataclasses.replace(m, frame_note=("a note\nDECIDE 8: nothing",))
    told = contents.MapContents("h5oina", m, "a*", "", True, ("one", "two\nDECIDE 7: x"), 1)
    monkeypatch.setattr(contents, "look_into", lambda *_, **__: told)
    written = new_description(nickel, name="odd")
    dataset = cpml.load_dataset(written.path)
    assert [p.name for p in dataset.phases] == [name.strip() for name in names]
    assert [p.number for p in dataset.phases] == [None] * 5 + [6, 7]
    assert dataset.reading == {"scan": "one"}
    assert [what for _, what in open_decisions(written.path)] == written.decisions


def test_a_map_of_cpml_itself_has_no_axis_to_declare(tmp_path):
    q = random_quaternions(4, np.random.default_rng(0))
    write_map_file(square_map(nearest_seeds(6, 6, 4), q, phase=MAGNESIUM), tmp_path / "mg.h5")
    write_map_file(square_map(nearest_seeds(6, 6, 4), q), tmp_path / "ni.h5")
    with pytest.raises(DatasetError, match="describe the file that it was made from"):
        new_description(tmp_path / "mg.h5")
    dataset = cpml.load_dataset(new_description(tmp_path / "ni.h5").path)
    assert read_dataset_map(dataset).n_pixels == 36


@pytest.mark.parametrize(
    "load, words",
    [
        ("pull:x", "kind:axis"),
        ("tension", "an axis is needed"),
        ("tension:q", "load.axis"),
        ("tension:x:5", "above 1"),
        ("tension:x:much", "'much' is not a number"),
        ("shear:x:y", "written in the file"),
    ],
)
def test_a_load_that_is_none(nickel, load, words):
    with pytest.raises(ParameterError, match=r"--load") as caught:
        new_description(nickel, load=load)
    assert words in str(caught.value) and not (nickel.parent / "dataset.yml").exists()


def test_nothing_is_overwritten(nickel):
    new_description(nickel)
    before = (nickel.parent / "dataset.yml").read_bytes()
    with pytest.raises(DatasetError, match=r"exists and is not overwritten.*--folder"):
        new_description(nickel, name="other")
    assert (nickel.parent / "dataset.yml").read_bytes() == before


@pytest.mark.parametrize("link", [False, True])
def test_files_from_elsewhere_are_brought_into_the_folder(tmp_path, link):
    """Both halves of an Oxford binary map, also when its header is the one that is named."""
    map_files.crc(tmp_path / "scan.crc", *map_files.points())
    written = new_description(tmp_path / "scan.cpr", folder=tmp_path / "sets" / "alloy", link=link)
    folder = tmp_path / "sets" / "alloy"
    assert sorted(p.name for p in folder.iterdir()) == ["dataset.yml", "scan.cpr", "scan.crc"]
    assert (folder / "scan.crc").is_symlink() == link and len(written.done) == 2
    assert (folder / "scan.crc").read_bytes() == (tmp_path / "scan.crc").read_bytes()
    dataset = cpml.load_dataset(folder)
    assert dataset.name == "alloy" and read_dataset_map(dataset).n_pixels == 24  # scan tells nothing


def test_what_fails_leaves_nothing(nickel, tmp_path, monkeypatch):
    folder = tmp_path / "labs" / "new"
    (tmp_path / "traces.csv").write_text("x_um,y_um\n1,2\n")
    with pytest.raises(MapFileError, match="no column angle_deg"):
        new_description(nickel, folder=folder, traces=tmp_path / "traces.csv")
    assert not folder.parent.exists()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(new.shutil, "copyfile", full)
    with pytest.raises(DatasetError, match="No space left on device"):
        new_description(nickel, folder=folder)
    assert not folder.parent.exists()
    monkeypatch.undo()
    monkeypatch.setattr(new, "load_dataset", lambda _: (_ for _ in ()).throw(DatasetError("invalid")))
    with pytest.raises(DatasetError, match="invalid"):
        new_description(nickel, folder=folder)
    assert not folder.parent.exists()
    folder.mkdir(parents=True)
    (folder / "map.ctf").write_text("another file of this name")
    with pytest.raises(DatasetError, match="is not overwritten: rename"):
        new_description(nickel, folder=folder)
    assert [p.name for p in folder.iterdir()] == ["map.ctf"]


@pytest.mark.parametrize(
    "name, content", [("none.ctf", None), ("empty.ctf", b""), ("noise.h5", b"\0\1" * 99)]
)
def test_a_file_that_is_no_map_is_one_error(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CpmlError, match=name) as caught:
        new_description(tmp_path / name)
    assert "\n" not in str(caught.value) and not (tmp_path / "dataset.yml").exists()


def test_further_files_are_read_and_named(nickel, tmp_path):
    (tmp_path / "lines.csv").write_text("x_um,y_um,angle_deg\n1,2,45\n2,2,\n")
    (tmp_path / "curve.csv").write_text("true_strain,true_stress_mpa\n0,0\n0.01,100\n0.02,120\n")
    y, x = np.mgrid[:9, :9].astype(float)
    np.savez(tmp_path / "field.npz", x=x, y=y, u=0.01 * x, v=0 * y)
    files = {"traces": "lines.csv", "curve": "curve.csv", "dic": "field.npz"}
    written = new_description(nickel, **{role: tmp_path / name for role, name in files.items()})
    dataset = cpml.load_dataset(written.path)
    assert set(dataset.files) == {"ebsd", "traces", "curve"}  # a field without its points would be an error
    assert any("1 lines, 1 places" in line for line in written.found)
    assert "registration of field.npz" in written.decisions
    text = written.path.read_text()
    points = "[[10, 12, 30, 40], [200, 15, 80, 41], [12, 180, 31, 95]]"
    assert "# dic: field.npz" in text and f"#   dic_to_ebsd: {points}" in text
    for commented in ("# registration:", f"#   dic_to_ebsd: {points}", "# dic: field.npz"):
        text = text.replace(commented, commented.removeprefix("# ").replace("#  ", "  ", 1))
    written.path.write_text(text)
    decided = cpml.load_dataset(written.path)
    assert "dic" in decided.files and len(decided.registration["dic_to_ebsd"]) == 3


def test_text_names_its_columns_by_its_heading(tmp_path):
    x, y, phi1 = map_files.points()
    table = np.column_stack([phi1, 0 * phi1 + 20, 0 * phi1 + 30, 0 * phi1, x, y, 0 * x + 0.5])
    path = tmp_path / "ti.txt"
    heading = "Euler 1; Euler 2; Euler 3; Phase; X (um); Y (um); Image Quality"
    np.savetxt(path, table, delimiter=";", header=heading, comments="# ")
    with pytest.raises(DatasetError, match=r"--material with 1 of the materials, for the phase numbers 0"):
        new_description(path)
    written = new_description(path, materials=["titanium_cp"])
    dataset = cpml.load_dataset(written.path)
    names = ["phi1", "Phi", "phi2", "phase", "x", "y", "Image_Quality"]
    assert dataset.reading == {"columns": names, "angles": "degrees", "phase_numbers": [0]}
    assert np.degrees(read_dataset_map(dataset).orientations[0].to_euler()[0, 1]) == pytest.approx(20)


def test_text_in_radians_is_recognised_and_nameless_columns_are_asked_for(tmp_path):
    x, y, phi1 = map_files.points()
    path = tmp_path / "al.txt"
    np.savetxt(path, np.column_stack([np.radians(phi1), 0 * x + 0.3, 0 * x + 0.5, x, y]))
    with pytest.raises(DatasetError, match=r"5 columns whose heading.*--reading"):
        new_description(path, materials=["aluminium"])
    options = {"reading": "columns: [phi1, Phi, phi2, x, y]", "materials": ["aluminium"]}
    dataset = cpml.load_dataset(new_description(path, **options).path)
    assert dataset.reading["angles"] == "radians" and dataset.phases[0].material == "aluminium"


@pytest.mark.parametrize("reading, words", [("unit: inch", "inch"), ("uni: px", "unit"), ("[1", "--reading")])
def test_reading_options_are_checked(nickel, reading, words):
    with pytest.raises(ParameterError, match=words):
        new_description(nickel, reading=reading)


def test_a_name_is_safe_and_its_own(nickel, tmp_path, monkeypatch):
    """By the folder, where the file's name tells nothing or the folder is one of data sets."""
    assert new._name("", tmp_path / "Ni 5%.ctf", tmp_path) == "Ni-5"
    assert new._name("", tmp_path / "map.ctf", tmp_path / "my steel") == "my-steel"
    assert new._name("", tmp_path / "ä.ctf", tmp_path) == "a"
    assert new._name("", tmp_path / "鉄.ctf", tmp_path) == "my-map"
    assert new._name("", tmp_path / "mg-twins.ctf", tmp_path) == "mg-twins-2"
    assert new._name("", tmp_path / "map.ctf", tmp_path / "demo") == "demo-map"
    monkeypatch.setenv("CPML_DATA", str(tmp_path))
    assert new._name("", tmp_path / "sheet" / "x.ctf", tmp_path / "sheet") == "sheet"
    with pytest.raises(DatasetError, match=r"'mg-twins' is taken by .*--name"):
        new_description(nickel, name="mg-twins")
    with pytest.raises(DatasetError, match="letters, digits"):
        new_description(nickel, name="../x")


def test_the_schema_is_named_inside_the_checkout_only(nickel, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:  # the package as a library
        patched.setattr(paths, "checkout", lambda: None)
        assert "$schema" not in new_description(nickel).path.read_text()
    root = tmp_path / "clone"
    (root / "docs").mkdir(parents=True)
    (root / "docs" / "dataset.schema.json").write_text("{}")
    monkeypatch.setenv("CPML_ROOT", str(root))
    path = new_description(nickel, folder=root / "data" / "mine").path
    first = path.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../../docs/dataset.schema.json"


@pytest.mark.parametrize(
    "name, group, lattice, a, c, expected",
    [
        ("Ni-superalloy", "432", "fcc", 3.57, 3.57, ["nickel_superalloy", "nickel"]),
        ("Iron bcc (old)", "432", "bcc", 2.866, 2.866, ["ferrite", "if_steel"]),
        ("austenite/austenite", "432", None, 3.595, 3.595, ["austenitic_steel", "stainless_316l"]),
        ("Titanium-alpha", "622", None, 2.95, 4.68, ["titanium_cp", "titanium_ti64_alpha"]),
        ("Iron fcc", "432", None, 1.0, 1.0, ["austenitic_steel", "stainless_316l", "ferrite", "if_steel"]),
        ("Copper", "432", None, 4.05, 4.05, []),  # the cell of another metal
        ("Gold", "432", "fcc", 4.07, 4.07, []),  # as large as aluminium's, and none of it
        ("Titanium carbide", "432", "fcc", 3.6, 3.6, []),
        ("Phase 1", "432", "fcc", 3.6, 3.6, []),
    ],
)
def test_materials_fit_by_name_and_cell(name, group, lattice, a, c, expected):
    found = fitting_materials(MapPhase(name, group, lattice, a, a, c))
    assert {m.name for m in found} == set(expected)
    assert [m.name for m in found][:1] == expected[:1] or a == 1


def test_the_files_of_the_demo_are_told():
    ebsd, entries = inventory.take_inventory(cpml.load_dataset("demo"))
    told = {entry.role: entry for entry in entries}
    assert list(told) == list(cpml.load_dataset("demo").files) and not any(e.error for e in entries)
    assert ebsd.n_pixels == 128**2 and "128 columns x 128 rows" in told["ebsd"].told
    assert "lines" in told["traces"].told or "recorded" in told["traces"].told
    assert "240 columns x 240 rows" in told["dic"].told


def test_what_cannot_be_read_is_told_of_every_file(nickel, tmp_path):
    """A field without its points, a curve without a unit, labels without a column, traces elsewhere."""
    path = new_description(nickel, name="x").path
    (tmp_path / "curve.csv").write_text("strain,stress\n0,0\n1,1\n")
    (tmp_path / "lines.csv").write_text("x_um,y_um,angle_deg\n900,2,45\n")
    (tmp_path / "labels.csv").write_text("grain,what\n1,slip\n")
    y, x = np.mgrid[:9, :9].astype(float)
    np.savez(tmp_path / "field.npz", x=x, y=y, u=0.01 * x, v=0 * y)
    files = "curve: curve.csv\n  traces: lines.csv\n  labels: labels.csv\n  dic: field.npz"
    path.write_text(path.read_text().replace("  ebsd: map.ctf", f"  ebsd: map.ctf\n  {files}"))
    _, entries = inventory.take_inventory(cpml.load_dataset(path))
    errors = {entry.role: entry.error for entry in entries}
    assert errors["ebsd"] == "" and "unit" in errors["curve"] and "none of its 1 places" in errors["traces"]
    assert "labels.csv" in errors["labels"] and "dic_to_ebsd" in errors["dic"]


def test_no_path_of_a_machine_is_written(magnesium):
    text = new_description(magnesium).path.read_text(encoding="utf-8")
    assert str(magnesium.parent) not in text and str(paths.root()) not in text
