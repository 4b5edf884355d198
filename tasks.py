"""The commands of cpml: `python3 tasks.py <task>` sets up what is missing and runs it; `--list` shows all.

Above the line: standard library only, it builds .venv when pyproject.toml, requirements.lock, the
interpreter or the folder changed. Below: the Invoke tasks; inside an environment of your own,
`invoke <task>` is the same.
"""

import functools
import hashlib
import importlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


FIRST_USE = """
from orix.quaternion import Misorientation, Orientation
from orix.vector import Vector3d
turned = Orientation.random(2)
~turned, turned * turned, turned * Vector3d.random(2), Misorientation.random(2).reduce()
"""
"""orix compiles at first use; two processes that do so at once leave a cache that crashes all later ones."""


def bootstrap():
    """Build .venv where its stamp does not match; the stamp is written last, so an
    interrupted build starts again.
    """
    inputs = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "requirements.lock")]
    key = hashlib.sha256(b"\0".join([*inputs, sys.version.encode(), str(ROOT).encode()])).hexdigest()
    stamp = VENV / ".stamp"
    if PYTHON.exists() and stamp.is_file() and stamp.read_text() == key:
        return
    print("setting up .venv (once; some minutes)", flush=True)
    has_pip = importlib.util.find_spec("ensurepip") is not None
    without = [] if has_pip else ["--without-pip"]
    subprocess.run([sys.executable, "-m", "venv", "--clear", *without, str(VENV)], check=True)
    # Debian splits ensurepip off: then the pip outside installs into the environment
    pip = [str(PYTHON), "-m", "pip"] if has_pip else [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    quiet = ["--quiet", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *quiet, "-c", "requirements.lock", "-e", ".[dev]"], cwd=ROOT, check=True)
    subprocess.run([str(PYTHON), "-c", FIRST_USE], check=True)
    stamp.write_text(key)


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036  an older python3 reads this file before any package metadata
        sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    try:
        bootstrap()
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"error: .venv could not be built ({' '.join(map(str, error.cmd[:4]))} ... "
            "failed); see the lines above"
        )
    argv = [str(PYTHON), "-m", "invoke", "--search-root", str(ROOT), *sys.argv[1:]]
    if os.name == "nt":
        sys.exit(subprocess.call(argv))
    os.execv(argv[0], argv)

# ----------------------------------------------------------------------------------------------------
from invoke import task
from invoke.exceptions import Exit


