"""The demo's map, traces, curve and truth from the folder of a virtual specimen (README there).

What a laboratory would have goes into files of its own; what only the simulation knows goes into
``truth.npz``, which scoring alone reads. Image and strain field are drawn from it by `demo_image` and
`demo_dic`.
"""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from cpml.virtual.truth import read_generator_truth

VOXEL_PIXELS = 4
"""Map pixels of a voxel of the simulation."""


def traces(source: Path, surface_grain: NDArray) -> pd.DataFrame:
    """x_um, y_um of the pixel deepest inside a grain, angle_deg counter-clockwise on the screen of each of
    its recorded traces; an empty angle where a grain was looked at and shows none. Grains of a single voxel,
    which a map does not tell from their neighbours, are left out.
    """
    table = pd.read_csv(source / "labels_public.csv")
    rows = []
    for entry in table[table["n_pixels"] > VOXEL_PIXELS].itertuples():
        depth = distance_transform_edt(np.pad(surface_grain == entry.grain_id, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(depth.argmax(), depth.shape)  # the step is 1 um
        angles = str(entry.obs_trace_angles_deg).split(";") if entry.obs_n_traces else [np.nan]
        # the generator counts from +x towards +y, clockwise on the screen
        rows += [(column, row, round((180 - float(a)) % 180, 1)) for a in angles]
    return pd.DataFrame(rows, columns=["x_um", "y_um", "angle_deg"])


def write(source: Path, folder: Path) -> None:
    """map.ctf (with the painted twin lamellae), traces.csv, curve.csv, truth.npz in a folder."""
    source, folder = Path(source), Path(folder)
    truth = read_generator_truth(source)
    shutil.copyfile(source / "ebsd_deformed_twins.ctf", folder / "map.ctf")
    found = traces(source, truth.surface_grain)
    found.to_csv(folder / "traces.csv", index=False, float_format="%.1f", lineterminator="\n")
    curve = pd.read_csv(source / "macro.csv")[["true_strain", "true_stress_MPa"]]
    curve.set_axis(["true_strain", "true_stress_mpa"], axis=1).to_csv(
        folder / "curve.csv", index=False, lineterminator="\n"
    )
    np.savez_compressed(folder / "truth.npz", **truth.arrays())
