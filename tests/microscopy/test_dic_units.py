"""Tables of vectors by their header: units, order and names of columns, decimal commas, which way y is
counted. One field in all of them, so one gradient; what cannot be known is an error that names it.
"""

import numpy as np
import pytest

from cpml.errors import MapFileError, ParameterError
from cpml.microscopy import read_dic
from cpml.microscopy.dic.vector_units import column_of, role_of
from cpml.microscopy.io.lengths import length_unit

H = np.array([[0.003, 0.02], [-0.01, 0.007]])
ROWS, COLS, STEP = 6, 9, 8.0
DAVIS = f"#DaVis 8.4.0 2D-vector 8 {ROWS} {COLS} "
PIXELS = '"" "pixel" "" "pixel" "displacement" "pixel"'


def table(
    header,
    *,
    place=1.0,
    move=1.0,
    order="xyuv",
    separator="\t",
    comma=False,
    up=False,
    by_columns=False,
    extra=(),
):
    """Text of the field with positions times `place` and displacements times `move`; `up` counts y and v
    upwards, the top row comes first.
    """
    row, col = np.mgrid[:ROWS, :COLS]
    points = np.stack([col, row], axis=-1) * STEP + 4
    moved = points @ H.T + [0.5, 1.0]
    values = {"x": place * points[..., 0], "y": place * points[..., 1]}
    values |= {"u": move * moved[..., 0], "v": move * moved[..., 1]}
    if up:
        values["y"], values["v"] = place * ROWS * STEP - values["y"], -values["v"]
    arrays = [(values[k].T if by_columns else values[k]).ravel() for k in order]
    lines = [separator.join([*(f"{n:.9g}" for n in line), *extra]) for line in zip(*arrays, strict=True)]
    body = "\n".join(lines)
    return header + "\n" + (body.replace(".", ",") if comma else body) + "\n"


def assert_is_the_field(path, *, scale=None, step=STEP, **options):
    field = read_dic(path, **options)
    np.testing.assert_allclose(field.displacement_gradient, np.broadcast_to(H, (ROWS, COLS, 2, 2)), atol=1e-6)
    assert field.step == pytest.approx(step)
    assert field.scale_um == (scale if scale is None else pytest.approx(scale))
    return field


# half a micrometre a pixel, in the unit of the word
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize(
    ("unit", "size"), [("mm", 5e-4), ("µm", 0.5), ("um", 0.5), ("micron", 0.5), ("m", 5e-7), ("nm", 500.0)]
)
def test_davis_in_lengths(tmp_path, unit, size, encoding):
    """Positions and vectors in any length: the same gradient, and by the step in pixels the size of one."""
    header = DAVIS + f'"" "{unit}" "" "{unit}" "displacement" "{unit}"'
    (tmp_path / "d.txt").write_bytes(table(header, place=size, move=size).encode(encoding))
    assert_is_the_field(tmp_path / "d.txt", scale=0.5)


@pytest.mark.parametrize(
    ("units", "options"),
    [
        ("", {}),
        (PIXELS, {}),
        (PIXELS, {"comma": True}),
        (PIXELS, {"comma": True, "separator": ";"}),
        (PIXELS, {"separator": " "}),
        (PIXELS, {"separator": ","}),
        (PIXELS, {"by_columns": True}),
        (PIXELS, {"up": True}),
        (PIXELS, {"extra": ("1", "0.5")}),
        ('"" "pixel" "" "pixel"', {}),
        ('"y" "pixel" "x" "pixel" "displacement" "pixel"', {"order": "yxuv"}),
        ('"x" "px" "y" "px" "Vy" "px" "Vx" "px"', {"order": "xyvu"}),
    ],
)
def test_davis_in_pixels(tmp_path, units, options):
    """Decimal commas, other separators, columns before rows, y upwards, more columns, another order."""
    (tmp_path / "d.txt").write_text(table(DAVIS + units, **options))
    assert_is_the_field(tmp_path / "d.txt")


@pytest.mark.parametrize(
    ("units", "place", "move", "up"),
    [
        ('"" "mm" "" "mm" "displacement" "µm"', 5e-4, 0.5, False),
        ('"" "mm" "" "mm" "displacement" "µm"', 5e-4, 0.5, True),
        ('"" "mm" "" "mm" "displacement" "pixel"', 5e-4, 1.0, False),
        ('"x" "mm" "y" "mm" "u" "µm" "v" "µm"', 5e-4, 0.5, True),
    ],
)
def test_davis_in_two_units(tmp_path, units, place, move, up):
    """Every column has its own unit; the distance of the vectors is that of the header in pixels."""
    (tmp_path / "d.txt").write_text(table(DAVIS + units, place=place, move=move, up=up), encoding="utf-8")
    field = assert_is_the_field(tmp_path / "d.txt", scale=0.5)
    assert any("upwards" in note for note in field.note) == up


def test_header_of_ncorr(tmp_path):
    """nCorr's export for DefDAP has the header of DaVis with its own name."""
    (tmp_path / "d.txt").write_text(table(DAVIS.replace("DaVis 8.4.0", "nCorr 1.2") + PIXELS))
    assert_is_the_field(tmp_path / "d.txt")


