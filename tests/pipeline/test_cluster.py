"""Batches on a dask scheduler and workers that are processes of their own, and in processes of this machine.

Two toy notebooks stand for the chain; a file in the data set's folder tells the second what to do.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from cpml import paths, pipeline
from cpml.errors import CpmlError
from cpml.files import read_json, write_json
from cpml.pipeline import cluster
from cpml.pipeline.provenance import is_intact

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow

SETUP = "import os, time\nfrom pathlib import Path\nimport cpml\nrun = cpml.Run({step!r}, globals())"
MAKE = "run.write('values', {'x': offset})\nprint(run.read('values'))"
USE = """
folder = run.dataset.path.parent
(folder / "kernel").write_text(str(os.getpid()))
while (folder / "wait").exists():
    time.sleep(0.1)
if (folder / "die").exists():
    os.kill(os.getppid(), 9)
    time.sleep(60)
run.write('result', {'x': run.read('values')['x'], 'threads': os.environ['OMP_NUM_THREADS']})
"""


def notebook(path, says, parameters, source):
    make = nbformat.v4
    cells = [
        make.new_markdown_cell(f"# Chapter\n\n{says}"),
        make.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        make.new_code_cell(SETUP.format(step=path.stem)),
        make.new_code_cell(source),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(make.new_notebook(cells=cells, metadata={"cpml": {"needs": ["map"]}}), path)


@pytest.fixture
def toy(tmp_path, monkeypatch, describe, output):
    """A checkout of two notebooks and two data sets, `tiny` and `second`."""
    root = tmp_path / "checkout"
    monkeypatch.setenv("CPML_ROOT", str(root))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("tiny", "second"):
        describe(root / "data" / name, name=name)
    says = "**Reads** nothing. **Writes** `values`."
    notebook(root / "notebooks" / "01_make.ipynb", says, 'dataset = "tiny"\noffset = 0.5', MAKE)
    says = "**Reads** `values`. **Writes** `result`."
    notebook(root / "notebooks" / "02_use.ipynb", says, 'dataset = "tiny"', USE)
    return root


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """started(*arguments) -> a process that ends with the tests, in a folder and with an environment of its
    own: no variable of cpml, as on another machine.
    """
    processes = []
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CPML_")}
    python_path = [str(paths.PACKAGE.parent), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, python_path))

    def start(*arguments, before=(), **more):
        folder = tmp_path_factory.mktemp("machine")
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(
                [*before, *arguments], cwd=folder, env=environment | more, stdout=log, stderr=log
            )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start_scheduler(started):
    """Process and address of a scheduler."""
    port = str(free_port())
    cli = ("-m", "distributed.cli.dask_scheduler")
    process = started(
        sys.executable, *cli, "--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show"
    )
    return process, f"tcp://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def scheduler(started):
    """Address of a scheduler."""
    return start_scheduler(started)[1]


@pytest.fixture
def worker(started, scheduler):
    """worker() -> a process with one worker, ended with the test."""
    mine = []

    def start(address=scheduler, **more):
        quiet = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--memory-limit", "0")
        command = (sys.executable, "-m", "distributed.cli.dask_worker", address, *quiet)
        mine.append(started(*command, **more))
        return mine[-1]

    yield start
    for process in mine:
        process.kill()
        process.wait()


def wait_for(condition, seconds=60):
    for _ in range(10 * seconds):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("waited in vain")


def kernel_of(folder):
    """Process of the kernel that runs the second notebook on a data set."""
    wait_for(lambda: (folder / "kernel").is_file() and (folder / "kernel").read_text())
    return psutil.Process(int((folder / "kernel").read_text()))


def litter(folder):
    return [path.name for path in folder.rglob(".*") if path.name not in (".lock",)]


def test_a_worker_is_killed_and_the_batch_completes(toy, output, scheduler, worker, capsys):
    """Its data set goes on at another worker where it stopped; results lie at the caller, lines are told."""
    workers = [worker(), worker()]
    waiting = toy / "data" / "tiny" / "wait"
    waiting.touch()
    killed = []

    def kill():
        kernel = kernel_of(waiting.parent)
        ancestors = [process.pid for process in kernel.parents()]
        waiting.unlink()
        victim = next(process for process in workers if process.pid in ancestors)
        victim.send_signal(signal.SIGKILL)
        killed.append(kernel)

    killer = threading.Thread(target=kill)
    killer.start()
    errors = pipeline.run_batch(["tiny", "second"], scheduler=scheduler, parameters={"offset": "2"})
    killer.join()
    lines = capsys.readouterr().out.splitlines()
    assert errors == {}
    wait_for(lambda: not killed[0].is_running())
    for name in ("tiny", "second"):
        run = f"{name}@offset-2.0"
        assert (output / "reports" / run / "index.html").is_file()
        assert pipeline_result(run)["x"] == 2
        assert sum(line.startswith(f"{run} 01_make ") and line.endswith(" s") for line in lines) == 1
        assert any(re.fullmatch(rf"{name} +done +\d+ +\S+ on \S+", line) for line in lines)
    assert "tiny@offset-2.0 01_make cached" in lines
    assert not litter(output)


def pipeline_result(name):
    import cpml

    return cpml.Run("02_use", {"dataset": name}).read("result")


def test_files_come_back_where_the_worker_does_not_see_the_folder(toy, output, scheduler, worker, capsys):
    """Another file system lies over the caller's output folder on the worker's side."""
    output.mkdir()
    hide = ["unshare", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"']
    try:
        subprocess.run([*hide, output, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no name spaces of file systems here")
    worker(before=[*hide, str(output)])
    assert pipeline.run_batch(["tiny"], scheduler=scheduler) == {}
    report = output / "reports" / "tiny"
    assert (report / "index.html").is_file() and pipeline_result("tiny")["threads"] == "1"
    record = read_json(report / "provenance.json")["steps"]
    assert all(is_intact(entry, "tiny") for entry in record.values()) and len(record) == 2
    assert not litter(output)


def test_files_from_a_worker_replace_those_of_the_last_run(output):
    """What the last run wrote and this one did not, goes; a path out of the folder is refused."""
    old = {"steps": {"01_make": {"artefacts": {"derived/a.h5": "", "derived/b.h5": ""}}}}
    write_json(output / "reports" / "tiny" / "provenance.json", old)
    for name in ("a.h5", "b.h5", "other.h5"):
        path = output / "data" / "derived" / "tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old")
    new = b'{"steps": {"01_make": {"artefacts": {"derived/a.h5": ""}}}}'
    cluster.receive({"reports/tiny/provenance.json": new, "data/derived/tiny/a.h5": b"new"})
    assert cluster.collect(output) == {
        "data/derived/tiny/a.h5": b"new",
        "data/derived/tiny/other.h5": b"old",
        "reports/tiny/provenance.json": new,
    }
    with pytest.raises(CpmlError, match="leaves its folder"):
        cluster.receive({"../a": b""})


def test_the_end_of_the_batch_ends_what_runs_on_the_workers(toy, scheduler, worker, started):
    """Ctrl-C at the caller: kernels of the workers go, and no lock and no temporary file is left."""
    worker()
    waiting = toy / "data" / "tiny" / "wait"
    waiting.touch()
    # a shell that starts the tests in the background has interrupts ignored by all that they start
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"from cpml import pipeline; pipeline.run_batch(['tiny'], scheduler={scheduler!r})"
    )
    own = {key: value for key, value in os.environ.items() if key.startswith("CPML_")}
    caller = started(sys.executable, "-c", code, **own)
    kernel = kernel_of(waiting.parent)
    caller.send_signal(signal.SIGINT)
    assert caller.wait(60) != 0
    wait_for(lambda: not kernel.is_running())
    wait_for(lambda: not litter(Path(os.environ["CPML_OUTPUT"])))


def test_a_scheduler_that_goes_away_is_one_line(toy, output, started, worker, capfd):
    """The data set is told as failed, no stack is printed, and what ran on the worker ends."""
    process, address = start_scheduler(started)
    worker(address)
    waiting = toy / "data" / "tiny" / "wait"
    waiting.touch()
    kernels = []

    def kill():
        kernels.append(kernel_of(waiting.parent))
        process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    errors = pipeline.run_batch(["tiny"], scheduler=address)
    killer.join()
    assert errors == {"tiny": "the scheduler went away, or dropped it: run it again"}
    assert "Traceback" not in capfd.readouterr().err
    wait_for(lambda: not kernels[0].is_running() and not litter(output))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:{port}", "nowhere"])
def test_a_scheduler_that_does_not_answer_is_one_line(toy, output, monkeypatch, address):
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    with pytest.raises(CpmlError, match=r"^scheduler \S+: no answer within 1 s .*dask scheduler") as caught:
        pipeline.run_batch(["tiny"], scheduler=address.format(port=free_port()))
    assert "\n" not in str(caught.value) and not litter(output)


def test_a_scheduler_without_workers_is_one_line(toy, scheduler):
    with pytest.raises(CpmlError, match=f"scheduler {scheduler} had no worker for 0.5 s: start some by"):
        pipeline.run_batch(["tiny"], scheduler=scheduler, wait_s=0.5)


def test_a_worker_with_another_cpml_is_told_before_anything_runs(toy, output, scheduler, worker, tmp_path):
    """One that has none; the same for another revision or another Python."""
    (tmp_path / "cpml").mkdir()
    (tmp_path / "cpml" / "__init__.py").touch()
    worker(PYTHONPATH=str(tmp_path))
    with pytest.raises(CpmlError, match=r"worker tcp://\S+ has no cpml like this one .*No module.*same"):
        pipeline.run_batch(["tiny"], scheduler=scheduler)
    assert not (output / "reports").exists()
    here = cluster.fingerprint(str(toy))
    assert cluster.difference(here, here) == ""
    told = cluster.difference(here, here | {"Python": "3.99"})
    assert told == f"Python is 3.99 there and {here['Python']} here: bring both to one revision"


def test_the_fingerprint_is_that_of_the_notebooks_as_well(toy):
    before = cluster.fingerprint(str(toy))
    with open(toy / "notebooks" / "02_use.ipynb", "a") as file:
        file.write("\n")
    assert {key for key, value in cluster.fingerprint(str(toy)).items() if value != before[key]} == {
        "notebooks"
    }


def test_folders_that_a_worker_does_not_have_give_way_to_its_own(tmp_path, monkeypatch):
    """Of the caller's, those that are there are used; a list of folders only as a whole."""
    here, gone = str(tmp_path), str(tmp_path / "gone")
    environment = {
        "CPML_ROOT": gone,
        "CPML_DATA_MIRROR": here,
        "CPML_REFERENCE": gone,
        "CPML_DATA": os.pathsep.join([here, gone]),
        "OMP_NUM_THREADS": "1",
    }
    monkeypatch.setenv("CPML_REFERENCE", "/own")
    monkeypatch.delenv("CPML_DATA", raising=False)
    order = cluster.Order({}, environment, {}, "", "", {})
    assert order.environment_here() == environment | {"CPML_ROOT": "", "CPML_REFERENCE": "/own"}


