"""The compiled loop and the batched torch solver are one law: equal stresses, cold and warm, all lattices."""

import numpy as np
import pytest
import torch

from cpml.crystallography import random_quaternions, systems
from cpml.errors import ParameterError
from cpml.plasticity import PowerLaw, Together, single_crystal
from support.laws import FCC_LAW, MG_LAW
from support.phases import FCC, TENSION

LAWS = {
    "fcc": FCC_LAW,
    "bcc": PowerLaw(systems("bcc", families=["110", "112", "123"]), [1.0, 1.2, 0.9], 7.5, 1e-3),
    "mg": MG_LAW,
    "linear": PowerLaw(FCC, [30.0], 1.0),
    "steep": PowerLaw(FCC, [30.0], 100.0),
}
Q = random_quaternions(200, np.random.default_rng(0))


@pytest.mark.parametrize("name", LAWS)
def test_engines_agree(name):
    """Both solve to 1e-12 of the rate; stresses agree to 1e-10 of their size."""
    one, two = (single_crystal(LAWS[name], TENSION, Q, tol=1e-12, device=d) for d in (None, "cpu"))
    size = float(one.stress.norm(dim=-1).max())
    assert bool((one.residual < 1e-10).all()) and bool((two.residual < 1e-10).all())
    assert float((one.stress - two.stress).abs().max()) < 1e-10 * size


def test_warm_start_from_a_far_guess():
    """A start from another orientation's stress, or from a strength halved, reaches the same stress."""
    law = LAWS["mg"]
    cold = single_crystal(law, TENSION, Q)
    for guess in (cold.stress.flip(0), cold.stress * 4, cold.stress * 0, -cold.stress):
        warm = single_crystal(law, TENSION, Q, start=guess)
        assert bool(warm.converged.all())
        assert float((warm.stress - cold.stress).abs().max()) < 1e-7 * float(cold.stress.abs().max())


def test_strengths_per_point():
    """(G, S) strengths and one orientation broadcast."""
    strength = torch.linspace(20, 60, 5, dtype=torch.float64)[:, None].expand(5, 12)
    law = PowerLaw(LAWS["fcc"].systems, strength)
    found = single_crystal(law, TENSION, Q[0]).stress
    assert found.shape == (5, 5) and (found / strength[:, :1]).numpy() == pytest.approx(
        (found[:1] / 20).numpy().repeat(5, 0)
    )


def test_only_power_laws_move():
    """A law whose numbers stay on the CPU cannot be solved on a device."""
    with pytest.raises(ParameterError, match="Together stays on the CPU"):
        single_crystal(Together((LAWS["fcc"],)), TENSION, Q, device="cpu")
