"""What the ECCI pictures of a data set say: records of its file, posteriors of its lines, label rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cpml.datasets.dataset import Dataset
from cpml.errors import DatasetError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from cpml.crystallography import Systems
    from cpml.microscopy import EbsdMap
    from cpml.microscopy.ecci.reflections import Reflections
    from cpml.microscopy.ecci.stage import Stage


@dataclass(frozen=True, eq=False)
class EcciLines:
    """What was learned of the lines of all phases.

    Attributes
    ----------
    lines : of `call_lines`, and phase
    burgers : of `LinePosterior`
    labels : label rows of `ecci_labels`
    reading : phase, weak_limit, visible_limit, wrong, learned (bool)
    records : as read
    """

    lines: pd.DataFrame
    burgers: pd.DataFrame
    labels: pd.DataFrame
    reading: pd.DataFrame
    records: pd.DataFrame


def ecci_told(
    dataset: Dataset,
    ebsd_map: EbsdMap,
    label: NDArray,
    grains: pd.DataFrame,
    systems: Mapping[int, Systems],
    *,
    seed: int = 0,
) -> EcciLines:
    """What files: ecci says; empty tables without that file, no label rows with `labels: ecci: none`.

    Parameters
    ----------
    label : (N,) grain of every map pixel
    grains : grain_id, phase, qw, qx, qy, qz
    systems : of each phase id
    """
    import pandas as pd

    from cpml.microscopy import label_rows

    none = label_rows([], [])
    if "ecci" not in dataset.files:
        return EcciLines(pd.DataFrame(), pd.DataFrame(), none, pd.DataFrame(), pd.DataFrame())
    records = ecci_records(dataset, ebsd_map, label, grains)
    told = ecci_lines(dataset, ebsd_map, records, grains, systems, seed=seed)
    return told if dataset.uses("ecci") else replace(told, labels=none)


def stage_of(dataset: Dataset) -> Stage:
    """The stage of the microscope as declared."""
    from cpml.microscopy.ecci.stage import Stage

    return Stage.of(dataset.microscope.get("stage", {}))


def reflections_of(dataset: Dataset, ebsd_map: EbsdMap) -> dict[int, Reflections]:
    """Reflections of each phase id that has a material, at the declared voltage.

    Raises
    ------
    DatasetError : a material whose file names no element
    """
    from cpml.datasets.phases import modelled_materials
    from cpml.microscopy.ecci.reflections import reflections

    kv, materials = float(dataset.microscope["kv"]), modelled_materials(dataset, ebsd_map)
    try:
        return {number: reflections(material, kv=kv) for number, material in materials.items()}
    except ParameterError as error:
        raise DatasetError(f"{dataset.path}: files.ecci: {error}") from error


def ecci_records(dataset: Dataset, ebsd_map: EbsdMap, label: NDArray, grains: pd.DataFrame) -> pd.DataFrame:
    """Records of files: ecci (`cpml.microscopy.ecci.ecci_file`).

    Parameters
    ----------
    label : (N,) grain of every map pixel
    grains : grain_id, phase, qw, qx, qy, qz

    Raises
    ------
    MapFileError : a file that is wrong; names the line
    DatasetError : a file that says of no line what was seen
    """
    from cpml.microscopy.ecci.ecci_file import Place, read_ecci
    from cpml.microscopy.labels.traces import grain_finder

    place = Place(
        grains=grains,
        found=reflections_of(dataset, ebsd_map),
        stage=stage_of(dataset),
        grain_at=grain_finder(ebsd_map, label),
        from_picture=_from_picture(dataset, ebsd_map),
        tolerance_deg=float(dataset.microscope["tolerance_deg"]),
    )
    records = read_ecci(dataset.files["ecci"], place)
    if not (records["seen"] != "").any():
        raise DatasetError(
            f"{dataset.files['ecci']}: no row says visible, weak or invisible; fill in what was seen, or "
            "leave files: ecci out"
        )
    return records


def conditions_of(
    records: pd.DataFrame, grains: pd.DataFrame, found: Mapping[int, Reflections]
) -> pd.DataFrame:
    """Under what each grain was looked at, and how far that is from Bragg.

    Parameters
    ----------
    records : of :func:`ecci_records`
    grains : phase, qw, qx, qy, qz, index grain_id
    found : of :func:`reflections_of`

    Returns
    -------
    DataFrame, index grain_id: g, beam_x, beam_y, beam_z, lines (looked at), deviation_deg, w, bragg_deg,
    extinction_nm; deviations are NaN where the setting was not given
    """
    import numpy as np
    import pandas as pd

    from cpml.microscopy.ecci.channelling import deviation_deg, excitation_error
    from cpml.microscopy.ecci.evidence import BEAM

    keys = ["grain_id", "g", *BEAM, "setting"]
    table = records[records["seen"] != ""].groupby(keys, sort=False)["line"].nunique().rename("lines")
    rows = []
    for row in table.reset_index().itertuples():
        own = found[int(grains.loc[row.grain_id, "phase"])]
        q, beam = grains.loc[row.grain_id, ["qw", "qx", "qy", "qz"]].to_numpy(float), [row.beam_x, row.beam_y]
        k = own.number(row.g)
        beam = np.array([*beam, row.beam_z])
        s = excitation_error(own, q, beam)[k] if row.setting else np.nan
        rows.append(
            {
                "deviation_deg": deviation_deg(own, q, beam)[k] if row.setting else np.nan,
                "w": s * own.extinction_nm[k],
                "bragg_deg": own.bragg_deg[k],
                "extinction_nm": own.extinction_nm[k],
            }
        )
    found_table = pd.concat([table.reset_index(), pd.DataFrame(rows)], axis=1).drop(columns="setting")
    return found_table.set_index("grain_id")


def ecci_lines(
    dataset: Dataset,
    ebsd_map: EbsdMap,
    records: pd.DataFrame,
    grains: pd.DataFrame,
    systems: Mapping[int, Systems],
    *,
    seed: int = 0,
) -> EcciLines:
    """Posterior of all lines, pooled over the lines of a grain, and label rows of each by itself; climb and
    cross-slip called at 5 % false alarms.

    Parameters
    ----------
    records : of :func:`ecci_records`; systems : of each phase id
    """
    import pandas as pd

    from cpml.microscopy.ecci.calls import call_lines
    from cpml.microscopy.ecci.contrast import Reading
    from cpml.microscopy.ecci.evidence import Settings
    from cpml.microscopy.ecci.label_lines import ecci_labels
    from cpml.microscopy.ecci.posterior import infer_lines
    from cpml.microscopy.ecci.reading import learn_reading

    found = reflections_of(dataset, ebsd_map)
    phase = grains.set_index("grain_id")["phase"].reindex(records["grain_id"]).to_numpy()
    wrong = dataset.microscope["wrong"]
    parts: list[tuple[pd.DataFrame, ...]] = []
    for number in pd.unique(phase):
        rows = records[phase == number]
        given = (rows, grains, systems[number], found[number])
        reading = Reading() if wrong == "auto" else Reading(wrong=float(wrong))
        settings = Settings(reading=reading, depth_um=float(dataset.microscope["visible_depth_um"]))
        reading, tried = learn_reading(*given, settings=settings, learn_wrong=wrong == "auto", seed=seed)
        settings = replace(settings, reading=reading)
        alone = infer_lines(*given, settings=settings)  # F puts the lines of a grain together itself
        settings = replace(settings, pooled=True)
        posterior = infer_lines(*given, settings=settings)
        lines = call_lines(posterior, *given, settings=settings, seed=seed)
        about = {"phase": [number], "learned": [len(tried) > 0]}
        limits = {k: [getattr(reading, k)] for k in ("weak_limit", "visible_limit", "wrong")}
        parts.append(
            (
                lines.assign(phase=number),
                posterior.burgers,
                ecci_labels(alone, systems[number]),
                pd.DataFrame(about | limits),
            )
        )
    tables = (pd.concat(part, ignore_index=True) for part in zip(*parts, strict=True))
    return EcciLines(*tables, records)


def _from_picture(dataset: Dataset, ebsd_map: EbsdMap) -> Callable[[NDArray], NDArray] | None:
    """Pixels of the first image in um of the map; None where it is not registered."""
    from cpml.datasets.observe import image_registration
    from cpml.microscopy import map_frame

    to_map = image_registration(dataset, ebsd_map)
    if to_map is None:
        return None
    to_um = map_frame(ebsd_map)
    return lambda pixels: to_um(to_map(pixels))
