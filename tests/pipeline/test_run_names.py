"""Runs: their names and tags, who may write into their folders, several of one command."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace

import pandas as pd
import psutil
import pytest

from cpml import load_dataset, paths
from cpml.errors import CpmlError, DatasetError, ParameterError
from cpml.pipeline import grid, runs, steps
from cpml.pipeline.comparison import matching

POSIX = pytest.mark.skipif(os.name == "nt", reason="kill -9")


def tagged(path, given, tag=""):
    """Name and parameters of the run that a data set and parameters mean; recorded, as the chain does."""
    chain = steps.discover()
    run, parameters = runs.with_parameters(
        load_dataset(path), chain, steps.check_parameters(chain, given), tag
    )
    runs.record(run, parameters)
    return run.run_name, parameters


@pytest.mark.parametrize(
    ("parameters", "tag"),
    [
        ({}, ""),
        ({"seed": 1}, "seed-1"),
        ({"seed": 1, "dic_noise": 1e-6}, "dic_noise-1e-06_seed-1"),
        ({"fail": True, "scheme": "taylor"}, "fail-true_scheme-taylor"),
    ],
)
def test_a_tag_says_the_parameters(parameters, tag):
    assert runs.tag_of(parameters) == tag


def test_tags_of_long_or_odd_values_are_safe_and_differ():
    """What a folder's name cannot hold is replaced; a hash keeps different values apart."""
    tags = [
        runs.tag_of({"x": value}) for value in ([1, 2], "1-2", "1/2", "1 2", list(range(99)), list(range(98)))
    ]
    assert len(set(tags)) == len(tags)
    assert all(paths.safe_run(f"demo@{tag}") for tag in tags) and max(map(len, tags)) <= runs.MAX_TAG + 7


def test_a_name_with_a_tag_means_a_run(describe, tmp_path):
    """By name and by path; a folder that has an @ in its own name is no tag; names have none."""
    assert load_dataset("demo@seed-1").run_name == "demo@seed-1" and load_dataset("demo").run_name == "demo"
    path = describe(tmp_path / "me@lab")
    assert load_dataset(path).run_name == "tiny"
    assert load_dataset(f"{path}@x").run_name == load_dataset(f"{path.parent}@x").run_name == "tiny@x"
    assert paths.derived("tiny@x").name == "tiny@x"
    with pytest.raises(DatasetError, match=r"name: 'a@b': expected letters, digits"):
        load_dataset(describe(name="a@b"))
    for wrong in ("demo@", "demo@a@b", "demo@..", "demo@a b"):
        with pytest.raises(DatasetError):
            load_dataset(wrong)


@pytest.mark.parametrize("name", ["comparison", "Comparison", "raw", "derived", "demo", "Demo"])
def test_reserved_names_are_refused(describe, name):
    with pytest.raises(DatasetError, match=r"dataset.yml: name: .*: choose another name"):
        load_dataset(describe(name=name))


def test_parameters_at_their_defaults_are_the_run_without_a_tag(describe, output):
    assert tagged(describe(), {"seed": 0}) == ("tiny", {})
    assert tagged(describe(), {"seed": "1"}) == ("tiny@seed-1", {"seed": 1})
    assert tagged(describe(), {"seed": 2}, tag="mine") == ("tiny@mine", {"seed": 2})
    assert tagged(describe(), {}, tag="copy") == ("tiny@copy", {})


def test_a_tag_keeps_its_parameters(describe, output):
    """Named again without any it has them; with others it is refused, the remedy named."""
    tagged(describe(), {"seed": 1})
    assert tagged(f"{describe()}@seed-1", {}) == ("tiny@seed-1", {"seed": 1})
    told = r"run 'tiny@seed-1' was made with seed=1, not with seed=2: .*then it is 'tiny@seed-2'"
    with pytest.raises(ParameterError, match=told):
        tagged(f"{describe()}@seed-1", {"seed": 2})
    with pytest.raises(ParameterError, match=r"seed=1, not with the defaults"):
        tagged(f"{describe()}@seed-1", {"seed": 0})
    with pytest.raises(ParameterError, match=r"no run 'tiny@new' yet: give its parameters"):
        tagged(f"{describe()}@new", {})
    with pytest.raises(ParameterError, match="two tags, 'a' and 'b'"):
        tagged(f"{describe()}@a", {}, tag="b")


