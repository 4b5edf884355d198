"""The simulated microscope: what it writes is read back as any data set, and says what the simulation knows.

Two small specimens: aluminium with a free surface at a temperature where it climbs and changes planes, and
basal magnesium pressed in its plane, which twins.
"""

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import cpml
from cpml import microscopy, paths, virtual
from cpml.crystallography import load_material
from cpml.crystallography.slip_traces import line_difference
from cpml.datasets import dataset as descriptions
from cpml.datasets.observe import given_labels, grains_of, observe, read_dataset_map, twin_rows
from cpml.datasets.strain_steps import step_gradients, track_steps
from cpml.errors import DatasetError, ParameterError
from cpml.load import Load
from cpml.virtual import Microscope, simulate_specimen
from cpml.virtual.microscope import looking
from cpml.virtual.microscope.deforming import deform, draw
from cpml.virtual.microscope.noting import visible_traces
from cpml.virtual.truth import match_grains, truth_labels

SMALL = {"shape": (8, 24, 24), "increments": 2, "strain": 0.03}
TINY = {"shape": (4, 8, 8), "increments": 1, "strain": 0.02, "texture": "none", "material": "nickel"}
WARM = Load.from_dict({"kind": "compression", "axis": "y", "temperature": 560})
PRESSED = Load.from_dict({"kind": "compression", "axis": "x"})


class Read:
    """A written specimen as the chain reads it."""

    def __init__(self, path):
        self.dataset = cpml.load_dataset(path)
        self.map = read_dataset_map(self.dataset)
        self.twins = grains_of(self.dataset, self.map)
        self.grains = self.twins.grains
        self.label = self.twins.grain_label
        self.truth = virtual.load_truth(self.dataset.files["truth"])
        self.partner = match_grains(self.truth, self.label)
        rows = self.grains.set_index("grain_id").loc[self.partner.index]
        self.quaternions = rows[["qw", "qx", "qy", "qz"]].to_numpy()
        self.systems = self.dataset.systems()

    def true(self):
        return truth_labels(self.truth, self.partner, self.quaternions, self.partner.index, self.systems)


@pytest.fixture(scope="module")
def cubic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("specimens") / "aluminium-3"
    options = {"material": "aluminium", "load": WARM, "free_surface": True, "texture": "none"}
    return Read(simulate_specimen(folder, seed=3, **options, **SMALL))


@pytest.fixture(scope="module")
def hexagonal(tmp_path_factory):
    folder = tmp_path_factory.mktemp("specimens") / "magnesium-1"
    options = {"material": "magnesium", "load": PRESSED, "texture": "basal"}
    return Read(simulate_specimen(folder, seed=1, **options, **SMALL))


def test_the_description_says_what_was_done(cubic, hexagonal):
    for read, surface, axis in ((cubic, "free", [0, 1, 0]), (hexagonal, "section", [1, 0, 0])):
        assert descriptions.mistakes(read.dataset.path) == []
        assert read.dataset.virtual and read.dataset.surface == surface
        assert read.dataset.load.kind == "compression" and read.dataset.load.axis.tolist() == axis
        assert read.dataset.load.strain == SMALL["strain"]
    assert cubic.dataset.load.temperature == 560


def test_grains_are_found_where_they_are(cubic):
    """Without twins, regions of at least 20 points are one grain each; one in ten may have been joined with a
    neighbour of nearly its orientation.
    """
    size = np.bincount(cubic.truth.surface_grain.ravel())
    assert (size >= 20).sum() > 20
    assert len(cubic.partner) == pytest.approx((size >= 20).sum(), rel=0.1)
    assert cubic.partner.is_unique


