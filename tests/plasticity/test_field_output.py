"""Files of full fields: HDF5 of a path and back, VTK image data read by nothing but its specification."""

import base64
import xml.etree.ElementTree as ET

import h5py
import numpy as np
import pytest

from cpml.crystallography.rotations import random_quaternions
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity import (
    PowerLaw,
    full_field,
    full_field_path,
    read_path,
    voxel_fields,
    write_path,
    write_vti,
)
from support.phases import FCC

LAW = PowerLaw(FCC, [31.0], 5.0, 1e-3)
GRAINS = np.arange(24).reshape(2, 3, 4) % 5
Q = random_quaternions(5, np.random.default_rng(1))
PULL = Load.from_dict({"kind": "tension", "axis": "x"})
TYPES = {"Float64": "<f8", "Float32": "<f4", "Int64": "<i8", "Int32": "<i4", "UInt8": "u1"}


@pytest.fixture(scope="module")
def path():
    return full_field_path(LAW, GRAINS, Q, loading=PULL, strain=0.004, steps=2, step=(0.5, 1.0, 2.0))


def read_vti(file):
    """Image and cell arrays (nz, ny, nx, components) of a .vti with inline base64, uint64 headers."""
    root = ET.parse(file).getroot()
    assert root.attrib == {
        "type": "ImageData",
        "version": "1.0",
        "byte_order": "LittleEndian",
        "header_type": "UInt64",
    }
    image = root.find("ImageData")
    piece = image.find("Piece")
    assert piece.attrib["Extent"] == image.attrib["WholeExtent"]
    low = [int(word) for word in image.attrib["WholeExtent"].split()]
    nx, ny, nz = low[1] - low[0], low[3] - low[2], low[5] - low[4]
    arrays = {}
    for item in piece.find("CellData"):
        content = base64.b64decode(item.text.strip(), validate=True)
        assert int(np.frombuffer(content, "<u8", 1)[0]) == len(content) - 8
        values = np.frombuffer(content, TYPES[item.attrib["type"]], offset=8)
        count = int(item.attrib["NumberOfComponents"])
        arrays[item.attrib["Name"]] = values.reshape(nz, ny, nx, count)
    return image.attrib, arrays


def test_a_path_comes_back(path, tmp_path):
    """Every array, its unit and its meaning; tables are made from what was read."""
    again = read_path(write_path(path, tmp_path / "new" / "path.h5"))
    assert again.table().equals(path.table()) and again.grain_table().equals(path.grain_table())
    assert np.array_equal(again.last.cauchy, path.last.cauchy) and again.modes == path.modes
    assert np.array_equal(again.grain_rotation, path.grain_rotation) and again.step == (0.5, 1.0, 2.0)
    assert again.state is None
    with h5py.File(tmp_path / "new" / "path.h5") as file:
        assert file["voxels/cauchy"].shape == (2, 3, 4, 3, 3) and file["voxels/cauchy"].attrs["unit"] == "MPa"
        assert all(
            item.attrs["meaning"] for group in ("mean", "grains", "voxels") for item in file[group].values()
        )


def test_files_that_are_no_paths(path, tmp_path):
    """Absent, of another kind, cut off: one error that names the file."""
    file = tmp_path / "path.h5"
    with pytest.raises(ParameterError, match=r"path\.h5: cannot be read"):
        read_path(file)
    with h5py.File(file, "w") as other:
        other["x"] = 1
    with pytest.raises(ParameterError, match=r"path\.h5: not a path"):
        read_path(file)
    write_path(path, file)
    whole = file.read_bytes()
    file.write_bytes(whole[:5000])
    with pytest.raises(ParameterError, match=r"path\.h5: cannot be read"):
        read_path(file)


def test_vti_of_a_path(path, tmp_path):
    """Axes x, y, z with x fastest, edges of the voxels, tensors row by row."""
    file = write_vti(tmp_path / "path.vti", path.grain_index, path.step, voxel_fields(path))
    image, arrays = read_vti(file)
    assert image["WholeExtent"] == "0 4 0 3 0 2" and image["Spacing"] == "0.5 1.0 2.0"
    assert np.array_equal(arrays["grain_index"][..., 0], GRAINS)
    assert np.array_equal(arrays["stress_MPa"].reshape(24, 3, 3), path.last.cauchy)
    # the stress component 12 (row 1, column 2) of the voxel x = 3, y = 1, z = 0 is component 1 of cell 7
    assert arrays["gradient"].reshape(24, 9)[7, 1] == path.last.gradient[7, 0, 1]
    assert arrays["shear"].shape == (2, 3, 4, 12)


def test_vti_of_a_map(tmp_path):
    """A map is one layer; names are quoted; flags become bytes."""
    field = full_field(LAW, GRAINS[0], Q, loading=PULL)
    fields = voxel_fields(field) | {'a < "b"': GRAINS[0] > 1, "small": GRAINS[0].astype(">f4")}
    image, arrays = read_vti(write_vti(tmp_path / "map.vti", GRAINS[0], 0.25, fields))
    assert image["WholeExtent"] == "0 4 0 3 0 1" and image["Spacing"] == "0.25 0.25 1.0"
    assert np.array_equal(arrays["stress_MPa"][0].reshape(3, 4, 3, 3), field.cauchy)
    assert np.array_equal(arrays['a < "b"'][0, ..., 0], GRAINS[0] > 1)
    assert np.array_equal(arrays["small"][0, ..., 0], GRAINS[0])


@pytest.mark.parametrize(
    ("fields", "step", "words"),
    [
        ({"a": np.zeros((2, 3))}, 1.0, "a: values of shape"),
        ({"a": np.full((2, 3, 4), "x")}, 1.0, "a: values of shape"),
        ({}, 0.0, "positive edges"),
    ],
)
def test_what_is_no_voxel_field(fields, step, words, tmp_path):
    """Another grid, words, a voxel without size."""
    with pytest.raises(ParameterError, match=words):
        write_vti(tmp_path / "no.vti", GRAINS, step, fields)
    assert not (tmp_path / "no.vti").exists()
