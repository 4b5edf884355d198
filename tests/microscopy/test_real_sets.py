"""Real data sets: described, loaded, segmented to their reference counts.

| set | source |
|---|---|
| smallin100 | simplnx (BlueQuartz), small IN100 |
| sdss | orix-data, J. Hjelen, NTNU (CC-BY-4.0) |
| dc06-steel, mg-twins, titanium | example data of MTEX; the file of titanium carries OIM's own grains |
| ni-hrdic | example data of DefDAP, doi 10.5281/zenodo.3688096 |
| cpti-boundaries | STABiX, Su et al. 2016, doi 10.1016/j.ijplas.2016.08.007 |

Counts and shares were found once by an analysis independent of this package (grains of mg-twins: MTEX 6.1,
those of titanium: OIM).
"""

import numpy as np
import pytest

import cpml
from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply
from cpml.crystallography.symmetry import proper_group
from cpml.datasets.observe import read_dataset_map
from cpml.microscopy import read_grain_file, read_map, read_reconstructed_boundaries, segment

GRAINS = {
    "smallin100": [204],
    "sdss": [75, 27],
    "dc06-steel": [22],
    "titanium": [85],
    "mg-twins": [91],
}
FIRST_FILE = {
    "smallin100": "smallin100/6_5_h5ebsd_exemplar.h5ebsd",
    "sdss": "sdss/sdss_ferrite_austenite.ang",
    "dc06-steel": "dc06-steel/DC06_2uniax.ang",
    "titanium": "cpti-boundaries/titanium.txt",
    "mg-twins": "mg-twins/twins.ctf",
}
OIM = "cpti-boundaries/"


def described(name, mirror):
    """Data set and its map; skipped where its file is not at hand."""
    mirror(FIRST_FILE[name])
    dataset = cpml.load_dataset(name)
    return dataset, read_dataset_map(dataset)


@pytest.mark.parametrize("name", GRAINS)
def test_described_sets_give_their_reference_grains(name, mirror):
    """Grains of each phase as in the reference; no load is claimed, and what was turned and
    cleaned is told.
    """
    dataset, m = described(name, mirror)
    options = {k: dataset.segmentation[k] for k in ("threshold", "min_pixels")}
    grains = segment(m, **options)
    assert np.bincount(grains.phase).tolist()[1:] == GRAINS[name]
    assert dataset.load is None or dataset.load.assumed
    assert [p.lattice for p in m.phases.values()] == [p.lattice for p in dataset.phases]
    assert any("Euler axes" in note for note in m.frame_note)
    assert ("cleaning:" in " ".join(m.frame_note)) == bool(dataset.cleaning)
    assert dataset.facts().notna().all().all()


def test_titanium_partition_is_oims(mirror):
    """Hexagonal neighbours, 15 deg: 85 components, the same partition as the file's grainId; 89 at 5 deg."""
    _, m = described("titanium", mirror)
    assert m.grid == "hex" and m.n_pixels == 8100 and m.step_um == pytest.approx(12)
    grains = segment(m, threshold=15)
    pairs = np.unique(np.stack([grains.label, m.properties["grainId"]]), axis=1)
    assert grains.n_grains == pairs.shape[1] == len(np.unique(pairs[1])) == 85
    assert segment(m, threshold=5).n_grains == 89


@pytest.mark.parametrize("name, percent", [("sdss", 66.8), ("smallin100", 30.4), ("ni-hrdic", 55.6)])
def test_sigma3_share(name, percent, mirror):
    """Share of boundary pixel pairs of the first phase within 5 deg of the Sigma 3 rotation."""
    m = read_map(mirror("ni-hrdic/testDataEBSD.crc")) if name == "ni-hrdic" else described(name, mirror)[1]
    group, grains = proper_group("432"), segment(m)
    pairs = grains.segments[["pixel_a", "pixel_b"]].to_numpy()
    q, p = (m.quaternions[k] for k in pairs[(m.phase_id[pairs] == 1).all(axis=1)].T)
    sigma3 = axis_angle_to_quaternion([1, 1, 1], np.radians(60))
    nearest = np.min(
        [
            disorientation_angle(quaternion_multiply(quaternion_multiply(q, s), sigma3), p, group)
            for s in group
        ],
        axis=0,
    )
    assert 100 * np.mean(nearest < np.radians(5)) == pytest.approx(percent, abs=0.05)