@pytest.mark.parametrize("name", ["cubic", "hexagonal"])
def test_orientations_are_those_of_the_simulation(name, request):
    """Plane normals of a grain's mean lattice: nearer to the true ones than the noise of one point."""
    read = request.getfixturevalue(name)
    true = dict(list(read.truth.planes.groupby("grain")))
    away = []
    for q, number in zip(read.quaternions, read.partner, strict=True):
        turn = cpml.crystallography.rotations.quaternion_to_matrix(q)
        ours = read.systems.plane_normals[np.unique(read.systems.plane_id[read.systems.slip])] @ turn.T
        cosine = np.abs(np.einsum("pi,pi->p", ours, true[number][["nx", "ny", "nz"]].to_numpy()))
        away.append(np.degrees(np.arccos(np.clip(cosine, 0, 1))).max())
    assert np.median(away) < Microscope().noise_deg


def test_noise_and_gaps_are_as_asked_for():
    """Root mean square of the angles to 5 %, of 16,000 points; one in a hundred lost inside grains."""
    rng = np.random.default_rng(0)
    recipe = draw(
        load_material("nickel"), 0, shape=(4, 64, 64), texture="none", load=WARM, free_surface=False
    )
    turn = cpml.crystallography.rotations.quaternion_to_matrix(recipe.quaternions)[recipe.grain_index[0]]
    still = np.zeros((64, 64, 3, 3))
    plane = looking.Plane(np.ones((64, 64), int), turn, turn, still, still[..., 0], still)
    microscope = Microscope(noise_deg=0.4, unindexed=0.02, unindexed_boundary=0.0)
    q = looking.before(plane, 2)
    seen = looking.map_of("noise", plane, q, recipe.material, microscope, rng)
    known = seen.indexed
    angle = 2 * np.degrees(np.arccos(np.clip(np.abs((seen.quaternions * q).sum(1)), 0, 1)))[known]
    assert np.sqrt(np.mean(angle**2)) == pytest.approx(0.4, rel=0.05)
    assert 1 - known.mean() == pytest.approx(0.02, abs=0.005)


def test_traces_lie_along_planes_that_slipped(cubic):
    """Off by the error of the hand: 2 deg. The reader's own angle convention is used, so that a mirrored axis
    would show; one line in fifty belongs to no plane.
    """
    lines = observe(cubic.dataset, cubic.map, cubic.label).traces.dropna(subset=["angle_deg"])
    away = microscopy.trace_deviations(lines["grain_id"], lines["angle_deg"], cubic.grains, cubic.systems)
    assert len(lines) > 25 and np.median(away) < 2.0
    visible = {
        number: visible_traces(planes, Microscope()) for number, planes in cubic.truth.planes.groupby("grain")
    }
    drawn = lines[lines["grain_id"].isin(cubic.partner.index)]
    off = [
        min((abs(line_difference(angle, v)) for v in visible[cubic.partner[grain]]), default=90.0)
        for grain, angle in zip(drawn["grain_id"], drawn["angle_deg"], strict=True)
    ]
    assert np.mean(np.array(off) < 3 * Microscope().trace_deg) > 0.9
    there = sum(len(visible[number]) for number in cubic.partner)
    assert len(drawn) / there == pytest.approx(1 - Microscope().missed, abs=0.15)


def test_active_planes_of_the_truth_are_those_that_traces_name(cubic):
    """Planes that lines were seen on are active ones, where the truth is asked by name."""
    labels = microscopy.slip_labels(
        cubic.grains, observe(cubic.dataset, cubic.map, cubic.label).traces, cubic.systems
    ).labels
    both = labels.merge(cubic.true(), on=["grain_id", "mechanism", "target"], suffixes=("", "_true"))
    seen = both[both["observed"] == 1]
    assert len(seen) > 15 and seen["observed_true"].mean() > 0.85


def test_lamellae_are_variants_of_the_truth(hexagonal):
    """Twins found in the map are variants whose fraction can be seen. Their share of the area is not above
    that of the simulation, and half of it at least: lamellae of two points in grains of ten are lost in part.
    """
    rows = twin_rows(hexagonal.dataset, hexagonal.twins, hexagonal.map, {1: hexagonal.systems})
    both = rows.merge(hexagonal.true(), on=["grain_id", "mechanism", "target"], suffixes=("", "_true"))
    seen = both[both["observed"] == 1]
    assert len(seen) >= 5 and seen["observed_true"].mean() > 0.8
    size = np.bincount(hexagonal.truth.surface_grain.ravel())
    fraction = hexagonal.truth.variants.query("fraction > 0.05").groupby("grain")["fraction"].sum()
    expected = (fraction * size[fraction.index]).sum() / size.sum()
    assert 0.5 < hexagonal.twins.twinned.mean() / expected < 1.1


