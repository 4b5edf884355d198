"""The cells of 02a and 02b on maps of a few points, of lone grains and of several phases: nothing stops them,
no number is divided by zero, and what cannot be drawn is left out with a word.
"""

import json
import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest

import cpml
from cpml import paths
from cpml.crystallography import random_quaternions
from cpml.datasets.dataset import load_dataset
from cpml.microscopy import MapPhase
from cpml.pipeline import steps
from support.maps import MAGNESIUM, NICKEL, nearest_seeds, square_map

pytestmark = pytest.mark.slow

NI = {"name": "Nickel", "lattice": "fcc", "material": "nickel"}
MG = {"name": "Magnesium", "lattice": "hcp", "material": "magnesium", "hex_x_axis": "a"}
ORE = MapPhase("Ore", "222", None, 4.75, 10.2, 5.98)
APART = np.zeros((9, 9), int)
APART[::2, ::2] = np.arange(1, 26).reshape(5, 5)
SMALL = {
    "one grain": np.ones((12, 12), int),
    "one point": np.ones((1, 1), int),
    "two by two": np.arange(1, 5).reshape(2, 2),
    "a line": np.repeat([[1, 2, 3]], 10, axis=1),
    "a column": np.repeat([[1], [2], [3]], 10, axis=0),
    "no neighbour": APART,
}


@pytest.fixture
def execute(output, describe, capsys):
    """execute(map, phases) -> what the cells of 02a and 02b print, after notebook 01 has written the map."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    def run(ebsd_map, phases):
        path = describe(phases=phases)
        cpml.Run("01_ingestion", {"dataset": path}).write_map(ebsd_map)
        for name in ("02a_grains", "02b_boundaries"):
            step = steps.read_step(paths.notebooks() / f"{name}.ipynb")
            names = {"dataset": str(path)}
            for i in step.cells_for(load_dataset(path)):
                cell = step.cells[i]
                if cell.kind == "code":
                    source = cell.source.replace('dataset = "demo"', "pass")
                    with warnings.catch_warnings():
                        warnings.simplefilter("error", RuntimeWarning)
                        exec(compile(source, f"{name}, cell {i}", "exec"), names)
                    plt.close("all")
        return capsys.readouterr().out

    return run


def answer(name):
    return json.loads((paths.reports("tiny") / "answers" / f"{name}.json").read_text())["answer"]


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("phase, spec", [(NICKEL, NI), (MAGNESIUM, MG)], ids=["fcc", "hcp"])
def test_small_maps_run(execute, kind, phase, spec):
    label = SMALL[kind]
    q = random_quaternions(label.max(), np.random.default_rng(0))
    printed = execute(square_map(label, q, phase=phase, noise_deg=0.2), [spec])
    sheet = pd.read_csv(paths.reports("tiny") / "tables" / "grains.csv")
    assert len(sheet) == label.max() and ("c_axis_to_load_deg" in sheet) == (spec is MG)
    assert sheet.filter(like="max_schmid").notna().all(axis=None)
    told = answer("02a_grains") + answer("02b_boundaries")
    assert "nan" not in told
    if label.max() == 1:
        assert "nothing to draw here (grain_size)" in printed and "No boundary" in told
    if kind in ("one point", "two by two", "no neighbour"):
        assert "too few for a noise estimate" in told
    if kind == "no neighbour":
        assert "No two neighbours lie in one grain" in told and "all are kept" in told


def test_three_phases_are_counted_one_by_one(execute):
    """Nickel, magnesium and an orthorhombic phase without a law: figures and texture of each."""
    rng = np.random.default_rng(0)
    phases = {1: NICKEL, 2: MAGNESIUM, 3: ORE, 4: MapPhase("Candidate", "432")}
    m = square_map(
        nearest_seeds(40, 40, 24),
        random_quaternions(24, rng),
        phases=phases,
        phase_of_grain=[1, 2, 3] * 8,
        noise_deg=0.2,
    )
    printed = execute(m, [NI, MG])
    reports = paths.reports("tiny")
    drawn = {path.stem for path in (reports / "figures").glob("*.pdf")}
    for name in ("nickel", "magnesium", "ore"):
        assert {f"02a_pole_figures_{name}", f"02a_odf_{name}", f"02b_disorientation_{name}"} <= drawn
        grid = np.loadtxt(reports / "tables" / f"02a_odf_{name}.txt", comments="%")
        weight = np.sin(np.radians(grid[:, 1]))
        assert np.average(grid[:, 3], weights=weight) == pytest.approx(1, abs=0.01)
        points = pd.read_csv(reports / "tables" / f"02a_orientations_{name}.csv")
        assert points["weight"].sum() == pytest.approx(1, abs=1e-5)
    assert "02a_phases" in drawn and not [name for name in drawn if "candidate" in name]
    assert "nothing to draw here (axes_ore)" in printed
    texture = pd.read_csv(reports / "tables" / "02a_texture.csv")
    assert texture["phase"].tolist() == ["Nickel", "Magnesium", "Ore"]
    sheet = pd.read_csv(reports / "tables" / "grains.csv").set_index("phase")
    assert sheet.loc["Ore"].filter(like="max_schmid").isna().all(axis=None)
    known = pd.read_parquet(paths.derived("tiny") / "fragment_boundaries.parquet")
    assert known["phase_boundary"].any() and (known["length_um"] <= known["staircase_um"] + 1e-9).mean() > 0.9
