"""The runner on two toy notebooks: what runs, what is skipped, and what a failure leaves behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest

import cpml
from cpml import pipeline
from cpml.errors import CpmlError, ParameterError
from cpml.pipeline import steps
from cpml.pipeline.report import page as report
from support.toy import DEFAULTS, FAIL, MAKE, USE, hidden_files, notebook, ran

pytestmark = pytest.mark.slow


def test_chain_runs_once_and_again_only_what_changed(toy, output, capsys):
    index = pipeline.run_dataset("tiny")
    assert ran(capsys.readouterr().out) == {"01_make": True, "02_use": True}
    assert index == output / "reports" / "tiny" / "index.html"
    assert index.is_file() and not hidden_files(output)

    pipeline.run_dataset("tiny")
    assert ran(capsys.readouterr().out) == {"01_make": False, "02_use": False}

    notebook(toy / "notebooks" / "02_use.ipynb", DEFAULTS.replace("offset = 0.0", "offset = 2.0"), USE, FAIL)
    pipeline.run_dataset("tiny")
    assert ran(capsys.readouterr().out) == {"01_make": False, "02_use": True}
    assert cpml.Run("02_use", {"dataset": "tiny"}).read("result").x.tolist() == [3.0] * 3

    # another value of scale that makes the same artefacts: the step runs, those after it need not
    notebook(toy / "notebooks" / "01_make.ipynb", 'dataset = "tiny"\nscale = 1.2', MAKE)
    pipeline.run_dataset("tiny")
    assert ran(capsys.readouterr().out) == {"01_make": True, "02_use": False}

    (toy / "data" / "tiny" / "map.ctf").write_text("another map")
    pipeline.run_dataset("tiny")
    assert ran(capsys.readouterr().out) == {"01_make": True, "02_use": True}

    (output / "data" / "derived" / "tiny" / "result.parquet").unlink()
    pipeline.run_dataset("tiny")
    assert ran(capsys.readouterr().out) == {"01_make": False, "02_use": True}


MEET = """
import time
run.write({mine!r}, {{"x": 1}})
for _ in range(600):
    if run.has({other!r}): break
    time.sleep(0.1)
run.read({other!r})
"""


def test_steps_that_do_not_read_each_other_run_beside_each_other(toy, capsys):
    """Two notebooks that each wait for a file of the other end only if both run; the third waits for both."""
    for name, mine, other in (("01_make", "left", "right"), ("02_use", "right", "left")):
        cell = MEET.format(mine=mine, other=other).replace(f"run.read({other!r})", "")
        says = f"**Reads** nothing. **Writes** `{mine}`."
        notebook(toy / "notebooks" / f"{name}.ipynb", 'dataset = "tiny"', cell, says=says)
    says, cell = (
        "**Reads** `left`, `right`. **Writes** `sum`.",
        "run.write('sum', {'x': run.read('left')['x']})",
    )
    notebook(toy / "notebooks" / "03_sum.ipynb", 'dataset = "tiny"', cell + "\nrun.read('right')", says=says)
    pipeline.run_dataset("tiny", jobs=2)
    assert list(ran(capsys.readouterr().out))[-1] == "03_sum"
    record = json.loads((cpml.paths.reports("tiny") / "provenance.json").read_text())["steps"]
    assert {"derived/left.h5", "derived/right.h5"} <= set(record["03_sum"]["inputs"])
    assert set(record["01_make"]["artefacts"]) == {"derived/left.h5", "reports/01_make.ipynb"}
    assert not any(name.startswith("derived/") for name in record["02_use"]["inputs"])


@pytest.mark.skipif(os.name == "nt", reason="sends the interrupt of a POSIX terminal")
def test_an_interrupted_chain_leaves_nothing_half_done(toy, output):
    """Ctrl-C reaches a terminal's whole group: the command ends soon, without temporary files or kernels."""
    notebook(toy / "notebooks" / "01_make.ipynb", 'dataset = "tiny"', "import time\ntime.sleep(300)")
    code = "from cpml import pipeline; pipeline.run_dataset('tiny', jobs=2)"
    command = subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stderr=subprocess.DEVNULL
    )
    folder = output / "reports" / "tiny"
    for _ in range(600):
        if hidden_files(output) and any(folder.glob(".01_make.*.part.ipynb")):
            break
        time.sleep(0.1)
    os.killpg(command.pid, signal.SIGINT)
    assert command.wait(60) != 0
    assert not hidden_files(output) and not (folder / "index.html").exists()