def test_lamellae_cover_the_fraction_of_their_variant():
    """Of one large grain, two variants: the second is painted where the first is not."""
    material, size = load_material("magnesium"), 60
    still = np.tile(np.eye(3), (size, size, 1, 1))
    plane = looking.Plane(np.ones((size, size), int), still, still, still, still[..., 0], still)
    normal = np.array([[0.6, 0.8, 0.0], [0.8, 0.0, 0.6]])
    variants = pd.DataFrame(normal, columns=["nx", "ny", "nz"]).assign(grain=1, fraction=[0.2, 0.1])
    rest = pd.DataFrame([[0, 0, 1, 0.0]] * 4, columns=["nx", "ny", "nz", "fraction"]).assign(grain=1)
    variants = pd.concat([variants, rest], ignore_index=True)
    truth = virtual.Truth(np.ones((2 * size, 2 * size), int), pd.DataFrame(), variants, pd.DataFrame())
    rng = np.random.default_rng(0)
    q, in_lamella = looking.after(plane, truth, material, Microscope(), rng)
    assert in_lamella.mean() == pytest.approx(0.2 + 0.8 * 0.1, abs=0.02)
    is_turned = np.abs(q[:, 0]) < 0.5  # a half turn about the K1 normal
    np.testing.assert_array_equal(is_turned, in_lamella.ravel())


def test_rotations_are_those_between_the_maps(cubic):
    """Followed from map to map as any two maps; the error of a mean of 20 points is below 0.1 deg."""
    rotations = track_steps(cubic.dataset, cubic.map).rotations.set_index("grain_id")
    true = cubic.truth.grains.set_index("grain")[["wx", "wy", "wz"]]
    both = cubic.partner[cubic.partner.index.isin(rotations.index[rotations["rotation_deg"].notna()])]
    size = np.linalg.norm(true.loc[both], axis=1)
    found = rotations.loc[both.index, "rotation_deg"]
    assert len(both) > 20 and size.max() > 1.0
    assert np.corrcoef(size, found)[0, 1] > 0.8


def test_gradients_are_the_strain_of_the_plane(hexagonal):
    """Means of grains are those of the simulation within a few errors of a mean; compression is along x."""
    table = step_gradients(hexagonal.dataset, hexagonal.map, hexagonal.label).set_index("grain_id")
    assert (table["e_xx_percent"] * table["n_points"]).sum() / table["n_points"].sum() == pytest.approx(
        -3, abs=1
    )
    true = hexagonal.truth.grains.set_index("grain")["F11"].loc[hexagonal.partner] - 1
    found = table.loc[hexagonal.partner.index, "e_xx_percent"].to_numpy() / 100
    assert np.corrcoef(true, found)[0, 1] > 0.9


def test_looks_name_pairs_and_climb(cubic, hexagonal):
    """Aluminium changes planes and climbs at 560 K; of magnesium no cross-slip is known."""
    rows = given_labels(cubic.dataset, cubic.grains, {1: cubic.systems})
    both = rows.merge(cubic.true(), on=["grain_id", "mechanism", "target"], suffixes=("", "_true"))
    assert len(both) == len(rows) and set(rows["mechanism"]) == {"cross_slip", "climb"}
    pairs = both[both["mechanism"] == "cross_slip"]
    assert pairs["observed_true"].sum() > 10
    said = pairs.groupby("observed_true")["observed"].mean()
    assert said[1.0] == pytest.approx(1 - Microscope().pair_missed, abs=0.2) and said[0.0] < 0.1
    climb = both[both["mechanism"] == "climb"]
    assert (climb["observed"] == climb["observed_true"]).all()
    assert hexagonal.truth.pairs is None and hexagonal.truth.climb["share"].max() < 1e-6


