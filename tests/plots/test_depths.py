"""Figures of what a map leaves open draw what they are given."""

import numpy as np
import pandas as pd
import pytest

from cpml import plots
from cpml.errors import ParameterError

COLOURS = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
PLANE = np.array([[0, 0, 1], [0, 1, 1]])


def test_sections_keep_the_colours_of_the_map_and_pale_those_of_unseen_grains():
    grain, crystal = np.array([[0, 1, 1], [2, 2, 1]]), np.array([[0, 1, 1], [0, 0, 1]])
    fig = plots.depth_sections(PLANE, [(grain, crystal)] * 2, COLOURS, row=1, cell_um=2.0)
    plane, *sections = [ax for ax in fig.axes if ax.images]
    assert len(sections) == 2 and tuple(plane.images[0].get_extent()) == (0, 6, 4, 0)
    assert plane.lines[0].get_ydata() == pytest.approx([3.0, 3.0])  # the middle of the second row
    picture = np.asarray(sections[0].images[0].get_array())
    assert picture[0, 0] == pytest.approx(COLOURS[0]) and picture[1, 2] == pytest.approx(COLOURS[1])
    assert picture[1, 0].min() > 0.5  # pale
    with pytest.raises(ParameterError, match="3"):
        plots.depth_sections(PLANE, [(grain[:, :2], crystal[:, :2])], COLOURS, row=1, cell_um=2.0)


def stresses():
    rows = [("one depth", 0.9), ("one depth", 1.1), ("affine", 1.0), ("learned", 1.05)]
    table = pd.DataFrame(rows, columns=["source", "value"]).assign(grain_id=7, place="rim", area=0.02)
    known = table["source"] == "learned"
    return table.assign(low=np.where(known, 0.8, np.nan), high=np.where(known, 1.3, np.nan))


def test_every_depth_is_a_dot_and_only_what_has_a_doubt_a_bar():
    fig = plots.stresses_under_depths(stresses())
    (ax,) = fig.axes
    assert ax.lines[0].get_ydata().tolist() == [0.9, 1.1]
    bars = [c for c in ax.containers if len(c.lines[2][0].get_segments())]
    assert [s[:, 1].tolist() for c in bars for s in c.lines[2][0].get_segments()] == [[0.8, 1.3]]
    assert "grain 7" in ax.get_xticklabels()[0].get_text() and "n = 2 depths" in plots_note(fig)


def plots_note(fig):
    from cpml.plots.style import _notes

    return _notes[fig]


def test_spreads_and_shares_lie_where_they_are():
    table = pd.DataFrame({"place": ["rim", "inside"], "open_depth": [0.4, 0.5], "open_learned": [0.6, 0.3]})
    inside, rim, _ = plots.open_parity(table).axes[0].lines
    assert inside.get_xydata().tolist() == [[0.5, 0.3]] and rim.get_xydata().tolist() == [[0.4, 0.6]]
    shares = pd.DataFrame({"scheme": ["affine", "learned"], "n_grains": 9, "explained": [0.3, 0.6]})
    fig = plots.explained_shares(shares.assign(low=0.2, high=0.7))
    assert [c.lines[0].get_xdata()[0] for c in fig.axes[0].containers] == [0.3, 0.6]
    curve = pd.DataFrame({"volumes": [100, 10], "explained": [0.6, 0.4]})
    assert plots.learning_curve(curve).axes[0].lines[0].get_xydata().tolist() == [[10, 0.4], [100, 0.6]]


def test_nothing_to_draw():
    assert plots.stresses_under_depths(stresses().head(0)) is None
    columns = {"place": [], "open_depth": [], "open_learned": []}
    assert plots.open_parity(pd.DataFrame(columns)) is None
    names = ["scheme", "n_grains", "explained", "low", "high"]
    assert plots.explained_shares(pd.DataFrame(columns=names)) is None
    assert plots.learning_curve(pd.DataFrame(columns=["volumes", "explained"])) is None
