"""Declared phases beside those of the file: listed, found, contradicted, left out of the mechanics."""

import numpy as np
import pytest

from cpml import load_dataset
from cpml.crystallography.rotations import random_quaternions
from cpml.datasets.observe import read_dataset_map
from cpml.datasets.phases import modelled_systems
from cpml.errors import DatasetError

NICKEL = "3.52;3.52;3.52\t90;90;90\tNickel\t11\t225"
TIN = "5.83;5.83;3.18\t90;90;90\tTin beta\t5\t141"
ARAGONITE = "4.96;7.97;5.74\t90;90;90\tAragonite\t3\t62"
DECLARED = {"name": "Nickel", "lattice": "fcc", "material": "nickel"}


@pytest.fixture
def read(describe, ctf_text):
    """read(phase lines of the header, phase of each point, declared phases) -> Dataset, EbsdMap."""

    def make(lines, phase, declared, **keys):
        path = describe(phases=declared, **keys)
        q = random_quaternions(len(phase), np.random.default_rng(1))
        text = ctf_text(q, 4, len(phase) // 4, phase_lines=lines, phase=np.asarray(phase))
        (path.parent / "map.ctf").write_text(text, encoding="utf-8", newline="")
        dataset = load_dataset(path)
        return dataset, read_dataset_map(dataset)

    return make


def notes(ebsd_map):
    return " | ".join(ebsd_map.frame_note)


def test_candidates_without_a_point_are_left_out(read):
    """Phases that acquisition software lists and never found need no declaration, and are said."""
    _, found = read([NICKEL, TIN, ARAGONITE], [1] * 16, [DECLARED])
    assert {p.name for p in found.phases.values()} == {"Nickel"}
    assert "Tin beta is listed and has no point" in notes(found)


def test_other_phases_are_kept_and_have_no_systems(read):
    """A phase that nobody declared and one declared other are counted and not modelled."""
    other = {"name": "Aragonite", "lattice": "other"}
    dataset, found = read([NICKEL, TIN, ARAGONITE], [1] * 8 + [2] * 3 + [3] * 5, [DECLARED, other])
    assert [int((found.phase_id == i).sum()) for i in (1, 2, 3)] == [8, 3, 5]
    assert list(modelled_systems(dataset, found)) == [1] and found.phases[3].lattice is None
    assert "Tin beta (3 points, group 422) is not declared" in notes(found)
    assert "Aragonite (5 points, group 222) is declared as other" in notes(found)


def test_every_phase_with_a_law_is_modelled(read):
    """Two cubic phases have the systems of their own lattice."""
    iron = {"name": "Iron", "lattice": "bcc", "material": "if_steel"}
    lines = [NICKEL, "2.87;2.87;2.87\t90;90;90\tIron\t11\t229"]
    dataset, found = read(lines, [1] * 8 + [2] * 8, [DECLARED, iron])
    systems = modelled_systems(dataset, found)
    assert {i: s.family_names[0] for i, s in systems.items()} == {
        1: dataset.systems().family_names[0],
        2: dataset.systems("Iron").family_names[0],
    }
    assert [p.name for p in dataset.modelled] == ["Nickel", "Iron"]


def test_phases_of_one_name_are_told_apart_by_number(read):
    """Two entries of one name in the header: one declaration for both, or one for each by its number."""
    lines = [NICKEL, "3.6;3.6;3.6\t90;90;90\tNickel\t11\t225"]
    _, both = read(lines, [1] * 8 + [2] * 8, [DECLARED])
    assert [p.lattice for p in both.phases.values()] == ["fcc", "fcc"]
    dataset, second = read(lines, [1] * 8 + [2] * 8, [DECLARED | {"number": 2}])
    assert list(modelled_systems(dataset, second)) == [2]


@pytest.mark.parametrize(
    ("name", "encoding"),
    [(name, e) for name in ("Ni3(Al,Ti)", "Stahl ß, weich", 'with "quotes"') for e in ("utf-8", "cp1252")]
    + [("Nickel — γ", "utf-8")],
)
def test_names_are_those_of_the_file(describe, ctf_text, some_orientations, name, encoding):
    """Commas, quotes and letters of either encoding of the vendors survive."""
    path = describe(phases=[DECLARED | {"name": name}])
    text = ctf_text(some_orientations, 6, 10, phase_lines=[NICKEL.replace("Nickel", name)])
    (path.parent / "map.ctf").write_bytes(text.encode(encoding))
    assert read_dataset_map(load_dataset(path)).phases[1].name == name


@pytest.mark.parametrize(
    ("line", "declared", "words"),
    [
        (NICKEL, DECLARED | {"name": "Nickle"}, ["Nickle", "1 'Nickel'"]),
        (NICKEL, {"name": "Nickel", "lattice": "bcc", "material": "if_steel"}, ["bcc", "space group"]),
        (NICKEL, DECLARED | {"material": "aluminium"}, ["a = 3.52", "aluminium 4.05", "another material"]),
        (NICKEL.replace("225", "0"), DECLARED | {"number": 3}, ["number 3"]),
        (
            "2.95;2.95;4.68\t90;90;120\tNickel\t9\t194",
            {"name": "Nickel", "lattice": "hcp", "material": "magnesium", "hex_x_axis": "a"},
            ["a = 2.95", "magnesium 3.2"],
        ),
        (
            "3.21;3.21;5.12\t90;90;120\tNickel\t9\t194",
            {"name": "Nickel", "lattice": "hcp", "material": "magnesium", "hex_x_axis": "a"},
            ["c/a = 1.595", "1.62"],
        ),
        (TIN.replace("Tin beta", "Nickel"), DECLARED, ["point group 422", "lattice: other"]),
    ],
)
def test_contradictions_are_one_error(read, line, declared, words):
    """Name, lattice, size or axial ratio that the file denies: refused before anything is computed."""
    with pytest.raises(DatasetError) as error:
        read([line], [1] * 16, [declared])
    assert all(word in str(error.value) for word in words), error.value


def test_a_cell_that_is_a_little_off_is_said(read):
    """Two per cent are alloying or temperature: a note with both numbers."""
    _, found = read([NICKEL.replace("3.52", "3.59")], [1] * 16, [DECLARED])
    assert "a = 3.59 Angstrom in the file" in notes(found)


def test_a_phase_that_is_declared_must_have_points_somewhere(read):
    """A map whose only modelled phase has no point cannot be evaluated."""
    with pytest.raises(DatasetError, match=r"no declared phase has a point.*Tin beta 16"):
        read([NICKEL, TIN], [2] * 16, [DECLARED])
