"""OpenPIV text becomes the same field as DaVis or .npz, v positive down; strain measures in closed form."""

import numpy as np
import pytest

from cpml.errors import MapFileError, ParameterError
from cpml.microscopy import green_lagrange, in_plane_rotation, read_dic, strain_measures

H = np.array([[0.01, -0.02], [0.03, 0.005]])


def openpiv(rows=5, cols=7, *, up=True, header="# x\ty\tu\tv\tflags\tmask", flags=None, fields=6):
    """OpenPIV text of a uniform gradient: top row first; with `up`, y and v are counted upwards."""
    lines = [header] if header else []
    for r in range(rows):
        for c in range(cols):
            p = np.array([8.0 + 16 * c, 8.0 + 16 * r])
            u, v = H @ p
            y = 16 * rows - p[1] if up else p[1]
            flag = 0 if flags is None or (r, c) not in flags else 1
            values = [
                f"{p[0]:.4e}",
                f"{y:.4e}",
                f"{u:.6e}",
                f"{-v if up else v:.6e}",
                f"{flag:.4e}",
                f"{0:.4e}",
            ]
            lines.append("\t".join(values[:fields]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("header", ["# x\ty\tu\tv\tflags\tmask", "x y u v flags mask", ""])
def test_openpiv(tmp_path, up, header):
    """H is what was put in, whichever way y is counted, with or without a header."""
    (tmp_path / "d.txt").write_text(openpiv(up=up, header=header))
    field = read_dic(tmp_path / "d.txt")
    assert field.shape == (5, 7) and field.step == 16
    np.testing.assert_allclose(field.displacement_gradient, np.broadcast_to(H, (5, 7, 2, 2)), atol=1e-6)


def test_openpiv_flags_and_order(tmp_path):
    """Flagged vectors are missing; a file sorted from the bottom up needs to be told."""
    (tmp_path / "d.txt").write_text(openpiv(flags={(1, 2)}))
    field = read_dic(tmp_path / "d.txt")
    assert np.argwhere(np.isnan(field.u)).tolist() == [[1, 2]]
    rows = openpiv(header="").splitlines()
    (tmp_path / "sorted.txt").write_text("\n".join(rows[::-1]) + "\n")
    told = read_dic(tmp_path / "sorted.txt", y_axis="up")
    np.testing.assert_allclose(told.displacement_gradient, np.broadcast_to(H, (5, 7, 2, 2)), atol=1e-6)
    with pytest.raises(ParameterError, match="y_axis"):
        read_dic(tmp_path / "d.txt", y_axis="north")


def test_openpiv_with_nan(tmp_path):
    """Vectors written as nan are missing as well."""
    lines = openpiv(fields=4, header="# x y u v").splitlines()
    x, y, *_ = lines[9].split()
    lines[9] = f"{x}\t{y}\tnan\tnan"
    (tmp_path / "d.txt").write_text("\n".join(lines))
    assert np.isnan(read_dic(tmp_path / "d.txt").u).sum() == 1


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda t: t.replace("flags", "colour", 1), "line 1.*colour"),
        (lambda t: "\n".join(t.splitlines()[:-1]), "full grid"),
        (lambda t: t.replace("8.0000e+00", "abc", 1), "line 2"),
        (lambda t: t[:400], "d.txt"),
    ],
)
def test_damaged_openpiv(tmp_path, change, told):
    """An unknown column, a missing vector, a field that is no number, a cut file."""
    (tmp_path / "d.txt").write_text(change(openpiv()))
    with pytest.raises(MapFileError, match=f"d.txt.*{told}|{told}"):
        read_dic(tmp_path / "d.txt")


@pytest.mark.parametrize("angle", [-30.0, 5.0, 80.0])
def test_rotation_counts_counter_clockwise(angle):
    """A rigid turn, counter-clockwise on screen, has its angle and no strain."""
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    h = np.array([[c - 1, s], [-s, c - 1]])  # y points down: x right turns towards -y
    assert in_plane_rotation(h) == pytest.approx(angle)
    np.testing.assert_allclose(green_lagrange(h), 0, atol=1e-12)


def test_stretch():
    """H_xx = e gives E_xx = e + e^2/2; a wrong shape is refused."""
    found = strain_measures([[0.1, 0.0], [0.0, 0.0]])
    assert found["e_xx"] == pytest.approx(0.105) and found["e_yy"] == 0 and found["rotation_deg"] == 0
    with pytest.raises(ParameterError, match="shape"):
        strain_measures(np.zeros((3, 3)))
