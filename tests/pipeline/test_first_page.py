"""The first page of a report: answers by question, reasons where there are none, red for too little."""

import re
from types import SimpleNamespace

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

import cpml
from cpml import evaluation, paths
from cpml.crystallography import systems
from cpml.crystallography.slip_traces import slip_traces
from cpml.errors import CpmlError, ParameterError
from cpml.microscopy.labels.rows import label_rows
from cpml.pipeline import findings, found, steps
from cpml.pipeline.report import numbers
from cpml.pipeline.report.page import write_index
from cpml.pipeline.report.pdf import write_pdf
from cpml.pipeline.report.topics import TOPICS

HCP = {"name": "Magnesium", "lattice": "hcp", "material": "magnesium", "hex_x_axis": "a"}


def executed(step, *outputs):
    """An executed notebook with these outputs, where the report looks for it."""
    make = nbformat.v4
    cells = [make.new_markdown_cell(f"# Chapter {step}: what?\n\n## Part"), make.new_code_cell("1")]
    cells[1].outputs = list(outputs)
    path = paths.reports("tiny") / f"{step}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(make.new_notebook(cells=cells), path)


def page_of(path):
    return BeautifulSoup(write_index(str(path)).read_text(), "html.parser")


def said(page, topic):
    return " ".join(page.find(id=f"t-{topic}").get_text(" ").split())


@pytest.fixture
def described(describe, output):
    return lambda **changes: describe(**({"phases": [HCP]} | changes))


def test_findings_stand_under_their_question(described):
    path = described()
    run = cpml.Run("01_ingestion", {"dataset": path})
    run.note("The frame <b>holds</b>.", topic="frame")
    run.tell("measured", table=pd.DataFrame({"what": ["points"], "how many": ["**3**"]}))
    run.answer("A map of 3 points.", topic="measured")
    executed("01_ingestion")
    page = page_of(path)
    assert [h.get_text() for h in page.select(".topic h2")][: len(TOPICS) - 1] == [
        topic.question for key, topic in TOPICS.items() if key != "cautions"
    ]
    assert "A map of 3 points." in said(page, "measured") and "how many" in said(page, "measured")
    assert page.find(id="t-measured").find("strong", class_="warn").get_text() == "3"
    assert "The frame <b>holds</b>." in said(page, "frame"), "text is escaped, not obeyed"
    assert "warned" in page.find(id="t-measured")["class"]
    assert "warned" not in page.find(id="t-frame")["class"]
    with pytest.raises(ParameterError, match="did you mean 'frame'"):
        run.tell("frames", "x")


def test_a_missing_answer_has_its_reason(described):
    """Not run yet; left out by the description; left out because too little was seen, in red."""
    path = described()
    executed("01_ingestion")
    page = page_of(path)
    assert "Chapter 02e has not run yet" in said(page, "footprints")
    assert "Chapter 05 has not run yet" in said(page, "comparison"), "nobody has looked for footprints yet"
    folder = paths.derived("tiny")
    folder.mkdir(parents=True, exist_ok=True)
    columns = ("grain_id", "phase_name", "trace_id", "mechanism", "observed", "probability")
    for name in ("grains", "labels", "candidates"):
        pd.DataFrame({column: [] for column in columns}).to_parquet(folder / f"{name}.parquet")
    page = page_of(path)
    assert "fewer than 10 footprints" in said(page, "comparison")
    assert page.find(id="t-comparison").find(class_="warn")
    unloaded = page_of(described(load="unknown"))
    assert "Chapter 04 is left out: the load is unknown" in said(unloaded, "mechanisms")
    assert "The load is unknown" in said(unloaded, "cautions")


def test_what_must_not_be_concluded_follows_from_the_description(described):
    executed("01_ingestion")
    plain = said(page_of(described(frame={"euler_to_sample": "identity"})), "cautions")
    assert "frame is not declared" not in plain and "assumed" not in plain
    assumed = {"kind": "tension", "axis": "x", "assumed": True}
    told = said(page_of(described(load=assumed)), "cautions")
    assert (
        "frame is not declared" in told
        and "load is assumed" in told
        and "Nothing here was measured" not in told
    )


