"""Textures of processes beside published components, their distances, and what a shop could do."""

import importlib

import numpy as np
import pytest

from cpml import design
from cpml.crystallography import disorientation_angle, euler_to_quaternion, load_material, random_quaternions
from cpml.crystallography.rotations import quaternion_multiply, quaternion_to_matrix
from cpml.crystallography.symmetry import group_of_lattice, proper_group
from cpml.design.goals import goals_of
from cpml.design.grid import sample_copies
from cpml.design.processes.steps import DIFFERENT, distance, processed
from cpml.design.routes import Route
from cpml.errors import CpmlError, ParameterError
from cpml.plasticity import NoHardening, PowerLaw, material_hardening

FCC = Route(PowerLaw.from_material(load_material("aluminium")), NoHardening())
AZ31 = load_material("magnesium_az31")
HCP = Route(PowerLaw.from_material(AZ31), material_hardening(AZ31))
START = random_quaternions(300, np.random.default_rng(0))
COMPONENTS = {"copper": (90, 35, 45), "brass": (35, 45, 0), "S": (59, 37, 63), "cube": (0, 0, 0)}
"""Bunge angles, deg, of {112}<111>, {011}<211>, {123}<634> and {001}<100>: Kocks, Tome & Wenk 1998."""


def near_component(quaternions, name):
    """Share of grains within 15 degrees."""
    centre = euler_to_quaternion(np.radians(COMPONENTS[name]))
    copies = sample_copies(centre[None], "orthotropic")[:, 0]
    angle = disorientation_angle(quaternions[:, None], copies[None], proper_group("432"))
    return float((np.degrees(angle).min(1) < 15).mean())


def axis_near(quaternions, axis, crystal):
    """Share of grains with a cubic direction within 15 degrees of a sample axis."""
    inside = np.sort(np.abs(quaternion_to_matrix(quaternions)[:, axis, :]), axis=1)
    wanted = np.sort(np.abs(np.array(crystal, float))) / np.linalg.norm(crystal)
    return float((np.degrees(np.arccos(np.clip(inside @ wanted, -1, 1))) < 15).mean())


def c_angle(quaternions, axis):
    """Angle of the c axis to a sample axis, deg."""
    return np.degrees(np.arccos(np.clip(np.abs(quaternion_to_matrix(quaternions)[:, axis, 2]), 0, 1)))


def test_rolled_fcc():
    """To a true strain of 1.5: copper, brass and S several times as frequent as at random, cube gone."""
    rolled = processed(FCC, "rolling", 1.5, START)
    for name, times in (("copper", 6), ("brass", 3), ("S", 3)):
        assert near_component(rolled, name) > times * near_component(START, name)
    assert near_component(rolled, "cube") < near_component(START, "cube")


def test_compressed_and_drawn_fcc():
    """<110> along a compression axis; <111> and <100> along an extrusion axis, hardly any <110>."""
    pressed, drawn = processed(FCC, "compression", 1.0, START), processed(FCC, "extrusion", 1.0, START)
    assert axis_near(pressed, 2, (1, 1, 0)) > 0.6 and axis_near(pressed, 2, (1, 1, 1)) < 0.05
    fibre = axis_near(drawn, 0, (1, 1, 1)) + axis_near(drawn, 0, (1, 0, 0))
    assert fibre > 0.8 and axis_near(drawn, 0, (1, 1, 0)) < 0.05


def test_magnesium():
    """c along a compression axis and near the normal of a rolled sheet, across an extrusion axis (basal
    textures).
    """
    assert (c_angle(processed(HCP, "compression", 0.3, START), 2) < 30).mean() > 0.7
    assert (c_angle(processed(HCP, "rolling", 0.4, START), 2) < 30).mean() > 0.6
    assert (c_angle(processed(HCP, "extrusion", 0.5, START), 0) > 60).mean() > 0.9


def test_distance():
    """Of a texture to itself 0, to itself turned by 10 degrees 10; symmetric."""
    group = START[:60]
    half = np.radians(5)
    turn = np.array([np.cos(half), 0, 0, np.sin(half)])
    turned = quaternion_multiply(turn, group)
    assert distance(group, group[::-1], "fcc") == pytest.approx(0, abs=1e-5)
    assert 0 < distance(group, turned, "fcc") <= 10.0 + 1e-6
    assert distance(turned, group, "fcc") == pytest.approx(distance(group, turned, "fcc"))
    with pytest.raises(ParameterError, match="as many of both"):
        distance(group, group[:5], "fcc")


