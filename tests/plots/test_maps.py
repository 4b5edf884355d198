"""Maps show each point where it lies, in the colours that the reader expects."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb

from cpml import plots
from cpml.errors import ParameterError
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.plots.colours import direction_colours, to_standard_triangle
from cpml.plots.footprints import trace_segments
from cpml.plots.maps import colour_limits, nice_length
from cpml.plots.raster import raster
from support.maps import NICKEL

NEAR = 0.02  # the corners of orix' TSL key are off the pure colours by up to 0.01


def _boundaries(ax):
    return next(c for c in ax.collections if isinstance(c, LineCollection))


def test_boundary_colours_follow_the_angle(segments):
    """Black from 15 deg and for unknown angles, thin and grey below; the low ones are drawn first."""
    _, ax = plots.figure()
    lines = plots.boundary_lines(ax, segments)
    colours, widths = lines.get_colors()[:, :3], lines.get_linewidths()
    np.testing.assert_allclose(colours, [to_rgb("0.45"), to_rgb("black"), to_rgb("black")])
    assert widths[0] < widths[1] == widths[2]


def test_boundaries_need_their_columns(segments):
    """A table without end points is an error that names the columns, before anything is drawn."""
    for view in (plots.FieldView, plots.MapView):
        with pytest.raises(ParameterError, match="x1_um"):
            view(1.0, segments.drop(columns="x1_um"))


@pytest.mark.parametrize(("span", "length"), [(50.1, 10), (20, 5), (10, 2), (0.9, 0.2), (4000, 1000)])
def test_scale_bar_is_round(span, length):
    """The bar is the largest of 1, 2, 5 x 10^k within a quarter of the map."""
    assert nice_length(span) == pytest.approx(length, rel=1e-12)


def test_scale_bar_has_its_length(view):
    """The bar drawn on a 5 um map is 1 um long in map units, and says so."""
    ax = plots.scalar_map(view, view.ebsd_map.xy[:, 0], label="x / um").axes[0]
    bar = next(line for line in ax.lines if line.get_gid() == "scale bar")
    assert np.ptp(bar.get_xdata()) == pytest.approx(1.0)
    assert "1 µm" in [text.get_text() for text in ax.texts]


def test_known_ipf_colours():
    """Cube orientation along z red, 45 deg about x green, <111> along z blue; not indexed white."""
    to_111 = np.radians(54.7356103) / 2
    axis = np.array([1.0, -1.0, 0.0]) / np.sqrt(2)
    turn = [np.cos(to_111), *(-np.sin(to_111) * axis)]
    quaternions = np.array([[1, 0, 0, 0], [np.cos(np.pi / 8), np.sin(np.pi / 8), 0, 0], turn, [np.nan] * 4])
    rgb = plots.ipf_colours(quaternions, group="432", direction="z")
    np.testing.assert_allclose(rgb, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], atol=NEAR)


def test_hexagonal_ipf_colours():
    """X||a, Z||c: z shows the c axis (red), x shows <2-1-10> (green), y shows <10-10> (blue)."""
    rgb = [plots.ipf_colours([[1.0, 0, 0, 0]], group="622", direction=d)[0] for d in "zxy"]
    np.testing.assert_allclose(rgb, np.eye(3), atol=NEAR)


@pytest.mark.parametrize("group", ["432", "622"])
def test_standard_triangle_keeps_the_colour(group):
    """Moving a direction into our standard triangle never changes the colour that orix gives it."""
    v = np.random.default_rng(0).normal(size=(500, 3))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    moved = to_standard_triangle(v, group=group)
    np.testing.assert_allclose(
        direction_colours(v, group=group), direction_colours(moved, group=group), atol=1e-12
    )


def test_ipf_direction_is_the_sample_direction():
    """Turned 45 deg about x, a cube still shows <001> along x: red."""
    q = [[np.cos(np.pi / 8), np.sin(np.pi / 8), 0, 0]]
    np.testing.assert_allclose(plots.ipf_colours(q, group="432", direction="x"), [[1, 0, 0]], atol=NEAR)
    np.testing.assert_allclose(plots.ipf_colours(q, group="432", direction=(0, 0, 2)), [[0, 1, 0]], atol=NEAR)


def test_ipf_map_pixels(view):
    """The image has one pixel per point, white where not indexed, red left, green right."""
    fig = plots.ipf_map(view)
    image = fig.axes[0].images[0].get_array()
    assert image.shape == (6, 10, 3)
    np.testing.assert_allclose(image[0, 0], 1)
    np.testing.assert_allclose([image[3, 2], image[3, 8]], [[1, 0, 0], [0, 1, 0]], atol=NEAR)


def test_map_extent_runs_along_pixel_edges(view):
    """Half a step beyond the outer points, y downwards: boundaries on the pixel edges fit."""
    ax = plots.ipf_map(view).axes[0]
    assert ax.get_xlim() == pytest.approx((-0.25, 4.75))
    assert ax.get_ylim() == pytest.approx((2.75, -0.25))
    assert ax.get_aspect() == 1.0


def test_hexagonal_raster_shows_every_point():
    """On a hexagonal grid each point fills as many cells as any other inside its row."""
    rows, cols = 6, 8
    j, i = np.meshgrid(np.arange(cols), np.arange(rows))
    xy = np.stack([j + 0.5 * (i % 2), i * np.sqrt(3) / 2], axis=-1).reshape(-1, 2)
    cube = np.tile([1.0, 0, 0, 0], (48, 1))
    hexagons = EbsdMap.from_points("hexagons", xy, cube, np.ones(48, int), {1: NICKEL})
    index = raster(hexagons).index
    count = np.bincount(index[index >= 0], minlength=48).reshape(rows, cols)
    assert set(count[:, 1:-1].ravel()) == {4}


def test_grain_values_are_spread_to_their_points(view):
    """Each point shows the value of its grain; a grain without a value is grey."""
    label = np.where(view.ebsd_map.xy[:, 0] < 2.25, 1, 2)
    fig = plots.grain_map(view, label, pd.Series({1: 0.4}), label="Schmid factor")
    image = fig.axes[0].images[1].get_array()
    assert np.nanmax(image[:, :5]) == np.nanmin(image[:, :5]) == 0.4
    assert np.ma.masked_invalid(image)[:, 5:].mask.all()


def test_categories_are_counted_in_the_legend(view):
    """Categories are drawn in legend order with the number of grains behind their names."""
    label = np.where(view.ebsd_map.xy[:, 0] < 2.25, 1, 2)
    names = {"a": "basal slip", "b": "no slip"}
    fig = plots.grain_map(view, label, {1: "b", 2: "b"}, label="seen", categories=names)
    texts = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert texts == ["basal slip (0)", "no slip (2)"]


def test_wrong_length_is_named(view):
    """Values of another length are an error that names both, and no figure stays open."""
    with pytest.raises(ParameterError, match="points has 60 entries, values has 3"):
        plots.scalar_map(view, [1, 2, 3], label="KAM / °")
    assert not plt.get_fignums()


def test_signed_values_are_centred(view):
    """Signed maps use limits symmetric about zero."""
    fig = plots.scalar_map(view, view.ebsd_map.xy[:, 0] - 1, label="error", centred=True)
    low, high = fig.axes[0].images[1].get_clim()
    assert low == -high


def test_traces_run_as_seen_on_screen():
    """45 deg counter-clockwise on screen goes right and up, that is -y in the sample frame."""
    ends = trace_segments([1.0], [2.0], [45.0], np.array([2.0]))[0]
    np.testing.assert_allclose(ends[1] - ends[0], [np.sqrt(2), -np.sqrt(2)], atol=1e-12)
    np.testing.assert_allclose(ends.mean(axis=0), [1.0, 2.0])


def test_traces_of_unknown_grains_are_left_out(view):
    """Two traces at the centre of grain 1, 0.6 diameters long, none of grain 7."""
    parents = pd.DataFrame({"grain_id": [1], "x_um": [1.0], "y_um": [1.0], "equivalent_diameter_um": [2.0]})
    table = pd.DataFrame({"grain_id": [1, 1, 7], "angle_deg": [30.0, 60.0, 10.0]})
    fig = plots.trace_map(view, parents, observed=table)
    lines = np.array(_boundaries(fig.axes[0]).get_segments())
    assert lines.shape == (2, 2, 2)
    np.testing.assert_allclose(lines.mean(axis=1), [[1.0, 1.0], [1.0, 1.0]])
    np.testing.assert_allclose(np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1), 1.2)
    assert plots.trace_map(view, parents, observed=table[table["grain_id"] == 7]) is None


def test_twin_map_colours_twins_only(view):
    """The twin is coloured, its parent grey."""
    label = np.where(view.ebsd_map.xy[:, 0] < 2.25, 1, 2)
    twins = pd.DataFrame({"fragment_id": [1, 2], "is_twin": [False, True], "variant": [np.nan, 3]})
    image = plots.twin_map(view, label, twins).axes[0].images[0].get_array()
    assert np.ptp(image[2, 2]) == 0
    assert np.ptp(image[2, 8]) > 0.3
    assert plots.twin_map(view, label, twins.assign(is_twin=False)) is None


def test_dic_map_extent():
    """A DIC field of 4 x 8 points of 0.1 um covers 0.8 x 0.4 um."""
    ax = plots.dic_map(plots.FieldView(0.1), np.ones((4, 8)), label="effective strain").axes[0]
    assert abs(np.diff(ax.get_xlim())[0]) == pytest.approx(0.8)
    assert abs(np.diff(ax.get_ylim())[0]) == pytest.approx(0.4)


def test_a_map_without_a_value_is_no_figure(view):
    """Neither points nor grains nor vectors without a number open one."""
    n = len(view.ebsd_map.xy)
    assert plots.scalar_map(view, np.full(n, np.nan), label="KAM / °") is None
    assert plots.grain_map(view, np.ones(n, int), {1: np.nan}, label="Schmid factor") is None
    assert plots.grain_map(view, np.ones(n, int), {}, label="seen", categories=["basal"]) is None
    assert plots.dic_map(plots.FieldView(), np.full((4, 8), np.nan), label="strain") is None
    assert not plt.get_fignums()


def test_phase_map_names_phases_and_shares(view):
    """Two phases and a point without a solution: each in the legend with its share; candidates are not."""
    from dataclasses import replace

    from cpml.microscopy import MapPhase

    ebsd_map = view.ebsd_map
    number = np.where(ebsd_map.phase_id > 0, np.where(ebsd_map.xy[:, 0] < 2.4, 1, 4), 0)
    several = {
        1: MapPhase("Austenite", "432"),
        4: MapPhase("Ferrite", "432"),
        7: MapPhase("Candidate", "222"),
    }
    fig = plots.phase_map(plots.MapView(replace(ebsd_map, phase_id=number, phases=several)))
    texts = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert texts == ["Austenite (48 %)", "Ferrite (50 %)", "no solution (1.7 %)"]
    assert "n = 60 points" in fig.get_supxlabel()


def test_colours_of_every_setting():
    """Monoclinic and trigonal settings with their twofold axis elsewhere have colours too."""
    for group in ("211", "121", "312", "222"):
        rgb = plots.ipf_colours([[1.0, 0, 0, 0], [np.nan] * 4], group=group)
        assert np.isfinite(rgb).all() and rgb[1].tolist() == [1, 1, 1]


def test_filled_points_do_not_set_the_colours():
    """Of a map that is 0 at 995 of 1000 points the limits are those of the five that were measured."""
    values = np.r_[np.zeros(995), 1.0, 2.0, 3.0, 4.0, 5.0]
    assert colour_limits(values)[1] == pytest.approx(np.percentile([1, 2, 3, 4, 5], 99))
    assert colour_limits(np.zeros(10)) == (0.0, 1.0)
