"""Stiffness of one crystal from its constants, and what is refused."""

import numpy as np
import pytest

from cpml.crystallography.elasticity import crystal_stiffness, rotation_6x6, to_mandel, to_voigt
from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError
from cpml.plasticity import polycrystal_stiffness

COPPER = {"C11": 168.4, "C12": 121.4, "C44": 75.4}
MAGNESIUM = {"C11": 59.4, "C12": 25.6, "C13": 21.4, "C33": 61.6, "C44": 16.4}


@pytest.mark.parametrize("constants, group", [(COPPER, "432"), (MAGNESIUM, "622")])
def test_stiffness_has_the_symmetry_of_the_crystal(constants, group):
    """Every rotation of the crystal leaves it as it is: only the right C66 does that about c."""
    c = crystal_stiffness(constants)
    turn = rotation_6x6(quaternion_to_matrix(proper_group(group)))
    turned = to_voigt(turn @ to_mandel(c) @ turn.swapaxes(-1, -2))
    np.testing.assert_allclose(turned, np.broadcast_to(c, turned.shape), atol=1e-9)
    assert c[0, 0] == constants["C11"] and c[3, 3] == constants["C44"]
    assert c[2, 2] == constants.get("C33", constants["C11"])


def test_dependent_constant_may_be_given():
    """(59.4 - 25.6)/2 = 16.9; rounded to two digits in tables, and the order of the names does not matter."""
    plain = crystal_stiffness(MAGNESIUM)
    assert plain[5, 5] == pytest.approx(16.9)
    for c66 in (16.9, 17):
        given = dict(reversed({**MAGNESIUM, "C66": c66}.items()))
        np.testing.assert_array_equal(crystal_stiffness(given), plain)


@pytest.mark.parametrize("build", [crystal_stiffness, lambda c: polycrystal_stiffness(c, [[1.0, 0, 0, 0]])])
@pytest.mark.parametrize(
    "constants, words",
    [
        ({}, "C11 and C12 and C44 missing"),
        ({"C11": 168.4, "C44": 75.4}, "C12 missing"),
        ({k: v for k, v in MAGNESIUM.items() if k != "C13"}, "C13 missing"),
        ({k: v for k, v in MAGNESIUM.items() if k != "C33"}, "C33 missing"),
        ({k: v for k, v in MAGNESIUM.items() if k != "C44"}, "C44 missing"),
        ({**COPPER, "C66": 75.4}, "C13 and C33 missing"),
        ({**MAGNESIUM, "C66": 25.0}, r"C66 = 25, but \(C11 - C12\)/2 = 16.9"),
        ({**MAGNESIUM, "C14": 5.0}, "'C14' is unknown"),
        ({"c11": 168.4, "c12": 121.4, "c44": 75.4}, "'c11' is unknown"),
        ({**COPPER, "source": "a book"}, "'source' is unknown"),
        ({**COPPER, "C44": float("nan")}, "C44 = nan"),
        ({**COPPER, "C44": "75.4"}, "C44 = '75.4'"),
        ({**COPPER, "C44": None}, "C44 = None"),
        ({"C11": 100.0, "C12": 120.0, "C44": 50.0}, r"C11 > \|C12\| must hold"),
        ({"C11": 100.0, "C12": -60.0, "C44": 50.0}, r"C11 \+ 2 C12 > 0 must hold"),
        ({**COPPER, "C44": -75.4}, "C44 > 0 must hold"),
        ({**MAGNESIUM, "C13": 60.0}, r"2 C13\^2 must hold"),
    ],
)
def test_refused_constants(build, constants, words):
    """Missing, unknown, contradicting, no number, unstable (Born): named in one error, for one
    crystal and for many.
    """
    with pytest.raises(ParameterError, match=words):
        build(constants)
