"""What goes wrong outside of the code ends in one line and loses nothing, and the same command recovers."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from cpml import files, paths, pipeline
from cpml.datasets import catalogue
from cpml.errors import CpmlError
from cpml.pipeline import chain, runs, sources
from support.toy import MAKE, execute_at_once, hidden_files, notebook, ran

NO_ROOM = OSError(errno.ENOSPC, "No space left on device", "/full/x.json")


def told_by(call) -> str:
    """The one line that a call ends in."""
    with pytest.raises(CpmlError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def check_recovery(output, capsys, expected):
    """The same command goes on, to a page without a word of what was; nothing hidden is left."""
    assert not hidden_files(output)
    capsys.readouterr()
    page = pipeline.run_dataset("tiny").read_text()
    assert ran(capsys.readouterr().out) == expected and "This run" not in page


def test_a_full_disk_while_results_are_recorded(quick, output, monkeypatch, capsys):
    """No room for the record of the second step: the first is kept; the message says where and what to do."""
    write, full = files.write_atomic, []

    def no_room(path, write_it):
        if path.name == "provenance.json" and full:
            raise NO_ROOM
        return write(path, write_it)

    def fill(step, *rest):
        full.extend([1] if step.name == "02_use" else [])
        return execute_at_once(step, *rest)

    monkeypatch.setattr(files, "write_atomic", no_room)
    monkeypatch.setattr(chain, "execute", fill)
    told = told_by(lambda: pipeline.run_dataset("tiny"))
    assert told.startswith("tiny 02_use: /full/x.json: No space left on device: make room there")
    full.clear()
    monkeypatch.setattr(chain, "execute", execute_at_once)
    check_recovery(output, capsys, {"01_make": False, "02_use": True})


def test_a_full_disk_inside_a_notebook(quick, output, monkeypatch, capsys):
    """What the notebook says, on one line, and the page that was there stays."""
    index = pipeline.run_dataset("tiny")

    def fail(step, *rest):
        with files.one_error(f"tiny, notebooks/{step.name}.ipynb"):
            raise NO_ROOM

    monkeypatch.setattr(chain, "execute", fail)
    told = told_by(lambda: pipeline.run_dataset("tiny", force=True))
    assert told.startswith("tiny, notebooks/01_make.ipynb: /full/x.json: No space left on device")
    assert "Chapter 02_use" in index.read_text() and "stopped at 01_make" in index.read_text()
    monkeypatch.setattr(chain, "execute", execute_at_once)
    check_recovery(output, capsys, {"01_make": True, "02_use": False})


@pytest.mark.parametrize(
    "place", ["", "data", "data/derived", "data/derived/tiny", "reports", "reports/tiny"]
)
def test_a_file_where_a_folder_should_be(quick, output, place, capsys):
    (output / place).parent.mkdir(parents=True, exist_ok=True)
    (output / place).write_text("in the way")
    told = told_by(lambda: pipeline.run_dataset("tiny"))
    assert str(output / place) in told and "a file is where a folder should be" in told
    assert (output / place).read_text() == "in the way"
    (output / place).unlink()
    check_recovery(output, capsys, {"01_make": True, "02_use": True})


@pytest.mark.parametrize(("number", "words"), [(errno.EROFS, "Read-only"), (errno.EACCES, "denied")])
def test_an_output_that_may_not_be_written(quick, output, monkeypatch, number, words):
    """Simulated, since rights do not bind an administrator: making the folder is refused."""
    make = Path.mkdir

    def refuse(path, *rest, **more):
        if output in path.parents:
            raise OSError(number, os.strerror(number), str(path))
        return make(path, *rest, **more)

    monkeypatch.setattr(Path, "mkdir", refuse)
    told = told_by(lambda: pipeline.run_dataset("tiny"))
    assert (
        words in told and "set CPML_OUTPUT to a folder that you may write to" in told and str(output) in told
    )
    monkeypatch.undo()


def test_an_input_that_may_not_be_read(quick, output, monkeypatch, capsys):
    """The file is named; nothing was begun."""

    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    pipeline.run_dataset("tiny")
    with monkeypatch.context() as context:
        for module in (catalogue, chain.provenance):
            context.setattr(module, "file_sha256", refuse)
        told = told_by(lambda: pipeline.run_dataset("tiny"))
    assert "dataset.yml: Permission denied: give yourself the right to it" in told
    check_recovery(output, capsys, {"01_make": False, "02_use": False})


@pytest.mark.parametrize("when", ["while", "before"])
def test_an_input_that_changes_meanwhile(quick, output, monkeypatch, capsys, when):
    """What was made of a mixture is not recorded; a file that was only touched is the same file."""
    file = quick / "data" / "tiny" / "map.ctf"

    def change(step, *rest):
        if step.name == "02_use" and when == "while":
            file.write_text("another map")
        took = execute_at_once(step, *rest)
        if step.name == "01_make":
            os.utime(file, (4e9, 4e9)) if when == "while" else file.write_text("another map")
        return took

    monkeypatch.setattr(chain, "execute", change)
    told = told_by(lambda: pipeline.run_dataset("tiny"))
    assert re.fullmatch(
        rf"tiny (01_make|02_use): {re.escape(str(file))} changed while the chain was .*", told
    )
    monkeypatch.setattr(chain, "execute", execute_at_once)
    check_recovery(output, capsys, {"01_make": True, "02_use": True})


def test_a_notebook_that_changes_meanwhile(quick, output, monkeypatch, capsys):
    where = quick / "notebooks" / "02_use.ipynb"

    def change(step, *rest):
        notebook(where, 'dataset = "tiny"\noffset = 0.0\nfail = False', "print(2)")
        return execute_at_once(step, *rest)

    monkeypatch.setattr(chain, "execute", change)
    assert f"tiny 02_use: {where} changed" in told_by(lambda: pipeline.run_dataset("tiny"))
    monkeypatch.setattr(chain, "execute", execute_at_once)
    check_recovery(output, capsys, {"01_make": False, "02_use": True})


def test_a_package_that_changes_meanwhile(quick, output, tmp_path, monkeypatch, capsys):
    """A module that was only touched is the same; another text stops the chain. The module is a stand-in."""
    module, read = tmp_path / "module.py", {}
    module.write_text("a = 1")
    monkeypatch.setattr(sources, "files", lambda: [module])
    monkeypatch.setattr(sources, "forget", lambda: read.update(now=module.read_text()))
    monkeypatch.setattr(sources, "sources_sha256", lambda code: read["now"])

    def change(step, *rest):
        os.utime(module, (4e9, 4e9)) if step.name == "01_make" else module.write_text("a = 2")
        return execute_at_once(step, *rest)

    monkeypatch.setattr(chain, "execute", change)
    told = told_by(lambda: pipeline.run_dataset("tiny"))
    assert told.startswith("tiny 02_use: the package changed while the chain was running")
    monkeypatch.setattr(chain, "execute", execute_at_once)
    check_recovery(output, capsys, {"01_make": True, "02_use": True})


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"steps": []}', '{"steps": {"01_make": {"artefacts": 3}}}']
)
def test_a_record_that_is_damaged_is_made_again(quick, output, capsys, damage):
    pipeline.run_dataset("tiny")
    (paths.reports("tiny") / "provenance.json").write_text(damage)
    check_recovery(output, capsys, {"01_make": True, "02_use": True})


def test_a_record_cannot_name_files_outside_its_folders(quick, output, tmp_path, capsys):
    """What a stranger's provenance.json claims to have written is not deleted."""
    (tmp_path / "precious").write_text("mine")
    pipeline.run_dataset("tiny")
    record = json.loads((paths.reports("tiny") / "provenance.json").read_text())
    for name in ("derived/../../../../precious", f"derived/{tmp_path / 'precious'}"):
        record["steps"]["01_make"]["artefacts"][name] = "0" * 64
        (paths.reports("tiny") / "provenance.json").write_text(json.dumps(record))
        pipeline.run_dataset("tiny")
    assert (tmp_path / "precious").read_text() == "mine"


