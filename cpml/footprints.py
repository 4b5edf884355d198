"""What a data set shows of deformation, collected from wherever it was recorded: slip traces and bands per grain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cpml.datasets import Dataset
from cpml.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

    from cpml.microscopy import EbsdMap, RegisteredDic


@dataclass(frozen=True)
class Footprints:
    """Lines seen on the surface of each grain.

    Attributes
    ----------
    traces : table grain_id, angle_deg (NaN: looked at, nothing seen), source; sigma_deg where known
    dic : the registered HR-DIC field, or None
    """

    traces: pd.DataFrame
    dic: RegisteredDic | None


def observe(dataset: Dataset, ebsd_map: EbsdMap, label) -> Footprints:
    """Traces drawn by hand (files: traces) and bands of the HR-DIC field (files: dic), assigned to grains.

    Parameters
    ----------
    label : (N,) grain of every map pixel

    Raises
    ------
    DatasetError : an HR-DIC field without registration points
    """
    import pandas as pd

    from cpml import microscopy

    tables, dic = (
        [
            pd.DataFrame(
                {
                    "grain_id": pd.Series(dtype=int),
                    "angle_deg": pd.Series(dtype=float),
                    "source": pd.Series(dtype=str),
                }
            )
        ],
        None,
    )
    if "traces" in dataset.files:
        drawn = microscopy.traces_to_grains(microscopy.read_traces(dataset.files["traces"]), ebsd_map, label)
        tables.append(drawn[drawn["grain_id"] > 0].assign(source="traces"))
    if "dic" in dataset.files:
        if "dic_to_ebsd" not in dataset.registration:
            raise DatasetError(
                f"{dataset.path}: files.dic needs registration.dic_to_ebsd, rows of homologous points"
            )
        dic = microscopy.register_dic(
            dataset.files["dic"], dataset.registration["dic_to_ebsd"], ebsd_map, label
        )
        tables.append(dic.bands.assign(source="dic", sigma_deg=microscopy.DIC_SIGMA_DEG))
    used = [t for t in tables[1:] if len(t)] or tables[:1]
    return Footprints(pd.concat(used, ignore_index=True), dic)


def read_dataset_map(dataset: Dataset) -> EbsdMap:
    """The map of a data set in the project's frame, with every phase checked against its declaration.

    Raises
    ------
    DatasetError : a declared phase that the map does not have, or a phase of the map that is not declared
    """
    from cpml.microscopy import read_map

    axes = {phase.hex_x_axis for phase in dataset.phases if phase.hex_x_axis}
    if len(axes) > 1:
        raise DatasetError(
            f"{dataset.path}: phases declare different hex_x_axis {sorted(axes)}: one file has one convention"
        )
    ebsd_map = read_map(
        dataset.files["ebsd"],
        hex_x_axis=axes.pop() if axes else None,
        euler_to_sample=dataset.frame.get("euler_to_sample"),
    )
    there = {phase.name for phase in ebsd_map.phases.values()}
    for phase in dataset.phases:
        if phase.name not in there:
            raise DatasetError(
                f"{dataset.path}: phase {phase.name!r} is not in {dataset.files['ebsd'].name}, which has {sorted(there)}"
            )
    undeclared = there - {phase.name for phase in dataset.phases}
    if undeclared:
        raise DatasetError(
            f"{dataset.path}: {dataset.files['ebsd'].name} also has phase {min(undeclared)!r}: declare it under phases"
        )
    return ebsd_map
