"""The catalogue: names stay in their folder, checksums are always verified, nothing is fetched
that lies here.
"""

import hashlib

import pytest

from cpml.datasets import catalogue
from cpml.errors import DatasetError

CONTENT = b"some map\n"


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A catalogue of one set with two files, and an empty mirror."""
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    digest = hashlib.sha256(CONTENT).hexdigest()
    (root / "data" / "catalogue.yml").write_text(
        f"one:\n  title: t\n  files:\n    a.ctf:\n      sha256: '{digest}'\n    sub/b.crc:\n "
        f"     sha256: '{digest}'\n"
        f"    sub/b.cpr:\n      sha256: '{digest}'\n    ../c.ctf:\n      sha256: '{digest}'\n"
    )
    monkeypatch.setenv("CPML_ROOT", str(root))
    monkeypatch.setenv("CPML_DATA_MIRROR", str(tmp_path / "mirror"))
    return tmp_path


def put(path, content=CONTENT):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_mirror_comes_before_the_raw_folder(small):
    raw = put(small / "root" / "data" / "raw" / "one" / "a.ctf")
    assert catalogue.fetch("one/a.ctf") == raw
    mirrored = put(small / "mirror" / "one" / "a.ctf")
    assert catalogue.fetch("one/a.ctf") == mirrored


def test_a_damaged_file_is_an_error_wherever_it_lies(small):
    put(small / "mirror" / "one" / "a.ctf", b"some mbp\n")
    with pytest.raises(DatasetError, match=r"sha256 is .* 'one/a.ctf'"):
        catalogue.fetch("one/a.ctf")


def test_a_missing_file_without_url_says_where_to_put_it(small):
    with pytest.raises(DatasetError, match="has no public url: put the file at"):
        catalogue.fetch("one/a.ctf")


def test_both_halves_of_a_binary_map_are_fetched(small):
    put(small / "mirror" / "one" / "sub" / "b.crc")
    with pytest.raises(DatasetError, match=r"b\.cpr"):
        catalogue.fetch("one/sub/b.crc")
    put(small / "mirror" / "one" / "sub" / "b.cpr")
    assert catalogue.fetch("one/sub/b.crc").name == "b.crc"


@pytest.mark.parametrize("key", ["one/../c.ctf", "../one/a.ctf", "one", "", "/one/a.ctf", "two/a.ctf"])
def test_names_cannot_leave_their_folder(small, key):
    put(small / "mirror" / "c.ctf")
    with pytest.raises(DatasetError):
        catalogue.fetch(key)


def test_an_unknown_name_suggests_the_closest(small):
    with pytest.raises(DatasetError, match=r"did you mean 'one/a.ctf'"):
        catalogue.locate("one/a.cft")


def test_an_unreachable_url_says_what_to_do(small, monkeypatch):
    path = small / "root" / "data" / "catalogue.yml"
    path.write_text(
        f"one:\n  files:\n    a.ctf:\n      sha256: '{'0' * 64}'\n      url: http://localhost:9/a.ctf\n"
    )
    with pytest.raises(DatasetError, match=r"could not be downloaded .* set CPML_DATA_MIRROR"):
        catalogue.fetch("one/a.ctf")


def test_the_catalogue_states_source_and_licence_of_every_set():
    for name, entry in catalogue.sets().items():
        assert entry["licence"] and entry["citation"] and entry["title"], name
        assert all(values["bytes"] > 0 for values in entry["files"].values())
        assert all(values.get("url", "https://").startswith("https://") for values in entry["files"].values())


def test_every_mirrored_file_has_its_checksum(mirror):
    for key in catalogue.names():
        mirror(key)
