"""Damage of every other kind of file: cut anywhere, overwritten, or lying about its size.

A text map cut inside its last number cannot be told from a whole one; it reads, with a note, and all other
numbers are right.
"""

import io
import struct
import tracemalloc
import zipfile
from functools import cache

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

from cpml.crystallography.rotations import random_quaternions
from cpml.errors import CpmlError, MapFileError
from cpml.microscopy import (
    EbsdMap,
    MapPhase,
    read_dic,
    read_grain_file,
    read_image,
    read_labels,
    read_map,
    read_reconstructed_boundaries,
    read_traces,
    write_map,
)
from cpml.microscopy.io.map_file import write_map_file
from support.phases import FCC

COLUMNS = ["x", "y", "phase", "phi1", "Phi", "phi2", "note"]
NICKEL = MapPhase("Nickel", "432", "fcc", 3.52, 3.52, 3.52)


def cuts(data):
    """Lengths to cut a file to: every byte of its last 250 and of its first 50, every fifth between."""
    n = len(data)
    return [cut for cut in range(n) if cut < 50 or cut >= n - 250 or cut % 5 == 0]


def little_map(grid="square"):
    """Six points in two rows, the fifth not indexed."""
    col, row = np.tile(np.arange(3.0), 2), np.repeat([0.0, 1.0], 3)
    xy = np.stack([col, row], 1) if grid == "square" else np.stack([col + row / 2, row * np.sqrt(0.75)], 1)
    q = random_quaternions(6, np.random.default_rng(0))
    return EbsdMap.from_points(
        "m", xy, q, [1, 1, 1, 1, 0, 1], {1: NICKEL}, properties={"bc": np.arange(91.0, 97.0)}
    )


def delimited(path):
    m = little_map()
    euler = np.random.default_rng(1).uniform(10, 90, (6, 3))
    rows = [
        f"{x:g},{y:g},{p},{e[0]:.4f},{e[1]:.4f},{e[2]:.4f},7"
        for (x, y), p, e in zip(m.xy, m.phase_id, euler, strict=True)
    ]
    path.write_text("x,y,phase,phi1,Phi,phi2,note\n" + "\n".join(rows) + "\n")


TEXT_MAPS = {
    "m.ctf": lambda path: write_map(little_map(), path),
    "m.ang": lambda path: write_map(little_map(), path),
    "h.ang": lambda path: write_map(little_map("hex"), path),
    "m.txt": delimited,
}


def read_text_map(path):
    options = {"columns": COLUMNS, "phases": [NICKEL]} if path.suffix == ".txt" else {}
    return read_map(path, **options)


@pytest.mark.parametrize("name", TEXT_MAPS)
def test_text_map_cut_anywhere(tmp_path, name):
    """An error that names the file, or, from the last number on, the same orientations, phases and positions,
    with a note.
    """
    path = tmp_path / name
    TEXT_MAPS[name](path)
    data, whole = path.read_bytes(), read_text_map(path)
    assert not any("cut off" in note for note in whole.frame_note)
    last_field = max(data.rstrip().rfind(mark) for mark in (b" ", b"\t", b",")) + 1
    for cut in cuts(data):
        path.write_bytes(data[:cut])
        try:
            m = read_text_map(path)
        except CpmlError as error:
            assert name in str(error)
            continue
        n = m.n_pixels
        assert cut > last_field or name == "m.txt", "a point is missing"
        if cut > last_field:
            assert n == 6
            np.testing.assert_array_equal(m.phase_id, whole.phase_id)
        # a list of points that announces no number may end after any of them
        there = m.indexed
        place = [int(np.flatnonzero((whole.xy == xy).all(axis=1))[0]) for xy in m.xy[there]]
        np.testing.assert_array_equal(m.quaternions[there], whole.quaternions[place])
        is_at_end = data[cut - 1 : cut] in (b"\r", b"\n")
        assert is_at_end or any("cut off" in note for note in m.frame_note)


def test_binary_map_cut_anywhere(tmp_path):
    """Either half of a .crc/.cpr pair, every cut of the .crc and of the sections of the .cpr that are
    needed: one error.
    """
    record = np.zeros(6, [("phase", "u1"), ("euler", "<f4", 3)])
    record["phase"], record["euler"] = 1, 0.5
    crc, cpr = tmp_path / "m.crc", tmp_path / "m.cpr"
    text = (
        b"[Job]\nGridDistX=0.25\nGridDistY=0.25\nxCells=3\nyCells=2\n[Fields]\nCount=3\nField1=3\nField2=4\nField3=5\n"
        b"[Phases]\nCount=1\n[Phase1]\nStructureName=Ni\na=3.52\nb=3.52\nc=3.52\nalpha=90\nbeta=90\ngamma=90\n"
        b"LaueGroup=11\nSpaceGroup=225\n"
    )
    for path, data, other in ((crc, record.tobytes(), (cpr, text)), (cpr, text, (crc, record.tobytes()))):
        other[0].write_bytes(other[1])
        for cut in cuts(data):
            path.write_bytes(data[:cut])
            if data[:cut].endswith(b"LaueGroup=11\n"):
                continue  # complete but for the space group, which may be absent
            with pytest.raises(CpmlError, match=r"m.c"):
                read_map(crc)