def test_a_notebook_that_reads_what_it_does_not_say_stops_the_chain(toy, output):
    """Its place in the order, and its key, would be wrong."""
    says = "**Reads** nothing. **Writes** `result`."
    notebook(toy / "notebooks" / "02_use.ipynb", 'dataset = "tiny"\noffset = 0.0', USE, says=says)
    with pytest.raises(ParameterError, match=r"02_use\.ipynb.*names 'values'; add it after \*\*Reads\*\*"):
        pipeline.run_dataset("tiny")
    assert not output.exists()


def test_what_a_step_wrote_goes_when_the_data_set_no_longer_feeds_it(toy, output, describe):
    """A table of a field that is no longer declared must not be read by later notebooks."""
    notebook(toy / "notebooks" / "01_make.ipynb", 'dataset = "tiny"\nscale = 1.0', MAKE, needs=["load"])
    pipeline.run_dataset("tiny", steps=["01_make"])
    assert (output / "data" / "derived" / "tiny" / "values.parquet").is_file()
    describe(toy / "data" / "tiny", load="unknown")
    with pytest.raises(CpmlError, match="no 'values'"):
        pipeline.run_dataset("tiny")
    assert not (output / "data" / "derived" / "tiny" / "values.parquet").exists()


def test_steps_are_left_out_where_the_data_set_lacks_what_they_are_about(toy, describe, capsys):
    """Images without a map run 00 alone; a map without a load stops after 02; without images: no 00."""
    notebook(toy / "notebooks" / "00_images.ipynb", 'dataset = "tiny"', "print(1)", needs=["images"])
    notebook(toy / "notebooks" / "03_law.ipynb", 'dataset = "tiny"', "print(1)", needs=["map", "load"])
    describe(toy / "data" / "tiny", files={"images": ["map.ctf"]}, phases=None, load="unknown")
    assert pipeline.run_dataset("tiny").is_file()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("tiny 00_images") and lines[:-2] == [
        "tiny 01_make left out: no EBSD map",
        "tiny 02_use left out: no EBSD map",
        "tiny 03_law left out: no EBSD map; the load is unknown",
    ]
    describe(toy / "data" / "tiny", load="unknown")
    pipeline.run_dataset("tiny")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["tiny 00_images left out: no images", "tiny 03_law left out: the load is unknown"]


