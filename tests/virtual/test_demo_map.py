"""The demo's map, traces, curve and truth are those of a plane cut of the deep magnesium volume."""

import numpy as np
import pandas as pd
import pytest

import cpml
from benchmarks import demo_map
from cpml.datasets.observe import read_dataset_map
from cpml.microscopy import find_twins, segment, traces_to_grains
from cpml.virtual.truth import MIN_PIXELS, load_truth, match_grains


@pytest.fixture(scope="module")
def dataset():
    return cpml.load_dataset("demo")


def test_the_stored_files_are_those_of_the_volume(dataset, reference, tmp_path):
    """Text byte for byte; of the truth every table."""
    demo_map.write(reference("virtual/mg_deep_A"), tmp_path)
    for role in ("ebsd", "traces", "curve"):
        stored = dataset.files[role]
        assert (tmp_path / stored.name).read_bytes() == stored.read_bytes(), role
    ours, theirs = (load_truth(path) for path in (tmp_path / "truth.npz", dataset.files["truth"]))
    np.testing.assert_array_equal(ours.surface_grain, theirs.surface_grain)
    for kind in ("planes", "variants", "strengths", "stresses"):
        pd.testing.assert_frame_equal(getattr(ours, kind), getattr(theirs, kind))


def test_every_trace_lies_in_its_grain(dataset):
    """The segmented grain at the place of a trace is the one that the simulation has there."""
    ebsd = read_dataset_map(dataset)
    label = find_twins(segment(ebsd, threshold=5.0, min_pixels=5)).grain_label
    truth = load_truth(dataset.files["truth"])
    places = pd.read_csv(dataset.files["traces"])[["x_um", "y_um"]].drop_duplicates()
    partner = match_grains(truth, label)
    found = partner.reindex(traces_to_grains(places, ebsd, label)["grain_id"]).to_numpy()
    column, row = places.to_numpy(int).T
    true = truth.surface_grain[row, column]
    assert len(np.unique(true)) == len(places)
    # smaller grains may have been given to a neighbour
    is_large = np.bincount(truth.surface_grain.ravel())[true] >= MIN_PIXELS
    assert is_large.sum() > 100 and np.mean(found[is_large] == true[is_large]) > 0.9


def test_curve_ends_at_the_declared_strain(dataset):
    """Engineering strain in the description, true strain in the curve."""
    end = pd.read_csv(dataset.files["curve"])["true_strain"].iloc[-1]
    assert end == pytest.approx(np.log(1 - dataset.load.strain), abs=1e-6)
