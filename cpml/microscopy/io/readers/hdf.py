"""HDF5 map files from strangers: every array is checked before it is read.

Only arrays that lie in the file itself are read (no external or symbolic links, no virtual data), and none
that unpacks to more than EXPANSION times the file: a header that lies about its size costs nothing. Whatever
damage does to the library ends as one MapFileError.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cpml.errors import CpmlError, MapFileError
from cpml.microscopy.io.hdf_arrays import EXPANSION, SMALL
from cpml.microscopy.io.readers.common import decoded, positive

if TYPE_CHECKING:
    import h5py

MAX_MEMBERS, MAX_TEXTS, MAX_NUMBERED = 1000, 256, 255
"""Of a group, of a text dataset, and of the phases or slices of a file: more is damage."""
HEAP_HEADER = 16
"""Bytes before the objects of a global heap, and before the content of each object."""
DEPTH = 4
"""How deep vendors bury a scan at most."""


@dataclass(frozen=True)
class Hdf:
    """An open HDF5 file with checked access by path inside it."""

    path: Path
    file: Any
    size: int

    def fail(self, place: str, why: str, remedy: str = "export the map again") -> MapFileError:
        """The error for a place in the file."""
        return MapFileError(f"{self.path}: {place}: {why}; {remedy}")

    def item(self, place: str) -> h5py.Group | h5py.Dataset | None:
        """Group or dataset, or None where there is none; links that leave the file are refused."""
        import h5py

        item = self.file
        for part in [p for p in place.split("/") if p]:
            if not isinstance(item, h5py.Group):
                return None
            link = item.get(part, getlink=True)
            if link is None:
                return None
            if not isinstance(link, h5py.HardLink):
                raise self.fail(place, "is a link, not data", "copy the data into the file")
            item = item[part]
        return item

    def has(self, *places: str) -> bool:
        """True where all of the places exist."""
        return all(self.item(place) is not None for place in places)

    def members(self, place: str) -> list[str]:
        """Names in a group, at most MAX_MEMBERS; [] where there is no such group."""
        import h5py

        group = self.item(place)
        if not isinstance(group, h5py.Group):
            return []
        if len(group) > MAX_MEMBERS:
            raise self.fail(place or "/", f"{len(group):,} members, more than {MAX_MEMBERS}")
        return list(group)

    def dataset(self, place: str) -> h5py.Dataset:
        """A dataset that may be read: in this file, of a plain type, not larger than the file can hold."""
        import h5py

        found = self.item(place)
        if not isinstance(found, h5py.Dataset):
            raise self.fail(place, "is missing", "this is no complete map: export it again")
        if found.is_virtual or found.external:
            raise self.fail(place, "refers to other files", "copy the data into the file")
        chunk = int(np.prod(found.chunks, dtype=float)) if found.chunks else 0
        most = max(int(found.size or 0), chunk) * found.dtype.itemsize
        if most > EXPANSION * self.size + SMALL:
            raise self.fail(
                place,
                f"claims {found.shape} values, {most:,} bytes, in a file of {self.size:,}",
                "the file is damaged: export the map again",
            )
        return found

    def array(self, place: str, shape: tuple[int, ...] | None = None, *, whole: bool = False) -> NDArray:
        """Numbers of a dataset; `shape` with -1 for free sizes, extra axes of length 1
        dropped; `whole`: integers.

        Raises
        ------
        MapFileError : no such dataset, not numeric, or of another size
        """
        found = self.dataset(place)
        if found.dtype.kind not in "iufb" or (whole and found.dtype.kind == "f"):
            raise self.fail(place, f"type {found.dtype} where numbers are needed")
        values = np.asarray(found[()])
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        if shape is None:
            return values
        size = int(np.prod([n for n in shape if n > 0]))
        if values.size == 0 or values.size % size or (-1 not in shape and values.size != size):
            raise self.fail(
                place,
                f"{values.shape} values where {shape} are needed",
                "the file is cut off or damaged: export the map again",
            )
        return values.reshape(shape)

    def stacked(self, place: str, names: Sequence[str], n: int) -> NDArray:
        """(n, k) float: k datasets of a group, side by side."""
        return np.stack([self.array(f"{place}/{name}", (n,)) for name in names], axis=1).astype(float)

    def columns(self, place: str, names: Mapping[str, str], n: int) -> dict[str, NDArray]:
        """Those of the datasets `names` that the group has, (n,) each, under the names that they map to."""
        return {
            key: self.array(f"{place}/{name}", (n,))
            for name, key in names.items()
            if self.has(f"{place}/{name}")
        }

    def number(self, *places: str, kind: type = float) -> Any:
        """A number above zero from the first place that exists."""
        place = self.first(*places)
        value = self.value(place)
        text = str(int(value)) if kind is int and float(value).is_integer() else str(value)
        return positive(self.path, place, place.split("/")[-1], text, kind)

    def value(self, place: str) -> float:
        """A finite number, of a numeric or a text dataset of one value."""
        found = self.dataset(place)
        try:
            values = self.array(place, (-1,)) if found.dtype.kind in "iufb" else [self.text(place)]
            value = float(values[0])
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            raise self.fail(place, "is no finite number")
        return value

    def text(self, place: str, default: str | None = None) -> str:
        """Text of a dataset of one value; `default` where there is none."""
        if default is not None and not self.has(place):
            return default
        found = self.texts(place)
        if len(found) != 1:
            raise self.fail(place, f"{len(found)} values where one text is needed")
        return found[0]

    def texts(self, place: str) -> list[str]:
        """Texts of a dataset of at most MAX_TEXTS values."""
        found = self.dataset(place)
        if not 1 <= found.size <= MAX_TEXTS:
            raise self.fail(place, f"{found.shape} values where 1 to {MAX_TEXTS} texts are needed")
        raw = self._from_heap(place, found) if found.dtype.kind == "O" else None
        values = [
            decoded(v) if isinstance(v, bytes) else str(v)
            for v in (np.ravel(found[()]) if raw is None else raw)
        ]
        return [v.strip("\x00 \t\r\n") for v in values]

    def _from_heap(self, place: str, found: h5py.Dataset) -> list[bytes] | None:
        """Texts of variable length, read from the file's heap without the library, which takes what a damaged
        heap says for true: it waits for ever, or dies.

        On disk each text is its length (4 bytes), the address of a heap (8) and its number there (4). None
        where these records cannot be seen (in an object header, or compressed): the library reads them.
        """
        offset = found.id.get_offset()
        if offset is None and found.chunks and not found.id.get_create_plist().get_nfilters():
            offset = found.id.get_chunk_info(0).byte_offset if found.id.get_num_chunks() else None
        if offset is None or self.file.id.get_create_plist().get_sizes() != (8, 8):
            return None
        record = np.dtype([("length", "<u4"), ("heap", "<u8"), ("number", "<u4")])
        with open(self.path, "rb") as file:
            file.seek(offset)
            raw = file.read(record.itemsize * found.size)
            records = np.frombuffer(raw[: len(raw) // record.itemsize * record.itemsize], record)
            if len(records) < found.size or records["length"].sum(dtype=np.int64) > self.size:
                raise self.fail(
                    place, "text longer than the file", "the file is damaged: export the map again"
                )
            texts = [self._heap_text(file, *map(int, one)) for one in records]
        if any(text is None for text in texts):
            raise self.fail(
                place, "text that is not in the file", "the file is damaged: export the map again"
            )
        return [text for text in texts if text is not None]

    def _heap_text(self, file: BinaryIO, length: int, heap: int, number: int) -> bytes | None:
        """Object `number` of the global heap at an address; None where there is no such heap or object."""
        if length == 0:
            return b""
        start = self.file.userblock_size + heap
        if start + HEAP_HEADER > self.size:
            return None
        file.seek(start)
        header = file.read(HEAP_HEADER)
        size = int.from_bytes(header[8:16], "little")
        if header[:4] != b"GCOL" or not HEAP_HEADER < size <= self.size - start:
            return None
        body, at = file.read(size - HEAP_HEADER), 0
        while at + HEAP_HEADER <= len(body):
            found, n = (int.from_bytes(body[at + i : at + j], "little") for i, j in ((0, 2), (8, 16)))
            if found == number:
                text = body[at + HEAP_HEADER : at + HEAP_HEADER + n]
                return text[:length] if len(text) >= length else None
            if found == 0:  # the free rest
                return None
            at += HEAP_HEADER + -(-n // 8) * 8
        return None

    def numbers_of_attribute(self, place: str, name: str) -> NDArray:
        """Numbers of an attribute; [] where it is absent or of another type."""
        attributes = self.item(place).attrs
        if name not in attributes or attributes.get_id(name).dtype.kind not in "iuf":
            return np.empty(0)
        return np.ravel(attributes[name])

    def first(self, *places: str) -> str:
        """The first of the places that exists."""
        for place in places:
            if self.has(place):
                return place
        raise self.fail(places[0], "is missing", "this is no complete map: export it again")

    def integer_keys(self, place: str) -> list[int]:
        """Members of a group whose names are numbers, sorted."""
        keys = sorted(
            int(name) for name in self.members(place) if name.isascii() and name.isdigit() and len(name) < 6
        )
        if not keys or len(keys) > MAX_NUMBERED:
            raise self.fail(place, f"{len(keys)} numbered members where 1 to {MAX_NUMBERED} are needed")
        return keys

    def find(self, *names: str) -> list[str]:
        """Paths of the groups, at most DEPTH deep, that have all the members `names`, in order."""
        import h5py

        found, level = [], [""]
        for _ in range(DEPTH + 1):
            below = []
            for place in level:
                if self.has(*[f"{place}/{name}" for name in names]):
                    found.append(place)
                    continue
                for name in self.members(place):
                    link = self.item(place).get(name, getlink=True)
                    if isinstance(link, h5py.HardLink) and isinstance(
                        self.item(f"{place}/{name}"), h5py.Group
                    ):
                        below.append(f"{place}/{name}")
            level = below[:MAX_MEMBERS]
        return found


@contextmanager
def opened(path: Path) -> Iterator[Hdf]:
    """The file, open for reading; every failure of the library inside the block is a MapFileError."""
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            yield Hdf(path, file, path.stat().st_size)
    except CpmlError:
        raise
    except (
        OSError,
        KeyError,
        RuntimeError,
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
        MemoryError,
        UnicodeError,
        IndexError,
    ) as error:
        told = " ".join(str(error).split())[:160]
        raise MapFileError(
            f"{path}: cannot be read as HDF5 ({told}); is it the right file, and complete? copy it again"
        ) from error
