"""The table of an ECCI session: places, pieces, conditions and weights by hand; one line for an error."""

import csv
import io
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st
from scipy.spatial.transform import Rotation

from cpml.crystallography import load_material
from cpml.errors import CpmlError, MapFileError
from cpml.microscopy import traces_to_grains
from cpml.microscopy.ecci.contrast import STATES
from cpml.microscopy.ecci.ecci_file import COLUMNS, Place, read_ecci
from cpml.microscopy.ecci.evidence import ROWS
from cpml.microscopy.ecci.reflections import reflections
from cpml.microscopy.ecci.stage import Stage
from fuzzing.mutations import WORDS
from support.maps import MAGNESIUM, NICKEL, square_map

MATERIAL = load_material("nickel")
FOUND = reflections(MATERIAL, kv=20.0)
WAVELENGTH_NM = 0.008589  # of 20 kV (Reimer 1998)
S10, C10 = np.sin(np.radians(10)), np.cos(np.radians(10))
NORMAL = [0, 0, 1]
TILTED = [-S10, 0, C10]  # tilted about x by 10 deg after a quarter turn counter-clockwise on the screen
TURN, SHIFT = 0.25 * np.array([[0.8, -0.6], [0.6, 0.8]]), np.array([2.0, 3.0])
"""um of the map of a pixel p of the picture: TURN p + SHIFT."""


def excited_along(hkl, beam, spin_deg):
    """Orientation (4,) in which a beam meets planes hkl at their Bragg angle, and (3,) their normal there."""
    theta = np.arcsin(WAVELENGTH_NM * np.linalg.norm(hkl) / (2 * MATERIAL.a))
    across = np.cross([0, 1, 0], beam) / np.linalg.norm(np.cross([0, 1, 0], beam))
    normal = np.cos(theta) * across - np.sin(theta) * np.asarray(beam)
    first, _ = Rotation.align_vectors([normal], [np.asarray(hkl) / np.linalg.norm(hkl)])
    return np.roll((Rotation.from_rotvec(spin_deg * normal, degrees=True) * first).as_quat(), 1), normal


FIRST, NORMAL_OF_FIRST = excited_along([2, 0, 0], NORMAL, 20)  # grain 1: (200) with the stage at rest
SECOND, _ = excited_along([1, -1, 1], TILTED, 50)  # grain 2: (1-11) at 10, 90 deg


def turned(q, hkl):
    """(3,) normal of planes in the sample, by scipy."""
    return Rotation.from_quat(np.roll(q, -1)).apply(np.asarray(hkl) / np.linalg.norm(hkl))


def indices(name):
    return [int(i) for i in re.findall(r"-?\d", name)]


def make_place(first=FIRST, **changed):
    """20 x 10 um: grain 1 on the left, 2 on the right; below y = 8 um grain 3, which has no material."""
    label = np.where(np.arange(40) < 20, 1, 2) * np.ones((20, 1), int)
    label[16:] = 3
    q = np.array([first, SECOND, [1, 0, 0, 0]])
    phases = {1: NICKEL, 2: MAGNESIUM}
    ebsd = square_map(label, q, phases=phases, phase_of_grain=[1, 1, 2], step=0.5)
    grains = pd.DataFrame(q, columns=["qw", "qx", "qy", "qz"]).assign(grain_id=[1, 2, 3], phase=[1, 1, 2])

    def grain_at(points):
        table = pd.DataFrame(points, columns=["x_um", "y_um"])
        return traces_to_grains(table, ebsd, label.ravel())["grain_id"].to_numpy(int)

    given = {"grains": grains, "found": {1: FOUND}, "stage": Stage(), "grain_at": grain_at}
    return Place(**given | {"from_picture": lambda pixels: pixels @ TURN.T + SHIFT} | changed)


PLACE = make_place()


@pytest.fixture
def read(tmp_path):
    """read(text, place) -> records."""

    def make(text, place=PLACE):
        path = tmp_path / "ecci.csv"
        path.write_text(text, encoding="utf-8")
        return read_ecci(path, place)

    return make


