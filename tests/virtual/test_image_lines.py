"""The demo's image on its map: what was drawn is what is stored, and its lines are found on
the right planes.
"""

import numpy as np
import pytest

import cpml
from benchmarks import demo_image as virtual_image
from cpml import microscopy
from cpml.datasets.observe import image_lines, observe, read_dataset_map
from cpml.errors import DatasetError
from cpml.virtual.truth import load_truth


@pytest.fixture(scope="module")
def demo():
    """(data set, map, twins) of the demo."""
    dataset = cpml.load_dataset("demo")
    ebsd = read_dataset_map(dataset)
    return dataset, ebsd, microscopy.find_twins(microscopy.segment(ebsd, threshold=5.0, min_pixels=5))


@pytest.fixture(scope="module")
def found(demo):
    dataset, ebsd, twins = demo
    return image_lines(dataset, ebsd, np.where(twins.twinned, 0, twins.grain_label))


def test_the_stored_image_is_the_drawn_one(demo):
    dataset, ebsd, _ = demo
    grains = microscopy.segment(ebsd, threshold=5.0, min_pixels=1)
    drawn = virtual_image.draw(load_truth(dataset.files["truth"]), ebsd.image(grains.label))
    stored = microscopy.read_image(dataset.files["images"][0])
    assert stored.pixel_um == virtual_image.PIXEL_UM
    np.testing.assert_array_equal(stored.values, drawn)
    assert stored.valid.sum() == virtual_image.SIZE**2


def test_registration_finds_the_turn_and_scale_that_were_drawn(found):
    """Seven points read to a pixel of either picture fix the map position of the corners to one map pixel."""
    corners = np.array([[0, 0], [489, 0], [0, 489], [489, 489]])
    exact = np.stack(virtual_image.map_position(*corners.T.astype(float)), axis=-1)
    assert np.linalg.norm(found.to_map(corners) - exact, axis=1).max() < 1.0


def test_lines_of_the_image_lie_on_slip_planes(demo, found):
    """Nine lines of ten within 4 deg of a plane, where chance is one half; half of them within 1.5 deg."""
    dataset, _, twins = demo
    lines = found.traces().dropna(subset=["angle_deg"])
    away = microscopy.trace_deviations(lines["grain_id"], lines["angle_deg"], twins.grains, dataset.systems())
    assert len(lines) >= 30 and np.mean(away <= 4) > 0.9 and np.median(away) < 1.5


def test_image_lines_are_traces_where_asked_for(demo):
    """With labels: images: auto they come after the traces drawn by hand; the demo does not ask."""
    from dataclasses import replace

    dataset, ebsd, twins = demo
    assert observe(dataset, ebsd, twins.grain_label).image is None
    asked = replace(dataset, labels={**dataset.labels, "images": "auto"})
    traces = observe(asked, ebsd, twins.grain_label).traces
    labels = microscopy.slip_labels(twins.grains, traces, dataset.systems())
    assert set(traces["source"]) == set(labels.traces["source"]) == {"traces", "image"}


def test_points_on_a_line_are_an_error_of_the_description(demo):
    from dataclasses import replace

    dataset, ebsd, twins = demo
    bad = replace(dataset, registration={"image_to_ebsd": [[0, 0, 0, 0], [1, 1, 2, 2], [2, 2, 4, 4]]})
    with pytest.raises(DatasetError, match="image_to_ebsd"):
        image_lines(bad, ebsd, twins.grain_label)
    assert image_lines(replace(dataset, registration={}), ebsd, twins.grain_label) is None
