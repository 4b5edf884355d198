"""Columns and units of OIM text exports: what the comment lines say is what is read, or an error."""

import numpy as np
import pytest

from cpml.crystallography.rotations import euler_to_quaternion
from cpml.errors import MapFileError
from cpml.microscopy import read_grain_file, read_reconstructed_boundaries

GRAINS = {  # words of the comment line -> the columns of three grains
    "Integer identifying grain": ["1", "2", "7"],
    "Average orientation (phi1, PHI, phi2) in degrees": ["40 30 20", "100 60 10", "200 35 70"],
    "Average Position (x, y) in microns": ["1 5", "11 6", "21 7"],
    "Average Image Quality (IQ)": ["100", "90", "80"],
    "Average Confidence Index (CI)": ["0.8", "0.7", "0.6"],
    "Average Fit (degrees)": ["0.9", "0.8", "0.7"],
    "An integer identifying the phase\n#           0 -  Titanium (Alpha)": ["0", "0", "0"],
    "Edge grain (1) or interior grain (0)": ["0", "1", "0"],
    "Diameter of grain in microns": ["12.0", "13.0", "14.0"],
}
BOUNDARIES = {
    "right hand average orientation (phi1, PHI, phi2 in radians)": ["0.1 0.2 0.3", "0.1 0.2 0.3"],
    "left hand average orientation (phi1, PHI, phi2 in radians)": ["1.1 1.2 1.3", "2.1 2.2 2.3"],
    "length (in microns)": ["5.0", "5.0"],
    "trace angle (in degrees)": ["36.9", "143.1"],
    "x,y coordinates of endpoints (in microns)": ["0 3 4 0", "4 0 8 3"],
    "IDs of right hand and left hand grains": ["1 2", "1 7"],
}
IDENTITY, EULER, POSITION, IQ, CI, FIT, PHASE, EDGE, DIAMETER = GRAINS


