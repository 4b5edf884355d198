"""Full fields as files: paths in HDF5, voxels as VTK image data (.vti) for ParaView and its kin.

An HDF5 file of a path has the groups `mean` (T states), `grains` (T states of G grains) and `voxels` (the
last state); every array carries its `unit` and `meaning`. Axes of the grid run from the slowest to the
fastest: (slices,) rows, columns. In a .vti file every voxel is a cell, x fastest; tensors are row by row.
"""

import base64
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

import h5py
import numpy as np
from numpy.typing import NDArray

from cpml.errors import ParameterError
from cpml.files import write_atomic
from cpml.plasticity.field.full_field import Field
from cpml.plasticity.field_path.record import FieldPath
from cpml.plasticity.field_path.state import Observation

FORMAT = "cpml full-field path 1"


class _Column(NamedTuple):
    group: str
    unit: str
    meaning: str


_COLUMNS = {
    "stage": _Column("mean", "", "stage of the load path, from 0"),
    "time": _Column("mean", "s", "time"),
    "strain": _Column("mean", "", "von Mises strain of the mean"),
    "gradient": _Column("mean", "", "mean deformation gradient, sample frame"),
    "stress": _Column("mean", "MPa", "mean Cauchy stress, sample frame"),
    "n_iter": _Column("mean", "", "answers of the voxels in the last increment before the state"),
    "residual": _Column("mean", "", "what each increment was solved to"),
    "grain_stress": _Column("grains", "MPa", "mean Cauchy stress, sample frame"),
    "grain_gradient": _Column("grains", "", "mean deformation gradient, sample frame"),
    "grain_matrix": _Column("grains", "", "mean lattice, crystal_to_sample matrix"),
    "grain_shear": _Column("grains", "", "accumulated shear of every mode"),
    "grain_strength": _Column("grains", "MPa", "strength of every mode"),
    "grain_twinned": _Column("grains", "", "twinned fraction"),
    "stress_scatter": _Column("grains", "MPa", "standard deviation of the von Mises stress inside the grain"),
    "orientation_spread": _Column("grains", "deg", "mean angle of the voxels from the grain's mean lattice"),
}
_VOXELS = {
    "cauchy": _Column("voxels", "MPa", "Cauchy stress, sample frame"),
    "matrices": _Column("voxels", "", "lattice, crystal_to_sample matrix"),
    "gradient": _Column("voxels", "", "deformation gradient, sample frame"),
    "shear": _Column("voxels", "", "accumulated shear of every mode"),
    "strength": _Column("voxels", "MPa", "strength of every mode; NaN in other phases"),
    "twinned": _Column("voxels", "", "twinned fraction"),
}
_TYPES = {"f": "Float", "i": "Int", "u": "UInt"}


def write_path(path: FieldPath, file: Path | str) -> Path:
    """Write a path as HDF5 (module docstring); an old file stays whole until the new one is complete.

    Examples
    --------
    >>> import tempfile
    >>> from cpml.load import Load
    >>> from cpml.crystallography import systems
    >>> from cpml.plasticity import PowerLaw, full_field_path
    >>> law = PowerLaw(systems("fcc", families=["octahedral"]), [30.0], 20.0, 1e-3)
    >>> pull = Load.from_dict({"kind": "tension", "axis": "x"})
    >>> path = full_field_path(law, np.zeros((2, 2), int), np.eye(3)[None], loading=pull, strain=0.001)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = read_path(write_path(path, folder + "/path.h5"))
    >>> again.table().equals(path.table())
    True
    """
    shape = path.grain_index.shape

    def write(new: Path) -> None:
        with h5py.File(new, "w") as store:
            store.attrs["format"] = FORMAT
            _put(store, "grain_index", path.grain_index, _Column("", "", "grain of every voxel; -1: none"))
            edges = np.asarray(path.step, float)
            _put(store, "step", edges, _Column("", "um", "edges of a voxel along x, y, z"))
            modes = np.array(path.modes, dtype=h5py.string_dtype())
            _put(store, "modes", modes, _Column("", "", "family of every slip or twin system"))
            for name, column in _COLUMNS.items():
                _put(store, f"{column.group}/{name}", getattr(path, name), column)
            for name, column in _VOXELS.items():
                values = getattr(path.last, name)
                _put(store, f"{column.group}/{name}", values.reshape(*shape, *values.shape[1:]), column)

    return write_atomic(Path(file), write)