def test_which_process():
    """Stronger and fewer twins than a random texture has: rolling does it, doing nothing does not; a design's
    distance stands beside.
    """
    goals = goals_of({"yield_stress_mpa": {"min": 140}, "twin_fraction": {"strain": 0.03, "max": 0.05}})
    wanted = design.suggest(
        {"yield_stress_mpa": {"min": 140}, "twin_fraction": {"strain": 0.03, "max": 0.05}},
        material=AZ31,
        route="affine",
        count=1,
        grid_deg=15.0,
    )
    pixels = np.arange(1.0, len(START) + 1)  # weights of a map are areas
    table = design.by_process(goals, HCP, START, weights=pixels, strains=(0.2,), design=wanted)
    best, none = table.iloc[0], table[table["process"] == "none"].iloc[0]
    assert best["largest_deviation"] == 0 and none["largest_deviation"] > 0.1
    assert set(table["process"]) == {"none", *DIFFERENT}
    assert (table["distance_deg"] > 0).all()


@pytest.mark.parametrize("process, strain, words", [("forging", 0.1, "rolling"), ("rolling", -1, "above 0")])
def test_bad_input(process, strain, words):
    """One line each; a crystal that cannot deform so is refused by its law."""
    with pytest.raises(ParameterError, match=words):
        processed(FCC, process, strain, START)
    basal = PowerLaw.from_material(AZ31, families=("basal", "prismatic"))
    with pytest.raises(ParameterError, match="cannot deform"):
        processed(Route(basal, NoHardening(), scheme="taylor"), "rolling", 0.1, START)


@pytest.mark.parametrize(("lattice", "angle", "axis"), [("fcc", 40, 111), ("bcc", 27, 110), ("hcp", 30, 1)])
def test_annealing_keeps_its_relation(lattice, angle, axis):
    """Every new grain is off the one that it grew in by the published angle (after symmetry: 30 deg about c),
    all others are as they were; equal seeds give equal textures.
    """
    names = {"fcc": "aluminium", "bcc": "ferrite", "hcp": "magnesium_az31"}
    route = Route(PowerLaw.from_material(load_material(names[lattice])), NoHardening())
    after = processed(route, "annealing", 0.4, START, seed=3)
    group = proper_group(group_of_lattice(lattice))
    moved = np.degrees(disorientation_angle(START, after, group))
    assert (moved > 1e-3).sum() == round(0.4 * len(START))
    assert moved[moved > 1e-3] == pytest.approx(float(angle), abs=1e-4)
    if axis == 1:
        c = quaternion_to_matrix(START)[:, :, 2] * quaternion_to_matrix(after)[:, :, 2]
        assert np.abs(c.sum(1)) == pytest.approx(1.0)
    assert np.array_equal(after, processed(route, "annealing", 0.4, START, seed=3))


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_sequence_that_is_there_is_found(seed):
    """Goals of what two steps make of random grains (compression, then rolling, of AZ31): met by the search
    from other grains.
    """
    rng = np.random.default_rng(seed)
    amounts = rng.uniform(0.1, 0.5, 2)
    made = START
    for process, amount in zip(("compression", "rolling"), amounts, strict=True):
        made = processed(HCP, process, float(amount), made)
    keys = {"yield_stress_mpa": 1.0, "r_value": 1.0}
    stress, r = HCP.values(made, None, goals_of(keys))
    asked = {"yield_stress_mpa": {"min": 0.98 * stress, "max": 1.02 * stress}}
    asked |= {"r_value": {"min": 0.9 * r, "max": 1.1 * r}}
    other = random_quaternions(150, np.random.default_rng(seed + 10))
    best, table = design.process_path(goals_of(asked), HCP, other)
    assert best.worst < 0.02 and len(best.steps) <= 2
    assert best.worst == pytest.approx(table["largest_deviation"].min(), abs=1e-9)
    none = table[table["process"] == "none"].iloc[0]
    assert none["largest_deviation"] > 0.1


def test_bad_sequences():
    """Steps and beams below one."""
    with pytest.raises(ParameterError, match="1 or more"):
        design.process_path(goals_of({"r_value": 1.0}), HCP, START, n_steps=0)
    with pytest.raises(ParameterError, match="at most 1"):
        processed(HCP, "annealing", 1.5, START)


def test_steps_that_do_not_converge_are_left_out(monkeypatch):
    """A warning for each, and the search goes on with the others."""
    sequence = importlib.import_module("cpml.design.processes.sequence")

    def stubborn(route, process, amount, quaternions, weights=None, *, seed=0):
        if process == "rolling":
            raise CpmlError("the law cannot follow rolling")
        return processed(route, process, amount, quaternions, weights, seed=seed)

    monkeypatch.setattr(sequence, "processed", stubborn)
    goals = goals_of({"r_value": {"min": 50.0}})
    with pytest.warns(UserWarning, match="left out: the law cannot follow rolling"):
        table = design.by_process(
            goals, FCC, START[:50], processes=("rolling", "compression"), strains=(0.1,)
        )
    assert set(table["process"]) == {"none", "compression"}
