"""The strain steps of a data set: their maps tracked, their fields averaged over the grains of its map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cpml.datasets.dataset import Dataset, StrainStep
from cpml.datasets.observe import grains_of, read_dataset_map, registered_field
from cpml.datasets.schema import MAIN_STATE
from cpml.errors import DatasetError, ParameterError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cpml.microscopy import EbsdMap, Tracks

AXES = ("e_xx_percent", "e_yy_percent")
PLACEMENT_COLUMNS = (
    *("turn_deg", "stretch_largest", "stretch_least", "agreement", "chance", "overlap", "n_pairs"),
    *(f"common_{c}_deg" for c in "xyz"),
    *(f"common_{c}_se_deg" for c in "xyz"),
)


@dataclass(frozen=True)
class StepTracks:
    """Grains of the main map in the maps of all steps; no rows where no step has a map.

    Attributes
    ----------
    placements : one row a step: step, strain, turn_deg (of the positions, counter-clockwise on screen),
        stretch_largest, stretch_least, agreement, chance, overlap, n_pairs, common_x_deg, common_y_deg,
        common_z_deg (rotation of all lattices) and common_x_se_deg ...
    rotations : step, strain and the columns of `Tracks.grains`
    pairs, new : the same of `Tracks.pairs` and `Tracks.new`
    tracks : by the name of the step
    """

    placements: pd.DataFrame
    rotations: pd.DataFrame
    pairs: pd.DataFrame
    new: pd.DataFrame
    tracks: dict[str, Tracks]


def track_steps(dataset: Dataset, ebsd_map: EbsdMap) -> StepTracks:
    """Follow the grains of the main map into the map of every step.

    Raises
    ------
    DatasetError : a step's map that cannot be laid on the main map
    """
    import pandas as pd

    from cpml.microscopy import regions, track_grains
    from cpml.microscopy.tracking.tracks import GRAIN_COLUMNS, NEW_COLUMNS, PAIR_COLUMNS

    reference = regions(grains_of(dataset, ebsd_map))
    found: dict[str, Tracks] = {}
    rows = []
    for number, step in enumerate(dataset.steps):
        if "ebsd" not in step.files:
            continue
        own = dataset.at(step)
        try:
            later = regions(grains_of(own, read_dataset_map(own)))
            tracks = track_grains(reference, later, points=step.registration.get("map_to_ebsd"))
        except ParameterError as error:
            raise DatasetError(f"{dataset.path}: steps[{number}]: {error}") from error
        found[step.name] = tracks
        rows.append(_placement_row(step, tracks))
    columns = {"grains": GRAIN_COLUMNS, "pairs": PAIR_COLUMNS, "new": NEW_COLUMNS}
    tables = {
        name: _joined(
            [_of_step(getattr(found[s.name], name), s) for s in dataset.steps if s.name in found], names
        )
        for name, names in columns.items()
    }
    placements = pd.DataFrame(rows, columns=["step", "strain", *PLACEMENT_COLUMNS])
    return StepTracks(placements, tables["grains"], tables["pairs"], tables["new"], found)


def step_gradients(dataset: Dataset, ebsd_map: EbsdMap, label: NDArray) -> pd.DataFrame:
    """Mean displacement gradient of every grain in every state that has a field: that of the data set itself
    (step "map", at the strain of the load) and those of its steps.

    Parameters
    ----------
    label : (N,) grain of every map point

    Returns
    -------
    step, strain and the columns of `cpml.microscopy.mean_gradients`, step after step; no rows without fields

    Raises
    ------
    DatasetError : a field without registration points
    """
    from cpml.microscopy.tracking.mean_gradients import GRADIENT_COLUMNS

    tables = []
    if "dic" in dataset.files:
        strain = dataset.load.strain if dataset.load is not None else None
        main = StrainStep(MAIN_STATE, float("nan") if strain is None else strain, {})
        tables.append(_of_step(_field_means(dataset, main, ebsd_map, label), main))
    for number, step in enumerate(dataset.steps):
        if step.has_field:
            try:
                tables.append(_of_step(_field_means(dataset, step, ebsd_map, label), step))
            except ParameterError as error:
                raise DatasetError(f"{dataset.path}: steps[{number}]: {error}") from error
    return _joined(tables, GRADIENT_COLUMNS)


def states(dataset: Dataset) -> pd.DataFrame:
    """The states of the specimen, its own first: state, strain / %, map and field (names of files)."""
    import pandas as pd

    main = {role: dataset.files[role] for role in ("ebsd", "dic") if role in dataset.files}
    strain = None if dataset.load is None else dataset.load.strain
    rows = [(MAIN_STATE, strain, main), *((s.name, s.strain, s.files) for s in dataset.steps)]
    return pd.DataFrame(
        {
            "state": [name for name, _, _ in rows],
            "strain / %": [float("nan") if strain is None else 100 * strain for _, strain, _ in rows],
            "map": [files["ebsd"].name if "ebsd" in files else "-" for _, _, files in rows],
            "field": [
                next((files[role].name for role in ("dic", "gradient") if role in files), "-")
                for _, _, files in rows
            ],
        }
    )


def rotation_summary(rotations: pd.DataFrame) -> pd.DataFrame:
    """How far the lattices turned, step by step: grains (followed), median_deg, noise_deg (median of what
    noise alone would read), above_noise (share of grains beyond the 95 % point of their noise).
    """
    import numpy as np

    known = rotations.dropna(subset=["rotation_deg"])
    # three normal components of one standard error: their length is below 2.795 of it in 95 of 100 cases
    above = known["rotation_deg"] > np.sqrt(7.815) * known["rotation_se_deg"]
    of_step = known.assign(above=above).groupby("step", sort=False)
    return of_step.agg(
        grains=("grain_id", "size"),
        median_deg=("rotation_deg", "median"),
        noise_deg=("noise_deg", "median"),
        above_noise=("above", "mean"),
    )


def gradient_summary(gradients: pd.DataFrame, component: str) -> pd.DataFrame:
    """One component state by state: applied_percent, grains, mean_percent and scatter_percent (between
    grains; both weighted by points), error_percent (median of the grains), rank_correlation with the state
    before.
    """
    import pandas as pd

    error = component.replace("_percent", "_se_percent")
    names, rows, before = [], [], None
    for step, table in gradients.groupby("step", sort=False):
        value = table.set_index("grain_id")[component]
        weight = table["n_points"].to_numpy() / table["n_points"].sum()
        mean = float((value.to_numpy() * weight).sum())
        common = None if before is None else value.index.intersection(before.index)
        enough = common is not None and len(common) > 2
        names.append(step)
        rows.append(
            {
                "applied_percent": 100 * table["strain"].iloc[0],
                "grains": len(table),
                "mean_percent": mean,
                "scatter_percent": float(((value.to_numpy() - mean) ** 2 * weight).sum() ** 0.5),
                "error_percent": table[error].median(),
                "rank_correlation": value[common].corr(before[common], "spearman")
                if enough
                else float("nan"),
            }
        )
        before = value
    columns = [
        "applied_percent",
        "grains",
        "mean_percent",
        "scatter_percent",
        "error_percent",
        "rank_correlation",
    ]
    return pd.DataFrame(rows, index=pd.Index(names, name="step"), columns=columns)


def last_state(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the last state that a table of grains and states has, by grain_id."""
    last = table["step"].iloc[-1] if len(table) else None
    return table[table["step"] == last].set_index("grain_id")


