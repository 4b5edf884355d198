"""`registration` of a description: units of the map's points, mirrored pairs, what a field does not tell."""

from copy import deepcopy

import numpy as np
import pytest
from PIL import Image

import cpml
from cpml.datasets.observe import homologous_points, image_lines, registered_field
from cpml.errors import DatasetError
from cpml.microscopy import EbsdMap, MapPhase

PHASE = MapPhase("Nickel", "432", "fcc", 3.6, 3.6, 3.6)
PIXELS = [[2, 3, 2, 3], [36, 4, 36, 4], [5, 25, 5, 25]]


def hexagonal():
    """40 x 30 points 0.5 um apart from (20, 10) um on; one grain."""
    row, col = np.divmod(np.arange(40 * 30), 40)
    xy = np.stack([20 + 0.5 * (col + 0.5 * (row % 2)), 10 + 0.25 * np.sqrt(3) * row], axis=1)
    return EbsdMap.from_points("hex", xy, np.eye(4)[[0] * len(xy)], np.ones(len(xy), int), {1: PHASE})


@pytest.fixture
def with_field(describe, tmp_path):
    """with_field(registration, u=..., v=...) -> data set with a field of 40 x 30 vectors and a picture."""

    def make(registration, *, image=None, **vectors):
        folder = tmp_path / "tiny"
        folder.mkdir(exist_ok=True)
        y, x = np.mgrid[:30, :40] * 10.0
        field = {"x": x, "y": y, "u": 0.01 * y, "v": 0.02 * x} | vectors
        np.savez(folder / "field.npz", **field)
        values = np.random.default_rng(0).integers(0, 255, (30, 40)) if image is None else image
        Image.fromarray(values.astype(np.uint8)).save(folder / "bse.png")
        files = {"ebsd": "map.ctf", "dic": "field.npz", "images": ["bse.png"]}
        return cpml.load_dataset(describe(files=files, registration=registration))

    return make


@pytest.mark.parametrize("key", ["dic_to_ebsd", "image_to_ebsd"])
def test_points_in_um_are_those_in_pixels(with_field, key):
    """As on the axes of the drawn map; the rows of a hexagonal map are closer than its columns."""
    ebsd = hexagonal()
    in_um = [[a, b, 20 + 0.5 * c, float(10 + 0.25 * np.sqrt(3) * r)] for a, b, c, r in PIXELS]
    told = with_field({key: in_um, "ebsd_unit": "um"})
    np.testing.assert_allclose(homologous_points(told, key, ebsd), PIXELS)
    np.testing.assert_array_equal(homologous_points(with_field({key: PIXELS}), key, ebsd), PIXELS)


def test_mirrored_points_name_file_and_key(with_field):
    """Columns and rows exchanged in the DIC image, or in the picture: one error of the description."""
    ebsd, wrong = hexagonal(), [[b, a, c, d] for a, b, c, d in PIXELS]
    found = with_field({"dic_to_ebsd": wrong, "image_to_ebsd": deepcopy(wrong)})
    label = np.ones(ebsd.n_pixels, int)
    with pytest.raises(DatasetError, match=r"dataset\.yml: registration\.dic_to_ebsd: .*mirror"):
        registered_field(found, ebsd, label)
    with pytest.raises(DatasetError, match=r"dataset\.yml: registration\.image_to_ebsd: .*mirror"):
        image_lines(found, ebsd, label)


def test_upright_points_are_taken(with_field):
    """The same pairs the right way: the turn of the field is the distortion of the pixels alone, none."""
    ebsd = hexagonal()
    dic = registered_field(with_field({"dic_to_ebsd": PIXELS}), ebsd, np.ones(ebsd.n_pixels, int))
    assert dic.field.turn_deg == pytest.approx(0) and (dic.label == 1).mean() > 0.95


def test_what_the_field_does_not_tell(with_field):
    """The way of y, and what zeros mean, can be declared; anything else is an error."""
    ebsd, label = hexagonal(), np.ones(1200, int)
    u = np.where(np.arange(40) > 20, 1.0, 0.0) * np.ones((30, 1))
    halves = {"u": u, "v": 0 * u}
    kept = registered_field(with_field({"dic_to_ebsd": PIXELS}, **halves), ebsd, label)
    gaps = registered_field(with_field({"dic_to_ebsd": PIXELS, "dic_zeros": "gaps"}, **halves), ebsd, label)
    assert not np.isnan(kept.field.u).any()
    np.testing.assert_array_equal(np.isnan(gaps.field.u), u == 0)
    assert str(int((u == 0).sum())) in gaps.summary().loc["missing", "value"]
    up = registered_field(with_field({"dic_to_ebsd": PIXELS, "dic_y_axis": "up"}), ebsd, label)
    # u falls towards the top of the picture now, and v is turned with y
    np.testing.assert_allclose(up.field.displacement_gradient[..., 0, 1], -0.01)
    np.testing.assert_allclose(up.field.displacement_gradient[..., 1, 0], -0.02)
    for key in ("ebsd_unit", "dic_zeros", "dic_y_axis"):
        with pytest.raises(DatasetError, match=f"registration.{key}.*expected one of"):
            with_field({"dic_to_ebsd": PIXELS, key: "nm"})


@pytest.mark.parametrize("kind", ["similarity", "affine"])
def test_lines_of_a_turned_picture(with_field, kind):
    """Stripes at 70 deg on the map, in a picture turned by 25 deg against it, on a hexagonal map."""
    ebsd, turn, size = hexagonal(), np.radians(25.0), 200
    into_map = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    middle = (ebsd.xy.min(axis=0) + ebsd.xy.max(axis=0)) / 2

    def on_map(pixels):
        return middle + 0.06 * (np.asarray(pixels, float) - size / 2) @ into_map.T

    row, col = np.mgrid[:size, :size]
    place = on_map(np.stack([col, row], axis=-1)) @ [np.sin(np.radians(70)), np.cos(np.radians(70))]
    stripes = (
        100 + 60 * (np.abs(place % 0.8 - 0.4) < 0.1) + np.random.default_rng(0).normal(0, 5, (size, size))
    )
    pixels = [[20, 30], [180, 40], [60, 170], [150, 150]]
    points = [[*map(float, p), *map(float, on_map(p))] for p in pixels]
    registration = {"image_to_ebsd": points, "ebsd_unit": "um", "image_kind": kind}
    found = with_field(registration, image=stripes)
    lines = image_lines(found, ebsd, np.ones(ebsd.n_pixels, int)).traces()
    # straight lines of a hundred pixels are known to a few tenths of a degree
    assert abs(lines["angle_deg"].iloc[0] - 70) < 0.5
