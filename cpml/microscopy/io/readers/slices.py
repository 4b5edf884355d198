"""Which slice of a stack, and which of several maps of one file, is read."""

from pathlib import Path

from cpml.errors import MapFileError, ParameterError


def choose(path: Path, slices: list[int], slice: int | None) -> int:
    """The slice asked for; of several one has to be named."""
    if slice is None and len(slices) > 1:
        raise MapFileError(
            f"{path}: a stack of {len(slices)} slices; choose one, slice=0 to "
            f"{len(slices) - 1}, or read_stack(path)"
        )
    if not 0 <= (slice or 0) < len(slices):
        raise ParameterError(f"{path}: slice {slice} is not from 0 to {len(slices) - 1}")
    return slices[slice or 0]


def names_of(places: list[str]) -> list[str]:
    """Names of maps by their places in a file: the first part of each, or the last where those repeat."""
    parts = [place.strip("/").split("/") for place in places]
    names = [part[0] for part in parts]
    return names if len(set(names)) == len(names) else [part[-1] for part in parts]


def choose_scan(path: Path, places: list[str], scan: str | int | None) -> tuple[str, tuple[str, ...]]:
    """The place of the map asked for, by its name there; else the first, with a note naming all.

    Parameters
    ----------
    places : paths of the maps inside the file; the first part of each is its name
    """
    if not places:
        raise MapFileError(f"{path}: no complete map in the file; export it again")
    names = names_of(places)
    if scan is None:
        if len(places) == 1:
            return places[0], ()
        told = ", ".join(names)
        return places[0], (
            f"{len(places)} maps in the file ({told}): {names[0]} was read, reading: scan chooses another",
        )
    if str(scan) not in names:
        raise ParameterError(f"{path}: there is no map {str(scan)!r}; it holds {', '.join(map(repr, names))}")
    return places[names.index(str(scan))], ()
