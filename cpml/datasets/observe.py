"""What a data set shows of deformation, collected from wherever it was recorded: slip traces and
bands per grain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cpml.datasets.dataset import Dataset
from cpml.datasets.phases import described, with_declared_phases
from cpml.errors import DatasetError, ParameterError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cpml.crystallography import Systems
    from cpml.microscopy import EbsdMap, Grains, RegisteredDic, Registration, SemImage, Twins

IMAGE_SIGMA_DEG = 1.0
"""Added in quadrature to the error of a line in an image: distortion that the registration leaves."""


@dataclass(frozen=True)
class Footprints:
    """Lines seen on the surface of each grain.

    Attributes
    ----------
    traces : table grain_id, angle_deg (NaN: looked at, nothing seen), source; sigma_deg where known
    dic : the registered HR-DIC field, or None
    image : the registered image and its lines, or None
    """

    traces: pd.DataFrame
    dic: RegisteredDic | None
    image: ImageLines | None = None


@dataclass(frozen=True)
class ImageLines:
    """A picture on the grains of a map.

    Attributes
    ----------
    image : rows levelled, uneven brightness taken out grain by grain
    to_map : from image (column, row) to map (column, row)
    label : (rows, columns) grain of every pixel, 0 = none
    lines : table of `detect_traces`, angles as in the image
    """

    image: SemImage
    to_map: Registration
    label: NDArray
    lines: pd.DataFrame

    def traces(self) -> pd.DataFrame:
        """The lines as traces on the map: grain_id, angle_deg, sigma_deg, source."""
        import numpy as np

        found = self.lines
        rows, columns = np.indices(self.label.shape)
        inside = self.label > 0
        centre = [
            np.bincount(self.label[inside], v[inside]) / np.maximum(np.bincount(self.label[inside]), 1)
            for v in (columns, rows)
        ]
        at = np.stack([v[found["grain_id"]] for v in centre], axis=-1)
        known = found["angle_deg"].notna().to_numpy()
        angle = np.full(len(found), np.nan)
        angle[known] = self.to_map.turn_lines(found["angle_deg"].to_numpy()[known], at[known])
        sigma = np.hypot(found["sigma_deg"], IMAGE_SIGMA_DEG)
        return found[["grain_id"]].assign(angle_deg=angle, sigma_deg=sigma, source="image")


def observe(dataset: Dataset, ebsd_map: EbsdMap, label: NDArray) -> Footprints:
    """Lines of all sources assigned to grains: drawn by hand (files: traces), bands of the HR-DIC field
    (unless labels: dic: none) and, with labels: images: auto, lines of the first image.

    Parameters
    ----------
    label : (N,) grain of every map pixel

    Raises
    ------
    DatasetError : an HR-DIC field without registration points
    """
    import pandas as pd

    dic = registered_field(dataset, ebsd_map, label) if "dic" in dataset.files else None
    image = image_lines(dataset, ebsd_map, label) if dataset.uses("images") else None
    drawn = drawn_traces(dataset, ebsd_map, label)
    tables = [
        drawn,
        *([] if dic is None else [dic_traces(dataset, dic)]),
        *([] if image is None else [image.traces()]),
    ]
    used = [table for table in tables if len(table)] or [drawn]
    return Footprints(pd.concat(used, ignore_index=True), dic, image)


def drawn_traces(dataset: Dataset, ebsd_map: EbsdMap, label: NDArray) -> pd.DataFrame:
    """Traces of files: traces with the grain (N,) they lie in: grain_id, angle_deg, source,
    sigma_deg where known.
    """
    import pandas as pd

    if "traces" not in dataset.files:
        types = {"grain_id": int, "angle_deg": float, "source": str}
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})
    drawn = _drawn(dataset.files["traces"], ebsd_map, label)
    return drawn[drawn["grain_id"] > 0].assign(source="traces")


def given_labels(dataset: Dataset, grains: pd.DataFrame, systems: dict[int, Systems]) -> pd.DataFrame:
    """Label rows of files: labels for the grains of a map; none without that file."""
    from cpml.microscopy import label_rows, read_labels

    if "labels" not in dataset.files:
        return label_rows([], [])
    return read_labels(dataset.files["labels"], grains, systems)


def given_boundaries(dataset: Dataset, twins: Twins, systems: dict[int, Systems]) -> pd.DataFrame:
    """Rows of files: boundaries for the boundaries of a map; none without that file."""
    import pandas as pd

    from cpml.microscopy import read_boundaries

    if "boundaries" not in dataset.files:
        return pd.DataFrame()
    return read_boundaries(dataset.files["boundaries"], twins.grains, twins.grain_boundaries, systems)


def slip_at_boundaries(
    dataset: Dataset, ebsd_map: EbsdMap, twins: Twins, systems: dict[int, Systems]
) -> pd.DataFrame:
    """Whether slip passes each boundary between two grains, and what may decide that
    (`cpml.microscopy.slip_transfer`): by the bands of the HR-DIC field (unless labels: dic: none), drawn
    traces and files: boundaries. The most stressed systems are those of the largest stress over the
    material's strength.

    Parameters
    ----------
    systems : of each phase id

    Raises
    ------
    DatasetError : an HR-DIC field without registration points
    """
    from cpml.microscopy import pieces_between, slip_transfer

    label, shown = twins.grain_label, {}
    if "dic" in dataset.files and dataset.uses("dic"):
        shown = {
            "dic": registered_field(dataset, ebsd_map, label),
            "pieces": pieces_between(twins.segmentation, label),
        }
    return slip_transfer(
        twins.grain_boundaries,
        twins.grains,
        systems,
        **shown,
        traces=drawn_traces(dataset, ebsd_map, label),
        given=given_boundaries(dataset, twins, systems),
        stress=None if dataset.load is None else dataset.load.stress,
        strength={
            family: parameters.strength
            for phase in dataset.modelled
            for family, parameters in dataset.material(phase.name).families.items()
        },
    )


def registered_field(dataset: Dataset, ebsd_map: EbsdMap, label: NDArray) -> RegisteredDic:
    """The HR-DIC field on the grains (N,) of the map.

    Raises
    ------
    DatasetError : no registration points, or points that fix no registration
    """
    from cpml.microscopy import register_dic

    if "dic_to_ebsd" not in dataset.registration:
        raise DatasetError(
            f"{dataset.path}: files.dic needs registration.dic_to_ebsd, rows of homologous points"
        )
    points = homologous_points(dataset, "dic_to_ebsd", ebsd_map)
    options = {key: dataset.registration.get(f"dic_{key}", "auto") for key in ("y_axis", "zeros")}
    try:
        return register_dic(dataset.files["dic"], points, ebsd_map, label, **options)
    except ParameterError as error:
        raise DatasetError(f"{dataset.path}: registration.dic_to_ebsd: {error}") from error


def homologous_points(dataset: Dataset, key: str, ebsd_map: EbsdMap) -> NDArray:
    """Rows [column, row, map column, map row] of `registration: dic_to_ebsd` or `image_to_ebsd`, in pixels
    whatever their declared unit.
    """
    import numpy as np

    from cpml.microscopy import map_pixels

    points = np.array(dataset.registration[key], float)
    if dataset.registration.get("ebsd_unit", "px") == "um":
        points[:, 2:] = map_pixels(points[:, 2:], ebsd_map)
    return points


def dic_traces(dataset: Dataset, dic: RegisteredDic) -> pd.DataFrame:
    """Bands of the field as traces; none of them where they are not to be labels."""
    from cpml.microscopy import DIC_SIGMA_DEG

    bands = dic.bands if dataset.uses("dic") else dic.bands.iloc[:0]
    return bands.assign(source="dic", sigma_deg=DIC_SIGMA_DEG)


def _drawn(path: Path, ebsd_map: EbsdMap, label: NDArray) -> pd.DataFrame:
    """Traces of a table with the grain of each; the label table of a virtual specimen has its own columns."""
    from cpml import microscopy
    from cpml.virtual import recorded

    if recorded.is_public_table(path):
        return recorded.recorded_traces(recorded.read_public_table(path, ebsd_map, label))
    return microscopy.traces_to_grains(microscopy.read_traces(path), ebsd_map, label)


def segmented(dataset: Dataset, ebsd_map: EbsdMap) -> Grains:
    """The map cut into fragments by the threshold and the least size of the description.

    Where no fragment is as large as that (a few points, points without neighbours), all are kept:
    `Grains.min_pixels` is 1 then.
    """
    from cpml.microscopy import segment

    settings = {key: dataset.segmentation[key] for key in ("threshold", "min_pixels")}
    try:
        return segment(ebsd_map, **settings)
    except ParameterError:
        return segment(ebsd_map, **settings | {"min_pixels": 1})


def grains_of(dataset: Dataset, ebsd_map: EbsdMap) -> Twins:
    """The grains of a data set: fragments, and the families of parent and twins that they form."""
    from cpml.microscopy import find_twins

    tolerance = dataset.segmentation["twin_tolerance"]
    return find_twins(segmented(dataset, ebsd_map), types=twin_types(dataset), tolerance=tolerance)


def twin_types(dataset: Dataset) -> tuple[str, ...] | None:
    """Twin families to look for in the map (None: the usual ones); none where `labels: twins` is
    manual or none.
    """
    return None if dataset.looks_for_twins else ()


def twin_rows(
    dataset: Dataset, twins: Twins, ebsd_map: EbsdMap, systems: Mapping[int, Systems]
) -> pd.DataFrame:
    """Variant labels: from the lamellae found in the map, or with `labels: twins: manual` as recorded
    in files: traces.

    Parameters
    ----------
    twins : from `cpml.microscopy.find_twins` with the types of :func:`twin_types`
    systems : of each phase id

    Raises
    ------
    DatasetError : manual twins without a table that holds them
    """
    from cpml import microscopy
    from cpml.virtual import recorded

    if dataset.labels.get("twins") != "manual":
        return microscopy.twin_labels(twins, systems)
    path = dataset.files.get("traces")
    if path is None or not recorded.is_public_table(path):
        raise DatasetError(
            f"{dataset.path}: labels.twins: manual needs files.traces with the columns "
            f"{', '.join(recorded.NEEDED)}"
        )
    table = recorded.read_public_table(path, ebsd_map, twins.grain_label)
    return recorded.recorded_variants(table, next(iter(systems.values())))


def image_lines(dataset: Dataset, ebsd_map: EbsdMap, label: NDArray) -> ImageLines | None:
    """The first image on the map, and the lines in each of its grains; None without an image
    or its registration.

    Parameters
    ----------
    label : (N,) grain of every map pixel; lines are looked for in these regions

    Raises
    ------
    DatasetError : points that fix no transformation
    """
    from cpml import microscopy

    to_map = image_registration(dataset, ebsd_map)
    if to_map is None:
        return None
    image = microscopy.destripe(microscopy.read_image(dataset.files["images"][0]))
    region = microscopy.label_of_pixels(image, to_map, ebsd_map, label)
    image = microscopy.flat_field(image, sigma_px=20.0, label=region)
    lines = microscopy.detect_traces(
        image.values, region, valid=image.valid, margin_px=2, min_score=0.05, significance=8.0
    )
    return ImageLines(image, to_map, region, lines)


def image_registration(dataset: Dataset, ebsd_map: EbsdMap) -> Registration | None:
    """From pixels (column, row) of the first image to those of the map; None without an image or its points.

    Raises
    ------
    DatasetError : points that fix no transformation
    """
    from cpml.microscopy import register_points

    if not dataset.has_registered_image:
        return None
    points = homologous_points(dataset, "image_to_ebsd", ebsd_map)
    kind = dataset.registration.get("image_kind", "affine")
    try:
        return register_points(points[:, :2], points[:, 2:], kind=kind, pixel_um=ebsd_map.pixel_um)
    except ParameterError as error:
        raise DatasetError(f"{dataset.path}: registration.image_to_ebsd: {error}") from error


def read_dataset_map(dataset: Dataset) -> EbsdMap:
    """The map of a data set in the project's frame, cleaned as declared, every phase checked
    against its declaration.

    What was turned and what was cleaned is in the map's `frame_note`; a phase whose lattice the file does
    not tell gets the declared one.

    Raises
    ------
    DatasetError : a declared phase that the file does not list, or that contradicts it; cleaning that this
        map cannot have
    """
    from cpml.microscopy import clean, read_map

    axes = {phase.hex_x_axis for phase in dataset.phases if phase.hex_x_axis}
    if len(axes) > 1:
        raise DatasetError(
            f"{dataset.path}: phases declare different hex_x_axis {sorted(axes)}: one file has one convention"
        )
    ebsd_map = read_map(
        dataset.files["ebsd"], hex_x_axis=axes.pop() if axes else None, **_frame(dataset), **_reading(dataset)
    )
    ebsd_map = with_declared_phases(dataset, ebsd_map)
    if not dataset.cleaning:
        return ebsd_map
    try:
        cleaned = clean(ebsd_map, dataset.cleaning)
    except ParameterError as error:
        raise DatasetError(f"{dataset.path}: {error}") from error
    notes = tuple(f"cleaning: {step.note}" for step in cleaned.steps)
    return replace(cleaned.map, frame_note=(*cleaned.map.frame_note, *notes))


def applied_turn(dataset: Dataset) -> NDArray | None:
    """Quaternion (4,) of the declared turn of the Euler axes; None where none is, or the file states it."""
    from cpml.microscopy.maps.frames import frame_rotation

    turn = dataset.frame.get("euler_to_sample")
    return None if turn in (None, "declared") else frame_rotation(turn)


def _frame(dataset: Dataset) -> dict:
    return {k: v for k, v in dataset.frame.items() if k in ("euler_to_sample", "acquisition")}


def _reading(dataset: Dataset) -> dict:
    """Options of read_map that dataset.yml declares; phases of a text file come from
    their declared materials.
    """
    options = {k: v for k, v in dataset.reading.items() if k != "phase_numbers"}
    numbers = dataset.reading.get("phase_numbers")
    if "columns" not in options:
        wrong = sorted({"phase_numbers"} & dataset.reading.keys())
        if wrong:
            raise DatasetError(
                f"{dataset.path}: reading.{wrong[0]} is for text files with declared reading.columns"
            )
        return options
    numbers = numbers or list(range(1, len(dataset.phases) + 1))
    if len(numbers) != len(dataset.phases) or len(set(numbers)) != len(numbers):
        raise DatasetError(
            f"{dataset.path}: reading.phase_numbers {numbers}: one number for each of "
            f"{len(dataset.phases)} phases"
        )
    return options | {"phases": dict(zip(numbers, map(described, dataset.phases), strict=True))}