@pytest.mark.parametrize(
    ("units", "told"),
    [
        ('"" "mm" "" "mm" "velocity" "m/s"', "'m/s' of 'velocity' is that of a velocity"),
        ('"" "pixel" "" "pixel" "velocity" "pixel/s"', "pixel/s"),
        ('"" "furlong" "" "furlong" "displacement" "furlong"', "'furlong'"),
        ('"" "pixel" "" "pixel" "displacement" "mm"', "positions are in px and displacements in mm"),
        ('"" "mm" "" "mm" "displacement" ""', "no unit of u, v"),
        ('"" "mm" "" "um" "displacement" "um"', "must have one unit"),
    ],
)
def test_units_that_fix_no_gradient(tmp_path, units, told):
    """A velocity, an unknown unit, lengths beside pixels without the size of one, a unit left out."""
    (tmp_path / "d.txt").write_text(table(DAVIS + units))
    with pytest.raises(MapFileError, match=r"d\.txt.*" + told):
        read_dic(tmp_path / "d.txt")


def test_told_pixel_size(tmp_path):
    """Positions in pixels, displacements in mm: with the size of a pixel they are one field."""
    (tmp_path / "d.txt").write_text(table(DAVIS + '"" "pixel" "" "pixel" "displacement" "mm"', move=5e-4))
    assert_is_the_field(tmp_path / "d.txt", scale=0.5, scale_um=0.5)
    with pytest.raises(ParameterError, match="scale_um"):
        read_dic(tmp_path / "d.txt", scale_um=0.0)


@pytest.mark.parametrize(
    ("header", "options", "scale", "step"),
    [
        ("x [mm];y [mm];Vx [mm];Vy [mm]", {"separator": ";", "place": 5e-4, "move": 5e-4}, 1.0, 4.0),
        (
            "x [mm];y [mm];Displacement x [um];Displacement y [um]",
            {"separator": ";", "comma": True, "place": 5e-4, "move": 0.5, "up": True},
            1.0,
            4.0,
        ),
        ('"x [px]","y [px]","Displacement u [px]","Displacement v [px]"', {"separator": ","}, None, 8.0),
        ("x_pic[Pixels];y_pic[Pixels];Horizontal Displacement U[Pixels];Vertical Displacement V[Pixels]",
         {"separator": ";"}, None, 8.0),
        ("v [px]\tu [px]\ty [px]\tx [px]", {"order": "vuyx"}, None, 8.0),
        ("x,y,u,v", {"separator": ","}, None, 8.0),
        ("x (mm) y (mm) u (mm) v (mm)", {"separator": " ", "place": 5e-4, "move": 5e-4}, 1.0, 4.0),
        (
            'TITLE = "B1"\nVARIABLES = "x [mm]", "y [mm]", "Vx [mm]", "Vy [mm]", "isValid"\nZONE I=9, J=6',
            {"separator": " ", "place": 5e-4, "move": 5e-4, "extra": ("1",)},
            1.0,
            4.0,
        ),
    ],
)  # fmt: skip
def test_named_columns(tmp_path, header, options, scale, step):
    """Names and units decide, not the order; lengths become pixels of 1 um."""
    (tmp_path / "d.csv").write_text(table(header, **options))
    assert_is_the_field(tmp_path / "d.csv", scale=scale, step=step)


def test_vectors_that_are_not_valid(tmp_path):
    """isValid 0 is a missing vector, and so is the word nan."""
    lines = table("x,y,u,v,isValid", separator=",", extra=("1",)).splitlines()
    lines[4] = lines[4][:-1] + "0"
    x, y, *_ = lines[8].split(",")
    lines[8] = f"{x},{y},nan,nan,1"
    (tmp_path / "d.csv").write_text("\n".join(lines))
    assert np.argwhere(np.isnan(read_dic(tmp_path / "d.csv").u)).tolist() == [[0, 3], [0, 7]]


def test_file_sorted_from_the_bottom(tmp_path):
    """y grows through a file that counts it upwards: only `y_axis` can tell."""
    first, *lines = table(DAVIS + PIXELS, up=True).splitlines()
    lines = [line for row in range(ROWS)[::-1] for line in lines[row * COLS : (row + 1) * COLS]]
    (tmp_path / "d.txt").write_text("\n".join([first, *lines]) + "\n")
    assert_is_the_field(tmp_path / "d.txt", y_axis="up")


def test_x_to_the_left(tmp_path):
    """A calibrated frame whose x falls from left to right in the picture: u is turned with it."""
    text = table(DAVIS + PIXELS).splitlines()
    turned = [text[0]]
    for line in text[1:]:
        x, y, u, v = map(float, line.split())
        turned.append(f"{100 - x}\t{y}\t{-u}\t{v}")
    (tmp_path / "d.txt").write_text("\n".join(turned) + "\n")
    assert "left" in assert_is_the_field(tmp_path / "d.txt").note[0]


@pytest.mark.parametrize(
    ("word", "unit"),
    [("Pixel", "px"), ("µm", "um"), ("Âµm", "um"), ("μm", "um"), ("microns", "um"), ("px/s", None)],
)
def test_unit_words(word, unit):
    """Spellings of pixels and of the mu, also read in the wrong encoding."""
    assert length_unit(word) == unit


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("x", "x"),
        ("Coor.Y", "y"),
        ("y_pic", "y"),
        ("u", "u"),
        ("Vy", "v"),
        ("Displacement x", "u"),
        ("Displacement", None),
        ("|V|", None),
        ("Displacement magnitude", None),
        ("exx", None),
        ("sigma", None),
        ("", None),
    ],
)
def test_roles_of_names(name, role):
    """Positions, displacements, and what is neither."""
    assert role_of(name) == role
    assert column_of(f"{name} [mm]").role == role