def test_cells_that_a_data_set_cannot_feed_are_left_out(toy, output, describe):
    """A cell tagged needs-dic is not in the executed notebook of a map alone; the notebook keeps it."""
    cells = [("needs-dic", "raise KeyError('no field')"), ("needs-load", "run.write('told', {'x': 1})")]
    notebook(toy / "notebooks" / "01_make.ipynb", 'dataset = "tiny"\nscale = 1.0', MAKE, tagged=cells)
    pipeline.run_dataset("tiny")
    executed = nbformat.read(output / "reports" / "tiny" / "01_make.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in executed.cells)
    assert "told" in text and "no field" not in text
    assert "no field" in (toy / "notebooks" / "01_make.ipynb").read_text()


def test_a_need_that_is_no_word_is_an_error(toy):
    notebook(toy / "notebooks" / "01_make.ipynb", 'dataset = "tiny"', MAKE, tagged=[("needs-luck", "1")])
    with pytest.raises(ParameterError, match="it needs 'luck'; the words are map, images"):
        steps.discover()


def test_provenance_and_report_tell_where_a_result_comes_from(toy, output):
    pipeline.run_dataset("tiny", parameters={"scale": 3})
    folder = output / "reports" / "tiny@scale-3.0"
    step = json.loads((folder / "provenance.json").read_text())["steps"]["02_use"]
    assert step["parameters"] == {"dataset": "tiny@scale-3.0"}
    assert set(step["artefacts"]) == {
        "derived/result.parquet",
        "reports/02_use.ipynb",
        "reports/figures/02_empty.json",
        "reports/figures/02_empty.pdf",
        "reports/figures/02_empty.png",
        "reports/tables/02_values.csv",
        "reports/tables/02_values.tex",
    }
    assert {"raw/dataset.yml", "raw/ebsd: map.ctf", "derived/values.parquet", "package"} <= set(
        step["inputs"]
    )
    assert step["packages"]["numpy"] and step["duration_s"] > 0 and step["started"].endswith("+00:00")

    page = (folder / "index.html").read_text()
    assert "Measured data" in page and "tension || x" in page and "n_values" in page
    assert "Chapter 01_make" in page and 'href="tables/02_values.csv"' in page
    assert "<table" in page and "<h1" in page and "3.0</td>" in page
    assert "<script" not in page and "alert(2)" not in page and "Tiny &lt;script&gt;" in page
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//""", page)
    assert page.count('src="data:image/png;base64,') == 1, "the figure is embedded"
    assert "run.write" not in page, "the inputs are hidden"

    (folder / "index.html").unlink()
    assert report.write_index("tiny@scale-3.0").read_text() == page


def test_a_failing_cell_leaves_nothing_half_done_and_the_next_run_recovers(toy, output, capsys):
    """The last good page stays and says what happened; one with other parameters touches it not at all."""
    index = pipeline.run_dataset("tiny")
    good = index.read_bytes()
    with pytest.raises(
        CpmlError,
        match=r"'tiny@fail-true', notebooks/02_use.ipynb, cell 5: KeyError: 'lost' \(line 1: if fail: raise",
    ):
        pipeline.run_dataset("tiny", parameters={"fail": "true"})
    assert index.read_bytes() == good

    where = toy / "notebooks" / "02_use.ipynb"
    notebook(where, DEFAULTS.replace("complain = False", "complain = True"), USE, FAIL)
    with pytest.raises(CpmlError, match=r"cell 5: CpmlError: map.ctf: line 3 is odd: repair it$"):
        pipeline.run_dataset("tiny")
    folder = output / "reports" / "tiny"
    assert not hidden_files(output)
    assert list(json.loads((folder / "provenance.json").read_text())["steps"]) == ["01_make"]
    page = index.read_text()
    assert "This run stopped at 02_use: " in page and "Chapters below may be older." in page
    assert "Chapter 02_use" in page
    capsys.readouterr()
    notebook(where, DEFAULTS, USE, FAIL)
    assert "This run" not in pipeline.run_dataset("tiny").read_text()
    assert ran(capsys.readouterr().out) == {"01_make": False, "02_use": True}


def test_a_kernel_that_dies_is_one_message(toy, output):
    notebook(toy / "notebooks" / "02_use.ipynb", 'dataset = "tiny"', "import os\nos._exit(1)")
    with pytest.raises(CpmlError, match=r"notebooks/02_use.ipynb: the kernel died"):
        pipeline.run_dataset("tiny")
    assert not hidden_files(output)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"ofset": 1}, "did you mean 'offset'"),
        ({"dataset": "other"}, "no notebook has a parameter 'dataset'"),
        ({"offset": "much"}, "not of type float"),
        ({"fail": 1}, "not of type bool"),
        ({"scale": True}, "not of type float"),
        ({"scale": "[1"}, "cannot be read"),
    ],
)
def test_a_wrong_parameter_stops_before_anything_runs(toy, output, parameters, words):
    with pytest.raises(ParameterError) as caught:
        pipeline.run_dataset("tiny", parameters=parameters)
    assert words in str(caught.value)
    assert not output.exists()


