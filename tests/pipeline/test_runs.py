"""Run: artefacts come back as they were written, every name and number is checked, bytes repeat."""

import json

import numpy as np
import pandas as pd
import pytest

import cpml
from cpml.errors import CpmlError, ParameterError


@pytest.fixture
def run(describe, output):
    return cpml.Run("02a_grains", {"dataset": describe(), "seed": 3, "other": object()})


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
    def written():
        run.write("a", {"x": np.arange(9.0)})
        run.write("b", pd.DataFrame({"x": [1]}))
        return [(run.derived / name).read_bytes() for name in ("a.h5", "b.parquet")]

    assert written() == written()


def test_a_failed_write_leaves_the_old_artefact_and_no_other_file(run):
    run.write("cp_extra", {"x": np.arange(3)})
    before = run.path("cp_extra.h5").read_bytes()
    with pytest.raises(ParameterError, match="neither numbers nor text"):
        run.write("cp_extra", {"x": np.arange(4), "y": object()})
    assert run.path("cp_extra.h5").read_bytes() == before
    assert [path.name for path in run.derived.iterdir()] == ["cp_extra.h5"]


def test_a_missing_artefact_names_the_notebook_to_run(run):
    message = "dataset 'tiny' has no 'grains': run notebooks/02a_grains.ipynb first"
    with pytest.raises(CpmlError, match=message):
        run.read("grains")
    command = rf"python3 tasks.py run --dataset {run.address} --until 01$"
    with pytest.raises(CpmlError, match=rf"run notebooks/01_ingestion.ipynb first, or .*: {command}"):
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
    cpml.Run("03_cp_baseline", {"dataset": run.dataset.path}).save(taylor_factor=3.06)
    merged = json.loads((run.reports / "metrics.json").read_text())
    assert merged == {"n_grains": 12, "gos_deg": 0.5, "undefined": None, "taylor_factor": 3.06}
    assert capsys.readouterr().out.splitlines()[0] == "02a_grains of 'tiny': 3 metrics saved"


def test_metrics_are_numbers_with_names_of_their_own(run):
    with pytest.raises(ParameterError, match="metric 'title'"):
        run.save(title="text")
    run.save(n=1)
    with pytest.raises(ParameterError, match="metric 'n' is written by"):
        cpml.Run("03_cp_baseline", {"dataset": run.dataset.path}).save(n=2)


def test_tables_for_people_are_escaped_latex_and_full_csv(run, capsys):
    frame = pd.DataFrame({"gos_deg": [0.123456], "name": ["50 % {10-12}"]})
    run.table(frame, "twins", "100 % of twins")
    assert "0.123 " in capsys.readouterr().out
    latex = (run.reports / "tables" / "02a_twins.tex").read_text()
    assert r"gos\_deg" in latex and r"50 \% \{10-12\}" in latex and r"\caption{100 \% of twins (" in latex
    assert "0.123456" in (run.reports / "tables" / "02a_twins.csv").read_text()


def test_figures_repeat_byte_for_byte(run):
    import matplotlib.pyplot as plt

    def draw():
        fig, ax = plt.subplots(figsize=(2, 1))
        ax.plot([0, 1], [0, 1])
        assert run.show(fig, "line") is None
        plt.close(fig)
        return [
            (run.reports / "figures" / f"02a_line{suffix}").read_bytes()
            for suffix in (".pdf", ".png", ".json")
        ]

    assert draw() == draw()
    sidecar = json.loads(draw()[2])
    assert sidecar["caption"] == "measured data"
    # what the notebook declares, with the values that it was given; nothing else of its names
    assert sidecar["parameters"] == {"seed": 3}


def test_a_figure_of_nothing_is_one_line(run, capsys):
    run.show(None, "twin_map")
    assert capsys.readouterr().out == "nothing to draw here (twin_map)\n"
    assert not (run.reports / "figures").exists()


def test_the_answer_is_what_the_sections_found(run, capsys):
    """Sentences and numbers noted on the way are in the answer and in the metrics;
    question and title come along.
    """
    run.note("Two grains are twins.", n_twins=2)
    run.note(n_checked=np.int64(5))
    run.save(n_grains=7)
    run.answer("Seven grains.", "")
    stored = json.loads((run.reports / "answers" / "02a_grains.json").read_text())
    assert stored["answer"] == "Seven grains. Two grains are twins."
    assert stored["question"].startswith("Where do grains begin") and stored["title"].startswith("02a Grains")
    metrics = json.loads((run.reports / "metrics.json").read_text())
    assert metrics == {"n_twins": 2, "n_checked": 5, "n_grains": 7}
    assert capsys.readouterr().out.splitlines()[-1] == stored["answer"]


