"""How stored outputs of notebooks are compared (conftest.py at the root)."""

import importlib.util

import pytest

from cpml.paths import PACKAGE


@pytest.fixture(scope="module")
def printed():
    spec = importlib.util.spec_from_file_location("outputs", PACKAGE.parent / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Printed


@pytest.mark.parametrize(
    ("stored", "run"),
    [
        ("ratio 2.31", "ratio 2.30"),  # one unit of the last digit: 2.305 lies on an edge
        ("0.000", "-0.000"),
        ("1.2e-05 s", "1.3e-05  s"),
        ("3.000001 MPa", "3.000002 MPa"),
    ],
)
def test_equal_but_for_rounding(printed, stored, run):
    assert printed(stored) == run


@pytest.mark.parametrize(
    ("stored", "run"),
    [
        ("ratio 2.31", "ratio 2.29"),
        ("12 grains", "13 grains"),  # counts are exact
        ("basal 1.0", "prismatic 1.0"),
        ("1.2e-05", "1.2e-04"),
        ("0.1 0.2", "0.1"),
    ],
)
def test_unequal(printed, stored, run):
    assert printed(stored) != run