def leading_component(gradients: pd.DataFrame) -> str:
    """The column of `AXES` along which the grains have strained most."""
    means = gradients[list(AXES)].mean().abs()
    return AXES[0] if means.isna().all() else str(means.idxmax())


def _field_means(dataset: Dataset, step: StrainStep, ebsd_map: EbsdMap, label: NDArray) -> pd.DataFrame:
    from cpml.microscopy import mean_gradients, read_gradient
    from cpml.microscopy.tracking.mean_gradients import on_rows

    if "gradient" in step.files:
        gradient = read_gradient(step.files["gradient"], ebsd_map, y_axis=step.y_axis)
        return mean_gradients(on_rows(ebsd_map, gradient), on_rows(ebsd_map, label, empty=0))
    own = dataset if step.name == MAIN_STATE else dataset.at(step)
    field = registered_field(own, ebsd_map, label)
    return mean_gradients(field.field.displacement_gradient, field.label)


def _placement_row(step: StrainStep, tracks: Tracks) -> dict:
    place = tracks.placement
    return {
        "step": step.name,
        "strain": step.strain,
        "turn_deg": place.turn_deg,
        "stretch_largest": place.stretches[0],
        "stretch_least": place.stretches[1],
        "agreement": place.agreement,
        "chance": place.chance,
        "overlap": place.overlap,
        "n_pairs": place.n_pairs,
        **{f"common_{c}_deg": tracks.common_deg[k] for k, c in enumerate("xyz")},
        **{f"common_{c}_se_deg": tracks.common_se_deg[k] for k, c in enumerate("xyz")},
    }


def _of_step(table: pd.DataFrame, step: StrainStep) -> pd.DataFrame:
    out = table.copy()
    out.insert(0, "step", step.name)
    out.insert(1, "strain", step.strain)
    return out


def _joined(tables: list[pd.DataFrame], columns: tuple[str, ...]) -> pd.DataFrame:
    """Tables under each other; without any, no rows of these columns."""
    import pandas as pd

    if tables:
        return pd.concat(tables, ignore_index=True)
    empty = {name: pd.Series(dtype=float) for name in ("step", "strain", *columns)}
    return pd.DataFrame(empty).astype({"step": object})
