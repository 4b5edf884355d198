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
