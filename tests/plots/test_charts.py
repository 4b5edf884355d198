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


def test_rank_bars_are_shares():
    """Ranks 1, 1, 2, 5 of 12: one half at rank 1, a quarter at rank 2 and 5."""
    ax = plots.schmid_rank_bars({"Schmid": [1, 1, 2, 5]}, n_systems=12).axes[0]
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
    reach = pd.DataFrame({"r_value": x, "yield_min_mpa": 100 + x, "yield_max_mpa": 200 - x})
    hot = pd.DataFrame({"rate_per_s": [1e-3, 1e-5] * 15, "homologous": x, "climb": x})
    hot = hot.assign(temperature_k=300 + 600 * x)
    sheet = pd.DataFrame({"texture": ["this map", "suggestion"] * 15, "angle_deg": 90 * x, "r_value": 2 * x})
    sheet = sheet.assign(sigma_x=np.cos(6 * x), sigma_y=np.sin(6 * x))
    routes = pd.DataFrame({"route": ["drawn", "taylor"], "goal": "r_value", "deviation": [0.01, 0.2]})
    goals = pd.DataFrame({"goal": ["r_value"], "low": [1.0], "high": [np.inf], "now": [0.9], "design": [1.1]})
    goals = goals.assign(p5=0.8, p95=1.3)
    return {
        "pr_curves": lambda: plots.pr_curves({"coupled": (x, 1 - x)}, prevalence=0.2),
        "reliability": lambda: plots.reliability({"coupled": reliable}),
        "histogram": lambda: plots.histogram_with_curve(x, label="KAM / °", marks={0.5: "limit"}),
        "disorientation": lambda: plots.disorientation_histogram(60 * x, lattice="bcc"),
        "trace": lambda: plots.trace_deviation_histogram(10 * x, 30 * x),
        "stress_strain": lambda: plots.stress_strain({"cp_taylor": (x, 100 * x)}, experiment=(x, 90 * x)),
        "strengths": lambda: plots.strengths_plot(strengths, n=12),
        "reachable": lambda: plots.reachable_region(reach, target=(0.5, 150), suggestion=(0.5, 149)),
        "regimes": lambda: plots.regime_shares(hot),
        "design routes": lambda: plots.design_routes(routes),
        "design changes": lambda: plots.design_sensitivity(routes.rename(columns={"route": "change"})),
        "design goals": lambda: plots.design_goals(goals),
        "trade-off": lambda: plots.trade_off(goals[["now", "design"]], ["now", "design"]),
        "mechanisms": lambda: plots.mechanism_shares(
            pd.DataFrame({"texture": "a", "family": ["basal", "c+a"], "share": [0.4, 0.6]}), strain=0.03
        ),
        "regime map": lambda: plots.regime_map(
            hot.assign(shear_over_modulus=1e-3 - 5e-4 * x, published_over_modulus=np.nan)
        ),
        "hot strengths": lambda: plots.strengths_over_temperature(
            hot.assign(family="octahedral", strength_mpa=100 - 50 * x)
        ),
        "r values": lambda: plots.lankford_profile(sheet),
        "yield": lambda: plots.yield_section(sheet),
    }


@pytest.mark.parametrize("name", list(_every_chart()))
def test_one_figure_with_words_at_every_axis(name, tmp_path):
    """Each chart leaves exactly its own figure, stamped, and every framed axis says what it shows."""
    fig = _every_chart()[name]()
    assert plt.get_fignums() == [fig.number]
    lowest = fig.axes[0] if len(fig.axes) == 1 else fig.axes[1]
    assert lowest.get_xlabel()
    assert fig.axes[0].get_ylabel() or fig.axes[0].get_yticklabels()
    assert plots.save(fig, tmp_path / "chart")[0].stat().st_size > 1000