# --- places


@pytest.mark.parametrize(
    ("head", "fields", "grain"),
    [
        ("grain_id", "2", 2),
        ("x_um,y_um", "12.3,4", 2),
        ("x_um,y_um", "3,4", 1),
        ("grain_id,x_um,y_um", "1,3,4", 1),
        ("polyline", "1 1; 3 1", 1),
        ("polyline", "11 1; 13 1;", 2),
        ("grain_id,polyline", "2,11 1; 13 1", 2),
        ("polyline_px", "4 8; 8 8", 1),  # 2 + 0.25 (0.8 x - 0.6 y) = 1.6, 2.4 um
        ("polyline_px", "32 -24; 36 -24", 2),  # 12 um, 3 um; without the turn it lies above the map
    ],
)
def test_the_grain_of_a_line(read, head, fields, grain):
    found = read(f"line,{head},g,seen\na,{fields},2 0 0,visible\n")
    assert found["grain_id"].tolist() == [grain] and found["line"].tolist() == ["a"]
    assert list(found) == [*ROWS, "setting"]


def test_the_place_is_given_once(read):
    """Later rows of a line need none; lines may take turns."""
    found = read("line,grain_id,g,seen\na,1,200,weak\nb,2,200,weak\na,,020,weak\nb,,020,weak\n")
    assert dict(zip(found["line"], found["grain_id"], strict=True)) == {"a": 1, "b": 2} and len(found) == 4


# --- geometry


@pytest.mark.parametrize("angle", [0, 30, 90, 150, 179])
@pytest.mark.parametrize("is_px", [False, True])
def test_angles_are_as_seen_on_the_screen(read, angle, is_px):
    """Counter-clockwise from +x, y down; a line has no sense. In the picture everything is turned by the
    angle whose cosine is 0.8, clockwise on the screen, and a pixel is 0.25 um.
    """
    along = np.array([np.cos(np.radians(angle)), -np.sin(np.radians(angle))])
    for sign in (1, -1):
        start = np.array([12.0, 0.0]) if is_px else np.array([5.0, 4.0])
        end = start + sign * 2 * along
        name = "polyline_px" if is_px else "polyline"
        corners = "; ".join(f"{x:.9f} {y:.9f}" for x, y in (start, end))
        found = read(f"line,{name},g,seen\na,{corners},200,weak\n").iloc[0]
        expected = angle - np.degrees(np.arccos(0.8)) if is_px else angle
        off = (found["angle_deg"] - expected + 90) % 180 - 90
        assert abs(off) < 1e-6  # nine digits were written
        assert 0 <= found["angle_deg"] < 180
        assert found["length_um"] == pytest.approx(0.5 if is_px else 2, rel=1e-6)


def test_a_polyline_is_its_straight_pieces(read):
    """Up to the right, level, and down to the right; each record counts for the pieces by their length."""
    found = read(
        "line,polyline,sigma_deg,g,seen\n"
        "a,1 7; 4 4; 8 4; 9 5,5,200,visible\na,,,020,invisible\nb,2 2; 3 2,,200,weak\n"
    )
    length = np.array([3 * 2**0.5, 4, 2**0.5])
    for g, state in (("(200)", "visible"), ("(020)", "invisible")):
        rows = found[(found["line"] == "a") & (found["g"] == g)]
        assert rows["segment"].tolist() == [1, 2, 3] and set(rows["seen"]) == {state}
        np.testing.assert_allclose(rows["weight"], length / length.sum())
        assert set(rows["sigma_deg"]) == {5}
    drawn = found[(found["line"] == "a") & (found["g"] == "(200)")]
    np.testing.assert_allclose(drawn["angle_deg"], [45, 0, 135], atol=1e-9)
    np.testing.assert_allclose(drawn["length_um"], length)
    again = found[(found["line"] == "a") & (found["g"] == "(020)")]
    assert again["angle_deg"].isna().all()  # it was drawn once, so it is one measurement
    other = found[found["line"] == "b"].iloc[0]
    assert (other["weight"], other["sigma_deg"]) == (1, 3)


