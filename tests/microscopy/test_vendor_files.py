"""Map files of every format, made here from the published structure: read right, and safely when damaged.

No vendor's h5oina, OIM, ESPRIT, EMsoft or .dream3d file is at hand: the builders below write the
structure that the Oxford specification, orix, MTEX and DREAM.3D publish. .h5ebsd, .ang, .ctf, .crc and
text are tested on real files too.
"""

import tracemalloc

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.rotations import (
    euler_to_quaternion,
    quaternion_multiply,
    quaternion_to_euler,
    random_quaternions,
)
from cpml.crystallography.symmetry import proper_group
from cpml.datasets import load_dataset, read_dataset_map
from cpml.datasets.new import new_description
from cpml.errors import CpmlError, MapFileError, ParameterError
from cpml.microscopy import MapPhase, frame_rotation, read_map, read_stack, write_map
from cpml.microscopy.io.map_file import write_map_file
from cpml.microscopy.maps.ebsd_map import EbsdMap

ROWS, COLS, STEP = 6, 10, 0.5
N = ROWS * COLS
SINGLE = 1e-6  # rad: float32 angles
NI = ("Nickel", [3.52, 3.52, 3.52, 90, 90, 90])
TI = ("Titanium", [2.95, 2.95, 4.68, 90, 90, 120])
COLUMNS = ["phi1", "Phi", "phi2", "phase", "x", "y", "ci"]


def same(q, p):
    """Largest angle between two orientation lists without symmetry, rad."""
    return np.nanmax(disorientation_angle(q, p, proper_group("1")))


def content():
    """Angles (N, 3) rad, phases with one point not indexed, and positions."""
    euler = quaternion_to_euler(random_quaternions(N, np.random.default_rng(7)))
    phase = np.where(np.arange(N) % 3 == 0, 2, 1)
    phase[13] = 0
    row, col = np.divmod(np.arange(N), COLS)
    return euler, phase, STEP * col, STEP * row


def put(file, **items):
    for name, value in items.items():
        file[name.replace("__", "/")] = value


def h5oina(path, *, surface=(0.0, 0.0, 0.0), scan_line=False):
    """Format 5: Oxford's H5OINAFile.md, mandatory datasets and some others."""
    euler, phase, *_ = content()
    with h5py.File(path, "w") as f:
        f["Format Version"], f["Index"], f["Manufacturer"] = b"5.0", [b"1"], [b"Oxford Instruments"]
        data, header = f.create_group("1/EBSD/Data"), f.create_group("1/EBSD/Header")
        data["Euler"], data["Phase"] = euler.astype("f4"), phase.astype("u1")[:, None]
        data["Band Contrast"], data["Error"] = (
            (np.arange(N) % 251).astype("u1"),
            np.where(phase > 0, 1, 2).astype("u1"),
        )
        data["Mean Angular Deviation"] = np.full(N, np.radians(0.5), "f4")
        cells = (N, 1) if scan_line else (COLS, ROWS)
        header["X Cells"], header["Y Cells"] = np.array([cells[0]], "i4"), np.array([cells[1]], "i4")
        header["X Step"], header["Y Step"] = (
            np.array([STEP], "f4"),
            np.array([0 if scan_line else STEP], "f4"),
        )
        header["Specimen Orientation Euler"] = np.array([surface], "f4")
        for i, ((name, cell), laue, space) in enumerate(((NI, 11, 225), (TI, 9, 194)), start=1):
            p = header.create_group(f"Phases/{i}")
            p["Phase Name"], p["Laue Group"], p["Space Group"] = (
                [name.encode()],
                np.array([laue], "i4"),
                np.array([space], "i4"),
            )
            p["Lattice Dimensions"] = np.array([cell[:3]], "f4")
            p["Lattice Angles"] = np.radians(np.array([cell[3:]], "f4"))
    return path


