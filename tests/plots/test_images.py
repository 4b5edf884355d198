"""Images keep their scale and hide their data bar; lines and activities have the
colours that the legend names.
"""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from cpml import plots
from cpml.errors import ParameterError
from cpml.microscopy import SemImage, slip_activity, tile_labels
from cpml.microscopy.dic.activity import in_plane_dyads
from support.phases import FCC


@pytest.fixture
def image():
    """40 x 60 pixels of 0.5 um, the last 8 rows a data bar."""
    values = np.random.default_rng(0).normal(100, 5, (40, 60))
    valid = np.ones(values.shape, bool)
    valid[32:] = False
    return SemImage("virtual", values, valid, 0.5)


@pytest.fixture
def traces():
    """Two families in tile 1, one in tile 2, none in tile 3."""
    return pd.DataFrame(
        {"grain_id": [1, 1, 2, 3], "rank": [1, 2, 1, 0], "angle_deg": [0.0, 90.0, 45.0, np.nan]}
    )


def _lines(fig):
    return [c for c in fig.axes[0].collections if isinstance(c, LineCollection)]


def test_lines_lie_in_their_tile_at_their_angle(image, traces):
    """Tile 1 covers 0 to 9.5 um: its centre is (4.75, 4.75), and 90 deg runs along y."""
    label = tile_labels(image.shape, 20, valid=image.valid)
    fig = plots.image_with_traces(image, traces, label=label, tiles=20)
    first, second = _lines(fig)
    half = 0.35 * 2 * np.sqrt(100 / np.pi)  # a line is 0.7 equivalent diameters of its 100 um2 long
    ends = [[4.75 - half, 4.75], [4.75 + half, 4.75]]
    np.testing.assert_allclose(first.get_segments()[0], ends, rtol=1e-12)
    np.testing.assert_allclose(second.get_segments()[0], np.array(ends)[::-1, ::-1], rtol=1e-12)
    texts = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert texts == ["family 1 (2)", "family 2 (1)"]


def test_the_picture_ends_at_its_data_bar(image, traces):
    """32 valid rows of 0.5 um are 16 um, 60 columns are 30 um."""
    ax = plots.image_with_traces(image, traces, label=tile_labels(image.shape, 20)).axes[0]
    assert abs(np.diff(ax.get_ylim())[0]) == pytest.approx(16.0)
    assert abs(np.diff(ax.get_xlim())[0]) == pytest.approx(30.0)


def test_an_image_without_scale_says_so(image, traces):
    unscaled = SemImage("unscaled", image.values, image.valid)
    fig = plots.image_panels({"a": unscaled, "b": image})
    assert "scale unknown" in fig.get_supxlabel()
    assert [ax.get_title() or ax.get_title(loc="left") for ax in fig.axes] == ["a", "b"]


def test_regions_must_fit_the_image(image, traces):
    with pytest.raises(ParameterError, match=r"\(40, 60\)"):
        plots.image_with_traces(image, traces, label=np.ones((4, 4), int))


@pytest.fixture
def activity():
    """Left half sheared by system 0, right half by system 5, one row without strain."""
    q = np.array([0.9, 0.3, 0.2, 0.1]) / np.linalg.norm([0.9, 0.3, 0.2, 0.1])
    dyads = in_plane_dyads(q, FCC)[0].reshape(-1, 2, 2)
    h = np.zeros((4, 6, 2, 2))
    h[1:, :3], h[1:, 3:] = 0.1 * dyads[0], 0.1 * dyads[5]
    return slip_activity(h, q[None], FCC, label=np.ones((4, 6), int))


def test_the_most_probable_system_has_the_colour_of_the_legend(activity):
    """Where a system wins the pixel has its colour; pixels without strain are grey."""
    fig = plots.activity_map(plots.FieldView(0.2), activity)
    picture = fig.axes[0].images[0].get_array()
    handles = fig.axes[0].get_legend().get_patches()
    texts = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    winner = activity.systems.names[activity.winner.reshape(4, 6)[2, 1]].split(" ")[1]
    place = next(k for k, text in enumerate(texts) if text.startswith(winner))
    np.testing.assert_allclose(picture[2, 1], handles[place].get_facecolor()[:3])
    assert np.ptp(picture[0, 0]) == 0 and texts[-1] == "little strain"


def test_the_posterior_of_one_system_runs_from_0_to_1(activity):
    fig = plots.activity_map(plots.FieldView(), activity, system=activity.systems.names[0])
    assert fig.axes[0].images[1].get_clim() == (0.0, 1.0)


def test_an_unknown_system_is_named(activity):
    with pytest.raises(ParameterError, match="cubic"):
        plots.activity_map(plots.FieldView(), activity, system="cubic")


def test_lines_of_several_pieces_are_told_from_straight_ones():
    """Line 1 is straight, line 2 has a corner; their ends are in um of the field."""
    pieces = pd.DataFrame(
        {
            "line_id": [1, 2, 2],
            "x0_px": [0.0, 2, 4],
            "y0_px": [0.0, 2, 2],
            "x1_px": [4.0, 4, 6],
            "y1_px": [0.0, 2, 6],
        }
    )
    fig = plots.line_map(plots.FieldView(0.5), np.ones((8, 8)), pieces, label="shear")
    straight, bent = _lines(fig)
    np.testing.assert_allclose(straight.get_segments()[0], [[0, 0], [2, 0]])
    assert len(bent.get_segments()) == 2
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["straight (1)", "several pieces (1)"]
