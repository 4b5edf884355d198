"""Mean displacement gradients of grains: exact values, errors that cover, and the files of gradients."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cpml.errors import MapFileError, ParameterError
from cpml.microscopy import mean_gradients, read_gradient
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.microscopy.tracking.mean_gradients import GRADIENT_COLUMNS, on_rows
from support.maps import NICKEL, nearest_seeds, square_map

H = np.array([[0.03, 0.004], [-0.002, -0.015]])


def test_a_uniform_field_is_its_own_mean():
    """Every grain reads H itself: symmetric and antisymmetric part in % and deg, and no error at all."""
    label = nearest_seeds(30, 40, 6)
    table = mean_gradients(np.broadcast_to(H, (30, 40, 2, 2)), label)
    assert tuple(table.columns) == GRADIENT_COLUMNS
    assert table["grain_id"].tolist() == [1, 2, 3, 4, 5, 6] and table["n_points"].sum() == 1200
    row = table.iloc[0]
    assert row["e_xx_percent"] == pytest.approx(3.0) and row["e_yy_percent"] == pytest.approx(-1.5)
    assert row["e_xy_percent"] == pytest.approx(0.1)
    assert row["turn_deg"] == pytest.approx(np.degrees(0.003))
    assert (row["h_xy_percent"], row["h_yx_percent"]) == pytest.approx((0.4, -0.2))
    assert table.filter(like="_se_").to_numpy() == pytest.approx(0, abs=1e-12)


def test_a_turn_is_counted_as_the_eye_sees_it():
    """u = w y, v = -w x (y down) turns counter-clockwise on screen by w."""
    table = mean_gradients(np.broadcast_to([[0.0, 0.01], [-0.01, 0.0]], (4, 5, 2, 2)), np.ones((4, 5), int))
    assert table["turn_deg"].iloc[0] == pytest.approx(np.degrees(0.01))
    assert table["e_xy_percent"].iloc[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("width", [0.0, 1.0, 2.0])
def test_errors_cover_the_truth_whatever_the_correlation(width):
    """Grain means known, noise smoothed by a Gaussian of so many points: 95.4 % of 400 scores lie within 2.

    Their standard deviation is 1.05 %; the estimate of the correlation adds as much: 3 % are allowed. A sum
    that took the points for independent would give 27 % at a width of 2.
    """
    inside = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        label = nearest_seeds(150, 200, 40, seed)
        true = 0.01 * rng.standard_normal((41, 2, 2))
        noise = rng.standard_normal((150, 200, 2, 2))
        if width:
            noise = gaussian_filter(noise, (width, width, 0, 0))
        table = mean_gradients(true[label] + 0.02 * noise / noise.std(), label)
        error = table["e_xx_percent"] - 100 * true[table["grain_id"], 0, 0]
        z = (error / table["e_xx_se_percent"]).dropna()
        inside.extend(np.abs(z) < 2)
    assert len(inside) > 380
    assert np.mean(inside) == pytest.approx(0.954, abs=0.03)


def test_independent_values_are_counted():
    """Noise smoothed by a Gaussian of width s has 4 pi s^2 alike points: so many fewer are independent."""
    rng = np.random.default_rng(0)
    noise = gaussian_filter(rng.standard_normal((200, 200, 2, 2)), (2, 2, 0, 0))
    table = mean_gradients(noise, nearest_seeds(200, 200, 12))
    assert (table["n_points"] / table["n_effective"]).median() == pytest.approx(4 * np.pi * 4, rel=0.25)


def test_gaps_and_points_outside_grains_do_not_count():
    """NaN and label 0 are left out; a grain without any value has no row; one value has no error."""
    field = np.array(np.broadcast_to(H, (6, 6, 2, 2)))
    label = np.ones((6, 6), int)
    label[0], label[1], label[5, 5] = 0, 2, 3
    field[1, :, 0, 0], field[0] = np.nan, 99.0
    table = mean_gradients(field, label).set_index("grain_id")
    assert table.index.tolist() == [1, 3] and table.loc[1, "n_points"] == 23
    assert table.loc[1, "e_xx_percent"] == pytest.approx(3.0)
    assert np.isnan(table.loc[3, "e_xx_se_percent"])
    with pytest.raises(ParameterError, match="no grain has a value"):
        mean_gradients(np.full((2, 2, 2, 2), np.nan), np.ones((2, 2), int))
    with pytest.raises(ParameterError, match="are needed"):
        mean_gradients(field, label[:3])


def quilt():
    """A map of 4 x 5 points with one hole, and a gradient that tells each point."""
    label = np.ones((4, 5), int)
    label[1, 2] = 0
    m = square_map(label, [[1.0, 0, 0, 0]], step=0.5)
    h = np.arange(20)[:, None, None] * 1e-3 + H
    return m, h


def written(path, rows, *, names="", mark=" "):
    lines = ([names.replace(" ", mark)] if names else []) + [
        mark.join(f"{v:.6f}" for v in row) for row in rows
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("mark", [" ", ",", ";", "\t"])
@pytest.mark.parametrize("kind", ["F", "H"])
def test_places_say_which_point_a_gradient_belongs_to(tmp_path, mark, kind):
    """Lines in any order, F or H, any separator; points without a line stay empty."""
    m, h = quilt()
    order = np.random.default_rng(1).permutation(20)[:15]
    values = (h + (np.eye(2) if kind == "F" else 0)).reshape(-1, 4)
    names = " ".join(["x_um", "y_um", *(kind + c for c in ("11", "12", "21", "22"))])
    path = written(tmp_path / "a.txt", np.hstack([m.xy, values])[order], names=names, mark=mark)
    found = read_gradient(path, m)
    np.testing.assert_allclose(found[order], h[order], atol=1e-6)
    assert np.isnan(found[np.setdiff1d(np.arange(20), order)]).all()


@pytest.mark.parametrize("chosen", ["all", "indexed"])
def test_lines_without_places_follow_the_points_of_the_map(tmp_path, chosen):
    """As many lines as points, or as indexed points, row after row; nameless F is told by its diagonal."""
    m, h = quilt()
    points = np.arange(20) if chosen == "all" else np.flatnonzero(m.indexed)
    path = written(tmp_path / "a.txt", (h + np.eye(2)).reshape(-1, 4)[points])
    found = read_gradient(path, m)
    np.testing.assert_allclose(found[points], h[points], atol=1e-6)
    bare = written(tmp_path / "b.txt", h.reshape(-1, 4)[points])
    np.testing.assert_allclose(read_gradient(bare, m)[points], h[points], atol=1e-6)
    up = read_gradient(path, m, y_axis="up")
    np.testing.assert_allclose(up[points], (h * [[1, -1], [-1, 1]])[points], atol=1e-6)


def test_what_is_no_gradient_of_the_map_is_refused(tmp_path):
    """One error that names the file and what is wrong with it."""
    m, h = quilt()
    flat = h.reshape(-1, 4)
    at = "x_um y_um H11 H12 H21 H22"
    cases = {
        "7 lines for map 'synthetic', which has 20": written(tmp_path / "a", flat[:7]),
        "3 columns": written(tmp_path / "b", flat[:, :3]),
        "needed are F11": written(tmp_path / "c", flat, names="F11 F12 H21 H22"),
        "no line lies on map": written(tmp_path / "d", np.hstack([m.xy + 50, flat]), names=at),
        "steps beside the points": written(tmp_path / "e", np.hstack([m.xy + 0.22, flat])[:5], names=at),
        "two lines for one point": written(tmp_path / "f", np.hstack([m.xy, flat])[[0, 0]], names=at),
        "belong together": written(tmp_path / "g", flat[:, [0, 0, 1, 2, 3]], names="x_um H11 H12 H21 H22"),
        "cannot be opened": tmp_path / "nowhere",
    }
    (tmp_path / "h").write_text("H11 H12 H21 H22\n1 2 three 4\n")
    (tmp_path / "i").write_bytes(bytes(range(256)))
    (tmp_path / "j").write_text("")
    cases |= {"no table of numbers": tmp_path / "h", str(tmp_path / "i"): tmp_path / "i"}
    cases |= {str(tmp_path / "j"): tmp_path / "j"}
    for words, path in cases.items():
        with pytest.raises(MapFileError) as caught:
            read_gradient(path, m)
        assert words in str(caught.value) and str(path) in str(caught.value)
    with pytest.raises(ParameterError, match="y_axis"):
        read_gradient(tmp_path / "a", m, y_axis="left")


def test_hexagonal_rows_become_rows_of_a_picture():
    """Short rows end with the empty value; a uniform gradient on hexagons is its own mean."""
    dy = np.sqrt(3) / 2
    xy = np.array([(x + 0.5 * (r % 2), r * dy) for r in range(5) for x in range(6 - r % 2)])
    m = EbsdMap.from_points("hex", xy, np.tile([1.0, 0, 0, 0], (28, 1)), np.ones(28, int), {1: NICKEL})
    assert m.grid == "hex" and m.shape == (5, 6)
    picture = on_rows(m, np.arange(28), empty=-1)
    assert picture[1].tolist() == [6, 7, 8, 9, 10, -1] and picture[4, 5] == 27
    table = mean_gradients(on_rows(m, np.broadcast_to(H, (28, 2, 2))), on_rows(m, np.ones(28, int), empty=0))
    assert table["n_points"].tolist() == [28] and table["e_xx_percent"].iloc[0] == pytest.approx(3.0)
