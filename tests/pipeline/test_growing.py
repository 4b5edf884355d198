"""A report that grows while its run goes on: the page after every step, what is chosen, what is said."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cpml import load_dataset, paths, pipeline
from cpml.errors import CpmlError, ParameterError
from cpml.files import write_json
from cpml.pipeline import chain, steps, watch
from cpml.pipeline.report import page
from support.toy import execute_at_once, notebook, ran


@pytest.fixture
def pages(monkeypatch):
    """The sentence on every page that is written, in order."""
    told = []
    write = page.write_index
    monkeypatch.setattr(
        page,
        "write_index",
        lambda dataset, *, status="": told.append(status) or write(dataset, status=status),
    )
    return told


def sentence(path):
    found = re.search(r'class="status"[^>]*>(.*?)</p>', path.read_text())
    return found[1] if found else ""


def test_the_page_is_written_after_every_step_and_says_how_far_it_is(quick, output, pages):
    """Nothing of a first run before its first step is done; of a second one the old chapters at once."""
    index = pipeline.run_dataset("tiny")
    assert [re.sub(r"since \S+", "since", told) for told in pages] == [
        "This run is going on: 1 of 2 chapters is done; 02_use has been running since",
        "",
    ]
    pages.clear()
    pipeline.run_dataset("tiny", force=True)
    assert [told.partition(";")[0] for told in pages] == [
        "This run is going on: 0 of 2 chapters are done",
        "This run is going on: 1 of 2 chapters is done",
        "",
    ]
    pages.clear()
    pipeline.run_dataset("tiny")
    assert pages == [] and sentence(index) == ""


def test_the_last_good_page_is_there_while_a_step_runs(quick, output, monkeypatch):
    """It is replaced, never taken away; a chapter that is made anew stays until then."""
    index = pipeline.run_dataset("tiny")
    seen = []

    def look(step, *rest):
        seen.append((sentence(index).partition(";")[0], "Chapter 02_use" in index.read_text()))
        return execute_at_once(step, *rest)

    monkeypatch.setattr(chain, "execute", look)
    pipeline.run_dataset("tiny", force=True)
    assert seen == [
        ("This run is going on: 0 of 2 chapters are done", True),
        ("This run is going on: 1 of 2 chapters is done", True),
    ]


def test_a_failure_is_on_the_page_until_the_next_run(quick, output, monkeypatch):
    """Text of the error is escaped; what was there stays."""
    index = pipeline.run_dataset("tiny")

    def fail(step, *rest):
        raise CpmlError("cell 3: <b>odd</b>")

    monkeypatch.setattr(chain, "execute", fail)
    with pytest.raises(CpmlError, match="odd"):
        pipeline.run_dataset("tiny", force=True)
    told = "This run stopped at 01_make: cell 3: &lt;b&gt;odd&lt;/b&gt;. Chapters below may be older."
    assert sentence(index) == told and "Chapter 02_use" in index.read_text()
    monkeypatch.setattr(chain, "execute", execute_at_once)
    pipeline.run_dataset("tiny")
    assert sentence(index) == ""


def test_an_interrupted_run_says_so_and_goes_on(quick, output, monkeypatch, capsys):
    index = pipeline.run_dataset("tiny")

    def interrupt(step, *rest):
        raise KeyboardInterrupt

    monkeypatch.setattr(chain, "execute", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run_dataset("tiny", force=True)
    assert sentence(index).startswith("This run was interrupted at 20")
    monkeypatch.setattr(chain, "execute", execute_at_once)
    capsys.readouterr()
    pipeline.run_dataset("tiny")
    assert ran(capsys.readouterr().out) == {"01_make": True, "02_use": False} and sentence(index) == ""


def test_a_page_that_cannot_be_written_loses_no_result(quick, output, monkeypatch, capsys):
    """Said in a line while the run goes on; at its end an error, and the next run writes it."""

    def fail(*rest, **more):
        raise ValueError("no page today")

    write = page.write_index
    monkeypatch.setattr(page, "write_index", fail)
    with pytest.raises(
        CpmlError, match="tiny: its results are there, the page could not be written: no page"
    ):
        pipeline.run_dataset("tiny")
    assert "tiny: the page could not be written: no page today" in capsys.readouterr().out
    record = json.loads((paths.reports("tiny") / "provenance.json").read_text())
    assert list(record["steps"]) == ["01_make", "02_use"]
    monkeypatch.setattr(page, "write_index", write)
    assert pipeline.run_dataset("tiny").is_file()
    assert ran(capsys.readouterr().out) == {"01_make": False, "02_use": False}


def test_chapters_that_no_longer_fit_are_named(quick, output):
    """When a part of the chain has been run anew the rest is older; the page says which and what to do."""
    index = pipeline.run_dataset("tiny")
    assert pipeline.run_dataset("tiny", until="01") == index and sentence(index) == ""
    notebook(quick / "notebooks" / "01_make.ipynb", 'dataset = "tiny"\nscale = 2.0', "run.write('x', {})")
    pipeline.run_dataset("tiny", until="01")
    told = "02_use is older than what was run now: python3 tasks.py run --dataset tiny renews all."
    assert sentence(index) == told
    pipeline.run_dataset("tiny")
    assert sentence(index) == ""


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"until": "01"}, ["01_ingestion"]),
        ({"until": "02a"}, ["01_ingestion", "02a_grains"]),
        ({"until": "02b_boundaries"}, ["01_ingestion", "02a_grains", "02b_boundaries"]),
        ({"steps": ["01", "02a_grains"]}, ["01_ingestion", "02a_grains"]),
        ({"steps": ["03"]}, ["03_cp_baseline"]),
    ],
)
def test_steps_are_chosen_by_chapter_or_name(options, names):
    found = steps.choose(steps.discover(), options.get("steps"), options.get("until", ""))
    assert [step.name for step in found if step.name != "00_images"] == names


def test_a_chapter_of_two_digits_is_all_of_it():
    names = [step.name for step in steps.choose(steps.discover(), ["02"])]
    assert names[0] == "02a_grains" and names[-1] == "02g_ecci" and len(names) == 7
    assert [step.name for step in steps.choose(steps.discover(), None, "02")][-1] == "02g_ecci"


@pytest.mark.parametrize(
    "options", [{"steps": ["01", "99"]}, {"until": "99"}, {"until": "0"}, {"steps": ["2a"]}]
)
def test_a_step_that_is_none_is_one_error(quick, output, options):
    with pytest.raises(ParameterError, match=r"no step '.*': the notebooks are 01_make, 02_use; a chapter"):
        pipeline.run_dataset("tiny", **options)
    with pytest.raises(ParameterError, match="give one of them"):
        pipeline.run_dataset("tiny", steps=["01"], until="01")
    assert not output.exists()


def test_a_step_without_its_inputs_says_what_makes_them(quick, output, describe):
    """Also for a run with a tag, and one by its path; a data set that cannot feed a step says why."""
    run = "--dataset tiny@scale-2.0 --until 01$"
    with pytest.raises(CpmlError, match=f"02_use reads what 01_make writes, which has not been run: .*{run}"):
        pipeline.run_dataset("tiny", parameters={"scale": 2.0}, steps=["02"])
    pipeline.run_dataset("tiny", steps=["01"])
    pipeline.run_dataset("tiny", steps=["02"])
    describe(quick / "data" / "tiny", files={"images": ["map.ctf"]}, phases=None, load="unknown")
    with pytest.raises(CpmlError, match="tiny: 01_make has nothing to work on: no EBSD map"):
        pipeline.run_dataset("tiny", steps=["01"])


def test_lines_tell_step_estimate_and_time_in_a_log(quick, output, capsys):
    """A first time nothing is guessed; then what it took; another run of the data set will do."""
    pipeline.run_dataset("tiny")
    assert capsys.readouterr().out.splitlines() == [
        "tiny 1/2: 01_make starts, no estimate yet",
        "tiny 01_make 1.0 s",
        "tiny 2/2: 02_use starts, no estimate yet",
        "tiny 02_use 1.0 s",
    ]
    pipeline.run_dataset("tiny", parameters={"scale": 2.0})
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "tiny@scale-2.0 1/2: 01_make starts, about 1 s, total about 2 s left"


def test_last_durations_are_those_of_the_run_itself_if_it_has_any(output, describe):
    """Records that are damaged say nothing; an interrupted step keeps its time."""
    for name, content in (
        ("tiny@a", {"steps": {"01": {"duration_s": 5.0}, "02": {"duration_s": 6.0}}}),
        ("tiny", {"steps": {"01": {"duration_s": 7.0}}, "unfinished": {"03": {"duration_s": 8.0}}}),
        ("tiny@b", {"steps": {"01": {"duration_s": "soon"}, "04": 3, "05": {"duration_s": -1}}}),
        ("other", {"steps": {"06": {"duration_s": 9.0}}}),
    ):
        write_json(paths.reports(name) / "provenance.json", content)
    assert watch.last_durations(load_dataset(describe())) == {"01": 7.0, "02": 6.0, "03": 8.0}
    assert watch.last_durations(load_dataset(f"{describe()}@a"))["01"] == 5.0


def test_time_left_is_no_shorter_than_the_longest_step():
    """Work over jobs, or the longest step; what one has spent is taken off; unknown stays unknown."""
    found = watch.Watch("x", ["a", "b", "c"], {"a": 10.0, "b": 2.0, "c": 2.0}, jobs=2)
    assert found.seconds_left() == 10.0
    found.end("a")
    assert found.seconds_left() == 2.0
    assert watch.Watch("x", ["a", "b"], {"a": 1.0}).seconds_left() is None
    assert watch.Watch("x", [], {}).seconds_left() == 0.0


def test_the_live_line_of_a_terminal_leaves_nothing_behind(monkeypatch):
    """Overwritten again and again, wiped before a line that stays and at the end."""
    import io

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdout", screen := Terminal())
    monkeypatch.setattr(watch, "EVERY_S", 0.01)
    with watch.Watch("demo", ["a", "b"], {"a": 40.0, "b": 50.0}) as found:
        found.begin("a")
        while "demo 1/2: a 0 s of about 40 s, total about 90 s left" not in screen.getvalue():
            pass
        found.end("a", "demo a 0.1 s")
        found.begin("b")
        while screen.getvalue().count("demo 2/2: b") < 2:
            pass
    shown = [line.rpartition("\r")[2] for line in screen.getvalue().split("\n")]
    assert shown == ["demo a 0.1 s", ""]


def test_a_failure_stays_on_the_page_when_others_end_later(quick, output, monkeypatch):
    """Of two steps beside each other one fails first: the other is recorded, the page says what failed."""
    for name in ("01_make", "02_use"):
        says = f"**Reads** nothing. **Writes** `{name}`."
        notebook(quick / "notebooks" / f"{name}.ipynb", 'dataset = "tiny"', "print(1)", says=says)
    failed = threading.Event()

    def fail_or_wait(step, *rest):
        if step.name == "02_use":
            failed.set()
            raise CpmlError("no luck")
        failed.wait(10)
        time.sleep(0.3)
        return execute_at_once(step, *rest)

    monkeypatch.setattr(chain, "execute", fail_or_wait)
    monkeypatch.setattr(chain, "Processes", ThreadPoolExecutor)
    with pytest.raises(CpmlError, match="no luck"):
        pipeline.run_dataset("tiny", jobs=2)
    record = json.loads((paths.reports("tiny") / "provenance.json").read_text())
    assert list(record["steps"]) == ["01_make"]
    told = sentence(paths.reports("tiny") / "index.html")
    assert told == "This run stopped at 02_use: no luck. Chapters below may be older."
