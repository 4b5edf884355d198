"""Interaction classes from geometry: counts of the seven fcc types, symmetry,
other lattices, twins, matrices.
"""

import numpy as np
import pytest

from cpml.crystallography import systems
from cpml.crystallography.interactions import FCC_SLIP, KUBIN_FCC, interaction_classes, interaction_matrix
from cpml.errors import ParameterError
from support.phases import FCC, magnesium


def test_seven_fcc_types():
    """Every system meets 1 self, 2 coplanar, 1 collinear, 2 Hirth, 2 + 2 glissile and 2 Lomer."""
    classes = interaction_classes(FCC)
    for row in classes:
        assert [int((row == name).sum()) for name in FCC_SLIP] == [1, 2, 1, 2, 2, 2, 2]


def test_facts_of_the_types():
    """Hirth Burgers vectors are normal, collinear ones parallel; b + b' of a
    Lomer lock lies in neither plane.
    """
    classes, b, n = interaction_classes(FCC), FCC.direction, FCC.plane
    assert np.abs((b @ b.T)[classes == "hirth"]) == pytest.approx(0, abs=1e-12)
    assert np.abs((b @ b.T)[classes == "collinear"]) == pytest.approx(1)
    for s, t in np.argwhere(classes == "lomer"):
        junction = b[s] - np.sign(b[s] @ b[t]) * b[t]
        assert abs(junction @ n[s]) > 0.1 and abs(junction @ n[t]) > 0.1
    for s, t in np.argwhere(np.isin(classes, ["glissile", "glissile_reverse"])):
        junction = b[s] - np.sign(b[s] @ b[t]) * b[t]
        assert min(abs(junction @ n[s]), abs(junction @ n[t])) < 1e-12  # it can glide in one of the planes
    assert np.array_equal(classes == "glissile", (classes == "glissile_reverse").T)


def test_other_lattices_and_twins():
    """bcc {110}: each Burgers vector on three planes; magnesium: basal coplanar,
    twins against slip by their planes.
    """
    bcc = interaction_classes(systems("bcc", families=["110"]))
    assert ((bcc == "collinear").sum(1) == 2).all() and ((bcc == "coplanar").sum(1) == 1).all()
    mg = magnesium("basal", "prismatic", "twin_1012")
    found = interaction_classes(mg)
    assert (
        found[:3, :3]
        == [
            ["self", "coplanar", "coplanar"],
            ["coplanar", "self", "coplanar"],
            ["coplanar", "coplanar", "self"],
        ]
    ).all()
    assert (found[:6, 6:] == "slip_by_twin_crossing").all() and (
        found[6:, :6] == "twin_by_slip_crossing"
    ).all()
    fcc = interaction_classes(systems("fcc"))
    assert ((fcc[:12, 12:] == "slip_by_twin_coplanar").sum(1) == 3).all()


def test_matrix():
    """Factors by class, 1 for the rest; the strongest of fcc is collinear."""
    h = interaction_matrix(FCC, KUBIN_FCC)
    assert h.shape == (12, 12) and h.max() == 0.625 and h[0, 0] == 0.122 and np.allclose(h, h.T)
    assert interaction_matrix(FCC, {"self": 2.0})[0, :2].tolist() == [2.0, 1.0]
    for wrong in ({"lomar": 1.0}, {"self": -1.0}):
        with pytest.raises(ParameterError, match="classes"):
            interaction_matrix(FCC, wrong)
