"""Full field by batched torch operations: the answers, operators and fields of the compiled loops.

Where no GPU is at hand, torch's CPU does the arithmetic of a device, and its "meta" tensors, which have a
device but no numbers, show that no operation mixes the device with the host.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cpml.compiled import one_thread_each
from cpml.crystallography.rotations import random_quaternions
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity import Conditions, PowerLaw, Together, full_field, full_field_path
from cpml.plasticity.field.equilibrium import MeanMedium, Nodal, Space
from cpml.plasticity.field.grid import PeriodicGrid
from cpml.plasticity.field.on_device import TorchSpace, phases_on
from cpml.plasticity.field.phases import Phases
from support.phases import FCC, MG, MG_STRENGTHS

CPU = torch.device("cpu")
TENSION = Load.from_dict({"kind": "tension", "axis": "x"})
ORIENTATIONS = random_quaternions(8, np.random.default_rng(0))
MAP = np.random.default_rng(1).integers(0, 8, (4, 4)).repeat(3, 0).repeat(3, 1)
VOLUME = np.random.default_rng(2).integers(0, 8, (2, 3, 2)).repeat(3, 0).repeat(2, 1).repeat(3, 2)
GAP = np.where(np.arange(12) < 3, -1, MAP)
SHEARED = np.array([[1.1, 0.2, 0.0], [0.0, 0.9, 0.1], [0.1, 0.0, 1.0]])
FREE_SHEAR = Conditions.mixed(
    [[1e-3, np.nan, 0], [0, -1e-3, 2e-4], [0, 2e-4, 0]],
    [[np.nan, 3.0, np.nan], [np.nan] * 3, [np.nan] * 3],
)


@pytest.fixture(autouse=True)
def one_thread():
    """Fields of a hundred voxels: threads would only wait for each other."""
    with one_thread_each():
        yield


def fcc(n):
    """One strength."""
    return PowerLaw(FCC, [10.0], n=n, reference_rate=1e-3)


def magnesium(n):
    """Slip and twins."""
    return PowerLaw(MG, MG_STRENGTHS, n=n, reference_rate=1e-3)


def off(one, two):
    """Largest difference, relative to the largest value."""
    return np.abs(np.asarray(one) - np.asarray(two)).max() / np.abs(np.asarray(one)).max()


@pytest.mark.parametrize("difference", ["rotated", "continuous"])
@pytest.mark.parametrize("shape", [(5, 8), (4, 3, 6)])
@pytest.mark.parametrize("deformation", [None, SHEARED])
def test_operators_agree(difference, shape, deformation):
    """Strain, force, stiffness and preconditioner of one random motion and tangent, to rounding."""
    rng = np.random.default_rng(0)
    grid = PeriodicGrid.of(shape, tuple(rng.uniform(0.5, 2, len(shape))), difference, 1)
    grid = grid if deformation is None else grid.moved(deformation)
    here = Space(grid, np.linalg.qr(rng.normal(size=(5, 2)))[0])
    there = TorchSpace.on(here, CPU)
    root = rng.normal(size=(grid.size, 5, 5))
    tangent, wave, mean = root @ root.swapaxes(1, 2), rng.normal(size=(3, *grid.shape)), rng.normal(size=2)
    motion = Nodal(wave, mean)
    moved, tangents = Nodal(*map(torch.as_tensor, motion)), torch.as_tensor(tangent)
    assert off(here.strain(motion), there.strain(moved)) < 1e-13
    force, its = here.stiffness(tangent, motion), there.stiffness(tangents, moved)
    assert off(force.wave, its.wave) < 1e-13 and off(force.mean, its.mean) < 1e-13
    assert off(here.solenoidal(force).wave, there.solenoidal(its).wave) < 1e-13
    answer = MeanMedium.of(here, tangent.mean(0))(force)
    its = MeanMedium.of(there, tangents.mean(0))(its)
    assert off(answer.wave, its.wave) < 1e-11 and off(answer.mean, its.mean) < 1e-11


@pytest.mark.parametrize(
    "law",
    [
        fcc(1.0),
        fcc(7.5),
        fcc(100.0),
        magnesium(20.0),
        PowerLaw(MG, np.random.default_rng(3).uniform(10, 50, (8, 4)), n=10.0, reference_rate=1e-3),
    ],
    ids=["linear", "broken exponent", "steep", "twins", "per grain"],
)
def test_voxels_agree(law):
    """Stresses and tangents of random strain rates, cold, and warm from there under ever less resistance."""
    rng = np.random.default_rng(0)
    phases = Phases.of(law, MAP, ORIENTATIONS, None, "refuse", Conditions.of(TENSION, "free"), 1)
    its = phases_on(phases, CPU)
    stress, before, tangent = np.zeros((MAP.size, 5)), np.zeros((MAP.size, 5)), np.empty((MAP.size, 5, 5))
    stresses, tangents = torch.zeros(MAP.size, 5, dtype=torch.float64), torch.as_tensor(tangent.copy())
    for a in (1.0, 0.1, 1e-3):
        rate = rng.normal(size=(MAP.size, 5))
        assert phases.answer(rate, before, a, 1e-12, stress, tangent)
        given = torch.as_tensor(rate), torch.as_tensor(before)
        assert its.answer(*given, a, 1e-12, stresses, tangents)
        # residuals of 1e-12 leave errors of 1e-12 / a in the stress of idle directions
        assert off(stress, stresses) < 1e-8 and off(tangent, tangents) < 1e-7
        before = stress.copy()
    assert off(phases.shear_rate(stress), its.parts[0].shear_rate(stresses)) < 1e-8


@pytest.mark.parametrize(
    ("grain_index", "options"),
    [
        (MAP, {"loading": TENSION}),
        (VOLUME, {"loading": TENSION, "step": (1.0, 0.5, 2.0), "deformation": SHEARED}),
        (VOLUME, {"loading": FREE_SHEAR}),
        (GAP, {"loading": TENSION.rate_direction * 1e-3, "no_grain": "empty"}),
        (GAP, {"loading": TENSION, "no_grain": "average", "difference": "continuous"}),
    ],
    ids=["map", "deformed volume", "mixed", "empty", "average"],
)
def test_fields_agree(grain_index, options):
    """n = 3: all results to 1e-8 of their largest value, in as many answers."""
    one, two = (
        full_field(fcc(3.0), grain_index, ORIENTATIONS, tol=1e-10, device=d, **options) for d in (None, "cpu")
    )
    assert one.converged and two.converged and one.n_iter == two.n_iter
    for name in ("stress", "rate", "shear_rate", "velocity", "mean_gradient", "macro"):
        assert off(getattr(one, name), getattr(two, name)) < 1e-8, name


@pytest.mark.parametrize("law", [fcc(20.0), magnesium(10.0)], ids=["fcc", "twins"])
@pytest.mark.parametrize("grain_index", [MAP, VOLUME], ids=["map", "volume"])
def test_steep_fields_agree(law, grain_index):
    """Steep laws at the default tolerance: stress and rates to 1e-8 of their largest values."""
    one, two = (full_field(law, grain_index, ORIENTATIONS, loading=TENSION, device=d) for d in (None, "cpu"))
    assert one.converged and two.converged and one.n_iter == two.n_iter
    assert off(one.stress, two.stress) < 1e-8 and off(one.rate, two.rate) < 1e-8


def test_solutions_agree_as_far_as_they_are_determined():
    """n = 10 far below the default tolerance: to sqrt(2 tol).

    The last conjugate gradients take many iterations, which amplify rounding up to what the tolerance allows:
    two solutions by the compiled loops from orientations that differ by 1e-15 are as far apart.
    """
    one, two = (
        full_field(fcc(10.0), MAP, ORIENTATIONS, loading=TENSION, tol=1e-10, device=d) for d in (None, "cpu")
    )
    assert one.converged and two.converged
    assert np.linalg.norm(one.rate - two.rate) < np.sqrt(2e-10) * np.linalg.norm(one.rate)
    assert off(one.macro, two.macro) < np.sqrt(2e-10)


def test_start_from_a_solution():
    """The field of the compiled loops is one of the device as well, under the same load."""
    given = {"loading": TENSION, "tol": 1e-6}
    field = full_field(fcc(3.0), MAP, ORIENTATIONS, **given)
    again = full_field(fcc(3.0), MAP, ORIENTATIONS, start=field, device="cpu", **given)
    assert again.converged and again.n_iter < field.n_iter and off(field.stress, again.stress) < 1e-3


def test_device_and_law_that_do_not_fit():
    """One line each that names what is wrong."""
    with pytest.raises(ParameterError, match="device = 'abacus'"):
        full_field(fcc(3.0), MAP, ORIENTATIONS, loading=TENSION, device="abacus")
    with pytest.raises(ParameterError, match="Together stays on the CPU"):
        full_field(Together((fcc(3.0),)), MAP, ORIENTATIONS, loading=TENSION, device="cpu")


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of two devices; answers what asks for the numbers of meta tensors."""

    asked = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        devices = {x.device.type for x in tensors if x.ndim}
        name = func.overloadpacket.__name__
        is_meta = any(x.device.type == "meta" for x in tensors)
        if is_meta and name == "_local_scalar_dense":
            self.asked += 1  # works that fall, so that conjugate gradients end; a mask is true or not
            return self.asked % 2 == 0 if tensors[0].dtype == torch.bool else 0.5**self.asked
        if is_meta and name == "nonzero":
            return torch.arange(len(tensors[0]) // 2, device="meta")[:, None]
        if is_meta and name == "_to_copy" and str(kwargs.get("device")) == "cpu":
            return torch.zeros(tensors[0].shape, dtype=tensors[0].dtype)
        assert len(devices) < 2, f"{name} of tensors on {devices}"
        return func(*args, **kwargs)


@pytest.mark.parametrize("no_grain", ["empty", "average"])
@pytest.mark.parametrize("difference", ["rotated", "continuous"])
def test_nothing_waits_on_the_host(no_grain, difference):
    """A whole solution takes place on one device."""
    law = replace(magnesium(10.0), strength=np.random.default_rng(0).uniform(10, 50, (*GAP.shape, 4)))
    law = law if no_grain == "empty" else magnesium(10.0)
    with OneDevice() as mode:
        field = full_field(
            law, GAP, ORIENTATIONS, loading=TENSION, no_grain=no_grain, difference=difference,
            device="meta", max_iter=3,
        )  # fmt: skip
    assert field.n_iter >= 3 and mode.asked > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")
@pytest.mark.parametrize("grain_index", [MAP, VOLUME], ids=["map", "volume"])
def test_cuda(grain_index):
    """The fields of a GPU are those of the compiled loops."""
    one, two = (
        full_field(fcc(3.0), grain_index, ORIENTATIONS, loading=TENSION, tol=1e-10, device=d)
        for d in (None, "cuda")
    )
    assert one.converged and two.converged
    for name in ("stress", "rate", "shear_rate", "velocity"):
        assert off(getattr(one, name), getattr(two, name)) < 1e-8, name


def test_a_path_on_a_device():
    """Two steps of a viscoplastic path: stresses and shears of the voxels as without a device."""
    given = {"loading": TENSION, "strain": 0.01, "steps": 2, "tol": 1e-6}
    one, two = (full_field_path(fcc(5.0), MAP, ORIENTATIONS, device=d, **given) for d in (None, "cpu"))
    assert off(one.last.cauchy, two.last.cauchy) < 1e-6 and off(one.last.shear, two.last.shear) < 1e-6


def test_elasticity_stays_on_the_cpu():
    """A device together with a stiffness is refused."""
    constants = {"C11": 107e3, "C12": 60e3, "C44": 28e3}
    with pytest.raises(ParameterError, match="stay on the CPU"):
        full_field_path(
            fcc(5.0), MAP, ORIENTATIONS, loading=TENSION, strain=0.01, stiffness=constants, device="cpu"
        )
