"""Mixed conditions: Taylor is the minimum of a convex potential, one grain is a single crystal, stresses
drive; random cases of `bench --suite conditions` converge or are refused.
"""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize

from benchmarks.bench_conditions import draw, outcome
from cpml.crystallography import random_quaternions
from cpml.crystallography.tensors import to_matrix
from cpml.errors import CpmlError, ParameterError
from cpml.plasticity import Conditions, PowerLaw, ThermalGlide, deform, mean_field, single_crystal
from cpml.plasticity.polycrystal import medium
from support.phases import FCC, MG, MG_STRENGTHS

Q = random_quaternions(20, np.random.default_rng(7))
FREE_SIDES = Conditions.uniaxial(0, 1e-3)


@pytest.mark.parametrize("n", [1.0, 3.0, 20.0, 50.0, 100.0])
@pytest.mark.parametrize("found, strength", [(FCC, [30.0]), (MG, MG_STRENGTHS)])
def test_one_grain_is_a_single_crystal(n, found, strength):
    """Every scheme and rate exponent, sides free: stress and rate to 1e-6 of `single_crystal`."""
    law = PowerLaw(found, strength, n, 1e-3)
    for q in Q[:4]:
        alone = single_crystal(law, FREE_SIDES, q)
        assert bool(alone.converged)
        for scheme in ("taylor", "affine", "secant", "tangent", "n_eff"):
            field = mean_field(law, q, loading=FREE_SIDES, scheme=scheme)
            assert bool(field.converged.all())
            assert field.stress.numpy() == pytest.approx(
                alone.stress.numpy(), abs=1e-6 * float(field.von_mises)
            )
            assert field.rate.numpy() == pytest.approx(alone.rate.numpy(), abs=1e-9)


def test_taylor_with_free_sides_is_the_least_dissipation():
    """scipy's minimum of the potential n/(n+1) <s.D> over the free components of D: rates to 1e-4 of
    their size.
    """
    law = PowerLaw(MG, MG_STRENGTHS, 5.0, 1e-3)
    found = mean_field(law, Q, loading=FREE_SIDES)
    fixed, free = FREE_SIDES.split[1] @ FREE_SIDES.split[2], FREE_SIDES.free

    def power(y):
        rate = fixed + 1e-3 * free @ y
        return float((single_crystal(law, rate, Q).stress.numpy() @ rate).mean()) * 1e3

    best = minimize(power, np.zeros(free.shape[1]), method="BFGS", options={"gtol": 1e-7})
    assert found.rate.numpy() == pytest.approx(fixed + 1e-3 * free @ best.x, abs=1e-7)


@pytest.mark.parametrize("n", [20.0, 50.0])
def test_taylor_paths_with_free_sides_converge(n):
    """Every row of a path of 20 random fcc grains converges, and says so in its table."""
    path = deform(PowerLaw(FCC, [30.0], n), None, Q, loading=FREE_SIDES, increment=0.01, steps=30)
    assert path.table()["converged"].all() and len(path.table()) == 31


@pytest.mark.parametrize("scheme", ["taylor", "affine", "tangent"])
def test_creep_is_the_inverse_of_a_rate(scheme):
    """The deviator of a solved tension, imposed, gives back its rate (n = 30: 1e-6 of it)."""
    law = PowerLaw(MG, MG_STRENGTHS, 30.0, 1e-3)
    there = mean_field(law, Q, loading=np.diag([1e-5, -4e-6, -6e-6]), scheme=scheme)
    free = np.where(np.triu(np.ones((3, 3)), 1) > 0, 0.0, np.nan)
    creep = Conditions.mixed(free, to_matrix(there.stress.numpy()))
    back = mean_field(law, Q, loading=creep, scheme=scheme)
    assert back.rate.numpy() == pytest.approx(there.rate.numpy(), abs=1e-6 * 1e-5)


def test_random_cases_converge_or_are_refused():
    """60 of the benchmark's random aggregates under random conditions."""
    counted = [outcome(draw(seed)) for seed in range(60)]
    assert {found for found, _ in counted} == {"converged", "refused"}
    assert all("\n" not in words for _, words in counted)
    assert sum(found == "converged" for found, _ in counted) > 40


def test_a_row_that_fails_warns_or_stops(monkeypatch):
    """A solver that may not iterate: by default a warning that names the row, by choice an error."""
    monkeypatch.setattr(medium, "_WARM_ITER", 1)
    monkeypatch.setattr(medium, "_STAGE_ITER", 1)
    monkeypatch.setattr(medium, "_MAX_ITER", 1)
    law, pull = PowerLaw(MG, MG_STRENGTHS, 20.0), np.diag([1.0, -0.5, -0.5])
    asked = {"loading": pull, "increment": 0.01, "steps": 1, "scheme": "affine"}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        path = deform(law, None, Q, **asked)
    assert not path.table()["converged"].any() and "row 0 of the path" in str(said[0].message)
    with pytest.raises(CpmlError, match="row 0 of the path"):
        deform(law, None, Q, unconverged="stop", **asked)


def test_one_temperature_in_a_path():
    """A law of 300 K in a path of 77 K is refused; a path takes the law's where none is given."""
    law = ThermalGlide(FCC, 300.0, energy=1e-19, strength0=400.0, burgers=2.5e-10)
    pull = {"loading": np.diag([1e-3, -5e-4, -5e-4]), "increment": 0.01, "steps": 1}
    with pytest.raises(ParameterError, match="temperatures of 77 K, 300 K in one path"):
        deform(law, None, Q[:2], temperature=77.0, **pull)
    assert deform(law, None, Q[:2], **pull).converged.all()


@pytest.mark.parametrize("scheme", ["affine", "tangent", "secant", "n_eff"])
def test_a_loose_tolerance_is_cheap(scheme):
    """A warm step at 1e-3 takes a few Newton steps, and a cold solution at 1e-3 is one attempt, not all
    of them.
    """
    law, pull = PowerLaw(FCC, [30.0], 20.0), np.diag([1.0, -0.5, -0.5])
    path = deform(law, None, Q, loading=pull, increment=0.01, steps=5, scheme=scheme, tol=1e-3)
    assert path.converged.all() and path.n_iter[0] < 100 and path.n_iter[1:].max() < 20