def test_hdf_map_cut_anywhere(tmp_path):
    """An HDF5 file that ends early is refused whole: no half map."""
    for name in ("orix.h5", "own.h5"):
        path = tmp_path / name
        if name == "own.h5":
            write_map_file(little_map(), path)
        else:
            write_map(little_map(), path)
        data = path.read_bytes()
        for cut in range(0, len(data), 97):
            path.write_bytes(data[:cut])
            with pytest.raises(CpmlError, match=name):
                read_map(path)


def davis(path):
    lines = ['#DaVis 8.4.0 2D-vector 12 4 5 "" "pixel" "" "pixel" "displacement" "pixel"']
    path.write_text(
        "\n".join(lines + [f"{6 + 12 * (n % 5)}\t{6 + 12 * (n // 5)}\t0.25\t-0.5" for n in range(20)]) + "\n"
    )


def openpiv(path):
    lines = ["# x\ty\tu\tv\tflags\tmask"]
    path.write_text(
        "\n".join(lines + [f"{16 * (n % 5)}\t{64 - 16 * (n // 5)}\t0.25\t-0.5\t0\t0" for n in range(20)])
        + "\n"
    )


def npz(path):
    y, x = np.mgrid[:4, :5] * 8.0
    np.savez_compressed(path, x=x, y=y, u=0.01 * y, v=0.02 * x)


def grain_file(path):
    head = (
        "# Column 1: Integer identifying grain\n"
        "# Column 2-4: Average orientation (phi1, PHI, phi2) in degrees\n"
        "# Column 5-6: Average Position (x, y) in microns\n"
        "# Column 7: Average Image Quality (IQ)\n"
        "# Column 8: Average Confidence Index (CI)\n"
        "# Column 9: Average Fit (degrees)\n"
        "# Column 10: An integer identifying the phase\n"
        "# Column 11: Edge grain (1) or interior grain (0)\n"
        "# Column 12: Diameter of grain in microns\n"
    )
    path.write_text(head + "".join(f"{n} 10 20 30 {n} 5 100 0.9 0.5 1 1 12.5\n" for n in range(1, 9)))


def boundaries(path):
    head = (
        "# Column 1-3: right hand average orientation (phi1, PHI, phi2 in radians)\n"
        "# Column 4-6: left hand average orientation (phi1, PHI, phi2 in radians)\n"
        "# Column 7: length (in microns)\n# Column 8: trace angle (in degrees)\n"
        "# Column 9-12: x,y coordinates of endpoints (in microns)\n"
        "# Column 13-14: IDs of right hand and left hand grains\n"
    )
    path.write_text(
        head + "".join(f"0.1 0.2 0.3 0.4 0.5 0.6 10 0 0 {n} 10 {n} {n} {n + 1}\n" for n in range(1, 9))
    )


def traces(path):
    path.write_text(
        "x_um,y_um,angle_deg,sigma_deg,note\n"
        + "".join(f'{n},2.5,{20 * n},1.5,"a, b"\n' for n in range(1, 9))
    )


def labels(path):
    path.write_text(
        "grain_id,mechanism,target,observed,weight,source\n"
        + "".join(f"{n},climb,,1,0.5,TEM\n" for n in range(1, 9))
    )


def picture(path):
    values = np.random.default_rng(0).integers(0, 255, (24, 32)).astype(np.uint8)
    options = {".tif": {"compression": "tiff_lzw"}}.get(path.suffix, {})
    Image.fromarray(values).save(path, **options)


PARENTS = pd.DataFrame({"grain_id": range(1, 9), "phase": 1, "qw": 1.0, "qx": 0.0, "qy": 0.0, "qz": 0.0})
OTHERS = {
    "davis.txt": (davis, read_dic),
    "openpiv.txt": (openpiv, read_dic),
    "field.npz": (npz, read_dic),
    "grains.txt": (grain_file, read_grain_file),
    "boundaries.txt": (boundaries, read_reconstructed_boundaries),
    "traces.csv": (traces, read_traces),
    "labels.csv": (labels, lambda path: read_labels(path, PARENTS, FCC)),
    "a.tif": (picture, read_image),
    "a.png": (picture, read_image),
    "a.bmp": (picture, read_image),
    "a.jpg": (picture, read_image),
    "a.dm3": (lambda path: path.write_bytes(struct.pack(">iii", 3, 400, 1) + bytes(388)), read_image),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """whole(name) -> bytes of an undamaged file, which has been read once: its reader is imported."""
    folder = tmp_path_factory.mktemp("whole")

    @cache
    def made(name):
        write, read = OTHERS[name]
        write(folder / name)
        try:
            read(folder / name)
        except CpmlError:
            assert name == "a.dm3", "an empty one is no picture"
        return (folder / name).read_bytes()

    return made


DAMAGE = st.tuples(
    st.sampled_from(("cut", "bytes", "number", "noise")),
    st.floats(0, 1, exclude_max=True),
    st.binary(min_size=1, max_size=12),
)


@pytest.mark.parametrize("name", OTHERS)
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=DAMAGE)
def test_other_files_end_in_one_error_or_an_answer(tmp_path, damaged, whole, name, damage):
    """Fields, tables, labels and images: a CpmlError that names the file or a result, in little memory."""
    read, path = OTHERS[name][1], tmp_path / name
    path.write_bytes(damaged(whole(name), *damage))
    tracemalloc.start()
    try:
        assert read(path) is not None
    except CpmlError as error:
        assert name in str(error), error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 6e7


