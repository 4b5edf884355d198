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