def reports_errors(function):
    """A mistake of the user's ends in one line and exit code 1, not in a stack of internals."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        from cpml.errors import CpmlError

        try:
            return function(*args, **kwargs)
        except CpmlError as error:
            raise Exit(f"error: {error}", code=1) from None
        except OSError as error:
            from cpml.files import of_system

            raise Exit(f"error: {of_system(error)}", code=1) from None
        except KeyboardInterrupt:
            raise Exit("interrupted: the same command goes on from there", code=130) from None

    return wrapped


@task(
    iterable=["parameter"],
    help={
        "dataset": "name of a folder under data/, or path of a dataset.yml",
        "force": "run every notebook, also the unchanged ones",
        "jobs": "notebooks at a time (0: one per core)",
        "parameter": "name=value for the notebooks that have it, name=a,b,c for a run each; may be repeated",
        "grid": "YAML file, parameter: [values]: a run for every combination",
        "tag": "of the run, reports/<dataset>@<tag>, not made from the parameters; of several the prefix",
        "until": "last chapter or notebook to run, e.g. 01, 02a",
        "steps": "the only chapters or notebooks to run, a list with commas, e.g. 01,02a",
    },
)
@reports_errors
def run(c, dataset="demo", force=False, jobs=0, parameter=None, grid="", tag="", until="", steps=""):
    """Run the notebooks on one data set and write reports/<dataset>[@<tag>]/index.html."""
    from cpml.pipeline.chain import run_dataset
    from cpml.pipeline.grid import read_grid, run_grid

    options = {"force": force, "jobs": jobs, "tag": tag, "until": until, "steps": _names([steps]) or None}
    values = _values(parameter)
    if grid or any(len(several) > 1 for several in values.values()):
        listed = read_grid(grid) if grid else {}
        if twice := sorted(set(listed) & set(values)):
            raise Exit(f"error: {twice[0]} is given by -p and in {grid}: give it once", code=1)
        if run_grid(dataset, values | listed, **options):
            raise Exit(code=1)
        return
    index = run_dataset(dataset, parameters={name: value for name, (value,) in values.items()}, **options)
    print(f"report: {index}")


@task(
    iterable=["dataset", "parameter"],
    help={
        "dataset": "name or path; may be repeated or a list with commas; all under data/ when not given",
        "jobs": "notebooks at a time (0: one per core)",
        "scheduler": "address of a dask scheduler, tcp://... (docs/cluster.md)",
        "wait": "seconds to wait for a worker of the scheduler",
        "force": "run every notebook, also the unchanged ones",
        "parameter": "name=value for the notebooks that have it; may be repeated",
    },
)
@reports_errors
def batch(c, dataset=None, jobs=0, scheduler="", wait=60.0, force=False, parameter=None):
    """Run the notebooks on many data sets in parallel."""
    from cpml import datasets, pipeline
    from cpml.pipeline.comparison import evaluated
    from cpml.pipeline.grid import prepare

    chosen = _names(dataset)
    for name in datasets.available() if not chosen else ():
        if reason := datasets.left_out(name):
            print(f"{name} left out: {reason}", flush=True)
        else:
            chosen.append(name)
    given = _pairs(parameter)
    phase = {"phase": given.pop("phase")} if "phase" in given else {}
    if given:  # runs of their own, which are compared with each other
        chosen = [run for name in chosen for run in prepare(name, {key: [v] for key, v in given.items()})]
    options = {"parameters": phase, "force": force}
    errors = pipeline.run_batch(chosen, jobs=jobs, scheduler=scheduler or None, wait_s=wait, **options)
    for name, error in errors.items():
        print(f"{name} failed: {error}", file=sys.stderr)
    print(f"{len(chosen) - len(errors)} of {len(chosen)} data sets done")
    made = {datasets.load_dataset(run).run_name for run in chosen if run not in errors} if given else set()
    compared = [run for run in evaluated() if run in made or not given]
    if compared:
        print(f"comparison: {pipeline.run_comparison(sorted(made.intersection(compared)))}")
    if errors:
        raise Exit(code=1)


@task(
    iterable=["dataset", "tag"],
    help={
        "dataset": "run such as demo, demo@seed-1, 'demo@*'; may be repeated or a list with commas; all data "
        "sets that have been evaluated when not given",
        "tag": "tag of runs such as seed-1, 'seed-*', of the data sets or of all; may be repeated",
    },
)
@reports_errors
def compare(c, dataset=None, tag=None):
    """Compare evaluated data sets, or runs of one, and write reports/comparison/index.html."""
    from cpml.pipeline.chain import run_comparison
    from cpml.pipeline.comparison import matching

    print(f"comparison: {run_comparison(matching(_names(dataset), _names(tag)))}")


@task(
    positional=["map_file"],
    iterable=["material"],
    help={
        "map_file": "the map: .ctf, .crc, .ang, .h5oina, HDF5 of any vendor, .dream3d, text",
        "load": "kind:axis[:strain[:rate[:temperature]]], e.g. tension:x:0.05, or unknown",
        "name": "of the data set (by the file or its folder when not given)",
        "folder": "where dataset.yml goes, and copies of the files (beside the map when not given)",
        "link": "link the files into the folder, do not copy them",
        "reading": "what the file does not say, as in dataset.yml, e.g. 'unit: px, step_um: 0.5'",
        "material": "material of each phase, in order (guessed by name and cell when not given)",
        "traces": "slip traces drawn by hand (csv)",
        "image": "SEM image of the same area",
        "dic": "displacement field of the same area",
        "curve": "measured stress-strain curve (csv)",
    },
)
@reports_errors
def new(
    c,
    map_file,
    load="",
    name="",
    folder="",
    link=False,
    reading="",
    material=None,
    traces="",
    image="",
    dic="",
    curve="",
):
    """Write the dataset.yml of a map from what its file says, with the decisions left to a person marked."""
    from cpml.datasets.new import new_description

    further = {"traces": traces, "image": image, "dic": dic, "curve": curve}
    options = {"load": load, "name": name, "folder": folder or None, "link": link, "reading": reading}
    written = new_description(map_file, **options, materials=_names(material), **further)
    print("found:", *(f"  {line}" for line in written.found), sep="\n")
    print(*written.done, sep="\n", end="\n" if written.done else "")
    print("to decide:", *(f"  {n}. {line}" for n, line in enumerate(written.decisions, start=1)), sep="\n")
    print(f"written: {written.path}", f"next: python3 tasks.py check {written.path.parent}", sep="\n")


@task(positional=["dataset"], help={"dataset": "name of a data set, or path of a dataset.yml or its folder"})
@reports_errors
def check(c, dataset):
    """Check a description and all its files, run chapter 01 on the map and say what it shows."""
    from cpml.pipeline.checking import check_dataset

    found = check_dataset(dataset)
    print(*found.lines(), sep="\n")
    if found.wrong:
        raise Exit(code=1)
    print(f"next: python3 tasks.py run --dataset {dataset}")


@task
@reports_errors
def schema(c):
    """Write docs/dataset.schema.json and docs/dataset.md from the table of keys."""
    from cpml.datasets import schema_files

    print(*schema_files.write(ROOT / "docs"), sep="\n")


@task(
    help={
        "specimen": "name of a new data set: one specimen, seen through the simulated microscope",
        "material": "name of a material of cpml",
        "seed": "of the specimen; one seed is one specimen",
        "strain": "von Mises strain at the end",
        "load": "kind:axis, e.g. compression:x",
        "temperature": "of the test, K; it decides on cross-slip and climb (0: not said, 293)",
        "free": "the map is a free surface while the specimen deforms, not a section of the bulk",
        "texture": "drawn, none or basal",
        "shape": "slices, rows and columns of voxels; the map is a slice",
        "increments": "of the path; 1 scales the flow at its beginning",
        "volumes": "number of training volumes to make",
        "first": "seed of the first of them; the others follow it",
        "edge": "voxels along the edges of a volume",
        "workers": "volumes at a time",
        "folder": "where the volumes go, or the data set's own folder",
    }
)
@reports_errors
def simulate(
    c,
    specimen="",
    material="magnesium",
    seed=1,
    strain=0.03,
    load="tension:x",
    temperature=0.0,
    free=False,
    texture="drawn",
    shape="16,48,48",
    increments=6,
    volumes=0,
    first=0,
    edge=24,
    workers=2,
    folder="",
):
    """Make a virtual specimen as a data set (--specimen NAME), or volumes for training (--volumes N)."""
    if bool(specimen) == bool(volumes):
        raise Exit("error: give either --specimen NAME or --volumes N", code=1)
    if volumes:
        print(_volumes(volumes, first, edge, workers, folder))
        return
    from cpml import paths
    from cpml.datasets import dataset
    from cpml.load import Load
    from cpml.virtual import simulate_specimen

    kind, _, axis = load.partition(":")
    if reason := dataset.RESERVED.get(specimen.lower()):
        raise Exit(f"error: --specimen {specimen} {reason}: choose another name", code=1)
    own = [*paths.data_folders()[1:], paths.data()]  # folders of CPML_DATA come first
    place = Path(folder) if folder else own[0] / paths.safe_name(specimen)
    written = simulate_specimen(
        place,
        name=specimen,
        material=material,
        seed=seed,
        strain=strain,
        load=Load.from_dict({"kind": kind, "axis": axis, "temperature": temperature or None}),
        shape=_edges(shape),
        texture=texture,
        free_surface=free,
        increments=increments,
    )
    print(f"written: {written}", f"next: python3 tasks.py run --dataset {folder or specimen}", sep="\n")


def _edges(text):
    """The three numbers of --shape."""
    try:
        slices, rows, columns = map(int, text.split(","))
    except ValueError:
        raise Exit(f"error: --shape {text!r}: give slices,rows,columns, e.g. 16,48,48", code=1) from None
    return slices, rows, columns


def _volumes(count, first, edge, workers, folder):
    """Make the volumes that the folder lacks; what was done, in one line."""
    from cpml import paths
    from cpml.virtual.volumes.factory import Order, make_volumes

    if count < 1 or first < 0 or edge < 8 or workers < 1:
        raise Exit(
            "error: --volumes and --workers are at least 1, --first at least 0, --edge at least 8", code=1
        )
    place = Path(folder) if folder else paths.derived("volumes")
    made = make_volumes(Order(place, edge=edge), range(first, first + count), workers=workers)
    return f"{len(made)} volumes: {made[0]} to {made[-1].name}"


@task(
    help={
        "dataset": "name of a data set, or path of a dataset.yml",
        "pdf": "print it as report.pdf as well, where Chromium is installed",
    }
)
@reports_errors
def report(c, dataset="demo", pdf=False):
    """Write reports/<dataset>/index.html again from the executed notebooks."""
    from cpml.datasets import load_dataset
    from cpml.pipeline.report.crate import write_crate
    from cpml.pipeline.report.page import write_index
    from cpml.pipeline.report.pdf import write_pdf

    write_crate(load_dataset(dataset))
    index = write_index(dataset)
    print(f"report: {index}")
    if pdf:
        print(f"printed: {write_pdf(index)}")


@task(
    help={
        "options": "for JupyterLab, in quotes; or write them after --, as in: lab -- --no-browser --port 9999"
    }
)
def lab(c, options=""):
    """Open JupyterLab in notebooks/; options go on to it."""
    passed = [*shlex.split(options), *shlex.split(c.remainder)]
    _python("-m", "jupyterlab", *passed, cwd=ROOT / "notebooks")


@task(
    iterable=["name"],
    help={"name": "set of data/catalogue.yml; may be repeated or a list with commas; all when not given"},
)
@reports_errors
def data(c, name=None):
    """Fetch public data sets (mirror, data/raw or download) and check their sha256."""
    from cpml.datasets import catalogue
    from cpml.errors import DatasetError

    missing = 0
    for key in [key for chosen in _names(name) or catalogue.sets() for key in catalogue.names(chosen)]:
        try:
            print(f"{key}  {catalogue.fetch(key)}", flush=True)
        except DatasetError as error:
            missing += 1
            print(f"error: {error}", file=sys.stderr, flush=True)
    if missing:
        raise Exit(f"{missing} files are missing", code=1)


@task(help={"pictures": "take the figures of docs/pictures again from reports/<dataset>/figures first"})
@reports_errors
def docs(c, pictures=False):
    """Build the documentation site, build/docs/index.html, without network; a warning is an error."""
    if pictures:
        _take_pictures()
    os.environ["NO_MKDOCS_2_WARNING"] = "1"  # of the theme's, about its own future
    _python("-m", "mkdocs", "build", "--strict")  # --quiet would hide warnings from --strict
    print(f"site: {ROOT / 'build' / 'docs' / 'index.html'}")


@task(
    help={"name": "a shipped material or a path of a .yml file (may be repeated); all when empty"},
    iterable=["name"],
)
@reports_errors
def materials(c, name=None):
    """A page for each material file, build/materials/index.html: curves, shares, r-values, temperature."""
    from cpml.pipeline.report.material_pages import write_pages

    print(f"pages: {write_pages(ROOT / 'build' / 'materials', tuple(name or ()))}")


def _take_pictures():
    """docs/pictures/<dataset>_<figure>.png again from the reports, with 128 colours: a fifth of the size."""
    from PIL import Image

    from cpml import paths
    from cpml.errors import CpmlError

    for path in sorted((ROOT / "docs" / "pictures").glob("*.png")):
        dataset, _, name = path.stem.partition("_")
        figure = paths.reports(dataset) / "figures" / f"{name}.png"
        if not figure.is_file():
            raise CpmlError(f"{figure} is not there: python3 tasks.py run --dataset {dataset} makes it")
        method = Image.Quantize.FASTOCTREE  # the others lose the few coloured lines on a grey picture
        small = Image.open(figure).convert("RGB").quantize(128, method=method, dither=Image.Dither.NONE)
        small.save(path, optimize=True)


@task(
    help={
        "suite": "one of benchmarks/bench_<suite>.py; all when empty",
        "arguments": "parts and options of the suite, in quotes: 'blocks --partitions 2'",
    }
)
def bench(c, suite="", arguments=""):
    """Run benchmarks: project, peer and ratio."""
    found = {
        path.stem.removeprefix("bench_"): path for path in sorted((ROOT / "benchmarks").glob("bench_*.py"))
    }
    if suite and suite not in found:
        raise Exit(f"error: no suite {suite!r}: benchmarks has {', '.join(found) or 'none'}", code=1)
    sys.path.insert(0, str(ROOT))
    for name in [suite] if suite else found:
        module = importlib.import_module(f"benchmarks.{found[name].stem}")
        if arguments and not (suite and hasattr(module, "PARTS")):
            raise Exit(
                "error: --arguments is for one suite that takes some, such as conditions or coupling",
                code=1,
            )
        print(f"== {name}", flush=True)
        module.main(*([shlex.split(arguments)] if arguments else []))


@task(
    help={
        "volumes": "solved volumes to learn from; those that the folder holds are kept",
        "members": "networks of the ensemble",
        "epochs": "times that every volume is seen",
        "workers": "processes",
        "folder": "where volumes and the state of the training are kept (default: data/derived/volumes)",
        "output": "file of the weights (default: the one that the package reads)",
        "fewer": "volumes with which one more network is trained, for comparison (may be repeated)",
        "without": "material that is not learned from, to see what that costs (may be repeated)",
    },
    iterable=["without", "fewer"],
)
@reports_errors
def pretrain(
    c,
    volumes=1200,
    held_out=40,
    members=3,
    epochs=12,
    workers=2,
    folder="",
    output="",
    without=None,
    fewer=None,
):
    """Train the learned mechanics on solved volumes; goes on where it was stopped."""
    from cpml.models.learned import pretraining, training, weights
    from cpml.paths import derived

    plan = pretraining.Plan(
        folder=Path(folder) if folder else derived("volumes"),
        volumes=volumes,
        held_out=held_out,
        members=members,
        schedule=training.Schedule(epochs=epochs),
        left_out=tuple(without or ()),
        curve=tuple(int(count) for count in fewer or ()),
        workers=workers,
    )
    target = Path(output) if output else Path(weights.__file__).with_name(weights.SUPPLIED)
    pretraining.pretrain(plan, target, say=lambda line: print(line, flush=True))
    print(f"weights: {target}")


@task(
    help={
        "minutes": "in all, shared by the targets",
        "target": "a group (maps, files, yaml, models, artefacts) or one file of them; all when empty",
        "reproduce": "a kept input: read it once and show what happens; needs --target",
    }
)
@reports_errors
def fuzz(c, minutes=5.0, target="", reproduce=""):
    """Fuzz the readers, guided by coverage (needs the extra `fuzz`); findings are kept below build/fuzz."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from fuzzing import session

    found = session.reproduce(target, Path(reproduce)) if reproduce else session.fuzz(target, minutes)
    if found:
        raise Exit(code=1)