def test_an_artefact_that_is_cut_is_made_again(quick, output, capsys):
    pipeline.run_dataset("tiny")
    file = paths.derived("tiny") / "01_make.json"
    whole = file.read_bytes()
    file.write_bytes(whole[:20])
    check_recovery(output, capsys, {"01_make": True, "02_use": False})
    assert file.read_bytes() == whole


def test_clocks_that_jump_change_nothing(quick, output, capsys):
    """Files of the future and of the past are what their bytes are."""
    pipeline.run_dataset("tiny")
    for number, path in enumerate([*output.rglob("*.*"), *(quick / "data").rglob("*.*")]):
        os.utime(path, (4e9, 4e9) if number % 2 else (0, 0))
    check_recovery(output, capsys, {"01_make": False, "02_use": False})


def test_what_a_failed_attempt_wrote_goes_when_the_step_no_longer_writes_it(quick, output, monkeypatch):
    """Half of a step's files belong to it all the same."""
    stray = paths.derived("tiny") / "stray.json"

    def fail(step, *rest):
        files.write_json(stray, {})
        raise CpmlError("too late")

    monkeypatch.setattr(chain, "execute", fail)
    told_by(lambda: pipeline.run_dataset("tiny"))
    assert stray.is_file()
    monkeypatch.setattr(chain, "execute", execute_at_once)
    pipeline.run_dataset("tiny")
    assert not stray.exists()