def test_figures_and_tables_are_numbered_described_and_reachable(described):
    make = nbformat.v4.new_output
    picture = {"image/png": "aGVsbG8="}
    executed(
        "02a_grains",
        make("display_data", picture, metadata={"image/png": {"alt": "Grains & <sizes>"}}),
        make(
            "display_data",
            {"text/html": "<table><tr><th></th><th>a</th></tr></table>"},
            metadata={"caption": "All a"},
        ),
        make("display_data", picture),
    )
    page = page_of(described())
    chapter = page.find(id="s02a")
    assert [c.get_text() for c in chapter.find_all("figcaption")] == [
        "Figure 02a.1 Grains & <sizes>",
        "Table 02a.1 All a",
        "Figure 02a.2 figure without a description",
    ]
    assert chapter.find("img")["alt"] == "Grains & <sizes>"
    assert chapter.find(class_="scrolls")["tabindex"] == "0" and len(chapter.find_all("th")) == 1
    assert chapter.find("summary").h2.get_text() == "Chapter 02a_grains: what?"
    assert [h.name for h in page.find_all(re.compile("^h[1-6]$"))].count("h1") == 1
    targets = [a["href"] for a in page.find_all("a") if a["href"].startswith("#")]
    assert targets and all(page.find(id=target[1:]) for target in targets)


def test_the_page_says_that_a_run_goes_on(described):
    executed("01_ingestion")
    status = "This run is going on: 1 of <3> chapters."
    page = BeautifulSoup(write_index(str(described()), status=status).read_text(), "html.parser")
    assert page.find(class_="status").get_text() == status


def test_three_figures_of_those_that_there_are(described):
    path = described()
    run = cpml.Run("02a_grains", {"dataset": path})
    for name in ("grod", "twin_map", "sizes"):
        fig, ax = plt.subplots(figsize=(2, 1))
        ax.set(xlabel="size / µm", title="of all")
        run.show(fig, name)
        plt.close(fig)
    executed("02a_grains")
    figures = page_of(path).find(id="t-figures")
    assert [a.get_text() for a in figures.find_all("a")] == ["02a_twin_map.pdf", "02a_grod.pdf"]
    assert figures.img["alt"] == "of all. size / µm."


def test_footprints_are_counted_once():
    """A line along several planes is a footprint though it is no label; lines along none are not."""
    labels = pd.DataFrame(
        {"grain_id": 1, "mechanism": ["slip", "slip", "twin", "twin"], "observed": [1.0, None, 1.0, 0.0]}
    )
    candidates = pd.DataFrame(
        {"trace_id": [1, 2, 2, 3], "mechanism": "slip", "probability": [1.0, 0.5, 0.5, 0.0]}
    )
    assert found.count_footprints(labels, candidates) == 3
    assert found.count_footprints(labels, candidates[:0]) == 2


def test_what_a_person_saw_is_a_footprint():
    """Beside lines and twins; not the rows of these, not a system of a band, nor what was not seen."""
    labels = label_rows([1, 2], "basal (0001)", observed=1.0, source="traces+dic")
    more = label_rows(
        [1, 2, 2, 2, 3],
        ["a", "basal", "basal", "twin", ""],
        mechanism=["slip", "slip", "slip", "twin", "climb"],
        level=["system", "family", "family", "any", "grain"],
        observed=[1, 1, 0, 1, 1],
        source=["dic", "A", "B", "A", "A"],
    )
    candidates = pd.DataFrame({"trace_id": [], "mechanism": [], "probability": []})
    every = pd.concat([labels, more])
    assert found.count_footprints(labels, candidates) == 2
    assert found.count_footprints(labels, candidates, reports=every) == 4  # a family and a twin more


def test_steps_that_need_footprints_are_left_out_without(described, output):
    dataset = cpml.load_dataset(described())
    step = steps.read_step(paths.notebooks() / "05_evaluation.ipynb")
    assert steps.lacking(step, dataset) == ""
    assert "fewer than 10 footprints" in steps.lacking(step, dataset, found=True)
    folder = paths.derived("tiny")
    folder.mkdir(parents=True)
    grains = pd.DataFrame({"grain_id": range(1, 13), "phase_name": ["Magnesium"] * 11 + ["Ore"]})
    labels = grains.assign(mechanism="twin", observed=1.0)
    empty = pd.DataFrame({"grain_id": [], "trace_id": [], "mechanism": [], "probability": []})
    for name, table in {"grains": grains, "labels": labels, "candidates": empty}.items():
        table.to_parquet(folder / f"{name}.parquet")
    assert steps.lacking(step, dataset, found=True) == ""
    labels[2:].to_parquet(folder / "labels.parquet")  # 9 in magnesium, 1 in the ore
    assert "fewer than 10 footprints" in steps.lacking(step, dataset, found=True)


