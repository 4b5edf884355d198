"""Slip and twin systems: counts, geometry, senses from lattice correspondence, shears, twin angles."""

import itertools

import numpy as np
import pytest

from cpml.crystallography import proper_group, quaternion_to_matrix, systems, twin_disorientation
from cpml.crystallography.slip_systems import HEXAGONAL_SHEAR, REPRESENTATIVES, lattice_vectors, plane_normal
from cpml.errors import ParameterError
from support.phases import MG_RATIO, magnesium

COUNTS = {
    "fcc": {"octahedral": 12, "twin": 12},
    "bcc": {"110": 12, "112": 12, "123": 24, "twin": 12},
    "hcp": {
        "basal": 3,
        "prismatic": 3,
        "pyramidal1_a": 6,
        "pyramidal1_ca": 12,
        "pyramidal2_ca": 6,
        "twin_1012": 6,
        "twin_1121": 6,
        "twin_1011": 6,
        "twin_1122": 6,
    },
}
RATIO = {"Mg": MG_RATIO, "Ti": 1.5874, "Zr": 1.5931, "Co": 1.6228, "Be": 1.5677, "Zn": 1.8563}
TWIN_PLANES = [(1, 0, -1, 2), (1, 0, -1, 1), (1, 0, -1, 3), (1, 1, -2, 1), (1, 1, -2, 2), (1, 1, -2, 4)]
# deg, of TWIN_PLANES: 2 phi or 180 - 2 phi, phi the angle of the plane from the basal one (Partridge 1967)
TWIN_ANGLES = {
    "Mg": (86.30, 56.15, 64.00, 34.23, 63.26, 78.14),
    "Ti": (85.01, 57.23, 62.85, 34.97, 64.42, 76.88),
    "Zr": (85.21, 57.06, 63.03, 34.85, 64.23, 77.08),
    "Co": (86.27, 56.17, 63.98, 34.25, 63.28, 78.11),
    "Be": (84.30, 57.83, 62.21, 35.38, 65.07, 76.18),
    "Zn": (86.03, 50.02, 71.09, 30.15, 56.62, 85.73),
}


@pytest.fixture(params=list(COUNTS))
def every(request):
    """All systems of a lattice."""
    return systems(request.param, c_over_a=MG_RATIO)


def test_counts(every):
    """12 octahedral; 12, 12, 24 pencil planes; 3, 3, 6, 12, 6 and 6 per twin family; names are unique."""
    found = {name: int(np.sum(every.family == i)) for i, name in enumerate(every.family_names)}
    assert found == COUNTS[every.lattice]
    assert len(set(every.names)) == len(every) and len(set(every.plane_names)) == len(every.plane_names)


def test_directions_lie_in_planes(every):
    """n.b = 0 and unit lengths, to rounding."""
    assert np.abs(np.einsum("si,si->s", every.plane, every.direction)).max() < 1e-14
    assert np.abs(np.linalg.norm(every.plane, axis=1) - 1).max() < 1e-14
    assert np.abs(np.linalg.norm(every.direction, axis=1) - 1).max() < 1e-14


def test_group_permutes_systems(every):
    """Every symmetry rotation maps a family onto itself (twins with their sense)."""
    group = quaternion_to_matrix(proper_group("622" if every.lattice == "hcp" else "432"))
    for family, rotation in itertools.product(range(len(every.family_names)), group):
        dyads = every.dyad[every.family == family].reshape(-1, 9)
        turned = (rotation @ every.dyad[every.family == family] @ rotation.T).reshape(-1, 9)
        match = turned @ dyads.T
        match = match if every.kind[every.family == family][0] == "twin" else np.abs(match)
        assert np.sort(np.argmax(match, axis=1)).tolist() == list(range(len(dyads)))
        assert match.max(axis=1) == pytest.approx(1)


def test_planes_are_shared_and_numbered(every):
    """plane_id points to the system's own plane; slip planes come first;
    pyramidal I <a> and <c+a> share theirs.
    """
    cosine = np.einsum("si,si->s", every.plane, every.plane_normals[every.plane_id])
    assert cosine == pytest.approx(1)
    assert every.plane_id[every.slip].max() < every.plane_id[every.twin].min()
    distinct = np.unique(np.round(every.plane[every.slip], 9), axis=0)
    assert len(distinct) == every.plane_id[every.slip].max() + 1


def test_burgers_lengths():
    """a/sqrt2 in fcc, sqrt3 a/2 in bcc, a and sqrt(a^2+c^2) in hcp; partials
    a/sqrt6 and a/sqrt12 for the twins.
    """
    fcc, bcc, mg = systems("fcc"), systems("bcc"), magnesium()
    assert fcc.burgers_length[fcc.slip] == pytest.approx(1 / np.sqrt(2))
    assert fcc.burgers_length[fcc.twin] == pytest.approx(1 / np.sqrt(6))
    assert bcc.burgers_length[bcc.slip] == pytest.approx(np.sqrt(3) / 2)
    assert bcc.burgers_length[bcc.twin] == pytest.approx(1 / np.sqrt(12))
    assert mg.burgers_length[:12] == pytest.approx(1)
    assert mg.burgers_length[12:30] == pytest.approx(np.hypot(1, MG_RATIO))


PRIMITIVE = {
    "fcc": np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2,
    "bcc": np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2,
}


