"""Run: artefacts come back as they were written, every name and number is checked, bytes repeat."""

import json

import numpy as np
import pandas as pd
import pytest

import cpml
from cpml.errors import CpmlError, ParameterError


@pytest.fixture
def run(describe, output):
    return cpml.Run("02_features", dataset=describe())


def test_tables_come_back(run):
    table = pd.DataFrame({"grain_id": [1, 2], "x_um": [0.5, np.nan], "phase": ["a", "b"]})
    run.write("grains", table)
    pd.testing.assert_frame_equal(run.read("grains"), table)


def test_arrays_numbers_and_texts_come_back(run):
    content = {
        "stress": np.eye(3),
        "names": np.array(["é", "b"]),
        "ids": np.arange(4),
        "n": 5,
        "x": 0.5,
        "note": "hi",
    }
    run.write("cp_extra", content)
    back = run.read("cp_extra")
    assert {key: back[key] for key in ("n", "x", "note")} == {"n": 5, "x": 0.5, "note": "hi"}
    for key in ("stress", "names", "ids"):
        np.testing.assert_array_equal(back[key], content[key])


def test_equal_content_is_equal_bytes(run):
    first = [
        run.write(n, c).read_bytes()
        for n, c in (("a", {"x": np.arange(9.0)}), ("b", pd.DataFrame({"x": [1]})))
    ]
    again = [
        run.write(n, c).read_bytes()
        for n, c in (("a", {"x": np.arange(9.0)}), ("b", pd.DataFrame({"x": [1]})))
    ]
    assert first == again


def test_a_failed_write_leaves_the_old_artefact_and_no_other_file(run):
    run.write("cp_extra", {"x": np.arange(3)})
    before = run.path("cp_extra.h5").read_bytes()
    with pytest.raises(ParameterError, match="neither numbers nor text"):
        run.write("cp_extra", {"x": np.arange(4), "y": object()})
    assert run.path("cp_extra.h5").read_bytes() == before
    assert [path.name for path in run.derived.iterdir()] == ["cp_extra.h5"]


def test_a_missing_artefact_names_the_notebook_to_run(run):
    message = "dataset 'tiny' has no 'grains': run notebooks/02_features.ipynb first"
    with pytest.raises(CpmlError, match=message):
        run.read("grains")
    with pytest.raises(CpmlError, match=r"run notebooks/01_ingestion.ipynb first"):
        run.path("map.h5")
    run.write("grains", pd.DataFrame({"x": [1]}))
    with pytest.raises(CpmlError, match="did you mean 'grains'"):
        run.read("grians")


def test_a_damaged_artefact_says_so(run):
    (run.derived / "grains.parquet").write_text("no parquet")
    with pytest.raises(CpmlError, match="delete it and run its notebook again"):
        run.read("grains")
    (run.derived / "arrays.h5").write_text("no hdf5")
    with pytest.raises(CpmlError, match="delete it and run its notebook again"):
        run.read("arrays")


@pytest.mark.parametrize("name", ["../x", "a/b", "", "a b", ".x"])
def test_artefact_names_cannot_leave_their_folder(run, name):
    with pytest.raises(CpmlError):
        run.write(name, {"x": np.arange(2)})
    with pytest.raises(CpmlError):
        run.path(name)


def test_metrics_of_all_steps_are_merged_and_missing_ones_are_null(run, capsys):
    run.save(n_grains=np.int64(12), gos_deg=np.float64(0.5), undefined=float("nan"))
    cpml.Run("03_cp_baseline", dataset=run.dataset.path).save(taylor_factor=3.06)
    merged = json.loads((run.reports / "metrics.json").read_text())
    assert merged == {"n_grains": 12, "gos_deg": 0.5, "undefined": None, "taylor_factor": 3.06}
    assert capsys.readouterr().out.splitlines()[0] == "02_features of 'tiny': 3 metrics saved"


def test_metrics_are_numbers_with_names_of_their_own(run):
    with pytest.raises(ParameterError, match="metric 'title'"):
        run.save(title="text")
    run.save(n=1)
    with pytest.raises(ParameterError, match="metric 'n' is written by"):
        cpml.Run("03_cp_baseline", dataset=run.dataset.path).save(n=2)


def test_tables_for_people_are_escaped_latex_and_full_csv(run):
    shown = run.table(
        pd.DataFrame({"gos_deg": [0.123456], "name": ["50 % {10-12}"]}), "twins", "100 % of twins"
    )
    assert shown.gos_deg.iloc[0] == 0.123
    latex = (run.reports / "tables" / "02_twins.tex").read_text()
    assert r"gos\_deg" in latex and r"50 \% \{10-12\}" in latex and r"\caption{100 \% of twins}" in latex
    assert "0.123456" in (run.reports / "tables" / "02_twins.csv").read_text()


def test_figures_repeat_byte_for_byte(run):
    import matplotlib.pyplot as plt

    def draw():
        fig, ax = plt.subplots(figsize=(2, 1))
        ax.plot([0, 1], [0, 1])
        assert run.show(fig, "line") is None
        plt.close(fig)
        return [
            (run.reports / "figures" / f"02_line{suffix}").read_bytes()
            for suffix in (".pdf", ".png", ".json")
        ]

    assert draw() == draw()
    assert json.loads(draw()[2])["caption"] == "measured data"


def test_a_step_has_the_name_of_a_notebook(describe):
    with pytest.raises(ParameterError, match="not a notebook name"):
        cpml.Run("features", dataset=describe())


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "0", True, None])
def test_a_seed_is_a_small_integer(seed):
    with pytest.raises(ParameterError, match="seed"):
        cpml.setup(seed)


def test_setup_repeats_random_numbers():
    cpml.setup(7)
    first = np.random.rand(3)
    cpml.setup(7)
    np.testing.assert_array_equal(np.random.rand(3), first)