def read_path(file: Path | str) -> FieldPath:
    """The record of a path that `write_path` wrote. Its ``state`` is None: paths go on from checkpoints.

    Raises
    ------
    ParameterError : a file that is none, or is damaged
    """
    try:
        with h5py.File(file) as store:
            if store.attrs.get("format") != FORMAT:
                raise ParameterError(f"{file}: not a path of this version: write it anew with write_path")
            grain_index = store["grain_index"][()]
            columns = {name: store[f"{c.group}/{name}"][()] for name, c in _COLUMNS.items()}
            last = {}
            for name, column in _VOXELS.items():
                values = store[f"{column.group}/{name}"][()]
                last[name] = values.reshape(grain_index.size, *values.shape[grain_index.ndim :])
            return FieldPath(
                grain_index=grain_index,
                step=tuple(store["step"][()].tolist()),
                modes=tuple(store["modes"].asstr()[()]),
                last=Observation(**last),
                state=None,
                **columns,
            )
    except (OSError, KeyError, ValueError) as error:
        raise ParameterError(f"{file}: cannot be read as a path ({error}): write it anew") from error


def voxel_fields(result: Field | FieldPath) -> dict[str, NDArray]:
    """Arrays (*grid, ...) by name, with their unit in it: of a field, or of the last state of a path."""
    shape = result.grain_index.shape
    if isinstance(result, Field):
        return {
            "stress_MPa": result.cauchy,
            "velocity_gradient_per_s": result.velocity_gradient,
            "shear_rate_per_s": result.shear_rate,
        }
    names = {"cauchy": "stress_MPa", "strength": "strength_MPa", "matrices": "crystal_to_sample"}
    arrays = {names.get(f.name, f.name): getattr(result.last, f.name) for f in fields_of(result.last)}
    return {name: values.reshape(*shape, *values.shape[1:]) for name, values in arrays.items()}


def write_vti(
    file: Path | str,
    grain_index: NDArray,
    step: float | tuple[float, ...],
    fields: dict[str, NDArray],
) -> Path:
    """Write voxel values as VTK image data.

    Parameters
    ----------
    file : path of the .vti file; an old one stays whole until the new one is complete
    grain_index : (rows, columns) or (slices, rows, columns); it is written as well
    step : edges of a voxel: one number, or along x, y(, z), um
    fields : arrays (*grid, ...) by name, as of `voxel_fields`; what follows the grid becomes components,
        a 3 x 3 tensor nine of them, row by row

    Raises
    ------
    ParameterError : a field of another grid or without numbers; edges that are not positive
    """
    shape = grain_index.shape
    edges = np.ones(3)
    edges[: len(shape)] = step if np.ndim(step) == 0 else np.asarray(step)[: len(shape)]
    if len(shape) not in (2, 3) or not (edges > 0).all():
        raise ParameterError(f"step = {step!r} and a grid {shape}: give positive edges, and a map or volume")
    arrays = [_data_array("grain_index", np.asarray(grain_index), shape)]
    arrays += [_data_array(name, np.asarray(values), shape) for name, values in fields.items()]
    nz, ny, nx = (1, *shape) if len(shape) == 2 else shape
    extent = f"0 {nx} 0 {ny} 0 {nz}"
    spacing = " ".join(repr(float(edge)) for edge in edges)
    lines = [
        '<?xml version="1.0"?>',
        '<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
        f'<ImageData WholeExtent="{extent}" Origin="0 0 0" Spacing="{spacing}">',
        f'<Piece Extent="{extent}">',
        '<CellData Scalars="grain_index">',
        *arrays,
        "</CellData>",
        "</Piece>",
        "</ImageData>",
        "</VTKFile>",
    ]
    text = "\n".join(lines) + "\n"
    return write_atomic(Path(file), lambda new: new.write_text(text, encoding="utf-8"))


def _put(store: Any, name: str, values: Any, column: _Column) -> None:
    store[name] = values
    store[name].attrs.update({"unit": column.unit, "meaning": column.meaning})


def _data_array(name: str, values: NDArray, shape: tuple[int, ...]) -> str:
    """One DataArray: base64 of the number of bytes (uint64) and of the bytes, little endian."""
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    if values.shape[: len(shape)] != shape or values.dtype.kind not in _TYPES:
        raise ParameterError(
            f"{name}: values of shape {values.shape} and type {values.dtype}: give numbers for each voxel of "
            f"the grid {shape}"
        )
    data = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    kind = f"{_TYPES[data.dtype.kind]}{8 * data.dtype.itemsize}"
    components = data.size // int(np.prod(shape))
    content = np.array(data.nbytes, "<u8").tobytes() + data.tobytes()
    return (
        f'<DataArray type="{kind}" Name={quoteattr(name)} NumberOfComponents="{components}" format="binary">'
        f"{base64.b64encode(content).decode('ascii')}</DataArray>"
    )