TOKENS = pd.DataFrame(
    {
        "grain_id": [1, 1, 1, 2, 2, 2],
        "mechanism": ["slip", "slip", "twin"] * 2,
        "family": ["basal", "basal", "twin_1012"] * 2,
        "share": [0.3, 0.3, 0.4, 0.1, 0.1, 0.8],
    }
)
LEVELS = pd.DataFrame(
    {
        "grain_id": [1, 1, 2, 2],
        "mechanism": ["slip", "twin"] * 2,
        "level": "family",
        "family": ["basal", "twin_1012"] * 2,
        "p": [0.97, 0.6, 0.2, 0.95],
    }
)


def test_the_most_used_mechanism_of_each_grain():
    """Shares are summed over the planes of a family; the probability is that of the family."""
    first = findings.leading(TOKENS, LEVELS)
    assert first["family"].to_dict() == {1: "basal", 2: "twin_1012"}
    assert first["share"].tolist() == [0.6, 0.8] and first["p"].tolist() == [0.97, 0.95]
    table = findings.mechanism_table(TOKENS, LEVELS)
    assert table["mechanism"].tolist() == ["basal slip", "{10-12} twinning"]
    assert table["mean share of the shear"].tolist() == ["40 %", "60 %"]
    told = findings.mechanisms(TOKENS, LEVELS, n_footprints=40)
    assert "Of 2 grains" in told and "in 2 of them" in told and "**" not in told
    assert findings.mechanisms(TOKENS, LEVELS, n_footprints=3).startswith("**3 footprints")
    assert "they were not learned" in told
    taught = findings.mechanisms(TOKENS, LEVELS, n_footprints=40, taught=["cross_slip"])
    assert "Labels taught the law of cross-slip" in taught and "not learned" not in taught


def test_a_value_of_the_literature_is_never_called_learned():
    rows = {"family": ["basal", "prismatic", "twin_1012"], "reference": "basal", "ratio": [1, 2.7, 1.7]}
    rows |= {"ratio_low": 1.0, "ratio_high": 3.0, "prior_ratio": 4.0, "prior_low": 1.0, "prior_high": 9.0}
    strengths = pd.DataFrame(rows).assign(by_data=[float("nan"), 0.9, 0.1])
    column = "learned from this map [90 %]"
    told = findings.strength_table(strengths, n_footprints=50)
    assert told[column].tolist() == ["2.7 [1, 3]", "**not learned**"]
    assert findings.strength_table(strengths, n_footprints=9)[column].tolist() == ["**not learned**"] * 2


def test_the_comparison_names_the_best_other_and_says_level():
    scores = pd.DataFrame(
        [("slip", "coupled", 0.5), ("slip", "schmid", 0.2), ("slip", "stacking", 0.49)],
        columns=["mechanism", "model", "value"],
    ).assign(metric="pr_auc", low=0.4, high=0.6, n_positive=30, prevalence=0.1)
    gaps = pd.DataFrame(
        {"mechanism": "slip", "model": ["schmid", "stacking"], "metric": "pr_auc"}
        | {"difference": [-0.3, -0.01], "low": [-0.4, -0.05], "high": [-0.2, 0.03]}
    )
    row = findings.comparison_table(scores, gaps).iloc[0]
    assert row["best other"] == "0.49, stacking" and row["verdict"] == "level"
    assert row["coupled minus best other [90 %]"] == "+0.01 [-0.03, +0.05]"
    assert row["ranked"] == "over all targets" and row["share per family"] == "0.10"
    shares = scores.iloc[:1].assign(model="family_share", value=0.3, low=0.2, high=0.4)
    within = pd.concat([scores, shares]).assign(metric="pr_auc_within", n_families=2)
    of_all = pd.concat([scores.assign(value=0.9), within])
    row = findings.comparison_table(of_all, gaps.assign(metric="pr_auc_within")).iloc[0]
    assert row["ranked"] == "inside 2 families" and row["share per family"] == "0.30"
    assert row["coupled model, PR-AUC [90 %]"] == "0.50 [0.40, 0.60]" and row["verdict"] == "level"
    few = findings.comparison_table(scores.assign(n_positive=4), gaps).iloc[0]
    assert "too few to rank" in few["coupled model, PR-AUC [90 %]"]
    grains = pd.DataFrame({"grain_id": [1, 2], "block": [0, 1], "fold": [0, 1]})
    told = findings.partition(evaluation.Splits(grains, None, 0))
    assert "2 blocks and 2 folds" in told


