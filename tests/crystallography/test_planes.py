"""Plane families of any crystal: multiplicities and angles from cell and group."""

import numpy as np
import pytest

from cpml.crystallography import plane_family, usual_families
from cpml.errors import ParameterError
from cpml.plots.texture.poles import plane_normals

CUBIC = (3.6, 3.6, 3.6, 90, 90, 90)
HEXAGONAL = (3.2, 3.2, 5.2, 90, 90, 120)
ORTHORHOMBIC = (4.75, 10.2, 5.98, 90, 90, 90)
MONOCLINIC = (5.0, 7.0, 6.0, 90, 105, 90)


@pytest.mark.parametrize(
    "group, cell, plane, count",
    [
        ("432", CUBIC, (1, 1, 1), 4),
        ("432", CUBIC, (1, 2, 3), 24),
        ("622", HEXAGONAL, (1, 0, -1, 1), 6),
        ("32", HEXAGONAL, (1, 0, -1, 1), 3),
        ("222", ORTHORHOMBIC, (1, 1, 0), 2),
        ("222", ORTHORHOMBIC, (1, 1, 1), 4),
        ("121", MONOCLINIC, (1, 1, 0), 2),
        ("1", MONOCLINIC, (1, 1, 0), 1),
    ],
)
def test_multiplicity(group, cell, plane, count):
    """Each family has its number of planes, +n and -n counted once."""
    normals = plane_family(plane, group, cell)
    assert len(normals) == count
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)


def test_normals_of_known_cells():
    """tan of the angle between (001) and (011) is c/b; in a monoclinic cell (001) and (100) meet at beta."""
    c, both = plane_family((0, 0, 1), "222", ORTHORHOMBIC)[0], plane_family((0, 1, 1), "222", ORTHORHOMBIC)
    angle = np.arccos(np.abs(both @ c))
    np.testing.assert_allclose(np.tan(angle), 5.98 / 10.2)
    a, c = (plane_family(p, "1", MONOCLINIC)[0] for p in ((1, 0, 0), (0, 0, 1)))
    assert abs(a @ c) == pytest.approx(abs(np.cos(np.radians(105))))
    np.testing.assert_allclose(c, [0, 0, 1], atol=1e-12)  # Z || c*


@pytest.mark.parametrize("plane", [(0, 0, 0, 1), (1, 0, -1, 0), (1, 0, -1, 1), (2, 1, -3, 1)])
def test_hexagonal_families_are_those_of_the_pole_figures(plane):
    """The same normals as the hexagonal formula, in any order and sense."""
    one = plane_family(plane, "622", HEXAGONAL)
    other = plane_normals(plane, lattice="hcp", c_over_a=5.2 / 3.2)
    overlap = np.abs(one @ other.T)
    assert overlap.shape[0] == overlap.shape[1] and np.allclose(overlap.max(axis=1), 1)


def test_usual_families_of_every_crystal():
    """Three families; of a tetragonal crystal (010) is a (100); without a cell what needs c/a is left out."""
    assert list(usual_families("432", CUBIC)) == [(1, 0, 0), (1, 1, 0), (1, 1, 1)]
    assert list(usual_families("222", ORTHORHOMBIC)) == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert list(usual_families("422", (4, 4, 6, 90, 90, 90))) == [(1, 0, 0), (0, 0, 1)]
    assert list(usual_families("622", HEXAGONAL))[-1] == (1, 0, -1, 1)
    unknown = (np.nan,) * 3 + (90.0,) * 3
    assert list(usual_families("622", unknown)) == [(0, 0, 0, 1), (1, 0, -1, 0)]
    assert len(usual_families("432", unknown)) == 3 and len(usual_families("222", unknown)) == 3


@pytest.mark.parametrize(
    "plane, cell",
    [
        ((1, 0, 1, 0), HEXAGONAL),
        ((0, 0, 0), CUBIC),
        ((1, 0), CUBIC),
        ((1, 0, 0), (1, 1, -1, 90, 90, 90)),
        ((1, 0, 0), (1, 1, 1, 150, 150, 150)),
    ],
)
def test_impossible_planes_and_cells(plane, cell):
    with pytest.raises(ParameterError, match=r"plane|cell"):
        plane_family(plane, "1", cell)
