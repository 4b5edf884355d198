"""Virtual specimens as data sets: found through CPML_REFERENCE, labelled by what was recorded, truth
for scoring only.
"""

import numpy as np
import pandas as pd
import pytest

import cpml
from cpml import datasets, microscopy, virtual
from cpml.datasets.observe import observe, read_dataset_map, twin_rows, twin_types
from cpml.errors import DatasetError, MapFileError
from cpml.virtual import recorded

SETS = {
    "virtual-mg-a": "mg_hcp_A",
    "virtual-mg-b": "mg_hcp_B",
    "virtual-ti-a": "ti_hcp_A",
    "virtual-ni-a": "ni_fcc_A",
}


def test_without_the_reference_the_error_names_the_variable(monkeypatch):
    """Loading fails with one line that says what to set; a run over all data sets leaves them out
    and says why.
    """
    monkeypatch.delenv("CPML_REFERENCE", raising=False)
    for name in SETS:
        assert name in datasets.available()
        assert "CPML_REFERENCE" in datasets.left_out(name)
        with pytest.raises(DatasetError, match=r"files.ebsd.*set CPML_REFERENCE"):
            cpml.load_dataset(name)
    assert datasets.left_out("demo") == ""


@pytest.mark.parametrize("name", SETS)
def test_labels_are_those_of_the_benchmark(name, reference):
    """The chain's labels (notebook 02) and those of `load_virtual` agree row for row, so both score
    the same thing.
    """
    from benchmarks.virtual_specimens import load_virtual

    folder = reference(f"virtual/{SETS[name]}")
    dataset, specimen = cpml.load_dataset(name), load_virtual(folder).specimen
    assert dataset.virtual and datasets.left_out(name) == ""
    assert dataset.load.kind == specimen.load.kind and dataset.load.strain == specimen.load.strain
    ebsd_map = read_dataset_map(dataset)
    grains = microscopy.segment(ebsd_map, threshold=5.0, min_pixels=5)
    twins = microscopy.find_twins(grains, types=twin_types(dataset))
    systems = {phase: dataset.systems() for phase in ebsd_map.phases}
    traces = observe(dataset, ebsd_map, twins.grain_label).traces
    slip = microscopy.slip_labels(twins.grains, traces, systems)
    labels = pd.concat([slip.labels, twin_rows(dataset, twins, ebsd_map, systems)])
    keys = ["grain_id", "mechanism", "target"]
    for ours, theirs in ((labels, specimen.labels), (slip.candidates, specimen.candidates)):
        tables = (t.sort_values([*keys, t.columns[-2]]).reset_index(drop=True) for t in (ours, theirs))
        pd.testing.assert_frame_equal(*tables)


def test_truth_of_a_folder_is_read_through_its_json(reference):
    """`files: truth` names truth.json; strengths are those of the simulation and every grain
    has its planes.
    """
    truth = virtual.load_truth(reference("virtual/mg_hcp_A/truth.json"))
    assert (truth.strengths["strength_mpa"] > 0).all() and truth.planes["shear"].min() >= 0
    assert set(truth.planes["grain"]) == set(truth.variants["grain"])


def test_angles_are_mirrored_onto_the_screen():
    """122.2 deg counted from +x towards +y (down) is 57.8 deg counter-clockwise; no trace is
    an empty angle.
    """
    table = pd.DataFrame(
        {"grain": [1, 2], "obs_n_traces": [2, 0], "obs_trace_angles_deg": ["122.2;0.0", np.nan]}
    )
    found = recorded.recorded_traces(table)
    assert found["grain_id"].tolist() == [1, 1, 2]
    assert found["angle_deg"].tolist()[:2] == pytest.approx([57.8, 0.0]) and np.isnan(
        found["angle_deg"].iloc[2]
    )


def test_recorded_variants_name_systems_of_this_project():
    """A recorded variant is one system; grains without a look at twins get no rows."""
    from cpml.crystallography import load_material

    systems = load_material("magnesium").systems()
    table = pd.DataFrame(
        {
            "grain": [1, 2, 3],
            "obs_twinned": [1, 0, np.nan],
            "obs_twin_variants": ["(1-102)[-1101]", np.nan, np.nan],
        }
    )
    found = recorded.recorded_variants(table, systems)
    assert found.groupby("grain_id")["observed"].sum().to_dict() == {1: 1.0, 2: 0.0}
    assert len(found) == 2 * systems.twin.sum()


def test_manual_twins_need_a_table_that_holds_them(describe, tmp_path):
    """Twins recorded by hand, but only traces are there: the message names the columns."""
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "traces.csv").write_text("x_um,y_um,angle_deg\n1,1,30\n")
    path = describe(files={"ebsd": "map.ctf", "traces": "traces.csv"}, labels={"twins": "manual"})
    with pytest.raises(
        DatasetError, match=r"labels.twins: manual needs files.traces with the columns .*obs_twinned"
    ):
        twin_rows(cpml.load_dataset(path), None, None, {})
    with pytest.raises(MapFileError, match="no label table"):
        recorded.read_public_table(path.parent / "traces.csv", None, np.zeros(0))


def test_images_across_the_edges_are_held_out_together(reference):
    """A periodic map shows some grains at two edges: no fold trains on an image of what it holds out. A
    quarter of the map has the grains of that quarter, cut at its edges.
    """
    from benchmarks.virtual_specimens import load_virtual, partition

    folder = reference("virtual/mg_hcp_G")
    whole = load_virtual(folder)
    images, splits = whole.images, partition(whole, 0)
    assert images.duplicated().sum() > 10
    for fold in splits.folds:
        held_out, seen = (
            set(images.reindex(ids).dropna()) for ids in (splits.test(fold), splits.train(fold))
        )
        assert held_out and seen and not held_out & seen
    quarter = load_virtual(folder, window=(0.0, 0.0, 0.5, 0.5)).specimen
    assert len(whole.specimen) / 6 < len(quarter) < len(whole.specimen) / 2
    assert quarter.grains[["x_um", "y_um"]].to_numpy().max() < 64.0
