"""Planes that a screw dislocation can change between: those that share its Burgers vector."""

from itertools import combinations

import numpy as np
import pandas as pd

from cpml.crystallography.slip_systems import Systems


def cross_slip_pairs(systems: Systems) -> pd.DataFrame:
    """Pairs of slip planes that share a slip direction (and Burgers length).

    Returns
    -------
    DataFrame target, plane_a, plane_b (plane ids), plane_a_name, plane_b_name, system_a, system_b

    Examples
    --------
    >>> from cpml.crystallography import systems
    >>> pairs = cross_slip_pairs(systems("fcc", families=["octahedral"]))
    >>> print(len(pairs), pairs["target"][0])
    6 octahedral (111)|octahedral (-111)[0-11]
    """
    slip = np.flatnonzero(systems.slip)
    rows = []
    for a, b in combinations(slip, 2):
        same = abs(abs(systems.direction[a] @ systems.direction[b]) - 1) < 1e-9
        if (
            same
            and systems.plane_id[a] != systems.plane_id[b]
            and np.isclose(systems.burgers_length[a], systems.burgers_length[b])
        ):
            a, b = sorted((a, b), key=lambda s: systems.plane_id[s])
            first, second = systems.plane_id[a], systems.plane_id[b]
            bracket = systems.names[a][systems.names[a].index("[") :]
            name = f"{systems.plane_names[first]}|{systems.plane_names[second]}{bracket}"
            rows.append((name, first, second, systems.plane_names[first], systems.plane_names[second], a, b))
    return pd.DataFrame(
        rows, columns=["target", "plane_a", "plane_b", "plane_a_name", "plane_b_name", "system_a", "system_b"]
    )
