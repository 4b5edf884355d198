"""What fuzzing has found, as small files: each ends in one error that says what is wrong."""

import h5py
import numpy as np
import pytest

from cpml.crystallography import load_material
from cpml.errors import DatasetError, MapFileError, ParameterError
from cpml.microscopy import read_map, read_stack
from cpml.paths import PACKAGE
from cpml.safe_yaml import read_value, read_yaml
from cpml.virtual.truth import load_truth
from microscopy.test_vendor_files import esprit
from support.map_files import PHASE, ctf, points


def test_an_option_that_a_stack_does_not_have(tmp_path):
    path = ctf(tmp_path / "m.ctf", *points())
    with pytest.raises(ParameterError, match=r"m\.ctf: option 'scan' is not for this format \(ctf\)"):
        read_stack(path, scan="x")


@pytest.mark.parametrize(
    "cell", ["-3.52;3.52;3.52\t90;90;90", "3.52;3.52;1e30\t90;90;90", "3;3;3\t90;90;270"]
)
def test_a_cell_that_no_crystal_has(tmp_path, cell):
    path = ctf(tmp_path / "m.ctf", *points())
    known = PHASE.partition("\tNickel")[0]
    path.write_text(path.read_text().replace(known, cell))
    with pytest.raises(MapFileError, match=r"m\.ctf: phase 'Nickel' has the cell .*correct it"):
        read_map(path)


@pytest.mark.parametrize("step", [1e30, 1e-30])
def test_a_step_that_no_microscope_makes(tmp_path, step):
    path = esprit(tmp_path / "m.h5")
    with h5py.File(path, "a") as file:
        file["Map/EBSD/Header/YSTEP"][()] = step
    with pytest.raises(MapFileError, match=r"m\.h5: points are 0\.5 um apart, rows 1e[+-]30 um"):
        read_map(path)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("lattice: fcc", "lattice: [fcc]", r"lattice = \['fcc'\]; choose"),
        ("C44: ", "C44: 1" + "0" * 398, "C44 = inf must be a positive number"),
        ("families:", "hardening: {law: [x]}\nfamilies:", r"law = \['x'\]"),
        ("citation:", "citation: 7\nnote:", "citation = 7 must be text"),
    ],
)
def test_values_of_another_kind_in_a_material(tmp_path, before, after, told):
    text = (PACKAGE / "crystallography" / "materials" / "nickel.yml").read_text()
    assert before in text
    (tmp_path / "own.yml").write_text(text.replace(before, after, 1))
    with pytest.raises(DatasetError, match=rf"own\.yml.*{told}"):
        load_material(tmp_path / "own.yml")


def test_whole_numbers_beyond_all_fractions(tmp_path):
    (tmp_path / "dataset.yml").write_text("strain: 1" + "0" * 400)
    with pytest.raises(DatasetError, match=r"dataset\.yml: not valid YAML: line 1: a number of 401 digits"):
        read_yaml(tmp_path / "dataset.yml")
    with pytest.raises(ParameterError, match=r"parameter 'x': .*cannot be read"):
        read_value("[" * 10_000, what="parameter 'x'")


def test_truth_files_that_are_no_archives(tmp_path):
    path = tmp_path / "truth.npz"
    np.savez(path, surface_grain=np.ones((2, 3), int))
    whole = path.read_bytes()
    for data in (
        b"PK\x03\x04",
        whole[:-9],
        whole.replace(b"\x01\x00\x00\x00\x00\x00\x00\x00", b"\x07" * 8, 1),
    ):
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=r"truth\.npz: not a truth file"):
            load_truth(path)