def test_tables_that_no_notebook_wrote_are_left_out(run):
    """Rows of those that are there, in the order of the names; an empty table of one written empty."""
    first, second = pd.DataFrame({"x": [1]}), pd.DataFrame({"x": [2]})
    run.write("second", second)
    run.write("first", first)
    assert run.read_all("first", "absent", "second")["x"].tolist() == [1, 2]
    assert run.read_all("absent").empty


def test_labels_of_a_source_come_back_or_are_empty(run):
    from cpml.microscopy import Labels, label_rows

    empty = run.read_labels("direction")
    found = Labels(label_rows([1], ["a"], observed=1.0), empty.traces, empty.candidates)
    run.write_labels("direction", found)
    pd.testing.assert_frame_equal(run.read_labels("direction").labels, found.labels)
    assert empty.labels.empty and list(empty.labels) == list(found.labels)


def test_a_step_has_the_name_of_a_notebook(describe):
    with pytest.raises(ParameterError, match="not a notebook of"):
        cpml.Run("features", {"dataset": describe()})


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "0", True, None])
def test_a_seed_is_a_small_integer(seed):
    with pytest.raises(ParameterError, match="seed"):
        cpml.setup(seed)


def test_setup_repeats_random_numbers():
    cpml.setup(7)
    first = np.random.rand(3)
    cpml.setup(7)
    np.testing.assert_array_equal(np.random.rand(3), first)


def test_a_sheet_is_whole_and_belongs_to_its_notebook(run):
    """tables/grains.csv: every row and digit, no LaTeX; the notebook that names `grains` owns it."""
    from cpml.pipeline import steps

    table = pd.DataFrame({"grain_id": [1, 2], "x_um": [1 / 3, np.nan]})
    path = run.sheet(table, "grains")
    assert (
        path == run.reports / "tables" / "grains.csv"
        and path.read_text() == "grain_id,x_um\n1,0.3333333333333333\n2,\n"
    )
    assert [p.name for p in path.parent.iterdir()] == ["grains.csv"]
    assert run.table_file("odf.txt") == run.reports / "tables" / "02a_odf.txt"
    chain = steps.discover()
    owners = [step.name for step in chain if step.owns("reports/tables/grains.csv", chain)]
    assert owners == ["02a_grains"]
    assert not any(step.owns("reports/tables/strangers.csv", chain) for step in chain)
    with pytest.raises(CpmlError, match="table"):
        run.sheet(table, "../grains")


def damages(folder):
    """Name -> what a file of arrays may have become."""
    import h5py

    with h5py.File(folder / "other.h5", "w") as file:
        file["x"] = np.zeros(3)
    virtual = h5py.VirtualLayout(shape=(3,), dtype="f8")
    virtual[:] = h5py.VirtualSource(str(folder / "other.h5"), "x", shape=(3,))
    return {
        "group": lambda f: f.create_group("y/z"),
        "link": lambda f: f.__setitem__("y", h5py.ExternalLink(str(folder / "other.h5"), "x")),
        "soft link": lambda f: f.__setitem__("y", h5py.SoftLink("/nowhere")),
        "virtual": lambda f: f.create_virtual_dataset("y", virtual),
        "never written": lambda f: f.create_dataset("y", shape=(2**40,), dtype="f8"),
        "packed": lambda f: f.create_dataset("y", data=np.zeros(10**6), compression="gzip"),
        "records": lambda f: f.create_dataset("y", data=np.zeros(3, [("a", "f8")])),
        "attribute": lambda f: f.attrs.__setitem__("y", np.arange(3)),
        "empty": lambda f: f.attrs.__setitem__("y", h5py.Empty("f8")),
    }


@pytest.mark.parametrize(
    "name",
    ["group", "link", "soft link", "virtual", "never written", "packed", "records", "attribute", "empty"],
)
def test_arrays_that_a_file_does_not_hold_are_refused(run, tmp_path, name):
    import h5py

    run.write("arrays", {"x": np.arange(3)})
    with h5py.File(run.path("arrays.h5"), "a") as file:
        damages(tmp_path)[name](file)
    with pytest.raises(
        CpmlError, match=r"arrays\.h5: not a readable file of arrays \('y'.*delete it and run"
    ):
        run.read("arrays")