def test_runs_with_other_seeds_stand_beside_each_other(described):
    """One partition says little: the page of every run counts the verdicts of all."""
    path = described()
    executed("01_ingestion")
    columns = ["held-out footprints of", "verdict"]
    for run, verdict in {"tiny": "better", "tiny@seed-1": "level", "tiny@seed-2": "**behind**"}.items():
        table = pd.DataFrame([["slip (30)", verdict]], columns=columns)
        address = str(path) + run.removeprefix("tiny")
        step = cpml.Run("05_evaluation", {"dataset": address})
        step.tell("comparison", "One partition.", table)
        step.answer("Done.")
    told = said(page_of(path), "comparison")
    assert "All 3 runs of this data set, 3 comparisons: 1 better, 1 level, 1 behind." in told
    assert "tiny@seed-2" in told


def test_first_choices_are_held_against_what_was_seen():
    """Three cube crystals with one choice each, and the trace of that plane as a line on the map."""
    law = systems("fcc", families=["octahedral"])
    specimen = SimpleNamespace(
        grains=pd.DataFrame(
            {"grain_id": [1, 2, 3], "x_um": [0.0, 5, 9], "y_um": 0.0, "equivalent_diameter_um": 10.0}
        ),
        quaternions=np.array([[1.0, 0, 0, 0]] * 3),
        systems=law,
        labels=pd.DataFrame({"grain_id": [1, 2], "target": law.plane_names[0], "observed": [1.0, 0.0]}),
        candidates=pd.DataFrame({"grain_id": [3], "target": law.plane_names[0], "probability": [0.5]}),
        position=lambda ids: np.asarray(ids) - 1,
    )
    held_out = pd.DataFrame(
        {"grain_id": [1, 1, 2, 3], "target": [law.plane_names[k] for k in (0, 1, 0, 0)]}
        | {"p": [0.6, 0.4, 0.5, 0.5], "model": "coupled", "mechanism": "slip"}
    )
    choices = findings.first_choices(held_out, specimen)
    assert choices["state"].tolist() == ["seen", "not seen", "fits a line"]
    expected = slip_traces([[1, 0, 0, 0]], law).angle_deg[0, 0]
    assert choices["angle_deg"].tolist() == pytest.approx([expected] * 3)
    ends = choices[["x0_um", "y0_um", "x1_um", "y1_um"]].to_numpy()
    angle = np.degrees(np.arctan2(ends[:, 1] - ends[:, 3], ends[:, 2] - ends[:, 0])) % 180
    assert angle == pytest.approx(choices["angle_deg"]), "y points down on the map"
    assert np.hypot(*(ends[:, 2:] - ends[:, :2]).T) == pytest.approx(8.0)
    assert "2 grains only: too few" in findings.agreeing(choices)
    many = pd.concat([choices] * 6)
    assert "in 6 of 12 grains where one can tell. In 6 more" in findings.agreeing(many)


def test_numbers_have_words():
    told = numbers.explained(
        {
            "indexed_share": 0.5,
            "strength_scale_low": 0.7,
            "strength_scale_value": 0.8,
            "strength_scale_high": 0.9,
            "slip_coupled_pr_auc": 0.5,
            "slip_coupled_pr_auc_low": 0.4,
            "slip_coupled_pr_auc_high": 0.6,
            "ratio_basal_of_ore": None,
            "unheard_of": 1,
        }
    )
    assert [(n.name, n.text) for n in told] == [
        ("Indexed points", "0.5"),
        ("Scale by the curve", "0.8 [0.7, 0.9]"),
        ("slip, coupled: PR-AUC", "0.5 [0.4, 0.6]"),
        ("Strength ratio, basal (ore)", "–"),
        ("unheard_of", "1"),
    ]
    assert [numbers.is_known(n.key) for n in told] == [True] * 4 + [False]


def test_every_number_that_a_notebook_names_has_words():
    """Names in `run.save` and `run.note`, where they are plain words."""
    unknown = {}
    for step in [*steps.discover(), steps.comparison()]:
        for call in re.findall(
            r"run\.(?:save|note)\(((?:[^()]|\([^()]*\)|\((?:[^()]|\([^()]*\))*\))*)\)", step.code
        ):
            names = re.findall(r"^\s*(\w+)=|[(,] ?(\w+)=", f"({call}", flags=re.MULTILINE)
            for name in filter(None, (a or b for a, b in names)):
                if name not in ("topic", "prefix") and not numbers.is_known(name):
                    unknown.setdefault(step.name, []).append(name)
    assert unknown == {}


def test_without_a_browser_the_pdf_is_refused_with_a_remedy(described, monkeypatch):
    executed("01_ingestion")
    index = write_index(str(described()))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CpmlError, match=r"install Chromium, or open .*index\.html"):
        write_pdf(index)
    assert not index.with_name("report.pdf").exists()