@pytest.mark.parametrize("lattice", ["fcc", "bcc"])
def test_cubic_twin_sense(lattice):
    """The shear 1/sqrt2 in the listed sense maps the lattice on its twin (integer
    correspondence); reversed it does not.
    """
    twins = systems(lattice, families=["twin"])
    cell = PRIMITIVE[lattice].T
    for n, dyad, shear in zip(twins.plane, twins.dyad, twins.twin_shear, strict=True):
        half_turn = 2 * np.outer(n, n) - np.eye(3)
        for sense, is_integer in ((1, True), (-1, False)):
            m = np.linalg.inv(cell) @ half_turn @ (np.eye(3) + sense * shear * dyad) @ cell
            assert (np.abs(m - np.rint(m)).max() < 1e-12) == is_integer


@pytest.mark.parametrize("metal", RATIO)
@pytest.mark.parametrize("family", list(HEXAGONAL_SHEAR))
def test_hexagonal_twin_sense_and_shear(metal, family):
    """Sheared by S in the listed sense, the lattice is the twin's up to twelfths (shuffles); by -S it is not.

    This fixes sign and size of every shear formula from the lattice alone.
    """
    twins = systems("hcp", families=[family], c_over_a=RATIO[metal])
    cell = lattice_vectors("hcp", RATIO[metal]).T
    for n, dyad, shear in zip(twins.plane, twins.dyad, twins.twin_shear, strict=True):
        half_turn = 2 * np.outer(n, n) - np.eye(3)
        for sense, is_rational in ((1, True), (-1, False)):
            m = 12 * np.linalg.inv(cell) @ half_turn @ (np.eye(3) + sense * shear * dyad) @ cell
            assert (np.abs(m - np.rint(m)).max() < 1e-9) == is_rational


@pytest.mark.parametrize(
    "metal, shears",
    [
        ("Mg", (0.1294, 0.616, -0.137, -0.261)),
        ("Ti", (0.1748, 0.630, -0.098, -0.218)),
        ("Zr", (0.1674, 0.628, -0.104, -0.225)),
    ],
)
def test_twin_shears(metal, shears):
    """Shears of Mg, Ti, Zr to the printed digits; the sign says whether c is extended."""
    ratio = {"Ti": 1.5873}.get(metal, RATIO[metal])
    values = [HEXAGONAL_SHEAR[f](ratio) for f in ("twin_1012", "twin_1121", "twin_1011", "twin_1122")]
    assert values == pytest.approx(shears, abs=6e-4)


@pytest.mark.parametrize(
    "metal, family, extends",
    [
        ("Mg", "twin_1012", True),
        ("Zn", "twin_1012", False),
        ("Mg", "twin_1011", False),
        ("Ti", "twin_1122", False),
        ("Ti", "twin_1121", True),
        ("Zn", "twin_1121", True),
    ],
)
def test_twin_polarity(metal, family, extends):
    """c-axis tension resolves positively on {10-12} in Mg, negatively in Zn (c/a >
    sqrt3) and on {10-11}, {11-22}.
    """
    twins = systems("hcp", families=[family], c_over_a=RATIO[metal])
    assert np.all((twins.schmid[:, 2, 2] > 0) == extends)


@pytest.mark.parametrize("metal", TWIN_ANGLES)
def test_twin_disorientations(metal):
    """Disorientation of six twin types to 0.01 deg."""
    angles = [
        np.degrees(twin_disorientation(plane_normal(p, "hcp", RATIO[metal]), "622")[0]) for p in TWIN_PLANES
    ]
    assert angles == pytest.approx(TWIN_ANGLES[metal], abs=0.01)


def test_cubic_twin_is_sigma3():
    """The {111} twin is 60 deg about <111>."""
    angle, axis = twin_disorientation([1, 1, 1], "432")
    assert np.degrees(angle) == pytest.approx(60) and np.abs(axis) == pytest.approx(
        np.full(3, 1 / np.sqrt(3))
    )


def test_subset_renumbers():
    """A subset keeps names and geometry and numbers its families and planes from 0 without gaps."""
    mg = magnesium()
    twins = mg.subset(mg.twin)
    assert twins.family_names == ("twin_1012", "twin_1121", "twin_1011", "twin_1122")
    assert set(twins.plane_id) == set(range(24)) and len(twins.plane_normals) == 24
    assert np.einsum("si,si->s", twins.plane, twins.plane_normals[twins.plane_id]) == pytest.approx(1)


def test_order_is_deterministic_and_names_speak():
    """Two calls agree; documented names exist."""
    assert systems("fcc").names == systems("fcc").names
    mg = magnesium()
    assert "basal (0001)[2-1-10]" in mg.names and "twin_1012 (10-12)[-1011]" in mg.names
    assert "octahedral (111)[0-11]" in systems("fcc").names


@pytest.mark.parametrize(
    "arguments",
    [
        {"lattice": "fcc", "families": ["basal"]},
        {"lattice": "hcp"},
        {"lattice": "sc"},
        {"lattice": "hcp", "c_over_a": 0.0},
        {"lattice": "fcc", "families": []},
    ],
)
def test_wrong_requests_are_explained(arguments):
    """Unknown family, missing c/a, unknown lattice: ParameterError."""
    with pytest.raises(ParameterError):
        systems(**arguments)


def test_representatives_lie_in_their_planes():
    """h u + k v + (i t) + l w = 0 for every written representative, in integers."""
    for family in (f for lattice in REPRESENTATIVES.values() for f in lattice.values()):
        assert sum(p * d for p, d in zip(family[1], family[2], strict=True)) == 0