def oim(path, *, setting=2, is_hex=False):
    """OIM Analysis HDF5 as orix and MTEX read it."""
    euler, phase, x, y = content()
    if is_hex:
        x, y = x + STEP / 2 * (np.arange(N) // COLS % 2), y * np.sqrt(0.75)
    with h5py.File(path, "w") as f:
        f["Manufacturer"], f["Version"] = [b"EDAX"], [b"OIM Analysis 8"]
        data, header = f.create_group("Scan 1/EBSD/Data"), f.create_group("Scan 1/EBSD/Header")
        for k, name in enumerate(("Phi1", "Phi", "Phi2")):
            data[name] = np.where(phase > 0, euler[:, k], 4 * np.pi).astype("f4")
        data["CI"], data["IQ"] = np.where(phase > 0, 0.5, -1).astype("f4"), np.arange(N, dtype="f4")
        data["Phase"], data["X Position"], data["Y Position"] = (
            phase.astype("u1"),
            x.astype("f4"),
            y.astype("f4"),
        )
        header["nRows"], header["nColumns"] = np.array([ROWS], "i4"), np.array([COLS], "i4")
        header["Grid Type"] = [b"HexGrid" if is_hex else b"SqrGrid"]
        header["Coordinate System/ID"] = np.array([setting], "i4")
        for i, ((name, cell), symmetry) in enumerate(((NI, 43), (TI, 62)), start=1):
            p = header.create_group(f"Phase/{i}")
            p["MaterialName"], p["Symmetry"] = [name.encode()], np.array([symmetry], "i4")
            for k, v in zip(("a", "b", "c", "alpha", "beta", "gamma"), cell, strict=True):
                p[f"Lattice Constant {k}"] = np.array([v], "f4")
    return path


def esprit(path, *, order=None):
    """Bruker ESPRIT HDF5 as orix and MTEX read it; points in any `order`."""
    euler, phase, *_ = content()
    order = np.arange(N) if order is None else order
    with h5py.File(path, "w") as f:
        f["Manufacturer"], f["Version"] = b"Bruker Nano", b"Esprit 2.X"
        data, header = f.create_group("Map/EBSD/Data"), f.create_group("Map/EBSD/Header")
        for k, name in enumerate(("phi1", "PHI", "phi2")):
            data[name] = np.degrees(euler[order, k]).astype("f4")
        data["Phase"], data["MAD"] = phase[order].astype("i4"), np.full(len(order), 0.4, "f4")
        f["Map/EBSD/SEM/IX"] = (7 + order % COLS).astype("i4")
        f["Map/EBSD/SEM/IY"] = (3 + order // COLS).astype("i4")
        header["NROWS"], header["NCOLS"], header["XSTEP"], header["YSTEP"] = ROWS, COLS, STEP, STEP
        header["Coordinate Systems/ID"] = 5
        for i, ((name, cell), space) in enumerate(((NI, 225), (TI, 194)), start=1):
            p = header.create_group(f"Phases/{i}")
            p["Name"], p["IT"], p["LatticeConstants"] = name.encode(), space, np.array(cell, "f4")
    return path


def emsoft(path, *, refined=True):
    """EMsoft dot product file as orix's own test writes it; one phase, all indexed."""
    euler, *_ = content()
    with h5py.File(path, "w") as f:
        f["Manufacturer"], f["Version"] = [b"EMEBSDDictionaryIndexing.f90"], [b"5.0"]
        data, header = f.create_group("Scan 1/EBSD/Data"), f.create_group("Scan 1/EBSD/Header")
        order = np.random.default_rng(1).permutation(N)
        dictionary = np.zeros((N + 5, 3))
        dictionary[order] = np.degrees(euler)
        data["DictionaryEulerAngles"], data["FZcnt"] = dictionary.astype("f4"), np.array([N], "i4")
        data["TopMatchIndices"] = np.stack([order + 1, np.ones(N, int)], axis=1).astype("i4")
        data["CI"] = np.linspace(0, 1, N, dtype="f4")
        if refined:
            data["RefinedEulerAngles"] = euler.astype("f4")
        header["nRows"], header["nColumns"] = np.array([ROWS], "i4"), np.array([COLS], "i4")
        header["Step X"], header["Step Y"] = np.array([STEP], "f4"), np.array([STEP], "f4")
        p = header.create_group("Phase/1")
        p["Point Group"], p["MaterialName"] = [b"Cubic (Oh) [m3m]"], [b"ni/ni"]
        for k, v in zip(("a", "b", "c", "alpha", "beta", "gamma"), NI[1], strict=True):
            p[f"Lattice Constant {k}"] = [str(v).encode()]
    return path


def dream3d(path, *, nx=False, slices=2):
    """DREAM.3D 6 (SIMPL) and NX layouts; slice k has its points turned by k rows."""
    euler, phase, *_ = content()
    roll = [np.roll(np.arange(N), k * COLS) for k in range(slices)]
    angles = np.stack([euler[r] for r in roll]).reshape(slices, ROWS, COLS, 3).astype("f4")
    phases = np.stack([phase[r] for r in roll]).reshape(slices, ROWS, COLS, 1).astype("i4")
    with h5py.File(path, "w") as f:
        volume = f.create_group("DataStructure/DataContainer" if nx else "DataContainers/ImageDataContainer")
        cells, ensemble = ("Cell Data", "Cell Ensemble Data") if nx else ("CellData", "CellEnsembleData")
        if nx:
            volume.attrs["_DIMENSIONS"] = np.array([COLS, ROWS, slices], "u8")
            volume.attrs["_SPACING"] = np.array([STEP, STEP, 0.25], "f4")
        else:
            volume["_SIMPL_GEOMETRY/DIMENSIONS"] = np.array([COLS, ROWS, slices], "i8")
            volume["_SIMPL_GEOMETRY/SPACING"] = np.array([STEP, STEP, 0.25], "f4")
        volume[f"{cells}/EulerAngles"], volume[f"{cells}/Phases"] = angles, phases
        volume[f"{cells}/Confidence Index"] = np.ones((slices, ROWS, COLS, 1), "f4")
        volume[f"{ensemble}/CrystalStructures"] = np.array([[999], [1], [0]], "u4")
        volume[f"{ensemble}/LatticeConstants"] = np.array([[0] * 6, NI[1], TI[1]], "f4")
        volume[f"{ensemble}/MaterialName"] = np.array([b"Invalid", b"Nickel", b"Titanium"], "S10")
    return path


def h5ebsd(path, *, maker="TSL", slices=1):
    """DREAM.3D .h5ebsd as the real file has it (TSL), and the columns of .ctf under HKL."""
    euler, phase, *_ = content()
    tsl = maker == "TSL"
    with h5py.File(path, "w") as f:
        f["Manufacturer"], f["ZStartIndex"], f["ZEndIndex"] = (
            maker.encode(),
            np.array([4]),
            np.array([3 + slices]),
        )
        f["Max X Points"], f["Max Y Points"] = np.array([COLS]), np.array([ROWS])
        for axis in "XYZ":
            f[f"{axis} Resolution"] = np.array([STEP], "f4")
        for name, axis, angle in (("Euler", [0, 0, 1], 90 * tsl), ("Sample", [0, 1, 0], 180)):
            f[f"{name}TransformationAxis"] = np.array(axis, "f4")
            f[f"{name}TransformationAngle"] = np.array([angle], "f4")
        for k in range(4, 4 + slices):
            data, phases = f.create_group(f"{k}/Data"), f.create_group(f"{k}/Header/Phases")
            names = ("Phi1", "Phi", "Phi2") if tsl else ("Euler1", "Euler2", "Euler3")
            for i, name in enumerate(names):
                angle = np.where(phase > 0, euler[:, i], 4 * np.pi * tsl)
                data[name] = (angle if tsl else np.degrees(angle)).astype("f4")
            data["PhaseData" if tsl else "Phase"] = phase.astype("i4")
            data["Confidence Index" if tsl else "MAD"] = np.where(phase > 0, 0.5, -1 * tsl).astype("f4")
            for i, ((name, cell), symmetry, laue) in enumerate(((NI, 43, 11), (TI, 62, 9)), start=1):
                p = phases.create_group(str(i))
                p["MaterialName" if tsl else "PhaseName"] = name.encode()
                p["LatticeConstants"] = np.array(cell, "f4")
                p["Symmetry" if tsl else "LaueGroup"] = np.array([symmetry if tsl else laue], "i4")
    return path


def two_phase_map(grid="square"):
    """A map of the same content, through EbsdMap itself; a hexagonal one has every second row shifted."""
    euler, phase, x, y = content()
    if grid == "hex":
        x, y = x + STEP / 2 * (np.arange(N) // COLS % 2), y * np.sqrt(0.75)
    phases = {1: MapPhase("Nickel", "432", "fcc", *NI[1]), 2: MapPhase("Titanium", "622", "hcp", *TI[1])}
    ci = np.where(phase > 0, 0.25, -1).astype("f4")
    return EbsdMap.from_points(
        "made", np.stack([x, y], 1), euler_to_quaternion(euler), phase, phases, properties={"ci": ci}
    )


def text_file(path):
    euler, phase, x, y = content()
    table = np.column_stack([np.degrees(euler), phase, x, y, np.where(phase > 0, 0.5, -1)])
    np.savetxt(path, table, fmt="%.6f", delimiter=";", header="phi1;Phi;phi2;phase;x;y;ci", comments="")
    return path


BUILDERS = {
    "oxford.h5oina": h5oina,
    "scan.oh5": oim,
    "bruker.h5": esprit,
    "emsoft.h5": emsoft,
    "six.dream3d": lambda p: dream3d(p, slices=1),
    "nx.dream3d": lambda p: dream3d(p, nx=True, slices=1),
    "tsl.h5ebsd": h5ebsd,
    "hkl.h5ebsd": lambda p: h5ebsd(p, maker="HKL"),
    "orix.h5": lambda p: write_map(two_phase_map(), p),
    "oxford.ctf": lambda p: write_map(two_phase_map(), p),
    "edax.ang": lambda p: write_map(two_phase_map(), p),
    "hex.ang": lambda p: write_map(two_phase_map("hex"), p),
    "points.txt": text_file,
    "map.h5": lambda p: write_map_file(two_phase_map(), p),
}
PHASES = [MapPhase("Nickel", "432", "fcc"), MapPhase("Titanium", "622", "hcp")]


def read(path, **options):
    """read_map with what only a text file needs."""
    if path.suffix == ".txt":
        options |= {"columns": COLUMNS, "phases": PHASES}
    return read_map(path, **options)


@pytest.mark.parametrize("name", [n for n in BUILDERS if n not in ("hex.ang", "map.h5")])
def test_every_format_gives_the_same_map(tmp_path, name):
    """Orientations in the pixel frame, X||a, phases and gaps are those that went in, whatever the vendor."""
    BUILDERS[name](tmp_path / name)
    m = read(tmp_path / name, hex_x_axis={"oxford.ctf": "a*"}.get(name, "a"))
    euler, phase, x, y = content()
    phase = np.ones(N, int) if name == "emsoft.h5" else phase
    assert m.shape == (ROWS, COLS) and m.grid == "square" and m.step_um == pytest.approx(STEP)
    np.testing.assert_array_equal(m.phase_id, phase)
    # .ctf prints 1e-5 deg, .ang 1e-5 rad, of each of three angles
    limit = {"edax.ang": 3e-5}.get(name, SINGLE)
    assert same(m.quaternions[phase > 0], euler_to_quaternion(euler[phase > 0])) < limit
    np.testing.assert_allclose(m.xy, np.stack([x, y], axis=1), atol=1e-6)
    assert [p.group for p in m.phases.values()] == ["432", "622"][: len(m.phases)]
    assert name == "points.txt" or m.phases[1].a == pytest.approx(3.52, abs=1e-4)


def test_oxford_surface_angles_only_when_declared(tmp_path):
    """Specimen Orientation Euler is told and not applied; with acquisition="apply", v = A v_file."""
    surface = (0.3, 0.2, 0.1)
    path = h5oina(tmp_path / "a.h5oina", surface=surface)
    plain, turned = read_map(path), read_map(path, acquisition="apply")
    assert any("not applied" in n for n in plain.frame_note) and any(
        "as declared" in n for n in turned.frame_note
    )
    expected = quaternion_multiply(euler_to_quaternion(np.array(surface)), plain.quaternions)
    assert same(turned.quaternions, expected) < SINGLE
    assert plain.properties["mad"][0] == pytest.approx(0.5, abs=1e-6), "degrees as in .ctf"


def test_ctf_surface_angles_are_the_same_turn(tmp_path):
    """AcqE1..3 of a .ctf, deg, turn as the h5oina angles do."""
    path = write_map(two_phase_map(), tmp_path / "a.ctf")
    turned = path.with_name("b.ctf")
    text = path.read_text().replace("AcqE1\t0", "AcqE1\t30").replace("AcqE2\t0", "AcqE2\t-90")
    turned.write_text(text, newline="")
    q = read_map(turned, acquisition="apply").quaternions
    expected = quaternion_multiply(
        euler_to_quaternion(np.radians([30.0, -90.0, 0.0])), read_map(path).quaternions
    )
    assert same(q, expected) < SINGLE


def test_oxford_line_scan(tmp_path):
    """Y Cells 1 and Y Step 0 are one row."""
    m = read_map(h5oina(tmp_path / "a.h5oina", scan_line=True))
    assert m.shape == (1, N) and len(m.neighbours) == N - 1


@pytest.mark.parametrize("setting", [1, 2, 3, 4])
def test_edax_setting_is_offered_not_applied(tmp_path, setting):
    """The file's coordinate setting n is the preset edax<n> when "declared" asks for it."""
    path = oim(tmp_path / "a.oh5", setting=setting)
    plain, declared = read_map(path), read_map(path, euler_to_sample="declared")
    assert any("the file states" in n for n in plain.frame_note)
    expected = quaternion_multiply(frame_rotation(f"edax{setting}"), plain.quaternions)
    assert same(declared.quaternions, expected) < 1e-12
    if setting == 1:
        with pytest.raises(ParameterError, match="states no turn"):
            read_map(h5oina(tmp_path / "b.h5oina"), euler_to_sample="declared")


def test_hexagonal_grid_of_oim(tmp_path):
    """HexGrid positions keep six neighbours, all one step away, and every point its orientation."""
    m = read_map(oim(tmp_path / "a.oh5", is_hex=True))
    euler, phase, *_ = content()
    assert m.grid == "hex" and m.n_pixels == N and np.bincount(m.neighbours.ravel()).max() == 6
    distance = np.linalg.norm(np.subtract(*(m.xy[k] for k in m.neighbours.T)), axis=1)
    np.testing.assert_allclose(distance, STEP, rtol=1e-5)
    assert same(m.quaternions[phase > 0], euler_to_quaternion(euler[phase > 0])) < SINGLE


def test_surface_comes_before_the_frame(tmp_path):
    """Acquisition surface A and frame Q together: v = Q A v_file, in this order."""
    surface = (0.3, 0.2, 0.1)
    path = h5oina(tmp_path / "a.h5oina", surface=surface)
    both = read_map(path, acquisition="apply", euler_to_sample="oxford")
    expected = quaternion_multiply(euler_to_quaternion(np.array(surface)), read_map(path).quaternions)
    assert same(both.quaternions, quaternion_multiply(frame_rotation("oxford"), expected)) < SINGLE


def test_bruker_states_its_turn(tmp_path):
    """Coordinate system 5 is 180 deg about y, offered as "declared"; Euler angles and hexagonal axis stay
    as they are.
    """
    path = esprit(tmp_path / "a.h5")
    plain, declared = (read_map(path, hex_x_axis="a", euler_to_sample=f) for f in (None, "declared"))
    assert any("180 deg about (0, 1, 0)" in note for note in plain.frame_note)
    assert same(declared.quaternions, quaternion_multiply(frame_rotation("y180"), plain.quaternions)) < 1e-12


def test_bruker_points_in_any_order_and_area(tmp_path):
    """Beam positions place shuffled points; those that were not measured are not indexed."""
    order = np.random.default_rng(2).permutation(N)[: N - 9]
    m = read_map(esprit(tmp_path / "a.h5", order=order), hex_x_axis="a")
    euler, phase, *_ = content()
    phase[np.setdiff1d(np.arange(N), order)] = 0
    np.testing.assert_array_equal(m.phase_id, phase)
    assert same(m.quaternions[phase > 0], euler_to_quaternion(euler[phase > 0])) < SINGLE
    assert any("9 places" in note for note in m.frame_note)


def test_emsoft_best_match_and_refined(tmp_path):
    """The best match is looked up in the dictionary; refined angles win unless told otherwise."""
    euler, *_ = content()
    both, plain = emsoft(tmp_path / "a.h5"), emsoft(tmp_path / "b.h5", refined=False)
    for path, refined in ((both, None), (both, False), (plain, None)):
        assert same(read_map(path, refined=refined).quaternions, euler_to_quaternion(euler)) < SINGLE
    with pytest.raises(ParameterError, match="no refined"):
        read_map(plain, refined=True)


@pytest.mark.parametrize("maker, frame", [("TSL", "edax2"), ("HKL", "y180")])
def test_turns_of_dream3d(tmp_path, maker, frame):
    """EDAX: Euler 90 <001> and sample 180 <010> are the preset edax2; HKL: sample 180 <010> alone
    turns about y.
    """
    path = h5ebsd(tmp_path / "a.h5ebsd", maker=maker, slices=3)
    plain, declared = read_map(path, slice=2), read_map(path, slice=2, euler_to_sample="declared")
    assert (
        "slice 6" in plain.name
        and same(declared.quaternions, quaternion_multiply(frame_rotation(frame), plain.quaternions)) < 1e-7
    )


def test_files_of_orix_itself(tmp_path, mirror):
    """A two-phase map that orix read and saved: the same orientations and phases as from
    the original file.
    """
    from orix import io

    source = mirror("sdss/sdss_ferrite_austenite.ang")
    io.save(str(tmp_path / "orix.h5"), io.load(str(source)))
    ours, theirs = read_map(source), read_map(tmp_path / "orix.h5")
    assert same(ours.quaternions, theirs.quaternions) < 1e-9 and theirs.shape == (100, 117)
    np.testing.assert_array_equal(ours.phase_id, theirs.phase_id)
    assert [p.a for p in theirs.phases.values()] == pytest.approx([3.595, 2.867])


@pytest.mark.parametrize("name", ["oxford.h5oina", "scan.oh5", "bruker.h5", "emsoft.h5"])
def test_several_maps_of_every_vendor(tmp_path, name):
    """A second map in the file is named in a note, and read by its name; the first stays what it was."""
    path = tmp_path / name
    BUILDERS[name](path)
    alone = read(path)
    with h5py.File(path, "r+") as file:
        first = next(key for key in file if isinstance(file[key], h5py.Group))
        file.copy(first, "Z other")
        data = file["Z other/EBSD/Data"]
        angles = next(k for k in ("Euler", "Phi1", "phi1", "RefinedEulerAngles") if k in data)
        data[angles][...] = 0.5 * data[angles][()]
    both = read(path)
    assert any(f"2 maps in the file ({first}, Z other)" in note for note in both.frame_note)
    np.testing.assert_array_equal(both.quaternions, alone.quaternions)
    other = read(path, scan="Z other")
    assert same(other.quaternions[alone.indexed], alone.quaternions[alone.indexed]) > 0.01
    with pytest.raises(ParameterError, match="no map 'Scan 9'"):
        read(path, scan="Scan 9")


def test_points_of_h5oina_lie_where_their_positions_say(tmp_path):
    """Datasets X and Y, where the file has them, place the points: the order of the rows does not."""
    path = h5oina(tmp_path / "a.h5oina")
    plain = read(path)
    order = np.random.default_rng(0).permutation(N)
    with h5py.File(path, "r+") as file:
        data = file["1/EBSD/Data"]
        data["X"], data["Y"] = plain.xy.T.astype("f4")
        for name in data:
            data[name][...] = data[name][()][order]
    mixed = read(path)
    np.testing.assert_array_equal(mixed.phase_id, plain.phase_id)
    np.testing.assert_array_equal(mixed.quaternions, plain.quaternions)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_names_in_either_encoding(tmp_path, encoding):
    """A phase name with a letter beyond ASCII, as texts of fixed and of variable length."""
    path = tmp_path / "scan.oh5"
    oim(path)
    with h5py.File(path, "r+") as file:
        for number, kind in ((1, "S40"), (2, h5py.string_dtype("ascii"))):
            place = f"Scan 1/EBSD/Header/Phase/{number}/MaterialName"
            del file[place]
            file[place] = np.array([f"Stahl \u00df {number}".encode(encoding)], dtype=kind)
    assert [p.name for p in read(path).phases.values()] == ["Stahl \u00df 1", "Stahl \u00df 2"]


@pytest.mark.parametrize("nx", [False, True])
def test_volumes_are_read_slice_by_slice(tmp_path, nx):
    """A stack needs a slice; each is a map of its own, and read_stack gives all."""
    path = dream3d(tmp_path / "a.dream3d", nx=nx)
    with pytest.raises(MapFileError, match="slice=0 to 1"):
        read_map(path)
    with pytest.raises(ParameterError, match="slice 2"):
        read_map(path, slice=2)
    first, second = read_stack(path)
    np.testing.assert_array_equal(second.phase_id, np.roll(first.phase_id, COLS))
    np.testing.assert_array_equal(read_map(path, slice=1).quaternions, second.quaternions)


def test_an_option_of_another_format_is_refused(tmp_path):
    """Nothing that was asked for is silently ignored."""
    path = h5oina(tmp_path / "a.h5oina")
    for option in ({"slice": 1}, {"refined": True}, {"phases": PHASES}):
        with pytest.raises(ParameterError, match="leave it out"):
            read_map(path, **option)
    with pytest.raises(ParameterError, match="apply"):
        read_map(path, acquisition="yes")


def test_links_out_of_the_file_are_refused(tmp_path):
    """External links, external storage and virtual data cannot make a map read another file."""
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as f:
        f["phase"] = np.ones((N, 1), "u1")
    path = h5oina(tmp_path / "a.h5oina")
    with h5py.File(path, "a") as f:
        del f["1/EBSD/Data/Phase"]
        f["1/EBSD/Data/Phase"] = h5py.ExternalLink("secret.h5", "/phase")
    with pytest.raises(MapFileError, match="link"):
        read_map(path)
    with h5py.File(path, "a") as f:
        del f["1/EBSD/Data/Phase"]
        layout = h5py.VirtualLayout((N, 1), "u1")
        layout[:] = h5py.VirtualSource(str(secret), "phase", (N, 1))
        f.create_virtual_dataset("1/EBSD/Data/Phase", layout)
    with pytest.raises(MapFileError, match="other files"):
        read_map(path)


@pytest.mark.parametrize("cells", [2**31 - 1, 50_000, 0, -3])
def test_headers_that_lie_about_size(tmp_path, cells):
    """More cells than points, none, or a negative number: one error, no memory."""
    path = h5oina(tmp_path / "a.h5oina")
    with h5py.File(path, "a") as f:
        f["1/EBSD/Header/X Cells"][...] = cells
    tracemalloc.start()
    with pytest.raises(MapFileError, match=r"a\.h5oina"):
        read_map(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_a_dataset_that_claims_terabytes(tmp_path):
    """A huge array that was never written costs nothing."""
    path = h5oina(tmp_path / "a.h5oina")
    with h5py.File(path, "a") as f:
        del f["1/EBSD/Data/Euler"]
        f.create_dataset(
            "1/EBSD/Data/Euler", shape=(2**40, 3), dtype="f4", chunks=(1024, 3), compression="gzip"
        )
    with pytest.raises(MapFileError, match="claims"):
        read_map(path)


def test_text_that_claims_gigabytes(tmp_path):
    """A variable-length text whose length was overwritten is refused before the library allocates it."""
    path = esprit(tmp_path / "a.h5")
    with h5py.File(path, "r") as f:
        offset = f["Map/EBSD/Header/Phases/1/Name"].id.get_offset()
    data = bytearray(path.read_bytes())
    data[offset : offset + 4] = b"\x00\x00\x00\xef"
    path.write_bytes(data)
    with pytest.raises(MapFileError, match="longer than the file"):
        read_map(path)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """original(name) -> bytes of a good file, read once so that every module it needs is loaded."""
    folder, found = tmp_path_factory.mktemp("originals"), {}

    def get(name):
        if name not in found:
            BUILDERS[name](folder / name)
            read(folder / name)
            found[name] = (folder / name).read_bytes()
        return found[name]

    return get


DAMAGE = st.tuples(
    st.sampled_from(("cut", "bytes", "number", "noise")),
    st.floats(0, 1, exclude_max=True),
    st.binary(min_size=1, max_size=12),
)


@pytest.mark.parametrize("name", BUILDERS)
@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=DAMAGE)
def test_damaged_files_end_in_one_error_or_a_map(tmp_path, original, damaged, name, damage):
    """Whatever happens to a file: a CpmlError that names it or a map, within a small multiple of its size."""
    path = tmp_path / name
    path.write_bytes(damaged(original(name), *damage))
    tracemalloc.start()
    try:
        m = read(path)
        assert m.n_pixels == len(m.quaternions) and np.isfinite(m.quaternions[m.indexed]).all()
    except CpmlError as error:
        assert name in str(error), error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # buffers of the text parser: some MB whatever the file
    assert peak < 4e6 + 100 * len(original(name))


CPR = (
    "[General]\nVersion=5.0\n[Job]\nGridDistX=0.5\nGridDistY=0.5\nxCells=10\nyCells=6\n[Acquisition "
    "Surface]\nEuler1=0\n"
    "[Fields]\nCount=4\nField1=3\nField2=4\nField3=5\nField4=7\n[Phases]\nCount=1\n[Phase1]\nStructureName=Ni\na=3.5\n"
    "b=3.5\nc=3.5\nalpha=90\nbeta=90\ngamma=90\nLaueGroup=11\nSpaceGroup=225\n"
)


@pytest.mark.parametrize("part", ["m.crc", "m.cpr"])
@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=DAMAGE)
def test_damaged_crc_pairs(tmp_path, damaged, part, damage):
    """Either half of a .crc/.cpr pair, damaged: a CpmlError or a map."""
    euler, *_ = content()
    record = np.zeros(N, [("phase", "u1"), ("e", "<f4", 3), ("bc", "u1")])
    record["phase"], record["e"] = 1, euler
    files = {"m.crc": record.tobytes(), "m.cpr": CPR.encode()}
    files[part] = damaged(files[part], *damage)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    try:
        m = read_map(tmp_path / "m.crc")
        assert np.isfinite(m.quaternions[m.indexed]).all()
    except CpmlError as error:
        assert "m.c" in str(error)


def test_small_in100(mirror):
    """The real .h5ebsd: two slices, CI > 0.05 at 69.5 %, EDAX setting 2 as DREAM.3D's turns, 204 grains."""
    path = mirror("smallin100/6_5_h5ebsd_exemplar.h5ebsd")
    plain, declared = read_map(path, slice=0), read_map(path, slice=0, euler_to_sample="declared")
    assert len(read_stack(path)) == 2 and plain.shape == (201, 189) and plain.step_um == 0.25
    assert 100 * np.mean(plain.properties["ci"] > 0.05) == pytest.approx(69.5, abs=0.05)
    assert not plain.indexed[0] and plain.indexed.sum() == 31_063, "4 pi or ci = -1"
    assert same(declared.quaternions, quaternion_multiply(frame_rotation("edax2"), plain.quaternions)) < 1e-9


LIES = {
    "oxford.h5oina": ("1/EBSD/Header/Y Cells", "1/EBSD/Header/X Step"),
    "scan.oh5": ("Scan 1/EBSD/Header/nRows", "Scan 1/EBSD/Data/X Position"),
    "bruker.h5": ("Map/EBSD/SEM/IX", "Map/EBSD/Header/XSTEP"),
    "emsoft.h5": ("Scan 1/EBSD/Header/nRows", "Scan 1/EBSD/Data/FZcnt"),
    "six.dream3d": (
        "DataContainers/ImageDataContainer/_SIMPL_GEOMETRY/DIMENSIONS",
        "DataContainers/ImageDataContainer/_SIMPL_GEOMETRY/SPACING",
    ),
    "tsl.h5ebsd": ("Max X Points", "ZEndIndex"),
    "hkl.h5ebsd": ("Max Y Points", "ZStartIndex"),
    "orix.h5": ("crystal_map/data/phase_id", "crystal_map/data/x"),
}


@pytest.mark.parametrize("value", [2**31 - 1, 10**6, 59, 0, -1])
@pytest.mark.parametrize("name", LIES)
def test_wrong_numbers_in_headers(tmp_path, name, value):
    """Counts, steps and positions of every HDF5 format overwritten: one error that names the file, or
    the same points.
    """
    path = tmp_path / name
    BUILDERS[name](path)
    whole, data = read(path), path.read_bytes()
    for place in LIES[name]:
        path.write_bytes(data)
        with h5py.File(path, "a") as f:
            f[place][(0,) * f[place].ndim if f[place].shape else ()] = value
        tracemalloc.start()
        try:
            m = read(path)
            known = np.isfinite(m.quaternions).all(axis=1) & (m.n_pixels == N)
            assert (known <= whole.indexed).all() if m.n_pixels == N else m.n_pixels < 20 * N
        except CpmlError as error:
            assert name in str(error)
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < 2e7


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("edax.ang", "# Phase 1", "# Phase ²"),
        ("edax.ang", "# Phase 1", "# Phase 98765432198765"),
        ("edax.ang", "# NROWS: 6", "# NROWS: ²"),
        ("edax.ang", "# NROWS: 6", "# NROWS: 600000000"),
        ("edax.ang", "# NCOLS_ODD: 10", "# NCOLS_ODD: 9"),
        ("edax.ang", "# XSTEP: 0.5", "# XSTEP: 1e300"),
        ("oxford.ctf", "Phases\t2", "Phases\t900000000"),
        ("oxford.ctf", "XCells\t10", "XCells\t²"),
        ("oxford.ctf", "YCells\t6", "YCells\t" + "6" * 5000),
        ("oxford.ctf", "XStep\t0.5", "XStep\t1e999"),
    ],
)
def test_wrong_numbers_in_text_headers(tmp_path, name, old, new):
    """Superscripts, numbers beyond any integer, counts that are too large or too small: an error, or
    the same map.
    """
    path = tmp_path / name
    BUILDERS[name](path)
    whole = read(path)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8", newline="")
    try:
        m = read(path)
        np.testing.assert_array_equal(m.quaternions, whole.quaternions)
        assert m.pixel_um == whole.pixel_um
    except CpmlError as error:
        assert name in str(error)