def test_climb_comes_with_temperature(cubic, tmp_path):
    """Diffusion: at room temperature nothing climbs."""
    assert (cubic.truth.climb["share"] > 0.01).all()
    cold = simulate_specimen(tmp_path / "cold", seed=1, **TINY)
    assert virtual.load_truth(cold.parent / "truth.npz").climb["share"].max() < 1e-12


def test_a_free_surface_carries_no_traction():
    """Stresses on the plane of the map, relative to the load: a section has them, half a voxel below a
    surface there are hardly any.
    """
    size = {}
    for is_free in (True, False):
        options = {"shape": (8, 12, 12), "texture": "none", "load": PRESSED}
        recipe = draw(load_material("nickel"), 5, free_surface=is_free, **options)
        stress = deform(recipe, 0.01, increments=1).plane.stress
        size[is_free] = np.abs(stress[..., :, 2]).mean() / np.abs(stress[..., 0, 0]).mean()
    assert size[True] < 0.5 * size[False]


def test_the_curve_is_that_of_the_solid():
    """A gap carries nothing: plate and bulk of one crystal have its stress."""
    stress = {}
    for is_free in (True, False):
        options = {"shape": (4, 8, 8), "texture": "none", "load": PRESSED}
        recipe = draw(load_material("nickel"), 5, free_surface=is_free, **options)
        one = replace(recipe, quaternions=np.tile([1.0, 0, 0, 0], (len(recipe.quaternions), 1)))
        curve = deform(one, 0.01, increments=1).curve
        stress[is_free] = curve["true_stress_mpa"].iloc[0]
        assert curve["true_strain"].iloc[-1] == pytest.approx(-0.01, rel=0.05)
    assert stress[True] == pytest.approx(stress[False], rel=0.02) and stress[True] < 0


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_one_seed_is_one_folder(tmp_path):
    """Byte for byte, wherever it lies; what is complete stays, what is not is made again."""
    first = simulate_specimen(tmp_path / "a" / "ni", seed=1, **TINY).parent
    made = content(first)
    assert content(simulate_specimen(tmp_path / "b" / "ni", seed=1, **TINY).parent) == made
    other = content(simulate_specimen(tmp_path / "c" / "ni", seed=2, **TINY).parent)
    assert all(other[name] != made[name] for name in made if name != "dataset.yml")
    (first / "traces.csv").write_text("of a person\n")
    assert simulate_specimen(first, seed=1, **TINY).parent == first
    assert (first / "traces.csv").read_text() == "of a person\n"
    (first / "dataset.yml").unlink()
    simulate_specimen(first, seed=1, **TINY)
    assert content(first) == made