@pytest.mark.parametrize(
    ("corners", "pieces"),
    [
        ("1 4; 2 4; 3 4; 5 4", [(0, 4.0)]),
        ("1 5; 2 4; 3 3; 4 2", [(45, 18**0.5)]),
        ("1 4; 3 4.1; 5 4", [(0, 4.0)]),  # 0.1 um beside a line of 4 um is no corner
        ("1 4; 3 4; 3 2; 3 1", [(0, 2.0), (90, 3.0)]),
        ("1 4; 1 4; 3 4", [(0, 2.0)]),  # a point twice
    ],
)
def test_corners_that_are_none(read, corners, pieces):
    found = read(f"line,polyline,g,seen\na,{corners},200,weak\n")
    np.testing.assert_allclose(found[["angle_deg", "length_um"]], pieces, atol=1e-9)


@pytest.mark.parametrize("numbers", [(1, 2), (2, 3)])
@pytest.mark.parametrize(
    "lengths, weights", [((1, 3), (0.25, 0.75)), (("", ""), (0.5, 0.5)), ((1, ""), None)]
)
def test_what_counts_for_the_whole_line_counts_once(read, numbers, lengths, weights):
    """Segments have numbers of the user's. A row without one is about all of them: by their lengths, by
    equal shares where none was measured, and always to one in sum.
    """
    rows = [f"a,{n},1,{20 * n},{s},200,weak\n" for n, s in zip(numbers, lengths, strict=True)]
    found = read(
        "".join(["line,segment,grain_id,angle_deg,length_um,g,seen\n", *rows, "a,,,,,020,visible\n"])
    )
    own, whole = found[found["g"] == "(200)"], found[found["g"] == "(020)"]
    assert own["segment"].tolist() == list(numbers) and own["weight"].tolist() == [1, 1]
    assert own["angle_deg"].tolist() == [20 * n for n in numbers]
    assert whole["segment"].tolist() == list(numbers)
    assert whole["weight"].sum() == pytest.approx(1)
    if weights:
        assert whole["weight"].tolist() == list(weights)


def test_an_angle_is_that_of_an_undirected_line(read):
    found = read("line,grain_id,angle_deg,length_um,g,seen\na,1,-20,.5,200,weak\nb,1,200,.5,200,weak\n")
    assert found["angle_deg"].tolist() == [160, 20] and found["length_um"].tolist() == [0.5, 0.5]
    assert found["sigma_deg"].tolist() == [3, 3]


GRAIN_2 = "line,grain_id,angle_deg,sigma_deg,length_um,g,tilt_deg,second_deg,seen\n"


def test_what_was_drawn_belongs_to_its_picture(read):
    """The line was invisible in the first picture and drawn in the second: angle, error and length are of
    the second beam.
    """
    rows = ["a,2,,,,200,,,invisible", "a,2,140,2,0.5,,10,90,visible", "a,2,,,,020,,,weak"]
    found = read(GRAIN_2 + "\n".join(rows))
    drawn = found[found["angle_deg"].notna()]
    assert drawn["seen"].tolist() == ["visible"]
    np.testing.assert_allclose(drawn[["angle_deg", "sigma_deg", "length_um"]], [[140, 2, 0.5]])
    np.testing.assert_allclose(drawn[["beam_x", "beam_y", "beam_z"]], [TILTED], atol=1e-12)


def test_an_error_may_come_with_a_later_row(read):
    """Beside its angle, not the three degrees of where nothing is said."""
    found = read("line,grain_id,angle_deg,sigma_deg,g,seen\na,1,,,200,weak\na,,30,8,020,weak\n")
    assert found.loc[found["angle_deg"].notna(), ["angle_deg", "sigma_deg"]].to_numpy().tolist() == [[30, 8]]


