"""ECCI lines: found or invented, seen or not under other conditions, and how dense they are."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cpml.errors import ParameterError
from cpml.microscopy.ecci.line_pictures import find_segments, line_contrast, line_density
from cpml.microscopy.images.sem_image import SemImage, read_image
from cpml.virtual.ecci.picture import line_picture

PIXEL = 0.01
SHAPE = (400, 440)


def random_lines(n, seed, seen="visible", shape=SHAPE):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x_um": rng.uniform(0.3, shape[1] * PIXEL - 0.3, n),
            "y_um": rng.uniform(0.3, shape[0] * PIXEL - 0.3, n),
            "angle_deg": rng.uniform(0.0, 180.0, n),
            "length_um": rng.uniform(0.2, 0.6, n),
            "seen": seen,
        }
    )


def picture(lines, seed, **options):
    return line_picture(lines, shape=SHAPE, pixel_um=PIXEL, seed=seed, **options)


def turn(a, b):
    return np.abs((np.asarray(a) - np.asarray(b) + 90.0) % 180.0 - 90.0)


def same(lines, found):
    """(lines, segments) bool: the segment's centre is on the line, 3 pixels off at most, turned by less
    than 15 deg.
    """
    t = np.radians(lines["angle_deg"].to_numpy())[:, None]
    x = found["x_px"].to_numpy() - lines["x_um"].to_numpy()[:, None] / PIXEL
    y = found["y_px"].to_numpy() - lines["y_um"].to_numpy()[:, None] / PIXEL
    along, across = x * np.cos(t) - y * np.sin(t), x * np.sin(t) + y * np.cos(t)
    half = lines["length_um"].to_numpy()[:, None] / PIXEL / 2
    near = turn(found["angle_deg"].to_numpy(), lines["angle_deg"].to_numpy()[:, None]) < 15.0
    return (np.abs(across) < 3.0) & (np.abs(along) < half) & near


def straight(*ends):
    """A table of segments from x0, y0, x1, y1 (pixels)."""
    table = pd.DataFrame(np.array(ends, float), columns=["x0_px", "y0_px", "x1_px", "y1_px"])
    return table.assign(segment_id=np.arange(1, len(ends) + 1))


@pytest.mark.parametrize("profile", ["pair", "bright", "dark"])
def test_lines_are_found(profile):
    """Peak 0.25 of the brightness before blur, noise 0.1 a pixel: 95 % of the lines, 95 % of them right."""
    lines = random_lines(40, 1).assign(profile=profile)
    found = find_segments(picture(lines, 2))
    hit = same(lines, found)
    assert hit.any(axis=1).mean() >= 0.95 and hit.any(axis=0).mean() >= 0.95
    line, segment = np.nonzero(hit)
    ratio = found["length_um"].to_numpy()[segment] / lines["length_um"].to_numpy()[line]
    assert np.median(turn(found["angle_deg"].to_numpy()[segment], lines["angle_deg"].to_numpy()[line])) < 1.0
    assert np.median(ratio) == pytest.approx(1.0, abs=0.1)
    assert (found["contrast_to_noise"] > 2).mean() > 0.9


def test_faint_lines_are_missed_and_not_invented():
    """At 0.12 of the brightness many lines drown; what is found is still right."""
    lines = random_lines(40, 3)
    found = find_segments(picture(lines, 4, contrast=0.12))
    hit = same(lines, found)
    assert 0.2 < hit.any(axis=1).mean() < 0.9 and hit.any(axis=0).mean() >= 0.9


@pytest.mark.parametrize("kind", ["scanned", "white", "correlated", "few counts", "one grey"])
def test_noise_has_no_lines(kind):
    """At most one false segment is expected; two are let pass."""
    from scipy import ndimage

    rng = np.random.default_rng(5)
    white = rng.standard_normal(SHAPE)
    values = {
        "scanned": picture(random_lines(5, 1, "invisible"), 6, stripes=0.03).values,
        "white": 100 + 10 * white,
        "correlated": 100 + 10 * ndimage.gaussian_filter(white, 1.0),
        "few counts": rng.poisson(4.0, SHAPE),
        "one grey": np.full(SHAPE, 7.0),
    }[kind]
    assert len(find_segments((values, PIXEL))) <= 2


def test_grain_boundaries_are_no_lines():
    """A step between two grains is found without the label and not with it; lines know their grain."""
    lines = random_lines(12, 7)
    image = picture(lines, 8)
    label = np.where(np.arange(SHAPE[1]) < 200, 1, 2) * np.ones(SHAPE, int)
    stepped = SemImage("two grains", image.values * np.where(label == 1, 1.0, 1.8), image.valid, PIXEL)
    bare, known = find_segments(stepped), find_segments(stepped, label=label)
    for found, least, most in ((bare, 0.8, 5.0), (known, 0.0, 0.3)):
        edge = found[(turn(found["angle_deg"], 90.0) < 3.0) & ((found["x_px"] - 199.5).abs() < 4)]
        assert least <= edge["length_um"].sum() <= most
    np.testing.assert_array_equal(known["grain_id"], np.where(known["x_px"] < 199.5, 1, 2))
    assert same(lines, known).any(axis=1).mean() >= 0.8


def test_quarter_turn():
    """Turned counter-clockwise by 90 deg, the picture has the same lines: angles + 90 deg, equal lengths."""
    image = picture(random_lines(40, 9), 10, stripes=0.0)
    there = find_segments(image)
    turned = find_segments((np.rot90(image.values), PIXEL))
    assert len(turned) == pytest.approx(len(there), abs=2)
    x, y = there["y_px"].to_numpy(), SHAPE[1] - 1 - there["x_px"].to_numpy()
    away = np.hypot(turned["x_px"].to_numpy() - x[:, None], turned["y_px"].to_numpy() - y[:, None])
    partner, distance = away.argmin(axis=1), away.min(axis=1)
    assert np.quantile(distance, 0.9) < 3.0
    at = distance < 3.0
    again = turned.iloc[partner[at]]
    assert (
        np.quantile(turn(again["angle_deg"].to_numpy(), there["angle_deg"].to_numpy()[at] + 90.0), 0.9) < 2.0
    )
    lengths = again["length_um"].to_numpy() / there["length_um"].to_numpy()[at]
    assert np.quantile(np.abs(lengths - 1.0), 0.9) < 0.15


def test_what_other_conditions_show():
    """Lines found in one picture, in a second one of other contrast: 90 % of the visible, 60 % of the weak
    (0.3 of full) and 90 % of the invisible are called so, and none of the invisible visible.
    """
    lines = random_lines(60, 11)
    found = find_segments(picture(lines, 12))
    condition = lines.assign(seen=np.resize(["visible", "weak", "invisible"], len(lines)))
    answer = line_contrast(picture(condition, 13, weak=0.3), found)
    line, segment = np.nonzero(same(lines, found))
    table = pd.crosstab(condition["seen"].to_numpy()[line], answer["seen"].to_numpy()[segment])
    share = table.div(table.sum(axis=1), axis=0)
    assert share.at["visible", "visible"] >= 0.9 and share.at["invisible", "invisible"] >= 0.9
    assert share.at["weak", "weak"] >= 0.6 and table.at["invisible", "visible"] == 0
    np.testing.assert_array_equal(answer["segment_id"], found["segment_id"])


def test_empty_places_show_nothing():
    """In noise alone the contrast is one on average, and 5 % of empty places are called weak."""
    lines = random_lines(150, 14, "invisible")
    t = np.radians(lines["angle_deg"])
    half = lines["length_um"] / PIXEL / 2
    x, y = lines["x_um"] / PIXEL, lines["y_um"] / PIXEL
    ends = np.stack([x - half * np.cos(t), y + half * np.sin(t), x + half * np.cos(t), y - half * np.sin(t)])
    places = straight(*ends.T)
    answer = line_contrast(picture(lines, 15), places)
    assert answer["contrast_to_noise"].mean() == pytest.approx(1.0, abs=0.1)
    assert (answer["seen"] == "weak").mean() < 0.1 and (answer["seen"] != "visible").all()
    given = line_contrast(picture(lines, 15), places, invisible_below=1e-6, visible_above=1e-6)
    assert set(given["seen"]) <= {"visible", "unknown"}


def test_density_of_parallel_lines():
    """Ten lines of 1 um along x in 2 um x 2 um, 0.1 um deep, each met by the five columns 0.2 um apart.

    N = 50, P = 2 (10 x 2 um): rho = 2 N / (P t) = 25 / um^2; by length 4 / pi x 10 um / (4 um^2 x 0.1 um).
    """
    lines = straight(*[(49.5, 20.0 * k + 4.0, 149.5, 20.0 * k + 4.0) for k in range(10)])
    found = line_density(lines, pixel_um=PIXEL, shape=(200, 200), depth_error=0.0, spacing_um=0.2).iloc[0]
    assert (found["n_lines"], found["intercepts"]) == (10, 50) and found["length_um"] == pytest.approx(10.0)
    assert found["density_per_m2"] == pytest.approx(25e12)
    assert found["density_by_length_per_m2"] == pytest.approx(4 / np.pi * 25e12)
    # five meetings of one line are one piece of evidence: the Poisson interval of ten
    assert found["low"] == pytest.approx(25e12 * stats.chi2.ppf(0.05, 20) / 20)
    assert found["high"] == pytest.approx(25e12 * stats.chi2.ppf(0.95, 22) / 20)


def test_density_of_a_volume():
    """Lines of random direction through a layer: both estimates give length per volume, 5 % off at most."""
    rng = np.random.default_rng(16)
    n, size, depth, pixel = 4000, 2000, 0.1, 0.01
    direction = rng.standard_normal((n, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = rng.uniform(0.05, 0.1, n)
    centre = rng.uniform(50, size - 50, (n, 2))
    half = direction[:, :2] * length[:, None] / pixel / 2
    table = pd.DataFrame(
        np.hstack([centre - half, centre + half]), columns=straight((0, 0, 0, 0)).columns[:4]
    )
    found = line_density(table, pixel_um=pixel, shape=(size, size), depth_um=depth).iloc[0]
    true = length.sum() / ((size * pixel) ** 2 * depth) * 1e12
    assert found["density_per_m2"] == pytest.approx(true, rel=0.05)
    assert found["density_by_length_per_m2"] == pytest.approx(true, rel=0.05)
    assert found["low"] < true < found["high"]


def test_density_of_grains():
    """Each grain has its own lines; one without any has a limit from three unseen ones; depth widens."""
    label = np.where(np.arange(100) < 50, 3, 7) * np.ones((100, 1), int)
    lines = straight((10.0, 20.0, 30.0, 40.0), (15.0, 60.0, 35.0, 80.0))
    exact, wide = (
        line_density(lines, pixel_um=PIXEL, label=label, spacing_um=0.1, depth_error=e).set_index("grain_id")
        for e in (0.0, 0.3)
    )
    assert exact["n_lines"].to_dict() == {3: 2, 7: 0} and exact["intercepts"].to_dict() == {3: 8, 7: 0}
    assert exact.at[7, "density_per_m2"] == exact.at[7, "low"] == 0
    # P of grain 7: ten rows of 0.5 um and five columns of 1 um
    assert exact.at[7, "high"] == pytest.approx(2 * -np.log(0.05) / (10.0 * 0.1) * 1e12)
    assert (wide["high"] > exact["high"]).all() and wide.at[3, "low"] < exact.at[3, "low"]
    assert wide["density_per_m2"].equals(exact["density_per_m2"])
    none = line_density(lines.iloc[:0], pixel_um=PIXEL, shape=(100, 100))
    assert none.at[0, "density_per_m2"] == 0 and none.at[0, "high"] > 0


def test_bad_input():
    """Every mistake is named with its remedy."""
    image = picture(random_lines(3, 17), 18)
    with pytest.raises(ParameterError, match="finite pixels"):
        find_segments((np.full((50, 50), np.nan), PIXEL))
    for pixel in (None, 0.0):
        with pytest.raises(ParameterError, match="pixel size"):
            find_segments((image.values, pixel))
    with pytest.raises(ParameterError, match="shape of the picture"):
        find_segments(image, label=np.ones((3, 3), int))
    with pytest.raises(ParameterError, match="must be positive"):
        find_segments(image, width_um=0.0)
    with pytest.raises(ParameterError, match="columns segment_id"):
        line_contrast(image, pd.DataFrame())
    with pytest.raises(ParameterError, match="invisible_below"):
        line_contrast(image, straight((9.0, 9.0, 40.0, 9.0)), invisible_below=3.0, visible_above=2.0)
    with pytest.raises(ParameterError, match="area is not known"):
        line_density(straight((0, 0, 9, 9)), pixel_um=PIXEL)
    with pytest.raises(ParameterError, match="depth_um"):
        line_density(straight((0, 0, 9, 9)), pixel_um=PIXEL, shape=(10, 10), depth_um=0.0)
    with pytest.raises(ParameterError, match="lack the columns seen"):
        picture(random_lines(3, 17).drop(columns="seen"), 1)
    with pytest.raises(ParameterError, match="choose 'visible'"):
        picture(random_lines(3, 17, "perhaps"), 1)
    with pytest.raises(ParameterError, match="choose among"):
        picture(random_lines(3, 17).assign(profile="round"), 1)
    with pytest.raises(ParameterError, match="must be positive"):
        line_picture(random_lines(3, 17), shape=SHAPE, pixel_um=-1.0, seed=0)


def test_simulated_picture():
    """Full contrast is `contrast` above the background, weak contrast its share, none is none."""
    line = pd.DataFrame({"x_um": [1.0], "y_um": [0.5], "angle_deg": [0.0], "length_um": [1.0]})
    options = dict(
        shape=(101, 201), pixel_um=PIXEL, seed=0, noise=0.0, unevenness=0.0, stripes=0.0, level=1.0
    )
    for seen, height in (("visible", 0.25), ("weak", 0.1), ("invisible", 0.0)):
        values = line_picture(line.assign(seen=seen, profile="bright"), width_um=0.2, **options).values
        assert values[50, 100] - 1.0 == pytest.approx(height, rel=0.02)
        assert values[50, 20] == pytest.approx(1.0, abs=1e-3)
    pair = line_picture(line.assign(seen="visible"), width_um=0.2, **options).values[:, 100] - 1.0
    assert pair.max() == pytest.approx(0.25, rel=0.02) and pair.min() == pytest.approx(-pair.max())


def test_published_steel_picture(mirror):
    """openECCI steel at 91 nm a pixel, too coarse for dislocations: the scratch that crosses the right half
    is found over 5 um or more, at its 33 deg (read off its ends, (622, 525) and (1023, 277)).
    """
    image = read_image(mirror("openecci-steel/steel_SEM_012.tif")).crop((240, 440), (780, 1024))
    found = find_segments(image)
    scratch = found[
        (found["length_um"] > 5.0) & (turn(found["angle_deg"], np.degrees(np.arctan2(248, 401))) < 2)
    ]
    assert len(scratch) >= 1 and (scratch["contrast_to_noise"].dropna() > 3).all()