def test_nothing_to_draw_is_no_figure():
    """Data that an honest data set may lack give None, and open no figure."""
    nothing = pd.DataFrame(columns=["rate_per_s", "homologous", "climb", "texture", "angle_deg", "r_value"])
    assert plots.histogram_with_curve([np.nan], label="KAM / °") is None
    assert plots.disorientation_histogram([], lattice="fcc") is None
    assert plots.trace_deviation_histogram([np.nan], [1.0]) is None
    assert plots.grain_size_histogram([5.0]) is None
    assert plots.schmid_rank_bars({"Schmid": []}, n_systems=12) is None
    assert plots.axis_triangle(np.full((2, 3), np.nan), [1.0, 2.0], lattice="fcc") is None
    assert plots.pr_curves({}) is plots.reliability({}) is plots.stress_strain({}) is None
    assert plots.regime_shares(nothing) is plots.lankford_profile(nothing) is None
    assert not plt.get_fignums()


def test_histogram_is_a_density_by_weight():
    """Weights 1 and 3 in bins of width 2 have densities 1/8 and 3/8; NaN is not counted."""
    fig = plots.histogram_with_curve([1, 3, np.nan], weights=[1, 3, 5], bins=[0, 2, 4], label="angle / °")
    np.testing.assert_allclose([bar.get_height() for bar in fig.axes[0].patches], [0.125, 0.375])
    assert fig.get_supxlabel() == "n = 2"


def test_grain_sizes_are_densities_of_the_logarithm():
    """On the log axis the bars by number have area one in ln d."""
    d = np.exp(np.linspace(0, 2, 50))
    bars = plots.grain_size_histogram(d).axes[0].containers[0]
    areas = [b.get_height() * np.log((b.get_x() + b.get_width()) / b.get_x()) for b in bars]
    assert sum(areas) == pytest.approx(1)


def test_deviations_are_counted():
    """Signs do not matter, both groups have the same bins, and medians stand in the legend."""
    fig = plots.trace_deviation_histogram([-1.0, 1.0, 3.0], [9.0], bin_deg=2.0, labels=("one", "other"))
    assert [bar.get_height() for bar in fig.axes[0].patches] == [2, 1, 0, 0, 0]
    texts = [text.get_text() for text in fig.legends[0].get_texts()]
    assert texts == ["one, median 1.0° (3)", "other, median 9.0° (1)"]


def test_von_mises_ellipse_goes_through_uniaxial_stress():
    """An isotropic section of s0 = 100 MPa lies on its ellipse."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    size = 100 / np.sqrt(1 - np.sin(turn) * np.cos(turn))
    table = pd.DataFrame(
        {"texture": "random", "sigma_x": size * np.cos(turn), "sigma_y": size * np.sin(turn)}
    )
    lines = {line.get_label(): line for line in plots.yield_section(table).axes[0].lines}
    x, y = lines["von Mises"].get_data()
    np.testing.assert_allclose(np.sqrt(x**2 - x * y + y**2), 100)


def test_correlations_are_written_and_need_one_set_of_names():
    """A small table has its numbers in the cells; other names for rows than for columns are an error."""
    table = pd.DataFrame([[1, -0.5], [-0.5, 1]], index=["basal", "rate_1"], columns=["basal", "rate_1"])
    ax = plots.correlation_heatmap(table).axes[0]
    assert [text.get_text() for text in ax.texts] == ["1.00", "-0.50", "-0.50", "1.00"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["basal", "rate 1"]
    assert plots.correlation_heatmap(table.iloc[:1, :1]) is None
    with pytest.raises(ParameterError, match="same names"):
        plots.correlation_heatmap(table.rename(index={"basal": "prismatic"}))


def test_disorientations_of_any_crystal():
    """A lattice without a known curve: the histogram alone, as far as its angles go, under its title."""
    fig = plots.disorientation_histogram([20.0, 100.0, np.nan], lattice=None, title="Ore")
    ax = fig.axes[0]
    assert not ax.lines and ax.get_title(loc="left") == "Ore" and ax.get_xlim()[1] > 100
    assert plots.axis_triangle([[0, 0, 1.0]], [30.0], lattice=None) is None


def test_grains_of_one_size_have_no_fit():
    """Two grains alike: no width, no curve, no empty legend."""
    fig = plots.grain_size_histogram([2.0, 2.0])
    assert not fig.legends and not fig.axes[0].lines
