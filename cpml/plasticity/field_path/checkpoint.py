"""Checkpoints of a path: rows and state in one HDF5 file, written beside the old one, then put in its place.

Nothing but numbers and names of entries is stored, and nothing is executed when it is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from cpml.errors import ParameterError
from cpml.files import write_atomic
from cpml.plasticity.field.full_field import Field
from cpml.plasticity.field.grid import PeriodicGrid
from cpml.plasticity.field_path.record import Row
from cpml.plasticity.field_path.state import CrystalState, FieldState
from cpml.plasticity.laws.twins.reorientation import TwinState

FORMAT = 1
_RECORDS = {r.__name__: r for r in (FieldState, CrystalState, TwinState, Field, PeriodicGrid, Row)}


@dataclass
class Progress:
    """How far a path has come."""

    stage: int = 0
    step: int = 0
    begin: NDArray | None = None  # stress on the free directions when the stage began
    rows: list[Row] = field(default_factory=list)


def write_checkpoint(path: Path, done: Progress, state: FieldState, grain_index: NDArray) -> None:
    """Replace a checkpoint; the old one stays whole until the new one is complete."""

    def write(new: Path) -> None:
        with h5py.File(new, "w") as file:
            file.attrs.update({"format": FORMAT, "stage": done.stage, "step": done.step})
            file["grain_index"] = grain_index
            _write(file, "begin", done.begin)
            _write(file, "rows", tuple(done.rows))
            _write(file, "state", state)

    write_atomic(path, write)


def read_checkpoint(path: Path, grain_index: NDArray) -> tuple[Progress, FieldState]:
    """Progress and state of a checkpoint.

    Raises
    ------
    ParameterError : no checkpoint, another format, or one of another grid
    """
    try:
        with h5py.File(path) as file:
            if file.attrs.get("format") != FORMAT:
                raise ParameterError(f"{path}: not a checkpoint of this version: start the path anew")
            if not np.array_equal(file["grain_index"][()], grain_index):
                raise ParameterError(f"{path}: a checkpoint of another grid: name another file or start anew")
            done = Progress(int(file.attrs["stage"]), int(file.attrs["step"]), _read(file["begin"]))
            done.rows = list(_read(file["rows"]))
            return done, _read(file["state"])
    except (OSError, KeyError) as error:
        raise ParameterError(
            f"{path}: cannot be read as a checkpoint ({error}): start the path anew"
        ) from error


def _write(group: Any, name: str, value: Any) -> None:
    kind = type(value).__name__
    if kind in _RECORDS:
        value = {f.name: getattr(value, f.name) for f in fields(value)}
    if isinstance(value, Mapping | tuple | list):
        own = group.create_group(name)
        own.attrs["kind"] = kind
        items = value.items() if isinstance(value, Mapping) else ((str(i), v) for i, v in enumerate(value))
        for key, entry in items:
            _write(own, key, entry)
        return
    data = (
        h5py.Empty("f8")
        if value is None
        else np.asarray(value.numpy() if isinstance(value, torch.Tensor) else value)
    )
    if isinstance(value, str):
        data = value
    group[name] = data
    group[name].attrs["kind"] = kind


def _read(item: Any) -> Any:
    kind = item.attrs["kind"]
    if isinstance(item, h5py.Group):
        entries = {key: _read(item[key]) for key in item}
        if kind in ("tuple", "list"):
            return tuple(entries[str(i)] for i in range(len(entries)))
        return _RECORDS[kind](**entries) if kind in _RECORDS else entries
    if kind == "NoneType":
        return None
    if kind == "str":
        return item.asstr()[()]
    value = item[()]
    if kind == "Tensor":
        return torch.as_tensor(value)
    return {"int": int, "float": float, "bool": bool}.get(kind, lambda v: v)(value)
