"""Arrays and text in one HDF5 file: written under a temporary name and renamed, sizes
checked before reading.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cpml.errors import MapFileError

if TYPE_CHECKING:
    import h5py

EXPANSION = 64
"""Largest ratio of a foreign array's bytes to its file's: measured values never pack this well."""
SMALL = 2**20
"""Bytes that any file may unpack to, however small it is."""
DEFLATE = 1100
"""Bytes that one stored byte can stand for at most (deflate: 1032)."""
OWN_SMALL = 2**28
"""Bytes that a file of our own may unpack to, however small: a map without noise packs a thousandfold."""


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
                raise MapFileError(f"{path}: this HDF5 file is no {kind!r}; write it with write_map_file")
            names = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            for name in names:
                _check_claim(Path(path), name, file[name])
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


def _check_claim(path: Path, name: str, dataset: h5py.Dataset) -> None:
    """Refuse an array that claims more than its own chunks, or this file, can hold, or
    that lies elsewhere.
    """
    claimed = dataset.size * dataset.dtype.itemsize
    most = min(DEFLATE * dataset.id.get_storage_size(), max(EXPANSION * path.stat().st_size, OWN_SMALL))
    if dataset.is_virtual or dataset.external or claimed > most + SMALL:
        raise MapFileError(
            f"{path}: {name} claims {dataset.shape} values, {claimed:,} bytes, more than the file holds; "
            "write it again with write_map_file"
        )