@pytest.mark.parametrize(
    "grains, boundaries, n_grains, n_segments",
    [
        ("MPIE_cpTi_grain_file_type2_2013.txt", "MPIE_cpTi_reconstructed_boundaries_2013.txt", 122, 652),
        ("MPIE_Ti_alloy_GF2_RDdownTDright.txt", "MPIE_Ti_alloy_RB_RDdownTDright.txt", 430, 2813),
    ],
)
def test_oim_boundaries(mirror, grains, boundaries, n_grains, n_segments):
    """Trace = atan2(-dy, dx) mod 180 is the file's own angle; lengths and ids fit; both files
    tell one orientation.
    """
    table, segments = (
        read_grain_file(mirror(OIM + grains)),
        read_reconstructed_boundaries(mirror(OIM + boundaries)),
    )
    assert (len(table), len(segments)) == (n_grains, n_segments)
    off = np.abs(segments.trace_deg - segments.file_trace_deg)
    # end points are printed to 0.01 um, short segments are 0.6 um
    assert (
        np.minimum(off, 180 - off).max() < 0.3 and segments.trace_deg.between(0, 180, inclusive="left").all()
    )
    chord = np.hypot(segments.x1_um - segments.x0_um, segments.y1_um - segments.y0_um)
    np.testing.assert_allclose(chord, segments.length_um, atol=0.011)
    ids = table.set_index("grain_id")
    known = segments[segments.grain_right.isin(ids.index)]
    assert len(known) > 0.95 * n_segments
    q = ids.loc[known.grain_right, ["qw", "qx", "qy", "qz"]].to_numpy()
    p = known[["right_qw", "right_qx", "right_qy", "right_qz"]].to_numpy()
    # 1e-3 rad and 1e-3 to 1e-2 deg are printed, of each of three angles
    assert np.degrees(disorientation_angle(q, p, proper_group("622"))).max() < 0.15


def test_oim_validation_files(mirror):
    """Synthetic files: 7 and 4 grains; angles in degrees under a heading that says radians are
    refused, then read.
    """
    assert len(read_grain_file(mirror(OIM + "validation_grain_file_type2.txt"))) == 7
    assert len(read_grain_file(mirror(OIM + "validation1_grain_file_type2.txt"))) == 4
    assert len(read_reconstructed_boundaries(mirror(OIM + "validation1_reconstructed_boundaries.txt"))) == 4
    path = mirror(OIM + "validation_reconstructed_boundaries.txt")
    with pytest.raises(cpml.CpmlError, match="angles='degrees'"):
        read_reconstructed_boundaries(path)
    table = read_reconstructed_boundaries(path, angles="degrees")
    # upwards on the screen is positive: from (-1.5, 1) to (-0.833, 0.5)
    assert len(table) == 12 and table.trace_deg[0] == pytest.approx(np.degrees(np.arctan2(0.5, 0.667)))


@pytest.mark.parametrize("damage", ["cut", "letter", "twice", "other"])
def test_damaged_grain_files(tmp_path, damage):
    """Another file, a cut line, a letter, a grain listed twice: one error that names the file."""
    head = "# Column 1: Integer identifying grain\n# Column 2-4: orientation (phi1, PHI, phi2) in degrees\n"
    line = "1 10 20 30\n"
    text = {
        "cut": head + line + line[:5],
        "letter": head + line.replace("20", "2o"),
        "twice": head + line + line,
        "other": "# nothing\n" + line,
    }[damage]
    (tmp_path / "g.txt").write_text(text)
    told = {"cut": "2 fields", "letter": "'2o'", "twice": "listed twice", "other": "no column"}[damage]
    with pytest.raises(cpml.CpmlError, match=rf"g.txt.*{told}"):
        read_grain_file(tmp_path / "g.txt")


def test_declared_phases_have_to_fit(describe, ctf_text, some_orientations):
    """A lattice that contradicts the file, and options of text files for another format, are errors
    of the description.
    """
    from cpml.errors import DatasetError

    for changes, told in (
        (
            {"phases": [{"name": "Nickel", "lattice": "hcp", "material": "titanium_cp", "hex_x_axis": "a"}]},
            "declared hcp",
        ),
        ({"reading": {"phase_numbers": [1]}}, "reading.phase_numbers"),
        ({"cleaning": {"min_confidence": 0.1}}, "has no 'ci'"),
    ):
        path = describe(**changes)
        (path.parent / "map.ctf").write_text(ctf_text(some_orientations, 6, 10), newline="")
        with pytest.raises(DatasetError, match=told):
            read_dataset_map(cpml.load_dataset(path))


def test_cleaning_and_thresholds_are_described(describe, ctf_text, some_orientations):
    """The keys of dataset.yml reach the map; its note counts what they did."""
    path = describe(
        cleaning={"max_mad_deg": 1.0, "min_grain_pixels": 1, "fill_holes_pixels": 2},
        segmentation={"threshold": {"Nickel": 4.0}},
        frame={"euler_to_sample": {"axis": [1, 0, 0], "angle_deg": 180}, "acquisition": "apply"},
    )
    (path.parent / "map.ctf").write_text(ctf_text(some_orientations, 6, 10), newline="")
    dataset = cpml.load_dataset(path)
    m = read_dataset_map(dataset)
    assert sum(note.startswith("cleaning: ") for note in m.frame_note) == 3
    assert "4 (Nickel)" in dataset.facts().loc["segmentation", "value"]
    assert segment(m, threshold=dataset.segmentation["threshold"]).n_grains == 60