@pytest.mark.parametrize("corners, angles", [("11 4; 13 4", [0]), ("11 4; 13 4; 13 2", [0, 90])])
def test_a_polyline_may_come_with_a_later_row(read, corners, angles):
    """States of the rows before it are about its pieces, too."""
    text = (
        f"line,grain_id,polyline,g,tilt_deg,second_deg,seen\na,2,,200,,,weak\na,,{corners},,10,90,visible\n"
    )
    found = read(text)
    drawn = found[found["angle_deg"].notna()]
    assert drawn["angle_deg"].tolist() == angles and set(drawn["seen"]) == {"visible"}
    assert found.groupby("g")["weight"].sum().to_dict() == pytest.approx({"(200)": 1, "(1-11)": 1})


# --- conditions


@pytest.mark.parametrize("written", ["2 0 0", "(200)", "200", '"2,0,0"', "[2 0 0]"])
def test_a_reflection_without_a_setting_is_seen_along_the_normal(read, written):
    found = read(f"line,grain_id,g,seen\na,2,{written},weak\n").iloc[0]
    assert found["g"] == "(200)" and not found["setting"]
    assert found[["beam_x", "beam_y", "beam_z"]].tolist() == NORMAL


@pytest.mark.parametrize(
    ("grain", "tilt", "second", "g", "beam"),
    [(1, "0", "", "(200)", NORMAL), (1, "0", "123", "(200)", NORMAL), (2, "10", "90", "(1-11)", TILTED)],
)
def test_a_setting_alone_finds_its_reflection(read, grain, tilt, second, g, beam):
    found = read(f"line,grain_id,tilt_deg,second_deg,seen\na,{grain},{tilt},{second},weak\n").iloc[0]
    assert found["g"] == g and found["setting"]
    np.testing.assert_allclose(found[["beam_x", "beam_y", "beam_z"]].astype(float), beam, atol=1e-12)


@pytest.mark.parametrize("number", range(24))
def test_indices_of_any_copy_of_the_crystal(read, number):
    """The map's orientation may be any of 24, and the user's indices are of another: the planes that the
    setting excites are the same planes of the specimen.
    """
    copy = Rotation.create_group("O")[number]
    q = np.roll((Rotation.from_quat(np.roll(FIRST, -1)) * copy).as_quat(), 1)
    place = make_place(q)
    written = ("2 0 0", "-2 0 0", "0 2 0", "0 0 -2")
    rows = [f"{k},1,{name},0,weak" for k, name in enumerate(written)]
    found = read("\n".join(["line,grain_id,g,tilt_deg,seen", *rows]), place)
    assert found[["beam_x", "beam_y", "beam_z"]].to_numpy().tolist() == [NORMAL] * 4
    for name in found["g"]:
        np.testing.assert_allclose(turned(q, indices(name)), NORMAL_OF_FIRST, atol=1e-9)


def test_the_tolerance_is_the_declared_one(read):
    """One degree off Bragg along the tilt: too far for 0.3 degrees, near enough for 1.5."""
    q, _ = excited_along([2, 0, 0], [0, np.sin(np.radians(5)), np.cos(np.radians(5))], 20)
    turn = Rotation.from_rotvec([0, 1, 0], degrees=True)  # across the planes' normal: 1 degree off
    q = np.roll((turn * Rotation.from_quat(np.roll(q, -1))).as_quat(), 1)
    text = "line,grain_id,g,tilt_deg,seen\na,1,200,5,weak\n"
    assert len(read(text, make_place(q, tolerance_deg=1.5))) == 1
    with pytest.raises(MapFileError, match=r"\(200\) is [+-](0\.99|1\.0[01]?)0? deg"):
        read(text, make_place(q, tolerance_deg=0.3))


# --- states