def test_two_descriptions_of_one_name_are_refused(describe, output, tmp_path):
    """Both are named; the same files elsewhere are the same data; one that is gone leaves the name."""
    first, second = describe(tmp_path / "a"), describe(tmp_path / "b")
    tagged(first, {"seed": 1})
    runs.check_description(load_dataset(second))
    (second.parent / "map.ctf").write_text("another map")
    with pytest.raises(DatasetError) as caught:
        runs.check_description(load_dataset(second))
    assert str(first) in str(caught.value) and str(second) in str(caught.value)
    assert "another name, or set CPML_OUTPUT" in str(caught.value)
    describe(tmp_path / "a", name="other")
    runs.check_description(load_dataset(second))
    describe(tmp_path / "a")
    first.unlink()
    runs.check_description(load_dataset(second))


HOLD = """
import subprocess, sys, time
from cpml.pipeline import runs
with runs.held("tiny"):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.DEVNULL)
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(output):
    """A process that holds the run, with a notebook of its own below it."""
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    (notebook,) = psutil.Process(process.pid).children()
    yield process
    process.kill()
    process.wait()
    with suppress(psutil.NoSuchProcess):
        notebook.kill()


def test_a_run_has_one_holder(output):
    """The second is told who the first is; when the first lets go there is no trace but the lock."""
    with runs.held("tiny"), runs.held("tiny@x"):
        told = rf"run 'tiny' is held by process {os.getpid()} on .* since 20..-"
        with pytest.raises(CpmlError, match=told), runs.held("tiny"):
            pass
    with runs.held("tiny"):
        pass
    assert sorted(path.name for path in paths.derived("tiny").iterdir()) == [".lock"]


@POSIX
def test_a_killed_holder_holds_nothing(holder):
    """kill -9 frees the run; its half-written files go, those of a living process stay."""
    with pytest.raises(CpmlError, match=f"held by process {holder.pid} on"), runs.held("tiny"):
        pass
    paths.reports("tiny").mkdir(parents=True)
    (paths.derived("tiny") / f".grains.{holder.pid}.part.parquet").write_text("half")
    (paths.derived("tiny") / ".grains.1.part.h5").write_text("half")
    (paths.reports("tiny") / f".01_make.{holder.pid}.source.ipynb").write_text("half")
    holder.kill()
    holder.communicate()
    with runs.held("tiny"):
        here = [path.name for folder in (paths.derived, paths.reports) for path in folder("tiny").iterdir()]
        assert sorted(here) == [".grains.1.part.h5", ".holder.json", ".lock"]


@POSIX
def test_what_a_killed_holder_left_running_is_ended(holder):
    """A notebook that goes on alone would write into the run; a process of somebody else is not touched."""
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (notebook,) = psutil.Process(holder.pid).children()
    holder.kill()
    holder.communicate()
    assert notebook.is_running()
    with runs.held("tiny"):
        assert not notebook.is_running() or notebook.status() == psutil.STATUS_ZOMBIE
        assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_commas_separate_values_outside_of_brackets_and_quotes():
    assert grid.split_values("1,2, 3") == ["1", "2", "3"]
    assert grid.split_values("[1, 2]") == ["[1, 2]"] and grid.split_values("a b") == ["a b"]
    for wrong in ("1,", ",1", "1,,2"):
        with pytest.raises(ParameterError, match="nothing on one side of a comma"):
            grid.split_values(wrong)


def test_a_grid_gives_every_combination_a_run(describe, output, tmp_path):
    """Parameters are recorded under tags; the one of defaults is the run without a tag; a prefix is kept."""
    file = tmp_path / "grid.yml"
    file.write_text("seed: [0, 1]\nscheme: [auto, taylor]\n")
    names = grid.prepare(describe(), grid.read_grid(file))
    assert [name.rpartition("dataset.yml")[2] for name in names] == [
        "",
        "@scheme-taylor",
        "@seed-1",
        "@scheme-taylor_seed-1",
    ]
    recorded = json.loads((paths.derived("tiny@scheme-taylor_seed-1") / "run.json").read_text())
    assert recorded["parameters"] == {"scheme": "taylor", "seed": 1} and recorded["dataset"] == "tiny"
    names = grid.prepare(describe(), {"seed": ["0", "1"]}, tag="sweep")
    assert [name.rpartition("@")[2] for name in names] == ["sweep", "sweep_seed-1"]
    assert grid.prepare("demo", {"seed": [1, 1]}) == ["demo@seed-1"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"sed": [1, 2]}, "did you mean 'seed'"),
        ({"seed": [1, "x"]}, "not of type int"),
        ({"scheme": ["tailor"]}, "did you mean 'taylor'"),
        ({"phase": ["a", "b"]}, "phase makes no run of its own"),
        ({"seed": list(range(1001))}, "more than 1000 runs"),
    ],
)
def test_a_wrong_value_stops_a_grid_before_anything_is_recorded(describe, output, values, told):
    with pytest.raises(ParameterError, match=told):
        grid.prepare(describe(), values)
    assert not output.exists()


def test_a_grid_is_a_mapping_to_lists(tmp_path):
    (tmp_path / "grid.yml").write_text("seed: 1\n")
    with pytest.raises(ParameterError, match=r"grid.yml: seed: 1 is not a list of values: write \[1\]"):
        grid.read_grid(tmp_path / "grid.yml")


def test_a_grid_runs_all_and_tells_how_it_went(describe, output, monkeypatch, capsys):
    """Every combination is given to the batch; one that fails is told."""
    from cpml.pipeline import batch

    def pretend(names, *, jobs, **options):
        assert (jobs, options) == (2, {"force": True})
        return {names[1]: "no luck"}

    monkeypatch.setattr(batch, "run_batch", pretend)
    errors = grid.run_grid("demo", {"seed": ["1", "2", "3"]}, jobs=2, force=True)
    assert errors == {"demo@seed-2": "no luck"}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "demo@seed-2 failed: no luck" and lines[1].startswith("2 of 3 runs done in ")


def test_runs_are_compared_by_name_pattern_and_tag(output):
    """Without names the data sets with default parameters, where there are any."""
    for name in ("a", "a@seed-1", "a@seed-2", "b@seed-1"):
        paths.derived(name).mkdir(parents=True)
        for table in ("scores", "evaluation"):
            pd.DataFrame({"x": [1]}).to_parquet(paths.derived(name) / f"{table}.parquet")
    assert matching(["a", "a@*"]) == ["a", "a@seed-1", "a@seed-2"]
    assert matching([], ["seed-1"]) == ["a@seed-1", "b@seed-1"]
    assert matching(["a"], ["seed-*"]) == ["a@seed-1", "a@seed-2"] and matching([]) == []
    with pytest.raises(CpmlError, match=r"no run 'c' has been evaluated.*done: a, a@seed-1"):
        matching(["c"])
    from cpml.pipeline.comparison import Comparison

    assert Comparison("07_comparison", {}).names == ["a"]
    assert Comparison("07_comparison", {"dataset": ["a@seed-1", "a"]}).caption == "2 runs"


def test_a_figure_says_which_run_it_is_of(describe, output):
    from cpml.pipeline import Run

    run = Run("02a_grains", {"dataset": f"{describe()}@seed-1"})
    assert run.name == "tiny@seed-1" and run.caption == "measured data; run seed-1"
    assert run.derived == paths.derived("tiny@seed-1")


def test_every_run_of_a_data_set_keeps_its_description(describe, output):
    """run.json has no time inside: written again it is the same."""
    run = replace(load_dataset(describe()), tag="x")
    runs.record(run, {"seed": 1})
    before = (paths.derived("tiny@x") / "run.json").stat().st_mtime_ns
    runs.record(run, {"seed": 1})
    assert (paths.derived("tiny@x") / "run.json").stat().st_mtime_ns == before
