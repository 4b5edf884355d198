"""Where the full field converges: exponents, strength contrasts, grids and tolerances.

Run: python benchmarks/fullfield_robust.py [largest number of voxels] [seconds that a case may expect]
[threads]. Random orientations, grains of 64 voxels (volumes) or 100 (maps), tension along x with free lateral
faces. A case at 1e-6 whose sibling at 1e-4 took more than a third of the seconds is left out.

| column | meaning |
|---|---|
| answers | times that every voxel was asked for its stress |
| linear | iterations of conjugate gradients |
| gap | relative distance of the power from its minimum |
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

TOLERANCES = (1e-4, 1e-6)
GRIDS = {
    "16^3": (16, 16, 16),
    "64^2": (64, 64),
    "32^3": (32, 32, 32),
    "256^2": (256, 256),
    "64^3": (64, 64, 64),
}
SECONDS = 180.0


@dataclass(frozen=True)
class Case:
    """One law on one grid."""

    name: str
    law: object
    grid: str


def laws() -> dict[str, object]:
    """The laws that must converge, by name."""
    from cpml.crystallography import load_material, systems
    from cpml.plasticity import PowerLaw

    fcc = systems("fcc", families=["octahedral"])
    bcc = systems("bcc")
    hcp = ("basal", "prismatic", "pyramidal2_ca", "twin_1012")
    mg = systems("hcp", families=hcp, c_over_a=1.6236)
    few = systems("hcp", families=hcp[:2], c_over_a=1.6236)
    found: dict[str, object] = {
        f"fcc n={n}": PowerLaw(fcc, [10.0], float(n), 1e-3) for n in (1, 5, 20, 50, 100)
    }
    found["bcc n=20"] = PowerLaw(bcc, [10.0] * len(bcc.family_names), 20.0, 1e-3)
    for n in (20, 50):
        found[f"Mg 1:8:30:6 n={n}"] = PowerLaw(mg, [10.0, 80.0, 300.0, 60.0], float(n), 1e-3)
    found["Mg 1:10:100:10 n=20"] = PowerLaw(mg, [10.0, 100.0, 1000.0, 100.0], 20.0, 1e-3)
    found["Mg basal+prismatic n=20"] = PowerLaw(few, [10.0, 80.0], 20.0, 1e-3)
    for name in ("titanium_cp", "zirconium"):
        found[name] = PowerLaw.from_material(load_material(name))
    return found


def cases() -> Iterator[Case]:
    """Every law on the small grids; fcc n = 20 and Mg n = 20 on the large ones as well."""
    for name, law in laws().items():
        for grid in GRIDS:
            small = np.prod(GRIDS[grid]) <= 32**3
            if small or (name == "fcc n=20") or (grid == "256^2" and name == "Mg 1:8:30:6 n=20"):
                yield Case(name, law, grid)


def voronoi(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> NDArray:
    """Grains of nearest seeds on a periodic grid."""
    from scipy.spatial import cKDTree

    tree = cKDTree(rng.random((count, len(shape))) * shape, boxsize=shape)
    return tree.query(np.stack(np.indices(shape), axis=-1) + 0.5)[1]


def robust(largest: int = 32**3, seconds: float = SECONDS, threads: int = 1) -> pd.DataFrame:
    """One row per case and tolerance; prints each as it ends."""
    from cpml.crystallography.rotations import random_quaternions
    from cpml.load import Load
    from cpml.plasticity import full_field

    load = Load.from_dict({"kind": "tension", "axis": "x"})
    rows: list[dict[str, object]] = []
    print(_line("law", "grid", "tol", "converged", "answers", "linear", "gap", "von_mises", "s"), flush=True)
    for case in cases():
        shape = GRIDS[case.grid]
        if np.prod(shape) > largest:
            continue
        rng = np.random.default_rng(0)
        count = max(8, int(np.prod(shape)) // (64 if len(shape) == 3 else 100))
        grain_index = voronoi(shape, count, rng)
        q, took = random_quaternions(count, rng), 0.0
        for tol in TOLERANCES:
            if 3 * took > seconds:
                continue
            begin = time.perf_counter()
            field = full_field(case.law, grain_index, q, loading=load, tol=tol, threads=threads)  # type: ignore[arg-type]
            took = time.perf_counter() - begin
            rows.append(
                {
                    "law": case.name,
                    "grid": case.grid,
                    "tol": tol,
                    "converged": field.converged,
                    "answers": field.n_iter,
                    "linear": field.n_linear,
                    "gap": field.gap,
                    "von_mises": field.von_mises,
                    "s": took,
                }
            )
            print(_line(*rows[-1].values()), flush=True)
    return pd.DataFrame(rows)


def _line(name: object, *values: object) -> str:
    texts = [f"{v:.2g}" if isinstance(v, float) else str(v) for v in values]
    return f"{name!s:24}" + "".join(f"{text:>10}" for text in texts)


def main(largest: int = 32**3, seconds: float = SECONDS, threads: int = 1) -> None:
    """Print the table, and how the answers grow with the grid."""
    table = robust(int(largest), seconds, int(threads))
    wide = table.pivot_table(index=["law", "tol"], columns="grid", values="answers", aggfunc="first")
    print(f"\nanswers by grid\n{wide.to_string()}")
    print(f"not converged: {int((~table.converged).sum())} of {len(table)}")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
