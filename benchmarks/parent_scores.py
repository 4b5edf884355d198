"""Are grains that F calls outgrown twins really that? `tasks.py bench --suite coupling --arguments parents`.

A grain of the map whose planes are not those of its partner in the simulation is no parent: the truth leaves
it out (`cpml.virtual.truth.truth_labels`). Specimens of another code by name, of the factory by folder.

| number | is |
|---|---|
| grains | with a clear partner in the simulation |
| outgrown | of them, by their planes |
| promised | the sum of F's probabilities |
| named, right | grains above one half, and how many of them are |
"""

from collections.abc import Iterable

import numpy as np

from benchmarks.virtual_specimens import VirtualSpecimen
from cpml.models import CoupledClassifier

NUMBERS = ("grains", "outgrown", "promised", "named", "right")


def parents(given: Iterable[VirtualSpecimen]) -> dict[str, float]:
    """A line a specimen that twins, and the sums over all."""
    rows = [_counted(virtual) for virtual in given if (virtual.specimen.twin_observed == 1).any()]
    if not rows:
        return {}
    total = {name: float(value) for name, value in zip(NUMBERS, np.sum(rows, axis=0), strict=True)}
    print(", ".join(f"{name} {value:.1f}" for name, value in total.items()))
    return total


def _counted(virtual: VirtualSpecimen) -> tuple[float, ...]:
    """NUMBERS of one specimen."""
    specimen, grains = virtual.specimen, virtual.partner.index
    model = CoupledClassifier(residual=False).fit([specimen])
    told = model.parents(specimen).set_index("grain_id")["p_outgrown"][grains].to_numpy()
    is_twin, named = ~grains.isin(virtual.truth["grain_id"]), told > 0.5
    counts = (len(told), is_twin.sum(), told.sum(), named.sum(), (named & is_twin).sum())
    line = ", ".join(f"{name} {value:.1f}" for name, value in zip(NUMBERS, counts, strict=True))
    print(f"{specimen.name}: {line}", flush=True)
    return counts
