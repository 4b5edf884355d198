"""Figures of ECCI: what is drawn is what was given, and nothing where there is nothing."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from cpml import plots
from cpml.errors import ParameterError
from cpml.microscopy.ecci.stage import Stage
from cpml.microscopy.images.sem_image import SemImage

RECORDS = pd.DataFrame(
    {
        "line": ["a", "a", "b", "b", "c"],
        "segment": 1,
        "grain_id": [4, 4, 4, 4, 9],
        "g": ["(111)", "(200)", "(111)", "(200)", "(111)"],
        "seen": ["visible", "invisible", "weak", "", "visible"],
    }
)
LINES = pd.DataFrame(
    {
        "line": ["a", "b", "c"],
        "grain_id": [4, 4, 9],
        "burgers": ["[110]", "[011]", "[110]"],
        "p_burgers": [0.9, 0.6, 0.8],
        "character_deg": [5.0, 85.0, 45.0],
        "climbed": [False, True, False],
        "cross_slipped": [False, False, True],
    }
)
BURGERS = pd.DataFrame(
    {
        "line": ["a", "a", "b", "b", "c", "c"],
        "burgers": ["[110]", "[011]"] * 3,
        "kind": "1/2<110>",
        "p": [0.9, 0.1, 0.4, 0.6, 0.8, 0.2],
    }
)


def place_of(ax, text):
    return next(np.array(t.xyann) for t in ax.texts if t.get_text() == text)


def test_the_lower_edge_goes_down_for_a_right_handed_tilt_about_x():
    """y points down, so the lower edge is drawn at positive y; a left-handed stage takes the upper one."""
    for sense, below in ((1.0, True), (-1.0, False)):
        ax = plots.stage_sketch(Stage(tilt_sense=sense)).axes[0]
        assert (place_of(ax, "away from\nthe gun")[1] > 0) == below
        assert (place_of(ax, "towards\nthe gun")[1] > 0) != below
    ax = plots.stage_sketch(Stage(tilt_axis_deg=90.0)).axes[0]  # about the upward direction: the right edge
    assert place_of(ax, "away from\nthe gun")[0] > 0.5


def test_a_rotation_turns_as_declared():
    """+x goes up on the screen, to negative y, for a counter-clockwise stage."""
    for sense in (1.0, -1.0):
        arrow = plots.stage_sketch(Stage(second_sense=sense)).axes[1].patches[-1]
        (_, _), (_, y) = arrow._posA_posB
        assert np.sign(y) == -sense


def test_states_of_the_grain_with_most_lines():
    """Rows by Burgers vector: b (011) before a (110); 0 visible, 1 weak, 2 invisible, 3 not looked at."""
    ax = plots.seen_table(RECORDS, LINES).axes[0]
    assert ax.images[0].get_array().tolist() == [[1, 3], [0, 2]]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["(111)", "(200)"]
    assert "grain 4" in ax.get_title("left") and ax.get_yticklabels()[1].get_text().startswith("a:")
    assert plots.seen_table(RECORDS, LINES, grain_id=9).axes[0].images[0].get_array().tolist() == [[0]]


def test_bars_are_sums_of_probabilities():
    """Grain 4 has .9 + .4 lines of [110] and .1 + .6 of [011], grain 9 .8 and .2."""
    ax = plots.burgers_of_grains(LINES, BURGERS).axes[0]
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == pytest.approx([1.3, 0.8, 0.7, 0.2])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["grain 4", "grain 9"]


def test_characters_by_what_was_called():
    ax = plots.characters(LINES).axes[0]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "glides (1)",
        "climbed (1)",
        "cross-slipped (1)",
    ]


def test_segments_have_the_colour_of_what_each_picture_shows():
    values = np.arange(400.0).reshape(20, 20)
    picture = SemImage(values=values, valid=np.ones((20, 20), bool), pixel_um=0.01, name="made up")
    segments = pd.DataFrame({"x0_px": [2.0, 5.0], "y0_px": 3.0, "x1_px": 9.0, "y1_px": 12.0})
    seen = {"(111)": ["visible", "invisible"], "(200)": ["weak", "unknown"]}
    fig = plots.picture_segments({"(111)": picture, "(200)": picture}, segments, seen, simulated=True)
    assert "simulated" in fig.get_supxlabel()
    drawn = [ax.collections[0].get_colors() for ax in fig.axes[:2]]
    looks = plots.ecci.lines.SEEN
    assert drawn[0][0][:3] == pytest.approx(to_rgb(looks["visible"]))
    assert drawn[0][1][:3] == pytest.approx(to_rgb(looks["invisible"]))
    assert drawn[1][0][:3] == pytest.approx(to_rgb(looks["weak"])) and drawn[1][1][0] == pytest.approx(0.6)


def test_nothing_to_draw_and_lacking_columns():
    assert plots.seen_table(RECORDS[:0], LINES) is None
    assert plots.burgers_of_grains(LINES[:0], BURGERS) is None and plots.characters(LINES[:0]) is None
    with pytest.raises(ParameterError, match="climbed"):
        plots.characters(LINES.drop(columns="climbed"))