def test_a_process_that_dies_fails_its_data_set_alone(toy, output, capsys):
    """The process of one data set is killed: that one is told, the other completes, no kernel stays."""
    (toy / "data" / "second" / "die").touch()
    errors = pipeline.run_batch(["tiny", "second"], jobs=2)
    assert list(errors) == ["second"] and "ended by SIGKILL" in errors["second"]
    kernel = int((toy / "data" / "second" / "kernel").read_text())
    wait_for(lambda: not psutil.pid_exists(kernel) or psutil.Process(kernel).status() == "zombie")
    assert (output / "reports" / "tiny" / "index.html").is_file()
    table = capsys.readouterr().out.splitlines()[-3:]
    assert [line.split()[:2] for line in table] == [["data", "set"], ["second", "failed"], ["tiny", "done"]]


def test_the_recipe_for_a_queue_runs_as_it_stands(toy, output):
    """The script of docs/cluster.md, on the queue that dask-jobqueue has for tests instead of SLURM."""
    text = (paths.PACKAGE.parent / "docs" / "cluster.md").read_text(encoding="utf-8")
    script = re.search(r"```python\n(.*?SLURMCluster.*?)```", text, re.DOTALL).group(1)
    for there, here in (
        ("dask_jobqueue import SLURMCluster", "dask_jobqueue.local import LocalCluster"),
        ("SLURMCluster", "LocalCluster"),
        ('["demo", "mg-twins"]', '["tiny"]'),
    ):
        assert there in script
        script = script.replace(there, here)
    (toy / "batch_slurm.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "batch_slurm.py"], cwd=toy, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^tiny +done ", done.stdout, re.MULTILINE)
    assert (output / "reports" / "tiny" / "index.html").is_file()
