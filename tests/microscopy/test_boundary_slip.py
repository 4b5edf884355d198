"""Slip transfer of a boundary table: the pair chosen, weights, bounds over inclinations, phases, errors."""

import numpy as np
import pandas as pd
import pytest

from cpml.crystallography import (
    axis_angle_to_quaternion,
    proper_group,
    quaternion_multiply,
    random_quaternions,
    schmid_factors,
    systems,
)
from cpml.crystallography.transfer import lrb, sample_systems
from cpml.errors import ParameterError
from cpml.microscopy import boundary_transfer
from support.phases import FCC

TENSION = np.diag([1.0, 0, 0])


def table(pairs, trace_deg=30.0):
    pairs = np.array(pairs)
    return pd.DataFrame({"fragment_a": pairs[:, 0], "fragment_b": pairs[:, 1], "trace_deg": float(trace_deg)})


def test_same_crystal_transfers_fully():
    """Both sides alike: m', LRB, N, lambda, s are 1 whatever the inclination, b_r is 0."""
    q = np.repeat(random_quaternions(1, np.random.default_rng(1)), 2, axis=0)
    row = boundary_transfer(table([[1, 2]]), q, FCC, stress=TENSION).iloc[0]
    for name in (
        "m_prime",
        "m_prime_signed",
        "m_prime_out_a",
        "m_prime_max",
        "lrb",
        "lrb_min",
        "lrb_max",
        "livingston_chalmers",
        "s_factor",
    ):
        assert row[name] == pytest.approx(1), name
    assert row["werner_prantl"] == pytest.approx(1, abs=1e-6) and row["residual_burgers"] == pytest.approx(
        0, abs=1e-7
    )
    assert row["system_a"] == row["system_b"] and row["delta_schmid"] == pytest.approx(0)


def test_pair_is_the_most_stressed():
    """The named systems have the largest |Schmid factor|; the LRB of a known plane lies within the bounds."""
    rng = np.random.default_rng(2)
    q = random_quaternions(40, rng)
    pairs = np.stack([np.arange(1, 40), np.arange(2, 41)], axis=1)
    found = boundary_transfer(table(pairs, 0.0), q, FCC, stress=TENSION, a_nm=0.36)
    m = np.abs(schmid_factors(FCC, q, TENSION))
    names = np.array(FCC.names)
    assert (found["system_a"].to_numpy() == names[m.argmax(axis=1)][:-1]).all()
    np.testing.assert_allclose(found["schmid_b"], m.max(axis=1)[1:])
    n, d = sample_systems(FCC, q)
    s = m.argmax(axis=1)
    n, d = n[np.arange(40), s], d[np.arange(40), s]
    upright = lrb(n[:-1], d[:-1], n[1:], d[1:], np.array([0, 1.0, 0]))
    assert ((found["lrb_min"] <= upright + 0.01) & (upright <= found["lrb_max"] + 0.01)).all()
    assert (found["lrb_min"] <= found["lrb"]).all() and (found["lrb"] <= found["lrb_max"]).all()
    assert (np.abs(found["m_prime_signed"]) - found["m_prime"]).abs().max() < 1e-12
    assert (found["m_prime"] <= found["m_prime_out_a"] + 1e-12).all() and found[
        "residual_burgers"
    ].max() < 0.36


def test_activity_of_one_system_is_that_system():
    """All activity on the most stressed systems gives the columns of the stress; spread
    activity averages them.
    """
    q = random_quaternions(6, np.random.default_rng(4))
    pairs = [[1, 2], [3, 4], [5, 6]]
    by_stress = boundary_transfer(table(pairs), q, FCC, stress=TENSION)
    top = np.abs(schmid_factors(FCC, q, TENSION)).argmax(axis=1)
    by_activity = boundary_transfer(table(pairs), q, FCC, activity=7.0 * np.eye(12)[top])
    for name in (
        "m_prime",
        "lrb",
        "lrb_min",
        "lrb_max",
        "s_factor",
        "residual_burgers",
        "livingston_chalmers",
    ):
        np.testing.assert_allclose(by_activity[name], by_stress[name], err_msg=name)
    assert "m_prime_signed" not in by_activity
    even = boundary_transfer(table(pairs), q, FCC, activity=np.ones((6, 12)))
    assert (even["m_prime"] < even["m_prime_max"]).all()


def test_symmetry_copies_and_turned_samples():
    """Other copies of the crystals, and the whole sample turned by 90 deg about z with its load:
    the same factors.
    """
    rng = np.random.default_rng(5)
    q = random_quaternions(10, rng)
    pairs = np.stack([np.arange(1, 10), np.arange(2, 11)], axis=1)
    columns = [
        "m_prime",
        "m_prime_max",
        "m_prime_signed",
        "lrb",
        "lrb_min",
        "s_factor",
        "residual_burgers",
        "schmid_a",
    ]
    first = boundary_transfer(table(pairs, 20.0), q, FCC, stress=TENSION)[columns]
    copies = quaternion_multiply(q, proper_group("432")[rng.integers(24, size=10)])
    np.testing.assert_allclose(
        boundary_transfer(table(pairs, 20.0), copies, FCC, stress=TENSION)[columns], first, atol=1e-9
    )
    turned = quaternion_multiply(axis_angle_to_quaternion([0, 0, 1], np.pi / 2), q)
    load = np.diag([0, 1.0, 0])
    np.testing.assert_allclose(
        boundary_transfer(table(pairs, 110.0), turned, FCC, stress=load)[columns], first, atol=1e-9
    )


def test_two_phases_and_strengths():
    """Each phase has its systems; without lattice constants residual vectors between phases are
    refused; strength moves the choice.
    """
    hcp = systems("hcp", families=["basal", "pyramidal2_ca"], c_over_a=1.6)
    q = np.array([[1.0, 0, 0, 0], [1.0, 0, 0, 0], axis_angle_to_quaternion([0, 1, 0], 0.3)])
    both = {1: FCC, 2: hcp}
    found = boundary_transfer(
        table([[1, 2], [2, 3]]), q, both, stress=TENSION, phase=[1, 2, 2], a_nm={1: 0.36, 2: 0.32}
    )
    assert (
        found["m_prime"].notna().all()
        and found.loc[0, "system_a"] in FCC.names
        and found.loc[0, "system_b"] in hcp.names
    )
    with pytest.raises(ParameterError, match="a_nm"):
        boundary_transfer(table([[1, 2]]), q, both, stress=TENSION, phase=[1, 2, 2])
    with pytest.raises(ParameterError, match="phase"):
        boundary_transfer(table([[1, 2]]), q, both, stress=TENSION, a_nm=0.3)
    soft = boundary_transfer(
        table([[2, 3]]), q, hcp, stress=TENSION, strength={"basal": 1.0, "pyramidal2_ca": 100.0}
    )
    assert soft["system_b"].str.startswith("basal").all()
    with pytest.raises(ParameterError, match="leaves out"):
        boundary_transfer(table([[2, 3]]), q, hcp, stress=TENSION, strength={"basal": 1.0})


def test_wrong_calls():
    """Neither stress nor activity, ids beyond the grains, activity of another shape: errors
    that say which.
    """
    q = random_quaternions(2, np.random.default_rng(0))
    with pytest.raises(ParameterError, match="either"):
        boundary_transfer(table([[1, 2]]), q, FCC)
    with pytest.raises(ParameterError, match="orientations"):
        boundary_transfer(table([[1, 3]]), q, FCC, stress=TENSION)
    with pytest.raises(ParameterError, match="shape"):
        boundary_transfer(table([[1, 2]]), q, FCC, activity=np.ones((2, 5)))
