"""Grain stresses beside those of another solver: full-field simulations (DAMASK) of the virtual specimens."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.virtual_specimens import load_virtual
from cpml import microscopy
from cpml.crystallography.tensors import to_vector
from cpml.models.mechanics.grain_stress import grain_state
from cpml.virtual.truth import match_grains, read_generator_truth


@pytest.fixture(scope="module")
def nickel(reference):
    """Specimen ni_fcc_A (one strength, so nothing is hidden), rows of its grains, true stresses
    (G, 5) over the mean, weights.
    """
    folder = reference("virtual/ni_fcc_A/grains_truth.csv").parent
    specimen = load_virtual(folder).specimen
    grains = microscopy.segment(
        microscopy.read_map(folder / "ebsd_deformed.ctf"), threshold=5.0, min_pixels=5
    )
    label = microscopy.find_twins(grains, types=()).grain_label
    partner = match_grains(read_generator_truth(folder), label)
    partner = partner[partner.index.isin(specimen.grain_ids)]
    table = pd.read_csv(folder / "grains_truth.csv").set_index("grain_id").loc[partner.to_numpy()]
    pairs = {"11": (0, 0), "22": (1, 1), "33": (2, 2), "23": (1, 2), "13": (0, 2), "12": (0, 1)}
    stress = np.zeros((len(table), 3, 3))
    for name, (i, j) in pairs.items():
        stress[:, i, j] = stress[:, j, i] = table[f"cauchy_{name}_MPa"]
    rows = specimen.position(partner.index)
    weights = specimen.weights[rows] / specimen.weights[rows].sum()
    macro = to_vector(specimen.load.stress)
    macro = macro / np.linalg.norm(macro)
    true = to_vector(stress)
    return specimen, rows, true / (weights @ (true @ macro)), weights, macro


def unexplained(nickel, scheme):
    """Rms error of a scheme's grain stresses over that of the macroscopic stress."""
    specimen, rows, true, weights, macro = nickel
    found = grain_state(specimen, np.log(specimen.material.strengths), scheme).stress[rows]
    error, spread = (np.einsum("g,gi->", weights, (v - true) ** 2) for v in (found, macro))
    return np.sqrt(error / spread)


def test_the_map_explains_what_a_mean_medium_cannot(nickel):
    """Measured: Sachs 1, Taylor 0.90, self-consistent 0.57, full field 0.41 of the
    deviation from the mean stress is left.

    The bounds leave a fifth for noise of the map; the order is the statement:
    every bit of neighbourhood helps.
    """
    left = {scheme: unexplained(nickel, scheme) for scheme in ("taylor", "affine", "full_field")}
    assert left["full_field"] < 0.5 < left["affine"] < 0.65 < left["taylor"] < 1.0
