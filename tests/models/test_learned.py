"""The network on the grains of a map: what it keeps exactly, what it has learned, what is foreign to it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from cpml.crystallography import load_material
from cpml.crystallography.materials import Material
from cpml.crystallography.rotations import quaternion_multiply, quaternion_to_matrix, random_quaternions
from cpml.crystallography.symmetry import group_of_lattice, proper_group
from cpml.crystallography.tensors import rotation_5x5, to_vector
from cpml.errors import CpmlError, ParameterError
from cpml.load import Load
from cpml.models.learned.ensemble import Familiar
from cpml.models.learned.network import Mechanics
from cpml.models.learned.pretraining import Plan, pretrain, score_table
from cpml.models.learned.surface import Base, Plane, Surface, base_of
from cpml.models.learned.training import Schedule, gaussian
from cpml.models.learned.volumes import Volume
from cpml.models.learned.weights import read_ensemble, supplied
from cpml.plasticity import PowerLaw, mean_field
from cpml.plasticity.polycrystal.motion import grain_motion, schmid_vectors
from cpml.virtual.volumes.factory import Order, make_volumes
from cpml.virtual.volumes.recipes import Recipe
from cpml.virtual.volumes.solving import as_arrays, solve

EXACT = 1e-10
GRAINS = 9


@pytest.fixture(scope="module")
def network():
    """Untrained but not silent: every layer is random."""
    torch.manual_seed(0)
    network = Mechanics().double()
    with torch.no_grad():
        for weights in network.parameters():
            weights += 0.05 * torch.randn_like(weights)
    return network.eval()


@dataclass(frozen=True)
class Ring:
    """A small map: grains in a ring, each with four neighbours, boundaries of random directions."""

    material: Material
    quaternions: np.ndarray
    base: Base
    plane: Plane
    macro: np.ndarray
    exponent: float = 8.0

    @classmethod
    def of(cls, material: Material, scale: float = 1.0) -> "Ring":
        rng = np.random.default_rng(1)
        quaternions = random_quaternions(GRAINS, rng)
        load = Load.from_dict({"kind": "tensor", "tensor": np.diag([1.0, 0.2, 0.0]).tolist()})
        systems, weights = material.systems(), torch.full((GRAINS,), 1 / GRAINS, dtype=torch.float64)
        law = PowerLaw(systems, torch.tensor(scale * material.strengths), n=8.0, reference_rate=load.rate)
        field = mean_field(law, quaternions, weights=weights, loading=load, scheme="affine")
        macro = to_vector(load.stress)
        macro = macro / np.linalg.norm(macro)
        rate, spin = grain_motion(systems, quaternions, field)
        schmid = torch.as_tensor(schmid_vectors(systems, quaternions))
        motion = (rate / load.rate, spin / load.rate)
        base = base_of(field, motion, schmid, law.system_strength, weights, torch.as_tensor(macro), load.rate)
        pairs = np.array([(g, (g + step) % GRAINS) for step in (1, 2) for g in range(GRAINS)])
        angle = rng.uniform(0, np.pi, len(pairs))
        plane = Plane(
            area=rng.uniform(10, 60, GRAINS),
            neighbours=pairs,
            length=rng.uniform(2, 6, len(pairs)),
            boundary=np.column_stack([np.cos(angle), np.sin(angle), 0 * angle]),
            normal=np.array([0, 0, 1.0]),
            is_free=True,
        )
        return cls(material, quaternions, base, plane, macro)

    def turned(self, q: np.ndarray) -> "Ring":
        """Everything rotated by a quaternion."""
        matrix = quaternion_to_matrix(q)
        five, three = torch.as_tensor(rotation_5x5(matrix)), torch.as_tensor(matrix)
        base = replace(
            self.base,
            stress=self.base.stress @ five.T,
            rate=self.base.rate @ five.T,
            spin=self.base.spin @ three.T,
        )
        plane = replace(
            self.plane, boundary=self.plane.boundary @ matrix.T, normal=matrix @ self.plane.normal
        )
        quaternions = quaternion_multiply(q, self.quaternions)
        return replace(self, quaternions=quaternions, base=base, plane=plane, macro=five.numpy() @ self.macro)

    def renamed(self, order: np.ndarray) -> "Ring":
        """The grains in another order."""
        plane = replace(
            self.plane, area=self.plane.area[order], neighbours=np.argsort(order)[self.plane.neighbours]
        )
        base = self.base.of(torch.as_tensor(order))
        return replace(self, quaternions=self.quaternions[order], base=base, plane=plane)

    def as_copies(self) -> "Ring":
        """Another symmetry copy of every crystal; its systems bear other names."""
        operators = proper_group(group_of_lattice(self.material.lattice))
        chosen = np.arange(GRAINS) % len(operators)
        quaternions = quaternion_multiply(self.quaternions, operators[chosen])
        systems = self.material.systems()
        stress = self.base.stress
        tau = torch.einsum("gsi,gi->gs", torch.as_tensor(schmid_vectors(systems, quaternions)), stress)
        before = torch.einsum(
            "gsi,gi->gs", torch.as_tensor(schmid_vectors(systems, self.quaternions)), stress
        )
        strength = (before / self.base.x).median(0).values
        return replace(self, quaternions=quaternions, base=replace(self.base, x=tau / strength))

    @property
    def surface(self) -> Surface:
        systems = self.material.systems()
        schmid = torch.as_tensor(schmid_vectors(systems, self.quaternions))
        return Surface.of(self.base, schmid, systems, self.exponent, self.macro, self.plane)


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).detach().abs().max())


MATERIALS = ("nickel", "ferrite", "magnesium", "titanium_cp")


@pytest.mark.parametrize("name", MATERIALS)
def test_answers_turn_with_the_specimen(network, name):
    ring, q = Ring.of(load_material(name)), random_quaternions(1, np.random.default_rng(3))[0]
    one, other = network(ring.surface), network(ring.turned(q).surface)
    matrix = quaternion_to_matrix(q)
    five, three = torch.as_tensor(rotation_5x5(matrix)), torch.as_tensor(matrix)
    for part, turn in (("stress", five), ("rate", five), ("spin", three)):
        assert apart(getattr(one, part) @ turn.T, getattr(other, part)) < EXACT
        covariance = getattr(one, f"{part}_covariance")
        assert apart(turn @ covariance @ turn.T, getattr(other, f"{part}_covariance")) < EXACT
    assert apart(one.log_total, other.log_total) < EXACT
    # the map is seen: a turn of the crystals alone is another specimen
    crystals = replace(ring, quaternions=quaternion_multiply(q, ring.quaternions))
    assert apart(one.stress, network(crystals.surface).stress) > 1e-3


@pytest.mark.parametrize("name", MATERIALS)
def test_symmetry_copies_are_one_crystal(network, name):
    ring = Ring.of(load_material(name))
    one, other = network(ring.surface), network(ring.as_copies().surface)
    for value in vars(one):
        assert apart(getattr(one, value), getattr(other, value)) < EXACT


def test_grains_have_no_order(network):
    ring, order = Ring.of(load_material("magnesium")), np.random.default_rng(4).permutation(GRAINS)
    one, other = network(ring.surface), network(ring.renamed(order).surface)
    for value in vars(one):
        assert apart(getattr(one, value)[order], getattr(other, value)) < EXACT


def test_a_common_factor_of_the_strengths_changes_nothing(network):
    one, other = (network(Ring.of(load_material("magnesium"), scale).surface) for scale in (1.0, 7.0))
    # what is left is the tolerance of the mean field
    assert apart(one.stress, other.stress) < 1e-6


def test_untrained_is_the_mean_field():
    torch.manual_seed(1)
    ring = Ring.of(load_material("magnesium"))
    answer = Mechanics().double()(ring.surface)
    for part in ("stress", "rate", "spin", "log_total"):
        assert apart(getattr(answer, part), getattr(ring.base, part)) == 0.0
    eye = torch.eye(5, dtype=torch.float64).expand(GRAINS, 5, 5)
    assert apart(answer.stress_covariance, answer.stress_covariance[:, :1, :1] * eye) == 0.0


def test_a_neighbour_is_felt_through_its_boundary(network):
    """Its direction counts, and a boundary of unknown direction is not one along x or y."""
    ring = Ring.of(load_material("nickel"))
    along_x = replace(ring, plane=replace(ring.plane, boundary=ring.plane.boundary[:, [1, 0, 2]]))
    unknown = replace(ring, plane=replace(ring.plane, boundary=0 * ring.plane.boundary))
    one, other, third = (network(r.surface).stress for r in (ring, along_x, unknown))
    assert min(apart(one, other), apart(one, third), apart(other, third)) > 1e-3


def test_log_density_is_that_of_scipy():
    rng = np.random.default_rng(5)
    root = rng.normal(size=(5, 5))
    covariance, point = root @ root.T + np.eye(5), rng.normal(size=5)
    wanted = multivariate_normal(np.zeros(5), covariance).logpdf(point)
    found = gaussian(torch.tensor(point)[None], torch.tensor(covariance)[None])
    assert float(found) == pytest.approx(wanted, abs=1e-10)


def test_strangers_widen_and_friends_do_not():
    numbers = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    familiar = Familiar.of(numbers)
    share = float((familiar.widening(numbers) > 1).double().mean())
    assert share == pytest.approx(0.01, abs=0.002)  # by its definition
    assert float(familiar.widening(torch.full((1, 3), 20.0, dtype=torch.float64))) > 20


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    """Everything from nothing to weights, small: fifty volumes of a grain or two, two epochs."""
    folder = tmp_path_factory.mktemp("volumes")
    plan = Plan(
        folder=folder,
        volumes=46,
        held_out=4,
        members=2,
        edge=10,
        schedule=Schedule(epochs=2),
        curve=(12,),
        workers=1,
    )
    said: list[str] = []
    ensemble = pretrain(plan, folder / "weights.npz", say=said.append)
    return plan, ensemble, said


def test_rehearsal_goes_through_and_can_be_read(rehearsal):
    plan, ensemble, said = rehearsal
    read = read_ensemble(plan.folder / "weights.npz")
    assert len(read.members) == 2 and read.facts["volumes"] == 46
    assert any("kept apart" in line for line in said)
    assert [point["volumes"] for point in read.facts["curve"]] == [12, 46]
    surface = Ring.of(load_material("zirconium")).surface
    one, other = (replace(e, members=tuple(m.double() for m in e.members))(surface) for e in (ensemble, read))
    assert apart(one.stress, other.stress) < 5e-3  # half precision of the weights
    assert torch.linalg.eigvalsh(read(surface).stress_covariance).min() > 0


def test_stopped_training_ends_at_the_same_weights(rehearsal):
    plan, ensemble, _ = rehearsal
    # the state after the last epoch is there: nothing is left to do
    again = pretrain(plan, plan.folder / "again.npz", say=lambda line: None)
    for one, other in zip(ensemble.members, again.members, strict=True):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(a.double(), b.double())


def test_damaged_weights_are_one_error(rehearsal, tmp_path):
    plan, *_ = rehearsal
    whole = (plan.folder / "weights.npz").read_bytes()
    for cut in (0, 100, len(whole) // 2):
        path = tmp_path / "cut.npz"
        path.write_bytes(whole[:cut])
        with pytest.raises(CpmlError, match="no weights of the learned mechanics"):
            read_ensemble(path)
    with pytest.raises(ParameterError, match="at least two held out"):
        replace(plan, held_out=1)


def test_one_seed_is_one_volume(tmp_path):
    first, second = (Order(tmp_path / name, edge=8) for name in "ab")
    (one,), (other,) = (make_volumes(order, range(3, 4), workers=1) for order in (first, second))
    assert one.read_bytes() == other.read_bytes()
    assert not np.array_equal(Recipe.of(3, edge=8).quaternions, Recipe.of(4, edge=8).quaternions)


def test_supplied_weights_beat_the_mean_field_where_they_never_learned():
    """Two bulk volumes and a plate of seeds far from those of the training."""
    kinds = ((False, 7_000_001), (False, 7_000_003), (True, 7_000_004))
    volumes = [Volume.of(as_arrays(solve(Recipe.of(seed, edge=20, free=free)))) for free, seed in kinds]
    table = score_table(supplied(), volumes)
    stress = table[(table["lattice"] == "all") & (table["part"] == "stress")].set_index("surface")
    assert (stress["explained"] > stress["explained_affine"] + 0.03).all()
    # scoring is done in single precision, on copies
    assert all(w.dtype == torch.float64 for m in supplied().members for w in m.parameters())
