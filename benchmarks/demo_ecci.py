"""The demo's ECCI table: dislocation lines in some of its grains, looked at under three reflections each.

Lines lie on planes in proportion to the simulated shear, a few have climbed or cross-slipped although the law
of the simulation knows neither, and are recorded by `cpml.virtual.ecci`: 10 % of records are wrong, angles
have 3 degrees of noise. Truth goes in: only the demo's table and `ecci_truth.csv`, which scoring reads, are
made with it.

    python3 -m benchmarks.demo_ecci
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml import load_dataset
from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.slip_systems import Systems
from cpml.datasets.ecci import reflections_of, stage_of
from cpml.datasets.observe import grains_of, read_dataset_map
from cpml.datasets.phases import modelled_systems
from cpml.microscopy.ecci.best_reflections import best_reflections
from cpml.virtual.ecci.lines import Condition, Session, simulate_lines
from cpml.virtual.truth import SAME_PLANE, Truth, load_truth, match_grains

GRAINS, LINES, SEED = 8, 12, 3
SESSION = Session(climbed=0.08, crossed=0.25, bent=0.25)


def shares(truth: Truth, number: int, quaternion: NDArray, systems: Systems) -> NDArray:
    """(S,) of the shear of a grain; on each plane the directions with the larger resolved shear take it."""
    turn = quaternion_to_matrix(quaternion)
    planes, directions = systems.plane @ turn.T, systems.direction @ turn.T
    resolved = (planes[:, 0] * directions[:, 0]) ** 4  # of a compression along x
    found = np.zeros(len(systems))
    for plane in truth.planes[truth.planes["grain"] == number].itertuples():
        same = systems.slip & (np.abs(planes @ [plane.nx, plane.ny, plane.nz]) > SAME_PLANE)
        if same.any() and resolved[same].sum() > 0:
            found[same] += plane.shear * resolved[same] / resolved[same].sum()
    return found


def write(folder: Path) -> None:
    """ecci.csv and ecci_truth.csv."""
    dataset = load_dataset(folder)
    ebsd = read_dataset_map(dataset)
    twins = grains_of(dataset, ebsd)
    number, systems = next(iter(modelled_systems(dataset, ebsd).items()))
    found, stage = reflections_of(dataset, ebsd)[number], stage_of(dataset)
    truth = load_truth(folder / "truth.npz")
    partner = match_grains(truth, twins.grain_label)
    largest = twins.grains[twins.grains["grain_id"].isin(partner.index)].nlargest(3 * GRAINS, "area_um2")
    records: list[pd.DataFrame] = []
    known: list[pd.DataFrame] = []
    for grain in largest["grain_id"]:
        own = largest[largest["grain_id"] == grain]
        q = own[["qw", "qx", "qy", "qz"]].to_numpy()[0]
        best = best_reflections(found, systems, q, stage, sizes=(3,), n_best=1)
        weights = shares(truth, int(partner[grain]), q, systems)
        if best.empty or not weights.any() or len(records) == GRAINS:
            continue
        settings = [tuple(map(float, at.split(" / "))) for at in best["settings"][0].split(", ")]
        names = best["reflections"][0].split()
        conditions: list[Condition] = [
            (name, stage.beam(*at)) for name, at in zip(names, settings, strict=True)
        ]
        told, true = simulate_lines(
            systems,
            own,
            {grain: conditions},
            found,
            per_grain=LINES,
            session=SESSION,
            shares=weights,
            seed=SEED + int(grain),
        )
        at = dict(zip(names, settings, strict=True))
        tilt, second = (told["g"].map({name: v[k] for name, v in at.items()}) for k in range(2))
        label = [f"{grain}.{line}" for line in told["line"]]
        records.append(told.assign(line=label, tilt_deg=tilt, second_deg=second))
        known.append(true.assign(line=[f"{grain}.{line}" for line in true["line"]]))
    table = pd.concat(records, ignore_index=True)
    columns = ["line", "segment", "grain_id", "angle_deg", "length_um", "g", "tilt_deg", "second_deg", "seen"]
    table[columns].round({"angle_deg": 1, "length_um": 2, "tilt_deg": 2, "second_deg": 1}).to_csv(
        folder / "ecci.csv", index=False, lineterminator="\n"
    )
    true = pd.concat(known, ignore_index=True)
    true["system"] = [systems.names[s] if s >= 0 else "" for s in true["system"]]
    true.round({"character_deg": 1}).to_csv(folder / "ecci_truth.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    write(Path("data/demo"))
