"""Sentences from results: they name what was found, and say where nothing is known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cpml.pipeline import answers


def density(values, noise_deg=0.2, floor=1e13):
    return SimpleNamespace(density=np.array(values, float), noise_deg=noise_deg, noise_floor=floor)


@pytest.mark.parametrize(
    "kam, noise, dislocations, words",
    [
        ([0.9, 1.1, np.nan], [0.2, 0.2, np.nan], density([3e14, np.nan]), "bends more than noise explains"),
        ([0.9], [0.2], density([3e14]), "3.0e+14 per m2 where noise alone reads 1.0e+13"),
        ([0.2, 0.2], [0.2, 0.2], density([1e13]), "most of it is noise"),
        ([0.2], [np.nan], density([1e13], noise_deg=np.nan, floor=np.nan), "is not known"),
        ([0.2], [0.1], density([np.nan]), "No phase with known dislocations"),
        ([np.nan], [np.nan], density([np.nan]), "No two neighbours"),
    ],
)
def test_curvature_beside_its_own_noise(kam, noise, dislocations, words):
    told = answers.curvature(np.array(kam), np.array(noise), dislocations)
    assert words in told and "nan" not in told


def test_texture_is_held_against_chance():
    """A sharp texture is told as it is, one that chance makes is said to be no more."""
    names = ["fragments", "half-width / deg", "texture index", "of random orientations"]
    table = pd.DataFrame([[90, 9.0, 5.2, 1.1], [4, 30.0, 1.5, 1.4]], ["Nickel", "Ore"], names)
    told = answers.orientations(table)
    assert "Nickel 5.2 (half-width 9 degrees)" in told
    assert "Ore 1.5, no more than random orientations have (half-width 30 degrees)" in told


def test_twin_boundaries_and_none():
    shares = pd.DataFrame(
        {"phase_name": ["Ni", "Mg"], "kind": ["CSL 3", "twin_1012"], "share_of_high_angle": [0.412, 0.05]}
    )
    told = answers.twin_boundaries(shares)
    assert "Ni: 41 % CSL 3; Mg: 5 % twin 1012" in told
    assert answers.twin_boundaries(shares.iloc[:0]) == ""
    assert answers.boundaries(pd.DataFrame({"length_um": []})).startswith("No boundary")


def test_least_size_is_said_where_it_was_given_up():
    kept = SimpleNamespace(min_pixels=1)
    assert "No fragment has 5 points" in answers.least_size(kept, 5)
    assert answers.least_size(SimpleNamespace(min_pixels=5), 5) == ""


SPOTS = {"boundary_shear": 1.17, "boundary_shear_low": 1.12, "boundary_shear_high": 1.22}
SPOTS |= {"boundary_shear_decile": 1.8, "boundary_stress_decile": 1.23}
SPOTS |= {"inside_shear_decile": 1.27, "inside_stress_decile": 1.1}
SPOTS |= {"triple_point_shear_decile": 1.94, "triple_point_stress_decile": 1.26}


def test_hot_spots_beside_the_inside_of_grains():
    """The mean with its interval, deciles beside those inside; no triple points, no grains: no such words."""
    told = answers.hot_spots(SPOTS)
    assert "1.17 [1.12, 1.22]" in told and "1.80 against 1.27 inside" in told
    assert told.endswith("at triple points 1.94 and 1.26.")
    without = answers.hot_spots(SPOTS | {"triple_point_shear_decile": None})
    assert "triple" not in without and without.endswith(".")
    assert answers.hot_spots(dict.fromkeys(SPOTS)).startswith("Too few grains")


def test_the_field_and_the_mean_field():
    numbers = {"explained_by_mean_field": -0.2, "stress_correlation": 0.37, "inside_grains": 0.42}
    numbers |= {"target_changes": 0.25, "family_changes": 0.24, "n_grains": 163}
    told = answers.beyond_mean_field(numbers)
    assert "explains 0 % of the variance" in told and "In 25 % of 163 grains" in told
    assert answers.beyond_mean_field(numbers | {"n_grains": 3}).startswith("3 grains")


def test_a_solved_map_says_whether_it_is_solved():
    shear = np.r_[np.ones(9), 9.0]
    solved = SimpleNamespace(stress=np.ones(10), shear=shear, field=SimpleNamespace(converged=True))
    assert "the tenth that shears most does 50 % of all shear" in answers.solved_map(solved)
    solved.field.converged = False
    assert answers.solved_map(solved).startswith("**The field is not converged.**")


def test_ranks_of_the_last_state():
    """Of the last state, where the interval leaves out zero; an order that is reversed is said to be."""
    rows = [("a", "e_xx", "full_field", 0.9, 0.8, 1.0), ("b", "e_xx", "full_field", 0.3, 0.1, 0.5)]
    rows += [("b", "e_xy", "full_field", 0.2, -0.1, 0.5), ("b", "e_xx", "affine", -0.4, -0.6, -0.2)]
    table = pd.DataFrame(rows, columns=["step", "component", "scheme", "rank_correlation", "low", "high"])
    told = answers.expected_ranks(table)
    assert "by the full field e_xx 0.30; by" in told
    assert told.endswith("self-consistent scheme none, in the opposite order e_xx -0.40.")
    assert answers.expected_ranks(table, "Rotations").startswith("Rotations of the grains")
    assert answers.expected_ranks(table[:0]) == ""


def test_what_is_left_open_and_what_is_explained():
    """Rim and inside are told apart only where each has enough grains; schemes in words, with intervals."""
    shares = pd.DataFrame(
        {"grains": [60, 20, 40], "open_share": [0.4, 0.5, 0.35]}, index=["all", "rim", "inside"]
    )
    told = answers.left_open(shares, 0.6, 8)
    assert "8 depths" in told and "40 %" in told and "50 % at the rim" in told and "0.60" in told
    few = answers.left_open(shares.assign(grains=[9, 3, 6]), np.nan, 8)
    assert "rim" not in few and "rank" not in few
    table = pd.DataFrame({"scheme": ["learned"], "n_grains": [9], "explained": 0.6, "low": 0.5, "high": 0.7})
    assert "learned mechanics 0.60 [0.50, 0.70]" in answers.explained_stresses(table)
    assert answers.explained_stresses(table.head(0)) == ""


def test_doubtful_parents_are_named_the_surest_first():
    """Above one half, ten of them at most; none, or no map: no sentence."""
    parents = pd.DataFrame({"grain_id": range(1, 15), "p_outgrown": np.linspace(0.3, 0.95, 14)})
    (told,) = answers.doubtful_parents(parents)
    assert "In 9 grains (14, 13, 12, 11, 10, 9, 8, 7, 6) what" in told
    assert (
        "(14, 13, 12, 11, 10, 9, 8, 7, 6, 5, ...)"
        in answers.doubtful_parents(parents.assign(p_outgrown=parents["p_outgrown"] + 0.3))[0]
    )
    assert answers.doubtful_parents(parents.assign(p_outgrown=0.5)) == []
    assert answers.doubtful_parents(parents.assign(p_outgrown=np.nan)) == []