def test_what_was_not_looked_at_is_kept(read):
    """An empty state is none of the three, contradicts none, and is written in any case."""
    found = read("line,grain_id,g,seen\na,1,200,\na,1,020,Visible\na,1,020, \nb,1,200,INVISIBLE\n")
    assert found["seen"].tolist() == ["", "visible", "", "invisible"]


def test_an_exact_repetition_counts_once(read):
    row = "a,1,30,.5,200,weak\n"
    found = read(f"line,grain_id,angle_deg,length_um,g,seen\n{row}{row}{row.replace('a', 'b', 1)}")
    assert found["line"].tolist() == ["a", "b"] and found["angle_deg"].tolist() == [30, 30]


# --- errors


def one(**fields):
    """A table of one row."""
    right = {"line": "a", "grain_id": "1", "g": "2 0 0", "seen": "weak"} | fields
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([COLUMNS, [right.get(name, "") for name in COLUMNS]])
    return out.getvalue()


def with_second(first, **fields):
    """A table and another row of the same line."""
    return first + one(**fields).splitlines()[1] + "\n"


def test_a_row_of_the_errors_is_right_by_itself(read):
    assert len(read(one())) == 1


WRONG = {
    "no line": ("grain_id,g,seen\n1,200,weak\n", 1, ["no column line", "known: line", "found: grain_id"]),
    "no seen": ("line,grain_id,g\na,1,200\n", 1, ["no column seen", "known"]),
    "no condition column": ("line,grain_id,seen\na,1,weak\n", 1, ["no column g (or tilt_deg)"]),
    "no place column": ("line,g,seen\na,200,weak\n", 1, ["no column grain_id (or x_um, y_um, or polyline)"]),
    "empty file": ("", 1, ["no column line", "found: nothing"]),
    "semicolons": ("line;grain_id;g;seen\na;1;200;weak\n", 1, ["no column line", "line;grain_id;g;seen"]),
    "unknown column": ("line,grain_id,g,seen,reader\na,1,200,weak,x\n", 1, ["'reader'", "known"]),
    "column twice": ("line,grain_id,g,seen,seen\na,1,200,weak,weak\n", 1, ["'seen'", "twice"]),
    "few fields": ("line,grain_id,g,seen\na,1,200\n", 2, ["number of fields", "quote fields with commas"]),
    "many fields": ("line,grain_id,g,seen\na,1,2,0,0,weak\n", 2, ["number of fields", "quote"]),
    "no name": (one(line=" "), 2, ["line is empty", "name the line"]),
    "unknown grain": (one(grain_id="9"), 2, ["grain 9 is not in the map", "from 1 to 3"]),
    "half a grain": (one(grain_id="1.5"), 2, ["grain_id = '1.5'", "write the number of a grain"]),
    "grain by name": (one(grain_id="left"), 2, ["grain_id = 'left'", "write the number of a grain"]),
    "other grain": (one(x_um="12", y_um="4"), 2, ["in grain 1", "is in grain 2", "correct one"]),
    "polyline elsewhere": (one(polyline="12 4; 14 4"), 2, ["in grain 1", "is in grain 2", "correct one"]),
    "outside": (
        one(grain_id="", x_um="500", y_um="500"),
        2,
        ["no grain of the map", "um on the map", "y down"],
    ),
    "polyline outside": (
        one(grain_id="", polyline="500 1; 501 1"),
        2,
        ["no grain of the map", "um on the map"],
    ),
    "two grains": (
        with_second(one(), grain_id="2", g="0 2 0"),
        3,
        ["grain 2", "in grain 1", "line 2", "two lines"],
    ),
    "x alone": (one(grain_id="", x_um="3"), 2, ["x_um and y_um", "give both"]),
    "y alone": (one(grain_id="", y_um="3"), 2, ["x_um and y_um", "give both"]),
    "no place": (one(grain_id=""), 2, ["no place", "give grain_id, x_um and y_um, or a polyline"]),
    "polyline and angle": (
        one(polyline="1 1; 2 1", angle_deg="0"),
        2,
        ["a polyline stands for", "give it alone"],
    ),
    "polyline and segment": (one(polyline="1 1; 2 1", segment="1"), 2, ["a polyline stands for"]),
    "two polylines": (one(polyline="1 1; 2 1", polyline_px="1 1; 2 1"), 2, ["a polyline stands for", "once"]),
    "polyline in words": (one(polyline="left; right"), 2, ["polyline = 'left; right'", "write two corners"]),
    "polyline of a point": (one(polyline="1 1"), 2, ["polyline = '1 1'", "x y; x y"]),
    "polyline in space": (one(polyline="1 1 1; 2 2 2"), 2, ["polyline = ", "x y; x y"]),
    "polyline ragged": (one(polyline="1 1; 2"), 2, ["polyline = ", "x y; x y"]),
    "polyline with commas": (one(polyline_px="1,1; 2,2"), 2, ["polyline_px = ", "x y; x y"]),
    "polyline without end": (one(polyline="1 1; inf 1"), 2, ["polyline = ", "x y; x y"]),
    "polyline of no length": (one(polyline="1 1; 1 1"), 2, ["is 0 um long", "0.005 to 100"]),
    "short piece": (one(polyline="1 1; 1.004 1; 1.004 1.05"), 2, ["is 0.004 um long", "0.005 to 100"]),
    "other polyline": (
        with_second(one(polyline="1 1; 3 1"), polyline="1 1; 3 1; 3 3", g="0 2 0"),
        3,
        ["2 straight pieces", "has 1", "line 2", "draw it once"],
    ),
    "misspelt": (one(seen="visibel"), 2, ["seen = 'visibel'", "visible, weak, invisible", "or nothing"]),
    "yes": (one(seen="1"), 2, ["seen = '1'", "visible, weak, invisible"]),
    "no condition": (one(g=""), 2, ["neither g nor tilt_deg", "say under which"]),
    "second alone": (one(g="", second_deg="20"), 2, ["neither g nor tilt_deg"]),
    "forbidden": (one(g="1 0 0"), 2, ["'1 0 0' does not diffract", "choose", "{111}, {200}"]),
    "forbidden and set": (one(g="1 0 0", tilt_deg="0"), 2, ["'1 0 0' does not diffract", "choose"]),
    "four indices that do not add up": (one(g="1 0 0 0"), 2, ["'1 0 0 0' is no reflection", "add up to 0"]),
    "two indices": (one(g="1 1"), 2, ["'1 1' is no reflection", "write its indices"]),
    "beyond the stage": (
        one(tilt_deg="40"),
        2,
        ["tilt 40 and 0 deg", "limits of the stage", "correct the setting"],
    ),
    "excites nothing": (
        one(g="", tilt_deg="10", second_deg="60"),
        2,
        ["no reflection within 0.3 deg", "correct it", "or give g"],
    ),
    "another reflection": (
        one(g="1 1 1", tilt_deg="0"),
        2,
        ["deg from its Bragg position", "more than 0.3", "excited there: (200)", "correct g"],
    ),
    "angle in another unit": (one(angle_deg="400"), 2, ["angle_deg = '400'", "write degrees"]),
    "angle in words": (one(angle_deg="30 deg"), 2, ["angle_deg = '30 deg'", "write degrees"]),
    "no error at all": (one(sigma_deg="0"), 2, ["sigma_deg = '0'", "0.1 to 45"]),
    "length in nm": (one(length_um="500"), 2, ["length_um = '500'", "write um, 0.005 to 100"]),
    "length below zero": (one(length_um="-1"), 2, ["length_um = '-1'", "write um"]),
    "tilt in radians of a turn": (one(tilt_deg="120"), 2, ["tilt_deg = '120'", "-90 to 90"]),
    "segment from 0": (one(segment="0"), 2, ["segment = '0'", "whole number from 1"]),
    "not a number": (one(x_um="nan", y_um="2"), 2, ["x_um = 'nan'", "um on the map"]),
    "contradiction": (
        with_second(one(seen="visible"), seen="invisible"),
        3,
        ["line a is invisible under (200)", "visible in line 2", "keep one"],
    ),
    "no material": (one(grain_id="3"), 2, ["grain 3", "phase 2", "no material"]),
    "no material by place": (one(grain_id="", x_um="5", y_um="9"), 2, ["grain 3", "phase 2", "no material"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line_with_its_place(read, case):
    text, line, words = WRONG[case]
    with pytest.raises(MapFileError) as error:
        read(text)
    told = str(error.value)
    assert f"ecci.csv, line {line}: " in told and "\n" not in told
    assert [word for word in words if word not in told] == [], told


def test_a_picture_that_is_not_registered(read):
    with pytest.raises(
        MapFileError, match=r"ecci.csv, line 2: polyline_px needs .*registration: image_to_ebsd"
    ):
        read(one(polyline_px="4 8; 8 8"), make_place(from_picture=None))


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n\x00\xff", one().encode("utf-16"), one().encode("utf-16-le")]
)
def test_no_text_at_all(tmp_path, data):
    """One error that names the file, and says what it should be."""
    path = tmp_path / "ecci.csv"
    path.write_bytes(data)
    with pytest.raises(MapFileError, match=r"ecci.csv.*(save the table as CSV|no column line)"):
        read_ecci(path, PLACE)


def test_no_file(tmp_path):
    with pytest.raises(MapFileError, match=r"gone.csv: cannot be read"):
        read_ecci(tmp_path / "gone.csv", PLACE)


def test_a_table_without_rows(read):
    """No lines, no records; the columns are there."""
    found = read("line,grain_id,g,seen\n")
    assert len(found) == 0 and list(found) == [*ROWS, "setting"]


# --- any text in any field

RIGHT = [
    {"line": "a", "grain_id": "1", "angle_deg": "30", "length_um": "0.5", "g": "2 0 0", "seen": "visible"},
    {"line": "a", "g": "0 2 0", "seen": "weak"},
    {"line": "b", "polyline": "1 1; 3 1; 3 3", "sigma_deg": "2", "tilt_deg": "0", "seen": "invisible"},
    {"line": "c", "polyline_px": "4 8; 8 8", "g": "1 1 1", "seen": ""},
    {
        "line": "d",
        "x_um": "12",
        "y_um": "4",
        "tilt_deg": "10",
        "second_deg": "90",
        "g": "1 1 1",
        "seen": "weak",
    },
    {"line": "d", "segment": "2", "tilt_deg": "10", "second_deg": "90", "seen": "weak"},
]
NUMBER = st.floats().map(repr) | st.integers().map(str)
FIELD = (
    st.text(max_size=12)
    | st.sampled_from(WORDS)
    | NUMBER
    | st.lists(st.lists(NUMBER, min_size=1, max_size=3).map(" ".join), max_size=4).map("; ".join)
)


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(row=st.integers(0, len(RIGHT) - 1), name=st.sampled_from(COLUMNS), field=FIELD)
@example(row=2, name="line", field="b")  # nothing changed: it is right
@example(row=2, name="polyline", field="1e200 1; 2 1")
@example(row=3, name="polyline_px", field="1e308 1e308; 2 1")
@example(row=0, name="g", field="9" * 5000)
def test_any_text_in_any_field(tmp_path, row, name, field):
    """It is read, or it is one error with the name of the file on one line."""
    rows = [dict(one) for one in RIGHT]
    rows[row][name] = field
    path = tmp_path / "ecci.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *([one.get(key, "") for key in COLUMNS] for one in rows)])
    try:
        found = read_ecci(path, PLACE)
    except CpmlError as error:
        assert "ecci.csv" in str(error) and "\n" not in str(error) and rows[row] != RIGHT[row]
    else:
        assert found["weight"].between(0, 1).all() and set(found["seen"]) <= {*STATES, ""}