@pytest.mark.parametrize(
    "name", ["davis.txt", "openpiv.txt", "grains.txt", "boundaries.txt", "traces.csv", "labels.csv"]
)
def test_table_cut_anywhere(tmp_path, name):
    """A field with a count or a grid is whole or refused; a list of lines has as many rows as it
    has whole lines.
    """
    write, read = OTHERS[name]
    path = tmp_path / name
    write(path)
    data = path.read_bytes()
    n_whole = read(path).u.size if name == "davis.txt" else None
    for cut in cuts(data):
        path.write_bytes(data[:cut])
        try:
            found = read(path)
        except CpmlError as error:
            assert name in str(error)
            continue
        if name == "davis.txt":
            assert found.u.size == n_whole
        elif name == "openpiv.txt":  # announces no number: the rows that are there, or one row
            assert found.shape[0] == 1 or found.shape[1] == 5
            assert (found.u == 0.25).all() and (np.abs(found.v) == 0.5).all()
        else:
            assert len(found) <= data[:cut].count(b"\n") + 1


def claims(shape):
    """An .npz whose member u claims a shape that it does not have."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "xyuv":
            member = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                member, {"descr": "<f8", "fortran_order": False, "shape": shape if name == "u" else (4, 5)}
            )
            archive.writestr(f"{name}.npy", member.getvalue() + bytes(160))
    return content.getvalue()


def zeros(n):
    """An .npz of four arrays of n zeros: a thousandth of their size."""
    content = io.BytesIO()
    np.savez_compressed(content, **{k: np.zeros((n // 1000, 1000)) for k in "xyuv"})
    return content.getvalue()


@pytest.mark.parametrize(
    "content, told", [(claims((10**6, 10**6)), "claims"), (zeros(2_000_000), "unpacks to more")]
)
def test_fields_that_claim_too_much(tmp_path, content, told):
    """A shape beyond its member, and 64 MB of zeros in 64 kB, are refused before they are unpacked."""
    (tmp_path / "d.npz").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(MapFileError, match=rf"d\.npz.*{told}"):
        read_dic(tmp_path / "d.npz")
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_images_that_claim_too_much(tmp_path):
    """A PNG of 1 kB whose header says 12,000 x 12,000 pixels is refused before its pixels are asked for."""
    path = tmp_path / "a.png"
    picture(path)
    data = bytearray(path.read_bytes())
    import zlib

    data[16:24] = struct.pack(">II", 12_000, 12_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    path.write_bytes(data)
    with pytest.raises(MapFileError, match=r"a\.png: 12000 x 12000 pixels in a file of"):
        read_image(path)


def test_own_maps_that_claim_too_much(tmp_path):
    """A map.h5 with an array of 2^40 points that was never written costs nothing."""
    path = tmp_path / "map.h5"
    write_map_file(little_map(), path)
    with h5py.File(path, "a") as file:
        del file["quaternions"]
        file.create_dataset("quaternions", shape=(2**28, 4), dtype="f8", chunks=(1024, 4), compression="gzip")
    with pytest.raises(MapFileError, match=r"map\.h5: quaternions claims"):
        read_map(path)


def test_a_long_field_of_a_table(tmp_path):
    """A field beyond what CSV readers take, and no text at all: the file and the line are told."""
    path = tmp_path / "traces.csv"
    path.write_text("x_um,y_um,angle_deg\n1,2," + "9" * 200_000 + "\n")
    with pytest.raises(MapFileError, match=r"traces\.csv, line 2"):
        read_traces(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MapFileError, match=r"traces\.csv.*UTF-8"):
        read_traces(path)


@pytest.mark.parametrize("phases", [None, [], [1], {1: "Nickel"}])
def test_text_maps_need_described_phases(tmp_path, phases):
    """No phases, or something that is none: an error that says what to give."""
    delimited(tmp_path / "m.txt")
    with pytest.raises(CpmlError, match="MapPhase"):
        read_map(tmp_path / "m.txt", columns=COLUMNS, phases=phases)
