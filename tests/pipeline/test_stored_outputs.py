"""How stored notebook outputs are compared: words exactly, decimals to 1e-6 (see conftest.py at the root)."""

import importlib.util

import pytest

from cpml.paths import PACKAGE

_spec = importlib.util.spec_from_file_location("root_conftest", PACKAGE.parent / "conftest.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
Printed = _module.Printed


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        ("mean 0.1234567891", "mean 0.1234567892"),
        ("a   1.50\nb  -0.000", "a 1.5\nb 0.0"),
        ("rate 1e-3 1/s", "rate 0.001 1/s"),
        ("12 grains", "12 grains"),
        ("ratio 2.31", "ratio 2.30"),  # one unit of the last digit: 2.305 lies on an edge
        ("nothing", "nothing"),
    ],
)
def test_equal_up_to_rounding_and_padding(stored, new):
    assert Printed(stored) == new


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        ("mean 0.1234", "mean 0.1236"),
        ("mean 0.5", "median 0.5"),
        ("12 grains", "13 grains"),
        ("0.5 0.5", "0.5"),
        ("", "0.5"),
        ("0.5 nan", "0.5 0.5"),
    ],
)
def test_another_word_integer_or_count_differs(stored, new):
    assert Printed(stored) != new
