"""Proper point groups: orders, closure, and orix's operators."""

import numpy as np
import pytest

from cpml.crystallography import LAUE_NUMBER, group_of_lattice, proper_group, quaternion_multiply
from cpml.errors import ParameterError

ORDERS = {"1": 1, "2": 2, "222": 4, "3": 3, "32": 6, "4": 4, "422": 8, "6": 6, "622": 12, "23": 12, "432": 24}


def contains(group, elements):
    """Every element is in the group up to sign."""
    return bool(np.all(np.abs(np.abs(elements @ group.T).max(axis=1) - 1) < 1e-12))


@pytest.mark.parametrize("name, order", ORDERS.items())
def test_group_is_closed(name, order):
    """Orders of the 11 proper groups; every product is a member; the identity is first."""
    group = proper_group(name)
    products = quaternion_multiply(group[:, None], group[None]).reshape(-1, 4)
    assert len(group) == order and contains(group, products)
    assert group[0] == pytest.approx([1, 0, 0, 0])


@pytest.mark.parametrize("name", ORDERS)
def test_group_equals_orix(name):
    """The same rotations as orix's point group of that name."""
    from orix.quaternion import symmetry

    theirs = {
        "1": "C1",
        "2": "C2",
        "222": "D2",
        "3": "C3",
        "32": "D3",
        "4": "C4",
        "422": "D4",
        "6": "C6",
        "622": "D6",
        "23": "T",
        "432": "O",
    }[name]
    operators = getattr(symmetry, theirs).data
    assert len(operators) == ORDERS[name] and contains(proper_group(name), operators)


def test_laue_numbers_and_names():
    """Eleven Laue classes; improper names give the rotations of their class; lattices know theirs."""
    assert sorted(LAUE_NUMBER.values()) == sorted(ORDERS)
    assert len(proper_group("m-3m")) == 24 and len(proper_group("6/mmm")) == 12
    assert [group_of_lattice(x) for x in ("fcc", "bcc", "hcp")] == ["432", "432", "622"]


def test_every_orix_name_is_known():
    """Each point-group name of orix maps to the rotations of its Laue class, axes included."""
    from orix.quaternion import symmetry

    for group in symmetry._groups:
        operators = group.laue.proper_subgroup.data
        assert len(proper_group(group.name)) == len(operators), group.name
        assert contains(proper_group(group.name), operators), group.name


def test_unknown_names_are_explained():
    """A wrong name is a ParameterError that quotes it."""
    with pytest.raises(ParameterError, match="'5'"):
        proper_group("5")
    with pytest.raises(ParameterError, match="'hex'"):
        group_of_lattice("hex")
