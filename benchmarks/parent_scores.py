"""Are grains that F calls outgrown twins really that? `tasks.py bench --suite coupling --arguments parents`.

The simulation knows the twin planes of every parent in the sample. A grain of the map whose own twin planes
are not those is no parent: it is a twin, and has the orientation of one. Specimens of another code
($CPML_REFERENCE), and those of the factory in $CPML_FACTORY that twin.

| number | is |
|---|---|
| grains | with a clear partner in the simulation |
| outgrown | of them, by their planes |
| promised | the sum of F's probabilities |
| named, right | grains above one half, and how many of them are |
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.factory_specimens import load_factory
from benchmarks.virtual_specimens import VirtualSpecimen, load_virtual
from cpml.crystallography.rotations import rotate
from cpml.models import CoupledClassifier
from cpml.virtual.truth import load_truth, read_generator_truth

APART_DEG = 12.0
"""From the nearest plane: lattices turn by less in a test, and planes of twin and parent lie further apart.
"""


def parents(names: list[str], count: int) -> dict[str, float]:
    """A line a specimen, and the sums over all.

    Parameters
    ----------
    names : of the specimens of another code
    count : of specimens of the factory, the first seeds that are there
    """
    rows = []
    for virtual, variants in _specimens(names, count):
        specimen = virtual.specimen
        model = CoupledClassifier(residual=False).fit([specimen])
        told = model.parents(specimen).set_index("grain_id")["p_outgrown"]
        is_twin = outgrown(virtual, variants)
        told = told[is_twin.index]
        named = told > 0.5
        rows.append((len(told), is_twin.sum(), told.sum(), named.sum(), (named & is_twin).sum()))
        grains, true, promised, n_named, right = rows[-1]
        print(
            f"{specimen.name} {grains} grains: outgrown {true}, promised {promised:.1f}, named {n_named}, "
            f"right {right}",
            flush=True,
        )
    if not rows:
        return {}
    total = dict(zip(("grains", "outgrown", "promised", "named", "right"), np.sum(rows, axis=0), strict=True))
    print(", ".join(f"{name} {value:.1f}" for name, value in total.items()))
    return {name: float(value) for name, value in total.items()}


def outgrown(virtual: VirtualSpecimen, variants: pd.DataFrame) -> pd.Series:
    """By grain_id: whether a twin plane of the simulated parent is none of the grain's own.

    Parameters
    ----------
    variants : grain, nx, ny, nz of the simulation
    """
    specimen = virtual.specimen
    own = specimen.systems.plane[specimen.systems.twin]
    own = own / np.linalg.norm(own, axis=1, keepdims=True)
    found = {}
    for grain, simulated in virtual.partner.items():
        normals = variants.loc[variants["grain"] == simulated, ["nx", "ny", "nz"]].to_numpy()
        if len(normals):
            here = rotate(specimen.quaternions[specimen.position([grain])], own)
            nearest = np.abs(normals @ here.T).max(axis=1)
            found[grain] = bool(nearest.min() < np.cos(np.deg2rad(APART_DEG)))
    return pd.Series(found, dtype=bool)


def _specimens(names: list[str], count: int) -> Iterator[tuple[VirtualSpecimen, pd.DataFrame]]:
    """Specimens that twin, with the simulated planes of their variants."""
    root = Path(os.environ.get("CPML_REFERENCE") or "") / "virtual"
    for name in names:
        if (root / name).is_dir():
            yield from _twinning(load_virtual(root / name), read_generator_truth(root / name).variants)
    made = os.environ.get("CPML_FACTORY")
    for path in sorted(Path(made).glob("*/dataset.yml"))[:count] if made else []:
        yield from _twinning(load_factory(path.parent), load_truth(path.parent / "truth.npz").variants)


def _twinning(
    virtual: VirtualSpecimen, variants: pd.DataFrame
) -> Iterator[tuple[VirtualSpecimen, pd.DataFrame]]:
    if virtual.specimen.systems.twin.any() and (virtual.specimen.twin_observed == 1).any():
        yield virtual, variants