@pytest.mark.parametrize("name", [n for n in BUILDERS if n != "map.h5"])
def test_a_description_is_written_for_every_format(tmp_path, name):
    """What `tasks.py new` writes reads the map that went in; phases by name, the axis that is usual."""
    BUILDERS[name](tmp_path / name)
    given = {"materials": ["nickel", "titanium_cp"]} if name.endswith(".txt") else {}
    dataset = load_dataset(new_description(tmp_path / name, name="made", **given).path)
    m = read_dataset_map(dataset)
    assert (m.n_pixels, m.step_um) == (N, pytest.approx(STEP))
    usual = "a*" if name.startswith(("oxford", "bruker", "hkl")) else "a"
    assert {phase.hex_x_axis for phase in dataset.phases if phase.lattice == "hcp"} <= {usual}
    found = {phase.material for phase in dataset.phases}
    assert found == ({"nickel"} if name == "emsoft.h5" else {"nickel", "titanium_cp"})


@pytest.mark.parametrize("name", ["oxford.h5oina", "orix.h5"])
def test_a_description_names_the_other_maps_of_a_file(tmp_path, name):
    path = BUILDERS[name](tmp_path / name) or tmp_path / name
    with h5py.File(path, "r+") as file:
        first = next(key for key in file if isinstance(file[key], h5py.Group))
        if name == "orix.h5":
            file.copy(first, "one/" + first)
            file.copy(first, "two/" + first)
            del file[first]
        else:
            file.copy(first, "Z other")
    names = ["one", "two"] if name == "orix.h5" else [first, "Z other"]
    written = new_description(path, name="made")
    assert load_dataset(written.path).reading == {"scan": names[0]}
    assert any(f"{names[0]} is read; the file also has {names[1]}" in what for what in written.decisions)
    other = new_description(path, name="made", folder=tmp_path / "b", reading=f"scan: {names[1]}")
    assert load_dataset(other.path).reading == {"scan": names[1]}


def test_a_description_of_a_volume_is_about_its_first_slice(tmp_path):
    dream3d(tmp_path / "v.dream3d", slices=3)
    written = new_description(tmp_path / "v.dream3d", name="made")
    assert load_dataset(written.path).reading == {"slice": 0}
    assert any("slice: 0, the first of 3" in what for what in written.decisions)
