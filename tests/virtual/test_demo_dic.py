"""The demo's virtual HR-DIC field: what was drawn is stored, and its bands lie on planes that slipped."""

import numpy as np
import pytest

import cpml
from benchmarks import demo_dic
from cpml import microscopy
from cpml.datasets.observe import observe, read_dataset_map
from cpml.virtual.truth import load_truth, match_grains


@pytest.fixture(scope="module")
def demo():
    """(data set, map, twins) of the demo."""
    dataset = cpml.load_dataset("demo")
    ebsd = read_dataset_map(dataset)
    return dataset, ebsd, microscopy.find_twins(microscopy.segment(ebsd, threshold=5.0, min_pixels=5))


def test_the_stored_field_is_the_drawn_one(demo, reference):
    """Same truth, same seed, same bytes."""
    strain = demo_dic.simulated_strain(reference("virtual/mg_deep_A"))
    dataset, _, twins = demo
    truth = load_truth(dataset.files["truth"])
    partner = match_grains(truth, twins.grain_label)
    quaternions = np.full((truth.surface_grain.max() + 1, 4), np.nan)
    quaternions[partner] = twins.grains.set_index("grain_id").loc[partner.index, ["qw", "qx", "qy", "qz"]]
    known = np.isfinite(quaternions[truth.surface_grain, 0])
    grain = np.where(known, truth.surface_grain, -1)
    drawn = demo_dic.draw(truth, grain, quaternions, dataset.systems(), strain)
    stored = microscopy.read_dic(dataset.files["dic"])
    for name in "xyuv":
        np.testing.assert_allclose(getattr(stored, name), drawn[name], atol=1.1e-3)  # the last digit


def test_its_bands_lie_on_planes(demo):
    """Three quarters of the strongest bands within 5 deg of a slip-plane trace; chance is about one half."""
    dataset, ebsd, twins = demo
    field = observe(dataset, ebsd, twins.grain_label).dic
    assert field.to_map.residual < 0.01  # points written to a hundredth of a pixel
    first = field.bands[field.bands["rank"] == 1]
    away = microscopy.trace_deviations(first["grain_id"], first["angle_deg"], twins.grains, dataset.systems())
    assert len(first) > 30 and np.mean(away <= 5) > 0.75


def test_it_adds_no_label(demo):
    """The demo's labels are the traces drawn by hand: the field is there to be looked at."""
    dataset, ebsd, twins = demo
    seen = observe(dataset, ebsd, twins.grain_label)
    assert seen.dic is not None and set(seen.traces["source"]) == {"traces"}


def test_grains_strain_as_they_did_in_the_simulation(reference):
    """The displacement has the simulated strain as its gradient, but for what differences of voxels lose."""
    strain = demo_dic.simulated_strain(reference("virtual/mg_deep_A"))
    step = demo_dic.VOXEL_UM
    y, x = step * (np.mgrid[:64, :64] + 0.5)
    u = demo_dic.displacement(strain, x, y)
    inner = slice(1, -1)
    found = [
        np.gradient(u[0], step, axis=1)[inner, inner],
        np.gradient(u[1], step, axis=0)[inner, inner],
        (np.gradient(u[0], step, axis=0) + np.gradient(u[1], step, axis=1))[inner, inner] / 2,
    ]
    for part, true in zip(found, np.moveaxis(strain[inner, inner], -1, 0), strict=True):
        assert np.corrcoef(part.ravel(), true.ravel())[0, 1] > 0.9
        assert part.mean() == pytest.approx(true.mean(), abs=1e-3)
