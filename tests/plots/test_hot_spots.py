"""Figures of a solved map draw what they are given."""

import numpy as np
import pandas as pd
import pytest

from cpml import plots
from cpml.errors import ParameterError

EXTENT = (0.0, 6.0, 4.0, 0.0)
GRAIN = np.array([[0, 0, 1], [0, 0, 1]])
FAMILY = np.array([[0, 0, 2], [0, 0, 2]])
WORDS = ["basal slip", "prismatic slip", "twinning"]


def drawn(stress, family=FAMILY):
    return plots.stress_and_slip_maps(
        stress, np.ones((2, 3)), family, grain=GRAIN, families=WORDS, extent=EXTENT
    )


def test_maps_show_stress_shear_and_families_with_their_boundary():
    """Three maps of one place: the values given, the outline between the grains, shares in the legend."""
    stress = np.array([[0.5, 1.0, 1.5], [0.8, 1.0, 1.2]])
    fig = drawn(stress)
    maps = [ax for ax in fig.axes if ax.images]
    assert len(maps) == 3 and all(tuple(ax.images[0].get_extent()) == EXTENT for ax in maps)
    assert np.asarray(maps[0].images[0].get_array()) == pytest.approx(stress)
    for ax in maps:
        (outline,) = [c for c in ax.collections if len(c.get_segments()) and len(c.get_segments()[0]) == 2]
        assert [segment.tolist() for segment in outline.get_segments()] == [[[4.0, 0.0], [4.0, 4.0]]]
    legend = [text.get_text() for text in maps[2].get_legend().get_texts()]
    assert legend == ["basal slip (67 %)", "twinning (33 %)"]
    assert "Stress, shear" in plots.described(fig)


def test_one_family_needs_no_map_of_families():
    assert len([ax for ax in drawn(np.ones((2, 3)), np.zeros((2, 3), int)).axes if ax.images]) == 2


def test_little_shear_is_pale():
    shear = np.array([[1.0, 0.1, 1.0], [1.0, 1.0, 1.0]])
    fig = plots.stress_and_slip_maps(
        np.ones((2, 3)), shear, FAMILY, grain=GRAIN, families=WORDS, extent=EXTENT
    )
    picture = np.asarray([ax for ax in fig.axes if ax.images][2].images[0].get_array())
    assert (picture[0, 1] > picture[0, 0]).any() and picture[1, 1] == pytest.approx(picture[0, 0])


def test_grids_that_differ_are_named():
    with pytest.raises(ParameterError, match=r"\(3, 2\)"):
        drawn(np.ones((3, 2)))


def profiles():
    rows = [("inside", 9.0, 1.0, 1.2), ("boundary", 0.5, 1.5, 2.0), ("triple point", 0.7, 2.0, 3.0)]
    table = pd.DataFrame(rows, columns=["near", "distance_um", "mean", "decile"]).assign(n_grains=12)
    for name in ("mean", "decile"):
        table = table.assign(**{f"{name}_low": table[name] - 0.1, f"{name}_high": table[name] + 0.2})
    return pd.concat([table.assign(quantity="stress"), table.assign(quantity="shear")])


def test_profiles_have_their_points_bands_and_levels():
    """Means and deciles at their distances, the inside as level lines, one row of panels a quantity."""
    fig = plots.hot_spot_profiles(profiles())
    first = fig.axes[0]
    mean, inside, decile, inside_decile = first.lines
    assert mean.get_xydata().tolist() == [[0.5, 1.5]] and decile.get_xydata().tolist() == [[0.5, 2.0]]
    assert set(inside.get_ydata()) == {1.0} and set(inside_decile.get_ydata()) == {1.2}
    assert fig.axes[1].lines[0].get_xydata().tolist() == [[0.7, 2.0]] and len(fig.axes) == 4
    heights = first.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((1.4, 1.7))


def test_parity_tells_which_grains_change():
    table = pd.DataFrame(
        {"stress_mean": [1.0, 1.1], "stress": [0.9, 1.3], "scatter": [0.1, 0.2], "changes": [False, True]}
    )
    fig = plots.grain_stress_parity(table)
    points = [container.lines[0].get_xydata().tolist() for container in fig.axes[0].containers]
    assert points == [[[1.0, 0.9]], [[1.1, 1.3]]]
    assert "another one first (1)" in [text.get_text() for text in fig.legends[0].get_texts()]


def test_ranks_lie_where_they_are():
    """A panel a state, a marker a scheme, from low to high; the turn of the affine scheme is not drawn."""
    rows = [("a", "e_xx", "full_field", 0.5), ("a", "turn", "full_field", 0.2), ("a", "e_xx", "affine", 0.3)]
    table = pd.DataFrame(rows, columns=["step", "component", "scheme", "rank_correlation"])
    table = table.assign(low=table["rank_correlation"] - 0.1, high=0.9, n_grains=20)
    fig = plots.rank_correlations(table)
    (ax,) = fig.axes
    first, second = ax.containers
    assert first.lines[0].get_xdata().tolist() == [0.5, 0.2] and second.lines[0].get_xdata().tolist() == [0.3]
    assert first.lines[2][0].get_segments()[0][:, 0].tolist() == pytest.approx([0.4, 0.9])
    both = plots.rank_correlations(pd.concat([table, table.assign(step="b")]))
    assert [axes.get_title("left") for axes in both.axes] == ["state a", "state b"]


def test_nothing_to_draw():
    assert plots.hot_spot_profiles(profiles().query("near == 'inside'")) is None
    columns = {"stress_mean": [], "stress": [], "scatter": [], "changes": []}
    assert plots.grain_stress_parity(pd.DataFrame(columns)) is None
    names = ("step", "component", "scheme", "n_grains", "rank_correlation", "low", "high")
    assert plots.rank_correlations(pd.DataFrame(columns=names)) is None
    with pytest.raises(ParameterError, match="no column scatter"):
        plots.grain_stress_parity(pd.DataFrame(columns=["stress_mean", "stress", "changes"]))