@task(help={"fast": "unit tests and doctests only, without the slow ones"})
def test(c, fast=False):
    """Run all tests in two lanes: unit tests, then browser and cluster; notebooks, then the pipeline."""
    sanitize = ["--nbval-sanitize-with", str(ROOT / "tests" / "nbval.cfg")]
    notebooks = [str(path) for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]*_*.ipynb"))]
    units = {"unit tests and doctests": ["-m", "not slow", "--cov", "--cov-report=", "tests", "cpml"]}
    stored = {"notebooks": ["-x", "--nbval", "--nbval-current-env", *sanitize, *notebooks]}
    others = [
        "tests/browser",
        *(f"tests/pipeline/test_{name}.py" for name in ("cluster", "kills", "checking")),
    ]
    slow = {"browser, cluster, commands": ["-m", "slow", *others]}
    chains = {"pipeline": ["-m", "slow", "tests", *(f"--ignore={path}" for path in others)]}
    lanes = [units] if fast else [units | slow, (stored if notebooks else {}) | chains]
    with ThreadPoolExecutor(len(lanes)) as pool:
        summary = [line for lines in pool.map(_one_after_the_other, lanes) for line in lines]
    if summary[0].startswith("passed"):
        print("== coverage of the unit tests (kernels compiled by numba are left out)")
        print(*_coverage_lines(), sep="\n")
    print("== summary", *summary, sep="\n", flush=True)
    if not all(line.startswith("passed") for line in summary):
        raise Exit(code=1)


