"""Data sets: what a valid description becomes. What an invalid one says: test_bad_input_datasets.py."""

import pytest

import cpml
from cpml import datasets, paths
from cpml.datasets import catalogue, dataset, schema
from cpml.safe_yaml import read_yaml


def test_files_are_absolute_and_defaults_filled_in(describe):
    path = describe()
    found = cpml.load_dataset(path)
    assert found.files == {"ebsd": path.parent / "map.ctf"}
    assert found.segmentation == {"threshold": 5.0, "min_pixels": 5, "twin_tolerance": 5.0}
    assert found.frame == {} and found.facts().loc["Euler frame to sample", "value"] == "not declared"
    assert found.phases == [datasets.PhaseSpec("Nickel", "fcc", "nickel")]
    assert (found.folder, found.virtual, found.note) == (path.parent, False, "")


def test_the_folder_and_the_file_mean_the_same_data_set(describe):
    path = describe()
    assert cpml.load_dataset(path.parent).path == cpml.load_dataset(str(path)).path == path


def test_every_bundled_data_set_describes_itself(monkeypatch):
    """Each name under data/ equals its folder, and a source and a licence are stated; files
    may be elsewhere.
    """
    assert datasets.available()
    for name in datasets.available():
        path = dataset.find_description(name)
        values = schema.check(read_yaml(path), path)
        assert values["name"] == name
        assert values["citation"] and values["licence"]


def test_caption_says_virtual_or_measured_and_repeats_an_assumption(describe):
    assert cpml.load_dataset(describe()).caption == "measured data"
    assert cpml.load_dataset(describe(virtual=True)).caption == "virtual specimen"
    assumed = {"kind": "tension", "axis": "y", "assumed": True}
    assert cpml.load_dataset(describe(load=assumed)).caption == "measured data; load: tension || y (assumed)"
    assert cpml.load_dataset(describe(load="unknown")).caption == "measured data; load unknown"
    assert cpml.load_dataset(describe(load="unknown")).load is None


def test_numbers_in_scientific_notation_are_numbers(describe):
    """YAML 1.1 takes 1e-3 for text; people write it."""
    path = describe()
    path.write_text(path.read_text().replace("axis: x", "axis: x\n  rate: 1e-3"))
    assert cpml.load_dataset(path).load.rate == 1e-3


def test_no_means_none_for_labels(describe):
    """YAML 1.1 takes a bare no for false."""
    assert cpml.load_dataset(describe(labels={"twins": False})).labels == {"twins": "none"}


def test_a_catalogue_key_is_a_file(describe, mirror):
    expected = mirror("mg-twins/twins.ctf")  # first: it skips where the file cannot be had
    assert cpml.load_dataset(describe(files={"ebsd": "mg-twins/twins.ctf"})).files["ebsd"] == expected


def test_reference_material_is_found_by_its_variable(describe, tmp_path, monkeypatch):
    (tmp_path / "ref").mkdir()
    (tmp_path / "ref" / "a.ctf").write_text("x")
    monkeypatch.setenv("CPML_REFERENCE", str(tmp_path / "ref"))
    found = cpml.load_dataset(describe(files={"ebsd": "$CPML_REFERENCE/a.ctf"}))
    assert found.files["ebsd"] == tmp_path / "ref" / "a.ctf"


def test_images_alone_are_a_data_set(describe):
    """Neither map nor phases are needed; slip systems cannot be asked for."""
    found = cpml.load_dataset(describe(files={"images": ["map.ctf"]}, phases=None, load="unknown"))
    assert found.phases == [] and list(found.facts().index) == [
        "title",
        "data",
        "files",
        "load",
        "note",
        "citation",
        "licence",
    ]
    with pytest.raises(cpml.CpmlError, match="phases"):
        found.systems()


def test_inputs_hold_both_halves_of_an_oxford_binary_map(describe):
    path = describe(files={"ebsd": "map.crc", "images": ["map.ctf"]})
    for name in ("map.crc", "map.cpr"):
        (path.parent / name).write_text("x")
    assert list(cpml.load_dataset(path).inputs()) == [
        "dataset.yml",
        "ebsd: map.crc",
        "ebsd: map.cpr",
        "images[0]: map.ctf",
    ]


def test_a_stated_checksum_is_verified(describe):
    path = describe()
    good = {"path": "map.ctf", "sha256": catalogue.file_sha256(path.parent / "map.ctf")}
    assert cpml.load_dataset(describe(files={"ebsd": good})).files["ebsd"].name == "map.ctf"


def test_a_material_of_ones_own_lies_beside_the_description(describe):
    path = describe(phases=[{"name": "X", "lattice": "fcc", "material": "mine.yml"}])
    of_package = paths.PACKAGE / "crystallography" / "materials" / "nickel.yml"
    (path.parent / "mine.yml").write_text(of_package.read_text())
    found = cpml.load_dataset(path)
    assert found.phases[0].material == str(path.parent / "mine.yml")
    assert "material: mine.yml" in found.inputs()


def test_frame_names_are_those_of_the_microscopy_frames():
    """The schema is checked without loading the readers; their names must stay the same."""
    from cpml.microscopy.maps import frames

    presets = getattr(frames, "PRESETS", None) or getattr(frames, "FRAMES", None)
    assert set(schema.FRAMES) == set(presets)


def test_outputs_follow_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("CPML_OUTPUT", str(tmp_path / "out"))
    assert paths.derived("demo") == tmp_path / "out" / "data" / "derived" / "demo"
    monkeypatch.setenv("CPML_ROOT", str(tmp_path / "root"))
    assert paths.notebooks() == tmp_path / "root" / "notebooks"
