"""Damage for files: of bytes, lines and fields, and of what structured files hold.

Structured files (HDF5, .npz, JSON, YAML) are rarely damaged by bytes in a way that passes their own checks.
For those an input of the fuzzer is a script: its bytes choose what is changed in a sound file, and to what.
"""

import json
import random
from contextlib import suppress
from copy import deepcopy

import h5py
import numpy as np

WORDS = (
    *(
        "nan",
        "-inf",
        "1e308",
        "1e-300",
        "0",
        "-1",
        "99999999999",
        "2147483648",
        "1,5",
        "12.56637",
        "-1111111.0",
    ),
    *(
        "#",
        "",
        " ",
        "\t\t",
        "\n\n",
        "\r",
        '"',
        "\x00",
        "é",
        "{",
        "]",
        "!!python/object:os.system",
        "&a",
        "*a",
    ),
)
VALUES = (
    *(
        None,
        True,
        0,
        1,
        -1,
        2,
        3.5,
        1e308,
        -1e308,
        float("nan"),
        float("inf"),
        10**400,
        2**63,
        1e-300,
        180,
        1e6,
    ),
    *("", "x", "a*", "nan", "none", "1", "é" * 300, "../x", "/", "\x00", "map.ctf", "hcp", "fcc", "tension"),
    *(
        [],
        [1],
        [1, 0, 0],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        ["x"] * 9,
        {},
        {"x": 1},
        {"x": {"y": []}},
        [[[[]]]],
    ),
)
"""For JSON and YAML."""


class Script:
    """Choices that the bytes of an input make; when they end, the first of all."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def pick(self, n: int) -> int:
        """A number from 0 to n - 1."""
        word = self.data[self.at : self.at + 2]
        self.at += 2
        return int.from_bytes(word, "little") % n

    def choose(self, options):
        """One of several."""
        return options[self.pick(len(options))]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """A file with one to eight damages."""
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        data = rng.choice((_cut, _byte, _insert, _line, _field, _overwrite, _swap))(data, rng)
    return data


def _place(data: bytes, rng: random.Random) -> int:
    return rng.randrange(len(data)) if data else 0


def _cut(data: bytes, rng: random.Random) -> bytes:
    first, last = sorted((_place(data, rng), _place(data, rng)))
    return data[:first] if rng.random() < 0.3 else data[:first] + data[last:]


def _byte(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.choice(WORDS).encode() + data[at:]


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    at, word = (
        _place(data, rng),
        rng.choice((b"\xff" * 4, b"\x00" * 4, b"\x00\x00\xc0\x7f", b"\xff\xff\xff\x7f")),
    )
    return data[:at] + word + data[at + len(word) :]


def _swap(data: bytes, rng: random.Random) -> bytes:
    size = rng.randrange(1, 17)
    source, target = _place(data, rng), _place(data, rng)
    return data[:target] + data[source : source + size] + data[target + size :]


def _line(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    if rng.random() < 0.5:
        lines.insert(rng.randrange(len(lines)), lines[at])
    else:
        del lines[at]
    return b"\n".join(lines)


def _field(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    mark = next((m for m in (b"\t", b",", b";", b": ", b"=", b" ") if m in lines[at]), b" ")
    fields = lines[at].split(mark)
    fields[rng.randrange(len(fields))] = rng.choice(WORDS).encode()
    lines[at] = mark.join(fields)
    return b"\n".join(lines)


def changed_tree(tree, script: Script):
    """A JSON or YAML value with one to four entries changed, removed, added or copied from elsewhere."""
    tree = json.loads(json.dumps(tree))
    for _ in range(1 + script.pick(4)):
        places = list(_places(tree))
        if not places:
            return tree
        holder, key = script.choose(places)
        what = script.pick(5)
        if what == 0:
            del holder[key]
        elif what == 1:
            other, its = script.choose(places)
            holder[key] = json.loads(json.dumps(other[its])) if _has(other, its) else None
        elif what == 2 and isinstance(holder, dict):
            holder[str(script.choose(VALUES))[:40]] = deepcopy(script.choose(VALUES))
        else:
            holder[key] = deepcopy(script.choose(VALUES))
    return tree


def _has(holder, key) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def _places(tree):
    """(holder, key) of every entry, depth first."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


def as_yaml(tree) -> bytes:
    """Text of a tree; JSON is YAML."""
    return json.dumps(tree, ensure_ascii=False, indent=0).encode()


def changed_array(value, script: Script):
    """An array of another shape, type or content; None: none at all."""
    value = np.asarray(value)
    what = script.pick(11)
    if what == 0:
        return None
    if what == 1:
        return np.asarray(script.choose((0, -1, 1, 2**31 - 1, 1e308, np.nan, b"", b"x" * 70_000)))
    if what == 2:
        return value[: script.pick(4)] if value.ndim else value
    if what == 3:
        return value[..., None] if script.pick(2) else value.ravel()
    if what == 4:
        return np.zeros((0, *value.shape[1:]), value.dtype)
    if what == 5 and value.dtype.kind in "iuf":
        with np.errstate(invalid="ignore", over="ignore"):
            return value.astype(script.choose(("i1", "u1", "i8", "f2", "f8", "c16", "?", "S3")))
    if what == 6:
        return np.concatenate([value, value]) if value.ndim else np.stack([value, value])
    if what == 7:
        return np.full(value.shape, script.choose((b"nan", b"", b"1.5", b"\xff")))
    if what == 8 and value.ndim > 1:
        return np.swapaxes(value, 0, 1)
    if value.size and value.dtype.kind in "iuf":
        new = value.copy()
        junk = script.choose((0, -1, 1, 127, 1e30, np.nan, np.inf, 4 * np.pi, 1e-30))
        with np.errstate(invalid="ignore", over="ignore"):
            if script.pick(2):
                new.flat[script.pick(new.size)] = np.asarray(junk).astype(new.dtype)
            else:
                new[...] = np.asarray(junk).astype(new.dtype)
        return new
    return np.asarray(script.choose((b"Nickel", b"", "é" * 30, b"1", b"HexGrid")), h5py.string_dtype())


def change_hdf(file: h5py.File, script: Script) -> None:
    """Change one to four arrays, groups or attributes of an open HDF5 file, where the library lets it."""
    for _ in range(1 + script.pick(4)):
        names: list[str] = []
        file.visit(names.append)
        if names:
            with suppress(KeyError, OSError, RuntimeError, TypeError, ValueError):
                _change_one(file, sorted(names), script)


def _change_one(file: h5py.File, names: list[str], script: Script) -> None:
    name = script.choose(names)
    item, what = file[name], script.pick(8)
    if what == 0:
        del file[name]
    elif what == 1:
        holder = item if script.pick(2) else file
        key = script.choose([*holder.attrs, "kind", "shape"])
        holder.attrs[key] = script.choose(("", "[]", "[NaN, 1]", "[3, 4]", "{}", 7, np.nan, np.arange(3)))
    elif what == 2:
        file.move(name, f"{script.choose(names)}_{len(names)}")
    elif what == 3:
        del file[name]
        file[name] = script.choose((h5py.SoftLink("/"), h5py.ExternalLink("other.h5", "x"), np.zeros(3)))
    elif what == 4:
        del file[name]
        file.create_dataset(name, shape=(2**28, 2 ** script.pick(20)), dtype="f4", chunks=(1024, 1))
    elif isinstance(item, h5py.Dataset) and item.size < 10**6:  # not one that claims much
        new = changed_array(item[()], script)
        del file[name]
        if new is not None:
            file[name] = new
