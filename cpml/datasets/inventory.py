"""What the files of a data set hold: each is read once, and what cannot be read is said, not raised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cpml.datasets.curve import read_curve
from cpml.datasets.dataset import Dataset, StrainStep
from cpml.datasets.observe import given_boundaries, grains_of, read_dataset_map
from cpml.datasets.phases import modelled_systems
from cpml.errors import CpmlError, DatasetError

if TYPE_CHECKING:
    import numpy as np

    from cpml.microscopy import EbsdMap


@dataclass(frozen=True)
class Entry:
    """One file: its role (of a step: "step name: role"), its name, what is in it or why it cannot be read."""

    role: str
    name: str
    told: str = ""
    error: str = ""


def take_inventory(dataset: Dataset) -> tuple[EbsdMap | None, list[Entry]]:
    """The map as it is declared, and what every file of a data set holds.

    Returns
    -------
    EbsdMap or None : None where there is no map, or it cannot be read as declared
    entries : one a file, in the order of the description
    """
    found: list[EbsdMap] = []
    entries: list[Entry] = []

    def tell(role: str, path: Path, look: Callable[[], str]) -> None:
        try:
            entries.append(Entry(role, path.name, told=look()))
        except CpmlError as error:
            entries.append(Entry(role, path.name, error=str(error)))

    def map_of(described: Dataset) -> str:
        found.append(read_dataset_map(described))
        return about_map(found[-1])

    if "ebsd" in dataset.files:
        tell("ebsd", dataset.files["ebsd"], partial(map_of, dataset))
    main = found[0] if found else None
    for role, value in dataset.files.items():
        for path in value if isinstance(value, list) else [value]:
            if role in READERS:
                tell(role, path, partial(READERS[role], path, main))
            elif role == "labels" and main is not None:
                tell(role, path, partial(_labels, dataset, main))
            elif role == "boundaries" and main is not None:
                tell(role, path, partial(_boundaries, dataset, main))
            elif role == "ecci" and main is not None:
                tell(role, path, partial(_ecci, dataset, main))
            elif role == "dic":
                tell(role, path, partial(_dic, path, dataset))
    for step in dataset.steps:
        own = dataset.at(step)
        for role, path in step.files.items():
            looks = {
                "ebsd": partial(map_of, own),
                "dic": partial(_dic, path, own),
                "gradient": partial(_gradient, step, main),
            }
            if role != "gradient" or main is not None:
                tell(f"{step.name}: {role}", path, looks[role])
    return main, entries


def about_map(ebsd_map: EbsdMap) -> str:
    """Size of a map in one line."""
    rows, columns = ebsd_map.shape
    return (
        f"{ebsd_map.n_pixels:,} points, {columns} columns x {rows} rows, {ebsd_map.grid} grid, "
        f"step {ebsd_map.step_um:g} um, {100 * ebsd_map.indexed.mean():.1f} % indexed"
    )


def about_traces(path: Path, ebsd_map: EbsdMap | None) -> str:
    """How many lines a table of traces has; MapFileError where none of them lies on the map."""
    from cpml.microscopy import read_traces
    from cpml.virtual import recorded

    if recorded.is_public_table(path):
        return "recorded labels of a virtual specimen"
    table = read_traces(path)
    empty = int(table["angle_deg"].isna().sum())
    told = f"{len(table) - empty} lines, {empty} places without a line"
    if ebsd_map is None or not len(table):
        return told
    low, high = ebsd_map.xy.min(0), ebsd_map.xy.max(0)
    inside = int(_inside(table[["x_um", "y_um"]].to_numpy(), low, high, ebsd_map.step_um).sum())
    if not inside:
        raise DatasetError(
            f"{path}: none of its {len(table)} places lies on the map, which spans x {low[0]:g} to "
            f"{high[0]:g}, y {low[1]:g} to {high[1]:g} um: x_um, y_um are read off the axes of the drawn map"
        )
    return told + (f"; {len(table) - inside} lie outside the map" if inside < len(table) else "")


def about_image(path: Path, _map: EbsdMap | None = None) -> str:
    """Size and scale of a picture."""
    from cpml.microscopy import read_image

    image = read_image(path)
    scale = f"{image.pixel_um:.4g} um a pixel" if image.pixel_um else "pixel size not told"
    return f"{image.shape[1]} x {image.shape[0]} pixels, {scale}"


def about_dic(path: Path, _map: EbsdMap | None = None, **options: str) -> str:
    """Size of a displacement field."""
    from cpml.microscopy import read_dic

    field = read_dic(path, **options)
    return f"{field.shape[1]} columns x {field.shape[0]} rows of vectors, {field.step:g} pixels apart"


def about_curve(path: Path, _map: EbsdMap | None = None) -> str:
    """Length of a stress-strain curve."""
    table = read_curve(path)
    return f"{len(table)} points, strain up to {table['true_strain'].abs().max():.3g}"


def about_truth(path: Path, _map: EbsdMap | None = None) -> str:
    """Whether the hidden truth can be read."""
    from cpml.virtual import load_truth

    load_truth(path)
    return "hidden truth, read by scoring only"


READERS: dict[str, Callable[[Path, EbsdMap | None], str]] = {
    "traces": about_traces,
    "images": about_image,
    "curve": about_curve,
    "truth": about_truth,
}


def _dic(path: Path, dataset: Dataset) -> str:
    """Size of a field; DatasetError where nothing lays it on the map."""
    options = {key: dataset.registration.get(f"dic_{key}", "auto") for key in ("y_axis", "zeros")}
    told = about_dic(path, **options)
    if "dic_to_ebsd" not in dataset.registration:
        raise DatasetError(
            f"{dataset.path}: files.dic needs registration.dic_to_ebsd, rows of homologous points"
        )
    return told


def _labels(dataset: Dataset, ebsd_map: EbsdMap) -> str:
    from cpml.microscopy import read_labels

    grains = grains_of(dataset, ebsd_map).grains
    rows = read_labels(dataset.files["labels"], grains, modelled_systems(dataset, ebsd_map))
    return f"{len(rows)} labels of {rows['grain_id'].nunique()} grains"


def _boundaries(dataset: Dataset, ebsd_map: EbsdMap) -> str:
    twins = grains_of(dataset, ebsd_map)
    rows = given_boundaries(dataset, twins, modelled_systems(dataset, ebsd_map))
    return f"{len(rows)} rows of {len(rows[['grain_a', 'grain_b']].drop_duplicates())} boundaries"


def _ecci(dataset: Dataset, ebsd_map: EbsdMap) -> str:
    from cpml.datasets.ecci import ecci_records

    twins = grains_of(dataset, ebsd_map)
    rows = ecci_records(dataset, ebsd_map, twins.grain_label, twins.grains)
    looked = int((rows["seen"] != "").sum())
    return (
        f"{rows['line'].nunique()} lines in {rows['grain_id'].nunique()} grains, {looked} records under "
        f"{rows['g'].nunique()} reflections"
    )


def _gradient(step: StrainStep, ebsd_map: EbsdMap | None) -> str:
    from cpml.microscopy import read_gradient

    assert ebsd_map is not None  # steps need a map
    read_gradient(step.files["gradient"], ebsd_map, y_axis=step.y_axis)
    return "a gradient for the points of the map"


def _inside(places: np.ndarray, low: np.ndarray, high: np.ndarray, margin: float) -> np.ndarray:
    """(n,) bool, whether places (n, 2) lie in a box, with a margin of one step."""
    return ((places >= low - margin) & (places <= high + margin)).all(axis=1)
