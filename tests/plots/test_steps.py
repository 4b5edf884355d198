"""Courses of grains over strain draw what they are given."""

import numpy as np
import pandas as pd
import pytest

from cpml import plots
from cpml.errors import ParameterError


def table():
    return pd.DataFrame(
        {
            "grain_id": [1, 2, 1, 2],
            "strain": [0.01, 0.01, 0.05, 0.05],
            "e": [1.0, 2.0, 4.0, 8.0],
            "se": [0.1, 0.3, 0.4, 0.6],
            "n": [3, 1, 3, 1],
        }
    )


def test_grains_their_weighted_mean_and_their_error():
    """A line a grain, the mean by weight, the median error beside it, the applied strain as reference."""
    fig = plots.grain_courses(table(), "e", label="e / %", error="se", weight="n", applied=True)
    ax = fig.axes[0]
    lines = {line.get_label(): line for line in ax.lines}
    assert [list(line.get_ydata()) for line in ax.lines[:2]] == [[1.0, 4.0], [2.0, 8.0]]
    assert list(lines["mean of the grains"].get_ydata()) == [1.25, 5.0]
    assert list(lines["applied strain"].get_ydata()) == [0.0, 5.0]
    bars = ax.containers[0].lines[2][0].get_segments()
    assert [bar[1, 1] - bar[0, 1] for bar in bars] == pytest.approx([0.4, 1.0])
    assert "n = 2 grains" in " ".join(text.get_text() for text in fig.texts)


def test_one_state_of_a_compressed_specimen():
    """A single state is drawn, and the reference follows the sign of the mean."""
    one = table()[:2].assign(e=[-1.0, -1.4])
    ax = plots.grain_courses(one, "e", label="e / %", applied=True).axes[0]
    assert next(line for line in ax.lines if line.get_label() == "applied strain").get_ydata()[1] == -1.0


def test_nothing_to_draw_and_columns_that_are_missing():
    """No row, no known strain: no figure; a column that is not there is named."""
    assert plots.grain_courses(table()[:0], "e", label="") is None
    assert plots.grain_courses(table().assign(strain=np.nan), "e", label="") is None
    with pytest.raises(ParameterError, match="no column w"):
        plots.grain_courses(table(), "e", label="", weight="w")
