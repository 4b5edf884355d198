"""What the virtual laboratory recorded: the generator's public label table, read as an experimenter's notes.

One row per surface grain: x_um, y_um, n_pixels, obs_n_traces, obs_trace_angles_deg ("122.2;49.0", from
+x towards +y), obs_twinned (1, 0 or empty), obs_twin_variants ("(1-102)[-1101];..."). Nothing here
comes from the simulation's truth.

Variant names hold in the symmetry copy that the map stores; they are translated by geometry (K1 normal and
shear direction) into the systems of this project.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from cpml.crystallography.slip_systems import Systems
from cpml.errors import MapFileError
from cpml.microscopy.labels.rows import label_rows
from cpml.microscopy.labels.traces import traces_to_grains
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.virtual.truth import generator_vectors

NEEDED = (
    "x_um",
    "y_um",
    "n_pixels",
    "obs_n_traces",
    "obs_trace_angles_deg",
    "obs_twinned",
    "obs_twin_variants",
)


def is_public_table(path: str | Path) -> bool:
    """Whether the file is a label table of the generator (by its first line)."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            names = file.readline().strip().split(",")
    except (OSError, UnicodeDecodeError):
        return False
    return set(NEEDED) <= set(names)


def read_public_table(path: str | Path, ebsd_map: EbsdMap, label: np.ndarray) -> pd.DataFrame:
    """The table with the segmented grain of every row in the column ``grain``.

    Several small surface grains may fall into one segmented grain; the largest is the one that was labelled.

    Raises
    ------
    MapFileError : no label table of the generator
    """
    if not is_public_table(path):
        raise MapFileError(
            f"{path}: no label table of a virtual specimen; needed columns: {', '.join(NEEDED)}"
        )
    table = pd.read_csv(path)
    table = table.assign(
        grain=traces_to_grains(table[["x_um", "y_um"]], ebsd_map, label)["grain_id"].to_numpy()
    )
    return table[table["grain"] > 0].sort_values("n_pixels", ascending=False).drop_duplicates("grain")


def recorded_traces(table: pd.DataFrame) -> pd.DataFrame:
    """grain_id, angle_deg counter-clockwise from +x on the screen; NaN where a grain was looked at and
    shows no trace.
    """
    rows = []
    for entry in table.itertuples():
        angles = str(entry.obs_trace_angles_deg).split(";") if entry.obs_n_traces else [np.nan]
        # the generator counts from +x towards +y, clockwise on the screen
        rows += [(entry.grain, (180.0 - float(a)) % 180.0) for a in angles]
    return pd.DataFrame(rows, columns=["grain_id", "angle_deg"])


def recorded_variants(table: pd.DataFrame, systems: Systems) -> pd.DataFrame:
    """Label rows (`cpml.microscopy.labels.rows`) of the variants of the grains whose twins were recorded."""
    twins = np.flatnonzero(systems.twin)
    known = table[table["obs_twinned"].notna()]
    seen = np.zeros((len(known), len(twins)))
    for row, entry in zip(seen, known.itertuples(), strict=True):
        if len(twins) and entry.obs_twinned:
            found = {
                _nearest_system(name, systems, twins) for name in str(entry.obs_twin_variants).split(";")
            }
            row[np.isin(twins, list(found))] = 1.0
    return label_rows(
        known[["grain"]],
        [systems.names[s] for s in twins],
        mechanism="twin",
        level="variant",
        observed=seen,
        source="table",
    )


def _nearest_system(name: str, systems: Systems, twins: np.ndarray) -> int:
    """Twin system with the K1 normal and shear direction of a recorded name."""
    normal, sense = generator_vectors(name, systems.c_over_a)
    return int(twins[((systems.plane[twins] @ normal) * (systems.direction[twins] @ sense)).argmax()])