def write(path, columns, *, head="# Header: Project::All data::Grain Size\n#\n", number="# Column {}: {}\n"):
    """A file with these columns, in their order, numbered in its comment lines."""
    first, lines = 1, [head]
    for words, values in columns.items():
        width = len(values[0].split())
        lines.append(number.format(first if width == 1 else f"{first}-{first + width - 1}", words))
        first += width
    lines += [" ".join(row) + "\n" for row in zip(*columns.values(), strict=True)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def replaced(words, new, values=None, of=None):
    """The columns with one of them described in other words."""
    of = GRAINS if of is None else of
    return {new if w == words else w: values if w == words and values else v for w, v in of.items()}


def check(table):
    """The three grains, however the file had arranged them."""
    q = euler_to_quaternion(np.radians([[40, 30, 20], [100, 60, 10], [200, 35, 70]]))
    np.testing.assert_allclose(table[["qw", "qx", "qy", "qz"]], q, atol=1e-5)
    assert table["grain_id"].tolist() == [1, 2, 7] and table["on_edge"].tolist() == [False, True, False]
    for name, values in {
        "x_um": [1, 11, 21],
        "y_um": [5, 6, 7],
        "diameter_um": [12, 13, 14],
        "iq": [100, 90, 80],
        "ci": [0.8, 0.7, 0.6],
        "fit_deg": [0.9, 0.8, 0.7],
        "phase": [0, 0, 0],
    }.items():
        np.testing.assert_allclose(table[name], values, rtol=1e-4)  # angles in rad are printed to 1e-5


RADIANS = [" ".join(f"{np.radians(float(v)):.5f}" for v in line.split()) for line in GRAINS[EULER]]
ARRANGED = {
    "usual": GRAINS,
    "reversed": dict(reversed(GRAINS.items())),
    "radians": replaced(EULER, "Average orientation (phi1, PHI, phi2) in radians", RADIANS),
    "angles turned round": replaced(
        EULER, "Average orientation (phi2, PHI, phi1) in degrees", ["20 30 40", "10 60 100", "70 35 200"]
    ),
    "y before x": replaced(POSITION, "Average Position (y, x) in microns", ["5 1", "6 11", "7 21"]),
    "nanometres": replaced(DIAMETER, "Diameter of grain in nanometers", ["12000", "13000", "14000"]),
    "millimetres": replaced(
        POSITION, "Average Position (x, y) in mm", ["0.001 .005", "0.011 .006", ".021 .007"]
    ),
    "greek": replaced(DIAMETER, "Diameter of grain (\N{MICRO SIGN}m)"),
    "interior first": replaced(EDGE, "Interior grain (1) or edge grain (0)", ["1", "0", "1"]),
    "fit in radians": replaced(FIT, "Average Fit (radians)", ["0.0157080", "0.0139626", "0.0122173"]),
    "sizes of other kinds": {
        "Maximum Feret diameter in microns": ["20", "20", "20"],
        "Aspect ratio of ellipse fit to grain": ["0.5", "0.5", "0.5"],
        "Orientation (relative to the horizontal) of major axis of ellipse fit to grain in degrees": ["7"]
        * 3,
        "Average orientation spread in grain": ["0.1", "0.1", "0.1"],
        "Area of grain in square microns": ["113", "133", "154"],
        **GRAINS,
        "Number of measurement points in the grain": ["113", "133", "154"],
    },
    "orientation twice": {"Average orientation (phi1, PHI, phi2) in radians": RADIANS, **GRAINS},
}


@pytest.mark.parametrize("name", ARRANGED)
def test_columns_are_found_by_their_words(tmp_path, name):
    """Order, choice and units of the columns as the comment lines say: the same three grains."""
    check(read_grain_file(write(tmp_path / "g.txt", ARRANGED[name])))


def test_header_that_went_through_a_spreadsheet(tmp_path):
    """'Column 1:' as a time of day, '(1)' as a negative number, a byte-order mark; neighbours at the end."""
    columns = replaced(EDGE, "Edge grain -1 or interior grain 0")
    columns["Number of grains neighboring current grain and their grain IDs (Count id1 id2 ...)"] = [
        "1",
        "2",
        "1",
    ]
    path = write(tmp_path / "g.txt", columns, head="\ufeff# Header\n", number="# Column {} {}\n")
    text = path.read_text(encoding="utf-8").replace("Column 1 Int", "Column 01:00 Int")
    lines = text.splitlines()
    for k, tail in ((-3, " 2"), (-2, " 1 7"), (-1, " 2")):
        lines[k] += tail
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    check(read_grain_file(path))


def test_what_the_file_lacks_is_left_out(tmp_path):
    """Number and orientation alone make a table."""
    path = write(tmp_path / "g.txt", {k: GRAINS[k] for k in (IDENTITY, EULER)})
    assert list(read_grain_file(path)) == ["grain_id", "qw", "qx", "qy", "qz"]


def test_regions_without_orientation(tmp_path):
    """Three full turns stand for no orientation in both units; the other grains keep theirs."""
    for words, none in (
        (EULER, "360 360 360"),
        ("Average orientation (phi1, PHI, phi2) in radians", "6.283 6.283 6.283"),
    ):
        lines = RADIANS if "radians" in words else GRAINS[EULER]
        table = read_grain_file(write(tmp_path / "g.txt", replaced(EULER, words, [*lines[:2], none])))
        assert table["qw"].isna().tolist() == [False, False, True]


WRONG = {
    "no unit of angles": (
        replaced(EULER, "Average orientation (phi1, PHI, phi2)"),
        "neither degrees nor radians",
    ),
    "degrees called radians": (
        replaced(EULER, "Average orientation (phi1, PHI, phi2) in radians"),
        "data line 1.*angles='degrees'",
    ),
    "radians called degrees": (replaced(EULER, EULER, RADIANS), "angles='radians'"),
    "PHI beyond half a turn": (replaced(EULER, EULER, ["40 30 20", "100 260 10", "1 2 3"]), "data line 2"),
    "phi1 beyond a turn": (replaced(EULER, EULER, ["40 30 20", "100 60 10", "460 2 3"]), "data line 3"),
    "unit of position": (replaced(POSITION, "Average Position (x, y) in pixels"), "no unit of length"),
    "unit of diameter": (replaced(DIAMETER, "Diameter of grain"), "no unit of length"),
    "no orientation": ({k: v for k, v in GRAINS.items() if k != EULER}, "average orientation"),
    "no number": ({k: v for k, v in GRAINS.items() if k != IDENTITY}, "number of the grain"),
    "flag that is none": (replaced(EDGE, EDGE, ["0", "2", "0"]), "data line 2: 2.*Edge grain"),
    "phase that is none": (replaced(PHASE, PHASE, ["0", "0.5", "0"]), "data line 2: 0.5"),
    "twice": (replaced(IDENTITY, IDENTITY, ["1", "1", "2"]), "listed twice"),
    "points": (
        {
            "phi1, PHI, phi2 (orientation of point in radians)": RADIANS,
            "x, y (coordinates of point in microns)": GRAINS[POSITION],
            "Grain ID (integer)": GRAINS[IDENTITY],
        },
        "type 1",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_contradictions_are_errors(tmp_path, name):
    """Unit, range, flag or kind of the file in doubt: one error that says where."""
    columns, words = WRONG[name]
    path = write(tmp_path / "g.txt", columns)
    with pytest.raises(MapFileError, match=rf"(?s)g\.txt.*{words}"):
        read_grain_file(path)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda t: t.replace("Column 7", "Column 8"), "describe column 7 0 times"),
        (lambda t: t.replace("# Column 12: Diameter of grain in microns\n", ""), "12 numbers.*11"),
        (lambda t: t.replace("13.0\n", "13.0 4\n"), "line 14: 13 numbers"),
        (lambda t: t[t.index("1 40") :], "describe no column"),
        (lambda t: t[: t.index("1 40")], "no points after the header"),
    ],
)
def test_header_and_lines_have_to_agree(tmp_path, change, words):
    """A column that is described twice or not at all, and numbers that no comment line describes."""
    path = write(tmp_path / "g.txt", GRAINS)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(MapFileError, match=words):
        read_grain_file(path)


