"""Figures have their final size, one look per model, and the same bytes every time."""

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cpml import plots
from cpml.errors import ParameterError


@pytest.mark.parametrize(("name", "mm"), [("single", 85), ("middle", 120), ("text", 150), ("double", 176)])
def test_figure_has_its_final_width(name, mm):
    """Named sizes are 85, 120, 150 and 176 mm wide."""
    fig, _ = plots.figure(name, aspect=0.5)
    np.testing.assert_allclose(fig.get_size_inches() * 25.4, [mm, mm / 2], rtol=1e-12)


def test_unknown_width_names_the_choices():
    """A misspelt size is a ParameterError that lists the sizes, and opens no figure."""
    with pytest.raises(ParameterError, match="single, middle, text, double"):
        plots.figure("singel")
    assert not plt.get_fignums()


def test_style_has_thesis_type():
    """8 pt text, 0.8 pt lines, 0.5 pt axes, TrueType fonts in PDF, 300 dpi in files."""
    plots.use_style()
    rc = plt.rcParams
    assert (rc["font.size"], rc["lines.linewidth"], rc["axes.linewidth"]) == (8, 0.8, 0.5)
    assert (rc["pdf.fonttype"], rc["savefig.dpi"], rc["mathtext.fontset"]) == (42, 300, "stix")


def test_models_differ_in_colour_marker_and_line():
    """No two models share a colour, a marker or a line style."""
    styles = [plots.model_style(name) for name in plots.MODEL_COLOURS]
    for key in ("color", "marker", "linestyle"):
        assert len({style[key] for style in styles}) == len(styles)


@pytest.mark.parametrize("ending", ["pdf", "png"])
def test_saved_bytes_are_stable(cubes, segments, tmp_path, ending):
    """The same figure drawn and saved twice gives the same bytes."""
    paths = []
    for name in ("first", "second"):
        fig = plots.ipf_map(cubes, segments=segments, caption="virtual specimen")
        paths += plots.save(fig, tmp_path / name, formats=(ending,))
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_stamp_writes_caption_and_count():
    """The caption and the sample count stand at the bottom of the figure."""
    fig, _ = plots.figure("double")
    plots.stamp(fig, "virtual specimen", n=1234, unit="grains")
    assert fig.get_supxlabel() == "virtual specimen; n = 1\u202f234 grains"


def test_light_import():
    """The plots load neither torch nor orix nor seaborn until a figure needs them."""
    code = (
        "import sys, cpml.plots as p; p.ipf_map, p.pole_figures, p.reliability;"
        "assert not {'torch', 'orix', 'seaborn'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
