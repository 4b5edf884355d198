"""Figures of designs: what is drawn where, and nothing where there is nothing."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cpml import plots
from cpml.errors import ParameterError

GOALS = pd.DataFrame(
    {
        "goal": ["yield_stress_mpa", "twin_fraction at 0.03"],
        "low": [200.0, -np.inf],
        "high": [np.inf, 0.05],
        "now": [180.0, 0.1],
        "design": [202.0, 0.04],
        "p5": [190.0, np.nan],
        "p95": [215.0, np.nan],
    }
)
FRONT = pd.DataFrame({"yield_stress_mpa": [150.0, 140.0], "r_value": [1.0, 2.0]})
PAIR = ["yield_stress_mpa", "r_value"]


def test_goals_in_percent_of_what_was_asked():
    """180 and 202 of at least 200 are 90 and 101 %, .1 and .04 of at most .05 are 200 and 80 %; bars end at
    100 %.
    """
    ax = plots.design_goals(GOALS).axes[0]
    now, made = ([line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2])[:2]
    assert now == pytest.approx([90.0, 200.0]) and made == pytest.approx([101.0, 80.0])
    asked = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches]
    assert asked[0][0] == pytest.approx(100.0) and asked[1][1] == pytest.approx(100.0)
    assert ax.get_yticklabels()[0].get_text() == "yield stress"


def test_front_with_what_is_asked():
    """The box of the bounds ends at the axes where they are open; points lie where they are."""
    made = FRONT.assign(process=["rolling", "none"])
    ax = plots.trade_off(
        FRONT, PAIR, processes=made, asked=(145.0, np.inf, 1.5, np.inf), now=(141, 1.1), suggestion=(146, 1.6)
    ).axes[0]
    box = ax.patches[0]
    assert (box.get_x(), box.get_y()) == (145.0, 1.5)
    assert box.get_x() + box.get_width() == pytest.approx(ax.get_xlim()[1])
    assert ax.get_xlabel() == "yield stress / MPa" and ax.get_ylabel() == "r value"
    ax = plots.trade_off(FRONT, PAIR, steps=[[140, 1.0], [144, 1.2], [150, 1.4]]).axes[0]
    assert ax.lines[-1].get_xdata() == pytest.approx([140, 144, 150])
    with pytest.raises(ParameterError, match="give two"):
        plots.trade_off(FRONT, PAIR[:1])


def test_rows_of_routes_and_changes():
    """One mark for each goal in the row of its route or change, in percent."""
    rows = pd.DataFrame({"route": ["drawn", "n_eff"], "goal": "r_value", "deviation": [0.01, -0.2]})
    ax = plots.design_routes(rows).axes[0]
    assert ax.lines[1].get_xdata() == pytest.approx([1.0, -20.0])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["drawn", "n eff"]
    ax = plots.design_sensitivity(rows.rename(columns={"route": "change"})).axes[0]
    assert ax.lines[1].get_xdata() == pytest.approx([1.0, -20.0])


def test_shares_of_the_shear():
    """Bars in percent, rows of whole textures left out."""
    table = pd.DataFrame(
        {"texture": ["a", "a", "a"], "family": ["basal", "prismatic", ""], "share": [0.7, 0.3, np.nan]}
    )
    ax = plots.mechanism_shares(table, strain=0.03).axes[0]
    assert sorted(bar.get_height() for bar in ax.patches if bar.get_height()) == pytest.approx([30.0, 70.0])
    assert "3 %" in ax.get_ylabel()


def test_nothing_to_draw():
    """No rows, no figure."""
    plt.close("all")
    none = pd.DataFrame(columns=["route", "change", "goal", "deviation", "texture", "family", "share", *PAIR])
    assert plots.design_goals(GOALS.iloc[:0]) is plots.design_routes(none) is None
    assert plots.design_sensitivity(none) is plots.mechanism_shares(none, strain=0.1) is None
    assert plots.trade_off(none, PAIR) is None
    assert not plt.get_fignums()
