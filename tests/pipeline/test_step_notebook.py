"""The notebook of strain steps: on a data set that has them, and out of the chain of one that has none."""

import json

import numpy as np
import pandas as pd
import pytest

import cpml
from cpml import paths
from cpml.microscopy import write_map
from cpml.pipeline import answers, steps
from cpml.pipeline.chain import run_dataset
from support.steps import Specimen

CHAIN = ["01_ingestion", "02a_grains", "02f_steps"]


def notebook():
    return next(step for step in steps.discover() if step.name == "02f_steps")


def test_it_is_left_out_without_steps_and_halved_without_maps(describe):
    """No steps: no notebook. A step with a field alone: no cell that speaks of maps, and vice versa."""
    assert steps.lacking(notebook(), cpml.load_dataset(describe())) == "no strain steps"
    for role, kept, lost in (("ebsd", "step-maps", "step-fields"), ("dic", "step-fields", "step-maps")):
        dataset = cpml.load_dataset(describe(steps=[{"strain": 0.1, role: "map.ctf"}]))
        cells = [notebook().cells[i] for i in notebook().cells_for(dataset)]
        needs = {need for cell in cells for need in cell.needs}
        assert needs == {kept} and lost not in needs and not steps.lacking(notebook(), dataset)


def test_answers_say_what_was_followed_and_how_far_it_turned():
    """Numbers of the last step alone; nothing is said where nothing was found."""
    placements = pd.DataFrame(
        {
            "step": ["a", "b"],
            "common_x_deg": [9.0, 3.0],
            "common_y_deg": [9.0, 4.0],
            "common_z_deg": [9.0, 0.0],
        }
    )
    rotations = pd.DataFrame(
        {
            "step": ["a", "b", "b", "b", "b"],
            "status": ["missing", "matched", "split", "missing", "outside"],
            "n_matched": [0, 1, 2, 0, 0],
            "rotation_deg": [np.nan, 1.0, 3.0, np.nan, np.nan],
            "noise_deg": [np.nan, 0.1, 0.1, np.nan, np.nan],
        }
    )
    new = pd.DataFrame({"step": ["a", "b"]})
    sentence = answers.strain_steps(rotations, new, placements)
    assert "2 of 3 grains" in sentence and "(1 split, 1 missing, 1 new)" in sentence
    assert "rotation of 5 deg" in sentence and "turned by 2 deg" in sentence and "read 0.1 deg" in sentence
    assert answers.strain_steps(rotations[:0], new[:0], placements[:0]) == ""
    summary = pd.DataFrame(
        {
            "applied_percent": [1.0, np.nan],
            "mean_percent": [1.1, 4.44],
            "scatter_percent": [0.1, 1.5],
            "error_percent": [0.1, 0.25],
            "rank_correlation": [np.nan, 0.87],
        }
    )
    sentence = answers.grain_strains(summary, "e_yy_percent")
    assert (
        "e_yy is 4.44 %;" in sentence and "1.5 %" in sentence and "0.25 %" in sentence and "0.87" in sentence
    )
    assert "with 1 % applied" in answers.grain_strains(summary[:1], "e_yy_percent")
    assert answers.grain_strains(summary[:0], "e_xx_percent") == ""


@pytest.mark.slow
def test_a_specimen_with_steps_runs_to_its_tables(output, describe):
    """A later map, turned by 15 deg, and gradients: tables with a row a grain and step, figures, answer; a
    second call runs nothing.
    """
    specimen = Specimen.random(30, size=30.0, seed=8, spread_deg=1.5)
    folder = describe().parent
    before = specimen.before()
    write_map(before, folder / "before.ctf")
    write_map(specimen.after(np.diag([1.05, 0.97]), turn_deg=15.0)[0], folder / "after.ctf")
    h = 0.05 * (1 + specimen.grain_at(before.xy)[:, None] / 30) * [1.0, 0.1, 0.0, -0.5]
    np.savetxt(folder / "h.txt", h, header="H11 H12 H21 H22", comments="")
    listed = [{"strain": 0.03, "gradient": "h.txt"}, {"strain": 0.05, "ebsd": "after.ctf"}]
    path = describe(files={"ebsd": "before.ctf"}, steps=listed)
    run_dataset(path, steps=CHAIN)
    reports = paths.reports("tiny")
    rotations, gradients = (
        pd.read_csv(reports / "tables" / f"02f_{name}.csv") for name in ("rotations", "gradients")
    )
    assert len(rotations) == len(gradients) == 30
    assert (rotations["status"] == "matched").all() and rotations["step"].unique() == ["step 2"]
    assert gradients["e_xx_percent"].mean() == pytest.approx(7.4, rel=0.02)
    answer = json.loads((reports / "answers" / "02f_steps.json").read_text())["answer"]
    assert "30 of 30 grains" in answer and "e_xx is" in answer
    figures = {path.stem for path in (reports / "figures").glob("02f_*.png")}
    assert figures == {f"02f_{name}" for name in ("tracked", "rotation", "courses", "strain", "turn")}
    metrics = json.loads((reports / "metrics.json").read_text())
    assert metrics["n_grains_followed"] == 30 and metrics["lattice_rotation_median_deg"] > 1
