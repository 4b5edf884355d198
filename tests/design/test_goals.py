"""What may be asked of a design: numbers, bounds, curves; contradictions end in one line."""

import numpy as np
import pytest

from cpml.design.goals import goals_of
from cpml.errors import ParameterError


def test_every_form():
    """A number, bounds, one bound, a value at a strain, a curve."""
    goals = goals_of(
        {
            "yield_stress_mpa": 120,
            "r_value": {"min": 0.8, "max": 1.2},
            "twin_fraction": {"strain": 0.03, "max": 0.1},
            "stress_mpa": {"strain": 0.05, "value": 200},
            "curve": {"strain": [0.01, 0.02], "stress_mpa": [150, 160], "within": 0.02},
        }
    )
    assert [g.name for g in goals] == [
        "yield_stress_mpa",
        "r_value",
        "twin_fraction at 0.03",
        "stress_mpa at 0.05",
        "stress_mpa at 0.01",
        "stress_mpa at 0.02",
    ]
    assert [g.is_equality for g in goals] == [True, False, False, True, False, False]
    assert (goals[2].low, goals[2].high) == (-np.inf, 0.1)
    assert (goals[4].low, goals[4].high) == pytest.approx((147, 153))


def test_deviation():
    """Nothing within the bounds; relative to what was asked outside; shares count at least a hundredth."""
    (stress,) = goals_of({"yield_stress_mpa": {"min": 100, "max": 120}})
    assert [stress.deviation(v) for v in (110, 90, 132)] == pytest.approx([0, -10 / 120, 0.1])
    (none,) = goals_of({"twin_fraction": {"strain": 0.03, "value": 0.0}})
    assert none.deviation(0.001) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "target, words",
    [
        ({}, "give a mapping"),
        ({"hardness": 1}, "unknown property 'hardness'"),
        ({"r_value": -1}, "positive"),
        ({"r_value": float("nan")}, "finite"),
        ({"r_value": {"min": 2, "max": 1}}, "min = 2 is above max = 1"),
        ({"r_value": {"value": 2, "max": 1}}, "give value, or min and max"),
        ({"r_value": {"least": 2}}, "unknown 'least'"),
        ({"twin_fraction": 0.1}, "strain"),
        ({"twin_fraction": {"strain": 0.03, "max": 1.5}}, "share from 0 to 1"),
        ({"twin_fraction": {"strain": 3, "max": 0.5}}, "at most 0.3"),
        ({"curve": {"strain": [0.02, 0.01], "stress_mpa": [1, 2]}}, "must rise"),
        ({"curve": {"strain": [0.01], "stress_mpa": [1, 2]}}, "one length"),
        ({"curve": [1, 2]}, "stress_mpa"),
        ({"strength_differential": -3}, "from -2 to 2"),
        ({"uniform_elongation": 0.5}, "positive and at most 0.3"),
        ({"activity": {"strain": 0.03, "max": 0.5}}, "name a family"),
    ],
)
def test_contradictions(target, words):
    """One line that names the property."""
    with pytest.raises(ParameterError, match=words):
        goals_of(target)
