"""Steps of a data set: what a description may say, and a specimen followed from file to table."""

import numpy as np
import pytest

import cpml
from cpml.crystallography.rotations import quaternion_conjugate, quaternion_multiply
from cpml.datasets import read_dataset_map, step_gradients, strain_steps, track_steps
from cpml.datasets.catalogue import file_sha256
from cpml.datasets.observe import grains_of
from cpml.errors import DatasetError
from cpml.microscopy import write_map
from cpml.microscopy.maps.frames import frame_rotation
from support.steps import Specimen

STRETCH = np.diag([1.08, 0.96])


def one(**changes):
    return {
        key: value
        for key, value in ({"strain": 0.1, "ebsd": "map.ctf"} | changes).items()
        if value is not None
    }


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"strain": 0.1}, ["steps", "expected a list"]),
        ([], ["steps", "at least 1"]),
        ([one(strain=None)], ["steps[0].strain", "missing"]),
        ([one(strain="5 %")], ["steps[0].strain", "5 %", "from 0 to 1"]),
        ([one(strain=float("nan"))], ["steps[0].strain", "nan"]),
        ([one(strain=float("inf"))], ["steps[0].strain", "inf"]),
        ([one(strain=5.0)], ["steps[0].strain", "5.0", "from 0 to 1"]),
        ([one(), one()], ["steps[1].strain", "0.1", "ascend"]),
        ([one(strain=0.2), one()], ["steps[1].strain", "0.1", "ascend", "0.2"]),
        ([one(ebsd=None)], ["steps[0]", "needs a file", "ebsd, dic, gradient"]),
        ([one(ebsd="nowhere.ctf")], ["steps[0].ebsd", "nowhere.ctf", "no file"]),
        ([one(ebsd={"path": "map.ctf", "sha256": "0" * 64})], ["steps[0].ebsd", "sha256 is"]),
        ([one(ebsd="../map.ctf")], ["steps[0].ebsd", "leaves its folder"]),
        ([one(dic="map.ctf", gradient="map.ctf")], ["steps[0].gradient", "either a dic or a gradient"]),
        ([one(y_axis="up")], ["steps[0].y_axis", "for a step with gradient"]),
        ([one(gradient="map.ctf", y_axis="sideways")], ["steps[0].y_axis", "sideways"]),
        ([one(ebsd=None, gradient="map.ctf", frame={})], ["steps[0].frame", "for a step with ebsd"]),
        ([one(frame={"euler_to_sample": "x90"})], ["steps[0].frame.euler_to_sample", "x90"]),
        (
            [one(registration={"dic_to_ebsd": [[0, 0, 0, k] for k in range(3)]})],
            ["registration.dic_to_ebsd", "with dic"],
        ),
        ([one(registration={"map_to_ebsd": [[0, 0, 0, 0]]})], ["registration.map_to_ebsd", "at least 3"]),
        ([one(registration={"image_to_ebsd": []})], ["registration.image_to_ebsd", "no images"]),
        (
            [one(registration={"ebsd_unit": "um"})],
            ["registration.ebsd_unit", "dic_to_ebsd, which is missing"],
        ),
        ([one(registration=[1])], ["steps[0].registration", "map_to_ebsd"]),
        ([one(registration={"map_to_step": []})], ["registration.map_to_step", "unknown key"]),
        ([one(label="a")], ["steps[0].label", "unknown key"]),
        ([one(name="a/b")], ["steps[0].name", "a/b"]),
        ([one(name="map")], ["steps[0].name", "names differ"]),
        ([one(name="a"), one(name="a", strain=0.2)], ["steps[1].name", "names differ"]),
    ],
)
def test_one_error_names_the_step_and_its_key(describe, steps, words):
    path = describe(steps=steps)
    with pytest.raises(DatasetError) as caught:
        cpml.load_dataset(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_steps_need_a_map_to_be_followed_from(describe):
    path = describe(files={"images": ["map.ctf"]}, phases=None, load="unknown", steps=[one()])
    with pytest.raises(DatasetError, match=r"files\.ebsd.*steps are followed from a map"):
        cpml.load_dataset(path)


def test_a_step_has_what_it_says_and_the_rest_of_the_data_set(describe):
    """Files resolved, with checksum or without; frame and registration of the data set where it has none."""
    path = describe()
    sum_ = file_sha256(path.parent / "map.ctf")
    steps = [
        one(ebsd={"path": "map.ctf", "sha256": sum_}, strain=0),
        one(dic="map.ctf", frame={"euler_to_sample": "x180"}, name="5 % unloaded"),
    ]
    dataset = cpml.load_dataset(describe(steps=steps, reading={"slice": 1}))
    first, second = dataset.steps
    assert (first.name, first.strain, first.files) == ("step 1", 0.0, {"ebsd": path.parent / "map.ctf"})
    assert (second.name, second.has_field, first.has_field) == ("5 % unloaded", True, False)
    assert dataset.at(first).frame == dataset.frame and dataset.at(first).reading == {"slice": 1}
    assert dataset.at(second).frame["euler_to_sample"] == "x180" and dataset.at(second).steps == ()
    assert "5 % unloaded: dic: map.ctf" in dataset.inputs()
    assert "5 % unloaded at strain 0.1" in dataset.facts().loc["steps", "value"]
    assert all(dataset.has(word) for word in ("steps", "step-maps", "step-fields"))
    assert not any(cpml.load_dataset(describe()).has(word) for word in ("steps", "step-maps", "step-fields"))


def test_a_step_takes_over_what_it_does_not_register_itself(describe):
    """Points of the data set, and how its fields are counted, hold for every step that has none of its own;
    the unit of points goes with the points.
    """
    points, others = ([[0, 0, 0, 0], [9, 0, k, 0], [0, 9, 0, k]] for k in (9, 18))
    path = describe(
        registration={"dic_to_ebsd": points, "ebsd_unit": "um", "dic_y_axis": "up"},
        steps=[
            one(strain=0.1, dic="map.ctf", registration={"map_to_ebsd": [row[:] for row in points]}),
            one(strain=0.2, dic="map.ctf", registration={"dic_to_ebsd": others}),
        ],
    )
    dataset = cpml.load_dataset(path)
    first, second = (dataset.at(step).registration for step in dataset.steps)
    assert (first["dic_to_ebsd"], first["ebsd_unit"], first["dic_y_axis"]) == (points, "um", "up")
    assert second["dic_to_ebsd"] == others and "ebsd_unit" not in second and second["dic_y_axis"] == "up"


@pytest.fixture(scope="module")
def specimen():
    return Specimen.random(40, size=40.0, seed=4, spread_deg=1.0)


@pytest.fixture
def described(specimen, describe):
    """A data set in files: its map, a later one turned and in another Euler frame, two gradients."""
    folder = describe().parent
    before = specimen.before()
    write_map(before, folder / "before.ctf")
    after, _ = specimen.after(STRETCH, turn_deg=25.0, step=0.6)
    frame = quaternion_conjugate(frame_rotation("x180"))
    after.quaternions[:] = quaternion_multiply(frame, after.quaternions)
    write_map(after, folder / "after.ctf")
    for name, size in (("one.csv", 0.02), ("two.csv", 0.06)):
        h = size * (1 + 0.1 * specimen.grain_at(before.xy)[:, None] / 40) * [1.0, 0.1, 0.0, -0.5]
        table = np.hstack([before.xy, h])
        np.savetxt(folder / name, table, delimiter=",", header="x_um,y_um,H11,H12,H21,H22", comments="")
    steps = [
        {"strain": 0.02, "gradient": "one.csv"},
        {"strain": 0.06, "gradient": "two.csv", "name": "later", "ebsd": "after.ctf"}
        | {"frame": {"euler_to_sample": "x180"}},
    ]
    return cpml.load_dataset(describe(files={"ebsd": "before.ctf"}, steps=steps))


def test_a_data_set_is_followed_from_file_to_table(described):
    """Maps: every grain found through turn, stretch, step size and frame. Fields: the mean of each grain."""
    ebsd = read_dataset_map(described)
    found = track_steps(described, ebsd)
    assert found.placements["step"].tolist() == ["later"] and found.tracks.keys() == {"later"}
    assert found.placements["turn_deg"].iloc[0] == pytest.approx(-25, abs=0.5)
    assert found.placements["stretch_largest"].iloc[0] == pytest.approx(1.08, abs=0.01)
    assert (found.rotations["n_matched"] == 1).all() and (found.rotations["strain"] == 0.06).all()
    summary = strain_steps.rotation_summary(found.rotations)
    assert summary.loc["later", "median_deg"] > 5 * summary.loc["later", "noise_deg"]
    assert summary.loc["later", "above_noise"] > 0.9

    label = grains_of(described, ebsd).grain_label
    table = step_gradients(described, ebsd, label)
    assert table["step"].unique().tolist() == ["step 1", "later"]
    assert strain_steps.leading_component(table) == "e_xx_percent"
    ranks = strain_steps.gradient_summary(table, "e_xx_percent")
    assert ranks["rank_correlation"].iloc[1] == pytest.approx(1.0, abs=0.01)
    assert ranks["mean_percent"].tolist() == pytest.approx([2.1, 6.3], rel=0.03)
    assert len(strain_steps.last_state(table)) == label.max()
    assert strain_steps.states(described)["strain / %"].tolist()[1:] == [2.0, 6.0]


def test_displacement_fields_of_map_and_steps_lie_on_the_grains(describe, specimen):
    """Vectors of uniform gradients: files.dic is the state "map" at the strain of the load; a step uses the
    points of the data set, or its own.
    """
    folder = describe().parent
    write_map(specimen.before(), folder / "before.ctf")  # 80 x 80 points of 0.5 um
    row, column = np.mgrid[:40, :40].astype(float)
    gradient = np.array([[0.02, 0.004], [-0.002, -0.01]])
    for k, name in enumerate(("zero", "one", "two"), start=1):
        u, v = k * np.einsum("ij,jrc->irc", gradient, np.stack([column, row])) + 5.0
        np.savez(folder / f"{name}.npz", x=column, y=row, u=u, v=v)
    half, quarter = (
        [[x, y, step * x, step * y] for x, y in ((0, 0), (39, 0), (0, 39), (39, 39))] for step in (2.0, 1.0)
    )
    listed = [
        {"strain": 0.04, "dic": "one.npz"},
        {"strain": 0.06, "dic": "two.npz", "registration": {"dic_to_ebsd": quarter}},
    ]
    path = describe(
        files={"ebsd": "before.ctf", "dic": "zero.npz"},
        registration={"dic_to_ebsd": half},
        load={"kind": "tension", "axis": "x", "strain": 0.02},
        steps=listed,
    )
    dataset = cpml.load_dataset(path)
    ebsd = read_dataset_map(dataset)
    label = grains_of(dataset, ebsd).grain_label
    table = step_gradients(dataset, ebsd, label)
    assert table.groupby("step", sort=False)["strain"].first().to_dict() == {
        "map": 0.02,
        "step 1": 0.04,
        "step 2": 0.06,
    }
    for k, (_, of_step) in enumerate(table.groupby("step", sort=False), start=1):
        assert of_step["e_xx_percent"].to_numpy() == pytest.approx(2.0 * k)
        assert of_step["e_xy_percent"].to_numpy() == pytest.approx(0.1 * k)
        assert of_step["turn_deg"].to_numpy() == pytest.approx(np.degrees(0.003 * k))
    counts = table.groupby("step")["n_points"].sum()
    assert counts["step 1"] == 1600 and table["grain_id"].max() == label.max()
    assert len(table[table["step"] == "step 2"]) < len(table[table["step"] == "step 1"])
    dataset = cpml.load_dataset(describe(files={"ebsd": "before.ctf"}, steps=listed[:1]))
    with pytest.raises(DatasetError, match="dic_to_ebsd"):
        step_gradients(dataset, ebsd, label)


def test_without_steps_there_are_tables_without_rows(describe):
    """Every column that a notebook asks for is there."""
    dataset = cpml.load_dataset(describe())
    specimen = Specimen.random(6, size=10.0)
    found = track_steps(dataset, specimen.before())
    empty = step_gradients(dataset, specimen.before(), np.ones(400, int))
    assert found.rotations.empty and found.pairs.empty and found.new.empty and empty.empty
    assert {"status", "rotation_deg", "noise_deg"} <= set(found.rotations)
    assert {"e_xx_percent", "turn_se_deg", "n_points"} <= set(empty)
    assert strain_steps.rotation_summary(found.rotations).empty
    assert strain_steps.gradient_summary(empty, "e_xx_percent").empty
    assert strain_steps.last_state(empty).empty


def test_a_step_that_cannot_be_laid_on_the_map_is_named(describe, specimen):
    """One error with the file, the step and the remedy."""
    folder = describe().parent
    write_map(specimen.before(), folder / "before.ctf")
    write_map(Specimen.random(40, size=40.0, seed=77).before(), folder / "other.ctf")
    steps = [one(strain=0.01, ebsd="before.ctf"), one(ebsd="other.ctf")]
    dataset = cpml.load_dataset(describe(files={"ebsd": "before.ctf"}, steps=steps))
    with pytest.raises(DatasetError, match=r"dataset\.yml: steps\[1\]: .*map_to_ebsd"):
        track_steps(dataset, read_dataset_map(dataset))


def test_copper_strains_as_much_as_was_applied(mirror):
    """Gradients of a copper sheet in tension on the points of its map, at three strains that were measured.

    The mean over the points is the strain of the area: 0.4, 4.4 and 13.9 % are rounded to 0.05 %. Grains
    differ, more with every step, keep their rank from 4.4 to 13.9 %, and get thinner across the load.
    """
    mirror("copper-dic/ebsd_clean.ctf")
    dataset = cpml.load_dataset("copper-dic")
    ebsd = read_dataset_map(dataset)
    assert int(ebsd.indexed.sum()) == 18650 and ebsd.pixel_um == pytest.approx((0.842, 0.8581), abs=1e-4)
    table = step_gradients(dataset, ebsd, grains_of(dataset, ebsd).grain_label)
    assert table["step"].unique().tolist() == ["0.4 %", "4.4 %", "13.9 %"]
    along, across = (strain_steps.gradient_summary(table, f"e_{c}_percent") for c in ("xx", "yy"))
    assert along["grains"].min() > 100
    assert along["mean_percent"].tolist() == pytest.approx(along["applied_percent"].tolist(), abs=0.06)
    assert (along["scatter_percent"].diff().dropna() > 0).all()
    assert along["rank_correlation"].iloc[2] > 0.8
    assert (across["mean_percent"] < 0).all() and (across["mean_percent"].diff().dropna() < 0).all()
    assert strain_steps.leading_component(table) == "e_xx_percent"