def test_a_step_alone_and_a_step_that_is_none(toy, output, capsys):
    told = "02_use reads what 01_make writes, which has not been run: .* run --dataset tiny --until 01$"
    with pytest.raises(CpmlError, match=told):
        pipeline.run_dataset("tiny", steps=["02_use"])
    pipeline.run_dataset("tiny", steps=["01_make"])
    assert ran(capsys.readouterr().out) == {"01_make": True}
    with pytest.raises(ParameterError, match="no step '03_none'"):
        pipeline.run_dataset("tiny", steps=["03_none"])


@pytest.mark.parametrize(
    ("source", "tags", "words"),
    [
        ('dataset = "tiny"', (), "0 cells are tagged"),
        ("scale = 1.0", ("parameters",), "has no 'dataset'"),
        ('dataset = "tiny"\ntwice = 2 * 3', ("parameters",), "not plain literals"),
        ('dataset = "tiny"\nimport os', ("parameters",), "not plain literals"),
        ('dataset = "tiny', ("parameters",), "not plain literals"),
    ],
)
def test_a_notebook_without_a_plain_parameters_cell_is_no_step(toy, source, tags, words):
    notebook(toy / "notebooks" / "03_wrong.ipynb", source, tags=tags)
    with pytest.raises(ParameterError, match=r"03_wrong\.ipynb") as caught:
        steps.discover()
    assert words in str(caught.value)


def test_an_own_data_set_by_its_path_and_stale_artefacts(toy, output, describe, tmp_path, capsys):
    """A data set outside data/ runs by its path; what a changed notebook no longer writes disappears."""
    path = describe(tmp_path / "my maps", name="mine")
    pipeline.run_dataset(path)
    derived = output / "data" / "derived" / "mine"
    assert sorted(p.name for p in derived.glob("*.parquet")) == ["result.parquet", "values.parquet"]
    notebook(
        toy / "notebooks" / "02_use.ipynb",
        'dataset = "tiny"',
        USE.replace("offset", "1").replace('"result"', '"other"'),
    )
    pipeline.run_dataset(path)
    assert sorted(p.name for p in derived.glob("*.parquet")) == ["other.parquet", "values.parquet"]


def test_batch_runs_the_others_when_one_fails(toy, output, describe):
    describe(toy / "data" / "second", name="second", phases=[])
    errors = pipeline.run_batch(["tiny", "second"], jobs=2)
    assert list(errors) == ["second"] and "phases" in errors["second"]
    assert (output / "reports" / "tiny" / "index.html").is_file()


def test_the_command_prints_one_line_for_a_mistake(tmp_path):
    """`tasks.py run` ends a user's mistake with 'error: ...' and exit code 1, without a traceback."""
    command = [sys.executable, "-m", "invoke", "--search-root", str(cpml.paths.PACKAGE.parent), "run"]
    environment = os.environ | {"CPML_OUTPUT": str(tmp_path)}
    done = subprocess.run(
        [*command, "--dataset", "nosuch"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: no data set 'nosuch'") and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("direction", "w", "choose one of x, y, z"),
        ("scheme", "tailor", "did you mean 'taylor'"),
        ("n_folds", 1, "not from 2 to 100"),
        ("dic_noise", 0.0, "not from 1e-06 to 1"),
        ("phase", "Nickle", "no modelled phase 'Nickle'"),
    ],
)
def test_values_out_of_their_range_stop_before_the_first_notebook(tiny_demo, output, name, value, told):
    """What the comment behind a parameter does not allow is an error, before anything is written."""
    with pytest.raises(ParameterError, match=re.escape(told)):
        pipeline.run_dataset(tiny_demo, parameters={name: value})
    assert not (output / "reports").exists()
