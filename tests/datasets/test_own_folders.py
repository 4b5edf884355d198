"""Data sets in folders of one's own, found by name through CPML_DATA beside those in data/."""

import os

import pytest

import cpml
from cpml import datasets, paths
from cpml.datasets.dataset import find_description
from cpml.errors import DatasetError


@pytest.fixture
def own(describe, tmp_path, monkeypatch):
    """own(folder, name) -> dataset.yml of that name in a folder of CPML_DATA."""
    folders = [tmp_path / "first lab", tmp_path / "second"]
    monkeypatch.setenv("CPML_DATA", os.pathsep.join(map(str, folders)))
    return lambda k, name: describe(folders[k] / name, name=name)


def test_a_data_set_is_found_in_every_folder(own):
    mine, other = own(0, "mine"), own(1, "other")
    assert cpml.load_dataset("mine").path == mine and cpml.load_dataset("other").path == other
    assert {"demo", "mine", "other"} <= set(datasets.available())
    assert cpml.load_dataset("demo").folder == paths.data() / "demo"


@pytest.mark.parametrize(
    "name, places", [("twice", ("first lab", "second")), ("demo", ("first lab", "data"))]
)
def test_a_name_in_two_places_is_refused_with_both(own, name, places):
    own(0, name)
    if name == "twice":
        own(1, name)
    with pytest.raises(DatasetError, match="rename one") as caught:
        find_description(name)
    assert all(f"{place}/{name}" in str(caught.value) for place in places)
    assert datasets.available().count(name) == 1


def test_an_unknown_name_says_where_was_looked(own, tmp_path):
    own(0, "mine")
    with pytest.raises(DatasetError, match="no data set 'yours'") as caught:
        find_description("yours")
    message = str(caught.value)
    assert str(paths.data()) in message and str(tmp_path / "first lab") in message and "mine" in message
    assert f"{tmp_path / 'second'} (no such folder)" in message


def test_a_folder_here_is_told_apart_from_a_name(describe, tmp_path, monkeypatch):
    describe(tmp_path / "here", name="here")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match=r"the folder here is \./here"):
        find_description("here")
    assert find_description("./here") == tmp_path / "here" / "dataset.yml"
    monkeypatch.chdir(tmp_path / "here")
    assert find_description(".") == tmp_path / "here" / "dataset.yml"


def test_no_folder_named_twice(monkeypatch, tmp_path):
    monkeypatch.setenv("CPML_DATA", os.pathsep.join([str(tmp_path), "", str(tmp_path), str(paths.data())]))
    assert paths.data_folders() == [paths.data(), tmp_path]
    monkeypatch.delenv("CPML_DATA")
    assert paths.data_folders() == [paths.data()]
