"""Arrays and text in one HDF5 file: written under a temporary name and renamed, sizes checked before reading.
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cpml.errors import MapFileError

MAX_BYTES = 2**33
"""A single array larger than 8 GiB in a file is taken for a mistake, not for a map."""


def write_hdf(path: str | Path, arrays: dict[str, NDArray], attributes: dict[str, str]) -> None:
    """Write arrays (names may contain one "/") and string attributes; the same input gives the same bytes."""
    import h5py

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with h5py.File(temporary, "w", track_order=True) as file:
            for name, value in arrays.items():
                file.create_dataset(
                    name,
                    data=np.asarray(value),
                    compression="gzip",
                    compression_opts=1,
                    shuffle=True,
                    fletcher32=True,
                    track_times=False,
                )
            for name, text in attributes.items():
                file.attrs[name] = text
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_hdf(path: str | Path, *, kind: str) -> tuple[dict[str, NDArray], dict[str, str]]:
    """Arrays and attributes of a file whose attribute "kind" is `kind`; MapFileError otherwise."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            attributes = {k: str(v) for k, v in file.attrs.items()}
            if attributes.get("kind") != kind:
                raise MapFileError(f"{path}: this HDF5 file is no {kind!r}; write it with to_hdf")
            names = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            for name in names:
                if file[name].size * file[name].dtype.itemsize > MAX_BYTES:
                    raise MapFileError(
                        f"{path}: {name} claims {file[name].shape} values, more than {MAX_BYTES} bytes"
                    )
            return {name: file[name][()] for name in names}, attributes
    except (
        OSError,
        KeyError,
        RuntimeError,
        ValueError,
        TypeError,
        OverflowError,
        MemoryError,
    ) as error:  # as damage has it
        raise MapFileError(
            f"{path}: cannot be read as HDF5 ({error}); is it the right file, and complete?"
        ) from error