def test_what_is_there_is_not_overwritten(tmp_path):
    folder = simulate_specimen(tmp_path / "ni", seed=1, **TINY).parent
    with pytest.raises(DatasetError, match=r"dataset\.yml is another .* made with other options"):
        simulate_specimen(folder, seed=2, **TINY)
    (folder / "recipe.json").unlink()
    with pytest.raises(DatasetError, match="another data set"):
        simulate_specimen(folder, seed=1, **TINY)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"strain": 0.0}, "strain above 0"),
        ({"increments": 0}, "at least one increment"),
        ({"seed": -1}, "a seed of at least 0"),
        ({"shape": (4, 4)}, "three edges"),
        ({"texture": "cube"}, "drawn, none, basal"),
        ({"texture": "basal"}, "hexagonal crystals"),
        ({"material": "unobtainium"}, "unknown"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(tmp_path, changes, words):
    with pytest.raises((ParameterError, DatasetError), match=words):
        simulate_specimen(tmp_path / "no", **(TINY | {"seed": 1} | changes))
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("field, value", [("missed", 1.5), ("noise_deg", -1), ("step_um", 0), ("pixels", 0)])
def test_settings_that_cannot_be(field, value):
    with pytest.raises(ParameterError, match=field):
        Microscope(**{field: value})


def test_a_truth_without_the_further_tables_is_read(cubic, tmp_path):
    """Files of other makers have planes, variants and strengths only."""
    with np.load(cubic.dataset.files["truth"]) as file:
        old = {k: file[k] for k in file.files if k.split(".")[0] not in ("pairs", "climb", "grains")}
    np.savez_compressed(tmp_path / "truth.npz", **old)
    read = virtual.load_truth(tmp_path / "truth.npz")
    assert read.pairs is None and read.climb is None and read.grains is None
    pd.testing.assert_frame_equal(read.planes, cubic.truth.planes)


def simulate(*arguments, **environment):
    root = str(paths.PACKAGE.parent)
    command = [sys.executable, "-m", "invoke", "--search-root", root, "simulate", *arguments]
    options = {"capture_output": True, "text": True, "env": os.environ | environment}
    return subprocess.run(command, check=False, cwd=root, **options)


def test_the_task_writes_a_data_set_that_is_found_by_its_name(tmp_path, monkeypatch):
    """Where CPML_DATA names a folder it goes there, and the next command is told."""
    size = ("--shape", "4,8,8", "--increments", "1", "--texture", "none", "--material", "nickel")
    done = simulate("--specimen", "sheet", "--load", "compression:y", *size, CPML_DATA=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "next: python3 tasks.py run --dataset sheet"
    monkeypatch.setenv("CPML_DATA", str(tmp_path))
    found = cpml.load_dataset("sheet")
    assert found.folder == tmp_path / "sheet" and found.load.label == "compression || y"


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((), "either --specimen NAME or --volumes N"),
        (("--specimen", "raw"), "is where public data is kept"),
        (("--specimen", "a", "--shape", "8,8"), "slices,rows,columns"),
        (("--specimen", "a", "--load", "pull:x"), "load.kind"),
        (("--volumes", "2", "--workers", "0"), "at least 1"),
    ],
)
def test_the_task_says_what_it_cannot_do(tmp_path, arguments, words, monkeypatch):
    """In one line; the tasks are called in this process, a start of Python for each would take long."""
    from invoke import Context
    from invoke.exceptions import Exit

    monkeypatch.setenv("CPML_DATA", str(tmp_path))
    names = [name.removeprefix("--") for name in arguments[::2]]
    given = dict(zip(names, arguments[1::2], strict=True))
    given |= {key: int(given[key]) for key in ("volumes", "workers") if key in given}
    with pytest.raises(Exit, match=words) as caught:
        tasks().simulate(Context(), **given)
    assert caught.value.code == 1 and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def tasks():
    """The module tasks.py."""
    spec = importlib.util.spec_from_file_location("tasks", paths.PACKAGE.parent / "tasks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_orientations_and_strengths_that_are_given():
    """Every grain gets one of them, each once where there are enough; strengths are kept; what is neither is
    one line.
    """
    load = Load.from_dict({"kind": "tension", "axis": "x"})
    options = {"shape": (4, 12, 12), "texture": "drawn", "load": load}
    nickel = load_material("nickel")
    many = cpml.crystallography.random_quaternions(500, np.random.default_rng(0))
    made = draw(nickel, 3, free_surface=False, orientations=many, strengths=np.array([50.0]), **options)
    rows = [int(np.flatnonzero((many == q).all(1))[0]) for q in made.quaternions]
    assert len(set(rows)) == len(made.quaternions) == made.grain_index.max() + 1
    assert made.strengths.tolist() == [50.0]
    few = draw(nickel, 3, free_surface=False, orientations=many[:2], **options)
    assert {tuple(q) for q in few.quaternions} == {tuple(q) for q in many[:2]}
    for wrong, words in (
        ({"orientations": np.ones((3, 4))}, "unit quaternions"),
        ({"strengths": np.array([-1.0])}, "positive one for each"),
    ):
        with pytest.raises(ParameterError, match=words):
            draw(nickel, 3, free_surface=False, **wrong, **options)
