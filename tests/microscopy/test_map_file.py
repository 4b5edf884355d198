"""map.h5: what is written is read; a file with a value that no map has is refused, with the place named."""

import json

import h5py
import numpy as np
import pytest

from cpml.crystallography.rotations import random_quaternions
from cpml.errors import MapFileError
from cpml.microscopy import EbsdMap, MapPhase, read_map_file, write_map_file

NICKEL = MapPhase("Nickel", "432", "fcc", 3.52, 3.52, 3.52)


def little_map(grid):
    """Three rows of four points, one of them not indexed."""
    row, col = np.divmod(np.arange(12), 4)
    xy = (
        np.stack([col + (row % 2) / 2, row * np.sqrt(0.75)], 1)
        if grid != "square"
        else np.stack([col, row], 1)
    )
    xy = xy[:, ::-1] if grid == "flat_top" else xy
    return EbsdMap.from_points(
        "little",
        0.5 * xy + [3.0, 7.0],
        random_quaternions(12, np.random.default_rng(0)),
        np.where(np.arange(12) == 5, 0, 1),
        {1: NICKEL, 2: MapPhase("other", "622")},
        properties={"bc": np.arange(12.0), "is_twin": np.arange(12) > 3},
    )


@pytest.fixture
def path(tmp_path):
    write_map_file(little_map("square"), tmp_path / "map.h5")
    return tmp_path / "map.h5"


@pytest.mark.parametrize("grid", ["square", "hex", "flat_top"])
def test_a_map_comes_back(tmp_path, grid):
    written = little_map(grid)
    write_map_file(written, tmp_path / "map.h5")
    read = read_map_file(tmp_path / "map.h5")
    for name in ("quaternions", "phase_id", "xy"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert (read.shape, read.grid, read.pixel_um) == (written.shape, written.grid, written.pixel_um)
    assert list(read.properties) == ["bc", "is_twin"] and read.properties["is_twin"].dtype == bool
    assert read.phases[1] == written.phases[1] and np.isnan(read.phases[2].a)


def with_array(change):
    """Change an array of the file: a function of a dict of all arrays."""

    def damage(file):
        arrays = {name: file[name][()] for name in ("quaternions", "phase_id", "xy", "properties/bc")}
        change(arrays)
        for name, value in arrays.items():
            if name in file:
                del file[name]
            file[name] = value

    return damage


def with_attribute(name, value):
    def damage(file):
        file.attrs[name] = value

    return damage


def with_phase(**values):
    def damage(file):
        phases = json.loads(file.attrs["phases"])
        phases["1"] |= values
        file.attrs["phases"] = json.dumps(phases)

    return damage


DAMAGES = {
    "quaternion nan": (
        with_array(lambda a: a["quaternions"].__setitem__(3, np.nan)),
        "quaternions: not of length",
    ),
    "quaternion length": (
        with_array(lambda a: a["quaternions"].__imul__(1.01)),
        "quaternions: not of length one",
    ),
    "not indexed": (
        with_array(lambda a: a["quaternions"].__setitem__(5, 0.5)),
        "quaternions: an orientation where",
    ),
    "quaternion dtype": (
        with_array(lambda a: a.update(quaternions=np.zeros((12, 4), int))),
        "quaternions: int64 of shape",
    ),
    "quaternion shape": (
        with_array(lambda a: a.update(quaternions=a["quaternions"][:, :3])),
        r"quaternions: float64 of shape \(12, 3\) in a map of 12 points",
    ),
    "phase dtype": (with_array(lambda a: a.update(phase_id=np.ones(12))), "phase_id: float64"),
    "phase unknown": (with_array(lambda a: a["phase_id"].__setitem__(0, 7)), "phase 7 is not described"),
    "no point": (with_array(lambda a: a.update(phase_id=np.zeros(0, int))), "phase_id: int64 of shape"),
    "property short": (
        with_array(lambda a: a.update({"properties/bc": np.zeros(3)})),
        "properties/bc: float64",
    ),
    "property text": (
        with_array(lambda a: a.update({"properties/bc": np.full(12, b"x")})),
        r"properties/bc: \|S1 of shape",
    ),
    "stranger": (with_array(lambda a: a.update(other=np.zeros(12))), "unknown array 'other'"),
    "xy nan": (
        with_array(lambda a: a["xy"].__setitem__(3, np.nan)),
        "xy: positions that are not on the grid",
    ),
    "xy far": (with_array(lambda a: a["xy"].__setitem__(3, 1e300)), "xy: positions that are not on the grid"),
    "xy order": (
        with_array(lambda a: a["xy"].__setitem__(3, a["xy"][2])),
        "xy: positions that are not on the grid",
    ),
    "shape": (with_attribute("shape", "[1000000000, 1000000000]"), "12 points on a 'square' grid of"),
    "shape part": (with_attribute("shape", "[3, 4.5]"), "12 points on a 'square' grid of"),
    "shape text": (with_attribute("shape", "[" * 100_000), "not a complete cpml map"),
    "step": (with_attribute("pixel_um", "[0.5, 0]"), "step"),
    "step nan": (with_attribute("pixel_um", "[NaN, NaN]"), "step"),
    "grid": (with_attribute("grid", "round"), "'round' grid"),
    "no phases": (with_attribute("phases", "[]"), "not a complete cpml map"),
    "group": (with_phase(group="5"), "unknown point group '5'"),
    "cell": (with_phase(a=-1.0), r"phase 'Nickel': cell \(-1.0"),
    "angle": (with_phase(alpha=180), "phase 'Nickel': cell"),
    "lattice": (with_phase(lattice="diamond"), "lattice 'diamond'"),
    "name": (with_phase(name=3), "3 is no text"),
    "key": (with_phase(density=3), "density"),
    "kind": (with_attribute("kind", "cpml map 0"), "no 'cpml map 1'"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_value_that_no_map_has_is_told_with_its_place(path, name):
    damage, told = DAMAGES[name]
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(MapFileError, match=rf"map\.h5: .*{told}") as caught:
        read_map_file(path)
    assert "\n" not in str(caught.value)


def test_a_map_cut_anywhere_is_refused(path):
    data = path.read_bytes()
    for cut in range(0, len(data), 101):
        path.write_bytes(data[:cut])
        with pytest.raises(MapFileError, match=r"map\.h5"):
            read_map_file(path)


def test_an_array_that_lies_elsewhere_is_refused(path, tmp_path):
    """An external link reads another file of the machine: not ours."""
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["xy"] = np.zeros((12, 2))
    with h5py.File(path, "a") as file:
        del file["xy"]
        file["xy"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "xy")
    with pytest.raises(MapFileError, match="xy"):
        read_map_file(path)