def test_a_second_process_is_refused_and_the_first_goes_on(quick, output, monkeypatch):
    """The lock is held from before the first step to after the page."""
    told = []

    def meanwhile(step, *rest):
        told.append(told_by(lambda: pipeline.run_dataset("tiny")))
        return execute_at_once(step, *rest)

    monkeypatch.setattr(chain, "execute", meanwhile)
    assert pipeline.run_dataset("tiny").is_file()
    assert len(told) == 2 and all("run 'tiny' is held by process" in line for line in told)


def test_two_descriptions_of_one_name_do_not_share_a_folder(quick, output, describe, tmp_path):
    pipeline.run_dataset("tiny")
    other = describe(tmp_path / "other", title="Another")
    assert str(other) in told_by(lambda: pipeline.run_dataset(other))


def test_the_comparison_has_one_holder(output):
    with runs.held("comparison"):
        assert "run 'comparison' is held by" in told_by(pipeline.run_comparison)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kill -9")
def test_processes_that_are_killed_end_in_one_line(toy, output, capsys):
    """The kernel of a notebook, then the process that executes it; one that is beside it is not lost."""
    for victim, told in (
        ("os.getpid()", "the kernel died"),
        ("os.getppid()", "its process ended in the middle"),
    ):
        cell = f"import os, signal, time\nos.kill({victim}, signal.SIGKILL)\ntime.sleep(60)"
        says = "**Reads** `values`. **Writes** `result`."
        notebook(
            toy / "notebooks" / "01_make.ipynb",
            'dataset = "tiny"\nscale = 1.0',
            MAKE,
            says="**Reads** nothing. **Writes** `values`.",
        )
        notebook(toy / "notebooks" / "02_use.ipynb", 'dataset = "tiny"', cell, says=says)
        assert told in told_by(lambda: pipeline.run_dataset("tiny", jobs=2))
        assert not hidden_files(output)
        record = json.loads((paths.reports("tiny") / "provenance.json").read_text())
        assert list(record["steps"]) == ["01_make"]
    notebook(
        toy / "notebooks" / "02_use.ipynb", 'dataset = "tiny"', "run.write('result', {'x': 1})", says=says
    )
    check_recovery(output, capsys, {"01_make": False, "02_use": True})


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends the interrupt of a POSIX terminal")
def test_an_interrupt_of_one_process_leaves_nothing_half_done(toy, output):
    """Ctrl-C in a chain without further processes: soon, no kernel, no temporary file."""
    cell = f"import time\nopen({str(output / 'here')!r}, 'w').close()\ntime.sleep(60)"
    notebook(toy / "notebooks" / "01_make.ipynb", 'dataset = "tiny"', cell)
    # a shell that starts the tests in the background has interrupts ignored by all that they start
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from cpml import pipeline; pipeline.run_dataset('tiny')"
    )
    command = subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stderr=subprocess.DEVNULL
    )
    while not (output / "here").is_file():
        assert command.poll() is None
        time.sleep(0.1)
    time.sleep(1)  # the cell has begun, and whoever waits for it waits
    kernels = psutil.Process(command.pid).children(recursive=True)
    os.killpg(command.pid, signal.SIGINT)
    assert command.wait(50) != 0
    assert not hidden_files(output) and kernels
    assert not psutil.wait_procs(kernels, timeout=20)[1]


@pytest.mark.slow
def test_the_command_ends_in_one_line(quick, output):
    """Exit code 1 and one line of a mistake, of a file in the way, of a step without its inputs."""
    command = [
        sys.executable,
        "-m",
        "invoke",
        "--search-root",
        str(paths.PACKAGE.parent),
        "run",
        "-d",
        "tiny",
    ]

    def run(*options):
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")
        return done.stderr

    assert "no step '99'" in run("--until", "99")
    assert "nothing on one side of a comma" in run("-p", "scale=1,,2")
    assert "02_use reads what 01_make writes" in run("--steps", "02", "--jobs", "1")
    output.mkdir(exist_ok=True)
    (output / "reports").write_text("in the way")
    assert "a file is where a folder should be" in run("--until", "01", "--jobs", "1")


def test_an_executed_notebook_is_whole_or_not_there(quick, output):
    pipeline.run_dataset("tiny")
    for path in paths.reports("tiny").glob("*.ipynb"):
        nbformat.validate(nbformat.read(path, as_version=4))
