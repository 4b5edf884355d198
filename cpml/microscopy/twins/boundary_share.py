"""How much of the boundary length is twin boundary, phase by phase.

A boundary between two fragments of one phase is a twin boundary of a type that was looked for when their mean
orientations are within the tolerance of that relation, and "CSL 3" when a cubic pair is a Sigma3 by Brandon's
limit (annealing twins). Lengths are those of the outline; shares are of the boundaries inside the phase, all
of them and those of high angle.
"""

import numpy as np
import pandas as pd

from cpml.microscopy.twins.twins import Twins

HIGH_ANGLE_DEG = 15.0


def twin_boundary_share(twins: Twins) -> pd.DataFrame:
    """One row a phase and kind of twin boundary that it has.

    Returns
    -------
    phase (number), phase_name, kind, number, length_um, staircase_um, share (of the length of all boundaries
    inside the phase), share_of_high_angle (of those of 15 deg and more)
    """
    grains = twins.segmentation
    table = grains.boundaries
    phase = grains.phase[table["fragment_a"].to_numpy() - 1]
    inside = ~table["phase_boundary"].to_numpy() & (phase > 0)
    found = twins.pairs.set_index(["fragment_a", "fragment_b"])["type"]
    index = pd.MultiIndex.from_frame(table[["fragment_a", "fragment_b"]])
    kind = found.reindex(index).fillna("").to_numpy(object)
    kind = np.where((kind == "") & (table["csl"].to_numpy() == 3), "CSL 3", kind)
    length, raw = table["length_um"].to_numpy(), table["staircase_um"].to_numpy()
    high = table["angle_deg"].to_numpy() >= HIGH_ANGLE_DEG
    rows = []
    for number in sorted(set(phase[inside].tolist())):
        own = inside & (phase == number)
        for name in sorted(set(kind[own].tolist()) - {""}):
            these = own & (kind == name)
            shares = (length[these].sum() / length[own].sum(), length[these].sum() / length[own & high].sum())
            sums = (int(these.sum()), length[these].sum(), raw[these].sum())
            rows.append((number, grains.map.phases[number].name, name, *sums, *shares))
    columns = ["phase", "phase_name", "kind", "number", "length_um", "staircase_um"]
    return pd.DataFrame(rows, columns=[*columns, "share", "share_of_high_angle"])
