"""Where things are. The environment is read at each call: a test or a cluster job can point elsewhere.

| variable           | meaning                                                  | default                    |
|--------------------|----------------------------------------------------------|----------------------------|
| `CPML_ROOT`        | the checkout: notebooks, data sets, catalogue, lock      | as :func:`checkout` finds  |
| `CPML_OUTPUT`      | what the notebooks write: `data/derived`, `reports`      | checkout or current folder |
| `CPML_DATA`        | folders of your own data sets, separated as in `PATH`    | none                       |
| `CPML_DATA_MIRROR` | public data laid out as in the catalogue, `<set>/<file>` | none                       |
| `CPML_REFERENCE`   | reference material for checks, named by some data sets   | none                       |
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from cpml.errors import CpmlError, DatasetError

PACKAGE = Path(__file__).resolve().parent

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def from_environment(variable: str) -> Path | None:
    """Absolute folder that an environment variable names, or None where it is unset or empty."""
    value = os.environ.get(variable)
    return Path(value).expanduser().resolve() if value else None


def checkout() -> Path | None:
    """The checkout, or None where the package is a library and no more.

    It is what `CPML_ROOT` names, else the folder that the package lies in (an editable install), else the
    current folder or one above it.
    """
    named = from_environment("CPML_ROOT")
    if named is not None or _is_checkout(PACKAGE.parent):
        return named or PACKAGE.parent
    here = Path.cwd()
    return next(filter(_is_checkout, (here, *here.parents)), None)


def root() -> Path:
    """The checkout.

    Raises
    ------
    CpmlError : there is none
    """
    found = checkout()
    if found is None:
        raise CpmlError(
            f"notebooks and data sets are not part of the installed package {PACKAGE}: fetch a checkout of "
            "cpml and set CPML_ROOT to it, or start in its folder"
        )
    return found


def output() -> Path:
    """Where `data/derived` and `reports` lie."""
    return from_environment("CPML_OUTPUT") or checkout() or Path.cwd()


def _is_checkout(folder: Path) -> bool:
    return (folder / "notebooks").is_dir() and (folder / "data" / "catalogue.yml").is_file()


def data() -> Path:
    """Folder of the data sets and the catalogue."""
    return root() / "data"


def data_folders() -> list[Path]:
    """Folders in which a data set is found by its name: `data`, then those of CPML_DATA."""
    named = os.environ.get("CPML_DATA", "").split(os.pathsep)
    own = [Path(folder).expanduser().resolve() for folder in named if folder.strip()]
    return list(dict.fromkeys([*([data()] if checkout() else []), *own]))


def notebooks() -> Path:
    """Folder of the notebooks."""
    return root() / "notebooks"


def derived(run: str) -> Path:
    """Folder of the tables and arrays that the notebooks of a run hand to each other."""
    return output() / "data" / "derived" / safe_run(run)


def reports(run: str) -> Path:
    """Folder of what people read: executed notebooks, figures, tables, metrics, index.html."""
    return output() / "reports" / safe_run(run)


def safe_run(name: str) -> str:
    """`name` when it names a run: `<dataset>`, or `<dataset>@<tag>` for other parameters; else DatasetError.

    >>> safe_run("demo@seed-1")
    'demo@seed-1'
    """
    dataset, at, tag = name.partition("@") if isinstance(name, str) else (name, "", "")
    safe_name(dataset)
    if at:
        safe_name(tag, what="tag of a run")
    return name


def safe_name(name: str, *, what: str = "data set name") -> str:
    """`name` when it can be one folder or file name on every system, else DatasetError.

    >>> safe_name("mg-twins_2.1")
    'mg-twins_2.1'
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > 100:
        raise DatasetError(
            f"{what} {name!r}: use letters, digits, '.', '_' and '-' only, not starting with '.'"
        )
    return name


def inside(folder: Path, relative: str) -> Path:
    """`folder / relative`, or DatasetError where `relative` is absolute or climbs out of the folder.

    The check is on the words: a link inside the folder may point anywhere its owner wants.
    """
    parts = PurePosixPath(relative.replace("\\", "/")).parts
    is_absolute = PurePosixPath(relative).is_absolute() or PureWindowsPath(relative).anchor
    if not relative.strip() or "\0" in relative or is_absolute or ".." in parts:
        raise DatasetError(
            f"path {relative!r} leaves its folder {folder}: name a file inside it "
            "(copy or link the file there)"
        )
    return folder.joinpath(*parts)
