"""The boundary network has the colour of its type; shares stand with both intervals over their counts."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb

from cpml import plots
from cpml.errors import ParameterError
from cpml.microscopy import footprint_frequency


def test_segments_have_the_colour_and_the_share_of_their_type(cubes, segments):
    """Two segments of 0.5 um are a twin, one is random: two thirds and one third of the length."""
    segments = segments.assign(fragment_a=[1, 1, 3], fragment_b=[2, 2, 1])
    boundaries = pd.DataFrame({"fragment_a": [1, 1], "fragment_b": [2, 3]})
    fig = plots.boundary_map(plots.MapView(cubes, segments), boundaries, ["twin", "random"])
    lines = [c for c in fig.axes[0].collections if isinstance(c, LineCollection)]
    assert [len(c.get_segments()) for c in lines] == [2, 1]
    np.testing.assert_allclose(lines[1].get_colors()[0, :3], to_rgb("black"))
    texts = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert texts == ["twin (67 %)", "random (33 %)"]


def test_transmission_is_the_curve_and_its_boundaries():
    """The curve, marks where there is evidence, and their means over quarters of m'."""
    x = np.linspace(0, 1, 5)
    curve = pd.DataFrame({"m_prime": x, "p": x, "low": x / 2, "high": (1 + x) / 2, "prior": x**2})
    boundaries = pd.DataFrame(
        {"m_prime": [0.1, 0.2, 0.9, 0.5], "p_passes": [0.2, 0.4, 0.9, 0.5], "weight": [0.6, 0.2, 0.8, 0.0]}
    )
    fig = plots.transmission_curve(curve, boundaries)
    learned, literature = fig.axes[0].lines
    np.testing.assert_allclose(learned.get_xydata(), np.stack([x, x], axis=1))
    np.testing.assert_allclose(literature.get_ydata(), x**2)
    marks, bars = (
        next(c for c in fig.axes[0].collections if c.get_label() == word)
        for word in ("a boundary", "mean of boundaries")
    )
    np.testing.assert_allclose(marks.get_offsets(), [[0.1, 0.2], [0.2, 0.4], [0.9, 0.9]])
    np.testing.assert_allclose(bars.get_segments(), [[[0, 0.3], [0.25, 0.3]], [[0.75, 0.9], [1, 0.9]]])
    assert "n = 3 boundaries" in fig.get_supxlabel()
    assert plots.transmission_curve(curve, boundaries[:0]) is not None
    assert plots.transmission_curve(curve[:0], boundaries) is None


def test_axes_lie_in_the_standard_triangle():
    """[100], [001] and [0-10] are one corner of the cubic triangle; NaN is left out."""
    axes = [[1, 0, 0], [0, 0, 1], [0, -1, 0], [np.nan] * 3]
    fig = plots.axis_triangle(axes, [10, 20, 30, 40], lattice="fcc")
    points = fig.axes[0].collections[-1].get_offsets()
    assert len(points) == 3
    np.testing.assert_allclose(points, 0, atol=1e-9)


def test_clusters_that_touch_differ_in_colour(view):
    """Grains 1 and 2 are one cluster, 3 and 4 the next, 5 is alone and light grey."""
    label = 1 + (view.ebsd_map.xy[:, 0] // 1.0).astype(int)
    fig = plots.cluster_map(view, label, pd.Series([1, 1, 2, 2, 3], index=[1, 2, 3, 4, 5]))
    row = np.asarray(fig.axes[0].images[0].get_array())[3]
    assert np.ptp(row[:4], axis=0).max() == np.ptp(row[4:8], axis=0).max() == 0
    assert np.abs(row[3] - row[4]).max() > 0.1
    np.testing.assert_allclose(row[8], to_rgb("#E6E6E6"))
    assert "2 clusters of two grains or more, the largest of 2" in fig.get_supxlabel().replace("\n", " ")
    assert plots.cluster_map(view, label, pd.Series([1, 2], index=[1, 2])) is None


@pytest.fixture
def labels():
    """Four grains of two planes each, half of the steep ones seen."""
    return pd.DataFrame(
        {
            "grain_id": [1, 1, 2, 2, 3, 3, 4, 4],
            "schmid": [0.1, 0.4] * 4,
            "kind": ["low angle", "twin"] * 4,
            "observed": [0, 1, 0, 0, 0, 1, 0, np.nan],
        }
    )


def test_shares_and_counts_are_those_of_the_table(labels):
    table = footprint_frequency(labels, "schmid", bins=[0, 0.25, 0.5], n_draws=50)
    ax, below = plots.frequency(table, label="Schmid factor").axes
    line = ax.containers[0].lines[0]
    np.testing.assert_allclose(line.get_xydata(), [[0.125, 0], [0.375, 2 / 3]])
    assert [bar.get_height() for bar in below.patches] == [4, 3]


def test_names_are_ticks(labels):
    table = footprint_frequency(labels, "kind", n_draws=50)
    below = plots.frequency(table, label="boundary", against="kind").axes[1]
    assert [text.get_text() for text in below.get_xticklabels()] == ["low\nangle", "twin"]


def test_nothing_observed_is_no_figure(labels):
    table = footprint_frequency(labels.assign(observed=np.nan), "schmid", bins=[0, 0.25, 0.5], n_draws=5)
    assert plots.frequency(table, label="Schmid factor") is None
    with pytest.raises(ParameterError, match="kind"):
        plots.frequency(table, label="boundary", against="kind")
