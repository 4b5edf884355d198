"""Long tables of labels and predictions with a known answer, on grains in rows of blocks."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array

from cpml.evaluation import Splits


@pytest.fixture
def splits_of_blocks():
    """make(blocks (G,)) -> Splits in which grain i + 1 lies in block blocks[i] and
    blocks follow each other in a row.
    """

    def make(blocks) -> Splits:
        blocks = np.asarray(blocks)
        n = len(blocks)
        a, b = np.arange(n - 1), np.arange(1, n)
        ones = np.ones(2 * (n - 1))
        adjacency = coo_array((ones, (np.r_[a, b], np.r_[b, a])), shape=(n, n)).tocsr()
        table = pd.DataFrame({"grain_id": np.arange(n) + 1, "block": blocks, "fold": blocks % 5})
        return Splits(table, adjacency, 0)

    return make


@pytest.fixture
def candidate_table():
    """make([(grain, {target: probability}), ...]) -> candidates of one slip trace for each entry."""

    def make(traces) -> pd.DataFrame:
        rows = [(i, g, "slip", t, p) for i, (g, targets) in enumerate(traces) for t, p in targets.items()]
        return pd.DataFrame(rows, columns=["trace_id", "grain_id", "mechanism", "target", "probability"])

    return make


@pytest.fixture
def long_table():
    """make(values (G, T), name) -> table grain_id, mechanism "slip", target "t0"..,
    family, and the column ``name``.
    """

    def make(values, name) -> pd.DataFrame:
        values = np.asarray(values, dtype=float)
        grains, targets = values.shape
        return pd.DataFrame(
            {
                "grain_id": np.repeat(np.arange(grains) + 1, targets),
                "mechanism": "slip",
                "target": np.tile([f"t{i}" for i in range(targets)], grains),
                "family": np.tile([f"f{i // 2}" for i in range(targets)], grains),
                name: values.ravel(),
            }
        )

    return make
