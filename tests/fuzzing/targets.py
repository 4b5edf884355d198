"""What is fuzzed: every reader of a foreign file, and of the files that the notebooks hand to each other.

A target turns bytes into a file, reads it, and looks at what was accepted. An input is a finding when reading
ends in anything but an answer or a `CpmlError`, or when the answer is absurd.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from cpml.microscopy import EbsdMap, read_map, read_stack
from fuzzing.mutations import Script, as_yaml, change_hdf, changed_array, changed_tree
from microscopy import test_damaged_files as small_files, test_vendor_files as vendor_files
from support.map_files import crc, ctf, points

SPLIT = b"\n--- other file ---\n"
"""Between the two files of a pair."""
STACKS = (".dream3d", ".h5ebsd", ".ctf")
HDF = b"\x89HDF"
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"unit": "nm"},
    {"unit": "px", "step_um": 1.0},
    {"step_um": 0.3},
    {"scan": "x"},
    {"scan": 1},
    {"slice": 0},
    {"angles": "degrees"},
    {"angles": "radians"},
    {"acquisition": "apply"},
    {"euler_to_sample": "declared"},
    {"euler_to_sample": "edax1", "hex_x_axis": "a"},
)

AS_STACK = bytes([11 * len(OPTIONS)])
"""First byte of an input for `read_stack` without an option: those from 128 on are for it."""


@dataclass(frozen=True)
class Target:
    """One reader with its files.

    Attributes
    ----------
    group : word by which `tasks.py fuzz --target` chooses several
    seeds : inputs that make sound files
    build : writes the file, or files, that an input stands for into a folder; returns the path to read
    read : what is fuzzed
    check : raises AssertionError for an absurd answer
    is_script : whether inputs are scripts of changes, not files
    """

    name: str
    group: str
    seeds: Callable[[], list[bytes]]
    build: Callable[[bytes, Path], Path]
    read: Callable[[Path], Any]
    check: Callable[[Any], None] = lambda answer: None
    is_script: bool = False


def _in_file(data: bytes, folder: Path, *, name: str) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def _sound(write: Callable[[Path], object], name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


# an option in front of a map


def _map_file(data: bytes, folder: Path, *, name: str) -> Path:
    (folder / "option").write_bytes(data[:1])
    return _in_file(data[1:], folder, name=name)


def _read_map(path: Path) -> list[EbsdMap]:
    option = (path.parent / "option").read_bytes()
    number = option[0] if option else 0
    options = OPTIONS[number % len(OPTIONS)]
    if path.suffix == ".txt":
        options = options | {"columns": vendor_files.COLUMNS, "phases": vendor_files.PHASES}
    if number >= 128 and path.suffix in STACKS:
        return read_stack(path, **{k: v for k, v in options.items() if k != "slice"})
    return [read_map(path, **options)]


def _check_maps(maps: list[EbsdMap]) -> None:
    """What a reader accepts, map.h5 can hold: its own reader checks every value."""
    from cpml.microscopy import read_map_file, write_map_file

    for found in maps[:3]:
        assert found.n_pixels < 100_000, "a small file that becomes a large map"
        with tempfile.TemporaryDirectory() as folder:
            write_map_file(found, Path(folder) / "map.h5")
            try:
                read_map_file(Path(folder) / "map.h5")
            except Exception as error:
                raise AssertionError(f"map.h5 refuses it: {error}") from None


def _map_seeds(name: str, write: Callable[[Path], object]) -> list[bytes]:
    data = _once(name, write)
    if name == "volume.ctf":
        return [bytes([OPTIONS.index({"slice": 0})]) + data, AS_STACK + data]
    return [b"\0" + data, AS_STACK + data] if name.endswith(STACKS) else [b"\0" + data]


def _pair(data: bytes, folder: Path) -> Path:
    (folder / "option").write_bytes(data[:1])
    text, _, points = data[1:].partition(SPLIT)
    (folder / "m.cpr").write_bytes(text)
    return _in_file(points, folder, name="m.crc")


def _pair_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = crc(Path(folder) / "m.crc", *points())
        return [b"\0" + path.with_suffix(".cpr").read_bytes() + SPLIT + path.read_bytes()]


def _volume(path: Path) -> Path:
    col, row, phi1 = points()
    return ctf(path, np.tile(col, 2), np.tile(row, 2), np.tile(phi1, 2), more="ZCells\t2")


def _hdf_script(data: bytes, folder: Path, *, name: str, write: Callable[[Path], object]) -> Path:
    path = _map_file((data[:1] or b"\0") + _once(name, write), folder, name=name)
    with h5py.File(path, "a") as file:
        change_hdf(file, Script(data[1:]))
    return path


_SOUND: dict[str, bytes] = {}


def _once(name: str, write: Callable[[Path], object]) -> bytes:
    if name not in _SOUND:
        _SOUND[name] = _sound(write, name)
    return _SOUND[name]


def _scripts() -> list[bytes]:
    rng = np.random.default_rng(0)
    return [rng.bytes(n) for n in (5, 9, 17, 33)]


def _maps() -> Iterator[Target]:
    for name, write in {**vendor_files.BUILDERS, "volume.ctf": _volume}.items():
        what = "artefacts" if name == "map.h5" else "maps"
        file = partial(_map_file, name=name)
        seeds = partial(_map_seeds, name, write)
        yield Target(name, what, seeds, file, _read_map, _check_maps)
        if _once(name, write).startswith(HDF):
            script = partial(_hdf_script, name=name, write=write)
            yield Target(f"{name}+", what, _scripts, script, _read_map, _check_maps, is_script=True)
    yield Target("pair.crc", "maps", _pair_seeds, _pair, _read_map, _check_maps)


# other files of the microscope


def _finite(*names: str) -> Callable[[Any], None]:
    def check(table: Any) -> None:
        for name in names:
            assert np.isfinite(table[name].to_numpy(float)).all(), f"{name} is not finite"

    return check


def _check_field(field: Any) -> None:
    assert np.isfinite(field.step) and field.step > 0, "step"
    assert field.u.size < 1_000_000, "a small file that becomes a large field"


def _check_image(image: Any) -> None:
    assert np.isfinite(image.values).all() if hasattr(image, "values") else True, "a pixel that is no number"


CHECKS = {
    "davis.txt": _check_field,
    "openpiv.txt": _check_field,
    "field.npz": _check_field,
    "traces.csv": _finite("x_um", "y_um"),
}
CURVE = b"true_strain;true_stress (MPa)\n0;10\n0,01;120,5\n0,02;150\n"
GRADIENT = "x_um,y_um,F11,F12,F21,F22\n" + "".join(f"{n % 3},{n // 3},1.01,0,0.002,0.99\n" for n in range(6))


def _npz_script(data: bytes, folder: Path) -> Path:
    script = Script(data)
    y, x = np.mgrid[:4, :5] * 8.0
    arrays = {"x": x, "y": y, "u": 0.01 * y, "v": 0.02 * x}
    for _ in range(1 + script.pick(3)):
        name = script.choose("xyuv")
        arrays[name] = changed_array(arrays.get(name, x), script)
        arrays = {key: value for key, value in arrays.items() if value is not None}
        arrays.setdefault("x", np.zeros(()))
    np.savez(folder / "field.npz", **arrays)
    return folder / "field.npz"


def _read_curve(path: Path) -> Any:
    from cpml.datasets.curve import read_curve

    return read_curve(path)


def _read_gradient(path: Path) -> Any:
    from cpml.microscopy import read_gradient

    return read_gradient(path, small_files.little_map())


def _read_truth(path: Path) -> Any:
    from cpml.virtual.truth import load_truth

    return load_truth(path)


def _truth(path: Path) -> None:
    np.savez(
        path, surface_grain=np.ones((2, 3), int), **{"planes.grain": np.arange(3), "strengths.family": ["a"]}
    )


def _others() -> Iterator[Target]:
    for name, (write, read) in small_files.OTHERS.items():
        seeds = partial(lambda name, write: [_once(name, write)], name, write)
        check = CHECKS.get(name, lambda answer: None)
        yield Target(name, "files", seeds, partial(_in_file, name=name), read, check)
    field = small_files.read_dic
    yield Target("field.npz+", "files", _scripts, _npz_script, field, _check_field, is_script=True)
    file = partial(_in_file, name="curve.csv")
    check = _finite("true_strain", "true_stress_mpa")
    yield Target("curve.csv", "files", lambda: [CURVE], file, _read_curve, check)
    file = partial(_in_file, name="gradient.csv")
    yield Target("gradient.csv", "files", lambda: [GRADIENT.encode()], file, _read_gradient)
    seeds = partial(lambda: [_once("truth.npz", _truth)])
    yield Target("truth.npz", "files", seeds, partial(_in_file, name="truth.npz"), _read_truth)


# descriptions

DESCRIPTION = {
    "name": "tiny",
    "title": "A tiny data set",
    "citation": "unpublished",
    "licence": "CC0-1.0",
    "virtual": False,
    "files": {"ebsd": "map.ctf", "traces": "map.ctf", "dic": "map.ctf", "images": ["map.ctf"]},
    "phases": [
        {"name": "Nickel", "lattice": "fcc", "material": "nickel", "number": 1},
        {"name": "Titanium", "lattice": "hcp", "material": "titanium_cp", "hex_x_axis": "a"},
    ],
    "reading": {
        "unit": "nm",
        "step_um": 0.5,
        "columns": ["x", "y", "phi1", "Phi", "phi2"],
        "phase_numbers": [1, 2],
    },
    "frame": {"euler_to_sample": {"axis": [0, 0, 1], "angle_deg": 90}, "acquisition": "ignore"},
    "load": {
        "kind": "tension",
        "axis": "x",
        "strain": 0.05,
        "rate": 1e-3,
        "temperature": 293,
        "note": "room",
    },
    "cleaning": {"max_mad_deg": 1.0, "fill_holes_pixels": 3},
    "segmentation": {"threshold": {"Nickel": 5.0}, "min_pixels": 5},
    "labels": {"traces": "manual", "twins": "auto", "trace_sigma_deg": 2.0},
    "registration": {"dic_to_ebsd": [[0, 0, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1]], "dic_y_axis": "up"},
    "steps": [{"strain": 0.1, "name": "later", "ebsd": "map.ctf", "registration": {}}],
}


def _description(data: bytes, folder: Path) -> Path:
    (folder / "map.ctf").write_text("only its bytes matter here\n")
    return _in_file(data, folder, name="dataset.yml")


def _described_by_script(data: bytes, folder: Path) -> Path:
    return _description(as_yaml(changed_tree(DESCRIPTION, Script(data))), folder)


def _load_dataset(path: Path) -> Any:
    from cpml.datasets import load_dataset

    return load_dataset(path)


def _load_material(path: Path) -> Any:
    from cpml.crystallography import load_material

    return load_material(path)


def _check_material(material: Any) -> None:
    assert np.isfinite(material.strengths).all() and (np.array(material.strengths) > 0).all(), "strengths"


def _material(name: str) -> bytes:
    from cpml.paths import PACKAGE

    return (PACKAGE / "crystallography" / "materials" / f"{name}.yml").read_bytes()


def _material_by_script(data: bytes, folder: Path) -> Path:
    script = Script(data)
    tree = yaml.safe_load(_material(script.choose(("nickel", "titanium_cp", "magnesium"))))
    return _in_file(as_yaml(changed_tree(tree, script)), folder, name="own.yml")


def _value(data: bytes, folder: Path) -> Path:
    return _in_file(data, folder, name="value.txt")


def _read_value(path: Path) -> Any:
    from cpml.safe_yaml import read_value

    return [read_value(path.read_text(encoding="utf-8", errors="replace"), what="parameter 'x'")]


def _yaml() -> Iterator[Target]:
    seeds = partial(lambda: [as_yaml(DESCRIPTION)])
    yield Target("dataset.yml", "yaml", seeds, _description, _load_dataset)
    yield Target("dataset.yml+", "yaml", _scripts, _described_by_script, _load_dataset, is_script=True)
    file = partial(_in_file, name="own.yml")
    seeds = partial(lambda: [_material("nickel"), _material("titanium_cp")])
    yield Target("material.yml", "yaml", seeds, file, _load_material, _check_material)
    yield Target(
        "material.yml+",
        "yaml",
        _scripts,
        _material_by_script,
        _load_material,
        _check_material,
        is_script=True,
    )
    yield Target("parameter", "yaml", lambda: [b"1e-3", b"[1, 2]", b"'a: b'", b"true"], _value, _read_value)


# what notebooks hand to each other


@cache
def _model() -> bytes:
    from benchmarks.synthetic import synthetic_specimen
    from cpml.models import CoupledClassifier

    specimen = synthetic_specimen(4, labelled=False, prior_error=0.0).specimen
    model = CoupledClassifier(n_draws=8, scheme="sachs").fit([specimen])
    return _sound(model.save, "model.json")


def _model_by_script(data: bytes, folder: Path) -> Path:
    tree = changed_tree(json.loads(_model()), Script(data))
    return _in_file(json.dumps(tree).encode(), folder, name="model.json")


def _load_model(path: Path) -> Any:
    from cpml.crystallography import load_material
    from cpml.models import CoupledClassifier

    return CoupledClassifier.load(path, load_material("titanium_cp"))


def _check_model(model: Any) -> None:
    """It can be asked: parameters are drawn from it as for a prediction."""
    assert len(model._posterior_draws()) and np.isfinite(list(model.theta_.values())).all(), "theta"


def _arrays(path: Path) -> None:
    from cpml.pipeline.folder import _write_arrays

    content = {"stress": np.eye(3), "ids": np.arange(4), "names": np.array(["a", "é"]), "n": 3, "note": "x"}
    _write_arrays(path, content)


def _arrays_by_script(data: bytes, folder: Path) -> Path:
    path = _in_file(_once("arrays.h5", _arrays), folder, name="arrays.h5")
    with h5py.File(path, "a") as file:
        change_hdf(file, Script(data))
    return path


def _read_arrays(path: Path) -> Any:
    from cpml.pipeline.folder import _read_arrays as read

    return read(path)


def _artefacts() -> Iterator[Target]:
    file = partial(_in_file, name="model.json")
    yield Target("model.json", "models", lambda: [_model()], file, _load_model, _check_model)
    yield Target(
        "model.json+", "models", _scripts, _model_by_script, _load_model, _check_model, is_script=True
    )
    file = partial(_in_file, name="arrays.h5")
    yield Target("arrays.h5", "artefacts", lambda: [_once("arrays.h5", _arrays)], file, _read_arrays)
    yield Target("arrays.h5+", "artefacts", _scripts, _arrays_by_script, _read_arrays, is_script=True)


@cache
def targets() -> dict[str, Target]:
    """Name -> target; a + after the name of a file: its content is changed, not its bytes."""
    with redirect_stdout(io.StringIO()):
        found = (*_maps(), *_others(), *_yaml(), *_artefacts())
    return {target.name: target for target in found}
