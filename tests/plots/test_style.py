"""Figures have their final size, one look per model, and the same bytes every time."""

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cpml import plots
from cpml.errors import ParameterError


@pytest.mark.parametrize(("name", "mm"), [("single", 85), ("middle", 120), ("double", 176)])
def test_figure_has_its_final_width(name, mm):
    """Named sizes are 85, 120 and 176 mm wide."""
    fig, _ = plots.figure(name, aspect=0.5)
    np.testing.assert_allclose(fig.get_size_inches() * 25.4, [mm, mm / 2], rtol=1e-12)


def test_unknown_width_names_the_choices():
    """A misspelt size is a ParameterError that lists the sizes, and opens no figure."""
    with pytest.raises(ParameterError, match="single, middle, double"):
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
        fig = plots.stamp(plots.ipf_map(plots.MapView(cubes, segments)), "virtual specimen")
        paths += [path for path in plots.save(fig, tmp_path / name) if path.suffix == f".{ending}"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_failed_save_leaves_what_was_there(tmp_path):
    """A figure is written beside its name first."""
    fig, _ = plots.figure()
    (tmp_path / "size.pdf").write_text("before")
    fig.savefig = None
    with pytest.raises(TypeError):
        plots.save(fig, tmp_path / "size")
    assert [path.name for path in tmp_path.iterdir()] == ["size.pdf"]
    assert (tmp_path / "size.pdf").read_text() == "before"


def test_the_caption_stands_in_front_of_the_note():
    """What was counted is noted by the figure's function, the caption comes later, once."""
    fig, _ = plots.figure("double")
    plots.note(fig, "scale unknown", n=1234, unit="grains")
    assert fig.get_supxlabel() == "scale unknown; n = 1\u202f234 grains"
    for _ in range(2):
        plots.stamp(fig, "virtual specimen")
        assert fig.get_supxlabel() == "virtual specimen; scale unknown; n = 1\u202f234 grains"


def test_a_long_caption_is_wrapped_to_the_width():
    """About 70 characters of 6 pt fit into 85 mm."""
    fig, _ = plots.figure("single")
    lines = plots.stamp(fig, "word " * 30).get_supxlabel().split("\n")
    assert len(lines) == 3 and max(map(len, lines)) <= 70


def test_light_import():
    """Style, sizes and files load no seaborn, which figures need; torch and orix wait for a call."""
    code = (
        "import sys, cpml.plots as p; p.use_style(), p.stamp(p.figure()[0], 'caption');"
        "assert not {'orix', 'seaborn', 'scipy'} & set(sys.modules), sorted(sys.modules);"
        "p.ipf_map, p.pole_figures, p.reliability;"
        "assert not {'torch', 'orix'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
