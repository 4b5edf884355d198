"""Tables of stress and strain: names, units, separators, and what is refused."""

import numpy as np
import pytest

from cpml.datasets.curve import read_curve
from cpml.errors import MapFileError

STRAIN = np.array([0, 0.001, 0.002, 0.01, 0.02, 0.05])
STRESS = np.array([0, 200.0, 250.0, 260.0, 270.0, 300.0])


def write(path, names, columns, *, separator=",", decimal=".", encoding="utf-8"):
    rows = [
        separator.join(f"{v:.9g}".replace(".", decimal) for v in row) for row in zip(*columns, strict=True)
    ]
    path.write_text("\n".join([separator.join(names), *rows]) + "\n", encoding=encoding)
    return path


@pytest.mark.parametrize(
    "names, factors",
    [
        (("true_strain", "true_stress_mpa"), (1, 1)),
        (("True_Strain", "True_Stress_MPa"), (1, 1)),
        (("true_strain_percent", "true_stress_mpa"), (1e2, 1)),
        (("strain_percent", "stress_mpa"), (1e2, 1)),
        (("True strain (%)", "True stress (MPa)"), (1e2, 1)),
        (("strain [%]", "stress [N/mm\N{SUPERSCRIPT TWO}]"), (1e2, 1)),
        (("strain in percent", "stress in GPa"), (1e2, 1e-3)),
        (("true_strain [mm/mm]", "true_stress [Pa]"), (1, 1e6)),
        (("strain (\N{MICRO SIGN}m/m)", "stress_kpa"), (1e6, 1e3)),
        (("true strain [-]", "true stress / MPa"), (1, 1)),
    ],
)
def test_units_are_those_of_the_names(tmp_path, names, factors):
    """A fraction and MPa come out, whatever the columns are called."""
    path = write(tmp_path / "c.csv", names, [STRAIN * factors[0], STRESS * factors[1]])
    curve = read_curve(path)
    np.testing.assert_allclose(curve["true_strain"], STRAIN, rtol=1e-7)
    np.testing.assert_allclose(curve["true_stress_mpa"], STRESS, rtol=1e-7)


@pytest.mark.parametrize(
    "form",
    [
        {"separator": ";", "decimal": ","},
        {"separator": "\t", "decimal": ","},
        {"separator": ";"},
        {"encoding": "utf-8-sig"},
    ],
)
def test_tables_of_other_countries(tmp_path, form):
    """Semicolons, tabs, decimal commas and a byte-order mark."""
    path = write(tmp_path / "c.csv", ("true_strain", "true_stress_mpa"), [STRAIN, STRESS], **form)
    np.testing.assert_allclose(read_curve(path)["true_strain"], STRAIN)


def test_engineering_values_become_true(tmp_path):
    """ln(1 + e) and s (1 + e); further columns do not matter, and true ones are preferred."""
    e, s = np.expm1(STRAIN), STRESS / np.exp(STRAIN)
    names = ("time_s", "engineering_strain", "engineering_stress_mpa")
    path = write(tmp_path / "c.csv", names, [np.arange(6.0), e, s])
    np.testing.assert_allclose(
        read_curve(path)[["true_strain", "true_stress_mpa"]], np.stack([STRAIN, STRESS], 1)
    )
    both = write(tmp_path / "d.csv", (*names, "true_strain", "true_stress_mpa"), [e, e, s, STRAIN, STRESS])
    np.testing.assert_allclose(read_curve(both)["true_strain"], STRAIN)


def test_compression_keeps_its_signs(tmp_path):
    """Negative strain and stress stay as they are."""
    path = write(tmp_path / "c.csv", ("true_strain", "true_stress_mpa"), [-STRAIN, -STRESS])
    assert read_curve(path)["true_strain"].iloc[-1] == -0.05


HEAD = "true_strain,true_stress_mpa\n"


@pytest.mark.parametrize(
    "text, words",
    [
        (HEAD + "0,0\n0.001,\n", "line 3: not two numbers"),
        (HEAD + "0,0\n0.001,2oo\n", "line 3: not two numbers"),
        (HEAD + "0,0\nnan,200\n", "line 3: not two numbers"),
        (HEAD + "0,0\n0.001,inf\n", "line 3: not two numbers"),
        (HEAD + "-,MPa\n0,0\n", "line 2: not two numbers"),
        (HEAD, "line 2: not two numbers"),
        ("", "cannot be read"),
        ("true_strain,force_n\n0,0\n", "no column 'true_stress_mpa'"),
        ("displacement_mm,true_stress_mpa\n0,0\n", "no column 'true_strain'"),
        ("true_strain,true_stress\n0,0\n", "unit of column 'true_stress' is not known"),
        ("true_strain_mm,true_stress_mpa\n0,0\n", "unit of column 'true_strain_mm' is not known"),
        ("strain_percent,strain,stress_mpa\n0,0,0\n", "keep one"),
        ("true_strain,True strain,true_stress_mpa\n0,0,0\n", "two columns"),
        ("true_strain,engineering_stress_mpa\n0,0\n", "one of strain and stress is true"),
        (HEAD + "0,0\n0.1,200\n5,300\n", "strain 5 is no fraction.*true_strain_percent"),
        (HEAD + "0,0\n0.001,200\n0.05,300\n0.02,270\n0.06,310\n", "line 5: the strain runs back to 0.02"),
        (HEAD + "0.05,300\n0.02,270\n0,0\n", "line 3: the strain runs back"),
    ],
)
def test_damaged_tables(tmp_path, text, words):
    """One error that names the file and the line."""
    path = tmp_path / "c.csv"
    path.write_text(text)
    with pytest.raises(MapFileError, match=rf"c\.csv.*{words}"):
        read_curve(path)


def test_no_file(tmp_path):
    """Named in the error."""
    with pytest.raises(MapFileError, match=r"none\.csv"):
        read_curve(tmp_path / "none.csv")
