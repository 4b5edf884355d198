"""Every VPSC8 reference case: trajectories, grain stresses, textures, twin fractions,
moduli within the stated bounds.
"""

import numpy as np
import pytest

from benchmarks.vpsc import compare_case
from benchmarks.vpsc_cases import case_names, solve_case
from cpml import paths


def _names():
    folder = paths.from_environment("CPML_REFERENCE")
    return case_names(folder / "vpsc") if folder is not None else ()


@pytest.mark.parametrize("name", _names() or ("",))
def test_reference_case(name, reference):
    """Bounds of benchmarks.vpsc: 1e-6 full constraint, 1e-5 first self-consistent row, 1e-4 along paths."""
    rows = compare_case(reference("vpsc"), name) if name else reference("vpsc")
    missed = [
        f"{r.quantity}: {r.ours:.8g} for {r.reference:.8g}, off by {r.deviation:.1e}"
        for r in rows
        if not r.passed
    ]
    assert rows and not missed, "; ".join(missed)


@pytest.mark.parametrize(
    "name, bounds",
    [
        ("d_zr76_IPC_neff", (4.86e-2, 2.15e-2)),
        ("d_zr76_TTC_neff", (3.20e-2, 2.20e-2)),
        ("e_mg_RDcompression_affine", (1.79e-2, 2.71e-3)),
    ],
)
def test_own_visit_order(name, bounds, reference):
    """Our order of reorientation changes as much as another order does in VPSC8 itself: stress
    and twin fractions of tolerances.csv, which holds one permutation; between permutations
    they vary, hence the factor 1.6.
    """
    import pandas as pd

    path = solve_case(reference("vpsc"), name, order="shuffled", tol=1e-6)
    steps = pd.read_csv(reference(f"vpsc/{name}/steps.csv"))
    assert np.abs(path.von_mises.numpy() / steps["sig_vm"] - 1).max() < 1.6 * bounds[0]
    k = path.families.index("twin_1012")
    assert np.abs(path.twin_fraction[:, k] - steps["twfr_tt1012"]).max() < 1.6 * bounds[1]