def _one_after_the_other(suites):
    """Run suites of pytest until one fails; what each prints is shown when it has ended, whole."""
    summary = []
    for name, arguments in suites.items():
        start = time.perf_counter()
        command = [sys.executable, "-m", "pytest", "-q", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        print(f"== {name}", done.stdout, sep="\n", flush=True)
        told = "passed" if done.returncode == 0 else "FAILED"
        summary.append(f"{told}  {name}  {time.perf_counter() - start:.0f} s")
        if done.returncode:
            break
    return summary + [f"not run  {name}" for name in list(suites)[len(summary) :]]


@task
@reports_errors
def refresh(c):
    """Execute the committed notebooks in place on the demo; they are replaced only when all went through."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    from cpml.files import write_atomic
    from cpml.pipeline.execute import inline_figures
    from cpml.pipeline.steps import PATTERN

    paths = sorted((ROOT / "notebooks").glob(PATTERN))
    with tempfile.TemporaryDirectory() as output:
        os.environ["CPML_OUTPUT"] = output
        done = {}
        for path in paths:
            start = time.perf_counter()
            notebook = nbformat.read(path, as_version=4)
            _normalise(notebook)
            client = NotebookClient(notebook, record_timing=False, kernel_name="python3", timeout=None)
            client.extra_arguments = ["--log-level=40"]
            client.resources = {"metadata": {"path": str(path.parent)}}
            try:
                with inline_figures():
                    client.execute()
            except CellExecutionError as error:
                raise Exit(
                    f"error: {path.name}: {error.ename}: {error.evalue}; no notebook was replaced", code=1
                ) from None
            _normalise(notebook)
            done[path] = notebook
            print(f"{path.name} {time.perf_counter() - start:.1f} s", flush=True)
    for path, notebook in done.items():
        write_atomic(path, functools.partial(nbformat.write, notebook))


@task(help={"fix": "apply the safe fixes, the format and the cell ids"})
def lint(c, fix=False):
    """Check style (ruff), types (mypy) and the cell ids of the notebooks."""
    checks = {
        "ruff check": ["-m", "ruff", "check", *(["--fix"] if fix else []), "."],
        "ruff format": ["-m", "ruff", "format", *([] if fix else ["--check"]), "."],
        "mypy": ["-m", "mypy"],
    }
    failed = [name for name, arguments in checks.items() if _python(*arguments, check=False)]
    if fix:
        ids(c)
    elif odd := _without_fixed_ids():
        print("cells are not numbered in order:", *(path.name for path in odd))
        failed.append("cell ids")
    if failed:
        more = "repair what is listed above" if fix else "python3 tasks.py lint --fix repairs what it can"
        raise Exit(f"error: {', '.join(failed)}: {more}", code=1)


@task
def ids(c):
    """Number the cells of the committed notebooks in order, as `refresh` does."""
    import nbformat

    from cpml.files import write_atomic

    for path, notebook in _without_fixed_ids().items():
        write_atomic(path, functools.partial(nbformat.write, notebook))
        print(f"{path.name}: cells numbered")


@task(help={"reports": "delete what is in reports/ and data/derived/ as well"})
def clean(c, reports=False):
    """Delete caches; with --reports also all results. Raw data stays."""
    caches = [path for name in ("cpml", "tests", "notebooks") for path in (ROOT / name).rglob("__pycache__")]
    caches += [path for path in (ROOT / "notebooks").rglob(".ipynb_checkpoints")]
    caches += [
        ROOT / name
        for name in (".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "build", "cpml.egg-info")
    ]
    results = [*(ROOT / "reports").glob("*/"), ROOT / "data" / "derived"] if reports else []
    for folder in [*caches, *results]:
        shutil.rmtree(folder, ignore_errors=True)


def _python(*arguments, cwd=ROOT, check=True):
    """Run this interpreter in the checkout; returns the exit code, or ends with it where `check`."""
    code = subprocess.call([sys.executable, *arguments], cwd=cwd)
    if check and code:
        raise Exit(code=code)
    return code


def _names(given):
    """["a,b", "c"] -> ["a", "b", "c"]."""
    return [name for text in given or () for name in text.split(",") if name]


def _pairs(parameters):
    """["a=1"] -> {"a": "1"}; the pipeline gives the values their types."""
    pairs = {}
    for text in parameters or ():
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise Exit(f"error: -p {text!r} is not name=value", code=1)
        pairs[name] = value
    return pairs


def _values(parameters):
    """["a=1,2", "b=[1,2]"] -> {"a": ["1", "2"], "b": ["[1,2]"]}."""
    from cpml.pipeline.grid import split_values

    return {name: split_values(text) for name, text in _pairs(parameters).items()}


def _coverage_lines():
    """One line a room, and the total, of the coverage that the unit tests left in .coverage."""
    from coverage import Coverage

    measured = Coverage(data_file=str(ROOT / ".coverage"), config_file=str(ROOT / "pyproject.toml"))
    measured.load()
    rooms = {}
    for path in sorted(measured.get_data().measured_files()):
        folder = Path(path).parent.relative_to(ROOT / "cpml").parts
        _, lines, _, missing, _ = measured.analysis2(path)
        for room in (folder[0] if folder else "ground floor", "total"):
            n_lines, n_missing = rooms.get(room, (0, 0))
            rooms[room] = n_lines + len(lines), n_missing + len(missing)
    rooms["total"] = rooms.pop("total")
    return [
        f"{room:16}{1 - missing / lines:6.1%} of {lines} lines" for room, (lines, missing) in rooms.items()
    ]


def _without_fixed_ids():
    """Committed notebooks whose cells are not numbered in order -> the same with numbered cells."""
    import nbformat

    numbered = {}
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        _number_cells(notebook)
        if notebook != nbformat.read(path, as_version=4):
            numbered[path] = notebook
    return numbered


def _number_cells(notebook):
    """Fixed cell ids, and no times of execution."""
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
        cell.metadata.pop("execution", None)


def _normalise(notebook):
    """Numbered cells and one kernelspec, so that a refresh without a change is no difference in git."""
    _number_cells(notebook)
    notebook.metadata = {
        **{key: value for key, value in notebook.metadata.items() if key == "cpml"},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
