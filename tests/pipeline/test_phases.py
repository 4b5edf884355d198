"""Notebooks about one phase are executed once for each phase that has a law, and nothing of one is taken
for the other's.
"""

import json

import numpy as np
import pytest

from cpml import load_dataset, paths, pipeline
from cpml.crystallography.rotations import random_quaternions
from cpml.errors import ParameterError
from cpml.pipeline import steps
from support.maps import nearest_seeds

NICKEL = {"name": "Nickel", "lattice": "fcc", "material": "nickel"}
IRON = {"name": "Iron bcc (old)", "lattice": "bcc", "material": "if_steel"}
ORE = {"name": "Ore", "lattice": "other"}
HEADER = [
    "3.52;3.52;3.52\t90;90;90\tNickel\t11\t225",
    "2.87;2.87;2.87\t90;90;90\tIron bcc (old)\t11\t229",
    "4.75;10.2;5.98\t90;90;90\tOre\t3\t62",
    "5.83;5.83;3.18\t90;90;90\tTin\t5\t141",
]


@pytest.fixture
def three_phases(describe, ctf_text):
    """dataset.yml of 24 grains of three phases on 40 x 40 points, two of which have a law."""
    label = nearest_seeds(40, 40, 24).ravel() - 1
    q = random_quaternions(24, np.random.default_rng(0))
    phase = np.array([1, 2, 3] * 8)
    load = {"kind": "tension", "axis": "x"}
    path = describe(name="three", phases=[NICKEL, IRON, ORE], load=load, virtual=True)
    text = ctf_text(q[label], 40, 40, phase=phase[label], phase_lines=HEADER)
    (path.parent / "map.ctf").write_text(text, newline="")
    return path


def test_each_phase_has_its_steps(three_phases):
    """Names, order and figures of the steps about the second phase; the rest is executed once."""
    dataset = load_dataset(three_phases)
    chain = steps.with_further_phases(steps.discover(), dataset)
    names = [step.name for step in chain]
    assert names.count("02e_labels") == 1
    assert {"03_cp_baseline", "03_cp_baseline_of_iron-bcc-old"} <= set(names)
    second = next(step for step in chain if step.name == "04_coupled_models_of_iron-bcc-old")
    assert second.number == "04-iron-bcc-old" and second.title.endswith("(Iron bcc (old))")
    assert second.parameters("d", {"phase": "x", "seed": 3}) == {
        "dataset": "d",
        "phase": "Iron bcc (old)",
        "seed": 3,
    }
    sources = steps.sources_of(second, chain)
    assert "03_cp_baseline_of_iron-bcc-old" in sources and "03_cp_baseline" not in sources
    assert second.owns("derived/iron-bcc-old/strengths.parquet", chain)
    assert not second.owns("derived/strengths.parquet", chain)
    assert second.owns("reports/figures/04-iron-bcc-old_causes.pdf", chain)
    assert not second.owns("reports/figures/04_causes.pdf", chain)


def test_one_phase_is_asked_for(three_phases):
    """The name of a modelled phase leaves the others out; any other name is an error."""
    dataset = load_dataset(three_phases)
    only = steps.with_further_phases(steps.discover(), dataset, only=IRON["name"])
    about = [step.name for step in only if step.is_of_a_phase]
    assert about and all(name.endswith("_of_iron-bcc-old") for name in about)
    with pytest.raises(ParameterError, match="Ore"):
        steps.with_further_phases(steps.discover(), dataset, only="Ore")


def test_the_phase_is_put_first(three_phases):
    """What a notebook about the second phase holds in its hand: that phase first, and its systems."""
    dataset = load_dataset(three_phases)
    assert dataset.of_phase(IRON["name"]).phases[0].name == IRON["name"]
    assert dataset.of_phase().phases[0].name == "Nickel"
    assert dataset.systems(IRON["name"]).lattice == dataset.of_phase(IRON["name"]).systems().lattice == "bcc"


def test_without_a_law_there_are_no_mechanics(describe):
    """A map of phases without a law has grains and boundaries; labels and mechanics say why not."""
    dataset = load_dataset(describe(phases=[ORE]))
    left_out = {step.notebook_name for step in steps.discover() if steps.lacking(step, dataset)}
    assert {"02e_labels", "03_cp_baseline", "06_design"} <= left_out
    assert not left_out & {"01_ingestion", "02a_grains", "02b_boundaries"}
    told = steps.lacking(steps.read_step(paths.notebooks() / "02e_labels.ipynb"), dataset)
    assert told == "no phase has a material"


@pytest.mark.slow
def test_three_phases_from_the_file_to_the_report(three_phases, output):
    """Candidates, a phase without a law and two with one: labels and law of both, one page."""
    names = ["01_ingestion", "02a_grains", "02b_boundaries", "02e_labels", "03_cp_baseline"]
    page = pipeline.run_dataset(three_phases, steps=names).read_text(encoding="utf-8")
    reports = paths.reports("three")
    first, second = (
        json.loads((reports / "metrics" / f"03_cp_baseline{end}.json").read_text())
        for end in ("", "_of_iron-bcc-old")
    )
    assert set(second) == {f"{name}_of_iron-bcc-old" for name in first}
    assert first["mean_taylor_factor"] != second["mean_taylor_factor_of_iron-bcc-old"]
    assert (paths.derived("three") / "iron-bcc-old" / "cp_baseline.h5").is_file()
    assert (reports / "figures" / "03-iron-bcc-old_taylor_map.png").is_file()
    for told in ("of every grain? (Nickel)</h2>", "of every grain? (Iron bcc (old))</h2>", "Ore"):
        assert told in page
    assert "Tin is listed and has no point" in page
    again = pipeline.run_dataset(three_phases, steps=names)
    assert (
        json.loads((reports / "provenance.json").read_text())["steps"].keys()
        >= {
            "03_cp_baseline",
            "03_cp_baseline_of_iron-bcc-old",
        }
        and again.is_file()
    )
