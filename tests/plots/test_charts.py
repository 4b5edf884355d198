"""Charts draw the numbers they are given; reference curves are the known ones."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cpml import plots
from cpml.errors import ParameterError

ANGLES = np.linspace(0, 100, 100_001)


def _moments(lattice):
    density = plots.random_disorientation(ANGLES, lattice=lattice)
    step = ANGLES[1]
    return density.sum() * step, (ANGLES * density).sum() * step


def test_mackenzie_curve():
    """Mackenzie's curve has area 1, mean 40.736 deg, its peak at 45 deg and ends at 62.80 deg."""
    area, mean = _moments("fcc")
    assert area == pytest.approx(1.0, abs=1e-6)
    assert mean == pytest.approx(40.736, abs=1e-3)
    density = plots.random_disorientation(ANGLES, lattice="fcc")
    assert ANGLES[density.argmax()] == pytest.approx(45.0, abs=0.01)
    assert ANGLES[density > 0].max() == pytest.approx(62.80, abs=0.01)


def test_hexagonal_curve():
    """The hexagonal curve has area 1 (net of 20000 axes: 1e-4) and ends at 93.84 deg."""
    area, _ = _moments("hcp")
    assert area == pytest.approx(1.0, abs=1e-4)
    density = plots.random_disorientation(ANGLES, lattice="hcp")
    assert ANGLES[density > 0].max() == pytest.approx(93.84, abs=0.15)


def test_hexagonal_curve_against_sampled_crystals():
    """60000 random rotations reduced by 622 have the curve's mean: spread 20 deg / sqrt(60000) = 0.08 deg."""
    w, x, y, z = np.abs(np.random.default_rng(0).normal(size=(4, 60_000)))
    k = np.arange(12)[:, None] * np.pi / 6
    largest = np.maximum(
        np.abs(w * np.cos(k) + z * np.sin(k)).max(0), np.abs(x * np.cos(k) + y * np.sin(k)).max(0)
    )
    angle = 2 * np.degrees(np.arccos(largest / np.sqrt(w**2 + x**2 + y**2 + z**2)))
    assert _moments("hcp")[1] == pytest.approx(angle.mean(), abs=0.3)


def test_bars_carry_value_interval_and_reference():
    """Bars in the project's order, in the model's colour; the dashed line is the prevalence."""
    table = pd.DataFrame(
        {"model": ["coupled", "prevalence"], "value": [0.6, 0.2], "low": [0.5, np.nan], "high": [0.7, np.nan]}
    )
    ax = plots.bars_with_intervals(table, label="average precision").axes[0]
    assert [bar.get_width() for bar in ax.patches] == [0.2, 0.6]
    assert ax.patches[1].get_facecolor() == plt.matplotlib.colors.to_rgba(plots.MODEL_COLOURS["coupled"])
    assert any(list(line.get_xdata()) == [0.2, 0.2] for line in ax.lines)


def test_missing_column_is_named():
    """A score table without intervals says which columns it lacks, and opens no figure."""
    with pytest.raises(ParameterError, match="low, high"):
        plots.bars_with_intervals(pd.DataFrame({"model": ["coupled"], "value": [1.0]}), label="score")
    assert not plt.get_fignums()


def test_frequency_counts_only_what_could_be_seen():
    """Missing observations are left out; the shares are those of the bins."""
    schmid = np.array([0.1, 0.1, 0.1, 0.4, 0.4])
    observed = np.array([0, 1, np.nan, 1, 1])
    fig = plots.frequency_vs_schmid(schmid, observed, bins=[0, 0.25, 0.5], caption="virtual specimen")
    shown = fig.axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(shown, [0.5, 1.0])
    assert "n = 4" in fig.get_supxlabel()


def test_rank_bars_are_shares():
    """Ranks 1, 1, 2, 5 of 12: one half at rank 1, a quarter at rank 2 and 5."""
    ax = plots.schmid_rank_bars([1, 1, 2, 5], n_systems=12).axes[0]
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches][:5], [0.5, 0.25, 0, 0, 0.25])


def test_grain_size_fit_recovers_the_median():
    """A log-normal sample by number shows its median and width in the legend."""
    d = np.exp(np.log(5.0) + 0.4 * np.array([-1, 1] * 50))
    fig = plots.grain_size_histogram(d)
    assert "median 5 µm, σ(ln d) 0.40" in fig.legends[0].get_texts()[0].get_text()


def _every_chart():
    x = np.linspace(0.01, 0.99, 30)
    reliable = pd.DataFrame({"predicted": x, "observed": x, "low": x - 0.01, "high": x + 0.01, "count": 10})
    strengths = {k: [20.0, 60.0] for k in ("prior_low", "prior", "prior_high", "posterior_low", "posterior")}
    strengths = pd.DataFrame({"family": ["basal", "twin_1012"], "posterior_high": [30.0, 80.0], **strengths})
    reach = pd.DataFrame({"r": x, "yield_min": 100 + x, "yield_max": 200 - x})
    return {
        "pr_curves": lambda: plots.pr_curves({"coupled": (x, 1 - x)}, prevalence=0.2),
        "reliability": lambda: plots.reliability({"coupled": reliable}),
        "confusion": lambda: plots.confusion([[3, 1], [0, 2]], ["basal", "prismatic"]),
        "topk_bars": lambda: plots.topk_bars(
            {"coupled": [0.5, 0.7], "schmid": [0.4, 0.5]}, chance=[0.1, 0.2]
        ),
        "histogram": lambda: plots.histogram_with_curve(x, label="KAM / °", marks={0.5: "limit"}),
        "disorientation": lambda: plots.disorientation_histogram(60 * x, lattice="bcc"),
        "twin": lambda: plots.twin_deviation_histogram(86 + x, 80 + x, expected_deg=86.3),
        "trace": lambda: plots.trace_deviation_histogram(10 * x, 30 * x),
        "stress_strain": lambda: plots.stress_strain({"cp_taylor": (x, 100 * x)}, experiment=(x, 90 * x)),
        "strengths": lambda: plots.strengths_plot(strengths, n=12),
        "reachable": lambda: plots.reachable_region(reach, target=(0.5, 150), suggestion=(0.5, 149)),
        "empty histogram": lambda: plots.disorientation_histogram([], lattice="fcc"),
        "no deviation": lambda: plots.trace_deviation_histogram([]),
    }


@pytest.mark.parametrize("name", list(_every_chart()))
def test_one_figure_with_words_at_every_axis(name, tmp_path):
    """Each chart leaves exactly its own figure, stamped, and every framed axis says what it shows."""
    fig = _every_chart()[name]()
    assert plt.get_fignums() == [fig.number]
    lowest = fig.axes[0] if len(fig.axes) == 1 or name in ("confusion",) else fig.axes[1]
    assert lowest.get_xlabel()
    assert fig.axes[0].get_ylabel() or fig.axes[0].get_yticklabels()
    assert plots.save(fig, tmp_path / "chart")[0].stat().st_size > 1000