def test_unit_given_by_hand(tmp_path):
    """What the caller says of the angles wins over comment lines that are wrong or silent."""
    check(read_grain_file(write(tmp_path / "a.txt", replaced(EULER, EULER, RADIANS)), angles="radians"))
    silent = replaced(EULER, "Average orientation (phi1, PHI, phi2)")
    check(read_grain_file(write(tmp_path / "b.txt", silent), angles="degrees"))


def boundary_degrees():
    lines = [
        [f"{np.degrees(float(v)):.4f}" for v in " ".join(row).split()]
        for row in zip(*list(BOUNDARIES.values())[:2], strict=True)
    ]
    right, left = [" ".join(row[:3]) for row in lines], [" ".join(row[3:]) for row in lines]
    words = [w.replace("radians", "degrees") for w in BOUNDARIES]
    return dict(zip(words, [right, left, *list(BOUNDARIES.values())[2:]], strict=True))


@pytest.mark.parametrize(
    "columns",
    [
        BOUNDARIES,
        dict(reversed(BOUNDARIES.items())),
        boundary_degrees(),
        {
            "Misorientation Angle": ["30", "40"],
            "Misorientation Axis in Right Hand grain": ["1 0 0"] * 2,
            **BOUNDARIES,
        },
        replaced(list(BOUNDARIES)[5], "IDs of left hand and right hand grains", ["2 1", "7 1"], BOUNDARIES),
        replaced(list(BOUNDARIES)[3], "trace angle (in radians)", ["0.64403", "2.49757"], BOUNDARIES),
    ],
)
def test_boundaries_as_the_comment_lines_say(tmp_path, columns):
    """Order, units and further columns do not matter; 3-4-5 triangles: up to the right is 36.87 deg."""
    table = read_reconstructed_boundaries(write(tmp_path / "b.txt", columns))
    assert table["grain_right"].tolist() == [1, 1] and table["grain_left"].tolist() == [2, 7]
    np.testing.assert_allclose(table["trace_deg"], [36.8699, 143.1301], atol=1e-4)
    np.testing.assert_allclose(table["file_trace_deg"], [36.9, 143.1], atol=1e-2)
    np.testing.assert_allclose(table["length_um"], 5)
    left = euler_to_quaternion(np.array([[1.1, 1.2, 1.3], [2.1, 2.2, 2.3]]))
    np.testing.assert_allclose(table[["left_qw", "left_qx", "left_qy", "left_qz"]], left, atol=1e-5)
